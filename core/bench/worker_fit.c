#include "bench/worker_fit.h"
#include "bench/request.h"

#include <stdlib.h>
#include <string.h>

// Reads what the request lists; the caller frees it all, whatever the status.
static enum qm_status read_fit(json_t *request, struct qm_fit_params *params, struct qm_scheme *schemes,
                               struct qm_artifact **artifacts, struct qm_pass_params *passes)
{
    json_t *scheme_list = json_object_get(request, "schemes"), *pass_list = json_object_get(request, "passes"), *row;
    size_t index;
    if (json_array_size(scheme_list) == 0)
        return QM_FAIL(QM_INVALID, "no scheme to fit");
    params->schemes = schemes;
    params->artifacts = artifacts;
    params->passes = passes;
    json_array_foreach(scheme_list, index, row)
    {
        QM_TRY(qm_scheme_parse(qm_request_text(row, "scheme"), &schemes[index]));
        QM_TRY(qm_artifact_load(qm_request_text(row, "artifact"), &artifacts[index]));
        qm_scheme_bind(&schemes[index], &artifacts[index]->own);
        params->engine.config = artifacts[index]->config;
        ++params->scheme_count;
    }
    json_array_foreach(pass_list, index, row)
    {
        passes[index] =
            (struct qm_pass_params){qm_request_number(row, "batch"), qm_request_number(row, "tokens"), 0, 0};
        ++params->pass_count;
    }
    return QM_OK;
}

enum qm_status qm_worker_fit(struct qm_fit_params *params, json_t *request, json_t *answer)
{
    size_t scheme_count = json_array_size(json_object_get(request, "schemes")),
           pass_count = json_array_size(json_object_get(request, "passes"));
    struct qm_scheme *schemes = calloc(scheme_count + 1, sizeof(*schemes));
    struct qm_artifact **artifacts = calloc(scheme_count + 1, sizeof(*artifacts));
    struct qm_pass_params *passes = calloc(pass_count + 1, sizeof(*passes));
    struct qm_width_fit fit;
    enum qm_status status =
        schemes && artifacts && passes ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to find what fits");
    QM_GUARD(status);
    QM_GUARD(read_fit(request, params, schemes, artifacts, passes));
    QM_GUARD(qm_fit_find(params, &fit));
    json_object_set_new(answer, "widen", json_integer(fit.widen));
    json_object_set_new(answer, "bytes", json_integer((json_int_t)fit.bytes));
    json_object_set_new(answer, "reason", json_string(fit.reason));
done:
    for (size_t s = 0; artifacts && s < scheme_count; ++s)
        qm_artifact_destroy(&artifacts[s]);
    free(schemes);
    free(artifacts);
    free(passes);
    return status;
}
