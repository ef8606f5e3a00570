#include "backends/vulkan/vk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// ---- Memory -------------------------------------------------------------------------------------------------------

enum purpose {
    SHARED,
    DEVICE_ONLY,
    STAGING
};

// How well a type of memory serves; below 0: not at all.
static int suits(VkMemoryPropertyFlags flags, enum purpose purpose)
{
    const bool local = flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    const bool visible = flags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
    const bool coherent = flags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const bool cached = flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT; // reading is slow without
    if (flags & (VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT |
                 VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD | VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD))
        return -1;
    switch (purpose) {
    case SHARED:
        return local && visible && coherent ? 1 + cached : -1;
    case DEVICE_ONLY: // rather not the part that the host sees: on many cards it is 256 MiB
        return local ? 2 - visible : 0;
    case STAGING:
        return visible && coherent ? 1 + 2 * cached - local : -1;
    }
    return -1;
}

// Tries the suitable types, best first: a heap may be full while another is not.
static VkResult allocate(struct qm_vk_device *device, enum purpose purpose, const VkMemoryRequirements *needs,
                         VkDeviceMemory *out, bool *visible)
{
    const VkPhysicalDeviceMemoryProperties *properties = &device->memory_properties;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    for (int wanted = 3; wanted >= 0; wanted--)
        for (uint32_t i = 0; i < properties->memoryTypeCount; i++) {
            const VkMemoryPropertyFlags flags = properties->memoryTypes[i].propertyFlags;
            if (!(needs->memoryTypeBits & (1u << i)) || suits(flags, purpose) != wanted ||
                properties->memoryHeaps[properties->memoryTypes[i].heapIndex].size < needs->size)
                continue;
            VkMemoryAllocateInfo info = {
                .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                .allocationSize = needs->size,
                .memoryTypeIndex = i,
            };
            result = device->vk.vkAllocateMemory(device->handle, &info, NULL, out);
            *visible = purpose != DEVICE_ONLY;
            if (result != VK_ERROR_OUT_OF_DEVICE_MEMORY && result != VK_ERROR_OUT_OF_HOST_MEMORY)
                return result;
        }
    return result;
}

static enum qm_status create(struct qm_vk_device *device, enum purpose purpose, uint64_t size_bytes,
                             struct qm_buffer **out)
{
    const struct qm_device_info *info = device->base.info;
    *out = NULL;
    if (size_bytes > info->max_allocation_bytes || size_bytes > UINT64_MAX - QM_VK_TEXEL_BYTES)
        return QM_FAIL(QM_OUT_OF_MEMORY, "a buffer of %" PRIu64 " bytes; %s allocates at most %" PRIu64 " at once",
                       size_bytes, info->name, info->max_allocation_bytes);
    struct qm_buffer *buffer = calloc(1, sizeof(*buffer));
    if (!buffer)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a buffer's description");
    enum qm_status status;
    buffer->size_bytes = (size_bytes + QM_VK_TEXEL_BYTES - 1) & ~(uint64_t)(QM_VK_TEXEL_BYTES - 1);
    const VkBufferUsageFlags copied = VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    VkBufferCreateInfo create_info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = buffer->size_bytes,
        .usage = purpose == STAGING ? copied
                                    : copied | VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT |
                                          VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT,
        .sharingMode = VK_SHARING_MODE_EXCLUSIVE,
    };
    QM_GUARD(VK_STATUS(device->vk.vkCreateBuffer(device->handle, &create_info, NULL, &buffer->handle)));
    VkMemoryRequirements needs;
    bool visible = false;
    device->vk.vkGetBufferMemoryRequirements(device->handle, buffer->handle, &needs);
    VkResult result = allocate(device, purpose, &needs, &buffer->memory, &visible);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY) {
        status =
            QM_FAIL(QM_OUT_OF_MEMORY, "%s has no room for a buffer of %" PRIu64 " bytes beside the %" PRIu64 " in use",
                    info->name, size_bytes, device->memory.buffers_bytes);
        goto done;
    }
    QM_GUARD(qm_vk_check(__FILE__, __LINE__, "vkAllocateMemory", result));
    QM_GUARD(VK_STATUS(device->vk.vkBindBufferMemory(device->handle, buffer->handle, buffer->memory, 0)));
    if (visible)
        QM_GUARD(VK_STATUS(device->vk.vkMapMemory(device->handle, buffer->memory, 0, VK_WHOLE_SIZE, 0, &buffer->map)));
    if (purpose != STAGING) {
        buffer->allocated_bytes = needs.size;
        device->memory.buffers_bytes += needs.size;
        if (device->memory.buffers_bytes > device->memory.peak_bytes)
            device->memory.peak_bytes = device->memory.buffers_bytes;
    }
    *out = buffer;
    return QM_OK;
done:
    qm_vk_buffer_destroy(&device->base, &buffer);
    return status;
}

