// A GGUF file as a model: configuration from metadata, names and shapes of tensors, what cannot be run by its key.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_writer.h"
#include "model/gguf_model.h"

// What a file says; the rest is the same in all of them.
struct words {
    const char *architecture;
    uint32_t hidden, heads, kv_heads, context, key_length; // 0: not there
    const char *more; // a further number, e.g. "llama.expert_count", of value `number`
    float number;
    const char *scaling;
    bool has_head;
    const char *left_out, *added; // a tensor's name
    uint32_t down_rows;           // 0: right
    const float *divisors;        // of the frequencies: rope_freqs.weight; NULL: none
    uint32_t divisor_count;
};

static const struct words small = {.architecture = "llama", .hidden = 64, .heads = 4, .kv_heads = 2, .context = 128};

static struct gguf_writer w;
static uint64_t offset;
static const struct words *now;
static size_t tensors;

static void put_number(const char *name, uint32_t value)
{
    char key[80];
    if (value == 0)
        return;
    snprintf(key, sizeof(key), "%s.%s", now->architecture, name);
    gguf_put_key(&w, key, 4);
    gguf_put_u32(&w, value);
    ++*(uint64_t *)(void *)(w.bytes + 16);
}

static void put_real(const char *key, float value)
{
    gguf_put_key(&w, key, 6);
    gguf_put(&w, &value, sizeof(value));
    ++*(uint64_t *)(void *)(w.bytes + 16);
}

static void put_text(const char *key, const char *text)
{
    gguf_put_key(&w, key, 8);
    gguf_put_string(&w, text);
    ++*(uint64_t *)(void *)(w.bytes + 16);
}

// F16, rows and columns as Hugging Face has them; rows 0: a vector, F32.
static void put_tensor(const char *name, uint64_t rows, uint64_t columns)
{
    if (now->left_out && strcmp(name, now->left_out) == 0)
        return;
    gguf_put_tensor(&w, name, rows > 0 ? 2 : 1, (const uint64_t[]){columns, rows}, rows > 0 ? 1 : 0, offset);
    offset += ((rows > 0 ? rows * columns * 2 : columns * 4) + 31) / 32 * 32;
    ++tensors;
}

static void put_layer(uint32_t layer, uint32_t width)
{
    static const char *const vectors[] = {"attn_norm", "ffn_norm"};
    char name[64];
    for (size_t i = 0; i < 2; ++i) {
        snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, vectors[i]);
        put_tensor(name, 0, now->hidden);
    }
    const struct {
        const char *name;
        uint32_t rows, columns;
    } linear[] = {{"attn_q", now->heads * width, now->hidden},
                  {"attn_k", now->kv_heads * width, now->hidden},
                  {"attn_v", now->kv_heads * width, now->hidden},
                  {"attn_output", now->hidden, now->heads * width},
                  {"ffn_gate", 96, now->hidden},
                  {"ffn_up", 96, now->hidden},
                  {"ffn_down", now->down_rows ? now->down_rows : now->hidden, 96}};
    for (size_t i = 0; i < sizeof(linear) / sizeof(*linear); ++i) {
        snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, linear[i].name);
        put_tensor(name, linear[i].rows, linear[i].columns);
    }
}

static enum qm_status open(const struct words *words, struct qm_gguf *gguf, struct qm_model_config *config)
{
    now = words;
    offset = tensors = 0;
    gguf_begin(&w, 3, 0, 0);
    put_text("general.architecture", now->architecture);
    put_number("embedding_length", now->hidden);
    put_number("attention.head_count", now->heads);
    put_number("attention.head_count_kv", now->kv_heads);
    put_number("attention.key_length", now->key_length);
    put_number("context_length", now->context);
    put_number("feed_forward_length", 96);
    put_number("block_count", 2);
    char key[80];
    snprintf(key, sizeof(key), "%s.attention.layer_norm_rms_epsilon", now->architecture);
    put_real(key, 1e-5f);
    snprintf(key, sizeof(key), "%s.rope.freq_base", now->architecture);
    put_real(key, 50000.0f);
    if (now->more)
        put_real(now->more, now->number);
    if (now->scaling) {
        put_text("llama.rope.scaling.type", now->scaling);
        put_real("llama.rope.scaling.factor", 4);
    }
    uint32_t width = now->key_length ? now->key_length : now->heads ? now->hidden / now->heads : 16;
    put_tensor("token_embd.weight", 40, now->hidden);
    for (uint32_t layer = 0; layer < 2; ++layer)
        put_layer(layer, width);
    put_tensor("output_norm.weight", 0, now->hidden);
    if (now->has_head)
        put_tensor("output.weight", 40, now->hidden);
    if (now->added)
        put_tensor(now->added, 0, 32);
    uint64_t divisors_at = offset;
    if (now->divisors)
        put_tensor("rope_freqs.weight", 0, now->divisor_count);
    memcpy(w.bytes + 8, &(uint64_t){tensors}, 8);
    gguf_pad(&w, 32);
    uint8_t *zeros = calloc(1, offset);
    gguf_put(&w, zeros, offset);
    free(zeros);
    if (now->divisors)
        memcpy(w.bytes + w.count - offset + divisors_at, now->divisors, now->divisor_count * sizeof(float));
    if (qm_gguf_view(w.bytes, w.count, "m.gguf", gguf) != QM_OK)
        fail_msg("%s", qm_error_text());
    enum qm_status status = qm_gguf_model_config(gguf, config);
    return status == QM_OK ? qm_gguf_model_check(gguf, config) : status;
}

