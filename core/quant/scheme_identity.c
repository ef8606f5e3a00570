// What a scheme is, whatever its name: its hash, comparison, and its structure as a tree; the formats of a file's own weights.
#include "quant/scheme.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "quant/format.h"
#include "record/node.h"

static void hash_part(struct qm_hash *hash, const char *key, const char *value)
{
    qm_hash_add_text(hash, key);
    qm_hash_add_text(hash, value);
}

static void hash_number(struct qm_hash *hash, const char *key, uint32_t value)
{
    char number[16];
    snprintf(number, sizeof(number), "%" PRIu32, value);
    hash_part(hash, key, number);
}

// Names, never enumerators: a new row must not change the identity of the others; nor does a key that is absent.
static void hash_formats(struct qm_hash *hash, enum qm_weight_format weights, enum qm_activation_format activations)
{
    const struct qm_format_info *info = qm_weight_format_info(weights);
    hash_part(hash, "weights", info->name);
    hash_part(hash, "activations", qm_activation_format_info(activations)->name);
    hash_number(hash, "group_size", info->group_size);
    hash_part(hash, "symmetric", info->is_asymmetric ? "false" : "true");
}

static void hash_scheme(const struct qm_scheme *scheme, bool with_kv, char text[QM_HASH_TEXT_BYTES])
{
    struct qm_hash hash;
    qm_hash_begin(&hash);
    if (scheme->is_own)
        hash_part(&hash, "weights", QM_SCHEME_OWN_NAME);
    if (scheme->is_own_floats)
        hash_part(&hash, "activations", qm_activation_format_info(QM_ACTIVATION_F16)->name);
    if (scheme->own)
        hash_part(&hash, "formats", scheme->own->sha256);
    if (!scheme->is_own)
        hash_formats(&hash, scheme->weights, scheme->activations);
    hash_part(&hash, "static", scheme->is_static ? "true" : "false");
    if (scheme->activation_group > 0)
        hash_number(&hash, "activation_group", scheme->activation_group);
    hash_part(&hash, "calibrator", qm_calibrator_name(scheme->calibrator));
    hash_part(&hash, "calibrator_parameters", qm_calibrator_parameters(scheme->calibrator));
    if (scheme->is_act_order)
        hash_part(&hash, "act_order", "true");
    for (size_t i = 0; i < scheme->override_count; i++) {
        hash_part(&hash, "override", scheme->overrides[i].pattern);
        hash_formats(&hash, scheme->overrides[i].weights, scheme->overrides[i].activations);
    }
    if (qm_kv_calibrated_largest(scheme->kv) > 0)
        hash_part(&hash, "kv_scales", qm_kv_format_info(scheme->kv)->name);
    if (with_kv) {
        hash_part(&hash, "kv_cache", qm_kv_format_info(scheme->kv)->name);
        if (scheme->kv_first > 0)
            hash_number(&hash, "kv_first", scheme->kv_first);
        if (scheme->kv_last > 0)
            hash_number(&hash, "kv_last", scheme->kv_last);
    }
    qm_hash_end(&hash, text);
}

// "a8", "af8 static"; "" for floats, which say nothing.
static void write_activations(enum qm_activation_format activations, bool is_static,
                              char name[QM_OWN_ACTIVATIONS_NAME_BYTES])
{
    const struct qm_format_info *info = qm_activation_format_info(activations);
    snprintf(name, QM_OWN_ACTIVATIONS_NAME_BYTES, "%s%s", info->is_float ? "" : info->name, is_static ? " static" : "");
}

// Of codes alone: floats have no name to be found by.
static bool find_activations(const char *name, enum qm_activation_format *activations, bool *is_static)
{
    for (int a = 0; a < QM_ACTIVATION_FORMAT_COUNT; a++)
        for (int s = 0; s < 2; s++) {
            char written[QM_OWN_ACTIVATIONS_NAME_BYTES];
            *activations = (enum qm_activation_format)a;
            *is_static = s != 0;
            write_activations(*activations, *is_static, written);
            if (!qm_activation_format_info(*activations)->is_float && strcmp(written, name) == 0)
                return true;
        }
    return false;
}

void qm_own_activations_name(const struct qm_own_formats *own, char name[QM_OWN_ACTIVATIONS_NAME_BYTES])
{
    write_activations(own->activations, own->is_static, name);
}

bool qm_own_activations_find(const char *name, struct qm_own_formats *own)
{
    if (*name)
        return find_activations(name, &own->activations, &own->is_static);
    own->activations = QM_ACTIVATION_F16;
    own->is_static = false;
    return true;
}

