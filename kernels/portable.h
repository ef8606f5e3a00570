// The dialect: one text that is GLSL, OpenCL C and C.
//
// A kernel's header, kernels/NAME.h, is read twice by each shell. The first time it declares what the kernel takes:
//   QM_BUFFERS     a list of QM_IN, QM_OUT or QM_INOUT (binding, element type, name), or QM_IN4 (binding, name) for
//                  words that are read four at a time, on indices that are multiples of four (QM_LOAD4, QM_LOAD_UV;
//                  QM_LOAD1 for a single one): drivers on the processor take as long for a word as for four. With
//                  QM_TEXEL they are texel buffers in GLSL, at most so large as the device says; or QM_OUT4 (binding,
//                  name) for words that are written so (QM_STORE_UV)
//   QM_PARAMETERS  a list of QM_U32 or QM_F32 (name): 32-bit words in this order
//   QM_LOCALS      a list of QM_LOCAL_U32 or QM_LOCAL_U4 (name, count): local memory in words or fours of them, or nothing
// and defines functions. The second time, with QM_BODY defined, it is the text of the kernel's function.
//
// Types: uint, int, float; qm_f4 of four floats; qm_fv, qm_iv, qm_uv of QM_VW lanes (4 in GLSL, 4 to 16 in OpenCL C and
// C). Vectors take + - * and, for integers, << >> & with vectors or scalars of the same type. All buffers are of 32-bit
// words. No pointers, no structures, no function takes a buffer.
//
// Step parameters: step_position (of the first token of each sequence), step_sequence (first sequence),
// step_slot (row of the checksum table); the kernel `advance` moves them on, so that a program is recorded once. Behind
// them lies a pair for each sequence of the pass, added modulo 2^32: to its cache sequence and to its position. Kernels
// ask for the sum:
//   QM_STEP_SEQUENCE(s), QM_STEP_POSITION(s)    cache sequence, and position of the first token, of the s-th sequence
//   QM_ROW_SEQUENCE(row), QM_ROW_POSITION(row)  those of a row, by the kernel's parameter tokens_per_sequence
#ifndef QM_PORTABLE_H
#define QM_PORTABLE_H

#ifndef QM_VW
#define QM_VW 4
#endif
#ifndef QM_WORKGROUP_X
#define QM_WORKGROUP_X 1
#endif
#ifndef QM_WORKGROUP_Y
#define QM_WORKGROUP_Y 1
#endif

#if defined(QM_GLSL) // ---------------------------------------------------------------------------------------- GLSL
#extension GL_EXT_control_flow_attributes : require

#define QM_FUNCTION
#define QM_PRECISE precise
#define QM_PRECISE_SCOPE
#define QM_UNROLL [[unroll]]

#define qm_f4 vec4
#define qm_fv vec4
#define qm_iv ivec4
#define qm_uv uvec4
#define QM_UINT(x) uint(x)
#define QM_INT(x) int(x)
#define QM_FLOAT(x) float(x)
#define QM_FLOAT_BITS(x) floatBitsToUint(x)
#define QM_BITS_FLOAT(x) uintBitsToFloat(x)
#define QM_F4(a, b, c, d) vec4(a, b, c, d)
#define QM_U4_FROM_F4(x) floatBitsToUint(x)
#define QM_FV(x) vec4(x)
#define QM_IV(x) ivec4(x)
#define QM_UV(x) uvec4(x)
#define QM_LANE(v, i) v[i]
#define QM_IV_FROM_UV(x) ivec4(x)
#define QM_FV_FROM_IV(x) vec4(x)
#define QM_FV_BITS(x) uintBitsToFloat(x)
#define QM_UV_BITS(x) floatBitsToUint(x)
#define QM_EVENS(a, b) vec4(a.xz, b.xz)
#define QM_ODDS(a, b) vec4(a.yw, b.yw)
#define QM_UV_FROM_IV(x) uvec4(x)
#define QM_DOT4(a, b) dot(a, b)
#define QM_MAX(a, b) max(a, b)
#define QM_MIN(a, b) min(a, b)
#define QM_ABS(a) abs(a)

#define qm_u4 uvec4
#define QM_U4(a, b, c, d) uvec4(a, b, c, d)
#define QM_UV_BITS(x) floatBitsToUint(x)
#if defined(QM_TEXEL)
#define QM_LOAD4(buffer, i) imageLoad(buffer, int((i) >> 2))
#define QM_IN4(number, name) layout(rgba32ui, set = 0, binding = number + 5) uniform readonly uimageBuffer name;
#else
#define QM_LOAD4(buffer, i) buffer[(i) >> 2]
#define QM_IN4(number, name) layout(std430, set = 0, binding = number) readonly buffer name##_block { uvec4 name[]; };
#endif
#define QM_LOAD1(buffer, i) QM_LOAD4(buffer, i)[(i) & 3u]
#define QM_LOAD_UV(buffer, i) QM_LOAD4(buffer, i)
#define QM_STORE_FV(buffer, i, v)                                                                                      \
    buffer[i] = v.x;                                                                                                   \
    buffer[(i) + 1u] = v.y;                                                                                            \
    buffer[(i) + 2u] = v.z;                                                                                            \
    buffer[(i) + 3u] = v.w
