// Folders that were made for activations of 8 bits: scheme `file` multiplies as their own programs do, which is as our schemes do
// with the same codes, to the bit; where there is no kernel, and in filea16, with floats.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "model/engine.h"
#include "quant/artifact.h"
#include "test/own_runs.h"

#include "test/quantized_model.h"

#define INT8 "\"num_bits\":8,\"strategy\":\"channel\""
#define INT4 "\"num_bits\":4,\"strategy\":\"group\",\"group_size\":64"
#define E4M3 "\"num_bits\":8,\"type\":\"float\",\"strategy\":\"channel\""
#define INPUTS(what) "},\"input_activations\":{" what
#define TOKEN "\"num_bits\":8,\"strategy\":\"token\",\"dynamic\":true"
#define TENSOR "\"num_bits\":8,\"strategy\":\"tensor\",\"dynamic\":false"
#define FLOAT "\"type\":\"float\","

static float scale_of_input(enum qm_role role)
{
    return role == QM_ROLE_DOWN ? 0.5f : role == QM_ROLE_O ? 0.0625f : 0.03125f;
}

// Of v another than of q and k, which read the same: then no conversion is all three's.
static float scale_of_weight(enum qm_role role)
{
    return role == QM_ROLE_V ? 0.25f : scale_of_input(role);
}

static float scale_of_none(enum qm_role role)
{
    return role == QM_ROLE_DOWN ? 0 : 0.03125f;
}

static const struct {
    struct quantized_kind kind;
    float (*scale_of)(enum qm_role);
    const char *q, *down;      // own formats
    const char *ours, *floats; // our scheme with the same codes; and that of filea16
    const char *told;          // of the activations of all, in a result
} kinds[] = {
    {{"int8 per token", COMPRESSED("int-quantized", INT8 INPUTS(TOKEN)), QM_PACKING_INT8, 8, 0, false, 0, false},
     NULL,
     "w8 a8",
     "w8 a8",
     "w8a8+lm_head=f16",
     "w8a16+lm_head=f16",
     "a8"},
    {{"int8 per tensor", COMPRESSED("int-quantized", INT8 INPUTS(TENSOR)), QM_PACKING_INT8, 8, 0, false, 0, false},
     scale_of_input,
     "w8 a8 static",
     "w8 a8 static",
     "w8a8-static+lm_head=f16",
     "w8a16+lm_head=f16",
     "a8 static"},
    {{"e4m3 per token", COMPRESSED("float-quantized", E4M3 INPUTS(FLOAT TOKEN)), QM_PACKING_E4M3, 8, 0, false, 0,
      false},
     NULL,
     "e4m3 af8",
     "e4m3 af8",
     "e4m3af8+lm_head=f16",
     "e4m3a16+lm_head=f16",
     "af8"},
    {{"e4m3 per tensor", COMPRESSED("float-quantized", E4M3 INPUTS(FLOAT TENSOR)), QM_PACKING_E4M3, 8, 0, false, 0,
      false},
     scale_of_input,
     "e4m3 af8 static",
     "e4m3 af8 static",
     "e4m3af8-static+lm_head=f16",
     "e4m3a16+lm_head=f16",
     "af8 static"},
    {{"int4 with int8", COMPRESSED("pack-quantized", INT4 INPUTS(TOKEN)), QM_PACKING_ACROSS, 4, 64, false, 0, false},
     NULL,
     "w4-g64 a8",
     "w4-g64 a8",
     "w4a8-g64+lm_head=f16",
     "w4a16-g64+lm_head=f16",
     "a8"},
    {{"scales that differ", COMPRESSED("int-quantized", INT8 INPUTS(TENSOR)), QM_PACKING_INT8, 8, 0, false, 0, false},
     scale_of_weight,
     "w8",
     "w8 a8 static",
     "w8a8-static+lm_head=f16+q_proj=w8a16+k_proj=w8a16+v_proj=w8a16",
     "w8a16+lm_head=f16",
     "a8 static"},
    {{"a scale that is not there", COMPRESSED("int-quantized", INT8 INPUTS(TENSOR)), QM_PACKING_INT8, 8, 0, false, 0,
      false},
     scale_of_none,
     "w8 a8 static",
     "w8",
     "w8a8-static+lm_head=f16+down_proj=w8a16",
     "w8a16+lm_head=f16",
     "a8 static"},
    {{"with zero points", COMPRESSED("int-quantized", INT8 INPUTS(TOKEN ",\"symmetric\":false")), QM_PACKING_INT8, 8, 0,
      false, 0, false},
     NULL,
     "w8",
     "w8",
     "w8a16+lm_head=f16",
     "w8a16+lm_head=f16",
     ""},
    {{"int4 with E4M3", COMPRESSED("pack-quantized", INT4 INPUTS(FLOAT TOKEN)), QM_PACKING_ACROSS, 4, 64, false, 0,
      false},
     NULL,
     "w4-g64",
     "w4-g64",
     "w4a16-g64+lm_head=f16",
     "w4a16-g64+lm_head=f16",
     ""},
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

static const struct kind square = {"LlamaForCausalLM", false, QM_DTYPE_F16, 128, 128, 64, 41, "", ""};

// Our scheme of the same model, with the file's codes and scales in place of those that it finds.
static struct qm_artifact *build_ours(const struct qm_model *model, const char *name, const struct qm_artifact *file)
{
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    struct qm_activation_scale inputs[4 * LAYERS + 1];
    struct qm_activation_scales scales = {
        .method = QM_CALIBRATOR_ABSMAX, .layers = LAYERS, .count = 4 * LAYERS + 1, .inputs = inputs};
    memset(inputs, 0, sizeof(inputs));
    for (size_t i = 0; i < scales.count; ++i)
        inputs[i].threshold = inputs[i].amax = 1;
    CHECK(qm_scheme_parse(name, &scheme));
    CHECK(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme, .activations = &scales},
                            &artifact));
    for (size_t i = 0; i < artifact->tensor_count; ++i) {
        const struct qm_artifact_tensor *to = &artifact->tensors[i], *from = &file->tensors[i];
        if (to->format != from->format || to->activations != from->activations ||
            to->activation_scale_count != from->activation_scale_count)
            fail_msg("%s of %s: %s with %s", to->name, name, qm_weight_format_info(from->format)->name,
                     qm_activation_format_info(from->activations)->name);
        memcpy(to->encoded.codes, from->encoded.codes, to->code_bytes);
        if (to->scale_bytes > 0)
            memcpy(to->encoded.scales, from->encoded.scales, to->scale_bytes);
        if (to->activation_scale_count > 0)
            memcpy((float *)(uintptr_t)to->activation_scales, from->activation_scales, sizeof(float));
    }
    return artifact;
}

