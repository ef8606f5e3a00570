// Sweeps of kernels: plans and their rows, large problems in parts against the oracle, planted faults, comparisons, and what
// programs read of a report. Speed is not looked at.
#include "bench/kernel_cases.h"
#include "bench/kernel_plan.h"
#include "bench/kernel_problem.h"
#include "bench/kernel_shapes.h"
#include "bench/kernel_sweep.h"
#include "bench/kernel_weights.h"
#include "kernel/kernels.h"
#include "record/node.h"
#include "report/kernel_report.h"
#include "score/medians.h"
#include "sys/file.h"

#include "each_device.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static void assert_refused(enum qm_status status, const char *part)
{
    assert_int_equal(status, QM_INVALID);
    if (!strstr(qm_error_text(), part))
        fail_msg("\"%s\" does not say \"%s\"", qm_error_text(), part);
}

// ---- Plans --------------------------------------------------------------------------------------------------------

static struct qm_kernel_plan plan;

static void load_stock(void)
{
    assert_int_equal(qm_kernel_plan_load(QM_SOURCE_DIR "/profiles/kernels/llm-shapes.yaml", &plan), QM_OK);
}

static void shapes_are_read(void **state)
{
    (void)state;
    static const char *const refused[] = {"",
                                          "x",
                                          "1x2",
                                          "1x2x",
                                          "0x2x3",
                                          "1x2x3x4",
                                          "1x2x3 ",
                                          "-1x2x3",
                                          "1X2X3",
                                          "1x 2x3",
                                          "a1x2x3",
                                          "1x2x99999999",
                                          "1x16777216x16777216",
                                          "18446744073709551617x1x1"};
    uint32_t rows = 0, n = 0, k = 0;
    assert_int_equal(qm_shape_parse("512x4096x14336", &rows, &n, &k), QM_OK);
    assert_true(rows == 512 && n == 4096 && k == 14336);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); ++i)
        assert_refused(qm_shape_parse(refused[i], &rows, &n, &k), "a shape is '");
}

static const struct qm_kernel_plan_item *find_item(const struct qm_kernel_plan_item *items, size_t count,
                                                   const char *name, uint32_t rows, uint32_t n, uint32_t k)
{
    const struct qm_kernel_plan_item *found = NULL;
    for (size_t i = 0; i < count; ++i) {
        const struct qm_kernel_item *item = &items[i].item;
        if (strcmp(item->name, name) != 0 || item->rows != rows || item->n != n || item->k != k)
            continue;
        assert_null(found); // every row once
        found = &items[i];
    }
    return found;
}

// The stock profile has the layers of its models, once each, by the kernel that their rows are for.
static void stock_plan_has_its_rows(void **state)
{
    (void)state;
    struct qm_kernel_plan_item *items = NULL;
    size_t count = 0;
    load_stock();
    assert_int_equal(qm_kernel_plan_items(&plan, &items, &count), QM_OK);
    assert_non_null(find_item(items, count, "matvec-w4-f16", 1, 14336, 4096));
    assert_non_null(find_item(items, count, "matmul-w8-a8", 512, 4096, 14336));
    assert_null(find_item(items, count, "matmul-w8-a8", 1, 4096, 14336));
    assert_null(find_item(items, count, "matvec-w8-a8", 512, 4096, 14336));
    assert_non_null(find_item(items, count, "dequantize-w4", 1, 2048, 8192));
    const struct qm_kernel_plan_item *step = find_item(items, count, "attention-kv8-h128", 1, 32, 1);
    assert_true(step && step->item.position == 1023 && step->item.kv_heads == 8);
    step = find_item(items, count, "attention-f16", 512, 32, 1);
    assert_true(step && step->item.position == 512);
    // A row of the sweep that is a point of a curve as well is run once, and is in the curve.
    const struct qm_kernel_plan_item *point = find_item(items, count, "matmul-f16-f16", 512, 8192, 2048);
    assert_true(point && strcmp(point->growth, "1b up") == 0);
    assert_non_null(find_item(items, count, "matmul-f16-f16", 4, 8192, 2048));
    assert_non_null(find_item(items, count, "matvec-f16-f16", 4, 8192, 2048));
    free(items);
}

