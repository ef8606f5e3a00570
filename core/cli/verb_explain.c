#include "cli/options.h"
#include "cli/verbs.h"
#include "quant/scheme.h"
#include "record/node.h"
#include "record/suggest.h"

#include <stdio.h>
#include <string.h>

// Every metric of a result and every word of a table.
static const struct {
    const char *word;
    const char *text;
} entries[] = {
    {"kl_divergence_mean",
     "KL divergence of the device's distribution from that of the fp32 reference, in nats per token, mean over scored\n"
     "tokens: sum over the vocabulary of p (ln p - ln q). 0 is no difference. It is the first number to look at, "
     "since\n"
     "it sees every change of the distribution, not only changes of the answer. Its interval is a bootstrap over\n"
     "sequences."},
    {"kl_divergence_p99", "KL divergence that 99 % of the scored tokens do not exceed (nearest rank)."},
    {"kl_divergence_p50", "KL divergence that half of the scored tokens do not exceed: the median. Most of a mean lies "
                          "in few tokens."},
    {"kl_divergence_p90", "KL divergence that 90 % of the scored tokens do not exceed (nearest rank)."},
    {"kl_divergence_p95", "KL divergence that 95 % of the scored tokens do not exceed (nearest rank)."},
    {"kl_divergence_p99.9", "KL divergence that 99.9 % of the scored tokens do not exceed. Not measured below 1,000 "
                            "tokens, and\n"
                            "without interval below 10,000."},
    {"kl_divergence_over_0.01", "Fraction of scored tokens with a KL divergence above 0.01 nats."},
    {"kl_divergence_over_0.1", "Fraction of scored tokens with a KL divergence above 0.1 nats."},
    {"kl_divergence_over_1", "Fraction of scored tokens with a KL divergence above 1 nat."},
    {"kl_divergence_max", "KL divergence of the worst scored token. No bound on what other text would give."},
    {"perplexity", "exp of the mean negative log-probability, in nats, of the tokens that were to come. Lower is "
                   "better; it depends on\n"
                   "the set, so that only perplexities over one set may be compared."},
    {"perplexity_reference", "Perplexity of the fp32 reference on the same tokens."},
    {"perplexity_ratio", "Perplexity on the device over that of the fp32 reference, on the same tokens (paired). 1 is "
                         "no loss; 1.05 is 5 %\n"
                         "worse. It can hide changes that KL divergence shows, because gains and losses cancel."},
    {"top1_agreement", "Fraction of scored tokens whose most likely token is the one of the fp32 reference."},
    {"rms_delta_p",
     "Root mean square change of the probability of the token that was to come, against the fp32 reference."},
    {"exact_match",
     "Fraction of graded examples all of whose answer tokens are the most likely ones, each predicted from the true\n"
     "tokens before it (teacher forcing)."},
    {"exact_match_reference", "Exact match of the fp32 reference on the same examples."},
    {"exact_match_ratio", "Exact match on the device over that of the fp32 reference, on the same examples."},
    {"answers", "Share of the user's examples that were answered rightly by greedy generation on the device, fp32's "
                "share beside it,\n"
                "and how many answers changed: flips went from right to wrong or from wrong to right, and cancel in a "
                "difference."},
    {"non_inferiority",
     "Whether exact match is at least 0.99, and 0.999, of fp32's on the same examples, by the ratio's interval and not "
     "by\n"
     "the estimate: pass, fail, or inconclusive with the number of graded examples that would decide."},
    {"log_likelihood_correlation",
     "Pearson's correlation of the tokens' negative log-probabilities on the device and of the fp32 reference."},
    {"source_kl", "KL divergence of the device's distribution from the one that the text was drawn from, in nats per "
                  "token, over the\n"
                  "tokens of the Markov source, which is known. fp32 has one too, beside it: no model is its source."},
    {"source_kl_difference", "What the scheme adds to the fp32 reference's source_kl."},
    {"calibration_error",
     "How far confidence and hits are apart: tokens in 15 bins by the probability of the most likely one; mean of\n"
     "|confidence - hits| over bins. It is never 0 on a finite set: `noise` is what a calibrated model would show."},
    {"overconfidence", "Mean probability of the most likely token, less the fraction of tokens where it is the right "
                       "one. Above 0\n"
                       "the device is surer than it is right."},
    {"overconfidence_difference", "Overconfidence on the device less that of the fp32 reference."},
    {"greedy_identical", "Of the examples that fp32 answers exactly: the fraction on which greedy decoding on the "
                         "device gives the same text."},
    {"greedy_first_difference", "Of the examples on which greedy decoding on the device leaves fp32's text: at which "
                                "token of the answer it does so\n"
                                "first, from 1; the median."},
    {"sets", "Evaluation sets of several seeds, each with its mean KL divergence. Where these scatter much more "
             "(spread) than the\n"
             "scatter within sets explains (expected), another set would give a number beyond the interval."},
    {"sets_spread", "Standard deviation of the evaluation sets' mean KL divergences."},
    {"sets_expected", "What sets_spread would be in the mean if sets differed by no more than their sequences do."},
    {"rate_tokens_per_s",
     "Tokens of all sequences of the batch per second, by the timer that the point names. Never shown without the\n"
     "accuracy of the same artifact through the same kernels on the same device."},
    {"latency_ms", "Time of one prefill pass or one decode step: median, 95th and 99th percentile."},
    {"gain", "Rate of a scheme over that of the profile's baseline, on the same device, API, model and protocol, from "
             "passes of\n"
             "both in turn, with an interval over blocks of passes. Above 1 the scheme is faster."},
    {"memory", "What the backend allocated on the device: weights with scales, KV cache, and everything."},
    {"acceptance",
     "Whether the profile's bounds hold, judged by the interval and not by the estimate: pass, fail, or inconclusive\n"
     "where the bound lies within the interval. Without bounds it is not stated."},
    {"prefill", "Reading a prompt: all its tokens at once, large matrix products."},
    {"decode",
     "Writing: one token of each sequence at a time, at a depth of tokens in the cache. Here teacher-forced."},
    {"depth", "Tokens in the KV cache before a decode step."},
    {"paired",
     "Protocol: passes of a scheme and of the baseline in turn, so that heat and clocks hit both. Gives the gain."},
    {"sustained",
     "Rate of the last third of a contiguous run of one scheme at one point, 120 s or longer, with pauses of the "
     "host\nleft out. Beside it stands whether it was steady. 'not measured' where a profile asks for no such "
     "run."},
    {"burst", "Rate of the first 2 s of a sustained run, before clocks fall: what a short benchmark shows. "
              "ratio_to_burst is how\nmuch of it holds."},
    {"steady",
     "Whether a sustained rate holds: yes, if it changes by less than 1 % in 30 s with its whole interval; no, if it "
     "changes\nby more with its whole interval; undecidable, if the noise is too large for the length; too short "
     "below 120 s."},
    {"undecidable", "The noise is too large to tell. The remark says how long it would take."},
    {"too_short", "Of a sustained run: below 120 s, in which heat and clocks may not have settled."},
    {"throttling",
     "What was seen of a rate that fell: since when, whether a fixed multiply-add loop slowed with it (then it is "
     "the clock),\nand in how many windows a sensor said so."},
    {"served",
     "Requests of a deployment, so many under way at a time: lengths from a distribution or a trace, prompts "
     "from the\n"
     "evaluation set, greedy outputs. The order of passes follows from the lengths alone, so that each run gives "
     "the same\n"
     "tokens, and one that does not is wrong."},
    {"first_token_ms",
     "Of a served request: from the moment its place was free to its first token, the prompts before it "
     "included."},
    {"token_ms", "Of a served request: mean time from one of its tokens to the next. Prompts of others come between."},
    {"within", "Share of served requests whose first token and whose mean time between tokens kept the deployment's "
               "bounds, in every\n"
               "round; with Wilson's interval over requests."},
    {"within_per_s", "Rate of the served requests that kept both bounds: goodput."},
    {"noise_floor",
     "The baseline timed against itself, in turns. What it shows is this machine's noise: no difference between "
     "two\nschemes that is smaller than it means anything. Its difference is 1 but for chance."},
    {"detectable",
     "The smallest slowdown that so many blocks or runs show in 4 cases of 5. Where it is above what you care "
     "about, no\nslowdown seen is no news: measure longer."},
    {"latency_bounded",
     "Decode at the largest batch of which 99 of 100 steps stay within the profile's bound: the rate of a "
     "service that\npromises a latency."},
    {"time_to_first_token",
     "What a user waits for the first token: a pass of the whole prompt, by the host's clock, with all "
     "that the host adds."},
    {"rate_per_user_tokens_per_s", "Decode rate over the batch: how fast one user's text grows."},
    {"oddities",
     "What is odd about a point's times: outliers, two modes, a slow start, drift, neighbours that are alike. Named, "
     "and\nnever taken out."},
    {"stopped", "What ended the rounds of a point: precision (every gain is known well enough), time, or repeats."},
    {"device_clock", "Whether the device's clock keeps the host's pace: good, other pace, undecidable or void."},
    {"device_timer",
     "Whether the device's time of long blocks agrees with the wall's. Void: rates are by the host's clock."},
    {"tokens_per_joule",
     "Tokens over the energy that a sensor told for the same time: of the device alone where the sensor is."},
    {"scheme",
     "One precision for weights, activations and KV cache, such as w4a16-g32-kv8. 'qmark explain w4a16-g32-kv8'."},
    {"artifact", "The model calibrated for one scheme: a file with a content hash. Every device loads the same bytes."},
    {"calibration",
     "Finding scales by running the fp32 model over a set that shares no sequence with the evaluation set."},
    {"sweep", "'calibrate --sweep': a scheme with every calibrator that its formats go with, at several sizes of the "
              "calibration\n"
              "set, ranked by KL divergence on the reference backend, with the seconds that each took."},
    {"over_best",
     "Of a sweep: KL divergence above that of the best, on the same tokens (paired), with a bootstrap over sequences.\n"
     "'= best' where the interval holds 0: the set does not tell the two apart."},
    {"rank",
     "Of a sweep: from 1 + the rows that are told apart as better, to all rows less those told apart as worse. A "
     "range\nof ranks is an order that the set does not show."},
    {"collecting", "Of a sweep: the seconds of running the fp32 model over the calibration windows, once for all "
                   "calibrators, with all\n"
                   "the statistics that any of them needs. Part of each row's time."},
    {"absmax", "Calibrator: the largest absolute value seen becomes the largest code. Nothing is clipped on that set."},
    {"percentile", "Calibrator: a percentile of absolute values becomes the largest code; what lies above is clipped."},
    {"baseline", "The scheme that gains are over; the profile names it."},
    {"tier",
     "The instruction level that a kernel used: base (any conformant device), texel, dot (packed int8 dot "
     "product), f16,\n"
     "subgroup, matrix; several of a pass are joined by +. Each above base is checked on the device before it is "
     "used."},
    {"tiles", "How kernels are cut into work groups: fixed (as they come) or tuned (for this device)."},
    {"widen",
     "The residual stream repeated r times, so that a small model does the work of a large one and keeps its "
     "logits up\n"
     "to rounding: --widen R, --fit. A result has the divergence from the narrow model, measured on the device."},
    {"timer",
     "The clock of a rate: device (the device's own timestamps) or wall (the host's clock, with all overheads)."},
    {"profile", "What to run and how: schemes, sets, points, repeats, bounds. quick, standard, or a file of yours."},
    {"result", "What one device through one API gave for one profile; see docs/RESULT_FORMAT.md."},
    {"class", "standard: a stock profile, fixed tiles and a released build. Everything else is custom."},
    {"stand-in",
     "A software driver on the processor: it shows that everything works, and nothing about a GPU's speed."},
    {"interval",
     "Where the true value lies with the stated confidence: a percentile bootstrap over sequences or blocks."},
    {"ok", "Status of a scheme: verified, scored and timed."},
    {"wrong",
     "Status of a scheme: a kernel was beyond its bound against the oracle, the logits were beyond theirs against the\n"
     "reference backend, or a timed pass had another checksum than the scored one. It has no speed. Exit code 4.\n"
     "Verdict of a gate, WRONG: a scheme or kernel of the new side is so; it comes before every other verdict."},
    {"unsupported", "Status of a scheme: the device cannot run it; the reason says what is missing."},
    {"failed", "Status of a scheme: something broke, such as a driver; the reason says what."},
    {"skipped", "Status of a scheme: not run, for the reason given."},
    {"undisclosed",
     "Nobody told qmark. A value like any other: it is shown, and two of them are not known to be equal."},
    {"not_measured", "There is no number. Never shown as 0."},
    {"no_interval", "There are too few sequences or blocks of passes for an interval; the value stands alone."},
    {"out_of_range", "Measured, and beyond what a double holds, such as the perplexity of nonsense."},
    {"reference",
     "The fp32 reference is the model in float32 on the host: what scores are against. The reference backend runs the\n"
     "same artifact in plain C: what a device's logits are checked against."},
    {"claim",
     "What somebody says of a quantized model's speed; docs/CLAIM_FORMAT.md. 'qmark claim' writes what a result\n"
     "supports, 'qmark audit' judges what anybody says."},
    {"deployment_grade", "Verdict of an audit: every component of the trade is told, with intervals, and nothing of it "
                         "contradicts."},
    {"upper_bound_only", "Verdict of an audit: the speed may be reached; what it costs, what it is over or whether it "
                         "holds is open."},
    {"not_checkable", "Verdict of an audit: device, model, precision or a number of speed is missing, so that nothing "
                      "could\ncontradict the claim."},
    {"comparable", "Of two results: no field differs that would make the numbers about different things."},
    {"comparable_with_notes", "Of two results: comparable, and what differs must be known to whoever reads a ratio."},
    {"not_comparable",
     "Of two results or a scheme of them: a field differs that makes the numbers about different things; the "
     "reason stands\nbeside it, and no ratio. Of a gate: such a row, or one that is on one side only. Exit "
     "code 13."},
    {"ratio_b_over_a",
     "Of two results: the rate of the second over that of the first, by the same timer on both sides, with an "
     "interval from\nboth intervals. It is of two runs and knows nothing of what changes from run to run."},
    {"pass",
     "Verdict of acceptance: the bound holds with the whole interval. Verdict of a gate, PASS: a slowdown of its "
     "tolerance is\nexcluded, and nothing else became worse. Exit code 0."},
    {"regressed",
     "Verdict of a gate: slower by more than its minimum effect, beyond chance over all its rows; or less accurate, "
     "larger,\nor no longer running. Exit code 10."},
    {"inconclusive",
     "Neither the one nor the other is shown: the interval holds the bound. Of a gate: it says how many times as "
     "many blocks\nwould decide. Exit code 12."},
};

