// Small models of random weights of some architectures, in a directory, loaded whole or as large ones are. Include after
// cmocka.
#ifndef QM_TEST_RANDOM_MODEL_H
#define QM_TEST_RANDOM_MODEL_H

#include "base/random.h"
#include "test/model_directory.h"

enum {
    LAYERS = 3
};

#define CHECK(expression)                                                                                              \
    do {                                                                                                               \
        if ((expression) != QM_OK)                                                                                     \
            fail_msg("%s:%d: %s", __FILE__, __LINE__, qm_error_text());                                                \
    } while (0)

static inline void expect_refusal(enum qm_status status, const char *words)
{
    if (status != QM_INVALID || !strstr(qm_error_text(), words))
        fail_msg("expected a refusal with '%s', got %s: %s", words, qm_status_name(status), qm_error_text());
    assert_null(strchr(qm_error_text(), '\n'));
}

struct kind {
    const char *architecture;
    bool is_tied;
    enum qm_dtype dtype;
    uint32_t hidden, intermediate, head_dim, vocabulary;
    const char *more;    // of config.json
    const char *scaling; // for the test's messages
};

static inline void write_config(const struct kind *kind, uint32_t context)
{
    char text[2048];
    snprintf(
        text, sizeof(text),
        "{\"architectures\":[\"%s\"],\"hidden_size\":%u,\"intermediate_size\":%u,\"num_hidden_layers\":%d,"
        "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":%u,\"vocab_size\":%u,"
        "\"max_position_embeddings\":%u,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"tie_word_embeddings\":%s%s}",
        kind->architecture, kind->hidden, kind->intermediate, LAYERS, kind->head_dim,
        kind->vocabulary ? kind->vocabulary : 77, context, kind->is_tied ? "true" : "false", kind->more);
    CHECK(qm_file_write(in_directory("config.json"), text, strlen(text)));
}

struct random_values {
    struct qm_random random;
    int bad;
};

static inline float random_value(void *context, enum qm_role role, const char *name, size_t tensor, size_t index)
{
    struct random_values *values = context;
    uint32_t nan_bits = 0x7fc00000u;
    float value = (float)(qm_random_unit(&values->random) - 0.5) * 0.25f + (qm_role_is_norm(role) ? 1.0f : 0.0f);
    (void)name;
    if (values->bad == (int)tensor && index == 3)
        memcpy(&value, &nan_bits, sizeof(value));
    return value;
}

// Random weights; `bad` >= 0 makes a value of that tensor NaN.
static inline void write_model(const struct kind *kind, uint32_t context, int bad)
{
    struct random_values values = {.bad = bad};
    struct qm_model_config config;
    void *text = NULL;
    size_t bytes = 0;
    qm_random_seed(&values.random, 5, 0);
    write_config(kind, context);
    CHECK(qm_file_read(in_directory("config.json"), 4096, &text, &bytes));
    CHECK(qm_model_config_parse(text, bytes, "config.json", &config));
    free(text);
    write_weights(&config, kind->dtype, random_value, &values);
}

static inline struct qm_model *load(uint64_t whole_bytes, uint32_t multiple, uint32_t layers)
{
    struct qm_model *model = NULL;
    CHECK(qm_model_load_with(
        directory, &(struct qm_model_load_params){.multiple = multiple, .layers = layers, .whole_bytes = whole_bytes},
        &model));
    assert_true((model->values == NULL) == (whole_bytes == 0));
    assert_true((model->file == NULL) == (whole_bytes != 0));
    return model;
}

#endif
