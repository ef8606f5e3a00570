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

// A device that computed a reference, and with what.
struct qm_reference_device_facts {
    char name[128], api[16], driver[232]; // its driver with the version
    char kernel_hash[QM_HASH_TEXT_BYTES]; // as schemes[].disclosure.tool_chain has it
};

struct qm_reference_rows {
    struct qm_reference_row *scored; // [scored_count], at the index of the evaluation's scored token
    size_t scored_count;
    const float **dense; // [dense_windows * window_tokens]: logits of each token of the first windows
    uint32_t dense_windows;
    // Disclosure.
    // "reference backend", "host, OpenBLAS 0.3.21 ...", "host, own loops", "device, NAME through vulkan"
    char engine[QM_REFERENCE_ENGINE_BYTES];
    struct qm_reference_device_facts device; // where one computed it; else all ""
    uint32_t device_index;                   // of those that might have
    char passed_over[400];                   // devices that were to compute it first and cannot, and why; else ""
    struct qm_reference_keep keep;           // most 0: all logits were kept
    uint32_t checked_tokens; // compared with another way; 0 where it is the reference backend, or for `unchecked`
    double difference;       // the largest of a log-probability between the two, in nats
    char checked_with[QM_REFERENCE_ENGINE_BYTES]; // what it was compared with; "": the reference backend
    char unchecked[160];                          // why nothing was compared; "" else
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
