// The float model: a Hugging Face directory with config.json and weights (weights.h), as floats.
//
// A small model's values are in memory, all of them. Those of a large one stay in its mapped files and become floats weight by
// weight, when somebody looks (qm_model_view_open), and so do those of a model whose channels are scaled (scaled.h); only a
// copy (qm_model_copy) takes the memory of all.
//
// Architectures are rows of a table (architecture.h). All of them are decoders with grouped-query attention; they differ in
// which weights a layer has, in norms, the MLP's function and positions, and in what attention sees. What config.json says
// beyond it and would change the function (another hidden_act, biases where the architecture has none) is refused by name, never
// ignored. Weights that somebody quantized (quantized_sets.h) are the floats that their codes stand for. What their files have under other names, in one tensor or turned over, is put
// in order when they are opened (weights_arrange.h); gains that are added to 1 are 1 + them from there on.
//
// *Padding.* Kernels take rows of a multiple of 32 values and heads of 64, 128 or 256. A model of other sizes is padded with zeros
// when it is loaded, and is the same function: zeros add nothing to a product, RMSNorm divides by the values that count, and
// the halves of a head that the rotary embedding pairs lie where those of a full head would. Everything after loading sees
// the padded model alone.
#ifndef QM_MODEL_MODEL_H
#define QM_MODEL_MODEL_H

#include "base/hash.h"
#include "base/status.h"
#include "model/architecture.h"
#include "model/quantization_config.h"
#include "quant/scheme.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How the frequencies of the rotary embedding are changed for longer contexts, as `rope_scaling` has it.
enum qm_rope_scaling {
    QM_ROPE_PLAIN = 0,
    QM_ROPE_LINEAR, // all divided by factor
    QM_ROPE_LLAMA3, // long waves divided by factor, short ones kept, between them a mixture (Llama 3.1's report)
    // Each divided by a number of its own, and queries and keys multiplied with one: longrope of Phi-3 and 3.5, within the context
    // that it was made longer from; beyond it such a model has other divisors, which are not run. arXiv 2402.13753.
    QM_ROPE_LONG,
};

enum {
    QM_ROPE_PAIRS_MAX = 128 // of the largest head
};

// Sizes that padding changes, as config.json has them.
struct qm_model_sizes {
    uint32_t hidden;       // hidden_size
    uint32_t intermediate; // intermediate_size
    uint32_t head_dim;     // head_dim, else hidden_size / num_attention_heads; even, 256 at most
};

// The keys of config.json, under shorter names.
struct qm_model_config {
    enum qm_architecture architecture;
    struct qm_model_sizes own; // before padding
    uint32_t hidden;           // on devices: a multiple of 32
    uint32_t intermediate;     // likewise
    uint32_t layers;           // num_hidden_layers
    uint32_t heads;            // num_attention_heads; heads * head_dim need not be `hidden`
    uint32_t kv_heads;         // num_key_value_heads, a divisor of `heads`
    uint32_t head_dim;         // on devices: 64, 128 or 256
    uint32_t attention;        // what attention gives and o takes: heads * head_dim, padded to a multiple like `hidden`
    uint32_t vocabulary;       // vocab_size
    uint32_t context;          // max_position_embeddings; of longrope rope_context at most
    float norm_epsilon;        // rms_norm_eps; 1e-6 if absent
    double rope_theta;         // rope_theta (or rope_parameters.rope_theta); 10000 if absent
    enum qm_rope_scaling rope_scaling;
    double rope_factor, rope_low, rope_high; // factor; low_freq_factor and high_freq_factor of llama3
    uint32_t rope_context;                   // original_max_position_embeddings of llama3 and longrope
    double rope_divisors[QM_ROPE_PAIRS_MAX]; // short_factor of longrope, for each pair of values of a head
    double rope_attention;                   // attention_factor of longrope
    uint32_t window;                         // tokens that attention sees, its own included; 0: all
    uint32_t window_from;                    // ... in layers from this one on
    uint32_t
        window_every;   // ... or in all but the last of so many layers (sliding_window_pattern); 0: as window_from says
    double local_theta; // rope_theta of layers with a window, which is not scaled; 0: as the others
    double score_width; // scores are divided by its root (query_pre_attn_scalar); 0: head_dim
    double score_cap;   // attn_logit_softcapping: a score s becomes cap tanh(s / cap); 0: it stays
    double logit_cap;   // final_logit_softcapping, likewise of logits
    bool tied_head;     // tie_word_embeddings: the head has the embedding's values
};

#define QM_WEIGHT_NAME_BYTES 80

