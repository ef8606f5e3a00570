// Texts that come from strangers: results, claims, names that drivers and files give.
#ifndef QM_BASE_TEXT_H
#define QM_BASE_TEXT_H

// Makes a text fit for one line of a terminal, in place; it never grows. A blank stands for each control character (C0,
// delete, and C1 in its two bytes of UTF-8, where ESC and CSI are), line and paragraph separator, and for each character
// that changes the direction of what follows; '?' for each byte that is not UTF-8.
void qm_text_clean(char *text);

#endif
