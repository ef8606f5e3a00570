// What fuzz targets of tokenizers have in common: whatever a tokenizer was made of, it encodes any text and decodes what came of
// it, or refuses with one line.
#ifndef QM_FUZZ_TOKENS_H
#define QM_FUZZ_TOKENS_H

#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static inline void require(int condition)
{
    if (!condition)
        abort();
}

// The input: how many bytes at its end are the text, in its first one; the file; the text.
static inline const char *text_of(const uint8_t **data, size_t *size, size_t *text_bytes)
{
    if (*size == 0) {
        *text_bytes = 0;
        return (const char *)*data;
    }
    *text_bytes = **data < *size - 1 ? **data : *size - 1;
    *data += 1;
    *size -= 1 + *text_bytes;
    return (const char *)*data + *size;
}

static inline void decode_tokens(struct qm_tokenizer *tokenizer, const struct qm_tokens *tokens, size_t text_bytes)
{
    size_t bytes = 0;
    for (size_t i = 0; i < tokens->count; i++)
        require(qm_tokenizer_text(tokenizer, tokens->ids[i], &bytes) != NULL);
    require(tokens->replaced <= text_bytes);
    for (int skip = 0; skip < 2; skip++) {
        char *text = NULL;
        if (qm_tokenizer_decode(tokenizer, tokens->ids, tokens->count, skip, &text, &bytes) == QM_OK)
            require(text[bytes] == '\0');
        else
            require(text == NULL && strchr(qm_error_text(), '\n') == NULL);
        free(text);
    }
}

// Destroys the tokenizer.
static inline void try_tokenizer(struct qm_tokenizer *tokenizer, const char *text, size_t text_bytes)
{
    require(qm_tokenizer_holes(tokenizer) < qm_tokenizer_size(tokenizer));
    for (int special = 0; special < 2; special++) {
        const struct qm_encode_options options = {.add_special_tokens = special, .special_tokens_are_text = !special};
        struct qm_tokens tokens = {0};
        if (qm_tokenizer_encode(tokenizer, text, text_bytes, &options, &tokens) == QM_OK)
            decode_tokens(tokenizer, &tokens, text_bytes);
        else
            require(tokens.count == 0 && !strchr(qm_error_text(), '\n'));
        qm_tokens_free(&tokens);
    }
    // All tokens at once, holes among them.
    struct qm_tokens all = {0};
    for (uint32_t id = 0; id < qm_tokenizer_size(tokenizer) && id < 1000; id++) {
        size_t bytes = 0;
        if (qm_tokenizer_text(tokenizer, id, &bytes))
            require(qm_tokens_add(&all, &id, 1) == QM_OK);
    }
    decode_tokens(tokenizer, &all, 0);
    qm_tokens_free(&all);
    qm_tokenizer_destroy(&tokenizer);
}

#endif
