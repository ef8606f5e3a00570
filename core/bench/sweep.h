// Which calibrator for a scheme, and how large a calibration set? Every calibrator that goes with the scheme's formats, at
// several sizes of the set, each built, timed and scored on the reference backend, and ranked by KL divergence.
//
// The sets are those of a run: calibration windows are the first n of the profile's seed, the evaluation set is the
// profile's, and the two splits share no example. A row's artifact is the one that a profile with so many calibration
// windows gets, to the bit. Artifacts come from no cache, for what they cost is measured, and are not kept.
#ifndef QM_BENCH_SWEEP_H
#define QM_BENCH_SWEEP_H

#include "bench/prepare.h"
#include "score/ranking.h"

enum {
    QM_SWEEP_SIZES_MAX = 8,
    QM_SWEEP_METHODS_MAX = QM_CALIBRATOR_COUNT + 1, // gptq has two ways
    QM_SWEEP_ROWS_MAX = QM_SWEEP_SIZES_MAX * QM_SWEEP_METHODS_MAX,
};

struct qm_sweep_row {
    struct qm_scheme scheme;
    uint32_t windows; // of the calibration set; 0: the method needs none
    uint64_t tokens;
    enum qm_status status; // not QM_OK: not built or not scored, and `reason` says why; such rows are last
    char reason[256];
    // Seconds by the host's monotonic clock. Collecting is one run for all methods, with all that any of them needs; what
    // it took up to this row's windows is in each row.
    double collecting_s, building_s;
    uint64_t bytes;
    char artifact_id[QM_HASH_TEXT_BYTES];
    struct qm_estimate kl, perplexity_ratio;
    struct qm_ranked ranked;
};

struct qm_sweep {
    struct qm_scheme scheme;            // as it was asked for
    uint32_t sizes[QM_SWEEP_SIZES_MAX]; // windows, rising
    size_t size_count, method_count;
    struct qm_sweep_row rows[QM_SWEEP_ROWS_MAX]; // once it has run: from the least KL divergence on
    size_t row_count;
    uint64_t scored_tokens;
    uint32_t sequences;
};

// What is to be tried. `sizes` is a list such as "4,16,64"; NULL: a sixteenth, a quarter and all of `windows`. QM_INVALID
// for a scheme that has no choice of calibrators and for sizes that are none. Large: put `out` on the heap.
QM_MUST_USE enum qm_status qm_sweep_plan(const char *scheme, const char *sizes, uint32_t windows, struct qm_sweep *out);

// Tries it, on the model and sets of a preparation that was read. A row that fails has its status, the others go on.
QM_MUST_USE enum qm_status qm_sweep_run(struct qm_sweep *sweep, const struct qm_preparation *preparation,
                                        const char *cache_directory, qm_progress progress, void *progress_context);

// The cheapest of the rows that are not told apart from the best: the least time, collecting included. NULL without rows.
const struct qm_sweep_row *qm_sweep_cheapest(const struct qm_sweep *sweep);

#endif
