#include "bench/devices.h"
#include "bench/gate_live.h"
#include "bench/prepare.h"
#include "bench/result_build.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "record/result.h"
#include "record/result_set.h"
#include "report/gate_report.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gate_options {
    struct qm_option_texts environments[2];                                          // of A and B
    const char *profile, *device, *devices[2], *schemes, *directory, *known, *junit; // devices: of A and B apart
    bool measures_again, annotates, as_json, lists_all, from_history;
    const char *database, *driver;
};

// ---- Files ----------------------------------------------------------------------------------------------------------

// The limits that the newest baseline run's profile states, or those of the stock profile where it is an older one's.
static void read_limits(const struct qm_node *result, struct qm_gate_params *params)
{
    *params = (struct qm_gate_params){.false_alarm = 0.0005, .minimum_effect = 0.02, .tolerance = 0.05, .rows = 1};
    struct qm_gate_params stated = *params;
    if (qm_node_double_at(result, "profile.gate.false_alarm", &stated.false_alarm) &&
        qm_node_double_at(result, "profile.gate.minimum_effect", &stated.minimum_effect) &&
        qm_node_double_at(result, "profile.gate.tolerance", &stated.tolerance) &&
        qm_gate_params_check(&stated) == QM_OK)
        *params = stated;
}

static size_t find_device(const struct qm_result_set *set, const char *device)
{
    size_t i = 0;
    while (i < set->count && strcmp(set->entries[i].device, device) != 0)
        ++i;
    return i;
}

static void take_runs(const struct qm_result_set *set, size_t first, size_t *indices, const struct qm_node **runs,
                      struct qm_gate_results *out)
{
    out->count = qm_result_set_group(set, first, indices);
    for (size_t i = 0; i < out->count; ++i)
        runs[i] = set->entries[indices[i]].result;
    out->runs = runs;
}

static enum qm_status refuse_changed(const struct qm_result_set *set)
{
    for (size_t i = 0; i < set->count; ++i) {
        if (!set->entries[i].is_intact)
            return QM_FAIL(QM_INVALID,
                           "%s: changed since it was written: its hash is not that of its content; gate the "
                           "file that qmark wrote",
                           set->entries[i].path);
    }
    return QM_OK;
}

static enum qm_status gate_files(const char *const *paths, struct qm_gate_report *report)
{
    struct qm_result_set sets[2] = {{0}, {0}};
    enum qm_status status = QM_OK;
    size_t *indices = calloc(QM_RESULT_SET_MAX, sizeof(*indices));
    const struct qm_node **runs = calloc(2 * (size_t)QM_RESULT_SET_MAX, sizeof(*runs));
    if (!indices || !runs)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for results"));
    for (size_t i = 0; i < 2; ++i) {
        QM_GUARD(qm_result_set_load(&paths[i], 1, &sets[i]));
        QM_GUARD(refuse_changed(&sets[i]));
    }
    for (size_t i = 0; i < sets[0].count; ++i) {
        if (find_device(&sets[0], sets[0].entries[i].device) < i)
            continue; // its group had its turn
        struct qm_gate_results sides[2];
        struct qm_gate_params params;
        size_t other = find_device(&sets[1], sets[0].entries[i].device);
        if (other == sets[1].count) {
            struct qm_gate_finding *f =
                qm_gate_report_add(report, sets[0].entries[i].device, QM_GATE_STATUS, QM_GATE_NOT_COMPARABLE, "device");
            if (f)
                snprintf(f->text, sizeof(f->text), "no new result is of this device");
            continue;
        }
        take_runs(&sets[0], i, indices, runs, &sides[0]);
        take_runs(&sets[1], other, indices, runs + QM_RESULT_SET_MAX, &sides[1]);
        read_limits(sides[0].runs[sides[0].count - 1], &params);
        params.rows = qm_gate_count_rows(&sides[0], &sides[1]);
        QM_GUARD(qm_gate_add_results(report, &sides[0], &sides[1], &params, true));
    }
done:
    for (size_t i = 0; i < 2; ++i)
        qm_result_set_free(&sets[i]);
    free(indices);
    free(runs);
    return status;
}

// ---- History --------------------------------------------------------------------------------------------------------

enum {
    HISTORY_RUNS = 20 // the newest so many make the baseline
};

