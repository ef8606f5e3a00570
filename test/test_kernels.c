// Every kernel of every driver against the oracle, in every tile, and the same bits on all of them.
//
// QM_TEST_DRIVERS chooses among driver names, such as "native lavapipe pocl"; without it all that are there are used,
// and those of the list below that are not are printed as left out. With CI=true a driver that was named must be there.
#include "bench/kernel_check.h"
#include "bench/selftest.h"
#include "kernel/kernels.h"
#include "kernel_arguments.h"
#include "test/native/native.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ---- Drivers ------------------------------------------------------------------------------------------------------

struct subject {
    char name[64]; // of the driver
    struct qm_device *device;
    const char *tiles[8]; // that it can run; ends with NULL
};

static struct subject subjects[16];
static size_t subject_count;
static struct qm_device_info infos[3][16];

static bool is_wanted(const char *driver)
{
    const char *list = getenv("QM_TEST_DRIVERS");
    size_t length = strlen(driver);
    if (!list || !*list)
        return true;
    for (const char *at = list; (at = strstr(at, driver)) != NULL; at += length) {
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    }
    return strcmp(driver, "native") == 0; // costs nothing and needs nothing
}

static void add_subject(const char *name, struct qm_device *device, const char *const tiles[8])
{
    struct subject *s = &subjects[subject_count++];
    snprintf(s->name, sizeof(s->name), "%s", name);
    s->device = device;
    memcpy(s->tiles, tiles, sizeof(s->tiles));
}

// Opens what is there. Returns how many drivers were named and are missing.
static int open_subjects(void)
{
    static const char *const expected[] = {"reference", "lavapipe", "swiftshader", "pocl", "rusticl"};
    static const char *const narrow[8] = {"narrow"},
                             *const vulkan[8] = {"narrow", "wide", "texel", "large+dot", "compact+texel+subgroup"},
                             *const opencl[8] = {"narrow", "wide", "vector", "vector8", "large"},
                             *const rusticl[8] = {"narrow", "wide", "large"};
    struct qm_device *device;
    if (is_wanted("native") && qm_native_device_open(&device) == QM_OK)
        add_subject("native", device, narrow);
    for (size_t b = 0; qm_backends[b]; ++b) {
        size_t count = 0;
        enum qm_status status = qm_backends[b]->enumerate(infos[b], 16, &count);
        if (status != QM_OK)
            printf("  %s: %s\n", qm_backends[b]->name, qm_error_text());
        for (size_t i = 0; status == QM_OK && i < count && i < 16 && subject_count < 16; ++i) {
            const struct qm_device_info *info = &infos[b][i];
            struct qm_open_params params = {.debug = true};
            if (!is_wanted(info->driver_name))
                continue;
            if (qm_backends[b]->open(info, &params, &device) != QM_OK) {
                printf("  %s (%s) cannot be opened: %s\n", info->driver_name, info->id, qm_error_text());
                continue;
            }
            // `vector` is never chosen for rusticl, whose lanes are invocations: each would have a private memory of 50 KB.
            add_subject(info->driver_name, device,
                        b == 0                                      ? narrow
                        : strcmp(info->driver_name, "rusticl") == 0 ? rusticl
                        : strcmp(info->api, "opencl") == 0          ? opencl
                                                                    : vulkan);
        }
    }
    int missing = 0;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); ++i) {
        bool found = !is_wanted(expected[i]);
        for (size_t s = 0; s < subject_count; ++s)
            found = found || strcmp(subjects[s].name, expected[i]) == 0;
        if (!found)
            printf("  skipped: %s has no device here\n", expected[i]);
        missing += !found;
    }
    return getenv("QM_TEST_DRIVERS") ? missing : 0;
}

// ---- All kernels --------------------------------------------------------------------------------------------------

// Hashes of outputs that must be the same everywhere: name, shape and pattern, and who gave it first.
struct bits {
    char key[160];
    char hash[QM_HASH_TEXT_BYTES];
    char who[80];
};

