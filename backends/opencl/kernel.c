// Compiling kernels, and the cache of compiled binaries.
//
// A cached binary is a file opencl-KEY.bin in the cache's directory. KEY is the hash of all that the binary depends
// on, so that a new driver or source misses it. The file starts with its own hash: drivers are known to crash on
// damaged binaries, so that damage must be found before a driver sees them. Whatever is wrong with a cached file, the
// kernel is compiled from its source and the file replaced. While a driver loads a binary its file is named .trying:
// if the driver ends the process (rusticl does, on a binary of another version), the next process finds none.
#include "backends/opencl/opencl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/file.h"

// How every kernel is compiled. No -cl-fast-relaxed-math, -cl-mad-enable, -cl-denorms-are-zero or the like: they
// change results, and differently on every driver. -cl-std is left to the variant where its definitions name one,
// which kernels that need a newer OpenCL C do.
#define STANDARD_OPTION "-cl-std=CL1.2"

#define CACHE_MAGIC "qmcl1\n" // changes with the layout: magic, 64 digits of SHA-256, binary
#define CACHE_MAGIC_BYTES (sizeof(CACHE_MAGIC) - 1)
#define CACHE_HEADER_BYTES (CACHE_MAGIC_BYTES + QM_HASH_TEXT_BYTES - 1)
#define CACHE_LIMIT_BYTES (256u << 20)
#define LOG_LINES 12 // of a failed build, in the error's text

// llvmpipe loads every component by a loop over its lanes, and of two words in one it has half as many: products are 1.3 to
// 1.5 times as fast. (Mesa 22.3 has its compiler translate what is written and unrolls no loop. With " -O2" products would be
// 3 to 7 times as fast; but of other kernels it makes instructions that the translator ends the process over.)
static const char *driver_options(const struct opencl_device *device)
{
    bool is_llvmpipe = strcmp(device->info.driver_name, "rusticl") == 0 && device->info.type == QM_DEVICE_CPU;
    return is_llvmpipe ? " -DQM_PAIRED_LOADS" : "";
}

static char *make_options(const struct opencl_device *device, const struct qm_kernel_variant *variant)
{
    const char *definitions = variant->definitions != NULL ? variant->definitions : "", *own = driver_options(device);
    size_t bytes = strlen(definitions) + sizeof(STANDARD_OPTION) + strlen(own) + 1;
    char *options = malloc(bytes);
    if (options != NULL)
        snprintf(options, bytes, "%s%s%s%s", definitions, definitions[0] != '\0' ? " " : "",
                 strstr(definitions, "-cl-std=") != NULL ? "" : STANDARD_OPTION, own);
    return options;
}

// ---- Building -----------------------------------------------------------------------------------------------------

// free() it; NULL where there is none.
static char *build_log(const struct opencl_device *device, cl_program program)
{
    size_t bytes = 0;
    if (cl.GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes) != CL_SUCCESS || bytes < 2)
        return NULL;
    char *log = calloc(bytes + 1, 1);
    if (log != NULL &&
        cl.GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, bytes, log, NULL) != CL_SUCCESS)
        log[0] = '\0';
    return log;
}

// The log's first lines, made one, the rest cut off: errors are one line.
static const char *first_lines(char *log)
{
    if (log == NULL)
        return "the driver gives no log";
    size_t start = strspn(log, " \t\r\n");
    size_t end = start;
    for (int lines = 0; log[end] != '\0' && lines < LOG_LINES; ++end)
        lines += log[end] == '\n';
    while (end > start && strchr(" \t\r\n", log[end - 1]) != NULL)
        --end;
    log[end] = '\0';
    for (char *at = log + start; *at != '\0'; ++at)
        if ((unsigned char)*at < ' ')
            *at = *at == '\n' ? '|' : ' ';
    return log[start] != '\0' ? log + start : "the driver's log is empty";
}

static enum qm_status build(struct opencl_device *device, const struct qm_kernel_variant *variant, cl_program program,
                            const char *options)
{
    cl_int error = cl.BuildProgram(program, 1, &device->id, options, NULL, NULL);
    char *log = build_log(device, program);
    if (device->debug && log != NULL && log[strspn(log, " \t\r\n")] != '\0')
        fprintf(stderr, "%s: build log of %s (%s):\n%s\n", device->info.id, variant->name, options, log);
    enum qm_status status = QM_OK;
    if (error == CL_BUILD_PROGRAM_FAILURE || error == CL_COMPILE_PROGRAM_FAILURE || error == CL_LINK_PROGRAM_FAILURE)
        status = QM_FAIL(QM_FAILED, "%s: kernel %s does not compile with \"%s\": %s", device->info.id, variant->name,
                         options, first_lines(log));
    else if (error != CL_SUCCESS)
        status = opencl_check(error, "cl.BuildProgram", __FILE__, __LINE__);
    free(log);
    return status;
}

