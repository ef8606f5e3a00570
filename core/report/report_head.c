// The first section: a card for each result, and which of them may be compared.
#include "report/report_sections.h"

#include "record/node.h"
#include "report/model_facts.h"
#include "report/show.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIFFERENCES_MAX = 24, // that are listed
};

// ---- Cards --------------------------------------------------------------------------------------------------------

static void fact(struct qm_text *out, const char *title, const char *format, ...) QM_PRINTF(3, 4);
static void fact(struct qm_text *out, const char *title, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    qm_text_append(out, "<div><dt>%s</dt><dd>", title);
    qm_html_short(out, text, 160);
    qm_text_append(out, "</dd></div>\n");
}

// Of a model that somebody else quantized, whole: what its files lack is what a reader has to know.
static void model_files(struct qm_text *out, const struct qm_node *result)
{
    struct qm_text told = {0}, lacking = {0};
    qm_fact_model_files(&told, &lacking, result);
    if (told.used > 0) {
        qm_text_append(out, "<div><dt>Its files say</dt><dd>");
        qm_html_text(out, qm_text_bytes(&told));
        qm_text_append(out, "</dd></div>\n");
    }
    if (lacking.used > 0) {
        qm_text_append(out, "<div><dt>They do not say</dt><dd>");
        qm_html_text(out, qm_text_bytes(&lacking));
        qm_text_append(out, "</dd></div>\n");
    }
    qm_text_free(&told);
    qm_text_free(&lacking);
}

static void facts(struct qm_text *out, const struct qm_result_entry *entry)
{
    const struct qm_node *result = entry->result;
    char parameters[QM_SHOW_NUMBER_BYTES];
    qm_show_number(qm_node_get(result, "model.parameters"), parameters);
    qm_text_append(out, "<dl>\n");
    fact(out, "Driver", "%.200s %.200s", qm_node_text_at(result, "device.driver", "undisclosed"),
         qm_node_text_at(result, "device.driver_version", ""));
    fact(out, "Model", "%.200s, %s weights, widen: %.20s", qm_node_text_at(result, "model.name", "undisclosed"),
         parameters, qm_node_text_at(result, "model.widen", "undisclosed"));
    model_files(out, result);
    fact(out, "Profile", "%.120s (%.40s)", qm_node_text_at(result, "profile.name", "undisclosed"),
         qm_node_text_at(result, "run.class", "undisclosed"));
    fact(out, "Measured", "%.60s, qmark %.60s", qm_node_text_at(result, "run.started", "undisclosed"),
         qm_node_text_at(result, "qmark.version", "undisclosed"));
    fact(out, "Hash", "%.12s%s", qm_node_text_at(result, "hash", "undisclosed"),
         entry->is_intact ? "" : ", CHANGED: not that of the content");
    qm_text_append(out, "</dl>\n");
}

static void card(struct qm_report *report, size_t index)
{
    const struct qm_report_words *words = &report->words[index];
    struct qm_text *out = report->out;
    qm_text_append(out, "<article class=\"card\" data-d=\"%zu\">\n", index);
    qm_html_element(out, "h3", NULL, report->labels[index]);
    qm_html_element(out, "blockquote", NULL, qm_text_bytes(&words->quote));
    if (words->cautions.used > 0) {
        qm_text_append(out, "<div class=\"beside\"><p class=\"label\">Beware</p>\n<ul class=\"cautions\">");
        qm_html_lines(out, qm_text_bytes(&words->cautions), true);
        qm_text_append(out, "</ul></div>\n");
    }
    facts(out, &report->set->entries[index]);
    qm_text_append(out, "</article>\n");
}

// ---- Comparability ------------------------------------------------------------------------------------------------

// A difference of one pair or of many, told once.
struct told {
    struct qm_difference difference; // of the first pair that has it
    size_t a, b, pairs;
};

struct told_list {
    struct told *items; // room for TOLD_MAX, owned
    size_t count;
    bool is_cut;
    enum qm_comparison_verdict *verdicts; // [count * count], owned
};
#define TOLD_MAX 400

// What stands between brackets names a scheme or a point; the field is the same.
static void field_of(const char *path, char out[160])
{
    size_t used = 0;
    int depth = 0;
    for (; *path && used + 2 < 160; path++) {
        depth -= *path == ']';
        if (depth == 0)
            out[used++] = *path;
        depth += *path == '[';
    }
    out[used] = '\0';
}

