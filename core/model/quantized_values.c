// Codes, zeros and scales of quantized weights as their programs packed them, and the floats that they stand for.
//
// Words lie down the inputs in two of the formats, so that one row's codes are as far apart as a row of words is long: rows are
// taken QM_QUANTIZED_ROWS at a time, whose words are neighbours.
#include "base/minifloat.h"
#include "base/numeric.h"
#include "model/quantized_sets.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define EXPONENT 0x7f800000u // all of it set: infinite or not a number

static uint32_t word_at(const struct qm_tensor *tensor, size_t index)
{
    uint32_t word;
    memcpy(&word, (const char *)tensor->data + index * sizeof(word), sizeof(word));
    return word;
}

// The nibble of a word that has output `i` of its eight.
static uint32_t awq_shift(uint32_t i)
{
    return i % 2 * 16 + i / 2 * 4;
}

// ---- Codes ----------------------------------------------------------------------------------------------------------

// Input k of rows that are neighbours in a row of words. A code of 3 bits may begin in one word and end in the next.
static void codes_down(const struct qm_quantized *set, uint32_t first_row, uint32_t row_count, uint8_t *codes)
{
    const uint32_t mask = (1u << set->bits) - 1;
    for (uint32_t k = 0; k < set->columns; k++) {
        uint64_t bit = (uint64_t)k * set->bits;
        uint32_t shift = (uint32_t)(bit % 32);
        size_t at = (size_t)(bit / 32) * set->rows + first_row;
        for (uint32_t r = 0; r < row_count; r++) {
            uint32_t code = word_at(set->codes.tensor, at + r) >> shift;
            if (shift + set->bits > 32)
                code |= word_at(set->codes.tensor, at + set->rows + r) << (32 - shift);
            codes[(size_t)r * set->columns + k] = (uint8_t)(code & mask);
        }
    }
}

static void codes_awq(const struct qm_quantized *set, uint32_t first_row, uint32_t row_count, uint8_t *codes)
{
    for (uint32_t k = 0; k < set->columns; k++)
        for (uint32_t r = 0; r < row_count; r++) {
            uint32_t row = first_row + r;
            uint32_t word = word_at(set->codes.tensor, (size_t)k * (set->rows / 8) + row / 8);
            codes[(size_t)r * set->columns + k] = (uint8_t)(word >> awq_shift(row % 8) & 15);
        }
}

static void codes_across(const struct qm_quantized *set, uint32_t first_row, uint32_t row_count, uint8_t *codes)
{
    const uint32_t per_word = 32 / set->bits, words = (set->columns + per_word - 1) / per_word,
                   mask = (1u << set->bits) - 1;
    for (uint32_t r = 0; r < row_count; r++)
        for (uint32_t k = 0; k < set->columns; k++) {
            uint32_t word = word_at(set->codes.tensor, (size_t)(first_row + r) * words + k / per_word);
            codes[(size_t)r * set->columns + k] = (uint8_t)(word >> k % per_word * set->bits & mask);
        }
}

// The bytes that rows lie in where they are neighbours are given back; words down the inputs hold other rows, too, and are given
// back with the last of them.
static void drop_pages(const struct qm_quantized *set, uint32_t first_row, uint32_t row_count)
{
    const struct qm_tensor *codes = set->codes.tensor;
    if (set->packing == QM_PACKING_DOWN || set->packing == QM_PACKING_AWQ) {
        if (first_row + row_count == set->rows)
            qm_file_map_drop(&set->codes.shard->map, codes->data, codes->bytes);
        return;
    }
    size_t row_bytes = codes->bytes / set->rows;
    qm_file_map_drop(&set->codes.shard->map, (const char *)codes->data + first_row * row_bytes, row_count * row_bytes);
}

void qm_quantized_codes(const struct qm_quantized *set, uint32_t first_row, uint32_t row_count, uint8_t *codes)
{
    if (set->packing == QM_PACKING_DOWN)
        codes_down(set, first_row, row_count, codes);
    else if (set->packing == QM_PACKING_AWQ)
        codes_awq(set, first_row, row_count, codes);
    else if (set->packing == QM_PACKING_ACROSS || set->packing == QM_PACKING_AWQ_ROWS)
        codes_across(set, first_row, row_count, codes);
    else
        memcpy(codes, (const char *)set->codes.tensor->data + (size_t)first_row * set->columns,
               (size_t)row_count * set->columns);
    drop_pages(set, first_row, row_count);
}

