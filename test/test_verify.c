// `qmark verify`: what was measured agrees with itself, and nothing that can be recomputed can be changed unseen, not
// even by somebody who makes the hashes anew. One small widened run is the subject of all of it.
#define FOLDER QM_BINARY_DIR "/test-verify"
#include "test/run_program.h"

#include "base/random.h"
#include "bench/ceilings.h"
#include "bench/samples.h"
#include "bench/verify.h"
#include "model/safetensors.h"
#include "record/result_checks.h"
#include "record/result_table.h"

enum {
    EDITS = 10000
};

static char path[512], samples_path[512];
static struct qm_node *result;
static char *samples;
static size_t sample_bytes;
static struct qm_verifier *verifier;

// ---- Scalars --------------------------------------------------------------------------------------------------------

struct scalar {
    char path[200]; // for qm_node_get: "schemes.0.accuracy.tokens"
    char table[200];
};

static struct scalar *scalars;
static size_t scalar_count;

static void list_scalars(const struct qm_node *node, const char *at, const char *table)
{
    struct scalar below;
    if (qm_node_is_text(node)) {
        scalars = realloc(scalars, (scalar_count + 1) * sizeof(*scalars));
        assert_non_null(scalars);
        snprintf(scalars[scalar_count].path, sizeof(below.path), "%s", at);
        snprintf(scalars[scalar_count++].table, sizeof(below.table), "%s", table);
        return;
    }
    for (size_t i = 0; i < qm_node_count(node); ++i) {
        const char *dot = at[0] ? "." : "";
        if (qm_node_is_mapping(node)) {
            const char *key = qm_node_key_at(node, i);
            if (strchr(key, '.'))
                continue; // no path leads there; there is none but in what nobody checks
            snprintf(below.path, sizeof(below.path), "%.120s%s%.60s", at, dot, key);
            snprintf(below.table, sizeof(below.table), "%.120s%s%.60s", table, dot, key);
        } else {
            snprintf(below.path, sizeof(below.path), "%.120s%s%zu", at, dot, i);
            snprintf(below.table, sizeof(below.table), "%.120s[]", table);
        }
        list_scalars(qm_node_at(node, i), below.path, below.table);
    }
}

// ---- The subject ----------------------------------------------------------------------------------------------------

static const char small_text[] =
    "schema: 1\nname: small\nschemes: [f16, w8a8]\nbaseline: f16\n"
    "evaluation: {set: built-in, seed: 31926937667174403, windows: 2, window_tokens: 128, scored_tokens: 64, sets: 2}\n"
    "calibration: {set: built-in, seed: 31926937667174402, windows: 2, window_tokens: 128}\n"
    "prefill:\n  - {batch: 1, prompt: 128}\ndecode:\n  - {batch: 1, depth: 96, steps: 8}\n"
    "timing: {protocol: paired, warmup: 1, repeats: 4, precision: 1, seconds: 0, order_seed: 5}\n"
    "sustained: {phase: decode, seconds: 0.5, cool_down_s: 0, temperature_most_c: none}\n"
    "latency: {p99_ms: 1000}\ncaches: {last_level_bytes: host}\n"
    "gate: {false_alarm: 0.01, minimum_effect: 0.02, tolerance: 0.1, seconds: 0}\n"
    "policy: {dispatches_per_submission: 0, submission_ms: 200, allow_smaller_batch: false}\ntier: best\ntiles: "
    "fixed\nwiden: 1\n"
    "bootstrap: {seed: 31926937667174404, resamples: 199, confidence: 0.95}\n"
    "acceptance:\n  at_most: {kl_divergence_mean: 0.05}\n  at_least: {exact_match_ratio: 0.5}\n";

