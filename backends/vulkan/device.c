#include "backends/vulkan/vk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/host.h"

#define CLOCK_TRIES 16

// ---- Submission ---------------------------------------------------------------------------------------------------

enum qm_status qm_vk_alive(const struct qm_vk_device *device)
{
    if (device->lost)
        return QM_FAIL(QM_DEVICE_LOST, "%s was lost earlier", device->base.info->name);
    return QM_OK;
}

enum qm_status qm_vk_submit(struct qm_vk_device *device, const VkCommandBuffer *commands, uint32_t count)
{
    QM_TRY(qm_vk_alive(device));
    VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
        .commandBufferCount = count,
        .pCommandBuffers = commands,
    };
    VK_TRY(device->vk.vkResetFences(device->handle, 1, &device->fence));
    enum qm_status status = VK_STATUS(device->vk.vkQueueSubmit(device->queue, 1, &submit, device->fence));
    if (status == QM_OK) {
        status = VK_STATUS(device->vk.vkWaitForFences(device->handle, 1, &device->fence, VK_TRUE, device->timeout_ns));
        if (status == QM_TIMEOUT) {
            device->hung = true;
            status = QM_FAIL(QM_TIMEOUT, "%s did not finish a submission within %g s; it counts as lost",
                             device->base.info->name, (double)device->timeout_ns * 1e-9);
        }
    }
    if (status == QM_DEVICE_LOST || status == QM_TIMEOUT)
        device->lost = true;
    return status;
}

enum qm_status qm_vk_once_begin(struct qm_vk_device *device)
{
    QM_TRY(qm_vk_alive(device));
    VkCommandBufferBeginInfo begin = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
    };
    VK_TRY(device->vk.vkResetCommandPool(device->handle, device->once_pool, 0));
    VK_TRY(device->vk.vkBeginCommandBuffer(device->once, &begin));
    return QM_OK;
}

enum qm_status qm_vk_once_end(struct qm_vk_device *device)
{
    VK_TRY(device->vk.vkEndCommandBuffer(device->once));
    return qm_vk_submit(device, &device->once, 1);
}

// ---- Clocks -------------------------------------------------------------------------------------------------------

uint64_t qm_vk_tick_mask(const struct qm_vk_device *device)
{
    uint32_t bits = device->base.info->timestamp_valid_bits;
    return bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

uint64_t qm_vk_ticks_to_ns(const struct qm_vk_device *device, uint64_t ticks)
{
    // A double has 53 bits, too few for the ticks of a machine that has been up for months. The period is a float, so
    // that 32 bits behind the point hold all of it.
    uint64_t period = (uint64_t)(device->base.info->timestamp_period_ns * 0x1p32);
    return (uint64_t)((unsigned __int128)ticks * period >> 32);
}

static enum qm_status calibrated_clock(struct qm_vk_device *device, struct qm_clock_sample *out)
{
    // qm_clock_ns() reads the monotonic clock.
    const VkCalibratedTimestampInfoEXT domains[2] = {
        {.sType = VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT, .timeDomain = VK_TIME_DOMAIN_DEVICE_EXT},
        {.sType = VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT, .timeDomain = VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT},
    };
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < CLOCK_TRIES; i++) {
        uint64_t readings[2], deviation;
        VK_TRY(device->vk.vkGetCalibratedTimestampsEXT(device->handle, 2, domains, readings, &deviation));
        if (deviation < least) {
            least = deviation;
            out->device_ns = qm_vk_ticks_to_ns(device, readings[0] & qm_vk_tick_mask(device));
            out->host_ns = readings[1];
        }
    }
    return QM_OK;
}

// A timestamp on the device between two readings of the host's clock.
static enum qm_status bracketed_clock(struct qm_vk_device *device, struct qm_clock_sample *out)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < CLOCK_TRIES; i++) {
        QM_TRY(qm_vk_once_begin(device));
        device->vk.vkCmdResetQueryPool(device->once, device->clock_query, 0, 1);
        device->vk.vkCmdWriteTimestamp(device->once, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, device->clock_query, 0);
        uint64_t before = qm_clock_ns();
        QM_TRY(qm_vk_once_end(device));
        uint64_t after = qm_clock_ns();
        uint64_t ticks;
        VK_TRY(device->vk.vkGetQueryPoolResults(device->handle, device->clock_query, 0, 1, sizeof(ticks), &ticks,
                                                sizeof(ticks), VK_QUERY_RESULT_64_BIT));
        if (after - before < least) {
            least = after - before;
            out->device_ns = qm_vk_ticks_to_ns(device, ticks & qm_vk_tick_mask(device));
            out->host_ns = before + (after - before) / 2;
        }
    }
    return QM_OK;
}

