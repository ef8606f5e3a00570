// Cases of the kernels that work on rows and single elements, and the table of all.
#include "bench/kernel_cases.h"

#include "base/numeric.h"
#include "kernel/kernels.h"
#include "kernel_arguments.h"

#include <math.h> // fabs, sqrt
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Adds the tokens that embedding and log_softmax look up, and sets the step; returns words between sequences.
static uint32_t add_tokens(struct qm_case_builder *b, uint32_t vocabulary)
{
    const struct qm_case_shape *s = b->shape;
    uint32_t tokens = s->tokens_per_sequence, first_sequence = 2;
    uint32_t sequences = first_sequence + (s->rows + tokens - 1) / tokens, stride = s->position + tokens + 3;
    uint32_t *words = qm_case_add(b, (size_t)sequences * stride, false);
    for (size_t i = 0; words && i < (size_t)sequences * stride; ++i)
        words[i] = qm_random_below(&b->random, vocabulary);
    qm_case_place(b, first_sequence, s->position);
    return stride;
}

static void build_embedding(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    bool is_f32 = strstr(b->c->name, "-f32") != NULL, is_of_positions = strstr(b->c->name, "-positions") != NULL;
    uint32_t stride = add_tokens(b, s->n), first = 0, count = s->n;
    if (s->n % 4 == 0 && s->position % 2 == 1) { // a part of the table, from its middle
        first = s->n / 4;
        count = s->n / 2;
    }
    if (is_of_positions) { // of those before the last of a sequence none, where there are several
        first = s->position + s->tokens_per_sequence > 40 ? 7 : 0;
        count = s->position + s->tokens_per_sequence - first;
    }
    size_t values = (size_t)count * s->k;
    uint32_t *table = qm_case_add(b, is_f32 ? values : values / 2, false);
    for (size_t i = 0; table && i < values; ++i) {
        float value = qm_case_unit(b) * (i % 19 == 0 ? 0x1p-18f : 2.0f); // some are subnormal as binary16
        qm_case_put(table, i, is_f32 ? 32 : 16, is_f32 ? qm_bits_from_float(value) : qm_half_from_float(value));
    }
    float *result = (float *)qm_case_add(b, (size_t)s->rows * s->k, true);
    for (size_t i = 0; result && is_of_positions && i < (size_t)s->rows * s->k; ++i)
        result[i] = qm_case_unit(b);
    // Of a scaled embedding; what is no power of two rounds, what was subnormal may be flushed.
    float multiplier = is_of_positions ? 0.0f : s->rows % 3 == 0 ? 11.3137f : 1.0f;
    struct qm_embedding_parameters p = {s->rows, s->k, s->tokens_per_sequence, stride, first, count, multiplier};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->same_bits = true;
    b->c->bytes = (double)s->rows * s->k * (is_f32 ? 8 : 6);
}

static void build_rmsnorm(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    float *x = (float *)qm_case_add(b, (size_t)s->rows * s->k, false);
    float *gain = (float *)qm_case_add(b, s->k, false);
    for (uint32_t c = 0; gain && c < s->k; ++c)
        gain[c] = qm_case_unit(b) * 2.0f;
    for (uint32_t row = 0; x && row < s->rows; ++row) {
        float size = row % 4 == 1 ? 0.0f : row % 4 == 2 ? 1e-15f : 1.0f;
        for (uint32_t c = 0; c < s->k; ++c)
            x[(size_t)row * s->k + c] = qm_case_unit(b) * size;
        if (row % 4 == 3)
            x[(size_t)row * s->k + qm_random_below(&b->random, s->k)] = 1e6f;
    }
    qm_case_add(b, (size_t)s->rows * s->k, true);
    double *bounds = qm_case_absolute(b);
    for (size_t i = 0; bounds && i < (size_t)s->rows * s->k; ++i)
        bounds[i] = 0x1p-120;
    b->c->buffers[2].relative = (s->k / 4 + 16) * 0x1p-24;
    struct qm_rmsnorm_parameters p = {s->rows, s->k, 1.0f / (float)s->k, 1e-5f};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->bytes = 4.0 * (2.0 * s->rows * s->k + s->k);
}