// ---- Zeros, scales, groups ------------------------------------------------------------------------------------------

static size_t scale_index(const struct qm_quantized *set, uint32_t row, uint32_t group)
{
    return row / set->row_block * set->scale_row + group * set->scale_group;
}

int32_t qm_quantized_zero(const struct qm_quantized *set, uint32_t row, uint32_t group)
{
    const struct qm_tensor *zeros = set->zeros.tensor;
    const uint32_t mask = (1u << set->bits) - 1;
    const int32_t offset = set->packing == QM_PACKING_ACROSS ? 1 << (set->bits - 1) : 0;
    if (!zeros)
        return offset;
    if (zeros->dtype == QM_DTYPE_I8)
        return ((const int8_t *)zeros->data)[scale_index(set, row, group)] + offset;
    if (set->packing == QM_PACKING_ACROSS) {
        uint32_t per_word = 32 / set->bits;
        return (int32_t)(word_at(zeros, (size_t)(row / per_word) * set->groups + group) >> row % per_word * set->bits &
                         mask);
    }
    if (set->packing == QM_PACKING_AWQ_ROWS)
        return (int32_t)(word_at(zeros, (row * set->scale_row + group) / 8) >> group % 8 * 4 & mask);
    size_t words = (size_t)group * ((size_t)set->rows * set->bits / 32);
    if (set->packing == QM_PACKING_AWQ)
        return (int32_t)(word_at(zeros, words + row / 8) >> awq_shift(row % 8) & mask);
    uint64_t bit = (uint64_t)row * set->bits;
    uint32_t shift = (uint32_t)(bit % 32), zero = word_at(zeros, words + (size_t)(bit / 32)) >> shift;
    if (shift + set->bits > 32)
        zero |= word_at(zeros, words + (size_t)(bit / 32) + 1) << (32 - shift);
    return (int32_t)(zero & mask) + (set->is_zero_less_one ? 1 : 0);
}

static float float_at(const struct qm_tensor *tensor, size_t index)
{
    const char *at = (const char *)tensor->data + index * qm_dtype_bytes(tensor->dtype);
    uint32_t word;
    uint16_t half;
    if (tensor->dtype == QM_DTYPE_F32) {
        memcpy(&word, at, sizeof(word));
        return qm_float_from_bits(word);
    }
    memcpy(&half, at, sizeof(half));
    return tensor->dtype == QM_DTYPE_F16 ? qm_float_from_half(half) : qm_float_from_bits((uint32_t)half << 16);
}

float qm_quantized_scale(const struct qm_quantized *set, uint32_t row, uint32_t group)
{
    return float_at(set->scales.tensor, scale_index(set, row, group));
}

float qm_quantized_input_scale(const struct qm_quantized *set)
{
    const struct qm_tensor *tensor = set->input_scale.tensor;
    size_t bytes = tensor ? qm_dtype_bytes(tensor->dtype) : 0;
    if (!tensor || tensor->bytes != bytes ||
        !(tensor->dtype == QM_DTYPE_F16 || tensor->dtype == QM_DTYPE_BF16 || tensor->dtype == QM_DTYPE_F32))
        return 0;
    float scale = float_at(tensor, 0);
    return scale >= 0x1p-116f && scale <= 0x1p100f ? scale : 0;
}

