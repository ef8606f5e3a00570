// The list of tuned kernels as a file.
#include "bench/tune_store.h"

#include "sys/file.h"

#include <stdlib.h>
#include <string.h>

enum {
    FILE_BYTES_MAX = 16 << 20
};

enum qm_status qm_tuned_load(const char *path, struct qm_tuned *out)
{
    void *bytes;
    size_t count;
    *out = (struct qm_tuned){0};
    if (!qm_file_exists(path))
        return QM_OK;
    QM_TRY(qm_file_read(path, FILE_BYTES_MAX, &bytes, &count));
    enum qm_status status = qm_tuned_parse(bytes, count, path, out);
    free(bytes);
    return status;
}

enum qm_status qm_tuned_save(const struct qm_tuned *tuned, const char *path)
{
    char *text = qm_tuned_write(tuned);
    if (!text)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to write %zu tuned kernels", path, tuned->count);
    enum qm_status status = qm_file_write(path, text, strlen(text));
    free(text);
    return status;
}
