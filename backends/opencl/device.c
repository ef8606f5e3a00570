// An opened device: its context and queue, its buffers and its clock.
#include "backends/opencl/opencl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/host.h"

#define CLOCK_TRIAL_NS 2000000 // between the two events that show whether a device's clock runs at all
#define CLOCK_TRIES 8          // the pair of readings that were closest together counts

enum qm_status opencl_alive(const struct opencl_device *device)
{
    return device->lost ? QM_FAIL(QM_DEVICE_LOST, "%s was lost%s; nothing more can be run on it in this process",
                                  device->info.id, device->hung ? ", for it did not answer" : "")
                        : QM_OK;
}

enum qm_status opencl_remember(struct opencl_device *device, enum qm_status status)
{
    device->lost |= status == QM_DEVICE_LOST;
    return status;
}

// ---- Opening ------------------------------------------------------------------------------------------------------

static enum qm_status check_device(struct opencl_device *device)
{
    const char *id = device->info.id;
    char version[256];
    opencl_device_text(device->id, CL_DEVICE_VERSION, version, sizeof(version));
    device->version = opencl_version_number(version);
    if (device->version < 120)
        return QM_FAIL(QM_UNSUPPORTED, "%s offers \"%s\"; OpenCL 1.2 or newer is needed", id, version);
    cl_bool available = CL_FALSE, compiler = CL_FALSE, little = CL_FALSE;
    CL_TRY(cl.GetDeviceInfo(device->id, CL_DEVICE_AVAILABLE, sizeof(available), &available, NULL));
    CL_TRY(cl.GetDeviceInfo(device->id, CL_DEVICE_COMPILER_AVAILABLE, sizeof(compiler), &compiler, NULL));
    CL_TRY(cl.GetDeviceInfo(device->id, CL_DEVICE_ENDIAN_LITTLE, sizeof(little), &little, NULL));
    if (!available)
        return QM_FAIL(
            QM_UNAVAILABLE,
            "%s: its driver says that it is not available; another process may hold it, or the driver lacks an update",
            id);
    if (!compiler)
        return QM_FAIL(QM_UNSUPPORTED, "%s: its driver has no compiler for OpenCL C", id);
    if (!little)
        return QM_FAIL(QM_UNSUPPORTED, "%s is big-endian; artifacts are little-endian", id);
    return QM_OK;
}

// What a compiled binary depends on besides source and options.
static void make_key(struct opencl_device *device, cl_platform_id platform)
{
    char text[256];
    struct qm_hash hash;
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, device->info.name);
    opencl_device_text(device->id, CL_DEVICE_VERSION, text, sizeof(text));
    qm_hash_add_text(&hash, text);
    opencl_device_text(device->id, CL_DRIVER_VERSION, text, sizeof(text));
    qm_hash_add_text(&hash, text);
    opencl_platform_text(platform, CL_PLATFORM_NAME, text, sizeof(text));
    qm_hash_add_text(&hash, text);
    opencl_platform_text(platform, CL_PLATFORM_VERSION, text, sizeof(text));
    qm_hash_add_text(&hash, text);
    qm_hash_end(&hash, device->key);
}

static enum qm_status create_queue(struct opencl_device *device, cl_platform_id platform)
{
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
    cl_int error;
    device->context = cl.CreateContext(properties, 1, &device->id, NULL, NULL, &error);
    QM_TRY(opencl_check(error, "cl.CreateContext", __FILE__, __LINE__));
    // Deprecated since OpenCL 2.0 and still everywhere; its successor is not in 1.2.
    device->queue =
        cl.CreateCommandQueue(device->context, device->id, device->profiling ? CL_QUEUE_PROFILING_ENABLE : 0, &error);
    QM_TRY(opencl_check(error, "cl.CreateCommandQueue", __FILE__, __LINE__));
    device->scratch = cl.CreateBuffer(device->context, CL_MEM_READ_WRITE, 4, NULL, &error);
    return opencl_check(error, "cl.CreateBuffer", __FILE__, __LINE__);
}

