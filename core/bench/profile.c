#include "bench/profile_internal.h"
#include "record/node.h"
#include "record/suggest.h"
#include "score/details.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_TOKENS_MAX 512 // of the built-in sets
#define USERS_WINDOW_TOKENS_MAX (1 << 20)
#define SEED_MAX UINT64_MAX
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// Every whole number of a profile but those in lists: where it stands, where it goes, what it may be.
struct number {
    const char *section; // "" is the top
    const char *key;
    size_t offset;
    bool is_wide; // uint64_t, else uint32_t
    uint64_t low;
    uint64_t high;
};

#define U32(section, key, member, low, high)                                                                           \
    {                                                                                                                  \
        section, key, offsetof(struct qm_profile, member), false, low, high                                            \
    }
#define U64(section, key, member, low, high)                                                                           \
    {                                                                                                                  \
        section, key, offsetof(struct qm_profile, member), true, low, high                                             \
    }

static const struct number numbers[] = {
    U32("timing", "warmup", warmup, 0, 1000),
    U32("timing", "repeats", repeats, 3, 100000),
    U64("timing", "order_seed", order_seed, 0, SEED_MAX),
    U32("policy", "dispatches_per_submission", dispatches_per_submission, 0, 100000),
    U32("policy", "submission_ms", submission_ms, 1, 200),
    U64("bootstrap", "seed", bootstrap.seed, 0, SEED_MAX),
    U32("bootstrap", "resamples", bootstrap.resamples, 99, 1000000),
};

// What each section may hold; all of it is required but where the reader says otherwise.
struct section {
    const char *name;
    const char *keys[26];
};

static const struct section sections[] = {
    {"", {"schema",      "name",    "title",  "extends", "model",     "schemes",    "baseline",   "evaluation",
          "calibration", "prefill", "decode", "timing",  "sustained", "latency",    "caches",     "gate",
          "policy",      "tier",    "tiles",  "widen",   "bootstrap", "acceptance", "deployment", "fusions"}},
    {"evaluation",
     {"set", "seed", "windows", "window_tokens", "scored_tokens", "sets", "sha256", "file_windows",
      "file_window_tokens", "stride", "compat"}},
    {"calibration", {"set", "seed", "windows", "window_tokens", "sha256"}},
    {"timing", {"protocol", "warmup", "repeats", "precision", "seconds", "order_seed"}},
    {"sustained", {"phase", "seconds", "cool_down_s", "temperature_most_c"}},
    {"latency", {"p99_ms"}},
    {"caches", {"last_level_bytes"}},
    {"gate", {"false_alarm", "minimum_effect", "tolerance", "seconds", "openings"}},
    {"policy", {"dispatches_per_submission", "submission_ms", "allow_smaller_batch"}},
    {"bootstrap", {"seed", "resamples", "confidence"}},
    {"acceptance", {"at_most", "at_least"}},
    {"prefill", {"batch", "prompt"}},
    {"decode", {"batch", "depth", "steps"}},
};

static const char *const tier_names[] = {"base", "texel", "f16", "dot", "subgroup", "matrix", "best"};
static const char *const bool_names[] = {"false", "true"};
static const char *const fusion_names[] = {"on", "off"};
static const char *const tile_names[] = {"fixed", "tuned"};
static const char *const set_names[] = {"built-in", "built-in-evaluation", "text", "examples"}; // enum qm_set_kind
static const char *const compat_names[] = {"none", "llama-perplexity"};
static const char *const model_names[] = {"built-in", "built-in-outliers"}; // enum qm_profile_model
static const char *const protocol_names[] = {"paired"};

static const char *where(const char *section)
{
    return *section ? section : "the profile";
}

static enum qm_status check_keys(const struct qm_node *mapping, const char *name)
{
    const struct section *section = sections;
    while (strcmp(section->name, name) != 0)
        section++;
    size_t count = 0;
    while (count < COUNT(section->keys) && section->keys[count])
        count++;
    for (size_t i = 0; i < qm_node_count(mapping); i++) {
        const struct qm_node *child = qm_node_at(mapping, i);
        const char *key = qm_node_key(child);
        size_t k = 0;
        while (k < count && strcmp(section->keys[k], key) != 0)
            k++;
        if (k < count)
            continue;
        const char *near = qm_suggest(key, section->keys, count);
        if (near)
            return qm_node_invalid(child, "unknown key '%.60s' in %s; did you mean '%s'?", key, where(name), near);
        char list[512] = "";
        for (k = 0; k < count; k++)
            snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", k ? ", " : "", section->keys[k]);
        return qm_node_invalid(child, "unknown key '%.60s' in %s; expected one of %s", key, where(name), list);
    }
    return QM_OK;
}

