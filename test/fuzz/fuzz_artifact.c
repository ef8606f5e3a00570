// libFuzzer target: files that are almost artifacts. What the reader accepts can be decoded to the end, is finite, and
// is saved and loaded again as the same; what it refuses has one line of why.
//
// Bytes drawn at random never get past the safetensors header, which fuzz_safetensors.c looks at. So an input is:
//   byte 0     the artifact to begin with, one for each row of `schemes`; 255: the rest is the file itself
//   byte 1     bit 0: leave the id as it was. Otherwise it is made to fit again, so that nothing hides behind it.
//   then       edits, until the bytes end; see `enum edit`
//   tools/fuzz.sh 60 artifact
#include "base/random.h"
#include "model/safetensors.h"
#include "quant/artifact.h"
#include "quant/smooth.h"
#include "quant/weight_calibrator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The seeds of the corpus name them by their place: new ones go to the end.
static const char *const schemes[] = {"f32",
                                      "f16",
                                      "w8a16",
                                      "w8a8",
                                      "w4a16-g32",
                                      "w4a8-g32",
                                      "w8a8-static",
                                      "w8a8-static-percentile",
                                      "w8a8-static32",
                                      "w8a8-static-smoothquant",
                                      "w4a16-g32-asym-gptq",
                                      "w2a16-g32-asym",
                                      "w3a16-g32",
                                      "q4_0a16",
                                      "q8_0a8",
                                      "e4m3af8-static",
                                      "mxfp6e2m3a16",
                                      "mxfp4a16",
                                      "nvfp4a16",
                                      "w4a16-g32+lm_head=bf16+*.down_proj=w8a8",
                                      "w8a16-kve4m3s",
                                      "w8a8-static-smoothquant-kve5m2s"};

enum {
    SCHEME_COUNT = sizeof(schemes) / sizeof(schemes[0]),
    TENSORS_MAX = 64,
    TEXTS_MAX = 16,
    INPUTS = 5, // of a model of one layer
};

// One byte of operation and one of position each; what else an edit takes follows.
enum edit {
    EDIT_BYTE,      // of a tensor: 2 bytes of offset, 1 to xor
    EDIT_FLOAT,     // of a tensor: 1 byte of position, 4 that are put there
    EDIT_SPLICE,    // of a metadata text: 2 bytes of offset, 1 of bytes to take out, 1 of bytes that follow to put in
    EDIT_TEXT,      // a metadata text becomes the bytes that follow, whose number comes first
    EDIT_DROP_TEXT, // a metadata text goes
    EDIT_DROP,      // a tensor goes
    EDIT_RENAME,    // a tensor's name gets its last byte changed: 1 byte
    EDIT_DTYPE,     // a tensor's type becomes another: 1 byte; its first dimension is made to fit if it can be
    EDIT_SHAPE,     // a tensor's first dimension is split off by a divisor: 1 byte
    EDIT_COPY,      // a tensor is there twice, the second under another name
    EDIT_COUNT,
};

static void require(int condition)
{
    if (!condition)
        abort();
}

static struct {
    void *bytes;
    size_t count;
} bases[SCHEME_COUNT];
static int input = -1;
static char input_path[64], saved_path[64], store_path[64];

// As bench/reference.c does it, but for the run of the model: its inputs are values of the embedding.
static void make_artifact(const struct qm_model *model, const char *name, struct qm_artifact **out)
{
    struct qm_scheme scheme;
    struct qm_activation_scales *scales = NULL;
    struct qm_calibration *calibration = NULL;
    struct qm_smoothed *smoothed = NULL;
    const struct qm_channel_statistics *statistics[INPUTS] = {NULL};
    struct qm_calibration_set set = {.name = "fuzz", .windows = 1, .tokens = 16};
    require(qm_scheme_parse(name, &scheme) == QM_OK);
    memset(set.sha256, 'b', QM_HASH_TEXT_BYTES - 1);
    if (qm_scheme_is_calibrated(&scheme)) {
        struct qm_calibration_options options = {.group = scheme.activation_group,
                                                 .has_products = qm_scheme_needs_products(&scheme)};
        calibration = qm_calibration_new_with(1, &options);
        for (enum qm_input i = QM_INPUT_ATTENTION; i < QM_INPUT_COUNT; i++)
            require(qm_calibration_observe_rows(calibration, 0, i, model->tensors[0].values, 4,
                                                i == QM_INPUT_DOWN ? 32 : 64) == QM_OK);
        for (enum qm_cached c = QM_CACHED_KEYS; c < QM_CACHED_COUNT; c++)
            require(qm_calibration_observe_cached(calibration, 0, c, model->tensors[0].values, 4, 64) == QM_OK);
        if (scheme.calibrator == QM_CALIBRATOR_SMOOTHQUANT) {
            require(qm_smooth(model, calibration, &(struct qm_smooth_params){.is_searched = true}, &smoothed) == QM_OK);
            require(qm_smoothed_scales(smoothed, &set, &scales) == QM_OK);
        } else {
            enum qm_calibrator method =
                scheme.calibrator == QM_CALIBRATOR_PERCENTILE ? scheme.calibrator : QM_CALIBRATOR_ABSMAX;
            require(qm_calibration_scales(calibration, method, &set, &scales) == QM_OK);
        }
        if (scheme.activation_group > 0)
            require(qm_calibration_add_groups(calibration, scheme.activation_group, scales) == QM_OK);
        scales->method = scheme.calibrator;
        for (size_t i = 0; !smoothed && i < INPUTS; i++)
            require(qm_calibration_statistics(calibration, 0, (enum qm_input)i, &statistics[i]) == QM_OK);
    }
    require(qm_artifact_build(&(struct qm_artifact_params){.model = smoothed ? smoothed->model : model,
                                                           .scheme = &scheme,
                                                           .activations = scales,
                                                           .statistics = smoothed || !scales ? NULL : statistics},
                              out) == QM_OK);
    qm_activation_scales_destroy(&scales);
    qm_smoothed_destroy(&smoothed);
    qm_calibration_destroy(&calibration);
}

