// Reading a tree from YAML, event by event, so that each limit holds before anything grows.
#include "record/node_internal.h"
#include "sys/file.h"

#include <yaml.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct qm_node_limits qm_node_profile_limits = {
    .bytes = 1u << 20, .depth = 16, .nodes = 20000, .alias_nodes = 200};
const struct qm_node_limits qm_node_result_limits = {
    .bytes = 4u << 20, .depth = 16, .nodes = 250000, .alias_nodes = 30000};

#define DEPTH_MAX 64 // whatever the limits say

struct anchor {
    char *name;
    const struct qm_node *node; // NULL until the node is complete, so that nothing holds itself
};

// libyaml takes no key of more than 1,024 characters where it is not marked as one, and written as JSON a byte may take six.
enum {
    KEY_BYTES_MAX = 160
};

struct reader {
    const char *name;
    const struct qm_node_limits *limits;
    yaml_parser_t parser;
    struct qm_node *root;
    struct qm_node *open[DEPTH_MAX]; // the mappings and sequences that are being read
    char *open_anchor[DEPTH_MAX];    // their anchors, or NULL; owned
    size_t depth;
    char *key; // read, its value not yet; owned
    size_t key_line;
    size_t nodes;
    size_t alias_nodes;
    struct anchor *anchors;
    size_t anchor_count;
};

QM_PRINTF(3, 4) static enum qm_status fail(const struct reader *reader, size_t line, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return QM_FAIL(QM_INVALID, "%s:%zu: %s", reader->name, line, text);
}

static enum qm_status out_of_memory(const struct reader *reader)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it; close other programs and try again", reader->name);
}