#define QM_STORE_UV(buffer, i, v) buffer[(i) >> 2] = v
#define QM_STORE4(buffer, i, v) buffer[(i) >> 2] = v

#define QM_GROUP_X gl_WorkGroupID.x
#define QM_GROUP_Y gl_WorkGroupID.y
#define QM_GROUPS_X gl_NumWorkGroups.x
#define QM_GROUPS_Y gl_NumWorkGroups.y
#define QM_LOCAL_X gl_LocalInvocationID.x
#define QM_LOCAL_Y gl_LocalInvocationID.y
#define QM_BARRIER barrier()

#define QM_IN(number, type, name) layout(std430, set = 0, binding = number) readonly buffer name##_block { type name[]; };
#define QM_OUT(number, type, name) layout(std430, set = 0, binding = number) buffer name##_block { type name[]; };
#define QM_OUT4(number, name) layout(std430, set = 0, binding = number) writeonly buffer name##_block { uvec4 name[]; };
#define QM_INOUT(number, type, name) layout(std430, set = 0, binding = number) buffer name##_block { type name[]; };
#define QM_U32(name) uint name;
#define QM_F32(name) float name;
#define QM_LOCAL_U32(name, count) shared uint name[count];
#define QM_LOCAL_U4(name, count) shared uvec4 name[count];
#define QM_DECLARE                                                                                                     \
    layout(local_size_x = QM_WORKGROUP_X, local_size_y = QM_WORKGROUP_Y) in;                                           \
    QM_BUFFERS                                                                                                         \
    layout(push_constant) uniform qm_parameter_block { QM_PARAMETERS };                                                \
    layout(std140, set = 0, binding = 4) uniform qm_step_block { uvec4 qm_step[1024]; };                               \
    QM_LOCALS
#define QM_BEGIN
#define QM_STEP_WORD(i) qm_step[(i) >> 2][(i) & 3u]

#elif defined(__OPENCL_C_VERSION__) // ---------------------------------------------------------------------- OpenCL C

#define QM_FUNCTION static inline
#define QM_PRECISE
#define QM_PRECISE_SCOPE _Pragma("OPENCL FP_CONTRACT OFF")
#define QM_UNROLL __attribute__((opencl_unroll_hint))

#define QM_JOIN2(a, b) a##b
#define QM_JOIN(a, b) QM_JOIN2(a, b)
#define qm_f4 float4
#define qm_fv QM_JOIN(float, QM_VW)
#define qm_iv QM_JOIN(int, QM_VW)
#define qm_uv QM_JOIN(uint, QM_VW)
#define QM_UINT(x) ((uint)(x))
#define QM_INT(x) ((int)(x))
#define QM_FLOAT(x) ((float)(x))
#define QM_FLOAT_BITS(x) as_uint(x)
#define QM_BITS_FLOAT(x) as_float(x)
#define QM_F4(a, b, c, d) ((float4)(a, b, c, d))
#define QM_U4_FROM_F4(x) as_uint4(x)
#define QM_FV(x) ((qm_fv)(x))
#define QM_IV(x) ((qm_iv)(x))
#define QM_UV(x) ((qm_uv)(x))
#define QM_LANE(v, i) v[i]
#define QM_IV_FROM_UV(x) QM_JOIN(as_int, QM_VW)(x)
#define QM_FV_FROM_IV(x) QM_JOIN(convert_float, QM_VW)(x)
#define QM_FV_BITS(x) QM_JOIN(as_float, QM_VW)(x)
#define QM_UV_BITS(x) QM_JOIN(as_uint, QM_VW)(x)
#define QM_EVENS(a, b) ((qm_fv)((a).even, (b).even))
#define QM_ODDS(a, b) ((qm_fv)((a).odd, (b).odd))
#define QM_UV_FROM_IV(x) QM_JOIN(as_uint, QM_VW)(x)
#define QM_DOT4(a, b) dot(a, b)
#define QM_MAX(a, b) max(a, b)
#define QM_MIN(a, b) min(a, b)
#define QM_ABS(a) fabs(a)

