#include "report/facts.h"
#include "record/components.h"
#include "record/node.h"
#include "report/show.h"
#include "report/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void qm_text_append(struct qm_text *text, const char *format, ...)
{
    va_list arguments;
    char *more = NULL;
    va_start(arguments, format);
    int length = vasprintf(&more, format, arguments);
    va_end(arguments);
    if (length < 0) {
        text->failed = true;
        return;
    }
    size_t needed = text->used + (size_t)length + 1;
    if (needed > text->capacity) {
        size_t capacity = needed * 2;
        char *grown = realloc(text->bytes, capacity);
        if (!grown) {
            text->failed = true;
            free(more);
            return;
        }
        text->bytes = grown;
        text->capacity = capacity;
    }
    memcpy(text->bytes + text->used, more, (size_t)length + 1);
    text->used += (size_t)length;
    free(more);
}

void qm_text_free(struct qm_text *text)
{
    free(text->bytes);
    *text = (struct qm_text){0};
}

const char *qm_text_bytes(const struct qm_text *text)
{
    return text->bytes ? text->bytes : "";
}

// ---- Values ---------------------------------------------------------------------------------------------------------

static bool is_hash(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

// A hash by its beginning: the whole one is in the claim.
static void append_value(struct qm_text *text, const struct qm_node *node)
{
    const char *value = qm_node_text(node);
    double number_value = 0;
    bool is_number = qm_node_is_number(node) && qm_node_read_double(node, &number_value) == QM_OK;
    if (is_number && strlen(value) <= 7 && number_value < 1000 && number_value > -1000) {
        qm_text_append(text, "%s", value); // with the digits of whoever claims
    } else if (is_number && number_value > 0.99 && number_value < 1.01) {
        qm_text_append(text, "%.4f", number_value); // where a ratio lies around 1
    } else if (is_number && (strlen(value) < 15 || strspn(value, "0123456789") < strlen(value))) {
        char number[QM_SHOW_NUMBER_BYTES];
        qm_show_number(node, number);
        qm_text_append(text, "%s", number);
    } else if (!value || !*value) {
        qm_text_append(text, "undisclosed");
    } else if (is_hash(value)) {
        qm_text_append(text, "%.12s...", value);
    } else {
        qm_text_append(text, "%s", value);
    }
}

static void append_key(struct qm_text *text, const char *key)
{
    for (; key && *key; key++)
        qm_text_append(text, "%c", *key == '_' || (unsigned char)*key < 0x20 || *key == 0x7f ? ' ' : *key);
}

// A sentence speaks for itself.
static void append_key_before_value(struct qm_text *text, const char *key)
{
    if (!key || strcmp(key, "statement") == 0)
        return;
    append_key(text, key);
    qm_text_append(text, " ");
}

void qm_fact_estimate(struct qm_text *text, const struct qm_node *holder, const char *key)
{
    const struct qm_node *value = qm_node_child(holder, key);
    const struct qm_node *low = qm_node_child(holder, "low");
    const struct qm_node *high = qm_node_child(holder, "high");
    append_value(text, value);
    if (!qm_node_is_number(value))
        return;
    if (!qm_node_is_number(low) || !qm_node_is_number(high)) {
        qm_text_append(text, " (no interval)");
        return;
    }
    qm_text_append(text, " [");
    append_value(text, low);
    qm_text_append(text, ", ");
    append_value(text, high);
    qm_text_append(text, "]");
}

void qm_fact_point(struct qm_text *text, const struct qm_node *item)
{
    static const char *const keys[] = {"batch", "prompt", "depth"};
    const char *phase = qm_node_text_at(item, "phase", NULL);
    size_t start = text->used;
    if (!qm_component_is_silent(phase))
        qm_text_append(text, "%s", phase);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = qm_node_text_at(item, keys[i], NULL);
        if (!qm_component_is_silent(value))
            qm_text_append(text, "%s%s %s", text->used > start ? ", " : "", keys[i], value);
    }
}

const char *qm_fact_accuracy_word(const struct qm_node *claim)
{
    const struct qm_node *accuracy = qm_node_child(claim, "accuracy");
    const struct qm_node *metrics = qm_node_child(accuracy, "metrics");
    double value = 0;
    for (size_t i = 0; i < qm_node_count(metrics); i++)
        if (qm_node_double_at(qm_node_at(metrics, i), "value", &value))
            return NULL;
    const char *word = qm_node_text(accuracy);
    return word && strcmp(word, "not measured") == 0 ? "not measured" : "undisclosed";
}

// All scalars of a mapping on one line: "format int8; scales one per row".
static bool append_scalars(struct qm_text *text, const char *title, const struct qm_node *mapping)
{
    bool is_first = true;
    for (size_t i = 0; i < qm_node_count(mapping); i++) {
        const struct qm_node *child = qm_node_at(mapping, i);
        if (!qm_node_is_text(child))
            continue;
        qm_text_append(text, "%s", is_first ? title : "; ");
        append_key_before_value(text, qm_node_key_at(mapping, i));
        append_value(text, child);
        is_first = false;
    }
    return !is_first;
}

