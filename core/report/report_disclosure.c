// The seventh and eighth section: the full disclosure of every scheme, and the files themselves.
#include "report/report_sections.h"

#include "record/audit.h"
#include "record/claim.h"
#include "record/node.h"
#include "record/result.h"
#include "report/statement.h"
#include "sys/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROW_BYTES = 700, // of the matrix, and a line for a scheme that is not written in full
};

// ---- Commands -----------------------------------------------------------------------------------------------------

// A file's name as a shell takes it, whatever is in it.
static void shell_word(struct qm_text *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+=:,@%/";
    struct qm_text quoted = {0};
    if (*word == '-')
        qm_text_append(&quoted, "./");
    if (*word && strspn(word, plain) == strlen(word)) {
        qm_text_append(&quoted, "%s", word);
    } else {
        qm_text_append(&quoted, "'");
        for (; *word; word++)
            qm_text_append(&quoted, *word == '\'' ? "'\\''" : "%c", *word);
        qm_text_append(&quoted, "'");
    }
    qm_html_text(out, qm_text_bytes(&quoted));
    out->failed = out->failed || quoted.failed;
    qm_text_free(&quoted);
}

static const char *file_of(const struct qm_result_entry *entry)
{
    const char *name = qm_path_name(entry->path);
    return *name ? name : entry->path;
}

static void command(struct qm_text *out, const char *verb, const char *file, const char *scheme)
{
    qm_text_append(out, "<pre class=\"command\" tabindex=\"0\"><code>qmark %s ", verb);
    shell_word(out, file);
    if (scheme) {
        qm_text_append(out, " --scheme ");
        shell_word(out, scheme);
    }
    qm_text_append(out, "</code></pre>\n");
}

// ---- What was told before -------------------------------------------------------------------------------------------

// In a page of very many schemes what one states in the same words as one before it refers to that one.
struct told {
    struct told_item {
        const struct qm_component *component;
        char *text; // owned
        const struct qm_node *scheme;
        size_t index;
    } * items; // owned
    size_t count, capacity;
    size_t rows_left; // of the matrix, and as many schemes to disclose
};

static const struct told_item *find_told(const struct told *told, const struct qm_component *component,
                                         const char *text)
{
    for (size_t i = 0; i < told->count; i++)
        if (told->items[i].component == component && strcmp(told->items[i].text, text) == 0)
            return &told->items[i];
    return NULL;
}

// Without memory nothing is kept, and all is written in full.
static void keep_told(struct told *told, const struct told_item *item)
{
    if (told->count == told->capacity) {
        size_t capacity = told->capacity ? 2 * told->capacity : 256;
        struct told_item *grown = realloc(told->items, capacity * sizeof(*grown));
        if (!grown)
            return;
        told->items = grown;
        told->capacity = capacity;
    }
    told->items[told->count] = *item;
    told->items[told->count].text = strdup(item->text);
    told->count += told->items[told->count].text != NULL;
}

static void free_told(struct told *told)
{
    for (size_t i = 0; i < told->count; i++)
        free(told->items[i].text);
    free(told->items);
}

// ---- One scheme ---------------------------------------------------------------------------------------------------

static void cell_level(struct qm_html_table *table, enum qm_disclosure_level level)
{
    static const char *const tags[] = {"strong", "em", "span"};
    qm_html_cell_open(table, "lv");
    qm_html_element(table->out, tags[level], NULL, qm_disclosure_level_name(level));
    qm_html_cell_close(table);
}

// One scheme of one result, and what was told of those before it.
struct own {
    const struct qm_node *scheme, *claim;
    const struct qm_audit *audit;
    size_t index;
    struct told *told;
};

static void write_told(struct qm_report *report, const struct own *own, const struct qm_component *component,
                       char *text)
{
    const struct told_item item = {component, text, own->scheme, own->index};
    const struct told_item *before =
        report->is_large && strlen(text) > 100 ? find_told(own->told, component, text) : NULL;
    if (before) {
        qm_text_append(report->out, "<p>In the same words as <b>");
        qm_html_short(report->out, qm_node_text_at(before->scheme, "name", "?"), 40);
        qm_text_append(report->out, "</b> of result %zu.</p>", before->index + 1);
        return;
    }
    if (report->is_large)
        keep_told(own->told, &item);
    qm_html_lines(report->out, text, false);
}

