#include "bench/kernel_problem_internal.h"

#include "base/numeric.h"
#include "kernel_arguments.h"
#include "model/room.h"
#include "sys/heartbeat.h"
#include "sys/host.h"

#include <inttypes.h>
#include <math.h> // sqrt only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PART_ROWS = 128,  // parts begin at multiples of it: 512 bytes of results, whatever offsets a device takes
    SPLIT_ROWS = 128, // likewise dispatches that are split by rows
    CHUNK_WORDS = 1 << 18,
    BATCH_MAX = 4096
};
#define SUBMISSION_NS 200000000u

bool qm_problem_is_product(const struct qm_kernel_problem *problem)
{
    const char *kernel = problem->right->kernel;
    return strcmp(kernel, "matmul") == 0 || strcmp(kernel, "matvec") == 0;
}

bool qm_problem_has_weights(const struct qm_kernel_problem *problem)
{
    return qm_problem_is_product(problem) || strcmp(problem->right->kernel, "dequantize") == 0;
}

// ---- The bench ----------------------------------------------------------------------------------------------------

enum qm_status qm_kernel_bench_create(const struct qm_kernel_bench_params *params, struct qm_kernel_bench **out)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to time kernels");
    (*out)->params = *params;
    return QM_OK;
}

static void forget_kernels(struct qm_kernel_bench *bench)
{
    struct qm_device *device = bench->params.device;
    for (size_t i = 0; i < bench->kernel_count; ++i)
        device->fns->kernel_destroy(device, &bench->kernels[i].kernel);
    bench->kernel_count = 0;
}

void qm_kernel_bench_destroy(struct qm_kernel_bench **bench)
{
    if (!*bench)
        return;
    forget_kernels(*bench);
    free(*bench);
    *bench = NULL;
}

static enum qm_status compile(struct qm_kernel_problem *problem, struct qm_kernel_row *row, size_t *index)
{
    struct qm_kernel_bench *bench = problem->bench;
    for (size_t i = 0; i < bench->kernel_count; ++i) {
        if (bench->kernels[i].variant == problem->variant) {
            *index = i;
            problem->kernel = bench->kernels[i].kernel;
            return QM_OK;
        }
    }
    if (bench->kernel_count == QM_PROBLEM_KERNELS_MAX)
        forget_kernels(bench);
    *index = bench->kernel_count;
    qm_heartbeat_note("compilation of kernel %s", problem->variant->name);
    uint64_t begin = qm_clock_ns();
    struct qm_kernel *kernel = NULL;
    QM_TRY(problem->device->fns->kernel_create(problem->device, problem->variant, &kernel));
    row->compile_ns = qm_clock_ns() - begin;
    bench->kernels[*index].variant = problem->variant;
    bench->kernels[*index].kernel = kernel;
    bench->kernels[*index].is_checked = false;
    bench->kernel_count++;
    problem->kernel = kernel;
    return QM_OK;
}

// ---- Sizes --------------------------------------------------------------------------------------------------------

// Bytes that a binding of the variant may have.
static uint64_t most_bytes(const struct qm_kernel_problem *problem, uint32_t binding)
{
    const struct qm_device_info *info = problem->device->info;
    uint64_t most = info->max_binding_bytes;
    most = info->max_allocation_bytes && info->max_allocation_bytes < most ? info->max_allocation_bytes : most;
    if (problem->right->texel_bindings >> binding & 1 && info->max_texel_bytes < most)
        most = info->max_texel_bytes;
    return most;
}

static enum qm_status check_binding(const struct qm_kernel_problem *problem, uint32_t binding, const char *what,
                                    uint64_t bytes, const char *way_out)
{
    uint64_t most = most_bytes(problem, binding);
    if (bytes <= most)
        return QM_OK;
    return QM_FAIL(QM_UNSUPPORTED, "%s take %" PRIu64 " bytes in one binding, and %s binds at most %" PRIu64 "%s; %s",
                   what, bytes, problem->device->info->id, most,
                   problem->right->texel_bindings >> binding & 1 ? " as texels" : "", way_out);
}

