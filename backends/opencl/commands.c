// Command buffers (cl_khr_command_buffer, provisional): a program recorded once and enqueued as one command. Used only after
// a trial when the device is opened: results must be right, and the event of a command buffer must tell the time that its
// kernels take, for rates are made of it. PoCL 3.1's tells 30 ns whatever is in it, so there commands are enqueued one by one.
#include "backends/opencl/opencl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum opencl_commands_use opencl_commands_use = OPENCL_COMMANDS_TRIED;

enum {
    TRIAL_KERNELS = 3,
    TRIAL_TRIPS = 200000, // a fraction of a millisecond, and no compiler can leave them out
    TRIAL_TIMES = 4       // an event that tells less than a quarter of the kernels' time tells something else
};

static const char trial_source[] = "__kernel void trial(__global uint *x, const uint a, const uint trips)\n"
                                   "{\n"
                                   "    uint y = x[0];\n"
                                   "    for (uint i = 0u; i < trips; ++i)\n"
                                   "        y = (y ^ (y >> 7)) * 1664525u + a;\n"
                                   "    x[0] = y;\n"
                                   "}\n";

static uint32_t trial_value(uint32_t y, uint32_t a)
{
    for (uint32_t i = 0; i < TRIAL_TRIPS; ++i)
        y = (y ^ (y >> 7)) * 1664525u + a;
    return y;
}

struct trial {
    struct opencl_device *device;
    cl_program program;
    cl_kernel kernels[TRIAL_KERNELS];
    struct opencl_commands *commands;
    char reason[96]; // why not; "" while nothing was found
};

static bool fails(struct trial *t, cl_int error, const char *call)
{
    if (error != CL_SUCCESS && t->reason[0] == '\0')
        snprintf(t->reason, sizeof(t->reason), "%s: %s", call, opencl_error_name(error));
    return t->reason[0] != '\0';
}

static bool find_functions(struct opencl_device *device, cl_platform_id platform)
{
    void *(CL_API_CALL * find)(cl_platform_id, const char *) = cl.GetExtensionFunctionAddressForPlatform;
    struct opencl_command_functions *f = &device->commands;
    const struct {
        const char *name;
        void *to;
    } names[] = {
        {"clCreateCommandBufferKHR", &f->create},        {"clReleaseCommandBufferKHR", &f->release},
        {"clFinalizeCommandBufferKHR", &f->finalize},    {"clEnqueueCommandBufferKHR", &f->enqueue},
        {"clCommandNDRangeKernelKHR", &f->range_kernel},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        void *symbol = find ? find(platform, names[i].name) : NULL;
        memcpy(names[i].to, &symbol, sizeof(symbol));
        if (symbol == NULL)
            return false;
    }
    return true;
}

// The kernels one after another, in one way or the other: what is left in the scratch word, and the time that events tell.
static uint64_t run_once(struct trial *t, bool is_buffer, uint32_t *value)
{
    struct opencl_device *device = t->device;
    const size_t one = 1;
    const cl_uint begin = 1;
    cl_event first = NULL, last = NULL;
    const char *reason = NULL;
    uint64_t start = 0, end = 0, ignored = 0;
    if (fails(t,
              cl.EnqueueWriteBuffer(device->queue, device->scratch, CL_TRUE, 0, sizeof(begin), &begin, 0, NULL, NULL),
              "clEnqueueWriteBuffer"))
        return 0;
    if (is_buffer)
        fails(t, device->commands.enqueue(0, NULL, t->commands->buffer, 0, NULL, &first), "clEnqueueCommandBufferKHR");
    for (int i = 0; i < TRIAL_KERNELS && !is_buffer && t->reason[0] == '\0'; ++i)
        fails(t,
              cl.EnqueueNDRangeKernel(device->queue, t->kernels[i], 1, NULL, &one, &one, 0, NULL,
                                      i == 0                   ? &first
                                      : i == TRIAL_KERNELS - 1 ? &last
                                                               : NULL),
              "clEnqueueNDRangeKernel");
    fails(t, cl.Finish(device->queue), "clFinish");
    fails(t, cl.EnqueueReadBuffer(device->queue, device->scratch, CL_TRUE, 0, sizeof(*value), value, 0, NULL, NULL),
          "clEnqueueReadBuffer");
    if (t->reason[0] == '\0' && device->profiling) {
        bool is_told = opencl_event_times(first, &start, &end, &reason);
        if (is_told && last != NULL)
            is_told = opencl_event_times(last, &ignored, &end, &reason);
        if (!is_told)
            snprintf(t->reason, sizeof(t->reason), "event times: %.60s", reason);
    }
    if (first != NULL)
        cl.ReleaseEvent(first);
    if (last != NULL)
        cl.ReleaseEvent(last);
    return end - start;
}