static void lists_are_checked(void **state)
{
    (void)state;
    struct qm_kernel_plan_item *items = NULL;
    size_t count = 0;
    load_stock();
    assert_refused(qm_kernel_plan_set(&plan, "kernels", "matmull"), "did you mean 'matmul'");
    assert_refused(qm_kernel_plan_set(&plan, "formats", "w4-f61"), "did you mean 'w4-f16'");
    assert_refused(qm_kernel_plan_set(&plan, "formats", "w4-f16-g33"), "there is no such group");
    assert_refused(qm_kernel_plan_set(&plan, "formats", "f16-f16,f16"), "stands twice");
    assert_refused(qm_kernel_plan_set(&plan, "models", "9b"), "unknown word '9b' in models");
    assert_refused(qm_kernel_plan_set(&plan, "rows", "1,,2"), "words with commas");
    assert_refused(qm_kernel_plan_set(&plan, "rows", "0"), "from 1 to");
    assert_refused(qm_kernel_plan_set(&plan, "rows", "1e3"), "from 1 to");
    assert_refused(qm_kernel_plan_set(&plan, "kv", "w4"), "in kv");
    assert_refused(qm_kernel_plan_set(&plan, "tiles", "large-"), "in tiles");
    load_stock();
    // Names of schemes are formats; a group chooses among formats that are decoded alike.
    assert_int_equal(qm_kernel_plan_set(&plan, "formats", "w4a16-g32,w4-f16-g128,w8a8"), QM_OK);
    assert_string_equal(plan.formats[0].parts, "w4-f16");
    assert_int_equal(plan.formats[0].weights, QM_WEIGHT_W4G32);
    assert_int_equal(plan.formats[1].weights, QM_WEIGHT_W4G128);
    assert_string_equal(plan.formats[2].parts, "w8-a8");
    // K must hold whole groups.
    assert_int_equal(qm_kernel_plan_set(&plan, "shapes", "3x50x96"), QM_OK);
    plan.models.count = plan.growth_models.count = plan.growth_sizes.count = 0;
    assert_refused(qm_kernel_plan_items(&plan, &items, &count), "K of 96 is no multiple of 128");
    assert_int_equal(qm_kernel_plan_set(&plan, "formats", "w4-f16"), QM_OK);
    assert_int_equal(qm_kernel_plan_items(&plan, &items, &count), QM_OK);
    assert_int_equal(count, 3); // matvec, matmul, dequantize
    free(items);
    plan.shape_count = 0;
    assert_refused(qm_kernel_plan_items(&plan, &items, &count), "no row");
}

// What is wrong in a profile is said with its line; a whole run's profile is refused.
static void profiles_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *says;
    } edits[] = {{"kind: kernels", "kind: runs", "'kind' is 'runs'"},
                 {"kind: kernels\n", "", "'kind' is 'missing'"},
                 {"row_ms: 250", "row_ms: 0", "'row_ms' is 0"},
                 {"row_ms: 250", "row_msec: 250", "did you mean 'row_ms'"},
                 {"context: 1024", "context: many", "expected a whole number"},
                 {"shapes: []", "shapes: [1x2]", "a shape is '1x2'"},
                 {"shapes: []", "shapes: {}", "'shapes' is no list"},
                 {"shapes: []", "shapes: [[1]]", "holds something that is no word"},
                 {"  layer: up\n", "", "'layer' is missing in growth"},
                 {"model: 1b", "model: 2b", "'model' of growth"},
                 {"schema: 1", "schema: 2", "'schema' is 2"}};
    void *bytes = NULL;
    size_t count = 0;
    assert_int_equal(qm_file_read(QM_SOURCE_DIR "/profiles/kernels/llm-shapes.yaml", 65536, &bytes, &count), QM_OK);
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); ++i) {
        char text[8192];
        const char *at = strstr(bytes, edits[i].from);
        assert_non_null(at);
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - (const char *)bytes), (const char *)bytes, edits[i].to,
                 at + strlen(edits[i].from));
        struct qm_node *root = NULL;
        assert_int_equal(qm_node_parse(text, strlen(text), "p.yaml", &qm_node_profile_limits, &root), QM_OK);
        assert_refused(qm_kernel_plan_read(root, &plan), edits[i].says);
        assert_memory_equal(qm_error_text(), "p.yaml:", 7);
        qm_node_destroy(&root);
    }
    free(bytes);
    assert_refused(qm_kernel_plan_load(QM_SOURCE_DIR "/profiles/quick.yaml", &plan), "for 'qmark run'");
    assert_refused(qm_kernel_plan_load("no-such", &plan), "no profile of kernels 'no-such'");
}

// ---- Weights ------------------------------------------------------------------------------------------------------