static struct bits *all_bits;
static size_t bits_count, bits_capacity;

// False where another driver or tile gave other bits.
static bool same_as_others(const char *key, const char *hash, const char *who)
{
    for (size_t i = 0; i < bits_count; ++i) {
        if (strcmp(all_bits[i].key, key) != 0)
            continue;
        if (strcmp(all_bits[i].hash, hash) == 0)
            return true;
        print_message("%s: %s and %s gave different bits\n", key, all_bits[i].who, who);
        return false;
    }
    if (bits_count == bits_capacity) {
        bits_capacity = bits_capacity ? 2 * bits_capacity : 1024;
        all_bits = realloc(all_bits, bits_capacity * sizeof(*all_bits));
        assert_non_null(all_bits);
    }
    struct bits *b = &all_bits[bits_count++];
    snprintf(b->key, sizeof(b->key), "%s", key);
    snprintf(b->hash, sizeof(b->hash), "%s", hash);
    snprintf(b->who, sizeof(b->who), "%s", who);
    return true;
}

// The oracle divides in double: of quantized values, one that lies on a tie but for the last bits may fall otherwise.
// That is within the kernel's bound, which is checked; between kernels the bits are the same.
static bool is_oracle_free(const struct subject *s, const char *name)
{
    return strcmp(s->name, "reference") == 0 &&
           (strncmp(name, "activations-", 12) == 0 || strncmp(name, "kv_write-k", 10) == 0 ||
            strncmp(name, "kv_block-", 9) == 0);
}

struct tally {
    size_t cases, exact, unsupported, wrong, differing;
    size_t left_out; // kernels
};

// Formats that stand for each way to sum; the others differ from one of them by their decoders alone.
static bool is_of_every_tile(const char *name)
{
    static const char *const formats[] = {"-f32-f32", "-f16-f16", "-w8-a8", "-w4-f16", "-w4-a8", "-nvfp4-f16"};
    const char *pair = strchr(name, '-');
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); ++i) {
        if (strcmp(pair, formats[i]) == 0)
            return true;
    }
    return false;
}

#ifdef __SANITIZE_ADDRESS__
static const bool is_sanitized = true;
#else
static const bool is_sanitized = false;
#endif

static size_t turn_of_run(void)
{
    const char *text = getenv("QM_TEST_TURN");
    return text ? strtoul(text, NULL, 10) : 0;
}

static bool is_any(const struct subject *s, const char *const names[2])
{
    return strcmp(s->name, names[0]) == 0 || strcmp(s->name, names[1]) == 0;
}

// Lavapipe and rusticl share a compiler, PoCL's is another of its kind, SwiftShader's is slow.
static const char *const seconds[] = {"swiftshader", "rusticl"};
// Which get all shapes.
static const char *const firsts[] = {"native", "lavapipe"};

