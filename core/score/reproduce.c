#include "score/reproduce.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "score/reproduce_internal.h"

const char *qm_reproduced_kind_name(enum qm_reproduced_kind kind)
{
    static const char *const names[QM_REPRODUCED_KIND_COUNT] = {"status",    "accuracy", "rate",    "gain",  "latency",
                                                                "sustained", "energy",   "kernels", "memory"};
    return names[kind];
}

bool qm_reproduced_kind_is_speed(enum qm_reproduced_kind kind)
{
    return kind >= QM_REPRODUCED_RATE && kind <= QM_REPRODUCED_ENERGY;
}

void qm_reproduction_free(struct qm_reproduction *reproduction)
{
    free(reproduction->rows);
    *reproduction = (struct qm_reproduction){0};
}

struct qm_reproduce_params qm_reproduce_defaults(void)
{
    return (struct qm_reproduce_params){.minimum_effect = 0.05, .tolerance = 0.10, .false_alarm = 0.01};
}

// ---- Rows -----------------------------------------------------------------------------------------------------------

struct qm_reproduced_claim *qm_reproduce_add(struct qm_reproduce_state *state, const char *scheme,
                                             enum qm_reproduced_kind kind, enum qm_repeated_verdict verdict,
                                             const char *what)
{
    struct qm_reproduction *out = state->out;
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? 2 * out->capacity : 64;
        struct qm_reproduced_claim *grown = realloc(out->rows, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        out->rows = grown;
        out->capacity = capacity;
    }
    struct qm_reproduced_claim *row = &out->rows[out->count++];
    *row = (struct qm_reproduced_claim){.kind = kind, .verdict = verdict, .kl_claimed = -1, .kl_here = -1};
    snprintf(row->scheme, sizeof(row->scheme), "%.191s", scheme);
    snprintf(row->what, sizeof(row->what), "%.95s", what);
    qm_text_clean(row->scheme);
    qm_text_clean(row->what);
    double kl = 0;
    if (qm_node_double_at(qm_reproduce_scheme(state->record, scheme), "accuracy.kl_divergence.mean", &kl))
        row->kl_claimed = kl;
    if (qm_node_double_at(qm_reproduce_scheme(state->runs[0], scheme), "accuracy.kl_divergence.mean", &kl))
        row->kl_here = kl;
    return row;
}

void qm_reproduce_reason(struct qm_reproduced_claim *row, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(row->reason, sizeof(row->reason), format, arguments);
    va_end(arguments);
    qm_text_clean(row->reason);
}

static enum qm_status add_reason(struct qm_reproduce_state *state, const char *scheme, enum qm_repeated_verdict verdict,
                                 const char *what, const char *reason)
{
    struct qm_reproduced_claim *row = qm_reproduce_add(state, scheme, QM_REPRODUCED_STATUS, verdict, what);
    if (!row)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for claims");
    qm_reproduce_reason(row, "%s", reason);
    return QM_OK;
}

const struct qm_node *qm_reproduce_scheme(const struct qm_node *result, const char *name)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); ++i) {
        if (strcmp(qm_node_text_at(qm_node_at(schemes, i), "name", ""), name) == 0)
            return qm_node_at(schemes, i);
    }
    return NULL;
}

static bool is_status(const struct qm_node *scheme, const char *status)
{
    return scheme && strcmp(qm_node_text_at(scheme, "status", ""), status) == 0;
}

// ---- What must be the same for anything to be judged ------------------------------------------------------------------

struct identity {
    const char *path, *what;
    bool of_kernels; // known only once the scheme was loaded
};

static const struct identity identities[] = {
    {"identity", "another scheme of this name", false},
    {"artifact.id", "the artifact differs", false},
    {"disclosure.evaluation_set.sha256", "another evaluation set", false},
    {"disclosure.tool_chain.kernel_hash", "another version of the kernels", true},
};

// The first that differs, in words; false where all are the same.
bool qm_reproduce_differs(const struct qm_node *claimed, const struct qm_node *here, bool with_kernels, char *text,
                          size_t capacity)
{
    for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); ++i) {
        const char *a = qm_node_text_at(claimed, identities[i].path, "undisclosed");
        const char *b = qm_node_text_at(here, identities[i].path, "undisclosed");
        if ((identities[i].of_kernels && !with_kernels) || strcmp(a, b) == 0)
            continue;
        snprintf(text, capacity, "%s (record %.16s, %s %.16s)", identities[i].what, a,
                 identities[i].of_kernels ? "this build" : "here", b);
        return true;
    }
    return false;
}

// What ended it here, in any of the runs; NULL where it ended well in all.
static const struct qm_node *find_failure(const struct qm_reproduce_state *state, const char *name)
{
    for (size_t i = 0; i < state->run_count; ++i) {
        const struct qm_node *scheme = qm_reproduce_scheme(state->runs[i], name);
        if (!is_status(scheme, "ok"))
            return scheme;
    }
    return NULL;
}

