// Tests of the generator and of the built-in tasks: the same windows on every machine, right answers, disjoint splits.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "model/tasks.h"

// Taken from the first build; a change of these numbers is a change of every published evaluation set.
#define GOLDEN_RANDOM UINT64_C(0xA34F9932A4CBD54A)
#define GOLDEN_WINDOWS                                                                                                 \
    {QM_SPLIT_EVALUATION, 0, 512, UINT64_C(0xE6ED95553B794389)},                                                       \
        {QM_SPLIT_EVALUATION, 1, 512, UINT64_C(0x6A3DE6EF79CA1DE2)},                                                   \
        {QM_SPLIT_CALIBRATION, 0, 512, UINT64_C(0x5DD3D74B83D60725)},                                                  \
        {QM_SPLIT_TRAIN, 0, 128, UINT64_C(0x05F898FB720DA586)},                                                        \
    {                                                                                                                  \
        QM_SPLIT_TRAIN, 1000000, 512, UINT64_C(0x3908393A98856DAB)                                                     \
    }

// FNV-1a over the fields of a window, byte order independent.
static uint64_t hash_number(uint64_t hash, uint64_t number)
{
    for (int i = 0; i < 8; i++) {
        hash = (hash ^ ((number >> (8 * i)) & 255U)) * UINT64_C(0x100000001B3);
    }
    return hash;
}

static uint64_t hash_window(const struct qm_window *window)
{
    uint64_t hash = hash_number(UINT64_C(0xCBF29CE484222325), window->length);
    for (uint32_t i = 0; i < window->length; i++) {
        hash = hash_number(hash_number(hash, window->tokens[i]), window->scored[i]);
    }
    hash = hash_number(hash, window->tokens[window->length]);
    for (uint32_t i = 0; i < window->example_count; i++) {
        const struct qm_example *e = &window->examples[i];
        hash = hash_number(hash_number(hash, (uint64_t)e->task), e->difficulty);
        hash = hash_number(hash_number(hash, e->start), e->length);
        hash = hash_number(hash_number(hash, e->first), e->count);
    }
    return hash;
}

static void random_is_the_same_everywhere(void **state)
{
    (void)state;
    // xoshiro256** from the state 1, 2, 3, 4: the first numbers of the authors' reference.
    struct qm_random random = {{1, 2, 3, 4}};
    assert_true(qm_random_u64(&random) == 11520U);
    assert_true(qm_random_u64(&random) == 0U);
    assert_true(qm_random_u64(&random) == 1509978240U);
    assert_true(qm_random_u64(&random) == UINT64_C(1215971899390074240));
    qm_random_seed(&random, 1, 2);
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (int i = 0; i < 1000; i++) {
        hash = hash_number(hash, qm_random_u32(&random));
        hash = hash_number(hash, qm_random_below(&random, 1000000007U));
        hash = hash_number(hash, (uint64_t)(qm_random_unit(&random) * 0x1.0p53));
    }
    if (hash != GOLDEN_RANDOM) {
        print_message("random: 0x%016llX\n", (unsigned long long)hash);
    }
    assert_true(hash == GOLDEN_RANDOM);
}

static void random_is_uniform(void **state)
{
    (void)state;
    struct qm_random random;
    qm_random_seed(&random, 7, 0);
    uint32_t seen[6] = {0};
    double sum = 0.0;
    for (int i = 0; i < 60000; i++) {
        const uint32_t face = qm_random_below(&random, 6);
        assert_true(face < 6);
        seen[face]++;
        const double unit = qm_random_unit(&random);
        assert_true(unit >= 0.0 && unit < 1.0);
        sum += unit;
    }
    for (int i = 0; i < 6; i++) {
        assert_in_range(seen[i], 9600, 10400); // more than four standard errors either way
    }
    assert_true(fabs(sum / 60000.0 - 0.5) < 0.005);
    assert_int_equal(qm_random_below(&random, 1), 0);
    // A bound just above half of the range, where every second draw is refused.
    for (int i = 0; i < 1000; i++) {
        assert_true(qm_random_below(&random, 0x80000001U) < 0x80000001U);
    }
    struct qm_random a, b;
    qm_random_seed(&a, 1, 0);
    qm_random_seed(&b, 0, 1);
    assert_true(qm_random_u64(&a) != qm_random_u64(&b));
}

