// What a GGUF file says of its quantization.
//
// Sources: keys of gguf-py's constants.py; quantize.imatrix.* of tools/quantize/quantize.cpp; what a block holds of
// ggml-common.h; all of ggml-org/llama.cpp.
#include "model/disclosure_internal.h"

#include "model/gguf_parts.h"
#include "record/node.h"
#include "sys/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 99999u // what the name of a part has digits for

// ---- Types ----------------------------------------------------------------------------------------------------------

// Of the types that are quantized.
struct type_fact {
    const char *name;
    double bits; // of a code
    uint32_t group;
    const char *storage, *scales;
};

static const struct type_fact facts[] = {
    {"Q4_0", 4, 32, "codes -8 to 7, symmetric", "one float16 per 32 values"},
    {"Q4_1", 4, 32, "codes 0 to 15, with a minimum", "float16 scale and minimum per 32 values"},
    {"Q5_0", 5, 32, "codes -16 to 15, symmetric", "one float16 per 32 values"},
    {"Q5_1", 5, 32, "codes 0 to 31, with a minimum", "float16 scale and minimum per 32 values"},
    {"Q8_0", 8, 32, "codes -127 to 127, symmetric", "one float16 per 32 values"},
    {"Q8_1", 8, 32, "codes -127 to 127, symmetric", "one float16 per 32 values"},
    {"Q2_K", 2, 16, "codes 0 to 3, with a minimum",
     "4-bit scale and minimum per 16 values, a float16 for each of the two per 256"},
    {"Q3_K", 3, 16, "codes -4 to 3, symmetric", "6-bit scale per 16 values, a float16 per 256"},
    {"Q4_K", 4, 32, "codes 0 to 15, with a minimum",
     "6-bit scale and minimum per 32 values, a float16 for each of the two per 256"},
    {"Q5_K", 5, 32, "codes 0 to 31, with a minimum",
     "6-bit scale and minimum per 32 values, a float16 for each of the two per 256"},
    {"Q6_K", 6, 16, "codes -32 to 31, symmetric", "8-bit scale per 16 values, a float16 per 256"},
    {"Q8_K", 8, 256, "codes -127 to 127, symmetric", "one float32 per 256 values"},
    {"IQ2_XXS", 2, 32, "entries of a table of 8 values with signs", "4-bit scale per 32 values, a float16 per 256"},
    {"IQ2_XS", 2, 16, "entries of a table of 8 values with signs", "4-bit scale per 16 values, a float16 per 256"},
    {"IQ2_S", 2, 16, "entries of a table of 8 values with signs", "4-bit scale per 16 values, a float16 per 256"},
    {"IQ3_XXS", 3, 32, "entries of a table of 4 values with signs", "4-bit scale per 32 values, a float16 per 256"},
    {"IQ3_S", 3, 32, "entries of a table of 4 values with signs", "4-bit scale per 32 values, a float16 per 256"},
    {"IQ1_S", 1, 32, "entries of a table of 8 values, with a shift", "3-bit scale per 32 values, a float16 per 256"},
    {"IQ1_M", 1, 16, "entries of a table of 8 values, with a shift", "3-bit scale per 16 values, a float16 per 256"},
    {"IQ4_NL", 4, 32, "codes of a table of 16 unequal steps", "one float16 per 32 values"},
    {"IQ4_XS", 4, 32, "codes of a table of 16 unequal steps", "6-bit scale per 32 values, a float16 per 256"},
    {"TQ1_0", 1.6, 256, "-1, 0 or 1, five to a byte", "one float16 per 256 values"},
    {"TQ2_0", 2, 256, "-1, 0 or 1", "one float16 per 256 values"},
    {"MXFP4", 4, 32, "E2M1 of the OCP's microscaling formats", "one power of two (E8M0) per 32 values"},
    {"NVFP4", 4, 16, "E2M1", "one 8-bit float (UE4M3) per 16 values"},
    {"Q1_0", 1, 128, "one bit", "one float16 per 128 values"},
    {"Q2_0", 2, 64, "two bits", "one float16 per 64 values"},
};
#define FACT_COUNT (sizeof(facts) / sizeof(facts[0]))

