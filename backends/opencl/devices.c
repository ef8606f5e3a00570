// Platforms and devices as their drivers describe them. Nothing is opened here.
#include "backends/opencl/opencl.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Asked for by number: they are extensions, or newer than OpenCL 1.2.
#define DEVICE_SUB_GROUP_COUNT 0x105C // CL_DEVICE_MAX_NUM_SUB_GROUPS, OpenCL 2.1
#define DEVICE_WARP_SIZE_NV 0x4003
#define DEVICE_PCI_BUS_ID_NV 0x4008
#define DEVICE_PCI_SLOT_ID_NV 0x4009
#define DEVICE_PCI_DOMAIN_ID_NV 0x400A
#define DEVICE_TOPOLOGY_AMD 0x4037
#define DEVICE_WAVEFRONT_WIDTH_AMD 0x4043
#define DEVICE_SUB_GROUP_SIZES_INTEL 0x4108
#define DEVICE_ID_INTEL 0x4251
#define LOADER_VERSION_OCLICD 2
#define LOADER_NAME_OCLICD 3

#define MOST_PLATFORMS 32
#define MOST_DEVICES 64

struct entry {
    cl_platform_id platform;
    cl_device_id device;
};

// ---- Asking -------------------------------------------------------------------------------------------------------

static void tidy(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    size_t blanks = strspn(text, " \t\r\n");
    memmove(text, text + blanks, length - blanks + 1);
}

static void copy_text(char *out, size_t room, const char *text)
{
    size_t length = strnlen(text, room - 1); // what does not fit is cut
    memcpy(out, text, length);
    out[length] = '\0';
    tidy(out);
}

// Texts have any length, and a driver refuses room that is too small instead of cutting.
#define TEXT_OF(ask, object)                                                                                           \
    do {                                                                                                               \
        size_t bytes = 0;                                                                                              \
        out[0] = '\0';                                                                                                 \
        if (ask(object, what, 0, NULL, &bytes) != CL_SUCCESS || bytes == 0)                                            \
            return;                                                                                                    \
        char *text = calloc(bytes + 1, 1);                                                                             \
        if (text != NULL && ask(object, what, bytes, text, NULL) == CL_SUCCESS)                                        \
            copy_text(out, room, text);                                                                                \
        free(text);                                                                                                    \
    } while (0)

void opencl_device_text(cl_device_id id, cl_device_info what, char *out, size_t room)
{
    TEXT_OF(cl.GetDeviceInfo, id);
}

void opencl_platform_text(cl_platform_id platform, cl_platform_info what, char *out, size_t room)
{
    TEXT_OF(cl.GetPlatformInfo, platform);
}

// False, and zeros, where the driver does not know.
static bool ask(cl_device_id id, cl_device_info what, void *out, size_t bytes)
{
    size_t told = 0;
    memset(out, 0, bytes);
    if (cl.GetDeviceInfo(id, what, bytes, out, &told) == CL_SUCCESS && told <= bytes && told > 0)
        return true;
    memset(out, 0, bytes);
    return false;
}

static uint32_t ask_u32(cl_device_id id, cl_device_info what)
{
    cl_uint value;
    ask(id, what, &value, sizeof(value));
    return value;
}

static uint64_t ask_u64(cl_device_id id, cl_device_info what)
{
    cl_ulong value;
    ask(id, what, &value, sizeof(value));
    return value;
}

static size_t ask_size(cl_device_id id, cl_device_info what)
{
    size_t value;
    ask(id, what, &value, sizeof(value));
    return value;
}

