#include "backends/vulkan/vk.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t core_since; // the version that took it in; 0: none
} extensions[QM_VK_EXTENSION_COUNT] = {
    [QM_VK_DRIVER_PROPERTIES] = {VK_KHR_DRIVER_PROPERTIES_EXTENSION_NAME, VK_API_VERSION_1_2},
    [QM_VK_FLOAT_CONTROLS] = {VK_KHR_SHADER_FLOAT_CONTROLS_EXTENSION_NAME, VK_API_VERSION_1_2},
    [QM_VK_FLOAT16_INT8] = {VK_KHR_SHADER_FLOAT16_INT8_EXTENSION_NAME, VK_API_VERSION_1_2},
    [QM_VK_STORAGE8] = {VK_KHR_8BIT_STORAGE_EXTENSION_NAME, VK_API_VERSION_1_2},
    [QM_VK_DOT_PRODUCT] = {VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME, VK_API_VERSION_1_3},
    [QM_VK_SUBGROUP_SIZE] = {VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME, VK_API_VERSION_1_3},
    [QM_VK_MAINTENANCE4] = {VK_KHR_MAINTENANCE_4_EXTENSION_NAME, VK_API_VERSION_1_3},
    [QM_VK_PCI_BUS_INFO] = {VK_EXT_PCI_BUS_INFO_EXTENSION_NAME, 0},
    [QM_VK_CALIBRATED_TIMESTAMPS] = {VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME, 0},
    // The name stands in vulkan_beta.h only.
    [QM_VK_PORTABILITY_SUBSET] = {"VK_KHR_portability_subset", 0},
    [QM_VK_MEMORY_MODEL] = {VK_KHR_VULKAN_MEMORY_MODEL_EXTENSION_NAME, VK_API_VERSION_1_2},
    [QM_VK_COOPERATIVE_MATRIX] = {VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME, 0},
    [QM_VK_MEMORY_BUDGET] = {VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, 0},
    [QM_VK_PIPELINE_STATISTICS] = {VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME, 0},
};

const char *qm_vk_extension_name(enum qm_vk_extension extension)
{
    return extensions[extension].name;
}

// ---- What is offered ----------------------------------------------------------------------------------------------

static enum qm_status find_extensions(struct qm_vk_physical *p)
{
    uint32_t count = 0;
    VK_TRY(vkEnumerateDeviceExtensionProperties(p->handle, NULL, &count, NULL));
    VkExtensionProperties *list = calloc(count ? count : 1, sizeof(*list));
    if (!list)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a list of %u extensions", count);
    enum qm_status status = VK_STATUS(vkEnumerateDeviceExtensionProperties(p->handle, NULL, &count, list));
    for (size_t e = 0; status == QM_OK && e < QM_VK_EXTENSION_COUNT; e++) {
        for (uint32_t i = 0; i < count; i++)
            p->offered[e] = p->offered[e] || strcmp(list[i].extensionName, extensions[e].name) == 0;
        for (uint32_t i = 0; i < count; i++)
            p->offers_khr_matrix =
                p->offers_khr_matrix || strcmp(list[i].extensionName, "VK_KHR_cooperative_matrix") == 0;
        p->usable[e] =
            p->offered[e] || (extensions[e].core_since && p->properties.apiVersion >= extensions[e].core_since);
    }
    free(list);
    return status;
}

static enum qm_status find_queue(struct qm_vk_physical *p)
{
    uint32_t count = 0;
    vkGetPhysicalDeviceQueueFamilyProperties(p->handle, &count, NULL);
    VkQueueFamilyProperties *families = calloc(count ? count : 1, sizeof(*families));
    if (!families)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a list of %u queue families", count);
    vkGetPhysicalDeviceQueueFamilyProperties(p->handle, &count, families);
    // The first that computes, which is the one that most programs use; one that can tell the time goes before.
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++)
        if (families[i].queueCount && (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) &&
            (best == UINT32_MAX || (!families[best].timestampValidBits && families[i].timestampValidBits)))
            best = i;
    if (best != UINT32_MAX) {
        p->queue_family = best;
        p->info.timestamp_valid_bits = families[best].timestampValidBits;
    }
    free(families);
    if (best == UINT32_MAX)
        return QM_FAIL(QM_UNSUPPORTED, "%s: no queue that computes", p->properties.deviceName);
    return QM_OK;
}