static void check_names(const struct qm_model *model, size_t k)
{
    char name[QM_OWN_FORMAT_NAME_BYTES], told[QM_OWN_ACTIVATIONS_NAME_BYTES];
    qm_own_format_name(&model->own->of[qm_weight_index(&model->config, QM_ROLE_Q, 1)], name);
    assert_string_equal(name, kinds[k].q);
    qm_own_format_name(&model->own->of[qm_weight_index(&model->config, QM_ROLE_DOWN, 1)], name);
    assert_string_equal(name, kinds[k].down);
    qm_own_format_name(&model->own->of[qm_weight_index(&model->config, QM_ROLE_HEAD, 0)], name);
    assert_string_equal(name, "f16");
    qm_own_activations_name(model->own, told);
    assert_string_equal(told, kinds[k].told);
}

// Artifacts with such activations are kept and read again; `file` and `filea16` are two schemes.
static void test_artifacts(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; ++k) {
        struct qm_model *model = make_quantized(&square, &kinds[k].kind, kinds[k].scale_of);
        struct qm_artifact *artifact = build(model, "file"), *floats = build(model, "filea16"), *again = NULL;
        check_names(model, k);
        assert_string_not_equal(artifact->scheme_sha256, floats->scheme_sha256);
        assert_string_equal(floats->scheme.name, "filea16");
        for (size_t i = 0; i < artifact->tensor_count; ++i) {
            const struct qm_artifact_tensor *tensor = &artifact->tensors[i];
            enum qm_activation_format activations = floats->tensors[i].activations;
            assert_true(!qm_role_is_linear(tensor->role) || activations == QM_ACTIVATION_F16);
            assert_int_equal(floats->tensors[i].activation_scale_count, 0);
            if (tensor->activation_scale_count > 0)
                assert_true(tensor->activation_scales[0] == kinds[k].scale_of(tensor->role));
        }
        CHECK(qm_artifact_save(artifact, in_directory("a.safetensors")));
        CHECK(qm_artifact_load(in_directory("a.safetensors"), &again));
        assert_string_equal(again->id, artifact->id);
        assert_string_equal(again->own.sha256, model->own->sha256);
        assert_int_equal(again->scheme.activations, model->own->activations);
        CHECK(qm_artifact_check(again, model));
        for (size_t i = 0; i < artifact->tensor_count; ++i) {
            assert_int_equal(again->tensors[i].activations, artifact->tensors[i].activations);
            assert_int_equal(again->tensors[i].activation_scale_count, artifact->tensors[i].activation_scale_count);
        }
        qm_artifact_destroy(&again);
        CHECK(qm_artifact_save(floats, in_directory("a.safetensors")));
        CHECK(qm_artifact_load(in_directory("a.safetensors"), &again));
        assert_string_equal(again->id, floats->id);
        qm_artifact_destroy(&again);
        qm_artifact_destroy(&artifact);
        qm_artifact_destroy(&floats);
        qm_model_destroy(&model);
        unlink(in_directory("a.safetensors"));
    }
}

