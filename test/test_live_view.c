// Lines of the live view and the closing of a run: no line is wider than the terminal, whatever its width and characters; no
// speed stands without its accuracy; goldens of the closing at 40, 80 and 100 columns.
#include "cli/live_view.h"
#include "record/node.h"
#include "record/result.h"
#include "report/closing.h"
#include "report/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONG_NAME                                                                                                      \
    "Intel\xc2\xae Arc\xe2\x84\xa2 A770 Graphics of a Very Long Name \xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\xe5\xad\x97"

static const struct qm_live_line lines[] = {
    {.id = "vulkan:0", .name = LONG_NAME, .state = QM_LIVE_WAITS, .seconds_left = -1},
    {.id = "vulkan:0", .name = LONG_NAME, .state = QM_LIVE_DONE, .text = "6 of 6 ok, 58 s"},
    {.id = "opencl:12", .name = "pthread\x1b[2J\n-AMD", .state = QM_LIVE_FAILED, .text = "2 WRONG, 4 of 6 ok, 58 s"},
    {.id = "vulkan:0", .name = LONG_NAME, .state = QM_LIVE_RUNS, .text = "self-test", .seconds_left = -1},
    {.id = "vulkan:0",
     .name = LONG_NAME,
     .state = QM_LIVE_RUNS,
     .text = "timing w4a16-g32-gptq-kv8, decode batch 8, block 12",
     .fraction = 0.456,
     .seconds_left = 5025,
     .live = {.has_rate = true, .has_accuracy = true, .rate_tokens_per_s = 12345.6, .kl_mean = 0.002134}},
    {.id = "vulkan:0",
     .name = LONG_NAME,
     .state = QM_LIVE_RUNS,
     .text = "timing w8a8, prefill batch 1, block 2",
     .fraction = 1.5,
     .seconds_left = 1e12,
     .live = {.has_rate = true, .rate_tokens_per_s = 1e9}},
};

// Without what colours it.
static void strip(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (*from == '\033')
            from += strcspn(from, "m");
        else
            *to++ = *from;
    }
    *to = '\0';
}

static void check_line(char *line, const struct qm_live_style *style)
{
    strip(line);
    if (style->columns >= 24 && qm_text_columns(line) + QM_LIVE_COLUMNS_LEFT > style->columns)
        fail_msg("%zu columns of %u: '%s'", qm_text_columns(line), style->columns, line);
    for (const char *c = line; !style->is_utf8 && *c; c++)
        if ((unsigned char)*c >= 0x80)
            fail_msg("more than ASCII: '%s'", line);
    if (strstr(line, "t/s") && !strstr(line, "KL ") && !strstr(line, "accuracy: not measured"))
        fail_msg("half a claim: '%s'", line);
    assert_null(strchr(line, '\033'));
}

static void test_lines_fit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        for (unsigned columns = 1; columns <= 200; columns++) {
            for (int kind = 0; kind < 4; kind++) {
                const struct qm_live_style style = {columns, kind & 1, kind & 2};
                struct qm_text text = {0};
                qm_live_line_write(&text, &lines[i], &style);
                char *rest = NULL, *copy = strdup(qm_text_bytes(&text));
                for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                    check_line(line, &style);
                if (!style.has_colour)
                    assert_null(strchr(qm_text_bytes(&text), '\033'));
                free(copy);
                qm_text_free(&text);
            }
        }
    }
}

static void written(const struct qm_live_line *line, unsigned columns, bool is_utf8, const char *expected)
{
    const struct qm_live_style style = {columns, is_utf8, false};
    struct qm_text text = {0};
    qm_live_line_write(&text, line, &style);
    assert_string_equal(qm_text_bytes(&text), expected);
    qm_text_free(&text);
}

static void test_lines(void **state)
{
    (void)state;
    const struct qm_live_line line = {
        .id = "vulkan:0",
        .name = "llvmpipe",
        .state = QM_LIVE_RUNS,
        .text = "timing w8a8, decode batch 1, block 4",
        .fraction = 0.5,
        .seconds_left = 12,
        .live = {.has_rate = true, .has_accuracy = true, .rate_tokens_per_s = 255.4, .kl_mean = 0.00213}};
    written(&line, 40, false, "vulkan:0   50 % ####.... 12 s\n  timing w8a8, KL 0.00213: 255 t/s\n");
    written(&line, 80, false, "vulkan:0 llvmpipe     50 % ####....   12 s  timing w8a8, KL 0.00213: 255 t/s\n");
    written(&line, 100, true,
            "vulkan:0 llvmpipe              50 % "
            "\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88"
            "\xe2\x96\x91\xe2\x96\x91\xe2\x96\x91\xe2\x96\x91\xe2\x96\x91\xe2\x96\x91\xe2\x96\x91\xe2\x96\x91"
            "   12 s  timing w8a8, KL 0.00213: 255 t/s\n");
}

