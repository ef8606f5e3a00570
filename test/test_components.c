// The components of the trade: what is asked for, and that comparing uses the same ones.
#include "record/compare.h"
#include "record/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test/stored_result.h"

// What is asked for is policy, and stands here a second time: only these keys may be missing from a deployment-grade claim,
// and of every component so many keys are asked for.
static void test_what_is_asked_for(void **state)
{
    (void)state;
    static const char *const spared[] = {"rates", "latency_ms.p95", "latency_ms.p99", "burst_rate", "throttling"};
    static const size_t counts[QM_COMPONENT_COUNT] = {10, 3, 4, 5, 6, 8, 8, 8, 2};
    size_t found = 0;
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        size_t count = 0;
        for (const struct qm_component_key *key = qm_components[i].keys; key->path; key++, count++) {
            bool is_spared = false;
            for (size_t k = 0; k < sizeof(spared) / sizeof(spared[0]); k++)
                is_spared = is_spared || strcmp(spared[k], key->path) == 0;
            found += is_spared;
            if (is_spared == ((key->flags & QM_KEY_GRADE) != 0))
                fail_msg("%s.%s", qm_components[i].name, key->path);
        }
        assert_int_equal(count, counts[i]);
    }
    assert_int_equal(found, sizeof(spared) / sizeof(spared[0]));
}

static void test_silent_words(void **state)
{
    (void)state;
    static const char *const silent[] = {"",    "undisclosed", "Undisclosed", "not measured",
                                         "N/A", "TBD",         "proprietary", "-"};
    static const char *const telling[] = {"none", "0", "no", "int8", "not at all", "unknown to us before 2025"};
    assert_true(qm_component_is_silent(NULL));
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
        assert_true(qm_component_is_silent(silent[i]));
    for (size_t i = 0; i < sizeof(telling) / sizeof(telling[0]); i++)
        assert_false(qm_component_is_silent(telling[i]));
}

static void test_components_of_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *name; // NULL: of no component
    } rows[] = {
        {"schemes[w8a8].disclosure.precision.weights.bits", "precision"},
        {"schemes[w8a8].disclosure.precision", "precision"},
        {"schemes[w8a8].disclosure.precisions", NULL},
        {"schemes[w8a8].disclosure.tensors.kv_cache", "tensors"},
        {"schemes[w8a8].disclosure.calibration_set.sha256", "calibration_set"},
        {"schemes[w8a8].disclosure.calibration_method.name", "calibration_method"},
        {"schemes[w8a8].disclosure.evaluation_set.sha256", "accuracy"},
        {"schemes[w8a8].accuracy.kl_divergence.mean", "accuracy"},
        {"schemes[w8a8].accuracy.acceptance.criteria[perplexity_ratio at_most].bound", "acceptance"},
        {"schemes[w8a8].throughput[decode 1 64].tier", "throughput_gain"},
        {"schemes[w8a8].gain[decode 1 64].ratio", "throughput_gain"},
        {"schemes[w8a8].sustained", "sustained"},
        {"schemes[w8a8].disclosure.tool_chain.tiles", "tool_chain"},
        {"schemes[w8a8].disclosure", NULL},
        {"schemes[w8a8]", NULL},
        {"device.name", NULL},
        {"model.sha256", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct qm_component *component = qm_component_of_path(rows[i].path);
        const char *name = component ? component->name : "none";
        if (strcmp(name, rows[i].name ? rows[i].name : "none") != 0)
            fail_msg("%s belongs to %s", rows[i].path, name);
    }
    // A key that no rule of comparing knows is judged by its component.
    assert_int_equal(qm_compare_rule("schemes[x].disclosure.precision.never_heard_of", NULL), QM_DIFFERENCE_FATAL);
    assert_int_equal(qm_compare_rule("schemes[x].disclosure.tool_chain.never_heard_of", NULL), QM_DIFFERENCE_NOTE);
    assert_int_equal(qm_compare_rule("schemes[x].accuracy.never_heard_of", NULL), QM_DIFFERENCE_SUBJECT);
    struct qm_comparison comparison;
    struct qm_node *a = stored_result("result-example.yaml");
    struct qm_node *b = stored_result("result-other-device.yaml");
    assert_int_equal(qm_compare(a, b, &comparison), QM_OK);
    size_t chains = 0;
    for (size_t i = 0; i < comparison.count; i++)
        chains += comparison.differences[i].component == &qm_components[QM_COMPONENT_TOOL_CHAIN];
    assert_true(chains >= 3);
    qm_comparison_free(&comparison);
    qm_node_destroy(&a);
    qm_node_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_asked_for),
        cmocka_unit_test(test_silent_words),
        cmocka_unit_test(test_components_of_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