static bool has_capability(const struct qm_device_info *info, const char *name)
{
    for (uint32_t i = 0; i < info->capability_count; i++)
        if (strcmp(info->capabilities[i].name, name) == 0)
            return info->capabilities[i].advertised;
    return false;
}

static enum qm_status clock_pair(struct qm_device *base, struct qm_clock_sample *out)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    QM_TRY(qm_vk_alive(device));
    if (!base->info->timestamp_valid_bits)
        return QM_FAIL(QM_UNSUPPORTED, "%s: its compute queue has no timestamps", base->info->name);
    if (has_capability(&device->physical.info, "calibrated_timestamps"))
        return calibrated_clock(device, out);
    return bracketed_clock(device, out);
}

// ---- Open and destroy ---------------------------------------------------------------------------------------------

static void memory_used(struct qm_device *base, struct qm_memory *out)
{
    const struct qm_vk_device *device = qm_vk_device_of(base);
    *out = device->memory;
    out->left_bytes = UINT64_MAX;
    if (!device->physical.usable[QM_VK_MEMORY_BUDGET])
        return;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                                    .pNext = &budget};
    vkGetPhysicalDeviceMemoryProperties2(device->physical.handle, &properties);
    uint64_t largest = 0; // of the device's own heaps: the one that buffers come from
    for (uint32_t i = 0; i < properties.memoryProperties.memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &properties.memoryProperties.memoryHeaps[i];
        if (!(heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) || heap->size < largest)
            continue;
        largest = heap->size;
        out->left_bytes = budget.heapBudget[i] > budget.heapUsage[i] ? budget.heapBudget[i] - budget.heapUsage[i] : 0;
    }
}

static void destroy(struct qm_device **base)
{
    struct qm_vk_device *device = *base ? qm_vk_device_of(*base) : NULL;
    *base = NULL;
    if (!device)
        return;
    struct qm_device *self = &device->base;
    qm_vk_buffer_destroy(self, &device->staging);
    qm_vk_buffer_destroy(self, &device->no_step);
    if (device->handle && !device->hung) {
        device->vk.vkDestroyQueryPool(device->handle, device->clock_query, NULL);
        device->vk.vkDestroyCommandPool(device->handle, device->once_pool, NULL);
        device->vk.vkDestroyFence(device->handle, device->fence, NULL);
        device->vk.vkDestroyPipelineLayout(device->handle, device->pipeline_layout, NULL);
        device->vk.vkDestroyDescriptorSetLayout(device->handle, device->set_layout, NULL);
        device->vk.vkDestroyDevice(device->handle, NULL);
    }
    if (!device->hung)
        qm_vk_instance_destroy(&device->instance);
    free(device->cache_dir);
    free(device);
}

// Finds the device that `info` describes; its index may have changed since.
static enum qm_status find_device(struct qm_vk_device *device, const struct qm_device_info *info)
{
    VkPhysicalDevice *handles = NULL;
    uint32_t count = 0;
    bool found = false;
    struct qm_vk_physical *candidate = calloc(1, sizeof(*candidate));
    if (!candidate)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to describe a device");
    enum qm_status status = qm_vk_physical_devices(&device->instance, &handles, &count);
    for (uint32_t i = 0; status == QM_OK && i < count; i++) {
        if (qm_vk_describe(&device->instance, handles[i], i, candidate) != QM_OK ||
            memcmp(candidate->info.uuid, info->uuid, sizeof(info->uuid)) != 0 ||
            strcmp(candidate->info.name, info->name) != 0 ||
            strcmp(candidate->info.driver_name, info->driver_name) != 0)
            continue;
        bool same_index = strcmp(candidate->info.id, info->id) == 0;
        if (!found || same_index) // two drivers' devices may share a UUID; the index then decides
            device->physical = *candidate;
        found = true;
        if (same_index)
            break;
    }
    free(handles);
    free(candidate);
    if (status == QM_OK && !found)
        return QM_FAIL(QM_UNAVAILABLE, "%s (%s) is no longer there; 'qmark devices' lists what is", info->id,
                       info->name);
    snprintf(device->physical.info.id, sizeof(device->physical.info.id), "%s", info->id);
    return status;
}

