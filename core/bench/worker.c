#include "bench/worker.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/clock_probe.h"
#include "bench/device_node.h"
#include "bench/fit.h"
#include "bench/request.h"
#include "bench/selftest.h"
#include "bench/simulate.h"
#include "bench/worker_device.h"
#include "bench/worker_fault.h"
#include "bench/worker_fit.h"
#include "bench/worker_generate.h"
#include "bench/worker_kernels.h"
#include "bench/worker_serve.h"
#include "bench/worker_start.h"
#include "bench/worker_sweep.h"
#include "bench/worker_tune.h"
#include "kernel/configure.h"
#include "kernel/kernels.h"
#include "model/engine.h"
#include "model/random_weight.h"
#include "record/node.h"
#include "sys/file.h"
#include "sys/heartbeat.h"
#include "sys/host.h"
#include "sys/process.h"

enum {
    NETWORKS_MAX = 128, // narrow ones included
    PASSES_MAX = 512
};

struct worker {
    struct qm_device *device;
    struct qm_device_info info;
    struct qm_engine *engine;
    struct qm_engine *narrow; // beside a widened engine: the model as it is, with the same kernels
    const char *tile;         // of its kernels
    char tuned_tile[QM_TILE_BYTES];
    struct qm_capability capabilities[QM_MAX_CAPABILITIES]; // as the self-test left them
    size_t capability_count;
    struct qm_worker_start start;
    struct qm_model_config config;
    uint64_t limit_ns;
    uint32_t most_dispatches, slots, sequences;
    uint32_t *tokens; // [sequences][context + 1], as on the device
    struct {
        char name[QM_SCHEME_NAME_BYTES];
        bool is_narrow;
        struct qm_network *network;
    } networks[NETWORKS_MAX];
    size_t network_count;
    struct {
        struct qm_network *network;
        struct qm_pass_params params;
        struct qm_pass *pass;
        bool has_policy;
        struct qm_run_policy policy;
    } passes[PASSES_MAX];
    size_t pass_count;
    struct qm_worker_generator generator; // goes before its network
    struct qm_worker_server server;       // likewise
    struct qm_worker_sweep sweep;         // of a sweep of kernels
    struct qm_clock_probe *probe;         // made when it is first asked for
    bool is_simulated;
    struct qm_simulation simulation;

    const char *scheme; // of the run that is asked for
    FILE *output;
    struct qm_heartbeat *heartbeat;
};

static uint64_t large_of(json_t *request, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(request, key));
}

static enum qm_status find_network(const struct worker *worker, json_t *request, struct qm_network **out)
{
    const char *name = qm_request_text(request, "scheme");
    bool is_narrow = json_is_true(json_object_get(request, "narrow"));
    for (size_t i = 0; i < worker->network_count; ++i) {
        if (worker->networks[i].is_narrow == is_narrow && strcmp(worker->networks[i].name, name) == 0) {
            *out = worker->networks[i].network;
            return QM_OK;
        }
    }
    return QM_FAIL(QM_INVALID, "scheme %s is not loaded%s", name, is_narrow ? " as it is, not widened" : "");
}

// Takes the tree.
// A simulated device says so in its name.
static enum qm_status begin_simulation(struct worker *worker, uint32_t opening)
{
    static struct qm_device_info named;
    QM_TRY(qm_simulation_read(getenv("QM_SIMULATE"), &worker->simulation, &worker->is_simulated));
    if (!worker->is_simulated)
        return QM_OK;
    if (opening > 0) // other noise
        qm_random_seed(&worker->simulation.random, worker->simulation.seed, opening);
    named = *worker->device->info;
    snprintf(named.name, sizeof(named.name), "%.100s (simulated clock)", worker->device->info->name);
    worker->device->info = &named;
    worker->sweep.simulation = &worker->simulation;
    return QM_OK;
}

