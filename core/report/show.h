// A result as a table for people, and what must be known beside it.
#ifndef QM_REPORT_SHOW_H
#define QM_REPORT_SHOW_H

#include "base/status.h"

#include <stdbool.h>
#include <stdio.h>

struct qm_node;

struct qm_show_style {
    unsigned columns;    // of the terminal; 0: no limit, as for a pipe
    bool is_fancy;       // lines that a terminal shows, and not only ASCII
    bool with_points;    // every point of throughput, as a second table
    bool with_sustained; // the sustained run of every scheme
    bool with_kernels;   // ceilings, and every timed kernel under them
    bool with_tasks;     // exact match of every task and difficulty
    bool with_details;   // the distribution of divergences and what else stands behind accuracy
    bool is_changed;     // the file's hash is not that of its content
    bool has_cautions;   // they are told beside it (sentence.h): notes leave them out
};

// The style for a file descriptor: 1 is standard output.
struct qm_show_style qm_show_style_of(int descriptor);

// Prints one result, which must have passed qm_result_check: a row per scheme with formats, accuracy, verdict, speed,
// whether it holds, gain and memory; a row that is not ok has its reason instead; then notes on what was disclosed. Speed is never
// printed without the accuracy of the same artifact in the same row, or the words `accuracy: not measured`.
QM_MUST_USE enum qm_status qm_show_result(const struct qm_node *result, const struct qm_show_style *style, FILE *file);

// The same without the title and the tables of schemes, points, sustained runs, kernels, details and tasks: answers, served
// requests, widening, notes.
QM_MUST_USE enum qm_status qm_show_rest(const struct qm_node *result, const struct qm_show_style *style, FILE *file);

// A number of a result in few digits: "0.00213", "1,234", "1.2e-06"; a word as it is; "absent" for none.
#define QM_SHOW_NUMBER_BYTES 40
void qm_show_number(const struct qm_node *node, char text[QM_SHOW_NUMBER_BYTES]);
#define QM_SHOW_INTERVAL_BYTES 128
// "VALUE [LOW, HIGH]" of `key` of a mapping with `low` and `high`; the value alone where there is no interval.
void qm_show_interval(const struct qm_node *holder, const char *key, char text[QM_SHOW_INTERVAL_BYTES]);
// What stands beside a rate: the mean KL divergence, with its interval or without; of a model that somebody quantized, with no
// reference given, "perplexity 5.23, no reference"; "accuracy: not measured".
void qm_show_accuracy(const struct qm_node *scheme, bool has_interval, char text[QM_SHOW_INTERVAL_BYTES]);
void qm_show_double(double value, char text[QM_SHOW_NUMBER_BYTES]);

// The first point of a phase ("prefill", "decode") in a scheme's throughput, which the table shows. NULL if none.
const struct qm_node *qm_show_point(const struct qm_node *scheme, const char *phase);
// The first gain of a phase, likewise.
const struct qm_node *qm_show_gain(const struct qm_node *scheme, const char *phase);

#endif
