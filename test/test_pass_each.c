// Passes whose sequences stand each at a position and in a cache sequence of its own: row for row the bits of the same pass
// where that sequence's place was everyone's, in every format of the cache, with tokens that stay exact and a window.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "model/engine.h"
#include "test/each_device.h"
#include "test/tiny_model.h"

enum {
    QWEN2 = 4, // of the tiny models: biases, a window in the second of two layers
    SEQUENCES = 12,
    CONTEXT = 96,
    FIRST_FILLED = 2,
    FILLED = 8, // sequences that have DEPTH tokens before
    DEPTH = 64,
    STEPS = 3,
    ROWS = 3 * 19,
};

static struct qm_model *model;

static void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    assert_non_null(memory);
    return memory;
}

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != QM_OK)                                                                                           \
            fail_msg("%s", qm_error_text());                                                                           \
    } while (0)

struct rig {
    struct qm_engine *engine;
    struct qm_network *network;
    struct qm_pass *fill;
    uint64_t filled[FILLED]; // checksums
};

// Three tables, no two of which agree anywhere: what a pass has not written shows.
static void write_tokens(struct rig *rig, uint32_t table)
{
    const struct qm_model_config *c = qm_engine_config(rig->engine);
    uint32_t stride = c->context + 1, *tokens = zeros((size_t)SEQUENCES * stride, sizeof(*tokens));
    for (uint32_t s = 0; s < SEQUENCES; ++s)
        for (uint32_t p = 0; p < stride; ++p)
            tokens[s * stride + p] = (7 * s + 5 * p + p * p / 3 + 61 * table) % c->vocabulary;
    OK(qm_engine_write_tokens(rig->engine, tokens, SEQUENCES));
    free(tokens);
}

// Prompts, by a pass whose sequences lie side by side.
static void fill(struct rig *rig, uint32_t count, uint64_t *checksums)
{
    struct qm_timing timing = {0};
    write_tokens(rig, 0);
    OK(qm_pass_run(rig->fill, &(struct qm_pass_start){0, FIRST_FILLED}, count, &(struct qm_run_policy){0, 4}, &timing));
    OK(qm_pass_read_checksums(rig->fill, count, checksums));
}

struct outputs {
    float *logits, *log_probabilities;
    uint32_t *argmaxes;
    uint64_t checksums[STEPS];
};

static struct outputs read_outputs(struct qm_pass *pass, uint32_t repeats)
{
    struct outputs out = {.logits = zeros((size_t)ROWS * model->config.vocabulary, sizeof(float)),
                          .log_probabilities = zeros(ROWS, sizeof(float)),
                          .argmaxes = zeros(ROWS, sizeof(uint32_t))};
    OK(qm_pass_read_logits(pass, out.logits));
    OK(qm_pass_read_outputs(pass, out.log_probabilities, out.argmaxes));
    OK(qm_pass_read_checksums(pass, repeats, out.checksums));
    return out;
}

static void outputs_free(struct outputs *out)
{
    free(out->logits);
    free(out->log_probabilities);
    free(out->argmaxes);
}

