// A model's weights in files: one or several with an index, links, what an index may not say, what files may not be, other
// layouts by name, values as floats, hashes, memory, and files that change while they are read.
#include "base/numeric.h"
#include "base/random.h"
#include "model/model.h"
#include "model/tensor_values.h"
#include "model/weights.h"
#include "model/weights_index.h"
#include "model/weights_known.h"
#include "sys/file.h"
#include "sys/host.h"
#include "sys/parallel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define INDEX QM_WEIGHTS_INDEX_FILE
#define SHARD_A "model-00001-of-00002.safetensors"
#define SHARD_B "model-00002-of-00002.safetensors"
// Two files of three tensors with 44 bytes: `a` and `c` in the first, `b` in the second.
#define MAP "\"a\":\"" SHARD_A "\",\"b\":\"" SHARD_B "\",\"c\":\"" SHARD_A "\""
#define GOOD "{\"metadata\":{\"total_size\":44},\"weight_map\":{" MAP "}}"

// Every test has the current directory to itself; "." is the model's.
static char directory[] = "/tmp/qmark-test-XXXXXX";

static void clean(void)
{
    struct qm_name_list list;
    assert_int_equal(qm_directory_list(".", &list), QM_OK);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(unlink(list.names[i]), 0);
    qm_name_list_free(&list);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    clean();
    return chdir("/") == 0 ? rmdir(directory) : -1;
}

static int clean_directory(void **state)
{
    (void)state;
    clean();
    return 0;
}

static void write_bytes(const char *name, const void *bytes, size_t count)
{
    FILE *stream = fopen(name, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, count, stream), count);
    assert_int_equal(fclose(stream), 0);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static void write_tensors(const char *name, const struct qm_tensor *tensors, size_t count)
{
    void *bytes;
    size_t byte_count;
    assert_int_equal(qm_safetensors_encode(name, tensors, count, NULL, 0, &bytes, &byte_count), QM_OK);
    write_bytes(name, bytes, byte_count);
    free(bytes);
}

static const float a_values[6] = {1.5f, -2, 0x1p-140f, 0, 3e38f, -0.0f};
static const uint16_t b_values[4] = {0x3c00, 0x8001, 0x7bff, 0xbc00}; // 1, -2^-24, 65504, -1
static const uint16_t c_values[6] = {0x3f80, 0xbf80, 0x7f7f, 1, 0, 0x8000};
static const struct qm_tensor tensor_a = {"a", QM_DTYPE_F32, 2, {2, 3}, 24, a_values};
static const struct qm_tensor tensor_b = {"b", QM_DTYPE_F16, 1, {4}, 8, b_values};
static const struct qm_tensor tensor_c = {"c", QM_DTYPE_BF16, 2, {3, 2}, 12, c_values};

static void write_shards(const char *index)
{
    const struct qm_tensor first[] = {tensor_c, tensor_a};
    clean();
    write_tensors(SHARD_A, first, 2);
    write_tensors(SHARD_B, &tensor_b, 1);
    write_text(INDEX, index);
}

static void open_weights(struct qm_weights *weights)
{
    if (qm_weights_open(".", weights) != QM_OK)
        fail_msg("%s", qm_error_text());
}

// Refused with one line that begins with the file, says `words` and has a way out.
static void check_text(enum qm_status status, enum qm_status expected, const char *file, const char *words)
{
    const char *text = qm_error_text();
    if (status != expected || strncmp(text, file, strlen(file)) != 0 || !strstr(text, words) || strchr(text, '\n') ||
        !(strstr(text, "; ") || strstr(text, " must ")))
        fail_msg("expected %s and '%s...%s', got %s and '%s'", qm_status_name(expected), file, words,
                 qm_status_name(status), text);
}

static void refused(enum qm_status expected, const char *file, const char *words)
{
    struct qm_weights weights;
    enum qm_status status = qm_weights_open(".", &weights);
    assert_null(weights.entries);
    assert_null(weights.shards);
    assert_null(weights.file);
    check_text(status, expected, file, words);
}

// SHA-256 of files one after the other.
static void hash_files(const char *const *names, size_t count, char text[QM_HASH_TEXT_BYTES])
{
    struct qm_hash hash;
    qm_hash_begin(&hash);
    for (size_t i = 0; i < count; i++) {
        void *bytes;
        size_t byte_count;
        assert_int_equal(qm_file_read(names[i], 1u << 30, &bytes, &byte_count), QM_OK);
        qm_hash_add(&hash, bytes, byte_count);
        free(bytes);
    }
    qm_hash_end(&hash, text);
}

