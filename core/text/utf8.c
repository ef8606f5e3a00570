#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

size_t qm_utf8_length(unsigned char lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

// The range of a second byte; the lead bytes E0, ED, F0 and F4 narrow it (Unicode, table 3-7).
static void second_range(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
}

// How many bytes there are of a character that begins well; *whole: whether that is all of it.
static size_t begin_of_character(const unsigned char *at, size_t count, bool *whole)
{
    unsigned char lead = at[0], low = 0, high = 0;
    *whole = lead < 0x80;
    if (lead < 0xc2 || lead > 0xf4)
        return 1;
    size_t length = qm_utf8_length(lead);
    second_range(lead, &low, &high);
    for (size_t i = 1; i < length; i++) {
        if (i >= count || at[i] < low || at[i] > high)
            return i;
        low = 0x80;
        high = 0xbf;
    }
    *whole = true;
    return length;
}

size_t qm_utf8_character(const unsigned char *at, size_t count, uint32_t *code)
{
    bool whole = false;
    size_t length = begin_of_character(at, count, &whole);
    if (!whole)
        return 0;
    *code = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++)
        *code = *code << 6 | (at[i] & 0x3f);
    return length;
}

size_t qm_utf8_broken(const unsigned char *at, size_t count)
{
    bool whole = false;
    return begin_of_character(at, count, &whole);
}

size_t qm_utf8_write(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)((length == 2 ? 0xc0 : length == 3 ? 0xe0 : 0xf0) | code);
    return length;
}

const char *qm_utf8_before(const char *begin, const char *end)
{
    do {
        --end;
    } while (end > begin && ((unsigned char)*end & 0xc0) == 0x80);
    return end;
}

size_t qm_utf8_valid(const char *text, size_t count)
{
    const unsigned char *at = (const unsigned char *)text;
    for (size_t i = 0; i < count;) {
        uint64_t eight = 0;
        if (count - i >= sizeof(eight)) {
            memcpy(&eight, at + i, sizeof(eight));
            if ((eight & 0x8080808080808080u) == 0) {
                i += sizeof(eight);
                continue;
            }
        }
        uint32_t code = 0;
        size_t length = qm_utf8_character(at + i, count - i, &code);
        if (length == 0)
            return i;
        i += length;
    }
    return count;
}

bool qm_unicode_is_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
           code == 0x3000;
}

bool qm_unicode_is_number(uint32_t code)
{
    if (code < 0x80)
        return code >= '0' && code <= '9';
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

// Punctuation that came after Unicode 8 (DerivedAge.txt): the original's table is that old.
static const uint32_t later_punctuation[][2] = {
    {0x61d, 0x61d},     {0x9fd, 0x9fd},     {0xa76, 0xa76},     {0xc77, 0xc77},     {0xc84, 0xc84},
    {0x1b7d, 0x1b7e},   {0x2e43, 0x2e4f},   {0x2e52, 0x2e5d},   {0x10ead, 0x10ead}, {0x10f55, 0x10f59},
    {0x10f86, 0x10f89}, {0x1144b, 0x1144f}, {0x1145a, 0x1145b}, {0x1145d, 0x1145d}, {0x11660, 0x1166c},
    {0x116b9, 0x116b9}, {0x1183b, 0x1183b}, {0x11944, 0x11946}, {0x119e2, 0x119e2}, {0x11a3f, 0x11a46},
    {0x11a9a, 0x11a9c}, {0x11a9e, 0x11aa2}, {0x11c41, 0x11c45}, {0x11c70, 0x11c71}, {0x11ef7, 0x11ef8},
    {0x11f43, 0x11f4f}, {0x11fff, 0x11fff}, {0x12ff1, 0x12ff2}, {0x16e97, 0x16e9a}, {0x16fe2, 0x16fe2},
    {0x1e95e, 0x1e95f}};

bool qm_unicode_is_punctuation(uint32_t code)
{
    if (code < 0x80)
        return code > 0x20 && code < 0x7f && !(code >= '0' && code <= '9') && !(code >= 'A' && code <= 'Z') &&
               !(code >= 'a' && code <= 'z');
    if (code == 0x166d || code == 0x111c9) // until Unicode 11 and 12
        return true;
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
    if (category < UTF8PROC_CATEGORY_PC || category > UTF8PROC_CATEGORY_PO)
        return false;
    for (size_t i = 0; i < sizeof(later_punctuation) / sizeof(later_punctuation[0]); i++)
        if (code >= later_punctuation[i][0] && code <= later_punctuation[i][1])
            return false;
    return true;
}

enum qm_status qm_bytes_reserve(struct qm_bytes *bytes, size_t more)
{
    if (bytes->capacity - bytes->count >= more)
        return QM_OK;
    size_t capacity = bytes->capacity + bytes->capacity / 2;
    if (capacity < bytes->count + more)
        capacity = bytes->count + more;
    if (capacity < 64)
        capacity = 64;
    char *grown = realloc(bytes->data, capacity);
    if (!grown)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu bytes of text; close other programs or use shorter texts",
                       capacity);
    bytes->data = grown;
    bytes->capacity = capacity;
    return QM_OK;
}

enum qm_status qm_bytes_add(struct qm_bytes *bytes, const char *data, size_t count)
{
    if (count == 0)
        return QM_OK;
    QM_TRY(qm_bytes_reserve(bytes, count));
    memcpy(bytes->data + bytes->count, data, count);
    bytes->count += count;
    return QM_OK;
}

enum qm_status qm_bytes_add_repaired(struct qm_bytes *bytes, const char *text, size_t count, uint64_t *replaced)
{
    uint64_t found = 0;
    while (count > 0) {
        size_t valid = qm_utf8_valid(text, count);
        QM_TRY(qm_bytes_add(bytes, text, valid));
        text += valid;
        count -= valid;
        if (count == 0)
            break;
        size_t broken = qm_utf8_broken((const unsigned char *)text, count);
        QM_TRY(qm_bytes_add(bytes, "\xef\xbf\xbd", 3));
        text += broken;
        count -= broken;
        found++;
    }
    if (replaced)
        *replaced += found;
    return QM_OK;
}