static bool prepare(struct trial *t)
{
    struct opencl_device *device = t->device;
    const char *text = trial_source;
    const cl_uint trips = TRIAL_TRIPS;
    struct opencl_recorded recorded[TRIAL_KERNELS];
    cl_int error;
    t->program = cl.CreateProgramWithSource(device->context, 1, &text, NULL, &error);
    if (fails(t, error, "clCreateProgramWithSource") ||
        fails(t, cl.BuildProgram(t->program, 1, &device->id, "", NULL, NULL), "clBuildProgram"))
        return false;
    for (cl_uint i = 0; i < TRIAL_KERNELS; ++i) {
        t->kernels[i] = cl.CreateKernel(t->program, "trial", &error);
        if (fails(t, error, "clCreateKernel") ||
            fails(t, cl.SetKernelArg(t->kernels[i], 0, sizeof(device->scratch), &device->scratch), "clSetKernelArg") ||
            fails(t, cl.SetKernelArg(t->kernels[i], 1, sizeof(i), &i), "clSetKernelArg") ||
            fails(t, cl.SetKernelArg(t->kernels[i], 2, sizeof(trips), &trips), "clSetKernelArg"))
            return false;
        recorded[i] = (struct opencl_recorded){t->kernels[i], {1, 1, 1}, {1, 1, 1}};
    }
    if (opencl_commands_record(device, recorded, TRIAL_KERNELS, &t->commands) != QM_OK)
        snprintf(t->reason, sizeof(t->reason), "%.90s", qm_error_text());
    return t->reason[0] == '\0';
}

static void judge(struct trial *t)
{
    uint32_t expected = 1, value = 0;
    for (uint32_t i = 0; i < TRIAL_KERNELS; ++i)
        expected = trial_value(expected, i);
    (void)run_once(t, false, &value); // the first run may compile
    uint64_t apart = run_once(t, false, &value), together = 0;
    if (t->reason[0] == '\0' && value != expected)
        snprintf(t->reason, sizeof(t->reason), "the trial's kernels give a wrong result even when they are enqueued");
    for (int i = 0; i < 2 && t->reason[0] == '\0'; ++i) { // recorded once, enqueued twice
        together = run_once(t, true, &value);
        if (t->reason[0] == '\0' && value != expected)
            snprintf(t->reason, sizeof(t->reason), "wrong results");
    }
    t->device->commands.works = t->reason[0] == '\0';
    if (t->reason[0] == '\0' && t->device->profiling && together * TRIAL_TIMES < apart)
        snprintf(t->reason, sizeof(t->reason), "their events tell %.3g us of kernels that take %.3g us",
                 (double)together * 1e-3, (double)apart * 1e-3);
}

void opencl_commands_try(struct opencl_device *device, cl_platform_id platform)
{
    struct qm_capability *capability = NULL;
    for (uint32_t i = 0; i < device->info.capability_count; ++i)
        if (strcmp(device->info.capabilities[i].name, "command_buffer") == 0)
            capability = &device->info.capabilities[i];
    snprintf(device->info.submission, sizeof(device->info.submission), "enqueued");
    if (!capability || !capability->advertised || opencl_commands_use == OPENCL_COMMANDS_NEVER)
        return;
    struct trial t = {.device = device};
    if (!find_functions(device, platform))
        snprintf(t.reason, sizeof(t.reason), "the driver has not all of its functions");
    else if (prepare(&t))
        judge(&t);
    opencl_commands_destroy(device, &t.commands);
    for (int i = 0; i < TRIAL_KERNELS; ++i)
        if (t.kernels[i] != NULL)
            cl.ReleaseKernel(t.kernels[i]);
    if (t.program != NULL)
        cl.ReleaseProgram(t.program);
    device->commands.has_times = t.reason[0] == '\0';
    device->commands.is_used =
        device->commands.works && (device->commands.has_times || opencl_commands_use == OPENCL_COMMANDS_WITHOUT_TIMES);
    if (device->commands.is_used)
        snprintf(device->info.submission, sizeof(device->info.submission), "command buffer");
    snprintf(capability->detail, sizeof(capability->detail), "%s", t.reason);
}

enum qm_status opencl_commands_record(struct opencl_device *device, const struct opencl_recorded *dispatches,
                                      size_t count, struct opencl_commands **out)
{
    cl_int error = CL_SUCCESS;
    *out = NULL;
    struct opencl_commands *commands = calloc(1, sizeof(*commands));
    if (commands == NULL)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a command buffer");
    enum qm_status status = QM_OK;
    commands->buffer = device->commands.create(1, &device->queue, NULL, &error);
    QM_GUARD(opencl_check(error, "clCreateCommandBufferKHR", __FILE__, __LINE__));
    // The queue is in order, and so is what is recorded for it.
    for (size_t i = 0; i < count; ++i)
        QM_GUARD(
            opencl_check(device->commands.range_kernel(commands->buffer, NULL, NULL, dispatches[i].kernel, 3, NULL,
                                                       dispatches[i].global, dispatches[i].local, 0, NULL, NULL, NULL),
                         "clCommandNDRangeKernelKHR", __FILE__, __LINE__));
    QM_GUARD(
        opencl_check(device->commands.finalize(commands->buffer), "clFinalizeCommandBufferKHR", __FILE__, __LINE__));
    *out = commands;
    commands = NULL;
done:
    opencl_commands_destroy(device, &commands);
    return status;
}

void opencl_commands_destroy(struct opencl_device *device, struct opencl_commands **commands)
{
    if (*commands == NULL)
        return;
    if ((*commands)->buffer != NULL && !device->hung)
        device->commands.release((*commands)->buffer);
    free(*commands);
    *commands = NULL;
}
