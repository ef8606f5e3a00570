// From a model's directory to an artifact and back: what is refused on the way, what changes the id and what does not,
// and the layout for devices.
#include "base/numeric.h"
#include "base/random.h"
#include "model/safetensors.h"
#include "quant/artifact.h"
#include "quant/layout.h"
#include "sys/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define CONFIG                                                                                                         \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":2,"   \
    "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":64,\"vocab_size\":37,"                           \
    "\"max_position_embeddings\":128,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"tie_word_embeddings\":false"

static const struct qm_model_config config = {.own = {64, 96, 64},
                                              .hidden = 64,
                                              .intermediate = 96,
                                              .layers = 2,
                                              .heads = 2,
                                              .kv_heads = 1,
                                              .head_dim = 64,
                                              .attention = 128,
                                              .vocabulary = 37};

static char directory[] = "/tmp/qmark-test-XXXXXX";
static char artifact_path[QM_PATH_BYTES];

static const char *in_directory(const char *name)
{
    static char path[QM_PATH_BYTES];
    assert_int_equal(qm_path_join(path, directory, name), QM_OK);
    return path;
}

static void write_config(const char *more)
{
    char text[2048];
    snprintf(text, sizeof(text), "%s%s}", CONFIG, more);
    assert_int_equal(qm_file_write(in_directory("config.json"), text, strlen(text)), QM_OK);
}

enum {
    MAX_TENSORS = 32
};
static struct qm_tensor weights[MAX_TENSORS];
static char names[MAX_TENSORS][QM_WEIGHT_NAME_BYTES + 8];
static size_t weight_count;

// A random model of a few thousand weights.
static void make_weights(void)
{
    struct qm_random random;
    qm_random_seed(&random, 11, 0);
    weight_count = qm_weight_count(&config);
    for (size_t i = 0; i < weight_count; i++) {
        char name[QM_WEIGHT_NAME_BYTES];
        enum qm_role role;
        uint32_t layer, rows, columns;
        qm_weight_at(&config, i, &role, &layer);
        assert_int_equal(qm_weight_index(&config, role, layer), i);
        qm_role_weight_name(role, layer, name);
        qm_role_shape(&config, role, &rows, &columns);
        snprintf(names[i], sizeof(names[i]), "%s.weight", name);
        float *values = malloc((size_t)rows * columns * sizeof(float));
        for (size_t v = 0; v < (size_t)rows * columns; v++)
            values[v] = (float)(qm_random_unit(&random) - 0.5) * 0.125f;
        weights[i] = (struct qm_tensor){.name = names[i],
                                        .rank = 2,
                                        .shape = {rows, columns},
                                        .bytes = (size_t)rows * columns * sizeof(float),
                                        .data = values};
        if (qm_role_is_vector(role)) {
            weights[i].rank = 1;
            weights[i].shape[0] = columns;
        }
    }
}

static void write_weights(void)
{
    assert_int_equal(qm_safetensors_write(in_directory("model.safetensors"), weights, weight_count, NULL, 0), QM_OK);
}

static struct qm_model *load_model(void)
{
    struct qm_model *model;
    write_config("");
    write_weights();
    if (qm_model_load(directory, 32, &model) != QM_OK)
        fail_msg("%s", qm_error_text());
    return model;
}

static int setup(void **state)
{
    (void)state;
    make_weights();
    return mkdtemp(directory) && qm_path_join(artifact_path, directory, "a.safetensors") == QM_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct qm_name_list list;
    for (size_t i = 0; i < weight_count; i++)
        free((void *)(uintptr_t)weights[i].data);
    if (qm_directory_list(directory, &list) == QM_OK)
        for (size_t i = 0; i < list.count; i++)
            unlink(in_directory(list.names[i]));
    qm_name_list_free(&list);
    return rmdir(directory);
}

static void model_refused(enum qm_status expected, const char *words)
{
    struct qm_model *model;
    enum qm_status status = qm_model_load(directory, 32, &model);
    assert_null(model);
    if (status != expected || !strstr(qm_error_text(), words) || strncmp(qm_error_text(), directory, 10) != 0)
        fail_msg("expected %s and '%s', got %s and '%s'", qm_status_name(expected), words, qm_status_name(status),
                 qm_error_text());
}

