// Writes GGUF files for tests, piece by piece: right ones, and any wrong one. Never checks anything.
#ifndef QM_TEST_GGUF_WRITER_H
#define QM_TEST_GGUF_WRITER_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct gguf_writer {
    uint8_t *bytes;
    size_t count, capacity;
};

static inline void gguf_put(struct gguf_writer *w, const void *bytes, size_t count)
{
    if (w->count + count > w->capacity) {
        w->capacity = 2 * (w->count + count) + 64;
        w->bytes = realloc(w->bytes, w->capacity);
    }
    if (count > 0)
        memcpy(w->bytes + w->count, bytes, count);
    w->count += count;
}

static inline void gguf_put_u32(struct gguf_writer *w, uint32_t value)
{
    gguf_put(w, &value, sizeof(value));
}

static inline void gguf_put_u64(struct gguf_writer *w, uint64_t value)
{
    gguf_put(w, &value, sizeof(value));
}

static inline void gguf_put_string(struct gguf_writer *w, const char *text)
{
    gguf_put_u64(w, strlen(text));
    gguf_put(w, text, strlen(text));
}

static inline void gguf_begin(struct gguf_writer *w, uint32_t version, uint64_t tensors, uint64_t values)
{
    *w = (struct gguf_writer){0};
    gguf_put(w, "GGUF", 4);
    gguf_put_u32(w, version);
    gguf_put_u64(w, tensors);
    gguf_put_u64(w, values);
}

// The head of a metadata entry: its value follows.
static inline void gguf_put_key(struct gguf_writer *w, const char *key, uint32_t type)
{
    gguf_put_string(w, key);
    gguf_put_u32(w, type);
}

// Dimensions as the file has them: the one whose values lie side by side first.
static inline void gguf_put_tensor(struct gguf_writer *w, const char *name, uint32_t rank, const uint64_t *sizes,
                                   uint32_t type, uint64_t offset)
{
    gguf_put_string(w, name);
    gguf_put_u32(w, rank);
    gguf_put(w, sizes, rank * sizeof(*sizes));
    gguf_put_u32(w, type);
    gguf_put_u64(w, offset);
}

static inline void gguf_pad(struct gguf_writer *w, size_t alignment)
{
    while (w->count % alignment != 0)
        gguf_put(w, "", 1);
}

#endif