static void find_features(struct qm_vk_physical *p)
{
    VkPhysicalDeviceFeatures2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
    VkPhysicalDevice16BitStorageFeatures storage16 = {.sType =
                                                          VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES};
    VkPhysicalDevice8BitStorageFeatures storage8 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_8BIT_STORAGE_FEATURES};
    VkPhysicalDeviceShaderFloat16Int8Features small = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES};
    VkPhysicalDeviceShaderIntegerDotProductFeatures dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES};
    VkPhysicalDeviceSubgroupSizeControlFeatures size = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES};
    QM_VK_CHAIN(&all, storage16);
    if (p->usable[QM_VK_STORAGE8])
        QM_VK_CHAIN(&all, storage8);
    if (p->usable[QM_VK_FLOAT16_INT8])
        QM_VK_CHAIN(&all, small);
    if (p->usable[QM_VK_DOT_PRODUCT])
        QM_VK_CHAIN(&all, dot);
    if (p->usable[QM_VK_SUBGROUP_SIZE])
        QM_VK_CHAIN(&all, size);
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES};
    VkPhysicalDeviceCooperativeMatrixFeaturesNV matrix = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV};
    if (p->usable[QM_VK_MEMORY_MODEL])
        QM_VK_CHAIN(&all, memory_model);
    if (p->usable[QM_VK_COOPERATIVE_MATRIX])
        QM_VK_CHAIN(&all, matrix);
    vkGetPhysicalDeviceFeatures2(p->handle, &all);
    p->features.memory_model = memory_model.vulkanMemoryModel;
    p->features.cooperative_matrix = matrix.cooperativeMatrix && memory_model.vulkanMemoryModel;
    p->features.storage16 = storage16.storageBuffer16BitAccess;
    p->features.uniform_storage16 = storage16.uniformAndStorageBuffer16BitAccess;
    p->features.storage8 = storage8.storageBuffer8BitAccess;
    p->features.uniform_storage8 = storage8.uniformAndStorageBuffer8BitAccess;
    p->features.float16 = small.shaderFloat16;
    p->features.int8 = small.shaderInt8;
    p->features.int16 = all.features.shaderInt16;
    p->features.int64 = all.features.shaderInt64;
    p->features.float64 = all.features.shaderFloat64;
    p->features.packed_dot = dot.shaderIntegerDotProduct;
    p->features.subgroup_size_control = size.subgroupSizeControl;
    p->features.full_subgroups = size.computeFullSubgroups;
}

// ---- Names --------------------------------------------------------------------------------------------------------

static const struct {
    VkDriverId id;
    const char *name;
} driver_names[] = {
    {VK_DRIVER_ID_MESA_LLVMPIPE, "lavapipe"},
    {VK_DRIVER_ID_GOOGLE_SWIFTSHADER, "swiftshader"},
    {VK_DRIVER_ID_MESA_RADV, "radv"},
    {VK_DRIVER_ID_AMD_OPEN_SOURCE, "amdvlk"},
    {VK_DRIVER_ID_AMD_PROPRIETARY, "amd"},
    {VK_DRIVER_ID_NVIDIA_PROPRIETARY, "nvidia"},
    {VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, "anv"},
    {VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS, "intel"},
    {VK_DRIVER_ID_QUALCOMM_PROPRIETARY, "qualcomm"},
    {VK_DRIVER_ID_ARM_PROPRIETARY, "mali"},
    {VK_DRIVER_ID_IMAGINATION_PROPRIETARY, "powervr"},
    {VK_DRIVER_ID_MOLTENVK, "moltenvk"},
    {VK_DRIVER_ID_MESA_TURNIP, "turnip"},
    {VK_DRIVER_ID_MESA_V3DV, "v3dv"},
    {VK_DRIVER_ID_MESA_PANVK, "panvk"},
    {VK_DRIVER_ID_MESA_VENUS, "venus"},
    {VK_DRIVER_ID_MESA_DOZEN, "dozen"},
    {VK_DRIVER_ID_SAMSUNG_PROPRIETARY, "xclipse"},
};

