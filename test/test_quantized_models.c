// Whole quantized Hugging Face folders against programs that are not ours: the values of every weight, to the bit; logits on the
// reference and on drivers, of float32 and of the file's own codes. Their numbers are data (test/data/quantized_models.json, whose source
// and programs tools/quantized_evidence.py describes). The folders are not, and nothing here packs them: tensors are a hash
// of their names, whose bits any layout can be, and SHA-256 says that the other programs had the same bytes.
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
#include "test/hashed.h"
#include "test/random_model.h"
#include "test/runner.h"

#include "test/quantized_writer.h"

#define DATA QM_SOURCE_DIR "/test/data/quantized_models.json"

enum {
    HASH_DIGITS = 16 // that are kept of a weight's
};

// Logits reach 5. Float32 sums in another order, seen: 8e-6.
static const double LOGIT_TOLERANCE = 1e-4;
// In scheme `filea16` activations, embedding and cache are float16, activations in front of bfloat16 weights bfloat16, which some
// heads are. Seen: 7.9e-3, and 1.2e-2 where all weights are bfloat16 values.
static const double FILE_LOGIT_TOLERANCE = 1.5e-2, BFLOAT16_LOGIT_TOLERANCE = 3e-2;
// What 8-bit activations of scheme `file` add, which the other programs' logits have not. Seen: 0.10 of int8, 0.40 of E4M3FN.
static const double INT8_LOGIT_TOLERANCE = 0.2, E4M3_LOGIT_TOLERANCE = 0.8;

static json_t *data;

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    assert_non_null(text);
    return text;
}

// ---- The folders ----------------------------------------------------------------------------------------------------

static void put_float(enum qm_dtype dtype, void *values, size_t index, float value)
{
    if (dtype == QM_DTYPE_F32)
        ((float *)values)[index] = value;
    else
        ((uint16_t *)values)[index] = dtype == QM_DTYPE_F16 ? qm_half_from_float(value) : bfloat16_bits(value);
}

// A size of a shape, as size_of of the script: "K*3/32".
static uint64_t size_of(const char *text, uint32_t inputs, uint32_t outputs)
{
    const char *times = strchr(text, '*'), *through = strchr(text, '/');
    uint64_t base = text[0] == 'K' ? inputs : outputs, divisor = through ? strtoul(through + 1, NULL, 10) : 1;
    if (text[0] != 'K' && text[0] != 'N')
        return strtoul(text, NULL, 10);
    return (base * (times ? strtoul(times + 1, NULL, 10) : 1) + divisor - 1) / divisor;
}

// What a tensor of a set has, as `filled` of the script.
static void fill_part(const char *fill, uint64_t seed, uint32_t inputs, uint32_t outputs, struct qm_tensor *tensor)
{
    const char *numbers = strchr(fill, ':');
    char *rest = NULL;
    const size_t length = numbers ? (size_t)(numbers - fill) : strlen(fill);
    const uint32_t first = numbers ? (uint32_t)strtoul(numbers + 1, &rest, 10) : 0;
    const uint32_t second = rest && *rest ? (uint32_t)strtoul(rest + 1, NULL, 10) : 0;
    const size_t count = tensor->bytes / qm_dtype_bytes(tensor->dtype);
    uint32_t *words = (uint32_t *)(uintptr_t)tensor->data;
    uint8_t *bytes = (uint8_t *)(uintptr_t)tensor->data;
#define IS(word) (length == strlen(word) && strncmp(fill, word, length) == 0)
    if (IS("shape")) {
        ((int64_t *)(uintptr_t)tensor->data)[0] = outputs;
        ((int64_t *)(uintptr_t)tensor->data)[1] = inputs;
        return;
    }
    for (size_t i = 0; i < count; ++i) {
        const uint64_t hash = hash_at(seed, i);
        if (IS("words")) {
            words[i] = (uint32_t)(hash >> 32);
        } else if (IS("bytes") || IS("e4m3")) {
            bytes[i] = (uint8_t)(hash >> 56);
            bytes[i] ^= IS("e4m3") && (bytes[i] & 127) == 127;
        } else if (IS("fields")) {
            for (uint32_t f = 0; f < 32 / first; ++f)
                words[i] |= (uint32_t)((hash_at(seed, i * (32 / first) + f) >> 32) % second) << (first * f);
        } else if (IS("same")) {
            words[i] = first;
        } else if (IS("groups")) {
            words[i] = (uint32_t)((i * 37 + 11) % count / first);
        } else if (IS("order")) {
            words[i] = (uint32_t)(i / first);
        } else {
            assert_true(IS("scale"));
            float unit = 1 + (float)(hash >> 41) * 0x1p-23f;
            put_float(tensor->dtype, bytes, i, ldexpf(unit, -(int)first - (int)(hash & 1)));
        }
    }
#undef IS
}

static uint64_t seed_of(const json_t *entry, const char *name)
{
    return hash_text(hash_text(hash_text(HASH_SEED, text_of(entry, "name")), "/"), name);
}

