// What the tests of scores and of timings assert alike.
#ifndef QM_TEST_SCORE_ASSERT_H
#define QM_TEST_SCORE_ASSERT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "score/ratio.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g is not %.17g within %g", value, expected, tolerance);
}

static void assert_estimate(const struct qm_estimate *estimate, double value, double low, double high, double tolerance)
{
    assert_int_equal(estimate->state, QM_ESTIMATE_INTERVAL);
    assert_near(estimate->value, value, tolerance);
    assert_near(estimate->low, low, tolerance);
    assert_near(estimate->high, high, tolerance);
}

#endif
