// The arithmetic of `matmul` and `matvec`: weight decoder x activation class.
//
//   y[row][n] = multiplier * sum over blocks b of (a_scale[row][b] * sum over k in b of a[row][k] (w_scale[n][b] w[n][k] +
//               w_offset[n][b]))
//
// Weights, their scales and offsets: weights.h. Activations are rows of K values, packed along k, the lowest in the lowest
// bits: 1 (f32), 2 (f16, bf16), 4 (int8, E4M3FN) or 8 (int4) to a word. Their scales are one a row, or, with
// QM_ACTIVATION_GROUPS, one per 2^activation_shift steps of 32 k of a row. A block is what shares scales of both sides,
// but at most 32 k; without groups it is the whole of K. K is a multiple of 32.
//
// Accumulation: integer codes with int8 or int4 activations: int32 within a block, converted once, float32 across blocks;
// what an offset takes is the int32 sum of the block's activations. Else float32 throughout, the codes converted exactly,
// four k per expression (QM_STAGE: k after k). Multiply-adds may contract. Each output's order of summation depends on
// QM_STAGE and QM_SPLIT alone: the vector runs along columns.
//
// Bound against the oracle, for exactly represented inputs: |error| <= (K + 8) 2^-24 * multiplier * sum |a_scale a| (|w_scale
// w| + |w_offset|), where with QM_PLACED_CODES a signed format has an offset, of -8 or -32 w_scale; with integer products the
// inner sums are exact, and what is left is (blocks + 8) 2^-24 of it.
//
// One invocation computes QM_ROWS rows of QM_COLUMNS columns; QM_SPLIT invocations share the steps of 32 k of one tile and
// add up in a fixed order through local memory. With QM_STAGE an invocation computes several such tiles: product_staged.h.
#ifndef QM_PRODUCT_H
#define QM_PRODUCT_H

#define QM_VECTORS (QM_COLUMNS / QM_VW)
// Drivers that make lanes of invocations do so along x alone: the columns' tiles lie along it unless slices do.
#if QM_SPLIT > 1
#define QM_TILE_COLUMN (QM_GROUP_Y * QM_UINT(QM_WORKGROUP_Y) + QM_LOCAL_Y)
#define QM_SLICE QM_LOCAL_X
#else
#define QM_TILE_COLUMN (QM_GROUP_Y * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X)
#define QM_SLICE 0u
#endif

#if defined(QM_ACTIVATION_A8) || defined(QM_ACTIVATION_A4)
#define QM_INTEGER_PRODUCT
#define qm_scalar int
#define QM_SCALAR_ZERO 0
#define QM_ACC_ZERO QM_IV(0)
#define QM_ACC_TO_FV(x) QM_FV_FROM_IV(x)
#else
#define qm_scalar float
#define QM_SCALAR_ZERO 0.0f
#define QM_ACC_ZERO QM_FV(0.0f)
#define QM_ACC_TO_FV(x) (x)
#endif
#include "weights.h"

#if defined(QM_WEIGHT_GROUPS) || defined(QM_ACTIVATION_GROUPS)
#define QM_BLOCKS
#endif

#if (defined(QM_ACTIVATION_A8) || defined(QM_ACTIVATION_F8)) && !defined(QM_ACTIVATION_GROUPS)
#define QM_ACTIVATION_SCALED // one scale a row
#endif

// Activations of one row: four words at a time hold QM_UNIT_K of them (f32: twice four; int4: one word), taken apart eight
// by eight.
#if defined(QM_ACTIVATION_F32)
#define QM_UNIT_K 8
#define QM_ACTIVATION_WORDS 8u // for 8 k
#define QM_LOAD_ACTIVATIONS(base) qm_u4 c0 = QM_LOAD4(activations, base), c1 = QM_LOAD4(activations, (base) + 4u);
#define QM_EIGHT_ACTIVATIONS(eight)                                                                                    \
    float a0 = QM_BITS_FLOAT(QM_LANE(c0, 0)), a1 = QM_BITS_FLOAT(QM_LANE(c0, 1)), a2 = QM_BITS_FLOAT(QM_LANE(c0, 2)),  \
          a3 = QM_BITS_FLOAT(QM_LANE(c0, 3)), a4 = QM_BITS_FLOAT(QM_LANE(c1, 0)), a5 = QM_BITS_FLOAT(QM_LANE(c1, 1)),  \
          a6 = QM_BITS_FLOAT(QM_LANE(c1, 2)), a7 = QM_BITS_FLOAT(QM_LANE(c1, 3));
