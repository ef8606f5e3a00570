#include "record/compare.h"
#include "record/compare_internal.h"
#include "record/node.h"
#include "record/result.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record/compare_rates.h"

enum {
    ROW_KEYS_MAX = 4
};

// What names an item of a list, so that rows are matched wherever they stand. An item may lack some of the keys.
static const struct row_name {
    const char *list;
    const char *keys[ROW_KEYS_MAX];
} row_names[] = {
    {"schemes", {"name"}},
    {"throughput", {"phase", "batch", "prompt", "depth"}},
    {"gain", {"phase", "batch", "prompt", "depth"}},
    {"tasks", {"task", "difficulty"}},
    {"criteria", {"metric", "side"}},
    {"details", {"metric"}},
    {"choices", {"norm"}},
    {"non_inferiority", {"threshold"}},
    {"seeds", {"seed"}},
    {"kernels", {"name", "shape"}},
    {"kinds", {"kind"}},
    {"bandwidth", {"bytes"}},
    {"warnings", {"code"}},
};

static const struct row_name *names_of(const char *list)
{
    for (size_t i = 0; list && i < sizeof(row_names) / sizeof(row_names[0]); i++)
        if (strcmp(row_names[i].list, list) == 0)
            return &row_names[i];
    return NULL;
}

uint64_t qm_compare_item_hash(const struct qm_node *item, const char *list, size_t index, uint64_t seed)
{
    const struct row_name *names = names_of(list);
    if (!names || !qm_node_is_mapping(item)) {
        char number[24];
        snprintf(number, sizeof(number), "%zu", index);
        return qm_compare_hash(seed, number);
    }
    for (size_t k = 0; k < ROW_KEYS_MAX && names->keys[k]; k++) {
        const char *word = qm_node_text(qm_node_child(item, names->keys[k]));
        seed = qm_compare_hash(seed, word ? word : "\n"); // a text has something in it
    }
    return seed;
}

// ---- Places -------------------------------------------------------------------------------------------------------

// Where the walk is. Texts are made of it only where there is a difference, for most places have none.
struct place {
    const struct place *above; // NULL: the root
    const char *key;           // of a mapping's entry; NULL: an item
    const struct qm_node *item;
    const struct row_name *names; // of the list that the item is in; NULL: its position
    size_t index;
};

static size_t append(char *text, size_t capacity, size_t used, const char *more, size_t most)
{
    size_t length = strnlen(more, most);
    if (used + 1 >= capacity)
        return used;
    if (length > capacity - used - 1)
        length = capacity - used - 1;
    memcpy(text + used, more, length);
    text[used + length] = '\0';
    return used + length;
}

// "prefill 1 512"; the position where nothing names it.
static size_t append_item(char *text, size_t capacity, size_t used, const struct place *place)
{
    size_t start = used;
    for (size_t k = 0; place->names && k < ROW_KEYS_MAX && place->names->keys[k]; k++) {
        const char *word = qm_node_text(qm_node_child(place->item, place->names->keys[k]));
        if (!word)
            continue;
        used = append(text, capacity, used, " ", used > start ? 1 : 0);
        used = append(text, capacity, used, word, 96);
    }
    if (place->names && qm_node_is_mapping(place->item))
        return used;
    char number[24];
    snprintf(number, sizeof(number), "%zu", place->index);
    return append(text, capacity, used, number, sizeof(number));
}

// The path; without `with_names` items are "[]", which is what rules are found by.
static size_t path_of(const struct place *place, bool with_names, char *text, size_t capacity)
{
    text[0] = '\0';
    if (!place || !place->above)
        return 0;
    size_t used = path_of(place->above, with_names, text, capacity);
    if (place->key) {
        used = append(text, capacity, used, ".", used > 0 ? 1 : 0);
        return append(text, capacity, used, place->key, 64);
    }
    used = append(text, capacity, used, "[", 1);
    if (with_names)
        used = append_item(text, capacity, used, place);
    return append(text, capacity, used, "]", 1);
}

// ---- Differences --------------------------------------------------------------------------------------------------

struct walk {
    struct qm_comparison *comparison;
    size_t capacity;
    struct qm_scheme_comparison *scheme; // that the walk is in; NULL: none
    size_t next_scheme;                  // among those of the comparison: where the next search begins
    bool failed;
};

