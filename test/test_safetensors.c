// Safetensors files: round trips, bytes that do not depend on the order of the input, each kind of malformed file; and that
// a mapped file is what the same bytes in memory are, its refusals to the letter.
#include "model/safetensors.h"
#include "sys/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

// A file of a header text and data bytes, in memory from malloc.
static void *make_file(const char *header, size_t data_bytes, size_t *count)
{
    uint64_t header_bytes = strlen(header);
    *count = 8 + header_bytes + data_bytes;
    char *bytes = calloc(1, *count);
    memcpy(bytes, &header_bytes, 8);
    memcpy(bytes + 8, header, header_bytes);
    for (size_t i = 0; i < data_bytes; i++)
        bytes[8 + header_bytes + i] = (char)i;
    return bytes;
}

// The group's own directory is the current one, so that a file there has the name that bytes are given.
static char directory[] = "/tmp/qmark-test-XXXXXX";

static int enter_directory(void **state)
{
    (void)state;
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
    (void)state;
    (void)unlink("f.safetensors");
    return chdir("/") == 0 ? rmdir(directory) : -1;
}

// Writes the bytes without a flush, which a few hundred files would wait for.
static void write_file(const void *bytes, size_t count)
{
    FILE *stream = fopen("f.safetensors", "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, count, stream), count);
    assert_int_equal(fclose(stream), 0);
}

// Refused with this status and one line that names the file, says `words` and what would be right; the same line of a
// mapped file.
static void refused_bytes(void *bytes, size_t count, enum qm_status expected, const char *words)
{
    struct qm_tensors tensors;
    char mapped[1024];
    write_file(bytes, count);
    assert_int_equal(qm_tensors_map("f.safetensors", &tensors), expected);
    assert_null(tensors.tensors);
    snprintf(mapped, sizeof(mapped), "%s", qm_error_text());
    enum qm_status status = qm_tensors_parse(&bytes, count, "f.safetensors", &tensors);
    assert_string_equal(mapped, qm_error_text());
    assert_null(bytes);
    assert_null(tensors.tensors);
    const char *text = qm_error_text();
    if (status != expected || strncmp(text, "f.safetensors: ", 15) != 0 || !strstr(text, words) || strchr(text, '\n') ||
        !(strstr(text, "; ") || strstr(text, " must ")))
        fail_msg("expected %s and '%s', got %s and '%s'", qm_status_name(expected), words, qm_status_name(status),
                 text);
}

static void refused(const char *header, size_t data_bytes, const char *words)
{
    size_t count;
    void *bytes = make_file(header, data_bytes, &count);
    refused_bytes(bytes, count, QM_INVALID, words);
}

#define ENTRY(dtype, shape, begin, end)                                                                                \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

// The same tensors and texts, wherever they lie.
static void same(const struct qm_tensors *a, const struct qm_tensors *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->metadata_count, b->metadata_count);
    for (size_t i = 0; i < a->metadata_count; i++) {
        assert_string_equal(a->metadata[i].key, b->metadata[i].key);
        assert_string_equal(a->metadata[i].value, b->metadata[i].value);
    }
    for (size_t i = 0; i < a->count; i++) {
        const struct qm_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->rank, y->rank);
        assert_memory_equal(x->shape, y->shape, sizeof(x->shape));
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
}

