// What llama.cpp makes of GGUF files, for tools/llama_cpp_evidence.py: logits of tokens of ours, the floats that ggml makes of a
// file's tensors, files in other types.
//
//   llama_logits MODEL.gguf TOKENS OUT ARITHMETIC   TOKENS: ids, a window in each line. OUT: float32, [tokens][vocabulary],
//                                                   windows one after the other, each in one batch
//   llama_logits --values MODEL.gguf OUT            OUT: float32, of all tensors in the order of the file; on the standard
//                                                   output a line for each: name, type, count of values, bytes in the file
//   llama_logits --tokens MODEL.gguf TEXT           on the standard output the ids of the text in this file, on one line
//   llama_logits --quantize MODEL.gguf OUT TYPE     as `llama-quantize --pure --allow-requantize MODEL.gguf OUT TYPE 1`
//
// ARITHMETIC: `dequantized`, products of 32 rows, columns and tokens or more by its BLAS backend, which multiplies
// dequantized float32 weights with float32 activations, and a float32 cache; `rounded`, all of them by its CPU backend, which
// rounds activations to the partner of the weights' type (8-bit blocks, float16, bfloat16) first, and a float32 cache;
// `usual`, likewise with the float16 cache that its programs have unless told otherwise. Weights are never repacked, and
// attention is not the flash kind.
//
// Built by hand beside a build of llama.cpp with GGML_BLAS, never by CMake. With its source in LLAMA and its build in BUILD:
//
//   cc -O2 -I$LLAMA/include -I$LLAMA/ggml/include tools/llama_logits.c -o llama_logits -L$BUILD/bin -Wl,-rpath,$BUILD/bin
//      -lllama -lggml -lggml-base
#include "ggml-backend.h"
#include "ggml.h"
#include "gguf.h"
#include "llama.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS_MAX 4096

static void quiet(enum ggml_log_level level, const char *text, void *context)
{
    (void)context;
    if (level >= GGML_LOG_LEVEL_ERROR && level != GGML_LOG_LEVEL_CONT)
        fputs(text, stderr);
}

static int fail(const char *what)
{
    fprintf(stderr, "llama_logits: %s\n", what);
    return 1;
}

static size_t read_line(char *line, llama_token *tokens)
{
    size_t count = 0;
    for (char *word = strtok(line, " \n"); word && count < TOKENS_MAX; word = strtok(NULL, " \n"))
        tokens[count++] = (llama_token)strtol(word, NULL, 10);
    return count;
}

