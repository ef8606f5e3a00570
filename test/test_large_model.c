// Models larger than memory should be: values that stay in their files, artifacts made in a scratch file and mapped, the first
// layers alone, an engine for fewer positions than the model has. All of it gives the bits of the model that is read whole.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"
#include "model/need.h"
#include "model/safetensors.h"
#include "model/weights.h"
#include "quant/smooth.h"
#include "sys/file.h"
#include "test/each_device.h"

enum {
    TOKENS = 24,
    LAYERS = 3,
    CONTEXT = 131072
};

static char directory[] = "/tmp/qmark-large-XXXXXX";

static const char *in_directory(const char *name)
{
    static char paths[4][QM_PATH_BYTES];
    static int next;
    char *path = paths[next++ % 4];
    assert_int_equal(qm_path_join(path, directory, name), QM_OK);
    return path;
}

#define CHECK(expression)                                                                                              \
    do {                                                                                                               \
        if ((expression) != QM_OK)                                                                                     \
            fail_msg("%s:%d: %s", __FILE__, __LINE__, qm_error_text());                                                \
    } while (0)

static void expect_refusal(enum qm_status status, const char *words)
{
    if (status != QM_INVALID || !strstr(qm_error_text(), words))
        fail_msg("expected a refusal with '%s', got %s: %s", words, qm_status_name(status), qm_error_text());
    assert_null(strchr(qm_error_text(), '\n'));
}

// ---- Models on the disk ---------------------------------------------------------------------------------------------

struct kind {
    const char *architecture;
    bool is_tied;
    enum qm_dtype dtype;
    uint32_t hidden, intermediate, head_dim;
    const char *more;    // of config.json
    const char *scaling; // for the test's messages
};

static void write_config(const struct kind *kind, uint32_t context)
{
    char text[1024];
    snprintf(
        text, sizeof(text),
        "{\"architectures\":[\"%s\"],\"hidden_size\":%u,\"intermediate_size\":%u,\"num_hidden_layers\":%d,"
        "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":%u,\"vocab_size\":77,"
        "\"max_position_embeddings\":%u,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"tie_word_embeddings\":%s%s}",
        kind->architecture, kind->hidden, kind->intermediate, LAYERS, kind->head_dim, context,
        kind->is_tied ? "true" : "false", kind->more);
    CHECK(qm_file_write(in_directory("config.json"), text, strlen(text)));
}

// Random weights; `bad` >= 0 makes a value of that tensor NaN.
static void write_model(const struct kind *kind, uint32_t context, int bad)
{
    struct qm_tensor tensors[64] = {0};
    static char names[64][QM_WEIGHT_NAME_BYTES + 8];
    struct qm_model_config config;
    struct qm_random random;
    void *text = NULL;
    size_t bytes = 0, count = 0;
    qm_random_seed(&random, 5, 0);
    write_config(kind, context);
    CHECK(qm_file_read(in_directory("config.json"), 4096, &text, &bytes));
    CHECK(qm_model_config_parse(text, bytes, "config.json", &config));
    free(text);
    for (size_t i = 0; i < qm_weight_count(&config); ++i) {
        enum qm_role role;
        uint32_t layer, rows, columns;
        char name[QM_WEIGHT_NAME_BYTES];
        qm_weight_at(&config, i, &role, &layer);
        if (role == QM_ROLE_HEAD && kind->is_tied)
            continue;
        qm_role_weight_name(role, layer, name);
        snprintf(names[count], sizeof(names[0]), "%s%s", name, qm_role_name_ending(role));
        qm_role_own_shape(&config, role, &rows, &columns);
        size_t values = (size_t)rows * columns, width = qm_dtype_bytes(kind->dtype);
        unsigned char *data = malloc(values * 4);
        assert_non_null(data);
        for (size_t v = 0; v < values; ++v) {
            float value = (float)(qm_random_unit(&random) - 0.5) * 0.25f + (qm_role_is_norm(role) ? 1.0f : 0.0f);
            uint32_t bits;
            memcpy(&bits, &value, sizeof(bits));
            bits = bad == (int)count && v == 3 ? 0x7fc00000u : bits & 0xffff0000u; // the upper half alone is BF16
            memcpy(data + v * width, width == 4 ? (unsigned char *)&bits : (unsigned char *)&bits + 2, width);
        }
        bool is_vector = qm_role_is_vector(role);
        tensors[count] = (struct qm_tensor){.name = names[count],
                                            .dtype = kind->dtype,
                                            .rank = is_vector ? 1 : 2,
                                            .shape = {is_vector ? columns : rows, columns},
                                            .bytes = values * width,
                                            .data = data};
        ++count;
    }
    CHECK(qm_safetensors_write(in_directory("model.safetensors"), tensors, count, NULL, 0));
    for (size_t i = 0; i < count; ++i)
        free((void *)(uintptr_t)tensors[i].data);
}

