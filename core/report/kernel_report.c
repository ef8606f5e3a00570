#include "report/kernel_report.h"

#include "base/text.h"
#include "record/node.h"
#include "report/export.h"
#include "report/table.h"

#include <stdlib.h>
#include <string.h>

#define LABEL "kernel only: no model accuracy"

enum {
    WIDTH = 98,
    BAR = 30, // columns of a curve's longest bar
    POINTS_MAX = 256
};
#define KNEE 0.9 // of the best rate

static const char *text_at(const struct qm_node *row, const char *key)
{
    return qm_node_text_at(row, key, "");
}

// ---- Numbers ------------------------------------------------------------------------------------------------------

static void number(char text[32], double value, const char *otherwise, bool is_known)
{
    if (!is_known)
        snprintf(text, 32, "%s", otherwise);
    else if (value == 0)
        snprintf(text, 32, "0");
    else if (value >= 99.95)
        snprintf(text, 32, "%.0f", value);
    else if (value >= 9.995)
        snprintf(text, 32, "%.1f", value);
    else if (value >= 0.01)
        snprintf(text, 32, "%.*f", value >= 0.9995 ? 2 : 3, value);
    else
        snprintf(text, 32, "%.1e", value);
}

static void number_at(const struct qm_node *row, const char *key, double scale, char text[32])
{
    double value = 0;
    bool is_known = qm_node_double_at(row, key, &value);
    number(text, value * scale, "-", is_known);
}

static bool is_ok(const struct qm_node *row)
{
    return strcmp(text_at(row, "status"), "ok") == 0;
}

// "35 % fp32".
static void share_of(const struct qm_node *row, char text[48])
{
    double share = 0;
    if (qm_node_double_at(row, "share", &share))
        snprintf(text, 48, "%.0f %% %s", 100 * share, text_at(row, "ceiling"));
    else
        snprintf(text, 48, "-");
}

// The error as a part of its bound; "equal" where bits were compared.
static void error_of(const struct qm_node *row, char text[32])
{
    double error = 0, bound = 0;
    bool has_error = qm_node_double_at(row, "error", &error), has_bound = qm_node_double_at(row, "bound", &bound);
    if (!has_error)
        snprintf(text, 32, "-");
    else if (!has_bound)
        snprintf(text, 32, error == 0 ? "equal" : "differs");
    else
        number(text, bound > 0 ? error / bound : 0, "-", true);
}

static void spread_of(const struct qm_node *row, char text[80])
{
    char low[32], high[32];
    number_at(row, "p5_ns", 1e-6, low);
    number_at(row, "p95_ns", 1e-6, high);
    snprintf(text, 80, "%s..%s", low, high);
}

// ---- The table ----------------------------------------------------------------------------------------------------

// Rows of one kernel and format stand together, in the order in which they first came.
static bool is_same_kind(const struct qm_node *a, const struct qm_node *b)
{
    return strcmp(text_at(a, "kernel"), text_at(b, "kernel")) == 0 &&
           strcmp(text_at(a, "format"), text_at(b, "format")) == 0;
}

static void add_cells(struct qm_table *table, const struct qm_node *row)
{
    char text[80], small[32];
    qm_table_row(table);
    qm_table_cell(table, "  %s", text_at(row, "shape"));
    qm_table_cell(table, "%s", text_at(row, "device"));
    qm_table_cell(table, "%s", strcmp(text_at(row, "tile"), "none") == 0 ? "-" : text_at(row, "tile"));
    if (!is_ok(row)) {
        qm_table_span(table, "%s: %s", text_at(row, "status"), text_at(row, "reason"));
        return;
    }
    number_at(row, "median_ns", 1e-6, small);
    qm_table_cell(table, "%s", small);
    spread_of(row, text);
    qm_table_cell(table, "%s", text);
    number_at(row, "giga_operations_per_s", 1, small);
    qm_table_cell(table, "%s", small);
    number_at(row, "gb_per_s", 1, small);
    qm_table_cell(table, "%s", small);
    share_of(row, text);
    qm_table_cell(table, "%s", text);
    error_of(row, small);
    qm_table_cell(table, "%s", small);
}

