// probe_local: reads of local memory, which 2,048 words of the workgroup's fill: word w is (w + 1) 2654435761. In trip t an
// invocation adds, modulo 2^32, the eight words (8 t + u) QM_WORKGROUP_X + local, modulo 2,048: neighbours read neighbouring
// words, as kernels with tiles in local memory do. result[invocation] = sum + invocation. trips < 65,535.
#ifndef QM_BODY
#define QM_BUFFERS QM_OUT(0, uint, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(count)                                                                                                      \
    QM_U32(trips)
#define QM_LOCALS QM_LOCAL_U32(words, 2048)
#else
    for (uint w = QM_LOCAL_X; w < 2048u; w += QM_UINT(QM_WORKGROUP_X))
        words[w] = (w + 1u) * 2654435761u;
    QM_BARRIER;
    uint i = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    uint sum[8];
    QM_UNROLL for (int u = 0; u < 8; ++u)
        sum[u] = 0u;
    for (uint trip = 0u; trip < trips; ++trip) {
        QM_UNROLL for (int u = 0; u < 8; ++u)
            sum[u] += words[((trip * 8u + QM_UINT(u)) * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X) & 2047u];
    }
    uint total = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    if (i < count)
        result[i] = total + i;
#endif
