// Claims: what somebody says of a quantized model's speed. docs/CLAIM_FORMAT.md says what each key means; the table in
// claim.c is where it is decided.
//
// A claim has one entry per component of the trade (components.h). All may be absent: what is absent is undisclosed,
// and audit.h says what follows.
#ifndef QM_RECORD_CLAIM_H
#define QM_RECORD_CLAIM_H

#include "base/status.h"
#include "record/node.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    QM_CLAIM_SCHEMA = 1,
    QM_CLAIM_SUSTAINED_S = 120, // a shorter window does not show a steady state
};

// Checks keys and types: keys at the top must be known, numbers be numbers or words, ratios and rates above 0, low ends
// not above high ends, no list within a list. QM_INVALID with file, line and what would be right.
QM_MUST_USE enum qm_status qm_claim_check(const struct qm_node *claim);

// Reads and checks a claim; from memory, `name` stands for the file in messages. Line breaks and control characters in
// texts become blanks, so that no claim can print a line of its own, such as a verdict.
QM_MUST_USE enum qm_status qm_claim_load(const char *path, struct qm_node **out);
QM_MUST_USE enum qm_status qm_claim_parse(const void *bytes, size_t count, const char *name, struct qm_node **out);

// The claim that a result, which must have passed qm_result_check, supports for one of its schemes; the caller destroys
// it. QM_INVALID if the scheme is not in the result or is not ok: nothing can be claimed of what is wrong.
//
// A result without a sustained rate gives what it has: the longest window of timed passes, with the words `too short`.
QM_MUST_USE enum qm_status qm_claim_from_result(const struct qm_node *result, const char *scheme, struct qm_node **out);

// The rows of the table, for tests and documents, as qm_result_table_path.
const char *qm_claim_table_path(size_t index);
const char *qm_claim_table_meaning(size_t index);

// Sets `undisclosed` wherever a component asks for something that the claim does not tell, and for device and API: what is
// left to fill in by hand.
void qm_claim_fill(struct qm_node *claim);

// Makes blanks of line breaks and control characters in all texts of a tree, as reading a claim does.
void qm_claim_tidy(struct qm_node *node);

// Takes a character off the end that was cut through, as snprintf does with UTF-8 that does not fit.
void qm_utf8_trim(char *text);

#endif
