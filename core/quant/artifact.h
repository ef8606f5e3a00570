// Artifacts: a model calibrated and quantized for one scheme, as one safetensors file with an identity.
//
// docs/ARTIFACT.md is the page from which a stranger decodes one. In short, NAME being a weight's name in Hugging Face:
//   NAME.weight             codes; see format.h. Embedding F16 (F32 in scheme f32), norm gains F32.
//   NAME.bias               F32, where the architecture has it
//   NAME.scale              scales of integer formats
//   NAME.activation_scale   F32 [1], in static schemes, of every linear weight, in `file` of those whose file has one; those
//                           that read the same input have the same value
//   model.layers.L.self_attn.k_scale, .v_scale
//                           F32 [1], in schemes whose cache has calibrated scales: of all keys (after the rotary
//                           embedding) and of all values of layer L
// and metadata: `qmark_artifact` (version of this layout), `id`, `scheme`, `scheme_sha256`, `model_sha256`, `config`,
// `calibration` and `record` (JSON texts), of scheme `file` also `formats` (JSON: the format of each linear weight by NAME,
// as qm_own_format_name has it). A head that is tied to the embedding is stored like any other.
//
// The id is SHA-256 over, for each tensor by name: name, dtype and shape as texts ("F16", "[512, 256]"), each with its
// terminating zero, then the data; then the texts `scheme_sha256` and `config`. No time, no version, no path; the KV
// format is not part of it unless its scales are calibrated, nor is what was measured while encoding.
#ifndef QM_QUANT_ARTIFACT_H
#define QM_QUANT_ARTIFACT_H

#include "base/hash.h"
#include "base/status.h"
#include "model/model.h"
#include "quant/calibrate.h"
#include "quant/format.h"
#include "quant/scheme.h"
#include "sys/file.h"
#include "sys/file_map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QM_ARTIFACT_VERSION "1"

// One weight.
struct qm_artifact_tensor {
    char name[QM_WEIGHT_NAME_BYTES]; // without ".weight"
    enum qm_role role;
    uint32_t layer; // 0 for roles that have none
    enum qm_weight_format format;
    uint32_t rows, columns;
    enum qm_activation_format activations; // of what a linear weight is multiplied with
    struct qm_encoded encoded;             // aligned for its types, row-major, as format.h says
    size_t code_bytes, scale_bytes;
    // Static schemes, linear weights: one, or one per scheme.activation_group channels; of `file` where the file has one; else
    // NULL and 0.
    const float *activation_scales;
    uint32_t activation_scale_count;
    enum qm_bound bound; // what holds of the errors
    struct qm_weight_record record;
};

struct qm_artifact {
    char id[QM_HASH_TEXT_BYTES];
    // With the KV format that goes without saying, unless its scales are calibrated: callers use their own scheme's.
    struct qm_scheme scheme; // of `file`, bound to `own`
    struct qm_own_formats own;
    struct qm_own_format *own_list;         // what own.of points to; NULL in other schemes
    char scheme_sha256[QM_HASH_TEXT_BYTES]; // qm_scheme_artifact_hash
    struct qm_model_config config;
    char model_sha256[QM_HASH_TEXT_BYTES];
    struct qm_activation_scales *activations; // NULL unless the scheme is calibrated
    size_t tensor_count;                      // qm_weight_count(&config), in that order (model.h)
    struct qm_artifact_tensor *tensors;
    float (*cache_scales)[QM_CACHED_COUNT]; // [layers], of the scheme's KV format if calibrated; else NULL
    uint64_t bytes;            // codes, scales and activation scales of all tensors, and the cache's scales
    uint64_t weight_bytes;     // of the linear weights alone, with their scales
    void *storage;             // what the tensors point into
    struct qm_scratch scratch; // ... or this, of a large one that was built
    struct qm_tensors *file;   // ... or this, when it was loaded; a large one is mapped
};

// What an artifact is built from.
struct qm_artifact_params {
    const struct qm_model *model;   // of calibrators that scale channels (smooth.h), as they left it
    const struct qm_scheme *scheme; // of `file`, bound to the model's own formats
    // Needed for calibrated schemes, from the scheme's own calibrator and for as many layers, with the cache's maxima if
    // its scales are calibrated; else ignored.
    const struct qm_activation_scales *activations;
    // Of the inputs of `model`, at qm_input_index: needed for gptq, awq and imatrix; else may be NULL.
    const struct qm_channel_statistics *const *statistics;
    // Where codes and scales lie while they are made (sys/file_map.h, qm_scratch_create); NULL: in memory.
    const char *scratch_directory;
    void (*progress)(void *context, double fraction); // after each weight; may be NULL
    void *progress_context;
};