// ---- Lists ----------------------------------------------------------------------------------------------------------

static void append_metric(struct qm_text *text, const struct qm_node *item)
{
    append_key(text, qm_node_text_at(item, "metric", "undisclosed"));
    qm_text_append(text, " ");
    qm_fact_estimate(text, item, "value");
    if (qm_node_is_number(qm_node_child(item, "reference"))) {
        qm_text_append(text, ", reference ");
        append_value(text, qm_node_child(item, "reference"));
    }
    if (qm_node_is_number(qm_node_child(item, "examples"))) {
        qm_text_append(text, ", ");
        append_value(text, qm_node_child(item, "examples"));
        qm_text_append(text, " examples");
    }
}

static void append_speed(struct qm_text *text, const struct qm_node *claim, const struct qm_node *item, bool is_gain)
{
    size_t start = text->used;
    const char *word = qm_fact_accuracy_word(claim);
    qm_fact_point(text, item);
    qm_text_append(text, "%s", text->used > start ? ": " : "");
    qm_fact_estimate(text, item, is_gain ? "ratio" : "rate");
    if (is_gain)
        qm_text_append(text, " times the baseline");
    else
        qm_text_append(text, " %s", qm_node_text_at(item, "unit", "(unit undisclosed)"));
    if (word)
        qm_text_append(text, " (accuracy: %s)", word);
}

static void append_criterion(struct qm_text *text, const struct qm_node *item)
{
    const char *side = qm_node_text_at(item, "side", NULL);
    append_key(text, qm_node_text_at(item, "metric", "undisclosed"));
    qm_text_append(text, " %s ", !side ? "(side undisclosed)" : strcmp(side, "at_least") == 0 ? ">=" : "<=");
    append_value(text, qm_node_child(item, "bound"));
    qm_text_append(text, ": %s", qm_node_text_at(item, "verdict", "undisclosed"));
}

// Tensors of a model's files whose names differ in a number alone.
static void append_class(struct qm_text *text, const struct qm_node *item)
{
    qm_text_append(text, "%s: %s, ", qm_node_text_at(item, "class", "undisclosed"),
                   qm_node_text_at(item, "formats", "undisclosed"));
    append_value(text, qm_node_child(item, "tensors"));
    qm_text_append(text, "%s, ", strcmp(qm_node_text_at(item, "tensors", ""), "1") == 0 ? " tensor" : " tensors");
    append_value(text, qm_node_child(item, "bits"));
    qm_text_append(text, " bits a value");
}

static void append_list(struct qm_text *text, const struct qm_node *claim, const char *key, const struct qm_node *list)
{
    for (size_t i = 0; i < qm_node_count(list); i++) {
        const struct qm_node *item = qm_node_at(list, i);
        if (strcmp(key, "metrics") == 0)
            append_metric(text, item);
        else if (strcmp(key, "gains") == 0 || strcmp(key, "rates") == 0)
            append_speed(text, claim, item, strcmp(key, "gains") == 0);
        else if (strcmp(key, "criteria") == 0)
            append_criterion(text, item);
        else if (strcmp(key, "classes") == 0)
            append_class(text, item);
        else if (qm_node_is_text(item))
            append_value(text, item);
        else
            append_scalars(text, "", item);
        qm_text_append(text, "\n");
    }
}

// ---- Components -----------------------------------------------------------------------------------------------------

// Whether a line of its scalars would have a speed in it.
static bool holds_rate(const char *key, const struct qm_node *mapping)
{
    bool found = key && strcmp(key, "windows") == 0;
    for (size_t i = 0; i < qm_node_count(mapping); i++) {
        const char *own = qm_node_key_at(mapping, i);
        bool is_own_line = !key && strcmp(own, "rate") == 0;
        found = found || (strstr(own, "rate") && !is_own_line && qm_node_is_number(qm_node_at(mapping, i)));
    }
    return found;
}

// The rate of a window is a speed like any other: with its unit, interval and the words on accuracy.
static void append_sustained(struct qm_text *text, const struct qm_node *claim, const struct qm_node *sustained)
{
    static const char *const shown[] = {"phase", "batch", "prompt", "depth", "rate", "low", "high", "unit"};
    const char *word = qm_fact_accuracy_word(claim);
    bool is_first = true;
    if (qm_node_child(sustained, "rate")) {
        append_speed(text, claim, sustained, false);
        qm_text_append(text, "\n");
    }
    if (word && holds_rate(NULL, sustained))
        qm_text_append(text, "(accuracy: %s) ", word);
    for (size_t i = 0; i < qm_node_count(sustained); i++) {
        const char *key = qm_node_key_at(sustained, i);
        bool is_shown = !qm_node_is_text(qm_node_at(sustained, i));
        for (size_t k = 0; k < sizeof(shown) / sizeof(shown[0]); k++)
            is_shown = is_shown || strcmp(key, shown[k]) == 0;
        if (is_shown)
            continue;
        qm_text_append(text, "%s", is_first ? "" : "; ");
        append_key_before_value(text, key);
        append_value(text, qm_node_at(sustained, i));
        is_first = false;
    }
    qm_text_append(text, "%s", is_first ? "" : "\n");
}

