#include "model/gguf.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_BYTES_MIN (8u + 1u + 4u + 1u)            // a key of one byte, a type, one byte
#define TENSOR_BYTES_MIN (8u + 1u + 4u + 8u + 4u + 8u) // a name of one byte, one dimension
#define ENTRIES_MAX 1000000u // the largest models have some thousands of tensors, and fewer metadata entries
#define ALIGNMENT_USUAL 32u
#define ALIGNMENT_MAX 65536u

static const struct qm_gguf_type_info types[] = {
    {"F32", QM_GGUF_F32, 1, 4, QM_WEIGHT_F32},        {"F16", QM_GGUF_F16, 1, 2, QM_WEIGHT_F16},
    {"BF16", QM_GGUF_BF16, 1, 2, QM_WEIGHT_BF16},     {"Q8_0", QM_GGUF_Q8_0, 32, 34, QM_WEIGHT_Q8_0},
    {"Q4_0", QM_GGUF_Q4_0, 32, 18, QM_WEIGHT_Q4_0},   {"Q4_1", QM_GGUF_Q4_1, 32, 20, QM_WEIGHT_Q4_1},
    {"Q5_0", QM_GGUF_Q5_0, 32, 22, QM_WEIGHT_Q5_0},   {"Q4_K", QM_GGUF_Q4_K, 256, 144, QM_WEIGHT_Q4_K},
    {"Q5_K", QM_GGUF_Q5_K, 256, 176, QM_WEIGHT_Q5_K}, {"Q6_K", QM_GGUF_Q6_K, 256, 210, QM_WEIGHT_Q6_K},
};

// Types that cannot be read: their names for the message, their blocks for who only tells of a file. Numbers and sizes as in
// ggml.h and ggml-common.h.
static const struct qm_gguf_type_info other_types[] = {
    {"Q5_1", 7, 32, 24, QM_WEIGHT_FORMAT_COUNT},      {"Q8_1", 9, 32, 36, QM_WEIGHT_FORMAT_COUNT},
    {"Q2_K", 10, 256, 84, QM_WEIGHT_FORMAT_COUNT},    {"Q3_K", 11, 256, 110, QM_WEIGHT_FORMAT_COUNT},
    {"Q8_K", 15, 256, 292, QM_WEIGHT_FORMAT_COUNT},   {"IQ2_XXS", 16, 256, 66, QM_WEIGHT_FORMAT_COUNT},
    {"IQ2_XS", 17, 256, 74, QM_WEIGHT_FORMAT_COUNT},  {"IQ3_XXS", 18, 256, 98, QM_WEIGHT_FORMAT_COUNT},
    {"IQ1_S", 19, 256, 50, QM_WEIGHT_FORMAT_COUNT},   {"IQ4_NL", 20, 32, 18, QM_WEIGHT_FORMAT_COUNT},
    {"IQ3_S", 21, 256, 110, QM_WEIGHT_FORMAT_COUNT},  {"IQ2_S", 22, 256, 82, QM_WEIGHT_FORMAT_COUNT},
    {"IQ4_XS", 23, 256, 136, QM_WEIGHT_FORMAT_COUNT}, {"I8", 24, 1, 1, QM_WEIGHT_FORMAT_COUNT},
    {"I16", 25, 1, 2, QM_WEIGHT_FORMAT_COUNT},        {"I32", 26, 1, 4, QM_WEIGHT_FORMAT_COUNT},
    {"I64", 27, 1, 8, QM_WEIGHT_FORMAT_COUNT},        {"F64", 28, 1, 8, QM_WEIGHT_FORMAT_COUNT},
    {"IQ1_M", 29, 256, 56, QM_WEIGHT_FORMAT_COUNT},   {"TQ1_0", 34, 256, 54, QM_WEIGHT_FORMAT_COUNT},
    {"TQ2_0", 35, 256, 66, QM_WEIGHT_FORMAT_COUNT},   {"MXFP4", 39, 32, 17, QM_WEIGHT_FORMAT_COUNT},
    {"NVFP4", 40, 64, 36, QM_WEIGHT_FORMAT_COUNT},    {"Q1_0", 41, 128, 18, QM_WEIGHT_FORMAT_COUNT},
    {"Q2_0", 42, 64, 18, QM_WEIGHT_FORMAT_COUNT},
};

