#include "bench/tune.h"

#include "kernel/kernels.h"
#include "sys/heartbeat.h"
#include "sys/host.h"
#include "sys/process.h"

#include <math.h> // exp and log of ratios: nothing else depends on their bits
#include <stdio.h>
#include <string.h>

enum {
    SAMPLES = 3,
};
#define SAMPLE_NS 4000000u

// A configuration as problems, one an item.
struct contender {
    char settings[QM_SETTINGS_BYTES];
    bool is_made;
    struct qm_kernel_problem *problems[QM_TUNE_ITEMS_MAX];
};

struct tuning {
    const struct qm_tune_params *params;
    struct qm_kernel_bench *bench;
    struct contender best, candidate;
    const struct qm_kernel_variant *right;
    uint64_t end_ns;
};

static void drop(const struct tuning *t, struct contender *c)
{
    for (size_t i = 0; i < t->params->item_count; ++i)
        qm_kernel_problem_destroy(&c->problems[i]);
    c->is_made = false;
}

// Compiles and checks. `*answer` is what the first item that is not right came to.
static enum qm_status make(struct tuning *t, struct contender *c, const char *settings, enum qm_status *answer)
{
    *answer = QM_OK;
    if (c->is_made && strcmp(c->settings, settings) == 0)
        return QM_OK;
    drop(t, c);
    snprintf(c->settings, sizeof(c->settings), "%s", settings);
    for (size_t i = 0; i < t->params->item_count; ++i) {
        struct qm_kernel_item item = t->params->items[i];
        struct qm_kernel_row row;
        snprintf(item.settings, sizeof(item.settings), "%s", settings);
        qm_heartbeat_note("tuning of %s: %s", item.name, *settings ? settings : "fixed");
        QM_TRY(qm_kernel_problem_create(t->bench, &item, &c->problems[i], &row));
        t->right = row.variant ? row.variant : t->right;
        if (row.status == QM_OK)
            continue;
        drop(t, c);
        *answer = QM_FAIL(row.status, "%s", row.reason);
        return QM_OK;
    }
    c->is_made = true;
    return QM_OK;
}

static enum qm_status fastest(struct qm_kernel_problem *problem, double *ns)
{
    double samples[SAMPLES];
    size_t count;
    uint32_t batch;
    bool device_time;
    QM_TRY(qm_kernel_problem_time(problem, SAMPLE_NS, SAMPLES, samples, &count, &batch, &device_time));
    *ns = samples[0];
    for (size_t i = 1; i < count; ++i)
        *ns = samples[i] < *ns ? samples[i] : *ns;
    return QM_OK;
}

// The geometric mean over the items of best over candidate; who goes first alternates.
static enum qm_status one_pair(struct tuning *t, size_t number, double *ratio)
{
    double sum = 0;
    for (size_t i = 0; i < t->params->item_count; ++i) {
        double first, second;
        bool is_swapped = (number + i) % 2 == 1;
        QM_TRY(fastest((is_swapped ? &t->candidate : &t->best)->problems[i], &first));
        QM_TRY(fastest((is_swapped ? &t->best : &t->candidate)->problems[i], &second));
        sum += log(is_swapped ? second / first : first / second);
    }
    *ratio = exp(sum / (double)t->params->item_count);
    return QM_OK;
}

// QM_DEVICE_LOST and QM_TIMEOUT are of the device; everything else is an answer about the candidate.
static bool is_final_for_device(enum qm_status status)
{
    return status == QM_DEVICE_LOST || status == QM_TIMEOUT || status == QM_INTERRUPTED;
}

static enum qm_status measure(void *context, const char *candidate, const char *against, bool is_final,
                              struct qm_tune_trial *out)
{
    struct tuning *t = context;
    double ratios[QM_TUNE_PAIRS_FINAL];
    size_t pairs = is_final ? QM_TUNE_PAIRS_FINAL : QM_TUNE_PAIRS;
    enum qm_status answer;
    *out = (struct qm_tune_trial){.status = QM_OK};
    // The candidate before may have become the best.
    if (!t->best.is_made || strcmp(t->best.settings, against) != 0) {
        if (t->candidate.is_made && strcmp(t->candidate.settings, against) == 0) {
            struct contender old = t->best;
            t->best = t->candidate;
            t->candidate = old;
        }
        QM_TRY(make(t, &t->best, against, &answer));
        if (answer != QM_OK)
            return answer; // it was right before
    }
    enum qm_status status = make(t, &t->candidate, candidate, &answer);
    for (size_t i = 0; status == QM_OK && answer == QM_OK && i < pairs; ++i)
        status = one_pair(t, i, &ratios[i]);
    if (is_final_for_device(status))
        return status;
    out->status = status != QM_OK ? status : answer;
    if (out->status == QM_OK)
        qm_tune_summarize(ratios, pairs, out);
    return QM_OK;
}

static bool is_over(void *context)
{
    const struct tuning *t = context;
    return qm_interrupted() || (t->end_ns && qm_clock_ns() >= t->end_ns);
}

static void tell(void *context, const char *candidate, const struct qm_tune_trial *trial, const char *reason)
{
    const struct tuning *t = context;
    if (t->params->tell)
        t->params->tell(t->params->context, candidate, trial, reason);
}

enum qm_status qm_tune_kernel(const struct qm_tune_params *params, struct qm_tuned_kernel *out)
{
    struct tuning t = {.params = params, .end_ns = params->limit_ns ? qm_clock_ns() + params->limit_ns : 0};
    struct qm_kernel_bench_params bench = {.device = params->device,
                                           .capabilities = params->capabilities,
                                           .capability_count = params->capability_count,
                                           .seed = params->seed};
    struct qm_tune_space space;
    enum qm_status status, answer = QM_OK;
    memset(out, 0, sizeof(*out));
    QM_TRY(qm_kernel_bench_create(&bench, &t.bench));
    QM_GUARD(make(&t, &t.best, "", &answer));
    QM_GUARD(answer);
    qm_tune_space_of(t.right, &space);
    if (space.knob_count == 0) {
        status = QM_FAIL(QM_INVALID, "nothing of %s can be set", t.right->name);
        goto done;
    }
    out->right = t.right;
    qm_kernel_hash(t.right, out->kernel_hash);
    struct qm_tune_search_params search = {.space = &space,
                                           .info = params->device->info,
                                           .measure = measure,
                                           .is_over = is_over,
                                           .tell = tell,
                                           .context = &t};
    status = qm_tune_search(&search, &out->found);
done:
    drop(&t, &t.best);
    drop(&t, &t.candidate);
    qm_kernel_bench_destroy(&t.bench);
    return status;
}
