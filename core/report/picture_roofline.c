// Kernels under the ceilings of their device: above, operations per byte against the rate, as a roofline has it; below, the
// share of its ceiling that each kernel reaches, with the APIs of one device side by side.
#include "report/picture_internal.h"

#include "record/node.h"
#include "record/result.h"
#include "report/show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    APIS_MAX = 4,       // results of one machine that are drawn
    KERNELS_MAX = 5000, // rows of a result that are looked at
    MARKS_MAX = 240,    // of all results
    ROWS_MAX = 40,      // kernels in the lower part
    ROOFS_MAX = 24,
};

struct kernel {
    const struct qm_node *row;
    const char *name, *shape;
    double rate, time_us, intensity, share; // share below 0: none
    bool is_bytes;                          // rate in GB/s
    size_t api;
};

struct roof {
    char label[64];
    double rate; // GOP/s, or GB/s
    bool is_bandwidth;
    size_t api;
    double y; // of its label
};

struct device {
    size_t entries[APIS_MAX], count, more_apis;
    struct kernel *kernels; // owned: by name, shape and API, each once
    size_t kernel_count, more;
    struct roof roofs[ROOFS_MAX];
    size_t roof_count;
    const struct qm_picture_set *set;
};

// ---- What there is --------------------------------------------------------------------------------------------------

static int by_name(const void *a, const void *b)
{
    const struct kernel *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (order == 0)
        order = strcmp(x->shape, y->shape);
    return order != 0 ? order : (x->api > y->api) - (x->api < y->api);
}

static bool read_kernel(const struct qm_node *row, size_t api, struct kernel *out)
{
    *out = (struct kernel){.row = row,
                           .name = qm_node_text_at(row, "name", "?"),
                           .shape = qm_node_text_at(row, "shape", "?"),
                           .share = -1,
                           .api = api};
    if (!qm_node_double_at(row, "rate", &out->rate) || !(out->rate > 0) ||
        !qm_node_double_at(row, "time_us", &out->time_us) || !(out->time_us > 0))
        return false;
    out->is_bytes = strcmp(qm_node_text_at(row, "unit", ""), "GB/s") == 0;
    if (!qm_node_double_at(row, "intensity", &out->intensity))
        out->intensity = 0;
    if (!qm_node_double_at(row, "share", &out->share))
        out->share = -1;
    return true;
}

// Schemes share kernels: each name and shape counts once, as the first scheme has it.
static void add_kernels(struct device *device, size_t api)
{
    const struct qm_picture_entry *entry = &device->set->entries[device->entries[api]];
    size_t taken = 0;
    for (size_t s = 0; s < qm_node_count(entry->schemes); s++) {
        const struct qm_node *scheme = qm_node_at(entry->schemes, s), *rows = qm_node_child(scheme, "kernels");
        for (size_t i = 0; qm_result_row_is_ok(scheme) && i < qm_node_count(rows); i++) {
            if (taken == KERNELS_MAX)
                device->more++;
            else if (read_kernel(qm_node_at(rows, i), api, &device->kernels[device->kernel_count]))
                taken++, device->kernel_count++;
        }
    }
}

static void keep_once(struct device *device)
{
    size_t kept = 0;
    qsort(device->kernels, device->kernel_count, sizeof(*device->kernels), by_name);
    for (size_t i = 0; i < device->kernel_count; i++) {
        if (kept == 0 || by_name(&device->kernels[kept - 1], &device->kernels[i]) != 0)
            device->kernels[kept++] = device->kernels[i];
    }
    device->kernel_count = kept;
}

static void add_roof(struct device *device, size_t api, const char *name, double rate, const char *unit,
                     bool is_bandwidth)
{
    char number[QM_SHOW_NUMBER_BYTES];
    if (device->roof_count == ROOFS_MAX || !(rate > 0))
        return;
    struct roof *roof = &device->roofs[device->roof_count++];
    *roof = (struct roof){.rate = rate, .is_bandwidth = is_bandwidth, .api = api};
    qm_show_double(rate, number);
    snprintf(roof->label, sizeof(roof->label), "%.16s %.20s %.12s", name, number, unit);
}

