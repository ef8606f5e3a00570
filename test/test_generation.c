// Greedy generation by the built-in model on every device, in its text form, beside what one prefill of the true tokens
// says of the same positions: the two are the same function, added up in another order.
#include "test/asking.h"
#include "test/each_device.h"

#include "model/tasks.h"

#include <math.h>

enum {
    WINDOWS = 4,
    WINDOW_TOKENS = 128,
    SEQUENCES = 3,
    STEPS = 12,
    LINES_MAX = 200
};

// Logits of prefill and decode differ by rounding; with float16 activations and cache by some 2^-9 of a logit of 20. A
// generated token may be another than prefill's largest only where the two lie closer than this.
#define NEAR_TIE_F32 2e-3
#define NEAR_TIE_F16 0.1

static struct qm_model *model;

struct stage {
    struct qm_device *device;
    struct qm_engine *engine;
    struct qm_network *network;
    struct qm_generator *generator;
};

static void stage_open(struct qm_device *device, const char *tile, const struct qm_artifact *artifact,
                       const struct qm_scheme *scheme, struct stage *out)
{
    struct qm_engine_params params = {.device = device,
                                      .tile = tile,
                                      .config = model->config,
                                      .rows = WINDOW_TOKENS * 2,
                                      .sequences = SEQUENCES,
                                      .slots = 1};
    *out = (struct stage){.device = device};
    if (qm_engine_create(&params, &out->engine) != QM_OK ||
        qm_network_create(out->engine, artifact, scheme, &out->network) != QM_OK ||
        qm_generator_create(&(struct qm_generator_params){out->network, out->engine, 200000000, 0}, &out->generator) !=
            QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
}

static void stage_close(struct stage *stage)
{
    qm_generator_destroy(&stage->generator);
    qm_network_destroy(&stage->network);
    qm_engine_destroy(&stage->engine);
}

// Logits [count][vocabulary] of one prefill of the tokens; free() them.
static float *prefill(const struct stage *stage, const uint32_t *tokens, uint32_t count)
{
    struct qm_pass *pass = NULL;
    struct qm_timing timing = {0};
    float *logits = malloc((size_t)count * model->config.vocabulary * sizeof(float));
    assert_non_null(logits);
    if (qm_engine_write_sequence(stage->engine, 0, 0, tokens, count) != QM_OK ||
        qm_pass_create(stage->network, &(struct qm_pass_params){1, count, 0, 0}, &pass) != QM_OK ||
        qm_pass_run(pass, &(struct qm_pass_start){0, 0}, 1, &(struct qm_run_policy){0, 1}, &timing) != QM_OK ||
        qm_pass_read_logits(pass, logits) != QM_OK)
        fail_msg("%s", qm_error_text());
    qm_pass_destroy(&pass);
    return logits;
}

static uint32_t largest(const float *row)
{
    uint32_t best = 0;
    for (uint32_t v = 1; v < model->config.vocabulary; ++v)
        best = row[v] > row[best] ? v : best;
    return best;
}

static enum qm_status generate(void *context, const struct qm_generate_request *request, uint32_t steps, uint32_t *ids)
{
    return qm_generate(((struct stage *)context)->generator, request, steps, ids, NULL);
}

static enum qm_status weigh(void *context, const struct qm_generate_request *request, const uint32_t *first,
                            double *log_probabilities)
{
    return qm_generate_weigh(((struct stage *)context)->generator, request, first, log_probabilities);
}

static struct qm_answer_source source_of(struct stage *stage, uint32_t sequences)
{
    return (struct qm_answer_source){
        .generate = generate, .weigh = weigh, .context = stage, .sequences = sequences, .rows = WINDOW_TOKENS * 2};
}

// ---- The built-in tasks as a file -------------------------------------------------------------------------------------

// One line a question: of a task whose answer stands in one piece the whole answer, of recall one value.
struct question {
    uint32_t window, first, count; // positions that predict the answer
};

static struct question questions[LINES_MAX];
static size_t question_count;
static struct qm_window windows[WINDOWS];

static size_t add_words(char *text, size_t used, const uint16_t *tokens, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i)
        used += (size_t)sprintf(text + used, "%s%s", i ? " " : "", qm_token_text(tokens[i]));
    return used;
}

