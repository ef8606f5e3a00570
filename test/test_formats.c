// Formats against their standards, on the host: every code's value by the tables of test/data/formats, and every encoder's
// law and bound on a million hostile values: subnormals, ties and their neighbours, the largest and one beyond, powers of
// two, zeros of both signs, any bits. NaN and infinity are refused, or saturate, as the format says.
// The kernels' decoders and encoders: test_format_kernels.c; ggml's blocks: test_ggml.c.
#include "base/minifloat.h"
#include "quant/format.h"
#include "test/format_values.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MILLION 1000000u

// ---- Minifloats ----------------------------------------------------------------------------------------------------

static void table_of(enum qm_minifloat kind, struct format_table *table)
{
    char name[16];
    snprintf(name, sizeof(name), "%s", qm_minifloat_name(kind));
    for (char *c = name; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    format_table_read_all(name, qm_minifloat_bits(kind), table);
}

static void test_minifloat_values(void **state)
{
    (void)state;
    struct format_table table;
    double points[256];
    for (int k = 0; k < QM_MINIFLOAT_COUNT; k++) {
        enum qm_minifloat kind = (enum qm_minifloat)k;
        table_of(kind, &table);
        for (uint32_t code = 0; code < table.count; code++)
            if (!format_same(qm_minifloat_value(kind, code), table.values[code]))
                fail_msg("%s: code %#x is %a, by the standard %a", qm_minifloat_name(kind), code,
                         qm_minifloat_value(kind, code), table.values[code]);
        uint32_t count = format_table_points(&table, points);
        assert_true(qm_minifloat_largest(kind) == points[count - 1]);
    }
}

// A kind as its table has it.
struct kind {
    double points[256];
    uint32_t count, sign_bit; // 0: no sign
    bool has_nan, has_infinity, has_negative_zero;
    uint32_t nan, infinity;
};

static void kind_of(enum qm_minifloat which, struct kind *kind)
{
    struct format_table table;
    table_of(which, &table);
    memset(kind, 0, sizeof(*kind));
    kind->count = format_table_points(&table, kind->points);
    kind->sign_bit = which == QM_MINIFLOAT_E8M0 ? 0 : table.count / 2;
    kind->has_negative_zero = kind->sign_bit && format_same(table.values[kind->sign_bit], -0.0);
    for (uint32_t code = table.count; code-- > 0;) {
        bool is_positive = kind->sign_bit == 0 || code < kind->sign_bit;
        if (isinf(table.values[code]) && is_positive)
            kind->infinity = code, kind->has_infinity = true;
        if (isnan(table.values[code]) && (is_positive || !kind->has_negative_zero))
            kind->nan = !kind->has_nan || code > kind->nan ? code : kind->nan, kind->has_nan = true;
    }
}

// The contract of qm_minifloat_nearest, by searching the table.
static uint32_t expected_code(const struct kind *kind, double value, bool saturate)
{
    if (isnan(value))
        return kind->has_nan ? kind->nan : 0;
    if (kind->sign_bit == 0 && !(value > 0))
        return 0;
    uint32_t sign = signbit(value) ? kind->sign_bit : 0, low = 0, high = kind->count; // of points[low] <= magnitude
    double magnitude = fabs(value), last = kind->points[kind->count - 1];
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (kind->points[middle] <= magnitude)
            low = middle;
        else
            high = middle;
    }
    uint32_t code = low;
    if (low + 1 < kind->count) {
        double tie = (kind->points[low] + kind->points[low + 1]) / 2;
        code += magnitude > tie || (magnitude == tie && low % 2 == 1);
    } else {
        double step = kind->sign_bit ? last - kind->points[low - 1] : last;
        bool is_beyond = magnitude > last + step / 2 || (magnitude == last + step / 2 && low % 2 == 1);
        if (is_beyond && !saturate && kind->has_nan)
            return kind->has_infinity                           ? sign | kind->infinity
                   : kind->has_negative_zero || !kind->sign_bit ? sign | kind->nan
                                                                : kind->nan;
    }
    return code == 0 && !kind->has_negative_zero ? 0 : sign | code;
}

