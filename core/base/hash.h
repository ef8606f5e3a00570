// SHA-256, streamed or at once, as lower-case hexadecimal text.
#ifndef QM_BASE_HASH_H
#define QM_BASE_HASH_H

#include <stddef.h>

#define QM_HASH_BYTES 32
#define QM_HASH_TEXT_BYTES 65 // 64 digits and the terminating zero

struct qm_hash {
    unsigned char state[128]; // libsodium's state, opaque here so that no caller includes its header
};

void qm_hash_begin(struct qm_hash *hash);
void qm_hash_add(struct qm_hash *hash, const void *bytes, size_t count);
// Adds the text and its terminating zero, so that ("ab","c") and ("a","bc") differ.
void qm_hash_add_text(struct qm_hash *hash, const char *text);
void qm_hash_end(struct qm_hash *hash, char text[QM_HASH_TEXT_BYTES]);

void qm_hash_bytes(const void *bytes, size_t count, char text[QM_HASH_TEXT_BYTES]);

// As base64 with padding, which a Content-Security-Policy asks for.
#define QM_HASH_BASE64_BYTES 45
void qm_hash_base64(const void *bytes, size_t count, char text[QM_HASH_BASE64_BYTES]);

#endif
