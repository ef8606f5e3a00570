// Deployments: the plan's section, the same requests everywhere, traces in the forms they are published in, and the
// arithmetic of times.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "record/node.h"
#include "test/fenced.h"
#include "test/near.h"
#include "workload/deployment.h"
#include "workload/deployment_result.h"

static struct qm_node *tree(const char *text)
{
    struct qm_node *node = NULL;
    if (qm_node_parse(text, strlen(text), "d.yaml", &qm_node_profile_limits, &node) != QM_OK)
        fail_msg("%s", qm_error_text());
    return node;
}

static struct qm_deployment plan(const char *text)
{
    static struct qm_deployment deployment;
    struct qm_node *node = tree(text);
    if (qm_deployment_read(node, &deployment) != QM_OK)
        fail_msg("%s", qm_error_text());
    qm_node_destroy(&node);
    return deployment;
}

static void refused(const char *text, const char *words)
{
    static struct qm_deployment deployment;
    struct qm_node *node = tree(text);
    if (qm_deployment_read(node, &deployment) != QM_INVALID)
        fail_msg("'%s' was taken", text);
    if (strncmp(qm_error_text(), "d.yaml:", 7) != 0 || !strstr(qm_error_text(), words) || strchr(qm_error_text(), '\n'))
        fail_msg("expected '%s' in '%s'", words, qm_error_text());
    qm_node_destroy(&node);
}

#define REST "requests: 10\nconcurrency: 2\nseed: 1\nbounds: {first_token_ms: 5, token_ms: 1}\n"
#define OUT "output_tokens: {fixed: 3}\n"

static void test_section(void **state)
{
    (void)state;
    struct qm_deployment deployment = plan(REST OUT "prompt_tokens: {uniform: [4, 9]}\n");
    assert_int_equal(deployment.requests, 10);
    assert_int_equal(deployment.concurrency, 2);
    assert_int_equal(deployment.prompt.kind, QM_LENGTH_UNIFORM);
    assert_int_equal(deployment.prompt.high, 9);
    assert_int_equal(deployment.output.low, 3);
    assert_true(deployment.token_ms == 1.0);
    // Expanded and read again it is the same.
    static const char *const texts[] = {REST OUT "prompt_tokens: {lognormal: {median: 60.5, p95: 400}, most: 512}\n",
                                        REST OUT "prompt_tokens: {fixed: 7}\n",
                                        "trace: t.csv\nconcurrency: 1\nbounds: {first_token_ms: 5, token_ms: 1}\n"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        static struct qm_deployment again;
        deployment = plan(texts[i]);
        struct qm_node *node = qm_deployment_expand(&deployment, true);
        assert_true(qm_node_ok(node));
        assert_int_equal(qm_deployment_read(node, &again), QM_OK);
        assert_memory_equal(&again, &deployment, sizeof(again));
        qm_node_destroy(&node);
        node = qm_deployment_expand(&deployment, false);
        assert_null(qm_node_child(node, "trace"));
        qm_node_destroy(&node);
    }
    refused(REST OUT, "key 'prompt_tokens' is missing");
    refused(REST OUT "prompt_tokens: 5\n", "'prompt_tokens' is no mapping");
    refused(REST OUT "prompt_tokens: {fixed: 0}\n", "'fixed' is 0; expected 1 to");
    refused(REST OUT "prompt_tokens: {fixed: 1, uniform: [1, 2]}\n", "exactly one of fixed, uniform and lognormal");
    refused(REST OUT "prompt_tokens: {}\n", "exactly one of");
    refused(REST OUT "prompt_tokens: {uniform: [5, 4]}\n", "'uniform' is 4; expected 5 to");
    refused(REST OUT "prompt_tokens: {uniform: [5]}\n", "a list of two whole numbers");
    refused(REST OUT "prompt_tokens: {uniform: 5}\n", "a list of two whole numbers");
    refused(REST OUT "prompt_tokens: {fixed: 5, most: 7}\n", "'most' goes with lognormal only");
    refused(REST OUT "prompt_tokens: {lognormal: {median: 60, p95: 400}}\n", "'lognormal' without 'most'");
    refused(REST OUT "prompt_tokens: {lognormal: {median: 60, p95: 40}, most: 100}\n", "expected p95 not below it");
    refused(REST OUT "prompt_tokens: {lognormal: 3, most: 100}\n", "'lognormal' is no mapping");
    refused(REST OUT "prompt_tokens: {lognormal: {median: 60, p59: 4}, most: 100}\n", "did you mean 'p95'?");
    refused(REST OUT "prompt_tokens: {fixed: 5}\ntrace: t.csv\n", "a 'trace' and lengths");
    refused(REST "trace: [t]\n", "the path of a file");
    refused(REST OUT "prompt_tokens: {fixed: 5}\nconcurency: 5\n", "did you mean 'concurrency'?");
    refused("concurrency: 1\nseed: 1\nbounds: {first_token_ms: 5, token_ms: 1}\nprompt_tokens: {fixed: 5}\n" OUT,
            "key 'requests' is missing");
    refused("requests: 5\nconcurrency: 1\nbounds: {first_token_ms: 5, token_ms: 1}\nprompt_tokens: {fixed: 5}\n" OUT,
            "key 'seed' is missing");
    refused("requests: 5\nconcurrency: 1\nseed: 2\nprompt_tokens: {fixed: 5}\n" OUT, "key 'bounds' is missing");
    refused("requests: 5\nconcurrency: 1\nseed: 2\nbounds: {first_token_ms: 0, token_ms: 1}\nprompt_tokens: {fixed: "
            "5}\n" OUT,
            "'first_token_ms' is 0; expected 0.001");
    refused("requests: 5\nconcurrency: 5000\nseed: 2\nbounds: {first_token_ms: 1, token_ms: 1}\nprompt_tokens: "
            "{fixed: 5}\n" OUT,
            "'concurrency' is 5000");
}

