#include "record/components.h"
#include "record/node.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FULL QM_KEY_FULL
#define GRADE (QM_KEY_FULL | QM_KEY_GRADE)
#define OR_NONE QM_KEY_NONE

const struct qm_component qm_components[QM_COMPONENT_COUNT] = {
    [QM_COMPONENT_PRECISION] =
        {.name = "precision",
         .title = "precision format",
         .text_key = "label",
         .follows =
             "nobody can tell what ran: one label stands for weights alone or all tensors, for any scale and sum",
         .in_result = {"disclosure.precision"},
         .difference = QM_DIFFERENCE_FATAL,
         .why_differs = "numbers are stored or computed in another format",
         .keys =
             {
                 {"weights.format", "format of weights", GRADE, "bytes read per weight are unknown"},
                 {"weights.storage", "encoding of weights", GRADE,
                  "variants of one name differ in range, zero point, rounding and saturation"},
                 {"weights.scales|weights.group_size", "scales of weights", GRADE | OR_NONE,
                  "a scale per row and one per 32 values lose several times more or less"},
                 {"activations.format", "format of activations", GRADE,
                  "the arithmetic may be float: then the gain is one of memory and ends at larger batches"},
                 {"activations.storage", "encoding of activations", GRADE | OR_NONE,
                  "variants of one name differ in range, rounding and saturation"},
                 {"activations.scales", "scales of activations", GRADE | OR_NONE,
                  "static scales are faster and lose more than dynamic ones"},
                 {"kv_cache.format", "format of the KV cache", GRADE | OR_NONE,
                  "at long contexts the cache decides speed and loss"},
                 {"kv_cache.storage", "encoding of the KV cache", GRADE | OR_NONE,
                  "variants of one name differ in range, rounding and saturation"},
                 {"kv_cache.scales", "scales of the KV cache", GRADE | OR_NONE,
                  "one scale per token and one per channel lose very differently"},
                 {"arithmetic", "type of products and sums", GRADE, "sums may overflow or round; speed depends on it"},
             }},
    [QM_COMPONENT_TENSORS] =
        {.name = "tensors",
         .title = "which tensors",
         .text_key = "statement",
         .follows = "what was left in float is open, and that is where a loss would have been",
         .in_result = {"disclosure.tensors"},
         .difference = QM_DIFFERENCE_FATAL,
         .why_differs = "not the same tensors are quantized",
         .keys =
             {
                 {"weights", "which weights", GRADE, "head, embedding or sensitive layers may have been left in float"},
                 {"activations", "which activations", GRADE | OR_NONE, "some products may run in float"},
                 {"kv_cache", "keys, values", GRADE | OR_NONE, "the cache may be in float"},
             }},
    [QM_COMPONENT_CALIBRATION_SET] =
        {.name = "calibration_set",
         .title = "calibration set",
         .text_key = "name",
         .none_is_answer = true,
         .follows = "scales may have been fitted to the text that was scored; on other text the loss is unknown",
         .in_result = {"disclosure.calibration_set"},
         .difference = QM_DIFFERENCE_FATAL,
         .why_differs = "scales come from another set",
         .keys =
             {
                 {"name", "name of the set", GRADE, "nobody can calibrate again"},
                 {"sha256", "hash of the set", GRADE, "which part of it was taken is open"},
                 {"sequences|samples", "number of sequences", GRADE, "a few sequences give scales that do not hold"},
                 {"tokens", "number of tokens", GRADE | OR_NONE, "the size of the set is open"},
             }},
    [QM_COMPONENT_CALIBRATION_METHOD] =
        {.name = "calibration_method",
         .title = "calibration method",
         .text_key = "name",
         .none_is_answer = true,
         .follows = "one format loses several times more or less by the method: the artifact cannot be made again",
         .in_result = {"disclosure.calibration_method"},
         .difference = QM_DIFFERENCE_FATAL,
         .why_differs = "scales were found by another method",
         .keys =
             {
                 {"name", "name of the method", GRADE, "the artifact cannot be made again"},
                 {"parameters", "parameters of the method", GRADE | OR_NONE, "the artifact cannot be made again"},
                 {"clipped_fraction", "clipped fraction", GRADE | OR_NONE, "how much was cut off is open"},
                 {"error_bound", "error bound per value", GRADE | OR_NONE, "no value can be checked against it"},
                 {"error_worst", "worst error seen", GRADE | OR_NONE, "whether the bound held is open"},
             }},
    [QM_COMPONENT_ACCURACY] =
        {.name = "accuracy",
         .title = "accuracy",
         .text_key = "statement",
         .follows = "the speed may have cost any amount of accuracy",
         .in_result = {"accuracy", "disclosure.evaluation_set"},
         .difference = QM_DIFFERENCE_SUBJECT,
         .why_differs = "the accuracy that is compared",
         .keys =
             {
                 {"metrics", "a number of accuracy", GRADE, "the speed may have cost any amount of accuracy"},
                 {"reference", "what accuracy is against", GRADE, "how much was lost cannot be told"},
                 {"evaluation_set.name", "evaluation set", GRADE, "nobody can score again"},
                 {"evaluation_set.sha256", "hash of the evaluation set", GRADE,
                  "whether it is the public set, and which part, is open"},
                 {"evaluation_set.sequences|evaluation_set.samples|evaluation_set.tokens", "size of the evaluation set",
                  GRADE, "how far chance goes cannot be told"},
                 {"confidence", "confidence of the intervals", GRADE, "the width of an interval means nothing"},
             }},
    [QM_COMPONENT_THROUGHPUT_GAIN] =
        {.name = "throughput_gain",
         .title = "throughput gain",
         .text_key = "statement",
         .follows = "how much of the speed comes from precision cannot be told",
         .in_result = {"gain", "throughput"},
         .difference = QM_DIFFERENCE_SUBJECT,
         .why_differs = "the speed that is compared",
         .keys =
             {
                 {"gains", "ratio over the baseline", GRADE, "how much of the speed comes from precision is open"},
                 {"rates", "a rate", 0, ""}, // tells something, and nothing of the gain
                 {"statistic", "statistic of the ratio", GRADE, "it may be the best of many"},
                 {"baseline.scheme", "precision of the baseline", GRADE, "faster than what is open"},
                 {"baseline.device", "device of the baseline", GRADE, "the gain may be one of the device"},
                 {"baseline.api", "API of the baseline", GRADE, "the gain may be one of software"},
                 {"baseline.model", "model of the baseline", GRADE, "the gain may be one of another model"},
                 {"baseline.protocol", "protocol of the baseline", GRADE, "the two may have been timed otherwise"},
             }},
    [QM_COMPONENT_SUSTAINED] =
        {.name = "sustained",
         .title = "sustained, not peak",
         .text_key = "statement",
         .follows = "it may be the rate of the first second, before clocks fall",
         .in_result = {"sustained"},
         .difference = QM_DIFFERENCE_SUBJECT,
         .why_differs = "the speed that is compared",
         .keys =
             {
                 {"window_s", "length of the window", GRADE, "it may be the rate of the first second"},
                 {"steady", "whether the rate was steady", GRADE, "it may still have been falling"},
                 {"rate", "rate in the window", GRADE, "only a burst is told"},
                 {"latency_ms.p50", "median latency", GRADE, "how long one answer takes is open"},
                 {"latency_ms.p95", "95th percentile of latency", FULL, "slow answers are not told"},
                 {"latency_ms.p99", "99th percentile of latency", FULL, "the slowest answers are not told"},
                 {"burst_rate", "burst rate", FULL, "how far the rate falls from its start is open"},
                 {"throttling", "throttling seen", FULL, "whether clocks fell is open"},
             }},
    [QM_COMPONENT_TOOL_CHAIN] =
        {.name = "tool_chain",
         .title = "tool chain",
         .text_key = "statement",
         .follows = "a difference may come from kernels, compiler or driver and not from precision",
         .in_result = {"disclosure.tool_chain"},
         .difference = QM_DIFFERENCE_NOTE,
         .why_differs = "what ran was made or started otherwise",
         .keys =
             {
                 {"kernel_hash|kernel_source|binary_hash", "which kernels", GRADE,
                  "what was timed cannot be run again"},
                 {"tiles", "tiles fixed or tuned", GRADE, "kernels may be tuned for this model on this device alone"},
                 {"compiler", "compiler of the kernels", GRADE, "another compiler gives another speed"},
                 {"build_options", "its options", GRADE | OR_NONE, "options may trade accuracy for speed"},
                 {"driver", "driver", GRADE, "another driver gives another speed"},
                 {"loader", "loader or runtime", GRADE | OR_NONE, "a layer between may add or hide time"},
                 {"timer", "clock of the rates", GRADE, "device time leaves out what wall time holds"},
                 {"policy", "how work is submitted", GRADE, "launch overhead may be in the rate or not"},
             }},
    [QM_COMPONENT_ACCEPTANCE] = {.name = "acceptance",
                                 .title = "acceptance",
                                 .text_key = "statement",
                                 .follows =
                                     "what loss was allowed is open: any number can be called no loss afterwards",
                                 .in_result = {"accuracy.acceptance"},
                                 .difference = QM_DIFFERENCE_SUBJECT,
                                 .why_differs = "the verdict that is compared",
                                 .keys =
                                     {
                                         {"criteria", "bounds", GRADE, "any number can be called no loss afterwards"},
                                         {"verdict", "verdict", GRADE, "whether the bounds hold is not said"},
                                     }},
};

