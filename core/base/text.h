// Texts that come from strangers: results, claims, names that drivers and files give.
#ifndef QM_BASE_TEXT_H
#define QM_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

// Makes a text fit for one line of a terminal, in place; it never grows. A blank stands for each control character (C0,
// delete, and C1 in its two bytes of UTF-8, where ESC and CSI are), line and paragraph separator, and for each character
// that changes the direction of what follows; '?' for each byte that is not UTF-8.
void qm_text_clean(char *text);

// Bytes of the character at `at`, one of the above but no byte that is not UTF-8, and its code; 0 where it is none.
size_t qm_text_steers(const char *at, uint32_t *code);

#endif
