// libFuzzer target: any bytes are read as the index of a model in several files. What is accepted names plain files only,
// each list sorted and without doubles; what is refused has one line that names the index.
//
//   tools/fuzz.sh 60 weights_index
#include "model/weights_index.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct qm_weights_index index;
    if (qm_weights_index_parse(bytes, count, "fuzz", &index) != QM_OK) {
        require(strncmp(qm_error_text(), "fuzz:", 5) == 0 && !strchr(qm_error_text(), '\n'));
        require(!index.places && !index.shards && !index.texts);
        return 0;
    }
    require(index.count > 0 && index.shard_count > 0 && index.shard_count <= QM_WEIGHTS_SHARDS_MAX);
    for (size_t i = 0; i < index.count; i++) {
        require(index.places[i].shard < index.shard_count && index.places[i].tensor[0] != '\0');
        require(i == 0 || strcmp(index.places[i - 1].tensor, index.places[i].tensor) < 0);
    }
    for (uint32_t i = 0; i < index.shard_count; i++) {
        const char *name = index.shards[i];
        require(!strpbrk(name, "/\\\n") && name[0] != '.' && strlen(name) <= QM_SHARD_NAME_BYTES_MAX);
        require(strlen(name) > 12 && strcmp(name + strlen(name) - 12, ".safetensors") == 0);
        require(i == 0 || strcmp(index.shards[i - 1], name) < 0);
    }
    require(index.has_total || index.total_bytes == 0);
    qm_weights_index_free(&index);
    return 0;
}
