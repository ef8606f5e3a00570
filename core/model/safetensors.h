// Safetensors files: named tensors and metadata texts, read strictly and written deterministically.
//
// A file is: the header's size N as 8 bytes, little-endian; N bytes of JSON, {"NAME": {"dtype", "shape",
// "data_offsets": [begin, end]}, ..., "__metadata__": {"KEY": "TEXT"}}; then the data, to which the offsets refer.
//
// Refused, with one line "FILE: tensor 'NAME': what is wrong; what would be right": a header that is cut off, too long,
// no JSON or not an object; doubled names; unknown dtypes; more than 4 dimensions, empty dimensions; offsets beyond the
// data, overlapping, with holes between, or not as many bytes as dtype and shape make. Values are not looked at: a NaN
// is the caller's. So is a dtype: all of the format's that have whole bytes can be read, few can be used.
#ifndef QM_MODEL_SAFETENSORS_H
#define QM_MODEL_SAFETENSORS_H

#include "base/status.h"
#include "sys/file_map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qm_dtype {
    QM_DTYPE_F32 = 0,
    QM_DTYPE_F16,
    QM_DTYPE_BF16,
    QM_DTYPE_U8,
    QM_DTYPE_I8,
    QM_DTYPE_U32,
    QM_DTYPE_I32,
    QM_DTYPE_BOOL,
    QM_DTYPE_F8_E4M3,
    QM_DTYPE_F8_E5M2,
    QM_DTYPE_F8_E8M0,
    QM_DTYPE_I16,
    QM_DTYPE_U16,
    QM_DTYPE_I64,
    QM_DTYPE_U64,
    QM_DTYPE_F64,
    QM_DTYPE_C64,
    QM_DTYPE_COUNT,
};

#define QM_TENSOR_RANK_MAX 4
#define QM_TENSOR_NAME_BYTES_MAX 255               // a longer name is refused
#define QM_SAFETENSORS_FILE_MAX ((size_t)64 << 30) // bytes; qm_tensors_load refuses larger files by their size
#define QM_SAFETENSORS_MAP_MAX ((uint64_t)1 << 40) // bytes; so does qm_tensors_map

// Bytes; a longer header is refused. The format allows 100 MB. An entry takes some 130 bytes, so that this is room for
// 100,000 tensors in one file, more than any model has that one file could hold; and it bounds what a header costs that
// is no such thing (json_bound.h).
#define QM_SAFETENSORS_HEADER_MAX (16u * 1024u * 1024u)

const char *qm_dtype_name(enum qm_dtype dtype); // as in the file: "F32"
size_t qm_dtype_bytes(enum qm_dtype dtype);     // of one element

struct qm_tensor {
    const char *name;
    enum qm_dtype dtype;
    uint32_t rank; // 0 for a scalar
    uint64_t shape[QM_TENSOR_RANK_MAX];
    size_t bytes;
    const void *data; // little-endian; not aligned if the file's writer did not align it: read it with memcpy, or ask
};

struct qm_tensor_text {
    const char *key, *value;
};

// A file in memory. Everything lives until qm_tensors_free, which may be called on a zeroed structure.
struct qm_tensors {
    struct qm_tensor *tensors; // sorted by name, as bytes
    size_t count;
    struct qm_tensor_text *metadata; // sorted by key
    size_t metadata_count;
    char *file;             // for messages
    void *bytes;            // the data part, if it was read
    void *texts;            // what names and metadata point into
    struct qm_file_map map; // what `data` points into, if the file is mapped
};

// Reads a file. *out is zeroed on failure. QM_INVALID for what the file does wrong, for a dtype that is not in the list above,
// and for PyTorch's and GGUF files by their first bytes.
QM_MUST_USE enum qm_status qm_tensors_load(const char *path, struct qm_tensors *out);
// The same from memory that came from malloc: takes it over, also on failure, and sets the caller's pointer to NULL.
// `file` stands for the file in messages.
QM_MUST_USE enum qm_status qm_tensors_parse(void **bytes, size_t count, const char *file, struct qm_tensors *out);
// The same from a mapping, of which only the header is touched; sys/file_map.h says what has to be asked after the data
// was used. Data is as aligned as the file's writer made it.
QM_MUST_USE enum qm_status qm_tensors_map(const char *path, struct qm_tensors *out);
// The same from memory that the caller keeps until qm_tensors_free.
QM_MUST_USE enum qm_status qm_tensors_view(const void *bytes, size_t count, const char *file, struct qm_tensors *out);
void qm_tensors_free(struct qm_tensors *tensors);

const struct qm_tensor *qm_tensors_find(const struct qm_tensors *tensors, const char *name); // NULL if there is none
const char *qm_tensors_text(const struct qm_tensors *tensors, const char *key);              // metadata, or NULL
bool qm_tensor_is_aligned(const struct qm_tensor *tensor); // its data can be read as an array of its type

// The tensor with exactly this dtype and shape, its data aligned; QM_INVALID, saying what would be right, for any other.
QM_MUST_USE enum qm_status qm_tensors_require(const struct qm_tensors *tensors, const char *name, enum qm_dtype dtype,
                                              uint32_t rank, const uint64_t *shape, const struct qm_tensor **out);

// QM_INVALID for a name that no tensor may have: an empty or long one, or one with control characters.
QM_MUST_USE enum qm_status qm_tensor_check_name(const char *file, const char *name);

// "[512, 256]"
#define QM_SHAPE_TEXT_BYTES 96
void qm_shape_text(uint32_t rank, const uint64_t *shape, char text[QM_SHAPE_TEXT_BYTES]);

// Writes a file, whole or not at all (as qm_file_write does). The same input in any order gives the same bytes: header
// entries are sorted by name; the data is in order of element size, largest first, then name, so that every tensor is
// aligned without holes; the header is padded with spaces so that the data begins at a multiple of 64. `bytes` of each
// tensor must be what dtype and shape make, names and keys unique, all texts UTF-8: QM_INVALID otherwise.
QM_MUST_USE enum qm_status qm_safetensors_write(const char *path, const struct qm_tensor *tensors, size_t count,
                                                const struct qm_tensor_text *metadata, size_t metadata_count);
// The same where the data is more than should be in memory at one time: `written` is told of each piece that was written, in
// the order of the file, and is not read again. It may be NULL.
QM_MUST_USE enum qm_status qm_safetensors_write_from(const char *path, const struct qm_tensor *tensors, size_t count,
                                                     const struct qm_tensor_text *metadata, size_t metadata_count,
                                                     void (*written)(void *context, const void *bytes, size_t count),
                                                     void *context);
// The same into memory; free() it. `file` stands for the file in messages.
QM_MUST_USE enum qm_status qm_safetensors_encode(const char *file, const struct qm_tensor *tensors, size_t count,
                                                 const struct qm_tensor_text *metadata, size_t metadata_count,
                                                 void **bytes, size_t *byte_count);

#endif
