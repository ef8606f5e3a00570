// What a run makes of a model that somebody quantized: which schemes it has where none are named, what it is scored against, and
// which references are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/prepare.h"
#include "test/gguf_models.h"

enum {
    VOCABULARY = 512 // of the built-in sets
};

static const struct kind plain = {"LlamaForCausalLM", false, QM_DTYPE_F32, 64, 96, 64, VOCABULARY, "", ""};
static const struct kind wider = {"LlamaForCausalLM", false, QM_DTYPE_F32, 64, 128, 64, VOCABULARY, "", ""};
static const struct kind longer = {"LlamaForCausalLM", false, QM_DTYPE_F32, 64, 96, 64, VOCABULARY + 8, "", ""};
static const struct kind other = {"Qwen3ForCausalLM", false, QM_DTYPE_F32, 64, 96, 64, VOCABULARY, "", ""};

static char paths[6][QM_PATH_BYTES]; // the quantized file, its floats, then what is no reference of it
enum {
    BLOCKS,
    FLOATS,
    WIDER,
    LONGER,
    OTHER,
    PROFILE
};

static void write_gguf(const struct kind *kind, const char *architecture, uint32_t type, int which, const char *name)
{
    write_model(kind, 512, -1);
    struct qm_model *model = load(QM_MODEL_WHOLE_BYTES, 32, 0);
    snprintf(paths[which], QM_PATH_BYTES, "%s", in_directory(name));
    gguf_convert(&model->config, &(struct gguf_conversion){.architecture = architecture, .type = type}, paths[which]);
    qm_model_destroy(&model);
}

static int setup(void **state)
{
    static const char profile[] =
        "schema: 1\nextends: quick\nname: tiny\nschemes: [f16, file, w8a16]\n"
        "evaluation: {set: built-in, seed: 1, windows: 2, window_tokens: 64, scored_tokens: 1}\n"
        "prefill: [{batch: 1, prompt: 32}]\ndecode: [{batch: 1, depth: 16, steps: 4}]\n";
    if (directory_setup(state) != 0)
        return 1;
    write_gguf(&wider, "llama", QM_GGUF_F32, WIDER, "wider.gguf");
    write_gguf(&longer, "llama", QM_GGUF_F32, LONGER, "longer.gguf");
    write_gguf(&other, "qwen3", QM_GGUF_F32, OTHER, "other.gguf");
    write_gguf(&plain, "llama", QM_GGUF_F16, FLOATS, "floats.gguf");
    write_gguf(&plain, "llama", QM_GGUF_Q4_0, BLOCKS, "blocks.gguf");
    snprintf(paths[PROFILE], QM_PATH_BYTES, "%s", in_directory("tiny.yaml"));
    return qm_file_write(paths[PROFILE], profile, sizeof(profile) - 1) == QM_OK ? 0 : 1;
}

static void test_schemes(void **state)
{
    (void)state;
    static struct qm_profile profile;
    CHECK(qm_profile_load("quick", &profile));
    size_t count = profile.scheme_count;
    CHECK(qm_preparation_choose_schemes(paths[FLOATS], NULL, &profile));
    assert_int_equal(profile.scheme_count, count); // floats are quantized as the profile says
    CHECK(qm_preparation_choose_schemes("built-in", NULL, &profile));
    assert_int_equal(profile.scheme_count, count);
    CHECK(qm_preparation_choose_schemes(paths[BLOCKS], NULL, &profile));
    assert_int_equal(profile.scheme_count, 2);
    assert_string_equal(profile.schemes[0].name, "f16");
    assert_string_equal(profile.schemes[1].name, "file");
    CHECK(qm_profile_load("quick", &profile));
    CHECK(qm_preparation_choose_schemes(paths[BLOCKS], "w8a16", &profile)); // what is named is run
    assert_int_equal(profile.scheme_count, 2);
    assert_string_equal(profile.schemes[1].name, "w8a16");
    CHECK(qm_profile_load(paths[PROFILE], &profile));
    CHECK(qm_preparation_choose_schemes(paths[BLOCKS], NULL, &profile)); // and so is a profile of the user's own
    assert_int_equal(profile.scheme_count, 3);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        int model, reference;
        const char *schemes, *words;
    } cases[] = {
        {FLOATS, -1, "file", "scheme 'file' runs the codes of a model that somebody quantized, and "},
        {BLOCKS, WIDER, "file", "wider.gguf: 'intermediate_size' is 128, and the model's is 96; name the model that"},
        {BLOCKS, LONGER, "file", "longer.gguf: 'vocab_size' is 520, and the model's is 512"},
        {BLOCKS, OTHER, "file", "other.gguf: is a "},
        {BLOCKS, BLOCKS, "file", "blocks.gguf: somebody quantized it, so that it is no reference; name the F16"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); ++i) {
        struct qm_preparation *preparation = NULL;
        const struct qm_preparation_params params = {.profile = paths[PROFILE],
                                                     .schemes = cases[i].schemes,
                                                     .model = paths[cases[i].model],
                                                     .reference =
                                                         cases[i].reference < 0 ? NULL : paths[cases[i].reference],
                                                     .cache_directory = directory};
        expect_refusal(qm_preparation_read(&params, &preparation), cases[i].words);
        assert_null(preparation);
    }
    struct qm_preparation *preparation = NULL;
    const struct qm_preparation_params built_in = {
        .profile = "quick", .reference = paths[FLOATS], .cache_directory = directory};
    expect_refusal(qm_preparation_read(&built_in, &preparation),
                   "the built-in model is its own reference; leave it out");
    const struct qm_preparation_params absent = {.profile = paths[PROFILE],
                                                 .model = paths[BLOCKS],
                                                 .reference = in_directory("none.gguf"),
                                                 .cache_directory = directory};
    assert_int_not_equal(qm_preparation_read(&absent, &preparation), QM_OK);
    assert_non_null(strstr(qm_error_text(), "--reference "));
    assert_non_null(strstr(qm_error_text(), "none.gguf"));
}

