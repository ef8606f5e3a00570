// libFuzzer target: whatever the bytes, the list of tuned kernels is refused with one line or read, written and read again
// alike; and what a run takes from it is settings that a kernel has, or a refusal.
#include "bench/tune_store.h"
#include "kernel/kernels.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

// As a device whose entries the list has: the first one's.
static void take(const struct qm_tuned *tuned)
{
    struct qm_device_info info = {0};
    char *text = NULL;
    size_t ignored;
    if (tuned->count > 0) {
        memcpy(info.api, tuned->entries[0].api, sizeof(info.api));
        memcpy(info.name, tuned->entries[0].device, sizeof(info.name));
        memcpy(info.driver, tuned->entries[0].driver, sizeof(info.driver));
    }
    require(qm_tuned_text(tuned, &info, &text, &ignored) == QM_OK);
    if (qm_kernel_tuned_set(text) != QM_OK)
        require(qm_error_text()[0] != '\0' && !strchr(qm_error_text(), '\n'));
    require(qm_kernel_find("matmul-w8-a8", "narrow+tuned") != NULL);
    require(qm_kernel_tuned_set(NULL) == QM_OK);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qm_tuned tuned, again;
    char *copy = malloc(size + 1);
    require(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = '\0';
    if (qm_kernel_tuned_set(copy) == QM_OK) // the samples of a stranger's result hold such a text
        require(qm_kernel_tuned_set("") == QM_OK);
    free(copy);
    if (qm_tuned_parse((const char *)data, size, "fuzz", &tuned) != QM_OK) {
        require(strncmp(qm_error_text(), "fuzz: ", 6) == 0 && !strchr(qm_error_text(), '\n') && tuned.count == 0);
        return 0;
    }
    char *text = qm_tuned_write(&tuned);
    require(text && qm_tuned_parse(text, strlen(text), "fuzz", &again) == QM_OK && again.count == tuned.count);
    for (size_t i = 0; i < tuned.count; ++i) {
        require(strcmp(tuned.entries[i].settings, again.entries[i].settings) == 0);
        require(qm_tuned_put(&again, &tuned.entries[i]) == QM_OK && again.count <= tuned.count);
    }
    take(&tuned);
    free(text);
    qm_tuned_free(&again);
    qm_tuned_free(&tuned);
    return 0;
}
