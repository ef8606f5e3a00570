// GPTQ: hand-worked cases, agreement with the algorithm as its paper states it, the order of the methods' errors on
// correlated inputs, hostile statistics, and the same bytes from any number of threads.
#include "base/hash.h"
#include "quant/moments.h"
#include "sys/parallel.h"
#include "test/calibrator_layer.h"

// ---- Second moments -------------------------------------------------------------------------------------------------

static void test_factor(void **state)
{
    (void)state;
    const uint32_t sizes[] = {1, 2, 31, 32, 33, 100};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        uint32_t n = sizes[s];
        struct layer layer = draw_layer(1, n, 11);
        double *scratch = calloc((size_t)n * (QM_MOMENTS_PANEL + 2), sizeof(double)), *pivots = scratch;
        double *a = calloc((size_t)n * n, sizeof(double));
        memcpy(a, layer.moments, (size_t)n * n * sizeof(double));
        for (uint32_t i = 1; i < n; i++) // the lower triangle is nobody's
            for (uint32_t k = 0; k < i; k++)
                a[i * n + k] = NAN;
        assert_int_equal(qm_moments_factor(a, n, pivots, scratch + n), n);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = i; k < n; k++) {
                double sum = 0;
                for (uint32_t m = k; m < n; m++)
                    sum += (m == i ? 1 : a[i * n + m]) * pivots[m] * (m == k ? 1 : a[k * n + m]);
                double scale = sqrt(layer.moments[i * n + i] * layer.moments[k * n + k]);
                assert_true(fabs(sum - layer.moments[i * n + k]) <= 1e-12 * scale);
            }
        free(scratch);
        free(a);
        free_layer(&layer);
    }
    double singular[4] = {4, 2, 2, 1}, pivots[2], scratch[2 * (QM_MOMENTS_PANEL + 1)];
    assert_int_equal(qm_moments_factor(singular, 2, pivots, scratch), 0); // 4 - 2^2 / 1
    double nearly[4] = {1 + 0x1p-44, 1, 1, 1}; // what is left of the pivot may be rounding errors
    assert_int_equal(qm_moments_factor(nearly, 2, pivots, scratch), 0);
}

static void test_moments_error(void **state)
{
    (void)state;
    struct layer layer = draw_layer(37, 101, 12);
    struct qm_clip_record record;
    double *errors = calloc(37 * 101, sizeof(double)), error;
    ASSERT_OK(rounded(&layer, &grid_int4_g32, QM_RANGE_ABSMAX, NULL, &record));
    for (uint32_t row = 0; row < 37; row++)
        for (uint32_t k = 0; k < 101; k++)
            errors[row * 101 + k] =
                decode(&grid_int4_g32, layer.codes[row * 101 + k], parameters_at(&layer, &grid_int4_g32, row, k)) -
                (double)layer.weights[row * 101 + k];
    double expected = error_of(&layer, &grid_int4_g32);
    ASSERT_OK(qm_moments_error(layer.moments, 101, errors, 37, &error));
    assert_true(is_near(error, expected, 1e-12));
    free(errors);
    free_layer(&layer);
}

// ---- GPTQ by hand ---------------------------------------------------------------------------------------------------

static struct layer hand_layer(const double moments[9])
{
    struct layer layer = new_layer(1, 3);
    const float weights[3] = {0.375f, 0.25f, 7};
    memcpy(layer.weights, weights, sizeof(weights));
    memcpy(layer.moments, moments, 9 * sizeof(double));
    return layer;
}

static void check_hand(const double moments[9], bool act_order, const int32_t codes[3], double error)
{
    struct layer layer = hand_layer(moments);
    struct qm_gptq_record record;
    ASSERT_OK(gptq(&layer, &grid_int4_row, (struct qm_gptq_params){0, act_order, QM_RANGE_ABSMAX}, &record));
    assert_memory_equal(layer.codes, codes, 3 * sizeof(int32_t));
    assert_true(layer.parameters[0].scale == 1);
    assert_true(record.error == error && is_near(error_of(&layer, &grid_int4_row), error, 1e-15));
    assert_true(record.damping == 0 && record.factorings == 1 && record.dead == 0);
    free_layer(&layer);
}

