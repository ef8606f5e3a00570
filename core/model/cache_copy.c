#include <stdlib.h>

#include "backends/backend.h"
#include "model/engine_internal.h"
#include "model/need.h"

static enum qm_status copy_words(struct qm_device *device, struct qm_buffer *buffer, uint64_t from, uint64_t to,
                                 uint64_t count, void *room)
{
    if (count == 0)
        return QM_OK;
    QM_TRY(device->fns->buffer_read(device, buffer, from * 4, room, count * 4));
    return device->fns->buffer_write(device, buffer, to * 4, room, count * 4);
}

enum qm_status qm_network_copy_sequences(struct qm_network *network, uint32_t from, uint32_t to, uint32_t count)
{
    const struct qm_engine *engine = network->engine;
    uint32_t sequences = engine->params.sequences;
    if (from > sequences || to > sequences || count > sequences - from || count > sequences - to ||
        (from < to ? to - from : from - to) < count)
        return QM_FAIL(QM_INVALID,
                       "cannot copy %u sequences of a cache from %u to %u: it has %u, and both must lie apart", count,
                       from, to, sequences);
    struct qm_cache_plan plan;
    qm_cache_plan(&engine->config, &network->scheme, sequences, &plan);
    const struct {
        uint64_t base, each;
    } parts[] = {{plan.k_base, plan.codes_each},       {plan.k_scale_base, plan.k_scales_each},
                 {plan.v_base, plan.codes_each},       {plan.v_scale_base, plan.v_scales_each},
                 {plan.k_exact_base, plan.exact_each}, {plan.v_exact_base, plan.exact_each}};
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); ++i)
        most = parts[i].each > most ? parts[i].each : most;
    void *room = malloc((size_t)(most * count * 4 + 4));
    if (!room)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to copy %u sequences of a cache", count);
    enum qm_status status = QM_OK;
    for (uint32_t layer = 0; layer < engine->config.layers; ++layer) {
        for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); ++i)
            QM_GUARD(copy_words(engine->params.device, network->caches[layer], parts[i].base + from * parts[i].each,
                                parts[i].base + to * parts[i].each, count * parts[i].each, room));
    }
done:
    free(room);
    return status;
}
