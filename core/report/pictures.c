#include "report/pictures.h"

#include "report/picture_internal.h"

#include <stdio.h>
#include <string.h>

static const char *const names[QM_PICTURE_COUNT] = {"trade", "vendors", "sustained", "roofline", "accuracy"};

const char *qm_picture_name(enum qm_picture picture)
{
    return (size_t)picture < QM_PICTURE_COUNT ? names[picture] : "?";
}

bool qm_picture_read_name(const char *text, enum qm_picture *out)
{
    for (int i = 0; i < QM_PICTURE_COUNT; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum qm_picture)i;
            return true;
        }
    }
    return false;
}

size_t qm_picture_count(const struct qm_picture_set *set, enum qm_picture picture)
{
    size_t count = picture == QM_PICTURE_TRADE       ? set->point_count
                   : picture == QM_PICTURE_SUSTAINED ? set->sustained_count
                   : picture == QM_PICTURE_ROOFLINE  ? set->roofline_count
                   : picture == QM_PICTURE_ACCURACY  ? set->accuracy_count
                                                     : 1;
    return count > 0 ? count : 1;
}

// The entry that a drawing is of; NULL where there is none, or where it is of all.
static const struct qm_picture_entry *entry_of(const struct qm_picture_set *set, enum qm_picture picture, size_t index)
{
    if (picture == QM_PICTURE_SUSTAINED && index < set->sustained_count)
        return &set->entries[set->sustained[index]];
    if (picture == QM_PICTURE_ROOFLINE && index < set->roofline_count)
        return &set->entries[set->roofline[index]];
    if (picture == QM_PICTURE_ACCURACY && index < set->accuracy_count)
        return &set->entries[set->accuracy[index]];
    return NULL;
}

size_t qm_picture_source_of(const struct qm_picture_set *set, enum qm_picture picture, size_t index)
{
    const struct qm_picture_entry *entry = entry_of(set, picture, index);
    return entry ? (size_t)(entry - set->entries) : 0;
}

void qm_picture_title(const struct qm_picture_set *set, enum qm_picture picture, size_t index, struct qm_text *out)
{
    static const char *const titles[QM_PICTURE_COUNT] = {
        "The trade: accuracy cost against throughput gain", "Throughput side by side", "Sustained throughput",
        "Kernels under their ceilings", "Accuracy by task, and the tails of divergence"};
    const struct qm_picture_entry *entry = entry_of(set, picture, index);
    qm_text_append(out, "%s", titles[picture]);
    if (picture == QM_PICTURE_TRADE && index < set->point_count)
        qm_text_append(out, ", %s of %u", set->points[index].is_decode ? "decode" : "prefill",
                       set->points[index].batch);
    if (entry)
        qm_text_append(out, ": %s", entry->label);
}

void qm_picture_summary(const struct qm_picture_set *set, enum qm_picture picture, size_t index, struct qm_text *out)
{
    static const char *const summaries[QM_PICTURE_COUNT] = {
        "A mark for each scheme and device: to the right it is faster than the baseline, downwards it is closer to "
        "fp32. "
        "Both intervals are drawn, and the Pareto front of each device.",
        "Bars of tokens per second with their intervals, of rows that are comparable; others stand apart with the "
        "reason. "
        "Beside each bar stands the accuracy of the same artifact.",
        "Tokens per second over time, with clock, power and temperature where sensors tell them; throttled windows are "
        "shaded, burst and sustained rates marked.",
        "Timed kernels by operations per byte and rate under the device's measured ceilings, and the share of its "
        "ceiling "
        "that each kernel reaches.",
        "Exact match of every task and difficulty with intervals, and mean, 99th percentile and maximum of the "
        "divergence "
        "of every scheme.",
    };
    const struct qm_picture_entry *entry = entry_of(set, picture, index);
    qm_text_append(out, "%s", summaries[picture]);
    if (entry)
        qm_text_append(out, " Of %s.", entry->label);
    else
        qm_text_append(out, " Of %zu result%s.", set->count, set->count == 1 ? "" : "s");
}

enum qm_status qm_picture_draw(const struct qm_picture_set *set, enum qm_picture picture, size_t index,
                               const struct qm_picture_params *params, struct qm_text *out)
{
    unsigned width = params->width ? params->width : QM_PICTURE_WIDE;
    if (width < 320 || width > 2000)
        return QM_FAIL(QM_INVALID, "a picture of %u pixels; its width is 320 to 2000", width);
    if (index >= qm_picture_count(set, picture))
        return QM_FAIL(QM_INVALID, "there is no drawing %zu of '%s'; the last is %zu", index, qm_picture_name(picture),
                       qm_picture_count(set, picture) - 1);
    char id[48];
    struct qm_text style = {0}, title = {0}, summary = {0};
    struct qm_picture_sheet sheet = {.set = set, .width = width, .is_narrow = width < 600};
    snprintf(id, sizeof(id), "qp-%s-%zu-%u", qm_picture_name(picture), index, width);
    sheet.left = sheet.is_narrow ? 12 : 24;
    sheet.right = width - sheet.left;
    qm_svg_begin(&sheet.svg, width, id);
    sheet.svg.without_titles = sheet.is_narrow;
    qm_picture_title(set, picture, index, &title);
    qm_picture_summary(set, picture, index, &summary);
    if (params->standalone)
        qm_picture_style(params->colours, &style);
    switch (picture) {
    case QM_PICTURE_TRADE:
        qm_picture_trade(&sheet, index);
        break;
    case QM_PICTURE_VENDORS:
        qm_picture_vendors(&sheet);
        break;
    case QM_PICTURE_SUSTAINED:
        qm_picture_sustained(&sheet, index);
        break;
    case QM_PICTURE_ROOFLINE:
        qm_picture_roofline(&sheet, index);
        break;
    default:
        qm_picture_accuracy(&sheet, index);
        break;
    }
    struct qm_svg_frame frame = {.height = sheet.y + 4,
                                 .title = qm_text_bytes(&title),
                                 .summary = qm_text_bytes(&summary),
                                 .style = params->standalone ? qm_text_bytes(&style) : NULL};
    qm_svg_end(&sheet.svg, &frame, out);
    bool failed = out->failed || style.failed || title.failed || summary.failed;
    qm_text_free(&style);
    qm_text_free(&title);
    qm_text_free(&summary);
    return failed ? QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a picture") : QM_OK;
}
