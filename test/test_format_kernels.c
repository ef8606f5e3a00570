// Formats against their standards, in kernels: every code of every weight format, activation and cache format as the C
// target and the oracle decode it, by the tables of test/data/formats; and their encoders of activations and of the cache
// on a million hostile values each. What the drivers do is compared with the same two in test_kernels.c.
#include "base/minifloat.h"
#include "kernel/kernels.h"
#include "kernel_arguments.h"
#include "quant/format.h"
#include "quant/layout.h"
#include "test/format_values.h"
#include "test/native/native.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MILLION 1000000u
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// ---- Running one dispatch -----------------------------------------------------------------------------------------

static bool is_native; // the C target, or the oracle: each test runs on both

static const char *target(void)
{
    return is_native ? "C target" : "oracle";
}

static bool was_run[2048]; // by number of the variant

static void run(const char *name, void *const buffers[QM_MAX_BINDINGS], const uint64_t sizes[QM_MAX_BINDINGS],
                const void *parameters, uint32_t position)
{
    const struct qm_kernel_variant *variant = qm_kernel_find(name, "narrow");
    const uint32_t step[QM_STEP_WORDS] = {position};
    uint32_t groups[3];
    assert_non_null(variant);
    assert_true(qm_kernel_variant_count <= COUNT(was_run));
    was_run[variant - qm_kernel_variants] = true;
    qm_kernel_groups(variant, parameters, groups);
    if (!is_native) {
        struct qm_oracle_call call = {.variant = variant, .parameters = parameters, .step = step};
        memcpy(call.buffers, buffers, sizeof(call.buffers));
        memcpy(call.sizes, sizes, sizeof(call.sizes));
        assert_int_equal(qm_oracle_find(variant->kernel)(&call), QM_OK);
        return;
    }
    const void *inputs[QM_MAX_BINDINGS];
    memcpy(inputs, buffers, sizeof(inputs));
    struct qm_native_call call = {inputs, parameters, step, groups};
    for (size_t i = 0; i < qm_native_kernel_count; i++)
        if (strcmp(qm_native_kernels[i].name, variant->name) == 0) {
            qm_native_kernels[i].function(&call);
            return;
        }
    fail_msg("the C target has no %s", variant->name);
}

// ---- What codes stand for ------------------------------------------------------------------------------------------

