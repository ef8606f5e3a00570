#include "bench/kernel_sweep.h"

#include "bench/ceilings_node.h"
#include "bench/client.h"
#include "bench/request.h"
#include "bench/worker_sweep.h"
#include "record/node.h"
#include "score/ordered.h"
#include "sys/host.h"
#include "sys/process.h"

#include <inttypes.h>
#include <math.h> // isfinite only
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG 4 // times as long as a row is to take

// A device, and the row at hand on it.
struct subject {
    const struct qm_device_entry *entry;
    struct qm_client *client;
    uint32_t starts;
    char failure[600]; // why it cannot be used; "" while it can
    struct qm_node *node;
    struct qm_ceilings ceilings;
    bool has_ceilings;

    json_t *answer; // of the item; NULL: none is there to be timed
    struct qm_node *row;
    double samples[QM_SWEEP_SAMPLES_MAX];
    size_t count;
    uint32_t batch;
    bool device_time;
};

struct sweep {
    const struct qm_kernel_sweep_params *params;
    struct qm_kernel_sweep_tally *tally;
    struct subject *subjects;
    size_t count;
    struct qm_node *rows;
    uint64_t began_ns;
    double timeout_s;
    char what[160];
};

// ---- Workers ------------------------------------------------------------------------------------------------------

static uint64_t whole_of(const json_t *json, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(json, key));
    return value > 0 ? (uint64_t)value : 0;
}

static double real_of(const json_t *json, const char *key)
{
    double value = json_number_value(json_object_get(json, key));
    return isfinite(value) ? value : 0;
}

// A worker that says nothing of its device but why it cannot be used leaves that as the subject's failure.
static void start(struct sweep *sweep, struct subject *s)
{
    struct qm_node *node = s->node;
    json_t *answer = NULL;
    if (s->starts++ == QM_SWEEP_RESTARTS_MAX) {
        snprintf(s->failure, sizeof(s->failure),
                 "its worker ended %d times; 'qmark devices --check' looks at the driver", QM_SWEEP_RESTARTS_MAX);
        return;
    }
    enum qm_status status = qm_client_start(NULL, &s->client);
    if (status == QM_OK) {
        json_t *request = json_pack("{s:s, s:s, s:b, s:i}", "do", "open", "device", s->entry->id, "statistics", 1,
                                    "attempt", (int)s->starts - 1);
        json_object_set_new(request, "cache",
                            sweep->params->cache_dir ? json_string(sweep->params->cache_dir) : json_null());
        status = qm_client_ask(s->client, sweep->timeout_s, request, &answer);
    }
    const char *name = qm_request_text(json_object_get(answer, "info"), "name");
    if (*name) // a simulated device says so here alone
        qm_node_set_text(node, "name", name);
    json_decref(answer);
    answer = NULL;
    if (status == QM_OK)
        status = qm_client_ask(s->client, sweep->timeout_s, json_pack("{s:s}", "do", "selftest"), &answer);
    if (status == QM_OK && strcmp(qm_request_text(json_object_get(answer, "selftest"), "status"), "ok") != 0)
        status = QM_FAIL(QM_WRONG_RESULT, "the device fails its self-test: %s",
                         qm_request_text(json_object_get(answer, "selftest"), "reason"));
    json_decref(answer);
    if (status != QM_OK) {
        snprintf(s->failure, sizeof(s->failure), "%s", qm_error_text());
        qm_client_end(&s->client);
    }
}

// Asks; a worker that did not survive it is ended, and the next row starts another one.
static enum qm_status ask(struct sweep *sweep, struct subject *s, json_t *request, json_t **answer)
{
    enum qm_status status = qm_client_ask(s->client, sweep->timeout_s, request, answer);
    if (!qm_client_is_alive(s->client))
        qm_client_end(&s->client);
    return status;
}

// ---- Ceilings -----------------------------------------------------------------------------------------------------

static void read_ceilings(struct subject *s, const json_t *json)
{
    struct qm_node *node = NULL;
    char *text = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
    enum qm_status status = text ? qm_node_parse(text, strlen(text), "ceilings", &qm_node_result_limits, &node)
                                 : QM_FAIL(QM_OUT_OF_MEMORY, "no memory for ceilings");
    free(text);
    if (status != QM_OK) {
        qm_node_set_text(s->node, "ceilings", qm_error_text());
        return;
    }
    s->has_ceilings = qm_ceilings_of_node(node, &s->ceilings);
    qm_node_set_node(s->node, "ceilings", node);
}

