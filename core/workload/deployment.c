#include "workload/deployment.h"

#include "base/numeric.h"
#include "base/random.h"
#include "record/node.h"
#include "record/suggest.h"
#include "score/ordered.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NORMAL_P95 1.6448536269514722

static enum qm_status check_keys(const struct qm_node *mapping, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < qm_node_count(mapping); i++) {
        const struct qm_node *child = qm_node_at(mapping, i);
        const char *key = qm_node_key(child);
        size_t k = 0;
        while (k < count && strcmp(keys[k], key) != 0)
            k++;
        if (k < count)
            continue;
        const char *near = qm_suggest(key, keys, count);
        if (near)
            return qm_node_invalid(child, "unknown key '%.60s'; did you mean '%s'?", key, near);
        char list[256] = "";
        for (k = 0; k < count; k++)
            snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", k ? ", " : "", keys[k]);
        return qm_node_invalid(child, "unknown key '%.60s'; expected one of %s", key, list);
    }
    return QM_OK;
}

static enum qm_status require(const struct qm_node *mapping, const char *key, const struct qm_node **out)
{
    *out = qm_node_child(mapping, key);
    return *out ? QM_OK : qm_node_invalid(mapping, "key '%s' is missing; add it, as in docs/WORKLOAD.md", key);
}

static enum qm_status check_u32(const struct qm_node *node, const char *key, uint32_t low, uint32_t high, uint32_t *out)
{
    uint64_t wide = 0;
    *out = 0;
    QM_TRY(qm_node_read_u64(node, &wide));
    if (wide < low || wide > high)
        return qm_node_invalid(node, "'%s' is %" PRIu64 "; expected %" PRIu32 " to %" PRIu32, key, wide, low, high);
    *out = (uint32_t)wide;
    return QM_OK;
}

static enum qm_status read_u32(const struct qm_node *mapping, const char *key, uint32_t low, uint32_t high,
                               uint32_t *out)
{
    const struct qm_node *node = NULL;
    *out = 0;
    QM_TRY(require(mapping, key, &node));
    return check_u32(node, key, low, high, out);
}

static enum qm_status read_double(const struct qm_node *mapping, const char *key, double low, double high, double *out)
{
    const struct qm_node *node = NULL;
    QM_TRY(require(mapping, key, &node));
    QM_TRY(qm_node_read_double(node, out));
    if (!(*out >= low && *out <= high))
        return qm_node_invalid(node, "'%s' is %g; expected %g to %g", key, *out, low, high);
    return QM_OK;
}

static enum qm_status read_lognormal(const struct qm_node *node, const struct qm_node *most, struct qm_lengths *out)
{
    static const char *const keys[] = {"median", "p95"};
    if (!qm_node_is_mapping(node))
        return qm_node_invalid(node, "'lognormal' is no mapping; expected {median: m, p95: q}");
    if (!most)
        return qm_node_invalid(node, "'lognormal' without 'most'; expected {lognormal: {median: m, p95: q}, most: n}");
    QM_TRY(check_keys(node, keys, COUNT(keys)));
    QM_TRY(read_double(node, "median", 1, QM_DEPLOYMENT_TOKENS_MAX, &out->median));
    QM_TRY(read_double(node, "p95", 1, QM_DEPLOYMENT_TOKENS_MAX, &out->p95));
    if (out->p95 < out->median)
        return qm_node_invalid(node, "'p95' is %g and 'median' %g; expected p95 not below it", out->p95, out->median);
    out->low = 1;
    return check_u32(most, "most", 1, QM_DEPLOYMENT_TOKENS_MAX, &out->high);
}

