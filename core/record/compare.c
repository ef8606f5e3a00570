#include "record/compare.h"
#include "record/node.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The first pattern that fits decides; where none does, the component of the trade (components.c). '*' is any run of characters but '.', "**" any run at all; "[*]" an item.
static const struct rule {
    const char *pattern;
    enum qm_difference_class class;
    const char *why;
} rules[] = {
#define FATAL QM_DIFFERENCE_FATAL
#define NOTE QM_DIFFERENCE_NOTE
#define SUBJECT QM_DIFFERENCE_SUBJECT
#define IGNORED QM_DIFFERENCE_IGNORED
    {"hash", IGNORED, "it is over all the rest"},
    {"schema", FATAL, "keys may mean something else in another format"},
    {"samples**", IGNORED, "raw samples of each run"},
    {"run.class", NOTE, "a custom run may have chosen what suits the device"},
    {"run.**", IGNORED, "each run has its own time"},
    {"qmark.version", NOTE, "another version may time otherwise; kernel hashes tell whether it computes otherwise"},
    {"qmark.source", NOTE, "another source may time otherwise; kernel hashes tell whether it computes otherwise"},
    {"qmark.compiler", NOTE, "it built the host's part of the run"},
    {"host.**", NOTE, "the host feeds the device, and is the device of a software driver"},
    {"device.self_test**", NOTE, "a device that failed a check of itself may be wrong elsewhere too"},
    {"device.timer", NOTE, "timers of another resolution or kind see other overheads"},
    {"device.**", SUBJECT, "the devices that are compared"},

    {"model.sha256", FATAL, "not the same model"},
    {"model.parameters", FATAL, "not the same model"},
    {"model.widen", FATAL, "not the same amount of work per token"},
    {"model.weights_on_device", IGNORED, "it follows from the model and its widening"},
    {"model.operations_per_token", IGNORED, "it follows from the model and its widening"},
    {"model.fit", IGNORED, "the width itself decides"},
    {"model.cache_resident", NOTE, "in a cache on one side only, so that memory bandwidth counts on the other only"},
    {"model.name", IGNORED, "a label; the hash decides"},
    {"model.variant", IGNORED, "the hash decides"},

    {"profile.schema", FATAL, "keys may mean something else in another format"},
    {"profile.name", IGNORED, "a label; its content decides"},
    {"profile.title", IGNORED, "a label"},
    {"profile.model", IGNORED, "the model's hash decides"},
    {"profile.evaluation.**", FATAL, "accuracy on another set is another number"},
    {"profile.calibration.**", NOTE, "scales may differ; the artifact's id tells where they do"},
    {"profile.schemes**", NOTE, "schemes of one side only are not compared"},
    {"profile.baseline", FATAL, "gains are over different schemes"},
    {"profile.prefill**", NOTE, "points of one side only are not compared"},
    {"profile.decode**", NOTE, "points of one side only are not compared"},
    {"profile.timing.protocol", FATAL, "interleaved and contiguous passes heat a device differently"},
    {"profile.timing.**", NOTE, "more passes give narrower intervals"},
    {"profile.policy.allow_smaller_batch", NOTE, "points tell the batch that was run"},
    {"profile.policy.**", FATAL, "launch overhead is in one rate and not in the other"},
    {"profile.tier", NOTE, "one side was held to the portable floor"},
    {"profile.tiles", FATAL, "tuned tiles show what a device can do, fixed ones what the kernels give as they are"},
    {"profile.widen", NOTE, "what was asked for; model.widen says how wide it was"},
    {"profile.bootstrap.confidence", NOTE, "intervals of another confidence have another width"},
    {"profile.bootstrap.**", NOTE, "intervals were drawn otherwise; their ends move a little"},
    {"profile.acceptance.**", NOTE, "verdicts are about different bounds"},

    {"schemes[*]", NOTE, "measured on one side only"},
    {"schemes[*].identity", FATAL, "one label for two schemes"},
    {"schemes[*].status", NOTE, "no speed on one side, for the reason given there"},
    {"schemes[*].reason", NOTE, "no speed on one side, for the reason given there"},
    {"schemes[*].artifact.layout", NOTE, "repacked for the device, at the device's advantage"},
    {"schemes[*].artifact**", FATAL, "not the same weights and scales"},
    {"schemes[*].disclosure.calibration_method.clipped_fraction", FATAL, "not the same scales"},
    {"schemes[*].disclosure.calibration_method.error_*", FATAL, "not the same codes"},
    {"schemes[*].disclosure.evaluation_set.name", NOTE, "a label; the hash decides"},
    {"schemes[*].disclosure.evaluation_set**", FATAL, "accuracy on another set is another number"},
    {"schemes[*].disclosure.tool_chain.kernel_hash", FATAL, "not the same arithmetic"},
    {"schemes[*].disclosure.tool_chain.tiles", FATAL,
     "tuned tiles show what a device can do, fixed ones what the "
     "kernels give as they are"},
    {"schemes[*].disclosure.tool_chain.timer", NOTE, "device time leaves out what wall time holds; compare wall rates"},
    {"schemes[*].disclosure.tool_chain.policy", FATAL, "launch overhead is in one rate and not in the other"},
    {"schemes[*].disclosure.tool_chain.build_options", NOTE, "options may change speed and the last bits of floats"},
    {"schemes[*].disclosure.tool_chain.driver", SUBJECT, "the drivers that are compared"},
    {"schemes[*].disclosure.tool_chain.loader", SUBJECT, "the way to the drivers that are compared"},
    {"schemes[*].disclosure.tool_chain.compiler", NOTE, "another compiler may give other code from one source"},
    {"schemes[*].disclosure.tool_chain.binary_hash", NOTE, "the code differs, though its source may not"},
    {"schemes[*].disclosure.tool_chain", FATAL, "what ran is told on one side only"},
    {"schemes[*].disclosure", FATAL, "what was measured is told on one side only"},
    {"schemes[*].accuracy.bootstrap.**", NOTE, "intervals were drawn otherwise"},
    {"schemes[*].accuracy.tokens", FATAL, "not the same tokens were scored"},
    {"schemes[*].accuracy.sequences", FATAL, "not the same tokens were scored"},
    {"schemes[*].accuracy.decode.tokens", NOTE, "not the same decode steps were scored"},
    {"schemes[*].accuracy.exact_match.examples", FATAL, "not the same examples were graded"},
    {"schemes[*].accuracy.exact_match.non_inferiority", NOTE, "judged on one side only"},
    {"schemes[*].accuracy.exact_match.non_inferiority[*]", NOTE, "a threshold of one side only"},
    {"schemes[*].accuracy.details", NOTE, "measured on one side only"},
    {"schemes[*].accuracy.details[*].reference", NOTE, "the fp32 reference itself differs"},
    {"schemes[*].accuracy.details[*].tokens", FATAL, "not the same tokens were scored"},
    {"schemes[*].accuracy.details[*]", NOTE, "a number of one side only"},
    {"schemes[*].accuracy.sets", FATAL, "several evaluation sets on one side only"},
    {"schemes[*].accuracy.sets.seeds[*]", FATAL, "an evaluation set of one side only"},
    {"schemes[*].accuracy.tasks[*].graded", FATAL, "not the same tasks are graded"},
    {"schemes[*].accuracy.tasks[*].examples", FATAL, "not the same examples"},
    {"schemes[*].accuracy.tasks[*]", FATAL, "a task of one side only"},
    {"schemes[*].accuracy.acceptance.criteria[*].bound", NOTE, "verdicts are about different bounds"},
    {"schemes[*].accuracy.acceptance.criteria[*]", NOTE, "a bound of one side only"},
    {"schemes[*].accuracy", NOTE, "accuracy was measured on one side only"},
    {"schemes[*].accuracy.perplexity.reference", NOTE, "the fp32 reference itself differs"},
    {"schemes[*].accuracy.backend_check.bound", NOTE, "wrong means something else"},
    {"schemes[*].widening.bound", NOTE, "wrong means something else"},
    {"schemes[*].widening**", SUBJECT, "how true each device is to the narrow model, and whether tiles gain there"},
    {"schemes[*].throughput[*].tier", NOTE, "other instructions: the tier is part of what a device can do"},
    {"schemes[*].throughput[*].widen", FATAL, "not the same amount of work per token"},
    {"schemes[*].throughput[*].protocol", FATAL, "interleaved and contiguous passes heat a device differently"},
    {"schemes[*].throughput[*].timer", NOTE, "device time leaves out what wall time holds; compare wall rates"},
    {"schemes[*].throughput[*].passes", NOTE, "more passes give narrower intervals"},
    {"schemes[*].throughput[*].batch_asked", NOTE, "the memory of one side was too small for the batch of the profile"},
    {"schemes[*].throughput[*]", NOTE, "a point of one side only"},
    {"schemes[*].gain[*].baseline", FATAL, "gains are over different schemes"},
    {"schemes[*].gain[*].batch_asked", NOTE, "the memory of one side was too small for the batch of the profile"},
    {"schemes[*].gain[*]", NOTE, "a gain of one side only"},
    {"schemes[*].sustained", NOTE, "sustained rates were measured on one side only"},
    {"schemes[*].memory**", SUBJECT, "the memory that is compared"},
    {"schemes[*].kernels[*].hash", NOTE,
     "the same arithmetic (tool_chain.kernel_hash decides) in another configuration: see tier and tile"},
    {"schemes[*].kernels[*].tier", NOTE, "other instructions: the tier is part of what a device can do"},
    {"schemes[*].kernels[*].tile", NOTE, "other tiles: the kernel is cut otherwise"},
    {"schemes[*].kernels[*].bound", NOTE, "wrong means something else"},
    {"schemes[*].kernels[*]", NOTE, "a kernel of one side only"},
    {"schemes[*].kernels**", SUBJECT, "the speed that is compared"},
#undef FATAL
#undef NOTE
#undef SUBJECT
#undef IGNORED
};

