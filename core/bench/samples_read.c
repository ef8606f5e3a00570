// Reads a samples file. It is a stranger's: nothing in it is believed before it was looked at.
#include "bench/samples.h"

#include "kernel/configure.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result_speed.h"
#include "bench/samples_answers.h"
#include "bench/samples_deployment.h"
#include "bench/samples_tensors.h"
#include "model/safetensors.h"

struct own {
    struct qm_tensors file;
    struct qm_evaluation *evaluation;
    struct own_scheme {
        struct qm_token_scores *scores, *decode_scores;
        struct qm_agreement agreement;
        struct qm_widening_run widening;
        struct qm_sustained_run sustained;
        double *own_kl;
        struct qm_point_run *points;
        struct qm_samples_answers answers;
        struct qm_deployment_run deployment;
        char *variants; // names, each with its zero
    } schemes[QM_PROFILE_SCHEMES_MAX];
    double *noise, *clock_host_ns, *clock_device_ns;
    struct qm_samples_answers reference_answers;
    struct qm_requests requests;
};

struct reader {
    const struct qm_samples_params *params;
    struct own *own;
    struct qm_raw *raw;
};

// ---- Arrays ---------------------------------------------------------------------------------------------------------

enum {
    NAME_BYTES = QM_TENSOR_NAME_BYTES_MAX + 1
};

// More than float32 logits or a run of years give; sums of such ones, and quotients with a time, do not overflow.
#define LARGEST 1e39
#define LEAST_NS 1e-3 // of a time, unless it is 0

static const struct qm_tensor *find(const struct reader *reader, char name[NAME_BYTES], const char *scheme,
                                    const char *what)
{
    snprintf(name, NAME_BYTES, "%s%s%s", scheme, *scheme ? "." : "", what);
    return qm_tensors_find(&reader->own->file, name);
}

static enum qm_status refuse(const struct reader *reader, const char *name, const char *what)
{
    return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': %s", reader->own->file.file, name, what);
}

static enum qm_status need(const struct reader *reader, const char *scheme, const char *what, enum qm_dtype dtype,
                           uint64_t words, const struct qm_tensor **out)
{
    char name[NAME_BYTES];
    *out = find(reader, name, scheme, what);
    if (!*out)
        return refuse(reader, name, "missing; run again with this qmark");
    if ((*out)->dtype != dtype || (*out)->rank != 1 || (*out)->shape[0] != words)
        return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': expected %" PRIu64 " of %s", reader->own->file.file, name,
                       words, qm_dtype_name(dtype));
    return QM_OK;
}

// How many doubles a tensor has; 0 where there is none.
static enum qm_status count_doubles(const struct reader *reader, const char *scheme, const char *what, size_t most,
                                    size_t *count)
{
    char name[NAME_BYTES];
    const struct qm_tensor *tensor = find(reader, name, scheme, what);
    *count = 0;
    if (!tensor)
        return QM_OK;
    if (tensor->dtype != QM_DTYPE_U32 || tensor->rank != 1 || tensor->shape[0] % 2 != 0 || tensor->shape[0] == 0)
        return refuse(reader, name, "expected pairs of U32");
    if (tensor->shape[0] / 2 > most)
        return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': %" PRIu64 " values, and the profile allows %zu",
                       reader->own->file.file, name, tensor->shape[0] / 2, most);
    *count = tensor->shape[0] / 2;
    return QM_OK;
}

static enum qm_status read_doubles(const struct reader *reader, const char *scheme, const char *what, double *out,
                                   size_t count, double least)
{
    const struct qm_tensor *tensor = NULL;
    QM_TRY(need(reader, scheme, what, QM_DTYPE_U32, 2 * (uint64_t)count, &tensor));
    memcpy(out, tensor->data, count * sizeof(*out)); // little-endian, low word first
    for (size_t i = 0; i < count; ++i)
        if (!(out[i] >= least && out[i] <= LARGEST))
            return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': value %zu is out of range", reader->own->file.file,
                           tensor->name, i);
    return QM_OK;
}