static void add_set(struct quantized_file *file, const json_t *entry, const char *name, uint32_t inputs,
                    uint32_t outputs)
{
    json_t *part;
    size_t index;
    json_array_foreach(json_object_get(entry, "parts"), index, part)
    {
        const char *ending = json_string_value(json_array_get(part, 0));
        const json_t *shape = json_array_get(part, 2);
        uint64_t sizes[2] = {1, 1};
        assert_true(json_array_size(shape) == 1 || json_array_size(shape) == 2);
        for (size_t i = 0; i < json_array_size(shape); ++i)
            sizes[i] = size_of(json_string_value(json_array_get(shape, i)), inputs, outputs);
        (void)add_tensor(file, name, ending, dtype_of(json_string_value(json_array_get(part, 1))),
                         (uint32_t)json_array_size(shape), sizes[0], sizes[1]);
        struct qm_tensor *tensor = &file->tensors[file->count - 1];
        fill_part(json_string_value(json_array_get(part, 3)), seed_of(entry, tensor->name), inputs, outputs, tensor);
    }
}

static void add_floats(struct quantized_file *file, const json_t *entry, const char *name, enum qm_role role,
                       uint32_t rows, uint32_t columns)
{
    const bool is_vector = qm_role_is_vector(role);
    enum qm_dtype dtype = dtype_of(text_of(entry, "floats"));
    void *values = add_tensor(file, name, qm_role_name_ending(role), dtype, is_vector ? 1 : 2,
                              is_vector ? columns : rows, columns);
    const char *full = file->tensors[file->count - 1].name;
    uint64_t seed = seed_of(entry, full);
    for (size_t i = 0; i < (size_t)rows * columns; ++i)
        put_float(dtype, values, i, hash_unit(hash_at(seed, i)) * 0.25f + (strstr(full, "norm") ? 1.0f : 0.0f));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct qm_tensor *)a)->name, ((const struct qm_tensor *)b)->name);
}

static struct qm_model *make_folder(const json_t *entry)
{
    static struct quantized_file file;
    struct qm_model_config config;
    struct qm_hash hash;
    char digits[QM_HASH_TEXT_BYTES];
    char *text = json_dumps(json_object_get(entry, "config"), 0);
    assert_non_null(text);
    CHECK(qm_file_write(in_directory("config.json"), text, strlen(text)));
    CHECK(qm_model_config_parse(text, strlen(text), "config.json", &config));
    free(text);
    for (size_t i = 0; i < qm_weight_count(&config); ++i) {
        enum qm_role role;
        uint32_t layer, rows, columns;
        char name[QM_WEIGHT_NAME_BYTES];
        qm_weight_at(&config, i, &role, &layer);
        qm_role_weight_name(role, layer, name);
        qm_role_own_shape(&config, role, &rows, &columns);
        if (qm_role_is_linear(role) && role != QM_ROLE_HEAD)
            add_set(&file, entry, name, columns, rows);
        else if (role != QM_ROLE_HEAD || !config.tied_head)
            add_floats(&file, entry, name, role, rows, columns);
    }
    qsort(file.tensors, file.count, sizeof(file.tensors[0]), by_name);
    qm_hash_begin(&hash);
    for (size_t i = 0; i < file.count; ++i)
        qm_hash_add(&hash, file.tensors[i].data, file.tensors[i].bytes);
    qm_hash_end(&hash, digits);
    if (strcmp(digits, text_of(entry, "data_sha256")) != 0)
        fail_msg("%s: the bytes made here differ from those that the other programs read", text_of(entry, "name"));
    write_file(&file);
    struct qm_model *model = NULL;
    CHECK(qm_model_load(directory, 32, &model));
    return model;
}

// ---- Values ---------------------------------------------------------------------------------------------------------

static void check_digits(const json_t *entry, const char *kind, const char *name, const float *values, size_t count)
{
    char text[QM_HASH_TEXT_BYTES];
    qm_hash_bytes(values, count * sizeof(*values), text);
    if (strncmp(text, text_of(json_object_get(entry, kind), name), HASH_DIGITS) != 0)
        fail_msg("%s: %s of '%s' differs", text_of(entry, "name"), kind, name);
}

// Whether the weights of scheme `file` are codes and scales: of their float types the program's values stand in.
static bool is_as_it_is(const struct qm_artifact *artifact)
{
    enum qm_weight_format format = qm_artifact_weight(artifact, QM_ROLE_Q, 0)->format;
    return format != QM_WEIGHT_F32 && format != QM_WEIGHT_F16 && format != QM_WEIGHT_BF16;
}

