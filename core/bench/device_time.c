// The timed passes. In a round every scheme has one block; rounds come in pairs, the second in the reverse order of the
// first, so that whatever drifts evenly hits all of them alike (A B B A). Every pass ends in a checksum that must be that
// of the scored pass.
#include "bench/device_run_internal.h"
#include "bench/result_speed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "base/random.h"
#include "sys/host.h"

// ---- Blocks -------------------------------------------------------------------------------------------------------

bool qm_series_grow(double **values, size_t count, size_t *capacity, size_t each)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? 2 * *capacity : 32;
    double *grown = realloc(*values, wanted * each * sizeof(**values));
    if (!grown)
        return false;
    *values = grown;
    *capacity = wanted;
    return true;
}

static enum qm_status make_room(struct qm_point_run *point, size_t steps)
{
    size_t capacity[3] = {point->capacity, point->capacity, point->capacity};
    if (!qm_series_grow(&point->device_ns, point->count, &capacity[0], 1) ||
        !qm_series_grow(&point->wall_ns, point->count, &capacity[1], 1) ||
        !qm_series_grow(&point->step_ns, point->count, &capacity[2], steps))
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the times of %zu blocks", point->count);
    point->capacity = capacity[0];
    return QM_OK;
}

// Whether passes gave the logits that were scored; `first` is the number of the first of them.
enum qm_status qm_session_check_passes(const struct qm_point_run *point, const json_t *checksums, uint32_t window,
                                       int round)
{
    uint32_t steps = point->is_decode ? point->steps : 1;
    for (size_t i = 0; i < json_array_size(checksums); ++i) {
        uint32_t step = (uint32_t)i % steps;
        const char *text = json_string_value(json_array_get(checksums, i));
        uint64_t checksum = text ? strtoull(text, NULL, 16) : 0,
                 expected = point->expected[point->is_decode ? step : window];
        if (checksum != expected)
            return QM_FAIL(QM_WRONG_RESULT,
                           "%s gave other logits than the scored one: %s, batch %u, %s %u, pass %d, step %u: "
                           "checksum %016llx, expected %016llx",
                           round == QM_ROUND_AFTER ? "the pass after the timed ones" : "a timed pass",
                           point->is_decode ? "decode" : "prefill", point->batch, point->is_decode ? "depth" : "prompt",
                           point->is_decode ? point->depth : point->tokens,
                           round == QM_ROUND_AFTER ? (int)point->count : round, step, (unsigned long long)checksum,
                           (unsigned long long)expected);
    }
    return json_array_size(checksums) > 0 ? QM_OK : QM_FAIL(QM_FAILED, "the worker's answer has no checksum");
}

uint32_t qm_session_point_sequence(const struct qm_session *session, const struct qm_point_run *point, uint32_t window)
{
    return point->is_decode ? qm_session_base(session, point->batch) : window;
}

static void keep_times(struct qm_point_run *point, json_t *answer, uint32_t steps)
{
    json_t *device = json_object_get(answer, "device_ns"), *wall = json_object_get(answer, "repeat_wall_ns");
    double device_sum = 0;
    point->has_device_time = device != NULL;
    for (uint32_t step = 0; step < steps; ++step) {
        double device_ns = (double)json_integer_value(json_array_get(device, step));
        double wall_ns = (double)json_integer_value(json_array_get(wall, step));
        device_sum += device_ns;
        point->step_ns[point->count * steps + step] = device ? device_ns : wall_ns;
    }
    point->device_ns[point->count] = device_sum;
    point->wall_ns[point->count] = (double)json_integer_value(json_object_get(answer, "wall_ns"));
    ++point->count;
}