static const char unknown_field[] = "a field that this qmark does not know: it may matter";

// What names an item of a list, so that rows are matched wherever they stand. An item may lack some of the keys.
static const struct {
    const char *list;
    const char *keys[4];
} row_names[] = {
    {"schemes", {"name"}},
    {"throughput", {"phase", "batch", "prompt", "depth"}},
    {"gain", {"phase", "batch", "prompt", "depth"}},
    {"tasks", {"task", "difficulty"}},
    {"criteria", {"metric", "side"}},
    {"details", {"metric"}},
    {"non_inferiority", {"threshold"}},
    {"seeds", {"seed"}},
    {"kernels", {"name", "shape"}},
};

static bool fits(const char *pattern, const char *path)
{
    for (; *pattern; pattern++, path++) {
        bool any = pattern[0] == '*' && pattern[1] == '*';
        if (*pattern == '*') {
            const char *rest = pattern + (any ? 2 : 1);
            // Names of items may hold dots, so that within brackets only the end of the brackets stops a '*'.
            bool in_brackets = *rest == ']';
            for (;; path++) {
                if (fits(rest, path))
                    return true;
                if (!*path || (!any && *path == (in_brackets ? ']' : '.')))
                    return false;
            }
        }
        if (*pattern != *path)
            return false;
    }
    return !*path;
}