static void windows_are_the_same_everywhere(void **state)
{
    (void)state;
    static const struct {
        enum qm_split split;
        uint64_t index;
        uint32_t length;
        uint64_t hash;
    } golden[] = {GOLDEN_WINDOWS};
    int different = 0;
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        struct qm_window window;
        qm_window_generate(golden[i].split, qm_split_seed(golden[i].split), golden[i].index, golden[i].length, &window);
        const uint64_t hash = hash_window(&window);
        if (hash != golden[i].hash) {
            different++;
            print_message("window %u: 0x%016llX\n", (unsigned)i, (unsigned long long)hash);
        }
    }
    assert_int_equal(different, 0);
}

static void window_text_is_words(void **state)
{
    (void)state;
    struct qm_window window;
    qm_window_generate(QM_SPLIT_EVALUATION, QM_SEED_EVALUATION, 0, 32, &window);
    char text[1024];
    const uint32_t needed = qm_window_text(&window, text, sizeof text);
    assert_int_equal(needed, strlen(text));
    uint32_t words = 0;
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_string_equal(word, qm_token_text(window.tokens[words]));
        words++;
    }
    assert_int_equal(words, window.length + 1);
    char cut[9];
    assert_int_equal(qm_window_text(&window, cut, sizeof cut), needed);
    assert_int_equal(strlen(cut), 8);
    assert_int_equal(qm_window_text(&window, NULL, 0), needed);
}

static void token_texts_are_unique_words(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < QM_VOCABULARY_SIZE; i++) {
        const char *text = qm_token_text(i);
        assert_true(strlen(text) >= 1 && strlen(text) <= 12);
        assert_null(strpbrk(text, " \t\n\""));
        for (uint32_t k = 0; k < i; k++) {
            assert_string_not_equal(text, qm_token_text(k));
        }
    }
    assert_string_equal(qm_token_text(QM_VOCABULARY_SIZE), "<unk>");
    assert_string_equal(qm_token_text(QM_TOKEN_DIGIT + 7), "7");
    for (uint32_t task = 0; task < QM_TASK_COUNT; task++) {
        char tag[16];
        snprintf(tag, sizeof tag, "<%s>", qm_task_name((enum qm_task)task));
        assert_string_equal(qm_token_text(QM_TOKEN_TAG + task), tag);
        assert_true(qm_task_difficulty_count((enum qm_task)task) >= 1);
    }
    assert_string_equal(qm_task_name(QM_TASK_COUNT), "?");
    assert_string_equal(qm_task_difficulty_name(QM_TASK_ADD, 9), "?");
    assert_int_equal(qm_task_difficulty_size(QM_TASK_RECALL, 2), 16);
    assert_int_equal(qm_task_difficulty_size(QM_TASK_RECALL, 4), 0);
}

static uint64_t read_digits(const uint16_t *tokens, uint32_t count, int least_first)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t token = tokens[least_first ? count - 1 - i : i];
        assert_in_range(token, QM_TOKEN_DIGIT, QM_TOKEN_DIGIT + 9);
        number = number * 10 + (token - QM_TOKEN_DIGIT);
    }
    return number;
}