// Types of metadata values, by their numbers in the file; `bytes` 0: strings and arrays.
static const struct {
    uint8_t bytes;
    enum qm_gguf_kind kind;
} value_types[] = {{1, QM_GGUF_UINT}, {1, QM_GGUF_INT},   {2, QM_GGUF_UINT}, {2, QM_GGUF_INT},    {4, QM_GGUF_UINT},
                   {4, QM_GGUF_INT},  {4, QM_GGUF_FLOAT}, {1, QM_GGUF_BOOL}, {0, QM_GGUF_STRING}, {0, QM_GGUF_ARRAY},
                   {8, QM_GGUF_UINT}, {8, QM_GGUF_INT},   {8, QM_GGUF_FLOAT}};
#define VALUE_TYPES (sizeof(value_types) / sizeof(*value_types))

const struct qm_gguf_type_info *qm_gguf_type_info(uint32_t type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); ++i) {
        if (types[i].type == type)
            return &types[i];
    }
    return NULL;
}

static const struct qm_gguf_type_info *other_type(uint32_t type)
{
    for (size_t i = 0; i < sizeof(other_types) / sizeof(*other_types); ++i) {
        if (other_types[i].type == type)
            return &other_types[i];
    }
    return NULL;
}

// ---- Bytes ----------------------------------------------------------------------------------------------------------

struct reader {
    const uint8_t *bytes;
    uint64_t count, at;
    const char *file;
    bool takes_any; // type of tensor that ggml has
    char *names;    // room for all keys and names: they are no longer than the file
    size_t names_used;
};

static enum qm_status cut_off(const struct reader *r, const char *what)
{
    return QM_FAIL(QM_INVALID, "%s: it ends within %s, at byte %" PRIu64 "; fetch it again, whole", r->file, what,
                   r->count);
}

static enum qm_status take(struct reader *r, uint64_t count, const char *what, const uint8_t **out)
{
    *out = r->bytes + r->at;
    if (count > r->count - r->at)
        return cut_off(r, what);
    r->at += count;
    return QM_OK;
}

static enum qm_status take_u32(struct reader *r, const char *what, uint32_t *out)
{
    const uint8_t *bytes;
    QM_TRY(take(r, sizeof(*out), what, &bytes));
    memcpy(out, bytes, sizeof(*out));
    return QM_OK;
}

static enum qm_status take_u64(struct reader *r, const char *what, uint64_t *out)
{
    const uint8_t *bytes;
    QM_TRY(take(r, sizeof(*out), what, &bytes));
    memcpy(out, bytes, sizeof(*out));
    return QM_OK;
}

static enum qm_status take_string(struct reader *r, const char *what, const uint8_t **bytes, uint64_t *count)
{
    QM_TRY(take_u64(r, what, count));
    return take(r, *count, what, bytes);
}

// A key or a tensor's name, copied and ended.
static enum qm_status take_name(struct reader *r, const char *what, const char **out)
{
    const uint8_t *bytes;
    uint64_t count;
    QM_TRY(take_string(r, what, &bytes, &count));
    if (count == 0 || count > QM_GGUF_KEY_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s: %s of %" PRIu64 " bytes, before byte %" PRIu64 "; it must have 1 to %d",
                       r->file, what, count, r->at, QM_GGUF_KEY_BYTES_MAX);
    for (uint64_t i = 0; i < count; ++i) {
        if (bytes[i] < ' ' || bytes[i] == 0x7f)
            return QM_FAIL(QM_INVALID, "%s: %s with a control character, before byte %" PRIu64 "; use printable ones",
                           r->file, what, r->at);
    }
    char *name = r->names + r->names_used;
    memcpy(name, bytes, (size_t)count);
    name[count] = '\0';
    r->names_used += (size_t)count + 1;
    *out = name;
    return QM_OK;
}

