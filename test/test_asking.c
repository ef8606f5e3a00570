// Which sequences are asked for, when an answer ends, what its text is and what came of it: with a planted generator in
// place of a model.
#include "test/asking.h"

#include "bench/result_answers.h"
#include "sys/file.h"

enum {
    SEQUENCES = 3,
    ROWS = 12,
    SCRIPT = 64,
    SCRIPTS = 16
};

// What a prompt is answered with, token by token, by its first token; beyond its end the last one for ever.
struct planted {
    struct {
        uint32_t prompt, ids[SCRIPT], count;
    } scripts[SCRIPTS];
    size_t script_count;
    size_t of[SEQUENCES]; // script of each sequence of the group
    uint32_t given;       // tokens that each has
    uint32_t prompt;      // tokens of each
    uint32_t groups, sequences, calls, told;
    uint32_t fail_call; // this call fails; 0: none
    double scale;       // of log-probabilities
};

static size_t script_of(const struct planted *planted, uint32_t first)
{
    for (size_t i = 0; i < planted->script_count; ++i)
        if (planted->scripts[i].prompt == first)
            return i;
    fail_msg("there is no script for token %u", first);
    return 0;
}

static enum qm_status planted_generate(void *context, const struct qm_generate_request *request, uint32_t steps,
                                       uint32_t *ids)
{
    struct planted *planted = context;
    assert_true(request->batch >= 1 && request->batch <= SEQUENCES && request->batch * request->count <= ROWS);
    assert_true(steps >= 1 && steps <= QM_ANSWER_CHUNK_TOKENS);
    if (++planted->calls == planted->fail_call)
        return QM_FAIL(QM_DEVICE_LOST, "planted");
    if (request->position == 0) {
        planted->prompt = request->count;
        planted->given = 0;
        planted->groups++;
        planted->sequences += request->batch;
    } else {
        assert_int_equal(request->count, 1);
        assert_int_equal(request->position, planted->prompt + planted->given - 1);
    }
    for (uint32_t b = 0; b < request->batch; ++b) {
        if (request->position == 0)
            planted->of[b] = script_of(planted, request->tokens[(size_t)b * request->count]);
        const uint32_t *script = planted->scripts[planted->of[b]].ids;
        uint32_t count = planted->scripts[planted->of[b]].count;
        for (uint32_t i = 0; i < steps; ++i)
            ids[b * steps + i] = script[planted->given + i < count ? planted->given + i : count - 1];
        if (request->position > 0) // it goes on with its own last token
            assert_int_equal(request->tokens[b], script[planted->given - 1 < count ? planted->given - 1 : count - 1]);
    }
    planted->given += steps;
    return QM_OK;
}

// A choice is the likelier the larger its tokens are.
static enum qm_status planted_weigh(void *context, const struct qm_generate_request *request, const uint32_t *first,
                                    double *log_probabilities)
{
    struct planted *planted = context;
    assert_true(request->batch <= SEQUENCES && request->batch * (request->count - 1) <= ROWS);
    for (uint32_t b = 0; b < request->batch; ++b) {
        log_probabilities[b] = 0;
        for (uint32_t i = first[b]; i < request->count; ++i)
            log_probabilities[b] -= planted->scale / (1 + request->tokens[(size_t)b * request->count + i]);
    }
    return QM_OK;
}

static void planted_tell(void *context, uint32_t done, uint32_t count)
{
    struct planted *planted = context;
    assert_true(done > planted->told && done <= count);
    planted->told = done;
}

static struct qm_answer_source source_of(struct planted *planted)
{
    planted->scale = 1;
    return (struct qm_answer_source){.generate = planted_generate,
                                     .weigh = planted_weigh,
                                     .tell = planted_tell,
                                     .context = planted,
                                     .sequences = SEQUENCES,
                                     .rows = ROWS};
}