static enum qm_status new_doubles(const struct reader *reader, const char *scheme, const char *what, double **out,
                                  size_t count, double least)
{
    const struct qm_tensor *tensor = NULL;
    QM_TRY(need(reader, scheme, what, QM_DTYPE_U32, 2 * (uint64_t)count, &tensor)); // before memory is asked for
    *out = calloc(count + 1, sizeof(**out));
    if (!*out)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", reader->own->file.file);
    return read_doubles(reader, scheme, what, *out, count, least);
}

static enum qm_status new_times(const struct reader *reader, const char *scheme, const char *what, double **out,
                                size_t count)
{
    char name[NAME_BYTES];
    QM_TRY(new_doubles(reader, scheme, what, out, count, 0));
    for (size_t i = 0; i < count; ++i)
        if ((*out)[i] > 0 && (*out)[i] < LEAST_NS) {
            (void)find(reader, name, scheme, what);
            return refuse(reader, name, "a time is out of range");
        }
    return QM_OK;
}

// Words of which each is below `end`, or `also`.
static enum qm_status read_words(const struct reader *reader, const char *scheme, const char *what, uint32_t *out,
                                 size_t count, uint32_t end, uint32_t also)
{
    const struct qm_tensor *tensor = NULL;
    QM_TRY(need(reader, scheme, what, QM_DTYPE_U32, count, &tensor));
    memcpy(out, tensor->data, count * sizeof(*out));
    for (size_t i = 0; i < count; ++i)
        if (out[i] >= end && out[i] != also)
            return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': value %zu is out of range", reader->own->file.file,
                           tensor->name, i);
    return QM_OK;
}

static enum qm_status read_flags(const struct reader *reader, const char *scheme, const char *what, uint8_t *out,
                                 size_t count)
{
    const struct qm_tensor *tensor = NULL;
    QM_TRY(need(reader, scheme, what, QM_DTYPE_U8, count, &tensor));
    memcpy(out, tensor->data, count);
    for (size_t i = 0; i < count; ++i)
        if (out[i] > 1)
            return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': value %zu is neither 0 nor 1", reader->own->file.file,
                           tensor->name, i);
    return QM_OK;
}

// ---- The evaluation set ---------------------------------------------------------------------------------------------

static enum qm_status read_tokens(struct reader *reader, struct qm_evaluation *evaluation)
{
    const struct qm_profile_set *set = &evaluation->set;
    size_t windows = set->windows, length = set->window_tokens;
    const struct qm_tensor *tokens = NULL, *scored = NULL;
    struct qm_hash hash;
    bool is_users = qm_profile_set_is_users(set); // whose tokens are not there, and whose hash the profile has
    if (!is_users)
        QM_TRY(need(reader, "evaluation", "tokens", QM_DTYPE_U32, windows * (length + 1), &tokens));
    QM_TRY(need(reader, "evaluation", "scored", QM_DTYPE_U8, windows * length, &scored));
    const uint8_t *is_scored = scored->data;
    qm_hash_begin(&hash);
    for (size_t w = 0; w < windows; ++w) {
        for (size_t p = 0; p <= length; ++p) {
            uint32_t token = 0;
            if (tokens)
                memcpy(&token, (const char *)tokens->data + 4 * (w * (length + 1) + p), sizeof(token));
            uint8_t flag = p < length ? is_scored[w * length + p] : 0;
            if (token > UINT16_MAX || flag > 1)
                return refuse(reader, token > UINT16_MAX ? tokens->name : scored->name, "a value is out of range");
            evaluation->scored_count += flag;
            qm_evaluation_hash_token(&hash, token, flag == 1);
        }
    }
    qm_hash_end(&hash, evaluation->sha256);
    if (is_users)
        snprintf(evaluation->sha256, sizeof(evaluation->sha256), "%s", set->sha256);
    return QM_OK;
}

