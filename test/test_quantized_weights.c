// Quantized directories as float models: values to the bit those of the programs that packed them (kept as data) and of the
// plain formula; whole and as a large model; what is wrong with a file by tensor.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/quantized_sets.h"
#include "model/weights.h"
#include "test/random_model.h"

#include "test/quantized_writer.h"

#define DATA QM_SOURCE_DIR "/test/data/quantized_weights.json"

// ---- Against other programs -----------------------------------------------------------------------------------------

static size_t decode_base64(const char *text, uint8_t **out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t *bytes = *out = malloc(strlen(text) + 1);
    size_t count = 0;
    uint32_t held = 0, bits = 0;
    assert_non_null(bytes);
    for (; *text && *text != '='; ++text) {
        held = held << 6 | (uint32_t)(strchr(letters, *text) - letters);
        bits += 6;
        if (bits >= 8)
            bytes[count++] = (uint8_t)(held >> (bits -= 8));
    }
    return count;
}

static void write_case(const json_t *entry)
{
    struct quantized_file file = {.count = 0};
    const char *name;
    json_t *tensor;
    json_object_foreach(json_object_get(entry, "tensors"), name, tensor)
    {
        const json_t *shape = json_object_get(tensor, "shape");
        struct qm_tensor *to = &file.tensors[file.count++];
        uint8_t *bytes;
        *to = (struct qm_tensor){.name = name, .dtype = dtype_of(json_string_value(json_object_get(tensor, "dtype")))};
        to->bytes = decode_base64(json_string_value(json_object_get(tensor, "data")), &bytes);
        to->data = bytes;
        to->rank = (uint32_t)json_array_size(shape);
        for (uint32_t i = 0; i < to->rank; ++i)
            to->shape[i] = (uint64_t)json_integer_value(json_array_get(shape, i));
    }
    write_file(&file);
}

static void test_programs(void **state)
{
    (void)state;
    json_error_t error;
    json_t *root = json_load_file(DATA, 0, &error), *entry;
    size_t index, cases = 0;
    assert_non_null(root);
    json_array_foreach(json_object_get(root, "cases"), index, entry)
    {
        const char *label = json_string_value(json_object_get(entry, "name"));
        struct qm_quantization how;
        struct qm_weights weights;
        uint8_t *wanted;
        char *config = json_dumps(json_object_get(entry, "config"), 0);
        write_case(entry);
        CHECK(qm_quantization_parse(config, strlen(config), label, &how));
        CHECK(qm_weights_open(directory, &weights));
        CHECK(qm_quantized_group(&weights, &how));
        assert_int_equal(weights.count, 1);
        const struct qm_weights_entry *weight = qm_weights_find(&weights, "m.weight");
        assert_non_null(weight);
        size_t count = decode_base64(json_string_value(json_object_get(entry, "values")), &wanted) / sizeof(float);
        size_t columns = (size_t)json_integer_value(json_array_get(json_object_get(entry, "shape"), 1));
        assert_int_equal(qm_weights_value_count(weight), count);
        assert_int_equal(weight->tensor->shape[1], columns);
        float *values = calloc(count, sizeof(*values));
        CHECK(qm_weights_floats(weight, 0, count, values));
        for (size_t i = 0; i < count; ++i)
            if (memcmp(values + i, wanted + i * sizeof(float), sizeof(float)) != 0)
                fail_msg("%s: value %zu is %.9g", label, i, (double)values[i]);
        // Ranges that begin and end within rows, and one value.
        const size_t ranges[][2] = {{1, count - 2}, {columns - 1, 2}, {columns + 3, columns}, {count - 1, 1}, {5, 0}};
        for (size_t r = 0; r < sizeof(ranges) / sizeof(*ranges); ++r) {
            memset(values, 0x55, count * sizeof(*values));
            CHECK(qm_weights_floats(weight, ranges[r][0], ranges[r][1], values));
            assert_memory_equal(values, wanted + ranges[r][0] * sizeof(float), ranges[r][1] * sizeof(float));
            if (ranges[r][1] < count)
                assert_int_equal(qm_bits_from_float(values[ranges[r][1]]), 0x55555555);
        }
        free(values);
        free(wanted);
        free(config);
        qm_weights_close(&weights);
        qm_quantization_free(&how);
        ++cases;
    }
    assert_true(cases >= 24);
    json_decref(root);
}