static enum qm_status part_bytes(const struct qm_kernel_problem *problem, uint32_t rows, struct qm_layout *layout)
{
    return qm_layout_plan(problem->item.weights, &(struct qm_layout_shape){.n = rows, .k = problem->item.k}, layout);
}

// Rows of a part: all, or as many as weights and, of dequantize, results of one binding have.
static enum qm_status plan_parts(struct qm_kernel_problem *problem, uint64_t *all_bytes)
{
    const struct qm_kernel_item *item = &problem->item;
    bool is_product = qm_problem_is_product(problem);
    uint32_t rows;
    struct qm_layout layout;
    for (uint32_t pieces = 1;; ++pieces) {
        rows = (item->n + pieces - 1) / pieces;
        rows = pieces == 1 ? rows : (rows + PART_ROWS - 1) / PART_ROWS * PART_ROWS;
        enum qm_status status = part_bytes(problem, rows, &layout); // which has its own limit
        uint64_t result = is_product ? 0 : (uint64_t)rows * item->k * 4;
        if (status == QM_OK && layout.bytes <= most_bytes(problem, 0) && result <= most_bytes(problem, 1))
            break;
        if (pieces == QM_PROBLEM_PARTS_MAX || (pieces > 1 && rows == PART_ROWS)) {
            QM_TRY(status);
            QM_TRY(check_binding(problem, 0, "a part of the weights", layout.bytes, "use a smaller k"));
            return check_binding(problem, 1, "results of a part", result, "use a smaller k");
        }
    }
    *all_bytes = 0;
    for (uint32_t first = 0; first < item->n; first += rows) {
        struct qm_problem_part *part = &problem->parts[problem->part_count++];
        *part = (struct qm_problem_part){.first = first, .rows = item->n - first < rows ? item->n - first : rows};
        QM_TRY(part_bytes(problem, part->rows, &layout));
        part->scale_offset = (uint32_t)layout.scale_offset_words;
        part->bytes = layout.bytes;
        *all_bytes += layout.bytes;
    }
    return QM_OK;
}

static enum qm_status check_room(struct qm_kernel_problem *problem, uint64_t bytes)
{
    uint64_t room = qm_device_room_bytes(problem->device, true);
    if (bytes <= room)
        return QM_OK;
    return QM_FAIL(QM_OUT_OF_MEMORY,
                   "it takes %" PRIu64 " bytes (%.1f MiB), and %s has room for %" PRIu64
                   " (%.1f MiB); use fewer rows, a "
                   "smaller shape or a narrower format",
                   bytes, (double)bytes / 1048576.0, problem->device->info->id, room, (double)room / 1048576.0);
}

// ---- Buffers ------------------------------------------------------------------------------------------------------

static enum qm_status upload(struct qm_kernel_problem *problem, const void *words, uint64_t bytes,
                             struct qm_buffer **out)
{
    QM_TRY(problem->device->fns->buffer_create(problem->device, bytes, out));
    return problem->device->fns->buffer_write(problem->device, *out, 0, words, bytes);
}

enum qm_status qm_problem_read(struct qm_kernel_problem *problem, struct qm_buffer *buffer, uint64_t offset_bytes,
                               void *bytes, uint64_t size_bytes)
{
    return problem->device->fns->buffer_read(problem->device, buffer, offset_bytes, bytes, size_bytes);
}