// Compiling is most of the time: 110 kernels in up to five tiles on each driver. What sums is tried in every tile of
// every driver. A decoder does not know its tile: each is tried on the C target and in the first tile of PoCL or lavapipe, in
// turns, and a few on SwiftShader and rusticl and in other tiles; so is what is no product in other tiles. A kernel that a
// tile has from another one is tried there alone. The tiles of larger and of mobile GPUs take turns on lavapipe and PoCL;
// test_tiers tries a kernel of each tier every time. Under the sanitizers, which see only the C target and our own side of a
// driver, all are tried there, and on drivers what sums; the oracle, which answers for every case, is not compared with
// itself. Of what does not sum, a driver gets a quarter, chosen by QM_TEST_TURN: test/run counts commits in it, so that the
// next one gets another (and test_odd_shapes draws more of them). QM_TEST_FULL=1 leaves nothing out.
static bool is_left_out(const char *name, size_t index, const struct subject *s, size_t tile)
{
    for (size_t t = 0; t < tile; ++t) {
        if (qm_kernel_find(name, s->tiles[t]) == qm_kernel_find(name, s->tiles[tile]))
            return true;
    }
    static const char *const on_host[] = {"native", "reference"};
    bool is_product = strncmp(name, "mat", 3) == 0, is_sum = is_product && is_of_every_tile(name);
    size_t turn = index + tile + (size_t)(s - subjects);
    if (getenv("QM_TEST_FULL") || getenv("QM_TEST_KERNEL"))
        return false;
    if (is_any(s, on_host))
        return is_sanitized && strcmp(s->name, "reference") == 0 && index % 16 != 0;
    if (!is_sum && ((index >> 1) + (size_t)(s - subjects) + turn_of_run()) % 4 != 0)
        return true;
    if (strstr(name, "-h128") || strstr(name, "-h256")) // the same body as that of heads of 64
        return is_sanitized || (tile > 0 ? turn % 9 != 0 : turn % (is_any(s, seconds) ? 4 : 2) != 0);
    if (is_sanitized)
        return tile > 0 || (is_product && !is_sum);
    if (tile > 2 && (is_any(s, seconds) || (tile + turn_of_run() / 4) % 2 != 0))
        return true;
    if (tile > 0 && is_any(s, seconds))
        return !is_sum;
    if (is_sum)
        return false;
    if (!is_product)
        return tile > 0 && turn % 3 != 0;
    if (tile > 0)
        return turn % 9 != 0;
    if (is_any(s, seconds))
        return turn % 4 != 0;
    return index % 2 != (strcmp(s->name, "pocl") == 0);
}

static void check_reports(const struct subject *s, const struct qm_kernel_report *reports, size_t count,
                          struct tally *tally)
{
    for (size_t i = 0; i < count; ++i) {
        const struct qm_kernel_report *r = &reports[i];
        char key[160], who[80];
        snprintf(key, sizeof(key), "%s, %s, %s", r->name, r->shape, r->pattern);
        snprintf(who, sizeof(who), "%s %s", s->name, r->tile);
        if (r->status == QM_OK && r->same_bits) {
            tally->exact++;
            tally->differing += !is_oracle_free(s, r->name) && !same_as_others(key, r->output_hash, who);
        } else if (r->status == QM_UNSUPPORTED) {
            tally->unsupported++;
            print_message("  %s: %s unsupported: %s\n", who, key, r->reason);
        } else if (r->status != QM_OK) {
            if (tally->wrong++ < 40)
                print_message("  %s: %s: %s: %s\n", who, key, qm_status_name(r->status), r->reason);
        }
    }
    tally->cases += count;
}

static void run_subject(const struct subject *s, size_t tile)
{
    struct qm_kernel_shapes shapes = {.hidden = 256,
                                      .intermediate = 768,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .vocabulary = 250,
                                      .context = 400,
                                      .rows = 70,
                                      .built_in = true,
                                      .quick =
                                          (tile > 0 || is_sanitized || !is_any(s, firsts)) && !getenv("QM_TEST_FULL"),
                                      .tile = s->tiles[tile]};
    const char *wanted = getenv("QM_TEST_KERNEL");
    struct tally tally = {0};
    char name[32], last[32] = "";
    for (size_t i = 0, index = 0; i < qm_kernel_variant_count; ++i) {
        const char *variant = qm_kernel_variants[i].name;
        snprintf(name, sizeof(name), "%.*s", (int)(strrchr(variant, '-') - variant), variant);
        if (strcmp(name, last) == 0 || (wanted && strncmp(name, wanted, strlen(wanted)) != 0))
            continue;
        memcpy(last, name, sizeof(last));
        if (is_left_out(name, index++, s, tile)) {
            tally.left_out++;
            continue;
        }
        struct qm_kernel_report *reports = NULL;
        size_t count = 0;
        const char *const names[] = {name};
        shapes.names = names;
        shapes.name_count = 1;
        enum qm_status status = qm_kernel_check_all(s->device, &shapes, NULL, &reports, &count);
        if (status != QM_OK)
            fail_msg("%s, %s, %s: %s", s->name, s->tiles[tile], name, qm_error_text());
        check_reports(s, reports, count, &tally);
        free(reports);
    }
    print_message("  %-12s %-7s %zu cases, %zu with equal bits, %zu unsupported, %zu wrong, %zu kernels left out\n",
                  s->name, s->tiles[tile], tally.cases, tally.exact, tally.unsupported, tally.wrong, tally.left_out);
    assert_true(tally.cases > 0 || wanted || tile > 2 || (is_sanitized && tile > 0));
    assert_int_equal(tally.wrong, 0);
    assert_int_equal(tally.differing, 0);
}