static const char *vendor_name(uint32_t vendor)
{
    switch (vendor) {
    case 0x1002:
        return "amd";
    case 0x10de:
        return "nvidia";
    case 0x8086:
        return "intel";
    case 0x13b5:
        return "mali";
    case 0x5143:
        return "qualcomm";
    case 0x1010:
        return "powervr";
    default:
        return "unknown";
    }
}

static void name_driver(struct qm_vk_physical *p, const VkPhysicalDeviceDriverProperties *driver)
{
    struct qm_device_info *info = &p->info;
    uint32_t raw = p->properties.driverVersion;
    char version[64];
    if (p->properties.vendorID == 0x10de) // NVIDIA packs its four numbers its own way
        snprintf(version, sizeof(version), "%u.%u.%u.%u", raw >> 22, raw >> 14 & 255, raw >> 6 & 255, raw & 63);
    else
        snprintf(version, sizeof(version), "%u.%u.%u", VK_API_VERSION_MAJOR(raw), VK_API_VERSION_MINOR(raw),
                 VK_API_VERSION_PATCH(raw));

    const char *name = driver->driverName[0] ? driver->driverName : vendor_name(p->properties.vendorID);
    snprintf(info->driver, sizeof(info->driver), "%.63s %.63s", name,
             driver->driverInfo[0] ? driver->driverInfo : version);
    snprintf(info->driver_name, sizeof(info->driver_name), "%.63s", name);
    for (size_t i = 0; driver->driverID && i < sizeof(driver_names) / sizeof(driver_names[0]); i++)
        if (driver_names[i].id == driver->driverID)
            snprintf(info->driver_name, sizeof(info->driver_name), "%s", driver_names[i].name);
    for (char *c = info->driver_name; *c; c++)
        *c = (char)tolower((unsigned char)*c);

    // Mesa names the compiler in parentheses: "Mesa 22.3.6 (LLVM 15.0.6)".
    snprintf(info->compiler, sizeof(info->compiler), "undisclosed");
    const char *open = strchr(driver->driverInfo, '(');
    size_t length = open ? strcspn(open + 1, ")") : 0;
    if (open && (strncmp(open + 1, "LLVM", 4) == 0 || strncmp(open + 1, "ACO", 3) == 0))
        snprintf(info->compiler, sizeof(info->compiler), "%.*s", (int)length, open + 1);
}

static enum qm_device_type type_of(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return QM_DEVICE_CPU;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return QM_DEVICE_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return QM_DEVICE_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return QM_DEVICE_VIRTUAL;
    default:
        return QM_DEVICE_OTHER;
    }
}

// ---- Properties, limits, capabilities -----------------------------------------------------------------------------

static bool can_calibrate(const struct qm_vk_instance *instance, const struct qm_vk_physical *p)
{
    PFN_vkGetPhysicalDeviceCalibrateableTimeDomainsEXT domains_of =
        (PFN_vkGetPhysicalDeviceCalibrateableTimeDomainsEXT)vkGetInstanceProcAddr(
            instance->handle, "vkGetPhysicalDeviceCalibrateableTimeDomainsEXT");
    if (!p->offered[QM_VK_CALIBRATED_TIMESTAMPS] || !domains_of)
        return false;
    VkTimeDomainEXT domains[16];
    uint32_t count = sizeof(domains) / sizeof(domains[0]);
    if (domains_of(p->handle, &count, domains) < 0)
        return false;
    bool device = false, host = false;
    for (uint32_t i = 0; i < count; i++) {
        device = device || domains[i] == VK_TIME_DOMAIN_DEVICE_EXT;
        host = host || domains[i] == VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT;
    }
    return device && host;
}