enum qm_status qm_quantized_group_of(const struct qm_quantized *set, uint32_t *group_of)
{
    const struct qm_tensor *table = set->group_of.tensor;
    bool is_by_place = !table, is_gptq = set->packing == QM_PACKING_DOWN;
    uint32_t *counts = calloc(set->groups, sizeof(*counts));
    enum qm_status status = QM_OK;
    if (!counts)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for the groups of '%s'", set->codes.shard->file,
                       set->codes.tensor->name);
    for (uint32_t k = 0; table && k < set->columns; k++) {
        group_of[k] = word_at(table, k);
        is_by_place = is_by_place || (!is_gptq && group_of[k] == UINT32_MAX);
        if (group_of[k] < set->groups)
            counts[group_of[k]]++;
        else if (status == QM_OK && (is_gptq || group_of[k] != UINT32_MAX))
            status = QM_FAIL(QM_INVALID,
                             "%s: tensor '%s': input %" PRIu32 " is in group %" PRId32 " of %" PRIu32 "; get it again",
                             set->group_of.shard->file, table->name, k, (int32_t)group_of[k], set->groups);
    }
    for (uint32_t g = 0; status == QM_OK && !is_by_place && !is_gptq && g < set->groups; g++)
        if (counts[g] != set->group_size) // its program sorts inputs by group and cuts them into equal ones
            status = QM_FAIL(QM_INVALID,
                             "%s: tensor '%s': %" PRIu32 " inputs are in group %" PRIu32 " of %" PRIu32
                             "; every group must have as many",
                             set->group_of.shard->file, table->name, counts[g], g, set->group_size);
    for (uint32_t k = 0; is_by_place && k < set->columns; k++)
        group_of[k] = k / set->group_size;
    free(counts);
    return status;
}

bool qm_quantized_is_in_order(const struct qm_quantized *set, const uint32_t *group_of)
{
    for (uint32_t k = 0; k < set->columns; k++)
        if (group_of[k] != k / set->group_size)
            return false;
    return true;
}

// ---- Values ---------------------------------------------------------------------------------------------------------

// To nearest, ties to even, of a finite product.
static float round_to(enum qm_dtype dtype, float value)
{
    uint32_t bits = qm_bits_from_float(value);
    if (dtype == QM_DTYPE_F16)
        return qm_float_from_half(qm_half_from_float(value));
    if (dtype == QM_DTYPE_BF16 && (bits & EXPONENT) != EXPONENT)
        return qm_float_from_bits((bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u);
    return value;
}

// What a code stands for before the scale.
static float number_of(const struct qm_quantized *set, uint32_t code, int32_t zero)
{
    if (set->packing == QM_PACKING_E4M3)
        return (float)qm_minifloat_value(QM_MINIFLOAT_E4M3FN, code) - (float)zero;
    int32_t plain = set->packing == QM_PACKING_INT8 ? (int8_t)(uint8_t)code : (int32_t)code;
    return (float)(plain - zero);
}

// Room for one part of the rows.
struct part {
    uint8_t *codes;
    uint32_t *group_of;
    float *numbers; // of a group's codes: all that there are
};

static bool is_finite(float value)
{
    return (qm_bits_from_float(value) & EXPONENT) != EXPONENT;
}

static enum qm_status refuse_value(const struct qm_quantized *set, uint32_t row, uint32_t column, uint32_t group)
{
    const struct qm_quantized_part *codes = &set->codes, *scales = &set->scales;
    float scale = qm_quantized_scale(set, row, group);
    if (!is_finite(scale))
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': value %zu is %s; every scale must be finite", scales->shard->file,
                       scales->tensor->name, scale_index(set, row, group),
                       scale != scale ? "not a number" : "infinite");
    return QM_FAIL(QM_INVALID,
                   "%s: tensor '%s': output %" PRIu32 ", input %" PRIu32 " is not finite; every weight must be",
                   codes->shard->file, codes->tensor->name, row, column);
}

// The values of one row. Of few bits a group's are made once for each code.
static enum qm_status fill_row(const struct qm_quantized *set, const struct part *part, uint32_t row,
                               const uint8_t *codes, float *values)
{
    const enum qm_dtype dtype = set->is_rounded_to_type ? set->scales.tensor->dtype : QM_DTYPE_F32;
    const uint32_t kinds = 1u << set->bits;
    const bool has_table = (uint64_t)set->groups * kinds <= set->columns;
    uint32_t bad = 0;
    for (uint32_t g = 0; has_table && g < set->groups; g++) {
        const float scale = qm_quantized_scale(set, row, g);
        const int32_t zero = qm_quantized_zero(set, row, g);
        for (uint32_t code = 0; code < kinds; code++)
            part->numbers[(size_t)g * kinds + code] = round_to(dtype, scale * number_of(set, code, zero));
    }
    for (uint32_t k = 0; k < set->columns; k++) {
        const uint32_t g = part->group_of[k];
        values[k] = has_table ? part->numbers[(size_t)g * kinds + codes[k]]
                              : round_to(dtype, qm_quantized_scale(set, row, g) *
                                                    number_of(set, codes[k], qm_quantized_zero(set, row, g)));
        bad |= (qm_bits_from_float(values[k]) & EXPONENT) == EXPONENT;
    }
    for (uint32_t k = 0; bad && k < set->columns; k++)
        if (!is_finite(values[k]))
            return refuse_value(set, row, k, part->group_of[k]);
    return QM_OK;
}

