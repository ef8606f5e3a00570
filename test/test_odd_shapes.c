// Every kernel over random odd shapes, on every driver, tile and tier, against the oracle; and where the kernels promise
// the same bits, that they are: over drivers, tiles and tiers. Of fusions see test_fusions.c.
//
// 200 shapes are drawn from a seed, which is printed (odd_shapes.h; QM_TEST_SEED gives another), and every variant of a
// kernel takes some of them: the same ones on all drivers and in all tiles, so that bits can be compared. QM_TEST_DRIVERS
// chooses drivers, as in test_kernels.c; QM_TEST_KERNEL and QM_TEST_TILE hold it to kernels whose names begin so and to one
// tile, with nothing left out; QM_TEST_FULL=1 leaves nothing out at all.
#include "bench/kernel_check.h"
#include "bench/selftest.h"
#include "kernel/kernels.h"
#include "test/native/native.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/odd_shapes.h"

// ---- Drivers ------------------------------------------------------------------------------------------------------

struct subject {
    char name[64]; // of the driver
    struct qm_device *device;
    uint32_t tiers; // that work
    bool keeps_subnormals;
};

static struct subject subjects[16];
static size_t subject_count;

static bool is_wanted(const char *driver)
{
    const char *list = getenv("QM_TEST_DRIVERS");
    return !list || strstr(list, driver);
}

static void add_subject(const char *driver, struct qm_device *device)
{
    struct subject *s = &subjects[subject_count++];
    struct qm_selftest selftest;
    *s = (struct subject){.device = device, .tiers = 1, .keeps_subnormals = true};
    snprintf(s->name, sizeof(s->name), "%s", driver);
    if (strcmp(driver, "native") == 0)
        return;
    if (qm_selftest_run(device, &selftest) != QM_OK)
        fail_msg("%s: %s", driver, qm_error_text());
    s->tiers = qm_tiers_working(selftest.capabilities, selftest.capability_count);
    s->keeps_subnormals = selftest.keeps_subnormals;
    for (size_t t = 1; t < QM_TIER_COUNT; ++t) {
        char text[192];
        qm_tier_text((enum qm_tier)t, selftest.capabilities, selftest.capability_count, text);
        print_message("  %-12s tier %s: %s\n", driver, qm_tier_name((enum qm_tier)t), text);
    }
}

static void open_subjects(void)
{
    static struct qm_device_info infos[16];
    struct qm_device *device = NULL;
    assert_int_equal(qm_native_device_open(&device), QM_OK);
    add_subject("native", device);
    for (size_t b = 1; qm_backends[b]; ++b) {
        size_t count = 0;
        if (qm_backends[b]->enumerate(infos, COUNT(infos), &count) != QM_OK) {
            print_message("  %s skipped: %s\n", qm_backends[b]->name, qm_error_text());
            continue;
        }
        for (size_t i = 0; i < count && i < COUNT(infos) && subject_count < COUNT(subjects); ++i) {
            if (!is_wanted(infos[i].driver_name))
                continue;
            if (qm_backends[b]->open(&infos[i], &(struct qm_open_params){0}, &device) != QM_OK)
                fail_msg("%s: %s", infos[i].id, qm_error_text());
            add_subject(infos[i].driver_name, device);
        }
    }
}

static bool has_native(const struct qm_kernel_variant *variant)
{
    for (size_t i = 0; i < qm_native_kernel_count; ++i) {
        if (strcmp(qm_native_kernels[i].name, variant->name) == 0)
            return true;
    }
    return false;
}

// Whether the device has what the variant was compiled for: as core/kernel/tiles.c would take it, or where it is forced.
static bool can_run(const struct subject *s, const struct qm_kernel_variant *variant, const char *tile)
{
    enum qm_tier tier = QM_TIER_BASE;
    if (strcmp(s->name, "native") == 0)
        return has_native(variant);
    if (strncmp(tile, "vector", 6) == 0 && s->device->info->vector_width < 4)
        return false;
    return qm_tier_find(qm_kernel_tier(variant), &tier) && (s->tiers & 1u << tier);
}

