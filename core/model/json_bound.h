// The memory that JSON of strangers takes, bounded before its tree is built.
#ifndef QM_MODEL_JSON_BOUND_H
#define QM_MODEL_JSON_BOUND_H

#include <stdbool.h>
#include <stddef.h>

// A header of 100,000 tensors has this many values. The library makes 160 bytes of one at most (of an empty object with a
// key), so that a tree takes less than 200 MB beside its text; "[{},{},..." of 16 MB would take more than a gigabyte.
#define QM_JSON_VALUES_MAX (1u << 20)

// Whether the text has at most so many values, whatever else it is: outside of its strings each value but the first
// follows a comma or an opening bracket.
bool qm_json_is_bounded(const char *text, size_t bytes);

#endif
