// Products of one to QM_TILE_ROWS rows: the formula, layouts and bound of product.h, for devices that read fastest where
// neighbouring invocations read neighbouring words.
//
// A workgroup computes a panel of 16 columns: four invocations take 16 bytes each of a word of the panel, so that they read
// 64 bytes together, and each four of them a slice of k: steps slice, slice + slices, ... Every weight is decoded once for
// all rows; rows beyond the last cost a branch that all invocations take alike.
//
// Accumulation: as product.h within a slice. Slices are added in their order; with QM_SUBGROUPS first those of a subgroup, in
// a butterfly, which gives the same bits again on the same device, and others where subgroups have another size.
#ifndef QM_BODY
#include "product.h"
#include "packed_bytes.h"
#if defined(QM_SUBGROUPS)
#include "subgroups.h"
#endif
#define QM_SLICES (QM_WORKGROUP_X / 4)
#undef QM_LOCALS
#define QM_LOCALS QM_LOCAL_U4(partials, QM_TILE_ROWS * QM_WORKGROUP_X)
#if defined(QM_INTEGER_PRODUCT) && !defined(QM_BLOCKS)
#define qm_sum qm_iv
#define QM_SUM_ZERO QM_IV(0)
#define QM_SUM_BITS(x) QM_UV_FROM_IV(x)
#define QM_SUM_OF_BITS(x) QM_IV_FROM_UV(x)
#define QM_SUM_TO_FV(x) QM_FV_FROM_IV(x)
#else
#define qm_sum qm_fv
#define QM_SUM_ZERO QM_FV(0.0f)
#define QM_SUM_BITS(x) QM_UV_BITS(x)
#define QM_SUM_OF_BITS(x) QM_FV_BITS(x)
#define QM_SUM_TO_FV(x) (x)
#endif

#else
    uint row0 = QM_GROUP_X * QM_UINT(QM_TILE_ROWS);
    uint row_count = QM_MIN(rows - row0, QM_UINT(QM_TILE_ROWS)); // the same for all invocations
    uint steps = k / 32u;
    uint panel = QM_GROUP_Y;
    uint lane_vector = QM_LOCAL_X % 4u, slice = QM_LOCAL_X / 4u;
    uint column = panel * QM_PANEL + lane_vector * 4u;
    uint weight_base = panel * steps * QM_CODE_WORDS * QM_PANEL + lane_vector * 4u;
    const int v = 0; // scales are asked for by vector

    qm_sum total[QM_TILE_ROWS];
    QM_UNROLL for (int r = 0; r < QM_TILE_ROWS; ++r)
        total[r] = QM_SUM_ZERO;

    for (uint step = slice; step < steps; step += QM_UINT(QM_SLICES)) {
        uint step_base = weight_base + step * (QM_CODE_WORDS * QM_PANEL);
        QM_UNROLL for (int part = 0; part < 32 / QM_BLOCK_K; ++part) {
#if defined(QM_BLOCKS)
            qm_acc inner[QM_TILE_ROWS];
            QM_UNROLL for (int r = 0; r < QM_TILE_ROWS; ++r)
                inner[r] = QM_ACC_ZERO;
#else
#define inner total
#endif
#if defined(QM_WEIGHT_OFFSET)
            qm_scalar activation_sum[QM_TILE_ROWS];
            QM_UNROLL for (int r = 0; r < QM_TILE_ROWS; ++r)
                activation_sum[r] = QM_SCALAR_ZERO;
#endif
            QM_UNROLL for (int unit = 0; unit < QM_BLOCK_K; unit += QM_UNIT_K) {
                int first_eight = part * (QM_BLOCK_K / 8) + unit / 8;
#if defined(QM_PACKED_DOT)
                // Sixteen k: four words of each row.
                qm_uv words[4];
                QM_UNROLL for (int eight = 0; eight < 2; ++eight) {
                    QM_PACKED_EIGHT(step_base, first_eight + eight)
                    words[2 * eight] = p0;
                    words[2 * eight + 1] = p1;
                }
                QM_UNROLL for (int r = 0; r < QM_TILE_ROWS; ++r) {
                    if (QM_UINT(r) < row_count) {
                        qm_u4 c = QM_LOAD4(activations, (row0 + QM_UINT(r)) * (steps * 8u) + step * 8u + QM_UINT(2 * first_eight));
                        QM_UNROLL for (int j = 0; j < 4; ++j) {
#if defined(QM_WEIGHT_OFFSET)
                            activation_sum[r] += QM_DOT(QM_LANE(c, j), 0x01010101u);
#endif
                            QM_UNROLL for (int lane = 0; lane < 4; ++lane)
                                QM_LANE(inner[r], lane) += QM_DOT(QM_LANE(words[j], lane), QM_LANE(c, j));
                        }
                    }
                }
#else
                qm_acc w[QM_UNIT_K];
                QM_UNROLL for (int i = 0; i < QM_UNIT_K / 8; ++i) {
                    QM_DECODE_EIGHT(step_base, first_eight + i)
                    w[8 * i] = w0;
                    w[8 * i + 1] = w1;
                    w[8 * i + 2] = w2;
                    w[8 * i + 3] = w3;
                    w[8 * i + 4] = w4;
                    w[8 * i + 5] = w5;
                    w[8 * i + 6] = w6;
                    w[8 * i + 7] = w7;
                }
                QM_UNROLL for (int r = 0; r < QM_TILE_ROWS; ++r) {
                    if (QM_UINT(r) < row_count) {
                        uint from = (row0 + QM_UINT(r)) * (steps * 4u * QM_ACTIVATION_WORDS) +
                                    (step * 4u + QM_UINT(first_eight)) * QM_ACTIVATION_WORDS;
                        QM_LOAD_ACTIVATIONS(from)
                        QM_UNROLL for (int eight = 0; eight < QM_UNIT_K / 8; ++eight) {
                            QM_EIGHT_ACTIVATIONS(eight)
#if defined(QM_WEIGHT_OFFSET)
                            activation_sum[r] += ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7));
#endif
                            int i = 8 * eight;
                            inner[r] += w[i] * a0 + w[i + 1] * a1 + w[i + 2] * a2 + w[i + 3] * a3;
                            inner[r] += w[i + 4] * a4 + w[i + 5] * a5 + w[i + 6] * a6 + w[i + 7] * a7;
                        }
                    }
                }
#endif
            }