static void tell(struct told_list *list, const struct qm_difference *difference, size_t a, size_t b)
{
    char field[160], other[160];
    if (difference->class != QM_DIFFERENCE_FATAL && difference->class != QM_DIFFERENCE_NOTE)
        return;
    field_of(difference->path, field);
    for (size_t i = 0; i < list->count; i++) {
        struct told *item = &list->items[i];
        field_of(item->difference.path, other);
        if (item->difference.class != difference->class || strcmp(field, other) != 0)
            continue;
        bool is_new = item->a != a || item->b != b; // pairs come one after the other
        item->pairs += is_new && item->pairs > 0;
        if (is_new) {
            item->a = a;
            item->b = b;
        }
        return;
    }
    if (list->count == TOLD_MAX) {
        list->is_cut = true;
        return;
    }
    list->items[list->count] = (struct told){.difference = *difference, .a = a, .b = b, .pairs = 1};
    memcpy(list->items[list->count++].difference.path, field, sizeof(field));
}

static int by_weight(const void *a, const void *b)
{
    const struct told *x = a, *y = b;
    if (x->difference.class != y->difference.class)
        return x->difference.class == QM_DIFFERENCE_FATAL ? -1 : 1;
    return x->pairs != y->pairs ? (x->pairs > y->pairs ? -1 : 1) : strcmp(x->difference.path, y->difference.path);
}

static enum qm_status compare_pairs(const struct qm_report *report, struct told_list *list)
{
    size_t count = report->set->count;
    list->items = calloc(TOLD_MAX, sizeof(*list->items));
    list->verdicts = calloc(count * count, sizeof(*list->verdicts));
    if (!list->items || !list->verdicts)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compare %zu results", count);
    for (size_t a = 0; a < count; a++) {
        for (size_t b = a + 1; b < count; b++) {
            struct qm_comparison comparison;
            QM_TRY(qm_compare(qm_report_result(report, a), qm_report_result(report, b), &comparison));
            list->verdicts[a * count + b] = list->verdicts[b * count + a] = comparison.pair;
            for (size_t i = 0; i < comparison.count; i++)
                tell(list, &comparison.differences[i], a, b);
            qm_comparison_free(&comparison);
        }
    }
    qsort(list->items, list->count, sizeof(*list->items), by_weight);
    return QM_OK;
}

static void matrix(struct qm_report *report, const struct told_list *list)
{
    static const char *const marks[] = {"=", "~", "&ne;"}, *const classes[] = {"yes", "notes", "no"};
    struct qm_html_table table;
    size_t count = report->set->count;
    char title[24];
    qm_html_table_begin(&table, report->out, ++report->tables, "Which results may be compared with which", "square");
    qm_html_table_column(&table, "result", 0);
    for (size_t i = 0; i < count; i++) {
        snprintf(title, sizeof(title), "%zu", i + 1);
        qm_html_table_column(&table, title, 0);
    }
    for (size_t a = 0; a < count; a++) {
        qm_html_table_row(&table, -1, "pairs");
        qm_html_cell_head(&table, report->labels[a]);
        for (size_t b = 0; b < count; b++) {
            enum qm_comparison_verdict verdict = list->verdicts[a * count + b];
            if (a == b) {
                qm_html_cell_open(&table, "self");
                qm_text_append(report->out, "<span aria-label=\"itself\">&middot;</span>");
            } else {
                qm_html_cell_open(&table, classes[verdict]);
                qm_text_append(report->out, "<span role=\"img\" title=\"%s\" aria-label=\"%s\">%s</span>",
                               qm_comparison_verdict_name(verdict), qm_comparison_verdict_name(verdict),
                               marks[verdict]);
            }
            qm_html_cell_close(&table);
        }
    }
    qm_html_table_end(&table);
    qm_text_append(report->out, "<p class=\"legend\"><span class=\"yes\">=</span> comparable &ensp; <span "
                                "class=\"notes\">~</span> comparable with notes &ensp; <span "
                                "class=\"no\">&ne;</span> not comparable</p>\n");
}

static void differences(struct qm_report *report, const struct told_list *list)
{
    struct qm_html_table table;
    char pairs[64];
    size_t shown = list->count < DIFFERENCES_MAX ? list->count : DIFFERENCES_MAX;
    if (shown == 0)
        return;
    qm_html_table_begin(&table, report->out, ++report->tables, "What differs, and why it matters", "sortable");
    qm_html_table_column(&table, "weight", 0);
    qm_html_table_column(&table, "field", 0);
    qm_html_table_column(&table, "why it matters", QM_HTML_WRAP);
    qm_html_table_column(&table, "such as", QM_HTML_WRAP);
    qm_html_table_column(&table, "pairs", QM_HTML_RIGHT);
    for (size_t i = 0; i < shown; i++) {
        const struct told *item = &list->items[i];
        bool is_fatal = item->difference.class == QM_DIFFERENCE_FATAL;
        qm_html_table_row(&table, -1, NULL);
        qm_html_cell_open(&table, is_fatal ? "no" : "notes");
        qm_text_append(report->out, "%s", is_fatal ? "not comparable" : "note");
        qm_html_cell_close(&table);
        qm_html_cell_open(&table, "code");
        qm_html_short(report->out, item->difference.path, 60);
        qm_html_cell_close(&table);
        qm_html_cell_open(&table, "w");
        qm_html_text(report->out, item->difference.why);
        qm_html_cell_close(&table);
        qm_html_cell_open(&table, "w");
        qm_html_short(report->out, item->difference.a, 28);
        qm_text_append(report->out, " &harr; ");
        qm_html_short(report->out, item->difference.b, 28);
        qm_html_cell_close(&table);
        snprintf(pairs, sizeof(pairs), "%zu", item->pairs);
        qm_html_cell_number(&table, pairs);
    }
    qm_html_table_end(&table);
    if (list->count > shown || list->is_cut)
        qm_text_append(report->out, "<p class=\"left\">%s%zu more; <code>qmark compare</code> lists them all.</p>\n",
                       list->is_cut ? "more than " : "", list->count - shown);
}

