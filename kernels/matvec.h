// matvec: decode of one or a few sequences. See product.h for formula, layouts, accumulation and bound. A tile is one
// row; QM_SPLIT invocations share its k.
#ifndef QM_ROWS
#define QM_ROWS 1
#endif
#if defined(QM_TILE_ROWS)
#include "product_slices.h"
#else
#include "product.h"
#endif
