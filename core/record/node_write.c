// Writing a tree as YAML or JSON, and its content hash.
#include "base/text.h"
#include "record/node_internal.h"

#include <yaml.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct buffer {
    char *bytes;
    size_t count;
    size_t capacity;
    bool failed;
};

static void put(struct buffer *buffer, const char *bytes, size_t count)
{
    if (buffer->failed)
        return;
    if (buffer->capacity - buffer->count <= count) {
        size_t capacity = (buffer->capacity + count + 256) * 2;
        char *grown = realloc(buffer->bytes, capacity);
        if (!grown) {
            buffer->failed = true;
            return;
        }
        buffer->bytes = grown;
        buffer->capacity = capacity;
    }
    memcpy(buffer->bytes + buffer->count, bytes, count);
    buffer->count += count;
    buffer->bytes[buffer->count] = '\0';
}

static void put_text(struct buffer *buffer, const char *text)
{
    put(buffer, text, strlen(text));
}

static enum qm_status take(struct buffer *buffer, char **text)
{
    *text = NULL;
    if (buffer->failed || !buffer->bytes) {
        free(buffer->bytes);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to write a result or table; close other programs and try again");
    }
    *text = buffer->bytes;
    return QM_OK;
}

// The shortest "%.*e" of `value` that reads back to it; returns its digits behind the point. A decimal of up to DBL_DIG digits
// comes back from a normal double unchanged, so that where one exists it is what DBL_DIG digits print, less the zeros at
// its end. That takes three tries at most and not seventeen, and tables of ten thousand rows are made of such numbers.
static int shortest_scientific(double value, char scientific[QM_DOUBLE_TEXT_BYTES])
{
    int digits = fabs(value) < DBL_MIN ? 0 : DBL_DIG - 1;
    do
        snprintf(scientific, QM_DOUBLE_TEXT_BYTES, "%.*e", digits, value);
    while (strtod(scientific, NULL) != value && ++digits < 17);
    char *exponent = strchr(scientific, 'e');
    char *end = exponent;
    while (digits > 0 && end[-1] == '0') {
        --end;
        --digits;
    }
    if (digits == 0 && end[-1] == '.')
        --end;
    memmove(end, exponent, strlen(exponent) + 1);
    return digits;
}

// What "%.*f" would print of the number that `scientific` is, from its digits and not by another division.
static void fixed_text(const char *scientific, int digits, int exponent, char text[QM_DOUBLE_TEXT_BYTES])
{
    char *to = text;
    if (*scientific == '-')
        *to++ = *scientific++;
    int place = exponent < 0 ? 0 : exponent; // of the digit to come: 10^place
    int left = digits + 1;                   // digits to come
    while (place >= 0 || left > 0) {
        if (place == -1)
            *to++ = '.';
        bool has_digit = place <= exponent && left > 0;
        *to++ = '0';
        if (has_digit) {
            to[-1] = *scientific;
            scientific += scientific[1] == '.' ? 2 : 1;
            --left;
        }
        --place;
    }
    *to = '\0';
}

void qm_double_text(double value, char text[QM_DOUBLE_TEXT_BYTES])
{
    char scientific[QM_DOUBLE_TEXT_BYTES] = "";
    int digits = shortest_scientific(value, scientific);
    int exponent = (int)strtol(strchr(scientific, 'e') + 1, NULL, 10);
    if (exponent >= -5 && exponent < 16) {
        fixed_text(scientific, digits, exponent, text);
        return;
    }
    // A fraction is kept in front of the exponent: some readers of YAML take 1e-9 for a text.
    size_t mantissa = strcspn(scientific, "e");
    snprintf(text, QM_DOUBLE_TEXT_BYTES, "%.*s%s%s", (int)mantissa, scientific, digits == 0 ? ".0" : "",
             scientific + mantissa);
}

// YAML ------------------------------------------------------------------------------------------------------------