#define HASH "a85c87a10fbdd9417132036692093fd3c087f61fddefa297743fb7aca82b6ddd"

// What a plan may say of how it is served, and how a result keeps it.
static void test_record(void **state)
{
    (void)state;
    struct qm_deployment deployment = plan(REST OUT "prompt_tokens: {fixed: 7}\n"), again;
    struct qm_requests requests;
    assert_int_equal(deployment.chunk_tokens, 512);
    assert_int_equal(deployment.rounds, 2);
    assert_string_equal(deployment.sha256, "");
    deployment = plan(REST OUT "prompt_tokens: {fixed: 7}\nchunk_tokens: 3\nrounds: 1\n");
    assert_int_equal(deployment.chunk_tokens, 3);
    assert_int_equal(deployment.rounds, 1);
    refused(REST OUT "prompt_tokens: {fixed: 5}\nchunk_tokens: 0\n", "'chunk_tokens' is 0; expected 1 to 8192");
    refused(REST OUT "prompt_tokens: {fixed: 5}\nrounds: 65\n", "'rounds' is 65; expected 1 to 64");
    refused(REST OUT "prompt_tokens: {fixed: 5}\nsha256: 12\n", "'sha256' must be 64 hexadecimal digits");
    refused(REST "trace: t.csv\ntrace_sha256: " HASH "\n", "a 'trace' and a 'trace_sha256'");
    // Requests that are drawn must be the record's.
    assert_int_equal(qm_deployment_requests(&deployment, 100, NULL, &requests), QM_OK);
    memcpy(deployment.sha256, requests.sha256, sizeof(deployment.sha256));
    qm_requests_free(&requests);
    struct qm_node *node = qm_deployment_expand(&deployment, false);
    assert_int_equal(qm_deployment_read(node, &again), QM_OK);
    assert_memory_equal(&again, &deployment, sizeof(again));
    qm_node_destroy(&node);
    assert_int_equal(qm_deployment_requests(&again, 100, NULL, &requests), QM_OK);
    qm_requests_free(&requests);
    again.output.low = again.output.high = 4;
    assert_int_equal(qm_deployment_requests(&again, 100, NULL, &requests), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "and those of the record to"));
    assert_null(requests.requests);
    // A trace that is known by its hash alone has no requests, and is told so.
    deployment =
        plan("requests: 3\nconcurrency: 1\nbounds: {first_token_ms: 5, token_ms: 1}\ntrace_sha256: " HASH "\n");
    assert_true(deployment.has_trace);
    assert_string_equal(deployment.trace, "");
    assert_int_equal(qm_deployment_requests(&deployment, 100, NULL, &requests), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "--deployment"));
}

