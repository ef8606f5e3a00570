#include "base/text.h"

// Bytes of the character at `at`, and its code; 0 where it is not UTF-8.
static size_t character(const unsigned char *at, uint32_t *code)
{
    unsigned char lead = at[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    *code = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) // the end of the text as well
            return 0;
        *code = *code << 6 | (at[i] & 0x3f);
    }
    if (length == 3 && (*code < 0x800 || (*code >= 0xd800 && *code <= 0xdfff)))
        return 0;
    if (length == 4 && (*code < 0x10000 || *code > 0x10ffff))
        return 0;
    return length;
}

static int steers(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

size_t qm_text_steers(const char *at, uint32_t *code)
{
    size_t length = character((const unsigned char *)at, code);
    return length > 0 && *at && steers(*code) ? length : 0;
}

void qm_text_clean(char *text)
{
    const unsigned char *from = (const unsigned char *)text;
    char *to = text;
    while (*from) {
        uint32_t code = 0;
        size_t length = character(from, &code);
        if (length == 0 || steers(code)) {
            *to++ = length == 0 ? '?' : ' ';
            from += length == 0 ? 1 : length;
            continue;
        }
        while (length-- > 0)
            *to++ = (char)*from++;
    }
    *to = '\0';
}
