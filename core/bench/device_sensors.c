// What sensors and the host tell around a run.
#include "bench/device_run_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const struct qm_session *session, const char *key)
{
    const char *text = json_string_value(json_object_get(session->run->info, key));
    return text && strcmp(text, "undisclosed") != 0 ? text : "";
}

static void name_sources(struct qm_session *session)
{
    struct qm_telemetry_sample sample;
    qm_telemetry_read(session->telemetry, &sample);
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q) {
        char *text = session->run->telemetry[q];
        size_t size = sizeof(session->run->telemetry[q]);
        const char *source = qm_telemetry_source(session->telemetry, (enum qm_telemetry_quantity)q);
        if (source[0])
            snprintf(text, size, "%s", source);
        else
            snprintf(text, size, "unavailable: %s",
                     qm_telemetry_reason(session->telemetry, (enum qm_telemetry_quantity)q));
    }
}

enum qm_status qm_session_sensors_begin(struct qm_session *session)
{
    struct qm_device_run *run = session->run;
    const char *timer = json_string_value(json_object_get(run->selftest, "timer"));
    run->before = calloc(1, sizeof(*run->before));
    run->after = calloc(1, sizeof(*run->after));
    if (!run->before || !run->after)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the conditions of the host");
    QM_TRY(qm_conditions_read("", run->before));
    if (timer && strncmp(timer, "simulated", 9) == 0) {
        for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q)
            snprintf(run->telemetry[q], sizeof(run->telemetry[q]), "unavailable: the device is simulated");
        return QM_OK;
    }
    struct qm_telemetry_params params = {.root = "",
                                         .pci_address = text_of(session, "pci"),
                                         .vendor_id = (uint32_t)strtoul(text_of(session, "vendor_id"), NULL, 16),
                                         .is_cpu = strcmp(text_of(session, "type"), "cpu") == 0};
    QM_TRY(qm_telemetry_open(&params, &session->telemetry));
    name_sources(session);
    return QM_OK;
}

void qm_session_sensors_end(struct qm_session *session)
{
    struct qm_device_run *run = session->run;
    qm_telemetry_close(&session->telemetry);
    if (run->after && qm_conditions_read("", run->after) != QM_OK) {
        free(run->after);
        run->after = NULL;
    }
}

void qm_session_read_sensors(struct qm_session *session, double readings[QM_READING_COUNT])
{
    struct qm_telemetry_sample sample;
    for (size_t i = 0; i < QM_READING_COUNT; ++i)
        readings[i] = NAN;
    if (!session->telemetry)
        return;
    qm_telemetry_read(session->telemetry, &sample);
    readings[QM_READING_CLOCK_MHZ] = sample.clock_mhz;
    readings[QM_READING_POWER_W] = sample.power_w;
    readings[QM_READING_ENERGY_J] = sample.energy_j;
    readings[QM_READING_TEMPERATURE_C] = sample.temperature_c;
    readings[QM_READING_BUSY_PERCENT] = sample.busy_percent;
    if (qm_telemetry_has(&sample, QM_TELEMETRY_MEMORY_USED))
        readings[QM_READING_MEMORY_BYTES] = (double)sample.memory_used_bytes;
    if (qm_telemetry_has(&sample, QM_TELEMETRY_THROTTLE))
        readings[QM_READING_THROTTLE] = sample.throttle;
}
