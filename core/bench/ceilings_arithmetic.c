// Ceilings of arithmetic and of local memory: candidates, and what their results must be. kernels/probe_arithmetic.h and
// kernels/probe_local.h say what they compute.
#include "bench/ceilings_internal.h"

#include "base/numeric.h"
#include "kernel/kernels.h"
#include "kernel_arguments.h"
#include "sys/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CANDIDATES_MAX = 16,
    FIRST_CHAINS = 8,  // of every width; others of the best width alone
    STARTS = 64,       // invocations that begin differently
    RESULTS = 1 << 21, // invocations at most
    STEPS = 8,         // of a trip
    LOCAL_WORDS = 2048,
    LOCAL_LOADS = 8
};

#define MIX 2654435761u
#define DOT_FACTORS 0x05fb037fu // 127, 3, -5, 5

static const struct arithmetic {
    enum qm_ceiling_kind kind;
    const char *definition;
    const char *capability; // that the device must tell of; NULL: none
    double share;           // of the budget
    double operations;      // of a lane's step
    uint32_t inputs[4];     // of the kernel: a, b, q
} arithmetics[] = {
    {QM_CEILING_FP32, "-DQM_PROBE_F32 ", NULL, 0.14, 2, {0x3f800000u, 0x3d800000u}}, // 1 and 1/16
    {QM_CEILING_FP16, "-DQM_FP16 ", "fp16", 0.08, 2, {0xbf800000u, 0x40400000u}},    // -1 and 3
    {QM_CEILING_INT32, "-DQM_PROBE_I32 ", NULL, 0.14, 2, {1664525u, 1013904223u}},
    {QM_CEILING_DOT8, "-DQM_PACKED_DOT ", "packed_dot", 0.08, 8, {0, 0, DOT_FACTORS}},
};

struct candidate {
    struct qm_ceiling_probe probe;
    uint32_t width, chains;
};

struct race {
    struct qm_ceilings_work *work;
    const struct arithmetic *arithmetic;
    struct qm_ceiling *ceiling;
    struct qm_buffer *inputs, *results;
    struct candidate candidates[CANDIDATES_MAX];
    size_t count;
    uint32_t results_most;
};

// ---- What must come out -------------------------------------------------------------------------------------------

static uint32_t dot4(uint32_t a, uint32_t b)
{
    int32_t sum = 0;
    for (int i = 0; i < 32; i += 8)
        sum += (int8_t)(uint8_t)(a >> i) * (int8_t)(uint8_t)(b >> i);
    return (uint32_t)sum;
}

// The words of the first 64 invocations; further ones repeat them.
static void expect(const struct race *race, const struct candidate *c, uint32_t trips, uint32_t words[STARTS])
{
    const enum qm_ceiling_kind kind = race->arithmetic->kind;
    const uint32_t *inputs = race->arithmetic->inputs;
    const uint32_t steps = trips * STEPS;
    uint32_t power = 1, offset = 0, trail = 1; // x becomes x power + offset
    for (uint32_t step = 0; step < steps; ++step) {
        power *= inputs[0];
        offset = offset * inputs[0] + inputs[1];
        trail = step % STEPS == 0 ? trail * 1664525u + 1013904223u : trail;
    }
    for (uint32_t i = 0; i < STARTS; ++i) {
        uint32_t mixed = kind == QM_CEILING_FP16 ? trail : 1;
        for (uint32_t at = 0; at < c->chains * c->width; ++at) {
            uint32_t s = i + at / c->width * 16 + at % c->width, bits = s * MIX + 1;
            if (kind == QM_CEILING_FP32)
                bits = qm_bits_from_float((float)s * 0.0625f + (float)steps * 0.0625f);
            else if (kind == QM_CEILING_FP16)
                bits = qm_bits_from_float(steps % 2 ? 3.0f - (float)s : (float)s);
            else if (kind == QM_CEILING_INT32)
                bits = bits * power + offset;
            else
                for (uint32_t step = 0; step < steps; ++step)
                    bits += dot4(bits, inputs[2]);
            mixed = (mixed ^ bits) * MIX;
        }
        words[i] = mixed;
    }
}

