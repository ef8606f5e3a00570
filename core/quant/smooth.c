#include "quant/smooth.h"
#include "base/numeric.h"
#include "model/scaled.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <math.h> // INFINITY only
#include <stdlib.h>
#include <string.h>

#define LARGEST_CODE 127.0
#define SCALE_MIN 1e-5
#define WEIGHT_MIN 1e-5
// The grid of the search, in hundredths.
#define ALPHA_FIRST 30
#define ALPHA_LAST 90
#define ALPHA_STEP 5

// What reads an input and what makes it.
static const struct {
    enum qm_role readers[3];
    size_t reader_count;
    enum qm_role maker; // its gains, or its rows, are divided
} folds[QM_INPUT_COUNT] = {
    [QM_INPUT_ATTENTION] = {{QM_ROLE_Q, QM_ROLE_K, QM_ROLE_V}, 3, QM_ROLE_INPUT_NORM},
    [QM_INPUT_ATTENTION_OUTPUT] = {{QM_ROLE_O}, 1, QM_ROLE_V},
    [QM_INPUT_MLP] = {{QM_ROLE_GATE, QM_ROLE_UP}, 2, QM_ROLE_POST_NORM},
    [QM_INPUT_DOWN] = {{QM_ROLE_DOWN}, 1, QM_ROLE_UP},
    [QM_INPUT_HEAD] = {{QM_ROLE_HEAD}, 1, QM_ROLE_FINAL_NORM},
};

// The weights that read an input, of those that the architecture has.
static size_t readers_of(const struct qm_model_config *config, enum qm_input input, enum qm_role readers[3])
{
    size_t count = 0;
    for (size_t r = 0; r < folds[input].reader_count; r++)
        if (qm_architecture_has(config->architecture, folds[input].readers[r]))
            readers[count++] = folds[input].readers[r];
    return count;
}

// Down's input is linear in what up gives only where that is gated.
static bool can_fold(const struct qm_model_config *config, enum qm_input input)
{
    return input != QM_INPUT_DOWN || qm_architecture_has(config->architecture, QM_ROLE_GATE);
}

static enum qm_status check_norms(const struct qm_model_config *config)
{
    if (qm_architecture_has(config->architecture, QM_ROLE_INPUT_NORM))
        return QM_OK;
    return QM_FAIL(QM_UNSUPPORTED,
                   "smoothquant and awq: a layer of %s has no norm before its products that could take the scales; use "
                   "another calibrator, such as mse or gptq",
                   qm_architecture_info(config->architecture)->title);
}

// Rows first, as smooth.h says.
static const enum qm_input order[] = {QM_INPUT_ATTENTION_OUTPUT, QM_INPUT_DOWN, QM_INPUT_ATTENTION, QM_INPUT_MLP};

// One input while it is smoothed. A channel is what has a scale of its own: a column of the readers, but for
// attention_output a channel of V, which the columns of several query heads share.
struct work {
    struct qm_model *model;
    enum qm_input input;
    uint32_t layer;
    const struct qm_channel_statistics *statistics;
    uint32_t columns, channels;
    enum qm_role roles[3]; // of the readers
    struct qm_model_view views[3];
    struct qm_model_tensor tensors[3]; // with the values of the views
    const struct qm_model_tensor *readers[3];
    size_t reader_count;
    uint32_t rows;                     // of all readers
    double *input_amax, *weight_amax;  // [channels]
    double *column_amax, *column_sums; // [columns]: of |W|, and the sum of W^2
    double *row_amax;                  // [rows]: of |W s|
    float *scales, *best;              // [columns]
};

static uint32_t channel_of(const struct work *work, uint32_t column)
{
    const struct qm_model_config *c = &work->model->config;
    if (work->input != QM_INPUT_ATTENTION_OUTPUT)
        return column;
    // What o is padded with is zero, whatever it is multiplied with: it goes with the last channel.
    if (column >= c->heads * c->head_dim)
        column = c->heads * c->head_dim - 1;
    return column / c->head_dim / (c->heads / c->kv_heads) * c->head_dim + column % c->head_dim;
}

static void work_free(struct work *work)
{
    for (size_t r = 0; r < 3; r++)
        qm_model_view_close(&work->views[r]);
    free(work->input_amax);
    free(work->weight_amax);
    free(work->column_amax);
    free(work->column_sums);
    free(work->row_amax);
    free(work->scales);
    free(work->best);
}

