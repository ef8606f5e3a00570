#include "bench/kernel_weights.h"

#include "base/random.h"
#include "bench/kernel_cases.h"

#include <math.h> // sqrt only
#include <stdlib.h>
#include <string.h>

enum {
    PIECES = 1024, // a power of two; some hundred kilobytes
    LANES = QM_PANEL_ROWS
};

// The piece that stands at place `at` of a row; place UINT32_MAX is for the row's own scale.
static uint32_t piece_of(const struct qm_kernel_weights *w, uint32_t row, uint32_t at)
{
    return (uint32_t)(qm_random_mix(w->seed ^ ((uint64_t)row << 32 | at)) % PIECES);
}

// Every 23rd value is large, every 29th tiny, every seventh piece small.
static void fill_values(struct qm_random *random, float *values, uint32_t unit)
{
    for (uint32_t i = 0; i < PIECES * unit; ++i) {
        float value = (float)(qm_random_unit(random) * 2 - 1);
        value *= i % 23 == 0 ? 4.0f : 1.0f;
        value *= i % 29 == 0 ? 0x1p-16f : 1.0f;
        values[i] = i / unit % 7 ? value : value * 0x1p-8f;
    }
}

// Takes the pieces apart as rows of a weight of their own, which repacking has brought into a device's order.
static void take_pieces(struct qm_kernel_weights *w, const struct qm_layout *layout, const uint32_t *words)
{
    for (uint32_t piece = 0; piece < PIECES; ++piece) {
        size_t panel = piece / LANES, lane = piece % LANES;
        for (uint32_t i = 0; i < w->code_words; ++i)
            w->codes[(size_t)piece * w->code_words + i] = words[(panel * layout->words_per_row + i) * LANES + lane];
        const uint32_t *scales = words + layout->scale_offset_words;
        for (uint32_t byte = 0; byte < w->scale_bytes; ++byte)
            w->scales[(size_t)piece * w->scale_bytes + byte] =
                (uint8_t)(scales[(panel * layout->scale_words_per_row + byte / 4) * LANES + lane] >> (8 * (byte % 4)));
        if (w->row_scales)
            memcpy(&w->row_scales[piece], &scales[panel * LANES + lane], sizeof(float));
    }
}

enum qm_status qm_kernel_weights_create(enum qm_weight_format format, uint32_t k, uint64_t seed,
                                        struct qm_kernel_weights *out)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    struct qm_kernel_weights *w = out;
    struct qm_layout layout;
    struct qm_random random;
    enum qm_status status;
    *w = (struct qm_kernel_weights){.format = format, .k = k, .seed = qm_random_mix(seed), .tensor_scale = 1};
    QM_TRY(qm_layout_plan(format, &(struct qm_layout_shape){.n = 1, .k = k}, &layout)); // refuses a k that does not fit
    w->unit = qm_format_column_multiple(format) > 32 ? qm_format_column_multiple(format) : 32;
    const struct qm_layout_shape shape = {.n = PIECES, .k = w->unit};
    QM_TRY(qm_layout_plan(format, &shape, &layout));
    w->code_words = layout.words_per_row;
    if (codec->group)
        w->scale_bytes = codec->scale == QM_SCALE_BLOCK ? w->unit / codec->group * codec->device_scale_bytes
                                                        : (uint32_t)qm_format_scale_bytes(format, 1, w->unit);
    size_t count = (size_t)PIECES * w->unit;
    struct qm_encoded encoded = {.codes = calloc(1, qm_format_code_bytes(format, PIECES, w->unit) + 8),
                                 .scales = calloc(1, qm_format_scale_bytes(format, PIECES, w->unit) + 8)};
    float *values = malloc(count * sizeof(*values));
    double *magnitudes = malloc(count * sizeof(*magnitudes));
    uint32_t *words = malloc(layout.bytes);
    w->codes = malloc((size_t)PIECES * w->code_words * sizeof(*w->codes));
    w->scales = malloc((size_t)PIECES * w->scale_bytes + 1);
    w->squares = malloc(PIECES * sizeof(*w->squares));
    if (codec->scale == QM_SCALE_F32)
        w->row_scales = malloc(PIECES * sizeof(*w->row_scales));
    bool has_memory = encoded.codes && encoded.scales && values && magnitudes && words && w->codes && w->scales &&
                      w->squares && (w->row_scales || codec->scale != QM_SCALE_F32);
    if (!has_memory) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for random weights");
        goto done;
    }
    qm_random_seed(&random, seed, 0);
    fill_values(&random, values, w->unit);
    QM_GUARD(
        qm_format_encode(format, "random", values, PIECES, w->unit, &(struct qm_encode_params){0}, &encoded, NULL));
    QM_GUARD(qm_layout_pack(format, &shape, &encoded, words));
    w->tensor_scale = encoded.tensor_scale;
    take_pieces(w, &layout, words);
    if (!qm_case_measure_weights(format, PIECES, w->unit, &encoded, w->squares, magnitudes)) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for random weights");
        goto done;
    }
    for (uint32_t piece = 0; piece < PIECES; ++piece) {
        double norm = w->squares[piece] / (w->row_scales ? (double)w->row_scales[piece] : 1.0);
        w->squares[piece] = norm * norm;
        if (w->row_scales)
            w->row_scales[piece] = qm_random_below(&random, 2) ? 0x1p-7f : 0x1p-9f;
    }
