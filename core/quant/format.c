#include "quant/format.h"
#include "base/minifloat.h"
#include "base/numeric.h"
#include "quant/clip.h"
#include "quant/format_codecs.h"
#include "quant/format_grid.h"

#include <inttypes.h>
#include <math.h> // sqrt, which IEEE 754 rounds correctly on every machine; only for what is recorded
#include <stdlib.h>
#include <string.h>

#define F32_SCALE_MIN 0x1p-126f
#define F32_LARGEST 0x1.fffffep127
#define F16_SCALE_MAX 65504.0
#define F16_SCALE_MIN_BITS 0x0400u // 2^-14, the smallest normal binary16

float qm_absolute_max(const float *values, uint32_t count)
{
    uint32_t most = 0; // of finite floats the order of magnitudes is that of their bits
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = qm_bits_from_float(values[i]) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    return qm_float_from_bits(most);
}

enum qm_status qm_scale_round_up(enum qm_scale_kind kind, double wanted, uint32_t *stored, double *scale)
{
    *stored = 0;
    *scale = 0;
    if (!(wanted > 0))
        return QM_OK;
    float up = qm_float_round_up(wanted);
    if (kind == QM_SCALE_F32) {
        up = up < F32_SCALE_MIN ? F32_SCALE_MIN : up;
        *stored = qm_bits_from_float(up);
        *scale = (double)up;
        return QM_OK;
    }
    if ((double)up > F16_SCALE_MAX)
        return QM_FAIL(QM_INVALID,
                       "values would need a scale of %g; a float16 scale holds at most 65504, use scheme w8a16 or f32",
                       wanted);
    uint32_t half = qm_half_round_up(up);
    *stored = half < F16_SCALE_MIN_BITS ? F16_SCALE_MIN_BITS : half;
    *scale = (double)qm_float_from_half((uint16_t)*stored);
    return QM_OK;
}

// ---- Sizes ---------------------------------------------------------------------------------------------------------

static size_t code_stride(const struct qm_weight_codec *codec, uint32_t columns)
{
    return codec->block_bytes ? (size_t)(columns / codec->group) * codec->block_bytes
                              : (size_t)columns * codec->code_bits / 8;
}

static uint32_t groups_per_row(const struct qm_weight_codec *codec, uint32_t columns)
{
    return codec->group ? columns / codec->group : 1;
}

static uint32_t group_values(const struct qm_weight_codec *codec, uint32_t columns)
{
    return codec->group ? codec->group : columns;
}

static size_t scale_bytes_of(enum qm_scale_kind kind)
{
    switch (kind) {
    case QM_SCALE_F32:
    case QM_SCALE_F16_ZERO:
        return 4;
    case QM_SCALE_F16:
        return 2;
    case QM_SCALE_E8M0:
    case QM_SCALE_E4M3:
        return 1;
    default:
        return 0;
    }
}

static size_t scale_stride(const struct qm_weight_codec *codec, uint32_t columns)
{
    return groups_per_row(codec, columns) * scale_bytes_of(codec->scale);
}

size_t qm_format_code_bytes(enum qm_weight_format format, uint32_t rows, uint32_t columns)
{
    return rows * code_stride(qm_weight_codec(format), columns);
}

size_t qm_format_scale_bytes(enum qm_weight_format format, uint32_t rows, uint32_t columns)
{
    return rows * scale_stride(qm_weight_codec(format), columns);
}

void qm_format_code_shape(enum qm_weight_format format, uint32_t rows, uint32_t columns, uint64_t shape[2])
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    shape[0] = rows;
    shape[1] = code_stride(codec, columns) / qm_dtype_bytes(codec->code_dtype);
}

enum qm_dtype qm_format_scale_dtype(enum qm_weight_format format)
{
    enum qm_scale_kind kind = qm_weight_codec(format)->scale;
    return kind == QM_SCALE_F32                                ? QM_DTYPE_F32
           : kind == QM_SCALE_F16 || kind == QM_SCALE_F16_ZERO ? QM_DTYPE_F16
                                                               : QM_DTYPE_U8;
}

uint32_t qm_format_scale_shape(enum qm_weight_format format, uint32_t rows, uint32_t columns, uint64_t shape[2])
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    shape[0] = rows;
    shape[1] = (uint64_t)groups_per_row(codec, columns) * (codec->scale == QM_SCALE_F16_ZERO ? 2 : 1);
    return codec->group ? 2 : 1;
}

