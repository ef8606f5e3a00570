// What the verbs about kernels alone share: lists in the place of a plan's keys.
#ifndef QM_CLI_KERNEL_OPTIONS_H
#define QM_CLI_KERNEL_OPTIONS_H

#include "bench/kernel_plan.h"

// Of the command line, NULL where they were not given.
struct qm_kernel_options {
    const char *models, *shapes, *rows, *kernels, *formats, *schemes, *kv, *tiers;
};

// Puts the words of `list` in place of those of a key; nothing where it is NULL. QM_INVALID names the option.
QM_MUST_USE enum qm_status qm_kernel_option_list(struct qm_kernel_plan *plan, const char *option, const char *key,
                                                 const char *list);

// All of them; shapes leave out the plan's models, unless those are named. QM_INVALID also where formats are named twice.
QM_MUST_USE enum qm_status qm_kernel_options_read(const struct qm_kernel_options *options, struct qm_kernel_plan *plan);

#endif