static enum qm_status work_begin(struct qm_model *model, const struct qm_calibration *calibration, uint32_t layer,
                                 enum qm_input input, struct work *out)
{
    *out = (struct work){.model = model, .input = input, .layer = layer};
    out->reader_count = readers_of(&model->config, input, out->roles);
    for (size_t r = 0; r < out->reader_count; r++) {
        out->tensors[r] = *qm_model_weight(model, out->roles[r], layer);
        out->readers[r] = &out->tensors[r];
        out->rows += out->tensors[r].rows;
    }
    out->columns = out->tensors[0].columns;
    const struct qm_model_tensor *maker = qm_model_weight(model, folds[input].maker, layer);
    out->channels = qm_role_is_norm(maker->role) ? maker->columns : maker->rows;
    QM_TRY(qm_calibration_statistics(calibration, layer, input, &out->statistics));
    if (out->statistics->width != out->columns)
        return QM_FAIL(QM_INVALID,
                       "smoothquant: layer %" PRIu32 ", input '%s': %" PRIu32
                       " channels observed; the model has %" PRIu32 ", calibrate that one",
                       layer, qm_input_name(input), out->statistics->width, out->columns);
    out->input_amax = calloc(out->channels, sizeof(*out->input_amax));
    out->weight_amax = calloc(out->channels, sizeof(*out->weight_amax));
    out->column_amax = calloc(out->columns, sizeof(*out->column_amax));
    out->column_sums = calloc(out->columns, sizeof(*out->column_sums));
    out->row_amax = calloc(out->rows, sizeof(*out->row_amax));
    out->scales = calloc(out->columns, sizeof(*out->scales));
    out->best = calloc(out->columns, sizeof(*out->best));
    if (!out->input_amax || !out->weight_amax || !out->column_amax || !out->column_sums || !out->row_amax ||
        !out->scales || !out->best)
        return QM_FAIL(QM_OUT_OF_MEMORY, "smoothquant: no memory for %" PRIu32 " channels", out->columns);
    for (size_t r = 0; r < out->reader_count; r++) {
        QM_TRY(qm_model_view_open(model, qm_weight_index(&model->config, out->roles[r], layer), &out->views[r]));
        out->tensors[r].values = out->views[r].values;
    }
    return QM_OK;
}

static void scan_columns(void *context, size_t begin, size_t end)
{
    struct work *work = context;
    for (size_t r = 0; r < work->reader_count; r++)
        for (size_t row = 0; row < work->readers[r]->rows; row++) {
            const float *values = work->readers[r]->values + row * work->columns;
            for (size_t j = begin; j < end; j++) {
                double magnitude = values[j] < 0 ? -(double)values[j] : (double)values[j];
                work->column_amax[j] = magnitude > work->column_amax[j] ? magnitude : work->column_amax[j];
                work->column_sums[j] += magnitude * magnitude;
            }
        }
}

static void raise_to(double *value, double other)
{
    if (other > *value)
        *value = other;
}

static void scan(struct work *work)
{
    qm_parallel_for(work->columns, scan_columns, work);
    for (uint32_t j = 0; j < work->columns; j++) {
        uint32_t channel = channel_of(work, j);
        raise_to(&work->input_amax[channel], (double)work->statistics->amax[j]);
        raise_to(&work->weight_amax[channel], work->column_amax[j]);
    }
}

static bool is_unknown(const struct work *work, uint32_t channel)
{
    return work->input_amax[channel] == 0 || work->weight_amax[channel] == 0;
}

// Scales of all columns for an alpha.
static void find_scales(struct work *work, double alpha)
{
    for (uint32_t j = 0; j < work->columns; j++) {
        uint32_t channel = channel_of(work, j);
        double weight = work->weight_amax[channel] < WEIGHT_MIN ? WEIGHT_MIN : work->weight_amax[channel];
        work->scales[j] = 1;
        if (is_unknown(work, channel))
            continue;
        double scale = qm_exp(alpha * qm_log(work->input_amax[channel]) - (1 - alpha) * qm_log(weight));
        work->scales[j] = (float)(scale < SCALE_MIN ? SCALE_MIN : scale);
    }
}

static void find_row_amax(void *context, size_t begin, size_t end)
{
    struct work *work = context;
    size_t first = 0;
    for (size_t r = 0; r < work->reader_count; first += work->readers[r]->rows, r++)
        for (size_t row = begin > first ? begin : first; row < end && row < first + work->readers[r]->rows; row++) {
            const float *values = work->readers[r]->values + (row - first) * work->columns;
            double most = 0;
            for (size_t j = 0; j < work->columns; j++) {
                double scaled = (double)values[j] * (double)work->scales[j];
                scaled = scaled < 0 ? -scaled : scaled;
                most = scaled > most ? scaled : most;
            }
            work->row_amax[row] = most;
        }
}

