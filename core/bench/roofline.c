// The roofline: what ceilings allow a kernel. See ceilings.h.
#include "bench/ceilings.h"

#include <string.h>

static const struct kind {
    const char *name, *unit;
    double scale;
} kinds[QM_CEILING_COUNT] = {
    [QM_CEILING_FP32] = {"fp32", "GFLOP/s", 1e9},        [QM_CEILING_FP16] = {"fp16", "GFLOP/s", 1e9},
    [QM_CEILING_INT32] = {"int32", "GOP/s", 1e9},        [QM_CEILING_DOT8] = {"dot8", "GOP/s", 1e9},
    [QM_CEILING_MATRIX] = {"matrix", "GFLOP/s", 1e9},    [QM_CEILING_READ] = {"read", "GB/s", 1e9},
    [QM_CEILING_WRITE] = {"write", "GB/s", 1e9},         [QM_CEILING_COPY] = {"copy", "GB/s", 1e9},
    [QM_CEILING_LOCAL] = {"local", "GB/s", 1e9},         [QM_CEILING_LAUNCH] = {"launch", "us", 1e3},
    [QM_CEILING_ROUND_TRIP] = {"round trip", "us", 1e3}, [QM_CEILING_UPLOAD] = {"upload", "GB/s", 1e9},
    [QM_CEILING_DOWNLOAD] = {"download", "GB/s", 1e9},
};

const char *qm_ceiling_name(enum qm_ceiling_kind kind)
{
    return kind < QM_CEILING_COUNT ? kinds[kind].name : "none";
}

enum qm_ceiling_kind qm_ceiling_find(const char *name)
{
    for (int i = 0; i < QM_CEILING_COUNT; ++i)
        if (strcmp(kinds[i].name, name) == 0)
            return (enum qm_ceiling_kind)i;
    return QM_CEILING_COUNT;
}

const char *qm_ceiling_unit(enum qm_ceiling_kind kind)
{
    return kind < QM_CEILING_COUNT ? kinds[kind].unit : "";
}

double qm_ceiling_scale(enum qm_ceiling_kind kind)
{
    return kind < QM_CEILING_COUNT ? kinds[kind].scale : 1;
}

static bool is_product(const struct qm_kernel_variant *variant)
{
    return strcmp(variant->kernel, "matmul") == 0 || strcmp(variant->kernel, "matvec") == 0;
}

enum qm_ceiling_kind qm_kernel_arithmetic(const struct qm_kernel_variant *variant)
{
    const char *definitions = variant->definitions;
    if (strstr(definitions, "-DQM_COOPERATIVE_MATRIX"))
        return QM_CEILING_MATRIX;
    if (strstr(definitions, "-DQM_PACKED_DOT") || strstr(definitions, "-DQM_DOT"))
        return QM_CEILING_DOT8;
    if (is_product(variant) && (strstr(definitions, "-DQM_ACTIVATION_A8") || strstr(definitions, "-DQM_ACTIVATION_A4")))
        return QM_CEILING_INT32;
    return strstr(definitions, "-DQM_FP16") ? QM_CEILING_FP16 : QM_CEILING_FP32;
}

enum qm_ceiling_kind qm_kernel_memory(const struct qm_kernel_variant *variant)
{
    static const char *const readers[] = {"attention", "log_softmax", "argmax", "checksum"};
    bool reads = is_product(variant);
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); ++i)
        reads = reads || strcmp(variant->kernel, readers[i]) == 0;
    return reads ? QM_CEILING_READ : QM_CEILING_COPY;
}

double qm_ceilings_bandwidth(const struct qm_ceilings *ceilings, enum qm_ceiling_kind memory, double bytes)
{
    size_t from = 0;
    double best = 0;
    while (from + 1 < ceilings->size_count && (double)ceilings->sizes[from + 1].bytes <= bytes)
        ++from;
    for (size_t i = from; i < ceilings->size_count; ++i) {
        const struct qm_ceiling_size *size = &ceilings->sizes[i];
        double rate = memory == QM_CEILING_READ ? size->read : memory == QM_CEILING_WRITE ? size->write : size->copy;
        best = rate > best ? rate : best;
    }
    return best;
}

double qm_ceilings_bound_ns(const struct qm_ceilings *ceilings, enum qm_ceiling_kind arithmetic,
                            enum qm_ceiling_kind memory, double operations, double bytes, enum qm_ceiling_kind *limit)
{
    enum qm_ceiling_kind unused;
    limit = limit ? limit : &unused;
    *limit = QM_CEILING_COUNT;
    const struct qm_ceiling *compute = &ceilings->of[arithmetic];
    double rate = compute->status == QM_OK ? compute->rate : 0;
    double bandwidth = qm_ceilings_bandwidth(ceilings, memory, bytes);
    if ((operations > 0 && !(rate > 0)) || (bytes > 0 && !(bandwidth > 0)) || !(operations > 0 || bytes > 0))
        return 0;
    double arithmetic_ns = operations > 0 ? operations / rate * 1e9 : 0;
    double memory_ns = bytes > 0 ? bytes / bandwidth * 1e9 : 0;
    *limit = arithmetic_ns > memory_ns ? arithmetic : memory;
    return arithmetic_ns > memory_ns ? arithmetic_ns : memory_ns;
}
