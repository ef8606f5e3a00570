// `qmark reproduce`: which claims of a result hold on this card, from the result and the results of runs made here of its
// own profile. Nothing here opens a device; docs/REPRODUCE.md has the rules in words.
//
// A claim is a number that the result states and that a buyer would miss: the accuracy of a scheme, its rate at a point, its
// gain over the baseline, ... Accuracy is of the artifact and is judged on any card; speed and memory are of one device,
// and gains are judged on another only where that was asked for.
#ifndef QM_SCORE_REPRODUCE_H
#define QM_SCORE_REPRODUCE_H

#include "base/status.h"
#include "score/repeated.h"

#include <stdbool.h>
#include <stddef.h>

struct qm_node;

enum qm_reproduced_kind {
    QM_REPRODUCED_STATUS, // of a whole scheme: why nothing of it, or of a kind of claims, could be judged
    QM_REPRODUCED_ACCURACY,
    QM_REPRODUCED_RATE,
    QM_REPRODUCED_GAIN,
    QM_REPRODUCED_LATENCY,
    QM_REPRODUCED_SUSTAINED,
    QM_REPRODUCED_ENERGY,
    QM_REPRODUCED_KERNELS,
    QM_REPRODUCED_MEMORY,
    QM_REPRODUCED_KIND_COUNT
};

// "status", "accuracy", "rate", "gain", "latency", "sustained", "energy", "kernels", "memory".
const char *qm_reproduced_kind_name(enum qm_reproduced_kind kind);
// Whether claims of the kind are judged by score/repeated.h, over runs.
bool qm_reproduced_kind_is_speed(enum qm_reproduced_kind kind);

struct qm_reproduced_claim {
    char scheme[192];
    char what[96]; // "decode batch 8 depth 64", "KL divergence, mean"
    char unit[16]; // "tokens/s", "x", "ms", "nats", ...; "" for none
    enum qm_reproduced_kind kind;
    enum qm_repeated_verdict verdict;
    // Numbers; has_interval: low and high are there.
    bool has_numbers, has_claimed_interval, has_here_interval, has_margin_interval;
    double claimed, claimed_low, claimed_high;
    double here, here_low, here_high;       // mean of all runs for speed
    double margin, margin_low, margin_high; // speed: here over claimed, above 1 faster; else here less claimed
    double allowed;                         // accuracy and memory: how much worse is within device tolerance
    size_t runs_needed;                     // as in qm_repeated_judgement
    double kl_claimed, kl_here;             // mean KL divergence of the scheme on both sides; below 0: not measured
    char reason[400];                       // in words; "" where the numbers say it all
};

struct qm_reproduction {
    struct qm_reproduced_claim *rows; // owned
    size_t count, capacity;
    bool is_same_device;    // name and API
    bool is_wrong;          // something computed wrongly here
    size_t of[4];           // rows by verdict
    double seconds_per_run; // set by whoever ran them; 0: unknown
    char claimed_device[160], device[160];
    char notes[6][240]; // what differs and does not decide: driver versions, hosts, ...
    size_t note_count;
    char summary[500];
};
void qm_reproduction_free(struct qm_reproduction *reproduction);

struct qm_reproduce_params {
    bool is_relative;      // judge gains on another device as well
    bool is_quick;         // sustained runs were left out
    double sustained_s;    // of the runs here; 0 where left out
    double minimum_effect; // as in qm_repeated_params
    double tolerance;
    double false_alarm;
    // What else kept this machine busy, in words: speed that falls short then cannot be told. NULL or "": nothing.
    const char *disturbance;
    double seconds_per_run;
    // Standard error of the mean of per-token differences of KL divergence, paired, by the record's schemes in their order;
    // NULL, or NaN for a scheme: the record's samples are not here, and the interval of the mean stands in.
    const double *paired_errors;
};

// The stock limits: 5 %, 10 %, 0.01.
struct qm_reproduce_params qm_reproduce_defaults(void);

// `record` and `runs[0 .. count - 1]` have passed qm_result_check; runs[0] was scored, later ones need not have been.
// Every scheme of the record that is in runs[0] is judged. The caller frees `out`. QM_INVALID for params out of range.
QM_MUST_USE enum qm_status qm_reproduce_judge(const struct qm_node *record, const struct qm_node *const *runs,
                                              size_t count, const struct qm_reproduce_params *params,
                                              struct qm_reproduction *out);

// 4 if something is wrong here; 10 if a claim does not hold; 12 if one cannot be told; 0 if one holds; else 13.
int qm_reproduction_exit_code(const struct qm_reproduction *reproduction);

#endif
