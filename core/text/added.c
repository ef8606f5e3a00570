#include "text/added.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum qm_status qm_added_set_add(struct qm_added_set *set, const struct qm_added_token *token)
{
    if (set->count == set->capacity) {
        size_t capacity = 2 * set->capacity + 16;
        struct qm_added_token *grown = realloc(set->tokens, capacity * sizeof(*grown));
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the added tokens; close other programs and try again");
        set->tokens = grown;
        set->capacity = capacity;
    }
    struct qm_added_token *added = &set->tokens[set->count];
    *added = *token;
    added->order = (uint32_t)set->count;
    added->text = malloc(token->bytes);
    if (!added->text)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the added tokens; close other programs and try again");
    memcpy(added->text, token->text, token->bytes);
    set->begins[(unsigned char)added->text[0]] = true;
    set->count++;
    return QM_OK;
}

static int by_text(const void *a, const void *b)
{
    const struct qm_added_token *left = a, *right = b;
    size_t common = left->bytes < right->bytes ? left->bytes : right->bytes;
    int order = memcmp(left->text, right->text, common);
    if (order == 0)
        order = (left->bytes > right->bytes) - (left->bytes < right->bytes);
    return order ? order : (left->order > right->order) - (left->order < right->order);
}

static int by_id(const void *a, const void *b, void *tokens)
{
    const struct qm_added_token *list = tokens;
    uint32_t left = list[*(const uint32_t *)a].id, right = list[*(const uint32_t *)b].id;
    return (left > right) - (left < right);
}

enum qm_status qm_added_set_finish(struct qm_added_set *set)
{
    if (set->count == 0)
        return QM_OK;
    qsort(set->tokens, set->count, sizeof(*set->tokens), by_text);
    set->by_id = malloc(set->count * sizeof(*set->by_id));
    if (!set->by_id)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the added tokens; close other programs and try again");
    for (size_t i = 0; i < set->count; i++)
        set->by_id[i] = (uint32_t)i;
    qsort_r(set->by_id, set->count, sizeof(*set->by_id), by_id, set->tokens);
    return QM_OK;
}

const struct qm_added_token *qm_added_set_find(const struct qm_added_set *set, uint32_t id)
{
    size_t low = 0, high = set->by_id ? set->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct qm_added_token *token = &set->tokens[set->by_id[middle]];
        if (token->id == id)
            return token;
        if (token->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void qm_added_set_free(struct qm_added_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->tokens[i].text);
    free(set->tokens);
    free(set->by_id);
    *set = (struct qm_added_set){0};
}

// Among set->tokens[low .. high), which share `depth` bytes with a text: the first whose next byte is not below `byte`.
static size_t lower_bound(const struct qm_added_set *set, size_t low, size_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct qm_added_token *token = &set->tokens[middle];
        if (token->bytes <= depth || (unsigned char)token->text[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// The longest token that the text begins with, or NULL.
static const struct qm_added_token *longest_at(const struct qm_added_set *set, const char *text, size_t count)
{
    const struct qm_added_token *longest = NULL;
    size_t low = 0, high = set->count;
    for (size_t depth = 0; depth < count && low < high; depth++) {
        unsigned byte = (unsigned char)text[depth];
        low = lower_bound(set, low, high, depth, byte);
        high = lower_bound(set, low, high, depth, byte + 1);
        if (low < high && set->tokens[low].bytes == depth + 1)
            longest = &set->tokens[low];
    }
    return longest;
}

// What the regular expression \w of Rust matches: Alphabetic, Mark, Decimal_Number, Connector_Punctuation, Join_Control.
// Alphabetic is letters, numbers that are letters, marks, and the circled and squared letters of the category So.
static bool is_of_word(uint32_t code)
{
    if (code < 0x80)
        return (code >= '0' && code <= '9') || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z') ||
               code == '_';
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) || category == UTF8PROC_CATEGORY_PC ||
           code == 0x200c || code == 0x200d || (code >= 0x24b6 && code <= 0x24e9) ||
           (code >= 0x1f130 && code <= 0x1f149) || (code >= 0x1f150 && code <= 0x1f169) ||
           (code >= 0x1f170 && code <= 0x1f189);
}

static bool stands_alone(const char *text, size_t count, size_t begin, size_t end)
{
    uint32_t code = 0;
    if (begin > 0) {
        const char *before = qm_utf8_before(text, text + begin);
        if (qm_utf8_character((const unsigned char *)before, (size_t)(text + begin - before), &code) > 0 &&
            is_of_word(code))
            return false;
    }
    return end == count || qm_utf8_character((const unsigned char *)text + end, count - end, &code) == 0 ||
           !is_of_word(code);
}

static size_t spaces_before(const char *text, size_t least, size_t begin)
{
    while (begin > least) {
        uint32_t code = 0;
        const char *before = qm_utf8_before(text, text + begin);
        if (qm_utf8_character((const unsigned char *)before, (size_t)(text + begin - before), &code) == 0 ||
            !qm_unicode_is_space(code))
            break;
        begin = (size_t)(before - text);
    }
    return begin;
}

static size_t spaces_behind(const char *text, size_t count, size_t end)
{
    while (end < count) {
        uint32_t code = 0;
        size_t length = qm_utf8_character((const unsigned char *)text + end, count - end, &code);
        if (length == 0 || !qm_unicode_is_space(code))
            break;
        end += length;
    }
    return end;
}

enum qm_status qm_added_split(const struct qm_added_set *set, const char *text, size_t count, bool special_is_text,
                              qm_added_sink sink, void *context)
{
    size_t done = 0, at = 0, spaces_end = 0; // spaces_end: of the White_Space that was looked through last
    while (set->count > 0 && at < count) {
        const struct qm_added_token *token =
            set->begins[(unsigned char)text[at]] ? longest_at(set, text + at, count - at) : NULL;
        if (!token) {
            at++;
            continue;
        }
        size_t begin = at, end = at + token->bytes;
        at = end;
        if ((special_is_text && token->is_special) || (token->is_word && !stands_alone(text, count, begin, end)))
            continue;
        if (token->takes_left && begin > done)
            begin = spaces_before(text, done, begin);
        if (token->takes_right) {
            spaces_end = end < spaces_end ? spaces_end : spaces_behind(text, count, end);
            end = spaces_end;
        }
        if (done < begin)
            QM_TRY(sink(context, NULL, text + done, begin - done, done == 0));
        QM_TRY(sink(context, token, text + begin, end > begin ? end - begin : 0, begin == 0));
        done = end;
    }
    return done < count ? sink(context, NULL, text + done, count - done, done == 0) : QM_OK;
}
