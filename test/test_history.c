// The history: a result is in it once, whole or not at all, whatever happens to the process; what is asked of it has
// accuracy beside speed, says what changed, and steers no terminal.
#include "record/history.h"
#include "record/result.h"
#include "report/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POCL QM_SOURCE_DIR "/test/data/result-pocl.yaml"
#define FOLDER QM_BINARY_DIR "/test-history"
#define DATABASE FOLDER "/h.sqlite"

static void must(enum qm_status status)
{
    if (status != QM_OK)
        fail_msg("%s", qm_error_text());
}

static void remove_all(const char *path)
{
    DIR *stream = opendir(path);
    for (struct dirent *entry; stream && (entry = readdir(stream)) != NULL;) {
        char name[1024];
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) < (int)sizeof(name))
            remove_all(name);
    }
    if (stream)
        closedir(stream);
    remove(path);
}

static int setup(void **state)
{
    (void)state;
    remove_all(FOLDER);
    return mkdir(FOLDER, 0755);
}

static struct qm_node *load(const char *path)
{
    struct qm_node *node = NULL;
    must(qm_result_load(path, &node, NULL));
    return node;
}

// Sets the hash anew; the caller frees the text.
static char *sealed(struct qm_node *result)
{
    char hash[QM_HASH_TEXT_BYTES];
    char *text = NULL;
    must(qm_node_hash(result, "hash", hash));
    qm_node_set_text(result, "hash", hash);
    must(qm_node_write_yaml(result, &text));
    return text;
}

// The result of PoCL as it was on a day of January 2026, by a driver version, at a rate of w8a8's decode.
static struct qm_node *variant(int day, const char *driver_version, double rate)
{
    struct qm_node *result = load(POCL);
    struct qm_node *point = qm_node_get(result, "schemes.1.throughput.1");
    assert_string_equal(qm_node_text_at(point, "phase", ""), "decode");
    qm_node_set_textf(qm_node_child(result, "run"), "started", "2026-01-%02dT12:00:00Z", day);
    qm_node_set_text(qm_node_child(result, "device"), "driver_version", driver_version);
    qm_node_set_double(point, "rate_tokens_per_s", rate);
    qm_node_set_double(point, "low", rate - 10);
    qm_node_set_double(point, "high", rate + 10);
    return result;
}

static void add_node(struct qm_history *history, struct qm_node *result, bool expected)
{
    bool is_new = false;
    char *text = sealed(result);
    must(qm_history_add(history, text, strlen(text), "v.yaml", &is_new));
    assert_int_equal(is_new, expected);
    free(text);
    qm_node_destroy(&result);
}

static struct qm_history *open_new(void)
{
    struct qm_history *history = NULL;
    must(qm_history_open(":memory:", true, &history));
    return history;
}

static size_t count_results(struct qm_history *history)
{
    struct qm_node *list = NULL;
    must(qm_history_list(history, &(struct qm_history_query){0}, &list));
    size_t count = qm_node_count(qm_node_child(list, "results"));
    qm_node_destroy(&list);
    return count;
}

static char *written(const struct qm_node *tree, bool is_trend, bool with_blocks)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    const struct qm_show_style style = {0};
    assert_non_null(file);
    must(is_trend ? qm_history_trend_write(tree, &style, with_blocks, file)
                  : qm_history_list_write(tree, &style, file));
    fclose(file);
    return text;
}

static void expect_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

// ---- Adding -------------------------------------------------------------------------------------------------------

static void test_once(void **state)
{
    (void)state;
    struct qm_history *history = open_new();
    add_node(history, variant(1, "1", 100), true);
    add_node(history, variant(1, "1", 100), false);
    // The same content in another layout is the same result.
    struct qm_node *result = variant(1, "1", 100);
    char *json = NULL;
    bool is_new = true;
    free(sealed(result));
    must(qm_node_write_json(result, &json));
    must(qm_history_add(history, json, strlen(json), "v.json", &is_new));
    assert_false(is_new);
    assert_int_equal(count_results(history), 1);
    free(json);
    qm_node_destroy(&result);
    assert_int_equal(qm_history_add(history, "schema: 1\n", 10, "no.yaml", &is_new), QM_INVALID);
    expect_text(qm_error_text(), "no.yaml");
    assert_int_equal(count_results(history), 1);
    qm_history_close(&history);
}

