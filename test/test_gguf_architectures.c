// The tiny models of every architecture, whose logits test_architectures has from PyTorch, as GGUF files: the same configuration
// and the same weights to the bit as from their folders, with queries, keys and values apart and in one tensor, and what is
// wrong with a file by its key or tensor. What llama.cpp makes of such files: test_llama_cpp.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "model/file_types.h"
#include "model/gguf_model.h"
#include "model/weights.h"
#include "model/weights_arrange.h"
#include "test/gguf_writer.h"
#include "test/tiny_model.h"

#define CHECK(expression)                                                                                              \
    do {                                                                                                               \
        if ((expression) != QM_OK)                                                                                     \
            fail_msg("%s:%d: %s", __FILE__, __LINE__, qm_error_text());                                                \
    } while (0)

static json_t *data;

// By enum qm_architecture. Phi-3 and GPT-2 have queries, keys and values in one tensor, Phi-3 gate and up as well.
static const char *const architectures[] = {"llama", "llama",  "qwen2",  "qwen3", "phi3",      "olmo2",
                                            "gemma", "gemma2", "gemma3", "gpt2",  "starcoder2"};

// gguf-py's constants.py, by the names that roles have.
static const char *const names[][2] = {{"embedding", "token_embd.weight"},
                                       {"positions", "position_embd.weight"},
                                       {"input_norm", "blk.#.attn_norm.weight"},
                                       {"q", "blk.#.attn_q.weight"},
                                       {"k", "blk.#.attn_k.weight"},
                                       {"v", "blk.#.attn_v.weight"},
                                       {"o", "blk.#.attn_output.weight"},
                                       {"post_norm", "blk.#.ffn_norm.weight"},
                                       {"gate", "blk.#.ffn_gate.weight"},
                                       {"up", "blk.#.ffn_up.weight"},
                                       {"down", "blk.#.ffn_down.weight"},
                                       {"q_bias", "blk.#.attn_q.bias"},
                                       {"k_bias", "blk.#.attn_k.bias"},
                                       {"v_bias", "blk.#.attn_v.bias"},
                                       {"q_norm", "blk.#.attn_q_norm.weight"},
                                       {"k_norm", "blk.#.attn_k_norm.weight"},
                                       {"o_bias", "blk.#.attn_output.bias"},
                                       {"up_bias", "blk.#.ffn_up.bias"},
                                       {"down_bias", "blk.#.ffn_down.bias"},
                                       {"input_norm_bias", "blk.#.attn_norm.bias"},
                                       {"post_norm_bias", "blk.#.ffn_norm.bias"},
                                       {"attention_norm", "blk.#.post_attention_norm.weight"},
                                       {"mlp_norm", "blk.#.post_ffw_norm.weight"},
                                       {"final_norm", "output_norm.weight"},
                                       {"final_norm_bias", "output_norm.bias"},
                                       {"head", "output.weight"}};

// What is written beside, or in place of, what is right.
struct change {
    bool is_fused;        // all architectures have queries, keys and values in one tensor
    bool has_flags;       // a flag for each layer, whether it has a window
    const char *left_out; // a tensor
    const char *added;    // a vector of 8 zeros
    const char *more;     // a key behind the architecture's name, a whole number
    uint32_t number;
    const char *bad; // the tensor whose value `bad_at` is infinite
    size_t bad_at;
};

struct file {
    struct gguf_writer head, data;
    const char *architecture;
    uint64_t tensors, values;
};

static void put_key(struct file *f, const char *name, uint32_t type)
{
    char key[96];
    snprintf(key, sizeof(key), "%s.%s", f->architecture, name);
    gguf_put_key(&f->head, key, type);
    ++f->values;
}

static void put_number(struct file *f, const char *name, uint32_t value)
{
    put_key(f, name, 4);
    gguf_put_u32(&f->head, value);
}

static void put_real(struct file *f, const char *name, double value)
{
    float number = (float)value;
    put_key(f, name, 6);
    gguf_put(&f->head, &number, sizeof(number));
}

static void put_text(struct file *f, const char *name, const char *text)
{
    put_key(f, name, 8);
    gguf_put_string(&f->head, text);
}

