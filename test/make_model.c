// Writes a model directory of random weights, in one file or in shards with an index, as Hugging Face lays it out: for tests
// and measurements of loading at real sizes.
//
//   qm_make_model DIRECTORY [--hidden N] [--layers N] [--heads N] [--kv-heads N] [--head-dim N] [--intermediate N]
//       [--vocab N] [--context N] [--tied 0|1] [--dtype F32|F16|BF16] [--shard-bytes N] [--seed N] [--tokenizer 0|1]
//
// Unless told otherwise it is the shape of Llama 3.2 1B: 1.24 thousand million weights, BF16, in files of 500 MB;
// --shard-bytes 0 makes one file. Values are uniform with the deviation 1 / sqrt(columns), norms are near 1; the same
// arguments give the same bytes, whatever the number of threads. With --tokenizer 1 there is a tokenizer.json of the 256 bytes
// and two special tokens, so that the model takes text.
#include "base/numeric.h"
#include "base/random.h"
#include "sys/file.h"
#include "sys/parallel.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TENSORS_MAX = 16384,
    NAME_BYTES = 96,
    ENTRY_BYTES = 256, // of a header's or index's entry
    BLOCK = 1 << 16,   // values that are drawn from one stream
    BLOCKS = 128       // that are in memory at one time
};

enum dtype {
    F32,
    F16,
    BF16
};
static const char *const dtype_names[] = {"F32", "F16", "BF16"};

struct option {
    const char *name;
    uint64_t value;
};
enum {
    HIDDEN,
    LAYERS,
    HEADS,
    KV_HEADS,
    HEAD_DIM,
    INTERMEDIATE,
    VOCABULARY,
    CONTEXT,
    TIED,
    SHARD_BYTES,
    SEED,
    TOKENIZER,
    OPTIONS
};
static struct option options[OPTIONS] = {
    [HIDDEN] = {"--hidden", 2048},
    [LAYERS] = {"--layers", 16},
    [HEADS] = {"--heads", 32},
    [KV_HEADS] = {"--kv-heads", 8},
    [HEAD_DIM] = {"--head-dim", 64},
    [INTERMEDIATE] = {"--intermediate", 8192},
    [VOCABULARY] = {"--vocab", 128256},
    [CONTEXT] = {"--context", 2048},
    [TIED] = {"--tied", 1},
    [SHARD_BYTES] = {"--shard-bytes", 500000000},
    [SEED] = {"--seed", 1},
    [TOKENIZER] = {"--tokenizer", 0},
};
static enum dtype dtype = BF16;

struct tensor {
    char name[NAME_BYTES];
    uint64_t rows, columns; // rows 0: a vector
    size_t shard;
};
static struct tensor tensors[TENSORS_MAX];
static size_t tensor_count, shard_count;

static void fail(const char *what, const char *about)
{
    fprintf(stderr, "qm_make_model: %s%s\n", what, about);
    exit(2);
}

static uint64_t of(int option)
{
    return options[option].value;
}

static uint64_t value_count(const struct tensor *tensor)
{
    return (tensor->rows ? tensor->rows : 1) * tensor->columns;
}

static uint64_t value_bytes(void)
{
    return dtype == F32 ? 4 : 2;
}

static void add(uint64_t rows, uint64_t columns, const char *format, uint64_t layer)
{
    if (tensor_count == TENSORS_MAX)
        fail("too many layers", "");
    struct tensor *tensor = &tensors[tensor_count++];
    int used = snprintf(tensor->name, sizeof(tensor->name), "model.layers.%" PRIu64 ".", layer);
    if (layer == UINT64_MAX)
        used = 0;
    snprintf(tensor->name + used, sizeof(tensor->name) - (size_t)used, "%s.weight", format);
    tensor->rows = rows;
    tensor->columns = columns;
}

static void list_tensors(void)
{
    uint64_t hidden = of(HIDDEN), q = of(HEADS) * of(HEAD_DIM), kv = of(KV_HEADS) * of(HEAD_DIM);
    add(of(VOCABULARY), hidden, "model.embed_tokens", UINT64_MAX);
    for (uint64_t layer = 0; layer < of(LAYERS); layer++) {
        add(0, hidden, "input_layernorm", layer);
        add(q, hidden, "self_attn.q_proj", layer);
        add(kv, hidden, "self_attn.k_proj", layer);
        add(kv, hidden, "self_attn.v_proj", layer);
        add(hidden, q, "self_attn.o_proj", layer);
        add(0, hidden, "post_attention_layernorm", layer);
        add(of(INTERMEDIATE), hidden, "mlp.gate_proj", layer);
        add(of(INTERMEDIATE), hidden, "mlp.up_proj", layer);
        add(hidden, of(INTERMEDIATE), "mlp.down_proj", layer);
    }
    add(0, hidden, "model.norm", UINT64_MAX);
    if (!of(TIED))
        add(of(VOCABULARY), hidden, "lm_head", UINT64_MAX);
    uint64_t filled = 0;
    for (size_t i = 0; i < tensor_count; i++) {
        uint64_t bytes = value_count(&tensors[i]) * value_bytes();
        if (of(SHARD_BYTES) && filled && filled + bytes > of(SHARD_BYTES)) {
            filled = 0;
            ++shard_count;
        }
        tensors[i].shard = shard_count;
        filled += bytes;
    }
    ++shard_count;
}

