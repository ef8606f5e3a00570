// The oracle, and the kernels' bodies compiled as C, against values worked out by hand: the formulas that head
// kernels/*.h on inputs so small that each result can be checked with a pencil. And the functions of kernels/portable.h
// against exact ones.
#include "base/numeric.h"
#include "bench/selftest.h"
#include "kernel/kernels.h"
#include "kernel_arguments.h"
#include "test/native/native.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wpsabi"
// The host has functions of these names, in double.
#define qm_exp qm_kernel_exp
#define qm_log qm_kernel_log
#include "kernels/portable.h"

#define LN2 0.69314718056f
#define LN3 1.09861228867f

// ---- Running one dispatch -----------------------------------------------------------------------------------------

struct buffer {
    void *words;
    size_t bytes;
};
#define BUFFER(array)                                                                                                  \
    {                                                                                                                  \
        (array), sizeof(array)                                                                                         \
    }

// Runs the variant's narrow tile on a device; the buffers hold what it left.
static void run_on(struct qm_device *device, const char *name, const struct buffer *buffers, uint32_t count,
                   const void *parameters, size_t parameter_bytes, const uint32_t step[QM_STEP_WORDS])
{
    const struct qm_kernel_variant *variant = qm_kernel_find(name, "narrow");
    struct qm_buffer *memory[QM_MAX_BINDINGS] = {NULL}, *step_memory = NULL;
    struct qm_kernel *kernel = NULL;
    struct qm_program *program = NULL;
    struct qm_dispatch dispatch = {.groups = {1, 1, 1}};
    assert_non_null(variant);
    assert_int_equal(variant->binding_count, count);
    assert_int_equal(variant->parameter_count * 4, parameter_bytes);
    assert_int_equal(device->fns->kernel_create(device, variant, &kernel), QM_OK);
    memcpy(dispatch.parameters, parameters, parameter_bytes);
    qm_kernel_groups(variant, dispatch.parameters, dispatch.groups);
    dispatch.kernel = kernel;
    for (uint32_t i = 0; i < count; ++i) {
        assert_int_equal(device->fns->buffer_create(device, buffers[i].bytes, &memory[i]), QM_OK);
        assert_int_equal(device->fns->buffer_write(device, memory[i], 0, buffers[i].words, buffers[i].bytes), QM_OK);
        dispatch.bindings[i] = (struct qm_binding){memory[i], 0, buffers[i].bytes};
    }
    assert_int_equal(device->fns->buffer_create(device, QM_STEP_WORDS * 4, &step_memory), QM_OK);
    assert_int_equal(device->fns->buffer_write(device, step_memory, 0, step, QM_STEP_WORDS * 4), QM_OK);
    struct qm_program_params params = {&dispatch, 1, step_memory};
    struct qm_run_policy policy = {.repeats_per_submission = 1};
    struct qm_timing timing = {0};
    assert_int_equal(device->fns->program_create(device, &params, &program), QM_OK);
    assert_int_equal(device->fns->run(device, program, 1, &policy, &timing), QM_OK);
    for (uint32_t i = 0; i < count; ++i)
        assert_int_equal(device->fns->buffer_read(device, memory[i], 0, buffers[i].words, buffers[i].bytes), QM_OK);
    device->fns->program_destroy(device, &program);
    device->fns->kernel_destroy(device, &kernel);
    for (uint32_t i = 0; i < count; ++i)
        device->fns->buffer_destroy(device, &memory[i]);
    device->fns->buffer_destroy(device, &step_memory);
}

static struct qm_device *device; // the oracle's or the C target's: each test runs on both

#define RUN(name, buffers, parameters, ...)                                                                            \
    run_on(device, name, buffers, sizeof(buffers) / sizeof((buffers)[0]), &(parameters), sizeof(parameters),           \
           (const uint32_t[QM_STEP_WORDS]){__VA_ARGS__})

static void near(double got, double expected, double relative)
{
    if (!(fabs(got - expected) <= relative * fabs(expected)))
        fail_msg("got %.9g, expected %.9g", got, expected);
}

// ---- By hand ------------------------------------------------------------------------------------------------------

