// selftest: whether the device keeps to what the kernels rely on; y gets one word per question. Inputs come from a
// buffer, so that no compiler can answer in advance.
//
//   y[0]  trips of a loop of inputs[0] = 70,000 trips (some drivers end loops at 65,535 without a word)
//   y[1]  bits of inputs[1] + inputs[2]: 1 + 2^-24, a tie (nearest even: 1)
//   y[2]  bits of inputs[3] + inputs[4]: 1 + 2^-23 + 2^-24, a tie upwards
//   y[3]  bits of inputs[5] * 0.5: 2^-126 / 2, 0 where subnormals are flushed
//   y[4]  bits of qm_exp(inputs[6])          y[5]  bits of qm_reciprocal(inputs[7])
//   y[6]  bits of qm_inverse_root(inputs[8]) y[7]  bits of qm_log(inputs[9])
//   y[8]  qm_half_bits(inputs[10])           y[9]  bits of qm_half_value(inputs[11] as bits)
//   y[10] qm_round(inputs[12])               y[11] inputs[13] >> 3 as int
//   y[12] the packed dot product of inputs[14] and inputs[15] (four signed bytes), by the instruction where
//         QM_PACKED_DOT is defined
//   y[13] binary16 arithmetic: bits of inputs[1] + inputs[16] in binary16 where QM_FP16 is defined
//         or how many of 256 values of a product of matrices are wrong, where QM_MATRIX is
//   y[14] the sum over the subgroup of place + 1, by exchange; y[15] the subgroup's size, where QM_SUBGROUPS is defined
// Where QM_TEXEL is defined, the inputs are read as a texel buffer.
#ifndef QM_BODY
#if defined(QM_PACKED_DOT)
#include "packed_dot.h"
#endif
#if defined(QM_GLSL) && defined(QM_FP16)
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define QM_HALF_SUM(a, b) packFloat2x16(f16vec2(float16_t(a) + float16_t(b), float16_t(0.0)))
#elif defined(QM_FP16)
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define QM_HALF_SUM(a, b) ((uint)as_ushort((half)((half)(a) + (half)(b))))
#endif
#if defined(QM_SUBGROUPS)
#include "subgroups.h"
#endif
#if defined(QM_MATRIX)
#extension GL_KHR_memory_scope_semantics : require
#extension GL_NV_cooperative_matrix : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_shader_subgroup_basic : require
// Two matrices of small integers, whose product is exact.
#define QM_LEFT(i, j) (QM_INT(((i) * 3u + (j) * 5u + QM_LOAD1(inputs, 18u)) % 17u) - 8)
#define QM_RIGHT(i, j) (QM_INT(((i) * 7u + (j)) % 13u) - 6)
#define QM_LOCALS                                                                                                      \
    QM_LOCAL_U32(left, QM_WORKGROUP_X * 4)                                                                             \
    QM_LOCAL_U32(right, QM_WORKGROUP_X * 4)                                                                            \
    shared float product[QM_WORKGROUP_X * 8];
#else
#define QM_LOCALS
#endif
#define QM_BUFFERS                                                                                                     \
    QM_IN4(0, inputs)                                                                                         \
    QM_OUT(1, uint, result)
#define QM_PARAMETERS QM_U32(count)

#if !defined(QM_HOST)
QM_FUNCTION float qm_plain_sum(float a, float b)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float sum = a + b;
    return sum;
}
QM_FUNCTION float qm_plain_product(float a, float b)
{
    QM_PRECISE_SCOPE
    QM_PRECISE float product = a * b;
    return product;
}
#endif
#else
    uint invocation = QM_GROUP_X * QM_UINT(QM_WORKGROUP_X) + QM_LOCAL_X;
#if defined(QM_SUBGROUPS)
    uint members = QM_SUBGROUP_LANE + 1u;
    for (uint distance = 1u; distance < QM_SUBGROUP_SIZE; distance = 2u * distance)
        members += QM_SUBGROUP_EXCHANGE(members, distance);
