// Whether a kernel's results at a large shape are right, looked at in a sample of them.
#include "bench/kernel_problem_internal.h"

#include "base/numeric.h"
#include "base/random.h"
#include "kernel_arguments.h"

#include <inttypes.h>
#include <math.h> // sqrt, fabs and isfinite only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAMPLED_ROWS = 8,
    SAMPLED_PANELS = 8,
    SAMPLED_OUTPUTS = SAMPLED_PANELS * QM_PANEL_ROWS,
    READ_WORDS = 1 << 18,
    ATTENTION_ROWS = 4
};
#define ATTENTION_FULL 2e8 // operations of which the oracle does all

// ---- Keeping the worst --------------------------------------------------------------------------------------------

// One output against what it must be. `bound` below 0: by its bits.
static void compare(struct qm_kernel_row *row, double expected, uint32_t got_bits, double bound, const char *where,
                    uint32_t y, uint32_t x)
{
    double got = (double)qm_float_from_bits(got_bits), error, allowed = bound;
    bool is_wrong;
    if (bound < 0) {
        uint32_t want = qm_bits_from_float((float)expected);
        bool is_equal = got_bits == want || (expected == 0 && got == 0);
        error = is_equal ? 0 : isfinite(got) ? fabs(got - expected) : INFINITY;
        is_wrong = !is_equal;
        allowed = 0;
    } else {
        error = isfinite(got) ? fabs(got - expected) : INFINITY;
        is_wrong = !(error <= bound);
    }
    row->checked++;
    if (row->status == QM_OK &&
        (is_wrong || error * row->bound > row->error * allowed || (row->bound == 0 && row->error == 0 && error > 0))) {
        row->error = error;
        row->bound = allowed;
    }
    if (!is_wrong || row->status != QM_OK)
        return;
    row->status = QM_WRONG_RESULT;
    snprintf(row->reason, sizeof(row->reason),
             "%s row %u, output %u: got %.9g, expected %.9g, off by %.3g where %.3g is allowed", where, y, x, got,
             expected, error, allowed);
}

// ---- The oracle ---------------------------------------------------------------------------------------------------

struct sample_buffer {
    const uint32_t *words;
    size_t count;
    uint32_t *output; // filled where not NULL, and `words` not read
};

// Carries one dispatch out on the reference backend.
static enum qm_status run_reference(const struct qm_kernel_variant *variant, const struct sample_buffer *buffers,
                                    uint32_t count, const void *parameters, size_t parameter_bytes,
                                    const uint32_t *step_words)
{
    static const uint32_t zeros[QM_STEP_WORDS];
    struct qm_device *reference = NULL;
    struct qm_kernel *kernel = NULL;
    struct qm_program *program = NULL;
    struct qm_buffer *made[QM_MAX_BINDINGS] = {NULL}, *step = NULL;
    struct qm_dispatch d = {0};
    enum qm_status status;
    QM_TRY(qm_backend_reference.open(NULL, NULL, &reference));
    QM_GUARD(reference->fns->kernel_create(reference, variant, &kernel));
    d.kernel = kernel;
    for (uint32_t i = 0; i < count; ++i) {
        QM_GUARD(reference->fns->buffer_create(reference, buffers[i].count * 4, &made[i]));
        if (!buffers[i].output)
            QM_GUARD(reference->fns->buffer_write(reference, made[i], 0, buffers[i].words, buffers[i].count * 4));
        d.bindings[i] = (struct qm_binding){made[i], 0, buffers[i].count * 4};
    }
    memcpy(d.parameters, parameters, parameter_bytes);
    qm_kernel_groups(variant, d.parameters, d.groups);
    QM_GUARD(reference->fns->buffer_create(reference, sizeof(zeros), &step));
    QM_GUARD(reference->fns->buffer_write(reference, step, 0, step_words ? step_words : zeros, sizeof(zeros)));
    struct qm_program_params params = {&d, 1, step};
    QM_GUARD(reference->fns->program_create(reference, &params, &program));
    struct qm_run_policy policy = {.repeats_per_submission = 1};
    struct qm_timing timing = {0};
    QM_GUARD(reference->fns->run(reference, program, 1, &policy, &timing));
    for (uint32_t i = 0; i < count; ++i)
        if (buffers[i].output)
            QM_GUARD(reference->fns->buffer_read(reference, made[i], 0, buffers[i].output, buffers[i].count * 4));
done:
    reference->fns->program_destroy(reference, &program);
    for (uint32_t i = 0; i < QM_MAX_BINDINGS; ++i)
        reference->fns->buffer_destroy(reference, &made[i]);
    reference->fns->buffer_destroy(reference, &step);
    reference->fns->kernel_destroy(reference, &kernel);
    reference->fns->destroy(&reference);
    return status;
}