static double hostile_double(struct qm_random *random, const struct kind *kind)
{
    uint32_t bits = qm_random_u32(random);
    double value = format_hostile_point(random, kind->points, kind->count);
    uint64_t any = qm_random_u64(random);
    switch (bits % 16) {
    case 0: // any bits: NaNs and infinities among them
        memcpy(&value, &any, sizeof(value));
        return value;
    case 1:
        value = any & 1 ? 0 : ldexp(1, -1074 + (int)(any >> 8) % 60);
        break;
    case 2:
        value = any % 4 == 0 ? INFINITY : any % 4 == 1 ? NAN : ldexp(1, (int)((any >> 8) % 2098) - 1074);
        break;
    default:
        value = format_nudge(value, (int)(bits >> 8) % 3 - 1);
    }
    return bits & 0x80000000u ? -value : value;
}

static void test_minifloat_nearest(void **state)
{
    (void)state;
    struct qm_random random;
    struct kind kind;
    qm_random_seed(&random, 11, 0);
    for (int k = 0; k < QM_MINIFLOAT_COUNT; k++) {
        enum qm_minifloat which = (enum qm_minifloat)k;
        kind_of(which, &kind);
        for (uint32_t i = 0; i < 2 * MILLION; i++) {
            double value = hostile_double(&random, &kind);
            bool saturate = i % 2;
            uint32_t code = qm_minifloat_nearest(which, value, saturate),
                     expected = expected_code(&kind, value, saturate);
            if (code != expected)
                fail_msg("%s%s: %a gives %#x, expected %#x", qm_minifloat_name(which), saturate ? ", saturating" : "",
                         value, code, expected);
        }
    }
}

// ---- binary16 and bfloat16 -----------------------------------------------------------------------------------------

// A float of 16 bits by its definition; infinity and NaN as IEEE 754.
static double sixteen(uint32_t code, int exponent_bits)
{
    int mantissa_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (int)(code >> mantissa_bits) & ((1 << exponent_bits) - 1);
    double mantissa = (double)(code & ((1u << mantissa_bits) - 1)), sign = code & 0x8000u ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1)
        return mantissa == 0 ? sign * (double)INFINITY : (double)NAN;
    return sign *
           ldexp(mantissa + (exponent ? ldexp(1, mantissa_bits) : 0), (exponent ? exponent : 1) - bias - mantissa_bits);
}

static double half(uint32_t code)
{
    return sixteen(code, 5);
}

static void check_anchors(const char *name, int exponent_bits)
{
    struct format_table table;
    format_table_read(name, &table);
    for (uint32_t i = 0; i < table.count; i++)
        assert_true(format_same(sixteen(table.codes[i], exponent_bits), table.values[i]));
}

static void test_sixteen_bits(void **state)
{
    (void)state;
    struct qm_random random;
    check_anchors("f16", 5);
    check_anchors("bf16", 8);
    static uint16_t codes[65536], brains[65536];
    static float values[65536], brain_values[65536];
    for (uint32_t code = 0; code < 65536; code++) {
        assert_true(format_same((double)qm_float_from_half((uint16_t)code), half(code)));
        codes[code] = brains[code] = (uint16_t)code;
    }
    struct qm_encoded halves = {codes, NULL, 1}, bfloats = {brains, NULL, 1};
    qm_format_decode(QM_WEIGHT_F16, &halves, 1, 65536, values);
    qm_format_decode(QM_WEIGHT_BF16, &bfloats, 1, 65536, brain_values);
    for (uint32_t code = 0; code < 65536; code++) {
        assert_true(format_same((double)values[code], half(code)));
        assert_true(format_same((double)brain_values[code], sixteen(code, 8)));
    }
    // The encoder beyond what weights may be: infinity from 65,520 upwards, NaN stays NaN; and the one that rounds up.
    qm_random_seed(&random, 12, 0);
    for (uint32_t i = 0; i < MILLION; i++) {
        uint32_t bits = qm_random_u32(&random), low = bits % 0x7c00u;
        double next = low == 0x7bff ? 65536 : half(low + 1);
        float value =
            i % 4 == 0 ? qm_float_from_bits(bits) : (float)((half(low) + (i % 4 == 1 ? half(low) : next)) / 2);
        value = isfinite(value) ? format_nudge_float(value, (int)(bits >> 16) % 3 - 1) : value;
        uint16_t code = qm_half_from_float(value);
        double magnitude = fabs((double)value);
        assert_int_equal(code >> 15, signbit(value) != 0);
        if (isnan(value)) {
            assert_true(isnan(half(code)));
        } else if (magnitude >= 65520) {
            assert_int_equal(code & 0x7fff, 0x7c00);
        } else {
            uint32_t c = code & 0x7fffu;
            double up = ((c == 0x7bff ? 65536 : half(c + 1)) + half(c)) / 2, down = c ? (half(c - 1) + half(c)) / 2 : 0;
            assert_true(magnitude <= up && magnitude >= down);
            assert_true((magnitude != up && (magnitude != down || c == 0)) || c % 2 == 0);
            if (magnitude <= 65504) {
                uint32_t above = qm_half_round_up((float)magnitude);
                assert_true(half(above) >= magnitude && (above == 0 || half(above - 1) < magnitude));
            }
        }
    }
}

