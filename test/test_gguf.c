// The GGUF reader: every type of value and tensor, and what is wrong with a file by its key or tensor.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf_writer.h"
#include "model/gguf.h"
#include "model/gguf_values.h"

static struct gguf_writer w;

static void done(void)
{
    free(w.bytes);
    w = (struct gguf_writer){0};
}

static void test_values(void **state)
{
    (void)state;
    struct qm_gguf g;
    gguf_begin(&w, 3, 0, 13);
    gguf_put_key(&w, "u8", 0), gguf_put(&w, "\xff", 1);
    gguf_put_key(&w, "i8", 1), gguf_put(&w, "\xff", 1);
    gguf_put_key(&w, "u16", 2), gguf_put(&w, "\x00\x80", 2);
    gguf_put_key(&w, "i16", 3), gguf_put(&w, "\x00\x80", 2);
    gguf_put_key(&w, "u32", 4), gguf_put_u32(&w, UINT32_MAX);
    gguf_put_key(&w, "i32", 5), gguf_put_u32(&w, UINT32_MAX - 1);
    gguf_put_key(&w, "f32", 6), gguf_put(&w, &(float){0.1f}, 4);
    gguf_put_key(&w, "flag", 7), gguf_put(&w, "\x01", 1);
    gguf_put_key(&w, "text", 8), gguf_put_string(&w, "l\xc3\xa4nger");
    gguf_put_key(&w, "u64", 10), gguf_put_u64(&w, UINT64_MAX);
    gguf_put_key(&w, "i64", 11), gguf_put_u64(&w, UINT64_MAX);
    gguf_put_key(&w, "f64", 12), gguf_put(&w, &(double){1e300}, 8);
    gguf_put_key(&w, "a list", 9), gguf_put_u32(&w, 8), gguf_put_u64(&w, 3);
    gguf_put_string(&w, "one"), gguf_put_string(&w, ""), gguf_put_string(&w, "three");
    if (qm_gguf_view(w.bytes, w.count, "test", &g) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_int_equal(g.value_count, 13);
    assert_true(qm_gguf_find(&g, "u8")->number.u == 255 && qm_gguf_find(&g, "i8")->number.i == -1);
    assert_true(qm_gguf_find(&g, "u16")->number.u == 32768 && qm_gguf_find(&g, "i16")->number.i == -32768);
    assert_true(qm_gguf_find(&g, "i32")->number.i == -2 && qm_gguf_find(&g, "i64")->number.i == -1);
    assert_true(qm_gguf_find(&g, "u64")->number.u == UINT64_MAX);
    const struct qm_gguf_value *text = qm_gguf_find(&g, "text"), *list = qm_gguf_find(&g, "a list");
    assert_true(text->kind == QM_GGUF_STRING && text->count == 7 && memcmp(text->bytes, "l\xc3\xa4nger", 7) == 0);
    uint64_t at = 0, count;
    const uint8_t *bytes;
    const char *const expected[] = {"one", "", "three"};
    for (size_t i = 0; i < 3; ++i) {
        assert_true(qm_gguf_next_string(list, &at, &bytes, &count));
        assert_true(count == strlen(expected[i]) && memcmp(bytes, expected[i], count) == 0);
    }
    assert_false(qm_gguf_next_string(list, &at, &bytes, &count));
    uint32_t number = 7;
    double real = 0;
    bool is_there = true, flag = false;
    assert_int_equal(qm_gguf_u32(&g, "u32", &number, &is_there), QM_OK);
    assert_true(number == UINT32_MAX && is_there);
    assert_int_equal(qm_gguf_u32(&g, "nowhere", &number, &is_there), QM_OK);
    assert_true(number == UINT32_MAX && !is_there);
    assert_int_equal(qm_gguf_u32(&g, "i32", &number, NULL), QM_INVALID);
    assert_string_equal(qm_error_text(), "test: 'i32' must be a whole number from 0 to 4294967295");
    assert_int_equal(qm_gguf_u32(&g, "u64", &number, NULL), QM_INVALID);
    assert_int_equal(qm_gguf_double(&g, "f32", &real, NULL), QM_OK);
    assert_true((float)real == 0.1f);
    assert_int_equal(qm_gguf_double(&g, "i8", &real, NULL), QM_OK);
    assert_true(real == -1);
    assert_int_equal(qm_gguf_double(&g, "text", &real, NULL), QM_INVALID);
    assert_int_equal(qm_gguf_bool(&g, "flag", &flag, NULL), QM_OK);
    assert_true(flag);
    assert_int_equal(qm_gguf_bool(&g, "u8", &flag, NULL), QM_INVALID);
    qm_gguf_close(&g);
    done();
}

// Every type's size, dimensions the other way about than in the file, data at the file's own alignment.
static void test_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t type;
        uint64_t columns, bytes;
    } all[] = {{"F32", 0, 3, 24},      {"F16", 1, 3, 12},     {"BF16", 30, 3, 12}, {"Q8_0", 8, 64, 136},
               {"Q4_0", 2, 64, 72},    {"Q4_1", 3, 64, 80},   {"Q5_0", 6, 64, 88}, {"Q4_K", 12, 512, 576},
               {"Q5_K", 13, 512, 704}, {"Q6_K", 14, 512, 840}};
    enum {
        COUNT = sizeof(all) / sizeof(*all)
    };
    struct qm_gguf g;
    gguf_begin(&w, 3, COUNT, 1);
    gguf_put_key(&w, "general.alignment", 4), gguf_put_u32(&w, 64);
    uint64_t offset = 0;
    for (size_t i = 0; i < COUNT; ++i) {
        gguf_put_tensor(&w, all[i].name, 2, (const uint64_t[]){all[i].columns, 2}, all[i].type, offset);
        offset += (all[i].bytes + 63) / 64 * 64;
    }
    gguf_pad(&w, 64);
    size_t data = w.count;
    for (uint64_t i = 0; i < offset; ++i)
        gguf_put(&w, &(uint8_t){(uint8_t)(i / 64)}, 1);
    if (qm_gguf_view(w.bytes, w.count, "test", &g) != QM_OK)
        fail_msg("%s", qm_error_text());
    offset = 0;
    for (size_t i = 0; i < COUNT; ++i) {
        const struct qm_gguf_tensor *t = qm_gguf_find_tensor(&g, all[i].name);
        assert_non_null(t);
        assert_string_equal(t->type->name, all[i].name);
        assert_true(t->rank == 2 && t->shape[0] == 2 && t->shape[1] == all[i].columns && t->bytes == all[i].bytes);
        assert_ptr_equal(t->data, w.bytes + data + offset);
        offset += (all[i].bytes + 63) / 64 * 64;
    }
    assert_null(qm_gguf_find_tensor(&g, "F64"));
    qm_gguf_close(&g);
    // Cut off anywhere, it is refused by a line, and nothing else happens.
    for (size_t count = 0; count + 64 < w.count; ++count) {
        uint8_t *part = malloc(count + 1);
        memcpy(part, w.bytes, count);
        assert_int_equal(qm_gguf_view(part, count, "cut", &g), QM_INVALID);
        assert_memory_equal(qm_error_text(), "cut: ", 5);
        free(part);
    }
    done();
}

