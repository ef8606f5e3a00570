// Real uses of every verb: what its help and its manual page end with.
#ifndef QM_CLI_EXAMPLES_H
#define QM_CLI_EXAMPLES_H

#include <stddef.h>

struct qm_example {
    const char *verb;    // "run", "history add"
    const char *command; // as it is typed; test_commands.c parses each
    const char *meaning; // one line
};

#define QM_EXAMPLES_SHOWN 2

extern const struct qm_example qm_examples[]; // ends with a NULL verb

// The first examples of a verb, or of one of its actions. Returns how many; QM_EXAMPLES_SHOWN at most.
size_t qm_examples_of(const char *verb, const struct qm_example *out[QM_EXAMPLES_SHOWN]);

#endif
