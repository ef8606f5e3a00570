#include "report/closing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "record/claim.h"
#include "record/node.h"
#include "record/result.h"
#include "report/facts.h"
#include "report/sentence.h"
#include "report/table.h"

enum {
    BLOCKS_BELOW = 72, // columns: no room for a table
    SPARK_COLUMNS = 24,
    SCHEMES_MAX = 200, // a stranger's result may have thousands
};

// ---- Cells ----------------------------------------------------------------------------------------------------------

// "0.00213 ±10 %": the farther end of the interval, as a share of the value. A word as it is.
static void say_value(const struct qm_node *holder, const char *key, bool is_fancy, char text[64])
{
    const struct qm_node *node = qm_node_is_mapping(holder) ? qm_node_child(holder, key) : holder;
    double value = 0, low = 0, high = 0;
    char number[QM_SHOW_NUMBER_BYTES];
    qm_show_number(node, number);
    snprintf(text, 64, "%.40s", node ? number : "not measured");
    if (!qm_node_is_number(node) || qm_node_read_double(node, &value) != QM_OK || value <= 0)
        return;
    if (!qm_node_double_at(holder, "low", &low) || !qm_node_double_at(holder, "high", &high)) {
        snprintf(text, 64, "%.40s %s?", number, is_fancy ? "\xc2\xb1" : "+-");
        return;
    }
    double share = 100 * fmax(fabs(high - value), fabs(value - low)) / value;
    snprintf(text, 64, share < 9.95 ? "%.40s %s%.1f%%" : "%.40s %s%.0f%%", number, is_fancy ? "\xc2\xb1" : "+-", share);
}

static void say_percent(const struct qm_node *estimate, char text[64])
{
    double value = 0;
    const struct qm_node *node = qm_node_is_mapping(estimate) ? qm_node_child(estimate, "value") : estimate;
    if (qm_node_is_number(node) && qm_node_read_double(node, &value) == QM_OK)
        snprintf(text, 64, "%.1f", value * 100);
    else
        snprintf(text, 64, "%.20s", qm_node_text(node) ? qm_node_text(node) : "-");
}

// "0.98 held", "0.81 fell", "0.97 open" where it cannot be told, or why there is none.
static void say_sustained(const struct qm_node *scheme, char text[64])
{
    const struct qm_node *sustained = qm_node_child(scheme, "sustained");
    const char *steady = qm_node_text_at(sustained, "steady", "");
    double ratio = 0;
    if (!qm_node_is_mapping(sustained)) {
        snprintf(text, 64, "%s", "-");
        return;
    }
    const char *word = strcmp(steady, "yes") == 0           ? "held"
                       : strcmp(steady, "no") == 0          ? "fell"
                       : strcmp(steady, "undecidable") == 0 ? "open"
                                                            : steady;
    if (qm_node_double_at(sustained, "ratio_to_burst.value", &ratio) && strcmp(steady, "too short") != 0)
        snprintf(text, 64, "%.2f %.20s", ratio, word);
    else
        snprintf(text, 64, "%.20s", word);
}

struct cells {
    const char *name, *verdict, *baseline;
    char kl[64], top1[64], exact[64], rate[64], gain[64], sustained[64];
};

static void read_cells(const struct qm_node *result, const struct qm_node *scheme, const char *phase, bool is_fancy,
                       struct cells *cells)
{
    const struct qm_node *accuracy = qm_node_child(scheme, "accuracy"), *gain = qm_show_gain(scheme, phase);
    *cells = (struct cells){.name = qm_node_text_at(scheme, "name", "?"),
                            .baseline = qm_node_text_at(result, "profile.baseline", "?"),
                            .verdict = qm_node_text_at(accuracy, "acceptance.verdict", "not stated")};
    if (qm_node_is_number(qm_node_get(accuracy, "kl_divergence.mean"))) {
        say_value(qm_node_child(accuracy, "kl_divergence"), "mean", is_fancy, cells->kl);
    } else {
        char text[QM_SHOW_INTERVAL_BYTES];
        bool has_own = qm_node_child(accuracy, "reference") != NULL;
        qm_show_accuracy(scheme, false, text);
        snprintf(cells->kl, sizeof(cells->kl), "%.60s", has_own ? text : "accuracy: not measured");
    }
    say_percent(qm_node_child(accuracy, "top1_agreement"), cells->top1);
    say_percent(qm_node_child(accuracy, "exact_match"), cells->exact);
    const struct qm_node *point = qm_show_point(scheme, phase);
    say_value(point, "rate_tokens_per_s", is_fancy, cells->rate);
    say_value(gain, "ratio", is_fancy, cells->gain);
    if (strcmp(cells->name, cells->baseline) == 0)
        snprintf(cells->gain, sizeof(cells->gain), "baseline");
    say_sustained(scheme, cells->sustained);
}

