// Quantized weights in the formats that artifacts have: the file's codes, moved and not rounded.
//
// A group whose size is a multiple of one that a format has is several of those with the same scale. Whether scales and zeros are
// such as the format has is looked up in them, which are few beside the codes.
#include "base/numeric.h"
#include "model/quantized_sets.h"
#include "quant/format.h"
#include "sys/parallel.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define F16_SMALLEST 0x1p-14f // below it a device may take a number for 0
#define F32_SMALLEST 0x1p-126f

// What is to be known of all scales and zeros before a format is chosen.
struct survey {
    bool has_groups;   // inputs lie in their groups one behind the other
    bool fits_f16;     // every scale is a binary16 that a format may have
    bool fits_f32;     // likewise
    bool is_symmetric; // every zero is in the middle of the codes
    bool has_zeros;    // every zero is one of the codes
};

static bool is_signed_code(const struct qm_quantized *set)
{
    return set->packing == QM_PACKING_INT8 || set->packing == QM_PACKING_E4M3;
}

static bool survey_set(const struct qm_quantized *set, struct survey *out)
{
    const int32_t middle = is_signed_code(set) ? 0 : 1 << (set->bits - 1);
    uint32_t *group_of = malloc((size_t)set->columns * sizeof(*group_of));
    *out = (struct survey){.fits_f16 = true, .fits_f32 = true, .is_symmetric = true, .has_zeros = true};
    bool is_good = group_of && qm_quantized_group_of(set, group_of) == QM_OK;
    out->has_groups = is_good && qm_quantized_is_in_order(set, group_of);
    free(group_of);
    for (uint32_t row = 0; is_good && row < set->rows; row++)
        for (uint32_t group = 0; group < set->groups; group++) {
            float scale = qm_quantized_scale(set, row, group);
            int32_t zero = qm_quantized_zero(set, row, group);
            bool is_zero = qm_bits_from_float(scale) == 0;
            out->fits_f32 = out->fits_f32 && (is_zero || (scale >= F32_SMALLEST && scale <= 0x1p100f));
            out->fits_f16 =
                out->fits_f16 &&
                (is_zero || (scale >= F16_SMALLEST && qm_float_from_half(qm_half_from_float(scale)) == scale));
            out->is_symmetric = out->is_symmetric && zero == middle;
            out->has_zeros = out->has_zeros && !is_signed_code(set) && zero >= 0 && zero < 1 << set->bits;
        }
    return is_good;
}

// The integer format of so many bits with groups of `group`, QM_WEIGHT_FORMAT_COUNT if there is none.
static enum qm_weight_format find_format(uint32_t bits, uint32_t group, bool is_asymmetric)
{
    for (int f = 0; f < QM_WEIGHT_FORMAT_COUNT; f++) {
        const struct qm_format_info *info = qm_weight_format_info((enum qm_weight_format)f);
        if (info->name[0] == 'w' && info->bits == bits && info->group_size == group &&
            info->is_asymmetric == is_asymmetric)
            return (enum qm_weight_format)f;
    }
    return QM_WEIGHT_FORMAT_COUNT;
}

// What its program makes of the codes, value by value.
static enum qm_weight_format float_format(const struct qm_quantized *set)
{
    enum qm_dtype dtype = set->scales.tensor->dtype;
    return !set->is_rounded_to_type || dtype == QM_DTYPE_F32 ? QM_WEIGHT_F32
           : dtype == QM_DTYPE_F16                           ? QM_WEIGHT_F16
                                                             : QM_WEIGHT_BF16;
}

enum qm_weight_format qm_quantized_own_format(const struct qm_quantized *set)
{
    struct survey survey;
    enum qm_weight_format format = QM_WEIGHT_FORMAT_COUNT;
    const bool is_row = set->groups == 1 && set->row_block == 1;
    if (!survey_set(set, &survey) || !survey.has_groups)
        return float_format(set);
    if (set->bits == 8 && is_row && survey.is_symmetric && survey.fits_f32)
        return set->packing == QM_PACKING_E4M3 ? QM_WEIGHT_E4M3 : QM_WEIGHT_W8;
    if (set->packing == QM_PACKING_E4M3 || set->row_block != 1 || !survey.fits_f16)
        return float_format(set);
    for (uint32_t group = 128; group >= 32 && format == QM_WEIGHT_FORMAT_COUNT; group /= 2)
        if (set->group_size % group == 0 && set->columns % group == 0 && (survey.is_symmetric || survey.has_zeros))
            format = find_format(set->bits, group, !survey.is_symmetric);
    return format == QM_WEIGHT_FORMAT_COUNT ? float_format(set) : format;
}

enum qm_activation_format qm_quantized_own_activations(const struct qm_quantized *set, enum qm_weight_format format,
                                                       bool *is_static)
{
    bool is_int8 = set->activations == QM_QUANTIZATION_ACTIVATIONS_INT8 ||
                   set->activations == QM_QUANTIZATION_ACTIVATIONS_INT8_STATIC;
    bool is_e4m3 = set->activations == QM_QUANTIZATION_ACTIVATIONS_E4M3 ||
                   set->activations == QM_QUANTIZATION_ACTIVATIONS_E4M3_STATIC;
    enum qm_activation_format codes = is_int8 ? QM_ACTIVATION_A8 : QM_ACTIVATION_F8;
    bool has_kernel = (is_int8 || is_e4m3) && qm_formats_multiply(format, codes);
    *is_static = has_kernel && (set->activations == QM_QUANTIZATION_ACTIVATIONS_INT8_STATIC ||
                                set->activations == QM_QUANTIZATION_ACTIVATIONS_E4M3_STATIC);
    if (*is_static && qm_quantized_input_scale(set) <= 0)
        has_kernel = *is_static = false;
    return has_kernel ? codes : qm_own_activations(format);
}