static void lower(const char *name, char out[16])
{
    snprintf(out, 16, "%s", name);
    for (char *c = out; *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
}

static void table_of_kind(enum qm_minifloat kind, struct format_table *table)
{
    char name[16];
    lower(qm_minifloat_name(kind), name);
    format_table_read_all(name, qm_minifloat_bits(kind), table);
}

static void table_of_integer(uint32_t bits, struct format_table *table)
{
    char name[16];
    snprintf(name, sizeof(name), "int%u", bits);
    format_table_read_all(name, bits, table);
}

// binary16 by its definition, whose anchors test_formats.c compares; infinity is left out.
static double half(uint32_t code)
{
    int exponent = (int)(code >> 10 & 31);
    double magnitude =
        exponent == 31 ? (double)NAN : ldexp((code & 1023) + (exponent ? 1024.0 : 0), (exponent ? exponent : 1) - 25);
    return code & 0x8000u ? -magnitude : magnitude;
}

static double bfloat(uint32_t code)
{
    double value = (double)qm_float_from_bits(code << 16);
    return isfinite(value) ? value : (double)NAN;
}

// Of a weight's code, not scaled; NaN where it is no number.
static double code_value(const struct qm_weight_codec *codec, const struct format_table *table, uint32_t code)
{
    if (codec->code_bits == 32) {
        double value = (double)qm_float_from_bits(code);
        return isfinite(value) ? value : (double)NAN;
    }
    if (codec->code_bits == 16)
        return codec->code_dtype == QM_DTYPE_BF16 ? bfloat(code) : half(code);
    return isfinite(table->values[code]) ? table->values[code] : (double)NAN;
}

static void weight_table(const struct qm_weight_codec *codec, struct format_table *table)
{
    if (codec->high > 0 && codec->low < 0) {
        table_of_integer(codec->code_bits, table);
    } else if (codec->high > 0) {
        table->count = 1u << codec->code_bits;
        for (uint32_t code = 0; code < table->count; code++)
            table->values[code] = code;
    } else if (codec->code_bits <= 8) {
        table_of_kind((enum qm_minifloat)codec->minifloat, table);
    }
}

// ---- Weights -------------------------------------------------------------------------------------------------------

struct weights {
    enum qm_weight_format format;
    const struct qm_weight_codec *codec;
    uint32_t n, k, group, shift, scale_offset;
    void *codes, *scales;
    uint32_t *words;
    struct qm_layout layout;
    double *values; // [n][k], what the kernels should say; NaN where a code is no number
    float *result;
};

static void weights_free(struct weights *w)
{
    free(w->codes);
    free(w->scales);
    free(w->words);
    free(w->values);
    free(w->result);
}

// Codes in turn, or any where there are too many, and with them all scales of one byte or 16 bits in turn, or 1.
static void weights_make(struct weights *w, enum qm_weight_format format, uint32_t n, uint32_t k, bool all_scales)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    static struct format_table table, e8m0, ue4m3;
    struct qm_random random;
    struct qm_grid_parameters one = {.scale = 1};
    *w = (struct weights){.format = format, .codec = codec, .n = n, .k = k, .group = codec->group ? codec->group : k};
    for (uint32_t steps = codec->group / 32; steps > 1 && codec->scale != QM_SCALE_BLOCK; steps /= 2)
        w->shift++;
    w->codes = calloc(1, qm_format_code_bytes(format, n, k));
    w->scales = calloc(1, qm_format_scale_bytes(format, n, k) + 1);
    w->values = calloc((size_t)n * k, sizeof(double));
    w->result = calloc((size_t)n * k, sizeof(float));
    struct qm_layout_shape shape = {.n = n, .k = k};
    assert_int_equal(qm_layout_plan(format, &shape, &w->layout), QM_OK);
    w->words = calloc(w->layout.words, 4);
    assert_true(w->codes && w->scales && w->values && w->result && w->words);
    w->scale_offset = (uint32_t)w->layout.scale_offset_words;
    struct qm_encoded encoded = {w->codes, w->scales, 1};
    table_of_kind(QM_MINIFLOAT_E8M0, &e8m0);
    format_table_read_all("ue4m3", 7, &ue4m3);
    weight_table(codec, &table);
    qm_random_seed(&random, 21, (uint64_t)format);
    for (uint32_t row = 0; row < n; row++)
        for (uint32_t i = 0; i < k; i++) {
            uint32_t at = row * k + i, group = at / w->group;
            // One more a row, and a group, so that each code is in each place of a word.
            uint32_t turn = at + at / k + at / w->group;
            uint32_t code = codec->code_bits == 32   ? qm_random_u32(&random)
                            : codec->code_bits == 16 ? at + at / 65536
                                                     : turn % (1u << codec->code_bits);
            code = codec->code_bits == 16 ? code & 0xffffu : code;
            if (codec->scale == QM_SCALE_BLOCK)
                continue;
            if (i % w->group == 0) {
                uint32_t scale = codec->scale == QM_SCALE_E8M0   ? all_scales ? group % 255 : 127
                                 : codec->scale == QM_SCALE_E4M3 ? all_scales ? group % 127 : 0x38
                                 : codec->scale == QM_SCALE_F32
                                     ? qm_bits_from_float(all_scales ? 1 / (float)(row + 1) : 1)
                                 : all_scales ? group % 0x7c00
                                              : 0x3c00;
                double zero = codec->scale == QM_SCALE_F16_ZERO ? group % ((uint32_t)codec->high + 1) : 0;
                one.stored[0] = scale;
                one.stored[1] = qm_half_from_float((float)zero);
                one.zero = zero;
                one.scale = codec->scale == QM_SCALE_E8M0   ? scale ? e8m0.values[scale] : 0
                            : codec->scale == QM_SCALE_E4M3 ? ue4m3.values[scale]
                            : codec->scale == QM_SCALE_F32  ? (double)qm_float_from_bits(scale)
                            : codec->scale == QM_SCALE_NONE ? 1
                                                            : half(scale);
                if (codec->scale != QM_SCALE_NONE)
                    qm_format_put_grid(format, &encoded, row, i / w->group, k, &one);
            }
            qm_format_put_code(format, &encoded, row, i, k, code);
            w->values[at] = (code_value(codec, &table, code) - one.zero) * one.scale;
        }
    if (codec->scale == QM_SCALE_BLOCK) { // any bytes, with scales that are finite; test_ggml.c compares the decoder
        uint8_t *bytes = w->codes;
        uint32_t row, blocks = n * k / codec->group;
        for (uint32_t block = 0; block < blocks; block++) {
            uint8_t *to = bytes + (size_t)block * codec->block_bytes;
            do {
                for (uint32_t i = 0; i < codec->block_bytes; i++)
                    to[i] = (uint8_t)qm_random_u32(&random);
                encoded.codes = to;
            } while (!qm_format_is_valid(format, &encoded, 1, codec->group, &row));
        }
        encoded.codes = bytes;
        qm_format_decode(format, &encoded, n, k, w->result);
        for (uint32_t at = 0; at < n * k; at++)
            w->values[at] = (double)w->result[at];
    }
    assert_int_equal(qm_layout_pack(format, &shape, &encoded, w->words), QM_OK);
}

