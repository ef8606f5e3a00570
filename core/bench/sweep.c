#include "bench/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/process.h"

// The most that a profile asks for.
#define WINDOWS_MAX 100000

// ---- The plan -----------------------------------------------------------------------------------------------------

static enum qm_status add_size(const char *text, uint32_t windows, struct qm_sweep *sweep)
{
    size_t at = 0;
    while (at < sweep->size_count && sweep->sizes[at] < windows)
        ++at;
    if (at < sweep->size_count && sweep->sizes[at] == windows)
        return QM_FAIL(QM_INVALID, "--sizes %s: %" PRIu32 " stands twice; give each size once", text, windows);
    if (sweep->size_count == QM_SWEEP_SIZES_MAX)
        return QM_FAIL(QM_INVALID, "--sizes %s: more than %d sizes; give fewer", text, QM_SWEEP_SIZES_MAX);
    memmove(&sweep->sizes[at + 1], &sweep->sizes[at], (sweep->size_count - at) * sizeof(sweep->sizes[0]));
    sweep->sizes[at] = windows;
    ++sweep->size_count;
    return QM_OK;
}

static enum qm_status parse_sizes(const char *text, struct qm_sweep *sweep)
{
    for (const char *at = text;; ++at) {
        const size_t digits = strspn(at, "0123456789");
        const unsigned long windows = digits > 0 && digits <= 6 ? strtoul(at, NULL, 10) : 0;
        if (windows < 1 || windows > WINDOWS_MAX || (at[digits] != ',' && at[digits] != '\0'))
            return QM_FAIL(QM_INVALID, "--sizes %s: sizes are whole numbers of windows from 1 to %d, such as 4,16,64",
                           text, WINDOWS_MAX);
        QM_TRY(add_size(text, (uint32_t)windows, sweep));
        at += digits;
        if (*at == '\0')
            return QM_OK;
    }
}

static void default_sizes(uint32_t windows, struct qm_sweep *sweep)
{
    for (uint32_t part = 16; part >= 1; part /= 4) {
        const uint32_t size = windows / part > 0 ? windows / part : 1;
        if (sweep->size_count == 0 || sweep->sizes[sweep->size_count - 1] != size)
            sweep->sizes[sweep->size_count++] = size;
    }
}

// A row for each size, or one where nothing is calibrated.
static void add_method(const struct qm_scheme *scheme, struct qm_sweep *sweep)
{
    const size_t count = qm_scheme_is_calibrated(scheme) ? sweep->size_count : 1;
    ++sweep->method_count;
    for (size_t i = 0; i < count; ++i) {
        struct qm_sweep_row *row = &sweep->rows[sweep->row_count++];
        row->scheme = *scheme;
        row->windows = qm_scheme_is_calibrated(scheme) ? sweep->sizes[i] : 0;
    }
}

enum qm_status qm_sweep_plan(const char *scheme, const char *sizes, uint32_t windows, struct qm_sweep *out)
{
    *out = (struct qm_sweep){0};
    QM_TRY(qm_scheme_parse(scheme, &out->scheme));
    if (sizes)
        QM_TRY(parse_sizes(sizes, out));
    else
        default_sizes(windows, out);
    for (int c = QM_CALIBRATOR_NONE; c < QM_CALIBRATOR_COUNT; ++c) {
        struct qm_scheme candidate;
        // With static scales `none` is absmax, which has a turn of its own.
        if (c == QM_CALIBRATOR_NONE && out->scheme.is_static)
            continue;
        if (qm_scheme_with_calibrator(&out->scheme, (enum qm_calibrator)c, false, &candidate) != QM_OK)
            continue;
        add_method(&candidate, out);
        if (c == QM_CALIBRATOR_GPTQ &&
            qm_scheme_with_calibrator(&out->scheme, QM_CALIBRATOR_GPTQ, true, &candidate) == QM_OK)
            add_method(&candidate, out);
    }
    if (out->method_count < 2)
        return QM_FAIL(QM_INVALID, "scheme '%s' leaves no choice of calibrators; sweep one such as w4a16-g32", scheme);
    return QM_OK;
}

// ---- Trying it ----------------------------------------------------------------------------------------------------

// What all rows share. Progress is counted in windows that went through the model, which is what takes the time.
struct work {
    struct qm_sweep *sweep;
    const struct qm_preparation *preparation;
    struct qm_reference_params reference;
    struct qm_reference_time time;
    qm_progress progress;
    void *progress_context;
    double done, span, total;                          // windows: before this step, of it, and in all
    const float *fp32;                                 // logits over the evaluation set
    float *logits;                                     // a row's
    struct qm_token_scores *scores[QM_SWEEP_ROWS_MAX]; // of the row at that index
};