// ---- The cache ----------------------------------------------------------------------------------------------------

static enum qm_status cache_path(const struct opencl_device *device, const struct qm_kernel_variant *variant,
                                 const char *options, char path[QM_PATH_BYTES])
{
    char text[QM_HASH_TEXT_BYTES], name[QM_HASH_TEXT_BYTES + 16];
    struct qm_hash hash;
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, device->key);
    qm_hash_add_text(&hash, variant->opencl_source);
    qm_hash_add_text(&hash, options);
    qm_hash_end(&hash, text);
    snprintf(name, sizeof(name), "opencl-%s.bin", text);
    return qm_path_join(path, device->cache_dir, name);
}

// A program from the cached file; NULL, without an error, where there is none that works.
static cl_program load_cached(struct opencl_device *device, const struct qm_kernel_variant *variant,
                              const char *options, const char *path, char hash[QM_HASH_TEXT_BYTES])
{
    void *bytes = NULL;
    size_t count = 0;
    cl_program program = NULL;
    if (!qm_file_exists(path) || qm_file_read(path, CACHE_LIMIT_BYTES, &bytes, &count) != QM_OK)
        return NULL;
    if (count <= CACHE_HEADER_BYTES || memcmp(bytes, CACHE_MAGIC, CACHE_MAGIC_BYTES) != 0)
        goto done;
    const unsigned char *binary = (const unsigned char *)bytes + CACHE_HEADER_BYTES;
    size_t binary_bytes = count - CACHE_HEADER_BYTES;
    qm_hash_bytes(binary, binary_bytes, hash);
    if (memcmp(hash, (const char *)bytes + CACHE_MAGIC_BYTES, QM_HASH_TEXT_BYTES - 1) != 0)
        goto done;
    char trying[QM_PATH_BYTES + 8];
    snprintf(trying, sizeof(trying), "%s.trying", path);
    bool moved = rename(path, trying) == 0; // not where the cache is only to be read: that is no reason to compile
    cl_int binary_status = CL_SUCCESS, error;
    program =
        cl.CreateProgramWithBinary(device->context, 1, &device->id, &binary_bytes, &binary, &binary_status, &error);
    if (program != NULL &&
        (error != CL_SUCCESS || binary_status != CL_SUCCESS || build(device, variant, program, options) != QM_OK)) {
        cl.ReleaseProgram(program);
        program = NULL;
    }
    if (moved && (program != NULL ? rename(trying, path) : remove(trying)) != 0 && device->debug)
        fprintf(stderr, "%s: cannot move %s back; it will be compiled again\n", device->info.id, trying);
done:
    free(bytes);
    return program;
}

// The driver's binary, with room for the cache's header before it; NULL, and "undisclosed", where the driver has none.
static unsigned char *get_binary(cl_program program, size_t *binary_bytes, char hash[QM_HASH_TEXT_BYTES])
{
    *binary_bytes = 0;
    snprintf(hash, QM_HASH_TEXT_BYTES, "undisclosed");
    if (cl.GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof(*binary_bytes), binary_bytes, NULL) != CL_SUCCESS ||
        *binary_bytes == 0)
        return NULL;
    unsigned char *bytes = calloc(CACHE_HEADER_BYTES + *binary_bytes, 1);
    if (bytes == NULL)
        return NULL;
    unsigned char *binary = bytes + CACHE_HEADER_BYTES;
    if (cl.GetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof(binary), &binary, NULL) != CL_SUCCESS) {
        free(bytes);
        return NULL;
    }
    qm_hash_bytes(binary, *binary_bytes, hash);
    return bytes;
}

