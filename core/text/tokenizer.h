// Tokenizers from a tokenizer.json, the file of Hugging Face's tokenizers library, from a SentencePiece model (text/pieces.h), or
// from a GGUF file's vocabulary (text/tokenizer_gguf.h): text becomes ids of tokens, and ids become text. What of the files is
// honoured and what is refused: docs/TOKENIZERS.md. Which of them a model has: model/model_tokenizer.h.
//
// A text goes through these steps, all of them the file's; of a SentencePiece model the steps between are its own:
//
//   bytes ─> UTF-8 ─> added tokens ─> normalizer ─> added tokens  ─> pre_tokenizer ─> model ─> post_processor ─> ids
//            repaired (as written)                  (normalized)     words            BPE      special tokens
//
// Ids are those that the file gives; nothing is assigned. A file that contradicts itself (two texts with one id, one text
// with two, a merge that names no token) or asks for what is not built is refused: QM_INVALID or QM_UNSUPPORTED, with one
// line "FILE: where: what is wrong; what would be right". Holes between ids are allowed and counted.
//
// Limits: QM_TOKENIZER_FILE_BYTES_MAX of a file, ids up to 4,194,303, QM_TEXT_BYTES_MAX of a text and twice that of a
// normalized one. Time grows with the length of a text as n log n at most, whatever the text; memory with 64 bytes for each
// of its bytes at worst (one word of one-byte characters), about 2 in common ones. Patterns end at the limits of pattern.h.
//
// A tokenizer keeps words that it has seen, so one thread at a time may use it.
#ifndef QM_TEXT_TOKENIZER_H
#define QM_TEXT_TOKENIZER_H

#include "base/hash.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_TOKENIZER_FILE_BYTES_MAX ((size_t)128 << 20)
#define QM_TEXT_BYTES_MAX ((size_t)64 << 20)

struct qm_tokenizer;

// Reads a file of at most QM_TOKENIZER_FILE_BYTES_MAX. *out is NULL on failure.
QM_MUST_USE enum qm_status qm_tokenizer_load(const char *path, struct qm_tokenizer **out);
// The same from memory; `file` stands for the path in messages and is copied, as are the bytes where they are needed.
QM_MUST_USE enum qm_status qm_tokenizer_parse(const void *bytes, size_t count, const char *file,
                                              struct qm_tokenizer **out);
// A SentencePiece model, `tokenizer.model`. Where that has control pieces for begin and end (<s>, </s>, or as it calls them),
// `adds_begin` and `adds_end` say whether they stand around a text with special tokens; the file does not. Such names within a
// text are text.
QM_MUST_USE enum qm_status qm_tokenizer_load_pieces(const char *path, bool adds_begin, bool adds_end,
                                                    struct qm_tokenizer **out);
QM_MUST_USE enum qm_status qm_tokenizer_parse_pieces(const void *bytes, size_t count, const char *file, bool adds_begin,
                                                     bool adds_end, struct qm_tokenizer **out);
void qm_tokenizer_destroy(struct qm_tokenizer **tokenizer); // NULL is allowed

// What it is ---------------------------------------------------------------------------------------------------------

const char *
qm_tokenizer_kind(const struct qm_tokenizer *tokenizer); // "byte-level BPE", "SentencePiece unigram", "words" and so on
const char *qm_tokenizer_sha256(const struct qm_tokenizer *tokenizer); // of the file's bytes
size_t qm_tokenizer_size(const struct qm_tokenizer *tokenizer);  // highest id + 1: the rows that an embedding needs
size_t qm_tokenizer_holes(const struct qm_tokenizer *tokenizer); // ids below that without a token
// What the file asks for and is left out because it changes no id, as a clause for people: "truncation and padding are not
// applied". "" if there is nothing.
const char *qm_tokenizer_remark(const struct qm_tokenizer *tokenizer);

// The id of a token by its text as the file has it ("<s>", byte-level "Ġthe"); false if there is none.
bool qm_tokenizer_id(const struct qm_tokenizer *tokenizer, const char *text, size_t bytes, uint32_t *id);
// The text of an id, which is not ended by a zero and may hold any character; NULL for a hole and beyond. The tokenizer's.
const char *qm_tokenizer_text(const struct qm_tokenizer *tokenizer, uint32_t id, size_t *bytes);
bool qm_tokenizer_is_special(const struct qm_tokenizer *tokenizer, uint32_t id); // of added_tokens, "special": true
// The token that the post_processor puts before, or behind, every text; false if it puts none.
bool qm_tokenizer_begin_id(const struct qm_tokenizer *tokenizer, uint32_t *id);
bool qm_tokenizer_end_id(const struct qm_tokenizer *tokenizer, uint32_t *id);

// Text to ids --------------------------------------------------------------------------------------------------------

// All zero is what Hugging Face's encode(text, add_special_tokens = false) does.
struct qm_encode_options {
    bool add_special_tokens; // what the post_processor puts around a text
    bool
        special_tokens_are_text; // "<s>" in the text is three characters; added tokens that are not special still count
};

// Zeroed it is empty.
struct qm_tokens {
    uint32_t *ids;
    size_t count, capacity;
    uint64_t replaced; // parts of texts that were not UTF-8 and became U+FFFD each (Unicode 3.9, "maximal subpart")
};
void qm_tokens_free(struct qm_tokens *tokens);
QM_MUST_USE enum qm_status qm_tokens_add(struct qm_tokens *tokens, const uint32_t *ids, size_t count);

// Adds the ids of a text, of any bytes, at the end of `out`; on failure `out` is as it was. NULL as options is all zero.
// QM_INVALID for what the text does: too long, a pattern beyond its limits, a character that no token can stand for.
QM_MUST_USE enum qm_status qm_tokenizer_encode(struct qm_tokenizer *tokenizer, const char *text, size_t bytes,
                                               const struct qm_encode_options *options, struct qm_tokens *out);

// Ids to text --------------------------------------------------------------------------------------------------------

// The text of ids by the file's decoder (without one: tokens between blanks), as UTF-8, ended by a zero that is not
// counted; free() it. Ids without a token are left out, special ones with `skip_special`.
QM_MUST_USE enum qm_status qm_tokenizer_decode(struct qm_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                                               bool skip_special, char **text, size_t *bytes);

#endif