static void test_hand(void **state)
{
    (void)state;
    const double first[9] = {2, 1, 0, 1, 1, 0, 0, 0, 1};  // D = 1, 1; n = 1: 0.375 -> 0; 0.25 + 0.375 -> 1
    const double second[9] = {1, 1, 0, 1, 2, 0, 0, 0, 4}; // D = 1/2, 2; n = 1/2: 0.375 -> 0; 0.25 + 0.1875 -> 0
    check_hand(first, false, (const int32_t[]){0, 1, 7}, 0.28125);
    check_hand(first, true, (const int32_t[]){0, 1, 7}, 0.28125);
    check_hand(second, false, (const int32_t[]){0, 0, 7}, 0.453125);
    // By falling diagonal, 2, 1, 0: D = 1, 1; n = 1: 0.25 -> 0; 0.375 + 0.25 -> 1.
    check_hand(second, true, (const int32_t[]){1, 0, 7}, 0.203125);
}

// A group is fitted to what the groups before left to it, or, with act_order, to the weights as they were.
static void test_groups_follow(void **state)
{
    (void)state;
    struct layer layer = new_layer(1, 64);
    struct qm_gptq_record record;
    for (uint32_t k = 0; k < 64; k++)
        layer.moments[k * 64 + k] = 1;
    layer.moments[0] = 2;
    layer.moments[32] = layer.moments[32 * 64] = 1;
    layer.weights[0] = 0.375f;
    layer.weights[1] = layer.weights[32] = 7;
    ASSERT_OK(gptq(&layer, &grid_int4_g32, (struct qm_gptq_params){0, true, QM_RANGE_ABSMAX}, &record));
    assert_true(layer.parameters[1].scale == 1 && record.clipped == 1);
    ASSERT_OK(gptq(&layer, &grid_int4_g32, (struct qm_gptq_params){0, false, QM_RANGE_ABSMAX}, &record));
    assert_true(layer.parameters[1].scale * 7 >= 7.375 && layer.parameters[1].scale < 1.055 && record.clipped == 0);
    free_layer(&layer);
}

// ---- GPTQ as its paper has it ---------------------------------------------------------------------------------------