static enum qm_status read_evaluation(struct reader *reader)
{
    struct own *own = reader->own;
    struct qm_evaluation *evaluation = own->evaluation = calloc(1, sizeof(*evaluation));
    char name[NAME_BYTES];
    if (!evaluation)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", own->file.file);
    evaluation->set = reader->params->profile->evaluation;
    qm_evaluation_set_name(QM_SPLIT_EVALUATION, &evaluation->set, evaluation->name);
    QM_TRY(qm_evaluation_create_cells(evaluation));
    QM_TRY(read_tokens(reader, evaluation));
    const struct qm_tensor *sets = find(reader, name, "evaluation", "set");
    if (!sets || sets->rank != 1 || sets->shape[0] == 0 || sets->shape[0] > evaluation->scored_count)
        return refuse(reader, name, "expected one value an example, and no more of them than scored tokens");
    size_t count = evaluation->sequence_count = (uint32_t)sets->shape[0];
    evaluation->cell = calloc(count, sizeof(*evaluation->cell));
    evaluation->graded_cell = calloc(count, sizeof(*evaluation->graded_cell));
    evaluation->set_of = calloc(count, sizeof(*evaluation->set_of));
    evaluation->is_answer = calloc(count, sizeof(*evaluation->is_answer));
    if (!evaluation->cell || !evaluation->graded_cell || !evaluation->set_of || !evaluation->is_answer)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", own->file.file);
    uint32_t set_count = evaluation->set.sets > 1 ? evaluation->set.sets : 1;
    QM_TRY(read_words(reader, "evaluation", "cell", evaluation->cell, count, evaluation->cell_count, QM_CELL_NONE));
    QM_TRY(read_words(reader, "evaluation", "graded_cell", evaluation->graded_cell, count, evaluation->cell_count,
                      QM_CELL_NONE));
    QM_TRY(read_words(reader, "evaluation", "set", evaluation->set_of, count, set_count, 0));
    QM_TRY(read_flags(reader, "evaluation", "is_answer", evaluation->is_answer, count));
    for (size_t i = 0; i < count; ++i) {
        uint32_t graded = evaluation->graded_cell[i];
        if (graded != QM_CELL_NONE && graded != evaluation->cell[i])
            return refuse(reader, "evaluation.graded_cell", "an example is graded in another cell than its own");
        if (graded != QM_CELL_NONE)
            evaluation->cells[graded].is_graded = true;
    }
    for (size_t i = 0; i < count; ++i) {
        uint32_t cell = evaluation->cell[i];
        if (cell != QM_CELL_NONE && evaluation->graded_cell[i] == QM_CELL_NONE && evaluation->cells[cell].is_graded)
            return refuse(reader, "evaluation.graded_cell", "a cell is graded for some of its examples only");
    }
    reader->raw->evaluation = evaluation;
    return QM_OK;
}

// ---- Schemes --------------------------------------------------------------------------------------------------------

// The first `count` scores of a phase; 0: as many as there are, at most `most`, none being no failure.
static enum qm_status read_scores(struct reader *reader, const char *scheme, const char *phase, size_t count,
                                  size_t most, struct qm_token_scores **out)
{
    char what[64];
    const struct qm_evaluation *evaluation = reader->own->evaluation;
    snprintf(what, sizeof(what), "%s.kl.f64", phase);
    size_t found = 0;
    QM_TRY(count_doubles(reader, scheme, what, most, &found));
    if (found == 0)
        return QM_OK;
    if (count == 0)
        count = found;
    QM_TRY(qm_token_scores_create(count, out));
    struct qm_token_scores *scores = *out;
    const struct {
        const char *name;
        double *values;
        double least;
    } arrays[] = {{"kl", scores->kl, 0},
                  {"nll", scores->nll, 0},
                  {"nll_reference", scores->nll_reference, 0},
                  {"delta_p", scores->delta_p, -1},
                  {"confidence", scores->confidence, 0},
                  {"confidence_reference", scores->confidence_reference, 0}};
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); ++i) {
        snprintf(what, sizeof(what), "%s.%s.f64", phase, arrays[i].name);
        QM_TRY(read_doubles(reader, scheme, what, arrays[i].values, count, arrays[i].least));
    }
    const struct {
        const char *name;
        uint8_t *values;
    } flags[] = {{"same_top", scores->same_top}, {"hit", scores->hit}, {"hit_reference", scores->hit_reference}};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); ++i) {
        snprintf(what, sizeof(what), "%s.%s", phase, flags[i].name);
        QM_TRY(read_flags(reader, scheme, what, flags[i].values, count));
    }
    snprintf(what, sizeof(what), "%s.sequence", phase);
    QM_TRY(read_words(reader, scheme, what, scores->sequence, count, evaluation->sequence_count, 0));
    char name[NAME_BYTES];
    snprintf(what, sizeof(what), "%s.has_source", phase);
    if (!find(reader, name, scheme, what))
        return QM_OK;
    QM_TRY(read_flags(reader, scheme, what, scores->has_source, count));
    snprintf(what, sizeof(what), "%s.source_kl.f64", phase);
    QM_TRY(read_doubles(reader, scheme, what, scores->source_kl, count, 0));
    snprintf(what, sizeof(what), "%s.source_kl_reference.f64", phase);
    return read_doubles(reader, scheme, what, scores->source_kl_reference, count, 0);
}

