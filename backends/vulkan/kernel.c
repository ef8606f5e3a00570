#include "backends/vulkan/vk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/file.h"

#define CACHE_LIMIT_BYTES ((size_t)64 << 20)

// ---- What a module asks for ---------------------------------------------------------------------------------------

#define SPIRV_MAGIC 0x07230203u
#define SPIRV_HEADER_WORDS 5
#define SPIRV_OP_CAPABILITY 17u

// A driver may crash on a module with a capability that it lacks; so each is looked up before the driver sees it.
static bool grants(const struct qm_vk_physical *p, uint32_t capability, const char **name)
{
    const struct qm_vk_features *f = &p->features;
    const VkSubgroupFeatureFlags subgroup = f->subgroup_operations;
    switch (capability) {
    case 1: // Shader
        return true;
#define CASE(value, text, condition)                                                                                   \
    case value:                                                                                                        \
        *name = text;                                                                                                  \
        return (condition)
        CASE(9, "Float16", f->float16);
        CASE(10, "Float64", f->float64);
        CASE(11, "Int64", f->int64);
        CASE(22, "Int16", f->int16);
        CASE(39, "Int8", f->int8);
        CASE(47, "ImageBuffer", true);
        CASE(50, "ImageQuery", true);
        CASE(61, "GroupNonUniform", subgroup & VK_SUBGROUP_FEATURE_BASIC_BIT);
        CASE(62, "GroupNonUniformVote", subgroup & VK_SUBGROUP_FEATURE_VOTE_BIT);
        CASE(63, "GroupNonUniformArithmetic", subgroup & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT);
        CASE(64, "GroupNonUniformBallot", subgroup & VK_SUBGROUP_FEATURE_BALLOT_BIT);
        CASE(65, "GroupNonUniformShuffle", subgroup & VK_SUBGROUP_FEATURE_SHUFFLE_BIT);
        CASE(66, "GroupNonUniformShuffleRelative", subgroup & VK_SUBGROUP_FEATURE_SHUFFLE_RELATIVE_BIT);
        CASE(67, "GroupNonUniformClustered", subgroup & VK_SUBGROUP_FEATURE_CLUSTERED_BIT);
        CASE(68, "GroupNonUniformQuad", subgroup & VK_SUBGROUP_FEATURE_QUAD_BIT);
        CASE(4433, "StorageBuffer16BitAccess", f->storage16);
        CASE(4434, "UniformAndStorageBuffer16BitAccess", f->uniform_storage16);
        CASE(4448, "StorageBuffer8BitAccess", f->storage8);
        CASE(4449, "UniformAndStorageBuffer8BitAccess", f->uniform_storage8);
        CASE(4464, "DenormPreserve", f->denormal_preserve32);
        CASE(4465, "DenormFlushToZero", f->denormal_flush32);
        CASE(4466, "SignedZeroInfNanPreserve", f->nan_preserve32);
        CASE(4467, "RoundingModeRTE", f->rounding_rte32);
        CASE(5345, "VulkanMemoryModel", f->memory_model);
        CASE(5357, "CooperativeMatrixNV", f->cooperative_matrix);
        CASE(6016, "DotProductInputAll", f->packed_dot);
        CASE(6017, "DotProductInput4x8Bit", f->packed_dot && f->int8);
        CASE(6018, "DotProductInput4x8BitPacked", f->packed_dot);
        CASE(6019, "DotProduct", f->packed_dot);
#undef CASE
    default:
        *name = "which this backend does not enable";
        return false;
    }
}

static enum qm_status check_module(const struct qm_vk_device *device, const struct qm_kernel_variant *variant)
{
    const uint32_t *words = variant->spirv;
    const size_t count = variant->spirv_bytes / 4;
    if (!words)
        return QM_FAIL(QM_UNSUPPORTED, "kernel %s is not built for Vulkan", variant->name);
    if (variant->spirv_bytes % 4 || count <= SPIRV_HEADER_WORDS || words[0] != SPIRV_MAGIC)
        return QM_FAIL(QM_INVALID, "kernel %s: its module is not SPIR-V", variant->name);
    // Capabilities come before every other instruction.
    for (size_t i = SPIRV_HEADER_WORDS; i + 1 < count && (words[i] & 0xffff) == SPIRV_OP_CAPABILITY; i += 2) {
        const char *name = "";
        if (!grants(&device->physical, words[i + 1], &name))
            return QM_FAIL(QM_UNSUPPORTED, "kernel %s needs SPIR-V capability %u (%s); %s does not have it",
                           variant->name, words[i + 1], name, device->base.info->name);
    }
    return QM_OK;
}

