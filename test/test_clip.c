// Ranges of groups (absmax, MSE, imatrix) and AWQ's scales: hand-worked cases, the formulas without shortcuts, what is
// refused, and the same bytes from any number of threads.
#include "base/hash.h"
#include "quant/awq.h"
#include "sys/parallel.h"
#include "test/calibrator_layer.h"

// ---- Rounding with a range ------------------------------------------------------------------------------------------

static double group_error(const float *values, const double *importance, double shrink)
{
    struct qm_grid_parameters parameters;
    double sum = 0, represented;
    ASSERT_OK(grid_int4_g32.fit(&grid_int4_g32, values, 32, shrink, &parameters));
    for (uint32_t i = 0; i < 32; i++) {
        grid_int4_nearest(&grid_int4_g32, &parameters, (double)values[i], &represented);
        sum += (importance ? importance[i] : 1) * ((double)values[i] - represented) * ((double)values[i] - represented);
    }
    return sum;
}

static void test_range_search(void **state)
{
    (void)state;
    struct qm_random random;
    double log_loss = 0;
    qm_random_seed(&random, 4, 0);
    for (int round = 0; round < 200; round++) {
        float values[32];
        double importance[32], shrink, least = INFINITY;
        const double *given = round % 2 ? importance : NULL;
        struct qm_grid_parameters parameters;
        for (uint32_t i = 0; i < 32; i++) {
            values[i] = (float)(gauss(&random) * (i == 5 ? 6 : 1));
            importance[i] = qm_random_unit(&random);
        }
        ASSERT_OK(qm_range_fit(QM_RANGE_MSE, &grid_int4_g32, values, given, 32, &parameters, &shrink));
        double taken = group_error(values, given, shrink);
        for (int percent = 25; percent <= 100; percent++) {
            double error = group_error(values, given, percent / 100.0);
            least = fmin(least, error);
            if (percent % 5 == 0)
                assert_true(taken <= error);
        }
        log_loss += qm_log(taken / least) / 200;
    }
    assert_true(log_loss < 0.03); // two levels lose little against all hundredths
}

static void test_range_hand(void **state)
{
    (void)state;
    float values[32];
    double importance[32], shrink;
    struct qm_grid_parameters parameters;
    for (uint32_t i = 0; i < 32; i++) {
        values[i] = i == 9 ? -100 : 1;
        importance[i] = i == 9 ? 0 : 1;
    }
    // Only the ones matter: at 0.25 the step is 25 / 7 and they become 0, at no shrink they are better.
    ASSERT_OK(qm_range_fit(QM_RANGE_MSE, &grid_int4_g32, values, importance, 32, &parameters, &shrink));
    assert_true(shrink == 1); // all are 31: of equal ones the largest
    values[9] = -14;
    // Steps of 2 and less: 0.25 gives 14 / 4 / 7 = 0.5, in which 1 is exact.
    ASSERT_OK(qm_range_fit(QM_RANGE_MSE, &grid_int4_g32, values, importance, 32, &parameters, &shrink));
    assert_true(shrink == 0.5 && parameters.scale == 1); // and so it is in steps of 1, with less clipped
    ASSERT_OK(qm_range_fit(QM_RANGE_MSE, &grid_int4_g32, values, NULL, 32, &parameters, &shrink));
    assert_true(shrink > 0.8); // where the -14 counts
    memset(importance, 0, sizeof(importance));
    ASSERT_OK(qm_range_fit(QM_RANGE_MSE, &grid_int4_g32, values, importance, 32, &parameters, &shrink));
    assert_true(shrink == 1);
    ASSERT_OK(qm_range_fit(QM_RANGE_ABSMAX, &grid_int4_g32, values, NULL, 32, &parameters, &shrink));
    assert_true(shrink == 1 && parameters.scale == 2);
}

static void test_clip_record(void **state)
{
    (void)state;
    for (int g = 0; g < GRIDS; g++) {
        struct layer layer = draw_layer(35, 96, 20);
        struct qm_clip_record absmax, mse;
        double *importance = diagonal_of(&layer), low, high, weighed = 0;
        ASSERT_OK(rounded(&layer, grids[g], QM_RANGE_ABSMAX, NULL, &absmax));
        if (grids[g] != &grid_int4z_g128) { // whose zero is rounded, so that an end may lie outside
            assert_int_equal(absmax.clipped, 0);
        }
        assert_true(absmax.shrunk == 0 && absmax.smallest_shrink == 1);
        ASSERT_OK(rounded(&layer, grids[g], QM_RANGE_MSE, NULL, &mse));
        assert_true(mse.error < absmax.error);
        assert_true(mse.smallest_shrink < 1 && mse.shrunk > 0);
        ASSERT_OK(rounded(&layer, grids[g], QM_RANGE_MSE, importance, &mse));
        uint64_t clipped = 0;
        for (uint32_t i = 0; i < 35 * 96; i++) {
            const struct qm_grid_parameters *parameters = parameters_at(&layer, grids[g], i / 96, i % 96);
            double error = decode(grids[g], layer.codes[i], parameters) - (double)layer.weights[i];
            qm_range_ends(grids[g], parameters, &low, &high);
            clipped += (double)layer.weights[i] > high || (double)layer.weights[i] < low;
            weighed += importance[i % 96] * error * error;
        }
        assert_int_equal(mse.clipped, clipped);
        assert_true(clipped > 0 && is_near(mse.error, weighed, 1e-12));
        free(importance);
        free_layer(&layer);
    }
}

