// `qmark run` and `qmark model` on models as a user has them: a directory of one's own, a part of its layers, one that is larger
// than the device, and what is told of it before.
#define FOLDER QM_BINARY_DIR "/test-run-model"
#include "test/run_program.h"

#define MINE FOLDER "/mine"

static const char profile_path[] = PROFILE, out_folder[] = OUT;

static void command(struct child *child, const char *const *arguments)
{
    start(child, NULL, NULL, arguments);
    if (!finish(child, PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", PATIENCE_S, child->errors);
}

// The one result's path in a folder.
static const char *path_of(const char *folder)
{
    static char path[1024];
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    path[0] = '\0';
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (strstr(entry->d_name, ".yaml"))
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
    closedir(stream);
    return path;
}

static void expect_verified(void)
{
    struct child child;
    command(&child, (const char *const[]){"verify", path_of(OUT), NULL});
    expect_code(&child, 0);
    expect_text(child.output, ": verified; ");
    release(&child);
}

// Links to the built-in model's files under another name: a directory of somebody's.
static void make_mine(void)
{
    static const char *const names[] = {"config.json", "model.safetensors"};
    remove_all(MINE);
    assert_int_equal(mkdir(MINE, 0755), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        char from[1024], to[1024];
        snprintf(from, sizeof(from), QM_SOURCE_DIR "/models/qmark-3m/%s", names[i]);
        snprintf(to, sizeof(to), MINE "/%s", names[i]);
        assert_int_equal(symlink(from, to), 0);
    }
}

// A part of the layers: kernels are checked, logits agree with the oracle's of the same part, times are there, and no accuracy.
static void test_layers(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile_with(&child, pocl_id, NULL, "--layers", "2");
    expect_code(&child, 0);
    expect_text(child.output, "kernel only: accuracy not measured: 2 of 4 layers");
    expect_text(child.output, "accuracy: not measured");
    release(&child);
    struct qm_node *part = need_result("opencl");
    assert_string_equal(qm_node_text_at(part, "model.layers_run", ""), "2 of 4");
    assert_string_equal(qm_node_text_at(part, "model.variant", ""), "the first 2 of 4 layers");
    for (int s = 0; s < 2; ++s) {
        const struct qm_node *row = row_of(part, s ? "w8a8" : "f16");
        assert_string_equal(qm_node_text_at(row, "status", ""), "ok");
        assert_string_equal(qm_node_text_at(row, "accuracy", ""), "not measured");
        assert_int_equal(qm_node_count(qm_node_get(row, "throughput")), 2);
        assert_true(qm_node_count(qm_node_get(row, "kernels")) > 0);
    }
    expect_verified();
    // It is not to be taken for the model.
    run_profile(&child, pocl_id, NULL);
    expect_code(&child, 0);
    release(&child);
    struct qm_node *whole = need_result("opencl");
    assert_null(qm_node_get(whole, "model.layers_run"));
    expect_whole(whole, "w8a8");
    // Each kind of tensor by its name, once.
    assert_string_equal(qm_node_text_at(row_of(whole, "w8a8"), "disclosure.tensors.formats.1.tensors", ""),
                        "input_layernorm, post_attention_layernorm, norm");
    struct qm_comparison comparison;
    assert_int_equal(qm_compare(whole, part, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_NOT_COMPARABLE);
    qm_comparison_free(&comparison);
    qm_node_destroy(&part);
    qm_node_destroy(&whole);
    // All of its layers is the model.
    run_profile_with(&child, pocl_id, NULL, "--layers", "4");
    expect_code(&child, 0);
    release(&child);
    whole = need_result("opencl");
    assert_null(qm_node_get(whole, "model.layers_run"));
    expect_whole(whole, "f16");
    qm_node_destroy(&whole);
}

// What is wrong with a part is found as in a whole model: a pass that computes something else, once.
static void test_wrong_layers(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile_with(&child, pocl_id, (const char *const[]){"QM_PLANT_WRONG_KERNEL=matmul-w8-a8", NULL}, "--layers",
                     "1");
    expect_code(&child, 4);
    struct qm_node *result = need_result("opencl");
    expect_not_ok(result, "w8a8", "wrong", "matmul-w8-a8");
    assert_string_equal(qm_node_text_at(row_of(result, "f16"), "status", ""), "ok");
    qm_node_destroy(&result);
    release(&child);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *more[4], *words;
    } cases[] = {
        {{"--layers", "0"}, "--layers 0 leaves nothing to run"},
        {{"--layers", "5"}, "'num_hidden_layers' is 4, and 5 were asked for"},
        {{"--layers", "99999999999"}, "is more than any model has"},
        {{"--layers", "2", "--widen", "2"}, "--layers runs a part of a model as it is"},
        {{"--layers", "2", "--model", "built-in-outliers"}, "--layers runs a part of a model as it is"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        struct child child;
        command(&child, (const char *const[]){"run", "--profile", profile_path, "--out", out_folder, cases[i].more[0],
                                              cases[i].more[1], cases[i].more[2], cases[i].more[3], NULL});
        expect_code(&child, 2);
        expect_text(child.errors, cases[i].words);
        release(&child);
    }
}

// A directory that is not the built-in one: its result verifies, as far as anybody can who does not have it.
static void test_own_directory(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    make_mine();
    run_profile_with(&child, pocl_id, NULL, "--model", MINE);
    expect_code(&child, 0);
    release(&child);
    struct qm_node *result = need_result("opencl");
    assert_string_equal(qm_node_text_at(result, "model.name", ""), "mine");
    qm_node_destroy(&result);
    expect_verified();
    remove_all(MINE);
}

// Larger than the device: the row fails and says in bytes what it takes and what there is; the others go on.
static void test_too_large(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile(&child, pocl_id, (const char *const[]){"QM_FAULT=memory=11000000", NULL});
    expect_code(&child, 5);
    struct qm_node *result = need_result("opencl");
    const struct qm_node *f16 = row_of(result, "f16"), *w8a8 = row_of(result, "w8a8");
    const struct qm_node *failed = strcmp(qm_node_text_at(f16, "status", ""), "failed") == 0 ? f16 : w8a8;
    expect_not_ok(result, qm_node_text_at(failed, "name", ""), "failed", "with its cache, takes ");
    const char *reason = qm_node_text_at(failed, "reason", ""), *at = strstr(reason, "has room for ");
    assert_non_null(at);
    unsigned long long takes = strtoull(strstr(reason, "takes ") + 6, NULL, 10), room = strtoull(at + 13, NULL, 10);
    assert_true(takes > room && room < 11000000 && takes > 3000000);
    qm_node_destroy(&result);
    release(&child);
}

// What is told before a run, and that times are known after one.
static void test_model(void **state)
{
    (void)state;
    need(pocl_id);
    const char *const question[] = {"model",    "built-in", "--profile", profile_path,
                                    "--device", pocl_id,    "--json",    NULL};
    struct child child;
    remove_all(CACHE "/forecasts");
    command(&child, question);
    expect_code(&child, 0);
    json_t *told = json_loads(child.output, 0, NULL);
    const json_t *device = json_array_get(json_object_get(told, "devices"), 0);
    assert_string_equal(json_string_value(json_object_get(device, "id")), pocl_id);
    assert_string_equal(json_string_value(json_object_get(json_object_get(device, "run"), "seconds")), "unknown");
    const json_t *fits = json_object_get(json_object_get(device, "fits"), "w8a8");
    assert_string_equal(json_string_value(json_object_get(fits, "fits")), "yes");
    assert_true(json_integer_value(json_object_get(fits, "tokens")) > 1000);
    const json_t *scheme = json_array_get(json_object_get(told, "schemes"), 1);
    json_int_t weights = json_integer_value(json_object_get(scheme, "weight_bytes")),
               cache = json_integer_value(json_object_get(scheme, "cache_bytes"));
    json_decref(told);
    release(&child);

    run_profile(&child, pocl_id, NULL);
    expect_code(&child, 0);
    release(&child);
    struct qm_node *result = need_result("opencl"); // what was said is what it took
    uint64_t value = 0;
    assert_true(qm_node_u64_at(row_of(result, "w8a8"), "memory.weights_bytes", &value) && (json_int_t)value == weights);
    assert_true(qm_node_u64_at(row_of(result, "w8a8"), "memory.kv_cache_bytes", &value) && (json_int_t)value == cache);
    qm_node_destroy(&result);

    command(&child, question);
    expect_code(&child, 0);
    told = json_loads(child.output, 0, NULL);
    const json_t *run = json_object_get(json_array_get(json_object_get(told, "devices"), 0), "run");
    assert_true(json_number_value(json_object_get(run, "seconds")) > 0);
    expect_text(json_string_value(json_object_get(run, "based_on")), "faults of qmark-3m (3.28 M weights) on 2");
    json_decref(told);
    release(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),        cmocka_unit_test(test_wrong_layers), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_own_directory), cmocka_unit_test(test_too_large),    cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
