#include "report/sentence.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "record/audit.h"
#include "record/claim.h"
#include "record/node.h"
#include "record/result.h"
#include "report/show.h"
#include "report/show_speed.h"

// ---- What both work from --------------------------------------------------------------------------------------------

static const char *word_at(const struct qm_node *node, const char *path)
{
    const char *text = qm_node_text_at(node, path, NULL);
    return text && *text ? text : "undisclosed";
}

static bool is_text_at(const struct qm_node *node, const char *path, const char *text)
{
    return strcmp(qm_node_text_at(node, path, ""), text) == 0;
}

static bool is_changed(const struct qm_node *result)
{
    char hash[QM_HASH_TEXT_BYTES];
    const char *stated = qm_node_text_at(result, "hash", NULL);
    return stated && (qm_node_hash(result, "hash", hash) != QM_OK || strcmp(hash, stated) != 0);
}

// Calls `say` with a copy whose texts have no line breaks, and appends what it says, cleaned line by line.
static void say_cleaned(struct qm_text *out, const struct qm_node *result,
                        void (*say)(struct qm_text *, const struct qm_node *, bool))
{
    struct qm_text said = {0};
    struct qm_node *tidy = qm_node_copy(result);
    if (tidy)
        qm_claim_tidy(tidy);
    out->failed = out->failed || !qm_node_ok(tidy);
    if (qm_node_ok(tidy))
        say(&said, tidy, is_changed(result));
    for (char *line = said.bytes; line && *line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        qm_text_clean(line);
        qm_text_append(out, "%s%s", line, end ? "\n" : "");
        line = end ? end + 1 : line + strlen(line);
    }
    out->failed = out->failed || said.failed;
    qm_text_free(&said);
    qm_node_destroy(&tidy);
}

static bool is_baseline(const struct qm_node *result, const struct qm_node *scheme)
{
    return is_text_at(scheme, "name", qm_node_text_at(result, "profile.baseline", ""));
}

// Of a model that somebody quantized, perplexity alone is no accuracy that could be quoted.
static bool lacks_reference(const struct qm_node *result)
{
    return strcmp(qm_node_text_at(result, "model.reference", ""), "none") == 0;
}

static bool has_accuracy(const struct qm_node *scheme)
{
    return qm_node_is_number(qm_node_get(scheme, "accuracy.kl_divergence.mean"));
}

static const char *verdict_of(const struct qm_node *scheme)
{
    return qm_node_text_at(scheme, "accuracy.acceptance.verdict", "not stated");
}

// The first gain of a phase that has a number, in the order of the profile: of decoding, the one of the smallest batch.
static const struct qm_node *gain_of(const struct qm_node *scheme, const char *phase)
{
    const struct qm_node *gains = qm_node_child(scheme, "gain");
    for (size_t i = 0; i < qm_node_count(gains); i++)
        if (is_text_at(qm_node_at(gains, i), "phase", phase) &&
            qm_node_is_number(qm_node_child(qm_node_at(gains, i), "ratio")))
            return qm_node_at(gains, i);
    return NULL;
}

static const struct qm_node *best_of(const struct qm_node *result, const char *verdict, const char *phase)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes"), *best = NULL;
    double highest = 0, ratio = 0;
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        if (!qm_result_row_is_ok(scheme) || is_baseline(result, scheme) || !has_accuracy(scheme) ||
            strcmp(verdict_of(scheme), verdict) != 0 || !qm_node_double_at(gain_of(scheme, phase), "ratio", &ratio) ||
            ratio <= highest)
            continue;
        highest = ratio;
        best = scheme;
    }
    return best;
}

// The scheme to quote and its gain; false where there is none.
static bool find_best(const struct qm_node *result, const struct qm_node **scheme, const struct qm_node **gain)
{
    static const char *const verdicts[] = {"pass", "not stated"}, *const phases[] = {"decode", "prefill"};
    for (size_t v = 0; v < 2; v++) {
        for (size_t p = 0; p < 2; p++) {
            *scheme = best_of(result, verdicts[v], phases[p]);
            *gain = gain_of(*scheme, phases[p]);
            if (*scheme)
                return true;
        }
    }
    return false;
}

// "w8a8, w4a16-g32" of the schemes that `is_meant` picks; the first eight, and how many more. Returns how many.
static size_t list_schemes(struct qm_text *out, const struct qm_node *result, const char *word,
                           bool (*is_meant)(const struct qm_node *result, const struct qm_node *scheme,
                                            const char *word))
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    size_t count = 0;
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        if (!is_meant(result, scheme, word))
            continue;
        if (count++ < 8)
            qm_text_append(out, "%s%.60s", count > 1 ? ", " : "", word_at(scheme, "name"));
    }
    if (count > 8)
        qm_text_append(out, " and %zu more", count - 8);
    return count;
}