static enum qm_status read_check(struct reader *reader, const char *scheme, struct qm_agreement *out)
{
    size_t count = 0;
    QM_TRY(count_doubles(reader, scheme, "check.device_kl.f64", SIZE_MAX / 16, &count));
    QM_TRY(new_doubles(reader, scheme, "check.device_kl.f64", &out->device, count, 0));
    QM_TRY(new_doubles(reader, scheme, "check.own_kl.f64", &out->own, count, 0));
    char name[NAME_BYTES];
    if (find(reader, name, scheme, "check.shaken_kl.f64"))
        QM_TRY(new_doubles(reader, scheme, "check.shaken_kl.f64", &out->shaken, count, 0));
    out->count = out->capacity = count;
    return QM_OK;
}

static enum qm_status read_point(struct reader *reader, const char *scheme, struct qm_point_run *point)
{
    char what[64], name[96], full[NAME_BYTES];
    size_t steps = point->is_decode ? point->steps : 1;
    snprintf(what, sizeof(what), "%s.batch%u.%u", point->is_decode ? "decode" : "prefill", point->batch,
             point->is_decode ? point->depth : point->tokens);
    snprintf(name, sizeof(name), "%s.batch", what);
    if (find(reader, full, scheme, name)) // a smaller one than was asked for
        QM_TRY(read_words(reader, scheme, name, &point->batch, 1, point->batch_asked, 0));
    if (point->batch == 0)
        return refuse(reader, full, "a batch of 0");
    snprintf(name, sizeof(name), "%s.wall_ns.f64", what);
    QM_TRY(count_doubles(reader, scheme, name, QM_SAMPLES_BLOCKS_MAX, &point->count));
    if (point->count == 0)
        return QM_OK;
    QM_TRY(new_times(reader, scheme, name, &point->wall_ns, point->count));
    snprintf(name, sizeof(name), "%s.step_ns.f64", what);
    QM_TRY(new_times(reader, scheme, name, &point->step_ns, point->count * steps));
    snprintf(name, sizeof(name), "%s.device_ns.f64", what);
    point->has_device_time = find(reader, full, scheme, name) != NULL;
    if (!point->has_device_time)
        return QM_OK;
    QM_TRY(new_times(reader, scheme, name, &point->device_ns, point->count));
    for (size_t i = 0; i < point->count; ++i) {
        double sum = 0;
        for (size_t step = 0; step < steps; ++step)
            sum += point->step_ns[i * steps + step];
        if (fabs(sum - point->device_ns[i]) > 1e-9 * sum)
            return refuse(reader, full, "a block's time is not the sum of its steps'");
    }
    return QM_OK;
}

static enum qm_status read_points(struct reader *reader, const char *scheme, struct own_scheme *own,
                                  struct qm_raw_scheme *raw)
{
    const struct qm_profile *profile = reader->params->profile;
    size_t count = profile->prefill_count + profile->decode_count;
    if (!raw->is_ok) // what ended a scheme took its times
        return QM_OK;
    own->points = calloc(count + 1, sizeof(*own->points));
    if (!own->points)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", reader->own->file.file);
    raw->points = own->points;
    raw->point_count = count;
    for (size_t i = 0; i < count; ++i) {
        struct qm_point_run *point = &own->points[i];
        *point = qm_point_of_profile(profile, profile, i);
        QM_TRY(read_point(reader, scheme, point));
    }
    return QM_OK;
}