// Derives the answer from the question, in another way than the generator does.
static void check_answer(const struct qm_window *window, const struct qm_example *e)
{
    const uint16_t *tokens = window->tokens + e->start;
    const uint32_t size = qm_task_difficulty_size(e->task, e->difficulty);
    const uint16_t *answer = window->tokens + e->first + 1;
    assert_int_equal(tokens[0], QM_TOKEN_TAG + (uint32_t)e->task);
    switch (e->task) {
    case QM_TASK_ADD:
        assert_int_equal(e->count, size + 1);
        assert_int_equal(tokens[1 + size], QM_TOKEN_PLUS);
        assert_int_equal(tokens[2 + 2 * size], QM_TOKEN_EQUALS);
        assert_true(read_digits(tokens + 1, size, 0) + read_digits(tokens + 2 + size, size, 0) ==
                    read_digits(answer, size + 1, 1));
        break;
    case QM_TASK_SORT:
        assert_int_equal(e->count, size);
        assert_int_equal(tokens[1 + size], QM_TOKEN_EQUALS);
        for (uint32_t i = 0; i < size; i++) {
            assert_true(i == 0 || answer[i - 1] < answer[i]);
            uint32_t found = 0;
            for (uint32_t k = 0; k < size; k++) {
                found += tokens[1 + k] == answer[i];
            }
            assert_int_equal(found, 1);
        }
        break;
    case QM_TASK_COPY:
        assert_int_equal(e->count, size);
        assert_int_equal(tokens[1 + size], QM_TOKEN_EQUALS);
        assert_memory_equal(tokens + 1, answer, size * sizeof *answer);
        break;
    case QM_TASK_RECALL:
        assert_int_equal(e->count, 2 * size - 1);
        assert_int_equal(tokens[1 + 2 * size], QM_TOKEN_QUERY);
        for (uint32_t i = 0; i < size; i++) {
            const uint16_t key = tokens[2 + 2 * size + 2 * i];
            uint32_t found = 0;
            for (uint32_t k = 0; k < size; k++) {
                if (tokens[1 + 2 * k] == key) {
                    found++;
                    assert_int_equal(tokens[2 + 2 * k], answer[2 * i]);
                }
                assert_true(k == i || tokens[2 + 2 * size + 2 * k] != key);
            }
            assert_int_equal(found, 1);
        }
        break;
    case QM_TASK_FACT: {
        assert_int_equal(e->count, 2);
        uint32_t first = 0, known = 0;
        for (uint32_t i = 0; i < e->difficulty; i++) {
            first += qm_task_difficulty_size(QM_TASK_FACT, i);
        }
        for (uint32_t i = first; i < first + size; i++) {
            uint16_t subject[2], truth[2];
            qm_fact_get(i, subject, truth);
            if (subject[0] == tokens[1] && subject[1] == tokens[2]) {
                known++;
                assert_memory_equal(answer, truth, sizeof truth);
            }
        }
        assert_int_equal(known, 1);
        break;
    }
    case QM_TASK_SOURCE:
        assert_int_equal(e->count, e->length - 3U);
        for (uint32_t i = 3; i < e->length; i++) {
            assert_in_range(tokens[i], QM_TOKEN_SOURCE_SYMBOL, QM_TOKEN_SOURCE_SYMBOL + 31);
            assert_true(qm_source_weight(tokens[i - 2] - QM_TOKEN_SOURCE_SYMBOL, tokens[i - 1] - QM_TOKEN_SOURCE_SYMBOL,
                                         tokens[i] - QM_TOKEN_SOURCE_SYMBOL) > 0);
        }
        break;
    case QM_TASK_COUNT:
    default:
        fail();
    }
}

static void windows_are_whole_and_right(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {16, 17, 31, 64, 128, 511, 512};
    uint64_t scored_total = 0, positions_total = 0, examples[QM_TASK_COUNT][4] = {{0}};
    for (uint32_t n = 0; n < 700; n++) {
        const enum qm_split split = (enum qm_split)(n % 3);
        struct qm_window window;
        qm_window_generate(split, qm_split_seed(split) + n % 2, n, lengths[n % 7], &window);
        assert_int_equal(window.length, lengths[n % 7]);
        assert_in_range(window.example_count, 1, QM_WINDOW_EXAMPLES_MAX);
        uint32_t used = 0, scored = 0;
        for (uint32_t i = 0; i < window.example_count; i++) {
            const struct qm_example *e = &window.examples[i];
            assert_int_equal(e->start, used);
            used += e->length;
            assert_true(used <= window.length + 1);
            assert_true(e->first >= e->start && e->first + e->count == e->start + e->length - 1);
            assert_true(e->difficulty < qm_task_difficulty_count(e->task));
            for (uint32_t p = 0; p < e->length && e->start + p < window.length; p++) {
                const uint32_t at = e->start + p;
                const int in_answer = at >= e->first && at < (uint32_t)e->first + e->count;
                const int is_key = e->task == QM_TASK_RECALL && (at - e->first) % 2 == 1;
                assert_int_equal(window.scored[at], in_answer && !is_key);
                scored += window.scored[at];
            }
            const int found = qm_example_split(window.tokens + e->start, e->length);
            assert_int_equal(found, e->task == QM_TASK_FACT ? -1 : (int)split);
            check_answer(&window, e);
            examples[e->task][e->difficulty]++;
        }
        assert_true(window.length + 1 - used < 11);
        for (; used < window.length + 1; used++) {
            assert_int_equal(window.tokens[used], QM_TOKEN_PAD);
            assert_true(used == window.length || !window.scored[used]);
        }
        if (window.length >= 511) {
            scored_total += scored;
            positions_total += window.length;
        }
    }
    const double share = (double)scored_total / (double)positions_total;
    assert_true(share > 0.47 && share < 0.53);
    for (uint32_t task = 0; task < QM_TASK_COUNT; task++) {
        for (uint32_t d = 0; d < qm_task_difficulty_count((enum qm_task)task); d++) {
            assert_true(examples[task][d] >= 20);
        }
    }
}

