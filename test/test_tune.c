// Tuning: the search itself, on a landscape of numbers; what is possible; configured kernels on every driver; the store.
#include "bench/kernel_check.h"
#include "bench/tune.h"
#include "bench/tune_store.h"
#include "test/each_device.h"

#include <math.h>
#include <stdio.h>

// ---- The search ---------------------------------------------------------------------------------------------------

// A kernel whose time is known: fastest with 4 rows and a workgroup of 32; with 16 rows it is fast and wrong.
struct landscape {
    uint32_t measured, wrong;
    bool is_flat;    // every configuration takes the same time, and pairs say otherwise by chance
    uint32_t budget; // measurements until the time is up; 0: no end
};

static uint32_t setting(const char *settings, const char *name, uint32_t otherwise)
{
    const char *at = strstr(settings, name);
    return at ? (uint32_t)strtoul(at + strlen(name) + 1, NULL, 10) : otherwise;
}

static double time_of(const struct landscape *l, const char *settings)
{
    double rows = log2(setting(settings, "QM_ROWS", 8)), group = log2(setting(settings, "QM_WORKGROUP_X", 8));
    if (l->is_flat)
        return 10;
    return 10 + (rows - 2) * (rows - 2) + (group - 5) * (group - 5) / 4;
}

static enum qm_status measure(void *context, const char *candidate, const char *against, bool is_final,
                              struct qm_tune_trial *out)
{
    struct landscape *l = context;
    ++l->measured;
    *out = (struct qm_tune_trial){.status = QM_OK};
    if (setting(candidate, "QM_ROWS", 8) == 16) {
        ++l->wrong;
        out->status = QM_FAIL(QM_WRONG_RESULT, "binding 3, value 7: got 1, expected 2");
        return QM_OK;
    }
    double luck = l->is_flat && !is_final ? 1.05 : 1;
    out->ratio = time_of(l, against) / time_of(l, candidate) * luck;
    out->low = out->ratio * 0.99;
    out->high = out->ratio * 1.01;
    return QM_OK;
}

static bool is_over(void *context)
{
    const struct landscape *l = context;
    return l->budget > 0 && l->measured >= l->budget;
}

static void search(struct landscape *l, struct qm_tune_found *found)
{
    static const struct qm_device_info cpu = {
        .type = QM_DEVICE_CPU, .max_workgroup_invocations = 1024, .max_local_bytes = 32768};
    struct qm_tune_space space;
    qm_tune_space_of(qm_kernel_find("matmul-w8-a8", "narrow"), &space);
    assert_true(space.knob_count >= 3);
    struct qm_tune_search_params params = {
        .space = &space, .info = &cpu, .measure = measure, .is_over = is_over, .context = l};
    assert_int_equal(qm_tune_search(&params, found), QM_OK);
}

static void test_search(void **state)
{
    (void)state;
    struct landscape hill = {0}, flat = {.is_flat = true}, cut = {.budget = 2};
    struct qm_tune_found found;
    search(&hill, &found);
    assert_int_equal(setting(found.settings, "QM_ROWS", 8), 4);
    assert_int_equal(setting(found.settings, "QM_WORKGROUP_X", 8), 32);
    assert_true(found.is_complete && found.over_fixed.ratio > 1.19 && found.over_fixed.low > 1);
    assert_true(hill.wrong > 0 && found.refused == hill.wrong); // fast and wrong is out
    search(&flat, &found);
    assert_string_equal(found.settings, ""); // what luck said, the last comparison did not
    assert_true(found.over_fixed.ratio == 1.0);
    search(&cut, &found);
    assert_false(found.is_complete);
}

static void test_interval(void **state)
{
    (void)state;
    // Of 21 pairs the 6th and the 16th: P(fewer than 6 of 21 below the median) = 0.013.
    double ratios[21];
    struct qm_tune_trial trial;
    for (int i = 0; i < 21; ++i)
        ratios[i] = 1.0 + (double)(i * 8 % 21) / 100;
    qm_tune_summarize(ratios, 21, &trial);
    assert_true(fabs(trial.ratio - 1.10) < 1e-12 && fabs(trial.low - 1.05) < 1e-12 && fabs(trial.high - 1.15) < 1e-12);
    double few[] = {3, 1, 2};
    qm_tune_summarize(few, 3, &trial);
    assert_true(trial.ratio == 2 && trial.low == 1 && trial.high == 3);
}

