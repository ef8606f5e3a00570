#include "bench/devices.h"
#include "bench/reproduce.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "record/result.h"
#include "report/reproduce_report.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUNS_FIRST = 3,
    RUNS_MORE = 6 // where that would tell what cannot be told from the first
};

struct reproduce_options {
    const char *device, *schemes, *directory, *model, *reference, *evaluation_file, *calibration_file, *deployment_file,
        *tolerance;
    uint64_t seconds, runs;
    bool runs_are_given, is_quick, is_relative, allows_changed, as_json;
};

static enum qm_status read_tolerance(const char *text, double *out)
{
    char *end = NULL;
    double value = text ? strtod(text, &end) : *out;
    if (text && (end == text || *end || !(value > 0.05 && value < 0.9)))
        return QM_FAIL(QM_INVALID, "--tolerance is '%.20s'; expected a fraction above 0.05 and below 0.9, such as 0.1",
                       text);
    *out = value;
    return QM_OK;
}

static enum qm_status load_record(const char *path, const struct reproduce_options *options, struct qm_node **out)
{
    bool is_intact = false;
    QM_TRY(qm_result_load(path, out, &is_intact));
    if (is_intact || options->allows_changed)
        return QM_OK;
    qm_node_destroy(out);
    return QM_FAIL(QM_INVALID,
                   "%s: changed since it was written: its hash is not that of its content; ask for the file that qmark "
                   "wrote, or give --allow-changed",
                   path);
}

// The device that --device names, else the one that the record is of.
static enum qm_status choose_device(const struct reproduce_options *options, const struct qm_node *record,
                                    struct qm_device_list *list, const struct qm_device_entry **out)
{
    const char *name = qm_node_text_at(record, "device.name", "?"), *api = qm_node_text_at(record, "device.api", "?");
    QM_TRY(qm_device_list_make(NULL, options->device, list));
    if (options->device) {
        if (list->count != 1)
            return QM_FAIL(QM_INVALID, "--device %s names %zu devices of this machine; name one, such as vulkan:0",
                           options->device, list->count);
        *out = &list->entries[0];
        return QM_OK;
    }
    for (size_t i = 0; i < list->count; ++i) {
        if (strcmp(list->entries[i].name, name) == 0 && strcmp(list->entries[i].api, api) == 0) {
            *out = &list->entries[i];
            return QM_OK;
        }
    }
    return QM_FAIL(list->count > 0 ? QM_INVALID : QM_UNAVAILABLE,
                   "this machine has no '%.80s' through %.20s, which the result is of; its accuracy can be tried on "
                   "another device: name one with --device ('qmark devices' lists %zu)",
                   name, api, list->count);
}

static void announce(const struct qm_preparation *preparation, const struct qm_rerun_params *params,
                     const struct qm_device_entry *entry)
{
    const struct qm_profile *profile = &preparation->profile;
    fprintf(stderr, "profile %s of the result: %zu schemes, %zu points, %zu runs on %s %s\n", profile->name,
            profile->scheme_count, profile->prefill_count + profile->decode_count,
            params->runs ? params->runs : (size_t)RUNS_FIRST, entry->id, entry->name);
}

static enum qm_status run_and_judge(struct qm_rerun_params *params, const struct qm_preparation *preparation,
                                    struct qm_reproduce_params *judging, const char *title, struct qm_rerun *runs,
                                    struct qm_reproduction *out)
{
    struct qm_progress_line line;
    params->progress_context = &line;
    qm_progress_begin(&line, title, 0);
    enum qm_status status = qm_rerun_device(preparation, params, runs);
    qm_progress_end(&line);
    (void)!qm_file_remove(params->scratch_path);
    if (status != QM_OK || qm_interrupted())
        return status;
    judging->sustained_s = runs->sustained_s;
    judging->disturbance = runs->disturbance;
    judging->seconds_per_run = runs->seconds_per_run;
    judging->paired_errors = runs->paired_errors;
    qm_reproduction_free(out);
    return qm_reproduce_judge(params->record, (const struct qm_node *const *)runs->results, runs->count, judging, out);
}