// Whether some reader of YAML would take the text for something else than a text if it stood without quotes.
static bool looks_typed(const char *text)
{
    static const char *const words[] = {"",  "~", "null", "true", "false", "yes",   "no", "on", "off",
                                        "y", "n", ".inf", ".nan", "-.inf", "+.inf", "=",  "<<"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    size_t first = strspn(text, "+-.");
    return text[first] >= '0' && text[first] <= '9';
}

static int append_yaml(void *data, unsigned char *bytes, size_t count)
{
    struct buffer *buffer = data;
    put(buffer, (const char *)bytes, count);
    return !buffer->failed;
}

static bool emit_text(yaml_emitter_t *emitter, const char *text, bool plain)
{
    yaml_event_t event;
    bool quoted = !plain && looks_typed(text);
    size_t count = strlen(text);
    return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)count, 1, 1,
                                        quoted || strchr(text, '\n') ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
                                                                     : YAML_PLAIN_SCALAR_STYLE) &&
           yaml_emitter_emit(emitter, &event);
}

// A list of scalars takes one line, and so does a row of scalars in a list.
static bool only_scalars(const struct qm_node *node)
{
    for (size_t i = 0; i < node->count; i++)
        if (node->children[i]->kind != QM_NODE_TEXT)
            return false;
    return true;
}

static bool is_row(const struct qm_node *node)
{
    return node->kind == QM_NODE_MAPPING && node->parent && node->parent->kind == QM_NODE_SEQUENCE &&
           only_scalars(node);
}

// Rows that occur more than once, such as a kernel that several schemes use, are written once, with an anchor, and
// referred to by aliases after that: a result of twenty schemes is half as long.
#define ANCHOR_BYTES 24
struct rows {
    struct row {
        const struct qm_node *first;
        uint64_t hash;
        size_t uses, written;
    } * rows;
    size_t count, capacity, anchors;
};

static bool same_row(const struct qm_node *a, const struct qm_node *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->children[i]->key, b->children[i]->key) == 0 &&
               strcmp(a->children[i]->text, b->children[i]->text) == 0 &&
               a->children[i]->plain == b->children[i]->plain;
    return same;
}

static struct row *find_row(const struct rows *rows, const struct qm_node *node, uint64_t *hash)
{
    *hash = 14695981039346656037u; // FNV-1a, only to find equals quickly
    for (size_t i = 0; i < node->count; i++)
        for (const char *at = node->children[i]->text; *at; at++)
            *hash = (*hash ^ (unsigned char)*at) * 1099511628211u;
    for (size_t i = 0; i < rows->count; i++)
        if (rows->rows[i].hash == *hash && same_row(rows->rows[i].first, node))
            return &rows->rows[i];
    return NULL;
}

// Without memory the row is written out each time.
static void count_rows(struct rows *rows, const struct qm_node *node)
{
    for (size_t i = 0; node->kind != QM_NODE_TEXT && i < node->count; i++)
        count_rows(rows, node->children[i]);
    if (!is_row(node) || node->count < 4)
        return;
    uint64_t hash;
    struct row *row = find_row(rows, node, &hash);
    if (row) {
        row->uses++;
        return;
    }
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity * 2 + 64;
        struct row *grown = realloc(rows->rows, capacity * sizeof(*grown));
        if (!grown)
            return;
        rows->rows = grown;
        rows->capacity = capacity;
    }
    rows->rows[rows->count++] = (struct row){.first = node, .hash = hash, .uses = 1};
}

