// What the kernels that work on whole rows share: QM_LANES invocations to a row.
//
// QM_LANES == 1 (processors): one invocation a row, QM_WORKGROUP_X rows a workgroup, no barrier. Else one workgroup a
// row; lane l takes elements l, l + QM_LANES, ...; reductions go through local memory as a fixed tree.
#ifndef QM_ROWS_H
#define QM_ROWS_H

#ifndef QM_LANES
#define QM_LANES 1
#endif

#if QM_LANES > 1
#define QM_ROW QM_GROUP_X
#define QM_LANE_INDEX QM_LOCAL_X
#define QM_LOCALS QM_LOCAL_U32(partials, QM_LANES)
#define QM_REDUCE_STEP(variable, expression)                                                                           \
    partials[QM_LOCAL_X] = QM_FLOAT_BITS(variable);                                                                    \
    QM_BARRIER;                                                                                                        \
    for (uint width = QM_UINT(QM_LANES / 2); width > 0u; width = width / 2u) {                                         \
        if (QM_LOCAL_X < width) {                                                                                      \
            float mine = QM_BITS_FLOAT(partials[QM_LOCAL_X]), other = QM_BITS_FLOAT(partials[QM_LOCAL_X + width]);     \
            partials[QM_LOCAL_X] = QM_FLOAT_BITS(expression);                                                          \
        }                                                                                                              \
        QM_BARRIER;                                                                                                    \
    }                                                                                                                  \
    variable = QM_BITS_FLOAT(partials[0]);                                                                             \
    QM_BARRIER;
#define QM_REDUCE_ADD(variable) QM_REDUCE_STEP(variable, mine + other)
#define QM_REDUCE_MAX(variable) QM_REDUCE_STEP(variable, QM_MAX(mine, other))
#else
#define QM_ROW (QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X)
#define QM_LANE_INDEX 0u
#define QM_LOCALS
#define QM_REDUCE_ADD(variable)
#define QM_REDUCE_MAX(variable)
#endif

#endif
