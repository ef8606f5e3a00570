// softcap: x := cap tanh(x / cap), elementwise, `count` of them; inverse is 1 / cap. Bound: 2^-20 cap.
#ifndef QM_BODY
#include "capped.h"
#define QM_BUFFERS QM_INOUT(0, float, x)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(count)                                                                                                      \
    QM_F32(cap)                                                                                                        \
    QM_F32(inverse)
#define QM_LOCALS
#else
    uint i = (QM_GROUP_Y * 32768u + QM_GROUP_X) * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (i < count)
        x[i] = qm_capped(x[i], cap, inverse);
#endif
