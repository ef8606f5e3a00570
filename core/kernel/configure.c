#include "kernel/configure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFINITIONS_BYTES = 768,
    NAME_BYTES = 64
};

struct configured {
    struct configured *next;
    const struct qm_kernel_variant *right;
    char settings[QM_SETTINGS_BYTES];
    char name[NAME_BYTES];
    char definitions[DEFINITIONS_BYTES];
    struct qm_kernel_variant variant;
};

static struct configured *all;

// The value's place behind "-DNAME=" in a text of definitions, and its length; NULL where there is no such definition.
static char *find_value(char *definitions, const char *name, size_t name_bytes, size_t *value_bytes)
{
    for (char *at = definitions; (at = strstr(at, "-D")) != NULL;) {
        at += 2;
        if (strncmp(at, name, name_bytes) != 0 || at[name_bytes] != '=')
            continue;
        at += name_bytes + 1;
        *value_bytes = strcspn(at, " ");
        return at;
    }
    return NULL;
}

static enum qm_status apply(struct configured *c, const char *setting, size_t bytes)
{
    size_t name_bytes = 0, value_bytes = 0;
    while (name_bytes < bytes && setting[name_bytes] != '=')
        ++name_bytes;
    const char *value = setting + name_bytes + 1;
    size_t digits = name_bytes < bytes ? bytes - name_bytes - 1 : 0;
    char *at = find_value(c->definitions, setting, name_bytes, &value_bytes);
    if (digits == 0 || digits > 6 || strspn(value, "0123456789") < digits || value[0] == '0')
        return QM_FAIL(QM_INVALID, "kernel %s: setting '%.*s'; expected NAME=NUMBER, of 1 to 999999", c->right->name,
                       (int)bytes, setting);
    if (!at)
        return QM_FAIL(QM_INVALID, "kernel %s has no definition '%.*s' that could be set; it has %s", c->right->name,
                       (int)name_bytes, setting, c->right->definitions);
    if (strlen(c->definitions) - value_bytes + digits >= sizeof(c->definitions))
        return QM_FAIL(QM_INVALID, "kernel %s: too many settings", c->right->name);
    memmove(at + digits, at + value_bytes, strlen(at + value_bytes) + 1);
    memcpy(at, value, digits);
    uint32_t number = (uint32_t)strtoul(value, NULL, 10);
    if (strncmp(setting, "QM_WORKGROUP_X", name_bytes) == 0 && name_bytes == strlen("QM_WORKGROUP_X"))
        c->variant.workgroup[0] = number;
    if (strncmp(setting, "QM_WORKGROUP_Y", name_bytes) == 0 && name_bytes == strlen("QM_WORKGROUP_Y"))
        c->variant.workgroup[1] = number;
    return QM_OK;
}

enum qm_status qm_kernel_configure(const struct qm_kernel_variant *right, const char *settings,
                                   const struct qm_kernel_variant **out)
{
    const char *tile = strrchr(right->name, '-');
    *out = NULL;
    if (settings[strspn(settings, " ")] == '\0') {
        *out = right;
        return QM_OK;
    }
    for (const struct configured *c = all; c; c = c->next) {
        if (c->right != right || strcmp(c->settings, settings) != 0)
            continue;
        *out = &c->variant;
        return QM_OK;
    }
    if (!tile || strlen(settings) >= QM_SETTINGS_BYTES || strlen(right->definitions) >= DEFINITIONS_BYTES)
        return QM_FAIL(QM_INVALID, "kernel %s: too many settings", right->name);
    struct configured *c = calloc(1, sizeof(*c));
    if (!c)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to configure kernel %s", right->name);
    c->right = right;
    snprintf(c->settings, sizeof(c->settings), "%s", settings);
    snprintf(c->name, sizeof(c->name), "%.*s-tuned", (int)(tile - right->name), right->name);
    snprintf(c->definitions, sizeof(c->definitions), "%s", right->definitions);
    c->variant = *right;
    c->variant.name = c->name;
    c->variant.definitions = c->definitions;
    c->variant.spirv = NULL;
    c->variant.spirv_bytes = 0;
    for (const char *at = settings; *(at += strspn(at, " ")) != '\0'; at += strcspn(at, " ")) {
        enum qm_status status = apply(c, at, strcspn(at, " "));
        if (status != QM_OK) {
            free(c);
            return status;
        }
    }
    c->next = all;
    all = c;
    *out = &c->variant;
    return QM_OK;
}
