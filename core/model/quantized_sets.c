// Finding and checking the tensors of quantized weights. Their values: quantized_values.c.
#include "model/quantized_sets.h"
#include "model/weights.h"
#include "sys/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_BYTES = QM_TENSOR_NAME_BYTES_MAX + 32
};

// The parts of a set by the endings of their names; codes first.
struct endings {
    const char *codes, *scales, *other_scales, *zeros, *group_of, *shape;
};

static const struct endings endings_of[] = {
    [QM_PACKING_DOWN] = {".qweight", ".scales", NULL, ".qzeros", ".g_idx", NULL},
    [QM_PACKING_AWQ] = {".qweight", ".scales", NULL, ".qzeros", NULL, NULL},
    [QM_PACKING_AWQ_ROWS] = {".qweight", ".scales", NULL, ".qzeros", NULL, NULL},
    [QM_PACKING_ACROSS] = {".weight_packed", ".weight_scale", NULL, ".weight_zero_point", ".weight_g_idx",
                           ".weight_shape"},
    [QM_PACKING_INT8] = {".weight", ".weight_scale", NULL, ".weight_zero_point", ".weight_g_idx", NULL},
    [QM_PACKING_E4M3] = {".weight", ".weight_scale", ".weight_scale_inv", ".weight_zero_point", NULL, NULL},
};

// Of the activations, which are no weights.
static const char *const passed_over[] = {".input_zero_point"};

struct grouping {
    struct qm_weights *weights;
    const struct qm_quantization *how;
    const struct endings *endings;
    bool *is_taken; // of each entry
};

static bool ends_with(const char *text, const char *ending)
{
    size_t length = strlen(text), tail = strlen(ending);
    return length > tail && strcmp(text + length - tail, ending) == 0;
}

static bool is_codes(const struct grouping *grouping, const struct qm_tensor *tensor)
{
    enum qm_quantization_packing packing = grouping->how->packing;
    if (!ends_with(tensor->name, grouping->endings->codes))
        return false;
    return packing == QM_PACKING_INT8   ? tensor->dtype == QM_DTYPE_I8
           : packing == QM_PACKING_E4M3 ? tensor->dtype == QM_DTYPE_F8_E4M3
                                        : true;
}

static enum qm_status refuse_shape(const struct qm_quantized_part *part, const char *wanted)
{
    char shape[QM_SHAPE_TEXT_BYTES];
    qm_shape_text(part->tensor->rank, part->tensor->shape, shape);
    return QM_FAIL(QM_INVALID, "%s: tensor '%s': %s of shape %s; 'quantization_config' makes it %s", part->shard->file,
                   part->tensor->name, qm_dtype_name(part->tensor->dtype), shape, wanted);
}

static enum qm_status require(const struct qm_quantized_part *part, enum qm_dtype dtype, uint64_t rows,
                              uint64_t columns)
{
    const struct qm_tensor *tensor = part->tensor;
    char wanted[64];
    if (tensor->dtype == dtype && tensor->rank == 2 && tensor->shape[0] == rows && tensor->shape[1] == columns)
        return QM_OK;
    snprintf(wanted, sizeof(wanted), "%s [%" PRIu64 ", %" PRIu64 "]", qm_dtype_name(dtype), rows, columns);
    return refuse_shape(part, wanted);
}

static enum qm_status require_vector(const struct qm_quantized_part *part, enum qm_dtype dtype, uint64_t count)
{
    const struct qm_tensor *tensor = part->tensor;
    char wanted[64];
    if (tensor->dtype == dtype && tensor->rank == 1 && tensor->shape[0] == count)
        return QM_OK;
    snprintf(wanted, sizeof(wanted), "%s [%" PRIu64 "]", qm_dtype_name(dtype), count);
    return refuse_shape(part, wanted);
}

// The part of the name's module with an ending; marks it as read.
static struct qm_quantized_part take(const struct grouping *grouping, const char *module, const char *ending)
{
    char name[NAME_BYTES];
    if (!ending)
        return (struct qm_quantized_part){0};
    snprintf(name, sizeof(name), "%s%s", module, ending);
    const struct qm_weights_entry *entry = qm_weights_find(grouping->weights, name);
    if (!entry)
        return (struct qm_quantized_part){0};
    grouping->is_taken[entry - grouping->weights->entries] = true;
    return (struct qm_quantized_part){entry->tensor, entry->shard};
}

static enum qm_status refuse_missing(const struct qm_quantized_part *codes, const char *module, const char *ending)
{
    return QM_FAIL(QM_INVALID, "%s: tensor '%s': there is no '%s%s', which belongs to it; get the files again",
                   codes->shard->file, codes->tensor->name, module, ending);
}

