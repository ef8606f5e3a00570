#include "report/picture_internal.h"

#include "base/text.h"
#include "record/node.h"
#include "record/result.h"
#include "report/show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LABEL_PIXELS = 228,   // of a label; rows leave so much for it
    LABEL_END_BYTES = 112 // of what follows the name
};

bool qm_picture_read(const struct qm_node *holder, const char *key, struct qm_picture_value *out)
{
    *out = (struct qm_picture_value){0};
    if (!qm_node_is_mapping(holder) || !qm_node_double_at(holder, key, &out->value))
        return false;
    out->has_interval = qm_node_double_at(holder, "low", &out->low) && qm_node_double_at(holder, "high", &out->high);
    out->low = out->has_interval ? fmin(out->low, out->value) : out->value;
    out->high = out->has_interval ? fmax(out->high, out->value) : out->value;
    return true;
}

void qm_picture_value_text(const struct qm_picture_value *value, char text[QM_PICTURE_VALUE_BYTES])
{
    char a[QM_SHOW_NUMBER_BYTES], b[QM_SHOW_NUMBER_BYTES], c[QM_SHOW_NUMBER_BYTES];
    qm_show_double(value->value, a);
    qm_show_double(value->low, b);
    qm_show_double(value->high, c);
    if (value->has_interval)
        snprintf(text, QM_PICTURE_VALUE_BYTES, "%s [%s, %s]", a, b, c);
    else
        snprintf(text, QM_PICTURE_VALUE_BYTES, "%s", a);
}

// ---- Schemes --------------------------------------------------------------------------------------------------------

const char *qm_picture_scheme_name(const struct qm_node *scheme)
{
    return qm_node_text_at(scheme, "name", "?");
}

size_t qm_picture_scheme_index(const struct qm_picture_set *set, const char *name)
{
    for (size_t i = 0; i < set->scheme_count; i++) {
        if (strncmp(set->schemes[i], name, QM_PICTURE_NAME_BYTES - 1) == 0)
            return i;
    }
    return QM_PICTURE_SCHEMES_MAX - 1;
}

unsigned qm_picture_hue(size_t index)
{
    return (unsigned)(index % QM_SVG_HUES);
}

unsigned qm_picture_shape(size_t index)
{
    return (unsigned)((index + index / QM_SVG_HUES) % QM_SVG_SHAPES); // another one for the same hue
}

bool qm_picture_divergence(const struct qm_node *scheme, struct qm_picture_value *out)
{
    return qm_result_row_is_ok(scheme) && qm_picture_read(qm_node_get(scheme, "accuracy.kl_divergence"), "mean", out);
}

void qm_picture_accuracy_text(const struct qm_node *scheme, bool is_short, char text[QM_PICTURE_VALUE_BYTES])
{
    struct qm_picture_value kl;
    char value[QM_PICTURE_VALUE_BYTES], number[QM_SHOW_NUMBER_BYTES];
    double top1 = 0;
    if (!qm_picture_divergence(scheme, &kl)) {
        snprintf(text, QM_PICTURE_VALUE_BYTES, "accuracy: not measured");
        return;
    }
    qm_picture_value_text(&kl, value);
    qm_show_double(kl.value, number);
    int used = snprintf(text, QM_PICTURE_VALUE_BYTES, "KL %.80s", is_short ? number : value);
    if (qm_node_double_at(scheme, "accuracy.top1_agreement.value", &top1) && used > 0)
        snprintf(text + used, QM_PICTURE_VALUE_BYTES - (size_t)used, ", top-1 %.4g %%", top1 * 100);
}

// ---- Entries --------------------------------------------------------------------------------------------------------

static void copy_cut(char *to, size_t room, const char *from, double pixels)
{
    size_t length = strlen(from) < room - 5 ? strlen(from) : room - 5;
    while (length > 0 && ((unsigned char)from[length] & 0xc0) == 0x80) // not in the middle of a character
        length--;
    memcpy(to, from, length);
    to[length] = '\0';
    qm_text_clean(to);
    qm_svg_fit(to, 11.5, pixels);
}