#define qm_u4 uint4
#define QM_U4(a, b, c, d) ((uint4)(a, b, c, d))
#define QM_UV_BITS(x) QM_JOIN(as_uint, QM_VW)(x)
#define QM_LOAD1(buffer, i) buffer[i]
#if defined(QM_PAIRED_LOADS) // by the backend, where a load takes as long as it has components
#define QM_LOAD4(buffer, i) as_uint4(vload2(0, (__global const ulong *)(buffer + (i))))
#else
#define QM_LOAD4(buffer, i) vload4(0, buffer + (i))
#endif
#if defined(QM_PAIRED_LOADS) && QM_VW == 4
#define QM_LOAD_UV(buffer, i) QM_LOAD4(buffer, i)
#else
#define QM_LOAD_UV(buffer, i) QM_JOIN(vload, QM_VW)(0, buffer + (i))
#endif
#define QM_LOAD_FV(buffer, i) QM_JOIN(vload, QM_VW)(0, buffer + (i))
#define QM_STORE_FV(buffer, i, v) QM_JOIN(vstore, QM_VW)(v, 0, buffer + (i))
#define QM_STORE_UV(buffer, i, v) QM_JOIN(vstore, QM_VW)(v, 0, buffer + (i))
#define QM_STORE4(buffer, i, v) vstore4(v, 0, buffer + (i))
#define QM_IV_BITS(x) QM_JOIN(as_int, QM_VW)(x)
#define qm_i4 int4
#define QM_F4_FROM_I4(x) convert_float4(x)
// Processors convert binary16 themselves: exactly, as OpenCL has it.
#if QM_VW == 8
#define QM_LOAD_HALVES(buffer, i, low, high) /* of 8 words */                                                          \
    float16 low##_pairs = vload_half16(0, (__global const half *)(buffer + (i)));                                      \
    float8 low = low##_pairs.even, high = low##_pairs.odd;
// Lane l of eight vectors, side by side, to buffer[to + l * stride]: transposed by shuffles of pairs, halves and quarters.
#define QM_STORE_TRANSPOSED(buffer, to, stride, x0, x1, x2, x3, x4, x5, x6, x7)                                        \
    {                                                                                                                  \
        float8 t0 = (float8)(x0.lo, x4.lo), t1 = (float8)(x1.lo, x5.lo), t2 = (float8)(x2.lo, x6.lo),                  \
               t3 = (float8)(x3.lo, x7.lo), t4 = (float8)(x0.hi, x4.hi), t5 = (float8)(x1.hi, x5.hi),                  \
               t6 = (float8)(x2.hi, x6.hi), t7 = (float8)(x3.hi, x7.hi);                                               \
        QM_STORE_FOUR_ROWS(buffer, to, stride, t0, t1, t2, t3)                                                         \
        QM_STORE_FOUR_ROWS(buffer, (to) + 4u * (stride), stride, t4, t5, t6, t7)                                       \
    }
// What is written once and read by nobody here need not be fetched before, nor kept.
#if !defined(QM_CACHED_STORES) && defined(__has_builtin) && __has_builtin(__builtin_nontemporal_store)
#define QM_STORE_EIGHT(x, to) __builtin_nontemporal_store(as_uint8(x), (__global uint8 *)(to))
#else
#define QM_STORE_EIGHT(x, to) vstore8(as_uint8(x), 0, to)
#endif
#define QM_STORE_FOUR_ROWS(buffer, to, stride, p, q, r, s)                                                             \
    {                                                                                                                  \
        float8 pq0 = (float8)(p.s0, q.s0, p.s1, q.s1, p.s4, q.s4, p.s5, q.s5),                                         \
               rs0 = (float8)(r.s0, s.s0, r.s1, s.s1, r.s4, s.s4, r.s5, s.s5),                                         \
               pq2 = (float8)(p.s2, q.s2, p.s3, q.s3, p.s6, q.s6, p.s7, q.s7),                                         \
               rs2 = (float8)(r.s2, s.s2, r.s3, s.s3, r.s6, s.s6, r.s7, s.s7);                                         \
        QM_STORE_EIGHT((float8)(pq0.s01, rs0.s01, pq0.s45, rs0.s45), buffer + (to));                                   \
        QM_STORE_EIGHT((float8)(pq0.s23, rs0.s23, pq0.s67, rs0.s67), buffer + (to) + (stride));                        \
        QM_STORE_EIGHT((float8)(pq2.s01, rs2.s01, pq2.s45, rs2.s45), buffer + (to) + 2u * (stride));                   \
        QM_STORE_EIGHT((float8)(pq2.s23, rs2.s23, pq2.s67, rs2.s67), buffer + (to) + 3u * (stride));                   \
    }