// Of more results than a matrix has room for, and below it: the groups.
static void groups(struct qm_report *report)
{
    struct qm_text *out = report->out;
    size_t count = report->set->count, singles = 0;
    qm_text_append(out, "<ul class=\"groups\">\n");
    for (size_t g = 0; g < report->group_count; g++) {
        size_t members = 0;
        for (size_t i = 0; i < count; i++)
            members += report->groups[i] == g;
        singles += members == 1;
        if (members < 2)
            continue;
        qm_text_append(out, "<li>%zu results that may stand side by side: ", members);
        for (size_t i = 0, said = 0; i < count && said < 40; i++) {
            if (report->groups[i] != g)
                continue;
            qm_text_append(out, "%s<b>%zu</b>", said ? ", " : "", i + 1);
            said++;
        }
        qm_text_append(out, "</li>\n");
    }
    if (singles > 0)
        qm_text_append(out, "<li>%zu result%s comparable with no other here</li>\n", singles,
                       singles == 1 ? " is" : "s are");
    qm_text_append(out, "</ul>\n");
}

static void verdict_of_all(struct qm_report *report, const struct told_list *list)
{
    size_t count = report->set->count, pairs = 0, not_comparable = 0, with_notes = 0;
    for (size_t a = 0; list->verdicts && a < count; a++) {
        for (size_t b = a + 1; b < count; b++, pairs++) {
            not_comparable += list->verdicts[a * count + b] == QM_NOT_COMPARABLE;
            with_notes += list->verdicts[a * count + b] == QM_COMPARABLE_WITH_NOTES;
        }
    }
    if (!list->verdicts)
        qm_text_append(report->out, "<p class=\"verdict %s\">%zu results in %zu group%s of comparable ones.</p>\n",
                       report->group_count == 1 ? "yes" : "no", count, report->group_count,
                       report->group_count == 1 ? "" : "s");
    else if (not_comparable > 0)
        qm_text_append(report->out,
                       "<p class=\"verdict no\"><strong>Not all of these may be compared:</strong> of %zu pairs %zu %s "
                       "not comparable, %zu with notes.</p>\n",
                       pairs, not_comparable, not_comparable == 1 ? "is" : "are", with_notes);
    else
        qm_text_append(report->out,
                       "<p class=\"verdict %s\"><strong>All of these may be compared%s:</strong> %zu pair%s, %zu with "
                       "notes.</p>\n",
                       with_notes ? "notes" : "yes", with_notes ? ", with notes" : "", pairs, pairs == 1 ? "" : "s",
                       with_notes);
}

static enum qm_status comparability(struct qm_report *report)
{
    struct told_list list = {0};
    enum qm_status status = QM_OK;
    size_t count = report->set->count;
    qm_text_append(report->out, "<h3 id=\"comparable\">May these be compared?</h3>\n");
    if (count < 2) {
        qm_text_append(report->out,
                       "<p class=\"verdict\">One result alone: there is nothing to compare it with.</p>\n");
        return QM_OK;
    }
    if (count <= QM_REPORT_MATRIX)
        status = compare_pairs(report, &list);
    if (status == QM_OK) {
        verdict_of_all(report, &list);
        groups(report);
        if (list.verdicts)
            matrix(report, &list);
        differences(report, &list);
    }
    free(list.items);
    free(list.verdicts);
    return status;
}

enum qm_status qm_report_head(struct qm_report *report)
{
    qm_report_section_begin(
        report, "results", 1, "What may be quoted",
        "For each result the sentence that it supports, with the accuracy inside, and what a reader "
        "should beware of. Quote it whole.");
    qm_text_append(report->out, "<div class=\"cards\">\n");
    for (size_t i = 0; i < report->set->count; i++)
        card(report, i);
    qm_text_append(report->out, "</div>\n");
    QM_TRY(comparability(report));
    qm_report_beware(report, "a pair that is not comparable may still have numbers that look alike. They are about "
                             "different things, and neither their ratio nor their order means anything.");
    qm_report_section_end(report);
    return QM_OK;
}