enum qm_status qm_session_time_block(struct qm_session *session, size_t scheme, size_t index, int round)
{
    struct qm_point_run *point = &session->run->schemes[scheme].points[index];
    uint32_t steps = point->is_decode ? point->steps : 1;
    // Prefill of single windows goes through the set, window after window.
    uint32_t window = !point->is_decode && point->expected_count > 1 && round >= 0 && round < QM_ROUND_AFTER
                          ? (uint32_t)round % (uint32_t)point->expected_count
                          : 0;
    json_t *answer = NULL;
    QM_TRY(make_room(point, steps));
    QM_TRY(qm_session_run(session, scheme, point->batch, point->tokens, point->is_decode ? point->depth : 0,
                          qm_session_point_sequence(session, point, window), steps, NULL, &answer));
    enum qm_status status = qm_session_check_passes(point, json_object_get(answer, "checksums"), window, round);
    if (status == QM_OK) {
        point->dispatches = (uint32_t)json_integer_value(json_object_get(answer, "dispatches"));
        point->dispatches_per_submission =
            (uint32_t)json_integer_value(json_object_get(answer, "dispatches_per_submission"));
        point->repeats_per_submission = (uint32_t)json_integer_value(json_object_get(answer, "repeats_per_submission"));
        point->operations = json_real_value(json_object_get(answer, "operations"));
        point->is_verified = round == QM_ROUND_AFTER;
        if (round >= 0 && round < QM_ROUND_AFTER)
            keep_times(point, answer, steps);
    }
    json_decref(answer);
    return status;
}

// The same, and a scheme that fails goes no further. Not QM_OK where the worker has ended.
static enum qm_status time_or_fail(struct qm_session *session, size_t scheme, size_t index, int round)
{
    if (!qm_session_can_time(session, scheme, index))
        return QM_OK;
    char what[QM_SCHEME_NAME_BYTES + 96];
    const struct qm_point_run *point = &session->run->schemes[scheme].points[index];
    snprintf(what, sizeof(what), "timing %s, %s batch %u, block %zu", session->prepared->schemes[scheme].scheme.name,
             point->is_decode ? "decode" : "prefill", point->batch, point->count + 1);
    qm_session_tell_rate(session, what, round < (int)session->profile->repeats ? 1 : 0, scheme,
                         (double)point->batch * point->tokens * (point->is_decode ? point->steps : 1),
                         point->count > 0 ? point->wall_ns[point->count - 1] : 0);
    enum qm_status status = qm_session_time_block(session, scheme, index, round);
    if (status != QM_OK) {
        qm_session_fail(session, scheme, status);
        if (!qm_client_is_alive(session->client))
            return status;
    }
    return QM_OK;
}

bool qm_session_can_time(const struct qm_session *session, size_t scheme, size_t index)
{
    const struct qm_scheme_run *run = &session->run->schemes[scheme];
    return run->status == QM_OK && run->points[index].expected_count > 0;
}

// ---- Rounds -------------------------------------------------------------------------------------------------------

