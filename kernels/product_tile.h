// QM_BODY_ROWS rows, from row r0 of the group's on, and QM_VW columns, over the k that are staged: the inner part of
// product_staged.h.
    qm_acc inner[QM_BODY_ROWS];
#if !defined(QM_BLOCKS)
    QM_UNROLL for (int r = 0; r < QM_BODY_ROWS; ++r)
        inner[r] = QM_KEPT[kept + r0 + QM_UINT(r)];
#endif
    for (uint step = 0u; step < count; ++step) {
        for (uint part = 0u; part < 32u / QM_UINT(QM_BLOCK_K); ++part) {
#if defined(QM_BLOCKS)
            QM_UNROLL for (int r = 0; r < QM_BODY_ROWS; ++r)
                inner[r] = QM_ACC_ZERO;
#endif
            for (uint unit = 0u; unit < QM_UINT(QM_BLOCK_K / 8); ++unit) {
                uint eight = part * QM_UINT(QM_BLOCK_K / 8) + unit, at = r0 * QM_UINT(QM_STAGE) + step * 32u + QM_STAGED_EIGHT(eight);
                QM_PRIVATE_FROM(qm_scalar, from, staged, at)
                QM_DECODE_EIGHT(step_base + step * (QM_CODE_WORDS * QM_PANEL), eight)
#define QM_MULTIPLY_ADD(w, j)                                                                                          \
    QM_UNROLL for (int r = 0; r < QM_BODY_ROWS; ++r)                                                                   \
        inner[r] += w * from[r * QM_STAGE + QM_STAGED_AT(j)];
                QM_MULTIPLY_ADD(w0, 0)
                QM_MULTIPLY_ADD(w1, 1)
                QM_MULTIPLY_ADD(w2, 2)
                QM_MULTIPLY_ADD(w3, 3)
                QM_MULTIPLY_ADD(w4, 4)
                QM_MULTIPLY_ADD(w5, 5)
                QM_MULTIPLY_ADD(w6, 6)
                QM_MULTIPLY_ADD(w7, 7)
#undef QM_MULTIPLY_ADD
            }
#if defined(QM_BLOCKS)
#if defined(QM_WEIGHT_GROUPS)
            QM_SCALES(steps, first + step, part)
#endif
            QM_UNROLL for (int r = 0; r < QM_BODY_ROWS; ++r) {
                qm_fv block = QM_ACC_TO_FV(inner[r]);
#if defined(QM_WEIGHT_GROUPS)
                block = block * scale;
#endif
#if defined(QM_WEIGHT_OFFSET)
                block += offset * QM_FLOAT(staged_sum[step * QM_UINT(QM_ROWS) + r0 + QM_UINT(r)]);
#endif
#if defined(QM_ACTIVATION_GROUPS)
                uint scale_row = QM_MIN(row0 + r0 + QM_UINT(r), rows - 1u) * (steps >> activation_shift);
                block = block * activation_scales[scale_row + ((first + step) >> activation_shift)];
#endif
                total[kept + r0 + QM_UINT(r)] += block;
            }
#endif
        }
    }
#if !defined(QM_BLOCKS)
    QM_UNROLL for (int r = 0; r < QM_BODY_ROWS; ++r)
        QM_KEPT[kept + r0 + QM_UINT(r)] = inner[r];
#endif
