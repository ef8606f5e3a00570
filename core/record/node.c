#include "record/node_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qm_node *qm_node_new(enum qm_node_kind kind)
{
    struct qm_node *node = calloc(1, sizeof(*node));
    if (node)
        node->kind = kind;
    return node;
}

// The text lies behind the node, in one piece of memory: most of a tree is scalars.
struct qm_node *qm_node_new_scalar(const char *text, size_t count, bool plain)
{
    struct qm_node *node = calloc(1, sizeof(*node) + count + 1);
    if (!node)
        return NULL;
    node->kind = QM_NODE_TEXT;
    node->plain = plain;
    node->text = (char *)(node + 1);
    memcpy(node->text, text, count);
    return node;
}

struct qm_node *qm_node_new_mapping(void)
{
    return qm_node_new(QM_NODE_MAPPING);
}

struct qm_node *qm_node_new_sequence(void)
{
    return qm_node_new(QM_NODE_SEQUENCE);
}

// Depth is bounded when reading; trees that were built are as deep as the code that built them.
static void release(struct qm_node *node)
{
    for (size_t i = 0; i < node->count; i++)
        release(node->children[i]);
    free(node->children);
    free(node->key);
    free(node->file);
    free(node);
}

void qm_node_destroy(struct qm_node **node)
{
    if (*node)
        release(*node);
    *node = NULL;
}

static void mark_failed(struct qm_node *node)
{
    if (!node)
        return;
    while (node->parent)
        node = node->parent;
    node->failed = true;
}

bool qm_node_ok(const struct qm_node *root)
{
    return root && !root->failed;
}

bool qm_node_attach(struct qm_node *parent, char *key, struct qm_node *child)
{
    if (parent->count == parent->capacity) {
        size_t capacity = parent->capacity ? parent->capacity * 2 : 4;
        struct qm_node **children = realloc(parent->children, capacity * sizeof(*children));
        if (!children)
            return false;
        parent->children = children;
        parent->capacity = capacity;
    }
    if (key) {
        free(child->key);
        child->key = key;
    }
    child->parent = parent;
    parent->children[parent->count++] = child;
    return true;
}

// The same with a key of somebody else.
static bool attach_as(struct qm_node *parent, const char *key, struct qm_node *child)
{
    char *copy = key ? strdup(key) : NULL;
    if ((key && !copy) || !qm_node_attach(parent, copy, child)) {
        free(copy);
        return false;
    }
    return true;
}

static struct qm_node *copy_of(const struct qm_node *node)
{
    struct qm_node *copy =
        node->text ? qm_node_new_scalar(node->text, strlen(node->text), node->plain) : qm_node_new(node->kind);
    if (!copy)
        return NULL;
    copy->line = node->line;
    copy->failed = node->failed;
    if (node->file && !(copy->file = strdup(node->file))) {
        qm_node_destroy(&copy);
        return NULL;
    }
    for (size_t i = 0; i < node->count; i++) {
        struct qm_node *child = copy_of(node->children[i]);
        if (!child || !attach_as(copy, node->children[i]->key, child)) {
            qm_node_destroy(&child);
            qm_node_destroy(&copy);
            return NULL;
        }
    }
    return copy;
}

struct qm_node *qm_node_copy(const struct qm_node *node)
{
    struct qm_node *copy = node ? copy_of(node) : NULL;
    const char *file = qm_node_file(node);
    if (copy && !copy->file && file && !(copy->file = strdup(file)))
        qm_node_destroy(&copy);
    return copy;
}

// The position of a key, or the count.
static size_t find(const struct qm_node *mapping, const char *key)
{
    size_t i = 0;
    while (i < mapping->count && strcmp(mapping->children[i]->key, key) != 0)
        i++;
    return i;
}

// Takes `child`; gives it back, or NULL if it could not be placed. `key` is NULL for sequences.
static struct qm_node *place(struct qm_node *parent, const char *key, struct qm_node *child)
{
    enum qm_node_kind wanted = key ? QM_NODE_MAPPING : QM_NODE_SEQUENCE;
    if (!parent || parent->kind != wanted || !child || child->parent || child->failed || (key && !*key)) {
        if (child && !child->parent)
            qm_node_destroy(&child);
        mark_failed(parent);
        return NULL;
    }
    size_t at = key ? find(parent, key) : parent->count;
    if (at == parent->count) {
        if (!attach_as(parent, key, child)) {
            qm_node_destroy(&child);
            mark_failed(parent);
            return NULL;
        }
        return child;
    }
    struct qm_node *old = parent->children[at];
    free(child->key);
    child->key = old->key;
    old->key = NULL;
    child->parent = parent;
    parent->children[at] = child;
    release(old);
    return child;
}

