#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "bench/devices.h"
#include "bench/forecast.h"
#include "bench/prepare.h"
#include "bench/result_build.h"
#include "bench/samples.h"
#include "cli/chosen_devices.h"
#include "cli/flips.h"
#include "cli/options.h"
#include "cli/over_time.h"
#include "cli/progress.h"
#include "cli/run_options.h"
#include "cli/verbs.h"
#include "record/result.h"
#include "report/show.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/lock.h"
#include "sys/process.h"

// What the rows of all devices came to, for the exit code.
#define LOCK_NAME "qmark.lock"

struct outcome {
    bool any_wrong, any_failed;
};

// A run that is going on.
struct going {
    struct qm_run_options *options;
    struct qm_preparation *preparation;
    struct qm_device_list *list;
    struct qm_journal *journal;      // of this run, and of the one that is resumed
    size_t rows[QM_DEVICE_LIST_MAX]; // of the journal, per device of the list
    char cache[QM_PATH_BYTES];
    char scratch[QM_PATH_BYTES]; // for logits
    struct qm_lock *directory_lock, *scratch_lock;
    struct qm_device_list *reference_list; // who may compute the fp32 reference
    struct qm_reference_on_device on_device;
    bool has_no_journal;                           // it cannot be written any more
    struct qm_live_line lines[QM_DEVICE_LIST_MAX]; // of a terminal, one per device of the list
    struct outcome outcome;
};

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
    if (!qm_progress_is_text())
        return;
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
    // Without an earlier run: what software drivers took on two cores, per scheme and evaluation window, and what the profile
    // itself says of its sustained runs.
    const struct qm_profile *profile = &preparation->profile;
    double each_s = 4.0 + 0.6 * profile->evaluation.windows;
    if (profile->sustained != QM_PROFILE_SUSTAINED_NONE)
        each_s += profile->sustained_s + profile->cool_down_s;
    double guess_s = (double)unknown * (double)profile->scheme_count * each_s;
    uint32_t widen = preparation->profile.widen;
    guess_s *= widen > 1 ? 1 + widen * widen / 16.0 : 1;
    struct qm_text text = {0}, wrapped = {0};
    qm_text_append(&text, "profile %s: %zu scheme%s, %zu device%s, %s %.0f s%s\n", preparation->profile.name,
                   preparation->profile.scheme_count, preparation->profile.scheme_count == 1 ? "" : "s", list->count,
                   list->count == 1 ? "" : "s", unknown ? "very roughly" : "about", known_s + guess_s,
                   unknown ? " on a software driver, less on a GPU; the first run also compiles kernels"
                           : ", as last time");
    if (stand_ins > 0)
        qm_text_append(&text, "%zu of them %s: %s in software that %s on the processor\n", stand_ins,
                       stand_ins == 1 ? "is a stand-in" : "are stand-ins", stand_ins == 1 ? "a driver" : "drivers",
                       stand_ins == 1 ? "runs" : "run");
    qm_text_wrap(&wrapped, qm_text_bytes(&text), qm_is_terminal(2) ? qm_terminal_columns(2, 80) - 1 : 1000, 2);
    fputs(qm_text_bytes(&wrapped), stderr);
    qm_text_free(&text);
    qm_text_free(&wrapped);
}

// ---- One device ---------------------------------------------------------------------------------------------------

static enum qm_journal_outcome note_rows(const struct qm_device_run *run, struct outcome *outcome)
{
    struct outcome own = {0};
    for (size_t s = 0; s < run->scheme_count; ++s) {
        own.any_wrong |= run->schemes[s].status == QM_WRONG_RESULT;
        own.any_failed |= run->schemes[s].status != QM_OK && run->schemes[s].status != QM_WRONG_RESULT &&
                          run->schemes[s].status != QM_UNSUPPORTED;
    }
    own.any_failed |= run->log_count > 0;
    outcome->any_wrong |= own.any_wrong;
    outcome->any_failed |= own.any_failed;
    return own.any_wrong ? QM_JOURNAL_WRONG : own.any_failed ? QM_JOURNAL_ROWS_FAILED : QM_JOURNAL_OK;
}

