// Ceilings of memory over sizes, and of transfers between host and device. kernels/probe_memory.h says which words a probe
// touches in which order, and what stands in them.
#include "bench/ceilings_internal.h"

#include "kernel/kernels.h"
#include "kernel_arguments.h"
#include "sys/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CANDIDATES_MAX = 32,
    PIECE_WORDS = 1 << 20, // that the host makes or compares at once
    LOADS = 4,             // vectors a trip
    TRIPS_MOST = 60000,
    RESULTS = 1 << 21
};

#define SHARE 0.4
#define TRANSFER_SHARE 0.08
#define TRANSFER_BYTES ((uint64_t)64 << 20)

struct candidate {
    struct qm_ceiling_probe probe;
    enum qm_ceiling_kind kind;
    bool is_interleaved;
    uint32_t words;  // of a vector
    uint32_t places; // invocations that share a chunk
    uint32_t chunks, shift;
    uint32_t poor; // sizes in turn at which it was less than half of the best
};

struct memory {
    struct qm_ceilings_work *work;
    struct qm_buffer *source, *target, *results;
    uint32_t *piece; // [PIECE_WORDS]
    struct candidate candidates[CANDIDATES_MAX];
    size_t count;
    uint32_t seed; // of the latest probe that wrote
    uint64_t began_ns;
};

// ---- What stands in memory ----------------------------------------------------------------------------------------

static inline uint32_t word_of(uint32_t w)
{
    uint32_t mixed = w * 2654435761u;
    return mixed ^ (mixed >> 15);
}

static enum qm_status fill(struct memory *m, struct qm_buffer *buffer, uint64_t words, bool is_data)
{
    for (uint64_t from = 0; from < words; from += PIECE_WORDS) {
        uint32_t count = words - from < PIECE_WORDS ? (uint32_t)(words - from) : PIECE_WORDS;
        for (uint32_t i = 0; i < count; ++i)
            m->piece[i] = is_data ? word_of((uint32_t)from + i) : 0x5e47195eu;
        QM_TRY(m->work->device->fns->buffer_write(m->work->device, buffer, from * 4, m->piece, (uint64_t)count * 4));
    }
    return QM_OK;
}

// Writing and copying tell how many trips they had.
static enum qm_status check_trail(struct memory *m, const struct candidate *c)
{
    const uint32_t count = c->chunks * c->places, trips = c->probe.dispatch.parameters[2] << c->shift;
    uint32_t trail = 1, *got = malloc((size_t)count * 4);
    if (!got)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %u results of a probe", count);
    for (uint32_t trip = 0; trip < trips; ++trip)
        trail = trail * 1664525u + 1013904223u;
    enum qm_status status = m->work->device->fns->buffer_read(m->work->device, m->results, 0, got, (uint64_t)count * 4);
    for (uint32_t i = 0; i < count && status == QM_OK; ++i)
        if (got[i] != trail * 2654435761u)
            status = QM_FAIL(QM_WRONG_RESULT, "%s: invocation %u did not run its %u trips", c->probe.variant->name, i,
                             trips);
    free(got);
    return status;
}

static enum qm_status compare_target(struct memory *m, const char *name, uint64_t words, uint32_t seed)
{
    for (uint64_t from = 0; from < words; from += PIECE_WORDS) {
        uint32_t count = words - from < PIECE_WORDS ? (uint32_t)(words - from) : PIECE_WORDS, first = (uint32_t)from;
        QM_TRY(m->work->device->fns->buffer_read(m->work->device, m->target, from * 4, m->piece, (uint64_t)count * 4));
        uint32_t differing = 0; // a loop without an end before its last, which compilers make vectors of
        for (uint32_t i = 0; i < count; ++i)
            differing |= m->piece[i] ^ word_of(first + i + seed);
        for (uint32_t i = 0; i < count && differing != 0; ++i)
            if (m->piece[i] != word_of(first + i + seed))
                return QM_FAIL(QM_WRONG_RESULT, "%s: word %u of %llu is 0x%08x, expected 0x%08x", name, first + i,
                               (unsigned long long)words, m->piece[i], word_of(first + i + seed));
    }
    return QM_OK;
}

