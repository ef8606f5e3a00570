// The program as a user starts it, for tests: a small profile on PoCL and lavapipe, what it printed, and whether its
// results are whole. Whoever includes this defines FOLDER, where all of it lies.
#ifndef QM_TEST_RUN_PROGRAM_H
#define QM_TEST_RUN_PROGRAM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "record/compare.h"
#include "record/result.h"

#define PROGRAM QM_BINARY_DIR "/qmark"
#define PROFILE FOLDER "/faults.yaml"
#define CACHE FOLDER "/cache"
#define OUT FOLDER "/out"

enum {
    PATIENCE_S = 300 // the first run compiles kernels, maybe beside other work and under sanitizers
};

// Depth 96 and not 64: at position 71 of window 0 the model is of two minds, f16 logits of right devices differ by
// 3e-4 nats there, and eight steps are too few to make a mean of.
static const char profile_text[] =
    "schema: 1\nname: faults\nschemes: [f16, w8a8]\nbaseline: f16\n"
    "evaluation: {set: built-in, seed: 31926937667174403, windows: 2, window_tokens: 128, scored_tokens: 64, sets: 2}\n"
    "calibration: {set: built-in, seed: 31926937667174402, windows: 2, window_tokens: 128}\n"
    "prefill:\n  - {batch: 1, prompt: 128}\ndecode:\n  - {batch: 1, depth: 96, steps: 8}\n"
    "timing: {protocol: paired, warmup: 1, repeats: 3, precision: 1, seconds: 0, order_seed: 1}\n"
    "sustained: {phase: none, seconds: 0, cool_down_s: 0, temperature_most_c: none}\n"
    "latency: {p99_ms: 100}\ncaches: {last_level_bytes: host}\n"
    "gate: {false_alarm: 0.0005, minimum_effect: 0.02, tolerance: 0.05, seconds: 1}\n"
    "policy: {dispatches_per_submission: 0, submission_ms: 200, allow_smaller_batch: false}\ntier: best\ntiles: "
    "fixed\nwiden: 1\n"
    "bootstrap: {seed: 31926937667174404, resamples: 199, confidence: 0.95}\n"
    "acceptance:\n  at_most: {kl_divergence_mean: 0.05}\n  at_least: {exact_match_ratio: 0.5}\n";

// ---- Starting the program -------------------------------------------------------------------------------------------

struct child {
    pid_t pid;
    int code; // exit code, or 1000 + signal
    char *output;
    char *errors;
};

static inline char *read_text(const char *path)
{
    FILE *stream = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    if (stream) {
        size_t count = fread(text, 1, (1 << 20) - 1, stream);
        text[count] = '\0';
        fclose(stream);
    }
    return text;
}

// `settings` are "NAME=VALUE" and end with NULL. The child leads a process group, as one on a terminal does.
static inline void start(struct child *child, const char *const *settings, const char *input,
                         const char *const *arguments)
{
    *child = (struct child){0};
    fflush(stdout);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid > 0) {
        setpgid(child->pid, child->pid);
        return;
    }
    setpgid(0, 0);
    setenv("QM_CACHE_DIR", CACHE, 1);
    setenv("RUSTICL_ENABLE", "llvmpipe", 0);
    setenv("LSAN_OPTIONS", "detect_leaks=0", 1); // leaks of a whole run are looked for by the others
    for (size_t i = 0; settings && settings[i]; ++i) {
        char name[64];
        const char *value = strchr(settings[i], '=') + 1;
        snprintf(name, sizeof(name), "%.*s", (int)(value - settings[i] - 1), settings[i]);
        setenv(name, value, 1);
    }
    int in = open(input ? input : "/dev/null", O_RDONLY);
    int out = open(FOLDER "/stdout", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    int error = open(FOLDER "/stderr", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (in < 0 || out < 0 || error < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(error, 2) < 0)
        _exit(120);
    const char *argv[32] = {PROGRAM};
    for (size_t i = 0; arguments[i] && i < 30; ++i)
        argv[i + 1] = arguments[i];
    execv(PROGRAM, (char *const *)(uintptr_t)argv);
    _exit(121);
}

static inline double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static inline void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

// Waits for the end; false after `limit_s`, and the group is killed.
static inline bool finish(struct child *child, double limit_s)
{
    int status = 0;
    bool ended = true;
    double begin = now_s();
    while (waitpid(child->pid, &status, WNOHANG) == 0) {
        if (now_s() - begin > limit_s && ended) {
            kill(-child->pid, SIGKILL);
            ended = false;
        }
        pause_ms(20);
    }
    child->code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    child->output = read_text(FOLDER "/stdout");
    child->errors = read_text(FOLDER "/stderr");
    return ended;
}

static inline void release(struct child *child)
{
    free(child->output);
    free(child->errors);
}

static inline void expect_code(const struct child *child, int code)
{
    if (child->code != code)
        fail_msg("exit code %d, expected %d\nstdout: %s\nstderr: %s", child->code, code, child->output, child->errors);
}

static inline void expect_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

static inline void remove_all(const char *path)
{
    DIR *stream = opendir(path);
    if (stream) {
        for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
            char name[1024];
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            if (snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) < (int)sizeof(name))
                remove_all(name);
        }
        closedir(stream);
    }
    remove(path);
}

