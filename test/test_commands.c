// What is made of the verbs' option tables: every verb has two examples that it would take as they stand, and completions
// and manual pages hold every verb, action and option.
#include "cli/commands.h"
#include "cli/examples.h"
#include "cli/verbs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ---- Examples -------------------------------------------------------------------------------------------------------

#define WORDS_MAX 24

// A command line's words; a quoted one may hold blanks. The text is cut.
static size_t split(char *text, char *words[WORDS_MAX])
{
    size_t count = 0;
    while (*text && count < WORDS_MAX) {
        char end = *text == '\'' ? '\'' : ' ';
        text += end == '\'';
        words[count++] = text;
        text += strcspn(text, (const char[]){end, '\0'});
        if (*text)
            *text++ = '\0';
        text += strspn(text, " ");
    }
    return count;
}

static bool is_among(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at++)
        if ((at == words || at[-1] == '|') && (at[length] == '\0' || at[length] == '|'))
            return true;
    return false;
}

static void check_words(const struct qm_example *example, const struct qm_command *command, char **words, size_t count)
{
    size_t operands = 0;
    for (size_t i = 0; i < count; i++) {
        const struct qm_option *option = NULL;
        const char *name = strcmp(words[i], "-o") == 0 ? "out" : words[i] + 2;
        if (words[i][0] != '-') {
            operands++;
            continue;
        }
        for (size_t k = 0; k < command->option_count; k++)
            if (strcmp(command->options[k].name, name) == 0)
                option = &command->options[k];
        if (!option)
            fail_msg("'%s' has the option %s, which '%s' does not know", example->command, words[i], command->verb);
        if (option->kind == QM_OPTION_FLAG || option->kind == QM_OPTION_MAYBE)
            continue;
        if (++i == count)
            fail_msg("'%s' lacks a value at its end", example->command);
        if (option->kind == QM_OPTION_WHOLE)
            assert_int_equal(strspn(words[i], "0123456789"), strlen(words[i]));
        if (qm_argument_kind(option->argument) == QM_ARGUMENT_WORDS && !is_among(option->argument, words[i]))
            fail_msg("'%s': --%s is none of %s", example->command, option->name, option->argument);
    }
    if (operands < command->operands_min || operands > command->operands_max)
        fail_msg("'%s' has %zu operands", example->command, operands);
}

static void check_examples(void *context, const struct qm_command *command)
{
    size_t *checked = context, count = 0;
    char action[QM_COMMAND_WORD_BYTES];
    for (const struct qm_example *example = qm_examples; example->verb; example++) {
        char text[256], *words[WORDS_MAX];
        size_t before = strchr(command->verb, ' ') ? 3 : 2;
        if (strcmp(example->verb, command->verb) != 0)
            continue;
        count++;
        assert_true(strlen(example->command) <= 100);
        assert_true(strlen(example->meaning) > 0 && !strchr(example->meaning, '\n'));
        if (qm_command_action(command, 0, action))
            continue; // its actions' own examples are looked at
        snprintf(text, sizeof(text), "qmark %s ", command->verb);
        assert_memory_equal(example->command, text, strlen(command->verb) + 6);
        snprintf(text, sizeof(text), "%s", example->command);
        size_t found = split(text, words);
        check_words(example, command, words + before, found - before);
    }
    if (count != QM_EXAMPLES_SHOWN)
        fail_msg("'%s' has %zu examples in core/cli/examples.c; its help ends with %d", command->verb, count,
                 QM_EXAMPLES_SHOWN);
    *checked += count;
}

static void test_examples(void **state)
{
    (void)state;
    size_t checked = 0, all = 0;
    qm_commands_visit(check_examples, &checked);
    while (qm_examples[all].verb)
        all++;
    assert_int_equal(checked, all); // none is of a verb that is not there
}

// ---- Completions and manual pages -----------------------------------------------------------------------------------

struct wanted {
    const char *text, *before; // "--" or "-l "
};

static void has_options(void *context, const struct qm_command *command)
{
    const struct wanted *wanted = context;
    for (size_t i = 0; i < command->option_count; i++) {
        char text[96];
        snprintf(text, sizeof(text), "%s%s", wanted->before, command->options[i].name);
        if (!strstr(wanted->text, text))
            fail_msg("%s of '%s' is missing", text, command->verb);
    }
}

static void test_completions(void **state)
{
    (void)state;
    static const char *const shells[] = {"bash", "zsh", "fish"}, *const before[] = {"--", "--", " -l "};
    for (size_t i = 0; i < 3; i++) {
        struct qm_text text = {0};
        enum qm_completion_shell shell;
        assert_int_equal(qm_completion_shell_find(shells[i], &shell), QM_OK);
        qm_completion_write(shell, &text);
        assert_false(text.failed);
        struct wanted wanted = {qm_text_bytes(&text), before[i]};
        qm_commands_visit(has_options, &wanted);
        for (const struct qm_verb *verb = qm_verbs; verb->name; verb++)
            assert_non_null(strstr(wanted.text, verb->name));
        qm_text_free(&text);
    }
    enum qm_completion_shell shell;
    assert_int_equal(qm_completion_shell_find("tcsh", &shell), QM_INVALID);
    assert_string_equal(qm_error_text(), "completion: no shell 'tcsh'; expected bash, zsh or fish");
}

static void page_has_options(void *context, const struct qm_command *command)
{
    char verb[QM_COMMAND_WORD_BYTES];
    struct qm_text page = {0};
    (void)context;
    snprintf(verb, sizeof(verb), "%.*s", (int)strcspn(command->verb, " "), command->verb);
    assert_true(qm_manual_write(verb, &page));
    struct wanted wanted = {qm_text_bytes(&page), ".It Fl Fl "};
    has_options(&wanted, command);
    qm_text_free(&page);
}

static void test_manual(void **state)
{
    (void)state;
    struct qm_text page = {0};
    qm_commands_visit(page_has_options, NULL);
    assert_false(qm_manual_write("no-such-verb", &page));
    assert_true(qm_manual_write(NULL, &page));
    for (const struct qm_verb *verb = qm_verbs; verb->name; verb++) {
        char text[64];
        snprintf(text, sizeof(text), ".It Xr qmark-%s 1\n", verb->name);
        assert_non_null(strstr(qm_text_bytes(&page), text));
    }
    qm_text_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_completions),
        cmocka_unit_test(test_manual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
