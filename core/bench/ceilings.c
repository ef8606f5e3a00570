// Measuring ceilings; see ceilings.h. Here: the order, the time, and what all probes share.
#include "bench/ceilings_internal.h"

#include "kernel/kernels.h"
#include "sys/heartbeat.h"
#include "sys/host.h"

#include <stdio.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

// ---- What all probes share ----------------------------------------------------------------------------------------

enum qm_status qm_ceiling_probe_create(struct qm_ceilings_work *work, const struct qm_kernel_variant *variant,
                                       struct qm_ceiling_probe *probe)
{
    memset(probe, 0, sizeof(*probe));
    probe->variant = qm_kernel_planted(variant);
    qm_heartbeat_note("compilation of kernel %s", variant->name);
    QM_TRY(work->device->fns->kernel_create(work->device, probe->variant, &probe->kernel));
    probe->dispatch.kernel = probe->kernel;
    return QM_OK;
}

void qm_ceiling_probe_destroy(struct qm_ceilings_work *work, struct qm_ceiling_probe *probe)
{
    work->device->fns->program_destroy(work->device, &probe->program);
    work->device->fns->kernel_destroy(work->device, &probe->kernel);
}

enum qm_status qm_ceiling_probe_record(struct qm_ceilings_work *work, struct qm_ceiling_probe *probe)
{
    work->device->fns->program_destroy(work->device, &probe->program);
    probe->best_ns = 0;
    struct qm_program_params params = {&probe->dispatch, 1, work->step};
    return work->device->fns->program_create(work->device, &params, &probe->program);
}

enum qm_status qm_ceiling_probe_sample(struct qm_ceilings_work *work, struct qm_ceiling_probe *probe)
{
    uint64_t device_ns = 0;
    struct qm_timing timing = {.repeat_device_ns = &device_ns};
    struct qm_run_policy policy = {.repeats_per_submission = 1};
    QM_TRY(work->device->fns->run(work->device, probe->program, 1, &policy, &timing));
    probe->device_time = timing.has_device_time && device_ns > 0;
    probe->last_ns = (double)(probe->device_time ? device_ns : timing.wall_ns);
    probe->last_ns = probe->last_ns > 1 ? probe->last_ns : 1;
    if (!(probe->best_ns > 0) || probe->last_ns < probe->best_ns)
        probe->best_ns = probe->last_ns;
    ++probe->samples;
    return QM_OK;
}

bool qm_ceiling_suits(const struct qm_kernel_variant *variant, const char *tile)
{
    char name[64];
    snprintf(name, sizeof(name), "%.*s", (int)(strrchr(variant->name, '-') - variant->name), variant->name);
    return qm_kernel_find(name, tile) == variant;
}

double qm_ceiling_sample_ns(const struct qm_ceilings_work *work, double share, size_t candidates)
{
    const struct qm_device_info *info = work->device->info;
    // By the host's clock a sample holds a round trip, which must not show.
    double ticks_ns = info->timestamp_valid_bits ? 1000.0 * info->timestamp_period_ns : 6e6;
    double ns = share * (double)work->budget_ns / (double)(candidates * 6 + 1);
    ns = ns > 4e6 ? 4e6 : ns;
    ns = ns > 2e5 ? ns : 2e5;
    return ns > ticks_ns ? ns : ticks_ns;
}

bool qm_ceiling_goes_on(const struct qm_ceilings_work *work, double share, uint64_t began_ns, uint32_t round)
{
    double spent_ns = (double)(qm_clock_ns() - began_ns), share_ns = share * (double)work->budget_ns;
    if (round == 0)
        return true;
    // The fewest rounds may take twice the share; more are run while it lasts.
    return round < QM_CEILING_ROUNDS_LEAST ? spent_ns < 2 * share_ns
                                           : round < QM_CEILING_ROUNDS_MOST && spent_ns < share_ns;
}

bool qm_ceiling_begins(struct qm_ceilings_work *work, enum qm_ceiling_kind kind)
{
    if (work->params->kinds != 0 && !(work->params->kinds >> kind & 1))
        return false;
    qm_heartbeat_note("ceiling of %s", qm_ceiling_name(kind));
    if (work->params->progress)
        work->params->progress(work->params->progress_context, qm_ceiling_name(kind), work->done, QM_CEILING_COUNT);
    ++work->done;
    return true;
}