// ---- What is compared ---------------------------------------------------------------------------------------------

// Which bits must be equal. Everything else has a bound alone.
enum promise {
    // On every driver, in every tile and tier: outputs that are integers, or are moved or rounded once; and products of
    // inputs whose sums are integers below 2^24, in every format.
    EVERYWHERE,
    // Integer products whose scales are no powers of two, where one block is all of k (w8 with a scale per row of
    // activations; formats with groups at k = 32): int32 to the end, one conversion, the same multiplications. On every
    // driver and in every tile. Tiles of matvec that share a column among invocations multiply in another order
    // (product_slices.h), and are compared among each other. With an offset a block is a sum of two floats, which may
    // contract, and so may sums over blocks: those are compared on one device alone.
    ONE_BLOCK,
    // Scales, norms, turns and exponentials, which may not contract. SwiGLU, rotary embedding and codes that are made of
    // SwiGLU: on every driver and in every tile. Norms and codes of them: on every driver in one tile, which fixes the order
    // of their sums; not the C target, whose order is that of one lane, nor subgroups, which have several sizes.
    UNCONTRACTED,
    // Tier `texel` or `dot` against the same tile's base, on one device: all outputs, sums over blocks and of floats too. Not
    // of the variants whose sums are of another order there, by their definitions.
    TIER,
    PROMISES
};
static const char *const promise_names[PROMISES] = {"everywhere", "one block", "uncontr.", "tier"};

// A driver's tile, and what came of it.
struct place {
    const char *driver;
    char tile[24];
    size_t kernels, cases, wrong, differing, unsupported;
    size_t compared[PROMISES]; // outputs that another place or kernel has computed as well
};

static struct place places[128];
static size_t place_count;

static struct place *place_of(const struct subject *s, const char *tile)
{
    size_t i = 0;
    while (i < place_count && (places[i].driver != s->name || strcmp(places[i].tile, tile) != 0))
        ++i;
    assert_true(i < COUNT(places));
    if (i == place_count) {
        places[i].driver = s->name;
        snprintf(places[i].tile, sizeof(places[i].tile), "%s", tile);
        ++place_count;
    }
    return &places[i];
}

// Hashes of outputs by what they are of, and who gave them first.
struct bits {
    char key[192];
    char hash[QM_HASH_TEXT_BYTES];
    struct place *first;
    bool is_compared;
};

static struct bits *all_bits;
static size_t bits_capacity, bits_count;

// The key's place in a table that is half empty.
static struct bits *slot_of(struct bits *table, size_t capacity, const char *key)
{
    uint64_t at = 0;
    for (const char *c = key; *c; ++c)
        at = qm_random_mix(at ^ (uint64_t)(unsigned char)*c);
    for (at %= capacity; table[at].key[0] && strcmp(table[at].key, key) != 0;)
        at = (at + 1) % capacity;
    return &table[at];
}

static struct bits *find_bits(const char *key)
{
    if (2 * bits_count >= bits_capacity) {
        size_t capacity = bits_capacity ? 4 * bits_capacity : 4096;
        struct bits *grown = calloc(capacity, sizeof(*grown));
        if (!grown)
            abort(); // a test's helper
        for (size_t i = 0; i < bits_capacity; ++i) {
            if (all_bits[i].key[0])
                *slot_of(grown, capacity, all_bits[i].key) = all_bits[i];
        }
        free(all_bits);
        all_bits = grown;
        bits_capacity = capacity;
    }
    struct bits *found = slot_of(all_bits, bits_capacity, key);
    if (!found->key[0]) {
        snprintf(found->key, sizeof(found->key), "%s", key);
        ++bits_count;
    }
    return found;
}

static bool is_quiet; // of what is wrong because a test planted it