static void dequantize(struct weights *w)
{
    char name[64];
    struct qm_dequantize_parameters p = {w->k, w->n, w->scale_offset, w->shift, 1};
    snprintf(name, sizeof(name), "dequantize-%s", w->codec->kernel);
    memset(w->result, 0xee, (size_t)w->n * w->k * 4);
    void *buffers[QM_MAX_BINDINGS] = {w->words, w->result};
    uint64_t sizes[QM_MAX_BINDINGS] = {w->layout.bytes, (uint64_t)w->n * w->k * 4};
    run(name, buffers, sizes, &p, 0);
    for (uint32_t at = 0; at < w->n * w->k; at++) {
        double got = (double)w->result[at], expected = (double)(float)w->values[at];
        // Codes that are integers on their way have no zero with a sign.
        bool is_same = w->codec->is_integer ? got == expected : format_same(got, expected);
        if (!isnan(w->values[at]) && !is_same)
            fail_msg("%s: %s: value %u is %a, expected %a", target(), w->codec->info.name, at, got, expected);
    }
}

// Every code, with a scale of 1; then every scale of a byte or 16 bits, each with many codes.
static void test_dequantize(void **state)
{
    (void)state;
    for (int f = 0; f < QM_WEIGHT_FORMAT_COUNT; f++) {
        enum qm_weight_format format = (enum qm_weight_format)f;
        const struct qm_weight_codec *codec = qm_weight_codec(format);
        struct weights w;
        weights_make(&w, format, codec->code_bits == 16 ? 257 : 19, codec->code_bits == 16 ? 256 : 512, false);
        dequantize(&w);
        weights_free(&w);
        bool is_half = (codec->scale == QM_SCALE_F16 || codec->scale == QM_SCALE_F16_ZERO) && codec->group == 32;
        if (codec->scale == QM_SCALE_NONE || codec->scale == QM_SCALE_BLOCK || (!is_half && codec->group > 32))
            continue;
        weights_make(&w, format, is_half ? 256 : 20, is_half ? 4096 : 512, true);
        dequantize(&w);
        weights_free(&w);
    }
}

// ---- Products ------------------------------------------------------------------------------------------------------

struct activation {
    const char *name;
    uint32_t bits, one;         // of a code; the code of 1
    enum qm_weight_format unit; // weights that have a 1 too
    uint32_t unit_code;
};

static const struct activation activations[] = {
    {"f32", 32, 0x3f800000, QM_WEIGHT_F32, 0x3f800000},
    {"f16", 16, 0x3c00, QM_WEIGHT_F16, 0x3c00},
    {"bf16", 16, 0x3f80, QM_WEIGHT_BF16, 0x3f80},
    {"a8", 8, 1, QM_WEIGHT_W8, 1},
    {"a8g", 8, 1, QM_WEIGHT_W8, 1},
    {"f8", 8, 0x38, QM_WEIGHT_E4M3, 0x38},
    {"f8g", 8, 0x38, QM_WEIGHT_E4M3, 0x38},
    {"a4", 4, 1, QM_WEIGHT_W4G32, 1},
};

// result [rows][n] = codes [rows][k] times weights, all scales of activations being 1.
static void multiply(const char *kernel, const struct activation *a, struct weights *w, uint32_t rows, uint32_t *codes,
                     float *result)
{
    char name[64];
    uint32_t groups = w->k / 32;
    float *scales = malloc((size_t)rows * groups * sizeof(*scales));
    assert_non_null(scales);
    for (uint32_t i = 0; i < rows * groups; i++)
        scales[i] = 1;
    struct qm_matmul_parameters p = {rows, w->k, w->n, w->scale_offset, w->n, 1, w->shift, 0, 0};
    snprintf(name, sizeof(name), "%s-%s-%s", kernel, w->codec->kernel, a->name);
    memset(result, 0xee, (size_t)rows * w->n * 4);
    void *buffers[QM_MAX_BINDINGS] = {w->words, codes, scales, result};
    uint64_t sizes[QM_MAX_BINDINGS] = {w->layout.bytes, (uint64_t)rows * w->k * a->bits / 8,
                                       (uint64_t)rows * groups * 4, (uint64_t)rows * w->n * 4};
    run(name, buffers, sizes, &p, 0);
    free(scales);
}

