// The families of weight formats, one file each, and what they share.
#ifndef QM_QUANT_FORMAT_CODECS_H
#define QM_QUANT_FORMAT_CODECS_H

#include "quant/format.h"

extern const struct qm_codec_family qm_family_f32, qm_family_f16, qm_family_bf16;
extern const struct qm_codec_family qm_family_integer;
extern const struct qm_codec_family qm_family_minifloat;
extern const struct qm_codec_family qm_family_block;

// Largest absolute value; the values are finite.
float qm_absolute_max(const float *values, uint32_t count);

// The smallest number of the scale's type that is not below `wanted` (not negative), and never below the smallest normal
// one; 0 for 0. QM_INVALID where the type has none; `format` and `way_out` are for the message.
QM_MUST_USE enum qm_status qm_scale_round_up(enum qm_scale_kind kind, double wanted, uint32_t *stored, double *scale);

#endif
