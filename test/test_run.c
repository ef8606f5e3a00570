// `qmark run` as a user starts it, when all goes well and when it does not: wrong kernels and passes, workers that crash,
// hang, are killed or lose their device, interrupts, full disks, machines without drivers. What holds each time: the
// exit code, one line that says why, and results that are whole or not there.
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
#define FOLDER QM_BINARY_DIR "/test-run"
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
    "timing: {protocol: paired, warmup: 1, repeats: 3}\n"
    "policy: {dispatches_per_submission: 0, submission_ms: 200}\ntier: best\ntiles: fixed\nwiden: 1\n"
    "bootstrap: {seed: 31926937667174404, resamples: 199, confidence: 0.95}\n"
    "acceptance:\n  at_most: {kl_divergence_mean: 0.05}\n  at_least: {exact_match_ratio: 0.5}\n";

// ---- Starting the program -------------------------------------------------------------------------------------------

struct child {
    pid_t pid;
    int code; // exit code, or 1000 + signal
    char *output;
    char *errors;
};

static char *read_text(const char *path)
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
static void start(struct child *child, const char *const *settings, const char *input, const char *const *arguments)
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

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

// Waits for the end; false after `limit_s`, and the group is killed.
static bool finish(struct child *child, double limit_s)
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

static void release(struct child *child)
{
    free(child->output);
    free(child->errors);
}

static void expect_code(const struct child *child, int code)
{
    if (child->code != code)
        fail_msg("exit code %d, expected %d\nstdout: %s\nstderr: %s", child->code, code, child->output, child->errors);
}

static void expect_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void remove_all(const char *path)
{
    DIR *stream = opendir(path);
    if (stream) {
        for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
            char name[1024];
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
            remove_all(name);
        }
        closedir(stream);
    }
    remove(path);
}

// Runs the profile on the devices, with the settings, to its end.
static void run_profile(struct child *child, const char *devices, const char *const *settings)
{
    const char *const arguments[] = {"run", "--profile", PROFILE, "--device", devices, "--out", OUT, NULL};
    remove_all(OUT);
    start(child, settings, NULL, arguments);
    if (!finish(child, PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", PATIENCE_S, child->errors);
}

// ---- Results --------------------------------------------------------------------------------------------------------

// The result of the API, which must be whole; NULL where there is none. Fails for anything half written.
static struct qm_node *result_of(const char *folder, const char *api)
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
        } else if (!end || strcmp(end, ".safetensors") != 0) {
            fail_msg("%s: was left behind", path);
        }
    }
    closedir(stream);
    return found;
}

static struct qm_node *need_result(const char *api)
{
    struct qm_node *result = result_of(OUT, api);
    if (!result)
        fail_msg("there is no result of %s in %s", api, OUT);
    return result;
}

static const struct qm_node *row_of(const struct qm_node *result, const char *scheme)
{
    const struct qm_node *list = qm_node_get(result, "schemes");
    for (size_t i = 0; i < qm_node_count(list); ++i) {
        if (strcmp(qm_node_text_at(qm_node_at(list, i), "name", ""), scheme) == 0)
            return qm_node_at(list, i);
    }
    fail_msg("the result has no scheme %s", scheme);
    return NULL;
}

static void expect_whole(const struct qm_node *result, const char *scheme)
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

static void find_speed(const struct qm_node *node, const char *scheme)
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
static void expect_not_ok(const struct qm_node *result, const char *scheme, const char *status, const char *part)
{
    const struct qm_node *row = row_of(result, scheme);
    assert_string_equal(qm_node_text_at(row, "status", ""), status);
    expect_text(qm_node_text_at(row, "reason", ""), part);
    assert_int_equal(qm_node_count(qm_node_get(row, "throughput")), 0);
    assert_int_equal(qm_node_count(qm_node_get(row, "gain")), 0);
    find_speed(row, scheme);
}

