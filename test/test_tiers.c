// Which tile and tiers a device gets, a tier that lies, one that is asked for and not there, and the bits of all of them.
#include "bench/kernel_check.h"
#include "bench/selftest.h"
#include "kernel/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ALL                                                                                                            \
    (1u << QM_TIER_TEXEL | 1u << QM_TIER_F16 | 1u << QM_TIER_DOT | 1u << QM_TIER_SUBGROUP | 1u << QM_TIER_MATRIX)

// ---- The table ----------------------------------------------------------------------------------------------------

static struct qm_device_info device_of(enum qm_device_type type, uint32_t local_bytes, uint32_t invocations)
{
    return (struct qm_device_info){.id = "test",
                                   .type = type,
                                   .max_local_bytes = local_bytes,
                                   .max_workgroup_invocations = invocations,
                                   .max_texel_bytes = 1 << 20,
                                   .has_fast_dot = true};
}

static void test_table(void **state)
{
    (void)state;
    static const struct {
        enum qm_device_type type;
        uint32_t local_bytes, invocations, vector_width, working;
        const char *class, *tile;
    } rows[] = {
        {QM_DEVICE_CPU, 32768, 1024, 1, 0, "cpu", "narrow"},
        {QM_DEVICE_CPU, 32768, 1024, 1, ALL, "cpu", "texel"}, // no tier of GPUs, though all work
        {QM_DEVICE_CPU, 1048576, 4096, 16, ALL, "cpu", "vector"},
        {QM_DEVICE_CPU, 1048576, 4096, 8, ALL, "cpu", "vector8"},
        {QM_DEVICE_CPU, 1048576, 4096, 4, 0, "cpu", "vector8"},
        {QM_DEVICE_DISCRETE, 49152, 1024, 1, 0, "discrete", "large"},
        {QM_DEVICE_DISCRETE, 49152, 1024, 1, ALL, "discrete", "large+matrix+dot+subgroup"}, // f16 has fewer bits
        {QM_DEVICE_DISCRETE, 32768, 256, 1, 1u << QM_TIER_DOT, "discrete", "large+dot"},
        {QM_DEVICE_DISCRETE, 32767, 256, 1, 0, "discrete", "wide"},
        {QM_DEVICE_DISCRETE, 49152, 255, 1, 0, "discrete", "wide"},
        {QM_DEVICE_DISCRETE, 49152, 1024, 4, 0, "discrete", "large"}, // a GPU whose driver likes vectors is a GPU
        {QM_DEVICE_INTEGRATED, 65536, 1024, 1, ALL, "integrated", "wide+matrix+dot+subgroup"},
        {QM_DEVICE_INTEGRATED, 32768, 512, 1, 0, "mobile", "compact"},
        {QM_DEVICE_INTEGRATED, 32768, 512, 1, ALL, "mobile", "compact+dot+texel+subgroup"},
        {QM_DEVICE_VIRTUAL, 32768, 512, 1, 0, "integrated", "wide"},
        {QM_DEVICE_OTHER, 0, 1, 1, 0, "integrated", "wide"}, // its kernels say what they lack
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        struct qm_device_info info = device_of(rows[i].type, rows[i].local_bytes, rows[i].invocations);
        info.vector_width = rows[i].vector_width;
        assert_string_equal(qm_device_class_name(qm_device_class(&info)), rows[i].class);
        assert_string_equal(qm_tiers_best(&info, rows[i].working, 1 << 20), rows[i].tile);
        // Neither its names nor its API choose.
        snprintf(info.api, sizeof(info.api), "opencl");
        snprintf(info.driver_name, sizeof(info.driver_name), "rusticl");
        snprintf(info.name, sizeof(info.name), "GeForce");
        assert_string_equal(qm_tiers_best(&info, rows[i].working, 1 << 20), rows[i].tile);
    }
    struct qm_device_info info = device_of(QM_DEVICE_INTEGRATED, 32768, 512);
    assert_string_equal(qm_tiers_best(&info, ALL, (1 << 20) + 1), "compact+dot+subgroup"); // more than its texels
    info.has_fast_dot = false;
    assert_string_equal(qm_tiers_best(&info, ALL, 1), "compact+texel+subgroup");
}

