// What a driver says of a compiled pipeline (VK_KHR_pipeline_executable_properties): registers, spills, and a hash over the
// internal representations that it shows, the last of which is as a rule the machine's code.
#include "backends/vulkan/vk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    EXECUTABLES_MAX = 4, // of a compute pipeline as a rule one
    STATISTICS_MAX = 64,
    REPRESENTATIONS_MAX = 16
};
#define REPRESENTATION_BYTES_MAX (16u << 20)

static void add(struct qm_kernel_statistics *out, const char *name, const VkPipelineExecutableStatisticKHR *statistic)
{
    if (out->count == QM_KERNEL_STATISTICS_MAX)
        return;
    char *value = out->of[out->count].value;
    const size_t room = sizeof(out->of[0].value);
    snprintf(out->of[out->count].name, sizeof(out->of[0].name), "%.47s", name);
    switch (statistic->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        snprintf(value, room, "%s", statistic->value.b32 ? "true" : "false");
        break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        snprintf(value, room, "%" PRId64, statistic->value.i64);
        break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        snprintf(value, room, "%" PRIu64, statistic->value.u64);
        break;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR:
        snprintf(value, room, "%g", statistic->value.f64);
        break;
    default:
        snprintf(value, room, "undisclosed");
    }
    out->count++;
}

static void add_statistics(struct qm_vk_device *device, const VkPipelineExecutableInfoKHR *info,
                           struct qm_kernel_statistics *out)
{
    VkPipelineExecutableStatisticKHR *list = calloc(STATISTICS_MAX, sizeof(*list));
    uint32_t count = STATISTICS_MAX;
    for (uint32_t i = 0; list && i < STATISTICS_MAX; ++i)
        list[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    if (list && device->vk.vkGetPipelineExecutableStatisticsKHR(device->handle, info, &count, list) >= 0)
        for (uint32_t i = 0; i < count; ++i)
            add(out, list[i].name, &list[i]);
    free(list);
}

// Asked twice: for the sizes, then for the bytes.
static void add_hash(struct qm_vk_device *device, const VkPipelineExecutableInfoKHR *info,
                     struct qm_kernel_statistics *out)
{
    VkPipelineExecutableInternalRepresentationKHR list[REPRESENTATIONS_MAX];
    uint32_t count = REPRESENTATIONS_MAX;
    struct qm_hash hash;
    for (uint32_t i = 0; i < REPRESENTATIONS_MAX; ++i)
        list[i] = (VkPipelineExecutableInternalRepresentationKHR){
            .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR};
    if (device->vk.vkGetPipelineExecutableInternalRepresentationsKHR(device->handle, info, &count, list) < 0 ||
        count == 0 || out->count == QM_KERNEL_STATISTICS_MAX)
        return;
    bool has_all = true;
    for (uint32_t i = 0; i < count; ++i) {
        has_all = has_all && list[i].dataSize <= REPRESENTATION_BYTES_MAX;
        list[i].pData = has_all ? calloc(1, list[i].dataSize + 1) : NULL;
        has_all = has_all && list[i].pData;
    }
    if (has_all && device->vk.vkGetPipelineExecutableInternalRepresentationsKHR(device->handle, info, &count, list) ==
                       VK_SUCCESS) {
        qm_hash_begin(&hash);
        for (uint32_t i = 0; i < count; ++i)
            qm_hash_add(&hash, list[i].pData, list[i].dataSize);
        qm_hash_end(&hash, out->of[out->count].value);
        snprintf(out->of[out->count].name, sizeof(out->of[0].name), "ISA hash");
        out->count++;
    }
    for (uint32_t i = 0; i < count; ++i)
        free(list[i].pData);
}

void qm_vk_kernel_statistics(struct qm_device *base, const struct qm_kernel *kernel, struct qm_kernel_statistics *out)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    out->count = 0;
    if (!device->statistics)
        return;
    VkPipelineInfoKHR pipeline = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = kernel->pipeline};
    VkPipelineExecutablePropertiesKHR list[EXECUTABLES_MAX];
    uint32_t count = EXECUTABLES_MAX;
    for (uint32_t i = 0; i < EXECUTABLES_MAX; ++i)
        list[i] = (VkPipelineExecutablePropertiesKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    if (device->vk.vkGetPipelineExecutablePropertiesKHR(device->handle, &pipeline, &count, list) < 0)
        return;
    for (uint32_t i = 0; i < count; ++i) {
        const VkPipelineExecutableInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                                  .pipeline = kernel->pipeline,
                                                  .executableIndex = i};
        add_statistics(device, &info, out);
        add_hash(device, &info, out);
    }
}
