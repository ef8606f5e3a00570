// Profiles: the stock ones, extending, and a refusal with file, line and a way out for each kind of mistake.
#include "bench/profile.h"
#include "record/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/qmark-profile-XXXXXX";
static struct qm_profile profile; // large

static int set_up(void **state)
{
    (void)state;
    return !mkdtemp(directory) || setenv("QM_DATA_DIR", QM_SOURCE_DIR, 1) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", directory);
    return system(command);
}

// Writes a profile and loads it.
static enum qm_status load(const char *name, const char *text)
{
    char path[QM_PATH_BYTES];
    assert_int_equal(qm_path_join(path, directory, name), QM_OK);
    assert_int_equal(qm_file_write(path, text, strlen(text)), QM_OK);
    return qm_profile_load(path, &profile);
}

static char quick[8192]; // the text of profiles/quick.yaml

static void read_quick(void)
{
    void *bytes = NULL;
    size_t count = 0;
    assert_int_equal(qm_file_read(QM_SOURCE_DIR "/profiles/quick.yaml", sizeof(quick) - 1, &bytes, &count), QM_OK);
    memcpy(quick, bytes, count + 1);
    free(bytes);
}

static void test_stock(void **state)
{
    (void)state;
    if (qm_profile_load("quick", &profile) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_true(profile.is_stock);
    assert_int_equal(profile.scheme_count, 6);
    assert_string_equal(profile.schemes[profile.baseline].name, "f16");
    assert_int_equal(profile.evaluation.window_tokens, 512);
    assert_true(profile.evaluation.scored_tokens >= 2048);
    assert_int_equal(profile.decode_count, 4);
    assert_int_equal(profile.decode[3].depth, 384);
    assert_int_equal(profile.bootstrap.confidence_permille, 950);
    assert_int_equal(profile.criterion_count, 3);
    assert_int_equal(profile.criteria[2].side, QM_BOUND_LOWER);
    char quick_hash[QM_HASH_TEXT_BYTES];
    memcpy(quick_hash, profile.hash, sizeof(quick_hash));

    assert_int_equal(qm_profile_load("standard", &profile), QM_OK);
    assert_true(profile.is_stock);
    assert_int_equal(profile.evaluation.windows, 64);
    assert_int_equal(profile.evaluation.window_tokens, 512); // from quick
    assert_string_not_equal(profile.hash, quick_hash);
    for (size_t i = 0; qm_scheme_stock_name(i); i++)
        assert_string_equal(profile.schemes[i].name, qm_scheme_stock_name(i));
}

static void test_expand(void **state)
{
    (void)state;
    static struct qm_profile again;
    char *text = NULL;
    struct qm_node *read = NULL;
    assert_int_equal(qm_profile_load("standard", &profile), QM_OK);
    struct qm_node *node = qm_profile_expand(&profile);
    assert_int_equal(qm_node_write_yaml(node, &text), QM_OK);
    assert_int_equal(qm_node_parse(text, strlen(text), "r.yaml", &qm_node_profile_limits, &read), QM_OK);
    assert_int_equal(qm_profile_read(read, &again), QM_OK);
    assert_string_equal(again.hash, profile.hash);
    assert_true(again.is_stock);
    free(text);
    qm_node_destroy(&node);
    qm_node_destroy(&read);
}

// Fusions are on unless a profile turns them off, which makes it another one; said or not, on is the same.
static void test_fusions(void **state)
{
    (void)state;
    char hash[QM_HASH_TEXT_BYTES];
    assert_int_equal(qm_profile_load("quick", &profile), QM_OK);
    assert_false(profile.is_unfused);
    memcpy(hash, profile.hash, sizeof(hash));
    assert_int_equal(load("f.yaml", "schema: 1\nname: quick\nextends: quick\nfusions: on\n"), QM_OK);
    assert_string_equal(profile.hash, hash);
    assert_int_equal(load("f.yaml", "schema: 1\nname: quick\nextends: quick\nfusions: off\n"), QM_OK);
    assert_true(profile.is_unfused);
    assert_false(profile.is_stock);
    struct qm_node *node = qm_profile_expand(&profile);
    assert_string_equal(qm_node_text_at(node, "fusions", ""), "off");
    qm_node_destroy(&node);
}

// Another model is another profile; the built-in one, said or not, is the same.
static void test_model(void **state)
{
    (void)state;
    static struct qm_profile again;
    char hash[QM_HASH_TEXT_BYTES];
    enum qm_profile_model model = QM_PROFILE_MODEL_BUILT_IN;
    assert_int_equal(qm_profile_load("quick", &profile), QM_OK);
    memcpy(hash, profile.hash, sizeof(hash));
    assert_int_equal(load("m.yaml", "schema: 1\nname: quick\nextends: quick\nmodel: built-in\n"), QM_OK);
    assert_string_equal(profile.hash, hash);
    assert_true(profile.is_stock);
    assert_int_equal(load("m.yaml", "schema: 1\nname: quick\nextends: quick\nmodel: built-in-outliers\n"), QM_OK);
    assert_int_equal(profile.model, QM_PROFILE_MODEL_OUTLIERS);
    assert_string_not_equal(profile.hash, hash);
    assert_false(profile.is_stock);
    struct qm_node *node = qm_profile_expand(&profile);
    assert_int_equal(qm_profile_read(node, &again), QM_OK);
    assert_int_equal(again.model, QM_PROFILE_MODEL_OUTLIERS);
    assert_string_equal(again.hash, profile.hash);
    qm_node_destroy(&node);
    assert_int_equal(load("m.yaml", "schema: 1\nname: quick\nextends: quick\nmodel: outliers\n"), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "m.yaml:4: 'model' is 'outliers'; expected built-in or built-in-outliers"));
    assert_true(qm_profile_model_find("built-in-outliers", &model) && model == QM_PROFILE_MODEL_OUTLIERS);
    assert_false(qm_profile_model_find("models/qmark-3m", &model));
}

