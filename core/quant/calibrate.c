#include "quant/calibrate.h"
#include "base/numeric.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BINS QM_CALIBRATION_BINS
#define BINS_LOG2 11
#define EXPONENT_MIN (-24)
#define LARGEST_CODE 127
#define AMAX_MIN 0x1p-100f // below: scale 0, as the kernels do (kernels/activations.h)

// The percentile as a fraction, so that its test is in whole numbers.
#define PERCENTILE_PART 9999u
#define PERCENTILE_WHOLE 10000u

_Static_assert(BINS == 1 << BINS_LOG2, "bins are a power of two");

struct collector {
    uint64_t count;
    float amax;
    int exponent; // bins are over [0, 2^exponent)
    uint64_t bins[BINS];
};

struct qm_calibration {
    uint32_t layers;
    size_t count;
    struct collector collectors[];
};

static const struct {
    const char *name;
} inputs[QM_INPUT_COUNT] = {
    [QM_INPUT_ATTENTION] = {"attention"},
    [QM_INPUT_ATTENTION_OUTPUT] = {"attention_output"},
    [QM_INPUT_MLP] = {"mlp"},
    [QM_INPUT_DOWN] = {"down"},
    [QM_INPUT_HEAD] = {"head"},
};

const char *qm_input_name(enum qm_input input)
{
    return inputs[input].name;
}

enum qm_input qm_input_of_role(enum qm_role role)
{
    switch (role) {
    case QM_ROLE_O:
        return QM_INPUT_ATTENTION_OUTPUT;
    case QM_ROLE_GATE:
    case QM_ROLE_UP:
        return QM_INPUT_MLP;
    case QM_ROLE_DOWN:
        return QM_INPUT_DOWN;
    case QM_ROLE_HEAD:
        return QM_INPUT_HEAD;
    default:
        return QM_INPUT_ATTENTION;
    }
}

size_t qm_input_index(uint32_t layers, enum qm_input input, uint32_t layer)
{
    return input == QM_INPUT_HEAD ? 4 * (size_t)layers : 4 * (size_t)layer + (size_t)input;
}

struct qm_calibration *qm_calibration_new(uint32_t layers)
{
    size_t count = 4 * (size_t)layers + 1;
    struct qm_calibration *calibration = calloc(1, sizeof(*calibration) + count * sizeof(struct collector));
    if (!calibration)
        return NULL;
    calibration->layers = layers;
    calibration->count = count;
    for (size_t i = 0; i < count; i++)
        calibration->collectors[i].exponent = EXPONENT_MIN;
    return calibration;
}

void qm_calibration_destroy(struct qm_calibration **calibration)
{
    free(*calibration);
    *calibration = NULL;
}

static double power_of_two(int exponent) // -1022 <= exponent <= 1023
{
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

// Merges bins in pairs until the range is [0, 2^exponent).
static void grow(struct collector *collector, int exponent)
{
    for (; collector->exponent < exponent; collector->exponent++) {
        for (int i = 0; i < BINS / 2; i++)
            collector->bins[i] = collector->bins[2 * i] + collector->bins[2 * i + 1];
        memset(collector->bins + BINS / 2, 0, BINS / 2 * sizeof(collector->bins[0]));
    }
}

// The smallest e, at least EXPONENT_MIN, with amax < 2^e.
static int exponent_for(float amax)
{
    int biased = (int)(qm_bits_from_float(amax) >> 23);
    int exponent = biased - 126; // amax < 2^(biased - 126), and not below half of that unless amax is subnormal
    return exponent > EXPONENT_MIN ? exponent : EXPONENT_MIN;
}

enum qm_status qm_calibration_observe(struct qm_calibration *calibration, uint32_t layer, enum qm_input input,
                                      const float *values, size_t count)
{
    if (input != QM_INPUT_HEAD && layer >= calibration->layers)
        return QM_FAIL(QM_INVALID, "calibration: layer %" PRIu32 "; the model has %" PRIu32, layer,
                       calibration->layers);
    struct collector *collector = &calibration->collectors[qm_input_index(calibration->layers, input, layer)];
    uint32_t most = qm_bits_from_float(collector->amax);
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = qm_bits_from_float(values[i]) & 0x7fffffffu;
        if (bits >= 0x7f800000u)
            return QM_FAIL(QM_INVALID,
                           "calibration: layer %" PRIu32
                           ", input '%s': activation %zu is %s; the model cannot be calibrated "
                           "on this set",
                           layer, inputs[input].name, i, bits > 0x7f800000u ? "not a number" : "infinite");
        most = bits > most ? bits : most;
    }
    collector->amax = qm_float_from_bits(most);
    collector->count += count;
    grow(collector, exponent_for(collector->amax));
    double bins_per_unit = power_of_two(BINS_LOG2 - collector->exponent); // exact, as is the product
    for (size_t i = 0; i < count; i++) {
        double magnitude = (double)qm_float_from_bits(qm_bits_from_float(values[i]) & 0x7fffffffu);
        collector->bins[(uint32_t)(magnitude * bins_per_unit)]++;
    }
    return QM_OK;
}