static int rising(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void test_lengths(void **state)
{
    (void)state;
    struct qm_deployment deployment =
        plan("requests: 20001\nconcurrency: 2\nseed: 3\nbounds: {first_token_ms: 5, token_ms: 1}\n"
             "prompt_tokens: {lognormal: {median: 600, p95: 4000}, most: 8192}\noutput_tokens: {uniform: [16, 25]}\n");
    struct qm_requests requests, again;
    assert_int_equal(qm_deployment_requests(&deployment, 10000, NULL, &requests), QM_OK);
    assert_int_equal(requests.count, 20001);
    static uint32_t prompts[20001];
    uint32_t outputs[26] = {0};
    for (uint32_t i = 0; i < requests.count; i++) {
        prompts[i] = requests.requests[i].prompt_tokens;
        assert_in_range(requests.requests[i].output_tokens, 16, 25);
        outputs[requests.requests[i].output_tokens]++;
    }
    qsort(prompts, 20001, sizeof(prompts[0]), rising);
    // Standard errors of the quantiles are 1.6 % and 1.9 %.
    assert_near(prompts[10000], 600, 600 * 0.05);
    assert_near(prompts[19000], 4000, 4000 * 0.06);
    assert_true(prompts[0] >= 1);
    assert_int_equal(prompts[20000], 8192); // 1.2 % are above it and become it
    for (int k = 16; k <= 25; k++)
        assert_near(outputs[k], 2000, 200);
    // The same again; another seed is another set; the output's lengths do not depend on the prompt's kind.
    assert_int_equal(qm_deployment_requests(&deployment, 10000, NULL, &again), QM_OK);
    assert_string_equal(again.sha256, requests.sha256);
    qm_requests_free(&again);
    deployment.prompt = (struct qm_lengths){.kind = QM_LENGTH_FIXED, .low = 5, .high = 5};
    assert_int_equal(qm_deployment_requests(&deployment, 10000, NULL, &again), QM_OK);
    for (uint32_t i = 0; i < requests.count; i++)
        assert_int_equal(again.requests[i].output_tokens, requests.requests[i].output_tokens);
    qm_requests_free(&again);
    deployment.seed = 4;
    assert_int_equal(qm_deployment_requests(&deployment, 10000, NULL, &again), QM_OK);
    assert_string_not_equal(again.sha256, requests.sha256);
    qm_requests_free(&again);
    qm_requests_free(&requests);
    assert_int_equal(qm_deployment_requests(&deployment, 20, NULL, &again), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "and the context is 20; lower prompt_tokens or output_tokens"));
    assert_null(again.requests);
}

// The first requests of a plan, as a program in Python computes them from the header.
static void test_first_requests(void **state)
{
    (void)state;
    struct qm_deployment deployment =
        plan("requests: 4\nconcurrency: 1\nseed: 7\nbounds: {first_token_ms: 5, token_ms: 1}\n"
             "prompt_tokens: {lognormal: {median: 600, p95: 4000}, most: 8192}\noutput_tokens: {uniform: [16, 256]}\n");
    static const uint32_t expected[4][2] = {{945, 193}, {72, 116}, {285, 218}, {433, 62}};
    struct qm_requests requests;
    assert_int_equal(qm_deployment_requests(&deployment, 10000, NULL, &requests), QM_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(requests.requests[i].prompt_tokens, expected[i][0]);
        assert_int_equal(requests.requests[i].output_tokens, expected[i][1]);
    }
    qm_requests_free(&requests);
}

