#include "text/protobuf.h"

static enum qm_status cut_off(const struct qm_protobuf *message)
{
    return QM_FAIL(QM_INVALID,
                   "%s: %s is cut off within a field; this is no SentencePiece model, or not all of it: fetch it again",
                   message->file, message->place);
}

static enum qm_status take_varint(struct qm_protobuf *message, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (message->at == message->count)
            return cut_off(message);
        uint8_t byte = message->bytes[message->at++];
        if (shift == 63 && byte > 1)
            break;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return QM_OK;
    }
    return QM_FAIL(QM_INVALID, "%s: %s has a number of more than 64 bits; this is no SentencePiece model",
                   message->file, message->place);
}

static enum qm_status take_fixed(struct qm_protobuf *message, size_t bytes, uint64_t *out)
{
    *out = 0;
    if (message->count - message->at < bytes)
        return cut_off(message);
    for (size_t i = 0; i < bytes; i++)
        *out |= (uint64_t)message->bytes[message->at++] << (8 * i);
    return QM_OK;
}

enum qm_status qm_protobuf_next(struct qm_protobuf *message, struct qm_protobuf_field *out, bool *found)
{
    uint64_t tag = 0, count = 0;
    *found = message->at < message->count;
    *out = (struct qm_protobuf_field){0};
    if (!*found)
        return QM_OK;
    QM_TRY(take_varint(message, &tag));
    out->number = (uint32_t)(tag >> 3);
    out->wire = (enum qm_protobuf_wire)(tag & 7);
    if (tag >> 32 != 0 || out->number == 0)
        return QM_FAIL(QM_INVALID, "%s: %s has a field of an impossible number; this is no SentencePiece model",
                       message->file, message->place);
    switch (out->wire) {
    case QM_PROTOBUF_VARINT:
        return take_varint(message, &out->value);
    case QM_PROTOBUF_FIXED64:
        return take_fixed(message, 8, &out->value);
    case QM_PROTOBUF_FIXED32:
        return take_fixed(message, 4, &out->value);
    case QM_PROTOBUF_BYTES:
        QM_TRY(take_varint(message, &count));
        if (count > message->count - message->at)
            return cut_off(message);
        out->bytes = message->bytes + message->at;
        out->count = (size_t)count;
        message->at += (size_t)count;
        return QM_OK;
    default:
        return QM_FAIL(QM_INVALID,
                       "%s: %s has a field %u of wire type %d, which no such file has; this is no SentencePiece "
                       "model",
                       message->file, message->place, out->number, (int)out->wire);
    }
}

enum qm_status qm_protobuf_expect(const struct qm_protobuf *message, const struct qm_protobuf_field *field,
                                  enum qm_protobuf_wire wire, const char *name)
{
    if (field->wire == wire)
        return QM_OK;
    return QM_FAIL(QM_INVALID,
                   "%s: %s: '%s' has wire type %d and should have %d; this is no SentencePiece model, or a damaged "
                   "one",
                   message->file, message->place, name, (int)field->wire, (int)wire);
}
