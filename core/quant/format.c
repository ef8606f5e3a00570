#include "quant/format.h"
#include "base/numeric.h"
#include "quant/format_codecs.h"

#include <inttypes.h>
#include <math.h> // sqrt, which IEEE 754 rounds correctly on every machine; only for what is recorded
#include <string.h>

static const struct qm_weight_codec *const codecs[QM_WEIGHT_FORMAT_COUNT] = {
    [QM_WEIGHT_F32] = &qm_codec_f32,
    [QM_WEIGHT_F16] = &qm_codec_f16,
    [QM_WEIGHT_W8] = &qm_codec_w8,
    [QM_WEIGHT_W4G32] = &qm_codec_w4g32,
};

const struct qm_weight_codec *qm_weight_codec(enum qm_weight_format format)
{
    return codecs[format];
}

float qm_absolute_max(const float *values, uint32_t count)
{
    uint32_t most = 0; // of finite floats the order of magnitudes is that of their bits
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits = qm_bits_from_float(values[i]) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    return qm_float_from_bits(most);
}

bool qm_floats_are_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((qm_bits_from_float(values[i]) & 0x7f800000u) == 0x7f800000u)
            return false;
    return true;
}

bool qm_halves_are_finite(const uint16_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((values[i] & 0x7c00u) == 0x7c00u)
            return false;
    return true;
}

static size_t code_stride(const struct qm_weight_codec *codec, uint32_t columns)
{
    return (size_t)columns * codec->code_bits / 8;
}

static uint32_t scales_per_row(const struct qm_weight_codec *codec, uint32_t columns)
{
    return !codec->has_scales ? 0 : codec->group ? columns / codec->group : 1;
}

static size_t scale_stride(const struct qm_weight_codec *codec, uint32_t columns)
{
    return codec->has_scales ? scales_per_row(codec, columns) * qm_dtype_bytes(codec->scale_dtype) : 0;
}

size_t qm_format_code_bytes(enum qm_weight_format format, uint32_t rows, uint32_t columns)
{
    return rows * code_stride(codecs[format], columns);
}

size_t qm_format_scale_bytes(enum qm_weight_format format, uint32_t rows, uint32_t columns)
{
    return rows * scale_stride(codecs[format], columns);
}

void qm_format_code_shape(enum qm_weight_format format, uint32_t rows, uint32_t columns, uint64_t shape[2])
{
    shape[0] = rows;
    shape[1] = code_stride(codecs[format], columns) / qm_dtype_bytes(codecs[format]->code_dtype);
}

uint32_t qm_format_scale_shape(enum qm_weight_format format, uint32_t rows, uint32_t columns, uint64_t shape[2])
{
    shape[0] = rows;
    shape[1] = scales_per_row(codecs[format], columns);
    return codecs[format]->group ? 2 : 1;
}

static double scale_at(const struct qm_weight_codec *codec, const void *scales, size_t i)
{
    if (!scales) // never where a codec has any; the analyzer cannot know
        return 0.0;
    if (codec->scale_dtype == QM_DTYPE_F16)
        return (double)qm_float_from_half(((const uint16_t *)scales)[i]);
    return (double)((const float *)scales)[i];
}

static void record_scales(const struct qm_weight_codec *codec, const void *scales, size_t count,
                          struct qm_weight_record *record)
{
    for (size_t i = 0; i < count; i++) {
        double scale = scale_at(codec, scales, i);
        if (!(scale > 0)) {
            record->zero_scales++;
            continue;
        }
        if (record->scale_max <= 0 || scale < record->scale_min)
            record->scale_min = scale;
        if (scale > record->scale_max)
            record->scale_max = scale;
    }
}

