// Calibration: statistics of channels against sums by hand, thresholds against the definitions done the long way, the
// same bytes whatever the number of threads, and SmoothQuant on a small model: the function stays, the range moves.
#include "base/hash.h"
#include "base/numeric.h"
#include "base/random.h"
#include "quant/calibrate.h"
#include "quant/smooth.h"
#include "sys/parallel.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        if ((call) != QM_OK)                                                                                           \
            fail_msg("%s", qm_error_text());                                                                           \
    } while (0)

// About normal: a sum of uniforms.
static float draw(struct qm_random *random)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += qm_random_unit(random) - 0.5;
    return (float)sum;
}

// Statistics ----------------------------------------------------------------------------------------------------------

static void test_statistics_by_hand(void **state)
{
    (void)state;
    const float rows[2][3] = {{1, -2, 0.5f}, {-3, 0, 4}};
    const float divisors[3] = {2, 1, 0.5f};
    const double products[3][3] = {{10, -2, -11.5}, {-2, 4, -1}, {-11.5, -1, 16.25}};
    double read[3][3];
    struct qm_channel_statistics s, part, divided;
    CHECK(qm_statistics_begin(&s, 3, true));
    qm_statistics_add(&s, rows[0], 1);
    CHECK(qm_statistics_begin(&part, 3, true));
    qm_statistics_add(&part, rows[1], 1);
    CHECK(qm_statistics_merge(&s, &part));
    assert_int_equal(s.rows, 2);
    assert_true(s.amax[0] == 3 && s.amax[1] == 2 && s.amax[2] == 4);
    assert_true(s.sum_magnitudes[0] == 4 && s.sum_magnitudes[1] == 2 && s.sum_magnitudes[2] == 4.5);
    assert_true(s.sum_squares[0] == 10 && s.sum_squares[1] == 4 && s.sum_squares[2] == 16.25);
    CHECK(qm_statistics_read_products(&s, read[0]));
    assert_memory_equal(read, products, sizeof(products));
    CHECK(qm_statistics_copy_divided(&s, divisors, &divided));
    assert_true(divided.amax[0] == 1.5f && divided.amax[1] == 2 && divided.amax[2] == 8);
    assert_true(divided.sum_magnitudes[2] == 9 && divided.sum_squares[2] == 65 && divided.sum_squares[0] == 2.5);
    CHECK(qm_statistics_read_products(&divided, read[0]));
    assert_true(read[0][2] == -11.5 && read[2][1] == -2 && read[0][0] == 2.5);
    qm_statistics_free(&divided);
    qm_statistics_free(&part);
    CHECK(qm_statistics_begin(&part, 3, false));
    assert_int_equal(qm_statistics_merge(&s, &part), QM_INVALID); // no products there
    assert_int_equal(qm_statistics_read_products(&part, read[0]), QM_INVALID);
    qm_statistics_free(&part);
    qm_statistics_free(&s);
    assert_int_equal(qm_statistics_begin(&s, 0, false), QM_INVALID);
}

enum {
    ROWS = 57,
    WIDTH = 96 // not a multiple of every number of threads
};

static struct qm_calibration *observe_random(unsigned threads, uint64_t seed)
{
    static float values[ROWS * WIDTH];
    const struct qm_calibration_options options = {.has_products = true, .group = 8};
    struct qm_calibration *c = qm_calibration_new_with(1, &options);
    struct qm_random random;
    qm_random_seed(&random, seed, 0);
    qm_parallel_set_threads(threads);
    for (int input = 0; input < QM_INPUT_COUNT; input++)
        for (int batch = 0; batch < 3; batch++) {
            for (size_t i = 0; i < ROWS * WIDTH; i++)
                values[i] = draw(&random) * (float)(1 + i % WIDTH);
            CHECK(qm_calibration_observe_rows(c, 0, (enum qm_input)input, values, ROWS, WIDTH));
        }
    qm_parallel_set_threads(0);
    return c;
}

