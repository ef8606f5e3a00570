#include "bench/kernel_check.h"

#include "base/numeric.h"
#include "bench/kernel_cases.h"
#include "kernel/kernels.h"
#include "kernel_arguments.h"
#include "score/ordered.h"
#include "sys/heartbeat.h"

#include <math.h> // fabs and isfinite only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_WORD 0x5e47195eu

// ---- Running one case ---------------------------------------------------------------------------------------------

// A case on a device. Each binding lies in a buffer of its own, between two guards of `guard` bytes.
struct setup {
    struct qm_device *device;
    const struct qm_kernel_case *c;
    struct qm_buffer *buffers[QM_MAX_BINDINGS];
    struct qm_buffer *step;
    uint64_t guard;
    struct qm_dispatch dispatch;
};

static void setup_destroy(struct setup *s)
{
    for (uint32_t i = 0; i < QM_MAX_BINDINGS; ++i)
        s->device->fns->buffer_destroy(s->device, &s->buffers[i]);
    s->device->fns->buffer_destroy(s->device, &s->step);
}

// What the device's limits forbid, as QM_UNSUPPORTED; the backend would not find out before it fails.
static enum qm_status check_limits(const struct qm_device_info *info, const struct qm_kernel_variant *variant,
                                   const struct qm_kernel_case *c, const uint32_t groups[3])
{
    for (uint32_t i = 0; i < c->buffer_count; ++i) {
        if (c->buffers[i].count * 4 > info->max_binding_bytes)
            return QM_FAIL(QM_UNSUPPORTED, "binding %u takes %zu bytes; %s binds at most %llu", i,
                           c->buffers[i].count * 4, info->id, (unsigned long long)info->max_binding_bytes);
    }
    uint32_t invocations = variant->workgroup[0] * variant->workgroup[1] * variant->workgroup[2];
    if (invocations > info->max_workgroup_invocations)
        return QM_FAIL(QM_UNSUPPORTED, "workgroups of %u invocations; %s runs at most %u; another tile would do",
                       invocations, info->id, info->max_workgroup_invocations);
    for (int d = 0; d < 3; ++d) {
        if (groups[d] > info->max_groups[d])
            return QM_FAIL(QM_UNSUPPORTED, "%u workgroups in dimension %d; %s runs at most %u", groups[d], d, info->id,
                           info->max_groups[d]);
    }
    return QM_OK;
}

static enum qm_status upload(struct setup *s, uint32_t binding)
{
    const struct qm_case_buffer *from = &s->c->buffers[binding];
    size_t guard_words = s->guard / 4, count = from->count + 2 * guard_words;
    QM_TRY(s->device->fns->buffer_create(s->device, count * 4, &s->buffers[binding]));
    uint32_t *words = malloc(count * 4);
    if (!words)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu words of a kernel's check", count);
    for (size_t i = 0; i < guard_words; ++i)
        words[i] = words[guard_words + from->count + i] = GUARD_WORD;
    memcpy(words + guard_words, from->words, from->count * 4);
    enum qm_status status = s->device->fns->buffer_write(s->device, s->buffers[binding], 0, words, count * 4);
    free(words);
    return status;
}

static enum qm_status setup_create(struct setup *s, struct qm_device *device, const struct qm_kernel_variant *variant,
                                   const struct qm_kernel *kernel, const struct qm_kernel_case *c)
{
    uint64_t alignment = device->info->buffer_offset_alignment ? device->info->buffer_offset_alignment : 4;
    *s = (struct setup){.device = device, .c = c, .guard = (256 + alignment - 1) / alignment * alignment};
    s->dispatch.kernel = kernel;
    memcpy(s->dispatch.parameters, c->parameters, sizeof(c->parameters));
    qm_kernel_groups(variant, c->parameters, s->dispatch.groups);
    QM_TRY(check_limits(device->info, variant, c, s->dispatch.groups));
    for (uint32_t i = 0; i < c->buffer_count; ++i) {
        QM_TRY(upload(s, i));
        s->dispatch.bindings[i] = (struct qm_binding){s->buffers[i], s->guard, c->buffers[i].count * 4};
    }
    QM_TRY(device->fns->buffer_create(device, sizeof(c->step), &s->step));
    return device->fns->buffer_write(device, s->step, 0, c->step, sizeof(c->step));
}