// The unit matrix times the weights: all codes, through the decoder that products have.
static void check_product(const char *kernel, const struct activation *a, struct weights *w)
{
    uint32_t rows = w->k;
    uint32_t *codes = calloc((size_t)rows * w->k * a->bits / 32, 4);
    float *result = malloc((size_t)rows * w->n * sizeof(*result));
    assert_true(codes && result);
    for (uint32_t row = 0; row < rows; row++)
        qm_stream_put(codes, a->bits, (size_t)row * w->k + row, a->one);
    multiply(kernel, a, w, rows, codes, result);
    for (uint32_t n = 0; n < w->n; n++) {
        bool is_column = true; // of numbers alone: zeros times what is none are none
        for (uint32_t row = 0; row < rows; row++)
            is_column = is_column && !isnan(w->values[(size_t)n * w->k + row]);
        for (uint32_t row = 0; row < rows && is_column; row++) {
            double got = (double)result[(size_t)row * w->n + n],
                   expected = (double)(float)w->values[(size_t)n * w->k + row];
            if (got != expected)
                fail_msg("%s: %s-%s-%s: weight %u of column %u is %a, expected %a", target(), kernel, w->codec->kernel,
                         a->name, row, n, got, expected);
        }
    }
    free(codes);
    free(result);
}

static void test_products(void **state)
{
    (void)state;
    static const char *const kernels[] = {"matmul", "matvec"};
    for (int f = 0; f < QM_WEIGHT_FORMAT_COUNT; f++) {
        enum qm_weight_format format = (enum qm_weight_format)f;
        const struct qm_weight_codec *codec = qm_weight_codec(format);
        uint32_t k = codec->group > 32 ? codec->group : 32, bits = codec->code_bits;
        struct weights w;
        weights_make(&w, format, bits > 8 ? 64 : k > 32 ? 16 : 33, k, false);
        // Columns of numbers alone, so that what is no number hides nothing: such codes become 0.
        struct qm_encoded encoded = {w.codes, w.scales, 1};
        for (uint32_t at = 0; at < w.n * w.k && codec->scale != QM_SCALE_BLOCK; at++)
            if (isnan(w.values[at])) {
                qm_format_put_code(format, &encoded, at / w.k, at % w.k, w.k, 0);
                w.values[at] = 0;
            }
        assert_int_equal(qm_layout_pack(format, &(struct qm_layout_shape){.n = w.n, .k = w.k}, &encoded, w.words),
                         QM_OK);
        for (size_t a = 0; a < COUNT(activations); a++)
            for (size_t kernel = 0; kernel < 2; kernel++) {
                char name[64];
                snprintf(name, sizeof(name), "%s-%s-%s", kernels[kernel], codec->kernel, activations[a].name);
                if (!qm_kernel_find(name, "narrow"))
                    continue;
                check_product(kernels[kernel], &activations[a], &w);
            }
        weights_free(&w);
    }
    for (size_t i = 0; i < qm_kernel_variant_count; i++) {
        const struct qm_kernel_variant *variant = &qm_kernel_variants[i];
        bool is_product = strcmp(variant->kernel, "matmul") == 0 || strcmp(variant->kernel, "matvec") == 0;
        if ((is_product || strcmp(variant->kernel, "dequantize") == 0) && strstr(variant->name, "-narrow") &&
            !was_run[i])
            fail_msg("%s was not run", variant->name);
    }
}

