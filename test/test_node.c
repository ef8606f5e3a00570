// The tree that profiles and results are made of: building, reading, each kind of malformed file, writing, hashing.
#include "record/node.h"
#include "sys/file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct qm_node *parse(const char *text)
{
    struct qm_node *node = NULL;
    if (qm_node_parse(text, strlen(text), "f.yaml", &qm_node_profile_limits, &node) != QM_OK)
        fail_msg("%s", qm_error_text());
    return node;
}

// The text is refused, with one line that begins with "f.yaml:LINE: " and holds `words`.
static void refused(const void *bytes, size_t count, int line, const char *words)
{
    struct qm_node *node = NULL;
    char place[32];
    assert_int_equal(qm_node_parse(bytes, count, "f.yaml", &qm_node_profile_limits, &node), QM_INVALID);
    assert_null(node);
    snprintf(place, sizeof(place), "f.yaml:%d: ", line);
    const char *text = qm_error_text();
    if (strncmp(text, place, strlen(place)) != 0 || !strstr(text, words) || strchr(text, '\n') || !strstr(text, "; "))
        fail_msg("expected '%s...%s', got '%s'", place, words, text);
}

static void refused_text(const char *text, int line, const char *words)
{
    refused(text, strlen(text), line, words);
}

static void test_build(void **state)
{
    (void)state;
    struct qm_node *root = qm_node_new_mapping();
    qm_node_set_text(root, "name", "a: b # c");
    qm_node_set_text(root, "number_as_text", "007");
    qm_node_set_text(root, "word", "no");
    qm_node_set_text(root, "bytes", "x\xff\x01y");
    qm_node_set_text(root, "unknown", NULL);
    qm_node_set_u64(root, "count", UINT64_MAX);
    qm_node_set_double(root, "rate", 0.1);
    qm_node_set_bool(root, "yes", true);
    qm_node_set_textf(root, "f", "%d lines\nof %s", 2, "text");
    struct qm_node *list = qm_node_add_sequence(root, "list");
    qm_node_append_double(list, 1e-9);
    qm_node_append_u64(list, 3);
    qm_node_append_text(list, "three");
    qm_node_set_u64(qm_node_append_mapping(qm_node_add_sequence(root, "rows")), "a.b", 1);
    qm_node_add_mapping(root, "empty");
    qm_node_set_text(root, "word", "yes"); // replaces, in its place
    assert_true(qm_node_ok(root));
    assert_string_equal(qm_node_key_at(root, 2), "word");
    assert_string_equal(qm_node_text_at(root, "unknown", ""), "undisclosed");
    assert_string_equal(qm_node_text_at(root, "bytes", ""), "x??y");

    char *yaml = NULL;
    char *json = NULL;
    char hash[3][QM_HASH_TEXT_BYTES];
    assert_int_equal(qm_node_write_yaml(root, &yaml), QM_OK);
    assert_int_equal(qm_node_write_json(root, &json), QM_OK);
    struct qm_node *from_yaml = parse(yaml);
    struct qm_node *from_json = parse(json);
    assert_int_equal(qm_node_hash(root, NULL, hash[0]), QM_OK);
    assert_int_equal(qm_node_hash(from_yaml, NULL, hash[1]), QM_OK);
    assert_int_equal(qm_node_hash(from_json, NULL, hash[2]), QM_OK);
    assert_string_equal(hash[0], hash[1]);
    assert_string_equal(hash[0], hash[2]);
    assert_true(qm_node_is_number(qm_node_get(from_yaml, "rate")));
    assert_false(qm_node_is_number(qm_node_get(from_yaml, "number_as_text")));
    assert_non_null(strstr(yaml, "\"yes\"")); // quoted, or some readers would take it for true
    uint64_t count = 0;
    assert_int_equal(qm_node_read_u64(qm_node_get(from_json, "count"), &count), QM_OK);
    assert_true(count == UINT64_MAX);
    assert_non_null(qm_node_child(qm_node_get(from_yaml, "rows.0"), "a.b"));
    qm_node_remove(root, "rows");
    assert_null(qm_node_get(root, "rows"));

    struct qm_node *copy = qm_node_copy(qm_node_get(from_yaml, "rows"));
    assert_string_equal(qm_node_file(copy), "f.yaml");
    qm_node_destroy(&copy);
    free(yaml);
    free(json);
    qm_node_destroy(&root);
    qm_node_destroy(&from_yaml);
    qm_node_destroy(&from_json);
    qm_node_destroy(&root); // NULL is allowed
}

