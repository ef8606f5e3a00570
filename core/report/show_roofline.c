#include "report/show_roofline.h"

#include "record/node.h"
#include "record/result.h"
#include "report/table.h"

#include <string.h>

static const char *name_of(const struct qm_node *scheme)
{
    return qm_node_text_at(scheme, "name", "?");
}

static const struct qm_node *kind_of(const struct qm_node *result, const char *kind)
{
    const struct qm_node *kinds = qm_node_get(result, "ceilings.kinds");
    for (size_t i = 0; i < qm_node_count(kinds); i++)
        if (strcmp(qm_node_text_at(qm_node_at(kinds, i), "kind", ""), kind) == 0)
            return qm_node_at(kinds, i);
    return NULL;
}

// ---- Shares -------------------------------------------------------------------------------------------------------

// The least time over the time taken of all shapes of a scheme whose kernel is called so, "matmul" or "matvec". Negative
// where none has a share.
static double share_of(const struct qm_node *scheme, const char *kernel)
{
    const struct qm_node *rows = qm_node_child(scheme, "kernels");
    double taken = 0, least = 0;
    for (size_t i = 0; i < qm_node_count(rows); i++) {
        const struct qm_node *row = qm_node_at(rows, i);
        double time_us = 0, share = 0;
        if (strncmp(qm_node_text_at(row, "name", ""), kernel, strlen(kernel)) != 0 ||
            !qm_node_double_at(row, "time_us", &time_us) || !qm_node_double_at(row, "share", &share))
            continue;
        taken += time_us;
        least += time_us * share;
    }
    return taken > 0 ? least / taken : -1;
}

static void print_shares(const struct qm_node *result, const char *kernel, const char *phase, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    size_t count = 0;
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        double share = share_of(qm_node_at(schemes, i), kernel);
        if (share >= 0)
            fprintf(file, "%s%s %.0f %%", count++ ? ", " : phase, name_of(qm_node_at(schemes, i)), share * 100);
    }
}

void qm_show_ceilings(const struct qm_node *result, FILE *file)
{
    static const char *const kinds[] = {"fp32", "fp16", "int32", "dot8", "matrix", "read", "write", "copy"};
    const struct qm_node *ceilings = qm_node_child(result, "ceilings"), *schemes = qm_node_child(result, "schemes");
    size_t count = 0;
    bool has_shares = false;
    if (!qm_node_is_mapping(ceilings))
        return;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct qm_node *kind = kind_of(result, kinds[i]);
        char rate[QM_SHOW_NUMBER_BYTES];
        if (!qm_node_child(kind, "rate"))
            continue;
        qm_show_number(qm_node_child(kind, "rate"), rate);
        fprintf(file, "%s%s %s %s", count++ ? ", " : "  ceilings: ", kinds[i], rate,
                qm_node_text_at(kind, "unit", "?"));
    }
    fprintf(file, "%s\n", count ? "; --kernels lists all" : "  ceilings: none could be measured");
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        has_shares = has_shares || share_of(qm_node_at(schemes, i), "matmul") >= 0 ||
                     share_of(qm_node_at(schemes, i), "matvec") >= 0;
    if (!has_shares)
        return;
    fputs("  products reach of them:", file);
    print_shares(result, "matmul", " prefill ", file);
    print_shares(result, "matvec", "; decode ", file);
    fputc('\n', file);
}

void qm_weak_baseline_caution(struct qm_text *out, const struct qm_node *result)
{
    static const char *const kernels[] = {"matmul", "matvec"}, *const phases[] = {"prefill", "decode"};
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    const char *baseline = qm_node_text_at(result, "profile.baseline", "");
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        for (size_t k = 0; strcmp(name_of(qm_node_at(schemes, i)), baseline) == 0 && k < 2; k++) {
            double share = share_of(qm_node_at(schemes, i), kernels[k]);
            if (share >= 0 && share < QM_SHOW_WEAK_SHARE)
                qm_text_append(out,
                               "%s of the baseline %s reaches %.0f %% of its ceiling: gains over it may come from its "
                               "slow kernels\n",
                               phases[k], baseline, share * 100);
        }
    }
}

// ---- Tables -------------------------------------------------------------------------------------------------------

static void add_number(struct qm_table *table, const struct qm_node *node)
{
    char text[QM_SHOW_NUMBER_BYTES] = "";
    if (node)
        qm_show_number(node, text);
    qm_table_cell(table, "%s", text);
}

static void columns(struct qm_table *table, const char *const *titles, const bool *is_right, size_t count)
{
    for (size_t i = 0; i < count; i++)
        qm_table_column(table, titles[i], is_right[i]);
}

static enum qm_status finish(struct qm_table **table, const struct qm_show_style *style, FILE *file)
{
    fputc('\n', file);
    enum qm_status status = qm_table_write(*table, file, style->columns, style->is_fancy);
    qm_table_destroy(table);
    return status;
}

