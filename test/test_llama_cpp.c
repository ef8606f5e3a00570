// GGUF files against llama.cpp, an independent program: the floats that its ggml makes of every tensor, to the bit; logits on
// the reference, PoCL and lavapipe; perplexity, and the KL divergence that each type costs, of dequantized weights and of scheme
// `file`. Its numbers are data
// (test/data/gguf/models.json, whose source and arithmetic tools/llama_cpp_evidence.py describes). The files are not: their
// weights are a hash, or the built-in model's, they are encoded here, and SHA-256 says that llama-quantize had the same bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/gguf.h"
#include "model/gguf_model.h"
#include "model/weights.h"
#include "quant/ggml_blocks.h"
#include "test/gguf_writer.h"
#include "test/hashed.h"
#include "test/model_directory.h"
#include "test/near.h"
#include "test/runner.h"

#define DATA QM_SOURCE_DIR "/test/data/gguf/models.json"

enum {
    HASH_DIGITS = 16, // that are kept of a tensor's
    ALIGNMENT = 32,
    BLOCK_MAX = 256
};

// Perplexity and divergence are compared as ratios. What two float32 programs that sum in another order differ by, seen: logits,
// which reach 20, 2e-5; perplexity 9e-7; divergence 5e-5, and 1e-3 where it is as small as that of F16, 1e-7.
static const double LOGIT_TOLERANCE = 1e-4, PERPLEXITY_TOLERANCE = 1e-5, KL_TOLERANCE = 0.005;

// The file's own blocks with activations, embedding and cache rounded to float16, which is what scheme `file` does. Seen: logits
// 5e-3, perplexity 4e-4, divergence 1.3e-2 of Q8_0, where it is smallest, and 4e-3 of the others.
static const double FILE_LOGIT_TOLERANCE = 1e-2, FILE_PERPLEXITY_TOLERANCE = 1e-3, FILE_KL_TOLERANCE = 0.02;

static json_t *data;

#define CHECK(expression)                                                                                              \
    do {                                                                                                               \
        if ((expression) != QM_OK)                                                                                     \
            fail_msg("%s:%d: %s", __FILE__, __LINE__, qm_error_text());                                                \
    } while (0)

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);
    assert_true(json_is_number(number));
    return json_number_value(number);
}

// ---- The files ------------------------------------------------------------------------------------------------------

static void encode_f32(const float *values, uint8_t *block)
{
    memcpy(block, values, sizeof(*values));
}

static void encode_f16(const float *values, uint8_t *block)
{
    uint16_t half = qm_half_from_float(values[0]);
    memcpy(block, &half, sizeof(half));
}

static void encode_bf16(const float *values, uint8_t *block)
{
    uint16_t upper = bfloat16_bits(values[0]);
    memcpy(block, &upper, sizeof(upper));
}

static const struct {
    const char *name;
    enum qm_gguf_type type;
    uint32_t values;
    void (*encode)(const float *values, uint8_t *block);
} types[] = {
    {"F32", QM_GGUF_F32, 1, encode_f32},
    {"F16", QM_GGUF_F16, 1, encode_f16},
    {"BF16", QM_GGUF_BF16, 1, encode_bf16},
    {"Q8_0", QM_GGUF_Q8_0, 32, qm_ggml_q8_0_encode},
    {"Q4_0", QM_GGUF_Q4_0, 32, qm_ggml_q4_0_encode},
    {"Q4_1", QM_GGUF_Q4_1, 32, qm_ggml_q4_1_encode},
    {"Q5_0", QM_GGUF_Q5_0, 32, qm_ggml_q5_0_encode},
    {"Q4_K", QM_GGUF_Q4_K, 256, qm_ggml_q4_k_encode},
    {"Q5_K", QM_GGUF_Q5_K, 256, qm_ggml_q5_k_encode},
    {"Q6_K", QM_GGUF_Q6_K, 256, qm_ggml_q6_k_encode},
};

static size_t type_of(const char *name)
{
    size_t i = 0;
    while (i < COUNT(types) && strcmp(types[i].name, name) != 0)
        ++i;
    assert_true(i < COUNT(types));
    return i;
}