static void tell(void *context, const char *what, double fraction)
{
    const struct work *work = context;
    if (work->progress)
        work->progress(work->progress_context, what, (work->done + fraction * work->span) / work->total);
}

static enum qm_status score(struct work *work, const struct qm_artifact *artifact, size_t index)
{
    const struct qm_evaluation *evaluation = work->preparation->evaluation;
    struct qm_sweep_row *row = &work->sweep->rows[index];
    const uint32_t vocabulary = artifact->config.vocabulary;
    QM_TRY(qm_reference_compute_logits(&work->reference, artifact, &row->scheme, evaluation, evaluation->set.windows,
                                       work->logits));
    QM_TRY(qm_token_scores_create(evaluation->scored_count, &work->scores[index]));
    for (size_t i = 0; i < evaluation->scored_count; ++i) {
        const struct qm_scored_token *token = &evaluation->scored[i];
        const struct qm_token_place place = {token->sequence, token->window, token->position};
        const size_t at = ((size_t)token->window * evaluation->set.window_tokens + token->position) * vocabulary;
        QM_TRY(qm_token_scores_set(work->scores[index], i, work->fp32 + at, work->logits + at, vocabulary,
                                   token->target, &place));
    }
    struct qm_summary *summary = NULL;
    QM_TRY(qm_summary_create(&(struct qm_summary_params){.scores = work->scores[index],
                                                         .sequence_count = evaluation->sequence_count,
                                                         .bootstrap = work->preparation->profile.bootstrap},
                             &summary));
    row->kl = summary->metrics[QM_METRIC_KL_MEAN];
    row->perplexity_ratio = summary->metrics[QM_METRIC_PERPLEXITY_RATIO];
    work->sweep->scored_tokens = summary->tokens;
    work->sweep->sequences = summary->sequences;
    qm_summary_destroy(&summary);
    return QM_OK;
}

static enum qm_status make_row(struct work *work, const struct qm_evaluation *calibration,
                               const struct qm_calibration *collected, size_t index)
{
    struct qm_sweep_row *row = &work->sweep->rows[index];
    struct qm_artifact *artifact = NULL;
    work->time = (struct qm_reference_time){0};
    tell(work, row->scheme.name, 0);
    enum qm_status status = qm_reference_build(&work->reference, &row->scheme, calibration, collected, &artifact);
    row->building_s = work->time.building_s;
    if (status == QM_OK) {
        row->bytes = artifact->bytes;
        snprintf(row->artifact_id, sizeof(row->artifact_id), "%s", artifact->id);
        status = score(work, artifact, index);
    }
    qm_artifact_destroy(&artifact);
    return status;
}

// All rows of one size; 0 has those that are not calibrated. Fails only where the whole sweep is to end.
static enum qm_status make_rows(struct work *work, uint32_t windows, struct qm_reference_collector *collector)
{
    const struct qm_preparation *p = work->preparation;
    struct qm_profile_set set = p->profile.calibration;
    struct qm_evaluation *calibration = NULL;
    set.windows = windows;
    if (windows > 0)
        QM_TRY(qm_evaluation_create(QM_SPLIT_CALIBRATION, &set, p->model_directory, &calibration));
    work->span = p->profile.evaluation.windows;
    for (size_t i = 0; i < work->sweep->row_count; ++i) {
        struct qm_sweep_row *row = &work->sweep->rows[i];
        if (row->windows != windows)
            continue;
        row->tokens = (uint64_t)windows * set.window_tokens;
        row->collecting_s = windows > 0 ? qm_reference_collector_seconds(collector) : 0;
        row->status = make_row(work, calibration, windows > 0 ? qm_reference_collected(collector) : NULL, i);
        work->done += work->span;
        if (row->status == QM_OK)
            continue;
        snprintf(row->reason, sizeof(row->reason), "%s", qm_error_text());
        qm_token_scores_destroy(&work->scores[i]);
        if (qm_interrupted())
            break;
    }
    qm_evaluation_destroy(&calibration);
    return qm_interrupted() ? QM_FAIL(QM_INTERRUPTED, "interrupted") : QM_OK;
}

