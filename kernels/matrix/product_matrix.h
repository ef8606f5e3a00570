// Products of binary16 weights and activations on a device's matrix units: the formula and layouts of product.h. For variants
// with QM_MATRIX, which need the capability cooperative_matrix: SPV_NV_cooperative_matrix with 16 x 16 x 16 products of
// binary16 into float32, and subgroups of 32. Vulkan only: OpenCL has no such thing.
//
// A workgroup of four subgroups computes 64 rows of 64 columns, each subgroup a quarter: two by two fragments of 16 x 16. Both
// sides lie in local memory along k, in words of two, 32 k a stage; rows and columns are four words apart from what they would
// be, so that those of a fragment do not meet in one bank.
//
// Accumulation: float32 by the matrix unit, in an order of its own.
// Bound: |error| <= (K + 8) 2^-22 sum |w a|: a unit may drop bits of what it aligns, which costs up to two of them.
// No device was at hand that runs this; its text is valid SPIR-V, and its self-test decides.
#ifndef QM_BODY
#include "product.h"
#extension GL_KHR_memory_scope_semantics : require
#extension GL_NV_cooperative_matrix : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_shader_subgroup_basic : require
#define QM_PITCH 20u // words of a row or column of a stage
#undef QM_LOCALS
#define QM_LOCALS                                                                                                      \
    QM_LOCAL_U32(weight_tile, QM_TILE_COLUMNS * 20)                                                                    \
    QM_LOCAL_U32(row_tile, QM_TILE_ROWS * 20)                                                                          \
    shared float result_tile[QM_WORKGROUP_X / 32 * 256];

#else
    uint row0 = QM_GROUP_X * QM_UINT(QM_TILE_ROWS);
    uint column0 = QM_GROUP_Y * QM_UINT(QM_TILE_COLUMNS);
    uint steps = k / 32u;
    uint last_column = (n - 1u) / QM_UINT(QM_VW) * QM_UINT(QM_VW);
    uint own_rows = gl_SubgroupID / 2u * 32u, own_columns = gl_SubgroupID % 2u * 32u;

    fcoopmatNV<32, gl_ScopeSubgroup, 16, 16> total[4];
    QM_UNROLL for (int i = 0; i < 4; ++i)
        total[i] = fcoopmatNV<32, gl_ScopeSubgroup, 16, 16>(0.0);

    for (uint step = 0u; step < steps; ++step) {
        for (uint item = QM_LOCAL_X; item < QM_UINT(QM_TILE_COLUMNS * 4); item += QM_UINT(QM_WORKGROUP_X)) {
            uint vector = item % QM_UINT(QM_TILE_COLUMNS / 4), word = item / QM_UINT(QM_TILE_COLUMNS / 4);
            uint column = QM_MIN(column0 + vector * 4u, last_column);
            uint base = (column / QM_PANEL * steps + step) * (QM_CODE_WORDS * QM_PANEL) + column % QM_PANEL;
            qm_uv words = QM_WORD(base, word);
            QM_UNROLL for (int lane = 0; lane < 4; ++lane)
                weight_tile[(vector * 4u + QM_UINT(lane)) * QM_PITCH + word] = QM_LANE(words, lane);
        }
        for (uint item = QM_LOCAL_X; item < QM_UINT(QM_TILE_ROWS * 4); item += QM_UINT(QM_WORKGROUP_X)) {
            uint row = QM_MIN(row0 + item / 4u, rows - 1u);
            qm_u4 words = QM_LOAD4(activations, (row * steps + step) * 16u + item % 4u * 4u);
            QM_UNROLL for (int lane = 0; lane < 4; ++lane)
                row_tile[item / 4u * QM_PITCH + item % 4u * 4u + QM_UINT(lane)] = QM_LANE(words, lane);
        }
        QM_BARRIER;
        QM_UNROLL for (int part = 0; part < 2; ++part) {
            fcoopmatNV<16, gl_ScopeSubgroup, 16, 16> a[2], w[2];
            QM_UNROLL for (int i = 0; i < 2; ++i) {
                uint first = QM_UINT(16 * i);
                coopMatLoadNV(a[i], row_tile, (own_rows + first) * QM_PITCH + QM_UINT(8 * part), QM_PITCH, false);
                coopMatLoadNV(w[i], weight_tile, (own_columns + first) * QM_PITCH + QM_UINT(8 * part), QM_PITCH, true);
            }
            QM_UNROLL for (int i = 0; i < 4; ++i)
                total[i] = coopMatMulAddNV(a[i / 2], w[i % 2], total[i]);
        }
        QM_BARRIER;
    }

    uint lane = gl_SubgroupInvocationID;
    uint scratch = gl_SubgroupID * 256u;
    QM_UNROLL for (int i = 0; i < 4; ++i) {
        coopMatStoreNV(total[i], result_tile, scratch, 16u, false);
        QM_BARRIER;
        for (uint item = lane; item < 256u; item += 32u) {
            uint row = row0 + own_rows + QM_UINT(i / 2 * 16) + item / 16u;
            uint column = column0 + own_columns + QM_UINT(i % 2 * 16) + item % 16u;
            if (row < rows && column < n) {
                float value = result_tile[scratch + item] * (multiplier * QM_WEIGHT_FACTOR);
                uint to = row * result_stride + column;
                result[to] = is_added != 0u ? qm_sum_of(result[to], value) : value;
            }
        }
        QM_BARRIER;
    }
#endif
