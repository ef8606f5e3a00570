#include "quant/calibrate.h"
#include "base/numeric.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGEST_CODE 127
#define AMAX_MIN 0x1p-100f // below: scale 0, as the kernels do (kernels/activations.h)

struct collector {
    struct qm_histogram histogram;
    struct qm_channel_statistics statistics; // empty until rows are observed
    struct qm_histogram *groups;             // [group_count], NULL unless the options ask for them
    size_t group_count;
};

struct qm_calibration {
    struct qm_calibration_options options;
    uint32_t layers;
    size_t count;
    struct qm_channel_statistics (*cached)[QM_CACHED_COUNT]; // [layers], empty until rows are observed
    struct collector collectors[];
};

static const char *const cached_names[QM_CACHED_COUNT] = {
    [QM_CACHED_KEYS] = "keys",
    [QM_CACHED_VALUES] = "values",
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

struct qm_calibration *qm_calibration_new_with(uint32_t layers, const struct qm_calibration_options *options)
{
    size_t count = 4 * (size_t)layers + 1;
    struct qm_calibration *calibration = calloc(1, sizeof(*calibration) + count * sizeof(struct collector));
    if (!calibration)
        return NULL;
    calibration->cached = calloc((size_t)layers + 1, sizeof(*calibration->cached));
    if (!calibration->cached) {
        free(calibration);
        return NULL;
    }
    if (options)
        calibration->options = *options;
    calibration->layers = layers;
    calibration->count = count;
    for (size_t i = 0; i < count; i++)
        qm_histogram_begin(&calibration->collectors[i].histogram);
    return calibration;
}

struct qm_calibration *qm_calibration_new(uint32_t layers)
{
    return qm_calibration_new_with(layers, NULL);
}

void qm_calibration_destroy(struct qm_calibration **calibration)
{
    for (size_t i = 0; *calibration && i < (*calibration)->count; i++) {
        qm_statistics_free(&(*calibration)->collectors[i].statistics);
        free((*calibration)->collectors[i].groups);
    }
    for (uint32_t layer = 0; *calibration && layer < (*calibration)->layers; layer++)
        for (int cached = 0; cached < QM_CACHED_COUNT; cached++)
            qm_statistics_free(&(*calibration)->cached[layer][cached]);
    if (*calibration)
        free((*calibration)->cached);
    free(*calibration);
    *calibration = NULL;
}

// Observing ----------------------------------------------------------------------------------------------------------

static enum qm_status check_values(const struct qm_calibration *calibration, uint32_t layer, bool has_layer,
                                   const char *what, const float *values, size_t count)
{
    if (has_layer && layer >= calibration->layers)
        return QM_FAIL(QM_INVALID, "calibration: layer %" PRIu32 "; the model has %" PRIu32, layer,
                       calibration->layers);
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = qm_bits_from_float(values[i]) & 0x7fffffffu;
        if (bits >= 0x7f800000u)
            return QM_FAIL(QM_INVALID,
                           "calibration: layer %" PRIu32 ", %s: activation %zu is %s; the model cannot be calibrated "
                           "on this set",
                           layer, what, i, bits > 0x7f800000u ? "not a number" : "infinite");
    }
    return QM_OK;
}

static enum qm_status check_input(const struct qm_calibration *calibration, uint32_t layer, enum qm_input input,
                                  const float *values, size_t count)
{
    char what[40];
    snprintf(what, sizeof(what), "input '%s'", inputs[input].name);
    return check_values(calibration, layer, input != QM_INPUT_HEAD, what, values, count);
}

static struct collector *collector_of(struct qm_calibration *calibration, uint32_t layer, enum qm_input input)
{
    return &calibration->collectors[qm_input_index(calibration->layers, input, layer)];
}

enum qm_status qm_calibration_observe(struct qm_calibration *calibration, uint32_t layer, enum qm_input input,
                                      const float *values, size_t count)
{
    QM_TRY(check_input(calibration, layer, input, values, count));
    qm_histogram_add(&collector_of(calibration, layer, input)->histogram, values, 1, count, count);
    return QM_OK;
}

// Sets up what depends on the width; all of it or nothing.
static enum qm_status begin_channels(const struct qm_calibration_options *options, uint32_t width,
                                     struct collector *collector)
{
    if (options->group > 0) {
        size_t count = width / options->group;
        struct qm_histogram *groups = malloc((count > 0 ? count : 1) * sizeof(*groups));
        if (!groups)
            return QM_FAIL(QM_OUT_OF_MEMORY, "calibration: no memory for histograms of %zu groups", count);
        for (size_t g = 0; g < count; g++)
            qm_histogram_begin(&groups[g]);
        collector->groups = groups;
        collector->group_count = count;
    }
    enum qm_status status = qm_statistics_begin(&collector->statistics, width, options->has_products);
    if (status != QM_OK) {
        free(collector->groups);
        collector->groups = NULL;
        collector->group_count = 0;
    }
    return status;
}