static bool has_status(const struct qm_node *result, const struct qm_node *scheme, const char *status)
{
    (void)result;
    return is_text_at(scheme, "status", status);
}

static bool has_verdict(const struct qm_node *result, const struct qm_node *scheme, const char *verdict)
{
    return qm_result_row_is_ok(scheme) && !is_baseline(result, scheme) && strcmp(verdict_of(scheme), verdict) == 0;
}

static bool lacks_accuracy(const struct qm_node *result, const struct qm_node *scheme, const char *word)
{
    (void)result;
    (void)word;
    return qm_result_row_is_ok(scheme) && !has_accuracy(scheme);
}

static bool has_measured_accuracy(const struct qm_node *result, const struct qm_node *scheme, const char *word)
{
    (void)result;
    (void)word;
    return qm_result_row_is_ok(scheme) && has_accuracy(scheme);
}

static bool is_ok(const struct qm_node *result, const struct qm_node *scheme, const char *word)
{
    (void)result;
    (void)word;
    return qm_result_row_is_ok(scheme);
}

static bool is_ok_beside_baseline(const struct qm_node *result, const struct qm_node *scheme, const char *word)
{
    (void)word;
    return qm_result_row_is_ok(scheme) && !is_baseline(result, scheme);
}

static bool is_software(const struct qm_node *result)
{
    return is_text_at(result, "device.type", "cpu");
}

// ---- The sentence ---------------------------------------------------------------------------------------------------

static void say_device(struct qm_text *out, const struct qm_node *result)
{
    qm_text_append(out, "%s through %s (%sdriver %s %s)", word_at(result, "device.name"), word_at(result, "device.api"),
                   is_software(result) ? "a stand-in in software, " : "", word_at(result, "device.driver"),
                   word_at(result, "device.driver_version"));
}

static void say_why_not(struct qm_text *out, const struct qm_node *result, bool changed)
{
    static const char *const statuses[] = {"wrong", "failed", "unsupported"};
    static const char *const verdicts[] = {"inconclusive", "fail"};
    struct qm_text names = {0};
    size_t said = 0;
    qm_text_append(out, "Nothing may be quoted of this result of ");
    say_device(out, result);
    qm_text_append(out, ": ");
    if (changed) {
        qm_text_append(out, "its file was changed since qmark wrote it.");
    } else if (list_schemes(&names, result, "", is_ok) == 0) {
        qm_text_append(out, "no scheme is ok");
        for (size_t i = 0; i < 3; i++) {
            qm_text_free(&names);
            if (list_schemes(&names, result, statuses[i], has_status) > 0)
                qm_text_append(out, "; %s: %s", i == 0 ? "WRONG" : statuses[i], qm_text_bytes(&names));
        }
        qm_text_append(out, ".");
    } else if (list_schemes(&names, result, "", has_measured_accuracy) == 0) {
        qm_text_append(out, lacks_reference(result) ? "accuracy against fp32: no reference given."
                                                    : "accuracy: not measured.");
    } else if (list_schemes(&names, result, "", is_ok_beside_baseline) == 0) {
        qm_text_append(out, "beside the baseline %s no scheme was measured.", word_at(result, "profile.baseline"));
    } else {
        for (size_t i = 0; i < 2; i++) {
            qm_text_free(&names);
            if (list_schemes(&names, result, verdicts[i], has_verdict) > 0)
                qm_text_append(out, "%s%s: %s", said++ ? "; " : "no scheme but the baseline is accepted; ", verdicts[i],
                               qm_text_bytes(&names));
        }
        qm_text_append(out, "%s", said ? "." : "no gain over a baseline was measured.");
    }
    qm_text_free(&names);
}

static void say_gain(struct qm_text *out, const struct qm_node *result, const struct qm_node *scheme,
                     const struct qm_node *gain)
{
    double low = 0;
    bool is_faster = qm_node_double_at(gain, "low", &low) && low > 1;
    const char *name = word_at(scheme, "name");
    const char *baseline = qm_node_text_at(gain, "baseline", word_at(result, "profile.baseline"));
    qm_text_append(out, "On ");
    say_device(out, result);
    if (is_faster)
        qm_text_append(out, ", %s reaches ", name);
    else
        qm_text_append(out, ", no accepted scheme is shown to be faster than %s: %s reaches ", baseline, name);
    qm_fact_estimate(out, gain, "ratio");
    qm_text_append(out, " times the rate of %s (", baseline);
    qm_fact_point(out, gain);
    qm_text_append(out, ")");
}

