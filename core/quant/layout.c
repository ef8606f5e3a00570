#include "quant/layout.h"

#include "base/random.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LANES QM_PANEL_ROWS
#define STEP 32u // kernels take 32 k a trip

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

// Bytes of one row's scales on a device, not widened; 0 where there is one a row, or none.
static uint64_t device_scale_bytes(enum qm_weight_format format, uint32_t k)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    if (codec->scale == QM_SCALE_BLOCK)
        return (uint64_t)(k / codec->group) * codec->device_scale_bytes;
    return codec->group ? qm_format_scale_bytes(format, 1, k) : 0;
}

static uint32_t times(uint32_t widen)
{
    return widen == 0 ? 1 : widen;
}

enum qm_status qm_layout_plan(enum qm_weight_format format, const struct qm_layout_shape *shape, struct qm_layout *out)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    uint32_t multiple = larger(qm_format_column_multiple(format), STEP);
    memset(out, 0, sizeof(*out));
    if (shape->n == 0 || shape->k == 0 || shape->k % multiple != 0)
        return QM_FAIL(QM_INVALID,
                       "a weight of [%" PRIu32 "][%" PRIu32 "] in layout " QM_LAYOUT_NAME
                       "; it needs rows, and columns in multiples of %" PRIu32,
                       shape->n, shape->k, multiple);
    uint64_t n = (uint64_t)shape->n * times(shape->widen_n), k = (uint64_t)shape->k * times(shape->widen_k);
    uint64_t rows = (n + LANES - 1) / LANES * LANES;
    uint64_t words_per_row = k * codec->code_bits / 32;
    uint64_t scale_words_per_row =
        codec->scale == QM_SCALE_F32 ? 1 : (device_scale_bytes(format, shape->k) * times(shape->widen_k) + 3) / 4;
    uint64_t align = QM_SCALE_ALIGNMENT / 4, code_words = rows * words_per_row, words = code_words;
    if (scale_words_per_row > 0)
        words = (code_words + align - 1) / align * align + rows * scale_words_per_row;
    if (rows > UINT32_MAX || words_per_row > UINT32_MAX || words > UINT32_MAX)
        return QM_FAIL(QM_INVALID,
                       "a weight of [%" PRIu64 "][%" PRIu64 "] takes more than 2^32 words; use a smaller widen", n, k);
    out->rows_padded = (uint32_t)rows;
    out->words_per_row = (uint32_t)words_per_row;
    out->scale_words_per_row = (uint32_t)scale_words_per_row;
    out->code_words = (size_t)code_words;
    out->words = (size_t)words;
    out->scale_offset_words = (size_t)(words - rows * scale_words_per_row);
    out->bytes = out->words * 4;
    return QM_OK;
}

// ---- Codes of a row as words ---------------------------------------------------------------------------------------

// The stream of a step of codes of `bits` bits, split into the planes of the low `low_bits` and of the rest.
static void split_step(const uint8_t *stream, size_t first, uint32_t bits, uint32_t low_bits, uint32_t *words)
{
    memset(words, 0, bits * sizeof(*words));
    for (uint32_t i = 0; i < STEP; i++) {
        uint32_t code = qm_stream_get(stream, bits, first + i);
        qm_stream_put(words, low_bits, i, code & ((1u << low_bits) - 1));
        qm_stream_put(words + low_bits, bits - low_bits, i, code >> low_bits);
    }
}

static void join_step(uint8_t *stream, size_t first, uint32_t bits, uint32_t low_bits, const uint32_t *words)
{
    for (uint32_t i = 0; i < STEP; i++)
        qm_stream_put(stream, bits, first + i,
                      qm_stream_get(words, low_bits, i) | qm_stream_get(words + low_bits, bits - low_bits, i)
                                                              << low_bits);
}

// A step of blocks' codes of 5 or 6 bits, by eights.
static void split_eights(const uint8_t *stream, size_t first, uint32_t bits, uint32_t *words)
{
    static const uint8_t five[] = {0, 5, 10, 15, 22, 27}, six[] = {0, 6, 12, 20, 26};
    uint32_t whole = bits == 5 ? 6 : 5, share = 8 * (bits - 4), rest = bits - 2;
    memset(words, 0, bits * sizeof(*words));
    for (uint32_t i = 0; i < STEP; i++) {
        uint32_t code = qm_stream_get(stream, bits, first + i), eight = i / 8, j = i % 8;
        uint32_t *shared = &words[4 + eight * share / 32], at = eight * share % 32 + (j - whole) * bits;
        if (j < whole) {
            words[eight] |= code << (bits == 5 ? five : six)[j];
        } else if (j < 7) {
            *shared |= code << at;
        } else {
            words[eight] |= code >> rest << (bits == 5 ? 20 : 18);
            *shared |= (code & ((1u << rest) - 1)) << at;
        }
    }
}

static uint32_t low_bits_of(uint32_t bits)
{
    return bits == 3 ? 2 : bits == 6 ? 4 : 0;
}

