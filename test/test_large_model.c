// Models larger than memory should be: values that stay in their files, artifacts made in a scratch file and mapped, the first
// layers alone. All of it gives the bits of the model that is read whole.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/engine.h"
#include "model/weights.h"
#include "quant/artifact.h"
#include "quant/smooth.h"
#include "test/random_model.h"

static const struct kind kinds[] = {
    {"LlamaForCausalLM", false, QM_DTYPE_BF16, 100, 172, 48, 77, "", ""},
    {"LlamaForCausalLM", true, QM_DTYPE_F32, 64, 96, 64, 77, "", ""},
    {"Qwen2ForCausalLM", false, QM_DTYPE_BF16, 96, 160, 32, 77, "", ""},
    {"Qwen3ForCausalLM", true, QM_DTYPE_BF16, 72, 104, 18, 77, "", ""},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),  cmocka_unit_test(test_scaled), cmocka_unit_test(test_cut_off),
        cmocka_unit_test(test_bad_values), cmocka_unit_test(test_layers),
    };
    return cmocka_run_group_tests(tests, directory_setup, directory_teardown);
}
