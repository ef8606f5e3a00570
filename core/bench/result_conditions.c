#include "bench/result_conditions.h"

#include <math.h>
#include <string.h>

#include "bench/result_nodes.h"

static void set_answer(struct qm_node *node, const char *key, enum qm_answer answer)
{
    qm_node_set_text(node, key, answer == QM_ANSWER_YES ? "yes" : answer == QM_ANSWER_NO ? "no" : "undisclosed");
}

static void set_share(struct qm_node *node, const char *key, double value)
{
    qm_result_set_number(node, key, isfinite(value), value, "undisclosed");
}

static void set_bytes(struct qm_node *node, const char *key, uint64_t bytes)
{
    qm_result_set_number(node, key, bytes != UINT64_MAX, (double)bytes, "undisclosed");
}

static void add_warnings(struct qm_node *node, const struct qm_device_run *run)
{
    struct qm_condition_warnings warnings;
    struct qm_node *list = qm_node_add_sequence(node, "warnings");
    qm_conditions_warn(run->before, run->after, &warnings);
    for (size_t i = 0; i < warnings.count; ++i) {
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "code", warnings.list[i].code);
        qm_node_set_text(row, "text", warnings.list[i].text);
    }
}

void qm_result_add_conditions(struct qm_node *root, const struct qm_device_run *run)
{
    struct qm_node *telemetry = qm_node_add_mapping(root, "telemetry");
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q)
        qm_node_set_text(telemetry, qm_telemetry_quantity_name((enum qm_telemetry_quantity)q),
                         run->telemetry[q][0] ? run->telemetry[q] : "not measured");
    if (!run->before || !run->after) {
        qm_node_set_text(root, "conditions", "not measured");
        return;
    }
    const struct qm_host_conditions *before = run->before, *after = run->after;
    const char *pci = json_string_value(json_object_get(run->info, "pci"));
    struct qm_node *node = qm_node_add_mapping(root, "conditions");
    set_share(node, "others_percent", qm_conditions_others_percent(before, after));
    set_share(node, "steal_percent", qm_conditions_steal_percent(before, after));
    set_share(node, "gpu_others_percent",
              qm_conditions_gpu_percent(before, after, pci && strcmp(pci, "undisclosed") != 0 ? pci : ""));
    set_share(node, "load_1min", before->load_1min);
    qm_node_set_text(node, "governor", before->governors[0] ? before->governors : "undisclosed");
    set_answer(node, "turbo", before->turbo);
    set_answer(node, "battery", before->battery);
    set_bytes(node, "memory_available_bytes", before->memory_available_bytes);
    set_bytes(node, "swap_used_bytes", after->swap_used_bytes);
    set_share(node, "memory_pressure_percent", after->memory_pressure_percent);
    set_answer(node, "virtual_machine", before->virtual_machine);
    qm_node_set_text(node, "hypervisor", before->hypervisor[0] ? before->hypervisor : "none");
    qm_node_set_u64(node, "gpu_users", before->gpu_user_count);
    set_share(node, "processor_temperature_c", before->processor_temperature_c);
    add_warnings(node, run);
}

uint64_t qm_result_cache_bytes(const struct qm_node *root, const struct qm_profile *profile)
{
    uint64_t bytes = 0;
    if (profile->last_level_bytes > 0)
        return profile->last_level_bytes;
    bool is_processor = strcmp(qm_node_text_at(root, "device.type", ""), "cpu") == 0;
    return is_processor && qm_node_u64_at(root, "host.last_level_cache_bytes", &bytes) ? bytes : 0;
}

const char *qm_result_cache_state(uint64_t weight_bytes, uint64_t cache_bytes)
{
    if (cache_bytes == 0 || weight_bytes == 0)
        return "undisclosed";
    return weight_bytes <= cache_bytes ? "cache-resident" : weight_bytes > 4 * cache_bytes ? "cold" : "between";
}