static bool emit_row_start(yaml_emitter_t *emitter, struct rows *rows, const struct qm_node *node, bool *is_done)
{
    yaml_event_t event;
    char anchor[ANCHOR_BYTES] = "";
    uint64_t hash;
    struct row *row = node->count < 4 ? NULL : find_row(rows, node, &hash);
    if (row && row->uses > 1) {
        *is_done = row->written > 0;
        if (!*is_done)
            row->written = ++rows->anchors;
        snprintf(anchor, sizeof(anchor), "r%zu", row->written);
    }
    yaml_char_t *name = anchor[0] ? (yaml_char_t *)anchor : NULL;
    return (*is_done ? yaml_alias_event_initialize(&event, name)
                     : yaml_mapping_start_event_initialize(&event, name, NULL, 1, YAML_FLOW_MAPPING_STYLE)) &&
           yaml_emitter_emit(emitter, &event);
}

static bool emit(yaml_emitter_t *emitter, struct rows *rows, const struct qm_node *node)
{
    yaml_event_t event;
    bool is_done = false;
    if (node->kind == QM_NODE_TEXT)
        return emit_text(emitter, node->text, node->plain);
    if (is_row(node)) {
        if (!emit_row_start(emitter, rows, node, &is_done))
            return false;
        if (is_done)
            return true;
    } else if (node->kind == QM_NODE_MAPPING) {
        if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) ||
            !yaml_emitter_emit(emitter, &event))
            return false;
    } else {
        yaml_sequence_style_t style = only_scalars(node) ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE;
        if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style) || !yaml_emitter_emit(emitter, &event))
            return false;
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct qm_node *child = node->children[i];
        if (child->key && !emit_text(emitter, child->key, false))
            return false;
        if (!emit(emitter, rows, child))
            return false;
    }
    return (node->kind == QM_NODE_MAPPING ? yaml_mapping_end_event_initialize(&event)
                                          : yaml_sequence_end_event_initialize(&event)) &&
           yaml_emitter_emit(emitter, &event);
}

static bool emit_document(yaml_emitter_t *emitter, struct rows *rows, const struct qm_node *node)
{
    yaml_event_t event;
    return yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) && yaml_emitter_emit(emitter, &event) &&
           yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) && yaml_emitter_emit(emitter, &event) &&
           emit(emitter, rows, node) && yaml_document_end_event_initialize(&event, 1) &&
           yaml_emitter_emit(emitter, &event) && yaml_stream_end_event_initialize(&event) &&
           yaml_emitter_emit(emitter, &event);
}

enum qm_status qm_node_write_yaml(const struct qm_node *node, char **text)
{
    struct buffer buffer = {0};
    yaml_emitter_t emitter;
    *text = NULL;
    if (!qm_node_ok(node) || !yaml_emitter_initialize(&emitter))
        return take(&buffer, text);
    yaml_emitter_set_output(&emitter, append_yaml, &buffer);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1); // never folds: one value, one line
    yaml_emitter_set_indent(&emitter, 2);
    struct rows rows = {0};
    count_rows(&rows, node);
    if (!emit_document(&emitter, &rows, node))
        buffer.failed = true;
    free(rows.rows);
    yaml_emitter_delete(&emitter);
    return take(&buffer, text);
}

// JSON ------------------------------------------------------------------------------------------------------------

static void put_json_text(struct buffer *buffer, const char *text)
{
    put_text(buffer, "\"");
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        char escaped[8];
        uint32_t code = 0;
        size_t steering = qm_text_steers(text, &code); // on a terminal, or the direction of what follows
        if (byte == '"' || byte == '\\')
            snprintf(escaped, sizeof(escaped), "\\%c", byte);
        else if (byte == '\n')
            snprintf(escaped, sizeof(escaped), "\\n");
        else if (steering > 0)
            snprintf(escaped, sizeof(escaped), "\\u%04x", code & 0xffff);
        else
            snprintf(escaped, sizeof(escaped), "%c", byte);
        put_text(buffer, escaped);
        text += steering > 1 ? steering - 1 : 0;
    }
    put_text(buffer, "\"");
}

