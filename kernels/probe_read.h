// probe_read: the sum of all words that an invocation reads, modulo 2^32, times 2654435761: the ceiling of reading. Which
// words it reads, and their layouts: probe_memory.h. `seed` is not used.
#ifndef QM_BODY
#include "probe_memory.h"
#define QM_BUFFERS                                                                                                     \
    QM_IN4(0, source)                                                                                                  \
    QM_OUT(1, uint, result)
#else
    uint i = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (i < count) {
        qm_uv sum[4];
        QM_UNROLL for (int u = 0; u < 4; ++u)
            sum[u] = QM_UV(0u);
        for (uint trip = 0u; trip < passes << shift; ++trip) {
            uint at = QM_PROBE_AT(trip);
            QM_UNROLL for (int u = 0; u < 4; ++u)
                sum[u] = sum[u] + QM_LOAD_UV(source, at + QM_UINT(u) * QM_PROBE_STRIDE);
        }
        qm_uv all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        uint total = 0u;
        QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane)
            total += QM_LANE(all, lane);
        result[i] = total * 2654435761u;
    }
#endif