static enum qm_status show_kinds(const struct qm_node *kinds, const struct qm_show_style *style, FILE *file)
{
    static const char *const titles[] = {"ceiling", "rate", "unit", "lanes", "chains", "workgroup", "bytes", "probe"};
    static const bool is_right[] = {false, true, false, true, true, true, true, false};
    struct qm_table *table = qm_table_create();
    columns(table, titles, is_right, sizeof(titles) / sizeof(titles[0]));
    for (size_t i = 0; i < qm_node_count(kinds); i++) {
        const struct qm_node *kind = qm_node_at(kinds, i);
        qm_table_row(table);
        qm_table_cell(table, "%s", qm_node_text_at(kind, "kind", "?"));
        if (!qm_node_child(kind, "rate")) {
            qm_table_span(table, "%s: %s", qm_node_text_at(kind, "status", "?"), qm_node_text_at(kind, "reason", "?"));
            continue;
        }
        add_number(table, qm_node_child(kind, "rate"));
        qm_table_cell(table, "%s", qm_node_text_at(kind, "unit", "?"));
        add_number(table, qm_node_child(kind, "vector_width"));
        add_number(table, qm_node_child(kind, "chains"));
        add_number(table, qm_node_child(kind, "workgroup"));
        add_number(table, qm_node_child(kind, "bytes"));
        const char *note = qm_node_text_at(kind, "note", NULL);
        qm_table_span(table, "%s %s%s%s", qm_node_text_at(kind, "probe", ""), qm_node_text_at(kind, "tile", ""),
                      note ? "; " : "", note ? note : "");
    }
    return finish(&table, style, file);
}

static enum qm_status show_bandwidth(const struct qm_node *sizes, const struct qm_show_style *style, FILE *file)
{
    static const char *const titles[] = {"bytes", "read GB/s", "write GB/s", "copy GB/s"};
    static const bool is_right[] = {true, true, true, true};
    struct qm_table *table = qm_table_create();
    columns(table, titles, is_right, sizeof(titles) / sizeof(titles[0]));
    for (size_t i = 0; i < qm_node_count(sizes); i++) {
        const struct qm_node *size = qm_node_at(sizes, i);
        qm_table_row(table);
        add_number(table, qm_node_child(size, "bytes"));
        add_number(table, qm_node_child(size, "read"));
        add_number(table, qm_node_child(size, "write"));
        add_number(table, qm_node_child(size, "copy"));
    }
    return finish(&table, style, file);
}

static bool was_shown(const struct qm_node *schemes, size_t scheme, const struct qm_node *row)
{
    for (size_t s = 0; s < scheme; s++) {
        const struct qm_node *rows = qm_node_child(qm_node_at(schemes, s), "kernels");
        for (size_t i = 0; i < qm_node_count(rows); i++) {
            const struct qm_node *other = qm_node_at(rows, i);
            if (qm_node_child(other, "rate") &&
                strcmp(qm_node_text_at(other, "name", ""), qm_node_text_at(row, "name", "")) == 0 &&
                strcmp(qm_node_text_at(other, "shape", ""), qm_node_text_at(row, "shape", "")) == 0)
                return true;
        }
    }
    return false;
}

static enum qm_status show_kernels(const struct qm_node *schemes, const struct qm_show_style *style, FILE *file)
{
    static const char *const titles[] = {"kernel",  "shape",   "tile",  "us",    "rate", "unit",
                                         "op/byte", "ceiling", "share", "error", "bound"};
    static const bool is_right[] = {false, false, false, true, true, false, true, false, true, true, true};
    struct qm_table *table = qm_table_create();
    columns(table, titles, is_right, sizeof(titles) / sizeof(titles[0]));
    for (size_t s = 0; s < qm_node_count(schemes); s++) {
        const struct qm_node *rows = qm_node_child(qm_node_at(schemes, s), "kernels");
        for (size_t i = 0; i < qm_node_count(rows); i++) {
            const struct qm_node *row = qm_node_at(rows, i);
            double share = 0;
            if (!qm_node_child(row, "rate") || was_shown(schemes, s, row)) // schemes share kernels
                continue;
            qm_table_row(table);
            qm_table_cell(table, "%s", qm_node_text_at(row, "name", "?"));
            qm_table_cell(table, "%s", qm_node_text_at(row, "shape", "?"));
            qm_table_cell(table, "%s", qm_node_text_at(row, "tile", "?"));
            add_number(table, qm_node_child(row, "time_us"));
            add_number(table, qm_node_child(row, "rate"));
            qm_table_cell(table, "%s", qm_node_text_at(row, "unit", "?"));
            add_number(table, qm_node_child(row, "intensity"));
            qm_table_cell(table, "%s", qm_node_text_at(row, "ceiling", "not measured"));
            if (qm_node_double_at(row, "share", &share))
                qm_table_cell(table, "%.0f %%", share * 100);
            else
                qm_table_cell(table, "%s", "");
            add_number(table, qm_node_child(row, "checked_error"));
            add_number(table, qm_node_child(row, "bound"));
        }
    }
    fputs("\nkernels alone, at the model's shapes; accuracy is that of the schemes above", file);
    return finish(&table, style, file);
}

enum qm_status qm_show_roofline(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    const struct qm_node *ceilings = qm_node_child(result, "ceilings");
    if (!qm_node_is_mapping(ceilings)) {
        fputs("\nceilings: not measured\n", file);
    } else {
        QM_TRY(show_kinds(qm_node_child(ceilings, "kinds"), style, file));
        QM_TRY(show_bandwidth(qm_node_child(ceilings, "bandwidth"), style, file));
    }
    return show_kernels(qm_node_child(result, "schemes"), style, file);
}
