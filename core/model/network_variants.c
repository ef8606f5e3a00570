// Which kernels a network's passes use, by their names.
#include "model/engine_internal.h"
#include "model/need.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *activation_part(const struct qm_network_weight *weight)
{
    static const char *const parts[QM_ACTIVATION_FORMAT_COUNT] = {
        [QM_ACTIVATION_F32] = "f32", [QM_ACTIVATION_F16] = "f16", [QM_ACTIVATION_BF16] = "bf16",
        [QM_ACTIVATION_A8] = "a8",   [QM_ACTIVATION_F8] = "f8",   [QM_ACTIVATION_A4] = "a4"};
    static const char *const grouped[QM_ACTIVATION_FORMAT_COUNT] = {
        [QM_ACTIVATION_A8] = "a8g", [QM_ACTIVATION_F8] = "f8g", [QM_ACTIVATION_A4] = "a4"};
    return weight->has_activation_groups ? grouped[weight->activations] : parts[weight->activations];
}

void qm_weight_product_name(const struct qm_network_weight *weight, const char *kernel,
                            char name[QM_VARIANT_NAME_BYTES])
{
    snprintf(name, QM_VARIANT_NAME_BYTES, "%s-%s-%s", kernel, qm_weight_codec(weight->format)->kernel,
             activation_part(weight));
}

void qm_weight_conversion_name(const struct qm_network_weight *weight, const char *kernel,
                               char name[QM_VARIANT_NAME_BYTES])
{
    snprintf(name, QM_VARIANT_NAME_BYTES, "%s-%s", kernel, activation_part(weight));
}

static const char *head_part(const struct qm_network *network)
{
    uint32_t head = network->engine->config.head_dim;
    return head == 256 ? "-h256" : head == 128 ? "-h128" : "";
}

const char *qm_network_mlp_name(const struct qm_model_config *config)
{
    bool is_gelu = qm_architecture_info(config->architecture)->mlp == QM_MLP_GELU;
    return !qm_architecture_has(config->architecture, QM_ROLE_GATE) ? "gelu" : is_gelu ? "geglu" : "swiglu";
}

void qm_network_exact_keys_name(const struct qm_network *network, char name[QM_VARIANT_NAME_BYTES])
{
    snprintf(name, QM_VARIANT_NAME_BYTES, "kv_write-f16%s", head_part(network));
}

void qm_network_rope_name(const struct qm_network *network, char name[QM_VARIANT_NAME_BYTES])
{
    snprintf(name, QM_VARIANT_NAME_BYTES, "rope%s", head_part(network));
}

void qm_network_cache_name(const struct qm_network *network, const char *kernel, char name[QM_VARIANT_NAME_BYTES])
{
    static const char *const parts[QM_KV_FORMAT_COUNT] = {
        [QM_KV_F32] = "f32",     [QM_KV_F16] = "f16",    [QM_KV_KV8] = "kv8",    [QM_KV_KV4] = "kv4",
        [QM_KV_E4M3] = "e4m3",   [QM_KV_E5M2] = "e5m2",  [QM_KV_E4M3S] = "e4m3", [QM_KV_E5M2S] = "e5m2",
        [QM_KV_KIVI4] = "kivi4", [QM_KV_KIVI2] = "kivi2"};
    bool is_exact_variant = network->exact_length > 0 && !qm_network_has_key_blocks(network);
    snprintf(name, QM_VARIANT_NAME_BYTES, "%s-%s%s%s", kernel, parts[network->scheme.kv], is_exact_variant ? "x" : "",
             head_part(network));
}

void qm_network_embedding_name(const struct qm_network *network, char name[QM_VARIANT_NAME_BYTES])
{
    snprintf(name, QM_VARIANT_NAME_BYTES, "embedding-%s", network->weights[0].format == QM_WEIGHT_F32 ? "f32" : "f16");
}

static void add_variant(struct qm_network *network, const char *name)
{
    for (size_t i = 0; i < network->variant_count; ++i)
        if (strcmp(network->variants[i], name) == 0)
            return;
    if (network->variant_count == QM_NETWORK_VARIANTS_MAX)
        return;
    char *to = network->variant_names[network->variant_count];
    snprintf(to, QM_VARIANT_NAME_BYTES, "%s", name);
    network->variants[network->variant_count++] = to;
    network->variants[network->variant_count] = NULL;
}

