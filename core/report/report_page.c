#include "report/report_page.h"

#include "base/hash.h"
#include "record/claim.h"
#include "record/node.h"
#include "report/report_script.h"
#include "report/report_sections.h"
#include "report/report_style.h"
#include "report/sentence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char qm_report_page_mark[] = "<!doctype html>\n<!-- qmark report -->\n";

enum {
    LARGE = 150,     // schemes
    NARROW_MAX = 10, // results; of more, phones scroll the wide pictures, so that the page stays small
};

static const struct section {
    const char *id, *title;
    enum qm_status (*write)(struct qm_report *report);
} sections[] = {
    {"results", "What may be quoted", qm_report_head},
    {"trade", "The trade", qm_report_trade},
    {"vendors", "Devices side by side", qm_report_vendors},
    {"sustained", "Sustained, not peak", qm_report_sustained},
    {"roofline", "Under the roof", qm_report_roofline},
    {"accuracy", "Behind the accuracy", qm_report_accuracy},
    {"disclosure", "What is disclosed", qm_report_disclosure},
    {"files", "Take it away", qm_report_files},
};
enum {
    SECTIONS = sizeof(sections) / sizeof(sections[0])
};

// ---- The frame ----------------------------------------------------------------------------------------------------

static size_t schemes_of(const struct qm_report *report)
{
    size_t schemes = 0;
    for (size_t i = 0; i < report->set->count; i++)
        schemes += qm_node_count(qm_node_child(qm_report_result(report, i), "schemes"));
    return schemes;
}

static void page_title(const struct qm_report *report, char text[160])
{
    size_t schemes = schemes_of(report), count = report->set->count;
    snprintf(text, 160, "%zu scheme%s in %zu result%s: what they gain, and what it costs", schemes,
             schemes == 1 ? "" : "s", count, count == 1 ? "" : "s");
}

// The policy names what may run and style by its hash; everything else, and every address, is refused.
static void head(struct qm_report *report)
{
    struct qm_text *out = report->out, pictures = {0};
    char style[QM_HASH_BASE64_BYTES], picture_style[QM_HASH_BASE64_BYTES], script[QM_HASH_BASE64_BYTES], title[160];
    qm_picture_style(QM_PICTURE_FOLLOW, &pictures);
    qm_hash_base64(qm_report_style, strlen(qm_report_style), style);
    qm_hash_base64(qm_text_bytes(&pictures), pictures.used, picture_style);
    qm_hash_base64(qm_report_script, strlen(qm_report_script), script);
    page_title(report, title);
    qm_text_append(out,
                   "%s<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                   "style-src 'sha256-%s' 'sha256-%s'; script-src 'sha256-%s'; img-src data: blob:; base-uri 'none'; "
                   "form-action 'none'\">\n"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                   "<meta name=\"color-scheme\" content=\"light dark\">\n"
                   "<meta name=\"referrer\" content=\"no-referrer\">\n"
                   "<meta name=\"generator\" content=\"qmark %s\">\n"
                   "<link rel=\"icon\" href=\"data:,\">\n<title>qmark report: ",
                   qm_report_page_mark, style, picture_style, script, QM_VERSION);
    qm_html_text(out, title);
    qm_text_append(out, "</title>\n<style>%s</style>\n<style id=\"picture-style\">%s</style>\n</head>\n",
                   qm_report_style, qm_text_bytes(&pictures));
    out->failed = out->failed || pictures.failed;
    qm_text_free(&pictures);
}

static void contents(struct qm_text *out)
{
    qm_text_append(out, "<nav class=\"contents\" aria-label=\"Sections\"><ol>\n");
    for (int i = 0; i < SECTIONS; i++)
        qm_text_append(out, "<li><a href=\"#%s\">%s</a></li>\n", sections[i].id, sections[i].title);
    qm_text_append(out, "</ol></nav>\n");
}

static void filter(struct qm_report *report)
{
    struct qm_text *out = report->out;
    qm_text_append(out, "<form class=\"filter\" hidden aria-label=\"Filter\">\n<label>Result<select>"
                        "<option value=\"\">all</option>");
    for (size_t i = 0; i < report->set->count; i++) {
        qm_text_append(out, "<option value=\"%zu\">", i);
        qm_html_textf(out, "%.80s", report->labels[i]);
        qm_text_append(out, "</option>");
    }
    qm_text_append(out, "</select></label>\n<label>Scheme has<input type=\"search\" size=\"12\" "
                        "autocomplete=\"off\"></label>\n<button type=\"reset\" class=\"act\">Show all</button>\n"
                        "<output></output>\n</form>\n");
}

