// SentencePiece: the models of a tokenizer.model, and of the vocabularies that a GGUF file calls `llama` and `t5`.
//
// A text is normalized as the file says (a map of characters, white space), then cut as a whole into pieces: by pairs, where of
// two neighbours those become one whose joint text is the piece of the highest score (BPE), or so that scores add up to most
// (unigram.h). What no piece stands for becomes its bytes, <0xNN>, or the unknown piece, one for several in a row.
// Source: bpe_model.cc, unigram_model.cc, normalizer.cc and sentencepiece_processor.cc of SentencePiece 0.1.97, whose ids and
// texts these are.
#ifndef QM_TEXT_PIECES_H
#define QM_TEXT_PIECES_H

#include "text/charsmap.h"
#include "text/unigram.h"
#include "text/vocabulary.h"

struct qm_tokens; // text/tokenizer.h

#define QM_PIECE_BYTES_MAX 512
#define QM_PIECE_MARK "\xe2\x96\x81" // U+2581, which stands for a blank
#define QM_PIECE_MARK_BYTES 3

// Numbered as in the files.
enum qm_piece_type {
    QM_PIECE_NONE = 0, // no piece has this id
    QM_PIECE_NORMAL = 1,
    QM_PIECE_UNKNOWN = 2,      // one
    QM_PIECE_CONTROL = 3,      // never found in a text
    QM_PIECE_USER_DEFINED = 4, // found before all others, the longest first, and never normalized
    QM_PIECE_UNUSED = 5,       // may be on the way to a longer one, and is none itself
    QM_PIECE_BYTE = 6,         // <0xNN>
};

struct qm_piece_normalizer {
    struct qm_charsmap charsmap;
    bool adds_prefix; // a blank before a text, or behind it
    bool at_end;
    bool removes_extra; // blanks at both ends, and those behind another
    bool escapes;       // blanks become marks
};

struct qm_pieces {
    // Set by the reader.
    struct qm_vocabulary *vocabulary; // the tokenizer's
    const char *file;                 // likewise; for messages
    bool is_unigram;
    bool byte_fallback; // there are all 256
    struct qm_piece_normalizer normalizer, denormalizer;
    struct qm_bytes unknown_surface; // owned: what the unknown piece is decoded to
    uint8_t *types;                  // by id; owned
    float *scores;                   // by id; owned
    uint32_t unknown_id;
    // Made by qm_pieces_finish.
    struct qm_prefixes user_defined;
    bool has_user_defined;
    uint32_t byte_ids[256];
    struct qm_unigram unigram;
    uint64_t *joins; // a bit for each pair of characters that lie side by side within a piece; others may have the same
    struct qm_cached_pieces *cache;
    uint32_t *left_bytes; // of an unused piece that was joined: where the two met; NULL where none can be joined
    // Of the text that is worked on.
    struct qm_bytes normalized;
    struct qm_piece_symbol *symbols;
    size_t symbol_count, symbol_capacity;
    struct qm_piece_pair *queue;
    size_t queue_count, queue_capacity;
};

// Call it once the vocabulary, the types and the scores are complete, all of ids below vocabulary->id_count. QM_INVALID for a
// vocabulary without an unknown piece, or with bytes that are none.
QM_MUST_USE enum qm_status qm_pieces_finish(struct qm_pieces *pieces);
void qm_pieces_free(struct qm_pieces *pieces);

// Adds the ids of a text of UTF-8. What would have more than `most` bytes when it is normalized is refused.
QM_MUST_USE enum qm_status qm_pieces_encode(struct qm_pieces *pieces, const char *text, size_t count, size_t most,
                                            struct qm_tokens *out);
// Adds the text of ids. `skip_control`: control pieces vanish; else they stand as they are.
QM_MUST_USE enum qm_status qm_pieces_decode(struct qm_pieces *pieces, const uint32_t *ids, size_t count,
                                            bool skip_control, size_t most, struct qm_bytes *out);

// The byte that the text of a piece names, "<0x0A>"; -1 if it is no such text.
int qm_piece_byte(const char *text, size_t count);
// Adds the normalized text. `user_defined` may be NULL.
QM_MUST_USE enum qm_status qm_pieces_normalize(const struct qm_piece_normalizer *normalizer,
                                               const struct qm_prefixes *user_defined, const char *text, size_t count,
                                               size_t most, struct qm_bytes *out);
// Adds the ids of a normalized text by pairs (pieces_bpe.c).
QM_MUST_USE enum qm_status qm_pieces_join(struct qm_pieces *pieces, const char *text, size_t count,
                                          struct qm_tokens *out);
// What pieces_bpe.c needs: joins and the cache.
QM_MUST_USE enum qm_status qm_pieces_find_joins(struct qm_pieces *pieces);
// Adds the id of a stretch of the normalized text, or what stands for it if it is unknown. *was_unknown: whether the one before
// was, in and out; false at the begin.
QM_MUST_USE enum qm_status qm_pieces_add(const struct qm_pieces *pieces, const char *text, size_t count, uint32_t id,
                                         bool *was_unknown, struct qm_tokens *out);
QM_MUST_USE enum qm_status qm_pieces_out_of_memory(const struct qm_pieces *pieces);

#endif
