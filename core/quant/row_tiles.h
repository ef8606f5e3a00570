// Rows of a matrix in parallel, for work that can fail.
#ifndef QM_QUANT_ROW_TILES_H
#define QM_QUANT_ROW_TILES_H

#include "base/status.h"

#include <stdint.h>

// Rows that a tile has at most: enough that what all rows share is read from memory once for many of them.
#define QM_ROW_TILE 16u

// Calls work(context, first, count) for tiles of rows that together cover 0 .. rows - 1, on several threads. Tiles are
// the same for any number of threads. An error's text belongs to the thread that raised it, so where a tile fails, it and
// all after it are worked on again by the calling thread, in order: the first failing tile's status and text is what
// the caller gets. Work must therefore be the same when done twice.
QM_MUST_USE enum qm_status
qm_row_tiles(uint32_t rows, enum qm_status (*work)(void *context, uint32_t first, uint32_t count), void *context);

// QM_INVALID, naming tensor, row and column, for a weight that is not finite.
QM_MUST_USE enum qm_status qm_rows_check_finite(const char *name, const float *weights, uint32_t rows,
                                                uint32_t columns);

#endif