static void test_model(void **state)
{
    (void)state;
    struct qm_model *model = load_model();
    assert_int_equal(model->tensor_count, weight_count);
    for (size_t i = 0; i < weight_count; i++)
        assert_memory_equal(model->tensors[i].values, weights[i].data, weights[i].bytes);
    assert_string_equal(qm_model_weight(model, QM_ROLE_DOWN, 1)->name, "model.layers.1.mlp.down_proj");
    assert_int_equal(qm_model_weight(model, QM_ROLE_O, 0)->columns, 128);
    qm_model_destroy(&model);
    assert_null(model);
    // What config.json may not say.
    const struct {
        enum qm_status status;
        const char *more, *words;
    } configs[] = {
        {QM_UNSUPPORTED, ",\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2}", "'rope_scaling' is of type dynamic"},
        {QM_INVALID, ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}", "'factor' of the rope scaling is 0.5"},
        {QM_INVALID, ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}", "do not go together"},
        {QM_UNSUPPORTED, ",\"sliding_window\":32", "'sliding_window' is set, and LlamaForCausalLM has none"},
        {QM_UNSUPPORTED, ",\"quantization_config\":{}", "'quantization_config.quant_method' is not there"},
        {QM_UNSUPPORTED, ",\"attention_bias\":true", "'attention_bias' is true"},
        {QM_UNSUPPORTED, ",\"hidden_act\":\"gelu\"", "'hidden_act' is not silu"},
        {QM_UNSUPPORTED, ",\"rope_parameters\":{\"rope_type\":\"yarn\"}", "'rope_parameters'"},
        {QM_INVALID, ",\"hidden_size\":64", "duplicate"},
        {QM_INVALID, ",", "no JSON"},
    };
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        write_config(configs[i].more);
        model_refused(configs[i].status, configs[i].words);
    }
    const struct {
        enum qm_status status;
        const char *key, *value, *words;
    } edits[] = {
        {QM_UNSUPPORTED, "LlamaForCausalLM", "MambaForCausalLM",
         "'architectures' is MambaForCausalLM; LlamaForCausalLM, "},
        {QM_INVALID, "\"hidden_size\":64", "\"hidden_size\":80", "config.json makes it [37, 80]"},
        {QM_UNSUPPORTED, "\"head_dim\":64", "\"head_dim\":63", "'head_dim' is 63"},
        {QM_UNSUPPORTED, "\"head_dim\":64", "\"head_dim\":258", "'head_dim' is 258"},
        {QM_INVALID, "\"vocab_size\":37", "\"vocab_size\":38", "shape [37, 64]; config.json makes it [38, 64]"},
        {QM_INVALID, "\"vocab_size\":37", "\"vocab_size\":-1", "'vocab_size' is no whole number"},
        {QM_INVALID, "\"num_key_value_heads\":1", "\"num_key_value_heads\":3", "it must divide"},
        {QM_INVALID, "\"num_hidden_layers\":2", "\"num_hidden_layers\":3", "it should"},
        {QM_INVALID, "\"num_hidden_layers\":2", "\"num_hidden_layers\":1", "model.layers.1."},
        {QM_INVALID, "\"rms_norm_eps\":1e-5", "\"rms_norm_eps\":-1", "'rms_norm_eps'"},
        {QM_INVALID, "\"tie_word_embeddings\":false", "\"tie_word_embeddings\":true", "differs from the embedding"},
    };
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        char text[2048];
        const char *at = strstr(CONFIG, edits[i].key);
        snprintf(text, sizeof(text), "%.*s%s%s}", (int)(at - CONFIG), CONFIG, edits[i].value,
                 at + strlen(edits[i].key));
        assert_int_equal(qm_file_write(in_directory("config.json"), text, strlen(text)), QM_OK);
        if (strcmp(edits[i].words, "it should") == 0)
            model_refused(edits[i].status, "config.json asks for");
        else
            model_refused(edits[i].status, edits[i].words);
    }
    write_config("");
    float *values = (float *)(uintptr_t)weights[3].data, kept = values[5];
    values[5] = qm_float_from_bits(0x7f800000u);
    write_weights();
    model_refused(QM_INVALID, "value 5 is infinite");
    values[5] = kept;
}