// Whether each of a scheme's patterns names a linear weight of the model; QM_INVALID names the first that does not.
QM_MUST_USE enum qm_status qm_artifact_check_patterns(const struct qm_scheme *scheme,
                                                      const struct qm_model_config *config);
// Encodes a model. QM_INVALID names the tensor that cannot be encoded. The caller destroys it.
QM_MUST_USE enum qm_status qm_artifact_build(const struct qm_artifact_params *params, struct qm_artifact **out);
// What of an artifact follows from scheme and configuration alone: names, formats, shapes, bounds and bytes. No codes, no
// scales, no id, nothing in the records but `bytes`. Scheme `file` must be bound: QM_INVALID where it is not. The caller
// destroys it.
QM_MUST_USE enum qm_status qm_artifact_outline(const struct qm_scheme *scheme, const struct qm_model_config *config,
                                               struct qm_artifact **out);
void qm_artifact_destroy(struct qm_artifact **artifact);

// What of a large artifact was looked at and is not needed now gives its memory back; looking again reads it again. Of a
// small one that lies in memory nothing happens.
void qm_artifact_drop(const struct qm_artifact *artifact, const struct qm_artifact_tensor *tensor);
// QM_INVALID if the file of a large artifact was written or cut off since it was loaded: then what was read of it counts
// nothing.
QM_MUST_USE enum qm_status qm_artifact_check_unchanged(const struct qm_artifact *artifact);

// Files above so many bytes are mapped and not read by qm_artifact_load.
#define QM_ARTIFACT_MAP_BYTES ((uint64_t)64 << 20)

// Files. Equal artifacts give equal bytes. Loading checks everything that can be checked without the model: each tensor's
// dtype and shape against config and scheme, that none is missing or surplus, that codes and scales are in range and
// finite, and the id. One line for what is wrong, QM_INVALID.
QM_MUST_USE enum qm_status qm_artifact_save(const struct qm_artifact *artifact, const char *path);
QM_MUST_USE enum qm_status qm_artifact_load(const char *path, struct qm_artifact **out);
// The same, mapped or read whatever its size.
QM_MUST_USE enum qm_status qm_artifact_load_as(const char *path, bool is_mapped, struct qm_artifact **out);
// The formats of a file of scheme `file`, and nothing else of it; NULL, with QM_OK, of another scheme's. free() it.
QM_MUST_USE enum qm_status qm_artifact_load_formats(const char *path, struct qm_own_formats **out);
// The configuration that a file names, and nothing else of it.
QM_MUST_USE enum qm_status qm_artifact_load_config(const char *path, struct qm_model_config *out);

// Checks every weight of an artifact against the model that it claims to be made of: its hash and the bound of every
// value. QM_WRONG_RESULT names the first that does not fit.
QM_MUST_USE enum qm_status qm_artifact_check(const struct qm_artifact *artifact, const struct qm_model *model);

const struct qm_artifact_tensor *qm_artifact_weight(const struct qm_artifact *artifact, enum qm_role role,
                                                    uint32_t layer);
// rows * columns floats.
void qm_artifact_decode(const struct qm_artifact_tensor *tensor, float *values);

// A directory of artifacts, such as "artifacts" in qm_cache_directory: each lies in ID.safetensors, and KEY.id, where KEY
// is a hash of model, scheme and calibration set, holds the id. The directory is made if it is missing.
QM_MUST_USE enum qm_status qm_artifact_store(const struct qm_artifact *artifact, const char *directory);
// Looks one up and loads it. `calibration_sha256` is the calibration set's; it counts for static schemes only and may be
// NULL for others. *out is NULL, with QM_OK, where there is none or where it cannot be read as what it should be:
// then build it and store it anew.
QM_MUST_USE enum qm_status qm_artifact_find(const char *directory, const char *model_sha256,
                                            const struct qm_model_config *config, const struct qm_scheme *scheme,
                                            const char *calibration_sha256, struct qm_artifact **out);
// DIRECTORY/ID.safetensors
QM_MUST_USE enum qm_status qm_artifact_path(const char *directory, const char *id, char path[QM_PATH_BYTES]);

#endif