static void make_bases(void)
{
    static const struct qm_model_config config = {.own = {64, 32, 64},
                                                  .hidden = 64,
                                                  .intermediate = 32,
                                                  .layers = 1,
                                                  .heads = 1,
                                                  .kv_heads = 1,
                                                  .head_dim = 64,
                                                  .attention = 64,
                                                  .vocabulary = 5,
                                                  .context = 16,
                                                  .norm_epsilon = 1e-5f,
                                                  .rope_theta = 10000};
    struct qm_model_tensor tensors[TENSORS_MAX];
    struct qm_model model = {.config = config, .tensor_count = qm_weight_count(&config), .tensors = tensors};
    struct qm_random random;
    qm_random_seed(&random, 5, 0);
    memset(model.sha256, 'a', QM_HASH_TEXT_BYTES - 1);
    require(model.tensor_count <= TENSORS_MAX);
    for (size_t i = 0; i < model.tensor_count; i++) {
        struct qm_model_tensor *t = &tensors[i];
        qm_weight_at(&config, i, &t->role, &t->layer);
        qm_role_weight_name(t->role, t->layer, t->name);
        qm_role_shape(&config, t->role, &t->rows, &t->columns);
        size_t count = (size_t)t->rows * t->columns;
        float *values = malloc(count * sizeof(*values));
        require(values != NULL);
        for (size_t v = 0; v < count; v++)
            values[v] = (float)(qm_random_unit(&random) - 0.5) * 0.125f;
        t->values = values;
    }
    for (size_t s = 0; s < SCHEME_COUNT; s++) {
        struct qm_artifact *artifact = NULL;
        make_artifact(&model, schemes[s], &artifact);
        require(qm_artifact_save(artifact, saved_path) == QM_OK);
        require(qm_file_read(saved_path, 1 << 24, &bases[s].bytes, &bases[s].count) == QM_OK);
        qm_artifact_destroy(&artifact);
    }
    for (size_t i = 0; i < model.tensor_count; i++)
        free((void *)(uintptr_t)tensors[i].values);
}

static void remove_saved(void)
{
    unlink(saved_path);
    rmdir(store_path);
}

static void set_up(void)
{
    input = memfd_create("artifact", 0);
    require(input >= 0);
    snprintf(input_path, sizeof(input_path), "/proc/self/fd/%d", input);
    snprintf(saved_path, sizeof(saved_path), "/dev/shm/qmark-fuzz-%ld", (long)getpid());
    snprintf(store_path, sizeof(store_path), "/dev/shm/qmark-fuzz-%ld.d", (long)getpid());
    atexit(remove_saved);
    make_bases();
}

// What is left of the input; zeros beyond its end.
struct reader {
    const uint8_t *bytes;
    size_t count;
};

static uint8_t next(struct reader *reader)
{
    if (reader->count == 0)
        return 0;
    reader->count--;
    return *reader->bytes++;
}

static size_t next_two(struct reader *reader)
{
    size_t low = next(reader);
    return low | (size_t)next(reader) << 8;
}

// The file as a list that edits may change. What they allocate is freed with the edited file.
struct edited {
    struct qm_tensor tensors[TENSORS_MAX];
    size_t count;
    struct qm_tensor_text texts[TEXTS_MAX];
    size_t text_count;
    void *owned[256];
    size_t owned_count;
};