static bool has_label(const struct qm_picture_set *set, const char *label)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->entries[i].label, label) == 0)
            return true;
    }
    return false;
}

// Name and API, the width of a widened model, and what else tells one from those before: its driver, else a number. What
// tells them apart is never cut, the name is.
static void make_label(const struct qm_picture_set *set, struct qm_picture_entry *entry)
{
    char name[96], full[96], driver[40], api[16], widened[24] = "";
    copy_cut(full, sizeof(full), qm_node_text_at(entry->result, "device.name", "?"), 1e9);
    copy_cut(driver, sizeof(driver), qm_node_text_at(entry->result, "device.driver", "?"), 70);
    copy_cut(api, sizeof(api), qm_node_text_at(entry->result, "device.api", "?"), 60);
    const char *simulated = strstr(full, "(simulated clock)") ? ", simulated" : ""; // never left out
    char *detail = strstr(full, " (");
    if (detail && detail != full)
        *detail = '\0';
    const char *widen = qm_node_text_at(entry->result, "model.widen", "1");
    if (strcmp(widen, "1") != 0)
        snprintf(widened, sizeof(widened), ", widen %.4s", widen);
    for (size_t n = 0; n == 0 || has_label(set, entry->label); n++) {
        char end[LABEL_END_BYTES];
        if (n < 2)
            snprintf(end, sizeof(end), ", %s%s%s%s%s", api, simulated, widened, n ? ", " : "", n ? driver : "");
        else
            snprintf(end, sizeof(end), ", %s%s%s #%zu", api, simulated, widened, n);
        snprintf(name, sizeof(name), "%s", full);
        qm_svg_fit(name, 11.5, fmax(LABEL_PIXELS - qm_svg_text_width(end, 11.5), 50));
        snprintf(entry->label, sizeof(entry->label), "%.*s%s", QM_PICTURE_LABEL_BYTES - LABEL_END_BYTES - 1, name, end);
    }
}

static bool same_text(const struct qm_node *a, const struct qm_node *b, const char *path)
{
    const char *x = qm_node_text_at(a, path, ""), *y = qm_node_text_at(b, path, "");
    return *x && !qm_result_is_word(x) && strcmp(x, y) == 0;
}

// Whether two results are of one piece of hardware. Software drivers are, on one processor.
static bool is_same_machine(const struct qm_node *a, const struct qm_node *b)
{
    bool is_cpu_a = strcmp(qm_node_text_at(a, "device.type", ""), "cpu") == 0;
    bool is_cpu_b = strcmp(qm_node_text_at(b, "device.type", ""), "cpu") == 0;
    if (!same_text(a, b, "host.processor") || !same_text(a, b, "host.cores") || is_cpu_a != is_cpu_b)
        return false;
    if (is_cpu_a)
        return true;
    return same_text(a, b, "device.uuid") || same_text(a, b, "device.pci") ||
           (same_text(a, b, "device.vendor_id") && same_text(a, b, "device.device_id") &&
            same_text(a, b, "device.name"));
}

// Names that have hues: the first of all rows that are ok.
static void add_schemes(struct qm_picture_set *set, const struct qm_picture_entry *entry)
{
    for (size_t i = 0; i < qm_node_count(entry->schemes) && set->scheme_count < QM_PICTURE_SCHEMES_MAX; i++) {
        const struct qm_node *scheme = qm_node_at(entry->schemes, i);
        const char *name = qm_picture_scheme_name(scheme);
        bool is_known = false;
        for (size_t k = 0; k < set->scheme_count; k++)
            is_known = is_known || strncmp(set->schemes[k], name, QM_PICTURE_NAME_BYTES - 1) == 0;
        if (qm_result_row_is_ok(scheme) && !is_known)
            snprintf(set->schemes[set->scheme_count++], QM_PICTURE_NAME_BYTES, "%s", name);
    }
}

