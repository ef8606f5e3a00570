// Ceilings on every driver: that there are some, that what is wrong gives none, and the formula of the roofline.
#include "test/each_device.h"

#include "bench/ceilings_node.h"
#include "bench/kernel_check.h"
#include "report/show_roofline.h"

#define KIND(kind) (1u << (kind))
#define MEMORY (KIND(QM_CEILING_READ) | KIND(QM_CEILING_WRITE) | KIND(QM_CEILING_COPY))

// Tests look at what comes out, not at how fast it is.
static const struct qm_ceilings_params quick = {.budget_ns = 100000000, .max_bytes = 1 << 20};

static const struct qm_ceilings *measure(struct qm_device *device, uint32_t kinds, uint32_t trips)
{
    static struct qm_ceilings out;
    struct qm_ceilings_params params = quick;
    params.kinds = kinds;
    params.trips = trips;
    if (qm_ceilings_measure(device, &params, &out) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
    return &out;
}

// ---- On every driver ----------------------------------------------------------------------------------------------

// The C target has no local memory.
static bool is_optional(const struct qm_device *device, int kind)
{
    if (kind == QM_CEILING_LOCAL)
        return strcmp(device->info->api, "native") == 0;
    return kind == QM_CEILING_FP16 || kind == QM_CEILING_DOT8 || kind == QM_CEILING_MATRIX;
}

// There is a rate or a reason, and never both.
static void check_ceiling(const struct qm_device *device, const struct qm_ceilings *c, int kind)
{
    const struct qm_ceiling *ceiling = &c->of[kind];
    const char *name = qm_ceiling_name((enum qm_ceiling_kind)kind);
    if (is_optional(device, kind) && ceiling->status == QM_UNSUPPORTED) {
        assert_true(ceiling->reason[0] != '\0' && ceiling->rate == 0);
        return;
    }
    if (ceiling->status != QM_OK)
        fail_msg("%s, %s: %s: %s", device->info->id, name, qm_status_name(ceiling->status), ceiling->reason);
    if (!(ceiling->rate > 0) || ceiling->reason[0] || ceiling->samples < 1 || ceiling->candidates < 1)
        fail_msg("%s, %s: no rate, or not how it was obtained", device->info->id, name);
    if (kind <= QM_CEILING_DOT8)
        assert_true(ceiling->chains >= 4 && ceiling->vector_width >= 1 && ceiling->workgroup >= 1);
    if (kind <= QM_CEILING_ROUND_TRIP)
        assert_non_null(qm_kernel_find(ceiling->probe, ceiling->tile));
}

// The copying of 1 MiB by the kernel `copy`, in bytes a second.
static double naive_copy(struct qm_device *device, const char *tile)
{
    struct qm_kernel_case *c = NULL;
    struct qm_kernel_timing timing = {0};
    const struct qm_case_shape shape = {.rows = 1, .k = 1 << 17};
    assert_int_equal(qm_kernel_case_create("copy", tile, &shape, QM_CASE_RANDOM, &c), QM_OK);
    assert_int_equal(qm_kernel_time(device, qm_kernel_find("copy", tile), c, 1000000, &timing), QM_OK);
    double rate = timing.bytes / timing.minimum_ns * 1e9;
    free(timing.samples_ns);
    qm_kernel_case_destroy(&c);
    return rate;
}

static void check_all_kinds(struct qm_device *device, const char *tile, const void *context)
{
    (void)context;
    const struct qm_ceilings *c = measure(device, 0, 0);
    for (int kind = 0; kind < QM_CEILING_COUNT; ++kind)
        check_ceiling(device, c, kind);
    // Each size that was reached has all three, and the ceiling is the best of them, at the size that it says.
    assert_true(c->size_count >= 1 && c->sizes[0].bytes <= 1 << 20);
    double read = 0, write = 0, copy = 0;
    for (size_t i = 0; i < c->size_count; ++i) {
        const struct qm_ceiling_size *s = &c->sizes[i];
        assert_true(s->bytes <= 1 << 20 && (i == 0 || s->bytes > c->sizes[i - 1].bytes));
        assert_true(s->read > 0 && s->write > 0 && s->copy > 0);
        read = s->read > read ? s->read : read;
        write = s->write > write ? s->write : write;
        copy = s->copy > copy ? s->copy : copy;
        if (s->bytes == c->of[QM_CEILING_READ].bytes)
            assert_true(s->read == c->of[QM_CEILING_READ].rate);
    }
    assert_true(c->of[QM_CEILING_READ].rate == read);
    assert_true(c->of[QM_CEILING_WRITE].rate == write);
    assert_true(c->of[QM_CEILING_COPY].rate == copy);
    // Far off by a unit: other work on the machine costs a factor of a few, not of twenty.
    double naive = naive_copy(device, tile);
    if (!(naive < 20 * copy))
        fail_msg("%s: copies at %g bytes a second where the ceiling is %g", device->info->id, naive, copy);
}

static void test_every_driver_has_ceilings(void **state)
{
    (void)state;
    with_each_device(false, check_all_kinds, NULL);
}

static void test_the_reference_has_none(void **state)
{
    (void)state;
    struct qm_device *device = NULL;
    assert_int_equal(qm_backend_reference.open(NULL, NULL, &device), QM_OK);
    const struct qm_ceilings *c = measure(device, 0, 0);
    for (int kind = 0; kind < QM_CEILING_COUNT; ++kind) {
        assert_int_equal(c->of[kind].status, QM_UNSUPPORTED);
        assert_non_null(strstr(c->of[kind].reason, "reference"));
    }
    device->fns->destroy(&device);
}

// ---- Faults -------------------------------------------------------------------------------------------------------

static void expect_wrong(const struct qm_device *device, const struct qm_ceilings *c, enum qm_ceiling_kind kind,
                         const char *probe)
{
    const struct qm_ceiling *ceiling = &c->of[kind];
    if (ceiling->status != QM_WRONG_RESULT || ceiling->rate != 0 || !strstr(ceiling->reason, probe))
        fail_msg("%s, %s: %s, rate %g, \"%s\", where %s is wrong", device->info->id, qm_ceiling_name(kind),
                 qm_status_name(ceiling->status), ceiling->rate, ceiling->reason, probe);
}

// One candidate that computes something else takes the ceiling, whatever the others give.
static void check_planted(struct qm_device *device, const char *tile, const void *context)
{
    static const struct {
        const char *probe;
        enum qm_ceiling_kind kind;
    } plants[] = {{"probe_arithmetic-f32-v4c8", QM_CEILING_FP32},
                  {"probe_read", QM_CEILING_READ},
                  {"probe_copy", QM_CEILING_COPY}};
    (void)tile;
    (void)context;
    if (strcmp(device->info->api, "native") == 0)
        return; // it runs the bodies that it was built with
    for (size_t i = 0; i < sizeof(plants) / sizeof(plants[0]); ++i) {
        setenv("QM_PLANT_WRONG_KERNEL", plants[i].probe, 1);
        const struct qm_ceilings *c = measure(device, KIND(plants[i].kind) | KIND(QM_CEILING_WRITE), 0);
        unsetenv("QM_PLANT_WRONG_KERNEL");
        expect_wrong(device, c, plants[i].kind, plants[i].probe);
        assert_int_equal(c->of[QM_CEILING_WRITE].status, QM_OK);
        for (size_t s = 0; s < c->size_count; ++s)
            assert_true(c->sizes[s].read == 0 && c->sizes[s].copy == 0 && c->sizes[s].write > 0);
    }
}

// What compares is the same for all drivers: one of each API will do, unless QM_TEST_FULL is set.
static bool is_short(void)
{
    return !getenv("QM_TEST_FULL");
}

static void test_a_planted_kernel_gives_no_ceiling(void **state)
{
    (void)state;
    with_each_device(is_short(), check_planted, NULL);
}

// A driver that ends every loop of a probe one trip early, or one pass, and says nothing.
static const struct qm_device_fns *honest;

static enum qm_status record_less(struct qm_device *device, const struct qm_program_params *params,
                                  struct qm_program **out)
{
    struct qm_dispatch dispatch = params->dispatches[0];
    struct qm_program_params less = *params;
    if (params->count != 1)
        return honest->program_create(device, params, out);
    less.dispatches = &dispatch;
    // Arithmetic and local memory: count, trips; the last parameters are 0. Memory: count, shift, passes: where a slow machine
    // needs a single one, none is left.
    if (dispatch.parameters[2] == 0)
        dispatch.parameters[1] -= dispatch.parameters[1] > 1;
    else
        dispatch.parameters[2] -= 1;
    return honest->program_create(device, &less, out);
}

static void check_early_end(struct qm_device *device, const char *tile, const void *context)
{
    (void)tile;
    (void)context;
    honest = device->fns;
    struct qm_device_fns lying = *honest;
    lying.program_create = record_less;
    device->fns = &lying;
    const uint32_t kinds = MEMORY | KIND(QM_CEILING_FP32) | KIND(QM_CEILING_INT32) | KIND(QM_CEILING_FP16) |
                           KIND(QM_CEILING_DOT8) | KIND(QM_CEILING_LOCAL);
    const struct qm_ceilings *c = measure(device, kinds, 0);
    device->fns = honest;
    for (int kind = 0; kind <= QM_CEILING_LOCAL; ++kind)
        if (!is_optional(device, kind) || c->of[kind].status != QM_UNSUPPORTED)
            expect_wrong(device, c, (enum qm_ceiling_kind)kind, "probe_");
}

static void test_an_early_end_is_found(void **state)
{
    (void)state;
    with_each_device(is_short(), check_early_end, NULL);
}

// lavapipe does it by itself, at 65,535 trips.
static void check_long_loop(struct qm_device *device, const char *tile, const void *context)
{
    (void)tile;
    (void)context;
    if (strcmp(device->info->driver_name, "lavapipe") == 0)
        expect_wrong(device, measure(device, KIND(QM_CEILING_FP32), 70000), QM_CEILING_FP32, "after 70000 trips");
}

static void test_a_loop_that_a_driver_ends_is_found(void **state)
{
    (void)state;
    with_each_device(true, check_long_loop, NULL);
}

// ---- Roofline -----------------------------------------------------------------------------------------------------

static void test_roofline(void **state)
{
    (void)state;
    enum qm_ceiling_kind limit;
    struct qm_ceilings c = {
        .of = {[QM_CEILING_FP32] = {.rate = 200e9}, [QM_CEILING_INT32] = {.rate = 100e9}},
        .sizes = {{1 << 16, 400e9, 100e9, 120e9}, {1 << 20, 90e9, 30e9, 50e9}, {1 << 24, 40e9, 0, 20e9}},
        .size_count = 3};
    c.of[QM_CEILING_FP16].status = QM_UNSUPPORTED;
    // 2 * 1024^3 operations on 12 MiB: at 200 GFLOP/s 10.7 ms, at 90 GB/s 0.14 ms.
    double ns = qm_ceilings_bound_ns(&c, QM_CEILING_FP32, QM_CEILING_READ, 2147483648.0, 12582912, &limit);
    assert_true(ns > 10737418.0 && ns < 10737419.0 && limit == QM_CEILING_FP32);
    // A product of one row: 58.7 Mi operations on 117 MB, beyond all caches.
    ns = qm_ceilings_bound_ns(&c, QM_CEILING_INT32, QM_CEILING_READ, 117440512, 117440512, &limit);
    assert_true(ns > 2936012.0 && ns < 2936013.0 && limit == QM_CEILING_READ);
    // What a cache holds is held against the cache; what is smaller than all sizes, against the best.
    assert_true(qm_ceilings_bandwidth(&c, QM_CEILING_READ, 1 << 16) == 400e9);
    assert_true(qm_ceilings_bandwidth(&c, QM_CEILING_READ, 100) == 400e9);
    assert_true(qm_ceilings_bandwidth(&c, QM_CEILING_READ, (1 << 20) - 1) == 400e9);
    assert_true(qm_ceilings_bandwidth(&c, QM_CEILING_READ, 1 << 20) == 90e9);
    assert_true(qm_ceilings_bandwidth(&c, QM_CEILING_COPY, 1e12) == 20e9);
    ns = qm_ceilings_bound_ns(&c, QM_CEILING_FP32, QM_CEILING_COPY, 0, 20e6, &limit);
    assert_true(ns == 1e6 && limit == QM_CEILING_COPY);
    // Without what would limit it there is no bound: writing was not measured at that size, fp16 not at all.
    assert_true(qm_ceilings_bound_ns(&c, QM_CEILING_FP32, QM_CEILING_WRITE, 1, 1e9, &limit) == 0);
    assert_int_equal(limit, QM_CEILING_COUNT);
    assert_true(qm_ceilings_bound_ns(&c, QM_CEILING_FP16, QM_CEILING_READ, 1e9, 1e9, &limit) == 0);
    assert_true(qm_ceilings_bound_ns(&c, QM_CEILING_FP16, QM_CEILING_READ, 0, 40e6, &limit) == 1e6);
    assert_true(qm_ceilings_bound_ns(&c, QM_CEILING_FP32, QM_CEILING_READ, 0, 0, NULL) == 0);
    for (int kind = 0; kind < QM_CEILING_COUNT; ++kind)
        assert_int_equal(qm_ceiling_find(qm_ceiling_name((enum qm_ceiling_kind)kind)), kind);
    assert_int_equal(qm_ceiling_find("fp64"), QM_CEILING_COUNT);
}

static void test_arithmetic_of_kernels(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum qm_ceiling_kind arithmetic, memory;
    } expected[] = {
        {"matmul-f32-f32", QM_CEILING_FP32, QM_CEILING_READ},
        {"matmul-w4-f16", QM_CEILING_FP32, QM_CEILING_READ},
        {"matmul-w8-a8", QM_CEILING_INT32, QM_CEILING_READ},
        {"matvec-w4-a8g", QM_CEILING_INT32, QM_CEILING_READ},
        {"matmul-e4m3-f8", QM_CEILING_FP32, QM_CEILING_READ},
        {"attention-f16", QM_CEILING_FP32, QM_CEILING_READ},
        {"activations-a8", QM_CEILING_FP32, QM_CEILING_COPY},
        {"residual", QM_CEILING_FP32, QM_CEILING_COPY},
        {"probe_arithmetic-dot-v1c8", QM_CEILING_DOT8, QM_CEILING_COPY},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); ++i) {
        const struct qm_kernel_variant *v = qm_kernel_find(expected[i].name, "narrow");
        assert_non_null(v);
        assert_int_equal(qm_kernel_arithmetic(v), expected[i].arithmetic);
        assert_int_equal(qm_kernel_memory(v), expected[i].memory);
    }
}