// Parts of a weight are the same as the whole, and the norm is that of what is decoded.
static void weights_are_alike_in_parts(void **state)
{
    (void)state;
    static const enum qm_weight_format formats[] = {QM_WEIGHT_F32,      QM_WEIGHT_W8,    QM_WEIGHT_W4G32,
                                                    QM_WEIGHT_W3ZG64,   QM_WEIGHT_NVFP4, QM_WEIGHT_E4M3,
                                                    QM_WEIGHT_MXFP6E2M3};
    enum {
        N = 90,
        K = 192
    };
    for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); ++f) {
        enum qm_weight_format format = formats[f];
        struct qm_kernel_weights w;
        struct qm_layout layout, part;
        struct qm_layout_shape shape = {.n = N, .k = K};
        assert_int_equal(qm_kernel_weights_create(format, K, 7, &w), QM_OK);
        assert_int_equal(qm_layout_plan(format, &shape, &layout), QM_OK);
        uint32_t *words = malloc(layout.bytes), *some = malloc(layout.bytes);
        assert_int_equal(qm_kernel_weights_fill(&w, 0, N, words), QM_OK);
        assert_int_equal(qm_layout_plan(format, &(struct qm_layout_shape){.n = N - 48, .k = K}, &part), QM_OK);
        assert_int_equal(qm_kernel_weights_fill(&w, 48, N - 48, some), QM_OK);
        assert_memory_equal(some, words + (size_t)48 * layout.words_per_row, part.code_words * 4);
        assert_memory_equal(some + part.scale_offset_words,
                            words + layout.scale_offset_words + (size_t)48 * layout.scale_words_per_row,
                            (part.words - part.scale_offset_words) * 4);
        struct qm_encoded encoded = {.codes = calloc(1, qm_format_code_bytes(format, N, K) + 8),
                                     .scales = calloc(1, qm_format_scale_bytes(format, N, K) + 8),
                                     .tensor_scale = 1};
        float *values = malloc(sizeof(*values) * N * K);
        uint32_t bad = 0;
        assert_int_equal(qm_layout_unpack(format, &shape, words, &encoded), QM_OK);
        assert_true(qm_format_is_valid(format, &encoded, N, K, &bad));
        qm_format_decode(format, &encoded, N, K, values);
        for (uint32_t row = 0; row < N; ++row) {
            double sum = 0;
            for (uint32_t i = 0; i < K; ++i)
                sum += (double)values[row * K + i] * (double)values[row * K + i];
            double norm = qm_kernel_weights_norm(&w, row);
            assert_true(sum > 0 && norm >= sqrt(sum) * 0.999999);
            if (qm_weight_codec(format)->scale != QM_SCALE_F16_ZERO) // whose zeros count besides
                assert_true(norm <= sqrt(sum) * 1.000001);
        }
        free(words);
        free(some);
        free(values);
        free(encoded.codes);
        free(encoded.scales);
        qm_kernel_weights_free(&w);
    }
    struct qm_kernel_weights none;
    assert_refused(qm_kernel_weights_create(QM_WEIGHT_W4G64, 96, 7, &none), "multiples of 64");
}

// ---- Problems on devices ------------------------------------------------------------------------------------------

static struct qm_kernel_item item_of(const char *name, uint32_t rows, uint32_t n, uint32_t k)
{
    struct qm_kernel_item item = {.weights = QM_WEIGHT_FORMAT_COUNT, .rows = rows, .n = n, .k = k};
    snprintf(item.name, sizeof(item.name), "%s", name);
    return item;
}

static struct qm_kernel_bench *bench_of(struct qm_device *device, uint64_t submission_ns)
{
    struct qm_kernel_bench *bench = NULL;
    struct qm_kernel_bench_params params = {.device = device, .seed = 5, .submission_ns = submission_ns};
    assert_int_equal(qm_kernel_bench_create(&params, &bench), QM_OK);
    return bench;
}

static void assert_right(struct qm_kernel_bench *bench, const struct qm_kernel_item *item, struct qm_kernel_row *row)
{
    struct qm_kernel_problem *problem = NULL;
    assert_int_equal(qm_kernel_problem_create(bench, item, &problem, row), QM_OK);
    if (row->status != QM_OK || !problem)
        fail_msg("%s, %s: %s: %s", item->name, row->shape, qm_status_name(row->status), row->reason);
    assert_true(row->checked > 0 && row->checked <= row->outputs);
    assert_true(row->bytes > 0 && row->error <= row->bound);
    double samples[3] = {0};
    size_t count = 0;
    uint32_t batch = 0;
    bool device_time;
    assert_int_equal(qm_kernel_problem_time(problem, 1, 3, samples, &count, &batch, &device_time), QM_OK);
    assert_true(count >= 1 && batch >= 1 && samples[0] > 0);
    qm_kernel_problem_destroy(&problem);
    assert_null(problem);
}

