// cap tanh(x / cap), which attention.h puts scores through and softcap.h logits; inverse is 1 / cap. As cap - 2 cap / (1 +
// e^(2 x / cap)): |error| at most 2^-20 cap for any finite x; the exponent is held between -80 and 80.
#ifndef QM_CAPPED_H
#define QM_CAPPED_H
#if !defined(QM_HOST)
#define QM_CAPPED(floats, EXPONENTIAL, RECIPROCAL)                                                                     \
    QM_PRECISE_SCOPE                                                                                                   \
    QM_PRECISE floats power = EXPONENTIAL(QM_MIN(QM_MAX(x * inverse * 2.0f, -80.0f), 80.0f));                          \
    QM_PRECISE floats below = 1.0f + power;                                                                            \
    QM_PRECISE floats part = RECIPROCAL(below) * (2.0f * cap);                                                         \
    QM_PRECISE floats capped = cap - part;                                                                             \
    return capped;
QM_FUNCTION float qm_capped(float x, float cap, float inverse)
{
    QM_CAPPED(float, qm_exp, qm_reciprocal)
}
#if defined(qm_i4)
QM_FUNCTION qm_fv qm_capped_v(qm_fv x, float cap, float inverse)
{
    QM_CAPPED(qm_fv, qm_exp_v, qm_reciprocal_v)
}
#endif
#endif
#endif
