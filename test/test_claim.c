// Claims and audits: the stock claims have their documented verdicts, taking anything from a complete claim downgrades
// it, a result's claim and its audit agree, contradictions are seen, and no speed is printed without its accuracy.
#include "cli/verbs.h"
#include "record/audit.h"
#include "record/claim.h"
#include "record/result.h"
#include "report/statement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/print_claim.h"
#include "test/stored_result.h"

#define CLAIMS QM_SOURCE_DIR "/profiles/claims/"

// The expectations; docs/CLAIM_FORMAT.md lists the same.
static const struct {
    const char *file;
    enum qm_claim_verdict verdict;
} stock[] = {
    {"press-int8.yaml", QM_CLAIM_UPPER_BOUND},      {"mobile-npu-tops.yaml", QM_CLAIM_NOT_CHECKABLE},
    {"model-card-gptq.yaml", QM_CLAIM_UPPER_BOUND}, {"benchmark-submission.yaml", QM_CLAIM_UPPER_BOUND},
    {"complete.yaml", QM_CLAIM_DEPLOYMENT_GRADE},
};

static struct qm_node *load_claim(const char *file)
{
    char path[QM_PATH_BYTES];
    struct qm_node *claim = NULL;
    snprintf(path, sizeof(path), "%s%s", CLAIMS, file);
    if (qm_claim_load(path, &claim) != QM_OK)
        fail_msg("%s", qm_error_text());
    return claim;
}

static char *read_file(const char *path)
{
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    fseek(stream, 0, SEEK_END);
    size_t size = (size_t)ftell(stream);
    rewind(stream);
    char *text = calloc(size + 1, 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, size, stream), size);
    fclose(stream);
    return text;
}

static enum qm_claim_verdict verdict_of(const struct qm_node *claim)
{
    struct qm_audit audit;
    qm_audit_claim(claim, &audit);
    return audit.verdict;
}

// ---- Stock claims ---------------------------------------------------------------------------------------------------

static void test_stock_claims(void **state)
{
    (void)state;
    char *document = read_file(QM_SOURCE_DIR "/docs/CLAIM_FORMAT.md");
    for (size_t i = 0; i < sizeof(stock) / sizeof(stock[0]); i++) {
        char row[160];
        struct qm_node *claim = load_claim(stock[i].file);
        assert_string_equal(qm_claim_verdict_name(verdict_of(claim)), qm_claim_verdict_name(stock[i].verdict));
        snprintf(row, sizeof(row), "| `%s` | %s |", stock[i].file, qm_claim_verdict_name(stock[i].verdict));
        if (!strstr(document, row))
            fail_msg("docs/CLAIM_FORMAT.md lacks %s", row);
        assert_null(qm_node_child(claim, "expected_verdict"));
        qm_node_destroy(&claim);
    }
    free(document);
}

static void test_document_has_every_key(void **state)
{
    (void)state;
    char *document = read_file(QM_SOURCE_DIR "/docs/CLAIM_FORMAT.md");
    for (size_t i = 0; qm_claim_table_path(i); i++) {
        char row[256];
        snprintf(row, sizeof(row), "| `%s` | ", qm_claim_table_path(i));
        const char *found = strstr(document, row);
        if (!found || !strstr(found, qm_claim_table_meaning(i)))
            fail_msg("docs/CLAIM_FORMAT.md lacks %s%s", row, qm_claim_table_meaning(i));
    }
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++)
        for (const struct qm_component_key *key = qm_components[i].keys; key->path; key++)
            if (*key->follows && !strstr(document, key->title))
                fail_msg("docs/CLAIM_FORMAT.md does not ask for %s", key->title);
    free(document);
}

// ---- Taking things away ---------------------------------------------------------------------------------------------

static void remove_path(struct qm_node *holder, const char *path, size_t length)
{
    char parent[64] = "";
    char key[64];
    const char *dot = NULL;
    for (size_t i = 0; i < length; i++)
        if (path[i] == '.')
            dot = path + i;
    if (dot)
        snprintf(parent, sizeof(parent), "%.*s", (int)(dot - path), path);
    snprintf(key, sizeof(key), "%.*s", (int)(dot ? length - (size_t)(dot + 1 - path) : length), dot ? dot + 1 : path);
    struct qm_node *from = dot ? qm_node_get(holder, parent) : holder;
    if (from)
        qm_node_remove(from, key);
}

