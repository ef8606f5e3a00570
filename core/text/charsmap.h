// The precompiled character map of a SentencePiece model: which texts become which when a text is normalized. NFKC and the
// like are not computed by those who read such a model: the file has them, with whatever its maker added.
//
// Its bytes, little-endian: the size of a double array in bytes (u32); the double array; texts, each ended by a zero. The
// array is a trie as of Darts-clone (Susumu Yata): units of 32 bits, of which bits 0 to 7 are the label, bit 8 says that a text
// ends here, and bits 10 to 30 the offset, times 256 where bit 9 is set; the child of a unit for a byte lies at the unit's place
// XOR its offset XOR the byte. Where a text ends, the unit at place XOR offset holds in bits 0 to 30 where the text that it
// becomes begins. Sources: darts.h of Darts-clone; normalizer.cc of SentencePiece.
//
// A walk takes one byte of the text a step and looks at no unit outside the array, so that whatever the bytes it ends.
#ifndef QM_TEXT_CHARSMAP_H
#define QM_TEXT_CHARSMAP_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Zeroed, it maps nothing.
struct qm_charsmap {
    uint32_t *units; // owned, as are the texts
    size_t unit_count;
    char *texts;
    size_t text_bytes;
};

// Takes a copy. `place` names it in messages: "normalizer_spec.precompiled_charsmap". No bytes: an empty map. QM_INVALID for
// sizes that do not fit, and texts that are not UTF-8 or not ended. `out` is zeroed on failure.
QM_MUST_USE enum qm_status qm_charsmap_read(const void *bytes, size_t count, const char *file, const char *place,
                                            struct qm_charsmap *out);
void qm_charsmap_free(struct qm_charsmap *map);

// A begin of a text that the map has, and what it becomes, which points into the map.
struct qm_charsmap_match {
    size_t bytes; // of the begin; 0: the map has none
    const char *text;
    size_t text_bytes;
};
// The longest one (SentencePiece), or the shortest (the `Precompiled` of Hugging Face's tokenizers). A map whose place of a text
// is beyond its texts, or within a character, has no such begin.
struct qm_charsmap_match qm_charsmap_find(const struct qm_charsmap *map, const char *text, size_t count, bool shortest);

#endif