static enum qm_status zero(struct qm_vk_device *device, struct qm_buffer *buffer)
{
    if (buffer->map) {
        memset(buffer->map, 0, buffer->size_bytes);
        return QM_OK;
    }
    QM_TRY(qm_vk_once_begin(device));
    device->vk.vkCmdFillBuffer(device->once, buffer->handle, 0, VK_WHOLE_SIZE, 0);
    return qm_vk_once_end(device);
}

enum qm_status qm_vk_buffer_create(struct qm_device *base, uint64_t size_bytes, struct qm_buffer **out)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    *out = NULL;
    QM_TRY(qm_vk_alive(device));
    struct qm_buffer *buffer = NULL;
    enum qm_status status = create(device, device->mapped ? SHARED : DEVICE_ONLY, size_bytes, &buffer);
    if (!buffer)
        return status;
    status = zero(device, buffer);
    if (status != QM_OK) {
        qm_vk_buffer_destroy(base, &buffer);
        return status;
    }
    *out = buffer;
    return QM_OK;
}

void qm_vk_buffer_destroy(struct qm_device *base, struct qm_buffer **out)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    struct qm_buffer *buffer = *out;
    *out = NULL;
    if (!buffer)
        return;
    if (!device->hung) {
        device->vk.vkDestroyBuffer(device->handle, buffer->handle, NULL);
        device->vk.vkFreeMemory(device->handle, buffer->memory, NULL); // unmaps it
    }
    device->memory.buffers_bytes -= buffer->allocated_bytes;
    free(buffer);
}

// ---- Copies -------------------------------------------------------------------------------------------------------

static void barrier(struct qm_vk_device *device, VkPipelineStageFlags from, VkAccessFlags made, VkPipelineStageFlags to,
                    VkAccessFlags needed)
{
    VkMemoryBarrier memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = made, .dstAccessMask = needed};
    device->vk.vkCmdPipelineBarrier(device->once, from, to, 0, 1, &memory, 0, NULL, 0, NULL);
}

// One piece between the start of the staging buffer and the buffer.
static enum qm_status copy(struct qm_vk_device *device, struct qm_buffer *buffer, uint64_t offset, uint64_t size,
                           bool to_device)
{
    const VkBufferCopy region = {
        .srcOffset = to_device ? 0 : offset,
        .dstOffset = to_device ? offset : 0,
        .size = size,
    };
    QM_TRY(qm_vk_once_begin(device));
    // What earlier submissions wrote is not visible to this one by itself.
    barrier(device, VK_PIPELINE_STAGE_ALL_COMMANDS_BIT, VK_ACCESS_MEMORY_WRITE_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT,
            VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT);
    device->vk.vkCmdCopyBuffer(device->once, to_device ? device->staging->handle : buffer->handle,
                               to_device ? buffer->handle : device->staging->handle, 1, &region);
    if (!to_device)
        barrier(device, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_ACCESS_TRANSFER_WRITE_BIT, VK_PIPELINE_STAGE_HOST_BIT,
                VK_ACCESS_HOST_READ_BIT);
    return qm_vk_once_end(device);
}

// Where the host finds the staging buffer; NULL with the status where it cannot be made.
static void *staging_map(struct qm_vk_device *device, enum qm_status *status)
{
    *status = device->staging ? QM_OK : create(device, STAGING, QM_VK_STAGING_BYTES, &device->staging);
    return device->staging ? device->staging->map : NULL;
}

enum qm_status qm_vk_buffer_write(struct qm_device *base, struct qm_buffer *buffer, uint64_t offset_bytes,
                                  const void *bytes, uint64_t size_bytes)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    QM_TRY(qm_vk_alive(device));
    if (buffer->map) { // a submission sees what the host wrote before it
        memcpy((char *)buffer->map + offset_bytes, bytes, size_bytes);
        return QM_OK;
    }
    enum qm_status status;
    void *staging = staging_map(device, &status);
    if (!staging)
        return status;
    for (uint64_t done = 0; done < size_bytes;) {
        uint64_t piece = least(size_bytes - done, QM_VK_STAGING_BYTES);
        memcpy(staging, (const char *)bytes + done, piece);
        QM_TRY(copy(device, buffer, offset_bytes + done, piece, true));
        done += piece;
    }
    return QM_OK;
}

enum qm_status qm_vk_buffer_read(struct qm_device *base, struct qm_buffer *buffer, uint64_t offset_bytes, void *bytes,
                                 uint64_t size_bytes)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    QM_TRY(qm_vk_alive(device));
    if (buffer->map) { // each recording ends with a barrier for the host
        memcpy(bytes, (const char *)buffer->map + offset_bytes, size_bytes);
        return QM_OK;
    }
    enum qm_status status;
    void *staging = staging_map(device, &status);
    if (!staging)
        return status;
    for (uint64_t done = 0; done < size_bytes;) {
        uint64_t piece = least(size_bytes - done, QM_VK_STAGING_BYTES);
        QM_TRY(copy(device, buffer, offset_bytes + done, piece, false));
        memcpy((char *)bytes + done, staging, piece);
        done += piece;
    }
    return QM_OK;
}
