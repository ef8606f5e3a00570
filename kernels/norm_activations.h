// norm_activations: rmsnorm.h and then activations.h, without the rows in between: what the products read of a normed row.
//
// Given the same rows, the codes and scales of the two kernels one after the other, to the bit. Static scales follow the
// gain: gain[width + group]. Against exact values, codes are off by at most one where the norm's bound reaches a tie.
#ifndef QM_BODY
#include "activations.h"
#include "rms_factor.h"
#undef QM_BUFFERS
#undef QM_PARAMETERS
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, x)                                                                                                 \
    QM_IN(1, float, gain)                                                                                              \
    QM_OUT(2, uint, codes)                                                                                             \
    QM_OUT(3, float, scales)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(width)                                                                                                      \
    QM_F32(inverse_width)                                                                                              \
    QM_F32(epsilon)                                                                                                    \
    QM_U32(is_static)                                                                                                  \
    QM_U32(shift)
#else
#define QM_ROW_BEGIN                                                                                                   \
    uint base = row * width;                                                                                           \
    QM_RMS_FACTOR
#if defined(QM_CODES_BY_VECTORS)
#define QM_VALUES(c) (QM_LOAD_FV(x, base + (c)) * factor * QM_LOAD_FV(gain, c))
#endif
#define QM_VALUE(c) (x[base + (c)] * factor * gain[c])
#define QM_STATIC_SCALE(group) gain[width + (group)]
#include "activations.h"
#endif
