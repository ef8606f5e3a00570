// Which keys of a result can be recomputed, and from what. `qmark verify` goes by this table, docs/VERIFY.md has it as text,
// and test_verify.c edits each key to see that it holds.
#ifndef QM_RECORD_RESULT_CHECKS_H
#define QM_RECORD_RESULT_CHECKS_H

#include <stddef.h>

enum qm_result_check {
    QM_CHECK_RAW,     // nobody but the device's owner saw it
    QM_CHECK_RELATED, // bound by other keys, so that some changes are seen
    // What follows are recomputed, and so must be what stands there.
    QM_CHECK_PROFILE, // from the profile, the model and other keys
    QM_CHECK_SAMPLES, // from the samples file besides
    QM_CHECK_BUILD,   // from the kernels of the build that measured besides
};

struct qm_result_check_rule {
    const char *path; // of a table row, or of something that holds it; the longest that fits decides
    enum qm_result_check check;
    const char *why; // what it is recomputed from or bound by, or why it cannot be
};

// The rule for a path as the table has it, "schemes[].accuracy.tokens"; never NULL. Keys that are in no table have one too.
const struct qm_result_check_rule *qm_result_check_of(const char *path);

// "raw", "related", "derived", "derived, with samples", "derived, by the same build".
const char *qm_result_check_name(enum qm_result_check check);

#endif