// The expected squared error of smooth.h under work->scales.
static double predict(struct work *work)
{
    const struct qm_channel_statistics *s = work->statistics;
    double most = 0, weight_steps = 0, from_inputs = 0, input_squares = 0;
    qm_parallel_for(work->rows, find_row_amax, work);
    for (uint32_t j = 0; j < work->columns; j++)
        raise_to(&most, (double)s->amax[j] / (double)work->scales[j]);
    for (uint32_t n = 0; n < work->rows; n++)
        weight_steps += (work->row_amax[n] / LARGEST_CODE) * (work->row_amax[n] / LARGEST_CODE);
    double rounding = (most / LARGEST_CODE) * (most / LARGEST_CODE) / 12;
    for (uint32_t j = 0; j < work->columns; j++) {
        double scale = (double)work->scales[j];
        double mean = s->sum_squares[j] / (double)s->rows / (scale * scale);
        from_inputs += (rounding < mean ? rounding : mean) * (work->column_sums[j] * (scale * scale));
        input_squares += mean;
    }
    return from_inputs + weight_steps / 12 * input_squares;
}

static enum qm_status choose(struct work *work, const struct qm_smooth_params *params, struct qm_smoothed_input *out)
{
    for (uint32_t j = 0; j < work->columns; j++)
        work->best[j] = work->scales[j] = 1;
    out->scale_min = out->scale_max = 1;
    out->predicted = out->predicted_without = predict(work);
    if (params->is_left_out[work->input] || !can_fold(&work->model->config, work->input))
        return QM_OK;
    out->is_smoothed = true;
    out->predicted = INFINITY;
    if (params->choose) {
        QM_TRY(params->choose(params->choose_context, work->statistics, work->readers, work->reader_count, work->best,
                              &out->alpha));
        memcpy(work->scales, work->best, work->columns * sizeof(*work->best));
        out->predicted = predict(work);
    }
    for (int hundredths = ALPHA_FIRST; !params->choose && hundredths <= ALPHA_LAST; hundredths += ALPHA_STEP) {
        double alpha = params->is_searched ? hundredths / 100.0 : params->alpha;
        find_scales(work, alpha);
        double predicted = predict(work);
        if (predicted < out->predicted || hundredths == ALPHA_FIRST) {
            memcpy(work->best, work->scales, work->columns * sizeof(*work->best));
            out->alpha = alpha;
            out->predicted = predicted;
        }
        if (!params->is_searched)
            break;
    }
    for (uint32_t j = 0; j < work->columns; j++) {
        out->scale_min = j == 0 || work->best[j] < out->scale_min ? work->best[j] : out->scale_min;
        out->scale_max = j == 0 || work->best[j] > out->scale_max ? work->best[j] : out->scale_max;
    }
    for (uint32_t channel = 0; channel < work->channels; channel++)
        out->unknown += is_unknown(work, channel);
    return QM_OK;
}

// A vector is not looked at again before it is encoded; a matrix is, for it reads another input.
static enum qm_status check_vector(const struct work *work, enum qm_role role)
{
    struct qm_model_view view;
    size_t index = qm_weight_index(&work->model->config, role, work->layer);
    QM_TRY(qm_model_view_open(work->model, index, &view));
    qm_model_view_close(&view);
    return QM_OK;
}

// What is added to a row that is divided is divided as well.
static enum qm_status divide(struct work *work, enum qm_role role, const float *divisors)
{
    QM_TRY(qm_model_set_divisors(work->model, role, work->layer, divisors));
    return qm_role_is_vector(role) ? check_vector(work, role) : QM_OK;
}

static enum qm_status check_product(const struct qm_model_tensor *tensor, const float *factors)
{
    for (size_t row = 0; row < tensor->rows; row++)
        for (size_t j = 0; j < tensor->columns; j++) {
            size_t at = row * tensor->columns + j;
            float value = (float)((double)tensor->values[at] * (double)factors[j]);
            if ((qm_bits_from_float(value) & 0x7f800000u) == 0x7f800000u)
                return QM_FAIL(QM_INVALID,
                               "smoothquant: tensor '%s.weight': value %zu would no longer be finite; use another "
                               "calibrator",
                               tensor->name, at);
        }
    return QM_OK;
}