static bool would_more_tell(const struct qm_reproduction *found)
{
    for (size_t i = 0; i < found->count; ++i) {
        if (found->rows[i].runs_needed > 0 && found->rows[i].runs_needed <= RUNS_MORE)
            return true;
    }
    return false;
}

static enum qm_status rerun(struct qm_rerun_params *params, struct qm_preparation *preparation,
                            const struct qm_device_entry *entry, struct qm_reproduce_params *judging,
                            struct qm_rerun *runs, struct qm_reproduction *out)
{
    char title[192], scratch[QM_PATH_BYTES], name[64];
    struct qm_progress_line line;
    bool may_go_on = params->runs == 0;
    snprintf(name, sizeof(name), "logits-%" PRIu32 ".tmp", qm_process_id());
    QM_TRY(qm_path_join(scratch, params->cache_directory, name));
    params->scratch_path = scratch;
    params->progress = qm_progress_show;
    params->progress_context = &line;
    qm_progress_begin(&line, "preparing artifacts and reference", 0);
    enum qm_status status = qm_rerun_make(preparation, params);
    qm_progress_end(&line);
    QM_TRY(status);
    snprintf(title, sizeof(title), "%.23s %.127s", entry->id, entry->name);
    if (may_go_on) { // two looks at most, which share the level
        judging->false_alarm /= 2;
        params->runs = RUNS_FIRST;
    }
    QM_TRY(run_and_judge(params, preparation, judging, title, runs, out));
    if (!may_go_on || qm_interrupted() || !would_more_tell(out))
        return QM_OK;
    fprintf(stderr, "%s; some would be told by more runs\n", out->summary);
    params->runs = RUNS_MORE;
    return run_and_judge(params, preparation, judging, title, runs, out);
}

static enum qm_status report(const struct reproduce_options *options, const struct qm_reproduction *reproduction,
                             const struct qm_rerun *rerun)
{
    if (options->as_json) {
        struct qm_node *tree = qm_reproduce_tree(reproduction);
        qm_node_set_text(tree, "result", rerun->path);
        qm_node_set_u64(tree, "runs", rerun->count);
        qm_node_set_double(tree, "seconds_per_run", rerun->seconds_per_run);
        qm_node_set_text(tree, "disturbance", rerun->disturbance[0] ? rerun->disturbance : "none");
        return qm_verb_print_json(&tree) == QM_EXIT_OK ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the output");
    }
    struct qm_show_style style = qm_show_style_of(1);
    QM_TRY(qm_reproduce_write_table(reproduction, &style, stdout));
    if (rerun->disturbance[0])
        printf("The machine was not left alone: %s\n", rerun->disturbance);
    printf("written to %s\n", rerun->path);
    return QM_OK;
}

static int reproduce(const char *path, const struct reproduce_options *options)
{
    char cache[QM_PATH_BYTES];
    static struct qm_device_list list;
    static struct qm_rerun runs;
    const struct qm_device_entry *entry = NULL;
    struct qm_node *record = NULL;
    struct qm_preparation *preparation = NULL;
    struct qm_reproduction reproduction = {0};
    struct qm_reproduce_params judging = qm_reproduce_defaults();
    struct qm_rerun_params params = {.record_path = path,
                                     .model = options->model,
                                     .reference = options->reference,
                                     .evaluation_file = options->evaluation_file,
                                     .calibration_file = options->calibration_file,
                                     .deployment_file = options->deployment_file,
                                     .schemes = options->schemes,
                                     .cache_directory = cache,
                                     .is_quick = options->is_quick,
                                     .sustained_s = options->seconds,
                                     .runs = (size_t)options->runs,
                                     .directory = options->directory};
    enum qm_status status = QM_OK;
    int code = QM_EXIT_OK;
    QM_GUARD(read_tolerance(options->tolerance, &judging.tolerance));
    if ((options->runs < 1 && options->runs_are_given) || options->runs > QM_REPEATED_RUNS_MAX)
        QM_GUARD(QM_FAIL(QM_INVALID, "--runs %" PRIu64 " is not 1 to %d", options->runs, QM_REPEATED_RUNS_MAX));
    QM_GUARD(load_record(path, options, &record));
    params.record = record;
    QM_GUARD(qm_cache_open(cache));
    QM_GUARD(qm_rerun_read(&params, &preparation));
    QM_GUARD(choose_device(options, record, &list, &entry));
    params.device = entry->id;
    params.ordinal = entry->ordinal;
    QM_GUARD(qm_directory_make(options->directory));
    QM_GUARD(qm_directory_check_writable(options->directory));
    announce(preparation, &params, entry);
    qm_interrupt_watch();
    judging.is_relative = options->is_relative;
    judging.is_quick = options->is_quick;
    QM_GUARD(rerun(&params, preparation, entry, &judging, &runs, &reproduction));
    if (qm_interrupted())
        goto done;
    QM_GUARD(report(options, &reproduction, &runs));
    code = qm_reproduction_exit_code(&reproduction);
done:
    if (qm_interrupted()) {
        fprintf(stderr, "qmark: interrupted; what was not run to its end tells nothing\n");
        code = QM_EXIT_INTERRUPTED;
    } else if (status != QM_OK) {
        code = qm_verb_fail(status);
    }
    qm_reproduction_free(&reproduction);
    qm_rerun_free(&runs);
    qm_preparation_destroy(&preparation);
    qm_node_destroy(&record);
    return code;
}