static struct qm_requests parse_trace(const char *text, uint32_t wanted)
{
    struct qm_requests requests;
    if (qm_trace_parse(text, strlen(text), "t", wanted, 10000, &requests) != QM_OK)
        fail_msg("'%s': %s", text, qm_error_text());
    return requests;
}

static void trace_refused(const char *text, uint32_t wanted, const char *words)
{
    struct qm_requests requests;
    if (qm_trace_parse(text, strlen(text), "t", wanted, 10000, &requests) != QM_INVALID)
        fail_msg("'%s' was taken", text);
    assert_null(requests.requests);
    if (!strstr(qm_error_text(), words) || strchr(qm_error_text(), '\n'))
        fail_msg("expected '%s' in '%s'", words, qm_error_text());
}

static void test_traces(void **state)
{
    (void)state;
    static const char *const traces[] = {
        "prompt_tokens,output_tokens\n374,44\n396,109\n",
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n\r\n2023-11-16 "
        "18:15:50,396,109",
        "\xef\xbb\xbfTimestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,374,44,418,\"a, "
        "b\"\n"
        "45,\"GPT,4\",396,109,505,x\n",
        "GeneratedTokens, \"ContextTokens\"\n44,374\n109, \"396\" \n",
        "{\"timestamp\": 0, \"input_length\": 374, \"output_length\": 44, \"hash_ids\": [0, 1]}\n"
        "{\"timestamp\": 9, \"input_length\": 396, \"output_length\": 109, \"hash_ids\": []}\n",
        "{\"prompt_tokens\": 374, \"output_tokens\": 44}\n{\"ContextTokens\": 396, \"GeneratedTokens\": 109}",
    };
    for (size_t i = 0; i < COUNT(traces); i++) {
        struct qm_requests requests = parse_trace(traces[i], 0);
        assert_int_equal(requests.count, 2);
        assert_int_equal(requests.requests[0].prompt_tokens, 374);
        assert_int_equal(requests.requests[0].output_tokens, 44);
        assert_int_equal(requests.requests[1].prompt_tokens, 396);
        assert_int_equal(requests.requests[1].output_tokens, 109);
        qm_requests_free(&requests);
    }
    struct qm_requests some = parse_trace("prompt_tokens,output_tokens\n5,0\n0,5\n1,2\n3,4\nnot looked at", 2);
    assert_int_equal(some.count, 2);
    assert_int_equal(some.left_out, 2);
    qm_requests_free(&some);

    trace_refused("", 0, "t: the trace holds no request");
    trace_refused("prompt_tokens,output_tokens\n", 0, "holds no request");
    trace_refused("prompt_tokens,output_tokens\n0,0\n", 0, "holds no request");
    trace_refused("1,2\n", 0, "t:1: the heading has no columns");
    trace_refused("prompt_tokens,GeneratedTokens\n1,2\n", 0, "the heading has no columns");
    trace_refused("prompt_tokens,output_tokens,prompt_tokens\n1,2,3\n", 0, "two columns 'prompt_tokens'");
    trace_refused("prompt_tokens,output_tokens\n1\n", 0, "t:2: the line ends before column 2");
    trace_refused("a,prompt_tokens,output_tokens\n\"1,2,3\n", 0, "the line ends before column 2"); // a quote left open
    trace_refused("prompt_tokens,output_tokens\n1,-2\n", 0, "column 2 is no whole number");
    trace_refused("prompt_tokens,output_tokens\n1.5,2\n", 0, "column 1 is no whole number");
    trace_refused("prompt_tokens,output_tokens\n,2\n", 0, "column 1 is no whole number");
    trace_refused("prompt_tokens,output_tokens\n99999999999999999999,2\n", 0, "column 1 is no whole number");
    trace_refused("prompt_tokens,output_tokens\n999999999999,2\n", 0, "and the context is 10000");
    trace_refused("prompt_tokens,output_tokens\n1,2\n9999,2\n", 0, "t:3: a request of 9999 + 2 tokens");
    trace_refused("prompt_tokens,output_tokens\n1,2\n", 3, "the trace has 1 requests and 3 are asked for");
    trace_refused("{\"input_length\": 1}\n", 0, "t:1: no keys prompt_tokens");
    trace_refused("{\"input_length\": 1.5, \"output_length\": 2}\n", 0, "must be whole numbers");
    trace_refused("{\"input_length\": -1, \"output_length\": 2}\n", 0, "must be whole numbers");
    trace_refused("{\"input_length\": 1, \"output_length\": 2}\n{\"inp", 0, "t:2: no JSON");
    char *deep = malloc(1000001);
    assert_non_null(deep);
    memset(deep, '[', 1000000);
    memcpy(deep, "{\"x\":", 5);
    deep[1000000] = '\0';
    trace_refused(deep, 0, "t:1: nested deeper than 16");
    memset(deep, ',', 1000000);
    trace_refused(deep, 0, "more than 256 columns");
    free(deep);
}

