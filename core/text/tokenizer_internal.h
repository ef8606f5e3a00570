#ifndef QM_TEXT_TOKENIZER_INTERNAL_H
#define QM_TEXT_TOKENIZER_INTERNAL_H

#include "text/added.h"
#include "text/bpe.h"
#include "text/decode.h"
#include "text/json.h"
#include "text/normalize.h"
#include "text/pieces.h"
#include "text/split.h"
#include "text/tokenizer.h"

#define QM_TEMPLATE_TOKENS_MAX 16

struct qm_tokenizer {
    char *file; // for messages
    char sha256[QM_HASH_TEXT_BYTES];
    const char *remark;
    size_t token_count;
    struct qm_added_set added, added_normalized;
    struct qm_normalizers normalizers;
    struct qm_splits splits;
    struct qm_bpe bpe; // whose vocabulary is that of every model
    bool has_pieces;   // normalization, model and decoding are SentencePiece's; what is not added goes there as it is
    struct qm_pieces pieces;
    bool has_unigram; // the model of a tokenizer.json, in place of `bpe`
    struct qm_unigram unigram;
    uint32_t prefix[QM_TEMPLATE_TOKENS_MAX], suffix[QM_TEMPLATE_TOKENS_MAX]; // what the post_processor adds
    size_t prefix_count, suffix_count;
    bool has_template;
    bool has_decoder;
    struct qm_decoders decoders;
    struct qm_bytes repaired; // the text that is encoded, if it was not UTF-8
};

// A file that is read: its values, and what they go to.
struct qm_tokenizer_reader {
    struct qm_json json;
    struct qm_tokenizer *tokenizer;
    const char *file;
};

// tokenizer_read.c: one without a vocabulary. The hash is the caller's to set.
QM_MUST_USE enum qm_status qm_tokenizer_new(const char *file, struct qm_tokenizer **out);

// tokenizer_pieces.c: makes room for `count` pieces, ids 0 to count - 1, then takes them one by one: QM_INVALID for a text that
// is there already, or is too long or empty, a type that does not exist, a score that is not finite, a second unknown piece.
// qm_pieces_finish follows.
QM_MUST_USE enum qm_status qm_tokenizer_begin_pieces(struct qm_tokenizer *tokenizer, uint32_t count);
QM_MUST_USE enum qm_status qm_tokenizer_add_piece(struct qm_tokenizer *tokenizer, uint32_t id, const char *text,
                                                  size_t bytes, float score, uint64_t type);

// tokenizer_model.c: model, and added_tokens once the normalizers are read. `at` may be QM_JSON_NONE.
QM_MUST_USE enum qm_status qm_tokenizer_read_model(struct qm_tokenizer_reader *reader, uint32_t at);
QM_MUST_USE enum qm_status qm_tokenizer_read_added(struct qm_tokenizer_reader *reader, uint32_t at);

// tokenizer_unigram.c: the model of that name, and the ids of a word by it.
QM_MUST_USE enum qm_status qm_tokenizer_read_unigram(struct qm_tokenizer_reader *reader, uint32_t at);
QM_MUST_USE enum qm_status qm_tokenizer_encode_unigram(struct qm_tokenizer *tokenizer, const char *word, size_t count,
                                                       struct qm_tokens *out);

// tokenizer_steps.c: the others.
QM_MUST_USE enum qm_status qm_tokenizer_read_normalizer(struct qm_tokenizer_reader *reader, uint32_t at);
QM_MUST_USE enum qm_status qm_tokenizer_read_pre_tokenizer(struct qm_tokenizer_reader *reader, uint32_t at);
QM_MUST_USE enum qm_status qm_tokenizer_read_post_processor(struct qm_tokenizer_reader *reader, uint32_t at);
QM_MUST_USE enum qm_status qm_tokenizer_read_decoder(struct qm_tokenizer_reader *reader, uint32_t at);

// tokenizer_read.c: what both use. `place` is what to call the object, such as "model".
// Refuses an object with a key that is not in `keys`, words between blanks: what it asks for would be ignored.
QM_MUST_USE enum qm_status qm_reader_check_keys(const struct qm_tokenizer_reader *reader, uint32_t object,
                                                const char *place, const char *keys);
QM_MUST_USE enum qm_status qm_reader_member(const struct qm_tokenizer_reader *reader, uint32_t object,
                                            const char *place, const char *key, uint32_t *out);
// A member that is true or false; `otherwise` where there is none, or null.
QM_MUST_USE enum qm_status qm_reader_bool(const struct qm_tokenizer_reader *reader, uint32_t object, const char *place,
                                          const char *key, bool otherwise, bool *out);
// A member that must be a text: its value's index.
QM_MUST_USE enum qm_status qm_reader_text(const struct qm_tokenizer_reader *reader, uint32_t object, const char *place,
                                          const char *key, uint32_t *out);

// For messages: the length to print of a value's text, and the text.
#define QM_QUOTED_BYTES 60u
#define QM_QUOTED(json, at)                                                                                            \
    (int)((json)->values[at].length < QM_QUOTED_BYTES ? (json)->values[at].length : QM_QUOTED_BYTES),                  \
        qm_json_text((json), (at))

#endif
