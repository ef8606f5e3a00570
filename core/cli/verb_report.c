#include "cli/options.h"
#include "cli/verbs.h"
#include "record/result_set.h"
#include "report/report_page.h"
#include "sys/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RESULTS_MAX = 200
};

// Nothing is written over but a report: not the results that it is made of, and not what else lies there.
static enum qm_status check_place(const char *path, const struct qm_result_set *set)
{
    char start[64] = "";
    for (size_t i = 0; i < set->count; i++)
        if (qm_file_is_same(path, set->entries[i].path))
            return QM_FAIL(QM_INVALID, "report: %.200s is one of the results; write the report elsewhere, with '--out'",
                           path);
    if (qm_directory_exists(path))
        return QM_FAIL(QM_INVALID, "report: %.200s is a directory; name a file in it, such as report.html", path);
    FILE *file = fopen(path, "rb");
    size_t count = file ? fread(start, 1, strlen(qm_report_page_mark), file) : 0;
    if (file)
        fclose(file);
    if (count > 0 && strcmp(start, qm_report_page_mark) != 0)
        return QM_FAIL(QM_INVALID,
                       "report: %.200s is there and is no report of qmark; remove it or choose another name", path);
    return QM_OK;
}

static enum qm_status write_report(const char *const *paths, size_t count, const char *out)
{
    struct qm_result_set set;
    struct qm_text page = {0};
    enum qm_status status = QM_OK;
    QM_TRY(qm_result_set_load(paths, count, &set));
    if (set.count > RESULTS_MAX)
        QM_GUARD(
            QM_FAIL(QM_INVALID, "report: %zu results; a page holds at most %d, name fewer", set.count, RESULTS_MAX));
    QM_GUARD(check_place(out, &set));
    QM_GUARD(qm_report_page_write(&set, &page));
    QM_GUARD(qm_file_write(out, page.bytes, page.used));
    printf("%s: a report of %zu result%s, %zu KB\n", out, set.count, set.count == 1 ? "" : "s", page.used / 1000);
    if (set.skipped > 0)
        printf("%zu file%s *.yaml of the directories %s no result\n", set.skipped, set.skipped == 1 ? "" : "s",
               set.skipped == 1 ? "is" : "are");
done:
    qm_text_free(&page);
    qm_result_set_free(&set);
    return status;
}

int qm_verb_report(int argc, char **argv)
{
    bool done = false;
    const char *out = "report.html";
    const struct qm_option options[] = {
        {"out", QM_OPTION_TEXT, &out, "FILE", "where it is written, '-o FILE' for short; report.html if not given"},
    };
    const struct qm_command command = {
        .verb = "report",
        .operands = "RESULT...",
        .operands_min = 1,
        .operands_max = 1000,
        .meaning = "Write results as one page of HTML: what may be quoted, pictures, tables, the full disclosure.",
        .details =
            "A directory stands for all results in it. The page opens from a disk and asks nothing of the network;\n"
            "docs/REPORT.md says what each section says and what must not be concluded.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **files = NULL;
    size_t count = 0;
    enum qm_status status = qm_command_parse(&command, argc, argv, &files, &count, &done);
    if (status != QM_OK)
        return qm_verb_fail(status);
    if (done)
        return QM_EXIT_OK;
    status = write_report(files, count, out);
    return status == QM_OK ? QM_EXIT_OK : qm_verb_fail(status);
}
