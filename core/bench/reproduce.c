#include "bench/reproduce.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/result_build.h"
#include "bench/samples.h"
#include "bench/simulate.h"
#include "record/result.h"
#include "sys/conditions.h"
#include "sys/host.h"
#include "sys/process.h"

// ---- Preparing ------------------------------------------------------------------------------------------------------

static const struct qm_node *scheme_of(const struct qm_node *record, const char *name)
{
    const struct qm_node *schemes = qm_node_child(record, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); ++i) {
        if (strcmp(qm_node_text_at(qm_node_at(schemes, i), "name", ""), name) == 0)
            return qm_node_at(schemes, i);
    }
    return NULL;
}

// A width that was found on the record's device is taken as it is, and what the record scored is scored: if examples were
// calibrated on, it says so itself.
static struct qm_preparation_params preparation_params(const struct qm_rerun_params *params)
{
    uint64_t widen = 0;
    if (strcmp(qm_node_text_at(params->record, "profile.widen", ""), "fit") != 0 ||
        !qm_node_u64_at(params->record, "model.widen", &widen))
        widen = 0;
    return (struct qm_preparation_params){.profile_node = qm_node_child(params->record, "profile"),
                                          .schemes = params->schemes,
                                          .model = params->model,
                                          .reference = params->reference,
                                          .evaluation_file = params->evaluation_file,
                                          .calibration_file = params->calibration_file,
                                          .deployment_file = params->deployment_file,
                                          .cache_directory = params->cache_directory,
                                          .widen = widen,
                                          .allow_overlap = true};
}

static enum qm_status limit_profile(struct qm_profile *profile, const struct qm_rerun_params *params)
{
    for (size_t i = 0; i < profile->scheme_count; ++i) {
        if (!scheme_of(params->record, profile->schemes[i].name))
            return QM_FAIL(QM_INVALID,
                           "--scheme %s: the result has no such scheme, so that it claims nothing of it; 'qmark show' "
                           "lists those that it has",
                           profile->schemes[i].name);
    }
    if (params->is_quick)
        profile->sustained = QM_PROFILE_SUSTAINED_NONE;
    else if (params->sustained_s > 0 && profile->sustained_s > (double)params->sustained_s)
        profile->sustained_s = (double)params->sustained_s;
    return qm_profile_update(profile);
}

// A profile of another version of qmark may lack what decides numbers today; nobody can add it to somebody else's result.
static enum qm_status check_profile(const struct qm_node *record)
{
    struct qm_profile *profile = malloc(sizeof(*profile));
    if (!profile)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a profile");
    enum qm_status status = qm_profile_read(qm_node_child(record, "profile"), profile);
    free(profile);
    if (status == QM_INVALID)
        qm_error_prefix(
            "the result is of qmark %.20s, source %.40s, and its profile cannot be run by this one, %s; take "
            "that version: ",
            qm_node_text_at(record, "qmark.version", "?"), qm_node_text_at(record, "qmark.source", "?"), QM_VERSION);
    return status;
}

enum qm_status qm_rerun_read(const struct qm_rerun_params *params, struct qm_preparation **out)
{
    const struct qm_preparation_params preparation = preparation_params(params);
    *out = NULL;
    QM_TRY(check_profile(params->record));
    QM_TRY(qm_preparation_read(&preparation, out));
    enum qm_status status = limit_profile(&(*out)->profile, params);
    if (status != QM_OK)
        qm_preparation_destroy(out);
    return status;
}

enum qm_status qm_rerun_make(struct qm_preparation *preparation, const struct qm_rerun_params *params)
{
    const struct qm_preparation_params making = preparation_params(params);
    QM_TRY(qm_preparation_make(preparation, &making, params->progress, params->progress_context));
    for (size_t s = 0; s < preparation->prepared.scheme_count; ++s) {
        struct qm_prepared_scheme *scheme = &preparation->prepared.schemes[s];
        const char *id = qm_node_text_at(scheme_of(params->record, scheme->scheme.name), "artifact.id", "undisclosed");
        if (scheme->status != QM_OK || strcmp(id, scheme->artifact->id) == 0)
            continue;
        scheme->status = QM_UNSUPPORTED;
        snprintf(scheme->reason, sizeof(scheme->reason), "the artifact differs: record %.16s, here %.16s", id,
                 scheme->artifact->id);
    }
    return QM_OK;
}

// ---- The record's own scores ----------------------------------------------------------------------------------------

