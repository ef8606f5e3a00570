// Products of binary16 weights and activations in binary16: the formula and layouts of product.h, tiles and stages of
// product_local.h. For variants with QM_FP16, which need the capability fp16.
//
// Both sides lie in local memory as they lie in the buffers, two k a word. A multiply-add takes both; QM_FOLD_K values of k
// are summed in binary16, even and odd ones apart, then added in float32.
//
// Bound: |error| <= ((QM_FOLD_K / 2 + 1) 2^-10 + (K + 8) 2^-24) sum |w a| + 2^-14 sum (|w| + |a|) + K 2^-24: binary16 rounds each
// sum, either way, and a device may take subnormals for 0. Sums of QM_FOLD_K / 2 products beyond 65,504 are infinite: not for
// activations with such outliers.
//
// Local memory: 2 * 16 * (rows + columns) words.
#ifndef QM_BODY
#include "product.h"
#define QM_FOLD_K 16
#define QM_TILE_COLUMN_VECTORS (QM_TILE_COLUMNS / QM_VW)
#define QM_TILE_X (QM_TILE_COLUMNS / QM_COLUMNS)
#define QM_TILE_Y (QM_TILE_ROWS / QM_ROWS)
#define QM_STAGE_WEIGHTS (16 * QM_TILE_COLUMN_VECTORS) // of 32 k, in fours of words
#define QM_STAGE_ROWS (QM_TILE_ROWS * 4)
#undef QM_LOCALS
#define QM_LOCALS                                                                                                      \
    QM_LOCAL_U4(weight_tile, 2 * QM_STAGE_WEIGHTS)                                                                     \
    QM_LOCAL_U4(row_tile, 2 * QM_STAGE_ROWS)
#if defined(QM_GLSL)
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define qm_h2 f16vec2
#define QM_H2(word) unpackFloat2x16(word)
#define QM_H2_SUM(pair) (float((pair).x) + float((pair).y))
#elif defined(__OPENCL_C_VERSION__)
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define qm_h2 half2
#define QM_H2(word) as_half2(word)
#define QM_H2_SUM(pair) ((float)((pair).x) + (float)((pair).y))
#endif

#else
    uint row0 = QM_GROUP_X * QM_UINT(QM_TILE_ROWS);
    uint column0 = QM_GROUP_Y * QM_UINT(QM_TILE_COLUMNS);
    uint tile_x = QM_LOCAL_X % QM_UINT(QM_TILE_X), tile_y = QM_LOCAL_X / QM_UINT(QM_TILE_X);
    uint steps = k / 32u;
    uint last_column = (n - 1u) / QM_UINT(QM_VW) * QM_UINT(QM_VW);

    qm_fv total[QM_ROWS * QM_VECTORS];
    QM_UNROLL for (int i = 0; i < QM_ROWS * QM_VECTORS; ++i)
        total[i] = QM_FV(0.0f);

    for (uint stage = 0u; stage <= steps; ++stage) {
        if (stage < steps) {
            uint side = stage & 1u;
            for (uint item = QM_LOCAL_X; item < QM_UINT(QM_STAGE_WEIGHTS); item += QM_UINT(QM_WORKGROUP_X)) {
                uint vector = item % QM_UINT(QM_TILE_COLUMN_VECTORS), word = item / QM_UINT(QM_TILE_COLUMN_VECTORS);
                uint column = QM_MIN(column0 + vector * QM_UINT(QM_VW), last_column);
                uint base = (column / QM_PANEL * steps + stage) * (QM_CODE_WORDS * QM_PANEL) + column % QM_PANEL;
                weight_tile[side * QM_UINT(QM_STAGE_WEIGHTS) + item] = QM_WORD(base, word);
            }
            for (uint item = QM_LOCAL_X; item < QM_UINT(QM_STAGE_ROWS); item += QM_UINT(QM_WORKGROUP_X)) {
                uint at = item / 4u, row = QM_MIN(row0 + at, rows - 1u);
                // Turned by the row's number, so that rows do not meet in one bank.
                uint to = side * QM_UINT(QM_STAGE_ROWS) + at * 4u + (item + at) % 4u;
                row_tile[to] = QM_LOAD4(activations, (row * steps + stage) * 16u + item % 4u * 4u);
            }
        }
        if (stage > 0u) {
            uint side = (stage - 1u) & 1u;
            uint weight_at = side * QM_UINT(QM_STAGE_WEIGHTS) + tile_x;
            uint row_at = side * QM_UINT(QM_STAGE_ROWS);
            for (int fold = 0; fold < 32 / QM_FOLD_K; ++fold) {
                qm_h2 inner[QM_ROWS * QM_COLUMNS];
                QM_UNROLL for (int i = 0; i < QM_ROWS * QM_COLUMNS; ++i)
                    inner[i] = QM_H2(0u);
                QM_UNROLL for (int quad = 0; quad < QM_FOLD_K / 8; ++quad) {
                    qm_u4 a[QM_ROWS];
                    QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
                        uint at = QM_UINT(r * QM_TILE_Y) + tile_y;
                        a[r] = row_tile[row_at + at * 4u + (QM_UINT(fold * (QM_FOLD_K / 8) + quad) + at) % 4u];
                    }
                    QM_UNROLL for (int j = 0; j < 4; ++j) {
                        QM_UNROLL for (int v = 0; v < QM_VECTORS; ++v) {
                            qm_u4 w = weight_tile[weight_at + QM_UINT((fold * (QM_FOLD_K / 2) + 4 * quad + j) *
                                                                      QM_TILE_COLUMN_VECTORS + v * QM_TILE_X)];
                            QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane) {
                                qm_h2 pair = QM_H2(QM_LANE(w, lane));
                                QM_UNROLL for (int r = 0; r < QM_ROWS; ++r)
                                    inner[(r * QM_VECTORS + v) * QM_VW + lane] += pair * QM_H2(QM_LANE(a[r], j));
                            }
                        }
                    }
                }
                QM_UNROLL for (int i = 0; i < QM_ROWS * QM_VECTORS; ++i) {
                    QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane)
                        QM_LANE(total[i], lane) += QM_H2_SUM(inner[i * QM_VW + lane]);
                }
            }
        }
        QM_BARRIER;
    }

    QM_UNROLL for (int v = 0; v < QM_VECTORS; ++v) {
        uint at = column0 + (QM_UINT(v * QM_TILE_X) + tile_x) * QM_UINT(QM_VW);
        QM_UNROLL for (int r = 0; r < QM_ROWS; ++r) {
            uint row = row0 + QM_UINT(r * QM_TILE_Y) + tile_y;
            if (row < rows && at < n) {
                qm_fv value = total[r * QM_VECTORS + v] * (multiplier * QM_WEIGHT_FACTOR);
                QM_STORE_RESULT(row, at, value)
            }
        }
    }
#endif