static void test_embedding(void **state)
{
    (void)state;
    // Sequence 1 of three tokens each; rows are its positions 1 and 2: tokens 2 and 1.
    uint32_t tokens[] = {0, 0, 0, 0, 2, 1};
    float table[] = {1, 2, 3, 4, 5, 6}, out[4] = {0};
    struct qm_embedding_parameters p = {
        .rows = 2, .width = 2, .tokens_per_sequence = 2, .token_stride = 3, .count = 3, .multiplier = 1};
    struct buffer f32[] = {BUFFER(tokens), BUFFER(table), BUFFER(out)};
    RUN("embedding-f32", f32, p, 1, 1);
    assert_true(out[0] == 5 && out[1] == 6 && out[2] == 3 && out[3] == 4);
    uint32_t halves[] = {0, 0x38003c00, 0x0001c000}; // (0, 0), (1, 0.5), (-2, 2^-24)
    struct buffer f16[] = {BUFFER(tokens), BUFFER(halves), BUFFER(out)};
    RUN("embedding-f16", f16, p, 1, 1);
    assert_true(out[0] == -2 && out[1] == 0x1p-24f && out[2] == 1 && out[3] == 0.5f);
    // Token 2 alone: the row of token 1, before it, is left as it is; so are those of tokens behind a part.
    uint32_t last[] = {0xbc003e00}; // (1.5, -1)
    struct buffer part[] = {BUFFER(tokens), BUFFER(last), BUFFER(out)};
    p.first = 2;
    p.count = 1;
    RUN("embedding-f16", part, p, 1, 1);
    assert_true(out[0] == 1.5f && out[1] == -1 && out[2] == 1 && out[3] == 0.5f);
    p.first = 1;
    RUN("embedding-f16", part, p, 1, 1);
    assert_true(out[0] == 1.5f && out[1] == -1 && out[2] == 1.5f && out[3] == -1);
    p.first = 0;
    p.count = 3;
    // Two sequences at places of their own: 0 + 0 + 1 at 2 + 0, and 0 + 1 - 1 at 2 - 2: tokens 1 and 0.
    p.tokens_per_sequence = 1;
    RUN("embedding-f32", f32, p, 2, 0, 0, 0, 1, 0, UINT32_MAX, UINT32_MAX - 1);
    assert_true(out[0] == 3 && out[1] == 4 && out[2] == 1 && out[3] == 2);
    RUN("embedding-f16", f16, p, 2, 0, 0, 0, 1, 0, UINT32_MAX, UINT32_MAX - 1);
    assert_true(out[0] == 1 && out[1] == 0.5f && out[2] == 0 && out[3] == 0);
}

static void test_rmsnorm(void **state)
{
    (void)state;
    // The mean of 9 and 16 is 12.5: 3 / sqrt(12.5) and 2 * 4 / sqrt(12.5).
    float x[] = {3, 4}, gain[] = {1, 2}, out[2] = {0};
    struct qm_rmsnorm_parameters p = {.rows = 1, .width = 2, .inverse_width = 0.5f, .epsilon = 0};
    struct buffer b[] = {BUFFER(x), BUFFER(gain), BUFFER(out)};
    RUN("rmsnorm", b, p, 0);
    near(out[0], 0.848528137, 1e-6);
    near(out[1], 2.262741700, 1e-6);
}

static void test_rope(void **state)
{
    (void)state;
    // Position 1. Pair 0 turns by a right angle; pair 1 by cos 0.6, sin 0.8.
    float table[128] = {0}, x[64] = {0};
    table[64] = 0, table[96] = 1, table[65] = 0.6f, table[97] = 0.8f;
    x[0] = 5, x[32] = 7, x[1] = 1, x[33] = 2;
    struct qm_rope_parameters p = {.rows = 1, .heads = 1, .tokens_per_sequence = 1};
    struct buffer b[] = {BUFFER(table), BUFFER(x)};
    RUN("rope", b, p, 1);
    assert_true(x[0] == -7 && x[32] == 5);
    near(x[1], -1, 1e-6);
    near(x[33], 2, 1e-6);
}