static void compare_bits(struct place *place, enum promise promise, const char *key, const char *hash)
{
    struct bits *bits = find_bits(key);
    if (!bits->first) {
        bits->first = place;
        snprintf(bits->hash, sizeof(bits->hash), "%s", hash);
        return;
    }
    if (bits->first != place) { // two shapes may come to the same case
        bits->first->compared[promise] += !bits->is_compared;
        bits->is_compared = true;
        place->compared[promise]++;
    }
    if (strcmp(bits->hash, hash) == 0)
        return;
    if (place->differing++ < 10 && !is_quiet)
        print_message("  %s: %s %s has other bits than %s %s (QM_TEST_SEED=%llu)\n", key, place->driver, place->tile,
                      bits->first->driver, bits->first->tile, (unsigned long long)odd_seed);
}

static bool is_integer_product(const struct name *name)
{
    if (strncmp(name->text, "mat", 3) != 0)
        return false;
    enum qm_case_activation kind = qm_case_activation_of(name->text);
    return kind == QM_CASE_A8 || kind == QM_CASE_A4;
}

static bool is_one_block(const struct name *name, uint32_t k)
{
    const struct qm_weight_codec *codec = qm_weight_codec(qm_case_format_of(name->text, k));
    bool is_grouped = strstr(name->text, "-a8g") || strstr(name->text, "-a4");
    if (!codec->is_integer || codec->scale == QM_SCALE_F16_ZERO || codec->scale == QM_SCALE_BLOCK)
        return false;
    return (codec->group == 0 && !is_grouped) || (k == 32 && (codec->group == 0 || codec->group >= 32));
}

// The tile whose bits a tier's variant has: "narrow" of "texel", "large" of "large.dot"; NULL where it is none.
static const char *base_tile(const struct name *name, const struct qm_kernel_variant *variant, const char *tile)
{
    static char base[24];
    const char *tier = strchr(tile, '.');
    char unused[32];
    if ((tier && strcmp(tier, ".dot") != 0 && strcmp(tier, ".texel") != 0) ||
        strstr(variant->definitions, "QM_PLACED_CODES") || strstr(variant->definitions, "QM_TOKENS_EACH"))
        return NULL;
    snprintf(base, sizeof(base), "%.*s", (int)strcspn(tile, "."), strcmp(tile, "texel") == 0 ? "narrow" : tile);
    split(qm_kernel_find(name->text, base), unused, base); // matvec has no row for `compact`
    return base;
}

// Compares the output of a case with what others gave that must have the same bits. `is_same`: the case says so itself.
static void compare_output(const struct subject *s, struct place *place, const struct name *name,
                           const struct qm_kernel_case *c, bool is_same, uint32_t k,
                           const struct qm_kernel_report *report)
{
    char key[192];
    const char *base = base_tile(name, report->variant, place->tile);
    const char *kernel = name->draw->kernel, *more = NULL;
    enum promise promise = EVERYWHERE;
    if (is_same) {
        more = "";
    } else if (is_integer_product(name) && is_one_block(name, k)) {
        bool is_shared = strcmp(kernel, "matvec") == 0 && strchr("wlc", place->tile[0]);
        promise = ONE_BLOCK;
        more = is_shared ? ", shared columns" : "";
    } else if (strncmp(kernel, "swiglu", 6) == 0 || strcmp(kernel, "rope") == 0) {
        promise = UNCONTRACTED;
        more = s->keeps_subnormals || strcmp(kernel, "swiglu") != 0 ? "" : NULL; // whose results go down to nothing
    } else if (strcmp(kernel, "rmsnorm") == 0 || strcmp(kernel, "norm_activations") == 0) {
        promise = UNCONTRACTED;
        more = strcmp(place->driver, "native") == 0 || strchr(place->tile, '.') ? NULL : place->tile;
    }
    if (more) {
        snprintf(key, sizeof(key), "%s, %s, %s %s", name->text, c->shape, report->pattern, more);
        compare_bits(place, promise, key, report->output_hash);
    }
    if (!is_same && base) {
        snprintf(key, sizeof(key), "%s, %s, %s, %s %s", name->text, c->shape, report->pattern, place->driver, base);
        compare_bits(place, TIER, key, report->output_hash);
    }
}

