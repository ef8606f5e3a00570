// The rows of the table of weight formats, one file each. A new format adds a line here, one in format.c and a file.
#ifndef QM_QUANT_FORMAT_CODECS_H
#define QM_QUANT_FORMAT_CODECS_H

#include "quant/format.h"

extern const struct qm_weight_codec qm_codec_f32;
extern const struct qm_weight_codec qm_codec_f16;
extern const struct qm_weight_codec qm_codec_w8;
extern const struct qm_weight_codec qm_codec_w4g32;

// Largest absolute value; the values are finite.
float qm_absolute_max(const float *values, uint32_t count);

bool qm_floats_are_finite(const float *values, size_t count);
bool qm_halves_are_finite(const uint16_t *values, size_t count);

#endif
