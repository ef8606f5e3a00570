// The interface between qmark's core and a compute API.
//
// A backend knows buffers, kernels and programs; it knows no model and no quantization scheme. The core validates what
// it passes (sizes, bindings, counts); the backend trusts it. Whoever creates an object destroys it; destroy functions
// take a pointer to the handle, accept NULL handles and set the handle to NULL. Everything dies before its device.
// Every slot of `struct qm_device_fns` has the type of the function that the core calls through it.
//
// One thread at a time uses a device.
#ifndef QM_BACKENDS_BACKEND_H
#define QM_BACKENDS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define QM_MAX_BINDINGS 4    // storage buffers of a kernel; the fifth binding is the step buffer
#define QM_MAX_PARAMETERS 24 // 32-bit words; 96 bytes of push constants
// The step buffer (kernels/portable.h): position, sequence and slot, which `advance` moves on, and a word for nothing; then
// for each sequence of a pass an offset of its cache sequence and one of its position. The last pair is always zero.
#define QM_STEP_HEAD_WORDS 4
#define QM_STEP_WORDS 4096         // 16 KiB: what every Vulkan device takes as a uniform block
#define QM_PASS_SEQUENCES_MAX 2045 // sequences of a pass that may have offsets

// ---- Devices ------------------------------------------------------------------------------------------------------

enum qm_device_type {
    QM_DEVICE_CPU,
    QM_DEVICE_INTEGRATED,
    QM_DEVICE_DISCRETE,
    QM_DEVICE_VIRTUAL,
    QM_DEVICE_OTHER
};

// What a driver says of itself; `tried` and `works` are filled by the self-test (core/bench/selftest.c), never by the
// backend.
struct qm_capability {
    char name[32]; // "packed_dot", "fp16", "subgroups", "int8_storage", ...
    bool advertised;
    bool tried;
    bool works;
    char detail[96]; // such as "size 8" or "not accelerated"
};

#define QM_MAX_CAPABILITIES 16

struct qm_device_info {
    char api[16];         // "vulkan", "opencl", "reference"
    char id[24];          // what --device takes: "vulkan:0", "opencl:1", "reference"
    char name[128];       // as the driver gives it
    char driver[160];     // driver's name and version, "llvmpipe Mesa 22.3.6 (LLVM 15.0.6)"
    char driver_name[64]; // "lavapipe", "swiftshader", "pocl", "rusticl" or the driver's own short name, lower case
    char api_version[48]; // "1.3.230", "OpenCL 3.0 PoCL 3.1", compiler in `compiler`
    char compiler[96];    // who compiles for the device, as far as it is told; "undisclosed" otherwise
    char submission
        [24];        // of an opened device: "recorded", "command buffer" or "enqueued"; "" where nothing is submitted
    char loader[96]; // loader's name and version, "undisclosed" where it does not tell
    enum qm_device_type type;
    uint32_t vendor_id, device_id; // PCI ids, 0 where unknown
    bool has_uuid;
    uint8_t uuid[16];
    char pci_address[20]; // "0000:01:00.0", "" where unknown
    // Limits that the core respects.
    uint64_t max_binding_bytes;
    uint64_t max_allocation_bytes;
    uint64_t max_texel_bytes;         // of a binding that is read as a texel buffer; 0: there are none
    uint64_t memory_bytes;            // device memory as told; 0 where unknown
    uint32_t buffer_offset_alignment; // bytes; bindings start on multiples of it (at least 4)
    uint32_t max_workgroup_invocations;
    uint32_t max_local_bytes;
    uint32_t max_parameter_bytes;
    uint32_t max_groups[3]; // workgroups per dispatch and dimension
    uint32_t subgroup_size; // 0 where unknown
    uint32_t vector_width;  // floats of a vector as the device's driver has them; 1 or 0: it makes lanes of invocations
    bool has_fast_dot;      // the driver calls its packed int8 dot products accelerated
    uint32_t timestamp_valid_bits; // 0: no device timestamps
    double timestamp_period_ns;
    struct qm_capability capabilities[QM_MAX_CAPABILITIES];
    uint32_t capability_count;
};