// As the converter does for these architectures (llama.cpp's conversion folder).
static void put_metadata(struct file *f, const struct qm_model_config *c, const struct change *change)
{
    const struct qm_architecture_info *info = qm_architecture_info(c->architecture);
    gguf_put_key(&f->head, "general.architecture", 8);
    gguf_put_string(&f->head, f->architecture);
    ++f->values;
    put_number(f, "context_length", c->rope_scaling == QM_ROPE_LONG ? 64 * c->context : c->context);
    put_number(f, "embedding_length", c->own.hidden);
    put_number(f, "feed_forward_length", c->own.intermediate);
    put_number(f, "block_count", c->layers);
    put_number(f, "attention.head_count", c->heads);
    put_number(f, "attention.head_count_kv", c->kv_heads);
    if (c->own.head_dim * c->heads != c->own.hidden) {
        put_number(f, "attention.key_length", c->own.head_dim);
        put_number(f, "attention.value_length", c->own.head_dim);
    }
    put_real(f, info->has_layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
             (double)c->norm_epsilon);
    if (!info->has_no_rotary)
        put_real(f, "rope.freq_base", c->rope_theta);
    if (c->local_theta > 0)
        put_real(f, "rope.freq_base_swa", c->local_theta);
    if (c->rope_scaling == QM_ROPE_LINEAR) {
        put_text(f, "rope.scaling.type", "linear");
        put_real(f, "rope.scaling.factor", c->rope_factor);
    }
    if (c->rope_scaling == QM_ROPE_LONG) {
        put_real(f, "rope.scaling.attn_factor", c->rope_attention);
        put_number(f, "rope.scaling.original_context_length", c->rope_context);
    }
    if (c->score_cap > 0)
        put_real(f, "attn_logit_softcapping", c->score_cap);
    if (c->logit_cap > 0)
        put_real(f, "final_logit_softcapping", c->logit_cap);
    if (c->window > 0)
        put_number(f, "attention.sliding_window", c->window);
    if (c->window_every > 0 && change->has_flags) {
        put_key(f, "attention.sliding_window_pattern", 9);
        gguf_put_u32(&f->head, 7);
        gguf_put_u64(&f->head, c->layers);
        for (uint32_t layer = 0; layer < c->layers; ++layer)
            gguf_put(&f->head, (layer + 1) % c->window_every == 0 ? "\0" : "\1", 1);
    } else if (c->window_every > 0 && c->architecture == QM_ARCHITECTURE_GEMMA3) { // of Gemma 2 it goes without saying
        put_number(f, "attention.sliding_window_pattern", c->window_every);
    }
    if (change->more)
        put_number(f, change->more, change->number);
}

static void name_of(enum qm_role role, uint32_t layer, char name[64])
{
    size_t i = 0;
    while (strcmp(names[i][0], qm_role_name(role)) != 0)
        ++i;
    const char *number = strchr(names[i][1], '#');
    if (number)
        snprintf(name, 64, "%.*s%u%s", (int)(number - names[i][1]), names[i][1], layer, number + 1);
    else
        snprintf(name, 64, "%s", names[i][1]);
}

// Which weight is in the same tensor before this one; QM_ROLE_COUNT: none.
static enum qm_role role_before(enum qm_role role)
{
    switch (role) {
    case QM_ROLE_K:
        return QM_ROLE_Q;
    case QM_ROLE_V:
        return QM_ROLE_K;
    case QM_ROLE_K_BIAS:
        return QM_ROLE_Q_BIAS;
    case QM_ROLE_V_BIAS:
        return QM_ROLE_K_BIAS;
    case QM_ROLE_UP:
        return QM_ROLE_GATE;
    default:
        return QM_ROLE_COUNT;
    }
}

static bool is_joined(const struct qm_model_config *c, enum qm_role role, const struct change *change)
{
    bool is_phi3 = c->architecture == QM_ARCHITECTURE_PHI3;
    if (role == QM_ROLE_GATE || role == QM_ROLE_UP)
        return is_phi3;
    return (role == QM_ROLE_Q || role == QM_ROLE_Q_BIAS || role_before(role) != QM_ROLE_COUNT) &&
           (change->is_fused || is_phi3 || c->architecture == QM_ARCHITECTURE_GPT2);
}

