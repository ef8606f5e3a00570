// The fourth and fifth section: whether speed holds, and what the device would allow.
#include "report/report_sections.h"

#include "record/node.h"
#include "record/result.h"
#include "report/show.h"
#include "report/show_speed.h"

#include <stdio.h>
#include <string.h>

enum {
    KERNELS_MAX = 60,   // of one result
    KERNELS_LARGE = 12, // of one of many
    PICTURES_OPEN = 2,
};

// ---- Sustained ----------------------------------------------------------------------------------------------------

static const struct qm_node *sustained_of(const struct qm_node *scheme)
{
    const struct qm_node *sustained = qm_result_row_is_ok(scheme) ? qm_node_child(scheme, "sustained") : NULL;
    return qm_node_is_mapping(sustained) ? sustained : NULL;
}

// "41 to 83": a sensor's lowest and highest reading.
static void cell_reading(struct qm_html_table *table, const struct qm_node *reading)
{
    char low[QM_SHOW_NUMBER_BYTES], high[QM_SHOW_NUMBER_BYTES], text[2 * QM_SHOW_NUMBER_BYTES + 8];
    if (!qm_node_is_mapping(reading)) {
        qm_report_cell_value(table, reading, "not measured");
        return;
    }
    qm_show_number(qm_node_child(reading, "lowest"), low);
    qm_show_number(qm_node_child(reading, "highest"), high);
    snprintf(text, sizeof(text), "%s to %s", low, high);
    qm_html_cell_number(table, text);
}

static void sustained_row(struct qm_report *report, struct qm_html_table *table, size_t index,
                          const struct qm_node *scheme)
{
    const struct qm_node *sustained = sustained_of(scheme), *telemetry = qm_node_child(sustained, "telemetry");
    const char *phase = qm_node_text_at(sustained, "phase", "?");
    const char *key = strcmp(phase, "prefill") == 0 ? "prompt" : "depth";
    char text[QM_SHOW_SUSTAINED_BYTES];
    if (!sustained)
        return;
    qm_html_table_row(table, (int)index, NULL);
    qm_report_cells_of(table, report, index, scheme);
    qm_report_cell_kl(table, scheme);
    qm_html_cellf(table, "%.20s, batch %.12s, %s %.12s", phase, qm_node_text_at(sustained, "batch", "?"), key,
                  qm_node_text_at(sustained, key, "?"));
    qm_report_cell_value(table, qm_node_child(sustained, "window_s"), "?");
    qm_report_cell_estimate(table, qm_node_child(sustained, "burst"), "rate", "not measured");
    qm_report_cell_estimate(table, sustained, "rate", "not measured");
    qm_report_cell_estimate(table, qm_node_child(sustained, "ratio_to_burst"), "value", "not measured");
    qm_show_sustained_cell(scheme, text);
    const char *verdict = strstr(text, "x burst, "); // the ratio stands beside it
    qm_html_cell(table, verdict ? verdict + strlen("x burst, ") : text);
    qm_html_cell_open(table, "w");
    qm_html_short(table->out, qm_node_text_at(sustained, "throttling", "undisclosed"), 120);
    const char *remark = qm_node_text_at(sustained, "remark", NULL);
    if (remark) {
        qm_text_append(table->out, "; ");
        qm_html_short(table->out, remark, 120);
    }
    qm_html_cell_close(table);
    qm_report_cell_value(table, qm_node_get(sustained, "latency_ms.p50"), "not measured");
    qm_report_cell_value(table, qm_node_get(sustained, "latency_ms.p95"), "not measured");
    qm_report_cell_value(table, qm_node_get(sustained, "latency_ms.p99"), "not measured");
    cell_reading(table, qm_node_child(telemetry, "clock_mhz"));
    cell_reading(table, qm_node_child(telemetry, "power_w"));
    cell_reading(table, qm_node_child(telemetry, "temperature_c"));
    qm_report_cell_value(table, qm_node_child(telemetry, "tokens_per_joule"), "not measured");
}

static bool has_sustained(const struct qm_node *result)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        if (sustained_of(qm_node_at(schemes, i)))
            return true;
    return false;
}

static void not_sustained(struct qm_report *report)
{
    size_t lacking = 0, said = 0;
    for (size_t i = 0; i < report->set->count; i++)
        lacking += !has_sustained(qm_report_result(report, i));
    if (lacking == 0)
        return;
    qm_text_append(report->out, "<p class=\"left\">%zu result%s no sustained run: ", lacking,
                   lacking == 1 ? " has" : "s have");
    for (size_t i = 0; i < report->set->count && said < 20; i++)
        if (!has_sustained(qm_report_result(report, i)))
            qm_text_append(report->out, "%s<b>%zu</b>", said++ ? ", " : "", i + 1);
    qm_text_append(report->out, "%s. Their rates are of short passes and may be those of a burst.</p>\n",
                   lacking > said ? ", ..." : "");
}