static void check_values(const struct qm_weights *weights)
{
    static const char *const names[] = {"a", "b", "c"};
    float values[6];
    assert_int_equal(weights->count, 3);
    assert_int_equal(weights->bytes, 44);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(weights->entries[i].tensor->name, names[i]);
    assert_null(qm_weights_find(weights, "d"));
    assert_int_equal(qm_weights_floats(qm_weights_find(weights, "a"), 0, 6, values), QM_OK);
    assert_memory_equal(values, a_values, sizeof(a_values));
    assert_int_equal(qm_weights_floats(qm_weights_find(weights, "b"), 1, 3, values), QM_OK);
    assert_true(values[0] == -0x1p-24f && values[1] == 65504 && values[2] == -1);
    assert_int_equal(qm_weights_floats(qm_weights_find(weights, "c"), 0, 6, values), QM_OK);
    assert_true(values[0] == 1 && values[1] == -1 && values[3] == 0x1p-133f);
    assert_int_equal(qm_weights_check(weights), QM_OK);
}

static void test_one_file(void **state)
{
    (void)state;
    struct qm_weights weights;
    char expected[QM_HASH_TEXT_BYTES], hash[QM_HASH_TEXT_BYTES];
    const struct qm_tensor all[] = {tensor_b, tensor_c, tensor_a};
    write_tensors("model.safetensors", all, 3);
    write_text("config.json", "{}");
    write_text(INDEX, "no index: with the one file nobody reads it");
    open_weights(&weights);
    assert_int_equal(weights.shard_count, 1);
    assert_string_equal(weights.file, "./model.safetensors");
    check_values(&weights);
    hash_files((const char *[]){"model.safetensors", "config.json"}, 2, expected);
    qm_weights_hash(&weights, "{}", 2, NULL, hash);
    assert_string_equal(hash, expected);
    qm_weights_close(&weights);
    qm_weights_close(&weights);
}

static void test_shards(void **state)
{
    (void)state;
    struct qm_weights weights;
    char expected[QM_HASH_TEXT_BYTES], hash[QM_HASH_TEXT_BYTES];
    static const char *const indexes[] = {GOOD, "{\"weight_map\":{" MAP "}}",
                                          "{\"metadata\":{\"total_size\":44.0},\"weight_map\":{" MAP "}}",
                                          "{\"metadata\":{\"format\":\"pt\"},\"more\":[],\"weight_map\":{" MAP "}}"};
    for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++) {
        write_shards(indexes[i]);
        open_weights(&weights);
        assert_int_equal(weights.shard_count, 2);
        assert_string_equal(qm_weights_find(&weights, "b")->shard->file, "./" SHARD_B);
        check_values(&weights);
        write_text("config.json", "x");
        hash_files((const char *[]){SHARD_A, SHARD_B, INDEX, "config.json"}, 4, expected);
        qm_weights_hash(&weights, "x", 1, NULL, hash);
        assert_string_equal(hash, expected);
        qm_weights_close(&weights);
    }
}

// As Hugging Face's cache has it: every file is a link to somewhere else.
static void test_links(void **state)
{
    (void)state;
    struct qm_weights weights;
    write_shards(GOOD);
    assert_int_equal(rename(SHARD_A, "blob-1"), 0);
    assert_int_equal(rename(INDEX, "blob-2"), 0);
    assert_int_equal(symlink("blob-1", SHARD_A), 0);
    assert_int_equal(symlink("blob-2", INDEX), 0);
    open_weights(&weights);
    check_values(&weights);
    qm_weights_close(&weights);
    assert_int_equal(unlink("blob-1"), 0);
    refused(QM_INVALID, "./" INDEX ": ", "1 of its 2 files is not there, '" SHARD_A "'");
    assert_int_equal(unlink("blob-2"), 0);
    refused(QM_INVALID, "./" INDEX ": ", "cannot read");
    clean();
    assert_int_equal(symlink("nowhere", "model.safetensors"), 0);
    refused(QM_INVALID, "./model.safetensors: ", "cannot read");
}

