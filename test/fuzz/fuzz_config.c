// libFuzzer target: any bytes are read as a model's config.json. What is accepted is a model that the kernels can count, and
// comes back the same from its own text; what is refused has one line that names the file. The tokens that end a generation
// are read from the same bytes.
//
//   tools/fuzz.sh 60 config
#include "model/end_tokens.h"
#include "model/model.h"
#include "sys/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *count, char ***values);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum {
    VOCABULARY = 1000
};

static char directory[] = "/tmp/qmark-fuzz-config-XXXXXX", path[sizeof(directory) + 32];

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void remove_files(void)
{
    unlink(path);
    rmdir(directory);
}

int LLVMFuzzerInitialize(int *count, char ***values)
{
    (void)count;
    (void)values;
    require(mkdtemp(directory) != NULL);
    snprintf(path, sizeof(path), "%s/config.json", directory);
    atexit(remove_files);
    return 0;
}

static void check_accepted(const struct qm_model_config *config)
{
    char text[QM_MODEL_CONFIG_TEXT_BYTES], again[QM_MODEL_CONFIG_TEXT_BYTES];
    struct qm_model_config read, wide;
    require(qm_model_config_check(config, "fuzz") == QM_OK);
    require(config->hidden % 32 == 0 && config->intermediate % 32 == 0 && config->attention % 32 == 0);
    require(config->hidden >= config->own.hidden && config->intermediate >= config->own.intermediate);
    require(config->head_dim == 64 || config->head_dim == 128 || config->head_dim == 256);
    require(config->heads % config->kv_heads == 0); // a window may be wider than the context: it sees all
    require(qm_model_config_own_weights(config) <= qm_model_config_weights(config));
    require(qm_model_config_linear_weights(config) <= qm_model_config_weights(config));
    for (uint32_t i = 0; i < config->own.head_dim / 2; i++) {
        double frequency = qm_model_rope_frequency(config, 0, i);
        require(frequency >= 0 && frequency <= 1e9);
        require(qm_model_rope_tables(config) == 1 || qm_model_rope_frequency(config, 1, i) <= 1e9);
    }
    for (size_t i = 0; i < qm_weight_count(config) && i < 64; i++) {
        enum qm_role role;
        uint32_t layer;
        qm_weight_at(config, i, &role, &layer);
        require(qm_weight_index(config, role, layer) == i);
    }
    qm_model_config_text(config, text);
    require(qm_model_config_parse(text, strlen(text), "fuzz", &read) == QM_OK);
    qm_model_config_text(&read, again);
    require(strcmp(text, again) == 0);
    if (qm_model_config_widen(config, 2, &wide) == QM_OK)
        require(wide.hidden == 2 * config->hidden);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct qm_model_config config;
    struct qm_end_tokens tokens;
    if (qm_model_config_parse(bytes, count, "fuzz", &config) == QM_OK)
        check_accepted(&config);
    else
        require(strncmp(qm_error_text(), "fuzz:", 5) == 0 && !strchr(qm_error_text(), '\n'));

    FILE *file = fopen(path, "wb");
    require(file && fwrite(bytes, 1, count, file) == count && fclose(file) == 0);
    if (qm_end_tokens_load(directory, VOCABULARY, &tokens) == QM_OK) {
        require(tokens.count <= QM_END_TOKENS_MAX);
        for (uint32_t i = 0; i < tokens.count; i++)
            require(tokens.ids[i] < VOCABULARY);
    } else {
        require(strncmp(qm_error_text(), path, strlen(path)) == 0 && !strchr(qm_error_text(), '\n'));
    }
    return 0;
}
