// What the verbs about kernels alone share: lists in the place of a plan's keys, and the devices that were named.
#ifndef QM_CLI_KERNEL_OPTIONS_H
#define QM_CLI_KERNEL_OPTIONS_H

#include "bench/devices.h"
#include "bench/kernel_plan.h"

// Puts the words of `list` in place of those of a key; nothing where it is NULL. QM_INVALID names the option.
QM_MUST_USE enum qm_status qm_kernel_option_list(struct qm_kernel_plan *plan, const char *option, const char *key,
                                                 const char *list);

// The devices that `names` (NULL: all) names, one at least. APIs without one say why on stderr.
QM_MUST_USE enum qm_status qm_kernel_option_devices(const char *names, struct qm_device_list *list);

#endif
