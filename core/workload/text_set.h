// A user's text as windows of tokens: what the model is given in one pass, and which of it is scored.
//
// The text of T tokens t_0 .. t_(T-1) (t_0 is the begin token where the tokenizer adds one) is cut into windows of n
// tokens. Position p of a window predicts the token at p + 1; only positions below n - 1 can be scored.
//
// By default windows begin every `stride` tokens, 1 <= stride < n; the last one is moved back so that it ends with the
// text. A position is scored where its target was no target in an earlier window: every token but the first is scored
// exactly once, with at least n - stride tokens before it (fewer in the first window only). This is how perplexity is
// measured with a sliding window; see "Perplexity of fixed-length models" in the documentation of Hugging Face's
// Transformers. A text of fewer than n tokens is one short window.
//
// QM_TEXT_LLAMA_PERPLEXITY cuts as llama.cpp's llama-perplexity does (tools/perplexity/perplexity.cpp of ggml-org/llama.cpp,
// commit 050fc7f), so that numbers can be laid side by side:
//   stride 0   T / n chunks one after the other, an incomplete last one dropped; positions n / 2 .. n - 2 are scored,
//              n - 1 - n / 2 of each chunk
//   stride s   (its --ppl-stride, with one sequence in a batch) chunks of n + s / 2 tokens every s tokens,
//              (T - chunk + s - 1) / s of them; the s positions before the last are scored; no token is replaced
// and a single line feed at the end of the file is left out (as its -f does), and at least two chunks of tokens are
// asked for.
//
// With a begin token, it stands in place of the first token of every window (but for stride s above), as in
// llama-perplexity; models that were trained with it need it. It is never a target.
//
// Of a directory (source.h) each text is a document of its own: windows are cut within it, the first of them begins with it, and
// its first token is no target. One that is shorter than a window is a window of its own length.
//
// Windows are not copied: a set holds the tokens once, and where windows begin.
#ifndef QM_WORKLOAD_TEXT_SET_H
#define QM_WORKLOAD_TEXT_SET_H

#include "base/hash.h"
#include "workload/text_encoder.h"

enum qm_text_compat {
    QM_TEXT_COMPAT_NONE,
    QM_TEXT_LLAMA_PERPLEXITY,
};

#define QM_TEXT_BYTES_MAX ((size_t)64 << 20)
enum {
    QM_TEXT_WINDOW_TOKENS_MIN = 8,
    QM_TEXT_WINDOW_TOKENS_MAX = 1 << 20,
    QM_TEXT_WINDOWS_MAX = 1 << 20,
    QM_TEXT_INPUT_TOKENS_MAX = 1 << 28, // of all windows together
};

struct qm_text_set_params {
    uint32_t window_tokens; // n
    uint32_t stride;        // 0: half a window; with compat: chunks one after the other
    uint32_t windows_most;  // 0: no limit
    enum qm_text_compat compat;
    uint32_t vocabulary; // tokens are below it; 0: not looked at
    bool has_begin;      // the tokenizer puts `begin` in front of a text
    uint32_t begin;
};

struct qm_text_window {
    size_t start;                        // index of its first token among all
    uint32_t length;                     // tokens
    uint32_t scored_first, scored_count; // positions, in the window
};

struct qm_text_set {
    struct qm_text_set_params params;
    uint32_t *tokens; // of the whole text, or of all documents one after the other; owned
    size_t token_count;
    size_t documents;               // 1 of a file
    struct qm_text_window *windows; // owned
    uint32_t window_count;
    uint32_t length;      // tokens of the longest window: n, or what the text has
    bool replaces_first;  // by params.begin
    uint64_t scored;      // positions, over all windows
    uint64_t text_bytes;  // that were encoded
    size_t tokens_unused; // at the end of a text, in no window
    bool is_utf8;
    bool is_directory;
    char text_sha256[QM_HASH_TEXT_BYTES]; // of the file's bytes; of a directory's as source.h has it
    char sha256[QM_HASH_TEXT_BYTES];      // of windows and marks: token_hash.h
};

// A file, or a directory of texts. *out is NULL on failure: QM_INVALID with the path and what would be right (no file, too large, too short, a stride that
// is none, a token that the model lacks); what the encoder fails with; QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_text_set_load(const char *path, const struct qm_text_encoder *encoder,
                                            const struct qm_text_set_params *params, struct qm_text_set **out);
// The same of one text from memory; `name` stands for the file in messages.
QM_MUST_USE enum qm_status qm_text_set_create(const void *text, size_t bytes, const char *name,
                                              const struct qm_text_encoder *encoder,
                                              const struct qm_text_set_params *params, struct qm_text_set **out);
// NULL is allowed; sets *set to NULL.
void qm_text_set_destroy(struct qm_text_set **set);

// Writes the tokens of window `index` (below window_count).
void qm_text_set_window(const struct qm_text_set *set, uint32_t index, uint32_t *tokens);

#endif