// A journal that cannot be written is told once; what is measured is worth more than it.
static void keep(struct going *going, enum qm_status status)
{
    if (status == QM_OK || going->has_no_journal)
        return;
    going->has_no_journal = true;
    going->outcome.any_failed = true;
    fprintf(stderr, "qmark: %s; this run cannot be resumed\n", qm_error_text());
}

// What people see of a device once it is measured.
static enum qm_status close_device(const struct going *going, const struct qm_device_run *run,
                                   const struct qm_node *result, const char *path)
{
    struct qm_show_style style = qm_show_style_of(1);
    struct qm_over_time over_time;
    style.has_cautions = true;
    qm_over_time_make(&going->preparation->prepared, run, &over_time);
    enum qm_status status = qm_closing_write(result, over_time.series, over_time.count, &style, stdout);
    qm_over_time_free(&over_time);
    if (status == QM_OK)
        status = qm_show_rest(result, &style, stdout);
    if (status == QM_OK && going->options->shows_flips)
        status = qm_show_flips(&going->preparation->prepared, run, &style, stdout);
    if (status == QM_OK)
        qm_closing_advise(result, &style, stdout);
    printf("\nwritten to %s\n'qmark show' has all of it\n\n", path);
    fflush(stdout);
    return status;
}

static enum qm_status write_and_show(struct going *going, const struct qm_device_run *run, size_t index,
                                     struct qm_node *json)
{
    char path[QM_PATH_BYTES];
    const char *directory = going->options->directory, *id = going->journal->devices[going->rows[index]].entry.id;
    enum qm_journal_outcome rows = note_rows(run, &going->outcome);
    struct qm_node *result = NULL;
    enum qm_status status = qm_result_write_run(&going->preparation->prepared, run, going->list->entries[index].ordinal,
                                                directory, &result, path);
    bool is_written = status == QM_OK && path[0];
    if (status == QM_OK && !is_written)
        fprintf(stderr, "%s: no row was complete, so the older result stays\n", id);
    if (is_written && run->was_interrupted)
        keep(going, qm_journal_add_interrupted(directory, id));
    else if (is_written)
        keep(going,
             qm_journal_add_finished(directory, id, qm_path_name(path), qm_node_text_at(result, "hash", ""), rows));
    if (is_written && !going->options->as_json)
        status = close_device(going, run, result, path);
    if (is_written && json)
        qm_node_append_node(json, result);
    else
        qm_node_destroy(&result);
    return status;
}

// Its line of the view, while later devices are measured.
static void end_line(struct qm_live_line *line, const struct qm_device_run *run, enum qm_status status, double seconds)
{
    size_t ok = 0, wrong = 0;
    for (size_t s = 0; run && s < run->scheme_count; ++s) {
        ok += run->schemes[s].status == QM_OK;
        wrong += run->schemes[s].status == QM_WRONG_RESULT;
    }
    line->state = status != QM_OK || wrong > 0 ? QM_LIVE_FAILED : QM_LIVE_DONE;
    if (!run)
        snprintf(line->text, sizeof(line->text), "failed");
    else if (wrong > 0)
        snprintf(line->text, sizeof(line->text), "%zu WRONG, %zu of %zu ok, %.0f s", wrong, ok, run->scheme_count,
                 seconds);
    else
        snprintf(line->text, sizeof(line->text), "%zu of %zu ok, %.0f s", ok, run->scheme_count, seconds);
}