const char *qm_role_name(enum qm_role role); // "embedding", "q", "gate", ...
bool qm_role_is_linear(enum qm_role role);   // q, k, v, o, gate, up, down, head: what gets a scheme's weight format
bool qm_role_is_vector(enum qm_role role);   // gains and biases: one row, float32 in every scheme
bool qm_role_is_norm(enum qm_role role);     // gains
bool qm_role_is_per_layer(enum qm_role role);
// Of the bias that is added to what a weight or a norm gives; QM_ROLE_COUNT where no architecture has one.
enum qm_role qm_role_bias(enum qm_role role);
// The name without ".weight", "model.layers.3.self_attn.q_proj"; of a bias all of it. `layer` is ignored for roles that
// have none.
void qm_role_weight_name(enum qm_role role, uint32_t layer, char name[QM_WEIGHT_NAME_BYTES]);
// What follows in a file: ".weight", or nothing for a bias.
const char *qm_role_name_ending(enum qm_role role);
// As on devices.
void qm_role_shape(const struct qm_model_config *config, enum qm_role role, uint32_t *rows, uint32_t *columns);
// As in the file.
void qm_role_own_shape(const struct qm_model_config *config, enum qm_role role, uint32_t *rows, uint32_t *columns);

// The order of weights in models and artifacts: embedding; for each layer what its architecture has, in the order of the
// roles; final norm; head. qm_weight_count(config) of them. qm_weight_index gives the position of one.
size_t qm_weight_count(const struct qm_model_config *config);
size_t qm_weight_index(const struct qm_model_config *config, enum qm_role role, uint32_t layer);
void qm_weight_at(const struct qm_model_config *config, size_t index, enum qm_role *role, uint32_t *layer);

// Checks what the kernels need and that nothing overflows. QM_UNSUPPORTED or QM_INVALID, "FILE: 'key' is ...; ...".
QM_MUST_USE enum qm_status qm_model_config_check(const struct qm_model_config *config, const char *file);

// The configuration with the residual stream, heads and intermediate values repeated r times; r at least 1. QM_INVALID where
// that is more than the kernels count.
QM_MUST_USE enum qm_status qm_model_config_widen(const struct qm_model_config *config, uint32_t r,
                                                 struct qm_model_config *out);

// Pads the sizes: hidden, intermediate and attention to multiples of `multiple`, itself a multiple of 32; heads to 64, 128 or
// 256 values. From `own` and the numbers of heads alone.
void qm_model_config_pad(struct qm_model_config *config, uint32_t multiple);
bool qm_model_config_is_padded(const struct qm_model_config *config);
// "hidden_size 100 as 128, head_dim 48 as 64": the sizes that padding changed; "" where it changed none.
#define QM_PADDING_TEXT_BYTES 160
void qm_model_config_padding_text(const struct qm_model_config *config, char text[QM_PADDING_TEXT_BYTES]);

// Values of all weights as they lie on a device, a tied head counted like any other; and of those in products alone.
uint64_t qm_model_config_weights(const struct qm_model_config *config);
uint64_t qm_model_config_linear_weights(const struct qm_model_config *config);
// The same as in the file, without padding: what is called a model's parameters, but for a tied head.
uint64_t qm_model_config_own_weights(const struct qm_model_config *config);

// Tokens that attention sees in a layer, its own included; 0: all before it.
uint32_t qm_model_window(const struct qm_model_config *config, uint32_t layer);
// What scores of attention are multiplied with, and the embedding (of a widened model, whose stream is repeated, too).
double qm_model_score_scale(const struct qm_model_config *config);
float qm_model_embedding_scale(const struct qm_model_config *config, uint32_t widen);
// Rotary embeddings that layers have, and which of them a layer has.
uint32_t qm_model_rope_tables(const struct qm_model_config *config);
uint32_t qm_model_rope_table(const struct qm_model_config *config, uint32_t layer);
// Frequency of a pair of values, i below own.head_dim / 2: the angle of position p is p times it. 0: positions turn nothing.
double qm_model_rope_frequency(const struct qm_model_config *config, uint32_t table, uint32_t i);

// The configuration as JSON text with sorted keys, Hugging Face's names and no white space: the same text for equal
// configurations on every machine; part of an artifact's identity. Padded sizes stand under `qmark_padding`. And back,
// checked; a text without that key is padded to multiples of 32.
#define QM_MODEL_CONFIG_TEXT_BYTES 5120
void qm_model_config_text(const struct qm_model_config *config, char text[QM_MODEL_CONFIG_TEXT_BYTES]);
QM_MUST_USE enum qm_status qm_model_config_parse(const void *bytes, size_t count, const char *file,
                                                 struct qm_model_config *out);

struct qm_model_tensor {
    char name[QM_WEIGHT_NAME_BYTES]; // qm_role_weight_name
    enum qm_role role;
    uint32_t layer; // 0 for roles that have none
    uint32_t rows, columns;
    const float *values; // row-major, all finite; NULL in a large model: qm_model_view_open
};

struct qm_weights;
struct qm_model_scaling;