// ---- Metadata -------------------------------------------------------------------------------------------------------

static void read_number(uint32_t type, const uint8_t *bytes, struct qm_gguf_value *out)
{
    uint64_t raw = 0;
    memcpy(&raw, bytes, value_types[type].bytes);
    unsigned spare = 64u - 8u * value_types[type].bytes;
    out->kind = value_types[type].kind;
    if (out->kind == QM_GGUF_INT) {
        uint64_t sign = UINT64_C(1) << (8u * value_types[type].bytes - 1u);
        out->number.i = spare == 0 ? (int64_t)raw : (int64_t)(raw ^ sign) - (int64_t)sign;
    } else if (out->kind == QM_GGUF_FLOAT && spare != 0) {
        float value;
        memcpy(&value, bytes, sizeof(value));
        out->number.f = (double)value;
    } else if (out->kind == QM_GGUF_FLOAT) {
        memcpy(&out->number.f, bytes, sizeof(out->number.f));
    } else {
        out->number.u = raw;
    }
}

static enum qm_status read_array(struct reader *r, struct qm_gguf_value *out)
{
    QM_TRY(take_u32(r, "an array", &out->element));
    QM_TRY(take_u64(r, "an array", &out->count));
    out->kind = QM_GGUF_ARRAY;
    out->bytes = r->bytes + r->at;
    if (out->element >= VALUE_TYPES || value_types[out->element].kind == QM_GGUF_ARRAY)
        return QM_FAIL(QM_INVALID, "%s: '%s' is an array of type %" PRIu32 "; numbers, flags and strings can be read",
                       r->file, out->key, out->element);
    const uint8_t *ignored;
    uint64_t begin = r->at, length, each = value_types[out->element].bytes;
    if (each > 0) {
        if (out->count > (r->count - r->at) / each)
            return cut_off(r, "an array");
        QM_TRY(take(r, out->count * each, "an array", &ignored));
    } else {
        if (out->count > (r->count - r->at) / 8)
            return cut_off(r, "an array of strings");
        for (uint64_t i = 0; i < out->count; ++i)
            QM_TRY(take_string(r, "an array of strings", &ignored, &length));
    }
    out->element_bytes = r->at - begin;
    return QM_OK;
}

static enum qm_status read_value(struct reader *r, struct qm_gguf_value *out)
{
    uint32_t type;
    QM_TRY(take_name(r, "a key", &out->key));
    QM_TRY(take_u32(r, "a metadata entry", &type));
    if (type >= VALUE_TYPES)
        return QM_FAIL(QM_INVALID, "%s: '%s' is of type %" PRIu32 "; there are types 0 to %d", r->file, out->key, type,
                       (int)VALUE_TYPES - 1);
    if (value_types[type].kind == QM_GGUF_ARRAY)
        return read_array(r, out);
    if (value_types[type].kind == QM_GGUF_STRING) {
        out->kind = QM_GGUF_STRING;
        return take_string(r, "a metadata entry", &out->bytes, &out->count);
    }
    const uint8_t *bytes;
    QM_TRY(take(r, value_types[type].bytes, "a metadata entry", &bytes));
    read_number(type, bytes, out);
    if (out->kind == QM_GGUF_BOOL && out->number.u > 1)
        return QM_FAIL(QM_INVALID, "%s: '%s' is a flag of value %" PRIu64 "; it must be 0 or 1", r->file, out->key,
                       out->number.u);
    return QM_OK;
}

static int compare_values(const void *a, const void *b)
{
    return strcmp(((const struct qm_gguf_value *)a)->key, ((const struct qm_gguf_value *)b)->key);
}

