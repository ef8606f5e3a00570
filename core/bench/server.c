#include "bench/server.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "score/argmax.h"
#include "score/tokens.h"
#include "sys/heartbeat.h"
#include "sys/host.h"

struct shape {
    struct qm_pass *pass; // NULL: none is needed
    uint32_t batch, tokens;
    uint32_t position; // the last that it begins at
    struct qm_run_policy policy;
};

// A request of the sample.
struct sampled {
    uint32_t request;
    uint32_t *ids; // [output_tokens]
    float *logits; // [output_tokens][vocabulary]
};

struct qm_server {
    struct qm_server_params params;
    struct qm_serving_counts counts;
    uint32_t vocabulary, stride, slots;
    struct shape *prefills; // [chunk_tokens + 1], by tokens
    struct shape *decodes;  // [slots + 1], by batch
    uint32_t *tokens;       // [slots][stride]: the table as the device has it
    uint64_t *free_ns;      // [slots]: since when each is free
    uint64_t pass_ns;       // in passes, of the latest run
    uint32_t *argmaxes;
    struct qm_pass_start *starts;
    float *logits; // of one row
    struct sampled sample[QM_SERVER_SAMPLE_REQUESTS];
    size_t sample_count;
};

void qm_prompt_copy(const struct qm_prompts *prompts, uint32_t request, uint32_t *tokens, uint32_t count)
{
    size_t at = prompts->begins[request % prompts->begin_count];
    for (uint32_t i = 0; i < count; ++i) {
        tokens[i] = prompts->stream[at];
        at = at + 1 < prompts->count ? at + 1 : 0;
    }
}

// ---- Passes ---------------------------------------------------------------------------------------------------------

static struct shape *shape_of(struct qm_server *server, const struct qm_serving_pass *pass)
{
    return pass->tokens == 1 ? &server->decodes[pass->batch] : &server->prefills[pass->tokens];
}

// Each sequence of the pass begins where its row says.
static enum qm_status run_pass(struct qm_server *server, struct shape *shape, struct qm_timing *timing)
{
    return qm_pass_run_each(shape->pass, server->starts, 1, &shape->policy, timing);
}

static void plan_shape(struct qm_server *server, const struct qm_serving_pass *pass)
{
    struct shape *shape = shape_of(server, pass);
    shape->batch = pass->batch;
    shape->tokens = pass->tokens;
    for (uint32_t i = 0; i < pass->batch; ++i)
        shape->position = pass->rows[i].position > shape->position ? pass->rows[i].position : shape->position;
}

static enum qm_status plan_shapes(struct qm_server *server)
{
    struct qm_serving *serving = NULL;
    struct qm_serving_pass pass;
    QM_TRY(qm_serving_begin(&server->params.serving, &serving));
    while (qm_serving_next(serving, &pass))
        plan_shape(server, &pass);
    qm_serving_end(&serving);
    return QM_OK;
}

// Every sequence at the last position that the shape begins at, where it takes the longest.
static void start_last(struct qm_server *server, const struct shape *shape)
{
    for (uint32_t i = 0; i < shape->batch; ++i)
        server->starts[i] = (struct qm_pass_start){shape->position, i};
}

// The largest shape first: what a submission of it may hold, a smaller one may.
static enum qm_status record_shapes(struct qm_server *server, struct shape *shapes, uint32_t largest)
{
    const struct qm_server_params *params = &server->params;
    struct qm_run_policy policy = {.dispatches_per_submission = params->most_dispatches, .repeats_per_submission = 1};
    bool is_known = params->limit_ns == 0;
    for (uint32_t i = largest; i > 0; --i) {
        struct shape *shape = &shapes[i];
        struct qm_timing timing = {0};
        if (shape->batch == 0)
            continue;
        const struct qm_pass_params shaped = {.batch = shape->batch, .tokens = shape->tokens};
        qm_heartbeat_note("recording a pass of %u x %u tokens", shape->batch, shape->tokens);
        QM_TRY(qm_pass_create(params->network, &shaped, &shape->pass));
        const struct qm_pass_start start = {shape->position, 0};
        if (!is_known)
            QM_TRY(qm_pass_fit_policy(shape->pass, &start, params->limit_ns, params->most_dispatches, &policy));
        is_known = true;
        policy.repeats_per_submission = 1;
        shape->policy = policy;
        start_last(server, shape);
        QM_TRY(run_pass(server, shape, &timing));
    }
    return QM_OK;
}

