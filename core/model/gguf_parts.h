// A model that lies in several GGUF files, as llama.cpp's gguf-split cuts it: NAME-00001-of-00003.gguf and what follows, beside
// one another. The first has the metadata of the model; each has `split.no`, from 0 on, `split.count`, and tensors of its own,
// of which the first may have none. Source: examples/gguf-split in llama.cpp.
#ifndef QM_MODEL_GGUF_PARTS_H
#define QM_MODEL_GGUF_PARTS_H

#include "model/gguf.h"
#include "sys/file.h"

#define QM_GGUF_PARTS_MAX 1024

// "x-00001-of-00003.gguf" -> "x-00002-of-00003.gguf" for part 2, counted from 1; false for a name that is no part's.
bool qm_gguf_part_path(const char *path, uint64_t part, uint64_t parts, char out[QM_PATH_BYTES]);

// Maps a file as qm_gguf_map does, and the other parts if it is the first of several: *out then has the tensors of all, each
// with its part, and the parts in `parts`. QM_INVALID beyond that for another part than the first, a name that is no part's, a
// part that is missing or says that it is another one, a tensor that two have, and a number of tensors that is not the first
// part's `split.tensors.count`. *out is zeroed on failure.
QM_MUST_USE enum qm_status qm_gguf_map_parts(const char *path, struct qm_gguf *out);

#endif