static enum qm_status read_values(struct reader *r, struct qm_gguf *gguf)
{
    for (size_t i = 0; i < gguf->value_count; ++i)
        QM_TRY(read_value(r, &gguf->values[i]));
    qsort(gguf->values, gguf->value_count, sizeof(*gguf->values), compare_values);
    for (size_t i = 1; i < gguf->value_count; ++i) {
        if (strcmp(gguf->values[i].key, gguf->values[i - 1].key) == 0)
            return QM_FAIL(QM_INVALID, "%s: the key '%s' stands there twice; leave one", r->file, gguf->values[i].key);
    }
    return QM_OK;
}

static enum qm_status read_alignment(struct qm_gguf *gguf)
{
    gguf->alignment = ALIGNMENT_USUAL;
    QM_TRY(qm_gguf_u32(gguf, "general.alignment", &gguf->alignment, NULL));
    uint32_t a = gguf->alignment;
    if (a < 8 || a > ALIGNMENT_MAX || (a & (a - 1)) != 0)
        return QM_FAIL(QM_INVALID, "%s: 'general.alignment' is %" PRIu32 "; it must be a power of two from 8 to %d",
                       gguf->file, a, (int)ALIGNMENT_MAX);
    return QM_OK;
}

// ---- Tensors --------------------------------------------------------------------------------------------------------

static enum qm_status cannot_read(const struct reader *r, const char *name, uint32_t type)
{
    char number[24], list[128] = "";
    const struct qm_gguf_type_info *other = other_type(type);
    const char *called = other ? other->name : number;
    snprintf(number, sizeof(number), "%" PRIu32, type);
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); ++i)
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "", types[i].name);
    return QM_FAIL(QM_INVALID, "%s: tensor '%s' is of type %s, which cannot be read; convert it to one of %s", r->file,
                   name, called, list);
}

// `data` is set when all offsets are known to lie within the file.
static enum qm_status read_tensor(struct reader *r, const struct qm_gguf *gguf, struct qm_gguf_tensor *out,
                                  uint64_t *offset)
{
    uint32_t type;
    uint64_t blocks;
    QM_TRY(take_name(r, "a tensor's name", &out->name));
    QM_TRY(take_u32(r, "a tensor's entry", &out->rank));
    if (out->rank == 0 || out->rank > QM_TENSOR_RANK_MAX)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s' has %" PRIu32 " dimensions; it must have 1 to %d", r->file,
                       out->name, out->rank, QM_TENSOR_RANK_MAX);
    for (uint32_t i = 0; i < out->rank; ++i) {
        uint64_t *size = &out->shape[out->rank - 1 - i];
        QM_TRY(take_u64(r, "a tensor's entry", size));
        if (*size == 0)
            return QM_FAIL(QM_INVALID, "%s: tensor '%s': dimension %" PRIu32 " is 0; every one must be above", r->file,
                           out->name, i);
    }
    QM_TRY(take_u32(r, "a tensor's entry", &type));
    QM_TRY(take_u64(r, "a tensor's entry", offset));
    out->type = qm_gguf_type_info(type);
    if (!out->type && r->takes_any)
        out->type = other_type(type);
    if (!out->type)
        return cannot_read(r, out->name, type);
    uint64_t row = out->shape[out->rank - 1];
    if (row % out->type->block_values != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s': rows of %" PRIu64 " values are no multiple of the %" PRIu32
                       " that %s encodes together",
                       r->file, out->name, row, out->type->block_values, out->type->name);
    blocks = row / out->type->block_values;
    for (uint32_t i = 0; i + 1 < out->rank; ++i) {
        if (__builtin_mul_overflow(blocks, out->shape[i], &blocks))
            return QM_FAIL(QM_INVALID, "%s: tensor '%s' is larger than any memory; check its dimensions", r->file,
                           out->name);
    }
    if (__builtin_mul_overflow(blocks, out->type->block_bytes, &out->bytes))
        return QM_FAIL(QM_INVALID, "%s: tensor '%s' is larger than any memory; check its dimensions", r->file,
                       out->name);
    if (*offset % gguf->alignment != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s' begins at %" PRIu64 " of the data; it must be a multiple of %" PRIu32, r->file,
                       out->name, *offset, gguf->alignment);
    return QM_OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct qm_gguf_tensor *x = a, *y = b;
    return x->data < y->data ? -1 : x->data > y->data ? 1 : 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct qm_gguf_tensor *)a)->name, ((const struct qm_gguf_tensor *)b)->name);
}