static size_t add_line(char *text, size_t used, uint32_t window, uint32_t first, uint32_t count)
{
    const uint16_t *tokens = windows[window].tokens;
    assert_true(question_count < LINES_MAX);
    questions[question_count++] = (struct question){window, first, count};
    used += (size_t)sprintf(text + used, "{\"prompt\": \"");
    used = add_words(text, used, tokens, first + 1);
    used += (size_t)sprintf(text + used, "\", \"answer\": \"");
    used = add_words(text, used, tokens + first + 1, count);
    return used + (size_t)sprintf(text + used, "\", \"max_tokens\": %u}\n", count);
}

// The windows' tasks as JSON lines, each prompt with all that stands before it in its window; free() it.
static char *write_tasks(void)
{
    char *text = calloc(1, 1 << 20);
    size_t used = 0;
    assert_non_null(text);
    question_count = 0;
    for (uint32_t w = 0; w < WINDOWS; ++w) {
        qm_window_generate(QM_SPLIT_EVALUATION, QM_SEED_EVALUATION, w, WINDOW_TOKENS, &windows[w]);
        for (uint32_t e = 0; e < windows[w].example_count; ++e) {
            const struct qm_example *example = &windows[w].examples[e];
            if (example->task == QM_TASK_SOURCE)
                continue; // drawn by chance: there is nothing to be right about
            if (example->task != QM_TASK_RECALL) {
                used = add_line(text, used, w, example->first, example->count);
                continue;
            }
            for (uint32_t p = example->first; p < (uint32_t)example->first + example->count; ++p)
                if (windows[w].scored[p])
                    used = add_line(text, used, w, p, 1);
        }
    }
    return text;
}

// Whether the native task is right: every answer token is the argmax after the true ones before it.
static bool is_native_right(const float *logits, const struct question *question)
{
    for (uint32_t p = question->first; p < question->first + question->count; ++p)
        if (largest(logits + (size_t)p * model->config.vocabulary) != windows[question->window].tokens[p + 1])
            return false;
    return true;
}

struct subject {
    const struct qm_artifact *artifact;
    const struct qm_scheme *scheme;
    double near_tie;
};

// Where the two first go apart, by how much prefill prefers its own token.
static double gap_of(const float *logits, const struct question *question, const struct qm_generated_answer *answer)
{
    for (uint32_t i = 0; i < answer->count; ++i) {
        const float *row = logits + (size_t)(question->first + i) * model->config.vocabulary;
        uint32_t best = largest(row);
        if (answer->ids[i] != best)
            return (double)row[best] - (double)row[answer->ids[i]];
        if (best != windows[question->window].tokens[question->first + i + 1])
            return INFINITY; // both are wrong from here on, and alike: nothing told them apart
    }
    return INFINITY;
}

