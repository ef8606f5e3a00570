#include "score/gate_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "record/compare.h"
#include "record/node.h"
#include "record/result.h"

const char *qm_gate_kind_name(enum qm_gate_kind kind)
{
    static const char *const names[] = {"status", "speed", "accuracy", "kernels", "memory", "compile"};
    return names[kind];
}

void qm_gate_report_free(struct qm_gate_report *report)
{
    free(report->findings);
    free(report->unexpected);
    *report = (struct qm_gate_report){0};
}

struct qm_gate_finding *qm_gate_report_add(struct qm_gate_report *report, const char *device, enum qm_gate_kind kind,
                                           enum qm_gate_verdict verdict, const char *row)
{
    if (report->count == report->capacity) {
        size_t capacity = report->capacity ? 2 * report->capacity : 64;
        struct qm_gate_finding *grown = realloc(report->findings, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        report->findings = grown;
        report->capacity = capacity;
    }
    struct qm_gate_finding *finding = &report->findings[report->count++];
    *finding = (struct qm_gate_finding){.kind = kind, .verdict = verdict, .kl_a = -1, .kl_b = -1};
    snprintf(finding->device, sizeof(finding->device), "%s", device);
    snprintf(finding->row, sizeof(finding->row), "%s", row);
    return finding;
}

// ---- Results --------------------------------------------------------------------------------------------------------

static const struct qm_node *find_scheme(const struct qm_node *result, const char *name)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); ++i) {
        if (strcmp(qm_node_text_at(qm_node_at(schemes, i), "name", ""), name) == 0)
            return qm_node_at(schemes, i);
    }
    return NULL;
}

static void name_point(const struct qm_node *scheme, const struct qm_node *point, char *name, size_t capacity)
{
    const char *phase = qm_node_text_at(point, "phase", "?"), *key = strcmp(phase, "decode") == 0 ? "depth" : "prompt";
    snprintf(name, capacity, "%s %s batch %s %s %s", qm_node_text_at(scheme, "name", "?"), phase,
             qm_node_text_at(point, "batch", "?"), key, qm_node_text_at(point, key, "?"));
}

static const struct qm_node *find_point(const struct qm_node *scheme, const struct qm_node *like)
{
    static const char *const keys[] = {"phase", "batch", "prompt", "depth", "protocol"};
    const struct qm_node *points = qm_node_child(scheme, "throughput");
    for (size_t i = 0; i < qm_node_count(points); ++i) {
        bool is_same = true;
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); ++k)
            is_same = is_same && strcmp(qm_node_text_at(qm_node_at(points, i), keys[k], ""),
                                        qm_node_text_at(like, keys[k], "")) == 0;
        if (is_same)
            return qm_node_at(points, i);
    }
    return NULL;
}

// By the host's clock where it was read: what a user waits for.
static bool rate_of(const struct qm_node *point, double *rate)
{
    return point && ((qm_node_double_at(point, "wall_rate_tokens_per_s", rate) && *rate > 0) ||
                     (qm_node_double_at(point, "rate_tokens_per_s", rate) && *rate > 0));
}

static double kl_of(const struct qm_node *scheme)
{
    double kl = -1;
    return qm_node_double_at(scheme, "accuracy.kl_divergence.mean", &kl) ? kl : -1;
}

// By how much the mean may be higher, for what the fp32 reference was not kept whole of.
static double left_out_of(const struct qm_node *scheme)
{
    double left_out = 0;
    return qm_node_double_at(scheme, "disclosure.reference.kl_left_out", &left_out) && left_out > 0 ? left_out : 0;
}

static const struct qm_node *last(const struct qm_gate_results *results)
{
    return results->runs[results->count - 1];
}