const char *qm_gguf_sort(struct qm_gguf *gguf)
{
    if (gguf->tensor_count > 0)
        qsort(gguf->tensors, gguf->tensor_count, sizeof(*gguf->tensors), compare_names);
    for (size_t i = 1; i < gguf->tensor_count; ++i) {
        if (compare_names(&gguf->tensors[i - 1], &gguf->tensors[i]) == 0)
            return gguf->tensors[i].name;
    }
    return NULL;
}

static enum qm_status read_tensors(struct reader *r, struct qm_gguf *gguf, uint64_t *offsets)
{
    for (size_t i = 0; i < gguf->tensor_count; ++i)
        QM_TRY(read_tensor(r, gguf, &gguf->tensors[i], &offsets[i]));
    uint64_t data = (r->at + gguf->alignment - 1) / gguf->alignment * gguf->alignment;
    for (size_t i = 0; i < gguf->tensor_count; ++i) {
        struct qm_gguf_tensor *t = &gguf->tensors[i];
        if (data > r->count || offsets[i] > r->count - data || t->bytes > r->count - data - offsets[i])
            return QM_FAIL(QM_INVALID,
                           "%s: tensor '%s' has %" PRIu64 " bytes at %" PRIu64
                           " of the data, beyond the end of the file; fetch it again, whole",
                           r->file, t->name, t->bytes, offsets[i]);
        t->data = r->bytes + data + offsets[i];
    }
    qsort(gguf->tensors, gguf->tensor_count, sizeof(*gguf->tensors), compare_places);
    for (size_t i = 1; i < gguf->tensor_count; ++i) {
        const struct qm_gguf_tensor *before = &gguf->tensors[i - 1], *t = &gguf->tensors[i];
        if ((uint64_t)(t->data - before->data) < before->bytes)
            return QM_FAIL(QM_INVALID, "%s: tensors '%s' and '%s' overlap; each must have its own bytes", r->file,
                           before->name, t->name);
    }
    const char *twice = qm_gguf_sort(gguf);
    return twice ? QM_FAIL(QM_INVALID, "%s: tensor '%s' is there twice; leave one", r->file, twice) : QM_OK;
}

// ---- The file -------------------------------------------------------------------------------------------------------

static enum qm_status read_header(struct reader *r, struct qm_gguf *gguf)
{
    uint32_t magic = 0;
    uint64_t tensors, values;
    if (r->count < 4 || memcmp(r->bytes, "GGUF", 4) != 0)
        return QM_FAIL(QM_INVALID, "%s: it does not begin with GGUF; give a file of that format", r->file);
    QM_TRY(take_u32(r, "the header", &magic));
    QM_TRY(take_u32(r, "the header", &gguf->version));
    if ((gguf->version & 0xffffu) == 0 && gguf->version != 0)
        return QM_FAIL(QM_INVALID, "%s: a GGUF file in big-endian byte order; convert it to little-endian", r->file);
    if (gguf->version != 2 && gguf->version != 3)
        return QM_FAIL(QM_INVALID, "%s: GGUF of version %" PRIu32 "; versions 2 and 3 can be read", r->file,
                       gguf->version);
    QM_TRY(take_u64(r, "the header", &tensors));
    QM_TRY(take_u64(r, "the header", &values));
    if (values > (r->count - r->at) / ENTRY_BYTES_MIN || tensors > (r->count - r->at) / TENSOR_BYTES_MIN)
        return QM_FAIL(QM_INVALID,
                       "%s: the header counts %" PRIu64 " metadata entries and %" PRIu64 " tensors, more than %" PRIu64
                       " bytes can hold; fetch it again, whole",
                       r->file, values, tensors, r->count);
    if (values > ENTRIES_MAX || tensors > ENTRIES_MAX)
        return QM_FAIL(QM_INVALID,
                       "%s: the header counts %" PRIu64 " metadata entries and %" PRIu64
                       " tensors; at most %d of each can be read",
                       r->file, values, tensors, (int)ENTRIES_MAX);
    gguf->value_count = (size_t)values;
    gguf->tensor_count = (size_t)tensors;
    return QM_OK;
}

