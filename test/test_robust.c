// Runs that nothing breaks, as docs/ROBUSTNESS.md lists them, on the reference backend, which needs no driver: every fault
// of core/bench/worker_fault.h, full disks, interrupts, locks, the journal and what goes on with it.
#define FOLDER QM_BINARY_DIR "/test-robust"
#include "test/run_program.h"

#include <sys/resource.h>

#include "bench/journal.h"
#include "sys/lock.h"

#define QM_UNLESS_SANITIZED __attribute__((unused)) // see main

#define TINY FOLDER "/tiny.yaml"
#define BATCHES FOLDER "/batches.yaml"
#define JOURNAL OUT "/" QM_JOURNAL_NAME
#define RESULT OUT "/qmark-qmark-s-oracle-in-c-reference.yaml"
#define SAMPLES OUT "/qmark-qmark-s-oracle-in-c-reference.samples.safetensors"
// Long enough for every step of a right run, on a machine that has more to do.
#ifdef __SANITIZE_ADDRESS__
#define DEADLINE_S "15"
#else
#define DEADLINE_S "4"
#endif

// ---- Running --------------------------------------------------------------------------------------------------------

static void write_text(const char *path, const char *text)
{
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    fclose(stream);
}

static int setup(void **state)
{
    (void)state;
    char text[2048];
    mkdir(FOLDER, 0755);
    snprintf(text, sizeof(text),
             "extends: %s/profiles/quick.yaml\nschema: 1\nname: tiny\ntitle: tiny\nschemes: [f16, w8a8]\n"
             "evaluation: {windows: 2, window_tokens: 16, scored_tokens: 2}\n"
             "calibration: {windows: 2, window_tokens: 16}\n"
             "prefill: [{batch: 1, prompt: 16}]\ndecode: [{batch: 1, depth: 8, steps: 1}]\n"
             "timing: {warmup: 0, repeats: 3, seconds: 0}\nsustained: {phase: none}\nbootstrap: {resamples: 99}\n",
             QM_SOURCE_DIR);
    write_text(TINY, text);
    char *batch = strstr(text, "decode: [{batch: 1");
    assert_non_null(batch);
    batch[strlen("decode: [{batch: ")] = '2';
    write_text(BATCHES, text);
    return 0;
}

static void start_tiny(struct child *child, const char *const *settings)
{
    // In this form progress tells each step at once.
    const char *const arguments[] = {"run",   "--profile", TINY,         "--device", "reference",
                                     "--out", OUT,         "--progress", "json",     NULL};
    start(child, settings, NULL, arguments);
}