static void test_index_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "no JSON"},
        {"[]", "not a mapping"},
        {"{\"weight_map\":{}", "no JSON"},
        {"{}", "no 'weight_map'"},
        {"{\"weight_map\":{}}", "no 'weight_map'"},
        {"{\"weight_map\":[\"a\"]}", "no 'weight_map'"},
        {"{\"weight_map\":{\"a\":\"x.safetensors\",\"a\":\"y.safetensors\"}}", "duplicate"},
        {"{\"weight_map\":{\"\":\"x.safetensors\"}}", "name is empty"},
        {"{\"weight_map\":{\"a\\tb\":\"x.safetensors\"}}", "control character"},
        {"{\"weight_map\":{\"a\":1}}", "tensor 'a': its file is no text"},
        {"{\"weight_map\":{\"a\":\"../../x.safetensors\"}}", "'../../x.safetensors'; it must be the plain name"},
        {"{\"weight_map\":{\"a\":\"/etc/x.safetensors\"}}", "it must be the plain name"},
        {"{\"weight_map\":{\"a\":\"b/x.safetensors\"}}", "it must be the plain name"},
        {"{\"weight_map\":{\"a\":\"b\\\\x.safetensors\"}}", "it must be the plain name"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "it must be the plain name"},
        {"{\"weight_map\":{\"a\":\".safetensors\"}}", "it must be the plain name"},
        {"{\"weight_map\":{\"a\":\"x\\ny.safetensors\"}}", "it must be the plain name"},
        {"{\"weight_map\":{\"a\":\"" SHARD_A "\"},\"metadata\":[]}", "'metadata' is no mapping"},
        {"{\"weight_map\":{\"a\":\"" SHARD_A "\"},\"metadata\":{\"total_size\":-1}}", "'total_size' is no whole"},
        {"{\"weight_map\":{\"a\":\"" SHARD_A "\"},\"metadata\":{\"total_size\":1.5}}", "'total_size' is no whole"},
        {"{\"weight_map\":{\"a\":\"" SHARD_A "\"},\"metadata\":{\"total_size\":1e300}}", "'total_size' is no whole"},
        {"{\"weight_map\":{\"a\":\"" SHARD_A "\"},\"metadata\":{\"total_size\":\"44\"}}", "'total_size' is no whole"},
        {"{\"weight_map\":{\"a\":\"no.safetensors\",\"b\":\"" SHARD_B "\",\"c\":\"nor.safetensors\"}}",
         "2 of its 3 files are not there, first 'no.safetensors'"},
        // What it says and what is there.
        {"{\"weight_map\":{\"a\":\"" SHARD_A "\",\"b\":\"" SHARD_B "\",\"c\":\"" SHARD_B "\"}}",
         "tensor 'c': is not in '" SHARD_B "' but in '" SHARD_A "'"},
        {"{\"weight_map\":{" MAP ",\"d\":\"" SHARD_B "\"}}", "tensor 'd': is not in '" SHARD_B "', nor in any"},
        {"{\"weight_map\":{\"0\":\"" SHARD_A "\"," MAP "}}", "tensor '0': is not in '" SHARD_A "', nor in any"},
        {"{\"weight_map\":{" MAP "},\"metadata\":{\"total_size\":45}}",
         "'total_size' is 45 bytes, the tensors have 44"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_shards(bad[i].text);
        refused(QM_INVALID, "./" INDEX, bad[i].words);
    }
    write_shards("{\"weight_map\":{\"a\":\"pytorch_model.bin\"}}");
    refused(QM_INVALID, "./" INDEX, "only .safetensors files are read");
    write_shards("{\"weight_map\":{\"a\":\"" SHARD_A "\",\"b\":\"" SHARD_B "\"}}");
    refused(QM_INVALID, "./" SHARD_A ": ", "tensor 'c': the index does not name it");
}

static void test_index_limits(void **state)
{
    (void)state;
    size_t length = 4u << 20, used;
    char *text = malloc(length);
    // A tree of empty lists, which would take a hundred bytes for three.
    used = (size_t)snprintf(text, length, "{\"weight_map\":{},\"x\":[");
    while (used + 5 < length)
        used += (size_t)snprintf(text + used, length - used, "[],");
    write_shards(text);
    refused(QM_INVALID, "./" INDEX, "more than 1048576 values");
    // More files than can be mapped at one time.
    used = (size_t)snprintf(text, length, "{\"weight_map\":{");
    for (int i = 0; i <= QM_WEIGHTS_SHARDS_MAX; i++)
        used += (size_t)snprintf(text + used, length - used, "%s\"%d\":\"%d.safetensors\"", i ? "," : "", i, i);
    snprintf(text + used, length - used, "}}");
    write_shards(text);
    refused(QM_INVALID, "./" INDEX, "more than 1000 files");
    free(text);
    assert_int_equal(truncate(INDEX, (off_t)QM_WEIGHTS_INDEX_MAX + 1), 0);
    refused(QM_INVALID, "./" INDEX, "at most 33554432 are read");
}

