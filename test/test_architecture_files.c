// Files of architectures that have tensors of their own: fused ones cut apart, those that lie turned over, names with and without
// a prefix; and what of their config.json and tensors is refused, by which name.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <math.h>

#include "model/weights_arrange.h"
#include "test/tiny_model.h"

static json_t *data;

enum {
    PHI3 = 6,
    OLMO2,
    GEMMA,
    GEMMA2,
    GEMMA3,
    GPT2,
    STARCODER2,
};

static json_t *entry_at(size_t index)
{
    return json_deep_copy(json_array_get(json_object_get(data, "models"), index));
}

// The directory of an entry with one key of its config.json set to JSON text (NULL: taken out).
static enum qm_status load_with(size_t index, const char *key, const char *value, struct qm_model **out)
{
    json_t *entry = entry_at(index), *config = json_object_get(entry, "config");
    if (key && !value)
        json_object_del(config, key);
    else if (key)
        json_object_set_new(config, key, json_loads(value, JSON_DECODE_ANY, NULL));
    char *text = json_dumps(config, 0);
    assert_int_equal(qm_file_write(in_directory("config.json"), text, strlen(text)), QM_OK);
    write_tensors(json_object_get(entry, "tensors"));
    free(text);
    json_decref(entry);
    return qm_model_load(directory, 32, out);
}

static void check_refused(enum qm_status found, enum qm_status wanted, const char *words)
{
    if (found != wanted || !strstr(qm_error_text(), words) || strchr(qm_error_text(), '\n'))
        fail_msg("status %d, \"%s\"; should say \"%s\"", (int)found, qm_error_text(), words);
}

static void test_config(void **state)
{
    (void)state;
    static const struct {
        size_t entry;
        const char *key, *value, *words;
        enum qm_status status;
    } cases[] = {
        {PHI3, "rope_scaling", "{\"type\":\"longrope\",\"short_factor\":[1],\"long_factor\":[2]}",
         "'rope_scaling': 'short_factor' is no list of 8 numbers", QM_INVALID},
        {PHI3, "rope_scaling", "{\"type\":\"longrope\",\"short_factor\":[1,1,1,0,1,1,1,1]}",
         "'short_factor' has 0 at 3", QM_INVALID},
        {PHI3, "rope_scaling", "{\"type\":\"su\",\"short_factor\":[1,1,1,1,1,1,1,1],\"attention_factor\":0}",
         "'attention_factor' is 0", QM_INVALID},
        {PHI3, "partial_rotary_factor", "0.75", "'partial_rotary_factor' is 0.75", QM_UNSUPPORTED},
        {PHI3, "hidden_act", "\"gelu\"", "'hidden_act' is not silu", QM_UNSUPPORTED},
        {OLMO2, "sliding_window", "8", "'sliding_window' is set, and Olmo2ForCausalLM has none", QM_UNSUPPORTED},
        {OLMO2, "attention_bias", "true", "'attention_bias' is true", QM_UNSUPPORTED},
        {GEMMA, "hidden_activation", "\"gelu\"", "'hidden_activation' is not gelu_pytorch_tanh", QM_UNSUPPORTED},
        {GEMMA, "head_dim", "258", "'head_dim' is 258; the kernels take even ones from 2 to 256", QM_UNSUPPORTED},
        {GEMMA2, "attn_logit_softcapping", "-1", "'attn_logit_softcapping' is -1; it must be above 0, or null",
         QM_INVALID},
        {GEMMA2, "final_logit_softcapping", "\"30\"", "'final_logit_softcapping' is no number", QM_INVALID},
        {GEMMA2, "query_pre_attn_scalar", "0", "'query_pre_attn_scalar' is 0", QM_INVALID},
        {GEMMA2, "layer_types", "[\"sliding_attention\",\"full_attention\",\"full_attention\"]",
         "'layer_types': layer 2; full_attention in every so manieth layer", QM_UNSUPPORTED},
        {GEMMA2, "layer_types", "[\"sliding_attention\",\"chunked_attention\",\"full_attention\"]",
         "'layer_types': layer 1; full_attention and sliding_attention", QM_UNSUPPORTED},
        {GEMMA2, "layer_types", "[\"full_attention\"]", "'layer_types' is no list of 3 texts", QM_INVALID},
        {GEMMA3, "sliding_window", "null", "'sliding_window' is null", QM_INVALID},
        {GEMMA3, "rope_local_base_freq", "-5", "'rope_local_base_freq' is -5", QM_INVALID},
        {GEMMA3, "use_bidirectional_attention", "true", "'use_bidirectional_attention' is true", QM_UNSUPPORTED},
        {GPT2, "activation_function", "\"relu\"", "'activation_function' is not gelu_pytorch_tanh", QM_UNSUPPORTED},
        {GPT2, "scale_attn_weights", "false", "'scale_attn_weights' is false", QM_UNSUPPORTED},
        {GPT2, "scale_attn_by_inverse_layer_idx", "true", "'scale_attn_by_inverse_layer_idx' is true", QM_UNSUPPORTED},
        {GPT2, "add_cross_attention", "true", "'add_cross_attention' is true", QM_UNSUPPORTED},
        {GPT2, "n_embd", "null", "'n_embd' is missing", QM_INVALID},
        {GPT2, "layer_norm_epsilon", "2", "'rms_norm_eps' is 2", QM_INVALID},
        {STARCODER2, "use_bias", "false", "'use_bias' is false", QM_UNSUPPORTED},
        {STARCODER2, "norm_epsilon", "\"small\"", "'norm_epsilon' is no number", QM_INVALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct qm_model *model = NULL;
        check_refused(load_with(cases[i].entry, cases[i].key, cases[i].value, &model), cases[i].status, cases[i].words);
        assert_null(model);
    }
}

// What a file says in the way of newer ones is the same model.
static void test_other_ways(void **state)
{
    (void)state;
    static const struct {
        size_t entry;
        const char *without, *key, *value;
    } same[] = {
        {GEMMA2, NULL, "layer_types", "[\"sliding_attention\",\"full_attention\",\"sliding_attention\"]"},
        {GEMMA3, "sliding_window_pattern", "layer_types",
         "[\"sliding_attention\",\"sliding_attention\",\"full_attention\",\"sliding_attention\"]"},
        {GEMMA3, "rope_scaling", "rope_parameters",
         "{\"full_attention\":{\"rope_type\":\"linear\",\"factor\":4.0,\"rope_theta\":100000.0},"
         "\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":100.0}}"},
        {GPT2, "n_inner", "hidden_size", "60"},
        {STARCODER2, "norm_epsilon", "rms_norm_eps", "1e-5"},
    };
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        char text[QM_MODEL_CONFIG_TEXT_BYTES], again[QM_MODEL_CONFIG_TEXT_BYTES];
        struct qm_model_config config;
        json_t *entry = entry_at(same[i].entry), *keys = json_object_get(entry, "config");
        for (int way = 0; way < 2; way++) {
            if (way && same[i].without)
                json_object_del(keys, same[i].without);
            if (way)
                json_object_set_new(keys, same[i].key, json_loads(same[i].value, JSON_DECODE_ANY, NULL));
            char *json = json_dumps(keys, 0);
            if (qm_model_config_parse(json, strlen(json), "config.json", &config) != QM_OK)
                fail_msg("%s: %s", same[i].key, qm_error_text());
            qm_model_config_text(&config, way ? again : text);
            free(json);
        }
        assert_string_equal(text, again);
        // And the text, which artifacts have, is read back as the same.
        assert_int_equal(qm_model_config_parse(text, strlen(text), "text", &config), QM_OK);
        qm_model_config_text(&config, again);
        assert_string_equal(text, again);
        json_decref(entry);
    }
}