// Standard error of the mean of per-token differences, whole examples being what was drawn; NaN where the two scored other
// tokens. Tokens of one example stand one after another.
static double paired_error(const struct qm_token_scores *a, const struct qm_token_scores *b)
{
    double mean = 0, squares = 0;
    size_t examples = 0;
    if (!a || !b || a->count != b->count || a->count == 0)
        return NAN;
    for (size_t i = 0; i < a->count; ++i) {
        if (a->sequence[i] != b->sequence[i])
            return NAN;
        mean += (a->kl[i] - b->kl[i]) / (double)a->count;
    }
    for (size_t i = 0; i < a->count; ++examples) {
        double sum = 0;
        uint32_t sequence = a->sequence[i];
        for (; i < a->count && a->sequence[i] == sequence; ++i)
            sum += a->kl[i] - b->kl[i] - mean;
        squares += sum * sum;
    }
    double n = (double)examples;
    return examples > 1 ? sqrt(squares * n / (n - 1)) / (double)a->count : (double)NAN;
}

static enum qm_status read_samples(const struct qm_rerun_params *params, void **bytes, size_t *count)
{
    const char *name = qm_node_text_at(params->record, "samples.file", ""), *path = params->record_path;
    char directory[QM_PATH_BYTES], beside[QM_PATH_BYTES], hash[QM_HASH_TEXT_BYTES];
    if (!name[0] || name[0] == '.' || strchr(name, '/') || strchr(name, '\\'))
        return QM_FAIL(QM_INVALID,
                       "the result names no samples; get its .samples.safetensors from whoever published it");
    snprintf(directory, sizeof(directory), "%.*s", (int)(qm_path_name(path) - path), path);
    QM_TRY(qm_path_join(beside, directory, name));
    QM_TRY(qm_file_read(beside, QM_SAMPLES_BYTES_MAX, bytes, count));
    qm_hash_bytes(*bytes, *count, hash);
    if (strcmp(hash, qm_node_text_at(params->record, "samples.sha256", "")) != 0)
        return QM_FAIL(QM_INVALID, "%s is not the file that the result was made of; name the one that was", beside);
    return QM_OK;
}

// Without the samples nothing is lost but precision: the interval of the mean stands in.
static void pair_scores(const struct qm_rerun_params *params, const struct qm_device_run *run,
                        const struct qm_prepared *prepared, double errors[QM_PROFILE_SCHEMES_MAX])
{
    void *bytes = NULL;
    size_t count = 0;
    struct qm_samples samples = {0};
    struct qm_profile *profile = calloc(1, sizeof(*profile)); // with all schemes of the record
    const struct qm_node *schemes = qm_node_child(params->record, "schemes");
    for (size_t i = 0; i < QM_PROFILE_SCHEMES_MAX; ++i)
        errors[i] = (double)NAN;
    if (!profile || read_samples(params, &bytes, &count) != QM_OK ||
        qm_profile_read(qm_node_child(params->record, "profile"), profile) != QM_OK)
        goto done;
    struct qm_samples_params reading = {
        .profile = profile, .widen = run->widen, .is_part = qm_node_get(params->record, "model.layers_run") != NULL};
    for (size_t i = 0; i < profile->scheme_count; ++i)
        reading.is_ok[i] =
            strcmp(qm_node_text_at(scheme_of(params->record, profile->schemes[i].name), "status", ""), "ok") == 0;
    if (qm_samples_parse(&bytes, count, params->record_path, &reading, &samples) != QM_OK)
        goto done;
    for (size_t i = 0; i < qm_node_count(schemes) && i < QM_PROFILE_SCHEMES_MAX; ++i) {
        const char *name = qm_node_text_at(qm_node_at(schemes, i), "name", "");
        const struct qm_token_scores *theirs = NULL, *ours = NULL;
        for (size_t s = 0; s < samples.raw.scheme_count; ++s)
            theirs = strcmp(profile->schemes[s].name, name) == 0 ? samples.raw.schemes[s].scores : theirs;
        for (size_t s = 0; s < run->scheme_count; ++s) {
            if (strcmp(prepared->schemes[s].scheme.name, name) == 0 && run->schemes[s].summary)
                ours = run->schemes[s].scores;
        }
        errors[i] = paired_error(theirs, ours);
    }
done:
    qm_samples_free(&samples);
    free(bytes);
    free(profile);
}

// ---- Running --------------------------------------------------------------------------------------------------------

