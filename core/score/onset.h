// Where a series of rates begins to fall, if it does: the onset of throttling.
//
// Test. For every place k that leaves at least 2 windows before (a boost may last no longer than the burst) and 5
// after, the fall is mean before less mean after, and z_k = fall / sqrt(1/k + 1/(n-k)). The statistic is the largest
// z_k over the long-run standard deviation of the noise, s sqrt((1 + rho)/(1 - rho)), rho as in ordered.h. Noise is
// what remains beside that step, or beside straight lines through 20 windows each where that is less (a slow fall is no
// noise). It is compared with the same statistic of simulated series of the same length without a step, AR(1) noise
// with that rho: the share of them with a larger one, (1 + larger)/(1 + simulated), must be at most 1 %, and the fall
// at least 2 % of the level before. (The statistic of Hawkins, "Testing a sequence of observations for a shift in
// location", JASA 72, 1977, with its distribution by parametric bootstrap.) rho and s are estimated in simulated series
// in the same way, so that their errors are accounted for. A drift downwards is a fall as well, and found as one.
//
// Place. Two shapes are fitted by least squares: a step, and level - straight fall - level with both corners free. The
// second has a parameter more, and is taken only where it gains more than 3 ln(n) (1 + rho)/(1 - rho) in
// n ln(RSS step / RSS ramp), rho here being what remains beside the ramp. The onset is the step or the first corner.
#ifndef QM_SCORE_ONSET_H
#define QM_SCORE_ONSET_H

#include "score/ordered.h"

#include <stdbool.h>

enum {
    QM_ONSET_WINDOWS_MIN = 20, // fewer are not looked at
    QM_ONSET_SIMULATED = 499,
};
#define QM_ONSET_SHARE 0.01
#define QM_ONSET_FALL_MIN 0.02

struct qm_onset {
    bool found;
    bool is_ramp;
    size_t first;         // the first window that belongs to the fall
    size_t last;          // the first window of the level after it; `first` for a step
    double before, after; // mean rates of the windows before `first` and from `last` on
    double share;         // of simulated series with a larger statistic; 1 where nothing was looked at
};

// `rates` are above 0. Simulated series are drawn with qm_random_seed(seed, stream 1).
QM_MUST_USE enum qm_status qm_onset_find(const double *rates, size_t count, uint64_t seed, struct qm_onset *onset);

#endif
