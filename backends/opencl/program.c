// Programs: dispatches recorded once, then run and timed.
//
// A cl_kernel carries its arguments, so each dispatch has a cl_kernel of its own, whose arguments are set once. Running
// is then nothing but enqueueing, or, where the device has command buffers that are to be trusted, enqueueing one of them.
// The queue is in order: each dispatch sees the writes of those before it.
#include "backends/opencl/opencl.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sys/host.h"

// A window of a buffer that starts after its first byte; shared by the dispatches that bind the same one.
struct window {
    cl_mem parent;
    cl_mem memory;
    size_t offset;
    size_t bytes;
};

enum {
    TOGETHER_MOST = 16 // command buffers of a program: one cannot be enqueued again before it has run
};

struct qm_program {
    struct opencl_recorded *dispatches;
    size_t count;
    struct window *windows;
    size_t window_count;
    struct opencl_commands *commands[TOGETHER_MOST]; // of the whole program, recorded when they are needed
};

uint64_t opencl_hang_limit_ns = UINT64_C(60) * 1000 * 1000 * 1000;

// ---- Recording ----------------------------------------------------------------------------------------------------

// A binding's memory: the buffer itself where it starts at 0, else a sub-buffer.
static enum qm_status bind(struct qm_program *program, const struct qm_binding *binding, cl_mem *out)
{
    *out = binding->buffer->memory;
    if (binding->offset_bytes == 0)
        return QM_OK;
    size_t offset = (size_t)binding->offset_bytes, bytes = (size_t)binding->size_bytes;
    for (size_t i = 0; i < program->window_count; ++i) {
        const struct window *window = &program->windows[i];
        if (window->parent == *out && window->offset == offset && window->bytes == bytes) {
            *out = window->memory;
            return QM_OK;
        }
    }
    cl_buffer_region region = {offset, bytes};
    cl_int error;
    cl_mem memory = cl.CreateSubBuffer(*out, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    QM_TRY(opencl_check(error, "cl.CreateSubBuffer", __FILE__, __LINE__));
    program->windows[program->window_count++] = (struct window){*out, memory, offset, bytes};
    *out = memory;
    return QM_OK;
}

// The argument list of every kernel: buffers, parameters, step buffer.
static enum qm_status record(struct qm_program *program, const struct qm_dispatch *dispatch, struct qm_buffer *step)
{
    const struct qm_kernel *kernel = dispatch->kernel;
    struct opencl_recorded *recorded = &program->dispatches[program->count];
    cl_int error;
    recorded->kernel = cl.CreateKernel(kernel->program, kernel->name, &error);
    QM_TRY(opencl_check(error, "cl.CreateKernel", __FILE__, __LINE__));
    ++program->count;
    cl_uint argument = 0;
    for (uint32_t i = 0; i < kernel->binding_count; ++i) {
        cl_mem memory;
        QM_TRY(bind(program, &dispatch->bindings[i], &memory));
        CL_TRY(cl.SetKernelArg(recorded->kernel, argument++, sizeof(memory), &memory));
    }
    for (uint32_t i = 0; i < kernel->parameter_count; ++i)
        CL_TRY(cl.SetKernelArg(recorded->kernel, argument++, sizeof(uint32_t), &dispatch->parameters[i]));
    CL_TRY(cl.SetKernelArg(recorded->kernel, argument++, sizeof(step->memory), &step->memory));
    for (int i = 0; i < 3; ++i) {
        recorded->local[i] = kernel->workgroup[i];
        recorded->global[i] = (size_t)kernel->workgroup[i] * dispatch->groups[i];
    }
    return QM_OK;
}

enum qm_status opencl_program_create(struct qm_device *handle, const struct qm_program_params *params,
                                     struct qm_program **out)
{
    struct opencl_device *device = opencl_device_of(handle);
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_TRY(opencl_alive(device));
    struct qm_program *program = calloc(1, sizeof(*program));
    if (program == NULL)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a program");
    program->dispatches = calloc(params->count, sizeof(*program->dispatches));
    program->windows = calloc(params->count * QM_MAX_BINDINGS, sizeof(*program->windows));
    if (program->dispatches == NULL || program->windows == NULL) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a program of %zu dispatches", params->count);
        goto done;
    }
    for (size_t i = 0; i < params->count; ++i)
        QM_GUARD(record(program, &params->dispatches[i], params->step));
    *out = program;
    return QM_OK;
done:
    opencl_program_destroy(handle, &program);
    return opencl_remember(device, status);
}

