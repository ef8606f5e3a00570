// What the files that build cases share; see kernel_check.h for what a case is.
#ifndef QM_BENCH_KERNEL_CASES_H
#define QM_BENCH_KERNEL_CASES_H

#include "base/random.h"
#include "bench/kernel_check.h"
#include "quant/format.h"

struct qm_case_builder {
    struct qm_kernel_case *c;
    const struct qm_case_shape *shape; // tokens_per_sequence at least 1
    const struct qm_kernel_variant *variant;
    struct qm_random random;
};

// Adds a buffer of `count` words: random ones, or for outputs words that no kernel writes. NULL without memory, and the
// case is marked as failed; builders go on only where it is not.
uint32_t *qm_case_add(struct qm_case_builder *b, size_t count, bool is_output);
// Of the output added last: bounds of its words, all of them "by its bits" at first; NULL as above.
double *qm_case_absolute(struct qm_case_builder *b);
uint8_t *qm_case_near_ties(struct qm_case_builder *b, uint32_t code_bits);
// A multiple of 2^-24 in [-1, 1).
float qm_case_unit(struct qm_case_builder *b);
void qm_case_parameters(struct qm_case_builder *b, const void *parameters, size_t bytes);
// Where the sequences of a case stand: the first at `position`, the others at earlier ones as they come, in cache in
// reverse order, with `first_sequence` the lowest. The step buffer says so by its head and an offset of each.
void qm_case_place(struct qm_case_builder *b, uint32_t first_sequence, uint32_t position);
uint32_t qm_case_sequence(const struct qm_case_builder *b, uint32_t row); // in cache and token table
uint32_t qm_case_position(const struct qm_case_builder *b, uint32_t row);
// Puts value number `index` of `bits` bits into words, the lowest first.
void qm_case_put(uint32_t *words, size_t index, uint32_t bits, uint32_t value);

// 1 / 127, 1 / 7 and 1 / 448 as the kernels have them, as bits.
#define QM_CASE_INVERSE_127 0x3c010206u
#define QM_CASE_INVERSE_7 0x3e124927u
#define QM_CASE_INVERSE_448 0x3b124927u

// Values that codes are made of, hostile ones; `kind` is to change from row to row. `maximum_code` is where ties go to.
void qm_case_fill_row(struct qm_case_builder *b, float *x, uint32_t width, uint32_t kind, float maximum_code);
// Marks the integer codes of a row that lie near a tie. `first` is the row's first code in near_tie; a static scale of 0
// stands for one that is found.
void qm_case_mark_ties(uint8_t *near_tie, size_t first, const float *x, uint32_t width, double maximum_code,
                       float inverse_maximum, float static_scale);

// What k of a kernel with weights, or of copy, must be a multiple of; 32 for the others.
uint32_t qm_case_k_multiple(const char *name);

// ---- Products -----------------------------------------------------------------------------------------------------

// A weight format that the kernel `name` decodes; QM_WEIGHT_FORMAT_COUNT for kernels without weights.
enum qm_weight_format qm_case_format_of(const char *name, uint32_t k);
// Of an encoded matrix, |scale code| + |offset| of each weight, [n][k], and the norm of each row of these, [n]; the
// tensor's scale is not in them. False without memory.
bool qm_case_measure_weights(enum qm_weight_format format, uint32_t n, uint32_t k, const struct qm_encoded *encoded,
                             double *norms, double *magnitudes);

enum qm_case_activation {
    QM_CASE_F32,
    QM_CASE_F16,
    QM_CASE_BF16,
    QM_CASE_A8,
    QM_CASE_F8,
    QM_CASE_A4
};
enum qm_case_activation qm_case_activation_of(const char *name); // of the part of a name behind its last dash
// One activation: its bits, and what they stand for.
uint32_t qm_case_activation_bits(enum qm_case_activation kind, float value, double *stored);

// One function a kernel: kernel_cases_product.c for products and dequantize, kernel_cases_codes.c for conversions,
// kernel_cases.c for cache and attention, kernel_cases_rows.c for the rest.
void qm_case_product(struct qm_case_builder *b);
void qm_case_dequantize(struct qm_case_builder *b);
void qm_case_activations(struct qm_case_builder *b);
void qm_case_norm_activations(struct qm_case_builder *b);
void qm_case_swiglu_activations(struct qm_case_builder *b);
void qm_case_kv_write(struct qm_case_builder *b);
void qm_case_kv_block(struct qm_case_builder *b);
void qm_case_attention(struct qm_case_builder *b);

#endif
