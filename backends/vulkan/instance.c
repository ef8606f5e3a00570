#include "backends/vulkan/vk.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

static _Atomic uint32_t log_count;

uint32_t qm_device_log_count(void)
{
    return atomic_load(&log_count);
}

// ---- Results ------------------------------------------------------------------------------------------------------

const char *qm_vk_result_name(VkResult result)
{
    switch (result) {
#define NAME(value)                                                                                                    \
    case value:                                                                                                        \
        return #value
        NAME(VK_SUCCESS);
        NAME(VK_NOT_READY);
        NAME(VK_TIMEOUT);
        NAME(VK_INCOMPLETE);
        NAME(VK_ERROR_OUT_OF_HOST_MEMORY);
        NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY);
        NAME(VK_ERROR_INITIALIZATION_FAILED);
        NAME(VK_ERROR_DEVICE_LOST);
        NAME(VK_ERROR_MEMORY_MAP_FAILED);
        NAME(VK_ERROR_LAYER_NOT_PRESENT);
        NAME(VK_ERROR_EXTENSION_NOT_PRESENT);
        NAME(VK_ERROR_FEATURE_NOT_PRESENT);
        NAME(VK_ERROR_INCOMPATIBLE_DRIVER);
        NAME(VK_ERROR_TOO_MANY_OBJECTS);
        NAME(VK_ERROR_FRAGMENTED_POOL);
        NAME(VK_ERROR_OUT_OF_POOL_MEMORY);
        NAME(VK_ERROR_FRAGMENTATION);
        NAME(VK_ERROR_INVALID_SHADER_NV);
        NAME(VK_ERROR_UNKNOWN);
#undef NAME
    default:
        return "an unnamed VkResult";
    }
}

enum qm_status qm_vk_check(const char *file, int line, const char *call, VkResult result)
{
    enum qm_status status;
    switch (result) {
    case VK_SUCCESS:
        return QM_OK;
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
    case VK_ERROR_OUT_OF_POOL_MEMORY:
    case VK_ERROR_FRAGMENTED_POOL:
    case VK_ERROR_FRAGMENTATION:
    case VK_ERROR_TOO_MANY_OBJECTS:
    case VK_ERROR_MEMORY_MAP_FAILED:
        status = QM_OUT_OF_MEMORY;
        break;
    case VK_ERROR_DEVICE_LOST:
        status = QM_DEVICE_LOST;
        break;
    case VK_TIMEOUT:
        status = QM_TIMEOUT;
        break;
    default:
        status = QM_FAILED;
    }
    return qm_fail_at(file, line, status, "%s (%d) from %s", qm_vk_result_name(result), (int)result, call);
}

// ---- The loader and its instances ---------------------------------------------------------------------------------

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data, void *context)
{
    (void)types;
    (void)context;
    atomic_fetch_add(&log_count, 1);
    fprintf(stderr, "vulkan %s: %s\n", severity >= VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT ? "error" : "warning",
            data->pMessage ? data->pMessage : "(no text)");
    return VK_FALSE; // the call goes on
}

static enum qm_status open_loader(uint32_t *version)
{
    static bool opened; // volk keeps the library open for good
    if (!opened && volkInitialize() != VK_SUCCESS)
        return QM_FAIL(QM_UNAVAILABLE, "no Vulkan loader: libvulkan.so.1 cannot be opened; on Debian the package "
                                       "libvulkan1 provides it");
    opened = true;
    *version = volkGetInstanceVersion();
    if (*version < VK_API_VERSION_1_1)
        return QM_FAIL(QM_UNAVAILABLE, "the Vulkan loader is of version 1.0 and qmark needs 1.1; update it (on Debian "
                                       "the package libvulkan1)");
    return QM_OK;
}

static bool has_layer(const char *name)
{
    uint32_t count = 0;
    bool found = false;
    if (vkEnumerateInstanceLayerProperties(&count, NULL) != VK_SUCCESS || count == 0)
        return false;
    VkLayerProperties *layers = calloc(count, sizeof(*layers));
    if (layers && vkEnumerateInstanceLayerProperties(&count, layers) >= 0)
        for (uint32_t i = 0; i < count; i++)
            found = found || strcmp(layers[i].layerName, name) == 0;
    free(layers);
    return found;
}

// `layer` is NULL for what the loader and the drivers offer.
static bool has_instance_extension(const char *layer, const char *name)
{
    uint32_t count = 0;
    bool found = false;
    if (vkEnumerateInstanceExtensionProperties(layer, &count, NULL) != VK_SUCCESS || count == 0)
        return false;
    VkExtensionProperties *extensions = calloc(count, sizeof(*extensions));
    if (extensions && vkEnumerateInstanceExtensionProperties(layer, &count, extensions) >= 0)
        for (uint32_t i = 0; i < count; i++)
            found = found || strcmp(extensions[i].extensionName, name) == 0;
    free(extensions);
    return found;
}

enum qm_status qm_vk_instance_create(bool debug, struct qm_vk_instance *out)
{
    memset(out, 0, sizeof(*out));
    QM_TRY(open_loader(&out->loader_version));