static enum qm_status read_lengths(const struct qm_node *section, const char *key, struct qm_lengths *out)
{
    static const char *const keys[] = {"fixed", "uniform", "lognormal", "most"};
    const struct qm_node *node = NULL;
    QM_TRY(require(section, key, &node));
    if (!qm_node_is_mapping(node))
        return qm_node_invalid(node, "'%s' is no mapping; expected one such as {fixed: 128}", key);
    QM_TRY(check_keys(node, keys, COUNT(keys)));
    const struct qm_node *fixed = qm_node_child(node, "fixed"), *uniform = qm_node_child(node, "uniform");
    const struct qm_node *lognormal = qm_node_child(node, "lognormal"), *most = qm_node_child(node, "most");
    if ((fixed != NULL) + (uniform != NULL) + (lognormal != NULL) != 1)
        return qm_node_invalid(node, "'%s' must have exactly one of fixed, uniform and lognormal", key);
    if (most && !lognormal)
        return qm_node_invalid(most, "'most' goes with lognormal only; remove it");
    if (fixed) {
        out->kind = QM_LENGTH_FIXED;
        QM_TRY(check_u32(fixed, "fixed", 1, QM_DEPLOYMENT_TOKENS_MAX, &out->low));
        out->high = out->low;
        return QM_OK;
    }
    if (lognormal) {
        out->kind = QM_LENGTH_LOGNORMAL;
        return read_lognormal(lognormal, most, out);
    }
    out->kind = QM_LENGTH_UNIFORM;
    if (!qm_node_is_sequence(uniform) || qm_node_count(uniform) != 2)
        return qm_node_invalid(uniform, "'uniform' must be a list of two whole numbers, [least, most]");
    QM_TRY(check_u32(qm_node_at(uniform, 0), "uniform", 1, QM_DEPLOYMENT_TOKENS_MAX, &out->low));
    return check_u32(qm_node_at(uniform, 1), "uniform", out->low, QM_DEPLOYMENT_TOKENS_MAX, &out->high);
}

static enum qm_status read_trace(const struct qm_node *section, const struct qm_node *trace, struct qm_deployment *out)
{
    const char *text = qm_node_text(trace);
    if (qm_node_child(section, "prompt_tokens") || qm_node_child(section, "output_tokens"))
        return qm_node_invalid(trace,
                               "a 'trace' and lengths; expected either the trace or prompt_tokens and output_tokens");
    if (!text || *text == '\0' || strlen(text) >= sizeof(out->trace))
        return qm_node_invalid(trace, "'trace' must be the path of a file, below %d bytes", QM_PATH_BYTES);
    out->has_trace = true;
    if (!out->trace_sha256[0])
        memcpy(out->trace, text, strlen(text) + 1);
    return QM_OK;
}

static enum qm_status read_hash(const struct qm_node *section, const char *key, char hash[QM_HASH_TEXT_BYTES])
{
    const struct qm_node *node = qm_node_child(section, key);
    if (!node)
        return QM_OK;
    const char *text = qm_node_text(node);
    if (!text || strlen(text) != QM_HASH_TEXT_BYTES - 1 || strspn(text, "0123456789abcdef") != QM_HASH_TEXT_BYTES - 1)
        return qm_node_invalid(node, "'%s' must be 64 hexadecimal digits; remove it, it is a record's", key);
    memcpy(hash, text, QM_HASH_TEXT_BYTES);
    return QM_OK;
}

