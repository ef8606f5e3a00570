#include "base/text.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "record/compare.h"
#include "record/compare_rates.h"
#include "record/node.h"
#include "record/result_set.h"
#include "report/compare_report.h"
#include "report/table.h"
#include "sys/parallel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAIRS_MAX = 8, // results of which every pair is compared; of more, each with the first
    BATCH = 250    // comparisons that are held at a time
};

struct work {
    const struct qm_result_set *set;
    size_t a, first; // the results first, first + 1, ... are compared with a
    size_t count;
    struct qm_comparison comparisons[BATCH];
    enum qm_status statuses[BATCH];
    struct qm_show_style style;
    enum qm_form form;
    bool is_many, is_any_not, is_first;
    struct qm_node *pairs;  // of JSON
    struct qm_table *table; // of one with many
    struct qm_export export;
};

static void compare_range(void *context, size_t begin, size_t end)
{
    struct work *work = context;
    for (size_t i = begin; i < end; i++)
        work->statuses[i] = qm_compare(work->set->entries[work->a].result, work->set->entries[work->first + i].result,
                                       &work->comparisons[i]);
}

static enum qm_status report(struct work *work, size_t i)
{
    const struct qm_result_entry *a = &work->set->entries[work->a], *b = &work->set->entries[work->first + i];
    const struct qm_comparison *comparison = &work->comparisons[i];
    work->is_any_not = work->is_any_not || comparison->pair == QM_NOT_COMPARABLE;
    if (work->form == QM_FORM_JSON) {
        qm_compare_add_json(work->pairs, a, b, comparison, !work->is_many);
    } else if (work->form != QM_FORM_TABLE) {
        return qm_compare_export(&work->export, a, b, comparison);
    } else if (work->is_many) {
        qm_compare_many_row(work->table, b, comparison);
    } else {
        fputs(work->is_first ? "" : "\n", stdout);
        work->is_first = false;
        return qm_compare_show(a, b, comparison, &work->style, stdout);
    }
    return QM_OK;
}

// One result with all that come after it.
static enum qm_status compare_with(struct work *work, size_t a)
{
    enum qm_status status = QM_OK;
    work->a = a;
    for (work->first = a + 1; work->first < work->set->count && status == QM_OK; work->first += work->count) {
        work->count = work->set->count - work->first < BATCH ? work->set->count - work->first : BATCH;
        qm_parallel_for(work->count, compare_range, work);
        for (size_t i = 0; i < work->count; i++) {
            if (status == QM_OK)
                status = work->statuses[i] == QM_OK
                             ? report(work, i)
                             : QM_FAIL(work->statuses[i], "no memory to compare; compare fewer results at a time");
            qm_comparison_free(&work->comparisons[i]);
        }
    }
    return status;
}

// ---- Groups of many ---------------------------------------------------------------------------------------------------

struct keys {
    const struct qm_result_set *set;
    struct qm_compare_key *keys;
    size_t *groups;
    size_t group_count;
};

static void key_range(void *context, size_t begin, size_t end)
{
    struct keys *keys = context;
    for (size_t i = begin; i < end; i++) // without memory a key is empty, and its result is in no group
        (void)!qm_compare_key_of(keys->set->entries[i].result, &keys->keys[i]);
}

static enum qm_status group(struct keys *keys)
{
    size_t count = keys->set->count;
    keys->keys = calloc(count + 1, sizeof(*keys->keys));
    keys->groups = calloc(count + 1, sizeof(*keys->groups));
    if (!keys->keys || !keys->groups)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to group %zu results", count);
    qm_parallel_for(count, key_range, keys);
    return qm_compare_group(keys->keys, count, keys->groups, &keys->group_count);
}

static enum qm_status compare_many(struct work *work, struct qm_node *root)
{
    struct keys keys = {.set = work->set};
    enum qm_status status = QM_OK;
    char device[160];
    const struct qm_result_entry *first = &work->set->entries[0];
    const bool is_json = work->form == QM_FORM_JSON, is_table = work->form == QM_FORM_TABLE;
    work->table = is_table ? qm_compare_many_begin() : NULL;
    QM_GUARD(compare_with(work, 0));
    if (is_json || is_table)
        QM_GUARD(group(&keys));
    if (is_json) {
        qm_compare_groups_json(qm_node_add_sequence(root, "groups"), work->set, keys.groups, keys.group_count);
    } else if (is_table) {
        snprintf(device, sizeof(device), "%.100s, %.40s", qm_node_text_at(first->result, "device.name", "?"),
                 qm_node_text_at(first->result, "device.api", "?"));
        qm_text_clean(device);
        printf("A: %s (%s)%s; %zu others with it, each by the first scheme that can be compared\n\n", first->path,
               device, first->is_intact ? "" : ", CHANGED: its hash is not that of its content", work->set->count - 1);
        QM_GUARD(qm_table_write(work->table, stdout, work->style.columns, work->style.is_fancy));
        printf("%s\n", qm_rate_pair_note);
        qm_compare_show_groups(work->set, keys.groups, keys.group_count, stdout);
    }
done:
    for (size_t i = 0; keys.keys && i < work->set->count; i++)
        qm_compare_key_free(&keys.keys[i]);
    free(keys.keys);
    free(keys.groups);
    qm_table_destroy(&work->table);
    return status;
}