static void measure_ceilings(struct sweep *sweep, struct subject *s)
{
    json_t *answer = NULL;
    json_t *request =
        json_pack("{s:s, s:I}", "do", "ceilings", "budget_ns", (json_int_t)sweep->params->ceilings_budget_ns);
    enum qm_status status = ask(sweep, s, request, &answer);
    if (status == QM_OK)
        read_ceilings(s, json_object_get(answer, "ceilings"));
    else
        qm_node_set_text(s->node, "ceilings", qm_error_text());
    json_decref(answer);
}

// ---- Rows ---------------------------------------------------------------------------------------------------------

void qm_kernel_summarize(const double *samples, size_t count, struct qm_kernel_summary *out)
{
    double sorted[QM_SWEEP_SAMPLES_MAX];
    count = count < QM_SWEEP_SAMPLES_MAX ? count : QM_SWEEP_SAMPLES_MAX;
    *out = (struct qm_kernel_summary){0};
    if (count == 0)
        return;
    memcpy(sorted, samples, count * sizeof(*sorted));
    qm_values_sort(sorted, count);
    out->median_ns = qm_sorted_median(sorted, count);
    // Nearest rank, as in score/ratio.h.
    size_t low = (50 * count + 999) / 1000, high = (950 * count + 999) / 1000;
    out->p5_ns = sorted[low > 0 ? low - 1 : 0];
    out->p95_ns = sorted[high - 1];
}

static void set_known(struct qm_node *row, const char *key, double value, bool is_known, const char *otherwise)
{
    if (is_known)
        qm_node_set_double(row, key, value);
    else
        qm_node_set_text(row, key, otherwise);
}

// Short, for a column: rows x outputs x inputs; of attention rows at a position, and its heads.
static void write_shape(const struct qm_kernel_plan_item *item, char text[64])
{
    const struct qm_kernel_item *i = &item->item;
    if (strncmp(i->name, "mat", 3) == 0)
        snprintf(text, 64, "%ux%ux%u", i->rows, i->n, i->k);
    else if (strcmp(item->kernel, "dequantize") == 0)
        snprintf(text, 64, "%ux%u", i->n, i->k);
    else if (strcmp(item->kernel, "attention") == 0 || strcmp(item->kernel, "kv_write") == 0)
        snprintf(text, 64, "%u@%u h%u/%u", i->rows, i->position, i->n, i->kv_heads);
    else if (i->n > 1 && i->k == 1)
        snprintf(text, 64, "%ux%u", i->rows, i->n);
    else if (i->rows > 1 || i->n > 1)
        snprintf(text, 64, "%ux%u", i->rows, i->k);
    else
        snprintf(text, 64, "%u", i->k);
}

static struct qm_node *begin_row(const struct subject *s, const struct qm_kernel_plan_item *item)
{
    struct qm_node *row = qm_node_new_mapping();
    qm_node_set_text(row, "kernel", item->kernel);
    qm_node_set_text(row, "format", *item->format ? item->format : "none");
    qm_node_set_text(row, "device", s->entry->id);
    qm_node_set_text(row, "api", s->entry->api);
    qm_node_set_text(row, "driver", s->entry->driver);
    qm_node_set_text(row, "layer", *item->layer ? item->layer : "none");
    qm_node_set_text(row, "curve", *item->growth ? item->growth : "none");
    qm_node_set_u64(row, "rows", item->item.rows);
    qm_node_set_u64(row, "n", item->item.n);
    qm_node_set_u64(row, "k", item->item.k);
    qm_node_set_text(row, "tier", *item->item.tier ? item->item.tier : "best");
    qm_node_set_text(row, "tile", *item->item.tile ? item->item.tile : "none");
    char shape[64];
    write_shape(item, shape);
    qm_node_set_text(row, "shape", shape);
    return row;
}

static void end_row(struct sweep *sweep, struct subject *s, const char *status, const char *reason)
{
    struct qm_kernel_sweep_tally *tally = sweep->tally;
    size_t *count = strcmp(status, "ok") == 0            ? &tally->ok
                    : strcmp(status, "WRONG") == 0       ? &tally->wrong
                    : strcmp(status, "unsupported") == 0 ? &tally->unsupported
                    : strcmp(status, "not run") == 0     ? &tally->not_run
                                                         : &tally->failed;
    ++*count;
    qm_node_set_text(s->row, "status", status);
    qm_node_set_text(s->row, "reason", *reason ? reason : "none");
    qm_node_append_node(sweep->rows, s->row);
    s->row = NULL;
    json_decref(s->answer);
    s->answer = NULL;
}

