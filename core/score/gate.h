// Whether something became slower: the decision of `qmark gate`, from times of two sides and nothing else.
//
// The number of a row is x = ln(speed of B / speed of A), below 0 where B is slower. Live, A and B take turns in blocks
// A B B A or B A A B, in which drift that is linear over the block cancels, and both sides are opened anew several times: a
// *part* is what one opening gives, and its x is the mean over its blocks. Equal processes are not equally fast. Which memory
// and which processor they got they keep as long as they live, and on PoCL whichever side was opened second was faster by
// 2 to 4 %. So A is opened first in half of the parts, and how parts differ says how far the mean may be off; how blocks
// differ within a part does not. From files, each run gives one ln(rate), and only how runs differ among themselves says how
// far two of them may lie apart.
//
// One interval decides, of a level that holds for all rows together: with m rows and the chance a of a false alarm, each
// end is exceeded in a / m of the cases (Bonferroni), by Student's t. So with the interval [low, high] of exp(x):
//
//   REGRESSED     high < 1 and the estimate is a slowdown of minimum_effect or more
//   PASS          else, low >= 1 / (1 + tolerance): a slowdown of the tolerance is excluded
//   INCONCLUSIVE  else: too few or too noisy
//
// A slowdown of 0.05 is to take 1.05 times as long.
//
// Where nothing changed, REGRESSED is said with a chance of a at most over all rows; where B is slower by the tolerance
// or more, PASS likewise. What is between minimum effect and tolerance may come out as any of the three.
#ifndef QM_SCORE_GATE_H
#define QM_SCORE_GATE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qm_gate_verdict {
    QM_GATE_PASS,
    QM_GATE_INCONCLUSIVE,
    QM_GATE_NOT_COMPARABLE,
    QM_GATE_REGRESSED,
    QM_GATE_WRONG,
};

// "PASS", "INCONCLUSIVE", "NOT COMPARABLE", "REGRESSED", "WRONG".
const char *qm_gate_verdict_name(enum qm_gate_verdict verdict);

struct qm_gate_params {
    double false_alarm;    // chance of at least one REGRESSED over all rows where nothing changed; 1e-9 .. 0.1
    double minimum_effect; // a slowdown below this fraction is never REGRESSED; 0 .. 0.5
    double tolerance;      // PASS excludes a slowdown of this fraction; above minimum_effect, below 0.9
    size_t rows;           // m, at least 1
};

// QM_INVALID where a field is out of its range.
QM_MUST_USE enum qm_status qm_gate_params_check(const struct qm_gate_params *params);

struct qm_gate_row {
    enum qm_gate_verdict verdict; // PASS, REGRESSED or INCONCLUSIVE
    double ratio, low, high;      // speed of B over that of A; low is 0 and high infinite where there is no interval
    double standard_error;        // of ln ratio; 0 where there is none
    // The smallest slowdown that would have been called REGRESSED in 4 cases of 5: exp((t + 0.84) standard_error) - 1, and
    // not below minimum_effect; infinite where there is no interval.
    double detectable;
    size_t count; // parts, or runs of A and B together
    // Where INCONCLUSIVE: how many times as many parts would bring the interval to where it decides between no change
    // and the tolerance; 0 otherwise and where nobody can tell.
    double times_as_many;
};

enum {
    QM_GATE_PARTS_MIN = 8, // fewer are INCONCLUSIVE: nobody knows the tails of so few
    QM_GATE_RUNS_MIN = 5,  // of A: fewer do not say how runs differ
};

struct qm_gate_part {
    double log_ratio; // x, the mean over its blocks
    bool b_first;     // which side was opened first
    size_t blocks;
};

// x of the row is the mean of the means of both kinds of parts; its standard error is s / 2 sqrt(1 / a + 1 / b) for a and b
// parts of each kind, s^2 being their variance about their own means, with a + b - 2 degrees of freedom. INCONCLUSIVE below
// QM_GATE_PARTS_MIN parts and below two of a kind. QM_INVALID where a value is no number.
QM_MUST_USE enum qm_status qm_gate_judge_parts(const struct qm_gate_part *parts, size_t count,
                                               const struct qm_gate_params *params, struct qm_gate_row *out);

// `log_a`, `log_b`: ln(rate) of each run. The spread is that of A's runs alone, taken for B as well:
// standard_error = sd(A) sqrt(1 / n_a + 1 / n_b), t with n_a - 1 degrees of freedom. Below QM_GATE_RUNS_MIN runs of A the
// verdict is INCONCLUSIVE.
QM_MUST_USE enum qm_status qm_gate_judge_runs(const double *log_a, size_t count_a, const double *log_b, size_t count_b,
                                              const struct qm_gate_params *params, struct qm_gate_row *out);

// x with P(X <= x) = p for a standard normal X, 0 < p < 1, to 1e-9 (Wichura, AS 241, is not used: bisection of the tail
// function is slower and shorter).
double qm_normal_inverse(double p);
// P(T > t) for Student's t of `freedom` >= 1 degrees, t >= 0 (Abramowitz and Stegun 26.7.3, 26.7.4), and its inverse:
// t with P(T > t) = tail, 0 < tail < 0.5. Above 1,000 degrees the normal distribution is taken.
double qm_student_tail(double t, size_t freedom);
double qm_student_inverse(double tail, size_t freedom);

#endif
