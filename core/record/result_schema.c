// The JSON Schema of a result, from its table.
#include "record/result.h"
#include "record/result_table.h"

#include <stdio.h>
#include <string.h>

static void add_type(struct qm_node *schema, const struct qm_result_row *row)
{
    static const char *const types[] = {
        [QM_RESULT_TEXT] = "string",   [QM_RESULT_HASH] = "string",     [QM_RESULT_WHOLE] = "integer",
        [QM_RESULT_NUMBER] = "number", [QM_RESULT_POSITIVE] = "number", [QM_RESULT_BOOL] = "boolean",
        [QM_RESULT_CHOICE] = "string", [QM_RESULT_MAPPING] = "object",  [QM_RESULT_LIST] = "array",
    };
    qm_node_set_text(schema, "type", types[row->type]);
    if (row->type == QM_RESULT_TEXT)
        qm_node_set_u64(schema, "minLength", 1);
    if (row->type == QM_RESULT_HASH)
        qm_node_set_text(schema, "pattern", "^[0-9a-f]{64}$");
    if (row->type == QM_RESULT_WHOLE)
        qm_node_set_u64(schema, "minimum", 0);
    if (row->type == QM_RESULT_POSITIVE)
        qm_node_set_u64(schema, "exclusiveMinimum", 0);
    if (row->type == QM_RESULT_LIST)
        qm_node_set_text(qm_node_add_mapping(schema, "items"), "type", "object");
    if (row->type == QM_RESULT_CHOICE) {
        struct qm_node *choices = qm_node_add_sequence(schema, "enum");
        for (const char *at = row->choices; *at;) {
            char choice[64];
            size_t length = strcspn(at, "|");
            snprintf(choice, sizeof(choice), "%.*s", (int)length, at);
            qm_node_append_text(choices, choice);
            at += length + (at[length] == '|');
        }
    }
}

// The schema that holds `properties`: where a word may stand instead, that is the first of two alternatives.
static struct qm_node *holder_of(struct qm_node *schema)
{
    struct qm_node *alternative = qm_node_get(schema, "anyOf.0");
    return alternative ? alternative : schema;
}

static void add_row(struct qm_node *schema, const char *path, const struct qm_result_row *row)
{
    char key[64];
    size_t length = strcspn(path, ".[");
    snprintf(key, sizeof(key), "%.*s", (int)length, path);
    path += length;
    schema = holder_of(schema);
    struct qm_node *properties = qm_node_child(schema, "properties");
    if (!properties)
        properties = qm_node_add_mapping(schema, "properties");
    if (*path == '.') {
        add_row(qm_node_child(properties, key), path + 1, row);
        return;
    }
    if (*path == '[') {
        add_row(qm_node_child(holder_of(qm_node_child(properties, key)), "items"), path + strlen("[]."), row);
        return;
    }
    struct qm_node *own = qm_node_add_mapping(properties, key);
    qm_node_set_text(own, "description", row->meaning);
    if (row->flags & QM_RESULT_OR_WORD) {
        struct qm_node *both = qm_node_add_sequence(own, "anyOf");
        add_type(qm_node_append_mapping(both), row);
        qm_node_set_text(qm_node_append_mapping(both), "$ref", "#/$defs/word");
    } else {
        add_type(own, row);
    }
    if (row->flags & QM_RESULT_OPTIONAL)
        return;
    struct qm_node *required = qm_node_child(schema, "required");
    if (!required)
        required = qm_node_add_sequence(schema, "required");
    qm_node_append_text(required, key);
}

static void require_keys(struct qm_node *schema, const char *const *keys)
{
    struct qm_node *required = qm_node_add_sequence(schema, "required");
    for (; *keys; keys++)
        qm_node_append_text(required, *keys);
}

// A row that is ok has both halves; any other has a reason and no speed.
static void add_laws(struct qm_node *scheme)
{
    static const char *const halves[] = {"accuracy", "throughput", "sustained", NULL};
    static const char *const reason[] = {"reason", NULL};
    static const char *const speeds[] = {"throughput", "gain"};
    struct qm_node *condition = qm_node_add_mapping(scheme, "if");
    struct qm_node *status = qm_node_add_mapping(qm_node_add_mapping(condition, "properties"), "status");
    qm_node_set_text(status, "const", "ok");
    struct qm_node *then = qm_node_add_mapping(scheme, "then");
    require_keys(then, halves);
    struct qm_node *properties = qm_node_add_mapping(then, "properties");
    qm_node_set_u64(qm_node_add_mapping(properties, "throughput"), "minItems", 1);
    require_keys(qm_node_add_mapping(then, "not"), reason);
    struct qm_node *otherwise = qm_node_add_mapping(scheme, "else");
    require_keys(otherwise, reason);
    properties = qm_node_add_mapping(otherwise, "properties");
    for (size_t i = 0; i < 2; i++)
        qm_node_set_u64(qm_node_add_mapping(properties, speeds[i]), "maxItems", 0);
}

struct qm_node *qm_result_schema(void)
{
    struct qm_node *schema = qm_node_new_mapping();
    qm_node_set_text(schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
    qm_node_set_text(schema, "title", "A result of qmark");
    qm_node_set_text(schema, "description",
                     "Written from the table in core/record/result_table.c; see RESULT_FORMAT.md.");
    qm_node_set_text(schema, "type", "object");
    struct qm_node *word = qm_node_add_mapping(qm_node_add_mapping(schema, "$defs"), "word");
    qm_node_set_text(word, "description", "What stands where there is no value: never 0, never a missing key.");
    struct qm_node *words = qm_node_add_sequence(word, "enum");
    for (size_t i = 0; qm_result_words[i]; i++)
        qm_node_append_text(words, qm_result_words[i]);
    for (const struct qm_result_row *row = qm_result_rows; row->path; row++)
        add_row(schema, row->path, row);
    struct qm_node *version = qm_node_get(schema, "properties.schema");
    qm_node_remove(version, "minimum");
    qm_node_set_u64(version, "const", QM_RESULT_SCHEMA);
    add_laws(qm_node_get(schema, "properties.schemes.items"));
    return schema;
}
