#include "cli/options.h"
#include "cli/examples.h"
#include "record/suggest.h"
#include "report/facts.h"
#include "sys/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 32
#define LEFT 22 // columns of options in the help

// Who wants to see a command in place of its help; NULL: nobody.
static struct {
    qm_command_visit visit;
    void *context;
} visitor;

void qm_command_describe(int (*function)(int argc, char **argv), const char *words, qm_command_visit visit,
                         void *context)
{
    char text[64], help[] = "--help", *argv[4] = {text};
    int argc = 1;
    snprintf(text, sizeof(text), "%s", words);
    char *second = strchr(text, ' ');
    if (second) {
        *second = '\0';
        argv[argc++] = second + 1;
    }
    argv[argc++] = help;
    visitor.visit = visit;
    visitor.context = context;
    (void)function(argc, argv);
    visitor.visit = NULL;
}

static void print_option(const char *left, const char *meaning, size_t columns)
{
    struct qm_text text = {0};
    bool is_wide = strlen(left) > LEFT, is_narrow = columns > 0 && columns < 60; // no room for two columns
    size_t indent = is_narrow ? 6 : LEFT + 3, room = columns > 0 ? columns - 1 : SIZE_MAX / 2;
    printf("  %-*s%s", LEFT, left, is_wide || is_narrow ? "\n" : " ");
    if (is_wide || is_narrow)
        printf("%*s", (int)indent, "");
    qm_text_wrap(&text, meaning, room - indent, 0);
    for (const char *c = qm_text_bytes(&text); *c; c++) {
        putchar(*c);
        if (*c == '\n')
            printf("%*s", (int)indent, "");
    }
    putchar('\n');
    qm_text_free(&text);
}

static void say_examples(struct qm_text *out, const struct qm_command *command)
{
    const struct qm_example *examples[QM_EXAMPLES_SHOWN];
    size_t count = qm_examples_of(command->verb, examples);
    for (size_t i = 0; i < count; i++)
        qm_text_append(out, "%s  %s\n      %s\n", i == 0 ? "\nexamples:\n" : "", examples[i]->command,
                       examples[i]->meaning);
}

// Prints and empties it; `columns`: 0 for a pipe.
static void print_lines(struct qm_text *text, size_t columns)
{
    struct qm_text wrapped = {0};
    if (columns > 0)
        qm_text_wrap_lines(&wrapped, qm_text_bytes(text), columns);
    fputs(qm_text_bytes(columns > 0 ? &wrapped : text), stdout);
    qm_text_free(&wrapped);
    qm_text_free(text);
}

static void print_help(const struct qm_command *command)
{
    const size_t columns = qm_is_terminal(1) ? qm_terminal_columns(1, 80) : 0;
    struct qm_text text = {0};
    qm_text_append(&text, "usage: qmark %s%s%s%s\n\n%s\n", command->verb, command->option_count ? " [options]" : "",
                   *command->operands ? " " : "", command->operands, command->meaning);
    if (*command->details)
        qm_text_append(&text, "\n%s\n", command->details);
    qm_text_append(&text, "\noptions:\n");
    print_lines(&text, columns);
    for (size_t i = 0; i < command->option_count; i++) {
        const struct qm_option *option = &command->options[i];
        char left[96];
        snprintf(left, sizeof(left), option->kind == QM_OPTION_MAYBE ? "--%s[=%s%s]" : "--%s%s%s", option->name,
                 option->argument && option->kind != QM_OPTION_MAYBE ? " " : "",
                 option->argument ? option->argument : "");
        print_option(left, option->meaning, columns);
    }
    print_option("--help", "this text", columns);
    say_examples(&text, command);
    print_lines(&text, columns);
}

static enum qm_status find(const struct qm_command *command, const char *name, size_t length, size_t *index)
{
    char text[64];
    const char *names[OPTIONS_MAX + 1];
    size_t count = 0;
    for (; count < command->option_count && count < OPTIONS_MAX; count++) {
        names[count] = command->options[count].name;
        if (strlen(names[count]) == length && strncmp(names[count], name, length) == 0) {
            *index = count;
            return QM_OK;
        }
    }
    names[count++] = "help";
    snprintf(text, sizeof(text), "%.*s", (int)(length < 60 ? length : 60), name);
    const char *near = qm_suggest(text, names, count);
    if (near)
        return QM_FAIL(QM_INVALID, "%s: unknown option '--%s'; did you mean '--%s'?", command->verb, text, near);
    return QM_FAIL(QM_INVALID, "%s: unknown option '--%s'; 'qmark help %s' lists the options", command->verb, text,
                   command->verb);
}