static void test_sticky_failure(void **state)
{
    (void)state;
    char *text = NULL;
    char hash[QM_HASH_TEXT_BYTES];
    struct qm_node *root = qm_node_new_mapping();
    struct qm_node *inner = qm_node_add_mapping(root, "inner");
    qm_node_set_double(inner, "bad", NAN);
    assert_false(qm_node_ok(root));
    assert_null(qm_node_get(root, "inner.bad"));
    assert_int_equal(qm_node_write_yaml(root, &text), QM_OUT_OF_MEMORY);
    assert_int_equal(qm_node_hash(root, NULL, hash), QM_OUT_OF_MEMORY);
    qm_node_destroy(&root);

    root = qm_node_new_mapping();
    qm_node_append_u64(root, 1); // a mapping has no items
    assert_false(qm_node_ok(root));
    qm_node_destroy(&root);

    root = qm_node_new_mapping();
    struct qm_node *broken = qm_node_new_mapping();
    qm_node_set_double(broken, "x", INFINITY);
    qm_node_set_node(root, "sub", broken); // takes it and its failure
    assert_false(qm_node_ok(root));
    qm_node_destroy(&root);

    qm_node_set_text(NULL, "a", "b");
    qm_node_set_node(NULL, "a", qm_node_new_mapping());
    assert_null(qm_node_add_mapping(NULL, "a"));
    assert_false(qm_node_ok(NULL));
}

static void test_doubles(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1, "1"},
        {100, "100"},
        {0.1, "0.1"},
        {1234.5, "1234.5"},
        {-2.5, "-2.5"},
        {1e-9, "1.0e-09"},
        {1.0 / 3, "0.3333333333333333"},
        {1e300, "1.0e+300"},
        {5e-324, "5.0e-324"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {0.00012, "0.00012"},
        {-0.0, "-0"},
        {1e-5, "0.00001"},
        {-0.0012345678901234567, "-0.0012345678901234567"},
        {120, "120"},
        {1e15, "1000000000000000"},
        {1e16, "1.0e+16"},
        {9007199254740993.0, "9007199254740992"},
        {4.9e-310, "4.9e-310"}, // below DBL_MIN
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[QM_DOUBLE_TEXT_BYTES];
        qm_double_text(rows[i].value, text);
        assert_string_equal(text, rows[i].text);
    }
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        char text[QM_DOUBLE_TEXT_BYTES];
        double value;
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value))
            continue;
        qm_double_text(value, text);
        assert_true(strtod(text, NULL) == value);
    }
}

static void test_typed_readers(void **state)
{
    (void)state;
    struct qm_node *root = parse("a: 3\nb: \"3\"\nc: 0x10\nd: 1.5\ne: true\nf: [1, two]\ng: 1e999\n"
                                 "h: 18446744073709551616\ni: -1\nj: 010\nk: .nan\n");
    uint64_t whole;
    double number;
    bool truth;
    assert_int_equal(qm_node_read_u64(qm_node_get(root, "a"), &whole), QM_OK);
    assert_int_equal(qm_node_read_double(qm_node_get(root, "d"), &number), QM_OK);
    assert_true(number == 1.5);
    assert_int_equal(qm_node_read_bool(qm_node_get(root, "e"), &truth), QM_OK);
    assert_int_equal(qm_node_read_u64(qm_node_get(root, "b"), &whole), QM_INVALID);
    assert_string_equal(qm_error_text(), "f.yaml:2: 'b' is the text \"3\"; expected a whole number, without quotes");
    static const char *const not_whole[] = {"c", "d", "e", "f", "g", "h", "i", "j", "k", "f.1", "none"};
    for (size_t i = 0; i < sizeof(not_whole) / sizeof(not_whole[0]); i++)
        assert_int_equal(qm_node_read_u64(qm_node_get(root, not_whole[i]), &whole), QM_INVALID);
    static const char *const not_number[] = {"b", "c", "e", "f", "g", "j", "k"};
    for (size_t i = 0; i < sizeof(not_number) / sizeof(not_number[0]); i++)
        assert_int_equal(qm_node_read_double(qm_node_get(root, not_number[i]), &number), QM_INVALID);
    assert_int_equal(qm_node_read_bool(qm_node_get(root, "f.1"), &truth), QM_INVALID);
    assert_string_equal(qm_error_text(), "f.yaml:6: an item of 'f' is 'two'; expected true or false");
    assert_false(qm_node_u64_at(root, "i", &whole));
    qm_node_destroy(&root);
}

