// Which tokenizer belongs to a model, and reading it: of a directory, or of the folder where a GGUF file lies, tokenizer.json; else
// the vocabulary of the GGUF file; else tokenizer.model, which tokenizer_config.json says more about.
#ifndef QM_MODEL_MODEL_TOKENIZER_H
#define QM_MODEL_MODEL_TOKENIZER_H

#include "model/end_tokens.h"
#include "sys/file.h"
#include "text/tokenizer.h"

// *found: whether there is one; `path` is then its file, else that of the tokenizer.json that would be it. `model` is a
// directory or a GGUF file, of which the metadata are read.
QM_MUST_USE enum qm_status qm_model_tokenizer_find(const char *model, char path[QM_PATH_BYTES], bool *found);
// Reads what qm_model_tokenizer_find named. Of a tokenizer.model the begin stands before a text, and no end behind it, unless
// `add_bos_token` and `add_eos_token` of tokenizer_config.json beside it say otherwise: what Hugging Face's readers of such files
// do. Tokens that lie beside it in an added_tokens.json are QM_UNSUPPORTED.
QM_MUST_USE enum qm_status qm_model_tokenizer_load(const char *path, struct qm_tokenizer **out);

// The tokens that end an answer: of the files in the folder (end_tokens.h), and where they say none, of a GGUF file's own entries
// for the end of a text, a turn and a message.
QM_MUST_USE enum qm_status qm_model_end_tokens(const char *model, uint32_t vocabulary, struct qm_end_tokens *out);

#endif
