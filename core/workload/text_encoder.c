#include "workload/text_encoder.h"

#include <stdlib.h>
#include <string.h>

enum qm_status qm_text_encoder_append(const struct qm_text_encoder *encoder, const char *text, size_t bytes,
                                      uint32_t **ids, size_t *count)
{
    uint32_t *more = NULL;
    size_t more_count = 0;
    enum qm_status status = QM_OK;
    QM_GUARD(encoder->encode(encoder->context, text, bytes, true, &more, &more_count));
    if (*count == 0) {
        free(*ids);
        *ids = more;
        more = NULL;
    } else if (more_count > 0) {
        uint32_t *grown = realloc(*ids, (*count + more_count) * sizeof(*grown));
        if (!grown)
            QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %zu tokens", *count + more_count));
        memcpy(grown + *count, more, more_count * sizeof(*grown));
        *ids = grown;
    }
    *count += more_count;
done:
    free(more);
    return status;
}