static void check_right(struct qm_device *device, const char *tile, const void *context)
{
    (void)tile;
    static const char *const names[] = {"matmul-w8-a8", "matvec-w4-f16", "dequantize-w4"};
    struct qm_kernel_row row;
    struct qm_kernel_bench *bench = bench_of(device, 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        struct qm_kernel_item item = item_of(names[i], i == 1 ? 1 : 19, 211, 96);
        assert_right(bench, &item, &row);
        if (i != 1)
            assert_true(row.is_exact && row.error == 0 && row.bound == 0);
        else
            assert_true(!row.is_exact && row.bound > 0);
    }
    // OpenCL always says something of a kernel.
    assert_true(strcmp(device->info->api, "opencl") != 0 || row.statistics.count > 0);
    qm_kernel_bench_destroy(&bench);
    (void)context;
}

static void problems_are_right(void **state)
{
    (void)state;
    with_each_device(true, check_right, NULL);
}

static struct qm_device *open_native(struct qm_device_info *info)
{
    struct qm_device *device = NULL;
    assert_int_equal(qm_native_device_open(&device), QM_OK);
    *info = *device->info;
    device->info = info;
    return device;
}

// Every format, and attention: one product, once, on the C target.
static void every_format_has_problems(void **state)
{
    (void)state;
    static struct qm_device_info info;
    struct qm_device *device = open_native(&info);
    struct qm_kernel_bench *bench = bench_of(device, 0);
    struct qm_kernel_row row;
    for (size_t i = 0; i < qm_kernel_variant_count; ++i) {
        const struct qm_kernel_variant *v = &qm_kernel_variants[i];
        const char *end = strrchr(v->name, '-');
        if (strcmp(v->kernel, "matvec") != 0 || strcmp(end, "-narrow") != 0)
            continue;
        char name[QM_PROBLEM_NAME_BYTES];
        snprintf(name, sizeof(name), "%.*s", (int)(end - v->name), v->name);
        uint32_t multiple = qm_case_k_multiple(name);
        struct qm_kernel_item item = item_of(name, 2, 37, multiple < 96 ? 96 : 2 * multiple);
        assert_right(bench, &item, &row);
    }
    struct qm_kernel_item item = item_of("attention-kv8", 24, 4, 1);
    item.kv_heads = 2;
    item.position = 40;
    assert_right(bench, &item, &row);
    item.rows = 1;
    assert_right(bench, &item, &row);
    qm_kernel_bench_destroy(&bench);
    device->fns->destroy(&device);
}

// A device whose bindings are small: weights in parts, and results that do not fit at all.
static void weights_lie_in_parts(void **state)
{
    (void)state;
    static struct qm_device_info info;
    struct qm_device *device = open_native(&info);
    struct qm_kernel_bench *bench = bench_of(device, 1); // and dispatches of few rows
    struct qm_kernel_problem *problem = NULL;
    struct qm_kernel_row row;
    info.max_binding_bytes = 300000;
    struct qm_kernel_item item = item_of("matmul-f32-f32", 200, 300, 288);
    assert_right(bench, &item, &row);
    assert_true(row.parts == 2 && row.dispatch_rows == 128);
    item = item_of("dequantize-w8", 1, 900, 96);
    assert_right(bench, &item, &row);
    assert_true(row.parts == 2 && row.is_exact);
    item = item_of("matmul-w8-a8", 600, 300, 96); // results
    assert_int_equal(qm_kernel_problem_create(bench, &item, &problem, &row), QM_OK);
    assert_true(!problem && row.status == QM_UNSUPPORTED && strstr(row.reason, "results take 720000 bytes"));
    assert_true(strstr(row.reason, "use fewer rows"));
    item = item_of("matmul-w8-a8", 4000, 16, 96); // activations
    assert_int_equal(qm_kernel_problem_create(bench, &item, &problem, &row), QM_OK);
    assert_true(!problem && row.status == QM_UNSUPPORTED && strstr(row.reason, "activations take 384000 bytes"));
    item = item_of("matvec-f32-f32", 1, 16, 4096); // 128 rows of weights
    assert_right(bench, &item, &row);
    item.n = 1000;
    assert_int_equal(qm_kernel_problem_create(bench, &item, &problem, &row), QM_OK);
    assert_true(!problem && row.status == QM_UNSUPPORTED && strstr(row.reason, "a part of the weights"));
    info.max_binding_bytes = UINT64_MAX;
    info.memory_bytes = 1000000;
    item = item_of("matvec-f32-f32", 1, 16384, 4096);
    assert_int_equal(qm_kernel_problem_create(bench, &item, &problem, &row), QM_OK);
    assert_true(!problem && row.status == QM_OUT_OF_MEMORY && strstr(row.reason, " bytes (") &&
                strstr(row.reason, "room for"));
    item = item_of("matmul-w8-a8", 3, 16, 96);
    snprintf(item.tier, sizeof(item.tier), "texel");
    assert_int_equal(qm_kernel_problem_create(bench, &item, &problem, &row), QM_OK);
    assert_true(!problem && row.status == QM_UNSUPPORTED && !row.variant);
    snprintf(item.tile, sizeof(item.tile), "huge");
    assert_int_equal(qm_kernel_problem_create(bench, &item, &problem, &row), QM_OK);
    assert_true(!problem && row.status == QM_UNSUPPORTED && strstr(row.reason, "no tile huge"));
    qm_kernel_bench_destroy(&bench);
    device->fns->destroy(&device);
}