#elif defined(QM_ACTIVATION_F16)
#define QM_UNIT_K 8
#define QM_ACTIVATION_WORDS 4u
#if defined(QM_LOAD_HALF8)
#define QM_LOAD_ACTIVATIONS(base) qm_f8 c = QM_LOAD_HALF8(activations, base);
#define QM_EIGHT_ACTIVATIONS(eight)                                                                                    \
    float a0 = QM_LANE(c, 0), a1 = QM_LANE(c, 1), a2 = QM_LANE(c, 2), a3 = QM_LANE(c, 3), a4 = QM_LANE(c, 4),          \
          a5 = QM_LANE(c, 5), a6 = QM_LANE(c, 6), a7 = QM_LANE(c, 7);
#else
#define QM_LOAD_ACTIVATIONS(base)                                                                                      \
    qm_u4 c = QM_LOAD4(activations, base);                                                                             \
    qm_f4 even = qm_half_low4(c), odd = qm_half_high4(c);
#define QM_EIGHT_ACTIVATIONS(eight)                                                                                    \
    float a0 = QM_LANE(even, 0), a1 = QM_LANE(odd, 0), a2 = QM_LANE(even, 1), a3 = QM_LANE(odd, 1),                    \
          a4 = QM_LANE(even, 2), a5 = QM_LANE(odd, 2), a6 = QM_LANE(even, 3), a7 = QM_LANE(odd, 3);
#endif
#elif defined(QM_ACTIVATION_BF16)
#define QM_UNIT_K 8
#define QM_ACTIVATION_WORDS 4u
#define QM_LOAD_ACTIVATIONS(base) qm_u4 c = QM_LOAD4(activations, base);
#define QM_EVEN(i) QM_BITS_FLOAT(QM_LANE(c, i) << 16)
#define QM_ODD(i) QM_BITS_FLOAT(QM_LANE(c, i) & 0xffff0000u)
#define QM_EIGHT_ACTIVATIONS(eight)                                                                                    \
    float a0 = QM_EVEN(0), a1 = QM_ODD(0), a2 = QM_EVEN(1), a3 = QM_ODD(1), a4 = QM_EVEN(2), a5 = QM_ODD(2),           \
          a6 = QM_EVEN(3), a7 = QM_ODD(3);
#elif defined(QM_ACTIVATION_F8)
#define QM_UNIT_K 16
#define QM_ACTIVATION_WORDS 2u
#define QM_LOAD_ACTIVATIONS(base)                                                                                      \
    qm_u4 c = QM_LOAD4(activations, base);                                                                             \
    qm_f4 byte0 = QM_E4M3_OF(qm_small_4, c << 24), byte1 = QM_E4M3_OF(qm_small_4, c << 16),                            \
          byte2 = QM_E4M3_OF(qm_small_4, c << 8), byte3 = QM_E4M3_OF(qm_small_4, c);
#define QM_EIGHT_ACTIVATIONS(eight)                                                                                    \
    float a0 = QM_LANE(byte0, 2 * (eight)), a1 = QM_LANE(byte1, 2 * (eight)), a2 = QM_LANE(byte2, 2 * (eight)),        \
          a3 = QM_LANE(byte3, 2 * (eight)), a4 = QM_LANE(byte0, 2 * (eight) + 1), a5 = QM_LANE(byte1, 2 * (eight) + 1), \
          a6 = QM_LANE(byte2, 2 * (eight) + 1), a7 = QM_LANE(byte3, 2 * (eight) + 1);