// Whether the word stands in a list of extensions.
static bool has_extension(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

// A number without sign or blanks that ends with `end`; *text then points after it.
static bool take_number(const char **text, char end, unsigned *out)
{
    char *rest = NULL;
    // NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): the text was asked of the driver and is ended
    if (**text < '0' || **text > '9')
        return false;
    unsigned long value = strtoul(*text, &rest, 10);
    if (value > 9999 || (end != '\0' && *rest != end))
        return false;
    *out = (unsigned)value;
    *text = rest + (end != '\0');
    return true;
}

unsigned opencl_version_number(const char *text)
{
    unsigned major, minor;
    if (strncmp(text, "OpenCL ", 7) != 0)
        return 0;
    text += 7;
    return take_number(&text, '.', &major) && take_number(&text, '\0', &minor) && minor < 10 ? 100 * major + 10 * minor
                                                                                             : 0;
}

static uint32_t clamp_u32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

// ---- Listing ------------------------------------------------------------------------------------------------------

// All devices of all platforms, in the loader's order, which is that of its list of drivers: the same from call to
// call. Platforms without a device are passed over: Clover and rusticl have none unless asked to.
static enum qm_status list(struct entry entries[MOST_DEVICES], size_t *count)
{
    *count = 0;
    QM_TRY(opencl_load());
    cl_platform_id platforms[MOST_PLATFORMS];
    cl_uint platform_count = 0;
    cl_int error = cl.GetPlatformIDs(MOST_PLATFORMS, platforms, &platform_count);
    if (error != CL_SUCCESS || platform_count == 0)
        return QM_FAIL(QM_UNAVAILABLE,
                       "the OpenCL loader knows no driver (%s); install the one of your GPU, or pocl-opencl-icd, which "
                       "runs on the processor",
                       error == CL_SUCCESS ? "its list is empty" : opencl_error_name(error));
    if (platform_count > MOST_PLATFORMS)
        platform_count = MOST_PLATFORMS;
    char empty[256] = "";
    for (cl_uint p = 0; p < platform_count; ++p) {
        cl_device_id devices[MOST_DEVICES];
        cl_uint device_count = 0;
        size_t room = MOST_DEVICES - *count;
        if (room == 0)
            break;
        error = cl.GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, (cl_uint)room, devices, &device_count);
        if (error != CL_SUCCESS || device_count == 0) {
            char name[64];
            opencl_platform_text(platforms[p], CL_PLATFORM_NAME, name, sizeof(name));
            size_t used = strlen(empty);
            snprintf(empty + used, sizeof(empty) - used, "%s%s", used > 0 ? ", " : "", name);
            continue;
        }
        for (cl_uint d = 0; d < device_count && d < room; ++d)
            entries[(*count)++] = (struct entry){platforms[p], devices[d]};
    }
    if (*count == 0)
        return QM_FAIL(QM_UNAVAILABLE,
                       "OpenCL drivers without a device: %s; install the driver of your GPU, or pocl-opencl-icd, which "
                       "runs on the processor (rusticl: name its driver in RUSTICL_ENABLE)",
                       empty);
    return QM_OK;
}

// ---- Describing ---------------------------------------------------------------------------------------------------

static void describe_driver(struct qm_device_info *out, const char *platform, const char *platform_version,
                            const char *driver_version)
{
    static const struct {
        const char *start, *name;
    } known[] = {
        {"Portable Computing Language", "pocl"},
        {"NVIDIA CUDA", "nvidia"},
        {"AMD Accelerated", "amd"},
        {"Intel(R)", "intel"},
        {"QUALCOMM", "qualcomm"},
        {"ARM Platform", "arm"},
    };
    out->driver_name[0] = '\0';
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i)
        if (strncmp(platform, known[i].start, strlen(known[i].start)) == 0)
            copy_text(out->driver_name, sizeof(out->driver_name), known[i].name);
    if (out->driver_name[0] == '\0') { // the platform's first word
        size_t n = 0;
        for (; isalnum((unsigned char)platform[n]) && n + 1 < sizeof(out->driver_name); ++n)
            out->driver_name[n] = (char)tolower((unsigned char)platform[n]);
        out->driver_name[n] = '\0';
        if (n == 0)
            copy_text(out->driver_name, sizeof(out->driver_name), "unknown");
    }
    snprintf(out->driver, sizeof(out->driver), "%.80s %.70s", platform[0] != '\0' ? platform : "unknown",
             driver_version);

    // Drivers built upon LLVM name it somewhere: PoCL in its platform's version, llvmpipe in the device's name.
    const char *places[] = {platform_version, out->name, driver_version};
    copy_text(out->compiler, sizeof(out->compiler), "undisclosed");
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); ++i) {
        const char *at = strstr(places[i], "LLVM ");
        if (at != NULL) {
            snprintf(out->compiler, sizeof(out->compiler), "%.*s", (int)(5 + strspn(at + 5, "0123456789.")), at);
            break;
        }
    }
}