static enum qm_status fold(struct work *work)
{
    enum qm_role role = folds[work->input].maker;
    uint32_t done = 0;
    float *divisors = malloc(work->channels * sizeof(*divisors));
    if (!divisors)
        return QM_FAIL(QM_OUT_OF_MEMORY, "smoothquant: no memory for %" PRIu32 " channels", work->channels);
    for (uint32_t j = 0; j < work->columns; j++)
        if (channel_of(work, j) ==
            done) // of columns that share a channel the first; they come in the order of channels
            divisors[done++] = work->best[j];
    enum qm_status status = divide(work, role, divisors);
    if (status == QM_OK && qm_architecture_has(work->model->config.architecture, qm_role_bias(role)))
        status = divide(work, qm_role_bias(role), divisors);
    for (size_t r = 0; r < work->reader_count && status == QM_OK; r++) {
        status = check_product(work->readers[r], work->best);
        if (status == QM_OK)
            status = qm_model_set_factors(work->model, work->readers[r]->role, work->layer, work->best);
    }
    free(divisors);
    return status;
}

// What the factors of attention_output leave of the largest value in the cache: each is that of a channel of V.
static float divided_values(const struct work *work, const struct qm_channel_statistics *values)
{
    float amax = 0;
    for (uint32_t j = 0; j < work->columns; j++) {
        float divided = qm_float_round_up((double)values->amax[channel_of(work, j)] / (double)work->best[j]);
        amax = divided > amax ? divided : amax;
    }
    return amax;
}

static enum qm_status smooth_cache(struct qm_smoothed *smoothed, const struct qm_calibration *calibration,
                                   const struct work *work)
{
    const struct qm_channel_statistics *keys, *values;
    QM_TRY(qm_calibration_cached(calibration, work->layer, QM_CACHED_KEYS, &keys));
    QM_TRY(qm_calibration_cached(calibration, work->layer, QM_CACHED_VALUES, &values));
    if (values->width != work->channels)
        return QM_FAIL(QM_INVALID,
                       "smoothquant: layer %" PRIu32 ": values of %" PRIu32 " channels observed; the model has %" PRIu32
                       ", calibrate that one",
                       work->layer, values->width, work->channels);
    smoothed->cache[work->layer].of[QM_CACHED_KEYS] = qm_statistics_amax(keys);
    smoothed->cache[work->layer].of[QM_CACHED_VALUES] = divided_values(work, values);
    return QM_OK;
}

// Without H, which is as large as the weights, and which nobody asks for any more.
static enum qm_status copy_statistics(const struct work *work, struct qm_channel_statistics *out)
{
    struct qm_channel_statistics channels = *work->statistics;
    channels.products = NULL;
    return qm_statistics_copy_divided(&channels, work->best, out);
}

static enum qm_status smooth_input(struct qm_smoothed *smoothed, const struct qm_calibration *calibration,
                                   const struct qm_smooth_params *params, enum qm_input input, uint32_t layer)
{
    struct work work;
    size_t index = qm_input_index(smoothed->layers, input, layer);
    enum qm_status status = work_begin(smoothed->model, calibration, layer, input, &work);
    if (status == QM_OK) {
        scan(&work);
        status = choose(&work, params, &smoothed->inputs[index]);
    }
    if (status == QM_OK && smoothed->inputs[index].is_smoothed)
        status = fold(&work);
    if (status == QM_OK)
        status = copy_statistics(&work, &smoothed->statistics[index]);
    if (status == QM_OK && smoothed->cache && input == QM_INPUT_ATTENTION_OUTPUT)
        status = smooth_cache(smoothed, calibration, &work);
    work_free(&work);
    return status;
}

