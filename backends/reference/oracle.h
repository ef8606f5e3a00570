// The oracle: every kernel in plain C with double accumulators, written from the formulas that head kernels/*.h, not
// from their bodies. Deterministic on every machine: no libm but the correctly rounded sqrt, no contraction, a partition
// that does not show in the result.
#ifndef QM_BACKENDS_REFERENCE_ORACLE_H
#define QM_BACKENDS_REFERENCE_ORACLE_H

#include "backends/backend.h"

struct qm_oracle_kept;

// One dispatch. Buffers are host memory at the bindings' offsets; parameters in the kernel's order.
struct qm_oracle_call {
    const struct qm_kernel_variant *variant;
    void *buffers[QM_MAX_BINDINGS];
    uint64_t sizes[QM_MAX_BINDINGS];
    const uint32_t *parameters;
    const uint32_t *step;        // QM_STEP_WORDS
    struct qm_oracle_kept *kept; // of the device; NULL: nothing is kept from one dispatch to the next
};

typedef enum qm_status (*qm_oracle_function)(const struct qm_oracle_call *call);

// The function for a kernel's name ("matmul"); NULL if there is none.
qm_oracle_function qm_oracle_find(const char *kernel);

enum qm_status qm_oracle_product(const struct qm_oracle_call *call); // matmul and matvec
enum qm_status qm_oracle_dequantize(const struct qm_oracle_call *call);
enum qm_status qm_oracle_attention(const struct qm_oracle_call *call);
enum qm_status qm_oracle_kv_write(const struct qm_oracle_call *call);
enum qm_status qm_oracle_kv_block(const struct qm_oracle_call *call);

// Rotary embedding of one head of `size` values, by its position's cosines and sines; `to` may be `values`.
void qm_oracle_turn(const float *angles, uint32_t size, const float *values, float *to);

double qm_oracle_tanh(double x);

// Whether a variant is defined with `name`, as in qm_oracle_has(v, "QM_WEIGHT_W8").
bool qm_oracle_has(const struct qm_kernel_variant *variant, const char *name);
// Values of a head (kernels/head.h).
uint32_t qm_oracle_head(const struct qm_kernel_variant *variant);

// Where the s-th sequence of a pass stands: its number in cache and token table, and the position of its first token.
struct qm_oracle_place {
    uint32_t sequence, position;
};
struct qm_oracle_place qm_oracle_sequence(const struct qm_oracle_call *call, uint32_t s);
// Where a row stands.
struct qm_oracle_place qm_oracle_row(const struct qm_oracle_call *call, uint32_t row, uint32_t tokens_per_sequence);

// ---- Weights in panels (kernels/weights.h) ----

struct qm_oracle_weights {
    const uint32_t *words, *scales;
    uint32_t k, shift;
    const struct format *format; // of weights.c
};

// The weights that a product or dequantize reads; k, scale_offset and weight_shift are its parameters.
void qm_oracle_weights_open(const struct qm_kernel_variant *variant, const uint32_t *words, uint32_t k,
                            uint32_t scale_offset, uint32_t weight_shift, struct qm_oracle_weights *out);
// Weights i .. i + 15 of column n, scaled; i is a multiple of 16, of which no format has two scales.
enum {
    QM_ORACLE_WEIGHTS_READ = 16
};
void qm_oracle_weights_read(const struct qm_oracle_weights *weights, uint32_t n, uint32_t i,
                            double out[QM_ORACLE_WEIGHTS_READ]);

// ---- Decoded weights, kept (kept.c) ----

// Decoding takes ten times as long as a decode step's sums, and weights seldom change. What is kept is never trusted: it
// goes with a copy of the words that it was made from, and is made again where they differ.
QM_MUST_USE enum qm_status qm_oracle_kept_create(struct qm_oracle_kept **out);
void qm_oracle_kept_destroy(struct qm_oracle_kept **kept);
// Lets go of what was made from words within these bytes.
void qm_oracle_kept_forget(struct qm_oracle_kept *kept, const void *bytes, uint64_t size_bytes);

// What the decoded weights follow from, beside the words.
struct qm_oracle_kept_key {
    const void *words;
    uint64_t size_bytes; // all that is read
    const struct format *format;
    uint32_t k, n, scale_offset, shift;
};
// The weights [k][n] if they are kept and the words are still the same; NULL otherwise.
const double *qm_oracle_kept_find(struct qm_oracle_kept *kept, const struct qm_oracle_kept_key *key);
// Takes `decoded` (of malloc) over and returns true, or leaves it to the caller where there is no room.
bool qm_oracle_kept_add(struct qm_oracle_kept *kept, const struct qm_oracle_kept_key *key, double *decoded);

// A float of few bits: sign, exponent with the bias 2^(exponent_bits - 1) - 1, mantissa, subnormals; every exponent is
// taken as a number's.
double qm_oracle_small_float(uint32_t code, uint32_t exponent_bits, uint32_t mantissa_bits);

// A device in host memory whose dispatches `execute` carries out; the reference backend and the tests' C target are
// both made of it. `info` must live as long as the device.
enum qm_status qm_host_device_open(const struct qm_device_info *info,
                                   enum qm_status (*execute)(const struct qm_oracle_call *call,
                                                             const uint32_t groups[3]),
                                   struct qm_device **out);

#endif