static void test_threads_do_not_matter(void **state)
{
    (void)state;
    struct qm_calibration *one = observe_random(1, 5), *many = observe_random(7, 5), *other = observe_random(7, 6);
    const struct qm_channel_statistics *a, *b, *c;
    CHECK(qm_calibration_statistics(one, 0, QM_INPUT_DOWN, &a));
    CHECK(qm_calibration_statistics(many, 0, QM_INPUT_DOWN, &b));
    CHECK(qm_calibration_statistics(other, 0, QM_INPUT_DOWN, &c));
    assert_int_equal(a->rows, 3 * ROWS);
    assert_memory_equal(a->amax, b->amax, WIDTH * sizeof(float));
    assert_memory_equal(a->sum_magnitudes, b->sum_magnitudes, WIDTH * sizeof(double));
    assert_memory_equal(a->sum_squares, b->sum_squares, WIDTH * sizeof(double));
    assert_memory_equal(a->products, b->products, WIDTH * WIDTH * sizeof(double));
    assert_memory_not_equal(a->products, c->products, WIDTH * WIDTH * sizeof(double)); // the check can fail
    for (size_t j = 0; j < WIDTH; j++)
        assert_true(a->products[j * WIDTH + j] == a->sum_squares[j]);
    for (int m = QM_CALIBRATOR_ABSMAX; m <= QM_CALIBRATOR_ENTROPY; m++) {
        struct qm_activation_scale of_one[WIDTH / 16], of_many[WIDTH / 16];
        qm_parallel_set_threads(1);
        CHECK(qm_calibration_group_scales(one, (enum qm_calibrator)m, 0, QM_INPUT_MLP, 16, of_one));
        qm_parallel_set_threads(5);
        CHECK(qm_calibration_group_scales(many, (enum qm_calibrator)m, 0, QM_INPUT_MLP, 16, of_many));
        qm_parallel_set_threads(0);
        for (size_t g = 0; g < WIDTH / 16; g++)
            assert_true(of_one[g].scale == of_many[g].scale && of_one[g].clipped == of_many[g].clipped &&
                        of_one[g].count == 3 * ROWS * 16);
    }
    qm_calibration_destroy(&one);
    qm_calibration_destroy(&many);
    qm_calibration_destroy(&other);
}

