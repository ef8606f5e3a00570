// The report's page: it is whole and well nested, its policy allows what is in it and nothing else, no speed stands where
// nothing was right, a stranger's texts stay texts, and size and time stay within bounds. test/report_browser.mjs opens it.
#include "base/hash.h"
#include "record/components.h"
#include "report/html.h"
#include "report/report_page.h"
#include "sys/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "test/hostile_result.h"

#define DATA QM_SOURCE_DIR "/test/data/"

static const char *const fixtures[] = {DATA "result-example.yaml", DATA "result-other-device.yaml",
                                       DATA "result-pocl.yaml", DATA "result-sets.yaml", DATA "result-sustained.yaml"};
#define FIXTURES (sizeof(fixtures) / sizeof(fixtures[0]))

static void load(const char *const *paths, size_t count, struct qm_result_set *set)
{
    if (qm_result_set_load(paths, count, set) != QM_OK)
        fail_msg("%s", qm_error_text());
}

static void write_page(struct qm_result_set *set, struct qm_text *page)
{
    *page = (struct qm_text){0};
    if (qm_report_page_write(set, page) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_false(page->failed);
    assert_int_equal(strlen(page->bytes), page->used);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + strlen(part), part))
        count++;
    return count;
}

static void expect(const char *page, const char *part)
{
    if (!strstr(page, part))
        fail_msg("the page lacks '%s'", part);
}

// ---- Nesting --------------------------------------------------------------------------------------------------------

static bool is_one_of(const char *name, size_t length, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == length && strncmp(*words, name, length) == 0)
            return true;
    return false;
}

// Every element that begins ends, in order; what holds script or style is passed over.
static void expect_nested(const char *page)
{
    static const char *const empty[] = {"meta", "link", "input", "br", NULL}, *const raw[] = {"script", "style", NULL};
    static struct {
        const char *name;
        size_t length;
    } open[64];
    size_t depth = 0;
    for (const char *at = strchr(page, '<'); at; at = strchr(at + 1, '<')) {
        bool is_end = at[1] == '/';
        const char *name = at + 1 + is_end, *end = strchr(at, '>');
        size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
        assert_non_null(end);
        if (at[1] == '!')
            continue;
        if (length == 0)
            fail_msg("a bare '<' before '%.40s'", at);
        if (is_one_of(name, length, empty) || end[-1] == '/')
            continue;
        if (!is_end) {
            assert_true(depth < 64);
            open[depth].name = name;
            open[depth++].length = length;
            if (is_one_of(name, length, raw))
                at = strstr(at, length == 6 ? "</script>" : "</style>") - 1;
        } else if (depth == 0 || open[depth - 1].length != length || strncmp(open[depth - 1].name, name, length) != 0) {
            fail_msg("'%.*s' ends where '%.*s' is open: %.80s", (int)length, name,
                     depth ? (int)open[depth - 1].length : 0, depth ? open[depth - 1].name : "", at);
        } else {
            depth--;
        }
    }
    assert_int_equal(depth, 0);
}

// ---- The policy -----------------------------------------------------------------------------------------------------

// The hash of what lies between each pair of tags must be in the policy, and there must be so many.
static void expect_allowed(const char *page, const char *begin, const char *end, size_t count)
{
    const char *policy = strstr(page, "Content-Security-Policy"), *policy_end = policy ? strchr(policy, '>') : NULL;
    size_t found = 0;
    assert_non_null(policy);
    for (const char *at = strstr(page, begin); at; at = strstr(at + 1, begin)) {
        char hash[QM_HASH_BASE64_BYTES];
        const char *text = strchr(at, '>') + 1, *stop = strstr(text, end);
        assert_non_null(stop);
        if (at > page + 20000 && strcmp(begin, "<style") == 0 && found >= count)
            fail_msg("a further style: %.60s", at);
        qm_hash_base64(text, (size_t)(stop - text), hash);
        const char *named = strstr(policy, hash);
        assert_true(named && named < policy_end);
        found++;
    }
    assert_int_equal(found, count);
}

// Of texts nothing is asked: whatever begins with '<' here is an element of ours, for texts are escaped.
static void expect_alone(const char *page)
{
    static const char *const addresses[] = {" src=",    " action=", " style=", " on",    "refresh",
                                            "<iframe ", "<object ", "<embed ", "<base ", "<img "};
    expect_allowed(page, "<style", "</style>", 2);
    expect_allowed(page, "<script", "</script>", 1);
    expect(page, "default-src 'none'");
    for (const char *at = strchr(page, '<'); at; at = strchr(at + 1, '<')) {
        char *tag = strndup(at, strcspn(at, ">"));
        assert_non_null(tag);
        for (char *c = strchr(tag, '"'); c; c = strchr(c, '"')) // what attributes say is text
            for (*c++ = '\''; *c && *c != '"'; c++)
                *c = *c == ' ' ? '_' : *c;
        for (size_t i = 0; at[1] != '!' && i < sizeof(addresses) / sizeof(addresses[0]); i++)
            if (strstr(tag, addresses[i]) && !strstr(tag, "http-equiv='Content"))
                fail_msg("'%s' is in '%.200s'", addresses[i], tag);
        free(tag);
        if (strncmp(at, "<script", 7) == 0)
            at = strstr(at, "</script>") - 1;
    }
    for (const char *at = strstr(page, " href=\""); at; at = strstr(at + 1, " href=\""))
        if (at[7] != '#' && strncmp(at + 7, "data:,", 6) != 0)
            fail_msg("a link leads out: %.60s", at);
    for (const char *at = strstr(page, "url("); at; at = strstr(at + 1, "url("))
        if (at[4] != '#')
            fail_msg("an address: %.60s", at);
}