// A result between its guards, nothing of it written yet.
static enum qm_status create_result(struct qm_kernel_problem *problem, uint64_t bytes, struct qm_buffer **out)
{
    struct qm_device *device = problem->device;
    uint64_t all = bytes + 2 * problem->guard;
    QM_TRY(device->fns->buffer_create(device, all, out));
    uint32_t *chunk = malloc(CHUNK_WORDS * sizeof(*chunk));
    if (!chunk)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to prepare a kernel's result");
    for (size_t i = 0; i < CHUNK_WORDS; ++i)
        chunk[i] = QM_PROBLEM_FILL_WORD;
    enum qm_status status = QM_OK;
    for (uint64_t at = 0; status == QM_OK && at < bytes; at += CHUNK_WORDS * 4) {
        uint64_t count = bytes - at < CHUNK_WORDS * 4 ? bytes - at : CHUNK_WORDS * 4;
        status = device->fns->buffer_write(device, *out, problem->guard + at, chunk, count);
    }
    for (size_t i = 0; i < problem->guard / 4; ++i)
        chunk[i] = QM_PROBLEM_GUARD_WORD;
    if (status == QM_OK)
        status = device->fns->buffer_write(device, *out, 0, chunk, problem->guard);
    if (status == QM_OK)
        status = device->fns->buffer_write(device, *out, problem->guard + bytes, chunk, problem->guard);
    free(chunk);
    return status;
}

static enum qm_status upload_parts(struct qm_kernel_problem *problem)
{
    uint32_t *words = malloc(problem->parts[0].bytes); // no other is larger
    if (!words)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for weights of %" PRIu64 " bytes", problem->parts[0].bytes);
    enum qm_status status = QM_OK;
    for (uint32_t i = 0; i < problem->part_count; ++i) {
        struct qm_problem_part *part = &problem->parts[i];
        qm_heartbeat_note("weights of %s, part %u", problem->right->name, i + 1);
        QM_GUARD(qm_kernel_weights_fill(&problem->weights, part->first, part->rows, words));
        QM_GUARD(upload(problem, words, part->bytes, &part->weights));
    }
done:
    free(words);
    return status;
}

// One scale a row, or one a group: powers of two around 1/64.
static float random_scale(struct qm_random *random)
{
    return qm_float_from_bits((119u + qm_random_below(random, 4)) << 23);
}

static float random_activation(struct qm_random *random, enum qm_case_activation kind, uint32_t i)
{
    if (kind == QM_CASE_A8)
        return (float)((int32_t)qm_random_below(random, 255) - 127);
    if (kind == QM_CASE_A4)
        return (float)((int32_t)qm_random_below(random, 15) - 7);
    float value = (float)((int32_t)qm_random_u32(random) >> 7) * 0x1p-24f;
    return value * (i % 37 == 0 ? 8.0f : 1.0f) * (kind == QM_CASE_F8 ? 20.0f : 1.0f);
}

static enum qm_status make_activations(struct qm_kernel_problem *problem)
{
    static const uint32_t bits_of[] = {32, 16, 16, 8, 8, 4};
    const struct qm_kernel_item *item = &problem->item;
    enum qm_case_activation kind = qm_case_activation_of(item->name);
    bool is_grouped = kind == QM_CASE_A4 || item->name[strlen(item->name) - 1] == 'g';
    bool is_scaled = kind == QM_CASE_A8 || kind == QM_CASE_A4 || kind == QM_CASE_F8;
    problem->activation = kind;
    problem->activation_bits = bits_of[kind];
    problem->activation_shift = is_grouped && kind != QM_CASE_A4 && item->k % 64 == 0 ? 1 : 0;
    problem->activation_groups = is_grouped ? item->k / 32 >> problem->activation_shift : 1;
    size_t words = (size_t)item->rows * item->k / 32 * problem->activation_bits;
    size_t scales = (size_t)item->rows * problem->activation_groups;
    QM_TRY(check_binding(problem, 1, "activations", words * 4, "use fewer rows"));
    problem->activations = calloc(words, sizeof(*problem->activations));
    problem->activation_scales = calloc(scales, sizeof(*problem->activation_scales));
    problem->activation_norms = calloc(item->rows, sizeof(*problem->activation_norms));
    if (!problem->activations || !problem->activation_scales || !problem->activation_norms)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for activations of %u rows", item->rows);
    struct qm_random random;
    qm_random_seed(&random, problem->bench->params.seed, 1);
    uint32_t group = item->k / problem->activation_groups, per_word = 32 / problem->activation_bits;
    for (uint32_t row = 0; row < item->rows; ++row) {
        uint32_t *to = problem->activations + (size_t)row * item->k / per_word;
        double sum = 0, scale = 1;
        for (uint32_t i = 0; i < item->k; ++i) {
            if (i % group == 0) {
                float stored = random_scale(&random);
                problem->activation_scales[(size_t)row * problem->activation_groups + i / group] =
                    qm_bits_from_float(stored);
                scale = is_scaled ? (double)stored : 1.0;
            }
            double stored = 0;
            uint32_t bits = qm_case_activation_bits(kind, random_activation(&random, kind, i), &stored);
            uint32_t mask = per_word == 1 ? UINT32_MAX : (1u << problem->activation_bits) - 1;
            to[i / per_word] |= (bits & mask) << (problem->activation_bits * (i % per_word) % 32);
            sum += stored * scale * stored * scale;
        }
        problem->activation_norms[row] = sqrt(sum);
    }
    QM_TRY(upload(problem, problem->activations, words * 4, &problem->activation_buffer));
    return upload(problem, problem->activation_scales, scales * 4, &problem->scale_buffer);
}