static enum qm_status do_open(struct worker *worker, json_t *request, json_t *answer)
{
    const char *id = qm_request_text(request, "device");
    for (const struct qm_backend *const *backend = qm_backends; *backend; ++backend) {
        if (strncmp(id, (*backend)->name, strlen((*backend)->name)) != 0)
            continue;
        struct qm_device_info infos[32];
        size_t count = 0;
        QM_TRY((*backend)->enumerate(infos, 32, &count));
        for (size_t i = 0; i < count && i < 32; ++i) {
            if (strcmp(infos[i].id, id) != 0)
                continue;
            worker->info = infos[i];
            struct qm_open_params params = {.debug = json_is_true(json_object_get(request, "debug")),
                                            .statistics = json_is_true(json_object_get(request, "statistics")),
                                            .cache_dir = json_string_value(json_object_get(request, "cache"))};
            uint64_t begin_ns = qm_clock_ns();
            QM_TRY((*backend)->open(&worker->info, &params, &worker->device));
            worker->start.open_ns = qm_clock_ns() - begin_ns;
            qm_fault_plant(worker->device);
            qm_worker_device_watch(worker->device, qm_fault_value("delay") ? strtod(qm_fault_value("delay"), NULL) : 0);
            QM_TRY(begin_simulation(worker, qm_request_number(request, "opening")));
            json_object_set_new(answer, "info", qm_worker_json(qm_device_node(worker->device->info)));
            return QM_OK;
        }
    }
    return QM_FAIL(QM_UNAVAILABLE, "there is no device %s", id);
}

static enum qm_status do_list(json_t *request, json_t *answer)
{
    json_t *list = json_array();
    json_object_set_new(answer, "devices", list);
    for (const struct qm_backend *const *backend = qm_backends; *backend; ++backend) {
        if (strcmp(qm_request_text(request, "api"), (*backend)->name) != 0)
            continue;
        static struct qm_device_info infos[32];
        size_t count = 0;
        QM_TRY((*backend)->enumerate(infos, 32, &count));
        for (size_t i = 0; i < count && i < 32; ++i) {
            json_t *row = qm_worker_json(qm_device_node(&infos[i]));
            json_object_set_new(row, "id", json_string(infos[i].id));
            json_array_append_new(list, row);
        }
        return QM_OK;
    }
    return QM_FAIL(QM_INVALID, "there is no API '%s'; use vulkan, opencl or reference",
                   qm_request_text(request, "api"));
}

static enum qm_status do_selftest(struct worker *worker, json_t *answer)
{
    struct qm_selftest selftest;
    QM_TRY(qm_selftest_run(worker->device, &selftest));
    if (qm_fault_value("wrong-selftest")) {
        selftest.status = QM_WRONG_RESULT;
        snprintf(selftest.reason, sizeof(selftest.reason), "a fault for tests");
    }
    memcpy(worker->capabilities, selftest.capabilities, sizeof(worker->capabilities));
    worker->capability_count = selftest.capability_count;
    worker->sweep.capabilities = worker->capabilities;
    worker->sweep.capability_count = worker->capability_count;
    json_t *node = qm_worker_json(qm_selftest_node(&selftest));
    if (worker->is_simulated)
        json_object_set_new(node, "timer", json_string("simulated: no device was timed"));
    json_object_set_new(answer, "selftest", node);
    return QM_OK;
}

static void read_engine_params(struct worker *worker, json_t *request, struct qm_engine_params *params)
{
    *params = (struct qm_engine_params){.device = worker->device,
                                        .config = worker->config,
                                        .widen = qm_request_number(request, "widen"),
                                        .context = qm_request_number(request, "context"),
                                        .rows = qm_request_number(request, "rows"),
                                        .sequences = qm_request_number(request, "sequences"),
                                        .slots = qm_request_number(request, "slots"),
                                        .is_unfused = json_is_true(json_object_get(request, "unfused"))};
}

static struct qm_fit_tiers tiers_of(const struct worker *worker, json_t *request)
{
    const char *tier = qm_request_text(request, "tier");
    return (struct qm_fit_tiers){worker->capabilities, worker->capability_count, tier[0] ? tier : "best"};
}

static enum qm_status do_engine(struct worker *worker, json_t *request, json_t *answer)
{
    struct qm_engine_params params;
    bool is_narrow = json_is_true(json_object_get(request, "narrow"));
    if (is_narrow ? !worker->engine || worker->narrow : worker->engine != NULL)
        return QM_FAIL(QM_INVALID, "one engine, then one that is not widened");
    QM_TRY(qm_artifact_load_config(qm_request_text(request, "artifact"), &worker->config));
    read_engine_params(worker, request, &params);
    if (params.context > worker->config.context)
        return QM_FAIL(QM_INVALID, "%u positions exceed the model's context of %u", params.context,
                       worker->config.context);
    if (params.context > 0) // what follows knows the engine's alone
        worker->config.context = params.context;
    if (is_narrow) {
        params.widen = 1;
        params.tile = worker->tile;
        return qm_engine_create(&params, &worker->narrow);
    }
    QM_TRY(qm_fault_engine(params.sequences));
    worker->limit_ns = large_of(request, "limit_ns");
    worker->most_dispatches = qm_request_number(request, "most_dispatches");
    worker->slots = params.slots;
    worker->sequences = params.sequences;
    worker->tokens = calloc((size_t)worker->sequences * (worker->config.context + 1), sizeof(uint32_t));
    if (!worker->tokens)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for tokens");
    struct qm_fit_tiers tiers = tiers_of(worker, request);
    QM_TRY(qm_fit_tile(&params, &tiers, &worker->tile));
    if (qm_request_text(request, "tuned")[0]) {
        QM_TRY(qm_kernel_tuned_set(qm_request_text(request, "tuned")));
        snprintf(worker->tuned_tile, sizeof(worker->tuned_tile), "%s+tuned", worker->tile);
        worker->tile = worker->tuned_tile;
    }
    params.tile = worker->tile;
    json_object_set_new(answer, "tile", json_string(worker->tile));
    uint64_t begin_ns = qm_clock_ns();
    QM_TRY(qm_engine_create(&params, &worker->engine));
    worker->start.engine_ns = qm_clock_ns() - begin_ns;
    return QM_OK;
}

