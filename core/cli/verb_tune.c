#include "bench/tune_run.h"
#include "cli/chosen_devices.h"
#include "cli/kernel_options.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "sys/file.h"
#include "sys/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tune_options {
    const char *profile, *devices, *progress;
    struct qm_kernel_options lists;
    uint64_t seconds;
    bool is_anew, shows_candidates;
};

static enum qm_status read_plan(const struct tune_options *o, struct qm_kernel_plan *plan)
{
    QM_TRY(qm_kernel_plan_load(o->profile ? o->profile : "tune", plan));
    plan->growth_models.count = plan->growth_layers.count = plan->growth_sizes.count = plan->growth_rows.count = 0;
    if (o->lists.models && !o->lists.shapes)
        plan->shape_count = 0;
    return qm_kernel_options_read(&o->lists, plan);
}

static void tell(void *context, const struct qm_device_entry *device, const struct qm_tuned_entry *entry, bool is_kept,
                 const char *const *candidates, size_t count)
{
    const struct tune_options *o = context;
    for (size_t i = 0; o->shows_candidates && i < count; ++i)
        printf("    %s\n", candidates[i]);
    printf("%-12s %-28s ", device->id, entry->variant);
    if (entry->reason[0])
        printf("failed: %s\n", entry->reason);
    else if (!entry->settings[0])
        printf("fixed is fastest of %u%s%s\n", entry->tried + 1, entry->is_complete ? "" : ", search cut short",
               is_kept ? ", found before" : "");
    else
        printf("%.2fx (%.2f to %.2f) with %s%s%s\n", entry->ratio, entry->low, entry->high, entry->settings,
               entry->is_complete ? "" : ", search cut short", is_kept ? ", found before" : "");
    fflush(stdout);
}

static int exit_of(const struct qm_tune_tally *tally)
{
    if (tally->is_interrupted)
        return QM_EXIT_INTERRUPTED;
    return tally->failed ? QM_EXIT_SOME_FAILED : QM_EXIT_OK;
}

static int run(struct tune_options *o)
{
    static struct qm_kernel_plan plan;
    static struct qm_device_list list;
    struct qm_kernel_plan_item *items = NULL;
    struct qm_tune_tally tally = {0};
    char cache[QM_PATH_BYTES], store[QM_PATH_BYTES];
    size_t count = 0;
    enum qm_status status;
    qm_interrupt_watch();
    qm_file_limit_ignore();
    QM_GUARD(qm_progress_choose(o->progress));
    QM_GUARD(read_plan(o, &plan));
    QM_GUARD(qm_kernel_plan_items(&plan, &items, &count));
    QM_GUARD(qm_chosen_devices(o->devices, &list));
    QM_GUARD(qm_cache_open(cache));
    QM_GUARD(qm_path_join(store, cache, QM_TUNED_FILE));
    struct qm_progress_line line;
    qm_progress_begin(&line, "tune", 0);
    struct qm_tune_run_params params = {.items = items,
                                        .item_count = count,
                                        .devices = &list,
                                        .store = store,
                                        .cache_dir = cache,
                                        .seconds = o->seconds,
                                        .is_anew = o->is_anew,
                                        .progress = qm_progress_show,
                                        .progress_context = &line,
                                        .tell = tell,
                                        .context = o};
    status = qm_tune_run(&params, &tally);
    double seconds = qm_progress_end(&line);
    QM_GUARD(status);
    fprintf(stderr,
            "%zu kernels faster than fixed, %zu not, %zu known before, %zu failed, %zu left for want of time; %.0f s\n",
            tally.faster, tally.same, tally.kept, tally.failed, tally.left, seconds);
    fprintf(stderr, "kept in %s; a run takes them with 'tiles: tuned' in its profile, or --tiles tuned\n", store);
done:
    free(items);
    return status == QM_OK ? exit_of(&tally) : qm_verb_fail(status);
}

int qm_verb_tune(int argc, char **argv)
{
    struct tune_options o = {.progress = "text", .seconds = 600};
    const struct qm_option options[] = {
        {"device", QM_OPTION_TEXT, &o.devices, "LIST",
         "only these: ids (vulkan:0), APIs or drivers, with commas between"},
        {"scheme", QM_OPTION_TEXT, &o.lists.schemes, "LIST", "kernels of these schemes: f16,w8a8"},
        {"format", QM_OPTION_TEXT, &o.lists.formats, "LIST", "or of these weights and activations: w4-f16"},
        {"kernel", QM_OPTION_TEXT, &o.lists.kernels, "LIST", "only these: matmul, matvec, attention, ..."},
        {"kv", QM_OPTION_TEXT, &o.lists.kv, "LIST", "formats of the cache, of attention: f16, kv8"},
        {"shape", QM_OPTION_TEXT, &o.lists.shapes, "LIST", "at these shapes: MxNxK, rows x outputs x inputs"},
        {"model", QM_OPTION_TEXT, &o.lists.models, "LIST",
         "or at those of layers of 1b, 3b, 8b, 70b; the built-in model's if not given"},
        {"rows", QM_OPTION_TEXT, &o.lists.rows, "LIST", "rows of activations: 1,8,512"},
        {"tier", QM_OPTION_TEXT, &o.lists.tiers, "LIST", "of these tiers; the best if not given"},
        {"profile", QM_OPTION_TEXT, &o.profile, "NAME|FILE", "another profile of kernels; tune if not given"},
        {"seconds", QM_OPTION_WHOLE, &o.seconds, "N", "of the whole search; 600 if not given, 0: no limit"},
        {"again", QM_OPTION_FLAG, &o.is_anew, NULL, "tune what was tuned before, too"},
        {"candidates", QM_OPTION_FLAG, &o.shows_candidates, NULL, "list every configuration that was tried"},
        {"progress", QM_OPTION_TEXT, &o.progress, "text|none|json", "on standard error; text if not given"},
    };
    const struct qm_command command = {
        .verb = "tune",
        .operands = "",
        .meaning = "Search faster configurations of kernels for the devices here.",
        .details =
            "Each candidate is checked before it is timed, in turns with the best so far; the best is timed once more\n"
            "against the fixed configuration, and kept only if the whole interval of the ratio is above 1. What is\n"
            "found is kept at once: after Ctrl-C the next call goes on with the kernels that are left.\n"
            "Exit code: 5 if kernels failed.",
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
