// What a device gives at best through its API, measured by probes of our own, and how long a kernel must take at least by
// it (the roofline).
//
// A ceiling is a maximum: the best sample of several short rounds over all candidates of a kind (vector widths, numbers of
// chains, layouts, sizes), for whatever disturbs a sample only makes it longer. The candidates are what the kernels
// themselves may use, and no more: a ceiling that no kernel of the dialect could reach would say nothing about them. Which
// candidate it was is disclosed. Every probe's result is compared, word by word, with what it must be: a probe that is wrong, or that the device cannot run, gives no ceiling but a reason. docs/METHOD.md, Ceilings,
// has how each kind is obtained.
#ifndef QM_BENCH_CEILINGS_H
#define QM_BENCH_CEILINGS_H

#include "backends/backend.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qm_ceiling_kind {
    // Arithmetic, in operations a second; a multiply-add counts two, a dot product of four bytes that is added eight.
    QM_CEILING_FP32,
    QM_CEILING_FP16,   // arithmetic in binary16, where the device has it; it may be slower than fp32
    QM_CEILING_INT32,  // what products of int8 activations run on outside the tier `dot`
    QM_CEILING_DOT8,   // packed dot products of four signed bytes
    QM_CEILING_MATRIX, // cooperative matrices
    // Bandwidth, in bytes a second.
    QM_CEILING_READ,
    QM_CEILING_WRITE,
    QM_CEILING_COPY,  // bytes read and bytes written, both counted
    QM_CEILING_LOCAL, // reads of a workgroup's local memory
    // Latencies, in nanoseconds.
    QM_CEILING_LAUNCH,     // of each further dispatch of a program
    QM_CEILING_ROUND_TRIP, // of a submission of one dispatch that does nothing to speak of, from call to return
    // Transfers between host and device, in bytes a second.
    QM_CEILING_UPLOAD,
    QM_CEILING_DOWNLOAD,
    QM_CEILING_COUNT
};

enum {
    QM_CEILING_SIZES_MAX = 16,
    QM_CEILING_REASON_BYTES = 256
};

struct qm_ceiling {
    enum qm_status status; // QM_OK: there is a rate; QM_UNSUPPORTED, QM_WRONG_RESULT, QM_FAILED, ...: there is none
    char reason[QM_CEILING_REASON_BYTES]; // of every status but QM_OK
    char note[QM_CEILING_REASON_BYTES];   // what a reader must know of a rate, such as "slower than fp32"; else ""
    double rate;                          // operations or bytes a second; latencies: nanoseconds
    char probe[48];                       // name of the kernel variant that gave it; "" where none did
    char tile[24];                        // of it
    uint32_t vector_width, chains;        // of arithmetic; of bandwidth the words of a load; 0: none
    uint32_t workgroup;                   // invocations of one
    uint64_t bytes;                       // size of the data, of bandwidth and transfers
    bool device_time;                     // by the device's timestamps; else by the host's clock
    uint32_t candidates, samples;         // how many were tried and right; timed in all
};

// Bandwidth over sizes, rising: bytes that a probe touches (of a copy: both buffers together). 0: not measured.
struct qm_ceiling_size {
    uint64_t bytes;
    double read, write, copy; // bytes a second
};

struct qm_ceilings {
    struct qm_ceiling of[QM_CEILING_COUNT];
    struct qm_ceiling_size sizes[QM_CEILING_SIZES_MAX];
    size_t size_count;
    double seconds; // that measuring took
};

struct qm_ceilings_params {
    uint64_t budget_ns; // of the samples, all kinds together; compiling comes on top. 0: 5 s
    uint64_t max_bytes; // of the largest buffer; 0: 256 MiB. Limits and memory of the device may allow less
    uint32_t kinds;     // bit i: measure kind i; 0: all. The others are QM_UNSUPPORTED, `not measured`
    uint32_t trips;     // of loops of arithmetic, for tests of what ends loops early; 0: 500
    // Called before each kind; may be NULL.
    void (*progress)(void *context, const char *what, size_t done, size_t total);
    void *progress_context;
};

// Measures all kinds. QM_OK whenever there is an answer, be it that a kind has none; else the device failed for good
// (QM_DEVICE_LOST, QM_TIMEOUT) or there is no memory for anything. The reference backend has no ceilings: all kinds are
// QM_UNSUPPORTED.
QM_MUST_USE enum qm_status qm_ceilings_measure(struct qm_device *device, const struct qm_ceilings_params *params,
                                               struct qm_ceilings *out);

// "fp32", "fp16", "int32", "dot8", "matrix", "read", "write", "copy", "local", "launch", "round trip", "upload", "download".
const char *qm_ceiling_name(enum qm_ceiling_kind kind);
// QM_CEILING_COUNT where no kind is called so.
enum qm_ceiling_kind qm_ceiling_find(const char *name);
// "GFLOP/s", "GOP/s", "GB/s" or "us", and what a rate is divided by to be in it.
const char *qm_ceiling_unit(enum qm_ceiling_kind kind);
double qm_ceiling_scale(enum qm_ceiling_kind kind);

// ---- Roofline -----------------------------------------------------------------------------------------------------

// What a variant's operations run on: INT32 for products with int8 or int4 activations, DOT8 where they are by packed dot
// products, FP16 where sums are in binary16, FP32 for all else.
enum qm_ceiling_kind qm_kernel_arithmetic(const struct qm_kernel_variant *variant);
// What bounds its bytes: READ for kernels that read more than they write (products, attention, sums over rows), COPY for
// the others.
enum qm_ceiling_kind qm_kernel_memory(const struct qm_kernel_variant *variant);

// The bandwidth for data of so many bytes: the best over all sizes from the largest measured one that is not above
// `bytes` upwards (below all sizes: over all), so that data that a cache holds are held against the cache. 0: not measured.
double qm_ceilings_bandwidth(const struct qm_ceilings *ceilings, enum qm_ceiling_kind memory, double bytes);

// The least time in nanoseconds that the ceilings allow for so many operations and bytes (Williams, Waterman and Patterson
// 2009, "Roofline"): max(operations / rate of `arithmetic`, bytes / bandwidth). *limit is which of the two it is; may be
// NULL. 0, with *limit QM_CEILING_COUNT, where what would limit it was not measured: where there are operations and no
// rate, or bytes and no bandwidth.
double qm_ceilings_bound_ns(const struct qm_ceilings *ceilings, enum qm_ceiling_kind arithmetic,
                            enum qm_ceiling_kind memory, double operations, double bytes, enum qm_ceiling_kind *limit);

#endif