bool opencl_event_times(cl_event event, uint64_t *start_ns, uint64_t *end_ns, const char **reason)
{
    static const cl_profiling_info what[] = {CL_PROFILING_COMMAND_QUEUED, CL_PROFILING_COMMAND_SUBMIT,
                                             CL_PROFILING_COMMAND_START, CL_PROFILING_COMMAND_END};
    cl_ulong times[4] = {0};
    for (int i = 0; i < 4; ++i) {
        cl_int error = cl.GetEventProfilingInfo(event, what[i], sizeof(times[i]), &times[i], NULL);
        if (error != CL_SUCCESS) {
            *reason = opencl_error_name(error);
            return false;
        }
    }
    *start_ns = times[2];
    *end_ns = times[3];
    *reason = times[3] == 0         ? "event times are zero"
              : times[0] > times[1] ? "SUBMIT lies before QUEUED"
              : times[1] > times[2] ? "START lies before SUBMIT"
              : times[2] > times[3] ? "END lies before START"
                                    : NULL;
    return *reason == NULL;
}

// One small write with its event; the plainest command that every driver times.
static enum qm_status time_write(struct opencl_device *device, uint64_t *end_ns, const char **reason)
{
    static const cl_uint zero = 0;
    cl_event event = NULL;
    CL_TRY(cl.EnqueueWriteBuffer(device->queue, device->scratch, CL_FALSE, 0, sizeof(zero), &zero, 0, NULL, &event));
    enum qm_status status = CL_CALL(cl.Finish(device->queue));
    uint64_t start;
    *end_ns = 0;
    if (status == QM_OK)
        opencl_event_times(event, &start, end_ns, reason);
    cl.ReleaseEvent(event);
    return status;
}

// Remembers why there are no device times where `devices` and the self-test show it.
void opencl_no_times(struct opencl_device *device, const char *reason)
{
    if (device->debug)
        fprintf(stderr, "%s: no device times: %s\n", device->info.id, reason);
    for (uint32_t i = 0; i < device->info.capability_count; ++i) {
        struct qm_capability *capability = &device->info.capabilities[i];
        if (strcmp(capability->name, "timer") == 0)
            snprintf(capability->detail, sizeof(capability->detail), "%s", reason);
    }
}

// Tries queue and timer at once, so that a driver that only claims to work fails here, with its reason. Mesa 22.3's
// rusticl answers every question for an event's times with 0, 1, 2, 3: so two events some time apart must be apart.
// How exact the timer is shows only in the self-test; here a factor of 4 tells a clock from something else.
static enum qm_status try_queue(struct opencl_device *device)
{
    uint64_t first = 0, second = 0;
    const char *reason = NULL;
    QM_TRY(time_write(device, &first, &reason));
    if (!device->profiling)
        return QM_OK;
    if (reason == NULL) {
        uint64_t begin = qm_clock_ns(); // between the two events
        qm_sleep_ns(CLOCK_TRIAL_NS);
        uint64_t apart = qm_clock_ns() - begin;
        QM_TRY(time_write(device, &second, &reason));
        uint64_t most = 4 * (qm_clock_ns() - begin) + 4 * CLOCK_TRIAL_NS;
        if (reason == NULL && (second < first || second - first < apart / 4))
            reason = "event times stand still";
        else if (reason == NULL && second - first > most)
            reason = "event times run too fast";
    }
    if (reason != NULL) {
        device->profiling = false;
        device->info.timestamp_valid_bits = 0;
        opencl_no_times(device, reason);
    }
    return QM_OK;
}

static void opencl_destroy(struct qm_device **handle)
{
    if (handle == NULL || *handle == NULL)
        return;
    struct opencl_device *device = opencl_device_of(*handle);
    *handle = NULL;
    if (!device->hung) {
        if (device->scratch != NULL)
            cl.ReleaseMemObject(device->scratch);
        if (device->queue != NULL)
            cl.ReleaseCommandQueue(device->queue);
        if (device->context != NULL)
            cl.ReleaseContext(device->context);
    }
    free(device->cache_dir);
    free(device);
}

// ---- Buffers ------------------------------------------------------------------------------------------------------