// Rows and columns from the codes' shape, in 64 bits: nothing of it has been believed yet.
static enum qm_status read_sizes(const struct qm_quantization *how, const char *module,
                                 const struct qm_quantized_part *shape, struct qm_quantized *set)
{
    const struct qm_tensor *codes = set->codes.tensor;
    uint64_t rows = codes->shape[0], columns = codes->shape[1], per_word = 32 / how->bits;
    if (codes->rank != 2 || codes->shape[0] > INT32_MAX || codes->shape[1] > INT32_MAX)
        return refuse_shape(&set->codes, "a matrix");
    switch (how->packing) {
    case QM_PACKING_DOWN:
        columns = rows * 32 / how->bits;
        rows = codes->shape[1];
        if (codes->shape[0] * 32 % how->bits != 0 || rows * how->bits % 32 != 0)
            return refuse_shape(&set->codes, "multiples of 32 bits of inputs and of outputs");
        break;
    case QM_PACKING_AWQ:
        rows = columns * per_word;
        columns = codes->shape[0];
        break;
    case QM_PACKING_AWQ_ROWS:
        columns *= per_word;
        break;
    case QM_PACKING_ACROSS: {
        uint64_t told[2];
        if (!shape->tensor)
            return refuse_missing(&set->codes, module, ".weight_shape");
        if (shape->tensor->dtype != QM_DTYPE_I32)
            QM_TRY(require_vector(shape, QM_DTYPE_I64, 2));
        else
            QM_TRY(require_vector(shape, QM_DTYPE_I32, 2));
        for (int i = 0; i < 2; i++) { // a negative one becomes too large
            int32_t narrow;
            int64_t wide;
            if (shape->tensor->dtype == QM_DTYPE_I32)
                memcpy(&narrow, (const char *)shape->tensor->data + i * 4, 4), wide = narrow;
            else
                memcpy(&wide, (const char *)shape->tensor->data + i * 8, 8);
            told[i] = (uint64_t)wide;
        }
        if (told[0] != rows || told[1] == 0 || told[1] > INT32_MAX || (told[1] + per_word - 1) / per_word != columns)
            return QM_FAIL(QM_INVALID,
                           "%s: tensor '%s': says %" PRIu64 " rows of %" PRIu64
                           " values, and '%s' has room for %" PRIu64 " of %" PRIu64,
                           shape->shard->file, shape->tensor->name, told[0], told[1], codes->name, rows,
                           columns * per_word);
        columns = told[1];
        break;
    }
    default:
        break;
    }
    if (rows > INT32_MAX || columns > INT32_MAX || rows * columns > SIZE_MAX / 8)
        return refuse_shape(&set->codes, "of fewer values");
    set->rows = (uint32_t)rows;
    set->columns = (uint32_t)columns;
    return QM_OK;
}

// Groups, from the configuration and the width of a row.
static enum qm_status read_groups(const struct qm_quantization *how, struct qm_quantized *set)
{
    bool is_exact =
        how->method == QM_QUANTIZATION_AWQ || (how->method == QM_QUANTIZATION_COMPRESSED && how->row_block == 1);
    set->group_size = how->group_size > 0 ? how->group_size : set->columns;
    if (how->row_block == 1 && how->group_size > set->columns) // of the others the last group may be shorter
        set->group_size = set->columns;
    set->groups = (set->columns + set->group_size - 1) / set->group_size;
    set->row_block = how->row_block;
    if (is_exact && set->columns % set->group_size != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: tensor '%s': rows of %" PRIu32 " values, no multiple of the group size %" PRIu32,
                       set->codes.shard->file, set->codes.tensor->name, set->columns, set->group_size);
    return QM_OK;
}

static enum qm_status check_scale_type(const struct qm_quantized_part *scales)
{
    enum qm_dtype dtype = scales->tensor->dtype;
    return dtype == QM_DTYPE_F16 || dtype == QM_DTYPE_BF16 || dtype == QM_DTYPE_F32
               ? QM_OK
               : refuse_shape(scales, "F16, BF16 or F32");
}

// Words of zeros in a row of AutoAWQ's gemv; of scales there are eight times as many.
static uint32_t zero_words(const struct qm_quantized *set)
{
    uint32_t words = (set->groups + 7) / 8, multiple = set->group_size >= 128 ? 1 : set->group_size >= 64 ? 2 : 4;
    return (words + multiple - 1) / multiple * multiple;
}

