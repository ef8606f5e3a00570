#include "bench/prepare_sets.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result_workload.h"
#include "model/model_tokenizer.h"
#include "text/tokenizer.h"
#include "workload/disclosure.h"

// ---- Tokens ---------------------------------------------------------------------------------------------------------

static enum qm_status encode(void *context, const char *text, size_t bytes, bool add_special, uint32_t **ids,
                             size_t *count)
{
    const struct qm_encode_options options = {.add_special_tokens = add_special};
    struct qm_tokens tokens = {0};
    enum qm_status status = qm_tokenizer_encode(context, text, bytes, &options, &tokens);
    *ids = tokens.ids;
    *count = tokens.count;
    if (status != QM_OK) {
        qm_tokens_free(&tokens);
        *ids = NULL;
    }
    return status;
}

static enum qm_status load_tokenizer(struct qm_preparation *p)
{
    char path[QM_PATH_BYTES];
    if (p->tokenizer)
        return QM_OK;
    bool found = false;
    QM_TRY(qm_model_tokenizer_find(p->model_path, path, &found)); // what is not there says so when it is loaded
    QM_TRY(qm_model_tokenizer_load(path, &p->tokenizer));
    if (qm_tokenizer_size(p->tokenizer) > p->model->config.vocabulary)
        return QM_FAIL(QM_INVALID,
                       "%s: ids up to %zu, and the model has %" PRIu32 " tokens; use the tokenizer of this model", path,
                       qm_tokenizer_size(p->tokenizer) - 1, p->model->config.vocabulary);
    return QM_OK;
}

// ---- What the points of a profile need of a set ---------------------------------------------------------------------

static void need_of_points(const struct qm_profile *profile, uint32_t *windows, uint32_t *tokens)
{
    *windows = *tokens = 1;
    for (size_t i = 0; i < profile->prefill_count; ++i) {
        *windows = profile->prefill[i].batch > *windows ? profile->prefill[i].batch : *windows;
        *tokens = profile->prefill[i].prompt > *tokens ? profile->prefill[i].prompt : *tokens;
    }
    for (size_t i = 0; i < profile->decode_count; ++i) {
        uint32_t end = profile->decode[i].depth + profile->decode[i].steps;
        *windows = profile->decode[i].batch > *windows ? profile->decode[i].batch : *windows;
        *tokens = end > *tokens ? end : *tokens;
    }
}

