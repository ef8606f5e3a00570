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
    size_t example_room;
};

// The line that is being read.
struct qm_examples_line {
    const struct qm_lines *lines;
    struct qm_examples_room *room;
    const struct qm_examples_params *params;
    const char *file;   // kept
    const char *prefix; // before ids; NULL: none
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

// Gives the example its id, kept: `own` behind the file's prefix. *is_new is false where one of that id was there.
QM_MUST_USE enum qm_status qm_line_set_id(const struct qm_examples_line *line, const char *own,
                                          struct qm_user_example *example, bool *is_new);
// Puts an example behind the others. QM_INVALID for one too many.
QM_MUST_USE enum qm_status qm_line_add(const struct qm_examples_line *line, struct qm_user_examples *examples,
                                       const struct qm_user_example *example);

// Records of CSV behind the examples that are there. `shots`: the questions that stand before each, as CSV of their own from the
// file `shots_name`; NULL: none.
struct qm_examples_csv {
    const char *name;
    const void *text;
    size_t bytes;
    const char *shots_name;
    const void *shots;
    size_t shots_bytes;
};
QM_MUST_USE enum qm_status qm_examples_read_csv(const struct qm_examples_line *line, const struct qm_examples_csv *csv,
                                                struct qm_user_examples *examples);

// Sets right_choice from an index, or from the text of a choice.
QM_MUST_USE enum qm_status qm_line_right_choice(const struct qm_examples_line *line, const char *key,
                                                const json_t *value, struct qm_user_example *example);

// What only lines of lm-evaluation-harness have: prompt, choices, stop strings and max_tokens out of `arguments`.
QM_MUST_USE enum qm_status qm_line_read_arguments(const struct qm_examples_line *line, const json_t *arguments,
                                                  struct qm_user_example *example);
// Sets right_choice from the line's own likelihoods and `acc`; false where they do not tell.
bool qm_line_choice_by_metric(const json_t *object, struct qm_user_example *example);
// Its `target` is text in any case: that of a list is Python's, "['a', 'b']". *is_list is false for other texts.
QM_MUST_USE enum qm_status qm_line_read_list_text(const struct qm_examples_line *line, const char *text,
                                                  struct qm_user_example *example, bool *is_list);

#endif