static void add_roofs(struct device *device, size_t api)
{
    static const char *const kinds[] = {"fp32", "fp16", "int32", "dot8", "matrix"};
    const struct qm_node *result = device->set->entries[device->entries[api]].result;
    const struct qm_node *rows = qm_node_get(result, "ceilings.kinds"),
                         *sizes = qm_node_get(result, "ceilings.bandwidth");
    double best = 0, largest = 0, bytes_most = 0;
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        for (size_t i = 0; i < qm_node_count(rows); i++) {
            const struct qm_node *row = qm_node_at(rows, i);
            double rate = 0;
            if (strcmp(qm_node_text_at(row, "kind", ""), kinds[k]) == 0 && qm_node_double_at(row, "rate", &rate))
                add_roof(device, api, kinds[k], rate, qm_node_text_at(row, "unit", "GOP/s"), false);
        }
    }
    for (size_t i = 0; i < qm_node_count(sizes); i++) {
        double rate = 0, bytes = 0;
        if (!qm_node_double_at(qm_node_at(sizes, i), "read", &rate) ||
            !qm_node_double_at(qm_node_at(sizes, i), "bytes", &bytes))
            continue;
        best = fmax(best, rate);
        largest = bytes > bytes_most ? rate : largest;
        bytes_most = fmax(bytes_most, bytes);
    }
    add_roof(device, api, "memory", largest, "GB/s", true);
    if (best > largest * 1.25)
        add_roof(device, api, "cache", best, "GB/s", true);
}

static bool collect(struct device *device, const struct qm_picture_set *set, size_t first)
{
    device->set = set;
    for (size_t e = first; e < set->count; e++) {
        if (set->entries[e].machine != set->entries[first].machine)
            continue;
        if (device->count < APIS_MAX)
            device->entries[device->count++] = e;
        else
            device->more_apis++;
    }
    device->kernels = calloc((size_t)APIS_MAX * KERNELS_MAX + 1, sizeof(*device->kernels));
    if (!device->kernels)
        return false;
    for (size_t api = 0; api < device->count; api++) {
        add_kernels(device, api);
        add_roofs(device, api);
    }
    keep_once(device);
    return true;
}

static unsigned hue_of(const struct device *device, size_t api)
{
    return qm_picture_hue(device->entries[api]);
}

// ---- Above: the roofline --------------------------------------------------------------------------------------------

// Operations a second, in 1e9; 0 where the kernel only moves data.
static double operations_of(const struct kernel *kernel)
{
    return kernel->is_bytes ? kernel->rate * kernel->intensity : kernel->rate;
}

static void kernel_title(const struct device *device, const struct kernel *kernel, char text[512])
{
    char rate[QM_SHOW_NUMBER_BYTES], share[64] = "no ceiling was measured for it";
    qm_show_double(kernel->rate, rate);
    if (kernel->share >= 0)
        snprintf(share, sizeof(share), "%.3g %% of its ceiling, %.16s", kernel->share * 100,
                 qm_node_text_at(kernel->row, "ceiling", "?"));
    snprintf(text, 512, "%.48s, %.64s, %s: %s %s in %.4g us; %s", kernel->name, kernel->shape,
             device->set->entries[device->entries[kernel->api]].label, rate, kernel->is_bytes ? "GB/s" : "GOP/s",
             kernel->time_us, share);
}

static void draw_roof(const struct roof *roof, struct qm_svg *svg, const struct qm_axis *x, const struct qm_axis *y,
                      unsigned hue, double best)
{
    char classes[32];
    snprintf(classes, sizeof(classes), roof->is_bandwidth ? "front s%u" : "thin dash s%u", hue);
    if (!roof->is_bandwidth) {
        double at = qm_axis_at(y, roof->rate);
        qm_svg_line(svg, classes, x->from, at, x->to, at);
        return;
    }
    // rate = bandwidth * intensity, up to the best arithmetic
    double most = best > 0 ? fmin(best, y->high) : y->high;
    double low = fmax(x->low, y->low / roof->rate), high = fmin(x->high, most / roof->rate);
    if (low < high)
        qm_svg_line(svg, classes, qm_axis_at(x, low), qm_axis_at(y, low * roof->rate), qm_axis_at(x, high),
                    qm_axis_at(y, high * roof->rate));
}

static double best_arithmetic(const struct device *device, size_t api)
{
    double best = 0;
    for (size_t i = 0; i < device->roof_count; i++) {
        if (!device->roofs[i].is_bandwidth && device->roofs[i].api == api)
            best = fmax(best, device->roofs[i].rate);
    }
    return best;
}