// ---- What is possible ---------------------------------------------------------------------------------------------

static void set(const struct qm_tune_space *space, struct qm_tune_point *point, const char *name, uint32_t value)
{
    for (size_t i = 0; i < space->knob_count; ++i)
        if (strcmp(space->knobs[i].name, name) == 0)
            point->values[i] = value;
}

static void test_space(void **state)
{
    (void)state;
    struct qm_device_info gpu = {
        .type = QM_DEVICE_DISCRETE, .max_workgroup_invocations = 256, .max_local_bytes = 32768};
    char settings[QM_SETTINGS_BYTES], reason[160];
    struct qm_tune_space space;
    struct qm_tune_point point;
    qm_tune_space_of(qm_kernel_find("matmul-f16-f16", "large"), &space);
    qm_tune_fixed(&space, &point);
    qm_tune_settings(&space, &point, settings);
    assert_string_equal(settings, "");
    assert_true(qm_tune_possible(&space, &point, &gpu, reason));
    // The workgroup follows from the tile: 64 x 128 by 8 x 8 are 128 invocations.
    set(&space, &point, "QM_TILE_ROWS", 64);
    qm_tune_settings(&space, &point, settings);
    assert_string_equal(settings, "QM_TILE_ROWS=64 QM_WORKGROUP_X=128");
    set(&space, &point, "QM_TILE_ROWS", 128);
    set(&space, &point, "QM_STAGE_K", 32);
    assert_false(qm_tune_possible(&space, &point, &gpu, reason));
    assert_non_null(strstr(reason, "local memory"));
    set(&space, &point, "QM_ROWS", 32);
    set(&space, &point, "QM_COLUMNS", 16);
    assert_false(qm_tune_possible(&space, &point, &gpu, reason));
    assert_non_null(strstr(reason, "sums of an invocation"));
    set(&space, &point, "QM_ROWS", 8);
    set(&space, &point, "QM_COLUMNS", 8);
    gpu.max_workgroup_invocations = 128;
    set(&space, &point, "QM_STAGE_K", 16);
    assert_false(qm_tune_possible(&space, &point, &gpu, reason));
    assert_non_null(strstr(reason, "invocations"));
}

// ---- Configured kernels -------------------------------------------------------------------------------------------

static void test_configure(void **state)
{
    (void)state;
    static const char *const bad[] = {"QM_ROWS",    "QM_ROWS=", "QM_ROWS=x", "QM_ROWS=0", "QM_ROWS=08",
                                      "QM_ROWS=-1", "ROWS=4",   "QM_ROW=4",  "=4",        "QM_ROWS=1234567"};
    const struct qm_kernel_variant *right = qm_kernel_find("matmul-w8-a8", "narrow"), *one, *two;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        assert_int_equal(qm_kernel_configure(right, bad[i], &one), QM_INVALID);
        assert_null(one);
    }
    assert_int_equal(qm_kernel_configure(right, "", &one), QM_OK);
    assert_ptr_equal(one, right);
    assert_int_equal(qm_kernel_configure(right, "QM_ROWS=4 QM_WORKGROUP_X=16", &one), QM_OK);
    assert_int_equal(qm_kernel_configure(right, "QM_ROWS=4 QM_WORKGROUP_X=16", &two), QM_OK);
    assert_ptr_equal(one, two);
    assert_int_equal(one->workgroup[0], 16);
    assert_int_equal(qm_kernel_definition(one, "QM_ROWS", 0), 4);
    assert_int_equal(qm_kernel_definition(one, "QM_COLUMNS", 0), 8);
    assert_string_equal(one->name, "matmul-w8-a8-narrow+tuned");
    char before[QM_HASH_TEXT_BYTES], after[QM_HASH_TEXT_BYTES];
    qm_kernel_hash(right, before);
    qm_kernel_hash(one, after);
    assert_string_not_equal(before, after); // a result of it cannot pass for one of the fixed kernel
    // By its tile's name, in this process; and what is damaged sets nothing.
    assert_ptr_equal(qm_kernel_find("matmul-w8-a8", "narrow+tuned"), right);
    assert_int_equal(qm_kernel_tuned_set("matmul-w8-a8-narrow QM_ROWS=4 QM_WORKGROUP_X=16"), QM_OK);
    assert_ptr_equal(qm_kernel_find("matmul-w8-a8", "narrow+tuned"), one);
    assert_ptr_equal(qm_kernel_find("matmul-w8-a8", "narrow"), right);
    assert_string_equal(qm_kernel_settings(one), "QM_ROWS=4 QM_WORKGROUP_X=16");
    assert_int_equal(qm_kernel_tuned_set("matmul-w8-a8-narrow QM_ROWS=4;matmul-w9-a8-narrow QM_ROWS=4"), QM_INVALID);
    assert_ptr_equal(qm_kernel_find("matmul-w8-a8", "narrow+tuned"), right);
}

