// Manual pages in mdoc, from the tables that the verbs read their command lines by.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/examples.h"
#include "cli/verbs.h"
#include "sys/file.h"

static const char *const groups[QM_VERB_GROUP_COUNT] = {"Measure", "Judge", "Publish", "Ask"};

#define TEXT_COLUMNS 78 // of the source, where a longer line is bad style

// One line as it is: a backslash and what a line must not begin with are made harmless.
static void say_line(struct qm_text *out, const char *text, size_t length)
{
    if (length > 0 && (*text == '.' || *text == '\''))
        qm_text_append(out, "\\&");
    for (size_t i = 0; i < length; i++)
        qm_text_append(out, text[i] == '\\' ? "\\e" : "%c", text[i]);
}

// Running text: each sentence begins a line of the source.
static void say(struct qm_text *out, const char *text)
{
    size_t used = 0;
    char last = 0;
    for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
        size_t length = strcspn(text, " \n");
        bool is_new = used > 0 && (used + 1 + length > TEXT_COLUMNS || strchr(".?!", last));
        qm_text_append(out, "%s", is_new ? "\n" : used > 0 ? " " : "");
        used = (is_new || used == 0 ? 0 : used + 1) + length;
        if (used == length)
            say_line(out, text, length);
        else
            for (size_t i = 0; i < length; i++)
                qm_text_append(out, text[i] == '\\' ? "\\e" : "%c", text[i]);
        last = text[length - 1];
        text += length;
    }
}

// Text on the line of a macro, where short words that begin with a capital would be macros themselves.
static void say_on_macro_line(struct qm_text *out, const char *text)
{
    bool is_start = true;
    for (; *text; text++) {
        if (is_start && (isupper((unsigned char)*text) || ispunct((unsigned char)*text)))
            qm_text_append(out, "\\&");
        if (*text == '\\')
            qm_text_append(out, "\\e");
        else
            qm_text_append(out, "%c", *text);
        is_start = *text == ' ';
    }
}

static void say_name(struct qm_text *out, const char *words, bool upper)
{
    for (; *words; words++)
        qm_text_append(out, "%c", *words == ' ' ? '-' : upper ? toupper((unsigned char)*words) : *words);
}

// Lines that begin with blanks keep their layout; what is between empty lines is a paragraph.
static void say_details(struct qm_text *out, const char *details)
{
    while (*details) {
        const bool has_layout = details[0] == ' ';
        size_t length = 0;
        struct qm_text part = {0};
        do {
            length += strcspn(details + length, "\n");
            length += details[length] == '\n';
        } while (details[length] && details[length] != '\n' && (details[length] == ' ') == has_layout);
        qm_text_append(&part, "%.*s", (int)length, details);
        qm_text_append(out, has_layout ? ".Bd -literal\n" : ".Pp\n");
        if (has_layout)
            qm_text_append(out, "%s", qm_text_bytes(&part));
        else
            say(out, qm_text_bytes(&part));
        size_t end = out->used;
        qm_text_append(out, "%s%s", end > 0 && out->bytes[end - 1] == '\n' ? "" : "\n", has_layout ? ".Ed\n" : "");
        qm_text_free(&part);
        details += length + strspn(details + length, "\n");
    }
}

static void say_options(struct qm_text *out, const struct qm_command *command)
{
    qm_text_append(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < command->option_count; i++) {
        const struct qm_option *option = &command->options[i];
        qm_text_append(out, ".It Fl Fl %s", option->name);
        if (option->argument) {
            qm_text_append(out, option->kind == QM_OPTION_MAYBE ? " Ns Op = Ns Ar " : " Ar ");
            say_on_macro_line(out, option->argument);
        }
        qm_text_append(out, "\n");
        struct qm_text meaning = {0};
        qm_text_append(&meaning, "%c%s.", toupper((unsigned char)option->meaning[0]), option->meaning + 1);
        say(out, qm_text_bytes(&meaning));
        qm_text_append(out, "\n");
        qm_text_free(&meaning);
    }
    qm_text_append(out, ".It Fl Fl help\nPrint the options.\n.El\n");
}

static void say_synopsis(struct qm_text *out, const struct qm_command *command)
{
    qm_text_append(out, ".Nm qmark %s\n", command->verb);
    if (command->option_count > 0)
        qm_text_append(out, ".Op Ar options\n");
    if (*command->operands == '[')
        qm_text_append(out, ".Op Ar %.*s\n", (int)strcspn(command->operands + 1, "]"), command->operands + 1);
    else if (*command->operands)
        qm_text_append(out, ".Ar %s\n", command->operands);
}