// What a device does to a result behind a kernel's back.
static struct {
    uint64_t at_word;
    uint32_t flip, set; // bits
} damage;
static struct qm_device_fns damaged;
static enum qm_status (*read_undamaged)(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset_bytes,
                                        void *bytes, uint64_t size_bytes);

static enum qm_status read_damaged(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset, void *bytes,
                                   uint64_t size)
{
    QM_TRY(read_undamaged(device, buffer, offset, bytes, size));
    if (damage.at_word * 4 >= offset && damage.at_word * 4 < offset + size) {
        uint32_t *word = (uint32_t *)bytes + (damage.at_word - offset / 4);
        *word = (*word ^ damage.flip) | damage.set;
    }
    return QM_OK;
}

static enum qm_status refuse_to_compile(struct qm_device *device, const struct qm_kernel_variant *variant,
                                        struct qm_kernel **out)
{
    (void)device;
    *out = NULL;
    return strncmp(variant->name, "matmul-w8-a8", 12) == 0 ? QM_FAIL(QM_FAILED, "build log: error: no such thing")
                                                           : QM_OK;
}

// The compiler's words are the row's reason, and other rows go on.
static void a_kernel_may_not_compile(void **state)
{
    (void)state;
    static struct qm_device_info info;
    struct qm_device *device = open_native(&info);
    const struct qm_device_fns *plain = device->fns;
    struct qm_device_fns broken = *plain;
    broken.kernel_create = refuse_to_compile;
    struct qm_kernel_bench *bench = bench_of(device, 0);
    struct qm_kernel_problem *problem = NULL;
    struct qm_kernel_row row;
    struct qm_kernel_item item = item_of("matmul-w8-a8", 3, 16, 96);
    device->fns = &broken;
    assert_int_equal(qm_kernel_problem_create(bench, &item, &problem, &row), QM_OK);
    assert_true(!problem && row.status == QM_FAILED);
    assert_string_equal(row.reason, "build log: error: no such thing");
    device->fns = plain;
    item = item_of("matvec-w8-a8", 1, 16, 96);
    assert_right(bench, &item, &row);
    qm_kernel_bench_destroy(&bench);
    device->fns->destroy(&device);
}