static void describe(const struct qm_node *node, char *text, size_t capacity)
{
    if (!node)
        append(text, capacity, 0, "absent", 16);
    else if (qm_node_is_text(node))
        append(text, capacity, 0, qm_node_text(node), capacity);
    else
        snprintf(text, capacity, "%zu %s", qm_node_count(node), qm_node_is_mapping(node) ? "keys" : "entries");
}

// A scheme is judged by its own differences.
static void judge_scheme(struct qm_scheme_comparison *scheme, const struct qm_difference *difference)
{
    if (difference->class == QM_DIFFERENCE_FATAL && scheme->verdict != QM_NOT_COMPARABLE) {
        scheme->verdict = QM_NOT_COMPARABLE;
        scheme->why = difference->why;
    } else if (difference->class == QM_DIFFERENCE_NOTE && scheme->verdict == QM_COMPARABLE) {
        scheme->verdict = QM_COMPARABLE_WITH_NOTES;
        scheme->why = difference->why;
    }
}

static void add(struct walk *walk, const struct place *place, const struct qm_node *a, const struct qm_node *b,
                bool both_unknown)
{
    struct qm_comparison *comparison = walk->comparison;
    char path[sizeof(comparison->differences->path)];
    path_of(place, false, path, sizeof(path));
    struct qm_judgement judgement = qm_compare_judge(path);
    if (both_unknown) {
        if (judgement.class != QM_DIFFERENCE_FATAL)
            return;
        judgement.class = QM_DIFFERENCE_NOTE;
        judgement.why = "undisclosed on both sides: nobody can tell whether it is the same";
    }
    if (judgement.class == QM_DIFFERENCE_IGNORED || walk->failed)
        return;
    if (comparison->count == walk->capacity) {
        size_t capacity = walk->capacity ? walk->capacity * 2 : 64;
        struct qm_difference *grown = realloc(comparison->differences, capacity * sizeof(*grown));
        if (!grown) {
            walk->failed = true;
            return;
        }
        comparison->differences = grown;
        walk->capacity = capacity;
    }
    struct qm_difference *difference = &comparison->differences[comparison->count++];
    difference->class = judgement.class;
    difference->why = judgement.why;
    difference->component = judgement.component;
    path_of(place, true, difference->path, sizeof(difference->path));
    describe(a, difference->a, sizeof(difference->a));
    describe(b, difference->b, sizeof(difference->b));
    if (walk->scheme)
        judge_scheme(walk->scheme, difference);
    else if (strncmp(difference->path, "schemes[", 8) != 0 && difference->class == QM_DIFFERENCE_FATAL)
        comparison->pair = QM_NOT_COMPARABLE;
}

// Numbers are equal when they are the same number, however they were written.
static bool same_text(const struct qm_node *a, const struct qm_node *b)
{
    double left = 0;
    double right = 0;
    if (strcmp(qm_node_text(a), qm_node_text(b)) == 0)
        return true;
    return qm_node_is_number(a) && qm_node_is_number(b) && qm_node_read_double(a, &left) == QM_OK &&
           qm_node_read_double(b, &right) == QM_OK && left == right;
}

// ---- The walk -----------------------------------------------------------------------------------------------------

static void walk_nodes(struct walk *walk, const struct place *place, const struct qm_node *a, const struct qm_node *b);

static bool is_same_item(const struct row_name *names, const struct qm_node *a, const struct qm_node *b)
{
    if (!qm_node_is_mapping(a) || !qm_node_is_mapping(b))
        return false;
    for (size_t k = 0; k < ROW_KEYS_MAX && names->keys[k]; k++) {
        const char *left = qm_node_text(qm_node_child(a, names->keys[k]));
        const char *right = qm_node_text(qm_node_child(b, names->keys[k]));
        if (left != right && (!left || !right || strcmp(left, right) != 0))
            return false;
    }
    return true;
}

// What stands for an item in another list, most often at the same position; NULL if nothing does.
static const struct qm_node *find_item(const struct row_name *names, const struct qm_node *item, size_t index,
                                       const struct qm_node *list)
{
    const struct qm_node *beside = qm_node_at(list, index);
    if (!names || !qm_node_is_mapping(item) || is_same_item(names, item, beside))
        return beside;
    for (size_t i = 0; i < qm_node_count(list); i++)
        if (is_same_item(names, item, qm_node_at(list, i)))
            return qm_node_at(list, i);
    return NULL;
}

