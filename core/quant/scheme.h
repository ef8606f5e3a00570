// Schemes: one precision for weights, activations and KV cache, named as in `w4a16-g32-kv8`.
//
// The grammar, parts in this order:
//   WEIGHTS ACTIVATIONS [-gN] [-asym] [-static[N]] [-CALIBRATOR] [-actorder] [-kvF] [-firstN] [-lastN] [+PATTERN=FORMAT]...
//   f32, f16, bf16       floating point throughout; the cache in f32 or f16 unless -kvF names another
//   w8a16, w8a8, w4a16-g32, e4m3af8, q4_ka16
//                        a weight format with activations in float16 (a16), int8 (a8), E4M3FN (af8) or int4 (a4)
//   file                 linear weights as the model's file has them, each in its own format, none quantized anew: what somebody
//                        else quantized. Activations as the file's program has them where kernels do (int8, E4M3FN), else
//                        float16, of weights in float32 or bfloat16 as those; of the parts behind only the cache's
//   filea16              the same with activations in floats throughout
//   -static              activation scales are fixed by calibration, one per tensor, or one per N channels
//   -kve4m3s, -kve5m2s   FP8 in the cache with scales from calibration; -kve4m3 and -kve5m2 have the scale 1
//   -firstN, -lastN      the first and the last N tokens of a sequence stay float16 in the cache
//   +lm_head=f16         the linear weights whose names match have another format, "+layers.0.*=w8a8": `*` stands for any
//                        characters, a pattern may begin at any part of a name; the last that matches counts
// A name is a label. What a scheme *is* is the expanded structure, and its identity is the hash of that.
//
// A new weight format is a row in format_table.c and an enumerator here.
#ifndef QM_QUANT_SCHEME_H
#define QM_QUANT_SCHEME_H

#include "base/hash.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_node;

// What a format is stands in its row of format_table.c. Integers are symmetric, or with a zero point (Z); G: values along
// the input that share a scale.
enum qm_weight_format {
    QM_WEIGHT_F32 = 0,
    QM_WEIGHT_F16,
    QM_WEIGHT_BF16,
    QM_WEIGHT_W8, // one scale per output row
    QM_WEIGHT_W8G32,
    QM_WEIGHT_W8G64,
    QM_WEIGHT_W8G128,
    QM_WEIGHT_W4G32,
    QM_WEIGHT_W4G64,
    QM_WEIGHT_W4G128,
    QM_WEIGHT_W4ZG32,
    QM_WEIGHT_W4ZG64,
    QM_WEIGHT_W4ZG128,
    QM_WEIGHT_W3G32,
    QM_WEIGHT_W3G64,
    QM_WEIGHT_W3G128,
    QM_WEIGHT_W3ZG32,
    QM_WEIGHT_W3ZG64,
    QM_WEIGHT_W3ZG128,
    QM_WEIGHT_W2G32,
    QM_WEIGHT_W2G64,
    QM_WEIGHT_W2G128,
    QM_WEIGHT_W2ZG32,
    QM_WEIGHT_W2ZG64,
    QM_WEIGHT_W2ZG128,
    QM_WEIGHT_Q8_0,
    QM_WEIGHT_Q4_0,
    QM_WEIGHT_Q4_1,
    QM_WEIGHT_Q5_0,
    QM_WEIGHT_Q4_K,
    QM_WEIGHT_Q5_K,
    QM_WEIGHT_Q6_K,
    QM_WEIGHT_E4M3,
    QM_WEIGHT_E5M2,
    QM_WEIGHT_MXFP8,
    QM_WEIGHT_MXFP6E2M3,
    QM_WEIGHT_MXFP6E3M2,
    QM_WEIGHT_MXFP4,
    QM_WEIGHT_NVFP4,
    QM_WEIGHT_FORMAT_COUNT,
};

enum qm_activation_format {
    QM_ACTIVATION_F32 = 0,
    QM_ACTIVATION_F16,
    QM_ACTIVATION_BF16,
    QM_ACTIVATION_A8, // int8; scale per token at run time, or per tensor or channel group from calibration (is_static)
    QM_ACTIVATION_F8, // E4M3FN, scales likewise
    QM_ACTIVATION_A4, // int4, one scale per token and 32 channels
    QM_ACTIVATION_FORMAT_COUNT,
};