static void add_point(struct qm_picture_set *set, const struct qm_node *gain)
{
    uint64_t batch = 0;
    bool is_decode = strcmp(qm_node_text_at(gain, "phase", ""), "decode") == 0;
    if (!qm_node_u64_at(gain, "batch", &batch) || batch > 1000000)
        return;
    for (size_t i = 0; i < set->point_count; i++) {
        if (set->points[i].is_decode == is_decode && set->points[i].batch == batch)
            return;
    }
    bool is_first = is_decode && batch == 1; // what a single user waits for
    if (set->point_count == QM_PICTURE_POINTS_MAX && !is_first)
        return;
    struct qm_picture_point point = {.is_decode = is_decode, .batch = (unsigned)batch};
    if (set->point_count < QM_PICTURE_POINTS_MAX)
        set->point_count++;
    if (is_first) {
        memmove(set->points + 1, set->points, (set->point_count - 1) * sizeof(point));
        set->points[0] = point;
    } else {
        set->points[set->point_count - 1] = point;
    }
}

static bool has_timed_kernel(const struct qm_node *scheme)
{
    const struct qm_node *rows = qm_node_child(scheme, "kernels");
    for (size_t i = 0; i < qm_node_count(rows); i++) {
        if (qm_node_child(qm_node_at(rows, i), "rate"))
            return true;
    }
    return false;
}

static void look_through(struct qm_picture_set *set, size_t index)
{
    const struct qm_picture_entry *entry = &set->entries[index];
    bool has_sustained = false, has_accuracy = false, has_kernels = false;
    for (size_t i = 0; i < qm_node_count(entry->schemes); i++) {
        const struct qm_node *scheme = qm_node_at(entry->schemes, i);
        const struct qm_node *gains = qm_node_child(scheme, "gain");
        struct qm_picture_value kl;
        if (!qm_result_row_is_ok(scheme))
            continue;
        has_sustained = has_sustained || qm_node_is_mapping(qm_node_child(scheme, "sustained"));
        has_accuracy = has_accuracy || qm_picture_divergence(scheme, &kl);
        has_kernels = has_kernels || has_timed_kernel(scheme);
        for (size_t k = 0; k < qm_node_count(gains); k++)
            add_point(set, qm_node_at(gains, k));
    }
    if (has_sustained)
        set->sustained[set->sustained_count++] = index;
    if (has_accuracy)
        set->accuracy[set->accuracy_count++] = index;
    bool is_there = false; // its machine
    for (size_t i = 0; i < set->roofline_count; i++)
        is_there = is_there || set->entries[set->roofline[i]].machine == entry->machine;
    if (has_kernels && !is_there)
        set->roofline[set->roofline_count++] = index;
}

enum qm_status qm_picture_set_create(const struct qm_picture_source *sources, size_t count, struct qm_picture_set **out)
{
    struct qm_picture_set *set = calloc(1, sizeof(*set));
    *out = set;
    if (!set)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for pictures");
    for (size_t i = 0; i < count; i++) {
        if (set->count == QM_PICTURE_SOURCES_MAX) {
            set->left_out = count - i;
            break;
        }
        struct qm_picture_entry *entry = &set->entries[set->count];
        *entry = (struct qm_picture_entry){.result = sources[i].result,
                                           .schemes = qm_node_child(sources[i].result, "schemes"),
                                           .path = sources[i].path,
                                           .is_changed = sources[i].is_changed,
                                           .machine = set->count};
        snprintf(entry->hash, sizeof(entry->hash), "%.12s", qm_node_text_at(entry->result, "hash", "undisclosed"));
        for (size_t k = set->count; k-- > 0;) {
            if (is_same_machine(set->entries[k].result, entry->result))
                entry->machine = set->entries[k].machine;
        }
        make_label(set, entry);
        set->count++;
        add_schemes(set, entry);
        look_through(set, set->count - 1);
    }
    return QM_OK;
}

void qm_picture_set_destroy(struct qm_picture_set **set)
{
    free(*set);
    *set = NULL;
}