enum qm_status qm_smooth(const struct qm_model *model, const struct qm_calibration *calibration,
                         const struct qm_smooth_params *params, struct qm_smoothed **out)
{
    enum qm_status status = QM_OK;
    *out = NULL;
    if (!params->choose && !params->is_searched && !(params->alpha >= 0 && params->alpha <= 1))
        return QM_FAIL(QM_INVALID, "smoothquant: alpha %g; use 0 to 1, such as 0.5", params->alpha);
    QM_TRY(check_norms(&model->config));
    struct qm_smoothed *smoothed = calloc(1, sizeof(*smoothed));
    if (!smoothed)
        return QM_FAIL(QM_OUT_OF_MEMORY, "smoothquant: no memory");
    smoothed->layers = model->config.layers;
    smoothed->count = 4 * (size_t)smoothed->layers + 1;
    smoothed->inputs = calloc(smoothed->count, sizeof(*smoothed->inputs));
    smoothed->statistics = calloc(smoothed->count, sizeof(*smoothed->statistics));
    if (!smoothed->inputs || !smoothed->statistics) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "smoothquant: no memory for %zu inputs", smoothed->count);
        goto done;
    }
    if (qm_calibration_has_cached(calibration)) {
        smoothed->cache = calloc((size_t)smoothed->layers + 1, sizeof(*smoothed->cache));
        if (!smoothed->cache)
            QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "smoothquant: no memory for the cache's maxima"));
    }
    QM_GUARD(qm_model_scale(model, &smoothed->model));
    for (uint32_t layer = 0; layer < smoothed->layers; layer++)
        for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
            QM_GUARD(smooth_input(smoothed, calibration, params, order[i], layer));
    QM_GUARD(smooth_input(smoothed, calibration, params, QM_INPUT_HEAD, 0));
    *out = smoothed;
    smoothed = NULL;
done:
    qm_smoothed_destroy(&smoothed);
    return status;
}

void qm_smoothed_destroy(struct qm_smoothed **smoothed)
{
    if (!*smoothed)
        return;
    for (size_t i = 0; (*smoothed)->statistics && i < (*smoothed)->count; i++)
        qm_statistics_free(&(*smoothed)->statistics[i]);
    qm_model_destroy(&(*smoothed)->model);
    free((*smoothed)->statistics);
    free((*smoothed)->cache);
    free((*smoothed)->inputs);
    free(*smoothed);
    *smoothed = NULL;
}

enum qm_status qm_smoothed_scales(const struct qm_smoothed *smoothed, const struct qm_calibration_set *set,
                                  struct qm_activation_scales **out)
{
    *out = NULL;
    struct qm_activation_scales *scales = calloc(1, sizeof(*scales));
    if (scales)
        scales->inputs = calloc(smoothed->count, sizeof(*scales->inputs));
    if (!scales || !scales->inputs) {
        qm_activation_scales_destroy(&scales);
        return QM_FAIL(QM_OUT_OF_MEMORY, "smoothquant: no memory for %zu scales", smoothed->count);
    }
    scales->set = *set;
    scales->method = QM_CALIBRATOR_SMOOTHQUANT;
    scales->layers = smoothed->layers;
    scales->count = smoothed->count;
    if (smoothed->cache) {
        scales->cache = malloc(((size_t)smoothed->layers + 1) * sizeof(*scales->cache));
        if (!scales->cache) {
            qm_activation_scales_destroy(&scales);
            return QM_FAIL(QM_OUT_OF_MEMORY, "smoothquant: no memory for the cache's maxima");
        }
        memcpy(scales->cache, smoothed->cache, smoothed->layers * sizeof(*scales->cache));
    }
    for (size_t i = 0; i < smoothed->count; i++) {
        const struct qm_channel_statistics *statistics = &smoothed->statistics[i];
        struct qm_activation_scale *input = &scales->inputs[i];
        for (uint32_t j = 0; j < statistics->width; j++)
            input->amax = statistics->amax[j] > input->amax ? statistics->amax[j] : input->amax;
        input->threshold = input->amax;
        input->scale = qm_activation_scale_for(input->amax);
        input->count = statistics->rows * statistics->width;
        if (!smoothed->inputs[i].is_smoothed)
            continue;
        input->alpha = smoothed->inputs[i].alpha;
        input->divisor_min = smoothed->inputs[i].scale_min;
        input->divisor_max = smoothed->inputs[i].scale_max;
    }
    *out = scales;
    return QM_OK;
}

enum qm_status qm_smoothed_add_groups(const struct qm_smoothed *smoothed, uint32_t group,
                                      struct qm_activation_scales *scales)
{
    for (size_t i = 0; i < scales->count; i++) {
        const struct qm_channel_statistics *statistics = &smoothed->statistics[i];
        struct qm_activation_scale *input = &scales->inputs[i];
        input->group_count = statistics->width / group;
        input->groups = calloc(input->group_count + 1, sizeof(*input->groups));
        if (!input->groups)
            return QM_FAIL(QM_OUT_OF_MEMORY, "smoothquant: no memory for %" PRIu32 " scales", input->group_count);
        for (uint32_t j = 0; j < input->group_count * group; j++) {
            struct qm_activation_scale *to = &input->groups[j / group];
            to->amax = statistics->amax[j] > to->amax ? statistics->amax[j] : to->amax;
            to->threshold = to->amax;
        }
    }
    return QM_OK;
}
