// Running a recorded pass, reading what it left, and showing a calibration what it reads.
#include "model/pass_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"

enum qm_status qm_pass_run(struct qm_pass *pass, const struct qm_pass_start *start, uint32_t repeats,
                           const struct qm_run_policy *policy, struct qm_timing *timing)
{
    struct qm_device *device = pass->network->engine->params.device;
    QM_TRY(qm_step_write(pass->network->engine, &pass->params, *start, repeats));
    return device->fns->run(device, pass->program, repeats, policy, timing);
}

enum qm_status qm_pass_run_each(struct qm_pass *pass, const struct qm_pass_start *starts, uint32_t repeats,
                                const struct qm_run_policy *policy, struct qm_timing *timing)
{
    struct qm_device *device = pass->network->engine->params.device;
    QM_TRY(qm_step_write_each(pass->network->engine, &pass->params, starts, repeats));
    return device->fns->run(device, pass->program, repeats, policy, timing);
}

enum qm_status qm_pass_fit_policy(struct qm_pass *pass, const struct qm_pass_start *start, uint64_t limit_ns,
                                  uint32_t most_dispatches, struct qm_run_policy *out)
{
    // Begin small: a submission that is too long may already be one that the watchdog kills.
    struct qm_run_policy trial = {.dispatches_per_submission = 4, .repeats_per_submission = 1};
    struct qm_timing timing = {0};
    QM_TRY(qm_pass_run(pass, start, 1, &trial, &timing)); // the first run may compile
    QM_TRY(qm_pass_run(pass, start, 1, &trial, &timing));
    uint64_t pass_ns = timing.wall_ns > 0 ? timing.wall_ns : 1;
    out->dispatches_per_submission = 0;
    out->repeats_per_submission = 1;
    if (pass_ns > limit_ns) {
        // Dispatches differ in length; half of the even share leaves room.
        uint64_t share = pass->count * limit_ns / pass_ns / 2;
        out->dispatches_per_submission = share > 1 ? (uint32_t)share : 1;
    } else {
        uint64_t repeats = limit_ns / pass_ns / 2;
        out->repeats_per_submission = repeats < 1 ? 1 : repeats > 16 ? 16 : (uint32_t)repeats;
    }
    if (most_dispatches > 0 &&
        (out->dispatches_per_submission == 0 || out->dispatches_per_submission > most_dispatches))
        out->dispatches_per_submission = most_dispatches;
    return QM_OK;
}

enum qm_status qm_pass_read_logits(struct qm_pass *pass, float *logits)
{
    return qm_pass_read_rows(pass, 0, pass->rows, logits);
}

enum qm_status qm_pass_read_rows(struct qm_pass *pass, uint32_t first, uint32_t count, float *logits)
{
    struct qm_engine *e = pass->network->engine;
    uint64_t row_bytes = (uint64_t)e->config.vocabulary * 4;
    if (count == 0 || first + (uint64_t)count > pass->rows)
        return QM_FAIL(QM_INVALID, "rows %u to %u of a pass of %u", first, first + count, pass->rows);
    return e->params.device->fns->buffer_read(e->params.device, e->logits, first * row_bytes, logits,
                                              count * row_bytes);
}

enum qm_status qm_pass_read_outputs(struct qm_pass *pass, float *log_probabilities, uint32_t *argmaxes)
{
    struct qm_engine *e = pass->network->engine;
    struct qm_device *device = e->params.device;
    if (log_probabilities)
        QM_TRY(device->fns->buffer_read(device, e->log_probabilities, 0, log_probabilities, (uint64_t)pass->rows * 4));
    if (argmaxes)
        QM_TRY(device->fns->buffer_read(device, e->argmaxes, 0, argmaxes, (uint64_t)pass->rows * 4));
    return QM_OK;
}

