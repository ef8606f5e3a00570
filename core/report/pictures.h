// The five pictures of a report, each an SVG that says inside what it is of: a screenshot of one is never half a claim.
//
// Strings of results are a stranger's. They stand in pictures as text, cleaned and escaped, and nowhere else: no id, no
// style and no address is made of them.
#ifndef QM_REPORT_PICTURES_H
#define QM_REPORT_PICTURES_H

#include "report/facts.h"
#include "report/picture_set.h"

enum qm_picture {
    QM_PICTURE_TRADE,     // accuracy cost against throughput gain, a mark per scheme and device
    QM_PICTURE_VENDORS,   // rates of comparable rows side by side
    QM_PICTURE_SUSTAINED, // throughput and telemetry over time
    QM_PICTURE_ROOFLINE,  // kernels under the ceilings of their device
    QM_PICTURE_ACCURACY,  // exact match per task, tails of divergence
    QM_PICTURE_COUNT
};

// "trade", "vendors", "sustained", "roofline", "accuracy".
const char *qm_picture_name(enum qm_picture picture);
bool qm_picture_read_name(const char *text, enum qm_picture *out);

enum qm_picture_colours {
    QM_PICTURE_FOLLOW, // light, and dark where whoever looks prefers it
    QM_PICTURE_LIGHT,
    QM_PICTURE_DARK,
};

enum {
    QM_PICTURE_WIDE = 960,
    QM_PICTURE_NARROW = 390, // to be read on a phone
};

struct qm_picture_params {
    unsigned width; // of the drawing, in pixels, from 320 to 2,000; 0: QM_PICTURE_WIDE. Its height follows
    // A file of its own: with the style inside and a ground behind. Else it is a part of a page, whose style must hold
    // qm_picture_style once.
    bool standalone;
    enum qm_picture_colours colours; // of one that is standalone
};

// How many drawings there are of a kind: of trade one per phase and batch that has gains, decode of one sequence first;
// 1 of vendors; of sustained and accuracy one per result that has some; of roofline one per device that has timed
// kernels (results of one device's two APIs share it). At least 1 of each kind, for a drawing says too that there is
// nothing to draw, and why.
size_t qm_picture_count(const struct qm_picture_set *set, enum qm_picture picture);

// Appends the drawing's heading, without markup and not escaped: "Sustained: RTX 3060 (vulkan)".
void qm_picture_title(const struct qm_picture_set *set, enum qm_picture picture, size_t index, struct qm_text *out);

// Appends what the drawing shows in a sentence or two, for who does not see it; it stands inside as <desc>, too.
void qm_picture_summary(const struct qm_picture_set *set, enum qm_picture picture, size_t index, struct qm_text *out);

// The first result that the drawing is of, as an index into the sources; of trade and vendors 0.
size_t qm_picture_source_of(const struct qm_picture_set *set, enum qm_picture picture, size_t index);

// Appends one <svg>...</svg>. Its ids begin with "qp-" and differ between kinds, indices and widths. QM_INVALID for an
// index or a width that is none; QM_OUT_OF_MEMORY.
QM_MUST_USE enum qm_status qm_picture_draw(const struct qm_picture_set *set, enum qm_picture picture, size_t index,
                                           const struct qm_picture_params *params, struct qm_text *out);

// Appends the rules of CSS that drawings need; all are of classes that begin with "qp-".
void qm_picture_style(enum qm_picture_colours colours, struct qm_text *out);

#endif
