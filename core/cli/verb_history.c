#include "cli/options.h"
#include "cli/verbs.h"
#include "record/history.h"
#include "record/node.h"
#include "record/result.h"
#include "record/suggest.h"
#include "report/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIST_LIMIT = 20,
    TREND_LIMIT = 60,
    BASELINE_RUNS = 5
};

static const char database_meaning[] = "the database; $QM_HISTORY or history.sqlite among your data if not given";

static enum qm_status open_history(const char *given, bool may_create, struct qm_history **out)
{
    char path[QM_PATH_BYTES];
    QM_TRY(qm_history_path(given, path));
    return qm_history_open(path, may_create, out);
}

// ---- add ----------------------------------------------------------------------------------------------------------

static int end_of_add(const struct qm_history_import *import)
{
    printf("%zu added, %zu there already", import->added, import->known);
    if (import->skipped > 0)
        printf(", %zu skipped that are no results", import->skipped);
    putchar('\n');
    if (import->first_skipped[0])
        fprintf(stderr, "qmark: skipped: %s%s\n", import->first_skipped,
                import->skipped + import->folders > 1 ? " (and others)" : "");
    if (import->refused > 0) {
        fprintf(stderr, "qmark: %s%s\n", import->first_refused, import->refused > 1 ? " (and others)" : "");
        return QM_EXIT_BAD_INPUT;
    }
    return QM_EXIT_OK;
}

static int add(int argc, char **argv)
{
    bool done = false;
    const char *database = NULL;
    const struct qm_option options[] = {
        {"db", QM_OPTION_TEXT, &database, "FILE", database_meaning},
    };
    const struct qm_command command = {
        .verb = "history add",
        .operands = "RESULT|DIR...",
        .operands_min = 1,
        .operands_max = 100000,
        .meaning = "Keep results in the history; of a directory, every *.yaml that is one.",
        .details = "A result that is there already is not added again. Those whose hash is not that of their content "
                   "are kept,\nmarked CHANGED and never compared with.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **paths = NULL;
    size_t count = 0;
    struct qm_history *history = NULL;
    struct qm_history_import import = {0};
    enum qm_status status = qm_command_parse(&command, argc, argv, &paths, &count, &done);
    if (status == QM_OK && done)
        return QM_EXIT_OK;
    if (status == QM_OK)
        status = open_history(database, true, &history);
    if (status == QM_OK)
        status = qm_history_add_files(history, paths, count, 0, &import);
    qm_history_close(&history);
    return status == QM_OK ? end_of_add(&import) : qm_verb_fail(status);
}

// ---- list ---------------------------------------------------------------------------------------------------------

static int list(int argc, char **argv)
{
    bool done = false;
    bool as_json = false;
    const char *database = NULL;
    uint64_t limit = LIST_LIMIT;
    struct qm_history_query query = {0};
    const struct qm_option options[] = {
        {"device", QM_OPTION_TEXT, &query.device, "TEXT", "part of a device's name, identity or driver version"},
        {"scheme", QM_OPTION_TEXT, &query.scheme, "NAME", "only this scheme"},
        {"profile-hash", QM_OPTION_TEXT, &query.profile_hash, "HASH", "its first digits"},
        {"limit", QM_OPTION_WHOLE, &limit, "N", "the newest N results; 20 if not given, 0 for all"},
        {"json", QM_OPTION_FLAG, &as_json, NULL, "print them as JSON"},
        {"db", QM_OPTION_TEXT, &database, "FILE", database_meaning},
    };
    const struct qm_command command = {.verb = "history list",
                                       .operands = "",
                                       .meaning = "List results, newest first, each scheme with accuracy and speed.",
                                       .details = "",
                                       .options = options,
                                       .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    struct qm_history *history = NULL;
    struct qm_node *answer = NULL;
    struct qm_show_style style = qm_show_style_of(1);
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status == QM_OK && done)
        return QM_EXIT_OK;
    query.limit = (size_t)limit;
    if (status == QM_OK)
        status = open_history(database, false, &history);
    if (status == QM_OK)
        status = qm_history_list(history, &query, &answer);
    qm_history_close(&history);
    if (status == QM_OK && as_json)
        return qm_verb_print_json(&answer);
    if (status == QM_OK)
        status = qm_history_list_write(answer, &style, stdout);
    qm_node_destroy(&answer);
    return status == QM_OK ? QM_EXIT_OK : qm_verb_fail(status);
}

// ---- trend --------------------------------------------------------------------------------------------------------

static bool takes_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"}; // the first that is set counts
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strstr(value, "UTF-8") || strstr(value, "utf8") || strstr(value, "UTF8") || strstr(value, "utf-8");
    }
    return false;
}

