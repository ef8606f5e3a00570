// What the files of the Vulkan backend share.
//
//   instance.c  the loader, instances, validation messages, names of results
//   describe.c  what a physical device says of itself; the backend's enumerate
//   device.c    open and destroy, submission, the clock; the table of functions
//   buffer.c    memory: mapped where host and device share it, else copied through a staging buffer
//   kernel.c    modules, what they ask of the device, pipelines and their cache
//   statistics.c  what a driver says of a pipeline
//   program.c   recording, running and timing
//
// Kernels find storage buffers at bindings 0 to 3 of set 0, the step's words as a uniform buffer at binding 4, their
// parameters as push constants and enter at "main". One descriptor set layout and one pipeline layout serve them all:
// a binding that a module does not use may stay unwritten.
#ifndef QM_BACKENDS_VULKAN_VK_H
#define QM_BACKENDS_VULKAN_VK_H

#include <volk.h>

#include "backends/backend.h"
#include "base/hash.h"

#define QM_VK_STEP_BINDING QM_MAX_BINDINGS
#define QM_VK_TEXEL_BINDING (QM_MAX_BINDINGS + 1) // binding i as texels is this and i; see QM_IN4 in kernels/portable.h
#define QM_VK_TEXEL_BYTES 16                      // VK_FORMAT_R32G32B32A32_UINT
#define QM_VK_SUBMISSION_TIMEOUT_NS 60000000000u  // far above any watchdog; what is not done by then will not be
#define QM_VK_STAGING_BYTES (16u << 20)

// ---- Results ------------------------------------------------------------------------------------------------------

const char *qm_vk_result_name(VkResult result); // "VK_ERROR_DEVICE_LOST"
// QM_OK for VK_SUCCESS; else the status that fits, with the call and the result's name as the error's text.
QM_MUST_USE enum qm_status qm_vk_check(const char *file, int line, const char *call, VkResult result);
// The status of a Vulkan call, for QM_GUARD.
#define VK_STATUS(call) qm_vk_check(__FILE__, __LINE__, #call, (call))
// Returns from the calling function if the call fails.
#define VK_TRY(call) QM_TRY(VK_STATUS(call))

// Puts a structure at the front of the chain that hangs on `*head`.
#define QM_VK_CHAIN(head, structure) ((structure).pNext = (head)->pNext, (head)->pNext = &(structure))

// ---- Instances and physical devices -------------------------------------------------------------------------------

struct qm_vk_instance {
    VkInstance handle;
    VkDebugUtilsMessengerEXT messenger;
    uint32_t loader_version;
};

// QM_UNAVAILABLE without a loader or a driver, QM_UNSUPPORTED for `debug` without the validation layer.
QM_MUST_USE enum qm_status qm_vk_instance_create(bool debug, struct qm_vk_instance *out);
void qm_vk_instance_destroy(struct qm_vk_instance *instance); // a zeroed one too
// free() the list.
QM_MUST_USE enum qm_status qm_vk_physical_devices(const struct qm_vk_instance *instance, VkPhysicalDevice **list,
                                                  uint32_t *count);

// What a module may ask for by OpCapability, and what is enabled of it when the device is opened.
struct qm_vk_features {
    bool storage16, uniform_storage16, storage8, uniform_storage8;
    bool float16, int8, int16, int64, float64;
    bool packed_dot, packed_dot_accelerated;
    bool cooperative_matrix, memory_model;
    bool subgroup_size_control, full_subgroups, can_require_size;
    bool denormal_preserve32, denormal_flush32, nan_preserve32, rounding_rte32;
    VkSubgroupFeatureFlags subgroup_operations; // in compute shaders
};

// Extensions of the device that are enabled where they are offered and not yet part of its version.
enum qm_vk_extension {
    QM_VK_DRIVER_PROPERTIES,
    QM_VK_FLOAT_CONTROLS,
    QM_VK_FLOAT16_INT8,
    QM_VK_STORAGE8,
    QM_VK_DOT_PRODUCT,
    QM_VK_SUBGROUP_SIZE,
    QM_VK_MAINTENANCE4,
    QM_VK_PCI_BUS_INFO,
    QM_VK_CALIBRATED_TIMESTAMPS,
    QM_VK_PORTABILITY_SUBSET,
    QM_VK_MEMORY_BUDGET,
    QM_VK_PIPELINE_STATISTICS, // enabled only where they are asked for
    QM_VK_MEMORY_MODEL,
    QM_VK_COOPERATIVE_MATRIX,
    QM_VK_EXTENSION_COUNT
};

struct qm_vk_physical {
    VkPhysicalDevice handle;
    uint32_t index; // among the instance's devices; "vulkan:INDEX"
    uint32_t queue_family;
    VkPhysicalDeviceProperties properties;
    struct qm_vk_features features;
    bool offered[QM_VK_EXTENSION_COUNT]; // as an extension
    bool offers_khr_matrix;
    bool usable[QM_VK_EXTENSION_COUNT]; // as an extension or as part of the device's version
    struct qm_device_info info;
};

