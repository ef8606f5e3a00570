// Floats of 4 to 8 bits, by their definitions; every code's value is checked against the standards' own (test/data/formats).
#ifndef QM_BASE_MINIFLOAT_H
#define QM_BASE_MINIFLOAT_H

#include <stdbool.h>
#include <stdint.h>

// Sign, exponent, mantissa from the highest bit down. "FN": no infinity, one NaN, both signs; "FNUZ": no infinity, no
// negative zero, 0x80 is NaN. OCP OFP8 1.0 (E4M3 is FN there), OCP MX 1.0, and LLVM's APFloat for the names of the others.
enum qm_minifloat {
    QM_MINIFLOAT_E4M3FN,   // bias 7, largest 448, NaN S.1111.111
    QM_MINIFLOAT_E4M3,     // bias 7, largest 240, infinity and NaN as IEEE 754
    QM_MINIFLOAT_E4M3FNUZ, // bias 8, largest 240
    QM_MINIFLOAT_E5M2,     // bias 15, largest 57,344, infinity and NaN as IEEE 754
    QM_MINIFLOAT_E5M2FNUZ, // bias 16, largest 57,344
    QM_MINIFLOAT_E2M3,     // bias 1, largest 7.5, every code a number
    QM_MINIFLOAT_E3M2,     // bias 3, largest 28, likewise
    QM_MINIFLOAT_E2M1,     // bias 1, largest 6, likewise
    QM_MINIFLOAT_E8M0,     // no sign, no mantissa: 2^(code - 127), 255 is NaN
    QM_MINIFLOAT_COUNT,
};

const char *qm_minifloat_name(enum qm_minifloat kind); // "E4M3FN"
uint32_t qm_minifloat_bits(enum qm_minifloat kind);    // of a code
double qm_minifloat_largest(enum qm_minifloat kind);   // finite

// The value of a code, exactly; infinity and NaN where the code is.
double qm_minifloat_value(enum qm_minifloat kind, uint32_t code);

// The code nearest to `value`, ties to the even code. Where the number after the largest would be nearer: the largest if
// `saturate` or if every code is a number, else infinity, or NaN in kinds without. NaN gives NaN where there is one, else
// (as does E8M0 for anything not positive) 0. The sign of zero is kept where the kind has two.
uint32_t qm_minifloat_nearest(enum qm_minifloat kind, double value, bool saturate);

#endif