// Whether the device multiplies 16 x 16 x 16 of binary16 into float32 within a subgroup, which is what our kernels do.
static bool has_matrix_shape(const struct qm_vk_physical *p)
{
    VkCooperativeMatrixPropertiesNV shapes[64];
    uint32_t count = sizeof(shapes) / sizeof(shapes[0]);
    if (!p->features.cooperative_matrix || !vkGetPhysicalDeviceCooperativeMatrixPropertiesNV)
        return false;
    for (uint32_t i = 0; i < count; i++)
        shapes[i] = (VkCooperativeMatrixPropertiesNV){.sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_NV};
    if (vkGetPhysicalDeviceCooperativeMatrixPropertiesNV(p->handle, &count, shapes) < 0)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (shapes[i].MSize == 16 && shapes[i].NSize == 16 && shapes[i].KSize == 16 &&
            shapes[i].AType == VK_COMPONENT_TYPE_FLOAT16_NV && shapes[i].BType == VK_COMPONENT_TYPE_FLOAT16_NV &&
            shapes[i].CType == VK_COMPONENT_TYPE_FLOAT32_NV && shapes[i].DType == VK_COMPONENT_TYPE_FLOAT32_NV &&
            shapes[i].scope == VK_SCOPE_SUBGROUP_NV)
            return true;
    return false;
}

// Also why it is not had, where the driver has the like.
static void add_matrix(struct qm_device_info *info, const struct qm_vk_physical *p)
{
    struct qm_capability *c = &info->capabilities[info->capability_count++];
    snprintf(c->name, sizeof(c->name), "cooperative_matrix");
    c->advertised = has_matrix_shape(p) && p->features.float16 && info->subgroup_size == 32;
    if (!c->advertised && p->offered[QM_VK_COOPERATIVE_MATRIX])
        snprintf(c->detail, sizeof(c->detail), "not 16 x 16 x 16 of binary16 into float32 in subgroups of 32");
    else if (!c->advertised && p->offers_khr_matrix)
        snprintf(c->detail, sizeof(c->detail), "VK_KHR_cooperative_matrix alone, which our compiler cannot write");
}

static void add(struct qm_device_info *info, const char *name, bool advertised, const char *detail)
{
    struct qm_capability *c = &info->capabilities[info->capability_count++];
    snprintf(c->name, sizeof(c->name), "%s", name);
    c->advertised = advertised;
    snprintf(c->detail, sizeof(c->detail), "%s", advertised ? detail : "");
}

static void list_capabilities(const struct qm_vk_instance *instance, struct qm_vk_physical *p)
{
    struct qm_device_info *info = &p->info;
    const struct qm_vk_features *f = &p->features;
    char detail[96];
    const char *accelerated = f->packed_dot_accelerated ? "accelerated" : "not accelerated";
    add(info, "packed_dot", f->packed_dot, accelerated);
    snprintf(detail, sizeof(detail), "%llu MiB a binding", (unsigned long long)(info->max_texel_bytes >> 20));
    add(info, "texel_buffers", info->max_texel_bytes > 0, detail);
    add(info, "fp16", f->float16, "");
    add(info, "fp16_storage", f->storage16, "");
    add(info, "int8", f->int8, "");
    add(info, "int8_storage", f->storage8, "");
    snprintf(detail, sizeof(detail), "size %u", info->subgroup_size);
    add(info, "subgroups", (f->subgroup_operations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) != 0, detail);
    add_matrix(info, p);
    add(info, "rounding", f->rounding_rte32, "to nearest even, float32");
    add(info, "denormals", f->denormal_preserve32, "preserved, float32");
    add(info, "calibrated_timestamps", can_calibrate(instance, p), "");
    snprintf(detail, sizeof(detail), "%u bits, %g ns", info->timestamp_valid_bits, info->timestamp_period_ns);
    add(info, "timer", info->timestamp_valid_bits != 0, detail);
}

