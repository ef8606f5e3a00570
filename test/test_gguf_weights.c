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

// ---- Parts ----------------------------------------------------------------------------------------------------------

enum {
    PARTS = 3
};
static uint32_t told_tensors;

static void put_split(struct gguf_writer *w, uint16_t number, uint16_t count)
{
    gguf_put_key(w, "split.no", 2), gguf_put(w, &number, 2);
    gguf_put_key(w, "split.count", 2), gguf_put(w, &count, 2);
    gguf_put_key(w, "split.tensors.count", 5), gguf_put_u32(w, told_tensors);
}

static void put_first_split(struct gguf_writer *w)
{
    put_split(w, 0, PARTS);
}

static const char *part_file(uint32_t part)
{
    static char name[64];
    snprintf(name, sizeof(name), "m-%05u-of-%05u.gguf", part + 1, PARTS);
    return in_directory(name);
}

// Every third tensor of m.gguf, which has the metadata of a first part: of that all, of others what gguf-split gives them.
static void write_part(const struct qm_gguf *whole, const char *bytes, uint32_t part, uint16_t says, const char *path)
{
    struct gguf_writer w, data = {0};
    size_t count = 0;
    for (size_t i = 0; i < whole->tensor_count; ++i)
        count += i % PARTS == part;
    gguf_begin(&w, 3, count, part == 0 ? 13 : 3);
    if (part == 0) {
        const char *end = memmem(bytes, 1 << 12, "token_embd.weight", 17); // the first tensor's name, behind its length
        gguf_put(&w, bytes + 24, (size_t)(end - 8 - bytes) - 24);
    } else {
        put_split(&w, says, PARTS);
    }
    for (size_t i = part; i < whole->tensor_count; i += PARTS) {
        const struct qm_gguf_tensor *t = &whole->tensors[i];
        uint64_t sizes[2] = {t->shape[t->rank - 1], t->shape[0]};
        gguf_put_tensor(&w, t->name, t->rank, sizes, t->type->type, data.count);
        gguf_put(&data, t->data, (size_t)t->bytes);
        gguf_pad(&data, 32);
    }
    gguf_pad(&w, 32);
    gguf_put(&w, data.bytes, data.count);
    CHECK(qm_file_write(path, w.bytes, w.count));
    free(w.bytes);
    free(data.bytes);
}

// A model in three files is that of one; its hash is theirs; what is wrong with a part is told by its name.
static void test_parts(void **state)
{
    (void)state;
    write_model(&kinds[0].kind, 64, -1);
    struct qm_model *first = load(QM_MODEL_WHOLE_BYTES, 32, 0);
    struct qm_model_config c = first->config;
    qm_model_destroy(&first);
    told_tensors = (uint32_t)qm_weight_count(&c) - (c.tied_head ? 1 : 0);
    const struct gguf_conversion how = {
        .architecture = "llama", .type = QM_GGUF_Q8_0, .put_metadata = put_first_split, .metadata_count = 3};
    gguf_convert(&c, &how, in_directory("m.gguf"));
    struct qm_model *model = NULL;
    expect_refusal(
        qm_model_load(in_directory("m.gguf"), 32, &model),
        "m.gguf: it is part 1 of 3 by its metadata, and not by its name; give it the one that it had, such as "
        "x-00001-of-00003.gguf, beside the others");
    struct qm_gguf whole;
    void *bytes;
    size_t byte_count;
    CHECK(qm_file_read(in_directory("m.gguf"), 1 << 24, &bytes, &byte_count));
    CHECK(qm_gguf_view(bytes, byte_count, "m.gguf", &whole));
    for (uint32_t part = 0; part < PARTS; ++part)
        write_part(&whole, bytes, part, (uint16_t)part, part_file(part));

    struct qm_model *one = load_path(directory, QM_MODEL_WHOLE_BYTES);
    for (int is_large = 0; is_large < 2; ++is_large) {
        model = load_path(part_file(0), is_large ? 0 : QM_MODEL_WHOLE_BYTES);
        check_same(one, model, true);
        assert_int_equal(model->file_count, PARTS);
        qm_model_destroy(&model);
    }
    qm_model_destroy(&one);
    struct qm_hash hash;
    struct qm_weights weights;
    char of_files[QM_HASH_TEXT_BYTES], text[QM_HASH_TEXT_BYTES];
    qm_hash_begin(&hash);
    for (uint32_t part = 0; part < PARTS; ++part) {
        void *of_part;
        size_t count;
        CHECK(qm_file_read(part_file(part), 1 << 24, &of_part, &count));
        qm_hash_add(&hash, of_part, count);
        free(of_part);
    }
    qm_hash_end(&hash, of_files);
    CHECK(qm_weights_open(part_file(0), &weights));
    qm_weights_hash(&weights, NULL, 0, NULL, text);
    assert_string_equal(text, of_files);
    qm_weights_close(&weights);

    expect_refusal(qm_model_load(part_file(1), 32, &model), "part 2 of 3; give the first, ");
    write_part(&whole, bytes, 2, 1, part_file(2)); // says that it is the second
    expect_refusal(qm_model_load(part_file(0), 32, &model),
                   "'split.no' and 'split.count' do not say that it is part 3 of 3");
    write_part(&whole, bytes, 1, 2, part_file(2)); // the second's tensors, twice
    expect_refusal(qm_model_load(part_file(0), 32, &model), "two parts have a tensor '");
    CHECK(qm_file_remove(part_file(2)));
    expect_refusal(qm_model_load(part_file(0), 32, &model),
                   "part 3 of 3 is not there; all parts must lie beside the first");
    write_part(&whole, bytes, 2, 2, part_file(2));
    told_tensors += 1;
    gguf_convert(&c, &how, in_directory("m.gguf"));
    qm_gguf_close(&whole);
    free(bytes);
    CHECK(qm_file_read(in_directory("m.gguf"), 1 << 24, &bytes, &byte_count));
    CHECK(qm_gguf_view(bytes, byte_count, "m.gguf", &whole));
    write_part(&whole, bytes, 0, 0, part_file(0));
    expect_refusal(qm_model_load(part_file(0), 32, &model), "its 3 parts have ");
    qm_gguf_close(&whole);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_model),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, directory_setup, directory_teardown);
}