static enum qm_status check_limits(const struct qm_vk_device *device, const struct qm_kernel_variant *variant)
{
    const VkPhysicalDeviceLimits *limits = &device->physical.properties.limits;
    const char *device_name = device->base.info->name;
    uint64_t invocations = 1;
    for (int i = 0; i < 3; i++) {
        invocations *= variant->workgroup[i];
        if (variant->workgroup[i] > limits->maxComputeWorkGroupSize[i])
            return QM_FAIL(QM_UNSUPPORTED, "kernel %s: a workgroup of %u along %c; %s allows %u", variant->name,
                           variant->workgroup[i], "xyz"[i], device_name, limits -> maxComputeWorkGroupSize[i]);
    }
    if (invocations > limits->maxComputeWorkGroupInvocations)
        return QM_FAIL(QM_UNSUPPORTED, "kernel %s: %u invocations per workgroup; %s allows %u", variant->name,
                       (unsigned)invocations, device_name, limits->maxComputeWorkGroupInvocations);
    return QM_OK;
}

// ---- The cache of pipelines ---------------------------------------------------------------------------------------
// One file per device, driver and module: 64 digits of SHA-256 over the rest, then what the driver gave. Drivers have
// crashed on damaged caches, so that nothing goes back to one that is not whole. A cache that cannot be read or
// written costs compile time and is no error.

static bool cache_path(const struct qm_vk_device *device, const char *module_hash, char path[QM_PATH_BYTES])
{
    const VkPhysicalDeviceProperties *p = &device->physical.properties;
    const struct qm_device_info *info = device->base.info;
    char key[QM_HASH_TEXT_BYTES], name[QM_HASH_TEXT_BYTES + 16];
    struct qm_hash hash;
    if (!device->cache_dir)
        return false;
    qm_hash_begin(&hash);
    qm_hash_add(&hash, info->uuid, sizeof(info->uuid));
    qm_hash_add(&hash, p->pipelineCacheUUID, sizeof(p->pipelineCacheUUID));
    qm_hash_add(&hash, &p->driverVersion, sizeof(p->driverVersion));
    qm_hash_add_text(&hash, info->name);
    qm_hash_add_text(&hash, info->driver);
    qm_hash_add_text(&hash, module_hash);
    qm_hash_end(&hash, key);
    snprintf(name, sizeof(name), "%s.vkpipeline", key);
    return qm_path_join(path, device->cache_dir, name) == QM_OK;
}

// The driver's part of the file; NULL where there is none that is whole. free() `*file`.
static const void *cache_read(const struct qm_vk_device *device, const char *path, void **file, size_t *count)
{
    const VkPhysicalDeviceProperties *p = &device->physical.properties;
    const size_t digits = QM_HASH_TEXT_BYTES - 1;
    size_t file_bytes;
    *file = NULL;
    *count = 0;
    if (!qm_file_exists(path) || qm_file_read(path, CACHE_LIMIT_BYTES, file, &file_bytes) != QM_OK)
        return NULL;
    VkPipelineCacheHeaderVersionOne header;
    if (file_bytes < digits + sizeof(header))
        return NULL;
    const char *payload = (const char *)*file + digits;
    char hash[QM_HASH_TEXT_BYTES];
    qm_hash_bytes(payload, file_bytes - digits, hash);
    memcpy(&header, payload, sizeof(header));
    if (memcmp(hash, *file, digits) != 0 || header.headerVersion != VK_PIPELINE_CACHE_HEADER_VERSION_ONE ||
        header.vendorID != p->vendorID || header.deviceID != p->deviceID ||
        memcmp(header.pipelineCacheUUID, p->pipelineCacheUUID, VK_UUID_SIZE) != 0)
        return NULL;
    *count = file_bytes - digits;
    return payload;
}

static void cache_write(const struct qm_vk_device *device, const char *path, VkPipelineCache cache, const void *old,
                        size_t old_count)
{
    const size_t digits = QM_HASH_TEXT_BYTES - 1;
    size_t count = 0;
    if (device->vk.vkGetPipelineCacheData(device->handle, cache, &count, NULL) != VK_SUCCESS || count == 0 ||
        count > CACHE_LIMIT_BYTES - digits)
        return;
    char *file = malloc(digits + count);
    if (file && device->vk.vkGetPipelineCacheData(device->handle, cache, &count, file + digits) == VK_SUCCESS &&
        !(old && old_count == count && memcmp(old, file + digits, count) == 0)) {
        char hash[QM_HASH_TEXT_BYTES];
        qm_hash_bytes(file + digits, count, hash);
        memcpy(file, hash, digits);
        enum qm_status ignored = qm_file_write(path, file, digits + count);
        (void)ignored;
    }
    free(file);
}