static void find_properties(struct qm_vk_physical *p)
{
    VkPhysicalDeviceProperties2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
    VkPhysicalDeviceMaintenance3Properties maintenance3 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
    VkPhysicalDeviceMaintenance4Properties maintenance4 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
    VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDevicePCIBusInfoPropertiesEXT pci = {.sType =
                                                       VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT};
    VkPhysicalDeviceFloatControlsProperties controls = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES};
    VkPhysicalDeviceShaderIntegerDotProductProperties dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES};
    VkPhysicalDeviceSubgroupSizeControlProperties sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES};
    QM_VK_CHAIN(&all, id);
    QM_VK_CHAIN(&all, maintenance3);
    QM_VK_CHAIN(&all, subgroup);
    if (p->usable[QM_VK_MAINTENANCE4])
        QM_VK_CHAIN(&all, maintenance4);
    if (p->usable[QM_VK_DRIVER_PROPERTIES])
        QM_VK_CHAIN(&all, driver);
    if (p->usable[QM_VK_PCI_BUS_INFO])
        QM_VK_CHAIN(&all, pci);
    if (p->usable[QM_VK_FLOAT_CONTROLS])
        QM_VK_CHAIN(&all, controls);
    if (p->usable[QM_VK_DOT_PRODUCT])
        QM_VK_CHAIN(&all, dot);
    if (p->usable[QM_VK_SUBGROUP_SIZE])
        QM_VK_CHAIN(&all, sizes);
    vkGetPhysicalDeviceProperties2(p->handle, &all);

    struct qm_device_info *info = &p->info;
    const VkPhysicalDeviceLimits *limits = &p->properties.limits;
    name_driver(p, &driver);
    static const uint8_t none[VK_UUID_SIZE];
    info->has_uuid = memcmp(id.deviceUUID, none, sizeof(none)) != 0;
    memcpy(info->uuid, id.deviceUUID, sizeof(info->uuid));
    if (p->usable[QM_VK_PCI_BUS_INFO])
        snprintf(info->pci_address, sizeof(info->pci_address), "%04x:%02x:%02x.%x", pci.pciDomain & 0xffff,
                 pci.pciBus & 0xff, pci.pciDevice & 0xff, pci.pciFunction & 0xf);
    info->max_binding_bytes = limits->maxStorageBufferRange;
    VkFormatProperties texel;
    vkGetPhysicalDeviceFormatProperties(p->handle, VK_FORMAT_R32G32B32A32_UINT, &texel);
    if (texel.bufferFeatures & VK_FORMAT_FEATURE_STORAGE_TEXEL_BUFFER_BIT)
        info->max_texel_bytes = (uint64_t)limits->maxTexelBufferElements * QM_VK_TEXEL_BYTES;
    info->max_allocation_bytes = maintenance3.maxMemoryAllocationSize;
    if (maintenance4.maxBufferSize && maintenance4.maxBufferSize < info->max_allocation_bytes)
        info->max_allocation_bytes = maintenance4.maxBufferSize;
    VkDeviceSize alignment = limits->minStorageBufferOffsetAlignment;
    if (limits->minUniformBufferOffsetAlignment > alignment)
        alignment = limits->minUniformBufferOffsetAlignment;
    if (limits->minTexelBufferOffsetAlignment > alignment)
        alignment = limits->minTexelBufferOffsetAlignment;
    info->buffer_offset_alignment = alignment > 4 ? (uint32_t)alignment : 4;
    info->max_workgroup_invocations = limits->maxComputeWorkGroupInvocations;
    info->max_local_bytes = limits->maxComputeSharedMemorySize;
    info->max_parameter_bytes = limits->maxPushConstantsSize;
    memcpy(info->max_groups, limits->maxComputeWorkGroupCount, sizeof(info->max_groups));
    info->subgroup_size = subgroup.subgroupSize;
    info->timestamp_period_ns = (double)limits->timestampPeriod;
    p->features.can_require_size = (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
    if (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT)
        p->features.subgroup_operations = subgroup.supportedOperations;
    p->features.rounding_rte32 = controls.shaderRoundingModeRTEFloat32;
    p->features.denormal_preserve32 = controls.shaderDenormPreserveFloat32;
    p->features.denormal_flush32 = controls.shaderDenormFlushToZeroFloat32;
    p->features.nan_preserve32 = controls.shaderSignedZeroInfNanPreserveFloat32;
    info->vector_width = 1; // SPIR-V's vectors are scalars to a driver; lanes are invocations
    info->has_fast_dot = dot.integerDotProduct4x8BitPackedSignedAccelerated;
    p->features.packed_dot_accelerated = dot.integerDotProduct4x8BitPackedSignedAccelerated;

    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(p->handle, &memory);
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++)
        if ((memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) &&
            memory.memoryHeaps[i].size > info->memory_bytes)
            info->memory_bytes = memory.memoryHeaps[i].size;
}

