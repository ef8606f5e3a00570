#include "bench/model_plan.h"

#include <stdio.h>
#include <string.h>

#include "bench/device_run_internal.h"
#include "sys/host.h"

static enum qm_status plan_scheme(const struct qm_engine_params *params, const struct qm_scheme *scheme,
                                  struct qm_model_plan_scheme *out)
{
    struct qm_cache_plan cache;
    struct qm_artifact *outline = NULL;
    QM_TRY(qm_need_find(params, scheme, &out->need));
    struct qm_model_config config = params->config;
    // A long one, so that neither what is rounded up nor the first tokens of a cache count.
    config.context = 1u << 20;
    qm_cache_plan(&config, scheme, 1, &cache);
    out->token_bytes = (double)cache.words * 4 * config.layers / config.context;
    out->run_bytes = out->need.weight_bytes + out->need.cache_bytes + out->need.scratch_bytes;
    QM_TRY(qm_artifact_outline(scheme, &params->config, &outline));
    double bytes = 0;
    for (size_t i = 0; i < outline->tensor_count; ++i)
        if (qm_role_is_linear(outline->tensors[i].role))
            bytes += (double)outline->tensors[i].record.bytes;
    out->bits_per_weight = 8 * bytes / (double)qm_model_config_linear_weights(&config);
    qm_artifact_destroy(&outline);
    return QM_OK;
}

void qm_model_plan_make(const struct qm_profile *profile, const struct qm_requests *requests,
                        const struct qm_model_config *config, struct qm_model_plan *out)
{
    const struct qm_evaluation evaluation = {.set = profile->evaluation};
    const struct qm_prepared prepared = {.evaluation = &evaluation, .requests = requests};
    struct qm_session session = {.prepared = &prepared, .profile = profile};
    qm_session_plan_sequences(&session);
    memset(out, 0, sizeof(*out));
    out->window_tokens = profile->evaluation.window_tokens;
    out->sequences = session.sequences;
    out->rows = session.rows;
    out->context = session.context;
    const struct qm_engine_params params = {.config = *config,
                                            .context = out->context < config->context ? out->context : 0,
                                            .rows = session.rows,
                                            .sequences = session.sequences,
                                            .slots = session.slots};
    uint64_t scratch = 0;
    for (size_t s = 0; s < profile->scheme_count; ++s) {
        struct qm_model_plan_scheme *scheme = &out->schemes[s];
        scheme->status = plan_scheme(&params, &profile->schemes[s], scheme);
        if (scheme->status != QM_OK) {
            snprintf(scheme->reason, sizeof(scheme->reason), "%s", qm_error_text());
            continue;
        }
        out->all_bytes += scheme->need.weight_bytes + scheme->need.cache_bytes;
        scratch = scheme->need.scratch_bytes;
    }
    out->all_bytes += scratch; // which all schemes share
}

uint64_t qm_model_plan_room(const struct qm_device_entry *device)
{
    uint64_t room = device->memory_bytes;
    if (strcmp(device->type, "cpu") != 0)
        return room;
    uint64_t available = qm_host_available_bytes();
    if (available == UINT64_MAX)
        return room;
    available -= available / 8; // as for every network (model/room.h)
    return room == 0 || available < room ? available : room;
}

enum qm_plan_fit qm_model_plan_fit(const struct qm_model_plan_scheme *scheme, const struct qm_device_entry *device,
                                   uint64_t room)
{
    uint64_t binding = device->max_binding_bytes;
    if (device->max_allocation_bytes > 0 && device->max_allocation_bytes < binding)
        binding = device->max_allocation_bytes;
    if (binding > 0 && scheme->need.binding_bytes > binding)
        return QM_PLAN_BINDING;
    if (room == 0)
        return QM_PLAN_UNKNOWN;
    return scheme->run_bytes <= room ? QM_PLAN_FITS : QM_PLAN_MEMORY;
}

uint64_t qm_model_plan_tokens(const struct qm_model_plan_scheme *scheme, uint64_t room)
{
    uint64_t taken = scheme->need.weight_bytes + scheme->need.scratch_bytes;
    return room > taken ? (uint64_t)((double)(room - taken) / scheme->token_bytes) : 0;
}