static int setup(void **state)
{
    if (group_setup(state) != 0)
        return 1;
    assert_int_equal(qm_file_write(PROFILE, small_text, strlen(small_text)), QM_OK);
    const char *device = pocl_id[0] ? pocl_id : lavapipe_id;
    if (!device[0])
        return 0;
    struct child child;
    const char *const arguments[] = {"run",         "--profile", PROFILE, "--device", device, "--scheme",
                                     "w8a8-static", "--widen",   "2",     "--out",    OUT,    NULL};
    mkdir(OUT, 0755);
    remove_all(OUT);
    setenv("QM_CEILINGS_MS", "50", 1); // what stands in a result of them, not how good they are
    start(&child, NULL, NULL, arguments);
    setenv("QM_CEILINGS_MS", "0", 1);
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    release(&child);
    DIR *stream = opendir(OUT);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (strstr(entry->d_name, ".yaml"))
            snprintf(path, sizeof(path), OUT "/%.200s", entry->d_name);
        if (strstr(entry->d_name, ".safetensors"))
            snprintf(samples_path, sizeof(samples_path), OUT "/%.200s", entry->d_name);
    }
    closedir(stream);
    assert_int_equal(qm_result_load(path, &result, NULL), QM_OK);
    list_scalars(result, "", "");
    void *bytes = NULL;
    assert_int_equal(qm_file_read(samples_path, QM_SAMPLES_BYTES_MAX, &bytes, &sample_bytes), QM_OK);
    samples = bytes;
    setenv("QM_DATA_DIR", QM_SOURCE_DIR, 1);
    assert_int_equal(qm_verifier_open(&verifier), QM_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    qm_verifier_close(&verifier);
    qm_node_destroy(&result);
    free(samples);
    free(scalars);
    return 0;
}

static void need_subject(void)
{
    if (!result)
        skip();
}

// ---- Verifying in memory --------------------------------------------------------------------------------------------

static void verify_tree(const struct qm_node *tree, const void *sample_file, struct qm_verification *out)
{
    void *bytes = NULL;
    if (sample_file) {
        bytes = malloc(sample_bytes);
        assert_non_null(bytes);
        memcpy(bytes, sample_file, sample_bytes);
    }
    assert_int_equal(qm_verify(verifier, tree, &bytes, sample_bytes, out), QM_OK);
    assert_null(bytes);
}

static void hash_again(struct qm_node *tree)
{
    char hash[QM_HASH_TEXT_BYTES];
    assert_int_equal(qm_node_hash(tree, "hash", hash), QM_OK);
    qm_node_set_text(tree, "hash", hash);
}

// Whether a changed tree is refused or differs: somewhere, or in a place whose path holds `key`.
static bool is_caught_at(const struct qm_node *tree, const void *sample_file, const char *key)
{
    struct qm_verification v;
    if (qm_result_check(tree) != QM_OK)
        return true;
    verify_tree(tree, sample_file, &v);
    bool differs = false;
    for (size_t i = 0; i < v.difference_count; ++i)
        differs = differs || strstr(v.differences[i].path, key);
    qm_verification_free(&v);
    return differs;
}

static bool is_caught(const struct qm_node *tree, const void *sample_file)
{
    return is_caught_at(tree, sample_file, "");
}

static void expect_verified(const char *file)
{
    struct qm_verification v;
    if (qm_verify_file(verifier, file, &v) != QM_OK)
        fail_msg("%s", qm_error_text());
    if (!qm_verification_passes(&v, false))
        fail_msg("%s: %zu differences, the first %s is %s, should be %s", file, v.difference_count,
                 v.difference_count ? v.differences[0].path : "", v.difference_count ? v.differences[0].is : "",
                 v.difference_count ? v.differences[0].should : "");
    assert_true(v.has_samples && v.compared > 500);
    qm_verification_free(&v);
}

// ---- Edits ----------------------------------------------------------------------------------------------------------

// Replaces what stands at a path by a text, read as YAML so that numbers are numbers.
static void put(struct qm_node *tree, const char *at, const char *text, bool is_text)
{
    char document[512], parent[200];
    struct qm_node *read = NULL;
    snprintf(document, sizeof(document), is_text ? "v: \"%.400s\"\n" : "v: %.400s\n", text);
    assert_int_equal(qm_node_parse(document, strlen(document), "edit", &qm_node_result_limits, &read), QM_OK);
    snprintf(parent, sizeof(parent), "%s", at);
    char *dot = strrchr(parent, '.');
    const char *key = dot ? dot + 1 : parent;
    if (dot)
        *dot = '\0';
    struct qm_node *holder = dot ? qm_node_get(tree, parent) : tree;
    struct qm_node *value = qm_node_copy(qm_node_child(read, "v"));
    if (qm_node_is_mapping(holder)) {
        qm_node_set_node(holder, key, value);
    } else { // an item: the list anew
        struct qm_node *list = qm_node_new_sequence();
        size_t index = strtoul(key, NULL, 10);
        for (size_t i = 0; i < qm_node_count(holder); ++i)
            qm_node_append_node(list, i == index ? value : qm_node_copy(qm_node_at(holder, i)));
        char *above = strrchr(parent, '.');
        struct qm_node *grandparent = tree;
        const char *name = parent;
        if (above) {
            *above = '\0';
            grandparent = qm_node_get(tree, parent);
            name = above + 1;
        }
        qm_node_set_node(grandparent, name, list);
    }
    qm_node_destroy(&read);
    assert_true(qm_node_ok(tree));
}