static void test_activations(void **state)
{
    (void)state;
    // 8454662 * 2^-30 is 1/127 rounded up by 2^-22; times 127 it is 1 + 2^-22 as a float. Codes of the second word: 0.4
    // to 0, 0.6 to 1.
    float x[] = {127, 1, -1, 0, 0.4f, 0.6f, -127, 63}, scale[1] = {0};
    uint32_t codes[2] = {0};
    struct qm_activations_parameters p = {.rows = 1, .width = 8};
    float static_scale[1] = {0.5f};
    struct buffer b[] = {BUFFER(x), BUFFER(codes), BUFFER(scale), BUFFER(static_scale)};
    RUN("activations-a8", b, p, 0);
    assert_int_equal(codes[0], 0x00ff017f);
    assert_int_equal(codes[1], 0x3f810100);
    assert_int_equal(qm_bits_from_float(scale[0]), 0x3f800002);

    // Static, scale 0.5: 0.25 is a tie to 0, 0.75 a tie to 2, 100 is clamped.
    float y[] = {1, 0.24f, 0.25f, 0.75f, 100, -100, -0.3f, 0};
    memcpy(x, y, sizeof(x));
    p.is_static = 1;
    RUN("activations-a8", b, p, 0);
    assert_int_equal(codes[0], 0x02000002);
    assert_int_equal(codes[1], 0x00ff817f);
    assert_true(scale[0] == 0.5f);

    float h[] = {1, -2, 0.5f, 65504, 65520, 0x1p-24f, 1 + 0x1p-11f, -0.0f};
    uint32_t halves[4] = {0};
    memcpy(x, h, sizeof(x));
    struct buffer f16[] = {BUFFER(x), BUFFER(halves), BUFFER(scale), BUFFER(static_scale)};
    p = (struct qm_activations_parameters){.rows = 1, .width = 8};
    RUN("activations-f16", f16, p, 0);
    assert_int_equal(halves[0], 0xc0003c00);
    assert_int_equal(halves[1], 0x7bff3800);
    assert_int_equal(halves[2], 0x00017c00);
    assert_int_equal(halves[3], 0x80003c00); // the tie goes to even
    assert_true(scale[0] == 1);
}

// Weights of one column lie in lane 0 of a panel: every sixteenth word.
static void test_products(void **state)
{
    (void)state;
    uint32_t w8[128 + 16] = {0}, a8[8] = {0x04030201, 0x08070605};
    // w = 1, -1, 1, -1, 2, -2, 3, -3 with a = 1 .. 8: 1 - 2 + 3 - 4 + 10 - 12 + 21 - 24 = -7; times 0.5, 0.25 and 2.
    w8[0] = 0xff01ff01, w8[16] = 0xfd03fe02, w8[128] = 0x3f000000; // the other 24 of k are 0
    float scales[] = {0.25f}, out[1] = {0};
    struct qm_matmul_parameters p = {
        .rows = 1, .k = 32, .n = 1, .scale_offset = 128, .result_stride = 1, .multiplier = 2};
    struct buffer integers[] = {BUFFER(w8), BUFFER(a8), BUFFER(scales), BUFFER(out)};
    for (int i = 0; i < 2; ++i) {
        RUN(i ? "matvec-w8-a8" : "matmul-w8-a8", integers, p, 0);
        assert_true(out[0] == -1.75f);
    }

    // The same codes with halves 1 .. 8, whose scale is not read.
    uint32_t a16[16] = {0x40003c00, 0x44004200, 0x46004500, 0x48004700};
    struct buffer w8_f16[] = {BUFFER(w8), BUFFER(a16), BUFFER(scales), BUFFER(out)};
    RUN("matmul-w8-f16", w8_f16, p, 0);
    assert_true(out[0] == -7.0f);

    // Weights of 0.5: 36 / 2, times 2.
    uint32_t half_weights[256] = {0}, float_weights[512] = {0};
    float a32[32] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (int i = 0; i < 4; ++i)
        half_weights[16 * i] = 0x38003800;
    for (int i = 0; i < 8; ++i)
        float_weights[16 * i] = 0x3f000000;
    struct buffer f16[] = {BUFFER(half_weights), BUFFER(a16), BUFFER(scales), BUFFER(out)};
    struct buffer f32[] = {BUFFER(float_weights), BUFFER(a32), BUFFER(scales), BUFFER(out)};
    RUN("matmul-f16-f16", f16, p, 0);
    assert_true(out[0] == 36);
    RUN("matvec-f32-f32", f32, p, 0);
    assert_true(out[0] == 36);
}