// ---- Tests ----------------------------------------------------------------------------------------------------------

static void test_page(void **state)
{
    (void)state;
    static const char *const ids[] = {"results",  "trade",    "vendors",    "sustained",
                                      "roofline", "accuracy", "disclosure", "files"};
    struct qm_result_set set;
    struct qm_text page, again;
    char part[80];
    load(fixtures, FIXTURES, &set);
    write_page(&set, &page);
    expect_nested(page.bytes);
    expect_alone(page.bytes);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        snprintf(part, sizeof(part), "<section id=\"%s\"", ids[i]);
        assert_int_equal(count_of(page.bytes, part), 1);
    }
    for (int i = 0; i < QM_COMPONENT_COUNT; i++)
        expect(page.bytes, qm_components[i].title);
    expect(page.bytes, "qmark reproduce result-sustained.yaml --scheme w8a8</code>");
    expect(page.bytes, "<strong class=\"bad\">WRONG</strong> matmul 512x768x256: 17 where the oracle has 18");
    expect(page.bytes, "ecfff04de6e5f1776a261d572f3499da406b28b9ba50323d59444d5c6fa67a04"); // the model's hash, whole
    write_page(&set, &again);
    assert_string_equal(page.bytes, again.bytes);
    qm_text_free(&page);
    qm_text_free(&again);
    qm_result_set_free(&set);
}

static void test_twenty_results_are_small(void **state)
{
    (void)state;
    const char *paths[20];
    struct qm_result_set set;
    struct qm_text page;
    for (size_t i = 0; i < 20; i++)
        paths[i] = fixtures[i % FIXTURES];
    load(paths, 20, &set);
    write_page(&set, &page);
    assert_true(page.used < 2000000);
    qm_text_free(&page);
    qm_result_set_free(&set);
}

// From the table of the trade to the end of its section there is a row for each scheme, and none that is wrong has a cell
// with a number.
static void test_wrong_has_no_speed(void **state)
{
    (void)state;
    struct qm_result_set set;
    struct qm_text page;
    load(fixtures, 1, &set);
    hostile_all_wrong(set.entries[0].result);
    assert_int_equal(qm_result_check(set.entries[0].result), QM_OK);
    write_page(&set, &page);
    expect_nested(page.bytes);
    expect(page.bytes, "WRONG");
    const char *trade = strstr(page.bytes, "<section id=\"trade\""), *end = strstr(trade, "</section>");
    for (const char *at = strstr(trade, "<td class=\"n\"><b>"); at; at = strstr(at + 1, "<td class=\"n\"><b>"))
        assert_true(at > end);
    expect(page.bytes, "Nothing may be quoted");
    expect(page.bytes, "No scheme is ok");
    assert_null(strstr(page.bytes, " qmark reproduce result-example.yaml --scheme"));
    qm_text_free(&page);
    qm_result_set_free(&set);
}

// Accuracy that was not measured is said wherever a speed stands.
static void test_unscored(void **state)
{
    (void)state;
    struct qm_result_set set;
    struct qm_text page;
    load(&fixtures[4], 1, &set);
    struct qm_node *schemes = qm_node_child(set.entries[0].result, "schemes");
    for (size_t i = 0; i < qm_node_count(schemes); i++)
        qm_node_set_text(qm_node_at(schemes, i), "accuracy", "not measured");
    assert_int_equal(qm_result_check(set.entries[0].result), QM_OK);
    write_page(&set, &page);
    const char *trade = strstr(page.bytes, "<section id=\"trade\"");
    for (const char *row = strstr(trade, "<tr data-d"); row && row < strstr(trade, "</section>");
         row = strstr(row + 1, "<tr data-d")) {
        const char *said = strstr(row, "accuracy: not measured");
        assert_true(said && said < strstr(row, "</tr>"));
    }
    qm_text_free(&page);
    qm_result_set_free(&set);
}

static void expect_harmless(const char *page)
{
    static const char *const signs[] = {
        "<hostile", "<script>hostile", "onerror=hostile()>", "<b>s1", "\x1b", "\u202e", "\u2066", "\u200f", "\u202c"};
    expect_nested(page);
    expect_alone(page);
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (strstr(page, signs[i]))
            fail_msg("a text of the result is not a text: %s", signs[i]);
}