enum qm_status qm_profile_require(const struct qm_node *mapping, const char *section, const char *key,
                                  const struct qm_node **out)
{
    *out = qm_node_child(mapping, key);
    if (!*out)
        return qm_node_invalid(mapping, "key '%s' is missing in %s; add it, as in profiles/quick.yaml", key,
                               where(section));
    return QM_OK;
}

enum qm_status qm_profile_require_mapping(const struct qm_node *root, const char *key, const struct qm_node **out)
{
    QM_TRY(qm_profile_require(root, "", key, out));
    if (!qm_node_is_mapping(*out))
        return qm_node_invalid(*out, "'%s' is no mapping; expected keys with values below it", key);
    return check_keys(*out, key);
}

static enum qm_status require_list(const struct qm_node *root, const char *key, size_t low, size_t high,
                                   const struct qm_node **out)
{
    QM_TRY(qm_profile_require(root, "", key, out));
    if (!qm_node_is_sequence(*out))
        return qm_node_invalid(*out, "'%s' is no list; expected [...] or lines that begin with '- '", key);
    if (qm_node_count(*out) < low || qm_node_count(*out) > high)
        return qm_node_invalid(*out, "'%s' has %zu entries; expected %zu to %zu", key, qm_node_count(*out), low, high);
    return QM_OK;
}

static enum qm_status read_number(const struct qm_node *mapping, const char *section, const char *key, uint64_t low,
                                  uint64_t high, uint64_t *out)
{
    const struct qm_node *node = NULL;
    QM_TRY(qm_profile_require(mapping, section, key, &node));
    QM_TRY(qm_node_read_u64(node, out));
    if (*out < low || *out > high)
        return qm_node_invalid(node, "'%s' is %" PRIu64 "; expected %" PRIu64 " to %" PRIu64, key, *out, low, high);
    return QM_OK;
}

static enum qm_status read_u32(const struct qm_node *mapping, const char *section, const char *key, uint32_t low,
                               uint32_t high, uint32_t *out)
{
    uint64_t wide = 0;
    *out = 0;
    QM_TRY(read_number(mapping, section, key, low, high, &wide));
    *out = (uint32_t)wide;
    return QM_OK;
}

enum qm_status qm_profile_read_choice(const struct qm_node *mapping, const char *section, const char *key,
                                      const char *const *choices, size_t count, size_t *out)
{
    const struct qm_node *node = NULL;
    char list[128] = "";
    *out = 0;
    QM_TRY(qm_profile_require(mapping, section, key, &node));
    const char *text = qm_node_text(node);
    for (size_t i = 0; i < count; i++) {
        if (text && strcmp(text, choices[i]) == 0) {
            *out = i;
            return QM_OK;
        }
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? " or " : "", choices[i]);
    }
    return qm_node_invalid(node, "'%s' is '%.40s'; expected %s", key, text ? text : "no text", list);
}

static enum qm_status read_name(const struct qm_node *root, struct qm_profile *profile)
{
    const struct qm_node *node = NULL;
    QM_TRY(qm_profile_require(root, "", "name", &node));
    const char *text = qm_node_text(node);
    size_t length = text ? strlen(text) : 0;
    if (length == 0 || length >= sizeof(profile->name) ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != length)
        return qm_node_invalid(node, "'name' must be 1 to %d letters, digits, '-', '_' or '.'",
                               QM_PROFILE_NAME_BYTES - 1);
    memcpy(profile->name, text, length + 1);
    node = qm_node_child(root, "title");
    if (!node)
        return QM_OK;
    text = qm_node_text(node);
    if (!text || strlen(text) >= sizeof(profile->title))
        return qm_node_invalid(node, "'title' must be a text below %d bytes", QM_PROFILE_TITLE_BYTES);
    snprintf(profile->title, sizeof(profile->title), "%s", text);
    return QM_OK;
}

static enum qm_status read_scheme(const struct qm_node *node, const char *key, struct qm_scheme *out)
{
    if (!qm_node_is_text(node))
        return qm_node_invalid(node, "'%s' holds something that is no name; expected schemes such as w8a8", key);
    if (qm_scheme_parse(qm_node_text(node), out) != QM_OK) {
        char text[512];
        snprintf(text, sizeof(text), "%s", qm_error_text());
        return qm_node_invalid(node, "%s", text);
    }
    return QM_OK;
}