// ---- Products and dequantize --------------------------------------------------------------------------------------

static enum qm_status make_weights(struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    const struct qm_kernel_item *item = &problem->item;
    const struct qm_weight_codec *codec = qm_weight_codec(item->weights);
    bool is_product = qm_problem_is_product(problem);
    QM_TRY(plan_parts(problem, &row->weight_bytes));
    row->parts = problem->part_count;
    uint64_t results = 4 * (uint64_t)item->n * (is_product ? item->rows : item->k);
    uint64_t activations = is_product ? (uint64_t)item->rows * item->k * 4 : 0;
    if (is_product)
        QM_TRY(check_binding(problem, 3, "results", results, "use fewer rows"));
    // The host has one part of the weights, and of a processor that is the same memory.
    QM_TRY(check_room(problem, row->weight_bytes + results + activations + problem->parts[0].bytes));
    if (is_product)
        QM_TRY(make_activations(problem));
    QM_TRY(qm_kernel_weights_create(item->weights, item->k, problem->bench->params.seed, &problem->weights));
    for (uint32_t steps = codec->group / 32; steps > 1 && codec->scale != QM_SCALE_BLOCK; steps /= 2)
        ++problem->weight_shift;
    QM_TRY(upload_parts(problem));
    for (uint32_t i = 0; i < problem->part_count; ++i) {
        struct qm_problem_part *part = &problem->parts[i];
        if (!is_product || i == 0)
            QM_TRY(create_result(problem, is_product ? results : (uint64_t)part->rows * item->k * 4, &part->result));
    }
    row->outputs = results / 4;
    row->operations = is_product ? 2.0 * item->rows * item->n * item->k : 0;
    row->bytes = (double)row->weight_bytes + (double)results +
                 (is_product ? (double)item->rows * item->k * problem->activation_bits / 8 : 0);
    return QM_OK;
}

static struct qm_dispatch product_dispatch(const struct qm_kernel_problem *problem, const struct qm_problem_part *part,
                                           uint32_t first_row, uint32_t rows)
{
    const struct qm_kernel_item *item = &problem->item;
    uint64_t row_bytes = (uint64_t)item->k * problem->activation_bits / 8, scale_bytes = 4 * problem->activation_groups;
    struct qm_matmul_parameters p = {.rows = rows,
                                     .k = item->k,
                                     .n = part->rows,
                                     .scale_offset = part->scale_offset,
                                     .result_stride = item->n,
                                     .multiplier = problem->weights.tensor_scale,
                                     .weight_shift = problem->weight_shift,
                                     .activation_shift = problem->activation_shift};
    struct qm_dispatch d = {
        .kernel = problem->kernel,
        .bindings = {{part->weights, 0, part->bytes},
                     {problem->activation_buffer, first_row * row_bytes, rows * row_bytes},
                     {problem->scale_buffer, first_row * scale_bytes, rows * scale_bytes},
                     {problem->parts[0].result, problem->guard + ((uint64_t)first_row * item->n + part->first) * 4,
                      ((uint64_t)(rows - 1) * item->n + part->rows) * 4}}};
    memcpy(d.parameters, &p, sizeof(p));
    qm_kernel_groups(problem->variant, d.parameters, d.groups);
    return d;
}

