// Products of whole workgroups: the formula, layouts and bound of product.h, for devices where many invocations share fast
// local memory.
//
// A workgroup computes QM_TILE_ROWS rows of QM_TILE_COLUMNS columns. Its invocations fetch QM_STAGE_K values of k of both
// sides, decode them into one half of local memory, and meanwhile multiply what they left in the other half before: one
// barrier a stage. An invocation owns QM_ROWS rows and QM_COLUMNS columns, rows and vectors of columns being those of its
// neighbours' interleaved, so that neighbours read neighbouring words.
//
// Accumulation: integer codes with int8 or int4 activations lie in local memory as four signed bytes a word, along k; int32
// within a block, converted once, float32 across blocks in their order: the bits of product.h for the same inputs, but for
// what contraction does to the sum over blocks. With QM_PACKED_DOT the products of a word are one instruction. Else the
// weight's scale and offset are applied where it is decoded, and float32 sums run along k, one at a time: one rounding more
// for a weight, which the bound has room for.
//
// Local memory: floats 2 * QM_STAGE_K * (rows + columns) words; integers a quarter of it and the scales of a stage's columns.
#ifndef QM_BODY
#include "product.h"
#include "packed_bytes.h"
#define QM_TILE_COLUMN_VECTORS (QM_TILE_COLUMNS / QM_VW)
#define QM_TILE_X (QM_TILE_COLUMNS / QM_COLUMNS) // invocations side by side
#define QM_TILE_Y (QM_TILE_ROWS / QM_ROWS)
#if defined(QM_INTEGER_PRODUCT) // a block of scales must lie in a stage
#undef QM_STAGE_K
#define QM_STAGE_K 32
#define QM_STAGE_PARTS (QM_STAGE_K / QM_BLOCK_K)
#define QM_STAGE_WEIGHTS (QM_STAGE_K / 4 * QM_TILE_COLUMN_VECTORS) // in fours of words
#define QM_STAGE_ROWS (QM_TILE_ROWS * 2)
#define QM_STAGE_SCALES (QM_STAGE_PARTS * QM_TILE_COLUMN_VECTORS)
#else
#define QM_STAGE_WEIGHTS (QM_STAGE_K * QM_TILE_COLUMN_VECTORS)
#define QM_STAGE_QUADS (QM_STAGE_K / 4)
#define QM_STAGE_ROWS (QM_TILE_ROWS * QM_STAGE_QUADS)
#endif
#undef QM_LOCALS
#if defined(QM_INTEGER_PRODUCT) && defined(QM_WEIGHT_OFFSET)
#define QM_LOCALS                                                                                                      \
    QM_LOCAL_U4(weight_tile, 2 * QM_STAGE_WEIGHTS)                                                                     \
    QM_LOCAL_U4(row_tile, 2 * QM_STAGE_ROWS)                                                                           \
    QM_LOCAL_U4(scale_tile, 4 * QM_STAGE_SCALES)
#elif defined(QM_INTEGER_PRODUCT) && defined(QM_WEIGHT_GROUPS)
#define QM_LOCALS                                                                                                      \
    QM_LOCAL_U4(weight_tile, 2 * QM_STAGE_WEIGHTS)                                                                     \
    QM_LOCAL_U4(row_tile, 2 * QM_STAGE_ROWS)                                                                           \
    QM_LOCAL_U4(scale_tile, 2 * QM_STAGE_SCALES)
#else
#define QM_LOCALS                                                                                                      \
    QM_LOCAL_U4(weight_tile, 2 * QM_STAGE_WEIGHTS)                                                                     \
    QM_LOCAL_U4(row_tile, 2 * QM_STAGE_ROWS)
#endif

#if defined(QM_INTEGER_PRODUCT) && !defined(QM_HOST)
QM_FUNCTION qm_iv qm_byte_lanes(qm_u4 words, int shift)
{
    return (QM_IV_FROM_UV(words) << shift) >> 24;
}
#define QM_BYTE_OF(word, shift) (QM_INT((word) << (shift)) >> 24)
#endif

#else
    uint row0 = QM_GROUP_X * QM_UINT(QM_TILE_ROWS);
    uint column0 = QM_GROUP_Y * QM_UINT(QM_TILE_COLUMNS);
    uint tile_x = QM_LOCAL_X % QM_UINT(QM_TILE_X), tile_y = QM_LOCAL_X / QM_UINT(QM_TILE_X);
    uint steps = k / 32u;
    uint panel_words = steps * QM_CODE_WORDS * QM_PANEL;
    uint last_column = (n - 1u) / QM_UINT(QM_VW) * QM_UINT(QM_VW); // of a vector; those beyond it compute it again
    uint stages = steps * QM_UINT(32 / QM_STAGE_K);

    qm_fv total[QM_ROWS * QM_VECTORS];
    QM_UNROLL for (int i = 0; i < QM_ROWS * QM_VECTORS; ++i)
        total[i] = QM_FV(0.0f);
