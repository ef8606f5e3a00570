// Comparing results: each disclosed field is flipped in turn; the verdict and the named field are what they must be.
#include "record/compare.h"
#include "record/compare_rates.h"
#include "record/result.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/stored_result.h"

static void test_equal(void **state)
{
    (void)state;
    struct qm_comparison comparison;
    struct qm_node *a = stored_result("result-example.yaml");
    assert_int_equal(qm_compare(a, a, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_COMPARABLE);
    assert_int_equal(comparison.count, 0);
    qm_comparison_free(&comparison);

    // What is undisclosed on both sides may be anything.
    struct qm_node *b = stored_result("result-example.yaml");
    qm_node_set_text(qm_node_get(a, "schemes.1.disclosure"), "evaluation_set", "undisclosed");
    qm_node_set_text(qm_node_get(b, "schemes.1.disclosure"), "evaluation_set", "undisclosed");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_COMPARABLE_WITH_NOTES);
    assert_int_equal(comparison.count, 1);
    assert_non_null(strstr(comparison.differences[0].why, "undisclosed on both sides"));
    qm_comparison_free(&comparison);

    // A row that failed on one side is a note, whatever else it lacks.
    qm_node_destroy(&b);
    b = stored_result("result-example.yaml");
    qm_node_destroy(&a);
    a = stored_result("result-example.yaml");
    qm_node_set_text(qm_node_get(b, "schemes.0"), "status", "failed");
    qm_node_set_text(qm_node_get(b, "schemes.0"), "reason", "the device was lost");
    qm_node_remove(qm_node_get(b, "schemes.0"), "throughput");
    qm_node_set_text(qm_node_get(b, "schemes.0"), "artifact", "absent");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_COMPARABLE_WITH_NOTES);
    assert_int_equal(comparison.count, 2);
    qm_node_destroy(&b);
    qm_comparison_free(&comparison);
    qm_node_destroy(&a);
}

static void test_two_devices(void **state)
{
    (void)state;
    struct qm_comparison comparison;
    struct qm_node *a = stored_result("result-example.yaml");
    struct qm_node *b = stored_result("result-other-device.yaml");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_COMPARABLE_WITH_NOTES);
    assert_int_equal(comparison.differences[0].class, QM_DIFFERENCE_NOTE);
    bool has_driver = false;
    for (size_t i = 0; i < comparison.count; i++)
        if (strcmp(comparison.differences[i].path, "device.driver") == 0) {
            has_driver = true;
            assert_int_equal(comparison.differences[i].class, QM_DIFFERENCE_SUBJECT);
            assert_string_equal(comparison.differences[i].a, "llvmpipe");
            assert_string_equal(comparison.differences[i].b, "Portable Computing Language");
        }
    assert_true(has_driver);
    qm_comparison_free(&comparison);
    qm_node_destroy(&a);
    qm_node_destroy(&b);
}

static struct {
    struct qm_node *a;
    struct qm_node *b;
    size_t flipped;
    size_t fatal;
} flips;

// Sets a scalar of b to something else, compares, and puts it back.
static void flip(struct qm_node *parent, const char *key, const struct qm_node *leaf, const char *path)
{
    struct qm_comparison comparison;
    struct qm_node *old = qm_node_copy(leaf);
    const char *why = NULL;
    enum qm_difference_class class = qm_compare_rule(path, &why);
    qm_node_set_text(parent, key, "flipped");
    assert_int_equal(qm_compare(flips.a, flips.b, &comparison), QM_OK);
    const struct qm_difference *found = NULL;
    for (size_t i = 0; i < comparison.count; i++)
        if (strcmp(comparison.differences[i].path, path) == 0 && strcmp(comparison.differences[i].b, "flipped") == 0)
            found = &comparison.differences[i];
    if (class == QM_DIFFERENCE_IGNORED) {
        assert_null(found);
    } else {
        if (!found)
            fail_msg("%s: the difference was not found", path);
        assert_int_equal(found->class, class);
        assert_true(found->why[0] != '\0');
    }
    enum qm_comparison_verdict verdict = class == QM_DIFFERENCE_FATAL  ? QM_NOT_COMPARABLE
                                         : class == QM_DIFFERENCE_NOTE ? QM_COMPARABLE_WITH_NOTES
                                                                       : QM_COMPARABLE;
    if (comparison.verdict != verdict)
        fail_msg("%s: %s", path, qm_comparison_verdict_name(comparison.verdict));
    if (class == QM_DIFFERENCE_FATAL)
        assert_int_equal(comparison.differences[0].class, QM_DIFFERENCE_FATAL); // they stand first
    flips.flipped++;
    flips.fatal += class == QM_DIFFERENCE_FATAL;
    qm_comparison_free(&comparison);
    qm_node_set_node(parent, key, old);
}

