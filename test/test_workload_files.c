// What a user brings in files that others made: dumps of lm-evaluation-harness, questions in CSV, directories of texts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_tree.h"
#include "test/byte_encoder.h"
#include "workload/csv.h"
#include "workload/example_tokens.h"
#include "workload/source.h"
#include "workload/text_documents.h"
#include "workload/text_set.h"

#define DUMPS QM_SOURCE_DIR "/test/data/harness/"

static char folder[] = "/tmp/qmark-workload-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

// Below the folder; directories of it are made.
static const char *path_of(const char *name)
{
    static char path[QM_PATH_BYTES];
    assert_int_equal(qm_path_join(path, folder, name), QM_OK);
    return path;
}

static void put(const char *name, const char *text)
{
    char holder[QM_PATH_BYTES];
    qm_path_folder(path_of(name), holder);
    assert_int_equal(qm_directory_make(holder), QM_OK);
    assert_int_equal(qm_file_write(path_of(name), text, strlen(text)), QM_OK);
}

static struct qm_user_examples *load(const char *path)
{
    struct qm_user_examples *examples = NULL;
    if (qm_user_examples_load(path, &QM_EXAMPLES_DEFAULT, &examples) != QM_OK)
        fail_msg("%s", qm_error_text());
    return examples;
}

static void check_message(const char *words)
{
    if (!strstr(qm_error_text(), words) || strchr(qm_error_text(), '\n'))
        fail_msg("expected '%s' in '%s'", words, qm_error_text());
}

static void refused(const char *path, const char *words)
{
    struct qm_user_examples *examples = (struct qm_user_examples *)1;
    assert_int_equal(qm_user_examples_load(path, &QM_EXAMPLES_DEFAULT, &examples), QM_INVALID);
    assert_null(examples);
    check_message(words);
}

// ---- The harness ----------------------------------------------------------------------------------------------------

static void test_results_folder(void **state)
{
    (void)state;
    static const struct {
        const char *id;
        uint32_t choices, right;
    } expected[] = {{"samples_arc_made_2024-05-01T10-00-00.000000/0", 4, 1},
                    {"samples_arc_made_2024-05-01T10-00-00.000000/1", 2, 1},
                    {"samples_sums_made_2024-05-01T10-00-00.000000/0", 0, 0},
                    {"samples_who_made_2024-05-01T10-00-00.000000/0", 2, 0},
                    {"samples_who_made_2024-05-01T10-00-00.000000/1", 2, 1}};
    // The folder that was given as --output_path, and the model's within it.
    struct qm_user_examples *outer = load(DUMPS "results"), *inner = load(DUMPS "results/tiny__model");
    assert_int_equal(outer->count, sizeof(expected) / sizeof(expected[0]));
    for (uint32_t e = 0; e < outer->count; e++) {
        const struct qm_user_example *example = &outer->examples[e];
        assert_string_equal(example->id, expected[e].id);
        assert_int_equal(example->choice_count, expected[e].choices);
        assert_int_equal(example->right_choice, expected[e].right);
        assert_non_null(strstr(example->file, "tiny__model/samples_"));
    }
    assert_string_equal(outer->examples[2].answers[0], "2 + 3 = 5\n#### 5");
    assert_int_equal(outer->examples[2].stop_count, 3);
    assert_string_equal(outer->examples[4].choices[1].prompt, "The box did not fit into the bag because the bag");
    assert_int_equal(outer->repeated, 1);
    assert_int_equal(outer->files, 3);
    assert_int_equal(outer->form, QM_EXAMPLES_HARNESS);
    assert_string_equal(outer->sha256, inner->sha256);
    assert_string_equal(outer->file_sha256, inner->file_sha256);
    qm_user_examples_destroy(&inner);
    qm_user_examples_destroy(&outer);
}

