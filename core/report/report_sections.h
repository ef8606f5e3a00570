// The sections of a report and what they share. Internal to core/report.
#ifndef QM_REPORT_REPORT_SECTIONS_H
#define QM_REPORT_REPORT_SECTIONS_H

#include "record/compare.h"
#include "record/result_set.h"
#include "report/html.h"
#include "report/pictures.h"

struct qm_node;

enum {
    QM_REPORT_SCHEMES = 40, // rows of one result in a table; what is beyond is counted
    QM_REPORT_MATRIX = 20,  // results of which every pair is compared
    QM_REPORT_LABEL_BYTES = 200,
    QM_REPORT_SHORT_BYTES = 80,
    QM_REPORT_PICTURES = 6,        // of a kind, in a report of many results
    QM_REPORT_BYTES = 1900 * 1000, // of a page; what of disclosures goes beyond is named, with how to have it
};

struct qm_report {
    const struct qm_result_set *set;
    struct qm_picture_set *pictures;
    struct qm_text *out;
    unsigned tables;                       // begun so far
    bool is_large;                         // of more schemes than all of whose tasks have room
    bool with_narrow;                      // pictures are drawn for phones, too
    char (*labels)[QM_REPORT_LABEL_BYTES]; // of each result: "2 · RTX 3060 · vulkan"
    char (*shorts)[QM_REPORT_SHORT_BYTES]; // the same, cut to a few characters, for rows
    struct qm_report_words {               // of each result (sentence.h)
        struct qm_text quote, cautions;
    } * words;
    struct qm_compare_key *keys; // of each result
    size_t *groups, group_count; // of those that are comparable with each other
};

// Each appends one <section> with its heading.
QM_MUST_USE enum qm_status qm_report_head(struct qm_report *report);
QM_MUST_USE enum qm_status qm_report_trade(struct qm_report *report);
QM_MUST_USE enum qm_status qm_report_vendors(struct qm_report *report);
QM_MUST_USE enum qm_status qm_report_sustained(struct qm_report *report);
QM_MUST_USE enum qm_status qm_report_roofline(struct qm_report *report);
QM_MUST_USE enum qm_status qm_report_accuracy(struct qm_report *report);
QM_MUST_USE enum qm_status qm_report_disclosure(struct qm_report *report);
QM_MUST_USE enum qm_status qm_report_files(struct qm_report *report);

// ---- Shared -------------------------------------------------------------------------------------------------------

// `<section>` with its number, heading and a sentence on what it says; id is ours.
void qm_report_section_begin(struct qm_report *report, const char *id, int number, const char *title, const char *says);
// The second sentence: what must not be concluded.
void qm_report_beware(struct qm_report *report, const char *text);
void qm_report_section_end(struct qm_report *report);

// All drawings of a kind as figures; those from `open` on within a <details>.
QM_MUST_USE enum qm_status qm_report_pictures(struct qm_report *report, enum qm_picture picture, size_t open);

const struct qm_node *qm_report_result(const struct qm_report *report, size_t index);

// The schemes of a result that a table shows, those that are ok first, at most QM_REPORT_SCHEMES; `*left` is how many
// there are beyond. In the result's order otherwise.
size_t qm_report_schemes(const struct qm_node *result, const struct qm_node *list[QM_REPORT_SCHEMES], size_t *left);
// A row that says how many there are beyond, where there are.
void qm_report_row_left(struct qm_html_table *table, const struct qm_report *report, size_t index, size_t left);
// Both for a whole table: `row` for each scheme of each result, which may write none, then what is left of the result.
void qm_report_rows(struct qm_report *report, struct qm_html_table *table,
                    void (*row)(struct qm_report *, struct qm_html_table *, size_t index,
                                const struct qm_node *scheme));
// The cells "result" and "scheme", with which rows begin.
void qm_report_cells_of(struct qm_html_table *table, const struct qm_report *report, size_t index,
                        const struct qm_node *scheme);
// The rest of the row of a scheme that is not ok: its status and the reason.
void qm_report_cell_reason(struct qm_html_table *table, const struct qm_node *scheme);

// "VALUE [LOW, HIGH]" of `key` of a mapping; a word as it is; `none` where there is nothing.
void qm_report_cell_estimate(struct qm_html_table *table, const struct qm_node *holder, const char *key,
                             const char *none);
// The same as percent.
void qm_report_cell_share(struct qm_html_table *table, const struct qm_node *holder, const char *key, const char *none);
// A number or word alone; `none` where there is nothing.
void qm_report_cell_value(struct qm_html_table *table, const struct qm_node *node, const char *none);
// The mean KL divergence with its interval, or the words `accuracy: not measured`: beside every speed.
void qm_report_cell_kl(struct qm_html_table *table, const struct qm_node *scheme);
void qm_report_cell_path(struct qm_html_table *table, const struct qm_node *node, const char *path, const char *none);

#endif