// One wrong bit in a corner, one output that is not a number anywhere, one word behind the result.
static void wrong_outputs_are_found(void **state)
{
    (void)state;
    static struct qm_device_info info;
    struct qm_device *device = open_native(&info);
    damaged = *device->fns;
    read_undamaged = damaged.buffer_read;
    damaged.buffer_read = read_damaged;
    const struct qm_device_fns *plain = device->fns;
    struct qm_kernel_bench *bench = bench_of(device, 0);
    struct qm_kernel_problem *problem = NULL;
    struct qm_kernel_row row;
    struct qm_kernel_item item = item_of("matmul-w8-a8", 40, 500, 96);
    assert_right(bench, &item, &row); // and the odd shape is done with
    device->fns = &damaged;
    uint32_t guard = 512 / 4, outputs = 40 * 500;
    const struct {
        uint64_t at;
        uint32_t flip, set;
        const char *says;
    } cases[] = {{guard, 1, 0, "row 0, output 0: got"},
                 {guard + outputs - 1, 1, 0, "row 39, output 499: got"},
                 {guard + 7 * 500 + 133, 0, 0x7f800000u, "output 3633 of 20000 is not finite"},
                 {guard + outputs + 3, 1, 0, "writes outside of its result, at word 20003 of 20000"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        damage.at_word = cases[i].at;
        damage.flip = cases[i].flip;
        damage.set = cases[i].set;
        assert_int_equal(qm_kernel_problem_create(bench, &item, &problem, &row), QM_OK);
        assert_true(!problem && row.status == QM_WRONG_RESULT);
        assert_non_null(strstr(row.reason, cases[i].says));
    }
    device->fns = plain;
    qm_kernel_bench_destroy(&bench);
    device->fns->destroy(&device);
}

// A decoder that shifts wrongly is found on a driver, at a large shape as at an odd one.
static void check_planted(struct qm_device *device, const char *tile, const void *context)
{
    (void)tile;
    (void)context;
    struct qm_kernel_problem *problem = NULL;
    struct qm_kernel_row row;
    struct qm_kernel_item item = item_of("matmul-w8-a8", 33, 130, 256);
    struct qm_kernel_bench *bench = bench_of(device, 0);
    assert_int_equal(qm_kernel_problem_create(bench, &item, &problem, &row), QM_OK);
    assert_null(problem); // there is nothing to be timed
    assert_int_equal(row.status, QM_WRONG_RESULT);
    qm_kernel_bench_destroy(&bench);
}

static void planted_kernels_are_found(void **state)
{
    (void)state;
    struct qm_device *device = NULL;
    setenv("QM_PLANT_WRONG_KERNEL", "matmul-w8-a8", 1);
    for (const struct qm_backend *const *backend = &qm_backends[1]; *backend; ++backend) {
        static struct qm_device_info infos[16];
        size_t count = 0;
        if ((*backend)->enumerate(infos, 16, &count) != QM_OK)
            continue;
        for (size_t i = 0; i < count && i < 16; ++i) {
            if (!is_wanted_driver(infos[i].driver_name) || !strstr("pocl lavapipe", infos[i].driver_name))
                continue;
            assert_int_equal((*backend)->open(&infos[i], &(struct qm_open_params){0}, &device), QM_OK);
            check_planted(device, "", NULL);
            device->fns->destroy(&device);
        }
    }
    unsetenv("QM_PLANT_WRONG_KERNEL");
}

// ---- Numbers ------------------------------------------------------------------------------------------------------

static void summaries_are_right(void **state)
{
    (void)state;
    double samples[40];
    struct qm_kernel_summary s;
    for (int i = 0; i < 40; ++i)
        samples[i] = (double)((i * 7) % 40 + 1); // 1 .. 40
    qm_kernel_summarize(samples, 40, &s);
    assert_true(s.median_ns == 20.5 && s.p5_ns == 2 && s.p95_ns == 38);
    qm_kernel_summarize(samples, 1, &s);
    assert_true(s.median_ns == 1 && s.p5_ns == 1 && s.p95_ns == 1);
    qm_kernel_summarize(samples, 0, &s);
    assert_true(s.median_ns == 0);
}

static void ratios_have_intervals(void **state)
{
    (void)state;
    const struct qm_bootstrap bootstrap = QM_BOOTSTRAP_DEFAULT;
    double slow[20], fast[20], bad[2] = {1, -1};
    struct qm_estimate ratio;
    for (int i = 0; i < 20; ++i) {
        slow[i] = 2000 + 10 * (i % 5);
        fast[i] = 1000 + 5 * (i % 7);
    }
    assert_int_equal(qm_ratio_of_medians(slow, 20, fast, 20, &bootstrap, &ratio), QM_OK);
    assert_int_equal(ratio.state, QM_ESTIMATE_INTERVAL);
    assert_true(ratio.value > 1.98 && ratio.value < 2.02);
    assert_true(ratio.low > 1.95 && ratio.low <= ratio.value && ratio.high >= ratio.value && ratio.high < 2.05);
    assert_int_equal(qm_ratio_of_medians(slow, 5, fast, 20, &bootstrap, &ratio), QM_OK);
    assert_int_equal(ratio.state, QM_ESTIMATE_POINT);
    assert_int_equal(qm_ratio_of_medians(slow, 0, fast, 20, &bootstrap, &ratio), QM_OK);
    assert_int_equal(ratio.state, QM_ESTIMATE_NOT_MEASURED);
    assert_refused(qm_ratio_of_medians(slow, 20, bad, 2, &bootstrap, &ratio), "sample 1 is -1");
}

// ---- Reports ------------------------------------------------------------------------------------------------------

static void add_row(struct qm_node *rows, const char *kernel, const char *shape, const char *tile, double ns,
                    const char *status)
{
    struct qm_node *row = qm_node_append_mapping(rows);
    static const char *const keys[] = {"format", "weights", "api", "driver", "device", "layer", "curve", "tier"};
    static const char *const values[] = {"w4-f16",   "int4, 32", "vulkan", "a, \"b\"",
                                         "vulkan:0", "none",     "cube",   "base"};
    qm_node_set_text(row, "kernel", kernel);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); ++i)
        qm_node_set_text(row, keys[i], values[i]);
    qm_node_set_text(row, "shape", shape);
    qm_node_set_text(row, "tile", tile);
    qm_node_set_text(row, "status", status);
    qm_node_set_text(row, "reason", strcmp(status, "ok") == 0 ? "none" : "line one\nline two");
    qm_node_set_text(row, "operations_are", "GFLOP/s");
    qm_node_set_u64(row, "rows", strtoull(shape, NULL, 10));
    if (strcmp(status, "ok") != 0)
        return;
    qm_node_set_double(row, "error", 1e-6);
    qm_node_set_double(row, "bound", 1e-5);
    qm_node_set_double(row, "median_ns", ns);
    qm_node_set_double(row, "giga_operations_per_s", 1e6 / ns);
    struct qm_node *list = qm_node_add_sequence(row, "samples_ns");
    for (int i = 0; i < 12; ++i)
        qm_node_append_double(list, ns * (1 + 0.001 * (i % 4)));
}

