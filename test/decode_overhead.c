// Prints what a decode pass of a model costs beyond its kernels: the whole pass, as a run times it, beside the time of each
// kernel on its own.
//
//   qm_decode_overhead DIRECTORY [DEVICE [ROUNDS [SCHEME...]]]     pocl, 7 rounds, w4a16-g32 and f16 unless told otherwise
//
// DEVICE is an id, an API or a driver's name, as --device has it, and the first that fits. Weights go into a scratch file in
// the folder for temporary files (TMPDIR, else /tmp), as an artifact's would, and from there to the device.
//
// *Whole*: one sequence, one new token at position 64 (the 65th), by the host's clock from submission to completion.
// *Alone*: each dispatch of the pass is a program of its own, and they run in the pass's order, so that each finds in the
// caches what it finds in the pass; the device's time from its begin to its end.
// *Together*: the dispatches of one kernel with one shape, those of all layers in their order, are one program; a whole pass
// runs before it, so that the weights that it reads first have left the caches. A cache that holds the model tells nothing.
// The kernel's time is the lesser of the two, so that neither waking up nor waiting counts as a kernel's. Everything is
// timed in turns, in every round; what is printed are medians. Devices without a clock are timed by the host's, and a
// dispatch alone then has a submission in it.
//
// The pass in pieces must leave the checksum of logits that the whole one leaves. Exit 1 where it does not, or where the whole
// takes more than 1.10 times the sum of its kernels.
#include "kernel/kernels.h"
#include "model/engine_internal.h"
#include "quant/artifact.h"
#include "sys/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    POSITION = 64,
    CONTEXT = 128,
    ROUNDS_MAX = 99,
    KERNELS_MAX = 64,
    DEVICES_MAX = 32
};
#define MOST 1.10

static const struct qm_run_policy at_once = {0, 1};

static void stop(const char *text)
{
    fprintf(stderr, "qm_decode_overhead: %s\n", text);
    exit(2);
}

static void check(enum qm_status status)
{
    if (status != QM_OK)
        stop(qm_error_text());
}

static void *room(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);
    if (!memory)
        stop("no memory");
    return memory;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

// ---- A pass and its pieces ------------------------------------------------------------------------------------------

// The dispatches of one kernel with one set of parameters.
struct kernel {
    char name[96];
    const struct qm_dispatch *first;
    size_t count;
    struct qm_program *together;
    double alone_ns[ROUNDS_MAX], together_ns[ROUNDS_MAX];
    double ns; // what counts
};

struct decode {
    struct qm_device *device;
    struct qm_engine *engine;
    struct qm_pass *pass;
    const struct qm_dispatch *dispatches;
    size_t count;
    struct qm_program **alone; // [count]
    size_t *kernel_of;         // [count]
    struct kernel kernels[KERNELS_MAX];
    size_t kernel_count;
    double *whole_ns, *whole_device_ns; // [rounds * kernel_count]
    size_t whole_count;
    bool has_device_time;
};

static bool is_same(const struct qm_dispatch *a, const struct qm_dispatch *b)
{
    return a->kernel == b->kernel && memcmp(a->parameters, b->parameters, sizeof(a->parameters)) == 0;
}

static void name_kernel(const struct decode *d, const struct qm_dispatch *dispatch, char *name, size_t bytes)
{
    const struct qm_kernel_variant *variant = NULL;
    for (size_t i = 0; i < d->engine->kernel_count; ++i)
        if (d->engine->kernels[i].kernel == dispatch->kernel)
            variant = d->engine->kernels[i].variant;
    if (!variant)
        stop("a dispatch of an unknown kernel");
    bool is_product = strcmp(variant->kernel, "matvec") == 0 || strcmp(variant->kernel, "matmul") == 0;
    struct qm_matvec_parameters p;
    memcpy(&p, dispatch->parameters, sizeof(p));
    if (is_product)
        snprintf(name, bytes, "%s, %u x %u", variant->name, p.n, p.k);
    else
        snprintf(name, bytes, "%s", variant->name);
}

