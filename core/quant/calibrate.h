// Calibration of static activation scales: what a float model's activations look like at the inputs of its linear layers.
//
// The float model runs over the calibration set and calls qm_calibration_observe with what goes into each linear layer.
// Only counts and maxima are kept, so that order, batches and threads cannot matter: the same values give the same
// bytes. Counts are in 2,048 equal bins over [0, 2^e), where e is the smallest exponent (at least -24) with every
// |x| < 2^e; when e grows, bins merge in pairs, which loses nothing against having begun with the larger e.
#ifndef QM_QUANT_CALIBRATE_H
#define QM_QUANT_CALIBRATE_H

#include "base/hash.h"
#include "base/status.h"
#include "model/model.h"
#include "quant/scheme.h"

#include <stddef.h>
#include <stdint.h>

#define QM_CALIBRATION_BINS 2048

// The inputs of a layer's linear weights. Weights that read the same values share one.
enum qm_input {
    QM_INPUT_ATTENTION = 0,    // of q, k and v: after the input norm
    QM_INPUT_ATTENTION_OUTPUT, // of o: what attention gives
    QM_INPUT_MLP,              // of gate and up: after the post-attention norm
    QM_INPUT_DOWN,             // of down: silu(gate) * up
    QM_INPUT_HEAD,             // of the head: after the final norm; its layer is ignored
    QM_INPUT_COUNT,
};

const char *qm_input_name(enum qm_input input);    // "attention", "attention_output", "mlp", "down", "head"
enum qm_input qm_input_of_role(enum qm_role role); // of a linear role
// The position in an array of 4 * layers + 1 inputs, as in struct qm_activation_scales.
size_t qm_input_index(uint32_t layers, enum qm_input input, uint32_t layer);

// What is disclosed of a calibration. set_name "" and method NONE: nothing was calibrated.
struct qm_calibration_set {
    char name[64];
    char sha256[QM_HASH_TEXT_BYTES];
    uint64_t windows;
    uint64_t tokens;
};

struct qm_calibration; // the collectors

// 4 * layers + 1 empty collectors; NULL without memory. The caller destroys them.
QM_MUST_USE struct qm_calibration *qm_calibration_new(uint32_t layers);
void qm_calibration_destroy(struct qm_calibration **calibration);

// Adds values. QM_INVALID for one that is not finite; then nothing of this call is added.
QM_MUST_USE enum qm_status qm_calibration_observe(struct qm_calibration *calibration, uint32_t layer,
                                                  enum qm_input input, const float *values, size_t count);
// Adds what another set of collectors for as many layers has seen, as if it had been observed here.
QM_MUST_USE enum qm_status qm_calibration_merge(struct qm_calibration *into, const struct qm_calibration *from);

// The histogram of one input, to draw or to test: counts of `*bins` = 2,048 bins over [0, 2^*exponent).
const uint64_t *qm_calibration_histogram(const struct qm_calibration *calibration, uint32_t layer, enum qm_input input,
                                         int *exponent);

// One input's scale and how it was found.
struct qm_activation_scale {
    float scale;      // the smallest float that is not below threshold / 127; 0 where threshold is below 2^-100
    float threshold;  // what becomes code 127
    float amax;       // largest absolute value seen
    uint64_t count;   // values seen
    uint64_t clipped; // values at or above the threshold where that is below amax, else 0
};

struct qm_activation_scales {
    struct qm_calibration_set set;
    enum qm_calibrator method;
    uint32_t layers;
    size_t count;                       // 4 * layers + 1
    struct qm_activation_scale *inputs; // at qm_input_index
    double clipped_fraction;            // over all inputs
};

// Scales by a method: ABSMAX: threshold = amax. PERCENTILE: the upper edge of the first bin with which at least 99.99 %
// of the values (zeros included) are counted, but at most amax. `set` is copied. QM_INVALID if an input was never
// observed. The caller destroys it.
QM_MUST_USE enum qm_status qm_calibration_scales(const struct qm_calibration *calibration, enum qm_calibrator method,
                                                 const struct qm_calibration_set *set,
                                                 struct qm_activation_scales **out);
void qm_activation_scales_destroy(struct qm_activation_scales **scales);

#endif
