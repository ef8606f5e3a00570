#include "model/weights.h"
#include "model/gguf_model.h"
#include "model/gguf_values.h"
#include "model/quantized_sets.h"
#include "model/tensor_values.h"
#include "model/weights_index.h"
#include "sys/file.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEADERS_MAX ((size_t)64 << 20) // bytes, of all shards: what they name is kept. The largest models' have 12 MB

// Opening ---------------------------------------------------------------------------------------------------------

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct qm_weights_entry *)a)->tensor->name,
                  ((const struct qm_weights_entry *)b)->tensor->name);
}

const struct qm_weights_entry *qm_weights_sort(struct qm_weights_entry *entries, size_t count)
{
    if (count > 0)
        qsort(entries, count, sizeof(*entries), by_name);
    for (size_t i = 1; i < count; i++)
        if (by_name(&entries[i - 1], &entries[i]) == 0)
            return &entries[i];
    return NULL;
}

// One list of what is in all shards.
static enum qm_status list_entries(struct qm_weights *out)
{
    size_t count = 0;
    for (size_t i = 0; i < out->shard_count; i++)
        count += out->shards[i].count;
    out->entries = calloc(count + 1, sizeof(*out->entries));
    if (!out->entries)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a list of %zu tensors", out->file, count);
    for (size_t i = 0; i < out->shard_count; i++)
        for (size_t t = 0; t < out->shards[i].count; t++) {
            const struct qm_tensor *tensor = &out->shards[i].tensors[t];
            out->entries[out->count++] = (struct qm_weights_entry){.tensor = tensor, .shard = &out->shards[i]};
            out->bytes += tensor->bytes;
        }
    const struct qm_weights_entry *twice = qm_weights_sort(out->entries, out->count);
    if (twice)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': is in '%s', too; each tensor must be in one file",
                       twice->shard->file, twice->tensor->name, qm_path_name(twice[-1].shard->file));
    return QM_OK;
}

// Both lists are in the order of names: they must be the same.
static enum qm_status compare_with_index(const struct qm_weights *weights, const struct qm_weights_index *index)
{
    for (size_t i = 0; i < weights->count || i < index->count; i++) {
        const struct qm_weights_entry *entry = i < weights->count ? &weights->entries[i] : NULL;
        const struct qm_weights_place *place = i < index->count ? &index->places[i] : NULL;
        if (entry && (!place || strcmp(entry->tensor->name, place->tensor) < 0))
            return QM_FAIL(QM_INVALID,
                           "%s: tensor '%s': the index does not name it; get index and files again, together",
                           entry->shard->file, entry->tensor->name);
        if (place && (!entry || strcmp(entry->tensor->name, place->tensor) > 0))
            return QM_FAIL(QM_INVALID, "%s: tensor '%s': is not in '%s', nor in any other of the files; get them again",
                           weights->file, place->tensor, index->shards[place->shard]);
        if (entry && place && entry->shard != &weights->shards[place->shard])
            return QM_FAIL(QM_INVALID,
                           "%s: tensor '%s': is not in '%s' but in '%s'; get index and files again, together",
                           weights->file, place->tensor, index->shards[place->shard], qm_path_name(entry->shard->file));
    }
    if (index->has_total && index->total_bytes != weights->bytes)
        return QM_FAIL(QM_INVALID,
                       "%s: 'total_size' is %" PRIu64 " bytes, the tensors have %" PRIu64
                       "; get index and files again, together, or correct it",
                       weights->file, index->total_bytes, weights->bytes);
    return QM_OK;
}

static enum qm_status check_shards_are_there(const char *directory, const char *file,
                                             const struct qm_weights_index *index)
{
    char path[QM_PATH_BYTES];
    uint32_t missing = 0, first = 0;
    for (uint32_t i = 0; i < index->shard_count; i++) {
        QM_TRY(qm_path_join(path, directory, index->shards[i]));
        if (qm_file_exists(path))
            continue;
        first = missing++ == 0 ? i : first;
    }
    if (missing == 0)
        return QM_OK;
    return QM_FAIL(QM_INVALID, "%s: %" PRIu32 " of its %" PRIu32 " files %s not there, %s'%s'; get what is missing",
                   file, missing, index->shard_count, missing == 1 ? "is" : "are", missing == 1 ? "" : "first ",
                   index->shards[first]);
}

