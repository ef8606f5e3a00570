// Sustained runs: one point of one scheme without a pause but for what is read between windows of a second, for as long as
// the profile says. What burst, steady state and throttling are is decided from the samples (score/sustained.h).
#include "bench/device_run_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "sys/host.h"

enum {
    WINDOW_NS = 1000000000,
    REQUEST_NS = 100000000, // blocks are asked for together, for the worker's answers are no work
    BLOCKS_MAX = 256,       // of one request
    TEMPERATURE_POLL_NS = 1000000000
};

void qm_sustained_run_clear(struct qm_sustained_run *sustained)
{
    free(sustained->begin_ns);
    free(sustained->wall_ns);
    free(sustained->device_ns);
    free(sustained->at_ns);
    free(sustained->probe_ns);
    free(sustained->readings);
    *sustained = (struct qm_sustained_run){0};
}

static enum qm_status read_window(struct qm_session *session, struct qm_sustained_run *run, double begin_ns)
{
    json_t *answer = NULL;
    size_t capacity[3] = {run->window_capacity, run->window_capacity, run->window_capacity};
    if (!qm_series_grow(&run->at_ns, run->window_count, &capacity[0], 1) ||
        !qm_series_grow(&run->probe_ns, run->window_count, &capacity[1], 1) ||
        !qm_series_grow(&run->readings, run->window_count, &capacity[2], QM_READING_COUNT))
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu windows", run->window_count);
    run->window_capacity = capacity[0];
    QM_TRY(qm_session_ask(session, json_pack("{s:s}", "do", "probe"), &answer));
    run->at_ns[run->window_count] = (double)json_integer_value(json_object_get(answer, "begin_ns")) - begin_ns;
    run->probe_ns[run->window_count] = (double)json_integer_value(json_object_get(answer, "wall_ns"));
    json_decref(answer);
    qm_session_read_sensors(session, &run->readings[run->window_count * QM_READING_COUNT]);
    ++run->window_count;
    return qm_session_read_clock(session);
}

static enum qm_status ask_blocks(struct qm_session *session, size_t scheme, const struct qm_point_run *point,
                                 uint32_t blocks, json_t **answer)
{
    uint32_t steps = point->is_decode ? point->steps : 1;
    return qm_session_ask(session,
                          json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "do", "run", "scheme",
                                    session->prepared->schemes[scheme].scheme.name, "batch", (json_int_t)point->batch,
                                    "tokens", (json_int_t)point->tokens, "position",
                                    (json_int_t)(point->is_decode ? point->depth : 0), "sequence",
                                    (json_int_t)qm_session_point_sequence(session, point, 0), "repeats",
                                    (json_int_t)steps, "blocks", (json_int_t)blocks),
                          answer);
}

static enum qm_status keep_blocks(struct qm_sustained_run *run, const json_t *answer, double begin_ns)
{
    const json_t *begins = json_object_get(answer, "block_begin_ns"), *walls = json_object_get(answer, "block_wall_ns"),
                 *devices = json_object_get(answer, "block_device_ns");
    for (size_t i = 0; i < json_array_size(begins); ++i) {
        size_t capacity[3] = {run->capacity, run->capacity, run->capacity};
        if (!qm_series_grow(&run->begin_ns, run->count, &capacity[0], 1) ||
            !qm_series_grow(&run->wall_ns, run->count, &capacity[1], 1) ||
            !qm_series_grow(&run->device_ns, run->count, &capacity[2], 1))
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu blocks", run->count);
        run->capacity = capacity[0];
        run->begin_ns[run->count] = (double)json_integer_value(json_array_get(begins, i)) - begin_ns;
        run->wall_ns[run->count] = (double)json_integer_value(json_array_get(walls, i));
        run->device_ns[run->count++] = (double)json_integer_value(json_array_get(devices, i));
    }
    return QM_OK;
}

// How many blocks fill a request, but not beyond the window's end.
static uint32_t blocks_for(const struct qm_sustained_run *run, double now_ns, double window_end_ns)
{
    if (run->count == 0)
        return 1;
    double left = window_end_ns - now_ns, one = fmax(run->wall_ns[run->count - 1], 1);
    double blocks = ceil(fmin(REQUEST_NS, fmax(left, 0)) / one);
    return blocks < 1 ? 1 : blocks > BLOCKS_MAX ? BLOCKS_MAX : (uint32_t)blocks;
}

static double end_of_last(const struct qm_sustained_run *run)
{
    return run->count ? run->begin_ns[run->count - 1] + run->wall_ns[run->count - 1] : 0;
}