// Activations of all codes times the unit matrix.
static void test_activation_codes(void **state)
{
    (void)state;
    static struct format_table table;
    for (size_t i = 0; i < COUNT(activations); i++) {
        const struct activation *a = &activations[i];
        enum {
            K = 32
        };
        struct weights w;
        uint32_t count = a->bits == 32 ? 65536 : 1u << a->bits, rows = (count + K - 1) / K;
        weights_make(&w, a->unit, K, K, false);
        struct qm_encoded encoded = {w.codes, w.scales, 1};
        for (uint32_t at = 0; at < K * K; at++)
            qm_format_put_code(a->unit, &encoded, at / K, at % K, K, at / K == at % K ? a->unit_code : 0);
        assert_int_equal(qm_layout_pack(a->unit, &(struct qm_layout_shape){.n = K, .k = K}, &encoded, w.words), QM_OK);
        if (a->bits == 8 && a->one == 0x38)
            table_of_kind(QM_MINIFLOAT_E4M3FN, &table);
        else if (a->bits <= 8)
            table_of_integer(a->bits, &table);
        uint32_t *codes = calloc((size_t)rows * K * a->bits / 32, 4);
        float *result = malloc((size_t)rows * K * sizeof(*result));
        double *values = calloc((size_t)rows * K, sizeof(*values));
        assert_true(codes && result && values);
        for (uint32_t code = 0; code < count; code++) {
            uint32_t put = a->bits == 32 ? code * 65521u : code;
            double value = a->bits == 32                  ? (double)qm_float_from_bits(put)
                           : strcmp(a->name, "bf16") == 0 ? bfloat(code)
                           : a->bits == 16                ? half(code)
                                                          : table.values[code];
            // What is no number is left out: times 0 it would not be 0.
            values[code] = isfinite(value) ? value : 0;
            qm_stream_put(codes, a->bits, code, isfinite(value) ? put : 0);
        }
        static const char *const kernels[] = {"matmul", "matvec"};
        for (size_t kernel = 0; kernel < 2; kernel++) {
            multiply(kernels[kernel], a, &w, rows, codes, result);
            for (uint32_t code = 0; code < count; code++)
                if ((double)result[code] != values[code])
                    fail_msg("%s: %s: activation %u of %s is %a, expected %a", target(), kernels[kernel], code, a->name,
                             (double)result[code], values[code]);
        }
        free(codes);
        free(result);
        free(values);
        weights_free(&w);
    }
}

// ---- Encoders of activations and of the cache ------------------------------------------------------------------------

// What an encoder is held to: the nearest of `points`, to even, beyond the last one that.
struct points {
    double values[256];
    uint32_t count, sign_bit; // 0: two's complement of `bits`
    uint32_t bits;
};

static void points_of(const char *name, struct points *points)
{
    bool is_f8 = strstr(name, "f8") != NULL || strstr(name, "e4m3") != NULL, is_e5m2 = strstr(name, "e5m2") != NULL;
    struct format_table table;
    memset(points, 0, sizeof(*points));
    points->bits = strchr(name, '4') && !is_f8 ? 4 : 8;
    if (is_f8 || is_e5m2) {
        table_of_kind(is_e5m2 ? QM_MINIFLOAT_E5M2 : QM_MINIFLOAT_E4M3FN, &table);
        points->count = format_table_points(&table, points->values);
        points->sign_bit = 128;
        return;
    }
    points->count = points->bits == 4 ? 8 : 128;
    for (uint32_t i = 0; i < points->count; i++)
        points->values[i] = i;
}

static uint32_t expected_code(const struct points *points, double value)
{
    double magnitude = fabs(value);
    uint32_t at = 0;
    while (at + 1 < points->count) {
        double tie = (points->values[at] + points->values[at + 1]) / 2;
        if (magnitude < tie || (magnitude == tie && at % 2 == 0))
            break;
        at++;
    }
    if (points->sign_bit)
        return at | (signbit(value) ? points->sign_bit : 0);
    return (signbit(value) ? 0u - at : at) & ((1u << points->bits) - 1);
}

static double value_of(const struct points *points, uint32_t code)
{
    uint32_t top = points->sign_bit ? points->sign_bit : 1u << (points->bits - 1), at = code & (top - 1);
    if (points->sign_bit)
        return code & top ? -points->values[at] : points->values[at];
    return code & top ? (double)code - 2.0 * top : (double)code;
}

// Values near points and their ties at a scale, subnormal floats, zeros, powers of two, the largest floats; infinities
// where `wide`. NaN is not an encoder's: what a device does with it, no contract says.
static float hostile(struct qm_random *random, const struct points *points, double scale, bool wide)
{
    uint32_t bits = qm_random_u32(random);
    float value = (float)(format_hostile_point(random, points->values, points->count) * scale);
    switch (bits % 16) {
    case 0:
        value = bits & 0x100 ? 0 : qm_float_from_bits(bits >> 9 & 0x7fffffu);
        break;
    case 1:
        value = wide ? bits & 0x100 ? INFINITY : qm_float_from_bits(qm_random_below(random, 0x7f800000u)) : 0;
        break;
    case 2:
        value = (float)ldexp(scale, (int)(bits >> 8) % 40 - 20);
        break;
    default:
        value = format_nudge_float(value, (int)(bits >> 8) % 3 - 1);
    }
    return bits & 0x80000000u ? -value : value;
}

#define ROWS 64u
#define WIDTH 512u

static float inputs[ROWS * WIDTH], scales[ROWS * WIDTH], static_scales[WIDTH];
static uint32_t outputs[ROWS * WIDTH];