// A text that differs from `text`: another last digit, another first digit of a hash, a letter more, the other bool.
static bool edit_slightly(const struct qm_node *node, char out[300])
{
    const char *text = qm_node_text(node);
    snprintf(out, 300, "%.250s", text);
    size_t length = strlen(out);
    if (strchr(text, '"') || strchr(text, '\\'))
        return false; // the quoting of this test is too plain for it
    if (qm_node_is_bool(node)) {
        snprintf(out, 300, "%s", strcmp(text, "true") == 0 ? "false" : "true");
    } else if (qm_node_is_number(node)) {
        char *end = out + length;
        while (end > out && (end[-1] < '0' || end[-1] > '9'))
            --end;
        char *exponent = strpbrk(out, "eE");
        end = exponent ? exponent : end;
        end[-1] = end[-1] == '9' ? '8' : (char)(end[-1] + 1);
    } else if (length == 64) {
        out[0] = out[0] == 'a' ? 'b' : 'a';
    } else {
        snprintf(out + length, 300 - length, "x");
    }
    return true;
}

// What a liar would write: a number a thousandth better, a neighbour of a whole one.
static bool edit_plainly(const struct qm_node *node, char out[300])
{
    double value = 0;
    if (!qm_node_is_number(node) || strspn(qm_node_text(node), "0123456789") == strlen(qm_node_text(node)))
        return edit_slightly(node, out);
    assert_int_equal(qm_node_read_double(node, &value), QM_OK);
    qm_double_text(value * 1.001, out);
    return true;
}

// ---- Tests ----------------------------------------------------------------------------------------------------------

static void test_right_ones_pass(void **state)
{
    (void)state;
    need_subject();
    expect_verified(path);
    // As JSON, and with keys in another order.
    char *text = NULL;
    assert_int_equal(qm_node_write_json(result, &text), QM_OK);
    assert_int_equal(qm_file_write(OUT "/as.json", text, strlen(text)), QM_OK);
    free(text);
    expect_verified(OUT "/as.json");
    struct qm_node *turned = qm_node_new_mapping();
    for (size_t i = qm_node_count(result); i-- > 0;)
        qm_node_set_node(turned, qm_node_key_at(result, i), qm_node_copy(qm_node_at(result, i)));
    assert_int_equal(qm_node_write_yaml(turned, &text), QM_OK);
    qm_node_destroy(&turned);
    FILE *stream = fopen(OUT "/turned.yaml", "w");
    assert_non_null(stream);
    fprintf(stream, "# another hand\n");
    for (const char *c = text; *c; ++c) { // a step deeper throughout
        if (c == text || c[-1] == '\n')
            fputs("   ", stream);
        fputc(*c, stream);
    }
    fclose(stream);
    free(text);
    expect_verified(OUT "/turned.yaml");
}

// Every kernel that was timed has its place under the ceilings, which are all there with a rate or a reason.
static void test_ceilings_stand_in_it(void **state)
{
    (void)state;
    need_subject();
    const struct qm_node *kinds = qm_node_get(result, "ceilings.kinds"), *schemes = qm_node_child(result, "schemes");
    size_t timed = 0;
    assert_int_equal(qm_node_count(kinds), QM_CEILING_COUNT);
    for (size_t i = 0; i < qm_node_count(kinds); ++i)
        assert_true(!qm_node_child(qm_node_at(kinds, i), "rate") != !qm_node_child(qm_node_at(kinds, i), "reason"));
    for (size_t s = 0; s < qm_node_count(schemes); ++s) {
        const struct qm_node *rows = qm_node_child(qm_node_at(schemes, s), "kernels");
        for (size_t i = 0; i < qm_node_count(rows); ++i) {
            const struct qm_node *row = qm_node_at(rows, i);
            double share = 0;
            if (!qm_node_child(row, "time_us"))
                continue;
            ++timed;
            if (qm_ceiling_find(qm_node_text_at(row, "ceiling", "")) == QM_CEILING_COUNT ||
                !qm_node_double_at(row, "share", &share) || !(share > 0))
                fail_msg("%s, %s has no ceiling", qm_node_text_at(row, "name", "?"),
                         qm_node_text_at(row, "shape", "?"));
        }
    }
    assert_true(timed > 10);
}

