// Checks every kernel of a device against the reference backend, and times it.
//
// A case is one dispatch with all its data: a variant, a shape, inputs that are the same on every machine, and what each
// word of the output may differ from the reference's by. The device and the reference carry out the same dispatch.
// Codes, packing, copies, argmax, checksums and products of integers must be equal to the bit; floats must stay within
// the bound that stands in the kernel's contract (kernels/*.h). For products, sum |w a| is replaced by the product of
// the norms of the row and the column, which is never less. A code may differ from the reference's by one where x / scale
// lies within 2^-13 of a tie. Words around every output must stay as they were.
#ifndef QM_BENCH_KERNEL_CHECK_H
#define QM_BENCH_KERNEL_CHECK_H

#include "backends/backend.h"
#include "base/hash.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- Cases --------------------------------------------------------------------------------------------------------

// What the inputs are made to show.
enum qm_case_pattern {
    QM_CASE_RANDOM,   // full mantissas, zero rows, an outlier, subnormal binary16, scales that are no powers of two
    QM_CASE_INTEGERS, // products: small integers and scales of 1, so that every order of summation gives the same bits
    QM_CASE_DETOUR,   // matmul and matvec w8-a8: sums far beyond 2^24 that cancel; float accumulation would lose them
    QM_CASE_STATIC,   // activations-a8: the scale comes with the parameters, and some values are clamped
};

struct qm_case_buffer {
    uint32_t *words; // before the dispatch
    size_t count;
    bool is_output;
    // Outputs only. A word that has neither is compared by its bits.
    double *absolute;   // [count] allowed error of each word as a float, negative: by its bits; NULL: none
    double relative;    // allowed error besides, times the expected value's magnitude
    uint8_t *near_tie;  // [count * 32 / code_bits] codes that may be one off; NULL: not codes
    uint32_t code_bits; // 2, 4 or 8 where near_tie is given
};

struct qm_kernel_case {
    char name[32];  // "matmul-w8-a8": the variant without its tile
    char shape[80]; // "rows 3, n 15, k 96"
    enum qm_case_pattern pattern;
    bool same_bits; // the output has the same bits on every device that keeps to the contract
    struct qm_case_buffer buffers[QM_MAX_BINDINGS];
    uint32_t buffer_count;
    uint32_t parameters[QM_MAX_PARAMETERS];
    uint32_t step[QM_STEP_WORDS];
    double operations; // multiplications and additions of the formula; 0 where the rate is counted in bytes
    double bytes;      // read and written once each
    bool failed;       // without memory; qm_kernel_case_create never returns such a case
};

// The sizes of a case; a kernel takes what it needs.
struct qm_case_shape {
    uint32_t rows;
    uint32_t n; // outputs of a product; vocabulary; heads where `kv_heads` is given
    uint32_t k; // inputs of a product; width of a row; count of an elementwise kernel
    uint32_t kv_heads;
    uint32_t position;
    uint32_t tokens_per_sequence; // 0: rows
    bool is_whole;                // attention: without a window, at any size
};

// Builds the case `name` ("matmul-w8-a8") for `tile`. QM_INVALID where there is no such kernel or the shape is none of
// it (k of a product not a multiple of 32). qm_kernel_case_destroy accepts NULL.
QM_MUST_USE enum qm_status qm_kernel_case_create(const char *name, const char *tile, const struct qm_case_shape *shape,
                                                 enum qm_case_pattern pattern, struct qm_kernel_case **out);
void qm_kernel_case_destroy(struct qm_kernel_case **c);
const char *qm_case_pattern_name(enum qm_case_pattern pattern); // "random", "integers", "detour", "static"

// ---- Checking -----------------------------------------------------------------------------------------------------