static struct qm_activation_scales *make_scales(enum qm_calibrator method, float factor)
{
    struct qm_calibration *calibration = qm_calibration_new(config.layers);
    struct qm_calibration_set set = {"test set", "", 2, 64};
    struct qm_activation_scales *scales;
    memset(set.sha256, factor > 1 ? 'b' : 'a', 64);
    for (uint32_t layer = 0; layer < config.layers; layer++)
        for (int input = 0; input < QM_INPUT_COUNT; input++) {
            float values[3] = {0.25f, -factor * (float)(input + 1), (float)layer};
            assert_int_equal(qm_calibration_observe(calibration, layer, (enum qm_input)input, values, 3), QM_OK);
        }
    for (uint32_t layer = 0; layer < config.layers; layer++) {
        const float keys[2] = {-448 * factor, 3}, values[2] = {0.5f * factor * (float)layer, -7 * 0x1p-140f};
        assert_int_equal(qm_calibration_observe_cached(calibration, layer, QM_CACHED_KEYS, keys, 1, 2), QM_OK);
        assert_int_equal(qm_calibration_observe_cached(calibration, layer, QM_CACHED_VALUES, values, 1, 2), QM_OK);
    }
    assert_int_equal(qm_calibration_scales(calibration, method, &set, &scales), QM_OK);
    qm_calibration_destroy(&calibration);
    return scales;
}

static struct qm_scheme scheme_of(const char *name)
{
    struct qm_scheme scheme;
    assert_int_equal(qm_scheme_parse(name, &scheme), QM_OK);
    return scheme;
}

static struct qm_artifact *build(const struct qm_model *model, const char *name,
                                 const struct qm_activation_scales *scales)
{
    struct qm_artifact *artifact;
    struct qm_scheme scheme = scheme_of(name);
    if (qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme, .activations = scales},
                          &artifact) != QM_OK)
        fail_msg("%s", qm_error_text());
    return artifact;
}

