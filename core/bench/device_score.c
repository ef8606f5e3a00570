// The scored passes: logits come back, are checked against their checksum and the device's own log-probabilities, and
// are scored against the fp32 reference.
#include "bench/device_run_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "bench/result_derive.h"
#include "model/engine.h"
#include "sys/file.h"

// Of a part of a model checksums and the agreement with the reference backend are all that there is.
static bool is_part(const struct qm_session *session)
{
    return qm_model_is_part(session->prepared->model);
}

// What a `run` with logits left in the scratch file: passes of rows of logits, each followed by log-probabilities.
struct kept {
    float *values;
    uint32_t passes, rows, vocabulary;
};

static const float *kept_logits(const struct kept *kept, uint32_t pass, uint32_t row)
{
    size_t stride = (size_t)kept->rows * (kept->vocabulary + 1);
    return kept->values + pass * stride + (size_t)row * kept->vocabulary;
}

static float kept_log_probability(const struct kept *kept, uint32_t pass, uint32_t row)
{
    size_t stride = (size_t)kept->rows * (kept->vocabulary + 1);
    return kept->values[pass * stride + (size_t)kept->rows * kept->vocabulary + row];
}

static uint64_t kept_checksum(const struct kept *kept, uint32_t pass)
{
    uint64_t fold = 0;
    for (uint32_t row = 0; row < kept->rows; ++row)
        fold = qm_checksum_fold(fold, qm_checksum_row(kept_logits(kept, pass, row), kept->vocabulary));
    return fold;
}

// Reads what runs with logits left and checks every checksum; `texts` are those that the device gave, one per pass.
// `checksums` (may be NULL) receives them.
static enum qm_status read_kept(struct qm_session *session, const json_t *texts, uint32_t position, struct kept *kept,
                                uint64_t *checksums)
{
    const char *path = session->params->scratch_path;
    enum qm_status status = QM_OK;
    size_t expected = (size_t)kept->passes * kept->rows * (kept->vocabulary + 1) * sizeof(float), count = 0;
    QM_GUARD(qm_file_read(path, expected, (void **)&kept->values, &count));
    if (count != expected) {
        status = QM_FAIL(QM_FAILED, "the worker left %zu bytes of logits where %zu were expected", count, expected);
        goto done;
    }
    for (uint32_t pass = 0; pass < kept->passes; ++pass) {
        const char *text = json_string_value(json_array_get(texts, pass));
        uint64_t device = text ? strtoull(text, NULL, 16) : 0, host = kept_checksum(kept, pass);
        if (device != host) {
            status = QM_FAIL(QM_WRONG_RESULT,
                             "the device's checksum of its logits, %016llx, is not that of the logits it gave, %016llx "
                             "(pass %u from position %u)",
                             (unsigned long long)device, (unsigned long long)host, pass, position);
            goto done;
        }
        if (checksums)
            checksums[pass] = device;
    }
done:
    if (status != QM_OK) {
        free(kept->values);
        kept->values = NULL;
    }
    return status;
}

// Runs passes and reads what they left. A widened pass may take minutes and is asked for alone, so that a worker that
// works is not taken for one that hangs.
static enum qm_status run_kept(struct qm_session *session, size_t scheme, uint32_t batch, uint32_t tokens,
                               uint32_t position, uint32_t sequence, uint32_t repeats, struct kept *kept,
                               uint64_t *checksums)
{
    const char *path = session->params->scratch_path;
    *kept = (struct kept){
        .passes = repeats, .rows = batch * tokens, .vocabulary = session->prepared->model->config.vocabulary};
    uint32_t at_once = session->run->widen > 1 ? 1 : repeats;
    json_t *texts = json_array();
    enum qm_status status = QM_OK;
    QM_GUARD(qm_file_remove(path));
    for (uint32_t pass = 0; pass < repeats; pass += at_once) {
        json_t *answer = NULL;
        QM_GUARD(qm_session_run(session, scheme, batch, tokens, position + (tokens == 1 ? pass : 0),
                                sequence + (tokens == 1 ? 0 : pass * batch), at_once, path, &answer));
        json_array_extend(texts, json_object_get(answer, "checksums"));
        json_decref(answer);
    }
    status = read_kept(session, texts, position, kept, checksums);
done:
    json_decref(texts);
    return status;
}