static enum qm_status judge_scheme(struct qm_reproduce_state *state, const struct qm_node *claimed, size_t index)
{
    const char *name = qm_node_text_at(claimed, "name", "");
    const struct qm_node *here = qm_reproduce_scheme(state->runs[0], name), *failure;
    char text[400];
    if (!here)
        return QM_OK; // not asked for
    if (!is_status(claimed, "ok")) {
        snprintf(text, sizeof(text), "the record claims nothing: %s", qm_node_text_at(claimed, "status", "?"));
        return add_reason(state, name, QM_REPEATED_NOT_APPLICABLE, "all claims", text);
    }
    // What is wrong is said before anything else: it is no matter of versions.
    failure = find_failure(state, name);
    if (is_status(failure, "wrong")) {
        state->out->is_wrong = true;
        snprintf(text, sizeof(text), "WRONG here: %.300s", qm_node_text_at(failure, "reason", "undisclosed"));
        return add_reason(state, name, QM_REPEATED_DOES_NOT_HOLD, "all claims", text);
    }
    if (qm_reproduce_differs(claimed, here, is_status(here, "ok"), text, sizeof(text)))
        return add_reason(state, name, QM_REPEATED_NOT_APPLICABLE, "all claims", text);
    if (failure) {
        bool is_unsupported = is_status(failure, "unsupported");
        snprintf(text, sizeof(text), "%s here: %.300s", is_unsupported ? "unsupported" : "failed",
                 qm_node_text_at(failure, "reason", "undisclosed"));
        return add_reason(state, name, is_unsupported ? QM_REPEATED_NOT_APPLICABLE : QM_REPEATED_CANNOT_BE_TOLD,
                          "all claims", text);
    }
    QM_TRY(qm_reproduce_accuracy(state, claimed, index));
    QM_TRY(qm_reproduce_speed(state, claimed));
    QM_TRY(qm_reproduce_kernels(state, claimed));
    if (!state->out->is_same_device)
        return add_reason(
            state, name, QM_REPEATED_NOT_APPLICABLE,
            state->params->is_relative ? "rates, latency, energy, memory" : "rates, gains, latency, energy, memory",
            state->params->is_relative ? "another device" : "another device; --relative judges gains all the same");
    return qm_reproduce_memory(state, claimed);
}

// ---- The whole --------------------------------------------------------------------------------------------------------

static void add_note(struct qm_reproduction *out, const char *what, const char *claimed, const char *here)
{
    if (strcmp(claimed, here) == 0 || out->note_count == sizeof(out->notes) / sizeof(out->notes[0]))
        return;
    char *note = out->notes[out->note_count++];
    snprintf(note, sizeof(out->notes[0]), "%s: %.90s in the record, %.90s here", what, claimed, here);
    qm_text_clean(note);
}

static void name_device(const struct qm_node *result, char *text, size_t capacity)
{
    snprintf(text, capacity, "%.120s, %.30s", qm_node_text_at(result, "device.name", "?"),
             qm_node_text_at(result, "device.api", "?"));
    qm_text_clean(text);
}

static void compare_devices(struct qm_reproduce_state *state)
{
    static const char *const paths[][2] = {{"device.driver_version", "driver"},
                                           {"host.processor", "processor"},
                                           {"qmark.version", "version of qmark"},
                                           {"qmark.source", "source of qmark"}};
    struct qm_reproduction *out = state->out;
    name_device(state->record, out->claimed_device, sizeof(out->claimed_device));
    name_device(state->runs[0], out->device, sizeof(out->device));
    out->is_same_device = strcmp(qm_node_text_at(state->record, "device.name", "?"),
                                 qm_node_text_at(state->runs[0], "device.name", "")) == 0 &&
                          strcmp(qm_node_text_at(state->record, "device.api", "?"),
                                 qm_node_text_at(state->runs[0], "device.api", "")) == 0;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); ++i)
        add_note(out, paths[i][1], qm_node_text_at(state->record, paths[i][0], "undisclosed"),
                 qm_node_text_at(state->runs[0], paths[i][0], "undisclosed"));
}