static void test_group_products(void **state)
{
    (void)state;
    // Two groups of 32: the first has codes 7 and -8 at k = 0 and 1 and a scale of 0.5, the second 1 at k = 63 and 2.
    // With a = 1 everywhere: 0.5 * (7 - 8) + 2 * 1 = 1.5; multiplier 1, activation scale 0.25.
    uint32_t w[128 + 16] = {0}, a8[16];
    w[0] = 0x00000087, w[16 * 7] = 0x10000000, w[128] = 0x40003800;
    for (int i = 0; i < 16; ++i)
        a8[i] = 0x01010101;
    float scales[] = {0.25f}, out[1] = {0};
    struct qm_matmul_parameters p = {
        .rows = 1, .k = 64, .n = 1, .scale_offset = 128, .result_stride = 1, .multiplier = 1};
    struct buffer b[] = {BUFFER(w), BUFFER(a8), BUFFER(scales), BUFFER(out)};
    RUN("matmul-w4-a8", b, p, 0);
    assert_true(out[0] == 0.375f);
    uint32_t a16[32];
    for (int i = 0; i < 32; ++i)
        a16[i] = 0x3c003c00;
    struct buffer f[] = {BUFFER(w), BUFFER(a16), BUFFER(scales), BUFFER(out)};
    RUN("matvec-w4-f16", f, p, 0);
    assert_true(out[0] == 1.5f);

    float values[64];
    struct qm_dequantize_parameters d = {.k = 64, .n = 1, .scale_offset = 128, .multiplier = 1};
    struct buffer q[] = {BUFFER(w), BUFFER(values)};
    RUN("dequantize-w4", q, d, 0);
    for (int i = 0; i < 64; ++i)
        assert_true(values[i] == (i == 0 ? 3.5f : i == 1 ? -4.0f : i == 63 ? 2.0f : 0.0f));
}

static void test_kv(void **state)
{
    (void)state;
    float table[128] = {0}, q[64] = {0};
    float x[64] = {7, -3.5f, 1};
    // Head 0 of one, sequence 0, position 1 of a context of 2; codes from word 4, scales behind them.
    struct qm_kv_write_parameters p = {.rows = 1,
                                       .v_heads = 1,
                                       .kv_heads = 1,
                                       .tokens_per_sequence = 1,
                                       .context = 2,
                                       .v_base = 4,
                                       .v_scale_base = 20};
    uint32_t kv4[22] = {0};
    struct buffer b4[] = {BUFFER(table), BUFFER(x), BUFFER(q), BUFFER(kv4)};
    RUN("kv_write-kv4", b4, p, 1);
    assert_int_equal(kv4[12], 0x1d7); // 7, -3 (3.4999992), 1
    assert_int_equal(kv4[21], 0x3f800002);
    assert_int_equal(kv4[4], 0);

    float y[64] = {127, -64, 1};
    uint32_t kv8[38] = {0};
    struct buffer b8[] = {BUFFER(table), BUFFER(y), BUFFER(q), BUFFER(kv8)};
    p.v_scale_base = 36;
    RUN("kv_write-kv8", b8, p, 1);
    assert_int_equal(kv8[20], 0x0001c07f);
    assert_int_equal(kv8[37], 0x3f800002);

    uint32_t kv16[68] = {0};
    struct buffer b16[] = {BUFFER(table), BUFFER(y), BUFFER(q), BUFFER(kv16)};
    RUN("kv_write-f16", b16, p, 1);
    assert_int_equal(kv16[36], 0xd40057f0); // 127, -64
    uint32_t kv32[132] = {0};
    struct buffer b32[] = {BUFFER(table), BUFFER(y), BUFFER(q), BUFFER(kv32)};
    RUN("kv_write-f32", b32, p, 1);
    assert_int_equal(kv32[4 + 64], 0x42fe0000);
}