// What stands in the place of a row's cells where it is not ok.
static void say_reason(const struct qm_node *scheme, struct qm_text *out)
{
    qm_text_append(out, "%s: %s", qm_result_status_word(scheme), qm_node_text_at(scheme, "reason", "undisclosed"));
}

// ---- The table, or blocks -------------------------------------------------------------------------------------------

static enum qm_status write_table(const struct qm_node *result, const char *phase, unsigned columns, bool is_fancy,
                                  struct qm_text *reasons, FILE *file)
{
    static const char *const titles[] = {"top-1", "exact", "verdict", "t/s", "gain", "over burst"};
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "KL mean", false);
    qm_table_keep(table); // no part has a speed without it
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        qm_table_column(table, titles[i], i < 2);
    for (size_t i = 0; i < qm_node_count(schemes) && i < SCHEMES_MAX; i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        struct cells cells;
        qm_table_row(table);
        qm_table_cell(table, "%.40s", qm_node_text_at(scheme, "name", "?"));
        if (!qm_result_row_is_ok(scheme)) { // the reason stands below, for it may be long
            qm_table_span(table, "%.20s", qm_result_status_word(scheme));
            qm_text_append(reasons, "%.60s: ", qm_node_text_at(scheme, "name", "?"));
            say_reason(scheme, reasons);
            qm_text_append(reasons, "\n");
            continue;
        }
        read_cells(result, scheme, phase, is_fancy, &cells);
        const char *const all[] = {cells.kl,   cells.top1, cells.exact,    cells.verdict,
                                   cells.rate, cells.gain, cells.sustained};
        for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
            qm_table_cell(table, "%s", all[k]);
    }
    enum qm_status status = qm_table_write(table, file, columns, is_fancy);
    qm_table_destroy(&table);
    return status;
}

static void write_wrapped(const char *text, unsigned columns, size_t indent, FILE *file)
{
    struct qm_text wrapped = {0};
    qm_text_wrap(&wrapped, text, columns, indent);
    fprintf(file, "%s\n", qm_text_bytes(&wrapped));
    qm_text_free(&wrapped);
}

static void write_blocks(const struct qm_node *result, const char *phase, unsigned columns, bool is_fancy, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes) && i < SCHEMES_MAX; i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        struct qm_text block = {0};
        struct cells cells;
        qm_text_append(&block, "%.60s: ", qm_node_text_at(scheme, "name", "?"));
        if (!qm_result_row_is_ok(scheme)) {
            say_reason(scheme, &block);
        } else {
            read_cells(result, scheme, phase, is_fancy, &cells);
            bool has_accuracy = strncmp(cells.kl, "accuracy", 8) != 0;
            qm_text_append(&block, "%s; %s%s, top-1 %s %%, exact %s %%; %s t/s, gain %s; sustained %s", cells.verdict,
                           has_accuracy ? "KL " : "", cells.kl, cells.top1, cells.exact, cells.rate, cells.gain,
                           strcmp(cells.sustained, "-") == 0 ? "not measured" : cells.sustained);
        }
        write_wrapped(qm_text_bytes(&block), columns, 2, file);
        qm_text_free(&block);
    }
}

// ---- Over time ------------------------------------------------------------------------------------------------------