struct qm_model {
    struct qm_model_config config;
    char sha256[QM_HASH_TEXT_BYTES]; // of the weights' files followed by config.json, as qm_weights_hash has them
    const char *variant; // what was done to the values since, for the disclosure; NULL: nothing. Static text
    uint64_t parameters; // values in the file that count; a tied head counts once; without padding
    size_t tensor_count; // qm_weight_count(&config)
    struct qm_model_tensor *tensors;  // in the order above; a tied head has its own entry, with the embedding's values
    float *values;                    // what the entries point into; NULL in a large model
    struct qm_model_scaling *scaling; // of one that is another with channels scaled (scaled.h); else NULL
    struct qm_weights *file;          // then, and with only_headers or `own`: open and mapped; else NULL
    uint64_t file_bytes;              // of the tensors' values in the files
    size_t file_count;                // files with weights
    struct qm_quantization quantization; // how its files' weights are quantized; method NONE: not, and in copies
    uint64_t quantized_values;           // values of the weights that are
    struct qm_own_formats *own; // of weights that somebody quantized (scheme `file`): what each linear one is in the
                                // file, which then stays open; NULL where all are floats, and in copies
    uint32_t layers_in_file;    // config.layers, unless only the first of them are the model
    char layers_text[128];      // then `variant`: "the first 3 of 32 layers"; `sha256` is over the files' and it
};

struct qm_model_load_params {
    uint32_t multiple;           // as qm_model_load's
    uint32_t layers;             // only so many, from the first on; 0: all
    uint64_t whole_bytes;        // of floats that are in memory all at once; above it the model is a large one
    const char *cache_directory; // where hashes of files that nobody touched are noted (weights_known.h); NULL: nowhere
    bool only_headers; // config and shapes are checked, values and hash are not: what a model is, without reading it
};
// What a model of 16 million parameters has: below it a copy in memory costs nobody anything.
#define QM_MODEL_WHOLE_BYTES ((uint64_t)64 << 20)

// Loads a directory, all its layers, as a large model above QM_MODEL_WHOLE_BYTES. It is padded to multiples of `multiple`: 32, or what the schemes' groups need (qm_model_config_pad). Weights
// may be F32, F16 or BF16 and become floats exactly, or quantized as quantization_config.h has it. QM_INVALID with the file's name and the
// key or tensor, for a missing or surplus tensor, a wrong shape and a value that is not finite (tensor and index named);
// QM_UNSUPPORTED for another architecture or what the kernels cannot do. The caller destroys it.
QM_MUST_USE enum qm_status qm_model_load(const char *directory, uint32_t multiple, struct qm_model **out);
QM_MUST_USE enum qm_status qm_model_load_with(const char *directory, const struct qm_model_load_params *params,
                                              struct qm_model **out);
void qm_model_destroy(struct qm_model **model);
// Whether somebody quantized it before it came here: its floats are what codes stand for.
bool qm_model_is_quantized(const struct qm_model *model);
// Whether only the first layers are the model: its logits say nothing of the whole one's.
bool qm_model_is_part(const struct qm_model *model);

// The values of a weight for reading: those in memory, or a large or scaled model's, converted for the time until it is
// closed. QM_INVALID where the file was written or cut off since it was opened, and for what scaling makes infinite.
struct qm_model_view {
    const float *values; // rows * columns, row-major, as on devices
    float *own;          // NULL: they are the model's
};
QM_MUST_USE enum qm_status qm_model_view_open(const struct qm_model *model, size_t weight, struct qm_model_view *out);
void qm_model_view_close(struct qm_model_view *view);

// Codes and scales of a linear weight as the file has them, in the format model->own->of[weight].weights and with the shape of devices:
// padded by whole groups of zeros. The caller has room for them (quant/format.h). QM_UNSUPPORTED, by tensor, where padding
// would cut a group in two; QM_INVALID as qm_weights_own_rows.
QM_MUST_USE enum qm_status qm_model_own_codes(const struct qm_model *model, size_t weight, void *codes, void *scales);
// Of a weight whose activations are static (model->own->of[weight].is_static): the file's scale of them.
QM_MUST_USE enum qm_status qm_model_own_activation_scale(const struct qm_model *model, size_t weight, float *scale);

// A copy with values of its own, which may be changed (qm_model_values). A tied head is no longer tied in it: it has its
// own values, config.tied_head is false and `parameters` counts them. Hash and variant are the original's; whoever
// changes values sets them. The caller destroys it.
QM_MUST_USE enum qm_status qm_model_copy(const struct qm_model *model, struct qm_model **out);
// What a copy does with a tied head, for a model whose head is to have values of its own: config and `parameters`.
void qm_model_untie(struct qm_model *model);
// The weight's values in a model of the caller's own, to change them: rows * columns floats, row-major.
float *qm_model_values(struct qm_model *model, enum qm_role role, uint32_t layer);

// The weight of a role; `layer` is ignored for roles that have none. Never NULL for layer < config.layers.
const struct qm_model_tensor *qm_model_weight(const struct qm_model *model, enum qm_role role, uint32_t layer);

#endif