// ---- In results ---------------------------------------------------------------------------------------------------

static void test_nodes(void **state)
{
    (void)state;
    struct qm_ceilings c = {.sizes = {{1 << 16, 4e11, 1e11, 1.2e11}, {1 << 20, 9e10, 0, 5e10}}, .size_count = 2}, back;
    for (int kind = 0; kind < QM_CEILING_COUNT; ++kind)
        c.of[kind] = (struct qm_ceiling){.rate = 1e10 + kind, .candidates = 1, .samples = 3};
    c.of[QM_CEILING_DOT8] = (struct qm_ceiling){.status = QM_WRONG_RESULT, .reason = "it lies"};
    struct qm_node *node = qm_ceilings_node(&c);
    assert_true(qm_node_ok(node) && qm_ceilings_of_node(node, &back));
    for (int kind = 0; kind < QM_CEILING_COUNT; ++kind) {
        assert_true((back.of[kind].status == QM_OK) == (kind != QM_CEILING_DOT8));
        double difference = back.of[kind].rate - c.of[kind].rate;
        assert_true(difference < 1e-3 && difference > -1e-3);
    }
    assert_true(back.size_count == 2 && back.sizes[1].bytes == 1 << 20 && back.sizes[1].write == 0);
    assert_true(back.sizes[1].read > 8.9999e10 && back.sizes[1].read < 9.0001e10);
    qm_node_destroy(&node);
    // What a stranger may write: no rates, other kinds, more sizes than there can be.
    static const char too_many[] =
        "bandwidth: [{bytes: -1, read: 5}, {read: 5}, {bytes: 1, read: -5}, {bytes: 2}, {bytes: 3}, {bytes: 4}, "
        "{bytes: 5}, {bytes: 6}, {bytes: 7}, {bytes: 8}, {bytes: 9}, {bytes: 10}, {bytes: 11}, {bytes: 12}, "
        "{bytes: 13}, {bytes: 14}, {bytes: 15}, {bytes: 16}, {bytes: 17}, {bytes: 18}]\n";
    static const char no_rates[] =
        "kinds: [{kind: fp32, rate: -1}, {kind: fp33, rate: 5}, {kind: int32, rate: fast}, {rate: 7}, 3, []]\n";
    static const char *const hostile[] = {no_rates, "kinds: 5\nbandwidth: {bytes: 3}\n", too_many};
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); ++i) {
        enum qm_ceiling_kind limit;
        assert_int_equal(qm_node_parse(hostile[i], strlen(hostile[i]), "hostile", &qm_node_result_limits, &node),
                         QM_OK);
        assert_true(qm_ceilings_of_node(node, &back));
        assert_true(back.size_count <= QM_CEILING_SIZES_MAX);
        assert_true(qm_ceilings_bound_ns(&back, QM_CEILING_FP32, QM_CEILING_READ, 1e9, 1e6, &limit) == 0);
        qm_node_destroy(&node);
    }
    assert_false(qm_ceilings_of_node(NULL, &back));
}