static void conclude(struct qm_reproduce_state *state)
{
    struct qm_reproduction *out = state->out;
    size_t needed = 0;
    for (size_t i = 0; i < out->count; ++i) {
        ++out->of[out->rows[i].verdict];
        needed = out->rows[i].runs_needed > needed ? out->rows[i].runs_needed : needed;
    }
    size_t applicable = out->count - out->of[QM_REPEATED_NOT_APPLICABLE];
    size_t capacity = sizeof(out->summary), used;
    if (applicable == 0)
        used = (size_t)snprintf(out->summary, capacity, "No claim is applicable here");
    else
        used = (size_t)snprintf(out->summary, capacity, "%zu of %zu claims hold on this card",
                                out->of[QM_REPEATED_HOLDS], applicable);
    if (out->of[QM_REPEATED_DOES_NOT_HOLD] > 0)
        used +=
            (size_t)snprintf(out->summary + used, capacity - used, "; %zu %s not", out->of[QM_REPEATED_DOES_NOT_HOLD],
                             out->of[QM_REPEATED_DOES_NOT_HOLD] == 1 ? "does" : "do");
    if (out->of[QM_REPEATED_CANNOT_BE_TOLD] > 0)
        used += (size_t)snprintf(out->summary + used, capacity - used, "; %zu cannot be told",
                                 out->of[QM_REPEATED_CANNOT_BE_TOLD]);
    if (needed > 0)
        used += (size_t)snprintf(out->summary + used, capacity - used, " (--runs %zu would tell most", needed);
    if (needed > 0 && state->params->seconds_per_run > 0)
        used += (size_t)snprintf(out->summary + used, capacity - used, ", about %.0f s",
                                 state->params->seconds_per_run * (double)needed);
    if (needed > 0)
        used += (size_t)snprintf(out->summary + used, capacity - used, ")");
    if (out->of[QM_REPEATED_NOT_APPLICABLE] > 0)
        used += (size_t)snprintf(out->summary + used, capacity - used, "; %zu not applicable",
                                 out->of[QM_REPEATED_NOT_APPLICABLE]);
    snprintf(out->summary + used, capacity - used, ".");
}

// What accuracy is against: the hash of a model that was named, "none", or "its own".
static const char *reference_of(const struct qm_node *result)
{
    const struct qm_node *reference = qm_node_get(result, "model.reference");
    return qm_node_is_mapping(reference) ? qm_node_text_at(reference, "sha256", "?")
           : reference                   ? qm_node_text(reference)
                                         : "its own";
}

static enum qm_status judge(struct qm_reproduce_state *state)
{
    const char *model = qm_node_text_at(state->record, "model.sha256", "undisclosed");
    const char *here = qm_node_text_at(state->runs[0], "model.sha256", "absent"), *width, *width_here;
    const struct qm_node *schemes = qm_node_child(state->record, "schemes");
    char text[400] = "";
    compare_devices(state);
    width = qm_node_text_at(state->record, "model.widen", "1");
    width_here = qm_node_text_at(state->runs[0], "model.widen", "1");
    if (strcmp(model, here) != 0)
        snprintf(text, sizeof(text), "another model (record %.16s, here %.16s)", model, here);
    else if (strcmp(reference_of(state->record), reference_of(state->runs[0])) != 0)
        snprintf(text, sizeof(text),
                 "scored against another model (record %.16s, here %.16s); name it with --reference",
                 reference_of(state->record), reference_of(state->runs[0]));
    else if (strcmp(width, width_here) != 0)
        snprintf(text, sizeof(text), "the model is widened %.10s times in the record, %.10s times here", width,
                 width_here);
    for (size_t i = 0; i < qm_node_count(schemes); ++i) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        if (text[0])
            QM_TRY(add_reason(state, qm_node_text_at(scheme, "name", "?"), QM_REPEATED_NOT_APPLICABLE, "all claims",
                              text));
        else
            QM_TRY(judge_scheme(state, scheme, i));
    }
    return qm_reproduce_judge_speed(state);
}

enum qm_status qm_reproduce_judge(const struct qm_node *record, const struct qm_node *const *runs, size_t count,
                                  const struct qm_reproduce_params *params, struct qm_reproduction *out)
{
    struct qm_reproduce_state state = {
        .record = record, .runs = runs, .run_count = count, .params = params, .out = out};
    *out = (struct qm_reproduction){.seconds_per_run = params->seconds_per_run};
    if (count < 1 || count > QM_REPEATED_RUNS_MAX)
        return QM_FAIL(QM_INVALID, "%zu runs; expected 1 to %d", count, QM_REPEATED_RUNS_MAX);
    const struct qm_repeated_params limits = {.false_alarm = params->false_alarm,
                                              .minimum_effect = params->minimum_effect,
                                              .tolerance = params->tolerance,
                                              .claims = 1};
    QM_TRY(qm_repeated_params_check(&limits));
    enum qm_status status = judge(&state);
    if (status == QM_OK)
        conclude(&state);
    else
        qm_reproduction_free(out);
    free(state.measured);
    free(state.measured_rows);
    return status;
}

int qm_reproduction_exit_code(const struct qm_reproduction *reproduction)
{
    if (reproduction->is_wrong)
        return QM_EXIT_WRONG;
    if (reproduction->of[QM_REPEATED_DOES_NOT_HOLD] > 0)
        return QM_EXIT_REGRESSED;
    if (reproduction->of[QM_REPEATED_CANNOT_BE_TOLD] > 0)
        return QM_EXIT_INCONCLUSIVE;
    return reproduction->of[QM_REPEATED_HOLDS] > 0 ? QM_EXIT_OK : QM_EXIT_NOT_COMPARABLE;
}