static enum qm_status run_device(struct going *going, size_t index, struct qm_node *json)
{
    const struct qm_device_entry *entry = &going->list->entries[index];
    char title[192], estimate[QM_PATH_BYTES];
    struct outcome before = going->outcome;
    snprintf(title, sizeof(title), "%s %s", entry->id, entry->name);
    QM_TRY(estimate_path(going->cache, &going->preparation->profile, entry, estimate));
    struct qm_progress_line line;
    qm_progress_begin_among(&line, title, read_estimate(estimate), going->lines, going->list->count, index);
    line.device = entry->id;
    struct qm_device_run_params params = {.prepared = &going->preparation->prepared,
                                          .device = entry->id,
                                          .cache_directory = going->cache,
                                          .scratch_path = going->scratch,
                                          .is_debug = going->options->is_debug,
                                          .progress = qm_progress_show,
                                          .progress_context = &line,
                                          .live = &line.live};
    struct qm_device_run *run = NULL;
    enum qm_status status = qm_device_run(&params, &run);
    double seconds = qm_progress_end(&line);
    (void)!qm_file_remove(going->scratch);
    if (status != QM_OK) {
        end_line(&going->lines[index], NULL, status, seconds);
        qm_error_prefix("%s: ", title);
        return status;
    }
    if (run->log_count > 0)
        fprintf(stderr, "%s: the validation layers had %" PRIu64 " messages\n", title, run->log_count);
    if (run->late_reason[0])
        fprintf(stderr, "%s: after its rows were complete: %s\n", title, run->late_reason);
    if (run->retries > 0)
        fprintf(stderr, "%s: was begun anew once: %s\n", title, run->retry_reason);
    status = write_and_show(going, run, index, json);
    if (going->outcome.any_failed == before.any_failed && going->outcome.any_wrong == before.any_wrong) {
        write_estimate(estimate, seconds);
        qm_forecast_keep_run(going->cache, entry, &going->preparation->prepared, run, seconds);
    }
    end_line(&going->lines[index], run, status, seconds);
    qm_device_run_destroy(&run);
    return status;
}

// A device whose result is there from the run that is resumed.
static void take_over(struct going *going, const struct qm_journal_device *device, struct qm_live_line *line,
                      struct qm_node *json)
{
    char path[QM_PATH_BYTES];
    struct qm_node *result = NULL;
    fprintf(stderr, "%s %s: is done, in %s\n", device->entry.id, device->entry.name, device->file);
    line->state = QM_LIVE_DONE;
    snprintf(line->text, sizeof(line->text), "done before, in %.100s", device->file);
    going->outcome.any_wrong |= device->outcome == QM_JOURNAL_WRONG;
    going->outcome.any_failed |= device->outcome == QM_JOURNAL_ROWS_FAILED;
    if (json && qm_path_join(path, going->options->directory, device->file) == QM_OK &&
        qm_result_load(path, &result, NULL) == QM_OK)
        qm_node_append_node(json, result);
}

static void run_or_take_over(struct going *going, size_t index, struct qm_node *json)
{
    const struct qm_journal_device *device = &going->journal->devices[going->rows[index]];
    const char *directory = going->options->directory;
    if (going->options->resumes && qm_journal_has_result(directory, device)) {
        take_over(going, device, &going->lines[index], json);
        return;
    }
    keep(going, qm_journal_add_started(directory, device->entry.id));
    enum qm_status status = run_device(going, index, json);
    if (status == QM_OK)
        return;
    going->outcome.any_failed = true;
    if (qm_interrupted()) {
        keep(going, qm_journal_add_interrupted(directory, device->entry.id));
        return;
    }
    char reason[1024];
    snprintf(reason, sizeof(reason), "%s", qm_error_text());
    (void)qm_verb_fail(status);
    keep(going, qm_journal_add_failed(directory, device->entry.id, reason));
}

static int run_all(struct going *going)
{
    struct qm_node *json = going->options->as_json ? qm_node_new_sequence() : NULL;
    for (size_t i = 0; i < going->list->count; ++i)
        going->lines[i] = (struct qm_live_line){.id = going->list->entries[i].id, .name = going->list->entries[i].name};
    for (size_t i = 0; i < going->list->count && !qm_interrupted(); ++i)
        run_or_take_over(going, i, json);
    if (json)
        (void)qm_verb_print_json(&json);
    if (qm_interrupted()) {
        fprintf(stderr,
                "qmark: interrupted; the results written so far are whole, and 'qmark run --resume --out %s' "
                "goes on\n",
                going->options->directory);
        return QM_EXIT_INTERRUPTED;
    }
    int code = going->outcome.any_wrong ? QM_EXIT_WRONG : going->outcome.any_failed ? QM_EXIT_SOME_FAILED : QM_EXIT_OK;
    keep(going, qm_journal_add_ended(going->options->directory, code));
    return code;
}

// ---- Before the devices ---------------------------------------------------------------------------------------------