static void test_any_edit_is_seen(void **state)
{
    (void)state;
    need_subject();
    struct qm_random random;
    qm_random_seed(&random, 20, 0);
    struct qm_node *tree = qm_node_copy(result);
    const char *stored = qm_node_text_at(result, "hash", "");
    size_t done = 0;
    for (size_t i = 0; i < EDITS; ++i) {
        const struct scalar *scalar = &scalars[qm_random_below(&random, (uint32_t)scalar_count)];
        const struct qm_node *node = qm_node_get(tree, scalar->path);
        char text[300], before[300], hash[QM_HASH_TEXT_BYTES];
        assert_non_null(node);
        if (strcmp(scalar->path, "hash") == 0 || strlen(qm_node_text(node)) > 250 || !edit_slightly(node, text))
            continue;
        bool was_text = !qm_node_is_number(node) && !qm_node_is_bool(node);
        snprintf(before, sizeof(before), "%s", qm_node_text(node));
        put(tree, scalar->path, text, was_text);
        assert_int_equal(qm_node_hash(tree, "hash", hash), QM_OK);
        if (strcmp(hash, stored) == 0)
            fail_msg("%s: %s for %s has the same hash", scalar->path, text, before);
        ++done;
        put(tree, scalar->path, before, was_text);
    }
    assert_true(done > EDITS * 9 / 10);
    assert_true(!is_caught(tree, samples)); // all was put back
    put(tree, "host.cores", "4096", false);
    assert_true(is_caught(tree, samples)); // raw, and yet the hash is over it
    qm_node_destroy(&tree);
}

static void test_derived_edits_are_seen_behind_a_new_hash(void **state)
{
    (void)state;
    need_subject();
    size_t done = 0, missed = 0;
    for (size_t i = 0; i < scalar_count; ++i) {
        const struct qm_result_check_rule *rule = qm_result_check_of(scalars[i].table);
        if (rule->check < QM_CHECK_PROFILE || strcmp(scalars[i].path, "hash") == 0)
            continue;
        struct qm_node *tree = qm_node_copy(result);
        const struct qm_node *node = qm_node_get(tree, scalars[i].path);
        char text[300];
        if (edit_plainly(node, text) && strcmp(text, qm_node_text(node)) != 0) {
            put(tree, scalars[i].path, text, !qm_node_is_number(node) && !qm_node_is_bool(node));
            hash_again(tree);
            ++done;
            // Of a profile its hash tells; all else is named itself.
            bool is_profile = strncmp(scalars[i].path, "profile.", strlen("profile.")) == 0;
            const char *key = strrchr(scalars[i].path, '.');
            if (!is_caught_at(tree, samples, is_profile ? "profile" : key ? key : scalars[i].path)) {
                ++missed;
                print_error("%s: %s was not seen (%s)\n", scalars[i].path, text, rule->why);
            }
        }
        qm_node_destroy(&tree);
    }
    print_message("%zu derived values were edited\n", done);
    assert_int_equal(missed, 0);
    assert_true(done > 500);
}