static enum qm_status gate_with_runs(const struct qm_history_runs *runs, const struct qm_node *result,
                                     struct qm_gate_report *report)
{
    struct qm_node *nodes[HISTORY_RUNS] = {NULL};
    const struct qm_node *read[HISTORY_RUNS];
    enum qm_status status = QM_OK;
    size_t count = 0;
    for (; count < runs->count && count < HISTORY_RUNS; ++count) { // newest first there, last here
        const struct qm_history_run *run = &runs->runs[runs->count - 1 - count];
        QM_GUARD(qm_node_parse(run->text, run->text_bytes, run->file, &qm_node_result_limits, &nodes[count]));
        QM_GUARD(qm_result_check(nodes[count]));
        read[count] = nodes[count];
    }
    struct qm_gate_results sides[2] = {{read, count}, {&result, 1}};
    struct qm_gate_params params;
    read_limits(result, &params);
    params.rows = qm_gate_count_rows(&sides[0], &sides[1]);
    status = qm_gate_add_results(report, &sides[0], &sides[1], &params, true);
done:
    for (size_t i = 0; i < HISTORY_RUNS; ++i)
        qm_node_destroy(&nodes[i]);
    return status;
}

// Each new result against the runs of its device that the history has: `qmark history baseline` tells which.
static enum qm_status gate_history(const struct gate_options *options, const char *path, struct qm_gate_report *report)
{
    struct qm_history *history = NULL;
    struct qm_result_set set = {0};
    char database[QM_PATH_BYTES];
    enum qm_status status = QM_OK;
    QM_GUARD(qm_history_path(options->database, database));
    QM_GUARD(qm_history_open(database, false, &history));
    QM_GUARD(qm_result_set_load(&path, 1, &set));
    QM_GUARD(refuse_changed(&set));
    for (size_t i = 0; i < set.count; ++i) {
        struct qm_history_runs runs = {0};
        QM_GUARD(qm_history_baseline(history, set.entries[i].result, HISTORY_RUNS, options->driver, &runs));
        if (runs.count == 0) {
            struct qm_gate_finding *f =
                qm_gate_report_add(report, set.entries[i].device, QM_GATE_STATUS, QM_GATE_NOT_COMPARABLE, "baseline");
            if (f)
                snprintf(f->text, sizeof(f->text), "the history has none: %.280s", runs.reason);
        } else {
            fprintf(stderr, "baseline: %zu runs of driver %s\n", runs.count,
                    runs.driver_version ? runs.driver_version : "?");
            status = gate_with_runs(&runs, set.entries[i].result, report);
        }
        qm_history_runs_free(&runs);
        if (status != QM_OK)
            break;
    }
done:
    qm_result_set_free(&set);
    qm_history_close(&history);
    return status;
}

// ---- Live -----------------------------------------------------------------------------------------------------------

// Loaders before 1.3.207 know the older name of the same variable.
static enum qm_status complete_environment(struct qm_option_texts *texts, char older[QM_PATH_BYTES])
{
    static const char name[] = "VK_DRIVER_FILES=";
    for (size_t i = 0; i < texts->count; ++i) {
        if (!strchr(texts->items[i], '=') || texts->items[i][0] == '=')
            return QM_FAIL(QM_INVALID, "gate: '%.60s' sets no variable; write NAME=value", texts->items[i]);
    }
    for (size_t i = 0; i < texts->count; ++i) {
        if (strncmp(texts->items[i], name, sizeof(name) - 1) == 0 && texts->count < QM_OPTION_TEXTS_MAX) {
            snprintf(older, QM_PATH_BYTES, "VK_ICD_FILENAMES=%s", texts->items[i] + sizeof(name) - 1);
            texts->items[texts->count++] = older;
            break;
        }
    }
    return QM_OK;
}

static enum qm_status choose_devices(const struct gate_options *options, struct qm_device_list lists[2])
{
    for (size_t side = 0; side < 2; ++side) {
        QM_TRY(qm_device_list_make(options->environments[side].items,
                                   options->devices[side] ? options->devices[side] : options->device, &lists[side]));
    }
    if (lists[0].count == 0 || lists[0].count != lists[1].count)
        return QM_FAIL(lists[0].count + lists[1].count == 0 ? QM_UNAVAILABLE : QM_INVALID,
                       "gate: %zu devices with A's environment and %zu with B's; name one that both have with --device",
                       lists[0].count, lists[1].count);
    return QM_OK;
}

struct live {
    const struct gate_options *options;
    struct qm_preparation *preparation;
    char cache[QM_PATH_BYTES];
    struct qm_gate_report *report;
};

static enum qm_status build_results(const struct live *live, const struct qm_gate_live *runs,
                                    const struct qm_device_entry *entry, struct qm_node *results[2])
{
    static const char *const names[] = {"a", "b"};
    for (size_t side = 0; side < 2; ++side) {
        char directory[QM_PATH_BYTES], path[QM_PATH_BYTES];
        if (!runs->runs[side])
            continue;
        if (!live->options->directory) {
            results[side] = qm_result_build(&live->preparation->prepared, runs->runs[side], entry->ordinal);
            continue;
        }
        QM_TRY(qm_path_join(directory, live->options->directory, names[side]));
        QM_TRY(qm_directory_make(directory));
        QM_TRY(qm_result_write_run(&live->preparation->prepared, runs->runs[side], entry->ordinal, directory,
                                   &results[side], path));
        fprintf(stderr, "written to %s\n", path);
    }
    return QM_OK;
}