#elif QM_VW == 16
#define QM_LOAD_HALVES(buffer, i, low, high) /* of 16 words */                                                         \
    float16 low##_pairs = vload_half16(0, (__global const half *)(buffer + (i))),                                      \
            high##_pairs = vload_half16(1, (__global const half *)(buffer + (i)));                                     \
    float16 low = (float16)(low##_pairs.even, high##_pairs.even), high = (float16)(low##_pairs.odd, high##_pairs.odd);
#define qm_f8 float8
#define QM_LOAD_HALF8(buffer, i) vload_half8(0, (__global const half *)(buffer + (i)))
#define QM_LOAD_HALF16(buffer, i) vload_half16(0, (__global const half *)(buffer + (i)))
#define QM_F8(x) ((float8)(x))
#define QM_PAIR_LANES(array, i) vload2(0, array + (i)).xyxyxyxy
#define QM_PAIR_SUMS(a, b, c, d) ((float16)(a.even + a.odd, b.even + b.odd, c.even + c.odd, d.even + d.odd))
#endif
#if QM_VW == 16
// The lowest byte of each lane, four to a word.
#define QM_STORE_BYTES(buffer, i, v) vstore4(as_uint4(convert_uchar16(v)), 0, buffer + (i))
// The lowest four bits of each lane, eight to a word.
#define QM_STORE_NIBBLES(buffer, i, v) vstore2(qm_nibbles(as_ushort8(convert_uchar16((v)&0xfu))), 0, buffer + (i))
QM_FUNCTION uint2 qm_nibbles(ushort8 pairs)
{
    return as_uint2(convert_uchar8((pairs | (pairs >> (ushort8)(4))) & (ushort8)(0xff)));
}
#define QM_LANE_NUMBERS ((uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#define QM_EIGHT_LANES(scalar, OF) scalar##8 eight = OF(x.lo, x.hi);
#elif QM_VW == 8
#define QM_LANE_NUMBERS ((uint8)(0, 1, 2, 3, 4, 5, 6, 7))
#define QM_EIGHT_LANES(scalar, OF) scalar##8 eight = x;
#endif
#if QM_VW == 16 || QM_VW == 8
// Trees over lanes: those that are eight apart first.
#define QM_LANES_TREE(name, scalar, OF)                                                                                \
    QM_FUNCTION scalar name(QM_JOIN(scalar, QM_VW) x)                                                                  \
    {                                                                                                                  \
        QM_EIGHT_LANES(scalar, OF)                                                                                     \
        scalar##4 four = OF(eight.lo, eight.hi);                                                                       \
        scalar##2 two = OF(four.lo, four.hi);                                                                          \
        return OF(two.x, two.y);                                                                                       \
    }
// Binary16 of QM_VW values, two to a word: the bits of qm_half_bits. A NaN is made one without a payload before.
#define QM_STORE_HALVES(buffer, i, v)                                                                                  \
    QM_JOIN(QM_JOIN(vstore_half, QM_VW), _rte)(qm_plain_nans(v), 0, (__global half *)(buffer + (i)))
QM_FUNCTION qm_fv qm_plain_nans(qm_fv x)
{
    return QM_FV_BITS(select(QM_UV_BITS(x), (QM_UV_BITS(x) & 0x80000000u) | 0x7fc00000u, x != x));
}
#define QM_ADDED(a, b) ((a) + (b))
QM_LANES_TREE(qm_lanes_sum, float, QM_ADDED)
QM_LANES_TREE(qm_lanes_max, float, max)
QM_LANES_TREE(qm_lanes_sum_u, uint, QM_ADDED)
QM_LANES_TREE(qm_lanes_max_u, uint, max)
QM_LANES_TREE(qm_lanes_min_u, uint, min)
#define QM_LANES_SUM(x) qm_lanes_sum(x)
#define QM_LANES_MAX(x) qm_lanes_max(x)
#define QM_LANES_SUM_U(x) qm_lanes_sum_u(x)
#define QM_LANES_MAX_U(x) qm_lanes_max_u(x)
#define QM_LANES_MIN_U(x) qm_lanes_min_u(x)
#endif
#define QM_I4_FROM_U4(x) as_int4(x)
#define QM_PRIVATE_LOAD(array, i) QM_JOIN(vload, QM_VW)(0, array + (i))
#define QM_PRIVATE_FROM(type, name, array, i) const type *name = (array) + (i); // so that constants are left to add
#define QM_PRIVATE_STORE(array, i, v) QM_JOIN(vstore, QM_VW)(v, 0, array + (i));
#define QM_PRIVATE_STORE4(array, i, v) vstore4(v, 0, array + (i));

#define QM_GROUP_X ((uint)get_group_id(0))
#define QM_GROUP_Y ((uint)get_group_id(1))
#define QM_GROUPS_X ((uint)get_num_groups(0))
#define QM_GROUPS_Y ((uint)get_num_groups(1))
#define QM_LOCAL_X ((uint)get_local_id(0))
#define QM_LOCAL_Y ((uint)get_local_id(1))
#define QM_BARRIER barrier(CLK_LOCAL_MEM_FENCE)

#define QM_IN(number, type, name) __global const type *name,
#define QM_IN4(number, name) __global const uint *name,
#define QM_OUT(number, type, name) __global type *name,
#define QM_OUT4(number, name) __global uint *name,
#define QM_INOUT(number, type, name) __global type *name,
#define QM_U32(name) const uint name,
#define QM_F32(name) const float name,
#define QM_LOCAL_U32(name, count) __local uint name[count];
#define QM_LOCAL_U4(name, count) __local uint4 name[count];
#define QM_ENTRY __kernel __attribute__((reqd_work_group_size(QM_WORKGROUP_X, QM_WORKGROUP_Y, 1))) void
#define QM_ARGUMENTS QM_BUFFERS QM_PARAMETERS __global const uint *qm_step
#define QM_BEGIN QM_LOCALS
#define QM_STEP_WORD(i) qm_step[i]

#else // ------------------------------------------------------------------------------------------------------------ C
// For debugging under sanitizers: the caller loops over groups and invocations; kernels with barriers are left out.
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint32_t qm_uint;
#define uint qm_uint
#define QM_FUNCTION static inline __attribute__((unused))
#define QM_PRECISE
#define QM_PRECISE_SCOPE
#define QM_UNROLL

typedef float qm_f4 __attribute__((vector_size(16)));
typedef float qm_fv __attribute__((vector_size(4 * QM_VW)));
typedef int32_t qm_iv __attribute__((vector_size(4 * QM_VW)));
typedef uint32_t qm_uv __attribute__((vector_size(4 * QM_VW)));
#define QM_UINT(x) ((uint)(x))
#define QM_INT(x) ((int)(x))
#define QM_FLOAT(x) ((float)(x))
QM_FUNCTION uint QM_FLOAT_BITS(float x) { uint bits; memcpy(&bits, &x, 4); return bits; }
QM_FUNCTION float QM_BITS_FLOAT(uint x) { float value; memcpy(&value, &x, 4); return value; }
#define QM_F4(a, b, c, d) ((qm_f4){a, b, c, d})
#define QM_U4_FROM_F4(x) ((qm_u4)(x))
#define QM_FV(x) ((qm_fv){0} + (x))
#define QM_IV(x) ((qm_iv){0} + (x))
#define QM_UV(x) ((qm_uv){0} + (x))
#define QM_LANE(v, i) v[i]
#define QM_IV_FROM_UV(x) ((qm_iv)(x))
#define QM_FV_FROM_IV(x) __builtin_convertvector(x, qm_fv)
#define QM_FV_BITS(x) ((qm_fv)(x))
#define QM_UV_FROM_IV(x) ((qm_uv)(x))
QM_FUNCTION float QM_DOT4(qm_f4 a, qm_f4 b) { qm_f4 p = a * b; return p[0] + p[1] + p[2] + p[3]; }
#define QM_MAX(a, b) ((a) > (b) ? (a) : (b))
#define QM_MIN(a, b) ((a) < (b) ? (a) : (b))
#define QM_ABS(a) fabsf(a)
typedef uint32_t qm_u4 __attribute__((vector_size(16)));
#define QM_LOAD1(buffer, i) buffer[i]
QM_FUNCTION qm_u4 QM_LOAD4(const uint *buffer, uint i) { qm_u4 v; memcpy(&v, buffer + i, sizeof(v)); return v; }
QM_FUNCTION qm_uv QM_LOAD_UV(const uint *buffer, uint i) { qm_uv v; memcpy(&v, buffer + i, sizeof(v)); return v; }
QM_FUNCTION void QM_STORE_FV(float *buffer, uint i, qm_fv v) { memcpy(buffer + i, &v, sizeof(v)); }
QM_FUNCTION void QM_STORE_UV(uint *buffer, uint i, qm_uv v) { memcpy(buffer + i, &v, sizeof(v)); }
QM_FUNCTION void QM_STORE4(uint *buffer, uint i, qm_u4 v) { memcpy(buffer + i, &v, sizeof(v)); }

#define QM_GROUP_X qm_group_x
#define QM_GROUP_Y qm_group_y
#define QM_LOCAL_X qm_local_x
#define QM_LOCAL_Y qm_local_y
#define QM_BARRIER _Static_assert(0, "the C target has no barrier")
#define QM_LOCAL_U32(name, count)
#define QM_BEGIN
#define QM_STEP_WORD(i) qm_step[i]
#endif

// ---- The step buffer: position, sequence, slot, a word for nothing, then the pairs. Every device takes a uniform block
// of its 16 KiB. The last pair, number 2,045, is always zero, and stands for those of all sequences behind it. ----
#define step_position QM_STEP_WORD(0u)
#define step_sequence QM_STEP_WORD(1u)
#define step_slot QM_STEP_WORD(2u)
#define QM_STEP_PAIR(s) (4u + 2u * QM_MIN(s, 2045u))
#define QM_STEP_SEQUENCE(s) (step_sequence + (s) + QM_STEP_WORD(QM_STEP_PAIR(s)))
#define QM_STEP_POSITION(s) (step_position + QM_STEP_WORD(QM_STEP_PAIR(s) + 1u))
#define QM_ROW_SEQUENCE(row) QM_STEP_SEQUENCE((row) / tokens_per_sequence)
#define QM_ROW_POSITION(row) (QM_STEP_POSITION((row) / tokens_per_sequence) + (row) % tokens_per_sequence)

// ---- Functions of all three, whose bits are the same on every device: only + - * and integers, never contracted ----

// a + b, rounded once, whatever a and b were made of: no multiply-add.
QM_FUNCTION float qm_sum_of(float a, float b)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float sum = a + b;
    return sum;
}
#if defined(qm_i4)
QM_FUNCTION qm_fv qm_sum_of_v(qm_fv a, qm_fv b)
{
    QM_PRECISE_SCOPE
    qm_fv sum = a + b;
    return sum;
}
#endif

