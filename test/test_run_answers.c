// `qmark run --eval FILE.jsonl` with the built-in tasks in their text form, on every driver: what is generated is right
// where the native task is, the result tells of it and can be made again from its samples, and nothing of the texts is in
// a file. And workers that die or lie while they generate.
#define FOLDER QM_BINARY_DIR "/test-run-answers"
#include "test/edited_result.h"
#include "test/run_program.h"

#include <math.h>

#include "bench/verify.h"
#include "model/model.h"
#include "model/safetensors.h"
#include "model/tasks.h"
#include "workload/answers.h"

enum {
    WINDOWS = 2,
    WINDOW_TOKENS = 128,
    QUESTIONS_MAX = 200,
    DEVICES_MAX = 16,
};

#define ANSWERS FOLDER "/answers.yaml"
#define TASKS FOLDER "/tasks.jsonl"
#define FEW FOLDER "/few.jsonl"
#define QUANTIZED FOLDER "/int8"
#define SECRET "never-to-be-seen"

static const char answers_text[] =
    "schema: 1\nname: answers\nschemes: [f16, w4a16-g32]\nbaseline: f16\n"
    "evaluation: {set: built-in, seed: 31926937667174403, windows: 2, window_tokens: 128, scored_tokens: 64}\n"
    "calibration: {set: built-in, seed: 31926937667174402, windows: 2, window_tokens: 128}\n"
    "prefill:\n  - {batch: 1, prompt: 96}\ndecode:\n  - {batch: 2, depth: 64, steps: 2}\n"
    "timing: {protocol: paired, warmup: 1, repeats: 3, precision: 1, seconds: 0, order_seed: 1}\n"
    "sustained: {phase: none, seconds: 0, cool_down_s: 0, temperature_most_c: none}\n"
    "latency: {p99_ms: 100}\ncaches: {last_level_bytes: host}\n"
    "gate: {false_alarm: 0.0005, minimum_effect: 0.02, tolerance: 0.05, seconds: 1}\n"
    "policy: {dispatches_per_submission: 0, submission_ms: 200, allow_smaller_batch: false}\ntier: best\ntiles: "
    "fixed\nwiden: 1\n"
    "bootstrap: {seed: 31926937667174404, resamples: 199, confidence: 0.95}\n"
    "acceptance:\n  at_most: {kl_divergence_mean: 0.5}\n  at_least: {exact_match_ratio: 0.5}\n";

static const char *const schemes[] = {"f16", "w4a16-g32"};
#define BOTH "f16,w4a16-g32"

// ---- The built-in tasks as a file -------------------------------------------------------------------------------------

static struct question {
    uint32_t window, first, count; // positions that predict the answer
} questions[QUESTIONS_MAX];
static uint32_t question_count;
static struct qm_window windows[WINDOWS];

static void write_words(FILE *stream, const uint16_t *tokens, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i)
        fprintf(stream, "%s%s", i ? " " : "", qm_token_text(tokens[i]));
}

static void write_line(FILE *stream, const char *id, const struct question *question)
{
    const uint16_t *tokens = windows[question->window].tokens;
    uint32_t first = question->first, count = question->count;
    fprintf(stream, "{\"id\": \"%s\", \"prompt\": \"", id);
    write_words(stream, tokens, first + 1);
    fprintf(stream, "\", \"answer\": \"");
    write_words(stream, tokens + first + 1, count);
    fprintf(stream, "\", \"max_tokens\": %u}\n", count);
}

static void write_question(FILE *stream, uint32_t window, uint32_t first, uint32_t count)
{
    char id[64];
    assert_true(question_count < QUESTIONS_MAX);
    snprintf(id, sizeof(id), SECRET "-%u", question_count);
    questions[question_count] = (struct question){window, first, count};
    write_line(stream, id, &questions[question_count++]);
}

