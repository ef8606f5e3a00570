// A device that is the host: buffers are memory, a program is a list, time is the wall clock.
#include "backends/reference/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "sys/host.h"

struct qm_buffer {
    uint64_t size_bytes;
    unsigned char *bytes;
};

struct qm_kernel {
    const struct qm_kernel_variant *variant;
};

struct qm_program {
    struct qm_dispatch *dispatches;
    size_t count;
    struct qm_buffer *step;
};

struct host_device {
    struct qm_device base;
    enum qm_status (*execute)(const struct qm_oracle_call *call, const uint32_t groups[3]);
    struct qm_memory memory;
    struct qm_oracle_kept *kept;
};

static void host_destroy(struct qm_device **device)
{
    qm_oracle_kept_destroy(&((struct host_device *)*device)->kept);
    free(*device);
    *device = NULL;
}

static enum qm_status host_buffer_create(struct qm_device *device, uint64_t size_bytes, struct qm_buffer **out)
{
    struct host_device *host = (struct host_device *)device;
    *out = NULL;
    uint64_t rounded = (size_bytes + 3) / 4 * 4;
    struct qm_buffer *buffer = malloc(sizeof(*buffer));
    unsigned char *bytes = calloc(1, rounded);
    if (!buffer || !bytes) {
        free(buffer);
        free(bytes);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a buffer of %llu bytes", (unsigned long long)rounded);
    }
    *buffer = (struct qm_buffer){rounded, bytes};
    host->memory.buffers_bytes += rounded;
    if (host->memory.buffers_bytes > host->memory.peak_bytes)
        host->memory.peak_bytes = host->memory.buffers_bytes;
    *out = buffer;
    return QM_OK;
}

static void host_buffer_destroy(struct qm_device *device, struct qm_buffer **buffer)
{
    if (!*buffer)
        return;
    struct host_device *host = (struct host_device *)device;
    host->memory.buffers_bytes -= (*buffer)->size_bytes;
    qm_oracle_kept_forget(host->kept, (*buffer)->bytes, (*buffer)->size_bytes);
    free((*buffer)->bytes);
    free(*buffer);
    *buffer = NULL;
}

static enum qm_status host_buffer_write(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset_bytes,
                                        const void *bytes, uint64_t size_bytes)
{
    (void)device;
    memcpy(buffer->bytes + offset_bytes, bytes, size_bytes);
    return QM_OK;
}

static enum qm_status host_buffer_read(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset_bytes,
                                       void *bytes, uint64_t size_bytes)
{
    (void)device;
    memcpy(bytes, buffer->bytes + offset_bytes, size_bytes);
    return QM_OK;
}

static enum qm_status host_kernel_create(struct qm_device *device, const struct qm_kernel_variant *variant,
                                         struct qm_kernel **out)
{
    (void)device;
    *out = malloc(sizeof(**out));
    if (!*out)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for kernel %s", variant->name);
    (*out)->variant = variant;
    return QM_OK;
}

static void host_kernel_destroy(struct qm_device *device, struct qm_kernel **kernel)
{
    (void)device;
    free(*kernel);
    *kernel = NULL;
}

static enum qm_status host_program_create(struct qm_device *device, const struct qm_program_params *params,
                                          struct qm_program **out)
{
    (void)device;
    *out = NULL;
    struct qm_program *program = malloc(sizeof(*program));
    struct qm_dispatch *dispatches = malloc(params->count * sizeof(*dispatches));
    if (!program || !dispatches) {
        free(program);
        free(dispatches);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a program of %zu dispatches", params->count);
    }
    memcpy(dispatches, params->dispatches, params->count * sizeof(*dispatches));
    *program = (struct qm_program){dispatches, params->count, params->step};
    *out = program;
    return QM_OK;
}

static void host_program_destroy(struct qm_device *device, struct qm_program **program)
{
    (void)device;
    if (!*program)
        return;
    free((*program)->dispatches);
    free(*program);
    *program = NULL;
}

static enum qm_status host_run_once(struct host_device *host, struct qm_program *program)
{
    for (size_t i = 0; i < program->count; ++i) {
        const struct qm_dispatch *dispatch = &program->dispatches[i];
        static const uint32_t no_step[QM_STEP_WORDS] = {0};
        // `advance` may write it, but reads none.
        const uint32_t *step = program->step ? (const uint32_t *)(const void *)program->step->bytes : no_step;
        struct qm_oracle_call call = {
            .variant = dispatch->kernel->variant, .parameters = dispatch->parameters, .step = step, .kept = host->kept};
        for (uint32_t b = 0; b < call.variant->binding_count; ++b) {
            call.buffers[b] = dispatch->bindings[b].buffer->bytes + dispatch->bindings[b].offset_bytes;
            call.sizes[b] = dispatch->bindings[b].size_bytes;
        }
        QM_TRY(host->execute(&call, dispatch->groups));
    }
    return QM_OK;
}

