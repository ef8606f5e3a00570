// Examples as a user brings them: both forms of lines, the documentation's own, their tokens, and lines that are bad.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "record/node.h"
#include "sys/file.h"
#include "test/byte_encoder.h"
#include "test/fenced.h"
#include "workload/disclosure.h"
#include "workload/example_tokens.h"
#include "workload/examples.h"

static struct qm_user_examples *parse_as(const char *text, const struct qm_examples_params *params)
{
    struct qm_user_examples *examples = NULL;
    if (qm_user_examples_parse(text, strlen(text), "e.jsonl", params, &examples) != QM_OK)
        fail_msg("%s", qm_error_text());
    return examples;
}

static struct qm_user_examples *parse(const char *text)
{
    const struct qm_examples_params params = QM_EXAMPLES_DEFAULT;
    return parse_as(text, &params);
}

static void refused_bytes(const char *text, size_t bytes, const char *words)
{
    struct qm_user_examples *examples = (struct qm_user_examples *)1;
    const struct qm_examples_params params = QM_EXAMPLES_DEFAULT;
    if (qm_user_examples_parse(text, bytes, "e.jsonl", &params, &examples) != QM_INVALID)
        fail_msg("'%.80s' was taken", text);
    assert_null(examples);
    if (!strstr(qm_error_text(), words) || strchr(qm_error_text(), '\n'))
        fail_msg("expected '%s' in '%s'", words, qm_error_text());
}

static void refused(const char *text, const char *words)
{
    refused_bytes(text, strlen(text), words);
}

static void test_own_form(void **state)
{
    (void)state;
    struct qm_user_examples *examples = parse(
        "\xef\xbb\xbf{\"prompt\": \"p\", \"answer\": \"a\"}\r\n"
        "\n"
        "  {\"id\": 7, \"prompt\": \"q\", \"answers\": [\"x\", 2, 0.5], \"match\": \"normalized\", \"stop\": \"\\n\", "
        "\"max_tokens\": 5, \"source\": {\"any\": [1]}}  \n"
        "{\"prompt\": \"r\", \"answer\": -3, \"match\": \"numeric\", \"tolerance\": 0.25}\n"
        "{\"prompt\": \"s\", \"choices\": [\" no\", \" yes\"], \"answer\": \"yes\", \"stop\": []}\n"
        "{\"prompt\": \"t\", \"answer\": \"u\", \"pattern\": \"(.)$\"}");
    assert_int_equal(examples->count, 5);
    const struct qm_user_example *e = examples->examples;
    assert_string_equal(e[0].id, "1");
    assert_int_equal(e[0].rule.match, QM_MATCH_EXACT);
    assert_int_equal(e[0].max_tokens, 256);
    assert_int_equal(e[0].stop_count, 0);
    assert_string_equal(e[1].id, "7");
    assert_int_equal(e[1].line, 3);
    assert_int_equal(e[1].answer_count, 3);
    assert_string_equal(e[1].answers[1], "2");
    assert_string_equal(e[1].answers[2], "0.5");
    assert_int_equal(e[1].rule.match, QM_MATCH_NORMALISED);
    assert_string_equal(e[1].stops[0], "\n");
    assert_int_equal(e[1].max_tokens, 5);
    assert_string_equal(e[2].answers[0], "-3");
    assert_true(e[2].rule.tolerance == 0.25);
    assert_int_equal(e[3].rule.match, QM_MATCH_CHOICE);
    assert_int_equal(e[3].right_choice, 1);
    assert_string_equal(e[3].choices[0].text, " no");
    assert_int_equal(e[4].rule.match, QM_MATCH_REGEX);
    assert_non_null(e[4].rule.pattern);
    assert_int_equal(examples->matches[QM_MATCH_CHOICE], 1);
    qm_user_examples_destroy(&examples);
    assert_null(examples);
    qm_user_examples_destroy(&examples);
    // What the run says, where a line does not.
    const struct qm_examples_params params = {
        .match = QM_MATCH_REGEX, .pattern = "(\\d+)", .max_tokens = 9, .examples_most = 1};
    examples = parse_as("{\"prompt\": \"p\", \"answer\": 4}\nnot looked at", &params);
    assert_int_equal(examples->count, 1);
    assert_int_equal(examples->examples[0].max_tokens, 9);
    assert_string_equal(qm_answer_pattern_text(examples->examples[0].rule.pattern), "(\\d+)");
    qm_user_examples_destroy(&examples);
}

#define LIST "{\"doc_id\": 4, \"target\": %s, \"arguments\": [[\"Q\", \" red\"], [\"Q\", \" green\"]]}"