static void sustained_table(struct qm_report *report)
{
    static const char *const titles[] = {"case",      "seconds",    "burst t/s",     "last third t/s",  "over burst",
                                         "verdict",   "throttling", "p50 ms",        "p95 ms",          "p99 ms",
                                         "clock MHz", "power W",    "temperature C", "tokens per joule"};
    static const unsigned flags[] = {0, 1, 1, 1, 1, 0, 2, 1, 1, 1, 1, 1, 1, 1};
    struct qm_html_table table;
    bool is_any = false;
    for (size_t i = 0; i < report->set->count && !is_any; i++)
        is_any = has_sustained(qm_report_result(report, i));
    if (!is_any)
        return;
    qm_html_table_begin(&table, report->out, ++report->tables, "Sustained runs", "sortable");
    qm_html_table_column(&table, "result", 0);
    qm_html_table_column(&table, "scheme", 0);
    qm_html_table_column(&table, "KL to fp32, nats", QM_HTML_RIGHT);
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        qm_html_table_column(&table, titles[i], flags[i]);
    qm_report_rows(report, &table, sustained_row);
    qm_html_table_end(&table);
}

enum qm_status qm_report_sustained(struct qm_report *report)
{
    qm_report_section_begin(report, "sustained", 4, "Sustained, not peak",
                            "One contiguous run per scheme: the rate of its first two seconds (burst) and of its last "
                            "third, whether it was steady, and what sensors told meanwhile.");
    QM_TRY(qm_report_pictures(report, QM_PICTURE_SUSTAINED, PICTURES_OPEN));
    sustained_table(report);
    not_sustained(report);
    qm_report_beware(report, "a run of two minutes in a cool room is not a day in a closed case. Throttling that no "
                             "sensor tells and no probe sees is not seen here.");
    qm_report_section_end(report);
    return QM_OK;
}

// ---- Roofline -----------------------------------------------------------------------------------------------------

static void ceilings(struct qm_report *report)
{
    static const char *const kinds[] = {"fp32", "fp16", "int32", "dot8", "matrix", "read", "write", "copy"};
    struct qm_html_table table;
    size_t lacking = 0;
    qm_html_table_begin(&table, report->out, ++report->tables, "Ceilings: what each device gives at best, by probes",
                        "sortable");
    qm_html_table_column(&table, "result", 0);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
        qm_html_table_column(&table, kinds[k], QM_HTML_RIGHT);
    for (size_t i = 0; i < report->set->count; i++) {
        const struct qm_node *list = qm_node_get(qm_report_result(report, i), "ceilings.kinds");
        qm_html_table_row(&table, (int)i, NULL);
        qm_html_cell_head(&table, report->labels[i]);
        if (qm_node_count(list) == 0) {
            qm_html_cell_span(&table, "why", "ceilings: not measured");
            lacking++;
            continue;
        }
        for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
            const struct qm_node *kind = NULL;
            for (size_t j = 0; j < qm_node_count(list) && !kind; j++)
                if (strcmp(qm_node_text_at(qm_node_at(list, j), "kind", ""), kinds[k]) == 0)
                    kind = qm_node_at(list, j);
            double rate = 0;
            char number[QM_SHOW_NUMBER_BYTES], text[QM_SHOW_NUMBER_BYTES + 24];
            if (!qm_node_double_at(kind, "rate", &rate)) {
                qm_report_cell_value(&table, NULL, qm_node_text_at(kind, "status", "not measured"));
                continue;
            }
            qm_show_double(rate, number);
            snprintf(text, sizeof(text), "%s %.16s", number, qm_node_text_at(kind, "unit", "?"));
            qm_html_cell_number(&table, text);
        }
    }
    qm_html_table_end(&table);
}

static bool was_shown(const struct qm_node *const *shown, size_t count, const struct qm_node *row)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(qm_node_text_at(shown[i], "name", ""), qm_node_text_at(row, "name", "")) == 0 &&
            strcmp(qm_node_text_at(shown[i], "shape", ""), qm_node_text_at(row, "shape", "")) == 0)
            return true;
    return false;
}

