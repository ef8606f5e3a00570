// A wrong kernel on purpose, for tests of what follows from one.
#include "kernel/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What becomes of which constant. The 16 of type int by which int8 decoders shift becomes 8 (panels of 16 columns are
// counted in uint); the factor by which probes of ceilings mix what they give, another odd number.
struct mistake {
    bool is_signed;
    uint32_t right, wrong;
    const char *right_text, *wrong_text;
};
static const struct mistake of_decoders = {true, 16, 8, "<< 16) >> 24", "<<  8) >> 24"},
                            of_probes = {false, 2654435761u, 2654435763u, "2654435761u", "2654435763u"};

static uint32_t *wrong_spirv(const struct mistake *mistake, const uint32_t *words, size_t bytes)
{
    size_t count = bytes / 4;
    uint32_t *copy = malloc(bytes), int_type = 0;
    bool changed = false;
    if (!copy)
        return NULL;
    memcpy(copy, words, bytes);
    for (size_t at = 5; at < count;) {
        uint32_t length = copy[at] >> 16, opcode = copy[at] & 0xffffu;
        if (length == 0 || length > count - at)
            break;
        if (opcode == 21 && length == 4 && copy[at + 2] == 32 &&
            copy[at + 3] == (uint32_t)mistake->is_signed) // OpTypeInt
            int_type = copy[at + 1];
        if (opcode == 43 && length == 4 && copy[at + 1] == int_type && copy[at + 3] == mistake->right) { // OpConstant
            copy[at + 3] = mistake->wrong;
            changed = true;
        }
        at += length;
    }
    if (!changed) {
        free(copy);
        return NULL;
    }
    return copy;
}

// Both texts are as long.
static void replace_all(char *text, const char *right, const char *wrong)
{
    for (char *at = text; (at = strstr(at, right)) != NULL;)
        memcpy(at, wrong, strlen(wrong));
}

static char *wrong_text(const struct mistake *mistake, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (!copy)
        return NULL;
    memcpy(copy, text, size);
    replace_all(copy, mistake->right_text, mistake->wrong_text);
    if (mistake->is_signed) // codes that become floats: weights.h
        replace_all(copy, "high0 = u0 >> 16", "high0 = u0 >>  8");
    return copy;
}

const struct qm_kernel_variant *qm_kernel_stand_in(const struct qm_kernel_variant *variant)
{
    // Kept, for kernels point to their variant: a handful at most, while tests run.
    static struct {
        const struct qm_kernel_variant *of;
        struct qm_kernel_variant stand_in;
    } kept[32];
    static size_t count;
    const bool is_probe = strncmp(variant->kernel, "probe_", 6) == 0;
    const struct mistake *mistake = is_probe ? &of_probes : &of_decoders;
    if (!is_probe && (!strstr(variant->definitions, "-DQM_WEIGHT_W8") || strcmp(variant->kernel, "dequantize") == 0))
        return NULL;
    // Copying has no constant of its own to be wrong in.
    if (!strstr(variant->body, mistake->right_text))
        return NULL;
    for (size_t i = 0; i < count; ++i) {
        if (kept[i].of == variant)
            return &kept[i].stand_in;
    }
    if (count == sizeof(kept) / sizeof(kept[0]))
        return NULL;
    struct qm_kernel_variant stand_in = *variant;
    stand_in.opencl_source = wrong_text(mistake, variant->opencl_source);
    stand_in.body = wrong_text(mistake, variant->body);
    if (variant->spirv)
        stand_in.spirv = wrong_spirv(mistake, variant->spirv, variant->spirv_bytes);
    if (!stand_in.opencl_source || !stand_in.body || (variant->spirv && !stand_in.spirv)) {
        free((void *)stand_in.opencl_source);
        free((void *)stand_in.body);
        if (stand_in.spirv != variant->spirv)
            free((void *)stand_in.spirv);
        return NULL;
    }
    kept[count].of = variant;
    kept[count].stand_in = stand_in;
    return &kept[count++].stand_in;
}

const struct qm_kernel_variant *qm_kernel_planted(const struct qm_kernel_variant *variant)
{
    const char *name = getenv("QM_PLANT_WRONG_KERNEL");
    if (!name || !*name)
        return variant;
    const char *tile = strrchr(variant->name, '-');
    if (strlen(name) != (size_t)(tile - variant->name) || strncmp(name, variant->name, strlen(name)) != 0)
        return variant;
    const struct qm_kernel_variant *stand_in = qm_kernel_stand_in(variant);
    if (!stand_in)
        fprintf(stderr, "QM_PLANT_WRONG_KERNEL: %s has no wrong stand-in; it runs as it is\n", variant->name);
    return stand_in ? stand_in : variant;
}