void qm_turns_shuffle(uint64_t seed, uint64_t stream, size_t *order, size_t count)
{
    struct qm_random random;
    qm_random_seed(&random, seed, stream);
    for (size_t i = 0; i < count; ++i)
        order[i] = i;
    for (size_t i = count; i > 1; --i) { // Fisher and Yates
        size_t other = qm_random_below(&random, (uint32_t)i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

static enum qm_status time_round(struct qm_session *session, size_t index, int round)
{
    size_t order[QM_PROFILE_SCHEMES_MAX], count = session->run->scheme_count;
    qm_turns_shuffle(session->profile->order_seed, index * 1000003 + (uint64_t)(round < 0 ? -round : round) / 2, order,
                     count);
    for (size_t i = 0; i < count; ++i)
        QM_TRY(time_or_fail(session, order[round % 2 == 0 ? i : count - 1 - i], index, round));
    return QM_OK;
}

static enum qm_status are_known(const struct qm_session *session, size_t index, bool *all)
{
    size_t baseline = session->profile->baseline;
    *all = true;
    if (!qm_session_can_time(session, baseline, index))
        return QM_OK;
    for (size_t s = 0; s < session->run->scheme_count && *all; ++s) {
        if (s != baseline && qm_session_can_time(session, s, index))
            QM_TRY(qm_speed_is_known(session->profile, &session->run->schemes[baseline].points[index],
                                     &session->run->schemes[s].points[index], all));
    }
    return QM_OK;
}

// Rounds until every gain is known well enough. The rule looks at the width of intervals and not at gains, so that
// stopping there favours none.
static enum qm_status time_point(struct qm_session *session, size_t index)
{
    int warmup = (int)session->profile->warmup, repeats = (int)session->profile->repeats;
    uint64_t begin_ns = qm_clock_ns(), limit_ns = (uint64_t)(session->profile->seconds * 1e9);
    bool all_known = false;
    QM_TRY(qm_session_read_clock(session));
    for (int round = -warmup; round < repeats; ++round)
        QM_TRY(time_round(session, index, round));
    for (int round = repeats + repeats % 2;; round += 2) {
        QM_TRY(are_known(session, index, &all_known));
        if (all_known || qm_clock_ns() - begin_ns >= limit_ns)
            break;
        QM_TRY(time_round(session, index, round));
        QM_TRY(time_round(session, index, round + 1));
    }
    return time_round(session, index, QM_ROUND_AFTER);
}

enum qm_status qm_session_settle(struct qm_session *session)
{
    // Decode blocks must each be run once after the prefill points, in their order, for prefill has rewritten the cache
    // at their depths (to what it was; what decode itself wrote there differs in rounding).
    for (size_t s = 0; s < session->run->scheme_count; ++s) {
        for (size_t i = 0; i < session->profile->decode_count && session->run->schemes[s].status == QM_OK; ++i) {
            const struct qm_profile_decode *decode = &session->profile->decode[i];
            json_t *answer = NULL;
            enum qm_status status =
                qm_session_run(session, s, decode->batch, 1, decode->depth, qm_session_base(session, decode->batch),
                               decode->steps, NULL, &answer);
            json_decref(answer);
            if (status != QM_OK) {
                qm_session_fail(session, s, status);
                if (!qm_client_is_alive(session->client))
                    return status;
            }
        }
    }
    return QM_OK;
}

// ---- Noise floor and clocks ----------------------------------------------------------------------------------------

enum {
    NOISE_BLOCKS = 16 // of four passes
};

// The baseline at its last point against itself, A B B A: what differs here is noise.
static enum qm_status time_noise(struct qm_session *session)
{
    size_t points = session->profile->prefill_count + session->profile->decode_count, index = points - 1;
    size_t scheme = session->profile->baseline;
    if (!qm_session_can_time(session, scheme, index))
        return QM_OK;
    struct qm_point_run *point = &session->run->schemes[scheme].points[index], kept = *point;
    struct qm_device_run *run = session->run;
    run->noise = calloc(NOISE_BLOCKS, sizeof(*run->noise));
    if (!run->noise)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the noise floor");
    enum qm_status status = qm_session_time_block(session, scheme, index, -1);
    for (int i = 0; i < NOISE_BLOCKS * 4 && status == QM_OK; ++i)
        status = qm_session_time_block(session, scheme, index, i);
    for (size_t i = 0; i + 4 <= point->count && status == QM_OK; i += 4) {
        const double *ns = point->wall_ns + i;
        run->noise[run->noise_count++] = 0.5 * (qm_log(ns[0]) - qm_log(ns[1]) - qm_log(ns[2]) + qm_log(ns[3]));
    }
    point->count = kept.count;
    if (status != QM_OK) {
        qm_session_fail(session, scheme, status);
        return qm_client_is_alive(session->client) ? QM_OK : status;
    }
    return QM_OK;
}

enum qm_status qm_session_read_clock(struct qm_session *session)
{
    struct qm_device_run *run = session->run;
    json_t *answer = NULL;
    enum qm_status status = qm_session_ask(session, json_pack("{s:s}", "do", "clock"), &answer);
    if (status == QM_UNSUPPORTED)
        return QM_OK;
    QM_TRY(status);
    size_t capacity = run->clock_capacity;
    if (qm_series_grow(&run->clock_host_ns, run->clock_count, &capacity, 1) &&
        qm_series_grow(&run->clock_device_ns, run->clock_count, &run->clock_capacity, 1)) {
        run->clock_host_ns[run->clock_count] = (double)json_integer_value(json_object_get(answer, "host_ns"));
        run->clock_device_ns[run->clock_count++] = (double)json_integer_value(json_object_get(answer, "device_ns"));
    }
    json_decref(answer);
    return QM_OK;
}

enum qm_status qm_session_time(struct qm_session *session)
{
    size_t points = session->profile->prefill_count + session->profile->decode_count;
    QM_TRY(qm_session_settle(session));
    if (!session->params->only_times)
        QM_TRY(time_noise(session));
    for (size_t index = 0; index < session->profile->prefill_count; ++index)
        QM_TRY(time_point(session, index));
    QM_TRY(qm_session_settle(session));
    for (size_t index = session->profile->prefill_count; index < points; ++index)
        QM_TRY(time_point(session, index));
    return qm_session_sustain(session);
}