// Of Llama's queries and keys, reshape(heads, 2, width / 2, ...).swapaxes(1, 2).
static void put_rows(struct file *f, const struct qm_model_config *c, enum qm_role role, const float *values,
                     uint32_t rows, uint32_t columns)
{
    bool is_moved = (role == QM_ROLE_Q || role == QM_ROLE_K) && strcmp(f->architecture, "llama") == 0;
    uint32_t width = c->own.head_dim;
    for (uint32_t row = 0; row < rows; ++row) {
        uint32_t within = row % width, from = row - within + within % 2 * (width / 2) + within / 2;
        gguf_put(&f->data, values + (size_t)(is_moved ? from : row) * columns, columns * sizeof(*values));
    }
}

static void put_header(struct file *f, const char *name, bool is_vector, uint64_t rows, uint64_t columns, uint64_t at)
{
    gguf_put_tensor(&f->head, name, is_vector ? 1 : 2, (const uint64_t[]){columns, rows}, QM_GGUF_F32, at);
    ++f->tensors;
}

// Appends the weight's values; its tensor's head where it is the last in it.
static void put_weight(struct file *f, const struct qm_weights *from, const struct qm_model_config *c,
                       enum qm_role role, uint32_t layer, const struct change *change)
{
    char plain[QM_WEIGHT_NAME_BYTES], full[QM_WEIGHT_NAME_BYTES + 8], name[64];
    uint32_t rows, columns;
    static uint64_t begin, joined; // of the tensor that is being put together
    bool is_vector = qm_role_is_vector(role);
    qm_role_own_shape(c, role, &rows, &columns);
    qm_role_weight_name(role, layer, plain);
    snprintf(full, sizeof(full), "%s%s", plain, qm_role_name_ending(role));
    const struct qm_weights_entry *entry = qm_weights_find(from, full);
    assert_non_null(entry);
    size_t count = (size_t)rows * columns;
    float *values = malloc(count * sizeof(*values));
    assert_non_null(values);
    CHECK(qm_weights_floats(entry, 0, count, values));
    bool is_part = is_joined(c, role, change);
    if (!is_part || role_before(role) == QM_ROLE_COUNT)
        begin = f->data.count, joined = 0;
    joined += is_vector ? columns : rows;
    put_rows(f, c, role, values, rows, columns);
    free(values);
    if (is_part && role != QM_ROLE_V && role != QM_ROLE_V_BIAS && role != QM_ROLE_UP)
        return;
    name_of(role, layer, name);
    if (is_part && role != QM_ROLE_UP)
        snprintf(name, sizeof(name), "blk.%u.attn_qkv.%s", layer, is_vector ? "bias" : "weight");
    if (change->bad && strcmp(change->bad, name) == 0)
        memcpy(f->data.bytes + begin + change->bad_at * sizeof(float), "\0\0\x80\x7f", 4);
    if (!change->left_out || strcmp(change->left_out, name) != 0)
        put_header(f, name, is_vector, joined, is_vector ? joined : columns, begin);
    gguf_pad(&f->data, 32);
}