const char *qm_vk_extension_name(enum qm_vk_extension extension);
// QM_UNSUPPORTED with the reason where qmark cannot use the device.
QM_MUST_USE enum qm_status qm_vk_describe(const struct qm_vk_instance *instance, VkPhysicalDevice handle,
                                          uint32_t index, struct qm_vk_physical *out);
QM_MUST_USE enum qm_status qm_vk_enumerate(struct qm_device_info *out, size_t capacity, size_t *count);

// ---- An opened device ---------------------------------------------------------------------------------------------

struct qm_vk_device {
    struct qm_device base; // first
    struct qm_vk_instance instance;
    struct qm_vk_physical physical;
    struct VolkDeviceTable vk;
    VkDevice handle;
    VkQueue queue;
    VkPhysicalDeviceMemoryProperties memory_properties;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout pipeline_layout;
    VkFence fence;
    VkCommandPool once_pool; // for copies, fills and clock readings
    VkCommandBuffer once;
    VkQueryPool clock_query;
    bool mapped;               // buffers lie in memory that the host maps
    struct qm_buffer *staging; // made by the first copy
    struct qm_buffer *no_step; // bound where a program has no step buffer
    struct qm_memory memory;
    char *cache_dir;
    uint64_t timeout_ns; // of a submission; QM_VK_SUBMISSION_TIMEOUT_NS unless a test is impatient
    bool statistics;     // pipelines are made so that statistics.c can ask for what became of them
    bool lost;           // nothing more is submitted
    bool hung; // a submission never came back: its objects may not be destroyed and are left to the process's end
};

struct qm_buffer {
    VkBuffer handle;
    VkDeviceMemory memory;
    uint64_t size_bytes;
    uint64_t allocated_bytes;
    void *map; // NULL where the host cannot see it
};

struct qm_kernel {
    VkPipeline pipeline;
    uint32_t binding_count;
    uint32_t texel_bindings;
    uint32_t parameter_count;
    char hash[QM_HASH_TEXT_BYTES]; // of the SPIR-V
};

static inline struct qm_vk_device *qm_vk_device_of(struct qm_device *device)
{
    return (struct qm_vk_device *)device;
}

// QM_DEVICE_LOST if the device was lost before.
QM_MUST_USE enum qm_status qm_vk_alive(const struct qm_vk_device *device);
// Submits the command buffers in this order and waits for all of them.
QM_MUST_USE enum qm_status qm_vk_submit(struct qm_vk_device *device, const VkCommandBuffer *commands, uint32_t count);
// Begins `device->once`; ends, submits and waits for it.
QM_MUST_USE enum qm_status qm_vk_once_begin(struct qm_vk_device *device);
QM_MUST_USE enum qm_status qm_vk_once_end(struct qm_vk_device *device);
// Ticks within the queue's valid bits to nanoseconds, without losing bits of long uptimes.
uint64_t qm_vk_ticks_to_ns(const struct qm_vk_device *device, uint64_t ticks);
uint64_t qm_vk_tick_mask(const struct qm_vk_device *device);

// The slots of the device's table.
QM_MUST_USE enum qm_status qm_vk_buffer_create(struct qm_device *device, uint64_t size_bytes, struct qm_buffer **out);
void qm_vk_buffer_destroy(struct qm_device *device, struct qm_buffer **buffer);
QM_MUST_USE enum qm_status qm_vk_buffer_write(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset_bytes,
                                              const void *bytes, uint64_t size_bytes);
QM_MUST_USE enum qm_status qm_vk_buffer_read(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset_bytes,
                                             void *bytes, uint64_t size_bytes);
// SPIR-V from the variant's GLSL and definitions, by libshaderc or glslc; the caller frees *words. QM_UNAVAILABLE where
// neither is installed, QM_INVALID with the compiler's first line where the text is none.
QM_MUST_USE enum qm_status qm_vk_compile(const struct qm_kernel_variant *variant, uint32_t **words, size_t *bytes);
QM_MUST_USE enum qm_status qm_vk_kernel_create(struct qm_device *device, const struct qm_kernel_variant *variant,
                                               struct qm_kernel **out);
void qm_vk_kernel_destroy(struct qm_device *device, struct qm_kernel **kernel);
void qm_vk_kernel_binary_hash(struct qm_device *device, const struct qm_kernel *kernel, char text[65]);
void qm_vk_kernel_statistics(struct qm_device *device, const struct qm_kernel *kernel,
                             struct qm_kernel_statistics *out);
QM_MUST_USE enum qm_status qm_vk_program_create(struct qm_device *device, const struct qm_program_params *params,
                                                struct qm_program **out);
void qm_vk_program_destroy(struct qm_device *device, struct qm_program **program);
QM_MUST_USE enum qm_status qm_vk_run(struct qm_device *device, struct qm_program *program, uint32_t repeats,
                                     const struct qm_run_policy *policy, struct qm_timing *timing);

#endif