static uint32_t least_of(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

// `encoder` is filled, and must stay while the file is read.
static enum qm_status file_params(struct qm_preparation *p, const char *path, struct qm_text_encoder *encoder,
                                  struct qm_user_set_params *out)
{
    *out = (struct qm_user_set_params){.path = path,
                                       .encoder = encoder,
                                       .vocabulary = p->model->config.vocabulary,
                                       .context = p->model->config.context,
                                       .reading = QM_EXAMPLES_DEFAULT};
    QM_TRY(load_tokenizer(p));
    *encoder = (struct qm_text_encoder){encode, p->tokenizer};
    out->has_begin = qm_tokenizer_begin_id(p->tokenizer, &out->begin);
    return QM_OK;
}

// A set that a record or a profile describes must be that set.
static enum qm_status check_record(const struct qm_profile_set *recorded, const struct qm_evaluation *now,
                                   const char *path)
{
    if (qm_profile_set_is_users(recorded) && recorded->sha256[0] && strcmp(recorded->sha256, now->sha256) != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: its tokens hash to %.16s, and those of the record to %.16s; give the file that was used",
                       path, now->sha256, recorded->sha256);
    return QM_OK;
}

// ---- Evaluation -----------------------------------------------------------------------------------------------------

static enum qm_status set_compat(const struct qm_preparation_params *params, struct qm_user_set_params *file)
{
    if (!params->compat)
        return QM_OK;
    if (strcmp(params->compat, "llama-perplexity") != 0)
        return QM_FAIL(QM_INVALID, "--compat %.60s is not known; there is llama-perplexity", params->compat);
    if (qm_user_set_kind(file->path) != QM_SET_TEXT)
        return QM_FAIL(QM_INVALID, "%s: --compat llama-perplexity is for texts, and these are examples; leave it out",
                       file->path);
    file->is_compatible = true;
    return QM_OK;
}

// Before anything is run: a result without what was asked for would be of no use.
static enum qm_status check_embedding(const struct qm_user_set *set, const char *path)
{
    if (!set->examples)
        return QM_FAIL(QM_INVALID, "%s: --embed-texts is for examples, and this is a text; leave it out", path);
    struct qm_node *node = qm_node_new_mapping();
    enum qm_status status = qm_workload_embed_examples(set->examples, QM_RESULT_EMBEDDED_BYTES_MAX, "texts", node);
    qm_node_destroy(&node);
    return status;
}

static enum qm_status read_evaluation_file(struct qm_preparation *p, const struct qm_preparation_params *params)
{
    struct qm_text_encoder encoder;
    struct qm_user_set_params file;
    struct qm_profile_set *set = &p->profile.evaluation;
    bool is_recorded = qm_profile_set_is_users(set);
    QM_TRY(file_params(p, params->evaluation_file, &encoder, &file));
    need_of_points(&p->profile, &file.windows_least, &file.tokens_least);
    file.is_compatible = is_recorded && set->is_compatible;
    QM_TRY(set_compat(params, &file));
    file.stride = params->stride > 0 ? least_of(params->stride, UINT32_MAX) : is_recorded ? set->stride : 0;
    if (params->window_tokens > 0)
        file.window_tokens = least_of(params->window_tokens, UINT32_MAX);
    else
        file.window_tokens =
            least_of(set->file_window_tokens ? set->file_window_tokens : set->window_tokens, file.context);
    file.windows_most = params->windows_most > 0 ? least_of(params->windows_most, UINT32_MAX) : set->file_windows;
    if (file.tokens_least > file.context)
        return QM_FAIL(QM_INVALID,
                       "%s: a point of %" PRIu32 " tokens exceeds the model's context of %" PRIu32
                       "; use a profile with shorter ones",
                       p->profile.path, file.tokens_least, file.context);
    QM_TRY(qm_user_set_read(&file, &p->evaluation_file));
    QM_TRY(check_record(set, p->evaluation_file.evaluation, params->evaluation_file));
    if (params->embeds_texts)
        QM_TRY(check_embedding(&p->evaluation_file, params->evaluation_file));
    p->evaluation = p->evaluation_file.evaluation;
    *set = p->evaluation->set;
    return QM_OK;
}

static enum qm_status fail_built_in(const struct qm_preparation *p, const char *what, const char *option)
{
    return QM_FAIL(QM_INVALID,
                   "the built-in %s set is of the built-in model's %d tokens, and this model has %" PRIu32
                   "; give a text or examples of your own with %s",
                   what, QM_VOCABULARY_SIZE, p->model->config.vocabulary, option);
}

static enum qm_status read_evaluation(struct qm_preparation *p, const struct qm_preparation_params *params)
{
    if (params->evaluation_file)
        return read_evaluation_file(p, params);
    if (params->compat || params->window_tokens || params->stride || params->windows_most || params->embeds_texts)
        return QM_FAIL(QM_INVALID,
                       "--compat, --eval-window, --eval-stride, --eval-windows and --embed-texts are of a file "
                       "that is scored; give one with --eval");
    if (qm_profile_set_is_users(&p->profile.evaluation))
        return QM_FAIL(QM_INVALID, "%s: what is scored is a user's own %s; give it with --eval", p->profile.path,
                       p->profile.evaluation.kind == QM_SET_TEXT ? "text" : "examples");
    if (p->model->config.vocabulary != QM_VOCABULARY_SIZE)
        return params->only_artifacts ? QM_OK : fail_built_in(p, "evaluation", "--eval"); // nothing is scored then
    return qm_evaluation_create(QM_SPLIT_EVALUATION, &p->profile.evaluation, p->model_directory, &p->evaluation);
}

// ---- Calibration ----------------------------------------------------------------------------------------------------

static bool is_calibrated(const struct qm_profile *profile)
{
    bool is = false;
    for (size_t s = 0; s < profile->scheme_count; ++s)
        is = is || qm_scheme_is_calibrated(&profile->schemes[s]);
    return is;
}

static enum qm_status read_calibration_file(struct qm_preparation *p, const struct qm_preparation_params *params)
{
    struct qm_text_encoder encoder;
    struct qm_user_set_params file;
    struct qm_profile_set *set = &p->profile.calibration;
    QM_TRY(file_params(p, params->calibration_file, &encoder, &file));
    // Scales of shorter windows than those that are scored were never told what later positions need.
    file.window_tokens = set->window_tokens > p->profile.evaluation.window_tokens ? set->window_tokens
                                                                                  : p->profile.evaluation.window_tokens;
    file.window_tokens = least_of(file.window_tokens, file.context);
    file.windows_most = set->windows;
    QM_TRY(qm_user_set_read_calibration(&file, &p->calibration_file));
    QM_TRY(check_record(set, p->calibration_file.evaluation, params->calibration_file));
    p->calibration = p->calibration_file.evaluation;
    *set = p->calibration->set;
    return QM_OK;
}

static enum qm_status read_calibration(struct qm_preparation *p, const struct qm_preparation_params *params)
{
    const struct qm_profile_set *set = &p->profile.calibration;
    if (params->calibration_file)
        return read_calibration_file(p, params);
    if (qm_profile_set_is_users(set))
        return QM_FAIL(QM_INVALID, "%s: what is calibrated on is a user's own %s; give it with --calib",
                       p->profile.path, set->kind == QM_SET_TEXT ? "text" : "examples");
    if (is_calibrated(&p->profile) && p->model->config.vocabulary != QM_VOCABULARY_SIZE)
        return fail_built_in(p, "calibration", "--calib");
    return qm_evaluation_create(set->kind == QM_SET_OF_EVALUATION ? QM_SPLIT_EVALUATION : QM_SPLIT_CALIBRATION, set,
                                p->model_directory, &p->calibration);
}

// ---- Both -----------------------------------------------------------------------------------------------------------

static bool is_built_in(const struct qm_preparation *p)
{
    return !p->evaluation_file.evaluation && !p->calibration_file.evaluation;
}

// A score on what scales and codes were fitted to says nothing of other text.
static enum qm_status find_overlap(struct qm_preparation *p, const struct qm_preparation_params *params)
{
    if (is_built_in(p))
        return qm_evaluation_overlap(p->evaluation, p->calibration, &p->overlap);
    QM_TRY(qm_user_set_overlap(p->evaluation, p->calibration, &p->overlap_found));
    p->overlap = (uint32_t)p->overlap_found.overlapping;
    if (p->overlap > 0 && !params->allow_overlap)
        return qm_overlap_refuse(&p->overlap_found,
                                 params->evaluation_file ? params->evaluation_file : p->evaluation->name,
                                 params->calibration_file ? params->calibration_file : p->calibration->name);
    return QM_OK;
}

static enum qm_status check_sets(struct qm_preparation *p, const struct qm_preparation_params *params)
{
    if (!p->evaluation || (!is_built_in(p) && !is_calibrated(&p->profile)))
        return QM_OK; // nothing is scored, or the calibration set is not looked at
    if (p->profile.calibration.window_tokens < p->profile.evaluation.window_tokens)
        return QM_FAIL(QM_INVALID,
                       "%s: calibration windows of %u tokens are shorter than the %u that are scored; use at least %u",
                       p->profile.path, p->profile.calibration.window_tokens, p->profile.evaluation.window_tokens,
                       p->profile.evaluation.window_tokens);
    QM_TRY(find_overlap(p, params));
    if (p->overlap > 0 && !params->allow_overlap)
        return QM_FAIL(QM_INVALID,
                       "%s: %u of the %u examples that are scored are in the calibration set; use set: built-in or "
                       "another seed for one of them, or --allow-overlap, which the result discloses",
                       p->profile.path, p->overlap, p->evaluation->sequence_count);
    return QM_OK;
}

enum qm_status qm_preparation_read_sets(struct qm_preparation *p, const struct qm_preparation_params *params)
{
    QM_TRY(read_evaluation(p, params));
    QM_TRY(read_calibration(p, params));
    if (!is_built_in(p)) // the profile says now what they are
        QM_TRY(qm_profile_update(&p->profile));
    return check_sets(p, params);
}

void qm_preparation_free_sets(struct qm_preparation *p)
{
    if (!p->evaluation_file.evaluation)
        qm_evaluation_destroy(&p->evaluation);
    if (!p->calibration_file.evaluation)
        qm_evaluation_destroy(&p->calibration);
    qm_user_set_free(&p->evaluation_file);
    qm_user_set_free(&p->calibration_file);
    qm_tokenizer_destroy(&p->tokenizer);
}