// ---- Weights -------------------------------------------------------------------------------------------------------

#define ROWS 16u
#define COLUMNS 256u // a multiple of every format's groups
#define VALUES (ROWS * COLUMNS)

// What a format's encoder is held to.
struct law {
    const struct qm_weight_codec *codec;
    enum qm_weight_format format;
    double points[256]; // magnitudes that codes stand for, ascending from 0; plain formats: some
    uint32_t count;
    double limit; // no group with larger values is drawn
    // Minifloats: |error| <= max(relative |x|, absolute scale), or clipped |x| beyond the largest.
    double relative, absolute, clipped;
};

static void integers_to(struct law *law, uint32_t last)
{
    law->count = last + 1;
    for (uint32_t i = 0; i <= last; i++)
        law->points[i] = i;
}

static void law_of(enum qm_weight_format format, struct law *law)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    static const struct {
        enum qm_weight_format format;
        double relative, absolute, clipped;
    } bounds[] = {{QM_WEIGHT_E4M3, 0x1p-4, 0x1p-10, 0},         {QM_WEIGHT_E5M2, 0x1p-3, 0x1p-17, 0},
                  {QM_WEIGHT_MXFP8, 0x1p-4, 0x1p-10, 0.125},    {QM_WEIGHT_MXFP6E2M3, 0x1p-4, 0x1p-4, 0.0625},
                  {QM_WEIGHT_MXFP6E3M2, 0x1p-3, 0x1p-5, 0.125}, {QM_WEIGHT_MXFP4, 0x1p-2, 0x1p-2, 0.25},
                  {QM_WEIGHT_NVFP4, 0x1p-2, 0x1p-2, 1}};
    static const struct {
        enum qm_weight_format format;
        double limit;
        uint32_t last;
    } blocks[] = {{QM_WEIGHT_Q8_0, 65504.0 * 127, 127}, {QM_WEIGHT_Q4_0, 65504.0 * 8, 8}, {QM_WEIGHT_Q4_1, 65504, 15},
                  {QM_WEIGHT_Q5_0, 65504.0 * 16, 16},   {QM_WEIGHT_Q4_K, 0x1p20, 15},     {QM_WEIGHT_Q5_K, 0x1p20, 31},
                  {QM_WEIGHT_Q6_K, 0x1p26, 32}};
    *law = (struct law){.codec = codec, .format = format, .limit = 0x1.fffffep127};
    integers_to(law, 127);
    if (codec->family->fit && codec->high > 0) {
        integers_to(law, (uint32_t)codec->high);
        law->limit = codec->scale == QM_SCALE_F16        ? 65504.0 * codec->high
                     : codec->scale == QM_SCALE_F16_ZERO ? 65504.0 * codec->high / 2
                                                         : law->limit;
    }
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
        if (bounds[i].format == format) {
            struct kind kind;
            kind_of((enum qm_minifloat)codec->minifloat, &kind);
            memcpy(law->points, kind.points, sizeof(law->points));
            law->count = kind.count;
            law->relative = bounds[i].relative;
            law->absolute = bounds[i].absolute;
            law->clipped = bounds[i].clipped;
        }
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        if (blocks[i].format == format) {
            integers_to(law, blocks[i].last);
            law->limit = blocks[i].limit;
        }
    if (format == QM_WEIGHT_F16 || format == QM_WEIGHT_BF16)
        law->limit = format == QM_WEIGHT_F16 ? 65504 : 0x1.fep127;
}