void qm_sparkline(struct qm_text *out, const double *values, size_t count, bool is_fancy)
{
    static const char *const blocks[] = {"\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84",
                                         "\xe2\x96\x85", "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88"};
    static const char ascii[] = "_.:-=+*#";
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = values[i] > largest ? values[i] : largest;
    for (size_t i = 0; i < count; i++) {
        int height = largest > 0 && values[i] > 0 ? (int)ceil(8 * values[i] / largest) - 1 : 0;
        height = height < 0 ? 0 : height > 7 ? 7 : height;
        if (is_fancy)
            qm_text_append(out, "%s", blocks[height]);
        else
            qm_text_append(out, "%c", ascii[height]);
    }
}

struct spark {
    struct qm_text line; // owned
    char kl[64], from[QM_SHOW_NUMBER_BYTES], to[QM_SHOW_NUMBER_BYTES];
};

// Means of so many equal pieces.
static size_t squeeze(const struct qm_closing_series *series, double out[SPARK_COLUMNS], size_t most)
{
    size_t count = series->count < most ? series->count : most;
    for (size_t i = 0; i < count; i++) {
        size_t begin = i * series->count / count, end = (i + 1) * series->count / count;
        out[i] = 0;
        for (size_t k = begin; k < end; k++)
            out[i] += series->tokens_per_s[k] / (double)(end - begin);
    }
    return count;
}

static const struct qm_node *find_scheme(const struct qm_node *result, const char *name)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        if (strcmp(qm_node_text_at(qm_node_at(schemes, i), "name", ""), name) == 0)
            return qm_node_at(schemes, i);
    return NULL;
}

// A series in words and as a line; false where there is none of a scheme that is ok.
static bool read_spark(const struct qm_node *result, const struct qm_closing_series *series, size_t most, bool is_fancy,
                       struct spark *spark)
{
    const struct qm_node *scheme = find_scheme(result, series->scheme);
    const struct qm_node *kl = qm_node_get(scheme, "accuracy.kl_divergence.mean");
    double values[SPARK_COLUMNS], low = INFINITY, high = 0;
    if (!qm_result_row_is_ok(scheme) || series->count < 2)
        return false;
    size_t pieces = squeeze(series, values, most);
    for (size_t k = 0; k < pieces; k++) {
        low = fmin(low, values[k]);
        high = fmax(high, values[k]);
    }
    spark->line = (struct qm_text){0};
    qm_sparkline(&spark->line, values, pieces, is_fancy);
    char accuracy[QM_SHOW_INTERVAL_BYTES];
    qm_show_number(kl, spark->kl);
    qm_show_accuracy(scheme, false, accuracy);
    if (!qm_node_is_number(kl))
        snprintf(spark->kl, sizeof(spark->kl), "%.60s",
                 qm_node_get(scheme, "accuracy.reference") ? accuracy : "accuracy: not measured");
    qm_show_double(low, spark->from);
    qm_show_double(high, spark->to);
    return true;
}

static enum qm_status write_spark_table(const struct qm_node *result, const struct qm_closing_series *series,
                                        size_t count, unsigned columns, bool is_fancy, FILE *file)
{
    struct qm_table *table = qm_table_create();
    size_t rows = 0;
    qm_table_column(table, "scheme", false);
    qm_table_column(table, "KL mean", false);
    qm_table_keep(table);
    qm_table_column(table, "over time", false);
    qm_table_column(table, "from .. to", false);
    for (size_t i = 0; i < count; i++) {
        struct spark spark;
        if (!read_spark(result, &series[i], SPARK_COLUMNS, is_fancy, &spark))
            continue;
        qm_table_row(table);
        qm_table_cell(table, "%.40s", series[i].scheme);
        qm_table_cell(table, "%s", spark.kl);
        qm_table_cell(table, "%s", qm_text_bytes(&spark.line));
        if (series[i].seconds > 0)
            qm_table_cell(table, "%s .. %s t/s in %.0f s", spark.from, spark.to, series[i].seconds);
        else
            qm_table_cell(table, "%s .. %s t/s in %zu blocks", spark.from, spark.to, series[i].count);
        qm_text_free(&spark.line);
        rows++;
    }
    fputs(rows > 0 ? "\n" : "", file);
    enum qm_status status = rows > 0 ? qm_table_write(table, file, columns, is_fancy) : QM_OK;
    qm_table_destroy(&table);
    return status;
}

