// Layout `panel16-k`: a weight repacked for devices, as one buffer of 32-bit words.
//
// Outputs n (rows of the weight) lie in panels of 16, packed along the input k in steps of 32: word (panel, w, lane) of
// the codes is at (panel * words_per_row + w) * 16 + lane, for row n = panel * 16 + lane. A step has as many words as a
// code has bits; codes of 2, 4, 8, 16 and 32 bits fill them with the lowest k in the lowest bits. 3 bits: two words of
// the codes' low two bits (16 k each), one of their high bits. 6 bits of MX: four words of the low four bits, two of the
// rest. 5 and 6 bits of blocks lie by eights of k: a word each, with six codes at bits 0, 5, 10, 15, 22 and 27, or five at 0,
// 6, 12, 20 and 26, and between them, at 20 or 18, the upper two bits of the eighth code; then for each eight a byte, or half
// a word, of the other codes and the rest of the eighth. n is padded to a multiple of 16 with rows of zero.
//
// Scales begin at the next multiple of 256 bytes. One a row: one float each, padded likewise. Else the bytes of a row's
// scales as an artifact has them (binary16; pairs of scale and zero; E8M0 or E4M3 bytes), lowest first, as words in panels
// like codes. Blocks: q8_0, q4_0 and q5_0 one binary16, q4_1 the pair d, m; q4_k and q5_k 20 bytes: d, dmin, then for each
// 32 values a byte of the scale and one of the minimum, both of 6 bits; q6_k 20 bytes: d, 2 bytes of zero, sixteen int8
// scales. A block's codes are in the order of their values and as in the file, but for q4_0's, which are in two's complement,
// and q5_0's, which are int8.
//
// Widened r times, row n of the buffer is row n mod N of the weight, its codes and scales repeated r times along k.
// Packing moves bits and rounds nothing.
#ifndef QM_QUANT_LAYOUT_H
#define QM_QUANT_LAYOUT_H

#include "base/status.h"
#include "quant/format.h"
#include "quant/scheme.h"

#include <stddef.h>
#include <stdint.h>

#define QM_LAYOUT_NAME "panel16-k"
#define QM_PANEL_ROWS 16u
#define QM_SCALE_ALIGNMENT 256u // bytes

struct qm_layout {
    uint32_t rows_padded;
    uint32_t words_per_row;       // of codes
    uint32_t scale_words_per_row; // 0 for formats without; 1 for one a row
    size_t code_words;
    size_t scale_offset_words; // where scales begin; `words` for formats without
    size_t words;              // of the whole buffer
    size_t bytes;              // 4 * words
};

struct qm_layout_shape {
    uint32_t n, k;             // of the weight
    uint32_t widen_n, widen_k; // 0 counts as 1
};

// Sizes. QM_INVALID unless k is a multiple of 32 and of the format's groups, n at least 1 and everything below 2^32 words.
QM_MUST_USE enum qm_status qm_layout_plan(enum qm_weight_format format, const struct qm_layout_shape *shape,
                                          struct qm_layout *out);

// Packs codes and scales as they lie in an artifact into `words`, which has room for qm_layout_plan's; padding is zeroed.
QM_MUST_USE enum qm_status qm_layout_pack(enum qm_weight_format format, const struct qm_layout_shape *shape,
                                          const struct qm_encoded *encoded, uint32_t *words);
// The same shape and bytes, but nothing repeats: each code is that of a value anywhere in the weight and each scale that of
// a group anywhere in it, drawn from `seed`. Codes are as frequent as they were, and all of them are legal.
QM_MUST_USE enum qm_status qm_layout_pack_random(enum qm_weight_format format, const struct qm_layout_shape *shape,
                                                 const struct qm_encoded *encoded, uint64_t seed, uint32_t *words);
// And back, for formats that are no blocks, of a weight that was not widened.
QM_MUST_USE enum qm_status qm_layout_unpack(enum qm_weight_format format, const struct qm_layout_shape *shape,
                                            const uint32_t *words, const struct qm_encoded *out);

#endif
