// What a model makes of rounding: how far its logits move when nothing but the last bits of float values differ.
//
// Devices add in another order than the reference backend, so that their sums differ by some 2^-20 of their size. Where
// activations become codes, a value near a tie then falls the other way; how far that carries depends on the model (its
// depth, and how flat its logits are), and on the scheme, and cannot be told from what quantization itself costs: of the
// built-in model a device keeps to a tenth of that, of a model with random weights it may reach half of it, with kernels
// that are right to the bit. So it is measured: the reference backend runs the same artifact with every gain of a norm
// multiplied by 1 + 2^-20 or 1 - 2^-20, drawn from a fixed seed, and its divergence from itself is the yardstick
// (score/agreement.h).
#ifndef QM_BENCH_SENSITIVITY_H
#define QM_BENCH_SENSITIVITY_H

#include "bench/reference.h"

// KL(logits || shaken logits) of each position of the first `windows` windows, in nats, [windows * window_tokens]; free()
// it. `logits` are those of qm_reference_logits of the same artifact, scheme and windows. What is computed is kept in the
// cache directory.
QM_MUST_USE enum qm_status qm_sensitivity_measure(const struct qm_reference_params *params,
                                                  const struct qm_artifact *artifact, const struct qm_scheme *scheme,
                                                  const struct qm_evaluation *evaluation, uint32_t windows,
                                                  const float *logits, double **kl);

#endif
