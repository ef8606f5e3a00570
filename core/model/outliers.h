// A variant of a model that is hard to quantize: the same function with outlier channels injected.
//
// Large models have a few channels of activations, and of keys, that are far larger than the rest; small ones such as
// the built-in model have not, and every calibrator works on them. This variant puts them in without changing what the
// model computes:
//   - of each norm's gains, 3 % of the channels (rounded, at least one) are multiplied by 64, and the columns of the
//     linear weights that read them (q, k, v; gate, up; head) are divided by 64;
//   - in each key head, one pair of rows that the rotary embedding turns together (i and i + 32 of its 64) is multiplied
//     by 16, and the same rows of all query heads that read it are divided by 16.
// Factors are powers of two, so that every product in float32 is the same: logits in float32 are equal bit for bit,
// unless a value leaves the normal range (a weight below 2^-120 divided by 64). Where a model has no values of that
// kind, nothing differs but what a quantizer sees.
//
// Channels and pairs are drawn by base/random.h with a fixed seed: streams 3 l and 3 l + 1 for the norms of layer l,
// 3 l + 2 for its key heads in their order, 3 * layers for the final norm.
#ifndef QM_MODEL_OUTLIERS_H
#define QM_MODEL_OUTLIERS_H

#include "base/status.h"
#include "model/model.h"

// The name under which the variant of the built-in model is asked for and disclosed.
#define QM_MODEL_OUTLIERS_NAME "built-in-outliers"

// The recipe as one line; the variant's `variant`, and part of its hash.
const char *qm_model_outliers_recipe(void);

// The variant of `model`, which stays as it is. Its hash is SHA-256 over the model's hash and the recipe, both as texts
// with their terminating zeros. QM_INVALID if a value would no longer be finite (tensor and index named). The caller
// destroys it.
QM_MUST_USE enum qm_status qm_model_inject_outliers(const struct qm_model *model, struct qm_model **out);

#endif
