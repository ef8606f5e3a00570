// The model of the test's directory as a GGUF file, its matrices in any of the types. Include after cmocka.
#ifndef QM_TEST_GGUF_MODELS_H
#define QM_TEST_GGUF_MODELS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "model/gguf_model.h"
#include "model/weights.h"
#include "quant/format.h"
#include "test/gguf_writer.h"
#include "test/random_model.h"

struct gguf_conversion {
    const char *architecture;                               // "llama"
    uint32_t (*type_of)(enum qm_role role, uint32_t layer); // of a matrix; NULL: `type`
    uint32_t type;
    int bad; // the matrix, from 1 on, whose block 2 has an infinite scale; 0: none
    void (*put_metadata)(struct gguf_writer *out); // more entries; NULL: none
    uint32_t metadata_count;
};

static inline void gguf_put_number(struct gguf_writer *w, const char *architecture, const char *name, uint32_t value)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", architecture, name);
    gguf_put_key(w, key, 4);
    gguf_put_u32(w, value);
}

static inline void gguf_put_real(struct gguf_writer *w, const char *architecture, const char *name, float value)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", architecture, name);
    gguf_put_key(w, key, 6);
    gguf_put(w, &value, sizeof(value));
}

// Rows as convert_hf_to_gguf.py permutes queries and keys of Llama: reshape(heads, 2, width / 2, ...).swapaxes(1, 2).
static inline void gguf_permute(float *values, uint32_t rows, uint32_t columns, uint32_t width)
{
    float *copy = malloc((size_t)rows * columns * sizeof(*copy));
    memcpy(copy, values, (size_t)rows * columns * sizeof(*copy));
    for (uint32_t head = 0; head < rows / width; ++head)
        for (uint32_t half = 0; half < 2; ++half)
            for (uint32_t i = 0; i < width / 2; ++i)
                memcpy(values + (size_t)(head * width + 2 * i + half) * columns,
                       copy + (size_t)(head * width + half * (width / 2) + i) * columns, columns * sizeof(*values));
    free(copy);
}

static inline void gguf_put_values(struct gguf_writer *w, const struct qm_gguf_type_info *type, const float *values,
                                   size_t count, bool is_bad)
{
    const struct qm_weight_codec *codec = qm_weight_codec(type->format);
    for (size_t v = 0; v < count; v += type->block_values) {
        uint8_t block[256];
        uint16_t half = qm_half_from_float(values[v]);
        uint32_t bits = qm_bits_from_float(values[v]);
        switch (type->format) {
        case QM_WEIGHT_F32:
            memcpy(block, &bits, 4);
            break;
        case QM_WEIGHT_F16:
            memcpy(block, &half, 2);
            break;
        case QM_WEIGHT_BF16:
            block[0] = (uint8_t)(bits >> 16), block[1] = (uint8_t)(bits >> 24);
            break;
        default:
            CHECK(codec->family->encode_block(codec, values + v, block));
        }
        if (is_bad && v == 2 * (size_t)type->block_values) // d is infinite; of q6_k it is the last
            memcpy(block + (type->format == QM_WEIGHT_Q6_K ? 208 : 0), "\0\x7c", 2);
        gguf_put(w, block, type->block_bytes);
    }
}

// Writes the model of `directory`, whose configuration is `c`, to `path`; vectors are F32.
static inline void gguf_convert(const struct qm_model_config *c, const struct gguf_conversion *how, const char *path)
{
    struct gguf_writer w, data = {0};
    struct qm_weights from;
    const char *architecture = how->architecture;
    int matrix = 0;
    size_t count = qm_weight_count(c) - (c->tied_head ? 1 : 0);
    CHECK(qm_weights_open(directory, &from));
    gguf_begin(&w, 3, count, 10 + how->metadata_count);
    gguf_put_key(&w, "general.architecture", 8), gguf_put_string(&w, architecture);
    gguf_put_number(&w, architecture, "embedding_length", c->own.hidden);
    gguf_put_number(&w, architecture, "feed_forward_length", c->own.intermediate);
    gguf_put_number(&w, architecture, "block_count", c->layers);
    gguf_put_number(&w, architecture, "attention.head_count", c->heads);
    gguf_put_number(&w, architecture, "attention.head_count_kv", c->kv_heads);
    gguf_put_number(&w, architecture, "attention.key_length", c->own.head_dim);
    gguf_put_number(&w, architecture, "context_length", c->context);
    gguf_put_real(&w, architecture, "attention.layer_norm_rms_epsilon", c->norm_epsilon);
    gguf_put_real(&w, architecture, "rope.freq_base", (float)c->rope_theta);
    if (how->put_metadata)
        how->put_metadata(&w);
    for (size_t i = 0; i < qm_weight_count(c); ++i) {
        enum qm_role role;
        uint32_t layer, rows, columns;
        char name[QM_GGUF_NAME_BYTES], plain[QM_WEIGHT_NAME_BYTES], full[QM_WEIGHT_NAME_BYTES + 8];
        qm_weight_at(c, i, &role, &layer);
        if (role == QM_ROLE_HEAD && c->tied_head)
            continue;
        qm_role_own_shape(c, role, &rows, &columns);
        qm_role_weight_name(role, layer, plain);
        snprintf(full, sizeof(full), "%s%s", plain, qm_role_name_ending(role));
        qm_gguf_weight_name(role, layer, name);
        size_t values = (size_t)rows * columns;
        float *floats = malloc(values * sizeof(*floats));
        CHECK(qm_weights_floats(qm_weights_find(&from, full), 0, values, floats));
        bool is_vector = qm_role_is_vector(role);
        if (strcmp(architecture, "llama") == 0 && (role == QM_ROLE_Q || role == QM_ROLE_K))
            gguf_permute(floats, rows, columns, c->own.head_dim);
        uint32_t type = is_vector ? QM_GGUF_F32 : how->type_of ? how->type_of(role, layer) : how->type;
        matrix += !is_vector;
        gguf_put_tensor(&w, name, is_vector ? 1 : 2, (const uint64_t[]){columns, rows}, type, data.count);
        gguf_put_values(&data, qm_gguf_type_info(type), floats, values, !is_vector && matrix == how->bad);
        gguf_pad(&data, 32);
        free(floats);
    }
    gguf_pad(&w, 32);
    gguf_put(&w, data.bytes, data.count);
    CHECK(qm_file_write(path, w.bytes, w.count));
    qm_weights_close(&from);
    free(w.bytes);
    free(data.bytes);
}

#endif
