#include "base/hash.h"

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(((struct qm_hash *)0)->state), "state too small");

// The caller's bytes have no alignment of their own, so the state is copied in and out.
void qm_hash_begin(struct qm_hash *hash)
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    memcpy(hash->state, &state, sizeof(state));
}

void qm_hash_add(struct qm_hash *hash, const void *bytes, size_t count)
{
    if (count == 0)
        return;
    crypto_hash_sha256_state state;
    memcpy(&state, hash->state, sizeof(state));
    crypto_hash_sha256_update(&state, bytes, count);
    memcpy(hash->state, &state, sizeof(state));
}

void qm_hash_add_text(struct qm_hash *hash, const char *text)
{
    qm_hash_add(hash, text, strlen(text) + 1);
}

void qm_hash_end(struct qm_hash *hash, char text[QM_HASH_TEXT_BYTES])
{
    crypto_hash_sha256_state state;
    unsigned char digest[crypto_hash_sha256_BYTES];
    memcpy(&state, hash->state, sizeof(state));
    crypto_hash_sha256_final(&state, digest);
    sodium_bin2hex(text, QM_HASH_TEXT_BYTES, digest, sizeof(digest));
}

void qm_hash_bytes(const void *bytes, size_t count, char text[QM_HASH_TEXT_BYTES])
{
    struct qm_hash hash;
    qm_hash_begin(&hash);
    qm_hash_add(&hash, bytes, count);
    qm_hash_end(&hash, text);
}

void qm_hash_base64(const void *bytes, size_t count, char text[QM_HASH_BASE64_BYTES])
{
    static const unsigned char none = 0; // of no bytes, libsodium still wants a place
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, count ? bytes : &none, count);
    sodium_bin2base64(text, QM_HASH_BASE64_BYTES, digest, sizeof(digest), sodium_base64_VARIANT_ORIGINAL);
}