// Zero bytes, control characters and what is not UTF-8 are found before the parser sees them.
static enum qm_status check_bytes(const struct reader *reader, const unsigned char *bytes, size_t count)
{
    size_t line = 1;
    bool blank = true;
    for (size_t i = 0; i < count;) {
        unsigned char byte = bytes[i];
        size_t length = byte < 0x80 ? 1 : byte < 0xc2 ? 0 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0;
        if (byte < 0x20 && byte != '\n' && byte != '\t' && byte != '\r')
            return fail(reader, line, "byte 0x%02x: this is no text file; expected YAML or JSON in UTF-8", byte);
        uint32_t code = length == 2 ? byte & 0x1f : length == 3 ? byte & 0x0f : byte & 0x07;
        bool good = length > 0 && i + length <= count;
        for (size_t j = 1; good && j < length; j++) {
            good = (bytes[i + j] & 0xc0) == 0x80;
            code = code << 6 | (bytes[i + j] & 0x3f);
        }
        if (length == 3)
            good = good && code >= 0x800 && (code < 0xd800 || code > 0xdfff);
        if (length == 4)
            good = good && code >= 0x10000 && code <= 0x10ffff;
        if (!good)
            return fail(reader, line, "byte 0x%02x is not UTF-8; save the file in that encoding", byte);
        line += byte == '\n';
        blank = blank && (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r');
        i += length;
    }
    if (blank)
        return fail(reader, 1, "the file is empty; expected keys with values, such as 'schema: 1'");
    return QM_OK;
}

static size_t line_of(const yaml_event_t *event)
{
    return event->start_mark.line + 1;
}

// Gives a complete node its place; takes it in every case.
static enum qm_status place(struct reader *reader, struct qm_node *node)
{
    struct qm_node *parent = reader->depth > 0 ? reader->open[reader->depth - 1] : NULL;
    if (!parent) {
        reader->root = node;
        return QM_OK;
    }
    if (!qm_node_attach(parent, reader->key, node)) { // the key is freed with the reader
        qm_node_destroy(&node);
        return out_of_memory(reader);
    }
    reader->key = NULL;
    return QM_OK;
}

static enum qm_status remember(struct reader *reader, const char *name, const struct qm_node *node)
{
    struct anchor *grown = realloc(reader->anchors, (reader->anchor_count + 1) * sizeof(*grown));
    char *copy = strdup(name);
    if (grown)
        reader->anchors = grown;
    if (!grown || !copy) {
        free(copy);
        return out_of_memory(reader);
    }
    reader->anchors[reader->anchor_count++] = (struct anchor){copy, node};
    return QM_OK;
}

static enum qm_status count_node(struct reader *reader, size_t line)
{
    if (++reader->nodes > reader->limits->nodes)
        return fail(reader, line, "more than %zu values; expected a shorter file", reader->limits->nodes);
    return QM_OK;
}

static size_t size_of(const struct qm_node *node)
{
    size_t size = 1;
    for (size_t i = 0; i < node->count; i++)
        size += size_of(node->children[i]);
    return size;
}

static size_t depth_of(const struct qm_node *node)
{
    size_t deepest = 0;
    for (size_t i = 0; i < node->count; i++) {
        size_t depth = depth_of(node->children[i]);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + (node->kind != QM_NODE_TEXT);
}

static enum qm_status read_alias(struct reader *reader, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    const struct qm_node *meant = NULL;
    for (size_t i = 0; i < reader->anchor_count; i++) // the latest of a name counts
        if (strcmp(reader->anchors[i].name, name) == 0)
            meant = reader->anchors[i].node;
    if (!meant)
        return fail(reader, line_of(event), "alias *%.40s has no anchor before it; write the value out", name);
    if (reader->limits->alias_nodes == 0)
        return fail(reader, line_of(event), "alias *%.40s; expected no aliases here, write the value out", name);
    size_t size = size_of(meant);
    reader->alias_nodes += size;
    reader->nodes += size;
    if (reader->alias_nodes > reader->limits->alias_nodes || reader->nodes > reader->limits->nodes)
        return fail(reader, line_of(event), "aliases repeat more than %zu values; write the values out",
                    reader->limits->alias_nodes);
    if (reader->depth + depth_of(meant) > reader->limits->depth)
        return fail(reader, line_of(event), "nested deeper than %zu; expected fewer levels", reader->limits->depth);
    struct qm_node *copy = qm_node_copy(meant);
    if (!copy)
        return out_of_memory(reader);
    return place(reader, copy);
}

static bool is_key(const struct reader *reader)
{
    return reader->depth > 0 && reader->open[reader->depth - 1]->kind == QM_NODE_MAPPING && !reader->key;
}

static enum qm_status check_properties(const struct reader *reader, const yaml_event_t *event, const yaml_char_t *tag,
                                       const yaml_char_t *anchor)
{
    if (tag)
        return fail(reader, line_of(event), "tag '%.40s'; expected a plain value without a tag", (const char *)tag);
    if (anchor && is_key(reader))
        return fail(reader, line_of(event), "an anchor on a key; anchors stand before values");
    return QM_OK;
}

static enum qm_status read_scalar(struct reader *reader, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t count = event->data.scalar.length;
    size_t line = line_of(event);
    QM_TRY(check_properties(reader, event, event->data.scalar.tag, event->data.scalar.anchor));
    if (strlen(text) != count)
        return fail(reader, line, "a zero byte in a text; expected characters that can be printed");
    if (is_key(reader)) {
        if (count == 0)
            return fail(reader, line, "an empty key; expected 'key: value'");
        if (count > KEY_BYTES_MAX)
            return fail(reader, line, "a key of %zu bytes; expected %d at most", count, KEY_BYTES_MAX);
        reader->key_line = line;
        reader->key = strdup(text);
        return reader->key ? QM_OK : out_of_memory(reader);
    }
    QM_TRY(count_node(reader, line));
    struct qm_node *node = qm_node_new_scalar(text, count, event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE);
    if (!node)
        return out_of_memory(reader);
    // A value of no characters has the place where it ends; its key's line helps more.
    node->line = count == 0 && reader->key ? reader->key_line : line;
    QM_TRY(place(reader, node));
    return event->data.scalar.anchor ? remember(reader, (const char *)event->data.scalar.anchor, node) : QM_OK;
}

static enum qm_status read_start(struct reader *reader, const yaml_event_t *event, enum qm_node_kind kind)
{
    bool is_mapping = kind == QM_NODE_MAPPING;
    const yaml_char_t *tag = is_mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    const yaml_char_t *anchor = is_mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    size_t line = line_of(event);
    QM_TRY(check_properties(reader, event, tag, anchor));
    if (is_key(reader))
        return fail(reader, line, "a %s as a key; expected a word as in 'key: value'", is_mapping ? "mapping" : "list");
    if (reader->depth >= reader->limits->depth || reader->depth >= DEPTH_MAX)
        return fail(reader, line, "nested deeper than %zu; expected fewer levels", reader->limits->depth);
    QM_TRY(count_node(reader, line));
    struct qm_node *node = qm_node_new(kind);
    if (!node)
        return out_of_memory(reader);
    node->line = reader->key ? reader->key_line : line;
    QM_TRY(place(reader, node));
    if (anchor) {
        reader->open_anchor[reader->depth] = strdup((const char *)anchor);
        if (!reader->open_anchor[reader->depth])
            return out_of_memory(reader);
    }
    reader->open[reader->depth++] = node;
    return QM_OK;
}

static int by_key_and_line(const void *a, const void *b)
{
    const struct qm_node *left = *(struct qm_node *const *)a;
    const struct qm_node *right = *(struct qm_node *const *)b;
    int order = strcmp(left->key, right->key);
    return order ? order : (left->line > right->line) - (left->line < right->line);
}

// Of a small mapping each with each costs the least.
static bool has_few_and_different(const struct qm_node *mapping)
{
    if (mapping->count > 16)
        return false;
    for (size_t i = 1; i < mapping->count; i++)
        for (size_t k = 0; k < i; k++)
            if (mapping->children[i]->key[0] == mapping->children[k]->key[0] &&
                strcmp(mapping->children[i]->key, mapping->children[k]->key) == 0)
                return false;
    return true;
}

// Sorted aside, so that a mapping of many keys costs little.
static enum qm_status check_duplicates(const struct reader *reader, const struct qm_node *mapping)
{
    enum qm_status status = QM_OK;
    if (has_few_and_different(mapping))
        return QM_OK;
    struct qm_node **order = malloc(mapping->count * sizeof(*order));
    if (!order)
        return out_of_memory(reader);
    memcpy(order, mapping->children, mapping->count * sizeof(*order));
    qsort(order, mapping->count, sizeof(*order), by_key_and_line);
    for (size_t i = 1; i < mapping->count && status == QM_OK; i++)
        if (strcmp(order[i - 1]->key, order[i]->key) == 0)
            status = fail(reader, order[i]->line, "key '%.60s' stands on line %zu already; remove one of the two",
                          order[i]->key, order[i - 1]->line);
    free(order);
    return status;
}

static enum qm_status read_end(struct reader *reader)
{
    struct qm_node *node = reader->open[--reader->depth];
    char *anchor = reader->open_anchor[reader->depth];
    reader->open_anchor[reader->depth] = NULL;
    enum qm_status status = node->kind == QM_NODE_MAPPING ? check_duplicates(reader, node) : QM_OK;
    if (status == QM_OK && anchor)
        status = remember(reader, anchor, node);
    free(anchor);
    return status;
}

static enum qm_status read_event(struct reader *reader, const yaml_event_t *event, bool *done)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (reader->root)
            return fail(reader, line_of(event), "a second document; expected one, without '---' between");
        return QM_OK;
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, event);
    case YAML_ALIAS_EVENT:
        if (is_key(reader))
            return fail(reader, line_of(event), "an alias as a key; expected a word as in 'key: value'");
        return read_alias(reader, event);
    case YAML_MAPPING_START_EVENT:
        return read_start(reader, event, QM_NODE_MAPPING);
    case YAML_SEQUENCE_START_EVENT:
        return read_start(reader, event, QM_NODE_SEQUENCE);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return read_end(reader);
    case YAML_STREAM_END_EVENT:
        *done = true;
        return QM_OK;
    default:
        return QM_OK;
    }
}

