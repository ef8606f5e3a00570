// Comparing results: each disclosed field is flipped in turn; the verdict and the named field are what they must be.
#include "record/compare.h"
#include "record/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct qm_node *load(const char *name)
{
    char path[QM_PATH_BYTES];
    struct qm_node *node = NULL;
    snprintf(path, sizeof(path), "%s/test/data/%s", QM_SOURCE_DIR, name);
    if (qm_result_load(path, &node, NULL) != QM_OK)
        fail_msg("%s", qm_error_text());
    return node;
}

static void test_equal(void **state)
{
    (void)state;
    struct qm_comparison comparison;
    struct qm_node *a = load("result-example.yaml");
    assert_int_equal(qm_compare(a, a, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_COMPARABLE);
    assert_int_equal(comparison.count, 0);
    qm_comparison_free(&comparison);

    // What is undisclosed on both sides may be anything.
    struct qm_node *b = load("result-example.yaml");
    qm_node_set_text(qm_node_get(a, "schemes.1.disclosure"), "evaluation_set", "undisclosed");
    qm_node_set_text(qm_node_get(b, "schemes.1.disclosure"), "evaluation_set", "undisclosed");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_COMPARABLE_WITH_NOTES);
    assert_int_equal(comparison.count, 1);
    assert_non_null(strstr(comparison.differences[0].why, "undisclosed on both sides"));
    qm_comparison_free(&comparison);

    // A row that failed on one side is a note, whatever else it lacks.
    qm_node_destroy(&b);
    b = load("result-example.yaml");
    qm_node_destroy(&a);
    a = load("result-example.yaml");
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
    struct qm_node *a = load("result-example.yaml");
    struct qm_node *b = load("result-other-device.yaml");
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

static void test_flip_each_field(void **state)
{
    (void)state;
    flips.a = load("result-example.yaml");
    flips.b = load("result-example.yaml");
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
        static const char *const keys[] = {"identity", "artifact", "disclosure", "accuracy", "memory"};
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
            char below[128];
            struct qm_node *child = qm_node_child(node, keys[k]);
            snprintf(below, sizeof(below), "%s.%s", path, keys[k]);
            if (qm_node_is_mapping(child))
                flip_all(child, below);
            else
                flip(node, keys[k], child, below);
        }
    }
    assert_true(flips.flipped > 150);
    assert_true(flips.fatal > 60);
    qm_node_destroy(&flips.a);
    qm_node_destroy(&flips.b);
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
    struct qm_node *a = load("result-sets.yaml");
    struct qm_node *b = load("result-sets.yaml");
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
    struct qm_node *a = load("result-example.yaml");
    struct qm_node *b = load("result-example.yaml");
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