// A scale of few bits, as stored ones are, so that products with points are floats exactly.
static double draw_scale(struct qm_random *random, const struct law *law)
{
    int most = ilogb(law->limit / law->points[law->count - 1]), least = most > 16 ? -130 : -18;
    double scale = ldexp(1 + qm_random_below(random, 1024) / 1024.0,
                         least + (int)qm_random_below(random, (uint32_t)(most - least)));
    if (law->codec->scale == QM_SCALE_BLOCK && qm_random_below(random, 2)) // between two that binary16 has
        scale += ldexp(1, ilogb(scale) - 11);
    return law->codec->scale == QM_SCALE_E8M0 || qm_random_below(random, 4) == 0 ? ldexp(1, ilogb(scale)) : scale;
}

static float limited(const struct law *law, double value)
{
    value = value > law->limit ? law->limit : value < -law->limit ? -law->limit : value;
    return (float)value;
}

static void draw_group(struct qm_random *random, const struct law *law, float *values, uint32_t count)
{
    double scale = draw_scale(random, law), last = law->points[law->count - 1];
    uint32_t kind = qm_random_below(random, 12), outlier = qm_random_below(random, count), pick = qm_random_u32(random);
    uint32_t exponents = (uint32_t)(ilogb(law->limit) + 127);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = qm_random_u32(random);
        double sign = bits & 0x80000000u ? -1 : 1, value;
        switch (kind) {
        case 0: // subnormals
            value = (double)qm_float_from_bits((bits & 0x7fffffu) >> pick % 23);
            break;
        case 1: // any bits
            value = (double)qm_float_from_bits((bits & 0x7fffffu) | qm_random_below(random, exponents) << 23);
            break;
        case 2: // powers of two and their neighbours
            value = (double)format_nudge_float((float)ldexp(1, (int)qm_random_below(random, exponents) - 126),
                                               (int)(bits % 3) - 1);
            break;
        case 3: // zeros, and in half of the groups one number
            value = i == outlier && pick % 2 ? scale * last : 0;
            break;
        case 4: // one outlier
            value = scale * qm_random_unit(random) * (i == outlier ? ldexp(1, (int)(pick % 24)) : 1);
            break;
        case 5: // the largest that there is, and its neighbours
            value = (double)format_nudge_float((float)law->limit, -(int)(bits % 3));
            break;
        case 6: // all alike
            value = scale * last;
            break;
        case 7: // within, of one sign
            value = scale * last * qm_random_unit(random);
            sign = pick % 2 ? 1 : -1;
            break;
        default: // points, ties and their neighbours, in most groups below a largest value that gives this scale
            value = format_hostile_point(random, law->points, law->count) * scale;
            value = kind > 8 && value > scale * last ? scale * last : value;
            if (bits % 4 < 3 && value < scale * last)
                value = (double)format_nudge_float((float)value, (int)(bits % 4) - 1);
            if (i == outlier)
                value = scale * last;
        }
        values[i] = limited(law, sign * value);
    }
}

static double stored_scale(const struct law *law, const struct qm_encoded *encoded, uint32_t row, uint32_t group,
                           double *zero)
{
    static struct format_table e8m0, e4m3;
    uint32_t group_count = law->codec->group ? COLUMNS / law->codec->group : 1, at = row * group_count + group;
    const uint16_t *halves = encoded->scales;
    const uint8_t *bytes = encoded->scales;
    if (e8m0.count == 0) {
        table_of(QM_MINIFLOAT_E8M0, &e8m0);
        format_table_read_all("ue4m3", 7, &e4m3);
    }
    *zero = 0;
    switch (law->codec->scale) {
    case QM_SCALE_F32:
        return (double)((const float *)encoded->scales)[at];
    case QM_SCALE_F16:
        return half(halves[at]);
    case QM_SCALE_F16_ZERO:
        *zero = half(halves[2 * at + 1]);
        return half(halves[2 * at]);
    case QM_SCALE_E8M0:
        return bytes[at] == 0 ? 0 : e8m0.values[bytes[at]];
    case QM_SCALE_E4M3:
        assert_true(bytes[at] < e4m3.count);
        return e4m3.values[bytes[at]] * (double)encoded->tensor_scale;
    default:
        return 1;
    }
}