static void flip_all(struct qm_node *node, const char *path)
{
    for (size_t i = 0; i < qm_node_count(node); i++) {
        char below[256];
        struct qm_node *child = qm_node_at(node, i);
        char *key = strdup(qm_node_key(child));
        snprintf(below, sizeof(below), "%s%s%s", path, *path ? "." : "", key);
        if (qm_node_is_mapping(child))
            flip_all(child, below);
        else if (qm_node_is_text(child) && strcmp(qm_node_text(child), "undisclosed") != 0)
            flip(node, key, child, below);
        free(key);
    }
}

static void flip_file(const char *file)
{
    flips.a = stored_result(file);
    flips.b = stored_result(file);
    static const char *const parts[] = {"", "schemes.0", "schemes.1"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char path[64] = "";
        struct qm_node *node = parts[i][0] ? qm_node_get(flips.b, parts[i]) : flips.b;
        if (parts[i][0])
            snprintf(path, sizeof(path), "schemes[%s]", qm_node_text_at(node, "name", ""));
        if (!parts[i][0]) {
            flip_all(node, path);
            continue;
        }
        // The name decides which rows are matched; everything but it is flipped.
        static const char *const keys[] = {"identity", "artifact",  "disclosure",     "accuracy",
                                           "memory",   "sustained", "latency_bounded"};
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
            char below[128];
            struct qm_node *child = qm_node_child(node, keys[k]);
            snprintf(below, sizeof(below), "%s.%s", path, keys[k]);
            if (qm_node_is_mapping(child))
                flip_all(child, below);
            else if (child)
                flip(node, keys[k], child, below);
        }
    }
    qm_node_destroy(&flips.a);
    qm_node_destroy(&flips.b);
}

static void test_flip_each_field(void **state)
{
    (void)state;
    flip_file("result-example.yaml");
    assert_true(flips.flipped > 150);
    assert_true(flips.fatal > 60);
    size_t older = flips.flipped;
    flip_file("result-sustained.yaml"); // with sustained runs, noise, clocks and conditions
    assert_true(flips.flipped > older + 300);
}

