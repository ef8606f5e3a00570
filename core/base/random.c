#include "base/random.h"

#define GOLDEN_STEP UINT64_C(0x9E3779B97F4A7C15) // 2^64 divided by the golden ratio, odd

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return (value << bits) | (value >> (64U - bits));
}

uint64_t qm_random_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
    return value ^ (value >> 31);
}

void qm_random_seed(struct qm_random *random, uint64_t seed, uint64_t stream)
{
    // The seed is mixed before the stream is added: seed + 1 with stream 0 and seed with stream 1 must not meet.
    uint64_t walk = qm_random_mix(seed + GOLDEN_STEP) + stream;
    walk = qm_random_mix(walk);
    for (int i = 0; i < 4; i++) {
        walk += GOLDEN_STEP;
        random->state[i] = qm_random_mix(walk);
    }
    // Four consecutive outputs of splitmix64 are distinct, so at most one word is zero and the state never is.
}

uint64_t qm_random_u64(struct qm_random *random)
{
    uint64_t *s = random->state;
    const uint64_t result = rotate_left(s[1] * 5U, 7) * 9U;
    const uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint32_t qm_random_u32(struct qm_random *random)
{
    return (uint32_t)(qm_random_u64(random) >> 32);
}

uint32_t qm_random_below(struct qm_random *random, uint32_t bound)
{
    // Multiply and keep the upper half (Lemire). The first 2^32 mod bound values of the lower half are refused,
    // because they would make some results more likely than others.
    uint64_t product = (uint64_t)qm_random_u32(random) * bound;
    if ((uint32_t)product < bound) {
        const uint32_t refused = (0U - bound) % bound;
        while ((uint32_t)product < refused) {
            product = (uint64_t)qm_random_u32(random) * bound;
        }
    }
    return (uint32_t)(product >> 32);
}

double qm_random_unit(struct qm_random *random)
{
    return (double)(qm_random_u64(random) >> 11) * 0x1.0p-53;
}