    const char *extensions[3];
    const char *layers[1];
    VkApplicationInfo application = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "qmark",
        .pEngineName = "qmark",
        // The highest version whose rules qmark follows; a device of a lower one is used by that one's.
        .apiVersion = VK_API_VERSION_1_3,
    };
    VkInstanceCreateInfo create = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pApplicationInfo = &application,
        .ppEnabledExtensionNames = extensions,
        .ppEnabledLayerNames = layers,
    };
    // Without this the loader hides drivers such as MoltenVK.
    if (has_instance_extension(NULL, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME)) {
        extensions[create.enabledExtensionCount++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
        create.flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
    }

    static const VkValidationFeatureEnableEXT checks[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    // Type GENERAL is left out: the loader's complaints of other drivers are not messages of validation.
    VkDebugUtilsMessengerCreateInfoEXT messenger = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity =
            VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = on_message,
    };
    VkValidationFeaturesEXT features = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
        .pNext = &messenger,
        .enabledValidationFeatureCount = 1,
        .pEnabledValidationFeatures = checks,
    };
    if (debug) {
        if (!has_layer(VALIDATION_LAYER))
            return QM_FAIL(QM_UNSUPPORTED, "the layer " VALIDATION_LAYER " is not installed; on Debian the package "
                                           "vulkan-validationlayers provides it");
        if (!has_instance_extension(NULL, VK_EXT_DEBUG_UTILS_EXTENSION_NAME) &&
            !has_instance_extension(VALIDATION_LAYER, VK_EXT_DEBUG_UTILS_EXTENSION_NAME))
            return QM_FAIL(QM_UNSUPPORTED,
                           "the installed " VALIDATION_LAYER " has no " VK_EXT_DEBUG_UTILS_EXTENSION_NAME
                           "; update the package vulkan-validationlayers");
        layers[create.enabledLayerCount++] = VALIDATION_LAYER;
        extensions[create.enabledExtensionCount++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
        create.pNext = &messenger; // so that creation and destruction of the instance are checked too
        if (has_instance_extension(VALIDATION_LAYER, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME)) {
            extensions[create.enabledExtensionCount++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;
            create.pNext = &features;
        }
    }

    VkResult result = vkCreateInstance(&create, NULL, &out->handle);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER)
        return QM_FAIL(QM_UNAVAILABLE, "no Vulkan driver; install the one of your GPU, or on Debian the package "
                                       "mesa-vulkan-drivers, which has one for the CPU too");
    QM_TRY(qm_vk_check(__FILE__, __LINE__, "vkCreateInstance", result));
    // The loader's entry points serve every instance, so that a later instance may load them again. Those of
    // extensions would become NULL by that and are asked for where they are used.
    volkLoadInstanceOnly(out->handle);
    if (!debug)
        return QM_OK;
    PFN_vkCreateDebugUtilsMessengerEXT make =
        (PFN_vkCreateDebugUtilsMessengerEXT)vkGetInstanceProcAddr(out->handle, "vkCreateDebugUtilsMessengerEXT");
    enum qm_status status = make ? VK_STATUS(make(out->handle, &messenger, NULL, &out->messenger))
                                 : QM_FAIL(QM_FAILED, "vkCreateDebugUtilsMessengerEXT is missing");
    if (status != QM_OK)
        qm_vk_instance_destroy(out);
    return status;
}

void qm_vk_instance_destroy(struct qm_vk_instance *instance)
{
    if (instance->messenger) {
        PFN_vkDestroyDebugUtilsMessengerEXT destroy = (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
            instance->handle, "vkDestroyDebugUtilsMessengerEXT");
        if (destroy)
            destroy(instance->handle, instance->messenger, NULL);
    }
    if (instance->handle)
        vkDestroyInstance(instance->handle, NULL);
    memset(instance, 0, sizeof(*instance));
}

enum qm_status qm_vk_physical_devices(const struct qm_vk_instance *instance, VkPhysicalDevice **list, uint32_t *count)
{
    *list = NULL;
    *count = 0;
    VkResult result = vkEnumeratePhysicalDevices(instance->handle, count, NULL);
    // What the loader answers where drivers are installed and none of them can start.
    if (result == VK_ERROR_INITIALIZATION_FAILED)
        *count = 0;
    else
        QM_TRY(qm_vk_check(__FILE__, __LINE__, "vkEnumeratePhysicalDevices", result));
    if (*count == 0)
        return QM_FAIL(QM_UNAVAILABLE, "the Vulkan drivers of this machine find no device; install the driver of your "
                                       "GPU, or on Debian the package mesa-vulkan-drivers, which has one for the CPU");
    *list = calloc(*count, sizeof(VkPhysicalDevice));
    if (!*list)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a list of %u devices", *count);
    result = vkEnumeratePhysicalDevices(instance->handle, count, *list);
    if (result == VK_SUCCESS || result == VK_INCOMPLETE) // a device came in between: the next call finds it
        return QM_OK;
    free(*list);
    *list = NULL;
    return qm_vk_check(__FILE__, __LINE__, "vkEnumeratePhysicalDevices", result);
}