static void test_rules(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum qm_difference_class class;
    } rows[] = {
        {"model.sha256", QM_DIFFERENCE_FATAL},
        {"model.widen", QM_DIFFERENCE_FATAL},
        {"device.name", QM_DIFFERENCE_SUBJECT},
        {"device.limits.invocations", QM_DIFFERENCE_SUBJECT},
        {"run.class", QM_DIFFERENCE_NOTE},
        {"run.started", QM_DIFFERENCE_IGNORED},
        {"profile.evaluation.seed", QM_DIFFERENCE_FATAL},
        {"profile.policy.submission_ms", QM_DIFFERENCE_FATAL},
        {"profile.tier", QM_DIFFERENCE_NOTE},
        {"profile.tiles", QM_DIFFERENCE_FATAL},
        {"profile.acceptance.at_most.kl_divergence_mean", QM_DIFFERENCE_NOTE},
        {"schemes[w4a16-g32]", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].status", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].artifact.id", QM_DIFFERENCE_FATAL},
        {"schemes[w8a8].artifact", QM_DIFFERENCE_FATAL},
        {"schemes[w8a8].artifact.layout", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].disclosure.evaluation_set.sha256", QM_DIFFERENCE_FATAL},
        {"schemes[w8a8].disclosure.evaluation_set", QM_DIFFERENCE_FATAL},
        {"schemes[w8a8].disclosure.tool_chain.kernel_hash", QM_DIFFERENCE_FATAL},
        {"schemes[w8a8].disclosure.tool_chain.driver", QM_DIFFERENCE_SUBJECT},
        {"schemes[w8a8].disclosure.tool_chain.timer", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].accuracy.kl_divergence.mean", QM_DIFFERENCE_SUBJECT},
        {"schemes[w8a8].accuracy", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].accuracy.details", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].accuracy.details[kl_divergence_p99.9]", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].accuracy.details[kl_divergence_p99.9].value", QM_DIFFERENCE_SUBJECT},
        {"schemes[w8a8].accuracy.details[source_kl].tokens", QM_DIFFERENCE_FATAL},
        {"schemes[w8a8].accuracy.details[source_kl].reference", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].accuracy.exact_match.non_inferiority[0.999].verdict", QM_DIFFERENCE_SUBJECT},
        {"schemes[w8a8].accuracy.sets", QM_DIFFERENCE_FATAL},
        {"schemes[w8a8].accuracy.sets.spread", QM_DIFFERENCE_SUBJECT},
        {"schemes[w8a8].accuracy.sets.seeds[7]", QM_DIFFERENCE_FATAL},
        {"schemes[w8a8].throughput[decode 1 64].rate_tokens_per_s", QM_DIFFERENCE_SUBJECT},
        {"schemes[w8a8].throughput[decode 1 64].tier", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].throughput[decode 1 64].protocol", QM_DIFFERENCE_FATAL},
        {"schemes[w8a8].throughput[decode 1 64]", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].kernels[matmul 512x768.5x256].hash", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].kernels[matmul 512x768x256].time_us", QM_DIFFERENCE_SUBJECT},
        {"never.heard.of", QM_DIFFERENCE_NOTE},
        {"timing", QM_DIFFERENCE_NOTE},
        {"timing.noise_floor.deviation", QM_DIFFERENCE_SUBJECT},
        {"timing.device_timer.verdict", QM_DIFFERENCE_NOTE},
        {"timing.order_seed", QM_DIFFERENCE_IGNORED},
        {"compile.milliseconds", QM_DIFFERENCE_SUBJECT},
        {"conditions.warnings[governor]", QM_DIFFERENCE_NOTE},
        {"conditions.load", QM_DIFFERENCE_SUBJECT},
        {"profile.sustained.seconds", QM_DIFFERENCE_NOTE},
        {"profile.gate.tolerance", QM_DIFFERENCE_IGNORED},
        {"profile.timing.precision", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].sustained.steady", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].sustained.rate", QM_DIFFERENCE_SUBJECT},
        {"schemes[w8a8].sustained.telemetry.power_w.mean", QM_DIFFERENCE_SUBJECT},
        {"schemes[w8a8].latency_bounded.p99_ms_at_most", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].latency_bounded.batch", QM_DIFFERENCE_SUBJECT},
        {"schemes[w8a8].throughput[decode 1 64].oddities", QM_DIFFERENCE_SUBJECT},
        {"schemes[w8a8].throughput[decode 1 64].stopped", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].throughput[prefill 1 64].time_to_first_token_ms.p50", QM_DIFFERENCE_SUBJECT},
        {"profile.deployment", QM_DIFFERENCE_NOTE},
        {"profile.deployment.sha256", QM_DIFFERENCE_FATAL},
        {"profile.deployment.bounds.token_ms", QM_DIFFERENCE_FATAL},
        {"profile.deployment.prompt_tokens.fixed", QM_DIFFERENCE_IGNORED},
        {"profile.deployment.trace_sha256", QM_DIFFERENCE_IGNORED},
        {"schemes[w8a8].deployment.rounds", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].deployment.check.median_bound", QM_DIFFERENCE_NOTE},
        {"schemes[w8a8].deployment.within.value", QM_DIFFERENCE_SUBJECT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (qm_compare_rule(rows[i].path, NULL) != rows[i].class)
            fail_msg("%s is judged %s", rows[i].path, qm_difference_class_name(qm_compare_rule(rows[i].path, NULL)));
}

