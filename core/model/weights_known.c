#include "model/weights_known.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/file.h"
#include "sys/host.h"

#define FOLDER "hashes"
#define QUIET_S 2

// DIRECTORY/hashes/KEY.txt
static enum qm_status note_path(const struct qm_weights *weights, const void *more, size_t more_bytes,
                                const char *directory, char path[QM_PATH_BYTES])
{
    struct qm_hash hash;
    char key[QM_HASH_TEXT_BYTES], name[QM_HASH_TEXT_BYTES + 16];
    qm_hash_begin(&hash);
    for (size_t i = 0; i < weights->shard_count; i++) {
        const struct qm_file_map *map = &weights->shards[i].map;
        char text[160];
        snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %zu %" PRId64 ".%09" PRId64 " %" PRId64 ".%09" PRId64,
                 map->device, map->inode, map->count, map->changed_s, map->changed_ns, map->status_s, map->status_ns);
        qm_hash_add_text(&hash, text);
    }
    qm_hash_add(&hash, weights->index, weights->index_bytes);
    qm_hash_add(&hash, "", 1);
    qm_hash_add(&hash, more, more_bytes);
    qm_hash_end(&hash, key);
    snprintf(name, sizeof(name), "%s/%s.txt", FOLDER, key);
    return qm_path_join(path, directory, name);
}

static bool is_quiet(const struct qm_weights *weights)
{
    const int64_t now_s = qm_time_s();
    for (size_t i = 0; i < weights->shard_count; i++) {
        const struct qm_file_map *map = &weights->shards[i].map;
        if (map->changed_s > now_s - QUIET_S || map->status_s > now_s - QUIET_S)
            return false;
    }
    return true;
}

bool qm_weights_known(const struct qm_weights *weights, const void *more, size_t more_bytes, const char *directory,
                      char text[QM_HASH_TEXT_BYTES])
{
    char path[QM_PATH_BYTES];
    void *bytes = NULL;
    size_t count = 0;
    bool is_known = false;
    if (!directory || !is_quiet(weights) || note_path(weights, more, more_bytes, directory, path) != QM_OK ||
        !qm_file_exists(path) || qm_file_read(path, QM_HASH_TEXT_BYTES, &bytes, &count) != QM_OK)
        return false;
    is_known = count == QM_HASH_TEXT_BYTES - 1 && strspn(bytes, "0123456789abcdef") == count;
    if (is_known)
        memcpy(text, bytes, count + 1);
    free(bytes);
    return is_known;
}

void qm_weights_note(const struct qm_weights *weights, const void *more, size_t more_bytes, const char *directory,
                     const char text[QM_HASH_TEXT_BYTES])
{
    char path[QM_PATH_BYTES], folder[QM_PATH_BYTES];
    if (directory && is_quiet(weights) && note_path(weights, more, more_bytes, directory, path) == QM_OK &&
        qm_path_join(folder, directory, FOLDER) == QM_OK && qm_directory_make(folder) == QM_OK)
        (void)!qm_file_write(path, text, QM_HASH_TEXT_BYTES - 1);
}