#if defined(QM_INTEGER_PRODUCT)
    qm_iv inner[QM_ROWS * QM_VECTORS]; // without blocks it stays int32 to the end
    QM_UNROLL for (int i = 0; i < QM_ROWS * QM_VECTORS; ++i)
        inner[i] = QM_IV(0);
#endif

    for (uint stage = 0u; stage <= stages; ++stage) {
        if (stage < stages) {
            uint side = stage & 1u;
            uint step = stage / QM_UINT(32 / QM_STAGE_K);
            int first_eight = QM_INT(stage % QM_UINT(32 / QM_STAGE_K)) * (QM_STAGE_K / 8);
            // Columns: eight k of a vector of columns each.
            for (uint item = QM_LOCAL_X; item < QM_UINT(QM_STAGE_K / 8 * QM_TILE_COLUMN_VECTORS);
                 item += QM_UINT(QM_WORKGROUP_X)) {
                uint vector = item % QM_UINT(QM_TILE_COLUMN_VECTORS);
                int eight = QM_INT(item / QM_UINT(QM_TILE_COLUMN_VECTORS));
                uint column = QM_MIN(column0 + vector * QM_UINT(QM_VW), last_column);
                uint panel = column / QM_PANEL;
                uint base = panel * panel_words + column % QM_PANEL + step * (QM_CODE_WORDS * QM_PANEL);
#if defined(QM_INTEGER_PRODUCT)
                QM_PACKED_EIGHT(base, eight)
                uint to = side * QM_UINT(QM_STAGE_WEIGHTS) + QM_UINT(2 * eight) * QM_UINT(QM_TILE_COLUMN_VECTORS) + vector;
                weight_tile[to] = p0;
                weight_tile[to + QM_UINT(QM_TILE_COLUMN_VECTORS)] = p1;
#if defined(QM_WEIGHT_GROUPS)
                if (eight % (QM_BLOCK_K / 8) == 0) {
                    const int v = 0;
                    int part = eight / (QM_BLOCK_K / 8);
                    QM_SCALES(steps, step, part)
                    uint scale_to = (side * QM_UINT(QM_STAGE_PARTS) + QM_UINT(part)) * QM_UINT(QM_TILE_COLUMN_VECTORS) + vector;
                    scale_tile[scale_to] = QM_UV_BITS(scale);
#if defined(QM_WEIGHT_OFFSET)
                    scale_tile[scale_to + QM_UINT(2 * QM_STAGE_SCALES)] = QM_UV_BITS(offset);
#endif
                }
#endif
#else
                QM_DECODE_EIGHT(base, first_eight + eight)
#if defined(QM_WEIGHT_GROUPS)
                const int v = 0;
                QM_SCALES(steps, step, (first_eight + eight) / (QM_BLOCK_K / 8))
#if defined(QM_WEIGHT_OFFSET)
#define QM_SCALED(w) QM_UV_BITS((w) * scale + offset)
#else
#define QM_SCALED(w) QM_UV_BITS((w) * scale)
#endif
#else
#define QM_SCALED(w) QM_UV_BITS(w)
#endif
                uint to = side * QM_UINT(QM_STAGE_WEIGHTS) + QM_UINT(8 * eight) * QM_UINT(QM_TILE_COLUMN_VECTORS) + vector;
                weight_tile[to] = QM_SCALED(w0);
                weight_tile[to + QM_UINT(QM_TILE_COLUMN_VECTORS)] = QM_SCALED(w1);
                weight_tile[to + QM_UINT(2 * QM_TILE_COLUMN_VECTORS)] = QM_SCALED(w2);
                weight_tile[to + QM_UINT(3 * QM_TILE_COLUMN_VECTORS)] = QM_SCALED(w3);
                weight_tile[to + QM_UINT(4 * QM_TILE_COLUMN_VECTORS)] = QM_SCALED(w4);
                weight_tile[to + QM_UINT(5 * QM_TILE_COLUMN_VECTORS)] = QM_SCALED(w5);
                weight_tile[to + QM_UINT(6 * QM_TILE_COLUMN_VECTORS)] = QM_SCALED(w6);
                weight_tile[to + QM_UINT(7 * QM_TILE_COLUMN_VECTORS)] = QM_SCALED(w7);
#endif
            }
            // Rows. Those beyond the last repeat it.
#if defined(QM_INTEGER_PRODUCT)
            for (uint item = QM_LOCAL_X; item < QM_UINT(QM_STAGE_ROWS); item += QM_UINT(QM_WORKGROUP_X)) {
                uint row = QM_MIN(row0 + item / 2u, rows - 1u);
                uint from = row * (steps * 4u * QM_ACTIVATION_WORDS) + (step * 4u + item % 2u * 2u) * QM_ACTIVATION_WORDS;
#if defined(QM_ACTIVATION_A4)
                uint c0 = QM_LOAD1(activations, from), c1 = QM_LOAD1(activations, from + 1u);
                qm_u4 halves = QM_U4(c0, c0 >> 16, c1, c1 >> 16), spread = QM_SPREAD_NIBBLES(halves);
                row_tile[side * QM_UINT(QM_STAGE_ROWS) + item] = QM_SIGN_NIBBLES(spread);
#else
                row_tile[side * QM_UINT(QM_STAGE_ROWS) + item] = QM_LOAD4(activations, from);
#endif
            }
#else
            for (uint item = QM_LOCAL_X; item < QM_UINT(QM_TILE_ROWS * QM_STAGE_K / QM_UNIT_K);
                 item += QM_UINT(QM_WORKGROUP_X)) {
                uint at = item / QM_UINT(QM_STAGE_K / QM_UNIT_K);
                uint unit = item % QM_UINT(QM_STAGE_K / QM_UNIT_K);
                uint row = QM_MIN(row0 + at, rows - 1u);
                uint first = QM_UINT(first_eight) + unit * QM_UINT(QM_UNIT_K / 8);
                QM_LOAD_ACTIVATIONS(row * (steps * 4u * QM_ACTIVATION_WORDS) + (step * 4u + first) * QM_ACTIVATION_WORDS)
                QM_UNROLL for (int eight = 0; eight < QM_UNIT_K / 8; ++eight) {
                    QM_EIGHT_ACTIVATIONS(eight)
                    // Fours of a row are turned by its number, so that rows do not meet in one bank.
                    uint to = side * QM_UINT(QM_STAGE_ROWS) + at * QM_UINT(QM_STAGE_QUADS);
                    uint quad = unit * QM_UINT(QM_UNIT_K / 4) + QM_UINT(2 * eight) + at;
                    qm_f4 low = QM_F4(a0, a1, a2, a3), high = QM_F4(a4, a5, a6, a7);
#if defined(QM_ACTIVATION_GROUPS)
                    float row_scale = activation_scales[row * (steps >> activation_shift) + (step >> activation_shift)];
                    low = low * row_scale;
                    high = high * row_scale;
#endif
                    row_tile[to + quad % QM_UINT(QM_STAGE_QUADS)] = QM_UV_BITS(low);
                    row_tile[to + (quad + 1u) % QM_UINT(QM_STAGE_QUADS)] = QM_UV_BITS(high);
                }
            }
#endif
        }
        if (stage > 0u) {
            uint side = (stage - 1u) & 1u;
            uint weight_at = side * QM_UINT(QM_STAGE_WEIGHTS) + tile_x;
            uint row_at = side * QM_UINT(QM_STAGE_ROWS);
#if defined(QM_INTEGER_PRODUCT)
            QM_UNROLL for (int part = 0; part < QM_STAGE_PARTS; ++part) {
#if defined(QM_BLOCKS)
                QM_UNROLL for (int i = 0; i < QM_ROWS * QM_VECTORS; ++i)
                    inner[i] = QM_IV(0);
#endif
#if defined(QM_WEIGHT_OFFSET)
                int activation_sum[QM_ROWS];
                QM_UNROLL for (int r = 0; r < QM_ROWS; ++r)
                    activation_sum[r] = 0;
#endif
                // Sixteen k at a time: four words of each row.
                for (int unit = part * QM_BLOCK_K / 16; unit < (part + 1) * QM_BLOCK_K / 16; ++unit) {
                    qm_u4 a[QM_ROWS];
                    QM_UNROLL for (int r = 0; r < QM_ROWS; ++r)
                        a[r] = row_tile[row_at + (QM_UINT(r * QM_TILE_Y) + tile_y) * 2u + QM_UINT(unit)];
                    QM_UNROLL for (int j = 0; j < 4; ++j) {
#if defined(QM_WEIGHT_OFFSET)
                        QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
#if defined(QM_PACKED_DOT)
                            activation_sum[r] += QM_DOT(QM_LANE(a[r], j), 0x01010101u);
#else
                            activation_sum[r] += (QM_BYTE_OF(QM_LANE(a[r], j), 24) + QM_BYTE_OF(QM_LANE(a[r], j), 16)) +
                                                 (QM_BYTE_OF(QM_LANE(a[r], j), 8) + QM_BYTE_OF(QM_LANE(a[r], j), 0));
#endif
                        }
#endif
                        QM_UNROLL for (int v = 0; v < QM_VECTORS; ++v) {
                            qm_u4 w = weight_tile[weight_at + QM_UINT((4 * unit + j) * QM_TILE_COLUMN_VECTORS + v * QM_TILE_X)];
#if defined(QM_PACKED_DOT)
                            QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
                                uint word = QM_LANE(a[r], j);
                                QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane)
                                    QM_LANE(inner[r * QM_VECTORS + v], lane) += QM_DOT(QM_LANE(w, lane), word);
                            }
#else
                            qm_iv w0 = qm_byte_lanes(w, 24), w1 = qm_byte_lanes(w, 16), w2 = qm_byte_lanes(w, 8),
                                  w3 = qm_byte_lanes(w, 0);
                            QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
                                uint word = QM_LANE(a[r], j);
                                inner[r * QM_VECTORS + v] += w0 * QM_BYTE_OF(word, 24) + w1 * QM_BYTE_OF(word, 16) +
                                                             w2 * QM_BYTE_OF(word, 8) + w3 * QM_BYTE_OF(word, 0);
                            }
#endif
                        }
                    }
                }
