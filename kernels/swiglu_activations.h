// swiglu_activations: swiglu.h and then activations.h, without the rows in between: what the product behind it reads.
//
// The rows lie in between in x, `width` apart from gated_from on: each lane reads there what it wrote itself. Given the same
// gates, the codes and scales of the two kernels one after the other, to the bit. Against exact values,
// codes are off by at most one where swiglu's bound reaches a tie.
#ifndef QM_BODY
#include "swiglu.h"
#undef QM_BUFFERS
#undef QM_PARAMETERS
#undef QM_LOCALS
#include "activations.h"
#undef QM_BUFFERS
#undef QM_PARAMETERS
#define QM_BUFFERS                                                                                                     \
    QM_INOUT(0, float, x)                                                                                              \
    QM_OUT(1, uint, codes)                                                                                             \
    QM_OUT(2, float, scales)                                                                                           \
    QM_IN(3, float, static_scales)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(width)                                                                                                      \
    QM_U32(is_static)                                                                                                  \
    QM_U32(shift)                                                                                                      \
    QM_U32(row_stride)                                                                                                 \
    QM_U32(up_from)                                                                                                    \
    QM_U32(gated_from)
#else
#if defined(QM_BY_VECTORS)
#define QM_ROW_BEGIN                                                                                                   \
    uint base = gated_from + row * width, gate = row * row_stride;                                                     \
    for (uint c = 0u; c < width; c += QM_UINT(QM_VW)) {                                                                \
        QM_STORE_FV(x, base + c, qm_swiglu_v(QM_LOAD_FV(x, gate + c), QM_LOAD_FV(x, up_from + gate + c)));             \
    }
#define QM_VALUES(c) QM_LOAD_FV(x, base + (c))
#else
#define QM_GATE(c) x[base + (c)] = qm_swiglu(x[gate + (c)], x[up_from + gate + (c)]);
#define QM_ROW_BEGIN                                                                                                   \
    uint base = gated_from + row * width, gate = row * row_stride;                                                     \
    QM_LANE_VALUES(width, QM_UNIT, QM_GATE)
#define QM_VALUE(c) x[base + (c)]
#endif
#define QM_STATIC_SCALE(group) static_scales[group]
#include "activations.h"
#endif
