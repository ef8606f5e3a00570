// The weights of a model's directory as Hugging Face lays it out, mapped and not read: model.safetensors, or
// model.safetensors.index.json with the shards that it names, which lie beside it. A file may be a symbolic link, as all are
// in Hugging Face's cache; no name in an index leads out of the directory.
//
// Or one GGUF file (gguf.h, gguf_model.h), whose tensors have the same names here and the same rows, though what they are encoded
// as is the file's own: values are decoded as they are taken.
//
// What is refused of one file stands in safetensors.h, of an index in weights_index.h. Beyond that: a shard that is missing
// (with how many are), a tensor that is not in the shard that the index names, that is in two shards or in none, a
// 'total_size' that is not the tensors' own. A directory of another layout is refused by what it has: pickles, which can run
// any program when they are read, GGUF, Mistral's and Meta's own names.
//
// A model takes the address space of its files and, while it is read, the memory of what is being read: values are taken
// tensor by tensor, and the pages are given back. Others may write the files meanwhile, so nothing counts before
// qm_weights_check (sys/file_map.h).
#ifndef QM_MODEL_WEIGHTS_H
#define QM_MODEL_WEIGHTS_H

#include "base/hash.h"
#include "base/status.h"
#include "model/safetensors.h"
#include "quant/scheme.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_gguf;
struct qm_gguf_tensor;
struct qm_quantized;
struct qm_quantized_sets;

struct qm_weights_entry {
    const struct qm_tensor *tensor;       // name, dtype, shape, data; of a GGUF file name and shape alone
    const struct qm_tensors *shard;       // shard->file for messages
    const struct qm_gguf_tensor *gguf;    // of a GGUF file, else NULL
    const struct qm_quantized *quantized; // several tensors that are one weight (quantized_sets.h), else NULL
    uint32_t turned_width; // whose rows are turned, head by head of so many (qm_gguf_turned_row); 0: as they lie
    // From weights_arrange.h: values lie column by column, `turned_over` apart (0: row by row); what is added to each.
    uint64_t turned_over;
    float added;
};

struct qm_weights {
    struct qm_weights_entry *entries; // in the order of the tensors' names, as bytes
    size_t count;
    struct qm_tensors *shards; // in the order of their names; one for model.safetensors
    size_t shard_count;
    char *file;  // for messages about all of it: the one file, else the index
    void *index; // the index's text; NULL for one file
    size_t index_bytes;
    uint64_t bytes;                          // of all tensors' data
    struct qm_gguf *gguf;                    // of a GGUF file, else NULL
    struct qm_quantized_sets *quantized;     // of quantized weights (qm_quantized_group), else NULL
    void *arranged_tensors, *arranged_names; // what entries point into, of a GGUF file or after qm_weights_arrange
};

// Opens the directory's weights. *out is zeroed on failure. QM_INVALID for what is wrong with the files and for another
// layout. qm_weights_close may be called on a zeroed structure.
QM_MUST_USE enum qm_status qm_weights_open(const char *directory, struct qm_weights *out);
void qm_weights_close(struct qm_weights *weights);

const struct qm_weights_entry *qm_weights_find(const struct qm_weights *weights, const char *name); // NULL: not there

// Puts entries into the order of their names, which qm_weights_find needs, and returns the first whose name the one before has,
// too; NULL: there is none.
const struct qm_weights_entry *qm_weights_sort(struct qm_weights_entry *entries, size_t count);

// Whether the path is a file that begins as GGUF files do.
bool qm_weights_is_gguf(const char *path);
// Opens such a file; qm_weights_open does so by itself. *out is zeroed on failure. QM_INVALID and QM_UNSUPPORTED as
// qm_gguf_map, qm_gguf_model_config and qm_gguf_model_check.
QM_MUST_USE enum qm_status qm_weights_open_gguf(const char *path, struct qm_weights *out);

uint64_t qm_weights_value_count(const struct qm_weights_entry *entry);

// QM_INVALID for a type that no weight may have.
QM_MUST_USE enum qm_status qm_weights_check_dtype(const struct qm_weights_entry *entry);

// `count` values of a tensor from its value `first` on, all within it, row-major, as floats, on all of the processor's cores;
// the pages that held them are given back. F32, F16 and BF16 become floats exactly. QM_INVALID for another dtype, and for a
// value that is not finite: the first one, by tensor and index. Blocks of a GGUF file are decoded as ggml does, quantized weights
// as quantized_sets.h says.
QM_MUST_USE enum qm_status qm_weights_floats(const struct qm_weights_entry *entry, size_t first, size_t count,
                                             float *values);

// The format whose codes and scales hold this tensor exactly as its file has it: F32, F16 and BF16 for such values, a format of
// the table for what somebody quantized. QM_WEIGHT_FORMAT_COUNT where there is none, and for what is no matrix.
enum qm_weight_format qm_weights_own_format(const struct qm_weights_entry *entry);

// `rows` rows of a tensor from its row `first_row` on, all within it, in that format and as artifacts have them (quant/format.h):
// `codes` gets rows * qm_format_code_bytes(format, 1, columns) bytes, `scales` rows * qm_format_scale_bytes(format, 1, columns),
// and may be NULL where that is 0. Nothing is rounded: what qm_format_decode makes of them is what qm_weights_floats gives, to
// the bit; of quantized sets, before it is rounded to the scales' type. The pages that held them are given back. QM_INVALID, by tensor, for a code or scale that the format does not have,
// such as a scale that is not finite; QM_UNSUPPORTED where there is no such format.
QM_MUST_USE enum qm_status qm_weights_own_rows(const struct qm_weights_entry *entry, size_t first_row, size_t rows,
                                               void *codes, void *scales);

// SHA-256 of the shards in the order of their names, then the index, then `more_bytes` bytes of `more`: what
// `cat model-*.safetensors model.safetensors.index.json MORE | sha256sum` prints, or for one file
// `cat model.safetensors MORE | sha256sum`. Reads every byte; may run beside qm_weights_floats. Where `stop` is not NULL and
// becomes true, it ends early with a text that means nothing.
void qm_weights_hash(const struct qm_weights *weights, const void *more, size_t more_bytes, const atomic_bool *stop,
                     char text[QM_HASH_TEXT_BYTES]);

// QM_INVALID, with the file, if one was written or cut off since it was opened, or could not be read everywhere.
QM_MUST_USE enum qm_status qm_weights_check(const struct qm_weights *weights);

// The layouts that this reads.
#define QM_WEIGHTS_FILE "model.safetensors"
#define QM_WEIGHTS_INDEX_FILE "model.safetensors.index.json"

// Whether the directory has one of these; whether they can be read, opening says. QM_INVALID with what the path is instead:
// a file of weights in some format, or a directory of another layout.
QM_MUST_USE enum qm_status qm_weights_check_layout(const char *path);

#endif