// The sums that every invocation must have: `passes` chunks in turn, from its own.
static enum qm_status check_read(struct memory *m, const struct candidate *c)
{
    const uint32_t chunks = c->chunks, places = c->places, passes = c->probe.dispatch.parameters[2],
                   steps = LOADS << c->shift;
    const uint64_t count = (uint64_t)chunks * places;
    const uint32_t row = places * c->words; // of words that a step of a chunk's invocations loads, side by side
    uint32_t *sums = calloc(count, 4), *got = malloc(count * 4); // [chunk][place]
    uint32_t *lanes = malloc((size_t)row * 4);
    enum qm_status status = QM_OK;
    if (!sums || !got || !lanes) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %llu results of a probe", (unsigned long long)count);
        goto done;
    }
    for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
        memset(lanes, 0, (size_t)row * 4);
        for (uint32_t step = 0; step < steps; ++step) {
            uint32_t first = (chunk * steps + step) * row;
            for (uint32_t i = 0; i < row; ++i)
                lanes[i] += word_of(first + i);
        }
        for (uint32_t i = 0; i < row; ++i)
            sums[chunk * places + i / c->words] += lanes[i];
    }
    QM_GUARD(m->work->device->fns->buffer_read(m->work->device, m->results, 0, got, count * 4));
    for (uint32_t place = 0; place < places; ++place) {
        uint32_t all = 0, sum = 0;
        for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
            all += sums[chunk * places + place];
            sum += chunk < passes % chunks ? sums[chunk * places + place] : 0;
        }
        for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
            uint32_t expected = (passes / chunks * all + sum) * 2654435761u, is = got[chunk * places + place];
            if (is != expected) {
                status = QM_FAIL(QM_WRONG_RESULT, "%s: the sum of chunk %u is 0x%08x, expected 0x%08x",
                                 c->probe.variant->name, chunk, is, expected);
                goto done;
            }
            sum += sums[(chunk + passes % chunks) % chunks * places + place] - sums[chunk * places + place];
        }
    }
done:
    free(sums);
    free(got);
    free(lanes);
    return status;
}

// ---- Candidates ---------------------------------------------------------------------------------------------------

static bool suits(const struct qm_device_info *info, const struct qm_kernel_variant *v)
{
    const char *base = qm_kernel_tile(info, QM_KERNEL_BASE_TIER);
    const bool is_vector = strncmp(base, "vector", 6) == 0;
    // A driver that runs the invocations of a workgroup one after another has nothing to interleave.
    if (is_vector && strstr(v->definitions, "-DQM_INTERLEAVED"))
        return false;
    if (v->texel_bindings)
        return info->type == QM_DEVICE_CPU && strcmp(info->api, "vulkan") == 0 && info->max_texel_bytes >= 1 << 16;
    return qm_ceiling_suits(v, base) || (is_vector && qm_ceiling_suits(v, "narrow"));
}

static enum qm_status enter(struct memory *m)
{
    static const struct {
        const char *kernel;
        enum qm_ceiling_kind kind;
    } kernels[] = {{"probe_read", QM_CEILING_READ}, {"probe_write", QM_CEILING_WRITE}, {"probe_copy", QM_CEILING_COPY}};
    struct qm_ceilings_work *work = m->work;
    for (size_t k = 0; k < 3; ++k) {
        if (!qm_ceiling_begins(work, kernels[k].kind))
            continue;
        for (size_t i = 0; i < qm_kernel_variant_count && m->count < CANDIDATES_MAX; ++i) {
            const struct qm_kernel_variant *v = &qm_kernel_variants[i];
            struct candidate *c = &m->candidates[m->count];
            if (strcmp(v->kernel, kernels[k].kernel) != 0 || !suits(work->device->info, v))
                continue;
            c->kind = kernels[k].kind;
            c->is_interleaved = strstr(v->definitions, "-DQM_INTERLEAVED") != NULL;
            c->words = qm_kernel_definition(v, "QM_VW", 4);
            c->places = c->is_interleaved ? v->workgroup[0] : 1;
            enum qm_status status = qm_ceiling_probe_create(work, v, &c->probe);
            if (status == QM_OK) {
                ++m->count;
                ++work->out->of[c->kind].candidates;
            } else {
                QM_TRY(qm_ceiling_answer(&work->out->of[c->kind], status));
            }
        }
    }
    return QM_OK;
}

// ---- One size -----------------------------------------------------------------------------------------------------

static void bind(struct memory *m, struct candidate *c, uint64_t buffer_bytes, uint64_t result_count)
{
    struct qm_binding source = {m->source, 0, buffer_bytes}, target = {m->target, 0, buffer_bytes},
                      results = {m->results, 0, result_count * 4};
    c->probe.dispatch.bindings[0] = c->kind == QM_CEILING_WRITE ? target : source;
    c->probe.dispatch.bindings[1] = c->kind == QM_CEILING_COPY ? target : results;
    c->probe.dispatch.bindings[2] = results;
}

