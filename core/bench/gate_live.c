#include "bench/gate_live.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/numeric.h"
#include "base/random.h"
#include "bench/device_run_internal.h"
#include "sys/host.h"

enum {
    BLOCKS_MAX = 20000,
    LOOK_EVERY = 8 // blocks
};

// ---- Blocks of four -------------------------------------------------------------------------------------------------

enum qm_status qm_gate_measure(const struct qm_gate_source *source, const struct qm_gate_params *params, double seconds,
                               uint64_t seed, double *logs, size_t capacity, size_t *count)
{
    struct qm_random random;
    uint64_t begin_ns = source->now_ns(source->context), limit_ns = (uint64_t)(seconds * 1e9);
    double target = qm_gate_target_error(params);
    size_t first = *count;
    qm_random_seed(&random, seed, first);
    while (*count < capacity) {
        double sums[2] = {0, 0};
        unsigned starter = qm_random_below(&random, 2);
        for (unsigned i = 0; i < 4; ++i) {
            unsigned side = i == 0 || i == 3 ? starter : 1 - starter;
            double ns = 0;
            QM_TRY(source->pass(source->context, side, *count, &ns));
            sums[side] += qm_log(ns);
        }
        logs[(*count)++] = 0.5 * (sums[0] - sums[1]); // ln(speed of B / speed of A)
        if (source->now_ns(source->context) - begin_ns >= limit_ns)
            break;
        if (*count - first >= QM_GATE_BLOCKS_MIN && *count % LOOK_EVERY == 0 &&
            qm_gate_blocks_error(logs + first, *count - first) <= target)
            break;
    }
    return QM_OK;
}

// ---- Two sessions -----------------------------------------------------------------------------------------------------

struct turns {
    struct qm_session *sessions; // [2]
    size_t scheme, index;
};

static enum qm_status session_pass(void *context, unsigned side, size_t block, double *ns)
{
    struct turns *turns = context;
    struct qm_point_run *point = &turns->sessions[side].run->schemes[turns->scheme].points[turns->index];
    enum qm_status status = qm_session_time_block(&turns->sessions[side], turns->scheme, turns->index, (int)block);
    if (status != QM_OK) {
        qm_session_fail(&turns->sessions[side], turns->scheme, status);
        return status;
    }
    *ns = point->wall_ns[point->count - 1];
    return *ns > 0 ? QM_OK : QM_FAIL(QM_FAILED, "a pass took no time");
}

static uint64_t session_now(void *context)
{
    (void)context;
    return qm_clock_ns();
}

static void name_row(const struct qm_session *session, const struct turns *turns, char *name, size_t capacity)
{
    const struct qm_point_run *point = &session->run->schemes[turns->scheme].points[turns->index];
    snprintf(name, capacity, "%s %s batch %u %s %u", session->prepared->schemes[turns->scheme].scheme.name,
             point->is_decode ? "decode" : "prefill", point->batch, point->is_decode ? "depth" : "prompt",
             point->is_decode ? point->depth : point->tokens);
}

static double kl_of(const struct qm_session *session, size_t scheme)
{
    const struct qm_summary *summary = session->run->schemes[scheme].summary;
    return summary ? summary->metrics[QM_METRIC_KL_MEAN].value : -1;
}

static const char *device_name(const struct qm_session *session, char *text, size_t capacity)
{
    const char *name = json_string_value(json_object_get(session->run->info, "name")),
               *api = json_string_value(json_object_get(session->run->info, "api"));
    snprintf(text, capacity, "%s, %s", name ? name : "?", api ? api : "?");
    return text;
}

static enum qm_status judge_row(struct turns *turns, const struct qm_gate_params *params, bool again, double *logs,
                                struct qm_gate_finding *f)
{
    const struct qm_profile *profile = turns->sessions[0].profile;
    struct qm_gate_source source = {turns, session_pass, session_now};
    uint64_t seed = profile->order_seed + turns->index * 1000003 + turns->scheme;
    size_t count = 0, first = 0;
    for (unsigned side = 0; side < 2; ++side)
        QM_TRY(qm_session_time_block(&turns->sessions[side], turns->scheme, turns->index, -1));
    QM_TRY(qm_gate_measure(&source, params, profile->gate_s, seed, logs, BLOCKS_MAX, &count));
    QM_TRY(qm_gate_judge_blocks(logs, count, params, &f->speed));
    if (again && f->speed.verdict == QM_GATE_REGRESSED) {
        // Only what is slower twice, each time on its own, is called so.
        struct qm_gate_row second;
        first = count;
        QM_TRY(qm_gate_measure(&source, params, profile->gate_s, seed, logs, BLOCKS_MAX, &count));
        QM_TRY(qm_gate_judge_blocks(logs + first, count - first, params, &second));
        f->was_measured_again = true;
        f->speed = second;
    } else if (again && f->speed.verdict == QM_GATE_INCONCLUSIVE && count < BLOCKS_MAX) {
        QM_TRY(qm_gate_measure(&source, params, profile->gate_s, seed, logs, BLOCKS_MAX, &count));
        QM_TRY(qm_gate_judge_blocks(logs, count, params, &f->speed));
        f->was_measured_again = true;
    }
    for (unsigned side = 0; side < 2; ++side)
        QM_TRY(qm_session_time_block(&turns->sessions[side], turns->scheme, turns->index, QM_ROUND_AFTER));
    return QM_OK;
}