enum qm_status qm_deployment_read(const struct qm_node *section, struct qm_deployment *out)
{
    static const char *const keys[] = {"requests", "concurrency",  "seed",   "prompt_tokens", "output_tokens", "trace",
                                       "bounds",   "chunk_tokens", "rounds", "sha256",        "trace_sha256"};
    static const char *const bound_keys[] = {"first_token_ms", "token_ms"};
    const struct qm_node *bounds = NULL, *node = NULL, *trace = qm_node_child(section, "trace");
    memset(out, 0, sizeof(*out));
    if (!qm_node_is_mapping(section))
        return qm_node_invalid(section, "'deployment' is no mapping; expected keys with values below it");
    QM_TRY(check_keys(section, keys, COUNT(keys)));
    QM_TRY(read_hash(section, "sha256", out->sha256));
    QM_TRY(read_hash(section, "trace_sha256", out->trace_sha256));
    if (trace && out->trace_sha256[0])
        return qm_node_invalid(trace, "a 'trace' and a 'trace_sha256', which stands for it in a record; remove one");
    if (!trace)
        trace = qm_node_child(section, "trace_sha256");
    if (trace) {
        QM_TRY(read_trace(section, trace, out));
    } else {
        QM_TRY(read_lengths(section, "prompt_tokens", &out->prompt));
        QM_TRY(read_lengths(section, "output_tokens", &out->output));
    }
    if (!trace || qm_node_child(section, "requests"))
        QM_TRY(read_u32(section, "requests", 1, QM_DEPLOYMENT_REQUESTS_MAX, &out->requests));
    if (!trace || qm_node_child(section, "seed")) {
        QM_TRY(require(section, "seed", &node));
        QM_TRY(qm_node_read_u64(node, &out->seed));
    }
    QM_TRY(read_u32(section, "concurrency", 1, QM_DEPLOYMENT_CONCURRENCY_MAX, &out->concurrency));
    out->chunk_tokens = QM_DEPLOYMENT_CHUNK;
    if (qm_node_child(section, "chunk_tokens"))
        QM_TRY(read_u32(section, "chunk_tokens", 1, QM_DEPLOYMENT_CHUNK_MAX, &out->chunk_tokens));
    out->rounds = QM_DEPLOYMENT_ROUNDS;
    if (qm_node_child(section, "rounds"))
        QM_TRY(read_u32(section, "rounds", 1, QM_DEPLOYMENT_ROUNDS_MAX, &out->rounds));
    QM_TRY(require(section, "bounds", &bounds));
    if (!qm_node_is_mapping(bounds))
        return qm_node_invalid(bounds, "'bounds' is no mapping; expected {first_token_ms: 500, token_ms: 50}");
    QM_TRY(check_keys(bounds, bound_keys, COUNT(bound_keys)));
    QM_TRY(read_double(bounds, "first_token_ms", 1e-3, 1e9, &out->first_token_ms));
    return read_double(bounds, "token_ms", 1e-3, 1e9, &out->token_ms);
}

static void expand_lengths(struct qm_node *section, const char *key, const struct qm_lengths *lengths)
{
    struct qm_node *node = qm_node_add_mapping(section, key), *inner = NULL;
    switch (lengths->kind) {
    case QM_LENGTH_FIXED:
        qm_node_set_u64(node, "fixed", lengths->low);
        break;
    case QM_LENGTH_UNIFORM:
        inner = qm_node_add_sequence(node, "uniform");
        qm_node_append_u64(inner, lengths->low);
        qm_node_append_u64(inner, lengths->high);
        break;
    case QM_LENGTH_LOGNORMAL:
        inner = qm_node_add_mapping(node, "lognormal");
        qm_node_set_double(inner, "median", lengths->median);
        qm_node_set_double(inner, "p95", lengths->p95);
        qm_node_set_u64(node, "most", lengths->high);
        break;
    }
}

struct qm_node *qm_deployment_expand(const struct qm_deployment *deployment, bool with_path)
{
    struct qm_node *section = qm_node_new_mapping();
    if (deployment->requests > 0)
        qm_node_set_u64(section, "requests", deployment->requests);
    qm_node_set_u64(section, "concurrency", deployment->concurrency);
    qm_node_set_u64(section, "seed", deployment->seed);
    if (deployment->has_trace) {
        if (with_path && !deployment->trace_sha256[0])
            qm_node_set_text(section, "trace", deployment->trace);
        else if (deployment->trace_sha256[0])
            qm_node_set_text(section, "trace_sha256", deployment->trace_sha256);
    } else {
        expand_lengths(section, "prompt_tokens", &deployment->prompt);
        expand_lengths(section, "output_tokens", &deployment->output);
    }
    struct qm_node *bounds = qm_node_add_mapping(section, "bounds");
    qm_node_set_double(bounds, "first_token_ms", deployment->first_token_ms);
    qm_node_set_double(bounds, "token_ms", deployment->token_ms);
    qm_node_set_u64(section, "chunk_tokens", deployment->chunk_tokens);
    qm_node_set_u64(section, "rounds", deployment->rounds);
    if (deployment->sha256[0])
        qm_node_set_text(section, "sha256", deployment->sha256);
    return section;
}

// ---- Requests -------------------------------------------------------------------------------------------------------