// Runs the case once, with the kernel `compiled`, or compiling it where that is NULL; outputs[i] gets binding i's words after it (allocated; NULL for inputs). `place` gets the first
// word outside an output that was changed, else "".
static enum qm_status run_case(struct qm_device *device, const struct qm_kernel_variant *variant,
                               const struct qm_kernel *compiled, const struct qm_kernel_case *c,
                               uint32_t *outputs[QM_MAX_BINDINGS], char place[96])
{
    struct setup s = {.device = device};
    struct qm_kernel *kernel = NULL; // what is compiled here
    struct qm_program *program = NULL;
    enum qm_status status;
    place[0] = '\0';
    if (!compiled) {
        QM_GUARD(device->fns->kernel_create(device, variant, &kernel));
        compiled = kernel;
    }
    QM_GUARD(setup_create(&s, device, variant, compiled, c));
    struct qm_program_params params = {&s.dispatch, 1, s.step};
    QM_GUARD(device->fns->program_create(device, &params, &program));
    struct qm_run_policy policy = {.repeats_per_submission = 1};
    struct qm_timing timing = {0};
    QM_GUARD(device->fns->run(device, program, 1, &policy, &timing));
    for (uint32_t i = 0; i < c->buffer_count; ++i) {
        if (!c->buffers[i].is_output)
            continue;
        size_t guard_words = s.guard / 4, count = c->buffers[i].count, all = count + 2 * guard_words;
        outputs[i] = malloc(all * 4);
        if (!outputs[i]) {
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu words of a kernel's check", all);
            goto done;
        }
        QM_GUARD(device->fns->buffer_read(device, s.buffers[i], 0, outputs[i], all * 4));
        for (size_t at = 0; at < all && !place[0]; ++at) {
            if ((at < guard_words || at >= guard_words + count) && outputs[i][at] != GUARD_WORD)
                snprintf(place, 96, "writes outside of binding %u, at word %lld of %zu", i,
                         (long long)at - (long long)guard_words, count);
        }
        memmove(outputs[i], outputs[i] + guard_words, count * 4);
    }
done:
    device->fns->program_destroy(device, &program);
    device->fns->kernel_destroy(device, &kernel);
    setup_destroy(&s);
    return status;
}

// ---- Comparing ----------------------------------------------------------------------------------------------------

static bool codes_agree(const struct qm_case_buffer *buffer, size_t word, uint32_t expected, uint32_t got)
{
    uint32_t per = 32 / buffer->code_bits, mask = 0xffffffffu >> (32 - buffer->code_bits);
    for (uint32_t i = 0; i < per; ++i) {
        // Modulo the number of codes, so that it holds for codes with a sign and without.
        uint32_t above = ((got >> (i * buffer->code_bits)) - (expected >> (i * buffer->code_bits))) & mask;
        uint32_t allowed = buffer->near_tie[word * per + i];
        if (above > allowed && above < mask + 1 - allowed)
            return false;
    }
    return true;
}

