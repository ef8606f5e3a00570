// The parts of a shown result that are about speed: points, sustained runs, what the clock and the noise are worth, and
// warnings.
#ifndef QM_REPORT_SHOW_SPEED_H
#define QM_REPORT_SHOW_SPEED_H

#include "report/facts.h"
#include "report/show.h"

enum {
    QM_SHOW_SUSTAINED_BYTES = 64,
    QM_SHOW_CAUTIONS_MAX = 16, // of one kind; a result may have thousands of schemes
};

// "0.98x burst, steady", "too short", "undecidable (sd 3.1 %)", "not measured".
void qm_show_sustained_cell(const struct qm_node *scheme, char text[QM_SHOW_SUSTAINED_BYTES]);

// Every point of throughput, with what a user sees of it and what is odd about its times.
QM_MUST_USE enum qm_status qm_show_points(const struct qm_node *result, const struct qm_show_style *style, FILE *file);

// The sustained run of each scheme, and below the table what was seen of throttling.
QM_MUST_USE enum qm_status qm_show_sustained(const struct qm_node *result, const struct qm_show_style *style,
                                             FILE *file);

// What would mislead who reads speeds alone, a caution a line.
void qm_speed_cautions(struct qm_text *out, const struct qm_node *result);
// The same as lines that begin with WARNING.
void qm_show_warnings(const struct qm_node *result, FILE *file);

// Noise floor, clocks that are not good, latency-bounded rates.
void qm_show_speed_notes(const struct qm_node *result, FILE *file);

#endif