static void say_cost(struct qm_text *out, const struct qm_node *scheme)
{
    const struct qm_node *accuracy = qm_node_child(scheme, "accuracy");
    const struct qm_node *top1 = qm_node_child(accuracy, "top1_agreement");
    double confidence = 0;
    qm_text_append(out, " and costs, against float32, a mean KL divergence of ");
    qm_fact_estimate(out, qm_node_child(accuracy, "kl_divergence"), "mean");
    qm_text_append(out, " nats per token and a top-1 agreement of ");
    if (qm_node_is_mapping(top1))
        qm_fact_estimate(out, top1, "value");
    else
        qm_text_append(out, "%s", word_at(accuracy, "top1_agreement"));
    qm_text_append(out, " (%s tokens of %s; ", word_at(accuracy, "tokens"),
                   word_at(scheme, "disclosure.evaluation_set.name"));
    if (qm_node_double_at(accuracy, "bootstrap.confidence", &confidence))
        qm_text_append(out, "%g %% intervals)", confidence * 100);
    else
        qm_text_append(out, "intervals of undisclosed confidence)");
}

// The name of a mapping, or the word that stands in its place.
static const char *name_at(const struct qm_node *scheme, const char *path)
{
    const struct qm_node *node = qm_node_get(scheme, path);
    return qm_node_is_mapping(node) ? word_at(node, "name") : qm_node_text(node) ? qm_node_text(node) : "undisclosed";
}

static void say_sustained(struct qm_text *out, const struct qm_node *scheme)
{
    const struct qm_node *sustained = qm_node_child(scheme, "sustained");
    const struct qm_node *ratio = qm_node_child(sustained, "ratio_to_burst");
    double seconds = 0;
    qm_text_append(out, "sustained: ");
    if (!qm_node_is_mapping(sustained) || !qm_node_double_at(sustained, "window_s", &seconds)) {
        qm_text_append(out, "%s", qm_node_text(sustained) ? qm_node_text(sustained) : "not measured");
        return;
    }
    if (qm_node_is_number(qm_node_child(ratio, "value"))) {
        qm_fact_estimate(out, ratio, "value");
        qm_text_append(out, " times its burst over %.3g s, ", seconds);
    }
    qm_text_append(out, "%s",
                   is_text_at(sustained, "steady", "yes")  ? "steady"
                   : is_text_at(sustained, "steady", "no") ? "not steady"
                                                           : word_at(sustained, "steady"));
}

static void say_quote(struct qm_text *out, const struct qm_node *result, bool changed)
{
    const struct qm_node *scheme = NULL, *gain = NULL;
    if (changed || !find_best(result, &scheme, &gain)) {
        say_why_not(out, result, changed);
        return;
    }
    say_gain(out, result, scheme, gain);
    say_cost(out, scheme);
    qm_text_append(out, "; calibration set: %s, method: %s; ", name_at(scheme, "disclosure.calibration_set"),
                   name_at(scheme, "disclosure.calibration_method"));
    say_sustained(out, scheme);
    qm_text_append(out, "; model %s, widen: %s; acceptance: %s.", word_at(result, "model.name"),
                   word_at(result, "model.widen"), verdict_of(scheme));
}

void qm_sentence_quote(struct qm_text *out, const struct qm_node *result)
{
    say_cleaned(out, result, say_quote);
}

bool qm_sentence_is_quotable(const struct qm_node *result)
{
    const struct qm_node *scheme = NULL, *gain = NULL;
    return !is_changed(result) && find_best(result, &scheme, &gain);
}

// ---- Cautions -------------------------------------------------------------------------------------------------------

// A line with the names of the schemes that `is_meant` picks, where there are any.
static void caution_schemes(struct qm_text *out, const struct qm_node *result, const char *before, const char *after,
                            bool (*is_meant)(const struct qm_node *, const struct qm_node *, const char *),
                            const char *word)
{
    struct qm_text names = {0};
    if (list_schemes(&names, result, word, is_meant) > 0)
        qm_text_append(out, "%s%s%s\n", before, qm_text_bytes(&names), after);
    qm_text_free(&names);
}

static void caution_rows(struct qm_text *out, const struct qm_node *result)
{
    caution_schemes(out, result, "WRONG answers came of ", ": do not trust this driver with what is like it",
                    has_status, "wrong");
    caution_schemes(out, result, "failed: ", "; the reasons stand in the rows", has_status, "failed");
}