static void set_facts(struct subject *s)
{
    const json_t *a = s->answer;
    struct qm_node *row = s->row;
    const char *variant = qm_request_text(a, "variant");
    uint64_t checked = whole_of(a, "checked"), outputs = whole_of(a, "outputs");
    if (*variant) {
        qm_node_set_text(row, "variant", variant);
        qm_node_set_text(row, "tier", qm_request_text(a, "tier"));
        qm_node_set_text(row, "tile", qm_request_text(a, "tile"));
        qm_node_set_text(row, "definitions", qm_request_text(a, "definitions"));
        qm_node_set_text(row, "kernel_hash", qm_request_text(a, "kernel_hash"));
        qm_node_set_text(row, "binary_hash",
                         *qm_request_text(a, "binary_hash") ? qm_request_text(a, "binary_hash") : "undisclosed");
    }
    if (*qm_request_text(a, "shape"))
        qm_node_set_text(row, "sizes", qm_request_text(a, "shape"));
    qm_node_set_text(row, "weights", *qm_request_text(a, "weights") ? qm_request_text(a, "weights") : "none");
    set_known(row, "error", real_of(a, "row_error"), checked > 0, "not checked");
    set_known(row, "bound", real_of(a, "bound"), checked > 0 && !json_is_true(json_object_get(a, "exact")),
              checked > 0 ? "equal bits" : "not checked");
    qm_node_set_u64(row, "outputs", outputs);
    qm_node_set_u64(row, "outputs_checked", checked);
    qm_node_set_double(row, "operations", real_of(a, "operations"));
    qm_node_set_double(row, "bytes", real_of(a, "bytes"));
    qm_node_set_u64(row, "parts", whole_of(a, "parts"));
    if (whole_of(a, "dispatch_rows"))
        qm_node_set_u64(row, "dispatch_rows", whole_of(a, "dispatch_rows"));
    set_known(row, "compile_ms", real_of(a, "compile_ns") / 1e6, whole_of(a, "compile_ns") > 0, "with another row");
    struct qm_node *statistics = NULL;
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(a, "statistics"), key, value)
    {
        statistics = statistics ? statistics : qm_node_add_mapping(row, "statistics");
        qm_node_set_text(statistics, key, json_string_value(value));
    }
    if (!statistics)
        qm_node_set_text(row, "statistics", "undisclosed");
}

static void set_share(struct subject *s, double median_ns)
{
    const json_t *a = s->answer;
    double operations = real_of(a, "operations"), bytes = real_of(a, "bytes");
    uint64_t arithmetic = whole_of(a, "arithmetic"), memory = whole_of(a, "memory");
    enum qm_ceiling_kind limit = QM_CEILING_COUNT;
    double bound_ns = 0;
    if (s->has_ceilings && arithmetic < QM_CEILING_COUNT && memory < QM_CEILING_COUNT)
        bound_ns = qm_ceilings_bound_ns(&s->ceilings, (enum qm_ceiling_kind)arithmetic, (enum qm_ceiling_kind)memory,
                                        operations, bytes, &limit);
    bool is_known = bound_ns > 0 && limit < QM_CEILING_COUNT;
    qm_node_set_text(s->row, "ceiling", is_known ? qm_ceiling_name(limit) : "not measured");
    set_known(s->row, "bound_ns", bound_ns, is_known, "not measured");
    set_known(s->row, "share", bound_ns / median_ns, is_known, "not measured");
}

static void finish_timed(struct sweep *sweep, struct subject *s)
{
    const json_t *a = s->answer;
    struct qm_kernel_summary summary;
    double operations = real_of(a, "operations"), bytes = real_of(a, "bytes");
    bool is_integer = whole_of(a, "arithmetic") == QM_CEILING_INT32 || whole_of(a, "arithmetic") == QM_CEILING_DOT8;
    qm_kernel_summarize(s->samples, s->count, &summary);
    qm_node_set_text(s->row, "timer", s->device_time ? "device" : "host");
    qm_node_set_u64(s->row, "runs_a_sample", s->batch);
    qm_node_set_u64(s->row, "samples", s->count);
    qm_node_set_double(s->row, "median_ns", summary.median_ns);
    qm_node_set_double(s->row, "p5_ns", summary.p5_ns);
    qm_node_set_double(s->row, "p95_ns", summary.p95_ns);
    qm_node_set_double(s->row, "gb_per_s", bytes / summary.median_ns);
    set_known(s->row, "giga_operations_per_s", operations / summary.median_ns, operations > 0, "counted in bytes");
    qm_node_set_text(s->row, "operations_are", operations > 0 ? is_integer ? "GOP/s" : "GFLOP/s" : "none");
    set_share(s, summary.median_ns);
    struct qm_node *list = qm_node_add_sequence(s->row, "samples_ns");
    for (size_t i = 0; i < s->count; ++i)
        qm_node_append_double(list, s->samples[i]);
    end_row(sweep, s, "ok", "");
}

