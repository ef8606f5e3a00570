// How long a run will take, from what earlier runs took on this machine; where there was none, nobody knows.
//
// A run on a device keeps, for each scheme, the operations per second of its passes, and the seconds that were none of them
// (compiling, checking kernels, loading). A forecast counts the passes that a profile runs on a model and divides: for
// models of the same kind and size it is good to some tens of percent, from a small model to one that leaves the caches it is
// an order of magnitude. Preparing keeps the operations per second of all that it did when nothing of it was in the cache.
#ifndef QM_BENCH_FORECAST_H
#define QM_BENCH_FORECAST_H

#include "bench/device_run.h"
#include "bench/devices.h"

struct qm_forecast {
    bool is_known;
    double seconds;
    char based_on[256]; // "quick of qmark-3m (3.4 M weights) on 2026-01-31: 41 s"; else why it is not known
};

// What a device's run of `prepared` took, and what preparing took. What cannot be kept is no loss.
void qm_forecast_keep_run(const char *cache_directory, const struct qm_device_entry *device,
                          const struct qm_prepared *prepared, const struct qm_device_run *run, double seconds);
void qm_forecast_keep_preparation(const char *cache_directory, const struct qm_prepared *prepared, double seconds);

void qm_forecast_run(const char *cache_directory, const struct qm_device_entry *device,
                     const struct qm_profile *profile, const struct qm_model_config *config, struct qm_forecast *out);
void qm_forecast_preparation(const char *cache_directory, const struct qm_profile *profile,
                             const struct qm_model_config *config, struct qm_forecast *out);

#endif
