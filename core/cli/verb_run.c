#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "bench/devices.h"
#include "bench/prepare.h"
#include "bench/result_build.h"
#include "bench/samples.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "record/result.h"
#include "report/show.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/process.h"

struct run_options {
    const char *profile, *devices, *schemes, *directory, *model, *exact_match;
    uint64_t evaluation_seed, widen;
    bool fits, allows_overlap, is_debug, as_json;
};

// What the rows of all devices came to, for the exit code.
struct outcome {
    bool any_wrong, any_failed, any_result, was_interrupted;
};

static enum qm_status choose_devices(const struct run_options *options, struct qm_device_list *list)
{
    QM_TRY(qm_device_list_make(NULL, list));
    for (size_t i = 0; i < list->api_count; ++i) {
        if (list->apis[i].reason[0])
            fprintf(stderr, "%s: %s\n", list->apis[i].api, list->apis[i].reason);
    }
    size_t found = list->count;
    char known[512] = "";
    for (size_t i = 0; i < list->count; ++i) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", list->entries[i].id);
    }
    qm_device_list_select(list, options->devices);
    if (list->count == 0 && found == 0)
        return QM_FAIL(QM_UNAVAILABLE,
                       "no device was found through Vulkan or OpenCL; 'qmark devices --check' says why");
    if (list->count == 0)
        return QM_FAIL(QM_INVALID, "--device %s names no device of this machine; there are %s", options->devices,
                       known);
    return QM_OK;
}

// ---- Estimates: the seconds that a profile took on a device last time -----------------------------------------------

static enum qm_status estimate_path(const char *cache, const struct qm_profile *profile,
                                    const struct qm_device_entry *entry, char path[QM_PATH_BYTES])
{
    char text[512], key[QM_HASH_TEXT_BYTES], name[QM_HASH_TEXT_BYTES + 8], directory[QM_PATH_BYTES];
    snprintf(text, sizeof(text), "%s %s %s %s", profile->hash, entry->api, entry->name, entry->driver);
    qm_hash_bytes(text, strlen(text), key);
    snprintf(name, sizeof(name), "%.16s.txt", key);
    QM_TRY(qm_path_join(directory, cache, "durations"));
    QM_TRY(qm_directory_make(directory));
    return qm_path_join(path, directory, name);
}

static double read_estimate(const char *path)
{
    void *bytes = NULL;
    size_t count = 0;
    double seconds = 0;
    if (qm_file_exists(path) && qm_file_read(path, 64, &bytes, &count) == QM_OK)
        seconds = strtod(bytes, NULL);
    free(bytes);
    return seconds > 0 && seconds < 1e6 ? seconds : 0;
}

static void write_estimate(const char *path, double seconds)
{
    char text[32];
    snprintf(text, sizeof(text), "%.1f\n", seconds);
    (void)!qm_file_write(path, text, strlen(text)); // an estimate that is lost is no loss
}

static void announce(const struct qm_preparation *preparation, const struct qm_device_list *list, const char *cache)
{
    double known_s = 0;
    size_t unknown = 0, stand_ins = 0;
    for (size_t i = 0; i < list->count; ++i) {
        char path[QM_PATH_BYTES];
        double seconds =
            estimate_path(cache, &preparation->profile, &list->entries[i], path) == QM_OK ? read_estimate(path) : 0;
        known_s += seconds;
        unknown += seconds == 0;
        stand_ins += strcmp(list->entries[i].type, "cpu") == 0;
    }
    // Without an earlier run: what software drivers took on two cores, per scheme and evaluation window.
    double guess_s = (double)unknown * ((double)preparation->profile.scheme_count *
                                        (4.0 + 0.6 * preparation->profile.evaluation.windows));
    uint32_t widen = preparation->profile.widen;
    guess_s *= widen > 1 ? 1 + widen * widen / 16.0 : 1;
    fprintf(stderr, "profile %s: %zu schemes, %zu devices, %s %.0f s%s\n", preparation->profile.name,
            preparation->profile.scheme_count, list->count, unknown ? "very roughly" : "about", known_s + guess_s,
            unknown ? " on a software driver, less on a GPU; the first run also compiles kernels" : ", as last time");
    if (stand_ins > 0)
        fprintf(stderr, "%zu of them are stand-ins: drivers in software that run on the processor\n", stand_ins);
}