// A command that is longer than a line goes on in the next.
static void say_command(struct qm_text *out, const char *command)
{
    size_t used = 0;
    while (*command) {
        size_t length = strcspn(command, " ");
        bool is_new = used > 0 && used + 1 + length > TEXT_COLUMNS - 8;
        qm_text_append(out, "%s", is_new ? " \\e\n    " : used > 0 ? " " : "");
        used = (is_new ? 4 : used + (used > 0)) + length;
        for (size_t i = 0; i < length; i++)
            qm_text_append(out, command[i] == '\\' ? "\\e" : "%c", command[i]);
        command += length + (command[length] == ' ');
    }
}

static void say_examples(struct qm_text *out, const char *verb)
{
    const struct qm_example *examples[QM_EXAMPLES_SHOWN];
    size_t count = qm_examples_of(verb, examples);
    for (size_t i = 0; i < count; i++) {
        struct qm_text text = {0};
        qm_text_append(&text, "%c%s:", toupper((unsigned char)examples[i]->meaning[0]), examples[i]->meaning + 1);
        qm_text_append(out, ".Pp\n");
        say(out, qm_text_bytes(&text));
        qm_text_append(out, "\n.Bd -literal -offset indent\n");
        say_command(out, examples[i]->command);
        qm_text_append(out, "\n.Ed\n");
        qm_text_free(&text);
    }
}

static void begin(struct qm_text *out, const char *title, const char *name, const char *meaning)
{
    qm_text_append(out, ".\\\" Made by 'qmark help --man' from the tables that the program reads its options by.\n");
    qm_text_append(out, ".Dd %s\n.Dt ", QM_VERSION_DATE);
    say_name(out, title, true);
    qm_text_append(out, " 1\n.Os\n.Sh NAME\n.Nm ");
    say_name(out, name, false);
    qm_text_append(out, "\n.Nd ");
    say_on_macro_line(out, meaning);
    qm_text_append(out, "\n");
}

// ---- A verb ---------------------------------------------------------------------------------------------------------

struct page {
    struct qm_text *out;
    const struct qm_verb *verb;
    enum {
        SYNOPSIS,
        DESCRIPTION,
        EXAMPLES,
    } part;
};

static void say_part(void *context, const struct qm_command *command)
{
    struct page *page = context;
    size_t length = strlen(page->verb->name);
    char word[QM_COMMAND_WORD_BYTES];
    bool is_action = strchr(command->verb, ' ') != NULL, has_actions = qm_command_action(command, 0, word);
    if (strncmp(command->verb, page->verb->name, length) != 0 ||
        (command->verb[length] != '\0' && command->verb[length] != ' '))
        return;
    if (page->part == SYNOPSIS && !has_actions)
        say_synopsis(page->out, command);
    if (page->part == EXAMPLES && !has_actions)
        say_examples(page->out, command->verb);
    if (page->part != DESCRIPTION)
        return;
    if (is_action)
        qm_text_append(page->out, ".Ss %s\n", command->verb);
    say(page->out, command->meaning);
    qm_text_append(page->out, "\n");
    if (has_actions) // its details are a list of what follows
        return;
    say_details(page->out, command->details);
    qm_text_append(page->out, ".Pp\nThe options are:\n");
    say_options(page->out, command);
}

static void say_verb(struct qm_text *out, const struct qm_verb *verb)
{
    struct page page = {.out = out, .verb = verb, .part = SYNOPSIS};
    char name[64];
    snprintf(name, sizeof(name), "qmark %.40s", verb->name);
    begin(out, name, name, verb->meaning);
    qm_text_append(out, ".Sh SYNOPSIS\n");
    qm_commands_visit(say_part, &page);
    qm_text_append(out, ".Sh DESCRIPTION\n");
    page.part = DESCRIPTION;
    qm_commands_visit(say_part, &page);
    qm_text_append(out, ".Sh EXAMPLES\n");
    size_t start = out->used;
    page.part = EXAMPLES;
    qm_commands_visit(say_part, &page);
    // A section must not begin with a paragraph.
    if (out->used > start && strncmp(out->bytes + start, ".Pp\n", 4) == 0) {
        memmove(out->bytes + start, out->bytes + start + 4, out->used - start - 4 + 1);
        out->used -= 4;
    }
    qm_text_append(out, ".Sh SEE ALSO\n.Xr qmark 1\n");
}

// ---- The program ----------------------------------------------------------------------------------------------------

