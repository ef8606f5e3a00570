#include "report/report_sections.h"

#include "record/node.h"
#include "record/result.h"
#include "report/show.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void qm_report_section_begin(struct qm_report *report, const char *id, int number, const char *title, const char *says)
{
    qm_text_append(report->out, "\n<section id=\"%s\" aria-labelledby=\"%s-h\">\n<h2 id=\"%s-h\">", id, id, id);
    qm_text_append(report->out, "<span class=\"no\">%d</span> %s</h2>\n<p class=\"says\">%s</p>\n", number, title,
                   says);
}

void qm_report_beware(struct qm_report *report, const char *text)
{
    qm_text_append(report->out, "<p class=\"beware\"><strong>What this does not show:</strong> %s</p>\n", text);
}

void qm_report_section_end(struct qm_report *report)
{
    qm_text_append(report->out, "</section>\n");
}

const struct qm_node *qm_report_result(const struct qm_report *report, size_t index)
{
    return report->set->entries[index].result;
}

// ---- Pictures -----------------------------------------------------------------------------------------------------

static enum qm_status draw(struct qm_report *report, enum qm_picture picture, size_t index, unsigned width)
{
    const struct qm_picture_params params = {.width = width};
    qm_text_append(report->out, "<div class=\"%s\">", width == QM_PICTURE_WIDE ? "wide" : "narrow");
    QM_TRY(qm_picture_draw(report->pictures, picture, index, &params, report->out));
    qm_text_append(report->out, "</div>\n");
    return QM_OK;
}

static enum qm_status figure(struct qm_report *report, enum qm_picture picture, size_t index)
{
    struct qm_text title = {0}, summary = {0};
    qm_picture_title(report->pictures, picture, index, &title);
    qm_picture_summary(report->pictures, picture, index, &summary);
    qm_text_append(report->out, "<h3>");
    qm_html_text(report->out, qm_text_bytes(&title));
    qm_text_append(report->out, "</h3>\n<figure class=\"picture\" data-name=\"qmark-%s-%zu\"%s>\n",
                   qm_picture_name(picture), index + 1, report->with_narrow ? "" : " data-one");
    enum qm_status status = draw(report, picture, index, QM_PICTURE_WIDE);
    if (status == QM_OK && report->with_narrow)
        status = draw(report, picture, index, QM_PICTURE_NARROW);
    qm_html_element(report->out, "figcaption", NULL, qm_text_bytes(&summary));
    qm_text_append(report->out, "</figure>\n");
    report->out->failed = report->out->failed || title.failed || summary.failed;
    qm_text_free(&title);
    qm_text_free(&summary);
    return status;
}

enum qm_status qm_report_pictures(struct qm_report *report, enum qm_picture picture, size_t open)
{
    size_t all = qm_picture_count(report->pictures, picture);
    size_t count = report->with_narrow || all < QM_REPORT_PICTURES ? all : QM_REPORT_PICTURES;
    if (report->is_large && picture == QM_PICTURE_TRADE && count > 1)
        count = 1;
    for (size_t i = 0; i < count; i++) {
        if (i == open)
            qm_text_append(report->out, "<details class=\"more\"><summary>%zu more picture%s of this kind</summary>\n",
                           count - open, count - open == 1 ? "" : "s");
        QM_TRY(figure(report, picture, i));
    }
    if (count > open)
        qm_text_append(report->out, "</details>\n");
    if (all > count)
        qm_text_append(
            report->out,
            "<p class=\"left\">%zu more pictures of this kind are not in this page; <code>qmark report RESULT... "
            "--only %s --drawing %zu</code> and on draws them.</p>\n",
            all - count, qm_picture_name(picture), count + 1);
    return QM_OK;
}

// ---- Rows ---------------------------------------------------------------------------------------------------------

size_t qm_report_schemes(const struct qm_node *result, const struct qm_node *list[QM_REPORT_SCHEMES], size_t *left)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    size_t all = qm_node_count(schemes), ok = 0, count = 0;
    for (size_t i = 0; i < all; i++)
        ok += qm_result_row_is_ok(qm_node_at(schemes, i));
    size_t ok_most = ok < QM_REPORT_SCHEMES ? ok : QM_REPORT_SCHEMES;
    size_t other_most = QM_REPORT_SCHEMES - ok_most;
    for (size_t i = 0; i < all && count < QM_REPORT_SCHEMES; i++) {
        size_t *most = qm_result_row_is_ok(qm_node_at(schemes, i)) ? &ok_most : &other_most;
        if (*most == 0)
            continue;
        --*most;
        list[count++] = qm_node_at(schemes, i);
    }
    *left = all - count;
    return count;
}

void qm_report_row_left(struct qm_html_table *table, const struct qm_report *report, size_t index, size_t left)
{
    char text[QM_REPORT_LABEL_BYTES + 120];
    if (left == 0)
        return;
    snprintf(text, sizeof(text), "%zu more schemes of %s are not shown here; 'qmark show' lists them all", left,
             report->labels[index]);
    qm_html_table_row(table, (int)index, NULL);
    qm_html_cell_span(table, "why", text);
}

