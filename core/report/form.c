#include "report/form.h"

#include <string.h>

#include "record/suggest.h"

static const char *const form_names[QM_FORM_COUNT] = {"table", "md", "csv", "json", "jsonl"};

enum qm_status qm_form_find(const char *name, enum qm_form *out)
{
    for (int i = 0; i < QM_FORM_COUNT; ++i) {
        if (strcmp(form_names[i], name) == 0) {
            *out = (enum qm_form)i;
            return QM_OK;
        }
    }
    const char *near = qm_suggest(name, form_names, QM_FORM_COUNT);
    if (near)
        return QM_FAIL(QM_INVALID, "there is no form '%.40s'; did you mean '%s'?", name, near);
    return QM_FAIL(QM_INVALID, "there is no form '%.40s'; expected table, md, csv, json or jsonl", name);
}

enum qm_status qm_form_of_path(const char *path, enum qm_form *out)
{
    const char *dot = strrchr(path, '.');
    for (int i = 0; dot && i < QM_FORM_COUNT; ++i) {
        if (strcmp(dot + 1, i == QM_FORM_TABLE ? "txt" : form_names[i]) == 0) {
            *out = (enum qm_form)i;
            return QM_OK;
        }
    }
    return QM_FAIL(QM_INVALID, "%.200s: its ending says no form; expected .json, .jsonl, .csv, .md or .txt", path);
}