static void component_row(struct qm_report *report, struct qm_html_table *table, const struct own *own,
                          const struct qm_audit_row *row)
{
    struct qm_text text = {0};
    qm_fact_component(&text, own->claim, row->component);
    qm_html_table_row(table, -1, NULL);
    qm_html_cell_head(table, row->component->title);
    cell_level(table, row->level);
    qm_html_cell_open(table, "w told");
    if (row->level == QM_UNDISCLOSED)
        qm_text_append(report->out, "<p class=\"gap\"><strong>undisclosed</strong></p>");
    else if (text.bytes)
        write_told(report, own, row->component, text.bytes);
    for (size_t i = 0; i < row->gap_count && row->level != QM_UNDISCLOSED; i++) {
        const struct qm_gap *gap = &row->gaps[i];
        qm_text_append(report->out, "<p class=\"gap\"><strong>%s</strong>: ",
                       gap->kind == QM_GAP_MISSING ? "undisclosed" : qm_gap_kind_name(gap->kind));
        qm_html_textf(report->out, "%s; so: %s", gap->title, gap->follows);
        qm_text_append(report->out, "</p>");
    }
    if (row->level == QM_UNDISCLOSED) {
        qm_text_append(report->out, "<p class=\"gap\">so: ");
        qm_html_text(report->out, row->component->follows);
        qm_text_append(report->out, "</p>");
    }
    qm_html_cell_close(table);
    report->out->failed = report->out->failed || text.failed;
    qm_text_free(&text);
}

static void hash_row(struct qm_text *out, const char *title, const struct qm_node *from, const char *path)
{
    qm_text_append(out, "<div><dt>%s</dt><dd class=\"code\">", title);
    char holder[64];
    snprintf(holder, sizeof(holder), "%.*s", (int)(strrchr(path, '.') - path), path);
    // Of a calibration set that is a word, such as none, the word.
    qm_html_text(out, qm_node_text_at(from, path, qm_node_text_at(from, holder, "undisclosed")));
    qm_text_append(out, "</dd></div>\n");
}

static void hashes(struct qm_text *out, const struct qm_node *result, const struct qm_node *scheme)
{
    qm_text_append(out, "<dl class=\"hashes\">\n");
    hash_row(out, "artifact", scheme, "artifact.id");
    qm_text_append(out, "<div><dt>scheme</dt><dd class=\"code\">");
    qm_html_text(out, qm_node_text_at(scheme, "identity", "undisclosed"));
    qm_text_append(out, "</dd></div>\n");
    hash_row(out, "model", result, "model.sha256");
    hash_row(out, "calibration set", scheme, "disclosure.calibration_set.sha256");
    hash_row(out, "evaluation set", scheme, "disclosure.evaluation_set.sha256");
    hash_row(out, "kernels", scheme, "disclosure.tool_chain.kernel_hash");
    hash_row(out, "binaries", scheme, "disclosure.tool_chain.binary_hash");
    qm_text_append(out, "</dl>\n");
}