static void fail_row(struct sweep *sweep, struct subject *s, enum qm_status status, const char *reason)
{
    bool is_not_run = status == QM_INTERRUPTED;
    end_row(sweep, s, is_not_run ? "not run" : "failed", is_not_run ? "interrupted" : reason);
}

// Makes and checks the row; where nothing can be timed, the row is finished.
static void begin_item(struct sweep *sweep, struct subject *s, const struct qm_kernel_plan_item *item)
{
    s->row = begin_row(s, item);
    s->count = 0;
    if (!s->client && !s->failure[0])
        start(sweep, s);
    if (!s->client) {
        fail_row(sweep, s, qm_interrupted() ? QM_INTERRUPTED : QM_FAILED, s->failure);
        return;
    }
    enum qm_status status = ask(sweep, s, qm_kernel_item_json(&item->item), &s->answer);
    if (status != QM_OK) {
        fail_row(sweep, s, status, qm_error_text());
        return;
    }
    set_facts(s);
    const char *row_status = qm_request_text(s->answer, "row_status");
    if (strcmp(row_status, "ok") == 0)
        return;
    bool is_wrong = strcmp(row_status, "wrong") == 0;
    bool has_none =
        strcmp(row_status, "unsupported") == 0 && !*qm_request_text(s->answer, "variant"); // no such tier or tile
    end_row(sweep, s, is_wrong ? "WRONG" : has_none ? "unsupported" : "failed", qm_request_text(s->answer, "reason"));
}

static void time_round(struct sweep *sweep, struct subject *s)
{
    json_t *answer = NULL;
    size_t most = QM_SWEEP_SAMPLES_MAX / QM_SWEEP_ROUNDS;
    json_int_t ns = (json_int_t)sweep->params->plan->row_ms * 1000000 / QM_SWEEP_ROUNDS;
    double total_ns = 0;
    for (size_t i = 0; i < s->count; ++i)
        total_ns += s->samples[i] * s->batch;
    // One run takes so long that three say what there is to say.
    if (!s->answer || (s->count >= 3 && total_ns > LONG * (double)sweep->params->plan->row_ms * 1e6))
        return;
    enum qm_status status = ask(
        sweep, s, json_pack("{s:s, s:s, s:I, s:I}", "do", "sweep", "step", "time", "ns", ns, "most", (json_int_t)most),
        &answer);
    const json_t *list = json_object_get(answer, "samples_ns");
    for (size_t i = 0; status == QM_OK && i < json_array_size(list) && s->count < QM_SWEEP_SAMPLES_MAX; ++i)
        s->samples[s->count++] = json_number_value(json_array_get(list, i));
    s->batch = (uint32_t)whole_of(answer, "batch");
    s->device_time = json_is_true(json_object_get(answer, "device_time"));
    json_decref(answer);
    if (status == QM_OK)
        return;
    fail_row(sweep, s, status, qm_error_text());
}

static void run_item(struct sweep *sweep, const struct qm_kernel_plan_item *item)
{
    for (size_t i = 0; i < sweep->count; ++i)
        begin_item(sweep, &sweep->subjects[i], item);
    for (uint32_t round = 0; round < QM_SWEEP_ROUNDS && !qm_interrupted(); ++round)
        for (size_t i = 0; i < sweep->count; ++i) // there and back
            time_round(sweep, &sweep->subjects[round % 2 ? sweep->count - 1 - i : i]);
    for (size_t i = 0; i < sweep->count; ++i) {
        struct subject *s = &sweep->subjects[i];
        json_t *unused = NULL;
        if (s->answer && s->count == 0)
            fail_row(sweep, s, QM_INTERRUPTED, "");
        else if (s->answer)
            finish_timed(sweep, s);
        if (s->client && !qm_interrupted()) // its memory is for the next row's
            (void)!ask(sweep, s, json_pack("{s:s, s:s}", "do", "sweep", "step", "drop"), &unused);
        json_decref(unused);
    }
}

// ---- The sweep ----------------------------------------------------------------------------------------------------

static void skip_item(struct sweep *sweep, const struct qm_kernel_plan_item *item, const char *reason)
{
    for (size_t i = 0; i < sweep->count; ++i) {
        sweep->subjects[i].row = begin_row(&sweep->subjects[i], item);
        end_row(sweep, &sweep->subjects[i], "not run", reason);
    }
}

