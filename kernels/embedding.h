// embedding: y[row][c] = multiplier * table[token(row)][c]
//
// Row r is of sequence s = r / tokens_per_sequence of the pass. By pair s of the step buffer (portable.h), in token table and
// cache sequence = step_sequence + s + the pair's first word, position = step_position + r % tokens_per_sequence + its second;
// the token is tokens[sequence * token_stride + position]. The table is row-major, f32 or binary16 (two to a word, even
// columns low). It holds the rows of `count` tokens from token `first` on: rows of other tokens are left as they are, for
// another dispatch. One invocation per pair of columns, or per row (QM_BY_VECTORS). One rounding.
// QM_POSITIONS: y[row][c] += table[position(row)][c] in its place, a table with a row for each position; one rounding.
#include "rows.h"
#ifndef QM_BODY
#if defined(QM_POSITIONS)
#define QM_EMBEDDED QM_INOUT
#else
#define QM_EMBEDDED QM_OUT
#endif
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, uint, tokens)                                                                                             \
    QM_IN(1, uint, table)                                                                                              \
    QM_EMBEDDED(2, float, result)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(width)                                                                                                      \
    QM_U32(tokens_per_sequence)                                                                                        \
    QM_U32(token_stride)                                                                                               \
    QM_U32(first)                                                                                                      \
    QM_U32(count)                                                                                                      \
    QM_F32(multiplier)
#else
#if defined(QM_POSITIONS)
#define QM_PUT(at, value) result[at] = result[at] + (value);
#define QM_PUT_VECTOR(at, values) QM_STORE_FV(result, at, QM_LOAD_FV(result, at) + (values));
#else
#define QM_PUT(at, value) result[at] = (value) * multiplier;
#define QM_PUT_VECTOR(at, values) QM_STORE_FV(result, at, (values) * multiplier);
#endif
#if defined(QM_BY_VECTORS)
    uint row = QM_ROW;
    if (row < rows) {
#else
    uint pair = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    uint row = QM_GROUP_Y;
    if (pair < width / 2u && row < rows) {
#endif
        uint sequence = QM_ROW_SEQUENCE(row);
        uint position = QM_ROW_POSITION(row);
#if defined(QM_POSITIONS)
        uint token = position - first;
#else
        uint token = tokens[sequence * token_stride + position] - first;
#endif
#if defined(QM_BY_VECTORS)
        if (token < count) {
            uint from = token * width, to = row * width;
#if defined(QM_WEIGHT_F32)
#define QM_TAKE_VALUES(c, i) QM_PUT_VECTOR(to + (c), QM_FV_BITS(QM_LOAD_UV(table, from + (c))))
#define QM_TAKE_VALUE(c) QM_PUT(to + (c), QM_BITS_FLOAT(table[from + (c)]))
#else
#define QM_TAKE_VALUES(c, i) QM_PUT_VECTOR(to + (c), QM_LOAD_HALF16(table, (from + (c)) / 2u))
#define QM_TAKE_VALUE(c) QM_PUT(to + (c), qm_half_value((table[(from + (c)) / 2u] >> (16u * ((c)&1u))) & 0xffffu))
#endif
            QM_ALL_VECTORS(width, QM_TAKE_VALUES, QM_TAKE_VALUE)
        }
#else
        uint to = row * width + 2u * pair;
        if (token < count) {
#if defined(QM_WEIGHT_F32)
            uint from = token * width + 2u * pair;
            QM_PUT(to, QM_BITS_FLOAT(table[from]))
            QM_PUT(to + 1u, QM_BITS_FLOAT(table[from + 1u]))
#else
            uint both = table[token * (width / 2u) + pair];
            QM_PUT(to, qm_half_value(both & 0xffffu))
            QM_PUT(to + 1u, qm_half_value(both >> 16))
#endif
        }
#endif
    }
#endif
