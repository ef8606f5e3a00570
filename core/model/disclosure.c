#include "model/disclosure.h"

#include "base/text.h"
#include "model/disclosure_internal.h"
#include "record/claim.h"
#include "record/node.h"
#include "sys/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- Classes of tensors ---------------------------------------------------------------------------------------------

// The name with '*' for each part between dots that is a number; the caller frees it.
static char *class_name(const char *name)
{
    char *out = malloc(strlen(name) + 1), *to = out;
    for (const char *at = name; out && *at;) {
        size_t length = strcspn(at, "."), digits = strspn(at, "0123456789");
        if (length > 0 && digits == length) {
            *to++ = '*';
        } else {
            memcpy(to, at, length);
            to += length;
        }
        at += length;
        if (*at == '.')
            *to++ = *at++;
    }
    if (out)
        *to = '\0';
    return out;
}

static enum qm_status no_memory(void)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to tell of a model's tensors; close other programs and try again");
}

static enum qm_status find_class(struct qm_tensor_classes *classes, const char *name, struct qm_tensor_class **out)
{
    char *own = class_name(name);
    if (!own)
        return no_memory();
    for (size_t i = classes->count; i-- > 0;) { // the latest is the likeliest
        if (strcmp(classes->classes[i].name, own) == 0) {
            free(own);
            *out = &classes->classes[i];
            return QM_OK;
        }
    }
    if (classes->count == classes->room) {
        size_t room = classes->room > 0 ? 2 * classes->room : 64;
        struct qm_tensor_class *grown = realloc(classes->classes, room * sizeof(*grown));
        if (!grown) {
            free(own);
            return no_memory();
        }
        classes->classes = grown;
        classes->room = room;
    }
    *out = &classes->classes[classes->count++];
    **out = (struct qm_tensor_class){.name = own};
    return QM_OK;
}

enum qm_status qm_tensor_classes_add(struct qm_tensor_classes *classes, const struct qm_tensor_fact *fact)
{
    struct qm_tensor_class *found = NULL;
    QM_TRY(find_class(classes, fact->name, &found));
    size_t at = 0;
    while (at < found->format_count && strcmp(found->formats[at].name, fact->format) != 0)
        at++;
    if (at == found->format_count && at < QM_TENSOR_CLASS_FORMATS_MAX) {
        snprintf(found->formats[at].name, sizeof(found->formats[at].name), "%s", fact->format);
        found->formats[at].is_float = fact->is_float;
        found->format_count++;
    }
    if (at < QM_TENSOR_CLASS_FORMATS_MAX)
        found->formats[at].tensors += fact->tensors;
    found->tensors += fact->tensors;
    found->values += fact->values;
    found->bytes += fact->bytes;
    return QM_OK;
}

void qm_tensor_classes_free(struct qm_tensor_classes *classes)
{
    for (size_t i = 0; i < classes->count; i++)
        free(classes->classes[i].name);
    free(classes->classes);
    *classes = (struct qm_tensor_classes){0};
}

// ---- What is told of them -------------------------------------------------------------------------------------------

void qm_disclose_text(struct qm_node *mapping, const char *key, const char *text)
{
    char *copy = text && *text ? strdup(text) : NULL;
    if (copy) {
        qm_text_clean(copy);
        qm_node_set_text(mapping, key, copy);
    }
    free(copy);
}

static bool is_float(const struct qm_tensor_class *class)
{
    bool all = true;
    for (size_t i = 0; i < class->format_count; i++)
        all = all && class->formats[i].is_float;
    return all;
}

// With how many tensors have each, where they have not all the same.
static void list_formats(const struct qm_tensor_class *class, char *text, size_t size)
{
    size_t used = 0, kinds = 0;
    text[0] = '\0';
    for (size_t i = 0; i < class->format_count; i++)
        kinds += class->formats[i].tensors > 0;
    for (size_t i = 0; i < class->format_count && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", class->formats[i].name);
        if (kinds > 1 && class->formats[i].tensors > 0 && used < size)
            used += (size_t)snprintf(text + used, size - used, " %" PRIu64, class->formats[i].tensors);
    }
}

static void set_bits(struct qm_node *mapping, const char *key, uint64_t bytes, uint64_t values)
{
    char number[32];
    snprintf(number, sizeof(number), "%.4g", 8 * (double)bytes / (double)values);
    qm_node_set_double(mapping, key, strtod(number, NULL));
}

static void tell_classes(struct qm_node *tensors, const struct qm_tensor_classes *classes)
{
    struct qm_node *list = qm_node_add_sequence(tensors, "classes");
    for (size_t i = 0; i < classes->count; i++) {
        const struct qm_tensor_class *class = &classes->classes[i];
        char formats[256];
        struct qm_node *row = qm_node_append_mapping(list);
        list_formats(class, formats, sizeof(formats));
        qm_disclose_text(row, "class", class->name);
        qm_node_set_text(row, "formats", formats);
        qm_node_set_u64(row, "tensors", class->tensors);
        qm_node_set_u64(row, "bytes", class->bytes);
        if (class->values > 0) {
            qm_node_set_u64(row, "values", class->values);
            set_bits(row, "bits", class->bytes, class->values);
        } else {
            qm_node_set_text(row, "values", "undisclosed");
        }
    }
}

