#include "bench/gate_live.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "base/random.h"
#include "bench/device_run_internal.h"
#include "sys/host.h"

enum {
    PARTS_MAX = 2 * QM_GATE_OPENINGS_MAX,
    BLOCKS_MIN = 2
};

// ---- Blocks of four -------------------------------------------------------------------------------------------------

enum qm_status qm_gate_measure(const struct qm_gate_source *source, double seconds, uint64_t seed,
                               struct qm_gate_part *out)
{
    struct qm_random random;
    uint64_t begin_ns = source->now_ns(source->context), limit_ns = (uint64_t)(seconds * 1e9);
    qm_random_seed(&random, seed, 0);
    out->log_ratio = 0;
    out->blocks = 0;
    do {
        double sums[2] = {0, 0};
        unsigned starter = qm_random_below(&random, 2);
        for (unsigned i = 0; i < 4; ++i) {
            unsigned side = i == 0 || i == 3 ? starter : 1 - starter;
            double ns = 0;
            QM_TRY(source->pass(source->context, side, out->blocks, &ns));
            sums[side] += qm_log(ns);
        }
        out->log_ratio += 0.5 * (sums[0] - sums[1]); // ln(speed of B / speed of A)
        ++out->blocks;
    } while (out->blocks < BLOCKS_MIN || source->now_ns(source->context) - begin_ns < limit_ns);
    out->log_ratio /= (double)out->blocks;
    return QM_OK;
}

// ---- Two sessions -----------------------------------------------------------------------------------------------------

struct turns {
    struct qm_session *sessions; // [2]
    size_t scheme, index;
};

// A row of speed with what was measured of it.
struct row {
    size_t scheme, index;
    bool has_finding;
    size_t finding; // in the report
    struct qm_gate_part parts[PARTS_MAX];
    unsigned part_count, first_again; // of those that were measured again
    bool is_wanted;                   // to be timed while both sides are open
    enum qm_status status;            // not QM_OK: it has a verdict already
};

