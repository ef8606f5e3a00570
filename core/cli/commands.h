// The commands of all verbs and of their actions, for what is made from them: completions and manual pages.
#ifndef QM_CLI_COMMANDS_H
#define QM_CLI_COMMANDS_H

#include "cli/options.h"
#include "report/facts.h"

// Calls `visit` with the command of each verb in the order of qm_verbs, and after a verb with those of its actions: where
// its operands begin with words in lower case, "add|list|trend|baseline ...", these are actions.
void qm_commands_visit(qm_command_visit visit, void *context);

// Whether there is a word `index` (from 0) of the actions of a verb; it is copied to `word`.
#define QM_COMMAND_WORD_BYTES 32
bool qm_command_action(const struct qm_command *command, size_t index, char word[QM_COMMAND_WORD_BYTES]);

// What may stand for an option's argument or a command's operands.
enum qm_argument_kind {
    QM_ARGUMENT_FREE,    // a number, a name: nothing to offer
    QM_ARGUMENT_WORDS,   // a closed set
    QM_ARGUMENT_FILES,   // files, and what leads to them
    QM_ARGUMENT_FOLDERS, // directories alone
    QM_ARGUMENT_VERBS,
};

// From its text: "text|none|json" is words, "NAME|FILE" files, "DIR" folders. NULL is QM_ARGUMENT_FREE.
enum qm_argument_kind qm_argument_kind(const char *text);
// Appends the words of a closed set with blanks between.
void qm_argument_words(struct qm_text *out, const char *text);

enum qm_completion_shell {
    QM_COMPLETION_BASH,
    QM_COMPLETION_ZSH,
    QM_COMPLETION_FISH,
};

// The script that the shell reads. QM_INVALID for a name that is none of bash, zsh, fish.
QM_MUST_USE enum qm_status qm_completion_shell_find(const char *name, enum qm_completion_shell *out);
void qm_completion_write(enum qm_completion_shell shell, struct qm_text *out);

// The manual page of a verb, in mdoc; NULL: that of the program. False if there is no such verb.
bool qm_manual_write(const char *verb, struct qm_text *out);
// All of them into a directory, which is made: qmark.1, qmark-run.1, ...
QM_MUST_USE enum qm_status qm_manual_write_all(const char *directory);

#endif