// ---- The closing ----------------------------------------------------------------------------------------------------

static char *closing_of(const char *file, unsigned columns, bool is_fancy)
{
    static const double fast[] = {200, 210, 205, 200, 160, 150, 150, 150}, flat[] = {100, 100, 100};
    const struct qm_closing_series series[] = {{"w8a8", fast, 8, 150}, {"f16", flat, 3, 0}, {"no-such", flat, 3, 0}};
    const struct qm_show_style style = {.columns = columns, .is_fancy = is_fancy};
    char path[QM_PATH_BYTES], *text = NULL;
    size_t size = 0;
    struct qm_node *result = NULL;
    snprintf(path, sizeof(path), "%s/test/data/%s", QM_SOURCE_DIR, file);
    assert_int_equal(qm_result_load(path, &result, NULL), QM_OK);
    FILE *memory = open_memstream(&text, &size);
    assert_int_equal(qm_closing_write(result, series, 3, &style, memory), QM_OK);
    qm_closing_advise(result, &style, memory);
    fclose(memory);
    qm_node_destroy(&result);
    return text;
}

static void test_closing_fits(void **state)
{
    (void)state;
    static const char *const files[] = {"result-example.yaml", "result-sustained.yaml", "result-pocl.yaml"};
    static const unsigned widths[] = {0, 40, 50, 71, 72, 80, 99, 100, 101, 200};
    for (size_t i = 0; i < 3; i++) {
        for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
            for (int is_fancy = 0; is_fancy < 2; is_fancy++) {
                char *text = closing_of(files[i], widths[w], is_fancy), *rest = NULL;
                size_t most = widths[w] == 0 || widths[w] > QM_CLOSING_COLUMNS ? QM_CLOSING_COLUMNS : widths[w] - 1;
                for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                    if (qm_text_columns(line) > most)
                        fail_msg("%s, %u columns: '%s' has %zu", files[i], widths[w], line, qm_text_columns(line));
                free(text);
            }
        }
    }
}

// QM_UPDATE=1 writes them anew.
static void test_closing_goldens(void **state)
{
    (void)state;
    static const struct {
        unsigned columns;
        bool is_fancy;
    } cases[] = {{40, false}, {40, true}, {80, true}, {0, false}, {200, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[QM_PATH_BYTES], *expected = NULL;
        snprintf(path, sizeof(path), "%s/test/cli/closing-%u%s.txt", QM_SOURCE_DIR, cases[i].columns,
                 cases[i].is_fancy ? "-utf8" : "");
        char *text = closing_of("result-sustained.yaml", cases[i].columns, cases[i].is_fancy);
        if (getenv("QM_UPDATE")) {
            FILE *file = fopen(path, "w");
            assert_non_null(file);
            fputs(text, file);
            fclose(file);
        }
        FILE *file = fopen(path, "r");
        size_t capacity = 0;
        assert_non_null(file);
        assert_true(getdelim(&expected, &capacity, '\0', file) > 0);
        fclose(file);
        if (strcmp(text, expected) != 0)
            fail_msg("%s (QM_UPDATE=1 writes it anew):\n%s", path, text);
        free(expected);
        free(text);
    }
}

static void test_sparkline(void **state)
{
    (void)state;
    struct qm_text text = {0};
    const double values[] = {0, 1, 4, 7.9, 8};
    qm_sparkline(&text, values, 5, false);
    assert_string_equal(qm_text_bytes(&text), "__-##");
    qm_text_free(&text);
    qm_sparkline(&text, values + 3, 2, true);
    assert_string_equal(qm_text_bytes(&text), "\xe2\x96\x88\xe2\x96\x88");
    qm_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_fit),       cmocka_unit_test(test_lines),     cmocka_unit_test(test_closing_fits),
        cmocka_unit_test(test_closing_goldens), cmocka_unit_test(test_sparkline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