static void test_shards_refused(void **state)
{
    (void)state;
    const struct qm_tensor both[] = {tensor_b, tensor_c};
    struct stat info;
    write_shards(GOOD);
    write_tensors(SHARD_B, both, 2);
    refused(QM_INVALID, "./" SHARD_B ": ", "tensor 'c': is in '" SHARD_A "', too");
    write_shards(GOOD);
    assert_int_equal(stat(SHARD_B, &info), 0);
    assert_int_equal(truncate(SHARD_B, info.st_size - 1), 0);
    refused(QM_INVALID, "./" SHARD_B ": ", "tensor 'b': its data ends at byte 8 of 7");
    assert_int_equal(truncate(SHARD_B, 0), 0);
    refused(QM_INVALID, "./" SHARD_B ": ", "only 0 bytes");
    write_text(SHARD_B, "PK\3\4 and so on");
    refused(QM_INVALID, "./" SHARD_B ": ", "pickles, which can run any program");
    assert_int_equal(unlink(SHARD_B), 0);
    assert_int_equal(mkfifo(SHARD_B, 0600), 0);
    refused(QM_INVALID, "./" SHARD_B ": ", "a device or a pipe"); // and does not wait for a writer
    assert_int_equal(unlink(SHARD_B), 0);
    assert_int_equal(mkdir(SHARD_B, 0700), 0);
    refused(QM_INVALID, "./" SHARD_B ": ", "is a directory");
    assert_int_equal(rmdir(SHARD_B), 0);
}

static void test_other_layouts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *words;
    } others[] = {
        {"pytorch_model.bin", "is a pickle, which can run any program when it is read"},
        {"pytorch_model-00001-of-00002.bin", "is a pickle"},
        {"pytorch_model.bin.index.json", "is the index of pickles"},
        {"consolidated.00.pth", "is a pickle"},
        {"model.pt", "is a pickle"},
        {"model.ckpt", "is a pickle"},
        {"other.bin", "is a pickle"},
        {"consolidated.safetensors", "its maker's own format"},
        {"model-00001-of-00002.safetensors", "index.json is not there"},
        {"adapter_model.safetensors", "changes to another model"},
        {"weights.safetensors", "is not called model.safetensors"},
        {"model-Q4_K_M.gguf", "is a GGUF file; name it in place of its folder"},
        {"tf_model.h5", "a TensorFlow file"},
        {"flax_model.msgpack", "a Flax file"},
        {"model.onnx", "an ONNX file"},
    };
    char file[128];
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct qm_model *model;
        clean();
        write_text("config.json", "{}");
        write_text("tokenizer.json", "{}");
        write_text(others[i].name, "");
        snprintf(file, sizeof(file), "./%s: ", others[i].name);
        refused(QM_INVALID, file, others[i].words);
        check_text(qm_model_load(".", 32, &model), QM_INVALID, file, others[i].words);
        // And the file itself, where a directory should be named.
        if (strstr(others[i].name, ".gguf")) // that is none
            check_text(qm_model_load(others[i].name, 32, &model), QM_INVALID, others[i].name, "does not begin as GGUF");
        else if (!strstr(others[i].name, ".safetensors") || strstr(others[i].name, "adapter"))
            check_text(qm_model_load(others[i].name, 32, &model), QM_INVALID, others[i].name, others[i].words);
        else
            check_text(qm_model_load(others[i].name, 32, &model), QM_INVALID, others[i].name, "is no directory");
    }
    // What Mistral's directories have beside it: the part that is there is named first.
    write_text("pytorch_model.bin", "");
    refused(QM_INVALID, "./pytorch_model.bin", "is a pickle");
    clean();
    refused(QM_INVALID, ".: ", "has neither model.safetensors nor");
    struct qm_weights weights;
    check_text(qm_weights_open("nowhere", &weights), QM_INVALID, "nowhere: ", "cannot list");
}

