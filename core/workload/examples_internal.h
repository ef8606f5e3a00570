// What the readers of the two forms of lines share.
#ifndef QM_WORKLOAD_EXAMPLES_INTERNAL_H
#define QM_WORKLOAD_EXAMPLES_INTERNAL_H

#include "workload/examples.h"
#include "workload/lines.h"

struct qm_examples_block;

// Texts and lists of all examples, in blocks that stay where they are, and compiled patterns.
struct qm_examples_room {
    struct qm_examples_block *blocks;
    char *file;
    struct qm_answer_pattern *patterns[QM_EXAMPLES_PATTERNS_MAX];
    uint32_t pattern_count;
    const char **ids; // open addressing; grows
    size_t id_room, id_count;
};

// The line that is being read.
struct qm_examples_line {
    const struct qm_lines *lines;
    struct qm_examples_room *room;
    const struct qm_examples_params *params;
};

// Zeroed memory that lives as long as the examples; NULL without.
void *qm_line_room(const struct qm_examples_line *line, size_t bytes);
QM_MUST_USE enum qm_status qm_line_keep(const struct qm_examples_line *line, const char *text, const char **out);

// A text, or a number as text. `key` names it in messages.
QM_MUST_USE enum qm_status qm_line_scalar(const struct qm_examples_line *line, const char *key, const json_t *value,
                                          const char **out);
// A text or a list of texts that stop generation; NULL: none.
QM_MUST_USE enum qm_status qm_line_stops(const struct qm_examples_line *line, const char *key, const json_t *value,
                                         struct qm_user_example *example);
QM_MUST_USE enum qm_status qm_line_max_tokens(const struct qm_examples_line *line, const char *key, const json_t *value,
                                              struct qm_user_example *example);

// Sets right_choice from an index, or from the text of a choice.
QM_MUST_USE enum qm_status qm_line_right_choice(const struct qm_examples_line *line, const char *key,
                                                const json_t *value, struct qm_user_example *example);

// What only lines of lm-evaluation-harness have: prompt, choices, stop strings and max_tokens out of `arguments`.
QM_MUST_USE enum qm_status qm_line_read_arguments(const struct qm_examples_line *line, const json_t *arguments,
                                                  struct qm_user_example *example);
// Its `target` is text in any case: that of a list is Python's, "['a', 'b']". *is_list is false for other texts.
QM_MUST_USE enum qm_status qm_line_read_list_text(const struct qm_examples_line *line, const char *text,
                                                  struct qm_user_example *example, bool *is_list);

#endif