static void kernel_row(struct qm_report *report, struct qm_html_table *table, size_t index, const struct qm_node *row)
{
    double share = 0;
    char text[QM_SHOW_NUMBER_BYTES];
    qm_html_table_row(table, (int)index, NULL);
    qm_html_cell_open(table, "d");
    qm_html_text(table->out, report->shorts[index]);
    qm_html_cell_close(table);
    qm_html_cell_head(table, qm_node_text_at(row, "name", "?"));
    qm_report_cell_path(table, row, "shape", "?");
    qm_report_cell_path(table, row, "tile", "?");
    qm_report_cell_value(table, qm_node_child(row, "checked_error"), "not measured");
    qm_report_cell_value(table, qm_node_child(row, "bound"), "undisclosed");
    qm_report_cell_value(table, qm_node_child(row, "time_us"), "not measured");
    double rate = 0;
    char number[QM_SHOW_NUMBER_BYTES], with_unit[QM_SHOW_NUMBER_BYTES + 24];
    if (qm_node_double_at(row, "rate", &rate)) {
        qm_show_double(rate, number);
        snprintf(with_unit, sizeof(with_unit), "%s %.16s", number, qm_node_text_at(row, "unit", ""));
        qm_html_cell_number(table, with_unit);
    } else {
        qm_report_cell_value(table, qm_node_child(row, "rate"), "not measured");
    }
    qm_report_cell_value(table, qm_node_child(row, "intensity"), "not measured");
    qm_report_cell_path(table, row, "ceiling", "not measured");
    if (qm_node_double_at(row, "share", &share) && share < 1e6) {
        snprintf(text, sizeof(text), "%.0f %%", share * 100);
        qm_html_cell_number(table, text);
    } else {
        qm_report_cell_value(table, NULL, "not measured");
    }
}

static size_t kernels_of(struct qm_report *report, struct qm_html_table *table, size_t index)
{
    const struct qm_node *list[QM_REPORT_SCHEMES], *shown[KERNELS_MAX];
    size_t left = 0, rows = 0, more = 0;
    size_t schemes = qm_report_schemes(qm_report_result(report, index), list, &left);
    for (size_t s = 0; s < schemes; s++) {
        const struct qm_node *kernels = qm_node_child(list[s], "kernels");
        for (size_t k = 0; k < qm_node_count(kernels) && k < 10 * KERNELS_MAX; k++) {
            const struct qm_node *row = qm_node_at(kernels, k);
            if (!qm_node_is_number(qm_node_child(row, "rate")) || was_shown(shown, rows, row))
                continue;
            if (rows == (report->is_large ? KERNELS_LARGE : KERNELS_MAX)) {
                more++;
                continue;
            }
            shown[rows++] = row;
            kernel_row(report, table, index, row);
        }
    }
    if (more > 0) {
        qm_html_table_row(table, (int)index, NULL);
        qm_html_cell_span(table, "why", "more kernels than are shown here; 'qmark show --kernels' lists them all");
    }
    return rows;
}

enum qm_status qm_report_roofline(struct qm_report *report)
{
    static const char *const titles[] = {"result", "kernel", "shape",           "tile",    "error", "bound",
                                         "us",     "rate",   "operations/byte", "ceiling", "share"};
    static const unsigned flags[] = {0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 1};
    struct qm_html_table table;
    size_t rows = 0;
    qm_report_section_begin(report, "roofline", 5, "Under the roof",
                            "Each kernel alone at the model's shapes, checked against the oracle, beside what the "
                            "device allows: its share of the ceiling that limits it. Results of one device through "
                            "OpenCL and Vulkan share a picture.");
    QM_TRY(qm_report_pictures(report, QM_PICTURE_ROOFLINE, PICTURES_OPEN));
    ceilings(report);
    qm_text_append(report->out, "<details class=\"more\"><summary>Every timed kernel</summary>\n");
    qm_html_table_begin(&table, report->out, ++report->tables,
                        "Kernels alone; their error beside the bound that it must keep, the accuracy of schemes in "
                        "section 2",
                        "sortable");
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        qm_html_table_column(&table, titles[i], flags[i]);
    for (size_t i = 0; i < report->set->count; i++)
        rows += kernels_of(report, &table, i);
    qm_html_table_end(&table);
    if (rows == 0)
        qm_text_append(report->out, "<p>No kernel was timed alone.</p>\n");
    qm_text_append(report->out, "</details>\n");
    qm_report_beware(report, "a high share means a kernel near what the probes reached, not that no faster kernel "
                             "exists. A baseline far below its ceiling makes every gain over it look larger.");
    qm_report_section_end(report);
    return QM_OK;
}