static void run_activations(const char *kind, bool is_static)
{
    char name[32];
    struct qm_activations_parameters p = {ROWS, WIDTH, is_static, 0};
    snprintf(name, sizeof(name), "activations-%s", kind);
    void *buffers[QM_MAX_BINDINGS] = {inputs, outputs, scales, static_scales};
    uint64_t sizes[QM_MAX_BINDINGS] = {sizeof(inputs), sizeof(outputs), sizeof(scales), sizeof(static_scales)};
    run(name, buffers, sizes, &p, 0);
}

// A fixed scale that is a power of two: the code is known.
static void check_static(const char *kind)
{
    struct points points;
    struct qm_random random;
    points_of(kind, &points);
    qm_random_seed(&random, 31, 0);
    for (uint32_t done = 0; done < MILLION; done += ROWS * WIDTH) {
        double scale = ldexp(1, (int)qm_random_below(&random, 41) - 20);
        for (uint32_t i = 0; i < ROWS * WIDTH; i++)
            inputs[i] = hostile(&random, &points, scale, true);
        for (uint32_t i = 0; i < WIDTH; i++)
            static_scales[i] = (float)scale;
        run_activations(kind, true);
        for (uint32_t i = 0; i < ROWS * WIDTH; i++) {
            uint32_t code = qm_stream_get(outputs, points.bits, i),
                     expected = expected_code(&points, (double)inputs[i] / scale);
            if (code != expected)
                fail_msg("%s: %s: %a at scale %a is %#x, expected %#x", target(), kind, (double)inputs[i], scale, code,
                         expected);
        }
    }
}

// A scale of the values' own: the bound that heads kernels/activations.h.
static void check_dynamic(const char *kind, bool is_grouped)
{
    struct points points;
    struct qm_random random;
    points_of(kind, &points);
    qm_random_seed(&random, 32, 0);
    uint32_t width = is_grouped ? 32 : WIDTH;
    for (uint32_t done = 0; done < MILLION; done += ROWS * WIDTH) {
        for (uint32_t i = 0; i < ROWS * WIDTH; i += width) {
            double scale = ldexp(1 + qm_random_unit(&random), (int)qm_random_below(&random, 200) - 120);
            for (uint32_t c = 0; c < width; c++)
                inputs[i + c] = hostile(&random, &points, scale, false);
        }
        run_activations(kind, false);
        for (uint32_t i = 0; i < ROWS * WIDTH; i++) {
            double scale = (double)scales[i / width], value = (double)inputs[i];
            double number = value_of(&points, qm_stream_get(outputs, points.bits, i));
            double bound = points.sign_bit ? fabs(value) * 0x1p-4 + scale * 0x1p-10 : scale * (0.5 + 0x1p-14);
            if (scale > 0 ? fabs(value - scale * number) > bound : number != 0 || fabs(value) >= 0x1p-100)
                fail_msg("%s: %s: %a at scale %a is %a", target(), kind, value, scale, number);
        }
    }
}

static void test_activations(void **state)
{
    (void)state;
    check_static("a8");
    check_static("a8g");
    check_static("f8");
    check_static("f8g");
    check_static("a4");
    check_dynamic("a8", false);
    check_dynamic("a8g", true);
    check_dynamic("f8", false);
    check_dynamic("f8g", true);
    check_dynamic("a4", true);
}

// Nearest and even, by the distance to what is next to it; beyond 65,520 infinity. bfloat16 likewise, of its own range.
static void check_sixteen(const char *kind, double (*value_of_code)(uint32_t), uint32_t largest, bool has_subnormals)
{
    struct qm_random random;
    qm_random_seed(&random, 33, 0);
    for (uint32_t done = 0; done < MILLION; done += ROWS * WIDTH) {
        for (uint32_t i = 0; i < ROWS * WIDTH; i++) {
            uint32_t bits = qm_random_u32(&random), at = (bits >> 4) % largest;
            double tie = (value_of_code(at) + value_of_code(at + 1)) / 2;
            inputs[i] = format_nudge_float((float)(bits % 4 ? tie : value_of_code(at)), (int)(bits >> 20) % 3 - 1);
            inputs[i] = bits & 0x80000000u ? -inputs[i] : inputs[i];
        }
        run_activations(kind, false);
        for (uint32_t i = 0; i < ROWS * WIDTH; i++) {
            uint32_t code = qm_stream_get(outputs, 16, i), at = code & 0x7fffu;
            double magnitude = fabs((double)inputs[i]);
            if (!has_subnormals && magnitude < 0x1p-126)
                continue;
            double up = at < largest ? (value_of_code(at) + value_of_code(at + 1)) / 2 : (double)INFINITY,
                   down = at ? (value_of_code(at) + value_of_code(at - 1)) / 2 : 0;
            if ((code >> 15 != 0) != (signbit(inputs[i]) != 0) || at > largest || magnitude > up || magnitude < down ||
                ((magnitude == up || (at && magnitude == down)) && at % 2))
                fail_msg("%s: %s: %a is %#x", target(), kind, (double)inputs[i], code);
        }
    }
}