static void row_words(const struct qm_weight_codec *codec, const uint8_t *stream, uint32_t k, uint32_t *words)
{
    uint32_t bits = codec->code_bits, low_bits = low_bits_of(bits);
    bool by_eights = codec->scale == QM_SCALE_BLOCK && bits != 4 && bits != 8;
    if (!by_eights && !low_bits) {
        memcpy(words, stream, (size_t)k * bits / 8);
        return;
    }
    for (uint32_t first = 0; first < k; first += STEP, words += bits) {
        if (by_eights)
            split_eights(stream, first, bits, words);
        else
            split_step(stream, first, bits, low_bits, words);
    }
}

// ---- Packing -------------------------------------------------------------------------------------------------------

// Puts one row's words into every row of the panels that repeats it.
static void scatter(const uint32_t *row_words, uint32_t count, uint32_t row, uint32_t n, uint32_t widen,
                    uint32_t *words)
{
    for (uint32_t copy = 0; copy < widen; copy++) {
        size_t at = (size_t)copy * n + row;
        uint32_t *to = words + at / LANES * count * LANES + at % LANES;
        for (uint32_t w = 0; w < count; w++)
            to[(size_t)w * LANES] = row_words[w];
    }
}

// A row's codes as a stream and its scales as bytes, taken out of blocks where they are in blocks.
static void take_row(enum qm_weight_format format, const struct qm_encoded *encoded, uint32_t row, uint32_t k,
                     const uint8_t **codes, const uint8_t **scales, uint8_t *code_scratch, uint8_t *scale_scratch)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    *codes = (const uint8_t *)encoded->codes + row * qm_format_code_bytes(format, 1, k);
    *scales = (const uint8_t *)encoded->scales + row * qm_format_scale_bytes(format, 1, k);
    if (codec->scale != QM_SCALE_BLOCK)
        return;
    for (uint32_t block = 0; block < k / codec->group; block++)
        codec->family->unpack_block(codec, *codes + (size_t)block * codec->block_bytes,
                                    code_scratch + (size_t)block * codec->group * codec->code_bits / 8,
                                    scale_scratch + (size_t)block * codec->device_scale_bytes);
    *codes = code_scratch;
    *scales = scale_scratch;
}

enum qm_status qm_layout_pack(enum qm_weight_format format, const struct qm_layout_shape *shape,
                              const struct qm_encoded *encoded, uint32_t *words)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    struct qm_layout layout;
    QM_TRY(qm_layout_plan(format, shape, &layout));
    uint32_t n = shape->n, k = shape->k, widen_n = times(shape->widen_n), widen_k = times(shape->widen_k);
    uint32_t narrow_words = layout.words_per_row / widen_k;
    size_t scale_bytes = (size_t)device_scale_bytes(format, k);
    // One row's words of codes, its words of scales, and what blocks are taken apart into.
    size_t scratch_words =
        (size_t)layout.words_per_row + layout.scale_words_per_row + narrow_words + scale_bytes / 4 + 1;
    uint32_t *codes = calloc(scratch_words, sizeof(*codes));
    if (!codes)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to repack a weight of %" PRIu32 " columns", k);
    uint32_t *scales = codes + layout.words_per_row;
    uint8_t *code_scratch = (uint8_t *)(scales + layout.scale_words_per_row);
    memset(words, 0, layout.bytes);
    for (uint32_t row = 0; row < n; row++) {
        const uint8_t *row_codes, *row_scales;
        take_row(format, encoded, row, k, &row_codes, &row_scales, code_scratch,
                 code_scratch + 4 * (size_t)narrow_words);
        row_words(codec, row_codes, k, codes);
        for (uint32_t copy = 1; copy < widen_k; copy++)
            memcpy(codes + (size_t)copy * narrow_words, codes, narrow_words * sizeof(*codes));
        scatter(codes, layout.words_per_row, row, n, widen_n, words);
        if (codec->scale == QM_SCALE_F32)
            memcpy(scales, row_scales, 4);
        for (uint32_t copy = 0; scale_bytes > 0 && copy < widen_k; copy++)
            memcpy((char *)scales + copy * scale_bytes, row_scales, scale_bytes);
        scatter(scales, layout.scale_words_per_row, row, n, widen_n, words + layout.scale_offset_words);
    }
    free(codes);
    return QM_OK;
}

// What random codes and scales are drawn from: those of all rows, one after another.
struct pool {
    uint8_t *codes, *scales;
    uint32_t code_bits, code_count, scale_count;
    size_t scale_bytes; // of one group, block or row
};