// ---- Kernels ------------------------------------------------------------------------------------------------------

static enum qm_status create_pipeline(struct qm_vk_device *device, VkShaderModule module,
                                      const struct qm_kernel_variant *variant, struct qm_kernel *kernel)
{
    char path[QM_PATH_BYTES];
    void *file = NULL;
    VkPipelineCache cache = VK_NULL_HANDLE;
    VkPipelineCacheCreateInfo cache_info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
    const bool cached = !device->statistics && cache_path(device, kernel->hash, path);
    if (cached) {
        cache_info.pInitialData = cache_read(device, path, &file, &cache_info.initialDataSize);
        if (device->vk.vkCreatePipelineCache(device->handle, &cache_info, NULL, &cache) != VK_SUCCESS)
            cache = VK_NULL_HANDLE;
    }
    // Kernels that exchange within subgroups need them full, and of the size that was disclosed.
    const struct qm_vk_features *features = &device->physical.features;
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = device->base.info->subgroup_size,
    };
    const char *definitions = variant->definitions ? variant->definitions : "";
    bool exchanges = strstr(definitions, "-DQM_SUBGROUPS") || strstr(definitions, "-DQM_MATRIX");
    bool sets_size = exchanges && features->subgroup_size_control && features->can_require_size;
    VkComputePipelineCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage =
            {
                .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                .pNext = sets_size ? &size : NULL,
                .flags = exchanges && features->full_subgroups && variant->workgroup[0] % size.requiredSubgroupSize == 0
                             ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT
                             : 0,
                .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                .module = module,
                .pName = "main",
            },
        .layout = device->pipeline_layout,
        .flags = device->statistics ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR |
                                          VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR
                                    : 0,
    };
    enum qm_status status =
        VK_STATUS(device->vk.vkCreateComputePipelines(device->handle, cache, 1, &create, NULL, &kernel->pipeline));
    if (status == QM_OK && cache && cache_info.pInitialData)
        qm_kernels_count_cached();
    if (status == QM_OK && cache)
        cache_write(device, path, cache, cache_info.pInitialData, cache_info.initialDataSize);
    device->vk.vkDestroyPipelineCache(device->handle, cache, NULL);
    free(file);
    return status;
}

static enum qm_status create_compiled(struct qm_vk_device *device, const struct qm_kernel_variant *variant,
                                      struct qm_kernel **out)
{
    QM_TRY(check_module(device, variant));
    QM_TRY(check_limits(device, variant));
    struct qm_kernel *kernel = calloc(1, sizeof(*kernel));
    if (!kernel)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for kernel %s", variant->name);
    kernel->binding_count = variant->binding_count;
    kernel->texel_bindings = variant->texel_bindings;
    kernel->parameter_count = variant->parameter_count;
    qm_hash_bytes(variant->spirv, variant->spirv_bytes, kernel->hash);
    VkShaderModule module = VK_NULL_HANDLE;
    VkShaderModuleCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = variant->spirv_bytes,
        .pCode = variant->spirv,
    };
    enum qm_status status = VK_STATUS(device->vk.vkCreateShaderModule(device->handle, &create, NULL, &module));
    if (status == QM_OK)
        status = create_pipeline(device, module, variant, kernel);
    device->vk.vkDestroyShaderModule(device->handle, module, NULL);
    if (status != QM_OK) {
        qm_error_prefix("kernel %s: ", variant->name);
        qm_vk_kernel_destroy(&device->base, &kernel);
        return status;
    }
    *out = kernel;
    return QM_OK;
}

enum qm_status qm_vk_kernel_create(struct qm_device *base, const struct qm_kernel_variant *variant,
                                   struct qm_kernel **out)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    struct qm_kernel_variant compiled = *variant;
    uint32_t *words = NULL;
    *out = NULL;
    QM_TRY(qm_vk_alive(device));
    if (!variant->spirv && variant->glsl_source) {
        QM_TRY(qm_vk_compile(variant, &words, &compiled.spirv_bytes));
        compiled.spirv = words;
    }
    enum qm_status status = create_compiled(device, &compiled, out);
    free(words);
    return status;
}

void qm_vk_kernel_destroy(struct qm_device *base, struct qm_kernel **kernel)
{
    struct qm_vk_device *device = qm_vk_device_of(base);
    if (*kernel && !device->hung)
        device->vk.vkDestroyPipeline(device->handle, (*kernel)->pipeline, NULL);
    free(*kernel);
    *kernel = NULL;
}

void qm_vk_kernel_binary_hash(struct qm_device *base, const struct qm_kernel *kernel, char text[65])
{
    (void)base;
    memcpy(text, kernel->hash, QM_HASH_TEXT_BYTES);
}
