// libFuzzer target: whatever the bytes, they are refused as a tokenizer.json with one line, or make a tokenizer that
// encodes what follows the first zero byte, and decodes what came of it.
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_tokens(struct qm_tokenizer *tokenizer, const struct qm_tokens *tokens, size_t text_bytes)
{
    char *text = NULL;
    size_t bytes = 0;
    for (size_t i = 0; i < tokens->count; i++)
        require(qm_tokenizer_text(tokenizer, tokens->ids[i], &bytes) != NULL);
    require(tokens->replaced <= text_bytes);
    if (qm_tokenizer_decode(tokenizer, tokens->ids, tokens->count, false, &text, &bytes) == QM_OK)
        require(text[bytes] == '\0');
    else
        require(text == NULL && strchr(qm_error_text(), '\n') == NULL);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qm_tokenizer *tokenizer = NULL;
    const uint8_t *zero = memchr(data, 0, size);
    size_t file_bytes = zero ? (size_t)(zero - data) : size;
    const char *text = zero ? (const char *)zero + 1 : "Hello <s> world\xff\n";
    size_t text_bytes = zero ? size - file_bytes - 1 : strlen(text);
    if (qm_tokenizer_parse(data, file_bytes, "fuzz", &tokenizer) != QM_OK) {
        require(!tokenizer && strncmp(qm_error_text(), "fuzz", 4) == 0 && !strchr(qm_error_text(), '\n'));
        return 0;
    }
    require(qm_tokenizer_holes(tokenizer) < qm_tokenizer_size(tokenizer));
    for (int special = 0; special < 2; special++) {
        const struct qm_encode_options options = {.add_special_tokens = special, .special_tokens_are_text = !special};
        struct qm_tokens tokens = {0};
        if (qm_tokenizer_encode(tokenizer, text, text_bytes, &options, &tokens) == QM_OK)
            check_tokens(tokenizer, &tokens, text_bytes);
        else
            require(tokens.count == 0 && !strchr(qm_error_text(), '\n'));
        qm_tokens_free(&tokens);
    }
    qm_tokenizer_destroy(&tokenizer);
    return 0;
}