// The script for a prompt that begins with the word, from words.
static void plant(const struct asked *asked, struct planted *planted, const char *first, const char *words)
{
    uint32_t *ids = NULL;
    size_t count = 0, at = planted->script_count++;
    assert_true(at < SCRIPTS);
    assert_int_equal(encode_text(asked->tokenizer, first, strlen(first), false, &ids, &count), QM_OK);
    assert_int_equal(count, 1);
    planted->scripts[at].prompt = ids[0];
    free(ids);
    assert_int_equal(encode_text(asked->tokenizer, words, strlen(words), false, &ids, &count), QM_OK);
    assert_true(count >= 1 && count <= SCRIPT);
    memcpy(planted->scripts[at].ids, ids, count * sizeof(*ids));
    planted->scripts[at].count = (uint32_t)count;
    free(ids);
}

static void expect_answer(const struct asked *asked, const struct qm_generated *generated, uint32_t example,
                          uint32_t count, const char *text)
{
    char *is = NULL;
    size_t bytes = 0;
    assert_int_equal(generated->answers[example].count, count);
    assert_int_equal(qm_answer_text(&asked->questions, example, &generated->answers[example], &is, &bytes), QM_OK);
    assert_string_equal(is, text);
    assert_int_equal(bytes, strlen(text));
    free(is);
}

// ---- When answers end -----------------------------------------------------------------------------------------------

static const char lines[] =
    "{\"prompt\": \"n00 =\", \"answer\": \"1 2 3\", \"max_tokens\": 3}\n"
    "{\"prompt\": \"n01 n01 =\", \"answer\": \"4 5\", \"max_tokens\": 40, \"stop\": \"6\"}\n"
    "{\"prompt\": \"n02 =\", \"answer\": \"7\", \"max_tokens\": 20, \"stop\": [\"v00\", \"n63 8\"]}\n"
    "{\"prompt\": \"n03 =\", \"answer\": \"9\", \"max_tokens\": 30}\n"
    "{\"prompt\": \"n04 = = = = = = = = = = =\", \"answer\": \"1\", \"max_tokens\": 1}\n"
    "{\"prompt\": \"n05 =\", \"answer\": \"x\", \"max_tokens\": 5, \"stop\": \"1\"}\n";

static void plant_all(const struct asked *asked, struct planted *planted)
{
    plant(asked, planted, "n00", "1 2 3 4");
    plant(asked, planted, "n01", "4 5 6 4 5");
    // 17 tokens: the stop string "n63 8" has its first word in one chunk and its second in the next.
    plant(asked, planted, "n02", "7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 n63 8 7");
    plant(asked, planted, "n03", "9 v63 9"); // v63 shall end it
    plant(asked, planted, "n04", "1");
    plant(asked, planted, "n05", "1 2");
}

