// multiply_add: 16 chains of x = x * a + b a lane, `trips` times: the ceiling of float32 arithmetic.
//
// y[invocation] = sum over chains and lanes of x after `trips`, x starting at 1 + chain / 16 + lane / 64. With |a| < 1 it
// runs towards b / (1 - a), so that contraction hardly shows: bound 2^-18 relative. trips < 65,535. 32 * QM_VW *
// trips operations an invocation.
#ifndef QM_BODY
#define QM_BUFFERS QM_OUT(0, float, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(count)                                                                                                      \
    QM_U32(trips)                                                                                                      \
    QM_F32(a)                                                                                                          \
    QM_F32(b)
#define QM_LOCALS
#else
    uint i = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (i < count) {
        qm_fv x[16];
        QM_UNROLL for (int chain = 0; chain < 16; ++chain) {
            x[chain] = QM_FV(1.0f + QM_FLOAT(chain) * 0.0625f);
            QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane)
                QM_LANE(x[chain], lane) += QM_FLOAT(lane) * 0.015625f;
        }
        qm_fv av = QM_FV(a), bv = QM_FV(b);
        for (uint trip = 0u; trip < trips; ++trip) {
            QM_UNROLL for (int chain = 0; chain < 16; ++chain)
                x[chain] = x[chain] * av + bv;
        }
        float sum = 0.0f;
        QM_UNROLL for (int chain = 0; chain < 16; ++chain) {
            QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane)
                sum += QM_LANE(x[chain], lane);
        }
        result[i] = sum;
    }
#endif