static enum qm_status gate_device(const struct live *live, const struct qm_device_entry *a,
                                  const struct qm_device_entry *b)
{
    char title[192], scratch[2][QM_PATH_BYTES], name[64];
    struct qm_gate_live runs = {.report = live->report};
    struct qm_node *results[2] = {NULL, NULL};
    struct qm_progress_line line;
    struct qm_gate_live_params params = {.measures_again = live->options->measures_again};
    const struct qm_device_entry *entries[2] = {a, b};
    snprintf(title, sizeof(title), "%.23s %.127s", a->id, a->name);
    for (size_t side = 0; side < 2; ++side) {
        snprintf(name, sizeof(name), "logits-%" PRIu32 "-%zu.tmp", qm_process_id(), side);
        QM_TRY(qm_path_join(scratch[side], live->cache, name));
        params.sides[side] = (struct qm_device_run_params){.prepared = &live->preparation->prepared,
                                                           .device = entries[side]->id,
                                                           .environment = live->options->environments[side].items,
                                                           .cache_directory = live->cache,
                                                           .scratch_path = scratch[side],
                                                           .progress = qm_progress_show,
                                                           .progress_context = &line};
    }
    qm_progress_begin(&line, title, 0);
    enum qm_status status = qm_gate_live_run(&params, &runs);
    qm_progress_end(&line);
    for (size_t side = 0; side < 2; ++side)
        (void)!qm_file_remove(scratch[side]);
    if (status == QM_OK || (runs.runs[0] && runs.runs[1]))
        status = build_results(live, &runs, a, results);
    if (status == QM_OK && results[0] && results[1]) {
        const struct qm_node *of_a = results[0], *of_b = results[1];
        struct qm_gate_results sides[2] = {{&of_a, 1}, {&of_b, 1}};
        status = qm_gate_add_results(live->report, &sides[0], &sides[1], &live->preparation->profile.gate, false);
    }
    qm_node_destroy(&results[0]);
    qm_node_destroy(&results[1]);
    qm_gate_live_free(&runs);
    return status;
}

static enum qm_status gate_live(struct gate_options *options, struct qm_gate_report *report)
{
    static struct qm_device_list lists[2];
    static char older[2][QM_PATH_BYTES];
    struct live live = {.options = options, .report = report};
    struct qm_preparation_params params = {
        .profile = options->profile, .schemes = options->schemes, .cache_directory = live.cache};
    struct qm_progress_line line;
    enum qm_status status = QM_OK;
    QM_GUARD(complete_environment(&options->environments[0], older[0]));
    QM_GUARD(complete_environment(&options->environments[1], older[1]));
    QM_GUARD(qm_cache_open(live.cache));
    QM_GUARD(qm_preparation_read(&params, &live.preparation));
    QM_GUARD(choose_devices(options, lists));
    qm_interrupt_watch();
    qm_progress_begin(&line, "preparing artifacts and reference", 0);
    status = qm_preparation_make(live.preparation, &params, qm_progress_show, &line);
    qm_progress_end(&line);
    for (size_t i = 0; i < lists[0].count && status == QM_OK && !qm_interrupted(); ++i)
        status = gate_device(&live, &lists[0].entries[i], &lists[1].entries[i]);
done:
    qm_preparation_destroy(&live.preparation);
    return status;
}

// ---- The verb -------------------------------------------------------------------------------------------------------

static enum qm_status write_reports(const struct gate_options *options, const struct qm_gate_report *report)
{
    struct qm_show_style style = qm_show_style_of(1);
    if (options->junit) {
        char *text = NULL;
        QM_TRY(qm_gate_write_junit(report, &text));
        enum qm_status status = qm_file_write(options->junit, text, strlen(text));
        free(text);
        QM_TRY(status);
    }
    if (options->annotates)
        qm_gate_write_annotations(report, stdout);
    if (!options->as_json)
        return qm_gate_write_table(report, &style, options->lists_all, stdout);
    struct qm_node *tree = qm_gate_tree(report);
    return qm_verb_print_json(&tree) == QM_EXIT_OK ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the output");
}

