// Characters of UTF-8 and the few properties of them that tokenizers ask for.
#ifndef QM_TEXT_UTF8_H
#define QM_TEXT_UTF8_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Bytes of the character that begins at `at`, of `count` bytes, and its code; 0 where it is not UTF-8 (a byte too many
// or too few, a longer form than needed, a surrogate, above U+10FFFF).
size_t qm_utf8_character(const unsigned char *at, size_t count, uint32_t *code);
// For text that is known to be UTF-8.
size_t qm_utf8_length(unsigned char lead);
// Writes a character, at most 4 bytes; returns how many.
size_t qm_utf8_write(uint32_t code, char *out);
// Where the character before `end` begins, in text that is known to be UTF-8; `end` must not be `begin`.
const char *qm_utf8_before(const char *begin, const char *end);
// The first byte that is not UTF-8, or `count`.
size_t qm_utf8_valid(const char *text, size_t count);
// How many bytes at `at` (where qm_utf8_character gave 0) one U+FFFD stands for: the longest begin of a character that
// could have gone on, at least 1. It is what Unicode (3.9, "maximal subpart") and WHATWG recommend.
size_t qm_utf8_broken(const unsigned char *at, size_t count);

// White_Space of Unicode: U+0009 to U+000D, 20, 85, A0, 1680, 2000 to 200A, 2028, 2029, 202F, 205F, 3000.
bool qm_unicode_is_space(uint32_t code);
bool qm_unicode_is_number(uint32_t code); // general category N
// General category P as of Unicode 8, and what of ASCII is no letter, digit, blank or control.
bool qm_unicode_is_punctuation(uint32_t code);

// Bytes that grow. Zeroed it is empty; free(bytes.data) when done. The functions fail without memory, leaving it as it was.
struct qm_bytes {
    char *data;
    size_t count, capacity;
};
QM_MUST_USE enum qm_status qm_bytes_reserve(struct qm_bytes *bytes, size_t more); // beyond count
QM_MUST_USE enum qm_status qm_bytes_add(struct qm_bytes *bytes, const char *data, size_t count);
// Adds `text` with U+FFFD for what is not UTF-8; counts those. `replaced` may be NULL.
QM_MUST_USE enum qm_status qm_bytes_add_repaired(struct qm_bytes *bytes, const char *text, size_t count,
                                                 uint64_t *replaced);

#endif
