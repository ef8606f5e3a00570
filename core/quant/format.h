// Weight formats: how a matrix of floats becomes codes and scales and comes back, with a bound that is checked.
//
// A format is a file, format_NAME.c, that works on one row, and a row in the table of format.c. Everything else here is
// the same for all of them: shapes, finiteness, the bound of every value, the record.
//
//   f32     codes F32 [N][K], the values
//   f16     codes F16 [N][K], to nearest even; a value beyond 65,504 is refused
//   w8      codes I8 [N][K] in -127..127; scales F32 [N], the smallest float that is not below amax / 127
//   w4g32   codes U8 [N][K/2]: value 2j in the low and 2j+1 in the high four bits of byte j, two's complement, -7..7;
//           scales F16 [N][K/32], the smallest binary16 that is not below amax / 7; amax / 7 beyond 65,504 is refused
//
// amax is over the row or group. A scale is never below the smallest normal number of its type (2^-126, 2^-14), because
// a device may take smaller ones for 0; where amax is 0 the scale is 0 and so are the codes. The *stored* scale
// quantizes, in double: code = round_even(x / scale). Hence |x - scale * code| <= scale / 2 for every weight, without
// clipping. Decoding is scale * code, rounded once to float.
#ifndef QM_QUANT_FORMAT_H
#define QM_QUANT_FORMAT_H

#include "base/status.h"
#include "model/safetensors.h"
#include "quant/scheme.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A row of the table. Functions take one row of K values; its codes and scales are those of that row alone.
struct qm_weight_codec {
    enum qm_weight_format format;
    enum qm_dtype code_dtype;
    uint32_t code_bits; // per value; values lie in a row from the lowest bits of the lowest byte upwards
    bool has_scales;
    enum qm_dtype scale_dtype;
    uint32_t group;           // values along the input that share a scale; 0: the whole row
    uint32_t column_multiple; // K must be a multiple of it

    // Fails with QM_INVALID, without a place (the caller puts it in front), if the format cannot hold the values.
    enum qm_status (*encode)(const float *values, uint32_t columns, void *codes, void *scales);
    void (*decode)(const void *codes, const void *scales, uint32_t columns, float *values);
    // The exact value that stands for value `i`, and the step between neighbouring values there: the scale, or for a
    // float format the distance to the next float of the format (0 where every float is itself).
    double (*exact)(const void *codes, const void *scales, uint32_t i, double *step);
    // Whether encode could have given them: codes in range, scales finite and not negative.
    bool (*is_valid)(const void *codes, const void *scales, uint32_t columns);
};

const struct qm_weight_codec *qm_weight_codec(enum qm_weight_format format);

// Sizes in bytes of a matrix of N rows and K columns; scales 0 for formats without. And the shapes in an artifact; the
// rank of the scales is 1 for one a row, 2 for groups.
size_t qm_format_code_bytes(enum qm_weight_format format, uint32_t rows, uint32_t columns);
size_t qm_format_scale_bytes(enum qm_weight_format format, uint32_t rows, uint32_t columns);
void qm_format_code_shape(enum qm_weight_format format, uint32_t rows, uint32_t columns, uint64_t shape[2]);
uint32_t qm_format_scale_shape(enum qm_weight_format format, uint32_t rows, uint32_t columns, uint64_t shape[2]);

// What was seen when a matrix was encoded; part of every result.
struct qm_weight_record {
    double scale_min, scale_max; // of scales that are not 0; both 0 where there are none
    double worst_steps;          // largest |error| in units of the step there (the scale): at most 0.5
    double worst_error;          // largest |error|
    double rms_error;
    uint64_t zero_scales; // rows or groups of zeros
    uint64_t clipped;     // values beyond the range of the codes: 0 for these formats
    uint64_t bytes;       // codes and scales
};

// Encodes a matrix, then checks every value against the bound. `name` is the tensor's, for messages. `scales` may be
// NULL for formats without; `record` may be NULL. QM_INVALID, naming tensor, row and column, for a value that is not
// finite or that the format cannot hold, and for a K that it does not allow; QM_WRONG_RESULT if the bound does not hold.
QM_MUST_USE enum qm_status qm_format_encode(enum qm_weight_format format, const char *name, const float *values,
                                            uint32_t rows, uint32_t columns, void *codes, void *scales,
                                            struct qm_weight_record *record);
// Only the check, of codes from anywhere.
QM_MUST_USE enum qm_status qm_format_check(enum qm_weight_format format, const char *name, const float *values,
                                           uint32_t rows, uint32_t columns, const void *codes, const void *scales,
                                           struct qm_weight_record *record);
// Whether every code and scale is one that the format has; else *row is the first row with one that is not.
bool qm_format_is_valid(enum qm_weight_format format, const void *codes, const void *scales, uint32_t rows,
                        uint32_t columns, uint32_t *row);
void qm_format_decode(enum qm_weight_format format, const void *codes, const void *scales, uint32_t rows,
                      uint32_t columns, float *values);

#endif