// Keeps the word if its error is a larger part of its bound than the worst so far. The first wrong one stays.
static void compare_word(const struct qm_kernel_case *c, uint32_t binding, size_t i, uint32_t expected, uint32_t got,
                         struct qm_kernel_report *report)
{
    const struct qm_case_buffer *buffer = &c->buffers[binding];
    double absolute = buffer->absolute ? buffer->absolute[i] : -1.0, error, bound;
    double want = (double)qm_float_from_bits(expected), have = (double)qm_float_from_bits(got);
    bool wrong;
    if (absolute < 0) {
        bool agree = expected == got || (buffer->near_tie && codes_agree(buffer, i, expected, got));
        wrong = !agree;
        error = expected == got ? 0 : 1;
        bound = wrong ? 0 : 1;
        want = expected;
        have = got;
    } else {
        bound = absolute + buffer->relative * fabs(want);
        error = isfinite(have) ? fabs(have - want) : INFINITY;
        wrong = !(error <= bound) && expected != got;
    }
    bool worse = error * report->worst_bound > report->worst_error * bound;
    if ((wrong && report->status == QM_OK) || (worse && report->status == QM_OK)) {
        report->worst_error = error;
        report->worst_bound = bound;
        report->worst_expected = want;
        report->worst_got = have;
        report->worst_index = i;
        report->worst_binding = binding;
    }
    if (!wrong || report->status != QM_OK)
        return;
    report->status = QM_WRONG_RESULT;
    if (absolute < 0)
        snprintf(report->reason, sizeof(report->reason), "binding %u, word %zu: got 0x%08x, expected 0x%08x", binding,
                 i, got, expected);
    else
        snprintf(report->reason, sizeof(report->reason),
                 "binding %u, value %zu: got %.9g, expected %.9g, off by %.3g where %.3g is allowed", binding, i, have,
                 want, error, bound);
}

static void compare(const struct qm_kernel_case *c, uint32_t *expected[QM_MAX_BINDINGS], uint32_t *got[QM_MAX_BINDINGS],
                    struct qm_kernel_report *report)
{
    struct qm_hash hash;
    qm_hash_begin(&hash);
    report->exact = true;
    report->worst_bound = 1; // so that the first error is worse than none
    for (uint32_t b = 0; b < c->buffer_count; ++b) {
        if (!c->buffers[b].is_output)
            continue;
        report->exact = report->exact && !c->buffers[b].absolute;
        for (size_t i = 0; i < c->buffers[b].count; ++i)
            compare_word(c, b, i, expected[b][i], got[b][i], report);
        qm_hash_add(&hash, got[b], c->buffers[b].count * 4);
    }
    if (report->worst_error == 0 && report->status == QM_OK)
        report->worst_bound = 0;
    char text[QM_HASH_TEXT_BYTES];
    qm_hash_end(&hash, text);
    if (c->same_bits)
        memcpy(report->output_hash, text, sizeof(text));
}

static void report_begin(struct qm_kernel_report *report, const struct qm_kernel_variant *variant,
                         const struct qm_kernel_case *c)
{
    memset(report, 0, sizeof(*report));
    report->variant = variant;
    snprintf(report->name, sizeof(report->name), "%s", c->name);
    const char *tile = strrchr(variant->name, '-');
    snprintf(report->tile, sizeof(report->tile), "%s", tile ? tile + 1 : "");
    snprintf(report->shape, sizeof(report->shape), "%s", c->shape);
    report->pattern = qm_case_pattern_name(c->pattern);
    report->same_bits = c->same_bits;
    qm_kernel_hash(variant, report->kernel_hash);
}

// A status that is an answer about this kernel, not the end of the device.
static bool is_answer(enum qm_status status)
{
    return status == QM_UNSUPPORTED || status == QM_FAILED || status == QM_INVALID;
}

