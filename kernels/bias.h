// bias: x[row][c] += bias[c], rows of `width` floats, `count` of them in all; one rounding.
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_INOUT(0, float, x)                                                                                              \
    QM_IN(1, float, bias)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(count)                                                                                                      \
    QM_U32(width)
#define QM_LOCALS
#else
    uint i = (QM_GROUP_Y * 32768u + QM_GROUP_X) * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (i < count)
        x[i] = x[i] + bias[i % width];
#endif