static uint32_t right_choice_of(const char *target)
{
    char line[256];
    snprintf(line, sizeof(line), LIST, target);
    struct qm_user_examples *examples = parse(line);
    uint32_t right = examples->examples[0].right_choice;
    qm_user_examples_destroy(&examples);
    return right;
}

static void test_harness(void **state)
{
    (void)state;
    // Both forms of one example have one hash, whatever else a line holds.
    struct qm_user_examples *list =
        parse("{\"doc_id\": 3, \"doc\": {\"x\": null}, \"target\": \"8\", \"arguments\": [[\"2^3=\", "
              "{\"until\": [\"\\n\", \"Q\"], \"max_gen_toks\": 12, \"do_sample\": false, "
              "\"temperature\": 0.0}]], \"resps\": [[\"8\"]]}");
    struct qm_user_examples *mapping =
        parse("{\"arguments\": {\"gen_args_0\": {\"arg_0\": \"2^3=\", \"arg_1\": {\"until\": "
              "[\"\\n\", \"Q\"], \"max_gen_toks\": 12}}}, \"target\": \"8\", \"doc_id\": 5}");
    struct qm_user_examples *own =
        parse("{\"prompt\": \"2^3=\", \"answer\": 8, \"stop\": [\"\\n\", \"Q\"], \"max_tokens\": 12}");
    assert_string_equal(list->sha256, mapping->sha256);
    assert_string_equal(list->sha256, own->sha256);
    assert_string_not_equal(list->file_sha256, own->file_sha256);
    assert_string_equal(list->examples[0].id, "3");
    assert_int_equal(list->examples[0].stop_count, 2);
    assert_int_equal(list->sampling, 0);
    qm_user_examples_destroy(&list);
    qm_user_examples_destroy(&mapping);
    qm_user_examples_destroy(&own);

    assert_int_equal(right_choice_of("1"), 1);
    assert_int_equal(right_choice_of("\"0\""), 0);
    assert_int_equal(right_choice_of("\"green\""), 1);
    assert_int_equal(right_choice_of("\" green\""), 1);

    // A task with two filters has two lines of a document; the second is passed over.
    struct qm_user_examples *filters =
        parse("{\"doc_id\": 0, \"target\": \"8\", \"arguments\": [[\"p\", {}]], \"filter\": \"strict\"}\n"
              "{\"doc_id\": 0, \"target\": \"8\", \"arguments\": [[\"p\", {}]], \"filter\": \"flexible\"}\n"
              "{\"doc_id\": 1, \"target\": \"9\", \"arguments\": [[\"q\", {\"do_sample\": true}]]}\n");
    assert_int_equal(filters->count, 2);
    assert_int_equal(filters->repeated, 1);
    assert_int_equal(filters->sampling, 1);
    qm_user_examples_destroy(&filters);

    // A list of targets, in JSON and as Python prints it.
    struct qm_user_examples *lists = parse("{\"target\": [\"a\", \"b\"], \"arguments\": [[\"p\", {}]]}\n"
                                           "{\"target\": \"['it\\\\'s', \\\"o'clock\\\", 'a\\\\nb', "
                                           "'\\\\x01\\\\u00e9', '']\", \"arguments\": [[\"p\", {}]]}\n"
                                           "{\"target\": \"[1] a note\", \"arguments\": [[\"p\", {}]]}\n");
    assert_int_equal(lists->examples[0].answer_count, 2);
    assert_int_equal(lists->examples[1].answer_count, 5);
    assert_string_equal(lists->examples[1].answers[0], "it's");
    assert_string_equal(lists->examples[1].answers[1], "o'clock");
    assert_string_equal(lists->examples[1].answers[2], "a\nb");
    assert_string_equal(lists->examples[1].answers[3], "\x01\xc3\xa9");
    assert_string_equal(lists->examples[1].answers[4], "");
    assert_string_equal(lists->examples[2].answers[0], "[1] a note");
    qm_user_examples_destroy(&lists);

    // winogrande: contexts differ, continuations do not; `answer` says which is right.
    struct qm_user_examples *contexts = parse("{\"target\": \"fell.\", \"answer\": 1, \"arguments\": "
                                              "[[\"The cup\", \" fell.\"], [\"The man\", \" fell.\"]]}");
    assert_string_equal(contexts->examples[0].choices[1].prompt, "The man");
    assert_int_equal(contexts->examples[0].right_choice, 1);
    qm_user_examples_destroy(&contexts);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "e.jsonl: the file holds no example"},
        {" \n\r\n", "holds no example"},
        {"{\"prompt\": \"p\", \"answer\": \"a\"}\n{\"prompt\": \"p\", \"ans", "e.jsonl:2: no JSON at byte"},
        {"{\"prompt\": \"p\", \"ans", "(the file may be cut short)"},
        {"[1]", "e.jsonl:1: JSON, but no object"},
        {"{\"prompt\": \"\", \"answer\": 1}", "'prompt' is empty"},
        {"{\"prompt\": 3, \"answer\": 1}", "'prompt' is no text"},
        {"{\"answer\": 1}", "'prompt' is missing"},
        {"{\"prompt\": \"p\"}", "'answer' is missing"},
        {"{\"promt\": \"p\", \"answer\": 1}", "did you mean 'prompt'?"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"stops\": \"x\"}", "did you mean 'stop'?"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"answers\": [2]}", "both 'answer' and 'answers'"},
        {"{\"prompt\": \"p\", \"answer\": [1]}", "'answer' is a list"},
        {"{\"prompt\": \"p\", \"answers\": []}", "'answers' is empty"},
        {"{\"prompt\": \"p\", \"answer\": null}", "neither text nor number"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"match\": \"close\"}", "'match' must be exact"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"match\": 3}", "'match' must be exact"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"match\": \"choice\"}", "there are no choices"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"match\": \"exact\", \"choices\": [\"a\", \"b\"]}",
         "there are some choices"},
        {"{\"prompt\": \"p\", \"answer\": 2, \"choices\": [\"a\", \"b\"]}", "0 to 1"},
        {"{\"prompt\": \"p\", \"answer\": -1, \"choices\": [\"a\", \"b\"]}", "0 to 1"},
        {"{\"prompt\": \"p\", \"answer\": \"c\", \"choices\": [\"a\", \"b\"]}", "is no choice"},
        {"{\"prompt\": \"p\", \"answer\": \"1\", \"choices\": [\"1\", \"2\"]}", "may mean more than one"},
        {"{\"prompt\": \"p\", \"answer\": \"a\", \"choices\": [\"a\", \" a\"]}", "may mean more than one"},
        {"{\"prompt\": \"p\", \"answer\": 0, \"choices\": [\"a\"]}", "a list of 2 to 64 texts"},
        {"{\"prompt\": \"p\", \"answer\": 0, \"choices\": [\"a\", 2]}", "'choices' is no text"},
        {"{\"prompt\": \"p\", \"answer\": 0, \"choices\": \"ab\"}", "a list of 2 to 64 texts"},
        {"{\"prompt\": \"p\", \"answer\": \"x\", \"match\": \"numeric\"}", "holds no number"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"tolerance\": 1}", "expected match: numeric"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"match\": \"numeric\", \"tolerance\": -1}", "0 or more"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"match\": \"numeric\", \"tolerance\": \"1\"}", "0 or more"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"match\": \"regex\"}", "without a 'pattern'"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"pattern\": \"(\"}", "e.jsonl:1: the pattern does not compile"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"pattern\": \"a\", \"match\": \"exact\"}", "expected match: regex"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"max_tokens\": 0}", "from 1 to 65536"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"max_tokens\": 1.5}", "from 1 to 65536"},
        {"{\"prompt\": \"p\", \"answer\": 1, \"stop\": {}}", "'stop' is neither"},
        {"{\"id\": 1, \"prompt\": \"p\", \"answer\": 1}\n{\"id\": \"1\", \"prompt\": \"p\", \"answer\": 1}",
         "e.jsonl:2: the id '1' stands in an earlier line"},
        {"{\"prompt\": \"p\", \"prompt\": \"q\", \"answer\": 1}", "duplicate"},
        {"{\"prompt\": \"a\\u0000b\", \"answer\": 1}", "no JSON"},
        {"{\"prompt\": \"\xff\", \"answer\": 1}", "no JSON"},
        {"{\"target\": 1, \"arguments\": []}", "holds no request"},
        {"{\"target\": 1, \"arguments\": 3}", "holds no request"},
        {"{\"target\": 1, \"arguments\": [[\"p\"]]}", "has no two arguments"},                // loglikelihood_rolling
        {"{\"target\": 1, \"arguments\": [[\"p\", \" q\"]]}", "1 continuations; expected 2"}, // loglikelihood
        {"{\"target\": 1, \"arguments\": [[\"p\", \" q\"], [\"\", \" q\"]]}", "acc_mutual_info"},
        {"{\"target\": 1, \"arguments\": [[\"p\", \" q\"], [\"p\", \"\"]]}", "is no text of 1 byte"},
        {"{\"target\": 1, \"arguments\": [[\"p\", {}], [\"p\", {}]]}", "2 requests that generate"},
        {"{\"target\": 1, \"arguments\": [[[{\"role\": \"user\"}], {}]]}", "a chat's list of messages"},
        {"{\"target\": 1, \"arguments\": [[\"p\", 3]]}", "neither settings nor a continuation"},
        {"{\"target\": 1, \"arguments\": [[\"\", {}]]}", "the context of request 0 is empty"},
        {"{\"target\": \"fell.\", \"arguments\": [[\"The cup\", \" fell.\"], [\"The man\", \" fell.\"]]}",
         "may mean more than one choice"},
        {"{\"target\": \"[0, 1]\", \"arguments\": [[\"p\", \" a\"], [\"p\", \" b\"]]}", "'target' is no choice"},
        {"{\"target\": \"['a', 3]\", \"arguments\": [[\"p\", {}]]}", "begins like a list of texts"},
        {"{\"target\": \"['a\\\\q']\", \"arguments\": [[\"p\", {}]]}", "begins like a list of texts"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(cases[i][0], cases[i][1]);
    const struct qm_examples_params by_choice = {.match = QM_MATCH_CHOICE, .max_tokens = 1};
    struct qm_user_examples *examples = NULL;
    assert_int_equal(qm_user_examples_parse("{}", 2, "e", &by_choice, &examples), QM_INVALID);
}