enum qm_status qm_kernel_check_compiled(struct qm_device *device, const struct qm_kernel_variant *variant,
                                        const struct qm_kernel *compiled, const struct qm_kernel_case *c,
                                        struct qm_kernel_report *report)
{
    uint32_t *expected[QM_MAX_BINDINGS] = {NULL}, *got[QM_MAX_BINDINGS] = {NULL};
    struct qm_device *reference = NULL;
    enum qm_status status;
    char place[96];
    report_begin(report, variant, c);
    status = run_case(device, variant, compiled, c, got, place);
    if (status != QM_OK) {
        report->status = status;
        snprintf(report->reason, sizeof(report->reason), "%s", qm_error_text());
        status = is_answer(status) ? QM_OK : status;
        goto done;
    }
    // The reference follows the case's own variant: a planted one would be wrong there too.
    const struct qm_kernel_variant *right = qm_kernel_find(c->name, report->tile);
    char unused[96];
    QM_GUARD(qm_backend_reference.open(NULL, NULL, &reference));
    QM_GUARD(run_case(reference, right ? right : variant, NULL, c, expected, unused));
    compare(c, expected, got, report);
    if (place[0] && report->status == QM_OK) {
        report->status = QM_WRONG_RESULT;
        snprintf(report->reason, sizeof(report->reason), "%s", place);
    }
done:
    if (reference)
        reference->fns->destroy(&reference);
    for (uint32_t i = 0; i < QM_MAX_BINDINGS; ++i) {
        free(expected[i]);
        free(got[i]);
    }
    return status;
}

enum qm_status qm_kernel_check(struct qm_device *device, const struct qm_kernel_variant *variant,
                               const struct qm_kernel_case *c, struct qm_kernel_report *report)
{
    return qm_kernel_check_compiled(device, variant, NULL, c, report);
}

// ---- Timing -------------------------------------------------------------------------------------------------------

enum {
    MAXIMUM_BATCH = 4096,
    MAXIMUM_SAMPLES = 1000,
    MINIMUM_SAMPLES = 5
};

// One program of `batch` equal dispatches, run once; its time in nanoseconds.
static enum qm_status time_batch(struct setup *s, struct qm_program *program, bool *device_time, double *ns)
{
    uint64_t device_ns = 0, wall_ns = 0;
    struct qm_timing timing = {.repeat_device_ns = &device_ns, .repeat_wall_ns = &wall_ns};
    struct qm_run_policy policy = {.repeats_per_submission = 1};
    QM_TRY(s->device->fns->run(s->device, program, 1, &policy, &timing));
    *device_time = timing.has_device_time && device_ns > 0;
    *ns = (double)(*device_time ? device_ns : timing.wall_ns);
    return QM_OK;
}

static enum qm_status batch_create(struct setup *s, uint32_t batch, struct qm_program **program)
{
    struct qm_dispatch *dispatches = malloc(batch * sizeof(*dispatches));
    if (!dispatches)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %u dispatches", batch);
    for (uint32_t i = 0; i < batch; ++i)
        dispatches[i] = s->dispatch;
    struct qm_program_params params = {dispatches, batch, s->step};
    enum qm_status status = s->device->fns->program_create(s->device, &params, program);
    free(dispatches);
    return status;
}

static void summarize(struct qm_kernel_timing *out)
{
    double sorted[MAXIMUM_SAMPLES];
    memcpy(sorted, out->samples_ns, out->count * sizeof(*sorted));
    qm_values_sort(sorted, out->count);
    out->minimum_ns = sorted[0];
    out->median_ns = (sorted[(out->count - 1) / 2] + sorted[out->count / 2]) / 2;
}

double qm_kernel_sample_ns(const struct qm_device_info *info)
{
    double ticks_ns = 1000.0 * info->timestamp_period_ns, awake_ns = info->type == QM_DEVICE_CPU ? 10e6 : 1e6;
    return ticks_ns > awake_ns ? ticks_ns : awake_ns;
}