struct qm_device;  // opened device
struct qm_buffer;  // device memory
struct qm_kernel;  // a kernel, compiled for one variant
struct qm_program; // a recorded sequence of dispatches

// ---- Kernels ------------------------------------------------------------------------------------------------------

// One row of the table of variants that the build makes (kernels/variants.txt): a shell, compiled with definitions.
struct qm_kernel_variant {
    const char *name;        // "matmul-w8-a8-cpu"
    const char *kernel;      // "matmul": the OpenCL entry point is called this
    const char *definitions; // "-DQM_WEIGHT_W8 -DQM_TILE_ROWS=4 ...", for OpenCL's build options and the hash
    const uint32_t *spirv;   // Vulkan: the module; entry point "main". NULL: made from glsl_source when it is needed
    size_t spirv_bytes;
    const char *opencl_source; // OpenCL C, includes resolved
    const char *glsl_source;   // GLSL, likewise; NULL: not for Vulkan without `spirv`
    const char *body;          // the arithmetic alone (portable.h, kernel, decoders), includes resolved: what is hashed
    uint32_t workgroup[3];     // invocations per workgroup
    uint32_t binding_count;    // storage buffers used, 0..QM_MAX_BINDINGS
    uint32_t
        texel_bindings; // bit i: binding i is read as a texel buffer of four words (Vulkan), max_texel_bytes at most
    uint32_t parameter_count; // 32-bit words
};

// ---- Programs -----------------------------------------------------------------------------------------------------

struct qm_binding {
    struct qm_buffer *buffer;
    uint64_t offset_bytes; // a multiple of buffer_offset_alignment
    uint64_t size_bytes;   // > 0, at most max_binding_bytes
};

struct qm_dispatch {
    const struct qm_kernel *kernel;
    struct qm_binding bindings[QM_MAX_BINDINGS]; // the first binding_count are used
    uint32_t parameters[QM_MAX_PARAMETERS];      // in the order of the kernel's argument list; floats as their bits
    uint32_t groups[3];                          // workgroups, each at least 1
};

struct qm_program_params {
    const struct qm_dispatch *dispatches; // copied
    size_t count;                         // at least 1
    struct qm_buffer *step;               // QM_STEP_WORDS words, read by kernels as step_*, written by `advance`
};

// How work is submitted: data, so that every API submits the same way and the result can state it.
struct qm_run_policy {
    uint32_t dispatches_per_submission; // longer programs are cut; 0: no limit
    uint32_t repeats_per_submission;    // at least 1; short programs are submitted together
};

// Times of one run. `repeat_device_ns[i]` is device time from the start of the first to the end of the last dispatch
// of repeat i, by the device's own timestamps; where the program was cut, the sum over the pieces, without the host's
// time between them. A program that is cut is submitted one repeat at a time. 0 and has_device_time false where the
// device has no timestamps of use.
struct qm_timing {
    bool has_device_time;
    uint64_t wall_ns;           // host clock around the whole run, from before the first submission to its completion
    uint64_t *repeat_device_ns; // [repeats]: given by the caller or NULL
    uint64_t *repeat_wall_ns;   // [repeats]: completion-to-completion on the host, where each repeat is submitted
                                // alone; else the submission's time divided evenly. Given by the caller or NULL.
    uint32_t submissions;
};

struct qm_clock_sample {
    uint64_t host_ns;   // monotonic host clock
    uint64_t device_ns; // device timestamp in nanoseconds as the driver's period converts it
};

// The device's memory as the backend allocated it.
struct qm_memory {
    uint64_t buffers_bytes; // now, as allocated (sizes rounded up by the driver included where it tells)
    uint64_t peak_bytes;
    uint64_t left_bytes; // that can still be allocated, by the driver's word; UINT64_MAX where it says nothing
};

// What a driver says of a compiled kernel, in its own words: "registers" 32, "spilled bytes" 0, "private memory bytes" 4096.
#define QM_KERNEL_STATISTICS_MAX 24
struct qm_kernel_statistics {
    uint32_t count; // 0: it says nothing
    struct {
        char name[48];
        char value[72];
    } of[QM_KERNEL_STATISTICS_MAX];
};