// How the input of some weights is made and converted.
static void add_input(struct qm_network *network, enum qm_input input, uint32_t layer)
{
    bool is_gated = input == QM_INPUT_DOWN, is_attended = input == QM_INPUT_ATTENTION_OUTPUT;
    const struct qm_model_config *c = &network->engine->config;
    const struct qm_network_weight *reader = &network->weights[qm_weight_index(c, qm_input_reader(c, input), layer)];
    bool has_norm =
        input == QM_INPUT_HEAD ||
        qm_architecture_has(c->architecture, input == QM_INPUT_ATTENTION ? QM_ROLE_INPUT_NORM : QM_ROLE_POST_NORM);
    char name[QM_VARIANT_NAME_BYTES];
    if (qm_network_fuses_input(network, input, layer)) {
        qm_weight_conversion_name(reader, is_gated ? "swiglu_activations" : "norm_activations", name);
        add_variant(network, name);
    } else if (is_gated) {
        add_variant(network, qm_network_mlp_name(c));
    } else if (!is_attended && has_norm) {
        add_variant(network, qm_architecture_info(c->architecture)->has_layer_norm ? "layernorm" : "rmsnorm");
    }
}

static void add_inputs(struct qm_network *network)
{
    char name[QM_VARIANT_NAME_BYTES];
    const struct qm_model_config *c = &network->engine->config;
    for (uint32_t layer = 0; layer < c->layers; ++layer)
        for (int input = 0; input < QM_INPUT_HEAD; ++input)
            add_input(network, (enum qm_input)input, layer);
    add_input(network, QM_INPUT_HEAD, 0);
    for (size_t i = 0; i < network->weight_count;
         ++i) { // of those that are not made so, and of all where they are looked at
        enum qm_role role;
        uint32_t layer;
        qm_weight_at(c, i, &role, &layer);
        const struct qm_network_weight *weight = &network->weights[i];
        if (!qm_role_is_linear(role) || weight->activations == QM_ACTIVATION_F32)
            continue;
        enum qm_input input = role == QM_ROLE_HEAD                         ? QM_INPUT_HEAD
                              : role == QM_ROLE_DOWN                       ? QM_INPUT_DOWN
                              : role == QM_ROLE_O                          ? QM_INPUT_ATTENTION_OUTPUT
                              : role == QM_ROLE_GATE || role == QM_ROLE_UP ? QM_INPUT_MLP
                                                                           : QM_INPUT_ATTENTION;
        qm_weight_conversion_name(weight, "activations", name);
        if (!qm_network_fuses_input(network, input, layer))
            add_variant(network, name);
    }
}

// What follows from roles that not every architecture has.
static void add_of_roles(struct qm_network *network)
{
    static const struct {
        enum qm_role role;
        const char *variant;
    } needs[] = {{QM_ROLE_Q_BIAS, "bias"},
                 {QM_ROLE_O_BIAS, "residual"},
                 {QM_ROLE_Q_NORM, "rmsnorm"},
                 {QM_ROLE_ATTENTION_NORM, "rmsnorm"},
                 {QM_ROLE_ATTENTION_NORM, "residual"},
                 {QM_ROLE_POSITIONS, "embedding-positions-f32"}};
    const struct qm_model_config *c = &network->engine->config;
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); ++i)
        if (qm_architecture_has(c->architecture, needs[i].role))
            add_variant(network, needs[i].variant);
    if (c->logit_cap > 0)
        add_variant(network, "softcap");
}

void qm_network_list_variants(struct qm_network *network, const struct qm_artifact *artifact)
{
    static const char *const plain[] = {"log_softmax", "argmax", "checksum", "advance"};
    char name[QM_VARIANT_NAME_BYTES];
    for (size_t i = 0; i < network->weight_count; ++i) {
        const struct qm_network_weight *weight = &network->weights[i];
        if (!qm_role_is_linear(artifact->tensors[i].role))
            continue;
        qm_weight_product_name(weight, "matmul", name);
        add_variant(network, name);
        qm_weight_product_name(weight, "matvec", name);
        add_variant(network, name);
        snprintf(name, sizeof(name), "dequantize-%s", qm_weight_codec(weight->format)->kernel);
        add_variant(network, name);
    }
    add_inputs(network);
    qm_network_embedding_name(network, name);
    add_variant(network, name);
    qm_network_cache_name(network, "kv_write", name);
    add_variant(network, name);
    if (qm_network_has_key_blocks(network)) {
        qm_network_cache_name(network, "kv_block", name);
        add_variant(network, name);
        qm_network_exact_keys_name(network, name);
        add_variant(network, name);
    }
    qm_network_cache_name(network, "attention", name);
    add_variant(network, name);
    if (network->engine->params.is_unfused) {
        qm_network_rope_name(network, name);
        add_variant(network, name);
        add_variant(network, "residual");
    }
    add_of_roles(network);
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); ++i)
        add_variant(network, plain[i]);
}