static void scheme_details(struct qm_report *report, const struct own *own)
{
    size_t index = own->index;
    const struct qm_node *scheme = own->scheme, *claim = own->claim;
    const struct qm_audit *audit = own->audit;
    const struct qm_result_entry *entry = &report->set->entries[index];
    struct qm_text *out = report->out, paragraph = {0};
    struct qm_html_table table;
    char caption[QM_REPORT_LABEL_BYTES + 120];
    const char *name = qm_node_text_at(scheme, "name", "?");
    qm_text_append(out, "<details class=\"trade\" data-d=\"%zu\"><summary><b>", index);
    qm_html_short(out, name, 60);
    qm_text_append(out, "</b> ");
    qm_html_short(out, report->labels[index], 60);
    bool is_grade = audit->verdict == QM_CLAIM_DEPLOYMENT_GRADE;
    qm_text_append(out, " <span class=\"lv\"><%s>%s</%s></span></summary>\n", is_grade ? "span" : "em",
                   qm_claim_verdict_name(audit->verdict), is_grade ? "span" : "em");
    qm_statement_paragraph(&paragraph, claim, audit);
    qm_html_element(out, "p", "statement", qm_text_bytes(&paragraph));
    out->failed = out->failed || paragraph.failed;
    qm_text_free(&paragraph);
    snprintf(caption, sizeof(caption), "The trade of %.80s on %s", name, report->labels[index]);
    qm_html_table_begin(&table, out, ++report->tables, caption, "stack");
    qm_html_table_column(&table, "component", 0);
    qm_html_table_column(&table, "disclosure", 0);
    qm_html_table_column(&table, "what is stated", QM_HTML_WRAP);
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++)
        component_row(report, &table, own, &audit->rows[i]);
    qm_html_table_end(&table);
    hashes(out, entry->result, scheme);
    command(out, "reproduce", file_of(entry), name);
    qm_text_append(out, "</details>\n");
}

// Where the page would become too large: how to have it.
static void scheme_elsewhere(struct qm_report *report, const struct own *own)
{
    const char *name = qm_node_text_at(own->scheme, "name", "?");
    qm_text_append(report->out, "<p class=\"left\"><b>");
    qm_html_short(report->out, name, 60);
    qm_text_append(report->out, "</b> %s: the page would be too large; <code>qmark claim ",
                   qm_claim_verdict_name(own->audit->verdict));
    shell_word(report->out, file_of(&report->set->entries[own->index]));
    qm_text_append(report->out, " --scheme ");
    shell_word(report->out, name);
    qm_text_append(report->out, "</code> writes all of it.</p>\n");
}

static void matrix_row(struct qm_report *report, struct qm_html_table *table, size_t index,
                       const struct qm_node *scheme, const struct qm_audit *audit)
{
    qm_html_table_row(table, (int)index, audit ? NULL : "not-ok");
    qm_report_cells_of(table, report, index, scheme);
    if (!audit) {
        qm_report_cell_reason(table, scheme);
        return;
    }
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        cell_level(table, audit->rows[i].level);
    }
    qm_html_cell(table, qm_claim_verdict_name(audit->verdict));
}

// The matrix goes straight into the page, the details of each scheme after it.
static enum qm_status disclose(struct qm_report *report, struct qm_html_table *table, struct qm_text *details,
                               struct told *told, size_t index, const struct qm_node *scheme)
{
    struct qm_audit audit;
    struct qm_node *claim = NULL;
    struct qm_text *page = report->out;
    const struct qm_node *result = qm_report_result(report, index);
    if (!qm_result_row_is_ok(scheme)) {
        matrix_row(report, table, index, scheme, NULL);
        return QM_OK;
    }
    QM_TRY(qm_claim_from_result(result, qm_node_text_at(scheme, "name", "?"), &claim));
    qm_audit_claim(claim, &audit);
    matrix_row(report, table, index, scheme, &audit);
    const struct own own = {scheme, claim, &audit, index, told};
    report->out = details;
    size_t to_come = told->rows_left > 0 ? --told->rows_left * ROW_BYTES : 0;
    if (page->used + details->used + to_come < QM_REPORT_BYTES)
        scheme_details(report, &own);
    else
        scheme_elsewhere(report, &own);
    report->out = page;
    qm_node_destroy(&claim);
    return QM_OK;
}