uint32_t qm_checksum_row(const float *logits, uint32_t vocabulary)
{
    uint32_t sum = 0;
    for (uint32_t v = 0; v < vocabulary; ++v)
        sum += (qm_bits_from_float(logits[v]) ^ (v * 2654435769u)) * 2246822507u;
    return sum;
}

uint64_t qm_checksum_fold(uint64_t fold, uint32_t row_checksum)
{
    return (fold ^ row_checksum) * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

enum qm_status qm_pass_read_checksums(struct qm_pass *pass, uint32_t repeats, uint64_t *checksums)
{
    struct qm_engine *e = pass->network->engine;
    size_t count = (size_t)repeats * pass->rows;
    uint32_t *rows = malloc(count * sizeof(*rows));
    if (!rows)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %zu checksums", count);
    enum qm_status status = e->params.device->fns->buffer_read(e->params.device, e->checksums, 0, rows, count * 4);
    for (uint32_t repeat = 0; status == QM_OK && repeat < repeats; ++repeat) {
        checksums[repeat] = 0;
        for (uint32_t row = 0; row < pass->rows; ++row)
            checksums[repeat] = qm_checksum_fold(checksums[repeat], rows[(size_t)repeat * pass->rows + row]);
    }
    free(rows);
    return status;
}

// The rows of a tap, side by side.
static enum qm_status read_tap(struct qm_device *device, const struct qm_tap *tap, uint32_t rows, float *values)
{
    size_t span = (size_t)(rows - 1) * tap->rows.stride + tap->width;
    float *all = malloc(span * sizeof(*all));
    if (!all)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to observe activations");
    enum qm_status status =
        device->fns->buffer_read(device, tap->rows.buffer, 4 * (uint64_t)tap->rows.from, all, span * sizeof(*all));
    for (size_t row = 0; row < rows && status == QM_OK; ++row)
        memcpy(values + row * tap->width, all + row * tap->rows.stride, tap->width * sizeof(*values));
    free(all);
    return status;
}

static enum qm_status show_tap(const struct qm_pass *pass, const struct qm_tap *tap, struct qm_calibration *calibration)
{
    struct qm_device *device = pass->network->engine->params.device;
    float *values = malloc((size_t)pass->rows * tap->width * sizeof(*values));
    if (!values)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to observe activations");
    enum qm_status status = read_tap(device, tap, pass->rows, values);
    if (status == QM_OK && tap->is_cached)
        status = qm_calibration_observe_cached(calibration, tap->layer, tap->cached, values, pass->rows, tap->width);
    else if (status == QM_OK)
        status = qm_calibration_observe_rows(calibration, tap->layer, tap->input, values, pass->rows, tap->width);
    free(values);
    return status;
}

enum qm_status qm_pass_observe(struct qm_pass *pass, const struct qm_pass_start *start,
                               struct qm_calibration *calibration)
{
    struct qm_engine *e = pass->network->engine;
    struct qm_device *device = e->params.device;
    const struct qm_run_policy policy = {0, 1};
    struct qm_pass *shown = NULL;
    struct qm_program *part = NULL;
    enum qm_status status;
    size_t done_dispatches = 0;
    QM_GUARD(qm_pass_build(pass->network, &pass->params, true, &shown));
    QM_GUARD(qm_step_write(e, &pass->params, *start, 1));
    for (size_t i = 0; i < shown->tap_count; ++i) {
        const struct qm_tap *tap = &shown->taps[i];
        struct qm_program_params params = {shown->dispatches + done_dispatches, tap->before - done_dispatches, e->step};
        struct qm_timing timing = {0};
        if (params.count > 0) {
            QM_GUARD(device->fns->program_create(device, &params, &part));
            QM_GUARD(device->fns->run(device, part, 1, &policy, &timing));
            device->fns->program_destroy(device, &part);
        }
        done_dispatches = tap->before;
        QM_GUARD(show_tap(shown, tap, calibration));
    }
done:
    if (part)
        device->fns->program_destroy(device, &part);
    qm_pass_destroy(&shown);
    return status;
}
