// Writes a model's directory whose linear weights are quantized, in each program's layout, with random codes; and the values
// that they stand for, by the plain formula. Include after cmocka and random_model.h.
#ifndef QM_TEST_QUANTIZED_WRITER_H
#define QM_TEST_QUANTIZED_WRITER_H

#include "base/minifloat.h"
#include "base/numeric.h"
#include "model/quantization_config.h"

struct quantized_kind {
    const char *label, *config; // the config's value of quantization_config
    enum qm_quantization_packing packing;
    uint32_t bits, group_size; // 0: one group
    bool is_shuffled;          // inputs in groups by a table
    int stored_less;           // of zeros
    bool has_zeros;            // drawn; else 2^(bits - 1), or 0 where codes are signed
};

struct quantized_file {
    struct qm_tensor tensors[256];
    char names[256][QM_WEIGHT_NAME_BYTES + 24];
    size_t count;
};

static inline enum qm_dtype dtype_of(const char *name)
{
    int dtype = 0;
    while (strcmp(qm_dtype_name((enum qm_dtype)dtype), name) != 0)
        assert_true(++dtype < QM_DTYPE_COUNT);
    return (enum qm_dtype)dtype;
}

static inline void *add_tensor(struct quantized_file *file, const char *name, const char *ending, enum qm_dtype dtype,
                               uint32_t rank, uint64_t rows, uint64_t columns)
{
    size_t bytes = (size_t)(rows * (rank == 2 ? columns : 1)) * qm_dtype_bytes(dtype);
    void *data = calloc(bytes, 1);
    assert_non_null(data);
    assert_true(file->count < 256);
    snprintf(file->names[file->count], sizeof(file->names[0]), "%s%s", name, ending);
    file->tensors[file->count] = (struct qm_tensor){.name = file->names[file->count],
                                                    .dtype = dtype,
                                                    .rank = rank,
                                                    .shape = {rows, columns},
                                                    .bytes = bytes,
                                                    .data = data};
    ++file->count;
    return data;
}

static inline void write_file(struct quantized_file *file)
{
    CHECK(qm_safetensors_write(in_directory("model.safetensors"), file->tensors, file->count, NULL, 0));
    for (size_t i = 0; i < file->count; ++i)
        free((void *)(uintptr_t)file->tensors[i].data);
    file->count = 0;
}

// Bits `at` and above of a stream of words that lie `stride` apart.
static inline void put_bits(uint32_t *words, size_t stride, size_t at, uint32_t bits, uint32_t code)
{
    for (uint32_t b = 0; b < bits; ++b)
        words[(at + b) / 32 * stride] |= (code >> b & 1) << ((at + b) % 32);
}

static inline uint32_t draw(struct qm_random *random, uint32_t below)
{
    return (uint32_t)(qm_random_unit(random) * below) % below;
}

