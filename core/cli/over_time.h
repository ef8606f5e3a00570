// The rates of a run over its time, for the sparklines that it ends with.
#ifndef QM_CLI_OVER_TIME_H
#define QM_CLI_OVER_TIME_H

#include "bench/device_run.h"
#include "report/closing.h"

enum {
    QM_OVER_TIME_PIECES = 96, // at most, of a sustained run
};

struct qm_over_time {
    struct qm_closing_series series[QM_PROFILE_SCHEMES_MAX];
    double *rates[QM_PROFILE_SCHEMES_MAX]; // owned
    size_t count;
};

// Of each scheme that is ok: its sustained run in equal pieces of time; without one the blocks of its last point, in the
// order in which they were timed. A scheme for which there is no memory is left out. qm_over_time_free follows.
void qm_over_time_make(const struct qm_prepared *prepared, const struct qm_device_run *run, struct qm_over_time *out);
void qm_over_time_free(struct qm_over_time *over_time);

#endif
