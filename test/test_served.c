// `qmark run --deployment` from the outside: what the result tells of the requests that were served, that all of it can be
// made again from the samples, that a trace is needed again and only then, and workers that lie or die while they serve.
#define FOLDER QM_BINARY_DIR "/test-served"
#include "test/edited_result.h"
#include "test/run_program.h"

#include "bench/verify.h"
#include "model/safetensors.h"

#define PLAN FOLDER "/plan.yaml"
#define TRACE_PLAN FOLDER "/traced.yaml"
#define TRACE FOLDER "/never-to-be-seen.csv"

static const char served[] = FOLDER "/served.yaml", again[] = FOLDER "/again", results[] = OUT, plan_path[] = PLAN;

static const char served_text[] =
    "schema: 1\nname: served\nschemes: [f16, w4a16-g32]\nbaseline: f16\n"
    "evaluation: {set: built-in, seed: 31926937667174403, windows: 2, window_tokens: 64, scored_tokens: 16}\n"
    "calibration: {set: built-in, seed: 31926937667174402, windows: 2, window_tokens: 64}\n"
    "prefill:\n  - {batch: 1, prompt: 64}\ndecode:\n  - {batch: 1, depth: 32, steps: 2}\n"
    "timing: {protocol: paired, warmup: 0, repeats: 3, precision: 1, seconds: 0, order_seed: 1}\n"
    "sustained: {phase: none, seconds: 0, cool_down_s: 0, temperature_most_c: none}\n"
    "latency: {p99_ms: 100}\ncaches: {last_level_bytes: host}\n"
    "gate: {false_alarm: 0.0005, minimum_effect: 0.02, tolerance: 0.05, seconds: 1}\n"
    "policy: {dispatches_per_submission: 0, submission_ms: 200, allow_smaller_batch: false}\ntier: best\ntiles: "
    "fixed\nwiden: 1\n"
    "bootstrap: {seed: 31926937667174404, resamples: 199, confidence: 0.95}\n"
    "acceptance:\n  at_most: {kl_divergence_mean: 0.5}\n  at_least: {exact_match_ratio: 0.1}\n";

// Prompts beyond the windows that are scored and beyond a chunk.
static const char plan_text[] = "requests: 6\nconcurrency: 3\nseed: 7\nprompt_tokens: {uniform: [1, 90]}\n"
                                "output_tokens: {uniform: [1, 8]}\nchunk_tokens: 16\n"
                                "bounds: {first_token_ms: 0.001, token_ms: 100000}\n";
static const char traced_text[] = "trace: never-to-be-seen.csv\nconcurrency: 2\nrounds: 1\n"
                                  "bounds: {first_token_ms: 100000, token_ms: 100000}\n";
static const char trace_text[] = "prompt_tokens,output_tokens\n12,3\n0,4\n30,1\n7,5\n";