static const char description[] = ".Nm\n"
                                  "times one calibrated, quantized model through OpenCL and Vulkan and scores\n"
                                  "the passes that it timed.\n"
                                  "No speed is printed without the accuracy of the same weights, through the\n"
                                  "same kernels, on the same device, or the words\n"
                                  ".Dq accuracy: not measured .\n"
                                  "This is version " QM_VERSION ".\n";

static const char rest[] = ".Sh ENVIRONMENT\n"
                           ".Bl -tag -width Ds\n"
                           ".It Ev NO_COLOR\n"
                           "If it is set and not empty, no colour is used.\n"
                           ".It Ev QM_CACHE_DIR\n"
                           "Where artifacts, references and compiled kernels are kept.\n"
                           "Otherwise\n"
                           ".Pa qmark\n"
                           "in\n"
                           ".Ev XDG_CACHE_HOME\n"
                           "or\n"
                           ".Pa ~/.cache .\n"
                           ".It Ev QM_DATA_DIR\n"
                           "Where\n"
                           ".Pa models\n"
                           "and\n"
                           ".Pa profiles\n"
                           "lie, if not where the program was installed.\n"
                           ".It Ev QM_HISTORY\n"
                           "The database of\n"
                           ".Xr qmark-history 1 .\n"
                           ".It Ev VK_DRIVER_FILES , Ev OCL_ICD_VENDORS\n"
                           "Which drivers the loaders of Vulkan and OpenCL see.\n"
                           ".El\n"
                           ".Sh EXIT STATUS\n"
                           ".Bl -tag -width Ds -compact\n"
                           ".It 0\n"
                           "yes, or fine\n"
                           ".It 1\n"
                           "no: an audit or a verification does not hold\n"
                           ".It 2\n"
                           "bad input\n"
                           ".It 3\n"
                           "no device or loader\n"
                           ".It 4\n"
                           "something is wrong: a kernel or a model computes other values than it must\n"
                           ".It 5\n"
                           "some rows failed\n"
                           ".It 10\n"
                           "regressed, or does not hold\n"
                           ".It 12\n"
                           "inconclusive\n"
                           ".It 13\n"
                           "not comparable\n"
                           ".It 130\n"
                           "interrupted\n"
                           ".El\n";

static void say_program(struct qm_text *out)
{
    begin(out, "qmark", "qmark", "time and score a quantized model through OpenCL and Vulkan");
    qm_text_append(out, ".Sh SYNOPSIS\n.Nm\n.Ar verb\n.Op Ar options\n.Op Ar\n.Sh DESCRIPTION\n%s", description);
    for (int group = 0; group < QM_VERB_GROUP_COUNT; group++) {
        qm_text_append(out, ".Ss %s\n.Bl -tag -width Ds -compact\n", groups[group]);
        for (const struct qm_verb *verb = qm_verbs; verb->name; verb++) {
            if ((int)verb->group != group)
                continue;
            qm_text_append(out, ".It Xr qmark-%s 1\n", verb->name);
            say(out, verb->meaning);
            qm_text_append(out, "\n");
        }
        qm_text_append(out, ".El\n");
    }
    qm_text_append(out, "%s.Sh EXAMPLES\n", rest);
    struct qm_text examples = {0};
    say_examples(&examples, "run");
    qm_text_append(out, "%s", qm_text_bytes(&examples) + (examples.used > 4 ? 4 : 0)); // without the first .Pp
    qm_text_free(&examples);
}

bool qm_manual_write(const char *name, struct qm_text *out)
{
    if (!name) {
        say_program(out);
        return true;
    }
    for (const struct qm_verb *verb = qm_verbs; verb->name; verb++) {
        if (strcmp(verb->name, name) == 0) {
            say_verb(out, verb);
            return true;
        }
    }
    return false;
}

enum qm_status qm_manual_write_all(const char *directory)
{
    QM_TRY(qm_directory_make(directory));
    for (const struct qm_verb *verb = NULL; !verb || verb->name; verb = verb ? verb + 1 : qm_verbs) {
        struct qm_text page = {0};
        char name[64], path[QM_PATH_BYTES];
        snprintf(name, sizeof(name), "qmark%s%.40s.1", verb ? "-" : "", verb ? verb->name : "");
        qm_manual_write(verb ? verb->name : NULL, &page);
        enum qm_status status = page.failed ? QM_FAIL(QM_OUT_OF_MEMORY, "no memory for %s; close other programs", name)
                                            : qm_path_join(path, directory, name);
        if (status == QM_OK)
            status = qm_file_write(path, qm_text_bytes(&page), page.used);
        qm_text_free(&page);
        QM_TRY(status);
        if (verb && !verb[1].name)
            break;
    }
    return QM_OK;
}