// A group's threshold is that of its channels alone, however the groups were collected; one group is the whole input.
static void test_groups(void **state)
{
    (void)state;
    const struct qm_calibration_set set = {.name = "a set"};
    static float values[ROWS * WIDTH], part[ROWS * 32];
    struct qm_random random;
    struct qm_calibration *c = qm_calibration_new_with(1, &(struct qm_calibration_options){.group = 8});
    struct qm_calibration *alone = qm_calibration_new(1);
    qm_random_seed(&random, 9, 0);
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        values[i] = draw(&random) * (i % WIDTH < 64 ? 1.0f : 100.0f);
    for (size_t row = 0; row < ROWS; row++)
        memcpy(part + row * 32, values + row * WIDTH + 32, 32 * sizeof(float));
    for (int input = 0; input < QM_INPUT_COUNT; input++) {
        CHECK(qm_calibration_observe_rows(c, 0, (enum qm_input)input, values, ROWS, WIDTH));
        CHECK(qm_calibration_observe(alone, 0, (enum qm_input)input, part, ROWS * 32));
    }
    for (int m = QM_CALIBRATOR_ABSMAX; m <= QM_CALIBRATOR_ENTROPY; m++) {
        struct qm_activation_scale groups[3], whole;
        struct qm_activation_scales *all, *one;
        CHECK(qm_calibration_group_scales(c, (enum qm_calibrator)m, 0, QM_INPUT_MLP, 32, groups));
        CHECK(qm_calibration_group_scales(c, (enum qm_calibrator)m, 0, QM_INPUT_MLP, WIDTH, &whole));
        CHECK(qm_calibration_scales(c, (enum qm_calibrator)m, &set, &all));
        CHECK(qm_calibration_scales(alone, (enum qm_calibrator)m, &set, &one));
        assert_true(whole.scale == all->inputs[QM_INPUT_MLP].scale);
        assert_true(groups[1].scale == one->inputs[QM_INPUT_MLP].scale);
        assert_true(groups[1].amax == one->inputs[QM_INPUT_MLP].amax);
        assert_int_equal(groups[1].clipped, one->inputs[QM_INPUT_MLP].clipped);
        assert_true(groups[2].scale > 20 * groups[0].scale);
        qm_activation_scales_destroy(&all);
        qm_activation_scales_destroy(&one);
    }
    struct qm_activation_scale out[WIDTH];
    assert_int_equal(qm_calibration_group_scales(c, QM_CALIBRATOR_MSE, 0, QM_INPUT_MLP, 12, out), QM_INVALID);
    CHECK(qm_calibration_group_scales(c, QM_CALIBRATOR_ABSMAX, 0, QM_INPUT_MLP, 12, out));
    assert_int_equal(qm_calibration_group_scales(c, QM_CALIBRATOR_ABSMAX, 0, QM_INPUT_MLP, 0, out), QM_INVALID);
    assert_int_equal(qm_calibration_group_scales(c, QM_CALIBRATOR_ABSMAX, 0, QM_INPUT_MLP, 36, out), QM_INVALID);
    assert_int_equal(qm_calibration_group_scales(c, QM_CALIBRATOR_GPTQ, 0, QM_INPUT_MLP, 32, out), QM_INVALID);
    assert_int_equal(qm_calibration_group_scales(c, QM_CALIBRATOR_ABSMAX, 1, QM_INPUT_MLP, 32, out), QM_INVALID);
    assert_int_equal(qm_calibration_group_scales(alone, QM_CALIBRATOR_ABSMAX, 0, QM_INPUT_MLP, 32, out), QM_INVALID);
    qm_calibration_destroy(&c);
    qm_calibration_destroy(&alone);
}

// Two halves merged are the whole: whole numbers, whose sums are exact.
static void test_merge(void **state)
{
    (void)state;
    static float values[ROWS * WIDTH];
    const struct qm_calibration_options options = {.has_products = true, .group = 32};
    struct qm_calibration *whole = qm_calibration_new_with(1, &options), *a = qm_calibration_new_with(1, &options);
    struct qm_calibration *b = qm_calibration_new_with(1, &options), *plain = qm_calibration_new(1);
    struct qm_calibration *narrow = qm_calibration_new_with(1, &options);
    struct qm_activation_scale of_whole[3], of_merged[3];
    const struct qm_channel_statistics *s, *t;
    struct qm_random random;
    qm_random_seed(&random, 21, 0);
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        values[i] = (float)qm_random_below(&random, 100 + (uint32_t)i) - 50;
    CHECK(qm_calibration_observe_rows(whole, 0, QM_INPUT_MLP, values, ROWS, WIDTH));
    CHECK(qm_calibration_observe_rows(a, 0, QM_INPUT_MLP, values, 20, WIDTH));
    CHECK(qm_calibration_observe_rows(b, 0, QM_INPUT_MLP, values + 20 * WIDTH, ROWS - 20, WIDTH));
    CHECK(qm_calibration_merge(a, b));
    CHECK(qm_calibration_statistics(whole, 0, QM_INPUT_MLP, &s));
    CHECK(qm_calibration_statistics(a, 0, QM_INPUT_MLP, &t));
    assert_int_equal(t->rows, ROWS);
    assert_memory_equal(s->amax, t->amax, WIDTH * sizeof(float));
    assert_memory_equal(s->products, t->products, WIDTH * WIDTH * sizeof(double));
    CHECK(qm_calibration_group_scales(whole, QM_CALIBRATOR_PERCENTILE, 0, QM_INPUT_MLP, 32, of_whole));
    CHECK(qm_calibration_group_scales(a, QM_CALIBRATOR_PERCENTILE, 0, QM_INPUT_MLP, 32, of_merged));
    for (size_t g = 0; g < 3; g++)
        assert_true(of_whole[g].scale == of_merged[g].scale && of_whole[g].count == of_merged[g].count);
    assert_int_equal(qm_calibration_merge(a, plain), QM_INVALID); // other options
    CHECK(qm_calibration_observe_rows(narrow, 0, QM_INPUT_MLP, values, 1, 64));
    assert_int_equal(qm_calibration_merge(a, narrow), QM_INVALID); // another width
    qm_calibration_destroy(&whole);
    qm_calibration_destroy(&a);
    qm_calibration_destroy(&b);
    qm_calibration_destroy(&plain);
    qm_calibration_destroy(&narrow);
}