// A file of one tensor, of two rows.
static void one_tensor(uint32_t version, uint32_t rank, uint64_t columns, uint32_t type, uint64_t offset)
{
    gguf_begin(&w, version, 1, 0);
    gguf_put_tensor(&w, "blk.0.up", rank, (const uint64_t[]){columns, 2, 1, 1, 1}, type, offset);
    gguf_pad(&w, 32);
    uint8_t zeros[1024] = {0};
    gguf_put(&w, zeros, sizeof(zeros));
}

static void refuse(const char *line)
{
    struct qm_gguf g;
    assert_int_equal(qm_gguf_view(w.bytes, w.count, "m.gguf", &g), QM_INVALID);
    assert_string_equal(qm_error_text(), line);
    assert_null(g.values);
    done();
}

static void test_refusals(void **state)
{
    (void)state;
    struct qm_gguf g;
    one_tensor(3, 2, 64, 8, 0);
    assert_int_equal(qm_gguf_view(w.bytes, w.count, "m.gguf", &g), QM_OK);
    qm_gguf_close(&g);
    memcpy(w.bytes, "GGML", 4);
    refuse("m.gguf: it does not begin with GGUF; give a file of that format");
    gguf_begin(&w, 3, 1, 0);
    w.count = 9;
    refuse("m.gguf: it ends within the header, at byte 9; fetch it again, whole");
    one_tensor(1, 2, 64, 8, 0);
    refuse("m.gguf: GGUF of version 1; versions 2 and 3 can be read");
    one_tensor(0x03000000, 2, 64, 8, 0);
    refuse("m.gguf: a GGUF file in big-endian byte order; convert it to little-endian");
    one_tensor(3, 2, 64, 11, 0);
    refuse("m.gguf: tensor 'blk.0.up' is of type Q3_K, which cannot be read; convert it to one of F32, F16, BF16, "
           "Q8_0, Q4_0, "
           "Q4_1, Q5_0, Q4_K, Q5_K, Q6_K");
    one_tensor(3, 2, 64, 99, 0);
    refuse("m.gguf: tensor 'blk.0.up' is of type 99, which cannot be read; convert it to one of F32, F16, BF16, Q8_0, "
           "Q4_0, "
           "Q4_1, Q5_0, Q4_K, Q5_K, Q6_K");
    one_tensor(3, 2, 48, 8, 0);
    refuse("m.gguf: tensor 'blk.0.up': rows of 48 values are no multiple of the 32 that Q8_0 encodes together");
    one_tensor(3, 5, 64, 8, 0);
    refuse("m.gguf: tensor 'blk.0.up' has 5 dimensions; it must have 1 to 4");
    one_tensor(3, 2, 0, 8, 0);
    refuse("m.gguf: tensor 'blk.0.up': dimension 0 is 0; every one must be above");
    one_tensor(3, 2, 64, 8, 8);
    refuse("m.gguf: tensor 'blk.0.up' begins at 8 of the data; it must be a multiple of 32");
    one_tensor(3, 2, 64, 8, 1024);
    refuse("m.gguf: tensor 'blk.0.up' has 136 bytes at 1024 of the data, beyond the end of the file; fetch it again, "
           "whole");
    one_tensor(3, 2, UINT64_MAX / 32 * 32, 8, 0);
    refuse("m.gguf: tensor 'blk.0.up' is larger than any memory; check its dimensions");
    gguf_begin(&w, 3, UINT64_MAX, 1);
    refuse("m.gguf: the header counts 1 metadata entries and 18446744073709551615 tensors, more than 24 bytes can "
           "hold; fetch "
           "it again, whole");

    gguf_begin(&w, 3, 2, 0);
    gguf_put_tensor(&w, "a", 1, (const uint64_t[]){16}, 0, 0);
    gguf_put_tensor(&w, "b", 1, (const uint64_t[]){16}, 0, 32);
    gguf_pad(&w, 32);
    gguf_put(&w, (const uint8_t[128]){0}, 128);
    refuse("m.gguf: tensors 'a' and 'b' overlap; each must have its own bytes");
    gguf_begin(&w, 3, 2, 0);
    gguf_put_tensor(&w, "a", 1, (const uint64_t[]){16}, 0, 0);
    gguf_put_tensor(&w, "a", 1, (const uint64_t[]){16}, 0, 64);
    gguf_pad(&w, 32);
    gguf_put(&w, (const uint8_t[128]){0}, 128);
    refuse("m.gguf: tensor 'a' is there twice; leave one");

    static const uint8_t zeros[64] = {0};
    gguf_begin(&w, 3, 0, 1);
    gguf_put_key(&w, "k", 13), gguf_put(&w, zeros, 64);
    refuse("m.gguf: 'k' is of type 13; there are types 0 to 12");
    gguf_begin(&w, 3, 0, 1);
    gguf_put_key(&w, "k", 9), gguf_put_u32(&w, 9), gguf_put(&w, zeros, 64);
    refuse("m.gguf: 'k' is an array of type 9; numbers, flags and strings can be read");
    gguf_begin(&w, 3, 0, 1);
    gguf_put_key(&w, "k", 7), gguf_put(&w, "\x02", 1), gguf_put(&w, zeros, 8);
    refuse("m.gguf: 'k' is a flag of value 2; it must be 0 or 1");
    gguf_begin(&w, 3, 0, 2);
    gguf_put_key(&w, "k", 7), gguf_put(&w, "\x01", 1);
    gguf_put_key(&w, "k", 7), gguf_put(&w, "\x01", 1);
    refuse("m.gguf: the key 'k' stands there twice; leave one");
    gguf_begin(&w, 3, 0, 1);
    gguf_put_key(&w, "k\n", 7), gguf_put(&w, "\x01", 1);
    refuse("m.gguf: a key with a control character, before byte 34; use printable ones");
    gguf_begin(&w, 3, 0, 1);
    gguf_put_key(&w, "k", 9), gguf_put_u32(&w, 4), gguf_put_u64(&w, UINT64_MAX / 2), gguf_put(&w, zeros, 8);
    refuse("m.gguf: it ends within an array, at byte 57; fetch it again, whole");
    gguf_begin(&w, 3, 0, 1);
    gguf_put_key(&w, "general.alignment", 4), gguf_put_u32(&w, 48);
    refuse("m.gguf: 'general.alignment' is 48; it must be a power of two from 8 to 65536");
}