// A cache that cannot be written costs time, not results: said under --debug only.
static void store(const struct opencl_device *device, const char *path, unsigned char *bytes, size_t binary_bytes,
                  const char *hash)
{
    memcpy(bytes, CACHE_MAGIC, CACHE_MAGIC_BYTES);
    memcpy(bytes + CACHE_MAGIC_BYTES, hash, QM_HASH_TEXT_BYTES - 1);
    enum qm_status status = qm_directory_make(device->cache_dir);
    if (status == QM_OK)
        status = qm_file_write(path, bytes, CACHE_HEADER_BYTES + binary_bytes);
    if (status != QM_OK && device->debug)
        fprintf(stderr, "%s: a compiled kernel was not cached: %s\n", device->info.id, qm_error_text());
}

static enum qm_status load_or_build(struct opencl_device *device, const struct qm_kernel_variant *variant,
                                    const char *options, struct qm_kernel *kernel)
{
    char path[QM_PATH_BYTES] = "";
    if (device->cache_dir != NULL) {
        QM_TRY(cache_path(device, variant, options, path));
        kernel->program = load_cached(device, variant, options, path, kernel->binary_hash);
        if (kernel->program != NULL) {
            qm_kernels_count_cached();
            return QM_OK;
        }
    }
    cl_int error;
    kernel->program =
        cl.CreateProgramWithSource(device->context, 1, (const char **)(uintptr_t)&variant->opencl_source, NULL, &error);
    QM_TRY(opencl_check(error, "cl.CreateProgramWithSource", __FILE__, __LINE__));
    QM_TRY(build(device, variant, kernel->program, options));
    // Asking for the binary may cost as much as compiling: PoCL then compiles each kernel once more, for workgroups of any
    // size. Where a cache wants it, it is taken now, for some drivers add to it what later runs compile.
    if (device->cache_dir == NULL)
        return QM_OK;
    size_t binary_bytes;
    unsigned char *bytes = get_binary(kernel->program, &binary_bytes, kernel->binary_hash);
    if (bytes != NULL)
        store(device, path, bytes, binary_bytes, kernel->binary_hash);
    free(bytes);
    return QM_OK;
}

// ---- Kernels ------------------------------------------------------------------------------------------------------

static enum qm_status check_workgroup(struct opencl_device *device, const struct qm_kernel_variant *variant,
                                      cl_kernel kernel)
{
    size_t invocations = (size_t)variant->workgroup[0] * variant->workgroup[1] * variant->workgroup[2];
    size_t most = 0, multiple = 0;
    CL_TRY(cl.GetKernelWorkGroupInfo(kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof(most), &most, NULL));
    CL_TRY(cl.GetKernelWorkGroupInfo(kernel, device->id, CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, sizeof(multiple),
                                     &multiple, NULL));
    // Mesa 22.3's rusticl gives the width of a subgroup for both and runs what the device's own limit allows.
    if (strcmp(device->info.driver_name, "rusticl") == 0 && most == multiple)
        most = device->info.max_workgroup_invocations;
    if (invocations > most)
        return QM_FAIL(QM_UNSUPPORTED, "%s: kernel %s needs workgroups of %zu invocations; the device runs %zu of it",
                       device->info.id, variant->name, invocations, most);
    return QM_OK;
}

// What the compiled kernel needs against what the device has, before anything runs.
static enum qm_status check_kernel(struct opencl_device *device, const struct qm_kernel_variant *variant,
                                   cl_kernel kernel)
{
    const struct qm_device_info *info = &device->info;
    cl_uint arguments = 0, expected = variant->binding_count + variant->parameter_count + 1;
    CL_TRY(cl.GetKernelInfo(kernel, CL_KERNEL_NUM_ARGS, sizeof(arguments), &arguments, NULL));
    if (arguments != expected)
        return QM_FAIL(QM_FAILED,
                       "%s: kernel %s has %u arguments where its table row says %u (buffers, parameters, step buffer)",
                       info->id, variant->name, arguments, expected);
    QM_TRY(check_workgroup(device, variant, kernel));
    size_t sizes[16] = {0}; // the device has at least 3 dimensions
    CL_TRY(cl.GetDeviceInfo(device->id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof(sizes), sizes, NULL));
    for (int i = 0; i < 3; ++i)
        if (variant->workgroup[i] > sizes[i])
            return QM_FAIL(QM_UNSUPPORTED, "%s: kernel %s needs %u invocations in dimension %d; the device has %zu",
                           info->id, variant->name, variant->workgroup[i], i, sizes[i]);
    cl_ulong local = 0;
    CL_TRY(cl.GetKernelWorkGroupInfo(kernel, device->id, CL_KERNEL_LOCAL_MEM_SIZE, sizeof(local), &local, NULL));
    if (local > info->max_local_bytes)
        return QM_FAIL(QM_UNSUPPORTED, "%s: kernel %s needs %" PRIu64 " bytes of local memory; the device has %u",
                       info->id, variant->name, (uint64_t)local, info->max_local_bytes);
    return QM_OK;
}

