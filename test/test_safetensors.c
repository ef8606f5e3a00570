// Safetensors files: round trips, bytes that do not depend on the order of the input, each kind of malformed file.
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

// Refused with this status and one line that names the file, says `words` and what would be right.
static void refused_bytes(void *bytes, size_t count, enum qm_status expected, const char *words)
{
    struct qm_tensors tensors;
    enum qm_status status = qm_tensors_parse(&bytes, count, "f.safetensors", &tensors);
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

static void test_parse(void **state)
{
    (void)state;
    struct qm_tensors tensors;
    size_t count;
    void *bytes = make_file("{\"b\":" ENTRY("F16", "[2,3]", 4, 16) ",\"a\":" ENTRY(
                                "U8", "[4]", 0, 4) ",\"scalar\":" ENTRY("F32", "[]", 16, 20) ",\"__metadata__\":{\"y\":"
                                                                                             "\"2\",\"x\":\"\"}}   ",
                            20, &count);
    assert_int_equal(qm_tensors_parse(&bytes, count, "f", &tensors), QM_OK);
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
    void *bytes = make_file("{\"a\":" ENTRY("F64", "[1]", 0, 8) "}", 8, &count);
    refused_bytes(bytes, count, QM_UNSUPPORTED, "dtype 'F64'");
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
    struct qm_tensors read;
    assert_int_equal(qm_tensors_parse(&bytes, count, "f", &read), QM_OK);
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
    char directory[] = "/tmp/qmark-test-XXXXXX", path[QM_PATH_BYTES];
    assert_non_null(mkdtemp(directory));
    assert_int_equal(qm_path_join(path, directory, "t.safetensors"), QM_OK);
    const float value = 3;
    const struct qm_tensor tensor = {"x", QM_DTYPE_F32, 1, {1}, 4, &value};
    struct qm_tensors read;
    assert_int_equal(qm_tensors_load(path, &read), QM_INVALID); // not there
    assert_int_equal(qm_safetensors_write(path, &tensor, 1, NULL, 0), QM_OK);
    assert_int_equal(qm_tensors_load(path, &read), QM_OK);
    assert_memory_equal(read.tensors[0].data, &value, 4);
    qm_tensors_free(&read);
    assert_int_equal(qm_file_remove(path), QM_OK);
    assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_refused), cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_write), cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