static void finish_or_fail(struct child *child)
{
    if (!finish(child, PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", PATIENCE_S, child->errors);
}

// From an empty directory to the end.
static void run_tiny(struct child *child, const char *fault, const char *more)
{
    const char *const settings[] = {fault, more, NULL};
    remove_all(OUT);
    start_tiny(child, settings);
    finish_or_fail(child);
}

static void resume(struct child *child, const char *more)
{
    start(child, NULL, NULL, (const char *const[]){"run", "--resume", "--out", OUT, more, NULL});
    finish_or_fail(child);
}

static void expect_row_ok(const struct qm_node *result, const char *scheme)
{
    const struct qm_node *row = row_of(result, scheme);
    if (strcmp(qm_node_text_at(row, "status", ""), "ok") != 0)
        fail_msg("%s is %s: %s", scheme, qm_node_text_at(row, "status", "?"), qm_node_text_at(row, "reason", "?"));
    assert_int_equal(qm_node_count(qm_node_get(row, "throughput")), 2);
}

// Both rows have the status and the reason; the exit code is that of failed rows.
static void expect_both(const char *fault, const char *more, const char *reason)
{
    struct child child;
    run_tiny(&child, fault, more);
    expect_code(&child, 5);
    struct qm_node *result = need_result("reference");
    expect_not_ok(result, "f16", "failed", reason);
    expect_not_ok(result, "w8a8", "failed", reason);
    qm_node_destroy(&result);
    release(&child);
}

static bool wait_for_text(const char *path, const char *part)
{
    bool is_there = false;
    for (double begin = now_s(); !is_there && now_s() - begin < PATIENCE_S; pause_ms(20)) {
        char *text = read_text(path);
        is_there = strstr(text, part) != NULL;
        free(text);
    }
    return is_there;
}

// The child of a process; 0: none.
static pid_t child_of(pid_t of)
{
    DIR *stream = opendir("/proc");
    pid_t found = 0;
    assert_non_null(stream);
    for (struct dirent *entry; !found && (entry = readdir(stream)) != NULL;) {
        char path[64];
        int parent = 0;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        char *text = read_text(path), *end = strrchr(text, ')');
        if (end && sscanf(end + 1, " %*c %d", &parent) == 1 && parent == (int)of)
            found = pid;
        free(text);
    }
    closedir(stream);
    return found;
}

// ---- Workers --------------------------------------------------------------------------------------------------------

QM_UNLESS_SANITIZED static void test_workers_that_end(void **state)
{
    (void)state;
    expect_both("QM_FAULT=crash=load", NULL, "signal 11");
    expect_both("QM_FAULT=abort=load", NULL, "signal 6");
}

// The reason says after how long, and in which kernel or pass.
QM_UNLESS_SANITIZED static void test_hang(void **state)
{
    (void)state;
    expect_both("QM_FAULT=hang-kernel=matvec-w8-a8", "QM_WORKER_TIMEOUT_S=" DEADLINE_S,
                "no answer within " DEADLINE_S " s, while running kernel matvec-w8-a8, rows ");
    expect_both("QM_FAULT=hang=run", "QM_WORKER_TIMEOUT_S=" DEADLINE_S,
                "no answer within " DEADLINE_S
                " s, while running f16, prefill, batch 1, prompt 16, pass 1 of 1; killed");
}

QM_UNLESS_SANITIZED static void test_frozen_process(void **state)
{
    (void)state;
    expect_both("QM_FAULT=freeze=load", "QM_WORKER_TIMEOUT_S=" DEADLINE_S,
                "no sign of life from the worker for " DEADLINE_S " s");
}

static void test_lost_device(void **state)
{
    (void)state;
    struct child child;
    run_tiny(&child, "QM_FAULT=lost-once=kernels", NULL);
    expect_code(&child, 0);
    struct qm_node *result = need_result("reference");
    expect_row_ok(result, "f16");
    expect_row_ok(result, "w8a8");
    assert_int_equal(qm_node_count(qm_node_get(result, "run.retries")), 1);
    expect_text(qm_node_text_at(result, "run.retries.0.reason", ""), "the device was lost");
    expect_text(child.errors, "was begun anew once: the device was lost");
    expect_text(child.output, "begun anew in a new process: the device was lost");
    qm_node_destroy(&result);
    release(&child);
    expect_both("QM_FAULT=lost=kernels", NULL, "the device was lost");
}

static void test_garbage(void **state)
{
    (void)state;
    expect_both("QM_FAULT=garbage=load", NULL, "the worker's answer cannot be read: ");
    expect_both("QM_FAULT=zero=load", NULL, "the worker's answer cannot be read: it holds a zero byte; killed");
    expect_both("QM_FAULT=long=load", NULL, "the worker's answer cannot be read: it is a line of more than 16 MiB");
    expect_both("QM_FAULT=unasked=load", NULL, "cannot be read: it answers nothing that was asked; killed");
}

// Runs that keep logits go prefill and decode of f16, then of w8a8, and the first window, which is verified against the
// reference, comes last: the seventh is w8a8's prefill of it.
QM_UNLESS_SANITIZED static void test_wrong_before_the_timed_window(void **state)
{
    (void)state;
    struct child child;
    run_tiny(&child, "QM_FAULT=wrong-scored=7", NULL);
    expect_code(&child, 4);
    struct qm_node *result = need_result("reference");
    expect_row_ok(result, "f16");
    expect_not_ok(result, "w8a8", "wrong", "prefill logits differ from the reference backend's of the same artifact");
    qm_node_destroy(&result);
    release(&child);
}

QM_UNLESS_SANITIZED static void test_wrong_after_the_timed_window(void **state)
{
    (void)state;
    struct child child;
    run_tiny(&child, "QM_FAULT=wrong-pass=w8a8:7", NULL);
    expect_code(&child, 4);
    struct qm_node *result = need_result("reference");
    expect_row_ok(result, "f16");
    expect_not_ok(result, "w8a8", "wrong", "the pass after the timed ones gave other logits than the scored one");
    qm_node_destroy(&result);
    release(&child);
}

// ---- Memory ---------------------------------------------------------------------------------------------------------

QM_UNLESS_SANITIZED static void test_smaller_batch(void **state)
{
    (void)state;
    struct child child;
    const char *arguments[] = {"run", "--profile", BATCHES, "--device", "reference", "--out", OUT, NULL};
    const char *const settings[] = {"QM_FAULT=little=1", NULL};
    remove_all(OUT);
    start(&child, settings, NULL, arguments);
    finish_or_fail(&child);
    expect_code(&child, 0);
    struct qm_node *result = need_result("reference");
    expect_row_ok(result, "w8a8");
    const struct qm_node *point = qm_node_at(qm_node_get(row_of(result, "w8a8"), "throughput"), 1);
    assert_string_equal(qm_node_text_at(point, "phase", ""), "decode");
    assert_string_equal(qm_node_text_at(point, "batch", ""), "1");
    assert_string_equal(qm_node_text_at(point, "batch_asked", ""), "2");
    expect_text(child.output, "the profile's batch of 2 did not fit into memory");
    assert_null(qm_node_get(qm_node_at(qm_node_get(row_of(result, "w8a8"), "throughput"), 0), "batch_asked"));
    qm_node_destroy(&result);
    release(&child);

    char *text = read_text(BATCHES), strict[4096];
    snprintf(strict, sizeof(strict), "%spolicy: {allow_smaller_batch: false}\n", text);
    free(text);
    write_text(FOLDER "/strict.yaml", strict);
    arguments[2] = FOLDER "/strict.yaml";
    remove_all(OUT);
    start(&child, settings, NULL, arguments);
    finish_or_fail(&child);
    expect_code(&child, 5);
    result = need_result("reference");
    expect_not_ok(result, "f16", "failed", "2 sequences take more bytes");
    qm_node_destroy(&result);
    release(&child);
}

// ---- Disks ----------------------------------------------------------------------------------------------------------

// A driver that prints much is heard by nobody. Then the disk is full: the samples still fit, the result does not, and neither
// replaces the older one.
static void test_chatter_and_full_disk(void **state)
{
    (void)state;
    struct child child;
    struct stat info;
    char limit[64];
    run_tiny(&child, "QM_FAULT=chatter=load", NULL);
    expect_code(&child, 0);
    struct qm_node *whole = need_result("reference");
    expect_row_ok(whole, "f16");
    expect_row_ok(whole, "w8a8");
    qm_node_destroy(&whole);
    assert_null(strstr(child.errors, "driver: "));
    release(&child);
    char *result = read_text(RESULT), *samples = read_text(SAMPLES);
    assert_int_equal(stat(SAMPLES, &info), 0);
    snprintf(limit, sizeof(limit), "QM_FAULT_FILE=enospc-after=%lld", (long long)info.st_size + 1000);
    start_tiny(&child, (const char *const[]){limit, "QM_FAULT_FILE_UNDER=" OUT "/qmark-qmark", NULL});
    finish_or_fail(&child);
    expect_code(&child, 5);
    expect_text(child.errors, RESULT ": cannot write: no space left on device; free some space");
    release(&child);
    whole = need_result("reference"); // fails for what is half written
    qm_node_destroy(&whole);
    char *result_after = read_text(RESULT), *samples_after = read_text(SAMPLES);
    assert_string_equal(result, result_after);
    assert_memory_equal(samples, samples_after, (size_t)info.st_size);
    free(result);
    free(samples);
    free(result_after);
    free(samples_after);
    char *journal = read_text(JOURNAL);
    expect_text(journal, "\"event\":\"failed\"");
    free(journal);
}

// The system's own limit ends processes that know nothing of it.
static void test_limit_of_file_size(void **state)
{
    (void)state;
    struct child child;
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = before;
    low.rlim_cur = 30000; // more than the result and less than the logits of a window
    remove_all(OUT);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0); // the child's; this process writes little meanwhile
    start_tiny(&child, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    finish_or_fail(&child);
    expect_code(&child, 5);
    struct qm_node *result = need_result("reference");
    expect_not_ok(result, "f16", "failed", "file too large");
    expect_not_ok(result, "w8a8", "failed", "file too large");
    qm_node_destroy(&result);
    release(&child);
}

// ---- Signals --------------------------------------------------------------------------------------------------------

// Starts a run and interrupts it once its worker hangs.
static void interrupt(struct child *child, const char *fault, const char *stage)
{
    remove(FOLDER "/stderr"); // the last run's says the same
    start_tiny(child, (const char *const[]){fault, NULL});
    if (!wait_for_text(FOLDER "/stderr", stage) && kill(child->pid, SIGKILL) == 0)
        fail_msg("the run did not get to: %s", stage);
    assert_int_equal(kill(child->pid, SIGINT), 0);
    if (!finish(child, 30))
        fail_msg("the interrupt was not heeded\nstderr: %s", child->errors);
    expect_code(child, 130);
    expect_text(child->errors, "interrupted");
}

static void test_first_interrupt(void **state)
{
    (void)state;
    struct child child;
    remove_all(OUT);
    interrupt(&child, "QM_FAULT=hang=run", "f16, prefill, batch 1, prompt 16, pass 1 of 1");
    release(&child);
    struct qm_node *result = need_result("reference");
    expect_not_ok(result, "f16", "skipped", "interrupted");
    expect_not_ok(result, "w8a8", "skipped", "interrupted");
    qm_node_destroy(&result);
    char *journal = read_text(JOURNAL);
    expect_text(journal, "\"event\":\"interrupted\"");
    free(journal);

    // All rows are complete, only what memory they took is not known yet.
    interrupt(&child, "QM_FAULT=hang=memory", "timing f16, memory");
    release(&child);
    result = need_result("reference");
    expect_row_ok(result, "f16");
    expect_row_ok(result, "w8a8");
    qm_node_destroy(&result);

    // What has no row does not replace what has.
    interrupt(&child, "QM_FAULT=hang=run", "f16, prefill, batch 1, prompt 16, pass 1 of 1");
    expect_text(child.errors, "no row was complete, so the older result stays");
    release(&child);
    result = need_result("reference");
    expect_row_ok(result, "w8a8");
    qm_node_destroy(&result);
}

static bool has_file(const char *folder, const char *part)
{
    bool found = false;
    DIR *stream = opendir(folder);
    for (struct dirent *entry; stream && (entry = readdir(stream)) != NULL;)
        found |= strstr(entry->d_name, part) != NULL;
    if (stream)
        closedir(stream);
    return found;
}

QM_UNLESS_SANITIZED static void test_second_interrupt(void **state)
{
    (void)state;
    struct child child;
    remove_all(OUT);
    start_tiny(&child, (const char *const[]){"QM_FAULT=crash=load", "QM_FAULT_FILE=stall-ms=20000",
                                             "QM_FAULT_FILE_UNDER=" OUT "/qmark-qmark", NULL});
    for (double begin = now_s(); !has_file(OUT, ".yaml."); pause_ms(10)) {
        if (now_s() - begin > PATIENCE_S && kill(child.pid, SIGKILL) == 0)
            fail_msg("the result was not written");
    }
    double begin = now_s();
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    pause_ms(100);
    assert_int_equal(kill(child.pid, SIGTERM), 0);
    finish_or_fail(&child);
    expect_code(&child, 130);
    assert_true(now_s() - begin < 15);
    assert_false(has_file(OUT, ".part"));
    assert_false(has_file(OUT, ".yaml"));
    release(&child);
}

// The worker waits in its driver and reads nothing: it must end all the same. What the dead have left goes with the
// next run.
QM_UNLESS_SANITIZED static void test_killed_parent(void **state)
{
    (void)state;
    struct child child;
    remove_all(OUT);
    remove(FOLDER "/stderr");
    start_tiny(&child, (const char *const[]){"QM_FAULT=hang=run", NULL});
    pid_t worker = 0;
    assert_true(wait_for_text(FOLDER "/stderr", "scoring f16"));
    worker = child_of(child.pid);
    assert_true(worker > 0);
    assert_true(has_file(CACHE, "logits-") && has_file(OUT, "qmark.lock"));
    assert_int_equal(kill(child.pid, SIGKILL), 0);
    finish_or_fail(&child);
    assert_int_equal(child.code, 1000 + SIGKILL);
    release(&child);
    double begin = now_s();
    for (; kill(worker, 0) == 0 && now_s() - begin < 30; pause_ms(20)) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)worker);
        char *text = read_text(path), *end = strrchr(text, ')');
        bool is_dead = !end || end[2] == 'Z'; // nobody may be there to bury it
        free(text);
        if (is_dead)
            break;
    }
    assert_true(now_s() - begin < 30);
    write_text(OUT "/qmark-device-api.yaml.1234.part", "half a result");
    resume(&child, NULL);
    expect_code(&child, 0);
    release(&child);
    assert_false(has_file(CACHE, "logits-"));
    assert_false(has_file(OUT, ".part") || has_file(OUT, "qmark.lock"));
    struct qm_node *result = need_result("reference");
    expect_row_ok(result, "f16");
    expect_row_ok(result, "w8a8");
    qm_node_destroy(&result);
}

