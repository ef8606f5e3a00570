// `qmark kernels` and what may happen to it: drivers that crash or hang, kernels that are wrong, an interrupt.
#define FOLDER "test-kernel-faults"
#include "test/run_program.h"

#include "report/kernel_report.h"

#if defined(__SANITIZE_ADDRESS__) // kernels are compiled more slowly under it
#define DEADLINE_S "15"
#else
#define DEADLINE_S "6"
#endif
static const char sweep_path[] = FOLDER "/sweep.json";

static void sweep_on(struct child *child, const char *devices, const char *const *settings)
{
    const char *const arguments[] = {"kernels",  "--device",      devices,    "--kernel",      "matvec",
                                     "--format", "f16-f16,w8-a8", "--shape",  "1x48x64",       "--row-ms",
                                     "1",        "--out",         sweep_path, "--no-ceilings", NULL};
    remove(sweep_path);
    start(child, settings, NULL, arguments);
}

static void finish_sweep(struct child *child, int code, struct qm_node **sweep)
{
    if (!finish(child, PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", PATIENCE_S, child->errors);
    expect_code(child, code);
    if (qm_kernel_sweep_load(sweep_path, sweep) != QM_OK)
        fail_msg("%s", qm_error_text());
    release(child);
}

// A device's rows with a status; those that are not ok have a reason with `part` in it, and no speed.
static size_t rows_of(const struct qm_node *sweep, const char *device, const char *status, const char *part)
{
    const struct qm_node *rows = qm_node_get(sweep, "rows");
    size_t count = 0;
    for (size_t i = 0; i < qm_node_count(rows); ++i) {
        const struct qm_node *row = qm_node_at(rows, i);
        if (strcmp(qm_node_text_at(row, "device", ""), device) != 0 ||
            strcmp(qm_node_text_at(row, "status", ""), status) != 0)
            continue;
        bool is_ok = strcmp(status, "ok") == 0;
        assert_true(is_ok == (qm_node_get(row, "median_ns") != NULL));
        assert_true(is_ok == (qm_node_get(row, "samples_ns") != NULL));
        if (!is_ok)
            expect_text(qm_node_text_at(row, "reason", ""), part);
        ++count;
    }
    return count;
}

static void a_crash_costs_its_own_rows(void **state)
{
    (void)state;
    struct child child;
    struct qm_node *sweep = NULL;
    char devices[80], of[64];
    need(pocl_id);
    need(lavapipe_id);
    snprintf(devices, sizeof(devices), "%s,%s", pocl_id, lavapipe_id);
    snprintf(of, sizeof(of), "QM_FAULT_DEVICE=%s", lavapipe_id);
    sweep_on(&child, devices, (const char *const[]){"QM_FAULT=crash=sweep", of, NULL});
    finish_sweep(&child, QM_EXIT_SOME_FAILED, &sweep);
    assert_int_equal(rows_of(sweep, pocl_id, "ok", ""), 2);
    assert_int_equal(rows_of(sweep, lavapipe_id, "failed", "signal 11"), 2);
    qm_node_destroy(&sweep);
    // One kernel alone hangs; the other row of the device is there.
    sweep_on(&child, devices,
             (const char *const[]){"QM_FAULT=hang-kernel=matvec-w8-a8", "QM_WORKER_TIMEOUT_S=" DEADLINE_S, of, NULL});
    finish_sweep(&child, QM_EXIT_SOME_FAILED, &sweep);
    assert_int_equal(rows_of(sweep, lavapipe_id, "ok", ""), 1);
    assert_int_equal(rows_of(sweep, lavapipe_id, "failed", "killed"), 1);
    assert_int_equal(rows_of(sweep, pocl_id, "ok", ""), 2);
    qm_node_destroy(&sweep);
}

static void a_wrong_kernel_has_no_speed(void **state)
{
    (void)state;
    struct child child;
    struct qm_node *sweep = NULL;
    need(pocl_id);
    sweep_on(&child, pocl_id, (const char *const[]){"QM_PLANT_WRONG_KERNEL=matvec-w8-a8", NULL});
    finish_sweep(&child, QM_EXIT_WRONG, &sweep);
    assert_int_equal(rows_of(sweep, pocl_id, "ok", ""), 1);
    assert_int_equal(rows_of(sweep, pocl_id, "WRONG", "got"), 1);
    qm_node_destroy(&sweep);
}

static void an_interrupt_gives_what_is_there(void **state)
{
    (void)state;
    struct child child;
    struct qm_node *sweep = NULL;
    need(pocl_id);
    remove(FOLDER "/stderr"); // the last sweep's says the same
    sweep_on(&child, pocl_id, (const char *const[]){"QM_FAULT=hang-kernel=matvec-w8-a8", NULL});
    double begin = now_s();
    for (bool is_there = false; !is_there; pause_ms(50)) { // the row that hangs is at hand
        char *errors = read_text(FOLDER "/stderr");
        is_there = strstr(errors, "matvec-w8-a8") != NULL;
        free(errors);
        assert_true(now_s() - begin < PATIENCE_S);
    }
    kill(child.pid, SIGINT);
    finish_sweep(&child, QM_EXIT_INTERRUPTED, &sweep);
    assert_int_equal(rows_of(sweep, pocl_id, "ok", ""), 1);
    assert_int_equal(rows_of(sweep, pocl_id, "not run", "interrupted"), 1);
    qm_node_destroy(&sweep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_crash_costs_its_own_rows),
                                       cmocka_unit_test(a_wrong_kernel_has_no_speed),
                                       cmocka_unit_test(an_interrupt_gives_what_is_there)};
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
