#include "bench/device_node.h"

#include <stdio.h>
#include <string.h>

const char *qm_device_type_name(enum qm_device_type type)
{
    static const char *const names[] = {"cpu", "integrated", "discrete", "virtual", "other"};
    return (size_t)type < sizeof(names) / sizeof(names[0]) ? names[type] : "other";
}

static void set_id(struct qm_node *node, const char *key, uint32_t id)
{
    if (id == 0)
        qm_node_set_text(node, key, "undisclosed");
    else
        qm_node_set_textf(node, key, "0x%04x", id);
}

static void set_text(struct qm_node *node, const char *key, const char *text)
{
    qm_node_set_text(node, key, text[0] ? text : "undisclosed");
}

struct qm_node *qm_device_node(const struct qm_device_info *info)
{
    struct qm_node *node = qm_node_new_mapping();
    set_text(node, "name", info->name);
    qm_node_set_text(node, "api", info->api);
    qm_node_set_text(node, "type", qm_device_type_name(info->type));
    set_text(node, "driver", info->driver_name);
    set_text(node, "driver_version", info->driver);
    set_text(node, "api_version", info->api_version);
    set_text(node, "loader", info->loader);
    set_text(node, "compiler", info->compiler);
    if (info->submission[0])
        qm_node_set_text(node, "submission", info->submission);
    set_id(node, "vendor_id", info->vendor_id);
    set_id(node, "device_id", info->device_id);
    char uuid[33] = "";
    for (int i = 0; info->has_uuid && i < 16; ++i)
        snprintf(uuid + 2 * i, 3, "%02x", info->uuid[i]);
    set_text(node, "uuid", uuid);
    set_text(node, "pci", info->pci_address);
    struct qm_node *limits = qm_node_add_mapping(node, "limits");
    qm_node_set_u64(limits, "max_binding_bytes", info->max_binding_bytes);
    qm_node_set_u64(limits, "max_texel_bytes", info->max_texel_bytes);
    qm_node_set_u64(limits, "max_allocation_bytes", info->max_allocation_bytes);
    qm_node_set_u64(limits, "memory_bytes", info->memory_bytes);
    qm_node_set_u64(limits, "buffer_offset_alignment", info->buffer_offset_alignment);
    qm_node_set_u64(limits, "max_workgroup_invocations", info->max_workgroup_invocations);
    qm_node_set_u64(limits, "max_local_bytes", info->max_local_bytes);
    qm_node_set_u64(limits, "max_parameter_bytes", info->max_parameter_bytes);
    qm_node_set_u64(limits, "subgroup_size", info->subgroup_size);
    qm_node_set_u64(limits, "timestamp_valid_bits", info->timestamp_valid_bits);
    qm_node_set_double(limits, "timestamp_period_ns", info->timestamp_period_ns);
    return node;
}
