#include "bench/result_files.h"

#include "model/disclosure.h"
#include "record/audit.h"
#include "record/node.h"

#include <string.h>

static void add_one(struct qm_node *list, const char *what)
{
    qm_node_set_text(qm_node_append_mapping(list), "what", what);
}

static void add_open(struct qm_node *list, const struct qm_audit_row *row)
{
    if (row->level == QM_UNDISCLOSED)
        add_one(list, row->component->title);
    for (size_t i = 0; row->level != QM_UNDISCLOSED && i < row->gap_count; i++)
        add_one(list, row->gaps[i].title);
}

// A component told by a word or by its name.
static void add_named(struct qm_node *to, const char *key, const struct qm_node *claim)
{
    const struct qm_node *value = qm_node_child(claim, key);
    const char *text = qm_node_is_text(value) ? qm_node_text(value) : qm_node_text_at(value, "name", NULL);
    const char *sequences = qm_node_text_at(value, "sequences", NULL);
    if (text && sequences)
        qm_node_set_textf(to, key, "%s, %s sequences", text, sequences);
    else if (text)
        qm_node_set_text(to, key, text);
    else if (sequences)
        qm_node_set_textf(to, key, "%s sequences", sequences);
}

void qm_result_add_files(struct qm_node *model, const char *path)
{
    static const char *const told[] = {"container",    "model",           "quantized_by", "program",
                                       "source_model", "source_revision", "licence"};
    static const enum qm_component_id asked[] = {QM_COMPONENT_PRECISION, QM_COMPONENT_TENSORS,
                                                 QM_COMPONENT_CALIBRATION_SET, QM_COMPONENT_CALIBRATION_METHOD};
    struct qm_node *claim = NULL;
    struct qm_audit audit;
    if (!qm_model_disclosure_is_for(path) || qm_model_disclosure(path, &claim) != QM_OK)
        return;
    if (strcmp(qm_node_text_at(claim, "precision.weights.storage", ""), "not quantized") == 0) {
        qm_node_destroy(&claim);
        return;
    }
    struct qm_node *to = qm_node_add_mapping(model, "disclosure");
    const struct qm_node *subject = qm_node_child(claim, "subject");
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
        if (qm_node_text_at(subject, told[i], NULL))
            qm_node_set_text(to, told[i], qm_node_text_at(subject, told[i], NULL));
    if (qm_node_text_at(claim, "tensors.weights", NULL))
        qm_node_set_text(to, "weights", qm_node_text_at(claim, "tensors.weights", NULL));
    add_named(to, "calibration_set", claim);
    add_named(to, "calibration_method", claim);
    struct qm_node *list = qm_node_add_sequence(to, "undisclosed");
    qm_audit_claim(claim, &audit);
    add_open(list, &audit.files);
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
        add_open(list, &audit.rows[asked[i]]);
    add_one(list, "accuracy against the model that it was made from");
    qm_node_destroy(&claim);
}