// Every half and every bfloat16, at every alignment.
static void test_values(void **state)
{
    (void)state;
    enum {
        COUNT = 65536
    };
    unsigned char *bytes = malloc(2 * COUNT + 8);
    float *values = malloc(COUNT * sizeof(*values));
    for (int dtype = QM_DTYPE_F16; dtype <= QM_DTYPE_BF16; dtype++)
        for (size_t shift = 0; shift < 3; shift++) {
            size_t done = 0, bad = 0;
            for (uint32_t i = 0; i < COUNT; i++) {
                uint16_t half = (uint16_t)i;
                memcpy(bytes + shift + 2 * i, &half, 2);
            }
            while (done < COUNT) {
                size_t good = qm_values_to_floats((enum qm_dtype)dtype, bytes + shift + 2 * done, COUNT - done, values);
                for (size_t i = 0; i < good; i++) {
                    uint16_t half = (uint16_t)(done + i);
                    float expected =
                        dtype == QM_DTYPE_F16 ? qm_float_from_half(half) : qm_float_from_bits((uint32_t)half << 16);
                    assert_int_equal(qm_bits_from_float(values[i]), qm_bits_from_float(expected));
                }
                done += good;
                if (done == COUNT)
                    break;
                float value = dtype == QM_DTYPE_F16 ? qm_float_from_half((uint16_t)done)
                                                    : qm_float_from_bits((uint32_t)done << 16);
                assert_true(value - value != 0); // infinite or not a number
                assert_int_equal(qm_value_is_nan((enum qm_dtype)dtype, bytes + shift + 2 * done), value != value);
                ++bad;
                ++done;
            }
            assert_int_equal(bad, dtype == QM_DTYPE_F16 ? 2 * 1024 : 2 * 128);
        }
    free(bytes);
    free(values);
    assert_false(qm_dtype_is_float(QM_DTYPE_F64));
    assert_false(qm_dtype_is_float(QM_DTYPE_I16));
}

// The first value that is not finite is named whoever finds it, and whatever part of a tensor is asked for.
static void test_not_finite(void **state)
{
    (void)state;
    enum {
        COUNT = 1500001
    };
    static const enum qm_dtype kinds[] = {QM_DTYPE_F32, QM_DTYPE_F16, QM_DTYPE_BF16};
    static const uint32_t infinities[] = {0xff800000u, 0xfc00, 0xff80}, nans[] = {0x7f800001u, 0x7c01, 0x7f81};
    static const size_t places[] = {0, 1, 524287, 524288, 1000000, COUNT - 1};
    float *out = malloc(COUNT * sizeof(*out));
    for (size_t k = 0; k < 3; k++)
        for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++)
            for (unsigned threads = 1; threads <= 7; threads += 3) {
                struct qm_weights weights;
                char words[96];
                size_t bytes_each = qm_dtype_bytes(kinds[k]);
                unsigned char *values = calloc(COUNT, bytes_each);
                struct qm_tensor tensor = {"x", kinds[k], 1, {COUNT}, COUNT * bytes_each, values};
                memcpy(values + places[p] * bytes_each, p % 2 ? &nans[k] : &infinities[k], bytes_each);
                memcpy(values + (COUNT - 1) * bytes_each, p % 2 ? &nans[k] : &infinities[k], bytes_each);
                write_tensors("model.safetensors", &tensor, 1);
                free(values);
                qm_parallel_set_threads(threads);
                open_weights(&weights);
                snprintf(words, sizeof(words), "tensor 'x': value %zu is %s; every weight must be finite", places[p],
                         p % 2 ? "not a number" : "infinite");
                check_text(qm_weights_floats(weights.entries, 0, COUNT, out), QM_INVALID,
                           "./model.safetensors: ", words);
                check_text(qm_weights_floats(weights.entries, places[p], 1, out), QM_INVALID,
                           "./model.safetensors: ", words);
                if (places[p] > 1)
                    assert_int_equal(qm_weights_floats(weights.entries, 1, places[p] - 1, out), QM_OK);
                qm_weights_close(&weights);
            }
    qm_parallel_set_threads(0);
    free(out);
    // A type that no weight may have does no harm where nobody asks for it.
    const double count = 1;
    const struct qm_tensor odd[] = {{"count", QM_DTYPE_F64, 0, {0}, 8, &count}, tensor_a};
    struct qm_weights weights;
    float values[6];
    write_tensors("model.safetensors", odd, 2);
    open_weights(&weights);
    assert_int_equal(qm_weights_floats(qm_weights_find(&weights, "a"), 0, 6, values), QM_OK);
    check_text(qm_weights_floats(qm_weights_find(&weights, "count"), 0, 1, values), QM_INVALID,
               "./model.safetensors: ", "tensor 'count': dtype F64; a model's weights must be F32, F16 or BF16");
    qm_weights_close(&weights);
}