// ---- All kernels --------------------------------------------------------------------------------------------------

#ifdef __SANITIZE_ADDRESS__
static const bool is_sanitized = true;
#else
static const bool is_sanitized = false;
#endif

static bool is_met[SHAPES], is_format_met[QM_WEIGHT_FORMAT_COUNT + 1];
static const char *wanted_kernel, *wanted_tile;
static bool is_full;
static size_t turn; // test/run counts commits in it

static void run_case(const struct subject *s, const struct qm_kernel_variant *variant, const struct qm_kernel *kernel,
                     const struct name *name, struct place *place, uint32_t number, enum qm_case_pattern pattern)
{
    const struct qm_case_shape shape = shape_of(name, number);
    struct qm_kernel_case *c = NULL;
    struct qm_kernel_report report;
    if (qm_kernel_case_create(name->text, place->tile, &shape, pattern, &c) != QM_OK)
        fail_msg("%s: %s", name->text, qm_error_text());
    bool is_same = c->same_bits;
    c->same_bits = true; // gives the output's hash
    if (qm_kernel_check_compiled(s->device, variant, kernel, c, &report) != QM_OK)
        fail_msg("%s %s: %s, %s (shape %u of QM_TEST_SEED=%llu): %s", s->name, place->tile, name->text, c->shape,
                 number, (unsigned long long)odd_seed, qm_error_text());
    ++place->cases;
    is_met[number] = true;
    is_format_met[qm_case_format_of(name->text, shape.k)] = true;
    if (report.status == QM_UNSUPPORTED) {
        if (place->unsupported++ == 0)
            print_message("  %s %s: %s: %s\n", s->name, place->tile, name->text, report.reason);
    } else if (report.status != QM_OK && place->wrong++ < 10 && !is_quiet) {
        print_message("  %s %s: %s, %s, %s (shape %u of QM_TEST_SEED=%llu): %s: %s\n", s->name, place->tile, name->text,
                      c->shape, report.pattern, number, (unsigned long long)odd_seed, qm_status_name(report.status),
                      report.reason);
    }
    if (report.status == QM_OK || report.status == QM_WRONG_RESULT)
        compare_output(s, place, name, c, is_same, shape.k, &report);
    qm_kernel_case_destroy(&c);
}

enum {
    EACH = 4 // shapes of a variant, so that all variants of a kernel together meet all of its shapes
};

static void run_variant(const struct subject *s, const struct qm_kernel_variant *variant, const struct name *name,
                        struct place *place)
{
    const uint32_t all = name->draw->count, each = is_full || all < EACH ? all : EACH;
    bool is_product = strncmp(name->text, "mat", 3) == 0;
    bool has_static = strstr(name->text, "activations-") && !strstr(name->text, "f16") && !strstr(name->text, "a4");
    struct qm_kernel *kernel = NULL;
    enum qm_status status = s->device->fns->kernel_create(s->device, variant, &kernel);
    if (status != QM_OK) {
        print_message("  %s %s: %s: %s\n", s->name, place->tile, name->text, qm_error_text());
        place->unsupported += status == QM_UNSUPPORTED;
        place->wrong += status != QM_UNSUPPORTED;
        return;
    }
    ++place->kernels;
    for (uint32_t i = 0; i < each; ++i) {
        uint32_t number = name->draw->first + (name->number * EACH + i) % all;
        run_case(s, variant, kernel, name, place, number, QM_CASE_RANDOM);
        if (is_product && !strstr(name->text, "_k-")) // blocks of ggml's formats have no scale of 1
            run_case(s, variant, kernel, name, place, number, QM_CASE_INTEGERS);
        if (has_static)
            run_case(s, variant, kernel, name, place, number, QM_CASE_STATIC);
    }
    s->device->fns->kernel_destroy(s->device, &kernel);
}

