#include "bench/kernel_plan.h"

#include "bench/kernel_cases.h"
#include "bench/kernel_shapes.h"
#include "kernel/kernels.h"
#include "quant/format.h"
#include "record/node.h"
#include "record/suggest.h"
#include "sys/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// Kernels that have rows, in the order in which they are run.
static const char *const kernel_names[] = {"matvec",    "matmul",      "dequantize", "activations", "attention",
                                           "kv_write",  "rmsnorm",     "rope",       "swiglu",      "residual",
                                           "embedding", "log_softmax", "argmax",     "copy"};

// ---- Words --------------------------------------------------------------------------------------------------------

// The words that may stand in a list, made from the table of variants where it has them.
static size_t known_words(const char *key, char words[][QM_KERNEL_PLAN_WORD_BYTES], size_t most)
{
    size_t count = 0;
    bool is_tiers = strcmp(key, "tiers") == 0;
    if (is_tiers)
        snprintf(words[count++], QM_KERNEL_PLAN_WORD_BYTES, "best");
    for (size_t i = 0; i < qm_kernel_variant_count; ++i) {
        const struct qm_kernel_variant *v = &qm_kernel_variants[i];
        char word[QM_KERNEL_PLAN_WORD_BYTES];
        if (strcmp(key, "formats") == 0 && strcmp(v->kernel, "matmul") == 0)
            snprintf(word, sizeof(word), "%.*s", (int)(strrchr(v->name, '-') - v->name) - 7, v->name + 7);
        else if (strcmp(key, "kv") == 0 && strcmp(v->kernel, "attention") == 0)
            snprintf(word, sizeof(word), "%.*s", (int)strcspn(v->name + 10, "-"), v->name + 10);
        else if (is_tiers)
            snprintf(word, sizeof(word), "%s", qm_kernel_tier(v));
        else if (strcmp(key, "tiles") == 0)
            snprintf(word, sizeof(word), "%s", strrchr(v->name, '-') ? strrchr(v->name, '-') + 1 : "");
        else
            continue;
        bool is_new = word[0] && count < most;
        for (size_t w = 0; w < count; ++w)
            is_new = is_new && strcmp(words[w], word) != 0;
        if (is_new)
            memcpy(words[count++], word, sizeof(word));
    }
    for (size_t i = 0; strcmp(key, "models") == 0 && i < qm_known_model_count; ++i)
        snprintf(words[count++], QM_KERNEL_PLAN_WORD_BYTES, "%s", qm_known_models[i].name);
    for (size_t i = 0; strcmp(key, "layers") == 0 && qm_known_layers[i]; ++i)
        snprintf(words[count++], QM_KERNEL_PLAN_WORD_BYTES, "%s", qm_known_layers[i]);
    for (size_t i = 0; strcmp(key, "kernels") == 0 && i < COUNT(kernel_names); ++i)
        snprintf(words[count++], QM_KERNEL_PLAN_WORD_BYTES, "%s", kernel_names[i]);
    return count;
}

static enum qm_status check_word(const char *key, const char *word)
{
    static char words[64][QM_KERNEL_PLAN_WORD_BYTES];
    const char *names[64];
    char list[4096] = "";
    size_t count = known_words(key, words, COUNT(words));
    for (size_t i = 0; i < count; ++i) {
        if (strcmp(words[i], word) == 0)
            return QM_OK;
        names[i] = words[i];
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "", words[i]);
    }
    const char *near = qm_suggest(word, names, count);
    if (near)
        return QM_FAIL(QM_INVALID, "unknown word '%.40s' in %s; did you mean '%s'?", word, key, near);
    return QM_FAIL(QM_INVALID, "unknown word '%.40s' in %s; expected one of %s", word, key, list);
}

static enum qm_status fail_full(const char *key)
{
    return QM_FAIL(QM_INVALID, "%s has more than %d entries; split the sweep", key, QM_KERNEL_PLAN_LIST_MAX);
}

static enum qm_status add_word(struct qm_kernel_words *words, const char *key, const char *word)
{
    QM_TRY(check_word(key, word));
    for (size_t i = 0; i < words->count; ++i)
        if (strcmp(words->items[i], word) == 0)
            return QM_FAIL(QM_INVALID, "'%s' stands twice in %s; remove one", word, key);
    if (words->count == QM_KERNEL_PLAN_LIST_MAX)
        return fail_full(key);
    snprintf(words->items[words->count++], QM_KERNEL_PLAN_WORD_BYTES, "%s", word);
    return QM_OK;
}

