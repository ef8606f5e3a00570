// The loader is opened at run time, so that one binary starts on machines that have none and can say so.
#include "backends/opencl/opencl.h"
#include "sys/leaks.h"
#include "sys/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct opencl_functions cl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char reason[512]; // why there is no loader; "" where there is one

// The library stays open until the process ends: drivers leave threads and exit handlers behind that crash once their
// code is unmapped.
static void load_library(void)
{
    static const char *const usual[] = {"libOpenCL.so.1", "libOpenCL.so", NULL};
    const char *chosen[] = {getenv("QM_OPENCL_LOADER"), NULL};
    bool asked = chosen[0] != NULL && chosen[0][0] != '\0';
    void *library = NULL;
    for (const char *const *name = asked ? chosen : usual; *name != NULL && library == NULL; ++name)
        library = dlopen(*name, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL && asked) {
        snprintf(reason, sizeof(reason), "cannot open the OpenCL loader that QM_OPENCL_LOADER names: %s", dlerror());
        return;
    }
    if (library == NULL) {
        snprintf(reason, sizeof(reason),
                 "no OpenCL loader (libOpenCL.so.1) on this machine; install ocl-icd-libopencl1 (Debian, Ubuntu) or "
                 "ocl-icd (Fedora, Arch), and a driver such as pocl-opencl-icd");
        return;
    }
#define OPENCL_FIND(name)                                                                                              \
    if (!qm_library_find(library, "cl" #name, &cl.name)) {                                                             \
        snprintf(reason, sizeof(reason),                                                                               \
                 "the OpenCL loader has no cl" #name ": it is older than OpenCL 1.2; install ocl-icd-libopencl1");     \
        return;                                                                                                        \
    }
    OPENCL_FUNCTIONS(OPENCL_FIND)
#undef OPENCL_FIND
    qm_library_find(library, "clGetDeviceAndHostTimer", &cl.GetDeviceAndHostTimer);
    qm_library_find(library, "clGetExtensionFunctionAddressForPlatform", &cl.GetExtensionFunctionAddressForPlatform);
    // Not exported, but handed out. The header marks this function deprecated; no loader has dropped it.
    void *(CL_API_CALL * get_extension)(const char *name) = NULL;
    if (qm_library_find(library, "clGetExtensionFunctionAddress", &get_extension)) {
        void *symbol = get_extension("clGetICDLoaderInfoOCLICD");
        memcpy(&cl.GetICDLoaderInfoOCLICD, &symbol, sizeof(symbol));
    }
}

static void load(void)
{
    QM_LEAKS_IGNORE();
    load_library();
    cl_uint count;
    if (reason[0] == '\0')
        (void)cl.GetPlatformIDs(0, NULL, &count); // the loader loads its drivers at the first call
    QM_LEAKS_HEED();
}

enum qm_status opencl_load(void)
{
    pthread_once(&once, load);
    return reason[0] == '\0' ? QM_OK : QM_FAIL(QM_UNAVAILABLE, "%s", reason);
}

const char *opencl_error_name(cl_int error)
{
    static const struct {
        cl_int error;
        const char *name;
    } names[] = {
#define NAME(error) {error, #error}
        NAME(CL_DEVICE_NOT_FOUND),
        NAME(CL_DEVICE_NOT_AVAILABLE),
        NAME(CL_COMPILER_NOT_AVAILABLE),
        NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE),
        NAME(CL_OUT_OF_RESOURCES),
        NAME(CL_OUT_OF_HOST_MEMORY),
        NAME(CL_PROFILING_INFO_NOT_AVAILABLE),
        NAME(CL_MEM_COPY_OVERLAP),
        NAME(CL_BUILD_PROGRAM_FAILURE),
        NAME(CL_MAP_FAILURE),
        NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET),
        NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
        NAME(CL_COMPILE_PROGRAM_FAILURE),
        NAME(CL_LINKER_NOT_AVAILABLE),
        NAME(CL_LINK_PROGRAM_FAILURE),
        NAME(CL_KERNEL_ARG_INFO_NOT_AVAILABLE),
        NAME(CL_INVALID_VALUE),
        NAME(CL_INVALID_DEVICE_TYPE),
        NAME(CL_INVALID_PLATFORM),
        NAME(CL_INVALID_DEVICE),
        NAME(CL_INVALID_CONTEXT),
        NAME(CL_INVALID_QUEUE_PROPERTIES),
        NAME(CL_INVALID_COMMAND_QUEUE),
        NAME(CL_INVALID_HOST_PTR),
        NAME(CL_INVALID_MEM_OBJECT),
        NAME(CL_INVALID_BINARY),
        NAME(CL_INVALID_BUILD_OPTIONS),
        NAME(CL_INVALID_PROGRAM),
        NAME(CL_INVALID_PROGRAM_EXECUTABLE),
        NAME(CL_INVALID_KERNEL_NAME),
        NAME(CL_INVALID_KERNEL_DEFINITION),
        NAME(CL_INVALID_KERNEL),
        NAME(CL_INVALID_ARG_INDEX),
        NAME(CL_INVALID_ARG_VALUE),
        NAME(CL_INVALID_ARG_SIZE),
        NAME(CL_INVALID_KERNEL_ARGS),
        NAME(CL_INVALID_WORK_DIMENSION),
        NAME(CL_INVALID_WORK_GROUP_SIZE),
        NAME(CL_INVALID_WORK_ITEM_SIZE),
        NAME(CL_INVALID_GLOBAL_OFFSET),
        NAME(CL_INVALID_EVENT_WAIT_LIST),
        NAME(CL_INVALID_EVENT),
        NAME(CL_INVALID_OPERATION),
        NAME(CL_INVALID_BUFFER_SIZE),
        NAME(CL_INVALID_GLOBAL_WORK_SIZE),
        NAME(CL_INVALID_PROPERTY),
        NAME(CL_INVALID_COMPILER_OPTIONS),
        NAME(CL_INVALID_LINKER_OPTIONS),
        NAME(CL_PLATFORM_NOT_FOUND_KHR),
#undef NAME
        {-9999, "illegal read or write (NVIDIA)"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i)
        if (names[i].error == error)
            return names[i].name;
    return "an unknown error";
}

// CL_OUT_OF_RESOURCES means too little memory wherever nothing runs; opencl_run judges for itself.
static enum qm_status status_of(cl_int error)
{
    switch (error) {
    case CL_MEM_OBJECT_ALLOCATION_FAILURE:
    case CL_OUT_OF_RESOURCES:
    case CL_OUT_OF_HOST_MEMORY:
    case CL_INVALID_BUFFER_SIZE:
        return QM_OUT_OF_MEMORY;
    case CL_DEVICE_NOT_AVAILABLE:
    case CL_INVALID_COMMAND_QUEUE: // ours was valid: this is how some drivers say that a kernel crashed
    case -9999:
        return QM_DEVICE_LOST;
    case CL_COMPILER_NOT_AVAILABLE:
        return QM_UNSUPPORTED;
    default:
        return QM_FAILED;
    }
}

enum qm_status opencl_check(cl_int error, const char *call, const char *file, int line)
{
    if (error == CL_SUCCESS)
        return QM_OK;
    // The text of the call reads "cl.Flush(queue)": the table's dot goes.
    int skip = strncmp(call, "cl.", 3) == 0 ? 3 : 0;
    return qm_fail_at(file, line, status_of(error), "%s%s: %s (%d)", skip > 0 ? "cl" : "", call + skip,
                      opencl_error_name(error), (int)error);
}
