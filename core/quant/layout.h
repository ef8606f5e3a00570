// Layout `panel16-k`: a weight repacked for devices, as one buffer of 32-bit words.
//
// Outputs n (rows of the weight) lie in panels of 16, packed along the input k: word (panel, w, lane) of the codes is at
// (panel * words_per_row + w) * 16 + lane and holds, of row n = panel * 16 + lane, value k = w for f32, 2w.. for f16,
// 4w.. for int8, 8w.. for int4, the lowest k in the lowest bits. n is padded to a multiple of 16 with rows of zero.
// Scales begin at the next multiple of 256 bytes: for w8 one float per row, padded likewise; for w4 the matrix
// [n][k/32] of binary16 in panels as f16 codes are, group 2i low and 2i+1 high, an odd number of groups padded with 0.
//
// Since rows in an artifact are packed from the lowest bits upwards too, packing moves whole words and rounds nothing.
#ifndef QM_QUANT_LAYOUT_H
#define QM_QUANT_LAYOUT_H

#include "base/status.h"
#include "quant/scheme.h"

#include <stddef.h>
#include <stdint.h>

#define QM_LAYOUT_NAME "panel16-k"
#define QM_PANEL_ROWS 16u
#define QM_SCALE_ALIGNMENT 256u // bytes

struct qm_layout {
    uint32_t rows_padded;
    uint32_t words_per_row;       // of codes
    uint32_t scale_words_per_row; // 0 for formats without; 1 for w8
    size_t code_words;
    size_t scale_offset_words; // where scales begin; `words` for formats without
    size_t words;              // of the whole buffer
    size_t bytes;              // 4 * words
};

// Sizes. QM_INVALID unless k is a multiple of 32 and n at least 1.
QM_MUST_USE enum qm_status qm_layout_plan(enum qm_weight_format format, uint32_t n, uint32_t k, struct qm_layout *out);

// Packs codes and scales as they lie in an artifact into `words`, which has room for qm_layout_plan's; padding is zeroed.
QM_MUST_USE enum qm_status qm_layout_pack(enum qm_weight_format format, const void *codes, const void *scales,
                                          uint32_t n, uint32_t k, uint32_t *words);
// And back.
QM_MUST_USE enum qm_status qm_layout_unpack(enum qm_weight_format format, const uint32_t *words, uint32_t n, uint32_t k,
                                            void *codes, void *scales);

#endif
