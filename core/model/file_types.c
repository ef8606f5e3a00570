#include "model/file_types.h"

#include <string.h>

#include "model/gguf.h"

size_t qm_file_types(const struct qm_weights *weights, struct qm_file_type types[QM_FILE_TYPES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < weights->count; ++i) {
        const struct qm_weights_entry *entry = &weights->entries[i];
        const char *name = entry->gguf ? entry->gguf->type->name : qm_dtype_name(entry->tensor->dtype);
        size_t at = 0;
        while (at < count && strcmp(types[at].name, name) != 0)
            ++at;
        if (at == QM_FILE_TYPES_MAX)
            continue; // there are not so many
        if (at == count)
            types[count++] = (struct qm_file_type){.name = name};
        types[at].tensors += !entry->gguf || entry->gguf->first == 0; // of several weights in one, the first
        types[at].bytes += entry->tensor->bytes;
    }
    return count;
}
