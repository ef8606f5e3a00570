#include "quant/row_tiles.h"
#include "base/numeric.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <stdatomic.h>

struct tiles {
    uint32_t rows;
    enum qm_status (*work)(void *context, uint32_t first, uint32_t count);
    void *context;
    atomic_size_t failed; // the lowest tile that failed; the number of tiles if none did
};

static enum qm_status work_tile(const struct tiles *tiles, size_t tile)
{
    uint32_t first = (uint32_t)tile * QM_ROW_TILE, rest = tiles->rows - first;
    return tiles->work(tiles->context, first, rest < QM_ROW_TILE ? rest : QM_ROW_TILE);
}

static void work_range(void *context, size_t begin, size_t end)
{
    struct tiles *tiles = context;
    for (size_t tile = begin; tile < end; tile++) {
        if (work_tile(tiles, tile) == QM_OK)
            continue;
        size_t lowest = atomic_load(&tiles->failed);
        while (tile < lowest && !atomic_compare_exchange_weak(&tiles->failed, &lowest, tile))
            ;
        return;
    }
}

enum qm_status qm_row_tiles(uint32_t rows, enum qm_status (*work)(void *context, uint32_t first, uint32_t count),
                            void *context)
{
    size_t count = rows / QM_ROW_TILE + (rows % QM_ROW_TILE != 0);
    struct tiles tiles = {.rows = rows, .work = work, .context = context};
    atomic_init(&tiles.failed, count);
    qm_parallel_for(count, work_range, &tiles);
    for (size_t tile = atomic_load(&tiles.failed); tile < count; tile++)
        QM_TRY(work_tile(&tiles, tile));
    return QM_OK;
}

enum qm_status qm_rows_check_finite(const char *name, const float *weights, uint32_t rows, uint32_t columns)
{
    for (size_t i = 0; i < (size_t)rows * columns; i++)
        if ((qm_bits_from_float(weights[i]) & 0x7f800000u) == 0x7f800000u)
            return QM_FAIL(QM_INVALID, "tensor '%s': row %zu, column %zu is %s; every weight must be finite", name,
                           i / columns, i % columns, weights[i] != weights[i] ? "not a number" : "infinite");
    return QM_OK;
}
