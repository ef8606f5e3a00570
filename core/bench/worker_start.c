#include "bench/worker_start.h"

#include <stdlib.h>

#include "bench/worker_device.h"
#include "sys/heartbeat.h"
#include "sys/host.h"
#include "sys/parallel.h"

static enum qm_status run_first(struct qm_network *network)
{
    struct qm_pass *pass = NULL;
    struct qm_timing timing = {0};
    const struct qm_pass_params params = {.batch = 1, .tokens = 1, .position_increment = 1};
    const struct qm_pass_start begin = {0, 0};
    // As careful as the first run of any pass: a long submission may be one that a watchdog kills.
    const struct qm_run_policy policy = {.dispatches_per_submission = 4, .repeats_per_submission = 1};
    uint32_t token = 0;
    QM_TRY(qm_pass_create(network, &params, &pass));
    enum qm_status status = qm_pass_run(pass, &begin, 1, &policy, &timing);
    if (status == QM_OK)
        status = qm_pass_read_outputs(pass, NULL, &token);
    qm_pass_destroy(&pass);
    return status;
}

struct load {
    struct qm_engine *engine;
    const struct qm_scheme *scheme;
    const struct qm_artifact *outline;
    const char *path;
    struct qm_artifact **out;
    enum qm_status status;
};

// Number 0 reads the file, which takes no device; number 1 compiles, and is alone with the device.
static void load_or_compile(void *context, size_t begin, size_t end)
{
    struct load *load = context;
    for (size_t i = begin; i < end; ++i) {
        if (i == 0)
            load->status = qm_artifact_load(load->path, load->out);
        else
            qm_engine_compile_ahead(load->engine, load->outline, load->scheme);
    }
}

// Of scheme `file` the artifact says which formats it stands for.
static enum qm_status make_outline(const struct qm_scheme *scheme, const struct qm_model_config *config,
                                   const char *path, struct qm_artifact **out)
{
    struct qm_scheme bound = *scheme;
    struct qm_own_formats *own = NULL;
    if (scheme->is_own)
        QM_TRY(qm_artifact_load_formats(path, &own));
    qm_scheme_bind(&bound, own);
    enum qm_status status = qm_artifact_outline(&bound, config, out);
    free(own);
    return status;
}

enum qm_status qm_worker_start_load(struct qm_worker_start *start, struct qm_engine *engine,
                                    const struct qm_model_config *config, const struct qm_scheme *scheme,
                                    const char *path, struct qm_artifact **out)
{
    struct qm_compile_time before;
    struct qm_artifact *outline = NULL;
    struct load load = {.engine = engine, .scheme = scheme, .path = path, .out = out, .status = QM_OK};
    if (start->is_told || make_outline(scheme, config, path, &outline) != QM_OK)
        return qm_artifact_load(path, out);
    load.outline = outline;
    qm_worker_device_compile_time(&before);
    start->compile_ns = before.ns;
    start->compiled = before.kernels;
    start->cached = qm_kernels_from_cache();
    uint64_t begin_ns = qm_clock_ns();
    qm_parallel_for(2, load_or_compile, &load);
    start->load_ns = qm_clock_ns() - begin_ns;
    qm_artifact_destroy(&outline);
    return load.status;
}

enum qm_status qm_worker_start_tell(struct qm_worker_start *start, struct qm_network *network, uint64_t upload_ns,
                                    json_t *answer)
{
    struct qm_compile_time compile;
    if (start->is_told)
        return QM_OK;
    start->is_told = true;
    qm_heartbeat_note("the first token");
    uint64_t begin_ns = qm_clock_ns();
    enum qm_status status = run_first(network);
    uint64_t pass_ns = qm_clock_ns() - begin_ns;
    if (status == QM_DEVICE_LOST || status == QM_TIMEOUT)
        return status;
    if (status != QM_OK)
        return QM_OK;
    qm_worker_device_compile_time(&compile);
    json_object_set_new(answer, "start",
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "open_ns", (json_int_t)start->open_ns,
                                  "engine_ns", (json_int_t)start->engine_ns, "load_ns", (json_int_t)start->load_ns,
                                  "upload_ns", (json_int_t)upload_ns, "pass_ns", (json_int_t)pass_ns, "compile_ns",
                                  (json_int_t)(compile.ns - start->compile_ns), "compiled",
                                  (json_int_t)(compile.kernels - start->compiled), "cached",
                                  (json_int_t)(qm_kernels_from_cache() - start->cached)));
    return QM_OK;
}