void opencl_program_destroy(struct qm_device *handle, struct qm_program **handle_program)
{
    if (handle_program == NULL || *handle_program == NULL)
        return;
    struct qm_program *program = *handle_program;
    bool release = !opencl_device_of(handle)->hung;
    for (size_t i = 0; i < TOGETHER_MOST; ++i)
        opencl_commands_destroy(opencl_device_of(handle), &program->commands[i]);
    for (size_t i = 0; release && i < program->count; ++i)
        cl.ReleaseKernel(program->dispatches[i].kernel);
    for (size_t i = 0; release && i < program->window_count; ++i)
        cl.ReleaseMemObject(program->windows[i].memory);
    free(program->dispatches);
    free(program->windows);
    free(program);
    *handle_program = NULL;
}

// ---- Waiting ------------------------------------------------------------------------------------------------------

// clFinish has no time limit. So the last event of a submission calls back, and we wait for that: without a limit
// lost, without polling. The callback may still be in pthread_mutex_unlock when we go on, or come after we gave up:
// hence waiters are never freed, but used again.
struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done;
    cl_int event_status;
    struct waiter *next;
};

static pthread_mutex_t idle_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct waiter *idle;

static struct waiter *take_waiter(void)
{
    pthread_mutex_lock(&idle_mutex);
    struct waiter *waiter = idle;
    if (waiter != NULL)
        idle = waiter->next;
    pthread_mutex_unlock(&idle_mutex);
    if (waiter == NULL) {
        waiter = calloc(1, sizeof(*waiter));
        if (waiter == NULL)
            return NULL;
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_mutex_init(&waiter->mutex, NULL);
        pthread_cond_init(&waiter->changed, &attributes);
        pthread_condattr_destroy(&attributes);
    }
    waiter->done = false;
    return waiter;
}

static void give_waiter(struct waiter *waiter)
{
    pthread_mutex_lock(&idle_mutex);
    waiter->next = idle;
    idle = waiter;
    pthread_mutex_unlock(&idle_mutex);
}

static void CL_CALLBACK event_done(cl_event event, cl_int event_status, void *user)
{
    struct waiter *waiter = user;
    (void)event;
    pthread_mutex_lock(&waiter->mutex);
    waiter->event_status = event_status;
    waiter->done = true;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->mutex);
}

// Whether the queue still does a small write: what tells a lost device from a single command that failed.
static bool queue_works(struct opencl_device *device)
{
    static const cl_uint zero = 0;
    return cl.EnqueueWriteBuffer(device->queue, device->scratch, CL_TRUE, 0, sizeof(zero), &zero, 0, NULL, NULL) ==
           CL_SUCCESS;
}

// Errors of a run, where CL_OUT_OF_RESOURCES and failed events mean that a kernel did something bad, not that memory
// is short.
static enum qm_status run_failed(struct opencl_device *device, cl_int error, const char *call)
{
    enum qm_status status = opencl_check(error, call, __FILE__, __LINE__);
    if (status == QM_OK || status == QM_DEVICE_LOST || error == CL_MEM_OBJECT_ALLOCATION_FAILURE)
        return status;
    if (queue_works(device))
        return QM_FAIL(QM_FAILED, "%s: a dispatch failed: %s: %s (%d)", device->info.id, call, opencl_error_name(error),
                       (int)error);
    return QM_FAIL(QM_DEVICE_LOST, "%s was lost during a run: %s: %s (%d)", device->info.id, call,
                   opencl_error_name(error), (int)error);
}