// Runs the profile on the devices, with the settings and up to two more arguments, to its end.
static inline void run_profile_with(struct child *child, const char *devices, const char *const *settings,
                                    const char *more, const char *value)
{
    const char *const arguments[] = {"run", "--profile", PROFILE, "--device", devices, "--out", OUT, more, value, NULL};
    remove_all(OUT);
    start(child, settings, NULL, arguments);
    if (!finish(child, PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", PATIENCE_S, child->errors);
}

static inline void run_profile(struct child *child, const char *devices, const char *const *settings)
{
    run_profile_with(child, devices, settings, NULL, NULL);
}

// ---- Results --------------------------------------------------------------------------------------------------------

// The result of the API, which must be whole; NULL where there is none. Fails for anything half written.
static inline struct qm_node *result_of(const char *folder, const char *api)
{
    struct qm_node *found = NULL;
    DIR *stream = opendir(folder);
    if (!stream)
        return NULL;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        char path[1024];
        const char *end = strrchr(entry->d_name, '.');
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' && (entry->d_name[1] == '\0' || strcmp(entry->d_name, "..") == 0))
            continue;
        if (end && strcmp(end, ".yaml") == 0) {
            struct qm_node *result = NULL;
            bool is_intact = false;
            if (qm_result_load(path, &result, &is_intact) != QM_OK)
                fail_msg("%s", qm_error_text());
            assert_true(is_intact);
            if (!found && strcmp(qm_node_text_at(result, "device.api", ""), api) == 0)
                found = result;
            else
                qm_node_destroy(&result);
        } else if (strcmp(entry->d_name, "qmark-journal.jsonl") != 0 && strcmp(entry->d_name, "qmark.lock") != 0 &&
                   (!end || strcmp(end, ".safetensors") != 0)) {
            fail_msg("%s: was left behind", path);
        }
    }
    closedir(stream);
    return found;
}

static inline struct qm_node *need_result(const char *api)
{
    struct qm_node *result = result_of(OUT, api);
    if (!result)
        fail_msg("there is no result of %s in %s", api, OUT);
    return result;
}

static inline const struct qm_node *row_of(const struct qm_node *result, const char *scheme)
{
    const struct qm_node *list = qm_node_get(result, "schemes");
    for (size_t i = 0; i < qm_node_count(list); ++i) {
        if (strcmp(qm_node_text_at(qm_node_at(list, i), "name", ""), scheme) == 0)
            return qm_node_at(list, i);
    }
    fail_msg("the result has no scheme %s", scheme);
    return NULL;
}

static inline void expect_whole(const struct qm_node *result, const char *scheme)
{
    const struct qm_node *row = row_of(result, scheme);
    double value = 0;
    if (strcmp(qm_node_text_at(row, "status", ""), "ok") != 0)
        fail_msg("%s is %s: %s", scheme, qm_node_text_at(row, "status", "?"), qm_node_text_at(row, "reason", "?"));
    assert_int_equal(qm_node_count(qm_node_get(row, "throughput")), 2);
    for (size_t i = 0; i < 2; ++i) {
        char path[64];
        snprintf(path, sizeof(path), "throughput.%zu.rate_tokens_per_s.value", i);
        if (!qm_node_double_at(row, path, &value)) {
            snprintf(path, sizeof(path), "throughput.%zu.rate_tokens_per_s", i);
            assert_true(qm_node_double_at(row, path, &value));
        }
        assert_true(value > 0);
    }
    assert_true(qm_node_double_at(row, "accuracy.kl_divergence.mean", &value) && value > 0);
    assert_true(qm_node_double_at(row, "accuracy.kl_divergence.low", &value));
    assert_non_null(qm_node_get(row, "accuracy.perplexity"));
    assert_true(qm_node_count(qm_node_get(row, "accuracy.details")) >= 16);
    assert_int_equal(qm_node_count(qm_node_get(row, "accuracy.sets.seeds")), 2);
    assert_int_equal(qm_node_count(qm_node_get(row, "accuracy.exact_match.non_inferiority")), 2);
    assert_true(qm_node_count(qm_node_get(row, "kernels")) > 0);
}

static inline void find_speed(const struct qm_node *node, const char *scheme)
{
    static const char *const words[] = {"rate", "time_us", "latency_ms", "rate_tokens_per_s", "wall_rate_tokens_per_s",
                                        "ratio"};
    for (size_t i = 0; i < qm_node_count(node); ++i) {
        const char *key = qm_node_is_mapping(node) ? qm_node_key_at(node, i) : "";
        for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); ++w) {
            char path[256];
            qm_node_path(qm_node_at(node, i), path, sizeof(path));
            if (strcmp(key, words[w]) == 0 && !strstr(path, "/accuracy/"))
                fail_msg("%s has a speed at %s", scheme, path);
        }
        find_speed(qm_node_at(node, i), scheme);
    }
}