// Enables what a kernel may ask for and no more: robust buffer access, for one, costs speed.
static enum qm_status create_device(struct qm_vk_device *device)
{
    const struct qm_vk_physical *p = &device->physical;
    const struct qm_vk_features *f = &p->features;
    VkPhysicalDevice16BitStorageFeatures storage16 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
        .storageBuffer16BitAccess = f->storage16,
        .uniformAndStorageBuffer16BitAccess = f->uniform_storage16,
    };
    VkPhysicalDevice8BitStorageFeatures storage8 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES,
        .storageBuffer8BitAccess = f->storage8,
        .uniformAndStorageBuffer8BitAccess = f->uniform_storage8,
    };
    VkPhysicalDeviceShaderFloat16Int8Features small = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
        .shaderFloat16 = f->float16,
        .shaderInt8 = f->int8,
    };
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES,
        .shaderIntegerDotProduct = f->packed_dot,
    };
    VkPhysicalDeviceSubgroupSizeControlFeatures size = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
        .subgroupSizeControl = f->subgroup_size_control,
        .computeFullSubgroups = f->full_subgroups,
    };
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE,
    };
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
        .vulkanMemoryModel = f->memory_model,
    };
    VkPhysicalDeviceCooperativeMatrixFeaturesNV matrix = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV,
        .cooperativeMatrix = f->cooperative_matrix,
    };
    VkPhysicalDeviceFeatures2 all = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
        .features = {.shaderInt16 = f->int16, .shaderInt64 = f->int64, .shaderFloat64 = f->float64},
    };
    QM_VK_CHAIN(&all, storage16);
    if (p->usable[QM_VK_STORAGE8])
        QM_VK_CHAIN(&all, storage8);
    if (p->usable[QM_VK_FLOAT16_INT8])
        QM_VK_CHAIN(&all, small);
    if (p->usable[QM_VK_DOT_PRODUCT])
        QM_VK_CHAIN(&all, dot);
    if (p->usable[QM_VK_SUBGROUP_SIZE])
        QM_VK_CHAIN(&all, size);
    if (device->statistics)
        QM_VK_CHAIN(&all, executable);
    if (f->cooperative_matrix) {
        QM_VK_CHAIN(&all, memory_model);
        QM_VK_CHAIN(&all, matrix);
    }

    const char *names[QM_VK_EXTENSION_COUNT];
    uint32_t name_count = 0;
    for (unsigned e = 0; e < QM_VK_EXTENSION_COUNT; e++)
        if (p->offered[e] && (e != QM_VK_PIPELINE_STATISTICS || device->statistics))
            names[name_count++] = qm_vk_extension_name((enum qm_vk_extension)e);
    const float priority = 1.0f;
    VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = p->queue_family,
        .queueCount = 1,
        .pQueuePriorities = &priority,
    };
    VkDeviceCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &all,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queue,
        .enabledExtensionCount = name_count,
        .ppEnabledExtensionNames = names,
    };
    VK_TRY(vkCreateDevice(p->handle, &create, NULL, &device->handle));
    volkLoadDeviceTable(&device->vk, device->handle);
    device->vk.vkGetDeviceQueue(device->handle, p->queue_family, 0, &device->queue);
    vkGetPhysicalDeviceMemoryProperties(p->handle, &device->memory_properties);
    return QM_OK;
}

static enum qm_status create_layouts(struct qm_vk_device *device)
{
    // One layout for all kernels: a kernel writes and uses only the descriptors of its own bindings.
    VkDescriptorSetLayoutBinding bindings[QM_VK_TEXEL_BINDING + QM_MAX_BINDINGS];
    for (uint32_t i = 0; i < QM_VK_TEXEL_BINDING + QM_MAX_BINDINGS; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = i >= QM_VK_TEXEL_BINDING  ? VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER
                              : i == QM_VK_STEP_BINDING ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER
                                                        : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
        };
    VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = QM_VK_TEXEL_BINDING + QM_MAX_BINDINGS,
        .pBindings = bindings,
    };
    VK_TRY(device->vk.vkCreateDescriptorSetLayout(device->handle, &set, NULL, &device->set_layout));
    const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = 4 * QM_MAX_PARAMETERS};
    VkPipelineLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .setLayoutCount = 1,
        .pSetLayouts = &device->set_layout,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &range,
    };
    VK_TRY(device->vk.vkCreatePipelineLayout(device->handle, &layout, NULL, &device->pipeline_layout));
    return QM_OK;
}