struct drawing {
    const struct tensor *tensor;
    uint64_t stream, first_block, count; // values, of the whole tensor
    unsigned char *bytes;
};

static void put(unsigned char *at, float value)
{
    uint32_t bits = qm_bits_from_float(value);
    uint16_t half = dtype == F16 ? qm_half_from_float(value) : (uint16_t)((bits + 0x8000u) >> 16);
    if (dtype == F32)
        memcpy(at, &bits, sizeof(bits));
    else
        memcpy(at, &half, sizeof(half));
}

static void draw(void *context, size_t begin, size_t end)
{
    const struct drawing *drawing = context;
    bool is_norm = drawing->tensor->rows == 0;
    float scale = is_norm ? 0x1p-19f : (float)(sqrt(3.0 / (double)drawing->tensor->columns) / 32768), centre = is_norm;
    for (size_t b = begin; b < end; b++) {
        uint64_t block = drawing->first_block + b, first = block * BLOCK;
        uint64_t count = drawing->count - first < BLOCK ? drawing->count - first : BLOCK, word = 0;
        unsigned char *at = drawing->bytes + b * BLOCK * value_bytes();
        struct qm_random random;
        qm_random_seed(&random, of(SEED), drawing->stream << 32 | block);
        for (uint64_t i = 0; i < count; i++, word >>= 16, at += value_bytes()) {
            if (i % 4 == 0)
                word = qm_random_u64(&random);
            put(at, centre + scale * (float)(int16_t)(word & 0xffff));
        }
    }
}

static void write_all(FILE *stream, const void *bytes, size_t count, const char *path)
{
    if (fwrite(bytes, 1, count, stream) != count)
        fail("cannot write ", path);
}

static FILE *open_in(const char *directory, const char *name, char path[QM_PATH_BYTES])
{
    if (qm_path_join(path, directory, name) != QM_OK)
        fail("the path is too long: ", directory);
    FILE *stream = fopen(path, "wb");
    if (!stream)
        fail("cannot write ", path);
    return stream;
}

static void close_stream(FILE *stream, const char *path)
{
    if (fclose(stream) != 0)
        fail("cannot write ", path);
}

static void shard_name(size_t shard, char name[NAME_BYTES])
{
    if (of(SHARD_BYTES))
        snprintf(name, NAME_BYTES, "model-%05zu-of-%05zu.safetensors", shard + 1, shard_count);
    else
        snprintf(name, NAME_BYTES, "model.safetensors");
}

static void write_shard(const char *directory, size_t shard, unsigned char *buffer)
{
    char path[QM_PATH_BYTES], name[NAME_BYTES];
    char *header = malloc(tensor_count * ENTRY_BYTES + ENTRY_BYTES);
    size_t used = 8, size = tensor_count * ENTRY_BYTES + ENTRY_BYTES;
    uint64_t offset = 0;
    if (!header)
        fail("no memory for a header", "");
    used += (size_t)snprintf(header + used, size - used, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < tensor_count; i++) {
        const struct tensor *tensor = &tensors[i];
        char rows[32] = "";
        if (tensor->shard != shard)
            continue;
        uint64_t end = offset + value_count(tensor) * value_bytes();
        if (tensor->rows)
            snprintf(rows, sizeof(rows), "%" PRIu64 ",", tensor->rows);
        used += (size_t)snprintf(header + used, size - used,
                                 ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s%" PRIu64 "],\"data_offsets\":[%" PRIu64
                                 ",%" PRIu64 "]}",
                                 tensor->name, dtype_names[dtype], rows, tensor->columns, offset, end);
        offset = end;
    }
    header[used++] = '}';
    while (used % 8 != 0)
        header[used++] = ' ';
    uint64_t header_bytes = used - 8;
    memcpy(header, &header_bytes, 8);
    shard_name(shard, name);
    FILE *stream = open_in(directory, name, path);
    write_all(stream, header, used, path);
    for (size_t i = 0; i < tensor_count; i++) {
        struct drawing drawing = {&tensors[i], i, 0, value_count(&tensors[i]), buffer};
        if (tensors[i].shard != shard)
            continue;
        uint64_t blocks = (drawing.count + BLOCK - 1) / BLOCK;
        for (; drawing.first_block < blocks; drawing.first_block += BLOCKS) {
            uint64_t some = blocks - drawing.first_block < BLOCKS ? blocks - drawing.first_block : BLOCKS;
            uint64_t first = drawing.first_block * BLOCK, rest = drawing.count - first;
            qm_parallel_for((size_t)some, draw, &drawing);
            write_all(stream, buffer, (size_t)((rest < some * BLOCK ? rest : some * BLOCK) * value_bytes()), path);
        }
    }
    close_stream(stream, path);
    free(header);
}

