// What the files that build cases share; see kernel_check.h for what a case is.
#ifndef QM_BENCH_KERNEL_CASES_H
#define QM_BENCH_KERNEL_CASES_H

#include "base/random.h"
#include "bench/kernel_check.h"

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

// What k of a kernel with weights, or of copy, must be a multiple of; 32 for the others.
uint32_t qm_case_k_multiple(const char *name);

// One function a kernel: kernel_cases_product.c for products and dequantize, kernel_cases.c for codes and attention,
// kernel_cases_rows.c for the rest.
void qm_case_product(struct qm_case_builder *b);
void qm_case_dequantize(struct qm_case_builder *b);
void qm_case_activations(struct qm_case_builder *b);
void qm_case_kv_write(struct qm_case_builder *b);
void qm_case_kv_block(struct qm_case_builder *b);
void qm_case_attention(struct qm_case_builder *b);

#endif