// Keys and names with their ends: an entry has at least 8 bytes beside its name.
static size_t names_bytes(const struct qm_gguf *gguf)
{
    return (gguf->value_count + gguf->tensor_count) * (QM_GGUF_KEY_BYTES_MAX + 1) + 1;
}

static enum qm_status parse(const void *bytes, uint64_t count, bool takes_any, struct qm_gguf *gguf)
{
    struct reader r = {.bytes = bytes, .count = count, .file = gguf->file, .takes_any = takes_any};
    uint64_t *offsets = NULL;
    QM_TRY(read_header(&r, gguf));
    enum qm_status status = QM_OK;
    size_t room = names_bytes(gguf) < count ? names_bytes(gguf) : (size_t)count;
    gguf->names = r.names = malloc(room + 1);
    gguf->values = calloc(gguf->value_count + 1, sizeof(*gguf->values));
    gguf->tensors = calloc(gguf->tensor_count + 1, sizeof(*gguf->tensors));
    offsets = calloc(gguf->tensor_count + 1, sizeof(*offsets));
    if (!gguf->names || !gguf->values || !gguf->tensors || !offsets) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for its %zu tensors", gguf->file, gguf->tensor_count);
        goto done;
    }
    QM_GUARD(read_values(&r, gguf));
    QM_GUARD(read_alignment(gguf));
    QM_GUARD(read_tensors(&r, gguf, offsets));
done:
    free(offsets);
    return status;
}

static enum qm_status view(const void *bytes, size_t count, const char *file, bool takes_any, struct qm_gguf *out)
{
    *out = (struct qm_gguf){.file = strdup(file)};
    if (!out->file)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to open it", file);
    enum qm_status status = parse(bytes, count, takes_any, out);
    if (status != QM_OK)
        qm_gguf_close(out);
    return status;
}

static enum qm_status map_file(const char *path, bool takes_any, struct qm_gguf *out)
{
    struct qm_file_map map = {0};
    *out = (struct qm_gguf){0};
    QM_TRY(qm_file_map(path, QM_GGUF_FILE_MAX, &map));
    enum qm_status status = view(map.bytes, map.count, path, takes_any, out);
    if (status == QM_OK) {
        out->map = map;
        status = qm_file_map_check(&out->map, path);
        if (status != QM_OK)
            qm_gguf_close(out);
    } else {
        qm_file_unmap(&map);
    }
    return status;
}

enum qm_status qm_gguf_view(const void *bytes, size_t count, const char *file, struct qm_gguf *out)
{
    return view(bytes, count, file, false, out);
}

enum qm_status qm_gguf_map(const char *path, struct qm_gguf *out)
{
    return map_file(path, false, out);
}

enum qm_status qm_gguf_map_any(const char *path, struct qm_gguf *out)
{
    return map_file(path, true, out);
}

void qm_gguf_close(struct qm_gguf *gguf)
{
    qm_file_unmap(&gguf->map);
    for (size_t i = 0; i < gguf->part_count; ++i) // whose own parts are none
        qm_gguf_close(&gguf->parts[i]);
    free(gguf->parts);
    free(gguf->values);
    free(gguf->tensors);
    free(gguf->names);
    free(gguf->file);
    *gguf = (struct qm_gguf){0};
}