size_t qm_gate_count_rows(const struct qm_gate_results *a, const struct qm_gate_results *b)
{
    size_t rows = 0;
    const struct qm_node *schemes = qm_node_child(last(a), "schemes");
    for (size_t s = 0; s < qm_node_count(schemes); ++s) {
        const struct qm_node *scheme = qm_node_at(schemes, s), *points = qm_node_child(scheme, "throughput");
        const struct qm_node *other = find_scheme(last(b), qm_node_text_at(scheme, "name", ""));
        for (size_t p = 0; other && p < qm_node_count(points); ++p)
            rows += find_point(other, qm_node_at(points, p)) != NULL;
        rows += other && qm_node_is_mapping(qm_node_child(scheme, "sustained"));
    }
    double ms = 0;
    rows += qm_node_double_at(last(a), "compile.milliseconds", &ms);
    return rows > 0 ? rows : 1;
}

static void describe_speed(struct qm_gate_finding *f, const char *unit)
{
    const struct qm_gate_row *s = &f->speed;
    if (isinf(s->high))
        snprintf(f->text, sizeof(f->text), "%.3fx of the baseline's speed from %zu %s; too few for an interval",
                 s->ratio, s->count, unit);
    else
        snprintf(f->text, sizeof(f->text),
                 "%.3fx of the baseline's speed [%.3f, %.3f] from %zu %s; a slowdown of %.1f %% would have been seen%s",
                 s->ratio, s->low, s->high, s->count, unit, 100 * s->detectable,
                 f->verdict == QM_GATE_INCONCLUSIVE ? "; measure longer" : "");
}

// The number at `path` of what `find` gives in each run; returns how many there are.
static size_t gather(const struct qm_gate_results *results, const char *scheme, const struct qm_node *point,
                     const char *path, double sign, double *logs)
{
    size_t count = 0;
    for (size_t i = 0; i < results->count; ++i) {
        const struct qm_node *of = scheme ? find_scheme(results->runs[i], scheme) : results->runs[i];
        double value = 0;
        if (scheme && !qm_result_row_is_ok(of))
            continue;
        if (point ? rate_of(find_point(of, point), &value) : qm_node_double_at(of, path, &value) && value > 0)
            logs[count++] = sign * qm_log(value);
    }
    return count;
}

static enum qm_status add_runs(struct qm_gate_report *report, const char *device, enum qm_gate_kind kind,
                               const char *row, const struct qm_gate_results *a, const struct qm_gate_results *b,
                               const char *scheme, const struct qm_node *point, const char *path,
                               const struct qm_gate_params *params)
{
    double *logs = calloc(a->count + b->count, sizeof(*logs));
    struct qm_gate_row speed;
    if (!logs)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu runs", a->count + b->count);
    double sign = kind == QM_GATE_COMPILE ? -1 : 1; // of a time, the longer is the worse
    size_t count_a = gather(a, scheme, point, path, sign, logs),
           count_b = gather(b, scheme, point, path, sign, logs + count_a);
    enum qm_status status = qm_gate_judge_runs(logs, count_a, logs + count_a, count_b, params, &speed);
    if (status == QM_OK && count_a > 0 && count_b > 0) {
        struct qm_gate_finding *f = qm_gate_report_add(report, device, kind, speed.verdict, row);
        if (!f) {
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the gate's rows");
        } else {
            f->speed = speed;
            describe_speed(f, "runs");
            if (count_a < QM_GATE_RUNS_MIN)
                snprintf(f->text, sizeof(f->text),
                         "%.3fx of the baseline's speed; the baseline has %zu run%s, and it takes %d to know how runs "
                         "differ: add runs, or gate live with --a-env and --b-env",
                         speed.ratio, count_a, count_a == 1 ? "" : "s", QM_GATE_RUNS_MIN);
        }
    }
    free(logs);
    return status;
}