static void convert(const struct qm_model *model, const struct change *change, const char *path)
{
    const struct qm_model_config *c = &model->config;
    struct file f = {.architecture = architectures[c->architecture]};
    struct qm_weights from;
    CHECK(qm_weights_open(directory, &from));
    CHECK(qm_weights_arrange(&from, c));
    gguf_begin(&f.head, 3, 0, 0);
    put_metadata(&f, c, change);
    for (size_t i = 0; i < qm_weight_count(c); ++i) {
        enum qm_role role;
        uint32_t layer;
        qm_weight_at(c, i, &role, &layer);
        if (role == QM_ROLE_HEAD && c->tied_head)
            continue;
        put_weight(&f, &from, c, role, layer, change);
    }
    if (c->rope_scaling == QM_ROPE_LONG) // that of long contexts is not looked at
        for (int is_long = 0; is_long < 2; ++is_long) {
            float divisors[QM_ROPE_PAIRS_MAX];
            uint32_t pairs = c->own.head_dim / 2;
            for (uint32_t p = 0; p < pairs; ++p)
                divisors[p] = is_long ? 40 : (float)c->rope_divisors[p];
            put_header(&f, is_long ? "rope_factors_long.weight" : "rope_factors_short.weight", true, pairs, pairs,
                       f.data.count);
            gguf_put(&f.data, divisors, pairs * sizeof(*divisors));
            gguf_pad(&f.data, 32);
        }
    if (change->added) {
        const float zeros[8] = {0};
        put_header(&f, change->added, true, 8, 8, f.data.count);
        gguf_put(&f.data, zeros, sizeof(zeros));
        gguf_pad(&f.data, 32);
    }
    memcpy(f.head.bytes + 8, &f.tensors, 8);
    memcpy(f.head.bytes + 16, &f.values, 8);
    gguf_pad(&f.head, 32);
    gguf_put(&f.head, f.data.bytes, f.data.count);
    CHECK(qm_file_write(path, f.head.bytes, f.head.count));
    qm_weights_close(&from);
    free(f.head.bytes);
    free(f.data.bytes);
}

static void check_same(const struct qm_model *folder, const struct qm_model *file, const char *title)
{
    char wanted[QM_MODEL_CONFIG_TEXT_BYTES], found[QM_MODEL_CONFIG_TEXT_BYTES];
    struct qm_model_config config = folder->config;
    if (config.score_width > 0)
        config.score_width = config.own.head_dim; // which no GGUF file says otherwise
    qm_model_config_text(&config, wanted);
    qm_model_config_text(&file->config, found);
    assert_string_equal(found, wanted);
    assert_int_equal(file->tensor_count, folder->tensor_count);
    for (size_t i = 0; i < folder->tensor_count; ++i) {
        struct qm_model_view x, y;
        CHECK(qm_model_view_open(folder, i, &x));
        CHECK(qm_model_view_open(file, i, &y));
        size_t count = (size_t)folder->tensors[i].rows * folder->tensors[i].columns;
        if (memcmp(x.values, y.values, count * sizeof(float)) != 0)
            fail_msg("%s: %s differs", title, folder->tensors[i].name);
        qm_model_view_close(&x);
        qm_model_view_close(&y);
    }
}

static void expect(const struct qm_model *folder, const struct change *change, const char *line)
{
    struct qm_model *file = NULL;
    convert(folder, change, in_directory("m.gguf"));
    assert_int_not_equal(qm_model_load(in_directory("m.gguf"), 32, &file), QM_OK);
    const char *text = strstr(qm_error_text(), "m.gguf");
    if (!text || strcmp(text, line) != 0)
        fail_msg("%s", qm_error_text());
}

static const json_t *entry_of(const char *begin)
{
    const json_t *entry;
    size_t index;
    json_array_foreach(json_object_get(data, "models"), index,
                       entry) if (strncmp(json_string_value(json_object_get(entry, "title")), begin, strlen(begin)) ==
                                  0) return entry;
    fail_msg("%s", begin);
    return NULL;
}

static void test_same_models(void **state)
{
    (void)state;
    const json_t *entry;
    size_t index, files = 0;
    json_array_foreach(json_object_get(data, "models"), index, entry)
    {
        struct qm_model *folder = make_model(entry, 32);
        bool says_too_little = folder->config.rope_scaling == QM_ROPE_LLAMA3 || folder->config.window_from > 0;
        for (int is_fused = 0; !says_too_little && is_fused < 2; ++is_fused) {
            struct qm_model *file = NULL;
            convert(folder, &(struct change){.is_fused = is_fused != 0, .has_flags = is_fused != 0},
                    in_directory("m.gguf"));
            CHECK(qm_model_load(in_directory("m.gguf"), 32, &file));
            check_same(folder, file, json_string_value(json_object_get(entry, "title")));
            qm_model_destroy(&file);
            ++files;
        }
        qm_model_destroy(&folder);
    }
    assert_int_equal(files, 24);
}