// Bit after bit, from the lowest of the lowest byte.
static uint32_t stored_code(const struct law *law, const struct qm_encoded *encoded, uint32_t row, uint32_t column)
{
    const uint8_t *bytes = encoded->codes;
    uint32_t bits = law->codec->code_bits, code = 0;
    size_t at = ((size_t)row * COLUMNS + column) * bits;
    if (bits % 8 == 0)
        memcpy(&code, bytes + at / 8, bits / 8);
    for (uint32_t i = 0; i < bits && bits % 8 != 0; i++)
        code |= ((uint32_t)bytes[(at + i) / 8] >> (at + i) % 8 & 1u) << i;
    return code;
}

// The largest magnitude, or with a zero point the range that holds 0.
static double extent_of(const struct law *law, const float *values, uint32_t count)
{
    double low = 0, high = 0;
    for (uint32_t i = 0; i < count; i++) {
        low = fmin(low, (double)values[i]);
        high = fmax(high, (double)values[i]);
    }
    return law->codec->scale == QM_SCALE_F16_ZERO ? high - low : fmax(high, -low);
}

// The stored scale is the smallest of its type that is not below extent / largest, and none below the smallest normal.
static void check_scale(const struct law *law, double scale, double extent, double tensor_scale)
{
    double last = law->points[law->count - 1];
    assert_true((scale > 0) == (extent > 0));
    if (extent <= 0)
        return;
    if (law->codec->scale == QM_SCALE_F32) {
        assert_true(scale * last >= extent);
        assert_true(scale == 0x1p-126 || (double)nextafterf((float)scale, 0) * last < extent);
    } else if (law->codec->scale == QM_SCALE_F16 || law->codec->scale == QM_SCALE_F16_ZERO) {
        assert_true(scale * last >= extent && scale >= 0x1p-14);
        double below = scale - ldexp(1, ilogb(scale) - (scale == ldexp(1, ilogb(scale)) ? 11 : 10));
        assert_true(scale == 0x1p-14 || below * last < extent);
    } else if (law->codec->scale == QM_SCALE_E8M0) {
        int exponent = ilogb(extent) - ilogb(last);
        assert_true(scale == ldexp(1, exponent < -126 ? -126 : exponent > 127 ? 127 : exponent));
    } else if (law->codec->scale == QM_SCALE_E4M3) { // to nearest, but for what two divisions in double do to a tie
        double stored = scale / tensor_scale, wanted = extent / last / tensor_scale;
        double step = ldexp(1, (stored < 0x1p-6 ? -6 : ilogb(stored)) - 3);
        assert_true(fabs(wanted - stored) <= step / 2 * (1 + 0x1p-48) || stored == 0x1p-9);
    }
}

static void wrong(const struct law *law, double value, double stands_for, double scale, const char *what)
{
    fail_msg("%s: %a is coded as %a, of scale %a: %s", law->codec->info.name, value, stands_for, scale, what);
}

static double check_integer(const struct law *law, uint32_t code, double value, double scale, double zero)
{
    const struct qm_weight_codec *codec = law->codec;
    bool is_negative = codec->low < 0 && code >> (codec->code_bits - 1);
    double number = (double)code - (is_negative ? ldexp(1, (int)codec->code_bits) : 0), multiple = number - zero;
    double stands_for = multiple * scale;
    if (number < codec->low || number > codec->high)
        wrong(law, value, stands_for, scale, "no code");
    int side = format_compare_distance(value, stands_for, scale / 2);
    if (side > 0)
        wrong(law, value, stands_for, scale, "further than half a step");
    if (side == 0 && scale > 0 && fmod(multiple, 2) != 0 && number != codec->low && number != codec->high)
        wrong(law, value, stands_for, scale, "a tie to odd");
    return stands_for;
}