// What the threads that fill histograms of groups share.
struct group_rows {
    const float *values;
    size_t rows, width, group;
    struct qm_histogram *groups;
};

static void add_groups(void *context, size_t begin, size_t end)
{
    const struct group_rows *rows = context;
    for (size_t g = begin; g < end; g++)
        qm_histogram_add(&rows->groups[g], rows->values + g * rows->group, rows->rows, rows->group, rows->width);
}

enum qm_status qm_calibration_observe_rows(struct qm_calibration *calibration, uint32_t layer, enum qm_input input,
                                           const float *values, size_t rows, uint32_t width)
{
    uint32_t group = calibration->options.group;
    QM_TRY(check_input(calibration, layer, input, values, rows * width));
    struct collector *collector = collector_of(calibration, layer, input);
    if (group > 0 && width % group != 0)
        return QM_FAIL(QM_INVALID,
                       "calibration: layer %" PRIu32 ", input '%s': groups of %" PRIu32 " do not divide %" PRIu32
                       " channels; use a divisor",
                       layer, inputs[input].name, group, width);
    if (collector->statistics.width == 0)
        QM_TRY(begin_channels(&calibration->options, width, collector));
    if (collector->statistics.width != width)
        return QM_FAIL(QM_INVALID,
                       "calibration: layer %" PRIu32 ", input '%s': %" PRIu32 " channels after rows of %" PRIu32
                       "; one model has one width here",
                       layer, inputs[input].name, width, collector->statistics.width);
    qm_histogram_add(&collector->histogram, values, 1, rows * width, rows * width);
    qm_statistics_add(&collector->statistics, values, rows);
    struct group_rows all = {values, rows, width, group, collector->groups};
    qm_parallel_for(collector->group_count, add_groups, &all);
    return QM_OK;
}

enum qm_status qm_calibration_observe_cached(struct qm_calibration *calibration, uint32_t layer, enum qm_cached cached,
                                             const float *values, size_t rows, uint32_t width)
{
    QM_TRY(check_values(calibration, layer, true, cached_names[cached], values, rows * width));
    struct qm_channel_statistics *statistics = &calibration->cached[layer][cached];
    if (statistics->width == 0)
        QM_TRY(qm_statistics_begin(statistics, width, false));
    if (statistics->width != width)
        return QM_FAIL(QM_INVALID,
                       "calibration: layer %" PRIu32 ", %s: %" PRIu32 " channels after rows of %" PRIu32
                       "; one model has one width here",
                       layer, cached_names[cached], width, statistics->width);
    qm_statistics_add(statistics, values, rows);
    return QM_OK;
}

static enum qm_status merge_cached(struct qm_channel_statistics *into, const struct qm_channel_statistics *from)
{
    if (from->width == 0)
        return QM_OK;
    if (into->width == 0)
        QM_TRY(qm_statistics_begin(into, from->width, false));
    return qm_statistics_merge(into, from);
}

enum qm_status qm_calibration_merge(struct qm_calibration *into, const struct qm_calibration *from)
{
    if (into->layers != from->layers)
        return QM_FAIL(QM_INVALID,
                       "calibration: collectors for %" PRIu32 " and %" PRIu32 " layers; merge those of one model",
                       into->layers, from->layers);
    if (into->options.group != from->options.group || into->options.has_products != from->options.has_products)
        return QM_FAIL(QM_INVALID, "calibration: collectors with different options; collect both alike");
    for (size_t i = 0; i < into->count; i++) {
        struct collector *to = &into->collectors[i];
        const struct collector *other = &from->collectors[i];
        if (other->statistics.width > 0) {
            if (to->statistics.width == 0)
                QM_TRY(begin_channels(&into->options, other->statistics.width, to));
            QM_TRY(qm_statistics_merge(&to->statistics, &other->statistics));
            for (size_t g = 0; g < to->group_count; g++)
                qm_histogram_merge(&to->groups[g], &other->groups[g]);
        }
        qm_histogram_merge(&to->histogram, &other->histogram);
    }
    for (uint32_t layer = 0; layer < into->layers; layer++)
        for (int cached = 0; cached < QM_CACHED_COUNT; cached++)
            QM_TRY(merge_cached(&into->cached[layer][cached], &from->cached[layer][cached]));
    return QM_OK;
}

// Reading ------------------------------------------------------------------------------------------------------------

