// swiglu: y[row][c] = silu(gate) * up, silu(g) = g / (1 + e^-g), with gate = x[row * row_stride + c] and up = x[up_from +
// row * row_stride + c]; `count` results, rows of `width`. Elementwise; |error| at most 2^-20 |y| + 2^-100 |gate * up|: the
// exponent is held at 80, for qm_reciprocal gave NaN beyond 2^127, for gates below -87.98.
// QM_GELU: gelu(gate) * up with gelu(g) = g / 2 (1 + tanh(sqrt(2 / pi) (g + 0.044715 g^3))) = g / (1 + e^-t), t twice what tanh
// is taken of; |error| at most 2^-20 |gate * up|. QM_UNGATED: there is no up, results are silu or gelu of x alone.
#ifndef QM_SWIGLU_H
#define QM_SWIGLU_H
#if !defined(QM_HOST)
#if defined(QM_GELU)
#define QM_GATE_POWER(floats, EXPONENTIAL)                                                                             \
    QM_PRECISE floats square = gate * gate;                                                                            \
    QM_PRECISE floats cubic = square * 0.0713548163f;                                                                  \
    QM_PRECISE floats factor = cubic + 1.59576912f;                                                                    \
    QM_PRECISE floats twice = gate * factor;                                                                           \
    QM_PRECISE floats power = EXPONENTIAL(QM_MIN(QM_MAX(-twice, -80.0f), 80.0f));
#else
#define QM_GATE_POWER(floats, EXPONENTIAL) QM_PRECISE floats power = EXPONENTIAL(QM_MIN(-gate, 80.0f));
#endif
#define QM_SWIGLU(floats, EXPONENTIAL, RECIPROCAL)                                                                     \
    QM_PRECISE_SCOPE                                                                                                   \
    QM_GATE_POWER(floats, EXPONENTIAL)                                                                                 \
    QM_PRECISE floats below = 1.0f + power;                                                                            \
    QM_PRECISE floats product = gate * RECIPROCAL(below) * up;                                                         \
    return product;
QM_FUNCTION float qm_swiglu(float gate, float up)
{
    QM_SWIGLU(float, qm_exp, qm_reciprocal)
}
#if defined(qm_i4)
QM_FUNCTION qm_fv qm_swiglu_v(qm_fv gate, qm_fv up)
{
    QM_SWIGLU(qm_fv, qm_exp_v, qm_reciprocal_v)
}
#endif
#endif
#endif
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, x)                                                                                                 \
    QM_OUT(1, float, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(count)                                                                                                      \
    QM_U32(width)                                                                                                      \
    QM_U32(row_stride)                                                                                                     \
    QM_U32(up_from)
#define QM_LOCALS
#else
    uint i = (QM_GROUP_Y * 32768u + QM_GROUP_X) * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (i < count) {
        uint at = i / width * row_stride + i % width;
#if defined(QM_UNGATED)
        result[i] = qm_swiglu(x[at], 1.0f);
#else
        result[i] = qm_swiglu(x[at], x[up_from + at]);
#endif
    }
#endif