// The classes in float by name, which is where a loss would have been.
static void tell_float(struct qm_node *tensors, const struct qm_tensor_classes *classes)
{
    char text[2048] = "";
    size_t used = 0, left_out = 0;
    for (size_t i = 0; i < classes->count; i++) {
        char formats[256];
        const struct qm_tensor_class *class = &classes->classes[i];
        if (!is_float(class))
            continue;
        list_formats(class, formats, sizeof(formats));
        if (used + strlen(class->name) + strlen(formats) + 64 > sizeof(text)) {
            left_out++;
            continue;
        }
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s (%s)", used ? ", " : "", class->name, formats);
    }
    if (left_out > 0)
        snprintf(text + used, sizeof(text) - used, ", and %zu classes more", left_out);
    qm_disclose_text(tensors, "in_float", *text ? text : "none");
}

void qm_disclose_tensors(struct qm_node *claim, const struct qm_tensor_classes *classes)
{
    uint64_t tensors = 0, values = 0, bytes = 0, quantized_tensors = 0, quantized_values = 0, quantized_bytes = 0;
    bool is_known = true;
    for (size_t i = 0; i < classes->count; i++) {
        const struct qm_tensor_class *class = &classes->classes[i];
        tensors += class->tensors;
        values += class->values;
        bytes += class->bytes;
        is_known = is_known && class->values > 0;
        if (is_float(class))
            continue;
        quantized_tensors += class->tensors;
        quantized_values += class->values;
        quantized_bytes += class->bytes;
    }
    struct qm_node *subject = qm_node_child(claim, "subject"), *node = qm_node_child(claim, "tensors");
    struct qm_node *weights = qm_node_get(claim, "precision.weights");
    if (is_known)
        qm_node_set_u64(subject, "parameters", values);
    qm_node_set_u64(subject, "bytes", bytes);
    if (quantized_tensors == 0)
        qm_node_set_textf(node, "weights", "none of %" PRIu64 " tensors is quantized", tensors);
    else if (is_known)
        qm_node_set_textf(node, "weights",
                          "%" PRIu64 " of %" PRIu64 " tensors are quantized, %.4g %% of the values, at %.4g bits "
                          "a weight with scales",
                          quantized_tensors, tensors, 100 * (double)quantized_values / (double)values,
                          8 * (double)quantized_bytes / (double)quantized_values);
    else
        qm_node_set_textf(node, "weights", "%" PRIu64 " of %" PRIu64 " tensors are quantized", quantized_tensors,
                          tensors);
    if (is_known && values > 0)
        set_bits(weights, "bits_with_scales", bytes, values);
    tell_float(node, classes);
    tell_classes(node, classes);
}

// ---- The claim ------------------------------------------------------------------------------------------------------

struct qm_node *qm_disclosure_begin(void)
{
    struct qm_node *claim = qm_node_new_mapping();
    qm_node_set_u64(claim, "claim", QM_CLAIM_SCHEMA);
    qm_node_set_text(claim, "title", "undisclosed"); // its place
    qm_node_add_mapping(claim, "subject");
    qm_node_add_mapping(qm_node_add_mapping(claim, "precision"), "weights");
    qm_node_add_mapping(claim, "tensors");
    struct qm_node *remarks = qm_node_add_sequence(claim, "remarks");
    qm_node_append_text(remarks,
                        "What the model's files say of themselves; speed, and accuracy against the original, stand "
                        "in no such file and have to be measured");
    return claim;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

// Of a pipe nothing is taken: what is read from it is gone.
static bool begins_with_gguf(const char *path)
{
    char magic[4] = "";
    uint64_t bytes = 0;
    if (qm_file_size(path, &bytes) != QM_OK || bytes < sizeof(magic))
        return false;
    FILE *file = fopen(path, "rb");
    bool is_read = file && fread(magic, sizeof(magic), 1, file) == 1;
    if (file)
        fclose(file);
    return is_read && memcmp(magic, "GGUF", sizeof(magic)) == 0;
}

bool qm_model_disclosure_is_for(const char *path)
{
    return qm_file_exists(path) && (qm_directory_exists(path) || ends_with(path, ".gguf") ||
                                    ends_with(path, ".safetensors") || begins_with_gguf(path));
}

enum qm_status qm_model_disclosure(const char *path, struct qm_node **out)
{
    *out = NULL;
    if (!qm_directory_exists(path) && ends_with(path, ".safetensors"))
        return QM_FAIL(QM_INVALID,
                       "%s: tensors alone do not say how they were quantized; give the directory that has "
                       "config.json beside them",
                       path);
    struct qm_node *claim = qm_disclosure_begin();
    enum qm_status status =
        qm_directory_exists(path) ? qm_disclose_directory(path, claim) : qm_disclose_gguf(path, claim);
    if (status == QM_OK) {
        const struct qm_node *subject = qm_node_child(claim, "subject");
        qm_node_set_textf(claim, "title", "%s, %s", qm_node_text_at(subject, "model", "a model without a name"),
                          qm_node_text_at(subject, "container", ""));
        qm_claim_tidy(claim);
    }
    if (status == QM_OK && !qm_node_ok(claim))
        status = no_memory();
    if (status != QM_OK)
        qm_node_destroy(&claim);
    *out = claim;
    return status;
}