// The device's kernel and the host must say the same of the target's probability.
static enum qm_status check_log_probability(float device, double nll, const struct qm_token_place *place)
{
    double difference = (double)device + nll;
    difference = difference < 0 ? -difference : difference;
    if (!(difference <= 1e-3 + 1e-5 * nll))
        return QM_FAIL(QM_WRONG_RESULT,
                       "log_softmax gave %g for the next token at window %u, position %u, and its logits give %g",
                       (double)device, place->window, place->position, -nll);
    return QM_OK;
}

static enum qm_status score_token(struct qm_session *session, const struct kept *kept, uint32_t pass, uint32_t row,
                                  const struct qm_scored_token *token, struct qm_token_scores *scores, size_t index,
                                  double *kl_width)
{
    const struct qm_evaluation *evaluation = session->prepared->evaluation;
    const struct qm_reference_row *reference = &session->prepared->reference->scored[token - evaluation->scored];
    struct qm_token_place place = {token->sequence, token->window, token->position};
    struct qm_token_score score;
    double kl_high;
    QM_TRY(qm_reference_row_score(reference, kept_logits(kept, pass, row), kept->vocabulary, token->target, &place,
                                  &score, &kl_high));
    QM_TRY(qm_token_scores_put(scores, index, &score, token->target, &place));
    *kl_width = kl_high - score.kl;
    struct qm_evaluation_source drawn;
    if (!reference->ids && qm_evaluation_source(evaluation, token, &drawn))
        QM_TRY(qm_token_scores_set_source(scores, index, &drawn.source, reference->logits, kept_logits(kept, pass, row),
                                          kept->vocabulary, &place));
    return check_log_probability(kept_log_probability(kept, pass, row), scores->nll[index], &place);
}

// KL(widened || narrow) of the windows' scored tokens from index `scored` on: the widened logits have just been kept, the
// others are computed here, on the same device.
static enum qm_status score_narrow(struct qm_session *session, size_t scheme, uint32_t first, uint32_t count,
                                   const struct kept *wide, size_t scored)
{
    const struct qm_evaluation *evaluation = session->prepared->evaluation;
    struct qm_widening_run *widening = &session->run->schemes[scheme].widening;
    struct kept narrow = {.passes = count, .rows = wide->rows, .vocabulary = wide->vocabulary};
    const char *path = session->params->scratch_path;
    json_t *answer = NULL;
    QM_TRY(qm_file_remove(path));
    QM_TRY(qm_session_run_narrow(session, scheme, evaluation->set.window_tokens, count, path, &answer));
    enum qm_status status = read_kept(session, json_object_get(answer, "checksums"), 0, &narrow, NULL);
    json_decref(answer);
    QM_TRY(status);
    for (; scored < evaluation->scored_count && evaluation->scored[scored].window < first + count; ++scored) {
        const struct qm_scored_token *token = &evaluation->scored[scored];
        struct qm_token_place place = {token->sequence, token->window, token->position};
        QM_GUARD(qm_token_scores_set(
            widening->scores, scored, kept_logits(wide, token->window - first, token->position),
            kept_logits(&narrow, token->window - first, token->position), wide->vocabulary, token->target, &place));
    }
    if (first == 0) {
        widening->before_tokens = scored;
        status = qm_session_judge_widening(session, scheme, scored, &widening->before);
    }
done:
    free(narrow.values);
    return status;
}

// Logits of a window position against the reference backend running the same artifact.
static enum qm_status check_row(struct qm_session *session, size_t scheme, uint32_t window, uint32_t position,
                                const float *logits)
{
    const struct qm_prepared *prepared = session->prepared;
    if (window >= prepared->verify_windows)
        return QM_OK;
    size_t tokens = prepared->evaluation->set.window_tokens;
    uint32_t vocabulary = prepared->model->config.vocabulary;
    const float *backend = prepared->schemes[scheme].own_reference + (window * tokens + position) * vocabulary;
    const float *fp32 = prepared->own_fp32->dense[window * tokens + position];
    struct qm_token_place place = {0, window, position};
    double device_kl = 0, own_kl = 0;
    QM_TRY(qm_token_kl(backend, logits, vocabulary, "the reference backend", "the device", &place, &device_kl));
    QM_TRY(qm_token_kl(fp32, backend, vocabulary, "fp32", "the reference backend", &place, &own_kl));
    const double *shaken = prepared->schemes[scheme].shaken_kl;
    return qm_agreement_add(&session->run->schemes[scheme].agreement, device_kl, own_kl,
                            shaken ? shaken[window * tokens + position] : 0, window, position);
}

