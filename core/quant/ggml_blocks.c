#include "quant/ggml_blocks.h"
#include <string.h>
void qm_ggml_q8_0_encode(const float values[32], uint8_t block[34])
{
    (void)values;
    memset(block, 0, 34);
}
void qm_ggml_q4_0_encode(const float values[32], const float *importance, uint8_t block[18])
{
    (void)values;
    (void)importance;
    memset(block, 0, 18);
}
void qm_ggml_q4_1_encode(const float values[32], const float *importance, uint8_t block[20])
{
    (void)values;
    (void)importance;
    memset(block, 0, 20);
}
void qm_ggml_q4_k_encode(const float values[256], const float *importance, uint8_t block[144])
{
    (void)values;
    (void)importance;
    memset(block, 0, 144);
}
void qm_ggml_q6_k_encode(const float values[256], const float *importance, uint8_t block[210])
{
    (void)values;
    (void)importance;
    memset(block, 0, 210);
}
void qm_ggml_q8_0_decode(const uint8_t block[34], float values[32])
{
    (void)block;
    memset(values, 0, 128);
}
void qm_ggml_q4_0_decode(const uint8_t block[18], float values[32])
{
    (void)block;
    memset(values, 0, 128);
}
void qm_ggml_q4_1_decode(const uint8_t block[20], float values[32])
{
    (void)block;
    memset(values, 0, 128);
}
void qm_ggml_q4_k_decode(const uint8_t block[144], float values[256])
{
    (void)block;
    memset(values, 0, 1024);
}
void qm_ggml_q6_k_decode(const uint8_t block[210], float values[256])
{
    (void)block;
    memset(values, 0, 1024);
}