// Names of ceilings right of the plot, pushed apart; those of bandwidths above them, in the order of their lines.
static void draw_roof_names(struct device *device, struct qm_picture_sheet *sheet, const struct qm_axis *x,
                            const struct qm_axis *y)
{
    struct roof *order[ROOFS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < device->roof_count; i++) {
        struct roof *roof = &device->roofs[i];
        roof->y = roof->is_bandwidth ? y->to - 1000 / roof->rate - 1000 : qm_axis_at(y, roof->rate);
        size_t k = count++;
        for (; k > 0 && order[k - 1]->y > roof->y; k--)
            order[k] = order[k - 1];
        order[k] = roof;
    }
    double lowest = y->from;
    for (size_t k = 0; k < count; k++)
        order[k]->y = fmax(order[k]->y, k > 0 ? order[k - 1]->y + 15 : y->to + 4);
    for (size_t k = count; k-- > 0;) {
        order[k]->y = fmin(order[k]->y, lowest);
        lowest = order[k]->y - 15;
    }
    for (size_t k = 0; k < count; k++) {
        const struct roof *roof = order[k];
        char classes[32];
        snprintf(classes, sizeof(classes), "lead s%u", hue_of(device, roof->api));
        if (!roof->is_bandwidth)
            qm_svg_line(&sheet->svg, classes, x->to, qm_axis_at(y, roof->rate), x->to + 10, roof->y);
        snprintf(classes, sizeof(classes), "lab f%u", hue_of(device, roof->api));
        qm_svg_text(&sheet->svg, classes, QM_SVG_START, x->to + 13, roof->y + 4, "%s", roof->label);
    }
}

static void draw_roofline(struct device *device, struct qm_picture_sheet *sheet)
{
    struct qm_axis x, y;
    double low = INFINITY, high = 0, rate_low = INFINITY, rate_high = 0;
    size_t drawn = 0, without = 0;
    for (size_t i = 0; i < device->kernel_count; i++) {
        const struct kernel *kernel = &device->kernels[i];
        double rate = operations_of(kernel);
        if (!(kernel->intensity > 0) || !(rate > 0)) {
            without++;
            continue;
        }
        low = fmin(low, kernel->intensity);
        high = fmax(high, kernel->intensity);
        rate_low = fmin(rate_low, rate);
        rate_high = fmax(rate_high, rate);
    }
    if (!(high > 0)) {
        qm_picture_nothing(sheet, "No kernel's operations per byte are in the result, so that there is no roofline.");
        return;
    }
    for (size_t i = 0; i < device->roof_count; i++) {
        const struct roof *roof = &device->roofs[i];
        if (!roof->is_bandwidth && roof->rate < rate_high * 1e4)
            rate_high = fmax(rate_high, roof->rate);
    }
    double left = sheet->left + (sheet->is_narrow ? 50 : 58), top = sheet->y + 24;
    double right = sheet->right - (sheet->is_narrow ? 6 : 172), bottom = top + (sheet->is_narrow ? 280 : 340);
    qm_axis_log(&x, low / 1.6, high * 2.5, left, right, sheet->is_narrow ? 5 : 8);
    qm_axis_log(&y, fmax(rate_low / 2, rate_high * 1e-7), rate_high * 1.7, bottom, top, 7);
    qm_svg_text(&sheet->svg, "head", QM_SVG_START, sheet->left, sheet->y + 14, "Rate, 1e9 operations/s");
    qm_axis_draw_x(&x, &sheet->svg, top, bottom, "");
    qm_axis_draw_y(&y, &sheet->svg, left, right, "");
    qm_svg_line(&sheet->svg, "axis", left, bottom, right, bottom);
    for (size_t i = 0; i < device->roof_count; i++)
        draw_roof(&device->roofs[i], &sheet->svg, &x, &y, hue_of(device, device->roofs[i].api),
                  best_arithmetic(device, device->roofs[i].api));
    for (size_t i = 0; i < device->kernel_count; i++) {
        const struct kernel *kernel = &device->kernels[i];
        char title[512];
        if (!(kernel->intensity > 0) || !(operations_of(kernel) > 0))
            continue;
        if (drawn++ >= MARKS_MAX)
            continue;
        kernel_title(device, kernel, title);
        qm_svg_open(&sheet->svg, "mark", title);
        qm_svg_mark(&sheet->svg, qm_picture_shape(device->entries[kernel->api]), hue_of(device, kernel->api), false,
                    qm_axis_at(&x, kernel->intensity), qm_axis_at(&y, operations_of(kernel)), 4);
        qm_svg_close(&sheet->svg);
    }
    qm_svg_text(&sheet->svg, "tick", QM_SVG_MIDDLE, (left + right) / 2, bottom + 33, "operations per byte");
    sheet->y = bottom + 42;
    if (!sheet->is_narrow)
        draw_roof_names(device, sheet, &x, &y);
    struct qm_text text = {0};
    for (size_t api = 0; sheet->is_narrow && api < device->count; api++) {
        bool is_first = true;
        for (size_t i = 0; i < device->roof_count; i++) {
            if (device->roofs[i].api != api)
                continue;
            qm_text_append(&text, "%s%s", is_first ? (api ? ". " : "Ceilings: ") : ", ", device->roofs[i].label);
            if (is_first)
                qm_text_append(&text, " (%s)", device->set->entries[device->entries[api]].label);
            is_first = false;
        }
    }
    if (without > 0)
        qm_text_append(&text, "%s%zu kernels that only move data have no place in it.", text.used ? ". " : "", without);
    if (drawn > MARKS_MAX)
        qm_text_append(&text, " And %zu more marks, by name in the result.", drawn - MARKS_MAX);
    if (text.used > 0)
        qm_picture_note(sheet, qm_text_bytes(&text));
    qm_text_free(&text);
}

