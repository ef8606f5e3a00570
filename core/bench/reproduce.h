// Running a result again, for `qmark reproduce`: its own profile, from the copy that it holds, on a device of this machine,
// several times. The first run is whole and scored; the others, each in a worker of its own, only time. What holds of the
// result is then judged by score/reproduce.h.
#ifndef QM_BENCH_REPRODUCE_H
#define QM_BENCH_REPRODUCE_H

#include "bench/prepare.h"
#include "record/node.h"
#include "score/reproduce.h"

struct qm_rerun_params {
    const struct qm_node *record;                   // has passed qm_result_check
    const char *record_path;                        // its samples lie beside it, or do not
    const char *model;                              // a directory, where the record's is no built-in one; or NULL
    const char *reference;                          // where the record is scored against a model of its own; or NULL
    const char *evaluation_file, *calibration_file; // where the record's sets are a user's own; or NULL
    const char *deployment_file;                    // where the record's requests come from a trace; or NULL
    const char *schemes;                            // list, or NULL: all
    const char *cache_directory;
    bool is_quick;        // no sustained runs
    uint64_t sustained_s; // of sustained runs, at most; 0: the record's
    size_t runs;          // in all: 1 .. QM_REPEATED_RUNS_MAX
    // Of the device:
    const char *device; // id
    unsigned ordinal;
    const char *scratch_path;
    const char *directory; // for the new result; those of runs from the second on in run-2, run-3, ... below it
    qm_progress progress;
    void *progress_context;
};

// Reads the record's profile, model and sets. QM_INVALID for a profile that is none (one of another version of qmark,
// perhaps) and for a scheme that the record lacks.
QM_MUST_USE enum qm_status qm_rerun_read(const struct qm_rerun_params *params, struct qm_preparation **out);
// Makes artifacts and references. A scheme whose artifact is not the record's is `unsupported`, with the ids.
QM_MUST_USE enum qm_status qm_rerun_make(struct qm_preparation *preparation, const struct qm_rerun_params *params);

struct qm_rerun {
    struct qm_node *results[QM_REPEATED_RUNS_MAX]; // owned
    size_t count;
    char path[QM_PATH_BYTES];                     // of the first
    double paired_errors[QM_PROFILE_SCHEMES_MAX]; // as in qm_reproduce_params
    double sustained_s;                           // that sustained runs were given; 0: none
    double seconds_per_run;                       // of the latest run: one that only times, but for the first
    char disturbance[300];                        // as in qm_reproduce_params; "" for nothing
};

// Runs and writes until there are `runs` of them; what `out` (zeroed before the first call) has already is kept. With a
// simulated clock (simulate.h) each run has noise of its own. The caller frees `out`, also where this fails: what was run so
// far is there.
QM_MUST_USE enum qm_status qm_rerun_device(const struct qm_preparation *preparation,
                                           const struct qm_rerun_params *params, struct qm_rerun *out);
void qm_rerun_free(struct qm_rerun *rerun);

#endif