// From behind the one that was found last on: they come in much the same order.
static struct qm_scheme_comparison *scheme_of(struct walk *walk, const struct qm_node *item)
{
    struct qm_comparison *comparison = walk->comparison;
    for (size_t i = 0; i < comparison->scheme_count; i++) {
        size_t at = (walk->next_scheme + i) % comparison->scheme_count;
        if (comparison->schemes[at].a == item || comparison->schemes[at].b == item) {
            walk->next_scheme = at + 1;
            return &comparison->schemes[at];
        }
    }
    return NULL;
}

static void walk_item(struct walk *walk, const struct place *place, const struct qm_node *a, const struct qm_node *b)
{
    bool is_scheme = place->names == &row_names[0] && !place->above->above->above;
    if (is_scheme)
        walk->scheme = scheme_of(walk, a ? a : b);
    walk_nodes(walk, place, a, b);
    if (is_scheme)
        walk->scheme = NULL;
}

static void walk_lists(struct walk *walk, const struct place *place, const struct qm_node *a, const struct qm_node *b)
{
    const struct row_name *names = names_of(place->key);
    for (size_t i = 0; i < qm_node_count(a); i++) {
        const struct qm_node *item = qm_node_at(a, i);
        struct place below = {.above = place, .item = item, .names = names, .index = i};
        walk_item(walk, &below, item, find_item(names, item, i, b));
    }
    for (size_t i = 0; i < qm_node_count(b); i++) {
        const struct qm_node *item = qm_node_at(b, i);
        struct place below = {.above = place, .item = item, .names = names, .index = i};
        if (!find_item(names, item, i, a))
            walk_item(walk, &below, NULL, item);
    }
}

// Of a scheme that was not measured on one side there are no numbers to compare: what it is and why is all.
static bool is_moot(const char *key)
{
    static const char *const kept[] = {"name", "identity", "status", "reason"};
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (strcmp(kept[i], key) == 0)
            return false;
    return true;
}

static void walk_nodes(struct walk *walk, const struct place *place, const struct qm_node *a, const struct qm_node *b)
{
    if (!a || !b || qm_node_kind(a) != qm_node_kind(b)) {
        add(walk, place, a, b, false);
        return;
    }
    if (qm_node_is_text(a)) {
        if (!same_text(a, b))
            add(walk, place, a, b, false);
        else if (strcmp(qm_node_text(a), "undisclosed") == 0)
            add(walk, place, a, b, true);
        return;
    }
    if (qm_node_is_sequence(a)) {
        walk_lists(walk, place, a, b);
        return;
    }
    bool is_scheme = place->names == &row_names[0] && walk->scheme;
    bool skips = is_scheme && (!qm_result_row_is_ok(a) || !qm_result_row_is_ok(b));
    for (size_t i = 0; i < qm_node_count(a); i++) {
        const char *name = qm_node_key_at(a, i), *beside = qm_node_key_at(b, i);
        if (skips && is_moot(name))
            continue;
        struct place below = {.above = place, .key = name};
        bool is_beside = beside && strcmp(name, beside) == 0;
        walk_nodes(walk, &below, qm_node_at(a, i), is_beside ? qm_node_at(b, i) : qm_node_child(b, name));
    }
    for (size_t i = 0; i < qm_node_count(b); i++) {
        const char *name = qm_node_key_at(b, i), *beside = qm_node_key_at(a, i);
        struct place below = {.above = place, .key = name};
        if ((beside && strcmp(name, beside) == 0) || qm_node_child(a, name) || (skips && is_moot(name)))
            continue;
        add(walk, &below, NULL, qm_node_at(b, i), false);
    }
}

// ---- Schemes and verdicts -----------------------------------------------------------------------------------------

static void add_scheme(struct qm_comparison *out, const struct qm_node *a, const struct qm_node *b)
{
    struct qm_scheme_comparison *scheme = &out->schemes[out->scheme_count++];
    *scheme = (struct qm_scheme_comparison){.verdict = QM_COMPARABLE, .a = a, .b = b, .why = ""};
    append(scheme->name, sizeof(scheme->name), 0, qm_node_text_at(a ? a : b, "name", ""), sizeof(scheme->name));
    if (!a || !b) {
        scheme->verdict = QM_NOT_COMPARABLE;
        scheme->why = "measured on one side only";
    } else if (!qm_result_row_is_ok(a) || !qm_result_row_is_ok(b)) {
        scheme->verdict = QM_NOT_COMPARABLE;
        scheme->why =
            qm_result_row_is_ok(a) || qm_result_row_is_ok(b) ? "no speed on one side" : "no speed on either side";
    }
}

