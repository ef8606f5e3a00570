// Scheme `file`: a quantized file's own bytes become an artifact, and nothing is rounded on the way. Every type that can be read,
// mixed ones, rows that the file has in another order, zeros between heads; what it is called, kept and found again; what is
// refused; and the same artifact on drivers as on the reference backend.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "model/engine.h"
#include "model/gguf_values.h"
#include "model/padding.h"
#include "quant/artifact.h"
#include "test/gguf_models.h"
#include "test/own_runs.h"

static const struct kind wide = {"LlamaForCausalLM", false, QM_DTYPE_F32, 256, 512, 128, 40, "", ""};
static const struct kind tied = {"LlamaForCausalLM", true, QM_DTYPE_F32, 256, 256, 128, 40, "", ""};
static const struct kind padded = {"LlamaForCausalLM", false, QM_DTYPE_F32, 64, 96, 32, 40, "", ""};
static const struct kind cut = {"LlamaForCausalLM", false, QM_DTYPE_F32, 96, 96, 48, 40, "", ""};

static const uint32_t types[] = {QM_GGUF_Q8_0, QM_GGUF_Q4_0, QM_GGUF_Q4_1, QM_GGUF_Q5_0,
                                 QM_GGUF_Q4_K, QM_GGUF_Q5_K, QM_GGUF_Q6_K};
#define TYPES (sizeof(types) / sizeof(*types))

// As in nature, and more: no two roles alike.
static uint32_t mixed_type(enum qm_role role, uint32_t layer)
{
    switch (role) {
    case QM_ROLE_Q:
        return QM_GGUF_Q4_K;
    case QM_ROLE_K:
        return layer == 1 ? QM_GGUF_Q5_K : QM_GGUF_Q4_K;
    case QM_ROLE_V:
        return layer == 1 ? QM_GGUF_Q8_0 : QM_GGUF_Q6_K;
    case QM_ROLE_O:
        return QM_GGUF_F16;
    case QM_ROLE_GATE:
        return QM_GGUF_Q4_1;
    case QM_ROLE_UP:
        return layer == 2 ? QM_GGUF_BF16 : layer == 1 ? QM_GGUF_Q5_0 : QM_GGUF_Q4_0;
    case QM_ROLE_DOWN:
        return layer == 0 ? QM_GGUF_F32 : QM_GGUF_Q5_K;
    default: // embedding and head
        return QM_GGUF_Q6_K;
    }
}

static struct qm_model *make(const struct kind *kind, const struct gguf_conversion *how, uint64_t whole_bytes)
{
    struct qm_model *model = NULL;
    const struct qm_model_load_params params = {.multiple = 32, .whole_bytes = whole_bytes};
    write_model(kind, 96, -1);
    struct qm_model *plain = load(QM_MODEL_WHOLE_BYTES, 32, 0);
    gguf_convert(&plain->config, how, in_directory("m.gguf"));
    qm_model_destroy(&plain);
    CHECK(qm_model_load_with(in_directory("m.gguf"), &params, &model));
    return model;
}

