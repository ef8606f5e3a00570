// What the files that compare results share.
#ifndef QM_RECORD_COMPARE_INTERNAL_H
#define QM_RECORD_COMPARE_INTERNAL_H

#include "record/compare.h"

struct qm_judgement {
    enum qm_difference_class class;
    const char *why;                      // static
    const struct qm_component *component; // NULL for what is of none
};

// As qm_compare_rule, of a path whose items have no names ("schemes[].artifact.id"), and fast when asked again.
struct qm_judgement qm_compare_judge(const char *path);

// What an item of a list is named by, or its position, folded into `seed`: equal for items that are matched.
uint64_t qm_compare_item_hash(const struct qm_node *item, const char *list, size_t index, uint64_t seed);
uint64_t qm_compare_hash(uint64_t seed, const char *text);

#endif