static enum qm_status do_load(struct worker *worker, json_t *request, json_t *answer)
{
    bool is_narrow = json_is_true(json_object_get(request, "narrow"));
    struct qm_engine *engine = is_narrow ? worker->narrow : worker->engine;
    if (!engine || worker->network_count == NETWORKS_MAX)
        return QM_FAIL(QM_INVALID, "no engine, or more than %d schemes", NETWORKS_MAX);
    struct qm_scheme scheme;
    QM_TRY(qm_scheme_parse(qm_request_text(request, "scheme"), &scheme));
    QM_TRY(qm_fault_scheme(scheme.name, 123456789));
    struct qm_artifact *artifact = NULL;
    QM_TRY(qm_worker_start_load(&worker->start, engine, &worker->config, &scheme, qm_request_text(request, "artifact"),
                                &artifact));
    struct qm_network *network = NULL;
    if (qm_fault_value("wrong-widen") && !is_narrow)
        artifact->tensors[qm_weight_index(&worker->config, QM_ROLE_UP, 0)].encoded.tensor_scale *= 2;
    uint64_t begin_ns = qm_clock_ns();
    enum qm_status status = qm_network_create(engine, artifact, &scheme, &network);
    if (status == QM_OK && !worker->is_simulated)
        status = qm_worker_start_tell(&worker->start, network, qm_clock_ns() - begin_ns, answer);
    if (status == QM_OK) {
        struct qm_network_memory memory;
        qm_network_memory(network, &memory);
        json_object_set_new(answer, "weight_bytes", json_integer((json_int_t)memory.weight_bytes));
        json_object_set_new(answer, "repack_ns", json_integer((json_int_t)memory.repack_ns));
        json_object_set_new(answer, "cache_bytes", json_integer((json_int_t)memory.cache_bytes));
        json_t *variants = json_array();
        for (const char *const *name = qm_network_variants(network); *name; ++name)
            json_array_append_new(variants, json_string(*name));
        json_object_set_new(answer, "variants", variants);
        snprintf(worker->networks[worker->network_count].name, QM_SCHEME_NAME_BYTES, "%s", scheme.name);
        worker->networks[worker->network_count].is_narrow = is_narrow;
        worker->networks[worker->network_count++].network = network;
    } else {
        qm_network_destroy(&network);
    }
    qm_artifact_destroy(&artifact);
    return status;
}

static json_t *json_of_times(const uint64_t *ns, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; ++i)
        json_array_append_new(list, json_integer((json_int_t)ns[i]));
    return list;
}

static enum qm_status do_random(struct worker *worker, json_t *request, json_t *answer)
{
    struct qm_network *network = NULL;
    struct qm_artifact *artifact = NULL;
    struct qm_random_weight_times times;
    QM_TRY(find_network(worker, request, &network));
    QM_TRY(qm_artifact_load(qm_request_text(request, "artifact"), &artifact));
    enum qm_status status = qm_network_time_random(network, artifact, worker->limit_ns, &times);
    qm_artifact_destroy(&artifact);
    QM_TRY(status);
    json_object_set_new(answer, "rows", json_integer(times.rows));
    json_object_set_new(answer, "columns", json_integer(times.columns));
    json_object_set_new(answer, "bytes", json_integer((json_int_t)times.bytes));
    json_object_set_new(answer, "products", json_integer(times.products));
    json_object_set_new(answer, "has_device_time", json_boolean(times.has_device_time));
    json_object_set_new(answer, "tiled_ns", json_of_times(times.tiled_ns, QM_RANDOM_WEIGHT_PAIRS));
    json_object_set_new(answer, "random_ns", json_of_times(times.random_ns, QM_RANDOM_WEIGHT_PAIRS));
    return QM_OK;
}