// Each component: absent, undisclosed, a sentence in its place. Each key that is asked for: absent, undisclosed.
static size_t take_away_all(const struct qm_node *complete)
{
    static const char *const words[] = {NULL, "undisclosed", "not measured", "of course", "proprietary"};
    size_t taken = 0;
    assert_int_equal(verdict_of(complete), QM_CLAIM_DEPLOYMENT_GRADE);
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        const struct qm_component *component = &qm_components[i];
        struct qm_audit audit;
        const char *was = qm_node_text_at(complete, component->name, NULL);
        for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {
            struct qm_node *claim = qm_node_copy(complete);
            if (words[w])
                qm_node_set_text(claim, component->name, words[w]);
            else
                qm_node_remove(claim, component->name);
            qm_audit_claim(claim, &audit);
            if (audit.verdict >= QM_CLAIM_DEPLOYMENT_GRADE || audit.rows[i].level == QM_DISCLOSED ||
                (audit.rows[i].level != QM_UNDISCLOSED && w != 3) || audit.reason_count == 0)
                fail_msg("%s: %s is still %s, %s", component->name, words[w] ? words[w] : "absent",
                         qm_claim_verdict_name(audit.verdict), qm_disclosure_level_name(audit.rows[i].level));
            qm_node_destroy(&claim);
            taken++;
        }
        for (const struct qm_component_key *key = component->keys; key->path && !was; key++) {
            struct qm_node *claim = qm_node_copy(complete);
            struct qm_node *holder = qm_node_child(claim, component->name);
            qm_audit_claim(claim, &audit);
            enum qm_disclosure_level before = audit.rows[i].level;
            for (const char *path = key->path; *path;) {
                size_t length = strcspn(path, "|");
                remove_path(holder, path, length);
                path += length + (path[length] == '|');
            }
            qm_audit_claim(claim, &audit);
            bool is_less = audit.rows[i].level < QM_DISCLOSED && audit.rows[i].level <= before;
            if ((key->flags & QM_KEY_FULL) && !is_less)
                fail_msg("%s without %s is still disclosed", component->name, key->path);
            if ((key->flags & QM_KEY_GRADE) && audit.verdict >= QM_CLAIM_DEPLOYMENT_GRADE)
                fail_msg("a claim without %s.%s is still deployment-grade", component->name, key->path);
            qm_node_destroy(&claim);
            taken++;
        }
    }
    // Who and what: without a device or a model nobody can measure it.
    static const char *const subjects[] = {"device", "model"};
    for (size_t i = 0; i < 2; i++) {
        struct qm_node *claim = qm_node_copy(complete);
        qm_node_remove(qm_node_child(claim, "subject"), subjects[i]);
        assert_int_equal(verdict_of(claim), QM_CLAIM_NOT_CHECKABLE);
        qm_node_destroy(&claim);
    }
    return taken;
}

static void test_take_away(void **state)
{
    (void)state;
    static const char *const results[] = {"result-pocl.yaml", "result-example.yaml", "result-sets.yaml"};
    size_t claims = 1;
    struct qm_node *claim = load_claim("complete.yaml");
    assert_true(take_away_all(claim) > 90);
    qm_node_destroy(&claim);
    for (size_t r = 0; r < sizeof(results) / sizeof(results[0]); r++) {
        struct qm_node *result = stored_result(results[r]);
        const struct qm_node *schemes = qm_node_child(result, "schemes");
        for (size_t i = 0; i < qm_node_count(schemes); i++) {
            const struct qm_node *scheme = qm_node_at(schemes, i);
            const char *name = qm_node_text_at(scheme, "name", "");
            if (strcmp(qm_node_text_at(scheme, "status", ""), "ok") != 0 ||
                strcmp(name, qm_node_text_at(result, "profile.baseline", "")) == 0)
                continue;
            assert_int_equal(qm_claim_from_result(result, name, &claim), QM_OK);
            take_away_all(claim);
            qm_node_destroy(&claim);
            claims++;
        }
        qm_node_destroy(&result);
    }
    assert_int_equal(claims, 6);
}

// ---- From a result --------------------------------------------------------------------------------------------------

static void assert_same_audit(const struct qm_audit *a, const struct qm_audit *b)
{
    assert_int_equal(a->verdict, b->verdict);
    assert_string_equal(a->limit, b->limit);
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        assert_int_equal(a->rows[i].level, b->rows[i].level);
        assert_int_equal(a->rows[i].gap_count, b->rows[i].gap_count);
    }
}

