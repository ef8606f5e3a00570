// What the probes of memory share: which words an invocation touches, and what stands in them.
//
// Data are chunks of 2^shift trips of four vectors of QM_VW words; chunk_mask + 1 of them. Trip t of pass p is in chunk
// (who + p) & chunk_mask, so that data smaller than what a sample takes are touched again and again, each time by another.
// Each invocation has a chunk of its own; with QM_INTERLEAVED each workgroup has one, whose vectors its invocations take in
// turn. Passes and chunks are one loop of passes 2^shift trips, which must be below 65,535. What stands in memory after it is
// the same after fewer passes: so writing and copying keep a trail of their trips, x = x 1664525 + 1013904223 from 1 on in
// each, and result[invocation] = x 2654435761.
#if !defined(QM_HOST)
#if defined(QM_INTERLEAVED)
#define QM_PROBE_WHO QM_GROUP_X
#define QM_PROBE_STRIDE QM_UINT(QM_VW * QM_WORKGROUP_X)
#define QM_PROBE_PLACE (QM_LOCAL_X * QM_UINT(QM_VW))
#else
#define QM_PROBE_WHO i
#define QM_PROBE_STRIDE QM_UINT(QM_VW)
#define QM_PROBE_PLACE 0u
#endif
#define QM_PROBE_AT(trip)                                                                                              \
    ((((((QM_PROBE_WHO + ((trip) >> shift)) & chunk_mask) << shift) + ((trip) & ((1u << shift) - 1u))) * 4u *          \
      QM_PROBE_STRIDE) +                                                                                               \
     QM_PROBE_PLACE)

// Words of the data, which no compression shrinks: m xor (m >> 15), m = (w + seed) 2654435761 for word number w.
QM_FUNCTION qm_uv qm_probe_words(qm_uv m)
{
    return m ^ (m >> 15u);
}
#endif
#define QM_PARAMETERS                                                                                                  \
    QM_U32(count)                                                                                                      \
    QM_U32(shift)                                                                                                      \
    QM_U32(passes)                                                                                                     \
    QM_U32(chunk_mask)                                                                                                 \
    QM_U32(seed)
#define QM_LOCALS