static double check_minifloat(const struct law *law, uint32_t code, double value, double scale)
{
    uint32_t sign_bit = 1u << (law->codec->code_bits - 1), at = code & (sign_bit - 1);
    double magnitude = fabs(value), last = law->points[law->count - 1];
    if (at >= law->count)
        wrong(law, value, NAN, scale, "no number");
    double stands_for = (code & sign_bit ? -law->points[at] : law->points[at]) * scale;
    if (scale <= 0) {
        assert_true(code == 0 && magnitude == 0);
        return stands_for;
    }
    if ((code & sign_bit) == 0 ? signbit(value) : !signbit(value))
        wrong(law, value, stands_for, scale, "another sign");
    if (at + 1 < law->count) {
        double tie = (law->points[at] + law->points[at + 1]) / 2 * scale;
        if (magnitude > tie || (magnitude == tie && at % 2))
            wrong(law, value, stands_for, scale, "the next code is nearer, or even");
    }
    if (at > 0) {
        double tie = (law->points[at] + law->points[at - 1]) / 2 * scale;
        if (magnitude < tie || (magnitude == tie && at % 2))
            wrong(law, value, stands_for, scale, "the code before is nearer, or even");
    }
    double bound =
        magnitude > last * scale ? law->clipped * magnitude : fmax(law->relative * magnitude, law->absolute * scale);
    if (format_compare_distance(value, stands_for, bound) > 0)
        wrong(law, value, stands_for, scale, "beyond the stated bound");
    return stands_for;
}

static double check_plain(const struct law *law, uint32_t code, double value)
{
    if (law->format == QM_WEIGHT_F32) {
        assert_int_equal(code, qm_bits_from_float((float)value));
        return value;
    }
    int exponent_bits = law->format == QM_WEIGHT_F16 ? 5 : 8;
    double relative = law->format == QM_WEIGHT_F16 ? 0x1p-11 : 0x1p-8,
           least = law->format == QM_WEIGHT_F16 ? 0x1p-25 : 0x1p-134;
    uint32_t at = code & 0x7fffu;
    double magnitude = fabs(value), here = sixteen(at, exponent_bits), stands_for = sixteen(code, exponent_bits);
    if ((code >> 15 != 0) != (signbit(value) != 0) || !isfinite(here))
        wrong(law, value, stands_for, 1, "another sign, or no number");
    double next = sixteen(at + 1, exponent_bits), before = at ? sixteen(at - 1, exponent_bits) : 0;
    if (isfinite(next) && (magnitude > (here + next) / 2 || (magnitude == (here + next) / 2 && at % 2)))
        wrong(law, value, stands_for, 1, "the next code is nearer, or even");
    if (at > 0 && (magnitude < (here + before) / 2 || (magnitude == (here + before) / 2 && at % 2)))
        wrong(law, value, stands_for, 1, "the code before is nearer, or even");
    if (format_compare_distance(value, stands_for, fmax(relative * magnitude, least)) > 0)
        wrong(law, value, stands_for, 1, "beyond the stated bound");
    return stands_for;
}

// Of Q8_0, Q4_0 and Q5_0 in units of the stored scale, which rounding to binary16 moves by 2^-11 of it, or by 2^-25.
static void check_block(const struct law *law, const uint8_t *block, double value, double decoded)
{
    double d = fabs(half((uint32_t)block[0] | (uint32_t)block[1] << 8)), error = fabs(value - decoded);
    bool holds = law->format == QM_WEIGHT_Q8_0   ? error <= fmax(0.563 * d, 0.5 * d + 0x1p-18)
                 : law->format == QM_WEIGHT_Q4_0 ? error <= fmax(1.004 * d, d + 0x1p-22)
                 : law->format == QM_WEIGHT_Q5_0 ? error <= fmax(1.008 * d, d + 0x1p-21)
                                                 : isfinite(decoded);
    if (!holds)
        wrong(law, value, decoded, d, "beyond the stated bound");
}

struct matrix {
    float values[VALUES], decoded[VALUES];
    uint32_t codes[VALUES];
    uint32_t scales[VALUES];
    struct qm_encoded encoded;
    struct qm_weight_record record;
};

static enum qm_status encode(const struct law *law, struct matrix *m)
{
    m->encoded = (struct qm_encoded){m->codes, m->scales, 1};
    return qm_format_encode(law->format, "x", m->values, ROWS, COLUMNS, &(struct qm_encode_params){0}, &m->encoded,
                            &m->record);
}