// What of a mapped file is no data.
static size_t header_bytes(const struct qm_tensors *shard)
{
    size_t bytes = shard->map.count;
    for (size_t i = 0; i < shard->count; i++)
        bytes -= shard->tensors[i].bytes;
    return bytes;
}

static enum qm_status open_shards(const char *directory, const char *const *names, size_t count, struct qm_weights *out)
{
    char path[QM_PATH_BYTES];
    size_t headers = 0;
    out->shards = calloc(count, sizeof(*out->shards));
    if (!out->shards)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a list of %zu files", out->file, count);
    for (; out->shard_count < count; out->shard_count++) {
        QM_TRY(qm_path_join(path, directory, names[out->shard_count]));
        QM_TRY(qm_tensors_map(path, &out->shards[out->shard_count]));
        headers += header_bytes(&out->shards[out->shard_count]);
        if (headers > HEADERS_MAX)
            return QM_FAIL(QM_INVALID, "%s: up to here the files' headers have %zu bytes; at most %zu are read", path,
                           headers, HEADERS_MAX);
    }
    return list_entries(out);
}

static enum qm_status open_index(const char *directory, struct qm_weights *out)
{
    enum qm_status status = QM_OK;
    struct qm_weights_index index = {0};
    QM_GUARD(qm_file_read(out->file, QM_WEIGHTS_INDEX_MAX, &out->index, &out->index_bytes));
    QM_GUARD(qm_weights_index_parse(out->index, out->index_bytes, out->file, &index));
    QM_GUARD(check_shards_are_there(directory, out->file, &index));
    QM_GUARD(open_shards(directory, index.shards, index.shard_count, out));
    QM_GUARD(compare_with_index(out, &index));
done:
    qm_weights_index_free(&index);
    return status;
}

enum qm_status qm_weights_open(const char *directory, struct qm_weights *out)
{
    static const char *const one[] = {QM_WEIGHTS_FILE};
    enum qm_status status = QM_OK;
    char path[QM_PATH_BYTES], index[QM_PATH_BYTES];
    memset(out, 0, sizeof(*out));
    if (qm_weights_is_gguf(directory))
        return qm_weights_open_gguf(directory, out);
    QM_TRY(qm_weights_check_layout(directory));
    QM_TRY(qm_path_join(path, directory, QM_WEIGHTS_FILE));
    QM_TRY(qm_path_join(index, directory, QM_WEIGHTS_INDEX_FILE));
    bool is_one = qm_file_exists(path) || qm_path_is_link(path);
    out->file = strdup(is_one ? path : index);
    if (!out->file)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", directory));
    QM_GUARD(is_one ? open_shards(directory, one, 1, out) : open_index(directory, out));
done:
    if (status != QM_OK)
        qm_weights_close(out);
    return status;
}

void qm_weights_close(struct qm_weights *weights)
{
    for (size_t i = 0; i < weights->shard_count; i++)
        qm_tensors_free(&weights->shards[i]);
    if (weights->gguf)
        qm_gguf_close(weights->gguf);
    free(weights->gguf);
    if (weights->quantized)
        qm_quantized_sets_free(weights->quantized);
    free(weights->entries);
    free(weights->arranged_tensors);
    free(weights->arranged_names);
    free(weights->shards);
    free(weights->file);
    free(weights->index);
    memset(weights, 0, sizeof(*weights));
}

const struct qm_weights_entry *qm_weights_find(const struct qm_weights *weights, const char *name)
{
    const struct qm_tensor tensor = {.name = name};
    const struct qm_weights_entry key = {.tensor = &tensor};
    return weights->count ? bsearch(&key, weights->entries, weights->count, sizeof(key), by_name) : NULL;
}

enum qm_status qm_weights_check(const struct qm_weights *weights)
{
    for (size_t i = 0; i < weights->shard_count; i++)
        QM_TRY(qm_file_map_check(&weights->shards[i].map, weights->shards[i].file));
    return QM_OK;
}

// Values and hash -------------------------------------------------------------------------------------------------

enum {
    UNIT = 1 << 19,      // values that one thread converts at least, 0.1 ms: some times what its start costs
    PIECE = 1 << 21,     // values after which pages are given back
    HASH_PIECE = 1 << 23 // bytes, likewise
};

struct conversion {
    const struct qm_weights_entry *entry;
    size_t first, count;
    float *values;
    atomic_bool is_out_of_memory;
    atomic_size_t bad; // the first value that is not finite, from `first` on; `count` if none is
};