// One run at a time in a directory.
static enum qm_status lock_directory(struct going *going)
{
    char path[QM_PATH_BYTES];
    uint32_t holder = 0;
    const char *directory = going->options->directory;
    QM_TRY(qm_path_join(path, directory, LOCK_NAME));
    enum qm_status status = qm_lock_take(path, &going->directory_lock, &holder);
    if (status == QM_UNAVAILABLE)
        return QM_FAIL(QM_INVALID,
                       "%s: process %" PRIu32 " is running into this directory; wait for it, or choose another --out",
                       directory, holder);
    QM_TRY(status);
    qm_file_remove_staged(directory); // of runs that were killed
    return QM_OK;
}

// A name of its own for logits, which are large; those of processes that have ended are removed.
static enum qm_status lock_scratch(struct going *going)
{
    struct qm_name_list list;
    char name[64], path[QM_PATH_BYTES], logits[QM_PATH_BYTES];
    QM_TRY(qm_directory_list(going->cache, &list));
    for (size_t i = 0; i < list.count; ++i) {
        struct qm_lock *lock = NULL;
        size_t length = strlen(list.names[i]);
        if (strncmp(list.names[i], "logits-", 7) != 0 || length < 12 ||
            strcmp(list.names[i] + length - 5, ".lock") != 0 ||
            qm_path_join(path, going->cache, list.names[i]) != QM_OK || qm_lock_take(path, &lock, NULL) != QM_OK)
            continue;
        snprintf(logits, sizeof(logits), "%.*s.tmp", (int)(strlen(path) - 5), path);
        (void)!qm_file_remove(logits);
        qm_lock_release(&lock);
    }
    qm_name_list_free(&list);
    // Another process of our number may use the same cache, from within a container.
    enum qm_status status = QM_UNAVAILABLE;
    for (int i = 0; i < 100 && status == QM_UNAVAILABLE; ++i) {
        snprintf(name, sizeof(name), "logits-%" PRIu32 "-%d.lock", qm_process_id(), i);
        QM_TRY(qm_path_join(path, going->cache, name));
        status = qm_lock_take(path, &going->scratch_lock, NULL);
    }
    QM_TRY(status);
    snprintf(name, sizeof(name), "%s", qm_path_name(path));
    name[strlen(name) - 5] = '\0';
    strcat(name, ".tmp");
    return qm_path_join(going->scratch, going->cache, name);
}

// The journal of this run, new or gone on with.
static enum qm_status open_journal(struct going *going)
{
    struct qm_journal_identity identity;
    const char *directory = going->options->directory;
    qm_run_identity(going->preparation, &identity);
    if (going->options->resumes) {
        size_t absent = 0;
        QM_TRY(qm_run_check_identity(&identity, &going->journal->identity));
        QM_TRY(qm_run_match_devices(going->journal, going->list, going->rows, &absent));
        going->outcome.any_failed |= absent > 0;
        return qm_journal_resume(directory, going->journal);
    }
    going->journal->identity = identity;
    QM_TRY(qm_run_options_keep(going->options, going->journal));
    for (size_t i = 0; i < going->list->count; ++i) {
        going->journal->devices[i] = (struct qm_journal_device){.entry = going->list->entries[i]};
        going->rows[i] = i;
    }
    going->journal->device_count = going->list->count;
    return qm_journal_begin(directory, going->journal);
}

static uint64_t given(uint64_t option)
{
    return option == UINT64_MAX ? 0 : option;
}

static enum qm_status read_options(struct going *going, struct qm_run_options *options,
                                   struct qm_preparation_params *params)
{
    if (options->resumes) {
        QM_TRY(qm_journal_read(options->directory, going->journal));
        QM_TRY(qm_run_options_resume(options, going->journal));
    }
    if (options->widen == 0)
        return QM_FAIL(QM_INVALID, "--widen 0 is no power of two from 1 to %d", QM_PROFILE_WIDEN_MAX);
    if (options->layers == 0)
        return QM_FAIL(QM_INVALID, "--layers 0 leaves nothing to run; use 1 or more");
    *params = (struct qm_preparation_params){.profile = options->profile ? options->profile : "quick",
                                             .schemes = options->schemes,
                                             .model = options->model,
                                             .reference = options->reference,
                                             .exact_match = options->exact_match,
                                             .cache_directory = going->cache,
                                             .layers = given(options->layers),
                                             .widen = given(options->widen),
                                             .tier = options->tier,
                                             .tiles = options->tiles,
                                             .fits = options->fits,
                                             .allow_overlap = options->allows_overlap,
                                             .has_evaluation_seed = options->evaluation_seed != UINT64_MAX,
                                             .evaluation_seed = options->evaluation_seed,
                                             .evaluation_file = options->evaluation_file,
                                             .calibration_file = options->calibration_file,
                                             .deployment_file = options->deployment_file,
                                             .compat = options->compat,
                                             .window_tokens = given(options->evaluation_window),
                                             .stride = given(options->evaluation_stride),
                                             .windows_most = given(options->evaluation_windows),
                                             .embeds_texts = options->embeds_texts};
    if (options->reference_device) // whose devices are found once the rest of the input is known to be good
        params->on_device = &going->on_device;
    return qm_progress_choose(options->progress);
}