// Two results of one form: the same keys in the same order, lists of the same length but kernels', scalars for scalars.
static void expect_same_form(const struct qm_node *a, const struct qm_node *b)
{
    char path[256];
    qm_node_path(a, path, sizeof(path));
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

static bool is_wanted(const char *driver)
{
    const char *wanted = getenv("QM_TEST_DRIVERS");
    return !wanted || strstr(wanted, driver);
}

static void need(const char *id)
{
    if (!id[0])
        skip();
}

static int group_setup(void **state)
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

// ---- Right and wrong ------------------------------------------------------------------------------------------------

static void test_good_run(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile(&child, pocl_id, NULL);
    expect_code(&child, 0);
    struct qm_node *result = need_result("opencl");
    expect_whole(result, "f16");
    expect_whole(result, "w8a8");
    expect_text(child.output, "w8a8");
    qm_node_destroy(&result);
    release(&child);
}

static void test_wrong_kernel(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile(&child, pocl_id, (const char *const[]){"QM_PLANT_WRONG_KERNEL=matmul-w8-a8", NULL});
    expect_code(&child, 4);
    struct qm_node *result = need_result("opencl");
    expect_whole(result, "f16");
    expect_not_ok(result, "w8a8", "wrong", "matmul-w8-a8");
    expect_text(qm_node_text_at(row_of(result, "w8a8"), "reason", ""), "word "); // the place
    expect_text(child.output, "WRONG");
    const struct qm_node *kernels = qm_node_get(row_of(result, "w8a8"), "kernels");
    bool is_named = false;
    for (size_t i = 0; i < qm_node_count(kernels); ++i)
        is_named |= strcmp(qm_node_text_at(qm_node_at(kernels, i), "status", ""), "wrong") == 0;
    assert_true(is_named);
    qm_node_destroy(&result);
    release(&child);
}

// The ninth run without logits: after 4 that settle decode (2 windows, 2 schemes) and 2 of warm-up the timed window is
// f16, w8a8, w8a8, f16, f16, w8a8; so this is w8a8 in its middle.
static void test_wrong_pass(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile(&child, pocl_id, (const char *const[]){"QM_FAULT=wrong-pass=9", NULL});
    expect_code(&child, 4);
    struct qm_node *result = need_result("opencl");
    expect_whole(result, "f16");
    expect_not_ok(result, "w8a8", "wrong", "a timed pass gave other logits");
    expect_text(qm_node_text_at(row_of(result, "w8a8"), "reason", ""), "pass 1");
    qm_node_destroy(&result);
    release(&child);
}

static void test_wrong_selftest(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile(&child, pocl_id, (const char *const[]){"QM_FAULT=wrong-selftest=1", NULL});
    expect_code(&child, 4);
    struct qm_node *result = need_result("opencl");
    expect_not_ok(result, "f16", "wrong", "self-test: a fault for tests");
    expect_not_ok(result, "w8a8", "wrong", "self-test: a fault for tests");
    qm_node_destroy(&result);
    release(&child);
}

// ---- Workers that end -----------------------------------------------------------------------------------------------

static void test_crash_costs_one_device(void **state)
{
    (void)state;
    need(pocl_id);
    need(lavapipe_id);
    struct child child;
    char devices[80], only[80];
    snprintf(devices, sizeof(devices), "%s,%s", pocl_id, lavapipe_id);
    snprintf(only, sizeof(only), "QM_FAULT_DEVICE=%s", lavapipe_id);
    run_profile(&child, devices, NULL);
    expect_code(&child, 0);
    struct qm_node *before = need_result("opencl"), *vulkan = need_result("vulkan");
    expect_whole(vulkan, "w8a8");
    // What the program is for: the same model through two APIs may be compared.
    struct qm_comparison comparison;
    assert_int_equal(qm_compare(before, vulkan, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_COMPARABLE_WITH_NOTES);
    qm_comparison_free(&comparison);
    qm_node_destroy(&vulkan);
    release(&child);

    run_profile(&child, devices, (const char *const[]){"QM_FAULT=crash=run", only, NULL});
    expect_code(&child, 5);
    struct qm_node *after = need_result("opencl");
    expect_whole(after, "f16");
    expect_whole(after, "w8a8");
    expect_same_form(before, after);
    vulkan = need_result("vulkan");
    expect_not_ok(vulkan, "f16", "failed", "signal 11");
    expect_not_ok(vulkan, "w8a8", "failed", "signal 11");
    qm_node_destroy(&before);
    qm_node_destroy(&after);
    qm_node_destroy(&vulkan);
    release(&child);

    // In open nothing is known of the device yet: a line, and no file.
    run_profile(&child, devices, (const char *const[]){"QM_FAULT=crash=open", only, NULL});
    expect_code(&child, 5);
    expect_text(child.errors, "signal 11");
    after = need_result("opencl");
    expect_whole(after, "w8a8");
    assert_null(result_of(OUT, "vulkan"));
    qm_node_destroy(&after);
    release(&child);
}

static void expect_all_failed(const char *fault, const char *more, const char *reason)
{
    struct child child;
    run_profile(&child, pocl_id, (const char *const[]){fault, more, NULL});
    expect_code(&child, 5);
    struct qm_node *result = need_result("opencl");
    expect_not_ok(result, "f16", "failed", reason);
    expect_not_ok(result, "w8a8", "failed", reason);
    qm_node_destroy(&result);
    release(&child);
}

static void test_lost_device(void **state)
{
    (void)state;
    need(pocl_id);
    expect_all_failed("QM_FAULT=lost=run", NULL, "the device was lost");
}

static void test_hang(void **state)
{
    (void)state;
    need(pocl_id);
    expect_all_failed("QM_FAULT=hang=run", "QM_WORKER_TIMEOUT_S=15", "no answer from the worker within 15 s");
}

// Fields of /proc/PID/stat behind the name, which may hold anything.
static bool read_process(pid_t pid, int *parent, unsigned long *ticks)
{
    char path[64], text[1024] = "";
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *stream = fopen(path, "r");
    if (!stream)
        return false;
    size_t count = fread(text, 1, sizeof(text) - 1, stream);
    fclose(stream);
    text[count] = '\0';
    const char *end = strrchr(text, ')');
    unsigned long user = 0, system = 0;
    if (!end || sscanf(end + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", parent, &user, &system) != 3)
        return false;
    *ticks = user + system;
    return true;
}

static pid_t find_worker(pid_t of, unsigned long *ticks)
{
    DIR *stream = opendir("/proc");
    pid_t found = 0;
    if (!stream)
        return 0;
    for (struct dirent *entry; !found && (entry = readdir(stream)) != NULL;) {
        int parent = 0;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && read_process(pid, &parent, ticks) && parent == (int)of)
            found = pid;
    }
    closedir(stream);
    return found;
}

// Starts a run whose worker hangs, and waits until it does: until it has used the processor and then does no more.
static pid_t start_hanging(struct child *child)
{
    const char *const arguments[] = {"run", "--profile", PROFILE, "--device", pocl_id, "--out", OUT, NULL};
    remove_all(OUT);
    start(child, (const char *const[]){"QM_FAULT=hang=run", NULL}, NULL, arguments);
    pid_t worker = 0;
    unsigned long last = 0;
    int still = 0;
    for (double begin = now_s(); still < 10; pause_ms(250)) {
        unsigned long ticks = 0;
        pid_t seen = find_worker(child->pid, &ticks);
        char *errors = read_text(FOLDER "/stderr");
        bool is_scoring = strstr(errors, pocl_id) != NULL; // its title: this is no worker that lists devices
        free(errors);
        still = seen && seen == worker && ticks == last && ticks > 20 && is_scoring ? still + 1 : 0;
        worker = seen;
        last = ticks;
        if (now_s() - begin > PATIENCE_S) {
            kill(-child->pid, SIGKILL);
            fail_msg("the worker did not get to its first run");
        }
    }
    return worker;
}

static void test_killed_worker(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    pid_t worker = start_hanging(&child);
    assert_int_equal(kill(worker, SIGKILL), 0);
    if (!finish(&child, 30))
        fail_msg("the end of the worker was not noticed\nstderr: %s", child.errors);
    expect_code(&child, 5);
    struct qm_node *result = need_result("opencl");
    expect_not_ok(result, "f16", "failed", "signal 9");
    expect_not_ok(result, "w8a8", "failed", "signal 9");
    qm_node_destroy(&result);
    release(&child);
}

// ---- Interrupts -----------------------------------------------------------------------------------------------------

static void expect_interrupted(struct child *child)
{
    bool ended = finish(child, 30);
    if (!ended)
        fail_msg("the interrupt was not heeded within 30 s\nstderr: %s", child->errors);
    expect_code(child, 130);
    expect_text(child->errors, "interrupted");
    // Rows that had no time to be measured may be written as failed, or not at all; half a file never is.
    struct qm_node *result = result_of(OUT, "opencl");
    qm_node_destroy(&result);
    release(child);
}

static void test_interrupt_from_a_terminal(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    start_hanging(&child);
    assert_int_equal(kill(-child.pid, SIGINT), 0); // Ctrl-C reaches the whole group
    expect_interrupted(&child);
}

// Only the parent is told, as `kill` or a service manager does, while the worker says nothing.
static void test_interrupt_of_the_parent(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    start_hanging(&child);
    assert_int_equal(kill(child.pid, SIGINT), 0);
    expect_interrupted(&child);
}

// ---- Places and machines --------------------------------------------------------------------------------------------

static void run_into(struct child *child, const char *out, const char *const *settings)
{
    const char *const arguments[] = {"run", "--profile", PROFILE, "--device", pocl_id, "--out", out, NULL};
    start(child, settings, NULL, arguments);
    assert_true(finish(child, PATIENCE_S));
}

static void test_unwritable_directory(void **state)
{
    (void)state;
    need(pocl_id);
    // Those refuse root as well. The second is told by the part of it that is in the way.
    static const char *const places[] = {"/proc/qmark-results", PROFILE "/results"};
    static const char *const named[] = {"/proc/qmark-results", PROFILE};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); ++i) {
        struct child child;
        run_into(&child, places[i], NULL);
        if (child.code == 0)
            fail_msg("%s: exit code 0\nstderr: %s", places[i], child.errors);
        assert_true(child.code == 2 || child.code == 5);
        expect_text(child.errors, "qmark: ");
        expect_text(child.errors, named[i]);
        assert_null(strstr(child.errors, "preparing")); // before anything long begins
        release(&child);
    }
}

static void test_full_disk(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    mkdir(FOLDER "/full", 0755);
    if (mount("none", FOLDER "/full", "tmpfs", 0, "size=12k") != 0) {
        print_message("left out: a small tmpfs cannot be mounted here (%s)\n", strerror(errno));
        rmdir(FOLDER "/full");
        skip();
    }
    run_into(&child, FOLDER "/full", NULL);
    struct qm_node *result = result_of(FOLDER "/full", "opencl");
    bool has_result = result != NULL;
    qm_node_destroy(&result);
    umount2(FOLDER "/full", MNT_DETACH);
    rmdir(FOLDER "/full");
    expect_code(&child, 5);
    assert_false(has_result);
    expect_text(child.errors, "no space left on device");
    release(&child);
}

static void test_machine_without_loaders(void **state)
{
    (void)state;
    struct child child;
    const char *const nothing[] = {"VK_DRIVER_FILES=/nonexistent", "VK_ICD_FILENAMES=/nonexistent",
                                   "OCL_ICD_VENDORS=/nonexistent", "OCL_ICD_FILENAMES=", NULL};
    const char *const arguments[] = {"run", "--profile", PROFILE, "--out", OUT, NULL};
    remove_all(OUT);
    start(&child, nothing, NULL, arguments);
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 3);
    expect_text(child.errors, "qmark: no device was found");
    assert_null(opendir(OUT)); // nothing is written
    release(&child);
}