static void test_refusals(void **state)
{
    (void)state;
    struct qm_model *phi3 = make_model(entry_of("Phi-3"), 32); // 96 wide, 6 heads of 16, 2 of keys, 104 inner
    expect(phi3, &(struct change){.bad = "blk.1.attn_qkv.weight", .bad_at = 100 * 96 + 7},
           "m.gguf: tensor 'blk.1.attn_qkv.weight': value 9607 is not finite; every weight must be");
    expect(phi3, &(struct change){.left_out = "blk.1.attn_qkv.weight"},
           "m.gguf: tensor 'blk.1.attn_qkv.weight' is missing; get the file again, or its other parts");
    expect(phi3, &(struct change){.left_out = "blk.0.ffn_up.weight"},
           "m.gguf: tensor 'blk.0.ffn_up.weight' is missing; get the file again, or its other parts");
    expect(phi3, &(struct change){.added = "rope_factors_long.weight"},
           "m.gguf: tensor 'rope_factors_short.weight' is missing; get the file again, or its other parts");
    expect(phi3, &(struct change){.added = "rope_factors_short.weight"},
           "m.gguf: 'phi3.rope.scaling.original_context_length' is missing; every model of phi3 has it");
    expect(
        phi3, &(struct change){.more = "attention.sliding_window_pattern", .number = 4},
        "m.gguf: 'phi3.attention.sliding_window_pattern' is 4: a window in some of the layers, which is not run; use "
        "a model without");
    expect(phi3, &(struct change){.added = "blk.0.attn_q.bias"},
           "m.gguf: tensor 'blk.0.attn_q.bias' is no part of a model of its architecture; only whole models without "
           "additions can be run");
    qm_model_destroy(&phi3);
    struct qm_model *olmo2 = make_model(entry_of("OLMo 2"), 32);
    expect(olmo2, &(struct change){.more = "attention.sliding_window", .number = 4096}, // OLMo 3
           "m.gguf: 'olmo2.attention.sliding_window' is 4096: attention that sees a window, which is not run; use a "
           "model without");
    expect(olmo2, &(struct change){.more = "attn_logit_softcapping", .number = 50},
           "m.gguf: 'olmo2.attn_logit_softcapping' is 50: capped attention scores, which is not run; use a model "
           "without");
    qm_model_destroy(&olmo2);
    struct qm_model *qwen2 = make_model(entry_of("Qwen2"), 32);
    expect(
        qwen2, &(struct change){0},
        "m.gguf: 'qwen2.attention.sliding_window' is 17: attention that sees a window, which is not run; use a model "
        "without");
    qm_model_destroy(&qwen2);
    struct qm_model *gemma2 = make_model(entry_of("Gemma 2"), 32);
    expect(gemma2, &(struct change){.more = "rope.freq_base_swa", .number = 500},
           "m.gguf: 'gemma2.rope.freq_base_swa' is 500: another rotary embedding in layers with a window, which is not "
           "run; use a model without");
    qm_model_destroy(&gemma2);
}

// A file's tensors are counted, not what they are cut into.
static void test_types(void **state)
{
    (void)state;
    struct qm_model *phi3 = make_model(entry_of("Phi-3"), 32); // of two layers, with a head
    struct qm_weights weights;
    struct qm_file_type types[QM_FILE_TYPES_MAX];
    convert(phi3, &(struct change){0}, in_directory("m.gguf"));
    CHECK(qm_weights_open(in_directory("m.gguf"), &weights));
    assert_int_equal(weights.count, 3 + 2 * 9);
    assert_int_equal(qm_file_types(&weights, types), 1);
    assert_int_equal(types[0].tensors, 3 + 2 * 6);
    assert_true(types[0].bytes == weights.bytes);
    qm_weights_close(&weights);
    qm_model_destroy(&phi3);
}

