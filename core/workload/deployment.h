// A deployment: which requests come, how many at once, and how long an answer may take; as a plan, before anything runs.
//
// A section of YAML, read through record/node.h. Every key must be there but those marked:
//
//   requests: 200                  how many; may be left out with a trace, of which then all are taken
//   concurrency: 8                 so many are under way at any time: the next one starts when one ends
//   seed: 7                        of the lengths; may be left out with a trace
//   prompt_tokens: LENGTHS         output_tokens: LENGTHS          or in place of both: trace: FILE
//   bounds: {first_token_ms: 500, token_ms: 50}
//   chunk_tokens: 512              optional: 512. The most tokens of a prompt that one pass takes (serving.h)
//   rounds: 2                      optional: 2. How often all requests are served and timed
//
// A result's profile has the same section, with
//   sha256                         of the requests: those that are read again must have it
//   trace_sha256                   in place of `trace`, which is the user's and must be given again
//
// LENGTHS is one of
//   {fixed: n}
//   {uniform: [a, b]}                              every whole number from a to b alike
//   {lognormal: {median: m, p95: q}, most: n}      exp of a normal distribution, rounded to the nearest whole number, from
//                                                  1 to n (n stands for what is above it)
//
// The same plan gives the same requests on every machine: xoshiro256** (base/random.h), stream 0 of the seed for prompts
// and stream 1 for outputs, Marsaglia's polar method (score/ordered.h), qm_exp and qm_log. The lognormal's parameters are
// mu = ln m and sigma = ln(q / m) / 1.6448536269514722, the normal distribution's 95th percentile.
//
// A trace is a CSV file with a heading, or JSON lines, with one request a line. Taken are the columns or keys (other ones
// are passed over, so is time: what counts here is concurrency)
//   prompt_tokens, output_tokens       ours
//   ContextTokens, GeneratedTokens     Azure's LLM inference traces (Azure/AzurePublicDataset; Patel et al., "Splitwise",
//                                      ISCA 2024; Stojkovic et al., "DynamoLLM", HPCA 2025)
//   Request tokens, Response tokens    BurstGPT (HPMLL/BurstGPT; Wang et al., 2024)
//   input_length, output_length        Mooncake (kvcache-ai/Mooncake; Qin et al., FAST 2025)
// Requests of which either is 0 (failures, in these traces) are left out and counted.
#ifndef QM_WORKLOAD_DEPLOYMENT_H
#define QM_WORKLOAD_DEPLOYMENT_H

#include "base/hash.h"
#include "base/status.h"
#include "sys/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_node;

enum {
    QM_DEPLOYMENT_REQUESTS_MAX = 1000000,
    QM_DEPLOYMENT_TOKENS_MAX = 1 << 20, // of a prompt, and of an output
    QM_DEPLOYMENT_CONCURRENCY_MAX = 4096,
    QM_DEPLOYMENT_CHUNK = 512, // where a plan does not say
    QM_DEPLOYMENT_CHUNK_MAX = 8192,
    QM_DEPLOYMENT_ROUNDS = 2, // likewise
    QM_DEPLOYMENT_ROUNDS_MAX = 64,
};
#define QM_TRACE_BYTES_MAX ((size_t)256 << 20)
#define QM_TRACE_LINE_MAX ((size_t)1 << 20)

enum qm_length_kind {
    QM_LENGTH_FIXED,
    QM_LENGTH_UNIFORM,
    QM_LENGTH_LOGNORMAL,
};

struct qm_lengths {
    enum qm_length_kind kind;
    uint32_t low, high; // fixed: both; uniform; lognormal: 1 and the most
    double median, p95; // lognormal
};

struct qm_deployment {
    uint32_t requests; // 0: all of the trace
    uint32_t concurrency;
    uint64_t seed;
    bool has_trace;
    char trace[QM_PATH_BYTES]; // as it was written; "" in a record
    uint32_t chunk_tokens, rounds;
    char sha256[QM_HASH_TEXT_BYTES], trace_sha256[QM_HASH_TEXT_BYTES]; // "": not known yet, or no trace
    struct qm_lengths prompt, output;
    double first_token_ms, token_ms; // bounds
};

// Reads the section. QM_INVALID with "file:line: what is wrong; what would be right".
QM_MUST_USE enum qm_status qm_deployment_read(const struct qm_node *section, struct qm_deployment *out);
// The section again, with every key; qm_deployment_read reads it back. NULL without memory. The trace's path is left out
// unless `with_path`: it is the user's.
QM_MUST_USE struct qm_node *qm_deployment_expand(const struct qm_deployment *deployment, bool with_path);

struct qm_request {
    uint32_t prompt_tokens, output_tokens;
};

struct qm_requests {
    struct qm_request *requests; // owned
    uint32_t count;
    uint32_t left_out;                     // of the trace, up to the last one taken
    uint64_t prompt_tokens, output_tokens; // sums
    char sha256[QM_HASH_TEXT_BYTES];       // of both numbers of each request, as little-endian 32-bit words
    char trace_sha256[QM_HASH_TEXT_BYTES]; // of the file; "" without
};

// The requests of the plan. `context` is the model's: a request of more tokens (prompt and output) is refused, with its
// number, or the trace's line; so are requests that are not those of the plan's sha256, where it has one, and a trace that is
// known by its hash alone. `directory` is where a trace's relative path begins; NULL: the working directory. *out is
// all zero on failure: QM_INVALID, QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_deployment_requests(const struct qm_deployment *deployment, uint32_t context,
                                                  const char *directory, struct qm_requests *out);
// The same for a trace that is in memory.
QM_MUST_USE enum qm_status qm_trace_parse(const void *bytes, size_t count, const char *name, uint32_t requests,
                                          uint32_t context, struct qm_requests *out);
void qm_requests_free(struct qm_requests *requests);
// sha256 and sums of requests whose lengths are there.
void qm_requests_hash(struct qm_requests *requests);

#endif
