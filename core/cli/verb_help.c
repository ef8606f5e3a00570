#include "cli/commands.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "record/suggest.h"

#include <stdio.h>
#include <string.h>

static const char overview[] = "qmark times and scores one calibrated, quantized model through OpenCL and Vulkan.\n"
                               "\n"
                               "usage: qmark VERB [options] [FILE...]\n";

static const char exit_codes[] =
    "\n"
    "'qmark help VERB' lists the options of a verb, 'qmark explain WORD' says what a word of a table means.\n"
    "'qmark completion bash' prints completions for bash; likewise zsh and fish.\n"
    "\n"
    "exit codes: 0 yes or fine; 1 no; 2 bad input; 3 no device or loader; 4 wrong; 5 some rows failed;\n"
    "            10 regressed or does not hold; 12 inconclusive; 13 not comparable; 130 interrupted\n";

int qm_verb_help(int argc, char **argv)
{
    static const char *const groups[QM_VERB_GROUP_COUNT] = {"measure", "judge", "publish", "ask"};
    bool as_manual = false;
    const struct qm_option options[] = {
        {"man", QM_OPTION_FLAG, &as_manual, NULL, "print the manual page: qmark help --man run | man -l -"},
    };
    const struct qm_command command = {.verb = "help",
                                       .operands = "[VERB]",
                                       .operands_max = 1,
                                       .meaning = "List the verbs, or the options of one.",
                                       .details = "",
                                       .options = options,
                                       .option_count = sizeof(options) / sizeof(options[0])};
    const char **operands = NULL;
    size_t count = 0;
    bool done = false;
    enum qm_status status = qm_command_parse(&command, argc, argv, &operands, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    if (as_manual) {
        struct qm_text page = {0};
        bool is_known = qm_manual_write(count == 1 ? operands[0] : NULL, &page);
        fputs(qm_text_bytes(&page), stdout);
        qm_text_free(&page);
        if (is_known)
            return QM_EXIT_OK;
    }
    if (count == 1) {
        char verb[64];
        snprintf(verb, sizeof(verb), "%.60s", operands[0]);
        char *arguments[] = {(char[]){"qmark"}, verb, (char[]){"--help"}, NULL};
        return qm_main(3, arguments);
    }
    fputs(overview, stdout);
    for (int group = 0; group < QM_VERB_GROUP_COUNT; group++) {
        bool is_empty = true;
        for (const struct qm_verb *verb = qm_verbs; verb->name; verb++) {
            if ((int)verb->group != group)
                continue;
            if (is_empty)
                printf("\n%s:\n", groups[group]);
            is_empty = false;
            printf("  %-10s %s\n", verb->name, verb->meaning);
        }
    }
    fputs(exit_codes, stdout);
    return QM_EXIT_OK;
}