struct gate {
    const struct qm_gate_live_params *params;
    struct qm_gate_live *out;
    struct row *rows; // as many as points times schemes
    size_t row_count;
    struct qm_gate_params judged; // with the number of rows that are timed
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

static void describe(struct qm_gate_finding *f, const struct qm_gate_part *parts, size_t count)
{
    const struct qm_gate_row *s = &f->speed;
    size_t blocks = 0;
    f->verdict = s->verdict;
    for (size_t i = 0; i < count; ++i)
        blocks += parts[i].blocks;
    if (isinf(s->high)) {
        snprintf(f->text, sizeof(f->text), "%.3fx of A's speed from %zu openings; too few for an interval", s->ratio,
                 s->count);
        return;
    }
    int used =
        snprintf(f->text, sizeof(f->text),
                 "%.3fx of A's speed [%.3f, %.3f] from %zu openings, %zu blocks; a slowdown of %.1f %% would have "
                 "been seen%s",
                 s->ratio, s->low, s->high, s->count, blocks, 100 * s->detectable,
                 f->was_measured_again ? "; measured twice" : "");
    if (s->verdict == QM_GATE_INCONCLUSIVE && used > 0 && (size_t)used < sizeof(f->text))
        snprintf(f->text + used, sizeof(f->text) - (size_t)used, "; it would take about %.1f times as long",
                 s->times_as_many);
}

static struct qm_gate_finding *finding_of(const struct gate *gate, const struct row *row)
{
    return &gate->out->report->findings[row->finding];
}

static void fail_row(struct gate *gate, struct row *row, enum qm_status status, const char *reason)
{
    struct qm_gate_finding *f = finding_of(gate, row);
    row->status = status;
    f->verdict = status == QM_WRONG_RESULT ? QM_GATE_WRONG : QM_GATE_NOT_COMPARABLE;
    f->speed = (struct qm_gate_row){.verdict = f->verdict};
    snprintf(f->text, sizeof(f->text), "%.300s", reason);
}

// The row's first appearance: its finding, with the accuracy of both sides.
static enum qm_status begin_row(struct gate *gate, const struct turns *turns, struct row *row)
{
    char name[128], device[160];
    name_row(&turns->sessions[0], turns, name, sizeof(name));
    struct qm_gate_finding *f =
        qm_gate_report_add(gate->out->report, device_name(&turns->sessions[0], device, sizeof(device)), QM_GATE_SPEED,
                           QM_GATE_INCONCLUSIVE, name);
    if (!f)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the gate's rows");
    f->kl_a = kl_of(&turns->sessions[0], row->scheme);
    f->kl_b = kl_of(&turns->sessions[1], row->scheme);
    row->has_finding = true;
    row->finding = gate->out->report->count - 1;
    return QM_OK;
}

// In fours: A, B, B, A.
static bool opens_b_first(unsigned part)
{
    return part % 4 == 1 || part % 4 == 2;
}

static enum qm_status measure_row(struct turns *turns, struct row *row, unsigned part)
{
    const struct qm_profile *profile = turns->sessions[0].profile;
    struct qm_gate_source source = {turns, session_pass, session_now};
    uint64_t seed = profile->order_seed + turns->index * 1000003 + turns->scheme + part * UINT64_C(7919);
    struct qm_gate_part *measured = &row->parts[row->part_count];
    for (unsigned side = 0; side < 2; ++side)
        QM_TRY(qm_session_time_block(&turns->sessions[side], turns->scheme, turns->index, -1));
    QM_TRY(qm_gate_measure(&source, profile->gate_s / profile->gate_openings, seed, measured));
    for (unsigned side = 0; side < 2; ++side)
        QM_TRY(qm_session_time_block(&turns->sessions[side], turns->scheme, turns->index, QM_ROUND_AFTER));
    measured->b_first = opens_b_first(part);
    ++row->part_count;
    return QM_OK;
}

static enum qm_status time_row(struct gate *gate, struct turns *turns, struct row *row, unsigned part)
{
    char what[160];
    struct qm_session *sessions = turns->sessions;
    if (!row->has_finding)
        QM_TRY(begin_row(gate, turns, row));
    snprintf(what, sizeof(what), "A and B in turns: %s", finding_of(gate, row)->row);
    qm_session_tell(&sessions[0], what, 1);
    row->status = measure_row(turns, row, part);
    if (row->status == QM_OK)
        return QM_OK;
    fail_row(gate, row, row->status, qm_error_text());
    return qm_client_is_alive(sessions[0].client) && qm_client_is_alive(sessions[1].client) ? QM_OK : row->status;
}

static bool can_time(const struct turns *turns)
{
    return qm_session_can_time(&turns->sessions[0], turns->scheme, turns->index) &&
           qm_session_can_time(&turns->sessions[1], turns->scheme, turns->index);
}

static enum qm_status time_rows(struct gate *gate, struct qm_session *sessions, unsigned part)
{
    const struct qm_profile *profile = sessions[0].profile;
    struct turns turns = {.sessions = sessions};
    size_t wanted = 0;
    for (size_t i = 0; i < gate->row_count; ++i) {
        struct row *row = &gate->rows[i];
        turns.scheme = row->scheme;
        turns.index = row->index;
        row->is_wanted = row->is_wanted && row->status == QM_OK;
        if (row->is_wanted && !can_time(&turns)) {
            row->is_wanted = false;
            for (unsigned side = 0; side < 2 && row->has_finding && row->status == QM_OK; ++side) {
                const struct qm_scheme_run *run = &sessions[side].run->schemes[row->scheme];
                if (run->status != QM_OK) // it was right when the sides were open before
                    fail_row(gate, row, run->status, run->reason);
            }
        }
        wanted += row->is_wanted;
    }
    if (part == 0)
        gate->judged.rows = wanted > 0 ? wanted : 1;
    sessions[0].total = (double)(wanted > 0 ? wanted : 1);
    sessions[0].done = 0;
    bool is_settled = false;
    for (size_t i = 0; i < gate->row_count; ++i) {
        struct row *row = &gate->rows[i];
        if (row->index >= profile->prefill_count && !is_settled) {
            QM_TRY(qm_session_settle(&sessions[0]));
            QM_TRY(qm_session_settle(&sessions[1]));
            is_settled = true;
        }
        turns.scheme = row->scheme;
        turns.index = row->index;
        if (row->is_wanted)
            QM_TRY(time_row(gate, &turns, row, part));
    }
    return QM_OK;
}

// Opens both sides, times what is wanted, closes both. The first part's runs are kept: later ones have times alone.
static enum qm_status run_part(struct gate *gate, struct qm_session *sessions, unsigned part)
{
    const struct qm_attempt attempt = {.most_batch = UINT32_MAX, .opening = part};
    struct qm_device_run_params params[2];
    struct qm_ending ending;
    enum qm_status status = QM_OK, ends[2] = {QM_OK, QM_OK};
    char reason[320];
    memset(sessions, 0, 2 * sizeof(*sessions));
    for (unsigned i = 0; i < 2 && status == QM_OK; ++i) {
        unsigned side = opens_b_first(part) ? 1 - i : i;
        params[side] = gate->params->sides[side];
        params[side].only_times = part > 0;
        status = ends[side] = qm_session_begin(&params[side], &attempt, &sessions[side]);
        if (status != QM_OK)
            qm_error_prefix("side %c: ", 'A' + (int)side);
    }
    if (status == QM_OK)
        status = ends[0] = ends[1] = time_rows(gate, sessions, part);
    snprintf(reason, sizeof(reason), "%s", status != QM_OK ? qm_error_text() : "");
    for (unsigned side = 0; side < 2; ++side) {
        struct qm_device_run *run = NULL;
        if (sessions[side].params && qm_session_end(&sessions[side], ends[side], &ending, &run) != QM_OK)
            run = NULL;
        if (part == 0)
            gate->out->runs[side] = run;
        else
            qm_device_run_destroy(&run);
    }
    for (size_t i = 0; i < gate->row_count && status != QM_OK; ++i)
        if (gate->rows[i].has_finding && gate->rows[i].status == QM_OK)
            fail_row(gate, &gate->rows[i], status, reason);
    return status;
}

static enum qm_status judge_row(const struct gate *gate, struct row *row, unsigned first)
{
    if (!row->has_finding || row->status != QM_OK)
        return QM_OK;
    struct qm_gate_finding *f = finding_of(gate, row);
    QM_TRY(qm_gate_judge_parts(row->parts + first, row->part_count - first, &gate->judged, &f->speed));
    describe(f, row->parts + first, row->part_count - first);
    return QM_OK;
}

static enum qm_status measure(struct gate *gate, struct qm_session *sessions)
{
    const unsigned openings = gate->params->sides[0].prepared->profile->gate_openings;
    bool is_doubtful = false;
    for (unsigned part = 0; part < openings; ++part)
        QM_TRY(run_part(gate, sessions, part));
    for (size_t i = 0; i < gate->row_count; ++i) {
        struct row *row = &gate->rows[i];
        QM_TRY(judge_row(gate, row, 0));
        row->is_wanted = row->has_finding && row->status == QM_OK && finding_of(gate, row)->verdict != QM_GATE_PASS;
        is_doubtful = is_doubtful || row->is_wanted;
    }
    if (!gate->params->measures_again || !is_doubtful)
        return QM_OK;
    for (size_t i = 0; i < gate->row_count; ++i)
        gate->rows[i].first_again = gate->rows[i].part_count;
    for (unsigned part = 0; part < openings; ++part)
        QM_TRY(run_part(gate, sessions, openings + part));
    for (size_t i = 0; i < gate->row_count; ++i) {
        struct row *row = &gate->rows[i];
        if (row->part_count == row->first_again || row->status != QM_OK)
            continue;
        bool is_slower = finding_of(gate, row)->verdict == QM_GATE_REGRESSED;
        finding_of(gate, row)->was_measured_again = true;
        // Only what is slower twice, each time on its own, is called so.
        QM_TRY(judge_row(gate, row, is_slower ? row->first_again : 0));
    }
    return QM_OK;
}

enum qm_status qm_gate_live_run(const struct qm_gate_live_params *params, struct qm_gate_live *out)
{
    const struct qm_profile *profile = params->sides[0].prepared->profile;
    size_t points = profile->prefill_count + profile->decode_count;
    struct gate gate = {.params = params, .out = out, .judged = profile->gate};
    struct qm_session *sessions = calloc(2, sizeof(*sessions));
    enum qm_status status;
    gate.rows = calloc(points * profile->scheme_count, sizeof(*gate.rows));
    out->runs[0] = out->runs[1] = NULL;
    if (!sessions || !gate.rows) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a gate");
        goto done;
    }
    for (size_t index = 0; index < points; ++index)
        for (size_t scheme = 0; scheme < profile->scheme_count; ++scheme)
            gate.rows[gate.row_count++] = (struct row){.scheme = scheme, .index = index, .is_wanted = true};
    status = measure(&gate, sessions);
done:
    free(gate.rows);
    free(sessions);
    return status;
}

void qm_gate_live_free(struct qm_gate_live *live)
{
    qm_device_run_destroy(&live->runs[0]);
    qm_device_run_destroy(&live->runs[1]);
}
