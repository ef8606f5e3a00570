// What a samples file tells of sustained runs: windows of a second, and what sensors read between them.
#include "report/picture_internal.h"

#include "bench/raw.h"
#include "bench/samples.h"
#include "model/safetensors.h"
#include "record/node.h"
#include "score/sustained.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCKS_MAX = 4000000,
    READINGS_MAX = 20000, // as many as there can be windows
};

struct qm_picture_samples {
    struct qm_tensors tensors;
};

struct qm_picture_samples *qm_picture_samples_open(const struct qm_picture_entry *entry, char why[160])
{
    void *bytes = NULL;
    size_t count = 0;
    char hash[QM_HASH_TEXT_BYTES];
    struct qm_picture_samples *samples = NULL;
    why[0] = '\0';
    if (!entry->path || !qm_node_is_mapping(qm_node_child(entry->result, "samples"))) {
        snprintf(why, 160, "the result names no samples");
        return NULL;
    }
    if (qm_samples_read_beside(entry->path, entry->result, &bytes, &count) != QM_OK) {
        snprintf(why, 160, "its samples file cannot be read");
        return NULL;
    }
    if (!bytes) {
        snprintf(why, 160, "samples absent: their file does not lie beside the result");
        return NULL;
    }
    qm_hash_bytes(bytes, count, hash);
    if (strcmp(hash, qm_node_text_at(entry->result, "samples.sha256", "")) != 0) {
        snprintf(why, 160, "the samples file is not the one that the result names");
        free(bytes);
        return NULL;
    }
    samples = calloc(1, sizeof(*samples));
    if (!samples || qm_tensors_parse(&bytes, count, "samples", &samples->tensors) != QM_OK) {
        snprintf(why, 160, "its samples file cannot be read");
        free(bytes);
        free(samples);
        return NULL;
    }
    return samples;
}

void qm_picture_samples_close(struct qm_picture_samples *samples)
{
    if (samples)
        qm_tensors_free(&samples->tensors);
    free(samples);
}

// Doubles as pairs of words; NULL where there are none, or more than `most`. The caller frees them.
static double *doubles_of(const struct qm_picture_samples *samples, const char *scheme, const char *what, size_t most,
                          size_t *count)
{
    char name[QM_TENSOR_NAME_BYTES_MAX + 1];
    *count = 0;
    if (snprintf(name, sizeof(name), "%s.sustained.%s.f64", scheme, what) >= (int)sizeof(name))
        return NULL;
    const struct qm_tensor *tensor = qm_tensors_find(&samples->tensors, name);
    if (!tensor || tensor->dtype != QM_DTYPE_U32 || tensor->bytes == 0 || tensor->bytes % sizeof(double) != 0 ||
        tensor->bytes / sizeof(double) > most)
        return NULL;
    double *values = malloc(tensor->bytes);
    if (values) {
        memcpy(values, tensor->data, tensor->bytes);
        *count = tensor->bytes / sizeof(double);
    }
    return values;
}

// Tokens of a block: a pass of prefill, or as many steps of decode as the profile's last point has.
static double tokens_of(const struct qm_picture_entry *entry, const struct qm_node *sustained)
{
    const struct qm_node *points = qm_node_get(entry->result, "profile.decode");
    double batch = 0, tokens = 0;
    if (!qm_node_double_at(sustained, "batch", &batch))
        return 0;
    if (strcmp(qm_node_text_at(sustained, "phase", ""), "prefill") == 0)
        return qm_node_double_at(sustained, "prompt", &tokens) ? batch * tokens : 0;
    const struct qm_node *last = qm_node_at(points, qm_node_count(points) - (qm_node_count(points) > 0));
    return qm_node_double_at(last, "steps", &tokens) ? batch * tokens : 0;
}