const struct qm_component qm_component_file = {
    .name = "subject",
    .title = "model's files",
    .text_key = "model",
    .follows = "where they come from is open",
    .keys = {
        {"model", "name of the model", FULL, "nobody can tell what it is"},
        {"container", "kind of files", 0, ""}, // tells something, and is not asked for
        {"quantized_by", "who quantized it", FULL, "nobody can be asked"},
        {"program", "program that quantized, with version", FULL,
         "rounding and search differ from version to version: the files cannot be made again"},
        {"source_model", "model that it was made from", FULL, "there is nothing to measure its loss against"},
        {"source_sha256|source_revision", "hash or revision of that model", FULL,
         "it may have been made from another one of that name"},
        {"licence", "licence", FULL, "whether it may be used and passed on is open"},
    }};

// How far `path` reaches into `whole`: its length if it is `whole` or holds it, else 0.
static size_t held_by(const char *path, const char *whole)
{
    size_t length = strlen(path);
    return strncmp(path, whole, length) == 0 && strchr(".[", whole[length]) ? length : 0;
}

const struct qm_component *qm_component_of_path(const char *path)
{
    static const char start[] = "schemes[";
    const struct qm_component *found = NULL;
    size_t longest = 0;
    const char *below = strstr(path, "].");
    if (strncmp(path, start, sizeof(start) - 1) != 0 || !below)
        return NULL;
    below += 2;
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        for (size_t k = 0; qm_components[i].in_result[k]; k++) {
            size_t length = held_by(qm_components[i].in_result[k], below);
            if (length > longest) {
                longest = length;
                found = &qm_components[i];
            }
        }
    }
    return found;
}

