#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"

bool qm_command_action(const struct qm_command *command, size_t index, char word[QM_COMMAND_WORD_BYTES])
{
    const char *at = command->operands;
    if (*at < 'a' || *at > 'z')
        return false;
    for (; *at && *at != ' '; at += *at == '|') {
        size_t length = strcspn(at, "| ");
        if (index-- == 0) {
            snprintf(word, QM_COMMAND_WORD_BYTES, "%.*s", (int)length, at);
            return true;
        }
        at += length;
    }
    return false;
}

struct visiting {
    const struct qm_verb *verb;
    qm_command_visit visit;
    void *context;
    char actions[8][QM_COMMAND_WORD_BYTES]; // kept, for the command is gone when its actions are asked
    size_t action_count;
};

static void visit_verb(void *context, const struct qm_command *command)
{
    struct visiting *visiting = context;
    visiting->visit(visiting->context, command);
    while (visiting->action_count < 8 &&
           qm_command_action(command, visiting->action_count, visiting->actions[visiting->action_count]))
        visiting->action_count++;
}

void qm_commands_visit(qm_command_visit visit, void *context)
{
    for (const struct qm_verb *verb = qm_verbs; verb->name; verb++) {
        struct visiting visiting = {.verb = verb, .visit = visit, .context = context};
        qm_command_describe(verb->function, verb->name, visit_verb, &visiting);
        for (size_t i = 0; i < visiting.action_count; i++) {
            char words[2 * QM_COMMAND_WORD_BYTES];
            snprintf(words, sizeof(words), "%.30s %.30s", verb->name, visiting.actions[i]);
            qm_command_describe(verb->function, words, visit, context);
        }
    }
}

// ---- Arguments ------------------------------------------------------------------------------------------------------

enum qm_argument_kind qm_argument_kind(const char *text)
{
    static const char *const files[] = {"FILE", "RESULT", "CLAIM", "BASELINE", "A B"};
    if (!text || !*text)
        return QM_ARGUMENT_FREE;
    if (strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-|") == strlen(text))
        return QM_ARGUMENT_WORDS;
    if (strstr(text, "VERB"))
        return QM_ARGUMENT_VERBS;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (strstr(text, files[i]))
            return QM_ARGUMENT_FILES;
    return strstr(text, "DIR") ? QM_ARGUMENT_FOLDERS : QM_ARGUMENT_FREE;
}

void qm_argument_words(struct qm_text *out, const char *text)
{
    for (; text && *text; text++)
        qm_text_append(out, "%c", *text == '|' ? ' ' : *text);
}