static void show(struct sweep *sweep, double fraction)
{
    if (sweep->params->progress)
        sweep->params->progress(sweep->params->progress_context, sweep->what, fraction);
}

static struct qm_node *begin_tree(const struct sweep *sweep)
{
    struct qm_node *root = qm_node_new_mapping();
    struct qm_host host;
    char time[QM_TIME_TEXT_BYTES];
    qm_host_describe(&host);
    qm_time_utc(time);
    qm_node_set_u64(root, "schema", 1);
    qm_node_set_text(root, "kind", "kernels");
    qm_node_set_text(root, "label", QM_SWEEP_LABEL);
    qm_node_set_text(root, "qmark", QM_VERSION);
    qm_node_set_text(root, "began", time);
    struct qm_node *node = qm_node_add_mapping(root, "host");
    qm_node_set_text(node, "system", host.system);
    qm_node_set_text(node, "processor", host.processor);
    qm_node_set_u64(node, "cores", host.cores);
    qm_node_set_node(root, "profile", qm_kernel_plan_expand(sweep->params->plan));
    return root;
}

static void describe_subject(struct sweep *sweep, struct subject *s, struct qm_node *devices)
{
    s->node = qm_node_append_mapping(devices);
    qm_node_set_text(s->node, "id", s->entry->id);
    qm_node_set_text(s->node, "name", s->entry->name);
    qm_node_set_text(s->node, "api", s->entry->api);
    qm_node_set_text(s->node, "driver", s->entry->driver);
    qm_node_set_text(s->node, "driver_version", s->entry->driver_version);
    snprintf(sweep->what, sizeof(sweep->what), "ceilings of %s", s->entry->id);
    show(sweep, 0);
    if (!qm_interrupted())
        start(sweep, s);
    if (s->client && sweep->params->ceilings_budget_ns)
        measure_ceilings(sweep, s);
    else
        qm_node_set_text(s->node, "ceilings", s->client ? "not measured" : s->failure);
}

static void run_all(struct sweep *sweep)
{
    const struct qm_kernel_sweep_params *params = sweep->params;
    for (size_t i = 0; i < params->item_count; ++i) {
        const struct qm_kernel_plan_item *item = &params->items[i];
        double seconds = (double)(qm_clock_ns() - sweep->began_ns) / 1e9;
        char reason[64];
        snprintf(sweep->what, sizeof(sweep->what), "%s, %ux%ux%u", item->item.name, item->item.rows, item->item.n,
                 item->item.k);
        show(sweep, (double)i / (double)params->item_count);
        if (qm_interrupted()) {
            skip_item(sweep, item, "interrupted");
        } else if (params->plan->seconds && seconds > (double)params->plan->seconds) {
            snprintf(reason, sizeof(reason), "time limit of %" PRIu64 " s", params->plan->seconds);
            skip_item(sweep, item, reason);
        } else {
            run_item(sweep, item);
        }
    }
}

enum qm_status qm_kernel_sweep_run(const struct qm_kernel_sweep_params *params, struct qm_node **out,
                                   struct qm_kernel_sweep_tally *tally)
{
    struct sweep sweep = {.params = params,
                          .tally = tally,
                          .count = params->devices->count,
                          .subjects = calloc(params->devices->count + 1, sizeof(*sweep.subjects)),
                          .began_ns = qm_clock_ns(),
                          .timeout_s = qm_client_timeout_s()};
    *tally = (struct qm_kernel_sweep_tally){0};
    *out = NULL;
    if (!sweep.subjects)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a sweep of kernels");
    struct qm_node *root = begin_tree(&sweep), *devices = qm_node_add_sequence(root, "devices");
    for (size_t i = 0; i < sweep.count; ++i) {
        sweep.subjects[i].entry = &params->devices->entries[i];
        describe_subject(&sweep, &sweep.subjects[i], devices);
    }
    sweep.rows = qm_node_add_sequence(root, "rows");
    run_all(&sweep);
    for (size_t i = 0; i < sweep.count; ++i)
        qm_client_end(&sweep.subjects[i].client);
    free(sweep.subjects);
    tally->is_interrupted = qm_interrupted();
    qm_node_set_double(root, "seconds", (double)(qm_clock_ns() - sweep.began_ns) / 1e9);
    if (!qm_node_ok(root)) {
        qm_node_destroy(&root);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the rows of a sweep");
    }
    *out = root;
    return QM_OK;
}