uint32_t qm_format_column_multiple(enum qm_weight_format format)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    return codec->group ? codec->group : codec->code_bits < 8 ? 8 : 1;
}

// ---- Codes and grids in their places --------------------------------------------------------------------------------

uint32_t qm_stream_get(const void *stream, uint32_t bits, size_t i)
{
    const uint8_t *bytes = stream;
    size_t at = i * bits;
    uint64_t window = 0;
    for (size_t byte = at / 8, shift = 0; byte <= (at + bits - 1) / 8; byte++, shift += 8)
        window |= (uint64_t)bytes[byte] << shift;
    return (uint32_t)(window >> (at % 8) & (((uint64_t)1 << bits) - 1));
}

void qm_stream_put(void *stream, uint32_t bits, size_t i, uint32_t code)
{
    uint8_t *bytes = stream;
    size_t at = i * bits;
    uint64_t mask = (((uint64_t)1 << bits) - 1) << (at % 8), value = (uint64_t)code << (at % 8) & mask;
    for (size_t byte = at / 8; byte <= (at + bits - 1) / 8; byte++, mask >>= 8, value >>= 8)
        bytes[byte] = (uint8_t)((bytes[byte] & ~(mask & 0xff)) | (value & 0xff));
}

void qm_format_put_grid(enum qm_weight_format format, struct qm_encoded *out, uint32_t row, uint32_t group,
                        uint32_t columns, const struct qm_grid_parameters *grid)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    size_t index = (size_t)row * groups_per_row(codec, columns) + group;
    switch (codec->scale) {
    case QM_SCALE_F32:
        memcpy((char *)out->scales + 4 * index, &grid->stored[0], 4);
        break;
    case QM_SCALE_F16:
        ((uint16_t *)out->scales)[index] = (uint16_t)grid->stored[0];
        break;
    case QM_SCALE_F16_ZERO:
        ((uint16_t *)out->scales)[2 * index] = (uint16_t)grid->stored[0];
        ((uint16_t *)out->scales)[2 * index + 1] = (uint16_t)grid->stored[1];
        break;
    case QM_SCALE_E8M0:
    case QM_SCALE_E4M3:
        ((uint8_t *)out->scales)[index] = (uint8_t)grid->stored[0];
        break;
    default:
        break;
    }
}

void qm_format_grid(enum qm_weight_format format, const struct qm_encoded *encoded, uint32_t row, uint32_t group,
                    uint32_t columns, struct qm_grid_parameters *grid)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    size_t index = (size_t)row * groups_per_row(codec, columns) + group;
    const uint16_t *halves = encoded->scales;
    *grid = (struct qm_grid_parameters){.scale = 1};
    switch (codec->scale) {
    case QM_SCALE_F32:
        memcpy(&grid->stored[0], (const char *)encoded->scales + 4 * index, 4);
        grid->scale = (double)qm_float_from_bits(grid->stored[0]);
        break;
    case QM_SCALE_F16:
        grid->stored[0] = halves[index];
        grid->scale = (double)qm_float_from_half(halves[index]);
        break;
    case QM_SCALE_F16_ZERO:
        grid->stored[0] = halves[2 * index];
        grid->stored[1] = halves[2 * index + 1];
        grid->scale = (double)qm_float_from_half(halves[2 * index]);
        grid->zero = (double)qm_float_from_half(halves[2 * index + 1]);
        break;
    case QM_SCALE_E8M0:
        grid->stored[0] = ((const uint8_t *)encoded->scales)[index];
        grid->scale = grid->stored[0] == 0 ? 0 : qm_minifloat_value(QM_MINIFLOAT_E8M0, grid->stored[0]);
        break;
    case QM_SCALE_E4M3:
        grid->stored[0] = ((const uint8_t *)encoded->scales)[index];
        grid->scale = qm_minifloat_value(QM_MINIFLOAT_E4M3FN, grid->stored[0]) * (double)encoded->tensor_scale;
        break;
    default:
        break;
    }
}

