// The samples file beside a result: the raw arrays of a run, per-token scores and times, as docs/RESULT_FORMAT.md has it.
// Written by samples.c and read back, into the same arrays, by samples_read.c.
#ifndef QM_BENCH_SAMPLES_H
#define QM_BENCH_SAMPLES_H

#include "bench/raw.h"
#include "record/node.h"
#include "record/result.h"
#include "sys/file.h"

enum {
    QM_SAMPLES_NAME_BYTES = QM_RESULT_NAME_BYTES + 32,
};
#define QM_SAMPLES_BYTES_MAX ((size_t)512 << 20) // a larger file is refused by its size

// Stages `NAME.samples.safetensors` (NAME as the result's file name without .yaml) into the directory, and names it, with
// its hash, in the result. The caller commits it (sys/file.h); nothing is staged where there are no scores.
QM_MUST_USE enum qm_status qm_samples_stage(const struct qm_raw *raw, struct qm_node *result, const char *directory,
                                            struct qm_staged_file *staged);

// "qmark-<device>-<api>.samples.safetensors": qm_result_file_name's, with another end.
void qm_samples_file_name(const struct qm_node *result, char name[QM_SAMPLES_NAME_BYTES]);

// Reads the samples file beside the result at `path`, whose name in the result must be a plain one: a result is a
// stranger's and must not make qmark read whatever lies elsewhere. free() the bytes; NULL where there is none, or no such
// name.
QM_MUST_USE enum qm_status qm_samples_read_beside(const char *path, const struct qm_node *result, void **bytes,
                                                  size_t *count);

// A file that was read. Everything in `raw` lives as long as it does, but for the profile, which is the caller's.
struct qm_samples {
    struct qm_raw raw;
    void *own; // what `raw` points into
};

struct qm_samples_params {
    const struct qm_profile *profile;
    uint32_t widen;
    bool is_ok[QM_PROFILE_SCHEMES_MAX]; // status of each scheme, which no array tells
    bool is_part;                       // model.layers_run is there: times and agreement, without scores
};

// Reads from memory that came from malloc, taken over as by qm_tensors_parse; `name` stands for the file in messages. The
// file is a stranger's: what every array may hold, and how long it may be, follows from the profile, and QM_INVALID names
// the first that does not fit. Tensors that this version does not know are passed over. The evaluation has no windows,
// no scored tokens' places: its hash, name, counts and what it says of each example are there. qm_samples_free may be
// called on a zeroed structure.
QM_MUST_USE enum qm_status qm_samples_parse(void **bytes, size_t count, const char *name,
                                            const struct qm_samples_params *params, struct qm_samples *out);
void qm_samples_free(struct qm_samples *samples);

#endif