// Algorithm 1 without blocks: the upper Cholesky factor u of the inverse of H + lambda I; each column is rounded, and
// (w - q) / u_kk times row k of u is taken from the columns after it.
static void paper_gptq(const struct layer *layer, const struct qm_grid *grid, double damping, bool act_order,
                       int32_t *codes)
{
    uint32_t n = layer->columns, *order = calloc(n, sizeof(*order));
    for (uint32_t k = 0; k < n; k++) { // insertion, by falling diagonal
        uint32_t at = k;
        for (; act_order && at > 0 && layer->moments[order[at - 1] * (n + 1)] < layer->moments[k * (n + 1)]; at--)
            order[at] = order[at - 1];
        order[at] = k;
    }
    double mean = 0, *a = calloc(2 * (size_t)n * n, sizeof(double)), *inverse = a + (size_t)n * n;
    for (uint32_t k = 0; k < n; k++)
        mean += layer->moments[(size_t)k * n + k] / n;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < n; k++) {
            a[i * n + k] = layer->moments[order[i] * n + order[k]] + (i == k ? damping * mean : 0);
            inverse[i * n + k] = i == k;
        }
    for (uint32_t p = 0; p < n; p++) { // Gauss and Jordan; no pivoting for a positive definite matrix
        double pivot = a[p * n + p];
        for (uint32_t k = 0; k < n; k++) {
            a[p * n + k] /= pivot;
            inverse[p * n + k] /= pivot;
        }
        for (uint32_t i = 0; i < n; i++) {
            double by = a[i * n + p];
            for (uint32_t k = 0; i != p && k < n; k++) {
                a[i * n + k] -= by * a[p * n + k];
                inverse[i * n + k] -= by * inverse[p * n + k];
            }
        }
    }
    double *u = a; // u^T u = inverse
    memset(u, 0, (size_t)n * n * sizeof(double));
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = i; k < n; k++) {
            double sum = inverse[i * n + k];
            for (uint32_t m = 0; m < i; m++)
                sum -= u[m * n + i] * u[m * n + k];
            u[i * n + k] = k == i ? sqrt(sum) : sum / u[i * n + i];
        }
    double *w = calloc(n, sizeof(*w));
    float *group = calloc(n, sizeof(*group));
    struct qm_grid_parameters *parameters = calloc(n, sizeof(*parameters));
    for (uint32_t row = 0; row < layer->rows; row++) {
        const float *weights = layer->weights + (size_t)row * n;
        for (uint32_t k = 0; k < n; k++)
            w[k] = (double)weights[order[k]];
        for (uint32_t k = 0, end; act_order && k < n; k = end) {
            end = qm_grid_group_end(grid, n, k);
            ASSERT_OK(grid->fit(grid, weights + k, end - k, 1, &parameters[grid->group ? k / grid->group : 0]));
        }
        for (uint32_t k = 0; k < n; k++) {
            double represented;
            uint32_t group_index = grid->group ? order[k] / grid->group : 0;
            if (!act_order && (k == 0 || (grid->group && k % grid->group == 0))) {
                uint32_t count = qm_grid_group_end(grid, n, k) - k;
                for (uint32_t i = 0; i < count; i++)
                    group[i] = (float)w[k + i];
                ASSERT_OK(grid->fit(grid, group, count, 1, &parameters[group_index]));
            }
            codes[(size_t)row * n + order[k]] = grid->nearest(grid, &parameters[group_index], w[k], &represented);
            double error = (w[k] - represented) / u[k * n + k];
            for (uint32_t j = k + 1; j < n; j++)
                w[j] -= error * u[k * n + j];
        }
    }
    free(order);
    free(parameters);
    free(a);
    free(w);
    free(group);
}

// Shapes beside the blocks: more than one, groups across their ends, a last group that is shorter.
static void test_paper(void **state)
{
    (void)state;
    static const struct qm_grid int4_g48 = {48, grid_int4_fit, grid_int4_nearest},
                                int4_g160 = {160, grid_int4_fit, grid_int4_nearest};
    const struct qm_grid *const all[] = {&grid_int4_g32, &grid_int4z_g128, &grid_int4_row, &int4_g48, &int4_g160};
    const uint32_t sizes[] = {32, 160, 331};
    for (size_t s = 0; s < 3; s++) {
        struct layer layer = draw_layer(19, sizes[s], 30 + s);
        int32_t *codes = calloc((size_t)19 * sizes[s], sizeof(*codes));
        for (size_t g = 0; g < sizeof(all) / sizeof(all[0]); g++) {
            for (int act_order = 0; act_order < 2; act_order++) {
                ASSERT_OK(gptq(&layer, all[g], (struct qm_gptq_params){0.01, act_order, QM_RANGE_ABSMAX}, NULL));
                paper_gptq(&layer, all[g], 0.01, act_order, codes);
                assert_memory_equal(layer.codes, codes, (size_t)19 * sizes[s] * sizeof(*codes));
            }
        }
        free(codes);
        free_layer(&layer);
    }
}

// ---- The order of the methods ---------------------------------------------------------------------------------------