static enum qm_status read_number(const char *key, const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    char *end = NULL;
    size_t length = strlen(text);
    *out = strtoull(text, &end, 10);
    if (length == 0 || length > 12 || strspn(text, "0123456789") != length || *out < low || *out > high)
        return QM_FAIL(QM_INVALID, "%s holds '%.40s'; expected whole numbers from %" PRIu64 " to %" PRIu64, key, text,
                       low, high);
    return QM_OK;
}

static enum qm_status add_number(struct qm_kernel_numbers *numbers, const char *key, const char *text, uint64_t high)
{
    uint64_t value = 0;
    QM_TRY(read_number(key, text, 1, high, &value));
    if (numbers->count == QM_KERNEL_PLAN_LIST_MAX)
        return fail_full(key);
    numbers->items[numbers->count++] = (uint32_t)value;
    return QM_OK;
}

// ---- Formats ------------------------------------------------------------------------------------------------------

// The format of weights of a kernel with groups of so many values; 0: the table's first.
static enum qm_weight_format weights_of(const char *parts, uint32_t group)
{
    char name[QM_KERNEL_PLAN_WORD_BYTES + 8];
    snprintf(name, sizeof(name), "matmul-%s", parts);
    enum qm_weight_format first = qm_case_format_of(name, 0);
    if (group == 0 || first == QM_WEIGHT_FORMAT_COUNT)
        return first;
    const char *kernel = qm_weight_codec(first)->kernel;
    for (int w = 0; w < QM_WEIGHT_FORMAT_COUNT; ++w) {
        const struct qm_weight_codec *codec = qm_weight_codec((enum qm_weight_format)w);
        if (strcmp(codec->kernel, kernel) == 0 && codec->info.group_size == group && codec->scale != QM_SCALE_BLOCK)
            return (enum qm_weight_format)w;
    }
    return QM_WEIGHT_FORMAT_COUNT;
}

static enum qm_status read_scheme(const char *word, struct qm_kernel_format *out)
{
    static const char *const activations[] = {"f32", "f16", "bf16", "a8", "f8", "a4"};
    static const char *const grouped[] = {"f32", "f16", "bf16", "a8g", "f8g", "a4"};
    struct qm_scheme scheme;
    QM_TRY(qm_scheme_parse(word, &scheme));
    out->weights = scheme.weights;
    snprintf(out->parts, sizeof(out->parts), "%s-%s", qm_weight_codec(scheme.weights)->kernel,
             (scheme.activation_group ? grouped : activations)[scheme.activations]);
    return QM_OK;
}

static enum qm_status add_format(struct qm_kernel_plan *plan, const char *word)
{
    struct qm_kernel_format format = {.weights = QM_WEIGHT_FORMAT_COUNT};
    const char *group = strstr(word, "-g");
    uint64_t values = 0;
    char variant[QM_KERNEL_PLAN_WORD_BYTES + 8];
    if (strlen(word) >= QM_KERNEL_PLAN_WORD_BYTES)
        return QM_FAIL(QM_INVALID, "unknown word '%.40s' in formats; expected a format such as w4-f16", word);
    snprintf(format.name, sizeof(format.name), "%s", word);
    snprintf(format.parts, sizeof(format.parts), "%.*s", group ? (int)(group - word) : QM_KERNEL_PLAN_WORD_BYTES - 1,
             word);
    snprintf(variant, sizeof(variant), "matmul-%s", format.parts);
    if (strchr(format.parts, '-') && qm_kernel_find(variant, "narrow")) {
        if (group)
            QM_TRY(read_number("a format's group", group + 2, 1, 1024, &values));
        format.weights = weights_of(format.parts, (uint32_t)values);
        if (format.weights == QM_WEIGHT_FORMAT_COUNT)
            return QM_FAIL(QM_INVALID, "format '%s': there is no such group; expected 32, 64 or 128", word);
    } else if (read_scheme(word, &format) != QM_OK) {
        return check_word("formats", word); // which finds the nearest name of a format
    }
    for (size_t i = 0; i < plan->format_count; ++i)
        if (strcmp(plan->formats[i].parts, format.parts) == 0 && plan->formats[i].weights == format.weights)
            return QM_FAIL(QM_INVALID, "'%s' stands twice in formats; remove one", word);
    if (plan->format_count == QM_KERNEL_PLAN_LIST_MAX)
        return fail_full("formats");
    plan->formats[plan->format_count++] = format;
    return QM_OK;
}

