// `qmark run --reference-on-device` as a user starts it: what a result says of it, that it is the host's numbers, that another
// device's or the host's is never taken for it, and what comes of a device that computes wrongly, is too small or crashes.
// On the built-in model, of which QM_REFERENCE=host makes one of real size.
#define FOLDER QM_BINARY_DIR "/test-reference-device"
#include "test/run_program.h"

#include <math.h>

static const char profile[] = PROFILE, out[] = OUT, few[] = FOLDER "/few.jsonl";

// Runs f16 on PoCL with a reference as `option` says, or the host's; `fault` is of one device alone.
static void run_on(struct child *child, const char *option, const char *faulty, const char *fault)
{
    char only[64], planted[64];
    snprintf(only, sizeof(only), "QM_FAULT_DEVICE=%s", faulty);
    snprintf(planted, sizeof(planted), "QM_FAULT=%s", fault ? fault : "none=1");
    const char *const settings[] = {"QM_REFERENCE=host", planted, only, NULL};
    const char *const arguments[] = {"run",        "--profile", profile, "--device", pocl_id, "--scheme", "f16",
                                     "--progress", "none",      "--out", out,        option,  NULL};
    remove_all(OUT);
    start(child, settings, NULL, arguments);
    if (!finish(child, PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", PATIENCE_S, child->errors);
}

static void run_with(struct child *child, const char *option, const char *fault)
{
    run_on(child, option, lavapipe_id, fault);
}

static const char *on_lavapipe(char option[64])
{
    snprintf(option, 64, "--reference-on-device=%s", lavapipe_id);
    return option;
}

static const char *text_of(const struct qm_node *result, const char *key)
{
    char path[96];
    snprintf(path, sizeof(path), "disclosure.reference.%s", key);
    return qm_node_text_at(row_of(result, "f16"), path, "");
}

static double number_of(const struct qm_node *result, const char *path)
{
    double value = -1;
    if (!qm_node_double_at(row_of(result, "f16"), path, &value))
        fail_msg("f16 has no number %s", path);
    return value;
}

static void forget(void)
{
    remove_all(CACHE "/host");
    remove_all(CACHE "/reference");
}

// First what goes wrong, while nothing is in the cache: a line that names device and cause, and nothing kept.
static void test_failures(void **state)
{
    (void)state;
    need(pocl_id);
    need(lavapipe_id);
    struct child child;
    char option[64];
    static const struct {
        const char *fault;
        int code;
        const char *texts[3];
    } cases[] = {
        // One token of the first pass is another: positions far behind it tell.
        {"wrong-scored=1",
         4,
         {"differ by ", "nats in a log-probability of 32 tokens", "Leave out --reference-on-device"}},
        // In the last of the two windows only.
        {"wrong-scored=2",
         4,
         {"differ by ", "nats in a log-probability of 32 tokens", "Leave out --reference-on-device"}},
        {"wrong-selftest=1", 4, {"self-test: ", "", ""}},
        {"memory=9000000",
         2,
         {"no device can compute the fp32 reference (", " bytes (", "leave out --reference-on-device"}},
        {"no-memory=f32", 2, {"no device can compute the fp32 reference (", "123456789", "for the host's"}},
        {"crash=run", 5, {"signal 11", "", ""}},
    };
    forget();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        run_with(&child, on_lavapipe(option), cases[i].fault);
        expect_code(&child, cases[i].code);
        expect_text(child.errors, lavapipe_id);
        for (size_t t = 0; t < 3; ++t)
            expect_text(child.errors, cases[i].texts[t]);
        if (strchr(child.errors, '\n') != strrchr(child.errors, '\n'))
            fail_msg("more than one line: %s", child.errors);
        assert_null(result_of(OUT, "opencl"));
        release(&child);
    }
    run_with(&child, "--reference-on-device=nonesuch", NULL);
    expect_code(&child, 2);
    expect_text(child.errors, "--reference-on-device=nonesuch names no device of this machine; there are ");
    release(&child);
    start(&child, NULL, NULL,
          (const char *const[]){"run", "--profile", profile, "--device", pocl_id, "--out", out, "--reference-on-device",
                                NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 2); // of a small model there is an exact one
    expect_text(child.errors, "is for models of more than 50000000 parameters");
    release(&child);
}

static struct qm_node *expect_result(const struct child *child, const char *engine)
{
    expect_code(child, 0);
    expect_text(child->output, engine);
    struct qm_node *result = need_result("opencl");
    expect_whole(result, "f16");
    expect_text(text_of(result, "engine"), engine[0] ? strchr(engine, ':') + 2 : "");
    return result;
}

static void test_reference(void **state)
{
    (void)state;
    need(pocl_id);
    need(lavapipe_id);
    struct child child;
    char option[64];
    forget();
    run_with(&child, on_lavapipe(option), NULL);
    struct qm_node *device = expect_result(&child, "fp32 reference: device, llvmpipe");
    release(&child);
    assert_string_equal(text_of(device, "api"), "vulkan");
    expect_text(text_of(device, "device"), "llvmpipe");
    expect_text(text_of(device, "driver"), "lavapipe ");
    expect_text(text_of(device, "checked_with"), "host, ");
    assert_int_equal(strlen(text_of(device, "kernel_hash")), 64);
    assert_true(number_of(device, "disclosure.reference.checked_tokens") == 32);
    double difference = number_of(device, "disclosure.reference.difference");
    assert_true(difference > 0 && difference < 1e-3);

    // It is in the cache now, and no device is asked for it again; the run that is done is gone on with.
    char only[64];
    snprintf(only, sizeof(only), "QM_FAULT_DEVICE=%s", lavapipe_id);
    start(&child, (const char *const[]){"QM_REFERENCE=host", "QM_FAULT=crash=open", only, NULL}, NULL,
          (const char *const[]){"run", "--resume", "--out", out, NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    expect_text(child.errors, "is done, in ");
    release(&child);

    // The host's is another, and the same but for rounding.
    run_with(&child, NULL, "crash=open");
    struct qm_node *host = expect_result(&child, "fp32 reference: host, ");
    release(&child);
    assert_string_equal(text_of(host, "device"), "");
    assert_string_equal(text_of(host, "checked_with"), "");
    double kl = number_of(host, "accuracy.kl_divergence.mean");
    assert_true(fabs(number_of(device, "accuracy.kl_divergence.mean") - kl) < 1e-6);
    assert_true(fabs(number_of(device, "accuracy.perplexity.ratio.value") -
                     number_of(host, "accuracy.perplexity.ratio.value")) < 1e-4);
    struct qm_comparison comparison;
    assert_int_equal(qm_compare(device, host, &comparison), QM_OK);
    assert_int_equal(comparison.verdict, QM_COMPARABLE_WITH_NOTES);
    bool is_noted = false;
    for (size_t i = 0; i < comparison.count; ++i)
        is_noted = is_noted || (strstr(comparison.differences[i].path, "disclosure.reference") &&
                                comparison.differences[i].class == QM_DIFFERENCE_NOTE);
    assert_true(is_noted);
    qm_comparison_free(&comparison);
    qm_node_destroy(&host);
    qm_node_destroy(&device);
}

// A device without the memory is passed over for the next of the run, which is told; a damaged file of the cache is made anew.
static void test_passed_over(void **state)
{
    (void)state;
    need(pocl_id);
    need(lavapipe_id);
    struct child child;
    char option[96];
    forget();
    snprintf(option, sizeof(option), "--reference-on-device=%s,%s", lavapipe_id, pocl_id);
    run_on(&child, option, pocl_id, "no-memory=f32"); // OpenCL is listed first
    struct qm_node *result = expect_result(&child, "fp32 reference: device, ");
    assert_string_equal(text_of(result, "api"), "vulkan");
    expect_text(child.errors, "after others could not: ");
    expect_text(child.errors, "123456789");
    qm_node_destroy(&result);
    release(&child);
}

// A user's examples are answered in fp32 by the same device, and the host looks at a sample.
static void test_answers(void **state)
{
    (void)state;
    need(pocl_id);
    need(lavapipe_id);
    struct child child;
    char option[64], only[64];
    forget();
    FILE *stream = fopen(few, "w");
    assert_non_null(stream);
    fputs("{\"prompt\": \"<copy> n05 v03 n21 n12 n13 =\", \"answer\": \"n05 v03 n21 n12 n13\", \"max_tokens\": 5}\n"
          "{\"prompt\": \"<copy> n05 v03 n21 =\", \"answer\": \"n05 v03 n21\", \"max_tokens\": 3}\n"
          "{\"prompt\": \"<copy> n05 v03 n21 n12 n13 =\", \"choices\": [\" n05 v03\", \" n06 v03\"], \"answer\": 0}\n",
          stream);
    fclose(stream);
    snprintf(only, sizeof(only), "QM_FAULT_DEVICE=%s", lavapipe_id);
    const char *const arguments[] = {"run", "--profile",         profile, "--device", pocl_id, "--scheme",
                                     "f16", "--progress",        "none",  "--out",    out,     "--eval",
                                     few,   on_lavapipe(option), NULL};
    static const char *const faults[] = {"QM_FAULT=wrong-answer=2",
                                         "QM_FAULT=none=1"}; // the longer prompt comes second
    for (int i = 0; i < 2; ++i) {
        remove_all(OUT);
        start(&child, (const char *const[]){"QM_REFERENCE=host", faults[i], only, NULL}, NULL, arguments);
        assert_true(finish(&child, PATIENCE_S));
        expect_code(&child, i == 0 ? 4 : 0);
        if (i == 0)
            expect_text(child.errors, "the fp32 answer to example ");
        release(&child);
    }
    struct qm_node *result = need_result("opencl");
    expect_text(text_of(result, "engine"), "device, llvmpipe");
    assert_true(number_of(result, "accuracy.answers.examples") == 3);
    assert_true(number_of(result, "accuracy.answers.tokens_mean_reference") == 4);
    assert_true(number_of(result, "accuracy.answers.flips") == 0); // f16 says the same
    qm_node_destroy(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_passed_over),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