static enum qm_status check_scales(const struct qm_quantization *how, struct qm_quantized *set)
{
    const struct qm_tensor *scales = set->scales.tensor;
    uint64_t blocks = (set->rows + set->row_block - 1) / set->row_block, count = 1;
    QM_TRY(check_scale_type(&set->scales));
    if (how->packing == QM_PACKING_DOWN || how->packing == QM_PACKING_AWQ) {
        set->scale_row = 1;
        set->scale_group = set->rows;
        return require(&set->scales, scales->dtype, set->groups, set->rows);
    }
    if (how->packing == QM_PACKING_AWQ_ROWS) {
        set->scale_row = (size_t)zero_words(set) * 8;
        set->scale_group = 1;
        return require(&set->scales, scales->dtype, set->rows, set->scale_row);
    }
    for (uint32_t i = 0; i < scales->rank; i++)
        count *= scales->shape[i];
    if (how->is_per_tensor && count == 1) // [], [1] or [1, 1]
        return QM_OK;
    set->scale_row = set->groups;
    set->scale_group = 1;
    if (!how->is_per_tensor && set->groups == 1 && set->row_block == 1 && scales->rank == 1 && count == set->rows)
        return QM_OK; // [N] in place of [N, 1]
    return require(&set->scales, scales->dtype, how->is_per_tensor ? 1 : blocks, how->is_per_tensor ? 1 : set->groups);
}

static enum qm_status check_zeros(const struct qm_quantization *how, const char *module, const char *ending,
                                  const struct qm_quantized *set)
{
    const struct qm_tensor *zeros = set->zeros.tensor, *scales = set->scales.tensor;
    if (how->packing == QM_PACKING_DOWN || how->packing == QM_PACKING_AWQ)
        return zeros ? require(&set->zeros, QM_DTYPE_I32, set->groups, (uint64_t)set->rows * how->bits / 32)
                     : refuse_missing(&set->codes, module, ending);
    if (how->packing == QM_PACKING_AWQ_ROWS)
        return zeros ? require(&set->zeros, QM_DTYPE_I32, set->rows, zero_words(set))
                     : refuse_missing(&set->codes, module, ending);
    if (!zeros)
        return how->is_symmetric ? QM_OK : refuse_missing(&set->codes, module, ending);
    if (zeros->dtype == QM_DTYPE_I32 && how->packing == QM_PACKING_ACROSS && !how->is_per_tensor)
        return require(&set->zeros, QM_DTYPE_I32, (set->rows + 32 / how->bits - 1) / (32 / how->bits), set->groups);
    if (zeros->dtype == QM_DTYPE_I8 && zeros->rank == scales->rank &&
        memcmp(zeros->shape, scales->shape, zeros->rank * sizeof(zeros->shape[0])) == 0)
        return QM_OK;
    return refuse_shape(&set->zeros, "I8 of the scales' shape");
}

static enum qm_status read_set(const struct grouping *grouping, const struct qm_weights_entry *entry,
                               struct qm_quantized *set, char name[NAME_BYTES])
{
    const struct qm_quantization *how = grouping->how;
    const struct endings *endings = grouping->endings;
    snprintf(name, NAME_BYTES, "%.*s", (int)(strlen(entry->tensor->name) - strlen(endings->codes)),
             entry->tensor->name);
    *set = (struct qm_quantized){.packing = how->packing,
                                 .bits = how->bits,
                                 .is_zero_less_one = how->is_zero_less_one,
                                 .is_rounded_to_type = how->is_rounded_to_type,
                                 .activations = how->activations};
    set->codes = take(grouping, name, endings->codes);
    set->scales = take(grouping, name, endings->scales);
    if (!set->scales.tensor)
        set->scales = take(grouping, name, endings->other_scales);
    set->zeros = take(grouping, name, endings->zeros);
    set->group_of = take(grouping, name, endings->group_of);
    set->input_scale = take(grouping, name, ".input_scale");
    const struct qm_quantized_part shape = take(grouping, name, endings->shape);
    for (size_t i = 0; i < sizeof(passed_over) / sizeof(passed_over[0]); i++)
        (void)take(grouping, name, passed_over[i]);
    enum qm_dtype dtype = how->packing == QM_PACKING_INT8   ? QM_DTYPE_I8
                          : how->packing == QM_PACKING_E4M3 ? QM_DTYPE_F8_E4M3
                                                            : QM_DTYPE_I32;
    if (set->codes.tensor->dtype != dtype)
        return refuse_shape(&set->codes, qm_dtype_name(dtype));
    if (!set->scales.tensor)
        return refuse_missing(&set->codes, name, endings->scales);
    QM_TRY(read_sizes(how, name, &shape, set));
    QM_TRY(read_groups(how, set));
    QM_TRY(check_scales(how, set));
    QM_TRY(check_zeros(how, name, endings->zeros, set));
    if (set->group_of.tensor)
        QM_TRY(require_vector(&set->group_of, QM_DTYPE_I32, set->columns));
    else if (how->is_act_order)
        return refuse_missing(&set->codes, name, endings->group_of);
    strcat(name, ".weight");
    return QM_OK;
}

