#include "report/pictures.h"

#include <stdlib.h>
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

struct qm_picture_set {
    size_t count;
};

enum qm_status qm_picture_set_create(const struct qm_picture_source *sources, size_t count, struct qm_picture_set **out)
{
    (void)sources;
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for pictures");
    (*out)->count = count;
    return QM_OK;
}

void qm_picture_set_destroy(struct qm_picture_set **set)
{
    free(*set);
    *set = NULL;
}

size_t qm_picture_count(const struct qm_picture_set *set, enum qm_picture picture)
{
    (void)set, (void)picture;
    return 1;
}

void qm_picture_title(const struct qm_picture_set *set, enum qm_picture picture, size_t index, struct qm_text *out)
{
    (void)set, (void)index;
    qm_text_append(out, "%s", qm_picture_name(picture));
}

void qm_picture_summary(const struct qm_picture_set *set, enum qm_picture picture, size_t index, struct qm_text *out)
{
    qm_picture_title(set, picture, index, out);
}

size_t qm_picture_source_of(const struct qm_picture_set *set, enum qm_picture picture, size_t index)
{
    (void)set, (void)picture, (void)index;
    return 0;
}

enum qm_status qm_picture_draw(const struct qm_picture_set *set, enum qm_picture picture, size_t index,
                               const struct qm_picture_params *params, struct qm_text *out)
{
    unsigned width = params->width ? params->width : QM_PICTURE_WIDE;
    if (index >= qm_picture_count(set, picture))
        return QM_FAIL(QM_INVALID, "there is no drawing %zu of %s", index, qm_picture_name(picture));
    qm_text_append(out,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %u 300\" class=\"qp\"><title>%s</title>"
                   "<circle cx=\"90\" cy=\"90\" r=\"5\" class=\"qp-mark\"/></svg>\n",
                   width, qm_picture_name(picture));
    return QM_OK;
}

void qm_picture_style(enum qm_picture_colours colours, struct qm_text *out)
{
    (void)colours;
    qm_text_append(out, ".qp{max-width:100%%}");
}