static enum qm_status do_fit(struct worker *worker, json_t *request, json_t *answer)
{
    struct qm_fit_params params = {.tiers = tiers_of(worker, request), .most = qm_request_number(request, "most")};
    read_engine_params(worker, request, &params.engine);
    return qm_worker_fit(&params, request, answer);
}

// Rows of the token table from sequence `base` on, each from position 0; what stood behind a short row stays.
static enum qm_status do_tokens(struct worker *worker, json_t *request)
{
    json_t *rows = json_object_get(request, "tokens"), *row, *token;
    uint32_t base = qm_request_number(request, "base"), stride = worker->config.context + 1;
    size_t i, p;
    if (!worker->engine || json_array_size(rows) > worker->sequences ||
        base > worker->sequences - json_array_size(rows))
        return QM_FAIL(QM_INVALID, "tokens for %zu sequences from %u do not fit", json_array_size(rows), base);
    json_array_foreach(rows, i, row)
    {
        if (json_array_size(row) > stride)
            return QM_FAIL(QM_INVALID, "%zu tokens do not fit a context of %u", json_array_size(row), stride - 1);
        json_array_foreach(row, p, token)
        {
            json_int_t value = json_integer_value(token);
            if (value < 0 || value >= worker->config.vocabulary)
                return QM_FAIL(QM_INVALID, "token %lld is none of the model's %u", (long long)value,
                               worker->config.vocabulary);
            worker->tokens[(base + i) * stride + p] = (uint32_t)value;
        }
    }
    if (worker->narrow)
        QM_TRY(qm_engine_write_tokens(worker->narrow, worker->tokens, worker->sequences));
    return qm_engine_write_tokens(worker->engine, worker->tokens, worker->sequences);
}

static enum qm_status find_pass(struct worker *worker, struct qm_network *network, const struct qm_pass_params *params,
                                size_t *index)
{
    for (size_t i = 0; i < worker->pass_count; ++i) {
        if (worker->passes[i].network == network && memcmp(&worker->passes[i].params, params, sizeof(*params)) == 0) {
            *index = i;
            return QM_OK;
        }
    }
    if (worker->pass_count == PASSES_MAX)
        return QM_FAIL(QM_FAILED, "more than %d passes", PASSES_MAX);
    QM_TRY(qm_pass_create(network, params, &worker->passes[worker->pass_count].pass));
    worker->passes[worker->pass_count].network = network;
    worker->passes[worker->pass_count].params = *params;
    *index = worker->pass_count++;
    return QM_OK;
}

static void note_pass(const char *scheme, const struct qm_pass_params *params, const struct qm_pass_start *start,
                      uint32_t repeat, uint32_t repeats)
{
    bool is_decode = params->tokens == 1;
    qm_heartbeat_note("%s, %s, batch %u, %s %u, pass %u of %u", scheme, is_decode ? "decode" : "prefill", params->batch,
                      is_decode ? "from position" : "prompt", is_decode ? start->position : params->tokens, repeat + 1,
                      repeats);
}

// The planted wrong pass: one token of the first sequence is another one while this pass runs. A second call undoes it.
static enum qm_status plant_wrong_token(struct worker *worker, const struct qm_pass_start *start)
{
    worker->tokens[(size_t)start->sequence * (worker->config.context + 1) + start->position] ^= 1u;
    return qm_engine_write_tokens(worker->engine, worker->tokens, worker->sequences);
}

// Runs the passes one by one and appends what each left to the file.
static enum qm_status run_and_keep(struct worker *worker, const char *name, struct qm_pass *pass,
                                   const struct qm_pass_params *params, struct qm_pass_start start, uint32_t repeats,
                                   const struct qm_run_policy *policy, const char *path, json_t *checksums)
{
    size_t rows = (size_t)params->batch * params->tokens, logit_count = rows * worker->config.vocabulary;
    float *values = malloc((logit_count + rows) * sizeof(*values));
    if (!values)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for logits");
    enum qm_status status = QM_OK;
    for (uint32_t repeat = 0; repeat < repeats && status == QM_OK; ++repeat) {
        struct qm_timing timing = {0};
        uint64_t checksum = 0;
        bool is_planted = repeat == 0 && qm_fault_is_wrong_run(name, true);
        note_pass(name, params, &start, repeat, repeats);
        if (is_planted)
            QM_GUARD(plant_wrong_token(worker, &start));
        QM_GUARD(qm_pass_run(pass, &start, 1, policy, &timing));
        if (is_planted)
            QM_GUARD(plant_wrong_token(worker, &start));
        QM_GUARD(qm_pass_read_logits(pass, values));
        QM_GUARD(qm_pass_read_outputs(pass, values + logit_count, NULL));
        QM_GUARD(qm_pass_read_checksums(pass, 1, &checksum));
        QM_GUARD(qm_file_append(path, values, (logit_count + rows) * sizeof(*values)));
        char text[24];
        snprintf(text, sizeof(text), "%016llx", (unsigned long long)checksum);
        json_array_append_new(checksums, json_string(text));
        start.position += params->position_increment;
        start.sequence += params->sequence_increment;
    }
done:
    free(values);
    return status;
}

