// Questions with choices in CSV, as MMLU comes. How the model is asked follows hendrycks/test, evaluate.py.
#include "workload/csv.h"
#include "workload/examples_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    CHOICES_MIN = 2,
    CHOICES_MAX = 26,
    SHOTS_MAX = 5,
};

struct columns {
    size_t count; // fields of a record
    size_t question, answer;
    size_t choices[CHOICES_MAX], choice_count;
    size_t subject; // count: none
};

// ---- Text that grows ------------------------------------------------------------------------------------------------

struct text {
    char *bytes; // owned
    size_t used, room;
};

static enum qm_status append(struct text *text, const char *format, ...) QM_PRINTF(2, 3);

static enum qm_status append(struct text *text, const char *format, ...)
{
    va_list arguments;
    char *more = NULL;
    va_start(arguments, format);
    int length = vasprintf(&more, format, arguments);
    va_end(arguments);
    if (length < 0)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a question");
    size_t bytes = (size_t)length;
    if (text->used + bytes + 1 > text->room) {
        size_t room = 2 * (text->used + bytes + 1);
        char *grown = realloc(text->bytes, room);
        if (!grown) {
            free(more);
            return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a question of %zu bytes", room);
        }
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->used, more, bytes + 1);
    text->used += bytes;
    free(more);
    return QM_OK;
}

// ---- Columns --------------------------------------------------------------------------------------------------------

static size_t find_column(const struct qm_csv *csv, const char *name)
{
    size_t at = 0;
    while (at < csv->count && strcasecmp(csv->fields[at], name) != 0)
        at++;
    return at;
}

static enum qm_status read_heading(const struct qm_csv *csv, struct columns *out)
{
    *out = (struct columns){.count = csv->count,
                            .question = find_column(csv, "question"),
                            .answer = find_column(csv, "answer"),
                            .subject = find_column(csv, "subject")};
    for (int i = 0; i < CHOICES_MAX; i++) {
        size_t at = find_column(csv, (const char[]){(char)('A' + i), '\0'});
        if (at == csv->count)
            break;
        out->choices[out->choice_count++] = at;
    }
    if (out->choice_count < CHOICES_MIN)
        return qm_csv_invalid(csv, "the heading names %zu choices; expected columns A, B and as many more as there are",
                              out->choice_count);
    for (size_t i = 0; i < csv->count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(csv->fields[i], csv->fields[k]) == 0)
                return qm_csv_invalid(csv, "two columns '%.40s'; expected one", csv->fields[i]);
    return QM_OK;
}

// Of the first record; *is_heading tells whether it is one.
static enum qm_status find_columns(const struct qm_csv *csv, struct columns *out, bool *is_heading)
{
    *is_heading = find_column(csv, "question") < csv->count && find_column(csv, "answer") < csv->count;
    if (*is_heading)
        return read_heading(csv, out);
    if (csv->count < CHOICES_MIN + 2 || csv->count > CHOICES_MAX + 2)
        return qm_csv_invalid(csv, "%zu fields; expected a question, %d to %d choices and the letter of the right one",
                              csv->count, CHOICES_MIN, CHOICES_MAX);
    *out = (struct columns){
        .count = csv->count, .answer = csv->count - 1, .choice_count = csv->count - 2, .subject = csv->count};
    for (size_t i = 0; i < out->choice_count; i++)
        out->choices[i] = i + 1;
    return QM_OK;
}

static enum qm_status check_record(const struct qm_csv *csv, const struct columns *columns, size_t *right)
{
    if (csv->count != columns->count)
        return qm_csv_invalid(csv, "%zu fields, and the first record has %zu; put quotes around a field with commas",
                              csv->count, columns->count);
    if (!*csv->fields[columns->question])
        return qm_csv_invalid(csv, "the question is empty; expected a text");
    for (size_t i = 0; i < columns->choice_count; i++)
        if (!*csv->fields[columns->choices[i]])
            return qm_csv_invalid(csv, "choice %c is empty; expected a text", 'A' + (int)i);
    const char *answer = csv->fields[columns->answer];
    *right = strlen(answer) == 1 ? (size_t)(unsigned char)answer[0] - 'A' : CHOICES_MAX;
    if (*right >= columns->choice_count)
        return qm_csv_invalid(csv, "the answer is '%.40s'; expected the letter of a choice, A to %c", answer,
                              'A' + (int)columns->choice_count - 1);
    return QM_OK;
}

// ---- Prompts --------------------------------------------------------------------------------------------------------

// "a/abstract_algebra_test.csv" -> "abstract algebra"; "" where the name ends otherwise.
static void subject_of_name(const char *path, char *out, size_t size)
{
    static const char *const ends[] = {"_test.csv", "_val.csv", "_dev.csv"};
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    size_t length = strlen(name);
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t tail = strlen(ends[i]);
        if (length > tail && strcmp(name + length - tail, ends[i]) == 0)
            snprintf(out, size, "%.*s", (int)(length - tail), name);
    }
    for (char *c = out; *c; c++)
        *c = *c == '_' ? ' ' : *c;
}

static enum qm_status add_question(struct text *text, const struct qm_csv *csv, const struct columns *columns)
{
    QM_TRY(append(text, "%s", csv->fields[columns->question]));
    for (size_t i = 0; i < columns->choice_count; i++)
        QM_TRY(append(text, "\n%c. %s", 'A' + (int)i, csv->fields[columns->choices[i]]));
    return append(text, "\nAnswer:");
}

