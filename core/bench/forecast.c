#include "bench/forecast.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/node.h"
#include "sys/file.h"
#include "sys/host.h"

// Operations per second of a scheme's passes.
struct rates {
    double prefill, decode;
};

// ---- What a profile makes a device do -------------------------------------------------------------------------------

static double operations_per_token(const struct qm_model_config *config)
{
    return 2 * (double)qm_model_config_linear_weights(config);
}

static double at_least(double value, double least)
{
    return value > least ? value : least;
}

// Seconds of all passes of one scheme: scored once, and each point timed until it has taken its seconds or been repeated often
// enough, whichever is later.
static double scheme_seconds(const struct qm_profile *profile, double per_token, const struct rates *rates)
{
    const struct qm_profile_set *set = &profile->evaluation;
    double seconds = (double)set->windows * set->window_tokens * per_token / rates->prefill;
    for (size_t i = 0; i < profile->prefill_count; ++i) {
        double pass = (double)profile->prefill[i].batch * profile->prefill[i].prompt * per_token / rates->prefill;
        seconds += at_least((profile->warmup + profile->repeats + 1) * pass, profile->seconds);
    }
    for (size_t i = 0; i < profile->decode_count; ++i) {
        double block = (double)profile->decode[i].batch * profile->decode[i].steps * per_token / rates->decode;
        seconds += (double)set->windows * profile->decode[i].steps * per_token / rates->decode;
        seconds += at_least((profile->warmup + profile->repeats + 1) * block, profile->seconds);
    }
    double served = (double)profile->served_prompt_tokens * per_token / rates->prefill +
                    (double)profile->served_output_tokens * per_token / rates->decode;
    seconds += (profile->deployment.rounds + 1) * served; // once more to check it
    return seconds +
           (profile->sustained == QM_PROFILE_SUSTAINED_NONE ? 0 : profile->sustained_s + profile->cool_down_s);
}

// Operations of the oracle: the float32 model over the evaluation set, and over the calibration set where a scheme asks for
// it; each scheme over the windows that are verified.
static double preparation_operations(const struct qm_profile *profile, const struct qm_model_config *config,
                                     uint32_t verify_windows)
{
    double tokens = (double)profile->evaluation.windows * profile->evaluation.window_tokens;
    bool is_calibrated = false;
    for (size_t s = 0; s < profile->scheme_count; ++s)
        is_calibrated = is_calibrated || qm_scheme_is_calibrated(&profile->schemes[s]);
    if (is_calibrated)
        tokens += (double)profile->calibration.windows * profile->calibration.window_tokens;
    tokens += (double)profile->scheme_count * verify_windows * profile->evaluation.window_tokens;
    return tokens * operations_per_token(config);
}

// ---- Keeping --------------------------------------------------------------------------------------------------------

static enum qm_status path_of(const char *cache_directory, const struct qm_device_entry *device,
                              char path[QM_PATH_BYTES])
{
    char text[512], key[QM_HASH_TEXT_BYTES], name[QM_HASH_TEXT_BYTES + 8], directory[QM_PATH_BYTES];
    if (device) {
        snprintf(text, sizeof(text), "%s %s %s", device->api, device->name, device->driver);
        qm_hash_bytes(text, strlen(text), key);
        snprintf(name, sizeof(name), "%.16s.yaml", key);
    } else {
        snprintf(name, sizeof(name), "preparation.yaml");
    }
    if (!*cache_directory)
        return QM_FAIL(QM_UNAVAILABLE, "no cache directory is known");
    QM_TRY(qm_path_join(directory, cache_directory, "forecasts"));
    return qm_path_join(path, directory, name);
}

static void write_kept(const char *cache_directory, const struct qm_device_entry *device, struct qm_node *node)
{
    char path[QM_PATH_BYTES], directory[QM_PATH_BYTES], *text = NULL;
    if (path_of(cache_directory, device, path) == QM_OK &&
        qm_path_join(directory, cache_directory, "forecasts") == QM_OK && qm_directory_make(directory) == QM_OK &&
        qm_node_write_yaml(node, &text) == QM_OK)
        (void)!qm_file_write(path, text, strlen(text));
    free(text);
    qm_node_destroy(&node);
}

static struct qm_node *new_kept(const struct qm_prepared *prepared, double seconds)
{
    char time[QM_TIME_TEXT_BYTES];
    struct qm_node *node = qm_node_new_mapping();
    qm_time_utc(time);
    qm_node_set_text(node, "profile", prepared->profile->name);
    qm_node_set_text(node, "model", qm_path_name(prepared->model_path));
    qm_node_set_double(node, "weights", (double)qm_model_config_linear_weights(&prepared->model->config));
    qm_node_set_textf(node, "date", "%.10s", time);
    qm_node_set_double(node, "seconds", seconds);
    return node;
}

static double mean(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; ++i)
        sum += values[i];
    return count > 0 ? sum / (double)count : 0;
}

// From the smallest batch, which every profile has, and which larger ones are hardly slower than.
static bool rates_of(const struct qm_scheme_run *scheme, struct rates *out)
{
    uint32_t prefill_batch = UINT32_MAX, decode_batch = UINT32_MAX;
    *out = (struct rates){0};
    for (size_t i = 0; scheme->status == QM_OK && i < scheme->point_count; ++i) {
        const struct qm_point_run *point = &scheme->points[i];
        double ns = mean(point->wall_ns, point->count), operations = point->operations;
        uint32_t *smallest = point->is_decode ? &decode_batch : &prefill_batch;
        if (!(ns > 0) || !(operations > 0) || point->batch > *smallest)
            continue;
        *smallest = point->batch;
        if (point->is_decode)
            out->decode = operations * point->steps / ns * 1e9;
        else
            out->prefill = operations / ns * 1e9;
    }
    return out->prefill > 0 && out->decode > 0;
}

