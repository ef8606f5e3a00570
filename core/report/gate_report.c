#include "report/gate_report.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/table.h"

static void accuracy_text(const struct qm_gate_finding *f, char *text, size_t capacity)
{
    if (f->kl_a < 0 || f->kl_b < 0)
        snprintf(text, capacity, "%s", f->kind == QM_GATE_SPEED ? "accuracy: not measured" : "-");
    else
        snprintf(text, capacity, "%.3g -> %.3g", f->kl_a, f->kl_b);
}

enum qm_status qm_gate_write_table(const struct qm_gate_report *report, const struct qm_show_style *style,
                                   bool lists_all, FILE *file)
{
    struct qm_table *table = qm_table_create();
    size_t rows = 0;
    qm_table_column(table, "verdict", false);
    qm_table_column(table, "what", false);
    qm_table_column(table, "row", false);
    qm_table_column(table, "KL mean", false);
    qm_table_column(table, "why", false);
    for (size_t i = 0; i < report->count; ++i) {
        const struct qm_gate_finding *f = &report->findings[i];
        char accuracy[64];
        if (f->verdict == QM_GATE_PASS && !lists_all && f->kind != QM_GATE_SPEED)
            continue;
        accuracy_text(f, accuracy, sizeof(accuracy));
        qm_table_row(table);
        qm_table_cell(table, "%s%s", f->is_known ? "known " : "", qm_gate_verdict_name(f->verdict));
        qm_table_cell(table, "%s", qm_gate_kind_name(f->kind));
        qm_table_cell(table, "%s", f->row);
        qm_table_cell(table, "%s", accuracy);
        qm_table_span(table, "%s%s%s", f->text, f->is_known ? "; known: " : "", f->known_reason);
        ++rows;
    }
    enum qm_status status = rows > 0 ? qm_table_write(table, file, 0, style->is_fancy) : QM_OK;
    qm_table_destroy(&table);
    for (size_t i = 0; i < report->unexpected_count; ++i)
        fprintf(file, "unexpected pass: %s\n", report->unexpected[i]);
    fprintf(file, "%s%s\n", rows > 0 ? "\n" : "", report->summary);
    return status;
}

static void set_finite(struct qm_node *node, const char *key, double value)
{
    if (isfinite(value))
        qm_node_set_double(node, key, value);
    else
        qm_node_set_text(node, key, "no interval");
}

struct qm_node *qm_gate_tree(const struct qm_gate_report *report)
{
    struct qm_node *root = qm_node_new_mapping();
    qm_node_set_text(root, "verdict", qm_gate_verdict_name(report->verdict));
    qm_node_set_text(root, "summary", report->summary);
    struct qm_node *list = qm_node_add_sequence(root, "rows");
    for (size_t i = 0; i < report->count; ++i) {
        const struct qm_gate_finding *f = &report->findings[i];
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "device", f->device);
        qm_node_set_text(row, "what", qm_gate_kind_name(f->kind));
        qm_node_set_text(row, "row", f->row);
        qm_node_set_text(row, "verdict", qm_gate_verdict_name(f->verdict));
        qm_node_set_text(row, "text", f->text);
        if (f->kl_a >= 0 && f->kl_b >= 0) {
            qm_node_set_double(row, "kl_divergence_mean_a", f->kl_a);
            qm_node_set_double(row, "kl_divergence_mean_b", f->kl_b);
        } else if (f->kind == QM_GATE_SPEED) {
            qm_node_set_text(row, "accuracy", "not measured");
        }
        if ((f->kind == QM_GATE_SPEED || f->kind == QM_GATE_COMPILE) && f->speed.count > 0) {
            qm_node_set_double(row, "speed_ratio", f->speed.ratio);
            set_finite(row, "low", isfinite(f->speed.high) ? f->speed.low : INFINITY);
            set_finite(row, "high", f->speed.high);
            set_finite(row, "detectable_slowdown", f->speed.detectable);
            qm_node_set_u64(row, "count", f->speed.count);
            qm_node_set_bool(row, "measured_twice", f->was_measured_again);
        }
        if (f->is_known)
            qm_node_set_text(row, "known_failure", f->known_reason);
    }
    list = qm_node_add_sequence(root, "unexpected_passes");
    for (size_t i = 0; i < report->unexpected_count; ++i)
        qm_node_append_text(list, report->unexpected[i]);
    return root;
}

// ---- JUnit ------------------------------------------------------------------------------------------------------------

struct text {
    char *bytes;
    size_t count, capacity;
    bool failed;
};

static void put(struct text *out, const char *bytes, size_t count)
{
    if (out->count + count + 1 > out->capacity) {
        size_t capacity = 2 * (out->count + count + 1) + 1024;
        char *grown = realloc(out->bytes, capacity);
        if (!grown) {
            out->failed = true;
            return;
        }
        out->bytes = grown;
        out->capacity = capacity;
    }
    memcpy(out->bytes + out->count, bytes, count);
    out->count += count;
    out->bytes[out->count] = '\0';
}

