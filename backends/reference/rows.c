// The kernels that work on rows and single elements, and the table of all.
#include <math.h> // sqrt, which IEEE 754 rounds correctly; nothing else
#include <stdlib.h>
#include <string.h>

#include "backends/reference/oracle.h"
#include "base/numeric.h"
#include "kernel_arguments.h"
#include "sys/parallel.h"

bool qm_oracle_has(const struct qm_kernel_variant *variant, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = variant->definitions; (at = strstr(at, name)) != NULL; at += length) {
        if (at[length] == '\0' || at[length] == ' ' || at[length] == '=')
            return true;
    }
    return false;
}

uint32_t qm_oracle_head(const struct qm_kernel_variant *variant)
{
    return qm_oracle_has(variant, "QM_HEAD=256") ? 256 : qm_oracle_has(variant, "QM_HEAD=128") ? 128 : 64;
}

struct qm_oracle_place qm_oracle_sequence(const struct qm_oracle_call *call, uint32_t s)
{
    struct qm_oracle_place place = {.sequence = call->step[1] + s, .position = call->step[0]};
    if (s < QM_PASS_SEQUENCES_MAX) {
        const uint32_t *offsets = call->step + QM_STEP_HEAD_WORDS + 2 * (size_t)s;
        place.sequence += offsets[0];
        place.position += offsets[1];
    }
    return place;
}

struct qm_oracle_place qm_oracle_row(const struct qm_oracle_call *call, uint32_t row, uint32_t tokens_per_sequence)
{
    struct qm_oracle_place place = qm_oracle_sequence(call, row / tokens_per_sequence);
    place.position += row % tokens_per_sequence;
    return place;
}

static uint32_t token_at(const uint32_t *tokens, const struct qm_oracle_call *call, uint32_t row,
                         uint32_t tokens_per_sequence, uint32_t token_stride, uint32_t ahead)
{
    struct qm_oracle_place place = qm_oracle_row(call, row, tokens_per_sequence);
    return tokens[(size_t)place.sequence * token_stride + place.position + ahead];
}

static enum qm_status oracle_embedding(const struct qm_oracle_call *call)
{
    struct qm_embedding_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const uint32_t *table = call->buffers[1];
    float *result = call->buffers[2];
    bool is_f32 = qm_oracle_has(call->variant, "QM_WEIGHT_F32");
    bool is_of_positions = qm_oracle_has(call->variant, "QM_POSITIONS");
    for (uint32_t row = 0; row < p.rows; ++row) {
        uint32_t token = is_of_positions
                             ? qm_oracle_row(call, row, p.tokens_per_sequence).position
                             : token_at(call->buffers[0], call, row, p.tokens_per_sequence, p.token_stride, 0);
        if (token < p.first || token - p.first >= p.count) // another dispatch's
            continue;
        for (uint32_t c = 0; c < p.width; ++c) {
            size_t at = (size_t)(token - p.first) * p.width + c;
            float value = is_f32 ? qm_float_from_bits(table[at])
                                 : qm_float_from_half((uint16_t)(table[at / 2] >> (16 * (at % 2))));
            float *to = &result[(size_t)row * p.width + c];
            *to = (float)(is_of_positions ? (double)*to + (double)value : (double)value * (double)p.multiplier);
        }
    }
    return QM_OK;
}

// One row; `count` values of it count, for rows may be padded with zeros.
static void norm_row(const float *x, const float *gain, uint32_t width, double count, float epsilon, float *result)
{
    double sum = 0;
    for (uint32_t c = 0; c < width; ++c)
        sum += (double)x[c] * (double)x[c];
    double factor = 1.0 / sqrt(sum / count + (double)epsilon);
    for (uint32_t c = 0; c < width; ++c)
        result[c] = (float)((double)x[c] * factor * (double)gain[c]);
}

// The parameter is the float next to 1 / count.
static double count_of(float inverse_width)
{
    return qm_round_even(1.0 / (double)inverse_width);
}

static enum qm_status oracle_rmsnorm(const struct qm_oracle_call *call)
{
    struct qm_rmsnorm_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const float *x = call->buffers[0];
    float *result = call->buffers[2];
    for (size_t row = 0; row < p.rows; ++row)
        norm_row(x + row * p.width, call->buffers[1], p.width, count_of(p.inverse_width), p.epsilon,
                 result + row * p.width);
    return QM_OK;
}