done:
    free(encoded.codes);
    free(encoded.scales);
    free(values);
    free(magnitudes);
    free(words);
    if (status != QM_OK)
        qm_kernel_weights_free(w);
    return status;
}

void qm_kernel_weights_free(struct qm_kernel_weights *w)
{
    free(w->codes);
    free(w->scales);
    free(w->row_scales);
    free(w->squares);
    *w = (struct qm_kernel_weights){0};
}

enum qm_status qm_kernel_weights_fill(const struct qm_kernel_weights *w, uint32_t first, uint32_t rows, uint32_t *words)
{
    struct qm_layout layout;
    QM_TRY(qm_layout_plan(w->format, &(struct qm_layout_shape){.n = rows, .k = w->k}, &layout));
    uint32_t pieces = w->k / w->unit;
    memset(words + layout.code_words, 0, (layout.words - layout.code_words) * sizeof(*words));
    for (uint32_t panel = 0; panel < layout.rows_padded / LANES; ++panel) {
        uint32_t lanes = rows - panel * LANES < LANES ? rows - panel * LANES : LANES;
        uint32_t *codes = words + (size_t)panel * layout.words_per_row * LANES;
        uint32_t *scales = words + layout.scale_offset_words + (size_t)panel * layout.scale_words_per_row * LANES;
        if (lanes < LANES)
            memset(codes, 0, (size_t)layout.words_per_row * LANES * sizeof(*codes));
        for (uint32_t at = 0; at < pieces; ++at) {
            for (uint32_t lane = 0; lane < lanes; ++lane) {
                uint32_t piece = piece_of(w, first + panel * LANES + lane, at);
                const uint32_t *from = w->codes + (size_t)piece * w->code_words;
                for (uint32_t i = 0; i < w->code_words; ++i)
                    codes[((size_t)at * w->code_words + i) * LANES + lane] = from[i];
                for (uint32_t i = 0; i < w->scale_bytes; ++i) {
                    size_t byte = (size_t)at * w->scale_bytes + i;
                    scales[byte / 4 * LANES + lane] |= (uint32_t)w->scales[(size_t)piece * w->scale_bytes + i]
                                                       << (8 * (byte % 4));
                }
            }
        }
        for (uint32_t lane = 0; w->row_scales && lane < lanes; ++lane)
            memcpy(&scales[lane], &w->row_scales[piece_of(w, first + panel * LANES + lane, UINT32_MAX)],
                   sizeof(*scales));
    }
    return QM_OK;
}

double qm_kernel_weights_magnitude(const struct qm_kernel_weights *w, uint32_t row, uint32_t column)
{
    double scale = w->row_scales ? (double)w->row_scales[piece_of(w, row, UINT32_MAX)] : 1.0;
    return sqrt(w->squares[piece_of(w, row, column / w->unit)]) * scale;
}

double qm_kernel_weights_norm(const struct qm_kernel_weights *w, uint32_t row)
{
    double sum = 0, scale = w->row_scales ? (double)w->row_scales[piece_of(w, row, UINT32_MAX)] : 1.0;
    for (uint32_t at = 0; at < w->k / w->unit; ++at)
        sum += w->squares[piece_of(w, row, at)];
    return sqrt(sum) * scale;
}