static struct qm_program *record(const struct decode *d, const struct qm_dispatch *dispatches, size_t count)
{
    struct qm_program *program = NULL;
    const struct qm_program_params params = {dispatches, count, d->engine->step};
    check(d->device->fns->program_create(d->device, &params, &program));
    return program;
}

static void take_apart(struct decode *d)
{
    d->dispatches = qm_pass_dispatch_list(d->pass, &d->count);
    d->alone = room(d->count, sizeof(struct qm_program *));
    d->kernel_of = room(d->count, sizeof(*d->kernel_of));
    for (size_t i = 0; i < d->count; ++i) {
        size_t k = 0;
        while (k < d->kernel_count && !is_same(d->kernels[k].first, &d->dispatches[i]))
            ++k;
        if (k == KERNELS_MAX)
            stop("more kernels than there is room for");
        if (k == d->kernel_count) {
            d->kernels[d->kernel_count++].first = &d->dispatches[i];
            name_kernel(d, &d->dispatches[i], d->kernels[k].name, sizeof(d->kernels[k].name));
        }
        ++d->kernels[k].count;
        d->kernel_of[i] = k;
        d->alone[i] = record(d, &d->dispatches[i], 1);
    }
    struct qm_dispatch *some = room(d->count, sizeof(*some));
    for (size_t k = 0; k < d->kernel_count; ++k) {
        size_t count = 0;
        for (size_t i = 0; i < d->count; ++i)
            if (d->kernel_of[i] == k)
                some[count++] = d->dispatches[i];
        d->kernels[k].together = record(d, some, count);
    }
    free(some);
}

static void put_together(struct decode *d)
{
    for (size_t i = 0; i < d->count; ++i)
        d->device->fns->program_destroy(d->device, &d->alone[i]);
    for (size_t k = 0; k < d->kernel_count; ++k)
        d->device->fns->program_destroy(d->device, &d->kernels[k].together);
    free(d->alone);
    free(d->kernel_of);
    free(d->whole_ns);
    free(d->whole_device_ns);
}

// ---- Timing ---------------------------------------------------------------------------------------------------------

static void run_whole(const struct decode *d, double *wall_ns, double *device_ns)
{
    uint64_t ns = 0;
    struct qm_timing timing = {.repeat_device_ns = &ns};
    check(qm_pass_run(d->pass, &(struct qm_pass_start){POSITION, 0}, 1, &at_once, &timing));
    *wall_ns = (double)timing.wall_ns;
    *device_ns = (double)ns;
}

static double run_part(struct decode *d, struct qm_program *program)
{
    uint64_t device_ns = 0;
    struct qm_timing timing = {.repeat_device_ns = &device_ns};
    check(d->device->fns->run(d->device, program, 1, &at_once, &timing));
    d->has_device_time = d->has_device_time && timing.has_device_time;
    return timing.has_device_time ? (double)device_ns : (double)timing.wall_ns;
}

static void set_step(const struct decode *d)
{
    const uint32_t step[QM_STEP_WORDS] = {POSITION, 0, 0, 0};
    check(d->device->fns->buffer_write(d->device, d->engine->step, 0, step, sizeof(step)));
}

static void run_alone(struct decode *d, size_t round)
{
    set_step(d);
    for (size_t i = 0; i < d->count; ++i) {
        double ns = run_part(d, d->alone[i]);
        d->kernels[d->kernel_of[i]].alone_ns[round] += ns;
    }
}

static uint64_t checksum(const struct decode *d)
{
    uint64_t sum = 0;
    check(qm_pass_read_checksums(d->pass, 1, &sum));
    return sum;
}