static enum qm_status pool_create(enum qm_weight_format format, const struct qm_layout_shape *shape,
                                  const struct qm_encoded *encoded, struct pool *pool)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    uint32_t n = shape->n, k = shape->k;
    size_t code_bytes = (size_t)k * codec->code_bits / 8;
    size_t scale_bytes = codec->scale == QM_SCALE_F32 ? 4 : (size_t)device_scale_bytes(format, k);
    uint32_t scales_per_row = codec->group ? k / codec->group : 1;
    *pool = (struct pool){.codes = malloc(n * code_bytes),
                          .scales = malloc(n * scale_bytes + 1),
                          .code_bits = codec->code_bits,
                          .code_count = n * k,
                          .scale_count = n * scales_per_row,
                          .scale_bytes = scale_bytes / scales_per_row};
    if (!pool->codes || !pool->scales)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for random codes of %" PRIu32 " rows", n);
    for (uint32_t row = 0; row < n; row++) {
        const uint8_t *codes, *scales;
        uint8_t *to_codes = pool->codes + row * code_bytes, *to_scales = pool->scales + row * scale_bytes;
        take_row(format, encoded, row, k, &codes, &scales, to_codes, to_scales);
        if (codes != to_codes)
            memcpy(to_codes, codes, code_bytes);
        if (scales != to_scales && scale_bytes > 0)
            memcpy(to_scales, scales, scale_bytes);
    }
    return QM_OK;
}

// Below count, with a bias that is no matter here.
static uint32_t draw(struct qm_random *random, uint32_t count)
{
    return (uint32_t)((uint64_t)qm_random_u32(random) * count >> 32);
}

enum qm_status qm_layout_pack_random(enum qm_weight_format format, const struct qm_layout_shape *shape,
                                     const struct qm_encoded *encoded, uint64_t seed, uint32_t *words)
{
    struct qm_layout layout;
    struct pool pool = {0};
    struct qm_random random;
    uint32_t *codes = NULL;
    uint32_t n = shape->n * times(shape->widen_n), k = shape->k * times(shape->widen_k);
    enum qm_status status = QM_OK;
    QM_TRY(qm_layout_plan(format, shape, &layout));
    QM_GUARD(pool_create(format, shape, encoded, &pool));
    codes = calloc(2 * (size_t)layout.words_per_row + layout.scale_words_per_row, sizeof(*codes));
    if (!codes) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to repack a weight of %" PRIu32 " columns", k);
        goto done;
    }
    uint32_t *stream = codes + layout.words_per_row, *scales = stream + layout.words_per_row;
    uint32_t scales_per_row = pool.scale_bytes ? pool.scale_count / shape->n * times(shape->widen_k) : 0;
    scales_per_row = qm_weight_codec(format)->scale == QM_SCALE_F32 ? 1 : scales_per_row;
    qm_random_seed(&random, seed, 0);
    memset(words, 0, layout.bytes);
    for (uint32_t row = 0; row < n; row++) {
        for (uint32_t i = 0; i < k; i++)
            qm_stream_put(stream, pool.code_bits, i,
                          qm_stream_get(pool.codes, pool.code_bits, draw(&random, pool.code_count)));
        for (uint32_t i = 0; i < scales_per_row; i++)
            memcpy((char *)scales + i * pool.scale_bytes,
                   pool.scales + draw(&random, pool.scale_count) * pool.scale_bytes, pool.scale_bytes);
        row_words(qm_weight_codec(format), (const uint8_t *)stream, k, codes);
        scatter(codes, layout.words_per_row, row, n, 1, words);
        scatter(scales, layout.scale_words_per_row, row, n, 1, words + layout.scale_offset_words);
    }
done:
    free(pool.codes);
    free(pool.scales);
    free(codes);
    return status;
}

static void gather(const uint32_t *words, uint32_t count, uint32_t row, uint32_t *row_words)
{
    for (uint32_t w = 0; w < count; w++)
        row_words[w] = words[((size_t)(row / LANES) * count + w) * LANES + row % LANES];
}

enum qm_status qm_layout_unpack(enum qm_weight_format format, const struct qm_layout_shape *shape,
                                const uint32_t *words, const struct qm_encoded *out)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    struct qm_layout layout;
    uint32_t n = shape->n, k = shape->k;
    QM_TRY(qm_layout_plan(format, &(struct qm_layout_shape){n, k, 1, 1}, &layout));
    if (codec->scale == QM_SCALE_BLOCK)
        return QM_FAIL(QM_UNSUPPORTED, "%s blocks cannot be made from a device's layout", codec->info.title);
    size_t stride = qm_format_code_bytes(format, 1, k), scale_stride = qm_format_scale_bytes(format, 1, k);
    uint32_t *row_words = malloc(((size_t)layout.words_per_row + layout.scale_words_per_row) * sizeof(*row_words));
    if (!row_words)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to unpack a weight of %" PRIu32 " columns", k);
    for (uint32_t row = 0; row < n; row++) {
        uint8_t *codes = (uint8_t *)out->codes + row * stride;
        gather(words, layout.words_per_row, row, row_words);
        if (!low_bits_of(codec->code_bits))
            memcpy(codes, row_words, stride);
        for (uint32_t step = 0; low_bits_of(codec->code_bits) && step < k / STEP; step++)
            join_step(codes, (size_t)step * STEP, codec->code_bits, low_bits_of(codec->code_bits),
                      row_words + (size_t)step * codec->code_bits);
        gather(words + layout.scale_offset_words, layout.scale_words_per_row, row, row_words);
        if (scale_stride > 0)
            memcpy((char *)out->scales + row * scale_stride, row_words, scale_stride);
    }
    free(row_words);
    return QM_OK;
}