// Several sets are another profile; one, said or not, is the same. And the bound of exact match from the command line.
static void test_sets_and_exact_match(void **state)
{
    (void)state;
    static struct qm_profile again;
    char hash[QM_HASH_TEXT_BYTES];
    assert_int_equal(qm_profile_load("quick", &profile), QM_OK);
    assert_int_equal(profile.evaluation.sets, 1);
    memcpy(hash, profile.hash, sizeof(hash));
    assert_int_equal(load("s.yaml", "schema: 1\nname: quick\nextends: quick\nevaluation: {sets: 1}\n"), QM_OK);
    assert_string_equal(profile.hash, hash);
    assert_int_equal(load("s.yaml", "schema: 1\nname: quick\nextends: quick\nevaluation: {sets: 5}\n"), QM_OK);
    assert_int_equal(profile.evaluation.sets, 5);
    assert_string_not_equal(profile.hash, hash);
    struct qm_node *node = qm_profile_expand(&profile);
    assert_int_equal(qm_profile_read(node, &again), QM_OK);
    assert_int_equal(again.evaluation.sets, 5);
    assert_string_equal(again.hash, profile.hash);
    qm_node_destroy(&node);
    assert_int_equal(qm_profile_load("standard", &profile), QM_OK);
    assert_int_equal(profile.evaluation.sets, 4);

    assert_int_equal(qm_profile_load("quick", &profile), QM_OK);
    size_t criteria = profile.criterion_count;
    assert_int_equal(qm_profile_set_exact_match(&profile, "0.999"), QM_OK);
    assert_int_equal(profile.criterion_count, criteria);
    assert_true(profile.criteria[criteria - 1].bound == 0.999);
    assert_false(profile.is_stock);
    assert_int_equal(qm_profile_set_exact_match(&profile, "0.9"), QM_OK); // what quick says
    assert_true(profile.is_stock);
    // Where none is stated it is added, until there is no room.
    --profile.criterion_count;
    assert_int_equal(qm_profile_set_exact_match(&profile, "0.99"), QM_OK);
    assert_int_equal(profile.criterion_count, criteria);
    assert_int_equal(profile.criteria[criteria - 1].metric, QM_METRIC_EXACT_MATCH_RATIO);
    static const char *const bad[] = {"", "x", "0", "-1", "1.01", "99", "nan", "inf", "0.99x", "0.9 9"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(qm_profile_set_exact_match(&profile, bad[i]), QM_INVALID);
        assert_non_null(strstr(qm_error_text(), "expected a number above 0 and at most 1, such as 0.99"));
    }
    for (size_t i = 0; i < QM_PROFILE_CRITERIA_MAX; i++)
        profile.criteria[i] = (struct qm_criterion){QM_METRIC_KL_MEAN, QM_BOUND_UPPER, 1};
    profile.criterion_count = QM_PROFILE_CRITERIA_MAX;
    assert_int_equal(qm_profile_set_exact_match(&profile, "0.99"), QM_INVALID);
}