static struct qm_preparation *prepare(int model, const char *reference, const char *schemes)
{
    struct qm_preparation *preparation = NULL;
    const struct qm_preparation_params params = {.profile = paths[PROFILE],
                                                 .schemes = schemes,
                                                 .model = paths[model],
                                                 .reference = reference,
                                                 .cache_directory = directory};
    CHECK(qm_preparation_read(&params, &preparation));
    CHECK(qm_preparation_make(preparation, &params, NULL, NULL));
    for (size_t s = 0; s < preparation->prepared.scheme_count; ++s)
        if (preparation->prepared.schemes[s].status != QM_OK)
            fail_msg("%s", preparation->prepared.schemes[s].reason);
    return preparation;
}

// Scores are against the named model's logits, to the bit; devices are judged by the file's own.
static void test_reference(void **state)
{
    (void)state;
    struct qm_preparation *floats = prepare(FLOATS, NULL, "w8a16"), *alone = prepare(BLOCKS, NULL, "file"),
                          *beside = prepare(BLOCKS, paths[FLOATS], "file,file-kv8");
    const size_t row = VOCABULARY * sizeof(float);
    assert_false(floats->prepared.lacks_reference);
    assert_true(alone->prepared.lacks_reference);
    assert_false(beside->prepared.lacks_reference);
    assert_ptr_equal(floats->prepared.own_fp32, floats->prepared.reference);
    assert_ptr_equal(alone->prepared.own_fp32, alone->prepared.reference);
    for (size_t i = 0; i < 64; ++i) {
        assert_memory_equal(beside->prepared.reference->dense[i], floats->prepared.reference->dense[i], row);
        assert_memory_equal(beside->prepared.own_fp32->dense[i], alone->prepared.reference->dense[i], row);
        assert_memory_not_equal(beside->prepared.reference->dense[i], beside->prepared.own_fp32->dense[i], row);
    }
    // One artifact for both caches, the one of the other run.
    assert_string_equal(beside->prepared.schemes[1].scheme.name, "file");
    assert_string_equal(beside->prepared.schemes[1].artifact->id, beside->prepared.schemes[2].artifact->id);
    assert_string_equal(beside->prepared.schemes[1].artifact->id, alone->prepared.schemes[1].artifact->id);
    assert_true(beside->prepared.schemes[1].time.is_cached);
    qm_preparation_destroy(&floats);
    qm_preparation_destroy(&alone);
    qm_preparation_destroy(&beside);
}

static int teardown(void **state)
{
    static const char *const folders[] = {"artifacts", "reference", "hashes"};
    for (size_t f = 0; f < sizeof(folders) / sizeof(*folders); ++f) {
        struct qm_name_list list;
        char folder[QM_PATH_BYTES], path[QM_PATH_BYTES];
        snprintf(folder, sizeof(folder), "%s", in_directory(folders[f]));
        if (qm_directory_list(folder, &list) == QM_OK)
            for (size_t i = 0; i < list.count; ++i)
                if (qm_path_join(path, folder, list.names[i]) == QM_OK)
                    unlink(path);
        qm_name_list_free(&list);
        rmdir(folder);
    }
    return directory_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_reference),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