// Nearest integer, ties to even, for |x| <= 2^21: the sum's low mantissa bits are the integer.
QM_FUNCTION int qm_round(float x)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float shifted = x + 12582912.0f; // 1.5 * 2^23
    return QM_INT(QM_FLOAT_BITS(shifted)) - 0x4b400000;
}

// 1 / x for 2^-107 <= x <= 2^100, within 2 units in the last place: an integer seed and Newton's steps. Above that y *
// error is subnormal, and a device that flushes it (SwiftShader does) is off by 0.3 %, up to 2^120.
#define QM_RECIPROCAL(floats, FLOAT_BITS, BITS_FLOAT)                                                                  \
    QM_PRECISE_SCOPE                                                                                                   \
    QM_PRECISE floats y = BITS_FLOAT(0x7ef311c7u - FLOAT_BITS(x));                                                     \
    QM_PRECISE floats error = 1.0f - x * y;                                                                            \
    y = y + y * error;                                                                                                 \
    error = 1.0f - x * y;                                                                                              \
    y = y + y * error;                                                                                                 \
    error = 1.0f - x * y;                                                                                              \
    y = y + y * error;                                                                                                 \
    return y;
QM_FUNCTION float qm_reciprocal(float x)
{
    QM_RECIPROCAL(float, QM_FLOAT_BITS, QM_BITS_FLOAT)
}
#if defined(qm_i4)
QM_FUNCTION qm_fv qm_reciprocal_v(qm_fv x)
{
    QM_RECIPROCAL(qm_fv, QM_UV_BITS, QM_FV_BITS)
}
#endif

