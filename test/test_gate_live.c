// The gate as a user starts it: two environments in turns, on the reference backend with a simulated clock, and files.
#define FOLDER QM_BINARY_DIR "/test-gate"

#include "test/run_program.h"

static const char gate_profile[] =
    "extends: quick\nname: gate\nschemes: [w8a8]\nbaseline: w8a8\n"
    "evaluation: {windows: 2, window_tokens: 32, scored_tokens: 8}\n"
    "calibration: {windows: 2, window_tokens: 32}\n"
    "prefill:\n  - {batch: 1, prompt: 16}\ndecode:\n  - {batch: 1, depth: 16, steps: 2}\n"
    "bootstrap: {resamples: 99}\nsustained: {phase: none}\n"
    "gate: {seconds: 2, openings: 8}\n";

static int setup(void **state)
{
    (void)state;
    remove_all(FOLDER);
    if (mkdir(FOLDER, 0755) != 0)
        return -1;
    FILE *stream = fopen(PROFILE, "w");
    if (!stream)
        return -1;
    fputs(gate_profile, stream);
    return fclose(stream);
}

static void gate_live(struct child *child, const char *a, const char *b, const char *more, const char *value)
{
    const char *const arguments[] = {"gate",    "--profile", PROFILE, "--device", "reference", "--a-env", a,
                                     "--b-env", b,           "--all", more,       value,       NULL};
    start(child, NULL, NULL, arguments);
    if (!finish(child, PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", PATIENCE_S, child->errors);
}

static void test_nothing_changed(void **state)
{
    (void)state;
    struct child child;
    gate_live(&child, "QM_SIMULATE=noise=0.02,seed=1", "QM_SIMULATE=noise=0.02,seed=2", "--junit", FOLDER "/junit.xml");
    expect_code(&child, 0);
    expect_text(child.output, "PASS     speed     w8a8 decode batch 1 depth 16");
    expect_text(child.output, "PASS: 5 rows; 5 passed, 0 regressed");
    expect_text(child.output, "the smallest slowdown that every row would have shown");
    char *junit = read_text(FOLDER "/junit.xml");
    expect_text(junit, "tests=\"5\" failures=\"0\" errors=\"0\" skipped=\"0\"");
    free(junit);
    release(&child);
}

static void test_slower(void **state)
{
    (void)state;
    struct child child;
    gate_live(&child, "QM_SIMULATE=noise=0.02,seed=1", "QM_SIMULATE=noise=0.02,seed=2,speed=0.94,overhead_us=106",
              "--out", OUT);
    expect_code(&child, 10);
    expect_text(child.output, "REGRESSED  speed     w8a8 prefill batch 1 prompt 16");
    expect_text(child.output, "PASS       accuracy  w8a8");
    // Both sides are whole results, which their samples bear out.
    release(&child);
    const char *const arguments[] = {"verify", OUT "/a/qmark-qmark-s-oracle-in-c-simulated-clock-reference.yaml",
                                     OUT "/b/qmark-qmark-s-oracle-in-c-simulated-clock-reference.yaml", NULL};
    start(&child, NULL, NULL, arguments);
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    release(&child);
}

// Noise beyond what the time allows is no verdict, and a wrong pass is one.
static void test_noise_and_wrong(void **state)
{
    (void)state;
    struct child child;
    gate_live(&child, "QM_SIMULATE=noise=3,seed=1", "QM_SIMULATE=noise=3,seed=2", "--scheme", "w8a8");
    expect_code(&child, 12);
    expect_text(child.output, "INCONCLUSIVE");
    expect_text(child.output, "times as long");
    release(&child);
    gate_live(&child, "QM_SIMULATE=seed=1", "QM_FAULT=wrong-pass=w8a8:3", NULL, NULL);
    expect_code(&child, 4);
    expect_text(child.output, "a timed pass gave other logits than the scored one");
    release(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_changed),
        cmocka_unit_test(test_slower),
        cmocka_unit_test(test_noise_and_wrong),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