static void test_kv_float8(void **state)
{
    (void)state;
    float table[128] = {0}, q[64] = {0};
    // 448.5 and 3e38 saturate; 0.3 is a tie of neither; 2^-10 is half of E4M3's least: to even.
    float x[64] = {1, -448.5f, 3e38f, 0x1p-10f, 0x1.8p-9f, 17, 0.3f, 9};
    struct qm_kv_write_parameters p = {.rows = 1,
                                       .k_heads = 1,
                                       .kv_heads = 1,
                                       .tokens_per_sequence = 1,
                                       .context = 2,
                                       .k_inverse_scale = 1.0f,
                                       .k_exact_base = 32,
                                       .exact_length = 1};
    uint32_t codes[100] = {0};
    struct buffer b[] = {BUFFER(table), BUFFER(x), BUFFER(q), BUFFER(codes)};
    RUN("kv_write-e4m3", b, p, 1);
    assert_int_equal(codes[16], 0x007efe38); // 1, -448, 448, 0
    assert_int_equal(codes[17], 0x512a5802); // 2^-8, 16, 0.3125, 9
    assert_int_equal(codes[32], 0);
    RUN("kv_write-e5m2", b, p, 1);
    assert_int_equal(codes[16], 0x147bdf3c); // 1, -448, 57,344, 2^-10
    assert_int_equal(codes[17], 0x48354c1a); // 1.5 2^-9, 16, 0.3125, 8
    // With a scale of 4: 0.25, -112.125 to -112, 2^126 saturates still, and 0.25 of the subnormal 1 rounds to 0.
    p.k_inverse_scale = 0.25f;
    RUN("kv_write-e4m3", b, p, 1);
    assert_int_equal(codes[16], 0x007eee28);
    RUN("kv_write-e5m2", b, p, 1);
    assert_int_equal(codes[16], 0x0c7bd734); // 0.25, -112, 57,344, 2^-12
    p.k_inverse_scale = 0x1p100f;            // a product beyond float32 saturates as well
    RUN("kv_write-e4m3", b, p, 1);
    assert_int_equal(codes[16], 0x7e7efe7e);
    p.k_inverse_scale = 1;
    // Position 1 is not below exact_length; position 0 is.
    RUN("kv_write-e4m3x", b, p, 1);
    assert_int_equal(codes[32], 0);
    RUN("kv_write-e4m3x", b, p, 0);
    assert_int_equal(codes[0], 0x007efe38);
    assert_int_equal(codes[32], 0xdf023c00); // 1, -448.5
    assert_int_equal(codes[63], 0);
    assert_int_equal(codes[64], 0);
}

static void test_kv_affine(void **state)
{
    (void)state;
    float table[128] = {0}, q[64] = {0};
    float x[64] = {-1, 2, 0.4f};
    for (int i = 3; i < 64; ++i)
        x[i] = 14;
    struct qm_kv_write_parameters p = {.rows = 1,
                                       .v_heads = 1,
                                       .kv_heads = 1,
                                       .tokens_per_sequence = 1,
                                       .context = 2,
                                       .v_scale_base = 16,
                                       .v_exact_base = 18};
    uint32_t kivi4[18] = {0};
    struct buffer b4[] = {BUFFER(table), BUFFER(x), BUFFER(q), BUFFER(kivi4)};
    RUN("kv_write-kivi4", b4, p, 1);
    assert_int_equal(kivi4[17], 0xbc003c00); // minimum -1, scale 1
    assert_int_equal(kivi4[8], 0xfffff130);  // 0, 3, 1.4 to 1, 15
    assert_int_equal(kivi4[15], 0xffffffff);
    uint32_t kivi2[10] = {0};
    struct buffer b2[] = {BUFFER(table), BUFFER(x), BUFFER(q), BUFFER(kivi2)};
    p.v_scale_base = 8;
    RUN("kv_write-kivi2", b2, p, 1);
    assert_int_equal(kivi2[9], 0xbc004500); // scale 5
    assert_int_equal(kivi2[4], 0xffffffc4); // 0, 0.6 to 1, 0.28 to 0, 3
}

// Of 40 keys of a context of 40, channel 5 is 100 + t and the rest is 0: block 0 is complete with token 31.
static void test_kv_block(void **state)
{
    (void)state;
    enum {
        CODES = 40 * 8,
        SCALES = 2 * 64,
        EXACT = CODES + SCALES
    };
    static uint32_t cache[EXACT + 40 * 32];
    memset(cache, 0, sizeof(cache)); // the suite runs twice, for the oracle and for the C target
    for (uint32_t t = 0; t < 40; ++t)
        cache[EXACT + t * 32 + 2] = (uint32_t)qm_half_from_float(100.0f + (float)t) << 16;
    struct qm_kv_block_parameters p = {.items = 8,
                                       .kv_heads = 1,
                                       .tokens_per_sequence = 1,
                                       .context = 40,
                                       .scale_base = CODES,
                                       .exact_base = EXACT,
                                       .exact_length = 40};
    struct buffer b[] = {BUFFER(cache)};
    RUN("kv_block-kivi4", b, p, 30);
    for (uint32_t i = 0; i < EXACT; ++i)
        assert_int_equal(cache[i], 0);
    RUN("kv_block-kivi4", b, p, 31);
    uint32_t pair = cache[CODES + 5];
    assert_int_equal(pair >> 16, qm_half_from_float(100));
    near(qm_float_from_half((uint16_t)pair), 31.0 / 15, 1e-3);
    assert_int_equal(cache[CODES + 4], 0);
    assert_int_equal(cache[CODES + 64 + 5], 0); // the second block is not complete
    assert_int_equal(cache[0], 0);
    assert_int_equal(cache[31 * 8], 0x00f00000);
    assert_int_equal(cache[16 * 8], 0x00800000); // 16 / (31 / 15) = 7.7
    assert_int_equal(cache[32 * 8], 0);
}

