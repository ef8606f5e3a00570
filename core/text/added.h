// Added tokens: texts that are looked for before a text is cut, and are one token where they are found.
#ifndef QM_TEXT_ADDED_H
#define QM_TEXT_ADDED_H

#include "text/utf8.h"

#define QM_ADDED_BYTES_MAX 512 // of one; how many are looked at from each place of a text
#define QM_ADDED_TOKENS_MAX 65536

struct qm_added_token {
    char *text; // what is looked for, normalized where that is asked; owned
    size_t bytes;
    uint32_t id;
    uint32_t order;               // of several with the same text the first one counts
    bool takes_left, takes_right; // White_Space beside it belongs to it
    bool is_word;                 // counts only between characters that belong to no word
    bool is_special;
};

// Zeroed it is empty.
struct qm_added_set {
    struct qm_added_token *tokens; // by text, once finished
    size_t count, capacity;
    bool begins[256]; // bytes that one begins with
    uint32_t *by_id;  // places in `tokens`, by id, once finished
};

// Copies the text, which must not be empty.
QM_MUST_USE enum qm_status qm_added_set_add(struct qm_added_set *set, const struct qm_added_token *token);
QM_MUST_USE enum qm_status qm_added_set_finish(struct qm_added_set *set);
const struct qm_added_token *qm_added_set_find(const struct qm_added_set *set, uint32_t id); // NULL if it has none
void qm_added_set_free(struct qm_added_set *set);

// A part of a text: an added token, or (token NULL) what lies between two.
typedef enum qm_status (*qm_added_sink)(void *context, const struct qm_added_token *token, const char *text,
                                        size_t count, bool is_begin);

// Hands on all parts of a text of UTF-8 that are not empty. At each place the longest token counts.
// `special_is_text`: special tokens are not looked for.
QM_MUST_USE enum qm_status qm_added_split(const struct qm_added_set *set, const char *text, size_t count,
                                          bool special_is_text, qm_added_sink sink, void *context);

#endif
