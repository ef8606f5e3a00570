// Whether two results may be compared, which fields decide that, and what then is faster.
//
// Every field that differs is judged by the first rule whose pattern fits its path, and else by the component of the
// trade that it belongs to (components.h); docs/METHOD.md gives the reasons at length. Rows of lists are matched by what
// they are about (a scheme by its name, a point by phase, batch and depth), not by where they stand.
//
//   fatal     the numbers are about different things; not comparable
//   note      comparable, and the reader must know this
//   subject   what is being compared: the device, its driver, the numbers themselves
//   ignored   says nothing about the numbers
//
// A difference within a scheme is one of that scheme alone; any other concerns all schemes. What is undisclosed on both
// sides cannot be known to be equal: a field whose difference is fatal gives a note then.
#ifndef QM_RECORD_COMPARE_H
#define QM_RECORD_COMPARE_H

#include "base/status.h"
#include "record/components.h"

#include <stddef.h>
#include <stdint.h>

struct qm_node;
struct qm_rate_pair; // compare_rates.h

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

// One scheme of the two. Not comparable too where it has no speed on a side, and where the pair is not.
struct qm_scheme_comparison {
    char name[96];
    enum qm_comparison_verdict verdict;
    const char *why;         // of the first difference that made it so; "" where comparable; static
    const struct qm_node *a; // its rows in the results, which must outlive this; NULL: it is on the other side only
    const struct qm_node *b;
};

struct qm_comparison {
    // Of the two as wholes: one scheme that is not comparable makes them so. What a gate needs.
    enum qm_comparison_verdict verdict;
    // Of what the two have in common: not comparable if a difference concerns all schemes or no scheme is left.
    enum qm_comparison_verdict pair;
    struct qm_difference *differences; // owned: the fatal ones first, then notes, then subjects; ignored ones left out
    size_t count;
    struct qm_scheme_comparison *schemes; // owned: in the order of the first result, then those of the second alone
    size_t scheme_count;
    struct qm_rate_pair *rates; // owned: of the comparable schemes
    size_t rate_count;
};

// Both must have passed qm_result_check, and must outlive `out`.
QM_MUST_USE enum qm_status qm_compare(const struct qm_node *a, const struct qm_node *b, struct qm_comparison *out);
void qm_comparison_free(struct qm_comparison *comparison);

// "comparable", "comparable with notes", "not comparable"; "subject", "note", "fatal".
const char *qm_comparison_verdict_name(enum qm_comparison_verdict verdict);
const char *qm_difference_class_name(enum qm_difference_class class);

// How a difference at a path is judged, with the reason in `*why` (may be NULL); a path that no rule fits and that
// is in no component is a note.
enum qm_difference_class qm_compare_rule(const char *path, const char **why);

// ---- Many results -------------------------------------------------------------------------------------------------

// All that must be equal for two results to be comparable, as numbers: results with one key agree in every such field.
struct qm_compare_key {
    uint64_t whole[2]; // of what concerns all schemes
    struct qm_compare_scheme_key {
        const char *name; // in the result
        uint64_t own[2];
    } * schemes; // owned: of those that are ok
    size_t count;
};

QM_MUST_USE enum qm_status qm_compare_key_of(const struct qm_node *result, struct qm_compare_key *out);
void qm_compare_key_free(struct qm_compare_key *key);

// Puts results into groups in which each is comparable with each other one, by at least one scheme that all of a group
// have: `groups[i]` (room for `count`) is the number of result i's group, from 0; `*group_count` how many there are.
// A result is put into the first group that takes it. Two results that lack different fields may be comparable and yet
// in two groups.
QM_MUST_USE enum qm_status qm_compare_group(const struct qm_compare_key *keys, size_t count, size_t *groups,
                                            size_t *group_count);

#endif