static void convert_units(void *context, size_t begin, size_t end)
{
    struct conversion *all = context;
    const struct qm_tensor *tensor = all->entry->tensor;
    size_t value_bytes = qm_dtype_bytes(tensor->dtype), last = end * UNIT < all->count ? end * UNIT : all->count;
    for (size_t at = begin * UNIT; at < last && at < atomic_load(&all->bad); at += PIECE) {
        size_t some = last - at < PIECE ? last - at : PIECE;
        const char *data = (const char *)tensor->data + (all->first + at) * value_bytes;
        size_t bad = at + qm_values_to_floats(tensor->dtype, data, some, all->values + at);
        qm_file_map_drop(&all->entry->shard->map, data, some * value_bytes);
        size_t lowest = atomic_load(&all->bad);
        while (bad < at + some && bad < lowest && !atomic_compare_exchange_weak(&all->bad, &lowest, bad))
            ;
    }
}

uint64_t qm_weights_value_count(const struct qm_weights_entry *entry)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < entry->tensor->rank; i++)
        count *= entry->tensor->shape[i];
    return count;
}

enum {
    TILE = 32 // rows that lie side by side in a column: what a cache line brings is used
};

// Values that lie column by column, as rows: `turned_over` values from one of a row to the next.
static void turn_rows(void *context, size_t begin, size_t end)
{
    struct conversion *all = context;
    const struct qm_tensor *tensor = all->entry->tensor;
    const size_t width = qm_dtype_bytes(tensor->dtype), columns = (size_t)tensor->shape[1];
    const size_t last = all->first + all->count, stride = (size_t)all->entry->turned_over * width;
    char *raw = malloc(TILE * columns * width);
    float *rows = malloc(TILE * columns * sizeof(*rows));
    if (!raw || !rows)
        atomic_store(&all->is_out_of_memory, true);
    for (size_t tile = begin; raw && rows && columns > 0 && tile < end; tile++) {
        size_t row = all->first / columns + tile * TILE, most = (last + columns - 1) / columns;
        size_t some = most - row < TILE ? most - row : TILE;
        const char *from = (const char *)tensor->data + row * width;
        for (size_t c = 0; c < columns; c++)
            for (size_t r = 0; r < some; r++)
                memcpy(raw + (r * columns + c) * width, from + c * stride + r * width, width);
        size_t low = row * columns > all->first ? row * columns : all->first;
        size_t high = (row + some) * columns < last ? (row + some) * columns : last;
        size_t skipped = low - row * columns, at = low - all->first;
        size_t bad = qm_values_to_floats(tensor->dtype, raw + skipped * width, high - low, rows);
        memcpy(all->values + at, rows, (high - low) * sizeof(*rows));
        size_t lowest = atomic_load(&all->bad);
        while (bad < high - low && at + bad < lowest && !atomic_compare_exchange_weak(&all->bad, &lowest, at + bad))
            ;
    }
    free(raw);
    free(rows);
}

static void turn(struct conversion *all)
{
    const size_t columns = (size_t)all->entry->tensor->shape[1];
    if (all->count > 0 && columns > 0) {
        size_t rows = (all->first + all->count + columns - 1) / columns - all->first / columns;
        qm_parallel_for((rows + TILE - 1) / TILE, turn_rows, all);
    }
}

// The same of a GGUF file, row by row: a row is whole blocks, of which a part may be asked for.
static void decode_rows(void *context, size_t begin, size_t end)
{
    struct conversion *all = context;
    const struct qm_weights_entry *entry = all->entry;
    const struct qm_gguf_tensor *from = entry->gguf;
    const uint64_t columns = from->shape[from->rank - 1], values = from->type->block_values;
    const uint64_t row_bytes = columns / values * from->type->block_bytes, last = all->first + all->count;
    float *row = malloc((size_t)columns * sizeof(*row));
    if (!row)
        atomic_store(&all->is_out_of_memory, true);
    for (uint64_t r = all->first / columns + begin; row && r < all->first / columns + end; r++) {
        uint64_t low = r * columns > all->first ? r * columns : all->first,
                 high = (r + 1) * columns < last ? (r + 1) * columns : last,
                 lies = entry->turned_width ? qm_gguf_turned_row(entry->turned_width, (uint32_t)r) : r;
        size_t bad = qm_gguf_decode(from, lies * columns / values, columns / values, row);
        size_t at = (size_t)(low - all->first), skipped = (size_t)(low - r * columns), some = (size_t)(high - low);
        memcpy(all->values + at, row + skipped, some * sizeof(*row));
        qm_file_map_drop(&entry->shard->map, from->data + lies * row_bytes, (size_t)row_bytes);
        size_t lowest = atomic_load(&all->bad);
        bad = bad < skipped ? at : at + bad - skipped; // what comes behind a bad value of the row is not known
        while (bad < at + some && bad < lowest && !atomic_compare_exchange_weak(&all->bad, &lowest, bad))
            ;
    }
    free(row);
}

