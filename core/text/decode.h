// The decoders of a tokenizer.json: how texts of tokens become one text. Each step makes a list of texts of a list of texts;
// what is left at the end stands one behind the other.
#ifndef QM_TEXT_DECODE_H
#define QM_TEXT_DECODE_H

#include "text/normalize.h"

enum qm_decoder_kind {
    QM_DECODE_BYTE_LEVEL,    // characters are bytes (qm_byte_character)
    QM_DECODE_BYTE_FALLBACK, // <0xNN> are bytes; those in a row that are no UTF-8 together become U+FFFD each
    QM_DECODE_FUSE,          // one text of all
    QM_DECODE_REPLACE,       // `text` for each match of `pattern`
    QM_DECODE_STRIP, // up to `begin` times `text`, one character, off the begin of each, up to `end` times off the end
    QM_DECODE_METASPACE, // a blank for each `text`, one character; nothing in the first token if `drops_first`
};

struct qm_decoder {
    enum qm_decoder_kind kind;
    uint32_t begin, end;
    bool drops_first;
    struct qm_bytes text;       // owned
    struct qm_pattern *pattern; // owned
};

struct qm_decoders {
    struct qm_decoder steps[QM_STEPS_MAX];
    size_t count;
};

// Texts, one behind the other; where each ends.
struct qm_text_list {
    struct qm_bytes bytes;
    size_t *ends;
    size_t count, capacity;
};
void qm_text_list_free(struct qm_text_list *list);
// Ends the text that was added to list->bytes.
QM_MUST_USE enum qm_status qm_text_list_end(struct qm_text_list *list);

// Applies all steps; `list` holds the result, at most `most` bytes.
QM_MUST_USE enum qm_status qm_decode(const struct qm_decoders *decoders, size_t most, struct qm_text_list *list);
void qm_decoders_free(struct qm_decoders *decoders);

#endif