static void release_buffer(struct opencl_device *device, struct qm_buffer *buffer)
{
    if (buffer->memory != NULL && !device->hung)
        cl.ReleaseMemObject(buffer->memory);
    free(buffer);
}

static enum qm_status opencl_buffer_create(struct qm_device *handle, uint64_t size_bytes, struct qm_buffer **out)
{
    static const cl_uint zero = 0;
    struct opencl_device *device = opencl_device_of(handle);
    const struct qm_device_info *info = &device->info;
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_TRY(opencl_alive(device));
    // Asked here, not of the driver alone: those that run on the processor promise memory that is not there, and the
    // system then ends the process.
    if (size_bytes > info->max_allocation_bytes || size_bytes > SIZE_MAX - 3)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: a buffer of %" PRIu64 " bytes is above the device's limit of %" PRIu64,
                       info->id, size_bytes, info->max_allocation_bytes);
    size_t bytes = (size_t)(size_bytes + 3) / 4 * 4;
    if (info->memory_bytes != 0 && device->memory.buffers_bytes + bytes > info->memory_bytes)
        return QM_FAIL(QM_OUT_OF_MEMORY,
                       "%s: a buffer of %zu bytes beside the %" PRIu64 " in use is more than the device's memory of "
                       "%" PRIu64 " bytes",
                       info->id, bytes, device->memory.buffers_bytes, info->memory_bytes);
    struct qm_buffer *buffer = calloc(1, sizeof(*buffer));
    if (buffer == NULL)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a buffer");
    buffer->bytes = bytes;
    cl_int error;
    buffer->memory = cl.CreateBuffer(device->context, CL_MEM_READ_WRITE, bytes, NULL, &error);
    QM_GUARD(opencl_check(error, "cl.CreateBuffer", __FILE__, __LINE__));
    // Drivers allocate when a buffer is first touched: here, so that "does not fit" comes from here and not from a run.
    QM_GUARD(
        CL_CALL(cl.EnqueueFillBuffer(device->queue, buffer->memory, &zero, sizeof(zero), 0, bytes, 0, NULL, NULL)));
    QM_GUARD(CL_CALL(cl.Finish(device->queue)));
    device->memory.buffers_bytes += bytes;
    if (device->memory.peak_bytes < device->memory.buffers_bytes)
        device->memory.peak_bytes = device->memory.buffers_bytes;
    *out = buffer;
    return QM_OK;
done:
    release_buffer(device, buffer);
    return opencl_remember(device, status);
}

static void opencl_buffer_destroy(struct qm_device *handle, struct qm_buffer **buffer)
{
    struct opencl_device *device = opencl_device_of(handle);
    if (buffer == NULL || *buffer == NULL)
        return;
    device->memory.buffers_bytes -= (*buffer)->bytes;
    release_buffer(device, *buffer);
    *buffer = NULL;
}

static enum qm_status opencl_buffer_write(struct qm_device *handle, struct qm_buffer *buffer, uint64_t offset_bytes,
                                          const void *bytes, uint64_t size_bytes)
{
    struct opencl_device *device = opencl_device_of(handle);
    QM_TRY(opencl_alive(device));
    if (size_bytes == 0) // an error in OpenCL before 2.1
        return QM_OK;
    return opencl_remember(device,
                           CL_CALL(cl.EnqueueWriteBuffer(device->queue, buffer->memory, CL_TRUE, (size_t)offset_bytes,
                                                         (size_t)size_bytes, bytes, 0, NULL, NULL)));
}

static enum qm_status opencl_buffer_read(struct qm_device *handle, struct qm_buffer *buffer, uint64_t offset_bytes,
                                         void *bytes, uint64_t size_bytes)
{
    struct opencl_device *device = opencl_device_of(handle);
    QM_TRY(opencl_alive(device));
    if (size_bytes == 0)
        return QM_OK;
    return opencl_remember(device,
                           CL_CALL(cl.EnqueueReadBuffer(device->queue, buffer->memory, CL_TRUE, (size_t)offset_bytes,
                                                        (size_t)size_bytes, bytes, 0, NULL, NULL)));
}

