#include "model/host_product.h"

#include "base/wide.h"
#include "sys/parallel.h"

#include <string.h>

// Own loops: a panel of WIDTH rows of b is laid out so that WIDTH values of one k stand side by side; then TALL rows of a
// at a time are multiplied with it, and the compiler keeps their sums in vectors. A block of a, TALL_BLOCK x DEEP, stays in a
// near cache while all panels pass.
enum {
    WIDTH = 16,
    TALL = 4,
    TALL_BLOCK = 256,
    DEEP = 256
};

static void pack(const struct qm_host_product *p, size_t first, size_t width, size_t k0, size_t deep,
                 float panel[DEEP][WIDTH])
{
    memset(panel, 0, deep * sizeof(panel[0]));
    for (size_t k = 0; k < deep && p->b_is_plain; ++k)
        memcpy(panel[k], p->b + (k0 + k) * p->b_stride + first, width * sizeof(float));
    for (size_t j = 0; j < width && !p->b_is_plain; ++j) {
        const float *row = p->b + (first + j) * p->b_stride + k0;
        for (size_t k = 0; k < deep; ++k)
            panel[k][j] = row[k];
    }
}

QM_WIDE static void add_rows(const float *a, size_t a_stride, size_t rows, const float (*panel)[WIDTH], size_t deep,
                             float sums[TALL][WIDTH])
{
    float s[TALL][WIDTH] = {{0}};
    if (rows == TALL) {
        const float *a0 = a, *a1 = a + a_stride, *a2 = a + 2 * a_stride, *a3 = a + 3 * a_stride;
        for (size_t k = 0; k < deep; ++k)
            for (size_t j = 0; j < WIDTH; ++j) {
                s[0][j] += a0[k] * panel[k][j];
                s[1][j] += a1[k] * panel[k][j];
                s[2][j] += a2[k] * panel[k][j];
                s[3][j] += a3[k] * panel[k][j];
            }
    } else {
        for (size_t r = 0; r < rows; ++r)
            for (size_t k = 0; k < deep; ++k)
                for (size_t j = 0; j < WIDTH; ++j)
                    s[r][j] += a[r * a_stride + k] * panel[k][j];
    }
    memcpy(sums, s, sizeof(s));
}

static void put_rows(const struct qm_host_product *p, size_t row, size_t rows, size_t first, size_t width, bool adds,
                     float sums[TALL][WIDTH])
{
    float scale = p->scale != 0 ? p->scale : 1;
    for (size_t r = 0; r < rows; ++r) {
        float *to = p->c + (row + r) * p->c_stride + first;
        for (size_t j = 0; j < width; ++j)
            to[j] = (adds ? to[j] : 0) + scale * sums[r][j];
    }
}

// Panels `begin` to `end` - 1 of b.
static void multiply_panels(void *context, size_t begin, size_t end)
{
    const struct qm_host_product *p = context;
    float panel[DEEP][WIDTH], sums[TALL][WIDTH];
    for (size_t row0 = 0; row0 < p->m; row0 += TALL_BLOCK)
        for (size_t k0 = 0; k0 < p->k; k0 += DEEP)
            for (size_t i = begin; i < end; ++i) {
                size_t first = i * WIDTH, width = p->n - first < WIDTH ? p->n - first : WIDTH;
                size_t deep = p->k - k0 < DEEP ? p->k - k0 : DEEP;
                size_t row_end = p->m - row0 < TALL_BLOCK ? p->m : row0 + TALL_BLOCK;
                pack(p, first, width, k0, deep, panel);
                for (size_t row = row0; row < row_end; row += TALL) {
                    size_t rows = row_end - row < TALL ? row_end - row : TALL;
                    add_rows(p->a + row * p->a_stride + k0, p->a_stride, rows, panel, deep, sums);
                    put_rows(p, row, rows, first, width, p->adds || k0 > 0, sums);
                }
            }
}

static void call_blas(const struct qm_blas *blas, const struct qm_host_product *p)
{
    blas->sgemm(QM_BLAS_ROW_MAJOR, QM_BLAS_PLAIN, p->b_is_plain ? QM_BLAS_PLAIN : QM_BLAS_TRANSPOSED, (int)p->m,
                (int)p->n, (int)p->k, p->scale != 0 ? p->scale : 1, p->a, (int)p->a_stride, p->b, (int)p->b_stride,
                p->adds ? 1 : 0, p->c, (int)p->c_stride);
}

void qm_host_multiply(const struct qm_blas *blas, const struct qm_host_product *product)
{
    if (product->m == 0 || product->n == 0)
        return;
    if (blas) {
        blas->set_threads((int)qm_parallel_threads());
        call_blas(blas, product);
        return;
    }
    struct qm_host_product copy = *product;
    qm_parallel_for((product->n + WIDTH - 1) / WIDTH, multiply_panels, &copy);
}

void qm_host_multiply_begin(const struct qm_blas *blas)
{
    if (blas)
        blas->set_threads(1);
}

void qm_host_multiply_alone(const struct qm_blas *blas, const struct qm_host_product *product)
{
    struct qm_host_product copy = *product;
    if (product->m == 0 || product->n == 0)
        return;
    if (blas)
        call_blas(blas, product);
    else
        multiply_panels(&copy, 0, (product->n + WIDTH - 1) / WIDTH);
}

void qm_host_multiply_end(const struct qm_blas *blas)
{
    if (blas)
        blas->set_threads((int)qm_parallel_threads());
}

const char *qm_host_multiply_name(const struct qm_blas *blas)
{
    return blas ? blas->name : "own loops";
}