static void test_sixteen_bits(void **state)
{
    (void)state;
    check_sixteen("f16", half, 0x7bff, true);
    check_sixteen("bf16", bfloat, 0x7f7f, true);
}

// ---- The cache -----------------------------------------------------------------------------------------------------

#define TOKENS 512u
#define HEAD 64u

static void check_cache_encoder(const char *kind, bool is_float)
{
    static uint32_t cache[TOKENS * HEAD];
    char name[32];
    struct points points;
    struct qm_random random;
    points_of(kind, &points);
    snprintf(name, sizeof(name), "kv_write-%s", kind);
    qm_random_seed(&random, 34, 0);
    uint32_t scale_base = TOKENS * HEAD * points.bits / 32;
    struct qm_kv_write_parameters p = {.rows = TOKENS,
                                       .k_heads = 1,
                                       .kv_heads = 1,
                                       .kv_stride = HEAD,
                                       .tokens_per_sequence = TOKENS,
                                       .context = TOKENS,
                                       .k_scale_base = scale_base,
                                       .k_inverse_scale = 1};
    for (uint32_t done = 0; done < MILLION; done += TOKENS * HEAD) {
        for (uint32_t i = 0; i < TOKENS * HEAD; i++) {
            if (i % HEAD == 0)
                static_scales[0] = is_float ? 1 : (float)ldexp(1, (int)qm_random_below(&random, 200) - 120);
            inputs[i] = hostile(&random, &points, (double)static_scales[0], is_float);
        }
        void *buffers[QM_MAX_BINDINGS] = {static_scales, inputs, scales, cache};
        uint64_t sizes[QM_MAX_BINDINGS] = {sizeof(static_scales), TOKENS * HEAD * 4, sizeof(scales), sizeof(cache)};
        run(name, buffers, sizes, &p, 0);
        for (uint32_t i = 0; i < TOKENS * HEAD; i++) {
            uint32_t code = qm_stream_get(cache, points.bits, i);
            double scale = is_float ? 1 : (double)qm_float_from_bits(cache[scale_base + i / HEAD]);
            double value = (double)inputs[i], number = value_of(&points, code);
            bool is_right = is_float    ? code == expected_code(&points, value)
                            : scale > 0 ? fabs(value - scale * number) <= scale * (0.5 + 0x1p-14)
                                        : number == 0 && fabs(value) < 0x1p-100;
            if (!is_right)
                fail_msg("%s: %s: %a at scale %a is %#x", target(), name, value, scale, code);
        }
    }
}

static void test_cache_encoders(void **state)
{
    (void)state;
    check_cache_encoder("e4m3", true);
    check_cache_encoder("e5m2", true);
    check_cache_encoder("kv8", false);
    check_cache_encoder("kv4", false);
}

// Sequences of two tokens each, one head, in a cache of keys, values and their scales.
struct cache {
    char name[32];
    uint32_t bits, rows, all;
    struct format_table table;
    struct qm_attention_parameters p;
    float *query, *result;
    uint32_t *words;
};

static double cache_value(const struct cache *c, uint32_t code)
{
    return c->bits == 16 ? half(code) : c->table.values[code];
}

static void cache_put(struct cache *c, uint32_t base, uint32_t row, uint32_t channel, uint32_t code)
{
    qm_stream_put(c->words + base, c->bits, (size_t)row * 2 * HEAD + channel, code);
}

static void attend(struct cache *c, uint32_t position)
{
    uint64_t floats = (uint64_t)c->rows * HEAD * 4;
    void *buffers[QM_MAX_BINDINGS] = {c->query, c->words, c->result};
    uint64_t sizes[QM_MAX_BINDINGS] = {floats, (uint64_t)c->all * 4, floats};
    run(c->name, buffers, sizes, &c->p, position);
}