static void opencl_memory(struct qm_device *handle, struct qm_memory *out)
{
    const struct opencl_device *device = opencl_device_of(handle);
    *out = device->memory;
    out->left_bytes = device->info.memory_bytes == 0                   ? UINT64_MAX
                      : device->info.memory_bytes > out->buffers_bytes ? device->info.memory_bytes - out->buffers_bytes
                                                                       : 0;
}

// ---- Clock --------------------------------------------------------------------------------------------------------

// Event times and clGetDeviceAndHostTimer read the same clock. Where there is no such call, a small write stands in:
// its END lies between the two host readings around it, so that half their distance bounds the error.
static enum qm_status opencl_clock(struct qm_device *handle, struct qm_clock_sample *out)
{
    struct opencl_device *device = opencl_device_of(handle);
    *out = (struct qm_clock_sample){0};
    QM_TRY(opencl_alive(device));
    if (!device->profiling)
        return QM_FAIL(QM_UNSUPPORTED, "%s has no usable device clock", device->info.id);
    uint64_t closest = UINT64_MAX;
    const char *reason = NULL;
    // PoCL and others fail the call although they are of version 2.1 and above.
    bool direct = device->version >= 210 && cl.GetDeviceAndHostTimer != NULL;
    for (int i = 0; i < CLOCK_TRIES; ++i) {
        cl_ulong device_ns = 0, host_ns;
        uint64_t end = 0, before = qm_clock_ns();
        if (direct) {
            direct = cl.GetDeviceAndHostTimer(device->id, &device_ns, &host_ns) == CL_SUCCESS && device_ns != 0;
            end = device_ns;
        }
        if (!direct) {
            before = qm_clock_ns();
            QM_TRY(opencl_remember(device, time_write(device, &end, &reason)));
        }
        uint64_t after = qm_clock_ns();
        if (end != 0 && after - before < closest) {
            closest = after - before;
            out->device_ns = end;
            out->host_ns = before + (after - before) / 2;
        }
    }
    if (closest == UINT64_MAX)
        return QM_FAIL(QM_UNSUPPORTED, "%s: its clock gives no times (%s)", device->info.id, reason ? reason : "zero");
    return QM_OK;
}

// ---- Tables -------------------------------------------------------------------------------------------------------

static const struct qm_device_fns functions = {
    .destroy = opencl_destroy,
    .buffer_create = opencl_buffer_create,
    .buffer_destroy = opencl_buffer_destroy,
    .buffer_write = opencl_buffer_write,
    .buffer_read = opencl_buffer_read,
    .kernel_create = opencl_kernel_create,
    .kernel_destroy = opencl_kernel_destroy,
    .program_create = opencl_program_create,
    .program_destroy = opencl_program_destroy,
    .run = opencl_run,
    .clock = opencl_clock,
    .memory = opencl_memory,
    .kernel_binary_hash = opencl_kernel_binary_hash,
    .kernel_statistics = opencl_kernel_statistics,
};

enum qm_status opencl_open(const struct qm_device_info *info, const struct qm_open_params *params,
                           struct qm_device **out)
{
    cl_platform_id platform;
    cl_device_id id;
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_TRY(opencl_find(info, &platform, &id));
    struct opencl_device *device = calloc(1, sizeof(*device));
    struct qm_device *handle = (struct qm_device *)device;
    if (device == NULL)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a device");
    device->base.fns = &functions;
    device->base.info = &device->info;
    device->info = *info;
    device->id = id;
    device->profiling = info->timestamp_valid_bits > 0;
    device->debug = params->debug;
    if (params->cache_dir != NULL && (device->cache_dir = strdup(params->cache_dir)) == NULL) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a device");
        goto done;
    }
    QM_GUARD(check_device(device));
    make_key(device, platform);
    QM_GUARD(create_queue(device, platform));
    QM_GUARD(try_queue(device));
    opencl_commands_try(device, platform);
    *out = handle;
    return QM_OK;
done:
    opencl_destroy(&handle);
    return status;
}

const struct qm_backend qm_backend_opencl = {
    .name = "opencl",
    .enumerate = opencl_enumerate,
    .open = opencl_open,
};