#if defined(QM_BLOCKS)
#if defined(QM_WEIGHT_GROUPS)
            QM_SCALES(steps, step, part)
#endif
            QM_UNROLL for (int r = 0; r < QM_TILE_ROWS; ++r) {
                if (QM_UINT(r) < row_count) {
                    qm_fv block = QM_ACC_TO_FV(inner[r]);
#if defined(QM_WEIGHT_GROUPS)
                    block = block * scale;
#endif
#if defined(QM_WEIGHT_OFFSET)
                    block += offset * QM_FLOAT(activation_sum[r]);
#endif
#if defined(QM_ACTIVATION_GROUPS)
                    block = block * activation_scales[(row0 + QM_UINT(r)) * (steps >> activation_shift) + (step >> activation_shift)];
#endif
                    total[r] += block;
                }
            }
#else
#undef inner
#endif
        }
    }

#if defined(QM_SUBGROUPS)
    // Invocations that differ by a multiple of four have the same columns.
    uint sharers = QM_SUBGROUP_SIZE / 4u, places = QM_UINT(QM_SLICES) / sharers;
    QM_UNROLL for (int r = 0; r < QM_TILE_ROWS; ++r) {
        for (uint distance = 4u; distance < QM_SUBGROUP_SIZE; distance = 2u * distance)
            total[r] += QM_SUM_OF_BITS(QM_SUBGROUP_EXCHANGE_4(QM_SUM_BITS(total[r]), distance));
        if (QM_SUBGROUP_LANE < 4u)
            partials[QM_UINT(r * QM_WORKGROUP_X) + QM_SUBGROUP_INDEX * 4u + lane_vector] = QM_SUM_BITS(total[r]);
    }
#else
    uint places = QM_UINT(QM_SLICES);
    QM_UNROLL for (int r = 0; r < QM_TILE_ROWS; ++r)
        partials[QM_UINT(r * QM_WORKGROUP_X) + QM_LOCAL_X] = QM_SUM_BITS(total[r]);
#endif
    QM_BARRIER;
    // One invocation for each row and vector of columns adds the slices up.
    for (uint item = QM_LOCAL_X; item < row_count * 4u; item += QM_UINT(QM_WORKGROUP_X)) {
        uint from = item / 4u * QM_UINT(QM_WORKGROUP_X) + item % 4u;
        qm_sum sum = QM_SUM_OF_BITS(partials[from]);
        for (uint place = 1u; place < places; ++place)
            sum += QM_SUM_OF_BITS(partials[from + place * 4u]);
        uint row = row0 + item / 4u, at = panel * QM_PANEL + item % 4u * 4u;
        qm_fv value = QM_SUM_TO_FV(sum) * (multiplier * QM_WEIGHT_FACTOR);
#if defined(QM_WEIGHT_CHANNEL_SCALE)
        value = value * QM_FV_BITS(QM_LOAD_UV(weights, scale_offset + at));
#endif
#if defined(QM_ACTIVATION_SCALED)
        value = value * activation_scales[row];
#endif
        QM_STORE_RESULT(row, at, value)
    }
#endif
