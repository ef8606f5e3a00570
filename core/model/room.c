#include "model/room.h"

#include "sys/host.h"

uint64_t qm_device_room_bytes(struct qm_device *device, bool keep_to_heap)
{
    const struct qm_device_info *info = device->info;
    struct qm_memory memory = {0};
    device->fns->memory(device, &memory);
    uint64_t room = memory.left_bytes;
    if (info->type == QM_DEVICE_CPU) {
        uint64_t available = qm_host_available_bytes();
        available -= available == UINT64_MAX ? 0 : available / 8;
        room = available < room ? available : room;
    }
    if (keep_to_heap && info->memory_bytes > 0) {
        uint64_t heap = info->memory_bytes > memory.buffers_bytes ? info->memory_bytes - memory.buffers_bytes : 0;
        room = heap < room ? heap : room;
    }
    return room;
}

enum qm_status qm_device_check_room(struct qm_device *device, bool keep_to_heap, uint64_t bytes, const char *what)
{
    uint64_t room = qm_device_room_bytes(device, keep_to_heap);
    if (bytes > room)
        return QM_FAIL(QM_OUT_OF_MEMORY,
                       "%s takes %llu bytes (%.1f MiB), and %s has room for %llu (%.1f MiB); use a smaller widen, "
                       "batch or model",
                       what, (unsigned long long)bytes, (double)bytes / 1048576.0, device->info->name,
                       (unsigned long long)room, (double)room / 1048576.0);
    return QM_OK;
}