static struct qm_model *load(uint64_t whole_bytes, uint32_t multiple, uint32_t layers)
{
    struct qm_model *model = NULL;
    CHECK(qm_model_load_with(
        directory, &(struct qm_model_load_params){.multiple = multiple, .layers = layers, .whole_bytes = whole_bytes},
        &model));
    assert_true((model->values == NULL) == (whole_bytes == 0));
    assert_true((model->file == NULL) == (whole_bytes != 0));
    return model;
}

static const struct kind kinds[] = {
    {"LlamaForCausalLM", false, QM_DTYPE_BF16, 100, 172, 48, "", ""},
    {"LlamaForCausalLM", true, QM_DTYPE_F32, 64, 96, 64, "", ""},
    {"Qwen2ForCausalLM", false, QM_DTYPE_BF16, 96, 160, 32, "", ""},
    {"Qwen3ForCausalLM", true, QM_DTYPE_BF16, 72, 104, 18, "", ""},
};

// ---- Values and artifacts -------------------------------------------------------------------------------------------

static void compare_values(const struct qm_model *whole, const struct qm_model *large)
{
    struct qm_model *copy = NULL;
    assert_string_equal(whole->sha256, large->sha256);
    assert_int_equal(whole->parameters, large->parameters);
    assert_int_equal(whole->tensor_count, large->tensor_count);
    CHECK(qm_model_copy(large, &copy));
    for (size_t i = 0; i < whole->tensor_count; ++i) {
        const struct qm_model_tensor *tensor = &whole->tensors[i];
        size_t bytes = (size_t)tensor->rows * tensor->columns * sizeof(float);
        struct qm_model_view view, own;
        assert_string_equal(tensor->name, large->tensors[i].name);
        assert_null(large->tensors[i].values);
        CHECK(qm_model_view_open(large, i, &view));
        CHECK(qm_model_view_open(whole, i, &own));
        assert_null(own.own);
        assert_memory_equal(view.values, own.values, bytes);
        assert_memory_equal(copy->tensors[i].values, own.values, bytes);
        qm_model_view_close(&view);
        qm_model_view_close(&own);
    }
    qm_model_destroy(&copy);
}

static void compare_files(const char *one, const char *other)
{
    void *a, *b;
    size_t a_bytes, b_bytes;
    CHECK(qm_file_read(in_directory(one), SIZE_MAX / 2, &a, &a_bytes));
    CHECK(qm_file_read(in_directory(other), SIZE_MAX / 2, &b, &b_bytes));
    assert_int_equal(a_bytes, b_bytes);
    assert_memory_equal(a, b, a_bytes);
    free(a);
    free(b);
}

static void test_same_bits(void **state)
{
    (void)state;
    static const char *const schemes[] = {"f32", "f16", "w8a8", "w4a16-g32", "w2a16-g32", "nvfp4a16", "q4_ka16"};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); ++k) {
        write_model(&kinds[k], 128, -1);
        struct qm_model *whole = load(UINT64_MAX, 256, 0), *large = load(0, 256, 0);
        compare_values(whole, large);
        for (size_t s = 0; s < sizeof(schemes) / sizeof(schemes[0]); ++s) {
            struct qm_scheme scheme;
            struct qm_artifact *a = NULL, *b = NULL, *mapped = NULL;
            CHECK(qm_scheme_parse(schemes[s], &scheme));
            CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = whole, .scheme = &scheme}, &a));
            CHECK(qm_artifact_build(
                &(struct qm_artifact_params){.model = large, .scheme = &scheme, .scratch_directory = directory}, &b));
            assert_non_null(b->scratch.bytes);
            assert_null(b->storage);
            assert_string_equal(a->id, b->id);
            CHECK(qm_artifact_save(a, in_directory("a.safetensors")));
            CHECK(qm_artifact_save(b, in_directory("b.safetensors")));
            compare_files("a.safetensors", "b.safetensors");
            CHECK(qm_artifact_check(b, large));
            CHECK(qm_artifact_load_as(in_directory("b.safetensors"), true, &mapped));
            assert_non_null(mapped->file->map.bytes);
            assert_string_equal(mapped->id, a->id);
            CHECK(qm_artifact_check(mapped, whole));
            CHECK(qm_artifact_save(mapped, in_directory("c.safetensors")));
            compare_files("a.safetensors", "c.safetensors");
            struct qm_model_config config;
            CHECK(qm_artifact_load_config(in_directory("c.safetensors"), &config));
            assert_memory_equal(&config, &a->config, sizeof(config));
            qm_artifact_destroy(&a);
            qm_artifact_destroy(&b);
            qm_artifact_destroy(&mapped);
        }
        qm_model_destroy(&whole);
        qm_model_destroy(&large);
    }
    // No scratch file is left.
    struct qm_name_list names;
    CHECK(qm_directory_list(directory, &names));
    for (size_t i = 0; i < names.count; ++i)
        assert_null(strstr(names.names[i], "scratch"));
    qm_name_list_free(&names);
}