static struct qm_dispatch dequantize_dispatch(const struct qm_kernel_problem *problem,
                                              const struct qm_problem_part *part)
{
    struct qm_dequantize_parameters p = {.k = problem->item.k,
                                         .n = part->rows,
                                         .scale_offset = part->scale_offset,
                                         .weight_shift = problem->weight_shift,
                                         .multiplier = problem->weights.tensor_scale};
    struct qm_dispatch d = {.kernel = problem->kernel,
                            .bindings = {{part->weights, 0, part->bytes},
                                         {part->result, problem->guard, (uint64_t)part->rows * problem->item.k * 4}}};
    memcpy(d.parameters, &p, sizeof(p));
    qm_kernel_groups(problem->variant, d.parameters, d.groups);
    return d;
}

static enum qm_status list_dispatches(struct qm_kernel_problem *problem)
{
    bool is_product = qm_problem_is_product(problem);
    uint32_t rows = problem->item.rows, step = problem->dispatch_rows ? problem->dispatch_rows : 1;
    size_t most = (size_t)problem->part_count * (is_product ? (rows + step - 1) / step : 1);
    free(problem->dispatches);
    problem->dispatch_count = 0;
    problem->dispatches = calloc(most, sizeof(*problem->dispatches));
    if (!problem->dispatches)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu dispatches", most);
    for (uint32_t i = 0; i < problem->part_count; ++i) {
        if (!is_product)
            problem->dispatches[problem->dispatch_count++] = dequantize_dispatch(problem, &problem->parts[i]);
        for (uint32_t first = 0; is_product && first < rows; first += step)
            problem->dispatches[problem->dispatch_count++] =
                product_dispatch(problem, &problem->parts[i], first, rows - first < step ? rows - first : step);
    }
    return QM_OK;
}

// ---- Other kernels ------------------------------------------------------------------------------------------------

static enum qm_status make_case(struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    const struct qm_kernel_item *item = &problem->item;
    const char *tile = strrchr(problem->right->name, '-') + 1;
    struct qm_case_shape shape = {.rows = item->rows,
                                  .n = item->n,
                                  .k = item->k,
                                  .kv_heads = item->kv_heads,
                                  .position = item->position,
                                  .is_whole = true};
    // A decode step of several sequences, or one sequence's prompt.
    shape.tokens_per_sequence =
        strcmp(problem->right->kernel, "attention") == 0 && item->position > 0 && item->rows <= 8 ? 1 : item->rows;
    QM_TRY(qm_kernel_case_create(item->name, tile, &shape, QM_CASE_RANDOM, &problem->c));
    struct qm_kernel_case *c = problem->c;
    if (!c)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a case of kernel %s", item->name);
    snprintf(row->shape, sizeof(row->shape), "%s", c->shape);
    row->operations = c->operations;
    row->bytes = c->bytes;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < c->buffer_count; ++i) {
        bytes += 2 * c->buffers[i].count * 4; // on the host too
        row->outputs += c->buffers[i].is_output ? c->buffers[i].count : 0;
        QM_TRY(check_binding(problem, i, "its data", c->buffers[i].count * 4, "use a smaller shape"));
    }
    QM_TRY(check_room(problem, bytes));
    problem->dispatches = calloc(1, sizeof(*problem->dispatches));
    if (!problem->dispatches)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a dispatch");
    struct qm_dispatch *d = problem->dispatches;
    d->kernel = problem->kernel;
    for (uint32_t i = 0; i < c->buffer_count; ++i) {
        QM_TRY(upload(problem, c->buffers[i].words, c->buffers[i].count * 4, &problem->buffers[i]));
        d->bindings[i] = (struct qm_binding){problem->buffers[i], 0, c->buffers[i].count * 4};
    }
    memcpy(d->parameters, c->parameters, sizeof(d->parameters));
    qm_kernel_groups(problem->variant, d->parameters, d->groups);
    problem->dispatch_count = 1;
    return QM_OK;
}

