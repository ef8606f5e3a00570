// OpenBLAS, opened at run time: products of large float matrices at what the processor can do. Where it is not, callers
// have loops of their own; which of the two it was is told in results.
#ifndef QM_SYS_BLAS_H
#define QM_SYS_BLAS_H

#include <stdbool.h>

#define QM_BLAS_NAME_BYTES 120

// The arguments of sgemm as CBLAS numbers them.
enum {
    QM_BLAS_ROW_MAJOR = 101,
    QM_BLAS_PLAIN = 111,
    QM_BLAS_TRANSPOSED = 112,
};

struct qm_blas {
    // c = alpha a op(b) + beta c; a is [m][k], c [m][n], and b [k][n], or [n][k] where it is transposed. With beta 0 what
    // stood in c is not read.
    void (*sgemm)(int order, int a_is, int b_is, int m, int n, int k, float alpha, const float *a, int a_stride,
                  const float *b, int b_stride, float beta, float *c, int c_stride);
    // How many threads a call takes from here on. With 1, several threads of the caller's may call at once.
    void (*set_threads)(int threads);
    char name[QM_BLAS_NAME_BYTES]; // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH NO_AFFINITY Zen MAX_THREADS=64"
};

// Opens a library by its name or path. False where it is not there, lacks what is asked for, or counts in 64 bits. It stays
// open until the process ends.
bool qm_blas_open(const char *library, struct qm_blas *out);

// The one of this machine: libopenblas.so.0, or what the environment variable QM_BLAS names; "none" there, and a name that
// cannot be opened, give NULL. Looked for once.
const struct qm_blas *qm_blas_find(void);

#endif