static void end(struct qm_gguf *gguf)
{
    qm_gguf_close(gguf);
    free(w.bytes);
    w = (struct gguf_writer){0};
}

static void test_config(void **state)
{
    (void)state;
    struct qm_gguf gguf;
    struct qm_model_config c;
    if (open(&small, &gguf, &c) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_true(c.architecture == QM_ARCHITECTURE_LLAMA && c.own.hidden == 64 && c.own.head_dim == 16);
    assert_true(c.heads == 4 && c.kv_heads == 2 && c.layers == 2 && c.own.intermediate == 96 && c.vocabulary == 40);
    assert_true(c.context == 128 && c.tied_head && c.norm_epsilon == 1e-5f && c.rope_theta == 50000.0);
    end(&gguf);

    struct words other = small;
    other.key_length = 32, other.has_head = true, other.scaling = "linear";
    assert_int_equal(open(&other, &gguf, &c), QM_OK);
    assert_true(c.own.head_dim == 32 && !c.tied_head && c.rope_scaling == QM_ROPE_LINEAR && c.rope_factor == 4);
    end(&gguf);
    other = small, other.kv_heads = 0; // as many as heads
    other.left_out = "";
    (void)open(&other, &gguf, &c);
    assert_int_equal(c.kv_heads, 4);
    end(&gguf);
    other = small, other.more = "llama.logit_scale", other.number = 1; // says nothing
    assert_int_equal(open(&other, &gguf, &c), QM_OK);
    end(&gguf);
}

// As convert_hf_to_gguf.py computes them for factor 8, wavelengths of 2048 and 8192, base 50000 and heads of 16; the fifth pair's
// wave is between the two.
static const float llama_divisors[8] = {1, 1, 1, 1, 1, 3.66141377F, 8, 8};
static const float other_divisors[8] = {1, 1, 1, 1, 1, 3, 8, 8};

static void test_frequencies(void **state)
{
    (void)state;
    struct qm_gguf gguf;
    struct qm_model_config c, plain;
    assert_int_equal(open(&small, &gguf, &plain), QM_OK);
    end(&gguf);
    struct words words = small;
    words.divisors = llama_divisors, words.divisor_count = 8;
    if (open(&words, &gguf, &c) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_true(c.rope_scaling == QM_ROPE_LLAMA3 && c.rope_factor == 8 && c.rope_context == 8192);
    for (uint32_t i = 0; i < 8; ++i) {
        double ratio = qm_model_rope_frequency(&plain, 0, i) / qm_model_rope_frequency(&c, 0, i);
        assert_true(fabs(ratio / (double)llama_divisors[i] - 1) < 1e-6);
    }
    end(&gguf);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        struct words change;
        enum qm_status status;
        const char *line;
    } cases[] = {
        {{.architecture = "gemma4"},
         QM_UNSUPPORTED,
         "m.gguf: 'general.architecture' is 'gemma4'; llama, qwen2, qwen3, phi3, olmo2, gemma, gemma2, gemma3, gpt2, "
         "starcoder2 can be run, use such a model"},
        {{.more = "llama.expert_count", .number = 8},
         QM_UNSUPPORTED,
         "m.gguf: 'llama.expert_count' is 8: a mixture of experts, which is not run; use a model without"},
        {{.more = "llama.logit_scale", .number = 0.5f},
         QM_UNSUPPORTED,
         "m.gguf: 'llama.logit_scale' is 0.5: scaled logits, which is not run; use a model without"},
        {{.scaling = "yarn"},
         QM_UNSUPPORTED,
         "m.gguf: 'llama.rope.scaling.type' is 'yarn'; none and linear can be run, use such a model"},
        {{.added = "rope_freqs.weight"},
         QM_INVALID,
         "m.gguf: tensor 'rope_freqs.weight' must be F32, a divisor for each of 8 pairs of a head; get the file again"},
        {{.divisors = other_divisors, .divisor_count = 8},
         QM_UNSUPPORTED,
         "m.gguf: tensor 'rope_freqs.weight' has not the frequencies of Llama 3.1 (long waves divided by one factor, "
         "of a "
         "context of 8192), which alone are run; use the model as safetensors"},
        {{.divisors = llama_divisors, .divisor_count = 8, .scaling = "linear"},
         QM_UNSUPPORTED,
         "m.gguf: 'llama.rope.scaling.type' beside tensor 'rope_freqs.weight': one of the two can be run, use such a "
         "model"},
        {{.more = "llama.rope.dimension_count", .number = 0},
         QM_INVALID,
         "m.gguf: 'llama.rope.dimension_count' must be a whole number from 0 to 4294967295"},
        {{.context = UINT32_MAX}, QM_INVALID, "m.gguf: 'llama.context_length' is missing; every model of llama has it"},
        {{.left_out = "blk.1.attn_v.weight"},
         QM_INVALID,
         "m.gguf: tensor 'blk.1.attn_v.weight' is missing; get the file again, or its other parts"},
        {{.left_out = "token_embd.weight"},
         QM_INVALID,
         "m.gguf: no tensor 'token_embd.weight' of two dimensions; every model has it"},
        {{.added = "blk.0.attn_q.bias"},
         QM_INVALID,
         "m.gguf: tensor 'blk.0.attn_q.bias' is no part of a model of its architecture; only whole models without "
         "additions "
         "can be run"},
        {{.down_rows = 65},
         QM_INVALID,
         "m.gguf: tensor 'blk.0.ffn_down.weight' is [65, 96]; the metadata make it 64 rows of 96 values"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); ++i) {
        struct words words = cases[i].change;
        struct qm_gguf gguf;
        struct qm_model_config config;
        words.architecture = words.architecture ? words.architecture : small.architecture;
        words.hidden = small.hidden, words.heads = small.heads, words.kv_heads = small.kv_heads;
        words.context = words.context == UINT32_MAX ? 0 : small.context;
        enum qm_status status = open(&words, &gguf, &config);
        if (status != cases[i].status || strcmp(qm_error_text(), cases[i].line) != 0)
            fail_msg("%d: %s", status, status == QM_OK ? "accepted" : qm_error_text());
        end(&gguf);
    }
}

// The rows of Llama's queries and keys, as convert_hf_to_gguf.py moves them: of each head reshape(2, width / 2) with both
// exchanged. Of others, and of all other weights, they stay.
static void test_rows(void **state)
{
    (void)state;
    struct qm_gguf gguf;
    struct qm_model_config c;
    assert_int_equal(open(&small, &gguf, &c), QM_OK);
    uint32_t width = qm_gguf_turned_width(&c, QM_ROLE_Q);
    assert_int_equal(width, 16);
    for (uint32_t head = 0; head < c.heads; ++head)
        for (uint32_t i = 0; i < 2; ++i)
            for (uint32_t j = 0; j < 8; ++j)
                assert_int_equal(qm_gguf_turned_row(width, head * 16 + i * 8 + j), head * 16 + j * 2 + i);
    assert_int_equal(qm_gguf_turned_row(qm_gguf_turned_width(&c, QM_ROLE_K), 17), 18);
    assert_int_equal(qm_gguf_turned_width(&c, QM_ROLE_V), 0);
    c.architecture = QM_ARCHITECTURE_QWEN2;
    assert_int_equal(qm_gguf_turned_width(&c, QM_ROLE_Q), 0);
    char name[QM_GGUF_NAME_BYTES];
    qm_gguf_weight_name(QM_ROLE_Q_BIAS, 12, name);
    assert_string_equal(name, "blk.12.attn_q.bias");
    end(&gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
