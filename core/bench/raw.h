// What a device gave, as plain arrays: what a samples file holds (samples.h), and what every summary of a result is made
// of (result_derive.h). Nothing here knows of workers, artifacts or logits.
#ifndef QM_BENCH_RAW_H
#define QM_BENCH_RAW_H

#include "bench/evaluation.h"
#include "bench/profile.h"
#include "score/acceptance.h"
#include "score/agreement.h"
#include "score/details.h"
#include "score/summary.h"
#include "score/timer.h"
#include "workload/deployment_result.h"

// A point of throughput.
struct qm_point_run {
    bool is_decode;
    uint32_t batch, tokens; // of a pass and sequence: the prompt, or 1
    uint32_t batch_asked;   // by the profile: larger where that did not fit and a smaller one is allowed
    uint32_t depth, steps;  // decode
    bool has_device_time;
    size_t count, capacity; // timed blocks: a pass of prefill, `steps` steps of decode; two of a round, there and back
    double *device_ns;      // [count]
    double *wall_ns;        // [count]
    double *step_ns;        // decode: [count * steps] latencies, device time where there is
    uint32_t dispatches, dispatches_per_submission, repeats_per_submission;
    bool is_verified;   // the pass after the timed ones gave the scored checksum, too
    double operations;  // of one pass
    uint64_t *expected; // checksums of the scored passes: per window for prefill of whole windows, else of one block
    size_t expected_count;
};

// Point `index` of a profile, prefill points first, without any times. `asked` is the profile as it was asked for, of which
// `profile` may have smaller decode batches.
struct qm_point_run qm_point_of_profile(const struct qm_profile *profile, const struct qm_profile *asked, size_t index);

// What is read between windows, beside the probe.
enum qm_reading {
    QM_READING_CLOCK_MHZ,
    QM_READING_POWER_W,
    QM_READING_ENERGY_J,
    QM_READING_TEMPERATURE_C,
    QM_READING_MEMORY_BYTES,
    QM_READING_BUSY_PERCENT,
    QM_READING_THROTTLE, // reasons, a bit each
    QM_READING_COUNT
};

// A contiguous run of one point of one scheme, with what was read between its windows of a second.
struct qm_sustained_run {
    bool is_measured;
    char reason[200];                       // why not, or why it ended early
    size_t point;                           // index into the points
    size_t count, capacity;                 // blocks
    double *begin_ns, *wall_ns, *device_ns; // [count], begin from the start of the run
    double waited_s;                        // before it, to cool down
    double cooled_c;                        // temperature then; 0 where unknown
    size_t window_count, window_capacity;   // readings, one between windows, the first before the first
    double *at_ns, *probe_ns;               // [window_count]: when, and how long the multiply-add probe took
    double *readings;                       // [window_count][QM_READING_COUNT], NaN where there is none
};

// A widened scheme beside the same scheme as it is, on the same device.
struct qm_widening_run {
    // Of each scored token, with the widened logits as the reference: kl is KL(widened || narrow).
    struct qm_token_scores *scores;
    size_t before_tokens;            // of them: those of the windows that were scored before timing, which come first
    struct qm_summary *before, *all; // of the windows that were scored before timing; of the whole set
    double bound;                    // of the mean; beyond it the scheme is wrong
    // Matvec of the largest weight, tiled as it is and with random codes, in turns (model/random_weight.h).
    uint32_t rows, columns, products;
    bool has_device_time;
    size_t pairs;
    double *tiled_ns, *random_ns; // [pairs]
};

// Answers to a user's examples, one value for each, as struct qm_answer_run has them (answers.h). All NULL where there are
// none.
struct qm_raw_answers {
    const uint8_t *judgement, *right_by_norm;
    const uint8_t *is_same; // as the reference's answer; NULL of the reference
    const uint32_t *generated;
};

// A deployment's requests as a scheme served them.
struct qm_deployment_run {
    size_t rounds;                  // of all requests, timed; 0: none
    struct qm_request_times *times; // [rounds][requests], from the start of each round
    double *pass_ns;                // [rounds]: of each round's time that in passes
    double *check_kl;               // KL(alone || served) of each token of the sample (server.h)
    size_t check_count;
    uint64_t tokens, checksums; // as in struct qm_served, of every run alike; the second is in no samples
};

enum {
    QM_RAW_VARIANTS_MAX = 96
};

// One scheme. Arrays stay their owner's; NULL, or a count of 0, where there are none.
struct qm_raw_scheme {
    const struct qm_scheme *scheme;
    bool is_ok;                                  // its status; a row that is not has no speed
    const struct qm_token_scores *scores;        // of the whole set
    struct qm_left_out left_out;                 // by how much the KL divergences of `scores` may be higher
    const double *own_kl;                        // those of `scores`, or where it is NULL, of the first of them
    const struct qm_token_scores *decode_scores; // of the decode points of full groups
    const struct qm_agreement *agreement;        // with the reference backend's logits of the same artifact
    const struct qm_point_run *points;           // prefill points, then decode points, as in the profile
    size_t point_count;
    const struct qm_sustained_run *sustained;
    const struct qm_widening_run *widening; // NULL unless the model is widened
    struct qm_raw_answers answers;
    const struct qm_deployment_run *deployment; // NULL where nothing was served
    const char *variants[QM_RAW_VARIANTS_MAX];  // names of the kernels that its passes use, without their tile
    size_t variant_count;
};

struct qm_raw {
    const struct qm_profile *profile;
    const struct qm_evaluation *evaluation;
    bool lacks_reference; // what is scored against the reference says nothing (device_run.h)
    uint32_t widen;
    const char *tile;                                     // of the kernels; "" where the device did not come so far
    const char *tuned;                                    // what "+tuned" in it stands for (kernel/configure.h), or ""
    struct qm_raw_scheme schemes[QM_PROFILE_SCHEMES_MAX]; // in the profile's order
    size_t scheme_count;
    const double *noise; // the baseline against itself, in turns: ln of the ratio of each block
    size_t noise_count;
    const double *clock_host_ns, *clock_device_ns; // pairs of readings
    size_t clock_count;
    uint32_t answer_count;           // a user's examples
    const uint8_t *answer_is_choice; // [answer_count]
    struct qm_raw_answers reference_answers;
    const struct qm_requests *requests; // of the profile's deployment; NULL without
    struct qm_timer_check timer;        // filled by qm_speed_judge_timer: whether device times are worth anything
};

#endif
