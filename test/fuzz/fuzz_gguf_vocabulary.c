// libFuzzer target: whatever the bytes, they are refused as a GGUF file with a vocabulary with one line, or make a tokenizer that
// encodes what stands behind them and decodes what came of it.
#include "test/fuzz/fuzz_tokens.h"
#include "text/tokenizer_gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qm_tokenizer *tokenizer = NULL;
    struct qm_gguf gguf;
    size_t text_bytes = 0;
    const char *text = text_of(&data, &size, &text_bytes);
    if (qm_gguf_view(data, size, "fuzz", &gguf) != QM_OK)
        return 0; // fuzz_gguf.c
    enum qm_status status = qm_tokenizer_of_gguf(&gguf, &tokenizer);
    qm_gguf_close(&gguf); // of which the tokenizer keeps nothing
    if (status == QM_OK)
        try_tokenizer(tokenizer, text, text_bytes);
    else
        require(!tokenizer && strncmp(qm_error_text(), "fuzz", 4) == 0 && !strchr(qm_error_text(), '\n'));
    return 0;
}