// The first questions of a file with their answers.
static enum qm_status read_shots(const struct qm_examples_csv *file, struct text *out, uint32_t *count)
{
    struct qm_csv csv;
    struct columns columns = {0};
    bool is_heading = false;
    enum qm_status status = QM_OK;
    QM_GUARD(qm_csv_begin(file->shots_name, file->shots, file->shots_bytes, &csv));
    QM_GUARD(qm_csv_next(&csv));
    if (csv.count == 0)
        goto done;
    QM_GUARD(find_columns(&csv, &columns, &is_heading));
    if (is_heading)
        QM_GUARD(qm_csv_next(&csv));
    while (csv.count > 0 && *count < SHOTS_MAX) {
        size_t right = 0;
        QM_GUARD(check_record(&csv, &columns, &right));
        QM_GUARD(add_question(out, &csv, &columns));
        QM_GUARD(append(out, " %c\n\n", 'A' + (int)right));
        ++*count;
        QM_GUARD(qm_csv_next(&csv));
    }
done:
    qm_csv_end(&csv);
    if (status == QM_OK && *count == 0)
        return QM_FAIL(QM_INVALID, "%s: it holds no question; expected some to stand before others", file->shots_name);
    return status;
}

// ---- Records --------------------------------------------------------------------------------------------------------

// The choices are letters: the same texts for all examples of a file.
static enum qm_status keep_letters(const struct qm_examples_line *line, size_t count, const char **letters)
{
    for (size_t i = 0; i < count; i++) {
        const char text[] = {' ', (char)('A' + (int)i), '\0'};
        QM_TRY(qm_line_keep(line, text, &letters[i]));
    }
    return QM_OK;
}

static enum qm_status read_record(const struct qm_examples_line *line, const struct qm_csv *csv,
                                  const struct columns *columns, const char *name_subject, const struct text *shots,
                                  const char *const *letters, struct qm_user_examples *examples)
{
    struct qm_user_example example = {.file = line->file, .line = csv->record, .max_tokens = line->params->max_tokens};
    struct text prompt = {0};
    char number[24];
    size_t right = 0;
    bool is_new = true;
    enum qm_status status = QM_OK;
    QM_GUARD(check_record(csv, columns, &right));
    const char *subject = columns->subject < csv->count ? csv->fields[columns->subject] : name_subject;
    QM_GUARD(
        append(&prompt, "The following are multiple choice questions (with answers)%s", *subject ? " about " : ""));
    size_t begin = prompt.used;
    QM_GUARD(append(&prompt, "%s", subject));
    for (char *c = prompt.bytes + begin; *c; c++)
        *c = *c == '_' ? ' ' : *c;
    QM_GUARD(append(&prompt, ".\n\n%s", shots->bytes ? shots->bytes : ""));
    QM_GUARD(add_question(&prompt, csv, columns));
    if (prompt.used > QM_EXAMPLES_LINE_MAX)
        QM_GUARD(qm_csv_invalid(csv, "a prompt of %zu bytes; expected %zu at most", prompt.used, QM_EXAMPLES_LINE_MAX));
    QM_GUARD(qm_line_keep(line, prompt.bytes, &example.prompt));
    struct qm_user_choice *choices = qm_line_room(line, columns->choice_count * sizeof(*choices));
    if (!choices)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "%s:%zu: no memory to read it", csv->name, csv->record));
    for (size_t i = 0; i < columns->choice_count; i++)
        choices[i] = (struct qm_user_choice){example.prompt, letters[i]};
    example.choices = choices;
    example.choice_count = (uint32_t)columns->choice_count;
    example.right_choice = (uint32_t)right;
    example.rule.match = QM_MATCH_CHOICE;
    snprintf(number, sizeof(number), "%zu", csv->record);
    QM_GUARD(qm_line_set_id(line, number, &example, &is_new));
    QM_GUARD(qm_line_add(line, examples, &example));
done:
    free(prompt.bytes);
    return status;
}

enum qm_status qm_examples_read_csv(const struct qm_examples_line *line, const struct qm_examples_csv *file,
                                    struct qm_user_examples *examples)
{
    struct qm_lines lines = *line->lines;
    const struct qm_examples_line own = {&lines, line->room, line->params, line->file, line->prefix};
    size_t most = line->params->examples_most > 0 ? line->params->examples_most : SIZE_MAX;
    char subject[256];
    const char *letters[CHOICES_MAX];
    struct qm_csv csv = {0};
    struct columns columns = {0};
    struct text shots = {0};
    uint32_t shot_count = 0;
    bool is_heading = false;
    enum qm_status status = QM_OK;
    if (examples->count >= most)
        return QM_OK;
    subject_of_name(file->name, subject, sizeof(subject));
    if (file->shots)
        QM_GUARD(read_shots(file, &shots, &shot_count));
    examples->shots = shot_count > examples->shots ? shot_count : examples->shots;
    QM_GUARD(qm_csv_begin(file->name, file->text, file->bytes, &csv));
    QM_GUARD(qm_csv_next(&csv));
    if (csv.count == 0)
        goto done;
    QM_GUARD(find_columns(&csv, &columns, &is_heading));
    QM_GUARD(keep_letters(line, columns.choice_count, letters));
    if (is_heading)
        QM_GUARD(qm_csv_next(&csv));
    while (csv.count > 0 && examples->count < most) {
        lines.number = csv.record;
        QM_GUARD(read_record(&own, &csv, &columns, subject, &shots, letters, examples));
        QM_GUARD(qm_csv_next(&csv));
    }
done:
    free(shots.bytes);
    qm_csv_end(&csv);
    return status;
}
