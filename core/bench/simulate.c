#include "bench/simulate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"

enum qm_status qm_simulation_read(const char *text, struct qm_simulation *out, bool *is_on)
{
    double seed = 1;
    struct qm_simulation s = {.speed = 1, .overhead_us = 100, .throttle_to = 1, .memory_to = 1};
    const struct {
        const char *key;
        double *value;
    } keys[] = {{"speed", &s.speed},
                {"overhead_us", &s.overhead_us},
                {"noise", &s.noise},
                {"noise_slow", &s.noise_slow},
                {"throttle_s", &s.throttle_s},
                {"throttle_to", &s.throttle_to},
                {"memory_s", &s.memory_s},
                {"memory_to", &s.memory_to},
                {"drift_per_s", &s.drift_per_s},
                {"seed", &seed}};
    *is_on = text && *text;
    for (const char *at = text; *is_on && *at;) {
        size_t length = strcspn(at, "="), k = 0;
        while (k < sizeof(keys) / sizeof(keys[0]) &&
               !(strlen(keys[k].key) == length && strncmp(keys[k].key, at, length) == 0))
            ++k;
        if (k == sizeof(keys) / sizeof(keys[0]) || at[length] != '=')
            return QM_FAIL(QM_INVALID,
                           "QM_SIMULATE: '%.40s' is no KEY=NUMBER of bench/simulate.h; such as speed=1,noise=0.02", at);
        char *end = NULL;
        *keys[k].value = strtod(at + length + 1, &end);
        if (end == at + length + 1 || (*end && *end != ',') || !isfinite(*keys[k].value))
            return QM_FAIL(QM_INVALID, "QM_SIMULATE: '%.40s' has no number; write speed=1", at);
        at = *end ? end + 1 : end;
    }
    s.seed = (uint64_t)seed;
    qm_random_seed(&s.random, s.seed, 0);
    *out = s;
    return QM_OK;
}

// The sum of twelve uniform draws is close enough to the normal distribution, and needs no library.
static double normal(struct qm_random *random)
{
    double sum = -6;
    for (int i = 0; i < 12; ++i)
        sum += qm_random_unit(random);
    return sum;
}

static double slowdown(const struct qm_simulation *s, bool is_probe)
{
    double now_s = s->now_ns * 1e-9, factor = 1 + (is_probe ? 0 : s->drift_per_s * now_s);
    if (s->throttle_s > 0 && now_s >= s->throttle_s)
        factor /= s->throttle_to;
    if (!is_probe && s->memory_s > 0 && now_s >= s->memory_s)
        factor /= s->memory_to;
    return factor;
}

double qm_simulation_pass_ns(struct qm_simulation *s, double operations)
{
    s->wander = 0.98 * s->wander + sqrt(1 - 0.98 * 0.98) * s->noise_slow * normal(&s->random);
    double ns = (operations / s->speed + s->overhead_us * 1e3) * slowdown(s, false) *
                qm_exp(s->noise * normal(&s->random) + s->wander);
    s->now_ns += ns;
    return ns;
}

double qm_simulation_probe_ns(struct qm_simulation *s)
{
    double ns = 2e6 * slowdown(s, true) * qm_exp(0.002 * normal(&s->random));
    s->now_ns += 3 * ns; // the shortest of three
    return ns;
}

static struct qm_simulated_block *find(const struct qm_simulation *s, const struct qm_simulated_block *block)
{
    for (size_t i = 0; i < s->block_count; ++i) {
        struct qm_simulated_block *b = &s->blocks[i];
        if (b->pass == block->pass && b->position == block->position && b->sequence == block->sequence &&
            b->repeats == block->repeats)
            return b;
    }
    return NULL;
}

const uint64_t *qm_simulation_find(const struct qm_simulation *simulation, const struct qm_simulated_block *block)
{
    const struct qm_simulated_block *b = find(simulation, block);
    return b && b->agreed >= 2 ? b->checksums : NULL;
}

enum qm_status qm_simulation_keep(struct qm_simulation *simulation, const struct qm_simulated_block *block,
                                  const uint64_t *checksums)
{
    struct qm_simulated_block *b = find(simulation, block);
    size_t bytes = block->repeats * sizeof(*checksums);
    if (b) {
        b->agreed = memcmp(b->checksums, checksums, bytes) == 0 ? b->agreed + 1 : 1;
        memcpy(b->checksums, checksums, bytes);
        return QM_OK;
    }
    struct qm_simulated_block *grown =
        realloc(simulation->blocks, (simulation->block_count + 1) * sizeof(*simulation->blocks));
    if (!grown)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a simulation");
    simulation->blocks = grown;
    b = &grown[simulation->block_count];
    *b = *block;
    b->agreed = 1;
    b->checksums = malloc(bytes);
    if (!b->checksums)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a simulation");
    memcpy(b->checksums, checksums, bytes);
    ++simulation->block_count;
    return QM_OK;
}

void qm_simulation_free(struct qm_simulation *simulation)
{
    for (size_t i = 0; i < simulation->block_count; ++i)
        free(simulation->blocks[i].checksums);
    free(simulation->blocks);
    simulation->blocks = NULL;
    simulation->block_count = 0;
}