// ---- The worker's protocol ------------------------------------------------------------------------------------------

static void test_worker_takes_garbage(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "garbage",
        "",
        "{",
        "{}",
        "[1, 2, 3]",
        "\"text\"",
        "{\"do\": 7}",
        "{\"do\": \"fly\"}",
        "{\"do\": \"run\"}",
        "{\"do\": \"open\"}",
        "{\"do\": \"open\", \"device\": \"vulkan:999\"}",
        "{\"do\": \"list\", \"api\": [\"vulkan\"]}",
        "\x01\x02\xff\xfe",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        "{\"do\": \"open\", \"device\": \"reference\"}", // right, and so is the next
        "{\"do\": \"memory\"}",
        "{\"do\": \"run\", \"scheme\": \"f16\"}",
        "{\"do\": \"load\", \"scheme\": \"f16\", \"artifact\": \"/nonexistent\"}",
        "{\"do\": \"tokens\", \"base\": 4294967295, \"count\": 1, \"length\": 16}",
        "{\"do\": \"engine\", \"artifact\": \"/nonexistent\", \"rows\": -1}",
    };
    enum {
        LINES = sizeof(lines) / sizeof(lines[0])
    };
    FILE *stream = fopen(FOLDER "/requests", "w");
    assert_non_null(stream);
    for (size_t i = 0; i < LINES; ++i)
        fprintf(stream, "%s\n", lines[i]);
    fclose(stream);
    struct child child;
    start(&child, NULL, FOLDER "/requests", (const char *const[]){"worker", NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    char *at = child.output;
    for (size_t i = 0; i < LINES; ++i) {
        char *end = strchr(at, '\n');
        if (!end)
            fail_msg("no answer to line %zu, %s", i, lines[i]);
        *end = '\0';
        json_t *answer = json_loads(at, 0, NULL);
        const char *status = json_string_value(json_object_get(answer, "status"));
        bool is_right = strstr(lines[i], "\"reference\"") || strstr(lines[i], "memory");
        if (!status || (strcmp(status, "ok") == 0) != is_right)
            fail_msg("line %zu, %s: %s", i, lines[i], at);
        if (!is_right)
            assert_true(strlen(json_string_value(json_object_get(answer, "error"))) > 0);
        json_decref(answer);
        at = end + 1;
    }
    assert_string_equal(at, "");
    release(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_run),
        cmocka_unit_test(test_wrong_kernel),
        cmocka_unit_test(test_wrong_pass),
        cmocka_unit_test(test_wrong_selftest),
        cmocka_unit_test(test_crash_costs_one_device),
        cmocka_unit_test(test_lost_device),
        cmocka_unit_test(test_hang),
        cmocka_unit_test(test_killed_worker),
        cmocka_unit_test(test_interrupt_from_a_terminal),
        cmocka_unit_test(test_interrupt_of_the_parent),
        cmocka_unit_test(test_unwritable_directory),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_machine_without_loaders),
        cmocka_unit_test(test_worker_takes_garbage),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