static int decode(struct llama_context *context, const llama_token *tokens, size_t count, size_t vocabulary, FILE *out)
{
    struct llama_batch batch = llama_batch_init((int32_t)count, 0, 1);
    for (size_t i = 0; i < count; ++i) {
        batch.token[i] = tokens[i];
        batch.pos[i] = (llama_pos)i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    batch.n_tokens = (int32_t)count;
    llama_memory_clear(llama_get_memory(context), true);
    bool is_good = llama_decode(context, batch) == 0;
    for (size_t i = 0; is_good && i < count; ++i)
        is_good = fwrite(llama_get_logits_ith(context, (int32_t)i), sizeof(float), vocabulary, out) == vocabulary;
    llama_batch_free(batch);
    return is_good ? 0 : fail("a window could not be decoded or written");
}

// The backend for float32 products: that it is there, or that it is not.
static bool set_blas(bool is_wanted)
{
    ggml_backend_reg_t blas = ggml_backend_reg_by_name("BLAS");
    if (blas && !is_wanted)
        ggml_backend_unload(blas);
    return blas || !is_wanted;
}

static int write_logits(const char *path, const char *tokens_path, const char *out_path, const char *arithmetic)
{
    static char line[16 * TOKENS_MAX];
    static llama_token tokens[TOKENS_MAX];
    struct llama_model_params model_params = llama_model_default_params();
    model_params.use_extra_bufts = false;
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = 1024;
    params.n_threads = params.n_threads_batch = 1;
    params.type_k = params.type_v = strcmp(arithmetic, "usual") == 0 ? GGML_TYPE_F16 : GGML_TYPE_F32;
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    if (!set_blas(strcmp(arithmetic, "dequantized") == 0))
        return fail("this llama.cpp has no BLAS backend; build it with GGML_BLAS");
    struct llama_model *model = llama_model_load_from_file(path, model_params);
    struct llama_context *context = model ? llama_init_from_model(model, params) : NULL;
    FILE *in = fopen(tokens_path, "r"), *out = fopen(out_path, "wb");
    if (!context || !in || !out)
        return fail("cannot open the model or a file");
    size_t vocabulary = (size_t)llama_vocab_n_tokens(llama_model_get_vocab(model));
    int code = 0;
    while (code == 0 && fgets(line, sizeof(line), in)) {
        size_t count = read_line(line, tokens);
        code = count > 0 && count <= params.n_ctx ? decode(context, tokens, count, vocabulary, out) : fail("no window");
    }
    fclose(in);
    if (fclose(out) != 0)
        code = fail("cannot write");
    llama_free(context);
    llama_model_free(model);
    return code;
}

static int write_values(const char *path, const char *out_path)
{
    struct ggml_context *tensors = NULL;
    struct gguf_context *file = gguf_init_from_file(path, (struct gguf_init_params){false, &tensors});
    FILE *out = fopen(out_path, "wb");
    if (!file || !out)
        return fail("cannot open a file");
    for (int64_t i = 0; i < gguf_get_n_tensors(file); ++i) {
        const struct ggml_tensor *tensor = ggml_get_tensor(tensors, gguf_get_tensor_name(file, i));
        int64_t count = ggml_nelements(tensor);
        float *values = malloc((size_t)count * sizeof(*values));
        if (tensor->type == GGML_TYPE_F32)
            memcpy(values, tensor->data, (size_t)count * sizeof(*values));
        else
            ggml_get_type_traits(tensor->type)->to_float(tensor->data, values, count);
        printf("%s %s %lld %zu\n", tensor->name, ggml_type_name(tensor->type), (long long)count, ggml_nbytes(tensor));
        if (fwrite(values, sizeof(*values), (size_t)count, out) != (size_t)count)
            return fail("cannot write");
        free(values);
    }
    gguf_free(file);
    ggml_free(tensors);
    return fclose(out) == 0 ? 0 : fail("cannot write");
}

static int write_tokens(const char *path, const char *text_path)
{
    static char text[1 << 20];
    static llama_token tokens[1 << 20];
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    struct llama_model *model = llama_model_load_from_file(path, params);
    FILE *in = fopen(text_path, "rb");
    if (!model || !in)
        return fail("cannot open the model or the text");
    size_t bytes = fread(text, 1, sizeof(text), in);
    int32_t count = llama_tokenize(llama_model_get_vocab(model), text, (int32_t)bytes, tokens, 1 << 20, true, false);
    for (int32_t i = 0; i < count; ++i)
        printf("%d%c", tokens[i], i + 1 < count ? ' ' : '\n');
    fclose(in);
    llama_model_free(model);
    return count > 0 ? 0 : fail("no tokens");
}

static int quantize(const char *path, const char *out_path, const char *type)
{
    static const struct {
        const char *name;
        enum llama_ftype type;
    } types[] = {{"F32", LLAMA_FTYPE_ALL_F32},        {"F16", LLAMA_FTYPE_MOSTLY_F16},
                 {"BF16", LLAMA_FTYPE_MOSTLY_BF16},   {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
                 {"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},   {"Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
                 {"Q4_K", LLAMA_FTYPE_MOSTLY_Q4_K_S}, {"Q5_K", LLAMA_FTYPE_MOSTLY_Q5_K_S},
                 {"Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K},   {"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0}};
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.nthread = 1;
    params.pure = params.allow_requantize = true;
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); ++i) {
        params.ftype = types[i].type;
        if (strcmp(types[i].name, type) == 0)
            return llama_model_quantize(path, out_path, &params) == 0 ? 0 : fail("the file could not be quantized");
    }
    return fail("no such type");
}

int main(int argc, char **argv)
{
    llama_log_set(quiet, NULL);
    if (argc != 4 && argc != 5)
        return fail("usage: its first lines have it");
    ggml_backend_load_all();
    llama_backend_init();
    int code = strcmp(argv[1], "--tokens") == 0     ? write_tokens(argv[2], argv[3])
               : argc == 4                          ? write_values(argv[2], argv[3])
               : strcmp(argv[1], "--quantize") == 0 ? quantize(argv[2], argv[3], argv[4])
                                                    : write_logits(argv[1], argv[2], argv[3], argv[4]);
    llama_backend_free();
    return code;
}