static enum qm_status write_table(const struct qm_node *rows, unsigned columns, bool is_fancy, FILE *file)
{
    struct qm_table *table = qm_table_create();
    static const struct {
        const char *title;
        bool is_right;
    } titles[] = {{"kernel, shape", false}, {"device", false}, {"tile", false}, {"ms", true},
                  {"p5..p95 ms", true},     {"Gop/s", true},   {"GB/s", true},  {"share of", true},
                  {"error/bound", true}};
    size_t count = qm_node_count(rows);
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); ++i)
        qm_table_column(table, titles[i].title, titles[i].is_right);
    for (size_t i = 0; i < count; ++i) {
        const struct qm_node *row = qm_node_at(rows, i);
        bool is_first = true;
        for (size_t j = 0; j < i && is_first; ++j)
            is_first = !is_same_kind(qm_node_at(rows, j), row);
        if (!is_first)
            continue;
        const char *weights = text_at(row, "weights");
        bool has_format = strcmp(text_at(row, "format"), "none") != 0,
             has_weights = *weights && strcmp(weights, "none") != 0;
        qm_table_row(table);
        qm_table_span(table, "%s%s%s%s%s%s", text_at(row, "kernel"), has_format ? " " : "",
                      has_format ? text_at(row, "format") : "", has_weights ? " (" : "", has_weights ? weights : "",
                      has_weights ? ")" : "");
        for (size_t j = i; j < count; ++j)
            if (is_same_kind(qm_node_at(rows, j), row))
                add_cells(table, qm_node_at(rows, j));
    }
    enum qm_status status = qm_table_write(table, file, columns, is_fancy);
    qm_table_destroy(&table);
    return status;
}

// ---- Curves -------------------------------------------------------------------------------------------------------

static bool is_same_curve(const struct qm_node *a, const struct qm_node *b)
{
    return is_same_kind(a, b) && strcmp(text_at(a, "curve"), text_at(b, "curve")) == 0 &&
           strcmp(text_at(a, "device"), text_at(b, "device")) == 0 &&
           strcmp(text_at(a, "tile"), text_at(b, "tile")) == 0;
}

struct point {
    double rows, rate, share;
    bool has_share;
};

static int by_rows(const void *a, const void *b)
{
    double x = ((const struct point *)a)->rows, y = ((const struct point *)b)->rows;
    return (x > y) - (x < y);
}

// The first point from which on rates grow by little: at least KNEE of the best.
static double knee_of(const struct point *points, size_t count, double best)
{
    for (size_t i = 0; i < count; ++i)
        if (points[i].rate >= KNEE * best)
            return points[i].rows;
    return 0;
}

static void write_curve(const struct qm_node *rows, size_t first, FILE *file)
{
    static struct point points[POINTS_MAX];
    const struct qm_node *row = qm_node_at(rows, first);
    size_t count = 0;
    double best = 0;
    for (size_t i = first; i < qm_node_count(rows) && count < POINTS_MAX; ++i) {
        const struct qm_node *other = qm_node_at(rows, i);
        struct point p = {0};
        if (!is_ok(other) || !is_same_curve(row, other) || !qm_node_double_at(other, "rows", &p.rows) ||
            !qm_node_double_at(other, "giga_operations_per_s", &p.rate))
            continue;
        p.has_share = qm_node_double_at(other, "share", &p.share);
        best = p.rate > best ? p.rate : best;
        points[count++] = p;
    }
    if (count < 3)
        return;
    qsort(points, count, sizeof(*points), by_rows);
    bool is_cube = strcmp(text_at(row, "curve"), "cube") == 0;
    fprintf(file, "\n%s %s, %s, %s, tile %s: %s over %s; knee at %.0f\n", text_at(row, "kernel"),
            text_at(row, "format"), is_cube ? "cubes" : text_at(row, "curve"), text_at(row, "device"),
            text_at(row, "tile"), text_at(row, "operations_are"), is_cube ? "sizes" : "rows",
            knee_of(points, count, best));
    for (size_t i = 0; i < count; ++i) {
        char rate[32], share[32] = "", bar[BAR + 1] = "";
        int length = best > 0 ? (int)(points[i].rate / best * BAR + 0.5) : 0;
        memset(bar, '#', (size_t)length);
        bar[length] = '\0';
        number(rate, points[i].rate, "-", true);
        if (points[i].has_share)
            snprintf(share, sizeof(share), "%3.0f %%", 100 * points[i].share);
        fprintf(file, "  %5.0f  %7s  %5s  %s\n", points[i].rows, rate, share, bar);
    }
}

