// Calibration: what a float model's activations look like at the inputs of its linear layers.
//
// One run of the float model over the calibration set yields every statistic that any calibrator needs: for each input
// a histogram of magnitudes (histogram.h), statistics of its channels (statistics.h) and, where the options ask for
// them, a histogram of each group of channels and H, the sums of products of pairs of channels; and the largest
// magnitudes of the keys and values that go into the cache.
//
// Histograms and maxima do not depend on order, batches or threads. The sums of statistics.h are in the order of
// observation and do not depend on threads: the same windows in the same order give the same bytes.
#ifndef QM_QUANT_CALIBRATE_H
#define QM_QUANT_CALIBRATE_H

#include "base/hash.h"
#include "base/status.h"
#include "model/model.h"
#include "quant/histogram.h"
#include "quant/scheme.h"
#include "quant/statistics.h"

#include <stddef.h>
#include <stdint.h>

#define QM_CALIBRATION_BINS QM_HISTOGRAM_BINS

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

// What goes into the cache: the keys after the rotary embedding, and the values.
enum qm_cached {
    QM_CACHED_KEYS = 0,
    QM_CACHED_VALUES,
    QM_CACHED_COUNT,
};

struct qm_calibration_options {
    bool has_products; // collect H of every input: width^2 doubles each
    uint32_t group;    // collect a histogram of every `group` channels (16 KiB each); 0: none
};

struct qm_calibration; // the collectors

// 4 * layers + 1 empty collectors; NULL without memory. `options` may be NULL: neither of them. The caller destroys
// them.
QM_MUST_USE struct qm_calibration *qm_calibration_new(uint32_t layers);
QM_MUST_USE struct qm_calibration *qm_calibration_new_with(uint32_t layers,
                                                           const struct qm_calibration_options *options);
void qm_calibration_destroy(struct qm_calibration **calibration);

// Adds values [rows][width] of an input, `width` being its channels. QM_INVALID for a value that is not finite, for a
// width other than the input had before and for one that the options' group does not divide; then nothing of this call
// is added.
QM_MUST_USE enum qm_status qm_calibration_observe_rows(struct qm_calibration *calibration, uint32_t layer,
                                                       enum qm_input input, const float *values, size_t rows,
                                                       uint32_t width);
// Adds values of no known channels, to the histogram of the whole input only. QM_INVALID likewise.
QM_MUST_USE enum qm_status qm_calibration_observe(struct qm_calibration *calibration, uint32_t layer,
                                                  enum qm_input input, const float *values, size_t count);
// Likewise what goes into a layer's cache; of it the channels' statistics are kept, without H.
QM_MUST_USE enum qm_status qm_calibration_observe_cached(struct qm_calibration *calibration, uint32_t layer,
                                                         enum qm_cached cached, const float *values, size_t rows,
                                                         uint32_t width);
// Adds what another set of collectors, for as many layers and with the same options, has seen. Histograms and maxima are
// as if it had been observed here; sums are added as they are. After a failure `into` may hold a part and is of no use.
QM_MUST_USE enum qm_status qm_calibration_merge(struct qm_calibration *into, const struct qm_calibration *from);

// The histogram of one input, to draw or to test: counts of `*bins` = 2,048 bins over [0, 2^*exponent).
const uint64_t *qm_calibration_histogram(const struct qm_calibration *calibration, uint32_t layer, enum qm_input input,
                                         int *exponent);

// Statistics of one input's channels. QM_INVALID if no rows of it were observed.
QM_MUST_USE enum qm_status qm_calibration_statistics(const struct qm_calibration *calibration, uint32_t layer,
                                                     enum qm_input input,
                                                     const struct qm_channel_statistics **statistics);

// Whether keys and values of every layer were observed.
bool qm_calibration_has_cached(const struct qm_calibration *calibration);
// Likewise of what goes into a layer's cache.
QM_MUST_USE enum qm_status qm_calibration_cached(const struct qm_calibration *calibration, uint32_t layer,
                                                 enum qm_cached cached,
                                                 const struct qm_channel_statistics **statistics);

// One input's scale and how it was found.
struct qm_activation_scale {
    float scale;      // the smallest float that is not below threshold / 127; 0 where threshold is below 2^-100
    float threshold;  // what becomes code 127
    float amax;       // largest absolute value seen
    uint64_t count;   // values seen
    uint64_t clipped; // values at or above the threshold where that is below amax, else 0
    // What SmoothQuant divided the channels by (smooth.h); all 0 where nothing was smoothed.
    double alpha;
    float divisor_min, divisor_max;
    // Of each group of channels where the scheme has scales for them, [group_count]; else NULL. Owned by the whole.
    struct qm_activation_scale *groups;
    uint32_t group_count;
};

// The largest magnitudes of what goes into a layer's cache.
struct qm_cache_amax {
    float of[QM_CACHED_COUNT];
};

struct qm_activation_scales {
    struct qm_calibration_set set;
    enum qm_calibrator method;
    uint32_t layers;
    size_t count;                       // 4 * layers + 1
    struct qm_activation_scale *inputs; // at qm_input_index
    double clipped_fraction;            // over all inputs
    struct qm_cache_amax *cache;        // [layers]; NULL where the cache of some layer was not observed
};

// The scale of a threshold as struct qm_activation_scale has it.
float qm_activation_scale_for(float threshold);
// Likewise for a format whose largest code stands for `largest`.
float qm_activation_scale_of(float threshold, int largest);
// The scale of a layer's keys or values in the cache, from the largest magnitude: as above, and 1 in place of 0, since it
// is divided by.
float qm_cache_scale_of(float amax, int largest);
// Adds the thresholds of groups of `group` channels to scales made from the same collectors.
QM_MUST_USE enum qm_status qm_calibration_add_groups(const struct qm_calibration *calibration, uint32_t group,
                                                     struct qm_activation_scales *scales);

// Scales of all inputs by a method that finds thresholds (absmax, percentile, mse, entropy: histogram.h). `set` is
// copied. QM_INVALID if an input was never observed. The caller destroys it.
QM_MUST_USE enum qm_status qm_calibration_scales(const struct qm_calibration *calibration, enum qm_calibrator method,
                                                 const struct qm_calibration_set *set,
                                                 struct qm_activation_scales **out);
// Likewise one scale for each `group` channels of one input, width / group of them into `out`. ABSMAX needs rows observed
// and a group that divides the width; the others also that the options' group divides `group`. One group of the whole
// width gives what qm_calibration_scales does.
QM_MUST_USE enum qm_status qm_calibration_group_scales(const struct qm_calibration *calibration,
                                                       enum qm_calibrator method, uint32_t layer, enum qm_input input,
                                                       uint32_t group, struct qm_activation_scale *out);
void qm_activation_scales_destroy(struct qm_activation_scales **scales);

#endif
