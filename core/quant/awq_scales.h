// AWQ on a model: scales of one input for the weights that read it, in the formats that a scheme gives them. A chooser for
// smooth.h, whose `context` is the struct qm_scheme; *alpha becomes the exponent r that was found.
#ifndef QM_QUANT_AWQ_SCALES_H
#define QM_QUANT_AWQ_SCALES_H

#include "quant/smooth.h"

QM_MUST_USE enum qm_status qm_awq_choose(const void *scheme, const struct qm_channel_statistics *statistics,
                                         const struct qm_model_tensor *const *readers, size_t reader_count,
                                         float *scales, double *alpha);

#endif