void qm_fact_component(struct qm_text *text, const struct qm_node *claim, const struct qm_component *component)
{
    const struct qm_node *value = qm_node_child(claim, component->name);
    const char *word = qm_fact_accuracy_word(claim);
    bool is_speed = component == &qm_components[QM_COMPONENT_THROUGHPUT_GAIN] ||
                    component == &qm_components[QM_COMPONENT_SUSTAINED];
    if (!qm_node_is_mapping(value)) {
        append_value(text, value);
        // A sentence such as "up to 3x" is a speed too.
        if (is_speed && word && value && !qm_component_is_silent(qm_node_text(value)))
            qm_text_append(text, " (accuracy: %s)", word);
        qm_text_append(text, "\n");
        return;
    }
    if (component == &qm_components[QM_COMPONENT_SUSTAINED]) {
        append_sustained(text, claim, value);
    } else if (append_scalars(text, "", value)) {
        // A sentence may hold a speed.
        if (is_speed && word && qm_node_child(value, "statement"))
            qm_text_append(text, " (accuracy: %s)", word);
        qm_text_append(text, "\n");
    }
    for (size_t i = 0; i < qm_node_count(value); i++) {
        const struct qm_node *child = qm_node_at(value, i);
        const char *key = qm_node_key_at(value, i);
        struct qm_text title = {0};
        if (qm_node_is_text(child))
            continue;
        append_key(&title, key);
        if (is_speed && word && qm_node_is_mapping(child) && holds_rate(key, child))
            qm_text_append(&title, " (accuracy: %s)", word);
        qm_text_append(&title, ": ");
        if (qm_node_is_sequence(child)) {
            append_list(text, claim, key, child);
        } else if (append_scalars(text, qm_text_bytes(&title), child)) {
            qm_text_append(text, "\n");
        }
        text->failed = text->failed || title.failed;
        qm_text_free(&title);
    }
}

// Bytes at the beginning of `text`, of at most `length`, that take at most `columns` terminal columns; one character at
// least.
static size_t bytes_within(const char *text, size_t length, size_t columns)
{
    size_t used = 0, width = 0;
    while (used < length) {
        char character[8] = "";
        size_t bytes = 1;
        while (used + bytes < length && bytes < 7 && ((unsigned char)text[used + bytes] & 0xc0) == 0x80)
            bytes++;
        memcpy(character, text + used, bytes);
        width += qm_text_columns(character);
        if (width > columns && used > 0)
            break;
        used += bytes;
    }
    return used;
}

static void next_line(struct qm_text *out, size_t indent, size_t *at, bool *is_start)
{
    qm_text_append(out, "\n%*s", (int)indent, "");
    *at = indent;
    *is_start = true;
}

void qm_text_wrap(struct qm_text *out, const char *text, size_t columns, size_t indent)
{
    size_t at = 0;
    bool is_start = true; // of a line: no blank before the next word
    while (*text) {
        size_t length = strcspn(text, " \n");
        struct qm_text word = {0};
        qm_text_append(&word, "%.*s", (int)length, text);
        size_t width = qm_text_columns(qm_text_bytes(&word));
        if (!is_start && at + 1 + width > columns)
            next_line(out, indent, &at, &is_start);
        for (const char *rest = text; length > 0 && at + width > columns && columns > indent + 1;) {
            size_t piece = bytes_within(rest, length, columns - at);
            qm_text_append(out, "%.*s", (int)piece, rest);
            next_line(out, indent, &at, &is_start);
            rest += piece;
            length -= piece;
            text = rest;
            qm_text_free(&word);
            qm_text_append(&word, "%.*s", (int)length, rest);
            width = qm_text_columns(qm_text_bytes(&word));
        }
        if (length > 0) {
            qm_text_append(out, "%s%s", is_start ? "" : " ", qm_text_bytes(&word));
            at += width + (is_start ? 0 : 1);
            is_start = false;
        }
        out->failed = out->failed || word.failed;
        qm_text_free(&word);
        text += length;
        if (*text == '\n') {
            qm_text_append(out, "\n");
            at = 0;
            is_start = true;
        }
        text += *text != '\0';
    }
}

void qm_text_wrap_lines(struct qm_text *out, const char *text, size_t columns)
{
    while (*text) {
        size_t length = strcspn(text, "\n"), blanks = strspn(text, " ");
        struct qm_text line = {0};
        blanks = blanks < length ? blanks : length;
        qm_text_append(&line, "%.*s", (int)(length - blanks), text + blanks);
        qm_text_append(out, "%*s", (int)blanks, "");
        qm_text_wrap(out, qm_text_bytes(&line), columns > blanks + 20 ? columns - blanks - 1 : 20, blanks + 2);
        qm_text_append(out, "\n");
        qm_text_free(&line);
        text += length + (text[length] == '\n');
    }
}