static void test_hostile(void **state)
{
    (void)state;
    struct qm_result_set set;
    struct qm_text page;
    load(fixtures, FIXTURES, &set);
    for (size_t i = 0; i < FIXTURES; i++)
        assert_true(hostile_make(set.entries[i].result) > 300);
    write_page(&set, &page);
    // Of links and the like the texts speak, too; as texts.
    expect_harmless(page.bytes);
    expect(page.bytes, "&lt;script&gt;hostile()&lt;/script&gt;");
    qm_text_free(&page);
    qm_result_set_free(&set);
}

static void test_ten_thousand_schemes(void **state)
{
    (void)state;
    struct qm_result_set set;
    struct qm_text page;
    load(fixtures, 2, &set);
    hostile_add_schemes(set.entries[0].result, 10000);
    assert_int_equal(qm_result_check(set.entries[0].result), QM_OK);
    clock_t begun = clock();
    write_page(&set, &page);
    clock_t took = clock() - begun;
    expect_harmless(page.bytes);
    expect(page.bytes, "more schemes of 1");
    assert_true(page.used < 2000000);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const clock_t limit = 60 * CLOCKS_PER_SEC; // sanitizers take several times as long
#else
    const clock_t limit = 2 * CLOCKS_PER_SEC;
#endif
    if (took > limit)
        fail_msg("a page of 10,000 schemes takes %.1f s", (double)took / (double)CLOCKS_PER_SEC);
    qm_text_free(&page);
    qm_result_set_free(&set);
}

// No scheme at all, one result alone, and more than a matrix has room for.
static void test_few_and_many(void **state)
{
    (void)state;
    const char *paths[25];
    struct qm_result_set set;
    struct qm_text page;
    load(fixtures, 1, &set);
    qm_node_set_node(set.entries[0].result, "schemes", qm_node_new_sequence());
    assert_int_equal(qm_result_check(set.entries[0].result), QM_OK);
    write_page(&set, &page);
    expect_nested(page.bytes);
    expect(page.bytes, "One result alone");
    qm_text_free(&page);
    qm_result_set_free(&set);
    for (size_t i = 0; i < 25; i++)
        paths[i] = fixtures[i % FIXTURES];
    load(paths, 25, &set);
    write_page(&set, &page);
    expect_nested(page.bytes);
    expect(page.bytes, "25 results in ");
    expect(page.bytes, "results that may stand side by side: <b>");
    qm_text_free(&page);
    qm_result_set_free(&set);
}

// A result may lack whatever its format lets it lack, and have a word in the place of a part.
static size_t try_without(struct qm_result_set *set, struct qm_node *node)
{
    struct qm_node *result = set->entries[0].result;
    size_t tried = 0;
    for (size_t i = 0; i < qm_node_count(node); i++) {
        struct qm_node *child = qm_node_at(node, i);
        if (qm_node_is_text(child))
            continue;
        if (!(qm_node_is_sequence(node) && i > 1)) // schemes and rows are alike
            tried += try_without(set, child);
        for (int with_word = 0; with_word < 2 && qm_node_is_mapping(node); with_word++) {
            struct qm_text page;
            char *key = strdup(qm_node_key_at(node, i));
            struct qm_node *before = qm_node_copy(qm_node_child(node, key));
            qm_node_set_text(node, key, with_word ? "undisclosed" : "not measured");
            if (qm_result_check(result) == QM_OK) {
                write_page(set, &page);
                expect_nested(page.bytes);
                qm_text_free(&page);
                tried++;
            }
            qm_node_set_node(node, key, before);
            free(key);
        }
    }
    return tried;
}

static void test_words_in_place_of_parts(void **state)
{
    (void)state;
    struct qm_result_set set;
    load(&fixtures[3], 1, &set);
    assert_true(try_without(&set, set.entries[0].result) > 20);
    qm_result_set_free(&set);
}

static void test_html(void **state)
{
    (void)state;
    struct qm_text out = {0};
    qm_html_text(&out, "<a href='x'>\"&\"</a>\n\x1b[1m\u202e\xff");
    assert_string_equal(out.bytes, "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;  [1m ?");
    qm_text_free(&out);
    qm_html_short(&out, "\u00e4\u00f6\u00fc<script>", 3);
    assert_string_equal(out.bytes,
                        "<span title=\"\u00e4\u00f6\u00fc&lt;script&gt;\">\u00e4\u00f6\u00fc&hellip;</span>");
    qm_text_free(&out);
    qm_html_short(&out, "abc", 3);
    assert_string_equal(out.bytes, "abc");
    qm_text_free(&out);
    qm_html_lines(&out, "one\n\ntwo <\n", true);
    assert_string_equal(out.bytes, "<li>one</li><li>two &lt;</li>");
    qm_text_free(&out);
    qm_html_text(&out, NULL);
    qm_text_free(&out);
    // RFC 6234's "abc".
    char hash[QM_HASH_BASE64_BYTES];
    qm_hash_base64("abc", 3, hash);
    assert_string_equal(hash, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_html),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_twenty_results_are_small),
        cmocka_unit_test(test_wrong_has_no_speed),
        cmocka_unit_test(test_unscored),
        cmocka_unit_test(test_few_and_many),
        cmocka_unit_test(test_words_in_place_of_parts),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_ten_thousand_schemes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
