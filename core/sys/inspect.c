#include "sys/inspect.h"

#include "sys/file.h"
#include "sys/leaks.h"

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct qm_finding *add(struct qm_inspection *out, enum qm_finding_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The last place says that there were more.
static struct qm_finding *add(struct qm_inspection *out, enum qm_finding_level level, const char *format, ...)
{
    struct qm_finding *finding = &out->findings[out->count < QM_FINDINGS_MAX ? out->count++ : QM_FINDINGS_MAX - 1];
    va_list arguments;
    finding->level = level;
    finding->repair[0] = '\0';
    va_start(arguments, format);
    vsnprintf(finding->what, sizeof(finding->what), format, arguments);
    va_end(arguments);
    return finding;
}

static void repair(struct qm_finding *finding, const char *text)
{
    snprintf(finding->repair, sizeof(finding->repair), "%s", text);
}

// Whether the dynamic linker finds and opens the library. It stays open: drivers do not survive being unloaded.
static bool opens(const char *path, char *reason, size_t room)
{
    QM_LEAKS_IGNORE();
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    QM_LEAKS_HEED();
    const char *error = library ? NULL : dlerror();
    snprintf(reason, room, "%s", error ? error : "");
    return library != NULL;
}

// ---- Vulkan -------------------------------------------------------------------------------------------------------

struct counts {
    size_t manifests, usable;
};

static void inspect_manifest(struct qm_inspection *out, const char *path, struct counts *counts)
{
    void *bytes = NULL;
    size_t size = 0;
    counts->manifests++;
    if (qm_file_read(path, 1 << 20, &bytes, &size) != QM_OK) {
        repair(add(out, QM_FINDING_PROBLEM, "Vulkan manifest %.200s cannot be read", path),
               "install its package again, or take it out of VK_DRIVER_FILES");
        return;
    }
    json_t *root = json_loadb(bytes, size, 0, NULL);
    free(bytes);
    const char *library = json_string_value(json_object_get(json_object_get(root, "ICD"), "library_path"));
    if (!library) {
        repair(add(out, QM_FINDING_PROBLEM, "Vulkan manifest %.200s names no library", path),
               "install its package again, or remove it");
        json_decref(root);
        return;
    }
    // A name without a slash is the linker's to find; others start at the manifest's folder.
    char full[2 * QM_PATH_BYTES], reason[256];
    if (!strchr(library, '/') || library[0] == '/')
        snprintf(full, sizeof(full), "%s", library);
    else
        snprintf(full, sizeof(full), "%.*s%s", (int)(qm_path_name(path) - path), path, library);
    if (opens(full, reason, sizeof(reason))) {
        counts->usable++;
        add(out, QM_FINDING_FINE, "Vulkan driver %.120s by %.120s", library, path);
    } else {
        repair(add(out, QM_FINDING_PROBLEM, "Vulkan manifest %.120s points to %.60s: %.100s", path, library, reason),
               "install the driver's package again (Debian: mesa-vulkan-drivers for Mesa), or remove the manifest");
    }
    json_decref(root);
}

static void inspect_manifest_folder(struct qm_inspection *out, const char *folder, struct counts *counts)
{
    struct qm_name_list names = {0};
    char path[QM_PATH_BYTES];
    if (!qm_directory_exists(folder) || qm_directory_list(folder, &names) != QM_OK)
        return;
    for (size_t i = 0; i < names.count; ++i) {
        const char *end = strrchr(names.names[i], '.');
        if (end && strcmp(end, ".json") == 0 && qm_path_join(path, folder, names.names[i]) == QM_OK)
            inspect_manifest(out, path, counts);
    }
    qm_name_list_free(&names);
}

// A list of manifests or folders between colons, as in VK_DRIVER_FILES.
static void inspect_manifest_list(struct qm_inspection *out, const char *list, struct counts *counts)
{
    char path[QM_PATH_BYTES];
    while (*list) {
        size_t length = strcspn(list, ":");
        if (length > 0 && length < sizeof(path)) {
            memcpy(path, list, length);
            path[length] = '\0';
            if (qm_directory_exists(path))
                inspect_manifest_folder(out, path, counts);
            else
                inspect_manifest(out, path, counts);
        }
        list += length + (list[length] == ':');
    }
}

static void inspect_vulkan(struct qm_inspection *out)
{
    static const char install[] =
        "apt install libvulkan1 mesa-vulkan-drivers (the second has lavapipe, which needs no GPU)";
    struct counts counts = {0};
    char reason[256], path[QM_PATH_BYTES];
    if (opens("libvulkan.so.1", reason, sizeof(reason)))
        add(out, QM_FINDING_FINE, "Vulkan loader: libvulkan.so.1 opens");
    else
        repair(add(out, QM_FINDING_PROBLEM, "no Vulkan loader: %.200s", reason), install);
    const char *files = getenv("VK_DRIVER_FILES"), *more = getenv("VK_ADD_DRIVER_FILES"), *home = getenv("HOME");
    if (!files || !*files)
        files = getenv("VK_ICD_FILENAMES");
    if (files && *files) {
        inspect_manifest_list(out, files, &counts);
    } else {
        static const char *const folders[] = {"/etc/vulkan/icd.d", "/usr/local/etc/vulkan/icd.d",
                                              "/usr/local/share/vulkan/icd.d", "/usr/share/vulkan/icd.d"};
        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); ++i)
            inspect_manifest_folder(out, folders[i], &counts);
        if (home && qm_path_join(path, home, ".local/share/vulkan/icd.d") == QM_OK)
            inspect_manifest_folder(out, path, &counts);
    }
    if (more)
        inspect_manifest_list(out, more, &counts);
    if (counts.manifests == 0)
        repair(add(out, QM_FINDING_PROBLEM, "no Vulkan driver: no manifest in %s",
                   files && *files ? "VK_DRIVER_FILES" : "/etc/vulkan/icd.d and /usr/share/vulkan/icd.d"),
               install);
}

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value && value[0] != '\0';
}