static enum qm_status page(struct qm_report *report)
{
    struct qm_text *out = report->out;
    char title[160];
    page_title(report, title);
    head(report);
    qm_text_append(out, "<body>\n<a class=\"skip\" href=\"#main\">Skip to the results</a>\n"
                        "<header class=\"top\">\n<p class=\"brand\">qmark report</p>\n<h1>");
    qm_html_text(out, title);
    qm_text_append(out, "</h1>\n<p class=\"lede\">Every speed on this page stands beside the accuracy of the same "
                        "artifact, through the same kernels, on the same device. What is missing says "
                        "<strong>undisclosed</strong>.</p>\n</header>\n<div class=\"frame\">\n");
    contents(out);
    qm_text_append(out, "<main id=\"main\" tabindex=\"-1\">\n");
    filter(report);
    for (int i = 0; i < SECTIONS; i++)
        QM_TRY(sections[i].write(report));
    qm_text_append(
        out,
        "</main>\n</div>\n<footer>Written by qmark %s from the files of section 8. This page asks nothing of "
        "the network.</footer>\n<script>%s</script>\n</body>\n</html>\n",
        QM_VERSION, qm_report_script);
    return QM_OK;
}

// ---- What the sections work from ------------------------------------------------------------------------------------

static void label_of(const struct qm_node *result, size_t index, char label[QM_REPORT_LABEL_BYTES])
{
    char widen[32] = "";
    const char *widened = qm_node_text_at(result, "model.widen", "1");
    if (strcmp(widened, "1") != 0)
        snprintf(widen, sizeof(widen), ", widen: %.10s", widened);
    snprintf(label, QM_REPORT_LABEL_BYTES, "%zu \xc2\xb7 %.110s, %.20s%s", index + 1,
             qm_node_text_at(result, "device.name", "undisclosed"),
             qm_node_text_at(result, "device.api", "undisclosed"), widen);
    qm_utf8_trim(label);
}

// The number and the beginning of the name.
static void shorten(const char *label, char out[QM_REPORT_SHORT_BYTES])
{
    size_t bytes = 0, count = 0;
    for (; label[bytes] && count < 20; count++) {
        bytes++;
        while (((unsigned char)label[bytes] & 0xc0) == 0x80)
            bytes++;
    }
    if (bytes > QM_REPORT_SHORT_BYTES - 8)
        bytes = QM_REPORT_SHORT_BYTES - 8;
    snprintf(out, QM_REPORT_SHORT_BYTES, "%.*s%s", (int)bytes, label, label[bytes] ? "\xe2\x80\xa6" : "");
}

static enum qm_status quote(struct qm_report *report)
{
    size_t count = report->set->count;
    report->words = calloc(count, sizeof(*report->words));
    if (!report->words)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a report of %zu results; name fewer", count);
    for (size_t i = 0; i < count; i++) {
        qm_sentence_quote(&report->words[i].quote, qm_report_result(report, i));
        qm_sentence_cautions(&report->words[i].cautions, qm_report_result(report, i));
        report->out->failed = report->out->failed || report->words[i].quote.failed || report->words[i].cautions.failed;
    }
    return QM_OK;
}

static enum qm_status prepare(struct qm_report *report)
{
    size_t count = report->set->count;
    report->labels = calloc(count, sizeof(*report->labels));
    report->shorts = calloc(count, sizeof(*report->shorts));
    report->keys = calloc(count, sizeof(*report->keys));
    report->groups = calloc(count, sizeof(*report->groups));
    struct qm_picture_source *sources = calloc(count, sizeof(*sources));
    enum qm_status status = QM_OK;
    if (!report->labels || !report->shorts || !report->keys || !report->groups || !sources)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a report of %zu results; name fewer", count));
    for (size_t i = 0; i < count; i++) {
        const struct qm_result_entry *entry = &report->set->entries[i];
        label_of(entry->result, i, report->labels[i]);
        shorten(report->labels[i], report->shorts[i]);
        QM_GUARD(qm_compare_key_of(entry->result, &report->keys[i]));
        sources[i] =
            (struct qm_picture_source){.result = entry->result, .path = entry->path, .is_changed = !entry->is_intact};
    }
    report->is_large = schemes_of(report) > LARGE;
    if (count > 0)
        QM_GUARD(qm_compare_group(report->keys, count, report->groups, &report->group_count));
    QM_GUARD(qm_picture_set_create(sources, count, &report->pictures));
done:
    free(sources);
    return status;
}

enum qm_status qm_report_page_write(struct qm_result_set *set, struct qm_text *out)
{
    struct qm_report report = {.set = set, .out = out, .with_narrow = set->count <= NARROW_MAX};
    enum qm_status status = quote(&report); // before texts are tidied: it looks at the hash
    for (size_t i = 0; i < set->count; i++)
        qm_claim_tidy(set->entries[i].result);
    if (status == QM_OK)
        status = prepare(&report);
    if (status == QM_OK)
        status = page(&report);
    if (status == QM_OK && out->failed)
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a report of %zu results; name fewer", set->count);
    for (size_t i = 0; report.keys && i < set->count; i++)
        qm_compare_key_free(&report.keys[i]);
    for (size_t i = 0; report.words && i < set->count; i++) {
        qm_text_free(&report.words[i].quote);
        qm_text_free(&report.words[i].cautions);
    }
    free(report.words);
    free(report.labels);
    free(report.shorts);
    free(report.keys);
    free(report.groups);
    qm_picture_set_destroy(&report.pictures);
    return status;
}