// ---- Timing -------------------------------------------------------------------------------------------------------

static enum qm_status check_groups(const struct qm_kernel_problem *problem)
{
    const struct qm_device_info *info = problem->device->info;
    const uint32_t *workgroup = problem->variant->workgroup;
    if (workgroup[0] * workgroup[1] * workgroup[2] > info->max_workgroup_invocations)
        return QM_FAIL(QM_UNSUPPORTED, "workgroups of %u invocations; %s runs at most %u; another tile would do",
                       workgroup[0] * workgroup[1] * workgroup[2], info->id, info->max_workgroup_invocations);
    for (size_t i = 0; i < problem->dispatch_count; ++i)
        for (int d = 0; d < 3; ++d)
            if (problem->dispatches[i].groups[d] > info->max_groups[d])
                return QM_FAIL(QM_UNSUPPORTED, "%u workgroups in dimension %d; %s runs at most %u",
                               problem->dispatches[i].groups[d], d, info->id, info->max_groups[d]);
    return QM_OK;
}

// A program of `batch` runs, in place of the one before.
static enum qm_status record(struct qm_kernel_problem *problem, uint32_t batch)
{
    struct qm_device *device = problem->device;
    device->fns->program_destroy(device, &problem->program);
    struct qm_dispatch *all = malloc(batch * problem->dispatch_count * sizeof(*all));
    if (!all)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %u dispatches", batch);
    for (uint32_t i = 0; i < batch; ++i)
        memcpy(all + i * problem->dispatch_count, problem->dispatches, problem->dispatch_count * sizeof(*all));
    struct qm_program_params params = {all, batch * problem->dispatch_count, problem->step};
    enum qm_status status = device->fns->program_create(device, &params, &problem->program);
    free(all);
    problem->batch = batch;
    return status;
}

static enum qm_status run_once(struct qm_kernel_problem *problem, bool *device_time, double *ns)
{
    uint64_t device_ns = 0, wall_ns = 0;
    struct qm_timing timing = {.repeat_device_ns = &device_ns, .repeat_wall_ns = &wall_ns};
    bool is_split = problem->dispatch_rows > 0 && problem->dispatch_rows < problem->item.rows;
    struct qm_run_policy policy = {.repeats_per_submission = 1, .dispatches_per_submission = is_split ? 1 : 0};
    QM_TRY(problem->device->fns->run(problem->device, problem->program, 1, &policy, &timing));
    *device_time = timing.has_device_time && device_ns > 0;
    *ns = (double)(*device_time ? device_ns : timing.wall_ns);
    return QM_OK;
}