// Keys that are taken away, and keys that do not belong there.
static void test_keys_come_and_go(void **state)
{
    (void)state;
    need_subject();
    static const char *const gone[] = {
        "schemes.1.accuracy.details",           "schemes.1.widening.bound",   "schemes.1.gain",
        "schemes.0.disclosure.tensors.formats", "model.operations_per_token", "profile.evaluation.sets"};
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); ++i) {
        struct qm_node *tree = qm_node_copy(result);
        char parent[64];
        snprintf(parent, sizeof(parent), "%s", gone[i]);
        char *dot = strrchr(parent, '.');
        *dot = '\0';
        qm_node_remove(qm_node_get(tree, parent), dot + 1);
        hash_again(tree);
        if (!is_caught(tree, samples))
            fail_msg("%s may be left out", gone[i]);
        qm_node_destroy(&tree);
    }
    struct qm_node *tree = qm_node_copy(result);
    qm_node_set_text(qm_node_get(tree, "schemes.1.accuracy"), "better_than_it_is", "yes");
    hash_again(tree);
    assert_true(is_caught(tree, samples));
    qm_node_destroy(&tree);
}

static void test_relations(void **state)
{
    (void)state;
    need_subject();
    static const struct {
        const char *at, *text, *named;
        bool is_text;
    } edits[] = {{"run.finished", "2001-01-01T00:00:00Z", "run.finished", true},
                 {"run.started", "yesterday", "run.started", true},
                 {"schemes.1.memory.total_bytes", "1", "schemes[w8a8-static].memory.total_bytes", false},
                 {"schemes.1.kernels.0.checked_error", "1e9", "schemes[w8a8-static].kernels[0].checked_error", false},
                 {"schemes.1.kernels.0.share", "0.99", "schemes[w8a8-static].kernels[0].share", false},
                 {"schemes.1.kernels.0.ceiling", "copy", "schemes[w8a8-static].kernels[0].ceiling", true},
                 {"schemes.1.kernels.0.intensity", "1e-9", "schemes[w8a8-static].kernels[0].ceiling", false},
                 {"ceilings.kinds.2.rate", "1e-9", "schemes[w8a8-static].kernels[0].share", false},
                 {"schemes.1.kernels.0.name", "matmul-w9-a9", "schemes[w8a8-static].kernels[0].name", true},
                 {"device.self_test.status", "wrong", "schemes[f16].status", true},
                 {"device.name", "GeForce", "samples.file", true},
                 {"device.driver_version", "1.2.3", "schemes[f16].disclosure.tool_chain.driver", true},
                 {"schemes.1.disclosure.calibration_method.parameters", "by hand",
                  "schemes[w8a8-static].disclosure.calibration_method.parameters", true}};
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); ++i) {
        struct qm_node *tree = qm_node_copy(result);
        struct qm_verification v;
        put(tree, edits[i].at, edits[i].text, edits[i].is_text);
        hash_again(tree);
        verify_tree(tree, samples, &v);
        bool is_named = false;
        for (size_t k = 0; k < v.difference_count; ++k)
            is_named = is_named || strncmp(v.differences[k].path, edits[i].named, strlen(edits[i].named)) == 0;
        if (!is_named)
            fail_msg("%s: %s is not named", edits[i].at, edits[i].named);
        qm_verification_free(&v);
        qm_node_destroy(&tree);
    }
    // One id for two schemes.
    struct qm_node *tree = qm_node_copy(result);
    put(tree, "schemes.1.artifact.id", qm_node_text_at(result, "schemes.0.artifact.id", ""), true);
    hash_again(tree);
    assert_true(is_caught(tree, samples));
    qm_node_destroy(&tree);
}