static struct qm_node *sweep_of(double factor, const char *tile)
{
    struct qm_node *root = qm_node_new_mapping();
    qm_node_set_text(root, "kind", "kernels");
    qm_node_set_text(root, "label", QM_SWEEP_LABEL);
    qm_node_set_text(root, "began", "2026-01-31T12:00:00Z");
    qm_node_add_sequence(root, "devices");
    struct qm_node *rows = qm_node_add_sequence(root, "rows");
    add_row(rows, "matmul", "8x8x32", "narrow", 1000 * factor, "ok");
    add_row(rows, "matmul", "16x16x32", "narrow", 1000, "ok");
    add_row(rows, "matmul", "32x32x32", "narrow", 900, "ok");
    add_row(rows, "matvec", "1x8x32", tile, 500, "ok");
    add_row(rows, "matvec", "1x9x32", "narrow", 500, factor > 1 ? "ok" : "WRONG");
    add_row(rows, factor > 1 ? "rope" : "swiglu", "8", "narrow", 500, "ok");
    assert_true(qm_node_ok(root));
    return root;
}

static const struct qm_node *compared_row(const struct qm_node *sweep, const char *kernel, const char *shape)
{
    const struct qm_node *rows = qm_node_get(sweep, "compared.rows");
    for (size_t i = 0; i < qm_node_count(rows); ++i)
        if (strcmp(qm_node_text_at(qm_node_at(rows, i), "kernel", ""), kernel) == 0 &&
            strcmp(qm_node_text_at(qm_node_at(rows, i), "shape", ""), shape) == 0)
            return qm_node_at(rows, i);
    fail_msg("no row %s %s", kernel, shape);
    return NULL;
}

static void sweeps_are_compared(void **state)
{
    (void)state;
    struct qm_node *now = sweep_of(1, "texel"), *then = sweep_of(2, "narrow");
    double value = 0;
    assert_int_equal(qm_kernel_sweep_compare(now, then, "then.json"), QM_OK);
    const struct qm_node *row = compared_row(now, "matmul", "8x8x32");
    assert_true(qm_node_double_at(row, "ratio", &value) && fabs(value - 2) < 0.01);
    assert_string_equal(qm_node_text_at(row, "verdict", ""), "faster");
    assert_true(qm_node_double_at(row, "low", &value) && value > 1.9);
    row = compared_row(now, "matmul", "16x16x32");
    assert_true(qm_node_double_at(row, "ratio", &value) && fabs(value - 1) < 0.01);
    assert_string_equal(qm_node_text_at(row, "verdict", ""), "no difference shown");
    row = compared_row(now, "matvec", "1x8x32");
    assert_string_equal(qm_node_text_at(row, "note", ""), "tile was narrow");
    // What was wrong has no ratio; what has no partner says on which side.
    row = compared_row(now, "matvec", "1x9x32");
    assert_null(qm_node_get(row, "ratio"));
    assert_string_equal(qm_node_text_at(row, "reason", ""), "now: WRONG");
    assert_non_null(strstr(qm_node_text_at(compared_row(now, "swiglu", "8"), "reason", ""), "not in that sweep"));
    assert_non_null(strstr(qm_node_text_at(compared_row(now, "rope", "8"), "reason", ""), "not in this sweep"));
    assert_int_equal(qm_node_count(qm_node_get(now, "compared.rows")), 7);
    qm_node_destroy(&now);
    qm_node_destroy(&then);
}

static char *report_of(const struct qm_node *sweep, enum qm_form form)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(qm_kernel_report(sweep, form, 100, false, file), QM_OK);
    long size = ftell(file);
    char *text = calloc((size_t)size + 1, 1);
    rewind(file);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    fclose(file);
    return text;
}