enum qm_status opencl_kernel_create(struct qm_device *handle, const struct qm_kernel_variant *variant,
                                    struct qm_kernel **out)
{
    struct opencl_device *device = opencl_device_of(handle);
    struct qm_kernel *kernel = NULL;
    cl_kernel trial = NULL;
    char *options = NULL;
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_TRY(opencl_alive(device));
    if (variant->opencl_source == NULL)
        return QM_FAIL(QM_UNSUPPORTED, "kernel %s has no OpenCL C form", variant->name);
    options = make_options(device, variant);
    kernel = calloc(1, sizeof(*kernel));
    if (options == NULL || kernel == NULL || (kernel->name = strdup(variant->kernel)) == NULL) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for kernel %s", variant->name);
        goto done;
    }
    memcpy(kernel->workgroup, variant->workgroup, sizeof(kernel->workgroup));
    kernel->binding_count = variant->binding_count;
    kernel->parameter_count = variant->parameter_count;
    QM_GUARD(load_or_build(device, variant, options, kernel));
    cl_int error;
    trial = cl.CreateKernel(kernel->program, kernel->name, &error);
    QM_GUARD(opencl_check(error, "cl.CreateKernel", __FILE__, __LINE__));
    QM_GUARD(check_kernel(device, variant, trial));
    *out = kernel;
    kernel = NULL;
done:
    if (trial != NULL)
        cl.ReleaseKernel(trial);
    opencl_kernel_destroy(handle, &kernel);
    free(options);
    return opencl_remember(device, status);
}

void opencl_kernel_destroy(struct qm_device *handle, struct qm_kernel **kernel)
{
    if (kernel == NULL || *kernel == NULL)
        return;
    if ((*kernel)->program != NULL && !opencl_device_of(handle)->hung)
        cl.ReleaseProgram((*kernel)->program);
    free((*kernel)->name);
    free(*kernel);
    *kernel = NULL;
}

void opencl_kernel_binary_hash(struct qm_device *device, const struct qm_kernel *kernel, char text[65])
{
    size_t binary_bytes;
    (void)device;
    if (kernel->binary_hash[0] != '\0')
        memcpy(text, kernel->binary_hash, QM_HASH_TEXT_BYTES);
    else // without a cache nobody asked before
        free(get_binary(kernel->program, &binary_bytes, text));
}

void opencl_kernel_statistics(struct qm_device *handle, const struct qm_kernel *kernel,
                              struct qm_kernel_statistics *out)
{
    static const struct {
        cl_kernel_work_group_info what;
        const char *name;
        bool is_size; // size_t, else cl_ulong
    } rows[] = {{CL_KERNEL_PRIVATE_MEM_SIZE, "private memory bytes", false},
                {CL_KERNEL_LOCAL_MEM_SIZE, "local memory bytes", false},
                {CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, "preferred workgroup multiple", true},
                {CL_KERNEL_WORK_GROUP_SIZE, "largest workgroup", true}};
    struct opencl_device *device = opencl_device_of(handle);
    cl_int error;
    out->count = 0;
    cl_kernel trial = cl.CreateKernel(kernel->program, kernel->name, &error);
    if (error != CL_SUCCESS)
        return;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); ++i) {
        cl_ulong wide = 0;
        size_t size = 0;
        error = rows[i].is_size ? cl.GetKernelWorkGroupInfo(trial, device->id, rows[i].what, sizeof(size), &size, NULL)
                                : cl.GetKernelWorkGroupInfo(trial, device->id, rows[i].what, sizeof(wide), &wide, NULL);
        if (error != CL_SUCCESS)
            continue;
        snprintf(out->of[out->count].name, sizeof(out->of[0].name), "%s", rows[i].name);
        snprintf(out->of[out->count].value, sizeof(out->of[0].value), "%" PRIu64,
                 rows[i].is_size ? (uint64_t)size : (uint64_t)wide);
        out->count++;
    }
    cl.ReleaseKernel(trial);
}
