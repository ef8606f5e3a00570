// What processes do: the time of this one and of its descendants, and who has a GPU open.
//
// Layout: Documentation/filesystems/proc.rst: /proc/<pid>/stat is "pid (name) state ppid ... utime stime cutime cstime",
// fields 14 to 17, where the name may hold blanks and brackets; c: of children that ended and were waited for.
// Documentation/gpu/drm-usage-stats.rst: /proc/<pid>/fdinfo/<fd> has drm-pdev, drm-client-id and
// "drm-engine-<name>: <n> ns"; descriptors of one client have one client id and are counted once.
// NVIDIA's driver tells no times there, only its open device file.
#include "sys/conditions_internal.h"
#include "sys/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PROCESSES_MAX = 65536,
    DESCRIPTORS_MAX = 65536, // looked at in all
    CLIENTS_MAX = 256
};

struct process {
    uint32_t id, parent;
    uint64_t ticks;
    bool is_own, is_kernel;
};

static bool parse_stat(const char *text, struct process *out)
{
    uint64_t value = 0;
    const char *at = strrchr(text, ')');
    if (!at || !qm_text_unsigned(text, &value) || value > UINT32_MAX)
        return false;
    *out = (struct process){.id = (uint32_t)value};
    // Behind the bracket come the fields 3 (state), 4 (parent), ...
    ++at;
    for (int field = 3; field <= 23; ++field) {
        at += strspn(at, " ");
        if (*at == '\0' || *at == '\n')
            return field > 17;
        if (field == 4 && qm_text_unsigned(at, &value) && value <= UINT32_MAX)
            out->parent = (uint32_t)value;
        if ((field == 14 || field == 15) && qm_text_unsigned(at, &value))
            out->ticks += value;
        int64_t of_children; // signed in the kernel
        if ((field == 16 || field == 17) && qm_text_signed(at, &of_children) && of_children > 0)
            out->ticks += (uint64_t)of_children;
        if (field == 23 && qm_text_unsigned(at, &value)) // threads of the kernel have no memory of their own
            out->is_kernel = value == 0;
        at += strcspn(at, " \n");
    }
    return true;
}

// Marks all that descend from those marked: `queue` has room for each and one at its begin, the process itself.
static void mark_descendants(struct process *list, size_t count, uint32_t *queue)
{
    for (size_t at = 0, end = 1; at < end; ++at) {
        for (size_t i = 0; i < count; ++i) {
            if (list[i].is_own || list[i].parent != queue[at])
                continue;
            list[i].is_own = true;
            queue[end++] = list[i].id;
        }
    }
}

// ---- GPUs ---------------------------------------------------------------------------------------------------------

struct client {
    char device[24];
    uint64_t id;
};

struct scan {
    struct qm_host_conditions *out;
    struct client *clients; // seen so far, of all processes
    size_t client_count;
    size_t descriptor_count;
};

static uint64_t engine_time(const char *text, bool *has_time)
{
    uint64_t sum = 0;
    static const char key[] = "drm-engine-";
    static const char other[] = "drm-engine-capacity-";
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        uint64_t value;
        if (strncmp(line, key, sizeof(key) - 1) != 0 || strncmp(line, other, sizeof(other) - 1) == 0)
            continue;
        const char *colon = line + strcspn(line, ":\n");
        if (*colon != ':' || !qm_text_unsigned(colon + 1 + strspn(colon + 1, " \t"), &value))
            continue;
        sum += value < UINT64_MAX / 256 ? value : 0;
        *has_time = true;
    }
    return sum;
}

static bool is_new_client(struct scan *scan, const char *device, uint64_t id)
{
    for (size_t i = 0; i < scan->client_count; ++i) {
        if (scan->clients[i].id == id && strcmp(scan->clients[i].device, device) == 0)
            return false;
    }
    if (scan->client_count < CLIENTS_MAX) {
        struct client *client = &scan->clients[scan->client_count++];
        snprintf(client->device, sizeof(client->device), "%s", device);
        client->id = id;
    }
    return true;
}

static void add_user(struct scan *scan, uint32_t process, const char *name, const char *device, bool has_time,
                     uint64_t engine_ns)
{
    struct qm_host_conditions *out = scan->out;
    size_t at = 0;
    while (at < out->gpu_user_count &&
           (out->gpu_users[at].process != process || strcmp(out->gpu_users[at].device, device) != 0))
        ++at;
    if (at == QM_GPU_USERS_MAX) {
        out->gpu_users_are_partial = true;
        return;
    }
    struct qm_gpu_user *user = &out->gpu_users[at];
    if (at == out->gpu_user_count) {
        *user = (struct qm_gpu_user){.process = process};
        snprintf(user->name, sizeof(user->name), "%s", name);
        snprintf(user->device, sizeof(user->device), "%s", device);
        ++out->gpu_user_count;
    }
    user->has_time = user->has_time || has_time;
    user->engine_ns += engine_ns;
}

