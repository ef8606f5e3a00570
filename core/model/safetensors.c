#include "model/safetensors.h"
#include "model/json_bound.h"
#include "sys/file.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors are little-endian and read in place: port the readers before building for a big-endian machine"
#endif

#define DATA_ALIGNMENT 64u // of the data's begin in files that we write
#define PREFIX_BYTES 8u
#define WRITE_PIECE ((size_t)8 << 20)

static const struct {
    const char *name;
    size_t bytes;
} dtypes[QM_DTYPE_COUNT] = {
    [QM_DTYPE_F32] = {"F32", 4},         [QM_DTYPE_F16] = {"F16", 2},         [QM_DTYPE_BF16] = {"BF16", 2},
    [QM_DTYPE_U8] = {"U8", 1},           [QM_DTYPE_I8] = {"I8", 1},           [QM_DTYPE_U32] = {"U32", 4},
    [QM_DTYPE_I32] = {"I32", 4},         [QM_DTYPE_BOOL] = {"BOOL", 1},       [QM_DTYPE_F8_E4M3] = {"F8_E4M3", 1},
    [QM_DTYPE_F8_E5M2] = {"F8_E5M2", 1}, [QM_DTYPE_F8_E8M0] = {"F8_E8M0", 1}, [QM_DTYPE_I16] = {"I16", 2},
    [QM_DTYPE_U16] = {"U16", 2},         [QM_DTYPE_I64] = {"I64", 8},         [QM_DTYPE_U64] = {"U64", 8},
    [QM_DTYPE_F64] = {"F64", 8},         [QM_DTYPE_C64] = {"C64", 8},
};

const char *qm_dtype_name(enum qm_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t qm_dtype_bytes(enum qm_dtype dtype)
{
    return dtypes[dtype].bytes;
}

void qm_shape_text(uint32_t rank, const uint64_t *shape, char text[QM_SHAPE_TEXT_BYTES])
{
    size_t used = 1;
    text[0] = '[';
    for (uint32_t i = 0; i < rank; i++)
        used += (size_t)snprintf(text + used, QM_SHAPE_TEXT_BYTES - used, "%s%" PRIu64, i ? ", " : "", shape[i]);
    snprintf(text + used, QM_SHAPE_TEXT_BYTES - used, "]");
}

bool qm_tensor_is_aligned(const struct qm_tensor *tensor)
{
    return (uintptr_t)tensor->data % dtypes[tensor->dtype].bytes == 0;
}

// False on overflow and for an empty dimension.
static bool bytes_of(enum qm_dtype dtype, uint32_t rank, const uint64_t *shape, size_t *bytes)
{
    *bytes = dtypes[dtype].bytes;
    for (uint32_t i = 0; i < rank; i++)
        if (shape[i] == 0 || __builtin_mul_overflow(*bytes, shape[i], bytes))
            return false;
    return true;
}

// Reading ---------------------------------------------------------------------------------------------------------

// A text that can stand in a message of one line.
static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

enum qm_status qm_tensor_check_name(const char *file, const char *name)
{
    size_t length = strlen(name);
    if (length == 0)
        return QM_FAIL(QM_INVALID, "%s: a tensor's name is empty; every tensor needs one", file);
    if (length > QM_TENSOR_NAME_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s: a tensor's name has %zu bytes; at most %d are allowed", file, length,
                       QM_TENSOR_NAME_BYTES_MAX);
    if (!is_printable(name))
        return QM_FAIL(QM_INVALID, "%s: a tensor's name holds a control character; use printable ones", file);
    return QM_OK;
}

static enum qm_status read_dtype(const char *file, const char *name, const json_t *value, enum qm_dtype *out)
{
    const char *text = json_string_value(value);
    if (!text)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': no 'dtype' that is a text; use one such as \"F32\"", file, name);
    for (int i = 0; i < QM_DTYPE_COUNT; i++)
        if (strcmp(text, dtypes[i].name) == 0) {
            *out = (enum qm_dtype)i;
            return QM_OK;
        }
    return QM_FAIL(
        QM_INVALID,
        "%s: tensor '%s': dtype '%.16s'; only types of whole bytes can be read, such as F32, F16, BF16 and I8", file,
        name, is_printable(text) ? text : "?");
}

static enum qm_status read_shape(const char *file, const char *name, const json_t *value, struct qm_tensor *out)
{
    size_t rank = json_array_size(value);
    if (!json_is_array(value))
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': no 'shape' that is a list; use one such as [512, 256]", file,
                       name);
    if (rank > QM_TENSOR_RANK_MAX)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': the shape has %zu dimensions; at most %d are allowed", file, name,
                       rank, QM_TENSOR_RANK_MAX);
    out->rank = (uint32_t)rank;
    for (size_t i = 0; i < rank; i++) {
        const json_t *size = json_array_get(value, i);
        if (!json_is_integer(size) || json_integer_value(size) < 1)
            return QM_FAIL(QM_INVALID, "%s: tensor '%s': dimension %zu of the shape must be a whole number above 0",
                           file, name, i);
        out->shape[i] = (uint64_t)json_integer_value(size);
    }
    if (!bytes_of(out->dtype, out->rank, out->shape, &out->bytes))
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': the shape is larger than any memory; check it", file, name);
    return QM_OK;
}