// A part whose codes are not there, or what only another method has: found by its ending.
static enum qm_status check_left_over(const struct grouping *grouping)
{
    static const char *const parts[] = {".qweight",           ".qzeros",          ".scales",       ".g_idx",
                                        ".weight_packed",     ".weight_scale",    ".weight_shape", ".weight_g_idx",
                                        ".weight_zero_point", ".weight_scale_inv"};
    const struct qm_weights *weights = grouping->weights;
    for (size_t i = 0; i < weights->count; i++)
        for (size_t p = 0; !grouping->is_taken[i] && p < sizeof(parts) / sizeof(parts[0]); p++)
            if (ends_with(weights->entries[i].tensor->name, parts[p]))
                return QM_FAIL(QM_INVALID,
                               "%s: tensor '%s': belongs to no '%s' of %s; get config.json and files together",
                               weights->entries[i].shard->file, weights->entries[i].tensor->name,
                               grouping->endings->codes + 1, qm_quantization_method_name(grouping->how->method));
    return QM_OK;
}

// The entries that are left, and one for each set.
static enum qm_status replace_entries(const struct grouping *grouping)
{
    struct qm_weights *weights = grouping->weights;
    struct qm_quantized_sets *sets = weights->quantized;
    size_t kept = 0;
    for (size_t i = 0; i < weights->count; i++)
        if (!grouping->is_taken[i])
            weights->entries[kept++] = weights->entries[i];
    for (size_t i = 0; i < sets->count; i++) // there is room: a set has taken one at least
        weights->entries[kept++] = (struct qm_weights_entry){
            .tensor = &sets->tensors[i], .shard = sets->sets[i].codes.shard, .quantized = &sets->sets[i]};
    weights->count = kept;
    const struct qm_weights_entry *twice = qm_weights_sort(weights->entries, weights->count);
    if (twice)
        return QM_FAIL(QM_INVALID, "%s: tensor '%s': is there as floats and quantized; one of them can be a weight",
                       twice->shard->file, twice->tensor->name);
    return QM_OK;
}

static enum qm_status read_sets(const struct grouping *grouping)
{
    struct qm_weights *weights = grouping->weights;
    struct qm_quantized_sets *sets = weights->quantized;
    for (size_t i = 0; i < weights->count; i++) {
        const struct qm_weights_entry *entry = &weights->entries[i];
        if (!is_codes(grouping, entry->tensor))
            continue;
        struct qm_quantized *set = &sets->sets[sets->count];
        char *name = sets->names + sets->count * NAME_BYTES;
        QM_TRY(read_set(grouping, entry, set, name));
        sets->tensors[sets->count++] = (struct qm_tensor){.name = name,
                                                          .dtype = entry->tensor->dtype,
                                                          .rank = 2,
                                                          .shape = {set->rows, set->columns},
                                                          .bytes = entry->tensor->bytes,
                                                          .data = entry->tensor->data};
        sets->values += (uint64_t)set->rows * set->columns;
    }
    if (sets->count == 0)
        return QM_FAIL(QM_INVALID, "%s: no tensor '*%s' although config.json says %s; get both together", weights->file,
                       grouping->endings->codes, qm_quantization_method_name(grouping->how->method));
    QM_TRY(check_left_over(grouping));
    return replace_entries(grouping);
}

enum qm_status qm_quantized_group(struct qm_weights *weights, const struct qm_quantization *quantization)
{
    struct grouping grouping = {.weights = weights, .how = quantization, .endings = &endings_of[quantization->packing]};
    size_t count = 0;
    for (size_t i = 0; i < weights->count; i++)
        count += is_codes(&grouping, weights->entries[i].tensor) ? 1 : 0;
    struct qm_quantized_sets *sets = weights->quantized = calloc(1, sizeof(*sets));
    grouping.is_taken = calloc(weights->count + 1, sizeof(*grouping.is_taken));
    if (sets) {
        sets->sets = calloc(count + 1, sizeof(*sets->sets));
        sets->tensors = calloc(count + 1, sizeof(*sets->tensors));
        sets->names = calloc(count + 1, NAME_BYTES);
    }
    enum qm_status status =
        sets && grouping.is_taken && sets->sets && sets->tensors && sets->names
            ? read_sets(&grouping)
            : QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %zu quantized weights", weights->file, count);
    free(grouping.is_taken);
    return status;
}

void qm_quantized_sets_free(struct qm_quantized_sets *sets)
{
    free(sets->sets);
    free(sets->tensors);
    free(sets->names);
    free(sets);
}