// A model whose channels are scaled takes its values from the files as well.
static void test_scaled(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); ++k) {
        write_model(&kinds[k], 128, -1);
        struct qm_model *models[2] = {load(UINT64_MAX, 32, 0), load(0, 32, 0)}, *copies[2] = {NULL, NULL};
        const struct qm_model_config *c = &models[0]->config;
        struct qm_calibration *calibration = qm_calibration_new(c->layers);
        struct qm_smoothed *smoothed[2] = {NULL, NULL};
        struct qm_artifact *artifacts[2] = {NULL, NULL};
        struct qm_scheme scheme;
        float values[4 * 256];
        struct qm_random random;
        assert_non_null(calibration);
        qm_random_seed(&random, 9, k);
        for (uint32_t layer = 0; layer < c->layers; ++layer)
            for (int input = 0; input < QM_INPUT_COUNT; ++input) {
                uint32_t width = input == QM_INPUT_DOWN               ? c->intermediate
                                 : input == QM_INPUT_ATTENTION_OUTPUT ? c->attention
                                                                      : c->hidden;
                assert_true(width <= 256);
                for (size_t i = 0; i < 4 * (size_t)width; ++i)
                    values[i] = (float)(qm_random_unit(&random) - 0.5) * (float)(1 + i % 7);
                CHECK(qm_calibration_observe_rows(calibration, layer, (enum qm_input)input, values, 4, width));
            }
        CHECK(qm_scheme_parse("w8a8", &scheme));
        for (int i = 0; i < 2; ++i) {
            CHECK(qm_smooth(models[i], calibration, &(struct qm_smooth_params){.is_searched = true}, &smoothed[i]));
            assert_null(smoothed[i]->model->values);
            assert_null(smoothed[i]->model->tensors[1].values);
            CHECK(qm_model_copy(smoothed[i]->model, &copies[i]));
            CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = smoothed[i]->model, .scheme = &scheme},
                                    &artifacts[i]));
        }
        for (size_t i = 0; i < models[0]->tensor_count; ++i) {
            const struct qm_model_tensor *tensor = &models[0]->tensors[i];
            size_t bytes = (size_t)tensor->rows * tensor->columns * sizeof(float);
            bool is_kept = tensor->role == QM_ROLE_EMBEDDING || tensor->role == QM_ROLE_Q_BIAS ||
                           tensor->role == QM_ROLE_K_BIAS || tensor->role == QM_ROLE_Q_NORM ||
                           tensor->role == QM_ROLE_K_NORM;
            assert_memory_equal(copies[0]->tensors[i].values, copies[1]->tensors[i].values, bytes);
            assert_true((memcmp(copies[0]->tensors[i].values, tensor->values, bytes) == 0) == is_kept);
        }
        assert_string_equal(artifacts[0]->id, artifacts[1]->id);
        for (int i = 0; i < 2; ++i) {
            qm_artifact_destroy(&artifacts[i]);
            qm_model_destroy(&copies[i]);
            qm_smoothed_destroy(&smoothed[i]);
            qm_model_destroy(&models[i]);
        }
        qm_calibration_destroy(&calibration);
    }
}

// ---- Files that change ----------------------------------------------------------------------------------------------

