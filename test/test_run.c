// `qmark run` as a user starts it, when all goes well and when it does not: wrong kernels and passes, workers that crash,
// hang, are killed or lose their device, interrupts, full disks, machines without drivers. What holds each time: the
// exit code, one line that says why, and results that are whole or not there.
#define FOLDER QM_BINARY_DIR "/test-run"
#include "test/run_program.h"

#include <math.h>

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

static double number_of(const struct qm_node *result, const char *scheme, const char *path)
{
    double value = -1;
    const struct qm_node *node = qm_node_get(row_of(result, scheme), path);
    if (!node || qm_node_read_double(node, &value) != QM_OK)
        fail_msg("%s has no number %s", scheme, path);
    return value;
}

// The profile's bound of 0.05 on the mean is judged with what was left out, in words, and `verify` comes to the same.
static void expect_left_out_heeded(const struct qm_node *result, double left_out)
{
    const struct qm_node *row = row_of(result, "w8a8"), *criterion = qm_node_get(row, "accuracy.acceptance.criteria.0");
    const char *text = qm_node_text_at(criterion, "text", ""), *expected = "pass";
    double low = 0, high = 0;
    assert_string_equal(qm_node_text_at(criterion, "metric", ""), "kl_divergence_mean");
    assert_true(qm_node_double_at(row, "accuracy.kl_divergence.low", &low));
    assert_true(qm_node_double_at(row, "accuracy.kl_divergence.high", &high));
    assert_true(high <= 0.05);
    if (high + left_out > 0.05)
        expected = "inconclusive";
    assert_string_equal(qm_node_text_at(criterion, "verdict", ""), expected);
    if (left_out > 0)
        expect_text(text, "for what the fp32 reference left out");
    else
        assert_null(strstr(text, "left out"));
    struct child child;
    char path[1024], name[QM_RESULT_NAME_BYTES];
    qm_result_file_name(result, name);
    snprintf(path, sizeof(path), OUT "/%s", name);
    start(&child, NULL, NULL, (const char *const[]){"verify", path, NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    release(&child);
}

// The way to the first token: its parts, and where the kernels came from.
static void expect_start(const struct qm_node *result, const char *caches)
{
    static const char *const parts[] = {"open_ms", "scratch_ms", "load_ms", "upload_ms", "pass_ms"};
    const struct qm_node *row = qm_node_get(result, "start");
    double sum = 0, value = 0;
    assert_non_null(row);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); ++i) {
        assert_int_equal(qm_node_read_double(qm_node_get(row, parts[i]), &value), QM_OK);
        assert_true(value > 0);
        sum += value;
    }
    assert_int_equal(qm_node_read_double(qm_node_get(row, "first_token_ms"), &value), QM_OK);
    assert_true(fabs(value - sum) < 1e-3 * sum);
    if (caches)
        expect_text(qm_node_text_at(row, "caches", ""), caches);
}

// The fp32 reference by the host's pass, as models of real size have it: the same scores; and with the 8 likeliest tokens
// kept of 512, a KL divergence that is not above the true one and what is added for the rest not below it.
static void test_reference_on_the_host(void **state)
{
    (void)state;
    need(pocl_id);
    static const char *const settings[][4] = {{"QM_REFERENCE=host", NULL},
                                              {"QM_REFERENCE=host", "QM_BLAS=none", "QM_REFERENCE_TOP_K=8", NULL}};
    struct child child;
    run_profile(&child, pocl_id, NULL);
    expect_code(&child, 0);
    struct qm_node *result = need_result("opencl");
    double kl = number_of(result, "w8a8", "accuracy.kl_divergence.mean");
    double perplexity = number_of(result, "w8a8", "accuracy.perplexity.ratio.value");
    assert_null(qm_node_get(row_of(result, "w8a8"), "disclosure.reference"));
    expect_start(result, NULL);
    qm_node_destroy(&result);
    release(&child);
    for (int i = 0; i < 2; ++i) {
        run_profile(&child, pocl_id, settings[i]);
        expect_code(&child, 0);
        expect_text(child.output, "fp32 reference: host, ");
        result = need_result("opencl");
        expect_whole(result, "w8a8");
        expect_start(result, "warm"); // by the run before
        double low = number_of(result, "w8a8", "accuracy.kl_divergence.mean");
        double left_out = number_of(result, "w8a8", "disclosure.reference.kl_left_out");
        assert_true(number_of(result, "w8a8", "disclosure.reference.difference") < 1e-3);
        assert_true(fabs(number_of(result, "w8a8", "accuracy.perplexity.ratio.value") - perplexity) < 1e-5);
        if (i == 0)
            assert_true(left_out >= 0 && left_out <= 0 && fabs(low - kl) < 1e-6);
        else
            assert_true(low < kl + 1e-6 && left_out > 1e-6 && low + left_out > kl - 1e-6);
        expect_text(qm_node_text_at(row_of(result, "w8a8"), "disclosure.reference.top_k", ""), i ? "8" : "none");
        expect_left_out_heeded(result, i ? left_out : 0);
        qm_node_destroy(&result);
        release(&child);
    }
}

// Scales fitted to what is scored: refused, or disclosed.
static void test_overlap(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    char *text = read_text(PROFILE), *set = strstr(text, "calibration: {set: built-in, seed: 31926937667174402");
    assert_non_null(set);
    FILE *stream = fopen(FOLDER "/overlap.yaml", "w");
    assert_non_null(stream);
    fprintf(stream, "%.*scalibration: {set: built-in-evaluation, seed: 31926937667174403%s", (int)(set - text), text,
            set + strlen("calibration: {set: built-in, seed: 31926937667174402"));
    fclose(stream);
    free(text);
    const char *arguments[] = {
        "run",   "--profile", FOLDER "/overlap.yaml", "--device", pocl_id, "--scheme", "w8a8-static",
        "--out", OUT,         "--allow-overlap",      NULL};
    remove_all(OUT);
    arguments[9] = NULL;
    start(&child, NULL, NULL, arguments);
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 2);
    expect_text(child.errors, "examples that are scored are in the calibration set; use ");
    assert_null(result_of(OUT, "opencl"));
    release(&child);
    arguments[9] = "--allow-overlap";
    start(&child, NULL, NULL, arguments);
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    struct qm_node *result = need_result("opencl");
    const char *overlap =
        qm_node_text_at(row_of(result, "w8a8-static"), "disclosure.calibration_set.overlap", "nothing");
    expect_text(overlap, " of the ");
    expect_text(child.output, overlap); // beside the table, too
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
    run_profile(&child, pocl_id, (const char *const[]){"QM_FAULT=wrong-pass=w8a8:6", NULL});
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
    expect_all_failed("QM_FAULT=hang=run", "QM_WORKER_TIMEOUT_S=15",
                      "no answer within 15 s, while running f16, prefill");
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
        cmocka_unit_test(test_reference_on_the_host),
        cmocka_unit_test(test_overlap),
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