// As in tools/llama_cpp_evidence.py.
static void random_values(const char *name, size_t count, float *values)
{
    uint64_t at = hash_text(HASH_SEED, name);
    float base = strstr(name, "norm") ? 1.0f : 0.0f;
    for (size_t i = 0; i < count; ++i)
        values[i] = hash_unit(hash_mix((at + i + 1) * UINT64_C(0x9e3779b97f4a7c15))) * 0.25f + base;
}

// The weight of a model whose tensor has this name in GGUF files.
static bool find_role(const struct qm_model_config *c, const char *gguf_name, enum qm_role *role, uint32_t *layer)
{
    for (size_t i = 0; i < qm_weight_count(c); ++i) {
        char name[QM_GGUF_NAME_BYTES];
        qm_weight_at(c, i, role, layer);
        qm_gguf_weight_name(*role, *layer, name);
        if (strcmp(name, gguf_name) == 0)
            return true;
    }
    return false;
}

// The values of a weight, its rows in the order of GGUF files, from weights whose rows are in that of Hugging Face.
static size_t weight_values(const struct qm_weights *weights, const struct qm_model_config *c, enum qm_role role,
                            uint32_t layer, float *values)
{
    uint32_t rows, columns;
    char name[QM_WEIGHT_NAME_BYTES], full[QM_WEIGHT_NAME_BYTES + 8];
    qm_role_weight_name(role, layer, name);
    snprintf(full, sizeof(full), "%s%s", name, qm_role_name_ending(role));
    const struct qm_weights_entry *entry = qm_weights_find(weights, full);
    assert_non_null(entry);
    qm_role_own_shape(c, role, &rows, &columns);
    size_t count = (size_t)rows * columns;
    assert_int_equal(qm_weights_value_count(entry), count);
    uint32_t width = qm_gguf_turned_width(c, role);
    float *plain = zeros(count, sizeof(*plain));
    CHECK(qm_weights_floats(entry, 0, count, plain));
    for (uint32_t row = 0; row < rows; ++row)
        memcpy(values + (size_t)(width > 0 ? qm_gguf_turned_row(width, row) : row) * columns,
               plain + (size_t)row * columns, columns * sizeof(*values));
    free(plain);
    return count;
}

// All values of a tensor of a file, which may be several weights.
static void file_values(const struct qm_gguf *gguf, const struct qm_weights *weights, const struct qm_model_config *c,
                        const char *gguf_name, size_t count, float *values)
{
    size_t filled = 0;
    for (size_t i = 0; i < qm_weight_count(c); ++i) {
        enum qm_role role;
        uint32_t layer;
        struct qm_gguf_tensor tensor;
        qm_weight_at(c, i, &role, &layer);
        if (role == QM_ROLE_HEAD && c->tied_head)
            continue;
        CHECK(qm_gguf_weight_find(gguf, c, role, layer, &tensor, NULL));
        if (strcmp(tensor.name, gguf_name) == 0)
            filled += weight_values(weights, c, role, layer, values + tensor.first);
    }
    assert_int_equal(filled, count);
}

static void put_metadata(struct gguf_writer *w, const json_t *metadata)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (json_is_string(value)) {
            gguf_put_key(w, key, 8), gguf_put_string(w, json_string_value(value));
        } else if (json_is_integer(value)) {
            gguf_put_key(w, key, 4), gguf_put_u32(w, (uint32_t)json_integer_value(value));
        } else {
            float number = (float)json_number_value(value);
            gguf_put_key(w, key, 6), gguf_put(w, &number, sizeof(number));
        }
    }
}

struct source { // of weights: a directory, or a hash
    struct qm_weights weights;
    struct qm_model_config config;
    bool is_directory;
};

// Vectors and positions stay float32 in a file of another type.
static size_t type_in_file(const json_t *tensor, size_t type)
{
    bool is_kept = json_integer_value(json_array_get(tensor, 1)) == 0 ||
                   strcmp(json_string_value(json_array_get(tensor, 0)), "position_embd.weight") == 0;
    return is_kept ? 0 : type;
}

