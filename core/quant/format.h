// Weight formats: how a matrix of floats becomes codes and scales and comes back, with a bound that is checked.
//
// Formats are rows of the table in format_table.c. They come in four families, a file each:
//   plain      f32, f16, bf16: the codes are the numbers; what the type cannot hold is refused
//   integer    w8, w4, w3, w2: value = scale * (code - zero). Symmetric: zero is 0, codes are two's complement from
//              -(2^(b-1) - 1) up (-2^(b-1) is made by other programs, and read); scale is the smallest number of its type that is not below amax / (2^(b-1) - 1).
//              Asymmetric: codes from 0 to 2^b - 1; the range is widened to hold 0, scale is the smallest binary16 not
//              below (max - min) / (2^b - 1), zero = round_even(-min / scale), stored behind the scale as a binary16
//   minifloat  e4m3, e5m2, mxfp8, mxfp6, mxfp4, nvfp4: value = scale * number, to nearest even, saturating. One float
//              scale a row, not below amax / largest (e4m3, e5m2); one E8M0 per 32 values, 2^(floor(log2 amax) - emax)
//              as OCP MX 1.0 (6.3) has it, so that an amax between the largest number and the next power of two is
//              clipped (mx...); one E4M3 per 16 values, to nearest of amax / 6 / tensor scale, with one float scale for
//              the tensor, not below amax / (6 * 448) (nvfp4)
//   block      q8_0, q4_0, q4_1, q5_0, q4_k, q5_k, q6_k: ggml's blocks, see ggml_blocks.h
//
// amax is over the row or group. A scale is never below the smallest normal number of its type, because a device may
// take smaller ones for 0; where amax is 0 the scale is 0 and so are the codes. The *stored* scale quantizes, in double:
// code = round_even(x / scale). Hence |x - value| <= step / 2 for every weight that is not clipped, where step is the
// distance of neighbouring values there. Decoding is rounded once to float.
//
// In an artifact a row's codes are a stream of bits: value i has the bits from code_bits * i upwards, the lowest bit of
// the lowest byte first. Scales are [rows][groups] ([rows] for one a row, [rows][2 groups] with zeros).
#ifndef QM_QUANT_FORMAT_H
#define QM_QUANT_FORMAT_H

#include "base/status.h"
#include "model/safetensors.h"
#include "quant/grid.h"
#include "quant/scheme.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qm_scale_kind {
    QM_SCALE_NONE = 0,
    QM_SCALE_F32,      // binary32, one a row
    QM_SCALE_F16,      // binary16
    QM_SCALE_F16_ZERO, // two binary16: scale, zero
    QM_SCALE_E8M0,     // one byte e: 2^(e - 127); 0 stands for 0
    QM_SCALE_E4M3,     // one byte, E4M3FN, times the tensor's scale
    QM_SCALE_BLOCK,    // within the block
};

struct qm_weight_codec;

// What a family of formats does. The grid functions work on the values of one group (or row); `tensor_scale` is 1 for
// formats without. Block formats have the block functions alone; encode_block fails like fit.
struct qm_codec_family {
    // Chooses scale and zero; `shrink` in (0, 1] is multiplied into amax (or both ends of the range) before the scale is
    // rounded. Fails with QM_INVALID, without a place (the caller puts it in front), if the format cannot hold them.
    enum qm_status (*fit)(const struct qm_weight_codec *codec, const float *values, uint32_t count, double shrink,
                          double tensor_scale, struct qm_grid_parameters *out);
    // The code of the representable value that is nearest to `value`, ties to even, and what it stands for.
    uint32_t (*nearest)(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, double value,
                        double *represented);
    // The exact value of a code, and the larger of the distances to its neighbours.
    double (*represented)(const struct qm_weight_codec *codec, const struct qm_grid_parameters *grid, uint32_t code,
                          double *step);
    bool (*is_code)(const struct qm_weight_codec *codec, uint32_t code);

    enum qm_status (*encode_block)(const struct qm_weight_codec *codec, const float *values, uint8_t *block);
    bool (*is_block)(const struct qm_weight_codec *codec, const uint8_t *block);
    // The codes as a stream of code_bits, and the scales as kernels read them (layout.h), `device_scale_bytes` a block.
    void (*unpack_block)(const struct qm_weight_codec *codec, const uint8_t *block, uint8_t *codes, uint8_t *scales);
};

// A row of the table.
struct qm_weight_codec {
    struct qm_format_info info;
    const char *kernel; // the decoder in kernels/product.h: variants are called matmul-KERNEL-ACTIVATIONS
    const struct qm_codec_family *family;
    enum qm_dtype code_dtype;
    uint32_t code_bits; // per value
    enum qm_scale_kind scale;
    bool has_tensor_scale;
    bool is_integer;   // codes are integers but for the scale, so that int8 activations are multiplied as integers
    bool may_clip;     // the format's own rule for scales clips
    uint32_t group;    // values along the input that share a scale; 0: the whole row
    int32_t low, high; // integer: codes
    int minifloat;     // minifloat: enum qm_minifloat
    // block: ggml's own, of `group` values; any bytes can be decoded
    void (*encode)(const float *values, uint8_t *block);
    void (*decode)(const uint8_t *block, float *values);
    uint32_t block_bytes;        // block: bytes of `group` values
    uint32_t device_scale_bytes; // block: of the scales of a block, as layout.h has them
};

const struct qm_weight_codec *qm_weight_codec(enum qm_weight_format format);