// ---- Making ---------------------------------------------------------------------------------------------------------

static enum qm_status check_params(const struct qm_server_params *params, struct qm_server *server)
{
    const struct qm_model_config *config = qm_engine_config(params->engine);
    QM_TRY(qm_serving_count(&params->serving, &server->counts));
    if (params->prompts.count == 0 || params->prompts.begin_count == 0)
        return QM_FAIL(QM_INVALID, "there are no tokens to make prompts of");
    for (size_t i = 0; i < params->prompts.count; ++i)
        if (params->prompts.stream[i] >= config->vocabulary)
            return QM_FAIL(QM_INVALID, "token %" PRIu32 " is none of the model's %" PRIu32, params->prompts.stream[i],
                           config->vocabulary);
    for (size_t i = 0; i < params->prompts.begin_count; ++i)
        if (params->prompts.begins[i] >= params->prompts.count)
            return QM_FAIL(QM_INVALID, "a prompt begins at token %" PRIu32 " of %zu", params->prompts.begins[i],
                           params->prompts.count);
    if (server->counts.positions > config->context)
        return QM_FAIL(QM_INVALID, "a request takes %" PRIu32 " positions and the context is %" PRIu32,
                       server->counts.positions, config->context);
    if (server->counts.shapes > QM_SERVER_SHAPES_MAX)
        return QM_FAIL(QM_INVALID,
                       "the requests make passes of %" PRIu32 " different shapes, more than %d; use a smaller "
                       "chunk_tokens or a lower concurrency",
                       server->counts.shapes, QM_SERVER_SHAPES_MAX);
    return QM_OK;
}

static enum qm_status allocate(struct qm_server *server)
{
    const struct qm_serving_params *serving = &server->params.serving;
    size_t chunk = serving->chunk_tokens, slots = server->slots, most = chunk > slots ? chunk : slots;
    server->prefills = calloc(chunk + 1, sizeof(*server->prefills));
    server->decodes = calloc(slots + 1, sizeof(*server->decodes));
    server->tokens = calloc(slots * server->stride, sizeof(*server->tokens));
    server->free_ns = calloc(slots, sizeof(*server->free_ns));
    server->starts = calloc(slots, sizeof(*server->starts));
    server->argmaxes = calloc(most, sizeof(*server->argmaxes));
    server->logits = calloc(server->vocabulary, sizeof(*server->logits));
    if (server->prefills && server->decodes && server->tokens && server->free_ns && server->starts &&
        server->argmaxes && server->logits)
        return QM_OK;
    return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to serve %zu requests at a time", slots);
}

enum qm_status qm_server_create(const struct qm_server_params *params, struct qm_server **out)
{
    const struct qm_model_config *config = qm_engine_config(params->engine);
    enum qm_status status = QM_OK;
    *out = NULL;
    struct qm_server *server = calloc(1, sizeof(*server));
    if (!server)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to serve");
    server->params = *params;
    server->vocabulary = config->vocabulary;
    server->stride = config->context + 1;
    server->slots =
        params->serving.concurrency < params->serving.count ? params->serving.concurrency : params->serving.count;
    QM_GUARD(check_params(params, server));
    QM_GUARD(allocate(server));
    QM_GUARD(plan_shapes(server));
    QM_GUARD(record_shapes(server, server->prefills, params->serving.chunk_tokens));
    QM_GUARD(record_shapes(server, server->decodes, server->slots));
    *out = server;
    server = NULL;
done:
    qm_server_destroy(&server);
    return status;
}

static void free_sample(struct qm_server *server)
{
    for (size_t i = 0; i < server->sample_count; ++i) {
        free(server->sample[i].ids);
        free(server->sample[i].logits);
    }
    memset(server->sample, 0, sizeof(server->sample));
    server->sample_count = 0;
}