static void test_parse(void **state)
{
    (void)state;
    struct qm_tensors tensors, mapped;
    size_t count;
    void *bytes = make_file("{\"b\":" ENTRY("F16", "[2,3]", 4, 16) ",\"a\":" ENTRY(
                                "U8", "[4]", 0, 4) ",\"scalar\":" ENTRY("F32", "[]", 16, 20) ",\"__metadata__\":{\"y\":"
                                                                                             "\"2\",\"x\":\"\"}}   ",
                            20, &count);
    write_file(bytes, count);
    assert_int_equal(qm_tensors_map("f.safetensors", &mapped), QM_OK);
    assert_int_equal(qm_tensors_parse(&bytes, count, "f", &tensors), QM_OK);
    same(&tensors, &mapped);
    qm_tensors_free(&mapped);
    assert_int_equal(tensors.count, 3);
    const struct qm_tensor *b = qm_tensors_find(&tensors, "b");
    assert_int_equal(b->dtype, QM_DTYPE_F16);
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[1], 3);
    assert_int_equal(b->bytes, 12);
    assert_int_equal(((const char *)b->data)[0], 4);
    assert_true(qm_tensor_is_aligned(b));
    assert_int_equal(qm_tensors_find(&tensors, "scalar")->rank, 0);
    assert_null(qm_tensors_find(&tensors, "c"));
    assert_string_equal(qm_tensors_text(&tensors, "y"), "2");
    assert_string_equal(qm_tensors_text(&tensors, "x"), "");
    assert_null(qm_tensors_text(&tensors, "z"));
    const struct qm_tensor *found;
    assert_int_equal(qm_tensors_require(&tensors, "b", QM_DTYPE_F16, 2, (uint64_t[]){2, 3}, &found), QM_OK);
    assert_int_equal(qm_tensors_require(&tensors, "b", QM_DTYPE_F16, 2, (uint64_t[]){3, 2}, &found), QM_INVALID);
    assert_string_equal(qm_error_text(), "f: tensor 'b': F16 [2, 3]; it should be F16 [3, 2]");
    assert_int_equal(qm_tensors_require(&tensors, "c", QM_DTYPE_F16, 1, (uint64_t[]){3}, &found), QM_INVALID);
    assert_null(found);
    qm_tensors_free(&tensors);
    qm_tensors_free(&tensors);
}

