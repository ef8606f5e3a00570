// swiglu: y = silu(gate) * up, silu(g) = g / (1 + e^-g). Elementwise; |error| at most 2^-20 |y| + 2^-100 |gate * up|: the
// exponent is held at 80, for qm_reciprocal gave NaN beyond 2^127, for gates below -87.98.
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, gate)                                                                                              \
    QM_IN(1, float, up)                                                                                                \
    QM_OUT(2, float, result)
#define QM_PARAMETERS QM_U32(count)
#define QM_LOCALS
#else
    uint i = (QM_GROUP_Y * 32768u + QM_GROUP_X) * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (i < count)
        result[i] = gate[i] * qm_reciprocal(1.0f + qm_exp(QM_MIN(-gate[i], 80.0f))) * up[i];
#endif
