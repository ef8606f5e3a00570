// OpenBLAS on the host, with as many threads as it takes by itself.
#include "peer.h"

#include <cblas.h>
#include <stdio.h>

static const struct peer_product *product;

const char *peer_name(void)
{
    static char name[200];
    snprintf(name, sizeof(name), "%.120s, %d threads", openblas_get_config(), openblas_get_num_threads());
    return name;
}

bool peer_open(char reason[200])
{
    (void)reason;
    return true;
}

bool peer_prepare(const struct peer_product *p, char reason[200])
{
    product = p;
    if (p->is_int8)
        snprintf(reason, 200, "OpenBLAS has no product of int8");
    return !p->is_int8;
}

bool peer_run(void)
{
    const blasint m = (blasint)product->m, n = (blasint)product->n, k = (blasint)product->k;
    if (m == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1.0f, product->b, k, product->a, 1, 0.0f, product->c, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, product->a, k, product->b, k, 0.0f,
                    product->c, n);
    return true;
}

bool peer_fetch(void)
{
    return true;
}

void peer_release(void)
{
}
