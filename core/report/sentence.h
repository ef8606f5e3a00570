// What a reader may quote of a result in one sentence, and what they should beware of.
#ifndef QM_REPORT_SENTENCE_H
#define QM_REPORT_SENTENCE_H

#include "report/facts.h"

struct qm_node;

// Both take a result that passed qm_result_check, as it was read or built: a tree that was changed since, if only by
// qm_claim_tidy, is told as a changed one where it has a hash. Its texts are cleaned (base/text.h) on the way, so that
// what is appended steers no terminal. Nothing of it is markup or escaped for any.

// Appends one line, without '\n'. Of the schemes that pass the profile's bounds (where it states none, of all) it says
// of the one with the highest gain in decoding, or else in prefill: the device and its driver, the gain with its
// interval, over which baseline and at which point, what it cost in accuracy, calibration, whether the rate held, model
// and acceptance. Where its interval reaches down to 1 the sentence says that no scheme is shown to be faster. Where
// nothing may be quoted it begins with "Nothing may be quoted" and says why.
void qm_sentence_quote(struct qm_text *out, const struct qm_node *result);

// Whether qm_sentence_quote would have something to quote.
bool qm_sentence_is_quotable(const struct qm_node *result);

// Appends one caution a line, each ended by '\n', the gravest first: a changed file, wrong rows, a driver in software,
// what was not measured, acceptance that is not decided, speeds that a cache, a slow baseline or throttling made, a
// custom class. Nothing where there is nothing to beware of.
void qm_sentence_cautions(struct qm_text *out, const struct qm_node *result);

#endif