static enum qm_status time_compiled(struct qm_device *device, const struct qm_kernel_variant *variant,
                                    const struct qm_kernel *compiled, const struct qm_kernel_case *c, uint64_t min_ns,
                                    struct qm_kernel_timing *out)
{
    struct setup s = {.device = device};
    struct qm_kernel *kernel = NULL; // what is compiled here
    struct qm_program *program = NULL;
    enum qm_status status;
    *out = (struct qm_kernel_timing){.batch = 1, .operations = c->operations, .bytes = c->bytes};
    if (!compiled) {
        QM_GUARD(device->fns->kernel_create(device, variant, &kernel));
        compiled = kernel;
    }
    QM_GUARD(setup_create(&s, device, variant, compiled, c));
    double least_ns = qm_kernel_sample_ns(device->info), ns = 0, total_ns = 0;
    for (;;) { // the first run of each program warms up and says how long a sample would be
        QM_GUARD(batch_create(&s, out->batch, &program));
        QM_GUARD(time_batch(&s, program, &out->device_time, &ns));
        QM_GUARD(time_batch(&s, program, &out->device_time, &ns));
        if (ns >= least_ns || out->batch == MAXIMUM_BATCH)
            break;
        double wanted = out->batch * 1.2 * least_ns / (ns > 1 ? ns : 1) + 1;
        out->batch = wanted > MAXIMUM_BATCH ? MAXIMUM_BATCH : (uint32_t)wanted;
        device->fns->program_destroy(device, &program);
    }
    out->samples_ns = malloc(MAXIMUM_SAMPLES * sizeof(*out->samples_ns));
    if (!out->samples_ns) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the samples of kernel %s", c->name);
        goto done;
    }
    while (out->count < MAXIMUM_SAMPLES && (out->count < MINIMUM_SAMPLES || total_ns < (double)min_ns)) {
        QM_GUARD(time_batch(&s, program, &out->device_time, &ns));
        out->samples_ns[out->count++] = ns / out->batch;
        total_ns += ns;
    }
    summarize(out);
done:
    if (status != QM_OK) {
        free(out->samples_ns);
        out->samples_ns = NULL;
        out->count = 0;
    }
    device->fns->program_destroy(device, &program);
    device->fns->kernel_destroy(device, &kernel);
    setup_destroy(&s);
    return status;
}

enum qm_status qm_kernel_time(struct qm_device *device, const struct qm_kernel_variant *variant,
                              const struct qm_kernel_case *c, uint64_t min_ns, struct qm_kernel_timing *out)
{
    return time_compiled(device, variant, NULL, c, min_ns, out);
}

double qm_kernel_gflops(const struct qm_kernel_report *report)
{
    return report->samples && report->status == QM_OK ? report->operations / report->median_ns : 0;
}

double qm_kernel_gbytes(const struct qm_kernel_report *report)
{
    return report->samples && report->status == QM_OK ? report->bytes / report->median_ns : 0;
}

// Adds the case's time to a report that is right; a wrong kernel has no speed.
static enum qm_status time_into(struct qm_device *device, const struct qm_kernel *compiled,
                                const struct qm_kernel_case *c, uint64_t time_ns, struct qm_kernel_report *report)
{
    struct qm_kernel_timing timing;
    if (report->status != QM_OK || time_ns == 0)
        return QM_OK;
    QM_TRY(time_compiled(device, report->variant, compiled, c, time_ns, &timing));
    report->samples = (uint32_t)timing.count;
    report->device_time = timing.device_time;
    report->median_ns = timing.median_ns;
    report->minimum_ns = timing.minimum_ns;
    report->operations = timing.operations;
    report->bytes = timing.bytes;
    free(timing.samples_ns);
    return QM_OK;
}

// ---- All cases ----------------------------------------------------------------------------------------------------

struct list {
    struct qm_device *device;
    const struct qm_kernel_shapes *shapes;
    const char *name; // of the variant at hand
    const char *tile;
    const struct qm_kernel_variant *variant;
    struct qm_kernel *kernel; // compiled once; NULL where it cannot be, and each case says why
    struct qm_kernel_report *reports;
    size_t count, capacity;
};