static void test_aliases(void **state)
{
    (void)state;
    struct qm_node *root = parse("a: &x [1, 2]\nb: *x\nc: {d: *x}\n");
    assert_string_equal(qm_node_text_at(root, "c.d.1", ""), "2");
    qm_node_destroy(&root);
    refused_text("a: &x [*x]\n", 1, "no anchor");
    refused_text("a: *y\n", 1, "no anchor");
    refused_text("&k a: 1\n", 1, "an anchor on a key");
    refused_text("a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                 "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
                 3, "aliases repeat more than 200 values");
}

// A row that occurs again is written once; reading gives the same tree, and the hash does not see it.
static void test_repeated_rows(void **state)
{
    (void)state;
    struct qm_node *root = qm_node_new_mapping(), *read = NULL;
    for (int i = 0; i < 2; i++) {
        struct qm_node *list = qm_node_add_sequence(root, i ? "second" : "first");
        for (int j = 0; j < 3; j++) {
            struct qm_node *row = qm_node_append_mapping(list);
            qm_node_set_text(row, "name", j == 2 && i == 1 ? "other" : "same");
            qm_node_set_u64(row, "count", (uint64_t)j);
            qm_node_set_double(row, "x", 0.5);
            qm_node_set_text(row, "text", "0.5"); // a text that looks like a number stays one
        }
    }
    char *text = NULL, *again = NULL;
    assert_int_equal(qm_node_write_yaml(root, &text), QM_OK);
    assert_string_equal(text, "first:\n"
                              "- &r1 {name: same, count: 0, x: 0.5, text: \"0.5\"}\n"
                              "- &r2 {name: same, count: 1, x: 0.5, text: \"0.5\"}\n"
                              "- {name: same, count: 2, x: 0.5, text: \"0.5\"}\n"
                              "second:\n"
                              "- *r1\n"
                              "- *r2\n"
                              "- {name: other, count: 2, x: 0.5, text: \"0.5\"}\n");
    assert_int_equal(qm_node_parse(text, strlen(text), "f.yaml", &qm_node_result_limits, &read), QM_OK);
    assert_int_equal(qm_node_write_yaml(read, &again), QM_OK);
    assert_string_equal(again, text);
    char a[QM_HASH_TEXT_BYTES], b[QM_HASH_TEXT_BYTES];
    assert_int_equal(qm_node_hash(root, NULL, a), QM_OK);
    assert_int_equal(qm_node_hash(read, NULL, b), QM_OK);
    assert_string_equal(a, b);
    free(text);
    free(again);
    qm_node_destroy(&root);
    qm_node_destroy(&read);
}