// At position 0 there is one token, whose weight is 1: the result is its values.
static void check_cache_values(struct cache *c)
{
    uint32_t count = 1u << c->bits;
    for (uint32_t at = 0; at < c->rows * HEAD; at++)
        cache_put(c, c->p.v_base, at / HEAD, at % HEAD, isfinite(cache_value(c, at % count)) ? at % count : 0);
    attend(c, 0);
    for (uint32_t at = 0; at < c->rows * HEAD; at++) {
        double value = cache_value(c, at % count);
        if (isfinite(value) && (double)c->result[at] != value)
            fail_msg("%s: %s: value %#x is %a, expected %a", target(), c->name, at % count, (double)c->result[at],
                     value);
    }
}

// The query is 1 / the key, so that the first token's score is 1 and the second's, of keys of 0, is 0; the first one's
// values are 1 and the result is its weight, e / (e + 1). A key of 0 has half. Of binary16 256 codes.
static void check_cache_keys(struct cache *c, uint32_t one)
{
    uint32_t step = c->bits == 16 ? 257 : 1, count = c->bits == 16 ? 256 : 1u << c->bits;
    memset(c->words, 0, (size_t)2 * c->p.v_base * 4);
    for (uint32_t row = 0; row < count; row++) {
        double value = cache_value(c, row * step);
        if (!isfinite(value))
            continue;
        cache_put(c, 0, row, row % HEAD, row * step);
        cache_put(c, c->p.v_base, row, 0, one);
        c->query[(size_t)row * HEAD + row % HEAD] = value != 0 ? (float)(1 / value) : 0;
    }
    attend(c, 1);
    for (uint32_t row = 0; row < count; row++) {
        double value = cache_value(c, row * step), got = (double)c->result[(size_t)row * HEAD];
        double expected = value != 0 ? 0.73105857863000487925 : 0.5;
        if (isfinite(value) && !(fabs(got - expected) < 1e-5))
            fail_msg("%s: %s: key %#x has a weight of %.9g, expected %.9g", target(), c->name, row * step, got,
                     expected);
    }
}

static void check_cache_decoder(const char *kind, uint32_t bits, uint32_t one, bool is_scaled)
{
    struct cache c = {.bits = bits, .rows = bits == 16 ? 65536 / HEAD : 1u << bits};
    uint32_t words = c.rows * 2 * HEAD * bits / 32; // of keys, and of values
    snprintf(c.name, sizeof(c.name), "attention-%s", kind);
    c.p = (struct qm_attention_parameters){.rows = c.rows,
                                           .heads = 1,
                                           .kv_heads = 1,
                                           .tokens_per_sequence = 1,
                                           .context = 2,
                                           .v_base = words,
                                           .k_scale_base = 2 * words,
                                           .v_scale_base = 2 * words + 2 * c.rows,
                                           .score_scale = 1,
                                           .k_scale = 1,
                                           .v_scale = 1,
                                           .result_stride = HEAD};
    c.all = 2 * words + 4 * c.rows;
    c.query = calloc((size_t)c.rows * HEAD, 4);
    c.result = calloc((size_t)c.rows * HEAD, 4);
    c.words = calloc(c.all, 4);
    assert_true(c.query && c.result && c.words);
    if (kind[0] == 'e')
        table_of_kind(kind[1] == '4' ? QM_MINIFLOAT_E4M3FN : QM_MINIFLOAT_E5M2, &c.table);
    else if (bits <= 8)
        table_of_integer(bits, &c.table);
    for (uint32_t i = 2 * words; i < c.all && is_scaled; i++)
        c.words[i] = 0x3f800000u;
    check_cache_values(&c);
    check_cache_keys(&c, one);
    free(c.query);
    free(c.result);
    free(c.words);
}

static void test_cache_decoders(void **state)
{
    (void)state;
    check_cache_decoder("e4m3", 8, 0x38, false);
    check_cache_decoder("e5m2", 8, 0x3c, false);
    check_cache_decoder("kv8", 8, 1, true);
    check_cache_decoder("kv4", 4, 1, true);
    check_cache_decoder("f16", 16, 0x3c00, false);
}

static int on_native(void **state)
{
    (void)state;
    is_native = true;
    return 0;
}

static int on_oracle(void **state)
{
    (void)state;
    is_native = false;
    return 0;
}

int main(void)
{
#define BOTH(test) cmocka_unit_test_setup(test, on_native), cmocka_unit_test_setup(test, on_oracle)
    const struct CMUnitTest tests[] = {
        BOTH(test_dequantize),   BOTH(test_products),       BOTH(test_activation_codes), BOTH(test_activations),
        BOTH(test_sixteen_bits), BOTH(test_cache_encoders), BOTH(test_cache_decoders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