// The data's offset is kept as a pointer from `data`, which is NULL-free even for offset 0.
static enum qm_status read_entry(const char *file, const char *name, const json_t *entry, const char *data,
                                 size_t data_bytes, struct qm_tensor *out)
{
    if (!json_is_object(entry) || json_object_size(entry) != 3)
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s': the entry must have dtype, shape and data_offsets, and nothing else", file,
                       name);
    QM_TRY(read_dtype(file, name, json_object_get(entry, "dtype"), &out->dtype));
    QM_TRY(read_shape(file, name, json_object_get(entry, "shape"), out));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last) ||
        json_integer_value(first) < 0 || json_integer_value(last) < json_integer_value(first))
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': 'data_offsets' must be [begin, end], whole numbers, begin <= end",
                       file, name);
    uint64_t begin = (uint64_t)json_integer_value(first), end = (uint64_t)json_integer_value(last);
    if (end > data_bytes)
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s': its data ends at byte %" PRIu64 " of %zu; the file is cut off or damaged, "
                       "get it again",
                       file, name, end, data_bytes);
    if (end - begin != out->bytes) {
        char shape[QM_SHAPE_TEXT_BYTES];
        qm_shape_text(out->rank, out->shape, shape);
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': %" PRIu64 " bytes of data; %s of shape %s has %zu", file, name,
                       end - begin, dtypes[out->dtype].name, shape, out->bytes);
    }
    out->data = data + begin;
    return QM_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct qm_tensor *)a)->name, ((const struct qm_tensor *)b)->name);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct qm_tensor_text *)a)->key, ((const struct qm_tensor_text *)b)->key);
}

// Tensors have at least one byte, so that two that begin at one place overlap.
static int by_place(const void *a, const void *b)
{
    const char *x = ((const struct qm_tensor *)a)->data, *y = ((const struct qm_tensor *)b)->data;
    return x < y ? -1 : x > y;
}

// The data must be covered, each byte once.
static enum qm_status check_places(const char *data, size_t data_bytes, struct qm_tensors *out)
{
    qsort(out->tensors, out->count, sizeof(*out->tensors), by_place);
    const char *end = data;
    for (size_t i = 0; i < out->count; i++) {
        const struct qm_tensor *tensor = &out->tensors[i];
        const char *begin = tensor->data;
        if (begin < end)
            return QM_FAIL(QM_INVALID, "%s: tensor '%s': its data overlaps with that of '%s'; each needs its own",
                           out->file, tensor->name, out->tensors[i - 1].name);
        if (begin > end)
            return QM_FAIL(QM_INVALID,
                           "%s: tensor '%s': %zu bytes before its data belong to no tensor; none may be left",
                           out->file, tensor->name, (size_t)(begin - end));
        end = begin + tensor->bytes;
    }
    size_t rest = data_bytes - (size_t)(end - data);
    if (rest > 0)
        return QM_FAIL(QM_INVALID,
                       "%s: %zu bytes at the end belong to no tensor; the file has %zu bytes of data too many",
                       out->file, rest, rest);
    qsort(out->tensors, out->count, sizeof(*out->tensors), by_name);
    return QM_OK;
}

// Copies a text behind the last one; the arena has room for all of the header's texts.
static const char *keep(char **arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *at = *arena;
    memcpy(at, text, bytes);
    *arena += bytes;
    return at;
}

