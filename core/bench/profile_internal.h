// Shared by profile.c (what is run) and profile_measure.c (how it is measured).
#ifndef QM_BENCH_PROFILE_INTERNAL_H
#define QM_BENCH_PROFILE_INTERNAL_H

#include "bench/profile.h"
#include "record/node.h"

// `section` is the mapping's name for messages, "" at the top. All are QM_INVALID with the place and what is expected.
QM_MUST_USE enum qm_status qm_profile_require(const struct qm_node *mapping, const char *section, const char *key,
                                              const struct qm_node **out);
// A mapping below the top, all of whose keys are known.
QM_MUST_USE enum qm_status qm_profile_require_mapping(const struct qm_node *root, const char *key,
                                                      const struct qm_node **out);
QM_MUST_USE enum qm_status qm_profile_read_choice(const struct qm_node *mapping, const char *section, const char *key,
                                                  const char *const *choices, size_t count, size_t *out);

// The sections timing (its fractions), sustained, latency, caches and gate.
QM_MUST_USE enum qm_status qm_profile_read_measurement(const struct qm_node *root, struct qm_profile *profile);
// The same but timing, in their order.
void qm_profile_expand_measurement(struct qm_node *node, const struct qm_profile *profile);

#endif