static bool list_schemes(struct qm_comparison *out, const struct qm_node *a, const struct qm_node *b)
{
    const struct qm_node *left = qm_node_child(a, "schemes"), *right = qm_node_child(b, "schemes");
    out->schemes = calloc(qm_node_count(left) + qm_node_count(right) + 1, sizeof(*out->schemes));
    if (!out->schemes)
        return false;
    for (size_t i = 0; i < qm_node_count(left); i++)
        add_scheme(out, qm_node_at(left, i), find_item(&row_names[0], qm_node_at(left, i), i, right));
    for (size_t i = 0; i < qm_node_count(right); i++)
        if (!find_item(&row_names[0], qm_node_at(right, i), i, left))
            add_scheme(out, NULL, qm_node_at(right, i));
    return true;
}

// A stable sort: differences of one class stay in the order of the file. By their places, for they are large.
static bool sort(struct qm_comparison *comparison)
{
    struct qm_difference *sorted = malloc((comparison->count + 1) * sizeof(*sorted));
    size_t count = 0;
    if (!sorted)
        return false;
    for (int class = QM_DIFFERENCE_FATAL; class > QM_DIFFERENCE_IGNORED; class --)
        for (size_t i = 0; i < comparison->count; i++)
            if ((int)comparison->differences[i].class == class)
                sorted[count++] = comparison->differences[i];
    free(comparison->differences);
    comparison->differences = sorted;
    return true;
}

static void give_verdicts(struct qm_comparison *out)
{
    size_t shared = 0, fatal = 0, comparable = 0;
    bool has_note = false;
    for (size_t i = 0; i < out->scheme_count; i++) {
        const struct qm_scheme_comparison *scheme = &out->schemes[i];
        shared += scheme->a && scheme->b;
        comparable += scheme->verdict != QM_NOT_COMPARABLE;
    }
    for (size_t i = 0; i < out->count; i++) {
        fatal += out->differences[i].class == QM_DIFFERENCE_FATAL;
        has_note = has_note || out->differences[i].class == QM_DIFFERENCE_NOTE;
    }
    out->verdict = shared == 0 || fatal > 0 ? QM_NOT_COMPARABLE : has_note ? QM_COMPARABLE_WITH_NOTES : QM_COMPARABLE;
    // Fatal within schemes alone: those that are left can be compared.
    if (out->pair == QM_NOT_COMPARABLE || shared == 0 || (fatal > 0 && comparable == 0))
        out->pair = QM_NOT_COMPARABLE;
    else
        out->pair = has_note || fatal > 0 ? QM_COMPARABLE_WITH_NOTES : QM_COMPARABLE;
    // What differs outside of schemes is one of each of them.
    for (size_t i = 0; i < out->count; i++)
        for (size_t k = 0; k < out->scheme_count && strncmp(out->differences[i].path, "schemes[", 8) != 0; k++)
            judge_scheme(&out->schemes[k], &out->differences[i]);
}

enum qm_status qm_compare(const struct qm_node *a, const struct qm_node *b, struct qm_comparison *out)
{
    struct walk walk = {.comparison = out};
    struct place root = {0};
    *out = (struct qm_comparison){0};
    if (list_schemes(out, a, b))
        walk_nodes(&walk, &root, a, b);
    if (!out->schemes || walk.failed || !sort(out)) {
        qm_comparison_free(out);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compare two results; close other programs and try again");
    }
    give_verdicts(out);
    enum qm_status status = qm_compare_add_rates(out);
    if (status != QM_OK)
        qm_comparison_free(out);
    return status;
}

void qm_comparison_free(struct qm_comparison *comparison)
{
    free(comparison->differences);
    free(comparison->schemes);
    free(comparison->rates);
    *comparison = (struct qm_comparison){0};
}

const char *qm_comparison_verdict_name(enum qm_comparison_verdict verdict)
{
    static const char *const names[] = {"comparable", "comparable with notes", "not comparable"};
    return names[verdict];
}

const char *qm_difference_class_name(enum qm_difference_class class)
{
    static const char *const names[] = {"ignored", "subject", "note", "fatal"};
    return names[class];
}
