// kv_write: puts keys and values of new tokens into the cache, in the cache's format; where `is_turned`, turns keys before,
// in place, and queries, which go to q, by rope.h's table and with its bits.
//
// Of each row of x: q_heads heads of queries from 0 on, k_heads of keys from k_from on, v_heads of values from v_from on
// (q_heads 0: no queries; k_heads and v_heads: kv_heads, or 0 for none). Rows are q_stride floats apart for queries and
// kv_stride for the others; those of q lie side by side. One invocation per (row, head).
//
// f32 as it is; f16 to nearest even; kv8: scale = amax * (1/127, rounded up by 2^-22), code = round_even(x / scale) in
// -127..127, four to a word; kv4: 1/7 and -7..7, eight to a word (two's complement, lowest first). amax over the 64
// values of one token and head; amax < 2^-100 gives scale 0. |x - scale * code| <= scale * (0.5 + 2^-14).
// e4m3, e5m2: the code nearest to x * inverse_scale, ties to even, beyond the largest number (448; 57,344) that; four to
// a word. Of x * inverse_scale: error at most 2^-4 (2^-3) of it, or 2^-10 (2^-17) where that is more.
// kivi4, kivi2: of values, for keys see kv_block.h. minimum = binary16 of the least of the 64, scale = binary16 of
// (largest - minimum) / 15 (or 3), both ends first moved into -65504..65504; code = round_even((x - minimum) / scale) in
// 0..15 (0..3), eight (sixteen) to a word. |x - minimum - scale * code| <= scale * (0.5 + 2^-7) + 2^-11 |minimum| +
// 2^-20 for |x| <= 65504.
// With QM_KV_EXACT positions below exact_length are written as binary16 besides.
// Same bits on every device for the same input. Positions as in embedding.h. See kv_format.h.
#include "kv_format.h"
#include "quantize.h"
#ifndef QM_BODY
#include "rope.h"
#undef QM_BUFFERS
#undef QM_PARAMETERS
#undef QM_LOCALS
#define QM_BUFFERS                                                                                                     \
    QM_IN(0, float, table)                                                                                             \
    QM_INOUT(1, float, x)                                                                                              \
    QM_OUT(2, float, q)                                                                                                \
    QM_OUT(3, uint, cache)
#define QM_PARAMETERS                                                                                                  \
    QM_U32(rows)                                                                                                       \
    QM_U32(q_heads)                                                                                                    \
    QM_U32(k_heads)                                                                                                    \
    QM_U32(v_heads)                                                                                                    \
    QM_U32(kv_heads)                                                                                                   \
    QM_U32(is_turned)                                                                                                  \
    QM_U32(q_stride)                                                                                                   \
    QM_U32(kv_stride)                                                                                                  \
    QM_U32(k_from)                                                                                                     \
    QM_U32(v_from)                                                                                                     \
    QM_U32(tokens_per_sequence)                                                                                        \
    QM_U32(context)                                                                                                    \
    QM_U32(exact_length)                                                                                               \
    QM_U32(k_base)                                                                                                     \
    QM_U32(k_scale_base)                                                                                               \
    QM_U32(k_exact_base)                                                                                               \
    QM_F32(k_inverse_scale)                                                                                            \
    QM_U32(v_base)                                                                                                     \
    QM_U32(v_scale_base)                                                                                               \
    QM_U32(v_exact_base)                                                                                               \
    QM_F32(v_inverse_scale)