// The artifact's codes of each linear weight beside the file's bytes, found by the file's own names and orders.
static void check_bytes(const struct qm_artifact *artifact, const struct qm_model *model)
{
    const struct qm_model_config *c = &model->config;
    struct qm_gguf gguf;
    CHECK(qm_gguf_map(in_directory("m.gguf"), &gguf));
    for (size_t i = 0; i < artifact->tensor_count; ++i) {
        const struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        char name[QM_GGUF_NAME_BYTES];
        uint32_t rows, columns;
        if (!qm_role_is_linear(tensor->role))
            continue;
        enum qm_role role = tensor->role == QM_ROLE_HEAD && c->tied_head ? QM_ROLE_EMBEDDING : tensor->role;
        qm_gguf_weight_name(role, tensor->layer, name);
        qm_role_own_shape(c, role, &rows, &columns);
        const struct qm_gguf_tensor *file = qm_gguf_find_tensor(&gguf, name);
        const size_t row_bytes = columns / file->type->block_values * file->type->block_bytes;
        const size_t to_bytes = tensor->code_bytes / tensor->rows;
        assert_int_equal(tensor->format, file->type->format);
        assert_null(tensor->encoded.scales);
        float *own = malloc(columns * sizeof(*own)), *decoded = malloc((size_t)tensor->rows * tensor->columns * 4);
        qm_artifact_decode(tensor, decoded);
        uint8_t *seen = calloc(tensor->rows, 1);
        for (uint32_t r = 0; r < rows; ++r) {
            // Hugging Face's row r of a head of w: half h = r / (w / 2), pair p; in the file 2 p + h (see gguf_permute).
            uint32_t w = c->own.head_dim, half = r % w / (w / 2), pair = r % (w / 2), lies = r;
            if (role == QM_ROLE_Q || role == QM_ROLE_K)
                lies = r / w * w + 2 * pair + half;
            bool is_rotary = role == QM_ROLE_Q || role == QM_ROLE_K;
            size_t to = qm_padding_place(c,
                                         is_rotary           ? QM_PADDING_ROTARY
                                         : role == QM_ROLE_V ? QM_PADDING_HEADS
                                                             : QM_PADDING_PLAIN,
                                         r);
            const uint8_t *bytes = file->data + lies * row_bytes,
                          *codes = (const uint8_t *)tensor->encoded.codes + to * to_bytes;
            seen[to] = 1;
            assert_int_equal(qm_gguf_decode(file, (uint64_t)lies * columns / file->type->block_values,
                                            columns / file->type->block_values, own),
                             columns);
            if (tensor->columns == columns)
                assert_memory_equal(codes, bytes, row_bytes);
            for (uint32_t k = 0; k < columns; ++k) {
                size_t at = qm_padding_place(c, role == QM_ROLE_O ? QM_PADDING_HEADS : QM_PADDING_PLAIN, k);
                assert_memory_equal(&decoded[to * tensor->columns + at], &own[k], sizeof(*own));
            }
        }
        double rest = 0;
        for (uint32_t r = 0; r < tensor->rows; ++r)
            for (uint32_t k = 0; k < tensor->columns; ++k) {
                double value = (double)decoded[(size_t)r * tensor->columns + k];
                rest += !seen[r] && value != 0; // a row of padding
            }
        assert_true(rest == 0);
        assert_int_equal(tensor->bound, QM_BOUND_OWN);
        assert_true(tensor->record.worst_error == 0);
        free(own);
        free(decoded);
        free(seen);
    }
    qm_gguf_close(&gguf);
}

static void check_model(const struct kind *kind, const struct gguf_conversion *how)
{
    for (int is_large = 0; is_large < 2; ++is_large) {
        struct qm_model *model = make(kind, how, is_large ? 0 : QM_MODEL_WHOLE_BYTES);
        struct qm_artifact *artifact = build(model, "file"), *again = NULL, *found = NULL;
        check_bytes(artifact, model);
        CHECK(qm_artifact_check(artifact, model));
        CHECK(qm_artifact_save(artifact, in_directory("a.safetensors")));
        CHECK(qm_artifact_load(in_directory("a.safetensors"), &again));
        assert_string_equal(again->id, artifact->id);
        assert_string_equal(again->scheme.name, "file");
        check_bytes(again, model);
        CHECK(qm_artifact_check(again, model));
        // A bit of a code is another value: it is seen, though any code is legal.
        const struct qm_artifact_tensor *up = qm_artifact_weight(artifact, QM_ROLE_UP, 0);
        ((uint8_t *)up->encoded.codes)[up->code_bytes / 2] ^= 0x11;
        assert_int_equal(qm_artifact_check(artifact, model), QM_WRONG_RESULT);
        // Found again, with another cache, too; not for another scheme.
        struct qm_scheme scheme;
        CHECK(qm_artifact_store(again, in_directory("artifacts")));
        CHECK(qm_scheme_parse("file-kv8", &scheme));
        qm_scheme_bind(&scheme, model->own);
        CHECK(qm_artifact_find(in_directory("artifacts"), model->sha256, &model->config, &scheme, NULL, &found));
        assert_non_null(found);
        assert_string_equal(found->id, again->id);
        qm_artifact_destroy(&found);
        CHECK(qm_scheme_parse("f16", &scheme));
        CHECK(qm_artifact_find(in_directory("artifacts"), model->sha256, &model->config, &scheme, NULL, &found));
        assert_null(found);
        qm_artifact_destroy(&artifact);
        qm_artifact_destroy(&again);
        qm_model_destroy(&model);
    }
}

static void test_every_type(void **state)
{
    (void)state;
    for (size_t t = 0; t < TYPES; ++t)
        check_model(t % 2 ? &wide : &tied, &(struct gguf_conversion){.architecture = "llama", .type = types[t]});
}