static enum qm_status record(struct memory *m, struct candidate *c, uint64_t buffer_bytes, uint32_t passes)
{
    struct qm_ceiling_probe *p = &c->probe;
    const uint32_t invocations = c->chunks * c->places, size = p->variant->workgroup[0];
    p->dispatch.groups[0] = (invocations + size - 1) / size;
    p->dispatch.groups[1] = p->dispatch.groups[2] = 1;
    const uint32_t parameters[] = {invocations, c->shift, passes, c->chunks - 1,
                                   c->kind == QM_CEILING_WRITE ? ++m->seed : 0};
    memcpy(p->dispatch.parameters, parameters, sizeof(parameters));
    bind(m, c, buffer_bytes, invocations);
    p->work = (double)buffer_bytes * passes * (c->kind == QM_CEILING_COPY ? 2 : 1);
    QM_TRY(qm_ceiling_probe_record(m->work, p));
    if (p->samples == 0)
        QM_TRY(qm_ceiling_probe_sample(m->work, p)); // some drivers compile when it runs for the first time
    return qm_ceiling_probe_sample(m->work, p);
}

// Cuts the data into chunks, and finds how many passes take `least_ns`.
static enum qm_status calibrate(struct memory *m, struct candidate *c, uint64_t bytes, double least_ns)
{
    const bool is_cpu = m->work->device->info->type == QM_DEVICE_CPU;
    const uint64_t buffer_bytes = c->kind == QM_CEILING_COPY ? bytes / 2 : bytes;
    const uint64_t trips = buffer_bytes / 4 / ((uint64_t)LOADS * c->words * c->places);
    uint64_t most = (is_cpu ? 4096 : c->is_interleaved ? 16384 : 1 << 20), chunks = is_cpu ? trips / 4 : trips;
    chunks = chunks > most ? most : chunks;
    c->probe.is_out |=
        chunks == 0 || (c->probe.variant->texel_bindings && buffer_bytes > m->work->device->info->max_texel_bytes);
    if (c->probe.is_out)
        return QM_OK;
    c->chunks = (uint32_t)chunks;
    c->shift = 0;
    while ((trips / chunks) >> (c->shift + 1) > 0)
        ++c->shift;
    if (c->kind == QM_CEILING_COPY)
        QM_TRY(fill(m, m->target, buffer_bytes / 4, false));
    uint32_t passes = 1, passes_most = TRIPS_MOST >> c->shift;
    for (int i = 0; i < 6; ++i) {
        QM_TRY(record(m, c, buffer_bytes, passes));
        if (c->probe.last_ns >= 0.75 * least_ns || passes >= passes_most)
            break;
        double wanted = 1.1 * passes * least_ns / c->probe.last_ns, bound = 64.0 * passes;
        wanted = wanted > bound ? bound : wanted;
        passes = wanted > passes_most ? passes_most : (uint32_t)wanted + 1;
    }
    return QM_OK;
}

static enum qm_status check(struct memory *m, struct candidate *c, uint64_t bytes)
{
    if (c->kind == QM_CEILING_READ)
        return check_read(m, c);
    uint64_t words = (c->kind == QM_CEILING_COPY ? bytes / 2 : bytes) / 4;
    QM_TRY(check_trail(m, c));
    return compare_target(m, c->probe.variant->name, words, c->probe.dispatch.parameters[4]);
}

// A kind that is wrong has no ceiling, at no size.
static enum qm_status condemn(struct memory *m, enum qm_ceiling_kind kind, enum qm_status status)
{
    for (size_t i = 0; i < m->count; ++i)
        m->candidates[i].probe.is_out |= m->candidates[i].kind == kind;
    for (size_t i = 0; i < QM_CEILING_SIZES_MAX; ++i) {
        struct qm_ceiling_size *size = &m->work->out->sizes[i];
        *(kind == QM_CEILING_READ ? &size->read : kind == QM_CEILING_WRITE ? &size->write : &size->copy) = 0;
    }
    return qm_ceiling_answer(&m->work->out->of[kind], status);
}

static double rate_of(const struct candidate *c)
{
    return !c->probe.is_out && c->probe.best_ns > 0 ? c->probe.work / c->probe.best_ns * 1e9 : 0;
}