static enum qm_status add_speeds(struct qm_gate_report *report, const char *device, const struct qm_node *scheme,
                                 const struct qm_gate_results *a, const struct qm_gate_results *b,
                                 const struct qm_gate_params *params)
{
    const struct qm_node *points = qm_node_child(scheme, "throughput");
    const char *name = qm_node_text_at(scheme, "name", "?");
    const struct qm_node *other = find_scheme(last(b), name);
    char row[128];
    size_t before = report->count;
    for (size_t p = 0; p < qm_node_count(points); ++p) {
        const struct qm_node *point = qm_node_at(points, p);
        if (!find_point(other, point))
            continue;
        name_point(scheme, point, row, sizeof(row));
        QM_TRY(add_runs(report, device, QM_GATE_SPEED, row, a, b, name, point, NULL, params));
    }
    snprintf(row, sizeof(row), "%s sustained", name);
    QM_TRY(add_runs(report, device, QM_GATE_SPEED, row, a, b, name, NULL, "sustained.rate", params));
    for (size_t i = before; i < report->count; ++i) {
        report->findings[i].kl_a = kl_of(scheme);
        report->findings[i].kl_b = kl_of(other);
    }
    return QM_OK;
}

// ---- Accuracy, kernels, memory ---------------------------------------------------------------------------------------

// A device's rounding moves the mean by this much without anything being worse: docs/METHOD.md, Verification.
static enum qm_status add_accuracy(struct qm_gate_report *report, const char *device, const struct qm_node *a,
                                   const struct qm_node *b)
{
    const char *name = qm_node_text_at(a, "name", "?");
    double kl_a = kl_of(a), kl_b = kl_of(b), low = 0, high = 0;
    struct qm_gate_finding *f = NULL;
    if (kl_a < 0 || kl_b < 0) {
        f = qm_gate_report_add(report, device, QM_GATE_ACCURACY, QM_GATE_NOT_COMPARABLE, name);
        if (f)
            snprintf(f->text, sizeof(f->text), "accuracy: not measured on %s",
                     kl_a < 0 ? "the baseline" : "the new side");
        return f ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the gate's rows");
    }
    // The same tokens on both sides, so that the interval of either is far too wide for their difference. What remains
    // is the share of it that rounding on another device was seen to make.
    double spread = 0;
    if (qm_node_double_at(a, "accuracy.kl_divergence.low", &low) &&
        qm_node_double_at(a, "accuracy.kl_divergence.high", &high))
        spread = 0.25 * (high - low);
    double allowed = fmax(fmax(0.02 * kl_a, 1e-6), fmin(spread, 0.1 * kl_a));
    const char *judged = qm_node_text_at(b, "accuracy.acceptance.verdict", "");
    bool fails =
        strcmp(judged, "fail") == 0 && strcmp(qm_node_text_at(a, "accuracy.acceptance.verdict", ""), "fail") != 0;
    // Either mean lies between what was measured and that with what was left out. Whether the new one is worse is known where
    // all of its range is, and that it is not where none of it is; equal in both, they are the same logits.
    double left_out_a = left_out_of(a), left_out_b = left_out_of(b);
    bool is_same = kl_a >= kl_b && kl_a <= kl_b && left_out_a >= left_out_b && left_out_a <= left_out_b;
    bool is_worse = kl_b > kl_a + left_out_a + allowed || fails;
    bool may_be_worse = !is_same && kl_b + left_out_b > kl_a + allowed;
    f = qm_gate_report_add(report, device, QM_GATE_ACCURACY,
                           is_worse       ? QM_GATE_REGRESSED
                           : may_be_worse ? QM_GATE_INCONCLUSIVE
                                          : QM_GATE_PASS,
                           name);
    if (!f)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the gate's rows");
    int used =
        snprintf(f->text, sizeof(f->text), "KL divergence to fp32 %.3g nats, the baseline's %.3g, allowed %.3g more%s",
                 kl_b, kl_a, allowed, fails ? "; the profile's acceptance fails, and did not" : "");
    if (!is_worse && may_be_worse && used > 0 && (size_t)used < sizeof(f->text))
        snprintf(
            f->text + used, sizeof(f->text) - (size_t)used,
            "; the fp32 reference left out what may be up to %.3g of it, the baseline's %.3g: keep more of it with "
            "QM_REFERENCE_TOP_K",
            left_out_b, left_out_a);
    f->kl_a = kl_a;
    f->kl_b = kl_b;
    return QM_OK;
}