// Judged over all rows so far, prefill and decode together: in a single short block one rounding that falls the other
// way would be the whole mean.
static enum qm_status judge_check(struct qm_session *session, size_t scheme, const char *phase)
{
    struct qm_scheme_run *run = &session->run->schemes[scheme];
    const struct qm_scheme *s = &session->prepared->schemes[scheme].scheme;
    struct qm_agreement_verdict *v = &run->verdict;
    QM_TRY(qm_derive_check(s, session->run->widen, &run->agreement, v));
    if (!v->agrees)
        return QM_FAIL(
            QM_WRONG_RESULT,
            "%s logits differ from the reference backend's of the same artifact: KL mean %.3g nats, bound "
            "%.3g, without the worst 1 %% %.3g, bound %.3g, median %.3g, bound %.3g; worst %.3g at window %u, "
            "position %u",
            phase, v->mean, v->mean_bound, v->body, v->body_bound, v->median, v->median_bound, run->agreement.worst,
            run->agreement.worst_window, run->agreement.worst_position);
    return QM_OK;
}

// Prefill of `count` windows from `first` on, one after another, in sequences 0...
static enum qm_status score_prefill(struct qm_session *session, size_t scheme, uint32_t first, uint32_t count,
                                    size_t *scored)
{
    const struct qm_evaluation *evaluation = session->prepared->evaluation;
    struct qm_scheme_run *run = &session->run->schemes[scheme];
    struct kept kept;
    uint64_t *checksums = calloc(count, sizeof(*checksums));
    if (!checksums)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for checksums");
    enum qm_status status = run_kept(session, scheme, 1, evaluation->set.window_tokens, 0, 0, count, &kept, checksums);
    if (status != QM_OK) {
        free(checksums);
        return status;
    }
    size_t first_scored = *scored;
    for (;
         !is_part(session) && *scored < evaluation->scored_count && evaluation->scored[*scored].window < first + count;
         ++*scored) {
        const struct qm_scored_token *token = &evaluation->scored[*scored];
        double kl_width = 0;
        QM_GUARD(score_token(session, &kept, token->window - first, token->position, token, run->scores, *scored,
                             &kl_width));
        run->kl_width += kl_width;
        run->kl_width_largest = kl_width > run->kl_width_largest ? kl_width : run->kl_width_largest;
    }
    if (session->run->widen > 1)
        QM_GUARD(score_narrow(session, scheme, first, count, &kept, first_scored));
    for (uint32_t w = 0; w < count; ++w) {
        for (uint32_t p = 0; p < evaluation->set.window_tokens && first + w < session->prepared->verify_windows; ++p)
            QM_GUARD(check_row(session, scheme, first + w, p, kept_logits(&kept, w, p)));
    }
    QM_GUARD(judge_check(session, scheme, "prefill"));
    // Points that prefill one whole window repeat these very passes.
    for (size_t i = 0; first == 0 && i < run->point_count; ++i) {
        struct qm_point_run *point = &run->points[i];
        if (!point->is_decode && point->batch == 1 && point->tokens == evaluation->set.window_tokens) {
            memcpy(point->expected, checksums, count * sizeof(*checksums));
            point->expected_count = count;
        }
    }
done:
    free(checksums);
    free(kept.values);
    return status;
}

// What the scored prefill left in the cache, to the sequences of each smaller batch, whose windows are the same: before any
// decode writes to it.
static enum qm_status fill_decode(struct qm_session *session, size_t scheme, uint32_t count)
{
    for (size_t b = 1; b < session->batch_count; ++b) {
        json_t *answer = NULL;
        if (session->batches[b] > count)
            continue;
        QM_TRY(qm_session_ask(session,
                              json_pack("{s:s, s:s, s:I, s:I, s:I}", "do", "copy", "scheme",
                                        session->prepared->schemes[scheme].scheme.name, "from", (json_int_t)0, "to",
                                        (json_int_t)session->bases[b], "count", (json_int_t)session->batches[b]),
                              &answer));
        json_decref(answer);
    }
    return QM_OK;
}

