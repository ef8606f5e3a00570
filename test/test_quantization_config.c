// quantization_config as the programs write it: what is read of it, what is refused by key and value.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/quantization_config.h"

#define WEIGHTS "\"num_bits\":4,\"type\":\"int\",\"symmetric\":true,\"group_size\":128,\"strategy\":\"group\""
#define INT8 "\"num_bits\":8,\"type\":\"int\",\"symmetric\":true,\"strategy\":\"channel\""
#define FP8 "\"num_bits\":8,\"type\":\"float\",\"symmetric\":true,\"strategy\":\"tensor\""
#define GROUP(weights, more) "{\"weights\":{" weights "},\"targets\":[\"Linear\"]" more "}"
#define COMPRESSED(form, group, more)                                                                                  \
    "{\"quant_method\":\"compressed-tensors\",\"format\":\"" form "\",\"config_groups\":{\"group_0\":" group "}" more  \
    "}"
#define PACKED(weights) COMPRESSED("pack-quantized", GROUP(weights, ""), "")
#define TOKEN(type, more)                                                                                              \
    ",\"input_activations\":{\"num_bits\":8,\"type\":\"" type "\",\"symmetric\":true,\"strategy\":\"token\"," more "}"

// Keys beside the ones that matter are of files as their programs wrote them.
static const struct {
    const char *config;
    struct qm_quantization is; // but its texts
    const char *words;
} good[] = {
    {"{\"bits\":4,\"group_size\":128,\"damp_percent\":0.1,\"desc_act\":true,\"static_groups\":false,\"sym\":true,"
     "\"true_sequential\":true,\"model_name_or_path\":null,\"model_file_base_name\":\"model\",\"quant_method\":"
     "\"gptq\","
     "\"dataset\":\"wikitext2\",\"use_exllama\":false}",
     {.method = QM_QUANTIZATION_GPTQ,
      .packing = QM_PACKING_DOWN,
      .bits = 4,
      .group_size = 128,
      .row_block = 1,
      .is_symmetric = true,
      .is_act_order = true,
      .is_zero_less_one = true,
      .is_rounded_to_type = true},
     "gptq (gptq), 4 bits, groups of 128, symmetric, act-order"},
    {"{\"bits\":8,\"group_size\":-1,\"sym\":false,\"checkpoint_format\":\"gptq_v2\",\"quant_method\":\"gptq\","
     "\"pack_dtype\":\"int32\",\"dynamic\":null,\"dataset\":[\"one\",\"two\"],\"lm_head\":true,"
     "\"meta\":{\"quantizer\":[\"gptqmodel:1.4\"]}}",
     {.method = QM_QUANTIZATION_GPTQ,
      .packing = QM_PACKING_DOWN,
      .bits = 8,
      .row_block = 1,
      .is_rounded_to_type = true},
     "gptq (gptq_v2), 8 bits, one scale per row, asymmetric"},
    {"{\"w_bit\":4,\"q_group_size\":64,\"version\":\"GEMM\",\"zero_point\":true,\"quant_method\":\"awq\","
     "\"modules_to_not_convert\":[\"visual\"]}",
     {.method = QM_QUANTIZATION_AWQ,
      .packing = QM_PACKING_AWQ,
      .bits = 4,
      .group_size = 64,
      .row_block = 1,
      .is_rounded_to_type = true},
     "awq (gemm), 4 bits, groups of 64, asymmetric"},
    {COMPRESSED("pack-quantized",
                GROUP(WEIGHTS ",\"actorder\":\"group\",\"block_structure\":null,\"observer\":\"mse\"", ""),
                ",\"ignore\":[\"lm_head\"],\"kv_cache_scheme\":null,\"quantization_status\":\"compressed\","
                "\"sparsity_config\":{},\"transform_config\":{},\"version\":\"0.12.2\""),
     {.method = QM_QUANTIZATION_COMPRESSED,
      .packing = QM_PACKING_ACROSS,
      .bits = 4,
      .group_size = 128,
      .row_block = 1,
      .is_symmetric = true,
      .is_act_order = true,
      .is_rounded_to_type = true},
     "compressed-tensors (pack-quantized), 4 bits, groups of 128, symmetric, act-order"},
    {COMPRESSED("int-quantized", GROUP(INT8, TOKEN("int", "\"dynamic\":true")), ""),
     {.method = QM_QUANTIZATION_COMPRESSED,
      .packing = QM_PACKING_INT8,
      .bits = 8,
      .row_block = 1,
      .is_symmetric = true,
      .is_rounded_to_type = true,
      .activations = QM_QUANTIZATION_ACTIVATIONS_INT8},
     "compressed-tensors (int-quantized), 8 bits, one scale per row, symmetric; activations int of 8 bits, symmetric, "
     "per "
     "token, dynamic"},
    {COMPRESSED("float-quantized", GROUP(FP8, TOKEN("float", "\"dynamic\":false")),
                ",\"sparsity_config\":{\"format\":\"dense\"}"),
     {.method = QM_QUANTIZATION_COMPRESSED,
      .packing = QM_PACKING_E4M3,
      .bits = 8,
      .row_block = 1,
      .is_per_tensor = true,
      .is_symmetric = true,
      .is_rounded_to_type = true,
      .activations = QM_QUANTIZATION_ACTIVATIONS_OTHER},
     "compressed-tensors (float-quantized), E4M3FN, 8 bits, one scale per tensor, symmetric; activations float of 8 "
     "bits, "
     "symmetric, per token, static"},
    {"{\"quant_method\":\"fp8\",\"activation_scheme\":\"dynamic\",\"fmt\":\"e4m3\",\"weight_block_size\":[128,64]}",
     {.method = QM_QUANTIZATION_FP8,
      .packing = QM_PACKING_E4M3,
      .bits = 8,
      .group_size = 64,
      .row_block = 128,
      .is_symmetric = true,
      .activations = QM_QUANTIZATION_ACTIVATIONS_OTHER},
     "fp8 (e4m3), E4M3FN, 8 bits, blocks of 128 x 64, symmetric; activations E4M3FN, one scale per token and block of "
     "inputs, "
     "dynamic"},
};