static void test_claim_and_audit_agree(void **state)
{
    (void)state;
    struct qm_node *result = stored_result("result-pocl.yaml");
    static const char *const schemes[] = {"w8a8", "w4a8-g32-static"};
    for (size_t i = 0; i < 2; i++) {
        struct qm_node *claim = NULL;
        struct qm_node *again = NULL;
        struct qm_audit audit;
        struct qm_audit second;
        char *text = NULL;
        assert_int_equal(qm_claim_from_result(result, schemes[i], &claim), QM_OK);
        if (qm_claim_check(claim) != QM_OK)
            fail_msg("%s", qm_error_text());
        qm_audit_claim(claim, &audit);
        assert_int_equal(audit.verdict, QM_CLAIM_DEPLOYMENT_GRADE);
        // A sustained rate was not measured: the window is told and is too short, and that is said.
        assert_int_equal(audit.rows[QM_COMPONENT_SUSTAINED].level, QM_PARTLY);
        assert_non_null(strstr(audit.limit, "not proven"));
        assert_string_equal(qm_node_text_at(claim, "sustained.steady", ""), "too short");
        assert_int_equal(qm_node_write_yaml(claim, &text), QM_OK);
        if (qm_claim_parse(text, strlen(text), "written.yaml", &again) != QM_OK)
            fail_msg("%s", qm_error_text());
        qm_audit_claim(again, &second);
        assert_same_audit(&audit, &second);
        free(text);
        qm_node_destroy(&claim);
        qm_node_destroy(&again);
    }
    // Every number of accuracy is there, with the result's interval.
    struct qm_node *claim = NULL;
    assert_int_equal(qm_claim_from_result(result, "w8a8", &claim), QM_OK);
    static const char *const metrics[] = {
        "kl_divergence_mean", "kl_divergence_p99",        "kl_divergence_max", "perplexity",
        "perplexity_ratio",   "top1_agreement",           "rms_delta_p",       "exact_match",
        "exact_match_ratio",  "decode_kl_divergence_mean"};
    const struct qm_node *list = qm_node_get(claim, "accuracy.metrics");
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        size_t found = 0;
        for (size_t k = 0; k < qm_node_count(list); k++)
            found += strcmp(qm_node_text_at(qm_node_at(list, k), "metric", ""), metrics[i]) == 0;
        if (found != 1)
            fail_msg("%s stands there %zu times", metrics[i], found);
    }
    double low = 0;
    double own = 0;
    const struct qm_node *scheme = qm_node_get(result, "schemes.1");
    assert_string_equal(qm_node_text_at(scheme, "name", ""), "w8a8");
    assert_true(qm_node_double_at(scheme, "accuracy.kl_divergence.low", &own));
    assert_true(qm_node_double_at(qm_node_at(list, 0), "low", &low));
    assert_true(low == own);
    // The window is the time of all passes of the point that took longest.
    double window = 0;
    double rate = 0;
    assert_true(qm_node_double_at(claim, "sustained.window_s", &window));
    assert_true(qm_node_double_at(scheme, "throughput.0.rate_tokens_per_s", &rate));
    assert_true(window > 0.999 * 8 * 256 / rate && window < 1.001 * 8 * 256 / rate);
    // What the fp32 reference left out is said beside numbers that are lower bounds for it, and only there.
    size_t remarks = qm_node_count(qm_node_get(claim, "remarks"));
    struct qm_node *reference = qm_node_add_mapping(qm_node_get(scheme, "disclosure"), "reference");
    qm_node_set_double(reference, "kl_left_out", 0.0125);
    qm_node_set_double(reference, "kl_left_out_largest", 0.75);
    qm_node_destroy(&claim);
    assert_int_equal(qm_claim_from_result(result, "w8a8", &claim), QM_OK);
    assert_int_equal(qm_node_count(qm_node_get(claim, "remarks")), remarks + 1);
    assert_string_equal(
        qm_node_text_at(claim, "remarks.0", ""),
        "KL divergences are lower bounds, for the fp32 reference was kept in part: the mean is up to 0.0125 "
        "nats higher, any percentile up to 0.75");
    qm_node_destroy(&claim);
    qm_node_destroy(&result);
}

// The details of a result are metrics of its claim, each once, and percentiles have their intervals from there.
static void test_details_are_claimed(void **state)
{
    (void)state;
    struct qm_node *result = stored_result("result-sets.yaml");
    struct qm_node *claim = NULL;
    struct qm_audit audit;
    assert_int_equal(qm_claim_from_result(result, "w4a16-g32", &claim), QM_OK);
    assert_int_equal(qm_claim_check(claim), QM_OK);
    qm_audit_claim(claim, &audit);
    assert_int_equal(audit.verdict, QM_CLAIM_DEPLOYMENT_GRADE);
    const struct qm_node *details = qm_node_get(result, "schemes.1.accuracy.details");
    const struct qm_node *metrics = qm_node_get(claim, "accuracy.metrics");
    assert_true(qm_node_count(details) >= 16);
    for (size_t i = 0; i < qm_node_count(details); i++) {
        const struct qm_node *detail = qm_node_at(details, i);
        size_t found = 0;
        for (size_t k = 0; k < qm_node_count(metrics); k++) {
            const struct qm_node *metric = qm_node_at(metrics, k);
            if (strcmp(qm_node_text_at(metric, "metric", ""), qm_node_text_at(detail, "metric", "?")) != 0)
                continue;
            found++;
            assert_string_equal(qm_node_text_at(metric, "low", "none"), qm_node_text_at(detail, "low", "none"));
            assert_string_equal(qm_node_text_at(metric, "high", "none"), qm_node_text_at(detail, "high", "none"));
        }
        if (found != 1)
            fail_msg("%s stands there %zu times", qm_node_text_at(detail, "metric", "?"), found);
    }
    qm_node_destroy(&claim);
    qm_node_destroy(&result);
}