static const struct type_fact *fact_of(const char *name)
{
    for (size_t i = 0; i < FACT_COUNT; i++)
        if (strcmp(facts[i].name, name) == 0)
            return &facts[i];
    return NULL;
}

// What `general.file_type` names: enum llama_ftype of llama.h.
static const char *file_type_name(uint64_t type)
{
    static const char *const names[] = {"F32",    "F16",    "Q4_0",    "Q4_1",   "Q4_1, some F16", NULL,      NULL,
                                        "Q8_0",   "Q5_0",   "Q5_1",    "Q2_K",   "Q3_K_S",         "Q3_K_M",  "Q3_K_L",
                                        "Q4_K_S", "Q4_K_M", "Q5_K_S",  "Q5_K_M", "Q6_K",           "IQ2_XXS", "IQ2_XS",
                                        "Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_S",  "IQ4_NL",         "IQ3_S",   "IQ3_M",
                                        "IQ2_S",  "IQ2_M",  "IQ4_XS",  "IQ1_M",  "BF16",           NULL,      NULL,
                                        NULL,     "TQ1_0",  "TQ2_0",   "MXFP4",  "NVFP4",          "Q1_0",    "Q2_0"};
    return type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

// ---- Metadata -------------------------------------------------------------------------------------------------------

#define TEXT_BYTES 1024

// A text or a number as text; false where there is none or an empty one.
static bool find_text(const struct qm_gguf *gguf, const char *key, char out[TEXT_BYTES])
{
    const struct qm_gguf_value *value = qm_gguf_find(gguf, key);
    out[0] = '\0';
    if (value && value->kind == QM_GGUF_STRING) {
        size_t bytes = value->count < TEXT_BYTES - 1 ? (size_t)value->count : TEXT_BYTES - 1;
        memcpy(out, value->bytes, bytes);
        out[bytes] = '\0';
    } else if (value && (value->kind == QM_GGUF_UINT || value->kind == QM_GGUF_BOOL)) {
        snprintf(out, TEXT_BYTES, "%" PRIu64, value->number.u);
    } else if (value && value->kind == QM_GGUF_INT) {
        snprintf(out, TEXT_BYTES, "%" PRId64, value->number.i);
    } else if (value && value->kind == QM_GGUF_FLOAT) {
        snprintf(out, TEXT_BYTES, "%.9g", value->number.f);
    }
    return out[0] != '\0';
}

// The first of several keys that tells something.
static void set_first(struct qm_node *mapping, const char *name, const struct qm_gguf *gguf, const char *const *keys)
{
    char text[TEXT_BYTES];
    for (; *keys; keys++) {
        if (find_text(gguf, *keys, text)) {
            qm_disclose_text(mapping, name, text);
            return;
        }
    }
}

// A count that older programs wrote as a signed number.
static bool find_count(const struct qm_gguf *gguf, const char *key, uint64_t *out)
{
    const struct qm_gguf_value *value = qm_gguf_find(gguf, key);
    bool is_whole = value && (value->kind == QM_GGUF_UINT || (value->kind == QM_GGUF_INT && value->number.i >= 0));
    if (is_whole)
        *out = value->number.u;
    return is_whole;
}

static void tell_source(const struct qm_gguf *gguf, struct qm_node *subject)
{
    char name[TEXT_BYTES], place[TEXT_BYTES], text[2 * TEXT_BYTES + 16];
    if (!find_text(gguf, "general.base_model.0.name", name))
        find_text(gguf, "general.source.huggingface.repository", name);
    if (!find_text(gguf, "general.base_model.0.repo_url", place) &&
        !find_text(gguf, "general.base_model.0.url", place) && !find_text(gguf, "general.source.repo_url", place))
        find_text(gguf, "general.source.url", place);
    snprintf(text, sizeof(text), "%s%s%s", name, *name && *place ? ", " : "", place);
    qm_disclose_text(subject, "source_model", text);
    set_first(subject, "source_revision", gguf,
              (const char *const[]){"general.base_model.0.version", "general.source.uuid", NULL});
}

static void tell_subject(const struct qm_gguf *gguf, struct qm_node *claim)
{
    uint64_t number = 0;
    char text[TEXT_BYTES];
    struct qm_node *subject = qm_node_child(claim, "subject");
    set_first(subject, "model", gguf, (const char *const[]){"general.name", "general.basename", NULL});
    if (find_count(gguf, "general.quantization_version", &number))
        qm_node_set_textf(subject, "container", "GGUF version %" PRIu32 ", quantization version %" PRIu64,
                          gguf->version, number);
    else
        qm_node_set_textf(subject, "container", "GGUF version %" PRIu32, gguf->version);
    set_first(subject, "architecture", gguf, (const char *const[]){"general.architecture", NULL});
    set_first(subject, "quantized_by", gguf, (const char *const[]){"general.quantized_by", NULL});
    set_first(subject, "licence", gguf,
              (const char *const[]){"general.license", "general.license.name", "general.license.link", NULL});
    tell_source(gguf, subject);
    if (find_count(gguf, "general.file_type", &number)) {
        const char *name = file_type_name(number);
        snprintf(text, sizeof(text), "%" PRIu64, number);
        qm_node_set_textf(qm_node_child(claim, "precision"), "label", "%s%s (general.file_type)",
                          name && number > 1 ? "mostly " : "", name ? name : text);
    }
}

// The importance matrix that weighed errors, where one did.
static void tell_calibration(const struct qm_gguf *gguf, struct qm_node *claim)
{
    char file[TEXT_BYTES];
    uint64_t chunks = 0, entries = 0;
    bool has_file = find_text(gguf, "quantize.imatrix.file", file);
    bool has_chunks = find_count(gguf, "quantize.imatrix.chunks_count", &chunks);
    bool has_entries = find_count(gguf, "quantize.imatrix.entries_count", &entries);
    if (!has_file && !has_chunks && !has_entries)
        return; // with or without one: the file does not say
    struct qm_node *method = qm_node_add_mapping(claim, "calibration_method");
    struct qm_node *set = qm_node_add_mapping(claim, "calibration_set");
    qm_node_set_text(method, "name", "errors weighed by an importance matrix (imatrix)");
    qm_disclose_text(method, "imatrix_file", has_file ? file : NULL);
    if (has_entries)
        qm_node_set_u64(method, "imatrix_entries", entries);
    set_first(set, "name", gguf, (const char *const[]){"quantize.imatrix.dataset", NULL});
    if (has_chunks)
        qm_node_set_u64(set, "sequences", chunks);
}

// ---- Tensors --------------------------------------------------------------------------------------------------------

static bool is_quantized(const struct qm_gguf_type_info *type)
{
    return type->block_values > 1;
}

static enum qm_status add_tensors(const struct qm_gguf *gguf, struct qm_tensor_classes *classes, bool *used)
{
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        const struct qm_gguf_tensor *tensor = &gguf->tensors[i];
        const struct type_fact *fact = fact_of(tensor->type->name);
        const struct qm_tensor_fact row = {.name = tensor->name,
                                           .format = tensor->type->name,
                                           .is_float = !is_quantized(tensor->type),
                                           .tensors = 1,
                                           .values =
                                               tensor->bytes / tensor->type->block_bytes * tensor->type->block_values,
                                           .bytes = tensor->bytes};
        QM_TRY(qm_tensor_classes_add(classes, &row));
        if (fact)
            used[fact - facts] = true;
    }
    return QM_OK;
}