// Every key of the format has a rule of its own.
static void test_every_key_has_a_rule(void **state)
{
    (void)state;
    const char *unknown = NULL;
    qm_compare_rule("never.heard.of", &unknown);
    for (size_t i = 0; qm_result_table_path(i); i++) {
        char path[256] = "";
        for (const char *c = qm_result_table_path(i); *c; c++)
            snprintf(path + strlen(path), sizeof(path) - strlen(path), *c == '[' ? "[x" : "%c", *c);
        const char *why = NULL;
        qm_compare_rule(path, &why);
        static const char *const always_there[] = {"qmark", "run",     "host",    "device",
                                                   "model", "profile", "schemes", "schemes[x].name"};
        bool known = why != unknown;
        for (size_t k = 0; k < sizeof(always_there) / sizeof(always_there[0]); k++)
            known = known || strcmp(path, always_there[k]) == 0;
        if (!known)
            fail_msg("%s has no rule", path);
    }
}

static const struct qm_difference *find(const struct qm_comparison *comparison, const char *path)
{
    for (size_t i = 0; i < comparison->count; i++)
        if (strcmp(comparison->differences[i].path, path) == 0)
            return &comparison->differences[i];
    return NULL;
}

// Details are matched by their names, wherever they stand; a result of an older qmark has none and is comparable.
static void test_details(void **state)
{
    (void)state;
    struct qm_comparison comparison;
    struct qm_node *a = stored_result("result-sets.yaml");
    struct qm_node *b = stored_result("result-sets.yaml");
    struct qm_node *accuracy = qm_node_get(b, "schemes.1.accuracy");
    struct qm_node *moved = qm_node_new_sequence();
    const struct qm_node *details = qm_node_child(accuracy, "details");
    for (size_t i = qm_node_count(details); i-- > 0;)
        qm_node_append_node(moved, qm_node_copy(qm_node_at(details, i)));
    qm_node_set_node(accuracy, "details", moved);
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.count, 0);
    qm_comparison_free(&comparison);
    struct qm_node *last = qm_node_at(qm_node_child(accuracy, "details"), 0);
    assert_string_equal(qm_node_text_at(last, "metric", ""), "greedy_first_difference");
    qm_node_set_u64(last, "value", 77);
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.count, 1);
    assert_non_null(find(&comparison, "schemes[w4a16-g32].accuracy.details[greedy_first_difference].value"));
    assert_int_equal(comparison.verdict, QM_COMPARABLE);
    qm_comparison_free(&comparison);

    qm_node_remove(accuracy, "details");
    qm_node_remove(qm_node_child(accuracy, "exact_match"), "non_inferiority");
    assert_int_equal(qm_result_check(b), QM_OK);
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.count, 2);
    assert_non_null(find(&comparison, "schemes[w4a16-g32].accuracy.details"));
    assert_non_null(find(&comparison, "schemes[w4a16-g32].accuracy.exact_match.non_inferiority"));
    assert_int_equal(comparison.verdict, QM_COMPARABLE_WITH_NOTES);
    qm_comparison_free(&comparison);
    qm_node_destroy(&a);
    qm_node_destroy(&b);
}

static void test_nothing_in_common(void **state)
{
    (void)state;
    struct qm_comparison comparison;
    struct qm_node *a = stored_result("result-example.yaml");
    struct qm_node *b = stored_result("result-example.yaml");
    struct qm_node *only = qm_node_new_sequence();
    qm_node_append_node(only, qm_node_copy(qm_node_get(a, "schemes.0")));
    qm_node_set_text(qm_node_at(only, 0), "name", "f32");
    qm_node_set_node(b, "schemes", only);
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_NOT_COMPARABLE);
    qm_comparison_free(&comparison);
    qm_node_destroy(&a);
    qm_node_destroy(&b);
}