static enum qm_status check_trend(const struct qm_history_query *query)
{
    if (!query->scheme || !query->phase)
        return QM_FAIL(QM_INVALID, "history trend: expected a scheme and a phase; write 'qmark history trend --scheme "
                                   "NAME --phase decode --batch N'");
    if (strcmp(query->phase, "prefill") != 0 && strcmp(query->phase, "decode") != 0)
        return QM_FAIL(QM_INVALID, "--phase is '%.40s'; expected prefill or decode", query->phase);
    if (query->depth && strcmp(query->phase, "decode") != 0)
        return QM_FAIL(QM_INVALID, "--depth is of decode; of prefill there is --prompt");
    if (query->prompt && strcmp(query->phase, "prefill") != 0)
        return QM_FAIL(QM_INVALID, "--prompt is of prefill; of decode there is --depth");
    return QM_OK;
}

static int trend(int argc, char **argv)
{
    bool done = false;
    bool as_json = false;
    const char *database = NULL;
    uint64_t limit = TREND_LIMIT;
    uint64_t prompt = UINT64_MAX;
    uint64_t depth = UINT64_MAX;
    struct qm_history_query query = {.batch = 1};
    const struct qm_option options[] = {
        {"scheme", QM_OPTION_TEXT, &query.scheme, "NAME", "the scheme"},
        {"phase", QM_OPTION_TEXT, &query.phase, "prefill|decode", "which of them"},
        {"batch", QM_OPTION_WHOLE, &query.batch, "N", "sequences at a time; 1 if not given"},
        {"depth", QM_OPTION_WHOLE, &depth, "N", "of decode; a series for each if not given"},
        {"prompt", QM_OPTION_WHOLE, &prompt, "N", "of prefill; likewise"},
        {"device", QM_OPTION_TEXT, &query.device, "TEXT", "part of a device's name, identity or driver version"},
        {"profile-hash", QM_OPTION_TEXT, &query.profile_hash, "HASH", "its first digits"},
        {"limit", QM_OPTION_WHOLE, &limit, "N", "the newest N runs of each series; 60 if not given, 0 for all"},
        {"json", QM_OPTION_FLAG, &as_json, NULL, "print the series as JSON"},
        {"db", QM_OPTION_TEXT, &database, "FILE", database_meaning},
    };
    const struct qm_command command = {
        .verb = "history trend",
        .operands = "",
        .meaning = "Show the rate of one point over time, with its accuracy and what changed.",
        .details = "A series for each device, API and driver, oldest run first. 'changed' says where driver version,\n"
                   "kernels, artifact or profile are not those of the run before: there rates may step.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    struct qm_history *history = NULL;
    struct qm_node *answer = NULL;
    struct qm_show_style style = qm_show_style_of(1);
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status == QM_OK && done)
        return QM_EXIT_OK;
    query.limit = (size_t)limit;
    query.prompt = prompt == UINT64_MAX ? NULL : &prompt;
    query.depth = depth == UINT64_MAX ? NULL : &depth;
    if (status == QM_OK)
        status = check_trend(&query);
    if (status == QM_OK)
        status = open_history(database, false, &history);
    if (status == QM_OK)
        status = qm_history_trend(history, &query, &answer);
    qm_history_close(&history);
    if (status == QM_OK && as_json)
        return qm_verb_print_json(&answer);
    if (status == QM_OK)
        status = qm_history_trend_write(answer, &style, style.is_fancy && takes_utf8(), stdout);
    qm_node_destroy(&answer);
    return status == QM_OK ? QM_EXIT_OK : qm_verb_fail(status);
}

// ---- baseline -----------------------------------------------------------------------------------------------------

// The result that the runs are for: of a file, or the newest that fits.
static enum qm_status find_result(struct qm_history *history, const char *path, const struct qm_history_query *query,
                                  struct qm_node **out)
{
    struct qm_history_runs newest = {0};
    if (path)
        return qm_result_load(path, out, NULL);
    QM_TRY(qm_history_newest(history, query, &newest));
    if (newest.count == 0)
        return QM_FAIL(QM_INVALID, "no result in the history has such a device and profile; 'qmark history list' "
                                   "shows what is there");
    const struct qm_history_run *run = &newest.runs[0];
    enum qm_status status = qm_node_parse(run->text, run->text_bytes, run->file, &qm_node_result_limits, out);
    if (status == QM_OK)
        status = qm_result_check(*out);
    if (status == QM_OK)
        printf("for %.12s, %s, %s\n", run->hash, run->started, run->file);
    else
        qm_node_destroy(out);
    qm_history_runs_free(&newest);
    return status;
}

