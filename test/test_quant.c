// Weight formats and calibration: the bound of every value on random and hostile blocks, what is refused, and the same
// codes from every compiler.
#include "base/hash.h"
#include "base/numeric.h"
#include "base/random.h"
#include "quant/calibrate.h"
#include "quant/format.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS 24u
#define COLUMNS 96u
#define VALUES (ROWS * COLUMNS)

struct matrix {
    float values[VALUES];
    float decoded[VALUES];
    unsigned char codes[4 * VALUES];
    union {
        float f32[VALUES];
        uint16_t f16[VALUES];
    } scales;
    struct qm_encoded encoded;
    struct qm_weight_record record;
};

// The formats whose laws are checked here, by hand; test_formats.c has all of them.
static const enum qm_weight_format integers[] = {QM_WEIGHT_W8, QM_WEIGHT_W4G32};

static enum qm_status encode(enum qm_weight_format format, struct matrix *m)
{
    memset(m->codes, 0xee, sizeof(m->codes));
    memset(&m->scales, 0xee, sizeof(m->scales));
    m->encoded = (struct qm_encoded){m->codes, &m->scales, 1};
    QM_TRY(qm_format_encode(format, "x", m->values, ROWS, COLUMNS, &(struct qm_encode_params){0}, &m->encoded,
                            &m->record));
    qm_format_decode(format, &m->encoded, ROWS, COLUMNS, m->decoded);
    return QM_OK;
}