static void test_documentation(void **state)
{
    (void)state;
    char *yaml = fenced_blocks(QM_SOURCE_DIR "/docs/WORKLOAD.md", "yaml");
    char *csv = fenced_blocks(QM_SOURCE_DIR "/docs/WORKLOAD.md", "csv");
    struct qm_deployment deployment = plan(yaml);
    struct qm_requests requests;
    assert_int_equal(qm_deployment_requests(&deployment, 8448, NULL, &requests), QM_OK);
    assert_int_equal(requests.count, 200);
    qm_requests_free(&requests);
    requests = parse_trace(csv, 0);
    assert_int_equal(requests.count, 2);
    qm_requests_free(&requests);
    // The trace as a file beside the plan.
    char directory[] = "/tmp/qmark-test-XXXXXX", path[QM_PATH_BYTES];
    assert_non_null(mkdtemp(directory));
    assert_int_equal(qm_path_join(path, directory, "t.csv"), QM_OK);
    deployment = plan("trace: t.csv\nconcurrency: 1\nbounds: {first_token_ms: 5, token_ms: 1}\n");
    assert_int_equal(qm_deployment_requests(&deployment, 8448, directory, &requests), QM_INVALID);
    assert_int_equal(qm_file_write(path, csv, strlen(csv)), QM_OK);
    assert_int_equal(qm_deployment_requests(&deployment, 8448, directory, &requests), QM_OK);
    assert_int_equal(requests.prompt_tokens, 374 + 396);
    assert_int_equal(strlen(requests.trace_sha256), 64);
    qm_requests_free(&requests);
    assert_int_equal(qm_file_remove(path), QM_OK);
    assert_int_equal(rmdir(directory), 0);
    free(yaml);
    free(csv);
}

