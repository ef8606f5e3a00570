// How a model's weights were quantized by the program that made its files: `quantization_config` of config.json, or
// `compression_config` in older files of compressed-tensors. What lies where in the files then: quantized_sets.h.
//
//   quant_method        which writers                what is read
//   gptq                AutoGPTQ, GPTQModel          bits 2, 3, 4, 8; group_size -1 or above; desc_act, sym; checkpoint_format
//                                                    (or `format`) gptq, gptq_v2; pack_dtype int32
//   awq                 AutoAWQ                      bits (w_bit) 4; group_size (q_group_size); zero_point true; version gemm,
//                                                    gemv with groups of 32, 64, 128 and more
//   compressed-tensors  llm-compressor               format pack-quantized (int, 4 or 8 bits), int-quantized (8),
//                                                    float-quantized (8), naive-quantized (int or float, 8); strategy
//                                                    tensor, channel, group, block; one kind of weights in all config_groups
//   fp8                 AutoFP8, fine-grained FP8    E4M3 with one scale a tensor, or one a block (weight_block_size)
//
// Other values of these keys are refused by key and value, with those that can be read: QM_UNSUPPORTED where the value means
// something, QM_INVALID where it cannot. Keys that are not named here (who packed it, which kernels it likes) are not judged:
// types and shapes of tensors are checked against what is, and the whole text is kept for whoever reads the result.
//
// Facts of the formats from the programs' own readers and writers: AutoGPTQ 0.7 (nn_modules/qlinear/qlinear_cuda.py), AutoAWQ
// 0.2 (awq/utils/packing_utils.py, awq/modules/linear/gemv.py), compressed-tensors 0.9 to 0.12 (compressors/quantized_compressors/, quantization/).
#ifndef QM_MODEL_QUANTIZATION_CONFIG_H
#define QM_MODEL_QUANTIZATION_CONFIG_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qm_quantization_method {
    QM_QUANTIZATION_NONE = 0, // config.json has no such key: weights are floats
    QM_QUANTIZATION_GPTQ,
    QM_QUANTIZATION_AWQ,
    QM_QUANTIZATION_COMPRESSED,
    QM_QUANTIZATION_FP8,
    QM_QUANTIZATION_METHOD_COUNT,
};

// How the codes of a weight lie.
enum qm_quantization_packing {
    QM_PACKING_DOWN = 0, // gptq: int32 [K * bits / 32][N], a stream of bits down each column
    QM_PACKING_AWQ,      // awq: int32 [K][N / 8]; a word's nibbles are outputs 0, 2, 4, 6, 1, 3, 5, 7
    QM_PACKING_AWQ_ROWS, // awq, gemv: int32 [N][K / 8], lowest bits first
    QM_PACKING_ACROSS,   // pack-quantized: int32 [N][K / (32 / bits)], codes less 2^(bits - 1)
    QM_PACKING_INT8,     // int8 [N][K]
    QM_PACKING_E4M3,     // E4M3FN [N][K]
};

// What happens to activations where the file's own program runs the model.
enum qm_quantization_activations {
    QM_QUANTIZATION_ACTIVATIONS_FLOAT = 0,   // nothing
    QM_QUANTIZATION_ACTIVATIONS_INT8,        // symmetric, one scale per token, found when it runs
    QM_QUANTIZATION_ACTIVATIONS_E4M3,        // likewise
    QM_QUANTIZATION_ACTIVATIONS_INT8_STATIC, // symmetric, one scale for all of a tensor, which the files have
    QM_QUANTIZATION_ACTIVATIONS_E4M3_STATIC, // likewise
    QM_QUANTIZATION_ACTIVATIONS_OTHER,       // in words: `activations_text`
};

#define QM_QUANTIZATION_TEXT_MAX ((size_t)64 << 10) // bytes of the JSON text that is kept; a longer one is refused
#define QM_QUANTIZATION_WORDS_BYTES 160

struct qm_quantization {
    enum qm_quantization_method method;
    enum qm_quantization_packing packing;
    uint32_t bits;
    uint32_t group_size;     // inputs that share a scale; 0: all of a row
    uint32_t row_block;      // outputs that share it, too: of blocks; 1 otherwise
    bool is_per_tensor;      // one scale for all of a tensor
    bool is_symmetric;       // as the file says; zeros that it has count all the same
    bool is_act_order;       // desc_act, or actorder `group`: which group an input is in stands in a table
    bool is_zero_less_one;   // gptq: zeros are stored less one
    bool is_rounded_to_type; // value = scale * (code - zero) rounded to the scale's type, as the file's program does
    enum qm_quantization_activations activations;
    char activations_text[QM_QUANTIZATION_WORDS_BYTES]; // "int8, symmetric, per token, dynamic"; "none"
    char format[32];                                    // "gptq", "gptq_v2", "gemm", "gemv", "pack-quantized", "e4m3"
    char dataset[QM_QUANTIZATION_WORDS_BYTES];          // of the calibration, as the file names it; "": it does not
    char damp[32];                                      // gptq: damp_percent; "": not told
    char *text;                                         // the whole of it as JSON in one line of ASCII; NULL for NONE
};

// Reads it from the text of a config.json, of which only these keys are looked at. *out is zeroed on failure; QM_INVALID and
// QM_UNSUPPORTED with one line "FILE: 'quantization_config.KEY' is ...; ...". qm_quantization_free may be called on a zeroed
// one, and on one without.
QM_MUST_USE enum qm_status qm_quantization_parse(const void *config, size_t bytes, const char *file,
                                                 struct qm_quantization *out);
void qm_quantization_free(struct qm_quantization *quantization);

const char *qm_quantization_method_name(enum qm_quantization_method method); // as quant_method has it; "none"

// "gptq, 4 bits, groups of 128, symmetric, act-order": for people, and for results.
#define QM_QUANTIZATION_LINE_BYTES 448
void qm_quantization_words(const struct qm_quantization *quantization, char text[QM_QUANTIZATION_LINE_BYTES]);

#endif
