// The sum of products of four signed bytes: QM_DOT(a, b), of two words, by the device's instruction. For variants with
// QM_PACKED_DOT, which need the capability packed_dot: SPV_KHR_integer_dot_product, or cl_khr_integer_dot_product.
#ifndef QM_PACKED_DOT_H
#define QM_PACKED_DOT_H
#if defined(QM_GLSL)
#extension GL_EXT_spirv_intrinsics : require
// OpSDot with capabilities DotProduct and DotProductInput4x8BitPacked and the packed format 4x8.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int qm_packed_dot_raw(uint a, uint b, spirv_literal int packed_format);
#define QM_DOT(a, b) qm_packed_dot_raw(a, b, 0)
#else
#define QM_DOT(a, b) dot_4x8packed_ss_int(a, b)
#endif
#endif