static void test_refused(void **state)
{
    (void)state;
    char *long_name = malloc(2000);
    snprintf(long_name, 2000, "{\"%0300d\":" ENTRY("U8", "[1]", 0, 1) "}", 0);
    refused(long_name, 1, "name has 300 bytes");
    free(long_name);
    refused("[]", 0, "does not begin with '{'");
    refused("{\"a\":}", 0, "no JSON");
    refused("{\"a\"\n:", 0, "no JSON");
    refused("{\"a\":1} x", 0, "no JSON");
    refused("{\"a\":{},\"a\":{}}", 0, "duplicate");
    refused("{\"\":" ENTRY("U8", "[1]", 0, 1) "}", 1, "name is empty");
    refused("{\"a\\nb\":" ENTRY("U8", "[1]", 0, 1) "}", 1, "control character");
    refused("{\"a\":1}", 0, "tensor 'a': the entry must have");
    refused("{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "the entry must have");
    refused("{\"a\":{\"dtype\":1,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "no 'dtype'");
    refused("{\"a\":" ENTRY("U8", "1", 0, 1) "}", 1, "no 'shape'");
    refused("{\"a\":" ENTRY("U8", "[1,1,1,1,1]", 0, 1) "}", 1, "5 dimensions");
    refused("{\"a\":" ENTRY("U8", "[0]", 0, 0) "}", 0, "dimension 0");
    refused("{\"a\":" ENTRY("U8", "[-1]", 0, 1) "}", 1, "dimension 0");
    refused("{\"a\":" ENTRY("U8", "[1.0]", 0, 1) "}", 1, "dimension 0");
    refused("{\"a\":" ENTRY("F32", "[4294967296,4294967296]", 0, 1) "}", 1, "larger than any memory");
    refused("{\"a\":" ENTRY("F32", "[2]", 0, 4) "}", 4, "4 bytes of data; F32 of shape [2] has 8");
    refused("{\"a\":" ENTRY("F32", "[1]", 4, 0) "}", 4, "data_offsets");
    refused("{\"a\":" ENTRY("F32", "[1]", -4, 0) "}", 4, "data_offsets");
    refused("{\"a\":" ENTRY("F32", "[2]", 0, 8) "}", 7, "ends at byte 8 of 7");
    refused("{\"a\":" ENTRY("U8", "[4]", 0, 4) ",\"b\":" ENTRY("U8", "[4]", 3, 7) "}", 7, "overlaps with that of 'a'");
    refused("{\"a\":" ENTRY("U8", "[4]", 0, 4) ",\"b\":" ENTRY("U8", "[4]", 0, 4) "}", 4, "overlaps");
    refused("{\"a\":" ENTRY("U8", "[4]", 0, 4) ",\"b\":" ENTRY("U8", "[4]", 5, 9) "}", 9, "1 bytes before");
    refused("{\"a\":" ENTRY("U8", "[4]", 0, 4) "}", 6, "2 bytes at the end");
    refused("{\"__metadata__\":[]}", 0, "'__metadata__' is no mapping");
    refused("{\"__metadata__\":{\"a\":1}}", 0, "is no text");
    size_t count;
    void *bytes = make_file("{\"a\":" ENTRY("F4", "[2]", 0, 1) "}", 1, &count);
    refused_bytes(bytes, count, QM_INVALID, "dtype 'F4'");
    // Other formats, by how they begin.
    static const char *const begins[] = {"PK\3\4\x14\0\0\0\0\0\0\0", "\x80\2\x8a\nl\xfc\x9c\x46\xf9 j\xa8",
                                         "GGUF\3\0\0\0\0\0\0\0"};
    static const char *const words[] = {"zip archive, as PyTorch packs pickles", "a pickle", "a GGUF file"};
    for (size_t i = 0; i < 3; i++) {
        bytes = malloc(12);
        memcpy(bytes, begins[i], 12);
        refused_bytes(bytes, 12, QM_INVALID, words[i]);
    }
}

// All of the format's types of whole bytes are read, whoever can use them.
static void test_dtypes(void **state)
{
    (void)state;
    for (int i = 0; i < QM_DTYPE_COUNT; i++) {
        struct qm_tensors tensors;
        char header[128];
        size_t count, bytes_each = qm_dtype_bytes((enum qm_dtype)i);
        snprintf(header, sizeof(header), "{\"a\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%zu]}}",
                 qm_dtype_name((enum qm_dtype)i), 3 * bytes_each);
        void *bytes = make_file(header, 3 * bytes_each, &count);
        write_file(bytes, count);
        free(bytes);
        assert_int_equal(qm_tensors_map("f.safetensors", &tensors), QM_OK);
        assert_int_equal(tensors.tensors[0].dtype, i);
        qm_tensors_free(&tensors);
    }
}

// A header that is within its limit and would grow a hundredfold as a tree, and one that is not.
static void test_bounded(void **state)
{
    (void)state;
    struct qm_tensors tensors;
    size_t count, length = 4u << 20;
    char *header = malloc(length + 1);
    for (size_t i = 0; i < length; i++)
        header[i] = "{},"[i % 3];
    memcpy(header, "{\"a\":[", 6);
    header[length] = '\0';
    void *bytes = make_file(header, 0, &count);
    refused_bytes(bytes, count, QM_INVALID, "more than 1048576 values");
    // Commas and brackets within a name count for nothing; those behind an escaped quote are still within it.
    memset(header, ',', length);
    memcpy(header, "{\"\\\"", 4);
    memcpy(header + length - 10, "\":1}      ", 10);
    bytes = make_file(header, 0, &count);
    refused_bytes(bytes, count, QM_INVALID, "a tensor's name has");
    free(header);
    // 2 TiB that take no room on the disk: refused by their size alone.
    write_file("", 0);
    assert_int_equal(truncate("f.safetensors", (off_t)2 << 40), 0);
    assert_int_equal(qm_tensors_map("f.safetensors", &tensors), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "at most 1099511627776 are read"));
    // A header of 2 GB, with a file to match.
    const uint64_t header_bytes = (uint64_t)2 << 30;
    write_file(&header_bytes, sizeof(header_bytes));
    assert_int_equal(truncate("f.safetensors", (off_t)3 << 30), 0);
    assert_int_equal(qm_tensors_map("f.safetensors", &tensors), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "a header of 2147483648 bytes"));
}