static enum qm_status read_schemes(const struct qm_node *root, struct qm_profile *profile)
{
    const struct qm_node *list = NULL;
    const struct qm_node *node = NULL;
    struct qm_scheme baseline;
    QM_TRY(require_list(root, "schemes", 1, QM_PROFILE_SCHEMES_MAX, &list));
    for (size_t i = 0; i < qm_node_count(list); i++) {
        struct qm_scheme *scheme = &profile->schemes[i];
        QM_TRY(read_scheme(qm_node_at(list, i), "schemes", scheme));
        for (size_t j = 0; j < i; j++)
            if (qm_scheme_equal(scheme, &profile->schemes[j]))
                return qm_node_invalid(qm_node_at(list, i), "scheme '%s' stands in the list already; remove one",
                                       scheme->name);
        profile->scheme_count = i + 1;
    }
    QM_TRY(qm_profile_require(root, "", "baseline", &node));
    QM_TRY(read_scheme(node, "baseline", &baseline));
    for (size_t i = 0; i < profile->scheme_count; i++)
        if (qm_scheme_equal(&baseline, &profile->schemes[i])) {
            profile->baseline = i;
            return QM_OK;
        }
    return qm_node_invalid(node, "baseline '%s' is not in 'schemes'; add it there", baseline.name);
}

static enum qm_status read_points(const struct qm_node *root, struct qm_profile *profile)
{
    const struct qm_node *list = NULL;
    QM_TRY(require_list(root, "prefill", 1, QM_PROFILE_POINTS_MAX, &list));
    for (size_t i = 0; i < qm_node_count(list); i++) {
        const struct qm_node *node = qm_node_at(list, i);
        struct qm_profile_prefill *point = &profile->prefill[i];
        if (!qm_node_is_mapping(node))
            return qm_node_invalid(node, "a point of 'prefill' is no mapping; expected {batch: 1, prompt: 512}");
        QM_TRY(check_keys(node, "prefill"));
        QM_TRY(read_u32(node, "prefill", "batch", 1, 4096, &point->batch));
        QM_TRY(read_u32(node, "prefill", "prompt", 1, 131072, &point->prompt));
        for (size_t j = 0; j < i; j++)
            if (profile->prefill[j].batch == point->batch && profile->prefill[j].prompt == point->prompt)
                return qm_node_invalid(node, "this point stands in 'prefill' already; remove one");
        profile->prefill_count = i + 1;
    }
    QM_TRY(require_list(root, "decode", 1, QM_PROFILE_POINTS_MAX, &list));
    for (size_t i = 0; i < qm_node_count(list); i++) {
        const struct qm_node *node = qm_node_at(list, i);
        struct qm_profile_decode *point = &profile->decode[i];
        if (!qm_node_is_mapping(node))
            return qm_node_invalid(node,
                                   "a point of 'decode' is no mapping; expected {batch: 1, depth: 64, steps: 32}");
        QM_TRY(check_keys(node, "decode"));
        QM_TRY(read_u32(node, "decode", "batch", 1, 4096, &point->batch));
        QM_TRY(read_u32(node, "decode", "depth", 0, 131072, &point->depth));
        QM_TRY(read_u32(node, "decode", "steps", 1, 65536, &point->steps));
        for (size_t j = 0; j < i; j++)
            if (profile->decode[j].batch == point->batch && profile->decode[j].depth == point->depth)
                return qm_node_invalid(node, "this batch and depth stand in 'decode' already; remove one");
        profile->decode_count = i + 1;
    }
    return QM_OK;
}

static enum qm_status read_numbers(const struct qm_node *root, struct qm_profile *profile)
{
    for (size_t i = 0; i < COUNT(numbers); i++) {
        const struct number *row = &numbers[i];
        const struct qm_node *mapping = root;
        uint64_t value = 0;
        if (*row->section)
            QM_TRY(qm_profile_require_mapping(root, row->section, &mapping));
        QM_TRY(read_number(mapping, row->section, row->key, row->low, row->high, &value));
        char *target = (char *)profile + row->offset;
        uint32_t narrow = (uint32_t)value;
        if (row->is_wide)
            memcpy(target, &value, sizeof(value));
        else
            memcpy(target, &narrow, sizeof(narrow));
    }
    return QM_OK;
}

static enum qm_status read_widen(const struct qm_node *root, struct qm_profile *profile)
{
    const struct qm_node *node = NULL;
    QM_TRY(qm_profile_require(root, "", "widen", &node));
    profile->widen = 1;
    profile->is_fit = qm_node_text(node) && strcmp(qm_node_text(node), "fit") == 0;
    if (profile->is_fit)
        return QM_OK;
    QM_TRY(read_u32(root, "", "widen", 1, QM_PROFILE_WIDEN_MAX, &profile->widen));
    if ((profile->widen & (profile->widen - 1)) != 0)
        return qm_node_invalid(node, "'widen' is %" PRIu32 "; expected a power of two, or fit", profile->widen);
    return QM_OK;
}