void qm_server_destroy(struct qm_server **server)
{
    struct qm_server *s = *server;
    if (!s)
        return;
    for (uint32_t i = 0; s->prefills && i <= s->params.serving.chunk_tokens; ++i)
        qm_pass_destroy(&s->prefills[i].pass);
    for (uint32_t i = 0; s->decodes && i <= s->slots; ++i)
        qm_pass_destroy(&s->decodes[i].pass);
    free_sample(s);
    free(s->prefills);
    free(s->decodes);
    free(s->tokens);
    free(s->free_ns);
    free(s->starts);
    free(s->argmaxes);
    free(s->logits);
    free(s);
    *server = NULL;
}

// ---- Tokens ---------------------------------------------------------------------------------------------------------

static uint32_t *token_at(struct qm_server *server, uint32_t slot, uint32_t position)
{
    return &server->tokens[(size_t)slot * server->stride + position];
}

static enum qm_status write_prompt(struct qm_server *server, const struct qm_serving_row *row)
{
    uint32_t count = server->params.serving.requests[row->request].prompt_tokens;
    uint32_t *tokens = token_at(server, row->slot, 0);
    qm_prompt_copy(&server->params.prompts, row->request, tokens, count);
    return qm_engine_write_sequence(server->params.engine, row->slot, 0, tokens, count);
}

enum {
    SPAN_OF_TOKEN = 16384 // tokens that are copied as fast as one more copy is begun, roughly
};

// The token that the row gave, in the table; NULL where no pass will read it.
static uint32_t *given_at(struct qm_server *server, const struct qm_serving_pass *pass, uint32_t index)
{
    const struct qm_serving_row *row = &pass->rows[index];
    if (row->output == QM_SERVING_NONE || row->is_last)
        return NULL;
    return token_at(server, row->slot, row->position + pass->tokens);
}

static enum qm_status write_span(struct qm_server *server, const uint32_t *first, const uint32_t *last)
{
    size_t at = (size_t)(first - server->tokens);
    return qm_engine_write_span(server->params.engine, (uint32_t)(at / server->stride), (uint32_t)(at % server->stride),
                                first, (size_t)(last - first) + 1);
}

// The tokens that the pass gave, for the passes to come: with all that lies between them in one copy, unless that is much.
static enum qm_status write_given(struct qm_server *server, const struct qm_serving_pass *pass)
{
    uint32_t *first = NULL, *last = NULL, count = 0;
    for (uint32_t i = 0; i < pass->batch; ++i) {
        uint32_t *token = given_at(server, pass, i);
        if (!token)
            continue;
        *token = server->argmaxes[i * pass->tokens + pass->tokens - 1];
        first = first ? first : token;
        last = token;
        ++count;
    }
    if (!first)
        return QM_OK;
    if ((size_t)(last - first) <= (size_t)count * SPAN_OF_TOKEN)
        return write_span(server, first, last);
    for (uint32_t i = 0; i < pass->batch; ++i) {
        const uint32_t *token = given_at(server, pass, i);
        if (token)
            QM_TRY(write_span(server, token, token));
    }
    return QM_OK;
}

// Another token for the first row; a second call undoes it.
static enum qm_status plant_wrong_token(struct qm_server *server, const struct qm_serving_pass *pass)
{
    uint32_t *token = token_at(server, pass->rows->slot, pass->rows->position);
    *token ^= 1u;
    return qm_engine_write_sequence(server->params.engine, pass->rows->slot, pass->rows->position, token, 1);
}

// ---- Checking -------------------------------------------------------------------------------------------------------

static struct sampled *find_sampled(struct qm_server *server, uint32_t request)
{
    for (size_t i = 0; i < server->sample_count; ++i)
        if (server->sample[i].request == request)
            return &server->sample[i];
    return NULL;
}