// Compiling is most of the time, and test_kernels.c compiles every variant: here the names take turns, each in all of its
// tiles, so that there is something to compare with. After so many commits all have been on a driver; the C target runs all
// of them every time. What is never left out keeps every tile in the test: two of four products, in turns.
static bool is_left_out(const struct subject *s, const struct name *name, const char *tile)
{
    static const struct {
        const char *driver;
        size_t turns;
    } periods[] = {{"lavapipe", 16}, {"swiftshader", 64}}; // whose compiler keeps nothing
    const char *tier = strchr(tile, '.');
    const char *const always[] = {turn % 2 ? "matmul-w8-a8" : "matmul-w4-a8",
                                  turn % 2 ? "matvec-w4-a8" : "matvec-w8-a8", "argmax"};
    bool is_rare = tier && (strcmp(tier, ".f16") == 0 || strcmp(tier, ".matrix") == 0);
    size_t period = 32;
    if (wanted_tile || wanted_kernel)
        return (wanted_tile && strcmp(tile, wanted_tile) != 0) ||
               (wanted_kernel && strncmp(name->text, wanted_kernel, strlen(wanted_kernel)) != 0);
    if (is_full || is_rare || strcmp(s->name, "native") == 0)
        return false;
    for (size_t i = 0; i < COUNT(periods); ++i)
        period = strcmp(s->name, periods[i].driver) == 0 ? periods[i].turns : period;
    for (size_t i = 0; i < COUNT(always); ++i) {
        if (strcmp(name->text, always[i]) == 0)
            return false;
    }
    return is_sanitized || (size_t)(name - odd_names) % period != turn % period;
}

static void test_kernels(void **state)
{
    const struct subject *s = *state;
    size_t cases = 0;
    for (size_t i = 0; i < qm_kernel_variant_count; ++i) {
        const struct qm_kernel_variant *variant = &qm_kernel_variants[i];
        char text[32], tile[24];
        split(variant, text, tile);
        const struct name *name = find_name(text);
        if (name && can_run(s, variant, tile) && !is_left_out(s, name, tile))
            run_variant(s, variant, name, place_of(s, tile));
    }
    for (size_t i = 0; i < place_count; ++i) {
        if (places[i].driver != s->name)
            continue;
        cases += places[i].cases;
        assert_int_equal(places[i].wrong, 0);
        assert_int_equal(places[i].differing, 0);
    }
    assert_true(cases > 0 || wanted_tile || wanted_kernel);
}

// Every kernel, format and shape has been met, and every driver and tile has been compared with another one.
static void test_covered(void **state)
{
    (void)state;
    print_message("  %-12s %-14s %8s %6s", "driver", "tile", "variants", "cases");
    for (size_t p = 0; p < PROMISES; ++p)
        print_message(" %10s", promise_names[p]);
    print_message("\n");
    for (size_t i = 0; i < place_count; ++i) {
        const struct place *place = &places[i];
        print_message("  %-12s %-14s %8zu %6zu", place->driver, place->tile, place->kernels, place->cases);
        for (size_t p = 0; p < PROMISES; ++p)
            print_message(" %10zu", place->compared[p]);
        print_message("\n");
    }
    if (wanted_tile || wanted_kernel)
        skip();
    for (size_t i = 0; i < SHAPES; ++i) {
        if (!is_met[i])
            fail_msg("no kernel took shape %zu of QM_TEST_SEED=%llu", i, (unsigned long long)odd_seed);
    }
    assert_int_equal(places[0].kernels, odd_name_count); // of the C target, which is the first
    for (size_t f = 0; f < QM_WEIGHT_FORMAT_COUNT; ++f) {
        if (!is_format_met[f] && qm_weight_codec((enum qm_weight_format)f)->scale != QM_SCALE_BLOCK)
            fail_msg("no product was of weight format %zu, %s", f,
                     qm_weight_codec((enum qm_weight_format)f)->info.name);
    }
    for (size_t i = 0; i < place_count && subject_count > 1; ++i) {
        const struct place *place = &places[i];
        size_t one_block = 0;
        bool is_tier = strstr(place->tile, "texel") || strstr(place->tile, ".dot");
        if (place->kernels == 0) // of those of this turn none runs here, for the reason above
            continue;
        for (size_t j = 0; j < place_count; ++j)
            one_block += places[j].driver == place->driver ? places[j].compared[ONE_BLOCK] : 0;
        if (place->compared[EVERYWHERE] == 0 || one_block == 0 || (is_tier && place->compared[TIER] == 0))
            fail_msg("%s %s was compared with nothing", place->driver, place->tile);
    }
}