// Nothing that is not UTF-8 may come into a tree: a driver's name may hold anything.
static struct qm_node *new_text(const char *text)
{
    if (!text)
        text = "undisclosed";
    struct qm_node *node = qm_node_new_scalar(text, strlen(text), false);
    if (!node)
        return NULL;
    unsigned char *bytes = (unsigned char *)node->text;
    for (size_t i = 0; bytes[i];) {
        size_t length = bytes[i] < 0x80   ? 1
                        : bytes[i] < 0xc2 ? 0
                        : bytes[i] < 0xe0 ? 2
                        : bytes[i] < 0xf0 ? 3
                        : bytes[i] < 0xf5 ? 4
                                          : 0;
        size_t good = length ? 1 : 0;
        while (good && good < length && (bytes[i + good] & 0xc0) == 0x80)
            good++;
        bool bad = good != length || length == 0;
        if (!bad && length == 3)
            bad = (bytes[i] == 0xe0 && bytes[i + 1] < 0xa0) || (bytes[i] == 0xed && bytes[i + 1] > 0x9f);
        if (!bad && length == 4)
            bad = (bytes[i] == 0xf0 && bytes[i + 1] < 0x90) || (bytes[i] == 0xf4 && bytes[i + 1] > 0x8f);
        if (bad || (length == 1 && (bytes[i] < 0x20 || bytes[i] == 0x7f) && bytes[i] != '\n' && bytes[i] != '\t')) {
            bytes[i++] = '?';
            continue;
        }
        i += length;
    }
    return node;
}

static struct qm_node *new_u64(uint64_t value)
{
    char text[32];
    int count = snprintf(text, sizeof(text), "%" PRIu64, value);
    return qm_node_new_scalar(text, (size_t)count, true);
}

static struct qm_node *new_double(double value)
{
    char text[QM_DOUBLE_TEXT_BYTES];
    if (!isfinite(value))
        return NULL;
    qm_double_text(value, text);
    return qm_node_new_scalar(text, strlen(text), true);
}

void qm_node_set_text(struct qm_node *mapping, const char *key, const char *text)
{
    place(mapping, key, new_text(text));
}

void qm_node_set_textf(struct qm_node *mapping, const char *key, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int count = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (count < 0) {
        mark_failed(mapping);
        return;
    }
    qm_node_set_text(mapping, key, text);
    free(text);
}

void qm_node_set_u64(struct qm_node *mapping, const char *key, uint64_t value)
{
    place(mapping, key, new_u64(value));
}

void qm_node_set_double(struct qm_node *mapping, const char *key, double value)
{
    place(mapping, key, new_double(value));
}

void qm_node_set_bool(struct qm_node *mapping, const char *key, bool value)
{
    const char *text = value ? "true" : "false";
    place(mapping, key, qm_node_new_scalar(text, strlen(text), true));
}

void qm_node_set_node(struct qm_node *mapping, const char *key, struct qm_node *child)
{
    place(mapping, key, child);
}

struct qm_node *qm_node_add_mapping(struct qm_node *mapping, const char *key)
{
    return place(mapping, key, qm_node_new(QM_NODE_MAPPING));
}

struct qm_node *qm_node_add_sequence(struct qm_node *mapping, const char *key)
{
    return place(mapping, key, qm_node_new(QM_NODE_SEQUENCE));
}

void qm_node_remove(struct qm_node *mapping, const char *key)
{
    if (!mapping || mapping->kind != QM_NODE_MAPPING)
        return;
    size_t at = find(mapping, key);
    if (at == mapping->count)
        return;
    release(mapping->children[at]);
    mapping->count--;
    memmove(&mapping->children[at], &mapping->children[at + 1], (mapping->count - at) * sizeof(mapping->children[0]));
}

void qm_node_append_text(struct qm_node *sequence, const char *text)
{
    place(sequence, NULL, new_text(text));
}