// ---- AWQ ------------------------------------------------------------------------------------------------------------

static void test_awq_candidates(void **state)
{
    (void)state;
    const double sums[4] = {1, 16, 4, 0}, zeros[4] = {0};
    float scales[4], scaled[4];
    qm_awq_candidate(sums, 4, 0, scales);
    for (int j = 0; j < 4; j++)
        assert_true(scales[j] == 1);
    qm_awq_candidate(zeros, 4, 10, scales);
    for (int j = 0; j < 4; j++)
        assert_true(scales[j] == 1);
    qm_awq_candidate(sums, 4, 10, scales); // r = 1/2: 1/4, 1, 1/2 over 1/2; nothing is known of the last
    const double expected[4] = {0.5, 2, 1, 1};
    for (int j = 0; j < 4; j++)
        assert_true(is_near((double)scales[j], expected[j], 1e-7));
    const double tiny[4] = {1e-9, 1, 1, 1};
    qm_awq_candidate(tiny, 4, 10, scaled); // 1e-4 at least
    assert_true(is_near((double)scaled[0], 0.1, 1e-7) && is_near((double)scaled[1], 10, 1e-7));
    const double thousandfold[4] = {1000, 16000, 4000, 0};
    qm_awq_candidate(thousandfold, 4, 10, scaled);
    for (int j = 0; j < 4; j++)
        assert_true(is_near((double)scales[j], (double)scaled[j], 1e-7));
    const double moments[4] = {8, 0, 0, 3};
    const float two[2] = {2, 0.5f};
    double importance[2];
    qm_awq_importance(moments, two, 2, importance);
    assert_true(importance[0] == 2 && importance[1] == 12);
}

// The loss of scales by the definition, through the public rounding.
static double loss_of(struct layer *layer, const struct qm_grid *grid, const float *scales)
{
    struct layer scaled = new_layer(layer->rows, layer->columns);
    double sum = 0, *e = calloc(layer->columns, sizeof(*e));
    for (size_t i = 0; i < (size_t)layer->rows * layer->columns; i++)
        scaled.weights[i] = layer->weights[i] * scales[i % layer->columns];
    ASSERT_OK(rounded(&scaled, grid, QM_RANGE_ABSMAX, NULL, NULL));
    for (uint32_t row = 0; row < layer->rows; row++) {
        for (uint32_t k = 0; k < layer->columns; k++) {
            size_t at = (size_t)row * layer->columns + k;
            e[k] = decode(grid, scaled.codes[at], parameters_at(&scaled, grid, row, k)) / (double)scales[k] -
                   (double)layer->weights[at];
        }
        for (uint32_t j = 0; j < layer->columns; j++)
            for (uint32_t k = 0; k < layer->columns; k++)
                sum += e[j] * layer->moments[(size_t)j * layer->columns + k] * e[k];
    }
    free(e);
    free_layer(&scaled);
    return sum;
}

static void test_awq_search(void **state)
{
    (void)state;
    struct layer one = draw_layer(33, 96, 100), two = draw_layer(50, 96, 101);
    float scales[96], candidate[96];
    struct qm_awq_record record;
    for (int g = 0; g < GRIDS; g++) {
        const struct qm_awq_matrix matrices[2] = {{"one", one.weights, 33, grids[g]},
                                                  {"two", two.weights, 50, grids[g]}};
        memcpy(two.moments, one.moments, 96 * 96 * sizeof(double));
        ASSERT_OK(qm_awq_search(matrices, 2, 96, one.sums, one.moments, scales, &record));
        assert_true(record.candidate > 0 && record.loss[record.candidate] < 0.95 * record.loss[0]);
        assert_true(record.ratio == record.candidate * 0.05 || is_near(record.ratio, record.candidate * 0.05, 1e-15));
        for (uint32_t i = 0; i < QM_AWQ_CANDIDATES; i += 3) {
            qm_awq_candidate(one.sums, 96, i, candidate);
            double loss = loss_of(&one, grids[g], candidate) + loss_of(&two, grids[g], candidate);
            assert_true(is_near(record.loss[i], loss, 1e-10));
            assert_true(record.loss[record.candidate] <= record.loss[i]);
        }
        qm_awq_candidate(one.sums, 96, record.candidate, candidate);
        assert_memory_equal(scales, candidate, sizeof(scales));
        // Then the ranges: in the units of the layer's output they lose less by the diagonal than the whole ranges do.
        struct layer scaled = new_layer(33, 96);
        struct qm_clip_record whole, searched;
        double importance[96];
        for (uint32_t i = 0; i < 33 * 96; i++)
            scaled.weights[i] = one.weights[i] * scales[i % 96];
        qm_awq_importance(one.moments, scales, 96, importance);
        ASSERT_OK(rounded(&scaled, grids[g], QM_RANGE_ABSMAX, importance, &whole));
        ASSERT_OK(rounded(&scaled, grids[g], QM_RANGE_MSE, importance, &searched));
        assert_true(searched.error < whole.error);
        free_layer(&scaled);
    }
    // Inputs alike: nothing to gain, and of equal losses the first.
    for (uint32_t j = 0; j < 96; j++)
        one.sums[j] = 3;
    const struct qm_awq_matrix matrix = {"one", one.weights, 33, &grid_int4_g32};
    ASSERT_OK(qm_awq_search(&matrix, 1, 96, one.sums, one.moments, scales, &record));
    assert_true(record.candidate == 0 && record.ratio == 0 && record.loss[19] == record.loss[0]);
    free_layer(&one);
    free_layer(&two);
}

