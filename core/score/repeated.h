// Whether a number that somebody else measured once is met by several runs of one's own: the decision of `qmark
// reproduce`, from logarithms of speeds and nothing else.
//
// x = ln(speed); c is the claimed run's, x_1 .. x_K those of K runs here, d = mean(x) - c: below 0 where this is slower.
// How far two runs of one machine lie apart no single run tells. It is learnt here, from all claims of a kind together
// (rates, gains, ...): their runs x_ik are a table of n claims and K runs, and its analysis of variance
//
//   x_ik = m_i + b_k + e_ik        b: what a run does to all of them; e: the rest
//   a = K-1 degrees: variance of the runs' means;   r = (n-1)(K-1) degrees: mean square of the rest
//   T = a + r (n-1)/n              variance of a run, of T^2 / (a^2/(K-1) + (r (n-1)/n)^2/((n-1)(K-1))) degrees
//                                  (Satterthwaite, "An approximate distribution of estimates of variance components",
//                                  Biometrics Bulletin 2, 1946)
//
// What of T the runs' own intervals do not explain, X = max(0, T - mean(w_i^2)), w_i being the standard error within a run,
// comes on top of them, as in a meta-analysis with random effects (DerSimonian and Laird, 1986):
//
//   E^2 = X (1 + 1/K) + max(w_c, w_i)^2 + w_i^2 / K
//
// A claimed interval narrower than those found here is not believed; a wider one is.
//
//   DOES NOT HOLD   d + t E < -ln(1 + minimum_effect): slower by more than that, whatever noise did
//   HOLDS           else, d - t E > -ln(1 + tolerance): a shortfall of that is excluded; or three runs and more all reached c
//   CANNOT BE TOLD  else
//
// t is Student's at false_alarm / claims (Bonferroni), so that over all claims of a result, each true to within the minimum
// effect, DOES NOT HOLD is said with a chance of false_alarm at most. A shortfall of 0.05 is to take 1.05 times as long.
#ifndef QM_SCORE_REPEATED_H
#define QM_SCORE_REPEATED_H

#include "base/status.h"

#include <stddef.h>

enum qm_repeated_verdict {
    QM_REPEATED_HOLDS,
    QM_REPEATED_DOES_NOT_HOLD,
    QM_REPEATED_CANNOT_BE_TOLD,
    QM_REPEATED_NOT_APPLICABLE, // never from here: score/reproduce.h
};

// "holds", "does not hold", "cannot be told", "not applicable".
const char *qm_repeated_verdict_name(enum qm_repeated_verdict verdict);

enum {
    QM_REPEATED_RUNS_MAX = 20
};

struct qm_repeated_params {
    double false_alarm;    // over all claims; 1e-9 .. 0.1
    double minimum_effect; // 0 .. 0.5
    double tolerance;      // above minimum_effect, below 0.9
    size_t claims;         // of speed, in the whole result; at least 1
};

// QM_INVALID where a field is out of its range.
QM_MUST_USE enum qm_status qm_repeated_params_check(const struct qm_repeated_params *params);

// One claim: x of the claimed run and of each run here, with standard errors within a run, 0 where they are unknown.
struct qm_repeated_claim {
    double claimed, claimed_error;
    double runs[QM_REPEATED_RUNS_MAX];
    double error; // of a run here
};

// How runs differ here, from claims of one kind. With one run nothing is known: freedom is 0.
struct qm_repeated_spread {
    double variance; // T
    double within;   // mean(w_i^2)
    double freedom;  // of T
};
void qm_repeated_spread_of(const struct qm_repeated_claim *claims, size_t count, size_t runs,
                           struct qm_repeated_spread *out);

struct qm_repeated_judgement {
    enum qm_repeated_verdict verdict;
    double ratio, low, high; // speed here over the claimed; low 0 and high infinite where there is no interval
    double here_error;       // 95 % half width of ln of the mean here; 0 where unknown
    // Where it cannot be told: about how many runs in all would decide; 0 where no number up to 200 would, because the
    // claimed run itself is known no better.
    size_t runs_needed;
    double limit; // ... and the half width, as a fraction, that 200 runs would leave
};
void qm_repeated_judge(const struct qm_repeated_claim *claim, const struct qm_repeated_spread *spread, size_t runs,
                       const struct qm_repeated_params *params, struct qm_repeated_judgement *out);

#endif