static void test_select(void **state)
{
    (void)state;
    if (qm_profile_load("quick", &profile) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_int_equal(qm_profile_select_schemes(&profile, "w4a8-g32,w8a8"), QM_OK);
    assert_int_equal(profile.scheme_count, 3);
    assert_string_equal(profile.schemes[0].name, "f16"); // the baseline stays
    assert_string_equal(profile.schemes[1].name, "w8a8");
    assert_string_equal(profile.schemes[2].name, "w4a8-g32");
    assert_int_equal(profile.baseline, 0);
    assert_false(profile.is_stock);
    assert_int_equal(qm_profile_select_schemes(&profile, "w9"), QM_INVALID);
    assert_int_equal(qm_profile_select_schemes(&profile, ""), QM_INVALID);
    if (qm_profile_load("quick", &profile) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_int_equal(qm_profile_select_schemes(&profile, "f32,f16,w8a16,w8a8,w4a16-g32,w4a16-g32-kv8"), QM_OK);
    assert_true(profile.is_stock);
    profile.evaluation.seed = 7;
    assert_int_equal(qm_profile_update(&profile), QM_OK);
    assert_false(profile.is_stock);
}

static void test_extends(void **state)
{
    (void)state;
    assert_int_equal(load("mine.yaml", "schema: 1\nname: mine\nextends: quick\nevaluation: {seed: 5}\n"), QM_OK);
    assert_int_equal(profile.evaluation.seed, 5);
    assert_int_equal(profile.evaluation.windows, 10);
    assert_false(profile.is_stock);
    assert_int_equal(load("two.yaml", "schema: 1\nname: two\nextends: mine.yaml\n"), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "two.yaml:3: 'extends' names"));
    assert_non_null(strstr(qm_error_text(), "expected one level only"));
    assert_int_equal(load("none.yaml", "schema: 1\nextends: quik\n"), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "none.yaml:2: no profile is called 'quik'; use quick"));
    assert_int_equal(load("self.yaml", "schema: 1\nextends: ./self.yaml\n"), QM_INVALID);
    // A mistake in the extending file has its line, not that of what is extended.
    assert_int_equal(load("bad.yaml", "schema: 1\nname: bad\nextends: quick\ntiming:\n  repeats: 0\n"), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "bad.yaml:5: 'repeats' is 0; expected 3 to 100000"));
    assert_int_equal(load("quick.yaml", "schema: 1\nname: quick\nextends: quick\nwiden: 2\n"), QM_OK);
    assert_false(profile.is_stock); // a stock name does not make a stock profile
    assert_int_equal(qm_profile_load("../profiles/quick", &profile), QM_INVALID);
    assert_int_equal(qm_profile_load("unheard-of", &profile), QM_INVALID);
}