struct moving {
    const struct qm_quantized *set;
    enum qm_weight_format format;
    const struct qm_weight_codec *codec;
    size_t first_row, rows;
    struct qm_encoded to;
    atomic_bool is_out_of_memory;
};

static void put_scales(const struct moving *moving, uint32_t row, uint32_t to_row)
{
    const struct qm_quantized *set = moving->set;
    const uint32_t size = moving->codec->group ? moving->codec->group : set->columns;
    for (uint32_t group = 0; size > 0 && group < set->columns / size; group++) {
        const uint32_t of = group * size / set->group_size;
        const float scale = qm_quantized_scale(set, row, of);
        struct qm_grid_parameters grid = {.scale = scale};
        grid.stored[0] = moving->codec->scale == QM_SCALE_F32 ? qm_bits_from_float(scale) : qm_half_from_float(scale);
        if (moving->codec->scale == QM_SCALE_F16_ZERO)
            grid.stored[1] = qm_half_from_float((float)qm_quantized_zero(set, row, of));
        qm_format_put_grid(moving->format, (struct qm_encoded *)(uintptr_t)&moving->to, to_row, group, set->columns,
                           &grid);
    }
}

// Codes of a row as a stream; of a symmetric format as two's complement.
static void put_codes(const struct moving *moving, const uint8_t *from, uint32_t to_row)
{
    const uint32_t bits = moving->codec->code_bits, columns = moving->set->columns;
    const bool is_turned = !is_signed_code(moving->set) && moving->codec->scale != QM_SCALE_F16_ZERO;
    const uint32_t middle = is_turned ? 1u << (bits - 1) : 0;
    uint8_t *to = (uint8_t *)moving->to.codes + to_row * qm_format_code_bytes(moving->format, 1, columns);
    uint32_t held = 0, count = 0;
    for (uint32_t k = 0; k < columns; k++) { // a row is whole bytes
        held |= (from[k] ^ middle) << count;
        for (count += bits; count >= 8; count -= 8, held >>= 8)
            *to++ = (uint8_t)held;
    }
}

static void move_rows(void *context, size_t begin, size_t end)
{
    struct moving *moving = context;
    const uint32_t columns = moving->set->columns;
    uint8_t *codes = malloc((size_t)QM_QUANTIZED_ROWS * columns);
    if (!codes)
        atomic_store(&moving->is_out_of_memory, true);
    for (size_t part = begin; codes && part < end; part++) {
        const size_t to = part * QM_QUANTIZED_ROWS,
                     some = moving->rows - to < QM_QUANTIZED_ROWS ? moving->rows - to : QM_QUANTIZED_ROWS;
        qm_quantized_codes(moving->set, (uint32_t)(moving->first_row + to), (uint32_t)some, codes);
        for (size_t r = 0; r < some; r++) {
            put_codes(moving, codes + r * columns, (uint32_t)(to + r));
            put_scales(moving, (uint32_t)(moving->first_row + to + r), (uint32_t)(to + r));
        }
    }
    free(codes);
}

// As floats, of which the halves are their upper bits or what they are exactly.
static enum qm_status put_floats(const struct qm_quantized *set, enum qm_weight_format format, size_t first,
                                 size_t count, void *codes)
{
    float *values = format == QM_WEIGHT_F32 ? codes : malloc(count * sizeof(*values) + 1);
    uint16_t *halves = codes;
    if (!values)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu values of '%s'", set->codes.shard->file, count,
                       set->codes.tensor->name);
    enum qm_status status = qm_quantized_floats(set, first, count, values);
    for (size_t i = 0; format != QM_WEIGHT_F32 && status == QM_OK && i < count; i++)
        halves[i] =
            format == QM_WEIGHT_F16 ? qm_half_from_float(values[i]) : (uint16_t)(qm_bits_from_float(values[i]) >> 16);
    if (format != QM_WEIGHT_F32)
        free(values);
    return status;
}

enum qm_status qm_quantized_own_rows(const struct qm_quantized *set, enum qm_weight_format format, size_t first_row,
                                     size_t rows, void *codes, void *scales)
{
    struct moving moving = {.set = set,
                            .format = format,
                            .codec = qm_weight_codec(format),
                            .first_row = first_row,
                            .rows = rows,
                            .to = {.codes = codes, .scales = scales, .tensor_scale = 1}};
    if (moving.codec->scale == QM_SCALE_NONE)
        return put_floats(set, format, first_row * set->columns, rows * set->columns, codes);
    atomic_init(&moving.is_out_of_memory, false);
    qm_parallel_for((rows + QM_QUANTIZED_ROWS - 1) / QM_QUANTIZED_ROWS, move_rows, &moving);
    return atomic_load(&moving.is_out_of_memory) ? QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for rows of '%s'",
                                                           set->codes.shard->file, set->codes.tensor->name)
                                                 : QM_OK;
}
