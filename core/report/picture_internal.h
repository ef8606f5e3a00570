// What the files of the pictures share; for everybody else there is pictures.h.
#ifndef QM_REPORT_PICTURE_INTERNAL_H
#define QM_REPORT_PICTURE_INTERNAL_H

#include "report/axis.h"
#include "report/pictures.h"
#include "report/svg.h"

enum {
    QM_PICTURE_SOURCES_MAX =
        64, // results that are drawn; further ones are counted and named in the caption's last line
    QM_PICTURE_SCHEMES_MAX = 64, // scheme names that have hues of their own
    QM_PICTURE_POINTS_MAX = 6,   // of the trade
    QM_PICTURE_LABEL_BYTES = 224,
    QM_PICTURE_NAME_BYTES = 64,
};

// A number of a result with its interval, where it has one; low <= value <= high.
struct qm_picture_value {
    double value, low, high;
    bool has_interval;
};
// `key` of a mapping with `low` and `high`; false where it is no number.
bool qm_picture_read(const struct qm_node *holder, const char *key, struct qm_picture_value *out);
// "0.0021 [0.0019, 0.0023]".
#define QM_PICTURE_VALUE_BYTES 128
void qm_picture_value_text(const struct qm_picture_value *value, char text[QM_PICTURE_VALUE_BYTES]);

// The windows of a second of a sustained run, from its samples.
struct qm_picture_window {
    double begin_s, end_s, rate; // rate 0: nothing ran
    bool is_throttled;           // a sensor or the probe said so
};
// What sensors told at a time; NaN where nothing.
struct qm_picture_reading {
    double at_s, clock_mhz, power_w, temperature_c;
};
struct qm_picture_series {
    size_t window_count, reading_count;
    struct qm_picture_window *windows;   // owned
    struct qm_picture_reading *readings; // owned
};

struct qm_picture_entry {
    const struct qm_node *result, *schemes;
    const char *path; // NULL: none
    bool is_changed;
    char label[QM_PICTURE_LABEL_BYTES]; // "RTX 3060, vulkan"; no two are equal
    char hash[13];                      // the beginning of its hash
    size_t machine;                     // entries of one machine's device, whatever the API, have the same
};

struct qm_picture_set {
    size_t count, left_out; // of sources
    struct qm_picture_entry entries[QM_PICTURE_SOURCES_MAX];
    size_t scheme_count; // names, in the order of the results
    char schemes[QM_PICTURE_SCHEMES_MAX][QM_PICTURE_NAME_BYTES];
    size_t point_count;
    struct qm_picture_point {
        bool is_decode;
        unsigned batch;
    } points[QM_PICTURE_POINTS_MAX];
    size_t sustained_count, sustained[QM_PICTURE_SOURCES_MAX]; // entries that have a sustained run
    size_t accuracy_count, accuracy[QM_PICTURE_SOURCES_MAX];   // that have an accuracy
    size_t roofline_count, roofline[QM_PICTURE_SOURCES_MAX];   // the first of each machine that has timed kernels
};

// ---- Schemes ----------------------------------------------------------------------------------------------------

const char *qm_picture_scheme_name(const struct qm_node *scheme); // "?" where it has none
// Its index among set->schemes; QM_PICTURE_SCHEMES_MAX - 1 for those beyond.
size_t qm_picture_scheme_index(const struct qm_picture_set *set, const char *name);
unsigned qm_picture_hue(size_t index);
unsigned qm_picture_shape(size_t index);

// "KL 0.0021 [0.0019, 0.0023], top-1 98.1 %", or "accuracy: not measured".
void qm_picture_accuracy_text(const struct qm_node *scheme, bool is_short, char text[QM_PICTURE_VALUE_BYTES]);
// The mean divergence of a row that is ok; false where it has none.
bool qm_picture_divergence(const struct qm_node *scheme, struct qm_picture_value *out);

// ---- Parts of drawings ------------------------------------------------------------------------------------------

struct qm_picture_sheet {
    const struct qm_picture_set *set;
    struct qm_svg svg;
    double width, left, right, y; // y: where the next part begins
    bool is_narrow;
};

// Heading and the lines below it.
void qm_picture_heading(struct qm_picture_sheet *sheet, const char *title, const char *subtitle);
// A row of marks with their names, in as many lines as they take. `is_square`: of bars, with their patterns.
struct qm_picture_key {
    const char *name;
    unsigned hue, shape, pattern;
    bool is_open;
};
void qm_picture_keys(struct qm_picture_sheet *sheet, const struct qm_picture_key *keys, size_t count, bool is_bar);
// A sentence, quiet, over the whole width.
void qm_picture_note(struct qm_picture_sheet *sheet, const char *text);
// A frame that says why nothing is drawn.
void qm_picture_nothing(struct qm_picture_sheet *sheet, const char *why);
// The caption: what everything drawn is of. `entries` are indices into set->entries; `scheme`: of this one alone, NULL: all.
void qm_picture_caption(struct qm_picture_sheet *sheet, const size_t *entries, size_t count, const char *scheme);

// What samples tell of the sustained run of a scheme; false, with the reason in `why`, where they tell nothing. Freed by
// qm_picture_series_free.
struct qm_picture_samples;
struct qm_picture_samples *qm_picture_samples_open(const struct qm_picture_entry *entry, char why[160]);
bool qm_picture_samples_series(const struct qm_picture_samples *samples, const struct qm_picture_entry *entry,
                               const struct qm_node *scheme, struct qm_picture_series *out);
void qm_picture_samples_close(struct qm_picture_samples *samples);
void qm_picture_series_free(struct qm_picture_series *series);

// ---- Drawings ---------------------------------------------------------------------------------------------------

void qm_picture_trade(struct qm_picture_sheet *sheet, size_t index);
void qm_picture_vendors(struct qm_picture_sheet *sheet);
void qm_picture_sustained(struct qm_picture_sheet *sheet, size_t index);
void qm_picture_roofline(struct qm_picture_sheet *sheet, size_t index);
void qm_picture_accuracy(struct qm_picture_sheet *sheet, size_t index);

#endif