// "w8a8, KL 0.00028: ####*+++ up to 210 t/s".
static void write_spark_lines(const struct qm_node *result, const struct qm_closing_series *series, size_t count,
                              unsigned columns, bool is_fancy, FILE *file)
{
    size_t rows = 0;
    for (size_t i = 0; i < count; i++) {
        struct spark spark;
        struct qm_text text = {0};
        if (!read_spark(result, &series[i], SPARK_COLUMNS / 2, is_fancy, &spark))
            continue;
        qm_text_append(&text, "%.40s, %s%s: %s up to %s t/s", series[i].scheme,
                       strncmp(spark.kl, "accuracy", 8) == 0 ? "" : "KL ", spark.kl, qm_text_bytes(&spark.line),
                       spark.to);
        fputs(rows++ == 0 ? "\n" : "", file);
        write_wrapped(qm_text_bytes(&text), columns, 2, file);
        qm_text_free(&text);
        qm_text_free(&spark.line);
    }
}

// ---- All ------------------------------------------------------------------------------------------------------------

static void write_head(const struct qm_node *result, const char *phase, unsigned columns, FILE *file)
{
    struct qm_text text = {0};
    const struct qm_node *schemes = qm_node_child(result, "schemes"), *point = NULL;
    for (size_t i = 0; i < qm_node_count(schemes) && !point; i++)
        point = qm_show_point(qm_node_at(schemes, i), phase);
    qm_text_append(&text, "%s, %s, driver %s %s", qm_node_text_at(result, "device.name", "?"),
                   qm_node_text_at(result, "device.api", "?"), qm_node_text_at(result, "device.driver", "?"),
                   qm_node_text_at(result, "device.driver_version", "?"));
    write_wrapped(qm_text_bytes(&text), columns, 2, file);
    qm_text_free(&text);
    qm_text_append(&text, "model %s, widen: %s", qm_node_text_at(result, "model.name", "?"),
                   qm_node_text_at(result, "model.widen", "?"));
    if (strcmp(qm_node_text_at(result, "model.widen", "1"), "1") != 0) {
        char weights[QM_SHOW_NUMBER_BYTES];
        qm_show_number(qm_node_get(result, "model.weights_on_device"), weights);
        qm_text_append(&text, " (%s weights on the device)", weights);
    }
    qm_text_append(&text, "; profile %s (%s)", qm_node_text_at(result, "profile.name", "?"),
                   qm_node_text_at(result, "run.class", "?"));
    if (point) {
        const char *key = qm_node_child(point, "prompt") ? "prompt" : "depth";
        qm_text_append(&text, "; t/s and gain: %s, batch %s, %s %s", phase, qm_node_text_at(point, "batch", "?"), key,
                       qm_node_text_at(point, key, "?"));
    }
    write_wrapped(qm_text_bytes(&text), columns, 2, file);
    qm_text_free(&text);
    fputc('\n', file);
}

static void write_lines(const char *lines, const char *title, unsigned columns, FILE *file)
{
    if (*lines)
        fprintf(file, "\n%s", title);
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        struct qm_text line = {0};
        qm_text_append(&line, "- %.*s", (int)length, lines);
        write_wrapped(qm_text_bytes(&line), columns, 2, file);
        qm_text_free(&line);
        lines += length + (lines[length] == '\n');
    }
}