// What goes into the cache, by hand: maxima of all channels, and the scales that they give.
static void test_cached(void **state)
{
    (void)state;
    const struct qm_calibration_set set = {.name = "a set"};
    const float first[2][2] = {{1, -448}, {3, 2}}, second[1][2] = {{-5, 447}}, values[1][2] = {{0, 0x1p-101f}};
    struct qm_calibration *c = qm_calibration_new(1), *part = qm_calibration_new(1), *none = qm_calibration_new(1);
    const struct qm_channel_statistics *keys;
    struct qm_activation_scales *scales;
    for (int input = 0; input < QM_INPUT_COUNT; input++)
        CHECK(qm_calibration_observe(c, 0, (enum qm_input)input, first[0], 4));
    CHECK(qm_calibration_observe_cached(c, 0, QM_CACHED_KEYS, first[0], 2, 2));
    assert_int_equal(qm_calibration_cached(c, 0, QM_CACHED_VALUES, &keys), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "layer 0, values: none were seen"));
    assert_false(qm_calibration_has_cached(c));
    CHECK(qm_calibration_scales(c, QM_CALIBRATOR_ABSMAX, &set, &scales));
    assert_null(scales->cache); // values are missing, which only schemes that need them mind
    qm_activation_scales_destroy(&scales);
    CHECK(qm_calibration_observe_cached(part, 0, QM_CACHED_KEYS, second[0], 1, 2));
    CHECK(qm_calibration_observe_cached(part, 0, QM_CACHED_VALUES, values[0], 1, 2));
    CHECK(qm_calibration_merge(c, part));
    CHECK(qm_calibration_merge(c, none));
    CHECK(qm_calibration_cached(c, 0, QM_CACHED_KEYS, &keys));
    assert_int_equal(keys->rows, 3);
    assert_true(keys->amax[0] == 5 && keys->amax[1] == 448 && qm_statistics_amax(keys) == 448);
    CHECK(qm_calibration_scales(c, QM_CALIBRATOR_PERCENTILE, &set, &scales)); // of the cache it is always the largest
    assert_true(scales->cache[0].of[QM_CACHED_KEYS] == 448 && scales->cache[0].of[QM_CACHED_VALUES] == 0x1p-101f);
    qm_activation_scales_destroy(&scales);
    assert_true(qm_cache_scale_of(448, 448) == 1);
    assert_true(qm_cache_scale_of(0x1p-101f, 448) == 1 && qm_cache_scale_of(0, 57344) == 1);
    assert_true(qm_cache_scale_of(0x1p-100f, 57344) > 0x1p-116f && qm_cache_scale_of(0x1.fffffep127f, 448) < 0x1p120f);
    for (int i = 1; i < 1000; i++) {
        float amax = (float)i * 0.37f, scale = qm_cache_scale_of(amax, 448);
        assert_true((double)scale * 448 >= (double)amax && (double)scale * 448 < (double)amax * (1 + 0x1p-22));
    }
    // What is refused adds nothing.
    const float hostile[3] = {9999, NAN, 1};
    assert_int_equal(qm_calibration_observe_cached(c, 0, QM_CACHED_KEYS, hostile, 1, 2), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "layer 0, keys: activation 1 is not a number"));
    assert_int_equal(qm_calibration_observe_cached(c, 0, QM_CACHED_KEYS, hostile, 1, 1), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "keys: 1 channels after rows of 2"));
    assert_int_equal(qm_calibration_observe_cached(c, 1, QM_CACHED_KEYS, first[0], 2, 2), QM_INVALID);
    assert_int_equal(qm_calibration_observe_cached(none, 0, QM_CACHED_KEYS, first[0], 2, 0), QM_INVALID);
    assert_true(qm_statistics_amax(keys) == 448);
    qm_calibration_destroy(&c);
    qm_calibration_destroy(&part);
    qm_calibration_destroy(&none);
}

