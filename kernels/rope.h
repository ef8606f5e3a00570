// rope: rotary position embedding, in place, pairs (i, i + 32) of heads of 64, as Hugging Face's rotate_half.
//
// x[row][head][i]      := x[i] cos - x[i + 32] sin
// x[row][head][i + 32] := x[i + 32] cos + x[i] sin         with cos, sin = table[position][0..31], [32..63]
// position = step_position + row % tokens_per_sequence; the table comes from the host. One invocation per (pair, head).
// Bound: 2^-22 * (|x[i]| + |x[i + 32]|).
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
    if (item < heads * 32u && row < rows) {
        uint i = item % 32u;
        uint at = (row * heads + item / 32u) * 64u + i;
        uint angle = (step_position + row % tokens_per_sequence) * 64u + i;
        float c = table[angle], s = table[angle + 32u];
        float first = x[at], second = x[at + 32u];
        x[at] = first * c - second * s;
        x[at + 32u] = second * c + first * s;
    }
#endif