static void check_matrix(const struct law *law, struct matrix *m)
{
    const struct qm_weight_codec *codec = law->codec;
    uint32_t group = codec->group ? codec->group : COLUMNS;
    double worst = 0, tensor_scale = (double)m->encoded.tensor_scale;
    if (encode(law, m) != QM_OK)
        fail_msg("%s: %s", codec->info.name, qm_error_text());
    qm_format_decode(law->format, &m->encoded, ROWS, COLUMNS, m->decoded);
    tensor_scale = (double)m->encoded.tensor_scale;
    if (codec->has_tensor_scale) {
        double extent = extent_of(law, m->values, VALUES);
        assert_true(tensor_scale * 2688 >= extent && (tensor_scale > 0) == (extent > 0));
        assert_true(extent <= 0 || tensor_scale == 0x1p-126 ||
                    (double)nextafterf((float)tensor_scale, 0) * 2688 < extent);
    }
    for (uint32_t first = 0; first < VALUES; first += group) {
        uint32_t row = first / COLUMNS, column = first % COLUMNS;
        double zero, scale = stored_scale(law, &m->encoded, row, column / group, &zero);
        if (codec->scale != QM_SCALE_NONE && codec->scale != QM_SCALE_BLOCK)
            check_scale(law, scale, extent_of(law, m->values + first, group), tensor_scale);
        for (uint32_t i = 0; i < group; i++) {
            double value = (double)m->values[first + i], stands_for = (double)m->decoded[first + i];
            if (codec->scale == QM_SCALE_BLOCK) {
                check_block(law, (const uint8_t *)m->codes + (size_t)(first / group) * codec->block_bytes, value,
                            stands_for);
            } else {
                uint32_t code = stored_code(law, &m->encoded, row, column + i);
                stands_for = codec->scale == QM_SCALE_NONE ? check_plain(law, code, value)
                             : codec->high > 0             ? check_integer(law, code, value, scale, zero)
                                                           : check_minifloat(law, code, value, scale);
                assert_true(format_same((double)(float)stands_for, (double)m->decoded[first + i]));
            }
            worst = fmax(worst, fabs(value - stands_for));
        }
    }
    assert_true(m->record.worst_error == worst);
}

static void test_weights(void **state)
{
    (void)state;
    static struct matrix m;
    static struct law law;
    struct qm_random random;
    for (int f = 0; f < QM_WEIGHT_FORMAT_COUNT; f++) {
        law_of((enum qm_weight_format)f, &law);
        uint32_t group = law.codec->group ? law.codec->group : COLUMNS;
        qm_random_seed(&random, 13, (uint64_t)f);
        for (uint32_t done = 0; done < MILLION; done += VALUES) {
            for (uint32_t first = 0; first < VALUES; first += group)
                draw_group(&random, &law, m.values + first, group);
            check_matrix(&law, &m);
        }
    }
}

// ---- What is refused -----------------------------------------------------------------------------------------------

static void expect(const struct law *law, struct matrix *m, float first, float second, enum qm_status status)
{
    memset(m->values, 0, sizeof(m->values));
    m->values[3 * COLUMNS + 77] = first;
    m->values[3 * COLUMNS + 78] = second;
    if (encode(law, m) != status)
        fail_msg("%s: %a and %a should be %s", law->codec->info.name, (double)first, (double)second,
                 status == QM_OK ? "taken" : "refused");
}