// ---- What is sampled ----------------------------------------------------------------------------------------------

// Adds a number that is not there yet.
static void add(uint32_t *list, uint32_t *count, uint32_t most, uint32_t value)
{
    for (uint32_t i = 0; i < *count; ++i)
        if (list[i] == value)
            return;
    if (*count < most)
        list[(*count)++] = value;
}

// The first and the last, `also`, and others at random.
static uint32_t choose(uint32_t *list, uint32_t most, uint32_t count, uint32_t also, uint64_t seed)
{
    struct qm_random random;
    uint32_t chosen = 0;
    qm_random_seed(&random, seed, 2);
    add(list, &chosen, most, 0);
    add(list, &chosen, most, count - 1);
    add(list, &chosen, most, also < count ? also : 0);
    for (uint32_t i = 0; i < 4 * most; ++i)
        add(list, &chosen, most, qm_random_below(&random, count));
    return chosen;
}

struct sample {
    uint32_t rows[SAMPLED_ROWS], row_count;
    uint32_t panels[SAMPLED_PANELS], panel_count;
    uint32_t *weights; // the panels as a weight of their own
    struct qm_layout layout;
    uint32_t n;
};

static enum qm_status sample_weights(struct qm_kernel_problem *problem, struct sample *s)
{
    const struct qm_kernel_item *item = &problem->item;
    uint32_t border = problem->part_count > 1 ? problem->parts[1].first / QM_PANEL_ROWS : 0;
    struct qm_layout one;
    s->panel_count = choose(s->panels, SAMPLED_PANELS, (item->n + QM_PANEL_ROWS - 1) / QM_PANEL_ROWS, border,
                            problem->bench->params.seed);
    s->n = s->panel_count * QM_PANEL_ROWS;
    QM_TRY(qm_layout_plan(item->weights, &(struct qm_layout_shape){.n = s->n, .k = item->k}, &s->layout));
    QM_TRY(qm_layout_plan(item->weights, &(struct qm_layout_shape){.n = QM_PANEL_ROWS, .k = item->k}, &one));
    s->weights = calloc(s->layout.words, sizeof(*s->weights));
    uint32_t *panel = malloc(one.bytes);
    enum qm_status status =
        s->weights && panel ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a sample of weights");
    for (uint32_t i = 0; status == QM_OK && i < s->panel_count; ++i) {
        uint32_t first = s->panels[i] * QM_PANEL_ROWS, rows = item->n - first;
        rows = rows < QM_PANEL_ROWS ? rows : QM_PANEL_ROWS;
        status = qm_kernel_weights_fill(&problem->weights, first, rows, panel);
        size_t codes = one.code_words, scales = (size_t)one.scale_words_per_row * QM_PANEL_ROWS;
        memcpy(s->weights + i * codes, panel, codes * sizeof(*panel));
        memcpy(s->weights + s->layout.scale_offset_words + i * scales, panel + one.scale_offset_words,
               scales * sizeof(*panel));
    }
    free(panel);
    return status;
}

// ---- Results as a whole -------------------------------------------------------------------------------------------

// Every word between the guards was written with a finite number, and the guards are as they were.
static enum qm_status look_at_all(struct qm_kernel_problem *problem, struct qm_buffer *buffer, uint64_t words,
                                  struct qm_kernel_row *row)
{
    uint64_t guard = problem->guard / 4, all = words + 2 * guard;
    uint32_t *chunk = malloc(READ_WORDS * sizeof(*chunk));
    enum qm_status status = chunk ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory to read a kernel's result");
    for (uint64_t at = 0; status == QM_OK && row->status == QM_OK && at < all; at += READ_WORDS) {
        uint64_t count = all - at < READ_WORDS ? all - at : READ_WORDS;
        status = qm_problem_read(problem, buffer, at * 4, chunk, count * 4);
        for (uint64_t i = 0; status == QM_OK && row->status == QM_OK && i < count; ++i) {
            bool is_guard = at + i < guard || at + i >= guard + words;
            if (is_guard ? chunk[i] == QM_PROBLEM_GUARD_WORD : (chunk[i] & 0x7f800000u) != 0x7f800000u)
                continue;
            row->status = QM_WRONG_RESULT;
            if (is_guard)
                snprintf(row->reason, sizeof(row->reason),
                         "writes outside of its result, at word %" PRId64 " of %" PRIu64,
                         (int64_t)(at + i) - (int64_t)guard, words);
            else
                snprintf(row->reason, sizeof(row->reason), "output %" PRIu64 " of %" PRIu64 " %s", at + i - guard,
                         words, chunk[i] == QM_PROBLEM_FILL_WORD ? "was not written" : "is not finite");
        }
    }
    free(chunk);
    return status;
}