static bool time_all(struct decode *d, size_t rounds)
{
    uint64_t expected, pieces;
    double unused[2];
    d->whole_ns = room(rounds * d->kernel_count, sizeof(*d->whole_ns));
    d->whole_device_ns = room(rounds * d->kernel_count, sizeof(*d->whole_device_ns));
    d->has_device_time = true;
    for (int warm = 0; warm < 2; ++warm)
        run_whole(d, &unused[0], &unused[1]);
    expected = checksum(d);
    run_alone(d, 0); // the first run may compile
    pieces = checksum(d);
    for (size_t k = 0; k < d->kernel_count; ++k) {
        set_step(d);
        run_part(d, d->kernels[k].together);
        d->kernels[k].alone_ns[0] = 0;
    }
    for (size_t round = 0; round < rounds; ++round) {
        for (size_t k = 0; k < d->kernel_count; ++k) {
            run_whole(d, &d->whole_ns[d->whole_count], &d->whole_device_ns[d->whole_count]);
            ++d->whole_count;
            set_step(d);
            d->kernels[k].together_ns[round] = run_part(d, d->kernels[k].together);
        }
        run_alone(d, round);
    }
    run_whole(d, &unused[0], &unused[1]);
    return pieces == expected && checksum(d) == expected;
}

static int by_time(const void *a, const void *b)
{
    double x = ((const struct kernel *)a)->ns, y = ((const struct kernel *)b)->ns;
    return (x < y) - (x > y);
}

// True where the pass is within the limit.
static bool print_table(struct decode *d, size_t rounds)
{
    double sum = 0, whole = median(d->whole_ns, d->whole_count),
           whole_device = median(d->whole_device_ns, d->whole_count);
    for (size_t k = 0; k < d->kernel_count; ++k) {
        struct kernel *kernel = &d->kernels[k];
        double alone = median(kernel->alone_ns, rounds), together = median(kernel->together_ns, rounds);
        kernel->alone_ns[0] = alone;
        kernel->together_ns[0] = together;
        kernel->ns = alone < together ? alone : together;
        sum += kernel->ns;
    }
    qsort(d->kernels, d->kernel_count, sizeof(d->kernels[0]), by_time);
    printf("%-44s %10s %11s %13s %8s\n", "kernel", "dispatches", "alone ms", "together ms", "share");
    for (size_t k = 0; k < d->kernel_count; ++k)
        printf("%-44s %10zu %11.4f %13.4f %6.1f %%\n", d->kernels[k].name, d->kernels[k].count,
               d->kernels[k].alone_ns[0] * 1e-6, d->kernels[k].together_ns[0] * 1e-6, 100 * d->kernels[k].ns / sum);
    // Of a quarter of the passes each.
    double low = d->whole_ns[d->whole_count / 4], high = d->whole_ns[d->whole_count * 3 / 4];
    printf("sum of the kernels   %10.4f ms   by %s\n", sum * 1e-6,
           d->has_device_time ? "the device's clock" : "the host's clock, submissions among it");
    printf("the whole pass       %10.4f ms   by the host's clock; %zu passes, the middle half %.4f to %.4f\n",
           whole * 1e-6, d->whole_count, low * 1e-6, high * 1e-6);
    if (d->has_device_time)
        printf(
            "                     %10.4f ms   by the device's, from its first kernel's begin to its last one's end\n",
            whole_device * 1e-6);
    bool is_within = whole <= MOST * sum;
    printf("whole / sum          %10.4f      at most %.2f is asked for: %s\n", whole / sum, MOST,
           is_within ? "PASS" : "FAIL");
    return is_within;
}

// ---- A scheme -------------------------------------------------------------------------------------------------------