static enum qm_status read_choices(const struct qm_node *root, struct qm_profile *profile)
{
    const struct qm_node *mapping = NULL;
    size_t choice = 0;
    if (qm_node_child(root, "model"))
        QM_TRY(qm_profile_read_choice(root, "", "model", model_names, COUNT(model_names), &choice));
    profile->model = (enum qm_profile_model)choice;
    QM_TRY(qm_profile_require_mapping(root, "timing", &mapping));
    QM_TRY(qm_profile_read_choice(mapping, "timing", "protocol", protocol_names, COUNT(protocol_names), &choice));
    QM_TRY(qm_profile_require_mapping(root, "policy", &mapping));
    QM_TRY(qm_profile_read_choice(mapping, "policy", "allow_smaller_batch", bool_names, COUNT(bool_names), &choice));
    profile->allows_smaller_batch = choice == 1;
    QM_TRY(qm_profile_read_choice(root, "", "tier", tier_names, COUNT(tier_names), &choice));
    profile->tier = (enum qm_profile_tier)choice;
    QM_TRY(qm_profile_read_choice(root, "", "tiles", tile_names, COUNT(tile_names), &choice));
    profile->is_tuned = choice == 1;
    choice = 0;
    if (qm_node_child(root, "fusions"))
        QM_TRY(qm_profile_read_choice(root, "", "fusions", fusion_names, COUNT(fusion_names), &choice));
    profile->is_unfused = choice == 1;
    const struct qm_node *node = NULL;
    QM_TRY(read_widen(root, profile));
    QM_TRY(qm_profile_require_mapping(root, "bootstrap", &mapping));
    QM_TRY(qm_profile_require(mapping, "bootstrap", "confidence", &node));
    double confidence = 0;
    QM_TRY(qm_node_read_double(node, &confidence));
    // Compared as permille: these three are what the bootstrap offers.
    profile->bootstrap.confidence_permille = confidence == 0.9    ? 900
                                             : confidence == 0.95 ? 950
                                             : confidence == 0.99 ? 990
                                                                  : 0;
    if (profile->bootstrap.confidence_permille == 0)
        return qm_node_invalid(node, "'confidence' is %.20s; expected 0.9, 0.95 or 0.99", qm_node_text(node));
    if (qm_bootstrap_check(&profile->bootstrap) != QM_OK) {
        char text[512];
        snprintf(text, sizeof(text), "%s", qm_error_text());
        return qm_node_invalid(mapping, "%s", text);
    }
    return QM_OK;
}

bool qm_profile_set_is_users(const struct qm_profile_set *set)
{
    return set->kind == QM_SET_TEXT || set->kind == QM_SET_EXAMPLES;
}

// Optional: one set goes without saying, as it always did.
static enum qm_status read_seeds(const struct qm_node *mapping, const char *section, struct qm_profile_set *set)
{
    const struct qm_node *node = qm_node_child(mapping, "sets");
    QM_TRY(read_number(mapping, section, "seed", 0, SEED_MAX, &set->seed));
    if (!node)
        return QM_OK;
    QM_TRY(read_u32(mapping, section, "sets", 1, QM_DETAILS_SETS_MAX, &set->sets));
    if (set->windows % set->sets)
        return qm_node_invalid(node,
                               "'sets' is %" PRIu32 " and there are %" PRIu32 " windows; expected as many in each",
                               set->sets, set->windows);
    return QM_OK;
}

// What only sets that a user brings have.
static enum qm_status read_users(const struct qm_node *mapping, const char *section, bool is_scored,
                                 struct qm_profile_set *set)
{
    const struct qm_node *node = NULL;
    size_t choice = 0;
    QM_TRY(qm_profile_require(mapping, section, "sha256", &node));
    const char *text = qm_node_text(node);
    if (!text || (strcmp(text, "none") != 0 &&
                  (strlen(text) != QM_HASH_TEXT_BYTES - 1 || strspn(text, "0123456789abcdef") != strlen(text))))
        return qm_node_invalid(node, "'sha256' is %.80s; expected 64 hexadecimal digits, or none",
                               text ? text : "no text");
    snprintf(set->sha256, sizeof(set->sha256), "%s", strcmp(text, "none") == 0 ? "" : text);
    if (is_scored && qm_node_child(mapping, "file_windows"))
        QM_TRY(read_u32(mapping, section, "file_windows", 1, set->windows, &set->file_windows));
    if (set->kind != QM_SET_TEXT || !is_scored)
        return QM_OK;
    if (qm_node_child(mapping, "file_window_tokens"))
        QM_TRY(read_u32(mapping, section, "file_window_tokens", 1, set->window_tokens, &set->file_window_tokens));
    QM_TRY(read_u32(mapping, section, "stride", 0, USERS_WINDOW_TOKENS_MAX, &set->stride));
    QM_TRY(qm_profile_read_choice(mapping, section, "compat", compat_names, COUNT(compat_names), &choice));
    set->is_compatible = choice == 1;
    return QM_OK;
}

