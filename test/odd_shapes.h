// 200 random odd shapes, and which variants take them. Include after cmocka.
//
// They are drawn from a seed, which tests print; QM_TEST_SEED gives another. A shape belongs to a kernel, and each of its
// variants takes some of them. Data of a case follow from its name and shape alone (core/bench/kernel_cases.c).
#ifndef QM_TEST_ODD_SHAPES_H
#define QM_TEST_ODD_SHAPES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "bench/kernel_cases.h"
#include "kernel/kernels.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// ---- Shapes -------------------------------------------------------------------------------------------------------

enum {
    SHAPES = 200
};

static uint64_t odd_seed = 20261129;
static struct qm_random dice;

// Half of them where tiles and vectors end, the others odd three times out of four.
static inline uint32_t draw_size(uint32_t most)
{
    static const uint32_t ends[] = {1, 3, 7, 9, 15, 17, 31, 33, 63, 65, 127, 129};
    uint32_t count = 0;
    while (count < COUNT(ends) && ends[count] <= most)
        ++count;
    if (qm_random_below(&dice, 2) == 0)
        return ends[qm_random_below(&dice, count)];
    uint32_t size = 1 + qm_random_below(&dice, most);
    return qm_random_below(&dice, 4) > 0 && size % 2 == 0 ? size - 1 : size;
}

static inline void draw_product(struct qm_case_shape *s)
{
    do {
        s->rows = draw_size(70);
        s->n = draw_size(200);
        s->k = 32 * draw_size(37); // beyond the 512 that some tiles unpack at once
    } while ((uint64_t)s->rows * s->n * s->k > 1u << 19);
}

static inline void draw_matvec(struct qm_case_shape *s)
{
    do {
        s->rows = draw_size(10);
        s->n = draw_size(200);
        s->k = 32 * draw_size(37);
    } while ((uint64_t)s->rows * s->n * s->k > 1u << 18);
}

static inline void draw_rows(struct qm_case_shape *s)
{
    s->rows = draw_size(70);
    s->n = draw_size(1500);
    s->k = draw_size(1500);
}

static inline void draw_blocks(struct qm_case_shape *s)
{
    s->rows = draw_size(40);
    s->n = draw_size(70);
    s->k = 32 * draw_size(35);
}

static inline void draw_count(struct qm_case_shape *s)
{
    s->rows = draw_size(70);
    s->k = draw_size(20000);
}

// Of sequences: one of all rows, or several, the last one short or not.
static inline void draw_place(struct qm_case_shape *s, uint32_t most)
{
    s->position = qm_random_below(&dice, 5) > 0 ? draw_size(most) : 0;
    s->tokens_per_sequence = qm_random_below(&dice, 2) == 0 ? s->rows : 1 + qm_random_below(&dice, s->rows);
}

static inline void draw_table(struct qm_case_shape *s)
{
    s->rows = draw_size(40);
    s->n = draw_size(300);
    s->k = 2 * draw_size(150);
    draw_place(s, 60);
}

static inline void draw_logits(struct qm_case_shape *s)
{
    s->rows = draw_size(40);
    s->n = draw_size(3000);
    draw_place(s, 60);
}

static inline void draw_cache(struct qm_case_shape *s)
{
    s->rows = draw_size(40);
    s->kv_heads = 1 + qm_random_below(&dice, 4);
    draw_place(s, 130);
}

static inline void draw_heads(struct qm_case_shape *s)
{
    do {
        s->rows = draw_size(32);
        s->kv_heads = 1 + qm_random_below(&dice, 3);
        s->n = s->kv_heads * draw_size(5);
        draw_place(s, 300);
    } while ((uint64_t)s->rows * s->n * (s->position + s->rows) > 20000);
}