enum qm_difference_class qm_compare_rule(const char *path, const char **why)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (!fits(rules[i].pattern, path))
            continue;
        if (why)
            *why = rules[i].why;
        return rules[i].class;
    }
    const struct qm_component *component = qm_component_of_path(path);
    if (why)
        *why = component ? component->why_differs : unknown_field;
    return component ? component->difference : QM_DIFFERENCE_NOTE;
}

// The name of an item in its list: "prefill 1 512" as "[prefill 1 512]"; its position where nothing names it.
static void name_item(const struct qm_node *item, const char *list, size_t index, char *name, size_t capacity)
{
    snprintf(name, capacity, "%zu", index);
    for (size_t i = 0; list && i < sizeof(row_names) / sizeof(row_names[0]); i++) {
        if (strcmp(row_names[i].list, list) != 0 || !qm_node_is_mapping(item))
            continue;
        size_t used = 0;
        name[0] = '\0';
        for (size_t k = 0; k < 4 && row_names[i].keys[k]; k++) {
            const char *text = qm_node_text(qm_node_child(item, row_names[i].keys[k]));
            if (text && used < capacity)
                used += (size_t)snprintf(name + used, capacity - used, "%s%s", used ? " " : "", text);
        }
    }
}

struct walk {
    struct qm_comparison *comparison;
    size_t capacity;
    bool failed;
};