// Every prefix of a good file is refused, and every header size that is not its own.
static void test_truncated(void **state)
{
    (void)state;
    size_t count;
    char *good = make_file("{\"a\":" ENTRY("F32", "[2]", 0, 8) "}", 8, &count);
    for (size_t length = 0; length < count; length++) {
        void *bytes = malloc(length + 1);
        memcpy(bytes, good, length);
        refused_bytes(bytes, length, QM_INVALID, "");
    }
    assert_int_equal(unlink("f.safetensors"), 0);
    const uint64_t sizes[] = {0, 1, count, UINT64_MAX, UINT64_MAX - 7, QM_SAFETENSORS_HEADER_MAX + 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        void *bytes = malloc(count);
        memcpy(bytes, good, count);
        memcpy(bytes, &sizes[i], 8);
        refused_bytes(bytes, count, QM_INVALID, "header");
    }
    free(good);
}

static void test_write(void **state)
{
    (void)state;
    const uint8_t codes[3] = {1, 2, 3};
    const uint16_t halves[2] = {4, 5};
    const float floats[2] = {1.5f, -2};
    struct qm_tensor tensors[] = {
        {"z.codes", QM_DTYPE_U8, 1, {3}, 3, codes},
        {"a.halves", QM_DTYPE_F16, 2, {1, 2}, 4, halves},
        {"m.floats", QM_DTYPE_F32, 1, {2}, 8, floats},
    };
    struct qm_tensor turned[] = {tensors[2], tensors[0], tensors[1]};
    const struct qm_tensor_text texts[] = {{"k", "\"v\"\n\xc3\xa9"}, {"a", "b"}}, texts_turned[] = {texts[1], texts[0]};
    void *bytes, *again;
    size_t count, again_count;
    assert_int_equal(qm_safetensors_encode("f", tensors, 3, texts, 2, &bytes, &count), QM_OK);
    assert_int_equal(qm_safetensors_encode("f", turned, 3, texts_turned, 2, &again, &again_count), QM_OK);
    assert_int_equal(count, again_count);
    assert_memory_equal(bytes, again, count);
    free(again);
    assert_int_equal((count - 8 - 4 - 3) % 64, 0); // the data begins at a multiple of 64
    struct qm_tensors read, viewed;
    write_file(bytes, count);
    assert_int_equal(qm_tensors_map("f.safetensors", &viewed), QM_OK);
    assert_int_equal(qm_tensors_parse(&bytes, count, "f", &read), QM_OK);
    same(&read, &viewed);
    qm_tensors_free(&viewed);
    assert_int_equal(read.count, 3);
    assert_string_equal(qm_tensors_text(&read, "k"), "\"v\"\n\xc3\xa9");
    for (size_t i = 0; i < 3; i++) {
        const struct qm_tensor *found = qm_tensors_find(&read, tensors[i].name);
        assert_non_null(found);
        assert_true(qm_tensor_is_aligned(found));
        assert_int_equal(found->bytes, tensors[i].bytes);
        assert_memory_equal(found->data, tensors[i].data, tensors[i].bytes);
    }
    qm_tensors_free(&read);
    // What cannot be written.
    struct qm_tensor doubled[] = {tensors[0], tensors[0]};
    assert_int_equal(qm_safetensors_encode("f", doubled, 2, NULL, 0, &bytes, &count), QM_INVALID);
    assert_null(bytes);
    tensors[0].bytes = 4;
    assert_int_equal(qm_safetensors_encode("f", tensors, 3, NULL, 0, &bytes, &count), QM_INVALID);
    const struct qm_tensor_text no_utf8 = {"k", "\xff"};
    assert_int_equal(qm_safetensors_encode("f", turned, 3, &no_utf8, 1, &bytes, &count), QM_INVALID);
}

static void test_files(void **state)
{
    (void)state;
    const char *path = "t.safetensors";
    const float value = 3;
    const struct qm_tensor tensor = {"x", QM_DTYPE_F32, 1, {1}, 4, &value};
    struct qm_tensors read;
    assert_int_equal(qm_tensors_load(path, &read), QM_INVALID); // not there
    assert_int_equal(qm_safetensors_write(path, &tensor, 1, NULL, 0), QM_OK);
    assert_int_equal(qm_tensors_load(path, &read), QM_OK);
    assert_memory_equal(read.tensors[0].data, &value, 4);
    qm_tensors_free(&read);
    assert_int_equal(qm_file_remove(path), QM_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),   cmocka_unit_test(test_refused),   cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_bounded), cmocka_unit_test(test_truncated), cmocka_unit_test(test_write),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