static void test_malformed(void **state)
{
    (void)state;
    refused_text("", 1, "the file is empty");
    refused_text(" \n\n\t\n", 1, "the file is empty");
    refused_text("# only a comment\n", 1, "no content");
    refused_text("---\n...\n", 1, "no content");
    refused_text("just words\n", 1, "a text; expected keys");
    refused_text("- a\n- b\n", 1, "a list; expected keys");
    refused_text("a: 1\n---\nb: 2\n", 2, "a second document");
    refused_text("a: 1\nb: 2\na: 3\n", 3, "key 'a' stands on line 1 already");
    refused_text("{\"a\": 1, \"a\": 2}\n", 1, "key 'a' stands on line 1 already");
    refused_text("a: [1, 2\n", 2, "the file may be cut short");
    refused_text("a: \"text", 1, "the file may be cut short");
    refused_text("a: 1\n b: 2\n", 2, "check quotes");
    refused_text("a: 1\n\tb: 2\n", 2, "check quotes");
    refused_text("a: !!binary aGFsbG8=\n", 1, "tag");
    refused_text("a: !x {}\n", 1, "tag");
    refused_text("? [1]\n: 2\n", 1, "a list as a key");
    refused_text("\"\": 2\n", 1, "an empty key");
    refused_text("a: \"x\\0y\"\n", 1, "a zero byte");
    refused("a: 1\nb: \0\n", 10, 2, "no text file");
    refused("\x7f"
            "ELF\x02\x01\x01",
            7, 1, "no text file");
    refused("\xff\xfe"
            "a\0:\0",
            6, 1, "not UTF-8");
    refused_text("a: 1\nb: \xc3(\n", 2, "not UTF-8");
    refused_text("a: \xed\xa0\x80\n", 1, "not UTF-8"); // a surrogate
    refused_text("a: \xc0\xaf\n", 1, "not UTF-8");     // longer than it need be
    refused_text("a: \xf4\x90\x80\x80\n", 1, "not UTF-8");
    refused_text("a: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n", 1, "nested deeper than 16");

    size_t count = 200000;
    char *many = malloc(count);
    memset(many, '[', count);
    memcpy(many, "a: ", 3);
    refused(many, count, 1, "nested deeper");
    for (size_t i = 3; i < count; i++)
        many[i] = i == 3 ? '[' : i % 2 ? ',' : '1';
    refused(many, count, 1, "more than 20000 values");
    free(many);
    struct qm_node *node = NULL;
    char big[64] = "a: 1\n";
    struct qm_node_limits limits = qm_node_profile_limits;
    limits.bytes = 4;
    assert_int_equal(qm_node_parse(big, 5, "f.yaml", &limits, &node), QM_INVALID);
}

// Every prefix of a good file is read or refused with one line; nothing else.
static void test_truncated(void **state)
{
    (void)state;
    const char text[] =
        "schema: 1\nname: \"quick \\u00e4\"\nlist: [1, {a: b}, 'c']\nmap:\n  x: &k |\n    block\n  y: *k\n";
    for (size_t count = 0; count < sizeof(text); count++) {
        struct qm_node *node = NULL;
        char *exact = malloc(count + 1); // so that a read beyond its end is seen
        memcpy(exact, text, count);
        if (qm_node_parse(exact, count, "f.yaml", &qm_node_profile_limits, &node) != QM_OK) {
            assert_int_equal(strncmp(qm_error_text(), "f.yaml:", 7), 0);
            assert_null(strchr(qm_error_text(), '\n'));
        }
        qm_node_destroy(&node);
        free(exact);
    }
}

static void test_files(void **state)
{
    (void)state;
    char directory[] = "/tmp/qmark-node-XXXXXX";
    char path[QM_PATH_BYTES];
    struct qm_node *node = NULL;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(qm_path_join(path, directory, "big.yaml"), QM_OK);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), 100 * 1000 * 1000), 0); // sparse: takes no room on the disk
    fclose(file);
    assert_int_equal(qm_node_load_yaml(path, &qm_node_profile_limits, &node), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "big.yaml:1: the file has 100000000 bytes; at most 1048576 are read"));
    assert_int_equal(qm_file_remove(path), QM_OK);
    assert_int_equal(qm_node_load_yaml(path, &qm_node_profile_limits, &node), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "no such file"));
    assert_int_equal(qm_node_load_yaml(directory, &qm_node_profile_limits, &node), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "is a directory"));

    char deep[QM_PATH_BYTES];
    struct qm_name_list names;
    void *bytes = NULL;
    size_t count = 0;
    assert_int_equal(qm_path_join(deep, directory, "a/b/c"), QM_OK);
    assert_int_equal(qm_directory_make(deep), QM_OK);
    assert_int_equal(qm_directory_make(deep), QM_OK);
    assert_int_equal(qm_directory_check_writable(deep), QM_OK);
    assert_int_equal(qm_path_join(path, deep, "file"), QM_OK);
    assert_int_equal(qm_file_write(path, "one", 3), QM_OK);
    assert_int_equal(qm_file_write(path, "two!", 4), QM_OK);
    assert_int_equal(qm_file_append(path, "?", 1), QM_OK);
    assert_int_equal(qm_file_read(path, 100, &bytes, &count), QM_OK);
    assert_int_equal(count, 5);
    assert_string_equal(bytes, "two!?");
    free(bytes);
    assert_int_equal(qm_file_read(path, 4, &bytes, &count), QM_INVALID);
    assert_int_equal(qm_directory_list(deep, &names), QM_OK);
    assert_int_equal(names.count, 1); // no temporary file is left
    assert_string_equal(names.names[0], "file");
    qm_name_list_free(&names);
    assert_int_equal(qm_file_write(deep, "x", 1), QM_INVALID);
    assert_int_equal(qm_path_join(deep, directory, "none/file"), QM_OK);
    assert_int_equal(qm_file_write(deep, "x", 1), QM_FAILED);
    assert_int_equal(qm_path_join(deep, path, "below-a-file"), QM_OK);
    assert_int_equal(qm_directory_make(deep), QM_INVALID);
    if (qm_file_exists("/dev/full")) {
        assert_int_equal(qm_file_append("/dev/full", "x", 1), QM_FAILED);
        assert_non_null(strstr(qm_error_text(), "no space left on device; free some space"));
    }
    char command[QM_PATH_BYTES];
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

