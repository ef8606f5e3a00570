#include "bench/kernel_sweep.h"
#include "cli/chosen_devices.h"
#include "cli/kernel_options.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "record/node.h"
#include "report/kernel_report.h"
#include "report/show.h"
#include "sys/file.h"
#include "sys/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CEILINGS_BUDGET_NS 5000000000u
#define WIDTH 100 // of a table where no terminal says otherwise

struct kernels_options {
    const char *profile, *devices, *out, *compare, *print, *progress;
    const char *layers, *tiles;
    struct qm_kernel_options lists;
    uint64_t context, seconds, row_ms;
    bool no_ceilings;
};

static enum qm_status set_number(const char *option, uint64_t value, uint64_t low, uint64_t high, uint32_t *out)
{
    if (value == UINT64_MAX)
        return QM_OK;
    if (value < low || value > high)
        return QM_FAIL(QM_INVALID, "--%s is %llu; expected %llu to %llu", option, (unsigned long long)value,
                       (unsigned long long)low, (unsigned long long)high);
    *out = (uint32_t)value;
    return QM_OK;
}

// The profile, with what the command line says in its place. Shapes of one's own, models, layers and rows leave out the
// profile's curves; shapes leave out its models too, unless those are named.
static enum qm_status read_plan(const struct kernels_options *o, struct qm_kernel_plan *plan)
{
    uint32_t seconds = 0;
    QM_TRY(qm_kernel_plan_load(o->profile ? o->profile : "llm-shapes", plan));
    if (o->lists.shapes || o->lists.models || o->layers || o->lists.rows)
        plan->growth_models.count = plan->growth_layers.count = plan->growth_sizes.count = plan->growth_rows.count = 0;
    QM_TRY(qm_kernel_options_read(&o->lists, plan));
    QM_TRY(qm_kernel_option_list(plan, "layer", "layers", o->layers));
    QM_TRY(qm_kernel_option_list(plan, "tile", "tiles", o->tiles));
    QM_TRY(set_number("context", o->context, 2, 131072, &plan->context));
    QM_TRY(set_number("row-ms", o->row_ms, 1, 600000, &plan->row_ms));
    QM_TRY(set_number("seconds", o->seconds, 0, 1000000, &seconds));
    if (o->seconds != UINT64_MAX)
        plan->seconds = seconds;
    return QM_OK;
}

static enum qm_status print_report(const struct qm_node *sweep, enum qm_form form)
{
    struct qm_show_style style = qm_show_style_of(1);
    unsigned columns = style.columns ? style.columns : WIDTH;
    return qm_kernel_report(sweep, form, columns, style.is_fancy, stdout);
}

// Whole or not at all: first into a file without a name.
static enum qm_status write_report(const struct qm_node *sweep, const char *path, enum qm_form form)
{
    FILE *file = tmpfile();
    char *text = NULL;
    if (!file)
        return QM_FAIL(QM_FAILED, "cannot make a temporary file; free some space");
    enum qm_status status = qm_kernel_report(sweep, form, WIDTH, false, file);
    long size = status == QM_OK && fflush(file) == 0 ? ftell(file) : -1;
    rewind(file);
    if (size >= 0)
        text = malloc((size_t)size + 1);
    if (status == QM_OK && (!text || fread(text, 1, (size_t)size, file) != (size_t)size))
        status = QM_FAIL(QM_FAILED, "%.200s: cannot put the report together; free some space", path);
    if (status == QM_OK)
        status = qm_file_write(path, text, (size_t)size);
    free(text);
    fclose(file);
    return status;
}

static int exit_of(const struct qm_kernel_sweep_tally *tally)
{
    if (tally->wrong)
        return QM_EXIT_WRONG;
    if (tally->is_interrupted)
        return QM_EXIT_INTERRUPTED;
    return tally->failed ? QM_EXIT_SOME_FAILED : QM_EXIT_OK;
}

static void tell(const struct qm_kernel_sweep_tally *tally, double seconds)
{
    fflush(stdout);
    fprintf(stderr, "%zu row%s timed", tally->ok, tally->ok == 1 ? "" : "s");
    struct {
        size_t count;
        const char *what;
    } others[] = {{tally->wrong, "WRONG"},
                  {tally->failed, "failed"},
                  {tally->unsupported, "unsupported"},
                  {tally->not_run, "not run"}};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); ++i)
        if (others[i].count)
            fprintf(stderr, ", %zu %s", others[i].count, others[i].what);
    fprintf(stderr, ", in %.0f s\n", seconds);
}