static void test_mixed(void **state)
{
    (void)state;
    check_model(&wide, &(struct gguf_conversion){.architecture = "llama", .type_of = mixed_type});
    check_model(&tied, &(struct gguf_conversion){.architecture = "llama", .type_of = mixed_type});
}

// Heads of 32 values lie on devices as 64: blocks of zeros between those of the file.
static void test_padded(void **state)
{
    (void)state;
    for (size_t t = 0; t < 3; ++t)
        check_model(&padded, &(struct gguf_conversion){.architecture = "llama", .type = types[t]});
}

static uint32_t other_type(enum qm_role role, uint32_t layer)
{
    return role == QM_ROLE_UP && layer == 2 ? QM_GGUF_Q5_K : QM_GGUF_Q4_K;
}

// The name is a label: two files of other formats are two schemes.
static void test_identity(void **state)
{
    (void)state;
    char hashes[3][QM_HASH_TEXT_BYTES], unbound[QM_HASH_TEXT_BYTES];
    struct qm_scheme scheme;
    for (int i = 0; i < 3; ++i) {
        const struct gguf_conversion how = {
            .architecture = "llama", .type = QM_GGUF_Q4_K, .type_of = i == 2 ? other_type : NULL};
        struct qm_model *model = make(&wide, &how, QM_MODEL_WHOLE_BYTES);
        CHECK(qm_scheme_parse("file", &scheme));
        qm_scheme_hash(&scheme, unbound);
        qm_scheme_bind(&scheme, model->own);
        qm_scheme_hash(&scheme, hashes[i]);
        assert_string_not_equal(hashes[i], unbound);
        qm_model_destroy(&model);
    }
    assert_string_equal(hashes[0], hashes[1]);
    assert_string_not_equal(hashes[0], hashes[2]);
    char name[QM_WEIGHT_FORMAT_NAME_BYTES];
    for (size_t w = 0; w < QM_WEIGHT_FORMAT_COUNT; ++w) { // every format has a name of its own
        enum qm_weight_format found;
        qm_weight_format_name((enum qm_weight_format)w, name);
        assert_true(qm_weight_format_find(name, &found));
        assert_int_equal(found, w);
    }
    assert_false(qm_weight_format_find("q4", &(enum qm_weight_format){0}));
}

static void test_refusals(void **state)
{
    (void)state;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    CHECK(qm_scheme_parse("file", &scheme));
    const struct gguf_conversion floats = {.architecture = "llama", .type = QM_GGUF_F16},
                                 blocks = {.architecture = "llama", .type = QM_GGUF_Q8_0},
                                 bad = {.architecture = "llama", .type = QM_GGUF_Q8_0, .bad = 2};
    struct qm_model *model = make(&wide, &floats, QM_MODEL_WHOLE_BYTES);
    assert_null(model->own);
    qm_scheme_bind(&scheme, model->own);
    expect_refusal(
        qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact),
        "scheme file runs the codes of a model that somebody quantized, and this one has floats; use schemes");
    qm_model_destroy(&model);
    // Heads of 48 values are padded to 64: a block of 32 would be in two of them.
    model = make(&cut, &blocks, QM_MODEL_WHOLE_BYTES);
    qm_scheme_bind(&scheme, model->own);
    assert_int_equal(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact),
                     QM_UNSUPPORTED);
    assert_non_null(strstr(qm_error_text(),
                           "o_proj': devices take head_dim 48 as 64, which would cut groups of 32 values "
                           "of Q8_0; use schemes that quantize the values anew"));
    // A copy has values, and no file.
    struct qm_model *copy = NULL;
    CHECK(qm_model_copy(model, &copy));
    assert_null(copy->own);
    qm_model_destroy(&copy);
    qm_model_destroy(&model);
    // What cannot be loaded cannot be taken either; asked directly, the row is named.
    write_model(&wide, 96, -1);
    struct qm_model *plain = load(QM_MODEL_WHOLE_BYTES, 32, 0);
    gguf_convert(&plain->config, &bad, in_directory("m.gguf"));
    qm_model_destroy(&plain);
    struct qm_weights weights;
    CHECK(qm_weights_open(in_directory("m.gguf"), &weights));
    const struct qm_weights_entry *q = qm_weights_find(&weights, "model.layers.0.self_attn.q_proj.weight");
    void *codes = malloc(256 * 8 * 34);
    assert_int_equal(qm_weights_own_format(q), QM_WEIGHT_Q8_0);
    assert_int_equal(qm_weights_own_format(qm_weights_find(&weights, "model.norm.weight")), QM_WEIGHT_FORMAT_COUNT);
    expect_refusal(qm_weights_own_rows(q, 0, 256, codes, NULL),
                   "tensor 'model.layers.0.self_attn.q_proj.weight': row 0 has a value or scale that is not finite");
    CHECK(qm_weights_own_rows(q, 1, 255, codes, NULL));
    free(codes);
    qm_weights_close(&weights);
}

