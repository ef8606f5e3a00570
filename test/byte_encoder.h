// An encoder for tests: a token for each byte, its value and 3; 1 in front where special tokens are asked for. With
// `joins` set, "ab" is one token, 300, so that a text cut in two has other tokens than the whole.
#ifndef QM_TEST_BYTE_ENCODER_H
#define QM_TEST_BYTE_ENCODER_H

#include <stdlib.h>

#include "workload/text_encoder.h"

struct byte_encoder {
    bool adds_begin, joins, fails;
};

static enum qm_status encode_bytes(void *context, const char *text, size_t bytes, bool add_special, uint32_t **ids,
                                   size_t *count)
{
    const struct byte_encoder *encoder = context;
    *ids = malloc((bytes + 1) * sizeof(**ids));
    *count = 0;
    if (!*ids || encoder->fails)
        return QM_FAIL(QM_FAILED, "the encoder is broken; mend it");
    if (add_special && encoder->adds_begin)
        (*ids)[(*count)++] = 1;
    for (size_t i = 0; i < bytes; i++) {
        bool is_pair = encoder->joins && i + 1 < bytes && text[i] == 'a' && text[i + 1] == 'b';
        (*ids)[(*count)++] = is_pair ? 300 : (uint32_t)(unsigned char)text[i] + 3;
        i += is_pair;
    }
    return QM_OK;
}

#endif