// The logits that the row's token comes from, which stay in server->logits.
static enum qm_status check_row(struct qm_server *server, const struct qm_serving_pass *pass, uint32_t index)
{
    const struct qm_serving_row *row = &pass->rows[index];
    uint32_t at = index * pass->tokens + pass->tokens - 1, best = 0;
    const float *logits = server->logits;
    QM_TRY(qm_pass_read_rows(shape_of(server, pass)->pass, at, 1, server->logits));
    if (!qm_logits_argmax(logits, server->vocabulary, &best))
        return QM_FAIL(QM_WRONG_RESULT,
                       "logit %" PRIu32 " behind token %" PRIu32 " of request %" PRIu32
                       " is %g while requests are served; logits are finite",
                       best, row->output, row->request, (double)logits[best]);
    if (server->argmaxes[at] != best)
        return QM_FAIL(QM_WRONG_RESULT,
                       "argmax gave %" PRIu32 " for token %" PRIu32 " of request %" PRIu32
                       ", and its logits are largest at %" PRIu32,
                       server->argmaxes[at], row->output, row->request, best);
    struct sampled *sampled = find_sampled(server, row->request);
    if (sampled) {
        sampled->ids[row->output] = best;
        memcpy(sampled->logits + (size_t)row->output * server->vocabulary, logits,
               server->vocabulary * sizeof(*logits));
    }
    return QM_OK;
}

static enum qm_status check_pass(struct qm_server *server, const struct qm_serving_pass *pass, uint64_t checksum)
{
    uint64_t fold = 0;
    for (uint32_t i = 0; i < pass->batch; ++i) {
        if (pass->rows[i].output == QM_SERVING_NONE)
            return QM_OK;
        QM_TRY(check_row(server, pass, i));
        fold = qm_checksum_fold(fold, qm_checksum_row(server->logits, server->vocabulary));
    }
    if (pass->tokens == 1 && fold != checksum)
        return QM_FAIL(QM_WRONG_RESULT,
                       "the device's checksum of its logits, %016" PRIx64 ", is not that of the logits it gave, "
                       "%016" PRIx64 " (a pass of %" PRIu32 " served requests)",
                       checksum, fold, pass->batch);
    return QM_OK;
}

// ---- Serving --------------------------------------------------------------------------------------------------------

static uint64_t read_clock(const struct qm_server_hooks *hooks)
{
    return hooks && hooks->now ? hooks->now(hooks->context) : qm_clock_ns();
}

static void spend(struct qm_server *server, const struct qm_server_hooks *hooks, const struct qm_serving_pass *pass)
{
    uint64_t positions = 0;
    if (!hooks || !hooks->spend || pass->batch == 0)
        return;
    for (uint32_t i = 0; i < pass->batch; ++i)
        positions += pass->rows[i].position;
    hooks->spend(hooks->context, qm_pass_operations(shape_of(server, pass)->pass, (uint32_t)(positions / pass->batch)));
}

static void note_times(struct qm_server *server, const struct qm_serving_pass *pass, uint64_t begin_ns, uint64_t now_ns,
                       struct qm_request_times *times)
{
    double now = (double)(now_ns - begin_ns);
    for (uint32_t i = 0; i < pass->batch; ++i) {
        const struct qm_serving_row *row = &pass->rows[i];
        struct qm_request_times *own = &times[row->request];
        if (row->is_first)
            own->start_ns = (double)(server->free_ns[row->slot] - begin_ns);
        if (row->output == 0)
            own->first_token_ns = now;
        if (row->is_last) {
            own->end_ns = now;
            server->free_ns[row->slot] = now_ns;
        }
    }
}

static void fold_pass(struct qm_server *server, const struct qm_serving_pass *pass, uint64_t checksum,
                      struct qm_served *out)
{
    ++out->passes;
    out->checksums = qm_checksum_fold(out->checksums, (uint32_t)(checksum >> 32));
    out->checksums = qm_checksum_fold(out->checksums, (uint32_t)checksum);
    for (uint32_t i = 0; i < pass->batch; ++i)
        if (pass->rows[i].output != QM_SERVING_NONE)
            out->tokens = qm_checksum_fold(out->tokens, server->argmaxes[i * pass->tokens + pass->tokens - 1]);
}