static void test_times(void **state)
{
    (void)state;
    struct qm_deployment deployment = plan(REST OUT "prompt_tokens: {fixed: 7}\n"); // 5 ms and 1 ms
    enum {
        MANY = 40
    };
    struct qm_request requests[MANY];
    struct qm_request_times times[MANY];
    const struct qm_bootstrap bootstrap = QM_BOOTSTRAP_DEFAULT;
    struct qm_deployment_result result;
    for (int i = 0; i < MANY; i++) {
        requests[i] = (struct qm_request){7, i % 2 ? 11 : 1};
        double start = 1e9 + i * 1e7, first = start + (i < 4 ? 6e6 : 5e6); // 4 are late
        double end = i % 2 ? first + (i >= 36 ? 11e6 : 10e6) : first;      // 2 are slow
        times[i] = (struct qm_request_times){start, first, end};
    }
    assert_int_equal(qm_deployment_judge(&deployment, requests, times, MANY, 1, &bootstrap, &result), QM_OK);
    assert_int_equal(result.requests, MANY);
    assert_int_equal(result.within_first_token, MANY - 4);
    assert_int_equal(result.within_token, MANY - 2);
    assert_int_equal(result.within, MANY - 6);
    assert_near(result.share_within.value, 34.0 / 40, 1e-15);
    assert_true(result.share_within.low < 0.85 && result.share_within.high > 0.85);
    assert_near(result.seconds, 0.39 + 0.016, 1e-12);
    assert_near(result.requests_per_s, 40 / 0.406, 1e-9);
    assert_near(result.output_tokens_per_s, 240 / 0.406, 1e-9);
    assert_near(result.tokens_per_s, (240 + 280) / 0.406, 1e-9);
    assert_near(result.within_per_s, 34 / 0.406, 1e-9);
    assert_true(result.first_token.p50.value == 5e6);
    assert_true(result.first_token.p95.value == 6e6);
    assert_int_equal(result.first_token.p99.state, QM_ESTIMATE_NOT_MEASURED); // 40 samples have no 99th percentile
    assert_near(result.token.p50.value, 1e6, 1e-3);
    // A second round, half as fast, in which another request is late: it counts against its request, and not twice.
    struct qm_request_times both[2 * MANY];
    memcpy(both, times, sizeof(times));
    for (int i = 0; i < MANY; i++) {
        both[MANY + i] = times[i];
        both[MANY + i].start_ns = 5e9 + 2 * (times[i].start_ns - 1e9); // a clock of its own
        both[MANY + i].first_token_ns = both[MANY + i].start_ns + (i == 1 || i == 10 ? 6e6 : 4e6);
        both[MANY + i].end_ns = both[MANY + i].first_token_ns + (times[i].end_ns - times[i].first_token_ns);
    }
    assert_int_equal(qm_deployment_judge(&deployment, requests, both, MANY, 2, &bootstrap, &result), QM_OK);
    assert_int_equal(result.requests, MANY);
    assert_int_equal(result.within_first_token, MANY - 5);
    assert_int_equal(result.within, MANY - 7);
    assert_near(result.least_seconds, 0.406, 1e-12);
    assert_near(result.most_seconds, 0.78 + 0.015, 1e-12);
    assert_near(result.seconds, 0.406 + 0.795, 1e-12);
    assert_near(result.requests_per_s, 80 / 1.201, 1e-9);
    assert_near(result.within_per_s, 2 * 33 / 1.201, 1e-9);
    assert_true(result.first_token.p50.value == 5e6 || result.first_token.p50.value == 4e6);
    assert_int_equal(qm_deployment_judge(&deployment, requests, both, MANY, 0, &bootstrap, &result), QM_INVALID);
    // Nobody has a second token: nothing is measured between tokens.
    for (int i = 0; i < MANY; i++) {
        requests[i].output_tokens = 1;
        times[i].end_ns = times[i].first_token_ns;
    }
    assert_int_equal(qm_deployment_judge(&deployment, requests, times, MANY, 1, &bootstrap, &result), QM_OK);
    assert_int_equal(result.token.p50.state, QM_ESTIMATE_NOT_MEASURED);
    assert_int_equal(result.within_token, MANY);
    // Times that cannot be.
    const struct qm_request_times good = times[3], bad[] = {{good.first_token_ns, good.first_token_ns, good.end_ns},
                                                            {good.start_ns, good.end_ns + 1, good.end_ns},
                                                            {NAN, good.first_token_ns, good.end_ns},
                                                            {good.start_ns, good.first_token_ns, INFINITY}};
    for (size_t i = 0; i < COUNT(bad); i++) {
        times[3] = bad[i];
        assert_int_equal(qm_deployment_judge(&deployment, requests, times, MANY, 1, &bootstrap, &result), QM_INVALID);
        assert_non_null(strstr(qm_error_text(), "request 3"));
    }
    times[3] = good;
    requests[3].output_tokens = 2; // which take no time
    assert_int_equal(qm_deployment_judge(&deployment, requests, times, MANY, 1, &bootstrap, &result), QM_INVALID);
    requests[3].output_tokens = 0;
    assert_int_equal(qm_deployment_judge(&deployment, requests, times, MANY, 1, &bootstrap, &result), QM_INVALID);
    assert_int_equal(qm_deployment_judge(&deployment, requests, times, 0, 1, &bootstrap, &result), QM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_section),        cmocka_unit_test(test_record), cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_first_requests), cmocka_unit_test(test_traces), cmocka_unit_test(test_documentation),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