static const struct qm_scheme_comparison *scheme_of(const struct qm_comparison *comparison, const char *name)
{
    for (size_t i = 0; i < comparison->scheme_count; i++)
        if (strcmp(comparison->schemes[i].name, name) == 0)
            return &comparison->schemes[i];
    fail_msg("no scheme %s", name);
    return NULL;
}

static size_t rates_of(const struct qm_comparison *comparison, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < comparison->rate_count; i++)
        count += strcmp(comparison->schemes[comparison->rates[i].scheme].name, name) == 0;
    return count;
}

// A difference within one scheme is one of that scheme; any other is one of all.
static void test_schemes_on_their_own(void **state)
{
    (void)state;
    struct qm_comparison comparison;
    struct qm_node *a = stored_result("result-pocl.yaml");
    struct qm_node *b = stored_result("result-pocl.yaml");
    struct qm_node *chain = qm_node_get(b, "schemes.1.disclosure.tool_chain");
    assert_string_equal(qm_node_text_at(b, "schemes.1.name", ""), "w8a8");
    qm_node_set_text(chain, "kernel_hash", "0000000000000000000000000000000000000000000000000000000000000000");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_NOT_COMPARABLE);
    assert_int_equal(comparison.pair, QM_COMPARABLE_WITH_NOTES);
    assert_int_equal(scheme_of(&comparison, "w8a8")->verdict, QM_NOT_COMPARABLE);
    assert_string_equal(scheme_of(&comparison, "w8a8")->why, "not the same arithmetic");
    assert_int_not_equal(scheme_of(&comparison, "f16")->verdict, QM_NOT_COMPARABLE);
    assert_int_equal(rates_of(&comparison, "w8a8"), 0);
    assert_int_equal(rates_of(&comparison, "f16"), 2);
    qm_comparison_free(&comparison);

    // All schemes, each on its own account: nothing is left of the pair.
    for (size_t i = 0; i < 3; i++)
        qm_node_set_text(qm_node_get(qm_node_at(qm_node_child(b, "schemes"), i), "artifact"), "id",
                         "0000000000000000000000000000000000000000000000000000000000000000");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.pair, QM_NOT_COMPARABLE);
    assert_int_equal(comparison.rate_count, 0);
    qm_comparison_free(&comparison);
    qm_node_destroy(&b);

    // Another model is one of all, and every scheme says so.
    b = stored_result("result-pocl.yaml");
    qm_node_set_text(qm_node_child(b, "model"), "sha256",
                     "0000000000000000000000000000000000000000000000000000000000000000");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.pair, QM_NOT_COMPARABLE);
    for (size_t i = 0; i < comparison.scheme_count; i++) {
        assert_int_equal(comparison.schemes[i].verdict, QM_NOT_COMPARABLE);
        assert_string_equal(comparison.schemes[i].why, "not the same model");
    }
    assert_int_equal(comparison.rate_count, 0);
    qm_comparison_free(&comparison);
    qm_node_destroy(&b);

    // A scheme without a speed on one side has no ratio, and spoils nothing.
    b = stored_result("result-pocl.yaml");
    qm_node_set_text(qm_node_get(b, "schemes.1"), "status", "failed");
    qm_node_set_text(qm_node_get(b, "schemes.1"), "reason", "the device was lost");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.pair, QM_COMPARABLE_WITH_NOTES);
    assert_string_equal(scheme_of(&comparison, "w8a8")->why, "no speed on one side");
    assert_int_equal(rates_of(&comparison, "w8a8"), 0);
    qm_comparison_free(&comparison);
    qm_node_destroy(&a);
    qm_node_destroy(&b);
}

static void assert_near(double value, double expected)
{
    if (!(value > expected * (1 - 1e-12) && value < expected * (1 + 1e-12)))
        fail_msg("%.17g where %.17g was expected", value, expected);
}