// 1 / sqrt(x) for 2^-100 <= x <= 2^100, within 3 units in the last place.
QM_FUNCTION float qm_inverse_root(float x)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float y = QM_BITS_FLOAT(0x5f375a86u - (QM_FLOAT_BITS(x) >> 1));
    QM_PRECISE float half_x = 0.5f * x;
    QM_PRECISE float square = y * y;
    y = y * (1.5f - half_x * square);
    square = y * y;
    y = y * (1.5f - half_x * square);
    square = y * y;
    y = y * (1.5f - half_x * square);
    square = y * y;
    y = y * (1.5f - half_x * square);
    return y;
}

// e^x, relative error below 2e-7 for -87 <= x <= 88; below it gives e^-87, above it e^88. x = n ln 2 + r, then the
// Taylor series of e^r to r^7 (|r| <= 0.347: the rest is below 2^-27).
#define QM_SIGNED_BITS(x) QM_INT(QM_FLOAT_BITS(x))
#define QM_SIGNED_FLOAT(x) QM_BITS_FLOAT(QM_UINT(x))
#define QM_EXPONENTIAL(floats, ints, FLOAT_BITS, FLOAT_OF_INT, BITS_FLOAT)                                               \
    QM_PRECISE_SCOPE                                                                                                   \
    QM_PRECISE floats bounded = QM_MIN(QM_MAX(x, -87.0f), 88.0f);                                                      \
    QM_PRECISE floats shifted = bounded * 1.44269504f;                                                                 \
    shifted = shifted + 12582912.0f; /* as in qm_round */                                                              \
    ints n = FLOAT_BITS(shifted) - 0x4b400000;                                                                         \
    QM_PRECISE floats count = FLOAT_OF_INT(n);                                                                         \
    QM_PRECISE floats r = bounded - count * 0.693359375f; /* exact: 0.693359375 has 9 bits */                          \
    r = r + count * 2.12194440e-4f;                                                                                    \
    QM_PRECISE floats sum = r * (1.0f / 5040.0f) + 1.0f / 720.0f;                                                      \
    sum = sum * r + 1.0f / 120.0f;                                                                                     \
    sum = sum * r + 1.0f / 24.0f;                                                                                      \
    sum = sum * r + 1.0f / 6.0f;                                                                                       \
    sum = sum * r + 0.5f;                                                                                              \
    sum = sum * r + 1.0f;                                                                                              \
    sum = sum * r + 1.0f;                                                                                              \
    QM_PRECISE floats power = BITS_FLOAT((n + 127) << 23);                                                             \
    return sum * power;