static void write_curves(const struct qm_node *rows, FILE *file)
{
    for (size_t i = 0; i < qm_node_count(rows); ++i) {
        const struct qm_node *row = qm_node_at(rows, i);
        bool is_first = is_ok(row) && strcmp(text_at(row, "curve"), "none") != 0;
        for (size_t j = 0; j < i && is_first; ++j)
            is_first = !(is_ok(qm_node_at(rows, j)) && is_same_curve(qm_node_at(rows, j), row));
        if (is_first)
            write_curve(rows, i, file);
    }
}

// ---- Devices and comparison ---------------------------------------------------------------------------------------

// "fp32 116 GFLOP/s, read 117 GB/s", on lines that are no wider than a table.
static void write_ceilings(const struct qm_node *kinds, FILE *file)
{
    size_t used = 0;
    for (size_t i = 0; i < qm_node_count(kinds); ++i) {
        const struct qm_node *ceiling = qm_node_at(kinds, i);
        char text[128], rate[32];
        double value;
        if (!qm_node_double_at(ceiling, "rate", &value))
            continue;
        number(rate, value, "-", true);
        int length = snprintf(text, sizeof(text), "%s %s %s", text_at(ceiling, "kind"), rate, text_at(ceiling, "unit"));
        bool fits = used > 0 && used + (size_t)length + 2 <= WIDTH;
        fprintf(file, "%s%s", used == 0 ? "  ceilings: " : fits ? ", " : ",\n    ", text);
        used = used == 0 ? 12 + (size_t)length : fits ? used + 2 + (size_t)length : 4 + (size_t)length;
    }
    fputs(used ? "\n" : "  ceilings: not measured\n", file);
}

static void write_devices(const struct qm_node *devices, const char *begin, FILE *file)
{
    for (size_t i = 0; i < qm_node_count(devices); ++i) {
        const struct qm_node *device = qm_node_at(devices, i), *ceilings = qm_node_get(device, "ceilings");
        char name[160];
        snprintf(name, sizeof(name), "%s", text_at(device, "name"));
        qm_text_clean(name);
        fprintf(file, "%s%s: %s, %s\n", begin, text_at(device, "id"), name, text_at(device, "driver"));
        if (qm_node_is_text(ceilings))
            fprintf(file, "  ceilings: %s\n", qm_node_text(ceilings));
        else
            write_ceilings(qm_node_get(ceilings, "kinds"), file);
    }
}

static enum qm_status write_comparison(const struct qm_node *compared, unsigned columns, bool is_fancy, FILE *file)
{
    const struct qm_node *rows = qm_node_get(compared, "rows");
    struct qm_table *table = qm_table_create();
    fprintf(file, "\nagainst %s: rate now / rate then, with the interval of the medians' ratio\n",
            text_at(compared, "file"));
    qm_table_column(table, "kernel", false);
    qm_table_column(table, "shape", false);
    qm_table_column(table, "device", false);
    qm_table_column(table, "tile", false);
    qm_table_column(table, "ratio", true);
    qm_table_column(table, "interval", false);
    qm_table_column(table, "", false);
    for (size_t i = 0; i < qm_node_count(rows); ++i) {
        const struct qm_node *row = qm_node_at(rows, i);
        char ratio[32], low[32], high[32];
        double value;
        qm_table_row(table);
        qm_table_cell(table, "%s %s", text_at(row, "kernel"), text_at(row, "format"));
        qm_table_cell(table, "%s", text_at(row, "shape"));
        qm_table_cell(table, "%s", text_at(row, "device"));
        qm_table_cell(table, "%s", text_at(row, "tile"));
        if (!qm_node_double_at(row, "ratio", &value)) {
            qm_table_span(table, "%s", text_at(row, "reason"));
            continue;
        }
        snprintf(ratio, sizeof(ratio), "%.3f", value);
        qm_table_cell(table, "%s", ratio);
        if (qm_node_double_at(row, "low", &value)) {
            snprintf(low, sizeof(low), "%.3f", value);
            (void)qm_node_double_at(row, "high", &value);
            snprintf(high, sizeof(high), "%.3f", value);
            qm_table_cell(table, "[%s, %s]", low, high);
        } else {
            qm_table_cell(table, "no interval");
        }
        qm_table_cell(table, "%s%s%s", text_at(row, "verdict"), *text_at(row, "note") ? ", " : "",
                      text_at(row, "note"));
    }
    enum qm_status status = qm_table_write(table, file, columns, is_fancy);
    qm_table_destroy(&table);
    return status;
}