static enum qm_status read_set(const struct qm_node *root, const char *section, bool is_scored,
                               struct qm_profile_set *set)
{
    const struct qm_node *mapping = NULL;
    size_t choice = 0;
    QM_TRY(qm_profile_require_mapping(root, section, &mapping));
    QM_TRY(qm_profile_read_choice(mapping, section, "set", set_names, COUNT(set_names), &choice));
    set->kind = (enum qm_set_kind)choice;
    set->sets = 1;
    if (set->kind == QM_SET_OF_EVALUATION && is_scored)
        return qm_node_invalid(qm_node_child(mapping, "set"),
                               "'set' is built-in-evaluation, which is for calibration; expected built-in");
    bool is_users = qm_profile_set_is_users(set);
    QM_TRY(read_u32(mapping, section, "windows", 1, 100000, &set->windows));
    QM_TRY(read_u32(mapping, section, "window_tokens", is_users ? 1 : 16,
                    is_users ? USERS_WINDOW_TOKENS_MAX : WINDOW_TOKENS_MAX, &set->window_tokens));
    if (is_scored)
        QM_TRY(read_u32(mapping, section, "scored_tokens", 1, 50000000, &set->scored_tokens));
    QM_TRY(is_users ? read_users(mapping, section, is_scored, set) : read_seeds(mapping, section, set));
    if ((uint64_t)set->windows * set->window_tokens < set->scored_tokens)
        return qm_node_invalid(qm_node_child(mapping, "scored_tokens"),
                               "'scored_tokens' is %" PRIu32 " and the windows hold %" PRIu64
                               " tokens; expected more windows",
                               set->scored_tokens, (uint64_t)set->windows * set->window_tokens);
    return QM_OK;
}

static enum qm_status read_criteria(const struct qm_node *root, struct qm_profile *profile)
{
    static const char *const sides[] = {"at_most", "at_least"};
    const struct qm_node *acceptance = NULL;
    QM_TRY(qm_profile_require_mapping(root, "acceptance", &acceptance));
    for (size_t s = 0; s < COUNT(sides); s++) {
        const struct qm_node *bounds = qm_node_child(acceptance, sides[s]);
        if (bounds && !qm_node_is_mapping(bounds))
            return qm_node_invalid(bounds,
                                   "'%s' is no mapping; expected metrics with bounds, such as "
                                   "{kl_divergence_mean: 0.05}",
                                   sides[s]);
        for (size_t i = 0; i < qm_node_count(bounds); i++) {
            const struct qm_node *node = qm_node_at(bounds, i);
            struct qm_criterion criterion = {.side = s == 0 ? QM_BOUND_UPPER : QM_BOUND_LOWER};
            if (profile->criterion_count == QM_PROFILE_CRITERIA_MAX)
                return qm_node_invalid(node, "more than %d bounds; expected fewer", QM_PROFILE_CRITERIA_MAX);
            if (qm_metric_find(qm_node_key(node), &criterion.metric) != QM_OK) {
                char text[512];
                snprintf(text, sizeof(text), "%s", qm_error_text());
                return qm_node_invalid(node, "%s", text);
            }
            QM_TRY(qm_node_read_double(node, &criterion.bound));
            if (criterion.bound < 0)
                return qm_node_invalid(node, "'%s' is below 0; expected a bound of 0 or more", qm_node_key(node));
            profile->criteria[profile->criterion_count++] = criterion;
        }
    }
    if (profile->criterion_count == 0)
        return qm_node_invalid(acceptance, "no bound is stated; expected at_most or at_least with a metric, such as "
                                           "at_most: {kl_divergence_mean: 0.05}");
    return QM_OK;
}

static enum qm_status read_tree(const struct qm_node *root, struct qm_profile *profile)
{
    uint64_t schema = 0;
    const struct qm_node *node = NULL;
    if (!qm_node_is_mapping(root))
        return qm_node_invalid(root, "no mapping; expected a profile such as profiles/quick.yaml");
    QM_TRY(qm_profile_require(root, "", "schema", &node)); // first: what follows is about this schema
    QM_TRY(qm_node_read_u64(node, &schema));
    if (schema != QM_PROFILE_SCHEMA)
        return qm_node_invalid(node, "'schema' is %" PRIu64 "; this qmark reads %d", schema, QM_PROFILE_SCHEMA);
    QM_TRY(check_keys(root, ""));
    if (qm_node_child(root, "extends"))
        return qm_node_invalid(qm_node_child(root, "extends"), "'extends' of a profile that is extended itself; "
                                                               "expected one level only");
    QM_TRY(read_name(root, profile));
    QM_TRY(read_schemes(root, profile));
    QM_TRY(read_points(root, profile));
    QM_TRY(read_numbers(root, profile));
    QM_TRY(read_choices(root, profile));
    QM_TRY(qm_profile_read_measurement(root, profile));
    QM_TRY(read_set(root, "evaluation", true, &profile->evaluation));
    QM_TRY(read_set(root, "calibration", false, &profile->calibration));
    const struct qm_node *deployment = qm_node_child(root, "deployment");
    profile->has_deployment = deployment != NULL;
    if (deployment)
        QM_TRY(qm_deployment_read(deployment, &profile->deployment));
    return read_criteria(root, profile);
}