static void keep(struct memory *m, enum qm_ceiling_kind kind, struct qm_ceiling_size *size, double *rate)
{
    struct qm_ceiling *ceiling = &m->work->out->of[kind];
    for (size_t i = 0; i < m->count; ++i) {
        struct candidate *c = &m->candidates[i];
        if (c->kind != kind || c->probe.is_out)
            continue;
        double before = ceiling->rate, is = rate_of(c);
        qm_ceiling_offer(ceiling, &c->probe, is);
        c->probe.samples = 0;
        *rate = is > *rate ? is : *rate;
        if (ceiling->rate > before) {
            ceiling->vector_width = c->words;
            ceiling->bytes = size->bytes;
        }
    }
    for (size_t i = 0; i < m->count; ++i) {
        struct candidate *c = &m->candidates[i];
        if (c->kind == kind && !c->probe.is_out)
            c->poor = rate_of(c) < 0.5 * *rate ? c->poor + 1 : 0;
        c->probe.is_out |= c->poor >= 2;
    }
}

// Brings a candidate to the size and checks what it gives. One that cannot have the size drops out, and is a reason only
// where there is nothing else.
static enum qm_status admit(struct memory *m, struct candidate *c, uint64_t bytes, double least_ns)
{
    struct qm_ceiling *ceiling = &m->work->out->of[c->kind], dropped = {0};
    enum qm_status status = calibrate(m, c, bytes, least_ns);
    if (status == QM_OK && !c->probe.is_out)
        status = check(m, c, bytes);
    if (status == QM_OK)
        return QM_OK;
    c->probe.is_out = true;
    if (status == QM_WRONG_RESULT)
        return condemn(m, c->kind, status);
    return qm_ceiling_answer(ceiling->rate > 0 || ceiling->status == QM_WRONG_RESULT ? &dropped : ceiling, status);
}

static enum qm_status measure_size(struct memory *m, struct qm_ceiling_size *size, double share)
{
    const uint64_t began_ns = qm_clock_ns();
    const double least_ns = qm_ceiling_sample_ns(m->work, share, m->count);
    for (size_t i = 0; i < m->count; ++i)
        if (!m->candidates[i].probe.is_out)
            QM_TRY(admit(m, &m->candidates[i], size->bytes, least_ns));
    for (uint32_t round = 0; qm_ceiling_goes_on(m->work, share, began_ns, round); ++round)
        for (size_t i = 0; i < m->count; ++i)
            if (!m->candidates[i].probe.is_out)
                QM_TRY(qm_ceiling_probe_sample(m->work, &m->candidates[i].probe));
    keep(m, QM_CEILING_READ, size, &size->read);
    keep(m, QM_CEILING_WRITE, size, &size->write);
    keep(m, QM_CEILING_COPY, size, &size->copy);
    return QM_OK;
}

static enum qm_status measure_sizes(struct memory *m)
{
    struct qm_ceilings *out = m->work->out;
    const uint64_t most = m->work->max_bytes;
    uint64_t sizes[QM_CEILING_SIZES_MAX], bytes = m->work->device->info->type == QM_DEVICE_CPU ? 1 << 16 : 1 << 20;
    size_t count = 0;
    bytes = bytes > most ? most : bytes;
    for (; bytes < most && count + 1 < QM_CEILING_SIZES_MAX; bytes *= 4)
        sizes[count++] = bytes;
    sizes[count++] = most;
    for (size_t i = 0; i < count; ++i) {
        const uint64_t began_ns = qm_clock_ns();
        out->sizes[i].bytes = sizes[i];
        out->size_count = i + 1;
        QM_TRY(measure_size(m, &out->sizes[i], SHARE / (double)count));
        // The next one has four times the bytes; a driver that is too slow for it has a curve that ends here.
        double spent_ns = (double)(qm_clock_ns() - m->began_ns), last_ns = (double)(qm_clock_ns() - began_ns);
        if (spent_ns + last_ns > 3 * SHARE * (double)m->work->budget_ns)
            break;
    }
    return QM_OK;
}

// ---- Host and device ----------------------------------------------------------------------------------------------

static void transferred(struct qm_ceiling *ceiling, uint64_t bytes, uint64_t ns)
{
    double rate = (double)bytes / (double)(ns ? ns : 1) * 1e9;
    ceiling->status = QM_OK;
    ceiling->reason[0] = '\0';
    ceiling->rate = rate > ceiling->rate ? rate : ceiling->rate;
    ceiling->bytes = bytes;
    ceiling->candidates = 1;
    ++ceiling->samples;
}