// Whether nothing but blanks follows the place of the error.
static bool at_end(const unsigned char *bytes, size_t count, const yaml_mark_t *mark)
{
    size_t i = 0;
    for (size_t line = 0; i < count && line < mark->line; i++)
        line += bytes[i] == '\n';
    for (size_t column = 0; i < count && column < mark->column; i++)
        column += i + 1 == count || (bytes[i + 1] & 0xc0) != 0x80;
    while (i < count && (bytes[i] == ' ' || bytes[i] == '\n' || bytes[i] == '\r' || bytes[i] == '\t'))
        i++;
    return i == count;
}

static enum qm_status syntax_error(const struct reader *reader, const unsigned char *bytes, size_t count)
{
    const yaml_parser_t *parser = &reader->parser;
    size_t line = parser->problem_mark.line + 1;
    const char *problem = parser->problem ? parser->problem : "not YAML";
    if (parser->error == YAML_MEMORY_ERROR)
        return out_of_memory(reader);
    const char *advice = at_end(bytes, count, &parser->problem_mark)
                             ? "the file may be cut short"
                             : "check quotes, brackets, colons and indentation there";
    if (parser->context)
        return fail(reader, line, "%s %s; %s", problem, parser->context, advice);
    return fail(reader, line, "%s; %s", problem, advice);
}

