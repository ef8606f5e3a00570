// What the kernels that work on whole rows share: QM_LANES invocations to a row.
//
// QM_LANES == 1 (processors): one invocation a row, QM_WORKGROUP_X rows a workgroup, no barrier. Else one workgroup a
// row; lane l takes elements l, l + QM_LANES, ...; reductions go through local memory as a fixed tree.
//
// A vocabulary can have more elements than a loop may have trips: lavapipe ends loops after 65,535 of them. So sixteen elements
// make a trip, in their order, which changes no sum.
#ifndef QM_ROWS_H
#define QM_ROWS_H

// STEP(v) for each v from 0 to count - 1.
#define QM_ALL_ELEMENTS(count, STEP)                                                                                   \
    {                                                                                                                  \
        uint v = 0u;                                                                                                   \
        for (; v + 15u < count; v += 16u) {                                                                            \
            STEP(v)                                                                                                    \
            STEP(v + 1u)                                                                                               \
            STEP(v + 2u)                                                                                               \
            STEP(v + 3u)                                                                                               \
            STEP(v + 4u)                                                                                               \
            STEP(v + 5u)                                                                                               \
            STEP(v + 6u)                                                                                               \
            STEP(v + 7u)                                                                                               \
            STEP(v + 8u)                                                                                               \
            STEP(v + 9u)                                                                                               \
            STEP(v + 10u)                                                                                              \
            STEP(v + 11u)                                                                                              \
            STEP(v + 12u)                                                                                              \
            STEP(v + 13u)                                                                                              \
            STEP(v + 14u)                                                                                              \
            STEP(v + 15u)                                                                                              \
        }                                                                                                              \
        for (; v < count; ++v) {                                                                                       \
            STEP(v)                                                                                                    \
        }                                                                                                              \
    }

// QM_BY_VECTORS (one invocation a row): STEP(v, i) for vectors that begin at v, REST(v) for what is behind the last whole
// one. i, which of four vectors of a trip it is, is for as many sums or maxima beside each other.
#define QM_ALL_VECTORS(count, STEP, REST)                                                                              \
    {                                                                                                                  \
        uint v = 0u;                                                                                                   \
        for (; v + QM_UINT(4 * QM_VW) <= count; v += QM_UINT(4 * QM_VW)) {                                             \
            STEP(v, 0)                                                                                                 \
            STEP(v + QM_UINT(QM_VW), 1)                                                                                \
            STEP(v + QM_UINT(2 * QM_VW), 2)                                                                            \
            STEP(v + QM_UINT(3 * QM_VW), 3)                                                                            \
        }                                                                                                              \
        for (; v + QM_UINT(QM_VW) <= count; v += QM_UINT(QM_VW)) {                                                     \
            STEP(v, 0)                                                                                                 \
        }                                                                                                              \
        for (; v < count; ++v) {                                                                                       \
            REST(v)                                                                                                    \
        }                                                                                                              \
    }

// Raises `maximum` to the largest of logits[base], ...: `count` of them. QM_RAISE_MAXIMUM(at) does so for one.
#define QM_MAXIMUM_BY_VECTORS(count)                                                                                   \
    {                                                                                                                  \
        qm_fv maxima[4] = {QM_FV(-3.0e38f), QM_FV(-3.0e38f), QM_FV(-3.0e38f), QM_FV(-3.0e38f)};                        \
        QM_ALL_VECTORS(count, QM_RAISE_MAXIMA, QM_RAISE_MAXIMUM)                                                       \
        qm_fv pair = QM_MAX(maxima[0], maxima[1]), other = QM_MAX(maxima[2], maxima[3]);                               \
        maximum = QM_MAX(maximum, QM_LANES_MAX(QM_MAX(pair, other)));                                                  \
    }
#define QM_RAISE_MAXIMA(at, i) maxima[i] = QM_MAX(maxima[i], QM_LOAD_FV(logits, base + (at)));