#if defined(QM_BLOCKS)
                QM_UNROLL for (int v = 0; v < QM_VECTORS; ++v) {
#if defined(QM_WEIGHT_GROUPS)
                    uint scale_at = (side * QM_UINT(QM_STAGE_PARTS) + QM_UINT(part)) * QM_UINT(QM_TILE_COLUMN_VECTORS) +
                                    QM_UINT(v * QM_TILE_X) + tile_x;
                    qm_fv scale = QM_FV_BITS(scale_tile[scale_at]);
#endif
#if defined(QM_WEIGHT_OFFSET)
                    qm_fv offset = QM_FV_BITS(scale_tile[scale_at + QM_UINT(2 * QM_STAGE_SCALES)]);
#endif
                    QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
                        qm_fv block = QM_FV_FROM_IV(inner[r * QM_VECTORS + v]);
#if defined(QM_WEIGHT_GROUPS)
                        block = block * scale;
#endif
#if defined(QM_WEIGHT_OFFSET)
                        block += offset * QM_FLOAT(activation_sum[r]);
#endif
#if defined(QM_ACTIVATION_GROUPS)
                        uint scale_row = QM_MIN(row0 + QM_UINT(r * QM_TILE_Y) + tile_y, rows - 1u);
                        block = block * activation_scales[scale_row * (steps >> activation_shift) +
                                                          ((stage - 1u) >> activation_shift)];
#endif
                        total[r * QM_VECTORS + v] += block;
                    }
                }
