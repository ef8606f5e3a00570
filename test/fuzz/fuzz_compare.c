// libFuzzer target: any result is compared with itself and with a good one. With itself nothing differs but what nobody
// told; ratios are numbers above 0 with their ends on both sides; and a result shares a group with itself.
//
//   tools/fuzz.sh 60 compare
#include "record/compare.h"
#include "record/compare_rates.h"
#include "record/result.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void compare(const struct qm_node *a, const struct qm_node *b, int is_same)
{
    struct qm_comparison comparison;
    require(qm_compare(a, b, &comparison) == QM_OK);
    for (size_t i = 0; i < comparison.rate_count; ++i) {
        const struct qm_rate_pair *rate = &comparison.rates[i];
        require(rate->scheme < comparison.scheme_count && isfinite(rate->ratio.value) && rate->ratio.value > 0);
        require(!rate->ratio.has_interval || (rate->ratio.low <= rate->ratio.value * (1 + 1e-9) &&
                                              rate->ratio.high >= rate->ratio.value * (1 - 1e-9)));
    }
    for (size_t i = 0; is_same && i < comparison.count; ++i)
        require(comparison.differences[i].class == QM_DIFFERENCE_NOTE);
    require(comparison.pair != QM_NOT_COMPARABLE || comparison.rate_count == 0);
    require(comparison.pair <= comparison.verdict);
    qm_comparison_free(&comparison);
}

static void group(const struct qm_node *a)
{
    struct qm_compare_key keys[2];
    size_t groups[2], group_count = 0;
    require(qm_compare_key_of(a, &keys[0]) == QM_OK && qm_compare_key_of(a, &keys[1]) == QM_OK);
    require(qm_compare_group(keys, 2, groups, &group_count) == QM_OK);
    require(groups[0] == 0 && (groups[1] == 0 || keys[0].count == 0));
    qm_compare_key_free(&keys[0]);
    qm_compare_key_free(&keys[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct qm_node *good;
    struct qm_node *result = NULL;
    char path[QM_PATH_BYTES];
    const char *root = getenv("QM_DATA_DIR");
    if (!good) {
        snprintf(path, sizeof(path), "%s/test/data/result-sustained.yaml", root ? root : ".");
        require(qm_result_load(path, &good, NULL) == QM_OK);
    }
    if (qm_node_parse(bytes, count, "f", &qm_node_result_limits, &result) != QM_OK)
        return 0;
    if (qm_result_check(result) == QM_OK) {
        compare(result, result, 1);
        compare(result, good, 0);
        compare(good, result, 0);
        group(result);
    }
    qm_node_destroy(&result);
    return 0;
}