// What a case came to. Texts are static or part of the report: it is plain data.
struct qm_kernel_report {
    const struct qm_kernel_variant *variant; // name with tile, definitions; of the program, valid for ever
    char name[32];
    char tile[24];
    char shape[80];
    const char *pattern;
    char kernel_hash[QM_HASH_TEXT_BYTES];
    enum qm_status status; // QM_OK, QM_WRONG_RESULT, QM_UNSUPPORTED; else the device failed
    char reason[256];      // of every status but QM_OK; for QM_WRONG_RESULT with the place
    bool exact;            // bits were compared everywhere
    // The word whose error is the largest part of its bound; `index` counts words of the output in `binding`.
    double worst_error;
    double worst_bound;
    double worst_expected;
    double worst_got;
    uint64_t worst_index;
    uint32_t worst_binding;
    char output_hash[QM_HASH_TEXT_BYTES]; // of the raw output words where they are the same on every device; else ""
    bool same_bits;
    // Timing; samples 0 where it was not timed.
    uint32_t samples;
    bool device_time; // by the device's timestamps; else by the host's clock
    double median_ns; // of one dispatch
    double minimum_ns;
    double operations;
    double bytes;
};

// Operations or bytes a second, by the median; 0 where it was not timed.
double qm_kernel_gflops(const struct qm_kernel_report *report);
double qm_kernel_gbytes(const struct qm_kernel_report *report);

// Runs the case on the device and on the reference and compares. `variant` is what the device runs; tests pass a wrong
// one. Returns QM_OK as soon as there is an answer, whatever it is (report->status); else the device failed for good
// (QM_DEVICE_LOST, QM_TIMEOUT) or there is no memory.
QM_MUST_USE enum qm_status qm_kernel_check(struct qm_device *device, const struct qm_kernel_variant *variant,
                                           const struct qm_kernel_case *c, struct qm_kernel_report *report);

// The same with a kernel that was compiled from `variant`.
QM_MUST_USE enum qm_status qm_kernel_check_compiled(struct qm_device *device, const struct qm_kernel_variant *variant,
                                                    const struct qm_kernel *compiled, const struct qm_kernel_case *c,
                                                    struct qm_kernel_report *report);

struct qm_kernel_shapes {
    // The model's; hidden 0 leaves them out.
    uint32_t hidden, intermediate, heads, kv_heads, vocabulary, context;
    uint32_t rows;    // of prefill
    bool built_in;    // shapes that fit no tile
    bool quick;       // few of them
    const char *tile; // NULL: the device's own
    uint64_t time_ns; // time the model's shapes for about so long each; 0: no timing
    // Only these, by their names without tile ("matmul-w8-a8"); 0: all.
    const char *const *names;
    size_t name_count;
    // Called before each kernel; may be NULL.
    void (*progress)(void *context, const char *name, size_t done, size_t total);
    void *progress_context;
};

// Every variant whose name begins with `only_prefix` (NULL: all, but the self-test and the probes of ceilings), on every shape. The caller
// frees *reports with free(). QM_OK if all could be asked; a wrong kernel is in its report. QM_DEVICE_LOST and the like
// leave the reports so far.
QM_MUST_USE enum qm_status qm_kernel_check_all(struct qm_device *device, const struct qm_kernel_shapes *shapes,
                                               const char *only_prefix, struct qm_kernel_report **reports,
                                               size_t *count);

// The first wrong report, or NULL.
const struct qm_kernel_report *qm_kernel_first_wrong(const struct qm_kernel_report *reports, size_t count);

// ---- Timing -------------------------------------------------------------------------------------------------------

struct qm_kernel_timing {
    double *samples_ns; // of one dispatch; free()
    size_t count;
    uint32_t batch; // dispatches a sample
    bool device_time;
    double median_ns, minimum_ns;
    double operations, bytes; // of one dispatch
};

// The shortest sample of a kernel alone: 1,000 ticks of the device's clock, and at least 1 ms. On a processor at least 10 ms: a
// driver's threads may all wake up on one core, and are spread within some milliseconds.
double qm_kernel_sample_ns(const struct qm_device_info *info);

// Times one dispatch of the case: programs of as many as take qm_kernel_sample_ns, repeated until `min_ns` have passed and at
// least five times. Results are not looked at: check first.
QM_MUST_USE enum qm_status qm_kernel_time(struct qm_device *device, const struct qm_kernel_variant *variant,
                                          const struct qm_kernel_case *c, uint64_t min_ns,
                                          struct qm_kernel_timing *out);

#endif
