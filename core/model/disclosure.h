// What a model's files say of their own quantization, as a claim (record/claim.h, docs/CLAIM_FORMAT.md) to audit or to fill in.
//
// Nothing is judged and nothing is refused for being unknown: a method, a type of tensor or a key that qmark cannot run is told
// as it stands there. What the files do not say is absent, which is undisclosed.
//
// A GGUF file tells by its metadata and by its tensors' types; of one in parts all are read. A directory of Hugging Face's
// tells by config.json with its `quantization_config`, else by quantize_config.json (AutoGPTQ), quant_config.json (AutoAWQ) or
// hf_quant_config.json (ModelOpt); by the headers of its .safetensors files; and by what stands at the head of its README.md.
// Keys as these programs write them: gguf-py's constants.py and tools/quantize of llama.cpp, and the classes of
// transformers/utils/quantization_config.py of Hugging Face's Transformers.
//
// Tensors are told by classes: all whose names differ in a number alone, "blk.*.attn_q.weight".
#ifndef QM_MODEL_DISCLOSURE_H
#define QM_MODEL_DISCLOSURE_H

#include "base/status.h"

#include <stdbool.h>

struct qm_node;

// Whether a path is a model's and not a claim's: a directory, a file that begins with "GGUF", or whose name ends in .gguf or
// .safetensors. False where there is nothing.
bool qm_model_disclosure_is_for(const char *path);

// The caller destroys *out, whose texts are UTF-8 on one line. QM_INVALID in one line for what is none of the two, is cut off or
// says nothing.
QM_MUST_USE enum qm_status qm_model_disclosure(const char *path, struct qm_node **out);

#endif