void qm_format_put_code(enum qm_weight_format format, struct qm_encoded *out, uint32_t row, uint32_t column,
                        uint32_t columns, uint32_t code)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    qm_stream_put((char *)out->codes + row * code_stride(codec, columns), codec->code_bits, column, code);
}

uint32_t qm_format_code(enum qm_weight_format format, const struct qm_encoded *encoded, uint32_t row, uint32_t column,
                        uint32_t columns)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    return qm_stream_get((const char *)encoded->codes + row * code_stride(codec, columns), codec->code_bits, column);
}

float qm_format_tensor_scale(enum qm_weight_format format, const float *values, size_t count)
{
    if (!qm_weight_codec(format)->has_tensor_scale)
        return 1;
    float amax = 0; // of any number of values
    for (size_t at = 0; at < count;) {
        uint32_t part = count - at > 1u << 30 ? 1u << 30 : (uint32_t)(count - at);
        float most = qm_absolute_max(values + at, part);
        amax = most > amax ? most : amax;
        at += part;
    }
    float scale = qm_float_round_up((double)amax / (6.0 * 448.0));
    return amax > 0 ? (scale < F32_SCALE_MIN ? F32_SCALE_MIN : scale) : 0;
}

// ---- The check -----------------------------------------------------------------------------------------------------

const char *qm_bound_name(enum qm_bound bound)
{
    static const char *const names[] = {"half step", "half step, clipped values excepted", "none",
                                        "none: the file's own codes"};
    return names[bound];
}

enum qm_bound qm_format_bound(enum qm_weight_format format, enum qm_fit fit)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    if (codec->scale == QM_SCALE_BLOCK)
        return QM_BOUND_NONE;
    return codec->may_clip || (fit != QM_FIT_ABSMAX && codec->scale != QM_SCALE_NONE) ? QM_BOUND_CLIPPED
                                                                                      : QM_BOUND_HALF_STEP;
}

static void record_scale(double scale, struct qm_weight_record *record)
{
    if (!(scale > 0)) {
        record->zero_scales++;
        return;
    }
    if (record->scale_max <= 0 || scale < record->scale_min)
        record->scale_min = scale;
    if (scale > record->scale_max)
        record->scale_max = scale;
}

struct check {
    const struct qm_weight_codec *codec;
    const char *name;
    enum qm_bound bound;
    struct qm_weight_record seen;
    double squares;
};

static void record_error(struct check *check, double error)
{
    check->squares += error * error;
    if (error > check->seen.worst_error)
        check->seen.worst_error = error;
}

// What is decoded is rounded once to float; the value may have been rounded to the type that its file's program computes in.
static bool is_own(double represented, float value)
{
    const uint32_t bits = qm_bits_from_float((float)represented), odd = bits >> 16 & 1;
    return (float)represented == value || qm_float_from_half(qm_half_from_float((float)represented)) == value ||
           qm_float_from_bits((bits + 0x7fffu + odd) & 0xffff0000u) == value;
}

static enum qm_status check_value(struct check *check, const struct qm_grid_parameters *grid, uint32_t code,
                                  double value, uint32_t row, uint32_t column)
{
    double step, represented = check->codec->family->represented(check->codec, grid, code, &step);
    double error = value > represented ? value - represented : represented - value;
    record_error(check, error);
    // Clipped: the nearest code is this one, and the value lies beyond it.
    double nearest;
    bool is_inside = error <= 0.5 * step;
    bool is_clipped = !is_inside && check->codec->family->nearest(check->codec, grid, value, &nearest) == code;
    if (!is_clipped && step > 0 && error / step > check->seen.worst_steps)
        check->seen.worst_steps = error / step;
    check->seen.clipped += is_clipped;
    if (check->bound == QM_BOUND_OWN ? is_own(represented, (float)value) : is_inside)
        return QM_OK;
    if (check->bound == QM_BOUND_NONE || (check->bound == QM_BOUND_CLIPPED && is_clipped))
        return QM_OK;
    return QM_FAIL(QM_WRONG_RESULT,
                   "tensor '%s': row %" PRIu32 ", column %" PRIu32 ": %g is off by %g, more than half of the "
                   "step %g; the codes are not this tensor's",
                   check->name, row, column, value, error, step);
}