static void test_variants(void **state)
{
    (void)state;
    static const struct {
        const char *name, *tile, *variant, *tier;
    } rows[] = {
        {"matmul-w8-a8", "large+matrix+dot+subgroup", "matmul-w8-a8-large.dot", "dot"},
        {"matmul-f16-f16", "large+matrix+dot+subgroup", "matmul-f16-f16-wide.matrix", "matrix"},
        {"matmul-f16-f16", "large+f16", "matmul-f16-f16-large.f16", "f16"},
        {"matmul-w8-f16", "large+f16", "matmul-w8-f16-large", "base"},
        {"matvec-w4-a8", "large+dot", "matvec-w4-a8-wide.dot", "dot"},
        {"matvec-w4-f16", "large+dot+subgroup", "matvec-w4-f16-wide.subgroup", "subgroup"},
        {"matmul-q6_k-a8", "large+dot", "matmul-q6_k-a8-large", "base"}, // no row of the tier
        {"rmsnorm", "compact+texel+subgroup", "rmsnorm-wide.subgroup", "subgroup"},
        {"matmul-w4-f16", "compact+texel+subgroup", "matmul-w4-f16-compact.texel", "texel"},
        {"matmul-q6_k-f16", "compact+texel", "matmul-q6_k-f16-wide", "base"},
        {"matmul-w8-a8", "narrow+dot", "matmul-w8-a8-wide.dot", "dot"}, // asked of a processor
        {"matmul-w8-f16", "narrow+dot", "matmul-w8-f16-narrow", "base"},
        {"matmul-w8-a8", "wide.dot", "matmul-w8-a8-wide.dot", "dot"}, // as results name tiles
        {"matmul-w8-a8", "texel", "matmul-w8-a8-texel", "texel"},
        {"residual", "large", "residual-wide", "base"},
        {"residual", "vector", "residual-narrow", "base"},
        {"matmul-w8-a8", "vector8", "matmul-w8-a8-vector8", "base"},
        {"matvec-w8-a8", "vector8", "matvec-w8-a8-vector", "base"},
        {"advance", "large+dot", "advance-narrow", "base"},
        {"advance", "no such tile, and a name that is longer than any of them is", "advance-narrow", "base"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        const struct qm_kernel_variant *found = qm_kernel_find(rows[i].name, rows[i].tile);
        assert_non_null(found);
        assert_string_equal(found->name, rows[i].variant);
        assert_string_equal(qm_kernel_tier(found), rows[i].tier);
    }
    assert_null(qm_kernel_find("matmul-w8", "narrow"));
    assert_null(qm_kernel_find("", "large+dot"));
}

static void test_forced(void **state)
{
    (void)state;
    const struct qm_capability list[] = {
        {.name = "packed_dot", .advertised = true, .tried = true, .works = true},
        {.name = "fp16", .advertised = true, .tried = true, .detail = "gave 0x0000"},
        {.name = "subgroups", .advertised = false},
        {.name = "texel_buffers", .advertised = true, .tried = true, .works = true},
    };
    static const struct {
        enum qm_tier tier;
        const char *tile, *reason; // one of them
    } rows[] = {
        {QM_TIER_BASE, "large", NULL},
        {QM_TIER_DOT, "large+dot", NULL},
        {QM_TIER_TEXEL, "compact+texel", NULL},
        {QM_TIER_F16, NULL, "tier f16: advertised, failed self-test: gave 0x0000; test has base, texel, dot"},
        {QM_TIER_SUBGROUP, NULL, "tier subgroup: unsupported: the driver does not offer subgroups; test has base"},
        {QM_TIER_MATRIX, NULL, "tier matrix: unsupported: the driver does not offer cooperative_matrix; test has base"},
    };
    struct qm_device_info info = device_of(QM_DEVICE_DISCRETE, 49152, 1024);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        const char *tile = "";
        enum qm_status status = qm_tiers_force(&info, list, 4, rows[i].tier, 1 << 20, &tile);
        assert_int_equal(status, rows[i].tile ? QM_OK : QM_UNSUPPORTED);
        if (rows[i].tile)
            assert_string_equal(tile, rows[i].tile);
        else
            assert_non_null(strstr(qm_error_text(), rows[i].reason));
    }
    const char *tile = "";
    assert_int_equal(qm_tiers_force(&info, list, 4, QM_TIER_TEXEL, (1 << 20) + 1, &tile), QM_UNSUPPORTED);
    assert_non_null(strstr(qm_error_text(), "1048576 bytes as texels and a binding here has 1048577"));
    info.has_fast_dot = false; // what is slow is not taken, but can be asked for
    assert_int_equal(qm_tiers_force(&info, list, 4, QM_TIER_DOT, 1, &tile), QM_OK);
    enum qm_tier tier;
    assert_true(qm_tier_find("matrix", &tier) && tier == QM_TIER_MATRIX);
    assert_false(qm_tier_find("best", &tier) || qm_tier_find("", &tier) || qm_tier_find("do", &tier));
}

