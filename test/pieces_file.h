// Makes a tokenizer.model, SentencePiece's ModelProto, piece by piece.
#ifndef QM_TEST_PIECES_FILE_H
#define QM_TEST_PIECES_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pieces_file { // zeroed it is empty
    unsigned char *bytes;
    size_t count, capacity;
};

static inline void pieces_file_free(struct pieces_file *file)
{
    free(file->bytes);
    *file = (struct pieces_file){0};
}

static inline void pieces_file_put(struct pieces_file *file, const void *bytes, size_t count)
{
    if (file->capacity - file->count < count || !file->bytes) {
        file->capacity = 2 * file->capacity + count + 64;
        file->bytes = realloc(file->bytes, file->capacity);
        if (!file->bytes)
            abort();
    }
    if (count > 0)
        memcpy(file->bytes + file->count, bytes, count);
    file->count += count;
}

static inline void pieces_file_number(struct pieces_file *file, uint64_t value)
{
    for (; value > 127; value >>= 7)
        pieces_file_put(file, &(unsigned char){(unsigned char)(value | 0x80)}, 1);
    pieces_file_put(file, &(unsigned char){(unsigned char)value}, 1);
}

// A field of bytes: a text, or a message.
static inline void pieces_file_field(struct pieces_file *file, unsigned number, const void *bytes, size_t count)
{
    pieces_file_number(file, (uint64_t)number << 3 | 2);
    pieces_file_number(file, count);
    pieces_file_put(file, bytes, count);
}

static inline void pieces_file_add_bytes(struct pieces_file *file, const char *text, size_t bytes, float score,
                                         unsigned type)
{
    struct pieces_file piece = {0};
    pieces_file_field(&piece, 1, text, bytes);
    pieces_file_number(&piece, 2 << 3 | 5);
    pieces_file_put(&piece, &score, 4);
    pieces_file_number(&piece, 3 << 3);
    pieces_file_number(&piece, type);
    pieces_file_field(file, 1, piece.bytes, piece.count);
    pieces_file_free(&piece);
}

static inline void pieces_file_add(struct pieces_file *file, const char *text, float score, unsigned type)
{
    pieces_file_add_bytes(file, text, strlen(text), score, type);
}

// The trainer_spec: model_type 1 (unigram) or 2 (BPE).
static inline void pieces_file_trainer(struct pieces_file *file, unsigned model_type, bool byte_fallback)
{
    struct pieces_file trainer = {0};
    pieces_file_number(&trainer, 3 << 3);
    pieces_file_number(&trainer, model_type);
    pieces_file_number(&trainer, 35 << 3);
    pieces_file_number(&trainer, byte_fallback);
    pieces_file_field(file, 2, trainer.bytes, trainer.count);
    pieces_file_free(&trainer);
}

#endif