static enum qm_status check_mode(const struct gate_options *o, size_t operands)
{
    bool is_live = o->environments[0].count + o->environments[1].count > 0 || (o->devices[0] && o->devices[1]);
    if (!o->devices[0] != !o->devices[1])
        return QM_FAIL(QM_INVALID,
                       "gate: --a-device and --b-device go together; name both, or --device for both sides");
    if (is_live && operands > 0)
        return QM_FAIL(QM_INVALID, "gate: results and --a-env or --b-env; give two results or directories of them, or "
                                   "two environments");
    if (o->from_history && (is_live || operands != 1))
        return QM_FAIL(QM_INVALID, "gate: with --history expected NEW alone, a result or a directory of them");
    if (!o->from_history && (o->database || o->driver))
        return QM_FAIL(QM_INVALID, "gate: --db and --driver say which runs of the history; use them with --history");
    if (!is_live && !o->from_history && operands != 2)
        return QM_FAIL(QM_INVALID, "gate: expected BASELINE NEW, or --a-env NAME=value and --b-env NAME=value");
    if (!is_live && o->measures_again)
        return QM_FAIL(QM_INVALID, "gate: --rerun measures again, which files cannot; use it with --a-env and --b-env");
    return QM_OK;
}

int qm_verb_gate(int argc, char **argv)
{
    struct gate_options o = {.profile = "regression"};
    const struct qm_option options[] = {
        {"a-env", QM_OPTION_TEXTS, &o.environments[0], "N=V",
         "live: a variable of side A, such as VK_DRIVER_FILES=old.json"},
        {"b-env", QM_OPTION_TEXTS, &o.environments[1], "N=V",
         "live: a variable of side B; both may be given several times"},
        {"profile", QM_OPTION_TEXT, &o.profile, "NAME|FILE", "live: what to run; regression if not given"},
        {"scheme", QM_OPTION_TEXT, &o.schemes, "LIST", "live: only these schemes, and the baseline"},
        {"device", QM_OPTION_TEXT, &o.device, "ID", "live: one device: an id (vulkan:0), an API or a driver"},
        {"a-device", QM_OPTION_TEXT, &o.devices[0], "ID", "live: the device of side A, such as vulkan:0, ..."},
        {"b-device", QM_OPTION_TEXT, &o.devices[1], "ID",
         "live: ... and of side B, such as opencl:0: two APIs of one card in turns"},
        {"rerun", QM_OPTION_FLAG, &o.measures_again, NULL, "live: measure doubtful rows again"},
        {"out", QM_OPTION_TEXT, &o.directory, "DIR", "live: keep the results of both sides in DIR/a and DIR/b"},
        {"history", QM_OPTION_FLAG, &o.from_history, NULL, "the baseline is what the history has of the device"},
        {"db", QM_OPTION_TEXT, &o.database, "FILE", "the history's database; that of 'qmark history' if not given"},
        {"driver", QM_OPTION_TEXT, &o.driver, "VERSION",
         "runs of this driver version; the one before NEW's if not given"},
        {"known", QM_OPTION_TEXT, &o.known, "FILE", "known failures, with reasons: they do not count"},
        {"junit", QM_OPTION_TEXT, &o.junit, "FILE", "write JUnit XML"},
        {"github", QM_OPTION_FLAG, &o.annotates, NULL, "print annotations for GitHub's workflows"},
        {"all", QM_OPTION_FLAG, &o.lists_all, NULL, "list rows that passed as well"},
        {"json", QM_OPTION_FLAG, &o.as_json, NULL, "print the rows as JSON"},
    };
    const struct qm_command command = {
        .verb = "gate",
        .operands = "[BASELINE NEW]",
        .operands_max = 2,
        .meaning = "Say whether something became slower, less accurate or larger.",
        .details = "BASELINE and NEW are results or directories of them; speed from files takes five baseline runs or\n"
                   "more. With --a-env and --b-env both sides run live, in turns.\n"
                   "Exit code: 0 PASS, 10 REGRESSED, 4 WRONG, 12 INCONCLUSIVE, 13 NOT COMPARABLE.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    bool done = false;
    struct qm_gate_report report = {0};
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    QM_GUARD(check_mode(&o, count));
    QM_GUARD(o.from_history ? gate_history(&o, operands[0], &report)
             : count == 2   ? gate_files(operands, &report)
                            : gate_live(&o, &report));
    if (qm_interrupted()) {
        qm_gate_report_free(&report);
        fprintf(stderr, "qmark: interrupted; a gate that was not finished has no verdict\n");
        return QM_EXIT_INTERRUPTED;
    }
    if (o.known)
        QM_GUARD(qm_gate_apply_known(&report, o.known));
    qm_gate_conclude(&report);
    QM_GUARD(write_reports(&o, &report));
done:;
    int code = status == QM_OK ? qm_gate_exit_code(report.verdict) : qm_verb_fail(status);
    qm_gate_report_free(&report);
    return code;
}
