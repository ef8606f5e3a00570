// ggml's block formats: the bytes and the floats that ggml's own code makes of 100,000 random and hostile blocks each, by
// their hashes in test/data/ggml/blocks.txt, whose head says how they were made.
#include "base/hash.h"
#include "quant/format.h"
#include "quant/ggml_blocks.h"
#include "test/ggml_inputs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOCK_BYTES 256
#define CHUNK_DIGITS 16
#define CHUNKS_MAX 128
#define SHOWN_MAX 64

static const struct codec {
    const char *name;
    enum qm_weight_format format;
    uint32_t values, bytes;
    void (*encode)(const float *values, uint8_t *block);
    void (*decode)(const uint8_t *block, float *values);
    float largest_code; // as ggml_is_undefined takes it
    uint32_t scale_bytes;
} codecs[] = {
    {"q8_0", QM_WEIGHT_Q8_0, 32, 34, qm_ggml_q8_0_encode, qm_ggml_q8_0_decode, 127, 2},
    {"q4_0", QM_WEIGHT_Q4_0, 32, 18, qm_ggml_q4_0_encode, qm_ggml_q4_0_decode, 8, 2},
    {"q4_1", QM_WEIGHT_Q4_1, 32, 20, qm_ggml_q4_1_encode, qm_ggml_q4_1_decode, 15, 4},
    {"q5_0", QM_WEIGHT_Q5_0, 32, 22, qm_ggml_q5_0_encode, qm_ggml_q5_0_decode, 16, 2},
    {"q4_k", QM_WEIGHT_Q4_K, 256, 144, qm_ggml_q4_k_encode, qm_ggml_q4_k_decode, 0, 0},
    {"q5_k", QM_WEIGHT_Q5_K, 256, 176, qm_ggml_q5_k_encode, qm_ggml_q5_k_decode, 0, 0},
    {"q6_k", QM_WEIGHT_Q6_K, 256, 210, qm_ggml_q6_k_encode, qm_ggml_q6_k_decode, 0, 0},
};

// What the file says of a format.
enum {
    ENCODED,
    DECODED,
    ANY,
    HASHES
};

static struct expected {
    unsigned blocks, chunk, undefined, chunk_count, shown_count;
    char total[HASHES][QM_HASH_TEXT_BYTES];
    char chunks[CHUNKS_MAX][HASHES][CHUNK_DIGITS + 1];
    char shown[SHOWN_MAX][2 * BLOCK_BYTES + 1];
} expected;

static void read_line(const char *line, const char *name)
{
    struct expected *e = &expected;
    char word[16], of[16];
    unsigned number;
    int rest = 0;
    if (line[0] == '#' || sscanf(line, "%15s %15s %n", word, of, &rest) != 2 || strcmp(of, name) != 0)
        return;
    line += rest;
    if (strcmp(word, "format") == 0) {
        assert_int_equal(sscanf(line, "%*u %*u %u %u %u", &e->blocks, &e->chunk, &e->undefined), 3);
    } else if (strcmp(word, "total") == 0) {
        assert_int_equal(sscanf(line, "%64s %64s %64s", e->total[0], e->total[1], e->total[2]), 3);
    } else if (strcmp(word, "chunk") == 0) {
        assert_true(e->chunk_count < CHUNKS_MAX);
        char(*to)[CHUNK_DIGITS + 1] = e->chunks[e->chunk_count];
        assert_int_equal(sscanf(line, "%u %16s %16s %16s", &number, to[0], to[1], to[2]), 4);
        assert_int_equal(number, e->chunk_count * e->chunk);
        e->chunk_count++;
    } else {
        assert_true(e->shown_count < SHOWN_MAX);
        assert_int_equal(sscanf(line, "%u %512s", &number, e->shown[e->shown_count]), 2);
        assert_int_equal(number, e->shown_count);
        e->shown_count++;
    }
}

static void read_expected(const char *name)
{
    static char line[1024];
    FILE *file = fopen(QM_SOURCE_DIR "/test/data/ggml/blocks.txt", "r");
    assert_non_null(file);
    memset(&expected, 0, sizeof(expected));
    while (fgets(line, sizeof(line), file))
        read_line(line, name);
    fclose(file);
    assert_true(expected.blocks >= 100000 && expected.shown_count >= GGML_INPUT_KINDS);
    assert_int_equal(expected.chunk_count * expected.chunk, expected.blocks);
}

static void begin(struct qm_hash hashes[HASHES])
{
    for (int i = 0; i < HASHES; i++)
        qm_hash_begin(&hashes[i]);
}

static void add(struct qm_hash hashes[HASHES], const struct codec *codec, const uint8_t *block, const float *decoded,
                const float *any)
{
    qm_hash_add(&hashes[ENCODED], block, codec->bytes);
    qm_hash_add(&hashes[DECODED], decoded, codec->values * sizeof(float));
    qm_hash_add(&hashes[ANY], any, codec->values * sizeof(float));
}

static const char *const what[HASHES] = {"codes", "decoded values", "values of any bytes"};

