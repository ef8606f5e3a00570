// libFuzzer target: whatever the bytes, they are refused as a tokenizer.model with one line, or make a tokenizer that encodes
// what stands behind them and decodes what came of it.
#include "test/fuzz/fuzz_tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qm_tokenizer *tokenizer = NULL;
    size_t text_bytes = 0;
    const char *text = text_of(&data, &size, &text_bytes);
    if (qm_tokenizer_parse_pieces(data, size, "fuzz", true, true, &tokenizer) != QM_OK) {
        require(!tokenizer && strncmp(qm_error_text(), "fuzz", 4) == 0 && !strchr(qm_error_text(), '\n'));
        return 0;
    }
    try_tokenizer(tokenizer, text, text_bytes);
    return 0;
}