static int run(const struct kernels_options *o)
{
    static struct qm_kernel_plan plan;
    static struct qm_device_list list;
    struct qm_kernel_plan_item *items = NULL;
    struct qm_node *sweep = NULL, *before = NULL;
    struct qm_kernel_sweep_tally tally = {0};
    enum qm_form print = QM_FORM_TABLE, written = QM_FORM_JSON;
    char cache[QM_PATH_BYTES];
    size_t count = 0;
    enum qm_status status;
    qm_interrupt_watch();
    qm_file_limit_ignore();
    QM_GUARD(qm_progress_choose(o->progress));
    QM_GUARD(qm_form_find(o->print, &print));
    if (o->out)
        QM_GUARD(qm_form_of_path(o->out, &written));
    QM_GUARD(read_plan(o, &plan));
    QM_GUARD(qm_kernel_plan_items(&plan, &items, &count));
    if (o->compare)
        QM_GUARD(qm_kernel_sweep_load(o->compare, &before));
    QM_GUARD(qm_chosen_devices(o->devices, &list));
    QM_GUARD(qm_cache_open(cache));
    struct qm_progress_line line;
    qm_progress_begin(&line, "kernels", 0);
    struct qm_kernel_sweep_params params = {.plan = &plan,
                                            .items = items,
                                            .item_count = count,
                                            .devices = &list,
                                            .cache_dir = cache,
                                            .ceilings_budget_ns = o->no_ceilings ? 0 : CEILINGS_BUDGET_NS,
                                            .progress = qm_progress_show,
                                            .progress_context = &line};
    status = qm_kernel_sweep_run(&params, &sweep, &tally);
    double seconds = qm_progress_end(&line);
    if (status == QM_OK && before)
        status = qm_kernel_sweep_compare(sweep, before, o->compare);
    QM_GUARD(status);
    if (o->out)
        QM_GUARD(write_report(sweep, o->out, written));
    QM_GUARD(print_report(sweep, print));
    tell(&tally, seconds);
done:
    free(items);
    qm_node_destroy(&sweep);
    qm_node_destroy(&before);
    if (status != QM_OK && qm_interrupted()) {
        fprintf(stderr, "qmark: interrupted before the first row\n");
        return QM_EXIT_INTERRUPTED;
    }
    return status == QM_OK ? exit_of(&tally) : qm_verb_fail(status);
}

int qm_verb_kernels(int argc, char **argv)
{
    struct kernels_options o = {
        .print = "table", .progress = "text", .context = UINT64_MAX, .seconds = UINT64_MAX, .row_ms = UINT64_MAX};
    const struct qm_option options[] = {
        {"profile", QM_OPTION_TEXT, &o.profile, "NAME|FILE", "what to run; llm-shapes if not given"},
        {"device", QM_OPTION_TEXT, &o.devices, "LIST",
         "only these: ids (vulkan:0), APIs or drivers, with commas between"},
        {"model", QM_OPTION_TEXT, &o.lists.models, "LIST", "whose layers: 1b, 3b, 8b, 70b (Llama 3.x)"},
        {"layer", QM_OPTION_TEXT, &o.layers, "LIST", "which of them: q, kv, up, down, head"},
        {"shape", QM_OPTION_TEXT, &o.lists.shapes, "LIST", "in place of models: MxNxK, rows x outputs x inputs"},
        {"rows", QM_OPTION_TEXT, &o.lists.rows, "LIST", "rows of activations: 1,8,512"},
        {"kernel", QM_OPTION_TEXT, &o.lists.kernels, "LIST", "matvec, matmul, dequantize, attention, activations, ..."},
        {"format", QM_OPTION_TEXT, &o.lists.formats, "LIST", "of weights and activations: w4-f16, w8-a8, w4-f16-g64"},
        {"scheme", QM_OPTION_TEXT, &o.lists.schemes, "LIST", "the same by names of schemes: w4a16-g32"},
        {"kv", QM_OPTION_TEXT, &o.lists.kv, "LIST", "formats of the cache, of attention: f16, kv8"},
        {"tier", QM_OPTION_TEXT, &o.lists.tiers, "LIST", "best, base, texel, ...; best if not given"},
        {"tile", QM_OPTION_TEXT, &o.tiles, "LIST", "these tiles in place of those of a tier: narrow, wide"},
        {"context", QM_OPTION_WHOLE, &o.context, "N", "positions of attention"},
        {"row-ms", QM_OPTION_WHOLE, &o.row_ms, "N", "about how long a row is timed; five samples at least"},
        {"seconds", QM_OPTION_WHOLE, &o.seconds, "N", "begin no row after so many; 0: no limit"},
        {"no-ceilings", QM_OPTION_FLAG, &o.no_ceilings, NULL,
         "do not measure what the device gives at best: no shares"},
        {"compare", QM_OPTION_TEXT, &o.compare, "FILE", "the .json of an earlier sweep: ratios with intervals"},
        {"print", QM_OPTION_TEXT, &o.print, QM_FORM_WORDS, "table if not given"},
        {"out", QM_OPTION_TEXT, &o.out, "FILE", "write it there too, in the form of its ending: .json, .csv, .md, ..."},
        {"progress", QM_OPTION_TEXT, &o.progress, "text|none|json", "on standard error; text if not given"},
    };
    const struct qm_command command = {
        .verb = "kernels",
        .operands = "",
        .meaning = "Time kernels alone, each beside its error and the device's ceiling.",
        .details =
            "Kernel only: no model is run, and nothing is said of a model's accuracy. Of each row a sample of the\n"
            "outputs is checked in double before it is timed; one that is wrong has no speed.\n"
            "Exit code: 4 if a kernel is wrong, 5 if rows failed.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    bool done = false;
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    return done ? QM_EXIT_OK : run(&o);
}