static void build_layernorm(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    // Some rows are padded, some are two stretches of a widened model.
    uint32_t stretch = s->k % 2 == 0 && s->rows % 2 == 0 ? s->k / 2 : s->k;
    uint32_t counted = stretch > 20 && s->rows % 3 == 0 ? stretch - 17 : stretch, all = counted * (s->k / stretch);
    float *x = (float *)qm_case_add(b, (size_t)s->rows * s->k, false);
    float *gain = (float *)qm_case_add(b, s->k, false), *bias = (float *)qm_case_add(b, s->k, false);
    for (uint32_t c = 0; gain && bias && c < s->k; ++c) {
        bool counts = c % stretch < counted;
        gain[c] = counts ? qm_case_unit(b) * 2.0f : 0.0f;
        bias[c] = counts ? qm_case_unit(b) : 0.0f;
    }
    for (uint32_t row = 0; x && row < s->rows; ++row) {
        float size = row % 4 == 1 ? 0.0f : 1.0f, mean = row % 4 == 2 ? 3.0f : 0.0f;
        for (uint32_t c = 0; c < s->k; ++c)
            x[(size_t)row * s->k + c] = c % stretch < counted ? mean + qm_case_unit(b) * size : 0.0f;
        if (row % 4 == 3)
            x[(size_t)row * s->k + qm_random_below(&b->random, counted)] = 1e4f;
    }
    qm_case_add(b, (size_t)s->rows * s->k, true);
    double *bounds = qm_case_absolute(b);
    for (uint32_t row = 0; x && gain && bias && bounds && row < s->rows; ++row) {
        const float *values = x + (size_t)row * s->k;
        double sum = 0, magnitudes = 0, squares = 0, n = s->k / 4 + 16;
        for (uint32_t c = 0; c < s->k; ++c) {
            sum += (double)values[c];
            magnitudes += fabs((double)values[c]);
        }
        for (uint32_t c = 0; c < s->k; ++c)
            if (c % stretch < counted)
                squares += ((double)values[c] - sum / all) * ((double)values[c] - sum / all);
        double deviation = sqrt(squares / all + 1e-5);
        for (uint32_t c = 0; c < s->k; ++c) {
            double from_mean = fabs((double)values[c] - sum / all), by = fabs((double)gain[c]) / deviation;
            double size = by * from_mean + 2 * fabs((double)bias[c]);
            bounds[(size_t)row * s->k + c] =
                0x1p-24 * (by * (4 * n * magnitudes / all + n * from_mean) + 4 * size) + 0x1p-120;
        }
    }
    struct qm_layernorm_parameters p = {s->rows, s->k, stretch, counted, 1.0f / (float)all, 1e-5f};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->bytes = 4.0 * (2.0 * s->rows * s->k + 2.0 * s->k);
}

static void build_rope(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    uint32_t heads = s->n, head = qm_kernel_definition(b->variant, "QM_HEAD", 64),
             positions = s->position + s->tokens_per_sequence;
    float *table = (float *)qm_case_add(b, (size_t)positions * head, false);
    for (size_t i = 0; table && i < (size_t)positions * head; ++i)
        table[i] = qm_case_unit(b);
    size_t count = (size_t)s->rows * heads * head;
    float *x = (float *)qm_case_add(b, count, true);
    double *bounds = qm_case_absolute(b);
    for (size_t i = 0; !b->c->failed && i < count; ++i)
        x[i] = qm_case_unit(b) * (i % 41 == 0 ? 100.0f : 1.0f);
    for (size_t i = 0; !b->c->failed && i < count; ++i)
        bounds[i] =
            0x1p-22 * (fabs((double)x[i]) + fabs((double)x[i % head < head / 2 ? i + head / 2 : i - head / 2])) +
            0x1p-120;
    struct qm_rope_parameters p = {s->rows, heads, s->tokens_per_sequence};
    qm_case_parameters(b, &p, sizeof(p));
    qm_case_place(b, 0, s->position);
    b->c->bytes = 8.0 * (double)count;
}