// The ratio of two rates, by hand: ln 2 -+ sqrt(0.03^2 + 0.04^2) where the sides are 3 % and 4 % wide.
static void test_ratio(void **state)
{
    (void)state;
    struct qm_rate a = {.value = 100, .has_interval = true, .low = 100 * exp(-0.04), .high = 100 * exp(0.04)};
    struct qm_rate b = {.value = 200, .has_interval = true, .low = 200 * exp(-0.03), .high = 200 * exp(0.12)};
    struct qm_rate ratio = qm_rate_over(&b, &a);
    assert_near(ratio.value, 2);
    assert_near(ratio.low, 2 * exp(-0.05));
    assert_near(ratio.high, 2 * exp(sqrt(0.12 * 0.12 + 0.04 * 0.04)));
    a.has_interval = false;
    ratio = qm_rate_over(&b, &a);
    assert_near(ratio.value, 2);
    assert_false(ratio.has_interval);
}

// Device time is held against device time, and wall time against wall time.
static void test_timers(void **state)
{
    (void)state;
    struct qm_comparison comparison;
    struct qm_node *a = stored_result("result-pocl.yaml");
    struct qm_node *b = stored_result("result-pocl.yaml");
    double device = 0, wall = 0;
    struct qm_node *point = qm_node_get(b, "schemes.0.throughput.0");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_string_equal(comparison.rates[0].timer, "device");
    assert_near(comparison.rates[0].ratio.value, 1);
    assert_true(comparison.rates[0].ratio.has_interval);
    assert_true(comparison.rates[0].ratio.low < 1 && comparison.rates[0].ratio.high > 1);
    qm_comparison_free(&comparison);

    assert_true(qm_node_double_at(point, "rate_tokens_per_s", &device));
    assert_true(qm_node_double_at(qm_node_get(a, "schemes.0.throughput.0"), "wall_rate_tokens_per_s", &wall));
    qm_node_set_text(point, "timer", "wall");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_string_equal(comparison.rates[0].timer, "wall");
    assert_near(comparison.rates[0].ratio.value, device / wall); // b's own rate is a wall rate now
    assert_false(comparison.rates[0].ratio.has_interval);        // a's wall rate has none
    qm_comparison_free(&comparison);

    // Without a wall rate there is nothing to hold it against.
    qm_node_set_text(qm_node_get(a, "schemes.0.throughput.0"), "wall_rate_tokens_per_s", "not measured");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(rates_of(&comparison, "f16"), 1);
    qm_comparison_free(&comparison);
    qm_node_destroy(&a);
    qm_node_destroy(&b);
}

static struct qm_node *add_sustained(struct qm_node *result, double rate, const char *steady)
{
    struct qm_node *scheme = qm_node_get(result, "schemes.1");
    struct qm_node *sustained = qm_node_add_mapping(scheme, "sustained");
    qm_node_set_text(sustained, "phase", "decode");
    qm_node_set_u64(sustained, "batch", 1);
    qm_node_set_u64(sustained, "depth", 64);
    qm_node_set_double(sustained, "rate", rate);
    qm_node_set_double(sustained, "low", rate * 0.99);
    qm_node_set_double(sustained, "high", rate * 1.01);
    qm_node_set_text(sustained, "unit", "tokens/s");
    qm_node_set_text(sustained, "steady", steady);
    return sustained;
}

