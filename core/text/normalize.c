#include "text/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define DECOMPOSED_MAX 32u // code points of one; the longest, U+FDFA in NFKD, has 18

static enum qm_status check_bytes(size_t bytes, size_t most)
{
    if (bytes <= most)
        return QM_OK;
    return QM_FAIL(QM_INVALID, "a text grows beyond %zu bytes when it is normalized; cut it into shorter texts", most);
}

// Unicode's normal forms ---------------------------------------------------------------------------------------------

static enum qm_status add_decomposed(struct qm_code_points *codes, uint32_t code, utf8proc_option_t options)
{
    if (codes->capacity - codes->count < DECOMPOSED_MAX) {
        size_t capacity = 2 * codes->capacity + 16 * DECOMPOSED_MAX;
        int32_t *grown = realloc(codes->codes, capacity * sizeof(*grown));
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY,
                           "no memory to normalize a text; close other programs or use shorter texts");
        codes->codes = grown;
        codes->capacity = capacity;
    }
    int boundary = 0;
    utf8proc_ssize_t added = utf8proc_decompose_char((utf8proc_int32_t)code, codes->codes + codes->count,
                                                     DECOMPOSED_MAX, options, &boundary);
    if (added < 0 || added > (utf8proc_ssize_t)DECOMPOSED_MAX)
        return QM_FAIL(QM_FAILED, "U+%04X could not be decomposed; report this", code);
    codes->count += (size_t)added;
    return QM_OK;
}

static int combining_class(int32_t code)
{
    return code < 0x300 ? 0 : utf8proc_get_property(code)->combining_class;
}

// Sorts the marks behind each starter by their class, equal ones as they stood, in time that grows with their number:
// utf8proc's own sort moves one at a time, and a text of a million marks is a text that somebody will try.
static enum qm_status sort_marks(struct qm_code_points *codes)
{
    for (size_t begin = 0; begin < codes->count;) {
        size_t end = begin, places[257] = {0};
        bool is_sorted = true;
        for (int before = 0; end < codes->count; end++) {
            int class = combining_class(codes->codes[end]);
            if (class == 0)
                break;
            is_sorted = is_sorted && before <= class;
            before = class;
        }
        if (is_sorted) {
            begin = end + 1;
            continue;
        }
        int32_t *sorted = malloc((end - begin) * sizeof(*sorted));
        if (!sorted)
            return QM_FAIL(QM_OUT_OF_MEMORY,
                           "no memory to normalize a text; close other programs or use shorter texts");
        for (size_t i = begin; i < end; i++)
            places[combining_class(codes->codes[i]) + 1]++;
        for (size_t i = 1; i < 257; i++)
            places[i] += places[i - 1];
        for (size_t i = begin; i < end; i++)
            sorted[places[combining_class(codes->codes[i])]++] = codes->codes[i];
        memcpy(codes->codes + begin, sorted, (end - begin) * sizeof(*sorted));
        free(sorted);
        begin = end + 1;
    }
    return QM_OK;
}

// One stretch whose neighbours do not combine with it.
static enum qm_status normalize_stretch(enum qm_normalizer_kind kind, struct qm_normalizers *normalizers,
                                        const char *text, size_t count, struct qm_bytes *out)
{
    struct qm_code_points *codes = &normalizers->codes;
    bool is_compatible = kind == QM_NORMALIZE_NFKC || kind == QM_NORMALIZE_NFKD;
    bool composes = kind == QM_NORMALIZE_NFC || kind == QM_NORMALIZE_NFKC;
    utf8proc_option_t options =
        UTF8PROC_STABLE | (composes ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) | (is_compatible ? UTF8PROC_COMPAT : 0);
    codes->count = 0;
    for (size_t i = 0; i < count;) {
        uint32_t code = 0;
        size_t length = qm_utf8_character((const unsigned char *)text + i, count - i, &code);
        if (length == 0)
            return QM_FAIL(QM_FAILED, "a text that is not UTF-8 came to be normalized; report this");
        QM_TRY(add_decomposed(codes, code, options));
        QM_TRY(check_bytes(codes->count, normalizers->most));
        i += length;
    }
    QM_TRY(sort_marks(codes));
    if (composes) {
        utf8proc_ssize_t left = utf8proc_normalize_utf32(codes->codes, (utf8proc_ssize_t)codes->count, options);
        if (left < 0)
            return QM_FAIL(QM_FAILED, "a text could not be composed: %s; report this", utf8proc_errmsg(left));
        codes->count = (size_t)left;
    }
    for (size_t i = 0; i < codes->count; i++) {
        QM_TRY(qm_bytes_reserve(out, 4));
        out->count += qm_utf8_write((uint32_t)codes->codes[i], out->data + out->count);
    }
    return QM_OK;
}