static enum qm_status serve_pass(struct qm_server *server, const struct qm_server_hooks *hooks,
                                 const struct qm_serving_pass *pass, uint64_t *checksum)
{
    struct shape *shape = shape_of(server, pass);
    struct qm_timing timing = {0};
    bool is_wrong = hooks && hooks->is_wrong && hooks->is_wrong(hooks->context);
    if (pass->rows->is_first)
        QM_TRY(write_prompt(server, pass->rows));
    for (uint32_t i = 0; i < pass->batch; ++i)
        server->starts[i] = (struct qm_pass_start){pass->rows[i].position, pass->rows[i].slot};
    if (is_wrong)
        QM_TRY(plant_wrong_token(server, pass));
    uint64_t begin_ns = read_clock(hooks);
    QM_TRY(run_pass(server, shape, &timing));
    spend(server, hooks, pass);
    server->pass_ns += read_clock(hooks) - begin_ns;
    if (is_wrong)
        QM_TRY(plant_wrong_token(server, pass));
    QM_TRY(qm_pass_read_outputs(shape->pass, NULL, server->argmaxes));
    return qm_pass_read_checksums(shape->pass, 1, checksum);
}

static enum qm_status serve(struct qm_server *server, const struct qm_server_hooks *hooks,
                            struct qm_request_times *times, bool is_checked, struct qm_served *out)
{
    struct qm_serving *serving = NULL;
    struct qm_serving_pass pass;
    enum qm_status status = QM_OK;
    uint64_t total = server->counts.prefill_passes + server->counts.decode_passes;
    memset(out, 0, sizeof(*out));
    QM_TRY(qm_serving_begin(&server->params.serving, &serving));
    server->pass_ns = 0;
    uint64_t begin_ns = read_clock(hooks);
    for (uint32_t slot = 0; slot < server->slots; ++slot)
        server->free_ns[slot] = begin_ns;
    while (qm_serving_next(serving, &pass)) {
        uint64_t checksum = 0;
        qm_heartbeat_note("serving, pass %" PRIu64 " of %" PRIu64 ", %s of %" PRIu32, out->passes + 1, total,
                          pass.is_prefill ? "prompt" : "batch", pass.is_prefill ? pass.tokens : pass.batch);
        QM_GUARD(serve_pass(server, hooks, &pass, &checksum));
        if (times)
            note_times(server, &pass, begin_ns, read_clock(hooks), times);
        if (is_checked)
            QM_GUARD(check_pass(server, &pass, checksum));
        QM_GUARD(write_given(server, &pass));
        fold_pass(server, &pass, checksum, out);
    }
done:
    qm_serving_end(&serving);
    return status;
}

enum qm_status qm_server_run(struct qm_server *server, const struct qm_server_hooks *hooks,
                             struct qm_request_times *times, struct qm_served *out)
{
    return serve(server, hooks, times, false, out);
}

uint64_t qm_server_pass_ns(const struct qm_server *server)
{
    return server->pass_ns;
}

// ---- The sample -----------------------------------------------------------------------------------------------------

uint32_t qm_server_sample_rows(const struct qm_request *requests, uint32_t count)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < count; ++i) {
        uint32_t rows = requests[i].prompt_tokens + requests[i].output_tokens - 1;
        least = rows < least ? rows : least;
    }
    return least;
}

static enum qm_status add_sampled(struct qm_server *server, uint32_t request)
{
    const struct qm_request *of = &server->params.serving.requests[request];
    struct sampled *sampled = &server->sample[server->sample_count++];
    *sampled =
        (struct sampled){.request = request,
                         .ids = calloc(of->output_tokens, sizeof(*sampled->ids)),
                         .logits = calloc((size_t)of->output_tokens * server->vocabulary, sizeof(*sampled->logits))};
    return sampled->ids && sampled->logits ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a sample's logits");
}

