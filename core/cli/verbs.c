#include "cli/verbs.h"
#include "cli/commands.h"
#include "record/node.h"
#include "record/suggest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct qm_verb qm_verbs[] = {
    {"devices", QM_VERB_MEASURE, "list every device of every API, and what it can do", qm_verb_devices},
    {"run", QM_VERB_MEASURE, "time and score a profile on every device", qm_verb_run},
    {"calibrate", QM_VERB_MEASURE, "make the quantized artifacts of a profile", qm_verb_calibrate},
    {"kernels", QM_VERB_MEASURE, "time kernels alone at the sizes of real layers, beside each one's error",
     qm_verb_kernels},
    {"tune", QM_VERB_MEASURE, "search faster configurations of kernels for the devices here", qm_verb_tune},
    {"model", QM_VERB_MEASURE, "say what a model is, and what it needs on each device", qm_verb_model},
    {"show", QM_VERB_JUDGE, "print results as tables", qm_verb_show},
    {"compare", QM_VERB_JUDGE, "say whether results are comparable, and which fields differ", qm_verb_compare},
    {"gate", QM_VERB_JUDGE, "say whether something became slower, less accurate or larger", qm_verb_gate},
    {"verify", QM_VERB_JUDGE, "recompute results from their raw samples, and say where they differ", qm_verb_verify},
    {"reproduce", QM_VERB_JUDGE, "run a result again on your own card, and say which claims hold", qm_verb_reproduce},
    {"audit", QM_VERB_JUDGE, "say what a claim discloses, what follows from each gap, and what it is worth",
     qm_verb_audit},
    {"history", QM_VERB_JUDGE, "keep results, list them, show what changed over time", qm_verb_history},
    {"report", QM_VERB_PUBLISH, "write results as one page to publish, with pictures", qm_verb_report},
    {"claim", QM_VERB_PUBLISH, "write the deployment-grade statement that a result supports", qm_verb_claim},
    {"sign", QM_VERB_PUBLISH, "vouch for a result with your key", qm_verb_sign},
    {"explain", QM_VERB_HELP, "say what a metric, a word or a scheme means", qm_verb_explain},
    {"help", QM_VERB_HELP, "list the verbs, or the options of one", qm_verb_help},
    {0},
};

int qm_exit_of(enum qm_status status)
{
    switch (status) {
    case QM_OK:
        return QM_EXIT_OK;
    case QM_INVALID:
        return QM_EXIT_BAD_INPUT;
    case QM_UNAVAILABLE:
        return QM_EXIT_NO_DEVICE;
    case QM_WRONG_RESULT:
        return QM_EXIT_WRONG;
    default:
        return QM_EXIT_SOME_FAILED;
    }
}

int qm_verb_fail(enum qm_status status)
{
    // One line whatever came in: a path may hold a newline.
    char text[1100];
    snprintf(text, sizeof(text), "%s", qm_error_text());
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    fflush(stdout);
    fprintf(stderr, "qmark: %s\n", text);
    return qm_exit_of(status);
}

int qm_verb_print_json(struct qm_node **node)
{
    char *text = NULL;
    enum qm_status status = qm_node_write_json(*node, &text);
    qm_node_destroy(node);
    if (status != QM_OK)
        return qm_verb_fail(status);
    fputs(text, stdout);
    free(text);
    return QM_EXIT_OK;
}

static int unknown_verb(const char *word)
{
    const char *names[32];
    size_t count = 0;
    for (; qm_verbs[count].name && count < 32; count++)
        names[count] = qm_verbs[count].name;
    const char *near = qm_suggest(word, names, count);
    enum qm_status status = near ? QM_FAIL(QM_INVALID, "unknown verb '%.40s'; did you mean '%s'?", word, near)
                                 : QM_FAIL(QM_INVALID, "unknown verb '%.40s'; 'qmark help' lists them", word);
    return qm_verb_fail(status);
}

// Hidden: `completion SHELL` prints what a shell reads, `manual DIR` writes every manual page; for the build.
static int make_documents(int argc, char **argv, bool *is_such)
{
    struct qm_text text = {0};
    enum qm_completion_shell shell = QM_COMPLETION_BASH;
    *is_such = strcmp(argv[1], "completion") == 0 || strcmp(argv[1], "manual") == 0;
    if (!*is_such)
        return QM_EXIT_OK;
    enum qm_status status = QM_OK;
    if (argc != 3)
        status = QM_FAIL(QM_INVALID, "%s: write 'qmark completion bash|zsh|fish' or 'qmark manual DIR'", argv[1]);
    else if (strcmp(argv[1], "manual") == 0)
        status = qm_manual_write_all(argv[2]);
    else
        status = qm_completion_shell_find(argv[2], &shell);
    if (status == QM_OK && strcmp(argv[1], "completion") == 0) {
        qm_completion_write(shell, &text);
        fputs(qm_text_bytes(&text), stdout);
    }
    qm_text_free(&text);
    return status == QM_OK ? QM_EXIT_OK : qm_verb_fail(status);
}

static int run_verb(int argc, char **argv)
{
    if (argc < 2) {
        char *help[] = {(char[]){"help"}, NULL};
        qm_verb_help(1, help);
        return QM_EXIT_BAD_INPUT;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
        printf("qmark %s\n", QM_VERSION);
        return QM_EXIT_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        word = "help";
    for (const struct qm_verb *verb = qm_verbs; verb->name; verb++)
        if (strcmp(verb->name, word) == 0)
            return verb->function(argc - 1, argv + 1);
    bool is_document = false;
    int code = make_documents(argc, argv, &is_document);
    return is_document ? code : unknown_verb(word);
}

int qm_main(int argc, char **argv)
{
    int code = run_verb(argc, argv);
    // A table that could not be written, to a full disk for instance, is no success. A reader that has seen enough and
    // closed its pipe is.
    if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE && code == QM_EXIT_OK) {
        fprintf(stderr, "qmark: cannot write the output: %s; write it elsewhere or free some space\n", strerror(errno));
        return QM_EXIT_SOME_FAILED;
    }
    return code;
}