// ---- OpenCL -------------------------------------------------------------------------------------------------------

static void inspect_icd(struct qm_inspection *out, const char *path, struct counts *counts)
{
    void *bytes = NULL;
    size_t size = 0;
    char library[512], reason[256];
    counts->manifests++;
    if (qm_file_read(path, 1 << 16, &bytes, &size) != QM_OK) {
        repair(add(out, QM_FINDING_PROBLEM, "OpenCL entry %.200s cannot be read", path), "install its package again");
        return;
    }
    snprintf(library, sizeof(library), "%.*s", (int)strcspn(bytes, " \t\r\n"), (const char *)bytes);
    free(bytes);
    if (!opens(library, reason, sizeof(reason))) {
        repair(add(out, QM_FINDING_PROBLEM, "OpenCL entry %.120s points to %.60s: %.100s", path, library, reason),
               "install the driver's package again, or remove the entry");
        return;
    }
    counts->usable++;
    if (strstr(library, "MesaOpenCL"))
        repair(add(out, QM_FINDING_NOTE,
                   "OpenCL driver Clover (%.120s): often a platform without a device, and no "
                   "longer maintained",
                   path),
               "apt remove mesa-opencl-icd if nothing needs it, or leave it: it does no harm");
    else if (strstr(library, "usticl") && !is_set("RUSTICL_ENABLE"))
        repair(add(out, QM_FINDING_NOTE,
                   "OpenCL driver rusticl (%.120s): its platform is empty, for RUSTICL_ENABLE is "
                   "not set",
                   path),
               "set RUSTICL_ENABLE to a Gallium driver: RUSTICL_ENABLE=llvmpipe (processor), radeonsi, iris");
    else
        add(out, QM_FINDING_FINE, "OpenCL driver %.120s by %.120s", library, path);
}

static void inspect_opencl(struct qm_inspection *out)
{
    static const char install[] = "apt install ocl-icd-libopencl1 pocl-opencl-icd (the second needs no GPU)";
    struct counts counts = {0};
    struct qm_name_list names = {0};
    char reason[256], path[QM_PATH_BYTES];
    if (opens("libOpenCL.so.1", reason, sizeof(reason)))
        add(out, QM_FINDING_FINE, "OpenCL loader: libOpenCL.so.1 opens");
    else
        repair(add(out, QM_FINDING_PROBLEM, "no OpenCL loader: %.200s", reason), install);
    const char *folder = getenv("OCL_ICD_VENDORS");
    if (!folder || !*folder)
        folder = "/etc/OpenCL/vendors";
    if (!qm_directory_exists(folder)) {
        if (qm_file_exists(folder)) // ocl-icd takes one entry as well
            inspect_icd(out, folder, &counts);
        else
            repair(add(out, QM_FINDING_PROBLEM, "no OpenCL driver: there is no folder %.200s", folder), install);
        return;
    }
    if (qm_directory_list(folder, &names) != QM_OK) {
        repair(add(out, QM_FINDING_PROBLEM, "%.200s cannot be read", folder), "give this user the right to read it");
        return;
    }
    for (size_t i = 0; i < names.count; ++i) {
        const char *end = strrchr(names.names[i], '.');
        if (end && strcmp(end, ".icd") == 0 && qm_path_join(path, folder, names.names[i]) == QM_OK)
            inspect_icd(out, path, &counts);
    }
    qm_name_list_free(&names);
    if (counts.manifests == 0)
        repair(add(out, QM_FINDING_PROBLEM, "no OpenCL driver: %.200s has no entry", folder), install);
}

// ---- Device nodes -------------------------------------------------------------------------------------------------

static void inspect_node(struct qm_inspection *out, const char *path)
{
    struct stat about;
    char group[64] = "its group";
    if (access(path, R_OK | W_OK) == 0) {
        add(out, QM_FINDING_FINE, "GPU %s: this user may open it", path);
        return;
    }
    int error = errno;
    const struct group *entry = stat(path, &about) == 0 ? getgrgid(about.st_gid) : NULL;
    if (entry)
        snprintf(group, sizeof(group), "%s", entry->gr_name);
    struct qm_finding *finding =
        add(out, QM_FINDING_PROBLEM, "GPU %s: this user may not open it (%s)", path, strerror(error));
    snprintf(finding->repair, sizeof(finding->repair),
             "usermod -aG %s USER as root, then log in again; in a container, pass the device on", group);
}

static void inspect_nodes(struct qm_inspection *out)
{
    struct qm_name_list names = {0};
    char path[QM_PATH_BYTES];
    size_t nodes = 0;
    if (qm_directory_exists("/dev/dri") && qm_directory_list("/dev/dri", &names) == QM_OK) {
        for (size_t i = 0; i < names.count; ++i) {
            if (strncmp(names.names[i], "renderD", 7) == 0 && qm_path_join(path, "/dev/dri", names.names[i]) == QM_OK) {
                inspect_node(out, path);
                nodes++;
            }
        }
        qm_name_list_free(&names);
    }
    if (qm_file_exists("/dev/nvidiactl")) {
        inspect_node(out, "/dev/nvidiactl");
        nodes++;
    }
    if (nodes == 0)
        repair(add(out, QM_FINDING_NOTE, "no GPU: /dev/dri has no renderD*; drivers on the processor stand in"),
               "if the machine has a GPU, install its kernel driver; in a container, pass /dev/dri on");
}

void qm_inspect(struct qm_inspection *out)
{
    out->count = 0;
    inspect_vulkan(out);
    inspect_opencl(out);
    inspect_nodes(out);
}
