// Makes test/data/ggml/blocks.txt: blocks that ggml itself encodes and decodes, for test/test_ggml.c.
//
// Built by hand beside a checkout of ggml, never by CMake; ggml's code is compiled, not copied. In GGML is the checkout:
//
//   cc -O2 -ffp-contract=off -DNDEBUG -ffunction-sections -w -I$GGML/include -I$GGML/src -I$GGML/src/ggml-cpu \
//      -c $GGML/src/ggml-quants.c -o ggml-quants.o
//   cc -O2 -ffp-contract=off -I. -Icore -I$GGML/include -I$GGML/src tools/make_ggml_blocks.c core/base/hash.c \
//      core/base/numeric.c core/base/random.c core/base/status.c ggml-quants.o -Wl,--gc-sections -lsodium -lm \
//      -o make_ggml_blocks
//   ./make_ggml_blocks $(git -C $GGML rev-parse HEAD) >test/data/ggml/blocks.txt
//
// NDEBUG, as in every release of ggml: its nearest_int asserts a range that hostile values leave.
#include "base/hash.h"
#include "test/ggml_inputs.h"

#define GGML_COMMON_DECL_C
#include "ggml-common.h"
#include "ggml-quants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 100000u
#define CHUNK 1000u
#define SHOWN (2 * GGML_INPUT_KINDS)
#define CHUNK_DIGITS 16 // of a chunk's hash; the whole has all 64

// The functions take pointers to structs that differ by format.
typedef void (*encode)(const float *values, void *blocks, int64_t count);
typedef void (*decode)(const void *blocks, float *values, int64_t count);

static const struct format {
    const char *name;
    uint32_t values, bytes;
    encode encode;
    decode decode;
    float largest_code;   // q8_0, q4_0, q4_1, q5_0: as ggml_is_undefined takes it; 0: nothing is undefined
    uint32_t scale_bytes; // of those, at the start of a block
} formats[] = {
    {"q8_0", QK8_0, sizeof(block_q8_0), (encode)quantize_row_q8_0_ref, (decode)dequantize_row_q8_0, 127, 2},
    {"q4_0", QK4_0, sizeof(block_q4_0), (encode)quantize_row_q4_0_ref, (decode)dequantize_row_q4_0, 8, 2},
    {"q4_1", QK4_1, sizeof(block_q4_1), (encode)quantize_row_q4_1_ref, (decode)dequantize_row_q4_1, 15, 4},
    {"q5_0", QK5_0, sizeof(block_q5_0), (encode)quantize_row_q5_0_ref, (decode)dequantize_row_q5_0, 16, 2},
    {"q4_k", QK_K, sizeof(block_q4_K), (encode)quantize_row_q4_K_ref, (decode)dequantize_row_q4_K, 0, 0},
    {"q5_k", QK_K, sizeof(block_q5_K), (encode)quantize_row_q5_K_ref, (decode)dequantize_row_q5_K, 0, 0},
    {"q6_k", QK_K, sizeof(block_q6_K), (encode)quantize_row_q6_K_ref, (decode)dequantize_row_q6_K, 0, 0},
};

static const char *const head[] = {
    "#",
    "# ggml's blocks, byte for byte: what ggml's own code makes of the blocks that test/ggml_inputs.h draws, of 16",
    "# kinds. Functions: quantize_row_q8_0_ref, _q4_0_ref, _q4_1_ref, _q5_0_ref, _q4_K_ref, _q5_K_ref, _q6_K_ref, and",
    "# dequantize_row_q8_0 to _q6_K, of src/ggml-quants.c. Made by tools/make_ggml_blocks.c, whose head says how.",
    "# Compiled by gcc 12.2 at -O0, -O2 and -O3 -mavx2 and by clang 14 at -O0, -O2 and -O3 -mavx2, for x86-64: all",
    "# gave this file; for q5_0 and q5_k only gcc at -O2 and -O3 -mavx2 and clang at -O2 were asked.",
    "#",
    "# format NAME VALUES BYTES BLOCKS CHUNK UNDEFINED",
    "#     of a block; how many blocks, in chunks of how many",
    "# chunk NAME FIRST ENCODED DECODED ANY",
    "#     first 16 digits of the hashes of a chunk, which begins with block FIRST",
    "# total NAME ENCODED DECODED ANY",
    "#     SHA-256 of the bytes of all blocks; of the floats that they are decoded to; of the floats that as many",
    "#     blocks of any bytes (ggml_draw_bytes) are decoded to. Floats are binary32, little-endian, every NaN",
    "#     0x7fc00000",
    "# block NAME NUMBER BYTES",
    "#     a block to read; the kind of its values is NUMBER % 16",
    "#",
    "# UNDEFINED counts blocks in which ggml converts a float to int8_t that int8_t does not hold (of each block",
    "# UBSan's float-cast-overflow says the same): 1 / d overflows, d being below 2^-128, or, in q4_1, the range",
    "# does. What C leaves undefined differs: gcc's code, and clang's at -O0, has codes of 0 there; clang's at -O2",
    "# has -128 in q8_0, and in q4_0 and q4_1 0 and 8. In this file, and in core/quant/ggml_blocks.c, they are 0.",
    "# Such a d is 0 as a binary16, so that the values are 0 whatever the codes are (q4_1: the minimum); or it is",
    "# infinite, and the block is of no use to anybody.",
    "# q4_k and q6_k: nearest_int takes any float; hostile ones fail its assertion, which no release has (NDEBUG).",
    "#",
};