static void describe_loader(struct qm_device_info *out)
{
    char name[64] = "", version[32] = "";
    if (cl.GetICDLoaderInfoOCLICD == NULL ||
        cl.GetICDLoaderInfoOCLICD(LOADER_NAME_OCLICD, sizeof(name) - 1, name, NULL) != CL_SUCCESS ||
        cl.GetICDLoaderInfoOCLICD(LOADER_VERSION_OCLICD, sizeof(version) - 1, version, NULL) != CL_SUCCESS)
        copy_text(out->loader, sizeof(out->loader), "undisclosed");
    else
        snprintf(out->loader, sizeof(out->loader), "%s %s", name, version);
}

// Who the device is beyond its name: what joins it with the same device of another API.
static void describe_identity(struct qm_device_info *out, cl_device_id id, const char *extensions)
{
    out->vendor_id = ask_u32(id, CL_DEVICE_VENDOR_ID);
    if (has_extension(extensions, "cl_intel_device_attribute_query"))
        out->device_id = ask_u32(id, DEVICE_ID_INTEL);
    if (has_extension(extensions, "cl_khr_device_uuid"))
        out->has_uuid = ask(id, CL_DEVICE_UUID_KHR, out->uuid, sizeof(out->uuid));

    uint32_t domain = 0, bus = 0, slot = 0, function = 0;
    bool known = false;
    if (has_extension(extensions, "cl_khr_pci_bus_info")) {
        cl_device_pci_bus_info_khr pci;
        known = ask(id, CL_DEVICE_PCI_BUS_INFO_KHR, &pci, sizeof(pci));
        domain = pci.pci_domain;
        bus = pci.pci_bus;
        slot = pci.pci_device;
        function = pci.pci_function;
    } else if (has_extension(extensions, "cl_nv_device_attribute_query")) {
        cl_uint bus_nv = 0, slot_nv = 0;
        known = ask(id, DEVICE_PCI_BUS_ID_NV, &bus_nv, sizeof(bus_nv)) &&
                ask(id, DEVICE_PCI_SLOT_ID_NV, &slot_nv, sizeof(slot_nv)); // both 0 may be true
        domain = ask_u32(id, DEVICE_PCI_DOMAIN_ID_NV);
        bus = bus_nv;
        slot = slot_nv >> 3; // device and function as on the bus
        function = slot_nv & 7;
    } else if (has_extension(extensions, "cl_amd_device_attribute_query")) {
        unsigned char topology[24]; // word 0: the type, 1 for PCIe; bytes 21 to 23: bus, device, function
        uint32_t type = 0;
        if (ask(id, DEVICE_TOPOLOGY_AMD, topology, sizeof(topology)))
            memcpy(&type, topology, sizeof(type));
        known = type == 1;
        bus = topology[21];
        slot = topology[22];
        function = topology[23];
    }
    if (known)
        snprintf(out->pci_address, sizeof(out->pci_address), "%04" PRIx32 ":%02" PRIx32 ":%02" PRIx32 ".%" PRIx32,
                 domain & 0xffff, bus & 0xff, slot & 0x1f, function & 7);
}