static enum qm_status simulate_block(struct worker *worker, size_t index, const struct qm_pass_start *start,
                                     uint32_t repeats, uint64_t *times, struct qm_timing *timing)
{
    double operations = qm_pass_operations(worker->passes[index].pass, start->position) * repeats;
    timing->wall_ns = (uint64_t)qm_simulation_pass_ns(&worker->simulation, operations);
    timing->has_device_time = false;
    for (uint32_t i = 0; i < repeats; ++i)
        times[repeats + i] = timing->wall_ns / repeats;
    return QM_OK;
}

static uint64_t worker_now(const struct worker *worker)
{
    return worker->is_simulated ? (uint64_t)worker->simulation.now_ns : qm_clock_ns();
}

// One block of `repeats` passes: times[0 .. repeats) by the device, then by the host, then checksums.
static enum qm_status run_block(struct worker *worker, size_t index, const struct qm_pass_start *start,
                                uint32_t repeats, uint64_t *times, struct qm_timing *timing)
{
    *timing = (struct qm_timing){.repeat_device_ns = times, .repeat_wall_ns = times + repeats};
    const struct qm_simulated_block block = {
        .pass = index, .position = start->position, .sequence = start->sequence, .repeats = repeats};
    const uint64_t *known = worker->is_simulated ? qm_simulation_find(&worker->simulation, &block) : NULL;
    bool is_planted = qm_fault_is_wrong_run(worker->scheme, false);
    if (known && !is_planted) {
        memcpy(times + 2 * (size_t)repeats, known, repeats * sizeof(*known));
        return simulate_block(worker, index, start, repeats, times, timing);
    }
    if (is_planted)
        QM_TRY(plant_wrong_token(worker, start));
    QM_TRY(qm_pass_run(worker->passes[index].pass, start, repeats, &worker->passes[index].policy, timing));
    QM_TRY(qm_pass_read_checksums(worker->passes[index].pass, repeats, times + 2 * (size_t)repeats));
    if (worker->is_simulated) {
        QM_TRY(qm_simulation_keep(&worker->simulation, &block, times + 2 * (size_t)repeats));
        QM_TRY(simulate_block(worker, index, start, repeats, times, timing));
    }
    return is_planted ? plant_wrong_token(worker, start) : QM_OK;
}

static void add_checksums(json_t *checksums, const uint64_t *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i) {
        char text[24];
        snprintf(text, sizeof(text), "%016llx", (unsigned long long)values[i]);
        json_array_append_new(checksums, json_string(text));
    }
}

static enum qm_status run_timed(struct worker *worker, size_t index, const struct qm_pass_start *start,
                                uint32_t repeats, json_t *answer, json_t *checksums)
{
    uint64_t *times = calloc((size_t)repeats * 3, sizeof(*times));
    if (!times)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for times");
    struct qm_timing timing;
    enum qm_status status = run_block(worker, index, start, repeats, times, &timing);
    if (status == QM_OK) {
        add_checksums(checksums, times + 2 * (size_t)repeats, repeats);
        if (timing.has_device_time)
            json_object_set_new(answer, "device_ns", json_of_times(times, repeats));
        json_object_set_new(answer, "repeat_wall_ns", json_of_times(times + repeats, repeats));
        json_object_set_new(answer, "wall_ns", json_integer((json_int_t)timing.wall_ns));
        json_object_set_new(answer, "submissions", json_integer(timing.submissions));
    }
    free(times);
    return status;
}