// ---- Keys ---------------------------------------------------------------------------------------------------------

static enum qm_status add_shape(struct qm_kernel_plan *plan, const char *text)
{
    struct qm_kernel_shape shape;
    QM_TRY(qm_shape_parse(text, &shape.rows, &shape.n, &shape.k));
    if (plan->shape_count == QM_KERNEL_PLAN_LIST_MAX)
        return fail_full("shapes");
    plan->shapes[plan->shape_count++] = shape;
    return QM_OK;
}

enum {
    ROWS_MAX = 65536,
    SIZES_MAX = 1 << 15
};

static enum qm_status add_value(struct qm_kernel_plan *plan, const char *key, const char *text)
{
    struct {
        const char *key;
        struct qm_kernel_words *words;
    } lists[] = {{"models", &plan->models}, {"layers", &plan->layers}, {"kernels", &plan->kernels},
                 {"kv", &plan->kv},         {"tiers", &plan->tiers},   {"tiles", &plan->tiles}};
    for (size_t i = 0; i < COUNT(lists); ++i)
        if (strcmp(lists[i].key, key) == 0)
            return add_word(lists[i].words, key, text);
    if (strcmp(key, "formats") == 0)
        return add_format(plan, text);
    if (strcmp(key, "shapes") == 0)
        return add_shape(plan, text);
    if (strcmp(key, "rows") == 0)
        return add_number(&plan->rows, key, text, ROWS_MAX);
    if (strcmp(key, "growth.rows") == 0)
        return add_number(&plan->growth_rows, key, text, ROWS_MAX);
    return add_number(&plan->growth_sizes, key, text, SIZES_MAX);
}

static void clear(struct qm_kernel_plan *plan, const char *key)
{
    struct {
        const char *key;
        size_t *count;
    } counts[] = {{"models", &plan->models.count},  {"layers", &plan->layers.count}, {"kernels", &plan->kernels.count},
                  {"kv", &plan->kv.count},          {"tiers", &plan->tiers.count},   {"tiles", &plan->tiles.count},
                  {"formats", &plan->format_count}, {"shapes", &plan->shape_count},  {"rows", &plan->rows.count}};
    for (size_t i = 0; i < COUNT(counts); ++i)
        if (strcmp(counts[i].key, key) == 0)
            *counts[i].count = 0;
}

enum qm_status qm_kernel_plan_set(struct qm_kernel_plan *plan, const char *key, const char *list)
{
    clear(plan, key);
    for (const char *at = list;;) {
        char word[64];
        size_t length = strcspn(at, ",");
        snprintf(word, sizeof(word), "%.*s", (int)(length < 63 ? length : 63), at);
        if (length == 0)
            return QM_FAIL(QM_INVALID, "%s is '%.60s'; expected words with commas between", key, list);
        QM_TRY(add_value(plan, key, word));
        if (at[length] != ',')
            return QM_OK;
        at += length + 1;
    }
}

// ---- Profiles -----------------------------------------------------------------------------------------------------

static const char *const top_keys[] = {"schema", "kind",   "name",    "title",   "models", "layers",
                                       "shapes", "rows",   "kernels", "formats", "kv",     "tiers",
                                       "tiles",  "growth", "context", "row_ms",  "seconds"};
static const char *const growth_keys[] = {"model", "layer", "rows", "sizes"};

static enum qm_status check_keys(const struct qm_node *mapping, const char *where, const char *const *keys,
                                 size_t count)
{
    if (!qm_node_is_mapping(mapping))
        return qm_node_invalid(mapping,
                               "%s is no mapping; expected keys with values, as in "
                               "profiles/kernels/llm-shapes.yaml",
                               where);
    for (size_t i = 0; i < qm_node_count(mapping); ++i) {
        const struct qm_node *child = qm_node_at(mapping, i);
        const char *key = qm_node_key(child);
        size_t k = 0;
        while (k < count && strcmp(keys[k], key) != 0)
            ++k;
        const char *near = k < count ? NULL : qm_suggest(key, keys, count);
        if (near)
            return qm_node_invalid(child, "unknown key '%.60s' in %s; did you mean '%s'?", key, where, near);
        if (k == count)
            return qm_node_invalid(child, "unknown key '%.60s' in %s; profiles/kernels/llm-shapes.yaml has all of them",
                                   key, where);
    }
    for (size_t k = 0; k < count; ++k)
        if (!qm_node_child(mapping, keys[k]))
            return qm_node_invalid(mapping, "key '%s' is missing in %s; add it, as in profiles/kernels/llm-shapes.yaml",
                                   keys[k], where);
    return QM_OK;
}