static void *own(struct edited *file, size_t bytes)
{
    require(file->owned_count < sizeof(file->owned) / sizeof(file->owned[0]));
    void *memory = calloc(bytes + 1, 1);
    require(memory != NULL);
    return file->owned[file->owned_count++] = memory;
}

static void splice(struct edited *file, struct qm_tensor_text *text, size_t offset, size_t cut, struct reader *reader,
                   size_t put)
{
    size_t length = strlen(text->value);
    offset = offset > length ? offset % (length + 1) : offset;
    cut = cut > length - offset ? length - offset : cut;
    put = put > reader->count ? reader->count : put;
    char *value = own(file, length - cut + put);
    memcpy(value, text->value, offset);
    for (size_t i = 0; i < put; i++) {
        char c = (char)next(reader);
        value[offset + i] = c ? c : ' ';
    }
    memcpy(value + offset + put, text->value + offset + cut, length - offset - cut);
    text->value = value;
}

static void edit_tensor(struct edited *file, enum edit edit, struct qm_tensor *tensor, struct reader *reader)
{
    size_t first = tensor->rank > 0 ? tensor->shape[0] : 1;
    uint8_t value;
    char *name;
    switch (edit) {
    case EDIT_BYTE: {
        size_t offset = next_two(reader) % tensor->bytes;
        ((uint8_t *)(uintptr_t)tensor->data)[offset] ^= next(reader);
        break;
    }
    case EDIT_FLOAT: {
        size_t position = next(reader);
        uint8_t bytes[4] = {next(reader), next(reader), next(reader), next(reader)};
        if (tensor->bytes >= 4)
            memcpy((uint8_t *)(uintptr_t)tensor->data + position % (tensor->bytes / 4) * 4, bytes, 4);
        break;
    }
    case EDIT_DROP:
        *tensor = file->tensors[--file->count];
        break;
    case EDIT_COPY:
        if (file->count == TENSORS_MAX)
            break;
        file->tensors[file->count] = *tensor;
        tensor = &file->tensors[file->count++];
        // fall through
    case EDIT_RENAME:
        name = own(file, strlen(tensor->name) + 1);
        strcpy(name, tensor->name);
        name[strlen(name) - 1] = (char)('0' + next(reader) % 64);
        tensor->name = name;
        break;
    case EDIT_DTYPE:
        value = next(reader) % QM_DTYPE_COUNT;
        if (tensor->rank > 0 && first * qm_dtype_bytes(tensor->dtype) % qm_dtype_bytes((enum qm_dtype)value) == 0) {
            tensor->shape[0] = first * qm_dtype_bytes(tensor->dtype) / qm_dtype_bytes((enum qm_dtype)value);
            tensor->dtype = (enum qm_dtype)value;
        }
        break;
    default:
        value = next(reader);
        if (value > 0 && first % value == 0 && tensor->rank > 0 && tensor->rank < QM_TENSOR_RANK_MAX) {
            tensor->shape[0] = first / value;
            tensor->shape[tensor->rank++] = value;
        }
        break;
    }
}

static void apply(struct edited *file, struct reader *reader)
{
    for (int left = 64; left > 0 && reader->count > 0; left--) {
        enum edit edit = next(reader) % EDIT_COUNT;
        size_t position = next(reader);
        if (edit == EDIT_SPLICE || edit == EDIT_TEXT || edit == EDIT_DROP_TEXT) {
            if (file->text_count == 0)
                continue;
            struct qm_tensor_text *text = &file->texts[position % file->text_count];
            if (edit == EDIT_SPLICE) {
                size_t offset = next_two(reader), cut = next(reader);
                splice(file, text, offset, cut, reader, next(reader));
            } else if (edit == EDIT_TEXT) {
                splice(file, text, 0, SIZE_MAX, reader, next(reader));
            } else {
                *text = file->texts[--file->text_count];
            }
        } else if (file->count > 0) {
            edit_tensor(file, edit, &file->tensors[position % file->count], reader);
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct qm_tensor *)a)->name, ((const struct qm_tensor *)b)->name);
}

static const char *text_of(const struct edited *file, const char *key)
{
    for (size_t i = 0; i < file->text_count; i++)
        if (strcmp(file->texts[i].key, key) == 0)
            return file->texts[i].value;
    return "";
}

// The id of what the file holds, as artifact.h defines it; written again here, so that it is not the reader's own word.
static void compute_id(struct edited *file, char id[QM_HASH_TEXT_BYTES])
{
    struct qm_hash hash;
    char shape[QM_SHAPE_TEXT_BYTES];
    qsort(file->tensors, file->count, sizeof(file->tensors[0]), by_name);
    qm_hash_begin(&hash);
    for (size_t i = 0; i < file->count; i++) {
        const struct qm_tensor *tensor = &file->tensors[i];
        qm_shape_text(tensor->rank, tensor->shape, shape);
        qm_hash_add_text(&hash, tensor->name);
        qm_hash_add_text(&hash, qm_dtype_name(tensor->dtype));
        qm_hash_add_text(&hash, shape);
        qm_hash_add(&hash, tensor->data, tensor->bytes);
    }
    qm_hash_add_text(&hash, text_of(file, "scheme_sha256"));
    qm_hash_add_text(&hash, text_of(file, "config"));
    qm_hash_end(&hash, id);
}