static void test_all_kernels(void **state)
{
    const struct subject *s = *state;
    const char *wanted = getenv("QM_TEST_TILE");
    for (size_t t = 0; s->tiles[t]; ++t)
        if (!wanted || strcmp(s->tiles[t], wanted) == 0)
            run_subject(s, t);
}

static void test_quick(void **state)
{
    const struct subject *s = *state;
    struct qm_kernel_shapes shapes = {.hidden = 256,
                                      .intermediate = 768,
                                      .heads = 4,
                                      .kv_heads = 4,
                                      .vocabulary = 256,
                                      .context = 512,
                                      .rows = 128,
                                      .built_in = true,
                                      .quick = true,
                                      .time_ns = 2000000};
    struct qm_kernel_report *reports = NULL;
    size_t count = 0, timed = 0;
    assert_int_equal(qm_kernel_check_all(s->device, &shapes, "matvec", &reports, &count), QM_OK);
    for (size_t i = 0; i < count; ++i) {
        assert_int_equal(reports[i].status, QM_OK);
        assert_int_equal(strlen(reports[i].kernel_hash), 64);
        timed += reports[i].samples > 0;
        if (reports[i].samples > 0) {
            assert_true(reports[i].median_ns > 0 && reports[i].minimum_ns <= reports[i].median_ns);
            assert_true(qm_kernel_gflops(&reports[i]) > 0 && qm_kernel_gbytes(&reports[i]) > 0);
        }
    }
    assert_true(timed >= 6);
    free(reports);
}

// ---- The instrument catches what it should ------------------------------------------------------------------------

// Float accumulation would give another sum than the detour case expects.
static void test_detour_differs(void **state)
{
    (void)state;
    struct qm_case_shape shape = {.rows = 3, .n = 17, .k = 7168};
    struct qm_kernel_case *c = NULL;
    assert_int_equal(qm_kernel_case_create("matmul-w8-a8", "narrow", &shape, QM_CASE_DETOUR, &c), QM_OK);
    const int8_t *activations = (const int8_t *)c->buffers[1].words;
    size_t differing = 0;
    for (uint32_t row = 0; row < 3; ++row) {
        for (uint32_t n = 0; n < 17; ++n) {
            int64_t exact = 0, most = 0;
            float sum = 0, four = 0;
            for (uint32_t k = 0; k < 7168; ++k) {
                uint32_t word = c->buffers[0].words[((size_t)(n / 16) * 1792 + k / 4) * 16 + n % 16];
                int product = (int8_t)(word >> (8 * (k % 4))) * activations[row * 7168 + k];
                exact += product;
                most = exact > most ? exact : most;
                four += (float)product;
                if (k % 4 == 3) {
                    sum += four;
                    four = 0;
                }
            }
            assert_true(most > 1 << 25 && most < INT32_MAX && exact < 1 << 24 && exact > -(1 << 24));
            differing += (float)exact != sum;
        }
    }
    assert_true(differing > 25);
    qm_kernel_case_destroy(&c);
}

