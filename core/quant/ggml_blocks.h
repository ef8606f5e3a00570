// ggml's weight blocks, byte for byte as ggml makes and reads them, so that figures of qmark and of programs on ggml are
// about the same numbers. All values are little-endian; d, m and dmin are binary16.
//
//   block   values  bytes  layout                                                         value i
//   q8_0        32     34  d; 32 int8                                                     d * q
//   q4_0        32     18  d; 16 bytes: i low nibble, i + 16 high                         d * (q - 8)
//   q4_1        32     20  d, m; 16 bytes as q4_0                                         d * q + m
//   q5_0        32     22  d; 32 fifth bits, of value i bit i % 8 of byte i / 8; 16 bytes    d * (q - 16)
//                          as q4_0
//   q4_k       256    144  d, dmin; 12 bytes of eight 6-bit scales s and mins m; 128      (d * s) * q - dmin * m
//                          bytes: of each 64, i low nibble, i + 32 high
//   q5_k       256    176  d, dmin; 12 bytes as q4_k; 32 bytes of fifth bits: of byte      (d * s) * q - dmin * m
//                          i % 32 bit i / 32; 128 bytes as q4_k
//   q6_k       256    210  128 bytes of low nibbles, 64 of high pairs; 16 int8 scales     (d * s) * (q - 32)
//                          s, one for each 16 values; d
//
// The 6-bit scales of q4_k: byte j (0 to 3) has s_j and, at the top, the upper two bits of s_(j+4); byte 4 + j the same
// of m; byte 8 + j the lower four bits of s_(j+4), then those of m_(j+4). Of each 128 values of q6_k, value i is in
// low byte i % 64, low nibble for the first 64, and in high byte i % 32, bits 2 (i / 32) and up.
//
// Source: ggml (https://github.com/ggml-org/ggml, MIT license), quantize_row_NAME_ref and dequantize_row_NAME of
// ggml-quants.c, and the block structs of ggml-common.h. Encoding does the same float operations in the same order
// (test/test_ggml.c). Where C leaves a conversion undefined that ggml does (1 / d overflows because d is below 2^-128; in
// q4_1 also where the range does), the code is 0, as gcc's is on x86-64; clang's may be another. d is then 0 as a
// binary16, and so are the decoded values (q4_1: the minimum), or d is infinite.
//
// `values` must be finite; nothing here looks. Values that are too large make a d or m that is infinite, and a q6_k of
// values beyond 2^36 may lose them without a trace; qm_format_encode (format.h) refuses both.
#ifndef QM_QUANT_GGML_BLOCKS_H
#define QM_QUANT_GGML_BLOCKS_H

#include <stdint.h>

void qm_ggml_q8_0_encode(const float values[32], uint8_t block[34]);
void qm_ggml_q4_0_encode(const float values[32], uint8_t block[18]);
void qm_ggml_q4_1_encode(const float values[32], uint8_t block[20]);
void qm_ggml_q5_0_encode(const float values[32], uint8_t block[22]);
void qm_ggml_q4_k_encode(const float values[256], uint8_t block[144]);
void qm_ggml_q5_k_encode(const float values[256], uint8_t block[176]);
void qm_ggml_q6_k_encode(const float values[256], uint8_t block[210]);

// Any bytes can be decoded; a d that is not finite gives values that are not.
void qm_ggml_q8_0_decode(const uint8_t block[34], float values[32]);
void qm_ggml_q4_0_decode(const uint8_t block[18], float values[32]);
void qm_ggml_q4_1_decode(const uint8_t block[20], float values[32]);
void qm_ggml_q5_0_decode(const uint8_t block[22], float values[32]);
void qm_ggml_q4_k_decode(const uint8_t block[144], float values[256]);
void qm_ggml_q5_k_decode(const uint8_t block[176], float values[256]);
void qm_ggml_q6_k_decode(const uint8_t block[210], float values[256]);

#endif
