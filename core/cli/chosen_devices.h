// The devices that a command line names.
#ifndef QM_CLI_CHOSEN_DEVICES_H
#define QM_CLI_CHOSEN_DEVICES_H

#include "bench/devices.h"

// The devices that `names` (NULL: all) names, one at least. APIs without one say why on stderr.
QM_MUST_USE enum qm_status qm_chosen_devices(const char *names, struct qm_device_list *list);

#endif