// One weight of `rows` by `columns`; its values go to `values`.
static inline void add_quantized(struct quantized_file *file, const struct quantized_kind *kind, const char *name,
                                 uint32_t rows, uint32_t columns, struct qm_random *random, float *values)
{
    static const uint32_t awq_nibble[8] = {0, 4, 1, 5, 2, 6, 3, 7}; // where output i of eight lies
    const uint32_t size = kind->group_size ? kind->group_size : columns, groups = (columns + size - 1) / size;
    const uint32_t bits = kind->bits, per_word = 32 / bits;
    const bool is_down = kind->packing == QM_PACKING_DOWN, is_awq = kind->packing == QM_PACKING_AWQ;
    const bool is_first_groups = is_down || is_awq, is_gemv = kind->packing == QM_PACKING_AWQ_ROWS;
    const uint32_t unit = 8 * (size >= 128  ? 1u
                               : size >= 64 ? 2u
                                            : 4u),
                   padded = is_gemv ? (groups + unit - 1) / unit * unit : groups; // scales of a row
    uint32_t *codes = NULL, *zeros = NULL;
    uint8_t *plain = NULL;
    if (is_down) {
        codes = add_tensor(file, name, ".qweight", QM_DTYPE_I32, 2, columns * bits / 32, rows);
        zeros = add_tensor(file, name, ".qzeros", QM_DTYPE_I32, 2, groups, rows * bits / 32);
    } else if (is_awq) {
        codes = add_tensor(file, name, ".qweight", QM_DTYPE_I32, 2, columns, rows / 8);
        zeros = add_tensor(file, name, ".qzeros", QM_DTYPE_I32, 2, groups, rows / 8);
    } else if (is_gemv) {
        codes = add_tensor(file, name, ".qweight", QM_DTYPE_I32, 2, rows, columns / 8);
        zeros = add_tensor(file, name, ".qzeros", QM_DTYPE_I32, 2, rows, padded / 8);
    } else if (kind->packing == QM_PACKING_ACROSS) {
        codes = add_tensor(file, name, ".weight_packed", QM_DTYPE_I32, 2, rows, (columns + per_word - 1) / per_word);
        if (kind->has_zeros)
            zeros =
                add_tensor(file, name, ".weight_zero_point", QM_DTYPE_I32, 2, (rows + per_word - 1) / per_word, groups);
        int64_t *shape = add_tensor(file, name, ".weight_shape", QM_DTYPE_I64, 1, 2, 0);
        shape[0] = rows, shape[1] = columns;
    } else {
        plain = add_tensor(file, name, ".weight", kind->packing == QM_PACKING_INT8 ? QM_DTYPE_I8 : QM_DTYPE_F8_E4M3, 2,
                           rows, columns);
    }
    uint16_t *scales = add_tensor(file, name, is_first_groups || is_gemv ? ".scales" : ".weight_scale", QM_DTYPE_F16, 2,
                                  is_first_groups ? groups : rows, is_first_groups ? rows : padded);
    int32_t *table = is_down || kind->is_shuffled
                         ? add_tensor(file, name, is_down ? ".g_idx" : ".weight_g_idx", QM_DTYPE_I32, 1, columns, 0)
                         : NULL;
    uint32_t *group_of = malloc(columns * sizeof(*group_of)),
             *zero_of = malloc((size_t)rows * groups * sizeof(*zero_of));
    assert_non_null(group_of);
    assert_non_null(zero_of);
    for (uint32_t k = 0; k < columns; ++k)
        group_of[k] = k / size;
    for (uint32_t k = columns; kind->is_shuffled && k > 1; --k) {
        uint32_t other = draw(random, k), was = group_of[k - 1];
        group_of[k - 1] = group_of[other], group_of[other] = was;
    }
    for (uint32_t k = 0; table && k < columns; ++k)
        table[k] = (int32_t)group_of[k];
    for (uint32_t r = 0; r < rows; ++r)
        for (uint32_t g = 0; g < groups; ++g) {
            uint32_t less = (uint32_t)kind->stored_less;
            uint32_t zero = kind->has_zeros ? less + draw(random, (1u << bits) - less) : 1u << (bits - 1);
            zero_of[(size_t)r * groups + g] = zero;
            scales[is_first_groups ? (size_t)g * rows + r : (size_t)r * padded + g] =
                qm_half_from_float((0.016f + 0.4f * (float)qm_random_unit(random)) / (float)(1u << (bits - 1)));
            if (is_down)
                put_bits(zeros + (size_t)g * (rows * bits / 32), 1, (size_t)r * bits, bits, zero - less);
            else if (is_awq)
                put_bits(zeros + (size_t)g * (rows / 8) + r / 8, 1, awq_nibble[r % 8] * 4, 4, zero);
            else if (is_gemv)
                put_bits(zeros + (size_t)r * (padded / 8) + g / 8, 1, g % 8 * 4, 4, zero);
            else if (zeros)
                put_bits(zeros + (size_t)(r / per_word) * groups + g, 1, r % per_word * bits, bits, zero);
        }
    for (uint32_t r = 0; r < rows; ++r)
        for (uint32_t k = 0; k < columns; ++k) {
            uint32_t code = draw(random, 1u << bits), g = group_of[k];
            float scale = qm_float_from_half(scales[is_first_groups ? (size_t)g * rows + r : (size_t)r * padded + g]);
            float number = (float)code - (float)zero_of[(size_t)r * groups + g];
            if (kind->packing == QM_PACKING_E4M3) {
                code = (code & 127) == 127 ? 1 : code;
                number = (float)qm_minifloat_value(QM_MINIFLOAT_E4M3FN, code);
            } else if (kind->packing == QM_PACKING_INT8) {
                number = (int8_t)code;
            }
            if (is_down)
                put_bits(codes + r, rows, (size_t)k * bits, bits, code);
            else if (is_awq)
                put_bits(codes + (size_t)k * (rows / 8) + r / 8, 1, awq_nibble[r % 8] * 4, 4, code);
            else if (codes)
                put_bits(codes + (size_t)r * ((columns + per_word - 1) / per_word) + k / per_word, 1,
                         k % per_word * bits, bits, code);
            else
                plain[(size_t)r * columns + k] = (uint8_t)code;
            values[(size_t)r * columns + k] = qm_float_from_half(qm_half_from_float(scale * number));
        }
    free(group_of);
    free(zero_of);
}

// The configuration of a model of such a shape, quantized so, written and read back.
static inline void write_quantized_config(const struct kind *shape, const struct quantized_kind *kind, uint32_t context,
                                          struct qm_model_config *config)
{
    struct kind with = *shape;
    char more[1024];
    void *text = NULL;
    size_t bytes = 0;
    snprintf(more, sizeof(more), ",\"quantization_config\":%s", kind->config);
    with.more = more;
    write_config(&with, context);
    CHECK(qm_file_read(in_directory("config.json"), 4096, &text, &bytes));
    CHECK(qm_model_config_parse(text, bytes, "config.json", config));
    free(text);
}

#endif