const uint64_t *qm_calibration_histogram(const struct qm_calibration *calibration, uint32_t layer, enum qm_input input,
                                         int *exponent)
{
    const struct collector *collector = &calibration->collectors[qm_input_index(calibration->layers, input, layer)];
    *exponent = collector->histogram.exponent;
    return collector->histogram.bins;
}

static enum qm_status unobserved(size_t layer, enum qm_input input)
{
    return QM_FAIL(QM_INVALID,
                   "calibration: layer %zu, input '%s': no activation was seen; run the model over the set first",
                   input == QM_INPUT_HEAD ? 0 : layer, inputs[input].name);
}

enum qm_status qm_calibration_statistics(const struct qm_calibration *calibration, uint32_t layer, enum qm_input input,
                                         const struct qm_channel_statistics **statistics)
{
    *statistics = NULL;
    if (input != QM_INPUT_HEAD && layer >= calibration->layers)
        return unobserved(layer, input);
    const struct collector *collector = &calibration->collectors[qm_input_index(calibration->layers, input, layer)];
    *statistics = &collector->statistics;
    return collector->statistics.width > 0 ? QM_OK : unobserved(layer, input);
}

bool qm_calibration_has_cached(const struct qm_calibration *calibration)
{
    for (uint32_t layer = 0; layer < calibration->layers; layer++)
        for (int cached = 0; cached < QM_CACHED_COUNT; cached++)
            if (calibration->cached[layer][cached].width == 0)
                return false;
    return true;
}

enum qm_status qm_calibration_cached(const struct qm_calibration *calibration, uint32_t layer, enum qm_cached cached,
                                     const struct qm_channel_statistics **statistics)
{
    *statistics = layer < calibration->layers ? &calibration->cached[layer][cached] : NULL;
    if (!*statistics || (*statistics)->width == 0)
        return QM_FAIL(QM_INVALID,
                       "calibration: layer %" PRIu32 ", %s: none were seen; run the model over the set first", layer,
                       cached_names[cached]);
    return QM_OK;
}

float qm_activation_scale_of(float threshold, int largest)
{
    return threshold < AMAX_MIN ? 0 : qm_float_round_up((double)threshold / largest);
}

float qm_activation_scale_for(float threshold)
{
    return qm_activation_scale_of(threshold, LARGEST_CODE);
}

float qm_cache_scale_of(float amax, int largest)
{
    float scale = qm_activation_scale_of(amax, largest);
    return scale > 0 ? scale : 1;
}

static void find_scale(const struct qm_histogram *histogram, enum qm_calibrator method, struct qm_activation_scale *out)
{
    struct qm_histogram_threshold found;
    qm_histogram_find_threshold(histogram, method, &found);
    *out = (struct qm_activation_scale){.scale = qm_activation_scale_for(found.threshold),
                                        .threshold = found.threshold,
                                        .amax = histogram->amax,
                                        .count = histogram->count,
                                        .clipped = found.clipped};
}

struct scale_search {
    const struct qm_calibration *calibration;
    enum qm_calibrator method;
    struct qm_activation_scale *out;
};

static void find_scales(void *context, size_t begin, size_t end)
{
    const struct scale_search *search = context;
    for (size_t i = begin; i < end; i++)
        find_scale(&search->calibration->collectors[i].histogram, search->method, &search->out[i]);
}

static enum qm_status find_all(const struct qm_calibration *calibration, struct qm_activation_scales *out)
{
    uint64_t count = 0, clipped = 0;
    for (size_t i = 0; i < calibration->count; i++)
        if (calibration->collectors[i].histogram.count == 0)
            return unobserved(i / 4, i + 1 == calibration->count ? QM_INPUT_HEAD : (enum qm_input)(i % 4));
    struct scale_search search = {calibration, out->method, out->inputs};
    qm_parallel_for(calibration->count, find_scales, &search);
    for (size_t i = 0; i < calibration->count; i++) {
        count += out->inputs[i].count;
        clipped += out->inputs[i].clipped;
    }
    out->clipped_fraction = (double)clipped / (double)count;
    return QM_OK;
}

// The cache's maxima, where all layers have them.
static enum qm_status find_cache(const struct qm_calibration *calibration, struct qm_activation_scales *out)
{
    if (!qm_calibration_has_cached(calibration))
        return QM_OK;
    out->cache = calloc((size_t)calibration->layers + 1, sizeof(*out->cache));
    if (!out->cache)
        return QM_FAIL(QM_OUT_OF_MEMORY, "calibration: no memory for the cache of %" PRIu32 " layers",
                       calibration->layers);
    for (uint32_t layer = 0; layer < calibration->layers; layer++)
        for (int cached = 0; cached < QM_CACHED_COUNT; cached++)
            out->cache[layer].of[cached] = qm_statistics_amax(&calibration->cached[layer][cached]);
    return QM_OK;
}