void qm_report_rows(struct qm_report *report, struct qm_html_table *table,
                    void (*row)(struct qm_report *, struct qm_html_table *, size_t, const struct qm_node *))
{
    for (size_t i = 0; i < report->set->count; i++) {
        const struct qm_node *list[QM_REPORT_SCHEMES];
        size_t left = 0, count = qm_report_schemes(qm_report_result(report, i), list, &left);
        for (size_t k = 0; k < count; k++)
            row(report, table, i, list[k]);
        qm_report_row_left(table, report, i, left);
    }
}

void qm_report_cells_of(struct qm_html_table *table, const struct qm_report *report, size_t index,
                        const struct qm_node *scheme)
{
    qm_html_cell_open(table, "d");
    qm_html_text(table->out, report->shorts[index]);
    qm_html_cell_close(table);
    qm_html_cell_head(table, qm_node_text_at(scheme, "name", "?"));
}

void qm_report_cell_reason(struct qm_html_table *table, const struct qm_node *scheme)
{
    size_t left = table->columns > table->cell ? table->columns - table->cell : 1;
    qm_text_append(table->out, "<td colspan=\"%zu\" class=\"why\"><strong class=\"bad\">", left);
    qm_html_text(table->out, qm_result_status_word(scheme));
    qm_text_append(table->out, "</strong> ");
    qm_html_short(table->out, qm_node_text_at(scheme, "reason", "undisclosed"), 240);
    qm_text_append(table->out, "</td>");
    table->cell += left;
}

// ---- Cells --------------------------------------------------------------------------------------------------------

static void cell_none(struct qm_html_table *table, const char *word)
{
    qm_text_append(table->out, "<td class=\"n\">");
    qm_html_short(table->out, word, 40);
    qm_text_append(table->out, "</td>");
    table->cell++;
}

static void number_text(double value, bool as_share, char text[QM_SHOW_NUMBER_BYTES])
{
    if (as_share && fabs(value) < 1e6)
        snprintf(text, QM_SHOW_NUMBER_BYTES, "%.2f", value * 100);
    else
        qm_show_double(value, text);
}

static void cell_interval(struct qm_html_table *table, const struct qm_node *holder, const struct qm_node *node,
                          bool as_share)
{
    double value = 0, low = 0, high = 0;
    char text[QM_SHOW_NUMBER_BYTES], low_text[QM_SHOW_NUMBER_BYTES], high_text[QM_SHOW_NUMBER_BYTES];
    if (qm_node_read_double(node, &value) != QM_OK) {
        cell_none(table, "out of range");
        return;
    }
    number_text(value, as_share, text);
    bool is_percent = as_share && fabs(value) < 1e6;
    qm_text_append(table->out, "<td class=\"n\"><b>%s%s</b>", text, is_percent ? " %" : "");
    if (qm_node_double_at(holder, "low", &low) && qm_node_double_at(holder, "high", &high)) {
        number_text(low, as_share, low_text);
        number_text(high, as_share, high_text);
        qm_text_append(table->out, " <i>[%s, %s]</i>", low_text, high_text);
    }
    qm_text_append(table->out, "</td>");
    table->cell++;
}

static void cell_of(struct qm_html_table *table, const struct qm_node *holder, const char *key, const char *none,
                    bool as_share)
{
    const struct qm_node *node = qm_node_is_mapping(holder) ? qm_node_child(holder, key) : holder;
    if (qm_node_is_number(node))
        cell_interval(table, qm_node_is_mapping(holder) ? holder : NULL, node, as_share);
    else
        cell_none(table, qm_node_text(node) ? qm_node_text(node) : none);
}

void qm_report_cell_estimate(struct qm_html_table *table, const struct qm_node *holder, const char *key,
                             const char *none)
{
    cell_of(table, holder, key, none, false);
}

void qm_report_cell_share(struct qm_html_table *table, const struct qm_node *holder, const char *key, const char *none)
{
    cell_of(table, holder, key, none, true);
}

void qm_report_cell_value(struct qm_html_table *table, const struct qm_node *node, const char *none)
{
    cell_of(table, node, "", none, false);
}

void qm_report_cell_kl(struct qm_html_table *table, const struct qm_node *scheme)
{
    const struct qm_node *kl = qm_node_get(scheme, "accuracy.kl_divergence");
    const bool has_own = qm_node_get(scheme, "accuracy.reference") != NULL;
    char text[QM_SHOW_INTERVAL_BYTES];
    qm_show_accuracy(scheme, false, text);
    if (qm_node_is_number(qm_node_child(kl, "mean")))
        cell_of(table, kl, "mean", "", false);
    else
        cell_none(table, has_own ? text : "accuracy: not measured");
}

void qm_report_cell_path(struct qm_html_table *table, const struct qm_node *node, const char *path, const char *none)
{
    const char *text = qm_node_text_at(node, path, none);
    qm_html_cell_open(table, NULL);
    qm_html_short(table->out, text, 80);
    qm_html_cell_close(table);
}
