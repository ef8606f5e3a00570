// What a device can still hold, and whether a network fits it, asked before anything is allocated: drivers that run on the
// processor promise memory that is not there, and the system then ends the process.
#ifndef QM_MODEL_ROOM_H
#define QM_MODEL_ROOM_H

#include "backends/backend.h"

// Bytes left by the driver's word and, for a device on the processor, by the system's, of which an eighth stays free.
// UINT64_MAX where nobody says. With `keep_to_heap` not more than the heap that the driver names either: some grant more.
uint64_t qm_device_room_bytes(struct qm_device *device, bool keep_to_heap);

// QM_OUT_OF_MEMORY where `what` takes more than there is room for.
QM_MUST_USE enum qm_status qm_device_check_room(struct qm_device *device, bool keep_to_heap, uint64_t bytes,
                                                const char *what);

#endif