// Runs all sequences at once, then for each the same pass side by side from its position, with that sequence in the row
// where it was. A later position comes first: what those runs write of other sequences lies behind all that is read then.
static void check_each(struct rig *rig, const struct qm_pass_params *shape, const struct qm_pass_start *starts,
                       uint32_t repeats)
{
    const struct qm_run_policy policy = {7, 2};
    struct qm_timing timing = {0};
    struct qm_pass *pass = NULL;
    size_t vocabulary = model->config.vocabulary, tokens = shape->tokens;
    OK(qm_pass_create(rig->network, shape, &pass));
    OK(qm_pass_run_each(pass, starts, repeats, &policy, &timing));
    struct outputs all = read_outputs(pass, repeats);
    for (uint32_t step = 0; step < repeats; ++step) { // one at a time
        struct qm_pass_start now[SEQUENCES];
        uint64_t checksum = 0;
        for (uint32_t s = 0; s < shape->batch; ++s)
            now[s] = (struct qm_pass_start){starts[s].position + step * shape->position_increment, starts[s].sequence};
        OK(qm_pass_run_each(pass, now, 1, &policy, &timing));
        OK(qm_pass_read_checksums(pass, 1, &checksum));
        assert_true(checksum == all.checksums[step]);
    }
    uint32_t below = UINT32_MAX;
    for (uint32_t done = 0; done < shape->batch; ++done) {
        uint32_t s = SEQUENCES;
        for (uint32_t i = 0; i < shape->batch; ++i)
            if (starts[i].position < below && (s == SEQUENCES || starts[i].position > starts[s].position))
                s = i;
        assert_true(s < SEQUENCES && starts[s].sequence >= s);
        below = starts[s].position;
        OK(qm_pass_run(pass, &(struct qm_pass_start){below, starts[s].sequence - s}, repeats, &policy, &timing));
        struct outputs one = read_outputs(pass, repeats);
        size_t row = s * tokens;
        assert_memory_equal(all.logits + row * vocabulary, one.logits + row * vocabulary,
                            tokens * vocabulary * sizeof(float));
        assert_memory_equal(all.log_probabilities + row, one.log_probabilities + row, tokens * sizeof(float));
        assert_memory_equal(all.argmaxes + row, one.argmaxes + row, tokens * sizeof(uint32_t));
        outputs_free(&one);
    }
    outputs_free(&all);
    qm_pass_destroy(&pass);
}

// Starts side by side are those of qm_pass_run, to the checksum of all rows.
static void check_side_by_side(struct rig *rig)
{
    const struct qm_run_policy policy = {0, 1};
    const struct qm_pass_start starts[] = {{20, 4}, {20, 5}, {20, 6}, {20, 7}};
    struct qm_timing timing = {0};
    struct qm_pass *pass = NULL;
    uint64_t plain[STEPS], each[STEPS];
    OK(qm_pass_create(rig->network, &(struct qm_pass_params){4, 1, 1, 1}, &pass));
    OK(qm_pass_run(pass, starts, STEPS, &policy, &timing));
    OK(qm_pass_read_checksums(pass, STEPS, plain));
    OK(qm_pass_run_each(pass, starts, STEPS, &policy, &timing));
    OK(qm_pass_read_checksums(pass, STEPS, each));
    assert_memory_equal(plain, each, sizeof(plain));
    qm_pass_destroy(&pass);
}

static void check_refused(struct qm_pass *pass, uint32_t which, struct qm_pass_start start, uint32_t repeats,
                          const char *why)
{
    struct qm_pass_start starts[] = {{8, 2}, {40, 7}, {0, 0}, {3, 11}};
    struct qm_timing timing = {0};
    starts[which] = start;
    assert_int_equal(qm_pass_run_each(pass, starts, repeats, &(struct qm_run_policy){0, 1}, &timing), QM_INVALID);
    if (!strstr(qm_error_text(), why))
        fail_msg("'%s' does not say '%s'", qm_error_text(), why);
}

static void check_refusals(struct rig *rig)
{
    struct qm_pass *pass = NULL;
    OK(qm_pass_create(rig->network, &(struct qm_pass_params){4, 1, 1, 0}, &pass));
    check_refused(pass, 3, (struct qm_pass_start){50, 7}, 1, "number 3 of a pass is in sequence 7");
    check_refused(pass, 1, (struct qm_pass_start){0, 2}, 1, "number 1 of a pass is in sequence 2");
    check_refused(pass, 2, (struct qm_pass_start){CONTEXT, 0}, 1, "number 2 of a pass) leave the context of 96");
    check_refused(pass, 2, (struct qm_pass_start){CONTEXT - 1, 0}, 2, "leave the context of 96");
    check_refused(pass, 0, (struct qm_pass_start){0, SEQUENCES}, 1, "the 12 sequences");
    check_refused(pass, 0, (struct qm_pass_start){UINT32_MAX, UINT32_MAX}, STEPS, "the 12 sequences");
    check_refused(pass, 0, (struct qm_pass_start){0, 1}, 0, "0 repetitions");
    check_refused(pass, 0, (struct qm_pass_start){0, 1}, SEQUENCES + 1, "13 repetitions");
    qm_pass_destroy(&pass);
}

