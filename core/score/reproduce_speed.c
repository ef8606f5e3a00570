// Claims that several runs settle: rates, gains, latencies, sustained rates, energy.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "score/reproduce_internal.h"

#define NORMAL_95 1.959963984540054

// Where a number stands in a scheme, and in which sense it counts.
struct place {
    enum qm_reproduced_kind kind;
    const char *list;         // "throughput", "gain"; NULL: of the scheme itself
    const struct qm_node *at; // the item of the record's list
    const char *key;
    bool less_is_faster;
    const char *unit;
};

static const struct qm_node *find_item(const struct qm_node *scheme, const char *list, const struct qm_node *like)
{
    static const char *const keys[] = {"phase", "batch", "prompt", "depth", "protocol", "widen", "tier", "baseline"};
    const struct qm_node *items = qm_node_child(scheme, list);
    for (size_t i = 0; i < qm_node_count(items); ++i) {
        bool is_same = true;
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); ++k)
            is_same = is_same && strcmp(qm_node_text_at(qm_node_at(items, i), keys[k], ""),
                                        qm_node_text_at(like, keys[k], "")) == 0;
        if (is_same)
            return qm_node_at(items, i);
    }
    return NULL;
}

static const struct qm_node *holder_in(const struct place *place, const struct qm_node *scheme)
{
    return place->list ? find_item(scheme, place->list, place->at) : scheme;
}

// The number's interval lies beside it, where it has one of its own.
static bool read_interval(const struct place *place, const struct qm_node *holder, double *low, double *high)
{
    const struct qm_node *node = place->kind == QM_REPRODUCED_SUSTAINED ? qm_node_child(holder, "sustained") : holder;
    bool has_own = place->kind == QM_REPRODUCED_RATE || place->kind == QM_REPRODUCED_GAIN ||
                   place->kind == QM_REPRODUCED_SUSTAINED;
    return has_own && strncmp(place->key, "wall", 4) != 0 && qm_node_double_at(node, "low", low) &&
           qm_node_double_at(node, "high", high) && *low > 0 && *high >= *low;
}

static double error_of(double low, double high)
{
    return (qm_log(high) - qm_log(low)) / (2 * NORMAL_95);
}

static void name_point(const struct qm_node *point, const char *prefix, const char *suffix, char *text, size_t capacity)
{
    const char *phase = qm_node_text_at(point, "phase", "?"), *key = strcmp(phase, "decode") == 0 ? "depth" : "prompt";
    snprintf(text, capacity, "%s%.10s batch %.10s %s %.10s%s", prefix, phase, qm_node_text_at(point, "batch", "?"), key,
             qm_node_text_at(point, key, "?"), suffix);
}