static void check_tasks(struct qm_device *device, const char *tile, const void *context)
{
    const struct subject *subject = context;
    struct stage stage;
    struct asked asked;
    float *logits[WINDOWS];
    uint32_t tokens[WINDOW_TOKENS];
    uint32_t native = 0, right = 0, near = 0;
    char *text = write_tasks();
    ask(text, &asked);
    free(text);
    stage_open(device, tile, subject->artifact, subject->scheme, &stage);
    for (uint32_t w = 0; w < WINDOWS; ++w) {
        for (uint32_t p = 0; p < WINDOW_TOKENS; ++p)
            tokens[p] = windows[w].tokens[p];
        logits[w] = prefill(&stage, tokens, WINDOW_TOKENS);
    }
    struct qm_generated *generated = NULL, *again = NULL;
    struct qm_answer_run *run = NULL;
    const struct qm_answer_source source = source_of(&stage, SEQUENCES);
    if (qm_answers_generate(&asked.questions, &source, &generated) != QM_OK ||
        qm_answers_generate(&asked.questions, &source, &again) != QM_OK ||
        qm_answers_judge(&asked.questions, generated, &run) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
    for (uint32_t i = 0; i < question_count; ++i) {
        const struct qm_generated_answer *answer = &generated->answers[i];
        const float *row = logits[questions[i].window];
        bool is_right = run->judgement[i] == QM_ANSWER_RIGHT, was_right = is_native_right(row, &questions[i]);
        // The prompt is the window up to there, and is read back as the same tokens.
        const struct qm_example_sequence *prompt = &asked.tokens->examples[i].prompt;
        assert_int_equal(prompt->count, questions[i].first + 1);
        for (uint32_t p = 0; p < prompt->count; ++p)
            assert_int_equal(prompt->tokens[p], windows[questions[i].window].tokens[p]);
        assert_int_equal(answer->count, questions[i].count);
        assert_int_equal(again->answers[i].count, answer->count); // to the bit
        assert_memory_equal(again->answers[i].ids, answer->ids, answer->count * sizeof(uint32_t));
        native += was_right;
        right += is_right;
        if (is_right == was_right)
            continue;
        double gap = gap_of(row, &questions[i], answer);
        if (!(gap <= subject->near_tie))
            fail_msg("%s, %s: question %u is %s generated and %s native, and the logits differ by %g",
                     device->info->driver_name, subject->scheme->name, i, is_right ? "right" : "wrong",
                     was_right ? "right" : "wrong", gap);
        print_message("question %u at a near tie of %g\n", i, gap);
        ++near;
    }
    print_message("%-12s %-7s %-12s exact match of %zu questions: %u generated, %u native, %u at near ties\n",
                  device->info->driver_name, tile, subject->scheme->name, question_count, right, native, near);
    assert_true(native >= question_count / 4 && native < question_count); // some of each
    assert_true(near <= question_count / 20);
    assert_true(right + near >= native && native + near >= right);
    qm_answer_run_destroy(&run);
    qm_generated_destroy(&generated);
    qm_generated_destroy(&again);
    for (uint32_t w = 0; w < WINDOWS; ++w)
        free(logits[w]);
    stage_close(&stage);
    asked_free(&asked);
}

// `is_short`: of the drivers one of each API.
static void with_scheme(const char *name, double near_tie, bool is_short,
                        void (*check)(struct qm_device *device, const char *tile, const void *context))
{
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    assert_int_equal(qm_scheme_parse(name, &scheme), QM_OK);
    assert_int_equal(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact),
                     QM_OK);
    const struct subject subject = {artifact, &scheme, near_tie};
#ifdef __SANITIZE_ADDRESS__
    is_short = true; // of the drivers' arithmetic it sees nothing
#endif
    with_each_device(is_short, check, &subject);
    qm_artifact_destroy(&artifact);
}

static void test_tasks(void **state)
{
    (void)state;
    with_scheme("f32", NEAR_TIE_F32, true, check_tasks);
    with_scheme("w4a16-g32", NEAR_TIE_F16, true, check_tasks);
}

// ---- Steps ------------------------------------------------------------------------------------------------------------