static void test_nothing_is_claimed(void **state)
{
    (void)state;
    struct qm_node *claim = NULL;
    struct qm_node *result = stored_result("result-example.yaml");
    assert_int_equal(qm_claim_from_result(result, "w8a8-static", &claim), QM_INVALID);
    assert_null(claim);
    assert_non_null(strstr(qm_error_text(), "is WRONG"));
    assert_int_equal(qm_claim_from_result(result, "w9", &claim), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "this result has f16, w8a8"));

    // Without accuracy a speed is an upper bound, and the words stand beside it.
    struct qm_node *scheme = qm_node_get(result, "schemes.1");
    qm_node_set_text(scheme, "accuracy", "not measured");
    assert_int_equal(qm_result_check(result), QM_OK);
    assert_int_equal(qm_claim_from_result(result, "w8a8", &claim), QM_OK);
    struct qm_audit audit;
    qm_audit_claim(claim, &audit);
    assert_int_equal(audit.verdict, QM_CLAIM_UPPER_BOUND);
    assert_int_equal(audit.rows[QM_COMPONENT_ACCURACY].level, QM_UNDISCLOSED);
    assert_int_equal(audit.rows[QM_COMPONENT_ACCEPTANCE].level, QM_UNDISCLOSED);
    struct qm_text text = {0};
    qm_statement_paragraph(&text, claim, &audit);
    assert_non_null(strstr(qm_text_bytes(&text), "accuracy: not measured"));
    qm_text_free(&text);
    for (int how = 0; how < 3; how++) {
        char *printed = print(claim, how);
        assert_non_null(strstr(printed, "tokens/s"));
        assert_no_half_claim(claim, printed);
        free(printed);
    }
    qm_node_destroy(&claim);

    // A sustained measurement that a result has is taken as it is.
    struct qm_node *sustained = qm_node_add_mapping(scheme, "sustained");
    qm_node_set_u64(sustained, "window_s", 600);
    assert_int_equal(qm_claim_from_result(result, "w8a8", &claim), QM_OK);
    assert_string_equal(qm_node_text_at(claim, "sustained.window_s", ""), "600");
    assert_null(qm_node_get(claim, "sustained.steady"));
    qm_node_destroy(&claim);
    qm_node_destroy(&result);
}

// A result whose only good scheme is the baseline: there is nothing to claim, and that is one line and exit code 2.
static void test_only_the_baseline(void **state)
{
    (void)state;
    char path[QM_PATH_BYTES];
    char directory[] = "/tmp/qmark-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    struct qm_node *result = stored_result("result-pocl.yaml");
    for (size_t i = 1; i < 3; i++) {
        struct qm_node *scheme = qm_node_at(qm_node_child(result, "schemes"), i);
        qm_node_set_text(scheme, "status", "failed");
        qm_node_set_text(scheme, "reason", "the device was lost");
        qm_node_remove(scheme, "throughput");
        qm_node_remove(scheme, "gain");
    }
    if (qm_result_write(result, directory, path) != QM_OK)
        fail_msg("%s", qm_error_text());
    char *arguments[] = {(char[]){"claim"}, (char[]){"--format=yaml"}, path, NULL};
    assert_int_equal(qm_verb_claim(3, arguments), QM_EXIT_BAD_INPUT);
    assert_non_null(strstr(qm_error_text(), "nothing to claim: no scheme but the baseline (f16) is ok"));
    remove(path);
    remove(directory);
    qm_node_destroy(&result);
}

// ---- Contradictions and half answers --------------------------------------------------------------------------------

