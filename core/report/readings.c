#include "report/readings.h"

#include <string.h>

// The number as people read it, with its unit.
static void value_text(const struct qm_telemetry_sample *sample, enum qm_telemetry_quantity quantity,
                       char text[QM_THROTTLE_TEXT_BYTES])
{
    switch (quantity) {
    case QM_TELEMETRY_CLOCK:
        snprintf(text, QM_THROTTLE_TEXT_BYTES, "%.0f MHz", sample->clock_mhz);
        return;
    case QM_TELEMETRY_MEMORY_CLOCK:
        snprintf(text, QM_THROTTLE_TEXT_BYTES, "%.0f MHz", sample->memory_clock_mhz);
        return;
    case QM_TELEMETRY_POWER:
        snprintf(text, QM_THROTTLE_TEXT_BYTES, "%.1f W", sample->power_w);
        return;
    case QM_TELEMETRY_ENERGY:
        snprintf(text, QM_THROTTLE_TEXT_BYTES, "%.2f J", sample->energy_j);
        return;
    case QM_TELEMETRY_TEMPERATURE:
        snprintf(text, QM_THROTTLE_TEXT_BYTES, "%.0f C", sample->temperature_c);
        return;
    case QM_TELEMETRY_MEMORY_USED:
        snprintf(text, QM_THROTTLE_TEXT_BYTES, "%.0f MiB", (double)sample->memory_used_bytes / 1048576.0);
        return;
    case QM_TELEMETRY_BUSY:
        snprintf(text, QM_THROTTLE_TEXT_BYTES, "%.0f %%", sample->busy_percent);
        return;
    case QM_TELEMETRY_THROTTLE:
    case QM_TELEMETRY_QUANTITIES:
        qm_throttle_text(sample->throttle, text);
        return;
    }
}

enum qm_status qm_readings_write(const struct qm_telemetry *telemetry, const struct qm_telemetry_sample *sample,
                                 FILE *file)
{
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q) {
        enum qm_telemetry_quantity quantity = (enum qm_telemetry_quantity)q;
        const char *source = qm_telemetry_source(telemetry, quantity);
        char text[QM_THROTTLE_TEXT_BYTES] = "unavailable";
        bool has_value = qm_telemetry_has(sample, quantity);
        if (has_value)
            value_text(sample, quantity, text);
        fprintf(file, "  %-21s %-12s  %s", qm_telemetry_quantity_name(quantity), text,
                has_value ? source : qm_telemetry_reason(telemetry, quantity));
        if (!has_value && *source)
            fprintf(file, " (%s)", source);
        fprintf(file, "\n");
    }
    return ferror(file) ? QM_FAIL(QM_FAILED, "cannot write the readings; is there space left?") : QM_OK;
}

static void set_value(struct qm_node *node, const struct qm_telemetry_sample *sample,
                      enum qm_telemetry_quantity quantity)
{
    static const double nothing = 0;
    const double *const numbers[QM_TELEMETRY_QUANTITIES] = {
        [QM_TELEMETRY_CLOCK] = &sample->clock_mhz,
        [QM_TELEMETRY_MEMORY_CLOCK] = &sample->memory_clock_mhz,
        [QM_TELEMETRY_POWER] = &sample->power_w,
        [QM_TELEMETRY_ENERGY] = &sample->energy_j,
        [QM_TELEMETRY_TEMPERATURE] = &sample->temperature_c,
        [QM_TELEMETRY_BUSY] = &sample->busy_percent,
        [QM_TELEMETRY_MEMORY_USED] = &nothing,
        [QM_TELEMETRY_THROTTLE] = &nothing,
    };
    char text[QM_THROTTLE_TEXT_BYTES];
    if (quantity == QM_TELEMETRY_MEMORY_USED) {
        qm_node_set_u64(node, "value", sample->memory_used_bytes);
    } else if (quantity == QM_TELEMETRY_THROTTLE) {
        qm_throttle_text(sample->throttle, text);
        qm_node_set_text(node, "value", text);
    } else {
        qm_node_set_double(node, "value", *numbers[quantity]);
    }
}

struct qm_node *qm_readings_node(const struct qm_telemetry *telemetry, const struct qm_telemetry_sample *sample)
{
    struct qm_node *root = qm_node_new_mapping();
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q) {
        enum qm_telemetry_quantity quantity = (enum qm_telemetry_quantity)q;
        struct qm_node *node = qm_node_add_mapping(root, qm_telemetry_quantity_name(quantity));
        const char *source = qm_telemetry_source(telemetry, quantity);
        if (qm_telemetry_has(sample, quantity)) {
            set_value(node, sample, quantity);
            if (*qm_telemetry_quantity_unit(quantity))
                qm_node_set_text(node, "unit", qm_telemetry_quantity_unit(quantity));
        } else {
            qm_node_set_text(node, "value", "unavailable");
            qm_node_set_text(node, "reason", qm_telemetry_reason(telemetry, quantity));
        }
        if (*source)
            qm_node_set_text(node, "source", source);
    }
    return root;
}
