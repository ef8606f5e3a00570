#include "report/reproduce_report.h"

#include "report/table.h"

enum {
    CELL_BYTES = 160
};

static void number_text(double value, char *text, size_t capacity)
{
    double size = value < 0 ? -value : value;
    snprintf(text, capacity, size >= 1000 && size < 1e9 ? "%.0f" : "%.4g", value);
}

static void interval_text(double value, double low, double high, bool has_interval, char text[CELL_BYTES])
{
    char numbers[3][32];
    number_text(value, numbers[0], sizeof(numbers[0]));
    number_text(low, numbers[1], sizeof(numbers[1]));
    number_text(high, numbers[2], sizeof(numbers[2]));
    if (has_interval)
        snprintf(text, CELL_BYTES, "%s [%s, %s]", numbers[0], numbers[1], numbers[2]);
    else
        snprintf(text, CELL_BYTES, "%s", numbers[0]);
}

// Of speed how much faster, in percent; else how much more.
static void margin_text(const struct qm_reproduced_claim *row, char text[CELL_BYTES])
{
    if (!qm_reproduced_kind_is_speed(row->kind))
        snprintf(text, CELL_BYTES, "%+.3g", row->margin);
    else if (row->has_margin_interval)
        snprintf(text, CELL_BYTES, "%+.1f %% [%+.1f, %+.1f]", 100 * (row->margin - 1), 100 * (row->margin_low - 1),
                 100 * (row->margin_high - 1));
    else
        snprintf(text, CELL_BYTES, "%+.1f %%", 100 * (row->margin - 1));
}

static void accuracy_text(const struct qm_reproduced_claim *row, char text[CELL_BYTES])
{
    if (row->kl_claimed < 0 || row->kl_here < 0)
        snprintf(text, CELL_BYTES, "accuracy: not measured");
    else
        snprintf(text, CELL_BYTES, "%.3g, %.3g", row->kl_claimed, row->kl_here);
}

static void write_row(struct qm_table *table, const struct qm_reproduced_claim *row)
{
    char text[CELL_BYTES];
    qm_table_row(table);
    qm_table_cell(table, "%s", row->scheme);
    qm_table_cell(table, "%s%s%s", row->what, row->unit[0] ? ", " : "", row->unit);
    accuracy_text(row, text);
    qm_table_cell(table, "%s", text);
    if (row->has_numbers) {
        interval_text(row->claimed, row->claimed_low, row->claimed_high, row->has_claimed_interval, text);
        qm_table_cell(table, "%s", text);
        interval_text(row->here, row->here_low, row->here_high, row->has_here_interval, text);
        qm_table_cell(table, "%s", text);
        margin_text(row, text);
        qm_table_cell(table, "%s", text);
    } else {
        for (int i = 0; i < 3; ++i)
            qm_table_cell(table, "-");
    }
    qm_table_span(table, "%s%s%s", qm_repeated_verdict_name(row->verdict), row->reason[0] ? ": " : "", row->reason);
}

enum qm_status qm_reproduce_write_table(const struct qm_reproduction *reproduction, const struct qm_show_style *style,
                                        FILE *file)
{
    struct qm_table *table = qm_table_create();
    fprintf(file, "claimed of %s\n", reproduction->claimed_device);
    fprintf(file, "run on     %s%s\n", reproduction->device, reproduction->is_same_device ? "" : ": another device");
    for (size_t i = 0; i < reproduction->note_count; ++i)
        fprintf(file, "note: %s\n", reproduction->notes[i]);
    fputc('\n', file);
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "claim", false);
    qm_table_column(table, "KL mean claimed, here", false);
    qm_table_column(table, "claimed", true);
    qm_table_column(table, "here", true);
    qm_table_column(table, "margin", true);
    qm_table_column(table, "verdict", false);
    for (size_t i = 0; i < reproduction->count; ++i)
        write_row(table, &reproduction->rows[i]);
    enum qm_status status = qm_table_write(table, file, 0, style->is_fancy);
    qm_table_destroy(&table);
    fprintf(file, "\n%s\n", reproduction->summary);
    return status;
}

static void set_interval(struct qm_node *row, const char *key, double value, double low, double high, bool has_interval)
{
    struct qm_node *node = qm_node_add_mapping(row, key);
    qm_node_set_double(node, "value", value);
    if (has_interval) {
        qm_node_set_double(node, "low", low);
        qm_node_set_double(node, "high", high);
    } else {
        qm_node_set_text(node, "low", "no interval");
        qm_node_set_text(node, "high", "no interval");
    }
}

struct qm_node *qm_reproduce_tree(const struct qm_reproduction *reproduction)
{
    struct qm_node *root = qm_node_new_mapping();
    qm_node_set_text(root, "summary", reproduction->summary);
    qm_node_set_text(root, "claimed_device", reproduction->claimed_device);
    qm_node_set_text(root, "device", reproduction->device);
    qm_node_set_bool(root, "same_device", reproduction->is_same_device);
    qm_node_set_u64(root, "hold", reproduction->of[QM_REPEATED_HOLDS]);
    qm_node_set_u64(root, "do_not_hold", reproduction->of[QM_REPEATED_DOES_NOT_HOLD]);
    qm_node_set_u64(root, "cannot_be_told", reproduction->of[QM_REPEATED_CANNOT_BE_TOLD]);
    qm_node_set_u64(root, "not_applicable", reproduction->of[QM_REPEATED_NOT_APPLICABLE]);
    struct qm_node *notes = qm_node_add_sequence(root, "notes");
    for (size_t i = 0; i < reproduction->note_count; ++i)
        qm_node_append_text(notes, reproduction->notes[i]);
    struct qm_node *list = qm_node_add_sequence(root, "claims");
    for (size_t i = 0; i < reproduction->count; ++i) {
        const struct qm_reproduced_claim *row = &reproduction->rows[i];
        struct qm_node *node = qm_node_append_mapping(list);
        qm_node_set_text(node, "scheme", row->scheme);
        qm_node_set_text(node, "kind", qm_reproduced_kind_name(row->kind));
        qm_node_set_text(node, "claim", row->what);
        qm_node_set_text(node, "verdict", qm_repeated_verdict_name(row->verdict));
        qm_node_set_text(node, "reason", row->reason);
        if (row->kl_claimed >= 0 && row->kl_here >= 0) {
            qm_node_set_double(node, "kl_divergence_mean_claimed", row->kl_claimed);
            qm_node_set_double(node, "kl_divergence_mean_here", row->kl_here);
        } else {
            qm_node_set_text(node, "accuracy", "not measured");
        }
        if (row->has_numbers) {
            qm_node_set_text(node, "unit", row->unit);
            set_interval(node, "claimed", row->claimed, row->claimed_low, row->claimed_high, row->has_claimed_interval);
            set_interval(node, "here", row->here, row->here_low, row->here_high, row->has_here_interval);
            set_interval(node, "margin", row->margin, row->margin_low, row->margin_high, row->has_margin_interval);
        }
        if (row->allowed > 0)
            qm_node_set_double(node, "allowed", row->allowed);
        if (row->runs_needed > 0)
            qm_node_set_u64(node, "runs_needed", row->runs_needed);
        if (row->runs_needed > 0 && reproduction->seconds_per_run > 0)
            qm_node_set_double(node, "seconds_needed", reproduction->seconds_per_run * (double)row->runs_needed);
    }
    return root;
}