static enum qm_status check(struct race *race, struct candidate *c)
{
    uint32_t expected[STARTS], count = c->probe.dispatch.parameters[0], *got = malloc((size_t)count * 4);
    if (!got)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %u results of a probe", count);
    expect(race, c, c->probe.dispatch.parameters[1], expected);
    struct qm_device *device = race->work->device;
    enum qm_status status = device->fns->buffer_read(device, race->results, 0, got, (uint64_t)count * 4);
    for (uint32_t i = 0; i < count && status == QM_OK; ++i) {
        if (got[i] != expected[i % STARTS])
            status = QM_FAIL(QM_WRONG_RESULT, "%s: invocation %u gives 0x%08x after %u trips, expected 0x%08x",
                             c->probe.variant->name, i, got[i], c->probe.dispatch.parameters[1], expected[i % STARTS]);
    }
    free(got);
    return status;
}

// ---- Racing -------------------------------------------------------------------------------------------------------

static bool offers(const struct qm_device_info *info, const char *capability)
{
    for (uint32_t i = 0; i < info->capability_count; ++i)
        if (strcmp(info->capabilities[i].name, capability) == 0)
            return info->capabilities[i].advertised && (!info->capabilities[i].tried || info->capabilities[i].works);
    return false;
}

// Those of the device's base tile with the width, or where that is 0 one of every width with FIRST_CHAINS. What cannot be
// compiled is left out; race->ceiling has the last reason.
static enum qm_status enter(struct race *race, uint32_t width)
{
    const struct qm_device_info *info = race->work->device->info;
    const char *tile = qm_kernel_tile(info, QM_KERNEL_BASE_TIER);
    for (size_t i = 0; i < qm_kernel_variant_count && race->count < CANDIDATES_MAX; ++i) {
        const struct qm_kernel_variant *v = &qm_kernel_variants[i];
        struct candidate *c = &race->candidates[race->count];
        if (strcmp(v->kernel, "probe_arithmetic") != 0 || !qm_ceiling_suits(v, tile) ||
            !strstr(v->definitions, race->arithmetic->definition))
            continue;
        c->width = qm_kernel_definition(v, "QM_WIDTH", 1);
        c->chains = qm_kernel_definition(v, "QM_CHAINS", 1);
        if (c->width > 4 && strcmp(info->api, "vulkan") == 0)
            continue; // GLSL has no such vectors
        if ((c->chains == FIRST_CHAINS) != (width == 0) || (width != 0 && c->width != width))
            continue;
        enum qm_status status = qm_ceiling_probe_create(race->work, v, &c->probe);
        if (status == QM_OK)
            ++race->count;
        else
            QM_TRY(qm_ceiling_answer(race->ceiling, status));
    }
    return QM_OK;
}

static enum qm_status record(struct race *race, struct candidate *c, uint32_t groups)
{
    struct qm_ceiling_probe *p = &c->probe;
    uint32_t size = p->variant->workgroup[0], trips = race->work->trips;
    p->dispatch.groups[0] = groups;
    p->dispatch.groups[1] = p->dispatch.groups[2] = 1;
    p->dispatch.parameters[0] = groups * size;
    p->dispatch.parameters[1] = trips;
    p->dispatch.bindings[0] = (struct qm_binding){race->inputs, 0, sizeof(race->arithmetic->inputs)};
    p->dispatch.bindings[1] = (struct qm_binding){race->results, 0, (uint64_t)groups * size * 4};
    p->work = race->arithmetic->operations * c->width * c->chains * STEPS * trips * groups * size;
    QM_TRY(qm_ceiling_probe_record(race->work, p));
    if (p->samples == 0)
        QM_TRY(qm_ceiling_probe_sample(race->work, p)); // some drivers compile when it runs for the first time
    return qm_ceiling_probe_sample(race->work, p);
}

// As many workgroups as take `least_ns`.
static enum qm_status calibrate(struct race *race, struct candidate *c, double least_ns)
{
    const struct qm_device_info *info = race->work->device->info;
    uint32_t size = c->probe.variant->workgroup[0], most = race->results_most / size;
    most = most > info->max_groups[0] ? info->max_groups[0] : most;
    uint32_t groups = info->type == QM_DEVICE_CPU ? 16 : 256;
    groups = groups > most ? most : groups;
    for (int i = 0; i < 12; ++i) {
        QM_TRY(record(race, c, groups));
        if (c->probe.last_ns >= least_ns * 0.75 || groups == most)
            break;
        double wanted = 1.1 * groups * least_ns / c->probe.last_ns, bound = 16.0 * groups;
        wanted = wanted > bound ? bound : wanted;
        groups = wanted > most ? most : (uint32_t)wanted + 1;
    }
    return QM_OK;
}