// What of the complete claim is set to what, and how its component is judged then.
static void test_contradictions(void **state)
{
    (void)state;
    static const struct {
        const char *parent;
        const char *key;
        const char *value;
        enum qm_component_id component;
        enum qm_gap_kind kind;
        const char *title;
        bool is_grade; // still
    } rows[] = {
        {"throughput_gain.baseline", "device", "the card before it", QM_COMPONENT_THROUGHPUT_GAIN, QM_GAP_SHORT,
         "a baseline on the same device", false},
        {"throughput_gain.baseline", "api", "another library", QM_COMPONENT_THROUGHPUT_GAIN, QM_GAP_SHORT,
         "a baseline through the same API", false},
        {"throughput_gain.baseline", "model", "a larger one", QM_COMPONENT_THROUGHPUT_GAIN, QM_GAP_SHORT,
         "a baseline with the same model", false},
        {"throughput_gain.baseline", "protocol", "one run each", QM_COMPONENT_THROUGHPUT_GAIN, QM_GAP_SHORT,
         "a baseline by the same protocol", false},
        {"throughput_gain", "statistic", "Up to", QM_COMPONENT_THROUGHPUT_GAIN, QM_GAP_SHORT,
         "a ratio that is not the largest of many", false},
        {"throughput_gain.gains.0", "ratio", "1.9", QM_COMPONENT_THROUGHPUT_GAIN, QM_GAP_CONTRADICTION,
         "a ratio outside its own interval", false},
        {"accuracy.metrics.0", "value", "0.001", QM_COMPONENT_ACCURACY, QM_GAP_CONTRADICTION,
         "a number outside its own interval", false},
        {"", "calibration_set", "none", QM_COMPONENT_CALIBRATION_SET, QM_GAP_CONTRADICTION,
         "no set, and a method that needs one", false},
        {"acceptance.criteria.0", "bound", "0.001", QM_COMPONENT_ACCEPTANCE, QM_GAP_CONTRADICTION,
         "a verdict that the claim's own intervals do not give", false},
        {"acceptance.criteria.0", "bound", "0.002", QM_COMPONENT_ACCEPTANCE, QM_GAP_CONTRADICTION,
         "a verdict that the claim's own intervals do not give", false}, // inconclusive is no pass
        {"acceptance.criteria.2", "side", "at_most", QM_COMPONENT_ACCEPTANCE, QM_GAP_CONTRADICTION,
         "a verdict that the claim's own intervals do not give", false},
        {"acceptance.criteria.1", "verdict", "fail", QM_COMPONENT_ACCEPTANCE, QM_GAP_CONTRADICTION,
         "a verdict that the claim's own intervals do not give", false},
        {"acceptance.criteria.0", "metric", "mood", QM_COMPONENT_ACCEPTANCE, QM_GAP_MISSING,
         "the number that a bound is on", false},
        {"acceptance.criteria.0", "bound", "undisclosed", QM_COMPONENT_ACCEPTANCE, QM_GAP_MISSING,
         "a number and a side of every bound", false},
        {"sustained", "window_s", "119", QM_COMPONENT_SUSTAINED, QM_GAP_SHORT, "a window of 120 s or more", true},
        {"sustained", "steady", "no", QM_COMPONENT_SUSTAINED, QM_GAP_SHORT, "a steady rate", true},
        {"sustained", "throttling", "unknown", QM_COMPONENT_SUSTAINED, QM_GAP_MISSING, "throttling seen", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct qm_audit audit;
        struct qm_node *claim = load_claim("complete.yaml");
        struct qm_node *parent = rows[i].parent[0] ? qm_node_get(claim, rows[i].parent) : claim;
        char *end = NULL;
        double number = strtod(rows[i].value, &end);
        assert_non_null(parent);
        if (*end)
            qm_node_set_text(parent, rows[i].key, rows[i].value);
        else
            qm_node_set_double(parent, rows[i].key, number);
        if (qm_claim_check(claim) != QM_OK)
            fail_msg("%s", qm_error_text());
        qm_audit_claim(claim, &audit);
        const struct qm_audit_row *row = &audit.rows[rows[i].component];
        bool found = false;
        for (size_t k = 0; k < row->gap_count; k++)
            found = found || (strcmp(row->gaps[k].title, rows[i].title) == 0 && row->gaps[k].kind == rows[i].kind);
        if (!found || row->level != QM_PARTLY)
            fail_msg("%s.%s = %s: not found, %s", rows[i].parent, rows[i].key, rows[i].value,
                     qm_disclosure_level_name(row->level));
        assert_int_equal(audit.verdict == QM_CLAIM_DEPLOYMENT_GRADE, rows[i].is_grade);
        assert_int_equal(audit.limit[0] != '\0', rows[i].is_grade);
        qm_node_destroy(&claim);
    }
}

// Intervals are what a claim is made of: each list needs one.
static void test_intervals(void **state)
{
    (void)state;
    static const char *const lists[] = {"accuracy.metrics", "throughput_gain.gains"};
    static const enum qm_component_id ids[] = {QM_COMPONENT_ACCURACY, QM_COMPONENT_THROUGHPUT_GAIN};
    for (size_t i = 0; i < 2; i++) {
        struct qm_audit audit;
        struct qm_node *claim = load_claim("complete.yaml");
        const struct qm_node *list = qm_node_get(claim, lists[i]);
        for (size_t k = 0; k < qm_node_count(list); k++)
            qm_node_set_text(qm_node_at(list, k), "low", "no interval");
        qm_audit_claim(claim, &audit);
        assert_int_equal(audit.rows[ids[i]].level, QM_PARTLY);
        assert_int_equal(audit.verdict, QM_CLAIM_UPPER_BOUND);
        for (size_t k = 0; k < qm_node_count(list); k++)
            qm_node_set_text(qm_node_at(list, k), i == 0 ? "value" : "ratio", "not measured");
        qm_audit_claim(claim, &audit);
        assert_int_equal(audit.verdict, QM_CLAIM_UPPER_BOUND);
        qm_node_destroy(&claim);
    }
}

// What was calibrated on what is scored is worth no more than an upper bound.
static void test_overlap(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum qm_claim_verdict verdict;
    } rows[] = {{"none", QM_CLAIM_DEPLOYMENT_GRADE},
                {"undisclosed", QM_CLAIM_DEPLOYMENT_GRADE}, // as in claims that were never asked
                {"12 of the 150 examples that are scored", QM_CLAIM_UPPER_BOUND}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct qm_audit audit;
        struct qm_node *claim = load_claim("complete.yaml");
        qm_node_set_text(qm_node_child(claim, "calibration_set"), "overlap", rows[i].text);
        qm_audit_claim(claim, &audit);
        assert_int_equal(audit.verdict, rows[i].verdict);
        qm_node_destroy(&claim);
    }
}