static enum qm_status add_case(struct list *list, const struct qm_case_shape *wanted, enum qm_case_pattern pattern,
                               bool timed)
{
    struct qm_case_shape rounded = *wanted, *shape = &rounded;
    if (strncmp(list->name, "mat", 3) == 0 || strcmp(list->variant->kernel, "dequantize") == 0 ||
        strcmp(list->name, "copy") == 0)
        shape->k = (shape->k + qm_case_k_multiple(list->name) - 1) / qm_case_k_multiple(list->name) *
                   qm_case_k_multiple(list->name);
    struct qm_kernel_case *c = NULL;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct qm_kernel_report *grown = realloc(list->reports, capacity * sizeof(*grown));
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu reports of kernels", capacity);
        list->reports = grown;
        list->capacity = capacity;
    }
    QM_TRY(qm_kernel_case_create(list->name, list->tile, shape, pattern, &c));
    for (size_t i = 0; i < list->count; ++i) { // the lists of sizes meet
        const struct qm_kernel_report *r = &list->reports[i];
        if (strcmp(r->name, list->name) == 0 && strcmp(r->shape, c->shape) == 0 &&
            strcmp(r->pattern, qm_case_pattern_name(pattern)) == 0 && (r->samples || !timed)) {
            qm_kernel_case_destroy(&c);
            return QM_OK;
        }
    }
    struct qm_kernel_report *report = &list->reports[list->count++];
    qm_heartbeat_note("kernel %s, %s", list->name, c->shape);
    enum qm_status status = qm_kernel_check_compiled(list->device, list->variant, list->kernel, c, report);
    if (status == QM_OK && timed)
        status = time_into(list->device, list->kernel, c, list->shapes->time_ns, report);
    qm_kernel_case_destroy(&c);
    return status;
}

// As many of `n` rows of `k` values as one binding holds, in any format: larger weights lie in parts.
static uint32_t rows_bound(const struct list *list, uint32_t n, uint32_t k)
{
    uint64_t most = list->device->info->max_binding_bytes / ((uint64_t)k * 4) / 64 * 64;
    return most > 0 && most < n ? (uint32_t)most : n;
}

// Both patterns of a product.
static enum qm_status add_product(struct list *list, uint32_t rows, uint32_t n, uint32_t k, bool timed)
{
    struct qm_case_shape shape = {.rows = rows, .n = n, .k = k};
    QM_TRY(add_case(list, &shape, QM_CASE_INTEGERS, false));
    return add_case(list, &shape, QM_CASE_RANDOM, timed);
}

static enum qm_status add_products(struct list *list)
{
    const struct qm_kernel_shapes *s = list->shapes;
    static const uint32_t rows[] = {1, 3, 17}, n[] = {1, 15, 48, 250}, k[] = {32, 64, 96, 1056};
    bool is_matvec = strncmp(list->name, "matvec", 6) == 0;
    if (s->built_in && s->quick) {
        QM_TRY(add_product(list, 3, 15, 96, false));
        QM_TRY(add_product(list, 17, 50, 288, false));
    } else if (s->built_in) {
        // Every combination for one format of each way to sum; the others differ by their decoders alone.
        static const char *const in_full[] = {"-f32-f32", "-f16-f16", "-w8-a8", "-w4-f16", "-w4-a8", "-nvfp4-f16"};
        size_t step = 7;
        for (size_t i = 0; i < sizeof(in_full) / sizeof(in_full[0]); ++i)
            step = strcmp(strchr(list->name, '-'), in_full[i]) == 0 ? 1 : step;
        for (size_t i = 0; i < 3 * 4 * 4; i += step)
            QM_TRY(add_product(list, rows[i % 3], n[i / 3 % 4], k[i / 12], false));
    }
    const char *formats = strchr(list->name, '-');
    if (s->built_in && strcmp(formats, "-w8-a8") == 0) {
        struct qm_case_shape shape = {.rows = 3, .n = 17, .k = 7168};
        QM_TRY(add_case(list, &shape, QM_CASE_DETOUR, false));
    }
    if (s->hidden == 0)
        return QM_OK;
    uint32_t model_rows = is_matvec ? 1 : s->rows, kv = s->kv_heads * 64;
    uint32_t shapes[][2] = {{s->hidden, s->heads * 64},
                            {kv, s->hidden},
                            {s->intermediate, s->hidden},
                            {s->hidden, s->intermediate},
                            {s->vocabulary, s->hidden}};
    for (size_t i = 0; i < 5; ++i) {
        bool seen = false;
        for (size_t j = 0; j < i; ++j)
            seen = seen || (shapes[j][0] == shapes[i][0] && shapes[j][1] == shapes[i][1]);
        // Quick, and of formats that differ by their decoders alone: the largest product and its transpose.
        if (seen || (s->quick && i != 2 && i != 3))
            continue;
        QM_TRY(add_product(list, model_rows, rows_bound(list, shapes[i][0], shapes[i][1]), shapes[i][1], true));
    }
    return QM_OK;
}

