// Reading a verb's command line: options, operands, and messages that name what would be right.
#ifndef QM_CLI_OPTIONS_H
#define QM_CLI_OPTIONS_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum qm_option_kind {
    QM_OPTION_FLAG,  // bool; set by --name
    QM_OPTION_TEXT,  // const char *; --name VALUE or --name=VALUE
    QM_OPTION_WHOLE, // uint64_t; likewise
    QM_OPTION_MAYBE, // const char *; --name, which gives "", or --name=VALUE
    QM_OPTION_TEXTS, // struct qm_option_texts; may be given several times
};

enum {
    QM_OPTION_TEXTS_MAX = 16
};

struct qm_option_texts {
    const char *items[QM_OPTION_TEXTS_MAX + 1]; // ends with NULL
    size_t count;
};

struct qm_option {
    const char *name; // without the dashes
    enum qm_option_kind kind;
    void *out;            // what is set; left alone when the option is not given
    const char *argument; // "DIR", for the help; of a closed set its words, "text|none|json"; NULL for flags
    const char *meaning;  // one line
};

struct qm_command {
    const char *verb;
    const char *operands; // "FILE...", or "" for none
    size_t operands_min;
    size_t operands_max;
    const char *meaning; // one line
    const char *details; // further lines for the help, or ""
    const struct qm_option *options;
    size_t option_count;
};

// argv[0] is the verb. Operands are moved to the front of argv and counted. `--` ends the options; `--help` (or -h)
// prints the command's help on standard output and sets *done: the verb then returns QM_EXIT_OK. QM_INVALID for an
// option that is unknown, given twice, or lacks its value, and for too few or too many operands.
QM_MUST_USE enum qm_status qm_command_parse(const struct qm_command *command, int argc, char **argv,
                                            const char ***operands, size_t *operand_count, bool *done);

// What a verb takes, without running it: calls `function` with the words and `--help`, and hands the command that it would
// print to `visit`. The command lives no longer than that call. `words` is "run", or "history add" for what the verb
// `history` tells apart itself.
typedef void (*qm_command_visit)(void *context, const struct qm_command *command);
void qm_command_describe(int (*function)(int argc, char **argv), const char *words, qm_command_visit visit,
                         void *context);

#endif
