// The vocabulary that a GGUF file brings, its `tokenizer.ggml` entries, as a tokenizer.
//
// `tokenizer.ggml.model` says what it is: `gpt2` is byte-level BPE by merges, whose words `pre` names the expressions for;
// `llama` SentencePiece's BPE by scores; `t5` its unigram model. Control tokens, and those of users, are found in texts as added
// tokens are. The ids of begin and end, and whether they stand around a text, are the file's, else what is usual for the kind.
// Source of keys and of what is usual: gguf-py's constants.py and llama-vocab.cpp of llama.cpp.
#ifndef QM_TEXT_TOKENIZER_GGUF_H
#define QM_TEXT_TOKENIZER_GGUF_H

#include "model/gguf.h"
#include "text/tokenizer.h"

bool qm_gguf_has_tokenizer(const struct qm_gguf *gguf);
// QM_INVALID for what the file does wrong, by key and token; QM_UNSUPPORTED for another `model` or `pre`, with the list of those
// that work. qm_tokenizer_sha256 is then of the entries and not of the file. *out is NULL on failure.
QM_MUST_USE enum qm_status qm_tokenizer_of_gguf(const struct qm_gguf *gguf, struct qm_tokenizer **out);
QM_MUST_USE enum qm_status qm_tokenizer_load_gguf(const char *path, struct qm_tokenizer **out);

#endif