enum qm_status qm_report_disclosure(struct qm_report *report)
{
    struct told told = {0};
    struct qm_html_table table;
    struct qm_text details = {0};
    enum qm_status status = QM_OK;
    qm_report_section_begin(
        report, "disclosure", 7, "What is disclosed",
        "Each component of the trade, for every scheme of every result: told, partly told, or "
        "<strong>undisclosed</strong>. Below the table each scheme opens to all that it states, its "
        "hashes, and the command that runs it again.");
    qm_html_table_begin(&table, report->out, ++report->tables, "Disclosure of every scheme", "sortable");
    qm_html_table_column(&table, "result", 0);
    qm_html_table_column(&table, "scheme", 0);
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++)
        qm_html_table_column(&table, qm_components[i].title, 0);
    qm_html_table_column(&table, "as a statement", 0);
    for (size_t i = 0; i < report->set->count; i++) {
        const struct qm_node *list[QM_REPORT_SCHEMES];
        size_t left = 0;
        told.rows_left += qm_report_schemes(qm_report_result(report, i), list, &left);
    }
    for (size_t i = 0; i < report->set->count && status == QM_OK; i++) {
        const struct qm_node *list[QM_REPORT_SCHEMES];
        size_t left = 0, count = qm_report_schemes(qm_report_result(report, i), list, &left);
        for (size_t k = 0; k < count && status == QM_OK; k++)
            status = disclose(report, &table, &details, &told, i, list[k]);
        qm_report_row_left(&table, report, i, left);
    }
    qm_html_table_end(&table);
    qm_text_append(report->out, "<h3>Scheme by scheme</h3>\n");
    if (details.bytes)
        qm_text_append(report->out, "%s", details.bytes);
    else
        qm_text_append(report->out, "<p>No scheme is ok, so that nothing is claimed of any.</p>\n");
    report->out->failed = report->out->failed || details.failed;
    qm_text_free(&details);
    free_told(&told);
    qm_report_beware(report,
                     "a disclosure that is full is not thereby true. <code>qmark verify</code> recomputes a "
                     "result from its raw samples, <code>qmark reproduce</code> runs it again on your own card.");
    qm_report_section_end(report);
    return status;
}

// ---- Files --------------------------------------------------------------------------------------------------------

static void file_row(struct qm_report *report, struct qm_html_table *table, size_t index)
{
    const struct qm_result_entry *entry = &report->set->entries[index];
    qm_html_table_row(table, (int)index, NULL);
    qm_html_cell_head(table, report->labels[index]);
    qm_html_cell_open(table, NULL);
    qm_html_short(table->out, file_of(entry), 60);
    qm_html_cell_close(table);
    qm_html_cell_open(table, entry->is_intact ? "yes" : "no");
    qm_text_append(table->out, "%s", entry->is_intact ? "that of its content" : "CHANGED: not that of its content");
    qm_html_cell_close(table);
    static const char *const paths[] = {"hash", "samples.sha256", "run.profile_hash"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        qm_html_cell_open(table, "code");
        qm_html_text(table->out, qm_node_text_at(entry->result, paths[i], "undisclosed"));
        qm_html_cell_close(table);
    }
    qm_html_cellf(table, "%.40s, source %.40s", qm_node_text_at(entry->result, "qmark.version", "undisclosed"),
                  qm_node_text_at(entry->result, "qmark.source", "undisclosed"));
}

enum qm_status qm_report_files(struct qm_report *report)
{
    static const char *const titles[] = {"result", "file", "hash", "content", "raw samples", "profile", "qmark"};
    struct qm_html_table table;
    struct qm_text *out = report->out;
    qm_report_section_begin(
        report, "files", 8, "Take it away",
        "Every picture can be saved by the buttons below it, and each carries its caption inside: "
        "schemes, accuracy, calibration, device, model and hash. The files themselves say more than "
        "this page.");
    qm_text_append(
        out,
        "<p>The same pictures without a browser, and three ways to check a result, such as the first of these:</p>\n");
    const char *first = file_of(&report->set->entries[0]);
    command(out, "report --only trade --out trade.svg", first, NULL);
    command(out, "verify", first, NULL);
    command(out, "reproduce", first, NULL);
    command(out, "claim", first, NULL);
    qm_html_table_begin(&table, out, ++report->tables, "Files and hashes", "plain");
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        qm_html_table_column(&table, titles[i], 0);
    for (size_t i = 0; i < report->set->count; i++)
        file_row(report, &table, i);
    qm_html_table_end(&table);
    qm_report_section_end(report);
    return QM_OK;
}