struct qm_device_fns {
    void (*destroy)(struct qm_device **device);
    // Zero-filled device memory of `size_bytes` (> 0; rounded up to 4 within). QM_OUT_OF_MEMORY where it does not fit.
    enum qm_status (*buffer_create)(struct qm_device *device, uint64_t size_bytes, struct qm_buffer **out);
    void (*buffer_destroy)(struct qm_device *device, struct qm_buffer **buffer);
    // Blocking copies; offset and size are multiples of 4 within the buffer.
    enum qm_status (*buffer_write)(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset_bytes,
                                   const void *bytes, uint64_t size_bytes);
    enum qm_status (*buffer_read)(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset_bytes,
                                  void *bytes, uint64_t size_bytes);
    // Compiles (or loads from the cache) a variant. QM_UNSUPPORTED with the reason where the device cannot run it.
    enum qm_status (*kernel_create)(struct qm_device *device, const struct qm_kernel_variant *variant,
                                    struct qm_kernel **out);
    void (*kernel_destroy)(struct qm_device *device, struct qm_kernel **kernel);
    // Records the dispatches once; each sees the writes of those before it (a full barrier between dispatches).
    enum qm_status (*program_create)(struct qm_device *device, const struct qm_program_params *params,
                                     struct qm_program **out);
    void (*program_destroy)(struct qm_device *device, struct qm_program **program);
    // Runs the program `repeats` times, one after another, and waits. QM_DEVICE_LOST is final: the device answers so
    // from then on.
    enum qm_status (*run)(struct qm_device *device, struct qm_program *program, uint32_t repeats,
                          const struct qm_run_policy *policy, struct qm_timing *timing);
    // One pair of clock readings, taken as close together as the API allows. QM_UNSUPPORTED without a device clock.
    enum qm_status (*clock)(struct qm_device *device, struct qm_clock_sample *out);
    void (*memory)(struct qm_device *device, struct qm_memory *out);
    // Hash of what was compiled or "undisclosed": SHA-256 of the SPIR-V (Vulkan) or of the driver's binary (OpenCL).
    void (*kernel_binary_hash)(struct qm_device *device, const struct qm_kernel *kernel, char text[65]);
    // What the driver says of it; Vulkan only where the device was opened with `statistics`.
    void (*kernel_statistics)(struct qm_device *device, const struct qm_kernel *kernel,
                              struct qm_kernel_statistics *out);
};

// First member of every backend's device.
struct qm_device {
    const struct qm_device_fns *fns;
    const struct qm_device_info *info; // lives as long as the device
};

struct qm_open_params {
    bool debug;            // Vulkan: validation layers; a message makes `qm_device_log_count` rise. OpenCL: build log
    bool statistics;       // Vulkan: pipelines keep what kernel_statistics tells, and are compiled anew for it
    const char *cache_dir; // where pipelines and binaries are kept, by hash; NULL: no cache
};

struct qm_backend {
    const char *name; // "vulkan", "opencl", "reference"
    // Lists devices without opening them; `*count` is how many there are even if more than `capacity`.
    // QM_UNAVAILABLE with the reason where there is no loader, no driver or no device.
    enum qm_status (*enumerate)(struct qm_device_info *out, size_t capacity, size_t *count);
    // `info` as enumerate gave it.
    enum qm_status (*open)(const struct qm_device_info *info, const struct qm_open_params *params,
                           struct qm_device **out);
};

// A program's kernels and buffers must outlive it. `info` of an open device may say less than enumeration did, where
// opening showed that the driver's word does not hold (a clock that does not run): take limits from the device.
extern const struct qm_backend qm_backend_reference, qm_backend_opencl, qm_backend_vulkan;

// The three, in the order reference, opencl, vulkan; ends with NULL.
extern const struct qm_backend *const qm_backends[];

// Messages of validation layers since the process started; 0 where they are off. The texts went to stderr.
uint32_t qm_device_log_count(void);

// Kernels that this process has created from what a cache_dir held, whole. Backends count them.
uint32_t qm_kernels_from_cache(void);
void qm_kernels_count_cached(void);

#endif