// ---- Devices ------------------------------------------------------------------------------------------------------

static bool is_wanted(const char *driver)
{
    const char *list = getenv("QM_TEST_DRIVERS");
    return !list || strstr(list, driver);
}

// Calls `check` for every wanted device of an API but the reference.
static void with_devices(void (*check)(struct qm_device *device))
{
    static struct qm_device_info infos[16];
    for (size_t b = 1; qm_backends[b]; ++b) {
        size_t count = 0;
        struct qm_device *device = NULL;
        if (qm_backends[b]->enumerate(infos, 16, &count) != QM_OK)
            continue;
        for (size_t i = 0; i < count && i < 16; ++i) {
            if (!is_wanted(infos[i].driver_name))
                continue;
            if (qm_backends[b]->open(&infos[i], &(struct qm_open_params){0}, &device) != QM_OK)
                fail_msg("%s: %s", infos[i].id, qm_error_text());
            check(device);
            device->fns->destroy(&device);
        }
    }
}

// A driver that advertises packed dot products and is wrong by one: it lies in what comes back of that kernel.
static const struct qm_device_fns *honest;
static bool is_dot;

static enum qm_status lying_create(struct qm_device *device, const struct qm_kernel_variant *variant,
                                   struct qm_kernel **out)
{
    is_dot = strstr(variant->name, "packed_dot") != NULL;
    return honest->kernel_create(device, variant, out);
}

static enum qm_status lying_read(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset_bytes, void *bytes,
                                 uint64_t size_bytes)
{
    enum qm_status status = honest->buffer_read(device, buffer, offset_bytes, bytes, size_bytes);
    uint32_t *words = bytes;
    for (uint64_t i = 12; is_dot && i < size_bytes / 4; i += 16)
        words[i] += 1;
    return status;
}

static size_t liars;