// Waits as the profile says, and while the device is warmer than it should be, as long again at most.
static void cool_down(struct qm_session *session, struct qm_sustained_run *run)
{
    double readings[QM_READING_COUNT], limit_s = session->profile->cool_down_s;
    uint64_t begin_ns = qm_clock_ns();
    qm_sleep_ns((uint64_t)(limit_s * 1e9));
    for (;;) {
        qm_session_read_sensors(session, readings);
        run->waited_s = (double)(qm_clock_ns() - begin_ns) * 1e-9;
        run->cooled_c = isnan(readings[QM_READING_TEMPERATURE_C]) ? 0 : readings[QM_READING_TEMPERATURE_C];
        if (session->profile->temperature_most_c <= 0 || run->cooled_c <= session->profile->temperature_most_c ||
            run->waited_s >= 2 * limit_s)
            return;
        qm_sleep_ns(TEMPERATURE_POLL_NS);
    }
}

// Tells the rate of the second that has just ended; returns the seconds that were told.
static double tell_window(struct qm_session *session, size_t scheme, const struct qm_point_run *point, double told_s)
{
    const struct qm_sustained_run *run = &session->run->schemes[scheme].sustained;
    double tokens = 0, ns = 0;
    char what[QM_SCHEME_NAME_BYTES + 64];
    for (size_t i = run->count; i > 0 && end_of_last(run) - run->begin_ns[i - 1] <= WINDOW_NS; --i) {
        tokens += (double)point->batch * point->tokens * (point->is_decode ? point->steps : 1);
        ns += run->wall_ns[i - 1];
    }
    snprintf(what, sizeof(what), "sustaining %s, %.0f of %.0f s", session->prepared->schemes[scheme].scheme.name,
             end_of_last(run) * 1e-9, session->profile->sustained_s);
    double seconds = fmin(end_of_last(run) * 1e-9, session->profile->sustained_s);
    qm_session_tell_rate(session, what, seconds - told_s, scheme, tokens, ns);
    return seconds;
}

static enum qm_status sustain_scheme(struct qm_session *session, size_t scheme, size_t index, double *told_s)
{
    struct qm_scheme_run *scheme_run = &session->run->schemes[scheme];
    struct qm_sustained_run *run = &scheme_run->sustained;
    const struct qm_point_run *point = &scheme_run->points[index];
    double limit_ns = session->profile->sustained_s * 1e9, begin_ns = 0, next_ns = WINDOW_NS;
    json_t *answer = NULL;
    run->point = index;
    cool_down(session, run);
    // Two blocks settle the cache after another point; the second must give the scored logits.
    QM_TRY(ask_blocks(session, scheme, point, 2, &answer));
    json_decref(answer);
    QM_TRY(qm_session_ask(session, json_pack("{s:s}", "do", "probe"), &answer));
    begin_ns = (double)json_integer_value(json_object_get(answer, "begin_ns")); // the worker's clock
    json_decref(answer);
    QM_TRY(read_window(session, run, begin_ns));
    while (end_of_last(run) < limit_ns) {
        QM_TRY(ask_blocks(session, scheme, point, blocks_for(run, end_of_last(run), next_ns), &answer));
        enum qm_status status =
            qm_session_check_passes(point, json_object_get(answer, "checksums"), 0, (int)run->count);
        if (status == QM_OK)
            status = keep_blocks(run, answer, begin_ns);
        json_decref(answer);
        QM_TRY(status);
        if (end_of_last(run) >= next_ns) {
            QM_TRY(read_window(session, run, begin_ns));
            next_ns = (floor(end_of_last(run) / WINDOW_NS) + 1) * WINDOW_NS;
            *told_s = tell_window(session, scheme, point, *told_s);
        }
    }
    run->is_measured = run->count > 0;
    return QM_OK;
}

enum qm_status qm_session_sustain(struct qm_session *session)
{
    const struct qm_profile *profile = session->profile;
    size_t order[QM_PROFILE_SCHEMES_MAX], count = session->run->scheme_count;
    size_t index = profile->sustained == QM_PROFILE_SUSTAINED_PREFILL
                       ? profile->prefill_count - 1
                       : profile->prefill_count + profile->decode_count - 1;
    if (profile->sustained == QM_PROFILE_SUSTAINED_NONE || profile->sustained_s <= 0)
        return QM_OK;
    qm_turns_shuffle(profile->order_seed, UINT64_MAX, order, count);
    for (size_t i = 0; i < count; ++i) {
        size_t scheme = order[i];
        if (!qm_session_can_time(session, scheme, index))
            continue;
        double told_s = 0;
        enum qm_status status = sustain_scheme(session, scheme, index, &told_s);
        qm_session_tell(session, "sustaining", profile->sustained_s - told_s);
        if (status != QM_OK) {
            qm_session_fail(session, scheme, status);
            if (!qm_client_is_alive(session->client))
                return status;
        }
    }
    return QM_OK;
}