void qm_node_append_u64(struct qm_node *sequence, uint64_t value)
{
    place(sequence, NULL, new_u64(value));
}

void qm_node_append_double(struct qm_node *sequence, double value)
{
    place(sequence, NULL, new_double(value));
}

void qm_node_append_node(struct qm_node *sequence, struct qm_node *child)
{
    place(sequence, NULL, child);
}

struct qm_node *qm_node_append_mapping(struct qm_node *sequence)
{
    return place(sequence, NULL, qm_node_new(QM_NODE_MAPPING));
}

struct qm_node *qm_node_append_sequence(struct qm_node *sequence)
{
    return place(sequence, NULL, qm_node_new(QM_NODE_SEQUENCE));
}

enum qm_node_kind qm_node_kind(const struct qm_node *node)
{
    return node ? node->kind : QM_NODE_TEXT;
}

bool qm_node_is_mapping(const struct qm_node *node)
{
    return node && node->kind == QM_NODE_MAPPING;
}

bool qm_node_is_sequence(const struct qm_node *node)
{
    return node && node->kind == QM_NODE_SEQUENCE;
}

bool qm_node_is_text(const struct qm_node *node)
{
    return node && node->kind == QM_NODE_TEXT;
}

bool qm_text_is_whole(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && !text[digits] && (digits == 1 || text[0] != '0');
}

bool qm_text_is_number(const char *text)
{
    text += *text == '-';
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || (digits > 1 && text[0] == '0'))
        return false;
    text += digits;
    if (*text == '.') {
        digits = strspn(text + 1, "0123456789");
        if (digits == 0)
            return false;
        text += 1 + digits;
    }
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '+' || *text == '-';
        digits = strspn(text, "0123456789");
        if (digits == 0)
            return false;
        text += digits;
    }
    return !*text;
}

bool qm_node_is_number(const struct qm_node *node)
{
    return qm_node_is_text(node) && node->plain && qm_text_is_number(node->text);
}

bool qm_node_is_bool(const struct qm_node *node)
{
    return qm_node_is_text(node) && node->plain && (!strcmp(node->text, "true") || !strcmp(node->text, "false"));
}

static struct qm_node *child_named(const struct qm_node *node, const char *key, size_t length)
{
    if (node->kind == QM_NODE_MAPPING) {
        for (size_t i = 0; i < node->count; i++) {
            const char *have = node->children[i]->key;
            if (have[0] == key[0] && strncmp(have, key, length) == 0 && !have[length])
                return node->children[i];
        }
        return NULL;
    }
    if (node->kind != QM_NODE_SEQUENCE || length == 0 || length > 9 || strspn(key, "0123456789") < length)
        return NULL;
    return qm_node_at(node, (size_t)strtoul(key, NULL, 10));
}

struct qm_node *qm_node_get(const struct qm_node *node, const char *path)
{
    struct qm_node *found = NULL;
    while (node) {
        size_t length = strcspn(path, ".");
        found = child_named(node, path, length);
        if (!path[length])
            return found;
        path += length + 1;
        node = found;
    }
    return NULL;
}

struct qm_node *qm_node_child(const struct qm_node *mapping, const char *key)
{
    return qm_node_is_mapping(mapping) ? child_named(mapping, key, strlen(key)) : NULL;
}

size_t qm_node_count(const struct qm_node *node)
{
    return node ? node->count : 0;
}

struct qm_node *qm_node_at(const struct qm_node *node, size_t index)
{
    return node && index < node->count ? node->children[index] : NULL;
}

const char *qm_node_key_at(const struct qm_node *mapping, size_t index)
{
    return qm_node_key(qm_node_at(mapping, index));
}

const char *qm_node_key(const struct qm_node *node)
{
    return node ? node->key : NULL;
}

const char *qm_node_text(const struct qm_node *node)
{
    return node ? node->text : NULL;
}

const char *qm_node_text_at(const struct qm_node *node, const char *path, const char *otherwise)
{
    const char *text = qm_node_text(qm_node_get(node, path));
    return text ? text : otherwise;
}

size_t qm_node_line(const struct qm_node *node)
{
    return node ? node->line : 0;
}

const char *qm_node_file(const struct qm_node *node)
{
    while (node && !node->file)
        node = node->parent;
    return node ? node->file : NULL;
}