static void write_text(const char *path, const char *text)
{
    must(qm_file_write(path, text, strlen(text)));
}

static void test_folders(void **state)
{
    (void)state;
    struct qm_history *history = NULL;
    struct qm_history_import import;
    must(qm_directory_make(FOLDER "/in/deeper"));
    struct qm_node *result = variant(1, "1", 100);
    char *text = sealed(result);
    write_text(FOLDER "/in/a.yaml", text);
    write_text(FOLDER "/in/deeper/again.yaml", text);
    write_text(FOLDER "/in/a.json", text); // not looked at
    write_text(FOLDER "/in/profile.yaml", "schema: 1\nname: other\n");
    write_text(FOLDER "/in/deeper/noise.yaml", "\x01");
    assert_int_equal(symlink("..", FOLDER "/in/deeper/up"), 0); // would lead around in circles
    qm_node_destroy(&result);
    const char *paths[] = {FOLDER "/in", FOLDER "/missing.yaml", POCL};
    must(qm_history_open(FOLDER "/new/h.sqlite", true, &history));
    must(qm_history_add_files(history, paths, 3, 2, &import));
    assert_int_equal(import.added, 2);
    assert_int_equal(import.known, 1);
    assert_int_equal(import.skipped, 2);
    assert_int_equal(import.refused, 1);
    expect_text(import.first_skipped, "noise.yaml");
    expect_text(import.first_refused, "missing.yaml");
    must(qm_history_add_files(history, paths, 3, 0, &import));
    assert_int_equal(import.added, 0);
    assert_int_equal(import.known, 3);
    qm_history_close(&history);
    // The text is kept as it was.
    must(qm_history_open(FOLDER "/new/h.sqlite", false, &history));
    struct qm_history_runs runs;
    must(qm_history_newest(history, &(struct qm_history_query){.device = "POCL"}, &runs));
    assert_int_equal(runs.count, 1);
    void *bytes = NULL;
    size_t count = 0;
    must(qm_file_read(POCL, 1 << 20, &bytes, &count));
    assert_int_equal(runs.runs[0].text_bytes, count);
    assert_memory_equal(runs.runs[0].text, bytes, count);
    free(bytes);
    free(text);
    qm_history_runs_free(&runs);
    qm_history_close(&history);
}

// ---- Opening ------------------------------------------------------------------------------------------------------