#endif
#if defined(QM_MATRIX)
    // Each subgroup of 32 its own.
    uint own = gl_SubgroupID, place = gl_SubgroupInvocationID, wrong = gl_SubgroupSize == 32u ? 0u : 1000u;
    for (uint word = place; word < 128u; word += 32u) {
        uint i = word / 8u, j = word % 8u * 2u;
        left[own * 128u + word] = qm_half_bits(QM_FLOAT(QM_LEFT(i, j))) | (qm_half_bits(QM_FLOAT(QM_LEFT(i, j + 1u))) << 16);
        right[own * 128u + word] = qm_half_bits(QM_FLOAT(QM_RIGHT(j, i))) | (qm_half_bits(QM_FLOAT(QM_RIGHT(j + 1u, i))) << 16);
    }
    QM_BARRIER;
    fcoopmatNV<16, gl_ScopeSubgroup, 16, 16> left_matrix, right_matrix;
    fcoopmatNV<32, gl_ScopeSubgroup, 16, 16> product_matrix = fcoopmatNV<32, gl_ScopeSubgroup, 16, 16>(0.0);
    coopMatLoadNV(left_matrix, left, own * 128u, 8u, false);
    coopMatLoadNV(right_matrix, right, own * 128u, 8u, true);
    product_matrix = coopMatMulAddNV(left_matrix, right_matrix, product_matrix);
    coopMatStoreNV(product_matrix, product, own * 256u, 16u, false);
    QM_BARRIER;
    for (uint item = 0u; item < 256u; ++item) {
        int expected = 0;
        for (uint j = 0u; j < 16u; ++j)
            expected += QM_LEFT(item / 16u, j) * QM_RIGHT(j, item % 16u);
        wrong += QM_UINT(product[own * 256u + item] != QM_FLOAT(expected));
    }
#endif
    if (invocation < count) {
        uint to = invocation * 16u;
        uint trips = 0u;
        uint state = QM_LOAD1(inputs, 17u);
        for (uint i = 0u; i < QM_LOAD1(inputs, 0u); ++i) {
            state = state * 1664525u + 1013904223u;
            trips += 1u + (state == 0x5eed5eedu ? QM_LOAD1(inputs, 18u) : 0u); // inputs[18] is 0; the loop has no closed form
        }
        result[to] = trips;
        result[to + 1u] = QM_FLOAT_BITS(qm_plain_sum(QM_BITS_FLOAT(QM_LOAD1(inputs, 1u)), QM_BITS_FLOAT(QM_LOAD1(inputs, 2u))));
        result[to + 2u] = QM_FLOAT_BITS(qm_plain_sum(QM_BITS_FLOAT(QM_LOAD1(inputs, 3u)), QM_BITS_FLOAT(QM_LOAD1(inputs, 4u))));
        result[to + 3u] = QM_FLOAT_BITS(qm_plain_product(QM_BITS_FLOAT(QM_LOAD1(inputs, 5u)), 0.5f));
        result[to + 4u] = QM_FLOAT_BITS(qm_exp(QM_BITS_FLOAT(QM_LOAD1(inputs, 6u))));
        result[to + 5u] = QM_FLOAT_BITS(qm_reciprocal(QM_BITS_FLOAT(QM_LOAD1(inputs, 7u))));
        result[to + 6u] = QM_FLOAT_BITS(qm_inverse_root(QM_BITS_FLOAT(QM_LOAD1(inputs, 8u))));
        result[to + 7u] = QM_FLOAT_BITS(qm_log(QM_BITS_FLOAT(QM_LOAD1(inputs, 9u))));
        result[to + 8u] = qm_half_bits(QM_BITS_FLOAT(QM_LOAD1(inputs, 10u)));
        result[to + 9u] = QM_FLOAT_BITS(qm_half_value(QM_LOAD1(inputs, 11u)));
        result[to + 10u] = QM_UINT(qm_round(QM_BITS_FLOAT(QM_LOAD1(inputs, 12u))));
        result[to + 11u] = QM_UINT(QM_INT(QM_LOAD1(inputs, 13u)) >> 3);
#if defined(QM_PACKED_DOT)
        result[to + 12u] = QM_UINT(QM_DOT(QM_LOAD1(inputs, 14u), QM_LOAD1(inputs, 15u)));
#else
        int sum = 0;
        for (uint j = 0u; j < 4u; ++j)
            sum += (QM_INT(QM_LOAD1(inputs, 14u) << (24u - 8u * j)) >> 24) * (QM_INT(QM_LOAD1(inputs, 15u) << (24u - 8u * j)) >> 24);
        result[to + 12u] = QM_UINT(sum);
#endif
#if defined(QM_FP16)
        result[to + 13u] = QM_HALF_SUM(QM_BITS_FLOAT(QM_LOAD1(inputs, 1u)), QM_BITS_FLOAT(QM_LOAD1(inputs, 16u)));
#endif
#if defined(QM_MATRIX)
        result[to + 13u] = wrong;
#endif
#if defined(QM_SUBGROUPS)
        result[to + 14u] = members;
        result[to + 15u] = QM_SUBGROUP_SIZE;
#endif
    }
#endif