static void put_json(struct buffer *buffer, const struct qm_node *node, size_t depth)
{
    if (node->kind == QM_NODE_TEXT) {
        if (qm_node_is_number(node) || qm_node_is_bool(node))
            put_text(buffer, node->text);
        else
            put_json_text(buffer, node->text);
        return;
    }
    bool is_mapping = node->kind == QM_NODE_MAPPING;
    bool flat = node->count == 0 || (!is_mapping && only_scalars(node));
    put_text(buffer, is_mapping ? "{" : "[");
    for (size_t i = 0; i < node->count; i++) {
        if (i > 0)
            put_text(buffer, flat ? ", " : ",");
        if (!flat) {
            put_text(buffer, "\n");
            for (size_t j = 0; j <= depth; j++)
                put_text(buffer, "  ");
        }
        if (is_mapping) {
            put_json_text(buffer, node->children[i]->key);
            put_text(buffer, ": ");
        }
        put_json(buffer, node->children[i], depth + 1);
    }
    if (!flat) {
        put_text(buffer, "\n");
        for (size_t j = 0; j < depth; j++)
            put_text(buffer, "  ");
    }
    put_text(buffer, is_mapping ? "}" : "]");
}

enum qm_status qm_node_write_json(const struct qm_node *node, char **text)
{
    struct buffer buffer = {0};
    if (qm_node_ok(node)) {
        put_json(&buffer, node, 0);
        put_text(&buffer, "\n");
    }
    return take(&buffer, text);
}

// Hash ------------------------------------------------------------------------------------------------------------

static int by_key(const void *a, const void *b)
{
    return strcmp((*(struct qm_node *const *)a)->key, (*(struct qm_node *const *)b)->key);
}

// `path` holds the pointer of `node` and is given back as it was.
static void hash_node(struct qm_hash *hash, struct buffer *path, const struct qm_node *node, const char *excluded_key)
{
    if (path->failed)
        return;
    if (node->kind == QM_NODE_TEXT) {
        qm_hash_add_text(hash, path->bytes);
        qm_hash_add_text(hash, node->text);
        return;
    }
    size_t used = path->count;
    put_text(path, "/");
    if (path->failed)
        return;
    if (node->count == 0) {
        qm_hash_add_text(hash, path->bytes);
        qm_hash_add_text(hash, node->kind == QM_NODE_MAPPING ? "{}" : "[]");
    }
    struct qm_node **order = NULL;
    if (node->kind == QM_NODE_MAPPING && node->count > 0) {
        order = malloc(node->count * sizeof(*order));
        if (!order) {
            path->failed = true;
            return;
        }
        memcpy(order, node->children, node->count * sizeof(*order));
        qsort(order, node->count, sizeof(*order), by_key);
    }
    for (size_t i = 0; i < node->count && !path->failed; i++) {
        const struct qm_node *child = order ? order[i] : node->children[i];
        path->count = used + 1;
        if (order) {
            if (excluded_key && strcmp(child->key, excluded_key) == 0)
                continue;
            for (const char *c = child->key; *c; c++)
                put(path, *c == '~' ? "~0" : *c == '/' ? "~1" : c, *c == '~' || *c == '/' ? 2 : 1);
        } else {
            char number[24];
            snprintf(number, sizeof(number), "%zu", i);
            put_text(path, number);
        }
        hash_node(hash, path, child, NULL);
    }
    free(order);
    path->count = used;
    if (!path->failed)
        path->bytes[used] = '\0';
}

enum qm_status qm_node_hash(const struct qm_node *root, const char *excluded_key, char text[QM_HASH_TEXT_BYTES])
{
    struct buffer path = {0};
    struct qm_hash hash;
    text[0] = '\0';
    qm_hash_begin(&hash);
    put_text(&path, "");
    if (qm_node_ok(root))
        hash_node(&hash, &path, root, excluded_key);
    else
        path.failed = true;
    free(path.bytes);
    if (path.failed)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to hash a result; close other programs and try again");
    qm_hash_end(&hash, text);
    return QM_OK;
}