static enum qm_status set_value(const struct qm_command *command, const struct qm_option *option, const char *value)
{
    if (option->kind == QM_OPTION_TEXT || option->kind == QM_OPTION_TEXTS || option->kind == QM_OPTION_MAYBE) {
        if (!*value)
            return QM_FAIL(QM_INVALID, "%s: option '--%s' has an empty value; expected %s", command->verb, option->name,
                           option->argument);
        if (option->kind != QM_OPTION_TEXTS) {
            *(const char **)option->out = value;
            return QM_OK;
        }
        struct qm_option_texts *texts = option->out;
        if (texts->count == QM_OPTION_TEXTS_MAX)
            return QM_FAIL(QM_INVALID, "%s: option '--%s' is given more than %d times", command->verb, option->name,
                           QM_OPTION_TEXTS_MAX);
        texts->items[texts->count++] = value;
        return QM_OK;
    }
    errno = 0;
    unsigned long long number = strtoull(value, NULL, 10);
    if (!*value || strspn(value, "0123456789") != strlen(value) || errno)
        return QM_FAIL(QM_INVALID, "%s: option '--%s' is '%.40s'; expected a whole number", command->verb, option->name,
                       value);
    *(uint64_t *)option->out = number;
    return QM_OK;
}

enum qm_status qm_command_parse(const struct qm_command *command, int argc, char **argv, const char ***operands,
                                size_t *operand_count, bool *done)
{
    bool given[OPTIONS_MAX] = {false};
    bool only_operands = false;
    size_t count = 0;
    *done = false;
    for (int i = 1; i < argc; i++) {
        char *word = argv[i];
        size_t index = 0;
        if (only_operands || word[0] != '-' || !word[1]) {
            argv[count++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_operands = true;
            continue;
        }
        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            if (visitor.visit)
                visitor.visit(visitor.context, command);
            else
                print_help(command);
            *done = true;
            return QM_OK;
        }
        bool is_out = strcmp(word, "-o") == 0; // the one short option besides -h, of verbs that have --out
        if (word[1] != '-' && !is_out)
            return QM_FAIL(QM_INVALID,
                           "%s: unknown option '%.40s'; options begin with two dashes, 'qmark help %s' "
                           "lists them",
                           command->verb, word, command->verb);
        const char *name = is_out ? "out" : word + 2;
        size_t length = strcspn(name, "=");
        QM_TRY(find(command, name, length, &index));
        const struct qm_option *option = &command->options[index];
        if (given[index] && option->kind != QM_OPTION_TEXTS)
            return QM_FAIL(QM_INVALID, "%s: option '--%s' is given twice; give it once", command->verb, option->name);
        given[index] = true;
        if (option->kind == QM_OPTION_FLAG) {
            if (name[length])
                return QM_FAIL(QM_INVALID, "%s: option '--%s' takes no value; write it without '='", command->verb,
                               option->name);
            *(bool *)option->out = true;
            continue;
        }
        if (option->kind == QM_OPTION_MAYBE && !name[length]) {
            *(const char **)option->out = "";
            continue;
        }
        const char *value = name[length] ? name + length + 1 : NULL;
        if (!value && i + 1 < argc)
            value = argv[++i];
        if (!value)
            return QM_FAIL(QM_INVALID, "%s: option '--%s' lacks its value; write '--%s %s'", command->verb,
                           option->name, option->name, option->argument);
        QM_TRY(set_value(command, option, value));
    }
    if (count < command->operands_min)
        return QM_FAIL(QM_INVALID, "%s: expected %s; write 'qmark %s %s'", command->verb, command->operands,
                       command->verb, command->operands);
    if (count > command->operands_max)
        return QM_FAIL(QM_INVALID, "%s: unexpected '%.60s'; write 'qmark %s%s%s'", command->verb,
                       argv[command->operands_max], command->verb, *command->operands ? " " : "", command->operands);
    *operands = (const char **)argv;
    *operand_count = count;
    return QM_OK;
}