// Runs every depth of a batch once, in the order of the profile: from then on each decode block finds what the block
// before it has left, in the scored pass and in every timed one.
static enum qm_status settle_decode(struct qm_session *session, size_t scheme, uint32_t batch)
{
    const struct qm_profile *profile = session->profile;
    json_t *answer = NULL;
    for (size_t i = 0; i < profile->decode_count; ++i) {
        const struct qm_profile_decode *decode = &profile->decode[i];
        if (decode->batch != batch)
            continue;
        QM_TRY(qm_session_run(session, scheme, batch, 1, decode->depth, qm_session_base(session, batch), decode->steps,
                              NULL, &answer));
        json_decref(answer);
    }
    return QM_OK;
}

// The scored tokens of window `first` + b at positions depth..depth + steps - 1, from decode logits.
static enum qm_status score_decode_block(struct qm_session *session, size_t scheme, uint32_t first,
                                         const struct qm_profile_decode *decode, struct qm_point_run *point)
{
    const struct qm_evaluation *evaluation = session->prepared->evaluation;
    struct qm_scheme_run *run = &session->run->schemes[scheme];
    struct kept kept;
    uint64_t *checksums = calloc(decode->steps, sizeof(*checksums));
    if (!checksums)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for checksums");
    enum qm_status status = run_kept(session, scheme, decode->batch, 1, decode->depth,
                                     qm_session_base(session, decode->batch), decode->steps, &kept, checksums);
    if (status != QM_OK) {
        free(checksums);
        return status;
    }
    // Several batches decode the same windows; each token counts once, for the largest.
    bool is_counted = decode->batch == session->batches[0] && !is_part(session);
    double kl_width = 0; // of prefill alone it is told
    for (size_t i = 0; i < evaluation->scored_count && is_counted; ++i) {
        const struct qm_scored_token *token = &evaluation->scored[i];
        if (token->window < first || token->window >= first + decode->batch || token->position < decode->depth ||
            token->position >= decode->depth + decode->steps)
            continue;
        QM_GUARD(score_token(session, &kept, token->position - decode->depth, token->window - first, token,
                             run->decode_scores, run->decode_scored, &kl_width));
        ++run->decode_scored;
    }
    for (uint32_t step = 0; step < decode->steps; ++step) {
        for (uint32_t b = 0; b < decode->batch; ++b)
            QM_GUARD(check_row(session, scheme, first + b, decode->depth + step, kept_logits(&kept, step, b)));
    }
    QM_GUARD(judge_check(session, scheme, "decode"));
    if (point && first == 0) {
        memcpy(point->expected, checksums, decode->steps * sizeof(*checksums));
        point->expected_count = decode->steps;
    }
done:
    free(checksums);
    free(kept.values);
    return status;
}

static enum qm_status score_decode(struct qm_session *session, size_t scheme, uint32_t first, uint32_t count)
{
    const struct qm_profile *profile = session->profile;
    if (first == 0)
        QM_TRY(fill_decode(session, scheme, count));
    for (size_t b = 0; b < session->batch_count; ++b) {
        uint32_t batch = session->batches[b];
        if (batch > count || (first != 0 && b != 0))
            continue; // the last group may be short; further groups are scored at the largest batch only
        // The largest batch decodes where the scored prefill has just been.
        QM_TRY(settle_decode(session, scheme, batch));
        for (size_t i = 0; i < profile->decode_count; ++i) {
            if (profile->decode[i].batch == batch)
                QM_TRY(score_decode_block(session, scheme, first, &profile->decode[i],
                                          &session->run->schemes[scheme].points[profile->prefill_count + i]));
        }
    }
    return QM_OK;
}

// Prefill points of other shapes have scored passes of their own: their logits are those of the same windows, so they
// must be close to the reference backend's like them, and their checksums are what timed passes must repeat.
static enum qm_status score_other_prefill(struct qm_session *session, size_t scheme)
{
    struct qm_scheme_run *run = &session->run->schemes[scheme];
    for (size_t i = 0; i < session->profile->prefill_count; ++i) {
        struct qm_point_run *point = &run->points[i];
        if (point->expected_count > 0)
            continue;
        struct kept kept;
        QM_TRY(run_kept(session, scheme, point->batch, point->tokens, 0, 0, 1, &kept, point->expected));
        enum qm_status status = QM_OK;
        for (uint32_t row = 0; row < kept.rows && status == QM_OK; ++row)
            status = check_row(session, scheme, row / point->tokens, row % point->tokens, kept_logits(&kept, 0, row));
        free(kept.values);
        QM_TRY(status);
        QM_TRY(judge_check(session, scheme, "prefill"));
        point->expected_count = 1;
    }
    return QM_OK;
}

