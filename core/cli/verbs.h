// The verbs: one function and one file each (verb_NAME.c), listed in one table (verbs.c).
#ifndef QM_CLI_VERBS_H
#define QM_CLI_VERBS_H

#include "base/status.h"

#include <stddef.h>

enum qm_verb_group {
    QM_VERB_MEASURE,
    QM_VERB_JUDGE,
    QM_VERB_PUBLISH,
    QM_VERB_HELP,
    QM_VERB_GROUP_COUNT,
};

struct qm_verb {
    const char *name;
    enum qm_verb_group group;
    const char *meaning;                    // one line
    int (*function)(int argc, char **argv); // argv[0] is the verb; returns an enum qm_exit
};

extern const struct qm_verb qm_verbs[]; // ends with a NULL name

int qm_verb_devices(int argc, char **argv);
int qm_verb_run(int argc, char **argv);
int qm_verb_calibrate(int argc, char **argv);
int qm_verb_kernels(int argc, char **argv);
int qm_verb_tune(int argc, char **argv);
int qm_verb_model(int argc, char **argv);
int qm_verb_show(int argc, char **argv);
int qm_verb_compare(int argc, char **argv);
int qm_verb_gate(int argc, char **argv);
int qm_verb_verify(int argc, char **argv);
int qm_verb_reproduce(int argc, char **argv);
int qm_verb_audit(int argc, char **argv);
int qm_verb_report(int argc, char **argv);
int qm_verb_claim(int argc, char **argv);
int qm_verb_history(int argc, char **argv);
int qm_verb_sign(int argc, char **argv);
int qm_verb_explain(int argc, char **argv);
int qm_verb_help(int argc, char **argv);

// The whole program: finds the verb and runs it. An unknown one gives a suggestion and QM_EXIT_BAD_INPUT.
int qm_main(int argc, char **argv);

// Prints this thread's error as one line on standard error, and returns the exit code for `status`.
int qm_verb_fail(enum qm_status status);
// The exit code alone.
int qm_exit_of(enum qm_status status);

struct qm_node;
// Prints a tree as JSON on standard output and destroys it; returns the exit code.
int qm_verb_print_json(struct qm_node **node);

#endif