static void put_text(struct text *out, const char *text)
{
    put(out, text, strlen(text));
}

// Within an attribute or between tags; characters that XML 1.0 forbids become '?'.
static void put_escaped(struct text *out, const char *text)
{
    for (; *text; ++text) {
        unsigned char c = (unsigned char)*text;
        const char *escape = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '"'  ? "&quot;"
                             : c < 0x20  ? "?"
                             : c == 0x7f ? "?"
                                         : NULL;
        if (escape)
            put_text(out, escape);
        else
            put(out, text, 1);
    }
}

static void put_case(struct text *out, const struct qm_gate_finding *f)
{
    static const char *const tags[] = {NULL, "error", "error", "failure", "failure"};
    const char *tag = f->is_known ? "skipped" : tags[f->verdict];
    char accuracy[64];
    accuracy_text(f, accuracy, sizeof(accuracy));
    put_text(out, "  <testcase classname=\"");
    put_escaped(out, f->device);
    put_text(out, "\" name=\"");
    put_escaped(out, f->row);
    put_text(out, " (");
    put_escaped(out, qm_gate_kind_name(f->kind));
    put_text(out, ")\">\n");
    if (tag) {
        put_text(out, "    <");
        put_text(out, tag);
        put_text(out, " message=\"");
        put_escaped(out, qm_gate_verdict_name(f->verdict));
        put_text(out, ": ");
        put_escaped(out, f->text);
        if (f->is_known) {
            put_text(out, "; known: ");
            put_escaped(out, f->known_reason);
        }
        put_text(out, "\"/>\n");
    }
    put_text(out, "    <system-out>");
    put_escaped(out, f->text);
    put_text(out, f->kind == QM_GATE_SPEED || f->kind == QM_GATE_ACCURACY ? "; KL mean " : "");
    if (f->kind == QM_GATE_SPEED || f->kind == QM_GATE_ACCURACY)
        put_escaped(out, accuracy);
    put_text(out, "</system-out>\n  </testcase>\n");
}

enum qm_status qm_gate_write_junit(const struct qm_gate_report *report, char **text)
{
    struct text out = {0};
    char head[256];
    size_t failures = 0, errors = 0, skipped = 0;
    for (size_t i = 0; i < report->count; ++i) {
        const struct qm_gate_finding *f = &report->findings[i];
        skipped += f->is_known;
        failures += !f->is_known && (f->verdict == QM_GATE_REGRESSED || f->verdict == QM_GATE_WRONG);
        errors += !f->is_known && (f->verdict == QM_GATE_INCONCLUSIVE || f->verdict == QM_GATE_NOT_COMPARABLE);
    }
    put_text(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    snprintf(head, sizeof(head),
             "<testsuite name=\"qmark gate\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\">\n",
             report->count, failures, errors, skipped);
    put_text(&out, head);
    for (size_t i = 0; i < report->count; ++i)
        put_case(&out, &report->findings[i]);
    put_text(&out, "  <system-out>");
    put_escaped(&out, report->summary);
    for (size_t i = 0; i < report->unexpected_count; ++i) {
        put_text(&out, "\nunexpected pass: ");
        put_escaped(&out, report->unexpected[i]);
    }
    put_text(&out, "</system-out>\n</testsuite>\n");
    *text = out.failed ? NULL : out.bytes;
    if (out.failed) {
        free(out.bytes);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the JUnit file");
    }
    return QM_OK;
}

// ---- Annotations ------------------------------------------------------------------------------------------------------

// As GitHub's toolkit escapes them: a message may hold no line break, a property neither ':' nor ','.
static void print_escaped(FILE *file, const char *text, bool is_property)
{
    for (; *text; ++text) {
        unsigned char c = (unsigned char)*text;
        if (c == '%' || c < 0x20 || c == 0x7f || (is_property && (c == ':' || c == ',')))
            fprintf(file, "%%%02X", c);
        else
            fputc(c, file);
    }
}

void qm_gate_write_annotations(const struct qm_gate_report *report, FILE *file)
{
    for (size_t i = 0; i < report->count; ++i) {
        const struct qm_gate_finding *f = &report->findings[i];
        if (f->verdict == QM_GATE_PASS || f->is_known)
            continue;
        bool is_error = f->verdict == QM_GATE_REGRESSED || f->verdict == QM_GATE_WRONG;
        fprintf(file, "::%s title=", is_error ? "error" : "warning");
        print_escaped(file, qm_gate_verdict_name(f->verdict), true);
        fputc(' ', file);
        print_escaped(file, qm_gate_kind_name(f->kind), true);
        fputs("::", file);
        print_escaped(file, f->row, false);
        fputs(" on ", file);
        print_escaped(file, f->device, false);
        fputs(": ", file);
        print_escaped(file, f->text, false);
        fputc('\n', file);
    }
    for (size_t i = 0; i < report->unexpected_count; ++i) {
        fputs("::notice title=unexpected pass::", file);
        print_escaped(file, report->unexpected[i], false);
        fputc('\n', file);
    }
}
