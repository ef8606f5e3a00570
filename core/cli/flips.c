#include "cli/flips.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "report/table.h"
#include "workload/paired.h"

enum {
    CELL_COLUMNS = 32
};

// A text as one cell of a table, cut where it is longer; the table cleans it.
static void add_cut(struct qm_table *table, const char *text, size_t bytes)
{
    char cut[4 * CELL_COLUMNS + 8];
    size_t used = 0;
    for (size_t i = 0; i < bytes && used < 4 * CELL_COLUMNS; ++i)
        cut[used++] = text[i] == '\0' || text[i] == '\n' || text[i] == '\t' ? ' ' : text[i];
    cut[used] = '\0';
    qm_text_clean(cut);
    bool is_cut = used < bytes;
    while (qm_text_columns(cut) > CELL_COLUMNS) {
        do // whole characters
            --used;
        while (used > 0 && ((unsigned char)cut[used] & 0xC0) == 0x80);
        cut[used] = '\0';
        is_cut = true;
    }
    qm_table_cell(table, "%s%s", cut, is_cut ? "..." : "");
}

static enum qm_status add_answer(struct qm_table *table, const struct qm_answer_questions *questions, uint32_t example,
                                 const struct qm_generated *generated)
{
    char *text = NULL;
    size_t bytes = 0;
    QM_TRY(qm_answer_text(questions, example, &generated->answers[example], &text, &bytes));
    add_cut(table, text, bytes);
    free(text);
    return QM_OK;
}

static enum qm_status add_row(struct qm_table *table, const struct qm_prepared *prepared, const char *scheme,
                              const struct qm_scheme_run *run, uint32_t e, enum qm_answer_change change)
{
    const struct qm_user_example *example = &prepared->questions->examples->examples[e];
    const char *expected =
        example->choice_count > 0 ? example->choices[example->right_choice].text : example->answers[0];
    qm_table_row(table);
    qm_table_cell(table, "%s", scheme);
    add_cut(table, example->id, strlen(example->id));
    qm_table_cell(table, "%s", qm_answer_change_name(change));
    add_cut(table, expected, strlen(expected));
    QM_TRY(add_answer(table, prepared->questions, e, prepared->reference_generated));
    return add_answer(table, prepared->questions, e, run->generated);
}

enum qm_status qm_show_flips(const struct qm_prepared *prepared, const struct qm_device_run *run,
                             const struct qm_show_style *style, FILE *file)
{
    const struct qm_answer_run *reference = prepared->reference_answers;
    if (!prepared->questions || !reference)
        return QM_OK;
    if (prepared->lacks_reference) {
        fputs("\nno reference given: what answers were before is not known; --reference names the model of floats\n",
              file);
        return QM_OK;
    }
    struct qm_table *table = qm_table_create();
    size_t shown = 0, answered = 0;
    enum qm_status status = QM_OK;
    qm_table_column(table, "changed answers", false);
    qm_table_column(table, "id", false);
    qm_table_column(table, "change", false);
    qm_table_column(table, "expected", false);
    qm_table_column(table, "fp32", false);
    qm_table_column(table, "scheme", false);
    for (size_t s = 0; s < run->scheme_count; ++s) {
        const struct qm_answer_run *answers = run->schemes[s].answers;
        answered += answers != NULL;
        for (uint32_t e = 0; answers && e < answers->count; ++e) {
            const struct qm_paired_answer pair = {.scheme = (enum qm_judgement)answers->judgement[e],
                                                  .reference = (enum qm_judgement)reference->judgement[e],
                                                  .is_same = answers->is_same[e] == 1};
            enum qm_answer_change change = qm_answer_change(&pair);
            if (change == QM_CHANGE_NONE)
                continue;
            QM_GUARD(add_row(table, prepared, prepared->schemes[s].scheme.name, &run->schemes[s], e, change));
            ++shown;
        }
    }
    fputs("\n", file);
    if (shown)
        status = qm_table_write(table, file, style->columns, style->is_fancy);
    else if (answered)
        fputs("no answer of any scheme differs from fp32's\n", file);
done:
    qm_table_destroy(&table);
    return status;
}