#define QM_LOCALS
#else
    uint item = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
    uint queries = rows * q_heads, keys = rows * k_heads;
    if (item < queries + keys + rows * v_heads) {
        bool is_query = item < queries, is_key = !is_query && item < queries + keys;
        uint heads = is_query ? q_heads : kv_heads;
        uint number = is_query ? item : is_key ? item - queries : item - queries - keys;
        uint row = number / heads, head = number % heads;
        uint position = QM_ROW_POSITION(row);
        uint from = row * (is_query ? q_stride : kv_stride) + (is_query ? 0u : is_key ? k_from : v_from) + head * QM_HEAD_VALUES;
        if (is_turned != 0u && (is_query || is_key)) {
            uint angle = position * QM_HEAD_VALUES;
#if defined(QM_BY_VECTORS)
            for (uint i = 0u; i < QM_HEAD_HALF; i += QM_UINT(QM_VW)) {
                qm_fv c = QM_LOAD_FV(table, angle + i), s = QM_LOAD_FV(table, angle + QM_HEAD_HALF + i);
                qm_fv first = QM_LOAD_FV(x, from + i), second = QM_LOAD_FV(x, from + QM_HEAD_HALF + i);
                qm_fv turned = qm_turned_v(first, second, c, s), other = qm_turned_v(second, -first, c, s);
                if (is_query) {
                    QM_STORE_FV(q, number * QM_HEAD_VALUES + i, turned);
                    QM_STORE_FV(q, number * QM_HEAD_VALUES + QM_HEAD_HALF + i, other);
                } else {
                    QM_STORE_FV(x, from + i, turned);
                    QM_STORE_FV(x, from + QM_HEAD_HALF + i, other);
                }
            }
#else
            for (uint i = 0u; i < QM_HEAD_HALF; ++i) {
                float c = table[angle + i], s = table[angle + QM_HEAD_HALF + i];
                float first = x[from + i], second = x[from + QM_HEAD_HALF + i];
                float turned = qm_turned(first, second, c, s), other = qm_turned(second, -first, c, s);
                if (is_query) {
                    q[number * QM_HEAD_VALUES + i] = turned;
                    q[number * QM_HEAD_VALUES + QM_HEAD_HALF + i] = other;
                } else {
                    x[from + i] = turned;
                    x[from + QM_HEAD_HALF + i] = other;
                }
            }
#endif
        }
        if (!is_query) {
            uint slot = (QM_ROW_SEQUENCE(row) * kv_heads + head) * context + position;
            uint to = (is_key ? k_base : v_base) + slot * QM_KV_WORDS, scale_base = is_key ? k_scale_base : v_scale_base;
            float inverse_scale = is_key ? k_inverse_scale : v_inverse_scale;
#if defined(QM_BY_VECTORS)
#define QM_ALL_OF_HEAD for (uint i = 0u; i < QM_HEAD_VALUES; i += QM_UINT(QM_VW))
#if defined(QM_KV_F32)
            QM_ALL_OF_HEAD
                QM_STORE_UV(cache, to + i, QM_UV_BITS(QM_LOAD_FV(x, from + i)));
#elif defined(QM_KV_F16)
            QM_ALL_OF_HEAD
                QM_STORE_HALVES(cache, to + i / 2u, QM_LOAD_FV(x, from + i));
#else
            qm_uv largest = QM_UV(0u); // magnitudes are in the order of their bits
            QM_ALL_OF_HEAD
                largest = QM_MAX(largest, QM_UV_BITS(QM_LOAD_FV(x, from + i)) & 0x7fffffffu);
            float scale = qm_scale_of(QM_BITS_FLOAT(QM_LANES_MAX_U(largest)), QM_KV_INVERSE_LARGEST);
            float inverse = qm_inverse_scale(scale);
            cache[scale_base + slot] = QM_FLOAT_BITS(scale);
            QM_ALL_OF_HEAD
#if defined(QM_KV_KV8)
                QM_STORE_BYTES(cache, to + i / 4u, qm_integer_codes(QM_LOAD_FV(x, from + i), inverse, 127.0f));
#else
                QM_STORE_NIBBLES(cache, to + i / 8u, qm_integer_codes(QM_LOAD_FV(x, from + i), inverse, 7.0f));
#endif
#endif
#elif defined(QM_KV_F32)
            for (uint i = 0u; i < QM_HEAD_VALUES; ++i)
                cache[to + i] = QM_FLOAT_BITS(x[from + i]);
#elif defined(QM_KV_F16)
            for (uint i = 0u; i < QM_HEAD_HALF; ++i)
                cache[to + i] = qm_half_bits(x[from + 2u * i]) | (qm_half_bits(x[from + 2u * i + 1u]) << 16);
#elif defined(QM_KV_FLOAT8)
            for (uint i = 0u; i < QM_KV_WORDS; ++i) {
                uint word = 0u;
                for (uint j = 0u; j < 4u; ++j)
#if defined(QM_KV_E4M3)
                    word |= qm_e4m3_code(x[from + 4u * i + j], inverse_scale) << (8u * j);
#else
                    word |= qm_e5m2_code(x[from + 4u * i + j], inverse_scale) << (8u * j);
#endif
                cache[to + i] = word;
            }
#elif defined(QM_KV_AFFINE)
            float least = x[from], most = x[from];
            for (uint i = 1u; i < QM_HEAD_VALUES; ++i) {
                least = QM_MIN(least, x[from + i]);
                most = QM_MAX(most, x[from + i]);
            }
            uint pair = qm_affine_pair(least, most, QM_KV_INVERSE_LARGEST);
            float minimum = qm_half_value(pair >> 16), inverse = qm_inverse_scale(qm_half_value(pair & 0xffffu));
            cache[scale_base + slot] = pair;
            for (uint i = 0u; i < QM_KV_WORDS; ++i) {
                uint word = 0u;
                for (uint j = 0u; j < 32u / QM_UINT(QM_KV_BITS); ++j)
                    word |= qm_affine_code(x[from + 32u / QM_UINT(QM_KV_BITS) * i + j], minimum, inverse, QM_KV_LARGEST)
                            << (QM_UINT(QM_KV_BITS) * j);
                cache[to + i] = word;
            }
#else
            float amax = 0.0f;
            for (uint i = 0u; i < QM_HEAD_VALUES; ++i)
                amax = QM_MAX(amax, QM_ABS(x[from + i]));
            float scale = qm_scale_of(amax, QM_KV_INVERSE_LARGEST);
            float inverse = qm_inverse_scale(scale);
            cache[scale_base + slot] = QM_FLOAT_BITS(scale);
            for (uint i = 0u; i < QM_KV_WORDS; ++i) {
                uint word = 0u;
#if defined(QM_KV_KV8)
                for (uint j = 0u; j < 4u; ++j)
                    word |= (qm_integer_code(x[from + 4u * i + j], inverse, 127.0f) & 0xffu) << (8u * j);
#else
                for (uint j = 0u; j < 8u; ++j)
                    word |= (qm_integer_code(x[from + 8u * i + j], inverse, 7.0f) & 0xfu) << (4u * j);
#endif
                cache[to + i] = word;
            }
#endif
#if defined(QM_KV_EXACT)
            if (position < exact_length) {
                uint exact = (is_key ? k_exact_base : v_exact_base) +
                             ((QM_ROW_SEQUENCE(row) * kv_heads + head) * exact_length + position) * QM_HEAD_HALF;
#if defined(QM_BY_VECTORS)
                QM_ALL_OF_HEAD
                    QM_STORE_HALVES(cache, exact + i / 2u, QM_LOAD_FV(x, from + i));
#else
                for (uint i = 0u; i < QM_HEAD_HALF; ++i)
                    cache[exact + i] = qm_half_bits(x[from + 2u * i]) | (qm_half_bits(x[from + 2u * i + 1u]) << 16);
#endif
            }
#endif
        }
    }
#endif