// [name, rows, columns]; rows 0: a vector. Appends the encoded tensor to `out`.
static void put_values(const json_t *tensor, const struct source *from, size_t type, struct gguf_writer *out)
{
    const char *name = json_string_value(json_array_get(tensor, 0));
    size_t rows = (size_t)json_integer_value(json_array_get(tensor, 1));
    size_t count = (rows ? rows : 1) * (size_t)json_integer_value(json_array_get(tensor, 2));
    float *values = zeros(count, sizeof(*values));
    enum qm_role role;
    uint32_t layer;
    if (!from->is_directory) {
        random_values(name, count, values);
    } else {
        assert_true(find_role(&from->config, name, &role, &layer));
        assert_int_equal(weight_values(&from->weights, &from->config, role, layer, values), count);
    }
    assert_int_equal(count % types[type].values, 0);
    for (size_t i = 0; i < count; i += types[type].values) {
        uint8_t block[BLOCK_MAX];
        types[type].encode(values + i, block);
        gguf_put(out, block, qm_gguf_type_info(types[type].type)->block_bytes);
    }
    free(values);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(json_string_value(json_array_get(*(json_t *const *)a, 0)),
                  json_string_value(json_array_get(*(json_t *const *)b, 0)));
}

// The file's path; good until four more were asked for.
static const char *file_of(const json_t *model, const json_t *file)
{
    char name[96];
    snprintf(name, sizeof(name), "%s-%s.gguf", text_of(model, "name"), text_of(file, "type"));
    return in_directory(name);
}

// Tensors lie in the order of their names, so that the hash is over the data as it is put.
static void write_file(const json_t *model, const json_t *file, const struct source *from)
{
    const json_t *list = json_object_get(model, "tensors"), *metadata = json_object_get(model, "metadata");
    size_t count = json_array_size(list), type = type_of(text_of(file, "type"));
    const json_t **sorted = zeros(count, sizeof(*sorted));
    struct gguf_writer w, values = {0};
    struct qm_hash hash;
    char text[QM_HASH_TEXT_BYTES];
    for (size_t i = 0; i < count; ++i)
        sorted[i] = json_array_get(list, i);
    qsort(sorted, count, sizeof(*sorted), by_name);
    gguf_begin(&w, 3, count, json_object_size(metadata));
    put_metadata(&w, metadata);
    qm_hash_begin(&hash);
    for (size_t i = 0; i < count; ++i) {
        size_t rows = (size_t)json_integer_value(json_array_get(sorted[i], 1)), begin = values.count;
        gguf_put_tensor(&w, json_string_value(json_array_get(sorted[i], 0)), rows ? 2 : 1,
                        (const uint64_t[]){(uint64_t)json_integer_value(json_array_get(sorted[i], 2)), rows},
                        types[type_in_file(sorted[i], type)].type, begin);
        put_values(sorted[i], from, type_in_file(sorted[i], type), &values);
        qm_hash_add(&hash, values.bytes + begin, values.count - begin);
        gguf_pad(&values, ALIGNMENT);
    }
    qm_hash_end(&hash, text);
    if (strcmp(text, text_of(file, "data_sha256")) != 0)
        fail_msg("%s, %s: the bytes encoded here differ from llama-quantize's", text_of(model, "name"),
                 text_of(file, "type"));
    gguf_pad(&w, ALIGNMENT);
    gguf_put(&w, values.bytes, values.count);
    CHECK(qm_file_write(file_of(model, file), w.bytes, w.count));
    free(w.bytes);
    free(values.bytes);
    free((void *)sorted);
}

static void write_files(const json_t *model)
{
    struct source from = {.is_directory = json_object_get(model, "directory") != NULL};
    json_t *file;
    size_t index;
    if (from.is_directory) {
        struct qm_model *loaded = NULL;
        char path[QM_PATH_BYTES];
        CHECK(qm_path_join(path, QM_SOURCE_DIR, text_of(model, "directory")));
        CHECK(qm_model_load(path, 32, &loaded));
        from.config = loaded->config;
        qm_model_destroy(&loaded);
        CHECK(qm_weights_open(path, &from.weights));
    }
    json_array_foreach(json_object_get(model, "files"), index, file) write_file(model, file, &from);
    qm_weights_close(&from.weights);
}

// ---- Values ---------------------------------------------------------------------------------------------------------