static int print_runs(const struct qm_history_runs *runs)
{
    for (size_t i = 0; i < runs->count; i++)
        printf("%s  %s  %s\n", runs->runs[i].hash, runs->runs[i].started, runs->runs[i].file);
    if (runs->driver_version)
        printf("driver version: %s\n", runs->driver_version);
    if (runs->reason[0])
        printf("%s: %s\n", runs->count == 0 ? "no baseline" : "fewer than asked for", runs->reason);
    return runs->count > 0 ? QM_EXIT_OK : QM_EXIT_NO;
}

static int baseline(int argc, char **argv)
{
    bool done = false;
    const char *database = NULL;
    const char *driver = NULL;
    uint64_t last = BASELINE_RUNS;
    struct qm_history_query query = {0};
    const struct qm_option options[] = {
        {"last", QM_OPTION_WHOLE, &last, "N", "at most the newest N runs; 5 if not given"},
        {"driver", QM_OPTION_TEXT, &driver, "VERSION",
         "of this driver version, or 'same'; the latest other one if not given"},
        {"device", QM_OPTION_TEXT, &query.device, "TEXT", "without RESULT: the newest of this device"},
        {"profile-hash", QM_OPTION_TEXT, &query.profile_hash, "HASH", "without RESULT: and of this profile"},
        {"db", QM_OPTION_TEXT, &database, "FILE", database_meaning},
    };
    const struct qm_command command = {
        .verb = "history baseline",
        .operands = "[RESULT]",
        .operands_max = 1,
        .meaning = "Name the earlier runs that a result is to be compared with.",
        .details = "They are intact, of the same device, model, profile and kernels, and of one driver version.\n"
                   "Exit code: 0 if there is one, 1 if there is none.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    struct qm_history *history = NULL;
    struct qm_history_runs runs = {0};
    struct qm_node *result = NULL;
    int code = QM_EXIT_OK;
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status == QM_OK && done)
        return QM_EXIT_OK;
    if (status == QM_OK && count == 1 && (query.device || query.profile_hash))
        status = QM_FAIL(QM_INVALID, "history baseline: RESULT says which device and profile; leave out --device and "
                                     "--profile-hash");
    if (status == QM_OK && last == 0)
        status = QM_FAIL(QM_INVALID, "--last is 0; expected 1 or more");
    if (status == QM_OK)
        status = open_history(database, false, &history);
    if (status == QM_OK)
        status = find_result(history, count == 1 ? operands[0] : NULL, &query, &result);
    if (status == QM_OK)
        status = qm_history_baseline(history, result, (size_t)last, driver, &runs);
    if (status == QM_OK)
        code = print_runs(&runs);
    qm_history_runs_free(&runs);
    qm_node_destroy(&result);
    qm_history_close(&history);
    return status == QM_OK ? code : qm_verb_fail(status);
}

// ---- The verb -----------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    int (*function)(int argc, char **argv);
} actions[] = {{"add", add}, {"list", list}, {"trend", trend}, {"baseline", baseline}};

enum {
    ACTION_COUNT = sizeof(actions) / sizeof(actions[0])
};

int qm_verb_history(int argc, char **argv)
{
    static const struct qm_command command = {
        .verb = "history",
        .operands = "add|list|trend|baseline ...",
        .operands_min = 1,
        .operands_max = 100000,
        .meaning = "Keep results, list them, show what changed over time.",
        .details = "  history add RESULT|DIR...   keep results; twice is once\n"
                   "  history list                the newest first, accuracy beside speed\n"
                   "  history trend               the rate of one point over time, and what changed\n"
                   "  history baseline [RESULT]   the earlier runs that a result is to be compared with\n"
                   "\n"
                   "'qmark history add --help', and so on, lists the options. docs/HISTORY.md has the tables."};
    const char *names[ACTION_COUNT];
    const char **operands = NULL;
    size_t count = 0;
    bool done = false;
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        names[i] = actions[i].name;
        if (argc > 1 && strcmp(argv[1], names[i]) == 0)
            return actions[i].function(argc - 1, argv + 1);
    }
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status == QM_OK && done)
        return QM_EXIT_OK;
    if (status == QM_OK) {
        const char *near = qm_suggest(operands[0], names, ACTION_COUNT);
        status = near ? QM_FAIL(QM_INVALID, "history: unknown action '%.40s'; did you mean '%s'?", operands[0], near)
                      : QM_FAIL(QM_INVALID, "history: unknown action '%.40s'; expected add, list, trend or baseline",
                                operands[0]);
    }
    return qm_verb_fail(status);
}