// Two positions with scores 0 and ln 3: weights 1/4 and 3/4; values 4 and 8 give 7.
static void test_attention(void **state)
{
    (void)state;
    float q[64] = {8}, cache[256] = {0}, out[64] = {0};
    cache[64] = LN3, cache[128] = 4, cache[192] = 8;
    struct qm_attention_parameters p = {.rows = 1,
                                        .heads = 1,
                                        .kv_heads = 1,
                                        .tokens_per_sequence = 1,
                                        .context = 2,
                                        .v_base = 128,
                                        .score_scale = 0.125f,
                                        .result_stride = 64};
    struct buffer f32[] = {BUFFER(q), BUFFER(cache), BUFFER(out)};
    RUN("attention-f32", f32, p, 1);
    near(out[0], 7, 1e-6);
    assert_true(out[1] == 0);

    // The same as codes: k = 1 times ln 3; v = 4 and 8 times 1.
    uint32_t kv8[64 + 4] = {0};
    kv8[16] = 1, kv8[32] = 4, kv8[48] = 8;
    float scales[] = {1, LN3, 1, 1};
    memcpy(kv8 + 64, scales, sizeof(scales));
    p.k_scale_base = 64, p.v_base = 32, p.v_scale_base = 66;
    struct buffer b8[] = {BUFFER(q), BUFFER(kv8), BUFFER(out)};
    RUN("attention-kv8", b8, p, 1);
    near(out[0], 7, 1e-6);

    uint32_t kv4[32 + 4] = {0};
    kv4[8] = 1, kv4[16] = 2, kv4[24] = 4;
    scales[2] = scales[3] = 2;
    memcpy(kv4 + 32, scales, sizeof(scales));
    p.k_scale_base = 32, p.v_base = 16, p.v_scale_base = 34;
    struct buffer b4[] = {BUFFER(q), BUFFER(kv4), BUFFER(out)};
    RUN("attention-kv4", b4, p, 1);
    near(out[0], 7, 1e-6);

    // E4M3FN 1 times ln 3 is the key; 2 and 4 times 2 the values.
    uint32_t fp8[64] = {0};
    fp8[16] = 0x38, fp8[32] = 0x40, fp8[48] = 0x48;
    p.k_scale_base = p.v_scale_base = 0, p.v_base = 32, p.k_scale = LN3, p.v_scale = 2;
    struct buffer b_fp8[] = {BUFFER(q), BUFFER(fp8), BUFFER(out)};
    RUN("attention-e4m3", b_fp8, p, 1);
    near(out[0], 7, 1e-6);
    fp8[16] = 0x3c, fp8[32] = 0x40, fp8[48] = 0x44; // the same numbers in E5M2
    RUN("attention-e5m2", b_fp8, p, 1);
    near(out[0], 7, 1e-6);

    uint32_t halves[128] = {0};
    halves[64] = 0x4400, halves[96] = 0x4800, halves[32] = qm_half_from_float(LN3);
    p.k_scale_base = p.v_scale_base = 0, p.v_base = 64;
    struct buffer f16[] = {BUFFER(q), BUFFER(halves), BUFFER(out)};
    RUN("attention-f16", f16, p, 1);
    near(out[0], 7, 1e-3); // ln 3 as a half

    // Codes that say otherwise are not read where a token is exact: the first, the last, both.
    uint32_t both[68 + 256] = {0};
    float token_scales[] = {1, 1, 1, 1};
    both[32] = 100, both[48] = 100; // v as int8
    memcpy(both + 64, token_scales, sizeof(token_scales));
    memcpy(both + 68, halves, sizeof(halves));
    p.k_scale_base = 64, p.v_base = 32, p.v_scale_base = 66;
    p.k_exact_base = 68, p.v_exact_base = 68 + 64, p.exact_length = 2;
    struct buffer bx[] = {BUFFER(q), BUFFER(both), BUFFER(out)};
    RUN("attention-kv8x", bx, p, 1);
    near(out[0], 100, 1e-4);
    p.exact_first = 2;
    RUN("attention-kv8x", bx, p, 1);
    near(out[0], 7, 1e-3);
    p.exact_first = 0, p.exact_last = 2;
    RUN("attention-kv8x", bx, p, 1);
    near(out[0], 7, 1e-3);
    p.exact_last = 1; // key 0 has code 0, value 100; key 1 is ln 3, value 8: 100 / 4 + 8 * 3 / 4
    RUN("attention-kv8x", bx, p, 1);
    near(out[0], 31, 1e-2);
    // The query's own block is exact without being told.
    p.exact_last = 0;
    RUN("attention-kivi4", bx, p, 1);
    near(out[0], 7, 1e-3);
}