static void append(char *text, size_t size, const char *separator, const char *name, const char *more)
{
    size_t used = strlen(text);
    if (used < size)
        snprintf(text + used, size - used, "%s%s%s%s", used ? separator : "", name, *more ? ": " : "", more);
}

// Formats of the quantized weights; nothing of one type that another does not have.
static void tell_formats(struct qm_node *claim, const bool *used)
{
    char formats[256] = "", storage[2048] = "", scales[2048] = "";
    const struct type_fact *only = NULL;
    size_t count = 0;
    struct qm_node *weights = qm_node_get(claim, "precision.weights");
    for (size_t i = 0; i < FACT_COUNT; i++) {
        if (!used[i])
            continue;
        only = &facts[i];
        count++;
        append(formats, sizeof(formats), ", ", facts[i].name, "");
        append(storage, sizeof(storage), "; ", facts[i].name, facts[i].storage);
        append(scales, sizeof(scales), "; ", facts[i].name, facts[i].scales);
    }
    if (count == 0)
        return;
    qm_node_set_text(weights, "format", formats);
    qm_node_set_text(weights, "storage", count == 1 ? only->storage : storage);
    qm_node_set_text(weights, "scales", count == 1 ? only->scales : scales);
    if (count == 1) {
        qm_node_set_double(weights, "bits", only->bits);
        qm_node_set_u64(weights, "group_size", only->group);
    }
}