static void check_chunk(struct qm_hash hashes[HASHES], const struct codec *codec, uint32_t chunk)
{
    for (int i = 0; i < HASHES; i++) {
        char text[QM_HASH_TEXT_BYTES];
        qm_hash_end(&hashes[i], text);
        if (strncmp(text, expected.chunks[chunk][i], CHUNK_DIGITS) != 0)
            fail_msg("%s: %s of blocks %u to %u differ from ggml's", codec->name, what[i], chunk * expected.chunk,
                     (chunk + 1) * expected.chunk - 1);
    }
}

static void check_shown(const struct codec *codec, uint32_t number, const uint8_t *block)
{
    char text[2 * BLOCK_BYTES + 1];
    for (uint32_t i = 0; i < codec->bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", block[i]);
    if (strcmp(text, expected.shown[number]) != 0)
        fail_msg("%s: block %u is\n%s, ggml's\n%s", codec->name, number, text, expected.shown[number]);
}

// Where ggml's code is undefined, ours has codes of 0.
static bool check_undefined(const struct codec *codec, const float *values, const uint8_t *block)
{
    if (codec->scale_bytes == 0 ||
        !ggml_is_undefined(values, codec->values, codec->scale_bytes == 4, codec->largest_code))
        return false;
    for (uint32_t i = codec->scale_bytes; i < codec->bytes; i++)
        assert_int_equal(block[i], 0);
    return true;
}

// A matrix of one block is the block, and is read as it is; what a binary16 cannot hold is refused.
static bool check_matrix(const struct codec *codec, const float *values, const uint8_t *block, const float *decoded)
{
    uint8_t codes[BLOCK_BYTES];
    float read[256];
    uint32_t row;
    struct qm_encoded encoded = {codes, NULL, 1}, raw = {(void *)(uintptr_t)block, NULL, 1};
    bool is_valid = qm_format_is_valid(codec->format, &raw, 1, codec->values, &row);
    enum qm_status status =
        qm_format_encode(codec->format, "x", values, 1, codec->values, &(struct qm_encode_params){0}, &encoded, NULL);
    if (status != QM_OK) {
        assert_int_equal(status, QM_INVALID);
        assert_true(!is_valid || codec->format == QM_WEIGHT_Q6_K); // of which too large values may be lost
        return false;
    }
    assert_true(is_valid);
    assert_memory_equal(codes, block, codec->bytes);
    qm_format_decode(codec->format, &encoded, 1, codec->values, read);
    assert_memory_equal(read, decoded, codec->values * sizeof(float));
    for (uint32_t i = 0; i < codec->values; i++)
        assert_true(read[i] <= 0x1.fffffep127f && read[i] >= -0x1.fffffep127f);
    return true;
}

static void check(const struct codec *codec)
{
    struct qm_hash total[HASHES], chunk[HASHES];
    uint32_t undefined = 0, matrices = 0, refused = 0;
    read_expected(codec->name);
    begin(total);
    for (uint32_t number = 0; number < expected.blocks; number++) {
        float values[256], decoded[256], any[256];
        uint8_t block[BLOCK_BYTES], bytes[BLOCK_BYTES];
        ggml_draw_block(number, values, codec->values);
        codec->encode(values, block);
        codec->decode(block, decoded);
        ggml_draw_bytes(number, bytes, codec->bytes);
        codec->decode(bytes, any);
        if (number / GGML_INPUT_KINDS % 8 == 0) { // a part, for the time it takes
            bool is_matrix = check_matrix(codec, values, block, decoded);
            matrices += is_matrix;
            refused += !is_matrix;
        }
        ggml_plain_nans(decoded, codec->values);
        ggml_plain_nans(any, codec->values);
        if (number < expected.shown_count)
            check_shown(codec, number, block);
        undefined += check_undefined(codec, values, block);
        if (number % expected.chunk == 0)
            begin(chunk);
        add(total, codec, block, decoded, any);
        add(chunk, codec, block, decoded, any);
        if (number % expected.chunk == expected.chunk - 1)
            check_chunk(chunk, codec, number / expected.chunk);
    }
    for (int i = 0; i < HASHES; i++) {
        char text[QM_HASH_TEXT_BYTES];
        qm_hash_end(&total[i], text);
        assert_string_equal(text, expected.total[i]);
    }
    assert_int_equal(undefined, expected.undefined);
    print_message("%s: %u blocks are ggml's, of which %u are undefined there; as matrices %u are, %u are refused\n",
                  codec->name, expected.blocks, undefined, matrices, refused);
    assert_true(matrices > refused); // not for nothing
}

static void test_q8_0(void **state)
{
    (void)state;
    check(&codecs[0]);
}

static void test_q4_0(void **state)
{
    (void)state;
    check(&codecs[1]);
}

static void test_q4_1(void **state)
{
    (void)state;
    check(&codecs[2]);
}

static void test_q5_0(void **state)
{
    (void)state;
    check(&codecs[3]);
}

static void test_q4_k(void **state)
{
    (void)state;
    check(&codecs[4]);
}

static void test_q5_k(void **state)
{
    (void)state;
    check(&codecs[5]);
}

static void test_q6_k(void **state)
{
    (void)state;
    check(&codecs[6]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_q8_0), cmocka_unit_test(test_q4_0), cmocka_unit_test(test_q4_1),
        cmocka_unit_test(test_q5_0), cmocka_unit_test(test_q4_k), cmocka_unit_test(test_q5_k),
        cmocka_unit_test(test_q6_k),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