static const struct qm_node *find_kernel(const struct qm_node *scheme, const struct qm_node *like)
{
    const struct qm_node *kernels = qm_node_child(scheme, "kernels");
    for (size_t i = 0; i < qm_node_count(kernels); ++i) {
        const struct qm_node *kernel = qm_node_at(kernels, i);
        if (strcmp(qm_node_text_at(kernel, "name", ""), qm_node_text_at(like, "name", "")) == 0 &&
            strcmp(qm_node_text_at(kernel, "shape", ""), qm_node_text_at(like, "shape", "")) == 0)
            return kernel;
    }
    return NULL;
}

// Every kernel within its bound, and no error that grew a hundredfold: the driver computes otherwise then.
static enum qm_status add_kernels(struct qm_gate_report *report, const char *device, const struct qm_node *a,
                                  const struct qm_node *b)
{
    const struct qm_node *kernels = qm_node_child(b, "kernels");
    size_t checked = 0;
    char worse[200] = "";
    enum qm_gate_verdict verdict = QM_GATE_PASS;
    for (size_t i = 0; i < qm_node_count(kernels); ++i) {
        const struct qm_node *kernel = qm_node_at(kernels, i), *other = find_kernel(a, kernel);
        double error = 0, bound = 0, before = 0;
        if (!qm_node_double_at(kernel, "checked_error", &error) || !qm_node_double_at(kernel, "bound", &bound))
            continue;
        ++checked;
        bool is_wrong = error > bound;
        bool grew = other && qm_node_double_at(other, "checked_error", &before) && error > 100 * before &&
                    error > 0.5 * bound && bound > 0;
        if ((is_wrong || grew) && !worse[0])
            snprintf(worse, sizeof(worse), "%s %s has an error of %.3g, bound %.3g, the baseline's %.3g",
                     qm_node_text_at(kernel, "name", "?"), qm_node_text_at(kernel, "shape", "?"), error, bound, before);
        verdict = is_wrong ? QM_GATE_WRONG : grew && verdict == QM_GATE_PASS ? QM_GATE_REGRESSED : verdict;
    }
    if (checked == 0)
        return QM_OK;
    struct qm_gate_finding *f =
        qm_gate_report_add(report, device, QM_GATE_KERNELS, verdict, qm_node_text_at(b, "name", "?"));
    if (!f)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the gate's rows");
    if (worse[0])
        snprintf(f->text, sizeof(f->text), "%s", worse);
    else
        snprintf(f->text, sizeof(f->text), "%zu kernels and shapes within their bounds", checked);
    return QM_OK;
}

static enum qm_status add_memory(struct qm_gate_report *report, const char *device, const struct qm_node *a,
                                 const struct qm_node *b, const struct qm_gate_params *params)
{
    double before = 0, now = 0;
    if (!qm_node_double_at(a, "memory.total_bytes", &before) || !qm_node_double_at(b, "memory.total_bytes", &now) ||
        before <= 0)
        return QM_OK;
    bool is_more = now > before * (1 + params->minimum_effect);
    struct qm_gate_finding *f = qm_gate_report_add(
        report, device, QM_GATE_MEMORY, is_more ? QM_GATE_REGRESSED : QM_GATE_PASS, qm_node_text_at(b, "name", "?"));
    if (!f)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the gate's rows");
    snprintf(f->text, sizeof(f->text), "%.1f MiB on the device, the baseline %.1f MiB (%+.1f %%)", now / 1048576,
             before / 1048576, 100 * (now / before - 1));
    return QM_OK;
}

