#include "text/prefixes.h"

#include "base/random.h"
#include "text/vocabulary.h"

#include <stdlib.h>
#include <string.h>

static enum qm_status out_of_memory(const char *file)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its vocabulary; close other programs and try again", file);
}

static size_t slot_of(const struct qm_prefixes *prefixes, uint32_t key)
{
    size_t mask = prefixes->edge_slots - 1, slot = (size_t)qm_random_mix(key ^ prefixes->seed) & mask;
    while (prefixes->edges[slot].child != 0 && prefixes->edges[slot].key != key)
        slot = (slot + 1) & mask;
    return slot;
}

static enum qm_status grow_edges(struct qm_prefixes *prefixes, const char *file)
{
    struct qm_prefix_edge *old = prefixes->edges;
    size_t old_slots = prefixes->edge_slots, slots = old_slots ? 2 * old_slots : 1024;
    struct qm_prefix_edge *edges = calloc(slots, sizeof(*edges));
    if (!edges)
        return out_of_memory(file);
    prefixes->edges = edges;
    prefixes->edge_slots = slots;
    for (size_t i = 0; i < old_slots; i++)
        if (old[i].child != 0)
            edges[slot_of(prefixes, old[i].key)] = old[i];
    free(old);
    return QM_OK;
}

static enum qm_status add_node(struct qm_prefixes *prefixes, const char *file, uint32_t *node)
{
    if (prefixes->node_count == QM_PREFIXES_NODES_MAX)
        return QM_FAIL(QM_UNSUPPORTED,
                       "%s: the texts of its vocabulary have more than %u different begins; at most so many "
                       "are supported",
                       file, QM_PREFIXES_NODES_MAX);
    if (prefixes->node_count == prefixes->node_capacity) {
        size_t capacity = 2 * prefixes->node_capacity + 1024;
        uint32_t *grown = realloc(prefixes->values, capacity * sizeof(*grown));
        if (!grown)
            return out_of_memory(file);
        prefixes->values = grown;
        prefixes->node_capacity = capacity;
    }
    *node = (uint32_t)prefixes->node_count++;
    prefixes->values[*node] = QM_TOKEN_NONE;
    return QM_OK;
}

enum qm_status qm_prefixes_add(struct qm_prefixes *prefixes, const char *file, const char *text, size_t count,
                               uint32_t value)
{
    uint32_t node = 0;
    if (prefixes->node_count == 0)
        QM_TRY(add_node(prefixes, file, &node));
    for (size_t i = 0; i < count; i++) {
        uint32_t child = qm_prefixes_step(prefixes, node, (unsigned char)text[i]);
        if (child == 0) {
            if (2 * (prefixes->edge_count + 1) > prefixes->edge_slots)
                QM_TRY(grow_edges(prefixes, file));
            QM_TRY(add_node(prefixes, file, &child));
            uint32_t key = node << 8 | (unsigned char)text[i];
            prefixes->edges[slot_of(prefixes, key)] = (struct qm_prefix_edge){key, child};
            prefixes->edge_count++;
        }
        node = child;
    }
    prefixes->values[node] = value;
    return QM_OK;
}

void qm_prefixes_free(struct qm_prefixes *prefixes)
{
    free(prefixes->edges);
    free(prefixes->values);
    *prefixes = (struct qm_prefixes){0};
}

uint32_t qm_prefixes_step(const struct qm_prefixes *prefixes, uint32_t node, unsigned char byte)
{
    return prefixes->edge_slots == 0 ? 0 : prefixes->edges[slot_of(prefixes, node << 8 | byte)].child;
}

size_t qm_prefixes_longest(const struct qm_prefixes *prefixes, const char *text, size_t count, uint32_t *value)
{
    size_t longest = 0;
    uint32_t node = 0;
    for (size_t i = 0; i < count; i++) {
        node = qm_prefixes_step(prefixes, node, (unsigned char)text[i]);
        if (node == 0)
            break;
        if (prefixes->values[node] == QM_TOKEN_NONE)
            continue;
        longest = i + 1;
        if (value)
            *value = prefixes->values[node];
    }
    return longest;
}
