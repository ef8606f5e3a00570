// probe_copy: target[w] = source[w] for the words of the chunks that an invocation has (probe_memory.h), four vectors read
// before they are written: the ceiling of copying. `seed` is not used.
#ifndef QM_BODY
#include "probe_memory.h"
#define QM_BUFFERS                                                                                                     \
    QM_IN4(0, source)                                                                                                  \
    QM_OUT4(1, target)                                                                                                 \
    QM_OUT(2, uint, result)
#else
    uint i = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    if (i < count) {
        uint trail = 1u;
        for (uint trip = 0u; trip < passes << shift; ++trip) {
            trail = trail * 1664525u + 1013904223u;
            uint at = QM_PROBE_AT(trip);
            qm_uv words[4];
            QM_UNROLL for (int u = 0; u < 4; ++u)
                words[u] = QM_LOAD_UV(source, at + QM_UINT(u) * QM_PROBE_STRIDE);
            QM_UNROLL for (int u = 0; u < 4; ++u)
                QM_STORE_UV(target, at + QM_UINT(u) * QM_PROBE_STRIDE, words[u]);
        }
        result[i] = trail * 2654435761u;
    }
#endif