#endif
            }
#else
            for (int quad = 0; quad < QM_STAGE_QUADS; ++quad) {
                qm_fv a[QM_ROWS];
                QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
                    uint at = QM_UINT(r * QM_TILE_Y) + tile_y;
                    a[r] = QM_FV_BITS(row_tile[row_at + at * QM_UINT(QM_STAGE_QUADS) +
                                               (QM_UINT(quad) + at) % QM_UINT(QM_STAGE_QUADS)]);
                }
                QM_UNROLL for (int j = 0; j < 4; ++j) {
                    QM_UNROLL for (int v = 0; v < QM_VECTORS; ++v) {
                        qm_fv w = QM_FV_BITS(
                            weight_tile[weight_at + QM_UINT((4 * quad + j) * QM_TILE_COLUMN_VECTORS + v * QM_TILE_X)]);
                        QM_UNROLL for (int r = 0; r < QM_ROWS; ++r)
                            total[r * QM_VECTORS + v] += w * QM_LANE(a[r], j);
                    }
                }
            }
#endif
        }
        QM_BARRIER;
    }

    QM_UNROLL for (int v = 0; v < QM_VECTORS; ++v) {
        uint at = column0 + (QM_UINT(v * QM_TILE_X) + tile_x) * QM_UINT(QM_VW);
        qm_fv factor = QM_FV(multiplier * QM_WEIGHT_FACTOR);
#if defined(QM_WEIGHT_CHANNEL_SCALE)
        factor = factor * QM_FV_BITS(QM_LOAD_UV(weights, scale_offset + QM_MIN(at, last_column)));
#endif
        QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
            uint row = row0 + QM_UINT(r * QM_TILE_Y) + tile_y;
            if (row < rows && at < n) {
#if defined(QM_INTEGER_PRODUCT) && !defined(QM_BLOCKS)
                qm_fv value = QM_FV_FROM_IV(inner[r * QM_VECTORS + v]) * factor;
#else
                qm_fv value = total[r * QM_VECTORS + v] * factor;
#endif
#if defined(QM_ACTIVATION_SCALED)
                value = value * activation_scales[row];
#endif
                QM_STORE_RESULT(row, at, value)
            }
        }
    }
#endif