// ---- The journal ----------------------------------------------------------------------------------------------------

static void replace_in(const char *path, const char *old, const char *new)
{
    char *text = read_text(path), *at = strstr(text, old);
    if (!at)
        fail_msg("'%s' is not in %s: %s", old, path, text);
    char *all = calloc(1, strlen(text) + strlen(new) + 1);
    assert_non_null(all);
    sprintf(all, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
    write_text(path, all);
    free(all);
    free(text);
}

static void expect_refused(const char *more, const char *part)
{
    struct child child;
    resume(&child, more);
    expect_code(&child, 2);
    expect_text(child.errors, part);
    assert_int_equal(strcspn(child.errors, "\n") + 1, strlen(child.errors)); // one line
    release(&child);
}

// Follows test_killed_parent in the same directory, whose run is done.
QM_UNLESS_SANITIZED static void test_resume_of_a_finished_run(void **state)
{
    (void)state;
    struct child child;
    char *before = read_text(RESULT), *journal = read_text(JOURNAL);
    if (!*before)
        fail_msg("test_killed_parent left no result");
    resume(&child, "--json");
    expect_code(&child, 0);
    expect_text(child.errors, "reference qmark's oracle in C: is done, in qmark-qmark-s-oracle-in-c-reference.yaml");
    expect_text(child.output, "\"schemes\"");
    release(&child);
    char *after = read_text(RESULT);
    assert_string_equal(before, after);
    free(after);

    expect_refused("--debug", "--debug is not what the run that is resumed had");
    char *profile = read_text(TINY);
    replace_in(TINY, "repeats: 3", "repeats: 4");
    expect_refused(NULL, "the profile has changed since the run began");
    write_text(TINY, profile);
    free(profile);
    replace_in(JOURNAL, "\"driver_version\":\"qmark", "\"driver_version\":\"older than qmark");
    expect_refused(NULL,
                   "the driver of reference qmark's oracle in C has changed since the run began (then older than");
    write_text(JOURNAL, journal);
    replace_in(JOURNAL, "\"version\":\"", "\"version\":\"0.");
    expect_refused(NULL, "qmark has changed since the run began");
    write_text(JOURNAL, journal);
    replace_in(JOURNAL, "\"model_sha256\":\"", "\"model_sha256\":\"g");
    expect_refused(NULL, QM_JOURNAL_NAME ":1: ");
    write_text(JOURNAL, "{\"event\":\"begin\"");
    expect_refused(NULL, QM_JOURNAL_NAME ":1: it holds no whole line; begin a new run without --resume");
    remove(JOURNAL);
    expect_refused(NULL, "is not there, so there is nothing to resume");
    write_text(JOURNAL, journal);

    // A result that is not what the journal says is none.
    struct qm_journal *read = calloc(1, sizeof(*read));
    assert_non_null(read);
    assert_int_equal(qm_journal_read(OUT, read), QM_OK);
    assert_int_equal(read->device_count, 1);
    assert_true(read->has_ended);
    assert_true(qm_journal_has_result(OUT, &read->devices[0]));
    replace_in(RESULT, "finished: ", "finished: x");
    assert_false(qm_journal_has_result(OUT, &read->devices[0]));
    write_text(RESULT, before);
    assert_true(qm_journal_has_result(OUT, &read->devices[0]));
    assert_int_equal(truncate(SAMPLES, 1000), 0);
    assert_false(qm_journal_has_result(OUT, &read->devices[0]));
    free(read);
    free(before);
    free(journal);
}

QM_UNLESS_SANITIZED static void test_lock(void **state)
{
    (void)state;
    struct child child;
    struct qm_lock *lock = NULL;
    char who[64];
    remove_all(OUT);
    mkdir(OUT, 0755);
    assert_int_equal(qm_lock_take(OUT "/qmark.lock", &lock, NULL), QM_OK);
    start_tiny(&child, NULL);
    finish_or_fail(&child);
    expect_code(&child, 2);
    snprintf(who, sizeof(who), "process %ld is running into this directory", (long)getpid());
    expect_text(child.errors, who);
    release(&child);
    qm_lock_release(&lock);
    assert_false(has_file(OUT, "qmark.lock"));
    assert_int_equal(qm_lock_take(OUT "/qmark.lock", &lock, NULL), QM_OK); // as often as one likes
    qm_lock_release(&lock);
}

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BEGIN                                                                                                          \
    "{\"event\":\"begin\",\"journal\":1,\"time\":\"t\",\"pid\":7,\"version\":\"1\",\"source\":\"s\","                  \
    "\"profile_hash\":\"" HASH "\",\"model_sha256\":\"" HASH "\",\"options\":{\"profile\":\"quick\"}}\n"
#define DEVICE                                                                                                         \
    "{\"event\":\"device\",\"id\":\"a:0\",\"api\":\"a\",\"name\":\"n\",\"ordinal\":0,\"driver\":\"d\","                \
    "\"driver_version\":\"1\"}\n"
#define STARTED "{\"event\":\"started\",\"time\":\"t\",\"id\":\"a:0\"}\n"
#define FINISHED(file, outcome)                                                                                        \
    "{\"event\":\"finished\",\"time\":\"t\",\"id\":\"a:0\",\"file\":\"" file "\",\"hash\":\"" HASH                     \
    "\",\"outcome\":\"" outcome "\"}\n"

static void test_journal_is_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error; // NULL: it is accepted
        enum qm_journal_state state;
    } cases[] = {
        {BEGIN DEVICE, NULL, QM_JOURNAL_CHOSEN},
        {BEGIN DEVICE STARTED, NULL, QM_JOURNAL_STARTED},
        {BEGIN DEVICE STARTED FINISHED("qmark-n-a.yaml", "ok"), NULL, QM_JOURNAL_FINISHED},
        {BEGIN DEVICE STARTED FINISHED("qmark-n-a.yaml", "ok") STARTED, NULL, QM_JOURNAL_STARTED},
        {BEGIN DEVICE STARTED "{\"event\":\"fini", NULL, QM_JOURNAL_STARTED}, // torn
        {BEGIN DEVICE STARTED "{\"event\":\"failed\",\"time\":\"t\",\"id\":\"a:0\",\"reason\":\"r\"}\n", NULL,
         QM_JOURNAL_FAILED},
        {"", "j:1: it holds no whole line", 0},
        {DEVICE, "j:1: the first line does not begin a run", 0},
        {BEGIN BEGIN, "j:2: a run begins within another", 0},
        {BEGIN DEVICE DEVICE, "j:3: the device stands in the journal already", 0},
        {BEGIN STARTED, "j:2: the device was not chosen", 0},
        {BEGIN DEVICE FINISHED("qmark-n-a.yaml", "ok"), "j:3: the device ends and was not started", 0},
        {BEGIN DEVICE STARTED FINISHED("qmark-n-a.yaml", "fine"), "j:4: 'outcome' is none of", 0},
        {BEGIN DEVICE STARTED FINISHED("../qmark-n-a.yaml", "ok"), "j:4: 'file' is no name of a result", 0},
        {BEGIN "\n", "j:2: it is no JSON", 0},
        {BEGIN "[]\n", "j:2: it is no JSON object", 0},
        {BEGIN "{\"event\":\"sleeps\"}\n", "j:2: the event is unknown", 0},
        {BEGIN "{\"event\":\"ended\",\"time\":\"t\",\"code\":0,\"more\":1}\n", "j:2: it has keys that no such line has",
         0},
        {BEGIN "{\"event\":\"ended\",\"event\":\"ended\"}\n", "j:2: it is no JSON: duplicate", 0},
        {BEGIN "{\"event\":\"ended\",\"time\":\"t\",\"code\":256}\n", "j:2: 'code' is no whole number up to 255", 0},
    };
    struct qm_journal *journal = malloc(sizeof(*journal));
    assert_non_null(journal);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        enum qm_status status = qm_journal_parse(cases[i].text, strlen(cases[i].text), "j", journal);
        if ((status == QM_OK) != !cases[i].error)
            fail_msg("case %zu: %s", i, status == QM_OK ? "was accepted" : qm_error_text());
        if (cases[i].error)
            expect_text(qm_error_text(), cases[i].error);
        else
            assert_int_equal(journal->devices[0].state, cases[i].state);
    }
    char *line = malloc(QM_JOURNAL_LINE_BYTES_MAX + 100);
    assert_non_null(line);
    memset(line, ' ', QM_JOURNAL_LINE_BYTES_MAX + 100);
    line[QM_JOURNAL_LINE_BYTES_MAX + 99] = '\n';
    assert_int_equal(qm_journal_parse(line, QM_JOURNAL_LINE_BYTES_MAX + 100, "j", journal), QM_INVALID);
    expect_text(qm_error_text(), "the line is too long");
    free(line);
    free(journal);
}