enum qm_kv_format {
    QM_KV_F32 = 0,
    QM_KV_F16,
    QM_KV_KV8,  // int8, symmetric, one scale per token and head
    QM_KV_KV4,  // int4, symmetric, one scale per token and head
    QM_KV_E4M3, // E4M3FN, one scale for all keys and one for all values of a layer: 1
    QM_KV_E5M2,
    QM_KV_E4M3S, // the same with scales from calibration, which the artifact has
    QM_KV_E5M2S,
    QM_KV_KIVI4, // keys per channel and block of 32 tokens, values per token and head, both with a minimum
    QM_KV_KIVI2,
    QM_KV_FORMAT_COUNT,
};

// How scales, and weights, were chosen by more than the values' own maxima.
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

#define QM_SCHEME_OWN_NAME "file"
#define QM_SCHEME_OWN_FLOATS_NAME "filea16"
#define QM_SCHEME_NAME_BYTES 192
#define QM_SCHEME_OVERRIDES_MAX 6
#define QM_SCHEME_PATTERN_BYTES 48

// Another format for the linear weights whose names match.
struct qm_scheme_override {
    char pattern[QM_SCHEME_PATTERN_BYTES];
    enum qm_weight_format weights;
    enum qm_activation_format activations;
};

// What a linear weight of a model's file is in, and what it is multiplied with.
struct qm_own_format {
    enum qm_weight_format weights; // COUNT: none of ours
    enum qm_activation_format activations;
    bool is_static; // activations: one scale for all of a tensor, which the file has; else one per token
};

// The formats that a model's file has its weights in: what `file` stands for in a model.
struct qm_own_formats {
    const struct qm_own_format *of; // [count], in the order of weights (model.h), of linear ones; the others count for
                                    // nothing. NULL: no more is known than what stands below
    size_t count;
    enum qm_activation_format
        activations;                 // of the first weight whose activations are codes; float16 where there is none
    bool is_static;                  // of these
    char sha256[QM_HASH_TEXT_BYTES]; // over all of them, see qm_own_formats_set
};

struct qm_scheme {
    enum qm_weight_format weights; // of `file`: float16, which is what else there is
    enum qm_activation_format activations;
    uint32_t group_size;       // values that share a weight scale, along the input; 0: the whole row, or a float format
    bool is_static;            // activation scales fixed by calibration
    uint32_t activation_group; // static: channels that share a scale; 0: all of a tensor
    enum qm_calibrator calibrator;
    bool is_act_order; // GPTQ takes columns by descending diagonal of H
    enum qm_kv_format kv;
    uint32_t kv_first, kv_last; // tokens that stay exact in the cache
    struct qm_scheme_override overrides[QM_SCHEME_OVERRIDES_MAX];
    size_t override_count;
    bool is_own;        // `file`
    bool is_own_floats; // `filea16`: of its activations none are codes
    const struct qm_own_formats
        *own; // then, once the model is known (qm_scheme_bind): the model's or the artifact's, which
              // outlives the scheme; else NULL. Part of the identity
    char name[QM_SCHEME_NAME_BYTES]; // canonical: parts that are defaults are left out
};

// What the tables say of a format. `storage` and `scales` are what a result discloses under `precision`.
struct qm_format_info {
    const char *name;    // the part of a scheme's name: "w4", "a8", "kv8"; "f32" and "f16" for float formats
    const char *title;   // "int4"
    const char *storage; // how values lie in memory: variant, range, rounding, saturation
    const char *scales;  // which values share a scale and how the scale is stored; "none" for float formats
    const char *error;   // the bound of a value's error
    uint32_t bits;       // per value, scales not counted
    uint32_t group_size; // as in struct qm_scheme
    bool is_float;       // stands for itself, without scales
    bool is_asymmetric;
    bool is_storage_only; // no device here computes in it: it is decoded to float in software
};

// Rows of the tables; `format` must be below the enumeration's COUNT.
const struct qm_format_info *qm_weight_format_info(enum qm_weight_format format);
const struct qm_format_info *qm_activation_format_info(enum qm_activation_format format);
const struct qm_format_info *qm_kv_format_info(enum qm_kv_format format);
// Formats whose scales come from a calibration set: the number that a layer's largest key (or value) in it becomes, 448 or
// 57,344. 0 for all others.
int qm_kv_calibrated_largest(enum qm_kv_format format);
const char *qm_calibrator_name(enum qm_calibrator calibrator); // "none", "absmax", "percentile", "gptq"
// The calibrator's parameters as disclosed, such as "percentile 99.99 of absolute values"; "" for none.
const char *qm_calibrator_parameters(enum qm_calibrator calibrator);

