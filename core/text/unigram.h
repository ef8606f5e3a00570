// The unigram model: of all ways to cut a text into tokens the one whose scores, logarithms of probabilities, add up to most.
// Kudo, "Subword Regularization", ACL 2018; found from left to right, since the best way to a place does not depend on how it
// goes on (Viterbi). Ties, what an unknown character costs, and the width of sums are the original's: SentencePiece adds in
// 32 bits, Hugging Face's tokenizers in 64, and where two ways are nearly as good that decides.
#ifndef QM_TEXT_UNIGRAM_H
#define QM_TEXT_UNIGRAM_H

#include "text/prefixes.h"

#define QM_UNIGRAM_PENALTY 10 // how much less than the lowest score an unknown character has

struct qm_unigram {
    struct qm_prefixes texts; // of all tokens that may be cut out; values are their ids
    double *scores;           // by id; owned
    bool is_single;           // sums are rounded to 32 bits
    bool *is_user_defined;    // by id; owned, NULL: none is. Their score is that of `highest` for each byte, less 0.1
    double lowest, highest;   // of normal tokens
    uint32_t unknown_id;      // given for an unknown character, whatever it is
    // Of the text that is worked on.
    struct qm_unigram_end *ends;
    size_t end_capacity;
};

// A place of a text, and the token that ends there.
struct qm_unigram_end {
    double score;   // of the best way up to here
    uint32_t begin; // of the last token on it; UINT32_MAX: no way leads here
    uint32_t id;
    uint32_t next; // of a place where a token of the best way begins: where it ends
};

// Cuts a text of UTF-8, at most 2^32 - 2 bytes. The token that begins at `at` ends at ends[at].next, `end`, and is ends[end].id:
// begin with 0, go on until `end` is `count`. Good until the next call.
QM_MUST_USE enum qm_status qm_unigram_cut(struct qm_unigram *unigram, const char *text, size_t count,
                                          struct qm_unigram_end **ends);
void qm_unigram_free(struct qm_unigram *unigram);

#endif