static double rate_of(const struct qm_ceiling_probe *p)
{
    return p->best_ns > 0 ? p->work / p->best_ns * 1e9 : 0;
}

static const struct candidate *fastest(const struct race *race)
{
    const struct candidate *best = &race->candidates[0];
    for (size_t i = 1; i < race->count; ++i)
        best = rate_of(&race->candidates[i].probe) > rate_of(&best->probe) ? &race->candidates[i] : best;
    return best;
}

// One round of all, but of those that are at less than half of the best: they will not be the best.
static enum qm_status run_round(struct race *race)
{
    const double best = rate_of(&fastest(race)->probe);
    for (size_t i = 0; i < race->count; ++i) {
        struct qm_ceiling_probe *p = &race->candidates[i].probe;
        p->is_out = p->is_out || rate_of(p) < 0.5 * best;
        if (!p->is_out)
            QM_TRY(qm_ceiling_probe_sample(race->work, p));
    }
    return QM_OK;
}

// Enters candidates, brings them to the length of a sample, and checks what they gave: it is the same every time.
static enum qm_status admit(struct race *race, uint32_t width, double least_ns)
{
    size_t first = race->count;
    QM_TRY(enter(race, width));
    for (size_t i = first; i < race->count; ++i) {
        struct candidate *c = &race->candidates[i];
        enum qm_status status = calibrate(race, c, least_ns);
        if (status == QM_OK)
            status = check(race, c);
        if (status == QM_WRONG_RESULT)
            return status;
        if (status != QM_OK) { // it drops out, and is a reason where nothing else is left
            c->probe.best_ns = 0;
            c->probe.is_out = true;
            QM_TRY(qm_ceiling_answer(race->ceiling, status));
        }
    }
    return QM_OK;
}

static enum qm_status run(struct race *race)
{
    struct qm_ceilings_work *work = race->work;
    const double share = race->arithmetic->share, least_ns = qm_ceiling_sample_ns(work, share, 6);
    QM_TRY(admit(race, 0, least_ns));
    if (race->count == 0)
        return QM_OK;
    QM_TRY(run_round(race));
    QM_TRY(run_round(race));
    QM_TRY(admit(race, fastest(race)->width, least_ns));
    const uint64_t began_ns = qm_clock_ns();
    for (uint32_t round = 0; qm_ceiling_goes_on(work, share, began_ns, round); ++round)
        QM_TRY(run_round(race));
    for (size_t i = 0; i < race->count; ++i) {
        const struct candidate *c = &race->candidates[i];
        double before = race->ceiling->rate;
        race->ceiling->candidates += rate_of(&c->probe) > 0;
        qm_ceiling_offer(race->ceiling, &c->probe, rate_of(&c->probe));
        if (race->ceiling->rate > before) {
            race->ceiling->vector_width = c->width;
            race->ceiling->chains = c->chains;
        }
    }
    return QM_OK;
}

static enum qm_status measure(struct qm_ceilings_work *work, const struct arithmetic *arithmetic)
{
    struct qm_device *device = work->device;
    struct race race = {.work = work, .arithmetic = arithmetic, .ceiling = &work->out->of[arithmetic->kind]};
    enum qm_status status;
    if (!qm_ceiling_begins(work, arithmetic->kind))
        return QM_OK;
    if (arithmetic->capability && !offers(device->info, arithmetic->capability))
        return qm_ceiling_answer(race.ceiling, QM_FAIL(QM_UNSUPPORTED, "the device does not offer %s through this API",
                                                       arithmetic->capability));
    race.results_most = RESULTS;
    while ((uint64_t)race.results_most * 4 > device->info->max_binding_bytes)
        race.results_most /= 2;
    QM_GUARD(device->fns->buffer_create(device, sizeof(arithmetic->inputs), &race.inputs));
    QM_GUARD(device->fns->buffer_write(device, race.inputs, 0, arithmetic->inputs, sizeof(arithmetic->inputs)));
    QM_GUARD(device->fns->buffer_create(device, (uint64_t)race.results_most * 4, &race.results));
    status = run(&race);
done:
    if (status != QM_OK)
        status = qm_ceiling_answer(race.ceiling, status);
    for (size_t i = 0; i < race.count; ++i)
        qm_ceiling_probe_destroy(work, &race.candidates[i].probe);
    device->fns->buffer_destroy(device, &race.inputs);
    device->fns->buffer_destroy(device, &race.results);
    return status;
}