// A block of Q5_K by the description: d 0.5, dmin 0.25; scales 1 to 8 but for the 6-bit packing, minima 0; codes 0 to 31.
static void test_floats(void **state)
{
    (void)state;
    uint8_t block[176] = {0};
    struct qm_gguf g;
    block[1] = 0x38, block[3] = 0x34; // binary16 of 0.5 and 0.25
    for (uint8_t j = 0; j < 4; ++j) {
        block[4 + j] = (uint8_t)(j + 1);  // s_j; the upper bits of s_(j+4) are 0
        block[8 + j] = (uint8_t)(j == 2); // m_2 = 1
        block[12 + j] = (uint8_t)(j + 5); // s_(j+4)
    }
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t code = (i * 7 + i / 32) % 32, byte = i / 64 * 32 + i % 32;
        block[48 + byte] |= (uint8_t)((code & 15u) << (i / 32 % 2 * 4));
        block[16 + i % 32] |= (uint8_t)(code >> 4 << (i / 32));
    }
    gguf_begin(&w, 3, 2, 0);
    gguf_put_tensor(&w, "blocks", 1, (const uint64_t[]){256}, QM_GGUF_Q5_K, 0);
    gguf_put_tensor(&w, "halves", 1, (const uint64_t[]){4}, QM_GGUF_F16, 192);
    gguf_pad(&w, 32);
    gguf_put(&w, block, sizeof(block)), gguf_pad(&w, 32);
    gguf_put(&w, "\x00\x3c\x00\xc0\x01\x00\x00\x7c", 8); // 1, -2, 2^-24, infinite
    if (qm_gguf_view(w.bytes, w.count, "test", &g) != QM_OK)
        fail_msg("%s", qm_error_text());
    float values[256];
    assert_int_equal(qm_gguf_decode(qm_gguf_find_tensor(&g, "blocks"), 0, 1, values), 256);
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t code = (i * 7 + i / 32) % 32;
        float expected = 0.5f * (float)(i / 32 + 1) * (float)code - (i / 32 == 2 ? 0.25f : 0);
        assert_true(values[i] >= expected && values[i] <= expected);
    }
    const struct qm_gguf_tensor *halves = qm_gguf_find_tensor(&g, "halves");
    assert_int_equal(qm_gguf_decode(halves, 1, 2, values), 2);
    assert_true(values[0] == -2 && values[1] == 0x1p-24f);
    assert_int_equal(qm_gguf_decode(halves, 1, 3, values), 2); // the third is the bad one
    qm_gguf_close(&g);
    done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
