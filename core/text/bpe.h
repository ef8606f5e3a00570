// Byte pair encoding: a word becomes the tokens of its characters, of which the two neighbours whose merge has the lowest
// rank become one, until no two can. Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword
// Units", ACL 2016; the details (what an unknown character becomes, ties, doubled merges) as Hugging Face's tokenizers has
// them.
//
// A queue by (rank, place) makes a word of n characters cost O(n log n): a whole text may be one word (Llama 2). Such a word
// is cut first where no merge can reach across: between two characters, both of them tokens, such that no merge has a left
// side that ends in the one and a right side that begins with the other.
#ifndef QM_TEXT_BPE_H
#define QM_TEXT_BPE_H

#include "text/vocabulary.h"

struct qm_tokens; // text/tokenizer.h

#define QM_CACHED_WORD_BYTES 30
#define QM_CACHED_WORD_TOKENS 8

struct qm_merge {
    uint64_t pair; // left id << 32 | right id; UINT64_MAX is free
    uint32_t rank, id;
};

struct qm_bpe {
    // Set by the reader.
    struct qm_vocabulary vocabulary;
    bool is_word_level;  // no merges: a word is a token, or unknown (WordLevel)
    bool is_byte_level;  // words are bytes, and a token's text has a character for each (qm_byte_character)
    bool byte_fallback;  // a character without a token becomes <0xNN> for each of its bytes
    bool ignore_merges;  // a word that is a token becomes that token
    bool fuses_unknown;  // unknown characters in a row become one token
    bool has_unknown;    // unk_token is set; without, unknown characters vanish
    uint32_t unknown_id; // QM_TOKEN_NONE: unk_token is not in the vocabulary
    const char *file;    // for messages; the tokenizer's
    // Made by qm_bpe_add_merge and qm_bpe_finish.
    struct qm_merge *merges; // open addressing
    size_t merge_slots, merge_count;
    uint32_t byte_ids[256];     // of a byte's character
    uint32_t fallback_ids[256]; // of <0xNN>
    struct qm_cached_word *cache;
    bool cuts;               // words that are not byte-level
    uint64_t *joins;         // a bit for each pair of characters that a merge may join; others may have the same
    unsigned char *is_token; // for each of the first characters of Unicode whether it is a token
    // Of the word that is worked on.
    struct qm_symbol *symbols;
    size_t symbol_count, symbol_capacity;
    struct qm_candidate *queue;
    size_t queue_count, queue_capacity;
    struct qm_bytes mapped;
};

// The merge of two tokens into a third; of merges of the same two the last one counts.
QM_MUST_USE enum qm_status qm_bpe_add_merge(struct qm_bpe *bpe, uint32_t left, uint32_t right, uint32_t rank,
                                            uint32_t id);
// Call it once the vocabulary and the merges are complete.
QM_MUST_USE enum qm_status qm_bpe_finish(struct qm_bpe *bpe);
void qm_bpe_free(struct qm_bpe *bpe);

// Adds the tokens of a word, which is UTF-8 and not empty.
QM_MUST_USE enum qm_status qm_bpe_encode(struct qm_bpe *bpe, const char *word, size_t count, struct qm_tokens *out);

// The character that stands for a byte in the texts of byte-level tokens: bytes that Latin-1 prints stand for themselves,
// the others, in order, for U+0100 and up. And back: -1 for a character that is none of them.
uint32_t qm_byte_character(unsigned char byte);
int qm_character_byte(uint32_t character);

#endif