// From the smallest size on: the run over the calibration set pauses at each.
static enum qm_status make_calibrated_rows(struct work *work)
{
    const struct qm_preparation *p = work->preparation;
    const struct qm_sweep *sweep = work->sweep;
    enum qm_status status = QM_OK;
    struct qm_reference_collector *collector = NULL;
    struct qm_evaluation *largest = NULL;
    struct qm_calibration_options options = {0};
    struct qm_profile_set set = p->profile.calibration;
    set.windows = sweep->sizes[sweep->size_count - 1];
    for (size_t i = 0; i < sweep->row_count; ++i)
        if (sweep->rows[i].windows > 0)
            qm_reference_add_options(&sweep->rows[i].scheme, &options);
    QM_GUARD(qm_evaluation_create(QM_SPLIT_CALIBRATION, &set, p->model_directory, &largest));
    QM_GUARD(qm_reference_collector_open(&work->reference, largest, &options, &collector));
    double rows_done = work->done;
    for (size_t s = 0; s < sweep->size_count; ++s) {
        // The collector's fraction is of the whole set, whose first windows were counted when they were seen.
        work->done = rows_done;
        work->span = set.windows;
        QM_GUARD(qm_reference_collector_advance(collector, sweep->sizes[s]));
        work->done = rows_done + sweep->sizes[s];
        QM_GUARD(make_rows(work, sweep->sizes[s], collector));
        rows_done = work->done - sweep->sizes[s];
    }
done:
    qm_reference_collector_close(&collector);
    qm_evaluation_destroy(&largest);
    return status;
}

static int by_kl(const void *left, const void *right)
{
    const struct qm_sweep_row *a = left, *b = right;
    if ((a->status == QM_OK) != (b->status == QM_OK))
        return a->status == QM_OK ? -1 : 1;
    if (a->ranked.kl < b->ranked.kl || a->ranked.kl > b->ranked.kl)
        return a->ranked.kl < b->ranked.kl ? -1 : 1;
    if (a->windows != b->windows)
        return a->windows < b->windows ? -1 : 1;
    return strcmp(a->scheme.name, b->scheme.name);
}

static enum qm_status rank(struct work *work)
{
    struct qm_sweep *sweep = work->sweep;
    const struct qm_token_scores *passes[QM_SWEEP_ROWS_MAX];
    struct qm_ranked ranked[QM_SWEEP_ROWS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < sweep->row_count; ++i)
        if (sweep->rows[i].status == QM_OK)
            passes[count++] = work->scores[i];
    if (count > 0)
        QM_TRY(qm_ranking_make(passes, count, work->preparation->evaluation->sequence_count,
                               &work->preparation->profile.bootstrap, ranked));
    count = 0;
    for (size_t i = 0; i < sweep->row_count; ++i)
        if (sweep->rows[i].status == QM_OK)
            sweep->rows[i].ranked = ranked[count++];
    qsort(sweep->rows, sweep->row_count, sizeof(sweep->rows[0]), by_kl);
    return QM_OK;
}

enum qm_status qm_sweep_run(struct qm_sweep *sweep, const struct qm_preparation *preparation,
                            const char *cache_directory, qm_progress progress, void *progress_context)
{
    const struct qm_evaluation *evaluation = preparation->evaluation;
    const double windows = evaluation->set.windows;
    enum qm_status status = QM_OK;
    float *fp32 = NULL;
    struct work *work = calloc(1, sizeof(*work));
    if (!work)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a sweep");
    *work = (struct work){.sweep = sweep,
                          .preparation = preparation,
                          .progress = progress,
                          .progress_context = progress_context,
                          .span = windows,
                          .total = windows * (double)(1 + sweep->row_count) + sweep->sizes[sweep->size_count - 1]};
    work->reference = (struct qm_reference_params){
        .model = preparation->model, .cache_directory = cache_directory, .progress = tell, .progress_context = work};
    QM_GUARD(qm_reference_fp32_logits(&work->reference, evaluation, &fp32));
    work->fp32 = fp32;
    work->reference.time = &work->time;
    work->done = windows;
    work->logits = malloc((size_t)evaluation->set.windows * evaluation->set.window_tokens *
                          preparation->model->config.vocabulary * sizeof(*work->logits));
    if (!work->logits) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the logits of %u windows", evaluation->set.windows);
        goto done;
    }
    QM_GUARD(make_rows(work, 0, NULL));
    QM_GUARD(make_calibrated_rows(work));
    QM_GUARD(rank(work));
done:
    for (size_t i = 0; i < sweep->row_count; ++i)
        qm_token_scores_destroy(&work->scores[i]);
    free(work->logits);
    free(work);
    free(fp32);
    return status;
}

const struct qm_sweep_row *qm_sweep_cheapest(const struct qm_sweep *sweep)
{
    const struct qm_sweep_row *best = NULL;
    for (size_t i = 0; i < sweep->row_count; ++i) {
        const struct qm_sweep_row *row = &sweep->rows[i];
        const struct qm_estimate *over = &row->ranked.over_best;
        if (row->status != QM_OK)
            continue;
        const bool is_equal = row->ranked.is_best || (over->state == QM_ESTIMATE_INTERVAL && over->low <= 0);
        if (is_equal && (!best || row->collecting_s + row->building_s < best->collecting_s + best->building_s))
            best = row;
    }
    return best;
}
