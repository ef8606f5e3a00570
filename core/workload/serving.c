#include "workload/serving.h"

#include <stdlib.h>
#include <string.h>

struct slot {
    uint32_t request; // QM_SERVING_NONE: free
    uint32_t outputs; // tokens that it has been given
};

struct qm_serving {
    struct qm_serving_params params;
    uint32_t next;     // request that has no slot yet
    uint32_t at;       // slot of the prompt that is being prefilled; QM_SERVING_NONE
    uint32_t prompted; // tokens of it that were
    uint32_t active;   // slots in use
    struct slot *slots;
    struct qm_serving_row *rows;
};

enum qm_status qm_serving_begin(const struct qm_serving_params *params, struct qm_serving **out)
{
    *out = NULL;
    if (params->count == 0 || params->concurrency == 0 || params->chunk_tokens == 0)
        return QM_FAIL(QM_INVALID, "%u requests, %u at a time, in chunks of %u tokens; expected 1 or more of each",
                       params->count, params->concurrency, params->chunk_tokens);
    for (uint32_t i = 0; i < params->count; ++i)
        if (params->requests[i].prompt_tokens == 0 || params->requests[i].output_tokens == 0)
            return QM_FAIL(QM_INVALID, "request %u has %u + %u tokens; expected 1 or more of each", i,
                           params->requests[i].prompt_tokens, params->requests[i].output_tokens);
    struct qm_serving *serving = calloc(1, sizeof(*serving));
    if (!serving)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a schedule");
    serving->params = *params;
    if (serving->params.concurrency > params->count) // more slots would never be taken
        serving->params.concurrency = params->count;
    serving->at = QM_SERVING_NONE;
    serving->slots = calloc(serving->params.concurrency, sizeof(*serving->slots));
    serving->rows = calloc(serving->params.concurrency, sizeof(*serving->rows));
    if (!serving->slots || !serving->rows) {
        qm_serving_end(&serving);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a schedule of %u slots", params->concurrency);
    }
    for (uint32_t s = 0; s < serving->params.concurrency; ++s)
        serving->slots[s].request = QM_SERVING_NONE;
    *out = serving;
    return QM_OK;
}

void qm_serving_end(struct qm_serving **serving)
{
    if (!*serving)
        return;
    free((*serving)->slots);
    free((*serving)->rows);
    free(*serving);
    *serving = NULL;
}

// The next request takes the first free slot; false where there is no slot, or no request.
static bool admit(struct qm_serving *s)
{
    if (s->next == s->params.count || s->active == s->params.concurrency)
        return false;
    uint32_t slot = 0;
    while (s->slots[slot].request != QM_SERVING_NONE)
        ++slot;
    s->slots[slot] = (struct slot){.request = s->next++};
    s->at = slot;
    s->prompted = 0;
    ++s->active;
    return true;
}

// Gives the slot's request the row's token; one that has all leaves.
static void give(struct qm_serving *s, struct qm_serving_row *row)
{
    struct slot *slot = &s->slots[row->slot];
    row->output = slot->outputs++;
    row->is_last = slot->outputs == s->params.requests[row->request].output_tokens;
    if (!row->is_last)
        return;
    slot->request = QM_SERVING_NONE;
    --s->active;
}

static void prefill(struct qm_serving *s, struct qm_serving_pass *out)
{
    uint32_t request = s->slots[s->at].request, left = s->params.requests[request].prompt_tokens - s->prompted;
    *s->rows = (struct qm_serving_row){.request = request,
                                       .slot = s->at,
                                       .position = s->prompted,
                                       .output = QM_SERVING_NONE,
                                       .is_first = s->prompted == 0};
    *out = (struct qm_serving_pass){.batch = 1,
                                    .tokens = left < s->params.chunk_tokens ? left : s->params.chunk_tokens,
                                    .is_prefill = true,
                                    .rows = s->rows};
    s->prompted += out->tokens;
    if (out->tokens < left)
        return;
    s->at = QM_SERVING_NONE;
    give(s, s->rows);
}

static void decode(struct qm_serving *s, struct qm_serving_pass *out)
{
    *out = (struct qm_serving_pass){.tokens = 1, .rows = s->rows};
    for (uint32_t slot = 0, active = s->active; out->batch < active; ++slot) {
        uint32_t request = s->slots[slot].request;
        if (request == QM_SERVING_NONE)
            continue;
        struct qm_serving_row *row = &s->rows[out->batch++];
        *row =
            (struct qm_serving_row){.request = request,
                                    .slot = slot,
                                    .position = s->params.requests[request].prompt_tokens + s->slots[slot].outputs - 1};
        give(s, row);
    }
}

bool qm_serving_next(struct qm_serving *serving, struct qm_serving_pass *out)
{
    if (serving->at != QM_SERVING_NONE || admit(serving)) {
        prefill(serving, out);
        return true;
    }
    if (serving->active == 0)
        return false;
    decode(serving, out);
    return true;
}

enum qm_status qm_serving_count(const struct qm_serving_params *params, struct qm_serving_counts *out)
{
    struct qm_serving *serving = NULL;
    struct qm_serving_pass pass;
    enum qm_status status = QM_OK;
    memset(out, 0, sizeof(*out));
    QM_TRY(qm_serving_begin(params, &serving));
    // One mark for each length of a prompt's pass, and for each batch of decode; one token of one sequence is one shape.
    size_t chunk = params->chunk_tokens < QM_DEPLOYMENT_TOKENS_MAX ? params->chunk_tokens : QM_DEPLOYMENT_TOKENS_MAX;
    bool *prefills = calloc(chunk + 1, sizeof(*prefills));
    bool *decodes = calloc((size_t)serving->params.concurrency + 1, sizeof(*decodes));
    if (!prefills || !decodes) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to count a schedule");
        goto done;
    }
    while (qm_serving_next(serving, &pass)) {
        bool *mark = pass.tokens == 1 ? &decodes[pass.batch] : &prefills[pass.tokens];
        out->shapes += !*mark;
        *mark = true;
        out->prefill_passes += pass.is_prefill;
        out->decode_passes += !pass.is_prefill;
        out->decode_rows += pass.is_prefill ? 0 : pass.batch;
        if (!pass.is_prefill && pass.batch > out->most_batch)
            out->most_batch = pass.batch;
    }
    for (uint32_t i = 0; i < params->count; ++i) {
        uint32_t positions = params->requests[i].prompt_tokens + params->requests[i].output_tokens - 1;
        out->positions = positions > out->positions ? positions : out->positions;
    }
done:
    free(prefills);
    free(decodes);
    qm_serving_end(&serving);
    return status;
}