// Puts the line in front of what add_value says.
static enum qm_status add_node(struct qm_kernel_plan *plan, const char *key, const struct qm_node *node)
{
    char text[512];
    if (!qm_node_is_text(node))
        return qm_node_invalid(node, "'%s' holds something that is no word; expected [..] of words or numbers", key);
    if (add_value(plan, key, qm_node_text(node)) == QM_OK)
        return QM_OK;
    snprintf(text, sizeof(text), "%s", qm_error_text());
    return qm_node_invalid(node, "%s", text);
}

static enum qm_status read_list(struct qm_kernel_plan *plan, const struct qm_node *list, const char *key)
{
    if (!qm_node_is_sequence(list))
        return qm_node_invalid(list, "'%s' is no list; expected [..] or lines that begin with '- '", key);
    for (size_t i = 0; i < qm_node_count(list); ++i)
        QM_TRY(add_node(plan, key, qm_node_at(list, i)));
    return QM_OK;
}

static enum qm_status read_whole(const struct qm_node *root, const char *key, uint64_t low, uint64_t high,
                                 uint64_t *out)
{
    const struct qm_node *node = qm_node_child(root, key);
    QM_TRY(qm_node_read_u64(node, out));
    if (*out < low || *out > high)
        return qm_node_invalid(node, "'%s' is %" PRIu64 "; expected %" PRIu64 " to %" PRIu64, key, *out, low, high);
    return QM_OK;
}

static enum qm_status read_growth(struct qm_kernel_plan *plan, const struct qm_node *growth)
{
    QM_TRY(check_keys(growth, "growth", growth_keys, COUNT(growth_keys)));
    const struct qm_node *model = qm_node_child(growth, "model"), *layer = qm_node_child(growth, "layer");
    bool is_none = qm_node_is_text(model) && strcmp(qm_node_text(model), "none") == 0;
    if (!is_none && (!qm_node_is_text(model) || check_word("models", qm_node_text(model)) != QM_OK))
        return qm_node_invalid(model, "'model' of growth is no known model; expected 1b, 3b, 8b, 70b or none");
    if (!is_none && (!qm_node_is_text(layer) || check_word("layers", qm_node_text(layer)) != QM_OK))
        return qm_node_invalid(layer, "'layer' of growth is no known layer; expected q, kv, up, down or head");
    if (!is_none) {
        QM_TRY(add_word(&plan->growth_models, "models", qm_node_text(model)));
        QM_TRY(add_word(&plan->growth_layers, "layers", qm_node_text(layer)));
    }
    QM_TRY(read_list(plan, qm_node_child(growth, "rows"), "growth.rows"));
    return read_list(plan, qm_node_child(growth, "sizes"), "growth.sizes");
}

enum qm_status qm_kernel_plan_read(const struct qm_node *root, struct qm_kernel_plan *out)
{
    static const char *const lists[] = {"models",  "layers", "shapes", "rows", "kernels",
                                        "formats", "kv",     "tiers",  "tiles"};
    struct qm_kernel_plan *plan = out;
    uint64_t value = 0;
    memset(plan, 0, sizeof(*plan));
    const char *kind = qm_node_text_at(root, "kind", "");
    if (qm_node_is_mapping(root) && strcmp(kind, "kernels") != 0)
        return qm_node_invalid(root, "'kind' is '%.40s'; expected kernels: profiles of whole runs are for 'qmark run'",
                               *kind ? kind : "missing");
    QM_TRY(check_keys(root, "the profile", top_keys, COUNT(top_keys)));
    QM_TRY(read_whole(root, "schema", 1, 1, &value));
    const char *name = qm_node_text_at(root, "name", ""), *title = qm_node_text_at(root, "title", "");
    if (!*name || strlen(name) >= sizeof(plan->name))
        return qm_node_invalid(root, "'name' must be a text of 1 to %zu bytes", sizeof(plan->name) - 1);
    if (strlen(title) >= sizeof(plan->title))
        return qm_node_invalid(root, "'title' must be a text below %zu bytes", sizeof(plan->title));
    snprintf(plan->name, sizeof(plan->name), "%s", name);
    snprintf(plan->title, sizeof(plan->title), "%s", title);
    for (size_t i = 0; i < COUNT(lists); ++i)
        QM_TRY(read_list(plan, qm_node_child(root, lists[i]), lists[i]));
    QM_TRY(read_growth(plan, qm_node_child(root, "growth")));
    QM_TRY(read_whole(root, "context", 2, 131072, &value));
    plan->context = (uint32_t)value;
    QM_TRY(read_whole(root, "row_ms", 1, 600000, &value));
    plan->row_ms = (uint32_t)value;
    return read_whole(root, "seconds", 0, 1000000, &plan->seconds);
}