// A damaged list of formats is told, and a changed one is another artifact.
static void test_damaged_formats(void **state)
{
    (void)state;
    const struct gguf_conversion how = {.architecture = "llama", .type = QM_GGUF_Q4_K};
    struct qm_model *model = make(&wide, &how, QM_MODEL_WHOLE_BYTES);
    struct qm_artifact *artifact = build(model, "file"), *again = NULL;
    CHECK(qm_artifact_save(artifact, in_directory("a.safetensors")));
    static const struct {
        const char *from, *to, *words;
    } changes[] = {
        {"\\\"lm_head\\\":\\\"q4_k\\\"", "\\\"lm_head\\\":\\\"q5_k\\\"", "scheme_sha256"},
        {"\\\"lm_head\\\":\\\"q4_k\\\"", "\\\"lm_head\\\":\\\"q9_k\\\"", "metadata 'formats'"},
        {"\\\"lm_head\\\":\\\"q4_k\\\"", "\\\"lm_tail\\\":\\\"q4_k\\\"", "metadata 'formats'"},
        {"\"formats\":", "\"formatt\":", "metadata 'formats' is missing"},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); ++i) {
        void *bytes = NULL;
        size_t count = 0;
        CHECK(qm_file_read(in_directory("a.safetensors"), (size_t)1 << 26, &bytes, &count));
        char *at = NULL;
        size_t length = strlen(changes[i].from);
        for (size_t b = 0; b + length < count && !at; ++b)
            at = memcmp((char *)bytes + b, changes[i].from, length) == 0 ? (char *)bytes + b : NULL;
        assert_non_null(at);
        memcpy(at, changes[i].to, length);
        CHECK(qm_file_write(in_directory("b.safetensors"), bytes, count));
        free(bytes);
        expect_refusal(qm_artifact_load(in_directory("b.safetensors"), &again), changes[i].words);
    }
    struct qm_own_formats *own = NULL;
    CHECK(qm_artifact_load_formats(in_directory("a.safetensors"), &own));
    assert_string_equal(own->sha256, model->own->sha256);
    free(own);
    qm_artifact_destroy(&artifact);
    artifact = build(model, "w8a16");
    CHECK(qm_artifact_save(artifact, in_directory("a.safetensors")));
    CHECK(qm_artifact_load_formats(in_directory("a.safetensors"), &own));
    assert_null(own);
    qm_artifact_destroy(&artifact);
    qm_model_destroy(&model);
}

// ---- On devices -------------------------------------------------------------------------------------------------------

static void test_devices(void **state)
{
    (void)state;
    const struct gguf_conversion how = {.architecture = "llama", .type_of = mixed_type};
    struct qm_model *model = make(&wide, &how, QM_MODEL_WHOLE_BYTES);
    check_own_on_devices(model, "file", 0.5, 1e-2, false);
    qm_model_destroy(&model);
}

static int teardown(void **state)
{
    struct qm_name_list list;
    char path[QM_PATH_BYTES];
    if (qm_directory_list(in_directory("artifacts"), &list) == QM_OK)
        for (size_t i = 0; i < list.count; ++i)
            if (qm_path_join(path, in_directory("artifacts"), list.names[i]) == QM_OK)
                unlink(path);
    qm_name_list_free(&list);
    rmdir(in_directory("artifacts"));
    return directory_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type), cmocka_unit_test(test_mixed),    cmocka_unit_test(test_padded),
        cmocka_unit_test(test_identity),   cmocka_unit_test(test_refusals), cmocka_unit_test(test_damaged_formats),
        cmocka_unit_test(test_devices),
    };
    return cmocka_run_group_tests(tests, directory_setup, teardown);
}