// One list over many lines; requests without a context are acc_mutual_info's.
static void test_old_dump(void **state)
{
    (void)state;
    struct qm_user_examples *old = load(DUMPS "old.jsonl");
    assert_int_equal(old->count, 2);
    assert_int_equal(old->examples[0].right_choice, 1);
    assert_int_equal(old->examples[0].line, 2);
    assert_int_equal(old->examples[1].choice_count, 2);
    assert_int_equal(old->examples[1].right_choice, 0);
    assert_int_equal(old->examples[1].line, 14);
    assert_string_equal(old->examples[1].prompt, "The sky is");
    qm_user_examples_destroy(&old);
    static const char *const cases[][2] = {
        {"[]", "a.jsonl:1: JSON, but no object"},
        {"[{\"prompt\": \"p\", \"answer\": \"a\"},\n1]", "a.jsonl:2: an entry of the list is no object"},
        {"[{\"prompt\": \"p\", \"answer\": \"a\"},\n", "a.jsonl:2: an entry of the list is no object; expected "
                                                       "{\"key\": ...} (the file may be cut short)"},
        {"[{\"prompt\": \"p\", \"answer\": \"a\"}", "a.jsonl:1: the list does not go on"},
        {"[{\"prompt\": \"p\", \"answer\": \"a\"}\n {\"prompt\": \"p\"}]", "a.jsonl:2: the list does not go on"},
        {"[{\"prompt\": \"p\", \"answer\": \"a\"},\n{\"prompt\": \"p\"",
         "a.jsonl:2: an entry of the list does not end"},
        {"[{\"prompt\": \"p\", \"answer\": \"a\"},\n{\"prompt\": \"p\"}]", "a.jsonl:2: 'answer' is missing"},
        {"[{\"prompt\": \"p\", \"answer\": \"a\"}]\n7", "a.jsonl:2: something follows the list"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put("a.jsonl", cases[i][0]);
        refused(path_of("a.jsonl"), cases[i][1]);
    }
    assert_int_equal(unlink(path_of("a.jsonl")), 0);
}

#define TWO "\"arguments\": [[\"A\", \" x\"], [\"B\", \" x\"]], \"target\": \"x\""

// Of continuations that are alike the likelihoods and `acc` tell which is right, where they can.
static void test_choice_by_metric(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        int right; // -1: refused
    } cases[] = {{", \"acc\": 1.0, \"filtered_resps\": [[-2, false], [-1, false]]", 1},
                 {", \"acc\": 0, \"filtered_resps\": [[-2, false], [-1, false]]", 0},
                 {", \"acc\": 1.0, \"resps\": [[[\"-1\", \"False\"]], [[\"-2\", \"False\"]]]", 0},
                 {", \"acc\": 1.0, \"filtered_resps\": [[-1, false], [-1, false]]", -1},
                 {", \"acc\": 0.5, \"filtered_resps\": [[-2, false], [-1, false]]", -1},
                 {", \"acc\": 1.0, \"filtered_resps\": [[-2, false]]", -1},
                 {", \"acc\": 1.0, \"filtered_resps\": [[\"nan\", false], [\"-1x\", false]]", -1},
                 {", \"filtered_resps\": [[-2, false], [-1, false]]", -1},
                 {"", -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[512];
        struct qm_user_examples *examples = NULL;
        int length = snprintf(line, sizeof(line), "{" TWO "%s}", cases[i].more);
        enum qm_status status =
            qm_user_examples_parse(line, (size_t)length, "e.jsonl", &QM_EXAMPLES_DEFAULT, &examples);
        if (cases[i].right < 0) {
            assert_int_equal(status, QM_INVALID);
            check_message("'target' may mean more than one choice");
            continue;
        }
        assert_int_equal(status, QM_OK);
        assert_int_equal(examples->examples[0].right_choice, cases[i].right);
        qm_user_examples_destroy(&examples);
    }
}

static void test_several_dumps(void **state)
{
    (void)state;
    static const char line[] = "{\"doc_id\": 0, \"target\": \"a\", \"arguments\": [[\"p\", {}]]}\n";
    put("runs/samples_a_2024-01-02T03-04-05.678.jsonl", line);
    put("runs/samples_a_b_2024-01-02T03-04-05.678.jsonl", line);
    put("runs/notes.jsonl", "this is none of them");
    struct qm_user_examples *examples = load(path_of("runs"));
    assert_int_equal(examples->count, 2);
    qm_user_examples_destroy(&examples);
    put("runs/samples_a_2024-02-02T03-04-05.678.jsonl", line);
    refused(path_of("runs"), "samples_a_2024-02-02T03-04-05.678.jsonl: a second dump of the task a;");
    put("bad/samples_a.jsonl", line);
    put("bad/samples_b.jsonl", "{\"doc_id\": 0, \"target\": \"a\", \"arguments\": [[\"p\", {}], 1]}\n");
    refused(path_of("bad"), "bad/samples_b.jsonl:1: 2 requests that generate");
}

// ---- CSV ------------------------------------------------------------------------------------------------------------

static void check_record(struct qm_csv *csv, size_t record, size_t count, const char *const *fields)
{
    assert_int_equal(qm_csv_next(csv), QM_OK);
    assert_int_equal(csv->count, count);
    assert_int_equal(csv->record, record);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(csv->fields[i], fields[i]);
}

static void test_csv(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf"
                               "a,\"b, \"\"c\"\"\n\",\r\n\r\n\n\"\",caf\xc3\xa9, d \n,,\nlast";
    struct qm_csv csv;
    assert_int_equal(qm_csv_begin("t.csv", text, sizeof(text) - 1, &csv), QM_OK);
    check_record(&csv, 1, 3, (const char *const[]){"a", "b, \"c\"\n", ""});
    check_record(&csv, 5, 3, (const char *const[]){"", "caf\xc3\xa9", " d "});
    check_record(&csv, 6, 3, (const char *const[]){"", "", ""});
    check_record(&csv, 7, 1, (const char *const[]){"last"});
    check_record(&csv, 7, 0, NULL);
    check_record(&csv, 7, 0, NULL);
    qm_csv_end(&csv);
    static const char *const cases[][2] = {
        {"a\nb\"c,d\n", "t.csv:2: a quote within field 1"},
        {"a,\"b\"c\n", "t.csv:1: field 2 goes on behind its closing quote"},
        {"a\n\"b\n\nc", "t.csv:2: a field in quotes that never ends"},
        {"a\rb", "t.csv:1: a carriage return within field 1"},
        {",,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,", "t.csv:1: more than 64 fields"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum qm_status status = QM_OK;
        assert_int_equal(qm_csv_begin("t.csv", cases[i][0], strlen(cases[i][0]), &csv), QM_OK);
        do
            status = qm_csv_next(&csv);
        while (status == QM_OK && csv.count > 0);
        assert_int_equal(status, QM_INVALID);
        check_message(cases[i][1]);
        qm_csv_end(&csv);
    }
    assert_int_equal(qm_csv_begin("t.csv", "a,\xff", 3, &csv), QM_INVALID);
    check_message("t.csv: no text in UTF-8");
    qm_csv_end(&csv);
    assert_int_equal(qm_csv_begin("t.csv", "a,\0", 3, &csv), QM_INVALID);
    qm_csv_end(&csv);
}

static void test_questions(void **state)
{
    (void)state;
    put("high_school_sums_test.csv", "\"2 + 2, or \"\"2 plus 2\"\"\n= ?\",3,\"4, surely\",5,6,B\r\nnext,1,2,3,4,D\r\n");
    struct qm_user_examples *examples = load(path_of("high_school_sums_test.csv"));
    const struct qm_user_example *first = &examples->examples[0];
    assert_int_equal(examples->count, 2);
    assert_int_equal(examples->form, QM_EXAMPLES_CSV);
    assert_int_equal(examples->shots, 0);
    assert_string_equal(first->prompt,
                        "The following are multiple choice questions (with answers) about high school sums.\n\n"
                        "2 + 2, or \"2 plus 2\"\n= ?\nA. 3\nB. 4, surely\nC. 5\nD. 6\nAnswer:");
    assert_int_equal(first->choice_count, 4);
    assert_string_equal(first->choices[3].text, " D");
    assert_int_equal(first->right_choice, 1);
    assert_string_equal(first->id, "1");
    assert_int_equal(examples->examples[1].line, 3);
    assert_int_equal(examples->matches[QM_MATCH_CHOICE], 2);

    // The same by columns, in another order; a column that nobody asks for is passed over.
    put("named.csv", "answer,B,A,Question,subject,c,source,D\n"
                     "B,\"4, surely\",3,\"2 + 2, or \"\"2 plus 2\"\"\n= ?\",high_school_sums,5,me,6\n"
                     "D,2,1,next,high_school_sums,3,me,4\n");
    struct qm_user_examples *named = load(path_of("named.csv"));
    assert_string_equal(named->sha256, examples->sha256);
    assert_string_not_equal(named->file_sha256, examples->file_sha256);
    qm_user_examples_destroy(&named);
    qm_user_examples_destroy(&examples);

    // Without a subject, and with ten choices, as MMLU-Pro has.
    put("ten.csv", "q,1,2,3,4,5,6,7,8,9,10,J\n");
    examples = load(path_of("ten.csv"));
    assert_memory_equal(examples->examples[0].prompt,
                        "The following are multiple choice questions (with answers).\n\nq\nA. 1", 64);
    assert_int_equal(examples->examples[0].right_choice, 9);
    qm_user_examples_destroy(&examples);

    static const char *const cases[][2] = {
        {"", "q.csv: it holds no question"},
        {"question,A,B,answer\n", "q.csv: it holds no question"},
        {"q,a,b\n", "q.csv:1: 3 fields; expected a question"},
        {"q,a,b,A\nq,a,b,c,A\n", "q.csv:2: 5 fields, and the first record has 4"},
        {"q,a,b,C\n", "q.csv:1: the answer is 'C'; expected the letter of a choice, A to B"},
        {"q,a,b,a\n", "the answer is 'a'"},
        {"q,a,b,AB\n", "the answer is 'AB'"},
        {"q,a,b,\n", "the answer is ''"},
        {"\n,a,b,A\n", "q.csv:2: the question is empty"},
        {"q,a,,A\n", "q.csv:1: choice B is empty"},
        {"question,A,answer\nq,a,A\n", "q.csv:1: the heading names 1 choices"},
        {"question,A,B,B,answer\n", "q.csv:1: two columns 'B'"},
        {"q,\"a,b,A\n", "q.csv:1: a field in quotes that never ends"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put("q.csv", cases[i][0]);
        refused(path_of("q.csv"), cases[i][1]);
    }
}

// As MMLU's archive is laid out.
static void test_shots(void **state)
{
    (void)state;
    put("mmlu/dev/birds_dev.csv", "d1,a,b,A\nd2,a,b,B\nd3,a,b,A\nd4,a,b,A\nd5,a,b,A\nd6,a,b,A\n");
    put("mmlu/dev/fish_dev.csv", "f1,a,b,B\n");
    put("mmlu/test/birds_test.csv", "t1,a,b,A\n");
    put("mmlu/test/fish_test.csv", "t2,a,b,B\n");
    put("mmlu/val/birds_val.csv", "v1,a,b,A\n");
    struct qm_user_examples *examples = load(path_of("mmlu"));
    assert_int_equal(examples->count, 2);
    assert_int_equal(examples->files, 2);
    assert_int_equal(examples->shots, 5);
    assert_string_equal(examples->examples[0].id, "birds_test/1");
    assert_string_equal(examples->examples[1].id, "fish_test/1");
    assert_string_equal(examples->examples[1].prompt,
                        "The following are multiple choice questions (with answers) about fish.\n\n"
                        "f1\nA. a\nB. b\nAnswer: B\n\nt2\nA. a\nB. b\nAnswer:");
    assert_non_null(strstr(examples->examples[0].prompt, "\n\nd5\n"));
    assert_null(strstr(examples->examples[0].prompt, "d6"));
    struct qm_user_examples *plain = load(path_of("mmlu/test")), *one = load(path_of("mmlu/test/fish_test.csv"));
    assert_int_equal(plain->count, 2);
    assert_int_equal(plain->shots, 0);
    assert_string_not_equal(plain->sha256, examples->sha256);
    assert_int_equal(one->count, 1);
    qm_user_examples_destroy(&one);
    qm_user_examples_destroy(&plain);
    qm_user_examples_destroy(&examples);
    put("mmlu/test/frogs_test.csv", "t2,a,b,B\n");
    refused(path_of("mmlu"), "mmlu/dev/frogs_dev.csv: ");
    put("mmlu/dev/frogs_dev.csv", "question,A,B,answer\n");
    refused(path_of("mmlu"), "frogs_dev.csv: it holds no question");
    put("mmlu/dev/frogs_dev.csv", "f1,a,b,Z\n");
    refused(path_of("mmlu"), "frogs_dev.csv:1: the answer is 'Z'");
}

// ---- Directories ----------------------------------------------------------------------------------------------------

static void test_directories(void **state)
{
    (void)state;
    struct qm_source source;
    put("none/readme.md", "nothing here");
    put("mixed/a.txt", "text");
    put("mixed/b.csv", "q,a,b,A\n");
    put("two/x/a.txt", "text");
    put("two/y/a.txt", "text");
    put("linked/a.txt", "text");
    static const char *const cases[][2] = {
        {"none", "none: a directory without .txt, .csv or .jsonl files"},
        {"mixed", "mixed: files of more than one kind (0 .jsonl, 1 .csv, 1 .txt)"},
        {"two", "two: a directory without .txt"},
        {"linked", "linked/b.txt: a symbolic link"},
    };
    assert_int_equal(symlink("/etc/passwd", path_of("linked/b.txt")), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(qm_source_find(path_of(cases[i][0]), &source), QM_INVALID);
        check_message(cases[i][1]);
        qm_source_free(&source);
    }
}

static struct byte_encoder begins = {.adds_begin = true};

// Each text on its own: windows do not go from one to the next, and each begins with the begin token.
static void test_documents(void **state)
{
    (void)state;
    const struct qm_text_encoder encoder = {encode_bytes, &begins};
    const struct qm_text_set_params params = {.window_tokens = 8, .has_begin = true, .begin = 1};
    struct qm_text_set *set = NULL, *alone = NULL;
    uint32_t tokens[8];
    put("texts/b.txt", "hello");                 // 6 tokens, one window of its own length
    put("texts/a.txt", "abcdefghijklmnopqrstu"); // 22 tokens
    put("texts/c.md", "no text of this set");
    assert_int_equal(qm_text_set_load(path_of("texts"), &encoder, &params, &set), QM_OK);
    assert_int_equal(qm_text_set_load(path_of("texts/a.txt"), &encoder, &params, &alone), QM_OK);
    assert_int_equal(set->documents, 2);
    assert_true(set->is_directory);
    assert_int_equal(set->window_count, alone->window_count + 1);
    for (uint32_t w = 0; w < alone->window_count; w++)
        assert_memory_equal(&set->windows[w], &alone->windows[w], sizeof(set->windows[w]));
    const struct qm_text_window *last = &set->windows[alone->window_count];
    assert_int_equal(last->start, 22);
    assert_int_equal(last->length, 6);
    assert_int_equal(last->scored_first, 0);
    assert_int_equal(last->scored_count, 5);
    qm_text_set_window(set, alone->window_count, tokens);
    assert_int_equal(tokens[0], 1);
    assert_int_equal(tokens[1], 'h' + 3);
    assert_int_equal(set->length, 8);
    assert_int_equal(set->scored, 21 + 5);
    assert_int_equal(set->tokens_unused, 0);
    char before[QM_HASH_TEXT_BYTES], hash[QM_HASH_TEXT_BYTES];
    memcpy(before, set->text_sha256, sizeof(before));
    memcpy(hash, set->sha256, sizeof(hash));
    qm_text_set_destroy(&alone);
    qm_text_set_destroy(&set);

    // The hash of the texts knows names; that of the windows, their tokens alone.
    put("texts/d.txt", "hello");
    assert_int_equal(unlink(path_of("texts/b.txt")), 0);
    assert_int_equal(qm_text_set_load(path_of("texts"), &encoder, &params, &set), QM_OK);
    assert_string_not_equal(set->text_sha256, before);
    assert_string_equal(set->sha256, hash);
    qm_text_set_destroy(&set);

    // Only the first windows: texts behind them are counted as unused.
    struct qm_text_set_params few = params;
    few.windows_most = 2;
    assert_int_equal(qm_text_set_load(path_of("texts"), &encoder, &few, &set), QM_OK);
    assert_int_equal(set->window_count, 2);
    assert_int_equal(set->tokens_unused, 28 - 12);
    qm_text_set_destroy(&set);

    few.compat = QM_TEXT_LLAMA_PERPLEXITY;
    assert_int_equal(qm_text_set_load(path_of("texts"), &encoder, &few, &set), QM_INVALID);
    check_message("llama-perplexity scores one text");
    put("texts/e.txt", "");
    assert_int_equal(qm_text_set_load(path_of("texts"), &encoder, &params, &set), QM_INVALID);
    check_message("texts/e.txt: the file is empty; take it out");
    assert_int_equal(qm_file_write(path_of("texts/e.txt"), "ab\0c", 4), QM_OK);
    assert_int_equal(qm_text_set_load(path_of("texts"), &encoder, &params, &set), QM_INVALID);
    check_message("texts/e.txt: a zero byte at 2");
    assert_null(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_folder),
        cmocka_unit_test(test_old_dump),
        cmocka_unit_test(test_choice_by_metric),
        cmocka_unit_test(test_several_dumps),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_shots),
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