int qm_verb_reproduce(int argc, char **argv)
{
    struct reproduce_options o = {.directory = "qmark-reproduced", .runs = UINT64_MAX};
    const struct qm_option options[] = {
        {"device", QM_OPTION_TEXT, &o.device, "ID", "the device: an id (vulkan:0); the result's own if not given"},
        {"out", QM_OPTION_TEXT, &o.directory, "DIR", "where the new result is written; qmark-reproduced if not given"},
        {"scheme", QM_OPTION_TEXT, &o.schemes, "LIST", "only claims of these schemes, and of the baseline"},
        {"runs", QM_OPTION_WHOLE, &o.runs, "K", "timed runs; 3 if not given, and 6 where that would tell more"},
        {"tolerance", QM_OPTION_TEXT, &o.tolerance, "F",
         "a speed holds if a shortfall of this fraction is excluded; 0.1 if not given"},
        {"quick", QM_OPTION_FLAG, &o.is_quick, NULL, "without sustained runs"},
        {"seconds", QM_OPTION_WHOLE, &o.seconds, "N", "sustained runs of so many seconds at most"},
        {"relative", QM_OPTION_FLAG, &o.is_relative, NULL, "on another device: judge gains over the baseline as well"},
        {"model", QM_OPTION_TEXT, &o.model, "DIR", "the result's model, where it is not built in"},
        {"reference", QM_OPTION_TEXT, &o.reference, "DIR|FILE",
         "the model that it was scored against, where one was named"},
        {"eval", QM_OPTION_TEXT, &o.evaluation_file, "FILE", "what was scored, where that is not built in"},
        {"calib", QM_OPTION_TEXT, &o.calibration_file, "FILE", "what was calibrated on, where that is not built in"},
        {"deployment", QM_OPTION_TEXT, &o.deployment_file, "FILE",
         "the plan whose requests were served, where they come from a trace"},
        {"allow-changed", QM_OPTION_FLAG, &o.allows_changed, NULL, "take a file whose hash is not that of its content"},
        {"json", QM_OPTION_FLAG, &o.as_json, NULL, "print the claims as JSON"},
    };
    const struct qm_command command = {
        .verb = "reproduce",
        .operands = "RESULT",
        .operands_min = 1,
        .operands_max = 1,
        .meaning = "Run a result again on your own card, and say claim by claim what holds.",
        .details = "The profile is the one in the result; artifacts are made again and must have the same ids.\n"
                   "Exit code: 0 all that is applicable holds, 10 a claim does not hold, 12 one cannot be told,\n"
                   "13 nothing is applicable, 4 something is wrong here. docs/REPRODUCE.md has the rules.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    bool done = false;
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    o.runs_are_given = o.runs != UINT64_MAX;
    o.runs = o.runs_are_given ? o.runs : 0;
    return done ? QM_EXIT_OK : reproduce(operands[0], &o);
}
