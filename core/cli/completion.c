// Completions of command lines, from the tables that the verbs read them by.
#include <string.h>

#include "cli/commands.h"
#include "cli/verbs.h"

static bool is_action(const struct qm_command *command)
{
    return strchr(command->verb, ' ') != NULL;
}

static void list_actions(struct qm_text *out, const struct qm_command *command)
{
    char word[QM_COMMAND_WORD_BYTES];
    for (size_t i = 0; qm_command_action(command, i, word); i++)
        qm_text_append(out, "%s%s", i ? " " : "", word);
}

// A text within single quotes of a shell: `for_quote` stands for a quote in it, and what `more` has gets a backslash.
static void quote(struct qm_text *out, const char *text, const char *for_quote, const char *more)
{
    for (; *text; text++) {
        if (*text == '\'')
            qm_text_append(out, "%s", for_quote);
        else
            qm_text_append(out, "%s%c", strchr(more, *text) ? "\\" : "", *text);
    }
}

static void list_verbs(struct qm_text *out)
{
    for (const struct qm_verb *verb = qm_verbs; verb->name; verb++)
        qm_text_append(out, "%s%s", verb == qm_verbs ? "" : " ", verb->name);
}

enum qm_status qm_completion_shell_find(const char *name, enum qm_completion_shell *out)
{
    static const char *const names[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = (enum qm_completion_shell)i;
            return QM_OK;
        }
    }
    return QM_FAIL(QM_INVALID, "completion: no shell '%.40s'; expected bash, zsh or fish", name);
}

// ---- Bash -----------------------------------------------------------------------------------------------------------

static const char bash_head[] =
    "# Completion of qmark's command lines for bash, made by 'qmark completion bash'.\n"
    "# shellcheck shell=bash\n"
    "_qmark() {\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb='' kind=options words=''\n"
    "    COMPREPLY=()\n"
    "    # Bash parts --name=VALUE at the sign.\n"
    "    if [ \"$word\" = = ]; then\n"
    "        word=''\n"
    "    elif [ \"$before\" = = ] && ((COMP_CWORD > 2)); then\n"
    "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    fi\n"
    "    if ((COMP_CWORD == 1)); then\n"
    "        kind=words words='%s --help --version'\n"
    "    else\n"
    "        verb=${COMP_WORDS[1]}\n"
    "    fi\n";

static const char bash_tail[] = "    *) ;;\n"
                                "    esac\n"
                                "    if [ $kind = options ]; then\n"
                                "        case $word in\n"
                                "        -*) kind=words words=$options ;;\n"
                                "        *) kind=$operands ;;\n"
                                "        esac\n"
                                "    fi\n"
                                "    case $kind in\n"
                                "    words) mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\") ;;\n"
                                "    files)\n"
                                "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
                                "        compopt -o filenames 2>/dev/null\n"
                                "        ;;\n"
                                "    folders)\n"
                                "        mapfile -t COMPREPLY < <(compgen -d -- \"$word\")\n"
                                "        compopt -o filenames 2>/dev/null\n"
                                "        ;;\n"
                                "    *) ;;\n"
                                "    esac\n"
                                "}\n"
                                "complete -F _qmark qmark ./qmark\n";

static void bash_actions(void *context, const struct qm_command *command)
{
    struct qm_text *out = context;
    char word[QM_COMMAND_WORD_BYTES];
    if (!qm_command_action(command, 0, word))
        return;
    qm_text_append(out, "    if [ \"$verb\" = %s ]; then\n        if ((COMP_CWORD == 2)); then\n", command->verb);
    qm_text_append(out, "            kind=words words='");
    list_actions(out, command);
    qm_text_append(out, " --help'\n        else\n            verb=\"$verb ${COMP_WORDS[2]}\"\n        fi\n    fi\n");
}

static void bash_values(void *context, const struct qm_command *command)
{
    static const char *const kinds[] = {"free", "words", "files", "folders", "words"};
    struct qm_text *out = context;
    for (size_t i = 0; i < command->option_count; i++) {
        const struct qm_option *option = &command->options[i];
        enum qm_argument_kind kind = qm_argument_kind(option->argument);
        if (option->kind == QM_OPTION_FLAG || option->kind == QM_OPTION_MAYBE)
            continue;
        qm_text_append(out, "    '%s --%s') kind=%s", command->verb, option->name, kinds[kind]);
        if (kind == QM_ARGUMENT_WORDS) {
            qm_text_append(out, " words='");
            qm_argument_words(out, option->argument);
            qm_text_append(out, "'");
        }
        qm_text_append(out, " ;;\n");
    }
}