enum qm_status qm_ceiling_answer(struct qm_ceiling *ceiling, enum qm_status status)
{
    ceiling->status = status;
    ceiling->rate = 0;
    snprintf(ceiling->reason, sizeof(ceiling->reason), "%s", status == QM_OK ? "" : qm_error_text());
    return status == QM_DEVICE_LOST || status == QM_TIMEOUT || status == QM_INTERRUPTED ? status : QM_OK;
}

void qm_ceiling_offer(struct qm_ceiling *ceiling, const struct qm_ceiling_probe *probe, double rate)
{
    ceiling->samples += probe->samples;
    if (ceiling->status == QM_WRONG_RESULT || !(rate > ceiling->rate))
        return;
    ceiling->status = QM_OK;
    ceiling->reason[0] = '\0';
    ceiling->rate = rate;
    ceiling->device_time = probe->device_time;
    ceiling->workgroup = probe->variant->workgroup[0] * probe->variant->workgroup[1];
    const char *tile = strrchr(probe->variant->name, '-');
    snprintf(ceiling->probe, sizeof(ceiling->probe), "%.*s", (int)(tile - probe->variant->name), probe->variant->name);
    snprintf(ceiling->tile, sizeof(ceiling->tile), "%s", tile + 1);
}

// ---- Latency and transfers ----------------------------------------------------------------------------------------

// `count` dispatches that move the step buffer on by one each; the shortest time is the host's, from call to return.
struct chain {
    struct qm_program *program;
    uint32_t count;
    double best_ns;
};

static enum qm_status chain_run(struct qm_ceilings_work *work, struct chain *chain, uint64_t *expected)
{
    struct qm_timing timing = {0};
    struct qm_run_policy policy = {.repeats_per_submission = 1};
    QM_TRY(work->device->fns->run(work->device, chain->program, 1, &policy, &timing));
    *expected += chain->count;
    if (!(chain->best_ns > 0) || (double)timing.wall_ns < chain->best_ns)
        chain->best_ns = (double)timing.wall_ns;
    return QM_OK;
}

static enum qm_status launch_run(struct qm_ceilings_work *work, struct chain chains[2], uint32_t *rounds)
{
    const uint64_t began_ns = qm_clock_ns();
    uint64_t expected = 0;
    for (*rounds = 0;
         *rounds < 200 && (*rounds < 3 || (double)(qm_clock_ns() - began_ns) < 0.04 * (double)work->budget_ns);
         ++*rounds) {
        for (int i = 0; i < 4; ++i) // a single one is soon done; it takes more of them to catch the best
            QM_TRY(chain_run(work, &chains[0], &expected));
        QM_TRY(chain_run(work, &chains[1], &expected));
    }
    uint32_t head[3];
    QM_TRY(work->device->fns->buffer_read(work->device, work->step, 0, head, sizeof(head)));
    if (head[0] != (uint32_t)expected || head[1] != 0)
        return QM_FAIL(QM_WRONG_RESULT, "%u of %llu dispatches were carried out", head[0],
                       (unsigned long long)expected);
    return QM_OK;
}