// Lays `over` on `base`: mappings are merged, all else is replaced.
static void overlay(struct qm_node *base, const struct qm_node *over)
{
    for (size_t i = 0; i < qm_node_count(over); i++) {
        const struct qm_node *value = qm_node_at(over, i);
        const char *key = qm_node_key(value);
        struct qm_node *below = qm_node_child(base, key);
        if (strcmp(key, "extends") == 0)
            continue;
        if (qm_node_is_mapping(value) && qm_node_is_mapping(below))
            overlay(below, value);
        else
            qm_node_set_node(base, key, qm_node_copy(value));
    }
}

static bool is_path(const char *text)
{
    size_t length = strlen(text);
    return strchr(text, '/') || (length > 5 && strcmp(text + length - 5, ".yaml") == 0) ||
           (length > 4 && strcmp(text + length - 4, ".yml") == 0) ||
           (length > 5 && strcmp(text + length - 5, ".json") == 0);
}

// The file that a stock profile's name or a path stands for. A relative path in `extends` starts at the file's place.
static enum qm_status resolve(const char *text, const char *beside, char path[QM_PATH_BYTES])
{
    char name[128];
    char directory[QM_PATH_BYTES];
    if (!is_path(text)) {
        snprintf(name, sizeof(name), "profiles/%.100s.yaml", text);
        QM_TRY(qm_data_directory(directory)); // of a program without its data no profile's name is wrong
        if (qm_data_path(name, path) == QM_OK)
            return QM_OK;
        return QM_FAIL(QM_INVALID, "no profile is called '%.60s'; use quick, standard or the path of a .yaml file",
                       text);
    }
    const char *file = beside ? qm_path_name(beside) : "";
    snprintf(directory, sizeof(directory), "%.*s", beside ? (int)(file - beside) : 0, beside ? beside : "");
    return qm_path_join(path, text[0] == '/' ? "" : directory, text);
}

static enum qm_status load_tree(const char *path, struct qm_node **out)
{
    struct qm_node *base = NULL;
    char base_path[QM_PATH_BYTES];
    enum qm_status status = QM_OK;
    QM_TRY(qm_node_load_yaml(path, &qm_node_profile_limits, out));
    const struct qm_node *extends = qm_node_child(*out, "extends");
    if (!extends)
        return QM_OK;
    if (!qm_node_is_text(extends)) {
        status = qm_node_invalid(extends, "'extends' is no text; expected a profile's name or path, such as quick");
        goto done;
    }
    // Wrong keys are the extending file's own, whatever it extends.
    QM_GUARD(check_keys(*out, ""));
    if (resolve(qm_node_text(extends), path, base_path) != QM_OK) {
        char text[512];
        snprintf(text, sizeof(text), "%s", qm_error_text());
        status = qm_node_invalid(extends, "%s", text);
        goto done;
    }
    QM_GUARD(qm_node_load_yaml(base_path, &qm_node_profile_limits, &base));
    if (qm_node_child(base, "extends")) {
        status = qm_node_invalid(extends, "'extends' names %.200s, which extends another; expected one level only",
                                 base_path);
        goto done;
    }
    overlay(base, *out);
    if (!qm_node_ok(base))
        status = QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it; close other programs and try again", path);
done:
    qm_node_destroy(out);
    if (status == QM_OK)
        *out = base;
    else
        qm_node_destroy(&base);
    return status;
}

static enum qm_status hash_profile(struct qm_profile *profile)
{
    struct qm_node *node = qm_profile_expand(profile);
    enum qm_status status = qm_node_hash(node, NULL, profile->hash);
    qm_node_destroy(&node);
    return status;
}

bool qm_profile_model_find(const char *name, enum qm_profile_model *out)
{
    for (size_t i = 0; i < COUNT(model_names); i++)
        if (strcmp(name, model_names[i]) == 0) {
            *out = (enum qm_profile_model)i;
            return true;
        }
    return false;
}

enum qm_status qm_profile_update(struct qm_profile *profile)
{
    char path[QM_PATH_BYTES];
    struct qm_node *node = NULL;
    profile->is_stock = false;
    QM_TRY(hash_profile(profile));
    // A profile that has no stock one of its name is custom, which is no failure.
    if (resolve(profile->name, NULL, path) != QM_OK || load_tree(path, &node) != QM_OK)
        return QM_OK;
    struct qm_profile *stock = calloc(1, sizeof(*stock));
    if (!stock) {
        qm_node_destroy(&node);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a profile; close other programs and try again");
    }
    if (read_tree(node, stock) == QM_OK && hash_profile(stock) == QM_OK)
        profile->is_stock = strcmp(stock->hash, profile->hash) == 0;
    free(stock);
    qm_node_destroy(&node);
    return QM_OK;
}