static enum qm_status oracle_layernorm(const struct qm_oracle_call *call)
{
    struct qm_layernorm_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const float *gain = call->buffers[1], *bias = call->buffers[2];
    const double count = count_of(p.inverse_count);
    for (size_t row = 0; row < p.rows; ++row) {
        const float *x = (const float *)call->buffers[0] + row * p.width;
        float *result = (float *)call->buffers[3] + row * p.width;
        double sum = 0, squares = 0;
        for (uint32_t c = 0; c < p.width; ++c)
            sum += c % p.stretch < p.counted ? (double)x[c] : 0;
        for (uint32_t c = 0; c < p.width; ++c) {
            double from_mean = (double)x[c] - sum / count;
            squares += c % p.stretch < p.counted ? from_mean * from_mean : 0;
        }
        double deviation = sqrt(squares / count + (double)p.epsilon);
        for (uint32_t c = 0; c < p.width; ++c)
            result[c] = (float)(((double)x[c] - sum / count) / deviation * (double)gain[c] + (double)bias[c]);
    }
    return QM_OK;
}

// The E4M3FN code whose value is nearest to |value|, ties to the even code, saturating.
static uint32_t nearest_e4m3(double value)
{
    double magnitude = value < 0 ? -value : value;
    uint32_t best = 0;
    for (uint32_t code = 1; code <= 0x7e; ++code) {
        double here = qm_oracle_small_float(code, 4, 3) - magnitude,
               there = magnitude - qm_oracle_small_float(best, 4, 3);
        here = here < 0 ? -here : here;
        if (here < there || (!(here > there) && code % 2 == 0))
            best = code;
    }
    return best;
}

static uint32_t nearest_integer(double value, int largest)
{
    return (uint32_t)(int)qm_round_even(value > largest ? largest : value < -largest ? -largest : value);
}

// Where rows become what products read.
struct conversion {
    uint32_t rows, width, is_static, shift;
    const float *static_scales;
    uint32_t *codes;
    float *scales;
};

static void convert_rows(const struct qm_kernel_variant *variant, const struct conversion *to, const float *x)
{
    if (to->width == 0) // no caller has such rows
        return;
    bool is_f16 = qm_oracle_has(variant, "QM_ACTIVATION_F16");
    bool is_bf16 = qm_oracle_has(variant, "QM_ACTIVATION_BF16");
    bool is_f8 = qm_oracle_has(variant, "QM_ACTIVATION_F8");
    bool is_a4 = qm_oracle_has(variant, "QM_ACTIVATION_A4");
    bool is_grouped = qm_oracle_has(variant, "QM_ACTIVATION_GROUPS");
    uint32_t bits = is_f16 || is_bf16 ? 16 : is_a4 ? 4 : 8, per = 32 / bits;
    uint32_t width = is_grouped ? 32u << to->shift : to->width, groups = to->width / width;
    float inverse_largest = qm_float_from_bits(is_f8 ? 0x3b124927u : is_a4 ? 0x3e124927u : 0x3c010206u);
    memset(to->codes, 0, (size_t)to->rows * to->width / per * sizeof(*to->codes));
    for (uint32_t item = 0, group = 0; item < to->rows * groups; ++item, group = group + 1 < groups ? group + 1 : 0) {
        const float *from = x + (size_t)item * width;
        float amax = 0;
        for (uint32_t c = 0; c < width; ++c) {
            float magnitude = from[c] < 0 ? -from[c] : from[c];
            amax = magnitude > amax ? magnitude : amax;
        }
        float scale = amax < 0x1p-100f ? 0.0f : amax * inverse_largest;
        if (to->is_static)
            scale = to->static_scales[group];
        to->scales[item] = bits == 16 ? 1.0f : scale;
        for (uint32_t c = 0; c < width; ++c) {
            size_t at = (size_t)item * width + c;
            double scaled = scale == 0.0f ? 0.0 : (double)from[c] / (double)scale;
            uint32_t value = qm_bits_from_float(from[c]);
            uint32_t code = is_f16    ? qm_half_from_float(from[c])
                            : is_bf16 ? (value + 0x7fffu + (value >> 16 & 1)) >> 16
                            : is_f8   ? nearest_e4m3(scaled) | value >> 31 << 7
                                      : nearest_integer(scaled, is_a4 ? 7 : 127);
            uint32_t mask = bits == 16 ? 0xffffu : (1u << bits) - 1;
            to->codes[at / per] |= (code & mask) << (bits * (at % per));
        }
    }
}