static enum qm_status parse(const char *key, const char *config, struct qm_quantization *out)
{
    static char text[4096];
    snprintf(text, sizeof(text), "{\"hidden_size\":64,\"%s\":%s}", key, config);
    return qm_quantization_parse(text, strlen(text), "config.json", out);
}

static void test_good(void **state)
{
    (void)state;
    struct qm_quantization q;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); ++i) {
        const struct qm_quantization *is = &good[i].is;
        char words[QM_QUANTIZATION_LINE_BYTES];
        if (parse("quantization_config", good[i].config, &q) != QM_OK)
            fail_msg("%s", qm_error_text());
        assert_true(q.method == is->method && q.packing == is->packing && q.bits == is->bits);
        assert_true(q.group_size == is->group_size && q.row_block == is->row_block);
        assert_true(q.is_per_tensor == is->is_per_tensor && q.is_symmetric == is->is_symmetric);
        assert_true(q.is_act_order == is->is_act_order && q.is_zero_less_one == is->is_zero_less_one);
        assert_true(q.is_rounded_to_type == is->is_rounded_to_type && q.activations == is->activations);
        qm_quantization_words(&q, words);
        assert_string_equal(words, good[i].words);
        assert_string_equal(q.text, good[i].config); // whole, key by key
        qm_quantization_free(&q);
    }
    assert_int_equal(parse("quantization_config", good[0].config, &q), QM_OK);
    assert_string_equal(q.dataset, "wikitext2");
    assert_string_equal(q.damp, "0.1");
    qm_quantization_free(&q);
    assert_int_equal(parse("quantization_config", good[1].config, &q), QM_OK);
    assert_string_equal(q.dataset, "2 texts of its own");
    assert_string_equal(q.damp, "");
    qm_quantization_free(&q);
    // Older files call it otherwise, and do not name the method.
    assert_int_equal(parse("compression_config",
                           "{\"format\":\"pack-quantized\",\"config_groups\":{\"g\":" GROUP(WEIGHTS, "") "}}", &q),
                     QM_OK);
    assert_int_equal(q.method, QM_QUANTIZATION_COMPRESSED);
    qm_quantization_free(&q);
    assert_int_equal(parse("quantization_config", "null", &q), QM_OK);
    assert_int_equal(q.method, QM_QUANTIZATION_NONE);
    assert_null(q.text);
}