void qm_forecast_keep_run(const char *cache_directory, const struct qm_device_entry *device,
                          const struct qm_prepared *prepared, const struct qm_device_run *run, double seconds)
{
    struct qm_node *node = new_kept(prepared, seconds), *list = qm_node_add_mapping(node, "schemes");
    double passes_s = 0, per_token = operations_per_token(&prepared->model->config) * run->widen * run->widen;
    size_t known = 0;
    for (size_t s = 0; s < run->scheme_count; ++s) {
        struct rates rates;
        if (!rates_of(&run->schemes[s], &rates))
            continue;
        struct qm_node *row = qm_node_add_mapping(list, prepared->schemes[s].scheme.name);
        qm_node_set_double(row, "prefill", rates.prefill);
        qm_node_set_double(row, "decode", rates.decode);
        passes_s += scheme_seconds(prepared->profile, per_token, &rates);
        ++known;
    }
    qm_node_set_double(node, "other_seconds", at_least(seconds - passes_s, 0));
    if (known > 0 && known == run->scheme_count) // of a run that failed in part the rest is not known
        write_kept(cache_directory, device, node);
    else
        qm_node_destroy(&node);
}

void qm_forecast_keep_preparation(const char *cache_directory, const struct qm_prepared *prepared, double seconds)
{
    for (size_t s = 0; s < prepared->scheme_count; ++s)
        if (prepared->schemes[s].status != QM_OK || prepared->schemes[s].time.is_cached)
            return;
    double operations = preparation_operations(prepared->profile, &prepared->model->config, prepared->verify_windows);
    struct qm_node *node = new_kept(prepared, seconds);
    qm_node_set_double(node, "rate", operations / at_least(seconds, 1e-3));
    write_kept(cache_directory, NULL, node);
}

// ---- Telling --------------------------------------------------------------------------------------------------------

static struct qm_node *read_kept(const char *cache_directory, const struct qm_device_entry *device,
                                 struct qm_forecast *out)
{
    char path[QM_PATH_BYTES];
    struct qm_node *node = NULL;
    double weights = 0, seconds = 0;
    *out = (struct qm_forecast){0};
    snprintf(out->based_on, sizeof(out->based_on), "nothing was %s here yet", device ? "measured" : "prepared");
    if (path_of(cache_directory, device, path) != QM_OK || !qm_file_exists(path) ||
        qm_node_load_yaml(path, &qm_node_profile_limits, &node) != QM_OK)
        return NULL;
    if (!qm_node_double_at(node, "weights", &weights) || !qm_node_double_at(node, "seconds", &seconds)) {
        qm_node_destroy(&node);
        return NULL;
    }
    snprintf(out->based_on, sizeof(out->based_on), "%.40s of %.60s (%.3g M weights) on %.10s: %.3g s",
             qm_node_text_at(node, "profile", "?"), qm_node_text_at(node, "model", "?"), weights / 1e6,
             qm_node_text_at(node, "date", "?"), seconds);
    return node;
}

static bool read_rates(const struct qm_node *row, struct rates *out)
{
    return qm_node_double_at(row, "prefill", &out->prefill) && qm_node_double_at(row, "decode", &out->decode) &&
           out->prefill > 0 && out->decode > 0;
}

// A scheme that was not measured is taken for as slow as the slowest that was.
static bool find_rates(const struct qm_node *list, const char *scheme, struct rates *out)
{
    *out = (struct rates){INFINITY, INFINITY};
    if (read_rates(qm_node_child(list, scheme), out))
        return true;
    *out = (struct rates){INFINITY, INFINITY};
    for (size_t i = 0; i < qm_node_count(list); ++i) {
        struct rates other;
        if (!read_rates(qm_node_at(list, i), &other))
            continue;
        out->prefill = fmin(out->prefill, other.prefill);
        out->decode = fmin(out->decode, other.decode);
    }
    return isfinite(out->prefill) && isfinite(out->decode);
}

void qm_forecast_run(const char *cache_directory, const struct qm_device_entry *device,
                     const struct qm_profile *profile, const struct qm_model_config *config, struct qm_forecast *out)
{
    struct qm_node *node = read_kept(cache_directory, device, out);
    const struct qm_node *list = qm_node_child(node, "schemes");
    double seconds = 0;
    bool is_known = node && qm_node_double_at(node, "other_seconds", &seconds);
    for (size_t s = 0; is_known && s < profile->scheme_count; ++s) {
        struct rates rates;
        is_known = find_rates(list, profile->schemes[s].name, &rates);
        if (is_known)
            seconds += scheme_seconds(profile, operations_per_token(config), &rates);
    }
    out->is_known = is_known && isfinite(seconds) && seconds > 0;
    out->seconds = out->is_known ? seconds : 0;
    qm_node_destroy(&node);
}

void qm_forecast_preparation(const char *cache_directory, const struct qm_profile *profile,
                             const struct qm_model_config *config, struct qm_forecast *out)
{
    struct qm_node *node = read_kept(cache_directory, NULL, out);
    double rate = 0;
    out->is_known = node && qm_node_double_at(node, "rate", &rate) && rate > 0;
    out->seconds = out->is_known ? preparation_operations(profile, config, 1) / rate : 0;
    qm_node_destroy(&node);
}
