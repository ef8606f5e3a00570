// The body of `matmul` for drivers that run invocations one after another: QM_ROWS rows of up to QM_TILES tiles of QM_VW
// columns. QM_STAGE k of the rows are unpacked into private memory, once for all columns, at constant distances, so that a
// multiply-add takes its scalar straight from there; weights are unpacked in registers. Each sum is of k after k, across
// stages too.
    uint row0 = QM_GROUP_X * QM_UINT(QM_ROWS);
    uint steps = k / 32u;
    uint row_words = steps * 4u * QM_ACTIVATION_WORDS;
    // The host may give a group fewer tiles than QM_TILES: it says so by the number of groups.
    uint all_tiles = (n + QM_UINT(QM_VW - 1)) / QM_UINT(QM_VW);
    uint each = QM_MIN((all_tiles + QM_GROUPS_Y - 1u) / QM_GROUPS_Y, QM_UINT(QM_TILES));
    uint first_tile = QM_GROUP_Y * each, first_column = first_tile * QM_UINT(QM_VW);
    uint tiles = QM_MIN(each, all_tiles - QM_MIN(first_tile, all_tiles));
    // Rows come in fours: 16 at a time, what is left by 8 and by 4. Or by 6, which is what 16 registers of 8 floats have sums
    // for beside what is multiplied, and then by 4.
    uint some_rows = QM_MIN(rows - row0, QM_UINT(QM_ROWS));
#if QM_ROWS % 6 == 0
    uint beyond = some_rows % 6u;
    uint staged_rows = some_rows - beyond + (beyond == 0u ? 0u : beyond <= 4u ? 4u : 6u);
#else
    uint staged_rows = (some_rows + 3u) / 4u * 4u;
#endif

    qm_scalar staged[QM_ROWS * QM_STAGE];
    qm_fv total[QM_TILES * QM_ROWS];
#if defined(QM_INTEGER_PRODUCT) && !defined(QM_BLOCKS)
    qm_iv whole[QM_TILES * QM_ROWS]; // int32 to the end
#define QM_KEPT whole
#define QM_KEPT_ZERO QM_IV(0)
#else
#define QM_KEPT total
#define QM_KEPT_ZERO QM_FV(0.0f)
#endif
    for (uint i = 0u; i < tiles * QM_UINT(QM_ROWS); ++i)
        QM_KEPT[i] = QM_KEPT_ZERO;
#if defined(QM_WEIGHT_OFFSET)
    qm_scalar staged_sum[QM_ROWS * (QM_STAGE / 32)];
#endif

    for (uint first = 0u; first < steps; first += QM_UINT(QM_STAGE / 32)) {
        uint count = QM_MIN(QM_UINT(QM_STAGE / 32), steps - first);
        for (uint r = 0u; r < staged_rows; ++r) {
            uint from = QM_MIN(row0 + r, rows - 1u) * row_words + first * (4u * QM_ACTIVATION_WORDS);
            uint to = r * QM_UINT(QM_STAGE);
            for (uint step = 0u; step < count; ++step) {
                QM_STAGE_STEP(staged, to + step * 32u, from + step * (4u * QM_ACTIVATION_WORDS))
#if defined(QM_WEIGHT_OFFSET)
                staged_sum[step * QM_UINT(QM_ROWS) + r] = QM_STAGED_SUM(staged, to + step * 32u); // blocks of 32
#endif
            }
        }
        for (uint tile = 0u; tile < tiles; ++tile) {
            const int v = 0;
            uint column = first_column + tile * QM_UINT(QM_VW);
            uint panel = column / QM_PANEL;
            uint kept = tile * QM_UINT(QM_ROWS);
            uint step_base = (panel * steps + first) * (QM_CODE_WORDS * QM_PANEL) + column % QM_PANEL;
            uint r0 = 0u;
#if QM_ROWS % 6 == 0
            for (; r0 + 4u < staged_rows; r0 += 6u) {
#define QM_BODY_ROWS 6
#include "product_tile.h"
#undef QM_BODY_ROWS
            }
#else
            for (; r0 + 12u < staged_rows; r0 += 16u) {
#define QM_BODY_ROWS 16
#include "product_tile.h"
#undef QM_BODY_ROWS
            }
            if (r0 + 4u < staged_rows) {
#define QM_BODY_ROWS 8
#include "product_tile.h"
#undef QM_BODY_ROWS
                r0 += 8u;
            }
#endif
            if (r0 < staged_rows) {
#define QM_BODY_ROWS 4
#include "product_tile.h"
#undef QM_BODY_ROWS
            }
        }
    }

    for (uint tile = 0u; tile < tiles; ++tile) {
        uint at = first_column + tile * QM_UINT(QM_VW);
        qm_fv factor = QM_FV(multiplier * QM_WEIGHT_FACTOR);
#if defined(QM_WEIGHT_CHANNEL_SCALE)
        factor = factor * QM_FV_BITS(QM_LOAD_UV(weights, scale_offset + at));
#endif
        uint end = QM_MIN(QM_UINT(QM_ROWS), rows - row0);
        for (uint r = 0u; r < end; ++r) {
            uint row = row0 + r;
#if defined(QM_INTEGER_PRODUCT) && !defined(QM_BLOCKS)
            qm_fv value = QM_FV_FROM_IV(whole[tile * QM_UINT(QM_ROWS) + r]) * factor;
#else
            qm_fv value = total[tile * QM_UINT(QM_ROWS) + r] * factor;
#endif
#if defined(QM_ACTIVATION_SCALED)
            value = value * activation_scales[row];
#endif
            QM_STORE_RESULT(row, at, value)
        }
    }