bool qm_component_is_silent(const char *text)
{
    static const char *const words[] = {"",
                                        "undisclosed",
                                        "not measured",
                                        "not stated",
                                        "not disclosed",
                                        "no interval",
                                        "out of range",
                                        "absent",
                                        "unknown",
                                        "n/a",
                                        "na",
                                        "tbd",
                                        "-",
                                        "?",
                                        "proprietary",
                                        "confidential",
                                        "null",
                                        "~",
                                        "secret"};
    if (!text)
        return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

static bool is_none(const char *text)
{
    return text && strcasecmp(text, "none") == 0;
}

static bool is_told(const struct qm_node *node, int flags)
{
    if (!qm_node_is_text(node))
        return qm_node_count(node) > 0;
    const char *text = qm_node_text(node);
    return !qm_component_is_silent(text) && (!is_none(text) || (flags & QM_KEY_NONE));
}

// Follows one path of keys between dots, as far as `length` goes.
static bool tells_path(const struct qm_component *component, const char *path, size_t length, int flags,
                       const struct qm_node *node)
{
    const char *text_key = component->text_key;
    for (bool is_top = true;; is_top = false) {
        char key[64];
        size_t part = strcspn(path, ".|");
        if (part > length || part >= sizeof(key))
            return false;
        if (qm_node_is_text(node)) {
            // A text in place of a mapping: all that it can tell is one key, or that there is no such thing.
            const char *text = qm_node_text(node);
            if (is_none(text))
                return is_top ? component->none_is_answer : (flags & QM_KEY_NONE) != 0;
            return !qm_component_is_silent(text) && strlen(text_key) == length && strncmp(path, text_key, length) == 0;
        }
        snprintf(key, sizeof(key), "%.*s", (int)part, path);
        node = qm_node_child(node, key);
        if (!node)
            return false;
        if (part == length)
            return is_told(node, flags);
        path += part + 1;
        length -= part + 1;
        // A set is known by its name, a tensor by its format, a baseline by its scheme.
        text_key = strcmp(key, "evaluation_set") == 0 ? "name" : strcmp(key, "baseline") == 0 ? "scheme" : "format";
    }
}

bool qm_component_tells(const struct qm_component *component, const struct qm_component_key *key,
                        const struct qm_node *value)
{
    if (!value)
        return false;
    for (const char *path = key->path;;) {
        size_t length = strcspn(path, "|");
        if (tells_path(component, path, length, key->flags, value))
            return true;
        if (!path[length])
            return false;
        path += length + 1;
    }
}