static const char shown_text[] =
    "profile: {baseline: f16}\n"
    "ceilings:\n  seconds: 1\n  kinds:\n"
    "  - {kind: fp32, rate: 200, unit: GFLOP/s, probe: probe_arithmetic-f32-v16c8, tile: vector, workgroup: 1, "
    "vector_width: "
    "16, chains: 8}\n"
    "  - {kind: fp16, rate: 50, unit: GFLOP/s, probe: p, tile: t, workgroup: 1, note: \"slower than fp32: 0.25 of its "
    "rate\"}\n"
    "  - {kind: dot8, status: unsupported, reason: the device does not offer it}\n"
    "  - {kind: read, rate: 40, unit: GB/s, probe: probe_read, tile: vector, workgroup: 1, bytes: 65536}\n"
    "  bandwidth:\n  - {bytes: 65536, read: 40, write: 20}\n"
    "schemes:\n- name: f16\n  kernels:\n"
    // 100 us at 60 % and 300 us at 20 %: the least time is 120 of 400 us.
    "  - {name: matmul-f16-f16, shape: a, tile: vector, time_us: 100, rate: 120, unit: GOP/s, intensity: 90, ceiling: "
    "fp32, "
    "share: 0.6, checked_error: 0, bound: 1}\n"
    "  - {name: matmul-f16-f16, shape: b, tile: vector, time_us: 300, rate: 40, unit: GOP/s, intensity: 90, ceiling: "
    "fp32, "
    "share: 0.2, checked_error: 0, bound: 1}\n"
    "  - {name: matvec-f16-f16, shape: c, tile: vector, time_us: 10, rate: 40, unit: GOP/s, intensity: 1, ceiling: "
    "read, "
    "share: 0.8, checked_error: 0, bound: 1}\n"
    "- name: w8a8\n  kernels:\n"
    "  - {name: matmul-w8-a8, shape: a, tile: vector, time_us: 100, rate: 40, unit: GOP/s, intensity: 90, ceiling: "
    "int32, "
    "share: 0.1, checked_error: 0, bound: 1}\n"
    "  - {name: matvec-f16-f16, shape: c, tile: vector, time_us: 10, rate: 40, unit: GOP/s, intensity: 1, ceiling: "
    "read, "
    "share: 0.8, checked_error: 0, bound: 1}\n"
    "  - {name: rope, shape: d, tile: narrow, time_us: 10, rate: 4, unit: GB/s, intensity: 0}\n";