struct check {
    const struct qm_artifact *artifact;
    const struct qm_scheme *scheme;
};

static void check_device(struct qm_device *device, const char *tile, const void *context)
{
    // Chunks of a prompt, and steps, which complete blocks of 32 keys or do not; nothing is sorted by anything.
    static const struct qm_pass_start chunks[] = {{19, 8}, {0, 2}, {45, 5}};
    static const struct qm_pass_start steps[] = {{30, 7}, {62, 3}, {5, 9}, {17, 5}};
    const struct check *check = context;
    struct rig rig = {0};
    const struct qm_engine_params params = {.device = device,
                                            .tile = tile,
                                            .config = model->config,
                                            .context = CONTEXT,
                                            .rows = DEPTH,
                                            .sequences = SEQUENCES,
                                            .slots = SEQUENCES};
    OK(qm_engine_create(&params, &rig.engine));
    OK(qm_network_create(rig.engine, check->artifact, check->scheme, &rig.network));
    OK(qm_pass_create(rig.network, &(struct qm_pass_params){1, DEPTH, 0, 1}, &rig.fill));
    fill(&rig, FILLED, rig.filled);
    write_tokens(&rig, 1);
    check_each(&rig, &(struct qm_pass_params){3, 19, 0, 0}, chunks, 1);
    write_tokens(&rig, 2);
    check_each(&rig, &(struct qm_pass_params){4, 1, 1, 0}, steps, STEPS);
    check_refusals(&rig);
    check_side_by_side(&rig);
    uint64_t again = 0; // nothing of it stays
    fill(&rig, 1, &again);
    assert_true(again == rig.filled[0]);
    qm_pass_destroy(&rig.fill);
    qm_network_destroy(&rig.network);
    qm_engine_destroy(&rig.engine);
    print_message("%-12s %-7s %s\n", device->info->driver_name, tile, check->scheme->name);
}

static void build(const char *name, struct qm_scheme *scheme, struct qm_artifact **artifact)
{
    OK(qm_scheme_parse(name, scheme));
    OK(qm_artifact_build(&(struct qm_artifact_params){.model = model, .scheme = scheme}, artifact));
}

static void open_reference(struct qm_device **device)
{
    struct qm_device_info info;
    size_t count = 0;
    OK(qm_backend_reference.enumerate(&info, 1, &count));
    OK(qm_backend_reference.open(&info, &(struct qm_open_params){0}, device));
}

// What kernels do with their places is the same in all formats but for kivi's keys, whose blocks a pass completes.
static void test_every_driver(void **state)
{
    (void)state;
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
#ifdef __SANITIZE_ADDRESS__
    const bool is_short = true; // the drivers are not sanitized
#else
    const bool is_short = false;
#endif
    build("w8a16-kivi4-first3-last7", &scheme, &artifact);
    with_each_device(is_short, check_device, &(struct check){artifact, &scheme});
    qm_artifact_destroy(&artifact);
}

static void test_every_cache(void **state)
{
    (void)state;
    static const char *const names[] = {"f32",
                                        "w8a16",
                                        "w8a8-kv8",
                                        "w8a16-kv4-first3-last7",
                                        "w8a16-kve4m3-last3",
                                        "w8a16-kve5m2-first1",
                                        "w8a16-kivi4",
                                        "w8a16-kivi2-last40"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        struct qm_scheme scheme;
        struct qm_artifact *artifact = NULL;
        struct qm_device *device = NULL;
        build(names[i], &scheme, &artifact);
        OK(qm_native_device_open(&device));
        check_device(device, "narrow", &(struct check){artifact, &scheme});
        device->fns->destroy(&device);
        if (i % 3 == 0) { // the oracle is slow; of each kind of format one
            open_reference(&device);
            check_device(device, "narrow", &(struct check){artifact, &scheme});
            device->fns->destroy(&device);
        }
        qm_artifact_destroy(&artifact);
    }
}