static enum qm_status host_run(struct qm_device *device, struct qm_program *program, uint32_t repeats,
                               const struct qm_run_policy *policy, struct qm_timing *timing)
{
    (void)policy;
    uint64_t begin_ns = qm_clock_ns();
    timing->has_device_time = false;
    timing->submissions = repeats;
    for (uint32_t repeat = 0; repeat < repeats; ++repeat) {
        uint64_t from_ns = qm_clock_ns();
        QM_TRY(host_run_once((struct host_device *)device, program));
        if (timing->repeat_wall_ns)
            timing->repeat_wall_ns[repeat] = qm_clock_ns() - from_ns;
        if (timing->repeat_device_ns)
            timing->repeat_device_ns[repeat] = 0;
    }
    timing->wall_ns = qm_clock_ns() - begin_ns;
    return QM_OK;
}

static enum qm_status host_clock(struct qm_device *device, struct qm_clock_sample *out)
{
    (void)device;
    (void)out;
    return QM_FAIL(QM_UNSUPPORTED, "the reference has no device clock");
}

static void host_memory(struct qm_device *device, struct qm_memory *out)
{
    *out = ((struct host_device *)device)->memory;
    out->left_bytes = UINT64_MAX;
}

static void host_kernel_binary_hash(struct qm_device *device, const struct qm_kernel *kernel, char text[65])
{
    (void)device;
    (void)kernel;
    strcpy(text, "undisclosed");
}

static void host_kernel_statistics(struct qm_device *device, const struct qm_kernel *kernel,
                                   struct qm_kernel_statistics *out)
{
    (void)device;
    (void)kernel;
    out->count = 0;
}

static const struct qm_device_fns host_fns = {
    .destroy = host_destroy,
    .buffer_create = host_buffer_create,
    .buffer_destroy = host_buffer_destroy,
    .buffer_write = host_buffer_write,
    .buffer_read = host_buffer_read,
    .kernel_create = host_kernel_create,
    .kernel_destroy = host_kernel_destroy,
    .program_create = host_program_create,
    .program_destroy = host_program_destroy,
    .run = host_run,
    .clock = host_clock,
    .memory = host_memory,
    .kernel_binary_hash = host_kernel_binary_hash,
    .kernel_statistics = host_kernel_statistics,
};

enum qm_status qm_host_device_open(const struct qm_device_info *info,
                                   enum qm_status (*execute)(const struct qm_oracle_call *call,
                                                             const uint32_t groups[3]),
                                   struct qm_device **out)
{
    struct host_device *host = calloc(1, sizeof(*host));
    *out = NULL;
    if (!host)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a device");
    host->base = (struct qm_device){&host_fns, info};
    host->execute = execute;
    enum qm_status status = qm_oracle_kept_create(&host->kept);
    if (status != QM_OK) {
        free(host);
        return status;
    }
    *out = &host->base;
    return QM_OK;
}

static struct qm_device_info reference_info = {
    .api = "reference",
    .id = "reference",
    .name = "qmark's oracle in C",
    .driver = "qmark " QM_VERSION,
    .driver_name = "reference",
    .api_version = QM_VERSION,
    .compiler = "undisclosed",
    .loader = "none",
    .type = QM_DEVICE_CPU,
    .max_binding_bytes = (uint64_t)1 << 40,
    .max_allocation_bytes = (uint64_t)1 << 40,
    .buffer_offset_alignment = 4,
    .max_workgroup_invocations = 1024,
    .max_local_bytes = 1 << 20,
    .max_parameter_bytes = 4 * QM_MAX_PARAMETERS,
    .max_groups = {UINT32_MAX, UINT32_MAX, UINT32_MAX},
};

static enum qm_status reference_enumerate(struct qm_device_info *out, size_t capacity, size_t *count)
{
    *count = 1;
    if (capacity > 0)
        out[0] = reference_info;
    return QM_OK;
}

static enum qm_status reference_execute(const struct qm_oracle_call *call, const uint32_t groups[3])
{
    (void)groups; // the oracle works on whole shapes
    qm_oracle_function function = qm_oracle_find(call->variant->kernel);
    if (!function)
        return QM_FAIL(QM_UNSUPPORTED, "the oracle has no kernel %s", call->variant->kernel);
    return function(call);
}

static enum qm_status reference_open(const struct qm_device_info *info, const struct qm_open_params *params,
                                     struct qm_device **out)
{
    (void)info;
    (void)params;
    return qm_host_device_open(&reference_info, reference_execute, out);
}

const struct qm_backend qm_backend_reference = {"reference", reference_enumerate, reference_open};