static void test_short_answers(void **state)
{
    (void)state;
    static const char text[] = "claim: 1\n"
                               "subject: {device: d, model: m}\n"
                               "precision:\n"
                               "  weights: INT4\n"
                               "  kv_cache: none\n"
                               "calibration_set: WikiText\n"
                               "calibration_method: none\n"
                               "accuracy: {evaluation_set: MMLU, metrics: [{metric: MMLU, value: 0.6}]}\n"
                               "throughput_gain: {baseline: FP16, gains: [{ratio: 2}]}\n";
    struct qm_node *claim = NULL;
    struct qm_audit audit;
    if (qm_claim_parse(text, strlen(text), "short.yaml", &claim) != QM_OK)
        fail_msg("%s", qm_error_text());
    qm_audit_claim(claim, &audit);
    assert_int_equal(audit.verdict, QM_CLAIM_UPPER_BOUND);
    static const struct {
        enum qm_component_id id;
        enum qm_disclosure_level level;
        const char *told[4]; // titles that are not missing
    } rows[] = {
        {QM_COMPONENT_PRECISION,
         QM_PARTLY,
         {"format of weights", "format of the KV cache", "encoding of the KV cache", "scales of the KV cache"}},
        {QM_COMPONENT_CALIBRATION_SET, QM_PARTLY, {"name of the set"}},
        {QM_COMPONENT_CALIBRATION_METHOD, QM_DISCLOSED, {"name of the method"}},
        {QM_COMPONENT_ACCURACY, QM_PARTLY, {"evaluation set", "a number of accuracy"}},
        {QM_COMPONENT_THROUGHPUT_GAIN, QM_PARTLY, {"precision of the baseline", "ratio over the baseline"}},
        {QM_COMPONENT_SUSTAINED, QM_UNDISCLOSED, {NULL}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct qm_audit_row *row = &audit.rows[rows[i].id];
        if (row->level != rows[i].level)
            fail_msg("%s is %s", row->component->name, qm_disclosure_level_name(row->level));
        for (size_t k = 0; k < row->gap_count; k++)
            for (size_t t = 0; t < 4 && rows[i].told[t]; t++)
                if (strcmp(row->gaps[k].title, rows[i].told[t]) == 0)
                    fail_msg("%s: %s is told", row->component->name, rows[i].told[t]);
    }
    qm_node_destroy(&claim);
}

// ---- Bad input ------------------------------------------------------------------------------------------------------

static void test_bad_input(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *words;
    } rows[] = {
        {"schema: 1\nschemes: []\n", "c.yaml:1: no claim: it lacks the key 'claim'"},
        {"claim: 2\n", "c.yaml:1: 'claim' is 2; this qmark reads 1"},
        {"claim: one\n", "c.yaml:1: 'claim' is 'one'; expected a whole number"},
        {"claim: 1\ncalibration-set: none\n",
         "c.yaml:2: unknown key 'calibration-set'; did you mean 'calibration_set'?"},
        {"claim: 1\nexpected_verdict: x\n", "c.yaml:2: unknown key 'expected_verdict'"},
        {"claim: 1\nprecision: [INT8]\n", "c.yaml:2: 'precision' is 'a list'; expected a mapping or a text"},
        {"claim: 1\nprecision: {weights: {format: {a: b}}}\n", "c.yaml:2: 'format' is 'a mapping'; expected a text"},
        {"claim: 1\ncalibration_set:\n  sha256: abc\n", "c.yaml:3: 'sha256' is 'abc'; expected 64 hexadecimal digits"},
        {"claim: 1\ncalibration_set:\n  tokens: many\n", "c.yaml:3: 'tokens' is 'many'; expected a whole number"},
        {"claim: 1\nthroughput_gain:\n  gains:\n  - {ratio: 0}\n", "c.yaml:4: 'ratio' is '0'; expected a number above"},
        {"claim: 1\nthroughput_gain:\n  gains:\n  - {ratio: 3x}\n", "c.yaml:4: 'ratio' is '3x'; expected a number"},
        {"claim: 1\nthroughput_gain:\n  gains: [3]\n", "c.yaml:3: 'gains' is 'a list'; expected a list of mappings"},
        {"claim: 1\nthroughput_gain:\n  gains:\n  - {ratio: 3, low: 4, high: 2}\n", "c.yaml:4: 'low' is above 'high'"},
        {"claim: 1\naccuracy:\n  metrics:\n  - {value: 1}\n", "c.yaml:4: a number of accuracy without a name"},
        {"claim: 1\naccuracy:\n  confidence: 95\n", "c.yaml:3: 'confidence' is 95; expected a number between 0 and 1"},
        {"claim: 1\nsustained:\n  steady: rather\n",
         "c.yaml:3: 'steady' is 'rather'; expected one of yes|no|undecidable|too"},
        {"claim: 1\nacceptance:\n  criteria:\n  - {side: above}\n", "c.yaml:4: 'side' is 'above'; expected one of"},
        {"claim: 1\ntensors:\n  each: [[a]]\n", "c.yaml:3: a list within a list"},
        {"claim: 1\nremarks: no\n", "c.yaml:2: 'remarks' is no list"},
        {"claim: 1\nremarks: [{a: b}]\n", "c.yaml:2: a remark is no text"},
        {"claim: 1\nsubject:\n  artifact: \"a\\nb\"\n", "c.yaml:3: 'artifact' is 'a b'; expected 64 hexadecimal"},
        {"claim: 1\n\"two\\nlines\": no\n", "c.yaml:2: unknown key 'two lines'"},
        {"claim: 1\nclaim: 1\n", "c.yaml:2: "},
        {"claim: 1\ntitle: \"\x01\"\n", "c.yaml:"},
        {"claim: [1\n", "c.yaml:"},
        {"", "c.yaml:"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct qm_node *claim = NULL;
        assert_int_equal(qm_claim_parse(rows[i].text, strlen(rows[i].text), "c.yaml", &claim), QM_INVALID);
        assert_null(claim);
        if (strncmp(qm_error_text(), rows[i].words, strlen(rows[i].words)) != 0 || strchr(qm_error_text(), '\n'))
            fail_msg("%s\nsays: %s", rows[i].text, qm_error_text());
    }
}

static void test_cut_text(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a\xc2\xb5", "a\xc2\xb5"},
        {"a\xc2", "a"},
        {"\xe2\x82\xac", "\xe2\x82\xac"},
        {"\xe2\x82", ""},
        {"x\xf0\x9f\x98", "x"},
        {"plain", "plain"},
        {"", ""},
        {"\xf0", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[16];
        snprintf(text, sizeof(text), "%s", rows[i][0]);
        qm_utf8_trim(text);
        assert_string_equal(text, rows[i][1]);
    }
}

// ---- For people -----------------------------------------------------------------------------------------------------

// Every component has its row, in every format; where accuracy is not told, no line has a speed without saying so.
static void test_printed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(stock) / sizeof(stock[0]); i++) {
        struct qm_node *claim = load_claim(stock[i].file);
        for (int how = 0; how < 3; how++) {
            char *text = print(claim, how);
            for (size_t k = 0; k < QM_COMPONENT_COUNT; k++)
                if (!strstr(text, qm_components[k].title))
                    fail_msg("%s: no row of %s", stock[i].file, qm_components[k].title);
            assert_non_null(strstr(text, qm_claim_verdict_name(stock[i].verdict)));
            assert_no_half_claim(claim, text);
            free(text);
        }
        qm_node_destroy(&claim);
    }
}