static void lengths_are_clamped(void **state)
{
    (void)state;
    struct qm_window window;
    qm_window_generate(QM_SPLIT_TRAIN, 1, 0, 0, &window);
    assert_int_equal(window.length, QM_WINDOW_LENGTH_MIN);
    qm_window_generate(QM_SPLIT_TRAIN, 1, 0, 100000, &window);
    assert_int_equal(window.length, QM_WINDOW_LENGTH_MAX);
}

// What an example asks, as one number: the whole example, except that the order of summands, of numbers to sort and of
// queries is ignored, and that of a source example the first 8 symbols count. 128 bits, so that a chance meeting among
// 10^5 examples will not happen.
struct question {
    uint64_t high, low;
    int split;
};

static int compare_questions(const void *a, const void *b)
{
    const struct question *x = a, *y = b;
    if (x->high != y->high) {
        return x->high < y->high ? -1 : 1;
    }
    return x->low < y->low ? -1 : x->low > y->low;
}

static int compare_tokens(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

static struct question question_of(const struct qm_window *window, const struct qm_example *e, int split)
{
    uint16_t tokens[98];
    uint32_t length = e->length;
    memcpy(tokens, window->tokens + e->start, length * sizeof *tokens);
    const uint32_t size = qm_task_difficulty_size(e->task, e->difficulty);
    if (e->task == QM_TASK_ADD && memcmp(tokens + 1, tokens + 2 + size, size * sizeof *tokens) > 0) {
        for (uint32_t i = 1; i <= size; i++) {
            const uint16_t swapped = tokens[i];
            tokens[i] = tokens[i + size + 1];
            tokens[i + size + 1] = swapped;
        }
    } else if (e->task == QM_TASK_SORT) {
        qsort(tokens + 1, size, sizeof *tokens, compare_tokens);
    } else if (e->task == QM_TASK_RECALL) {
        length = 1 + 2 * size;
    } else if (e->task == QM_TASK_SOURCE) {
        length = 9;
    }
    struct question question = {UINT64_C(0xCBF29CE484222325), 1, split};
    for (uint32_t i = 0; i < length; i++) {
        question.high = hash_number(question.high, tokens[i]);
        question.low = qm_random_mix(question.low + tokens[i]);
    }
    return question;
}

static void splits_share_no_example(void **state)
{
    (void)state;
    enum {
        WINDOWS = 1500,
        ROOM = WINDOWS * 3 * QM_WINDOW_EXAMPLES_MAX
    };
    struct question *questions = malloc(sizeof *questions * ROOM);
    assert_non_null(questions);
    size_t count = 0;
    for (uint32_t n = 0; n < WINDOWS * 3; n++) {
        const enum qm_split split = (enum qm_split)(n % 3);
        struct qm_window window;
        // Another seed is another evaluation set, and must keep away from the training set all the same.
        qm_window_generate(split, qm_split_seed(split) + (n % 2) * 1000, n, 512, &window);
        for (uint32_t i = 0; i < window.example_count; i++) {
            if (window.examples[i].task != QM_TASK_FACT) {
                questions[count++] = question_of(&window, &window.examples[i], (int)split);
            }
        }
    }
    assert_true(count > 50000);
    qsort(questions, count, sizeof *questions, compare_questions);
    size_t repeats = 0;
    for (size_t i = 1; i < count; i++) {
        if (compare_questions(&questions[i - 1], &questions[i]) == 0) {
            repeats++;
            assert_int_equal(questions[i - 1].split, questions[i].split);
        }
    }
    // The short sums do repeat within a split, so that the comparison above has been put to use.
    assert_true(repeats > 100);
    free(questions);
}

static void order_does_not_move_a_question(void **state)
{
    (void)state;
    struct qm_random random;
    qm_random_seed(&random, 5, 5);
    int seen[3] = {0};
    for (int n = 0; n < 500; n++) {
        uint16_t sum[10] = {QM_TOKEN_TAG + QM_TASK_ADD, 0, 0, QM_TOKEN_PLUS, 0, 0, QM_TOKEN_EQUALS, 0, 0, 0};
        uint16_t swapped[10];
        for (int i = 0; i < 2; i++) {
            sum[1 + i] = (uint16_t)(QM_TOKEN_DIGIT + qm_random_below(&random, 10));
            sum[4 + i] = (uint16_t)(QM_TOKEN_DIGIT + qm_random_below(&random, 10));
        }
        memcpy(swapped, sum, sizeof sum);
        memcpy(swapped + 1, sum + 4, 2 * sizeof *sum);
        memcpy(swapped + 4, sum + 1, 2 * sizeof *sum);
        const int split = qm_example_split(sum, 10);
        assert_in_range(split, 0, 2);
        seen[split]++;
        assert_int_equal(split, qm_example_split(swapped, 10));
    }
    assert_true(seen[QM_SPLIT_TRAIN] > 380 && seen[QM_SPLIT_CALIBRATION] > 5 && seen[QM_SPLIT_EVALUATION] > 5);
    const uint16_t nonsense[3] = {QM_TOKEN_PAD, 1, 2};
    assert_int_equal(qm_example_split(nonsense, 3), -1);
    assert_int_equal(qm_example_split(nonsense, 0), -1);
}

static void facts_have_one_answer(void **state)
{
    (void)state;
    static uint8_t seen[64][64];
    memset(seen, 0, sizeof seen);
    uint32_t total = 0;
    for (uint32_t i = 0; i < qm_task_difficulty_count(QM_TASK_FACT); i++) {
        total += qm_task_difficulty_size(QM_TASK_FACT, i);
    }
    assert_int_equal(total, QM_FACT_COUNT);
    for (uint32_t i = 0; i < QM_FACT_COUNT; i++) {
        uint16_t subject[2], answer[2];
        qm_fact_get(i, subject, answer);
        assert_in_range(subject[0], QM_TOKEN_SUBJECT_A, QM_TOKEN_SUBJECT_A + 63);
        assert_in_range(subject[1], QM_TOKEN_SUBJECT_B, QM_TOKEN_SUBJECT_B + 63);
        assert_in_range(answer[0], QM_TOKEN_FACT_ANSWER, QM_TOKEN_FACT_ANSWER + 63);
        assert_in_range(answer[1], QM_TOKEN_FACT_ANSWER, QM_TOKEN_FACT_ANSWER + 63);
        assert_int_equal(seen[subject[0] - QM_TOKEN_SUBJECT_A][subject[1] - QM_TOKEN_SUBJECT_B]++, 0);
    }
}

static void source_has_the_stated_entropy(void **state)
{
    (void)state;
    // In every state the weights are the same numbers in some order, add up to 64 and have the stated entropy.
    for (uint32_t before = 0; before < 32; before++) {
        for (uint32_t last = 0; last < 32; last++) {
            uint32_t sum = 0;
            double entropy_nats = 0.0;
            for (uint32_t symbol = 0; symbol < 32; symbol++) {
                const uint32_t weight = qm_source_weight(before, last, symbol);
                sum += weight;
                if (weight > 0) {
                    entropy_nats -= weight / 64.0 * log(weight / 64.0);
                }
            }
            assert_int_equal(sum, 64);
            assert_true(fabs(entropy_nats - qm_source_entropy_nats()) < 1e-12);
        }
    }
    // What it emits costs that much on average under the true probabilities: within five standard errors.
    double loss = 0.0, square = 0.0;
    uint32_t count = 0;
    for (uint32_t n = 0; n < 1000; n++) {
        struct qm_window window;
        qm_window_generate(QM_SPLIT_TRAIN, QM_SEED_TRAIN, n, 512, &window);
        for (uint32_t i = 0; i < window.example_count; i++) {
            const struct qm_example *e = &window.examples[i];
            const uint16_t *tokens = window.tokens + e->start;
            for (uint32_t k = 3; e->task == QM_TASK_SOURCE && k < e->length; k++) {
                const uint32_t weight =
                    qm_source_weight(tokens[k - 2] - QM_TOKEN_SOURCE_SYMBOL, tokens[k - 1] - QM_TOKEN_SOURCE_SYMBOL,
                                     tokens[k] - QM_TOKEN_SOURCE_SYMBOL);
                const double nats = -log(weight / 64.0);
                loss += nats;
                square += nats * nats;
                count++;
            }
        }
    }
    assert_true(count > 50000);
    const double mean = loss / count;
    const double error = sqrt((square / count - mean * mean) / count);
    assert_true(fabs(mean - qm_source_entropy_nats()) < 5.0 * error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_is_the_same_everywhere),
        cmocka_unit_test(random_is_uniform),
        cmocka_unit_test(windows_are_the_same_everywhere),
        cmocka_unit_test(window_text_is_words),
        cmocka_unit_test(token_texts_are_unique_words),
        cmocka_unit_test(windows_are_whole_and_right),
        cmocka_unit_test(lengths_are_clamped),
        cmocka_unit_test(splits_share_no_example),
        cmocka_unit_test(order_does_not_move_a_question),
        cmocka_unit_test(facts_have_one_answer),
        cmocka_unit_test(source_has_the_stated_entropy),
    };
    return cmocka_run_group_tests_name("tasks", tests, NULL, NULL);
}