// In two rows where the count is even, whose gates and ups lie side by side; else gates, then ups.
static void build_swiglu(struct qm_case_builder *b)
{
    static const float edges[] = {0.0f, -0.0f, 80.0f, -80.0f, 88.5f, -88.5f, 1e4f, -1e4f, -87.9f, 1e-20f};
    uint32_t count = b->shape->k, width = count % 2 ? count : count / 2;
    struct qm_swiglu_parameters p = {count, width, count % 2 ? width : 2 * width + 1, width};
    float *x = (float *)qm_case_add(b, 2 * (size_t)count + 2, false);
    qm_case_add(b, count, true);
    double *bounds = qm_case_absolute(b);
    bool is_gelu = strcmp(b->c->name, "swiglu") != 0, is_ungated = strcmp(b->c->name, "gelu") == 0;
    b->c->buffers[1].relative = is_gelu ? 0 : 0x1p-20;
    for (uint32_t i = 0; !b->c->failed && i < count; ++i) {
        float *gate = x + (size_t)(i / width) * p.row_stride + i % width, *up = gate + p.up_from;
        *gate = i % 64 < sizeof(edges) / sizeof(edges[0]) ? edges[i % 64] : qm_case_unit(b) * 20.0f;
        *up = qm_case_unit(b) * 3.0f;
        double product = fabs((double)*gate * (is_ungated ? 1.0 : (double)*up));
        bounds[i] = is_gelu ? 0x1p-20 * product + 0x1p-120 : 0x1p-100 * (1.0 + product);
    }
    qm_case_parameters(b, &p, sizeof(p));
    b->c->bytes = 12.0 * count;
}

static void build_residual(struct qm_case_builder *b)
{
    uint32_t count = b->shape->k;
    float *x = (float *)qm_case_add(b, count, true);
    float *y = (float *)qm_case_add(b, count, false);
    for (uint32_t i = 0; !b->c->failed && i < count; ++i) {
        x[i] = qm_case_unit(b);
        y[i] = qm_case_unit(b) * (i % 5 == 0 ? 0x1p-22f : 1.0f);
    }
    b->c->same_bits = true;
    b->c->parameters[0] = count;
    b->c->bytes = 12.0 * count;
}

static void build_softcap(struct qm_case_builder *b)
{
    static const float edges[] = {0.0f, -0.0f, 1e-20f, -1e-20f, 1e4f, -1e4f, 3e38f, -3e38f, 1200.0f, -1200.0f};
    uint32_t count = b->shape->k;
    float *x = (float *)qm_case_add(b, count, true);
    const float cap = count % 2 ? 30.0f : 3.7f;
    for (uint32_t i = 0; x && i < count; ++i)
        x[i] = i % 64 < sizeof(edges) / sizeof(edges[0]) ? edges[i % 64] : qm_case_unit(b) * 2.0f * cap;
    double *bounds = qm_case_absolute(b);
    for (uint32_t i = 0; bounds && i < count; ++i)
        bounds[i] = 0x1p-20 * (double)cap;
    struct qm_softcap_parameters p = {count, cap, 1.0f / cap};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->bytes = 8.0 * count;
}

static void build_bias(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    float *x = (float *)qm_case_add(b, (size_t)s->rows * s->k, true);
    float *y = (float *)qm_case_add(b, s->k, false);
    for (size_t i = 0; x && i < (size_t)s->rows * s->k; ++i)
        x[i] = qm_case_unit(b);
    for (uint32_t i = 0; y && i < s->k; ++i)
        y[i] = qm_case_unit(b) * (i % 5 == 0 ? 0x1p-22f : 1.0f);
    struct qm_bias_parameters p = {s->rows * s->k, s->k};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->same_bits = true;
    b->c->bytes = 4.0 * (2.0 * s->rows * s->k + s->k);
}

// Logits: between -20 and 20; some rows all alike, some far from zero, some with the largest value twice.
static float *add_logits(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    float *logits = (float *)qm_case_add(b, (size_t)s->rows * s->n, false);
    for (uint32_t row = 0; logits && row < s->rows; ++row) {
        float *to = logits + (size_t)row * s->n;
        for (uint32_t v = 0; v < s->n; ++v)
            to[v] = row % 5 == 1 ? -3.25f : qm_case_unit(b) * 20.0f + (row % 5 == 2 ? -1000.0f : 0.0f);
        if (row % 5 == 3) {
            to[qm_random_below(&b->random, s->n)] = 30.0f;
            to[qm_random_below(&b->random, s->n)] = 30.0f;
        }
    }
    return logits;
}

static void build_log_softmax(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    const float *logits = add_logits(b);
    uint32_t stride = add_tokens(b, s->n);
    qm_case_add(b, s->rows, true);
    double *bounds = qm_case_absolute(b);
    for (uint32_t row = 0; !b->c->failed && row < s->rows; ++row) {
        double maximum = (double)logits[(size_t)row * s->n];
        for (uint32_t v = 1; v < s->n; ++v) {
            double value = (double)logits[(size_t)row * s->n + v];
            maximum = value > maximum ? value : maximum;
        }
        bounds[row] = 0x1p-20 * (fabs(maximum) + s->n * 0x1p-4 + 16);
    }
    struct qm_log_softmax_parameters p = {s->rows, s->n, s->tokens_per_sequence, stride};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->bytes = 4.0 * s->rows * (s->n + 2.0);
}