static void test_sustained(void **state)
{
    (void)state;
    struct qm_comparison comparison;
    struct qm_node *a = stored_result("result-pocl.yaml");
    struct qm_node *b = stored_result("result-pocl.yaml");
    add_sustained(a, 100, "yes");
    // An older result has none: one note, and no ratio.
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.pair, QM_COMPARABLE_WITH_NOTES);
    assert_non_null(find(&comparison, "schemes[w8a8].sustained"));
    assert_int_equal(rates_of(&comparison, "w8a8"), 2);
    qm_comparison_free(&comparison);
    struct qm_node *sustained = add_sustained(b, 150, "yes");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(rates_of(&comparison, "w8a8"), 3);
    for (size_t i = 0; i < comparison.rate_count; i++) {
        if (!comparison.rates[i].is_sustained)
            continue;
        assert_near(comparison.rates[i].ratio.value, 1.5);
        assert_true(comparison.rates[i].ratio.has_interval);
        assert_string_equal(comparison.rates[i].timer, "wall");
    }
    qm_comparison_free(&comparison);
    // Not steady on one side, or other work: no ratio.
    static const char *const other[][2] = {{"steady", "too short"}, {"depth", "128"}, {"unit", "samples/s"}};
    for (size_t i = 0; i < 3; i++) {
        struct qm_node *old = qm_node_copy(qm_node_child(sustained, other[i][0]));
        qm_node_set_text(sustained, other[i][0], other[i][1]);
        assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
        assert_int_equal(rates_of(&comparison, "w8a8"), 2);
        assert_int_equal(comparison.pair, QM_COMPARABLE_WITH_NOTES);
        qm_comparison_free(&comparison);
        qm_node_set_node(sustained, other[i][0], old);
    }
    qm_node_destroy(&a);
    qm_node_destroy(&b);
}

// Requests that both sides served have a ratio, without an interval; a plan of which more than the rounds differs forbids all.
static void test_served(void **state)
{
    (void)state;
    struct qm_comparison comparison;
    struct qm_node *sides[2] = {stored_result("result-pocl.yaml"), stored_result("result-pocl.yaml")};
    for (int i = 0; i < 2; i++) {
        struct qm_node *plan = qm_node_add_mapping(qm_node_child(sides[i], "profile"), "deployment");
        qm_node_set_u64(plan, "concurrency", 4);
        qm_node_set_u64(plan, "rounds", 2);
    }
    struct qm_node *rows[2] = {qm_node_get(sides[0], "schemes.1"), qm_node_get(sides[1], "schemes.1")};
    qm_node_set_double(qm_node_add_mapping(rows[0], "deployment"), "output_tokens_per_s", 50);
    assert_int_equal(qm_compare(sides[0], sides[1], &comparison), QM_OK); // one side served nothing
    assert_int_equal(rates_of(&comparison, "w8a8"), 2);
    assert_non_null(find(&comparison, "schemes[w8a8].deployment"));
    qm_comparison_free(&comparison);
    qm_node_set_double(qm_node_add_mapping(rows[1], "deployment"), "output_tokens_per_s", 75);
    assert_int_equal(qm_compare(sides[0], sides[1], &comparison), QM_OK);
    assert_int_equal(rates_of(&comparison, "w8a8"), 3);
    for (size_t i = 0; i < comparison.rate_count; i++) {
        if (!comparison.rates[i].is_deployment)
            continue;
        assert_near(comparison.rates[i].ratio.value, 1.5);
        assert_false(comparison.rates[i].ratio.has_interval);
    }
    qm_comparison_free(&comparison);
    qm_node_set_u64(qm_node_get(sides[1], "profile.deployment"), "rounds", 3);
    assert_int_equal(qm_compare(sides[0], sides[1], &comparison), QM_OK);
    assert_int_equal(rates_of(&comparison, "w8a8"), 3);
    qm_comparison_free(&comparison);
    qm_node_set_u64(qm_node_get(sides[1], "profile.deployment"), "concurrency", 5);
    assert_int_equal(qm_compare(sides[0], sides[1], &comparison), QM_OK);
    assert_int_equal(comparison.pair, QM_NOT_COMPARABLE);
    assert_int_equal(comparison.rate_count, 0);
    qm_comparison_free(&comparison);
    qm_node_destroy(&sides[0]);
    qm_node_destroy(&sides[1]);
}

// ---- Many -----------------------------------------------------------------------------------------------------------

static size_t group_of_two(const struct qm_node *a, const struct qm_node *b)
{
    struct qm_compare_key keys[2];
    size_t groups[2], count = 0;
    assert_int_equal(qm_compare_key_of(a, &keys[0]), QM_OK);
    assert_int_equal(qm_compare_key_of(b, &keys[1]), QM_OK);
    assert_int_equal(qm_compare_group(keys, 2, groups, &count), QM_OK);
    assert_int_equal(groups[0], 0);
    assert_int_equal(groups[1], count - 1);
    qm_compare_key_free(&keys[0]);
    qm_compare_key_free(&keys[1]);
    return count;
}