// ---- Products -----------------------------------------------------------------------------------------------------

// What a product may be off by, for norms of 1; see kernels/product.h. Below 0: nothing.
static double product_terms(const struct qm_kernel_problem *problem)
{
    const struct qm_weight_codec *codec = qm_weight_codec(problem->item.weights);
    uint32_t k = problem->item.k;
    bool is_integer = (problem->activation == QM_CASE_A8 || problem->activation == QM_CASE_A4) && codec->is_integer;
    bool has_blocks = codec->group || problem->activation_groups > 1 || problem->activation == QM_CASE_A4;
    if (is_integer && !has_blocks)
        return -1;
    return is_integer ? (double)k / (codec->group == 16 ? 16 : 32) + 8 : k + 8.0;
}

static enum qm_status compare_product(struct qm_kernel_problem *problem, const struct sample *s,
                                      const uint32_t *expected, struct qm_kernel_row *row)
{
    const struct qm_kernel_item *item = &problem->item;
    double terms = product_terms(problem);
    uint32_t got[QM_PANEL_ROWS];
    row->is_exact = terms < 0;
    for (uint32_t y = 0; y < s->row_count; ++y) {
        for (uint32_t p = 0; p < s->panel_count; ++p) {
            uint32_t first = s->panels[p] * QM_PANEL_ROWS, count = item->n - first;
            count = count < QM_PANEL_ROWS ? count : QM_PANEL_ROWS;
            QM_TRY(qm_problem_read(problem, problem->parts[0].result,
                                   problem->guard + ((uint64_t)s->rows[y] * item->n + first) * 4, got, count * 4));
            for (uint32_t x = 0; x < count; ++x) {
                double norm = qm_kernel_weights_norm(&problem->weights, first + x);
                double bound = terms < 0 ? -1
                                         : terms * 0x1p-24 * (double)problem->weights.tensor_scale *
                                                   problem->activation_norms[s->rows[y]] * norm +
                                               0x1p-120;
                float value = qm_float_from_bits(expected[(size_t)y * s->n + p * QM_PANEL_ROWS + x]);
                compare(row, (double)value, got[x], bound, "", s->rows[y], first + x);
            }
        }
    }
    return QM_OK;
}

static enum qm_status check_product(struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    const struct qm_kernel_item *item = &problem->item;
    struct sample s = {0};
    size_t row_words = (size_t)item->k * problem->activation_bits / 32, groups = problem->activation_groups;
    uint32_t *activations = NULL, *scales = NULL, *expected = NULL;
    enum qm_status status;
    s.row_count = choose(s.rows, SAMPLED_ROWS, item->rows, problem->dispatch_rows, problem->bench->params.seed);
    QM_GUARD(sample_weights(problem, &s));
    activations = malloc(s.row_count * row_words * sizeof(*activations));
    scales = malloc(s.row_count * groups * sizeof(*scales));
    expected = malloc((size_t)s.row_count * s.n * sizeof(*expected));
    if (!activations || !scales || !expected) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a sample of activations");
        goto done;
    }
    for (uint32_t y = 0; y < s.row_count; ++y) {
        memcpy(activations + y * row_words, problem->activations + s.rows[y] * row_words,
               row_words * sizeof(*activations));
        memcpy(scales + y * groups, problem->activation_scales + s.rows[y] * groups, groups * sizeof(*scales));
    }
    const struct sample_buffer buffers[] = {{s.weights, s.layout.words, NULL},
                                            {activations, s.row_count * row_words, NULL},
                                            {scales, s.row_count * groups, NULL},
                                            {NULL, (size_t)s.row_count * s.n, expected}};
    struct qm_matmul_parameters p = {.rows = s.row_count,
                                     .k = item->k,
                                     .n = s.n,
                                     .scale_offset = (uint32_t)s.layout.scale_offset_words,
                                     .result_stride = s.n,
                                     .multiplier = problem->weights.tensor_scale,
                                     .weight_shift = problem->weight_shift,
                                     .activation_shift = problem->activation_shift};
    QM_GUARD(run_reference(problem->right, buffers, 4, &p, sizeof(p), NULL));
    QM_GUARD(look_at_all(problem, problem->parts[0].result, row->outputs, row));
    if (row->status == QM_OK)
        QM_GUARD(compare_product(problem, &s, expected, row));