// The end of the part that is its own normal form, whatever follows: in all forms ASCII before ASCII.
static size_t ascii_before(const char *text, size_t begin, size_t count)
{
    size_t end = begin;
    while (end < count && !((unsigned char)text[end] & 0x80))
        end++;
    return end == count || end == begin ? end : end - 1;
}

static bool is_composed_already(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((unsigned char)text[i] >= 0xcc) // the lead byte of U+0300
            return false;
    return true;
}

static enum qm_status normal_form(enum qm_normalizer_kind kind, struct qm_normalizers *normalizers, const char *text,
                                  size_t count, struct qm_bytes *out)
{
    for (size_t at = 0; at < count;) {
        size_t plain = ascii_before(text, at, count), end = plain;
        QM_TRY(qm_bytes_add(out, text + at, plain - at));
        // Up to two ASCII characters in a row, of which the first may still combine with nothing behind it.
        while (end < count && !(end > plain && end + 1 < count && !(text[end] & 0x80) && !(text[end + 1] & 0x80)))
            end++;
        if (end > plain)
            QM_TRY(normalize_stretch(kind, normalizers, text + plain, end - plain, out));
        at = end;
    }
    return QM_OK;
}

// The others --------------------------------------------------------------------------------------------------------

static enum qm_status lowercase(const char *text, size_t count, struct qm_bytes *out)
{
    for (size_t i = 0; i < count;) {
        uint32_t code = 0;
        size_t length = qm_utf8_character((const unsigned char *)text + i, count - i, &code);
        QM_TRY(qm_bytes_reserve(out, 4));
        if (length == 0)
            return QM_FAIL(QM_FAILED, "a text that is not UTF-8 came to be normalized; report this");
        i += length;
        if (code == 0x130) { // the one character whose lower case is two (SpecialCasing.txt, without conditions)
            QM_TRY(qm_bytes_add(out, "i\xcc\x87", 3));
            continue;
        }
        uint32_t lower = code < 0x80 ? code + (code >= 'A' && code <= 'Z' ? 32 : 0)
                                     : (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
        out->count += qm_utf8_write(lower, out->data + out->count);
    }
    return QM_OK;
}

enum qm_status qm_replace(struct qm_pattern *pattern, const struct qm_bytes *content, const char *text, size_t count,
                          size_t most, struct qm_pattern_budget *budget, struct qm_bytes *out)
{
    struct qm_pattern_search search = {.text = text, .count = count, .budget = budget};
    size_t done = 0;
    if (count == 0)
        return QM_OK;
    for (;;) {
        size_t begin = 0, end = 0;
        bool found = false;
        QM_TRY(qm_pattern_next(pattern, &search, &begin, &end, &found));
        if (!found)
            break;
        QM_TRY(qm_bytes_add(out, text + done, begin - done));
        QM_TRY(qm_bytes_add(out, content->data, content->count));
        QM_TRY(check_bytes(out->count, most));
        done = end;
    }
    return qm_bytes_add(out, text + done, count - done);
}

static void strip(const struct qm_normalizer *step, const char **text, size_t *count)
{
    const char *begin = *text, *end = *text + *count;
    uint32_t code = 0;
    while (step->left && begin < end) {
        size_t length = qm_utf8_character((const unsigned char *)begin, (size_t)(end - begin), &code);
        if (length == 0 || !qm_unicode_is_space(code))
            break;
        begin += length;
    }
    while (step->right && begin < end) {
        const char *last = qm_utf8_before(begin, end);
        if (qm_utf8_character((const unsigned char *)last, (size_t)(end - last), &code) == 0 ||
            !qm_unicode_is_space(code))
            break;
        end = last;
    }
    *text = begin;
    *count = (size_t)(end - begin);
}

// The end of what a reader takes for one character (Unicode's extended grapheme clusters).
static size_t cluster_end(const char *text, size_t begin, size_t count)
{
    uint32_t before = 0, code = 0;
    utf8proc_int32_t state = 0;
    size_t end = begin + qm_utf8_character((const unsigned char *)text + begin, count - begin, &before);
    while (end < count) {
        size_t length = qm_utf8_character((const unsigned char *)text + end, count - end, &code);
        if (length == 0 || utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)code, &state))
            break;
        before = code;
        end += length;
    }
    return end;
}