// Not ok on either side: which of the two, and what follows.
static enum qm_status add_status(struct qm_gate_report *report, const char *device, const struct qm_node *a,
                                 const struct qm_node *b)
{
    const char *name = qm_node_text_at(a, "name", "?"), *status = b ? qm_node_text_at(b, "status", "?") : "absent";
    const char *before = qm_node_text_at(a, "status", "?");
    bool is_wrong = strcmp(status, "wrong") == 0;
    enum qm_gate_verdict verdict = is_wrong                      ? QM_GATE_WRONG
                                   : b && qm_result_row_is_ok(a) ? QM_GATE_REGRESSED
                                                                 : QM_GATE_NOT_COMPARABLE;
    struct qm_gate_finding *f = qm_gate_report_add(report, device, QM_GATE_STATUS, verdict, name);
    if (!f)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the gate's rows");
    snprintf(f->text, sizeof(f->text), "%s, the baseline %s%s%.200s", status, before, b ? ": " : "",
             b ? qm_node_text_at(b, "reason", qm_node_text_at(a, "reason", "")) : "");
    f->is_known = verdict == QM_GATE_NOT_COMPARABLE && strcmp(before, status) == 0; // it did not run before either
    if (f->is_known)
        snprintf(f->known_reason, sizeof(f->known_reason), "as in the baseline");
    return QM_OK;
}

static enum qm_status add_scheme(struct qm_gate_report *report, const char *device, const struct qm_node *a,
                                 const struct qm_gate_results *all_a, const struct qm_gate_results *all_b,
                                 const struct qm_gate_params *params, bool with_speed)
{
    const struct qm_node *b = find_scheme(last(all_b), qm_node_text_at(a, "name", ""));
    if (!qm_result_row_is_ok(a) || !qm_result_row_is_ok(b))
        return add_status(report, device, a, b);
    if (with_speed)
        QM_TRY(add_speeds(report, device, a, all_a, all_b, params));
    QM_TRY(add_accuracy(report, device, a, b));
    QM_TRY(add_kernels(report, device, a, b));
    return add_memory(report, device, a, b, params);
}

enum qm_status qm_gate_add_results(struct qm_gate_report *report, const struct qm_gate_results *a,
                                   const struct qm_gate_results *b, const struct qm_gate_params *params,
                                   bool with_speed)
{
    char device[160];
    struct qm_comparison comparison;
    snprintf(device, sizeof(device), "%s, %s", qm_node_text_at(last(a), "device.name", "?"),
             qm_node_text_at(last(a), "device.api", "?"));
    QM_TRY(qm_compare(last(a), last(b), &comparison));
    enum qm_status status = QM_OK;
    for (size_t i = 0; i < comparison.count; ++i) {
        const struct qm_difference *d = &comparison.differences[i];
        if (d->class != QM_DIFFERENCE_FATAL)
            continue;
        struct qm_gate_finding *f = qm_gate_report_add(report, device, QM_GATE_STATUS, QM_GATE_NOT_COMPARABLE, d->path);
        if (f)
            snprintf(f->text, sizeof(f->text), "%s here, %s in the baseline: %s", d->b, d->a, d->why);
        else
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the gate's rows");
    }
    bool is_comparable = comparison.verdict != QM_NOT_COMPARABLE;
    qm_comparison_free(&comparison);
    const struct qm_node *schemes = qm_node_child(last(a), "schemes");
    for (size_t s = 0; is_comparable && status == QM_OK && s < qm_node_count(schemes); ++s)
        status = add_scheme(report, device, qm_node_at(schemes, s), a, b, params, with_speed);
    if (is_comparable && with_speed && status == QM_OK)
        status =
            add_runs(report, device, QM_GATE_COMPILE, "compile time", a, b, NULL, NULL, "compile.milliseconds", params);
    return status;
}

// ---- Known failures and conclusion --------------------------------------------------------------------------------

static const struct qm_node_limits known_limits = {.bytes = 1 << 20, .depth = 8, .nodes = 20000, .alias_nodes = 0};

static bool names(const struct qm_node *entry, const struct qm_gate_finding *f)
{
    const char *kind = qm_node_text_at(entry, "kind", NULL), *device = qm_node_text_at(entry, "device", NULL);
    return strcmp(qm_node_text_at(entry, "row", ""), f->row) == 0 &&
           (!kind || strcmp(kind, qm_gate_kind_name(f->kind)) == 0) && (!device || strstr(f->device, device));
}