static void test_refusals(void **state)
{
    (void)state;
#define OR_ELSE " can be read, use such a model or the one it was made of"
#define Q "config.json: 'quantization_config"
    static const struct {
        enum qm_status status;
        const char *config, *line;
    } cases[] = {
        {QM_UNSUPPORTED, "{}", Q ".quant_method' is not there; gptq, awq, compressed-tensors and fp8" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true}",
         Q ".quant_method' is bitsandbytes; gptq, awq, compressed-tensors and fp8" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"none\"}",
         Q ".quant_method' is none; gptq, awq, compressed-tensors and fp8" OR_ELSE},
        {QM_INVALID, "{\"quant_method\":4}", Q ".quant_method' is no text; correct it"},
        {QM_INVALID, "\"gptq\"", Q "' is no mapping; correct it or leave it out"},
        {QM_UNSUPPORTED, "{\"quant_method\":\"gptq\",\"bits\":5,\"group_size\":128}",
         Q ".bits' is 5; 2, 3, 4 and 8" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"gptq\",\"bits\":4294967300,\"group_size\":128}",
         Q ".bits' is 4294967300; 2, 3, 4 and 8" OR_ELSE},
        {QM_INVALID, "{\"quant_method\":\"gptq\",\"bits\":\"4\",\"group_size\":128}",
         Q ".bits' is no such number; give it a whole number: 2, 3, 4 and 8 can be read"},
        {QM_INVALID, "{\"quant_method\":\"gptq\",\"group_size\":128}",
         Q ".bits' is not there; give it a whole number: 2, 3, 4 and 8 can be read"},
        {QM_INVALID, "{\"quant_method\":\"gptq\",\"bits\":4}",
         Q ".group_size' is not there; give the inputs that share a scale, -1 for a whole row"},
        {QM_INVALID, "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":0}",
         Q ".group_size' is no whole number from 1 to 16777216, nor -1; correct it"},
        {QM_INVALID, "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":1e2}",
         Q ".group_size' is no whole number from 1 to 16777216, nor -1; correct it"},
        {QM_INVALID, "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128,\"desc_act\":\"yes\"}",
         Q ".desc_act' is neither true nor false; make it one of them"},
        {QM_UNSUPPORTED, "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128,\"checkpoint_format\":\"marlin\"}",
         Q ".checkpoint_format' is marlin; gptq and gptq_v2" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128,\"is_marlin_format\":true}",
         Q ".is_marlin_format' is true; false" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128,\"pack_dtype\":\"int64\"}",
         Q ".pack_dtype' is int64; int32" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128,\"dynamic\":{\"-:.*\":{}}}",
         Q ".dynamic' is {\"-:.*\":{}}; one format for all modules" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128,\"zero_point\":false}",
         Q ".zero_point' is false; true" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128,\"version\":\"marlin\"}",
         Q ".version' is marlin; gemm and gemv" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":96,\"version\":\"gemv\"}",
         Q ".group_size' is 96; of version gemv 32, 64, 128 and more" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":-1,\"version\":\"GEMV\"}",
         Q ".group_size' is -1; of version gemv 32, 64, 128 and more" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"awq\",\"w_bit\":8,\"q_group_size\":128}", Q ".w_bit' is 8; 4" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128,\"backend\":\"llm-awq\"}",
         Q ".backend' is llm-awq; autoawq" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"fp8\",\"fmt\":\"e5m2\"}", Q ".fmt' is e5m2; e4m3" OR_ELSE},
        {QM_UNSUPPORTED, "{\"quant_method\":\"fp8\",\"activation_scheme\":\"none\"}",
         Q ".activation_scheme' is none; dynamic and static" OR_ELSE},
        {QM_INVALID, "{\"quant_method\":\"fp8\",\"weight_block_size\":[128,0]}",
         Q ".weight_block_size' is no list of two sizes above 0; it should be one such as [128, 128]"},
        {QM_UNSUPPORTED, COMPRESSED("nvfp4-pack-quantized", GROUP(WEIGHTS, ""), ""),
         Q ".format' is nvfp4-pack-quantized; pack-quantized, int-quantized, float-quantized and "
           "naive-quantized" OR_ELSE},
        {QM_UNSUPPORTED, COMPRESSED("pack-quantized", GROUP(WEIGHTS, ""), ",\"quantization_status\":\"frozen\""),
         Q ".quantization_status' is frozen; compressed" OR_ELSE},
        {QM_UNSUPPORTED, COMPRESSED("pack-quantized", GROUP(WEIGHTS, ""), ",\"kv_cache_scheme\":{\"num_bits\":8}"),
         Q ".kv_cache_scheme' is {\"num_bits\":8}; null" OR_ELSE},
        {QM_UNSUPPORTED,
         COMPRESSED("pack-quantized", GROUP(WEIGHTS, ""), ",\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}"),
         Q ".sparsity_config' is {\"format\":\"sparse-24-bitmask\"}; an empty one and dense" OR_ELSE},
        {QM_INVALID, "{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\",\"config_groups\":[]}",
         Q ".config_groups' is no mapping with a group; correct it"},
        {QM_INVALID, COMPRESSED("pack-quantized", "{\"weights\":null}", ""),
         Q ".config_groups.group_0.weights' is no mapping; groups whose weights are quantized can be read"},
        {QM_UNSUPPORTED, COMPRESSED("pack-quantized", GROUP(WEIGHTS, ",\"output_activations\":{\"num_bits\":8}"), ""),
         Q ".config_groups.group_0.output_activations' is {\"num_bits\":8}; null" OR_ELSE},
        {QM_UNSUPPORTED, PACKED("\"num_bits\":3"), Q ".config_groups.group_0.weights.num_bits' is 3; 4 and 8" OR_ELSE},
        {QM_UNSUPPORTED, COMPRESSED("int-quantized", GROUP(WEIGHTS, ""), ""),
         Q ".config_groups.group_0.weights.num_bits' is 4; 8" OR_ELSE},
        {QM_UNSUPPORTED, PACKED(FP8),
         Q ".config_groups.group_0.weights.type' is float in format pack-quantized; int there" OR_ELSE},
        {QM_UNSUPPORTED, COMPRESSED("float-quantized", GROUP(INT8, ""), ""),
         Q ".config_groups.group_0.weights.type' is int in format float-quantized; float there" OR_ELSE},
        {QM_UNSUPPORTED, PACKED("\"num_bits\":4,\"strategy\":\"token\""),
         Q ".config_groups.group_0.weights.strategy' is token; tensor, channel, group and block" OR_ELSE},
        {QM_UNSUPPORTED, PACKED("\"num_bits\":4,\"strategy\":\"block\",\"block_structure\":[2,2]"),
         Q ".config_groups.group_0.weights.strategy' is block for integers; tensor, channel and group" OR_ELSE},
        {QM_INVALID, PACKED("\"num_bits\":4,\"strategy\":\"group\""),
         Q ".config_groups.group_0.weights.group_size' is not there, and 'strategy' is group; give it"},
        {QM_UNSUPPORTED, PACKED(WEIGHTS ",\"actorder\":\"sideways\""),
         Q ".config_groups.group_0.weights.actorder' is sideways; group (dynamic) and weight (static)" OR_ELSE},
        {QM_UNSUPPORTED, PACKED(WEIGHTS ",\"dynamic\":true"),
         Q ".config_groups.group_0.weights.dynamic' is true for weights; false" OR_ELSE},
        {QM_UNSUPPORTED,
         "{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\",\"config_groups\":{\"a\":" GROUP(
             WEIGHTS, "") ",\"b\":" GROUP("\"num_bits\":8", "") "}}",
         Q
         ".config_groups.b' is quantized in another way than the group before; groups that are alike can be read, use "
         "such a model"},
        {QM_INVALID, "{\"quant_method\":\"gptq\",\"quant_method\":\"awq\"}",
         "config.json:1: no JSON: duplicate object key"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); ++i) {
        struct qm_quantization q;
        enum qm_status status = parse("quantization_config", cases[i].config, &q);
        bool is_whole = strncmp(cases[i].line, "config.json:1", 13) != 0;
        if (status != cases[i].status ||
            (is_whole ? strcmp(qm_error_text(), cases[i].line) != 0
                      : strncmp(qm_error_text(), cases[i].line, strlen(cases[i].line)) != 0))
            fail_msg("%d, not %s: %s", status, cases[i].line, status == QM_OK ? "accepted" : qm_error_text());
        assert_null(q.text);
    }
}

// What steers a terminal is not said again, and a long text does not fill the memory.
static void test_hostile(void **state)
{
    (void)state;
    struct qm_quantization q;
    assert_int_equal(parse("quantization_config", "{\"quant_method\":\"\\u001b[31mred\\u202e\"}", &q), QM_UNSUPPORTED);
    assert_null(strchr(qm_error_text(), 0x1b));
    assert_null(strstr(qm_error_text(), "\xe2\x80\xae"));
    assert_int_equal(parse("quantization_config",
                           "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":8,\"dataset\":\"a\\u001b[2Jb\x7f\"}",
                           &q),
                     QM_OK);
    assert_string_equal(q.dataset, "a [2Jb ");
    assert_non_null(strstr(q.text, "a\\u001B[2Jb\\u007F\""));
    qm_quantization_free(&q);
    size_t length = QM_QUANTIZATION_TEXT_MAX + 200;
    char *text = malloc(length);
    assert_non_null(text);
    int head = snprintf(text, length,
                        "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":8,\"x\":\"");
    memset(text + head, 'x', length - (size_t)head);
    memcpy(text + length - 4, "\"}}", 4);
    assert_int_equal(qm_quantization_parse(text, length - 1, "config.json", &q), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "bytes; at most 65536 are read"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
