// Passes over the same tokens ranked by their mean KL divergence, and what of the order is told apart.
//
// One resample (ratio.h: examples drawn with replacement) gives a mean of every pass, so that the difference of two is
// paired: what an example adds to both cancels. Two passes are told apart where the interval of their difference does
// not hold 0. Then a pass has not a rank but a range of ranks:
//
//   rank_first = 1 + passes that are told apart as better
//   rank_last  = passes - passes that are told apart as worse
//
// 1 to 1 is the best beyond noise; 1 to 4 is one of four that the set cannot order. Each interval has its confidence for
// itself and not for all pairs together. The best is the one of least KL divergence, chosen by the data: where several
// are equal in truth it is the luckiest, and what the others have over it tends to be too large.
#ifndef QM_SCORE_RANKING_H
#define QM_SCORE_RANKING_H

#include "score/ratio.h"
#include "score/tokens.h"

struct qm_ranked {
    double kl;                    // mean over tokens, in nats
    struct qm_estimate over_best; // kl less that of the best; 0 for the best itself. POINT below 10 sequences
    uint32_t rank_first, rank_last;
    uint8_t is_best;
};

// Fills ranked[count], in the order of `passes`. Below QM_SCORE_SEQUENCES_MIN sequences nothing is told apart.
// QM_INVALID for passes over other tokens, none at all, or bad bootstrap settings.
QM_MUST_USE enum qm_status qm_ranking_make(const struct qm_token_scores *const *passes, size_t count,
                                           uint32_t sequence_count, const struct qm_bootstrap *bootstrap,
                                           struct qm_ranked *ranked);

#endif