static void change(const char *sql)
{
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(DATABASE, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static void expect_refused(bool may_create, const char *part)
{
    struct qm_history *history = NULL;
    assert_int_equal(qm_history_open(DATABASE, may_create, &history), QM_INVALID);
    assert_null(history);
    expect_text(qm_error_text(), part);
}

static void test_opening(void **state)
{
    (void)state;
    struct qm_history *history = NULL;
    expect_refused(false, "there is no history yet");
    assert_false(qm_file_exists(DATABASE));
    must(qm_history_open(DATABASE, true, &history));
    qm_history_close(&history);
    change("PRAGMA user_version = 2");
    expect_refused(true, "written by a newer qmark (schema 2; this one reads 1)");
    expect_refused(false, "newer qmark");
    change("PRAGMA application_id = 7");
    expect_refused(true, "no history of qmark");
    remove(DATABASE);
    write_text(DATABASE, "this is a letter to somebody, and it is longer than a header of a database would be, so that "
                         "there is something to look at");
    expect_refused(true, "is no database");
    char path[QM_PATH_BYTES];
    setenv("XDG_DATA_HOME", "/data", 1);
    unsetenv("QM_HISTORY");
    must(qm_history_path(NULL, path));
    assert_string_equal(path, "/data/qmark/history.sqlite");
    setenv("QM_HISTORY", "/elsewhere", 1);
    must(qm_history_path(NULL, path));
    assert_string_equal(path, "/elsewhere");
    must(qm_history_path("given", path));
    assert_string_equal(path, "given");
}

// ---- A process that is killed -------------------------------------------------------------------------------------

enum {
    KILL_FILES = 48,
    KILL_BATCH = 4,
    KILL_ROUNDS = 6
};

static sqlite3_int64 number(const char *sql)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    sqlite3_int64 value = -1;
    sqlite3_open_v2(DATABASE, &database, SQLITE_OPEN_READWRITE, NULL);
    sqlite3_busy_timeout(database, 1000);
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
        value =
            strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0 ? 1 : sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return value;
}

static pid_t start_import(void)
{
    fflush(stdout);
    pid_t child = fork();
    if (child != 0)
        return child;
    struct qm_history *history = NULL;
    struct qm_history_import import;
    const char *path = FOLDER "/in";
    if (qm_history_open(DATABASE, true, &history) != QM_OK ||
        qm_history_add_files(history, &path, 1, KILL_BATCH, &import) != QM_OK)
        _exit(1);
    _exit(0);
}

static void test_killed(void **state)
{
    (void)state;
    size_t killed = 0;
    must(qm_directory_make(FOLDER "/in"));
    for (int i = 0; i < KILL_FILES; i++) {
        char path[256];
        struct qm_node *result = variant(1 + i % 28, "1", 100 + i);
        char *text = sealed(result);
        snprintf(path, sizeof(path), FOLDER "/in/%02d.yaml", i);
        write_text(path, text);
        free(text);
        qm_node_destroy(&result);
    }
    for (int round = 0; round < KILL_ROUNDS; round++) {
        int status = 0;
        sqlite3_int64 before = round == 0 ? 0 : number("SELECT count(*) FROM results");
        pid_t child = start_import();
        assert_true(child > 0);
        // From the moment that it has made something on, somewhat later each time: within a batch, a commit, a flush.
        while (waitpid(child, &status, WNOHANG) == 0) {
            if (!qm_file_exists(DATABASE) || number("SELECT count(*) FROM results") <= before)
                continue;
            nanosleep(&(struct timespec){0, 700000L * round}, NULL);
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            break;
        }
        killed += WIFSIGNALED(status);
        assert_int_equal(number("PRAGMA integrity_check"), 1);
        assert_int_equal(number("SELECT count(*) FROM results") % KILL_BATCH, 0);
        // Each that is there has its text, its three schemes and their six points.
        assert_int_equal(number("SELECT count(*) FROM results r WHERE NOT EXISTS (SELECT 1 FROM texts t WHERE "
                                "t.result_id = r.id AND length(t.yaml) > 20000)"),
                         0);
        assert_int_equal(number("SELECT count(*) FROM results r WHERE (SELECT count(*) FROM schemes s JOIN points p ON "
                                "p.scheme_id = s.id WHERE s.result_id = r.id) <> 6"),
                         0);
        assert_int_equal(number("SELECT (SELECT count(*) FROM schemes) - 3 * (SELECT count(*) FROM results)"), 0);
    }
    assert_true(killed > 0);
    struct qm_history *history = NULL;
    struct qm_history_import import;
    const char *path = FOLDER "/in";
    must(qm_history_open(DATABASE, true, &history));
    must(qm_history_add_files(history, &path, 1, 0, &import));
    assert_int_equal(import.added + import.known, KILL_FILES);
    assert_int_equal(count_results(history), KILL_FILES);
    qm_history_close(&history);
}

// ---- Asking -------------------------------------------------------------------------------------------------------

static void test_list(void **state)
{
    (void)state;
    struct qm_history *history = open_new();
    struct qm_node *list = NULL;
    add_node(history, variant(2, "1", 100), true);
    add_node(history, variant(3, "2", 200), true);
    add_node(history, variant(1, "1", 300), true);
    must(qm_history_list(history, &(struct qm_history_query){.scheme = "w8a8", .limit = 2}, &list));
    assert_int_equal(qm_node_count(qm_node_child(list, "results")), 2);
    assert_string_equal(qm_node_text_at(list, "results.0.started", ""), "2026-01-03T12:00:00Z");
    assert_string_equal(qm_node_text_at(list, "results.1.started", ""), "2026-01-02T12:00:00Z");
    assert_int_equal(qm_node_count(qm_node_get(list, "results.0.schemes")), 1);
    assert_string_equal(qm_node_text_at(list, "results.0.schemes.0.decode.rate_tokens_per_s", ""), "200");
    assert_true(qm_node_is_number(qm_node_get(list, "results.0.schemes.0.accuracy.kl_divergence.mean")));
    char *text = written(list, false, false);
    expect_text(text, "0.00028 [0.0002, 0.000357]");
    expect_text(text, "200 [190, 210]");
    free(text);
    qm_node_destroy(&list);
    must(qm_history_list(history, &(struct qm_history_query){.device = "skyLAKE"}, &list));
    assert_int_equal(qm_node_count(qm_node_child(list, "results")), 3);
    qm_node_destroy(&list);
    must(qm_history_list(history, &(struct qm_history_query){.device = "%"}, &list)); // no pattern
    assert_int_equal(qm_node_count(qm_node_child(list, "results")), 0);
    qm_node_destroy(&list);
    must(qm_history_list(history, &(struct qm_history_query){.profile_hash = "8599da0b"}, &list));
    assert_int_equal(qm_node_count(qm_node_child(list, "results")), 3);
    qm_node_destroy(&list);
    qm_history_close(&history);
}

// No speed without accuracy: where it was not measured, these words stand in its place, in list and trend.
static void test_not_measured(void **state)
{
    (void)state;
    struct qm_history *history = open_new();
    struct qm_node *list = NULL;
    struct qm_node *trend = NULL;
    struct qm_node *result = variant(1, "1", 100);
    qm_node_set_text(qm_node_get(result, "schemes.1"), "accuracy", "not measured");
    add_node(history, result, true);
    add_node(history, variant(2, "1", 110), true);
    must(qm_history_list(history, &(struct qm_history_query){.scheme = "w8a8"}, &list));
    assert_string_equal(qm_node_text_at(list, "results.1.schemes.0.accuracy", ""), "not measured");
    char *text = written(list, false, false);
    expect_text(text, "accuracy: not measured  ");
    free(text);
    const struct qm_history_query query = {.scheme = "w8a8", .phase = "decode", .batch = 1};
    must(qm_history_trend(history, &query, &trend));
    text = written(trend, true, true);
    expect_text(text, "accuracy: not measured      100 [90, 110]");
    expect_text(text, "\xe2\x96\x81\xe2\x96\x88  100 to 110 t/s; KL mean 0.00028 to 0.00028; accuracy: not measured");
    free(text);
    qm_node_destroy(&list);
    qm_node_destroy(&trend);
    qm_history_close(&history);
}

static void test_trend(void **state)
{
    (void)state;
    struct qm_history *history = open_new();
    struct qm_node *trend = NULL;
    uint64_t depth = 64;
    add_node(history, variant(4, "2", 180), true);
    add_node(history, variant(1, "1", 100), true);
    add_node(history, variant(2, "1", 102), true);
    struct qm_node *result = variant(3, "1", 1);
    struct qm_node *scheme = qm_node_get(result, "schemes.1");
    qm_node_set_text(scheme, "status", "wrong");
    qm_node_set_text(scheme, "reason", "logits differ");
    static const char *const gone[] = {"throughput", "gain", "sustained", "kernels"};
    for (size_t i = 0; i < 4; i++)
        qm_node_remove(scheme, gone[i]);
    add_node(history, result, true);
    struct qm_history_query query = {.scheme = "w8a8", .phase = "decode", .batch = 1, .depth = &depth};
    must(qm_history_trend(history, &query, &trend));
    assert_int_equal(qm_node_count(qm_node_child(trend, "series")), 1);
    assert_int_equal(qm_node_count(qm_node_get(trend, "series.0.runs")), 4);
    assert_string_equal(qm_node_text_at(trend, "series.0.runs.0.rate_tokens_per_s", ""), "100");
    assert_string_equal(qm_node_text_at(trend, "series.0.runs.2.status", ""), "wrong");
    assert_null(qm_node_get(trend, "series.0.runs.2.rate_tokens_per_s"));
    assert_int_equal(qm_node_count(qm_node_get(trend, "series.0.runs.1.changed")), 0);
    assert_string_equal(qm_node_text_at(trend, "series.0.runs.3.changed.0", ""), "driver");
    char *text = written(trend, true, true);
    expect_text(text, "\xe2\x96\x81\xe2\x96\x81!\xe2\x96\x88  100 to 180 t/s; KL mean");
    expect_text(text, "WRONG: logits differ");
    expect_text(text, "180 [170, 190]    ");
    free(text);
    qm_node_destroy(&trend);
    // The newest two still know what changed since the run before them.
    query.limit = 1;
    must(qm_history_trend(history, &query, &trend));
    assert_int_equal(qm_node_count(qm_node_get(trend, "series.0.runs")), 1);
    assert_string_equal(qm_node_text_at(trend, "series.0.runs.0.changed.0", ""), "driver");
    qm_node_destroy(&trend);
    depth = 65;
    must(qm_history_trend(history, &query, &trend)); // only the run without a point is left
    assert_int_equal(qm_node_count(qm_node_get(trend, "series.0.runs")), 1);
    assert_string_equal(qm_node_text_at(trend, "series.0.runs.0.status", ""), "wrong");
    qm_node_destroy(&trend);
    qm_history_close(&history);
}

static void expect_baseline(struct qm_history *history, const struct qm_node *result, const char *driver,
                            const char *version, const char *const *days, const char *reason)
{
    struct qm_history_runs runs;
    must(qm_history_baseline(history, result, 3, driver, &runs));
    size_t count = 0;
    for (; days[count]; count++) {
        char started[32];
        snprintf(started, sizeof(started), "2026-01-%sT12:00:00Z", days[count]);
        assert_true(count < runs.count);
        assert_string_equal(runs.runs[count].started, started);
        expect_text(runs.runs[count].text, runs.runs[count].hash);
    }
    assert_int_equal(runs.count, count);
    assert_string_equal(runs.driver_version ? runs.driver_version : "none", version);
    if (!strstr(runs.reason, reason) || (!*reason && runs.reason[0]))
        fail_msg("'%s' is not in: %s", reason, runs.reason);
    qm_history_runs_free(&runs);
}

static void test_baseline(void **state)
{
    (void)state;
    struct qm_history *history = open_new();
    for (int day = 1; day <= 4; day++)
        add_node(history, variant(day, "1", 100 + day), true);
    add_node(history, variant(5, "2", 100), true);
    add_node(history, variant(6, "2", 100), true);
    add_node(history, variant(9, "3", 100), true); // later than the new one
    // Another kernel, another scheme identity, an edited file, a scheme that failed: none of them is a baseline.
    struct qm_node *other = variant(7, "2", 100);
    qm_node_set_textf(qm_node_get(other, "schemes.1.disclosure.tool_chain"), "kernel_hash", "%064d", 7);
    add_node(history, other, true);
    other = variant(7, "2", 101);
    qm_node_set_textf(qm_node_get(other, "schemes.2"), "identity", "%064d", 7);
    add_node(history, other, true);
    other = variant(7, "2", 102);
    bool is_new = false;
    char *text = sealed(other);
    size_t place = 0;
    while (text[place] && strncmp(text + place, "rate_tokens_per_s: 102", 22) != 0)
        ++place;
    assert_true(text[place]);
    text[place + strlen("rate_tokens_per_s: ")] = '9';
    must(qm_history_add(history, text, strlen(text), "edited.yaml", &is_new));
    assert_true(is_new);
    free(text);
    qm_node_destroy(&other);

    struct qm_node *result = variant(8, "3", 100);
    free(sealed(result));
    expect_baseline(history, result, NULL, "2", (const char *const[]){"06", "05", NULL}, "2 have other kernels");
    expect_baseline(history, result, "1", "1", (const char *const[]){"04", "03", "02", NULL}, "");
    expect_baseline(history, result, "same", "none", (const char *const[]){NULL}, "another driver version");
    // It is never its own baseline.
    add_node(history, variant(8, "3", 100), true);
    expect_baseline(history, result, "same", "none", (const char *const[]){NULL}, "another driver version");
    qm_node_set_text(qm_node_child(result, "host"), "processor", "another");
    expect_baseline(history, result, NULL, "none", (const char *const[]){NULL}, "no intact, earlier run");
    qm_node_destroy(&result);
    qm_history_close(&history);
}

static void test_device_identity(void **state)
{
    (void)state;
    char before[QM_HISTORY_DEVICE_BYTES];
    char after[QM_HISTORY_DEVICE_BYTES];
    struct qm_node *result = load(QM_SOURCE_DIR "/test/data/result-example.yaml");
    struct qm_node *device = qm_node_child(result, "device");
    // A software driver: another version of it, which stands in name and UUID, is on the same processor.
    qm_history_device(result, before);
    qm_node_set_text(device, "uuid", "6d657361-3233-2e30-2e30-000000000000");
    qm_node_set_text(device, "name", "llvmpipe (LLVM 16.0.0, 256 bits)");
    qm_history_device(result, after);
    assert_string_equal(before, after);
    // A card by its UUID; two cards of one name differ, and so do two APIs.
    qm_node_set_text(device, "type", "discrete");
    qm_history_device(result, before);
    expect_text(before, "uuid 6d657361-3233");
    qm_node_set_text(device, "api", "opencl");
    qm_history_device(result, after);
    assert_string_not_equal(before, after);
    qm_node_set_text(device, "uuid", "00000000000000000000000000000000");
    qm_node_set_text(device, "pci", "0000:03:00.0");
    qm_history_device(result, before);
    expect_text(before, "pci 0000:03:00.0, 0x10005:0x0000");
    qm_node_set_text(device, "pci", "undisclosed");
    qm_history_device(result, before);
    qm_node_set_u64(device, "ordinal", 2);
    qm_history_device(result, after);
    assert_string_not_equal(before, after);
    qm_node_destroy(&result);
}

// Escapes of a YAML text become characters that steer a terminal; none may come out, in a table or as JSON.
static void test_steers_no_terminal(void **state)
{
    (void)state;
    struct qm_history *history = open_new();
    struct qm_node *list = NULL;
    struct qm_node *trend = NULL;
    bool is_new = false;
    struct qm_node *result = variant(1, "DRIVER", 100);
    char *text = NULL;
    must(qm_node_write_yaml(result, &text));
    qm_node_destroy(&result);
    char *at = strstr(text, "DRIVER");
    char *evil = NULL;
    assert_non_null(at);
    assert_true(asprintf(&evil, "%.*s\"a\\e]0;b\\a\\u009b31m\\u202ec\\nd\"%s", (int)(at - text), text, at + 6) > 0);
    must(qm_history_add(history, evil, strlen(evil), "e\x1b.yaml", &is_new));
    assert_true(is_new);
    must(qm_history_list(history, &(struct qm_history_query){0}, &list));
    must(
        qm_history_trend(history, &(struct qm_history_query){.scheme = "w8a8", .phase = "decode", .batch = 1}, &trend));
    char *texts[] = {written(list, false, false), written(trend, true, true), NULL, NULL};
    must(qm_node_write_json(list, &texts[2]));
    must(qm_node_write_json(trend, &texts[3]));
    for (size_t i = 0; i < 4; i++) {
        expect_text(texts[i], "a ]0;b  31m c d");
        assert_null(strpbrk(texts[i], "\x1b\a"));
        assert_null(strstr(texts[i], "\xc2\x9b"));
        assert_null(strstr(texts[i], "\xe2\x80\xae"));
        free(texts[i]);
    }
    free(text);
    free(evil);
    qm_node_destroy(&list);
    qm_node_destroy(&trend);
    qm_history_close(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),
        cmocka_unit_test_setup(test_folders, setup),
        cmocka_unit_test_setup(test_opening, setup),
        cmocka_unit_test_setup(test_killed, setup),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_not_measured),
        cmocka_unit_test(test_trend),
        cmocka_unit_test(test_baseline),
        cmocka_unit_test(test_device_identity),
        cmocka_unit_test(test_steers_no_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