// A row that is not ok: the status, a reason that holds the text, and no speed anywhere in it.
static inline void expect_not_ok(const struct qm_node *result, const char *scheme, const char *status, const char *part)
{
    const struct qm_node *row = row_of(result, scheme);
    assert_string_equal(qm_node_text_at(row, "status", ""), status);
    expect_text(qm_node_text_at(row, "reason", ""), part);
    assert_int_equal(qm_node_count(qm_node_get(row, "throughput")), 0);
    assert_int_equal(qm_node_count(qm_node_get(row, "gain")), 0);
    find_speed(row, scheme);
}

// Two results of one form: the same keys in the same order, lists of the same length, scalars for scalars; but for what the
// machine around the run decides: warnings, and verdicts on clocks.
static inline void expect_same_form(const struct qm_node *a, const struct qm_node *b)
{
    char path[256];
    qm_node_path(a, path, sizeof(path));
    if (strncmp(path, "/conditions", 11) == 0 || strncmp(path, "/timing", 7) == 0)
        return;
    if (qm_node_kind(a) != qm_node_kind(b) || qm_node_count(a) != qm_node_count(b))
        fail_msg("%s has another form", path);
    for (size_t i = 0; i < qm_node_count(a); ++i) {
        if (qm_node_is_mapping(a) && strcmp(qm_node_key_at(a, i), qm_node_key_at(b, i)) != 0)
            fail_msg("%s: %s, and %s in the other", path, qm_node_key_at(a, i), qm_node_key_at(b, i));
        expect_same_form(qm_node_at(a, i), qm_node_at(b, i));
    }
}

// ---- Devices --------------------------------------------------------------------------------------------------------

static char pocl_id[32], lavapipe_id[32];

static inline bool is_wanted(const char *driver)
{
    const char *wanted = getenv("QM_TEST_DRIVERS");
    return !wanted || strstr(wanted, driver);
}

static inline void need(const char *id)
{
    if (!id[0])
        skip();
}

static inline int group_setup(void **state)
{
    (void)state;
    struct child child;
    remove_all(FOLDER "/full");
    mkdir(FOLDER, 0755);
    FILE *stream = fopen(PROFILE, "w");
    assert_non_null(stream);
    assert_true(fputs(profile_text, stream) >= 0);
    fclose(stream);
    start(&child, NULL, NULL, (const char *const[]){"devices", "--json", NULL});
    assert_true(finish(&child, PATIENCE_S));
    json_error_t error;
    json_t *json = json_loads(child.output, 0, &error);
    if (!json)
        fail_msg("devices --json: %s\n%s", error.text, child.errors);
    size_t index;
    json_t *device;
    json_array_foreach(json_object_get(json, "devices"), index, device)
    {
        const char *driver = json_string_value(json_object_get(device, "driver"));
        const char *id = json_string_value(json_object_get(device, "id"));
        if (driver && id && strcmp(driver, "pocl") == 0 && is_wanted("pocl"))
            snprintf(pocl_id, sizeof(pocl_id), "%s", id);
        if (driver && id && strcmp(driver, "lavapipe") == 0 && is_wanted("lavapipe"))
            snprintf(lavapipe_id, sizeof(lavapipe_id), "%s", id);
    }
    json_decref(json);
    release(&child);
    if (!pocl_id[0])
        print_message("PoCL is not here: most of these tests are left out\n");
    return 0;
}

#endif
