// What a host's pass does to rows of activations between its products. Rows are shared out over all cores.
#ifndef QM_MODEL_HOST_ROWS_H
#define QM_MODEL_HOST_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// out[i] = x[i] / sqrt(sum of x^2 / divisor + epsilon) * gain[i], each of `count` rows of `width` values on its own; `out` may
// be `x`. `index` (may be NULL) says which row of x stands at a row of out. The divisor is the width without padding, which
// stands at the end of a row. Where it takes the mean off, x is x - sum of x / divisor, in padding as well.
struct qm_host_norm {
    const float *x;
    const uint32_t *index;
    size_t count;
    uint32_t width, divisor;
    float epsilon;
    bool takes_mean_off;
    const float *gain;
    float *out;
};
void qm_host_norm(const struct qm_host_norm *norm);

void qm_host_add_bias(float *x, size_t count, uint32_t width, const float *bias);

// Cosine and sine of each position's angles, [positions][2][half]; a pair beyond `turned` is not turned.
void qm_host_rotary_table(float *table, uint32_t positions, uint32_t half, uint32_t turned, const double *frequencies);
// Turns the heads of `count` rows of heads * 2 * half values, value i with value i + half; the position of a row is its index
// modulo `window_tokens`.
void qm_host_rotate(float *x, size_t count, uint32_t heads, uint32_t half, uint32_t window_tokens, const float *table);

// gate[i] = f(gate[i]) * up[i], without up (NULL) f(gate[i]); f(g) is g / (1 + e^-g), or GELU by its tanh
// (enum qm_mlp_function).
void qm_host_gate(bool is_gelu, float *gate, const float *up, size_t count);

// x[i] = cap tanh(x[i] / cap)
void qm_host_cap(double cap, float *x, size_t count);
void qm_host_cap_alone(double cap, float *x, size_t count); // on one thread

#endif