static void describe(struct qm_gate_finding *f, double seconds)
{
    const struct qm_gate_row *s = &f->speed;
    int used;
    f->verdict = s->verdict;
    if (isinf(s->high)) {
        snprintf(f->text, sizeof(f->text),
                 "%.3fx of A's speed from %zu blocks; too few for an interval: give it more "
                 "than %.0f s",
                 s->ratio, s->count, seconds);
        return;
    }
    used = snprintf(f->text, sizeof(f->text),
                    "%.3fx of A's speed [%.3f, %.3f] from %zu blocks; a slowdown of %.1f %% would have been seen%s",
                    s->ratio, s->low, s->high, s->count, 100 * s->detectable,
                    f->was_measured_again ? "; measured twice" : "");
    if (s->verdict == QM_GATE_INCONCLUSIVE && used > 0 && (size_t)used < sizeof(f->text))
        snprintf(f->text + used, sizeof(f->text) - (size_t)used, "; it would take about %.1f times as long",
                 s->times_as_many);
}

static enum qm_status time_row(struct turns *turns, const struct qm_gate_live_params *params,
                               const struct qm_gate_params *gate, double *logs, struct qm_gate_report *report)
{
    struct qm_session *sessions = turns->sessions;
    char name[128], device[160], what[160];
    name_row(&sessions[0], turns, name, sizeof(name));
    struct qm_gate_finding *f = qm_gate_report_add(report, device_name(&sessions[0], device, sizeof(device)),
                                                   QM_GATE_SPEED, QM_GATE_INCONCLUSIVE, name);
    if (!f)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the gate's rows");
    f->kl_a = kl_of(&sessions[0], turns->scheme);
    f->kl_b = kl_of(&sessions[1], turns->scheme);
    snprintf(what, sizeof(what), "A and B in turns: %s", name);
    qm_session_tell(&sessions[0], what, 1);
    enum qm_status status = judge_row(turns, gate, params->measures_again, logs, f);
    if (status == QM_OK) {
        describe(f, sessions[0].profile->gate_s);
        return QM_OK;
    }
    f->verdict = status == QM_WRONG_RESULT ? QM_GATE_WRONG : QM_GATE_NOT_COMPARABLE;
    f->speed = (struct qm_gate_row){.verdict = f->verdict};
    snprintf(f->text, sizeof(f->text), "%.300s", qm_error_text());
    return qm_client_is_alive(sessions[0].client) && qm_client_is_alive(sessions[1].client) ? QM_OK : status;
}

static bool can_time(const struct turns *turns)
{
    return qm_session_can_time(&turns->sessions[0], turns->scheme, turns->index) &&
           qm_session_can_time(&turns->sessions[1], turns->scheme, turns->index);
}

static enum qm_status time_rows(struct qm_session *sessions, const struct qm_gate_live_params *params, double *logs,
                                struct qm_gate_report *report)
{
    const struct qm_profile *profile = sessions[0].profile;
    size_t points = profile->prefill_count + profile->decode_count;
    struct qm_gate_params gate = profile->gate;
    struct turns turns = {.sessions = sessions};
    gate.rows = 0;
    for (turns.index = 0; turns.index < points; ++turns.index) {
        for (turns.scheme = 0; turns.scheme < profile->scheme_count; ++turns.scheme)
            gate.rows += can_time(&turns);
    }
    gate.rows = gate.rows > 0 ? gate.rows : 1;
    sessions[0].total = (double)gate.rows;
    sessions[0].done = 0;
    for (turns.index = 0; turns.index < points; ++turns.index) {
        if (turns.index == profile->prefill_count) {
            QM_TRY(qm_session_settle(&sessions[0]));
            QM_TRY(qm_session_settle(&sessions[1]));
        }
        for (turns.scheme = 0; turns.scheme < profile->scheme_count; ++turns.scheme) {
            if (can_time(&turns))
                QM_TRY(time_row(&turns, params, &gate, logs, report));
        }
    }
    return QM_OK;
}

enum qm_status qm_gate_live_run(const struct qm_gate_live_params *params, struct qm_gate_live *out)
{
    struct qm_session *sessions = calloc(2, sizeof(*sessions));
    double *logs = malloc(BLOCKS_MAX * sizeof(*logs));
    enum qm_status status = QM_OK, ends[2] = {QM_OK, QM_OK};
    out->runs[0] = out->runs[1] = NULL;
    if (!sessions || !logs) {
        free(sessions);
        free(logs);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a gate");
    }
    const struct qm_attempt attempt = {.most_batch = UINT32_MAX};
    struct qm_ending ending;
    for (unsigned side = 0; side < 2 && status == QM_OK; ++side) {
        status = ends[side] = qm_session_begin(&params->sides[side], &attempt, &sessions[side]);
        if (status != QM_OK)
            qm_error_prefix("side %c: ", 'A' + (int)side);
    }
    if (status == QM_OK)
        status = ends[0] = ends[1] = time_rows(sessions, params, logs, out->report);
    for (unsigned side = 0; side < 2; ++side) {
        if (sessions[side].params && qm_session_end(&sessions[side], ends[side], &ending, &out->runs[side]) != QM_OK)
            out->runs[side] = NULL;
    }
    free(sessions);
    free(logs);
    return status;
}

void qm_gate_live_free(struct qm_gate_live *live)
{
    qm_device_run_destroy(&live->runs[0]);
    qm_device_run_destroy(&live->runs[1]);
}