static enum qm_status read_widening(struct reader *reader, const char *scheme, struct own_scheme *own,
                                    struct qm_raw_scheme *raw)
{
    struct qm_widening_run *widening = &own->widening;
    size_t scored = reader->own->evaluation->scored_count;
    uint32_t about[QM_SAMPLES_WIDENING_WORDS];
    char name[NAME_BYTES];
    raw->widening = widening;
    if (!find(reader, name, scheme, "widening.about"))
        return QM_OK;
    QM_TRY(read_words(reader, scheme, "widening.about", about, QM_SAMPLES_WIDENING_WORDS, UINT32_MAX, UINT32_MAX));
    widening->rows = about[QM_SAMPLES_WIDENING_ROWS];
    widening->columns = about[QM_SAMPLES_WIDENING_COLUMNS];
    widening->products = about[QM_SAMPLES_WIDENING_PRODUCTS];
    widening->has_device_time = about[QM_SAMPLES_WIDENING_IS_DEVICE_TIME] == 1;
    widening->before_tokens = about[QM_SAMPLES_WIDENING_BEFORE];
    if (widening->before_tokens > scored)
        return refuse(reader, name, "more tokens before timing than are scored");
    QM_TRY(read_scores(reader, scheme, "widening", own->scores ? scored : widening->before_tokens, scored,
                       &widening->scores));
    if (!own->scores && widening->before_tokens > 0) {
        QM_TRY(new_doubles(reader, scheme, "widening.own_kl.f64", &own->own_kl, widening->before_tokens, 0));
        raw->own_kl = own->own_kl;
    }
    QM_TRY(count_doubles(reader, scheme, "widening.tiled_ns.f64", QM_SAMPLES_PAIRS_MAX, &widening->pairs));
    if (widening->pairs == 0)
        return QM_OK;
    if (widening->products == 0)
        return refuse(reader, name, "times of no product");
    QM_TRY(new_times(reader, scheme, "widening.tiled_ns.f64", &widening->tiled_ns, widening->pairs));
    return new_times(reader, scheme, "widening.random_ns.f64", &widening->random_ns, widening->pairs);
}

// NaN stands for what no sensor told.
static enum qm_status read_readings(const struct reader *reader, const char *scheme, struct qm_sustained_run *run)
{
    const struct qm_tensor *tensor = NULL;
    size_t count = run->window_count * QM_READING_COUNT;
    QM_TRY(need(reader, scheme, "sustained.readings.f64", QM_DTYPE_U32, 2 * (uint64_t)count, &tensor));
    run->readings = calloc(count + 1, sizeof(*run->readings));
    if (!run->readings)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", reader->own->file.file);
    memcpy(run->readings, tensor->data, count * sizeof(*run->readings));
    for (size_t i = 0; i < count; ++i)
        if (!isnan(run->readings[i]) && !(fabs(run->readings[i]) < 1e18))
            return refuse(reader, tensor->name, "a reading is out of range");
    return QM_OK;
}

static enum qm_status read_sustained(struct reader *reader, const char *scheme, struct own_scheme *own,
                                     struct qm_raw_scheme *raw)
{
    struct qm_sustained_run *run = &own->sustained;
    uint32_t point = 0;
    QM_TRY(count_doubles(reader, scheme, "sustained.begin_ns.f64", QM_SAMPLES_BLOCKS_MAX, &run->count));
    if (run->count == 0)
        return QM_OK;
    QM_TRY(read_words(reader, scheme, "sustained.point", &point, 1, (uint32_t)raw->point_count, 0));
    QM_TRY(count_doubles(reader, scheme, "sustained.at_ns.f64", QM_SAMPLES_BLOCKS_MAX, &run->window_count));
    QM_TRY(new_doubles(reader, scheme, "sustained.begin_ns.f64", &run->begin_ns, run->count, 0));
    QM_TRY(new_doubles(reader, scheme, "sustained.wall_ns.f64", &run->wall_ns, run->count, 1));
    QM_TRY(new_doubles(reader, scheme, "sustained.at_ns.f64", &run->at_ns, run->window_count, 0));
    QM_TRY(new_doubles(reader, scheme, "sustained.probe_ns.f64", &run->probe_ns, run->window_count, 1));
    run->point = point;
    run->is_measured = true;
    raw->sustained = run;
    return read_readings(reader, scheme, run);
}