static enum qm_status oracle_activations(const struct qm_oracle_call *call)
{
    struct qm_activations_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const struct conversion to = {p.rows,           p.width,          p.is_static,     p.shift,
                                  call->buffers[3], call->buffers[1], call->buffers[2]};
    convert_rows(call->variant, &to, call->buffers[0]);
    return QM_OK;
}

static float swiglu(float gate, float up)
{
    return (float)((double)gate / (1.0 + qm_exp(-(double)gate)) * (double)up);
}

double qm_oracle_tanh(double x)
{
    double power = qm_exp(x > 40 ? -80 : x < -40 ? -80 : x < 0 ? 2 * x : -2 * x), part = (1 - power) / (1 + power);
    return x < 0 ? -part : part;
}

static float geglu(float gate, float up)
{
    double g = (double)gate, inner = 0.7978845608028653559 * (g + 0.044715 * g * g * g); // sqrt(2 / pi)
    return (float)(g / 2 * (1 + qm_oracle_tanh(inner)) * (double)up);
}

static enum qm_status oracle_norm_activations(const struct qm_oracle_call *call)
{
    struct qm_norm_activations_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const float *x = call->buffers[0], *gain = call->buffers[1];
    const struct conversion to = {p.rows,         p.width,          p.is_static,     p.shift,
                                  gain + p.width, call->buffers[2], call->buffers[3]};
    float *normed = malloc((size_t)p.rows * p.width * sizeof(*normed));
    if (!normed)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %u rows of %u values", p.rows, p.width);
    for (size_t row = 0; row < p.rows; ++row)
        norm_row(x + row * p.width, gain, p.width, count_of(p.inverse_width), p.epsilon, normed + row * p.width);
    convert_rows(call->variant, &to, normed);
    free(normed);
    return QM_OK;
}

static enum qm_status oracle_swiglu_activations(const struct qm_oracle_call *call)
{
    struct qm_swiglu_activations_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    float *gate = call->buffers[0], *up = gate + p.up_from, *gated = gate + p.gated_from;
    const struct conversion to = {p.rows,           p.width,          p.is_static,     p.shift,
                                  call->buffers[3], call->buffers[1], call->buffers[2]};
    for (size_t row = 0; row < p.rows; ++row)
        for (uint32_t c = 0; c < p.width; ++c)
            gated[row * p.width + c] = swiglu(gate[row * p.row_stride + c], up[row * p.row_stride + c]);
    convert_rows(call->variant, &to, gated);
    return QM_OK;
}

void qm_oracle_turn(const float *angles, uint32_t size, const float *values, float *to)
{
    uint32_t half = size / 2;
    for (uint32_t i = 0; i < half; ++i) {
        double c = (double)angles[i], s = (double)angles[half + i];
        double first = (double)values[i], second = (double)values[i + half];
        to[i] = (float)(first * c - second * s);
        to[i + half] = (float)(second * c + first * s);
    }
}

static enum qm_status oracle_rope(const struct qm_oracle_call *call)
{
    struct qm_rope_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    uint32_t size = qm_oracle_head(call->variant);
    const float *table = call->buffers[0];
    float *x = call->buffers[1];
    for (uint32_t row = 0; row < p.rows; ++row) {
        size_t position = qm_oracle_row(call, row, p.tokens_per_sequence).position;
        for (uint32_t head = 0; head < p.heads; ++head) {
            float *values = x + ((size_t)row * p.heads + head) * size;
            qm_oracle_turn(table + position * size, size, values, values);
        }
    }
    return QM_OK;
}

static enum qm_status oracle_swiglu(const struct qm_oracle_call *call)
{
    struct qm_swiglu_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const float *gate = call->buffers[0], *up = gate + p.up_from;
    float *result = call->buffers[1];
    bool is_gelu = qm_oracle_has(call->variant, "QM_GELU"), is_ungated = qm_oracle_has(call->variant, "QM_UNGATED");
    for (uint32_t i = 0; i < p.count; ++i) {
        size_t at = (size_t)(i / p.width) * p.row_stride + i % p.width;
        result[i] = (is_gelu ? geglu : swiglu)(gate[at], is_ungated ? 1 : up[at]);
    }
    return QM_OK;
}

static enum qm_status oracle_residual(const struct qm_oracle_call *call)
{
    float *x = call->buffers[0];
    const float *y = call->buffers[1];
    for (uint32_t i = 0; i < call->parameters[0]; ++i)
        x[i] = (float)((double)x[i] + (double)y[i]);
    return QM_OK;
}