const char *const *qm_network_variants(const struct qm_network *network)
{
    return network->variants;
}

static void hash_variant(const char *name, struct qm_hash *bodies, struct qm_hash *tiles)
{
    const struct qm_kernel_variant *narrow = qm_kernel_find(name, "narrow");
    const size_t length = strlen(name);
    char text[QM_HASH_TEXT_BYTES];
    qm_hash_add_text(bodies, name);
    qm_hash_add_text(bodies, narrow ? narrow->body : "none");
    for (size_t i = 0; i < qm_kernel_variant_count; ++i) {
        const struct qm_kernel_variant *variant = &qm_kernel_variants[i];
        const char *last = strrchr(variant->name, '-'); // before the tile
        if (!last || (size_t)(last - variant->name) != length || strncmp(variant->name, name, length) != 0)
            continue;
        qm_kernel_hash(variant, text);
        qm_hash_add_text(tiles, variant->name);
        qm_hash_add_text(tiles, text);
    }
}

enum qm_status qm_network_kernel_hashes(const struct qm_artifact *outline, const struct qm_scheme *scheme,
                                        char bodies[QM_HASH_TEXT_BYTES], char tiles[QM_HASH_TEXT_BYTES])
{
    struct qm_hash of_bodies, of_tiles;
    struct qm_engine *engine = calloc(1, sizeof(*engine));
    struct qm_network *network = calloc(1, sizeof(*network));
    struct qm_network_weight *weights = calloc(outline->tensor_count + 1, sizeof(*weights));
    if (!engine || !network || !weights) {
        free(engine);
        free(network);
        free(weights);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a list of kernels");
    }
    engine->config = outline->config;
    network->engine = engine;
    network->scheme = *scheme;
    network->weights = weights;
    network->weight_count = outline->tensor_count;
    for (size_t i = 0; i < outline->tensor_count; ++i) {
        weights[i].format = outline->tensors[i].format;
        weights[i].activations = outline->tensors[i].activations;
    }
    qm_network_list_variants(network, outline);
    qm_hash_begin(&of_bodies);
    qm_hash_begin(&of_tiles);
    for (size_t i = 0; i < network->variant_count; ++i)
        hash_variant(network->variants[i], &of_bodies, &of_tiles);
    qm_hash_end(&of_bodies, bodies);
    qm_hash_end(&of_tiles, tiles);
    free(engine);
    free(network);
    free(weights);
    return QM_OK;
}

void qm_engine_compile_ahead(struct qm_engine *engine, const struct qm_artifact *outline,
                             const struct qm_scheme *scheme)
{
    struct qm_network *network = calloc(1, sizeof(*network));
    struct qm_network_weight *weights = calloc(outline->tensor_count + 1, sizeof(*weights));
    struct qm_cache_plan plan;
    if (!network || !weights)
        goto done;
    network->engine = engine;
    network->scheme = *scheme;
    network->weights = weights;
    network->weight_count = outline->tensor_count;
    qm_cache_plan(&engine->config, scheme, engine->params.sequences, &plan);
    network->exact_length = plan.exact_length;
    for (size_t i = 0; i < outline->tensor_count; ++i) {
        weights[i].format = outline->tensors[i].format;
        weights[i].activations = outline->tensors[i].activations;
        weights[i].has_activation_groups = weights[i].activations == QM_ACTIVATION_A4;
    }
    qm_network_list_variants(network, outline);
    for (size_t i = 0; i < network->variant_count; ++i) {
        const struct qm_kernel_variant *variant = NULL;
        struct qm_kernel *kernel = NULL;
        const char *name = network->variants[i];
        if (strncmp(name, "matmul", 6) != 0 && strncmp(name, "dequantize", 10) != 0 &&
            qm_engine_kernel(engine, name, &variant, &kernel) != QM_OK)
            break;
    }
done:
    free(network);
    free(weights);
}