// ---- The verb -------------------------------------------------------------------------------------------------------

static int by_order(const void *a, const void *b)
{
    const struct qm_result_entry *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

static enum qm_status compare_all(const char *const *paths, size_t count, struct work *work)
{
    struct qm_result_set set;
    struct qm_node *root = NULL;
    QM_TRY(qm_result_set_load(paths, count, &set));
    enum qm_status status = QM_OK;
    if (set.count < 2)
        QM_GUARD(QM_FAIL(QM_INVALID, "compare: %s: one result alone; name another file or directory", paths[0]));
    qsort(set.entries, set.count, sizeof(*set.entries), by_order);
    work->set = &set;
    work->is_many = set.count > PAIRS_MAX;
    if (work->form == QM_FORM_JSON) {
        root = qm_node_new_mapping();
        work->pairs = qm_node_add_sequence(root, "pairs");
    }
    if (work->form == QM_FORM_MARKDOWN)
        qm_export_begin(&work->export, work->form, qm_compare_markdown_columns, QM_COMPARE_MARKDOWN_COLUMNS, stdout);
    else if (work->form != QM_FORM_TABLE && work->form != QM_FORM_JSON)
        qm_export_begin(&work->export, work->form, qm_compare_columns, QM_COMPARE_COLUMNS, stdout);
    if (work->is_many)
        QM_GUARD(compare_many(work, root));
    for (size_t i = 0; !work->is_many && i + 1 < set.count; i++)
        QM_GUARD(compare_with(work, i));
    if (work->form == QM_FORM_MARKDOWN) {
        fputc('\n', stdout);
        qm_export_markdown(qm_rate_pair_note, stdout);
        fputc('\n', stdout);
    }
    if (set.skipped > 0 && work->form == QM_FORM_TABLE)
        printf("\n%zu file%s *.yaml of the directories %s no result\n", set.skipped, set.skipped == 1 ? "" : "s",
               set.skipped == 1 ? "is" : "are");
    if (work->form == QM_FORM_JSON && qm_verb_print_json(&root) != QM_EXIT_OK)
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the output; compare fewer results at a time");
done:
    qm_node_destroy(&root);
    qm_result_set_free(&set);
    return status;
}

int qm_verb_compare(int argc, char **argv)
{
    static struct work work;
    const char *print = NULL;
    bool done = false, as_json = false, as_csv = false;
    work = (struct work){.style = qm_show_style_of(1), .is_first = true};
    const struct qm_option options[] = {
        {"points", QM_OPTION_FLAG, &work.style.with_points, NULL, "list every point, not only the first of each phase"},
        {"print", QM_OPTION_TEXT, &print, QM_FORM_WORDS, "table if not given; docs/EXPORTS.md has the columns"},
        {"json", QM_OPTION_FLAG, &as_json, NULL, "the same as --print json: verdicts, differences and ratios"},
        {"csv", QM_OPTION_FLAG, &as_csv, NULL, "the same as --print csv: a line per ratio"},
    };
    const struct qm_command command = {
        .verb = "compare",
        .operands = "A B...",
        .operands_min = 1,
        .operands_max = 2000,
        .meaning = "Say of each pair of results whether they are comparable, why not, and how much faster one is.",
        .details =
            "A directory stands for all results in it. Of more than 8 results each is compared with the first, and\n"
            "groups are told in which each is comparable with each other. Exit code: 0 if all pairs are\n"
            "comparable, with notes or without; 13 if one is not. A pair is comparable if a scheme of it is.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **files = NULL;
    size_t count = 0;
    enum qm_status status = qm_command_parse(&command, argc, argv, &files, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    if (as_json + as_csv + (print != NULL) > 1)
        return qm_verb_fail(QM_FAIL(QM_INVALID, "compare: two of --print, --json and --csv at once; choose one"));
    work.form = as_json ? QM_FORM_JSON : as_csv ? QM_FORM_CSV : QM_FORM_TABLE;
    if (print)
        status = qm_form_find(print, &work.form);
    if (status == QM_OK)
        status = compare_all(files, count, &work);
    if (status != QM_OK)
        return qm_verb_fail(status);
    return work.is_any_not ? QM_EXIT_NOT_COMPARABLE : QM_EXIT_OK;
}