// One shape list serves all other kernels: each takes what it needs (see struct qm_case_shape).
static enum qm_status add_others(struct list *list)
{
    const struct qm_kernel_shapes *s = list->shapes;
    const char *kernel = list->variant->kernel;
    bool is_rows_of_heads =
        strcmp(kernel, "rope") == 0 || strcmp(kernel, "attention") == 0 || strncmp(kernel, "kv_", 3) == 0;
    bool is_elementwise = strcmp(kernel, "swiglu") == 0 || strcmp(kernel, "residual") == 0 ||
                          strcmp(kernel, "softcap") == 0 || strcmp(kernel, "copy") == 0;
    bool is_unit =
        strcmp(kernel, "dequantize") == 0 || strstr(kernel, "activations") || strcmp(kernel, "embedding") == 0;
    static const uint32_t rows[] = {1, 3, 17}, positions[] = {0, 1, 63, 300}, widths[] = {1, 15, 48, 250, 1032},
                          units[] = {32, 64, 96, 1056}, counts[] = {1, 15, 1000, 100003};
    struct qm_case_shape shape;
    for (size_t i = 0; i < 20 && s->built_in; ++i) {
        // Several sequences, the last one short, where rows allow it; among them the larger of the quick cases.
        uint32_t r = rows[(i + i / 4) % 3], tokens = i == 14 ? 5 : i % 3 == 1 ? (r + 1) / 2 : r;
        shape = (struct qm_case_shape){.rows = r, .n = 48, .k = 96, .kv_heads = 1, .position = positions[i % 4]};
        if (s->quick && i != 5 && i != 14)
            continue;
        if (is_rows_of_heads) {
            shape.kv_heads = 1 + (uint32_t)(i / 4 % 2);
            shape.n = shape.kv_heads * (1 + (uint32_t)(i % 3));
            shape.tokens_per_sequence = tokens;
        } else if (is_elementwise) {
            if (i >= 4 && !s->quick)
                break;
            shape.k = counts[s->quick ? i % 3 + 1 : i];
        } else if (is_unit) {
            shape.k = units[i % 4];
            shape.n = widths[i % 4];
            shape.tokens_per_sequence = tokens;
        } else { // rmsnorm, log_softmax, argmax, checksum, advance
            shape.n = shape.k = widths[i % 5];
            shape.tokens_per_sequence = tokens;
        }
        QM_TRY(add_case(list, &shape, QM_CASE_RANDOM, false));
        if (strstr(list->name, "activations-") && !strstr(list->name, "f16") && !strstr(list->name, "a4"))
            QM_TRY(add_case(list, &shape, QM_CASE_STATIC, false));
    }
    // More than the 65,535 trips after which a driver ends loops.
    if (s->built_in && !s->quick &&
        (strcmp(kernel, "log_softmax") == 0 || strcmp(kernel, "argmax") == 0 || strcmp(kernel, "checksum") == 0)) {
        shape = (struct qm_case_shape){.rows = 2, .n = 131101, .kv_heads = 1, .k = 1, .tokens_per_sequence = 2};
        QM_TRY(add_case(list, &shape, QM_CASE_RANDOM, false));
    }
    if (s->hidden == 0 || strcmp(kernel, "advance") == 0)
        return QM_OK;
    shape = (struct qm_case_shape){
        .rows = s->rows, .n = s->vocabulary, .k = s->hidden, .kv_heads = s->kv_heads, .tokens_per_sequence = s->rows};
    if (is_rows_of_heads) {
        shape.n = s->heads;
        QM_TRY(add_case(list, &shape, QM_CASE_RANDOM, true)); // prefill
        shape.rows = shape.tokens_per_sequence = 1;
        shape.position = s->context * 3 / 4;
    } else if (is_elementwise) {
        shape.k = s->rows * (strcmp(kernel, "swiglu") == 0    ? s->intermediate
                             : strcmp(kernel, "softcap") == 0 ? s->vocabulary
                                                              : s->hidden);
    } else if (strcmp(kernel, "dequantize") == 0) {
        shape.n = rows_bound(list, s->intermediate, s->hidden);
    } else if (strcmp(kernel, "embedding") == 0) {
        shape.n = rows_bound(list, s->vocabulary, s->hidden);
    }
    return add_case(list, &shape, QM_CASE_RANDOM, true);
}