// The sums are in the order of rows and columns, in double, on every machine.
enum qm_status qm_format_check(enum qm_weight_format format, const char *name, const float *values, uint32_t rows,
                               uint32_t columns, const void *codes, const void *scales, struct qm_weight_record *record)
{
    const struct qm_weight_codec *codec = codecs[format];
    size_t stride = code_stride(codec, columns), scales_stride = scale_stride(codec, columns);
    struct qm_weight_record seen = {.bytes = rows * (stride + scales_stride)};
    double squares = 0;
    record_scales(codec, scales, (size_t)rows * scales_per_row(codec, columns), &seen);
    for (uint32_t row = 0; row < rows; row++) {
        const void *row_codes = (const char *)codes + row * stride;
        const void *row_scales = scales ? (const char *)scales + row * scales_stride : NULL;
        for (uint32_t i = 0; i < columns; i++) {
            double step, value = (double)values[(size_t)row * columns + i];
            double error = value - codec->exact(row_codes, row_scales, i, &step);
            error = error < 0 ? -error : error;
            if (!(error <= 0.5 * step)) // also where something is not a number
                return QM_FAIL(QM_WRONG_RESULT,
                               "tensor '%s': row %" PRIu32 ", column %" PRIu32
                               ": %g is off by %g, more than half of the "
                               "step %g; the codes are not this tensor's",
                               name, row, i, value, error, step);
            squares += error * error;
            if (error > seen.worst_error)
                seen.worst_error = error;
            if (step > 0 && error / step > seen.worst_steps)
                seen.worst_steps = error / step;
        }
    }
    seen.rms_error = sqrt(squares / ((double)rows * columns));
    if (record)
        *record = seen;
    return QM_OK;
}

static enum qm_status check_finite(const char *name, const float *values, uint32_t rows, uint32_t columns)
{
    for (size_t i = 0; i < (size_t)rows * columns; i++)
        if ((qm_bits_from_float(values[i]) & 0x7f800000u) == 0x7f800000u)
            return QM_FAIL(QM_INVALID, "tensor '%s': row %zu, column %zu is %s; every weight must be finite", name,
                           i / columns, i % columns, values[i] != values[i] ? "not a number" : "infinite");
    return QM_OK;
}

enum qm_status qm_format_encode(enum qm_weight_format format, const char *name, const float *values, uint32_t rows,
                                uint32_t columns, void *codes, void *scales, struct qm_weight_record *record)
{
    const struct qm_weight_codec *codec = codecs[format];
    size_t stride = code_stride(codec, columns), scales_stride = scale_stride(codec, columns);
    if (rows == 0 || columns == 0 || columns % codec->column_multiple != 0)
        return QM_FAIL(QM_INVALID,
                       "tensor '%s': [%" PRIu32 "][%" PRIu32 "] in %s; columns must be a multiple of %" PRIu32, name,
                       rows, columns, qm_weight_format_info(format)->name, codec->column_multiple);
    QM_TRY(check_finite(name, values, rows, columns));
    for (uint32_t row = 0; row < rows; row++) {
        void *row_scales = codec->has_scales ? (char *)scales + row * scales_stride : NULL;
        enum qm_status status =
            codec->encode(values + (size_t)row * columns, columns, (char *)codes + row * stride, row_scales);
        if (status != QM_OK) {
            qm_error_prefix("tensor '%s': row %" PRIu32 ", ", name, row);
            return status;
        }
    }
    return qm_format_check(format, name, values, rows, columns, codes, codec->has_scales ? scales : NULL, record);
}

bool qm_format_is_valid(enum qm_weight_format format, const void *codes, const void *scales, uint32_t rows,
                        uint32_t columns, uint32_t *row)
{
    const struct qm_weight_codec *codec = codecs[format];
    size_t stride = code_stride(codec, columns), scales_stride = scale_stride(codec, columns);
    for (*row = 0; *row < rows; ++*row)
        if (!codec->is_valid((const char *)codes + *row * stride,
                             scales ? (const char *)scales + *row * scales_stride : NULL, columns))
            return false;
    return true;
}

void qm_format_decode(enum qm_weight_format format, const void *codes, const void *scales, uint32_t rows,
                      uint32_t columns, float *values)
{
    const struct qm_weight_codec *codec = codecs[format];
    size_t stride = code_stride(codec, columns), scales_stride = scale_stride(codec, columns);
    for (uint32_t row = 0; row < rows; row++)
        codec->decode((const char *)codes + row * stride, scales ? (const char *)scales + row * scales_stride : NULL,
                      columns, values + (size_t)row * columns);
}