// Every field of a result, set to something else: two results share a group exactly if their pair can be compared.
static void flip_groups(struct qm_node *a, struct qm_node *b, struct qm_node *node, size_t *fatal)
{
    for (size_t i = 0; i < qm_node_count(node); i++) {
        struct qm_comparison comparison;
        struct qm_node *child = qm_node_at(node, i);
        const char *key = qm_node_key(child);
        if (!qm_node_is_text(child)) {
            flip_groups(a, b, child, fatal);
            continue;
        }
        // What names a row takes it from both sides, which is a note; the groups are stricter there.
        static const char *const names[] = {"name", "status", "phase", "batch", "prompt", "depth", "metric"};
        bool is_name = !key;
        for (size_t k = 0; key && k < sizeof(names) / sizeof(names[0]); k++)
            is_name = is_name || strcmp(key, names[k]) == 0;
        if (is_name)
            continue;
        char *kept = strdup(key);
        struct qm_node *old = qm_node_copy(child);
        qm_node_set_text(node, kept, "flipped");
        assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
        bool is_apart = comparison.pair == QM_NOT_COMPARABLE;
        if (is_apart != (group_of_two(a, b) == 2))
            fail_msg("%s: %s, and the groups say otherwise", kept, qm_comparison_verdict_name(comparison.pair));
        *fatal += is_apart;
        qm_comparison_free(&comparison);
        qm_node_set_node(node, kept, old);
        free(kept);
    }
}

static void test_groups(void **state)
{
    (void)state;
    size_t fatal = 0;
    struct qm_node *a = stored_result("result-example.yaml");
    struct qm_node *b = stored_result("result-example.yaml");
    // One scheme alone, so that what is fatal to it is fatal to the pair.
    for (int side = 0; side < 2; side++) {
        struct qm_node *result = side ? b : a, *only = qm_node_new_sequence();
        qm_node_append_node(only, qm_node_copy(qm_node_get(result, "schemes.1")));
        qm_node_set_node(result, "schemes", only);
    }
    assert_int_equal(group_of_two(a, b), 1);
    flip_groups(a, b, b, &fatal);
    assert_true(fatal > 40);
    qm_node_destroy(&a);
    qm_node_destroy(&b);

    // Three results of which the first and the third share no scheme: the second is with the first.
    struct qm_node *results[3];
    struct qm_compare_key keys[3];
    size_t groups[3], count = 0;
    static const size_t kept[3][2] = {{0, 1}, {1, 3}, {3, 3}};
    for (size_t r = 0; r < 3; r++) {
        results[r] = stored_result("result-example.yaml");
        struct qm_node *some = qm_node_new_sequence();
        for (size_t k = 0; k < 2 && (k == 0 || kept[r][1] != kept[r][0]); k++)
            qm_node_append_node(some, qm_node_copy(qm_node_at(qm_node_child(results[r], "schemes"), kept[r][k])));
        qm_node_set_node(results[r], "schemes", some);
        assert_int_equal(qm_compare_key_of(results[r], &keys[r]), QM_OK);
    }
    assert_int_equal(qm_compare_group(keys, 3, groups, &count), QM_OK);
    assert_int_equal(count, 2);
    assert_int_equal(groups[0], 0);
    assert_int_equal(groups[1], 0);
    assert_int_equal(groups[2], 1);
    for (size_t r = 0; r < 3; r++) {
        qm_compare_key_free(&keys[r]);
        qm_node_destroy(&results[r]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_two_devices),
        cmocka_unit_test(test_flip_each_field),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_details),
        cmocka_unit_test(test_every_key_has_a_rule),
        cmocka_unit_test(test_nothing_in_common),
        cmocka_unit_test(test_schemes_on_their_own),
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_sustained),
        cmocka_unit_test(test_served),
        cmocka_unit_test(test_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
