// Recomputing a result: what follows from its raw samples, its profile and the built-in model is built again by the code
// that built it (result_derive.h, result_build.h), and compared key by key. record/result_checks.h says of each key
// whether that is possible; docs/VERIFY.md has it as text.
//
// What agrees may still be made up: whoever invents samples can make a result of them that agrees. Verification shows
// that the summary is that of the samples, and that nothing was changed since.
#ifndef QM_BENCH_VERIFY_H
#define QM_BENCH_VERIFY_H

#include "record/node.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    QM_VERIFY_RESAMPLES_MAX = 100000, // a result that asks for more is refused: it would take minutes
    QM_VERIFY_WINDOWS_MAX = 10000,    // of a set that is generated again; of larger ones only the hash is looked at
    QM_VERIFY_TEXT_BYTES = 160,
};

// A difference, or something that could not be checked (then `should` is empty). Texts are UTF-8 without control
// characters, whatever stood in the file.
struct qm_verify_finding {
    char path[QM_VERIFY_TEXT_BYTES]; // "schemes[w8a8].accuracy.kl_divergence.mean"
    char is[QM_VERIFY_TEXT_BYTES];   // what stands there, cut off; "absent", "a mapping", "2 items"
    char should[QM_VERIFY_TEXT_BYTES];
    char why[QM_VERIFY_TEXT_BYTES]; // what it should follow from, or why it cannot be checked
};

struct qm_verification {
    bool has_samples;                                  // their file was there and was read
    bool needs_samples;                                // something was scored, so that there should be one
    struct qm_verify_finding *differences, *unchecked; // owned
    size_t difference_count, unchecked_count;
    size_t compared; // scalars that were recomputed
    size_t raw;      // scalars that nobody can recompute
};

// What all results share: the built-in model. NULL where it is not installed: its keys are then unchecked.
struct qm_verifier;
QM_MUST_USE enum qm_status qm_verifier_open(struct qm_verifier **out);
void qm_verifier_close(struct qm_verifier **verifier);

// Checks a result that has passed qm_result_check. `samples` (may be NULL: there are none) come from malloc, are taken
// over, and the caller's pointer is set to NULL. Differences are findings, not failures: QM_INVALID is for a result that
// would take too long. The caller frees `out` with qm_verification_free, which may be called on a zeroed one. Several
// threads may use one verifier at once.
QM_MUST_USE enum qm_status qm_verify(const struct qm_verifier *verifier, const struct qm_node *result, void **samples,
                                     size_t sample_bytes, struct qm_verification *out);

// Reads and checks a result and the samples file beside it, whose name in the result must be a plain one. QM_INVALID for
// a result that cannot be read; samples that cannot be read are a difference.
QM_MUST_USE enum qm_status qm_verify_file(const struct qm_verifier *verifier, const char *path,
                                          struct qm_verification *out);
void qm_verification_free(struct qm_verification *verification);

// Whether nothing differs, and the samples were there where they are needed or `allows_absent`.
bool qm_verification_passes(const struct qm_verification *verification, bool allows_absent);

#endif
