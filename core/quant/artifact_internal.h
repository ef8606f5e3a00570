// What building and filing an artifact share.
#ifndef QM_QUANT_ARTIFACT_INTERNAL_H
#define QM_QUANT_ARTIFACT_INTERNAL_H

#include "model/safetensors.h"
#include "quant/artifact.h"

#define QM_PART_NAME_BYTES (QM_WEIGHT_NAME_BYTES + 24)

// The tensors of a file, in the order that they have in one: weight, scale and activation scale of each weight, then the
// cache's scales.
struct qm_artifact_parts {
    struct qm_tensor *tensors;
    size_t count;
    char (*names)[QM_PART_NAME_BYTES]; // what the tensors' names point into
};

// Fills scheme, its hash, config and, for each weight, everything but codes, scales, activation scale and record: what
// follows from scheme and config alone.
QM_MUST_USE enum qm_status qm_artifact_plan(struct qm_artifact *artifact, const struct qm_scheme *scheme,
                                            const struct qm_model_config *config);
// Names, dtypes, shapes and sizes; data too where the artifact has it. qm_artifact_parts_free may be called on zeros.
QM_MUST_USE enum qm_status qm_artifact_list(const struct qm_artifact *artifact, struct qm_artifact_parts *out);
void qm_artifact_parts_free(struct qm_artifact_parts *parts);

QM_MUST_USE enum qm_status qm_artifact_compute_id(const struct qm_artifact *artifact, char id[QM_HASH_TEXT_BYTES]);
// Gives back the memory of a large artifact's bytes.
void qm_artifact_drop_bytes(const struct qm_artifact *artifact, const void *bytes, size_t count);
// `bytes` and `weight_bytes`.
void qm_artifact_count_bytes(struct qm_artifact *artifact);

// The metadata text `formats` of scheme `file`, and back: an array of qm_weight_count(config) formats that the caller frees.
char *qm_artifact_formats_text(const struct qm_artifact *artifact);
QM_MUST_USE enum qm_status qm_artifact_parse_formats(const char *text, const char *file,
                                                     const struct qm_model_config *config, struct qm_own_format **out);
// The metadata texts `calibration` and `record`; free() them. NULL without memory. And back: `file` is for messages.
char *qm_artifact_calibration_text(const struct qm_artifact *artifact);
char *qm_artifact_record_text(const struct qm_artifact *artifact);
QM_MUST_USE enum qm_status qm_artifact_parse_calibration(const char *text, const char *file,
                                                         struct qm_artifact *artifact);
QM_MUST_USE enum qm_status qm_artifact_parse_record(const char *text, const char *file, struct qm_artifact *artifact);

#endif
