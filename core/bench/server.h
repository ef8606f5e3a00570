// Serves a deployment's requests on a network: the passes of workload/serving.h, one after the other, with greedy tokens.
//
// Every shape of pass is recorded, and run once, before a clock starts. From then on, for each pass: the starts of its
// rows are written, it runs, its argmaxes and its checksum are read, the clock is read, and the tokens that it gave are
// written for the passes to come. That is what a server does with one device; no token is known to it before the host has
// it. A request begins when its slot is free, the first ones with the clock: as from clients of which each sends the next
// request when the last one is answered.
//
// Prompts are tokens of the evaluation set: of a stream, from one of its beginnings on (request i from beginning i modulo
// their number), and at its end from its start again.
#ifndef QM_BENCH_SERVER_H
#define QM_BENCH_SERVER_H

#include "model/engine.h"
#include "workload/deployment_result.h"
#include "workload/serving.h"

struct qm_prompts {
    const uint32_t *stream; // [count], below the vocabulary
    size_t count;
    const uint32_t *begins; // [begin_count], below `count`
    size_t begin_count;
};
// The request's prompt.
void qm_prompt_copy(const struct qm_prompts *prompts, uint32_t request, uint32_t *tokens, uint32_t count);

enum {
    QM_SERVER_SHAPES_MAX = 1024,      // of passes that are recorded at a time
    QM_SERVER_SAMPLE_REQUESTS = 16,   // that are compared with passes of their own
    QM_SERVER_SAMPLE_TOKENS = 256,    // of them, about
    QM_SERVER_SAMPLE_LOGITS = 1 << 26 // of them, at most: 256 MiB
};

struct qm_server_params {
    struct qm_engine *engine; // must outlive the server, as must all that follows
    struct qm_network *network;
    struct qm_serving_params serving;
    struct qm_prompts prompts;
    uint32_t rows;            // that a pass may have, as the engine was made for
    uint64_t limit_ns;        // of a submission, found by measuring; 0: no limit
    uint32_t most_dispatches; // of a submission; 0: no limit
};

// Around a run, for tests and for a clock that is simulated; any may be NULL.
struct qm_server_hooks {
    uint64_t (*now)(void *context);                  // in nanoseconds; the host's clock otherwise
    void (*spend)(void *context, double operations); // a pass of so many has run
    bool (*is_wrong)(void *context);                 // this pass is to see another token
    void *context;
};

// What a run gave. The same schedule gives the same, to the bit.
struct qm_served {
    uint64_t passes;
    uint64_t tokens;    // fold of all ids that were given, in their order
    uint64_t checksums; // fold of the passes' checksums
};

struct qm_server;

// Records every shape of pass. QM_INVALID for requests that do not fit the engine, and for more shapes than
// QM_SERVER_SHAPES_MAX.
QM_MUST_USE enum qm_status qm_server_create(const struct qm_server_params *params, struct qm_server **out);
void qm_server_destroy(struct qm_server **server); // NULL is allowed; before its network

// Serves all requests. `times` (may be NULL) receives those of each, from the start of the run.
QM_MUST_USE enum qm_status qm_server_run(struct qm_server *server, const struct qm_server_hooks *hooks,
                                         struct qm_request_times *times, struct qm_served *out);

// What of the latest run's time was spent in passes, from their submission to their end; the rest is what the host does
// between them.
uint64_t qm_server_pass_ns(const struct qm_server *server);

// Serves all requests without a clock, and believes nothing: the logits behind every token that is given are read back and
// must be finite, their argmax on the host must be the device's, and the checksum of decode passes that of their logits.
// QM_WRONG_RESULT otherwise. Then a sample of requests, spread over all, is run alone, each with the tokens that it was
// given, as one pass of one sequence, which is how logits are checked against the reference backend: kl[] receives
// KL(alone || served) of each token of the sample, *count how many there are. The caller frees *kl.
QM_MUST_USE enum qm_status qm_server_check(struct qm_server *server, const struct qm_server_hooks *hooks,
                                           struct qm_served *out, double **kl, size_t *count);

// Rows that an engine needs for one pass over the shortest of the requests, so that there is a sample.
uint32_t qm_server_sample_rows(const struct qm_request *requests, uint32_t count);

#endif
