// The tensors that together are one quantized weight, as the formats of quantization_config.h have them, found by name, checked
// by type and shape, and decoded by ranges of rows.
//
// K inputs, N outputs, G groups of inputs (1 where a row or tensor has one scale); NAME is the module's:
//
//   gptq                NAME.qweight  I32 [K * bits / 32][N]   input k of output n: bits from bits * k upwards of the stream that
//                                                              column n is, word by word, lowest bit first; of 3 bits, too
//                       NAME.scales   F16 (BF16, F32) [G][N]
//                       NAME.qzeros   I32 [G][N * bits / 32]   a stream along the row; checkpoint_format gptq has zero - 1
//                                                              in it: (stored + 1) is the zero, 2^bits where all bits are set
//                       NAME.g_idx    I32 [K]                  the group of each input; absent: k / group_size
//   awq                 NAME.qweight  I32 [K][N / 8], NAME.qzeros I32 [G][N / 8]: nibble i of a word is of output 0, 2, 4, 6,
//                                                              1, 3, 5, 7 of its eight; zeros are stored as they are
//                       NAME.scales   F16 [G][N]
//   awq, gemv           NAME.qweight  I32 [N][K / 8], NAME.qzeros I32 [N][Z]: nibble i of a word is of input, or group, i of its
//                                                              eight; Z = ceil(G / 8), of groups of 64 the multiple of 2 and of
//                                                              groups of 32 the multiple of 4 that is next to it
//                       NAME.scales   F16 [N][8 Z]             of which G are scales of a row
//   pack-quantized      NAME.weight_packed     I32 [N][ceil(K / (32 / bits))], lowest bits first; code less 2^(bits - 1)
//                       NAME.weight_scale      [N][G] or one value
//                       NAME.weight_zero_point I8 of the scale's shape, or I32 [ceil(N / (32 / bits))][G], packed like codes
//                                              down the columns; absent: 0
//                       NAME.weight_shape      I64 or I32 [2]: N, K
//                       NAME.weight_g_idx      I32 [K]; absent, or with a -1: k / group_size
//   int-, float- and    NAME.weight            I8 or F8_E4M3 [N][K]
//   naive-quantized,    NAME.weight_scale      [N][1], [N][G], [N], one value, or one a block; of blocks of fp8 also called
//   fp8                                        weight_scale_inv, though it multiplies
//                       NAME.weight_zero_point I8 of the scale's shape; absent: 0
//
// value = scale * (code - zero). The difference is exact; the product is rounded to the scale's type, as PyTorch does in those
// programs' own decoding, but of fp8's it is a float32.
//
//   of the last two     NAME.input_scale       F16, BF16 or F32, one value: static activations are codes times that
//
// What belongs to a set and says nothing of its values (NAME.input_scale of others, NAME.input_zero_point) is counted as read.
// A weight that the program left as floats stays one. The set becomes one entry, NAME.weight of shape [N][K].
#ifndef QM_MODEL_QUANTIZED_SETS_H
#define QM_MODEL_QUANTIZED_SETS_H

#include "base/status.h"
#include "model/quantization_config.h"
#include "model/safetensors.h"
#include "quant/scheme.h"

#include <stddef.h>
#include <stdint.h>

struct qm_weights;

// A tensor of a set; `tensor` is NULL for one that is not there.
struct qm_quantized_part {
    const struct qm_tensor *tensor;
    const struct qm_tensors *shard;
};

struct qm_quantized {
    struct qm_quantized_part codes, scales, zeros, group_of, input_scale;
    enum qm_quantization_packing packing;
    uint32_t bits;
    uint32_t rows, columns; // N, K
    uint32_t groups, group_size;
    uint32_t row_block; // rows that share scales
    size_t scale_row,
        scale_group; // the scale of row r and group g is value r / row_block * scale_row + g * scale_group
    bool is_zero_less_one;
    bool is_rounded_to_type;
    enum qm_quantization_activations activations; // of what is multiplied with it, where its own program does it
};

struct qm_quantized_sets {
    struct qm_quantized *sets;
    struct qm_tensor *tensors; // what the sets' entries have as name and shape
    char *names;
    size_t count;
    uint64_t values; // of all sets
};

// Groups the tensors of opened weights: each set becomes one entry of `weights`, whose `quantized` is the set, and its parts
// are entries no longer. QM_INVALID, naming file and tensor, for a part that is missing, of another type or shape than the
// configuration makes it, or left over; and where no weight is quantized at all. `weights` has the sets (qm_weights_close).
QM_MUST_USE enum qm_status qm_quantized_group(struct qm_weights *weights, const struct qm_quantization *quantization);
void qm_quantized_sets_free(struct qm_quantized_sets *sets);

// `count` values of a set from its value `first` on, row-major over [N][K], as qm_weights_floats gives them. QM_INVALID, by
// tensor, for a group beyond the scales' and a scale or value that is not finite, the first in the order of the rows. The pages
// that were read are given back.
QM_MUST_USE enum qm_status qm_quantized_floats(const struct qm_quantized *set, size_t first, size_t count,
                                               float *values);

// Codes as they are stored, [row_count][columns], without an offset that the packing has; the bytes of int8 and E4M3FN.
enum {
    QM_QUANTIZED_ROWS = 32 // that are decoded together
};
void qm_quantized_codes(const struct qm_quantized *set, uint32_t first_row, uint32_t row_count, uint8_t *codes);
// What `code` - zero is taken of: the zero of a row and group among stored codes, 2^(bits - 1) for one of 0 where the packing
// has that offset; and the scale as a float.
int32_t qm_quantized_zero(const struct qm_quantized *set, uint32_t row, uint32_t group);
float qm_quantized_scale(const struct qm_quantized *set, uint32_t row, uint32_t group);
// The group of each input, [columns]. QM_INVALID for one that there is not.
QM_MUST_USE enum qm_status qm_quantized_group_of(const struct qm_quantized *set, uint32_t *group_of);
// Whether inputs lie in their groups one behind the other, so that no table is needed.
bool qm_quantized_is_in_order(const struct qm_quantized *set, const uint32_t *group_of);

// The format of artifacts that holds the set's codes and scales as they are (quant/format.h), found from scales, zeros and the
// groups of inputs: int2 to int4 in groups that are multiples of 32, symmetric where every zero is in the middle, int8 likewise or
// with one scale a row, E4M3FN with one scale a row. Where there is none (act-order, groups of other sizes, int8 with zero points,
// scales that binary16 has not, blocks): what the file's program makes of it, in float16, bfloat16 or float32.
enum qm_weight_format qm_quantized_own_format(const struct qm_quantized *set);
// What the file's program multiplies the set with, where a kernel multiplies codes of `format` with it: int8 or E4M3FN with a
// scale per token, or with the file's one (*is_static). Else floats (qm_own_activations), also where the file's scale is not
// there, or not one that devices have (qm_quantized_input_scale).
enum qm_activation_format qm_quantized_own_activations(const struct qm_quantized *set, enum qm_weight_format format,
                                                       bool *is_static);
// The one scale of static activations; 0 where there is none from 2^-116 to 2^100.
float qm_quantized_input_scale(const struct qm_quantized *set);
// Rows in that format, as qm_weights_own_rows says, on all cores.
QM_MUST_USE enum qm_status qm_quantized_own_rows(const struct qm_quantized *set, enum qm_weight_format format,
                                                 size_t first_row, size_t rows, void *codes, void *scales);

#endif