// Floats of every weight, and what scheme `file` has of it: the product before it is rounded where codes and scales are the
// file's own, else the same floats. Returns whether they are.
static bool check_values(const json_t *entry)
{
    struct qm_model *model = make_folder(entry);
    struct qm_artifact *artifact = make_artifact_of(model, "file");
    const char *exact = json_object_get(entry, "exact_sha256") ? "exact_sha256" : "values_sha256";
    const bool is_own = is_as_it_is(artifact);
    size_t sets = 0;
    for (size_t i = 0; i < model->tensor_count; ++i) {
        const struct qm_model_tensor *tensor = &model->tensors[i];
        const size_t count = (size_t)tensor->rows * tensor->columns;
        uint32_t rows, columns;
        qm_role_own_shape(&model->config, tensor->role, &rows, &columns);
        assert_true(rows == tensor->rows && columns == tensor->columns); // nothing is padded
        if (!qm_role_is_linear(tensor->role) || tensor->role == QM_ROLE_HEAD)
            continue;
        const struct qm_artifact_tensor *stored = qm_artifact_weight(artifact, tensor->role, tensor->layer);
        float *values = zeros(count, sizeof(*values));
        struct qm_model_view view;
        CHECK(qm_model_view_open(model, i, &view));
        check_digits(entry, "values_sha256", tensor->name, view.values, count);
        qm_model_view_close(&view);
        qm_artifact_decode(stored, values);
        check_digits(entry, is_own ? exact : "values_sha256", tensor->name, values, count);
        free(values);
        ++sets;
    }
    assert_int_equal(sets, json_object_size(json_object_get(entry, "values_sha256")));
    print_message("%-22s %s\n", text_of(entry, "name"), is_own ? "as it is" : "as its values");
    qm_artifact_destroy(&artifact);
    qm_model_destroy(&model);
    return is_own;
}

static void test_values(void **state)
{
    (void)state;
    json_t *entry;
    size_t index, own = 0;
    json_array_foreach(json_object_get(data, "models"), index, entry) own += check_values(entry);
    assert_int_equal(index, 29);
    assert_int_equal(own, 21);
}

// ---- Logits ---------------------------------------------------------------------------------------------------------

// The largest difference from `logits` of the entry.
static double run_artifact(struct qm_device *device, const char *tile, const struct qm_model *model,
                           const struct qm_artifact *artifact, const json_t *entry, const char *logits)
{
    struct runner runner;
    const json_t *list = json_object_get(entry, "tokens");
    const uint32_t count = (uint32_t)json_array_size(list);
    uint32_t *tokens = zeros(count, sizeof(*tokens));
    for (uint32_t i = 0; i < count; ++i)
        tokens[i] = (uint32_t)json_integer_value(json_array_get(list, i));
    open_runner(device, tile, model, artifact, artifact->scheme.name, count, &runner);
    run(&runner, tokens, count);
    double worst = worst_logit(&runner, json_object_get(entry, logits));
    close_runner(&runner);
    free(tokens);
    return worst;
}

// Where codes are multiplied, the file's schemes have the logits of the exact products, else those of the rounded ones.
static bool check_entry(struct qm_device *device, const char *tile, const json_t *entry)
{
    struct qm_model *model = make_folder(entry);
    struct qm_artifact *f32 = make_artifact_of(model, "f32"), *floats = make_artifact_of(model, "filea16");
    const enum qm_activation_format activations = model->own->activations;
    const char *wanted = is_as_it_is(floats) && json_object_get(entry, "exact_logits") ? "exact_logits" : "logits";
    bool is_bfloat16 = qm_artifact_weight(floats, QM_ROLE_Q, 0)->format == QM_WEIGHT_BF16;
    double off = run_artifact(device, tile, model, f32, entry, "logits"), off_own = 0;
    double off_floats = run_artifact(device, tile, model, floats, entry, wanted);
    if (activations != QM_ACTIVATION_F16) { // else both schemes are one
        struct qm_artifact *own = make_artifact_of(model, "file");
        off_own = run_artifact(device, tile, model, own, entry, wanted);
        qm_artifact_destroy(&own);
    }
    print_message("%-10s %-22s logits %.1e, filea16 %.1e, 8-bit activations %.1e\n", device->info->driver_name,
                  text_of(entry, "name"), off, off_floats, off_own);
    qm_artifact_destroy(&f32);
    qm_artifact_destroy(&floats);
    qm_model_destroy(&model);
    return off <= LOGIT_TOLERANCE && off_floats <= (is_bfloat16 ? BFLOAT16_LOGIT_TOLERANCE : FILE_LOGIT_TOLERANCE) &&
           off_own <= (activations == QM_ACTIVATION_A8 ? INT8_LOGIT_TOLERANCE : E4M3_LOGIT_TOLERANCE);
}

static void check_logits(struct qm_device *device, const char *tile, const void *context)
{
    json_t *entry;
    size_t index, good = 0;
    (void)context;
    json_array_foreach(json_object_get(data, "models"), index, entry) good += check_entry(device, tile, entry);
    assert_int_equal(good, index);
}

static void test_logits(void **state)
{
    (void)state;
    everywhere(true, check_logits, NULL);
}

static int begin(void **state)
{
    json_error_t error;
    data = json_load_file(DATA, 0, &error);
    return data ? directory_setup(state) : -1;
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
