// The samples file beside a result: the raw arrays of a run, per-token scores and times, as docs/RESULT_FORMAT.md has it.
#ifndef QM_BENCH_SAMPLES_H
#define QM_BENCH_SAMPLES_H

#include "bench/raw.h"
#include "record/node.h"

// Writes `NAME.samples.safetensors` (NAME as the result's file name without .yaml) into the directory, and names it, with
// its hash, in the result. Without any scores there is no such file.
QM_MUST_USE enum qm_status qm_samples_write(const struct qm_raw *raw, struct qm_node *result, const char *directory);

#endif
