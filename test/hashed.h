// Weights that are a hash of their tensor's name and their index, so that a test and a script make the same ones.
#ifndef QM_TEST_HASHED_H
#define QM_TEST_HASHED_H

#include <stdint.h>

#include "base/numeric.h"

// The 64-bit FNV-1a of what `seed` is that of, and of the text behind it.
#define HASH_SEED UINT64_C(0xcbf29ce484222325)
static inline uint64_t hash_text(uint64_t seed, const char *text)
{
    for (; *text; ++text)
        seed = (seed ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    return seed;
}

// Splitmix64's output function of a state.
static inline uint64_t hash_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

// The number `index` of splitmix64 from a seed.
static inline uint64_t hash_at(uint64_t seed, uint64_t index)
{
    return hash_mix(seed + (index + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

// Multiples of 2^-24 in [-1/2, 1/2).
static inline float hash_unit(uint64_t hash)
{
    return (float)(hash >> 40) * 0x1p-24f - 0.5f;
}

// The bits of the nearest bfloat16, ties to even, of a finite value.
static inline uint16_t bfloat16_bits(float value)
{
    uint32_t bits = qm_bits_from_float(value);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