static void test_samples_are_seen_through(void **state)
{
    (void)state;
    need_subject();
    struct qm_tensors tensors = {0};
    void *copy = malloc(sample_bytes);
    assert_non_null(copy);
    memcpy(copy, samples, sample_bytes);
    // Where each tensor's data lies in the file: behind the header.
    uint64_t header = 0;
    memcpy(&header, samples, sizeof(header));
    assert_int_equal(qm_tensors_parse(&copy, sample_bytes, "samples", &tensors), QM_OK);
    size_t done = 0;
    for (size_t t = 0; t < tensors.count; ++t) {
        const struct qm_tensor *tensor = &tensors.tensors[t];
        const char *name = tensor->name;
        bool is_double = strlen(name) > 4 && strcmp(name + strlen(name) - 4, ".f64") == 0;
        // Of decode and of a widening the divergences alone are summarized. What float16 itself costs is below the floors
        // of the check's bounds, on which nothing of it then depends; and the run is too short for its probes and clock readings.
        bool is_kept_only =
            (strstr(name, ".decode.") || strstr(name, ".widening.")) && !strstr(name, ".kl.") && !strstr(name, "_ns.");
        is_kept_only = is_kept_only || strstr(name, ".sustained.at_ns.") || strstr(name, ".sustained.probe_ns.") ||
                       strstr(name, ".sustained.readings.") ||
                       strncmp(name, "timing.clock_", strlen("timing.clock_")) == 0;
        if (!is_double || is_kept_only || strcmp(name, "f16.check.own_kl.f64") == 0)
            continue;
        size_t offset = sizeof(header) + header + (size_t)((const char *)tensor->data - (const char *)tensors.bytes);
        char *changed = malloc(sample_bytes);
        assert_non_null(changed);
        memcpy(changed, samples, sample_bytes);
        size_t values = tensor->bytes / sizeof(double), at = 0;
        double value = 0, largest = 0;
        for (size_t i = 0; i < values; ++i) {
            memcpy(&value, changed + offset + i * sizeof(value), sizeof(value));
            at = value > largest ? i : at;
            largest = value > largest ? value : largest;
        }
        value = largest > 0 ? largest * 0.75 : 0.125;
        memcpy(changed + offset + at * sizeof(value), &value, sizeof(value));
        if (!is_caught(result, changed)) // by the file's hash
            fail_msg("%s may be changed", name);
        struct qm_node *tree = qm_node_copy(result);
        char hash[QM_HASH_TEXT_BYTES];
        qm_hash_bytes(changed, sample_bytes, hash);
        qm_node_set_text(qm_node_child(tree, "samples"), "sha256", hash);
        hash_again(tree);
        if (!is_caught(tree, changed)) // by what follows from it
            fail_msg("%s may be changed behind new hashes", name);
        qm_node_destroy(&tree);
        free(changed);
        ++done;
    }
    assert_true(done > 25);
    qm_tensors_free(&tensors);
}

static void test_absent_samples(void **state)
{
    (void)state;
    need_subject();
    struct qm_verification v;
    verify_tree(result, NULL, &v);
    assert_int_equal(v.difference_count, 0);
    assert_true(!v.has_samples && v.needs_samples);
    assert_true(!qm_verification_passes(&v, false) && qm_verification_passes(&v, true));
    qm_verification_free(&v);
    struct qm_node *tree = qm_node_copy(result); // the rest is checked
    put(tree, "schemes.1.disclosure.precision.weights.bits", "16", false);
    hash_again(tree);
    assert_true(is_caught(tree, NULL));
    qm_node_destroy(&tree);
}