// Input that is meant to break the reader: refused by counting, before the parser or the memory sees it.
static void test_hostile(void **state)
{
    (void)state;
    const size_t bytes = (size_t)6 << 20;
    char *text = malloc(bytes);
    assert_non_null(text);
    memset(text, '[', bytes);
    refused_bytes(text, 1000000, "e.jsonl:1: nested deeper than 64");
    refused_bytes(text, bytes, "a line of 6291456 bytes");
    memset(text, 'x', bytes);
    refused_bytes(text, 1000000, "no JSON");
    memset(text, '"', 1001);
    refused_bytes(text, 1001, "no JSON");
    // 65 levels inside of a key that is passed over.
    strcpy(text, "{\"prompt\": \"p\", \"answer\": \"[[[[\", \"x\": ");
    size_t at = strlen(text);
    memset(text + at, '[', 63);
    memset(text + at + 63, ']', 63);
    strcpy(text + at + 126, "}");
    struct qm_user_examples *examples = parse(text);
    assert_string_equal(examples->examples[0].answers[0], "[[[[");
    qm_user_examples_destroy(&examples);
    memset(text + at, '[', 64);
    memset(text + at + 64, ']', 64);
    strcpy(text + at + 128, "}");
    refused(text, "nested deeper than 64");
    // More patterns than are kept.
    char *to = text;
    for (int i = 0; i <= QM_EXAMPLES_PATTERNS_MAX; i++)
        to += sprintf(to, "{\"prompt\": \"p\", \"answer\": 1, \"pattern\": \"a%d\"}\n", i);
    refused(text, "e.jsonl:1001: more than 1000 different patterns");
    free(text);
}

