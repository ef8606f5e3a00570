// A GGUF file in place of a directory: the same model to the bit where its tensors are floats, and what its blocks stand for
// where they are not; whole and as a large model; what is wrong with a value by tensor and index.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf_model.h"
#include "model/weights.h"
#include "quant/ggml_blocks.h"
#include "test/gguf_writer.h"
#include "test/random_model.h"

static const struct {
    struct kind kind;
    const char *name;
} kinds[] = {
    {{"LlamaForCausalLM", true, QM_DTYPE_F32, 64, 96, 32, 40, "", ""}, "llama"},
    {{"LlamaForCausalLM", false, QM_DTYPE_F32, 96, 160, 64, 77, "", ""}, "llama"},
    {{"Qwen2ForCausalLM", false, QM_DTYPE_F32, 64, 96, 32, 40, "", ""}, "qwen2"},
    {{"Qwen3ForCausalLM", true, QM_DTYPE_F32, 64, 96, 32, 40, "", ""}, "qwen3"},
};

static void put_number(struct gguf_writer *w, const char *architecture, const char *name, uint32_t value)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", architecture, name);
    gguf_put_key(w, key, 4);
    gguf_put_u32(w, value);
}

static void put_real(struct gguf_writer *w, const char *architecture, const char *name, float value)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", architecture, name);
    gguf_put_key(w, key, 6);
    gguf_put(w, &value, sizeof(value));
}

// Rows as convert_hf_to_gguf.py permutes queries and keys of Llama: reshape(heads, 2, width / 2, ...).swapaxes(1, 2).
static void permute(float *values, uint32_t rows, uint32_t columns, uint32_t width)
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

// The model of `directory` as m.gguf there: vectors F32, matrices Q8_0 or F32. `bad` is the matrix, from 1 on, whose scale of
// block 2 is infinite.
static void convert(const struct qm_model_config *c, const char *architecture, bool is_quantized, int bad)
{
    struct gguf_writer w, data = {0};
    struct qm_weights from;
    int matrix = 0;
    size_t count = qm_weight_count(c) - (c->tied_head ? 1 : 0);
    CHECK(qm_weights_open(directory, &from));
    gguf_begin(&w, 3, count, 10);
    gguf_put_key(&w, "general.architecture", 8), gguf_put_string(&w, architecture);
    put_number(&w, architecture, "embedding_length", c->own.hidden);
    put_number(&w, architecture, "feed_forward_length", c->own.intermediate);
    put_number(&w, architecture, "block_count", c->layers);
    put_number(&w, architecture, "attention.head_count", c->heads);
    put_number(&w, architecture, "attention.head_count_kv", c->kv_heads);
    put_number(&w, architecture, "attention.key_length", c->own.head_dim);
    put_number(&w, architecture, "context_length", c->context);
    put_real(&w, architecture, "attention.layer_norm_rms_epsilon", c->norm_epsilon);
    put_real(&w, architecture, "rope.freq_base", (float)c->rope_theta);
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
            permute(floats, rows, columns, c->own.head_dim);
        gguf_put_tensor(&w, name, is_vector ? 1 : 2, (const uint64_t[]){columns, rows},
                        is_vector || !is_quantized ? QM_GGUF_F32 : QM_GGUF_Q8_0, data.count);
        if (is_vector || !is_quantized) {
            gguf_put(&data, floats, values * sizeof(*floats));
        } else {
            ++matrix;
            for (size_t v = 0; v < values; v += 32) {
                uint8_t block[34];
                qm_ggml_q8_0_encode(floats + v, block);
                if (matrix == bad && v == 64)
                    block[0] = 0, block[1] = 0x7c;
                gguf_put(&data, block, sizeof(block));
            }
        }
        gguf_pad(&data, 32);
        free(floats);
    }
    gguf_pad(&w, 32);
    gguf_put(&w, data.bytes, data.count);
    CHECK(qm_file_write(in_directory("m.gguf"), w.bytes, w.count));
    qm_weights_close(&from);
    free(w.bytes);
    free(data.bytes);
}