static void test_refused(void **state)
{
    (void)state;
    static struct matrix m;
    static struct law law;
    for (int f = 0; f < QM_WEIGHT_FORMAT_COUNT; f++) {
        law_of((enum qm_weight_format)f, &law);
        expect(&law, &m, INFINITY, 1, QM_INVALID);
        assert_non_null(strstr(qm_error_text(), "row 3, column 77 is infinite"));
        expect(&law, &m, 1, -INFINITY, QM_INVALID);
        assert_non_null(strstr(qm_error_text(), "row 3, column 78 is infinite"));
        expect(&law, &m, NAN, 1, QM_INVALID);
        assert_non_null(strstr(qm_error_text(), "row 3, column 77 is not a number"));
        expect(&law, &m, qm_float_from_bits(0xff800001u), 1, QM_INVALID); // a signalling one
        // The largest, and one beyond; of floats and of formats with wide scales there is none beyond.
        float limit = (float)law.limit, beyond = nextafterf(limit, INFINITY);
        bool is_block = law.codec->scale == QM_SCALE_BLOCK;
        if (is_block)
            continue;
        expect(&law, &m, limit, -limit, QM_OK);
        if (isfinite(beyond)) {
            expect(&law, &m, beyond, -beyond, QM_INVALID);
            expect(&law, &m, -beyond, law.codec->scale == QM_SCALE_F16_ZERO ? beyond : 0, QM_INVALID);
        }
    }
    // Scales that ggml's blocks round to infinity: from 65,520 upwards, a tie that goes to even.
    law_of(QM_WEIGHT_Q8_0, &law);
    expect(&law, &m, nextafterf(65520.0f * 127, 0), 0, QM_OK);
    expect(&law, &m, 65520.0f * 127, 0, QM_INVALID);
    law_of(QM_WEIGHT_Q4_0, &law);
    expect(&law, &m, nextafterf(65520.0f * 8, 0), 0, QM_OK);
    expect(&law, &m, 65520.0f * 8, 0, QM_INVALID);
    law_of(QM_WEIGHT_Q5_0, &law);
    expect(&law, &m, nextafterf(65520.0f * 16, 0), 0, QM_OK);
    expect(&law, &m, 65520.0f * 16, 0, QM_INVALID);
    law_of(QM_WEIGHT_Q4_1, &law);
    expect(&law, &m, -nextafterf(65520.0f, 0), 0, QM_OK);
    expect(&law, &m, -65520.0f, 0, QM_INVALID);
    expect(&law, &m, 65520.0f * 15, 0, QM_INVALID);
    law_of(QM_WEIGHT_Q6_K, &law);
    expect(&law, &m, 0x1.000002p36f, 0, QM_INVALID);
    expect(&law, &m, 0x1.fffffep127f, -0x1.fffffep127f, QM_INVALID);
}

// Codes and scales that a standard calls NaN or infinity, or that no encoder writes, are no artifact's. The lowest code of two's
// complement, which ours does not write, is a number that others do (scheme `file`).
static void test_codes(void **state)
{
    (void)state;
    static struct matrix m;
    static struct law law;
    uint32_t row;
    for (int f = 0; f < QM_WEIGHT_FORMAT_COUNT; f++) {
        law_of((enum qm_weight_format)f, &law);
        const struct qm_weight_codec *codec = law.codec;
        if (codec->scale == QM_SCALE_BLOCK || codec->code_bits > 16)
            continue;
        expect(&law, &m, 1, -1, QM_OK);
        for (uint32_t code = 0; code < 1u << codec->code_bits; code++) {
            uint32_t magnitude = code & ((1u << (codec->code_bits - 1)) - 1);
            bool is_number = codec->scale == QM_SCALE_NONE ? isfinite(sixteen(code, f == QM_WEIGHT_F16 ? 5 : 8))
                             : codec->high > 0             ? true
                                                           : magnitude < law.count;
            qm_format_put_code(law.format, &m.encoded, 3, 77, COLUMNS, code);
            if (qm_format_is_valid(law.format, &m.encoded, ROWS, COLUMNS, &row) != is_number)
                fail_msg("%s: code %#x is %s", codec->info.name, code, is_number ? "refused" : "taken");
        }
        qm_format_put_code(law.format, &m.encoded, 3, 77, COLUMNS, 0);
        for (uint32_t stored = 0; stored < 256; stored++) {
            struct qm_grid_parameters grid = {.stored = {stored}};
            bool is_scale = codec->scale == QM_SCALE_E8M0 ? stored < 255 : stored < 127 || stored == 128;
            if (codec->scale != QM_SCALE_E8M0 && codec->scale != QM_SCALE_E4M3)
                break;
            qm_format_put_grid(law.format, &m.encoded, 0, 0, COLUMNS, &grid);
            if (qm_format_is_valid(law.format, &m.encoded, ROWS, COLUMNS, &row) != is_scale)
                fail_msg("%s: scale %#x is %s", codec->info.name, stored, is_scale ? "refused" : "taken");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minifloat_values), cmocka_unit_test(test_minifloat_nearest),
        cmocka_unit_test(test_sixteen_bits),     cmocka_unit_test(test_weights),
        cmocka_unit_test(test_refused),          cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
