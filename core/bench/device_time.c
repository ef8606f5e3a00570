// The timed passes. Schemes take turns in every round, forwards and backwards, so that drift hits all of them; every
// pass ends in a checksum that must be that of the scored pass.
#include "bench/device_run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One block; `round` below 0 is warm-up, and that after the last timed one shows that the device is as right as before.
static enum qm_status time_block(struct qm_session *session, size_t scheme, size_t index, int round)
{
    struct qm_point_run *point = &session->run->schemes[scheme].points[index];
    uint32_t steps = point->is_decode ? point->steps : 1;
    uint32_t position = point->is_decode ? point->depth : 0;
    // Prefill of single windows goes through the set, window after window.
    uint32_t window = !point->is_decode && point->expected_count > 1 && round >= 0
                          ? (uint32_t)round % (uint32_t)point->expected_count
                          : 0;
    uint32_t sequence = point->is_decode ? qm_session_base(session, point->batch) : window;
    bool is_last = round >= (int)session->profile->repeats;
    json_t *answer = NULL;
    QM_TRY(qm_session_run(session, scheme, point->batch, point->tokens, position, sequence, steps, NULL, &answer));
    enum qm_status status = QM_OK;
    json_t *checksums = json_object_get(answer, "checksums"), *device = json_object_get(answer, "device_ns");
    json_t *wall = json_object_get(answer, "repeat_wall_ns");
    for (uint32_t step = 0; step < steps; ++step) {
        const char *text = json_string_value(json_array_get(checksums, step));
        uint64_t checksum = text ? strtoull(text, NULL, 16) : 0,
                 expected = point->expected[point->is_decode ? step : window];
        if (checksum != expected) {
            status = QM_FAIL(QM_WRONG_RESULT,
                             "%s gave other logits than the scored one: %s, batch %u, %s %u, pass %d, step %u: "
                             "checksum %016llx, expected %016llx",
                             is_last ? "the pass after the timed ones" : "a timed pass",
                             point->is_decode ? "decode" : "prefill", point->batch,
                             point->is_decode ? "depth" : "prompt", point->is_decode ? point->depth : point->tokens,
                             round, step, (unsigned long long)checksum, (unsigned long long)expected);
            goto done;
        }
    }
    point->dispatches = (uint32_t)json_integer_value(json_object_get(answer, "dispatches"));
    point->dispatches_per_submission =
        (uint32_t)json_integer_value(json_object_get(answer, "dispatches_per_submission"));
    point->repeats_per_submission = (uint32_t)json_integer_value(json_object_get(answer, "repeats_per_submission"));
    point->operations = json_real_value(json_object_get(answer, "operations"));
    point->is_verified = is_last;
    if (round < 0 || is_last)
        goto done;
    point->has_device_time = device != NULL;
    double device_sum = 0;
    for (uint32_t step = 0; step < steps; ++step) {
        double device_ns = (double)json_integer_value(json_array_get(device, step));
        double wall_ns = (double)json_integer_value(json_array_get(wall, step));
        device_sum += device_ns;
        point->step_ns[point->count * steps + step] = device ? device_ns : wall_ns;
    }
    point->device_ns[point->count] = device_sum;
    point->wall_ns[point->count] = (double)json_integer_value(json_object_get(answer, "wall_ns"));
    ++point->count;
done:
    json_decref(answer);
    return status;
}

static enum qm_status time_round(struct qm_session *session, size_t index, int round)
{
    size_t count = session->run->scheme_count;
    for (size_t i = 0; i < count; ++i) {
        size_t scheme = round % 2 == 0 ? i : count - 1 - i;
        struct qm_scheme_run *run = &session->run->schemes[scheme];
        if (run->status != QM_OK || run->points[index].expected_count == 0)
            continue;
        char what[QM_SCHEME_NAME_BYTES + 96];
        const struct qm_point_run *point = &run->points[index];
        snprintf(what, sizeof(what), "timing %s, %s batch %u, round %d of %u",
                 session->prepared->schemes[scheme].scheme.name, point->is_decode ? "decode" : "prefill", point->batch,
                 round < 0 ? 0 : round + 1, session->profile->repeats + 1);
        qm_session_tell(session, what, 1);
        enum qm_status status = time_block(session, scheme, index, round);
        if (status != QM_OK) {
            qm_session_fail(session, scheme, status);
            if (!qm_client_is_alive(session->client))
                return status;
        }
    }
    return QM_OK;
}

enum qm_status qm_session_time(struct qm_session *session)
{
    size_t points = session->profile->prefill_count + session->profile->decode_count;
    int warmup = session->profile->warmup > 0 ? (int)session->profile->warmup : 0;
    // Decode blocks must each be run once after the prefill points, in their order, for prefill has rewritten the cache
    // at their depths (to what it was; what decode itself wrote there differs in rounding). One warm-up round of all
    // decode points does that; its checksums are not judged until the cache has settled.
    for (size_t index = 0; index < session->profile->prefill_count; ++index) {
        for (int round = -warmup; round <= (int)session->profile->repeats; ++round)
            QM_TRY(time_round(session, index, round));
    }
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
    for (size_t index = session->profile->prefill_count; index < points; ++index) {
        for (int round = -warmup; round <= (int)session->profile->repeats; ++round)
            QM_TRY(time_round(session, index, round));
    }
    return QM_OK;
}