static void describe(const struct qm_node *node, char *text, size_t capacity)
{
    if (!node)
        snprintf(text, capacity, "absent");
    else if (qm_node_is_text(node))
        snprintf(text, capacity, "%s", qm_node_text(node));
    else
        snprintf(text, capacity, "%zu %s", qm_node_count(node), qm_node_is_mapping(node) ? "keys" : "entries");
}

static void add(struct walk *walk, const char *path, const struct qm_node *a, const struct qm_node *b,
                bool both_unknown)
{
    struct qm_comparison *comparison = walk->comparison;
    const char *why = NULL;
    enum qm_difference_class class = qm_compare_rule(path, &why);
    if (both_unknown) {
        if (class != QM_DIFFERENCE_FATAL)
            return;
        class = QM_DIFFERENCE_NOTE;
        why = "undisclosed on both sides: nobody can tell whether it is the same";
    }
    if (class == QM_DIFFERENCE_IGNORED || walk->failed)
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
    *difference = (struct qm_difference){.class = class, .why = why, .component = qm_component_of_path(path)};
    snprintf(difference->path, sizeof(difference->path), "%s", path);
    describe(a, difference->a, sizeof(difference->a));
    describe(b, difference->b, sizeof(difference->b));
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

static void walk_nodes(struct walk *walk, const char *path, const char *key, const struct qm_node *a,
                       const struct qm_node *b);

static const struct qm_node *find_item(const struct qm_node *list, const char *key, const char *name)
{
    char other[96];
    for (size_t i = 0; i < qm_node_count(list); i++) {
        name_item(qm_node_at(list, i), key, i, other, sizeof(other));
        if (strcmp(name, other) == 0)
            return qm_node_at(list, i);
    }
    return NULL;
}

static void walk_lists(struct walk *walk, const char *path, const char *key, const struct qm_node *a,
                       const struct qm_node *b)
{
    char name[96];
    char below[256];
    for (size_t i = 0; i < qm_node_count(a); i++) {
        name_item(qm_node_at(a, i), key, i, name, sizeof(name));
        snprintf(below, sizeof(below), "%.150s[%.96s]", path, name);
        walk_nodes(walk, below, NULL, qm_node_at(a, i), find_item(b, key, name));
    }
    for (size_t i = 0; i < qm_node_count(b); i++) {
        name_item(qm_node_at(b, i), key, i, name, sizeof(name));
        snprintf(below, sizeof(below), "%.150s[%.96s]", path, name);
        if (!find_item(a, key, name))
            walk_nodes(walk, below, NULL, NULL, qm_node_at(b, i));
    }
}

// Of a scheme that was not measured on one side there are no numbers to compare: what it is and why is all.
static bool is_moot(const struct qm_node *scheme, const struct qm_node *other, const char *key)
{
    static const char *const kept[] = {"name", "identity", "status", "reason"};
    if (strcmp(qm_node_text_at(scheme, "status", ""), "ok") == 0 &&
        strcmp(qm_node_text_at(other, "status", ""), "ok") == 0)
        return false;
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (strcmp(kept[i], key) == 0)
            return false;
    return true;
}

static void walk_nodes(struct walk *walk, const char *path, const char *key, const struct qm_node *a,
                       const struct qm_node *b)
{
    char below[256];
    bool is_scheme = strncmp(path, "schemes[", 8) == 0 && strchr(path, ']') && !strchr(path, ']')[1];
    if (!a || !b || qm_node_kind(a) != qm_node_kind(b)) {
        add(walk, path, a, b, false);
        return;
    }
    if (qm_node_is_text(a)) {
        if (!same_text(a, b))
            add(walk, path, a, b, false);
        else if (strcmp(qm_node_text(a), "undisclosed") == 0)
            add(walk, path, a, b, true);
        return;
    }
    if (qm_node_is_sequence(a)) {
        walk_lists(walk, path, key, a, b);
        return;
    }
    for (size_t i = 0; i < qm_node_count(a); i++) {
        const char *name = qm_node_key_at(a, i);
        if (is_scheme && is_moot(a, b, name))
            continue;
        snprintf(below, sizeof(below), "%.180s%s%.64s", path, *path ? "." : "", name);
        walk_nodes(walk, below, name, qm_node_at(a, i), qm_node_child(b, name));
    }
    for (size_t i = 0; i < qm_node_count(b); i++) {
        const char *name = qm_node_key_at(b, i);
        snprintf(below, sizeof(below), "%.180s%s%.64s", path, *path ? "." : "", name);
        if (!qm_node_child(a, name) && !(is_scheme && is_moot(a, b, name)))
            add(walk, below, NULL, qm_node_at(b, i), false);
    }
}

static bool share_a_scheme(const struct qm_node *a, const struct qm_node *b)
{
    const struct qm_node *schemes = qm_node_get(a, "schemes");
    const struct qm_node *others = qm_node_get(b, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        if (find_item(others, "schemes", qm_node_text_at(qm_node_at(schemes, i), "name", "")))
            return true;
    return false;
}

// A stable sort: differences of one class stay in the order of the file.
static void sort(struct qm_comparison *comparison, struct qm_difference *room)
{
    size_t count = 0;
    for (int class = QM_DIFFERENCE_FATAL; class > QM_DIFFERENCE_IGNORED; class --)
        for (size_t i = 0; i < comparison->count; i++)
            if ((int)comparison->differences[i].class == class)
                room[count++] = comparison->differences[i];
    memcpy(comparison->differences, room, count * sizeof(*room));
}

enum qm_status qm_compare(const struct qm_node *a, const struct qm_node *b, struct qm_comparison *out)
{
    struct walk walk = {.comparison = out};
    *out = (struct qm_comparison){0};
    walk_nodes(&walk, "", NULL, a, b);
    struct qm_difference *room = calloc(out->count + 1, sizeof(*room));
    if (walk.failed || !room) {
        free(room);
        qm_comparison_free(out);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compare two results; close other programs and try again");
    }
    if (out->count > 0)
        sort(out, room);
    free(room);
    if (!share_a_scheme(a, b))
        out->verdict = QM_NOT_COMPARABLE;
    for (size_t i = 0; i < out->count; i++) {
        if (out->differences[i].class == QM_DIFFERENCE_FATAL)
            out->verdict = QM_NOT_COMPARABLE;
        else if (out->differences[i].class == QM_DIFFERENCE_NOTE && out->verdict == QM_COMPARABLE)
            out->verdict = QM_COMPARABLE_WITH_NOTES;
    }
    return QM_OK;
}

void qm_comparison_free(struct qm_comparison *comparison)
{
    free(comparison->differences);
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