static enum qm_status oracle_bias(const struct qm_oracle_call *call)
{
    struct qm_bias_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    float *x = call->buffers[0];
    const float *bias = call->buffers[1];
    for (uint32_t i = 0; i < p.count; ++i)
        x[i] = (float)((double)x[i] + (double)bias[i % p.width]);
    return QM_OK;
}

static enum qm_status oracle_softcap(const struct qm_oracle_call *call)
{
    struct qm_softcap_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    float *x = call->buffers[0];
    for (uint32_t i = 0; i < p.count; ++i)
        x[i] = (float)((double)p.cap * qm_oracle_tanh((double)x[i] / (double)p.cap));
    return QM_OK;
}

static enum qm_status oracle_log_softmax(const struct qm_oracle_call *call)
{
    struct qm_log_softmax_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const float *logits = call->buffers[0];
    float *result = call->buffers[2];
    for (uint32_t row = 0; row < p.rows; ++row) {
        const float *from = logits + (size_t)row * p.vocabulary;
        double maximum = (double)from[0], sum = 0;
        for (uint32_t v = 1; v < p.vocabulary; ++v)
            maximum = (double)from[v] > maximum ? (double)from[v] : maximum;
        for (uint32_t v = 0; v < p.vocabulary; ++v)
            sum += qm_exp((double)from[v] - maximum);
        uint32_t target = token_at(call->buffers[1], call, row, p.tokens_per_sequence, p.token_stride, 1);
        result[row] = (float)((double)from[target] - maximum - qm_log(sum));
    }
    return QM_OK;
}

static enum qm_status oracle_argmax(const struct qm_oracle_call *call)
{
    struct qm_argmax_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const float *logits = call->buffers[0];
    uint32_t *result = call->buffers[1];
    for (uint32_t row = 0; row < p.rows; ++row) {
        uint32_t best = 0;
        for (uint32_t v = 1; v < p.vocabulary; ++v) {
            if (logits[(size_t)row * p.vocabulary + v] > logits[(size_t)row * p.vocabulary + best])
                best = v;
        }
        result[row] = best;
    }
    return QM_OK;
}

static enum qm_status oracle_checksum(const struct qm_oracle_call *call)
{
    struct qm_checksum_parameters p;
    memcpy(&p, call->parameters, sizeof(p));
    const uint32_t *logits = call->buffers[0];
    uint32_t *result = call->buffers[1];
    for (uint32_t row = 0; row < p.rows; ++row) {
        uint32_t sum = 0;
        for (uint32_t v = 0; v < p.vocabulary; ++v)
            sum += (logits[(size_t)row * p.vocabulary + v] ^ (v * 2654435769u)) * 2246822507u;
        result[call->step[2] * p.rows + row] = sum;
    }
    return QM_OK;
}

static enum qm_status oracle_advance(const struct qm_oracle_call *call)
{
    uint32_t *steps = call->buffers[0];
    for (int i = 0; i < 3; ++i)
        steps[i] += call->parameters[i];
    return QM_OK;
}

static enum qm_status oracle_copy(const struct qm_oracle_call *call)
{
    memcpy(call->buffers[1], call->buffers[0], (size_t)call->parameters[0] * 4);
    return QM_OK;
}

qm_oracle_function qm_oracle_find(const char *kernel)
{
    static const struct {
        const char *kernel;
        qm_oracle_function function;
    } table[] = {
        {"embedding", oracle_embedding},
        {"rmsnorm", oracle_rmsnorm},
        {"layernorm", oracle_layernorm},
        {"rope", oracle_rope},
        {"activations", oracle_activations},
        {"norm_activations", oracle_norm_activations},
        {"swiglu_activations", oracle_swiglu_activations},
        {"dequantize", qm_oracle_dequantize},
        {"matmul", qm_oracle_product},
        {"matvec", qm_oracle_product},
        {"kv_write", qm_oracle_kv_write},
        {"kv_block", qm_oracle_kv_block},
        {"attention", qm_oracle_attention},
        {"swiglu", oracle_swiglu},
        {"residual", oracle_residual},
        {"bias", oracle_bias},
        {"softcap", oracle_softcap},
        {"log_softmax", oracle_log_softmax},
        {"argmax", oracle_argmax},
        {"checksum", oracle_checksum},
        {"advance", oracle_advance},
        {"copy", oracle_copy},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); ++i) {
        if (strcmp(table[i].kernel, kernel) == 0)
            return table[i].function;
    }
    return NULL;
}