// Submits what was enqueued and waits for it; `last` is the event of its last command. The callback is asked for before
// the flush: rusticl holds an event's lock while it executes, so that asking later would wait for its end.
static enum qm_status submit(struct opencl_device *device, cl_event last)
{
    struct waiter *waiter = take_waiter();
    if (waiter != NULL && cl.SetEventCallback(last, CL_COMPLETE, event_done, waiter) != CL_SUCCESS) {
        give_waiter(waiter);
        waiter = NULL;
    }
    cl_int error = cl.Flush(device->queue);
    if (error != CL_SUCCESS) // the waiter stays with the driver
        return run_failed(device, error, "clFlush");
    if (waiter != NULL) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t ns = (uint64_t)until.tv_nsec + opencl_hang_limit_ns;
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        int waited = 0;
        pthread_mutex_lock(&waiter->mutex);
        while (!waiter->done && waited != ETIMEDOUT)
            waited = pthread_cond_timedwait(&waiter->changed, &waiter->mutex, &until);
        bool done = waiter->done;
        cl_int event_status = waiter->event_status;
        pthread_mutex_unlock(&waiter->mutex);
        if (!done) {
            device->lost = device->hung = true; // the waiter stays with the driver
            return QM_FAIL(QM_TIMEOUT, "%s did not finish a submission within %.3g s and counts as hung",
                           device->info.id, (double)opencl_hang_limit_ns * 1e-9);
        }
        give_waiter(waiter);
        if (event_status < 0) {
            cl.Finish(device->queue);
            return run_failed(device, event_status, "execution of a dispatch");
        }
    }
    // Event times are sure to be there only after this.
    error = cl.Finish(device->queue);
    return error == CL_SUCCESS ? QM_OK : run_failed(device, error, "clFinish");
}

// ---- Running ------------------------------------------------------------------------------------------------------

// First and last event of a repeat, or of its last piece where the program is cut; the same one where that is a single
// dispatch. The pieces before it are done and counted: the time between pieces is the host's, not the device's.
struct span {
    cl_event first, last;
    uint64_t earlier_ns;
};

static void release_span(struct opencl_device *device, struct span *span)
{
    if (span->last != NULL && span->last != span->first && !device->hung)
        cl.ReleaseEvent(span->last);
    if (span->first != NULL && !device->hung)
        cl.ReleaseEvent(span->first);
    span->first = span->last = NULL;
}

// Device time of a repeat; 0 and the reason where the driver's times cannot be true.
static uint64_t span_ns(const struct span *span, const char **reason)
{
    uint64_t start, end, ignored;
    if (!opencl_event_times(span->first, &start, &end, reason))
        return 0;
    if (span->last != span->first && !opencl_event_times(span->last, &ignored, &end, reason))
        return 0;
    if (end < start)
        *reason = "the last dispatch ended before the first began";
    return end < start ? 0 : span->earlier_ns + (end - start);
}

// Enqueues one repeat, submitted in pieces of `piece` dispatches; with `submit_end` the last piece is submitted too.
static enum qm_status enqueue(struct opencl_device *device, const struct qm_program *program, size_t piece,
                              bool submit_end, struct span *span, const char **reason, uint32_t *submissions)
{
    span->earlier_ns = 0;
    for (size_t i = 0; i < program->count; ++i) {
        const struct opencl_recorded *dispatch = &program->dispatches[i];
        bool is_last = i + 1 == program->count, is_first = i % piece == 0;
        bool is_end = is_last || (i + 1) % piece == 0;
        cl_event event = NULL;
        // Events cost time: only those that are looked at are asked for.
        cl_int error = cl.EnqueueNDRangeKernel(device->queue, dispatch->kernel, 3, NULL, dispatch->global,
                                               dispatch->local, 0, NULL, is_first || is_end ? &event : NULL);
        if (error != CL_SUCCESS)
            return run_failed(device, error, "clEnqueueNDRangeKernel");
        if (is_first)
            span->first = event;
        if (is_end)
            span->last = event;
        if (is_end && (submit_end || !is_last)) {
            ++*submissions;
            QM_TRY(submit(device, event));
        }
        if (is_end && !is_last) {
            if (*reason == NULL)
                span->earlier_ns = span_ns(span, reason);
            release_span(device, span);
        }
    }
    return QM_OK;
}