// ---- One device ---------------------------------------------------------------------------------------------------

static void note_rows(const struct qm_device_run *run, struct outcome *outcome)
{
    for (size_t s = 0; s < run->scheme_count; ++s) {
        outcome->any_wrong |= run->schemes[s].status == QM_WRONG_RESULT;
        outcome->any_failed |= run->schemes[s].status != QM_OK && run->schemes[s].status != QM_WRONG_RESULT &&
                               run->schemes[s].status != QM_UNSUPPORTED;
    }
}

static enum qm_status write_and_show(const struct qm_preparation *preparation, const struct qm_device_run *run,
                                     const struct qm_device_entry *entry, const struct run_options *options,
                                     struct qm_node *json)
{
    char path[QM_PATH_BYTES];
    struct qm_node *result = NULL;
    enum qm_status status =
        qm_result_write_run(&preparation->prepared, run, entry->ordinal, options->directory, &result, path);
    if (status == QM_OK && !options->as_json) {
        struct qm_show_style style = qm_show_style_of(1);
        status = qm_show_result(result, &style, stdout);
        printf("\nwritten to %s\n\n", path);
        fflush(stdout);
    }
    if (status == QM_OK && json)
        qm_node_append_node(json, result);
    else
        qm_node_destroy(&result);
    return status;
}

static enum qm_status run_device(const struct qm_preparation *preparation, const struct qm_device_entry *entry,
                                 const struct run_options *options, const char *cache, struct outcome *outcome,
                                 struct qm_node *json)
{
    char title[192], estimate[QM_PATH_BYTES], scratch[QM_PATH_BYTES], name[64];
    snprintf(title, sizeof(title), "%s %s", entry->id, entry->name);
    QM_TRY(estimate_path(cache, &preparation->profile, entry, estimate));
    snprintf(name, sizeof(name), "logits-%" PRIu32 ".tmp", qm_process_id());
    QM_TRY(qm_path_join(scratch, cache, name));
    struct qm_progress_line line;
    qm_progress_begin(&line, title, read_estimate(estimate));
    struct qm_device_run_params params = {.prepared = &preparation->prepared,
                                          .device = entry->id,
                                          .cache_directory = cache,
                                          .scratch_path = scratch,
                                          .is_debug = options->is_debug,
                                          .progress = qm_progress_show,
                                          .progress_context = &line};
    struct qm_device_run *run = NULL;
    enum qm_status status = qm_device_run(&params, &run);
    double seconds = qm_progress_end(&line);
    (void)!qm_file_remove(scratch);
    if (status != QM_OK) {
        qm_error_prefix("%s: ", title);
        return status;
    }
    note_rows(run, outcome);
    if (run->log_count > 0) {
        fprintf(stderr, "%s: the validation layers had %" PRIu64 " messages\n", title, run->log_count);
        outcome->any_failed = true;
    }
    if (!outcome->any_failed && !outcome->any_wrong)
        write_estimate(estimate, seconds);
    outcome->any_result = true;
    status = write_and_show(preparation, run, entry, options, json);
    qm_device_run_destroy(&run);
    return status;
}

static int run_all(const struct qm_preparation *preparation, const struct qm_device_list *list,
                   const struct run_options *options, const char *cache)
{
    struct outcome outcome = {0};
    struct qm_node *json = options->as_json ? qm_node_new_sequence() : NULL;
    for (size_t i = 0; i < list->count && !qm_interrupted(); ++i) {
        enum qm_status status = run_device(preparation, &list->entries[i], options, cache, &outcome, json);
        if (status != QM_OK) {
            if (!qm_interrupted())
                (void)qm_verb_fail(status);
            outcome.any_failed = true;
        }
    }
    if (json)
        (void)qm_verb_print_json(&json);
    if (qm_interrupted()) {
        fprintf(stderr, "qmark: interrupted; the results written so far are whole\n");
        return QM_EXIT_INTERRUPTED;
    }
    if (outcome.any_wrong)
        return QM_EXIT_WRONG;
    return outcome.any_failed ? QM_EXIT_SOME_FAILED : QM_EXIT_OK;
}