static void check_planted(const struct subject *s, const char *name, const char *tile)
{
    struct qm_case_shape shape = {.rows = 3, .n = 15, .k = 96};
    struct qm_kernel_case *c = NULL;
    struct qm_kernel_report report;
    const struct qm_kernel_variant *right = qm_kernel_find(name, tile);
    const struct qm_kernel_variant *wrong = qm_kernel_stand_in(right);
    assert_non_null(wrong);
    assert_int_equal(qm_kernel_case_create(name, tile, &shape, QM_CASE_RANDOM, &c), QM_OK);
    assert_int_equal(qm_kernel_check(s->device, wrong, c, &report), QM_OK);
    if (strcmp(s->name, "native") == 0 || strcmp(s->name, "reference") == 0) {
        assert_int_equal(report.status, QM_OK); // they do not run what was planted
    } else {
        if (report.status != QM_WRONG_RESULT)
            fail_msg("%s on %s: planted, and the check says %s %s", name, s->name, qm_status_name(report.status),
                     report.reason);
        assert_non_null(strstr(report.reason, "value "));
        assert_true(report.worst_error > report.worst_bound);
        assert_true(report.worst_expected != report.worst_got);
        assert_true(report.worst_index < c->buffers[3].count);
        assert_int_equal(report.worst_binding, 3);
    }
    qm_kernel_case_destroy(&c);
}

static void test_planted(void **state)
{
    const struct subject *s = *state;
    static const char *const names[] = {"matmul-w8-a8", "matmul-w8-f16", "matvec-w8-a8", "matvec-w8-f16"};
    const char *tile = qm_kernel_tile(s->device->info, 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i)
        check_planted(s, names[i], tile);

    // By the environment, as the verbs see it.
    struct qm_kernel_shapes shapes = {.built_in = true, .quick = true};
    struct qm_kernel_report *reports = NULL;
    size_t count = 0;
    setenv("QM_PLANT_WRONG_KERNEL", "matvec-w8-a8", 1);
    assert_int_equal(qm_kernel_check_all(s->device, &shapes, "matvec-w8", &reports, &count), QM_OK);
    unsetenv("QM_PLANT_WRONG_KERNEL");
    const struct qm_kernel_report *wrong = qm_kernel_first_wrong(reports, count);
    if (strcmp(s->name, "native") == 0 || strcmp(s->name, "reference") == 0)
        assert_null(wrong);
    else
        assert_true(wrong && strcmp(wrong->name, "matvec-w8-a8") == 0);
    free(reports);
}

// The C target cannot run a stand-in, but it can run another kernel than the case is of.
static void test_wrong_kernel_on_native(void **state)
{
    (void)state;
    static const struct {
        const char *right, *wrong; // of the same buffers and parameters
        const char *place;
    } pairs[] = {
        {"matmul-w4-f16", "matmul-w4-a8", "word "}, // reads bytes where binary16 is
        {"kv_write-kv8", "kv_write-kv4", "word "},  // writes half of the words
        {"argmax", "checksum", "word "},
        {"norm_activations-a8", "norm_activations-f8", "word "}, // codes of another kind
        {"norm_activations-f16", "norm_activations-bf16", "word "},
        {"swiglu_activations-a8", "swiglu_activations-f8", "word "},
        {"swiglu_activations-f16", "swiglu_activations-bf16", "word "},
    };
    struct qm_device *device = NULL;
    assert_int_equal(qm_native_device_open(&device), QM_OK);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); ++i) {
        struct qm_case_shape shape = {.rows = 3, .n = 15, .k = 96, .kv_heads = 2, .position = 1};
        struct qm_kernel_case *c = NULL;
        struct qm_kernel_report report;
        struct qm_kernel_variant wrong = *qm_kernel_find(pairs[i].right, "narrow");
        wrong.name = qm_kernel_find(pairs[i].wrong, "narrow")->name;
        assert_int_equal(qm_kernel_case_create(pairs[i].right, "narrow", &shape, QM_CASE_INTEGERS, &c), QM_OK);
        assert_int_equal(qm_kernel_check(device, &wrong, c, &report), QM_OK);
        if (report.status != QM_WRONG_RESULT)
            fail_msg("%s passes for %s", pairs[i].wrong, pairs[i].right);
        assert_non_null(strstr(report.reason, pairs[i].place));
        qm_kernel_case_destroy(&c);
    }
    device->fns->destroy(&device);
}

