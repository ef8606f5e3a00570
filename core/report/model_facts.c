#include "report/model_facts.h"

#include "record/node.h"

#include <string.h>

void qm_fact_model_files(struct qm_text *told, struct qm_text *lacking, const struct qm_node *result)
{
    const struct qm_node *disclosure = qm_node_get(result, "model.disclosure");
    const struct qm_node *open = qm_node_child(disclosure, "undisclosed");
    for (size_t i = 0; i < qm_node_count(disclosure); i++) {
        const char *text = qm_node_text(qm_node_at(disclosure, i));
        if (!text)
            continue;
        qm_text_append(told, "%s", told->used ? "; " : "");
        for (const char *key = qm_node_key_at(disclosure, i); *key; key++)
            qm_text_append(told, "%c", *key == '_' ? ' ' : *key);
        qm_text_append(told, " %s", text);
    }
    for (size_t i = 0; i < qm_node_count(open); i++) {
        const char *text = qm_node_text_at(qm_node_at(open, i), "what", NULL);
        if (text)
            qm_text_append(lacking, "%s%s", lacking->used ? "; " : "", text);
    }
}