// Changes an entry's list of tensors: another name, another shape, or gone.
static enum qm_status load_changed(size_t index, const char *name, const char *other, const char *shape)
{
    json_t *entry = entry_at(index), *list = json_object_get(entry, "tensors"), *tensor;
    struct qm_model *model = NULL;
    size_t i;
    json_array_foreach(list, i, tensor)
    {
        if (strcmp(json_string_value(json_array_get(tensor, 0)), name) != 0)
            continue;
        if (other)
            json_array_set_new(tensor, 0, json_string(other));
        else if (shape)
            json_array_set_new(tensor, 1, json_loads(shape, 0, NULL));
        else
            json_array_remove(list, i);
        break;
    }
    char *text = json_dumps(json_object_get(entry, "config"), 0);
    assert_int_equal(qm_file_write(in_directory("config.json"), text, strlen(text)), QM_OK);
    write_tensors(list);
    free(text);
    json_decref(entry);
    enum qm_status status = qm_model_load(directory, 32, &model);
    qm_model_destroy(&model);
    return status;
}

static void test_tensors(void **state)
{
    (void)state;
    static const struct {
        size_t entry;
        const char *name, *other, *shape, *words;
    } cases[] = {
        {PHI3, "model.layers.1.self_attn.qkv_proj.weight", NULL, NULL,
         "tensor 'model.layers.1.self_attn.qkv_proj.weight': missing; config.json asks for it with shape [160, 96]"},
        {PHI3, "model.layers.0.mlp.gate_up_proj.weight", NULL, "[104, 96]",
         "tensor 'model.layers.0.mlp.gate_up_proj.weight': shape [104, 96]; config.json makes it [208, 96]"},
        {PHI3, "model.layers.0.self_attn.o_proj.weight", "model.layers.0.self_attn.q_proj.weight", NULL,
         "tensor 'model.layers.0.self_attn.q_proj.weight': is there twice"},
        {OLMO2, "model.layers.0.post_feedforward_layernorm.weight", "model.layers.0.input_layernorm.weight", NULL,
         "tensor 'model.layers.0.post_feedforward_layernorm.weight': missing"},
        {GEMMA2, "model.layers.2.pre_feedforward_layernorm.weight", NULL, "[71]",
         "shape [71]; config.json makes it [72]"},
        {GPT2, "transformer.h.1.attn.c_attn.weight", NULL, "[180, 60]",
         "tensor 'transformer.h.1.attn.c_attn.weight': shape [180, 60]; config.json makes it [60, 180]"},
        {GPT2, "transformer.h.0.attn.c_attn.bias", NULL, "[60]", "shape [60]; config.json makes it [180]"},
        {GPT2, "transformer.h.0.attn.bias", "transformer.h.0.attn.extra", NULL, "no part of a GPT-2 of 2 layers"},
        {GPT2, "transformer.wpe.weight", NULL, "[64, 60]", "shape [64, 60]; config.json makes it [128, 60]"},
        {STARCODER2, "model.layers.0.mlp.c_proj.bias", NULL, NULL, "'model.layers.0.mlp.c_proj.bias': missing"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_refused(load_changed(cases[i].entry, cases[i].name, cases[i].other, cases[i].shape), QM_INVALID,
                      cases[i].words);
}

// Every value where it belongs: of tensors that are cut, turned, and named without the prefix.
static void test_values(void **state)
{
    (void)state;
    struct qm_model *model = NULL;
    assert_int_equal(load_with(GPT2, NULL, NULL, &model), QM_OK);
    const struct qm_model_tensor *k = qm_model_weight(model, QM_ROLE_K, 1);
    for (uint32_t row = 0; row < 60; row++) // of heads of 20, which lie 64 apart
        for (uint32_t column = 0; column < 60; column++) {
            uint32_t at = row / 20 * 64 + (row % 20 < 10 ? row % 20 : row % 20 - 10 + 32);
            float wanted = hashed("transformer.h.1.attn.c_attn.weight", column * 180 + 60 + row) * 0.5f;
            assert_true(k->values[at * k->columns + column] == wanted);
        }
    assert_true(qm_model_weight(model, QM_ROLE_V_BIAS, 0)->values[1] ==
                hashed("transformer.h.0.attn.c_attn.bias", 121));
    qm_model_destroy(&model);
    // The same file without the prefix is the same model but for its hash.
    json_t *entry = entry_at(GPT2), *list = json_object_get(entry, "tensors"), *tensor;
    size_t i;
    json_array_foreach(list, i, tensor) json_array_set_new(
        tensor, 0, json_string(json_string_value(json_array_get(tensor, 0)) + strlen("transformer.")));
    write_tensors(list);
    if (qm_model_load(directory, 32, &model) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_true(qm_model_weight(model, QM_ROLE_UP, 1)->values[5 * 64 + 7] ==
                hashed("h.1.mlp.c_fc.weight", 7 * 240 + 5) * 0.5f);
    qm_model_destroy(&model);
    json_decref(entry);
    // Parts of a turned tensor are the same as all of it, wherever they begin and end.
    struct qm_model_config config;
    struct qm_weights files;
    char *text = json_dumps(json_object_get(json_array_get(json_object_get(data, "models"), GPT2), "config"), 0);
    assert_int_equal(qm_model_config_parse(text, strlen(text), "config.json", &config), QM_OK);
    free(text);
    assert_int_equal(qm_weights_open(directory, &files), QM_OK);
    assert_int_equal(qm_weights_arrange(&files, &config), QM_OK);
    const struct qm_weights_entry *down = qm_weights_find(&files, "model.layers.0.mlp.down_proj.weight");
    assert_non_null(down);
    static float all[60 * 240], some[60 * 240];
    assert_int_equal(qm_weights_floats(down, 0, 60 * 240, all), QM_OK);
    static const size_t ranges[][2] = {{0, 1}, {1, 239}, {239, 2}, {500, 10000}, {33 * 240 + 7, 26 * 240}, {14399, 1}};
    for (size_t r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++) {
        assert_int_equal(qm_weights_floats(down, ranges[r][0], ranges[r][1], some), QM_OK);
        assert_memory_equal(some, all + ranges[r][0], ranges[r][1] * sizeof(*some));
    }
    qm_weights_close(&files);
    // Gains that are added to 1.
    assert_int_equal(load_with(GEMMA3, NULL, NULL, &model), QM_OK);
    assert_true(qm_model_weight(model, QM_ROLE_POST_NORM, 2)->values[9] ==
                1 + hashed("model.layers.2.pre_feedforward_layernorm.weight", 9));
    assert_true(qm_model_weight(model, QM_ROLE_POST_NORM, 2)->values[80] == 0); // padding
    qm_model_destroy(&model);
}

int main(void)
{
    json_error_t error;
    data = json_load_file(TINY_MODELS, 0, &error);
    if (!data)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_other_ways),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_values),
    };
    int failed = cmocka_run_group_tests(tests, directory_setup, directory_teardown);
    json_decref(data);
    return failed;
}