// "matmul-w8-a8" of "matmul-w8-a8-narrow", if it is the first row of its name in the table; self-test and
// probes of ceilings have no oracle.
static bool base_name(size_t index, const struct qm_kernel_shapes *shapes, const char *prefix, char name[32])
{
    const struct qm_kernel_variant *v = &qm_kernel_variants[index];
    const char *end = strrchr(v->name, '-');
    size_t length = (size_t)(end - v->name);
    snprintf(name, 32, "%.*s", (int)length, v->name);
    if (strcmp(v->kernel, "selftest") == 0 || strncmp(v->kernel, "probe_", 6) == 0 ||
        (prefix && strncmp(v->name, prefix, strlen(prefix)) != 0))
        return false;
    bool is_named = shapes->name_count == 0;
    for (size_t i = 0; i < shapes->name_count; ++i)
        is_named = is_named || strcmp(shapes->names[i], name) == 0;
    if (!is_named)
        return false;
    for (size_t i = 0; i < index; ++i) {
        const char *other = qm_kernel_variants[i].name;
        if (strncmp(other, v->name, length + 1) == 0 && !strchr(other + length + 1, '-'))
            return false;
    }
    return true;
}

enum qm_status qm_kernel_check_all(struct qm_device *device, const struct qm_kernel_shapes *shapes,
                                   const char *only_prefix, struct qm_kernel_report **reports, size_t *count)
{
    struct list list = {.device = device, .shapes = shapes};
    list.tile = shapes->tile ? shapes->tile : qm_kernel_tile(device->info, QM_KERNEL_BASE_TIER);
    enum qm_status status = QM_OK;
    char name[32];
    size_t total = 0, done = 0;
    for (size_t i = 0; i < qm_kernel_variant_count; ++i)
        total += base_name(i, shapes, only_prefix, name);
    for (size_t i = 0; i < qm_kernel_variant_count && status == QM_OK; ++i) {
        if (!base_name(i, shapes, only_prefix, name))
            continue;
        if (shapes->progress)
            shapes->progress(shapes->progress_context, name, done, total);
        done++;
        list.name = name;
        list.variant = qm_kernel_planted(qm_kernel_find(name, list.tile));
        qm_heartbeat_note("compilation of kernel %s", name);
        if (device->fns->kernel_create(device, list.variant, &list.kernel) != QM_OK)
            list.kernel = NULL;
        status = strncmp(name, "mat", 3) == 0 ? add_products(&list) : add_others(&list);
        device->fns->kernel_destroy(device, &list.kernel);
    }
    *reports = list.reports;
    *count = list.count;
    return status;
}

const struct qm_kernel_report *qm_kernel_first_wrong(const struct qm_kernel_report *reports, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        if (reports[i].status == QM_WRONG_RESULT)
            return &reports[i];
    }
    return NULL;
}