static void wait_for_new_time(void)
{
    const struct timespec pause = {.tv_nsec = 30000000}; // file systems stamp with the kernel's ticks
    nanosleep(&pause, NULL);
}

// Files that others write while they are read: nothing dies, and whoever asks is told.
static void test_changed(void **state)
{
    (void)state;
    enum {
        COUNT = 1 << 20
    };
    struct qm_weights weights;
    char hash[QM_HASH_TEXT_BYTES];
    float *values = calloc(COUNT, sizeof(*values)), *out = malloc(COUNT * sizeof(*out));
    values[COUNT - 1] = 5;
    const struct qm_tensor tensor = {"x", QM_DTYPE_F32, 1, {COUNT}, COUNT * sizeof(float), values};
    // Cut off, in the middle of a page and to nothing, with one thread and with several.
    for (int cut = 0; cut < 4; cut++) {
        write_tensors("model.safetensors", &tensor, 1);
        open_weights(&weights);
        assert_int_equal(qm_weights_check(&weights), QM_OK);
        assert_int_equal(truncate("model.safetensors", cut % 2 ? 0 : 1000001), 0);
        qm_parallel_set_threads(cut < 2 ? 1 : 4);
        assert_int_equal(qm_weights_floats(weights.entries, 0, COUNT, out), QM_OK);
        assert_true(out[COUNT - 1] == 0);
        qm_weights_hash(&weights, NULL, 0, NULL, hash);
        check_text(qm_weights_check(&weights), QM_INVALID, "./model.safetensors: ", "was cut off meanwhile");
        qm_weights_close(&weights);
    }
    qm_parallel_set_threads(0);
    // Nothing of it was touched: its size says so.
    write_tensors("model.safetensors", &tensor, 1);
    open_weights(&weights);
    assert_int_equal(truncate("model.safetensors", 1000), 0);
    check_text(qm_weights_check(&weights), QM_INVALID, "./model.safetensors: ", "was written while it was read");
    qm_weights_close(&weights);
    // Overwritten in place.
    write_tensors("model.safetensors", &tensor, 1);
    open_weights(&weights);
    wait_for_new_time();
    FILE *stream = fopen("model.safetensors", "r+b");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, -1, SEEK_END), 0);
    assert_int_equal(fputc(1, stream), 1);
    assert_int_equal(fclose(stream), 0);
    check_text(qm_weights_check(&weights), QM_INVALID, "./model.safetensors: ", "was written while it was read");
    qm_weights_close(&weights);
    // Replaced or removed: the mapping has what it had.
    write_tensors("model.safetensors", &tensor, 1);
    open_weights(&weights);
    write_text("new", "another model");
    assert_int_equal(rename("new", "model.safetensors"), 0);
    assert_int_equal(qm_weights_floats(weights.entries, 0, COUNT, out), QM_OK);
    assert_true(out[COUNT - 1] == 5);
    assert_int_equal(qm_weights_check(&weights), QM_OK);
    assert_int_equal(unlink("model.safetensors"), 0);
    assert_int_equal(qm_weights_check(&weights), QM_OK);
    // A hash that nobody waits for any more ends.
    const atomic_bool stop = true;
    qm_weights_hash(&weights, NULL, 0, &stop, hash);
    qm_weights_close(&weights);
    free(values);
    free(out);
}

static size_t peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * 1024;
}