done:
    free(s.weights);
    free(activations);
    free(scales);
    free(expected);
    return status;
}

// ---- Dequantize ---------------------------------------------------------------------------------------------------

static const struct qm_problem_part *part_of(const struct qm_kernel_problem *problem, uint32_t row)
{
    uint32_t i = 0;
    while (row >= problem->parts[i].first + problem->parts[i].rows)
        ++i;
    return &problem->parts[i];
}

static enum qm_status compare_decoded(struct qm_kernel_problem *problem, const struct sample *s,
                                      const uint32_t *expected, uint32_t *got, struct qm_kernel_row *row)
{
    const struct qm_kernel_item *item = &problem->item;
    const struct qm_weight_codec *codec = qm_weight_codec(item->weights);
    // One rounding, or none, is the same everywhere; more may contract. E2M1 is decoded as integers, without -0.
    row->is_exact = codec->scale != QM_SCALE_BLOCK && codec->scale != QM_SCALE_F16_ZERO &&
                    (codec->info.is_float || codec->high > 0 || !codec->is_integer);
    for (uint32_t i = 0; i < s->n; ++i) {
        uint32_t output = s->panels[i / QM_PANEL_ROWS] * QM_PANEL_ROWS + i % QM_PANEL_ROWS;
        if (output >= item->n)
            continue;
        const struct qm_problem_part *part = part_of(problem, output);
        QM_TRY(qm_problem_read(problem, part->result, problem->guard + (uint64_t)(output - part->first) * item->k * 4,
                               got, (uint64_t)item->k * 4));
        for (uint32_t x = 0; x < item->k; ++x) {
            double bound = row->is_exact ? -1
                                         : 4 * 0x1p-24 * (double)problem->weights.tensor_scale *
                                                   qm_kernel_weights_magnitude(&problem->weights, output, x) +
                                               0x1p-120;
            compare(row, (double)qm_float_from_bits(expected[(size_t)i * item->k + x]), got[x], bound, "weight", output,
                    x);
        }
    }
    return QM_OK;
}

static enum qm_status check_dequantize(struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    const struct qm_kernel_item *item = &problem->item;
    struct sample s = {0};
    uint32_t *expected = NULL, *got = NULL;
    enum qm_status status;
    QM_GUARD(sample_weights(problem, &s));
    expected = malloc((size_t)s.n * item->k * sizeof(*expected));
    got = malloc(item->k * sizeof(*got));
    if (!expected || !got) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a sample of weights");
        goto done;
    }
    const struct sample_buffer buffers[] = {{s.weights, s.layout.words, NULL}, {NULL, (size_t)s.n * item->k, expected}};
    struct qm_dequantize_parameters p = {.k = item->k,
                                         .n = s.n,
                                         .scale_offset = (uint32_t)s.layout.scale_offset_words,
                                         .weight_shift = problem->weight_shift,
                                         .multiplier = problem->weights.tensor_scale};
    QM_GUARD(run_reference(problem->right, buffers, 2, &p, sizeof(p), NULL));
    for (uint32_t i = 0; i < problem->part_count; ++i)
        QM_GUARD(look_at_all(problem, problem->parts[i].result, (uint64_t)problem->parts[i].rows * item->k, row));
    if (row->status == QM_OK)
        QM_GUARD(compare_decoded(problem, &s, expected, got, row));
done:
    free(s.weights);
    free(expected);
    free(got);
    return status;
}

// ---- Attention ----------------------------------------------------------------------------------------------------

