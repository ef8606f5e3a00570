// Shared by engine.c (kernels, memory, upload), pass.c (programs) and step.c (where they begin).
#ifndef QM_MODEL_ENGINE_INTERNAL_H
#define QM_MODEL_ENGINE_INTERNAL_H

#include "model/engine.h"

#include "kernel/kernels.h"
#include "kernel_arguments.h"
#include "quant/layout.h"

enum {
    QM_NETWORK_VARIANTS_MAX = 96,
    QM_WEIGHT_PARTS_MAX = 64,
    QM_PART_ROWS = 128, // 512 bytes of results, what NVIDIA's and Mesa's OpenCL take offsets in steps of
    QM_VARIANT_NAME_BYTES = 40
};

struct qm_engine_kernel {
    const struct qm_kernel_variant *variant;
    struct qm_kernel *kernel;
};

struct qm_engine {
    struct qm_engine_params params;
    uint32_t widen;                   // at least 1
    struct qm_model_config config;    // widened; with the engine's context
    struct qm_engine_kernel *kernels; // compiled so far
    size_t kernel_count, kernel_capacity;

    struct qm_buffer *step, *tokens, *rope_table;
    uint32_t step_pairs; // of the step buffer: those behind them are zero
    // Scratch of params.rows rows.
    struct qm_buffer *x, *normed, *codes, *scales, *q, *raw_q, *raw_k, *attended, *projected;
    // Queries, keys and values before the cache, side by side or one after the other (pass.c); gates and ups likewise, and
    // behind them what they make.
    struct qm_buffer *qkv, *gate_up;
    struct qm_buffer *logits, *log_probabilities, *argmaxes, *checksums;
};

// Rows of a weight that lie in a buffer of their own, since one binding cannot hold all of them.
struct qm_weight_part {
    struct qm_buffer *buffer;
    uint32_t first, rows;
    uint32_t scale_offset_words; // where scales begin in the buffer
    uint64_t bytes;
};

struct qm_network_weight {
    // In as few parts as each fit one binding. Of a widened weight whole copies of the narrow rows, if that will do.
    struct qm_weight_part parts[QM_WEIGHT_PARTS_MAX];
    uint32_t part_count;
    uint64_t bytes; // of all parts
    uint32_t rows, columns;
    enum qm_weight_format format;
    enum qm_activation_format activations;
    float multiplier;      // of a product's result: the tensor's scale over the widening
    uint32_t weight_shift; // see kernels/product.h
    // Static scales of the activations, widened; NULL where they are found at run time.
    struct qm_buffer *activation_scales;
    uint32_t activation_scale_count;
    bool has_activation_groups; // more than one scale a row
    uint32_t activation_shift;
};

// Weights that read the same input and lie in one buffer, so that one product takes them all; of a layer.
enum qm_merge {
    QM_MERGE_QKV,
    QM_MERGE_GATE_UP,
    QM_MERGE_COUNT
};

struct qm_network {
    struct qm_engine *engine;
    struct qm_scheme scheme;
    size_t weight_count; // as in the artifact, qm_weight_index
    struct qm_network_weight *weights;
    // [layers]; part_count 0 where they are not merged. Else the weights themselves have no buffer.
    struct qm_network_weight (*merged)[QM_MERGE_COUNT];
    struct qm_buffer **caches;                           // one per layer: K codes, K scales, V codes, V scales
    uint64_t cache_bytes;                                // of one layer
    uint32_t k_base, k_scale_base, v_base, v_scale_base; // in words
    float (*cache_scales)[QM_CACHED_COUNT]; // [layers]: 1 but where they are calibrated; only FP8 has any use for them
    // Binary16 besides the codes, of positions below exact_length; 0: none (kernels/kv_format.h).
    uint32_t exact_length, k_exact_base, v_exact_base;
    uint64_t kept_cache_bytes; // see struct qm_network_memory
    uint64_t repack_ns;        // likewise
    char variant_names[QM_NETWORK_VARIANTS_MAX][QM_VARIANT_NAME_BYTES];
    const char *variants[QM_NETWORK_VARIANTS_MAX + 1];
    size_t variant_count;
};

// Rows and parts of a weight on the engine's device, before anything is allocated.
QM_MUST_USE enum qm_status qm_network_plan_weight(const struct qm_network *network,
                                                  const struct qm_artifact_tensor *tensor,
                                                  struct qm_network_weight *weight);
// What a part of a linear weight is packed from.
void qm_weight_part_source(const struct qm_artifact_tensor *tensor, const struct qm_network_weight *weight,
                           uint32_t part, struct qm_layout_shape *shape, struct qm_encoded *encoded);
