// Quantized directories as they are (scheme `file`): which format holds a set of tensors, that nothing is lost on the way, where
// none does and the program's own floats stand in; and the same artifact on drivers as on the reference backend.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "model/engine.h"
#include "model/quantized_sets.h"
#include "model/weights.h"
#include "quant/artifact.h"
#include "test/own_runs.h"

#include "test/quantized_model.h"

#define GPTQ(bits, size, more) "{\"quant_method\":\"gptq\",\"bits\":" bits ",\"group_size\":" size more "}"

static const struct {
    struct quantized_kind kind;
    enum qm_weight_format format;
} kinds[] = {
    {{"gptq", GPTQ("4", "128", ""), QM_PACKING_DOWN, 4, 128, false, 1, false}, QM_WEIGHT_W4G128},
    {{"gptq, zeros", GPTQ("4", "64", ",\"format\":\"gptq_v2\""), QM_PACKING_DOWN, 4, 64, false, 0, true},
     QM_WEIGHT_W4ZG64},
    {{"gptq, groups of 96", GPTQ("4", "96", ",\"format\":\"gptq_v2\""), QM_PACKING_DOWN, 4, 96, false, 0, true},
     QM_WEIGHT_W4ZG32},
    {{"gptq, one group", GPTQ("4", "-1", ""), QM_PACKING_DOWN, 4, 0, false, 1, false}, QM_WEIGHT_W4G128},
    {{"gptq, groups of 16", GPTQ("4", "16", ""), QM_PACKING_DOWN, 4, 16, false, 1, false}, QM_WEIGHT_F16},
    {{"gptq, act-order", GPTQ("4", "64", ",\"desc_act\":true"), QM_PACKING_DOWN, 4, 64, true, 1, false}, QM_WEIGHT_F16},
    {{"gptq, 3 bits", GPTQ("3", "32", ",\"format\":\"gptq_v2\""), QM_PACKING_DOWN, 3, 32, false, 0, true},
     QM_WEIGHT_W3ZG32},
    {{"gptq, 2 bits", GPTQ("2", "64", ""), QM_PACKING_DOWN, 2, 64, false, 1, false}, QM_WEIGHT_W2G64},
    {{"gptq, 8 bits", GPTQ("8", "64", ""), QM_PACKING_DOWN, 8, 64, false, 1, false}, QM_WEIGHT_W8G64},
    {{"gptq, 8 bits, zeros", GPTQ("8", "64", ""), QM_PACKING_DOWN, 8, 64, false, 1, true}, QM_WEIGHT_F16},
    {{"gptq, 8 bits, one group", GPTQ("8", "-1", ""), QM_PACKING_DOWN, 8, 0, false, 1, false}, QM_WEIGHT_W8},
    {{"awq", "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128}", QM_PACKING_AWQ, 4, 128, false, 0, true},
     QM_WEIGHT_W4ZG128},
    {{"awq, gemv", "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":64,\"version\":\"gemv\"}", QM_PACKING_AWQ_ROWS,
      4, 64, false, 0, true},
     QM_WEIGHT_W4ZG64},
    {{"pack-quantized",
      COMPRESSED("pack-quantized", "\"num_bits\":4,\"strategy\":\"group\",\"group_size\":32,\"symmetric\":false"),
      QM_PACKING_ACROSS, 4, 32, false, 0, true},
     QM_WEIGHT_W4ZG32},
    {{"pack-quantized, symmetric",
      COMPRESSED("pack-quantized", "\"num_bits\":4,\"strategy\":\"group\",\"group_size\":128"), QM_PACKING_ACROSS, 4,
      128, false, 0, false},
     QM_WEIGHT_W4G128},
    {{"int-quantized", COMPRESSED("int-quantized", "\"num_bits\":8,\"strategy\":\"channel\""), QM_PACKING_INT8, 8, 0,
      false, 0, false},
     QM_WEIGHT_W8},
    {{"float-quantized", COMPRESSED("float-quantized", "\"num_bits\":8,\"type\":\"float\",\"strategy\":\"channel\""),
      QM_PACKING_E4M3, 8, 0, false, 0, false},
     QM_WEIGHT_E4M3},
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

// Heads of 64 values on devices, too: groups of 128 fit between no zeros.
static const struct kind shape = {"LlamaForCausalLM", false, QM_DTYPE_F16, 384, 384, 64, 41, "", ""};
static const struct kind square = {"LlamaForCausalLM", false, QM_DTYPE_F16, 128, 128, 64, 41, "", ""};

// Codes and scales of every kind, taken in two parts of the rows.
static void test_formats(void **state)
{
    (void)state;
    enum {
        ROWS = 64,
        COLUMNS = 384
    };
    static float values[ROWS * COLUMNS], decoded[ROWS * COLUMNS];
    for (size_t k = 0; k < KINDS; ++k) {
        const struct quantized_kind *kind = &kinds[k].kind;
        static struct quantized_file file;
        struct qm_random random;
        struct qm_quantization how;
        struct qm_weights weights;
        char config[1024];
        qm_random_seed(&random, 3, k);
        add_quantized(&file, kind, "m", ROWS, COLUMNS, &random, values);
        write_file(&file);
        snprintf(config, sizeof(config), "{\"quantization_config\":%s}", kind->config);
        CHECK(qm_quantization_parse(config, strlen(config), kind->label, &how));
        CHECK(qm_weights_open(directory, &weights));
        CHECK(qm_quantized_group(&weights, &how));
        const struct qm_weights_entry *entry = qm_weights_find(&weights, "m.weight");
        enum qm_weight_format format = qm_weights_own_format(entry);
        if (format != kinds[k].format)
            fail_msg("%s: %s", kind->label,
                     format < QM_WEIGHT_FORMAT_COUNT ? qm_weight_format_info(format)->title : "-");
        const struct qm_encoded to = {.codes = malloc(qm_format_code_bytes(format, ROWS, COLUMNS)),
                                      .scales = malloc(qm_format_scale_bytes(format, ROWS, COLUMNS) + 1),
                                      .tensor_scale = 1};
        for (uint32_t first = 0; first < ROWS; first += 63) { // all in two parts, of 63 rows and of one
            const uint32_t some = ROWS - first < 63 ? ROWS - first : 63;
            CHECK(qm_weights_own_rows(entry, first, some, to.codes, to.scales));
            qm_format_decode(format, &to, some, COLUMNS, decoded);
            for (size_t i = 0; i < (size_t)some * COLUMNS; ++i) { // what the file's program rounds to float16
                float value = qm_float_from_half(qm_half_from_float(decoded[i]));
                if (value != values[(size_t)first * COLUMNS + i])
                    fail_msg("%s: value %zu is %.9g, not %.9g", kind->label, (size_t)first * COLUMNS + i, (double)value,
                             (double)values[(size_t)first * COLUMNS + i]);
            }
        }
        free(to.codes);
        free(to.scales);
        qm_weights_close(&weights);
        qm_quantization_free(&how);
    }
}

// What the formats do not have: a zero beyond the codes, a scale that a device may take for 0.
static void test_beyond(void **state)
{
    (void)state;
    static float values[64 * 64];
    for (int fault = 0; fault < 2; ++fault) {
        static struct quantized_file file;
        struct qm_random random;
        struct qm_quantization how;
        struct qm_weights weights;
        char config[256];
        qm_random_seed(&random, 3, 0);
        const struct quantized_kind kind = {"gptq", GPTQ("4", "32", ""), QM_PACKING_DOWN, 4, 32, false, 1, true};
        add_quantized(&file, &kind, "m", 64, 64, &random, values);
        for (size_t i = 0; i < file.count; ++i) {
            uint8_t *data = (uint8_t *)(uintptr_t)file.tensors[i].data;
            if (fault == 0 && strstr(file.tensors[i].name, "qzeros"))
                data[0] |= 15; // stored 15 stands for 16
            if (fault == 1 && strstr(file.tensors[i].name, "scales"))
                data[0] = 1, data[1] = 2; // 0x0201, below 2^-14
        }
        write_file(&file);
        snprintf(config, sizeof(config), "{\"quantization_config\":%s}", kind.config);
        CHECK(qm_quantization_parse(config, strlen(config), "c", &how));
        CHECK(qm_weights_open(directory, &weights));
        CHECK(qm_quantized_group(&weights, &how));
        const struct qm_weights_entry *entry = qm_weights_find(&weights, "m.weight");
        uint16_t halves[64];
        float floats[64];
        assert_int_equal(qm_weights_own_format(entry), QM_WEIGHT_F16);
        CHECK(qm_weights_own_rows(entry, 0, 1, halves, NULL));
        CHECK(qm_weights_floats(entry, 0, 64, floats));
        for (size_t i = 0; i < 64; ++i)
            assert_true(qm_float_from_half(halves[i]) == floats[i]);
        qm_weights_close(&weights);
        qm_quantization_free(&how);
    }
}

// Artifacts are made, kept and read again, with the formats of the file, be they what the program makes of it.
static void test_artifacts(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; ++k) {
        struct qm_model *model = make_quantized(&shape, &kinds[k].kind, NULL);
        assert_non_null(model->own);
        struct qm_artifact *artifact = build(model, "file"), *again = NULL;
        for (size_t i = 0; i < artifact->tensor_count; ++i) {
            const struct qm_artifact_tensor *tensor = &artifact->tensors[i];
            if (qm_role_is_linear(tensor->role) && tensor->format != kinds[k].format &&
                !(tensor->role == QM_ROLE_HEAD && tensor->format == QM_WEIGHT_F16))
                fail_msg("%s: %s: %s", kinds[k].kind.label, tensor->name, qm_weight_format_info(tensor->format)->title);
        }
        CHECK(qm_artifact_save(artifact, in_directory("a.safetensors")));
        CHECK(qm_artifact_load(in_directory("a.safetensors"), &again)); // -8 and -128 are codes
        qm_artifact_destroy(&again);
        qm_artifact_destroy(&artifact);
        qm_model_destroy(&model);
        unlink(in_directory("a.safetensors"));
    }
}

// ---- On devices -------------------------------------------------------------------------------------------------------

// The lowest codes, which qmark's own artifacts never have, are multiplied like any other.
static void test_devices(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; ++k) {
        enum qm_weight_format format = kinds[k].format;
        if (format != QM_WEIGHT_W4G128 && format != QM_WEIGHT_W4ZG128 && format != QM_WEIGHT_W8 &&
            format != QM_WEIGHT_W8G64 && format != QM_WEIGHT_W2G64)
            continue;
        struct qm_model *model = make_quantized(&square, &kinds[k].kind, NULL);
        check_own_on_devices(model, kinds[k].kind.label, 0.2, 2e-2, true);
        qm_model_destroy(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_beyond),
        cmocka_unit_test(test_artifacts),
        cmocka_unit_test(test_devices),
    };
    return cmocka_run_group_tests(tests, directory_setup, directory_teardown);
}