enum qm_status qm_vk_describe(const struct qm_vk_instance *instance, VkPhysicalDevice handle, uint32_t index,
                              struct qm_vk_physical *out)
{
    memset(out, 0, sizeof(*out));
    out->handle = handle;
    out->index = index;
    vkGetPhysicalDeviceProperties(handle, &out->properties);
    const VkPhysicalDeviceProperties *properties = &out->properties;
    if (properties->apiVersion < VK_API_VERSION_1_1)
        return QM_FAIL(QM_UNSUPPORTED, "%s: its driver has Vulkan %u.%u and qmark needs 1.1; update the driver",
                       properties->deviceName, VK_API_VERSION_MAJOR(properties->apiVersion),
                       VK_API_VERSION_MINOR(properties->apiVersion));
    struct qm_device_info *info = &out->info;
    snprintf(info->api, sizeof(info->api), "vulkan");
    snprintf(info->id, sizeof(info->id), "vulkan:%u", index);
    snprintf(info->name, sizeof(info->name), "%.127s", properties->deviceName);
    snprintf(info->api_version, sizeof(info->api_version), "%u.%u.%u", VK_API_VERSION_MAJOR(properties->apiVersion),
             VK_API_VERSION_MINOR(properties->apiVersion), VK_API_VERSION_PATCH(properties->apiVersion));
    snprintf(info->loader, sizeof(info->loader), "Vulkan loader %u.%u.%u",
             VK_API_VERSION_MAJOR(instance->loader_version), VK_API_VERSION_MINOR(instance->loader_version),
             VK_API_VERSION_PATCH(instance->loader_version));
    info->type = type_of(properties->deviceType);
    info->vendor_id = properties->vendorID;
    info->device_id = properties->deviceID;
    QM_TRY(find_extensions(out));
    QM_TRY(find_queue(out));
    find_features(out);
    find_properties(out);
    list_capabilities(instance, out);
    return QM_OK;
}

enum qm_status qm_vk_enumerate(struct qm_device_info *out, size_t capacity, size_t *count)
{
    struct qm_vk_instance instance;
    struct qm_vk_physical *physical = NULL;
    VkPhysicalDevice *handles = NULL;
    uint32_t handle_count = 0;
    enum qm_status status;
    *count = 0;
    QM_TRY(qm_vk_instance_create(false, &instance));
    QM_GUARD(qm_vk_physical_devices(&instance, &handles, &handle_count));
    physical = calloc(1, sizeof(*physical));
    if (!physical) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to describe a device");
        goto done;
    }
    for (uint32_t i = 0; i < handle_count; i++) {
        if (qm_vk_describe(&instance, handles[i], i, physical) != QM_OK)
            continue; // its reason is the error's text if no device is left
        if (*count < capacity)
            out[*count] = physical->info;
        ++*count;
    }
    if (*count == 0) {
        qm_error_prefix("no usable Vulkan device: ");
        status = QM_UNAVAILABLE;
    }
done:
    free(physical);
    free(handles);
    qm_vk_instance_destroy(&instance);
    return status;
}
