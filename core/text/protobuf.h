// The wire format of protocol buffers, one field of a message at a time, strictly: what is cut off, numbers of more than ten
// bytes, groups and fields numbered 0 are refused. A message within a message is read by a walk of its own.
// Source: developers.google.com/protocol-buffers/docs/encoding.
#ifndef QM_TEXT_PROTOBUF_H
#define QM_TEXT_PROTOBUF_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qm_protobuf_wire {
    QM_PROTOBUF_VARINT = 0,
    QM_PROTOBUF_FIXED64 = 1,
    QM_PROTOBUF_BYTES = 2,
    QM_PROTOBUF_FIXED32 = 5,
};

// A walk: {.bytes, .count, .file, .place}, the rest zero. `place` names the message in errors: "pieces[3]".
struct qm_protobuf {
    const uint8_t *bytes;
    size_t count, at;
    const char *file, *place;
};

struct qm_protobuf_field {
    uint32_t number;
    enum qm_protobuf_wire wire;
    uint64_t value;       // but for QM_PROTOBUF_BYTES, for which it is 0
    const uint8_t *bytes; // of QM_PROTOBUF_BYTES, within the message
    size_t count;
};

// *found: whether there was another field.
QM_MUST_USE enum qm_status qm_protobuf_next(struct qm_protobuf *message, struct qm_protobuf_field *out, bool *found);
// Refuses a field that is not of this wire type; `name` is what to call it.
QM_MUST_USE enum qm_status qm_protobuf_expect(const struct qm_protobuf *message, const struct qm_protobuf_field *field,
                                              enum qm_protobuf_wire wire, const char *name);

#endif