static enum qm_status choose_reference_devices(struct going *going)
{
    if (!going->options->reference_device)
        return QM_OK;
    QM_TRY(qm_run_reference_devices(going->options, going->list, going->reference_list));
    going->on_device = (struct qm_reference_on_device){.devices = going->reference_list->entries,
                                                       .device_count = going->reference_list->count,
                                                       .scratch_path = going->scratch};
    return QM_OK;
}

// Who computed the reference in place of whom goes by nobody unseen.
static void tell_reference(const struct going *going)
{
    const struct qm_reference_rows *rows = going->preparation->reference;
    if (rows && rows->passed_over[0])
        fprintf(stderr, "fp32 reference: %s, after others could not: %s\n", rows->engine, rows->passed_over);
}

static int run(struct qm_run_options *options)
{
    static struct qm_device_list list;
    static struct qm_journal journal;
    static struct qm_device_list reference_list;
    static struct going going = {.list = &list, .reference_list = &reference_list, .journal = &journal};
    struct qm_preparation_params params;
    enum qm_status status = QM_OK;
    int code = QM_EXIT_OK;
    going.options = options;
    qm_interrupt_watch();
    qm_file_limit_ignore();
    QM_GUARD(qm_cache_open(going.cache));
    if (qm_directory_exists(options->directory)) // before drivers are asked, which might disturb the other run
        QM_GUARD(lock_directory(&going));
    QM_GUARD(read_options(&going, options, &params));
    QM_GUARD(qm_preparation_read(&params, &going.preparation));
    if (options->shows_flips && !going.preparation->evaluation_file.examples) {
        status = QM_FAIL(QM_INVALID, "--show-flips lists answers to examples; give them with --eval FILE.jsonl");
        goto done;
    }
    QM_GUARD(qm_chosen_devices(options->devices, &list));
    QM_GUARD(choose_reference_devices(&going));
    QM_GUARD(qm_directory_make(options->directory));
    if (!going.directory_lock)
        QM_GUARD(lock_directory(&going));
    QM_GUARD(qm_directory_check_writable(options->directory));
    QM_GUARD(lock_scratch(&going));
    QM_GUARD(open_journal(&going));
    announce(going.preparation, &list, going.cache);
    struct qm_progress_line line;
    qm_progress_begin(&line, "preparing artifacts and reference", 0);
    status = qm_preparation_make(going.preparation, &params, qm_progress_show, &line);
    double prepared_s = qm_progress_end(&line);
    if (status == QM_OK) {
        tell_reference(&going);
        qm_forecast_keep_preparation(going.cache, &going.preparation->prepared, prepared_s);
        code = run_all(&going);
    }
done:
    qm_preparation_destroy(&going.preparation);
    qm_lock_release(&going.scratch_lock);
    qm_lock_release(&going.directory_lock);
    if (status != QM_OK && qm_interrupted()) {
        fprintf(stderr, "qmark: interrupted before the first device\n");
        return QM_EXIT_INTERRUPTED;
    }
    return status != QM_OK ? qm_verb_fail(status) : code;
}