static void encoded(enum qm_weight_format format, struct matrix *m)
{
    uint32_t row;
    if (encode(format, m) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_true(qm_format_is_valid(format, &m->encoded, ROWS, COLUMNS, &row));
}

static double scale_of(enum qm_weight_format format, const struct matrix *m, uint32_t i)
{
    if (format == QM_WEIGHT_W8)
        return (double)m->scales.f32[i / COLUMNS];
    return (double)qm_float_from_half(m->scales.f16[i / 32]);
}

static int code_of(enum qm_weight_format format, const struct matrix *m, uint32_t i)
{
    if (format == QM_WEIGHT_W8)
        return ((const int8_t *)m->codes)[i];
    int nibble = m->codes[i / 2] >> (i % 2 * 4) & 15;
    return (nibble ^ 8) - 8;
}

// The laws of the integer formats, from the definitions.
static void check_laws(enum qm_weight_format format, const struct matrix *m)
{
    uint32_t group = format == QM_WEIGHT_W8 ? COLUMNS : 32;
    int largest = format == QM_WEIGHT_W8 ? 127 : 7;
    double floor_scale = format == QM_WEIGHT_W8 ? 0x1p-126 : 0x1p-14, worst = 0;
    for (uint32_t first = 0; first < VALUES; first += group) {
        double amax = 0, scale = scale_of(format, m, first);
        for (uint32_t i = first; i < first + group; i++)
            amax = fmax(amax, fabs((double)m->values[i]));
        assert_true((scale == 0) == (amax == 0));
        assert_true(scale * largest >= amax);
        // The next smaller scale would be too small.
        double smaller = format == QM_WEIGHT_W8 ? (double)nextafterf((float)scale, 0)
                         : amax > 0             ? (double)qm_float_from_half((uint16_t)(m->scales.f16[first / 32] - 1))
                                                : 0;
        assert_true(amax == 0 || scale == floor_scale || smaller * largest < amax);
        for (uint32_t i = first; i < first + group; i++) {
            int code = code_of(format, m, i);
            double error = fabs((double)m->values[i] - scale * code);
            assert_true(abs(code) <= largest);
            assert_true(error <= scale / 2);
            assert_true(m->decoded[i] == (float)code * (float)scale);
            if (error == scale / 2 && scale > 0)
                assert_int_equal(code % 2, 0); // ties to even
            worst = fmax(worst, error);
        }
    }
    assert_true(m->record.worst_error == worst);
    assert_true(m->record.worst_steps <= 0.5);
    assert_int_equal(m->record.clipped, 0);
}

// Values of a wide range of magnitudes, without libm.
static float draw(struct qm_random *random, int low, int high)
{
    uint32_t exponent = (uint32_t)(low + 127) + qm_random_below(random, (uint32_t)(high - low));
    uint32_t bits = qm_random_u32(random);
    return qm_float_from_bits((bits & 0x807fffffu) | exponent << 23);
}

static void test_random(void **state)
{
    (void)state;
    static struct matrix m;
    struct qm_random random;
    const int ranges[][2] = {{-6, -4}, {-30, 10}, {-3, 3}, {-126, -100}, {-16, -10}};
    qm_random_seed(&random, 1, 0);
    for (size_t r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++)
        for (int round = 0; round < 20; round++) {
            for (uint32_t i = 0; i < VALUES; i++)
                m.values[i] = draw(&random, ranges[r][0], ranges[r][1]);
            for (size_t f = 0; f < 2; f++) {
                encoded(integers[f], &m);
                check_laws(integers[f], &m);
            }
            encoded(QM_WEIGHT_F16, &m);
            assert_true(m.record.worst_steps <= 0.5);
            for (uint32_t i = 0; i < VALUES; i++)
                assert_true(m.decoded[i] == qm_float_from_half(qm_half_from_float(m.values[i])));
            encoded(QM_WEIGHT_F32, &m);
            assert_memory_equal(m.values, m.decoded, sizeof(m.values));
            assert_true(m.record.worst_error == 0 && m.record.rms_error == 0);
        }
}

static void test_hostile(void **state)
{
    (void)state;
    static struct matrix m;
    const float outliers[] = {448000.0f, 1.0f, 0x1p-24f, 0x1p-149f, 6.1e-5f * 7, 0x1p-126f};
    for (size_t o = 0; o < sizeof(outliers) / sizeof(outliers[0]); o++)
        for (int fill = 0; fill < 3; fill++) {
            for (uint32_t i = 0; i < VALUES; i++) // zeros, denormals, or halves of the outlier's steps
                m.values[i] = fill == 0 ? 0 : fill == 1 ? 0x1p-140f : outliers[o] / 14 * (float)(i % 27) - outliers[o];
            for (uint32_t row = 1; row < ROWS; row++)
                m.values[row * COLUMNS + row] = row % 2 ? outliers[o] : -outliers[o];
            for (size_t f = 0; f < 2; f++) {
                encoded(integers[f], &m);
                check_laws(integers[f], &m);
            }
        }
}

static void test_zeros(void **state)
{
    (void)state;
    static struct matrix m;
    memset(&m, 0, sizeof(m));
    m.values[5] = -0.0f;
    for (int format = 0; format < QM_WEIGHT_FORMAT_COUNT; format++) {
        if (COLUMNS % qm_format_column_multiple((enum qm_weight_format)format) != 0)
            continue;
        encoded((enum qm_weight_format)format, &m);
        for (uint32_t i = 0; i < VALUES; i++)
            assert_true(m.decoded[i] == 0);
        assert_true(m.record.scale_max == 0 && m.record.rms_error == 0);
        if (format == QM_WEIGHT_W8)
            assert_int_equal(m.record.zero_scales, ROWS);
        if (format == QM_WEIGHT_W4G32)
            assert_int_equal(m.record.zero_scales, VALUES / 32);
    }
}

// By hand: amax 127 gives scale 1, amax 7 likewise.
static void test_hand(void **state)
{
    (void)state;
    static struct matrix m;
    memset(m.values, 0, sizeof(m.values));
    const float row[] = {127, 0.5f, 1.5f, -0.5f, -1.5f, 2.5f, 126.5f, 1, -127, 0.49999997f};
    const int codes[] = {127, 0, 2, 0, -2, 2, 126, 1, -127, 0};
    memcpy(m.values, row, sizeof(row));
    encoded(QM_WEIGHT_W8, &m);
    assert_true(m.scales.f32[0] == 1);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(code_of(QM_WEIGHT_W8, &m, i), codes[i]);
    assert_true(m.record.worst_steps == 0.5);
    const float group[] = {7, -7, 2.5f, 3.5f, -1, 0.5f};
    memset(m.values, 0, sizeof(m.values));
    memcpy(m.values + 32, group, sizeof(group));
    encoded(QM_WEIGHT_W4G32, &m);
    const uint8_t bytes[] = {0x97, 0x42, 0x0f}; // 7 and -7; 2 and 4; -1 and 0
    assert_memory_equal(m.codes + 16, bytes, 3);
    assert_int_equal(m.scales.f16[1], 0x3c00);
    assert_int_equal(m.scales.f16[0], 0);
}

static void refused(enum qm_weight_format format, struct matrix *m, uint32_t at, float value, const char *words)
{
    memset(m->values, 0, sizeof(m->values));
    m->values[at] = value;
    assert_int_equal(encode(format, m), QM_INVALID);
    if (strncmp(qm_error_text(), "tensor 'x': ", 12) != 0 || !strstr(qm_error_text(), words))
        fail_msg("expected '%s', got '%s'", words, qm_error_text());
}

static void test_refused(void **state)
{
    (void)state;
    static struct matrix m;
    for (int format = 0; format < QM_WEIGHT_FORMAT_COUNT; format++) {
        if (COLUMNS % qm_format_column_multiple((enum qm_weight_format)format) != 0)
            continue;
        refused((enum qm_weight_format)format, &m, COLUMNS + 3, INFINITY, "row 1, column 3 is infinite; ");
        refused((enum qm_weight_format)format, &m, 7, NAN, "row 0, column 7 is not a number; ");
    }
    refused(QM_WEIGHT_F16, &m, 2 * COLUMNS, 65505, "row 2, column 0 is 65505, beyond 65504");
    refused(QM_WEIGHT_W4G32, &m, 40, -458560, "row 0, columns 32 to 63: values would need a scale of 65508.6");
    memset(m.values, 0, sizeof(m.values));
    m.values[0] = 458528; // 7 * 65504
    assert_int_equal(encode(QM_WEIGHT_W4G32, &m), QM_OK);
    assert_int_equal(
        qm_format_encode(QM_WEIGHT_W4G32, "x", m.values, 2, 40, &(struct qm_encode_params){0}, &m.encoded, NULL),
        QM_INVALID);
    // Codes that are not this tensor's.
    encoded(QM_WEIGHT_W8, &m);
    m.codes[0]--;
    assert_int_equal(qm_format_check(QM_WEIGHT_W8, "x", m.values, ROWS, COLUMNS, &m.encoded, QM_BOUND_HALF_STEP, NULL),
                     QM_WRONG_RESULT);
    uint32_t row;
    m.codes[3 * COLUMNS] = 0x80; // -128: not made here, but by others
    assert_true(qm_format_is_valid(QM_WEIGHT_W8, &m.encoded, ROWS, COLUMNS, &row));
    ((float *)m.encoded.scales)[3] = NAN;
    assert_false(qm_format_is_valid(QM_WEIGHT_W8, &m.encoded, ROWS, COLUMNS, &row));
    assert_int_equal(row, 3);
}

// The same bytes from every compiler and machine.
static void test_golden(void **state)
{
    (void)state;
    static struct matrix m;
    static const char *const expected[QM_WEIGHT_FORMAT_COUNT] = {
        [QM_WEIGHT_F32] = "2c8d1c3f3af3ff1e0a79a11420abb49329fa5af26937ade7acdd27222652619c",
        [QM_WEIGHT_F16] = "4da83cc7e7936d1b47cdf2110b5163d5670a65355f10b6d33e576ea97d5d56b9",
        [QM_WEIGHT_W8] = "d2734bc017062c2397096f3ba7f468a5eca87bd97a0fedf86507c3feb0c9182e",
        [QM_WEIGHT_W4G32] = "fa0378877e23b827b996d9b1f0d66f98544016ec51ce07f39fc3f1935cfb8af0",
    };
    struct qm_random random;
    qm_random_seed(&random, 7, 0);
    for (uint32_t i = 0; i < VALUES; i++)
        m.values[i] = draw(&random, -12, 1);
    for (int f = 0; f < QM_WEIGHT_FORMAT_COUNT; f++) {
        enum qm_weight_format format = (enum qm_weight_format)f;
        if (!expected[f])
            continue;
        struct qm_hash hash;
        char text[QM_HASH_TEXT_BYTES];
        encoded(format, &m);
        qm_hash_begin(&hash);
        qm_hash_add(&hash, m.codes, qm_format_code_bytes(format, ROWS, COLUMNS));
        qm_hash_add(&hash, &m.scales, qm_format_scale_bytes(format, ROWS, COLUMNS));
        qm_hash_add(&hash, m.decoded, sizeof(m.decoded));
        qm_hash_add(&hash, &m.record.rms_error, sizeof(double));
        qm_hash_end(&hash, text);
        assert_string_equal(text, expected[f]);
    }
}

// Calibration ---------------------------------------------------------------------------------------------------------

static void observe(struct qm_calibration *c, enum qm_input input, const float *values, size_t count)
{
    if (qm_calibration_observe(c, 0, input, values, count) != QM_OK)
        fail_msg("%s", qm_error_text());
}

// The same values in any order, in any batches and in two collectors give the same histogram.
static void test_order(void **state)
{
    (void)state;
    enum {
        COUNT = 5000
    };
    static float values[COUNT];
    struct qm_random random;
    int exponent, turned_exponent, merged_exponent;
    qm_random_seed(&random, 3, 0);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = draw(&random, -40, 6) * (i == 4000 ? 9.0f : 1.0f);
    struct qm_calibration *one = qm_calibration_new(1), *turned = qm_calibration_new(1), *part = qm_calibration_new(1);
    observe(one, QM_INPUT_DOWN, values, COUNT);
    for (size_t i = COUNT; i-- > 0;)
        observe(turned, QM_INPUT_DOWN, values + i, 1);
    struct qm_calibration *merged = qm_calibration_new(1);
    observe(part, QM_INPUT_DOWN, values + 100, COUNT - 100);
    observe(merged, QM_INPUT_DOWN, values, 100);
    assert_int_equal(qm_calibration_merge(merged, part), QM_OK);
    const uint64_t *bins = qm_calibration_histogram(one, 0, QM_INPUT_DOWN, &exponent);
    const uint64_t *turned_bins = qm_calibration_histogram(turned, 0, QM_INPUT_DOWN, &turned_exponent);
    const uint64_t *merged_bins = qm_calibration_histogram(merged, 0, QM_INPUT_DOWN, &merged_exponent);
    assert_int_equal(exponent, turned_exponent);
    assert_int_equal(exponent, merged_exponent);
    assert_memory_equal(bins, turned_bins, QM_CALIBRATION_BINS * sizeof(*bins));
    assert_memory_equal(bins, merged_bins, QM_CALIBRATION_BINS * sizeof(*bins));
    for (size_t i = 0; i < COUNT; i++) // each value where it belongs
        assert_true(bins[(size_t)(fabs((double)values[i]) / ldexp(1, exponent) * QM_CALIBRATION_BINS)] > 0);
    qm_calibration_destroy(&one);
    qm_calibration_destroy(&turned);
    qm_calibration_destroy(&part);
    qm_calibration_destroy(&merged);
}

static void test_scales(void **state)
{
    (void)state;
    static float values[100000];
    const struct qm_calibration_set set = {"calibration", "abc", 4, 2048};
    struct qm_activation_scales *scales;
    struct qm_calibration *c = qm_calibration_new(1);
    for (size_t i = 0; i < 100000; i++)
        values[i] = (float)(i % 1000) / 1000;
    for (int input = 0; input < QM_INPUT_COUNT; input++)
        observe(c, (enum qm_input)input, values, 100000);
    values[0] = -1.5f; // 9 values above 1 of 100,009: below a ten-thousandth, and 12 above it
    values[1] = 0;
    for (int i = 0; i < 9; i++)
        observe(c, QM_INPUT_MLP, values, 1);
    for (int i = 0; i < 12; i++)
        observe(c, QM_INPUT_DOWN, values, 1);
    for (int i = 0; i < 12; i++)
        observe(c, QM_INPUT_DOWN, values + 1, 1);
    assert_int_equal(qm_calibration_scales(c, QM_CALIBRATOR_ABSMAX, &set, &scales), QM_OK);
    assert_int_equal(scales->count, 5);
    assert_true(scales->clipped_fraction == 0);
    assert_true(scales->inputs[QM_INPUT_MLP].scale == qm_float_round_up(1.5 / 127));
    assert_true((double)scales->inputs[QM_INPUT_ATTENTION].scale * 127 >= (double)0.999f);
    qm_activation_scales_destroy(&scales);
    assert_int_equal(qm_calibration_scales(c, QM_CALIBRATOR_PERCENTILE, &set, &scales), QM_OK);
    const struct qm_activation_scale *mlp = &scales->inputs[QM_INPUT_MLP], *down = &scales->inputs[QM_INPUT_DOWN];
    assert_true(mlp->threshold == 1023.0f / 1024); // bins of 2/2048: 0.999 lies in the one that ends there
    assert_int_equal(mlp->clipped, 9);
    assert_true(mlp->amax == 1.5f);
    assert_true(down->threshold == 1.5f); // 12 of 100,024 are more than a ten-thousandth
    assert_int_equal(down->clipped, 0);
    assert_true(scales->inputs[QM_INPUT_HEAD].threshold == 0.999f); // never above amax
    assert_true(scales->clipped_fraction == 9.0 / 500033);
    assert_string_equal(scales->set.name, "calibration");
    qm_activation_scales_destroy(&scales);
    // What is refused.
    struct qm_calibration *empty = qm_calibration_new(2);
    assert_int_equal(qm_calibration_scales(empty, QM_CALIBRATOR_ABSMAX, &set, &scales), QM_INVALID);
    assert_null(scales);
    assert_int_equal(qm_calibration_scales(c, QM_CALIBRATOR_NONE, &set, &scales), QM_INVALID);
    assert_int_equal(qm_calibration_merge(c, empty), QM_INVALID);
    values[7] = NAN;
    assert_int_equal(qm_calibration_observe(c, 0, QM_INPUT_HEAD, values, 10), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "layer 0, input 'head': activation 7 is not a number"));
    assert_int_equal(qm_calibration_observe(c, 1, QM_INPUT_MLP, values, 1), QM_INVALID);
    qm_calibration_destroy(&empty);
    qm_calibration_destroy(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random), cmocka_unit_test(test_hostile), cmocka_unit_test(test_zeros),
        cmocka_unit_test(test_hand),   cmocka_unit_test(test_refused), cmocka_unit_test(test_golden),
        cmocka_unit_test(test_order),  cmocka_unit_test(test_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