// Spread over all requests, those that one pass can hold; the shortest, where none of them can.
static enum qm_status choose_sample(struct qm_server *server)
{
    const struct qm_serving_params *serving = &server->params.serving;
    uint32_t rows = server->params.rows, places = QM_SERVER_SAMPLE_REQUESTS, shortest = 0;
    uint64_t tokens = 0;
    places = serving->count < places ? serving->count : places;
    free_sample(server);
    for (uint32_t i = 0; i < places && tokens < QM_SERVER_SAMPLE_TOKENS; ++i) {
        uint32_t request = (uint32_t)((uint64_t)i * serving->count / places);
        const struct qm_request *of = &serving->requests[request];
        if (of->prompt_tokens + of->output_tokens - 1 > rows ||
            (tokens + of->output_tokens) * server->vocabulary > QM_SERVER_SAMPLE_LOGITS)
            continue;
        tokens += of->output_tokens;
        QM_TRY(add_sampled(server, request));
    }
    if (server->sample_count > 0)
        return QM_OK;
    for (uint32_t i = 1; i < serving->count; ++i)
        if (serving->requests[i].prompt_tokens + serving->requests[i].output_tokens <
            serving->requests[shortest].prompt_tokens + serving->requests[shortest].output_tokens)
            shortest = i;
    return add_sampled(server, shortest);
}

// One pass over the prompt and the tokens that the request was given, and how far its logits are from those of when it
// was served.
static enum qm_status compare_alone(struct qm_server *server, const struct sampled *sampled, double *kl)
{
    const struct qm_server_params *params = &server->params;
    const struct qm_request *of = &params->serving.requests[sampled->request];
    const struct qm_pass_params shape = {.batch = 1, .tokens = of->prompt_tokens + of->output_tokens - 1};
    const struct qm_pass_start start = {0, 0};
    struct qm_run_policy policy = {.dispatches_per_submission = params->most_dispatches, .repeats_per_submission = 1};
    struct qm_timing timing = {0};
    struct qm_pass *pass = NULL;
    enum qm_status status = QM_OK;
    uint32_t *tokens = token_at(server, 0, 0);
    if (params->limit_ns > 0) // run once: as small pieces as measurements begin with
        policy.dispatches_per_submission =
            params->most_dispatches > 0 && params->most_dispatches < 4 ? params->most_dispatches : 4;
    qm_heartbeat_note("request %" PRIu32 " alone, %" PRIu32 " tokens", sampled->request, shape.tokens);
    qm_prompt_copy(&params->prompts, sampled->request, tokens, of->prompt_tokens);
    memcpy(tokens + of->prompt_tokens, sampled->ids, (of->output_tokens - 1) * sizeof(*tokens));
    QM_GUARD(qm_engine_write_sequence(params->engine, 0, 0, tokens, shape.tokens));
    QM_GUARD(qm_pass_create(params->network, &shape, &pass));
    QM_GUARD(qm_pass_run(pass, &start, 1, &policy, &timing));
    for (uint32_t i = 0; i < of->output_tokens; ++i) {
        const struct qm_token_place place = {sampled->request, 0, of->prompt_tokens - 1 + i};
        QM_GUARD(qm_pass_read_rows(pass, of->prompt_tokens - 1 + i, 1, server->logits));
        QM_GUARD(qm_token_kl(server->logits, sampled->logits + (size_t)i * server->vocabulary, server->vocabulary,
                             "the request alone", "the request as it was served", &place, &kl[i]));
    }
done:
    qm_pass_destroy(&pass);
    return status;
}

enum qm_status qm_server_check(struct qm_server *server, const struct qm_server_hooks *hooks, struct qm_served *out,
                               double **kl, size_t *count)
{
    enum qm_status status = QM_OK;
    size_t tokens = 0;
    *kl = NULL;
    *count = 0;
    QM_GUARD(choose_sample(server));
    QM_GUARD(serve(server, hooks, NULL, true, out));
    for (size_t i = 0; i < server->sample_count; ++i)
        tokens += server->params.serving.requests[server->sample[i].request].output_tokens;
    *kl = calloc(tokens, sizeof(**kl));
    if (!*kl)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %zu divergences", tokens));
    for (size_t i = 0; i < server->sample_count; ++i) {
        QM_GUARD(compare_alone(server, &server->sample[i], *kl + *count));
        *count += server->params.serving.requests[server->sample[i].request].output_tokens;
    }
done:
    free_sample(server);
    if (status != QM_OK) {
        free(*kl);
        *kl = NULL;
        *count = 0;
    }
    return status;
}