static void look_at_descriptor(struct scan *scan, const char *root, uint32_t process, const char *descriptor,
                               const char *name)
{
    char path[QM_PATH_BYTES], target[64], text[4096], device[24], id_text[32];
    if (!qm_tree_path(path, root, "/proc/%u/fd/%s", process, descriptor))
        return;
    qm_tree_link(path, target, sizeof(target));
    bool is_drm = strncmp(target, "/dev/dri/", 9) == 0;
    // /dev/nvidia0 ...; nvidiactl and nvidia-uvm are opened beside them
    bool is_nvidia = strncmp(target, "/dev/nvidia", 11) == 0 && target[11] >= '0' && target[11] <= '9';
    if (!is_drm && !is_nvidia)
        return;
    snprintf(device, sizeof(device), "%.23s", target);
    if (is_nvidia) {
        add_user(scan, process, name, device, false, 0);
        return;
    }
    bool has_time = false;
    uint64_t id = UINT64_MAX;
    if (!qm_tree_path(path, root, "/proc/%u/fdinfo/%s", process, descriptor) ||
        qm_tree_read(path, text, sizeof(text)) <= 0)
        return;
    qm_text_value(text, "drm-pdev", id_text, sizeof(id_text));
    if (id_text[0])
        snprintf(device, sizeof(device), "%.23s", id_text);
    uint64_t engine_ns = engine_time(text, &has_time);
    if (qm_text_value(text, "drm-client-id", id_text, sizeof(id_text)) && qm_text_unsigned(id_text, &id) &&
        !is_new_client(scan, device, id))
        return;
    add_user(scan, process, name, device, has_time, engine_ns);
}

static void look_at_process(struct scan *scan, const char *root, uint32_t process)
{
    char path[QM_PATH_BYTES], name[32];
    struct qm_name_list list = {0};
    if (!qm_tree_path(path, root, "/proc/%u/fd", process))
        return;
    if (qm_tree_list(path, &list) != 0)
        scan->out->gpu_users_are_partial = true;
    name[0] = '\0';
    if (list.count > 0 && qm_tree_path(path, root, "/proc/%u/comm", process))
        qm_tree_line(path, name, sizeof(name));
    for (size_t i = 0; i < list.count && scan->descriptor_count < DESCRIPTORS_MAX; ++i, ++scan->descriptor_count)
        look_at_descriptor(scan, root, process, list.names[i], name);
    qm_name_list_free(&list);
}

// ---- All processes ------------------------------------------------------------------------------------------------

enum qm_status qm_conditions_processes(const char *root, struct qm_host_conditions *out)
{
    char path[QM_PATH_BYTES], text[1024];
    struct qm_name_list list = {0};
    struct process self = {0};
    struct scan scan = {.out = out};
    size_t count = 0;
    enum qm_status status = QM_OK;
    bool has_self = qm_tree_path(path, root, "/proc/self/stat") && qm_tree_read(path, text, sizeof(text)) > 0 &&
                    parse_stat(text, &self);
    if (!qm_tree_path(path, root, "/proc"))
        return QM_OK;
    qm_tree_list(path, &list);
    struct process *processes = calloc(list.count + 1, sizeof(*processes));
    uint32_t *queue = calloc(list.count + 1, sizeof(*queue));
    scan.clients = calloc(CLIENTS_MAX, sizeof(*scan.clients));
    if (!processes || !queue || !scan.clients) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the list of processes");
        goto done;
    }
    for (size_t i = 0; i < list.count && count < PROCESSES_MAX; ++i) {
        uint64_t id;
        if (!qm_text_unsigned(list.names[i], &id) || id > UINT32_MAX ||
            !qm_tree_path(path, root, "/proc/%s/stat", list.names[i]) || qm_tree_read(path, text, sizeof(text)) <= 0 ||
            !parse_stat(text, &processes[count]))
            continue;
        processes[count].is_own = has_self && processes[count].id == self.id;
        ++count;
    }
    queue[0] = self.id;
    if (has_self)
        mark_descendants(processes, count, queue);
    out->own_ticks = self.ticks;
    for (size_t i = 0; i < count; ++i) {
        if (processes[i].is_own && processes[i].id != self.id)
            out->own_ticks += processes[i].ticks;
        else if (!processes[i].is_own && !processes[i].is_kernel)
            look_at_process(&scan, root, processes[i].id);
    }
    out->has_times = out->has_times && has_self;
done:
    qm_name_list_free(&list);
    free(processes);
    free(queue);
    free(scan.clients);
    return status;
}