#elif defined(QM_ACTIVATION_A4)
#define QM_UNIT_K 8
#define QM_ACTIVATION_WORDS 1u
#define QM_LOAD_ACTIVATIONS(base) uint c = QM_LOAD1(activations, base);
#define QM_EIGHT_ACTIVATIONS(eight)                                                                                    \
    int a0 = QM_INT(c << 28) >> 28, a1 = QM_INT(c << 24) >> 28, a2 = QM_INT(c << 20) >> 28, a3 = QM_INT(c << 16) >> 28, \
        a4 = QM_INT(c << 12) >> 28, a5 = QM_INT(c << 8) >> 28, a6 = QM_INT(c << 4) >> 28, a7 = QM_INT(c) >> 28;
#else
#define QM_UNIT_K 16
#define QM_ACTIVATION_WORDS 2u
#define QM_LOAD_ACTIVATIONS(base) qm_u4 c = QM_LOAD4(activations, base);
#define QM_EIGHT_ACTIVATIONS(eight)                                                                                    \
    uint c0 = QM_LANE(c, 2 * (eight)), c1 = QM_LANE(c, 2 * (eight) + 1);                                               \
    int a0 = QM_INT(c0 << 24) >> 24, a1 = QM_INT(c0 << 16) >> 24, a2 = QM_INT(c0 << 8) >> 24, a3 = QM_INT(c0) >> 24,   \
        a4 = QM_INT(c1 << 24) >> 24, a5 = QM_INT(c1 << 16) >> 24, a6 = QM_INT(c1 << 8) >> 24, a7 = QM_INT(c1) >> 24;
#endif

#if defined(QM_STAGE) || defined(QM_ROW_STAGE)
#include "staging.h"
#endif
#if defined(QM_ROW_STAGE)
#undef QM_UNIT_K
#undef QM_LOAD_ACTIVATIONS
#undef QM_EIGHT_ACTIVATIONS
#define QM_UNIT_K 8
#define QM_LOAD_ACTIVATIONS(base)
#define QM_EIGHT_ACTIVATIONS(eight)                                                                                    \
    uint at = step % QM_UINT(QM_ROW_STAGE / 32) * 32u + QM_STAGED_EIGHT(QM_UINT(first_eight));                         \
    qm_scalar a0 = staged[at + QM_STAGED_AT(0)], a1 = staged[at + QM_STAGED_AT(1)], a2 = staged[at + QM_STAGED_AT(2)], \
              a3 = staged[at + QM_STAGED_AT(3)], a4 = staged[at + QM_STAGED_AT(4)], a5 = staged[at + QM_STAGED_AT(5)], \
              a6 = staged[at + QM_STAGED_AT(6)], a7 = staged[at + QM_STAGED_AT(7)];
#endif

#define QM_BUFFERS                                                                                                     \
    QM_IN4(0, weights)                                                                                                 \
    QM_IN4(1, activations)                                                                                             \
    QM_IN(2, float, activation_scales)                                                                                 \
    QM_INOUT(3, float, result)
// Rows of activations; k; n; where scales begin, in words of `weights`; floats between rows of the result; what multiplies
// all; the logarithms, to base 2, of the steps of 32 k that share a weight scale, and an activation scale; whether the
// result is added to what is there, as residual.h adds it (1), or takes its place (0).
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(k)                                                                                                          \
    QM_U32(n)                                                                                                          \
    QM_U32(scale_offset)                                                                                               \
    QM_U32(result_stride)                                                                                              \
    QM_F32(multiplier)                                                                                                 \
    QM_U32(weight_shift)                                                                                               \
    QM_U32(activation_shift)                                                                                           \
    QM_U32(is_added)
// A vector of results of one row to its place, or added to what is there; the last one may stand out over n. GLSL stores lane
// by lane, and there both sides of a condition may be carried out: it has one side alone.
#if defined(QM_GLSL)
#define QM_STORE_RESULT(row, at, value)                                                                                \
    {                                                                                                                  \
        uint to = (row) * result_stride + (at);                                                                        \
        QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane) {                                                           \
            if ((at) + QM_UINT(lane) < n) {                                                                            \
                float stored = QM_LANE(value, lane);                                                                   \
                if (is_added != 0u)                                                                                    \
                    stored = qm_sum_of(result[to + QM_UINT(lane)], stored);                                            \
                result[to + QM_UINT(lane)] = stored;                                                                   \
            }                                                                                                          \
        }                                                                                                              \
    }