static void test_hostile_rows(void **state)
{
    (void)state;
    float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct qm_calibration *c = qm_calibration_new_with(1, &(struct qm_calibration_options){true, 2});
    const struct qm_channel_statistics *s;
    int exponent;
    assert_int_equal(qm_calibration_statistics(c, 0, QM_INPUT_HEAD, &s), QM_INVALID);
    assert_int_equal(qm_calibration_observe_rows(c, 0, QM_INPUT_HEAD, values, 2, 3), QM_INVALID); // groups of 2
    assert_int_equal(qm_calibration_observe_rows(c, 0, QM_INPUT_HEAD, values, 2, 0), QM_INVALID);
    CHECK(qm_calibration_observe_rows(c, 0, QM_INPUT_HEAD, values, 2, 4));
    values[5] = NAN;
    assert_int_equal(qm_calibration_observe_rows(c, 0, QM_INPUT_HEAD, values, 2, 4), QM_INVALID);
    values[5] = -INFINITY;
    assert_int_equal(qm_calibration_observe_rows(c, 0, QM_INPUT_HEAD, values, 2, 4), QM_INVALID);
    values[5] = 6;
    assert_int_equal(qm_calibration_observe_rows(c, 0, QM_INPUT_HEAD, values, 4, 2), QM_INVALID); // another width
    assert_int_equal(qm_calibration_observe_rows(c, 1, QM_INPUT_MLP, values, 2, 4), QM_INVALID);
    CHECK(qm_calibration_statistics(c, 0, QM_INPUT_HEAD, &s)); // nothing of those was added
    assert_int_equal(s->rows, 2);
    assert_true(s->sum_squares[1] == 4 + 36 && s->products[1 * 4 + 3] == 2 * 4 + 6 * 8);
    const uint64_t *bins = qm_calibration_histogram(c, 0, QM_INPUT_HEAD, &exponent);
    uint64_t total = 0;
    for (int i = 0; i < QM_CALIBRATION_BINS; i++)
        total += bins[i];
    assert_int_equal(total, 8);
    // The largest floats: squares overflow no double.
    for (int i = 0; i < 8; i++)
        values[i] = i % 2 ? -0x1.fffffep127f : 0x1p-149f;
    CHECK(qm_calibration_observe_rows(c, 0, QM_INPUT_HEAD, values, 2, 4));
    assert_true(isfinite(s->sum_squares[1]) && s->amax[1] == 0x1.fffffep127f);
    qm_calibration_destroy(&c);
}