enum qm_status qm_kernel_plan_load(const char *text, struct qm_kernel_plan *out)
{
    char path[QM_PATH_BYTES], directory[QM_PATH_BYTES], name[160];
    size_t length = strlen(text);
    struct qm_node *root = NULL;
    bool is_path = strchr(text, '/') || (length > 5 && strcmp(text + length - 5, ".yaml") == 0);
    if (is_path && length >= sizeof(path))
        return QM_FAIL(QM_INVALID, "a profile's path is longer than %zu bytes", sizeof(path) - 1);
    snprintf(path, sizeof(path), "%s", text);
    snprintf(name, sizeof(name), "profiles/kernels/%.100s.yaml", text);
    if (!is_path)
        QM_TRY(qm_data_directory(directory)); // of a program without its data no profile's name is wrong
    if (!is_path && qm_data_path(name, path) != QM_OK)
        return QM_FAIL(QM_INVALID, "there is no profile of kernels '%.60s'; expected llm-shapes or a file", text);
    QM_TRY(qm_node_load_yaml(path, &qm_node_profile_limits, &root));
    enum qm_status status = qm_kernel_plan_read(root, out);
    qm_node_destroy(&root);
    return status;
}

static void expand_words(struct qm_node *node, const char *key, const struct qm_kernel_words *words)
{
    struct qm_node *list = qm_node_add_sequence(node, key);
    for (size_t i = 0; i < words->count; ++i)
        qm_node_append_text(list, words->items[i]);
}

static void expand_numbers(struct qm_node *node, const char *key, const struct qm_kernel_numbers *numbers)
{
    struct qm_node *list = qm_node_add_sequence(node, key);
    for (size_t i = 0; i < numbers->count; ++i)
        qm_node_append_u64(list, numbers->items[i]);
}

struct qm_node *qm_kernel_plan_expand(const struct qm_kernel_plan *plan)
{
    struct qm_node *node = qm_node_new_mapping();
    qm_node_set_u64(node, "schema", 1);
    qm_node_set_text(node, "kind", "kernels");
    qm_node_set_text(node, "name", plan->name);
    qm_node_set_text(node, "title", plan->title);
    expand_words(node, "models", &plan->models);
    expand_words(node, "layers", &plan->layers);
    struct qm_node *list = qm_node_add_sequence(node, "shapes");
    for (size_t i = 0; i < plan->shape_count; ++i) {
        char text[48];
        snprintf(text, sizeof(text), "%ux%ux%u", plan->shapes[i].rows, plan->shapes[i].n, plan->shapes[i].k);
        qm_node_append_text(list, text);
    }
    expand_numbers(node, "rows", &plan->rows);
    expand_words(node, "kernels", &plan->kernels);
    list = qm_node_add_sequence(node, "formats");
    for (size_t i = 0; i < plan->format_count; ++i)
        qm_node_append_text(list, plan->formats[i].name);
    expand_words(node, "kv", &plan->kv);
    expand_words(node, "tiers", &plan->tiers);
    expand_words(node, "tiles", &plan->tiles);
    list = qm_node_add_mapping(node, "growth");
    qm_node_set_text(list, "model", plan->growth_models.count ? plan->growth_models.items[0] : "none");
    qm_node_set_text(list, "layer", plan->growth_layers.count ? plan->growth_layers.items[0] : "none");
    expand_numbers(list, "rows", &plan->growth_rows);
    expand_numbers(list, "sizes", &plan->growth_sizes);
    qm_node_set_u64(node, "context", plan->context);
    qm_node_set_u64(node, "row_ms", plan->row_ms);
    qm_node_set_u64(node, "seconds", plan->seconds);
    return node;
}