static char *shown(const struct qm_node *result)
{
    static char text[8192];
    const struct qm_show_style style = {0};
    FILE *file = tmpfile();
    assert_non_null(file);
    struct qm_text caution = {0};
    qm_weak_baseline_caution(&caution, result);
    fprintf(file, "  WARNING: %s", qm_text_bytes(&caution));
    qm_text_free(&caution);
    qm_show_ceilings(result, file);
    assert_int_equal(qm_show_roofline(result, &style, file), QM_OK);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void test_shown(void **state)
{
    (void)state;
    struct qm_node *result = NULL;
    assert_int_equal(qm_node_parse(shown_text, strlen(shown_text), "shown", &qm_node_result_limits, &result), QM_OK);
    const char *text = shown(result);
    static const char warning[] = "  WARNING: prefill of the baseline f16 reaches 30 % of its ceiling: gains over it "
                                  "may come from its slow kernels\n";
    static const char *const lines[] = {
        warning,
        "  ceilings: fp32 200 GFLOP/s, fp16 50 GFLOP/s, read 40 GB/s; --kernels lists all\n",
        "  products reach of them: prefill f16 30 %, w8a8 10 %; decode f16 80 %, w8a8 80 %\n",
        "unsupported: the device does not offer it",
        "slower than fp32",
        "not measured",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); ++i)
        if (!strstr(text, lines[i]))
            fail_msg("not shown: %s in\n%s", lines[i], text);
    assert_null(strstr(text, "decode of the baseline")); // which is above half
    // A kernel that two schemes share is listed once.
    const char *once = strstr(text, "matvec-f16-f16");
    assert_true(once && !strstr(once + 1, "matvec-f16-f16"));
    qm_node_remove(result, "ceilings");
    text = shown(result);
    assert_non_null(strstr(text, "ceilings: not measured"));
    assert_null(strstr(text, "products reach"));
    qm_node_destroy(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roofline),
        cmocka_unit_test(test_arithmetic_of_kernels),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_the_reference_has_none),
        cmocka_unit_test(test_every_driver_has_ceilings),
        cmocka_unit_test(test_a_planted_kernel_gives_no_ceiling),
        cmocka_unit_test(test_an_early_end_is_found),
        cmocka_unit_test(test_a_loop_that_a_driver_ends_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