// An artifact that says of activations what no kernel has is refused.
static void test_damaged(void **state)
{
    (void)state;
    struct qm_own_format format;
    struct qm_own_formats own;
    assert_true(qm_own_format_find("w4-g64-asym a8", &format));
    assert_int_equal(format.weights, QM_WEIGHT_W4ZG64);
    assert_int_equal(format.activations, QM_ACTIVATION_A8);
    assert_false(format.is_static);
    static const char *const wrong[] = {"w8 a16", "w8 a9",  "w8  a8",    "w8 a8 ", "w8 a8 dynamic", "e4m3 a8",
                                        "w8 af8", "f16 a8", "w8 static", " a8",    "q4_k af8"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); ++i)
        if (qm_own_format_find(wrong[i], &format))
            fail_msg("'%s' is a format", wrong[i]);
    assert_true(qm_own_activations_find("", &own) && own.activations == QM_ACTIVATION_F16 && !own.is_static);
    assert_true(qm_own_activations_find("af8 static", &own) && own.activations == QM_ACTIVATION_F8 && own.is_static);
    assert_false(qm_own_activations_find("a16", &own));
    assert_false(qm_own_activations_find("static", &own));
    assert_false(qm_own_activations_find(" static", &own));
}

// ---- On devices -------------------------------------------------------------------------------------------------------

struct pairs {
    struct run file, ours, floats, our_floats;
    const char *label;
    bool has_codes; // activations are codes, so that filea16 is something else
};

static void check_pairs(struct qm_device *device, const char *tile, const void *context)
{
    const struct pairs *pairs = context;
    const size_t bytes = (size_t)TOKENS * pairs->file.model->config.vocabulary * sizeof(float);
    float *file = malloc(bytes), *ours = malloc(bytes), *floats = malloc(bytes);
    run_on(device, tile, &pairs->file, file);
    run_on(device, tile, &pairs->ours, ours);
    assert_memory_equal(file, ours, bytes);
    double kl = mean_logits_kl(pairs->file.reference, file, pairs->file.model->config.vocabulary, 0, TOKENS);
    run_on(device, tile, &pairs->floats, floats);
    run_on(device, tile, &pairs->our_floats, ours);
    assert_memory_equal(floats, ours, bytes);
    double apart = mean_logits_kl(floats, file, pairs->file.model->config.vocabulary, 0, TOKENS);
    print_message("%-26s %-12s %-7s KL(reference || device) %.2e, KL(filea16 || file) %.2e\n", pairs->label,
                  device->info->driver_name, tile, kl, apart);
    assert_true(pairs->has_codes ? apart > 1e-7 : apart == 0);
    // What falls to the other side of a tie in one code of 8 bits moves logits by little.
    assert_true(kl <= (pairs->has_codes ? apart / 4 : 1e-6));
    free(file);
    free(ours);
    free(floats);
}

static void test_devices(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; ++k) {
        struct qm_model *model = make_quantized(&square, &kinds[k].kind, kinds[k].scale_of);
        struct qm_artifact *file = build(model, "file"), *floats = build(model, "filea16");
        struct qm_artifact *ours = build_ours(model, kinds[k].ours, file),
                           *our_floats = build_ours(model, kinds[k].floats, floats);
        struct qm_device_info info;
        struct qm_device *device = NULL;
        size_t count = 0;
        struct pairs pairs = {.file = {model, file, malloc((size_t)TOKENS * model->config.vocabulary * sizeof(float))},
                              .ours = {model, ours, NULL},
                              .floats = {model, floats, NULL},
                              .our_floats = {model, our_floats, NULL},
                              .label = kinds[k].kind.label,
                              .has_codes = kinds[k].told[0]};
        CHECK(qm_backend_reference.enumerate(&info, 1, &count));
        CHECK(qm_backend_reference.open(&info, &(struct qm_open_params){0}, &device));
        run_on(device, "narrow", &pairs.file, pairs.file.reference);
        check_pairs(device, "narrow", &pairs);
        device->fns->destroy(&device);
        with_each_device(true, check_pairs, &pairs);
        free(pairs.file.reference);
        qm_artifact_destroy(&file);
        qm_artifact_destroy(&ours);
        qm_artifact_destroy(&floats);
        qm_artifact_destroy(&our_floats);
        qm_model_destroy(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_artifacts),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_devices),
    };
    return cmocka_run_group_tests(tests, directory_setup, directory_teardown);
}
