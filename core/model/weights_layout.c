// Paths that are no directory of weights as qmark reads them: what they are, and what to do.
#include "model/weights.h"
#include "sys/file.h"

#include <string.h>

#define PICKLE                                                                                                         \
    "is a pickle, which can run any program when it is read; get the model as safetensors, or load and save it with "  \
    "Hugging Face's transformers, which writes them"

// The first row that fits a name of the directory explains it.
static const struct {
    const char *begin, *end, *words;
} layouts[] = {
    {"pytorch_model", ".bin", PICKLE},
    {"pytorch_model", ".bin.index.json",
     "is the index of pickles, which can run any program when they are read; get "
     "the model as safetensors"},
    {"model-", ".safetensors", "is a part of a model whose model.safetensors.index.json is not there; get that, too"},
    {"consolidated", ".safetensors",
     "has the names of its maker's own format; get the model in Hugging Face's, with "
     "model.safetensors"},
    {"adapter_model", "", "holds changes to another model; merge them into that one and save it whole"},
    {"", ".safetensors", "is not called model.safetensors; rename it if it is the whole model"},
    {"", ".gguf", "is a GGUF file; name it in place of its folder"},
    {"", ".pth", PICKLE},
    {"", ".pt", PICKLE},
    {"", ".ckpt", PICKLE},
    {"", ".pkl", PICKLE},
    {"", ".bin", PICKLE},
    {"", ".h5", "is a TensorFlow file; get the model as safetensors"},
    {"", ".msgpack", "is a Flax file; get the model as safetensors"},
    {"", ".onnx", "is an ONNX file; get the model as safetensors"},
};

static const char *explain(size_t layout, const char *name)
{
    size_t length = strlen(name), begin = strlen(layouts[layout].begin), end = strlen(layouts[layout].end);
    return length >= begin + end && strncmp(name, layouts[layout].begin, begin) == 0 &&
                   strcmp(name + length - end, layouts[layout].end) == 0
               ? layouts[layout].words
               : NULL;
}

// GGUF files do not come here: what is called so and does is something else.
static enum qm_status refuse_file(const char *path)
{
    const char *name = qm_path_name(path);
    if (strlen(name) > 5 && strcmp(name + strlen(name) - 5, ".gguf") == 0)
        return QM_FAIL(QM_INVALID, "%s: does not begin as GGUF files do; get it again", path);
    for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
        if (strcmp(layouts[i].end, ".safetensors") != 0 && explain(i, qm_path_name(path)))
            return QM_FAIL(QM_INVALID, "%s: %s", path, explain(i, qm_path_name(path)));
    return QM_FAIL(QM_INVALID, "%s: is no directory; name the directory that has config.json and the weights", path);
}

// A link that leads nowhere is there, too: opening it says so.
static bool is_there(const char *path)
{
    return qm_file_exists(path) || qm_path_is_link(path);
}

enum qm_status qm_weights_check_layout(const char *path)
{
    struct qm_name_list list;
    char file[QM_PATH_BYTES], index[QM_PATH_BYTES];
    if (qm_file_exists(path) && !qm_directory_exists(path))
        return refuse_file(path);
    QM_TRY(qm_path_join(file, path, QM_WEIGHTS_FILE));
    QM_TRY(qm_path_join(index, path, QM_WEIGHTS_INDEX_FILE));
    if (is_there(file) || is_there(index))
        return QM_OK;
    QM_TRY(qm_directory_list(path, &list));
    enum qm_status status = QM_OK;
    for (size_t i = 0; status == QM_OK && i < sizeof(layouts) / sizeof(layouts[0]); i++)
        for (size_t n = 0; status == QM_OK && n < list.count; n++)
            if (explain(i, list.names[n]) && qm_path_join(file, path, list.names[n]) == QM_OK)
                status = QM_FAIL(QM_INVALID, "%s: %s", file, explain(i, list.names[n]));
    qm_name_list_free(&list);
    if (status != QM_OK)
        return status;
    return QM_FAIL(QM_INVALID,
                   "%s: has neither " QM_WEIGHTS_FILE " nor " QM_WEIGHTS_INDEX_FILE "; name a directory that has one",
                   path);
}