static void test_elementwise(void **state)
{
    (void)state;
    struct qm_swiglu_parameters p = {.count = 3, .width = 3, .row_stride = 3, .up_from = 3};
    float gate_up[] = {0, LN3, -LN3, 5, 2, 1}, out[3] = {0}; // silu(ln 3) = 3/4 ln 3, silu(-ln 3) = -1/4 ln 3
    struct buffer s[] = {BUFFER(gate_up), BUFFER(out)};
    RUN("swiglu", s, p, 0);
    assert_true(out[0] == 0);
    near(out[1], 1.647918433, 1e-6);
    near(out[2], -0.274653072, 1e-6);

    float x[] = {1, 2, 0x1p24f}, y[] = {0.5f, -2, 1};
    struct buffer r[] = {BUFFER(x), BUFFER(y)};
    struct qm_residual_parameters three = {3};
    RUN("residual", r, three, 0);
    assert_true(x[0] == 1.5f && x[1] == 0 && x[2] == 0x1p24f); // 2^24 + 1 is a tie to even

    uint32_t from[] = {1, 0xffffffff, 7, 0x80000000}, to[4] = {0}; // whole vectors
    struct buffer c[] = {BUFFER(from), BUFFER(to)};
    struct qm_copy_parameters four = {4};
    RUN("copy", c, four, 0);
    assert_memory_equal(from, to, sizeof(to));

    uint32_t steps[] = {5, 6, 7, 8};
    struct qm_advance_parameters a = {1, 2, 3};
    struct buffer b[] = {BUFFER(steps)};
    RUN("advance", b, a, 0);
    assert_true(steps[0] == 6 && steps[1] == 8 && steps[2] == 10 && steps[3] == 8);
}

static void test_logits(void **state)
{
    (void)state;
    // e^0, e^ln 2, e^0 of 4 in all; the token after position 0 is 1: ln(2 / 4).
    float logits[] = {100, 100 + LN2, 100}, out[1] = {0};
    uint32_t tokens[] = {0, 1}, best[1] = {9};
    struct qm_log_softmax_parameters p = {.rows = 1, .vocabulary = 3, .tokens_per_sequence = 1, .token_stride = 2};
    struct buffer s[] = {BUFFER(logits), BUFFER(tokens), BUFFER(out)};
    RUN("log_softmax", s, p, 0);
    near(out[0], -0.693147, 1e-5);

    float tied[] = {1, 3, 3, 2};
    struct qm_argmax_parameters a = {.rows = 1, .vocabulary = 4};
    struct buffer t[] = {BUFFER(tied), BUFFER(best)};
    RUN("argmax", t, a, 0);
    assert_int_equal(best[0], 1);

    // 0 xor 0 gives 0; (1 xor 2654435769) * 2246822507 mod 2^32 = 0x3b230fe8. Slot 1 of one row.
    uint32_t bits[] = {0, 1}, sums[2] = {0};
    struct qm_checksum_parameters c = {.rows = 1, .vocabulary = 2};
    struct buffer k[] = {BUFFER(bits), BUFFER(sums)};
    RUN("checksum", k, c, 0, 0, 1);
    assert_int_equal(sums[0], 0);
    assert_int_equal(sums[1], 0x3b230fe8);
}

// ---- The functions of the dialect ---------------------------------------------------------------------------------

