#include "text/decode.h"
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

void qm_text_list_free(struct qm_text_list *list)
{
    free(list->bytes.data);
    free(list->ends);
    *list = (struct qm_text_list){0};
}

enum qm_status qm_text_list_end(struct qm_text_list *list)
{
    if (list->count == list->capacity) {
        size_t capacity = 2 * list->capacity + 64;
        size_t *grown = realloc(list->ends, capacity * sizeof(*grown));
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu tokens; close other programs or decode fewer",
                           capacity);
        list->ends = grown;
        list->capacity = capacity;
    }
    list->ends[list->count++] = list->bytes.count;
    return QM_OK;
}

static const char *text_at(const struct qm_text_list *list, size_t index, size_t *count)
{
    size_t begin = index == 0 ? 0 : list->ends[index - 1];
    *count = list->ends[index] - begin;
    return list->bytes.data + begin;
}

// Adds the bytes that the characters stand for, or the text itself if one of them stands for none.
static enum qm_status add_bytes_of(const char *text, size_t count, struct qm_bytes *out)
{
    size_t begin = out->count;
    QM_TRY(qm_bytes_reserve(out, count));
    for (size_t i = 0; i < count;) {
        uint32_t code = 0;
        size_t length = qm_utf8_character((const unsigned char *)text + i, count - i, &code);
        int byte = length == 0 ? -1 : qm_character_byte(code);
        if (byte < 0) {
            out->count = begin;
            return qm_bytes_add(out, text, count);
        }
        out->data[out->count++] = (char)byte;
        i += length;
    }
    return QM_OK;
}

static enum qm_status byte_level(const struct qm_text_list *from, struct qm_text_list *to)
{
    struct qm_bytes bytes = {0};
    enum qm_status status = QM_OK;
    for (size_t i = 0; i < from->count; i++) {
        size_t count = 0;
        const char *text = text_at(from, i, &count);
        QM_GUARD(add_bytes_of(text, count, &bytes));
    }
    QM_GUARD(qm_bytes_add_repaired(&to->bytes, bytes.data, bytes.count, NULL));
    QM_GUARD(qm_text_list_end(to));
done:
    free(bytes.data);
    return status;
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// The byte that "<0xNN>" names, or -1. Rust's reader of numbers, which the original uses, takes "+N" as well.
static int fallback_byte(const char *text, size_t count)
{
    if (count != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    int high = text[3] == '+' ? 0 : digit(text[3]), low = digit(text[4]);
    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

// Ends a row of bytes.
static enum qm_status end_row(struct qm_bytes *row, struct qm_text_list *to)
{
    if (row->count == 0)
        return QM_OK;
    bool is_valid = qm_utf8_valid(row->data, row->count) == row->count;
    if (is_valid) {
        QM_TRY(qm_bytes_add(&to->bytes, row->data, row->count));
        QM_TRY(qm_text_list_end(to));
    }
    for (size_t i = 0; i < row->count && !is_valid; i++) {
        QM_TRY(qm_bytes_add(&to->bytes, "\xef\xbf\xbd", 3));
        QM_TRY(qm_text_list_end(to));
    }
    row->count = 0;
    return QM_OK;
}

static enum qm_status byte_fallback(const struct qm_text_list *from, struct qm_text_list *to)
{
    struct qm_bytes row = {0};
    enum qm_status status = QM_OK;
    for (size_t i = 0; i < from->count; i++) {
        size_t count = 0;
        const char *text = text_at(from, i, &count);
        int byte = fallback_byte(text, count);
        if (byte >= 0) {
            QM_GUARD(qm_bytes_add(&row, &(char){(char)byte}, 1));
            continue;
        }
        QM_GUARD(end_row(&row, to));
        QM_GUARD(qm_bytes_add(&to->bytes, text, count));
        QM_GUARD(qm_text_list_end(to));
    }
    QM_GUARD(end_row(&row, to));
done:
    free(row.data);
    return status;
}

static bool begins_with(const char *text, size_t count, const struct qm_bytes *begin)
{
    return count >= begin->count && memcmp(text, begin->data, begin->count) == 0;
}

static enum qm_status strip(const struct qm_decoder *step, const char *text, size_t count, struct qm_bytes *out)
{
    for (uint32_t i = 0; i < step->begin && begins_with(text, count, &step->text); i++) {
        text += step->text.count;
        count -= step->text.count;
    }
    for (uint32_t i = 0; i < step->end && count >= step->text.count &&
                         begins_with(text + count - step->text.count, step->text.count, &step->text);
         i++)
        count -= step->text.count;
    return qm_bytes_add(out, text, count);
}

static enum qm_status metaspace(const struct qm_decoder *step, bool is_first, const char *text, size_t count,
                                struct qm_bytes *out)
{
    bool drops = is_first && step->drops_first;
    for (size_t i = 0; i < count;) {
        if (begins_with(text + i, count - i, &step->text)) {
            QM_TRY(qm_bytes_add(out, " ", drops ? 0 : 1));
            i += step->text.count;
        } else {
            QM_TRY(qm_bytes_add(out, text + i, 1));
            i++;
        }
    }
    return QM_OK;
}

static enum qm_status apply_to_one(const struct qm_decoder *step, bool is_first, const char *text, size_t count,
                                   size_t most, struct qm_pattern_budget *budget, struct qm_bytes *out)
{
    if (step->kind == QM_DECODE_STRIP)
        return strip(step, text, count, out);
    if (step->kind == QM_DECODE_METASPACE)
        return metaspace(step, is_first, text, count, out);
    return qm_replace(step->pattern, &step->text, text, count, most, budget, out);
}

static enum qm_status apply(const struct qm_decoder *step, const struct qm_text_list *from, size_t most,
                            struct qm_text_list *to)
{
    struct qm_pattern_budget budget;
    qm_pattern_budget_begin(&budget, from->bytes.count);
    if (step->kind == QM_DECODE_BYTE_LEVEL)
        return byte_level(from, to);
    if (step->kind == QM_DECODE_BYTE_FALLBACK)
        return byte_fallback(from, to);
    if (step->kind == QM_DECODE_FUSE) {
        QM_TRY(qm_bytes_add(&to->bytes, from->bytes.data, from->bytes.count));
        return qm_text_list_end(to);
    }
    for (size_t i = 0; i < from->count; i++) {
        size_t count = 0;
        const char *text = text_at(from, i, &count);
        QM_TRY(apply_to_one(step, i == 0, text, count, most, &budget, &to->bytes));
        QM_TRY(qm_text_list_end(to));
    }
    return QM_OK;
}

enum qm_status qm_decode(const struct qm_decoders *decoders, size_t most, struct qm_text_list *list)
{
    struct qm_text_list other = {0};
    enum qm_status status = QM_OK;
    for (size_t i = 0; i < decoders->count; i++) {
        other.bytes.count = 0;
        other.count = 0;
        QM_GUARD(apply(&decoders->steps[i], list, most, &other));
        struct qm_text_list done = other;
        other = *list;
        *list = done;
        if (list->bytes.count > most) {
            status = QM_FAIL(QM_INVALID, "the decoded text has more than %zu bytes; decode fewer tokens at once", most);
            goto done;
        }
    }
done:
    qm_text_list_free(&other);
    return status;
}

void qm_decoders_free(struct qm_decoders *decoders)
{
    for (size_t i = 0; i < decoders->count; i++) {
        free(decoders->steps[i].text.data);
        qm_pattern_destroy(&decoders->steps[i].pattern);
    }
    *decoders = (struct qm_decoders){0};
}