enum qm_status qm_profile_read(const struct qm_node *node, struct qm_profile *out)
{
    memset(out, 0, sizeof(*out));
    const char *file = qm_node_file(node);
    snprintf(out->path, sizeof(out->path), "%s", file ? file : "");
    QM_TRY(read_tree(node, out));
    return qm_profile_update(out);
}

enum qm_status qm_profile_load(const char *name_or_path, struct qm_profile *out)
{
    char path[QM_PATH_BYTES];
    struct qm_node *node = NULL;
    memset(out, 0, sizeof(*out));
    QM_TRY(resolve(name_or_path, NULL, path));
    QM_TRY(load_tree(path, &node));
    enum qm_status status = qm_profile_read(node, out);
    snprintf(out->path, sizeof(out->path), "%s", path);
    qm_node_destroy(&node);
    return status;
}

static void expand_set(struct qm_node *node, const char *name, const struct qm_profile_set *set)
{
    struct qm_node *mapping = qm_node_add_mapping(node, name);
    bool is_users = qm_profile_set_is_users(set);
    qm_node_set_text(mapping, "set", set_names[set->kind]);
    if (is_users)
        qm_node_set_text(mapping, "sha256", set->sha256[0] ? set->sha256 : "none");
    else
        qm_node_set_u64(mapping, "seed", set->seed);
    qm_node_set_u64(mapping, "windows", set->windows);
    qm_node_set_u64(mapping, "window_tokens", set->window_tokens);
    if (set->scored_tokens > 0)
        qm_node_set_u64(mapping, "scored_tokens", set->scored_tokens);
    if (set->sets > 1)
        qm_node_set_u64(mapping, "sets", set->sets);
    if (set->file_windows > 0)
        qm_node_set_u64(mapping, "file_windows", set->file_windows);
    if (set->kind == QM_SET_TEXT && set->scored_tokens > 0) {
        if (set->file_window_tokens > 0)
            qm_node_set_u64(mapping, "file_window_tokens", set->file_window_tokens);
        qm_node_set_u64(mapping, "stride", set->stride);
        qm_node_set_text(mapping, "compat", compat_names[set->is_compatible]);
    }
}

static void expand_bounds(struct qm_node *acceptance, const char *name, enum qm_bound_side side,
                          const struct qm_profile *profile)
{
    struct qm_node *bounds = NULL;
    for (size_t i = 0; i < profile->criterion_count; i++) {
        const struct qm_criterion *criterion = &profile->criteria[i];
        if (criterion->side != side)
            continue;
        if (!bounds)
            bounds = qm_node_add_mapping(acceptance, name);
        qm_node_set_double(bounds, qm_metric_name(criterion->metric), criterion->bound);
    }
}

struct qm_node *qm_profile_expand(const struct qm_profile *profile)
{
    struct qm_node *node = qm_node_new_mapping();
    qm_node_set_u64(node, "schema", QM_PROFILE_SCHEMA);
    qm_node_set_text(node, "name", profile->name);
    if (profile->title[0])
        qm_node_set_text(node, "title", profile->title);
    if (profile->model != QM_PROFILE_MODEL_BUILT_IN) // which goes without saying, as it always did
        qm_node_set_text(node, "model", model_names[profile->model]);
    struct qm_node *list = qm_node_add_sequence(node, "schemes");
    for (size_t i = 0; i < profile->scheme_count; i++)
        qm_node_append_text(list, profile->schemes[i].name);
    qm_node_set_text(node, "baseline", profile->schemes[profile->baseline].name);
    expand_set(node, "evaluation", &profile->evaluation);
    expand_set(node, "calibration", &profile->calibration);
    list = qm_node_add_sequence(node, "prefill");
    for (size_t i = 0; i < profile->prefill_count; i++) {
        struct qm_node *point = qm_node_append_mapping(list);
        qm_node_set_u64(point, "batch", profile->prefill[i].batch);
        qm_node_set_u64(point, "prompt", profile->prefill[i].prompt);
    }
    list = qm_node_add_sequence(node, "decode");
    for (size_t i = 0; i < profile->decode_count; i++) {
        struct qm_node *point = qm_node_append_mapping(list);
        qm_node_set_u64(point, "batch", profile->decode[i].batch);
        qm_node_set_u64(point, "depth", profile->decode[i].depth);
        qm_node_set_u64(point, "steps", profile->decode[i].steps);
    }
    struct qm_node *mapping = qm_node_add_mapping(node, "timing");
    qm_node_set_text(mapping, "protocol", protocol_names[0]);
    qm_node_set_u64(mapping, "warmup", profile->warmup);
    qm_node_set_u64(mapping, "repeats", profile->repeats);
    qm_node_set_double(mapping, "precision", profile->precision);
    qm_node_set_double(mapping, "seconds", profile->seconds);
    qm_node_set_u64(mapping, "order_seed", profile->order_seed);
    qm_profile_expand_measurement(node, profile);
    mapping = qm_node_add_mapping(node, "policy");
    qm_node_set_u64(mapping, "dispatches_per_submission", profile->dispatches_per_submission);
    qm_node_set_u64(mapping, "submission_ms", profile->submission_ms);
    qm_node_set_bool(mapping, "allow_smaller_batch", profile->allows_smaller_batch);
    qm_node_set_text(node, "tier", tier_names[profile->tier]);
    qm_node_set_text(node, "tiles", tile_names[profile->is_tuned]);
    if (profile->is_unfused)
        qm_node_set_text(node, "fusions", fusion_names[1]);
    if (profile->is_fit)
        qm_node_set_text(node, "widen", "fit");
    else
        qm_node_set_u64(node, "widen", profile->widen);
    mapping = qm_node_add_mapping(node, "bootstrap");
    qm_node_set_u64(mapping, "seed", profile->bootstrap.seed);
    qm_node_set_u64(mapping, "resamples", profile->bootstrap.resamples);
    qm_node_set_double(mapping, "confidence", profile->bootstrap.confidence_permille / 1000.0);
    mapping = qm_node_add_mapping(node, "acceptance");
    expand_bounds(mapping, "at_most", QM_BOUND_UPPER, profile);
    expand_bounds(mapping, "at_least", QM_BOUND_LOWER, profile);
    if (profile->has_deployment)
        qm_node_set_node(node, "deployment", qm_deployment_expand(&profile->deployment, true));
    return node;
}