static enum qm_status read_header(json_t *header, size_t header_bytes, const char *data, size_t data_bytes,
                                  struct qm_tensors *out)
{
    const char *name, *key;
    json_t *entry, *value;
    json_t *metadata = json_object_get(header, "__metadata__");
    if (metadata && !json_is_object(metadata))
        return QM_FAIL(QM_INVALID, "%s: '__metadata__' is no mapping of keys to texts; make it one", out->file);
    size_t entries = json_object_size(header), texts = json_object_size(metadata);
    // A text and its zero take no more room than the text and its quotes did.
    char *arena = malloc(header_bytes);
    out->texts = arena;
    out->tensors = calloc(entries + 1, sizeof(*out->tensors));
    out->metadata = calloc(texts + 1, sizeof(*out->metadata));
    if (!out->texts || !out->tensors || !out->metadata)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a header of %zu tensors", out->file, entries);
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return QM_FAIL(QM_INVALID, "%s: a value of '__metadata__' is no text; all of them must be", out->file);
        struct qm_tensor_text *text = &out->metadata[out->metadata_count++];
        text->key = keep(&arena, key);
        text->value = keep(&arena, json_string_value(value));
    }
    qsort(out->metadata, out->metadata_count, sizeof(*out->metadata), by_key);
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        struct qm_tensor *tensor = &out->tensors[out->count];
        QM_TRY(qm_tensor_check_name(out->file, name));
        QM_TRY(read_entry(out->file, name, entry, data, data_bytes, tensor));
        tensor->name = keep(&arena, name);
        out->count++;
    }
    return check_places(data, data_bytes, out);
}

