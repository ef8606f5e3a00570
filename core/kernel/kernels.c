#include "kernel/kernels.h"

#include "kernel_arguments.h"

#include <stdlib.h>
#include <string.h>

uint32_t qm_kernel_definition(const struct qm_kernel_variant *variant, const char *name, uint32_t otherwise)
{
    size_t length = strlen(name);
    for (const char *at = variant->definitions; (at = strstr(at, name)) != NULL; at += length) {
        if (at[length] == '=' && at >= variant->definitions + 2 && at[-1] == 'D')
            return (uint32_t)strtoul(at + length + 1, NULL, 10);
    }
    return otherwise;
}

static uint32_t divide_up(uint64_t value, uint64_t by)
{
    return (uint32_t)((value + by - 1) / by);
}

// Elementwise kernels: group (x, y) is number y * 32,768 + x, for no device must take more than 65,535 in a dimension.
static void spread_groups(uint64_t count, uint32_t groups[3])
{
    groups[0] = count < 32768 ? (uint32_t)count : 32768;
    groups[1] = divide_up(count, 32768);
}

// Where an invocation takes up to `most` tiles of columns one after another, it takes fewer while there are not 8 groups.
static void share_tiles(uint32_t most, uint32_t groups[3])
{
    uint32_t all = groups[1];
    while (most > 1 && (uint64_t)groups[0] * divide_up(all, most) < 8)
        most /= 2;
    groups[1] = divide_up(all, most);
}

void qm_kernel_groups(const struct qm_kernel_variant *variant, const uint32_t *parameters, uint32_t groups[3])
{
    const char *kernel = variant->kernel;
    uint32_t workgroup = variant->workgroup[0];
    groups[0] = groups[1] = groups[2] = 1;
    if (strcmp(kernel, "matmul") == 0 || strcmp(kernel, "matvec") == 0) {
        struct qm_matmul_parameters p;
        memcpy(&p, parameters, sizeof(p));
        uint32_t tile_rows = qm_kernel_definition(variant, "QM_TILE_ROWS", 0); // of a workgroup
        groups[0] = divide_up(p.rows, tile_rows > 0 ? tile_rows : qm_kernel_definition(variant, "QM_ROWS", 1));
        // Tiles of columns lie along x, or along y where x is the slices of one tile.
        uint32_t tiles = variant->workgroup[qm_kernel_definition(variant, "QM_SPLIT", 1) > 1 ? 1 : 0];
        groups[1] = divide_up(p.n, tile_rows > 0 ? qm_kernel_definition(variant, "QM_TILE_COLUMNS", 1)
                                                 : (uint64_t)qm_kernel_definition(variant, "QM_COLUMNS", 1) * tiles);
        share_tiles(qm_kernel_definition(variant, "QM_TILES", 1), groups);
    } else if (strcmp(kernel, "embedding") == 0 && qm_kernel_definition(variant, "QM_LANES", 0) == 0) {
        struct qm_embedding_parameters p;
        memcpy(&p, parameters, sizeof(p));
        groups[0] = divide_up(p.width / 2, workgroup);
        groups[1] = p.rows;
    } else if (strcmp(kernel, "dequantize") == 0) {
        struct qm_dequantize_parameters p;
        memcpy(&p, parameters, sizeof(p));
        groups[0] = divide_up(p.k / 8, workgroup);
        groups[1] = divide_up(p.n, qm_kernel_definition(variant, "QM_VW", 4));
    } else if (strcmp(kernel, "rope") == 0) {
        struct qm_rope_parameters p;
        memcpy(&p, parameters, sizeof(p));
        groups[0] = divide_up((uint64_t)p.heads * qm_kernel_definition(variant, "QM_HEAD", 64) / 2, workgroup);
        groups[1] = p.rows;
    } else if (strcmp(kernel, "kv_write") == 0) {
        struct qm_kv_write_parameters p;
        memcpy(&p, parameters, sizeof(p));
        groups[0] = divide_up((uint64_t)p.rows * ((uint64_t)p.q_heads + p.k_heads + p.v_heads), workgroup);
    } else if (strcmp(kernel, "attention") == 0) {
        struct qm_attention_parameters p;
        memcpy(&p, parameters, sizeof(p));
        uint64_t items = (uint64_t)p.rows * p.heads;
        uint32_t queries = qm_kernel_definition(variant, "QM_QUERIES", 1); // of a group: of one sequence and kv head
        if (queries > 1)
            items = (uint64_t)divide_up(p.rows, p.tokens_per_sequence) * p.kv_heads *
                    divide_up((uint64_t)p.tokens_per_sequence * (p.heads / p.kv_heads), queries);
        groups[0] = qm_kernel_definition(variant, "QM_SPLIT", 1) > 1 ? (uint32_t)items : divide_up(items, workgroup);
    } else if (strcmp(kernel, "swiglu") == 0 || strcmp(kernel, "residual") == 0 || strcmp(kernel, "bias") == 0 ||
               strcmp(kernel, "softcap") == 0) {
        spread_groups(divide_up(parameters[0], workgroup), groups);
    } else if (strcmp(kernel, "copy") == 0) {
        spread_groups(
            divide_up(parameters[0], (uint64_t)workgroup * qm_kernel_definition(variant, "QM_COPY_WORDS", 16)), groups);
    } else if (strcmp(kernel, "advance") != 0) { // rows, or a count, in the first parameter
        groups[0] =
            qm_kernel_definition(variant, "QM_LANES", 1) > 1 ? parameters[0] : divide_up(parameters[0], workgroup);
    }
}

void qm_kernel_hash(const struct qm_kernel_variant *variant, char text[QM_HASH_TEXT_BYTES])
{
    struct qm_hash hash;
    qm_hash_begin(&hash);
    qm_hash_add_text(&hash, variant->body);
    qm_hash_add_text(&hash, variant->definitions);
    qm_hash_end(&hash, text);
}