int qm_verb_run(int argc, char **argv)
{
    struct qm_run_options o = {.directory = "qmark-results",
                               .progress = "text",
                               .evaluation_seed = UINT64_MAX,
                               .widen = UINT64_MAX,
                               .layers = UINT64_MAX,
                               .evaluation_window = UINT64_MAX,
                               .evaluation_stride = UINT64_MAX,
                               .evaluation_windows = UINT64_MAX};
    const struct qm_option options[] = {
        {"profile", QM_OPTION_TEXT, &o.profile, "NAME|FILE",
         "what to run: quick, standard or a file; quick if not given"},
        {"device", QM_OPTION_TEXT, &o.devices, "LIST",
         "only these: ids (vulkan:0), APIs or drivers, with commas between"},
        {"scheme", QM_OPTION_TEXT, &o.schemes, "LIST", "only these schemes, and the baseline, with commas between"},
        {"out", QM_OPTION_TEXT, &o.directory, "DIR", "where results are written; qmark-results if not given"},
        {"model", QM_OPTION_TEXT, &o.model, "NAME|DIR|FILE",
         "built-in, built-in-outliers, a directory or a GGUF file; the profile's if not given"},
        {"reference", QM_OPTION_TEXT, &o.reference, "DIR|FILE",
         "the model of floats that a quantized one was made of, to score it against"},
        {"layers", QM_OPTION_WHOLE, &o.layers, "N",
         "only the first N layers: kernels and their times, no accuracy (kernel only)"},
        {"widen", QM_OPTION_WHOLE, &o.widen, "R",
         "repeat the residual stream R times: 1, 2, 4 .. 64; the profile's if not given"},
        {"tier", QM_OPTION_TEXT, &o.tier, "base|texel|f16|dot|subgroup|matrix",
         "kernels of one tier; the best that a device proves if not given"},
        {"tiles", QM_OPTION_TEXT, &o.tiles, "fixed|tuned",
         "kernels as they come, or as 'qmark tune' found them; the profile's if not given"},
        {"fit", QM_OPTION_FLAG, &o.fits, NULL, "repeat it as often as the device's memory holds, 64 times at most"},
        {"eval", QM_OPTION_TEXT, &o.evaluation_file, "FILE",
         "score your own text or examples (.jsonl, .csv), or a directory of them, in place of the built-in set"},
        {"calib", QM_OPTION_TEXT, &o.calibration_file, "FILE", "calibrate on your own text or examples"},
        {"eval-window", QM_OPTION_WHOLE, &o.evaluation_window, "N",
         "tokens of a text's window; as the profile has it if not given"},
        {"eval-stride", QM_OPTION_WHOLE, &o.evaluation_stride, "N",
         "tokens from one window of a text to the next; half a window if not given"},
        {"eval-windows", QM_OPTION_WHOLE, &o.evaluation_windows, "N", "only the first windows of a text, or examples"},
        {"compat", QM_OPTION_TEXT, &o.compat, "llama-perplexity", "cut and score a text as llama-perplexity does"},
        {"deployment", QM_OPTION_TEXT, &o.deployment_file, "FILE",
         "serve a deployment's requests as well: lengths or a trace, concurrency, bounds"},
        {"embed-texts", QM_OPTION_FLAG, &o.embeds_texts, NULL, "put your examples' texts into the result"},
        {"eval-seed", QM_OPTION_WHOLE, &o.evaluation_seed, "N", "score a fresh evaluation set, made from this seed"},
        {"reference-on-device", QM_OPTION_MAYBE, &o.reference_device, "DEVICE",
         "compute fp32 of a large model on it, or on the first that can, in place of the host"},
        {"exact-match", QM_OPTION_TEXT, &o.exact_match, "R",
         "accept only if exact match is at least R of fp32's, such as 0.99 or 0.999"},
        {"allow-overlap", QM_OPTION_FLAG, &o.allows_overlap, NULL,
         "score examples that were calibrated on, which the result discloses"},
        {"show-flips", QM_OPTION_FLAG, &o.shows_flips, NULL,
         "list the answers that are not fp32's, on standard output alone"},
        {"debug", QM_OPTION_FLAG, &o.is_debug, NULL, "with validation layers; timings mean nothing then"},
        {"resume", QM_OPTION_FLAG, &o.resumes, NULL, "go on with the run whose journal is in --out, with its options"},
        {"progress", QM_OPTION_TEXT, &o.progress, "text|none|json", "on standard error; text if not given"},
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
    return done ? QM_EXIT_OK : run(&o);
}
