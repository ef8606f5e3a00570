// The normalizers of a tokenizer.json: what is done to a text before it is cut.
#ifndef QM_TEXT_NORMALIZE_H
#define QM_TEXT_NORMALIZE_H

#include "text/charsmap.h"
#include "text/pattern.h"

#define QM_STEPS_MAX 16 // of normalizers, pre-tokenizers and decoders, each with sequences laid flat

enum qm_normalizer_kind {
    QM_NORMALIZE_NFC,
    QM_NORMALIZE_NFD,
    QM_NORMALIZE_NFKC,
    QM_NORMALIZE_NFKD,
    QM_NORMALIZE_LOWERCASE, // character by character, as Unicode's full mapping; no final sigma
    QM_NORMALIZE_PREPEND,   // text before a text that is not empty
    QM_NORMALIZE_REPLACE,   // text for each match of pattern
    QM_NORMALIZE_STRIP,     // White_Space at the left, the right
    QM_NORMALIZE_MAP,       // `map`, as Hugging Face's Precompiled applies it
};

struct qm_normalizer {
    enum qm_normalizer_kind kind;
    bool left, right;
    struct qm_bytes text;       // owned
    struct qm_pattern *pattern; // owned
    struct qm_charsmap map;     // owned
};

// Steps, and the two buffers that they take turns in.
struct qm_normalizers {
    struct qm_normalizer steps[QM_STEPS_MAX];
    size_t count;
    size_t most; // bytes that may come of a text, and code points while it is worked on
    struct qm_bytes buffers[2];
    struct qm_code_points {
        int32_t *codes;
        size_t count, capacity;
    } codes; // of composition
};

// Applies all steps to UTF-8. *out points to the result, *out_count bytes: the text itself where nothing changed, else a
// buffer that is good until the next call. What would have more than `most` bytes is refused.
QM_MUST_USE enum qm_status qm_normalize(struct qm_normalizers *normalizers, const char *text, size_t count,
                                        struct qm_pattern_budget *budget, const char **out, size_t *out_count);
void qm_normalizers_free(struct qm_normalizers *normalizers);

// Replaces what matches: `out` gets the whole text, up to `most` bytes. Also for decoders.
QM_MUST_USE enum qm_status qm_replace(struct qm_pattern *pattern, const struct qm_bytes *content, const char *text,
                                      size_t count, size_t most, struct qm_pattern_budget *budget,
                                      struct qm_bytes *out);

#endif