// Rows of a dispatch, so that none takes longer than a submission may: looked at with few of them first.
static enum qm_status choose_dispatch_rows(struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    uint64_t most_ns = problem->bench->params.submission_ns;
    problem->dispatch_rows = problem->item.rows;
    if (!qm_problem_is_product(problem) || problem->item.rows <= SPLIT_ROWS ||
        (most_ns == 0 && problem->device->info->type == QM_DEVICE_CPU))
        return list_dispatches(problem);
    most_ns = most_ns ? most_ns : SUBMISSION_NS;
    double ns = 0;
    bool unused;
    problem->dispatch_rows = SPLIT_ROWS;
    QM_TRY(list_dispatches(problem));
    QM_TRY(check_groups(problem));
    QM_TRY(record(problem, 1));
    QM_TRY(run_once(problem, &unused, &ns));
    double each = ns / (double)problem->dispatch_count;
    while (problem->dispatch_rows < problem->item.rows && 2 * each < (double)most_ns * 0.8) {
        problem->dispatch_rows *= 2;
        each *= 2;
    }
    if (problem->dispatch_rows >= problem->item.rows)
        problem->dispatch_rows = problem->item.rows;
    else
        row->dispatch_rows = problem->dispatch_rows;
    return list_dispatches(problem);
}

enum qm_status qm_kernel_problem_time(struct qm_kernel_problem *problem, uint64_t ns, size_t most, double *samples,
                                      size_t *count, uint32_t *batch, bool *device_time)
{
    double least_ns = qm_kernel_sample_ns(problem->device->info), sample_ns = 0, total_ns = 0;
    qm_heartbeat_note("timing of kernel %s", problem->variant->name);
    // One run is long enough, and the one that was checked has warmed up.
    if (problem->batch == 0 && problem->first_ns >= 20 * least_ns)
        problem->batch = 1;
    if (problem->batch == 0) {
        for (uint32_t runs = 1;;) { // the first run of each program warms up and says how long a sample would be
            QM_TRY(record(problem, runs));
            QM_TRY(run_once(problem, device_time, &sample_ns));
            if (sample_ns >= 20 * least_ns) // long enough that a first run is like any other
                break;
            QM_TRY(run_once(problem, device_time, &sample_ns));
            if (sample_ns >= least_ns || runs == BATCH_MAX)
                break;
            double wanted = runs * 1.2 * least_ns / (sample_ns > 1 ? sample_ns : 1) + 1;
            runs = wanted > BATCH_MAX ? BATCH_MAX : (uint32_t)wanted;
        }
    }
    *count = 0;
    while (*count < most && (*count == 0 || total_ns < (double)ns)) {
        QM_TRY(run_once(problem, device_time, &sample_ns));
        samples[(*count)++] = sample_ns / problem->batch;
        total_ns += sample_ns;
    }
    *batch = problem->batch;
    return QM_OK;
}

// ---- A problem's life ---------------------------------------------------------------------------------------------

void qm_kernel_problem_destroy(struct qm_kernel_problem **out)
{
    struct qm_kernel_problem *problem = *out;
    if (!problem)
        return;
    const struct qm_device_fns *fns = problem->device->fns;
    fns->program_destroy(problem->device, &problem->program);
    for (uint32_t i = 0; i < problem->part_count; ++i) {
        fns->buffer_destroy(problem->device, &problem->parts[i].weights);
        fns->buffer_destroy(problem->device, &problem->parts[i].result);
    }
    for (uint32_t i = 0; i < QM_MAX_BINDINGS; ++i)
        fns->buffer_destroy(problem->device, &problem->buffers[i]);
    fns->buffer_destroy(problem->device, &problem->activation_buffer);
    fns->buffer_destroy(problem->device, &problem->scale_buffer);
    fns->buffer_destroy(problem->device, &problem->step);
    qm_kernel_weights_free(&problem->weights);
    qm_kernel_case_destroy(&problem->c);
    free(problem->activations);
    free(problem->activation_scales);
    free(problem->activation_norms);
    free(problem->dispatches);
    free(problem);
    *out = NULL;
}