static void describe_limits(struct qm_device_info *out, cl_device_id id, const char *extensions)
{
    out->max_allocation_bytes = ask_u64(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    out->max_binding_bytes = out->max_allocation_bytes;
    out->memory_bytes = ask_u64(id, CL_DEVICE_GLOBAL_MEM_SIZE);
    uint32_t alignment = ask_u32(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8; // told in bits
    out->buffer_offset_alignment = alignment < 4 ? 4 : alignment;
    out->max_workgroup_invocations = clamp_u32(ask_size(id, CL_DEVICE_MAX_WORK_GROUP_SIZE));
    out->vector_width = ask_u32(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
    out->max_local_bytes = clamp_u32(ask_u64(id, CL_DEVICE_LOCAL_MEM_SIZE));
    // Buffers count as arguments too.
    uint64_t parameters = ask_size(id, CL_DEVICE_MAX_PARAMETER_SIZE), pointers = (QM_MAX_BINDINGS + 1) * 8;
    out->max_parameter_bytes = parameters > pointers ? clamp_u32(parameters - pointers) : 0;
    // OpenCL has no limit of groups; the global size must fit the device's size_t.
    uint32_t bits = ask_u32(id, CL_DEVICE_ADDRESS_BITS);
    for (int i = 0; i < 3; ++i)
        out->max_groups[i] =
            bits == 64 || out->max_workgroup_invocations == 0 ? INT32_MAX : UINT32_MAX / out->max_workgroup_invocations;

    if (has_extension(extensions, "cl_nv_device_attribute_query"))
        out->subgroup_size = ask_u32(id, DEVICE_WARP_SIZE_NV);
    else if (has_extension(extensions, "cl_amd_device_attribute_query"))
        out->subgroup_size = ask_u32(id, DEVICE_WAVEFRONT_WIDTH_AMD);
    else if (has_extension(extensions, "cl_intel_required_subgroup_size")) {
        size_t sizes[8]; // the largest is last; the compiler chooses
        ask(id, DEVICE_SUB_GROUP_SIZES_INTEL, sizes, sizeof(sizes));
        for (size_t i = 0; i < 8; ++i)
            if (sizes[i] > out->subgroup_size)
                out->subgroup_size = clamp_u32(sizes[i]);
    }
}

static void add_capability(struct qm_device_info *out, const char *name, bool advertised, const char *detail)
{
    if (out->capability_count == QM_MAX_CAPABILITIES)
        return;
    struct qm_capability *capability = &out->capabilities[out->capability_count++];
    copy_text(capability->name, sizeof(capability->name), name);
    capability->advertised = advertised;
    copy_text(capability->detail, sizeof(capability->detail), detail);
}

static void describe_capabilities(struct qm_device_info *out, cl_device_id id, const char *extensions, unsigned version)
{
    char text[96];
    cl_bitfield packed = 0;
    cl_device_integer_dot_product_acceleration_properties_khr dot = {0};
    if (has_extension(extensions, "cl_khr_integer_dot_product")) {
        ask(id, CL_DEVICE_INTEGER_DOT_PRODUCT_CAPABILITIES_KHR, &packed, sizeof(packed));
        ask(id, CL_DEVICE_INTEGER_DOT_PRODUCT_ACCELERATION_PROPERTIES_4x8BIT_PACKED_KHR, &dot, sizeof(dot));
    }
    out->has_fast_dot = dot.signed_accelerated != 0;
    // Their functions are OpenCL C 3.0's.
    const char *too_old = version < 300 ? "not in OpenCL C 3.0" : "";
    bool offers_dot = (packed & CL_DEVICE_INTEGER_DOT_PRODUCT_INPUT_4x8BIT_PACKED_KHR) != 0;
    bool has_dot = offers_dot && version >= 300;
    add_capability(out, "packed_dot", has_dot,
                   !offers_dot              ? ""
                   : !has_dot               ? too_old
                   : dot.signed_accelerated ? "accelerated"
                                            : "not accelerated");

    add_capability(out, "fp16", has_extension(extensions, "cl_khr_fp16"), "");

    uint32_t subgroups = version >= 210 ? ask_u32(id, DEVICE_SUB_GROUP_COUNT) : 0;
    bool offers_subgroups = subgroups > 0 || has_extension(extensions, "cl_khr_subgroups");
    bool has_subgroups = offers_subgroups && version >= 300 && has_extension(extensions, "cl_khr_subgroup_shuffle");
    text[0] = '\0';
    if (offers_subgroups && !has_subgroups)
        snprintf(text, sizeof(text), "%s", version < 300 ? too_old : "without cl_khr_subgroup_shuffle");
    else if (out->subgroup_size > 0)
        snprintf(text, sizeof(text), "size %" PRIu32, out->subgroup_size);
    else if (subgroups > 0)
        snprintf(text, sizeof(text), "up to %" PRIu32 " in a workgroup", subgroups);
    add_capability(out, "subgroups", has_subgroups, text);

    cl_device_fp_config floats;
    ask(id, CL_DEVICE_SINGLE_FP_CONFIG, &floats, sizeof(floats));
    add_capability(out, "rounding", (floats & CL_FP_ROUND_TO_NEAREST) != 0, "to nearest even");
    add_capability(out, "denormals", (floats & CL_FP_DENORM) != 0, "");

    cl_command_queue_properties queue;
    ask(id, CL_DEVICE_QUEUE_PROPERTIES, &queue, sizeof(queue));
    bool profiling = (queue & CL_QUEUE_PROFILING_ENABLE) != 0;
    // Event times are in nanoseconds whatever the clock ticks in.
    out->timestamp_valid_bits = profiling ? 64 : 0;
    out->timestamp_period_ns = profiling ? 1.0 : 0.0;
    size_t resolution = ask_size(id, CL_DEVICE_PROFILING_TIMER_RESOLUTION);
    snprintf(text, sizeof(text), "resolution undisclosed");
    if (resolution > 0)
        snprintf(text, sizeof(text), "resolution %zu ns", resolution);
    add_capability(out, "timer", profiling, text);

    add_capability(out, "command_buffer", has_extension(extensions, "cl_khr_command_buffer"), "");
}

static void describe(struct qm_device_info *out, const struct entry *entry, size_t index)
{
    char platform[128], platform_version[256], driver_version[128], version[256];
    cl_device_id id = entry->device;
    memset(out, 0, sizeof(*out));
    copy_text(out->api, sizeof(out->api), "opencl");
    snprintf(out->id, sizeof(out->id), "opencl:%zu", index);
    opencl_device_text(id, CL_DEVICE_NAME, out->name, sizeof(out->name));
    opencl_platform_text(entry->platform, CL_PLATFORM_NAME, platform, sizeof(platform));
    opencl_platform_text(entry->platform, CL_PLATFORM_VERSION, platform_version, sizeof(platform_version));
    opencl_device_text(id, CL_DRIVER_VERSION, driver_version, sizeof(driver_version));
    opencl_device_text(id, CL_DEVICE_VERSION, version, sizeof(version));
    copy_text(out->api_version, sizeof(out->api_version), version);
    describe_driver(out, platform, platform_version, driver_version);
    describe_loader(out);

    cl_device_type type;
    ask(id, CL_DEVICE_TYPE, &type, sizeof(type));
    cl_bool unified;
    ask(id, CL_DEVICE_HOST_UNIFIED_MEMORY, &unified, sizeof(unified));
    out->type = (type & CL_DEVICE_TYPE_CPU) != 0   ? QM_DEVICE_CPU
                : (type & CL_DEVICE_TYPE_GPU) == 0 ? QM_DEVICE_OTHER
                : unified                          ? QM_DEVICE_INTEGRATED
                                                   : QM_DEVICE_DISCRETE;

    static const size_t room = 64 * 1024; // of extensions; real lists stay below 4 KiB
    char *extensions = calloc(room, 1);
    if (extensions == NULL)
        return;
    opencl_device_text(id, CL_DEVICE_EXTENSIONS, extensions, room);
    describe_identity(out, id, extensions);
    describe_limits(out, id, extensions);
    describe_capabilities(out, id, extensions, opencl_version_number(version));
    free(extensions);
}

enum qm_status opencl_enumerate(struct qm_device_info *out, size_t capacity, size_t *count)
{
    struct entry entries[MOST_DEVICES];
    *count = 0;
    size_t found;
    QM_TRY(list(entries, &found));
    for (size_t i = 0; i < found && i < capacity; ++i)
        describe(&out[i], &entries[i], i);
    *count = found;
    return QM_OK;
}

enum qm_status opencl_find(const struct qm_device_info *info, cl_platform_id *platform, cl_device_id *id)
{
    struct entry entries[MOST_DEVICES];
    size_t found;
    QM_TRY(list(entries, &found));
    unsigned index;
    const char *number = info->id + strlen("opencl:");
    if (strncmp(info->id, "opencl:", strlen("opencl:")) != 0 || !take_number(&number, '\0', &index) || index >= found)
        return QM_FAIL(QM_UNAVAILABLE, "%s: no such OpenCL device; `qmark devices` lists them", info->id);
    // Between listing and opening, in another process, the order may have changed with the environment.
    struct qm_device_info now;
    describe(&now, &entries[index], index);
    if (strcmp(now.name, info->name) != 0 || strcmp(now.driver, info->driver) != 0)
        return QM_FAIL(QM_UNAVAILABLE, "%s was \"%s\" (%s) and is now \"%s\" (%s); list the devices again", info->id,
                       info->name, info->driver, now.name, now.driver);
    *platform = entries[index].platform;
    *id = entries[index].device;
    return QM_OK;
}