static enum qm_status parse_header(const char *text, size_t bytes, const char *file, json_t **header)
{
    json_error_t error;
    if (text[0] != '{')
        return QM_FAIL(QM_INVALID, "%s: the header does not begin with '{'; this is no safetensors file", file);
    if (!qm_json_is_bounded(text, bytes))
        return QM_FAIL(QM_INVALID, "%s: the header has more than %u values; at most so many are read, split the file",
                       file, QM_JSON_VALUES_MAX);
    *header = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (*header)
        return QM_OK;
    for (char *c = error.text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return QM_FAIL(QM_INVALID, "%s: the header is no JSON at its byte %d: %s; the file is damaged, get it again", file,
                   error.position, error.text);
}

// What other files of weights begin with; NULL for anything else. The first 8 bytes of all of them would be the size of an
// impossible header.
static const char *other_format(const char *bytes)
{
    if (memcmp(bytes, "PK\3\4", 4) == 0)
        return "a zip archive, as PyTorch packs pickles, which can run any program when they are read";
    if (bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5)
        return "a pickle, which can run any program when it is read";
    return memcmp(bytes, "GGUF", 4) == 0 ? "a GGUF file, whatever its name says" : NULL;
}

// The header as JSON, and its size. The bytes stay the caller's.
static enum qm_status open_header(const char *bytes, size_t count, const char *file, size_t *header_bytes,
                                  json_t **header)
{
    uint64_t size = 0;
    if (count < PREFIX_BYTES + 2)
        return QM_FAIL(QM_INVALID, "%s: only %zu bytes; this is no safetensors file, or it is cut off", file, count);
    if (other_format(bytes))
        return QM_FAIL(QM_INVALID, "%s: is %s; give the same weights as safetensors", file, other_format(bytes));
    memcpy(&size, bytes, PREFIX_BYTES);
    if (size < 2 || size > QM_SAFETENSORS_HEADER_MAX)
        return QM_FAIL(QM_INVALID,
                       "%s: a header of %" PRIu64 " bytes; between 2 and %u are allowed, so this is no "
                       "safetensors file",
                       file, size, QM_SAFETENSORS_HEADER_MAX);
    if (size > count - PREFIX_BYTES)
        return QM_FAIL(QM_INVALID, "%s: the header has %" PRIu64 " bytes, the file %zu; it is cut off, get it again",
                       file, size, count);
    *header_bytes = (size_t)size;
    return parse_header(bytes + PREFIX_BYTES, *header_bytes, file, header);
}

enum qm_status qm_tensors_parse(void **bytes, size_t count, const char *file, struct qm_tensors *out)
{
    enum qm_status status = QM_OK;
    json_t *header = NULL;
    size_t header_bytes = 0;
    memset(out, 0, sizeof(*out));
    out->bytes = *bytes;
    *bytes = NULL;
    out->file = strdup(file);
    char *data = out->bytes;
    if (!out->file || !data)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", file));
    QM_GUARD(open_header(data, count, file, &header_bytes, &header));
    // The data moves to the begin of the allocation, so that it is aligned whatever the header's size.
    size_t data_bytes = count - PREFIX_BYTES - header_bytes;
    memmove(data, data + PREFIX_BYTES + header_bytes, data_bytes);
    QM_GUARD(read_header(header, header_bytes, data, data_bytes, out));
done:
    json_decref(header);
    if (status != QM_OK)
        qm_tensors_free(out);
    return status;
}

enum qm_status qm_tensors_view(const void *bytes, size_t count, const char *file, struct qm_tensors *out)
{
    enum qm_status status = QM_OK;
    json_t *header = NULL;
    size_t header_bytes = 0;
    memset(out, 0, sizeof(*out));
    out->file = strdup(file);
    if (!out->file)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", file));
    QM_GUARD(open_header(bytes, count, file, &header_bytes, &header));
    size_t begin = PREFIX_BYTES + header_bytes;
    QM_GUARD(read_header(header, header_bytes, (const char *)bytes + begin, count - begin, out));
done:
    json_decref(header);
    if (status != QM_OK)
        qm_tensors_free(out);
    return status;
}

enum qm_status qm_tensors_map(const char *path, struct qm_tensors *out)
{
    struct qm_file_map map;
    memset(out, 0, sizeof(*out));
    QM_TRY(qm_file_map(path, QM_SAFETENSORS_MAP_MAX, &map));
    enum qm_status status = qm_tensors_view(map.bytes, map.count, path, out);
    if (status == QM_OK) {
        out->map = map;
        return QM_OK;
    }
    // A header that was written while it was read is refused for what came of that; the cause is a better message.
    enum qm_status whole = qm_file_map_check(&map, path);
    qm_file_unmap(&map);
    return whole == QM_OK ? status : whole;
}

enum qm_status qm_tensors_load(const char *path, struct qm_tensors *out)
{
    void *bytes;
    size_t count;
    memset(out, 0, sizeof(*out));
    QM_TRY(qm_file_read(path, QM_SAFETENSORS_FILE_MAX, &bytes, &count));
    return qm_tensors_parse(&bytes, count, path, out);
}

void qm_tensors_free(struct qm_tensors *tensors)
{
    free(tensors->tensors);
    free(tensors->metadata);
    free(tensors->file);
    free(tensors->bytes);
    free(tensors->texts);
    qm_file_unmap(&tensors->map);
    memset(tensors, 0, sizeof(*tensors));
}

const struct qm_tensor *qm_tensors_find(const struct qm_tensors *tensors, const char *name)
{
    struct qm_tensor key = {.name = name};
    return tensors->count ? bsearch(&key, tensors->tensors, tensors->count, sizeof(key), by_name) : NULL;
}

const char *qm_tensors_text(const struct qm_tensors *tensors, const char *key)
{
    struct qm_tensor_text wanted = {.key = key};
    const struct qm_tensor_text *found =
        tensors->metadata_count ? bsearch(&wanted, tensors->metadata, tensors->metadata_count, sizeof(wanted), by_key)
                                : NULL;
    return found ? found->value : NULL;
}

enum qm_status qm_tensors_require(const struct qm_tensors *tensors, const char *name, enum qm_dtype dtype,
                                  uint32_t rank, const uint64_t *shape, const struct qm_tensor **out)
{
    char wanted[QM_SHAPE_TEXT_BYTES], found[QM_SHAPE_TEXT_BYTES];
    const struct qm_tensor *tensor = qm_tensors_find(tensors, name);
    *out = NULL;
    qm_shape_text(rank, shape, wanted);
    if (!tensor)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': missing; it should be there as %s %s", tensors->file, name,
                       dtypes[dtype].name, wanted);
    qm_shape_text(tensor->rank, tensor->shape, found);
    if (tensor->dtype != dtype || strcmp(wanted, found) != 0)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': %s %s; it should be %s %s", tensors->file, name,
                       dtypes[tensor->dtype].name, found, dtypes[dtype].name, wanted);
    if (!qm_tensor_is_aligned(tensor))
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s': its data does not begin at a multiple of %zu bytes; write it with "
                       "larger types first",
                       tensors->file, name, dtypes[dtype].bytes);
    *out = tensor;
    return QM_OK;
}