static enum qm_status summarize(struct qm_session *session, size_t scheme)
{
    const struct qm_evaluation *evaluation = session->prepared->evaluation;
    const struct qm_bootstrap *bootstrap = &session->profile->bootstrap;
    struct qm_scheme_run *run = &session->run->schemes[scheme];
    struct qm_derived derived = {0};
    enum qm_status status = qm_derive_accuracy(evaluation, bootstrap, run->scores, &derived);
    if (status == QM_OK && session->prepared->lacks_reference)
        qm_derived_forget_reference(&derived);
    run->summary = derived.summary;
    run->cells = derived.cells;
    run->details = derived.details;
    QM_TRY(status);
    if (session->run->widen > 1)
        QM_TRY(qm_session_judge_widening(session, scheme, evaluation->scored_count, &run->widening.all));
    if (run->decode_scored == 0)
        return QM_OK;
    run->decode_scores->count = run->decode_scored; // room was made for the most there could be
    QM_TRY(qm_derive_plain(evaluation, bootstrap, run->decode_scores, run->decode_scored, &run->decode_summary));
    if (session->prepared->lacks_reference)
        qm_summary_forget_reference(run->decode_summary);
    return QM_OK;
}

uint32_t qm_session_group_count(const struct qm_session *session)
{
    return (session->prepared->evaluation->set.windows + session->group - 1) / session->group;
}

enum qm_status qm_session_score_begin(struct qm_session *session)
{
    const struct qm_evaluation *evaluation = session->prepared->evaluation;
    for (size_t s = 0; s < session->run->scheme_count; ++s) {
        struct qm_scheme_run *run = &session->run->schemes[s];
        if (run->status != QM_OK || is_part(session))
            continue;
        QM_TRY(qm_token_scores_create(evaluation->scored_count, &run->scores));
        QM_TRY(qm_token_scores_create(evaluation->scored_count * (session->profile->decode_count + 1),
                                      &run->decode_scores));
        if (session->run->widen > 1)
            QM_TRY(qm_token_scores_create(evaluation->scored_count, &run->widening.scores));
    }
    return QM_OK;
}

static enum qm_status score_scheme(struct qm_session *session, size_t scheme, uint32_t first, uint32_t count,
                                   size_t scored)
{
    QM_TRY(score_prefill(session, scheme, first, count, &scored));
    QM_TRY(score_decode(session, scheme, first, count));
    return first == 0 ? score_other_prefill(session, scheme) : QM_OK;
}

enum qm_status qm_session_score_groups(struct qm_session *session, uint32_t first_group, uint32_t end)
{
    const struct qm_evaluation *evaluation = session->prepared->evaluation;
    for (uint32_t group = first_group; group < end; ++group) {
        uint32_t first = group * session->group, left = evaluation->set.windows - first;
        uint32_t count = left < session->group ? left : session->group;
        size_t scored = 0;
        while (scored < evaluation->scored_count && evaluation->scored[scored].window < first)
            ++scored;
        QM_TRY(qm_session_tokens(session, first, count, 0));
        for (size_t b = 1; b < session->batch_count && first == 0; ++b)
            QM_TRY(qm_session_tokens(session, 0, session->batches[b] < count ? session->batches[b] : count,
                                     session->bases[b]));
        for (size_t s = 0; s < session->run->scheme_count; ++s) {
            if (session->run->schemes[s].status != QM_OK)
                continue;
            char what[QM_SCHEME_NAME_BYTES + 80];
            snprintf(what, sizeof(what), "scoring %s, windows %u to %u of %u",
                     session->prepared->schemes[s].scheme.name, first + 1, first + count, evaluation->set.windows);
            qm_session_tell(session, what, count);
            enum qm_status status = score_scheme(session, s, first, count, scored);
            if (status != QM_OK) {
                qm_session_fail(session, s, status);
                if (!qm_client_is_alive(session->client))
                    return status;
            }
        }
    }
    return QM_OK;
}

enum qm_status qm_session_score_end(struct qm_session *session)
{
    QM_TRY(qm_reference_rows_check(session->prepared->reference));
    for (size_t s = 0; s < session->run->scheme_count; ++s) {
        if (session->run->schemes[s].status != QM_OK)
            continue;
        enum qm_status status = summarize(session, s);
        if (status == QM_WRONG_RESULT) // beyond the bound of its widening
            qm_session_fail(session, s, status);
        else
            QM_TRY(status);
    }
    return QM_OK;
}