QM_FUNCTION float qm_exp(float x)
{
    QM_EXPONENTIAL(float, int, QM_SIGNED_BITS, QM_FLOAT, QM_SIGNED_FLOAT)
}
#if defined(qm_i4)
QM_FUNCTION qm_fv qm_exp_v(qm_fv x)
{
    QM_EXPONENTIAL(qm_fv, qm_iv, QM_IV_BITS, QM_FV_FROM_IV, QM_FV_BITS)
}
#endif

// ln x for normal positive x, absolute error below 2e-7 + 1.5e-7 |ln x|. x = 2^e m, m in [2/3, 4/3);
// ln m = 2 atanh(f), f = (m - 1) / (m + 1), |f| <= 1/5, odd series to f^9.
QM_FUNCTION float qm_log(float x)
{
    QM_PRECISE_SCOPE
    uint bits = QM_FLOAT_BITS(x);
    int e = QM_INT((bits - 0x3f2aaaabu) >> 23);
    e = e > 255 ? e - 512 : e; // the subtraction wrapped: 9 bits with a sign
    QM_PRECISE float m = QM_BITS_FLOAT(bits - (QM_UINT(e) << 23));
    QM_PRECISE float f = (m - 1.0f) * qm_reciprocal(m + 1.0f);
    QM_PRECISE float square = f * f;
    QM_PRECISE float sum = square * (1.0f / 9.0f) + 1.0f / 7.0f;
    sum = sum * square + 1.0f / 5.0f;
    sum = sum * square + 1.0f / 3.0f;
    sum = sum * square;
    sum = 2.0f * f + 2.0f * f * sum;
    return QM_FLOAT(e) * 0.693147181f + sum;
}

// binary16 of a float, as bits: to nearest, ties to even; 65,520 and more in magnitude give infinity. In integers, for
// GLSL's own conversion may round either way. A normal number's mantissa is rounded in place and may carry up to infinity;
// of a subnormal one, the sum's low bits are the multiple of 2^-24, rounded by the addition. The lesser of both is it.
#define QM_TO_HALF(floats, uints, FLOAT_BITS, BITS_FLOAT)                                                               \
    QM_PRECISE_SCOPE                                                                                                   \
    uints bits = FLOAT_BITS(x), magnitude = bits & 0x7fffffffu;                                                        \
    uints least = QM_MAX(magnitude, 0x38800000u); /* 2^-14 */                                                          \
    uints normal = QM_MIN(((least + 0xfffu + ((least >> 13) & 1u)) >> 13) - 0x1c000u, 0x7c00u);                        \
    QM_PRECISE floats shifted = BITS_FLOAT(magnitude) + 0.5f;                                                          \
    uints beyond = magnitude - QM_MIN(magnitude, 0x7f800000u); /* 0 but for NaN */                                     \
    return ((bits >> 16) & 0x8000u) | (QM_MIN(normal, FLOAT_BITS(shifted) - 0x3f000000u) + (QM_MIN(beyond, 1u) << 9));
QM_FUNCTION uint qm_half_bits(float x)
{
    QM_TO_HALF(float, uint, QM_FLOAT_BITS, QM_BITS_FLOAT)
}

// ---- Small floats ----
// qm_small_*(magnitude, sign, exponent_offset, least_normal): the value, exactly, of a finite number of fewer bits, whose
// exponent and mantissa stand at a float's places in `magnitude`, with what its exponent lacks in `exponent_offset` and
// its smallest normal number in `least_normal`. y = 2^(emin - 1) (1 + m) stands for a subnormal m 2^emin = 2 y - 2^emin,
// which is below y; for a normal number 2 y - 2^emin is not below y. No subnormal float is met, which a device may flush,
// and no condition: glslc makes branches of those, and SwiftShader compiled the 256 of a matmul for minutes.
// QM_SMALL_FLOAT makes the function for one type; then binary16 from the low or high halves of words.
#if defined(QM_GLSL)
#define QM_SAME_FLOATS(floats, x) uintBitsToFloat(x)
#define QM_SAME_UINTS(uints, x) floatBitsToUint(x)
#define QM_SMALLER(uints, a, b) floatBitsToUint(min(a, b))
#elif defined(__OPENCL_C_VERSION__)
#define QM_SAME_FLOATS(floats, x) QM_JOIN(as_, floats)(x)
#define QM_SMALLER(uints, a, b) QM_JOIN(as_, uints)(min(a, b))
#else
#define QM_SAME_FLOATS(floats, x) ((floats)(x))
#define QM_SMALLER(uints, a, b) (((uints)(a) & (uints)((a) < (b))) | ((uints)(b) & ~(uints)((a) < (b))))
#endif
#define QM_SMALL_FLOAT(name, floats, uints)                                                                            \
    QM_FUNCTION floats qm_small_##name(uints magnitude, uints sign, uint exponent_offset, float least_normal)          \
    {                                                                                                                  \
        QM_PRECISE_SCOPE                                                                                               \
        QM_PRECISE floats y = QM_SAME_FLOATS(floats, magnitude + exponent_offset);                                     \
        QM_PRECISE floats small = y + y - least_normal;                                                                \
        return QM_SAME_FLOATS(floats, QM_SMALLER(uints, y, small) | sign);                                             \
    }