// A kernel that writes one word too many changes a word around the output. Memory goes on behind it here, so that nothing
// but the guard can notice.
static enum qm_status overrun(const struct qm_oracle_call *call, const uint32_t groups[3])
{
    (void)groups;
    enum qm_status status = qm_oracle_find(call->variant->kernel)(call);
    ((uint32_t *)call->buffers[0])[call->sizes[0] / 4] = 0;
    return status;
}

static void test_overrun(void **state)
{
    (void)state;
    static const struct qm_device_info info = {.api = "test",
                                               .id = "test",
                                               .max_binding_bytes = 1 << 20,
                                               .buffer_offset_alignment = 4,
                                               .max_workgroup_invocations = 1024,
                                               .max_groups = {65535, 65535, 65535}};
    struct qm_device *device = NULL;
    struct qm_kernel_case *c = NULL;
    struct qm_kernel_report report;
    struct qm_case_shape shape = {.rows = 1, .k = 255};
    const struct qm_kernel_variant *residual = qm_kernel_find("residual", "narrow");
    assert_int_equal(qm_host_device_open(&info, overrun, &device), QM_OK);
    assert_int_equal(qm_kernel_case_create("residual", "narrow", &shape, QM_CASE_RANDOM, &c), QM_OK);
    assert_int_equal(qm_kernel_check(device, residual, c, &report), QM_OK);
    assert_int_equal(report.status, QM_WRONG_RESULT);
    assert_non_null(strstr(report.reason, "outside of binding 0"));
    qm_kernel_case_destroy(&c);

    // What the device cannot bind is unsupported, not wrong.
    shape.k = 1 << 20;
    assert_int_equal(qm_kernel_case_create("residual", "narrow", &shape, QM_CASE_RANDOM, &c), QM_OK);
    assert_int_equal(qm_kernel_check(device, residual, c, &report), QM_OK);
    assert_int_equal(report.status, QM_UNSUPPORTED);
    assert_non_null(strstr(report.reason, "binds at most"));
    qm_kernel_case_destroy(&c);
    device->fns->destroy(&device);
}

static void test_bad_cases(void **state)
{
    (void)state;
    struct qm_kernel_case *c = NULL;
    struct qm_case_shape shape = {.rows = 3, .n = 15, .k = 40};
    assert_int_equal(qm_kernel_case_create("matmul-w4-a8", "narrow", &shape, QM_CASE_RANDOM, &c), QM_INVALID);
    assert_null(c);
    assert_non_null(strstr(qm_error_text(), "multiple of 32"));
    assert_int_equal(qm_kernel_case_create("matmul-w3", "narrow", &shape, QM_CASE_RANDOM, &c), QM_INVALID);
    shape.k = 0;
    assert_int_equal(qm_kernel_case_create("rmsnorm", "narrow", &shape, QM_CASE_RANDOM, &c), QM_INVALID);
}

// An invocation that takes several tiles has room for so many: the groups of every shape cover all columns without more,
// and are eight at least where there are as many tiles.
static void test_shared_tiles(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 16, 17, 100}, n[] = {1, 16, 17, 250, 768, 4096, 151936};
    const struct qm_kernel_variant *variant = qm_kernel_find("matmul-w4-a8", "vector");
    assert_non_null(variant);
    uint32_t most = qm_kernel_definition(variant, "QM_TILES", 1),
             columns = qm_kernel_definition(variant, "QM_COLUMNS", 0),
             each_rows = qm_kernel_definition(variant, "QM_ROWS", 0);
    assert_in_range(most, 2, 64);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) * (sizeof(n) / sizeof(n[0])); ++i) {
        struct qm_matmul_parameters p = {.rows = rows[i % 4], .k = 64, .n = n[i / 4]};
        uint32_t parameters[QM_MAX_PARAMETERS] = {0}, groups[3];
        memcpy(parameters, &p, sizeof(p));
        qm_kernel_groups(variant, parameters, groups);
        uint32_t tiles = (p.n + columns - 1) / columns, row_tiles = (p.rows + each_rows - 1) / each_rows;
        assert_int_equal(groups[0], row_tiles);
        assert_in_range((tiles + groups[1] - 1) / groups[1], 1, most);
        assert_in_range(groups[0] * groups[1], row_tiles * tiles < 8 ? row_tiles * tiles : 8, row_tiles * tiles);
    }
}