// Scales of the cache: what they are, that they are the artifact's own, and what a file may not say of them.
static void test_cache_scales(void **state)
{
    (void)state;
    struct qm_model *model = load_model();
    struct qm_activation_scales *absmax = make_scales(QM_CALIBRATOR_ABSMAX, 1);
    struct qm_activation_scales *percentile = make_scales(QM_CALIBRATOR_PERCENTILE, 1);
    struct qm_activation_scales *other = make_scales(QM_CALIBRATOR_ABSMAX, 2);
    struct qm_artifact *e4m3 = build(model, "w8a16-kve4m3s-first4", absmax),
                       *e5m2 = build(model, "w8a16-kve5m2s", absmax);
    struct qm_artifact *again = build(model, "w8a16-kve4m3s", absmax), *of_other = build(model, "w8a16-kve4m3s", other);
    struct qm_artifact *plain = build(model, "w8a16", NULL), *uncalibrated = build(model, "w8a16-kve4m3", NULL);
    struct qm_artifact *both = build(model, "w8a8-static-percentile-kve4m3s", percentile), *read, *none;
    assert_string_equal(e4m3->scheme.name, "w8a16-kve4m3s");
    assert_string_equal(e4m3->id, again->id);
    assert_string_not_equal(e4m3->id, e5m2->id);
    assert_string_not_equal(e4m3->id, of_other->id);
    assert_string_not_equal(e4m3->id, plain->id);
    assert_string_equal(uncalibrated->id, plain->id);
    assert_null(plain->cache_scales);
    assert_int_equal(e4m3->bytes, plain->bytes + 4 * 4);
    assert_int_equal(e4m3->weight_bytes, plain->weight_bytes);
    // 448 / 448; 1 for values that were all but 0; 0.5 / 448 rounded up.
    assert_true(e4m3->cache_scales[0][QM_CACHED_KEYS] == 1 && e4m3->cache_scales[0][QM_CACHED_VALUES] == 1);
    assert_true(e4m3->cache_scales[1][QM_CACHED_KEYS] == 1);
    assert_true(qm_bits_from_float(e4m3->cache_scales[1][QM_CACHED_VALUES]) == 0x3a924925); // 1/7 2^-7
    assert_true(e5m2->cache_scales[1][QM_CACHED_KEYS] == 0x1p-7f && both->cache_scales[1][QM_CACHED_KEYS] == 1);
    struct qm_artifact *const all[] = {e4m3, e5m2, again, of_other, plain, uncalibrated, both};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        void *first, *second;
        size_t first_bytes, second_bytes;
        assert_int_equal(qm_artifact_save(all[i], artifact_path), QM_OK);
        assert_int_equal(qm_file_read(artifact_path, 1 << 24, &first, &first_bytes), QM_OK);
        if (qm_artifact_load(artifact_path, &read) != QM_OK)
            fail_msg("%s: %s", all[i]->scheme.name, qm_error_text());
        assert_string_equal(read->id, all[i]->id);
        assert_true(qm_scheme_equal(&read->scheme, &all[i]->scheme));
        assert_int_equal(read->bytes, all[i]->bytes);
        assert_true(!read->cache_scales == !all[i]->cache_scales);
        if (read->cache_scales) {
            size_t bytes = config.layers * sizeof(*read->cache_scales);
            assert_memory_equal(read->cache_scales, all[i]->cache_scales, bytes);
            assert_memory_equal(read->activations->cache, all[i]->activations->cache, bytes);
        }
        assert_int_equal(qm_artifact_save(read, artifact_path), QM_OK);
        assert_int_equal(qm_file_read(artifact_path, 1 << 24, &second, &second_bytes), QM_OK);
        assert_int_equal(first_bytes, second_bytes);
        assert_memory_equal(first, second, first_bytes);
        free(first);
        free(second);
        qm_artifact_destroy(&read);
    }
    // Not from a calibration without the cache, nor from none; found by the set that it was calibrated on.
    struct qm_scheme scheme = scheme_of("w8a16-kve4m3s");
    struct qm_cache_amax *kept = absmax->cache;
    struct qm_artifact_params params = {.model = model, .scheme = &scheme, .activations = absmax};
    absmax->cache = NULL;
    assert_int_equal(qm_artifact_build(&params, &none), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "scheme w8a16-kve4m3s needs keys and values seen over a calibration set"));
    absmax->cache = kept;
    params.activations = NULL;
    assert_int_equal(qm_artifact_build(&params, &none), QM_INVALID);
    assert_int_equal(qm_artifact_store(e4m3, directory), QM_OK);
    assert_int_equal(qm_artifact_find(directory, model->sha256, &model->config, &scheme, other->set.sha256, &none),
                     QM_OK);
    assert_null(none);
    assert_int_equal(qm_artifact_find(directory, model->sha256, &model->config, &scheme, absmax->set.sha256, &none),
                     QM_OK);
    assert_non_null(none);
    qm_artifact_destroy(&none);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct qm_artifact *artifact = all[i];
        if (artifact != e4m3)
            qm_artifact_destroy(&artifact);
    }
    // Values, shapes, names and numbers of a file.
    assert_int_equal(qm_artifact_save(e4m3, artifact_path), QM_OK);
    qm_artifact_destroy(&e4m3);
    struct qm_tensors file;
    assert_int_equal(qm_tensors_load(artifact_path, &file), QM_OK);
    size_t at = 0;
    while (strcmp(file.tensors[at].name, "model.layers.1.self_attn.v_scale") != 0)
        at++;
    assert_int_equal(file.tensors[at].dtype, QM_DTYPE_F32);
    assert_int_equal(file.tensors[at].rank, 1);
    assert_int_equal(file.tensors[at].shape[0], 1);
    struct qm_tensor *edited = malloc((file.count + 1) * sizeof(*edited));
    const float two[2] = {1, 1};
    const struct {
        uint32_t bits;
        bool is_vector;
        const char *name, *words;
    } edits[] = {
        {0, false, NULL, "tensor 'model.layers.1.self_attn.v_scale': 0; a scale of the cache is above 0 and finite"},
        {0xbf800000u, false, NULL, "-1; a scale of the cache"},
        {0x7f800000u, false, NULL, "inf; a scale of the cache"},
        {0x7fc00000u, false, NULL, "nan; a scale of the cache"},
        {0x00000001u, false, NULL, "from 2^-116 to 2^120"},
        {0x7e000000u, false, NULL, "from 2^-116 to 2^120"}, // 2^125, whose reciprocal is subnormal
        {0x3f800000u, true, NULL, "tensor 'model.layers.1.self_attn.v_scale': F32 [2]; it should be F32 [1]"},
        {0x3f800000u, false, "model.layers.1.self_attn.x_scale", "'model.layers.1.self_attn.v_scale'"},
        {0x3f800001u, false, NULL, "its content has id"}, // a scale is part of the identity
    };
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        float value = qm_float_from_bits(edits[i].bits);
        memcpy(edited, file.tensors, file.count * sizeof(*edited));
        edited[at].data = edits[i].is_vector ? (const void *)two : (const void *)&value;
        edited[at].bytes = edits[i].is_vector ? 8 : 4;
        edited[at].shape[0] = edits[i].is_vector ? 2 : 1;
        edited[at].name = edits[i].name ? edits[i].name : edited[at].name;
        assert_int_equal(qm_safetensors_write(artifact_path, edited, file.count, file.metadata, file.metadata_count),
                         QM_OK);
        assert_int_equal(qm_artifact_load(artifact_path, &none), QM_INVALID);
        if (!strstr(qm_error_text(), edits[i].words) || strchr(qm_error_text(), '\n'))
            fail_msg("expected '%s', got '%s'", edits[i].words, qm_error_text());
    }
    // One too few, and one too many: in a scheme that has none.
    memcpy(edited, file.tensors, file.count * sizeof(*edited));
    edited[at] = edited[file.count - 1];
    assert_int_equal(qm_safetensors_write(artifact_path, edited, file.count - 1, file.metadata, file.metadata_count),
                     QM_OK);
    assert_int_equal(qm_artifact_load(artifact_path, &none), QM_INVALID);
    plain = build(model, "w8a16", NULL);
    assert_int_equal(qm_artifact_save(plain, artifact_path), QM_OK);
    qm_artifact_destroy(&plain);
    struct qm_tensors without;
    assert_int_equal(qm_tensors_load(artifact_path, &without), QM_OK);
    memcpy(edited, without.tensors, without.count * sizeof(*edited));
    edited[without.count] = file.tensors[at];
    assert_int_equal(
        qm_safetensors_write(artifact_path, edited, without.count + 1, without.metadata, without.metadata_count),
        QM_OK);
    assert_int_equal(qm_artifact_load(artifact_path, &none), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "tensors; scheme w8a16 has"));
    free(edited);
    qm_tensors_free(&without);
    qm_tensors_free(&file);
    qm_activation_scales_destroy(&absmax);
    qm_activation_scales_destroy(&percentile);
    qm_activation_scales_destroy(&other);
    qm_model_destroy(&model);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct qm_model *model = load_model();
    struct qm_activation_scales *absmax = make_scales(QM_CALIBRATOR_ABSMAX, 1);
    struct qm_activation_scales *percentile = make_scales(QM_CALIBRATOR_PERCENTILE, 1);
    const char *name;
    for (size_t s = 0; (name = qm_scheme_stock_name(s)); s++) {
        struct qm_scheme scheme = scheme_of(name);
        struct qm_artifact *made =
            build(model, name, scheme.calibrator == QM_CALIBRATOR_PERCENTILE ? percentile : absmax);
        struct qm_artifact *read;
        void *first, *second;
        size_t first_bytes, second_bytes;
        assert_int_equal(qm_artifact_save(made, artifact_path), QM_OK);
        assert_int_equal(qm_file_read(artifact_path, 1 << 24, &first, &first_bytes), QM_OK);
        if (qm_artifact_load(artifact_path, &read) != QM_OK)
            fail_msg("%s: %s", name, qm_error_text());
        assert_string_equal(made->id, read->id);
        assert_string_equal(made->model_sha256, read->model_sha256);
        assert_true(qm_scheme_equal(&made->scheme, &read->scheme));
        assert_true(qm_scheme_same_artifact(&scheme, &read->scheme));
        assert_int_equal(made->bytes, read->bytes);
        assert_int_equal(made->weight_bytes, read->weight_bytes);
        assert_int_equal(qm_artifact_check(read, model), QM_OK);
        assert_true((read->activations != NULL) == scheme.is_static);
        for (size_t i = 0; i < made->tensor_count; i++) {
            const struct qm_artifact_tensor *a = &made->tensors[i], *b = &read->tensors[i];
            assert_memory_equal(a->encoded.codes, b->encoded.codes, a->code_bytes);
            if (a->scale_bytes > 0)
                assert_memory_equal(a->encoded.scales, b->encoded.scales, a->scale_bytes);
            assert_int_equal(a->activation_scale_count, b->activation_scale_count);
            if (a->activation_scale_count > 0)
                assert_memory_equal(a->activation_scales, b->activation_scales, 4 * a->activation_scale_count);
            assert_true(a->record.rms_error == b->record.rms_error && a->record.scale_max == b->record.scale_max);
            assert_int_equal(a->record.bytes, b->code_bytes + b->scale_bytes);
        }
        if (scheme.is_static) {
            assert_true(qm_artifact_weight(read, QM_ROLE_V, 1)->activation_scales[0] ==
                        read->activations->inputs[4].scale);
            assert_memory_equal(made->activations->inputs, read->activations->inputs,
                                made->activations->count * sizeof(struct qm_activation_scale));
            assert_string_equal(read->activations->set.name, "test set");
        }
        // Saved again, the same bytes; and so is what the KV format's variant gives.
        assert_int_equal(qm_artifact_save(read, artifact_path), QM_OK);
        assert_int_equal(qm_file_read(artifact_path, 1 << 24, &second, &second_bytes), QM_OK);
        assert_int_equal(first_bytes, second_bytes);
        assert_memory_equal(first, second, first_bytes);
        free(first);
        free(second);
        qm_artifact_destroy(&made);
        qm_artifact_destroy(&read);
    }
    // Ids: one per scheme, none per KV format; other activation scales are another artifact.
    struct qm_activation_scales *other = make_scales(QM_CALIBRATOR_ABSMAX, 2);
    struct qm_artifact *a = build(model, "w8a8", NULL), *b = build(model, "w8a8-kv4", NULL);
    struct qm_artifact *c = build(model, "w8a16", NULL), *d = build(model, "w8a8-static", absmax);
    struct qm_artifact *e = build(model, "w8a8-static", other);
    assert_string_equal(a->id, b->id);
    assert_string_equal(b->scheme.name, "w8a8");
    assert_string_not_equal(a->id, c->id);
    assert_string_not_equal(a->id, d->id);
    assert_string_not_equal(d->id, e->id);
    // What cannot be built.
    struct qm_artifact *none;
    struct qm_scheme is_static = scheme_of("w8a8-static");
    assert_int_equal(
        qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &is_static, .activations = NULL},
                          &none),
        QM_INVALID);
    assert_int_equal(
        qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &is_static, .activations = percentile},
                          &none),
        QM_INVALID);
    assert_null(none);
    // A directory of them.
    assert_int_equal(qm_artifact_find(directory, model->sha256, &model->config, &is_static, absmax->set.sha256, &none),
                     QM_OK);
    assert_null(none);
    assert_int_equal(qm_artifact_store(d, directory), QM_OK);
    assert_int_equal(qm_artifact_find(directory, model->sha256, &model->config, &is_static, absmax->set.sha256, &none),
                     QM_OK);
    assert_non_null(none);
    assert_string_equal(none->id, d->id);
    qm_artifact_destroy(&none);
    assert_int_equal(qm_artifact_find(directory, model->sha256, &model->config, &is_static, other->set.sha256, &none),
                     QM_OK);
    assert_null(none);
    assert_int_equal(qm_artifact_path(directory, d->id, artifact_path), QM_OK);
    assert_int_equal(qm_file_write(artifact_path, "damaged", 7), QM_OK);
    assert_int_equal(qm_artifact_find(directory, model->sha256, &model->config, &is_static, absmax->set.sha256, &none),
                     QM_OK);
    assert_null(none);
    struct qm_artifact *all[] = {a, b, c, d, e};
    for (size_t i = 0; i < 5; i++)
        qm_artifact_destroy(&all[i]);
    qm_activation_scales_destroy(&absmax);
    qm_activation_scales_destroy(&percentile);
    qm_activation_scales_destroy(&other);
    qm_model_destroy(&model);
    assert_int_equal(qm_path_join(artifact_path, directory, "a.safetensors"), QM_OK);
}

