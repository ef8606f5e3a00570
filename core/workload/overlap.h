// What of an evaluation set stands in a calibration set as well: runs of n tokens (or words) that are equal.
//
// An item of the evaluation set (an example, a window) overlaps where one of its runs of n tokens stands in an item of
// the calibration set; one of fewer than n tokens where all of it does. The default of 13 is that of the training
// data's filter and of most of the checks in "Language Models are Few-Shot Learners" (Brown et al., 2020, appendix C),
// which are over words without case and punctuation; qm_words_create makes such words out of texts.
//
// Runs are found by a hash and then compared token by token, so that none is reported that is not there. The same
// whatever the order of the calibration set's items. Memory: 100 MB at most, beside the tokens themselves; time: that of
// sorting the evaluation set's runs, and of one search for each place of the calibration set, for every 2^22 runs.
//
// A prompt's fixed words (instructions, examples in front of a question) are runs like all others: where both sets share
// them, every item overlaps, and that is what the count says.
#ifndef QM_WORKLOAD_OVERLAP_H
#define QM_WORKLOAD_OVERLAP_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QM_OVERLAP_TOKENS = 13,
    QM_OVERLAP_TOKENS_MAX = 64,
};

// One item: tokens, not owned. Those without tokens do not take part.
struct qm_token_span {
    const uint32_t *tokens;
    size_t count;
};

struct qm_overlap {
    uint32_t tokens;      // n
    uint64_t items;       // of the evaluation set, with tokens
    uint64_t short_items; // with fewer than n, compared whole
    uint64_t overlapping;
    uint64_t runs, shared_runs; // places in the evaluation set where a run begins; those whose run is in both
    double share;               // overlapping / items; 0 without items
};

// `n` is 1 .. QM_OVERLAP_TOKENS_MAX, else QM_INVALID. `is_hit` (NULL: not wanted) has a place for each item of the
// evaluation set. QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_overlap_find(const struct qm_token_span *calibration, size_t calibration_count,
                                           const struct qm_token_span *evaluation, size_t evaluation_count, uint32_t n,
                                           uint8_t *is_hit, struct qm_overlap *out);

// QM_INVALID with the numbers where anything overlaps; the names are those of the sets. For who has not allowed it.
QM_MUST_USE enum qm_status qm_overlap_refuse(const struct qm_overlap *overlap, const char *evaluation,
                                             const char *calibration);

// Texts as words: each a number, the same for the same word after qm_answer_normalise, articles kept.
// The texts of both sets go into one dictionary.
struct qm_words;
QM_MUST_USE enum qm_status qm_words_create(struct qm_words **out);
// The span's tokens are the dictionary's and live as long as it.
QM_MUST_USE enum qm_status qm_words_add(struct qm_words *words, const char *text, size_t bytes,
                                        struct qm_token_span *span);
void qm_words_destroy(struct qm_words **words);

#endif