// Cells of a line of CSV, and the begin of the next line.
static const char *csv_line(const char *at, size_t *cells)
{
    bool is_quoted = false;
    *cells = 1;
    for (; *at && (is_quoted || *at != '\r'); ++at) {
        if (*at == '"')
            is_quoted = !is_quoted;
        *cells += *at == ',' && !is_quoted;
    }
    assert_memory_equal(at, "\r\n", 2);
    return at + 2;
}

static void programs_can_read_reports(void **state)
{
    (void)state;
    struct qm_node *sweep = sweep_of(1, "texel"), *again = NULL;
    char *text = report_of(sweep, QM_FORM_CSV);
    size_t columns = 0, cells = 0, lines = 0;
    const char *at = csv_line(text, &columns);
    assert_memory_equal(text, "label,kernel,", 13);
    for (; *at; ++lines) {
        assert_memory_equal(at, QM_SWEEP_LABEL ",", strlen(QM_SWEEP_LABEL) + 1);
        at = csv_line(at, &cells);
        assert_int_equal(cells, columns);
    }
    assert_int_equal(lines, 6);
    assert_non_null(strstr(text, ",\"a, \"\"b\"\"\","));
    free(text);
    // A line each, JSON each, all with the label.
    text = report_of(sweep, QM_FORM_JSONL);
    lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), ++lines) {
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(json);
        assert_string_equal(json_string_value(json_object_get(json, "label")), QM_SWEEP_LABEL);
        json_decref(json);
    }
    assert_int_equal(lines, 7);
    free(text);
    // JSON comes back as it was.
    text = report_of(sweep, QM_FORM_JSON);
    char path[] = "test_kernel_sweep.json";
    assert_int_equal(qm_file_write(path, text, strlen(text)), QM_OK);
    assert_int_equal(qm_kernel_sweep_load(path, &again), QM_OK);
    char *second = report_of(again, QM_FORM_JSON);
    assert_string_equal(second, text);
    free(text);
    free(second);
    qm_node_destroy(&again);
    assert_int_equal(qm_file_write(path, "{\"kind\": \"run\"}", 15), QM_OK);
    assert_refused(qm_kernel_sweep_load(path, &again), "no sweep of kernels");
    assert_int_equal(qm_file_remove(path), QM_OK);
    assert_refused(qm_kernel_sweep_load(path, &again), path);
    qm_node_destroy(&sweep);
}

// People see the label, the reason of what has no speed, and where rates stop to grow.
static void people_can_read_reports(void **state)
{
    (void)state;
    static const enum qm_form forms[] = {QM_FORM_TABLE, QM_FORM_MARKDOWN};
    struct qm_node *sweep = sweep_of(1, "texel");
    for (size_t i = 0; i < 2; ++i) {
        char *text = report_of(sweep, forms[i]);
        assert_non_null(strstr(text, QM_SWEEP_LABEL));
        const char *wrong = strstr(text, "WRONG: line one");
        assert_non_null(wrong);
        assert_null(memchr(wrong, '\n', strlen("WRONG: line one line two")));
        assert_non_null(strstr(text, "GFLOP/s over sizes; knee at 8"));
        for (const char *line = text; i == 0 && *line; line += strcspn(line, "\n") + 1)
            assert_true(strcspn(line, "\n") <= 110);
        free(text);
    }
    qm_node_destroy(&sweep);
    enum qm_form form;
    assert_refused(qm_form_find("tabel", &form), "did you mean 'table'");
    assert_refused(qm_form_of_path("a.yaml", &form), "its ending");
    assert_int_equal(qm_form_of_path("b/a.md", &form), QM_OK);
    assert_int_equal(form, QM_FORM_MARKDOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_read),
        cmocka_unit_test(stock_plan_has_its_rows),
        cmocka_unit_test(lists_are_checked),
        cmocka_unit_test(profiles_are_checked),
        cmocka_unit_test(weights_are_alike_in_parts),
        cmocka_unit_test(problems_are_right),
        cmocka_unit_test(every_format_has_problems),
        cmocka_unit_test(weights_lie_in_parts),
        cmocka_unit_test(a_kernel_may_not_compile),
        cmocka_unit_test(wrong_outputs_are_found),
        cmocka_unit_test(planted_kernels_are_found),
        cmocka_unit_test(summaries_are_right),
        cmocka_unit_test(ratios_have_intervals),
        cmocka_unit_test(sweeps_are_compared),
        cmocka_unit_test(programs_can_read_reports),
        cmocka_unit_test(people_can_read_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