// As many sequences as have places of their own, in reverse order; and a pass of one more, which lie side by side. All are at
// position 0, so that a row is that of its token.
static void test_most_sequences(void **state)
{
    (void)state;
    enum {
        MOST = QM_PASS_SEQUENCES_MAX
    };
    struct qm_scheme scheme;
    struct qm_artifact *artifact = NULL;
    struct qm_device *device = NULL;
    struct qm_engine *engine = NULL;
    struct qm_network *network = NULL;
    struct qm_pass *most = NULL, *more = NULL;
    struct qm_timing timing = {0};
    const struct qm_run_policy policy = {0, 1};
    build("w8a16", &scheme, &artifact);
    OK(qm_native_device_open(&device));
    const struct qm_engine_params params = {.device = device,
                                            .tile = "narrow",
                                            .config = model->config,
                                            .context = 2,
                                            .rows = MOST + 1,
                                            .sequences = MOST + 1,
                                            .slots = 1};
    OK(qm_engine_create(&params, &engine));
    OK(qm_network_create(engine, artifact, &scheme, &network));
    OK(qm_pass_create(network, &(struct qm_pass_params){MOST, 1, 1, 0}, &most));
    OK(qm_pass_create(network, &(struct qm_pass_params){MOST + 1, 1, 1, 0}, &more));
    uint32_t vocabulary = model->config.vocabulary;
    size_t row = vocabulary;
    uint32_t *tokens = zeros((size_t)(MOST + 1) * 3, sizeof(*tokens));
    float *reversed = zeros((MOST + 1) * row, sizeof(float)), *plain = zeros((MOST + 1) * row, sizeof(float));
    struct qm_pass_start *starts = zeros(MOST + 1, sizeof(*starts));
    for (uint32_t s = 0; s <= MOST; ++s) {
        tokens[3 * s] = s % vocabulary;
        starts[s].sequence = MOST - s;
    }
    OK(qm_engine_write_tokens(engine, tokens, MOST + 1));
    assert_int_equal(qm_pass_run_each(more, starts, 1, &policy, &timing), QM_UNSUPPORTED);
    OK(qm_pass_run_each(most, starts, 1, &policy, &timing));
    OK(qm_pass_read_logits(most, reversed));
    OK(qm_pass_run(more, &(struct qm_pass_start){0, 0}, 1, &policy, &timing));
    OK(qm_pass_read_logits(more, plain));
    for (uint32_t s = 0; s <= MOST; ++s)
        assert_memory_equal(plain + s * row, plain + s % vocabulary * row, row * sizeof(float));
    for (uint32_t s = 0; s < MOST; ++s)
        assert_memory_equal(reversed + s * row, plain + (MOST - s) * row, row * sizeof(float));
    assert_memory_not_equal(plain, plain + row, row * sizeof(float));
    free(tokens);
    free(reversed);
    free(plain);
    free(starts);
    qm_pass_destroy(&most);
    qm_pass_destroy(&more);
    qm_network_destroy(&network);
    qm_engine_destroy(&engine);
    device->fns->destroy(&device);
    qm_artifact_destroy(&artifact);
}

static int make(void **state)
{
    (void)state;
    json_t *data = json_load_file(TINY_MODELS, 0, NULL);
    assert_non_null(data);
    assert_non_null(mkdtemp(directory));
    model = make_model(json_array_get(json_object_get(data, "models"), QWEN2), 32);
    json_decref(data);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    qm_model_destroy(&model);
    unlink(in_directory("config.json"));
    unlink(in_directory("model.safetensors"));
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cache),
        cmocka_unit_test(test_most_sequences),
        cmocka_unit_test(test_every_driver),
    };
    setenv("RUSTICL_ENABLE", "llvmpipe", 0);
    return cmocka_run_group_tests(tests, make, drop);
}