static bool counts(enum qm_gate_verdict verdict)
{
    return verdict == QM_GATE_REGRESSED || verdict == QM_GATE_WRONG || verdict == QM_GATE_INCONCLUSIVE ||
           verdict == QM_GATE_NOT_COMPARABLE;
}

enum qm_status qm_gate_apply_known(struct qm_gate_report *report, const char *path)
{
    struct qm_node *root = NULL;
    enum qm_status status = QM_OK;
    QM_TRY(qm_node_load_yaml(path, &known_limits, &root));
    const struct qm_node *list = qm_node_child(root, "known");
    if (!qm_node_is_sequence(list))
        QM_GUARD(qm_node_invalid(root, "no list 'known'; expected known: with entries of row, kind and reason"));
    report->unexpected = calloc(qm_node_count(list) + 1, sizeof(*report->unexpected));
    if (!report->unexpected)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for known failures"));
    for (size_t i = 0; i < qm_node_count(list); ++i) {
        const struct qm_node *entry = qm_node_at(list, i);
        const char *reason = qm_node_text_at(entry, "reason", "");
        if (!qm_node_text(qm_node_child(entry, "row")) || !reason[0])
            QM_GUARD(qm_node_invalid(entry, "an entry without 'row' or 'reason'; a known failure needs both"));
        bool is_met = false, has_passed = false;
        for (size_t k = 0; k < report->count; ++k) {
            struct qm_gate_finding *f = &report->findings[k];
            if (!names(entry, f))
                continue;
            is_met = is_met || counts(f->verdict);
            has_passed = has_passed || f->verdict == QM_GATE_PASS;
            f->is_known = counts(f->verdict);
            if (f->is_known)
                snprintf(f->known_reason, sizeof(f->known_reason), "%s", reason);
        }
        if (!is_met)
            snprintf(report->unexpected[report->unexpected_count++], sizeof(report->unexpected[0]),
                     "%s is listed as a known failure (%.120s) and %s; remove it from %.60s",
                     qm_node_text_at(entry, "row", "?"), reason, has_passed ? "passes" : "is no row of this gate",
                     path);
    }
done:
    qm_node_destroy(&root);
    return status;
}

void qm_gate_conclude(struct qm_gate_report *report)
{
    size_t of[QM_GATE_WRONG + 1] = {0}, known = 0, compared = 0;
    enum qm_gate_verdict worst = QM_GATE_PASS;
    double detectable = 0;
    for (size_t i = 0; i < report->count; ++i) {
        const struct qm_gate_finding *f = &report->findings[i];
        compared += f->verdict != QM_GATE_NOT_COMPARABLE;
        known += f->is_known;
        if (f->is_known)
            continue;
        ++of[f->verdict];
        worst = f->verdict > worst ? f->verdict : worst;
        if (f->kind == QM_GATE_SPEED)
            detectable = fmax(detectable, f->speed.detectable);
    }
    report->verdict = compared == 0 ? QM_GATE_NOT_COMPARABLE : worst;
    int used = snprintf(report->summary, sizeof(report->summary),
                        "%s: %zu rows; %zu passed, %zu regressed, %zu wrong, %zu inconclusive, %zu not comparable, %zu "
                        "known failures",
                        qm_gate_verdict_name(report->verdict), report->count, of[QM_GATE_PASS], of[QM_GATE_REGRESSED],
                        of[QM_GATE_WRONG], of[QM_GATE_INCONCLUSIVE], of[QM_GATE_NOT_COMPARABLE], known);
    if (detectable > 0 && isfinite(detectable) && used > 0 && (size_t)used < sizeof(report->summary))
        snprintf(report->summary + used, sizeof(report->summary) - (size_t)used,
                 "; the smallest slowdown that every row would have shown is %.1f %%", 100 * detectable);
}

int qm_gate_exit_code(enum qm_gate_verdict verdict)
{
    static const int codes[] = {QM_EXIT_OK, QM_EXIT_INCONCLUSIVE, QM_EXIT_NOT_COMPARABLE, QM_EXIT_REGRESSED,
                                QM_EXIT_WRONG};
    return codes[verdict];
}
