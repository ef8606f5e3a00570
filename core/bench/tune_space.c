#include "bench/tune_space.h"

#include "kernel/kernels.h"

#include <stdio.h>
#include <string.h>

enum {
    PANEL = 16,            // outputs that lie side by side (quant/layout.h)
    REGISTERS_CPU = 1024,  // floats that an invocation of a processor may hold in sums: half of its first cache
    REGISTERS_GPU = 128,   // of a GPU, beside what it loads: more are spilled
    PRIVATE_WORDS = 16384, // staged rows of one invocation
    STAGED_ROWS = 4,       // that product_staged.h unpacks at a time, or
    STAGED_SIXES = 6,
    UNROLLED_MOST = 4, // queries times tokens of a trip of attention_tokens.h
};

static const struct {
    const char *kernel;
    struct qm_tune_knob knob;
} table[] = {
    {"matmul", {"QM_ROWS", {1, 2, 4, 6, 8, 16, 32}, 7}},
    {"matmul", {"QM_COLUMNS", {4, 8, 16}, 3}},
    {"matmul", {"QM_TILES", {1, 2, 4, 8, 16, 32}, 6}},
    {"matmul", {"QM_STAGE", {64, 128, 256, 512, 1024}, 5}},
    {"matmul", {"QM_STAGE_K", {8, 16, 32}, 3}},
    {"matmul", {"QM_TILE_ROWS", {16, 32, 64, 128}, 4}},
    {"matmul", {"QM_TILE_COLUMNS", {32, 64, 128}, 3}},
    {"matmul", {"QM_WORKGROUP_X", {1, 4, 8, 16, 32, 64}, 6}},
    {"matvec", {"QM_ROWS", {1, 2, 4, 8}, 4}},
    {"matvec", {"QM_COLUMNS", {4, 8, 16}, 3}},
    {"matvec", {"QM_TILE_COLUMNS", {16, 32, 64}, 3}},
    {"matvec", {"QM_WORKGROUP_X", {1, 4, 8, 16, 32, 64, 128}, 7}},
    {"matvec", {"QM_WORKGROUP_Y", {1, 2, 4, 8}, 4}},
    {"attention", {"QM_QUERIES", {1, 2, 4, 8, 16}, 5}},
    {"attention", {"QM_WORKGROUP_X", {1, 4, 8, 16, 32, 64}, 6}},
    {"rmsnorm", {"QM_WORKGROUP_X", {1, 4, 8, 16, 32, 64}, 6}},
    {"activations", {"QM_WORKGROUP_X", {1, 4, 8, 16, 32, 64}, 6}},
    {"dequantize", {"QM_WORKGROUP_X", {1, 8, 16, 32, 64, 128}, 6}},
    {"swiglu", {"QM_WORKGROUP_X", {1, 8, 16, 32, 64, 128}, 6}},
    {"residual", {"QM_WORKGROUP_X", {1, 8, 16, 32, 64, 128}, 6}},
    {"embedding", {"QM_WORKGROUP_X", {1, 8, 16, 32, 64, 128}, 6}},
};

// In a local-memory product the workgroup is what the tile needs, no choice of its own.
static bool follows_from_tile(const struct qm_kernel_variant *right)
{
    return qm_kernel_definition(right, "QM_TILE_ROWS", 0) > 0;
}

void qm_tune_space_of(const struct qm_kernel_variant *right, struct qm_tune_space *out)
{
    memset(out, 0, sizeof(*out));
    out->right = right;
    // Slices of one output share a workgroup: its shape and the number of slices are one thing, and sums depend on it.
    bool is_split = qm_kernel_definition(right, "QM_SPLIT", 1) > 1 || qm_kernel_definition(right, "QM_LANES", 1) > 1;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]) && out->knob_count < QM_TUNE_KNOBS_MAX; ++i) {
        const struct qm_tune_knob *knob = &table[i].knob;
        bool is_group = strncmp(knob->name, "QM_WORKGROUP", 12) == 0;
        if (strcmp(table[i].kernel, right->kernel) != 0 || qm_kernel_definition(right, knob->name, 0) == 0)
            continue;
        if (is_group && (is_split || follows_from_tile(right)))
            continue;
        if (strcmp(right->kernel, "matvec") == 0 && follows_from_tile(right))
            continue; // its slices follow from the tile, and with them the order of sums
        out->knobs[out->knob_count++] = *knob;
    }
}

void qm_tune_fixed(const struct qm_tune_space *space, struct qm_tune_point *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < space->knob_count; ++i)
        out->values[i] = qm_kernel_definition(space->right, space->knobs[i].name, 0);
}

static uint32_t value_of(const struct qm_tune_space *space, const struct qm_tune_point *point, const char *name,
                         uint32_t otherwise)
{
    for (size_t i = 0; i < space->knob_count; ++i)
        if (strcmp(space->knobs[i].name, name) == 0)
            return point->values[i];
    return qm_kernel_definition(space->right, name, otherwise);
}

