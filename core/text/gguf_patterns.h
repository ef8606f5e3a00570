// The pre-tokenizers that GGUF files name in `tokenizer.ggml.pre`.
#ifndef QM_TEXT_GGUF_PATTERNS_H
#define QM_TEXT_GGUF_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>

#define QM_GGUF_PATTERNS_MAX 6
#define QM_GGUF_PATTERN_NAMES_BYTES 512

struct qm_gguf_pattern {
    const char *expressions[QM_GGUF_PATTERNS_MAX]; // each cuts what the one before left; NULL behind the last
    bool ignores_merges;                           // a word that is a token becomes that token
    bool adds_begin;                               // where the file does not say
};

const struct qm_gguf_pattern *qm_gguf_pattern_find(const char *name, size_t bytes); // NULL for a name that is not known
// All names, with commas between, for messages; returns `text`.
const char *qm_gguf_pattern_names(char *text, size_t capacity);

#endif