static enum qm_status load_bytes(const void *bytes, size_t count)
{
    struct qm_artifact *artifact;
    assert_int_equal(qm_file_write(artifact_path, bytes, count), QM_OK);
    enum qm_status status = qm_artifact_load(artifact_path, &artifact);
    if (status == QM_OK)
        qm_artifact_destroy(&artifact);
    else
        assert_null(strchr(qm_error_text(), '\n'));
    return status;
}

static void test_damaged(void **state)
{
    (void)state;
    struct qm_model *model = load_model();
    struct qm_activation_scales *scales = make_scales(QM_CALIBRATOR_ABSMAX, 1);
    struct qm_artifact *artifact = build(model, "w4a8-g32-static", scales);
    unsigned char *bytes;
    void *read;
    size_t count;
    struct qm_random random;
    assert_int_equal(qm_artifact_save(artifact, artifact_path), QM_OK);
    assert_int_equal(qm_file_read(artifact_path, 1 << 24, &read, &count), QM_OK);
    bytes = read;
    uint64_t header;
    memcpy(&header, bytes, 8);
    qm_random_seed(&random, 5, 0);
    for (int round = 0; round < 200; round++) { // one bit of the data
        size_t at = 8 + header + qm_random_below(&random, (uint32_t)(count - 8 - header));
        unsigned char bit = (unsigned char)(1u << qm_random_below(&random, 8));
        bytes[at] ^= bit;
        assert_int_equal(load_bytes(bytes, count), QM_INVALID);
        bytes[at] ^= bit;
    }
    for (int round = 0; round < 50; round++)
        assert_int_equal(load_bytes(bytes, qm_random_below(&random, (uint32_t)count)), QM_INVALID);
    // Claims in the header: another scheme, id, config.
    const char *const claims[][2] = {
        {"\"scheme\":\"w4a8-g32-static\"", "\"scheme\":\"w4a8-g32-staticX"},
        {"\"id\":\"", "\"ix\":\""},
        {"\\\"rope_theta\\\":10000", "\\\"rope_theta\\\":10001"},
        {"\"qmark_artifact\":\"1\"", "\"qmark_artifact\":\"2\""},
    };
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        unsigned char *copy = malloc(count);
        memcpy(copy, bytes, count);
        unsigned char *at = memmem(copy, 8 + header, claims[i][0], strlen(claims[i][0]));
        assert_non_null(at);
        memcpy(at, claims[i][1], strlen(claims[i][1]));
        assert_int_not_equal(load_bytes(copy, count), QM_OK);
        free(copy);
    }
    assert_int_equal(load_bytes(bytes, count), QM_OK);
    free(read);
    qm_artifact_destroy(&artifact);
    // A tensor too many, and one of another shape.
    struct qm_tensors file;
    assert_int_equal(qm_tensors_load(artifact_path, &file), QM_OK);
    struct qm_tensor *more = malloc((file.count + 1) * sizeof(*more));
    memcpy(more, file.tensors, file.count * sizeof(*more));
    more[file.count] = (struct qm_tensor){"zzz", QM_DTYPE_U8, 1, {1}, 1, "x"};
    assert_int_equal(qm_safetensors_write(artifact_path, more, file.count + 1, file.metadata, file.metadata_count),
                     QM_OK);
    assert_int_equal(qm_artifact_load(artifact_path, &artifact), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "tensors; scheme w4a8-g32-static has"));
    for (size_t i = 0; i < file.count; i++)
        if (strcmp(more[i].name, "lm_head.weight") == 0) {
            more[i].shape[0] = 32;
            more[i].shape[1] = 37;
        }
    assert_int_equal(qm_safetensors_write(artifact_path, more, file.count, file.metadata, file.metadata_count), QM_OK);
    assert_int_equal(qm_artifact_load(artifact_path, &artifact), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "tensor 'lm_head.weight': U8 [32, 37]; it should be U8 [37, 32]"));
    free(more);
    qm_tensors_free(&file);
    qm_activation_scales_destroy(&scales);
    qm_model_destroy(&model);
}