// A tensor of 256 MiB is read and hashed in a fraction of that, and one of 96 GiB, more than most machines have, is no
// hindrance. Both are holes in files, which take no disk.
static void test_memory(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {(uint64_t)256 << 20, (uint64_t)96 << 30};
    enum {
        PIECE = 1 << 20
    };
    float *out = malloc(PIECE * sizeof(*out));
    for (int i = 0; i < 2; i++) {
        struct qm_weights weights;
        char header[512], hash[QM_HASH_TEXT_BYTES];
        uint64_t values = sizes[i] / 2;
        int length = snprintf(header + 8, sizeof(header) - 8,
                              "{\"big\":{\"dtype\":\"BF16\",\"shape\":[%llu],\"data_offsets\":[0,%llu]},"
                              "\"last\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%llu,%llu]}}",
                              (unsigned long long)values, (unsigned long long)sizes[i], (unsigned long long)sizes[i],
                              (unsigned long long)sizes[i] + 1);
        uint64_t header_bytes = (uint64_t)length;
        memcpy(header, &header_bytes, 8);
        write_bytes("model.safetensors", header, (size_t)length + 8);
        if (truncate("model.safetensors", (off_t)(header_bytes + 8 + sizes[i] + 1)) != 0)
            skip(); // the file system has no files of this size
        size_t before = peak_bytes();
        open_weights(&weights);
        const struct qm_weights_entry *big = qm_weights_find(&weights, "big");
        for (uint64_t first = i == 0 ? 0 : values - PIECE; first < values; first += PIECE)
            assert_int_equal(qm_weights_floats(big, first, PIECE, out), QM_OK);
        if (i == 0)
            qm_weights_hash(&weights, NULL, 0, NULL, hash);
        assert_int_equal(qm_weights_check(&weights), QM_OK);
        qm_weights_close(&weights);
        assert_in_range(peak_bytes() - before, 0, 64 << 20);
    }
    free(out);
}

