// What the files of the OpenCL backend share. OpenCL 1.2 is enough; what came later is asked for at run time.
//
//   loader.c   the loader's functions, opened at run time, and errors
//   devices.c  platforms and devices, described without opening them
//   device.c   an opened device: context, queue, buffers, clock
//   kernel.c   compiling, and the cache of binaries
//   program.c  recorded dispatches, running and timing them
//   commands.c command buffers, where they are to be trusted
#ifndef QM_BACKENDS_OPENCL_OPENCL_H
#define QM_BACKENDS_OPENCL_OPENCL_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <CL/cl_ext.h>

#include "backends/backend.h"
#include "base/hash.h"

// ---- Loader -------------------------------------------------------------------------------------------------------

#define OPENCL_FUNCTIONS(X)                                                                                            \
    X(GetPlatformIDs)                                                                                                  \
    X(GetPlatformInfo)                                                                                                 \
    X(GetDeviceIDs)                                                                                                    \
    X(GetDeviceInfo)                                                                                                   \
    X(CreateContext)                                                                                                   \
    X(ReleaseContext)                                                                                                  \
    X(CreateCommandQueue)                                                                                              \
    X(ReleaseCommandQueue)                                                                                             \
    X(CreateBuffer)                                                                                                    \
    X(CreateSubBuffer)                                                                                                 \
    X(ReleaseMemObject)                                                                                                \
    X(CreateProgramWithSource)                                                                                         \
    X(CreateProgramWithBinary)                                                                                         \
    X(BuildProgram)                                                                                                    \
    X(ReleaseProgram)                                                                                                  \
    X(GetProgramInfo)                                                                                                  \
    X(GetProgramBuildInfo)                                                                                             \
    X(CreateKernel)                                                                                                    \
    X(ReleaseKernel)                                                                                                   \
    X(SetKernelArg)                                                                                                    \
    X(GetKernelInfo)                                                                                                   \
    X(GetKernelWorkGroupInfo)                                                                                          \
    X(EnqueueNDRangeKernel)                                                                                            \
    X(EnqueueReadBuffer)                                                                                               \
    X(EnqueueWriteBuffer)                                                                                              \
    X(EnqueueFillBuffer)                                                                                               \
    X(Flush)                                                                                                           \
    X(Finish)                                                                                                          \
    X(WaitForEvents)                                                                                                   \
    X(ReleaseEvent)                                                                                                    \
    X(GetEventProfilingInfo)                                                                                           \
    X(SetEventCallback)

struct opencl_functions {
#define OPENCL_MEMBER(name) __typeof__(cl##name) *name; // the type comes from the header: the table cannot drift
    OPENCL_FUNCTIONS(OPENCL_MEMBER)
#undef OPENCL_MEMBER
    // Optional: NULL where the loader lacks them. OpenCL 2.1; and an extension of ocl-icd that says who the loader is.
    cl_int(CL_API_CALL *GetDeviceAndHostTimer)(cl_device_id device, cl_ulong *device_ns, cl_ulong *host_ns);
    void *(CL_API_CALL *GetExtensionFunctionAddressForPlatform)(cl_platform_id platform, const char *name);
    cl_int(CL_API_CALL *GetICDLoaderInfoOCLICD)(cl_uint what, size_t size, void *value, size_t *size_ret);
};

extern struct opencl_functions cl; // valid once opencl_load() said QM_OK

// Opens the loader, once in a process. QM_UNAVAILABLE, naming the package, where there is none.
// QM_OPENCL_LOADER in the environment names another library to open, such as Oclgrind's.
QM_MUST_USE enum qm_status opencl_load(void);

const char *opencl_error_name(cl_int error); // "CL_OUT_OF_RESOURCES"; "an unknown error" where it has no name
// QM_OK, or this thread's error: the call's text, the error's name and number.
QM_MUST_USE enum qm_status opencl_check(cl_int error, const char *call, const char *file, int line);
#define CL_CALL(call) opencl_check((call), #call, __FILE__, __LINE__)
#define CL_TRY(call) QM_TRY(CL_CALL(call))

// ---- Devices ------------------------------------------------------------------------------------------------------

// cl_khr_command_buffer, and what the trial found.
struct opencl_command_functions {
    clCreateCommandBufferKHR_fn create;
    clReleaseCommandBufferKHR_fn release;
    clFinalizeCommandBufferKHR_fn finalize;
    clEnqueueCommandBufferKHR_fn enqueue;
    clCommandNDRangeKernelKHR_fn range_kernel;
    bool works;     // results were right
    bool has_times; // and the event of a command buffer tells how long its kernels take
    bool is_used;
};