// A result is a stranger's: it may not name files elsewhere, take minutes, or drive a terminal.
static void test_strangers(void **state)
{
    (void)state;
    need_subject();
    static const char *const names[] = {"../out/elsewhere.safetensors", "/etc/passwd", ".."};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        struct qm_node *tree = qm_node_copy(result);
        struct qm_verification v;
        char *text = NULL;
        put(tree, "samples.file", names[i], true);
        hash_again(tree);
        assert_int_equal(qm_node_write_yaml(tree, &text), QM_OK);
        assert_int_equal(qm_file_write(OUT "/stranger.yaml", text, strlen(text)), QM_OK);
        free(text);
        assert_int_equal(qm_verify_file(verifier, OUT "/stranger.yaml", &v), QM_OK);
        assert_true(!v.has_samples && v.difference_count > 0);
        qm_verification_free(&v);
        qm_node_destroy(&tree);
    }
    struct qm_node *tree = qm_node_copy(result);
    struct qm_verification v;
    put(tree, "profile.bootstrap.resamples", "1000000", false);
    assert_int_equal(qm_verify(verifier, tree, NULL, 0, &v), QM_INVALID);
    expect_text(qm_error_text(), "1000000 resamples");
    qm_node_destroy(&tree);
    tree = qm_node_copy(result);
    qm_node_set_text(qm_node_child(tree, "run"), "finished", "\x1b[2J\xc2\x9b\xe2\x80\xae 2026");
    verify_tree(tree, samples, &v);
    assert_true(v.difference_count > 1);
    for (size_t i = 0; i < v.difference_count; ++i)
        for (const char *c = v.differences[i].is; *c; ++c)
            assert_true((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
    qm_verification_free(&v);
    qm_node_destroy(&tree);
    // Cut off anywhere, and with a count that is not the profile's.
    for (size_t count = 0; count < sample_bytes; count += sample_bytes / 40 + 1) {
        void *bytes = malloc(count + 1);
        assert_non_null(bytes);
        memcpy(bytes, samples, count);
        assert_int_equal(qm_verify(verifier, result, &bytes, count, &v), QM_OK);
        assert_true(v.difference_count > 0 && !v.has_samples);
        qm_verification_free(&v);
    }
}

static void test_program(void **state)
{
    (void)state;
    need_subject();
    struct child child;
    start(&child, NULL, NULL, (const char *const[]){"verify", path, NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    expect_text(child.output, ": verified; ");
    release(&child);
    struct qm_node *tree = qm_node_copy(result);
    put(tree, "schemes.1.accuracy.kl_divergence.mean", "1e-5", false);
    hash_again(tree);
    char *text = NULL;
    assert_int_equal(qm_node_write_yaml(tree, &text), QM_OK);
    assert_int_equal(qm_file_write(OUT "/lie.yaml", text, strlen(text)), QM_OK);
    free(text);
    qm_node_destroy(&tree);
    start(&child, NULL, NULL, (const char *const[]){"verify", OUT "/lie.yaml", NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 1);
    expect_text(child.output, "schemes[w8a8-static].accuracy.kl_divergence.mean is 1e-5, should be ");
    release(&child);
    start(&child, NULL, NULL, (const char *const[]){"verify", "--json", path, NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    expect_text(child.output, "\"verdict\": \"verified\"");
    release(&child);
    assert_int_equal(rename(samples_path, OUT "/away"), 0);
    start(&child, NULL, NULL, (const char *const[]){"verify", path, NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 1);
    expect_text(child.output, "samples absent");
    release(&child);
    start(&child, NULL, NULL, (const char *const[]){"verify", "--allow-absent-samples", path, NULL});
    assert_true(finish(&child, PATIENCE_S));
    expect_code(&child, 0);
    release(&child);
    assert_int_equal(rename(OUT "/away", samples_path), 0);
}

// docs/VERIFY.md has a row for every key, with what the table of checks says of it. QM_UPDATE=1 writes the rows anew.
static void test_document(void **state)
{
    (void)state;
    static const char head[] = "| key | how far | from what, or why not |\n|---|---|---|\n";
    char *document = read_text(QM_SOURCE_DIR "/docs/VERIFY.md"), *rows = NULL;
    size_t derived = 0, size = 0;
    FILE *stream = open_memstream(&rows, &size);
    assert_non_null(stream);
    for (size_t i = 0; qm_result_table_path(i); ++i) {
        const struct qm_result_check_rule *rule = qm_result_check_of(qm_result_table_path(i));
        fprintf(stream, "| `%s` | %s | %s |\n", qm_result_table_path(i), qm_result_check_name(rule->check), rule->why);
        derived += rule->check >= QM_CHECK_PROFILE;
        if (rule->path[0] == '\0')
            fail_msg("%s has no rule in core/record/result_checks.c", qm_result_table_path(i));
    }
    fclose(stream);
    assert_true(derived > 150);
    char *table = strstr(document, head);
    assert_non_null(table);
    table += strlen(head);
    if (getenv("QM_UPDATE")) {
        *table = '\0';
        char *text = malloc(strlen(document) + size + 1);
        assert_non_null(text);
        sprintf(text, "%s%s", document, rows);
        assert_int_equal(qm_file_write(QM_SOURCE_DIR "/docs/VERIFY.md", text, strlen(text)), QM_OK);
        free(text);
    } else if (strcmp(table, rows) != 0) {
        fail_msg("docs/VERIFY.md has other rows; QM_UPDATE=1 test_verify writes them");
    }
    free(rows);
    free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_right_ones_pass),
        cmocka_unit_test(test_ceilings_stand_in_it),
        cmocka_unit_test(test_any_edit_is_seen),
        cmocka_unit_test(test_derived_edits_are_seen_behind_a_new_hash),
        cmocka_unit_test(test_keys_come_and_go),
        cmocka_unit_test(test_relations),
        cmocka_unit_test(test_samples_are_seen_through),
        cmocka_unit_test(test_absent_samples),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_program),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