static size_t position(const struct qm_node *node)
{
    size_t i = 0;
    while (node->parent->children[i] != node)
        i++;
    return i;
}

// Appends and returns the length so far, never beyond capacity - 1.
static size_t path_of(const struct qm_node *node, char *text, size_t capacity)
{
    if (!node->parent) {
        text[0] = '\0';
        return 0;
    }
    size_t used = path_of(node->parent, text, capacity);
    char number[24];
    const char *part = node->key;
    if (!part) {
        snprintf(number, sizeof(number), "%zu", position(node));
        part = number;
    }
    if (used + 1 < capacity)
        text[used++] = '/';
    for (; *part && used + 2 < capacity; part++) {
        if (*part == '~' || *part == '/') {
            text[used++] = '~';
            text[used++] = *part == '~' ? '0' : '1';
        } else {
            text[used++] = *part;
        }
    }
    text[used] = '\0';
    return used;
}

void qm_node_path(const struct qm_node *node, char *text, size_t capacity)
{
    if (capacity == 0)
        return;
    text[0] = '\0';
    if (node)
        path_of(node, text, capacity);
}

enum qm_status qm_node_invalid(const struct qm_node *node, const char *format, ...)
{
    char text[768];
    char path[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    const char *file = qm_node_file(node);
    if (file)
        return QM_FAIL(QM_INVALID, "%s:%zu: %s", file, node->line, text);
    qm_node_path(node, path, sizeof(path));
    return QM_FAIL(QM_INVALID, "%s%s%s", path, path[0] ? ": " : "", text);
}

static enum qm_status wrong_type(const struct qm_node *node, const char *wanted)
{
    const struct qm_node *named = node;
    while (named && !named->key)
        named = named->parent;
    const char *name = named ? named->key : "value";
    const char *item = named == node ? "" : "an item of ";
    if (!node)
        return QM_FAIL(QM_INVALID, "a value is missing; expected %s", wanted);
    if (node->kind != QM_NODE_TEXT)
        return qm_node_invalid(node, "%s'%s' is a %s; expected %s", item, name,
                               node->kind == QM_NODE_MAPPING ? "mapping" : "list", wanted);
    if (!node->plain && qm_text_is_number(node->text))
        return qm_node_invalid(node, "%s'%s' is the text \"%.40s\"; expected %s, without quotes", item, name,
                               node->text, wanted);
    return qm_node_invalid(node, "%s'%s' is '%.40s'; expected %s", item, name, node->text, wanted);
}

enum qm_status qm_node_read_u64(const struct qm_node *node, uint64_t *out)
{
    *out = 0;
    if (!qm_node_is_text(node) || !node->plain || !qm_text_is_whole(node->text))
        return wrong_type(node, "a whole number");
    errno = 0;
    unsigned long long value = strtoull(node->text, NULL, 10);
    if (errno)
        return wrong_type(node, "a whole number below 2^64");
    *out = value;
    return QM_OK;
}

enum qm_status qm_node_read_double(const struct qm_node *node, double *out)
{
    *out = 0;
    if (!qm_node_is_number(node))
        return wrong_type(node, "a number such as 0.5");
    double value = strtod(node->text, NULL);
    if (!isfinite(value))
        return wrong_type(node, "a number below 1.8e308");
    *out = value;
    return QM_OK;
}

enum qm_status qm_node_read_bool(const struct qm_node *node, bool *out)
{
    *out = false;
    if (!qm_node_is_bool(node))
        return wrong_type(node, "true or false");
    *out = node->text[0] == 't';
    return QM_OK;
}

bool qm_node_u64_at(const struct qm_node *node, const char *path, uint64_t *out)
{
    const struct qm_node *found = qm_node_get(node, path);
    *out = 0;
    return qm_node_is_number(found) && qm_node_read_u64(found, out) == QM_OK;
}

bool qm_node_double_at(const struct qm_node *node, const char *path, double *out)
{
    const struct qm_node *found = qm_node_get(node, path);
    *out = 0;
    return qm_node_is_number(found) && qm_node_read_double(found, out) == QM_OK;
}

bool qm_node_bool_at(const struct qm_node *node, const char *path, bool *out)
{
    const struct qm_node *found = qm_node_get(node, path);
    *out = false;
    return qm_node_is_bool(found) && qm_node_read_bool(found, out) == QM_OK;
}