static uint32_t draw(struct qm_random *random, const struct qm_lengths *lengths)
{
    if (lengths->kind != QM_LENGTH_LOGNORMAL)
        return lengths->low + qm_random_below(random, lengths->high - lengths->low + 1);
    double mu = qm_log(lengths->median), sigma = qm_log(lengths->p95 / lengths->median) / NORMAL_P95;
    double value = qm_exp(mu + sigma * qm_random_normal(random));
    if (!(value < (double)lengths->high)) // infinity too
        return lengths->high;
    value = qm_round_even(value);
    return value < 1.0 ? 1 : (uint32_t)value;
}

void qm_requests_hash(struct qm_requests *requests)
{
    struct qm_hash hash;
    requests->prompt_tokens = requests->output_tokens = 0;
    qm_hash_begin(&hash);
    for (uint32_t i = 0; i < requests->count; i++) {
        const uint32_t words[2] = {requests->requests[i].prompt_tokens, requests->requests[i].output_tokens};
        unsigned char bytes[8];
        for (int b = 0; b < 8; b++)
            bytes[b] = (unsigned char)(words[b / 4] >> (8 * (b % 4)));
        qm_hash_add(&hash, bytes, sizeof(bytes));
        requests->prompt_tokens += words[0];
        requests->output_tokens += words[1];
    }
    qm_hash_end(&hash, requests->sha256);
}

static enum qm_status draw_requests(const struct qm_deployment *deployment, uint32_t context, struct qm_requests *out)
{
    struct qm_random prompts, outputs;
    qm_random_seed(&prompts, deployment->seed, 0);
    qm_random_seed(&outputs, deployment->seed, 1);
    out->requests = calloc(deployment->requests, sizeof(*out->requests));
    if (!out->requests)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %" PRIu32 " requests", deployment->requests);
    for (; out->count < deployment->requests; out->count++) {
        struct qm_request *request = &out->requests[out->count];
        request->prompt_tokens = draw(&prompts, &deployment->prompt);
        request->output_tokens = draw(&outputs, &deployment->output);
        if ((uint64_t)request->prompt_tokens + request->output_tokens > context)
            return QM_FAIL(QM_INVALID,
                           "request %" PRIu32 " of the deployment has %" PRIu32 " + %" PRIu32 " tokens and the "
                           "context is %" PRIu32 "; lower prompt_tokens or output_tokens",
                           out->count, request->prompt_tokens, request->output_tokens, context);
    }
    return QM_OK;
}

static enum qm_status read_requests(const struct qm_deployment *deployment, uint32_t context, const char *directory,
                                    struct qm_requests *out)
{
    void *bytes = NULL;
    size_t count = 0;
    char path[QM_PATH_BYTES];
    if (!deployment->trace[0])
        return QM_FAIL(QM_INVALID,
                       "the deployment's trace is the user's own and known by its hash alone, %.16s; give the "
                       "plan that names the file with --deployment",
                       deployment->trace_sha256);
    if (directory && deployment->trace[0] != '/')
        QM_TRY(qm_path_join(path, directory, deployment->trace));
    else
        memcpy(path, deployment->trace, sizeof(path));
    QM_TRY(qm_file_read(path, QM_TRACE_BYTES_MAX, &bytes, &count));
    enum qm_status status = qm_trace_parse(bytes, count, path, deployment->requests, context, out);
    free(bytes);
    return status;
}

enum qm_status qm_deployment_requests(const struct qm_deployment *deployment, uint32_t context, const char *directory,
                                      struct qm_requests *out)
{
    memset(out, 0, sizeof(*out));
    enum qm_status status = deployment->has_trace ? read_requests(deployment, context, directory, out)
                                                  : draw_requests(deployment, context, out);
    if (status == QM_OK)
        qm_requests_hash(out);
    if (status == QM_OK && deployment->sha256[0] && strcmp(deployment->sha256, out->sha256) != 0)
        status = QM_FAIL(QM_INVALID,
                         "the deployment's requests hash to %.16s, and those of the record to %.16s; give the "
                         "plan that was used",
                         out->sha256, deployment->sha256);
    if (status != QM_OK)
        qm_requests_free(out);
    return status;
}

void qm_requests_free(struct qm_requests *requests)
{
    free(requests->requests);
    memset(requests, 0, sizeof(*requests));
}
