// A simulated clock, for tests of what is made of times: a worker with it runs every distinct pass once, so that its logits
// are real and its checksums hold, and from then on only says how long the pass took on a device that does not exist.
//
// The environment variable QM_SIMULATE switches it on. It is a list of KEY=NUMBER, with commas between:
//
//   speed=1           how fast the device is, in 1e9 operations a second
//   overhead_us=100   added to every pass
//   noise=0.02        standard deviation of ln of a pass's time
//   noise_slow=0.01   of a slow wandering beside it (an autoregressive process, 0.98 from pass to pass)
//   seed=1            of the noise
//   throttle_s=40     from then on the clock, probe and all, falls to
//   throttle_to=0.7   this share of its speed
//   memory_s, memory_to   the same for passes alone: the probe keeps its speed
//   drift_per_s=0     every second takes so much longer, as a share
//
// A device so simulated says so in its name, and `timer` says so in every result: it cannot be taken for a real one.
#ifndef QM_BENCH_SIMULATE_H
#define QM_BENCH_SIMULATE_H

#include "base/random.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_simulated_block;

struct qm_simulation {
    double speed, overhead_us, noise, noise_slow, throttle_s, throttle_to, memory_s, memory_to, drift_per_s;
    uint64_t seed;
    struct qm_random random;
    double now_ns, wander;
    struct qm_simulated_block *blocks; // owned: what real runs gave
    size_t block_count;
};

// A block of passes: which recorded pass, from where, how many.
struct qm_simulated_block {
    size_t pass;
    uint32_t position, sequence, repeats, agreed; // agreed: real runs in a row that gave the same checksums
    uint64_t *checksums;                          // [repeats], owned
};

// False where `text` is NULL or empty. QM_INVALID for a key that there is none of.
QM_MUST_USE enum qm_status qm_simulation_read(const char *text, struct qm_simulation *out, bool *is_on);

// The time of a block of passes, of so many operations, by which the clock moves on.
double qm_simulation_pass_ns(struct qm_simulation *simulation, double operations);
// The checksums of a block, once two real runs in a row have agreed; NULL before: then it is run, and kept.
const uint64_t *qm_simulation_find(const struct qm_simulation *simulation, const struct qm_simulated_block *block);
QM_MUST_USE enum qm_status qm_simulation_keep(struct qm_simulation *simulation, const struct qm_simulated_block *block,
                                              const uint64_t *checksums);
void qm_simulation_free(struct qm_simulation *simulation);

// Likewise of the clock probe.
double qm_simulation_probe_ns(struct qm_simulation *simulation);

#endif
