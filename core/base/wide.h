// Loops over independent elements, compiled for the vectors of several processors and chosen among at run time. Wider
// vectors change no bit: each element is computed by the same operations in the same order.
#ifndef QM_BASE_WIDE_H
#define QM_BASE_WIDE_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define QM_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define QM_WIDE
#endif

#endif