static void test_ends(void **state)
{
    (void)state;
    struct asked asked;
    struct planted planted = {0};
    struct qm_generated *generated = NULL;
    struct qm_answer_run *run = NULL;
    ask(lines, &asked);
    plant_all(&asked, &planted);
    uint32_t end = 0;
    assert_true(qm_tokenizer_id(asked.tokenizer, "v63", 3, &end));
    assert_true(qm_end_tokens_add(&asked.questions.ends, end));
    const struct qm_answer_source source = source_of(&planted);
    if (qm_answers_generate(&asked.questions, &source, &generated) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_int_equal(qm_answer_longest(asked.tokens), 12);
    assert_int_equal(qm_answer_positions(&asked.questions), 42); // 3 + 40 - 1
    // Lengths 2 (four of them, three side by side), 3 and 12.
    assert_int_equal(planted.groups, 4);
    assert_int_equal(planted.sequences, 6);
    assert_int_equal(planted.told, 6);
    expect_answer(&asked, generated, 0, 3, "1 2 3");
    expect_answer(&asked, generated, 1, 3, "4 5 ");
    expect_answer(&asked, generated, 2, 17, "7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 ");
    expect_answer(&asked, generated, 3, 2, "9");
    expect_answer(&asked, generated, 4, 1, "1");
    expect_answer(&asked, generated, 5, 1, "");
    assert_int_equal(qm_answers_judge(&asked.questions, generated, &run), QM_OK);
    const uint8_t right[] = {QM_ANSWER_RIGHT, QM_ANSWER_RIGHT, QM_ANSWER_WRONG,
                             QM_ANSWER_RIGHT, QM_ANSWER_RIGHT, QM_ANSWER_WRONG};
    assert_memory_equal(run->judgement, right, sizeof(right));
    assert_int_equal(run->generated[2], 17);
    assert_int_equal(run->is_choice[2], 0);
    qm_answer_run_destroy(&run);
    qm_generated_destroy(&generated);
    asked_free(&asked);
}

// What a source fails with is what asking fails with, wherever it does.
static void test_failures(void **state)
{
    (void)state;
    struct asked asked;
    ask(lines, &asked);
    uint32_t calls = 1;
    for (uint32_t call = 1; call <= calls; ++call) {
        struct planted planted = {.fail_call = call};
        struct qm_generated *generated = NULL;
        plant_all(&asked, &planted);
        const struct qm_answer_source source = source_of(&planted);
        enum qm_status status = qm_answers_generate(&asked.questions, &source, &generated);
        if (planted.calls < call) { // it got through
            assert_int_equal(status, QM_OK);
            qm_generated_destroy(&generated);
            break;
        }
        assert_int_equal(status, QM_DEVICE_LOST);
        assert_null(generated);
        ++calls;
    }
    assert_true(calls > 5);
    struct planted planted = {0};
    struct qm_generated *generated = NULL;
    plant_all(&asked, &planted);
    planted.scripts[3].ids[0] = 512; // no token of this model
    struct qm_answer_source source = source_of(&planted);
    assert_int_equal(qm_answers_generate(&asked.questions, &source, &generated), QM_FAILED);
    assert_non_null(strstr(qm_error_text(), "token 512"));
    source.rows = 11; // less than the longest prompt
    assert_int_equal(qm_answers_generate(&asked.questions, &source, &generated), QM_INVALID);
    asked_free(&asked);
}

// ---- Choices --------------------------------------------------------------------------------------------------------

static const char choice_lines[] = "{\"prompt\": \"n00 =\", \"choices\": [\" n01\", \" n63\"], \"answer\": 1}\n"
                                   // By the sum the first, which is shorter; by token the second.
                                   "{\"prompt\": \"n00 =\", \"choices\": [\" n40\", \" n60 n60\"], \"answer\": 1}\n"
                                   "{\"prompt\": \"n00 =\", \"answer\": \"1\", \"max_tokens\": 1}\n";

static void test_choices(void **state)
{
    (void)state;
    struct asked asked;
    struct planted planted = {0};
    struct qm_generated *generated = NULL;
    struct qm_answer_run *run = NULL, *other = NULL;
    ask(choice_lines, &asked);
    plant(&asked, &planted, "n00", "1");
    const struct qm_answer_source source = source_of(&planted);
    assert_int_equal(qm_answers_generate(&asked.questions, &source, &generated), QM_OK);
    assert_int_equal(qm_answers_judge(&asked.questions, generated, &run), QM_OK);
    assert_int_equal(run->judgement[0], QM_ANSWER_RIGHT);
    assert_int_equal(run->right_by_norm[0], 15);
    assert_int_equal(run->judgement[1], QM_ANSWER_WRONG);
    assert_int_equal(run->right_by_norm[1] >> QM_CHOICE_SUM & 1, 0);
    assert_int_equal(run->right_by_norm[1] >> QM_CHOICE_TOKENS & 1, 1);
    assert_int_equal(run->picked[1], 0);
    assert_int_equal(run->is_choice[0] + run->is_choice[1] + run->is_choice[2], 2);
    assert_int_equal(run->generated[0] + run->generated[1], 0);
    assert_int_equal(run->generated[2], 1);
    expect_answer(&asked, generated, 0, 0, " n63");
    // The same answers again, and then another choice and another text.
    assert_int_equal(qm_answers_judge(&asked.questions, generated, &other), QM_OK);
    assert_int_equal(qm_answers_compare(other, run), QM_OK);
    assert_int_equal(other->is_same[0] + other->is_same[1] + other->is_same[2], 3);
    qm_answer_run_destroy(&other);
    generated->answers[0].log_probabilities[0] = 0;
    generated->answers[2].ids[0] ^= 1;
    assert_int_equal(qm_answers_judge(&asked.questions, generated, &other), QM_OK);
    assert_int_equal(qm_answers_compare(other, run), QM_OK);
    assert_int_equal(other->is_same[0], 0);
    assert_int_equal(other->is_same[1], 1);
    assert_int_equal(other->is_same[2], 0);
    assert_int_equal(other->judgement[2], QM_ANSWER_WRONG);
    qm_answer_run_destroy(&other);
    generated->answers[1].log_probabilities[0] = strtod("nan", NULL);
    assert_int_equal(qm_answers_judge(&asked.questions, generated, &other), QM_WRONG_RESULT);
    assert_null(other);
    run->count = 2;
    other = NULL;
    generated->count = 2;
    assert_int_equal(qm_answers_judge(&asked.questions, generated, &other), QM_INVALID); // of other examples
    generated->count = 3;
    run->count = 3;
    qm_answer_run_destroy(&run);
    qm_generated_destroy(&generated);
    asked_free(&asked);
}

// ---- What a result tells --------------------------------------------------------------------------------------------

static void test_result(void **state)
{
    (void)state;
    enum {
        COUNT = 60
    };
    static struct qm_profile profile;
    static struct qm_raw raw;
    uint8_t is_choice[COUNT] = {0}, judgement[COUNT], reference[COUNT], same[COUNT], norms[COUNT] = {0},
            reference_norms[COUNT] = {0};
    uint32_t generated[COUNT], reference_generated[COUNT];
    for (int e = 0; e < COUNT; ++e) {
        is_choice[e] = e >= 40;
        reference[e] = e % 4 != 0;                           // 45 of 60
        judgement[e] = e < 6 ? !reference[e] : reference[e]; // lost 1 2 3 5, gained 0 4
        same[e] = e >= 8;                                    // 6 and 7: other texts, both right
        generated[e] = is_choice[e] ? 0 : 3;
        reference_generated[e] = is_choice[e] ? 0 : 2;
        norms[e] = is_choice[e] ? (uint8_t)(judgement[e] | 8) : 0; // by tokens all are right
        reference_norms[e] = is_choice[e] ? reference[e] : 0;
    }
    judgement[8] = QM_ANSWER_UNJUDGED; // the reference is wrong there, too
    same[8] = 0;
    profile.bootstrap.confidence_permille = 950;
    raw.profile = &profile;
    raw.answer_count = COUNT;
    raw.answer_is_choice = is_choice;
    raw.reference_answers = (struct qm_raw_answers){reference, reference_norms, NULL, reference_generated};
    raw.schemes[0].answers = (struct qm_raw_answers){judgement, norms, same, generated};
    struct qm_node *row = qm_node_new_mapping();
    qm_node_add_mapping(row, "accuracy");
    qm_result_add_answers(row, &raw, 0);
    assert_true(qm_node_ok(row));
    const struct {
        const char *path;
        double value;
    } wants[] = {{"examples", 60},
                 {"right_to_wrong", 4},
                 {"wrong_to_right", 2},
                 {"flips", 6},
                 {"other_right", 2},
                 {"other_wrong", 1},
                 {"unjudged", 1},
                 {"unjudged_reference", 0},
                 {"accuracy.value", 43.0 / 60},
                 {"reference.value", 45.0 / 60},
                 {"ratio.value", 43.0 / 45},
                 {"difference.value", -2.0 / 60},
                 {"tokens_mean", 3},
                 {"tokens_mean_reference", 2},
                 {"choices.0.examples", 20},
                 {"choices.0.value", 0.75},
                 {"choices.0.reference", 0.75},
                 {"choices.3.value", 1},
                 {"choices.3.reference", 0}};
    for (size_t i = 0; i < sizeof(wants) / sizeof(wants[0]); ++i) {
        char path[80];
        double value = -1;
        snprintf(path, sizeof(path), "accuracy.answers.%s", wants[i].path);
        assert_true(qm_node_double_at(row, path, &value));
        if (value - wants[i].value > 1e-12 || wants[i].value - value > 1e-12)
            fail_msg("%s is %.17g, not %.17g", path, value, wants[i].value);
    }
    double low = 0, high = 0;
    assert_true(qm_node_double_at(row, "accuracy.answers.accuracy.low", &low));
    assert_true(qm_node_double_at(row, "accuracy.answers.accuracy.high", &high));
    assert_true(low > 0.5 && low < 43.0 / 60 && high > 43.0 / 60 && high < 0.9);
    qm_node_destroy(&row);
}

// ---- End tokens -----------------------------------------------------------------------------------------------------

static void write_config(const char *name, const char *text)
{
    char path[QM_PATH_BYTES];
    assert_int_equal(qm_directory_make(QM_BINARY_DIR "/test-asking"), QM_OK);
    snprintf(path, sizeof(path), QM_BINARY_DIR "/test-asking/%s", name);
    if (text)
        assert_int_equal(qm_file_write(path, text, strlen(text)), QM_OK);
    else
        assert_int_equal(qm_file_remove(path), QM_OK);
}

static enum qm_status load_ends(const char *config, const char *generation, struct qm_end_tokens *out)
{
    write_config("config.json", config);
    write_config("generation_config.json", generation);
    return qm_end_tokens_load(QM_BINARY_DIR "/test-asking", 100, out);
}

static void test_end_tokens(void **state)
{
    (void)state;
    struct qm_end_tokens ends;
    assert_int_equal(qm_end_tokens_load(BUILT_IN, 512, &ends), QM_OK); // null
    assert_int_equal(ends.count, 0);
    assert_int_equal(load_ends("{\"eos_token_id\": 7}", NULL, &ends), QM_OK);
    assert_true(ends.count == 1 && ends.ids[0] == 7);
    assert_int_equal(load_ends("{\"eos_token_id\": 7}", "{\"eos_token_id\": [3, 99, 3, 100]}", &ends), QM_OK);
    assert_true(ends.count == 2 && qm_end_tokens_have(&ends, 3) && qm_end_tokens_have(&ends, 99));
    assert_int_equal(load_ends("{\"eos_token_id\": 7}", "{}", &ends), QM_OK);
    assert_true(ends.count == 1 && ends.ids[0] == 7);
    static const char *const bad[] = {"{\"eos_token_id\": \"7\"}",
                                      "{\"eos_token_id\": -1}",
                                      "{\"eos_token_id\": [1.5]}",
                                      "{\"eos_token_id\": {}}",
                                      "[7]",
                                      "{\"eos_token_id\": 7",
                                      "{\"eos_token_id\": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i) {
        assert_int_equal(load_ends("{}", bad[i], &ends), QM_INVALID);
        assert_non_null(strstr(qm_error_text(), "generation_config.json"));
    }
    char *deep = malloc(3000001);
    assert_non_null(deep);
    memset(deep, '[', 1000000);
    deep[1000000] = '\0';
    assert_int_equal(load_ends("{}", deep, &ends), QM_INVALID);
    for (size_t i = 0; i < 1000000; ++i)
        memcpy(deep + 3 * i, "{},", 3);
    deep[3000000] = '\0';
    assert_int_equal(load_ends("{}", deep, &ends), QM_INVALID); // larger than any configuration
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),   cmocka_unit_test(test_failures),   cmocka_unit_test(test_choices),
        cmocka_unit_test(test_result), cmocka_unit_test(test_end_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