static void build_argmax(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    add_logits(b);
    qm_case_add(b, s->rows, true);
    struct qm_argmax_parameters p = {s->rows, s->n};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->same_bits = true;
    b->c->bytes = 4.0 * s->rows * (s->n + 1.0);
}

static void build_checksum(struct qm_case_builder *b)
{
    const struct qm_case_shape *s = b->shape;
    uint32_t slot = 2;
    qm_case_add(b, (size_t)s->rows * s->n, false); // any bits
    qm_case_add(b, (size_t)s->rows * (slot + 2), true);
    struct qm_checksum_parameters p = {s->rows, s->n};
    qm_case_parameters(b, &p, sizeof(p));
    b->c->step[2] = slot;
    b->c->same_bits = true;
    b->c->bytes = 4.0 * s->rows * (s->n + 1.0);
}

static void build_advance(struct qm_case_builder *b)
{
    uint32_t *steps = qm_case_add(b, QM_STEP_WORDS, true);
    for (uint32_t i = 0; steps && i < QM_STEP_WORDS; ++i)
        steps[i] = qm_random_u32(&b->random);
    for (uint32_t i = 0; i < 3; ++i)
        b->c->parameters[i] = b->shape->rows + 7 * i;
    b->c->same_bits = true;
}

static void build_copy(struct qm_case_builder *b)
{
    uint32_t count = b->shape->k;
    qm_case_add(b, count, false);
    qm_case_add(b, count, true);
    b->c->parameters[0] = count;
    b->c->same_bits = true;
    b->c->bytes = 8.0 * count;
}

// What a kernel takes of a shape; the rest of it is ignored, and not part of the seed.
enum {
    ROWS = 1,
    N = 2,
    K = 4,
    KV_HEADS = 8,
    POSITION = 16,
    TOKENS = 32
};

static const struct builder {
    const char *kernel;
    void (*build)(struct qm_case_builder *b);
    unsigned uses;
    const char *n, *k; // what they are called
} builders[] = {
    {"matmul", qm_case_product, ROWS | N | K, "n", "k"},
    {"matvec", qm_case_product, ROWS | N | K, "n", "k"},
    {"dequantize", qm_case_dequantize, N | K, "n", "k"},
    {"activations", qm_case_activations, ROWS | K, "", "width"},
    {"norm_activations", qm_case_norm_activations, ROWS | K, "", "width"},
    {"swiglu_activations", qm_case_swiglu_activations, ROWS | K, "", "width"},
    {"kv_write", qm_case_kv_write, ROWS | KV_HEADS | POSITION | TOKENS, "", ""},
    {"kv_block", qm_case_kv_block, ROWS | KV_HEADS | POSITION | TOKENS, "", ""},
    {"attention", qm_case_attention, ROWS | N | KV_HEADS | POSITION | TOKENS, "heads", ""},
    {"embedding", build_embedding, ROWS | N | K | POSITION | TOKENS, "vocabulary", "width"},
    {"rmsnorm", build_rmsnorm, ROWS | K, "", "width"},
    {"layernorm", build_layernorm, ROWS | K, "", "width"},
    {"rope", build_rope, ROWS | N | POSITION | TOKENS, "heads", ""},
    {"swiglu", build_swiglu, K, "", "count"},
    {"residual", build_residual, K, "", "count"},
    {"softcap", build_softcap, K, "", "count"},
    {"bias", build_bias, ROWS | K, "", "width"},
    {"log_softmax", build_log_softmax, ROWS | N | POSITION | TOKENS, "vocabulary", ""},
    {"argmax", build_argmax, ROWS | N, "vocabulary", ""},
    {"checksum", build_checksum, ROWS | N, "vocabulary", ""},
    {"advance", build_advance, ROWS, "", ""},
    {"copy", build_copy, K, "", "words"},
};

static struct qm_case_shape used_of(const struct qm_case_shape *shape, unsigned uses)
{
    struct qm_case_shape s = {.rows = uses & ROWS ? shape->rows : 1,
                              .n = uses & N ? shape->n : 1,
                              .k = uses & K ? shape->k : 1,
                              .kv_heads = uses & KV_HEADS ? shape->kv_heads : 1,
                              .position = uses & POSITION ? shape->position : 0};
    s.is_whole = shape->is_whole;
    s.tokens_per_sequence = uses & TOKENS && shape->tokens_per_sequence ? shape->tokens_per_sequence : s.rows;
    return s;
}