static void check_liar(struct qm_device *device)
{
    struct qm_selftest selftest;
    const struct qm_device_info discrete = device_of(QM_DEVICE_DISCRETE, 49152, 1024);
    const char *tile = NULL;
    assert_int_equal(qm_selftest_run(device, &selftest), QM_OK);
    if (qm_tier_state(QM_TIER_DOT, selftest.capabilities, selftest.capability_count) == QM_TIER_UNSUPPORTED)
        return;
    uint32_t working = qm_tiers_working(selftest.capabilities, selftest.capability_count);
    assert_true(working & 1u << QM_TIER_DOT);
    assert_non_null(strstr(qm_tiers_best(&discrete, working, 1), "+dot"));

    struct qm_device_fns fns = *device->fns;
    honest = device->fns;
    fns.kernel_create = lying_create;
    fns.buffer_read = lying_read;
    device->fns = &fns;
    enum qm_status status = qm_selftest_run(device, &selftest);
    device->fns = honest;
    is_dot = false;
    assert_int_equal(status, QM_OK);
    assert_int_equal(selftest.status, QM_OK); // it costs a tier, not the device
    assert_int_equal(qm_tier_state(QM_TIER_DOT, selftest.capabilities, selftest.capability_count), QM_TIER_FAILED);
    working = qm_tiers_working(selftest.capabilities, selftest.capability_count);
    assert_null(strstr(qm_tiers_best(&discrete, working, 1), "dot"));
    assert_int_equal(qm_tiers_force(&discrete, selftest.capabilities, selftest.capability_count, QM_TIER_DOT, 1, &tile),
                     QM_UNSUPPORTED);
    assert_non_null(strstr(qm_error_text(), "tier dot: advertised, failed self-test"));
    struct qm_node *node = qm_selftest_node(&selftest);
    assert_non_null(strstr(qm_node_text_at(node, "tiers.dot", ""), "advertised, failed self-test"));
    assert_string_equal(qm_node_text_at(node, "tiers.texel", ""), "works");
    assert_non_null(strstr(qm_node_text_at(node, "tiers.matrix", ""), "unsupported: the driver does not offer"));
    qm_node_destroy(&node);
    ++liars;
}

static void test_liar(void **state)
{
    (void)state;
    with_devices(check_liar);
    if (is_wanted("lavapipe") && getenv("CI"))
        assert_true(liars > 0);
}

// Every tier that the device has, in products and a reduction, against the oracle; integers have the same bits in all.
static void check_tiers(struct qm_device *device)
{
    static const char *const names[] = {"matmul-w4-a8", "matvec-w8-a8", "matmul-f16-f16", "rmsnorm", "matvec-w8-f16"};
    struct qm_selftest selftest;
    assert_int_equal(qm_selftest_run(device, &selftest), QM_OK);
    if (qm_tiers_working(selftest.capabilities, selftest.capability_count) == 1)
        return; // base alone, which test_kernels knows
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); ++n) {
        struct qm_case_shape shape = {.rows = 5, .n = 81, .k = 160, .tokens_per_sequence = 5};
        char first[QM_HASH_TEXT_BYTES] = "";
        for (size_t t = 0; t < QM_TIER_COUNT; ++t) {
            const char *tile = NULL;
            if (qm_tiers_force(device->info, selftest.capabilities, selftest.capability_count, (enum qm_tier)t, 1 << 20,
                               &tile) != QM_OK)
                continue;
            const struct qm_kernel_variant *variant = qm_kernel_find(names[n], tile);
            if (strcmp(qm_kernel_tier(variant), qm_tier_name((enum qm_tier)t)) != 0)
                continue; // the kernel has no variant of it
            for (int pattern = QM_CASE_RANDOM; pattern <= QM_CASE_INTEGERS; ++pattern) {
                struct qm_kernel_case *c = NULL;
                struct qm_kernel_report report;
                if (pattern == QM_CASE_INTEGERS ? n == 3 : t <= QM_TIER_TEXEL)
                    continue;
                assert_int_equal(qm_kernel_case_create(names[n], tile, &shape, (enum qm_case_pattern)pattern, &c),
                                 QM_OK);
                assert_int_equal(qm_kernel_check(device, variant, c, &report), QM_OK);
                if (report.status != QM_OK)
                    fail_msg("%s: %s: %s", device->info->id, variant->name, report.reason);
                if (pattern == QM_CASE_INTEGERS && first[0])
                    assert_string_equal(report.output_hash, first);
                if (pattern == QM_CASE_INTEGERS)
                    memcpy(first, report.output_hash, sizeof(first));
                qm_kernel_case_destroy(&c);
            }
        }
    }
}

static void test_tiers(void **state)
{
    (void)state;
    with_devices(check_tiers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table), cmocka_unit_test(test_variants), cmocka_unit_test(test_forced),
        cmocka_unit_test(test_liar),  cmocka_unit_test(test_tiers),
    };
    return cmocka_run_group_tests_name("tiers", tests, NULL, NULL);
}
