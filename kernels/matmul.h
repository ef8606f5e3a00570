// matmul: prefill, and decode of several sequences at once. See product.h for formula, layouts, accumulation and bound.
// A tile is QM_ROWS x QM_COLUMNS, an invocation's; or, with QM_TILE_ROWS, a workgroup's:
// product_local.h, product_halves.h, matrix/product_matrix.h. No split over k.
#ifndef QM_SPLIT
#define QM_SPLIT 1
#endif
#if defined(QM_MATRIX)
#include "matrix/product_matrix.h"
#elif defined(QM_FP16)
#include "product_halves.h"
#elif defined(QM_TILE_ROWS)
#include "product_local.h"
#else
#include "product.h"
#endif
