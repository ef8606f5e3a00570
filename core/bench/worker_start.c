#include "bench/worker_start.h"

#include "bench/worker_device.h"
#include "sys/heartbeat.h"
#include "sys/host.h"

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

enum qm_status qm_worker_start_tell(struct qm_worker_start *start, struct qm_network *network, uint64_t load_ns,
                                    json_t *answer)
{
    struct qm_compile_time before, after;
    if (start->is_told)
        return QM_OK;
    start->is_told = true;
    qm_heartbeat_note("the first token");
    qm_worker_device_compile_time(&before);
    uint32_t cached = qm_kernels_from_cache();
    uint64_t begin_ns = qm_clock_ns();
    enum qm_status status = run_first(network);
    uint64_t took_ns = qm_clock_ns() - begin_ns;
    if (status == QM_DEVICE_LOST || status == QM_TIMEOUT)
        return status;
    if (status != QM_OK)
        return QM_OK;
    qm_worker_device_compile_time(&after);
    uint64_t compile_ns = after.ns - before.ns;
    json_object_set_new(
        answer, "start",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "open_ns", (json_int_t)start->open_ns, "engine_ns",
                  (json_int_t)start->engine_ns, "load_ns", (json_int_t)load_ns, "compile_ns", (json_int_t)compile_ns,
                  "compiled", (json_int_t)(after.kernels - before.kernels), "cached",
                  (json_int_t)(qm_kernels_from_cache() - cached), "pass_ns", (json_int_t)(took_ns - compile_ns)));
    return QM_OK;
}