static enum qm_status write_text(const struct qm_node *sweep, unsigned columns, bool is_fancy, FILE *file)
{
    const struct qm_node *rows = qm_node_get(sweep, "rows"), *compared = qm_node_get(sweep, "compared");
    fprintf(file, "%s\n", LABEL);
    write_devices(qm_node_get(sweep, "devices"), "", file);
    fputc('\n', file);
    QM_TRY(write_table(rows, columns, is_fancy, file));
    fprintf(
        file,
        "\nms: median of the samples, and their 5th and 95th percentile. Gop/s: a multiply-add is two. share: of the "
        "time\nthat the named ceiling allows at least. error/bound: of the outputs that were checked, the "
        "largest.\n");
    write_curves(rows, file);
    return compared ? write_comparison(compared, columns, is_fancy, file) : QM_OK;
}

// ---- Markdown -----------------------------------------------------------------------------------------------------

static void markdown_cell(const char *text, FILE *file)
{
    fputs(" ", file);
    for (; *text; ++text) {
        if (*text == '|')
            fputc('\\', file);
        fputc(*text == '\n' ? ' ' : *text, file);
    }
    fputs(" |", file);
}

static enum qm_status write_markdown(const struct qm_node *sweep, FILE *file)
{
    const struct qm_node *rows = qm_node_get(sweep, "rows"), *compared = qm_node_get(sweep, "compared");
    fprintf(file, "# Kernels, %s\n\n**%s**\n\n", text_at(sweep, "began"), LABEL);
    write_devices(qm_node_get(sweep, "devices"), "- ", file);
    fprintf(file,
            "\n| kernel | format | shape | device | tier | tile | median ms | p5..p95 ms | Gop/s | GB/s | share of "
            "ceiling | error | bound |\n|---|---|---|---|---|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (size_t i = 0; i < qm_node_count(rows); ++i) {
        const struct qm_node *row = qm_node_at(rows, i);
        static const char *const names[] = {"kernel", "format", "shape", "device", "tier", "tile"};
        char text[80], small[32];
        fputc('|', file);
        for (size_t c = 0; c < sizeof(names) / sizeof(names[0]); ++c)
            markdown_cell(text_at(row, names[c]), file);
        if (!is_ok(row)) {
            char reason[700];
            snprintf(reason, sizeof(reason), "%s: %s", text_at(row, "status"), text_at(row, "reason"));
            markdown_cell(reason, file);
            fprintf(file, " | | | | | |\n");
            continue;
        }
        number_at(row, "median_ns", 1e-6, small);
        markdown_cell(small, file);
        spread_of(row, text);
        markdown_cell(text, file);
        number_at(row, "giga_operations_per_s", 1, small);
        markdown_cell(small, file);
        number_at(row, "gb_per_s", 1, small);
        markdown_cell(small, file);
        share_of(row, text);
        markdown_cell(text, file);
        number_at(row, "error", 1, small);
        markdown_cell(small, file);
        number_at(row, "bound", 1, small);
        markdown_cell(strcmp(text_at(row, "bound"), "equal bits") == 0 ? "equal bits" : small, file);
        fputc('\n', file);
    }
    fputs("\n```\n", file);
    write_curves(rows, file);
    enum qm_status status = compared ? write_comparison(compared, 0, false, file) : QM_OK;
    fputs("```\n", file);
    return status;
}

// ---- For programs -------------------------------------------------------------------------------------------------