static enum qm_status measure_transfers(struct memory *m)
{
    struct qm_ceilings_work *work = m->work;
    struct qm_device *device = work->device;
    struct qm_ceiling *up = &work->out->of[QM_CEILING_UPLOAD], *down = &work->out->of[QM_CEILING_DOWNLOAD];
    const uint64_t bytes = work->max_bytes < TRANSFER_BYTES ? work->max_bytes : TRANSFER_BYTES, words = bytes / 4;
    bool is_wanted = qm_ceiling_begins(work, QM_CEILING_UPLOAD);
    if (!qm_ceiling_begins(work, QM_CEILING_DOWNLOAD) && !is_wanted)
        return QM_OK;
    uint32_t *host = malloc(bytes);
    enum qm_status status = QM_OK;
    if (!host)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a transfer of %llu bytes", (unsigned long long)bytes);
    const uint64_t began_ns = qm_clock_ns();
    for (uint32_t round = 0; qm_ceiling_goes_on(work, TRANSFER_SHARE, began_ns, round); ++round) {
        for (uint32_t w = 0; w < words; ++w)
            host[w] = word_of(w + 77 * round);
        uint64_t ns = qm_clock_ns();
        QM_GUARD(device->fns->buffer_write(device, m->target, 0, host, bytes));
        uint64_t upload_ns = qm_clock_ns() - ns;
        memset(host, 0, bytes);
        ns = qm_clock_ns();
        QM_GUARD(device->fns->buffer_read(device, m->target, 0, host, bytes));
        uint64_t download_ns = qm_clock_ns() - ns;
        for (uint32_t w = 0; w < words; ++w)
            if (host[w] != word_of(w + 77 * round)) {
                status = QM_FAIL(QM_WRONG_RESULT, "word %u of %llu came back as 0x%08x, expected 0x%08x", w,
                                 (unsigned long long)words, host[w], word_of(w + 77 * round));
                goto done;
            }
        transferred(up, bytes, upload_ns);
        transferred(down, bytes, download_ns);
    }
done:
    if (status != QM_OK) {
        enum qm_status answer = qm_ceiling_answer(up, status);
        *down = *up;
        status = answer;
    }
    free(host);
    return status;
}

// A failure is the answer for whatever it left without a rate; only a device that is gone ends the rest.
static enum qm_status conclude(struct qm_ceilings_work *work, enum qm_status status)
{
    static const enum qm_ceiling_kind kinds[] = {QM_CEILING_READ, QM_CEILING_WRITE, QM_CEILING_COPY, QM_CEILING_UPLOAD,
                                                 QM_CEILING_DOWNLOAD};
    struct qm_ceiling answer = {0};
    if (status == QM_OK)
        return QM_OK;
    enum qm_status end = qm_ceiling_answer(&answer, status);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); ++i) {
        struct qm_ceiling *ceiling = &work->out->of[kinds[i]];
        if (ceiling->status == QM_UNSUPPORTED && !(ceiling->rate > 0))
            *ceiling = answer;
    }
    return end;
}

enum qm_status qm_ceilings_memory(struct qm_ceilings_work *work)
{
    const uint32_t kinds = 1u << QM_CEILING_READ | 1u << QM_CEILING_WRITE | 1u << QM_CEILING_COPY |
                           1u << QM_CEILING_UPLOAD | 1u << QM_CEILING_DOWNLOAD;
    if (work->params->kinds != 0 && !(work->params->kinds & kinds))
        return QM_OK;
    struct memory *m = calloc(1, sizeof(*m));
    enum qm_status status;
    if (!m)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to measure ceilings");
    m->work = work;
    m->began_ns = qm_clock_ns();
    m->piece = malloc((size_t)PIECE_WORDS * 4);
    if (!m->piece) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to measure ceilings");
        goto done;
    }
    struct qm_device *device = work->device;
    QM_GUARD(device->fns->buffer_create(device, work->max_bytes, &m->source));
    QM_GUARD(device->fns->buffer_create(device, work->max_bytes, &m->target));
    QM_GUARD(device->fns->buffer_create(device, (uint64_t)RESULTS * 4, &m->results));
    QM_GUARD(fill(m, m->source, work->max_bytes / 4, true));
    QM_GUARD(enter(m));
    m->began_ns = qm_clock_ns();
    if (m->count > 0)
        QM_GUARD(measure_sizes(m));
    QM_GUARD(measure_transfers(m));
done:
    status = conclude(work, status);
    for (size_t i = 0; i < m->count; ++i)
        qm_ceiling_probe_destroy(work, &m->candidates[i].probe);
    work->device->fns->buffer_destroy(work->device, &m->source);
    work->device->fns->buffer_destroy(work->device, &m->target);
    work->device->fns->buffer_destroy(work->device, &m->results);
    free(m->piece);
    free(m);
    return status;
}
