// matmul: prefill, and decode of several sequences at once. See product.h for formula, layouts, accumulation and bound.
// A tile is QM_ROWS x QM_COLUMNS; no split over k.
#ifndef QM_SPLIT
#define QM_SPLIT 1
#endif
#include "product.h"