static enum qm_status check_method(enum qm_calibrator method)
{
    if (!qm_calibrator_has_threshold(method))
        return QM_FAIL(QM_INVALID, "calibration: '%s' gives no scales; use absmax, percentile, mse or entropy",
                       qm_calibrator_name(method));
    return QM_OK;
}

enum qm_status qm_calibration_scales(const struct qm_calibration *calibration, enum qm_calibrator method,
                                     const struct qm_calibration_set *set, struct qm_activation_scales **out)
{
    *out = NULL;
    QM_TRY(check_method(method));
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
    enum qm_status status = find_all(calibration, scales);
    if (status == QM_OK)
        status = find_cache(calibration, scales);
    if (status != QM_OK)
        qm_activation_scales_destroy(&scales);
    *out = scales;
    return status;
}

struct group_search {
    const struct collector *collector;
    enum qm_calibrator method;
    uint32_t group;
    uint32_t merged; // histograms of the options' groups that make one group
    struct qm_activation_scale *out;
};

static void find_group_scales(void *context, size_t begin, size_t end)
{
    const struct group_search *search = context;
    const struct qm_channel_statistics *statistics = &search->collector->statistics;
    for (size_t g = begin; g < end; g++) {
        struct qm_activation_scale *out = &search->out[g];
        if (search->method != QM_CALIBRATOR_ABSMAX) {
            struct qm_histogram merged = search->collector->groups[g * search->merged];
            for (uint32_t i = 1; i < search->merged; i++)
                qm_histogram_merge(&merged, &search->collector->groups[g * search->merged + i]);
            find_scale(&merged, search->method, out);
            continue;
        }
        *out = (struct qm_activation_scale){.count = statistics->rows * search->group};
        for (uint32_t j = 0; j < search->group; j++) {
            float amax = statistics->amax[g * search->group + j];
            out->amax = amax > out->amax ? amax : out->amax;
        }
        out->threshold = out->amax;
        out->scale = qm_activation_scale_for(out->amax);
    }
}

enum qm_status qm_calibration_group_scales(const struct qm_calibration *calibration, enum qm_calibrator method,
                                           uint32_t layer, enum qm_input input, uint32_t group,
                                           struct qm_activation_scale *out)
{
    const struct qm_channel_statistics *statistics = NULL;
    uint32_t collected = calibration->options.group;
    QM_TRY(check_method(method));
    QM_TRY(qm_calibration_statistics(calibration, layer, input, &statistics));
    if (group == 0 || statistics->width % group != 0)
        return QM_FAIL(QM_INVALID,
                       "calibration: input '%s': groups of %" PRIu32 " do not divide %" PRIu32
                       " channels; use a divisor",
                       inputs[input].name, group, statistics->width);
    if (method != QM_CALIBRATOR_ABSMAX && (collected == 0 || group % collected != 0))
        return QM_FAIL(QM_INVALID,
                       "calibration: input '%s': '%s' for groups of %" PRIu32 " needs histograms of groups that divide "
                       "them, and those collected are of %" PRIu32 " channels; collect them, or use absmax",
                       inputs[input].name, qm_calibrator_name(method), group, collected);
    const struct collector *collector = &calibration->collectors[qm_input_index(calibration->layers, input, layer)];
    struct group_search search = {collector, method, group, collected > 0 ? group / collected : 0, out};
    qm_parallel_for(statistics->width / group, find_group_scales, &search);
    return QM_OK;
}

enum qm_status qm_calibration_add_groups(const struct qm_calibration *calibration, uint32_t group,
                                         struct qm_activation_scales *scales)
{
    for (size_t i = 0; i < scales->count; i++) {
        struct qm_activation_scale *input = &scales->inputs[i];
        uint32_t width = calibration->collectors[i].statistics.width, layer = (uint32_t)(i / 4);
        enum qm_input which = i + 1 == scales->count ? QM_INPUT_HEAD : (enum qm_input)(i % 4);
        input->group_count = width / group;
        input->groups = calloc(input->group_count + 1, sizeof(*input->groups));
        if (!input->groups)
            return QM_FAIL(QM_OUT_OF_MEMORY, "calibration: no memory for %" PRIu32 " scales", input->group_count);
        QM_TRY(qm_calibration_group_scales(calibration, scales->method, layer, which, group, input->groups));
    }
    return QM_OK;
}

void qm_activation_scales_destroy(struct qm_activation_scales **scales)
{
    for (size_t i = 0; *scales && (*scales)->inputs && i < (*scales)->count; i++)
        free((*scales)->inputs[i].groups);
    if (*scales) {
        free((*scales)->inputs);
        free((*scales)->cache);
    }
    free(*scales);
    *scales = NULL;
}