#else
#define QM_STORE_RESULT(row, at, value)                                                                                \
    {                                                                                                                  \
        uint to = (row) * result_stride + (at);                                                                        \
        qm_fv stored = value;                                                                                          \
        if (is_added != 0u) {                                                                                          \
            QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane) {                                                       \
                if ((at) + QM_UINT(lane) < n)                                                                          \
                    QM_LANE(stored, lane) = qm_sum_of(result[to + QM_UINT(lane)], QM_LANE(stored, lane));              \
            }                                                                                                          \
        }                                                                                                              \
        if ((at) + QM_UINT(QM_VW) <= n) {                                                                              \
            QM_STORE_FV(result, to, stored);                                                                           \
        } else {                                                                                                       \
            QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane) {                                                       \
                if ((at) + QM_UINT(lane) < n)                                                                          \
                    result[to + QM_UINT(lane)] = QM_LANE(stored, lane);                                                \
            }                                                                                                          \
        }                                                                                                              \
    }
#endif

#if QM_SPLIT > 1
#define QM_LOCALS QM_LOCAL_U32(partials, QM_WORKGROUP_X * QM_WORKGROUP_Y * QM_ROWS * QM_COLUMNS)
#else
#define QM_LOCALS
#endif

#endif

#if defined(QM_BODY) && defined(QM_STAGE)
#include "product_staged.h"
#elif defined(QM_BODY)
    // Group x: row tile (fastest, so that neighbours share weights); group y and local x: column tile; where slices share
    // it, local y is the column tile and local x the slice.
    uint row0 = QM_GROUP_X * QM_UINT(QM_ROWS);
    uint column0 = QM_TILE_COLUMN * QM_UINT(QM_COLUMNS);
    uint steps = k / 32u;
    uint panel_words = steps * QM_CODE_WORDS * QM_PANEL;
    // Tiles beyond the last column compute the last one again (no early exit: barriers follow) and store nothing.
    uint last_tile = (n - 1u) / QM_UINT(QM_COLUMNS) * QM_UINT(QM_COLUMNS);
    uint column = QM_MIN(column0, last_tile);
    uint panel = column / QM_PANEL;
    uint weight_base = panel * panel_words + column % QM_PANEL;
    uint activation_base[QM_ROWS];
    QM_UNROLL for (int r = 0; r < QM_ROWS; ++r)
        activation_base[r] = QM_MIN(row0 + QM_UINT(r), rows - 1u) * (steps * 4u * QM_ACTIVATION_WORDS);
#if QM_SPLIT > 1
    uint first_step = steps * QM_SLICE / QM_UINT(QM_SPLIT);
    uint end_step = steps * (QM_SLICE + 1u) / QM_UINT(QM_SPLIT);
#else
    uint first_step = 0u, end_step = steps;
#endif

    qm_fv total[QM_ROWS * QM_VECTORS];
    QM_UNROLL for (int i = 0; i < QM_ROWS * QM_VECTORS; ++i)
        total[i] = QM_FV(0.0f);
#if defined(QM_INTEGER_PRODUCT) || defined(QM_BLOCKS)
    qm_acc inner[QM_ROWS * QM_VECTORS]; // without blocks it stays int32 to the end, across slices too
    QM_UNROLL for (int i = 0; i < QM_ROWS * QM_VECTORS; ++i)
        inner[i] = QM_ACC_ZERO;
#else
#define inner total
#endif

#if defined(QM_ROW_STAGE)
    qm_scalar staged[QM_ROW_STAGE];
#if defined(QM_WEIGHT_OFFSET)
    qm_scalar staged_sum[QM_ROW_STAGE / QM_BLOCK_K];
#endif
#endif
#if defined(QM_PAIRS)
    qm_f8 pairs[4];
    QM_UNROLL for (int i = 0; i < 4; ++i)
        pairs[i] = QM_F8(0.0f);