// The same integer bits as the fixed configuration, at a shape that fits no tile.
static void check_bits(struct qm_device *device, const char *tile, const void *context)
{
    (void)context;
    const struct qm_case_shape shape = {.rows = 17, .n = 50, .k = 288};
    const struct qm_kernel_variant *fixed = qm_kernel_find("matmul-w8-a8", tile), *configured;
    struct qm_kernel_report reports[2];
    struct qm_kernel_case *c = NULL;
    if (!fixed->glsl_source && strcmp(device->info->api, "opencl") != 0)
        return; // the C target: nothing is compiled for it here
    if (strcmp(device->info->api, "vulkan") != 0 && strcmp(device->info->api, "opencl") != 0)
        return;
    assert_int_equal(
        qm_kernel_configure(fixed, strncmp(tile, "vector", 6) == 0 ? "QM_ROWS=8 QM_TILES=2" : "QM_ROWS=4", &configured),
        QM_OK);
    assert_int_equal(qm_kernel_case_create("matmul-w8-a8", tile, &shape, QM_CASE_INTEGERS, &c), QM_OK);
    assert_int_equal(qm_kernel_check(device, fixed, c, &reports[0]), QM_OK);
    assert_int_equal(qm_kernel_check(device, configured, c, &reports[1]), QM_OK);
    for (int i = 0; i < 2; ++i)
        if (reports[i].status != QM_OK)
            fail_msg("%s, %s: %s", device->info->id, reports[i].variant->name, reports[i].reason);
    assert_string_equal(reports[0].output_hash, reports[1].output_hash);
    qm_kernel_case_destroy(&c);
}

static void test_bits(void **state)
{
    (void)state;
    with_each_device(true, check_bits, NULL);
}