static enum qm_status read_timing(struct reader *reader)
{
    struct own *own = reader->own;
    struct qm_raw *raw = reader->raw;
    QM_TRY(count_doubles(reader, "timing", "noise.f64", QM_SAMPLES_BLOCKS_MAX, &raw->noise_count));
    QM_TRY(count_doubles(reader, "timing", "clock_host_ns.f64", QM_SAMPLES_BLOCKS_MAX, &raw->clock_count));
    if (raw->noise_count > 0)
        QM_TRY(new_doubles(reader, "timing", "noise.f64", &own->noise, raw->noise_count, -100));
    if (raw->clock_count > 0) {
        QM_TRY(new_doubles(reader, "timing", "clock_host_ns.f64", &own->clock_host_ns, raw->clock_count, 0));
        QM_TRY(new_doubles(reader, "timing", "clock_device_ns.f64", &own->clock_device_ns, raw->clock_count, 0));
    }
    raw->noise = own->noise;
    raw->clock_host_ns = own->clock_host_ns;
    raw->clock_device_ns = own->clock_device_ns;
    return QM_OK;
}

static enum qm_status read_variants(struct reader *reader, const char *scheme, struct own_scheme *own,
                                    struct qm_raw_scheme *raw)
{
    char name[NAME_BYTES];
    const struct qm_tensor *tensor = find(reader, name, scheme, "kernels");
    if (!tensor)
        return QM_OK;
    if (tensor->dtype != QM_DTYPE_U8 || tensor->rank != 1)
        return refuse(reader, name, "expected names of kernels, each on a line");
    own->variants = calloc(tensor->bytes + 1, 1);
    if (!own->variants)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", reader->own->file.file);
    memcpy(own->variants, tensor->data, tensor->bytes);
    for (char *at = own->variants; *at;) {
        size_t length = strcspn(at, "\n");
        if (raw->variant_count == QM_RAW_VARIANTS_MAX || length == 0 || length > 63)
            return refuse(reader, name, "more kernels, or longer names, than there can be");
        raw->variants[raw->variant_count++] = at;
        at += length;
        if (*at)
            *at++ = '\0';
    }
    return QM_OK;
}

static enum qm_status read_scheme(struct reader *reader, size_t s)
{
    struct own_scheme *own = &reader->own->schemes[s];
    struct qm_raw_scheme *raw = &reader->raw->schemes[s];
    const struct qm_profile *profile = reader->params->profile;
    size_t scored = reader->own->evaluation->scored_count;
    raw->scheme = &profile->schemes[s];
    raw->is_ok = reader->params->is_ok[s];
    const char *name = raw->scheme->name;
    QM_TRY(read_variants(reader, name, own, raw));
    QM_TRY(read_scores(reader, name, "prefill", scored, scored, &own->scores));
    raw->scores = own->scores;
    raw->own_kl = own->scores ? own->scores->kl : NULL;
    if (reader->params->widen > 1)
        QM_TRY(read_widening(reader, name, own, raw));
    QM_TRY(read_points(reader, name, own, raw)); // so that all that are ok have the same, whatever is in the file
    if (!own->scores && !(reader->params->is_part && raw->is_ok))
        return QM_OK;
    if (own->scores)
        QM_TRY(read_scores(reader, name, "decode", 0, scored * (profile->decode_count + 1), &own->decode_scores));
    raw->decode_scores = own->decode_scores;
    QM_TRY(read_check(reader, name, &own->agreement));
    raw->agreement = &own->agreement;
    QM_TRY(qm_samples_read_answers(&reader->own->file, name, &reader->own->reference_answers, &own->answers,
                                   &raw->answers));
    QM_TRY(qm_samples_read_deployment(&reader->own->file, name, profile, &reader->own->requests, &own->deployment));
    if (own->deployment.rounds > 0 && raw->is_ok)
        raw->deployment = &own->deployment;
    return read_sustained(reader, name, own, raw);
}

