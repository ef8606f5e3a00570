// The fp32 reference of models of real size: by the host's pass (model/host_pass.h), windows in chunks of what the memory
// allows, kept in the cache by content and resumed where it was interrupted.
//
//   CACHE/host/KEY/rows-C-P    part P of chunk C: rows of scored tokens (score/reference_row.h), or logits of dense windows
//   CACHE/host/KEY/state       the residual stream of the chunk that is being computed, after its latest saved layer
//   CACHE/host/KEY/check       what the comparison with the reference backend gave
//
// KEY is over the model's hash and configuration, the set's hash, the positions, what is kept and the chunks: not over what
// multiplied, which each part says instead. Every file ends with the hash of what is before it, and begins with its kind and
// the key; one that does not fit is computed anew. They are this machine's: numbers lie in them as in memory, and rows are
// mapped, so that what is kept takes disk and page cache, not memory.
#ifndef QM_BENCH_REFERENCE_HOST_H
#define QM_BENCH_REFERENCE_HOST_H

#include "bench/reference.h"
#include "bench/reference_rows.h"
#include "model/weights.h"

// From how many parameters on the host's pass is the reference; below, the reference backend, whose bits are the same on every
// machine. The environment variable QM_REFERENCE, "host" or "backend", decides otherwise.
#define QM_REFERENCE_HOST_PARAMETERS UINT64_C(50000000)
// Where all logits of the scored tokens take no more than this they are kept whole.
#define QM_REFERENCE_DENSE_BYTES (UINT64_C(2) << 30)
// What is kept of larger ones: 128 KB a token at most. The environment variable QM_REFERENCE_TOP_K sets the number of tokens
// for any set.
#define QM_REFERENCE_KEEP ((struct qm_reference_keep){.mass = 1e-6, .most = 16384})
// Activations of a chunk; and what goes into one file, which is in memory while it is made.
#define QM_REFERENCE_HOST_BYTES (UINT64_C(512) << 20)
#define QM_REFERENCE_PART_BYTES (UINT64_C(128) << 20)
// How often the state is saved, and the tokens that are compared with the reference backend; what difference of a
// log-probability, in nats, is an error.
#define QM_REFERENCE_STATE_NS (UINT64_C(60) * 1000000000)
#define QM_REFERENCE_CHECKED_TOKENS 16
#define QM_REFERENCE_DIFFERENCE_MAX 1e-3
// What that comparison may take of memory beyond the bytes of a large model's files.
#define QM_REFERENCE_CHECK_BYTES UINT64_C(600000000)

struct qm_reference_host_options {
    const struct qm_blas *blas;     // NULL: own loops
    const struct qm_weights *files; // to read in place of the model's values; NULL: as the model has them
    struct qm_reference_keep keep;
    uint64_t activation_bytes, part_bytes;
    uint64_t state_ns; // 0: after every layer
    // Of all that is taken for the comparison; more is not, and the rows say so.
    uint64_t check_bytes_max;
};
// Those of this machine, for so many scored tokens.
struct qm_reference_host_options qm_reference_host_options(uint32_t vocabulary, size_t scored);

bool qm_reference_is_on_host(const struct qm_model *model);

// The rows of `evaluation`, dense ones of its first `dense_windows` windows. QM_WRONG_RESULT where the host and the reference
// backend differ by more than QM_REFERENCE_DIFFERENCE_MAX; QM_INTERRUPTED once what was done is saved.
QM_MUST_USE enum qm_status qm_reference_host_rows(const struct qm_reference_params *params,
                                                  const struct qm_evaluation *evaluation, uint32_t dense_windows,
                                                  const struct qm_reference_host_options *options,
                                                  struct qm_reference_rows **out);

// Shows windows `first` to `end` - 1 of a set to `calibration`, in chunks. Not resumed.
QM_MUST_USE enum qm_status qm_reference_host_observe(const struct qm_reference_params *params,
                                                     const struct qm_evaluation *set, uint32_t first, uint32_t end,
                                                     const struct qm_reference_host_options *options,
                                                     struct qm_calibration *calibration);

#endif