static size_t find_scheme(const struct qm_scheme *schemes, size_t count, const struct qm_scheme *scheme)
{
    size_t i = 0;
    while (i < count && !qm_scheme_equal(&schemes[i], scheme))
        i++;
    return i;
}

enum qm_status qm_profile_select_schemes(struct qm_profile *profile, const char *list)
{
    struct qm_scheme named[QM_PROFILE_SCHEMES_MAX];
    size_t named_count = 0;
    while (*list) {
        char name[QM_SCHEME_NAME_BYTES * 2];
        size_t length = strcspn(list, ",");
        struct qm_scheme scheme;
        snprintf(name, sizeof(name), "%.*s", (int)(length < sizeof(name) ? length : sizeof(name) - 1), list);
        list += length + (list[length] == ',');
        QM_TRY(qm_scheme_parse(name, &scheme));
        if (find_scheme(named, named_count, &scheme) < named_count)
            continue;
        if (named_count == QM_PROFILE_SCHEMES_MAX - 1)
            return QM_FAIL(QM_INVALID, "more than %d schemes; name fewer", QM_PROFILE_SCHEMES_MAX - 1);
        named[named_count++] = scheme;
    }
    if (named_count == 0)
        return QM_FAIL(QM_INVALID, "no scheme is named; use a list such as w8a8,w4a16-g32");
    struct qm_scheme baseline = profile->schemes[profile->baseline];
    size_t kept = 0;
    for (size_t i = 0; i < profile->scheme_count; i++) {
        struct qm_scheme scheme = profile->schemes[i];
        if (qm_scheme_equal(&scheme, &baseline) || find_scheme(named, named_count, &scheme) < named_count)
            profile->schemes[kept++] = scheme;
    }
    for (size_t i = 0; i < named_count; i++)
        if (find_scheme(profile->schemes, kept, &named[i]) == kept)
            profile->schemes[kept++] = named[i]; // at most all named ones and the baseline
    profile->scheme_count = kept;
    profile->baseline = find_scheme(profile->schemes, kept, &baseline);
    return qm_profile_update(profile);
}

enum qm_status qm_profile_set_exact_match(struct qm_profile *profile, const char *at_least)
{
    char *end = NULL;
    double bound = strtod(at_least, &end);
    if (end == at_least || *end || !(bound > 0 && bound <= 1))
        return QM_FAIL(
            QM_INVALID,
            "exact match of at least '%.40s' of fp32's; expected a number above 0 and at most 1, such as 0.99",
            at_least);
    size_t i = 0;
    while (i < profile->criterion_count &&
           !(profile->criteria[i].metric == QM_METRIC_EXACT_MATCH_RATIO && profile->criteria[i].side == QM_BOUND_LOWER))
        i++;
    if (i == QM_PROFILE_CRITERIA_MAX)
        return QM_FAIL(QM_INVALID, "the profile states %d bounds already; remove one", QM_PROFILE_CRITERIA_MAX);
    if (i == profile->criterion_count)
        profile->criterion_count++;
    profile->criteria[i] = (struct qm_criterion){QM_METRIC_EXACT_MATCH_RATIO, QM_BOUND_LOWER, bound};
    return qm_profile_update(profile);
}

const char *qm_profile_tier_name(enum qm_profile_tier tier)
{
    return tier_names[tier];
}