static void test_refused(void **state)
{
    (void)state;
    struct layer layer = draw_layer(90, 96, 90);
    const struct qm_awq_matrix matrix = {"w", layer.weights, 90, &grid_int4_g32};
    float scales[96];
    double kept = layer.moments[3 * 96 + 8], importance[96] = {[7] = -1};
    refused(rounded(&layer, &grid_int4_g32, QM_RANGE_MSE, importance, NULL), "importance of input 7 is -1");
    importance[7] = INFINITY;
    refused(rounded(&layer, &grid_int4_g32, QM_RANGE_MSE, importance, NULL), "importance of input 7 is inf");
    layer.moments[3 * 96 + 8] = NAN;
    refused(qm_awq_search(&matrix, 1, 96, layer.sums, layer.moments, scales, NULL),
            "tensor 'w': second moment of inputs 3 and 8 is not a number");
    layer.moments[3 * 96 + 8] = kept;
    kept = layer.sums[9];
    layer.sums[9] = INFINITY;
    refused(qm_awq_search(&matrix, 1, 96, layer.sums, layer.moments, scales, NULL), "magnitudes of input 9 is inf");
    layer.sums[9] = kept;
    // What the format cannot hold, in several rows: the first one is named, whichever thread came first.
    layer.weights[80 * 96 + 50] = layer.weights[85 * 96] = layer.weights[40 * 96 + 70] = 1e9f;
    for (unsigned threads = 1; threads <= 5; threads += 2) {
        qm_parallel_set_threads(threads);
        refused(rounded(&layer, &grid_int4_g32, QM_RANGE_ABSMAX, NULL, NULL),
                "tensor 'w': row 40, group at column 64: a scale of 1.42857e+08 is beyond float16");
        refused(qm_awq_search(&matrix, 1, 96, layer.sums, layer.moments, scales, NULL), "row 40, group at column 64: ");
    }
    qm_parallel_set_threads(0);
    layer.weights[2 * 96 + 1] = NAN;
    refused(rounded(&layer, &grid_int4_g32, QM_RANGE_MSE, NULL, NULL), "tensor 'w': row 2, column 1 is not a number");
    refused(qm_awq_search(&matrix, 1, 96, layer.sums, layer.moments, scales, NULL), "row 2, column 1 is not a number");
    free_layer(&layer);
}

static void hash_all(char text[QM_HASH_TEXT_BYTES])
{
    struct qm_hash hash;
    qm_hash_begin(&hash);
    for (int g = 0; g < GRIDS; g++) {
        struct layer layer = draw_layer(83, 288, 110);
        double *importance = diagonal_of(&layer);
        struct qm_clip_record clip;
        struct qm_awq_record awq;
        float scales[288];
        const struct qm_awq_matrix matrix = {"w", layer.weights, 83, grids[g]};
        poison_lower_triangle(&layer);
        ASSERT_OK(rounded(&layer, grids[g], QM_RANGE_MSE, importance, &clip));
        add_layer(&hash, &layer, grids[g]);
        qm_hash_add(&hash, &clip.error, sizeof(double));
        ASSERT_OK(qm_awq_search(&matrix, 1, 288, layer.sums, layer.moments, scales, &awq));
        qm_hash_add(&hash, scales, sizeof(scales));
        qm_hash_add(&hash, awq.loss, sizeof(awq.loss));
        free(importance);
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
        assert_string_equal(text, "bfbc5ba02d32bbe61fe9af9317c80d6c4e456a762a0458ffc812a4102cf9441f");
    }
    qm_parallel_set_threads(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range_search), cmocka_unit_test(test_range_hand),     cmocka_unit_test(test_clip_record),
        cmocka_unit_test(test_awq_search),   cmocka_unit_test(test_awq_candidates), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