#define ENTRY_COUNT (sizeof(entries) / sizeof(entries[0]))

static int list(bool as_json)
{
    if (as_json) {
        struct qm_node *root = qm_node_new_mapping();
        for (size_t i = 0; i < ENTRY_COUNT; i++)
            qm_node_set_text(root, entries[i].word, entries[i].text);
        return qm_verb_print_json(&root);
    }
    printf("words that can be explained, besides every scheme:\n");
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        printf("  %s\n", entries[i].word);
    return QM_EXIT_OK;
}

static int explain_scheme(const struct qm_scheme *scheme, bool as_json)
{
    char text[2048];
    if (as_json) {
        struct qm_node *root = qm_scheme_expand(scheme);
        return qm_verb_print_json(&root);
    }
    qm_scheme_explain(scheme, text, sizeof(text));
    fputs(text, stdout);
    return QM_EXIT_OK;
}

// Whether it was meant as a scheme: then the message about schemes is the one that helps. Either it begins with the name
// of a format, with activations, parts or nothing behind it, or with a width as schemes have it, even one that there is
// not.
static bool is_like_scheme(const char *word)
{
    if ((word[0] == 'w' || word[0] == 'f') && word[1] >= '0' && word[1] <= '9')
        return true;
    for (int format = 0; format <= QM_WEIGHT_FORMAT_COUNT; format++) {
        const char *name = format < QM_WEIGHT_FORMAT_COUNT ? qm_weight_format_info((enum qm_weight_format)format)->name
                                                           : QM_SCHEME_OWN_NAME;
        size_t length = strlen(name);
        if (strncmp(word, name, length) == 0 && (word[length] == '\0' || strchr("a-+", word[length])))
            return true;
    }
    return false;
}