// Whether there are kernels for weights and activations of these formats: float16 with every format that is not float;
// int8 where codes are integers; E4M3FN where codes are 8-bit floats; int4 with symmetric int4.
bool qm_formats_multiply(enum qm_weight_format weights, enum qm_activation_format activations);

// Sizes in bytes of a matrix of N rows and K columns; scales 0 for formats without. And the shapes in an artifact; the
// rank of the scales is 1 for one a row, 2 for groups.
size_t qm_format_code_bytes(enum qm_weight_format format, uint32_t rows, uint32_t columns);
size_t qm_format_scale_bytes(enum qm_weight_format format, uint32_t rows, uint32_t columns);
void qm_format_code_shape(enum qm_weight_format format, uint32_t rows, uint32_t columns, uint64_t shape[2]);
uint32_t qm_format_scale_shape(enum qm_weight_format format, uint32_t rows, uint32_t columns, uint64_t shape[2]);
enum qm_dtype qm_format_scale_dtype(enum qm_weight_format format);
// K must be a multiple of it.
uint32_t qm_format_column_multiple(enum qm_weight_format format);

// A matrix in a format. Codes and scales are as an artifact has them; `scales` is NULL for formats without.
struct qm_encoded {
    void *codes;
    void *scales;
    float tensor_scale; // 1 for formats without
};

// What was seen when a matrix was encoded; part of every result.
struct qm_weight_record {
    double scale_min, scale_max; // of scales that are not 0; both 0 where there are none
    double worst_steps;          // largest |error| in units of the step there, of values that were not clipped
    double worst_error;          // largest |error|
    double rms_error;
    uint64_t zero_scales; // rows or groups of zeros
    uint64_t clipped;     // values beyond the range of the codes by more than half a step
    uint64_t bytes;       // codes and scales
};

// What holds of the errors.
enum qm_bound {
    QM_BOUND_HALF_STEP, // |error| <= step / 2 everywhere
    QM_BOUND_CLIPPED,   // likewise, but for values beyond the range of the codes, which get the outermost one
    QM_BOUND_NONE,      // codes were chosen for the layer's output, or by a search: errors are recorded, not bounded
    QM_BOUND_OWN,       // codes are the model file's own and the values what they stand for: there is no error
};
// "half step", "half step, clipped values excepted", "none", "none: the file's own codes"
const char *qm_bound_name(enum qm_bound bound);

// How scales are chosen.
enum qm_fit {
    QM_FIT_ABSMAX, // the largest value becomes the largest code
    QM_FIT_SEARCH, // the range is shrunk to the one with the least sum of importance * error^2
};

// For grid formats: blocks are as ggml makes them, whatever is asked for.
struct qm_encode_params {
    enum qm_fit fit;
    const double *importance; // [columns], weights of the errors; NULL: all equal
};

// The bound that encoding with `fit` gives in a format.
enum qm_bound qm_format_bound(enum qm_weight_format format, enum qm_fit fit);

// Encodes a matrix, then checks every value against the bound. `name` is the tensor's, for messages. `record` may be
// NULL. QM_INVALID, naming tensor, row and column, for a value that is not finite or that the format cannot hold, and for
// a K that it does not allow; QM_WRONG_RESULT if the bound does not hold.
QM_MUST_USE enum qm_status qm_format_encode(enum qm_weight_format format, const char *name, const float *values,
                                            uint32_t rows, uint32_t columns, const struct qm_encode_params *params,
                                            struct qm_encoded *out, struct qm_weight_record *record);
// Only the check, of codes from anywhere.
QM_MUST_USE enum qm_status qm_format_check(enum qm_weight_format format, const char *name, const float *values,
                                           uint32_t rows, uint32_t columns, const struct qm_encoded *encoded,
                                           enum qm_bound bound, struct qm_weight_record *record);
// Whether every code and scale is one that the format has; else *row is the first row with one that is not.
bool qm_format_is_valid(enum qm_weight_format format, const struct qm_encoded *encoded, uint32_t rows, uint32_t columns,
                        uint32_t *row);
void qm_format_decode(enum qm_weight_format format, const struct qm_encoded *encoded, uint32_t rows, uint32_t columns,
                      float *values);

// ---- One group at a time, for calibrators that choose codes themselves --------------------------------------------

// The tensor's scale for a matrix; 1 for formats without.
float qm_format_tensor_scale(enum qm_weight_format format, const float *values, size_t count);
// Puts a group's parameters and a value's code into a matrix; grid formats only. `columns` is K.
void qm_format_put_grid(enum qm_weight_format format, struct qm_encoded *out, uint32_t row, uint32_t group,
                        uint32_t columns, const struct qm_grid_parameters *grid);
void qm_format_put_code(enum qm_weight_format format, struct qm_encoded *out, uint32_t row, uint32_t column,
                        uint32_t columns, uint32_t code);
// And takes them out.
void qm_format_grid(enum qm_weight_format format, const struct qm_encoded *encoded, uint32_t row, uint32_t group,
                    uint32_t columns, struct qm_grid_parameters *grid);
uint32_t qm_format_code(enum qm_weight_format format, const struct qm_encoded *encoded, uint32_t row, uint32_t column,
                        uint32_t columns);

// Value `i` of a stream of codes of `bits` bits, and its place taken by another one.
uint32_t qm_stream_get(const void *stream, uint32_t bits, size_t i);
void qm_stream_put(void *stream, uint32_t bits, size_t i, uint32_t code);

#endif