static void write_index(const char *directory)
{
    char path[QM_PATH_BYTES], name[NAME_BYTES];
    uint64_t total = 0;
    for (size_t i = 0; i < tensor_count; i++)
        total += value_count(&tensors[i]) * value_bytes();
    FILE *stream = open_in(directory, "model.safetensors.index.json", path);
    fprintf(stream, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n  \"weight_map\": {\n", total);
    for (size_t i = 0; i < tensor_count; i++) {
        shard_name(tensors[i].shard, name);
        fprintf(stream, "    \"%s\": \"%s\"%s\n", tensors[i].name, name, i + 1 < tensor_count ? "," : "");
    }
    fprintf(stream, "  }\n}\n");
    close_stream(stream, path);
}

static void write_config(const char *directory)
{
    char path[QM_PATH_BYTES];
    FILE *stream = open_in(directory, "config.json", path);
    fprintf(stream,
            "{\n  \"architectures\": [\"LlamaForCausalLM\"],\n  \"hidden_act\": \"silu\",\n"
            "  \"hidden_size\": %" PRIu64 ",\n  \"intermediate_size\": %" PRIu64 ",\n  \"num_hidden_layers\": %" PRIu64
            ",\n  \"num_attention_heads\": %" PRIu64 ",\n  \"num_key_value_heads\": %" PRIu64
            ",\n  \"head_dim\": %" PRIu64 ",\n  \"vocab_size\": %" PRIu64 ",\n  \"max_position_embeddings\": %" PRIu64
            ",\n  \"rms_norm_eps\": 1e-05,\n  \"rope_theta\": 10000.0,\n  \"tie_word_embeddings\": %s\n}\n",
            of(HIDDEN), of(INTERMEDIATE), of(LAYERS), of(HEADS), of(KV_HEADS), of(HEAD_DIM), of(VOCABULARY),
            of(CONTEXT), of(TIED) ? "true" : "false");
    close_stream(stream, path);
}

// A token a byte, each by the character that byte-level tokenizers write it as: itself where it is visible, else one from
// U+0100 on.
static void write_tokenizer(const char *directory)
{
    char path[QM_PATH_BYTES];
    FILE *stream = open_in(directory, "tokenizer.json", path);
    fprintf(stream, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (int i = 0; i < 2; i++)
        fprintf(stream,
                "%s{\"id\":%d,\"content\":\"<|%s|>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                "\"normalized\":false,\"special\":true}",
                i ? "," : "", 256 + i, i ? "end" : "begin");
    fprintf(stream, "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                    "\"trim_offsets\":true,\"use_regex\":false},\"post_processor\":null,\"decoder\":{\"type\":"
                    "\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},\"model\":{"
                    "\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
                    "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,\"vocab\":{");
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool is_visible = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
        fprintf(stream, "%s\"\\u%04x\":%u", byte ? "," : "", is_visible ? byte : next++, byte);
    }
    fprintf(stream, "},\"merges\":[]}}\n");
    close_stream(stream, path);
}

static void read_option(const char *name, const char *value)
{
    char *end = NULL;
    for (int i = 0; i < 3; i++)
        if (strcmp(name, "--dtype") == 0 && strcmp(value, dtype_names[i]) == 0) {
            dtype = (enum dtype)i;
            return;
        }
    for (int i = 0; i < OPTIONS; i++)
        if (strcmp(name, options[i].name) == 0) {
            options[i].value = strtoull(value, &end, 10);
            bool may_be_zero = i == TIED || i == SHARD_BYTES || i == SEED || i == TOKENIZER;
            if (*value == '\0' || *end != '\0' ||
                (!may_be_zero && (options[i].value < 1 || options[i].value > 1 << 24)))
                fail("not a number that can be: ", value);
            return;
        }
    fail("unknown option or value: ", name);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc % 2 != 0)
        fail("usage: qm_make_model DIRECTORY [--OPTION VALUE]...; test/make_model.c lists them", "");
    for (int i = 2; i < argc; i += 2)
        read_option(argv[i], argv[i + 1]);
    if (qm_directory_make(argv[1]) != QM_OK)
        fail(qm_error_text(), "");
    list_tensors();
    unsigned char *buffer = malloc((size_t)BLOCK * BLOCKS * value_bytes());
    if (!buffer)
        fail("no memory", "");
    for (size_t shard = 0; shard < shard_count; shard++)
        write_shard(argv[1], shard, buffer);
    if (of(SHARD_BYTES))
        write_index(argv[1]);
    write_config(argv[1]);
    if (of(TOKENIZER))
        write_tokenizer(argv[1]);
    free(buffer);
    return 0;
}