// Code k of row n, from the packed words and the layout's definition alone.
static uint32_t packed_code(const uint32_t *words, const struct qm_layout *layout, uint32_t bits, uint32_t n,
                            uint32_t k)
{
    uint32_t low = bits == 3 ? 2 : bits == 6 ? 4 : bits, i = k % 32;
    const uint32_t *step = words + ((size_t)(n / 16) * layout->words_per_row + (size_t)(k / 32) * bits) * 16 + n % 16;
    uint32_t code = step[(size_t)(i * low / 32) * 16] >> (i * low % 32) & (low == 32 ? UINT32_MAX : (1u << low) - 1);
    if (low != bits) {
        uint32_t high = bits - low;
        code |= (step[(size_t)(low + i * high / 32) * 16] >> (i * high % 32) & ((1u << high) - 1)) << low;
    }
    return code;
}

// One format and shape, widened: every code and every byte of scales where the page says that it lies.
static void check_layout(enum qm_weight_format format, const struct qm_layout_shape *shape, struct qm_random *random)
{
    const struct qm_weight_codec *codec = qm_weight_codec(format);
    uint32_t n = shape->n, k = shape->k, bits = codec->code_bits;
    size_t code_bytes = qm_format_code_bytes(format, n, k), scale_bytes = qm_format_scale_bytes(format, n, k);
    struct qm_encoded from = {malloc(code_bytes), malloc(scale_bytes + 1), 1};
    struct qm_encoded again = {calloc(1, code_bytes), calloc(1, scale_bytes + 1), 1};
    for (size_t i = 0; i < code_bytes; i++)
        ((unsigned char *)from.codes)[i] = (unsigned char)qm_random_u32(random);
    for (size_t i = 0; i < scale_bytes; i++)
        ((unsigned char *)from.scales)[i] = (unsigned char)qm_random_u32(random);
    struct qm_layout layout;
    assert_int_equal(qm_layout_plan(format, shape, &layout), QM_OK);
    uint32_t *words = malloc(layout.bytes), wide_n = n * shape->widen_n, wide_k = k * shape->widen_k;
    assert_int_equal(qm_layout_pack(format, shape, &from, words), QM_OK);
    assert_int_equal(layout.rows_padded, (wide_n + 15) / 16 * 16);
    for (uint32_t row = 0; row < layout.rows_padded; row++)
        for (uint32_t i = 0; i < wide_k; i++) {
            uint32_t expected = row < wide_n ? qm_format_code(format, &from, row % n, i % k, k) : 0;
            assert_int_equal(packed_code(words, &layout, bits, row, i), expected);
        }
    assert_true(scale_bytes == 0 || layout.scale_offset_words % 64 == 0);
    size_t row_bytes = scale_bytes / n, copies = codec->group ? shape->widen_k : 1;
    for (uint32_t row = 0; row < wide_n; row++)
        for (size_t i = 0; i < row_bytes * copies; i++) {
            uint32_t word = words[layout.scale_offset_words +
                                  ((size_t)(row / 16) * layout.scale_words_per_row + i / 4) * 16 + row % 16];
            assert_int_equal(word >> (i % 4 * 8) & 0xff,
                             ((unsigned char *)from.scales)[row % n * row_bytes + i % row_bytes]);
        }
    if (shape->widen_n == 1 && shape->widen_k == 1) {
        assert_int_equal(qm_layout_unpack(format, shape, words, &again), QM_OK);
        assert_memory_equal(from.codes, again.codes, code_bytes);
        assert_memory_equal(from.scales, again.scales, scale_bytes);
    }
    free(from.codes);
    free(from.scales);
    free(again.codes);
    free(again.scales);
    free(words);
}