// ---- The test can fail --------------------------------------------------------------------------------------------

// What is wrong, and where bits differ, is counted: with QM_PLANT_WRONG_KERNEL on drivers; on the C target, which cannot run
// what is planted, with a kernel that writes half of the words.
static void test_planted(void **state)
{
    (void)state;
    if (wanted_tile || wanted_kernel)
        skip();
    const struct qm_kernel_variant *right = qm_kernel_find("matmul-w8-a8", "narrow");
    struct qm_kernel_variant half = *qm_kernel_find("kv_write-kv8", "narrow");
    half.name = "kv_write-kv4-narrow";
    is_quiet = true;
    setenv("QM_PLANT_WRONG_KERNEL", "matmul-w8-a8", 1);
    for (size_t i = 0; i < subject_count; ++i) {
        bool is_native = i == 0;
        struct place place = {.driver = subjects[i].name, .tile = "narrow"};
        run_variant(&subjects[i], is_native ? &half : qm_kernel_planted(right),
                    find_name(is_native ? "kv_write-kv8" : "matmul-w8-a8"), &place);
        size_t compared = 0;
        for (size_t p = 0; p < PROMISES; ++p)
            compared += place.compared[p];
        print_message("  %-12s planted: %zu of %zu cases are wrong, %zu of %zu comparisons of bits differ\n",
                      place.driver, place.wrong, place.cases, place.differing, compared);
        assert_int_equal(place.wrong, place.cases);
        assert_int_equal(place.differing, compared);
        assert_true(place.differing > 0);
    }
    unsetenv("QM_PLANT_WRONG_KERNEL");
    is_quiet = false;
}

int main(void)
{
    static struct CMUnitTest tests[COUNT(subjects) + 2];
    static char titles[COUNT(subjects)][96];
    const char *text = getenv("QM_TEST_TURN");
    size_t count = 0;
    setenv("RUSTICL_ENABLE", "llvmpipe", 0);
    wanted_kernel = getenv("QM_TEST_KERNEL");
    wanted_tile = getenv("QM_TEST_TILE");
    is_full = getenv("QM_TEST_FULL") != NULL;
    turn = text ? strtoul(text, NULL, 10) : 0;
    list_names();
    draw_shapes();
    print_message("  QM_TEST_SEED=%llu QM_TEST_TURN=%zu: %d shapes, %zu kernels\n", (unsigned long long)odd_seed, turn,
                  SHAPES, odd_name_count);
    open_subjects();
    for (; count < subject_count; ++count) {
        snprintf(titles[count], sizeof(titles[count]), "all kernels: %.60s", subjects[count].name);
        tests[count] = (struct CMUnitTest){titles[count], test_kernels, NULL, NULL, &subjects[count]};
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_covered);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_planted);
    int failed = _cmocka_run_group_tests("odd shapes", tests, count, NULL, NULL);
    for (size_t i = 0; i < subject_count; ++i)
        subjects[i].device->fns->destroy(&subjects[i].device);
    free(all_bits);
    return failed;
}
