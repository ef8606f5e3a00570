// Forecasts: a run forecasts itself, larger models and other profiles are scaled by their work, and where nothing was measured,
// or what was kept is damaged, nobody knows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bench/forecast.h"
#include "sys/file.h"

static char cache[] = "/tmp/qmark-forecast-XXXXXX";
static const struct qm_device_entry device = {
    .id = "vulkan:0", .api = "vulkan", .name = "a device", .driver = "driver", .type = "discrete"};

static struct qm_profile profile;
static struct qm_model model;
static struct qm_evaluation evaluation;
static struct qm_prepared prepared;
static struct qm_device_run run;
static double times[2][2][1]; // [scheme][point]

// Two schemes of one prefill and one decode point each, at 1 and 2 thousand million operations a second.
static void make_run(void)
{
    const struct qm_model_config config = {.own = {64, 128, 64},
                                           .hidden = 64,
                                           .intermediate = 128,
                                           .layers = 2,
                                           .heads = 1,
                                           .kv_heads = 1,
                                           .head_dim = 64,
                                           .attention = 64,
                                           .vocabulary = 512,
                                           .context = 512};
    memset(&prepared, 0, sizeof(prepared));
    memset(&run, 0, sizeof(run));
    model.config = config;
    snprintf(profile.name, sizeof(profile.name), "small");
    profile.scheme_count = 2;
    assert_int_equal(qm_scheme_parse("f16", &profile.schemes[0]), QM_OK);
    assert_int_equal(qm_scheme_parse("w8a8", &profile.schemes[1]), QM_OK);
    profile.evaluation = (struct qm_profile_set){.windows = 4, .window_tokens = 128};
    profile.prefill_count = profile.decode_count = 1;
    profile.prefill[0] = (struct qm_profile_prefill){1, 128};
    profile.decode[0] = (struct qm_profile_decode){1, 64, 8};
    profile.repeats = 3;
    evaluation.set = profile.evaluation;
    prepared.profile = &profile;
    prepared.model = &model;
    prepared.model_path = "/somewhere/small-model";
    prepared.evaluation = &evaluation;
    prepared.verify_windows = 1;
    prepared.scheme_count = run.scheme_count = 2;
    run.widen = 1;
    double per_token = 2 * (double)qm_model_config_linear_weights(&config);
    for (size_t s = 0; s < 2; ++s) {
        static struct qm_point_run points[2][2];
        prepared.schemes[s].scheme = profile.schemes[s];
        for (int d = 0; d < 2; ++d) {
            double operations = per_token * (d ? 1 : 128), passes = d ? 8 : 1;
            times[s][d][0] = operations * passes / (double)(s + 1); // ns
            points[s][d] = (struct qm_point_run){.is_decode = d,
                                                 .batch = 1,
                                                 .tokens = d ? 1 : 128,
                                                 .steps = d ? 8 : 0,
                                                 .operations = operations,
                                                 .count = 1,
                                                 .wall_ns = times[s][d]};
        }
        run.schemes[s].points = points[s];
        run.schemes[s].point_count = 2;
    }
}

static struct qm_forecast ask(const struct qm_device_entry *entry)
{
    struct qm_forecast forecast;
    qm_forecast_run(cache, entry, &profile, &model.config, &forecast);
    assert_true(forecast.based_on[0] && !strchr(forecast.based_on, '\n'));
    return forecast;
}