static void test_tokens(void **state)
{
    (void)state;
    struct byte_encoder bytes = {.adds_begin = true, .joins = true};
    const struct qm_text_encoder encoder = {encode_bytes, &bytes};
    const struct qm_example_tokens_params params = {.context = 30, .vocabulary = 301};
    struct qm_examples_tokens *tokens = NULL;
    struct qm_user_examples *examples = parse("{\"prompt\": \"xyz\", \"answer\": \"four\", \"max_tokens\": 26}\n"
                                              "{\"prompt\": \"ca\", \"choices\": [\"b\", \"de\"], \"answer\": 1}\n"
                                              "{\"prompt\": \"is \", \"choices\": [\"it\", \"no\"], \"answer\": 0}\n");
    // "ca" + "b" is two tokens, c and ab, as "ca" alone is: of the choice nothing would be left.
    assert_int_equal(qm_example_tokens_create(examples, &encoder, &params, &tokens), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "e.jsonl:2: the prompt alone has 3 tokens and with a choice 3"));
    qm_user_examples_destroy(&examples);
    examples = parse("{\"prompt\": \"xyz\", \"answer\": \"four\", \"max_tokens\": 26}\n"
                     "{\"prompt\": \"is \", \"choices\": [\"it\", \"not\"], \"answer\": 1}\n");
    assert_int_equal(qm_example_tokens_create(examples, &encoder, &params, &tokens), QM_OK);
    assert_int_equal(tokens->examples[0].prompt.count, 4); // with the begin token: 4 + 26 fits into 30
    assert_int_equal(tokens->examples[0].answer_tokens, 4);
    const struct qm_example_sequence *choice = &tokens->examples[1].choices[1];
    assert_int_equal(choice->count, 7);
    assert_int_equal(choice->first, 3); // the prompt's last blank belongs to the choice
    assert_int_equal(choice->tokens[3], ' ' + 3);
    assert_int_equal(tokens->examples[1].answer_tokens, 4);
    assert_int_equal(tokens->total, 4 + 6 + 7);

    struct qm_node *node = qm_node_new_mapping();
    char *yaml = NULL;
    assert_int_equal(qm_workload_disclose_examples(examples, tokens, node), QM_OK);
    assert_string_equal(qm_node_text_at(node, "examples", ""), "2");
    assert_string_equal(qm_node_text_at(node, "prompt_tokens.most", ""), "4");
    assert_string_equal(qm_node_text_at(node, "answer_tokens.least", ""), "4");
    assert_string_equal(qm_node_text_at(node, "rules.choice", ""), "1");
    // None of the user's words.
    assert_int_equal(qm_node_write_yaml(node, &yaml), QM_OK);
    static const char *const words[] = {"xyz", "four", "not", "is ", "e.jsonl"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        assert_null(strstr(yaml, words[i]));
    free(yaml);
    assert_int_equal(qm_workload_embed_examples(examples, 15, "texts", node), QM_INVALID);
    assert_null(qm_node_child(node, "texts"));
    assert_int_equal(qm_workload_embed_examples(examples, 1000, "texts", node), QM_OK);
    assert_string_equal(qm_node_text_at(node, "texts.0.prompt", ""), "xyz");
    assert_string_equal(qm_node_text_at(node, "texts.1.choices.1.text", ""), "not");
    qm_node_destroy(&node);
    qm_example_tokens_destroy(&tokens);
    assert_null(tokens);

    const struct qm_example_tokens_params small = {.context = 29}, few = {.context = 30, .vocabulary = 100};
    assert_int_equal(qm_example_tokens_create(examples, &encoder, &small, &tokens), QM_INVALID);
    assert_string_equal(qm_error_text(),
                        "e.jsonl:1: the prompt has 4 tokens and up to 26 are generated; the context is 29 "
                        "tokens, shorten it or lower max_tokens");
    assert_int_equal(qm_example_tokens_create(examples, &encoder, &few, &tokens), QM_INVALID);
    bytes.fails = true;
    assert_int_equal(qm_example_tokens_create(examples, &encoder, &params, &tokens), QM_FAILED);
    assert_non_null(strstr(qm_error_text(), "e.jsonl:1: the encoder is broken"));
    assert_null(tokens);
    qm_user_examples_destroy(&examples);
}

