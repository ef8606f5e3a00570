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

#include "quant/ggml_blocks.h"
#include "test/gguf_models.h"

static const struct {
    struct kind kind;
    const char *name;
} kinds[] = {
    {{"LlamaForCausalLM", true, QM_DTYPE_F32, 64, 96, 32, 40, "", ""}, "llama"},
    {{"LlamaForCausalLM", false, QM_DTYPE_F32, 96, 160, 64, 77, "", ""}, "llama"},
    {{"Qwen2ForCausalLM", false, QM_DTYPE_F32, 64, 96, 32, 40, "", ""}, "qwen2"},
    {{"Qwen3ForCausalLM", true, QM_DTYPE_F32, 64, 96, 32, 40, "", ""}, "qwen3"},
};

// Matrices Q8_0 or F32. `bad` is the matrix, from 1 on, whose scale of block 2 is infinite.
static void convert(const struct qm_model_config *c, const char *architecture, bool is_quantized, int bad)
{
    const struct gguf_conversion how = {
        .architecture = architecture, .type = is_quantized ? QM_GGUF_Q8_0 : QM_GGUF_F32, .bad = bad};
    gguf_convert(c, &how, in_directory("m.gguf"));
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