// Invocations of a workgroup along x.
static uint32_t group_of(const struct qm_tune_space *space, const struct qm_tune_point *point)
{
    if (!follows_from_tile(space->right))
        return value_of(space, point, "QM_WORKGROUP_X", 1);
    return value_of(space, point, "QM_TILE_ROWS", 1) / value_of(space, point, "QM_ROWS", 1) *
           (value_of(space, point, "QM_TILE_COLUMNS", 1) / value_of(space, point, "QM_COLUMNS", 1));
}

static void add_setting(char settings[QM_SETTINGS_BYTES], const char *name, uint32_t value)
{
    size_t length = strlen(settings);
    snprintf(settings + length, QM_SETTINGS_BYTES - length, "%s%s=%u", length ? " " : "", name, value);
}

void qm_tune_settings(const struct qm_tune_space *space, const struct qm_tune_point *point,
                      char settings[QM_SETTINGS_BYTES])
{
    struct qm_tune_point fixed;
    qm_tune_fixed(space, &fixed);
    settings[0] = '\0';
    for (size_t i = 0; i < space->knob_count; ++i)
        if (point->values[i] != fixed.values[i])
            add_setting(settings, space->knobs[i].name, point->values[i]);
    if (follows_from_tile(space->right) && group_of(space, point) != space->right->workgroup[0])
        add_setting(settings, "QM_WORKGROUP_X", group_of(space, point));
}

static bool refuse(char reason[160], const char *what, uint32_t value, uint32_t most)
{
    snprintf(reason, 160, "%s: %u, and %u are possible", what, value, most);
    return false;
}

bool qm_tune_possible(const struct qm_tune_space *space, const struct qm_tune_point *point,
                      const struct qm_device_info *info, char reason[160])
{
    uint32_t rows = value_of(space, point, "QM_ROWS", 1), columns = value_of(space, point, "QM_COLUMNS", 1);
    uint32_t tiles = value_of(space, point, "QM_TILES", 1), width = value_of(space, point, "QM_VW", 1);
    uint32_t tile_rows = value_of(space, point, "QM_TILE_ROWS", rows);
    uint32_t tile_columns = value_of(space, point, "QM_TILE_COLUMNS", columns);
    uint32_t group = group_of(space, point) * value_of(space, point, "QM_WORKGROUP_Y", 1);
    bool is_cpu = info->type == QM_DEVICE_CPU;
    bool is_product = strncmp(space->right->kernel, "mat", 3) == 0;
    reason[0] = '\0';
    if (group > info->max_workgroup_invocations)
        return refuse(reason, "invocations of a workgroup", group, info->max_workgroup_invocations);
    uint32_t unrolled = value_of(space, point, "QM_QUERIES", 1) * value_of(space, point, "QM_TOKENS_EACH", 0);
    if (unrolled > UNROLLED_MOST) // lavapipe compiles eight for minutes
        return refuse(reason, "queries and tokens of a trip", unrolled, UNROLLED_MOST);
    if (!is_product)
        return true;
    if (columns % width != 0 || PANEL % columns != 0)
        return refuse(reason, "columns must be whole vectors and divide a panel", columns, PANEL);
    if (value_of(space, point, "QM_STAGE", 0) > 0 && rows % STAGED_ROWS != 0 && rows % STAGED_SIXES != 0)
        return refuse(reason, "staged rows come in fours or sixes", rows, STAGED_ROWS);
    uint32_t most = is_cpu ? REGISTERS_CPU : REGISTERS_GPU;
    if (tiles == 1 && rows * columns > (is_cpu ? 256u : most))
        return refuse(reason, "sums of an invocation", rows * columns, is_cpu ? 256u : most);
    if (rows * columns * tiles > 4 * most)
        return refuse(reason, "sums of an invocation", rows * columns * tiles, 4 * most);
    if (rows * value_of(space, point, "QM_STAGE", 0) > PRIVATE_WORDS)
        return refuse(reason, "staged values of an invocation", rows * value_of(space, point, "QM_STAGE", 0),
                      PRIVATE_WORDS);
    if (!follows_from_tile(space->right))
        return true;
    if (tile_rows % rows != 0 || tile_columns % columns != 0)
        return refuse(reason, "the tile must be whole invocations: rows", tile_rows, rows);
    uint32_t local = 2 * value_of(space, point, "QM_STAGE_K", 32) * (tile_rows + tile_columns) * 4;
    if (local > info->max_local_bytes)
        return refuse(reason, "bytes of local memory", local, info->max_local_bytes);
    if (value_of(space, point, "QM_STAGE_K", 32) / 4 * tile_rows % group_of(space, point) != 0 &&
        group_of(space, point) > value_of(space, point, "QM_STAGE_K", 32) / 4 * tile_rows)
        return refuse(reason, "invocations that fetch a stage", group_of(space, point), tile_rows);
    return true;
}