static void test_cut_off(void **state)
{
    (void)state;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    struct qm_model_view view;
    struct qm_model *copy = NULL;
    uint64_t bytes;
    write_model(&kinds[1], 128, -1);
    CHECK(qm_scheme_parse("w8a16", &scheme));
    struct qm_model *model = load(0, 32, 0);
    const struct qm_artifact_params params = {.model = model, .scheme = &scheme, .scratch_directory = directory};
    CHECK(qm_artifact_build(&params, &artifact));
    CHECK(qm_artifact_save(artifact, in_directory("a.safetensors")));
    qm_artifact_destroy(&artifact);
    // The model: cut off to nearly nothing after it was opened.
    CHECK(qm_file_size(in_directory("model.safetensors"), &bytes));
    assert_int_equal(truncate(in_directory("model.safetensors"), 5000), 0);
    expect_refusal(qm_model_view_open(model, 0, &view), "model.safetensors: ");
    assert_null(view.own);
    expect_refusal(qm_model_copy(model, &copy), "model.safetensors: ");
    assert_null(copy);
    expect_refusal(qm_artifact_build(&params, &artifact), "model.safetensors: ");
    assert_null(artifact);
    qm_model_destroy(&model);
    // The artifact, likewise: it is read when it is uploaded.
    CHECK(qm_artifact_load_as(in_directory("a.safetensors"), true, &artifact));
    CHECK(qm_artifact_check_unchanged(artifact));
    CHECK(qm_file_size(in_directory("a.safetensors"), &bytes));
    assert_int_equal(truncate(in_directory("a.safetensors"), (off_t)bytes - 1), 0);
    struct qm_device_info info;
    struct qm_device *device = NULL;
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    size_t count = 0;
    CHECK(qm_backend_reference.enumerate(&info, 1, &count));
    CHECK(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
    CHECK(qm_engine_create(
        &(struct qm_engine_params){
            .device = device, .tile = "narrow", .config = artifact->config, .rows = 4, .sequences = 1, .slots = 1},
        &engine));
    expect_refusal(qm_network_create(engine, artifact, &scheme, &network), "a.safetensors: ");
    assert_null(network);
    qm_engine_destroy(&engine);
    device->fns->destroy(&device);
    qm_artifact_destroy(&artifact);
    expect_refusal(qm_artifact_load_as(in_directory("a.safetensors"), true, &artifact), "a.safetensors: ");
    assert_null(artifact);
}

// Bad values are found when a large model is loaded, before anybody computes with them; headers alone do not tell.
static void test_bad_values(void **state)
{
    (void)state;
    struct qm_model *model = NULL;
    const struct qm_model_load_params large = {.multiple = 32}, headers = {.multiple = 32, .only_headers = true};
    write_model(&kinds[0], 128, 7);
    expect_refusal(qm_model_load_with(directory, &large, &model), "value 3 is not a number");
    assert_null(model);
    CHECK(qm_model_load_with(directory, &headers, &model));
    assert_string_equal(model->sha256, "");
    assert_int_equal(model->file_count, 1);
    assert_int_equal(model->file_bytes, model->parameters * 2);
    qm_model_destroy(&model);
    // A head that should be the embedding and is another.
    struct kind kind = kinds[0];
    write_model(&kind, 128, -1);
    kind.is_tied = true;
    write_config(&kind, 128);
    expect_refusal(qm_model_load_with(directory, &large, &model), "differs from the embedding");
    kind.hidden = 104; // the files are of another size
    write_config(&kind, 128);
    expect_refusal(qm_model_load_with(directory, &headers, &model), "config.json makes it [77, 104]");
}

// ---- The first layers -----------------------------------------------------------------------------------------------

static void test_layers(void **state)
{
    (void)state;
    struct qm_model *refused = NULL;
    write_model(&kinds[2], 128, -1);
    struct qm_model *all = load(UINT64_MAX, 32, 0), *some = load(0, 32, 2), *same = load(0, 32, LAYERS);
    assert_int_equal(some->config.layers, 2);
    assert_int_equal(some->layers_in_file, LAYERS);
    assert_string_equal(some->variant, "the first 2 of 3 layers");
    assert_string_not_equal(some->sha256, all->sha256); // not one artifact for both, nor comparable results
    assert_string_equal(same->sha256, all->sha256);
    assert_null(same->variant);
    for (size_t i = 0; i < some->tensor_count; ++i) {
        const struct qm_model_tensor *tensor = &some->tensors[i];
        const struct qm_model_tensor *whole = qm_model_weight(all, tensor->role, tensor->layer);
        struct qm_model_view view;
        CHECK(qm_model_view_open(some, i, &view));
        assert_string_equal(tensor->name, whole->name);
        assert_memory_equal(view.values, whole->values, (size_t)whole->rows * whole->columns * sizeof(float));
        qm_model_view_close(&view);
    }
    const struct qm_model_load_params more = {.multiple = 32, .layers = LAYERS + 1};
    expect_refusal(qm_model_load_with(directory, &more, &refused), "'num_hidden_layers' is 3, and 4");
    qm_model_destroy(&all);
    qm_model_destroy(&some);
    qm_model_destroy(&same);
}

// ---- The context of a run -------------------------------------------------------------------------------------------

struct given {
    const struct qm_artifact *artifact;
    const struct qm_scheme *scheme;
    const char *scaling;
};

// Drivers round the size of a buffer up; the oracle does not.
static void expect_bytes(const struct qm_device *device, uint64_t taken, uint64_t said)
{
    bool is_exact = strcmp(device->info->api, "reference") == 0;
    if (taken < said || taken > said + (is_exact ? 0 : 64 * 256))
        fail_msg("%s: %llu bytes were taken, %llu said", device->info->id, (unsigned long long)taken,
                 (unsigned long long)said);
}

static void run(struct qm_device *device, const char *tile, const struct given *given,
                const struct qm_model_config *config, uint32_t context, float *logits)
{
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *prefill = NULL, *decode = NULL;
    struct qm_timing timing = {0};
    struct qm_memory before = {0}, engine_only = {0}, after = {0};
    const struct qm_run_policy policy = {0, 1};
    const uint32_t vocabulary = config->vocabulary;
    uint32_t tokens[TOKENS + 1];
    const struct qm_engine_params params = {.device = device,
                                            .tile = tile,
                                            .config = *config,
                                            .context = context,
                                            .rows = TOKENS,
                                            .sequences = 1,
                                            .slots = 1};
    for (uint32_t i = 0; i <= TOKENS; ++i)
        tokens[i] = (i * 29 + 3) % vocabulary;
    device->fns->memory(device, &before);
    CHECK(qm_engine_create(&params, &engine));
    assert_int_equal(qm_engine_config(engine)->context, TOKENS);
    device->fns->memory(device, &engine_only);
    CHECK(qm_network_create(engine, given->artifact, given->scheme, &network));
    device->fns->memory(device, &after);
    // What was said before that it takes is what it took.
    struct qm_need need;
    CHECK(qm_need_find(&params, given->scheme, &need));
    expect_bytes(device, engine_only.buffers_bytes - before.buffers_bytes, need.scratch_bytes);
    expect_bytes(device, after.buffers_bytes - engine_only.buffers_bytes, need.weight_bytes + need.cache_bytes);
    assert_true(after.buffers_bytes - before.buffers_bytes < (uint64_t)8 << 20);
    CHECK(qm_engine_write_tokens(engine, tokens, 1));
    CHECK(qm_pass_create(network, &(struct qm_pass_params){1, TOKENS, 0, 0}, &prefill));
    CHECK(qm_pass_create(network, &(struct qm_pass_params){1, 1, 1, 0}, &decode));
    CHECK(qm_pass_run(prefill, &(struct qm_pass_start){0, 0}, 1, &policy, &timing));
    CHECK(qm_pass_read_logits(prefill, logits));
    CHECK(qm_pass_run(decode, &(struct qm_pass_start){TOKENS - 1, 0}, 1, &policy, &timing));
    CHECK(qm_pass_read_logits(decode, logits + (size_t)TOKENS * vocabulary));
    // A position more than the run has said.
    assert_int_equal(qm_pass_run(decode, &(struct qm_pass_start){TOKENS, 0}, 1, &policy, &timing), QM_INVALID);
    qm_pass_destroy(&prefill);
    qm_pass_destroy(&decode);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
}

// The model as if its context were the window, and with all its positions.
static void check_device(struct qm_device *device, const char *tile, const void *context)
{
    const struct given *given = context;
    const struct qm_model_config *c = &given->artifact->config;
    struct qm_model_config narrow = *c;
    size_t count = (size_t)(TOKENS + 1) * c->vocabulary;
    float *expected = calloc(count, sizeof(*expected)), *logits = calloc(count, sizeof(*logits));
    assert_true(expected && logits);
    narrow.context = TOKENS;
    run(device, tile, given, &narrow, 0, expected);
    run(device, tile, given, c, TOKENS, logits);
    print_message("%s, %s, rope %s: %d of %d positions\n", device->info->id, given->scheme->name, given->scaling,
                  TOKENS, CONTEXT);
    assert_memory_equal(logits, expected, count * sizeof(*logits));
    bool is_any = false;
    for (size_t i = 0; i < count; ++i)
        is_any = is_any || expected[i] != 0;
    assert_true(is_any);
    free(expected);
    free(logits);
}

static void test_context(void **state)
{
    (void)state;
    static const char linear[] = ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4.0}",
                      llama3[] = ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
                                 "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}";
    const struct kind scaled[] = {
        {"LlamaForCausalLM", false, QM_DTYPE_BF16, 64, 96, 48, "", "plain"},
        {"LlamaForCausalLM", false, QM_DTYPE_BF16, 64, 96, 64, linear, "linear"},
        {"LlamaForCausalLM", true, QM_DTYPE_BF16, 100, 172, 64, llama3, "llama3"},
    };
    static const char *const schemes[] = {"f32", "w8a8-kv8", "w4a16-g32-kivi4"};
    for (size_t k = 0; k < sizeof(scaled) / sizeof(scaled[0]); ++k) {
        struct qm_scheme scheme;
        struct qm_artifact *artifact = NULL;
        struct qm_device_info info;
        struct qm_device *device = NULL;
        struct qm_engine *engine = NULL;
        size_t count = 0;
        write_model(&scaled[k], CONTEXT, -1);
        struct qm_model *model = load(0, 32, 0);
        CHECK(qm_scheme_parse(schemes[k], &scheme));
        CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact));
        const struct given given = {artifact, &scheme, scaled[k].scaling};
        CHECK(qm_backend_reference.enumerate(&info, 1, &count));
        CHECK(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
        check_device(device, "narrow", &given);
        const struct qm_engine_params params = {.device = device,
                                                .tile = "narrow",
                                                .config = artifact->config,
                                                .context = CONTEXT + 1,
                                                .rows = 1,
                                                .sequences = 1,
                                                .slots = 1};
        expect_refusal(qm_engine_create(&params, &engine), "131073 positions exceed the model's context of 131072");
        assert_null(engine);
        device->fns->destroy(&device);
        with_each_device(true, check_device, &given);
        qm_artifact_destroy(&artifact);
        qm_model_destroy(&model);
    }
}