// ---- Models ---------------------------------------------------------------------------------------------------------

#define GPTQ(bits, size, more) "{\"quant_method\":\"gptq\",\"bits\":" bits ",\"group_size\":" size more "}"
#define COMPRESSED(form, weights)                                                                                      \
    "{\"quant_method\":\"compressed-tensors\",\"format\":\"" form                                                      \
    "\",\"config_groups\":{\"group_0\":{\"weights\":{" weights                                                         \
    "},\"targets\":[\"Linear\"]}},\"ignore\":[\"lm_head\"]}"

static const struct quantized_kind quantized_kinds[] = {
    {"gptq", GPTQ("4", "32", ""), QM_PACKING_DOWN, 4, 32, false, 1, true},
    {"gptq, act-order", GPTQ("4", "32", ",\"desc_act\":true"), QM_PACKING_DOWN, 4, 32, true, 1, true},
    {"gptq, 3 bits", GPTQ("3", "-1", ",\"format\":\"gptq_v2\""), QM_PACKING_DOWN, 3, 0, false, 0, true},
    {"gptq, 8 bits", GPTQ("8", "64", ""), QM_PACKING_DOWN, 8, 64, false, 1, false},
    {"awq", "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32}", QM_PACKING_AWQ, 4, 32, false, 0, true},
    {"awq, gemv", "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32,\"version\":\"gemv\"}", QM_PACKING_AWQ_ROWS,
     4, 32, false, 0, true},
    {"pack-quantized",
     COMPRESSED("pack-quantized", "\"num_bits\":4,\"strategy\":\"group\",\"group_size\":16,\"symmetric\":false"),
     QM_PACKING_ACROSS, 4, 16, false, 0, true},
    {"int-quantized", COMPRESSED("int-quantized", "\"num_bits\":8,\"strategy\":\"channel\""), QM_PACKING_INT8, 8, 0,
     false, 0, false},
    {"float-quantized", COMPRESSED("float-quantized", "\"num_bits\":8,\"type\":\"float\",\"strategy\":\"channel\""),
     QM_PACKING_E4M3, 8, 0, false, 0, false},
};

static const struct kind shapes[] = {
    {"LlamaForCausalLM", false, QM_DTYPE_F16, 64, 96, 32, 41, "", ""},
    {"Qwen2ForCausalLM", true, QM_DTYPE_BF16, 64, 96, 32, 40, "", ""},
};

// Writes the model and keeps its values, [weight][value]; layer 1's gate is left as floats. What `change` makes of the file's
// tensors before they are written may be anything.
static void write_quantized(const struct kind *shape, const struct quantized_kind *kind, float **values,
                            void (*change)(struct quantized_file *file))
{
    static struct quantized_file file;
    struct qm_random random;
    struct qm_model_config config;
    qm_random_seed(&random, 11, 0);
    write_quantized_config(shape, kind, 64, &config);
    for (size_t i = 0; i < qm_weight_count(&config); ++i) {
        enum qm_role role;
        uint32_t layer, rows, columns;
        char name[QM_WEIGHT_NAME_BYTES];
        qm_weight_at(&config, i, &role, &layer);
        qm_role_weight_name(role, layer, name);
        qm_role_own_shape(&config, role, &rows, &columns);
        values[i] = calloc((size_t)rows * columns, sizeof(float));
        if (role == QM_ROLE_HEAD && config.tied_head)
            memcpy(values[i], values[0], (size_t)rows * columns * sizeof(float));
        else if (qm_role_is_linear(role) && role != QM_ROLE_HEAD && !(role == QM_ROLE_GATE && layer == 1)) {
            add_quantized(&file, kind, name, rows, columns, &random, values[i]);
        } else {
            bool is_vector = qm_role_is_vector(role);
            uint16_t *data = add_tensor(&file, name, qm_role_name_ending(role), shape->dtype, is_vector ? 1 : 2,
                                        is_vector ? columns : rows, columns);
            for (size_t v = 0; v < (size_t)rows * columns; ++v) { // halves whose bits are both types' small numbers
                data[v] = (uint16_t)(0x3c00 + draw(&random, 200));
                values[i][v] = shape->dtype == QM_DTYPE_F16 ? qm_float_from_half(data[v])
                                                            : qm_float_from_bits((uint32_t)data[v] << 16);
            }
        }
    }
    if (change)
        change(&file);
    write_file(&file);
}

