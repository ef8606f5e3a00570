#include "sys/blas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "sys/leaks.h"
#include "sys/library.h"

static bool open_library(const char *name, struct qm_blas *out)
{
    const char *(*config)(void) = NULL;
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library || !qm_library_find(library, "cblas_sgemm", &out->sgemm) ||
        !qm_library_find(library, "openblas_set_num_threads", &out->set_threads) ||
        !qm_library_find(library, "openblas_get_config", &config))
        return false;
    snprintf(out->name, sizeof(out->name), "%s", config());
    if (strstr(out->name, "USE64BITINT"))
        return false;
    qm_text_clean(out->name);
    for (size_t end = strlen(out->name); end > 0 && out->name[end - 1] == ' '; --end)
        out->name[end - 1] = '\0';
    return true;
}

bool qm_blas_open(const char *library, struct qm_blas *out)
{
    QM_LEAKS_IGNORE();
    *out = (struct qm_blas){0};
    bool is_open = open_library(library, out);
    QM_LEAKS_HEED();
    return is_open;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct qm_blas found;
static bool is_found;

static void look(void)
{
    static const char *const usual[] = {"libopenblas.so.0", "libopenblasp.so.0", "libopenblas.so"};
    const char *chosen = getenv("QM_BLAS");
    if (chosen && *chosen) {
        is_found = strcmp(chosen, "none") != 0 && qm_blas_open(chosen, &found);
        return;
    }
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]) && !is_found; ++i)
        is_found = qm_blas_open(usual[i], &found);
}

const struct qm_blas *qm_blas_find(void)
{
    pthread_once(&once, look);
    return is_found ? &found : NULL;
}