enum qm_status qm_calibration_merge(struct qm_calibration *into, const struct qm_calibration *from)
{
    if (into->layers != from->layers)
        return QM_FAIL(QM_INVALID,
                       "calibration: collectors for %" PRIu32 " and %" PRIu32 " layers; merge those of one model",
                       into->layers, from->layers);
    for (size_t i = 0; i < into->count; i++) {
        struct collector *to = &into->collectors[i], other = from->collectors[i];
        grow(to, other.exponent);
        grow(&other, to->exponent);
        for (int bin = 0; bin < BINS; bin++)
            to->bins[bin] += other.bins[bin];
        to->count += other.count;
        to->amax = other.amax > to->amax ? other.amax : to->amax;
    }
    return QM_OK;
}

const uint64_t *qm_calibration_histogram(const struct qm_calibration *calibration, uint32_t layer, enum qm_input input,
                                         int *exponent)
{
    const struct collector *collector = &calibration->collectors[qm_input_index(calibration->layers, input, layer)];
    *exponent = collector->exponent;
    return collector->bins;
}

// Whether `part` of `count` is at least the percentile; without overflow for any number of values.
static bool is_reached(uint64_t part, uint64_t count)
{
    return (unsigned __int128)part * PERCENTILE_WHOLE >= (unsigned __int128)count * PERCENTILE_PART;
}

static void find_percentile(const struct collector *collector, struct qm_activation_scale *out)
{
    uint64_t below = 0;
    int bin = 0;
    for (; bin < BINS; bin++) {
        below += collector->bins[bin];
        if (is_reached(below, collector->count))
            break;
    }
    // 12 bits times a power of two: a float exactly.
    float edge = (float)((double)(bin + 1) * power_of_two(collector->exponent - BINS_LOG2));
    out->threshold = out->amax;
    if (edge < out->amax) {
        out->threshold = edge;
        out->clipped = collector->count - below;
    }
}

static float scale_for(float threshold)
{
    return threshold < AMAX_MIN ? 0 : qm_float_round_up((double)threshold / LARGEST_CODE);
}

static enum qm_status find_scales(const struct qm_calibration *calibration, struct qm_activation_scales *out)
{
    uint64_t count = 0, clipped = 0;
    for (size_t i = 0; i < calibration->count; i++) {
        const struct collector *collector = &calibration->collectors[i];
        struct qm_activation_scale *input = &out->inputs[i];
        if (collector->count == 0)
            return QM_FAIL(
                QM_INVALID,
                "calibration: layer %zu, input '%s': no activation was seen; run the model over the set first", i / 4,
                inputs[i + 1 == calibration->count ? QM_INPUT_HEAD : i % 4].name);
        input->amax = collector->amax;
        input->count = collector->count;
        input->threshold = collector->amax;
        if (out->method == QM_CALIBRATOR_PERCENTILE)
            find_percentile(collector, input);
        input->scale = scale_for(input->threshold);
        count += input->count;
        clipped += input->clipped;
    }
    out->clipped_fraction = (double)clipped / (double)count;
    return QM_OK;
}

enum qm_status qm_calibration_scales(const struct qm_calibration *calibration, enum qm_calibrator method,
                                     const struct qm_calibration_set *set, struct qm_activation_scales **out)
{
    *out = NULL;
    if (method != QM_CALIBRATOR_ABSMAX && method != QM_CALIBRATOR_PERCENTILE)
        return QM_FAIL(QM_INVALID, "calibration: '%s' gives no scales; use absmax or percentile",
                       qm_calibrator_name(method));
    struct qm_activation_scales *scales = calloc(1, sizeof(*scales));
    if (scales)
        scales->inputs = calloc(calibration->count, sizeof(*scales->inputs));
    if (!scales || !scales->inputs) {
        qm_activation_scales_destroy(&scales);
        return QM_FAIL(QM_OUT_OF_MEMORY, "calibration: no memory for %zu scales", calibration->count);
    }
    scales->set = *set;
    scales->method = method;
    scales->layers = calibration->layers;
    scales->count = calibration->count;
    enum qm_status status = find_scales(calibration, scales);
    if (status != QM_OK)
        qm_activation_scales_destroy(&scales);
    *out = scales;
    return status;
}

void qm_activation_scales_destroy(struct qm_activation_scales **scales)
{
    if (*scales)
        free((*scales)->inputs);
    free(*scales);
    *scales = NULL;
}