// Each question stands behind all that is before it in its window, as the native task does; of recall each value is one.
static void write_tasks(void)
{
    FILE *stream = fopen(TASKS, "w");
    assert_non_null(stream);
    for (uint32_t w = 0; w < WINDOWS; ++w) {
        qm_window_generate(QM_SPLIT_EVALUATION, QM_SEED_EVALUATION, w, WINDOW_TOKENS, &windows[w]);
        for (uint32_t e = 0; e < windows[w].example_count; ++e) {
            const struct qm_example *example = &windows[w].examples[e];
            if (example->task == QM_TASK_SOURCE)
                continue;
            if (example->task != QM_TASK_RECALL)
                write_question(stream, w, example->first, example->count);
            for (uint32_t p = example->first;
                 example->task == QM_TASK_RECALL && p < (uint32_t)example->first + example->count; ++p)
                if (windows[w].scored[p])
                    write_question(stream, w, p, 1);
        }
    }
    fclose(stream);
    assert_true(question_count > 12);
}

// The first of them, with an id that steers terminals, and choices, the right one of which stands first and last.
static void write_few(void)
{
    FILE *stream = fopen(FEW, "w");
    assert_non_null(stream);
    write_line(stream, "\\u001b[31m" SECRET, &questions[0]);
    write_line(stream, "second", &questions[1]);
    write_line(stream, "third", &questions[2]);
    // One that ends far behind the windows that are scored.
    fputs("{\"prompt\": \"<source>", stream);
    for (int word = 0; word < 40; ++word)
        fprintf(stream, " m%02d", word % 7);
    fputs("\", \"answer\": \"m00\", \"max_tokens\": 150, \"stop\": [\"nowhere\"]}\n", stream);
    fputs(
        "{\"prompt\": \"<copy> n05 v03 n21 n12 n13 =\", \"choices\": [\" n05 v03 n21 n12 n13\", \" n05 v03 n20 n12\"], "
        "\"answer\": 0}\n"
        "{\"prompt\": \"<copy> n05 v03 n21 n12 n14 =\", \"choices\": [\" n05 v03 n21 n12 n14\", \" n05 v03 n21\"], "
        "\"answer\": 1}\n",
        stream);
    fclose(stream);
}

// ---- Samples ----------------------------------------------------------------------------------------------------------

static void find_beside(const char *end, char path[512])
{
    path[0] = '\0';
    DIR *stream = opendir(OUT);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (strstr(entry->d_name, end))
            snprintf(path, 512, OUT "/%.200s", entry->d_name);
    closedir(stream);
    assert_true(path[0]);
}

static void load_samples(struct qm_tensors *out)
{
    char path[512];
    find_beside(".samples.safetensors", path);
    if (qm_tensors_load(path, out) != QM_OK)
        fail_msg("%s", qm_error_text());
}

static const struct qm_tensor *array_of(const struct qm_tensors *tensors, const char *scheme, const char *what)
{
    char name[128];
    snprintf(name, sizeof(name), "%s%s%s", scheme, *scheme ? "." : "", what);
    const struct qm_tensor *tensor = qm_tensors_find(tensors, name);
    if (!tensor)
        fail_msg("the samples have no %s", name);
    return tensor;
}

static double double_at(const struct qm_tensor *tensor, size_t index)
{
    double value;
    assert_true((index + 1) * 8 <= tensor->bytes);
    memcpy(&value, (const char *)tensor->data + 8 * index, 8);
    return value;
}

// What the native run says of a question: whether it is right, and how sure of it the model is at the least sure position
// (the probability of its most likely token there).
struct native {
    bool is_right;
    double least_confidence;
    double gap; // where it is wrong: by how much the first wrong token's logit is above the right one's
};

static void read_native(const char *scheme, struct native *out)
{
    struct qm_tensors samples = {0};
    static size_t index[WINDOWS][WINDOW_TOKENS];
    size_t count = 0;
    load_samples(&samples);
    const struct qm_tensor *hits = array_of(&samples, scheme, "prefill.hit");
    const struct qm_tensor *confidence = array_of(&samples, scheme, "prefill.confidence.f64");
    const struct qm_tensor *nll = array_of(&samples, scheme, "prefill.nll.f64");
    for (uint32_t w = 0; w < WINDOWS; ++w)
        for (uint32_t p = 0; p < WINDOW_TOKENS; ++p)
            if (windows[w].scored[p])
                index[w][p] = count++;
    assert_int_equal(hits->bytes, count);
    for (uint32_t q = 0; q < question_count; ++q) {
        out[q] = (struct native){.is_right = true, .least_confidence = 1};
        for (uint32_t i = 0; i < questions[q].count && out[q].is_right; ++i) {
            size_t at = index[questions[q].window][questions[q].first + i];
            double sure = double_at(confidence, at);
            out[q].least_confidence = sure < out[q].least_confidence ? sure : out[q].least_confidence;
            out[q].is_right = ((const uint8_t *)hits->data)[at] == 1;
            if (!out[q].is_right)
                out[q].gap = log(sure) + double_at(nll, at);
        }
    }
    qm_tensors_free(&samples);
}