void qm_own_format_name(const struct qm_own_format *format, char name[QM_OWN_FORMAT_NAME_BYTES])
{
    char weights[QM_WEIGHT_FORMAT_NAME_BYTES], activations[QM_OWN_ACTIVATIONS_NAME_BYTES];
    qm_weight_format_name(format->weights, weights);
    write_activations(format->activations, format->is_static, activations);
    snprintf(name, QM_OWN_FORMAT_NAME_BYTES, "%s%s%s", weights, *activations ? " " : "", activations);
}

bool qm_own_format_find(const char *name, struct qm_own_format *out)
{
    char weights[QM_OWN_FORMAT_NAME_BYTES];
    size_t length = strcspn(name, " ");
    if (length >= sizeof(weights))
        return false;
    memcpy(weights, name, length);
    weights[length] = '\0';
    if (!qm_weight_format_find(weights, &out->weights))
        return false;
    out->activations = qm_own_activations(out->weights);
    out->is_static = false;
    return !name[length] || (find_activations(name + length + 1, &out->activations, &out->is_static) &&
                             qm_formats_multiply(out->weights, out->activations));
}

void qm_own_formats_set(struct qm_own_formats *own, const struct qm_own_format *of, size_t count)
{
    struct qm_hash hash;
    char name[QM_OWN_FORMAT_NAME_BYTES];
    *own = (struct qm_own_formats){.of = of, .count = count, .activations = QM_ACTIVATION_F16};
    qm_hash_begin(&hash);
    for (size_t i = 0; i < count; i++) {
        bool is_none = of[i].weights >= QM_WEIGHT_FORMAT_COUNT;
        if (!is_none)
            qm_own_format_name(&of[i], name);
        qm_hash_add_text(&hash, is_none ? "none" : name);
        if (is_none || own->activations != QM_ACTIVATION_F16 || qm_activation_format_info(of[i].activations)->is_float)
            continue;
        own->activations = of[i].activations;
        own->is_static = of[i].is_static;
    }
    qm_hash_end(&hash, own->sha256);
}

void qm_scheme_bind(struct qm_scheme *scheme, const struct qm_own_formats *own)
{
    if (!scheme->is_own)
        return;
    scheme->own = own;
    if (own && !scheme->is_own_floats)
        scheme->activations = own->activations;
}

void qm_scheme_hash(const struct qm_scheme *scheme, char text[QM_HASH_TEXT_BYTES])
{
    hash_scheme(scheme, true, text);
}

void qm_scheme_artifact_hash(const struct qm_scheme *scheme, char text[QM_HASH_TEXT_BYTES])
{
    hash_scheme(scheme, false, text);
}

bool qm_scheme_same_artifact(const struct qm_scheme *a, const struct qm_scheme *b)
{
    char ours[QM_HASH_TEXT_BYTES], theirs[QM_HASH_TEXT_BYTES];
    qm_scheme_artifact_hash(a, ours);
    qm_scheme_artifact_hash(b, theirs);
    return strcmp(ours, theirs) == 0;
}

bool qm_scheme_equal(const struct qm_scheme *a, const struct qm_scheme *b)
{
    return qm_scheme_same_artifact(a, b) && a->kv == b->kv && a->kv_first == b->kv_first && a->kv_last == b->kv_last;
}

struct qm_node *qm_scheme_expand(const struct qm_scheme *scheme)
{
    char hash[QM_HASH_TEXT_BYTES];
    const struct qm_format_info *weights = qm_weight_format_info(scheme->weights);
    struct qm_node *node = qm_node_new_mapping();
    qm_node_set_text(node, "name", scheme->name);
    qm_node_set_text(node, "weights", scheme->is_own ? QM_SCHEME_OWN_NAME : weights->name);
    if (scheme->own)
        qm_node_set_text(node, "formats_sha256", scheme->own->sha256);
    qm_node_set_text(node, "activations", qm_activation_format_info(scheme->activations)->name);
    qm_node_set_u64(node, "group_size", scheme->group_size);
    qm_node_set_bool(node, "symmetric", !weights->is_asymmetric);
    qm_node_set_bool(node, "static", scheme->is_static);
    if (scheme->activation_group > 0)
        qm_node_set_u64(node, "activation_group", scheme->activation_group);
    qm_node_set_text(node, "calibrator", qm_calibrator_name(scheme->calibrator));
    if (scheme->is_act_order)
        qm_node_set_bool(node, "act_order", true);
    qm_node_set_text(node, "kv_cache", qm_kv_format_info(scheme->kv)->name);
    if (scheme->kv_first > 0)
        qm_node_set_u64(node, "kv_first", scheme->kv_first);
    if (scheme->kv_last > 0)
        qm_node_set_u64(node, "kv_last", scheme->kv_last);
    qm_scheme_hash(scheme, hash);
    qm_node_set_text(node, "identity", hash);
    return node;
}