// ---- Progress -------------------------------------------------------------------------------------------------------

static void test_no_memory_for_one_scheme_and_progress_as_json(void **state)
{
    (void)state;
    struct child child;
    remove_all(OUT);
    start(&child, (const char *const[]){"QM_FAULT=no-memory=w8a8", NULL}, NULL,
          (const char *const[]){"run", "--profile", TINY, "--device", "reference", "--out", OUT, "--progress", "json",
                                "--scheme", "w8a8", NULL});
    finish_or_fail(&child);
    bool has_timing = false;
    double last = 0;
    for (char *line = strtok(child.errors, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, 0, NULL);
        if (!object)
            fail_msg("no JSON: %s", line);
        assert_int_equal(json_object_size(object), 5);
        const char *device = json_string_value(json_object_get(object, "device"));
        const char *stage = json_string_value(json_object_get(object, "stage"));
        double fraction = json_number_value(json_object_get(object, "fraction"));
        const json_t *left = json_object_get(object, "seconds_left");
        assert_true(stage && json_is_string(json_object_get(object, "text")));
        assert_true(json_is_null(left) || json_number_value(left) >= 0);
        if (device) {
            assert_string_equal(device, "reference");
            assert_true(fraction >= last && fraction <= 1);
            last = fraction;
        }
        has_timing |= strcmp(stage, "timing f16") == 0;
        json_decref(object);
    }
    assert_true(has_timing);
    expect_code(&child, 5);
    release(&child);
    struct qm_node *result = need_result("reference");
    expect_row_ok(result, "f16");
    expect_not_ok(result, "w8a8", "failed", "w8a8 takes 123456789 bytes");
    qm_node_destroy(&result);
    start(&child, NULL, NULL, (const char *const[]){"run", "--progress", "loud", "--out", OUT, NULL});
    finish_or_fail(&child);
    expect_code(&child, 2);
    expect_text(child.errors, "--progress 'loud'; expected text, none or json");
    release(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal_is_read_strictly),
        cmocka_unit_test(test_lost_device),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_chatter_and_full_disk),
        cmocka_unit_test(test_limit_of_file_size),
        cmocka_unit_test(test_first_interrupt),
        cmocka_unit_test(test_no_memory_for_one_scheme_and_progress_as_json),
#ifndef __SANITIZE_ADDRESS__ // whole runs take long there, and what these add to the others is no new code
        cmocka_unit_test(test_workers_that_end),
        cmocka_unit_test(test_hang),
        cmocka_unit_test(test_frozen_process),
        cmocka_unit_test(test_wrong_before_the_timed_window),
        cmocka_unit_test(test_wrong_after_the_timed_window),
        cmocka_unit_test(test_smaller_batch),
        cmocka_unit_test(test_second_interrupt),
        cmocka_unit_test(test_killed_parent),
        cmocka_unit_test(test_resume_of_a_finished_run),
        cmocka_unit_test(test_lock),
#endif
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