// What metadata alone decide, with no tensor but the embedding.
static void parse(const char *architecture, const struct change *numbers, struct qm_model_config *out)
{
    struct file f = {.architecture = architecture};
    struct qm_gguf gguf;
    gguf_begin(&f.head, 3, 1, 0);
    gguf_put_key(&f.head, "general.architecture", 8);
    gguf_put_string(&f.head, architecture);
    ++f.values;
    put_number(&f, "context_length", 8192);
    put_number(&f, "embedding_length", 4608);
    put_number(&f, "feed_forward_length", 64);
    put_number(&f, "attention.head_count", 32);
    put_number(&f, "attention.key_length", 128);
    put_real(&f, "attention.layer_norm_rms_epsilon", 1e-6);
    for (; numbers->more; ++numbers)
        put_number(&f, numbers->more, numbers->number);
    put_header(&f, "token_embd.weight", false, 1, 4608, 0);
    memcpy(f.head.bytes + 16, &f.values, 8);
    gguf_pad(&f.head, 32);
    float *zeros = calloc(4608, sizeof(*zeros));
    gguf_put(&f.head, zeros, 4608 * sizeof(*zeros));
    free(zeros);
    CHECK(qm_gguf_view(f.head.bytes, f.head.count, "m.gguf", &gguf));
    CHECK(qm_gguf_model_config(&gguf, out));
    qm_gguf_close(&gguf);
    free(f.head.bytes);
}

static void test_what_goes_without_saying(void **state)
{
    (void)state;
    struct qm_model_config c;
    // Gemma 2's window and caps; only of its largest model scores are divided by the root of hidden / heads.
    parse("gemma2", (const struct change[]){{.more = "block_count", .number = 42}, {0}}, &c);
    assert_true(c.window == 4096 && c.window_every == 2 && c.score_cap == 50 && c.logit_cap == 30);
    assert_true(c.score_width == 128 && c.tied_head == true);
    parse("gemma2", (const struct change[]){{.more = "block_count", .number = 46}, {0}}, &c);
    assert_true(c.score_width == 144);
    parse("gemma3",
          (const struct change[]){
              {.more = "block_count", .number = 62}, {.more = "attention.sliding_window", .number = 1024}, {0}},
          &c);
    assert_true(c.score_width == 144 && c.window == 1024 && c.window_every == 6 && c.local_theta == 10000);
    assert_true(c.score_cap == 0 && c.logit_cap == 0 && c.rope_theta == 1e6);
    // Without a window every layer of Gemma 3 sees everything, by the one rotary embedding.
    parse("gemma3", (const struct change[]){{.more = "block_count", .number = 12}, {0}}, &c);
    for (uint32_t layer = 0; layer < 12; ++layer)
        assert_true(qm_model_window(&c, layer) == 0 && qm_model_rope_table(&c, layer) == 0);
    // A window of none, as the converter writes it of Phi-4.
    parse("phi3",
          (const struct change[]){
              {.more = "block_count", .number = 2}, {.more = "attention.sliding_window", .number = 0}, {0}},
          &c);
    assert_int_equal(c.window, 0);
    // Mistral is a Llama with a window.
    parse("llama",
          (const struct change[]){
              {.more = "block_count", .number = 2}, {.more = "attention.sliding_window", .number = 4096}, {0}},
          &c);
    assert_true(c.architecture == QM_ARCHITECTURE_MISTRAL && c.window == 4096 && qm_model_window(&c, 0) == 4096);
    assert_int_equal(qm_gguf_turned_width(&c, QM_ROLE_Q), 128);
    // A factor alone is linear.
    parse("llama",
          (const struct change[]){
              {.more = "block_count", .number = 2}, {.more = "rope.scaling.factor", .number = 4}, {0}},
          &c);
    assert_true(c.architecture == QM_ARCHITECTURE_LLAMA && c.rope_scaling == QM_ROPE_LINEAR && c.rope_factor == 4);
}

static int begin(void **state)
{
    (void)state;
    json_error_t error;
    data = json_load_file(TINY_MODELS, 0, &error);
    return data && mkdtemp(directory) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    json_decref(data);
    static const char *const files[] = {"config.json", "model.safetensors", "m.gguf"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); ++i)
        unlink(in_directory(files[i]));
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_models), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_types), cmocka_unit_test(test_what_goes_without_saying)};
    return cmocka_run_group_tests(tests, begin, end);
}