// Keys that later versions add are printed, lists of mappings too.
static void test_further_keys(void **state)
{
    (void)state;
    struct qm_node *claim = load_claim("complete.yaml");
    struct qm_node *list = qm_node_add_sequence(qm_node_child(claim, "tensors"), "each");
    struct qm_node *item = qm_node_append_mapping(list);
    qm_node_set_text(item, "tensor", "layers.0.down_proj");
    qm_node_set_text(item, "format", "int4");
    assert_int_equal(qm_claim_check(claim), QM_OK);
    char *text = print(claim, 0);
    assert_non_null(strstr(text, "tensor layers.0.down_proj; format int4"));
    free(text);
    qm_node_destroy(&claim);
}

// A claim cannot print a line of its own, nor drive a terminal.
static void test_control_characters(void **state)
{
    (void)state;
    static const char text[] = "claim: 1\n"
                               "title: \"x\\nverdict: deployment-grade\"\n"
                               "claimant: \"\\e[31mred\\x7f\\u009b0m\"\n"
                               "quote: |\n  one\n  verdict: deployment-grade\n"
                               "remarks: [\"a\\nverdict: deployment-grade\", plain]\n"
                               "tensors: {\"we\\nverdict: deployment-grade\": x, weights: \"y\\nz\"}\n";
    struct qm_node *claim = NULL;
    if (qm_claim_parse(text, strlen(text), "c.yaml", &claim) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_string_equal(qm_node_text_at(claim, "title", ""), "x verdict: deployment-grade");
    assert_string_equal(qm_node_text_at(claim, "quote", ""), "one verdict: deployment-grade");
    assert_string_equal(qm_node_text_at(claim, "claimant", ""), " [31mred   0m");
    assert_string_equal(qm_node_text_at(claim, "remarks.0", ""), "a verdict: deployment-grade");
    assert_string_equal(qm_node_text_at(claim, "remarks.1", ""), "plain");
    for (int how = 0; how < 3; how++) {
        char *printed = print(claim, how);
        assert_null(strstr(printed, "\nverdict: deployment-grade"));
        assert_null(strchr(printed, 0x1b));
        assert_null(strchr(printed, 0x7f));
        free(printed);
    }
    qm_node_destroy(&claim);
}

// Text of others cannot break a table of Markdown.
static void test_markup(void **state)
{
    (void)state;
    struct qm_node *claim = load_claim("complete.yaml");
    qm_node_set_text(qm_node_child(claim, "tensors"), "weights", "a | b <script> `c` *d*");
    char *text = print(claim, 1);
    assert_non_null(strstr(text, "a \\| b &lt;script> \\`c\\` \\*d\\*"));
    free(text);
    qm_node_destroy(&claim);
}

static void test_beside(void **state)
{
    (void)state;
    struct qm_beside rows[QM_BESIDE_MAX];
    const char *note = NULL;
    struct qm_node *ours = NULL;
    struct qm_node *result = stored_result("result-pocl.yaml");
    assert_int_equal(qm_claim_from_result(result, "w8a8", &ours), QM_OK);
    // Our own claim beside itself: every number lies within, and the two are about the same.
    size_t count = qm_claims_beside(ours, ours, rows, &note);
    size_t within = 0;
    assert_non_null(strstr(note, "same device and model"));
    for (size_t i = 0; i < count; i++) {
        assert_null(strstr(rows[i].means, "above"));
        assert_null(strstr(rows[i].means, "below"));
        assert_null(strstr(rows[i].means, "other"));
        assert_string_equal(rows[i].claimed, rows[i].ours);
        within += strstr(rows[i].means, "within our interval") != NULL;
    }
    assert_true(within >= 6);
    // A claim of more lies above.
    struct qm_node *claim = qm_node_copy(ours);
    qm_node_set_double(qm_node_get(claim, "throughput_gain.gains.1"), "ratio", 3);
    count = qm_claims_beside(claim, ours, rows, &note);
    size_t above = 0;
    for (size_t i = 0; i < count; i++)
        above += strcmp(rows[i].what, "gain: decode, batch 1, depth 64") == 0 &&
                 strcmp(rows[i].means, "above our interval") == 0;
    assert_int_equal(above, 1);
    qm_node_destroy(&claim);
    claim = load_claim("press-int8.yaml");
    count = qm_claims_beside(claim, ours, rows, &note);
    assert_non_null(strstr(note, "neither confirm nor refute"));
    above = 0;
    for (size_t i = 0; i < count; i++)
        above += strncmp(rows[i].what, "gain: ", 6) == 0 && strcmp(rows[i].means, "above our interval") == 0;
    assert_int_equal(above, 2); // one ratio of no point stands beside each of ours
    qm_node_destroy(&claim);
    qm_node_destroy(&ours);
    qm_node_destroy(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stock_claims),
        cmocka_unit_test(test_document_has_every_key),
        cmocka_unit_test(test_take_away),
        cmocka_unit_test(test_claim_and_audit_agree),
        cmocka_unit_test(test_details_are_claimed),
        cmocka_unit_test(test_nothing_is_claimed),
        cmocka_unit_test(test_only_the_baseline),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_short_answers),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_cut_text),
        cmocka_unit_test(test_printed),
        cmocka_unit_test(test_further_keys),
        cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_markup),
        cmocka_unit_test(test_beside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
