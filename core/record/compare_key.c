// Keys of comparability: what must be equal, folded into two numbers, so that thousands of results need no thousands of
// comparisons of each with each.
#include "record/compare.h"
#include "record/compare_internal.h"
#include "record/node.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// The sum over all fatal fields of a hash of path and value, so that the order of keys does not matter; two sums by
// differently mixed hashes make 128 bits.
struct fold {
    char path[256]; // without names of items: what rules are found by
    size_t used;
    uint64_t names; // hash of the names of the items that the path is in
    uint64_t *sums;
};

static uint64_t mix(uint64_t x)
{
    // splitmix64's finalizer (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014)
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u; // FNV-1a
    return mix(hash + 0x9e3779b97f4a7c15u);
}

static void fold_value(struct fold *fold, const struct qm_node *node)
{
    double number = 0;
    uint64_t hash = hash_text(fold->names ^ 0xcbf29ce484222325u, fold->path);
    if (qm_node_is_number(node) && qm_node_read_double(node, &number) == QM_OK) {
        uint64_t bits;
        number += 0.0; // one zero
        memcpy(&bits, &number, sizeof(bits));
        hash = mix(hash + mix(bits));
    } else {
        hash = hash_text(hash, qm_node_is_text(node)      ? qm_node_text(node)
                               : qm_node_is_mapping(node) ? "a mapping"
                                                          : "a list");
    }
    fold->sums[0] += hash;
    fold->sums[1] += mix(hash ^ 0x6a09e667f3bcc908u);
}

static void fold_node(struct fold *fold, const struct qm_node *node, const char *list);

static void fold_below(struct fold *fold, const char *key, const struct qm_node *node)
{
    size_t used = fold->used, length = strlen(key);
    if (used + length + 4 >= sizeof(fold->path))
        return; // no rule is that long
    if (used > 0)
        fold->path[fold->used++] = '.';
    memcpy(fold->path + fold->used, key, length + 1);
    fold->used += length;
    fold_node(fold, node, key);
    fold->used = used;
    fold->path[used] = '\0';
}

static void fold_items(struct fold *fold, const struct qm_node *node, const char *list)
{
    size_t used = fold->used;
    uint64_t names = fold->names;
    if (used + 3 >= sizeof(fold->path))
        return;
    memcpy(fold->path + used, "[]", 3);
    fold->used += 2;
    for (size_t i = 0; i < qm_node_count(node); i++) {
        fold->names = qm_compare_item_hash(qm_node_at(node, i), list, i, names);
        fold_node(fold, qm_node_at(node, i), NULL);
    }
    fold->names = names;
    fold->used = used;
    fold->path[used] = '\0';
}

static void fold_node(struct fold *fold, const struct qm_node *node, const char *list)
{
    if (fold->used > 0 && qm_compare_judge(fold->path).class == QM_DIFFERENCE_FATAL)
        fold_value(fold, node);
    if (qm_node_is_sequence(node))
        fold_items(fold, node, list);
    else if (qm_node_is_mapping(node))
        for (size_t i = 0; i < qm_node_count(node); i++)
            fold_below(fold, qm_node_key_at(node, i), qm_node_at(node, i));
}

uint64_t qm_compare_hash(uint64_t seed, const char *text)
{
    return hash_text(seed, text);
}

enum qm_status qm_compare_key_of(const struct qm_node *result, struct qm_compare_key *out)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    struct fold fold = {.sums = out->whole};
    *out = (struct qm_compare_key){.schemes = calloc(qm_node_count(schemes) + 1, sizeof(*out->schemes))};
    if (!out->schemes)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the key of a result");
    for (size_t i = 0; i < qm_node_count(result); i++)
        if (qm_node_at(result, i) != schemes)
            fold_below(&fold, qm_node_key_at(result, i), qm_node_at(result, i));
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *scheme = qm_node_at(schemes, i);
        if (strcmp(qm_node_text_at(scheme, "status", ""), "ok") != 0)
            continue;
        out->schemes[out->count].name = qm_node_text_at(scheme, "name", "");
        fold = (struct fold){.path = "schemes[]", .used = sizeof("schemes[]") - 1};
        fold.sums = out->schemes[out->count++].own;
        fold_node(&fold, scheme, NULL);
    }
    return QM_OK;
}

void qm_compare_key_free(struct qm_compare_key *key)
{
    free(key->schemes);
    *key = (struct qm_compare_key){0};
}

// ---- Groups -------------------------------------------------------------------------------------------------------

struct group {
    uint64_t whole[2];
    struct qm_compare_scheme_key *schemes; // owned: those that all members have
    size_t count;
};

static bool has_scheme(const struct qm_compare_key *key, const struct qm_compare_scheme_key *scheme)
{
    for (size_t i = 0; i < key->count; i++)
        if (memcmp(key->schemes[i].own, scheme->own, sizeof(scheme->own)) == 0 &&
            strcmp(key->schemes[i].name, scheme->name) == 0)
            return true;
    return false;
}

// Joins if a scheme is left that all have; then those that are left are the group's.
static bool join(struct group *group, const struct qm_compare_key *key)
{
    size_t shared = 0;
    if (memcmp(group->whole, key->whole, sizeof(group->whole)) != 0)
        return false;
    for (size_t i = 0; i < group->count; i++)
        shared += has_scheme(key, &group->schemes[i]);
    if (shared == 0)
        return false;
    if (shared == group->count)
        return true;
    size_t kept = 0;
    for (size_t i = 0; i < group->count; i++)
        if (has_scheme(key, &group->schemes[i]))
            group->schemes[kept++] = group->schemes[i];
    group->count = kept;
    return true;
}

enum qm_status qm_compare_group(const struct qm_compare_key *keys, size_t count, size_t *groups, size_t *group_count)
{
    struct group *made = calloc(count + 1, sizeof(*made));
    enum qm_status status = made ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory to group %zu results", count);
    *group_count = 0;
    for (size_t i = 0; i < count && status == QM_OK; i++) {
        size_t at = 0;
        while (at < *group_count && !join(&made[at], &keys[i]))
            at++;
        groups[i] = at;
        if (at < *group_count)
            continue;
        struct group *group = &made[(*group_count)++];
        memcpy(group->whole, keys[i].whole, sizeof(group->whole));
        group->count = keys[i].count;
        group->schemes = calloc(group->count + 1, sizeof(*group->schemes));
        if (!group->schemes)
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to group %zu results", count);
        else if (group->count > 0)
            memcpy(group->schemes, keys[i].schemes, group->count * sizeof(*group->schemes));
    }
    for (size_t i = 0; made && i < count; i++)
        free(made[i].schemes);
    free(made);
    return status;
}
