#include "base/hash.h"
#include "base/hash_blocks.h"

#include <sodium.h>
#include <stdatomic.h>
#include <string.h>

_Static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(((struct qm_hash *)0)->state), "state too small");

// Whether whole blocks go past libsodium: the processor can do them, and libsodium's state is the words and the count of
// bits that its header says, which is tried once.
static bool has_blocks(void)
{
    static atomic_int known; // 0 not yet, 1 yes, -1 no
    int answer = atomic_load(&known);
    if (answer == 0) {
        const unsigned char bytes[192] = {1, 2, 3};
        crypto_hash_sha256_state all, first;
        crypto_hash_sha256_init(&all);
        crypto_hash_sha256_update(&all, bytes, sizeof(bytes));
        crypto_hash_sha256_init(&first);
        crypto_hash_sha256_update(&first, bytes, 64);
        bool is_same = qm_hash_has_blocks();
        if (is_same) {
            qm_hash_blocks(first.state, bytes + 64, 2);
            is_same = memcmp(first.state, all.state, sizeof(all.state)) == 0 && first.count == 512 && all.count == 1536;
        }
        answer = is_same ? 1 : -1;
        atomic_store(&known, answer);
    }
    return answer > 0;
}

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
    const unsigned char *at = bytes;
    size_t before = (64 - state.count / 8 % 64) % 64; // to the end of the block that was begun
    if (count >= before + 64 && has_blocks()) {
        size_t blocks = (count - before) / 64;
        crypto_hash_sha256_update(&state, at, before);
        qm_hash_blocks(state.state, at + before, blocks);
        state.count += 512 * (uint64_t)blocks;
        at += before + 64 * blocks;
        count -= before + 64 * blocks;
    }
    crypto_hash_sha256_update(&state, at, count);
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