static enum qm_status check_blocks(struct check *check, const float *values, uint32_t row, uint32_t columns,
                                   const uint8_t *blocks)
{
    float decoded[256];
    for (uint32_t first = 0; first < columns; first += check->codec->group, blocks += check->codec->block_bytes) {
        check->codec->decode(blocks, decoded);
        for (uint32_t i = 0; i < check->codec->group; i++) {
            double error = (double)values[first + i] - (double)decoded[i];
            record_error(check, error < 0 ? -error : error);
            if (check->bound == QM_BOUND_OWN && error != 0)
                return QM_FAIL(QM_WRONG_RESULT,
                               "tensor '%s': row %" PRIu32 ", column %" PRIu32
                               ": %g is off by %g; the codes are not the model file's",
                               check->name, row, first + i, (double)values[first + i], error);
        }
    }
    return QM_OK;
}

// The sums are in the order of rows and columns, in double, on every machine.
enum qm_status qm_format_check(enum qm_weight_format format, const char *name, const float *values, uint32_t rows,
                               uint32_t columns, const struct qm_encoded *encoded, enum qm_bound bound,
                               struct qm_weight_record *record)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    struct check check = {.codec = codec, .name = name, .bound = bound};
    uint32_t group = group_values(codec, columns);
    check.seen.bytes = rows * (code_stride(codec, columns) + scale_stride(codec, columns)) +
                       (codec->has_tensor_scale ? sizeof(float) : 0);
    for (uint32_t row = 0; row < rows; row++) {
        const float *from = values + (size_t)row * columns;
        if (codec->scale == QM_SCALE_BLOCK) {
            QM_TRY(check_blocks(&check, from, row, columns,
                                (const uint8_t *)encoded->codes + row * code_stride(codec, columns)));
            continue;
        }
        for (uint32_t first = 0; first < columns; first += group) {
            struct qm_grid_parameters grid;
            qm_format_grid(format, encoded, row, first / group, columns, &grid);
            if (codec->scale != QM_SCALE_NONE)
                record_scale(grid.scale, &check.seen);
            for (uint32_t i = first; i < first + group; i++)
                QM_TRY(check_value(&check, &grid, qm_format_code(format, encoded, row, i, columns), (double)from[i],
                                   row, i));
        }
    }
    check.seen.rms_error = sqrt(check.squares / ((double)rows * columns));
    if (record)
        *record = check.seen;
    return QM_OK;
}

// ---- Encoding ------------------------------------------------------------------------------------------------------

static enum qm_status check_finite(const char *name, const float *values, uint32_t rows, uint32_t columns)
{
    for (size_t i = 0; i < (size_t)rows * columns; i++)
        if ((qm_bits_from_float(values[i]) & 0x7f800000u) == 0x7f800000u)
            return QM_FAIL(QM_INVALID, "tensor '%s': row %zu, column %zu is %s; every weight must be finite", name,
                           i / columns, i % columns, values[i] != values[i] ? "not a number" : "infinite");
    return QM_OK;
}

static enum qm_status encode_row(enum qm_weight_format format, const float *values, uint32_t row, uint32_t columns,
                                 const struct qm_encode_params *params, struct qm_encoded *out)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    uint32_t group = group_values(codec, columns);
    uint8_t *codes = (uint8_t *)out->codes + row * code_stride(codec, columns);
    struct qm_format_grid chooser;
    qm_format_grid_begin(&chooser, format, out->tensor_scale);
    for (uint32_t first = 0; first < columns; first += group) {
        if (codec->scale == QM_SCALE_BLOCK) {
            enum qm_status status = codec->family->encode_block(codec, values + first, codes);
            if (status != QM_OK) {
                qm_error_prefix("columns %" PRIu32 " to %" PRIu32 ": ", first, first + group - 1);
                return status;
            }
            codes += codec->block_bytes;
            continue;
        }
        struct qm_grid_parameters grid;
        const double *importance = params->importance ? params->importance + first : NULL;
        enum qm_range range = params->fit == QM_FIT_SEARCH ? QM_RANGE_MSE : QM_RANGE_ABSMAX;
        enum qm_status status = qm_range_fit(range, &chooser.base, values + first, importance, group, &grid, NULL);
        if (status != QM_OK) {
            if (codec->group)
                qm_error_prefix("columns %" PRIu32 " to %" PRIu32 ": ", first, first + group - 1);
            return status;
        }
        qm_format_put_grid(format, out, row, first / group, columns, &grid);
        for (uint32_t i = first; i < first + group; i++) {
            double unused;
            qm_stream_put(codes, codec->code_bits, i, codec->family->nearest(codec, &grid, (double)values[i], &unused));
        }
    }
    return QM_OK;
}

