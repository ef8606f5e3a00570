// The search for the fastest configuration of one kernel: knob after knob, each value against the best so far, until a round
// changes nothing or the time is up; then the best once more against the fixed one, longer. It knows no device: what a
// candidate is worth is measured by its caller, which makes it testable.
#ifndef QM_BENCH_TUNE_SEARCH_H
#define QM_BENCH_TUNE_SEARCH_H

#include "base/status.h"
#include "bench/tune_space.h"

// How a candidate did against another configuration.
struct qm_tune_trial {
    enum qm_status status; // QM_OK; QM_WRONG_RESULT, QM_UNSUPPORTED, QM_FAILED ...: it is out
    double ratio, low,
        high; // the other's time over the candidate's, above 1 where it is faster: median, and the interval
              // of 95 % of the median by the order of the pairs
};

struct qm_tune_search_params {
    const struct qm_tune_space *space;
    const struct qm_device_info *info;
    // Measures `candidate` against `against` (settings, "" for the fixed configuration), in turns; `is_final` asks for the
    // most pairs. Fails only where the device is gone for good.
    enum qm_status (*measure)(void *context, const char *candidate, const char *against, bool is_final,
                              struct qm_tune_trial *out);
    // True where the search is to end: time or an interrupt. May be NULL.
    bool (*is_over)(void *context);
    // Every candidate, with what became of it; may be NULL.
    void (*tell)(void *context, const char *candidate, const struct qm_tune_trial *trial, const char *reason);
    void *context;
};

struct qm_tune_found {
    char settings[QM_SETTINGS_BYTES];    // "" where none was faster than the fixed configuration
    struct qm_tune_trial over_fixed;     // of the settings; 1, 1, 1 for ""
    uint32_t tried, impossible, refused; // candidates measured; ruled out by static checks; wrong or not compiled
    bool is_complete;                    // false: the time was up first
};

QM_MUST_USE enum qm_status qm_tune_search(const struct qm_tune_search_params *params, struct qm_tune_found *out);

// Of `count` ratios (sorted by this): the median, and the order statistics between which the median of all such ratios lies
// with 95 % (the sign test's interval; of fewer than 6 it is their range).
void qm_tune_summarize(double *ratios, size_t count, struct qm_tune_trial *out);

#endif
