// Shared by device_run.c (schedule), device_score.c (scored passes) and device_time.c (timed ones).
#ifndef QM_BENCH_DEVICE_RUN_INTERNAL_H
#define QM_BENCH_DEVICE_RUN_INTERNAL_H

#include <limits.h>

#include "bench/client.h"
#include "bench/device_run.h"

// How a device is tried this time.
struct qm_attempt {
    uint32_t number;     // times that the device was lost before
    uint32_t most_batch; // of decode, a power of two; larger ones are run with it
    bool may_shrink;     // end where memory lacks and a smaller batch may help
    uint32_t opening;    // which of several of the same side: a simulated clock has other noise in each
};

struct qm_session {
    const struct qm_device_run_params *params;
    const struct qm_prepared *prepared;
    const struct qm_profile *profile; // with batches that fit
    struct qm_profile *limited;       // the same, owned
    const struct qm_attempt *attempt;
    bool lacks_memory; // for a batch, and a smaller one is allowed
    struct qm_client *client;
    struct qm_device_run *run;
    struct qm_telemetry *telemetry;          // NULL where the device is simulated or not open
    uint32_t group;                          // windows that lie on the device side by side
    uint32_t batches[QM_PROFILE_POINTS_MAX]; // distinct decode batches, the largest first
    uint32_t bases[QM_PROFILE_POINTS_MAX];   // first sequence of each
    size_t batch_count;
    uint32_t sequences;
    uint32_t rows, slots, context; // of the engine
    double done, total;            // units of work, for progress
    char stage[96];                // that progress was told last, up to its first comma
};

// Opens the device in a worker of its own, loads and verifies every scheme and scores what timed passes will repeat.
// qm_session_end follows whatever came of it, with the status that it should end with: it ends the worker and hands over
// the run, or, where nothing is known of the device, none and the status.
QM_MUST_USE enum qm_status qm_session_begin(const struct qm_device_run_params *params, const struct qm_attempt *attempt,
                                            struct qm_session *session);
// What a try of the device came to, beside the run.
struct qm_ending {
    bool lost_device, lacks_memory;
    size_t loaded; // schemes
    char reason[320];
};
QM_MUST_USE enum qm_status qm_session_end(struct qm_session *session, enum qm_status status, struct qm_ending *ending,
                                          struct qm_device_run **out);

// Which sequences lie on the device, and what passes need of an engine, from `profile` and the evaluation's set alone.
void qm_session_plan_sequences(struct qm_session *session);
void qm_session_tell(struct qm_session *session, const char *what, double units);
// The same with the rate that a scheme has just had, so many tokens in so many ns (0: none so far), beside its accuracy.
void qm_session_tell_rate(struct qm_session *session, const char *what, double units, size_t scheme, double tokens,
                          double ns);
// Ends a scheme's run with a status and the current error text; a wrong one loses its speed.
void qm_session_fail(struct qm_session *session, size_t scheme, enum qm_status status);
// First sequence of a decode batch.
uint32_t qm_session_base(const struct qm_session *session, uint32_t batch);

QM_MUST_USE enum qm_status qm_session_tokens(struct qm_session *session, uint32_t first_window, uint32_t count,
                                             uint32_t base);
// One `run` request; logits NULL: timed.
QM_MUST_USE enum qm_status qm_session_run(struct qm_session *session, size_t scheme, uint32_t batch, uint32_t tokens,
                                          uint32_t position, uint32_t sequence, uint32_t repeats, const char *logits,
                                          json_t **answer);

// The same of the network that is not widened, always with logits.
QM_MUST_USE enum qm_status qm_session_run_narrow(struct qm_session *session, size_t scheme, uint32_t tokens,
                                                 uint32_t repeats, const char *logits, json_t **answer);
// Asks the worker; `request` is taken.
QM_MUST_USE enum qm_status qm_session_ask(struct qm_session *session, json_t *request, json_t **answer);
// {"do": verb} with what engines take; NULL without memory.
json_t *qm_session_engine_request(const struct qm_session *session, const char *verb);