#define QM_HALF_OFFSET 0x38000000u
#define QM_HALF_LEAST 6.103515625e-5f
#define QM_HALVES(name, floats, uints)                                                                                 \
    QM_FUNCTION floats qm_half_low##name(uints w)                                                                      \
    {                                                                                                                  \
        return qm_small_##name((w << 13) & 0x0fffe000u, (w << 16) & 0x80000000u, QM_HALF_OFFSET, QM_HALF_LEAST);       \
    }                                                                                                                  \
    QM_FUNCTION floats qm_half_high##name(uints w)                                                                     \
    {                                                                                                                  \
        return qm_small_##name((w >> 3) & 0x0fffe000u, w & 0x80000000u, QM_HALF_OFFSET, QM_HALF_LEAST);                \
    }

#if defined(__OPENCL_C_VERSION__) || defined(QM_GLSL)
QM_SMALL_FLOAT(scalar, float, uint)
#else
QM_FUNCTION float qm_small_scalar(uint magnitude, uint sign, uint exponent_offset, float least_normal)
{
    float y = QM_BITS_FLOAT(magnitude + exponent_offset);
    float small = y + y - least_normal;
    return QM_BITS_FLOAT(QM_FLOAT_BITS(QM_MIN(y, small)) | sign);
}
#endif
// Float of binary16 bits (finite), exactly.
QM_FUNCTION float qm_half_value(uint h)
{
    return qm_small_scalar((h & 0x7fffu) << 13, (h & 0x8000u) << 16, QM_HALF_OFFSET, QM_HALF_LEAST);
}

#if defined(QM_GLSL)
QM_SMALL_FLOAT(4, vec4, uvec4)
QM_FUNCTION vec4 qm_half_low4(uvec4 w)
{
    return vec4(unpackHalf2x16(w.x).x, unpackHalf2x16(w.y).x, unpackHalf2x16(w.z).x, unpackHalf2x16(w.w).x);
}
QM_FUNCTION vec4 qm_half_high4(uvec4 w)
{
    return vec4(unpackHalf2x16(w.x).y, unpackHalf2x16(w.y).y, unpackHalf2x16(w.z).y, unpackHalf2x16(w.w).y);
}
#elif defined(__OPENCL_C_VERSION__)
QM_SMALL_FLOAT(4, float4, uint4)
QM_HALVES(4, float4, uint4)
#else
QM_SMALL_FLOAT(4, qm_f4, qm_u4)
QM_HALVES(4, qm_f4, qm_u4)
#endif
#if QM_VW == 4
#define qm_half_low(w) qm_half_low4(w)
#define qm_half_high(w) qm_half_high4(w)
#define qm_small(magnitude, sign, exponent_offset, least_normal)                                                       \
    qm_small_4(magnitude, sign, exponent_offset, least_normal)
#else
QM_SMALL_FLOAT(v, qm_fv, qm_uv)
QM_HALVES(v, qm_fv, qm_uv)
#define qm_half_low(w) qm_half_lowv(w)
#define qm_half_high(w) qm_half_highv(w)
#define qm_small(magnitude, sign, exponent_offset, least_normal)                                                       \
    qm_small_v(magnitude, sign, exponent_offset, least_normal)
#endif

// E4M3FN (8 bits, in the top byte) and the other small floats, likewise: `top` has the code's sign in bit 31.
#define QM_E4M3_OFFSET 0x3c000000u // (127 - 7) << 23
#define QM_E4M3_LEAST 0.015625f
#define QM_E4M3_OF(function, top) function(((top) >> 4) & 0x07f00000u, (top) & 0x80000000u, QM_E4M3_OFFSET, QM_E4M3_LEAST)

// E4M3FN of a float, as 8 bits: to nearest even, beyond 448 in magnitude 448.
QM_FUNCTION uint qm_e4m3_bits(float x)
{
    QM_PRECISE_SCOPE
    uint bits = QM_FLOAT_BITS(x);
    uint sign = (bits >> 24) & 0x80u;
    QM_PRECISE float magnitude = QM_MIN(QM_BITS_FLOAT(bits & 0x7fffffffu), 448.0f);
    // A normal number: its mantissa is rounded to 3 bits in place. A subnormal one: the sum's low bits are the multiple of
    // 2^-9.
    uint normal = QM_FLOAT_BITS(magnitude);
    normal = ((normal + 0x7ffffu + ((normal >> 20) & 1u)) >> 20) - (120u << 3);
    QM_PRECISE float shifted = magnitude + 16384.0f; // 2^14: a unit in the last place is 2^-9
    uint subnormal = QM_FLOAT_BITS(shifted) & 0xfu;
    return sign | (magnitude < QM_E4M3_LEAST ? subnormal : normal);
}

#endif