#ifndef QM_LANES
#define QM_LANES 1
#endif

// STEP(c) for the values of a row of `count` that are this lane's, in units of `unit` neighbours: with QM_CHUNKS what is a
// lane's lies side by side (drivers that run invocations one after another make vectors of it), else lanes take turns.
#if defined(QM_CHUNKS)
#define QM_LANE_FIRST(units) (QM_LANE_INDEX * (units) / QM_UINT(QM_LANES))
#define QM_LANE_END(units) ((QM_LANE_INDEX + 1u) * (units) / QM_UINT(QM_LANES))
#define QM_LANE_STRIDE 1u
#define QM_LANE_VALUES(count, unit, STEP)                                                                              \
    {                                                                                                                  \
        uint end_value = QM_LANE_END((count) / (unit)) * (unit);                                                       \
        for (uint c = QM_LANE_FIRST((count) / (unit)) * (unit); c < end_value; ++c) {                                  \
            STEP(c)                                                                                                    \
        }                                                                                                              \
    }
#else
#define QM_LANE_FIRST(units) QM_LANE_INDEX
#define QM_LANE_END(units) (units)
#define QM_LANE_STRIDE QM_UINT(QM_LANES)
#define QM_LANE_VALUES(count, unit, STEP)                                                                              \
    for (uint i = QM_LANE_INDEX; i < (count) / (unit); i += QM_UINT(QM_LANES)) {                                       \
        for (uint j = 0u; j < (unit); ++j) {                                                                           \
            STEP(i * (unit) + j)                                                                                       \
        }                                                                                                              \
    }
#endif

#if QM_LANES > 1
#define QM_ROW QM_GROUP_X
#define QM_LANE_INDEX QM_LOCAL_X
#define QM_LOCALS QM_LOCAL_U32(partials, QM_LANES)
#if defined(QM_SUBGROUPS)
// A butterfly within each subgroup, then all of them in their order.
#include "subgroups.h"
#define QM_REDUCE_STEP(variable, expression)                                                                           \
    for (uint distance = 1u; distance < QM_SUBGROUP_SIZE; distance = 2u * distance) {                                  \
        float mine = variable;                                                                                         \
        float other = QM_BITS_FLOAT(QM_SUBGROUP_EXCHANGE(QM_FLOAT_BITS(mine), distance));                              \
        variable = expression;                                                                                         \
    }                                                                                                                  \
    if (QM_SUBGROUP_LANE == 0u)                                                                                        \
        partials[QM_SUBGROUP_INDEX] = QM_FLOAT_BITS(variable);                                                         \
    QM_BARRIER;                                                                                                        \
    variable = QM_BITS_FLOAT(partials[0]);                                                                             \
    for (uint part = 1u; part < QM_SUBGROUP_COUNT; ++part) {                                                           \
        float mine = variable, other = QM_BITS_FLOAT(partials[part]);                                                  \
        variable = expression;                                                                                         \
    }                                                                                                                  \
    QM_BARRIER;
#else
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
#endif
#define QM_REDUCE_ADD(variable) QM_REDUCE_STEP(variable, mine + other)
#define QM_REDUCE_MAX(variable) QM_REDUCE_STEP(variable, QM_MAX(mine, other))
// STEP(v) for those that are the lane's.
#define QM_LANE_ELEMENTS(count, STEP)                                                                                  \
    for (uint v = QM_LANE_INDEX; v < count; v += QM_UINT(QM_LANES)) {                                                  \
        STEP(v)                                                                                                        \
    }
#else
#define QM_ROW (QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X)
#define QM_LANE_INDEX 0u
#define QM_LOCALS
#define QM_REDUCE_ADD(variable)
#define QM_REDUCE_MAX(variable)
#define QM_LANE_ELEMENTS(count, STEP) QM_ALL_ELEMENTS(count, STEP)
#endif

#endif