static struct qm_model *load_path(const char *path, uint64_t whole_bytes)
{
    struct qm_model *model = NULL;
    const struct qm_model_load_params params = {.multiple = 32, .whole_bytes = whole_bytes};
    CHECK(qm_model_load_with(path, &params, &model));
    return model;
}

static void check_same(const struct qm_model *a, const struct qm_model *b, bool is_quantized)
{
    assert_int_equal(a->tensor_count, b->tensor_count);
    assert_true(a->parameters == b->parameters);
    for (size_t i = 0; i < a->tensor_count; ++i) {
        struct qm_model_view x, y;
        size_t count = (size_t)a->tensors[i].rows * a->tensors[i].columns;
        CHECK(qm_model_view_open(a, i, &x));
        CHECK(qm_model_view_open(b, i, &y));
        bool is_vector = qm_role_is_vector(a->tensors[i].role);
        for (size_t v = 0; v < count; v += 32) {
            float values[32];
            uint8_t block[34];
            memcpy(values, x.values + v, sizeof(values));
            if (is_quantized && !is_vector) { // rows are permuted whole, so that blocks are the same
                qm_ggml_q8_0_encode(x.values + v, block);
                qm_ggml_q8_0_decode(block, values);
            }
            if (memcmp(values, y.values + v, sizeof(values)) != 0)
                fail_msg("%s differs from value %zu on", a->tensors[i].name, v);
        }
        qm_model_view_close(&x);
        qm_model_view_close(&y);
    }
}

static void test_same_model(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); ++k) {
        write_model(&kinds[k].kind, 64, -1);
        struct qm_model *first = load(QM_MODEL_WHOLE_BYTES, 32, 0);
        struct qm_model_config c = first->config;
        qm_model_destroy(&first);
        struct qm_model *plain = load_path(directory, QM_MODEL_WHOLE_BYTES);
        for (int is_quantized = 0; is_quantized < 2; ++is_quantized) {
            convert(&c, kinds[k].name, is_quantized != 0, 0);
            for (int is_large = 0; is_large < 2; ++is_large) {
                struct qm_model *model = load_path(in_directory("m.gguf"), is_large ? 0 : QM_MODEL_WHOLE_BYTES);
                check_same(plain, model, is_quantized != 0);
                assert_int_equal(model->config.tied_head, c.tied_head);
                if (is_quantized)
                    assert_string_equal(model->variant, "dequantized from the blocks of its GGUF file");
                else
                    assert_null(model->variant);
                qm_model_destroy(&model);
            }
        }
        // A part of a weight, from the middle of a row and of a block, is the same as of the whole.
        struct qm_weights weights;
        CHECK(qm_weights_open(in_directory("m.gguf"), &weights));
        const struct qm_weights_entry *entry = qm_weights_find(&weights, "model.layers.1.self_attn.k_proj.weight");
        size_t count = (size_t)qm_weights_value_count(entry), columns = c.own.hidden;
        float *all = malloc(count * sizeof(*all)), *some = malloc(count * sizeof(*some));
        CHECK(qm_weights_floats(entry, 0, count, all));
        CHECK(qm_weights_floats(entry, columns + 5, 3 * columns + 1, some));
        assert_memory_equal(some, all + columns + 5, (3 * columns + 1) * sizeof(*some));
        CHECK(qm_weights_floats(entry, count - 1, 1, some));
        assert_memory_equal(some, all + count - 1, sizeof(*some));
        free(all);
        free(some);
        qm_weights_close(&weights);
        // The first matrix is the embedding.
        convert(&c, kinds[k].name, true, 1);
        struct qm_model *model = NULL;
        expect_refusal(qm_model_load(in_directory("m.gguf"), 32, &model),
                       "m.gguf: tensor 'token_embd.weight': value 64 is not finite; every weight must be");
        qm_model_destroy(&plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_model),
    };
    return cmocka_run_group_tests(tests, directory_setup, directory_teardown);
}