// A short search on a driver ends with an answer: faster with the whole interval, or the fixed configuration.
static void check_tuned(struct qm_device *device, const char *tile, const void *context)
{
    (void)tile;
    (void)context;
    if (strcmp(device->info->api, "vulkan") != 0 && strcmp(device->info->api, "opencl") != 0)
        return;
    struct qm_kernel_item item = {
        .name = "residual", .weights = QM_WEIGHT_FORMAT_COUNT, .rows = 1, .n = 1, .k = 1000, .kv_heads = 1};
    struct qm_tune_params params = {
        .device = device, .items = &item, .item_count = 1, .seed = 1, .limit_ns = 500000000};
    struct qm_tuned_kernel tuned;
    snprintf(item.tile, sizeof(item.tile), "narrow");
    if (qm_tune_kernel(&params, &tuned) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
    assert_string_equal(tuned.right->name, "residual-narrow");
    assert_true(tuned.found.over_fixed.ratio >= 1 && tuned.found.refused == 0);
    assert_true(tuned.found.settings[0] == '\0' || tuned.found.over_fixed.low > 1);
    snprintf(item.tile, sizeof(item.tile), "no such");
    assert_int_equal(qm_tune_kernel(&params, &tuned), QM_UNSUPPORTED);
}

static void test_tuned(void **state)
{
    (void)state;
    with_each_device(true, check_tuned, NULL);
}

// ---- The store ----------------------------------------------------------------------------------------------------

static const struct qm_device_info device_info = {.api = "opencl", .name = "a device", .driver = "driver 1.2"};

static struct qm_tuned_entry entry_of(const struct qm_kernel_variant *right, const char *settings)
{
    struct qm_tuned_entry e = {.ratio = 1.25, .low = 1.2, .high = 1.3, .tried = 7, .is_complete = true};
    snprintf(e.variant, sizeof(e.variant), "%s", right->name);
    qm_kernel_hash(right, e.kernel_hash);
    snprintf(e.api, sizeof(e.api), "%s", device_info.api);
    snprintf(e.device, sizeof(e.device), "%s", device_info.name);
    snprintf(e.driver, sizeof(e.driver), "%s", device_info.driver);
    snprintf(e.settings, sizeof(e.settings), "%s", settings);
    snprintf(e.shapes, sizeof(e.shapes), "512x768x256");
    return e;
}

static void test_store(void **state)
{
    (void)state;
    static const char path[] = "test-tuned.json";
    const struct qm_kernel_variant *matmul = qm_kernel_find("matmul-w8-a8", "narrow"),
                                   *matvec = qm_kernel_find("matvec-w8-a8", "narrow");
    struct qm_tuned_entry e = entry_of(matmul, "QM_ROWS=4"), same = entry_of(matvec, "");
    const struct qm_tuned_entry *found;
    struct qm_device_info other = device_info;
    struct qm_tuned tuned;
    char *text = NULL;
    size_t ignored;
    remove(path);
    assert_int_equal(qm_tuned_load(path, &tuned), QM_OK); // none yet
    assert_int_equal(tuned.count, 0);
    assert_int_equal(qm_tuned_put(&tuned, &same), QM_OK);
    assert_int_equal(qm_tuned_put(&tuned, &e), QM_OK);
    snprintf(e.settings, sizeof(e.settings), "QM_ROWS=2");
    assert_int_equal(qm_tuned_put(&tuned, &e), QM_OK); // in its place
    assert_int_equal(tuned.count, 2);
    assert_int_equal(qm_tuned_save(&tuned, path), QM_OK);
    qm_tuned_free(&tuned);
    assert_int_equal(qm_tuned_load(path, &tuned), QM_OK);
    assert_int_equal(qm_tuned_find(&tuned, matmul, &device_info, &found), QM_TUNED_CURRENT);
    assert_string_equal(found->settings, "QM_ROWS=2");
    assert_int_equal(qm_tuned_text(&tuned, &device_info, &text, &ignored), QM_OK);
    assert_string_equal(text, "matmul-w8-a8-narrow QM_ROWS=2");
    assert_int_equal(ignored, 0);
    free(text);
    // Another driver, and a kernel that has changed: ignored, and counted.
    snprintf(other.driver, sizeof(other.driver), "driver 1.3");
    assert_int_equal(qm_tuned_find(&tuned, matmul, &other, &found), QM_TUNED_OTHER_DRIVER);
    assert_int_equal(qm_tuned_text(&tuned, &other, &text, &ignored), QM_OK);
    assert_string_equal(text, "");
    assert_int_equal(ignored, 2);
    free(text);
    tuned.entries[1].kernel_hash[0] = tuned.entries[1].kernel_hash[0] == 'a' ? 'b' : 'a';
    assert_int_equal(qm_tuned_find(&tuned, matmul, &device_info, &found), QM_TUNED_OTHER_KERNEL);
    snprintf(other.name, sizeof(other.name), "another");
    assert_int_equal(qm_tuned_find(&tuned, matmul, &other, &found), QM_TUNED_NONE);
    qm_tuned_free(&tuned);
    remove(path);
}

static void test_damaged_store(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "{\"schema\": 1}",
                                        "{\"schema\": 2, \"entries\": []}",
                                        "{\"schema\": 1, \"entries\": [{}]}",
                                        "{\"schema\": 1, \"entries\": [7]}"};
    struct qm_tuned tuned;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
        assert_int_equal(qm_tuned_parse(texts[i], strlen(texts[i]), "t.json", &tuned), QM_INVALID);
        assert_null(tuned.entries);
        assert_int_equal(strncmp(qm_error_text(), "t.json: ", 8), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search),    cmocka_unit_test(test_interval),      cmocka_unit_test(test_space),
        cmocka_unit_test(test_configure), cmocka_unit_test(test_bits),          cmocka_unit_test(test_tuned),
        cmocka_unit_test(test_store),     cmocka_unit_test(test_damaged_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
