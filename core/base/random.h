// random.h: the one pseudo-random generator of qmark.
//
// Everything that is drawn (windows of tasks, bootstrap samples, random operands of kernel checks) comes from this
// generator, so that a seed in a result is enough to draw the same again. It is integer arithmetic modulo 2^64 only:
// the same seed gives the same numbers on every machine, compiler and thread count. It is not for secrets.
//
// Generator: xoshiro256** (Blackman and Vigna), state of 256 bits, period 2^256 - 1. The state is filled by four
// steps of splitmix64 from a mix of `seed` and `stream`, so that neighbouring seeds and streams are unrelated.
#ifndef QM_BASE_RANDOM_H
#define QM_BASE_RANDOM_H

#include <stdint.h>

struct qm_random {
    uint64_t state[4]; // never all zero after qm_random_seed
};

// Mixes 64 bits into 64 bits, one to one (the output function of splitmix64). Also serves as a hash of an integer.
uint64_t qm_random_mix(uint64_t value);

// Starts the sequence numbered `stream` of `seed`. Two streams of one seed are independent for all practical uses.
void qm_random_seed(struct qm_random *random, uint64_t seed, uint64_t stream);

// The next 64 bits, and the next 32 (the upper half of one 64-bit step).
uint64_t qm_random_u64(struct qm_random *random);
uint32_t qm_random_u32(struct qm_random *random);

// Uniform in [0, bound), without bias. `bound` must be at least 1. Takes one step, rarely more.
uint32_t qm_random_below(struct qm_random *random, uint32_t bound);

// Uniform in [0, 1): a multiple of 2^-53.
double qm_random_unit(struct qm_random *random);

#endif