static void caution_accuracy(struct qm_text *out, const struct qm_node *result)
{
    caution_schemes(out, result,
                    lacks_reference(result) ? "accuracy against fp32: no reference given: "
                                            : "accuracy: not measured: ",
                    "; a speed without it is half of the trade", lacks_accuracy, "");
    caution_schemes(out, result, "acceptance is inconclusive, for a bound lies within the interval: ", "", has_verdict,
                    "inconclusive");
    caution_schemes(out, result, "less accurate than the profile's bounds allow: ", "", has_verdict, "fail");
}

static bool scheme_overlaps(const struct qm_node *result, const struct qm_node *scheme, const char *word)
{
    (void)result;
    (void)word;
    return qm_result_row_is_ok(scheme) &&
           strcmp(qm_node_text_at(scheme, "disclosure.calibration_set.overlap", "none"), "none") != 0;
}

static bool lacks_sustained(const struct qm_node *result, const struct qm_node *scheme, const char *word)
{
    (void)result;
    (void)word;
    return qm_result_row_is_ok(scheme) && qm_node_count(qm_node_child(scheme, "throughput")) > 0 &&
           !qm_node_is_mapping(qm_node_child(scheme, "sustained"));
}

static bool has_smaller_batch(const struct qm_node *result, const struct qm_node *scheme, const char *word)
{
    const struct qm_node *points = qm_node_child(scheme, "throughput");
    bool found = false;
    (void)result;
    (void)word;
    for (size_t i = 0; i < qm_node_count(points) && !found; i++)
        found = qm_node_child(qm_node_at(points, i), "batch_asked") != NULL;
    return found;
}

static bool has_partial_reference(const struct qm_node *result, const struct qm_node *scheme, const char *word)
{
    double left_out = 0;
    (void)result;
    (void)word;
    return qm_result_row_is_ok(scheme) && qm_node_double_at(scheme, "disclosure.reference.kl_left_out", &left_out) &&
           left_out > 0;
}

// What an audit says of the claim that the sentence makes.
static void caution_claim(struct qm_text *out, const struct qm_node *result)
{
    const struct qm_node *scheme = NULL, *gain = NULL;
    struct qm_node *claim = NULL;
    struct qm_audit audit;
    if (!find_best(result, &scheme, &gain) ||
        qm_claim_from_result(result, qm_node_text_at(scheme, "name", ""), &claim) != QM_OK)
        return;
    qm_audit_claim(claim, &audit);
    if (audit.verdict != QM_CLAIM_DEPLOYMENT_GRADE || audit.limit[0]) {
        qm_text_append(out, "as a claim, %s is %s", word_at(scheme, "name"), qm_claim_verdict_name(audit.verdict));
        for (size_t i = 0; i < audit.reason_count; i++)
            qm_text_append(out, "%s%s", i ? "; " : ": ", audit.reasons[i]);
        qm_text_append(out, "%s%s\n", audit.limit[0] ? ", " : "", audit.limit);
    }
    qm_node_destroy(&claim);
}

static void say_cautions(struct qm_text *out, const struct qm_node *result, bool changed)
{
    const char *verdict = qm_node_text_at(result, "timing.device_clock.verdict", "good");
    if (changed)
        qm_text_append(out, "CHANGED: the file's hash is not that of its content; somebody edited it\n");
    caution_rows(out, result);
    if (is_software(result))
        qm_text_append(out, "stand-in: this device is software on the processor; its speed says nothing of a GPU\n");
    caution_accuracy(out, result);
    caution_schemes(out, result, "calibrated on examples that are scored: ", "; their accuracy is flattered",
                    scheme_overlaps, "");
    caution_schemes(out, result, "KL divergences are lower bounds, for the fp32 reference was kept in part: ", "",
                    has_partial_reference, "");
    qm_speed_cautions(out, result);
    caution_schemes(out, result, "a batch of the profile did not fit into memory, a smaller one was run: ", "",
                    has_smaller_batch, "");
    caution_schemes(out, result, "no sustained run: whether the rate holds is not measured: ", "", lacks_sustained, "");
    if (strcmp(verdict, "void") == 0)
        qm_text_append(out, "the device's clock is void; rates are by the host's clock\n");
    if (qm_node_get(result, "run.retries"))
        qm_text_append(out, "begun anew in a new process: %s\n", word_at(result, "run.retries.0.reason"));
    if (!is_text_at(result, "run.class", "standard"))
        qm_text_append(out, "class custom: not a stock profile, fixed tiles and a released build together; it stands "
                            "beside no standard result\n");
    caution_claim(out, result);
}

void qm_sentence_cautions(struct qm_text *out, const struct qm_node *result)
{
    say_cleaned(out, result, say_cautions);
}