static void test_hash(void **state)
{
    (void)state;
    char hash[2][QM_HASH_TEXT_BYTES];
    // By hand: printf '/a\0001\000/b/0\000x\000/b/1\000y\000/c/\000{}\000' | sha256sum
    struct qm_node *root = parse("a: 1\nb: [x, y]\nc: {}\n");
    assert_int_equal(qm_node_hash(root, NULL, hash[0]), QM_OK);
    assert_string_equal(hash[0], "152c6a881623102dc6f5de53c794c3cab2941494852b1f185e2495483a55d06d");
    qm_node_destroy(&root);
    root = parse("hash: abc\nc:\n  {}\nb: # order of keys, style and comments do not count\n- 'x'\n- y\n\"a\": 1\n");
    assert_int_equal(qm_node_hash(root, "hash", hash[1]), QM_OK);
    assert_string_equal(hash[0], hash[1]);
    assert_int_equal(qm_node_hash(root, NULL, hash[1]), QM_OK);
    assert_string_not_equal(hash[0], hash[1]);
    qm_node_destroy(&root);
    static const char *const different[] = {"a: 1\nb: [y, x]\nc: {}\n", "a: 1\nb: [x, y]\nc: []\n", "a: 1\nb: [x, y]\n",
                                            "a: 1.0\nb: [x, y]\nc: {}\n", "a: 1\nb: {0: x, 1: y}\nc: {}\nd: {}\n"};
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
        root = parse(different[i]);
        assert_int_equal(qm_node_hash(root, NULL, hash[1]), QM_OK);
        assert_string_not_equal(hash[0], hash[1]);
        qm_node_destroy(&root);
    }
}

static void test_path(void **state)
{
    (void)state;
    char path[64];
    char tiny[4];
    struct qm_node *root = parse("a/b: [{x~y: 1}]\n");
    struct qm_node *node = qm_node_child(qm_node_at(qm_node_child(root, "a/b"), 0), "x~y");
    qm_node_path(node, path, sizeof(path));
    assert_string_equal(path, "/a~1b/0/x~0y");
    qm_node_path(node, tiny, sizeof(tiny));
    assert_int_equal(tiny[strlen(tiny)], '\0');
    qm_node_destroy(&root);
    root = qm_node_new_mapping();
    qm_node_set_text(root, "k", "v");
    assert_int_equal(qm_node_invalid(qm_node_get(root, "k"), "wrong; right"), QM_INVALID);
    assert_string_equal(qm_error_text(), "/k: wrong; right");
    qm_node_destroy(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build),         cmocka_unit_test(test_sticky_failure), cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_typed_readers), cmocka_unit_test(test_aliases),        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_truncated),     cmocka_unit_test(test_files),          cmocka_unit_test(test_hash),
        cmocka_unit_test(test_path),          cmocka_unit_test(test_repeated_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