// Writing ---------------------------------------------------------------------------------------------------------

// Larger elements first, so that each begins at a multiple of its element's size.
static int by_order(const void *a, const void *b)
{
    const struct qm_tensor *x = a, *y = b;
    size_t x_bytes = dtypes[x->dtype].bytes, y_bytes = dtypes[y->dtype].bytes;
    return x_bytes != y_bytes ? (x_bytes > y_bytes ? -1 : 1) : strcmp(x->name, y->name);
}

static enum qm_status check_input(const char *file, const struct qm_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t bytes;
        QM_TRY(qm_tensor_check_name(file, tensors[i].name));
        if (strcmp(tensors[i].name, "__metadata__") == 0)
            return QM_FAIL(QM_INVALID, "%s: a tensor is called '__metadata__'; choose another name", file);
        if (tensors[i].rank > QM_TENSOR_RANK_MAX ||
            !bytes_of(tensors[i].dtype, tensors[i].rank, tensors[i].shape, &bytes) || bytes != tensors[i].bytes)
            return QM_FAIL(QM_INVALID, "%s: tensor '%s': %zu bytes are not what its dtype and shape make", file,
                           tensors[i].name, tensors[i].bytes);
    }
    return QM_OK;
}

// NULL without memory, for texts that are not UTF-8 and for doubled keys.
static json_t *make_metadata(const struct qm_tensor_text *metadata, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; object && i < count; i++)
        if (json_object_get(object, metadata[i].key) ||
            json_object_set_new(object, metadata[i].key, json_string(metadata[i].value)) != 0) {
            json_decref(object);
            object = NULL;
        }
    return object;
}

static json_t *make_header(const struct qm_tensor *sorted, size_t count, const struct qm_tensor_text *metadata,
                           size_t metadata_count)
{
    json_t *header = json_object();
    bool ok = header != NULL;
    if (ok && metadata_count > 0)
        ok = json_object_set_new(header, "__metadata__", make_metadata(metadata, metadata_count)) == 0;
    json_int_t offset = 0;
    for (size_t i = 0; ok && i < count; i++) {
        json_t *shape = json_array();
        for (uint32_t d = 0; d < sorted[i].rank; d++)
            ok = ok && json_array_append_new(shape, json_integer((json_int_t)sorted[i].shape[d])) == 0;
        json_int_t end = offset + (json_int_t)sorted[i].bytes;
        json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[sorted[i].dtype].name, "shape", shape,
                                  "data_offsets", offset, end);
        ok = ok && !json_object_get(header, sorted[i].name) && json_object_set(header, sorted[i].name, entry) == 0;
        json_decref(entry);
        offset = end;
    }
    if (!ok) {
        json_decref(header);
        header = NULL;
    }
    return header;
}

// A file about to be written: the tensors in the order of their data, and all before it.
struct layout {
    struct qm_tensor *sorted;
    size_t count;
    char *head; // [begin]: the prefix, the header, padding
    size_t begin, total;
};

static void layout_free(struct layout *layout)
{
    free(layout->sorted);
    free(layout->head);
    memset(layout, 0, sizeof(*layout));
}

