// How a profile measures: precision, sustained runs, bounds of latency, caches, the gate's limits.
#include "bench/profile_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const phase_names[] = {"none", "decode", "prefill"}; // enum qm_profile_sustained

static enum qm_status read_fraction(const struct qm_node *root, const char *section, const char *key, double low,
                                    double high, double *out)
{
    const struct qm_node *mapping = NULL, *node = NULL;
    QM_TRY(qm_profile_require_mapping(root, section, &mapping));
    QM_TRY(qm_profile_require(mapping, section, key, &node));
    QM_TRY(qm_node_read_double(node, out));
    if (!(*out >= low && *out <= high))
        return qm_node_invalid(node, "'%s' is %g; expected %g to %g", key, *out, low, high);
    return QM_OK;
}

// A number, or the word that stands for its absence, which becomes 0.
static enum qm_status read_or_word(const struct qm_node *root, const char *section, const char *key, const char *word,
                                   double low, double high, double *out)
{
    const struct qm_node *mapping = NULL, *node = NULL;
    *out = 0;
    QM_TRY(qm_profile_require_mapping(root, section, &mapping));
    QM_TRY(qm_profile_require(mapping, section, key, &node));
    const char *text = qm_node_text(node);
    if (text && strcmp(text, word) == 0)
        return QM_OK;
    if (!qm_node_is_number(node))
        return qm_node_invalid(node, "'%s' is '%.40s'; expected a number from %g to %g, or %s", key, text ? text : "",
                               low, high, word);
    return read_fraction(root, section, key, low, high, out);
}

enum qm_status qm_profile_read_measurement(const struct qm_node *root, struct qm_profile *profile)
{
    const struct qm_node *mapping = NULL;
    size_t choice = 0;
    double cache_bytes = 0, openings = QM_GATE_OPENINGS;
    const struct {
        const char *section, *key;
        double low, high, *out;
    } numbers[] = {
        {"timing", "precision", 1e-4, 1, &profile->precision},
        {"timing", "seconds", 0, 86400, &profile->seconds},
        {"sustained", "seconds", 0, 86400, &profile->sustained_s},
        {"sustained", "cool_down_s", 0, 3600, &profile->cool_down_s},
        {"latency", "p99_ms", 1e-3, 1e6, &profile->latency_p99_ms},
        {"gate", "false_alarm", 1e-9, 0.1, &profile->gate.false_alarm},
        {"gate", "minimum_effect", 0, 0.5, &profile->gate.minimum_effect},
        {"gate", "tolerance", 0, 0.9, &profile->gate.tolerance},
        {"gate", "seconds", 0, 86400, &profile->gate_s},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); ++i)
        QM_TRY(
            read_fraction(root, numbers[i].section, numbers[i].key, numbers[i].low, numbers[i].high, numbers[i].out));
    QM_TRY(qm_profile_require_mapping(root, "sustained", &mapping));
    QM_TRY(qm_profile_read_choice(mapping, "sustained", "phase", phase_names, 3, &choice));
    profile->sustained = (enum qm_profile_sustained)choice;
    QM_TRY(read_or_word(root, "sustained", "temperature_most_c", "none", 1, 150, &profile->temperature_most_c));
    QM_TRY(read_or_word(root, "caches", "last_level_bytes", "host", 1024, 1e12, &cache_bytes));
    profile->last_level_bytes = (uint64_t)cache_bytes;
    profile->gate.rows = 1;
    const struct qm_node *node =
        qm_node_child(qm_node_child(root, "gate"), "openings"); // results of older builds lack it
    if (node)
        QM_TRY(read_fraction(root, "gate", "openings", QM_GATE_PARTS_MIN, QM_GATE_OPENINGS_MAX, &openings));
    profile->gate_openings = (uint32_t)openings;
    if (profile->gate_openings % 2 != 0 || profile->gate_openings < openings)
        return qm_node_invalid(node, "'openings' is %g; expected an even number: as many of A first as of B first",
                               openings);
    if (qm_gate_params_check(&profile->gate) != QM_OK) {
        char text[512];
        snprintf(text, sizeof(text), "%s", qm_error_text());
        return qm_node_invalid(qm_node_child(root, "gate"), "%s", text);
    }
    return QM_OK;
}

void qm_profile_expand_measurement(struct qm_node *node, const struct qm_profile *profile)
{
    struct qm_node *mapping = qm_node_add_mapping(node, "sustained");
    qm_node_set_text(mapping, "phase", phase_names[profile->sustained]);
    qm_node_set_double(mapping, "seconds", profile->sustained_s);
    qm_node_set_double(mapping, "cool_down_s", profile->cool_down_s);
    if (profile->temperature_most_c > 0)
        qm_node_set_double(mapping, "temperature_most_c", profile->temperature_most_c);
    else
        qm_node_set_text(mapping, "temperature_most_c", "none");
    mapping = qm_node_add_mapping(node, "latency");
    qm_node_set_double(mapping, "p99_ms", profile->latency_p99_ms);
    mapping = qm_node_add_mapping(node, "caches");
    if (profile->last_level_bytes > 0)
        qm_node_set_u64(mapping, "last_level_bytes", profile->last_level_bytes);
    else
        qm_node_set_text(mapping, "last_level_bytes", "host");
    mapping = qm_node_add_mapping(node, "gate");
    qm_node_set_double(mapping, "false_alarm", profile->gate.false_alarm);
    qm_node_set_double(mapping, "minimum_effect", profile->gate.minimum_effect);
    qm_node_set_double(mapping, "tolerance", profile->gate.tolerance);
    qm_node_set_double(mapping, "seconds", profile->gate_s);
    qm_node_set_u64(mapping, "openings", profile->gate_openings);
}
