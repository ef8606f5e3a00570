// What the two kinds of files share in telling of their quantization.
#ifndef QM_MODEL_DISCLOSURE_INTERNAL_H
#define QM_MODEL_DISCLOSURE_INTERNAL_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_node;

// Tensors whose names differ in a number alone.
#define QM_TENSOR_CLASS_FORMATS_MAX 8
struct qm_tensor_class {
    char *name; // owned; "blk.*.attn_q.weight"
    struct {
        char name[24]; // "Q4_K"
        uint64_t tensors;
        bool is_float;
    } formats[QM_TENSOR_CLASS_FORMATS_MAX];
    size_t format_count;
    uint64_t tensors;
    uint64_t values; // 0: the files do not say how many their packed bytes hold
    uint64_t bytes;
};

struct qm_tensor_classes {
    struct qm_tensor_class *classes; // in the order in which they came
    size_t count, room;
};

struct qm_tensor_fact {
    const char *name;
    const char *format; // "Q4_K", "BF16", "I32"
    bool is_float;
    uint64_t tensors; // 1; 0 for what belongs to another tensor, such as its scales
    uint64_t values;  // 0: not known
    uint64_t bytes;
};

QM_MUST_USE enum qm_status qm_tensor_classes_add(struct qm_tensor_classes *classes, const struct qm_tensor_fact *fact);
void qm_tensor_classes_free(struct qm_tensor_classes *classes);

// subject.parameters and .bytes, tensors.weights, .in_float and .classes, and precision.weights.bits, scales included.
void qm_disclose_tensors(struct qm_node *claim, const struct qm_tensor_classes *classes);

// Sets a text of a stranger, on one line and as UTF-8; none where it is empty.
void qm_disclose_text(struct qm_node *mapping, const char *key, const char *text);

// A claim without anything yet: number, and a remark on what a file cannot say. NULL without memory.
struct qm_node *qm_disclosure_begin(void);

QM_MUST_USE enum qm_status qm_disclose_gguf(const char *path, struct qm_node *claim);
QM_MUST_USE enum qm_status qm_disclose_directory(const char *path, struct qm_node *claim);

#endif