// ---- Below: shares --------------------------------------------------------------------------------------------------

// Time by the second result over time by the first, geometric mean over shapes that both ran; 0 where none. `*same` and
// `*both` count them, and those whose body and configuration have one hash.
static double beside(const struct device *device, size_t from, size_t to, size_t *same, size_t *both)
{
    double sum = 0;
    size_t count = 0;
    for (size_t i = from; i + 1 < to; i++) {
        const struct kernel *a = &device->kernels[i], *b = &device->kernels[i + 1];
        if (strcmp(a->shape, b->shape) != 0 || a->api == b->api)
            continue;
        sum += log(b->time_us / a->time_us);
        count++;
        const char *hash = qm_node_text_at(a->row, "hash", "");
        *same += *hash && strcmp(hash, qm_node_text_at(b->row, "hash", "?")) == 0;
    }
    *both += count;
    return count > 0 ? exp(sum / (double)count) : 0;
}

static void draw_row(const struct device *device, struct qm_picture_sheet *sheet, const struct qm_axis *x, size_t from,
                     size_t to, double ratio)
{
    char name[QM_PICTURE_NAME_BYTES + 4];
    double low = INFINITY, high = 0, y = sheet->y + 8;
    for (size_t i = from; i < to; i++) {
        if (device->kernels[i].share >= 0) {
            low = fmin(low, device->kernels[i].share);
            high = fmax(high, device->kernels[i].share);
        }
    }
    snprintf(name, sizeof(name), "%.60s", device->kernels[from].name);
    qm_svg_fit(name, 11.5, x->from - sheet->left - 10);
    qm_svg_text(&sheet->svg, "lab", QM_SVG_START, sheet->left, y + 4, "%s", name);
    qm_svg_line(&sheet->svg, "grid", x->from, y, x->to, y);
    if (low < high)
        qm_svg_line(&sheet->svg, "lead", qm_axis_at(x, low), y, qm_axis_at(x, high), y);
    char title[512];
    if (low < high)
        snprintf(title, sizeof(title), "%.60s: from %.3g %% to %.3g %% of its ceiling", device->kernels[from].name,
                 low * 100, high * 100);
    else
        snprintf(title, sizeof(title), "%.60s: %.3g %% of its ceiling, %.16s", device->kernels[from].name, high * 100,
                 qm_node_text_at(device->kernels[from].row, "ceiling", "?"));
    qm_svg_open(&sheet->svg, "mark", title);
    for (size_t i = from, drawn = 0; i < to && drawn < 24; i++) {
        const struct kernel *kernel = &device->kernels[i];
        if (kernel->share < 0)
            continue;
        drawn++;
        qm_svg_mark(&sheet->svg, qm_picture_shape(device->entries[kernel->api]), hue_of(device, kernel->api), false,
                    qm_axis_at(x, kernel->share), y, 4);
    }
    qm_svg_close(&sheet->svg);
    if (ratio > 0)
        qm_svg_text(&sheet->svg, "num", QM_SVG_END, sheet->right, y + 4, "%.3g×", ratio);
    sheet->y += 19;
}