static void test_models(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof(shapes) / sizeof(*shapes); ++s)
        for (size_t k = 0; k < sizeof(quantized_kinds) / sizeof(*quantized_kinds); ++k) {
            const struct quantized_kind *kind = &quantized_kinds[k];
            float *values[64] = {0};
            char wanted[80];
            write_quantized(&shapes[s], kind, values, NULL);
            for (int large = 0; large < 2; ++large) {
                struct qm_model *model = NULL;
                CHECK(qm_model_load_with(
                    directory, &(struct qm_model_load_params){.multiple = 32, .whole_bytes = large ? 0 : UINT64_MAX},
                    &model));
                snprintf(wanted, sizeof(wanted), "dequantized from the %s codes of its files",
                         qm_quantization_method_name(model->quantization.method));
                assert_string_equal(model->variant, wanted);
                assert_true(strstr(model->quantization.text, "\"quant_method\":\"") != NULL);
                uint64_t quantized = 0;
                for (size_t i = 0; i < model->tensor_count; ++i) {
                    const struct qm_model_tensor *tensor = &model->tensors[i];
                    struct qm_model_view view;
                    CHECK(qm_model_view_open(model, i, &view));
                    size_t count = (size_t)tensor->rows * tensor->columns, own = 0;
                    uint32_t rows, columns;
                    qm_role_own_shape(&model->config, tensor->role, &rows, &columns);
                    for (size_t v = 0; v < count; ++v) // heads are padded: zeros stand between
                        if (view.values[v] != 0) {
                            while (own < (size_t)rows * columns && values[i][own] == 0)
                                ++own;
                            if (own == (size_t)rows * columns || view.values[v] != values[i][own++])
                                fail_msg("%s: %s: value %zu is %.9g", kind->label, tensor->name, v,
                                         (double)view.values[v]);
                        }
                    for (; own < (size_t)rows * columns; ++own)
                        assert_true(values[i][own] == 0);
                    if (qm_role_is_linear(tensor->role) && tensor->role != QM_ROLE_HEAD &&
                        !(tensor->role == QM_ROLE_GATE && tensor->layer == 1))
                        quantized += (uint64_t)rows * columns;
                    qm_model_view_close(&view);
                }
                assert_int_equal(model->quantized_values, quantized);
                qm_model_destroy(&model);
            }
            for (size_t i = 0; i < 64; ++i)
                free(values[i]);
        }
}

// ---- What is wrong --------------------------------------------------------------------------------------------------

#define Q1 "model.layers.1.self_attn.q_proj"