// Reads a scheme's name. QM_INVALID with what is wrong and the nearest name that would be right.
QM_MUST_USE enum qm_status qm_scheme_parse(const char *text, struct qm_scheme *out);

// The scheme with another calibrator: formats, cache and overrides stay. QM_INVALID where the formats do not go with it.
QM_MUST_USE enum qm_status qm_scheme_with_calibrator(const struct qm_scheme *scheme, enum qm_calibrator calibrator,
                                                     bool is_act_order, struct qm_scheme *out);

// Of a scheme `file`, which formats it stands for; `own` outlives the scheme. Of others nothing happens.
// The scheme's activations become those of the formats, but of `filea16`.
void qm_scheme_bind(struct qm_scheme *scheme, const struct qm_own_formats *own);
// Fills what follows from the formats, which stay the caller's. The hash is SHA-256 over the name of each (qm_own_format_name),
// of those that are none the word "none".
void qm_own_formats_set(struct qm_own_formats *own, const struct qm_own_format *of, size_t count);
// A format's name, with activations only where they are codes: "q4_k", "w4-g128-asym", "w8 a8", "e4m3 af8 static"; and back,
// false for other words.
#define QM_OWN_FORMAT_NAME_BYTES 48
void qm_own_format_name(const struct qm_own_format *format, char name[QM_OWN_FORMAT_NAME_BYTES]);
bool qm_own_format_find(const char *name, struct qm_own_format *out);
// What stands under `activations` of all of them: "a8", "af8 static"; "" where they are floats. And back, false for other words.
#define QM_OWN_ACTIVATIONS_NAME_BYTES 16
void qm_own_activations_name(const struct qm_own_formats *own, char name[QM_OWN_ACTIVATIONS_NAME_BYTES]);
bool qm_own_activations_find(const char *name, struct qm_own_formats *own);
// A format as a scheme's name would have it, without activations: "q4_k", "w4-g128-asym"; and back, false for other words.
#define QM_WEIGHT_FORMAT_NAME_BYTES 32
void qm_weight_format_name(enum qm_weight_format format, char name[QM_WEIGHT_FORMAT_NAME_BYTES]);
bool qm_weight_format_find(const char *name, enum qm_weight_format *out);

// Writes the canonical name into `scheme->name`.
void qm_scheme_set_name(struct qm_scheme *scheme);

// The format and activations of the weight `name` ("model.layers.3.mlp.down_proj"): the last override's that matches,
// else the scheme's. Norms and the embedding are not asked for, nor is a scheme `file`: see qm_own_activations.
void qm_scheme_formats_of(const struct qm_scheme *scheme, const char *name, enum qm_weight_format *weights,
                          enum qm_activation_format *activations);
// What weights of `file` in a format are multiplied with, where their file's program has floats.
enum qm_activation_format qm_own_activations(enum qm_weight_format format);
// Whether a weight's name, from its start or from behind one of its dots to its end, matches a pattern.
bool qm_scheme_pattern_matches(const char *pattern, const char *name);

// Whether an artifact of the scheme depends on a calibration set.
bool qm_scheme_is_calibrated(const struct qm_scheme *scheme);

// Whether both stand for the same structure, whatever their names.
bool qm_scheme_equal(const struct qm_scheme *a, const struct qm_scheme *b);
// Whether both use one artifact: equal in all but the KV format, of which an artifact holds calibrated scales alone.
bool qm_scheme_same_artifact(const struct qm_scheme *a, const struct qm_scheme *b);

// SHA-256 of the expanded structure, the name not being part of it; for an artifact's identity without the KV format, unless
// its scales are calibrated.
void qm_scheme_hash(const struct qm_scheme *scheme, char text[QM_HASH_TEXT_BYTES]);
void qm_scheme_artifact_hash(const struct qm_scheme *scheme, char text[QM_HASH_TEXT_BYTES]);

// The expanded structure as a mapping for results and profiles; the caller destroys it. NULL without memory.
QM_MUST_USE struct qm_node *qm_scheme_expand(const struct qm_scheme *scheme);

// What the scheme means, as text of some lines for people. Returns the length that the whole text has, as snprintf.
size_t qm_scheme_explain(const struct qm_scheme *scheme, char *text, size_t capacity);

// The stock schemes in their usual order, as used by the standard profile. Stops with NULL at `index` = count.
const char *qm_scheme_stock_name(size_t index);

#endif
