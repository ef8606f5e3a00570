// Decoded weights from one dispatch to the next.
#include <stdlib.h>
#include <string.h>

#include "backends/reference/oracle.h"

// Of all weights and copies of a device: models as small as the oracle is for.
#define KEPT_BYTES ((size_t)256 << 20)

struct kept {
    struct qm_oracle_kept_key key;
    double *decoded;
    void *copy; // of the words
};

struct qm_oracle_kept {
    struct kept *kept;
    size_t count, capacity;
    size_t bytes;
};

enum qm_status qm_oracle_kept_create(struct qm_oracle_kept **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for a device");
}

static size_t bytes_of(const struct qm_oracle_kept_key *key)
{
    return (size_t)key->size_bytes + (size_t)key->k * key->n * sizeof(double);
}

static void let_go(struct qm_oracle_kept *kept, size_t at)
{
    struct kept *one = &kept->kept[at];
    kept->bytes -= bytes_of(&one->key);
    free(one->decoded);
    free(one->copy);
    *one = kept->kept[--kept->count];
}

void qm_oracle_kept_destroy(struct qm_oracle_kept **kept)
{
    if (!*kept)
        return;
    while ((*kept)->count > 0)
        let_go(*kept, (*kept)->count - 1);
    free((*kept)->kept);
    free(*kept);
    *kept = NULL;
}

void qm_oracle_kept_forget(struct qm_oracle_kept *kept, const void *bytes, uint64_t size_bytes)
{
    uintptr_t begin = (uintptr_t)bytes;
    for (size_t i = kept->count; i-- > 0;) {
        uintptr_t words = (uintptr_t)kept->kept[i].key.words;
        if (words >= begin && words - begin < size_bytes)
            let_go(kept, i);
    }
}

const double *qm_oracle_kept_find(struct qm_oracle_kept *kept, const struct qm_oracle_kept_key *key)
{
    for (size_t i = 0; kept && i < kept->count; ++i) {
        const struct kept *one = &kept->kept[i];
        if (one->key.words != key->words || one->key.size_bytes != key->size_bytes || one->key.format != key->format ||
            one->key.k != key->k || one->key.n != key->n || one->key.scale_offset != key->scale_offset ||
            one->key.shift != key->shift)
            continue;
        if (memcmp(one->copy, key->words, (size_t)key->size_bytes) == 0)
            return one->decoded;
        let_go(kept, i);
        return NULL;
    }
    return NULL;
}

bool qm_oracle_kept_add(struct qm_oracle_kept *kept, const struct qm_oracle_kept_key *key, double *decoded)
{
    if (!kept || bytes_of(key) > KEPT_BYTES - kept->bytes)
        return false;
    if (kept->count == kept->capacity) {
        size_t capacity = kept->capacity ? 2 * kept->capacity : 64;
        struct kept *larger = realloc(kept->kept, capacity * sizeof(*larger));
        if (!larger)
            return false;
        kept->kept = larger;
        kept->capacity = capacity;
    }
    void *copy = malloc((size_t)key->size_bytes);
    if (!copy)
        return false;
    memcpy(copy, key->words, (size_t)key->size_bytes);
    kept->kept[kept->count++] = (struct kept){*key, decoded, copy};
    kept->bytes += bytes_of(key);
    return true;
}
