// Tables: alignment, characters that are wider or narrower than their bytes, spans, and parts for narrow terminals.
#include "base/text.h"
#include "report/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *written(const struct qm_table *table, unsigned columns, bool is_fancy)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    assert_int_equal(qm_table_write(table, file, columns, is_fancy), QM_OK);
    fclose(file);
    return text;
}

static struct qm_table *sample(void)
{
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "name", false);
    qm_table_column(table, "rate", true);
    qm_table_column(table, "unit", false);
    qm_table_row(table);
    qm_table_cell(table, "%s", "\xe6\xbc\xa2"); // one wide character, three bytes
    qm_table_cell(table, "%d", 5);
    qm_table_cell(table, "t/s");
    qm_table_row(table);
    qm_table_cell(table, "a\xcc\x88-long"); // a combining mark
    qm_table_cell(table, "12,345");
    qm_table_row(table);
    qm_table_cell(table, "x");
    qm_table_span(table, "wrong: a reason that is wider than all columns");
    return table;
}

static void test_write(void **state)
{
    (void)state;
    struct qm_table *table = sample();
    char *text = written(table, 0, false);
    assert_string_equal(text, "name      rate  unit\n"
                              "--------------------\n"
                              "\xe6\xbc\xa2           5  t/s\n"
                              "a\xcc\x88-long  12,345\n"
                              "x       wrong: a reason that is wider than all columns\n");
    free(text);
    text = written(table, 0, true);
    assert_non_null(strstr(text, "\xe2\x94\x80\xe2\x94\x80"));
    free(text);
    qm_table_destroy(&table);
    assert_null(table);
}

// A row that spans is said again in every part, so that no part has an empty row.
static void test_parts(void **state)
{
    (void)state;
    struct qm_table *table = sample();
    char *text = written(table, 15, false); // a span that finds no room begins a line of its own
    assert_string_equal(text, "name      rate\n"
                              "--------------\n"
                              "\xe6\xbc\xa2           5\n"
                              "a\xcc\x88-long  12,345\n"
                              "x       \n"
                              "    wrong: a reason\n"
                              "    that is wider\n"
                              "    than all columns\n"
                              "\n"
                              "name    unit\n"
                              "------------\n"
                              "\xe6\xbc\xa2      t/s\n"
                              "a\xcc\x88-long\n"
                              "x       \n"
                              "    wrong: a ..\n");
    free(text);
    text = written(table, 1, false); // narrower than anything: rows as paragraphs, and an end
    free(text);
    qm_table_destroy(&table);
}

// A speed must not stand in a part without the accuracy that belongs to it.
static void test_kept(void **state)
{
    (void)state;
    struct qm_table *table = qm_table_create();
    static const char *const titles[] = {"scheme", "weights", "KL", "t/s", "memory"};
    for (size_t i = 0; i < 5; i++) {
        qm_table_column(table, titles[i], false);
        if (i == 2)
            qm_table_keep(table);
    }
    qm_table_row(table);
    static const char *const cells[] = {"w8a8", "int8", "2e-4", "12,345", "3 MiB"};
    for (size_t i = 0; i < 5; i++)
        qm_table_cell(table, "%s", cells[i]);
    char *text = written(table, 22, false);
    assert_string_equal(text, "scheme  weights  KL\n"
                              "---------------------\n"
                              "w8a8    int8     2e-4\n"
                              "\n"
                              "scheme  KL    t/s\n"
                              "--------------------\n"
                              "w8a8    2e-4  12,345\n"
                              "\n"
                              "scheme  KL    memory\n"
                              "--------------------\n"
                              "w8a8    2e-4  3 MiB\n");
    free(text);
    qm_table_destroy(&table);
}

static void test_columns(void **state)
{
    (void)state;
    assert_int_equal(qm_text_columns(""), 0);
    assert_int_equal(qm_text_columns("abc"), 3);
    assert_int_equal(qm_text_columns("\xc2\xb5"), 1);
    assert_int_equal(qm_text_columns("\xf0\x9f\x98\x80"), 2);
    assert_int_equal(qm_text_columns("\xff\xe6"), 2); // malformed, and cut off
}

static void test_misuse(void **state)
{
    (void)state;
    struct qm_table *table = qm_table_create();
    qm_table_cell(table, "before any row");
    assert_int_equal(qm_table_write(table, stdout, 0, false), QM_OUT_OF_MEMORY);
    qm_table_destroy(&table);
    qm_table_row(NULL);
    qm_table_cell(NULL, "x");
    qm_table_column(NULL, "x", false);
    assert_int_equal(qm_table_write(NULL, stdout, 0, false), QM_OUT_OF_MEMORY);
    table = qm_table_create();
    qm_table_column(table, "a", false);
    qm_table_row(table);
    qm_table_cell(table, "1");
    qm_table_cell(table, "one too many");
    assert_int_equal(qm_table_write(table, stdout, 0, false), QM_OUT_OF_MEMORY);
    qm_table_destroy(&table);
}

// What steers a terminal, or turns the direction of what follows, and what is no UTF-8; the rest stays as it is.
static void test_cleaning(void **state)
{
    (void)state;
    static const struct {
        const char *text, *clean;
    } rows[] = {
        {"", ""},
        {"plain \xc2\xb5 \xe6\xbc\xa2 \xf0\x9f\x98\x80", "plain \xc2\xb5 \xe6\xbc\xa2 \xf0\x9f\x98\x80"},
        {"a\x1b[2J\nb\tc\x7f", "a [2J b c "},
        {"a\xc2\x9b"
         "31mb\xc2\x85",
         "a 31mb "}, // CSI, next line
        {"a\xe2\x80\xae"
         "b\xe2\x81\xa6"
         "c\xe2\x80\xa8",
         "a b c "},
        {"a\x9b"
         "b\xff",
         "a?b?"},                                         // bytes that an 8-bit terminal obeys
        {"\xc0\x9b\xe0\x80\x9b\xed\xa0\x80", "????????"}, // too long, and half of a pair
        {"cut \xe6\xbc", "cut ??"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[64];
        strcpy(text, rows[i].text);
        qm_text_clean(text);
        assert_string_equal(text, rows[i].clean);
    }
    struct qm_table *table = qm_table_create();
    qm_table_column(table, "name", false);
    qm_table_row(table);
    qm_table_cell(table, "%s", "a\x1b[31mb\nc");
    char *text = written(table, 0, false);
    assert_string_equal(text, "name\n---------\na [31mb c\n");
    free(text);
    qm_table_destroy(&table);
    assert_int_equal(QM_FAIL(QM_INVALID, "%s",
                             "a\xc2\x9b"
                             "31m"),
                     QM_INVALID);
    assert_string_equal(qm_error_text(), "a 31m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),   cmocka_unit_test(test_parts),  cmocka_unit_test(test_kept),
        cmocka_unit_test(test_columns), cmocka_unit_test(test_misuse), cmocka_unit_test(test_cleaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
