#include "bench/ceilings_node.h"

#include <stdio.h>
#include <string.h>

static void add_kind(struct qm_node *list, const struct qm_ceiling *ceiling, enum qm_ceiling_kind kind)
{
    struct qm_node *row = qm_node_append_mapping(list);
    qm_node_set_text(row, "kind", qm_ceiling_name(kind));
    if (ceiling->status != QM_OK || !(ceiling->rate > 0)) {
        qm_node_set_text(row, "status", qm_status_name(ceiling->status == QM_OK ? QM_FAILED : ceiling->status));
        qm_node_set_text(row, "reason", ceiling->reason[0] ? ceiling->reason : "undisclosed");
        return;
    }
    qm_node_set_double(row, "rate", ceiling->rate / qm_ceiling_scale(kind));
    qm_node_set_text(row, "unit", qm_ceiling_unit(kind));
    if (ceiling->probe[0]) {
        qm_node_set_text(row, "probe", ceiling->probe);
        qm_node_set_text(row, "tile", ceiling->tile);
        qm_node_set_u64(row, "workgroup", ceiling->workgroup);
    }
    if (ceiling->vector_width > 0)
        qm_node_set_u64(row, "vector_width", ceiling->vector_width);
    if (ceiling->chains > 0)
        qm_node_set_u64(row, "chains", ceiling->chains);
    if (ceiling->bytes > 0)
        qm_node_set_u64(row, "bytes", ceiling->bytes);
    qm_node_set_text(row, "timer", ceiling->device_time ? "device" : "wall");
    qm_node_set_u64(row, "candidates", ceiling->candidates);
    qm_node_set_u64(row, "samples", ceiling->samples);
    if (ceiling->note[0])
        qm_node_set_text(row, "note", ceiling->note);
}

struct qm_node *qm_ceilings_node(const struct qm_ceilings *ceilings)
{
    struct qm_node *node = qm_node_new_mapping();
    qm_node_set_double(node, "seconds", ceilings->seconds);
    struct qm_node *kinds = qm_node_add_sequence(node, "kinds");
    for (int kind = 0; kind < QM_CEILING_COUNT; ++kind)
        add_kind(kinds, &ceilings->of[kind], (enum qm_ceiling_kind)kind);
    struct qm_node *sizes = qm_node_add_sequence(node, "bandwidth");
    for (size_t i = 0; i < ceilings->size_count; ++i) {
        const struct qm_ceiling_size *size = &ceilings->sizes[i];
        struct qm_node *row = qm_node_append_mapping(sizes);
        qm_node_set_u64(row, "bytes", size->bytes);
        if (size->read > 0)
            qm_node_set_double(row, "read", size->read * 1e-9);
        if (size->write > 0)
            qm_node_set_double(row, "write", size->write * 1e-9);
        if (size->copy > 0)
            qm_node_set_double(row, "copy", size->copy * 1e-9);
    }
    return node;
}

static double positive(const struct qm_node *row, const char *key)
{
    double value = 0;
    return qm_node_double_at(row, key, &value) && value > 0 ? value : 0;
}

bool qm_ceilings_of_node(const struct qm_node *node, struct qm_ceilings *out)
{
    memset(out, 0, sizeof(*out));
    for (int i = 0; i < QM_CEILING_COUNT; ++i)
        out->of[i].status = QM_UNSUPPORTED;
    if (!qm_node_is_mapping(node))
        return false;
    const struct qm_node *kinds = qm_node_child(node, "kinds"), *sizes = qm_node_child(node, "bandwidth");
    for (size_t i = 0; i < qm_node_count(kinds); ++i) {
        const struct qm_node *row = qm_node_at(kinds, i);
        enum qm_ceiling_kind kind = qm_ceiling_find(qm_node_text_at(row, "kind", ""));
        double rate = positive(row, "rate");
        if (kind == QM_CEILING_COUNT || !(rate > 0))
            continue;
        out->of[kind].status = QM_OK;
        out->of[kind].rate = rate * qm_ceiling_scale(kind);
    }
    for (size_t i = 0; i < qm_node_count(sizes) && out->size_count < QM_CEILING_SIZES_MAX; ++i) {
        const struct qm_node *row = qm_node_at(sizes, i);
        struct qm_ceiling_size *size = &out->sizes[out->size_count];
        if (!qm_node_u64_at(row, "bytes", &size->bytes))
            continue;
        size->read = positive(row, "read") * 1e9;
        size->write = positive(row, "write") * 1e9;
        size->copy = positive(row, "copy") * 1e9;
        ++out->size_count;
    }
    return true;
}

bool qm_roofline_of(const struct qm_ceilings *ceilings, const struct qm_kernel_variant *variant, double operations,
                    double bytes, double time_ns, struct qm_roofline *out)
{
    enum qm_ceiling_kind limit;
    *out = (struct qm_roofline){0};
    double bound_ns = qm_ceilings_bound_ns(ceilings, qm_kernel_arithmetic(variant), qm_kernel_memory(variant),
                                           operations, bytes, &limit);
    if (!(bound_ns > 0) || !(time_ns > 0))
        return false;
    *out = (struct qm_roofline){qm_ceiling_name(limit), bound_ns / time_ns};
    return true;
}