static void append(char *text, size_t room, const char *name, uint32_t value)
{
    size_t length = strlen(text);
    snprintf(text + length, room - length, "%s%s %u", length ? ", " : "", name, value);
}

static void write_shape(char *text, size_t room, const struct builder *builder, const struct qm_case_shape *s)
{
    text[0] = '\0';
    if (builder->uses & ROWS)
        append(text, room, "rows", s->rows);
    if (builder->uses & N)
        append(text, room, builder->n, s->n);
    if (builder->uses & K)
        append(text, room, builder->k, s->k);
    if (builder->uses & KV_HEADS)
        append(text, room, "kv heads", s->kv_heads);
    if (builder->uses & POSITION)
        append(text, room, "position", s->position);
    if (s->tokens_per_sequence != s->rows)
        append(text, room, "a sequence", s->tokens_per_sequence);
}

static enum qm_status check_shape(const char *name, const struct qm_case_shape *s)
{
    bool has_weights = strncmp(name, "mat", 3) == 0 || strncmp(name, "dequantize", 10) == 0;
    bool has_vectors = strstr(name, "activations-") != NULL || strcmp(name, "copy") == 0;
    uint32_t multiple = has_weights || has_vectors           ? qm_case_k_multiple(name)
                        : strncmp(name, "embedding", 9) == 0 ? 2
                                                             : 1;
    if (s->k % multiple != 0 || s->k == 0 || s->rows == 0 || s->n == 0 || s->kv_heads == 0 ||
        (s->n % s->kv_heads != 0 && strncmp(name, "attention", 9) == 0))
        return QM_FAIL(QM_INVALID, "%s has no case of rows %u, n %u, k %u; k must be a multiple of %u", name, s->rows,
                       s->n, s->k, multiple);
    if ((s->rows - 1) / s->tokens_per_sequence >= QM_PASS_SEQUENCES_MAX)
        return QM_FAIL(QM_INVALID, "%s has no case of more than %d sequences; %u rows are of %u tokens a sequence",
                       name, QM_PASS_SEQUENCES_MAX, s->rows, s->tokens_per_sequence);
    return QM_OK;
}

enum qm_status qm_kernel_case_create(const char *name, const char *tile, const struct qm_case_shape *shape,
                                     enum qm_case_pattern pattern, struct qm_kernel_case **out)
{
    *out = NULL;
    const struct qm_kernel_variant *variant = qm_kernel_find(name, tile);
    const struct builder *builder = NULL;
    for (size_t i = 0; variant && i < sizeof(builders) / sizeof(builders[0]); ++i) {
        if (strcmp(builders[i].kernel, variant->kernel) == 0)
            builder = &builders[i];
    }
    if (!builder)
        return QM_FAIL(QM_INVALID, "no check for a kernel '%s' is known", name);
    const struct qm_case_shape given = used_of(shape, builder->uses);
    QM_TRY(check_shape(name, &given));
    struct qm_kernel_case *c = calloc(1, sizeof(*c));
    if (!c)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a case of kernel %s", name);
    snprintf(c->name, sizeof(c->name), "%s", name);
    c->pattern = pattern;
    struct qm_case_builder b = {.c = c, .shape = &given, .variant = variant};
    write_shape(c->shape, sizeof(c->shape), builder, &given);
    // The name and the sizes are the seed: a case alone is the same as within a whole check.
    uint64_t seed = (uint64_t)pattern;
    for (const char *at = name; *at; ++at)
        seed = qm_random_mix(seed ^ (uint64_t)(unsigned char)*at);
    for (const char *at = c->shape; *at; ++at)
        seed = qm_random_mix(seed ^ (uint64_t)(unsigned char)*at);
    qm_random_seed(&b.random, seed, 0);
    builder->build(&b);
    if (c->failed) {
        qm_kernel_case_destroy(&c);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the data of kernel %s, %u rows", name, shape->rows);
    }
    *out = c;
    return QM_OK;
}

void qm_kernel_case_destroy(struct qm_kernel_case **c)
{
    if (!*c)
        return;
    for (uint32_t i = 0; i < (*c)->buffer_count; ++i) {
        free((*c)->buffers[i].words);
        free((*c)->buffers[i].absolute);
        free((*c)->buffers[i].near_tie);
    }
    free(*c);
    *c = NULL;
}