// ---- What is in it --------------------------------------------------------------------------------------------------

const struct qm_gguf_tensor *qm_gguf_find_tensor(const struct qm_gguf *gguf, const char *name)
{
    const struct qm_gguf_tensor key = {.name = name};
    return bsearch(&key, gguf->tensors, gguf->tensor_count, sizeof(key), compare_names);
}

const struct qm_gguf_value *qm_gguf_find(const struct qm_gguf *gguf, const char *key)
{
    const struct qm_gguf_value wanted = {.key = key};
    return bsearch(&wanted, gguf->values, gguf->value_count, sizeof(wanted), compare_values);
}

static const struct qm_gguf_value *find(const struct qm_gguf *gguf, const char *key, bool *is_there)
{
    const struct qm_gguf_value *value = qm_gguf_find(gguf, key);
    if (is_there)
        *is_there = value != NULL;
    return value;
}

enum qm_status qm_gguf_u32(const struct qm_gguf *gguf, const char *key, uint32_t *out, bool *is_there)
{
    const struct qm_gguf_value *value = find(gguf, key, is_there);
    if (!value)
        return QM_OK;
    bool is_whole = value->kind == QM_GGUF_UINT || (value->kind == QM_GGUF_INT && value->number.i >= 0);
    if (!is_whole || value->number.u > UINT32_MAX)
        return QM_FAIL(QM_INVALID, "%s: '%s' must be a whole number from 0 to %" PRIu32, gguf->file, key, UINT32_MAX);
    *out = (uint32_t)value->number.u;
    return QM_OK;
}

static double number_of(const struct qm_gguf_value *value)
{
    return value->kind == QM_GGUF_FLOAT ? value->number.f
           : value->kind == QM_GGUF_INT ? (double)value->number.i
                                        : (double)value->number.u;
}

enum qm_status qm_gguf_double(const struct qm_gguf *gguf, const char *key, double *out, bool *is_there)
{
    const struct qm_gguf_value *value = find(gguf, key, is_there);
    if (!value)
        return QM_OK;
    if (value->kind > QM_GGUF_FLOAT || !(number_of(value) - number_of(value) == 0))
        return QM_FAIL(QM_INVALID, "%s: '%s' must be a finite number", gguf->file, key);
    *out = number_of(value);
    return QM_OK;
}

enum qm_status qm_gguf_bool(const struct qm_gguf *gguf, const char *key, bool *out, bool *is_there)
{
    const struct qm_gguf_value *value = find(gguf, key, is_there);
    if (!value)
        return QM_OK;
    if (value->kind != QM_GGUF_BOOL)
        return QM_FAIL(QM_INVALID, "%s: '%s' must be a flag, true or false", gguf->file, key);
    *out = value->number.u != 0;
    return QM_OK;
}

bool qm_gguf_next_string(const struct qm_gguf_value *array, uint64_t *at, const uint8_t **bytes, uint64_t *count)
{
    if (array->kind != QM_GGUF_ARRAY || value_types[array->element].kind != QM_GGUF_STRING ||
        *at >= array->element_bytes)
        return false;
    memcpy(count, array->bytes + *at, sizeof(*count));
    *bytes = array->bytes + *at + sizeof(*count);
    *at += sizeof(*count) + *count;
    return true;
}

bool qm_gguf_next_number(const struct qm_gguf_value *array, uint64_t *at, double *number)
{
    if (array->kind != QM_GGUF_ARRAY || value_types[array->element].bytes == 0 || *at >= array->element_bytes)
        return false;
    struct qm_gguf_value value = {0};
    read_number(array->element, array->bytes + *at, &value);
    *at += value_types[array->element].bytes;
    *number = number_of(&value);
    return true;
}