// The block again and again: when each began, and how long it took by either clock.
static enum qm_status run_blocks(struct worker *worker, size_t index, const struct qm_pass_start *start,
                                 uint32_t repeats, uint32_t blocks, json_t *answer, json_t *checksums)
{
    enum qm_status status = QM_OK;
    uint64_t *times = calloc((size_t)repeats * 3 + 3 * (size_t)blocks, sizeof(*times));
    if (!times)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for times");
    uint64_t *begins = times + 3 * (size_t)repeats, *walls = begins + blocks, *devices = walls + blocks;
    bool has_device_time = false;
    for (uint32_t b = 0; b < blocks && status == QM_OK; ++b) {
        struct qm_timing timing;
        begins[b] = worker_now(worker);
        status = run_block(worker, index, start, repeats, times, &timing);
        walls[b] = timing.wall_ns;
        has_device_time = timing.has_device_time;
        for (uint32_t i = 0; i < repeats && has_device_time; ++i)
            devices[b] += times[i];
        if (status == QM_OK)
            add_checksums(checksums, times + 2 * (size_t)repeats, repeats);
    }
    json_object_set_new(answer, "block_begin_ns", json_of_times(begins, blocks));
    json_object_set_new(answer, "block_wall_ns", json_of_times(walls, blocks));
    if (has_device_time)
        json_object_set_new(answer, "block_device_ns", json_of_times(devices, blocks));
    free(times);
    return status;
}

static enum qm_status do_probe(struct worker *worker, json_t *answer)
{
    uint64_t ns = 0;
    if (worker->is_simulated) {
        json_object_set_new(answer, "begin_ns", json_integer((json_int_t)worker_now(worker)));
        json_object_set_new(answer, "wall_ns", json_integer((json_int_t)qm_simulation_probe_ns(&worker->simulation)));
        return QM_OK;
    }
    if (!worker->probe)
        QM_TRY(qm_clock_probe_create(worker->device, &worker->probe));
    json_object_set_new(answer, "begin_ns", json_integer((json_int_t)qm_clock_ns()));
    QM_TRY(qm_clock_probe_run(worker->probe, &ns));
    json_object_set_new(answer, "wall_ns", json_integer((json_int_t)ns));
    return QM_OK;
}

static enum qm_status do_clock(struct worker *worker, json_t *answer)
{
    struct qm_clock_sample sample;
    if (worker->is_simulated)
        return QM_FAIL(QM_UNSUPPORTED, "a simulated device has no clock of its own");
    QM_TRY(worker->device->fns->clock(worker->device, &sample));
    json_object_set_new(answer, "host_ns", json_integer((json_int_t)sample.host_ns));
    json_object_set_new(answer, "device_ns", json_integer((json_int_t)sample.device_ns));
    return QM_OK;
}

static enum qm_status do_run(struct worker *worker, json_t *request, json_t *answer)
{
    struct qm_network *network = NULL;
    QM_TRY(find_network(worker, request, &network));
    struct qm_pass_params params = {.batch = qm_request_number(request, "batch"),
                                    .tokens = qm_request_number(request, "tokens")};
    params.position_increment = params.tokens == 1 ? 1 : 0;
    params.sequence_increment = params.tokens == 1 ? 0 : params.batch;
    struct qm_pass_start start = {qm_request_number(request, "position"), qm_request_number(request, "sequence")};
    uint32_t repeats = qm_request_number(request, "repeats");
    worker->scheme = qm_request_text(request, "scheme");
    size_t index = 0;
    QM_TRY(find_pass(worker, network, &params, &index));
    if (!worker->passes[index].has_policy) {
        QM_TRY(qm_pass_fit_policy(worker->passes[index].pass, &start, worker->limit_ns, worker->most_dispatches,
                                  &worker->passes[index].policy));
        worker->passes[index].has_policy = true;
    }
    json_t *checksums = json_array();
    json_object_set_new(answer, "checksums", checksums);
    json_object_set_new(answer, "operations",
                        json_real(qm_pass_operations(worker->passes[index].pass, start.position)));
    json_object_set_new(answer, "dispatches", json_integer(qm_pass_dispatches(worker->passes[index].pass)));
    json_object_set_new(answer, "dispatches_per_submission",
                        json_integer(worker->passes[index].policy.dispatches_per_submission));
    json_object_set_new(answer, "repeats_per_submission",
                        json_integer(worker->passes[index].policy.repeats_per_submission));
    const char *path = json_string_value(json_object_get(request, "logits"));
    if (path)
        return run_and_keep(worker, qm_request_text(request, "scheme"), worker->passes[index].pass, &params, start,
                            repeats, &worker->passes[index].policy, path, checksums);
    uint32_t blocks = qm_request_number(request, "blocks");
    if (blocks > 0)
        return run_blocks(worker, index, &start, repeats, blocks, answer, checksums);
    return run_timed(worker, index, &start, repeats, answer, checksums);
}