static void check_values(const json_t *model, const json_t *file)
{
    const json_t *digits = json_object_get(file, "values_sha256"), *list = json_object_get(model, "tensors"), *tensor;
    struct qm_gguf gguf;
    struct qm_model_config config;
    struct qm_weights weights;
    size_t index;
    CHECK(qm_gguf_map(file_of(model, file), &gguf));
    CHECK(qm_gguf_model_config(&gguf, &config));
    CHECK(qm_weights_open(file_of(model, file), &weights));
    assert_int_equal(json_object_size(digits), json_array_size(list));
    json_array_foreach(list, index, tensor)
    {
        const char *name = json_string_value(json_array_get(tensor, 0));
        size_t rows = (size_t)json_integer_value(json_array_get(tensor, 1));
        size_t count = (rows ? rows : 1) * (size_t)json_integer_value(json_array_get(tensor, 2));
        float *values = zeros(count, sizeof(*values));
        char text[QM_HASH_TEXT_BYTES];
        file_values(&gguf, &weights, &config, name, count, values);
        qm_hash_bytes(values, count * sizeof(*values), text);
        if (strncmp(text, text_of(digits, name), HASH_DIGITS) != 0)
            fail_msg("%s, %s: values of '%s' differ from ggml's", text_of(model, "name"), text_of(file, "type"), name);
        free(values);
    }
    qm_weights_close(&weights);
    qm_gguf_close(&gguf);
}

static void test_values(void **state)
{
    (void)state;
    json_t *model, *file;
    size_t m, f, files = 0;
    json_array_foreach(json_object_get(data, "models"), m, model)
    {
        json_array_foreach(json_object_get(model, "files"), f, file)
        {
            check_values(model, file);
            ++files;
        }
    }
    assert_int_equal(files, 45);
}

// ---- Logits ---------------------------------------------------------------------------------------------------------

struct scores {
    double worst_logit, perplexity, kl;
};

// Of the scored positions of all windows. `reference` has the logits of the float32 file, window by window, and gets them where
// `is_reference`.
static struct scores score(struct runner *runner, const json_t *model, const json_t *logits, float *reference,
                           bool is_reference)
{
    struct scores s = {0};
    double loss = 0, kl = 0, count = 0;
    size_t size = (size_t)runner->rows * runner->vocabulary, index;
    json_t *window;
    uint32_t *tokens = zeros(runner->rows, sizeof(*tokens));
    json_array_foreach(json_object_get(model, "windows"), index, window)
    {
        assert_int_equal(json_array_size(window), runner->rows);
        for (uint32_t i = 0; i < runner->rows; ++i)
            tokens[i] = (uint32_t)json_integer_value(json_array_get(window, i));
        run(runner, tokens, runner->rows);
        if (index == 0)
            s.worst_logit = worst_logit(runner, logits);
        if (is_reference)
            memcpy(reference + index * size, runner->logits, size * sizeof(*reference));
        const json_t *positions = json_array_get(json_object_get(model, "scored"), index);
        for (size_t i = 0; i < json_array_size(positions); ++i) {
            uint32_t p = (uint32_t)json_integer_value(json_array_get(positions, i));
            assert_true(p + 1 < runner->rows);
            loss += loss_at(runner, p, tokens[p + 1]);
            kl += mean_logits_kl(reference + index * size, runner->logits, runner->vocabulary, p, p + 1);
        }
        count += (double)json_array_size(positions);
    }
    s.perplexity = qm_exp(loss / count);
    s.kl = kl / count;
    free(tokens);
    return s;
}

static struct scores run_file(struct qm_device *device, const char *tile, const struct qm_model *model,
                              const char *scheme, const json_t *description, const json_t *logits, float *reference,
                              bool is_reference)
{
    struct runner runner;
    struct qm_artifact *artifact = make_artifact_of(model, scheme);
    uint32_t rows = (uint32_t)json_array_size(json_array_get(json_object_get(description, "windows"), 0));
    open_runner(device, tile, model, artifact, scheme, rows, &runner);
    struct scores s = score(&runner, description, logits, reference, is_reference);
    close_runner(&runner);
    qm_artifact_destroy(&artifact);
    return s;
}

// Padding of a head of 32 values to 64 leaves a block of 32 whole, and cuts one of 256 (test_own_codes).
static bool is_run_as_it_is(const struct qm_model *model, const json_t *file)
{
    uint32_t block = qm_gguf_type_info(types[type_of(text_of(file, "type"))].type)->block_values;
    return model->own && (model->config.own.head_dim % 64 == 0 || block <= model->config.own.head_dim);
}