static void tell_float(const struct qm_gguf *gguf, struct qm_node *claim)
{
    bool has_f16 = false, has_bf16 = false;
    for (size_t i = 0; i < gguf->tensor_count; i++) {
        has_f16 = has_f16 || gguf->tensors[i].type->type == QM_GGUF_F16;
        has_bf16 = has_bf16 || gguf->tensors[i].type->type == QM_GGUF_BF16;
    }
    struct qm_node *weights = qm_node_get(claim, "precision.weights");
    qm_node_set_text(weights, "format", has_bf16 ? "bfloat16" : has_f16 ? "float16" : "float32");
    qm_node_set_text(weights, "storage", "not quantized");
    qm_node_set_text(weights, "scales", "none");
    qm_node_set_text(claim, "calibration_set", "none");
    qm_node_set_text(claim, "calibration_method", "none");
}

// ---- The file, and its parts ----------------------------------------------------------------------------------------

static enum qm_status add_parts(const char *path, uint64_t parts, uint64_t own, struct qm_tensor_classes *classes,
                                bool *used)
{
    for (uint64_t part = 1; part <= parts; part++) {
        char name[QM_PATH_BYTES];
        struct qm_gguf gguf;
        if (part == own)
            continue;
        if (!qm_gguf_part_path(path, part, parts, name))
            return QM_FAIL(QM_INVALID,
                           "%s: one of %" PRIu64 " parts; give it the name that it had, such as "
                           "x-00001-of-00003.gguf, beside the others",
                           path, parts);
        QM_TRY(qm_gguf_map_any(name, &gguf));
        enum qm_status status = add_tensors(&gguf, classes, used);
        qm_gguf_close(&gguf);
        QM_TRY(status);
    }
    return QM_OK;
}

static enum qm_status tell(const struct qm_gguf *gguf, const char *path, struct qm_node *claim)
{
    struct qm_tensor_classes classes = {0};
    bool used[FACT_COUNT] = {false}, is_any = false;
    uint64_t parts = 1, own = 0;
    enum qm_status status = QM_OK;
    if (gguf->value_count == 0)
        return QM_FAIL(QM_INVALID, "%s: a GGUF file without metadata; it says nothing of itself", path);
    find_count(gguf, "split.count", &parts);
    find_count(gguf, "split.no", &own);
    if (parts > PARTS_MAX)
        return QM_FAIL(QM_INVALID, "%s: 'split.count' is %" PRIu64 "; expected %u at most", path, parts, PARTS_MAX);
    QM_GUARD(add_tensors(gguf, &classes, used));
    if (parts > 1)
        QM_GUARD(add_parts(path, parts, own + 1, &classes, used));
    if (classes.count == 0)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: a GGUF file without tensors; give the model's", path));
    tell_subject(gguf, claim);
    if (parts > 1)
        qm_node_set_u64(qm_node_child(claim, "subject"), "parts", parts);
    for (size_t i = 0; i < FACT_COUNT; i++)
        is_any = is_any || used[i];
    if (is_any) {
        tell_formats(claim, used);
        tell_calibration(gguf, claim);
    } else {
        tell_float(gguf, claim);
    }
    qm_disclose_tensors(claim, &classes);
done:
    qm_tensor_classes_free(&classes);
    return status;
}

enum qm_status qm_disclose_gguf(const char *path, struct qm_node *claim)
{
    struct qm_gguf gguf;
    QM_TRY(qm_gguf_map_any(path, &gguf));
    enum qm_status status = tell(&gguf, path, claim);
    qm_gguf_close(&gguf);
    return status;
}