// ---- Runs -------------------------------------------------------------------------------------------------------------

static char device_ids[DEVICES_MAX][32], device_drivers[DEVICES_MAX][32];
static size_t device_count;

static void run_answers(struct child *child, const char *device, const char *file, const char *wanted,
                        const char *const *settings)
{
    const char *const arguments[] = {"run",    "--profile", ANSWERS,    "--device", device,         "--out", OUT,
                                     "--eval", file,        "--scheme", wanted,     "--show-flips", NULL};
    remove_all(OUT);
    start(child, settings, NULL, arguments);
    if (!finish(child, 2.0 * PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", 2 * PATIENCE_S, child->errors);
}

static struct qm_node *any_result(void)
{
    char path[512];
    struct qm_node *result = NULL;
    find_beside(".yaml", path);
    if (qm_result_load(path, &result, NULL) != QM_OK)
        fail_msg("%s", qm_error_text());
    return result;
}

static double number_at(const struct qm_node *result, const char *scheme, const char *path)
{
    double value = NAN;
    if (!qm_node_double_at(row_of(result, scheme), path, &value))
        fail_msg("%s of %s is no number", path, scheme);
    return value;
}

// No file of a run has a word of the texts.
static void expect_no_texts(void)
{
    DIR *stream = opendir(OUT);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        char path[512];
        void *bytes = NULL;
        size_t count = 0;
        snprintf(path, sizeof(path), OUT "/%.200s", entry->d_name);
        if (entry->d_name[0] == '.' || qm_file_read(path, 1 << 26, &bytes, &count) != QM_OK)
            continue;
        if (memmem(bytes, count, SECRET, strlen(SECRET)) || memmem(bytes, count, "<add>", 5))
            fail_msg("%s has the user's words", path);
        free(bytes);
    }
    closedir(stream);
}

// Exact match of what is generated is the native task's, question by question. One may differ where the model is of two
// minds, since decode adds up in another order than prefill: then two tokens share the probability almost evenly (a gap
// of 0.1 between their logits is 0.525 of 1 for the one), and the question is named.
static void check_driver(const char *device, const char *driver, size_t index)
{
    static struct native native[2][QUESTIONS_MAX];
    struct child child;
    // SwiftShader takes two fifths of the time of all.
    const size_t count = strcmp(driver, "swiftshader") == 0 && !getenv("QM_TEST_FULL") ? 1 : 2;
    const char *wanted = count == 1 ? schemes[0] : BOTH;
    const char *const arguments[] = {"run",   "--profile", ANSWERS,    "--device", device,
                                     "--out", OUT,         "--scheme", wanted,     NULL};
    remove_all(OUT);
    start(&child, NULL, NULL, arguments);
    assert_true(finish(&child, 2.0 * PATIENCE_S));
    expect_code(&child, 0);
    release(&child);
    for (size_t s = 0; s < count; ++s)
        read_native(schemes[s], native[s]);
    run_answers(&child, device, TASKS, wanted, NULL);
    expect_code(&child, 0);
    expect_no_texts();
    struct qm_node *result = any_result();
    struct qm_tensors samples = {0};
    load_samples(&samples);
    const struct qm_tensor *reference = array_of(&samples, "", "answers.reference.judgement");
    for (size_t s = 0; s < count; ++s) {
        const struct qm_tensor *judgement = array_of(&samples, schemes[s], "answers.judgement");
        const struct qm_tensor *same = array_of(&samples, schemes[s], "answers.is_same");
        uint32_t right = 0, was_right = 0, near = 0, flips = 0, changed = 0;
        assert_int_equal(judgement->bytes, question_count);
        for (uint32_t q = 0; q < question_count; ++q) {
            const struct native *of = &native[s][q];
            bool is_right = ((const uint8_t *)judgement->data)[q] == 1;
            right += is_right;
            was_right += of->is_right;
            flips += is_right != (((const uint8_t *)reference->data)[q] == 1);
            changed += ((const uint8_t *)same->data)[q] == 0;
            if (is_right == of->is_right)
                continue;
            print_message("%s, %s: question %u is %s generated and %s native; gap %g, least confidence %g\n", driver,
                          schemes[s], q, is_right ? "right" : "wrong", of->is_right ? "right" : "wrong", of->gap,
                          of->least_confidence);
            assert_true(of->is_right ? of->least_confidence < 0.525 : of->gap < 0.1);
            ++near;
        }
        print_message("%-12s %-10s %u questions: %u right generated, %u native, %u at near ties, %u flips\n", driver,
                      schemes[s], question_count, right, was_right, near, flips);
        assert_true(was_right > question_count / 3 && was_right < question_count);
        assert_true(near <= question_count / 20);
        assert_int_equal(number_at(result, schemes[s], "accuracy.answers.examples"), question_count);
        assert_int_equal(number_at(result, schemes[s], "accuracy.answers.flips"), flips);
        assert_true(fabs(number_at(result, schemes[s], "accuracy.answers.accuracy.value") -
                         (double)right / question_count) < 1e-9);
        assert_true(flips <= changed);
        if (changed == 0)
            continue;
        expect_text(child.output, SECRET); // people see which
    }
    expect_text(child.output, "fp32 [interval]");
    char path[512], kept[128];
    find_beside(".yaml", path);
    snprintf(kept, sizeof(kept), FOLDER "/result-%zu.yaml", index);
    assert_int_equal(rename(path, kept), 0);
    qm_tensors_free(&samples);
    qm_node_destroy(&result);
    release(&child);
}

static void test_every_driver(void **state)
{
    (void)state;
    if (device_count == 0)
        skip();
#ifdef __SANITIZE_ADDRESS__
    device_count = 1; // of the drivers' arithmetic it sees nothing
#endif
    for (size_t i = 0; i < device_count; ++i)
        check_driver(device_ids[i], device_drivers[i], i);
    if (device_count < 2)
        return;
    struct child child;
    start(&child, NULL, NULL, (const char *const[]){"compare", FOLDER "/result-0.yaml", FOLDER "/result-1.yaml", NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    expect_text(child.output, "right A [interval]");
    release(&child);
}

// ---- Verify -----------------------------------------------------------------------------------------------------------

static void test_verify_answers(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_answers(&child, pocl_id, FEW, BOTH, NULL);
    expect_code(&child, 0);
    assert_null(strchr(child.output, 27)); // an id that steers terminals
    release(&child);
    struct qm_node *result = any_result();
    char path[512];
    void *bytes = NULL;
    size_t count = 0;
    find_beside(".samples.safetensors", path);
    assert_int_equal(qm_file_read(path, 1 << 26, &bytes, &count), QM_OK);
    setenv("QM_DATA_DIR", QM_SOURCE_DIR, 1);
    struct qm_verifier *verifier = NULL;
    assert_int_equal(qm_verifier_open(&verifier), QM_OK);
    assert_false(is_caught(verifier, result, bytes, count));
    struct qm_node *answers = qm_node_get(result, "schemes.1.accuracy.answers");
    double tokens = 0;
    assert_true(qm_node_double_at(answers, "tokens_mean", &tokens) && tokens > 150 / 4.0); // one of four has 150
    assert_int_equal(qm_node_count(qm_node_child(answers, "choices")), 4);
    assert_true(edit_numbers(verifier, result, answers, bytes, count) >= 20);
    assert_false(is_caught(verifier, result, bytes, count));
    // Nothing of the answers can be left out, or put where none are.
    struct qm_node *kept = qm_node_copy(answers), *accuracy = qm_node_get(result, "schemes.1.accuracy");
    qm_node_remove(accuracy, "answers");
    assert_true(is_caught(verifier, result, bytes, count));
    qm_node_set_node(accuracy, "answers", kept);
    assert_false(is_caught(verifier, result, bytes, count));
    static const char *const arrays[] = {"w4a16-g32.answers.judgement", "w4a16-g32.answers.right_by_norm",
                                         "w4a16-g32.answers.generated", "w4a16-g32.answers.is_same",
                                         "answers.reference.judgement", "answers.reference.right_by_norm",
                                         "answers.reference.generated", "answers.is_choice"};
    struct qm_tensors tensors = {0};
    assert_int_equal(qm_tensors_view(bytes, count, "samples", &tensors), QM_OK);
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); ++i) {
        const struct qm_tensor *tensor = qm_tensors_find(&tensors, arrays[i]);
        if (!tensor) {
            fail_msg("the samples have no %s", arrays[i]);
            return;
        }
        char *values = (char *)bytes + ((const char *)tensor->data - (const char *)bytes);
        for (size_t at = 0; at < tensor->bytes; at += qm_dtype_bytes(tensor->dtype)) {
            values[at] ^= 1;
            if (!is_caught(verifier, result, bytes, count))
                fail_msg("%s, byte %zu was changed, and verify does not see it", arrays[i], at);
            values[at] ^= 1;
        }
    }
    qm_tensors_free(&tensors);
    assert_false(is_caught(verifier, result, bytes, count));
    qm_node_destroy(&result);
    free(bytes);
    qm_verifier_close(&verifier);
}

// ---- Without a reference ----------------------------------------------------------------------------------------------

static void copy_file(const char *name)
{
    char from[512], to[512];
    void *bytes = NULL;
    size_t count = 0;
    snprintf(from, sizeof(from), QM_SOURCE_DIR "/models/qmark-3m/%s", name);
    snprintf(to, sizeof(to), QUANTIZED "/%s", name);
    assert_int_equal(qm_file_read(from, 1 << 20, &bytes, &count), QM_OK);
    assert_int_equal(qm_file_write(to, bytes, count), QM_OK);
    free(bytes);
}

// The built-in model as somebody would hand it on in int8, one scale a row, but embedding, norms and head.
static void write_quantized(void)
{
    enum {
        MOST = 128
    };
    static struct qm_tensor tensors[MOST];
    static char names[MOST][QM_WEIGHT_NAME_BYTES + 24];
    struct qm_model *model = NULL;
    size_t count = 0;
    char config[4096];
    void *bytes = NULL;
    size_t length = 0;
    assert_int_equal(qm_directory_make(QUANTIZED), QM_OK);
    copy_file("tokenizer.json");
    copy_file("tokenizer_config.json");
    assert_int_equal(qm_file_read(QM_SOURCE_DIR "/models/qmark-3m/config.json", sizeof(config), &bytes, &length),
                     QM_OK);
    while (length > 0 && ((const char *)bytes)[length - 1] != '}')
        --length;
    snprintf(config, sizeof(config),
             "%.*s,\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"format\":\"int-quantized\","
             "\"config_groups\":{\"g\":{\"weights\":{\"num_bits\":8,\"strategy\":\"channel\"},"
             "\"input_activations\":{\"num_bits\":8,\"strategy\":\"token\",\"dynamic\":true}}}}}",
             (int)length - 1, (const char *)bytes);
    free(bytes);
    assert_int_equal(qm_file_write(QUANTIZED "/config.json", config, strlen(config)), QM_OK);
    assert_int_equal(qm_model_load(QM_SOURCE_DIR "/models/qmark-3m", 32, &model), QM_OK);
    for (size_t i = 0; i < model->tensor_count; ++i) {
        const struct qm_model_tensor *tensor = &model->tensors[i];
        bool is_coded = qm_role_is_linear(tensor->role) && tensor->role != QM_ROLE_HEAD;
        bool is_vector = qm_role_is_vector(tensor->role);
        struct qm_model_view view;
        if (tensor->role == QM_ROLE_HEAD && model->config.tied_head)
            continue;
        assert_true(count + 2 <= MOST);
        assert_int_equal(qm_model_view_open(model, i, &view), QM_OK);
        size_t values = (size_t)tensor->rows * tensor->columns;
        int8_t *codes = malloc(values);
        float *floats = malloc((is_coded ? tensor->rows : values) * sizeof(*floats));
        for (size_t r = 0; is_coded && r < tensor->rows; ++r) {
            const float *row = view.values + r * tensor->columns;
            float largest = 0x1p-20f;
            for (uint32_t k = 0; k < tensor->columns; ++k)
                largest = fmaxf(largest, fabsf(row[k]));
            floats[r] = largest / 127;
            for (uint32_t k = 0; k < tensor->columns; ++k)
                codes[r * tensor->columns + k] = (int8_t)lrintf(row[k] / floats[r]);
        }
        if (!is_coded)
            memcpy(floats, view.values, values * sizeof(*floats));
        qm_model_view_close(&view);
        snprintf(names[count], sizeof(names[0]), "%s.weight", tensor->name);
        tensors[count] = (struct qm_tensor){.name = names[count],
                                            .dtype = is_coded ? QM_DTYPE_I8 : QM_DTYPE_F32,
                                            .rank = is_vector ? 1 : 2,
                                            .shape = {is_vector ? tensor->columns : tensor->rows, tensor->columns},
                                            .bytes = values * (is_coded ? 1 : sizeof(float)),
                                            .data = is_coded ? (void *)codes : floats};
        ++count;
        if (!is_coded) {
            free(codes);
            continue;
        }
        snprintf(names[count], sizeof(names[0]), "%s.weight_scale", tensor->name);
        tensors[count] = (struct qm_tensor){.name = names[count],
                                            .dtype = QM_DTYPE_F32,
                                            .rank = 2,
                                            .shape = {tensor->rows, 1},
                                            .bytes = tensor->rows * sizeof(float),
                                            .data = floats};
        ++count;
    }
    assert_int_equal(qm_safetensors_write(QUANTIZED "/model.safetensors", tensors, count, NULL, 0), QM_OK);
    for (size_t i = 0; i < count; ++i)
        free((void *)(uintptr_t)tensors[i].data);
    qm_model_destroy(&model);
}

// Right answers are the data's: a quantized model that nobody gave a reference for has its share of them, and no changes.
static void test_no_reference(void **state)
{
    (void)state;
    need(pocl_id);
    write_quantized();
    struct child child;
    const char *const arguments[] = {"run", "--profile", ANSWERS, "--device", pocl_id,   "--out",        OUT, "--eval",
                                     TASKS, "--scheme",  "file",  "--model",  QUANTIZED, "--show-flips", NULL};
    remove_all(OUT);
    start(&child, NULL, NULL, arguments);
    if (!finish(&child, 2.0 * PATIENCE_S))
        fail_msg("no end after %d s\nstderr: %s", 2 * PATIENCE_S, child.errors);
    expect_code(&child, 0);
    expect_text(child.output, "no reference given: what answers were before is not known");
    expect_text(child.output, "right [interval]");
    release(&child);
    struct qm_node *result = any_result();
    const struct qm_node *row = row_of(result, "file");
    assert_string_equal(qm_node_text_at(row, "accuracy.reference", ""), "no reference given");
    assert_string_equal(qm_node_text_at(row, "formats_activations", ""), "a8");
    double right = number_at(result, "file", "accuracy.answers.accuracy.value"), of_samples = 0;
    struct qm_tensors samples;
    load_samples(&samples);
    const struct qm_tensor *judgement = array_of(&samples, "file", "answers.judgement");
    for (size_t e = 0; e < question_count; ++e)
        of_samples += ((const uint8_t *)judgement->data)[e] == QM_ANSWER_RIGHT;
    assert_true(right > 0.5 && fabs(right - of_samples / question_count) < 1e-9);
    qm_tensors_free(&samples);
    static const char *const unknown[] = {"flips",       "right_to_wrong",     "other_wrong",
                                          "p_value",     "unjudged_reference", "reference.value",
                                          "ratio.value", "difference.value",   "tokens_mean_reference"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); ++i)
        assert_string_equal(qm_node_text_at(qm_node_get(row, "accuracy.answers"), unknown[i], ""), "not measured");
    char path[512];
    find_beside(".yaml", path);
    start(&child, NULL, NULL, (const char *const[]){"verify", path, NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    expect_text(child.output, "verified");
    release(&child);
    qm_node_destroy(&result);
}

// ---- Faults -----------------------------------------------------------------------------------------------------------

static void test_faults(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_answers(&child, pocl_id, FEW, BOTH, NULL);
    expect_code(&child, 0);
    struct qm_node *before = any_result();
    release(&child);
    double flips = number_at(before, "w4a16-g32", "accuracy.answers.right_to_wrong");

    // Another token in the first answer of one scheme: one right answer less, and the other scheme is as it was.
    run_answers(&child, pocl_id, FEW, BOTH, (const char *const[]){"QM_FAULT=wrong-answer=w4a16-g32:1", NULL});
    expect_code(&child, 0);
    struct qm_node *after = any_result();
    assert_int_equal(number_at(after, "w4a16-g32", "accuracy.answers.right_to_wrong"), flips + 1);
    assert_int_equal(number_at(after, "f16", "accuracy.answers.flips"),
                     number_at(before, "f16", "accuracy.answers.flips"));
    expect_text(child.output, "right to wrong");
    qm_node_destroy(&after);
    release(&child);

    // A worker that dies in one scheme's answers leaves the one that was complete.
    run_answers(&child, pocl_id, FEW, BOTH, (const char *const[]){"QM_FAULT=crash-answers=w4a16-g32", NULL});
    expect_code(&child, 5);
    after = any_result();
    assert_string_equal(qm_node_text_at(row_of(after, "f16"), "status", ""), "ok");
    assert_int_equal(number_at(after, "f16", "accuracy.answers.examples"),
                     number_at(before, "f16", "accuracy.answers.examples"));
    expect_not_ok(after, "w4a16-g32", "failed", "signal 11");
    qm_node_destroy(&after);
    release(&child);

    // One that dies in the first takes all of them: there is none of this device left.
    run_answers(&child, pocl_id, FEW, BOTH, (const char *const[]){"QM_FAULT=crash=generate", NULL});
    expect_code(&child, 5);
    after = any_result();
    expect_not_ok(after, "f16", "failed", "signal 11");
    expect_not_ok(after, "w4a16-g32", "failed", "signal 11");
    qm_node_destroy(&after);
    release(&child);

    run_answers(&child, pocl_id, FEW, BOTH, (const char *const[]){"QM_FAULT=lost=likelihood", NULL});
    expect_code(&child, 5);
    after = any_result();
    expect_not_ok(after, "f16", "failed", "the device was lost");
    qm_node_destroy(&after);
    qm_node_destroy(&before);
    release(&child);
}

static void test_flips_need_examples(void **state)
{
    (void)state;
    need(pocl_id);
    struct child child;
    run_profile_with(&child, pocl_id, NULL, "--show-flips", NULL);
    expect_code(&child, 2);
    expect_text(child.errors, "--eval FILE.jsonl");
    release(&child);
}

static int setup(void **state)
{
    if (group_setup(state) != 0)
        return 1;
    assert_int_equal(qm_file_write(ANSWERS, answers_text, strlen(answers_text)), QM_OK);
    write_tasks();
    write_few();
    struct child child;
    start(&child, NULL, NULL, (const char *const[]){"devices", "--json", NULL});
    assert_true(finish(&child, PATIENCE_S));
    json_t *json = json_loads(child.output, 0, NULL), *device;
    size_t index;
    json_array_foreach(json_object_get(json, "devices"), index, device)
    {
        const char *driver = json_string_value(json_object_get(device, "driver"));
        const char *id = json_string_value(json_object_get(device, "id"));
        const char *api = json_string_value(json_object_get(device, "api"));
        // The oracle is slow, and its answers are what all others are laid beside.
        if (!driver || !id || !api || strcmp(api, "reference") == 0 || !is_wanted(driver) ||
            device_count == DEVICES_MAX)
            continue;
        snprintf(device_drivers[device_count], sizeof(device_drivers[0]), "%s", driver);
        snprintf(device_ids[device_count++], sizeof(device_ids[0]), "%s", id);
    }
    json_decref(json);
    release(&child);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flips_need_examples), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_verify_answers),      cmocka_unit_test(test_no_reference),
        cmocka_unit_test(test_every_driver),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