static enum qm_status create_commands(struct qm_vk_device *device)
{
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VK_TRY(device->vk.vkCreateFence(device->handle, &fence, NULL, &device->fence));
    VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
        .queueFamilyIndex = device->physical.queue_family,
    };
    VK_TRY(device->vk.vkCreateCommandPool(device->handle, &pool, NULL, &device->once_pool));
    VkCommandBufferAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = device->once_pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    VK_TRY(device->vk.vkAllocateCommandBuffers(device->handle, &allocate, &device->once));
    VkQueryPoolCreateInfo query = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
        .queryType = VK_QUERY_TYPE_TIMESTAMP,
        .queryCount = 1,
    };
    if (device->base.info->timestamp_valid_bits)
        VK_TRY(device->vk.vkCreateQueryPool(device->handle, &query, NULL, &device->clock_query));
    return QM_OK;
}

// Where host and device share memory, copies through a staging buffer would only cost time. QM_VULKAN_STAGING=1 makes
// them nevertheless, so that the way of discrete devices is tested on software drivers.
static bool maps_buffers(const struct qm_vk_device *device)
{
    const char *forced = getenv("QM_VULKAN_STAGING");
    if ((forced && strcmp(forced, "1") == 0) || device->base.info->type == QM_DEVICE_DISCRETE)
        return false;
    const VkMemoryPropertyFlags shared = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    for (uint32_t i = 0; i < device->memory_properties.memoryTypeCount; i++)
        if ((device->memory_properties.memoryTypes[i].propertyFlags & shared) == shared)
            return true;
    return false;
}

static const struct qm_device_fns fns = {
    .destroy = destroy,
    .buffer_create = qm_vk_buffer_create,
    .buffer_destroy = qm_vk_buffer_destroy,
    .buffer_write = qm_vk_buffer_write,
    .buffer_read = qm_vk_buffer_read,
    .kernel_create = qm_vk_kernel_create,
    .kernel_destroy = qm_vk_kernel_destroy,
    .program_create = qm_vk_program_create,
    .program_destroy = qm_vk_program_destroy,
    .run = qm_vk_run,
    .clock = clock_pair,
    .memory = memory_used,
    .kernel_binary_hash = qm_vk_kernel_binary_hash,
    .kernel_statistics = qm_vk_kernel_statistics,
};

static enum qm_status open_device(const struct qm_device_info *info, const struct qm_open_params *params,
                                  struct qm_device **out)
{
    *out = NULL;
    struct qm_vk_device *device = calloc(1, sizeof(*device));
    if (!device)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to open %s", info->id);
    enum qm_status status;
    device->base = (struct qm_device){.fns = &fns, .info = &device->physical.info};
    snprintf(device->physical.info.submission, sizeof(device->physical.info.submission), "recorded");
    device->timeout_ns = QM_VK_SUBMISSION_TIMEOUT_NS;
    if (params->cache_dir && !(device->cache_dir = strdup(params->cache_dir))) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to open %s", info->id);
        goto done;
    }
    QM_GUARD(qm_vk_instance_create(params->debug, &device->instance));
    QM_GUARD(find_device(device, info));
    device->statistics = params->statistics && device->physical.offered[QM_VK_PIPELINE_STATISTICS];
    QM_GUARD(create_device(device));
    device->mapped = maps_buffers(device);
    QM_GUARD(create_layouts(device));
    QM_GUARD(create_commands(device));
    QM_GUARD(qm_vk_buffer_create(&device->base, 4 * QM_STEP_WORDS, &device->no_step));
    device->no_step->allocated_bytes = 0; // what the backend needs for itself is not counted
    device->memory = (struct qm_memory){0};
    *out = &device->base;
    return QM_OK;
done:;
    struct qm_device *failed = &device->base;
    destroy(&failed);
    return status;
}

const struct qm_backend qm_backend_vulkan = {
    .name = "vulkan",
    .enumerate = qm_vk_enumerate,
    .open = open_device,
};