static enum qm_status decode_blocks(struct conversion *all)
{
    const struct qm_weights_entry *entry = all->entry;
    uint64_t columns = entry->gguf->shape[entry->gguf->rank - 1];
    if (all->count == 0)
        return QM_OK;
    size_t rows = (size_t)((all->first + all->count - 1) / columns - all->first / columns + 1);
    qm_parallel_for(rows, decode_rows, all);
    if (atomic_load(&all->is_out_of_memory))
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a row of '%s'", entry->shard->file, entry->gguf->name);
    size_t bad = atomic_load(&all->bad);
    return bad == all->count
               ? QM_OK
               : QM_FAIL(QM_INVALID, "%s: tensor '%s': value %zu is not finite; every weight must be",
                         entry->shard->file, entry->gguf->name, (size_t)entry->gguf->first + all->first + bad);
}

enum qm_status qm_weights_check_dtype(const struct qm_weights_entry *entry)
{
    if (entry->gguf || entry->quantized || qm_dtype_is_float(entry->tensor->dtype))
        return QM_OK;
    return QM_FAIL(QM_INVALID, "%s: tensor '%s': dtype %s; a model's weights must be F32, F16 or BF16",
                   entry->shard->file, entry->tensor->name, qm_dtype_name(entry->tensor->dtype));
}

enum qm_status qm_weights_floats(const struct qm_weights_entry *entry, size_t first, size_t count, float *values)
{
    const struct qm_tensor *tensor = entry->tensor;
    struct conversion all = {.entry = entry, .first = first, .count = count, .values = values};
    QM_TRY(qm_weights_check_dtype(entry));
    atomic_init(&all.bad, count);
    atomic_init(&all.is_out_of_memory, false);
    if (entry->quantized)
        return qm_quantized_floats(entry->quantized, first, count, values);
    if (entry->gguf)
        return decode_blocks(&all);
    if (entry->turned_over > 0)
        turn(&all);
    else
        qm_parallel_for(count / UNIT + (count % UNIT != 0), convert_units, &all);
    if (atomic_load(&all.is_out_of_memory))
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to turn rows of '%s'", entry->shard->file, tensor->name);
    size_t bad = atomic_load(&all.bad);
    for (size_t i = 0; entry->added != 0 && i < bad; i++) // gains: few
        values[i] += entry->added;
    if (bad == count)
        return QM_OK;
    size_t place = first + bad;
    if (entry->turned_over > 0)
        place = (size_t)(place % tensor->shape[1] * entry->turned_over + place / tensor->shape[1]);
    const char *at = (const char *)tensor->data + place * qm_dtype_bytes(tensor->dtype);
    return QM_FAIL(QM_INVALID, "%s: tensor '%s': value %zu is %s; every weight must be finite", entry->shard->file,
                   tensor->name, first + bad, qm_value_is_nan(tensor->dtype, at) ? "not a number" : "infinite");
}

void qm_weights_hash(const struct qm_weights *weights, const void *more, size_t more_bytes, const atomic_bool *stop,
                     char text[QM_HASH_TEXT_BYTES])
{
    struct qm_hash hash;
    qm_hash_begin(&hash);
    for (size_t i = 0; i < weights->shard_count; i++) {
        const struct qm_file_map *map = &weights->shards[i].map;
        for (size_t at = 0; at < map->count && !(stop && atomic_load(stop)); at += HASH_PIECE) {
            const char *bytes = (const char *)map->bytes + at;
            size_t some = map->count - at < HASH_PIECE ? map->count - at : HASH_PIECE;
            qm_hash_add(&hash, bytes, some);
            qm_file_map_drop(map, bytes, some);
        }
    }
    qm_hash_add(&hash, weights->index, weights->index_bytes);
    qm_hash_add(&hash, more, more_bytes);
    qm_hash_end(&hash, text);
}
