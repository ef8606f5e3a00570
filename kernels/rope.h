// rope: rotary position embedding, in place, pairs (i, i + H) of heads of 2 H = QM_HEAD, as Hugging Face's rotate_half.
//
// x[row][head][i]     := x[i] cos - x[i + H] sin
// x[row][head][i + H] := x[i + H] cos + x[i] sin         with cos, sin = table[position][0..H-1], [H..2 H - 1]
// position is QM_ROW_POSITION; the table comes from the host. One invocation per (pair, head). Never contracted: kv_write.h
// turns with the same bits. Bound: 2^-22 * (|x[i]| + |x[i + H]|).
#include "head.h"
#ifndef QM_ROPE_H
#define QM_ROPE_H
#if !defined(QM_HOST)
// The first value of a pair, turned; the second one is that of (second, -first).
#define QM_TURNED(floats)                                                                                              \
    QM_PRECISE_SCOPE                                                                                                   \
    QM_PRECISE floats along = first * c;                                                                               \
    QM_PRECISE floats across = second * s;                                                                             \
    QM_PRECISE floats turned = along - across;                                                                         \
    return turned;
QM_FUNCTION float qm_turned(float first, float second, float c, float s)
{
    QM_TURNED(float)
}
#if defined(qm_i4)
QM_FUNCTION qm_fv qm_turned_v(qm_fv first, qm_fv second, qm_fv c, qm_fv s)
{
    QM_TURNED(qm_fv)
}
#endif
#endif
#endif
#ifndef QM_BODY
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, table)                                                                                             \
    QM_INOUT(1, float, x)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(heads)                                                                                                      \
    QM_U32(tokens_per_sequence)
#define QM_LOCALS
#else
    uint item = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    uint row = QM_GROUP_Y;
    if (item < heads * QM_HEAD_HALF && row < rows) {
        uint i = item % QM_HEAD_HALF;
        uint at = (row * heads + item / QM_HEAD_HALF) * QM_HEAD_VALUES + i;
        uint angle = QM_ROW_POSITION(row) * QM_HEAD_VALUES + i;
        float c = table[angle], s = table[angle + QM_HEAD_HALF];
        float first = x[at], second = x[at + QM_HEAD_HALF];
        x[at] = qm_turned(first, second, c, s);
        x[at + QM_HEAD_HALF] = qm_turned(second, -first, c, s);
    }
#endif