enum qm_status qm_format_encode(enum qm_weight_format format, const char *name, const float *values, uint32_t rows,
                                uint32_t columns, const struct qm_encode_params *params, struct qm_encoded *out,
                                struct qm_weight_record *record)
{
    uint32_t multiple = qm_format_column_multiple(format);
    if (rows == 0 || columns == 0 || columns % multiple != 0)
        return QM_FAIL(QM_INVALID,
                       "tensor '%s': [%" PRIu32 "][%" PRIu32 "] in %s; columns must be a multiple of %" PRIu32, name,
                       rows, columns, qm_weight_format_info(format)->name, multiple);
    QM_TRY(check_finite(name, values, rows, columns));
    out->tensor_scale = qm_format_tensor_scale(format, values, (size_t)rows * columns);
    for (uint32_t row = 0; row < rows; row++) {
        enum qm_status status = encode_row(format, values + (size_t)row * columns, row, columns, params, out);
        if (status != QM_OK) {
            qm_error_prefix("tensor '%s': row %" PRIu32 ", ", name, row);
            return status;
        }
    }
    return qm_format_check(format, name, values, rows, columns, out, qm_format_bound(format, params->fit), record);
}

// ---- Validity and decoding -----------------------------------------------------------------------------------------

static bool is_grid(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid)
{
    double most = codec->scale == QM_SCALE_F16 || codec->scale == QM_SCALE_F16_ZERO ? F16_SCALE_MAX : F32_LARGEST;
    if (!(grid->scale >= 0 && grid->scale <= most))
        return false;
    if (codec->scale == QM_SCALE_F16_ZERO)
        return grid->zero >= codec->low && grid->zero <= codec->high && qm_round_even(grid->zero) == grid->zero;
    return true;
}

bool qm_format_is_valid(enum qm_weight_format format, const struct qm_encoded *encoded, uint32_t rows, uint32_t columns,
                        uint32_t *row)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    uint32_t group = group_values(codec, columns);
    for (*row = 0; *row < rows; ++*row)
        for (uint32_t first = 0; first < columns; first += group) {
            const uint8_t *codes = (const uint8_t *)encoded->codes + *row * code_stride(codec, columns);
            if (codec->scale == QM_SCALE_BLOCK) {
                if (!codec->family->is_block(codec, codes + (size_t)(first / group) * codec->block_bytes))
                    return false;
                continue;
            }
            struct qm_grid_parameters grid;
            qm_format_grid(format, encoded, *row, first / group, columns, &grid);
            if (!is_grid(codec, &grid))
                return false;
            for (uint32_t i = first; i < first + group; i++) {
                uint32_t code = qm_stream_get(codes, codec->code_bits, i);
                double step, value = codec->family->represented(codec, &grid, code, &step);
                // A finite scale may still be too large for its codes.
                if (!codec->family->is_code(codec, code) || !(value <= F32_LARGEST && value >= -F32_LARGEST))
                    return false;
            }
        }
    return true;
}

void qm_format_decode(enum qm_weight_format format, const struct qm_encoded *encoded, uint32_t rows, uint32_t columns,
                      float *values)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    uint32_t group = group_values(codec, columns);
    for (uint32_t row = 0; row < rows; row++) {
        const uint8_t *codes = (const uint8_t *)encoded->codes + row * code_stride(codec, columns);
        float *to = values + (size_t)row * columns;
        for (uint32_t first = 0; first < columns; first += group) {
            if (codec->scale == QM_SCALE_BLOCK) {
                codec->decode(codes + (size_t)(first / group) * codec->block_bytes, to + first);
                continue;
            }
            struct qm_grid_parameters grid;
            double step;
            qm_format_grid(format, encoded, row, first / group, columns, &grid);
            for (uint32_t i = first; i < first + group; i++)
                to[i] =
                    (float)codec->family->represented(codec, &grid, qm_stream_get(codes, codec->code_bits, i), &step);
        }
    }
}