struct hashes {
    struct qm_hash encoded, decoded, any;
};

static void begin(struct hashes *hashes)
{
    qm_hash_begin(&hashes->encoded);
    qm_hash_begin(&hashes->decoded);
    qm_hash_begin(&hashes->any);
}

static void end(struct hashes *hashes, int digits)
{
    struct qm_hash *each[] = {&hashes->encoded, &hashes->decoded, &hashes->any};
    for (int i = 0; i < 3; i++) {
        char text[QM_HASH_TEXT_BYTES];
        qm_hash_end(each[i], text);
        printf(" %.*s", digits, text);
    }
    printf("\n");
}

static void add(struct hashes *hashes, const struct format *format, const uint8_t *block, const float *decoded,
                const float *any)
{
    qm_hash_add(&hashes->encoded, block, format->bytes);
    qm_hash_add(&hashes->decoded, decoded, format->values * sizeof(float));
    qm_hash_add(&hashes->any, any, format->values * sizeof(float));
}

static bool is_undefined(const struct format *format, const float *values)
{
    return format->scale_bytes > 0 &&
           ggml_is_undefined(values, format->values, format->scale_bytes == 4, format->largest_code);
}

static uint32_t count_undefined(const struct format *format)
{
    uint32_t count = 0;
    for (uint32_t number = 0; number < BLOCKS; number++) {
        float values[256];
        ggml_draw_block(number, values, format->values);
        count += is_undefined(format, values);
    }
    return count;
}

static void make(const struct format *format)
{
    static uint8_t shown[SHOWN][256];
    struct hashes total, chunk;
    printf("format %s %u %u %u %u %u\n", format->name, format->values, format->bytes, BLOCKS, CHUNK,
           count_undefined(format));
    begin(&total);
    for (uint32_t number = 0; number < BLOCKS; number++) {
        float values[256], decoded[256], any[256];
        uint8_t block[256], bytes[256];
        ggml_draw_block(number, values, format->values);
        format->encode(values, block, format->values);
        if (is_undefined(format, values))
            memset(block + format->scale_bytes, 0, format->bytes - format->scale_bytes);
        format->decode(block, decoded, format->values);
        ggml_draw_bytes(number, bytes, format->bytes);
        format->decode(bytes, any, format->values);
        ggml_plain_nans(decoded, format->values);
        ggml_plain_nans(any, format->values);
        if (number % CHUNK == 0)
            begin(&chunk);
        add(&total, format, block, decoded, any);
        add(&chunk, format, block, decoded, any);
        if (number % CHUNK == CHUNK - 1) {
            printf("chunk %s %u", format->name, number + 1 - CHUNK);
            end(&chunk, CHUNK_DIGITS);
        }
        if (number < SHOWN)
            memcpy(shown[number], block, format->bytes);
    }
    printf("total %s", format->name);
    end(&total, QM_HASH_TEXT_BYTES - 1);
    for (uint32_t number = 0; number < SHOWN; number++) {
        printf("block %s %u ", format->name, number);
        for (uint32_t i = 0; i < format->bytes; i++)
            printf("%02x", shown[number][i]);
        printf("\n");
    }
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: make_ggml_blocks COMMIT\n");
        return 2;
    }
    printf("# Source: https://github.com/ggml-org/ggml (MIT license), commit %s.\n", arguments[1]);
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
        printf("%s\n", head[i]);
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        make(&formats[i]);
    return 0;
}
