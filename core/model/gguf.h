// GGUF files, versions 2 and 3: typed metadata and named tensors in the formats of ggml, read strictly and in place.
// Source: the format's description in ggml, docs/gguf.md; block sizes as in ggml.h and ggml-common.h.
//
// A file is, little-endian: "GGUF"; version (u32); how many tensors, how many metadata entries (u64 each); the entries, each a
// key (a string: u64 length, bytes), a type (u32) and a value; for each tensor name, number of dimensions (u32), dimensions
// (u64 each, the one whose values lie side by side first), type (u32) and offset (u64); zeros up to a multiple of
// `general.alignment` (32 where it is absent); then the data, to which the offsets refer.
//
// Refused, with one line "FILE: what is wrong; what would be right" that names the key or the tensor: other versions and byte
// order; what is cut off; counts and lengths that the file cannot hold, before anything is allocated for them; doubled keys
// and tensors; types that do not exist; arrays of arrays; dimensions of 0 or more than four; a first dimension that is no
// multiple of the type's block; offsets that are not aligned, leave the file or overlap; a type of tensor that cannot be
// read, with the list of those that can. Values of tensors are not looked at.
#ifndef QM_MODEL_GGUF_H
#define QM_MODEL_GGUF_H

#include "base/status.h"
#include "model/safetensors.h"
#include "quant/scheme.h"
#include "sys/file_map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Types of tensors, numbered as in the file; those that are not here have no name.
enum qm_gguf_type {
    QM_GGUF_F32 = 0,
    QM_GGUF_F16 = 1,
    QM_GGUF_Q4_0 = 2,
    QM_GGUF_Q4_1 = 3,
    QM_GGUF_Q5_0 = 6,
    QM_GGUF_Q8_0 = 8,
    QM_GGUF_Q4_K = 12,
    QM_GGUF_Q5_K = 13,
    QM_GGUF_Q6_K = 14,
    QM_GGUF_BF16 = 30,
};

struct qm_gguf_type_info {
    const char *name;      // "Q4_K"
    uint32_t type;         // in the file
    uint32_t block_values; // values that are encoded together; 1: each on its own
    uint32_t block_bytes;
    enum qm_weight_format format; // whose codes are these bytes; QM_WEIGHT_FORMAT_COUNT: none that can be read
};

// NULL for a type that cannot be read.
const struct qm_gguf_type_info *qm_gguf_type_info(uint32_t type);

enum qm_gguf_kind {
    QM_GGUF_UINT,   // of any width, in `number.u`
    QM_GGUF_INT,    // in `number.i`
    QM_GGUF_FLOAT,  // in `number.f`
    QM_GGUF_BOOL,   // in `number.u`, 0 or 1
    QM_GGUF_STRING, // `bytes`, `count` of them; no NUL behind them, and perhaps some within
    QM_GGUF_ARRAY,  // `count` elements of `element`, from `bytes` on as they lie in the file
};

struct qm_gguf_value {
    const char *key; // `key_bytes` of them are in the file; this one ends with NUL
    enum qm_gguf_kind kind;
    union {
        uint64_t u;
        int64_t i;
        double f;
    } number;
    const uint8_t *bytes;
    uint64_t count;
    uint32_t element;       // of an array: the type in the file
    uint64_t element_bytes; // of all the array's elements together
};

struct qm_gguf_tensor {
    const char *name;
    const struct qm_gguf_type_info *type;
    uint32_t rank;
    uint64_t shape[QM_TENSOR_RANK_MAX]; // as Hugging Face has it: the values of the last dimension lie side by side
    uint64_t bytes;
    const uint8_t *data; // aligned as the file says
    uint32_t part;       // the file that it is in; 0: the first, or the only one (gguf_parts.h)
    uint64_t first;      // of a part of a tensor, the number of its first value; else 0 (qm_gguf_weight_find)
};

struct qm_gguf {
    struct qm_gguf_value *values; // sorted by key
    size_t value_count;
    struct qm_gguf_tensor *tensors; // sorted by name, as bytes
    size_t tensor_count;
    uint32_t version, alignment;
    char *file;             // for messages
    char *names;            // what keys and names point into
    struct qm_file_map map; // what `bytes` and `data` point into; empty for a view
    struct qm_gguf *parts;  // of a first part: the others, in their order
    size_t part_count;
};

#define QM_GGUF_FILE_MAX ((uint64_t)1 << 40) // bytes; a larger file is refused by its size
#define QM_GGUF_KEY_BYTES_MAX 255            // the format allows 65,535; no writer comes near

// Maps a file, of which only what stands before the data is touched; sys/file_map.h says what has to be asked after the data
// was used. *out is zeroed on failure; qm_gguf_close may be called on a zeroed one. QM_INVALID for what the file does wrong.
QM_MUST_USE enum qm_status qm_gguf_map(const char *path, struct qm_gguf *out);
// The same from memory that the caller keeps. `file` stands for the file in messages.
QM_MUST_USE enum qm_status qm_gguf_view(const void *bytes, size_t count, const char *file, struct qm_gguf *out);
// As qm_gguf_map, for who tells of a file and does not run it: a tensor may be of any type that ggml has. Of those that
// qm_gguf_type_info does not know, name and block sizes are right and no value can be read.
QM_MUST_USE enum qm_status qm_gguf_map_any(const char *path, struct qm_gguf *out);
void qm_gguf_close(struct qm_gguf *gguf);
// Puts the tensors into the order of their names, and returns a name that two have; NULL: none.
const char *qm_gguf_sort(struct qm_gguf *gguf);

const struct qm_gguf_tensor *qm_gguf_find_tensor(const struct qm_gguf *gguf, const char *name); // NULL if there is none
const struct qm_gguf_value *qm_gguf_find(const struct qm_gguf *gguf, const char *key);          // likewise

// Values by key. QM_INVALID, with the key, for one of another kind or out of range; where there is none *out stays as it was, so
// that it can hold what is usual, and `is_there` (may be NULL) says so.
QM_MUST_USE enum qm_status qm_gguf_u32(const struct qm_gguf *gguf, const char *key, uint32_t *out, bool *is_there);
QM_MUST_USE enum qm_status qm_gguf_double(const struct qm_gguf *gguf, const char *key, double *out, bool *is_there);
QM_MUST_USE enum qm_status qm_gguf_bool(const struct qm_gguf *gguf, const char *key, bool *out, bool *is_there);

// The elements of an array, one after another: begin with `at` 0; each call moves it on. A string's bytes are not ended by NUL.
// False at the end, and where the elements are of another kind. They were checked when the file was opened.
bool qm_gguf_next_string(const struct qm_gguf_value *array, uint64_t *at, const uint8_t **bytes, uint64_t *count);
bool qm_gguf_next_number(const struct qm_gguf_value *array, uint64_t *at, double *number);

#endif