// Key of a row, and the column's title with its unit.
static const char *const csv_columns[][2] = {{"label", "label"},
                                             {"kernel", "kernel"},
                                             {"format", "format"},
                                             {"weights", "weights"},
                                             {"tier", "tier"},
                                             {"tile", "tile"},
                                             {"device", "device"},
                                             {"api", "api"},
                                             {"driver", "driver"},
                                             {"shape", "shape"},
                                             {"layer", "layer"},
                                             {"rows", "rows"},
                                             {"n", "n"},
                                             {"k", "k"},
                                             {"status", "status"},
                                             {"reason", "reason"},
                                             {"error", "error"},
                                             {"bound", "bound"},
                                             {"outputs_checked", "outputs_checked"},
                                             {"outputs", "outputs"},
                                             {"median_ns", "median_ns"},
                                             {"p5_ns", "p5_ns"},
                                             {"p95_ns", "p95_ns"},
                                             {"samples", "samples"},
                                             {"runs_a_sample", "runs_a_sample"},
                                             {"timer", "timer"},
                                             {"gb_per_s", "GB_per_s"},
                                             {"giga_operations_per_s", "giga_operations_per_s"},
                                             {"operations_are", "operations_are"},
                                             {"ceiling", "ceiling"},
                                             {"bound_ns", "ceiling_ns"},
                                             {"share", "share_of_ceiling"},
                                             {"parts", "weight_parts"},
                                             {"compile_ms", "compile_ms"},
                                             {"kernel_hash", "kernel_hash"},
                                             {"binary_hash", "binary_hash"},
                                             {"statistics", "statistics"}};

// RFC 4180.
static void csv_cell(const char *text, FILE *file)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, file);
        return;
    }
    fputc('"', file);
    for (; *text; ++text) {
        if (*text == '"')
            fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

static void csv_statistics(const struct qm_node *statistics, FILE *file)
{
    char text[4096] = "";
    if (qm_node_is_text(statistics))
        snprintf(text, sizeof(text), "%s", qm_node_text(statistics));
    for (size_t i = 0; i < qm_node_count(statistics); ++i) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%s=%s", i ? "; " : "", qm_node_key_at(statistics, i),
                 qm_node_text(qm_node_at(statistics, i)));
    }
    csv_cell(text, file);
}

static void write_csv(const struct qm_node *sweep, FILE *file)
{
    const struct qm_node *rows = qm_node_get(sweep, "rows");
    const size_t count = sizeof(csv_columns) / sizeof(csv_columns[0]);
    for (size_t c = 0; c < count; ++c)
        fprintf(file, "%s%s", c ? "," : "", csv_columns[c][1]);
    fputs("\r\n", file);
    for (size_t i = 0; i < qm_node_count(rows); ++i) {
        const struct qm_node *row = qm_node_at(rows, i);
        for (size_t c = 0; c < count; ++c) {
            const char *key = csv_columns[c][0];
            if (c)
                fputc(',', file);
            if (strcmp(key, "label") == 0)
                csv_cell(LABEL, file);
            else if (strcmp(key, "statistics") == 0)
                csv_statistics(qm_node_get(row, key), file);
            else
                csv_cell(text_at(row, key), file);
        }
        fputs("\r\n", file);
    }
}

static enum qm_status write_json_lines(const struct qm_node *sweep, FILE *file)
{
    const struct qm_node *rows = qm_node_get(sweep, "rows");
    struct qm_node *head = qm_node_copy(sweep);
    qm_node_remove(head, "rows");
    enum qm_status status = qm_export_json_line(head, file);
    qm_node_destroy(&head);
    for (size_t i = 0; status == QM_OK && i < qm_node_count(rows); ++i) {
        struct qm_node *row = qm_node_copy(qm_node_at(rows, i));
        qm_node_set_text(row, "label", LABEL);
        status = qm_export_json_line(row, file);
        qm_node_destroy(&row);
    }
    return status;
}

enum qm_status qm_kernel_report(const struct qm_node *sweep, enum qm_form form, unsigned columns, bool is_fancy,
                                FILE *file)
{
    char *text = NULL;
    switch (form) {
    case QM_FORM_TABLE:
        return write_text(sweep, columns, is_fancy, file);
    case QM_FORM_MARKDOWN:
        return write_markdown(sweep, file);
    case QM_FORM_CSV:
        write_csv(sweep, file);
        return QM_OK;
    case QM_FORM_JSONL:
        return write_json_lines(sweep, file);
    default:
        QM_TRY(qm_node_write_json(sweep, &text));
        fputs(text, file);
        free(text);
        return QM_OK;
    }
}