// Adds what a begin of the text becomes in place of all of it; false where the map has none.
static enum qm_status add_mapped(const struct qm_charsmap *map, const char *text, size_t count, struct qm_bytes *out,
                                 bool *is_mapped)
{
    struct qm_charsmap_match match = qm_charsmap_find(map, text, count, true);
    *is_mapped = match.bytes > 0;
    return *is_mapped ? qm_bytes_add(out, match.text, match.text_bytes) : QM_OK;
}

// Not what SentencePiece does, but what Hugging Face's readers do with its map: a cluster of up to five bytes as a whole, by the
// shortest begin of it that the map has; else character by character.
static enum qm_status apply_map(const struct qm_charsmap *map, const char *text, size_t count, size_t most,
                                struct qm_bytes *out)
{
    for (size_t begin = 0, end = 0; begin < count; begin = end) {
        bool is_mapped = false;
        end = cluster_end(text, begin, count);
        if (end == begin)
            return QM_FAIL(QM_FAILED, "a text that is not UTF-8 came to be normalized; report this");
        if (end - begin < 6)
            QM_TRY(add_mapped(map, text + begin, end - begin, out, &is_mapped));
        for (size_t i = begin; !is_mapped && i < end;) {
            size_t length = qm_utf8_length((unsigned char)text[i]);
            bool is_character_mapped = false;
            QM_TRY(add_mapped(map, text + i, length, out, &is_character_mapped));
            if (!is_character_mapped)
                QM_TRY(qm_bytes_add(out, text + i, length));
            QM_TRY(check_bytes(out->count, most));
            i += length;
        }
        QM_TRY(check_bytes(out->count, most));
    }
    return QM_OK;
}

static enum qm_status apply(struct qm_normalizers *normalizers, const struct qm_normalizer *step, const char *text,
                            size_t count, struct qm_pattern_budget *budget, struct qm_bytes *out)
{
    switch (step->kind) {
    case QM_NORMALIZE_NFC:
    case QM_NORMALIZE_NFD:
    case QM_NORMALIZE_NFKC:
    case QM_NORMALIZE_NFKD:
        return normal_form(step->kind, normalizers, text, count, out);
    case QM_NORMALIZE_LOWERCASE:
        return lowercase(text, count, out);
    case QM_NORMALIZE_PREPEND:
        QM_TRY(qm_bytes_add(out, step->text.data, step->text.count));
        return qm_bytes_add(out, text, count);
    case QM_NORMALIZE_MAP:
        return apply_map(&step->map, text, count, normalizers->most, out);
    default:
        return qm_replace(step->pattern, &step->text, text, count, normalizers->most, budget, out);
    }
}

enum qm_status qm_normalize(struct qm_normalizers *normalizers, const char *text, size_t count,
                            struct qm_pattern_budget *budget, const char **out, size_t *out_count)
{
    for (size_t i = 0, turn = 0; i < normalizers->count && count > 0; i++) {
        const struct qm_normalizer *step = &normalizers->steps[i];
        if (step->kind == QM_NORMALIZE_STRIP) {
            strip(step, &text, &count);
            continue;
        }
        if (step->kind == QM_NORMALIZE_NFC && is_composed_already(text, count))
            continue;
        struct qm_bytes *to = &normalizers->buffers[turn];
        turn = 1 - turn;
        to->count = 0;
        QM_TRY(apply(normalizers, step, text, count, budget, to));
        QM_TRY(check_bytes(to->count, normalizers->most));
        text = to->data;
        count = to->count;
    }
    *out = text;
    *out_count = count;
    return QM_OK;
}

void qm_normalizers_free(struct qm_normalizers *normalizers)
{
    for (size_t i = 0; i < normalizers->count; i++) {
        free(normalizers->steps[i].text.data);
        qm_pattern_destroy(&normalizers->steps[i].pattern);
        qm_charsmap_free(&normalizers->steps[i].map);
    }
    free(normalizers->buffers[0].data);
    free(normalizers->buffers[1].data);
    free(normalizers->codes.codes);
    *normalizers = (struct qm_normalizers){0};
}