static enum qm_status do_copy(struct worker *worker, json_t *request)
{
    struct qm_network *network = NULL;
    QM_TRY(find_network(worker, request, &network));
    return qm_network_copy_sequences(network, qm_request_number(request, "from"), qm_request_number(request, "to"),
                                     qm_request_number(request, "count"));
}

// Answers go through the network that was timed, and leave their tokens and cache in its first sequences.
static enum qm_status do_generate(struct worker *worker, json_t *request, json_t *answer, bool is_likelihood)
{
    struct qm_generator_params params = {
        .engine = worker->engine, .limit_ns = worker->limit_ns, .most_dispatches = worker->most_dispatches};
    if (json_is_true(json_object_get(request, "narrow")))
        return QM_FAIL(QM_INVALID, "answers are those of the model as it was timed");
    QM_TRY(find_network(worker, request, &params.network));
    return is_likelihood
               ? qm_worker_likelihood(&worker->generator, &params, request, answer)
               : qm_worker_generate(&worker->generator, &params, qm_request_text(request, "scheme"), request, answer);
}

static uint64_t serve_now(void *context)
{
    return worker_now(context);
}

static void serve_spend(void *context, double operations)
{
    struct worker *worker = context;
    (void)qm_simulation_pass_ns(&worker->simulation, operations);
}

static enum qm_status do_serve(struct worker *worker, json_t *request, json_t *answer)
{
    struct qm_server_hooks hooks = {.now = serve_now, .context = worker};
    struct qm_server_params params = {
        .engine = worker->engine, .limit_ns = worker->limit_ns, .most_dispatches = worker->most_dispatches};
    if (worker->is_simulated)
        hooks.spend = serve_spend;
    QM_TRY(find_network(worker, request, &params.network));
    return qm_worker_serve(&worker->server, &params, &hooks, qm_request_text(request, "scheme"), request, answer);
}

static void note_request(json_t *request, const char *verb)
{
    if (strcmp(verb, "run") == 0) {
        struct qm_pass_params params = {.batch = qm_request_number(request, "batch"),
                                        .tokens = qm_request_number(request, "tokens")};
        struct qm_pass_start start = {.position = qm_request_number(request, "position")};
        note_pass(qm_request_text(request, "scheme"), &params, &start, 0, qm_request_number(request, "repeats"));
        return;
    }
    const char *of =
        strcmp(verb, "open") == 0 ? qm_request_text(request, "device") : qm_request_text(request, "scheme");
    qm_heartbeat_note("%s%s%s", verb, *of ? " of " : "", of);
}

static enum qm_status do_request(struct worker *worker, json_t *request, json_t *answer, bool *is_mute)
{
    const char *verb = qm_request_text(request, "do");
    note_request(request, verb);
    QM_TRY(qm_fault_request(verb, worker->heartbeat, is_mute));
    if (strcmp(verb, "open") == 0)
        return do_open(worker, request, answer);
    if (strcmp(verb, "list") == 0)
        return do_list(request, answer);
    if (!worker->device)
        return QM_FAIL(QM_INVALID, "open a device first");
    if (strcmp(verb, "selftest") == 0)
        return do_selftest(worker, answer);
    if (strcmp(verb, "engine") == 0)
        return do_engine(worker, request, answer);
    if (strcmp(verb, "load") == 0)
        return do_load(worker, request, answer);
    if (strcmp(verb, "fit") == 0)
        return do_fit(worker, request, answer);
    if (strcmp(verb, "random") == 0)
        return do_random(worker, request, answer);
    if (strcmp(verb, "kernels") == 0)
        return qm_worker_kernels(worker->device, &worker->config, worker->tile, request, answer);
    if (strcmp(verb, "tune") == 0)
        return qm_worker_tune(worker->device, worker->capabilities, worker->capability_count, request, answer);
    if (strcmp(verb, "sweep") == 0)
        return qm_worker_sweep(&worker->sweep, worker->device, request, answer);
    if (strcmp(verb, "ceilings") == 0)
        return qm_worker_ceilings(worker->device, request, answer);
    if (strcmp(verb, "tokens") == 0)
        return do_tokens(worker, request);
    if (strcmp(verb, "run") == 0)
        return do_run(worker, request, answer);
    if (strcmp(verb, "copy") == 0)
        return do_copy(worker, request);
    if (strcmp(verb, "generate") == 0 || strcmp(verb, "likelihood") == 0)
        return do_generate(worker, request, answer, verb[0] == 'l');
    if (strcmp(verb, "requests") == 0)
        return qm_worker_requests(&worker->server, request);
    if (strcmp(verb, "serve") == 0)
        return do_serve(worker, request, answer);
    if (strcmp(verb, "probe") == 0)
        return do_probe(worker, answer);
    if (strcmp(verb, "clock") == 0)
        return do_clock(worker, answer);
    if (strcmp(verb, "memory") == 0) {
        struct qm_memory memory = {0};
        worker->device->fns->memory(worker->device, &memory);
        json_object_set_new(answer, "buffers_bytes", json_integer((json_int_t)memory.buffers_bytes));
        json_object_set_new(answer, "peak_bytes", json_integer((json_int_t)memory.peak_bytes));
        struct qm_compile_time compile;
        qm_worker_device_compile_time(&compile);
        json_object_set_new(answer, "compile_ns", json_integer((json_int_t)compile.ns));
        json_object_set_new(answer, "compiled", json_integer(compile.kernels));
        json_object_set_new(answer, "log_count", json_integer(qm_device_log_count()));
        return QM_OK;
    }
    return QM_FAIL(QM_INVALID, "unknown request '%s'", verb);
}