static enum qm_status measure_latency(struct qm_ceilings_work *work)
{
    struct qm_device *device = work->device;
    struct chain chains[2] = {{.count = 1}, {.count = 257}};
    struct qm_ceiling *launch = &work->out->of[QM_CEILING_LAUNCH], *trip = &work->out->of[QM_CEILING_ROUND_TRIP];
    struct qm_ceiling_probe probe = {0};
    struct qm_dispatch dispatches[257];
    uint32_t zero[QM_STEP_HEAD_WORDS] = {0}, rounds = 0;
    enum qm_status status;
    bool is_wanted = qm_ceiling_begins(work, QM_CEILING_LAUNCH);
    if (!qm_ceiling_begins(work, QM_CEILING_ROUND_TRIP) && !is_wanted)
        return QM_OK;
    QM_GUARD(device->fns->buffer_write(device, work->step, 0, zero, sizeof(zero)));
    QM_GUARD(qm_ceiling_probe_create(work, qm_kernel_find("advance", "narrow"), &probe));
    probe.dispatch.bindings[0] = (struct qm_binding){work->step, 0, QM_STEP_WORDS * 4};
    probe.dispatch.parameters[0] = 1;
    probe.dispatch.groups[0] = probe.dispatch.groups[1] = probe.dispatch.groups[2] = 1;
    for (uint32_t i = 0; i < chains[1].count; ++i)
        dispatches[i] = probe.dispatch;
    for (int i = 0; i < 2; ++i) {
        struct qm_program_params params = {dispatches, chains[i].count, work->step};
        QM_GUARD(device->fns->program_create(device, &params, &chains[i].program));
    }
    QM_GUARD(launch_run(work, chains, &rounds));
    launch->candidates = trip->candidates = 1;
    probe.samples = rounds;
    double each = (chains[1].best_ns - chains[0].best_ns) / (chains[1].count - chains[0].count);
    qm_ceiling_offer(launch, &probe, each > 1 ? each : 1);
    probe.samples = rounds * 4;
    qm_ceiling_offer(trip, &probe, chains[0].best_ns);
done:
    if (status != QM_OK) {
        enum qm_status answer = qm_ceiling_answer(launch, status);
        *trip = *launch;
        status = answer;
    }
    device->fns->program_destroy(device, &chains[0].program);
    device->fns->program_destroy(device, &chains[1].program);
    qm_ceiling_probe_destroy(work, &probe);
    return status;
}

// ---- All ----------------------------------------------------------------------------------------------------------

// The largest power of two that limits and memory allow for one of two buffers.
static uint64_t largest_buffer(const struct qm_device *device, uint64_t wanted)
{
    struct qm_memory memory = {.left_bytes = UINT64_MAX};
    const struct qm_device_info *info = device->info;
    ((struct qm_device *)(uintptr_t)device)->fns->memory((struct qm_device *)(uintptr_t)device, &memory);
    uint64_t most = wanted ? wanted : info->type == QM_DEVICE_CPU ? (uint64_t)(128 * MIB) : (uint64_t)(256 * MIB);
    const uint64_t limits[] = {info->max_binding_bytes, info->max_allocation_bytes, memory.left_bytes / 8,
                               info->memory_bytes ? info->memory_bytes / 16 : UINT64_MAX};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); ++i)
        most = limits[i] < most ? limits[i] : most;
    uint64_t bytes = 1 << 16;
    while (bytes * 2 <= most)
        bytes *= 2;
    return bytes;
}

static void note_fp16(struct qm_ceilings *out)
{
    struct qm_ceiling *half = &out->of[QM_CEILING_FP16];
    const struct qm_ceiling *single = &out->of[QM_CEILING_FP32];
    if (half->rate > 0 && half->rate < single->rate)
        snprintf(half->note, sizeof(half->note), "slower than fp32: %.2f of its rate", half->rate / single->rate);
}

enum qm_status qm_ceilings_measure(struct qm_device *device, const struct qm_ceilings_params *params,
                                   struct qm_ceilings *out)
{
    const uint64_t began_ns = qm_clock_ns();
    memset(out, 0, sizeof(*out));
    bool is_reference = strcmp(device->info->api, "reference") == 0;
    for (int i = 0; i < QM_CEILING_COUNT; ++i) {
        out->of[i].status = QM_UNSUPPORTED;
        snprintf(out->of[i].reason, sizeof(out->of[i].reason), "%s",
                 is_reference             ? "the reference runs formulas, not kernels: it has no ceilings"
                 : i == QM_CEILING_MATRIX ? "there is no probe of cooperative matrices yet"
                                          : "not measured");
    }
    if (is_reference)
        return QM_OK;
    struct qm_ceilings_work work = {.device = device, .out = out, .params = params};
    work.budget_ns = params->budget_ns ? params->budget_ns : 5000000000ull;
    work.trips = params->trips ? params->trips : 500;
    work.max_bytes = largest_buffer(device, params->max_bytes);
    enum qm_status status = QM_OK;
    QM_GUARD(device->fns->buffer_create(device, QM_STEP_WORDS * 4, &work.step));
    QM_GUARD(qm_ceilings_arithmetic(&work));
    QM_GUARD(qm_ceilings_memory(&work));
    QM_GUARD(measure_latency(&work));
    note_fp16(out);
done:
    device->fns->buffer_destroy(device, &work.step);
    out->seconds = (double)(qm_clock_ns() - began_ns) * 1e-9;
    return status;
}