static bool make_windows(struct qm_sustained *made, struct qm_picture_series *out)
{
    out->windows = calloc(made->window_count + 1, sizeof(*out->windows));
    for (size_t i = 0; out->windows && i < made->window_count; i++) {
        const struct qm_sustained_window *window = &made->windows[i];
        out->windows[out->window_count++] = (struct qm_picture_window){
            .begin_s = window->begin_s,
            .end_s = window->begin_s + window->length_s,
            .rate = window->tags & QM_WINDOW_EMPTY ? 0 : window->rate,
            .is_throttled = (window->tags & (QM_WINDOW_THROTTLED_TELEMETRY | QM_WINDOW_THROTTLED_PROBE)) != 0};
    }
    return out->windows != NULL;
}

static void make_readings(const double *at_ns, size_t count, const double *readings, size_t reading_count,
                          struct qm_picture_series *out)
{
    if (!at_ns || reading_count != count * QM_READING_COUNT)
        return;
    out->readings = calloc(count + 1, sizeof(*out->readings));
    for (size_t i = 0; out->readings && i < count; i++) {
        const double *row = readings + i * QM_READING_COUNT;
        out->readings[out->reading_count++] =
            (struct qm_picture_reading){.at_s = at_ns[i] * 1e-9,
                                        .clock_mhz = row[QM_READING_CLOCK_MHZ],
                                        .power_w = row[QM_READING_POWER_W],
                                        .temperature_c = row[QM_READING_TEMPERATURE_C]};
    }
}

// The same windows, with the same tags, as the result was made of.
static bool windows_of(const struct qm_sustained_samples *from, struct qm_picture_series *out)
{
    static const struct qm_bootstrap few = {QM_BOOTSTRAP_SEED, 99, 950}; // no interval of it is drawn
    struct qm_sustained_params params = QM_SUSTAINED_DEFAULT(&few);
    struct qm_sustained made = {0};
    bool is_made = from->units > 0 && qm_sustained_make(from, &params, &made) == QM_OK && make_windows(&made, out);
    qm_sustained_free(&made);
    return is_made;
}

bool qm_picture_samples_series(const struct qm_picture_samples *samples, const struct qm_picture_entry *entry,
                               const struct qm_node *scheme, struct qm_picture_series *out)
{
    const char *name = qm_picture_scheme_name(scheme);
    size_t blocks = 0, walls = 0, times = 0, probes = 0, readings = 0;
    bool is_made = false;
    *out = (struct qm_picture_series){0};
    double *begin = doubles_of(samples, name, "begin_ns", BLOCKS_MAX, &blocks);
    double *wall = doubles_of(samples, name, "wall_ns", BLOCKS_MAX, &walls);
    double *at = doubles_of(samples, name, "at_ns", READINGS_MAX, &times);
    double *probe = doubles_of(samples, name, "probe_ns", READINGS_MAX, &probes);
    double *read = doubles_of(samples, name, "readings", (size_t)READINGS_MAX * QM_READING_COUNT, &readings);
    size_t ends = times > 0 && readings == times * QM_READING_COUNT ? times - 1 : 0,
           known = 0; // a reading ends its window
    uint8_t *throttled = calloc(ends + 1, 1);
    for (size_t i = 0; throttled && i < ends; i++) {
        double reasons = read[(i + 1) * QM_READING_COUNT + QM_READING_THROTTLE];
        known += isnan(reasons) ? 0 : 1;
        throttled[i] = reasons > 0;
    }
    if (begin && wall && blocks == walls && throttled) {
        struct qm_sustained_samples from = {.count = blocks,
                                            .begin_ns = begin,
                                            .wall_ns = wall,
                                            .units = tokens_of(entry, qm_node_child(scheme, "sustained")),
                                            .probe_count = probes == times ? times : 0,
                                            .probe_at_ns = at,
                                            .probe_ns = probe,
                                            .throttled_count = known > 0 ? ends : 0,
                                            .throttled = known > 0 ? throttled : NULL};
        is_made = windows_of(&from, out);
        if (is_made && read)
            make_readings(at, times, read, readings, out);
    }
    free(begin);
    free(wall);
    free(at);
    free(probe);
    free(read);
    free(throttled);
    if (!is_made)
        qm_picture_series_free(out);
    return is_made;
}

void qm_picture_series_free(struct qm_picture_series *series)
{
    free(series->windows);
    free(series->readings);
    *series = (struct qm_picture_series){0};
}