// Writes a byte anew and puts the time of the last write back, as a tool that hides its traces would.
static void touch_in_secret(const char *name)
{
    struct stat before;
    assert_int_equal(stat(name, &before), 0);
    FILE *file = fopen(name, "r+b");
    assert_non_null(file);
    int byte = fgetc(file);
    rewind(file);
    assert_int_equal(fputc(byte, file), byte);
    assert_int_equal(fclose(file), 0);
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

// A hash is remembered of files that nobody touched, and of no others.
static void test_known(void **state)
{
    (void)state;
    struct qm_weights weights;
    char hash[QM_HASH_TEXT_BYTES], known[QM_HASH_TEXT_BYTES] = "", cache[] = "/tmp/qmark-known-XXXXXX", path[128];
    assert_non_null(mkdtemp(cache));
    write_tensors("model.safetensors", &tensor_a, 1);
    open_weights(&weights);
    qm_weights_hash(&weights, "{}", 2, NULL, hash);
    qm_weights_note(&weights, "{}", 2, cache, hash);
    assert_false(qm_weights_known(&weights, "{}", 2, cache, known)); // written just now
    qm_sleep_ns(UINT64_C(3100000000));
    assert_false(qm_weights_known(&weights, "{}", 2, cache, known)); // it was not noted then
    qm_weights_note(&weights, "{}", 2, cache, hash);
    assert_true(qm_weights_known(&weights, "{}", 2, cache, known));
    assert_string_equal(known, hash);
    assert_false(qm_weights_known(&weights, "{ }", 3, cache, known)); // another config.json
    assert_false(qm_weights_known(&weights, "{}", 2, NULL, known));
    qm_weights_close(&weights);
    touch_in_secret("model.safetensors");
    qm_sleep_ns(UINT64_C(3100000000));
    open_weights(&weights);
    assert_false(qm_weights_known(&weights, "{}", 2, cache, known));
    qm_weights_close(&weights);
    snprintf(path, sizeof(path), "rm -r %s", cache);
    assert_int_equal(system(path), 0);
}

// A small model, in one file and in three: the same values, each with the hash of its own files.
static void test_model(void **state)
{
    (void)state;
    static const char config_text[] =
        "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":2,"
        "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":64,\"vocab_size\":37,\"rms_norm_eps\":1e-5}";
    enum {
        TENSORS = 32
    };
    static struct qm_tensor tensors[TENSORS];
    static char names[TENSORS][QM_WEIGHT_NAME_BYTES + 8];
    struct qm_model_config config;
    struct qm_model *one, *three;
    struct qm_random random;
    char index[8192], expected[QM_HASH_TEXT_BYTES], shard[3][48];
    assert_int_equal(qm_model_config_parse(config_text, strlen(config_text), "c", &config), QM_OK);
    size_t count = qm_weight_count(&config), used = 0;
    assert_true(count <= TENSORS);
    qm_random_seed(&random, 3, 0);
    for (size_t i = 0; i < count; i++) {
        enum qm_role role;
        uint32_t layer, rows, columns;
        char name[QM_WEIGHT_NAME_BYTES];
        qm_weight_at(&config, i, &role, &layer);
        qm_role_weight_name(role, layer, name);
        qm_role_shape(&config, role, &rows, &columns);
        snprintf(names[i], sizeof(names[i]), "%s.weight", name);
        uint16_t *values = malloc((size_t)rows * columns * sizeof(*values));
        for (size_t v = 0; v < (size_t)rows * columns; v++)
            values[v] = qm_half_from_float((float)qm_random_unit(&random) - 0.5f);
        tensors[i] = (struct qm_tensor){names[i], QM_DTYPE_F16, 2, {rows, columns}, (size_t)rows * columns * 2, values};
        if (qm_role_is_norm(role)) {
            tensors[i].rank = 1;
            tensors[i].shape[0] = columns;
        }
    }
    write_text("config.json", config_text);
    write_tensors("model.safetensors", tensors, count);
    if (qm_model_load(".", 32, &one) != QM_OK)
        fail_msg("%s", qm_error_text());
    hash_files((const char *[]){"model.safetensors", "config.json"}, 2, expected);
    assert_string_equal(one->sha256, expected);
    assert_int_equal(unlink("model.safetensors"), 0);
    used = (size_t)snprintf(index, sizeof(index), "{\"weight_map\":{");
    for (size_t s = 0; s < 3; s++) {
        size_t begin = count * s / 3, end = count * (s + 1) / 3;
        snprintf(shard[s], sizeof(shard[s]), "model-%05zu-of-00003.safetensors", s + 1);
        write_tensors(shard[s], tensors + begin, end - begin);
        for (size_t i = begin; i < end; i++)
            used += (size_t)snprintf(index + used, sizeof(index) - used, "%s\"%s\":\"%s\"", i ? "," : "", names[i],
                                     shard[s]);
    }
    snprintf(index + used, sizeof(index) - used, "}}");
    write_text(INDEX, index);
    for (unsigned threads = 1; threads <= 3; threads++) {
        qm_parallel_set_threads(threads);
        if (qm_model_load(".", 32, &three) != QM_OK)
            fail_msg("%s", qm_error_text());
        hash_files((const char *[]){shard[0], shard[1], shard[2], INDEX, "config.json"}, 5, expected);
        assert_string_equal(three->sha256, expected);
        for (size_t i = 0; i < count; i++)
            assert_memory_equal(one->tensors[i].values, three->tensors[i].values,
                                (size_t)one->tensors[i].rows * one->tensors[i].columns * sizeof(float));
        qm_model_destroy(&three);
    }
    // The line is the same from whichever thread it comes.
    uint16_t *last = (uint16_t *)(uintptr_t)tensors[count - 1].data;
    last[7] = 0x7e00;
    write_tensors(shard[2], tensors + count * 2 / 3, count - count * 2 / 3);
    for (unsigned threads = 1; threads <= 3; threads++) {
        qm_parallel_set_threads(threads);
        check_text(qm_model_load(".", 32, &three), QM_INVALID,
                   "./model-00003-of-00003.safetensors: ", "tensor 'lm_head.weight': value 7 is not a number");
        assert_null(three);
    }
    qm_parallel_set_threads(0);
    qm_model_destroy(&one);
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)tensors[i].data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_file, clean_directory),
        cmocka_unit_test_setup(test_shards, clean_directory),
        cmocka_unit_test_setup(test_links, clean_directory),
        cmocka_unit_test_setup(test_index_refused, clean_directory),
        cmocka_unit_test_setup(test_index_limits, clean_directory),
        cmocka_unit_test_setup(test_shards_refused, clean_directory),
        cmocka_unit_test_setup(test_other_layouts, clean_directory),
        cmocka_unit_test_setup(test_values, clean_directory),
        cmocka_unit_test_setup(test_not_finite, clean_directory),
        cmocka_unit_test_setup(test_changed, clean_directory),
        cmocka_unit_test_setup(test_memory, clean_directory),
        cmocka_unit_test_setup(test_known, clean_directory),
        cmocka_unit_test_setup(test_model, clean_directory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