// The same bytes from every compiler and machine.
static void test_golden(void **state)
{
    (void)state;
    struct qm_calibration *c = observe_random(0, 5);
    const struct qm_channel_statistics *s;
    struct qm_hash hash;
    char text[QM_HASH_TEXT_BYTES];
    CHECK(qm_calibration_statistics(c, 0, QM_INPUT_DOWN, &s));
    qm_hash_begin(&hash);
    qm_hash_add(&hash, s->amax, WIDTH * sizeof(float));
    qm_hash_add(&hash, s->sum_magnitudes, WIDTH * sizeof(double));
    qm_hash_add(&hash, s->products, WIDTH * WIDTH * sizeof(double));
    for (int m = QM_CALIBRATOR_ABSMAX; m <= QM_CALIBRATOR_ENTROPY; m++)
        for (int input = 0; input < QM_INPUT_COUNT; input++) {
            struct qm_activation_scale scales[WIDTH / 8];
            CHECK(qm_calibration_group_scales(c, (enum qm_calibrator)m, 0, (enum qm_input)input, 8, scales));
            for (size_t g = 0; g < WIDTH / 8; g++)
                qm_hash_add(&hash, &scales[g].scale, sizeof(float));
        }
    qm_hash_end(&hash, text);
    assert_string_equal(text, "3ad7f9f9594e978faeb445d4c0db0626bb671549456dd2083e8527e1a7d861b7");
    qm_calibration_destroy(&c);
}

// Thresholds ----------------------------------------------------------------------------------------------------------

static struct qm_histogram histogram;

static void fill(int shape, size_t count)
{
    struct qm_random random;
    qm_random_seed(&random, 40, (uint64_t)shape);
    qm_histogram_begin(&histogram);
    for (size_t i = 0; i < count; i++) {
        float value = draw(&random);
        if (shape == 1) // long tails
            value = value * value * value * value * value;
        if (shape == 2) // zeros and a few outliers
            value = i % 3 == 0 ? 0 : i % 1000 == 1 ? value * 64 : value;
        if (shape == 3) // flat
            value = (float)qm_random_unit(&random);
        if (shape == 4) // one value, and one far away
            value = i == 77 ? 1000.0f : 0.25f;
        if (shape == 5) // far below the smallest range
            value *= 0x1p-60f;
        qm_histogram_add(&histogram, &value, 1, 1, 1);
    }
}

static float edge_of(int kept)
{
    float edge = (float)ldexp(kept, histogram.exponent - 11);
    return edge < histogram.amax ? edge : histogram.amax;
}

static double squared_error(float threshold)
{
    double step = (double)threshold / 127, sum = 0;
    for (int b = 0; b < QM_HISTOGRAM_BINS; b++) {
        double middle = ldexp(b + 0.5, histogram.exponent - 11);
        double error = step * fmin(127, nearbyint(middle / step)) - middle;
        sum += (double)histogram.bins[b] * error * error;
    }
    return sum;
}

// The steps of the search as they are described, one by one.
static double divergence(int kept)
{
    static double p[QM_HISTOGRAM_BINS], q[QM_HISTOGRAM_BINS];
    double sum[128] = {0}, filled[128] = {0}, n = 0, m = 0, kl = 0;
    for (int b = 0; b < QM_HISTOGRAM_BINS; b++) {
        double count = (double)histogram.bins[b == 0 ? 1 : b];
        if (b < kept) {
            p[b] = count;
            sum[b * 128 / kept] += count;
            filled[b * 128 / kept] += count > 0;
        } else
            p[kept - 1] += count;
        n += count;
    }
    for (int b = 0; b < kept; b++) {
        bool is_empty = histogram.bins[b == 0 ? 1 : b] == 0;
        q[b] = is_empty ? 0 : sum[b * 128 / kept] / filled[b * 128 / kept];
        m += q[b];
    }
    for (int b = 0; b < kept; b++)
        if (p[b] > 0)
            kl += p[b] / n * log(p[b] / n / (q[b] / m));
    return kl;
}