#endif
    // 32 k a trip, unrolled: a trip blends every accumulator by the mask of lanes where lanes are invocations.
    for (uint step = first_step; step < end_step; ++step) {
        uint step_base = weight_base + step * (QM_CODE_WORDS * QM_PANEL);
#if defined(QM_ROW_STAGE)
        if (step % QM_UINT(QM_ROW_STAGE / 32) == 0u) {
            uint count = QM_MIN(end_step - step, QM_UINT(QM_ROW_STAGE / 32));
            for (uint next = 0u; next < count; ++next) {
                QM_STAGE_STEP(staged, next * 32u, activation_base[0] + (step + next) * (4u * QM_ACTIVATION_WORDS))
#if defined(QM_WEIGHT_OFFSET) && QM_BLOCK_K == 32
                staged_sum[next] = QM_STAGED_SUM(staged, next * 32u);
#elif defined(QM_WEIGHT_OFFSET)
                QM_UNROLL for (uint half_step = 0u; half_step < 2u; ++half_step)
                    staged_sum[2u * next + half_step] = QM_STAGED_LANES_SUM(QM_PRIVATE_LOAD(staged, next * 32u + 16u * half_step));
#endif
#if defined(QM_PLACED_CODES)
                QM_PLACE_STAGED(staged, next * 32u)
                QM_PLACE_STAGED(staged, next * 32u + 16u)
#endif
            }
        }
#endif
        QM_UNROLL for (int part = 0; part < 32 / QM_BLOCK_K; ++part) {
#if defined(QM_BLOCKS)
            QM_UNROLL for (int i = 0; i < QM_ROWS * QM_VECTORS; ++i)
                inner[i] = QM_ACC_ZERO;
#endif
#if defined(QM_WEIGHT_OFFSET)
            qm_scalar activation_sum[QM_ROWS];
#if defined(QM_ROW_STAGE)
            activation_sum[0] = staged_sum[(step % QM_UINT(QM_ROW_STAGE / 32) * 32u) / QM_UINT(QM_BLOCK_K) + QM_UINT(part)];
#else
            QM_UNROLL for (int r = 0; r < QM_ROWS; ++r)
                activation_sum[r] = QM_SCALAR_ZERO;
#endif
#endif
#if defined(QM_PAIRS)
            QM_UNROLL for (int word = 0; word < 16; ++word) {
                qm_f8 pair = QM_PAIR_LANES(staged, step % QM_UINT(QM_ROW_STAGE / 32) * 32u + QM_UINT(2 * word));
                QM_UNROLL for (int i = 0; i < 4; ++i)
                    pairs[i] += QM_LOAD_HALF8(weights, step_base + QM_UINT(word) * QM_PANEL + QM_UINT(4 * i)) * pair;
            }
#else
            QM_UNROLL for (int unit = 0; unit < QM_BLOCK_K; unit += QM_UNIT_K) {
                int first_eight = part * (QM_BLOCK_K / 8) + unit / 8;
                qm_acc w[QM_UNIT_K * QM_VECTORS];
                QM_UNROLL for (int i = 0; i < QM_UNIT_K / 8 * QM_VECTORS; ++i) {
                    int v = i % QM_VECTORS;
                    QM_DECODE_EIGHT(step_base + QM_UINT(v * QM_VW), first_eight + i / QM_VECTORS)
                    w[8 * i] = w0;
                    w[8 * i + 1] = w1;
                    w[8 * i + 2] = w2;
                    w[8 * i + 3] = w3;
                    w[8 * i + 4] = w4;
                    w[8 * i + 5] = w5;
                    w[8 * i + 6] = w6;
                    w[8 * i + 7] = w7;
                }
                QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
                    uint from = activation_base[r] + (step * 4u + QM_UINT(first_eight)) * QM_ACTIVATION_WORDS;
                    QM_LOAD_ACTIVATIONS(from)
                    QM_UNROLL for (int eight = 0; eight < QM_UNIT_K / 8; ++eight) {
                        QM_EIGHT_ACTIVATIONS(eight)
#if defined(QM_WEIGHT_OFFSET) && !defined(QM_ROW_STAGE)
                        activation_sum[r] += ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7));
#endif
#if defined(QM_PLACED_CODES) && !defined(QM_ROW_STAGE)
                        QM_PLACE_ACTIVATIONS
#endif
                        QM_UNROLL for (int v = 0; v < QM_VECTORS; ++v) {
                            int i = 8 * (eight * QM_VECTORS + v);
                            inner[r * QM_VECTORS + v] += w[i] * a0 + w[i + 1] * a1 + w[i + 2] * a2 + w[i + 3] * a3;
                            inner[r * QM_VECTORS + v] += w[i + 4] * a4 + w[i + 5] * a5 + w[i + 6] * a6 + w[i + 7] * a7;
                        }
                    }
                }
            }