// A whole repeat as one command.
static enum qm_status enqueue_commands(struct opencl_device *device, const struct opencl_commands *commands,
                                       bool submit_end, struct span *span, uint32_t *submissions)
{
    cl_event event = NULL;
    cl_int error = device->commands.enqueue(0, NULL, commands->buffer, 0, NULL, &event);
    if (error != CL_SUCCESS)
        return run_failed(device, error, "clEnqueueCommandBufferKHR");
    span->earlier_ns = 0;
    span->first = span->last = event;
    if (!submit_end)
        return QM_OK;
    ++*submissions;
    return submit(device, event);
}

// Recording is not timed.
static enum qm_status record_commands(struct opencl_device *device, struct qm_program *program, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i)
        if (program->commands[i] == NULL)
            QM_TRY(opencl_commands_record(device, program->dispatches, program->count, &program->commands[i]));
    return QM_OK;
}

enum qm_status opencl_run(struct qm_device *handle, struct qm_program *program, uint32_t repeats,
                          const struct qm_run_policy *policy, struct qm_timing *timing)
{
    struct opencl_device *device = opencl_device_of(handle);
    enum qm_status status = QM_OK;
    const char *reason = device->profiling ? NULL : "the device has no usable clock";
    if (device->commands.is_used && !device->commands.has_times)
        reason = "events of command buffers do not tell their kernels' time";
    timing->has_device_time = false;
    timing->wall_ns = 0;
    timing->submissions = 0;
    QM_TRY(opencl_alive(device));

    size_t piece = policy->dispatches_per_submission;
    if (piece == 0 || piece > program->count)
        piece = program->count;
    // A program that is cut is submitted alone; short ones go together.
    uint32_t together = piece < program->count ? 1 : policy->repeats_per_submission;
    together = together == 0 ? 1 : together > repeats ? repeats : together;
    bool has_commands = device->commands.is_used && piece == program->count;
    if (has_commands) {
        together = together < TOGETHER_MOST ? together : TOGETHER_MOST;
        QM_TRY(opencl_remember(device, record_commands(device, program, together)));
    }
    struct span *spans = calloc(together > 0 ? together : 1, sizeof(*spans));
    if (spans == NULL)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for %u events", together);

    uint64_t begin = qm_clock_ns(), before = begin;
    for (uint32_t at = 0; at < repeats;) {
        uint32_t now = repeats - at < together ? repeats - at : together;
        for (uint32_t i = 0; i < now; ++i)
            QM_GUARD(has_commands
                         ? enqueue_commands(device, program->commands[i], i + 1 == now, &spans[i], &timing->submissions)
                         : enqueue(device, program, piece, i + 1 == now, &spans[i], &reason, &timing->submissions));
        uint64_t after = qm_clock_ns();
        for (uint32_t i = 0; i < now; ++i, ++at) {
            uint64_t ns = reason == NULL ? span_ns(&spans[i], &reason) : 0;
            if (timing->repeat_device_ns != NULL)
                timing->repeat_device_ns[at] = ns;
            if (timing->repeat_wall_ns != NULL)
                timing->repeat_wall_ns[at] = (after - before) / now;
            release_span(device, &spans[i]);
        }
        before = after;
    }
    timing->wall_ns = before - begin;
    timing->has_device_time = reason == NULL && repeats > 0;
    if (reason != NULL) {
        if (timing->repeat_device_ns != NULL)
            memset(timing->repeat_device_ns, 0, repeats * sizeof(timing->repeat_device_ns[0]));
        if (device->profiling)
            opencl_no_times(device, reason);
    }
done:
    if (status != QM_OK && !device->hung && status != QM_DEVICE_LOST)
        cl.Finish(device->queue); // nothing may run on while the caller destroys things
    for (uint32_t i = 0; i < together; ++i)
        release_span(device, &spans[i]);
    free(spans);
    return opencl_remember(device, status);
}