struct opencl_device {
    struct qm_device base;
    struct qm_device_info info;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue; // in order, with profiling where the device can
    cl_mem scratch;         // 4 bytes, for probes of the queue and the clock
    unsigned version;       // 100 * major + 10 * minor: 120, 300
    bool profiling;         // event times were there, in order and moving when the device was opened
    bool debug;
    bool lost;       // sticky
    bool hung;       // lost because it did not answer: its objects are left alone, for releasing them could block
    char *cache_dir; // NULL: no cache
    char key[QM_HASH_TEXT_BYTES]; // hash of what a binary depends on besides its source: device, driver, platform
    struct qm_memory memory;
    struct opencl_command_functions commands;
};

struct qm_buffer {
    cl_mem memory;
    uint64_t bytes;
};

struct qm_kernel {
    cl_program program;
    char *name; // the entry point
    uint32_t workgroup[3];
    uint32_t binding_count;
    uint32_t parameter_count;
    char binary_hash[QM_HASH_TEXT_BYTES]; // or "undisclosed"; "" until a cache or somebody asks for it
};

static inline struct opencl_device *opencl_device_of(struct qm_device *device)
{
    return (struct opencl_device *)device;
}

enum qm_status opencl_enumerate(struct qm_device_info *out, size_t capacity, size_t *count);
// The device that enumerate described; QM_UNAVAILABLE where there is another one in its place.
QM_MUST_USE enum qm_status opencl_find(const struct qm_device_info *info, cl_platform_id *platform, cl_device_id *id);
// A text that the driver gives, cut to the room and without blanks at its ends; "" where there is none.
void opencl_device_text(cl_device_id id, cl_device_info what, char *out, size_t room);
void opencl_platform_text(cl_platform_id platform, cl_platform_info what, char *out, size_t room);
// "OpenCL 3.0 ..." as 300; 0 for anything else.
unsigned opencl_version_number(const char *text);

// ---- An opened device ---------------------------------------------------------------------------------------------

enum qm_status opencl_open(const struct qm_device_info *info, const struct qm_open_params *params,
                           struct qm_device **out);
// QM_DEVICE_LOST once the device was lost.
QM_MUST_USE enum qm_status opencl_alive(const struct opencl_device *device);
// Passes a status on; a lost device is remembered as such.
QM_MUST_USE enum qm_status opencl_remember(struct opencl_device *device, enum qm_status status);
// START and END of a finished event in nanoseconds; false with the reason where they cannot be true.
bool opencl_event_times(cl_event event, uint64_t *start_ns, uint64_t *end_ns, const char **reason);
// Keeps the reason why the device has no times in the detail of its capability "timer".
void opencl_no_times(struct opencl_device *device, const char *reason);

enum qm_status opencl_kernel_create(struct qm_device *device, const struct qm_kernel_variant *variant,
                                    struct qm_kernel **out);
void opencl_kernel_destroy(struct qm_device *device, struct qm_kernel **kernel);
void opencl_kernel_binary_hash(struct qm_device *device, const struct qm_kernel *kernel, char text[65]);
void opencl_kernel_statistics(struct qm_device *device, const struct qm_kernel *kernel,
                              struct qm_kernel_statistics *out);

enum qm_status opencl_program_create(struct qm_device *device, const struct qm_program_params *params,
                                     struct qm_program **out);
void opencl_program_destroy(struct qm_device *device, struct qm_program **program);
enum qm_status opencl_run(struct qm_device *device, struct qm_program *program, uint32_t repeats,
                          const struct qm_run_policy *policy, struct qm_timing *timing);

// ---- Command buffers ----------------------------------------------------------------------------------------------

// A dispatch with its arguments set.
struct opencl_recorded {
    cl_kernel kernel;
    size_t global[3];
    size_t local[3];
};

struct opencl_commands {
    cl_command_buffer_khr buffer;
};

// Tries command buffers on an opened device, and writes into its `info` how programs are submitted; the capability's detail
// says why they are not used.
void opencl_commands_try(struct opencl_device *device, cl_platform_id platform);
QM_MUST_USE enum qm_status opencl_commands_record(struct opencl_device *device,
                                                  const struct opencl_recorded *dispatches, size_t count,
                                                  struct opencl_commands **out);
void opencl_commands_destroy(struct opencl_device *device, struct opencl_commands **commands); // of NULL too

// For tests: devices opened from now on use command buffers where the trial found nothing against them; never; or although
// events tell no times, which there are then none of.
extern enum opencl_commands_use {
    OPENCL_COMMANDS_TRIED,
    OPENCL_COMMANDS_NEVER,
    OPENCL_COMMANDS_WITHOUT_TIMES
} opencl_commands_use;

// How long a submission may take before the device counts as hung: far above the 200 ms that submissions are sized
// to. A variable for the sake of its test.
extern uint64_t opencl_hang_limit_ns;

#endif