// Which shapes a kernel has, and how many of the 200.
static struct draw {
    const char *kernel;
    uint32_t count;
    void (*draw)(struct qm_case_shape *shape);
    uint32_t first;
} draws[] = {
    {"matmul", 57, draw_product, 0},
    {"matvec", 35, draw_matvec, 0},
    {"dequantize", 10, draw_blocks, 0},
    {"activations", 8, draw_blocks, 0},
    {"norm_activations", 8, draw_blocks, 0},
    {"swiglu_activations", 8, draw_blocks, 0},
    {"embedding", 4, draw_table, 0},
    {"kv_write", 14, draw_cache, 0},
    {"kv_block", 6, draw_cache, 0},
    {"attention", 22, draw_heads, 0},
    {"rmsnorm", 4, draw_rows, 0},
    {"layernorm", 2, draw_rows, 0},
    {"rope", 4, draw_heads, 0},
    {"bias", 2, draw_rows, 0},
    {"swiglu", 2, draw_count, 0},
    {"softcap", 2, draw_count, 0},
    {"residual", 2, draw_count, 0},
    {"log_softmax", 4, draw_logits, 0},
    {"argmax", 2, draw_logits, 0},
    {"checksum", 2, draw_logits, 0},
    {"advance", 1, draw_count, 0},
    {"copy", 1, draw_count, 0},
};

static struct qm_case_shape odd_shapes[SHAPES];

static inline void draw_shapes(void)
{
    const char *text = getenv("QM_TEST_SEED");
    uint32_t number = 0;
    odd_seed = text && *text ? strtoull(text, NULL, 10) : odd_seed;
    for (size_t i = 0; i < COUNT(draws); ++i) {
        draws[i].first = number;
        for (uint32_t j = 0; j < draws[i].count; ++j, ++number) {
            qm_random_seed(&dice, odd_seed, number); // another number of shapes of one kernel changes none of another
            draws[i].draw(&odd_shapes[number]);
            // Groups of 64 and of 128 need a k of their own; the other two of four are mostly odd.
            uint32_t unit = j % 4 == 1 ? 64 : j % 4 == 3 ? 128 : 32;
            if (odd_shapes[number].k % 32 == 0)
                odd_shapes[number].k = (odd_shapes[number].k + unit - 1) / unit * unit;
        }
    }
    assert_int_equal(number, SHAPES);
}

// ---- Names --------------------------------------------------------------------------------------------------------

// Variants without their tiles, "matmul-w8-a8", each once.
struct name {
    char text[32];
    const struct draw *draw;
    uint32_t number; // among those of its kernel
};

static struct name odd_names[256];
static size_t odd_name_count;

static inline void split(const struct qm_kernel_variant *variant, char name[32], char tile[24])
{
    const char *dash = strrchr(variant->name, '-');
    snprintf(name, 32, "%.*s", (int)(dash - variant->name), variant->name);
    snprintf(tile, 24, "%s", dash + 1);
}

static inline const struct name *find_name(const char *text)
{
    for (size_t i = 0; i < odd_name_count; ++i) {
        if (strcmp(odd_names[i].text, text) == 0)
            return &odd_names[i];
    }
    return NULL;
}

// Of all kernels but the self-test and the probes of ceilings, which have no oracle.
static inline void list_names(void)
{
    for (size_t i = 0; i < qm_kernel_variant_count; ++i) {
        const struct qm_kernel_variant *variant = &qm_kernel_variants[i];
        char text[32], tile[24];
        split(variant, text, tile);
        if (strcmp(variant->kernel, "selftest") == 0 || strncmp(variant->kernel, "probe_", 6) == 0 || find_name(text))
            continue;
        struct name *name = &odd_names[odd_name_count++];
        snprintf(name->text, sizeof(name->text), "%s", text);
        for (size_t d = 0; d < COUNT(draws); ++d) {
            if (strcmp(draws[d].kernel, variant->kernel) == 0)
                name->draw = &draws[d];
        }
        if (!name->draw)
            fail_msg("no shapes are drawn for kernel %s", variant->kernel);
        for (size_t n = 0; n + 1 < odd_name_count; ++n)
            name->number += odd_names[n].draw == name->draw;
    }
}

// The sizes as the kernel takes them.
static inline struct qm_case_shape shape_of(const struct name *name, uint32_t number)
{
    struct qm_case_shape shape = odd_shapes[number];
    uint32_t multiple = qm_case_k_multiple(name->text);
    if (strncmp(name->text, "mat", 3) == 0 || name->draw->draw == draw_blocks || strcmp(name->text, "copy") == 0)
        shape.k = (shape.k + multiple - 1) / multiple * multiple;
    return shape;
}

#endif
