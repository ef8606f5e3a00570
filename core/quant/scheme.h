// Schemes: one precision for weights, activations and KV cache, named as in `w4a16-g32-kv8`.
//
// The grammar, parts in this order: WEIGHTS ACTIVATIONS [-gN] [-asym] [-static] [-CALIBRATOR] [-kvF]
//   f32, f16                  floating point throughout; the cache in the same format unless -kvF names another
//   w8a16, w8a8, w4a16-g32    integer weights; activations in float16 or int8; the cache in float16 unless named
// A name is a label. What a scheme *is* is the expanded structure, and its identity is the hash of that.
//
// A new format is one row in a table of scheme.c and one enumerator here.
#ifndef QM_QUANT_SCHEME_H
#define QM_QUANT_SCHEME_H

#include "base/hash.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_node;

enum qm_weight_format {
    QM_WEIGHT_F32 = 0,
    QM_WEIGHT_F16,
    QM_WEIGHT_W8,    // int8, symmetric, one scale per output row
    QM_WEIGHT_W4G32, // int4, symmetric, one scale per 32 values along the input
    QM_WEIGHT_FORMAT_COUNT,
};

enum qm_activation_format {
    QM_ACTIVATION_F32 = 0,
    QM_ACTIVATION_F16,
    QM_ACTIVATION_A8, // int8, symmetric; scale per token at run time, or per tensor from calibration (is_static)
    QM_ACTIVATION_FORMAT_COUNT,
};

enum qm_kv_format {
    QM_KV_F32 = 0,
    QM_KV_F16,
    QM_KV_KV8, // int8, symmetric, one scale per token and head
    QM_KV_KV4, // int4, symmetric, one scale per token and head
    QM_KV_FORMAT_COUNT,
};

// How static activation scales were found. NONE wherever nothing is calibrated (float or dynamic activations).
enum qm_calibrator {
    QM_CALIBRATOR_NONE = 0,
    QM_CALIBRATOR_ABSMAX,
    QM_CALIBRATOR_PERCENTILE,
    QM_CALIBRATOR_MSE,
    QM_CALIBRATOR_ENTROPY,
    QM_CALIBRATOR_SMOOTHQUANT,
    QM_CALIBRATOR_AWQ,
    QM_CALIBRATOR_GPTQ,
    QM_CALIBRATOR_IMATRIX,
    QM_CALIBRATOR_COUNT,
};

#define QM_SCHEME_NAME_BYTES 64

struct qm_scheme {
    enum qm_weight_format weights;
    enum qm_activation_format activations;
    uint32_t group_size; // values that share a weight scale, along the input; 0: the whole row, or a float format
    bool is_static;      // activation scales fixed by calibration
    enum qm_calibrator calibrator;
    enum qm_kv_format kv;
    char name[QM_SCHEME_NAME_BYTES]; // canonical: parts that are defaults are left out
};

// What the tables say of a format. `storage` and `scales` are what a result discloses under `precision`.
struct qm_format_info {
    const char *name;    // the part of a scheme's name: "w4", "a8", "kv8"; "f32" and "f16" for float formats
    const char *title;   // "int4"
    const char *storage; // how values lie in memory
    const char *scales;  // which values share a scale and how the scale is stored; "none" for float formats
    uint32_t bits;       // per value, scales not counted
    uint32_t group_size; // as in struct qm_scheme
    bool is_float;
};

// Rows of the tables; `format` must be below the enumeration's COUNT.
const struct qm_format_info *qm_weight_format_info(enum qm_weight_format format);
const struct qm_format_info *qm_activation_format_info(enum qm_activation_format format);
const struct qm_format_info *qm_kv_format_info(enum qm_kv_format format);
const char *qm_calibrator_name(enum qm_calibrator calibrator); // "none", "absmax", "percentile"
// The calibrator's parameters as disclosed, such as "percentile 99.99 of absolute values"; "" for none.
const char *qm_calibrator_parameters(enum qm_calibrator calibrator);

// Reads a scheme's name. QM_INVALID with what is wrong and the nearest name that would be right.
QM_MUST_USE enum qm_status qm_scheme_parse(const char *text, struct qm_scheme *out);

// Writes the canonical name into `scheme->name`.
void qm_scheme_set_name(struct qm_scheme *scheme);

// Whether both stand for the same structure, whatever their names.
bool qm_scheme_equal(const struct qm_scheme *a, const struct qm_scheme *b);
// Whether both use one artifact: equal in all but the KV format, which no artifact holds.
bool qm_scheme_same_artifact(const struct qm_scheme *a, const struct qm_scheme *b);

// SHA-256 of the expanded structure, the name not being part of it; without the KV format for an artifact's identity.
void qm_scheme_hash(const struct qm_scheme *scheme, char text[QM_HASH_TEXT_BYTES]);
void qm_scheme_artifact_hash(const struct qm_scheme *scheme, char text[QM_HASH_TEXT_BYTES]);

// The expanded structure as a mapping for results and profiles; the caller destroys it. NULL without memory.
QM_MUST_USE struct qm_node *qm_scheme_expand(const struct qm_scheme *scheme);

// What the scheme means, as text of some lines for people. Returns the length that the whole text has, as snprintf.
size_t qm_scheme_explain(const struct qm_scheme *scheme, char *text, size_t capacity);

// The stock schemes in their usual order, as used by the standard profile. Stops with NULL at `index` = count.
const char *qm_scheme_stock_name(size_t index);

#endif