static void bash_options(void *context, const struct qm_command *command)
{
    static const char *const kinds[] = {"free", "free", "files", "folders", "words"};
    struct qm_text *out = context;
    enum qm_argument_kind kind = qm_argument_kind(command->operands);
    qm_text_append(out, "    '%s')\n        options='", command->verb);
    for (size_t i = 0; i < command->option_count; i++)
        qm_text_append(out, "--%s ", command->options[i].name);
    qm_text_append(out, "--help' operands=%s\n", kinds[kind]);
    if (kind == QM_ARGUMENT_VERBS) {
        qm_text_append(out, "        words='");
        list_verbs(out);
        qm_text_append(out, "'\n");
    }
    qm_text_append(out, "        ;;\n");
}

static void write_bash(struct qm_text *out)
{
    struct qm_text verbs = {0};
    list_verbs(&verbs);
    qm_text_append(out, bash_head, qm_text_bytes(&verbs));
    qm_text_free(&verbs);
    qm_commands_visit(bash_actions, out);
    qm_text_append(out, "    case \"$verb $before\" in\n");
    qm_commands_visit(bash_values, out);
    qm_text_append(out, "    *) ;;\n    esac\n    local options=--help operands=free\n    case $verb in\n");
    qm_commands_visit(bash_options, out);
    qm_text_append(out, "%s", bash_tail);
}

// ---- Zsh ------------------------------------------------------------------------------------------------------------

static void zsh_message(struct qm_text *out, const char *text)
{
    quote(out, text, "'\\''", ":\\");
}

static void zsh_action(struct qm_text *out, const char *argument)
{
    switch (qm_argument_kind(argument)) {
    case QM_ARGUMENT_WORDS:
        qm_text_append(out, "(");
        qm_argument_words(out, argument);
        qm_text_append(out, ")");
        break;
    case QM_ARGUMENT_FILES:
        qm_text_append(out, "_files");
        break;
    case QM_ARGUMENT_FOLDERS:
        qm_text_append(out, "_files -/");
        break;
    case QM_ARGUMENT_VERBS:
        qm_text_append(out, "(");
        list_verbs(out);
        qm_text_append(out, ")");
        break;
    default:
        qm_text_append(out, " ");
    }
}

static void zsh_function(void *context, const struct qm_command *command)
{
    struct qm_text *out = context;
    char word[QM_COMMAND_WORD_BYTES];
    qm_text_append(out, "\n_qmark_%.*s%s%s() {\n", (int)strcspn(command->verb, " "), command->verb,
                   is_action(command) ? "_" : "", is_action(command) ? strchr(command->verb, ' ') + 1 : "");
    if (qm_command_action(command, 0, word)) {
        qm_text_append(
            out, "    local curcontext=$curcontext state\n    _arguments -C '(- *)--help[this text]' '1:action:(");
        list_actions(out, command);
        qm_text_append(out,
                       ")' '*::argument:->argument'\n"
                       "    [[ $state == argument ]] && (( $+functions[_qmark_%s_$words[1]] )) && "
                       "_qmark_%s_$words[1]\n}\n",
                       command->verb, command->verb);
        return;
    }
    qm_text_append(out, "    _arguments");
    for (size_t i = 0; i < command->option_count; i++) {
        const struct qm_option *option = &command->options[i];
        qm_text_append(out, " \\\n        '%s--%s", option->kind == QM_OPTION_TEXTS ? "*" : "", option->name);
        qm_text_append(out, "%s[", option->kind == QM_OPTION_FLAG ? "" : option->kind == QM_OPTION_MAYBE ? "=-" : "=");
        quote(out, option->meaning, "'\\''", "[]:\\");
        qm_text_append(out, "]");
        if (option->kind != QM_OPTION_FLAG) {
            qm_text_append(out, option->kind == QM_OPTION_MAYBE ? "::" : ":");
            zsh_message(out, option->argument);
            qm_text_append(out, ":");
            zsh_action(out, option->argument);
        }
        qm_text_append(out, "'");
    }
    qm_text_append(out, " \\\n        '(- *)--help[this text]'");
    if (*command->operands) {
        qm_text_append(out, " \\\n        '*:");
        zsh_message(out, command->operands);
        qm_text_append(out, ":");
        zsh_action(out, command->operands);
        qm_text_append(out, "'");
    }
    qm_text_append(out, "\n}\n");
}