static void test_order(void **state)
{
    (void)state;
    const uint32_t shapes[][2] = {{33, 32}, {17, 96}, {65, 256}, {1, 96}};
    double mse_sum = 0, imatrix_sum = 0, gptq_sum = 0, act_sum = 0; // of logarithms of ratios to absmax
    for (uint64_t seed = 0; seed < 12; seed++)
        for (int g = 0; g < GRIDS; g++) {
            struct layer layer = draw_layer(shapes[seed % 4][0], shapes[seed % 4][1], 40 + seed);
            double *importance = diagonal_of(&layer);
            struct qm_gptq_record record;
            ASSERT_OK(rounded(&layer, grids[g], QM_RANGE_ABSMAX, NULL, NULL));
            double absmax = error_of(&layer, grids[g]);
            ASSERT_OK(rounded(&layer, grids[g], QM_RANGE_MSE, NULL, NULL));
            double mse = error_of(&layer, grids[g]);
            ASSERT_OK(rounded(&layer, grids[g], QM_RANGE_MSE, importance, NULL));
            double imatrix = error_of(&layer, grids[g]);
            ASSERT_OK(gptq(&layer, grids[g], (struct qm_gptq_params){0.01, false, QM_RANGE_MSE}, &record));
            double plain = error_of(&layer, grids[g]);
            assert_true(is_near(record.error, plain, 1e-9));
            ASSERT_OK(gptq(&layer, grids[g], (struct qm_gptq_params){0.01, true, QM_RANGE_MSE}, &record));
            double act = error_of(&layer, grids[g]);
            assert_true(is_near(record.error, act, 1e-9));
            if (!(plain < mse && plain < imatrix && plain < absmax && act < 1.5 * plain && act < mse))
                fail_msg("seed %d, grid %d: absmax %g, mse %g, imatrix %g, gptq %g, act-order %g", (int)seed, g, absmax,
                         mse, imatrix, plain, act);
            mse_sum += qm_log(mse / absmax);
            imatrix_sum += qm_log(imatrix / absmax);
            gptq_sum += qm_log(plain / absmax);
            act_sum += qm_log(act / absmax);
            free(importance);
            free_layer(&layer);
        }
    assert_true(act_sum < gptq_sum && gptq_sum < imatrix_sum && imatrix_sum < mse_sum && mse_sum < 0);
    assert_true(gptq_sum < imatrix_sum - 0.7 * 48); // half of the error and less
}

// ---- Hostile statistics ---------------------------------------------------------------------------------------------

// With nothing to carry errors to, GPTQ is plain rounding.
static void test_plain(void **state)
{
    (void)state;
    struct layer layer = draw_layer(21, 160, 60), plain = draw_layer(21, 160, 60);
    double *diagonal = diagonal_of(&layer);
    struct qm_gptq_record record;
    for (int g = 0; g < GRIDS; g++)
        for (int act_order = 0; act_order < 2; act_order++) {
            ASSERT_OK(rounded(&plain, grids[g], QM_RANGE_ABSMAX, NULL, NULL));
            ASSERT_OK(gptq(&layer, grids[g], (struct qm_gptq_params){1e13, act_order, QM_RANGE_ABSMAX}, &record));
            assert_memory_equal(layer.codes, plain.codes, 21 * 160 * sizeof(int32_t));
            // Uncorrelated inputs, and a range that weighs them by their diagonal: imatrix.
            double *moments = layer.moments;
            layer.moments = calloc(160 * 160, sizeof(double));
            for (uint32_t k = 0; k < 160; k++)
                layer.moments[k * 161] = diagonal[k];
            ASSERT_OK(rounded(&plain, grids[g], QM_RANGE_MSE, diagonal, NULL));
            ASSERT_OK(gptq(&layer, grids[g], (struct qm_gptq_params){0, act_order, QM_RANGE_MSE}, &record));
            assert_memory_equal(layer.codes, plain.codes, 21 * 160 * sizeof(int32_t));
            free(layer.moments);
            layer.moments = moments;
        }
    free(diagonal);
    free_layer(&layer);
    free_layer(&plain);
}