// Every example of the documentation is read, and means what it says there.
static void test_documentation(void **state)
{
    (void)state;
    char *lines = fenced_blocks(QM_SOURCE_DIR "/docs/WORKLOAD.md", "json");
    struct qm_user_examples *examples = parse(lines);
    assert_int_equal(examples->count, 8);
    assert_int_equal(examples->matches[QM_MATCH_EXACT], 2);
    assert_int_equal(examples->matches[QM_MATCH_NORMALISED], 1);
    assert_int_equal(examples->matches[QM_MATCH_NUMERIC], 2);
    assert_int_equal(examples->matches[QM_MATCH_REGEX], 1);
    assert_int_equal(examples->matches[QM_MATCH_CHOICE], 2);
    static const char *const texts[] = {"The Paris",         " 1,200", "3",   "The answer is YES: yes", "",
                                        "So 2+3 is 5, yes.", "",       "Roma"};
    for (uint32_t i = 0; i < examples->count; i++) {
        const struct qm_user_example *example = &examples->examples[i];
        enum qm_judgement judgement = QM_ANSWER_UNJUDGED;
        if (example->choice_count > 0) {
            assert_int_equal(example->right_choice, 1);
            continue;
        }
        assert_int_equal(qm_answer_judge(&example->rule, example->answers, example->answer_count, texts[i],
                                         strlen(texts[i]), &judgement),
                         QM_OK);
        // "YES" is not "yes" to a rule that compares bytes.
        assert_int_equal(judgement, i == 3 ? QM_ANSWER_WRONG : QM_ANSWER_RIGHT);
    }
    qm_user_examples_destroy(&examples);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_form), cmocka_unit_test(test_harness), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_hostile),  cmocka_unit_test(test_tokens),  cmocka_unit_test(test_documentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
