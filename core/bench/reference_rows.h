// The fp32 reference as devices are scored against it: one row for each scored token, and the logits of the windows that are
// compared with the reference backend position by position. And what a result says of it.
#ifndef QM_BENCH_REFERENCE_ROWS_H
#define QM_BENCH_REFERENCE_ROWS_H

#include "bench/evaluation.h"
#include "score/reference_row.h"
#include "sys/blas.h"
#include "sys/file_map.h"

enum {
    QM_REFERENCE_ENGINE_BYTES = QM_BLAS_NAME_BYTES + 16
};

struct qm_reference_part;

struct qm_reference_rows {
    struct qm_reference_row *scored; // [scored_count], at the index of the evaluation's scored token
    size_t scored_count;
    const float **dense; // [dense_windows * window_tokens]: logits of each token of the first windows
    uint32_t dense_windows;
    // Disclosure.
    char engine[QM_REFERENCE_ENGINE_BYTES]; // "reference backend", "host, OpenBLAS 0.3.21 ...", "host, own loops"
    struct qm_reference_keep keep;          // most 0: all logits were kept
    uint32_t checked_tokens; // compared with the reference backend; 0 where it is that backend, or for `unchecked`
    double difference;       // the largest of a log-probability between the two, in nats
    char unchecked[160];     // why nothing was compared; "" else
    // What the rows point into, owned: logits, or mapped files of the cache.
    float *logits;
    struct qm_reference_part *parts;
    size_t part_count, part_room;
};

struct qm_reference_part {
    struct qm_file_map map;
    char *path; // for messages
};

// Rows of logits [windows][window_tokens][vocabulary] by the reference backend; takes `logits`, even where it fails.
QM_MUST_USE enum qm_status qm_reference_rows_of_logits(const struct qm_evaluation *evaluation, uint32_t vocabulary,
                                                       float *logits, struct qm_reference_rows **out);
// With room for the rows of `evaluation` and for dense windows, all empty.
QM_MUST_USE enum qm_status qm_reference_rows_create(const struct qm_evaluation *evaluation, uint32_t dense_windows,
                                                    struct qm_reference_rows **out);
// Adds a mapping that rows point into, and zeroes *map; the rows unmap it. `path` is copied. Where it fails, *map is as it was.
QM_MUST_USE enum qm_status qm_reference_rows_hold(struct qm_reference_rows *rows, struct qm_file_map *map,
                                                  const char *path);
// Nothing that was scored counts before this: QM_INVALID where a file was written or cut off under the rows.
QM_MUST_USE enum qm_status qm_reference_rows_check(const struct qm_reference_rows *rows);
void qm_reference_rows_destroy(struct qm_reference_rows **rows);

#endif