static void answer_line(struct worker *worker, const char *line)
{
    json_t *answer = json_object();
    json_t *request = json_loads(line, 0, NULL);
    bool is_mute = false;
    qm_heartbeat_work(worker->heartbeat);
    enum qm_status status = request ? do_request(worker, request, answer, &is_mute) : QM_FAIL(QM_INVALID, "not JSON");
    json_t *serial = json_object_get(request, "serial");
    if (serial)
        json_object_set(answer, "serial", serial);
    json_object_set_new(answer, "status", json_string(qm_status_name(status)));
    if (status != QM_OK) {
        json_object_set_new(answer, "error", json_string(qm_error_text()));
        json_object_set_new(answer, "place", json_string(qm_error_place()));
    }
    char *text = json_dumps(answer, JSON_COMPACT);
    if (!is_mute)
        qm_heartbeat_answer(worker->heartbeat, text ? text : "{\"status\":\"out of memory\"}");
    free(text);
    json_decref(request);
    json_decref(answer);
}

static void close_all(struct worker *worker)
{
    qm_clock_probe_destroy(&worker->probe);
    qm_simulation_free(&worker->simulation);
    qm_worker_generator_close(&worker->generator);
    qm_worker_server_close(&worker->server);
    qm_worker_sweep_close(&worker->sweep);
    for (size_t i = 0; i < worker->pass_count; ++i)
        qm_pass_destroy(&worker->passes[i].pass);
    for (size_t i = 0; i < worker->network_count; ++i)
        qm_network_destroy(&worker->networks[i].network);
    qm_engine_destroy(&worker->narrow);
    qm_engine_destroy(&worker->engine);
    if (worker->device)
        worker->device->fns->destroy(&worker->device);
    free(worker->tokens);
}

int qm_worker_main(uint32_t parent)
{
    static struct worker worker;
    if (parent != 0 && !qm_process_end_with(parent))
        return QM_EXIT_INTERRUPTED;
    qm_interrupt_ignore(); // the parent ends us, in order
    qm_file_limit_ignore();
    worker.output = qm_process_take_output();
    if (!worker.output)
        return QM_EXIT_SOME_FAILED;
    struct qm_heartbeat_params signs = {.output = worker.output,
                                        .before = "{\"status\":\"alive\",\"at\":\"",
                                        .after = "\"}",
                                        .period_ns = (uint64_t)(QM_WORKER_SIGN_S * 1e9)};
    if (qm_heartbeat_start(&signs, &worker.heartbeat) != QM_OK) {
        fprintf(stderr, "%s\n", qm_error_text());
        fclose(worker.output);
        return QM_EXIT_SOME_FAILED;
    }
    char *line = NULL;
    size_t capacity = 0;
    bool is_first = true;
    while (getline(&line, &capacity, stdin) > 0) {
        if (is_first) { // the first request opens the device: now it is known whether a fault is for us
            json_t *request = json_loads(line, 0, NULL);
            qm_fault_read(qm_request_text(request, "device"), qm_request_number(request, "attempt"));
            json_decref(request);
            is_first = false;
        }
        if (strstr(line, "\"do\":\"quit\""))
            break;
        answer_line(&worker, line);
    }
    free(line);
    close_all(&worker);
    qm_heartbeat_stop(&worker.heartbeat);
    fclose(worker.output);
    return QM_EXIT_OK;
}