static bool measure(struct qm_device *device, const struct qm_model *model, const char *name, size_t rounds)
{
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    struct qm_network *network = NULL;
    struct decode d = {.device = device};
    const char *temporary = getenv("TMPDIR");
    check(qm_scheme_parse(name, &scheme));
    check(qm_artifact_build(&(struct qm_artifact_params){.model = model,
                                                         .scheme = &scheme,
                                                         .scratch_directory = temporary ? temporary : "/tmp"},
                            &artifact));
    struct qm_engine_params params = {.device = device,
                                      .config = artifact->config,
                                      .context =
                                          artifact->config.context < CONTEXT ? artifact->config.context : CONTEXT,
                                      .rows = 1,
                                      .sequences = 1,
                                      .slots = 1};
    params.tile = qm_kernel_tile(device->info, qm_engine_largest_read_bytes(&params));
    uint32_t *tokens = room(params.context + 1, sizeof(*tokens));
    for (uint32_t i = 0; i <= params.context; ++i)
        tokens[i] = (i * 7919 + 17) % artifact->config.vocabulary;
    check(qm_engine_create(&params, &d.engine));
    check(qm_engine_write_tokens(d.engine, tokens, 1));
    check(qm_network_create(d.engine, artifact, &scheme, &network));
    check(qm_pass_create(network, &(struct qm_pass_params){1, 1, 0, 0}, &d.pass));
    struct qm_network_memory memory;
    qm_network_memory(network, &memory);
    take_apart(&d);
    printf("\n%s: %.1f MB of weights, %zu dispatches of %zu kernels, tile %s\n\n", name,
           (double)memory.weight_bytes * 1e-6, d.count, d.kernel_count, params.tile);
    fflush(stdout);
    bool is_same_logits = time_all(&d, rounds), is_within = print_table(&d, rounds);
    printf("logits               %s\n", is_same_logits ? "the pass in pieces leaves the same checksum"
                                                       : "WRONG: the pass in pieces leaves another checksum");
    fflush(stdout);
    put_together(&d);
    qm_pass_destroy(&d.pass);
    qm_network_destroy(&network);
    qm_engine_destroy(&d.engine);
    qm_artifact_destroy(&artifact);
    free(tokens);
    return is_same_logits && is_within;
}

static struct qm_device *open_device(const char *name)
{
    static struct qm_device_info infos[DEVICES_MAX];
    struct qm_device *device = NULL;
    for (const struct qm_backend *const *backend = qm_backends; *backend; ++backend) {
        size_t count = 0;
        if ((*backend)->enumerate(infos, DEVICES_MAX, &count) != QM_OK)
            continue;
        for (size_t i = 0; i < count && i < DEVICES_MAX; ++i)
            if (strcmp(infos[i].id, name) == 0 || strcmp(infos[i].api, name) == 0 ||
                strcmp(infos[i].driver_name, name) == 0) {
                check((*backend)->open(&infos[i], &(struct qm_open_params){0}, &device));
                return device;
            }
    }
    fprintf(stderr, "qm_decode_overhead: there is no device %s; `qmark devices` lists them\n", name);
    exit(77);
}

int main(int argc, char **argv)
{
    static char *const usual[] = {"w4a16-g32", "f16"};
    char *const *schemes = argc > 4 ? argv + 4 : usual;
    int scheme_count = argc > 4 ? argc - 4 : 2;
    size_t rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : 7;
    struct qm_model *model = NULL;
    bool is_within = true;
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX)
        stop("usage: qm_decode_overhead DIRECTORY [DEVICE [ROUNDS [SCHEME...]]]; 1 to 99 rounds");
    struct qm_device *device = open_device(argc > 2 ? argv[2] : "pocl");
    check(qm_model_load(argv[1], 256, &model));
    struct qm_host host;
    qm_host_describe(&host);
    printf("%.3f thousand million weights; %s, %s, %s; %u cores of %s\n",
           (double)qm_model_config_own_weights(&model->config) * 1e-9, device->info->name, device->info->api,
           device->info->driver, host.cores, host.processor);
    for (int i = 0; i < scheme_count; ++i)
        is_within = measure(device, model, schemes[i], rounds) && is_within;
    qm_model_destroy(&model);
    device->fns->destroy(&device);
    return is_within ? 0 : 1;
}