static int run(const struct run_options *options, bool has_seed)
{
    char cache[QM_PATH_BYTES];
    struct qm_preparation *preparation = NULL;
    static struct qm_device_list list;
    struct qm_preparation_params params = {.profile = options->profile,
                                           .schemes = options->schemes,
                                           .model = options->model,
                                           .exact_match = options->exact_match,
                                           .cache_directory = cache,
                                           .widen = options->widen == UINT64_MAX ? 0 : options->widen,
                                           .fits = options->fits,
                                           .allow_overlap = options->allows_overlap,
                                           .has_evaluation_seed = has_seed,
                                           .evaluation_seed = options->evaluation_seed};
    enum qm_status status = QM_OK;
    int code = QM_EXIT_OK;
    if (options->widen == 0) {
        status = QM_FAIL(QM_INVALID, "--widen 0 is no power of two from 1 to %d", QM_PROFILE_WIDEN_MAX);
        goto done;
    }
    QM_GUARD(qm_cache_directory(cache));
    QM_GUARD(qm_preparation_read(&params, &preparation));
    QM_GUARD(choose_devices(options, &list));
    QM_GUARD(qm_directory_make(cache));
    QM_GUARD(qm_directory_make(options->directory));
    QM_GUARD(qm_directory_check_writable(options->directory));
    announce(preparation, &list, cache);
    qm_interrupt_watch();
    struct qm_progress_line line;
    qm_progress_begin(&line, "preparing artifacts and reference", 0);
    status = qm_preparation_make(preparation, &params, qm_progress_show, &line);
    qm_progress_end(&line);
    if (status == QM_OK)
        code = run_all(preparation, &list, options, cache);
done:
    qm_preparation_destroy(&preparation);
    if (status != QM_OK)
        return qm_interrupted() ? QM_EXIT_INTERRUPTED : qm_verb_fail(status);
    return code;
}

int qm_verb_run(int argc, char **argv)
{
    struct run_options o = {
        .profile = "quick", .directory = "qmark-results", .evaluation_seed = UINT64_MAX, .widen = UINT64_MAX};
    const struct qm_option options[] = {
        {"profile", QM_OPTION_TEXT, &o.profile, "NAME|FILE",
         "what to run: quick, standard or a file; quick if not given"},
        {"device", QM_OPTION_TEXT, &o.devices, "LIST",
         "only these: ids (vulkan:0), APIs or drivers, with commas between"},
        {"scheme", QM_OPTION_TEXT, &o.schemes, "LIST", "only these schemes, and the baseline, with commas between"},
        {"out", QM_OPTION_TEXT, &o.directory, "DIR", "where results are written; qmark-results if not given"},
        {"model", QM_OPTION_TEXT, &o.model, "NAME|DIR",
         "built-in, built-in-outliers or a directory; the profile's if not given"},
        {"widen", QM_OPTION_WHOLE, &o.widen, "R",
         "repeat the residual stream R times: 1, 2, 4 .. 64; the profile's if not given"},
        {"fit", QM_OPTION_FLAG, &o.fits, NULL, "repeat it as often as the device's memory holds, 64 times at most"},
        {"eval-seed", QM_OPTION_WHOLE, &o.evaluation_seed, "N", "score a fresh evaluation set, made from this seed"},
        {"exact-match", QM_OPTION_TEXT, &o.exact_match, "R",
         "accept only if exact match is at least R of fp32's, such as 0.99 or 0.999"},
        {"allow-overlap", QM_OPTION_FLAG, &o.allows_overlap, NULL,
         "score examples that were calibrated on, which the result discloses"},
        {"debug", QM_OPTION_FLAG, &o.is_debug, NULL, "with validation layers; timings mean nothing then"},
        {"json", QM_OPTION_FLAG, &o.as_json, NULL, "print the results as JSON in place of tables"},
    };
    const struct qm_command command = {.verb = "run",
                                       .operands = "",
                                       .meaning = "Time and score a profile on every device.",
                                       .details = "",
                                       .options = options,
                                       .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    bool done = false;
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    return done ? QM_EXIT_OK : run(&o, o.evaluation_seed != UINT64_MAX);
}
