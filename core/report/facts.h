// What a claim tells, as short lines for people: the part that statements and audits share.
#ifndef QM_REPORT_FACTS_H
#define QM_REPORT_FACTS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct qm_node;
struct qm_component;

// Text that grows. Appending never fails visibly: without memory it is marked.
struct qm_text {
    char *bytes; // owned; NULL while empty
    size_t used, capacity;
    bool failed;
};

void qm_text_append(struct qm_text *text, const char *format, ...) QM_PRINTF(2, 3);
void qm_text_free(struct qm_text *text);
const char *qm_text_bytes(const struct qm_text *text); // "" while empty

// "VALUE [LOW, HIGH]"; "VALUE (no interval)" where there is none; a word as it is; "undisclosed" for none.
void qm_fact_estimate(struct qm_text *text, const struct qm_node *holder, const char *key);

// "decode, batch 1, depth 64" of a gain or rate; "" where it names no point.
void qm_fact_point(struct qm_text *text, const struct qm_node *item);

// What a claim says of one component, a line per group of keys, each ended by '\n'. Lines with a speed end with
// `accuracy: undisclosed` or `accuracy: not measured` where the claim has no number of accuracy.
void qm_fact_component(struct qm_text *text, const struct qm_node *claim, const struct qm_component *component);

// "undisclosed" or "not measured" where the claim has no number of accuracy, else NULL.
const char *qm_fact_accuracy_word(const struct qm_node *claim);

// Lines of at most `columns` terminal columns, broken at blanks, or within a word that is longer than a line; further ones
// are indented by `indent` blanks.
void qm_text_wrap(struct qm_text *out, const char *text, size_t columns, size_t indent);

// The same of lines that keep their own indentation; what goes on has two blanks more. Each ends with '\n'.
void qm_text_wrap_lines(struct qm_text *out, const char *text, size_t columns);

#endif