enum qm_status qm_samples_parse(void **bytes, size_t count, const char *name, const struct qm_samples_params *params,
                                struct qm_samples *out)
{
    memset(out, 0, sizeof(*out));
    enum qm_status status = QM_OK;
    struct own *own = calloc(1, sizeof(*own));
    struct reader reader = {.params = params, .own = own, .raw = &out->raw};
    if (!own) {
        free(*bytes);
        *bytes = NULL;
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", name);
    }
    out->own = own;
    QM_GUARD(qm_tensors_parse(bytes, count, name, &own->file));
    const char *version = qm_tensors_text(&own->file, "qmark_samples");
    const char *tile = qm_tensors_text(&own->file, "tile");
    if (!version || strcmp(version, QM_SAMPLES_VERSION) != 0) {
        status = QM_FAIL(QM_INVALID, "%s: samples of version '%.20s'; this qmark reads %s", name,
                         version ? version : "none", QM_SAMPLES_VERSION);
        goto done;
    }
    out->raw.profile = params->profile;
    out->raw.widen = params->widen;
    out->raw.tile = tile ? tile : "";
    out->raw.tuned = qm_tensors_text(&own->file, "tuned") ? qm_tensors_text(&own->file, "tuned") : "";
    QM_GUARD(qm_kernel_tuned_set(out->raw.tuned)); // what follows looks its kernels up
    out->raw.scheme_count = params->profile->scheme_count;
    QM_GUARD(read_evaluation(&reader));
    QM_GUARD(qm_samples_read_reference_answers(&own->file, &own->reference_answers, &out->raw));
    QM_GUARD(qm_samples_read_requests(&own->file, params->profile, &own->requests));
    if (own->requests.count > 0)
        out->raw.requests = &own->requests;
    for (size_t s = 0; s < params->profile->scheme_count; ++s)
        QM_GUARD(read_scheme(&reader, s));
    QM_GUARD(read_timing(&reader));
    QM_GUARD(qm_speed_judge_timer(&out->raw));
done:
    if (status != QM_OK)
        qm_samples_free(out);
    return status;
}

void qm_samples_free(struct qm_samples *samples)
{
    struct own *own = samples->own;
    if (own) {
        for (size_t s = 0; s < QM_PROFILE_SCHEMES_MAX; ++s) {
            struct own_scheme *scheme = &own->schemes[s];
            for (size_t i = 0; i < samples->raw.schemes[s].point_count; ++i) {
                free(scheme->points[i].device_ns);
                free(scheme->points[i].wall_ns);
                free(scheme->points[i].step_ns);
            }
            free(scheme->points);
            qm_samples_answers_free(&scheme->answers);
            free(scheme->deployment.times);
            free(scheme->deployment.pass_ns);
            free(scheme->deployment.check_kl);
            free(scheme->variants);
            free(scheme->own_kl);
            qm_token_scores_destroy(&scheme->scores);
            qm_token_scores_destroy(&scheme->decode_scores);
            qm_token_scores_destroy(&scheme->widening.scores);
            free(scheme->widening.tiled_ns);
            free(scheme->widening.random_ns);
            qm_agreement_clear(&scheme->agreement);
            free(scheme->sustained.begin_ns);
            free(scheme->sustained.wall_ns);
            free(scheme->sustained.at_ns);
            free(scheme->sustained.probe_ns);
            free(scheme->sustained.readings);
        }
        qm_samples_answers_free(&own->reference_answers);
        qm_requests_free(&own->requests);
        free(own->noise);
        free(own->clock_host_ns);
        free(own->clock_device_ns);
        qm_evaluation_destroy(&own->evaluation);
        qm_tensors_free(&own->file);
        free(own);
    }
    memset(samples, 0, sizeof(*samples));
}

enum qm_status qm_samples_read_beside(const char *path, const struct qm_node *result, void **bytes, size_t *count)
{
    const char *name = qm_node_text_at(result, "samples.file", "");
    char directory[QM_PATH_BYTES], beside[QM_PATH_BYTES];
    *bytes = NULL;
    if (!name[0] || strchr(name, '/') || strchr(name, '\\') || name[0] == '.')
        return QM_OK; // comparing it with what it should be called tells of it
    snprintf(directory, sizeof(directory), "%.*s", (int)(qm_path_name(path) - path), path);
    QM_TRY(qm_path_join(beside, directory, name));
    if (!qm_file_exists(beside))
        return QM_OK;
    return qm_file_read(beside, QM_SAMPLES_BYTES_MAX, bytes, count);
}