static void test_halves(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; ++h) {
        if ((h & 0x7fff) >= 0x7c00)
            continue; // finite ones only
        uint32_t expected = qm_bits_from_float(qm_float_from_half((uint16_t)h));
        assert_int_equal(qm_bits_from_float(qm_half_value(h)), expected);
        qm_fv vector = qm_half_low(QM_UV(h));
        assert_int_equal(qm_bits_from_float(vector[1]), expected);
        assert_int_equal(qm_half_bits(qm_half_value(h)), h);
    }
    for (uint64_t bits = 0; bits < 0x7f800000; bits += 4093) { // and the other way, over all finite floats
        float x = qm_float_from_bits((uint32_t)bits);
        assert_int_equal(qm_half_bits(x), qm_half_from_float(x));
        assert_int_equal(qm_half_bits(-x), qm_half_from_float(-x));
    }
}

static double worst;

static void keep_worst(double error)
{
    worst = error > worst ? error : worst;
}

// Within what their comments promise, over their range, against the C library in double.
static void test_functions(void **state)
{
    (void)state;
    worst = 0;
    for (double x = -87; x <= 88; x += 0.00731)
        keep_worst(fabs((double)qm_exp((float)x) / exp((double)(float)x) - 1));
    assert_true(worst < 2e-7);
    worst = 0;
    for (double x = 0x1p-107; x <= 0x1p100; x *= 1.00317)
        keep_worst(fabs((double)qm_reciprocal((float)x) * (double)(float)x - 1));
    assert_true(worst < 2 * 0x1p-23);
    worst = 0;
    for (double x = 0x1p-100; x <= 0x1p100; x *= 1.00317)
        keep_worst(fabs((double)qm_inverse_root((float)x) * sqrt((double)(float)x) - 1));
    assert_true(worst < 3 * 0x1p-23);
    worst = 0;
    for (double x = 0x1p-126; x <= 0x1p127; x *= 1.00317) {
        double exact = log((double)(float)x);
        keep_worst(fabs((double)qm_log((float)x) - exact) / (2e-7 + 1.5e-7 * fabs(exact)));
    }
    assert_true(worst < 1);
    for (double x = -2097152; x <= 2097152; x += 1234.5)
        assert_int_equal(qm_round((float)x), (int)qm_round_even((double)(float)x));
}

// The constants that the self-test compares a device's bits with.
static void test_selftest_constants(void **state)
{
    (void)state;
    uint32_t in[7], out[7];
    size_t set = 0;
    for (; qm_selftest_set(set, in, out); ++set) {
        assert_int_equal(out[0], qm_bits_from_float(qm_exp(qm_float_from_bits(in[0]))));
        assert_int_equal(out[1], qm_bits_from_float(qm_reciprocal(qm_float_from_bits(in[1]))));
        assert_int_equal(out[2], qm_bits_from_float(qm_inverse_root(qm_float_from_bits(in[2]))));
        assert_int_equal(out[3], qm_bits_from_float(qm_log(qm_float_from_bits(in[3]))));
        assert_int_equal(out[4], qm_half_bits(qm_float_from_bits(in[4])));
        assert_int_equal(out[5], qm_bits_from_float(qm_half_value(in[5])));
        assert_int_equal(out[6], (uint32_t)qm_round(qm_float_from_bits(in[6])));
    }
    assert_true(set >= 16);
}

static int open_reference(void **state)
{
    (void)state;
    return qm_backend_reference.open(NULL, NULL, &device) != QM_OK;
}

static int open_native(void **state)
{
    (void)state;
    return qm_native_device_open(&device) != QM_OK;
}

static int close_device(void **state)
{
    (void)state;
    device->fns->destroy(&device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest by_hand[] = {
        cmocka_unit_test(test_embedding),   cmocka_unit_test(test_rmsnorm),   cmocka_unit_test(test_rope),
        cmocka_unit_test(test_activations), cmocka_unit_test(test_products),  cmocka_unit_test(test_group_products),
        cmocka_unit_test(test_kv),          cmocka_unit_test(test_kv_float8), cmocka_unit_test(test_kv_affine),
        cmocka_unit_test(test_kv_block),    cmocka_unit_test(test_attention), cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_logits),
    };
    const struct CMUnitTest functions[] = {
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_selftest_constants),
    };
    int failed = cmocka_run_group_tests_name("by hand: oracle", by_hand, open_reference, close_device);
    failed += cmocka_run_group_tests_name("by hand: C target", by_hand, open_native, close_device);
    failed += cmocka_run_group_tests_name("functions", functions, NULL, NULL);
    return failed;
}