static void write_zsh(struct qm_text *out)
{
    qm_text_append(out, "#compdef qmark\n"
                        "# Completion of qmark's command lines for zsh, made by 'qmark completion zsh'.\n");
    qm_commands_visit(zsh_function, out);
    qm_text_append(out, "\n_qmark() {\n"
                        "    local curcontext=$curcontext state\n"
                        "    local -a verbs\n"
                        "    verbs=(\n");
    for (const struct qm_verb *verb = qm_verbs; verb->name; verb++) {
        qm_text_append(out, "        '%s:", verb->name);
        zsh_message(out, verb->meaning);
        qm_text_append(out, "'\n");
    }
    qm_text_append(out, "    )\n"
                        "    _arguments -C '(- *)--help[list the verbs]' '(- *)--version[the version]' \\\n"
                        "        '1:verb:->verb' '*::argument:->argument'\n"
                        "    case $state in\n"
                        "    verb) _describe verb verbs ;;\n"
                        "    argument) (( $+functions[_qmark_$words[1]] )) && _qmark_$words[1] ;;\n"
                        "    esac\n"
                        "}\n\n"
                        "if [[ $funcstack[1] == _qmark ]]; then\n"
                        "    _qmark \"$@\"\n"
                        "else\n"
                        "    compdef _qmark qmark\n"
                        "fi\n");
}

// ---- Fish -----------------------------------------------------------------------------------------------------------

static const char fish_head[] = "# Completion of qmark's command lines for fish, made by 'qmark completion fish'.\n"
                                "function __qmark_is # VERB [ACTION]: these words come first\n"
                                "    set -l words (commandline -opc)\n"
                                "    test (count $words) -gt (count $argv); or return 1\n"
                                "    test \"$words[2]\" = \"$argv[1]\"; or return 1\n"
                                "    test (count $argv) -lt 2; or test \"$words[3]\" = \"$argv[2]\"\n"
                                "end\n"
                                "function __qmark_at # N: so many words come first\n"
                                "    test (count (commandline -opc)) -eq $argv[1]\n"
                                "end\n"
                                "complete -c qmark -f\n"
                                "complete -c qmark -n '__qmark_at 1' -l help -d 'list the verbs'\n"
                                "complete -c qmark -n '__qmark_at 1' -l version -d 'the version'\n";

static void fish_meaning(struct qm_text *out, const char *meaning)
{
    qm_text_append(out, " -d '");
    quote(out, meaning, "\\'", "\\");
    qm_text_append(out, "'\n");
}

static void fish_value(struct qm_text *out, const char *argument)
{
    switch (qm_argument_kind(argument)) {
    case QM_ARGUMENT_WORDS:
        qm_text_append(out, " -x -a '");
        qm_argument_words(out, argument);
        qm_text_append(out, "'");
        break;
    case QM_ARGUMENT_FILES:
        qm_text_append(out, " -r -F");
        break;
    case QM_ARGUMENT_FOLDERS:
        qm_text_append(out, " -x -a '(__fish_complete_directories (commandline -ct))'");
        break;
    default:
        qm_text_append(out, " -x");
    }
}

static void fish_command(void *context, const struct qm_command *command)
{
    struct qm_text *out = context;
    char word[QM_COMMAND_WORD_BYTES];
    for (size_t i = 0; qm_command_action(command, i, word); i++)
        qm_text_append(out, "complete -c qmark -n '__qmark_is %s; and __qmark_at 2' -a %s\n", command->verb, word);
    for (size_t i = 0; i < command->option_count; i++) {
        const struct qm_option *option = &command->options[i];
        qm_text_append(out, "complete -c qmark -n '__qmark_is %s' -l %s", command->verb, option->name);
        if (option->kind != QM_OPTION_FLAG && option->kind != QM_OPTION_MAYBE)
            fish_value(out, option->argument);
        fish_meaning(out, option->meaning);
    }
    qm_text_append(out, "complete -c qmark -n '__qmark_is %s' -l help -d 'this text'\n", command->verb);
    enum qm_argument_kind kind = qm_argument_kind(command->operands);
    if (kind == QM_ARGUMENT_FILES || kind == QM_ARGUMENT_FOLDERS) {
        qm_text_append(out, "complete -c qmark -n '__qmark_is %s' -F\n", command->verb);
    } else if (kind == QM_ARGUMENT_VERBS) {
        qm_text_append(out, "complete -c qmark -n '__qmark_is %s' -a '", command->verb);
        list_verbs(out);
        qm_text_append(out, "'\n");
    }
}

static void write_fish(struct qm_text *out)
{
    qm_text_append(out, "%s", fish_head);
    for (const struct qm_verb *verb = qm_verbs; verb->name; verb++) {
        qm_text_append(out, "complete -c qmark -n '__qmark_at 1' -a %s", verb->name);
        fish_meaning(out, verb->meaning);
    }
    qm_commands_visit(fish_command, out);
}

void qm_completion_write(enum qm_completion_shell shell, struct qm_text *out)
{
    if (shell == QM_COMPLETION_BASH)
        write_bash(out);
    else if (shell == QM_COMPLETION_ZSH)
        write_zsh(out);
    else
        write_fish(out);
}