static void test_dead(void **state)
{
    (void)state;
    const uint32_t dead[] = {0, 5, 40, 95};
    for (int act_order = 0; act_order < 2; act_order++) {
        struct layer layer = draw_layer(9, 96, 70), without = draw_layer(9, 96, 70);
        struct qm_gptq_params params = {0.01, act_order, QM_RANGE_ABSMAX};
        struct qm_gptq_record record;
        for (size_t d = 0; d < 4; d++) {
            for (uint32_t k = 0; k < 96; k++)
                layer.moments[dead[d] * 96 + k] = layer.moments[k * 96 + dead[d]] = 0;
            if (d == 1) // no second moment of real inputs, but it must not spread
                layer.moments[5 * 96 + 7] = layer.moments[7 * 96 + 5] = 1e30;
            for (uint32_t row = 0; row < 9; row++)
                layer.weights[row * 96 + dead[d]] = 0.3f * (float)d;
        }
        ASSERT_OK(gptq(&layer, &grid_int4_g32, params, &record));
        assert_int_equal(record.dead, 4);
        assert_true(record.damping == 0.01);
        double represented;
        for (uint32_t row = 0; row < 9; row++)
            for (size_t d = 0; d < 4; d++)
                assert_int_equal(layer.codes[row * 96 + dead[d]],
                                 grid_int4_nearest(&grid_int4_g32, parameters_at(&layer, &grid_int4_g32, row, dead[d]),
                                                   (double)layer.weights[row * 96 + dead[d]], &represented));
        // Without any live input: plain rounding, and nothing is lost on the calibration set.
        memset(without.moments, 0, 96 * 96 * sizeof(double));
        ASSERT_OK(gptq(&without, &grid_int4_g32, params, &record));
        assert_true(record.dead == 96 && record.error == 0);
        memcpy(layer.weights, without.weights, 9 * 96 * sizeof(float));
        ASSERT_OK(rounded(&layer, &grid_int4_g32, QM_RANGE_ABSMAX, NULL, NULL));
        assert_memory_equal(layer.codes, without.codes, 9 * 96 * sizeof(int32_t));
        free_layer(&layer);
        free_layer(&without);
    }
}

static void test_damping(void **state)
{
    (void)state;
    struct layer layer = new_layer(7, 64);
    struct qm_gptq_record record;
    struct qm_random random;
    double x[64];
    qm_random_seed(&random, 8, 0);
    for (uint32_t k = 0; k < 64; k++)
        x[k] = gauss(&random);
    observe(&layer, x); // rank 1
    for (uint32_t i = 0; i < 7 * 64; i++)
        layer.weights[i] = (float)gauss(&random);
    ASSERT_OK(rounded(&layer, &grid_int4_g32, QM_RANGE_ABSMAX, NULL, NULL));
    double plain = error_of(&layer, &grid_int4_g32);
    ASSERT_OK(gptq(&layer, &grid_int4_g32, (struct qm_gptq_params){0.01, false, QM_RANGE_ABSMAX}, &record));
    assert_true(record.damping == 0.01 && record.factorings == 1);
    assert_true(error_of(&layer, &grid_int4_g32) < plain / 10); // one direction is easy to get right
    ASSERT_OK(gptq(&layer, &grid_int4_g32, (struct qm_gptq_params){0, false, QM_RANGE_ABSMAX}, &record));
    assert_true(record.damping == 1e-6 && record.factorings == 2);
    assert_true(error_of(&layer, &grid_int4_g32) < plain / 10);
    free_layer(&layer);
    // 1 + 0.1 and 5 make no sum of squares, 1 + 10 and 5 do.
    const double few[9] = {1, 5, 0, 5, 1, 0, 0, 0, 1}, none[9] = {1, 1e20, 0, 1e20, 1, 0, 0, 0, 1};
    layer = hand_layer(few);
    ASSERT_OK(gptq(&layer, &grid_int4_row, (struct qm_gptq_params){0.01, false, QM_RANGE_ABSMAX}, &record));
    assert_true(is_near(record.damping, 10, 1e-12) && record.factorings == 4);
    free_layer(&layer);
    layer = hand_layer(none);
    assert_int_equal(gptq(&layer, &grid_int4_row, (struct qm_gptq_params){0.01, true, QM_RANGE_ABSMAX}, &record),
                     QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "tensor 'w': second moments are not positive definite at input 0"));
    free_layer(&layer);
}

static void test_zeros(void **state)
{
    (void)state;
    for (int g = 0; g < GRIDS; g++) {
        struct layer layer = draw_layer(5, 96, 80);
        struct qm_gptq_record record;
        memset(layer.weights, 0, 5 * 96 * sizeof(float));
        for (int act_order = 0; act_order < 2; act_order++) {
            ASSERT_OK(gptq(&layer, grids[g], (struct qm_gptq_params){0.01, act_order, QM_RANGE_MSE}, &record));
            for (uint32_t i = 0; i < 5 * 96; i++)
                assert_int_equal(layer.codes[i], 0);
            assert_true(layer.parameters[0].scale == 0 && record.error == 0 && record.clipped == 0);
        }
        free_layer(&layer);
    }
}