static enum qm_status fill_rows(const struct qm_quantized *set, uint32_t first_row, uint32_t row_count, float *values)
{
    struct part part = {.codes = malloc((size_t)row_count * set->columns + 1),
                        .group_of = malloc((size_t)set->columns * sizeof(*part.group_of)),
                        .numbers = malloc(((size_t)set->columns + 1) * sizeof(*part.numbers))};
    enum qm_status status = part.codes && part.group_of && part.numbers
                                ? qm_quantized_group_of(set, part.group_of)
                                : QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for rows of '%s'", set->codes.shard->file,
                                          set->codes.tensor->name);
    if (status == QM_OK)
        qm_quantized_codes(set, first_row, row_count, part.codes);
    for (uint32_t r = 0; status == QM_OK && r < row_count; r++)
        status = fill_row(set, &part, first_row + r, part.codes + (size_t)r * set->columns,
                          values + (size_t)r * set->columns);
    free(part.codes);
    free(part.group_of);
    free(part.numbers);
    return status;
}

struct range {
    const struct qm_quantized *set;
    size_t first, count; // values
    float *values;
    atomic_size_t bad; // the first part of the rows that failed
};

// A part of the rows; of its first and last some values may lie outside of the range.
static enum qm_status fill_part(const struct range *range, size_t part)
{
    const size_t columns = range->set->columns, end = range->first + range->count;
    size_t row = range->first / columns + part * QM_QUANTIZED_ROWS, last = (end - 1) / columns + 1;
    last = last - row < QM_QUANTIZED_ROWS ? last : row + QM_QUANTIZED_ROWS;
    size_t low = row * columns > range->first ? row * columns : range->first;
    size_t high = last * columns < end ? last * columns : end;
    bool is_whole = low == row * columns && high == last * columns;
    float *rows = is_whole ? range->values + (low - range->first) : malloc((last - row) * columns * sizeof(*rows));
    if (!rows)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for rows of '%s'", range->set->codes.shard->file,
                       range->set->codes.tensor->name);
    enum qm_status status = fill_rows(range->set, (uint32_t)row, (uint32_t)(last - row), rows);
    if (!is_whole) {
        if (status == QM_OK)
            memcpy(range->values + (low - range->first), rows + (low - row * columns), (high - low) * sizeof(*rows));
        free(rows);
    }
    return status;
}

static void fill_parts(void *context, size_t begin, size_t end)
{
    struct range *range = context;
    for (size_t part = begin; part < end && part < atomic_load(&range->bad); part++)
        if (fill_part(range, part) != QM_OK) {
            size_t lowest = atomic_load(&range->bad);
            while (part < lowest && !atomic_compare_exchange_weak(&range->bad, &lowest, part))
                ;
            return;
        }
}

enum qm_status qm_quantized_floats(const struct qm_quantized *set, size_t first, size_t count, float *values)
{
    struct range range = {.set = set, .first = first, .count = count, .values = values};
    if (count == 0)
        return QM_OK;
    size_t rows = (first + count - 1) / set->columns - first / set->columns + 1;
    atomic_init(&range.bad, SIZE_MAX);
    qm_parallel_for((rows + QM_QUANTIZED_ROWS - 1) / QM_QUANTIZED_ROWS, fill_parts, &range);
    size_t bad = atomic_load(&range.bad);
    return bad == SIZE_MAX ? QM_OK : fill_part(&range, bad); // again, for the words, which are another thread's
}