static void test_run(void **state)
{
    (void)state;
    struct qm_device_entry other = device;
    make_run();
    assert_false(ask(&device).is_known);
    qm_forecast_keep_run(cache, &device, &prepared, &run, 12.5);
    struct qm_forecast own = ask(&device);
    assert_true(own.is_known);
    assert_true(own.seconds > 12.499 && own.seconds < 12.501); // what it took, passes and all else
    assert_non_null(strstr(own.based_on, "small of small-model ("));
    assert_non_null(strstr(own.based_on, " M weights) on 2"));
    snprintf(other.driver, sizeof(other.driver), "another");
    assert_false(ask(&other).is_known);
    // A thousand times the layers: the passes take a thousand times as long, nothing else does.
    double passes = 0, per_token = 2 * (double)qm_model_config_linear_weights(&model.config);
    for (int s = 1; s <= 2; ++s) // scored once, timed four times, and decode likewise
        passes += per_token * 1e-9 / s * (4 * 128 + 4 * 128 + 4 * 8 + 4 * 8);
    double weights = (double)qm_model_config_linear_weights(&model.config);
    model.config.layers = 2000;
    double larger = (double)qm_model_config_linear_weights(&model.config) / weights;
    struct qm_forecast large = ask(&device);
    assert_true(large.is_known);
    double expected = 12.5 - passes + passes * larger;
    assert_true(large.seconds > expected * 0.999 && large.seconds < expected * 1.001);
    // A scheme that was not measured is as slow as the slowest.
    model.config.layers = 2;
    assert_int_equal(qm_scheme_parse("w4a16-g32", &profile.schemes[1]), QM_OK);
    assert_true(ask(&device).seconds > own.seconds);
    // A run of which a part failed says nothing of the rest: the older one stays.
    make_run();
    run.schemes[1].status = QM_UNSUPPORTED;
    qm_forecast_keep_run(cache, &device, &prepared, &run, 1.0);
    assert_true(ask(&device).seconds > 12);
}

static void test_preparation(void **state)
{
    (void)state;
    struct qm_forecast forecast;
    make_run();
    qm_forecast_preparation(cache, &profile, &model.config, &forecast);
    assert_false(forecast.is_known);
    prepared.schemes[1].time.is_cached = true; // what was found tells nothing of what is made
    qm_forecast_keep_preparation(cache, &prepared, 3);
    qm_forecast_preparation(cache, &profile, &model.config, &forecast);
    assert_false(forecast.is_known);
    prepared.schemes[1].time.is_cached = false;
    qm_forecast_keep_preparation(cache, &prepared, 3);
    qm_forecast_preparation(cache, &profile, &model.config, &forecast);
    assert_true(forecast.is_known && forecast.seconds > 2.999 && forecast.seconds < 3.001);
    profile.evaluation.windows *= 2; // and two windows that are verified
    qm_forecast_preparation(cache, &profile, &model.config, &forecast);
    assert_true(forecast.seconds > 3 * 10 / 6.001 && forecast.seconds < 3 * 10 / 5.999);
}

static void test_damage(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "x",
        "weights: 1\nseconds: x\n",
        "a: [",
        "weights: -1\nseconds: 1e300\nother_seconds: 1\n",
        "weights: 1\nseconds: 1\nother_seconds: 1\nschemes: [f16]\n",
        "weights: 1\nseconds: 1\nother_seconds: 1\nschemes: {f16: {prefill: 0, decode: -1}}\n",
        "weights: 1\nseconds: 1\nother_seconds: 1\nschemes: {f16: {prefill: 1}}\n"};
    char directory[QM_PATH_BYTES];
    struct qm_name_list names;
    make_run();
    qm_forecast_keep_run(cache, &device, &prepared, &run, 12.5);
    assert_int_equal(qm_path_join(directory, cache, "forecasts"), QM_OK);
    assert_int_equal(qm_directory_list(directory, &names), QM_OK);
    assert_true(names.count >= 1);
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); ++t) {
        for (size_t i = 0; i < names.count; ++i) {
            char path[QM_PATH_BYTES];
            assert_int_equal(qm_path_join(path, directory, names.names[i]), QM_OK);
            assert_int_equal(qm_file_write(path, texts[t], strlen(texts[t])), QM_OK);
        }
        assert_false(ask(&device).is_known);
    }
    for (size_t i = 0; i < names.count; ++i) {
        char path[QM_PATH_BYTES];
        assert_int_equal(qm_path_join(path, directory, names.names[i]), QM_OK);
        unlink(path);
    }
    qm_name_list_free(&names);
    rmdir(directory);
    // A cache that cannot be written is no failure.
    qm_forecast_keep_run("/proc/nowhere", &device, &prepared, &run, 1);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(cache) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_run), cmocka_unit_test(test_preparation),
                                       cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