static void test_refused(void **state)
{
    (void)state;
    struct layer layer = draw_layer(90, 96, 90);
    const struct qm_gptq_params params = {0.01, false, QM_RANGE_MSE};
    double kept = layer.moments[3 * 96 + 8];
    layer.moments[3 * 96 + 8] = NAN;
    refused(gptq(&layer, &grid_int4_g32, params, NULL), "tensor 'w': second moment of inputs 3 and 8 is not a number");
    layer.moments[3 * 96 + 8] = -INFINITY;
    refused(gptq(&layer, &grid_int4_g32, params, NULL), "is infinite");
    layer.moments[3 * 96 + 8] = kept;
    kept = layer.moments[4 * 96 + 4];
    layer.moments[4 * 96 + 4] = -1;
    refused(gptq(&layer, &grid_int4_g32, params, NULL), "sum of squares of input 4 is -1");
    layer.moments[4 * 96 + 4] = kept;
    refused(gptq(&layer, &grid_int4_g32, (struct qm_gptq_params){-1, false, QM_RANGE_MSE}, NULL), "damping is -1");
    refused(gptq(&layer, &grid_int4_g32, (struct qm_gptq_params){NAN, false, QM_RANGE_MSE}, NULL), "damping is ");
    // What the format cannot hold, in several rows: the first one is named, whichever thread came first.
    layer.weights[80 * 96 + 50] = layer.weights[85 * 96] = layer.weights[40 * 96 + 70] = 1e9f;
    for (unsigned threads = 1; threads <= 5; threads += 2) {
        qm_parallel_set_threads(threads);
        refused(gptq(&layer, &grid_int4_g32, (struct qm_gptq_params){0.01, true, QM_RANGE_MSE}, NULL),
                "tensor 'w': row 40, group at column 64: a scale of 1.42857e+08 is beyond float16");
    }
    qm_parallel_set_threads(0);
    layer.weights[2 * 96 + 1] = NAN;
    refused(gptq(&layer, &grid_int4_g32, params, NULL), "tensor 'w': row 2, column 1 is not a number");
    free_layer(&layer);
}

static void hash_all(char text[QM_HASH_TEXT_BYTES])
{
    struct qm_hash hash;
    qm_hash_begin(&hash);
    for (int g = 0; g < GRIDS; g++) {
        struct layer layer = draw_layer(83, 288, 110);
        poison_lower_triangle(&layer);
        for (int act_order = 0; act_order < 2; act_order++) {
            struct qm_gptq_record record;
            ASSERT_OK(gptq(&layer, grids[g], (struct qm_gptq_params){0.01, act_order, QM_RANGE_MSE}, &record));
            add_layer(&hash, &layer, grids[g]);
            qm_hash_add(&hash, &record.error, sizeof(double));
            qm_hash_add(&hash, &record.clipped, sizeof(uint64_t));
        }
        free_layer(&layer);
    }
    qm_hash_end(&hash, text);
}

static void test_threads(void **state)
{
    (void)state;
    const unsigned threads[] = {1, 2, 5};
    char text[QM_HASH_TEXT_BYTES];
    for (size_t i = 0; i < 3; i++) {
        qm_parallel_set_threads(threads[i]);
        hash_all(text);
        // From every compiler and machine as well.
        assert_string_equal(text, "fab0c83ac09f3b72540555595c3b0e533bf233e5a967a66b87277c5bbae08cd1");
    }
    qm_parallel_set_threads(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_factor),        cmocka_unit_test(test_moments_error), cmocka_unit_test(test_hand),
        cmocka_unit_test(test_groups_follow), cmocka_unit_test(test_paper),         cmocka_unit_test(test_order),
        cmocka_unit_test(test_plain),         cmocka_unit_test(test_dead),          cmocka_unit_test(test_damping),
        cmocka_unit_test(test_zeros),         cmocka_unit_test(test_refused),       cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