// What else took the processor or the GPU, if it concerns the device. A simulated clock knows no others.
static void find_disturbance(const struct qm_host_conditions *begin, const struct qm_host_conditions *end,
                             const struct qm_node *result, char *text, size_t capacity)
{
    static const char *const of_processor[] = {"processor-shared", "load", "steal"};
    static const char *const of_all[] = {"gpu-shared", "memory-pressure", "swap", "battery"};
    struct qm_condition_warnings warnings = {0};
    bool is_processor = strcmp(qm_node_text_at(result, "device.type", ""), "cpu") == 0;
    qm_conditions_warn(begin, end, &warnings);
    for (size_t i = 0; i < warnings.count && !text[0]; ++i) {
        bool counts = false;
        for (size_t k = 0; k < sizeof(of_processor) / sizeof(of_processor[0]); ++k)
            counts = counts || (is_processor && strcmp(warnings.list[i].code, of_processor[k]) == 0);
        for (size_t k = 0; k < sizeof(of_all) / sizeof(of_all[0]); ++k)
            counts = counts || strcmp(warnings.list[i].code, of_all[k]) == 0;
        if (counts)
            snprintf(text, capacity, "%s", warnings.list[i].text);
    }
}

// The setting of a simulated clock with a seed of its own for the run; "" where there is none.
static enum qm_status simulate_again(size_t run, char *text, size_t capacity)
{
    const char *setting = getenv("QM_SIMULATE");
    struct qm_simulation simulation;
    bool is_on = false;
    text[0] = '\0';
    QM_TRY(qm_simulation_read(setting, &simulation, &is_on));
    if (is_on && run > 0)
        snprintf(text, capacity, "QM_SIMULATE=%s,seed=%" PRIu64, setting,
                 simulation.seed % 1000000000 + run * 1000000007);
    return QM_OK;
}

static enum qm_status run_once(const struct qm_preparation *preparation, const struct qm_rerun_params *params,
                               struct qm_rerun *out)
{
    size_t number = out->count;
    char simulated[512], directory[QM_PATH_BYTES], name[32], path[QM_PATH_BYTES];
    const char *environment[] = {simulated, NULL};
    struct qm_device_run *run = NULL;
    QM_TRY(simulate_again(number, simulated, sizeof(simulated)));
    const struct qm_device_run_params one = {.prepared = &preparation->prepared,
                                             .device = params->device,
                                             .environment = simulated[0] ? environment : NULL,
                                             .cache_directory = params->cache_directory,
                                             .scratch_path = params->scratch_path,
                                             .only_times = number > 0,
                                             .progress = params->progress,
                                             .progress_context = params->progress_context};
    QM_TRY(qm_device_run(&one, &run));
    if (number == 0)
        pair_scores(params, run, &preparation->prepared, out->paired_errors);
    snprintf(name, sizeof(name), "run-%zu", number + 1);
    enum qm_status status = number > 0 ? qm_path_join(directory, params->directory, name) : QM_OK;
    if (number == 0)
        snprintf(directory, sizeof(directory), "%s", params->directory);
    if (status == QM_OK)
        status = qm_directory_make(directory);
    if (status == QM_OK) {
        status =
            qm_result_write_run(&preparation->prepared, run, params->ordinal, directory, &out->results[number], path);
        if (out->results[number])
            ++out->count;
    }
    if (status == QM_OK && number == 0)
        memcpy(out->path, path, sizeof(path));
    qm_device_run_destroy(&run);
    return status;
}

enum qm_status qm_rerun_device(const struct qm_preparation *preparation, const struct qm_rerun_params *params,
                               struct qm_rerun *out)
{
    struct qm_host_conditions *conditions = calloc(2, sizeof(*conditions));
    const char *simulated = getenv("QM_SIMULATE");
    bool is_simulated = simulated && simulated[0];
    enum qm_status status = QM_OK;
    out->sustained_s =
        preparation->profile.sustained == QM_PROFILE_SUSTAINED_NONE ? 0 : preparation->profile.sustained_s;
    if (!conditions)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the conditions of a run");
    QM_GUARD(qm_conditions_read("", &conditions[0]));
    while (out->count < params->runs && !qm_interrupted()) {
        uint64_t begin_ns = qm_clock_ns();
        QM_GUARD(run_once(preparation, params, out));
        out->seconds_per_run = (double)(qm_clock_ns() - begin_ns) * 1e-9;
    }
    QM_GUARD(qm_conditions_read("", &conditions[1]));
    if (out->count > 0 && !is_simulated)
        find_disturbance(&conditions[0], &conditions[1], out->results[0], out->disturbance, sizeof(out->disturbance));
done:
    free(conditions);
    return status;
}

void qm_rerun_free(struct qm_rerun *rerun)
{
    for (size_t i = 0; i < rerun->count; ++i)
        qm_node_destroy(&rerun->results[i]);
    *rerun = (struct qm_rerun){0};
}