#endif
#if defined(QM_BLOCKS)
            QM_UNROLL for (int v = 0; v < QM_VECTORS; ++v) {
#if defined(QM_WEIGHT_GROUPS)
                QM_SCALES(steps, step, part)
#endif
                QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
                    qm_fv block = QM_ACC_TO_FV(inner[r * QM_VECTORS + v]);
#if defined(QM_WEIGHT_GROUPS)
                    block = block * scale;
#endif
#if defined(QM_WEIGHT_OFFSET)
                    block += offset * QM_FLOAT(activation_sum[r]);
#endif
#if defined(QM_ACTIVATION_GROUPS)
                    uint scale_row = QM_MIN(row0 + QM_UINT(r), rows - 1u) * (steps >> activation_shift);
                    block = block * activation_scales[scale_row + (step >> activation_shift)];
#endif
                    total[r * QM_VECTORS + v] += block;
                }
            }
#endif
        }
    }

#if defined(QM_PAIRS)
    total[0] = QM_PAIR_SUMS(pairs[0], pairs[1], pairs[2], pairs[3]);
#endif
#if QM_SPLIT > 1
    // Every slice leaves its sums; slice 0 adds them in order.
    uint mine = (QM_LOCAL_Y * QM_UINT(QM_SPLIT) + QM_LOCAL_X) * QM_UINT(QM_ROWS * QM_COLUMNS);
    QM_UNROLL for (int i = 0; i < QM_ROWS * QM_VECTORS; ++i) {
        QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane) {
#if defined(QM_INTEGER_PRODUCT) && !defined(QM_BLOCKS)
            partials[mine + QM_UINT(i * QM_VW + lane)] = QM_UINT(QM_LANE(inner[i], lane));
#else
            partials[mine + QM_UINT(i * QM_VW + lane)] = QM_FLOAT_BITS(QM_LANE(total[i], lane));
#endif
        }
    }
    QM_BARRIER;
    if (QM_LOCAL_X == 0u) {
        for (uint slice = 1u; slice < QM_UINT(QM_SPLIT); ++slice) {
            uint theirs = mine + slice * QM_UINT(QM_ROWS * QM_COLUMNS);
            QM_UNROLL for (int i = 0; i < QM_ROWS * QM_VECTORS; ++i) {
                QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane) {
#if defined(QM_INTEGER_PRODUCT) && !defined(QM_BLOCKS)
                    QM_LANE(inner[i], lane) += QM_INT(partials[theirs + QM_UINT(i * QM_VW + lane)]);
#else
                    QM_LANE(total[i], lane) += QM_BITS_FLOAT(partials[theirs + QM_UINT(i * QM_VW + lane)]);
#endif
                }
            }
        }
    }
#endif

    QM_UNROLL for (int v = 0; v < QM_VECTORS; ++v) {
        uint at = column0 + QM_UINT(v * QM_VW);
        qm_fv factor = QM_FV(multiplier * QM_WEIGHT_FACTOR);
#if defined(QM_WEIGHT_CHANNEL_SCALE)
        factor = factor * QM_FV_BITS(QM_LOAD_UV(weights, scale_offset + column + QM_UINT(v * QM_VW)));
#endif
        QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
            uint row = row0 + QM_UINT(r);
            if (QM_SLICE == 0u && row < rows && at < n) {
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
#undef inner
#endif