static int explain(const char *word, bool as_json)
{
    const char *words[ENTRY_COUNT];
    struct qm_scheme scheme;
    char plain[64];
    snprintf(plain, sizeof(plain), "%s", word);
    for (char *c = plain; *c; c++) // "NOT COMPARABLE", as a gate has it
        *c = (char)(*c == '-' || *c == ' ' ? '_' : *c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    char *unit = strstr(plain, "token_ms"); // the key that a result has
    if (unit && strcmp(unit, "token_ms") == 0)
        unit[strlen("token")] = '\0';
    for (size_t i = 0; i < ENTRY_COUNT; i++) {
        words[i] = entries[i].word;
        if (strcmp(entries[i].word, word) != 0 && strcmp(entries[i].word, plain) != 0)
            continue;
        if (as_json) {
            struct qm_node *root = qm_node_new_mapping();
            qm_node_set_text(root, entries[i].word, entries[i].text);
            return qm_verb_print_json(&root);
        }
        printf("%s\n%s\n", entries[i].word, entries[i].text);
        return QM_EXIT_OK;
    }
    if (is_like_scheme(word)) {
        enum qm_status status = qm_scheme_parse(word, &scheme);
        return status == QM_OK ? explain_scheme(&scheme, as_json) : qm_verb_fail(status);
    }
    const char *near = qm_suggest(word, words, ENTRY_COUNT);
    enum qm_status status =
        near ? QM_FAIL(QM_INVALID, "explain: nothing is known of '%.40s'; did you mean '%s'?", word, near)
             : QM_FAIL(QM_INVALID, "explain: nothing is known of '%.40s'; 'qmark explain' lists the words", word);
    return qm_verb_fail(status);
}

int qm_verb_explain(int argc, char **argv)
{
    bool as_json = false;
    bool done = false;
    const struct qm_option options[] = {
        {"json", QM_OPTION_FLAG, &as_json, NULL, "print as JSON"},
    };
    const struct qm_command command = {.verb = "explain",
                                       .operands = "[METRIC|WORD|SCHEME]",
                                       .operands_max = 1,
                                       .meaning = "Say what a metric, a word of a table or a scheme means.",
                                       .details = "Without a word it lists those it knows.",
                                       .options = options,
                                       .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    return count == 0 ? list(as_json) : explain(operands[0], as_json);
}