// ---- Local memory -------------------------------------------------------------------------------------------------

static enum qm_status check_local(struct qm_ceilings_work *work, const struct qm_ceiling_probe *p,
                                  struct qm_buffer *results)
{
    const uint32_t size = p->variant->workgroup[0], count = p->dispatch.parameters[0],
                   trips = p->dispatch.parameters[1];
    uint32_t sums[1024] = {0}, *got = size > 0 && size <= 1024 ? malloc((size_t)count * 4) : NULL;
    if (!got)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %u results of a probe", count);
    for (uint32_t local = 0; local < size; ++local)
        for (uint32_t step = 0; step < trips * LOCAL_LOADS; ++step)
            sums[local] += ((step * size + local) % LOCAL_WORDS + 1) * MIX;
    enum qm_status status = work->device->fns->buffer_read(work->device, results, 0, got, (uint64_t)count * 4);
    for (uint32_t i = 0; i < count && status == QM_OK; ++i) {
        if (got[i] != sums[i % size] + i)
            status = QM_FAIL(QM_WRONG_RESULT, "%s: invocation %u gives 0x%08x after %u trips, expected 0x%08x",
                             p->variant->name, i, got[i], trips, sums[i % size] + i);
    }
    free(got);
    return status;
}

static enum qm_status race_local(struct qm_ceilings_work *work, struct qm_ceiling_probe *p, struct qm_buffer *results)
{
    const double share = 0.04, least_ns = qm_ceiling_sample_ns(work, share, 1);
    const uint32_t size = p->variant->workgroup[0], most = (1 << 18) / size;
    uint64_t began_ns = qm_clock_ns();
    for (uint32_t groups = 8;;) {
        p->dispatch.groups[0] = groups;
        p->dispatch.groups[1] = p->dispatch.groups[2] = 1;
        p->dispatch.parameters[0] = groups * size;
        p->dispatch.parameters[1] = work->trips / 4;
        p->dispatch.bindings[0] = (struct qm_binding){results, 0, (uint64_t)groups * size * 4};
        p->work = 4.0 * LOCAL_LOADS * p->dispatch.parameters[1] * groups * size;
        QM_TRY(qm_ceiling_probe_record(work, p));
        QM_TRY(qm_ceiling_probe_sample(work, p));
        if (p->last_ns >= least_ns * 0.75 || groups == most)
            break;
        double wanted = 1.1 * groups * least_ns / p->last_ns;
        groups = wanted > most ? most : (uint32_t)wanted + 1;
    }
    for (uint32_t round = 0; qm_ceiling_goes_on(work, share, began_ns, round); ++round)
        QM_TRY(qm_ceiling_probe_sample(work, p));
    return check_local(work, p, results);
}

static enum qm_status measure_local(struct qm_ceilings_work *work)
{
    struct qm_ceiling *ceiling = &work->out->of[QM_CEILING_LOCAL];
    struct qm_ceiling_probe probe = {0};
    struct qm_buffer *results = NULL;
    enum qm_status status;
    if (!qm_ceiling_begins(work, QM_CEILING_LOCAL))
        return QM_OK;
    QM_GUARD(work->device->fns->buffer_create(work->device, (uint64_t)4 << 18, &results));
    QM_GUARD(qm_ceiling_probe_create(work, qm_kernel_find("probe_local", "wide"), &probe));
    QM_GUARD(race_local(work, &probe, results));
    ++ceiling->candidates;
    qm_ceiling_offer(ceiling, &probe, rate_of(&probe));
done:
    if (status != QM_OK)
        status = qm_ceiling_answer(ceiling, status);
    qm_ceiling_probe_destroy(work, &probe);
    work->device->fns->buffer_destroy(work->device, &results);
    return status;
}

enum qm_status qm_ceilings_arithmetic(struct qm_ceilings_work *work)
{
    for (size_t i = 0; i < sizeof(arithmetics) / sizeof(arithmetics[0]); ++i)
        QM_TRY(measure(work, &arithmetics[i]));
    return measure_local(work);
}