static void test_layout(void **state)
{
    (void)state;
    const struct qm_layout_shape shapes[] = {{1, 32, 1, 1},   {16, 64, 1, 1}, {37, 96, 1, 1}, {17, 160, 1, 1},
                                             {50, 128, 1, 1}, {37, 96, 4, 4}, {9, 128, 1, 2}, {3, 32, 8, 8}};
    struct qm_random random;
    qm_random_seed(&random, 9, 0);
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++)
        for (int f = 0; f < QM_WEIGHT_FORMAT_COUNT; f++) {
            enum qm_weight_format format = (enum qm_weight_format)f;
            if (shapes[s].k % qm_format_column_multiple(format) == 0 &&
                qm_weight_codec(format)->scale != QM_SCALE_BLOCK)
                check_layout(format, &shapes[s], &random);
        }
    struct qm_layout layout;
    assert_int_equal(qm_layout_plan(QM_WEIGHT_W8, &(struct qm_layout_shape){16, 12, 1, 1}, &layout), QM_INVALID);
    assert_int_equal(qm_layout_plan(QM_WEIGHT_W4G32, &(struct qm_layout_shape){16, 40, 1, 1}, &layout), QM_INVALID);
    assert_int_equal(qm_layout_plan(QM_WEIGHT_F32, &(struct qm_layout_shape){0, 32, 1, 1}, &layout), QM_INVALID);
    assert_int_equal(qm_layout_plan(QM_WEIGHT_F32, &(struct qm_layout_shape){65536, 65536, 1, 2}, &layout), QM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),   cmocka_unit_test(test_round_trip), cmocka_unit_test(test_cache_scales),
        cmocka_unit_test(test_damaged), cmocka_unit_test(test_layout),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