static void draw_shares(const struct device *device, struct qm_picture_sheet *sheet)
{
    struct qm_axis x;
    double most = 1;
    size_t known = 0, rows = 0, left_out = 0, same = 0, both = 0;
    for (size_t i = 0; i < device->kernel_count; i++) {
        known += device->kernels[i].share >= 0;
        most = fmax(most, fmin(device->kernels[i].share, 2));
    }
    if (known == 0 && device->count != 2) {
        qm_picture_note(sheet, "Ceilings: not measured, so that no kernel has a share of one.");
        return;
    }
    double left = sheet->left + (sheet->is_narrow ? 136 : 190);
    double right = sheet->right - (device->count == 2 ? 58 : 16);
    qm_axis_linear(&x, 0, most * 100, left, right, sheet->is_narrow ? 2 : 5);
    const char *apis[2] = {"", ""};
    for (size_t i = 0; device->count == 2 && i < 2; i++)
        apis[i] = qm_node_text_at(device->set->entries[device->entries[i]].result, "device.api", "?");
    bool differ = strcmp(apis[0], apis[1]) != 0;
    sheet->y += 10;
    qm_svg_text(&sheet->svg, "head", QM_SVG_START, sheet->left, sheet->y + 12, "Share of its ceiling, %%");
    if (device->count == 2)
        qm_svg_text(&sheet->svg, "tick", QM_SVG_END, sheet->right, sheet->y + 12, "time, %.10s / %.10s",
                    differ ? apis[1] : "2nd", differ ? apis[0] : "1st");
    sheet->y += 22;
    double top = sheet->y;
    struct qm_axis share = x; // the same in shares
    share.low = 0;
    share.high = x.high / 100;
    for (size_t from = 0, to; from < device->kernel_count; from = to) {
        bool has_share = false;
        for (to = from; to < device->kernel_count && strcmp(device->kernels[to].name, device->kernels[from].name) == 0;
             to++)
            has_share = has_share || device->kernels[to].share >= 0;
        double ratio = device->count == 2 ? beside(device, from, to, &same, &both) : 0;
        if (!has_share && !(ratio > 0))
            continue;
        if (rows++ >= ROWS_MAX) {
            left_out++;
            continue;
        }
        draw_row(device, sheet, &share, from, to, ratio);
    }
    double full = qm_axis_at(&share, 1);
    qm_svg_line(&sheet->svg, "bound", full, top - 4, full, sheet->y);
    for (size_t i = 0; i < x.tick_count; i++)
        qm_svg_text(&sheet->svg, "tick", QM_SVG_MIDDLE, qm_axis_at(&x, x.ticks[i]), sheet->y + 13, "%.0f %%",
                    x.ticks[i]);
    sheet->y += 22;
    struct qm_text text = {0};
    qm_text_append(&text, "A mark for each shape; lines join them. ");
    if (device->count == 2)
        qm_text_append(&text,
                       "Of %zu kernels and shapes that both ran, %zu have one hash: the same body and configuration. ",
                       both, same);
    if (left_out > 0)
        qm_text_append(&text, "And %zu more kernels, by name in the result. ", left_out);
    qm_text_append(&text, "Kernels are timed alone; their accuracy is that of the schemes below.");
    qm_picture_note(sheet, qm_text_bytes(&text));
    qm_text_free(&text);
}

void qm_picture_roofline(struct qm_picture_sheet *sheet, size_t index)
{
    const struct qm_picture_set *set = sheet->set;
    struct device device = {0};
    struct qm_picture_key keys[APIS_MAX];
    char title[QM_PICTURE_LABEL_BYTES + 32];
    if (index >= set->roofline_count) {
        size_t all[QM_PICTURE_SOURCES_MAX];
        for (size_t i = 0; i < set->count; i++)
            all[i] = i;
        qm_picture_heading(sheet, "How near the ceiling?", "Timed kernels under what the device gives at best.");
        qm_picture_nothing(sheet, "No result has timed kernels of a scheme that is ok.");
        qm_picture_caption(sheet, all, set->count, NULL);
        return;
    }
    if (!collect(&device, set, set->roofline[index])) {
        sheet->svg.body.failed = true;
        return;
    }
    snprintf(title, sizeof(title), "How near the ceiling? %s", set->entries[device.entries[0]].label);
    qm_picture_heading(sheet, title,
                       "Kernels of the model at its shapes, under what the device gave at best in the same run.");
    for (size_t api = 0; api < device.count; api++)
        keys[api] = (struct qm_picture_key){.name = set->entries[device.entries[api]].label,
                                            .hue = hue_of(&device, api),
                                            .shape = qm_picture_shape(device.entries[api])};
    qm_picture_keys(sheet, keys, device.count, false);
    draw_roofline(&device, sheet);
    draw_shares(&device, sheet);
    if (device.more_apis > 0 || device.more > 0) {
        char text[160];
        snprintf(text, sizeof(text), "Not drawn: %zu more results of this device, and %zu more rows of kernels.",
                 device.more_apis, device.more);
        qm_picture_note(sheet, text);
    }
    qm_picture_caption(sheet, device.entries, device.count, NULL);
    free(device.kernels);
}