// Some rows of it: the oracle does each as a pass of one token, over the same cache.
static enum qm_status check_attention_rows(struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    const struct qm_kernel_case *c = problem->c;
    struct qm_attention_parameters p;
    uint32_t rows[ATTENTION_ROWS];
    memcpy(&p, c->parameters, sizeof(p));
    uint32_t head = qm_kernel_definition(problem->right, "QM_HEAD", 64), width = p.heads * head;
    uint32_t count = choose(rows, ATTENTION_ROWS, p.rows, p.rows / 2, problem->bench->params.seed);
    uint32_t *expected = malloc((size_t)p.result_stride * 4), *got = malloc((size_t)p.result_stride * 4);
    uint32_t *step = calloc(QM_STEP_WORDS, sizeof(*step));
    enum qm_status status = expected && got && step ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a sample");
    for (uint32_t i = 0; status == QM_OK && i < count; ++i) {
        uint32_t sequence = rows[i] / p.tokens_per_sequence;
        const uint32_t *offsets = c->step + QM_STEP_HEAD_WORDS + 2 * (size_t)sequence;
        step[0] = c->step[0] + rows[i] % p.tokens_per_sequence + offsets[1];
        step[1] = c->step[1] + sequence + offsets[0];
        struct qm_attention_parameters one = p;
        one.rows = one.tokens_per_sequence = 1;
        const struct sample_buffer buffers[] = {{c->buffers[0].words + (size_t)rows[i] * width, width, NULL},
                                                {c->buffers[1].words, c->buffers[1].count, NULL},
                                                {NULL, p.result_stride, expected}};
        QM_GUARD(run_reference(problem->right, buffers, 3, &one, sizeof(one), step));
        QM_GUARD(qm_problem_read(problem, problem->buffers[2], (uint64_t)rows[i] * p.result_stride * 4, got,
                                 (uint64_t)width * 4));
        for (uint32_t x = 0; x < width; ++x)
            compare(row, (double)qm_float_from_bits(expected[x]), got[x],
                    c->buffers[2].absolute[(size_t)rows[i] * p.result_stride + x], "", rows[i], x);
    }
done:
    free(expected);
    free(got);
    free(step);
    return status;
}

// ---- All of them --------------------------------------------------------------------------------------------------

static bool *is_checked(struct qm_kernel_problem *problem)
{
    struct qm_kernel_bench *bench = problem->bench;
    for (size_t i = 0; i < bench->kernel_count; ++i)
        if (bench->kernels[i].kernel == problem->kernel)
            return &bench->kernels[i].is_checked;
    return NULL;
}

// Takes a report's words over. The first wrong one stays.
static void take_report(const struct qm_kernel_report *report, const char *where, struct qm_kernel_row *row)
{
    row->status = report->status;
    row->error = report->worst_error;
    row->bound = report->worst_bound;
    row->is_exact = report->exact;
    snprintf(row->reason, sizeof(row->reason), "%s%s", report->status == QM_OK ? "" : where, report->reason);
}

// At a shape that fits no tile, with integers: every order of summation gives the same bits, and every term counts.
static enum qm_status check_odd_shape(struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    bool *done = is_checked(problem);
    if (!done || *done)
        return QM_OK;
    struct qm_kernel_case *c = NULL;
    struct qm_kernel_report report;
    uint32_t multiple = qm_case_k_multiple(problem->item.name);
    struct qm_case_shape shape = {.rows = strncmp(problem->item.name, "matvec", 6) == 0 ? 3 : 17,
                                  .n = 50,
                                  .k = (288 + multiple - 1) / multiple * multiple};
    QM_TRY(qm_kernel_case_create(problem->item.name, strrchr(problem->right->name, '-') + 1, &shape, QM_CASE_INTEGERS,
                                 &c));
    enum qm_status status = qm_kernel_check_compiled(problem->device, problem->variant, problem->kernel, c, &report);
    qm_kernel_case_destroy(&c);
    QM_TRY(status);
    *done = report.status == QM_OK;
    if (report.status != QM_OK) {
        char where[96];
        snprintf(where, sizeof(where), "at %s: ", report.shape);
        take_report(&report, where, row);
    }
    return QM_OK;
}

static enum qm_status check_case(struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    struct qm_kernel_report report;
    if (strcmp(problem->right->kernel, "attention") == 0 && problem->c->operations > ATTENTION_FULL) {
        struct qm_timing timing = {0};
        struct qm_run_policy policy = {.repeats_per_submission = 1};
        QM_TRY(problem->device->fns->run(problem->device, problem->program, 1, &policy, &timing));
        return check_attention_rows(problem, row);
    }
    QM_TRY(qm_kernel_check_compiled(problem->device, problem->variant, problem->kernel, problem->c, &report));
    take_report(&report, "", row);
    row->checked = row->outputs;
    return QM_OK;
}

enum qm_status qm_problem_check(struct qm_kernel_problem *problem, struct qm_kernel_row *row)
{
    if (problem->c)
        return check_case(problem, row);
    QM_TRY(check_odd_shape(problem, row));
    if (row->status != QM_OK)
        return QM_OK;
    return qm_problem_is_product(problem) ? check_product(problem, row) : check_dequantize(problem, row);
}
