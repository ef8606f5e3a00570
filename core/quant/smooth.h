// SmoothQuant: moves the range of outlier channels from activations into weights, without changing the function.
//
// Source: Xiao et al., "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models", 2023.
// For each input X of linear weights W [rows][channels], channel j gets
//     s_j = max|X_j|^alpha / max|W_j|^(1 - alpha),  max|W_j| over all weights that read X and at least 1e-5,
// at least 1e-5, as a float; X_j is divided by s_j and column j of the weights multiplied by it. A channel in which the
// calibration set had only zeros, or all weights are 0, keeps s_j = 1: nothing is known of it, and 1e-5 would multiply
// by 100,000 what another text puts there. s_j is exp(alpha ln X - (1 - alpha) ln W)
// of base/numeric.h.
//
// The division is folded into what makes X:
//     attention (of q, k, v), mlp (of gate, up), head     the norm's gains are divided by s
//     attention_output (of o)     rows of v are divided by s. Attention averages rows of V channel by channel and the
//                                 query heads that share a key head share V, so this is exact if they share s: max|X_j|
//                                 and max|W_j| are then over all of them. (Scales of V in the cache change with it.)
//     down                        rows of `up` are divided by s: silu(gate) * up is linear in up, and so is gelu(gate) * up. An
//                                 MLP without a gate is not: its down stays as it is
// With a row or a gain its bias is divided. Where norms come behind (OLMo 2) there is nothing to fold into, and it is refused.
// Rows first (attention_output, down), then the norms, so that q, k, v, gate and up are looked at as they end. Weights are
// rounded to float32 once for each factor; but for that rounding the function is the original's.
//
// alpha is given, or searched for each input in 0.30, 0.35 ... 0.90: the one with the least expected squared error of
// the products of that input, of W8A8 with one static step for the activations and one step a weight row, from channel
// statistics alone. With x' = x / s, w' = w s, D = max|x'| / 127 over all channels, d_n = max_j |w'_nj| / 127 for row n
// and m_j = mean of x'_j^2, rounding errors uniform and independent (variance step^2 / 12), and the error of a channel
// that rounds to zero no more than the channel itself:
//     e = sum_j min(D^2 / 12, m_j) sum_n w'_nj^2  +  (sum_n d_n^2 / 12) sum_j m_j
// Of alphas with the same e the smallest. `predicted` and `predicted_without` below are e with s and with all s_j = 1.
#ifndef QM_QUANT_SMOOTH_H
#define QM_QUANT_SMOOTH_H

#include "base/status.h"
#include "model/model.h"
#include "quant/calibrate.h"
#include "quant/statistics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Chooses the scales of one input's channels in another way than SmoothQuant: `scales` [statistics->width] for the weights
// `readers` that read it, and in *alpha what is disclosed of the choice.
typedef enum qm_status (*qm_scale_chooser)(const void *context, const struct qm_channel_statistics *statistics,
                                           const struct qm_model_tensor *const *readers, size_t reader_count,
                                           float *scales, double *alpha);

struct qm_smooth_params {
    // If given, scales are its, and alpha and is_searched have no meaning. Leave attention_output out where query heads share
    // a key head: the chooser does not know of them.
    qm_scale_chooser choose;
    const void *choose_context;
    bool is_searched;                 // alpha is searched, else it is `alpha`
    double alpha;                     // 0 to 1; 0.5 is the paper's
    bool is_left_out[QM_INPUT_COUNT]; // inputs that stay as they are
};

// What was done to one input; part of the disclosure.
struct qm_smoothed_input {
    bool is_smoothed;
    double alpha;               // 0 where it was left out
    float scale_min, scale_max; // of s; both 1 where it was left out
    uint64_t unknown;           // channels that kept s = 1 because inputs or weights were all 0
    double predicted, predicted_without;
};

struct qm_smoothed {
    // The original with its channels scaled (model/scaled.h): its values come from the original's, which must outlive it. Hash
    // and variant are the original's, the smoothing being part of a scheme.
    struct qm_model *model;
    uint32_t layers;
    size_t count; // 4 * layers + 1; both arrays at qm_input_index
    struct qm_smoothed_input *inputs;
    // Largest magnitudes of the new model's cache, [layers]: keys as they were, values divided channel by channel. NULL where
    // the collectors saw none.
    struct qm_cache_amax *cache;
    struct qm_channel_statistics *statistics; // of the inputs of the new model: divided by s; without H
};

// Smooths a model by what `calibration` has observed of it with channels; neither is changed. Takes the memory of the weights
// that read one input, as floats, whatever the model's size. QM_INVALID for an alpha
// outside 0..1, for an input without observed channels or of another width, and if a weight would no longer be finite
// (tensor and index named); QM_UNSUPPORTED for an architecture without norms before products. The caller destroys it.
QM_MUST_USE enum qm_status qm_smooth(const struct qm_model *model, const struct qm_calibration *calibration,
                                     const struct qm_smooth_params *params, struct qm_smoothed **out);
void qm_smoothed_destroy(struct qm_smoothed **smoothed);

// Static scales of the smoothed model's inputs without a second run: threshold = the largest of the divided channel
// maxima, which is absmax (a value may lie above it by a few units in the last place, and saturates). A histogram of the
// divided values does not follow from that of the values: for percentile, mse or entropy run the smoothed model once more
// over the set and ask qm_calibration_scales. Method SMOOTHQUANT; `set` is copied. The caller destroys it.
QM_MUST_USE enum qm_status qm_smoothed_scales(const struct qm_smoothed *smoothed, const struct qm_calibration_set *set,
                                              struct qm_activation_scales **out);
// Adds the thresholds of groups of `group` channels to them, likewise.
QM_MUST_USE enum qm_status qm_smoothed_add_groups(const struct qm_smoothed *smoothed, uint32_t group,
                                                  struct qm_activation_scales *scales);

#endif
