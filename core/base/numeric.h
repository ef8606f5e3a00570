// Arithmetic that gives the same bits on every machine: no libm, no contraction (see -ffp-contract=off in CMake).
#ifndef QM_BASE_NUMERIC_H
#define QM_BASE_NUMERIC_H

#include <stddef.h>
#include <stdint.h>

// IEEE 754 binary16, as bits. Rounds to nearest, ties to even; beyond 65,520 gives infinity; NaN stays NaN.
uint16_t qm_half_from_float(float value);
// The smallest binary16 that is not below `value`. `value` must be finite, not negative and at most 65,504.
uint16_t qm_half_round_up(float value);
float qm_float_from_half(uint16_t bits);

// The smallest float that is not below `value`, which must be finite and not negative.
float qm_float_round_up(double value);

uint32_t qm_bits_from_float(float value);
float qm_float_from_bits(uint32_t bits);

// e^x and ln x in double with +, -, *, / only: within 2 units in the last place of the true value for |x| <= 700 and
// for normal positive x. exp gives 0 below -745 and infinity above 709.78; log gives -infinity at 0.
double qm_exp(double x);
double qm_log(double x);

// e^x of `count` values at most 700, many at a time: within 2 units in the last place, the same bits on every machine, and
// not always those of qm_exp. 0 below -708. `out` may be `x`.
void qm_exp_many(const double *x, size_t count, double *out);

// Nearest integer, ties to even, for |value| < 2^51.
double qm_round_even(double value);

#endif
