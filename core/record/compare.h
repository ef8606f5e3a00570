// Whether two results may be compared, and which fields decide that.
//
// Every field that differs is judged by the first rule whose pattern fits its path, and else by the component of the
// trade that it belongs to (components.h); docs/METHOD.md gives the reasons at length. Rows of lists are matched by what they are about (a scheme by its name, a point by phase, batch and depth),
// not by where they stand.
//
//   fatal     the numbers are about different things; not comparable
//   note      comparable, and the reader must know this
//   subject   what is being compared: the device, its driver, the numbers themselves
//   ignored   says nothing about the numbers
//
// What is undisclosed on both sides cannot be known to be equal: a field whose difference is fatal gives a note then.
#ifndef QM_RECORD_COMPARE_H
#define QM_RECORD_COMPARE_H

#include "base/status.h"
#include "record/components.h"

#include <stddef.h>

struct qm_node;

enum qm_comparison_verdict {
    QM_COMPARABLE = 0,
    QM_COMPARABLE_WITH_NOTES,
    QM_NOT_COMPARABLE,
};

struct qm_difference {
    char path[160]; // "schemes[w8a8].disclosure.tool_chain.tiles"
    char a[96];     // what each says, cut off; "absent" where there is nothing
    char b[96];
    enum qm_difference_class class;
    const char *why;                      // the rule's reason; static
    const struct qm_component *component; // of the trade that it belongs to; NULL for the device, the profile, ...
};

struct qm_comparison {
    enum qm_comparison_verdict verdict;
    struct qm_difference *differences; // owned: the fatal ones first, then notes, then subjects; ignored ones left out
    size_t count;
};

// Both must have passed qm_result_check.
QM_MUST_USE enum qm_status qm_compare(const struct qm_node *a, const struct qm_node *b, struct qm_comparison *out);
void qm_comparison_free(struct qm_comparison *comparison);

// "comparable", "comparable with notes", "not comparable"; "subject", "note", "fatal".
const char *qm_comparison_verdict_name(enum qm_comparison_verdict verdict);
const char *qm_difference_class_name(enum qm_difference_class class);

// How a difference at a path is judged, with the reason in `*why` (may be NULL); a path that no rule fits and that
// is in no component is a note.
enum qm_difference_class qm_compare_rule(const char *path, const char **why);

#endif