static struct qm_tensor *tensor_of(struct quantized_file *file, const char *name)
{
    for (size_t i = 0; i < file->count; ++i)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void leave_out(struct quantized_file *file, const char *name)
{
    struct qm_tensor *tensor = tensor_of(file, name);
    free((void *)(uintptr_t)tensor->data);
    *tensor = file->tensors[--file->count];
}

static void put_half(struct quantized_file *file, const char *name, size_t index, uint16_t bits)
{
    ((uint16_t *)(uintptr_t)tensor_of(file, name)->data)[index] = bits;
}

static void no_scales(struct quantized_file *file)
{
    leave_out(file, Q1 ".scales");
}
static void no_zeros(struct quantized_file *file)
{
    leave_out(file, Q1 ".qzeros");
}
static void no_codes(struct quantized_file *file)
{
    leave_out(file, Q1 ".qweight");
}
static void no_table(struct quantized_file *file)
{
    leave_out(file, Q1 ".g_idx");
}
static void no_shape(struct quantized_file *file)
{
    leave_out(file, Q1 ".weight_shape");
}
static void no_weight_scale(struct quantized_file *file)
{
    leave_out(file, Q1 ".weight_scale");
}
static void no_sets(struct quantized_file *file)
{
    for (size_t i = file->count; i-- > 0;)
        if (file->tensors[i].dtype == QM_DTYPE_I32 || strstr(file->tensors[i].name, ".scales"))
            leave_out(file, file->tensors[i].name);
}
static void scales_turned(struct quantized_file *file)
{
    struct qm_tensor *scales = tensor_of(file, Q1 ".scales");
    uint64_t rows = scales->shape[0];
    scales->shape[0] = scales->shape[1], scales->shape[1] = rows;
}
static void scales_of_integers(struct quantized_file *file)
{
    tensor_of(file, Q1 ".scales")->dtype = QM_DTYPE_I16;
}
static void codes_of_floats(struct quantized_file *file)
{
    tensor_of(file, Q1 ".qweight")->dtype = QM_DTYPE_F32;
}
static void scale_nan(struct quantized_file *file)
{
    put_half(file, Q1 ".scales", 64 + 5, 0x7e00);
}
static void scale_infinite(struct quantized_file *file)
{
    put_half(file, Q1 ".scales", 3, 0xfc00);
}
static void scale_huge(struct quantized_file *file)
{
    for (size_t i = 0; i < 128; ++i)
        put_half(file, Q1 ".scales", i, 0x7bff);
}
static void group_beyond(struct quantized_file *file)
{
    ((int32_t *)(uintptr_t)tensor_of(file, Q1 ".g_idx")->data)[7] = 2;
}
static void group_negative(struct quantized_file *file)
{
    ((int32_t *)(uintptr_t)tensor_of(file, Q1 ".g_idx")->data)[63] = -1;
}
static void shape_beyond(struct quantized_file *file)
{
    ((int64_t *)(uintptr_t)tensor_of(file, Q1 ".weight_shape")->data)[1] = 65;
}
static void shape_negative(struct quantized_file *file)
{
    ((int64_t *)(uintptr_t)tensor_of(file, Q1 ".weight_shape")->data)[1] = -64;
}
static void shape_huge(struct quantized_file *file)
{
    int64_t *shape = (int64_t *)(uintptr_t)tensor_of(file, Q1 ".weight_shape")->data;
    shape[0] = INT64_MAX, shape[1] = INT64_MAX;
}
static void e4m3_nan(struct quantized_file *file)
{
    ((uint8_t *)(uintptr_t)tensor_of(file, Q1 ".weight")->data)[70] = 0xff;
}
static void both(struct quantized_file *file)
{
    (void)add_tensor(file, Q1, ".weight", QM_DTYPE_F16, 2, 64, 64);
}
static void surplus(struct quantized_file *file)
{
    (void)add_tensor(file, "model.layers.9.self_attn.q_proj", ".scales", QM_DTYPE_F16, 2, 2, 64);
}
static void bias(struct quantized_file *file)
{
    ((uint16_t *)add_tensor(file, Q1, ".bias", QM_DTYPE_F16, 1, 64, 0))[63] = 1;
}
static void zero_bias(struct quantized_file *file)
{
    (void)add_tensor(file, Q1, ".bias", QM_DTYPE_F16, 1, 64, 0);
}
static void other_shape(struct quantized_file *file)
{
    struct qm_tensor *scales = tensor_of(file, Q1 ".weight_scale");
    scales->rank = 1;
    scales->shape[0] = 256;
}

static const struct {
    const char *label; // of quantized_kinds
    void (*change)(struct quantized_file *file);
    const char *words;
} faults[] = {
    {"gptq", no_scales, "tensor '" Q1 ".qweight': there is no '" Q1 ".scales', which belongs to it"},
    {"gptq", no_zeros, "tensor '" Q1 ".qweight': there is no '" Q1 ".qzeros'"},
    {"gptq", no_codes, "': belongs to no 'qweight' of gptq"},
    {"gptq", no_sets, "no tensor '*.qweight' although config.json says gptq"},
    {"gptq", scales_turned, "tensor '" Q1 ".scales': F16 of shape [64, 2]; 'quantization_config' makes it F16 [2, 64]"},
    {"gptq", scales_of_integers,
     "tensor '" Q1 ".scales': I16 of shape [2, 64]; 'quantization_config' makes it F16, BF16"},
    {"gptq", codes_of_floats, "tensor '" Q1 ".qweight': F32 of shape [8, 64]; 'quantization_config' makes it I32"},
    {"gptq", scale_nan, "tensor '" Q1 ".scales': value 69 is not a number; every scale must be finite"},
    {"awq", scale_infinite, "tensor '" Q1 ".scales': value 3 is infinite"},
    {"awq, gemv", scales_turned,
     "tensor '" Q1 ".scales': F16 of shape [32, 64]; 'quantization_config' makes it F16 [64, 32]"},
    {"awq, gemv", no_zeros, "tensor '" Q1 ".qweight': there is no '" Q1 ".qzeros'"},
    {"gptq", scale_huge, "tensor '" Q1 ".qweight': output 0, input "},
    {"gptq", group_beyond, "tensor '" Q1 ".g_idx': input 7 is in group 2 of 2"},
    {"gptq", group_negative, "tensor '" Q1 ".g_idx': input 63 is in group -1 of 2"},
    {"gptq, act-order", no_table, "there is no '" Q1 ".g_idx'"},
    {"gptq", both, "tensor '" Q1 ".weight': is there as floats and quantized"},
    {"gptq", bias, "tensor '" Q1 ".bias': no part of a Llama"},
    {"gptq", surplus, "tensor 'model.layers.9.self_attn.q_proj.scales': belongs to no 'qweight'"},
    {"pack-quantized", no_shape, "there is no '" Q1 ".weight_shape'"},
    {"pack-quantized", shape_beyond, "tensor '" Q1 ".weight_shape': says 64 rows of 65 values"},
    {"pack-quantized", shape_negative, "tensor '" Q1 ".weight_shape': says 64 rows of 18446744073709551552 values"},
    {"pack-quantized", shape_huge, "tensor '" Q1 ".weight_shape': says 9223372036854775807 rows"},
    {"pack-quantized", other_shape,
     "tensor '" Q1 ".weight_scale': F16 of shape [256]; 'quantization_config' makes it F16 [64, 4]"},
    {"int-quantized", no_weight_scale, "tensor '" Q1 ".weight': there is no '" Q1 ".weight_scale'"},
    {"float-quantized", e4m3_nan, "tensor '" Q1 ".weight': output 1, input 6 is not finite"},
};

static void test_faults(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof(faults) / sizeof(*faults); ++f)
        for (size_t k = 0; k < sizeof(quantized_kinds) / sizeof(*quantized_kinds); ++k) {
            if (strcmp(quantized_kinds[k].label, faults[f].label) != 0)
                continue;
            float *values[64] = {0};
            struct qm_model *model = NULL;
            write_quantized(&shapes[0], &quantized_kinds[k], values, faults[f].change);
            for (uint64_t whole = 0; whole < 2; ++whole) // as a large model, and in memory
                expect_refusal(qm_model_load_with(directory,
                                                  &(struct qm_model_load_params){.multiple = 32,
                                                                                 .whole_bytes = whole ? UINT64_MAX : 0},
                                                  &model),
                               faults[f].words);
            for (size_t i = 0; i < 64; ++i)
                free(values[i]);
        }
}

// Old files have biases that the architecture has not, of zeros.
static void test_zero_bias(void **state)
{
    (void)state;
    float *values[64] = {0};
    struct qm_model *model = NULL;
    write_quantized(&shapes[0], &quantized_kinds[0], values, zero_bias);
    CHECK(qm_model_load(directory, 32, &model));
    qm_model_destroy(&model);
    for (size_t i = 0; i < 64; ++i)
        free(values[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_zero_bias),
    };
    return cmocka_run_group_tests(tests, directory_setup, directory_teardown);
}