// In one call or in several, alone or beside others: the same tokens; and each is the argmax of a prefill of all that was
// generated before it, but for near ties.
static void check_steps(struct qm_device *device, const char *tile, const void *context)
{
    const struct subject *subject = context;
    struct stage stage;
    struct qm_window window;
    uint32_t prompts[SEQUENCES][20], last[SEQUENCES];
    uint32_t ids[SEQUENCES][STEPS], parts[SEQUENCES * STEPS], whole[20 + STEPS];
    float margins[SEQUENCES][STEPS];
    stage_open(device, tile, subject->artifact, subject->scheme, &stage);
    for (uint32_t b = 0; b < SEQUENCES; ++b) {
        qm_window_generate(QM_SPLIT_EVALUATION, QM_SEED_EVALUATION, 40 + b, 64, &window);
        for (uint32_t p = 0; p < 20; ++p)
            prompts[b][p] = window.tokens[p];
    }
    struct qm_generate_request request = {SEQUENCES, 20, 0, prompts[0]};
    if (qm_generate(stage.generator, &request, STEPS, ids[0], margins[0]) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
    for (uint32_t done = 0, steps = 1;
         done<STEPS; done += steps, steps = steps * 2> STEPS - done ? STEPS - done : steps * 2) {
        if (done + steps > STEPS)
            steps = STEPS - done;
        assert_int_equal(qm_generate(stage.generator, &request, steps, parts, NULL), QM_OK);
        for (uint32_t b = 0; b < SEQUENCES; ++b) {
            assert_memory_equal(parts + b * steps, ids[b] + done, steps * sizeof(uint32_t));
            last[b] = parts[b * steps + steps - 1];
        }
        request = (struct qm_generate_request){SEQUENCES, 1, 20 + done + steps - 1, last};
    }
    for (uint32_t b = 0; b < SEQUENCES; ++b) {
        memcpy(whole, prompts[b], 20 * sizeof(uint32_t));
        memcpy(whole + 20, ids[b], STEPS * sizeof(uint32_t));
        float *logits = prefill(&stage, whole, 20 + STEPS);
        for (uint32_t i = 0; i < STEPS; ++i) {
            const float *row = logits + (size_t)(19 + i) * model->config.vocabulary;
            double gap = (double)row[largest(row)] - (double)row[ids[b][i]];
            if (!(gap <= subject->near_tie))
                fail_msg("%s, %s: token %u of sequence %u is %u, and prefill prefers %u by %g",
                         device->info->driver_name, subject->scheme->name, i, b, ids[b][i], largest(row), gap);
            assert_true(margins[b][i] >= 0);
        }
        free(logits);
    }
    stage_close(&stage);
}

static void test_steps(void **state)
{
    (void)state;
    with_scheme("f32", NEAR_TIE_F32, false, check_steps);
    with_scheme("w4a16-g32", NEAR_TIE_F16, false, check_steps);
}

// ---- Likelihoods ------------------------------------------------------------------------------------------------------

static double log_softmax(const float *row, uint32_t target)
{
    double sum = 0, most = row[largest(row)];
    for (uint32_t v = 0; v < model->config.vocabulary; ++v)
        sum += exp(row[v] - most);
    return row[target] - most - log(sum);
}

static void check_likelihoods(struct qm_device *device, const char *tile, const void *context)
{
    const struct subject *subject = context;
    struct stage stage;
    struct qm_window window;
    uint32_t tokens[2][24];
    const uint32_t first[2] = {20, 1};
    double sums[2];
    stage_open(device, tile, subject->artifact, subject->scheme, &stage);
    for (uint32_t b = 0; b < 2; ++b) {
        qm_window_generate(QM_SPLIT_EVALUATION, QM_SEED_EVALUATION, 60 + b, 64, &window);
        for (uint32_t p = 0; p < 24; ++p)
            tokens[b][p] = window.tokens[p];
    }
    struct qm_generate_request request = {2, 24, 0, tokens[0]};
    if (qm_generate_weigh(stage.generator, &request, first, sums) != QM_OK)
        fail_msg("%s: %s", device->info->id, qm_error_text());
    for (uint32_t b = 0; b < 2; ++b) {
        float *logits = prefill(&stage, tokens[b], 24);
        double sum = 0;
        for (uint32_t p = first[b] - 1; p < 23; ++p)
            sum += log_softmax(logits + (size_t)p * model->config.vocabulary, tokens[b][p + 1]);
        assert_true(fabs(sum - sums[b]) < subject->near_tie * 23);
        free(logits);
    }
    stage_close(&stage);
}

static void test_likelihoods(void **state)
{
    (void)state;
    with_scheme("f32", NEAR_TIE_F32, false, check_likelihoods);
}

// ---- Devices that lie -------------------------------------------------------------------------------------------------

static struct qm_device_fns honest, lying;
static int lie; // of 1: a logit is NaN; 2: argmaxes are one beside; 3: log-probabilities are off; else none

static enum qm_status lying_read(struct qm_device *device, struct qm_buffer *buffer, uint64_t offset, void *bytes,
                                 uint64_t size)
{
    QM_TRY(honest.buffer_read(device, buffer, offset, bytes, size));
    bool is_row = size == (uint64_t)model->config.vocabulary * 4;
    if (lie == 1 && is_row)
        ((float *)bytes)[3] = NAN;
    if (lie == 2 && !is_row)
        ((uint32_t *)bytes)[size / 4 - 1] ^= 1;
    if (lie == 3 && !is_row)
        ((float *)bytes)[size / 4 - 1] += 0.1f;
    return QM_OK;
}

static void test_lies(void **state)
{
    (void)state;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    struct qm_device *device = NULL;
    struct stage stage;
    uint32_t tokens[8] = {2, 17, 18, 8, 19, 20, 9, 21}, ids[2], first[1] = {6};
    double sum = 0;
    assert_int_equal(qm_native_device_open(&device), QM_OK);
    assert_int_equal(qm_scheme_parse("f32", &scheme), QM_OK);
    assert_int_equal(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact),
                     QM_OK);
    honest = lying = *device->fns;
    lying.buffer_read = lying_read;
    device->fns = &lying;
    stage_open(device, "narrow", artifact, &scheme, &stage);
    const struct qm_generate_request request = {1, 8, 0, tokens};
    static const char *const words[] = {NULL, "is nan", "argmax gave", "log_softmax gave"};
    for (lie = 0; lie <= 3; ++lie) {
        enum qm_status generated = lie == 3 ? QM_OK : qm_generate(stage.generator, &request, 2, ids, NULL);
        assert_int_equal(generated, lie == 1 || lie == 2 ? QM_WRONG_RESULT : QM_OK);
        if (generated != QM_OK)
            assert_non_null(strstr(qm_error_text(), words[lie]));
        enum qm_status weighed = lie == 2 ? QM_OK : qm_generate_weigh(stage.generator, &request, first, &sum);
        assert_int_equal(weighed, lie == 1 || lie == 3 ? QM_WRONG_RESULT : QM_OK);
        if (weighed != QM_OK)
            assert_non_null(strstr(qm_error_text(), words[lie]));
    }
    lie = 0;
    // What does not fit is refused, and leaves the generator as it was.
    struct qm_generate_request bad = {1, 8, 510, tokens};
    assert_int_equal(qm_generate(stage.generator, &bad, 1, ids, NULL), QM_INVALID);
    bad = (struct qm_generate_request){SEQUENCES + 1, 2, 0, tokens};
    assert_int_equal(qm_generate(stage.generator, &bad, 1, (uint32_t[4]){0}, NULL), QM_INVALID);
    bad = (struct qm_generate_request){1, 8, 0, (uint32_t[8]){512}};
    assert_int_equal(qm_generate(stage.generator, &bad, 1, ids, NULL), QM_INVALID);
    bad = (struct qm_generate_request){1, 0, 0, tokens};
    assert_int_equal(qm_generate(stage.generator, &bad, 1, ids, NULL), QM_INVALID);
    first[0] = 8;
    assert_int_equal(qm_generate_weigh(stage.generator, &request, first, &sum), QM_INVALID);
    first[0] = 0;
    assert_int_equal(qm_generate_weigh(stage.generator, &request, first, &sum), QM_INVALID);
    assert_int_equal(qm_generate(stage.generator, &request, 2, ids, NULL), QM_OK);
    stage_close(&stage);
    device->fns = &honest;
    device->fns->destroy(&device);
    qm_artifact_destroy(&artifact);
}

// The last token that fits a context is generated, and not one more.
static void test_context(void **state)
{
    (void)state;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    struct qm_device *device = NULL;
    struct stage stage;
    uint32_t tokens[1] = {17}, ids[3];
    assert_int_equal(qm_native_device_open(&device), QM_OK);
    assert_int_equal(qm_scheme_parse("f32", &scheme), QM_OK);
    assert_int_equal(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = &scheme}, &artifact),
                     QM_OK);
    stage_open(device, "narrow", artifact, &scheme, &stage);
    const struct qm_generate_request request = {1, 1, 510, tokens};
    assert_int_equal(qm_generate(stage.generator, &request, 2, ids, NULL), QM_OK);
    assert_int_equal(qm_generate(stage.generator, &request, 3, ids, NULL), QM_INVALID);
    stage_close(&stage);
    device->fns->destroy(&device);
    qm_artifact_destroy(&artifact);
}

static int setup(void **state)
{
    (void)state;
    return qm_model_load(BUILT_IN, 32, &model) == QM_OK ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    qm_model_destroy(&model);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies),  cmocka_unit_test(test_context),     cmocka_unit_test(test_steps),
        cmocka_unit_test(test_tasks), cmocka_unit_test(test_likelihoods),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