static void test_thresholds(void **state)
{
    (void)state;
    for (int shape = 0; shape < 6; shape++) {
        struct qm_histogram_threshold mse, entropy, absmax;
        fill(shape, 20000);
        qm_histogram_find_threshold(&histogram, QM_CALIBRATOR_ABSMAX, &absmax);
        qm_histogram_find_threshold(&histogram, QM_CALIBRATOR_MSE, &mse);
        qm_histogram_find_threshold(&histogram, QM_CALIBRATOR_ENTROPY, &entropy);
        assert_true(absmax.threshold == histogram.amax && absmax.clipped == 0);
        double found = squared_error(mse.threshold), kl = INFINITY, least_kl = INFINITY;
        int used = QM_HISTOGRAM_BINS;
        while (used > 1 && histogram.bins[used - 1] == 0)
            used--;
        for (int kept = 1; kept <= used; kept++) {
            assert_true(squared_error(edge_of(kept)) >= found * (1 - 1e-12));
            if (kept < 128)
                continue;
            double here = divergence(kept);
            least_kl = fmin(least_kl, here);
            if (edge_of(kept) == entropy.threshold)
                kl = here;
        }
        if (used >= 128)
            assert_true(kl <= least_kl + 1e-12);
        else
            assert_true(entropy.threshold == histogram.amax);
        uint64_t above = 0;
        for (int b = 0; b < QM_HISTOGRAM_BINS; b++)
            above += ldexp(b, histogram.exponent - 11) >= (double)mse.threshold ? histogram.bins[b] : 0;
        assert_int_equal(mse.clipped, mse.threshold < histogram.amax ? above : 0);
        print_message("shape %d: amax %g, mse %g, entropy %g\n", shape, (double)histogram.amax, (double)mse.threshold,
                      (double)entropy.threshold);
        if (shape == 1)
            assert_true(mse.threshold < histogram.amax && entropy.threshold < 0.5f * histogram.amax);
        if (shape == 3)
            assert_true(mse.threshold > 0.99f * histogram.amax && entropy.threshold > 0.9f * histogram.amax);
    }
}

static void test_thresholds_at_the_edge(void **state)
{
    (void)state;
    struct qm_histogram_threshold found;
    const float one[] = {0, -0.0f, 0x1p-149f, 0x1.fffffep127f, -3, 0.75f};
    for (size_t v = 0; v <= sizeof(one) / sizeof(one[0]); v++) {
        qm_histogram_begin(&histogram);
        if (v > 0)
            qm_histogram_add(&histogram, &one[v - 1], 1, 1, 1);
        for (int m = QM_CALIBRATOR_ABSMAX; m <= QM_CALIBRATOR_ENTROPY; m++) {
            qm_histogram_find_threshold(&histogram, (enum qm_calibrator)m, &found);
            assert_true(found.threshold == (v > 0 ? fabsf(one[v - 1]) : 0.0f)); // nothing to gain by clipping it
            assert_int_equal(found.clipped, 0);
        }
    }
    assert_false(qm_calibrator_has_threshold(QM_CALIBRATOR_NONE));
    assert_false(qm_calibrator_has_threshold(QM_CALIBRATOR_SMOOTHQUANT));
}

// By hand: n values even over [0, 1] and one of 4. Rounding costs n t^2 / (12 127^2) = a t^2, clipping (4 - t)^2: least at
// t = 4 / (1 + a), for n = 100,000 at 2.64.
static void test_mse_by_hand(void **state)
{
    (void)state;
    struct qm_histogram_threshold found;
    float value = 4;
    qm_histogram_begin(&histogram);
    qm_histogram_add(&histogram, &value, 1, 1, 1);
    for (int i = 0; i < 100000; i++) {
        value = ((float)i + 0.5f) / 100000;
        qm_histogram_add(&histogram, &value, 1, 1, 1);
    }
    qm_histogram_find_threshold(&histogram, QM_CALIBRATOR_MSE, &found);
    assert_true(fabs((double)found.threshold - 4 / (1 + 100000 / (12 * 127.0 * 127))) < 0.05);
    assert_int_equal(found.clipped, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics_by_hand),
        cmocka_unit_test(test_threads_do_not_matter),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_cached),
        cmocka_unit_test(test_hostile_rows),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_thresholds_at_the_edge),
        cmocka_unit_test(test_mse_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