static void describe(const struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    const struct qm_kernel_item *item = &problem->item;
    const struct qm_format_info *info = NULL;
    row->variant = problem->right;
    row->arithmetic = qm_kernel_arithmetic(problem->right);
    row->memory = qm_kernel_memory(problem->right);
    qm_kernel_hash(problem->variant, row->kernel_hash);
    if (!qm_problem_has_weights(problem)) { // in other words once its data are made
        snprintf(row->shape, sizeof(row->shape), "rows %u, n %u, k %u", item->rows, item->n, item->k);
        return;
    }
    info = qm_weight_format_info(item->weights);
    if (qm_problem_is_product(problem))
        snprintf(row->shape, sizeof(row->shape), "%ux%ux%u", item->rows, item->n, item->k);
    else
        snprintf(row->shape, sizeof(row->shape), "%ux%u", item->n, item->k);
    snprintf(row->format_title, sizeof(row->format_title), info->group_size ? "%s, %u" : "%s", info->title,
             info->group_size);
}

static enum qm_status fill(struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    struct qm_device *device = problem->device;
    static const uint32_t zeros[QM_STEP_WORDS];
    size_t index = 0;
    QM_TRY(compile(problem, row, &index));
    device->fns->kernel_binary_hash(device, problem->kernel, row->binary_hash);
    device->fns->kernel_statistics(device, problem->kernel, &row->statistics);
    qm_heartbeat_note("data of kernel %s, %s", problem->right->name, row->shape);
    if (qm_problem_has_weights(problem))
        QM_TRY(make_weights(problem, row));
    else
        QM_TRY(make_case(problem, row));
    QM_TRY(upload(problem, problem->c ? problem->c->step : zeros, sizeof(zeros), &problem->step));
    if (!problem->c)
        QM_TRY(choose_dispatch_rows(problem, row));
    QM_TRY(check_groups(problem));
    QM_TRY(record(problem, 1));
    problem->batch = 0; // not yet known
    if (!problem->c) {
        bool unused;
        QM_TRY(run_once(problem, &unused, &problem->first_ns));
    }
    qm_heartbeat_note("check of kernel %s, %s", problem->right->name, row->shape);
    return qm_problem_check(problem, row);
}

static bool is_final(enum qm_status status)
{
    return status == QM_DEVICE_LOST || status == QM_TIMEOUT || status == QM_INTERRUPTED;
}

enum qm_status qm_kernel_problem_create(struct qm_kernel_bench *bench, const struct qm_kernel_item *item,
                                        struct qm_kernel_problem **out, struct qm_kernel_row *row)
{
    *out = NULL;
    memset(row, 0, sizeof(*row));
    if (item->rows == 0 || item->n == 0 || item->k == 0) {
        row->status = QM_FAIL(QM_INVALID, "%s at %ux%ux%u; expected rows, outputs and inputs of at least 1", item->name,
                              item->rows, item->n, item->k);
        snprintf(row->reason, sizeof(row->reason), "%s", qm_error_text());
        return QM_OK;
    }
    struct qm_kernel_problem *problem = calloc(1, sizeof(*problem));
    if (!problem)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a kernel's data");
    problem->bench = bench;
    problem->device = bench->params.device;
    problem->item = *item;
    if (problem->item.weights == QM_WEIGHT_FORMAT_COUNT)
        problem->item.weights = qm_case_format_of(item->name, 0);
    uint64_t alignment = problem->device->info->buffer_offset_alignment;
    alignment = alignment ? alignment : 4;
    problem->guard = (512 + alignment - 1) / alignment * alignment;
    // Of what is read as texels, weights can be cut; activations cannot.
    enum qm_status status = qm_problem_choose(bench, item, (uint64_t)item->rows * item->k * 4, &problem->right);
    if (status == QM_OK)
        status = qm_kernel_configure(qm_kernel_planted(problem->right), item->settings, &problem->variant);
    if (status == QM_OK) {
        describe(problem, row);
        status = fill(problem, row);
    }
    if (status == QM_OK && row->status == QM_OK) {
        *out = problem;
        return QM_OK;
    }
    if (status != QM_OK) {
        row->status = status;
        snprintf(row->reason, sizeof(row->reason), "%s", qm_error_text());
    }
    qm_kernel_problem_destroy(&problem);
    return is_final(status) ? status : QM_OK;
}
