// One reading of a device's telemetry, for people and for programs.
#ifndef QM_REPORT_READINGS_H
#define QM_REPORT_READINGS_H

#include "record/node.h"
#include "sys/telemetry.h"

#include <stdio.h>

// A table of quantity, value, and the source or why there is none, each line with two blanks in front.
QM_MUST_USE enum qm_status qm_readings_write(const struct qm_telemetry *telemetry,
                                             const struct qm_telemetry_sample *sample, FILE *file);

// The same as a mapping: each quantity with `value` and `unit`, or with `reason`, and `source` where it has one. NULL
// without memory, as nodes are.
struct qm_node *qm_readings_node(const struct qm_telemetry *telemetry, const struct qm_telemetry_sample *sample);

#endif