enum qm_status qm_node_parse(const void *bytes, size_t count, const char *name, const struct qm_node_limits *limits,
                             struct qm_node **out)
{
    struct reader reader = {.name = name, .limits = limits};
    enum qm_status status = QM_OK;
    bool done = false;
    *out = NULL;
    if (count > limits->bytes)
        return fail(&reader, 1, "%zu bytes; at most %zu are read", count, limits->bytes);
    QM_TRY(check_bytes(&reader, bytes, count));
    if (!yaml_parser_initialize(&reader.parser))
        return out_of_memory(&reader);
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, bytes, count);
    while (status == QM_OK && !done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&reader.parser, &event)) {
            status = syntax_error(&reader, bytes, count);
            break;
        }
        status = read_event(&reader, &event, &done);
        yaml_event_delete(&event);
    }
    if (status == QM_OK && (!reader.root || (reader.root->kind == QM_NODE_TEXT && !*reader.root->text)))
        status = fail(&reader, 1, "the file has no content; expected keys with values, such as 'schema: 1'");
    if (status == QM_OK && reader.root && reader.root->kind != QM_NODE_MAPPING)
        status = fail(&reader, reader.root->line, "a %s; expected keys with values, such as 'schema: 1'",
                      reader.root->kind == QM_NODE_TEXT ? "text" : "list");
    if (status == QM_OK && reader.root && !(reader.root->file = strdup(name)))
        status = out_of_memory(&reader);
    yaml_parser_delete(&reader.parser);
    free(reader.key);
    for (size_t i = 0; i < DEPTH_MAX; i++)
        free(reader.open_anchor[i]);
    for (size_t i = 0; i < reader.anchor_count; i++)
        free(reader.anchors[i].name);
    free(reader.anchors);
    if (status != QM_OK)
        qm_node_destroy(&reader.root);
    *out = reader.root;
    return status;
}

enum qm_status qm_node_load_yaml(const char *path, const struct qm_node_limits *limits, struct qm_node **out)
{
    void *bytes = NULL;
    size_t count = 0;
    *out = NULL;
    QM_TRY(qm_file_read(path, limits->bytes, &bytes, &count));
    enum qm_status status = qm_node_parse(bytes, count, path, limits, out);
    free(bytes);
    return status;
}