static enum qm_status lay_out(const char *file, const struct qm_tensor *tensors, size_t count,
                              const struct qm_tensor_text *metadata, size_t metadata_count, struct layout *out)
{
    enum qm_status status = QM_OK;
    json_t *header = NULL;
    char *text = NULL;
    memset(out, 0, sizeof(*out));
    out->count = count;
    out->sorted = malloc((count + 1) * sizeof(*out->sorted));
    if (!out->sorted)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a header of %zu tensors", file, count));
    QM_GUARD(check_input(file, tensors, count));
    memcpy(out->sorted, tensors, count * sizeof(*tensors));
    qsort(out->sorted, count, sizeof(*out->sorted), by_order);
    header = make_header(out->sorted, count, metadata, metadata_count);
    text = header ? json_dumps(header, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!text)
        QM_GUARD(
            QM_FAIL(QM_INVALID, "%s: the header cannot be written; names must be unique and all texts UTF-8", file));
    size_t text_bytes = strlen(text);
    out->begin = (PREFIX_BYTES + text_bytes + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
    out->total = out->begin;
    for (size_t i = 0; i < count; i++)
        out->total += out->sorted[i].bytes;
    uint64_t header_bytes = out->begin - PREFIX_BYTES;
    if (header_bytes > QM_SAFETENSORS_HEADER_MAX)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: a header of %" PRIu64 " bytes; at most %u are read again", file, header_bytes,
                         QM_SAFETENSORS_HEADER_MAX));
    out->head = malloc(out->begin);
    if (!out->head)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for a header of %zu tensors", file, count));
    memset(out->head, ' ', out->begin);
    memcpy(out->head, &header_bytes, PREFIX_BYTES);
    memcpy(out->head + PREFIX_BYTES, text, text_bytes);
done:
    free(text);
    json_decref(header);
    if (status != QM_OK)
        layout_free(out);
    return status;
}

enum qm_status qm_safetensors_encode(const char *file, const struct qm_tensor *tensors, size_t count,
                                     const struct qm_tensor_text *metadata, size_t metadata_count, void **bytes,
                                     size_t *byte_count)
{
    struct layout layout;
    *bytes = NULL;
    *byte_count = 0;
    QM_TRY(lay_out(file, tensors, count, metadata, metadata_count, &layout));
    enum qm_status status = QM_OK;
    char *at = malloc(layout.total);
    if (!at) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu bytes", file, layout.total);
    } else {
        *bytes = at;
        *byte_count = layout.total;
        memcpy(at, layout.head, layout.begin);
        at += layout.begin;
        for (size_t i = 0; i < count; i++) {
            memcpy(at, layout.sorted[i].data, layout.sorted[i].bytes);
            at += layout.sorted[i].bytes;
        }
    }
    layout_free(&layout);
    return status;
}

// What is written next: the head, then tensor after tensor in pieces.
struct writing {
    const struct layout *layout;
    size_t tensor, at; // of its bytes
    bool has_head;
    const void *last; // the piece before, of a tensor
    size_t last_bytes;
    void (*written)(void *context, const void *bytes, size_t count);
    void *context;
};

static bool next_piece(void *context, const void **bytes, size_t *count)
{
    struct writing *writing = context;
    const struct layout *layout = writing->layout;
    if (!writing->has_head) {
        writing->has_head = true;
        *bytes = layout->head;
        *count = layout->begin;
        return true;
    }
    if (writing->last && writing->written)
        writing->written(writing->context, writing->last, writing->last_bytes);
    writing->last = NULL;
    while (writing->tensor < layout->count && writing->at == layout->sorted[writing->tensor].bytes) {
        ++writing->tensor;
        writing->at = 0;
    }
    if (writing->tensor == layout->count)
        return false;
    const struct qm_tensor *tensor = &layout->sorted[writing->tensor];
    size_t left = tensor->bytes - writing->at;
    *bytes = writing->last = (const char *)tensor->data + writing->at;
    *count = writing->last_bytes = left < WRITE_PIECE ? left : WRITE_PIECE;
    writing->at += *count;
    return true;
}

enum qm_status qm_safetensors_write_from(const char *path, const struct qm_tensor *tensors, size_t count,
                                         const struct qm_tensor_text *metadata, size_t metadata_count,
                                         void (*written)(void *context, const void *bytes, size_t count), void *context)
{
    struct layout layout;
    struct qm_staged_file staged;
    QM_TRY(lay_out(path, tensors, count, metadata, metadata_count, &layout));
    struct writing writing = {.layout = &layout, .written = written, .context = context};
    enum qm_status status = qm_file_stage_from(path, &(struct qm_file_source){next_piece, &writing}, &staged);
    layout_free(&layout);
    return status == QM_OK ? qm_file_commit(&staged) : status;
}

enum qm_status qm_safetensors_write(const char *path, const struct qm_tensor *tensors, size_t count,
                                    const struct qm_tensor_text *metadata, size_t metadata_count)
{
    return qm_safetensors_write_from(path, tensors, count, metadata, metadata_count, NULL, NULL);
}
