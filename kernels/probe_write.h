// probe_write: target[w] = m xor (m >> 15), m = (w + seed) 2654435761 modulo 2^32, for the words of the chunks that an
// invocation has (probe_memory.h): the ceiling of writing.
#ifndef QM_BODY
#include "probe_memory.h"
#define QM_BUFFERS                                                                                                     \
    QM_OUT4(0, target)                                                                                                 \
    QM_OUT(1, uint, result)
#else
    uint i = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (i < count) {
        uint trail = 1u;
        qm_uv first = QM_UV(0u);
        QM_UNROLL for (int lane = 0; lane < QM_VW; ++lane)
            QM_LANE(first, lane) = (seed + QM_UINT(lane)) * 2654435761u;
        for (uint trip = 0u; trip < passes << shift; ++trip) {
            trail = trail * 1664525u + 1013904223u;
            uint at = QM_PROBE_AT(trip);
            QM_UNROLL for (int u = 0; u < 4; ++u) {
                uint to = at + QM_UINT(u) * QM_PROBE_STRIDE;
                QM_STORE_UV(target, to, qm_probe_words(first + QM_UV(to * 2654435761u)));
            }
        }
        result[i] = trail * 2654435761u;
    }
#endif
