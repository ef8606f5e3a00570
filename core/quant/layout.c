#include "quant/layout.h"
#include "quant/format.h"

#include <inttypes.h>
#include <string.h>

#define LANES QM_PANEL_ROWS
#define K_MULTIPLE 32u // kernels take 32 k a trip

enum qm_status qm_layout_plan(enum qm_weight_format format, uint32_t n, uint32_t k, struct qm_layout *out)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    uint32_t multiple = codec->column_multiple > K_MULTIPLE ? codec->column_multiple : K_MULTIPLE;
    memset(out, 0, sizeof(*out));
    if (n == 0 || k == 0 || k % multiple != 0 || n > UINT32_MAX - LANES)
        return QM_FAIL(QM_INVALID,
                       "a weight of [%" PRIu32 "][%" PRIu32 "] in layout " QM_LAYOUT_NAME
                       "; it needs rows, and columns in multiples of %" PRIu32,
                       n, k, multiple);
    out->rows_padded = (n + LANES - 1) / LANES * LANES;
    out->words_per_row = (uint32_t)((uint64_t)k * codec->code_bits / 32);
    out->code_words = (size_t)out->rows_padded * out->words_per_row;
    out->scale_offset_words = out->words = out->code_words;
    if (codec->has_scales) {
        size_t align = QM_SCALE_ALIGNMENT / 4;
        uint64_t row_bytes = (codec->group ? k / codec->group : 1) * qm_dtype_bytes(codec->scale_dtype);
        out->scale_words_per_row = (uint32_t)((row_bytes + 3) / 4);
        out->scale_offset_words = (out->code_words + align - 1) / align * align;
        out->words = out->scale_offset_words + (size_t)out->rows_padded * out->scale_words_per_row;
    }
    out->bytes = out->words * 4;
    return QM_OK;
}

// Rows of `row_bytes` bytes, as words of a panel; the last word of a row may be filled in part.
static void pack_rows(const char *rows, size_t row_bytes, uint32_t n, uint32_t words_per_row, uint32_t *words)
{
    for (uint32_t row = 0; row < n; row++)
        for (uint32_t w = 0; w < words_per_row; w++) {
            size_t at = 4 * (size_t)w, left = row_bytes - at;
            uint32_t word = 0;
            memcpy(&word, rows + row * row_bytes + at, left < 4 ? left : 4);
            words[((size_t)(row / LANES) * words_per_row + w) * LANES + row % LANES] = word;
        }
}

static void unpack_rows(const uint32_t *words, size_t row_bytes, uint32_t n, uint32_t words_per_row, char *rows)
{
    for (uint32_t row = 0; row < n; row++)
        for (uint32_t w = 0; w < words_per_row; w++) {
            size_t at = 4 * (size_t)w, left = row_bytes - at;
            uint32_t word = words[((size_t)(row / LANES) * words_per_row + w) * LANES + row % LANES];
            memcpy(rows + row * row_bytes + at, &word, left < 4 ? left : 4);
        }
}

enum qm_status qm_layout_pack(enum qm_weight_format format, const void *codes, const void *scales, uint32_t n,
                              uint32_t k, uint32_t *words)
{
    struct qm_layout layout;
    QM_TRY(qm_layout_plan(format, n, k, &layout));
    memset(words, 0, layout.bytes);
    pack_rows(codes, qm_format_code_bytes(format, 1, k), n, layout.words_per_row, words);
    if (layout.scale_words_per_row > 0)
        pack_rows(scales, qm_format_scale_bytes(format, 1, k), n, layout.scale_words_per_row,
                  words + layout.scale_offset_words);
    return QM_OK;
}

enum qm_status qm_layout_unpack(enum qm_weight_format format, const uint32_t *words, uint32_t n, uint32_t k,
                                void *codes, void *scales)
{
    struct qm_layout layout;
    QM_TRY(qm_layout_plan(format, n, k, &layout));
    unpack_rows(words, qm_format_code_bytes(format, 1, k), n, layout.words_per_row, codes);
    if (layout.scale_words_per_row > 0)
        unpack_rows(words + layout.scale_offset_words, qm_format_scale_bytes(format, 1, k), n,
                    layout.scale_words_per_row, scales);
    return QM_OK;
}
