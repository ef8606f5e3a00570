// CLBlast with its default parameters, on the first OpenCL device that the environment leaves.
#define CL_TARGET_OPENCL_VERSION 120
#include "peer.h"

#include <CL/cl.h>
#include <clblast_c.h>
#include <stdio.h>

static const struct peer_product *product;
static cl_device_id device;
static cl_context context;
static cl_command_queue queue;
static cl_mem a, b, c;

const char *peer_name(void)
{
    static char name[200];
    char text[120] = "";
    clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof(text), text, NULL);
    snprintf(name, sizeof(name), "CLBlast, defaults, on %s", text);
    return name;
}

bool peer_open(char reason[200])
{
    cl_platform_id platforms[16];
    cl_uint count = 0;
    cl_int error = CL_SUCCESS;
    snprintf(reason, 200, "no OpenCL device");
    if (clGetPlatformIDs(16, platforms, &count) != CL_SUCCESS)
        return false;
    for (cl_uint i = 0; i < count && i < 16 && !device; ++i)
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, &device, NULL) != CL_SUCCESS)
            device = NULL;
    if (!device)
        return false;
    context = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    queue = context ? clCreateCommandQueue(context, device, 0, &error) : NULL;
    return queue != NULL;
}

bool peer_prepare(const struct peer_product *p, char reason[200])
{
    cl_int error = CL_SUCCESS;
    product = p;
    if (p->is_int8) {
        snprintf(reason, 200, "CLBlast has no product of int8");
        return false;
    }
    snprintf(reason, 200, "no memory on the device");
    a = clCreateBuffer(context, CL_MEM_READ_ONLY, p->m * p->k * 4, NULL, &error);
    b = clCreateBuffer(context, CL_MEM_READ_ONLY, p->n * p->k * 4, NULL, &error);
    c = clCreateBuffer(context, CL_MEM_READ_WRITE, p->m * p->n * 4, NULL, &error);
    return a && b && c &&
           clEnqueueWriteBuffer(queue, a, CL_TRUE, 0, p->m * p->k * 4, p->a, 0, NULL, NULL) == CL_SUCCESS &&
           clEnqueueWriteBuffer(queue, b, CL_TRUE, 0, p->n * p->k * 4, p->b, 0, NULL, NULL) == CL_SUCCESS;
}

bool peer_run(void)
{
    const size_t m = product->m, n = product->n, k = product->k;
    CLBlastStatusCode status = m == 1 ? CLBlastSgemv(CLBlastLayoutRowMajor, CLBlastTransposeNo, n, k, 1.0f, b, 0, k, a,
                                                     0, 1, 0.0f, c, 0, 1, &queue, NULL)
                                      : CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, m,
                                                     n, k, 1.0f, a, 0, k, b, 0, k, 0.0f, c, 0, n, &queue, NULL);
    return status == CLBlastSuccess && clFinish(queue) == CL_SUCCESS;
}

bool peer_fetch(void)
{
    return clEnqueueReadBuffer(queue, c, CL_TRUE, 0, product->m * product->n * 4, product->c, 0, NULL, NULL) ==
           CL_SUCCESS;
}

void peer_release(void)
{
    cl_mem *const all[] = {&a, &b, &c};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
        if (*all[i])
            clReleaseMemObject(*all[i]);
        *all[i] = NULL;
    }
}