// ---- What a scheme needs --------------------------------------------------------------------------------------------

// One binding that is too small is told with both numbers, whatever lies in it.
static void test_binding(void **state)
{
    (void)state;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    struct qm_device_info info, small;
    struct qm_device *device = NULL;
    size_t count = 0;
    write_model(&kinds[1], 128, -1);
    struct qm_model *model = load(UINT64_MAX, 32, 0);
    CHECK(qm_scheme_parse("f16", &scheme));
    CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact));
    CHECK(qm_backend_reference.enumerate(&info, 1, &count));
    CHECK(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
    const struct qm_device_info *own = device->info;
    struct qm_engine_params params = {
        .device = device, .tile = "narrow", .config = model->config, .rows = 1, .sequences = 1, .slots = 1};
    struct qm_need need;
    CHECK(qm_need_find(&params, &scheme, &need));
    assert_true(need.binding_bytes > 8192 && need.binding_of[0]);
    small = *own;
    for (int fits = 0; fits < 2; ++fits) {
        struct qm_engine *engine = NULL;
        struct qm_network *network = NULL;
        small.max_binding_bytes = need.binding_bytes - (fits ? 0 : 1);
        device->info = &small;
        CHECK(qm_engine_create(&params, &engine));
        enum qm_status status = qm_network_create(engine, artifact, &scheme, &network);
        if (!fits) {
            char expected[QM_WEIGHT_NAME_BYTES + 64];
            assert_int_equal(status, QM_UNSUPPORTED);
            snprintf(expected, sizeof(expected), "%s takes %llu bytes", need.binding_of,
                     (unsigned long long)need.binding_bytes);
            if (!strstr(qm_error_text(), expected))
                fail_msg("'%s' and not '%s'", qm_error_text(), expected);
        } else {
            CHECK(status);
        }
        qm_network_destroy(&network);
        qm_engine_destroy(&engine);
    }
    device->info = own;
    device->fns->destroy(&device);
    qm_artifact_destroy(&artifact);
    qm_model_destroy(&model);
}

// ---- The suite ------------------------------------------------------------------------------------------------------

static int setup(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct qm_name_list list;
    if (qm_directory_list(directory, &list) == QM_OK)
        for (size_t i = 0; i < list.count; ++i)
            unlink(in_directory(list.names[i]));
    qm_name_list_free(&list);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),  cmocka_unit_test(test_scaled), cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_bad_values), cmocka_unit_test(test_layers), cmocka_unit_test(test_context),
        cmocka_unit_test(test_binding),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