static void write_note(const struct qm_node *result, unsigned columns, bool is_fancy, FILE *file)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    struct qm_text note = {0};
    double confidence = 0;
    for (size_t i = 0; i < qm_node_count(schemes) && confidence <= 0; i++)
        qm_node_double_at(qm_node_at(schemes, i), "accuracy.bootstrap.confidence", &confidence);
    qm_text_append(&note, "%s: how far the ", is_fancy ? "\xc2\xb1" : "+-");
    if (confidence > 0)
        qm_text_append(&note, "%g %% ", confidence * 100);
    qm_text_append(&note, "interval reaches, at its farther end; ?: too little was measured for one; top-1 and "
                          "exact match of tasks in %%");
    write_wrapped(qm_text_bytes(&note), columns, 2, file);
    qm_text_free(&note);
}

// Where only ASCII may be written, all else of names is '?'.
static void put(const char *text, bool is_fancy, FILE *file)
{
    for (; *text; text++) {
        if (is_fancy || (unsigned char)*text < 0x80)
            fputc(*text, file);
        else if (((unsigned char)*text & 0xc0) != 0x80)
            fputc('?', file);
    }
}

static enum qm_status write_all(const struct qm_node *result, const struct qm_closing_series *series, size_t count,
                                unsigned columns, bool is_fancy, FILE *file)
{
    struct qm_text reasons = {0};
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    const char *phase = "prefill";
    enum qm_status status = QM_OK;
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        if (qm_show_point(qm_node_at(schemes, i), "decode"))
            phase = "decode";
    write_head(result, phase, columns, file);
    if (columns < BLOCKS_BELOW) {
        write_blocks(result, phase, columns, is_fancy, file);
        write_spark_lines(result, series, count, columns, is_fancy, file);
        return QM_OK;
    }
    status = write_table(result, phase, columns, is_fancy, &reasons, file);
    if (status == QM_OK) {
        write_note(result, columns, is_fancy, file);
        write_lines(qm_text_bytes(&reasons), "", columns, file);
        status = write_spark_table(result, series, count, columns, is_fancy, file);
    }
    qm_text_free(&reasons);
    return status;
}

static unsigned columns_of(const struct qm_show_style *style)
{
    if (style->columns == 0 || style->columns > QM_CLOSING_COLUMNS)
        return QM_CLOSING_COLUMNS;
    return style->columns > 20 ? style->columns - 1 : 20;
}

enum qm_status qm_closing_write(const struct qm_node *result, const struct qm_closing_series *series, size_t count,
                                const struct qm_show_style *style, FILE *file)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    struct qm_node *tidy = qm_node_copy(result);
    enum qm_status status = QM_OK;
    if (tidy)
        qm_claim_tidy(tidy); // a stranger's texts must not steer the terminal
    if (!memory || !qm_node_ok(tidy))
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a table; close other programs and try again");
    else
        status = write_all(tidy, series, count, columns_of(style), style->is_fancy, memory);
    if (memory)
        fclose(memory);
    if (status == QM_OK)
        put(text, style->is_fancy, file);
    free(text);
    qm_node_destroy(&tidy);
    return status;
}

void qm_closing_advise(const struct qm_node *result, const struct qm_show_style *style, FILE *file)
{
    struct qm_text quote = {0}, cautions = {0}, wrapped = {0};
    const unsigned columns = columns_of(style);
    qm_sentence_quote(&quote, result);
    qm_sentence_cautions(&cautions, result);
    qm_text_append(&wrapped, "\n%s", qm_sentence_is_quotable(result) ? "To quote:\n" : "");
    qm_text_wrap(&wrapped, qm_text_bytes(&quote), columns, 0);
    qm_text_append(&wrapped, "\n%s", cautions.used > 0 ? "\nBeware:\n" : "");
    for (const char *line = qm_text_bytes(&cautions); *line;) {
        size_t length = strcspn(line, "\n");
        struct qm_text one = {0};
        qm_text_append(&one, "- %.*s", (int)length, line);
        qm_text_wrap(&wrapped, qm_text_bytes(&one), columns, 2);
        qm_text_append(&wrapped, "\n");
        qm_text_free(&one);
        line += length + (line[length] == '\n');
    }
    put(qm_text_bytes(&wrapped), style->is_fancy, file);
    qm_text_free(&quote);
    qm_text_free(&cautions);
    qm_text_free(&wrapped);
}