static struct qm_repeated_claim *add_measured(struct qm_reproduce_state *state, size_t row)
{
    if (state->measured_count == state->measured_capacity) {
        size_t capacity = state->measured_capacity ? 2 * state->measured_capacity : 64;
        struct qm_repeated_claim *grown = realloc(state->measured, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        state->measured = grown;
        size_t *rows = realloc(state->measured_rows, capacity * sizeof(*rows));
        if (!rows)
            return NULL;
        state->measured_rows = rows;
        state->measured_capacity = capacity;
    }
    state->measured_rows[state->measured_count] = row;
    struct qm_repeated_claim *claim = &state->measured[state->measured_count++];
    *claim = (struct qm_repeated_claim){0};
    return claim;
}

static enum qm_status add_claim(struct qm_reproduce_state *state, const struct qm_node *claimed,
                                const struct place *place, const char *what)
{
    const char *name = qm_node_text_at(claimed, "name", "?");
    double value = 0, low = 0, high = 0, squares = 0;
    const struct qm_node *stated = place->list ? place->at : claimed;
    if (!qm_node_double_at(stated, place->key, &value) || !(value > 0))
        return QM_OK; // not claimed
    struct qm_reproduced_claim *row = qm_reproduce_add(state, name, place->kind, QM_REPEATED_CANNOT_BE_TOLD, what);
    struct qm_repeated_claim *claim = row ? add_measured(state, state->out->count - 1) : NULL;
    if (!claim)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for claims");
    double sign = place->less_is_faster ? -1 : 1;
    snprintf(row->unit, sizeof(row->unit), "%s", place->unit);
    row->claimed = value;
    claim->claimed = sign * qm_log(value);
    row->has_claimed_interval = read_interval(place, stated, &row->claimed_low, &row->claimed_high);
    if (row->has_claimed_interval)
        claim->claimed_error = error_of(row->claimed_low, row->claimed_high);
    for (size_t i = 0; i < state->run_count; ++i) {
        const struct qm_node *holder = holder_in(place, qm_reproduce_scheme(state->runs[i], name));
        double now = 0;
        if (!holder || !qm_node_double_at(holder, place->key, &now) || !(now > 0)) {
            --state->measured_count;
            row->verdict = holder ? QM_REPEATED_CANNOT_BE_TOLD : QM_REPEATED_NOT_APPLICABLE;
            qm_reproduce_reason(row, holder ? "not measured here" : "no such point in the record's own profile");
            return QM_OK;
        }
        claim->runs[i] = sign * qm_log(now);
        if (read_interval(place, holder, &low, &high))
            squares += error_of(low, high) * error_of(low, high);
    }
    claim->error = sqrt(squares / (double)state->run_count);
    row->has_numbers = true;
    return QM_OK;
}

// The rate that has an interval; the host's clock where the two went by different clocks.
static const char *rate_key(const struct qm_reproduce_state *state, const char *scheme, const struct qm_node *point)
{
    const struct qm_node *here = find_item(qm_reproduce_scheme(state->runs[0], scheme), "throughput", point);
    bool is_same = !here || strcmp(qm_node_text_at(here, "timer", ""), qm_node_text_at(point, "timer", "")) == 0;
    return is_same ? "rate_tokens_per_s" : "wall_rate_tokens_per_s";
}

static enum qm_status add_points(struct qm_reproduce_state *state, const struct qm_node *claimed)
{
    static const struct {
        const char *key, *suffix;
    } latencies[] = {{"latency_ms.p50", ", p50"}, {"latency_ms.p99", ", p99"}};
    const struct qm_node *points = qm_node_child(claimed, "throughput");
    char what[96];
    for (size_t i = 0; i < qm_node_count(points); ++i) {
        const struct qm_node *point = qm_node_at(points, i);
        struct place place = {.kind = QM_REPRODUCED_RATE, .list = "throughput", .at = point, .unit = "tokens/s"};
        place.key = rate_key(state, qm_node_text_at(claimed, "name", "?"), point);
        name_point(point, "", "", what, sizeof(what));
        QM_TRY(add_claim(state, claimed, &place, what));
        for (size_t k = 0; k < sizeof(latencies) / sizeof(latencies[0]); ++k) {
            place = (struct place){QM_REPRODUCED_LATENCY, "throughput", point, latencies[k].key, true, "ms"};
            name_point(point, "latency, ", latencies[k].suffix, what, sizeof(what));
            QM_TRY(add_claim(state, claimed, &place, what));
        }
    }
    return QM_OK;
}

static enum qm_status refuse(struct qm_reproduce_state *state, const struct qm_node *claimed,
                             enum qm_reproduced_kind kind, const char *what, const char *reason)
{
    struct qm_reproduced_claim *row =
        qm_reproduce_add(state, qm_node_text_at(claimed, "name", "?"), kind, QM_REPEATED_NOT_APPLICABLE, what);
    if (!row)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for claims");
    qm_reproduce_reason(row, "%s", reason);
    return QM_OK;
}

// A gain over other weights or kernels is another number.
static bool is_baseline_there(const struct qm_reproduce_state *state, const char *name)
{
    char text[400];
    const struct qm_node *claimed = qm_reproduce_scheme(state->record, name),
                         *here = qm_reproduce_scheme(state->runs[0], name);
    return claimed && here && strcmp(qm_node_text_at(here, "status", ""), "ok") == 0 &&
           !qm_reproduce_differs(claimed, here, true, text, sizeof(text));
}

static enum qm_status add_gains(struct qm_reproduce_state *state, const struct qm_node *claimed)
{
    const struct qm_node *gains = qm_node_child(claimed, "gain");
    char what[96];
    for (size_t i = 0; i < qm_node_count(gains); ++i) {
        const struct qm_node *gain = qm_node_at(gains, i);
        struct place place = {.kind = QM_REPRODUCED_GAIN, .list = "gain", .at = gain, .key = "ratio", .unit = "x"};
        const char *baseline = qm_node_text_at(gain, "baseline", "");
        if (strcmp(baseline, qm_node_text_at(claimed, "name", "?")) == 0)
            continue; // 1 by definition
        name_point(gain, "gain, ", "", what, sizeof(what));
        if (!is_baseline_there(state, baseline)) {
            QM_TRY(refuse(state, claimed, QM_REPRODUCED_GAIN, what, "the baseline here is not that of the record"));
            continue;
        }
        QM_TRY(add_claim(state, claimed, &place, what));
    }
    return QM_OK;
}

static enum qm_status add_sustained(struct qm_reproduce_state *state, const struct qm_node *claimed)
{
    const struct place rate = {QM_REPRODUCED_SUSTAINED, NULL, NULL, "sustained.rate", false, "tokens/s"};
    const struct place energy = {
        QM_REPRODUCED_ENERGY, NULL, NULL, "sustained.telemetry.tokens_per_joule", false, "tokens/J"};
    double value = 0;
    if (!state->params->is_quick) {
        QM_TRY(add_claim(state, claimed, &rate, "sustained"));
        return add_claim(state, claimed, &energy, "tokens per joule");
    }
    if (!qm_node_double_at(claimed, rate.key, &value))
        return QM_OK;
    return refuse(state, claimed, QM_REPRODUCED_SUSTAINED, "sustained", "left out, as --quick asks");
}

enum qm_status qm_reproduce_speed(struct qm_reproduce_state *state, const struct qm_node *claimed)
{
    if (state->out->is_same_device || state->params->is_relative)
        QM_TRY(add_gains(state, claimed));
    if (!state->out->is_same_device)
        return QM_OK;
    QM_TRY(add_points(state, claimed));
    return add_sustained(state, claimed);
}

// ---- Judging --------------------------------------------------------------------------------------------------------

static void fill_row(const struct qm_reproduce_state *state, struct qm_reproduced_claim *row,
                     const struct qm_repeated_claim *claim, const struct qm_repeated_judgement *j)
{
    double sign = row->kind == QM_REPRODUCED_LATENCY ? -1 : 1, mean = 0;
    size_t runs = state->run_count;
    bool is_disturbed = state->params->disturbance && state->params->disturbance[0];
    for (size_t i = 0; i < runs; ++i)
        mean += claim->runs[i] / (double)runs;
    row->here = qm_exp(sign * mean);
    row->here_low = qm_exp(sign * mean - j->here_error);
    row->here_high = qm_exp(sign * mean + j->here_error);
    row->has_here_interval = j->here_error > 0;
    row->margin = j->ratio;
    row->margin_low = j->low;
    row->margin_high = j->high;
    row->has_margin_interval = isfinite(j->high);
    row->verdict = j->verdict;
    row->runs_needed = j->runs_needed;
    if (row->verdict != QM_REPEATED_CANNOT_BE_TOLD)
        return;
    if (runs < 2)
        qm_reproduce_reason(row, "one run does not say how runs differ; --runs 3");
    else if (j->runs_needed > 0)
        qm_reproduce_reason(row, "--runs %zu would tell", j->runs_needed);
    else
        qm_reproduce_reason(
            row,
            is_disturbed ? "runs differ so much here that 200 would leave %.0f %% open; run where nothing else runs"
                         : "the one claimed run leaves %.0f %% open, however many are made here; ask its author for "
                           "a longer one",
            100 * j->limit);
}

// A run that was too short may show that a claim is false, for a rate falls with time, but not that it holds.
static void judge_length(const struct qm_reproduce_state *state, struct qm_reproduced_claim *row)
{
    double seconds = 0;
    const struct qm_node *scheme = qm_reproduce_scheme(state->record, row->scheme);
    if ((row->kind != QM_REPRODUCED_SUSTAINED && row->kind != QM_REPRODUCED_ENERGY) ||
        row->verdict != QM_REPEATED_HOLDS || !qm_node_double_at(scheme, "sustained.window_s", &seconds) ||
        state->params->sustained_s >= 0.9 * seconds)
        return;
    row->verdict = QM_REPEATED_CANNOT_BE_TOLD;
    qm_reproduce_reason(row, "held for %.0f s here, %.0f s in the record; leave out --seconds",
                        state->params->sustained_s, seconds);
}

// How long runs of another time of day would have taken nobody knows, where others took the machine in these.
static void judge_disturbance(const struct qm_reproduce_state *state, struct qm_reproduced_claim *row)
{
    if (!state->params->disturbance || !state->params->disturbance[0] || row->verdict != QM_REPEATED_DOES_NOT_HOLD)
        return;
    row->verdict = QM_REPEATED_CANNOT_BE_TOLD;
    row->runs_needed = 0;
    qm_reproduce_reason(row, "slower, but %s", state->params->disturbance);
}

// Claims of one kind share how runs differ; the level holds for all together.
enum qm_status qm_reproduce_judge_speed(struct qm_reproduce_state *state)
{
    const struct qm_repeated_params limits = {.false_alarm = state->params->false_alarm,
                                              .minimum_effect = state->params->minimum_effect,
                                              .tolerance = state->params->tolerance,
                                              .claims = state->measured_count > 0 ? state->measured_count : 1};
    struct qm_repeated_claim *of_kind = calloc(state->measured_count + 1, sizeof(*of_kind));
    if (!of_kind)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for claims");
    for (int kind = QM_REPRODUCED_RATE; kind <= QM_REPRODUCED_ENERGY; ++kind) {
        size_t count = 0;
        struct qm_repeated_spread spread;
        for (size_t i = 0; i < state->measured_count; ++i) {
            if ((int)state->out->rows[state->measured_rows[i]].kind == kind)
                of_kind[count++] = state->measured[i];
        }
        qm_repeated_spread_of(of_kind, count, state->run_count, &spread);
        for (size_t i = 0; i < state->measured_count; ++i) {
            struct qm_reproduced_claim *row = &state->out->rows[state->measured_rows[i]];
            struct qm_repeated_judgement judgement;
            if ((int)row->kind != kind)
                continue;
            qm_repeated_judge(&state->measured[i], &spread, state->run_count, &limits, &judgement);
            fill_row(state, row, &state->measured[i], &judgement);
            judge_length(state, row);
            judge_disturbance(state, row);
        }
    }
    free(of_kind);
    return QM_OK;
}