// One change of quick.yaml, and the one line that it gives.
static void test_mistakes(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"schema: 1", "schema: 2", ":3: 'schema' is 2; this qmark reads 1"},
        {"schema: 1", "schema: \"1\"", ":3: 'schema' is the text \"1\"; expected a whole number, without quotes"},
        {"schema: 1\n", "", "key 'schema' is missing in the profile"},
        {"schemes:", "shcemes:", ":7: unknown key 'shcemes' in the profile; did you mean 'schemes'?"},
        {"  windows: 10", "  widnows: 9", ":13: unknown key 'widnows' in evaluation; did you mean 'windows'?"},
        {"tier: best", "zzzzzzzzzz: best", "unknown key 'zzzzzzzzzz' in the profile; expected one of schema, name"},
        {"  windows: 10\n", "", ":10: key 'windows' is missing in evaluation"},
        {"  windows: 10", "  windows: nine", ":13: 'windows' is 'nine'; expected a whole number"},
        {"  windows: 10", "  windows: 0", ":13: 'windows' is 0; expected 1 to 100000"},
        {"  windows: 10", "  windows: -9", ":13: 'windows' is '-9'; expected a whole number"},
        {"  windows: 10", "  windows: [9]", ":13: 'windows' is a list; expected a whole number"},
        {"  windows: 10", "  windows: 99999999999999999999",
         ":13: 'windows' is '99999999999999999999'; expected a whole"},
        {"  windows: 10", "  windows: 2", "'scored_tokens' is 2048 and the windows hold 1024 tokens; expected more"},
        {"w8a8, w4a16-g32,", "w8a9, w4a16-g32,", ":7: scheme 'w8a9': no activations are called 'a9'"},
        {"w4a16-g32-kv8", "w4a16-g48", "group_size 48; w4 weights come in groups of g32, g64, g128"},
        {"w8a16, w8a8", "w8a16, w8a16", "scheme 'w8a16' stands in the list already"},
        {"[f32,", "[{a: b},", "'schemes' holds something that is no name"},
        {"baseline: f16", "baseline: w4a8-g32", ":8: baseline 'w4a8-g32' is not in 'schemes'; add it there"},
        {"name: quick", "name: \"a b\"", ":4: 'name' must be"},
        {"name: quick", "name: [x]", ":4: 'name' must be"},
        {"prompt: 512", "prompt: 0", "'prompt' is 0; expected 1 to 131072"},
        {"  - {batch: 1, prompt: 512}", "  - 512", "a point of 'prefill' is no mapping"},
        {"depth: 384, steps: 16}\n  - {batch: 8", "depth: 64, steps: 16}\n  - {batch: 8", "this batch and depth stand"},
        {"{batch: 1, depth: 64,", "{batch: 1, dept: 64,", "unknown key 'dept' in decode; did you mean 'depth'?"},
        {"prefill:\n  - {batch: 1, prompt: 512}", "prefill: []", "'prefill' has 0 entries; expected 1 to 64"},
        {"prefill:\n  - {batch: 1, prompt: 512}", "prefill: 512", "'prefill' is no list"},
        {"protocol: paired", "protocol: impaired", "'protocol' is 'impaired'; expected paired"},
        {"scored_tokens: 2048", "scored_tokens: 2048\n  sets: 3",
         "'sets' is 3 and there are 10 windows; expected as many in each"},
        {"scored_tokens: 2048", "scored_tokens: 2048\n  sets: 0", "'sets' is 0; expected 1 to 16"},
        {"scored_tokens: 2048", "scored_tokens: 2048\n  sets: 17", "'sets' is 17; expected 1 to 16"},
        {"scored_tokens: 2048", "scored_tokens: 2048\n  sets: [1, 2]", "sets"},
        {"window_tokens: 512\n\nprefill", "window_tokens: 512\n  sets: 2\n\nprefill",
         "unknown key 'sets' in calibration"},
        {"openings: 16", "openings: 9", "'openings' is 9; expected an even number"},
        {"openings: 16", "openings: 6", "'openings' is 6; expected 8 to 64"},
        {"openings: 16", "openings: many", "'openings' is 'many'; expected a number"},
        {"tier: best", "tier: fast",
         "'tier' is 'fast'; expected base or texel or f16 or dot or subgroup or matrix or best"},
        {"tiles: fixed", "tiles: fixed\nfusions: some", "'fusions' is 'some'; expected on or off"},
        {"tiles: fixed", "tiles: [fixed]", "'tiles' is 'no text'; expected fixed or tuned"},
        {"widen: 1", "widen: 3", "'widen' is 3; expected a power of two"},
        {"submission_ms: 200", "submission_ms: 2000", "'submission_ms' is 2000; expected 1 to 200"},
        {"allow_smaller_batch: true", "allow_smaller_batch: maybe",
         "'allow_smaller_batch' is 'maybe'; expected false or true"},
        {"  allow_smaller_batch: true", "  allow_small_batch: true",
         "unknown key 'allow_small_batch' in policy; did you mean 'allow_smaller_batch'?"},
        {"confidence: 0.95", "confidence: 0.94", "'confidence' is 0.94; expected 0.9, 0.95 or 0.99"},
        {"confidence: 0.95", "confidence: .nan", "'confidence' is '.nan'; expected a number"},
        {"kl_divergence_mean: 0.05", "kl_divergence: 0.05", "kl_divergence"},
        {"kl_divergence_mean: 0.05", "kl_divergence_mean: -1", "is below 0"},
        {"kl_divergence_mean: 0.05", "kl_divergence_mean: low", "'kl_divergence_mean' is 'low'; expected a number"},
        {"  at_most:\n    kl_divergence_mean: 0.05\n    perplexity_ratio: 1.05\n  at_least:\n    exact_match_ratio: "
         "0.9",
         "  {}", "no bound is stated"},
        {"timing:\n  protocol: paired", "timing: paired\nname2:\n  x: paired", "unknown key 'name2'"},
        {"widen: 1", "widen: 1\nwiden: 1", "key 'widen' stands on line"},
    };
    read_quick();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[8192];
        const char *at = strstr(quick, rows[i][0]);
        if (!at)
            fail_msg("row %zu: '%s' is not in quick.yaml", i, rows[i][0]);
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - quick), quick, rows[i][1], at + strlen(rows[i][0]));
        assert_int_equal(load("m.yaml", text), QM_INVALID);
        const char *error = qm_error_text();
        if (!strstr(error, "m.yaml:") || !strstr(error, rows[i][2]) || strchr(error, '\n'))
            fail_msg("'%s' gave: %s", rows[i][1], error);
    }
}

// A profile that ends early is refused wherever it ends, but for its last value's digits.
static void test_truncated(void **state)
{
    (void)state;
    read_quick();
    size_t count = strlen(quick) - strlen("exact_match_ratio: 0.9\n") - 1;
    for (size_t i = 0; i < count; i++) {
        struct qm_node *node = NULL;
        enum qm_status status = qm_node_parse(quick, i, "t.yaml", &qm_node_profile_limits, &node);
        if (status == QM_OK)
            status = qm_profile_read(node, &profile);
        qm_node_destroy(&node);
        // Without its last criterion it is a whole profile.
        if (status == QM_OK && i + 8 < (size_t)(strstr(quick, "perplexity_ratio") - quick))
            fail_msg("%zu bytes of quick.yaml were taken for a profile", i);
        if (status != QM_OK)
            assert_int_equal(strncmp(qm_error_text(), "t.yaml:", 7), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stock),
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_fusions),
        cmocka_unit_test(test_sets_and_exact_match),
        cmocka_unit_test(test_select),
        cmocka_unit_test(test_extends),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_truncated),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