// A driver of the list passes; what it cannot do is a note, and a loop that ends early is noticed.
static void test_selftest(void **state)
{
    const struct subject *s = *state;
    struct qm_selftest selftest;
    if (strcmp(s->name, "native") == 0)
        skip(); // has no variant of the self-test; test_oracle.c tests the same functions
    if (qm_selftest_run(s->device, &selftest) != QM_OK)
        fail_msg("%s: %s", s->name, qm_error_text());
    if (selftest.status != QM_OK)
        fail_msg("%s: %s", s->name, selftest.reason);
    print_message("  %-12s %s\n", s->name, selftest.timer);
    for (uint32_t i = 0; i < selftest.capability_count; ++i) {
        char text[192];
        qm_capability_text(&selftest.capabilities[i], text);
        print_message("  %-12s %s: %s\n", "", selftest.capabilities[i].name, text);
        if (selftest.capabilities[i].tried && selftest.capabilities[i].advertised &&
            strcmp(selftest.capabilities[i].name, "timer") != 0 &&
            strcmp(selftest.capabilities[i].name, "command_buffer") != 0) // PoCL's events tell nothing
            assert_true(selftest.capabilities[i].works);
    }
    for (uint32_t i = 0; i < selftest.note_count; ++i)
        print_message("  %-12s note: %s\n", "", selftest.notes[i]);
    if (strcmp(s->name, "reference") != 0) {
        assert_true(selftest.functions_equal && selftest.rounds_to_even);
        assert_true(selftest.loop_trips >= 65535 && selftest.loop_trips <= QM_SELFTEST_TRIPS);
    }
    if (strcmp(s->name, "lavapipe") == 0) {
        assert_int_equal(selftest.loop_trips, 65535);
        assert_true(selftest.note_count > 0);
    }
    if (selftest.has_clock) {
        assert_true(selftest.clock_span_ns >= 100000000);
        assert_true(selftest.clock_error < 0.01);
    }
    struct qm_node *node = qm_selftest_node(&selftest);
    assert_true(qm_node_ok(node));
    assert_string_equal(qm_node_text_at(node, "status", ""), "ok");
    qm_node_destroy(&node);
}

int main(void)
{
    static struct CMUnitTest tests[128];
    static char names[128][160];
    static const struct {
        const char *name;
        CMUnitTestFunction function;
    } on_each[] = {
        {"self-test", test_selftest},
        {"all kernels", test_all_kernels},
        {"quick, timed", test_quick},
        {"planted", test_planted},
    };
    size_t count = 0;
    int missing = open_subjects();
    const char *ci = getenv("CI");
    if (missing > 0 && ci && strcmp(ci, "true") == 0) {
        printf("%d of the drivers named in QM_TEST_DRIVERS are missing\n", missing);
        return 1;
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_bad_cases);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_detour_differs);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_wrong_kernel_on_native);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_overrun);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_shared_tiles);
    for (size_t t = 0; t < sizeof(on_each) / sizeof(on_each[0]); ++t) {
        for (size_t s = 0; s < subject_count; ++s) {
            snprintf(names[count], sizeof(names[count]), "%s: %.60s (%.23s)", on_each[t].name, subjects[s].name,
                     subjects[s].device->info->id);
            tests[count] = (struct CMUnitTest){names[count], on_each[t].function, NULL, NULL, &subjects[s]};
            count++;
        }
    }
    int failed = _cmocka_run_group_tests("kernels", tests, count, NULL, NULL);
    for (size_t s = 0; s < subject_count; ++s)
        subjects[s].device->fns->destroy(&subjects[s].device);
    free(all_bits);
    return failed;
}
