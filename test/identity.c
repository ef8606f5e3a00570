// Prints what every calibrator and encoder makes of one small model, so that two builds, two machines or two numbers of
// threads can be compared by their output: one line "SCHEME ARTIFACT-ID SHA-256-OF-THE-FILE" per scheme.
//
//   qm_identity [LIST]      LIST: a file with schemes, one a line, beside the stock ones; QM_THREADS=N: threads
//
// The model and the calibration set are drawn from fixed seeds and go through the code of `qmark calibrate`:
// qm_reference_artifact with the reference backend. Nothing here may use the platform's rounding, so the weights come
// from the generator's integers alone. tools/check_identity.sh runs it on two compilers and two processors.
#include "base/random.h"
#include "bench/reference.h"
#include "model/safetensors.h"
#include "sys/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TENSORS_MAX = 64,
    FILE_BYTES_MAX = 1 << 26,
    SEED = 20,
    WINDOWS = 3,
    WINDOW_TOKENS = 37,
};

// Widths that blocks of 256 divide and that are no powers of two where they can be, and rows (517 of the head and the
// embedding) that no number of threads divides.
static const char config_text[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":256,\"intermediate_size\":768,\"num_hidden_layers\":1,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":1,\"head_dim\":64,\"vocab_size\":517,"
    "\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"tie_word_embeddings\":false}";

static char directory[] = "/tmp/qmark-identity-XXXXXX";

static enum qm_status write_model(void)
{
    enum qm_status status = QM_OK;
    char path[QM_PATH_BYTES];
    static char names[TENSORS_MAX][QM_WEIGHT_NAME_BYTES + 8];
    struct qm_tensor tensors[TENSORS_MAX] = {0};
    struct qm_model_config config;
    struct qm_random random;
    size_t count = 0;
    QM_TRY(qm_model_config_parse(config_text, strlen(config_text), "config.json", &config));
    QM_TRY(qm_path_join(path, directory, "config.json"));
    QM_TRY(qm_file_write(path, config_text, strlen(config_text)));
    qm_random_seed(&random, SEED, 0);
    for (; count < qm_weight_count(&config) && count < TENSORS_MAX; count++) {
        char name[QM_WEIGHT_NAME_BYTES];
        enum qm_role role;
        uint32_t layer, rows, columns;
        qm_weight_at(&config, count, &role, &layer);
        qm_role_weight_name(role, layer, name);
        qm_role_shape(&config, role, &rows, &columns);
        snprintf(names[count], sizeof(names[count]), "%s.weight", name);
        size_t values_count = (size_t)rows * columns;
        float *values = malloc(values_count * sizeof(*values));
        if (!values)
            QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %s", name));
        // Multiples of 2^-24: exact as floats. One in 64 is sixteen times as large, as outliers are in real models.
        for (size_t v = 0; v < values_count; v++) {
            uint64_t bits = qm_random_u64(&random);
            float value = (float)((int32_t)(bits & 0xfffff) - 0x80000) * 0x1p-22f;
            values[v] = qm_role_is_vector(role) ? 1 + value : (bits >> 58) == 0 ? value * 16 : value;
        }
        tensors[count] = (struct qm_tensor){.name = names[count],
                                            .dtype = QM_DTYPE_F32,
                                            .rank = qm_role_is_vector(role) ? 1 : 2,
                                            .shape = {qm_role_is_vector(role) ? columns : rows, columns},
                                            .bytes = values_count * sizeof(*values),
                                            .data = values};
    }
    QM_GUARD(qm_path_join(path, directory, "model.safetensors"));
    QM_GUARD(qm_safetensors_write(path, tensors, count, NULL, 0));
done:
    for (size_t i = 0; i < TENSORS_MAX; i++)
        free((void *)(uintptr_t)tensors[i].data);
    return status;
}

static enum qm_status print_scheme(const struct qm_reference_params *params, const char *name,
                                   const struct qm_evaluation *calibration)
{
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    char path[QM_PATH_BYTES], sha256[QM_HASH_TEXT_BYTES];
    void *bytes;
    size_t count;
    QM_TRY(qm_scheme_parse(name, &scheme));
    QM_TRY(qm_reference_artifact(params, &scheme, calibration, &artifact, path));
    enum qm_status status = qm_file_read(path, FILE_BYTES_MAX, &bytes, &count);
    if (status == QM_OK) {
        qm_hash_bytes(bytes, count, sha256);
        printf("%-28s %s %s\n", name, artifact->id, sha256);
        free(bytes);
    }
    qm_artifact_destroy(&artifact);
    // The next scheme is made anew, so that none is vouched for by what an earlier one left.
    unlink(path);
    return status;
}

static enum qm_status print_list(const struct qm_reference_params *params, const char *list,
                                 const struct qm_evaluation *calibration)
{
    enum qm_status status = QM_OK;
    void *bytes;
    size_t count;
    QM_TRY(qm_file_read(list, 1 << 16, &bytes, &count));
    char *rest = NULL;
    for (char *line = strtok_r(bytes, "\n", &rest); line && status == QM_OK; line = strtok_r(NULL, "\n", &rest))
        if (line[0] != '#')
            status = print_scheme(params, line, calibration);
    free(bytes);
    return status;
}

static enum qm_status run(const char *list)
{
    enum qm_status status = QM_OK;
    struct qm_model *model = NULL;
    struct qm_evaluation *calibration = NULL;
    const struct qm_profile_set set = {.seed = SEED, .windows = WINDOWS, .window_tokens = WINDOW_TOKENS};
    QM_GUARD(write_model());
    QM_GUARD(qm_model_load(directory, 32, &model));
    QM_GUARD(qm_evaluation_create(QM_SPLIT_CALIBRATION, &set, directory, &calibration));
    const struct qm_reference_params params = {.model = model, .cache_directory = directory};
    for (size_t i = 0; qm_scheme_stock_name(i); i++)
        if (!strstr(qm_scheme_stock_name(i), "-kv")) // the cache's format is not in the artifact
            QM_GUARD(print_scheme(&params, qm_scheme_stock_name(i), calibration));
    if (list)
        QM_GUARD(print_list(&params, list, calibration));
done:
    qm_evaluation_destroy(&calibration);
    qm_model_destroy(&model);
    return status;
}

static void remove_in(const char *name)
{
    struct qm_name_list list;
    char folder[QM_PATH_BYTES], path[QM_PATH_BYTES];
    if (qm_path_join(folder, directory, name) != QM_OK || qm_directory_list(folder, &list) != QM_OK)
        return;
    for (size_t i = 0; i < list.count; i++)
        if (qm_path_join(path, folder, list.names[i]) == QM_OK)
            unlink(path);
    qm_name_list_free(&list);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    if (!mkdtemp(directory)) {
        fprintf(stderr, "qm_identity: no temporary directory can be made in /tmp\n");
        return 1;
    }
    enum qm_status status = run(argc > 1 ? argv[1] : NULL);
    if (status != QM_OK)
        fprintf(stderr, "qm_identity: %s\n", qm_error_text());
    remove_in("artifacts");
    remove_in("");
    rmdir(directory);
    return status == QM_OK ? 0 : 1;
}