// Scoring: begin; every group of windows once, those of the first group being the ones that are timed; end.
QM_MUST_USE enum qm_status qm_session_score_begin(struct qm_session *session);
QM_MUST_USE enum qm_status qm_session_score_groups(struct qm_session *session, uint32_t first, uint32_t end);
QM_MUST_USE enum qm_status qm_session_score_end(struct qm_session *session);
uint32_t qm_session_group_count(const struct qm_session *session);

// Widening (device_widen.c). Fit: how wide a model the device holds, into run->widen. Load: the networks that are not
// widened, beside those that are. Judge: whether KL(widened || narrow) over the tokens scored so far is within its
// bound. Random: matvec on random codes beside the tiled ones.
QM_MUST_USE enum qm_status qm_session_fit(struct qm_session *session);
QM_MUST_USE enum qm_status qm_session_load_narrow(struct qm_session *session);
QM_MUST_USE enum qm_status qm_session_judge_widening(struct qm_session *session, size_t scheme, size_t tokens,
                                                     struct qm_summary **summary);
QM_MUST_USE enum qm_status qm_session_time_random(struct qm_session *session);
void qm_widening_run_clear(struct qm_widening_run *widening);

// Timing (device_time.c). All points in turns; then the sustained runs.
QM_MUST_USE enum qm_status qm_session_time(struct qm_session *session);
// Whether the scheme has a point to time: it is not wrong, and there is a scored pass to repeat.
bool qm_session_can_time(const struct qm_session *session, size_t scheme, size_t index);
// One block, checked, its times appended to the point; `round` below 0 is warm-up, and QM_ROUND_AFTER the one after the
// timed ones, which shows that the device is as right as before: neither keeps its times.
#define QM_ROUND_AFTER INT_MAX
QM_MUST_USE enum qm_status qm_session_time_block(struct qm_session *session, size_t scheme, size_t index, int round);
// Every decode block once, after prefill has rewritten the cache.
QM_MUST_USE enum qm_status qm_session_settle(struct qm_session *session);
// One pair of clock readings into the run; QM_OK without a device clock.
QM_MUST_USE enum qm_status qm_session_read_clock(struct qm_session *session);
// The checksums of passes of a block against the scored ones.
QM_MUST_USE enum qm_status qm_session_check_passes(const struct qm_point_run *point, const json_t *checksums,
                                                   uint32_t window, int round);
uint32_t qm_session_point_sequence(const struct qm_session *session, const struct qm_point_run *point, uint32_t window);

// A series of which each element is `each` doubles, as large as `*capacity` allows: room for one more at least.
bool qm_series_grow(double **values, size_t count, size_t *capacity, size_t each);
// 0 .. count - 1 in an order drawn from the seed.
void qm_turns_shuffle(uint64_t seed, uint64_t stream, size_t *order, size_t count);

// Answers (device_answers.c): every scheme that is ok answers the user's examples, after all were timed. QM_OK where there
// are none.
QM_MUST_USE enum qm_status qm_session_answer(struct qm_session *session);
bool qm_session_has_answers(const struct qm_session *session);

// A deployment (device_serve.c): every scheme that is ok serves its requests, first checked and then timed, after all else.
// QM_OK where there is none.
QM_MUST_USE enum qm_status qm_session_serve(struct qm_session *session);
bool qm_session_has_deployment(const struct qm_session *session);
void qm_session_plan_deployment(struct qm_session *session);          // what its passes need of the engine
double qm_session_deployment_units(const struct qm_session *session); // of work, of each scheme
void qm_deployment_run_clear(struct qm_deployment_run *run);

// Sustained runs (device_sustain.c): every scheme on its own, contiguously.
QM_MUST_USE enum qm_status qm_session_sustain(struct qm_session *session);
// Sensors and the host (device_sensors.c). Begin follows opening the device; end follows the end of its worker.
QM_MUST_USE enum qm_status qm_session_sensors_begin(struct qm_session *session);
void qm_session_sensors_end(struct qm_session *session);
// What the sensors say now, NaN where there is none.
void qm_session_read_sensors(struct qm_session *session, double readings[QM_READING_COUNT]);
void qm_sustained_run_clear(struct qm_sustained_run *sustained);

#endif
