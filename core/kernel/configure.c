#include "kernel/configure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kernels.h"

enum {
    DEFINITIONS_BYTES = 768,
    NAME_BYTES = 72,
    CONFIGURED_MAX = 16384, // in one process: a search tries some hundreds
    TUNED_MAX = 2048
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
static size_t configured_count;
static const struct configured *tuned[TUNED_MAX];
static size_t tuned_count;

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
    if (configured_count == CONFIGURED_MAX || strlen(settings) >= QM_SETTINGS_BYTES ||
        strlen(right->definitions) >= DEFINITIONS_BYTES)
        return QM_FAIL(QM_INVALID, "kernel %s: too many settings", right->name);
    struct configured *c = calloc(1, sizeof(*c));
    if (!c)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to configure kernel %s", right->name);
    c->right = right;
    snprintf(c->settings, sizeof(c->settings), "%s", settings);
    snprintf(c->name, sizeof(c->name), "%s+tuned", right->name);
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
    ++configured_count;
    *out = &c->variant;
    return QM_OK;
}

// ---- What is taken for tuned --------------------------------------------------------------------------------------

static const struct configured *of_variant(const struct qm_kernel_variant *variant)
{
    for (const struct configured *c = all; c; c = c->next)
        if (&c->variant == variant)
            return c;
    return NULL;
}

static enum qm_status set_one(const char *text, size_t bytes, size_t *count)
{
    char name[NAME_BYTES], settings[QM_SETTINGS_BYTES];
    size_t name_bytes = strcspn(text, " ;");
    const struct qm_kernel_variant *right = NULL, *variant;
    if (name_bytes >= bytes || name_bytes >= sizeof(name) || bytes - name_bytes > sizeof(settings))
        return QM_FAIL(QM_INVALID, "tuned kernel '%.40s': expected VARIANT NAME=NUMBER ...", text);
    snprintf(name, sizeof(name), "%.*s", (int)name_bytes, text);
    snprintf(settings, sizeof(settings), "%.*s", (int)(bytes - name_bytes - 1), text + name_bytes + 1);
    for (size_t i = 0; i < qm_kernel_variant_count && !right; ++i)
        right = strcmp(qm_kernel_variants[i].name, name) == 0 ? &qm_kernel_variants[i] : NULL;
    if (!right)
        return QM_FAIL(QM_INVALID, "tuned kernel '%s': this build has none of that name", name);
    QM_TRY(qm_kernel_configure(right, settings, &variant));
    if (variant == right)
        return QM_OK;
    if (*count == TUNED_MAX)
        return QM_FAIL(QM_INVALID, "more than %d tuned kernels", TUNED_MAX);
    tuned[(*count)++] = of_variant(variant);
    return QM_OK;
}

enum qm_status qm_kernel_tuned_set(const char *text)
{
    size_t count = 0;
    enum qm_status status = QM_OK;
    tuned_count = 0;
    for (const char *at = text ? text : ""; *at && status == QM_OK; at += strspn(at, ";")) {
        size_t bytes = strcspn(at, ";");
        if (bytes > 0)
            status = set_one(at, bytes, &count);
        at += bytes;
    }
    tuned_count = status == QM_OK ? count : 0;
    return status;
}

const struct qm_kernel_variant *qm_kernel_tuned(const struct qm_kernel_variant *right)
{
    for (size_t i = 0; i < tuned_count; ++i)
        if (tuned[i]->right == right)
            return &tuned[i]->variant;
    return right;
}

const char *qm_kernel_settings(const struct qm_kernel_variant *variant)
{
    const struct configured *c = of_variant(variant);
    return c ? c->settings : "";
}
