#include "bench/fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kernels.h"
#include "model/random_weight.h"
#include "model/room.h"

enum qm_status qm_fit_tile(const struct qm_engine_params *params, const struct qm_fit_tiers *tiers, const char **tile)
{
    const struct qm_device_info *info = params->device->info;
    uint64_t texel_bytes = qm_engine_largest_read_bytes(params);
    if (strcmp(tiers->wanted, "best") == 0) {
        *tile = qm_tiers_best(info, qm_tiers_working(tiers->capabilities, tiers->count), texel_bytes);
        return QM_OK;
    }
    enum qm_tier tier;
    if (!qm_tier_find(tiers->wanted, &tier))
        return QM_FAIL(QM_INVALID, "there is no tier '%.40s'", tiers->wanted);
    return qm_tiers_force(info, tiers->capabilities, tiers->count, tier, texel_bytes, tile);
}

static enum qm_status try_passes(const struct qm_fit_params *params, struct qm_network *network)
{
    for (size_t i = 0; i < params->pass_count; ++i) {
        struct qm_pass *pass = NULL;
        QM_TRY(qm_pass_create(network, &params->passes[i], &pass));
        qm_pass_destroy(&pass);
    }
    return QM_OK;
}

// What lies on the device: a widened model with all schemes, and the same as it is beside it.
struct trial {
    struct qm_engine *engines[2];
    struct qm_network **networks[2]; // [scheme_count]
};

static enum qm_status create_engine(const struct qm_fit_params *params, uint32_t widen, struct qm_engine **out)
{
    struct qm_engine_params engine_params = params->engine;
    engine_params.widen = widen;
    engine_params.is_trial = true;
    QM_TRY(qm_fit_tile(&engine_params, &params->tiers, &engine_params.tile));
    return qm_engine_create(&engine_params, out);
}

static enum qm_status create_networks(const struct qm_fit_params *params, struct trial *trial, int which)
{
    trial->networks[which] = calloc(params->scheme_count, sizeof(struct qm_network *));
    if (!trial->networks[which])
        return QM_FAIL(QM_FAILED, "no host memory to try a width");
    for (size_t s = 0; s < params->scheme_count; ++s)
        QM_TRY(qm_network_create(trial->engines[which], params->artifacts[s], &params->schemes[s],
                                 &trial->networks[which][s]));
    return QM_OK;
}

static void destroy_trial(const struct qm_fit_params *params, struct trial *trial)
{
    for (int which = 0; which < 2; ++which) {
        for (size_t s = 0; trial->networks[which] && s < params->scheme_count; ++s)
            qm_network_destroy(&trial->networks[which][s]);
        qm_engine_destroy(&trial->engines[which]);
        free(trial->networks[which]);
    }
}

// Memory first, for all schemes; passes then, for they compile kernels.
static enum qm_status try_width(const struct qm_fit_params *params, uint32_t widen, uint64_t *bytes)
{
    struct qm_device *device = params->engine.device;
    struct trial trial = {0};
    struct qm_memory memory = {0};
    enum qm_status status;
    QM_GUARD(create_engine(params, widen, &trial.engines[0]));
    QM_GUARD(create_networks(params, &trial, 0));
    if (widen > 1) {
        QM_GUARD(create_engine(params, 1, &trial.engines[1]));
        QM_GUARD(create_networks(params, &trial, 1));
    }
    device->fns->memory(device, &memory);
    *bytes = memory.buffers_bytes;
    QM_GUARD(qm_device_check_room(device, true, *bytes / 16, "beside the weights, what checks and timing take"));
    for (size_t s = 0; s < params->scheme_count; ++s) {
        struct qm_random_weight_times unused;
        QM_GUARD(qm_network_time_random(trial.networks[0][s], params->artifacts[s], 0, &unused));
        QM_GUARD(try_passes(params, trial.networks[0][s]));
    }
done:
    destroy_trial(params, &trial);
    return status;
}

enum qm_status qm_fit_find(const struct qm_fit_params *params, struct qm_width_fit *out)
{
    *out = (struct qm_width_fit){0};
    for (uint32_t widen = params->most; widen >= 1; widen /= 2) {
        enum qm_status status = try_width(params, widen, &out->bytes);
        if (status == QM_OK) {
            out->widen = widen;
            return QM_OK;
        }
        // What is too large is an answer; anything else is the end of the device.
        if (widen == 1 || (status != QM_OUT_OF_MEMORY && status != QM_UNSUPPORTED && status != QM_INVALID))
            return status;
        snprintf(out->reason, sizeof(out->reason), "widen %u: %s", widen, qm_error_text());
    }
    return QM_FAIL(QM_INVALID, "no width to try");
}
