// The pre-tokenizers of a tokenizer.json: how a text is cut into the words that the model merges within.
//
// Steps work on one piece at a time and hand each part on to the next step, so nothing of the size of the text is kept.
#ifndef QM_TEXT_SPLIT_H
#define QM_TEXT_SPLIT_H

#include "text/normalize.h"

enum qm_split_kind {
    QM_SPLIT_PATTERN,     // at the matches of a pattern
    QM_SPLIT_NUMBERS,     // at characters of the general category N
    QM_SPLIT_SPACES,      // at White_Space
    QM_SPLIT_PUNCTUATION, // at qm_unicode_is_punctuation
    QM_SPLIT_METASPACE,   // `mark` for each blank, then before each mark
    QM_SPLIT_NOT,         // nowhere; a blank may be set before
};

// What becomes of a match, by the names that the file has for it.
enum qm_split_behavior {
    QM_SPLIT_ISOLATED,
    QM_SPLIT_REMOVED,
    QM_SPLIT_MERGED_WITH_PREVIOUS,
    QM_SPLIT_MERGED_WITH_NEXT,
    QM_SPLIT_CONTIGUOUS, // neighbouring matches are one
};

enum qm_split_prefix {
    QM_SPLIT_PREFIX_NEVER,
    QM_SPLIT_PREFIX_FIRST, // only where the text begins
    QM_SPLIT_PREFIX_ALWAYS,
};

struct qm_split {
    enum qm_split_kind kind;
    enum qm_split_behavior behavior;
    bool inverts;                // what does not match is cut out instead
    bool cuts;                   // QM_SPLIT_METASPACE: false keeps the piece whole
    enum qm_split_prefix prefix; // whether `mark` goes before a piece that does not begin with it
    char mark[4];
    size_t mark_bytes;
    struct qm_pattern *pattern; // owned
    struct qm_bytes buffer;     // owned: the piece, where it is changed
};

struct qm_splits {
    struct qm_split steps[QM_STEPS_MAX];
    size_t count;
};

// Takes a word, which is not empty; what it returns ends the walk unless it is QM_OK.
typedef enum qm_status (*qm_split_sink)(void *context, const char *text, size_t count);

// `is_begin`: the piece begins where the whole text does.
QM_MUST_USE enum qm_status qm_split_text(struct qm_splits *splits, const char *text, size_t count, bool is_begin,
                                         struct qm_pattern_budget *budget, qm_split_sink sink, void *context);
void qm_splits_free(struct qm_splits *splits);

#endif
