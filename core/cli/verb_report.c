#include "cli/options.h"
#include "cli/verbs.h"
#include "record/result_set.h"
#include "report/report_only.h"
#include "report/report_page.h"
#include "sys/file.h"

#include <stdio.h>
#include <string.h>

enum {
    RESULTS_MAX = 200
};

// A directory that is not there is the user's slip, which a write that fails is not.
static enum qm_status check_directory(const char *path)
{
    char directory[QM_PATH_BYTES];
    size_t length = (size_t)(qm_path_name(path) - path);
    snprintf(directory, sizeof(directory), "%.*s", (int)length, path);
    if (length > 0 && !qm_directory_exists(directory))
        return QM_FAIL(QM_INVALID, "report: %.200s: no such directory; make it, or write elsewhere with '--out'",
                       directory);
    return QM_OK;
}

// Only a report of before is written over, whatever else lies there.
static enum qm_status check_place(const char *path)
{
    char start[64] = "";
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

struct request {
    const char *out;
    const char *only, *colours; // of one picture
    struct qm_report_only_params picture;
};

static enum qm_status read_request(struct request *request)
{
    if (request->only && !qm_picture_read_name(request->only, &request->picture.picture))
        return QM_FAIL(QM_INVALID, "report: '--only' is '%.40s'; use trade, vendors, sustained, roofline or accuracy",
                       request->only);
    if (request->colours && !qm_picture_read_colours(request->colours, &request->picture.colours))
        return QM_FAIL(QM_INVALID, "report: '--colours' is '%.40s'; use follow, light or dark", request->colours);
    if (!request->only && (request->colours || request->picture.drawing || request->picture.width))
        return QM_FAIL(QM_INVALID,
                       "report: --drawing, --width and --colours are of one picture; name it with '--only'");
    if (request->only && !request->out)
        return QM_FAIL(QM_INVALID, "report: '--only' lacks a file; write '--out %s.svg'", request->only);
    request->out = request->out ? request->out : "report.html";
    return QM_OK;
}

static enum qm_status write_page(struct qm_result_set *set, const char *out)
{
    struct qm_text page = {0};
    enum qm_status status = QM_OK;
    if (set->count > RESULTS_MAX)
        return QM_FAIL(QM_INVALID, "report: %zu results; a page holds at most %d, name fewer", set->count, RESULTS_MAX);
    QM_TRY(check_place(out));
    QM_GUARD(qm_report_page_write(set, &page));
    QM_GUARD(qm_file_write(out, page.bytes, page.used));
    printf("%s: a report of %zu result%s, %zu KB\n", out, set->count, set->count == 1 ? "" : "s",
           (page.used + 999) / 1000);
done:
    qm_text_free(&page);
    return status;
}

static enum qm_status write_picture(const struct qm_result_set *set, const struct request *request)
{
    struct qm_text told = {0};
    enum qm_status status = qm_report_only(set, &request->picture, request->out, &told);
    if (status == QM_OK)
        fputs(qm_text_bytes(&told), stdout);
    qm_text_free(&told);
    return status;
}

static enum qm_status write_report(const char *const *paths, size_t count, const struct request *request)
{
    struct qm_result_set set;
    enum qm_status status = QM_OK;
    QM_TRY(qm_result_set_load(paths, count, &set));
    for (size_t i = 0; i < set.count; i++)
        if (qm_file_is_same(request->out, set.entries[i].path))
            QM_GUARD(QM_FAIL(QM_INVALID, "report: %.200s is one of the results; write elsewhere, with '--out'",
                             request->out));
    QM_GUARD(check_directory(request->out));
    QM_GUARD(request->only ? write_picture(&set, request) : write_page(&set, request->out));
    if (set.skipped > 0)
        printf("%zu file%s *.yaml of the directories %s no result\n", set.skipped, set.skipped == 1 ? "" : "s",
               set.skipped == 1 ? "is" : "are");
done:
    qm_result_set_free(&set);
    return status;
}

int qm_verb_report(int argc, char **argv)
{
    bool done = false;
    struct request request = {0};
    const struct qm_option options[] = {
        {"out", QM_OPTION_TEXT, &request.out, "FILE",
         "where it is written, '-o FILE' for short; report.html if not given"},
        {"only", QM_OPTION_TEXT, &request.only, "trade|vendors|sustained|roofline|accuracy",
         "one picture alone, as an .svg or a .png"},
        {"drawing", QM_OPTION_WHOLE, &request.picture.drawing, "N",
         "of several drawings of its kind, one a device for instance, this one; the first if not given"},
        {"width", QM_OPTION_WHOLE, &request.picture.width, "PIXELS",
         "of the picture, from 320 to 2000; 960 if not given"},
        {"colours", QM_OPTION_TEXT, &request.colours, "follow|light|dark",
         "of the picture; an .svg follows whoever looks and a .png is light if not given"},
    };
    const struct qm_command command = {
        .verb = "report",
        .operands = "RESULT...",
        .operands_min = 1,
        .operands_max = 1000,
        .meaning = "Write results as one page of HTML: what may be quoted, pictures, tables, the full disclosure.",
        .details =
            "A directory stands for all results in it. The page opens from a disk and asks nothing of the network;\n"
            "docs/REPORT.md says what each section says and what must not be concluded. A report or picture of\n"
            "before is written over, and nothing else.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0])};
    const char **files = NULL;
    size_t count = 0;
    enum qm_status status = qm_command_parse(&command, argc, argv, &files, &count, &done);
    if (status == QM_OK && done)
        return QM_EXIT_OK;
    if (status == QM_OK)
        status = read_request(&request);
    if (status == QM_OK)
        status = write_report(files, count, &request);
    return status == QM_OK ? QM_EXIT_OK : qm_verb_fail(status);
}