// qm_layout_pack, whose time counts.
QM_MUST_USE enum qm_status qm_network_repack(struct qm_network *network, enum qm_weight_format format,
                                             const struct qm_layout_shape *shape, const struct qm_encoded *encoded,
                                             uint32_t *words);
// Uploads the artifact's tensor number `index` as network->weights[index].
QM_MUST_USE enum qm_status qm_network_upload_weight(struct qm_network *network, const struct qm_artifact *artifact,
                                                    size_t index);
// Rows of a part where `rows` are cut into `parts`: as many in each but the last, and multiples of QM_PART_ROWS, so that a
// part's results begin at an offset that every driver takes.
uint32_t qm_weight_part_rows(uint32_t rows, uint32_t parts);

// Which weights are merged, and their buffers; before any is uploaded. Not those of a widened model, which are large.
QM_MUST_USE enum qm_status qm_network_plan_merged(struct qm_network *network, const struct qm_artifact *artifact);
// The merged weight that a role is part of; NULL where it lies on its own.
struct qm_network_weight *qm_network_merged_of(const struct qm_network *network, enum qm_role role, uint32_t layer);
// Packs a tensor that is part of a merged weight, as network->weights[index] has been planned, to where it belongs.
QM_MUST_USE enum qm_status qm_network_upload_merged(struct qm_network *network, const struct qm_artifact *artifact,
                                                    size_t index);

// Writes the step buffer for a run of `shape`, whose sequences begin side by side at `start`, or each at its own of
// shape->batch starts. QM_INVALID where it leaves the context, the sequences or the slots, or where two share a sequence.
QM_MUST_USE enum qm_status qm_step_write(struct qm_engine *engine, const struct qm_pass_params *shape,
                                         struct qm_pass_start start, uint32_t repeats);
QM_MUST_USE enum qm_status qm_step_write_each(struct qm_engine *engine, const struct qm_pass_params *shape,
                                              const struct qm_pass_start *starts, uint32_t repeats);

// A pass of one row that is nothing but the product of `weight`, `repeats` times over; with `repeats` 0 the conversion of
// its input, which the products then read. What the input holds is what the pass before has left.
QM_MUST_USE enum qm_status qm_pass_create_product(struct qm_network *network, const struct qm_network_weight *weight,
                                                  uint32_t repeats, struct qm_pass **out);

// What a pass is made of, in its order.
const struct qm_dispatch *qm_pass_dispatch_list(const struct qm_pass *pass, size_t *count);

// Names of the variants for a weight: its product ("matmul" or "matvec"), and the conversion of what it is multiplied with.
void qm_weight_product_name(const struct qm_network_weight *weight, const char *kernel,
                            char name[QM_VARIANT_NAME_BYTES]);
void qm_weight_conversion_name(const struct qm_network_weight *weight, const char *kernel,
                               char name[QM_VARIANT_NAME_BYTES]);
// Whether one conversion of an input serves both.
bool qm_weight_has_conversion_of(const struct qm_network_weight *weight, const struct qm_network_weight *other);
// Whether passes convert an input in the kernel that makes it: where all its readers take the same.
bool qm_network_fuses_input(const struct qm_network *network, enum qm_input input, uint32_t layer);
// The first of the weights that read an input, in the order of their products.
enum qm_role qm_input_reader(const struct qm_model_config *config, enum qm_input input);
// The kernel between up (with its gate) and down, as one of its own.
const char *qm_network_mlp_name(const struct qm_model_config *config);
// The cache's kernels, "kv_write", "kv_block" or "attention", and the embedding's.
void qm_network_cache_name(const struct qm_network *network, const char *kernel, char name[QM_VARIANT_NAME_BYTES]);
void qm_network_exact_keys_name(const struct qm_network *network, char name[QM_VARIANT_NAME_BYTES]); // for kv_block
void qm_network_rope_name(const struct qm_network *network, char name[QM_VARIANT_NAME_BYTES]);
bool qm_network_has_key_blocks(const struct qm_network *network); // keys are quantized by kv_block
void qm_network_embedding_name(const struct qm_network *network, char name[QM_VARIANT_NAME_BYTES]);

// Fills `variants`.
void qm_network_list_variants(struct qm_network *network, const struct qm_artifact *artifact);

// The kernel for a variant's name under the engine's tile, compiled on first use.
QM_MUST_USE enum qm_status qm_engine_kernel(struct qm_engine *engine, const char *name,
                                            const struct qm_kernel_variant **variant, struct qm_kernel **kernel);

#endif