static void check_artifact(struct qm_artifact *artifact)
{
    struct qm_artifact *again = NULL;
    for (size_t i = 0; i < artifact->tensor_count; i++) {
        const struct qm_artifact_tensor *tensor = &artifact->tensors[i];
        size_t count = (size_t)tensor->rows * tensor->columns;
        float *values = malloc(count * sizeof(*values));
        require(values != NULL);
        qm_artifact_decode(tensor, values);
        for (size_t v = 0; v < count; v++)
            require(isfinite(values[v]));
        for (uint32_t a = 0; a < tensor->activation_scale_count; a++)
            require(isfinite(tensor->activation_scales[a]) && tensor->activation_scales[a] >= 0);
        free(values);
    }
    require(qm_artifact_save(artifact, saved_path) == QM_OK);
    require(qm_artifact_load(saved_path, &again) == QM_OK);
    require(strcmp(again->id, artifact->id) == 0 && qm_scheme_equal(&again->scheme, &artifact->scheme));
    require(again->bytes == artifact->bytes && again->weight_bytes == artifact->weight_bytes);
    qm_artifact_destroy(&again);
    // The same through a directory, which is emptied again.
    const char *set = artifact->activations ? artifact->activations->set.sha256 : NULL;
    struct qm_name_list list;
    require(qm_artifact_store(artifact, store_path) == QM_OK);
    require(qm_artifact_find(store_path, artifact->model_sha256, &artifact->config, &artifact->scheme, set, &again) ==
            QM_OK);
    require(again && strcmp(again->id, artifact->id) == 0);
    qm_artifact_destroy(&again);
    require(qm_directory_list(store_path, &list) == QM_OK && list.count == 2);
    for (size_t i = 0; i < list.count; i++) {
        char path[QM_PATH_BYTES];
        require(qm_path_join(path, store_path, list.names[i]) == QM_OK && unlink(path) == 0);
    }
    qm_name_list_free(&list);
}

// Loads bytes as a file. `id`, unless it is NULL, is what an artifact must have to be accepted.
static void load(const void *bytes, size_t count, const char *id)
{
    struct qm_artifact *artifact = NULL;
    require(ftruncate(input, 0) == 0 && pwrite(input, bytes, count, 0) == (ssize_t)count);
    if (qm_artifact_load(input_path, &artifact) != QM_OK) {
        require(artifact == NULL && qm_error_text()[0] != '\0' && !strchr(qm_error_text(), '\n'));
        return;
    }
    require(!id || strcmp(artifact->id, id) == 0);
    check_artifact(artifact);
    qm_artifact_destroy(&artifact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct edited file; // large
    if (input < 0)
        set_up();
    struct reader reader = {data, size};
    uint8_t base = next(&reader), flags = next(&reader);
    if (base == 255) {
        load(reader.bytes, reader.count, NULL);
        return 0;
    }
    base %= SCHEME_COUNT;
    struct qm_tensors tensors;
    void *bytes = malloc(bases[base].count);
    size_t count;
    char id[QM_HASH_TEXT_BYTES];
    require(bytes != NULL);
    memcpy(bytes, bases[base].bytes, bases[base].count);
    require(qm_tensors_parse(&bytes, bases[base].count, "base", &tensors) == QM_OK);
    require(tensors.count <= TENSORS_MAX && tensors.metadata_count <= TEXTS_MAX);
    file.count = tensors.count;
    file.text_count = tensors.metadata_count;
    file.owned_count = 0;
    memcpy(file.tensors, tensors.tensors, tensors.count * sizeof(file.tensors[0]));
    memcpy(file.texts, tensors.metadata, tensors.metadata_count * sizeof(file.texts[0]));
    apply(&file, &reader);
    compute_id(&file, id);
    for (size_t i = 0; i < file.text_count && !(flags & 1); i++)
        if (strcmp(file.texts[i].key, "id") == 0)
            file.texts[i].value = id;
    // Texts that are no UTF-8, and names that are there twice, cannot be written.
    if (qm_safetensors_encode("input", file.tensors, file.count, file.texts, file.text_count, &bytes, &count) ==
        QM_OK) {
        load(bytes, count, id);
        free(bytes);
    }
    for (size_t i = 0; i < file.owned_count; i++)
        free(file.owned[i]);
    qm_tensors_free(&tensors);
    return 0;
}
