// What a result says of a user's texts: hashes, counts and lengths, and none of their words.
//
// The functions below are the only way from a text to a result. Each adds the keys that docs/WORKLOAD.md lists to a
// mapping; ids, file names, patterns and stop strings are the user's words as well and are not among them. The exception is
// qm_workload_embed_examples, for --embed-texts.
#ifndef QM_WORKLOAD_DISCLOSURE_H
#define QM_WORKLOAD_DISCLOSURE_H

#include "workload/example_tokens.h"
#include "workload/examples.h"
#include "workload/overlap.h"
#include "workload/paired.h"
#include "workload/text_set.h"

struct qm_node;

struct qm_length_summary {
    uint64_t least, median, most; // nearest rank: of 4 values the second
};
// Sorts the values in place; all 0 without any.
struct qm_length_summary qm_lengths_summarize(uint32_t *values, size_t count);

// sha256, text_sha256, documents (of a directory), text_bytes, text_tokens, utf8, windows, window_tokens, stride, scored_tokens, unused_tokens, begin_token,
// compat.
void qm_workload_disclose_text(const struct qm_text_set *set, struct qm_node *mapping);

// sha256, form, files (more than one), shots (of CSV), file_sha256, file_bytes, examples, rules, repeated_lines, asking_to_sample; and of the tokens (NULL: not encoded)
// tokens_sha256, tokens, prompt_tokens and answer_tokens as {least, median, most}. QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_workload_disclose_examples(const struct qm_user_examples *examples,
                                                         const struct qm_examples_tokens *tokens,
                                                         struct qm_node *mapping);

// tokens, items, items_shorter, overlapping, share, runs, shared_runs.
void qm_workload_disclose_overlap(const struct qm_overlap *overlap, struct qm_node *mapping);

// examples, flips, right_to_wrong, wrong_to_right, other_right, other_wrong, unjudged, unjudged_reference, p_value. Estimates
// are the result's own business.
void qm_workload_disclose_changes(const struct qm_paired_summary *summary, struct qm_node *mapping);

// A list `key` of the examples with their texts: id, prompt, answers or choices. QM_INVALID where it would take more than
// `bytes_most` bytes of text.
QM_MUST_USE enum qm_status qm_workload_embed_examples(const struct qm_user_examples *examples, size_t bytes_most,
                                                      const char *key, struct qm_node *mapping);

#endif