static void run_served(struct child *child, const char *devices, const char *plan, const char *const *settings)
{
    const char *const arguments[] = {"run", "--profile", served,  "--device",   devices, "--deployment",
                                     plan,  "--out",     results, "--progress", "none",  NULL};
    remove_all(OUT);
    start(child, settings, NULL, arguments);
    if (!finish(child, PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", PATIENCE_S, child->errors);
}

static double number_at(const struct qm_node *result, const char *scheme, const char *path)
{
    double value = 0;
    if (!qm_node_double_at(row_of(result, scheme), path, &value))
        fail_msg("%s of %s is no number", path, scheme);
    return value;
}

static void find_beside(const char *end, char path[512])
{
    path[0] = '\0';
    DIR *stream = opendir(OUT);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (strstr(entry->d_name, end))
            snprintf(path, 512, OUT "/%.200s", entry->d_name);
    closedir(stream);
    assert_true(path[0]);
}

// ---- What the result tells ----------------------------------------------------------------------------------------------

static void expect_served(const struct qm_node *result, const char *scheme)
{
    assert_string_equal(qm_node_text_at(row_of(result, scheme), "status", ""), "ok");
    assert_int_equal(number_at(result, scheme, "deployment.requests"), 6);
    assert_int_equal(number_at(result, scheme, "deployment.rounds"), 2);
    double outputs = number_at(result, scheme, "deployment.output_tokens");
    double seconds = number_at(result, scheme, "deployment.seconds");
    double rate = number_at(result, scheme, "deployment.output_tokens_per_s");
    assert_true(rate > 0 && rate * seconds > outputs * 0.999 && rate * seconds < outputs * 1.001);
    assert_true(number_at(result, scheme, "deployment.seconds_least") <= seconds &&
                seconds <= number_at(result, scheme, "deployment.seconds_most"));
    double in_passes = number_at(result, scheme, "deployment.seconds_in_passes");
    assert_true(in_passes > 0 && in_passes < seconds);
    assert_true(number_at(result, scheme, "deployment.first_token_ms.p50.value") > 0);
    assert_true(number_at(result, scheme, "deployment.token_ms.p50.value") > 0);
    // Nobody has a first token within a microsecond, and everybody the next ones within minutes.
    assert_int_equal(number_at(result, scheme, "deployment.within_first_token"), 0);
    assert_int_equal(number_at(result, scheme, "deployment.within_token"), 6);
    assert_true(number_at(result, scheme, "deployment.within.value") == 0);
    assert_true(number_at(result, scheme, "deployment.within_per_s") == 0);
    // Those whose prompt and output one pass can hold.
    double compared = number_at(result, scheme, "deployment.check.tokens");
    assert_true(compared > 0 && compared < outputs);
    assert_true(number_at(result, scheme, "deployment.check.kl_divergence_mean") <=
                number_at(result, scheme, "deployment.check.bound"));
    // Beside the accuracy, or not at all.
    assert_true(number_at(result, scheme, "accuracy.kl_divergence.mean") > 0);
}

// One of each API; test_server has all drivers.
static void test_apis(void **state)
{
    (void)state;
    char devices[80];
    struct child child;
    snprintf(devices, sizeof(devices), "%s%s%s", pocl_id, pocl_id[0] && lavapipe_id[0] ? "," : "", lavapipe_id);
    need(devices);
    run_served(&child, devices, PLAN, NULL);
    expect_code(&child, 0);
    expect_text(child.output, "served: 6 requests");
    expect_text(child.output, "served by");
    release(&child);
    for (int i = 0; i < 2; ++i) {
        struct qm_node *result = (i ? lavapipe_id : pocl_id)[0] ? need_result(i ? "vulkan" : "opencl") : NULL;
        if (!result)
            continue;
        expect_served(result, "f16");
        expect_served(result, "w4a16-g32");
        assert_string_equal(qm_node_text_at(result, "profile.deployment.chunk_tokens", ""), "16");
        assert_int_equal(strlen(qm_node_text_at(result, "profile.deployment.sha256", "")), 64);
        assert_string_equal(qm_node_text_at(result, "workload.deployment.requests", ""), "6");
        qm_node_destroy(&result);
    }
}

// ---- Verify -----------------------------------------------------------------------------------------------------------

// With a trace, so that requests are in the samples alone.
static void test_trace(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    char path[512], beside[512];
    void *bytes = NULL;
    size_t count = 0;
    run_served(&child, pocl_id, TRACE_PLAN, NULL);
    expect_code(&child, 0);
    release(&child);
    struct qm_node *result = need_result("opencl");
    find_beside(".yaml", path);
    find_beside(".samples.safetensors", beside);
    char *text = read_text(path);
    if (strstr(text, "never-to-be-seen"))
        fail_msg("%s names the user's trace", path);
    free(text);
    assert_string_equal(qm_node_text_at(result, "workload.deployment.left_out", ""), "1");
    assert_int_equal(number_at(result, "f16", "deployment.requests"), 3);
    assert_true(number_at(result, "f16", "deployment.within.value") == 1);
    assert_int_equal(qm_file_read(beside, 1 << 26, &bytes, &count), QM_OK);
    struct qm_verifier *verifier = NULL;
    assert_int_equal(qm_verifier_open(&verifier), QM_OK);
    assert_false(is_caught(verifier, result, bytes, count));
    struct qm_node *row = qm_node_at(qm_node_child(result, "schemes"), 1);
    struct qm_node *deployment = qm_node_child(row, "deployment");
    assert_true(edit_numbers(verifier, result, deployment, bytes, count) >= 20);
    assert_false(is_caught(verifier, result, bytes, count));
    struct qm_node *kept = qm_node_copy(deployment);
    qm_node_remove(row, "deployment");
    assert_true(is_caught(verifier, result, bytes, count));
    qm_node_set_node(row, "deployment", kept);
    assert_false(is_caught(verifier, result, bytes, count));
    // Of doubles the largest bit of the exponent; of times that of the last request's end, on which the length of the round
    // hangs.
    static const struct {
        const char *name;
        size_t at;
        char bit;
    } edits[] = {{"deployment.requests", 0, 1},
                 {"deployment.requests", 4, 1},
                 {"w4a16-g32.deployment.times.f64", 71, 64},
                 {"w4a16-g32.deployment.times.f64", 70, 16},
                 {"w4a16-g32.deployment.pass_ns.f64", 6, 16},
                 {"w4a16-g32.deployment.tokens", 0, 1},
                 {"w4a16-g32.deployment.tokens", 4, 1},
                 {"w4a16-g32.deployment.check_kl.f64", 7, 64}};
    struct qm_tensors tensors = {0};
    assert_int_equal(qm_tensors_view(bytes, count, "samples", &tensors), QM_OK);
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); ++i) {
        const struct qm_tensor *tensor = qm_tensors_find(&tensors, edits[i].name);
        if (!tensor || tensor->bytes <= edits[i].at) {
            fail_msg("the samples have no such %s", edits[i].name);
            return;
        }
        char *values = (char *)bytes + ((const char *)tensor->data - (const char *)bytes);
        values[edits[i].at] ^= edits[i].bit;
        if (!is_caught(verifier, result, bytes, count))
            fail_msg("%s, byte %zu was changed, and verify does not see it", edits[i].name, edits[i].at);
        values[edits[i].at] ^= edits[i].bit;
    }
    qm_tensors_free(&tensors);
    free(bytes);
    qm_verifier_close(&verifier);
    qm_node_destroy(&result);
    // Who has not the trace cannot do it again, nor with another plan.
    start(&child, NULL, NULL, (const char *const[]){"reproduce", path, "--device", pocl_id, "--out", again, NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 2);
    expect_text(child.errors, "give the plan that names the file with --deployment");
    release(&child);
    start(
        &child, NULL, NULL,
        (const char *const[]){"reproduce", path, "--device", pocl_id, "--deployment", plan_path, "--out", again, NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 2);
    expect_text(child.errors, "another plan than the record's");
    release(&child);
}

// ---- Faults -----------------------------------------------------------------------------------------------------------

static void test_faults(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    // One wrong token in one pass against the clock takes its own scheme's speed.
    run_served(&child, pocl_id, TRACE_PLAN, (const char *const[]){"QM_FAULT=wrong-serve=w4a16-g32:4", NULL});
    expect_code(&child, 4);
    struct qm_node *result = need_result("opencl");
    expect_not_ok(result, "w4a16-g32", "wrong", "served against the clock gave other logits");
    assert_null(qm_node_child(row_of(result, "w4a16-g32"), "deployment"));
    assert_true(number_at(result, "f16", "deployment.requests_per_s") > 0);
    qm_node_destroy(&result);
    release(&child);
    // What is wrong in the same way each time, and only where requests are served, is seen beside the same alone.
    run_served(&child, pocl_id, TRACE_PLAN, (const char *const[]){"QM_FAULT=wrong-served=f16", NULL});
    expect_code(&child, 4);
    result = need_result("opencl");
    expect_not_ok(result, "f16", "wrong", "differ from the same requests alone");
    assert_true(number_at(result, "w4a16-g32", "deployment.requests_per_s") > 0);
    qm_node_destroy(&result);
    release(&child);
    run_served(&child, pocl_id, TRACE_PLAN, (const char *const[]){"QM_FAULT=crash=serve", NULL});
    expect_code(&child, 5);
    result = need_result("opencl");
    expect_not_ok(result, "f16", "failed", "signal 11");
    expect_not_ok(result, "w4a16-g32", "failed", "signal 11");
    qm_node_destroy(&result);
    release(&child);
}

// ---- A clock that is simulated, and plans that are refused ------------------------------------------------------------

static void test_simulated(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_served(&child, pocl_id, TRACE_PLAN,
               (const char *const[]){"QM_SIMULATE=speed=1000,overhead_us=1000,noise=0,noise_slow=0", NULL});
    expect_code(&child, 0);
    struct qm_node *result = need_result("opencl");
    // A millisecond a pass and little more: the first request waits for its own prompt, the second for both, the third, which
    // begins when the second has ended, for its own.
    double first = number_at(result, "f16", "deployment.first_token_ms.p50.value");
    double passes =
        number_at(result, "f16", "deployment.prefill_passes") + number_at(result, "f16", "deployment.decode_passes");
    double ms = number_at(result, "f16", "deployment.seconds") * 1e3;
    assert_int_equal(passes, 3 + 4);
    assert_true(ms > passes && ms < passes + 1);
    assert_true(first > 1 && first < 1.5);
    qm_node_destroy(&result);
    release(&child);
}

static void expect_refused(const char *plan, const char *words)
{
    struct child child;
    assert_int_equal(qm_file_write(FOLDER "/bad.yaml", plan, strlen(plan)), QM_OK);
    start(&child, NULL, NULL,
          (const char *const[]){"run", "--profile", served, "--deployment", FOLDER "/bad.yaml", "--out", OUT, NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 2);
    expect_text(child.errors, words);
    assert_ptr_equal(strchr(child.errors, '\n'), child.errors + strlen(child.errors) - 1); // one line
    release(&child);
}

#define REST "concurrency: 2\nseed: 1\nbounds: {first_token_ms: 5, token_ms: 1}\n"

static void test_refused(void **state)
{
    (void)state;
    expect_refused("requests: 2\nprompt_tokens: {fixed: 512}\noutput_tokens: {fixed: 1}\n" REST,
                   "request 0 of the deployment has 512 + 1 tokens and the context is 512");
    expect_refused("requests: 1000000\nprompt_tokens: {fixed: 60}\noutput_tokens: {fixed: 60}\n" REST,
                   "120000000 tokens, and 67108864 are served at most");
    expect_refused("requests: 2\nprompt_tokens: {fixed: 5}\noutput_token: {fixed: 1}\n" REST, "did you mean");
    expect_refused("requests: 4000\nconcurrency: 4000\nseed: 1\nprompt_tokens: {fixed: 5}\noutput_tokens: {fixed: 2}\n"
                   "bounds: {first_token_ms: 5, token_ms: 1}\n",
                   "a pass has 2045 at most");
    expect_refused("trace: nowhere.csv\n" REST, "nowhere.csv");
}

static int setup(void **state)
{
    if (group_setup(state) != 0)
        return 1;
    setenv("QM_DATA_DIR", QM_SOURCE_DIR, 1);
    assert_int_equal(qm_file_write(served, served_text, strlen(served_text)), QM_OK);
    assert_int_equal(qm_file_write(PLAN, plan_text, strlen(plan_text)), QM_OK);
    assert_int_equal(qm_file_write(TRACE_PLAN, traced_text, strlen(traced_text)), QM_OK);
    assert_int_equal(qm_file_write(TRACE, trace_text, strlen(trace_text)), QM_OK);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_trace),     cmocka_unit_test(test_faults),
        cmocka_unit_test(test_apis),    cmocka_unit_test(test_simulated),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