// Of the built-in model, which is the largest, drivers run the type with the smallest divergence and the one with logits; its
// blocks are in the kernels that the smaller models ran in all types.
static bool is_run_here(const struct qm_device *device, const json_t *description, const json_t *file)
{
    return strcmp(device->info->driver_name, "reference") == 0 || !json_object_get(description, "directory") ||
           json_array_size(json_object_get(file, "logits")) > 0 || strcmp(text_of(file, "type"), "Q8_0") == 0;
}

// How many of its files were run as they are, too.
static size_t check_model(struct qm_device *device, const char *tile, const json_t *description)
{
    size_t as_they_are = 0;
    const json_t *windows = json_object_get(description, "windows");
    float *reference = NULL;
    json_t *file;
    size_t index;
    json_array_foreach(json_object_get(description, "files"), index, file)
    {
        struct qm_model *model = NULL;
        bool is_reference = strcmp(text_of(file, "type"), "F32") == 0;
        CHECK(qm_model_load(file_of(description, file), 32, &model));
        if (is_reference)
            reference =
                zeros(json_array_size(windows) * json_array_size(json_array_get(windows, 0)) * model->config.vocabulary,
                      sizeof(*reference));
        assert_non_null(reference); // the float32 file is the first
        // Floats of another type are but other floats: on devices those of the float32 file do for all.
        if (is_reference || strcmp(device->info->driver_name, "reference") == 0) {
            struct scores s = run_file(device, tile, model, "f32", description, json_object_get(file, "logits"),
                                       reference, is_reference);
            double perplexity = s.perplexity / number_of(file, "perplexity") - 1;
            double kl = is_reference ? 0 : s.kl / number_of(file, "mean_kl") - 1;
            print_message("%-10s %-17s %-5s logits %.1e, perplexity %+.1e, KL %.4g %+.1e\n", device->info->driver_name,
                          text_of(description, "name"), text_of(file, "type"), s.worst_logit, perplexity, s.kl, kl);
            assert_true(s.worst_logit <= LOGIT_TOLERANCE);
            assert_true(fabs(perplexity) <= PERPLEXITY_TOLERANCE);
            assert_true(fabs(kl) <= KL_TOLERANCE);
        }
        if (is_run_as_it_is(model, file) && is_run_here(device, description, file)) {
            struct scores s =
                run_file(device, tile, model, "file", description, json_object_get(file, "logits"), reference, false);
            double perplexity = s.perplexity / number_of(file, "perplexity") - 1;
            double kl = s.kl / number_of(file, "mean_kl") - 1;
            print_message("%-10s %-17s %-5s as it is: logits %.1e, perplexity %+.1e, KL %.4g %+.1e\n",
                          device->info->driver_name, text_of(description, "name"), text_of(file, "type"), s.worst_logit,
                          perplexity, s.kl, kl);
            assert_true(s.worst_logit <= FILE_LOGIT_TOLERANCE);
            assert_true(fabs(perplexity) <= FILE_PERPLEXITY_TOLERANCE);
            assert_true(fabs(kl) <= FILE_KL_TOLERANCE);
            ++as_they_are;
        }
        qm_model_destroy(&model);
    }
    free(reference);
    return as_they_are;
}

static void check_logits(struct qm_device *device, const char *tile, const void *context)
{
    json_t *model;
    size_t index, as_they_are = 0;
    (void)context;
    json_array_foreach(json_object_get(data, "models"), index, model) as_they_are += check_model(device, tile, model);
    assert_int_equal(as_they_are, strcmp(device->info->driver_name, "reference") == 0 ? 27 : 23);
}

static void test_logits(void **state)
{
    (void)state;
    everywhere(true, check_logits, NULL);
}

static int begin(void **state)
{
    json_error_t error;
    json_t *model;
    size_t index;
    data = json_load_file(DATA, 0, &error);
    if (!data || directory_setup(state) != 0)
        return -1;
    json_array_foreach(json_object_get(data, "models"), index, model) write_files(model);
    return 0;
}

static int end(void **state)
{
    json_decref(data);
    return directory_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_logits)};
    return cmocka_run_group_tests(tests, begin, end);
}
