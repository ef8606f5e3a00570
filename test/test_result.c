// Results: the example is good, each broken law is refused, files are written whole, documents say what the table says.
#include "record/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define EXAMPLE QM_SOURCE_DIR "/test/data/result-example.yaml"

static struct qm_node *example(void)
{
    struct qm_node *node = NULL;
    bool is_intact = false;
    if (qm_result_load(EXAMPLE, &node, &is_intact) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_true(is_intact);
    return node;
}

static void test_example(void **state)
{
    (void)state;
    char name[QM_RESULT_NAME_BYTES];
    struct qm_node *node = example();
    qm_result_file_name(node, name);
    assert_string_equal(name, "qmark-llvmpipe-llvm-15-0-6-256-bits-vulkan.yaml");
    qm_node_set_u64(qm_node_get(node, "device"), "ordinal", 2);
    qm_node_set_text(qm_node_get(node, "device"), "name", " Intel(R) Arc(TM) A380 \xc2\xb5 ");
    qm_result_file_name(node, name);
    assert_string_equal(name, "qmark-intel-r-arc-tm-a380-2-vulkan.yaml");
    qm_node_destroy(&node);
}

static struct qm_node *get(struct qm_node *node, const char *path)
{
    struct qm_node *found = qm_node_get(node, path);
    if (!found)
        fail_msg("%s is not in the example", path);
    return found;
}

// What is set to what, and what the checker says; NULL removes the key.
static void test_laws(void **state)
{
    (void)state;
    static const struct {
        const char *parent;
        const char *key;
        const char *value;
        const char *words;
    } rows[] = {
        {"", "schema", NULL, "no result of qmark"},
        {"device", "name", NULL, "key 'name' is missing; expected a text (device.name)"},
        {"device", "api", "cuda", "'api' is 'cuda'; expected one of vulkan|opencl|reference"},
        {"model", "sha256", "abc", "'sha256' is 'abc'; expected 64 hexadecimal digits"},
        {"model", "sha256", "undisclosed", "expected 64 hexadecimal digits"},
        {"schemes.0", "disclosure", NULL, "key 'disclosure' is missing"},
        {"schemes.0.disclosure", "precision", NULL, "a mapping or a word such as 'undisclosed'"},
        {"schemes.0.disclosure", "tensors", NULL, "key 'tensors' is missing"},
        {"schemes.0.disclosure", "calibration_set", NULL, "key 'calibration_set' is missing"},
        {"schemes.0.disclosure", "calibration_method", NULL, "key 'calibration_method' is missing"},
        {"schemes.0.disclosure", "evaluation_set", NULL, "key 'evaluation_set' is missing"},
        {"schemes.0.disclosure", "tool_chain", NULL, "key 'tool_chain' is missing"},
        {"schemes.0.disclosure", "tool_chain", "secret", "'tool_chain' is 'secret'; expected a mapping or a word"},
        {"schemes.0.disclosure", "tool_chain", "undisclosed", NULL}, // a value
        {"schemes.0", "accuracy", NULL, "no accuracy; add it, or the words 'accuracy: not measured'"},
        {"schemes.0", "accuracy", "undisclosed", "expected a mapping or the words 'not measured'"},
        {"schemes.0", "accuracy", "not measured", NULL},
        {"schemes.0", "throughput", NULL, "status is 'ok' without throughput"},
        {"schemes.0", "sustained", NULL, "key 'sustained' is missing"},
        {"schemes.0", "reason", "because", "status is 'ok' and there is a reason"},
        {"schemes.0", "status", "failed", "status is 'failed' without a reason"},
        {"schemes.0", "status", "fine", "expected one of ok|wrong|unsupported|failed|skipped"},
        {"schemes.2", "reason", NULL, "status is 'wrong' without a reason"},
        {"schemes.0.throughput.0", "rate_tokens_per_s", "0", "expected a number above 0"},
        {"schemes.0.throughput.0", "rate_tokens_per_s", "not measured", "expected a number above 0"},
        {"schemes.0.throughput.0", "prompt", NULL, "key 'prompt' is missing; a point of prefill has it"},
        {"schemes.0.throughput.1", "widen", "16", "a widened model has a speed and no divergence from the narrow one"},
        {"schemes.0.throughput.1", "depth", NULL, "key 'depth' is missing; a point of decode has it"},
        {"schemes.0.accuracy.kl_divergence", "mean", "inf", "'mean' is 'inf'; expected a number or a word"},
        {"schemes.0.accuracy.kl_divergence", "mean", "out of range", NULL},
        {"schemes.0.accuracy.tasks.0", "graded", "yes", "'graded' is 'yes'; expected true or false"},
        {"", "hash", NULL, "key 'hash' is missing"},
        {"", "later", "a key of a later version", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct qm_node *node = example();
        struct qm_node *parent = rows[i].parent[0] ? get(node, rows[i].parent) : node;
        if (!rows[i].value)
            qm_node_remove(parent, rows[i].key);
        else if (rows[i].value[0] >= '0' && rows[i].value[0] <= '9')
            qm_node_set_u64(parent, rows[i].key, strtoull(rows[i].value, NULL, 10));
        else
            qm_node_set_text(parent, rows[i].key, rows[i].value);
        enum qm_status status = qm_result_check(node);
        if ((status == QM_OK) != !rows[i].words)
            fail_msg("row %zu, %s %s: %s", i, rows[i].parent, rows[i].key, status ? qm_error_text() : "accepted");
        if (rows[i].words && (!strstr(qm_error_text(), rows[i].words) || strchr(qm_error_text(), '\n')))
            fail_msg("row %zu gave: %s", i, qm_error_text());
        qm_node_destroy(&node);
    }
}

// Speed under a status that forbids it.
static void test_no_speed_of_wrong(void **state)
{
    (void)state;
    struct qm_node *node = example();
    struct qm_node *wrong = get(node, "schemes.2");
    qm_node_set_node(wrong, "throughput", qm_node_copy(get(node, "schemes.0.throughput")));
    assert_int_equal(qm_result_check(node), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "a row that is not ok has no speed"));
    qm_node_remove(wrong, "throughput");
    assert_int_equal(qm_result_check(node), QM_OK);
    qm_node_set_node(wrong, "kernels", qm_node_copy(get(node, "schemes.0.kernels")));
    assert_int_equal(qm_result_check(node), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "a kernel has a speed"));
    qm_node_destroy(&node);

    node = example();
    qm_node_set_double(get(node, "schemes.1.accuracy.top1_agreement"), "low", 1.5);
    assert_int_equal(qm_result_check(node), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "'low' is above 'high'"));
    qm_node_destroy(&node);
}

static void test_write(void **state)
{
    (void)state;
    char directory[] = "/tmp/qmark-result-XXXXXX";
    char path[QM_PATH_BYTES];
    char command[QM_PATH_BYTES];
    bool is_intact = false;
    struct qm_node *read = NULL;
    struct qm_node *node = example();
    assert_non_null(mkdtemp(directory));
    qm_node_set_text(get(node, "device"), "driver", "another");
    assert_int_equal(qm_result_write(node, directory, path), QM_OK);
    assert_int_equal(qm_result_load(path, &read, &is_intact), QM_OK);
    assert_true(is_intact);
    assert_string_equal(qm_node_text_at(read, "device.driver", ""), "another");

    // One changed byte is seen.
    void *bytes = NULL;
    size_t count = 0;
    assert_int_equal(qm_file_read(path, 1 << 20, &bytes, &count), QM_OK);
    memcpy(strstr(bytes, "another"), "anothor", 7);
    assert_int_equal(qm_file_write(path, bytes, count), QM_OK);
    free(bytes);
    qm_node_destroy(&read);
    assert_int_equal(qm_result_load(path, &read, &is_intact), QM_OK);
    assert_false(is_intact);
    qm_node_destroy(&read);

    // What is too large or breaks a law is not written, and what stood there stays.
    char *large = malloc(QM_RESULT_BYTES_MAX + 1);
    memset(large, 'x', QM_RESULT_BYTES_MAX);
    large[QM_RESULT_BYTES_MAX] = '\0';
    qm_node_set_text(node, "note", large);
    free(large);
    assert_int_equal(qm_result_write(node, directory, path), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "run fewer schemes"));
    qm_node_remove(node, "note");
    qm_node_remove(get(node, "schemes.0"), "accuracy");
    assert_int_equal(qm_result_write(node, directory, path), QM_INVALID);
    assert_int_equal(qm_result_write(node, "/nonexistent/directory", path), QM_INVALID);
    qm_node_destroy(&node);
    node = example();
    assert_int_equal(qm_result_write(node, "/nonexistent/directory", path), QM_FAILED);
    assert_non_null(strstr(qm_error_text(), "/nonexistent/directory/qmark-"));
    qm_node_destroy(&node);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

static char have[1 << 18]; // the text of a document

static void read_document(const char *path)
{
    void *bytes = NULL;
    size_t count = 0;
    if (qm_file_read(path, sizeof(have) - 1, &bytes, &count) != QM_OK)
        fail_msg("%s", qm_error_text());
    memcpy(have, bytes, count + 1);
    free(bytes);
}

static void test_documents(void **state)
{
    (void)state;
    read_document(QM_SOURCE_DIR "/docs/result.schema.json");
    char *want = NULL;
    struct qm_node *schema = qm_result_schema();
    assert_int_equal(qm_node_write_json(schema, &want), QM_OK);
    if (strcmp(have, want) != 0) {
        // Left for whoever changed the table to put in its place.
        assert_int_equal(qm_file_write(QM_BINARY_DIR "/result.schema.json", want, strlen(want)), QM_OK);
        fail_msg("docs/result.schema.json is not what the table says; copy %s there",
                 QM_BINARY_DIR "/result.schema.json");
    }
    free(want);
    qm_node_destroy(&schema);
    read_document(QM_SOURCE_DIR "/docs/RESULT_FORMAT.md");
    for (size_t i = 0; qm_result_table_path(i); i++) {
        char row[512];
        snprintf(row, sizeof(row), "| `%s` |", qm_result_table_path(i));
        const char *at = strstr(have, row);
        if (!at || !strstr(at, qm_result_table_meaning(i)))
            fail_msg("docs/RESULT_FORMAT.md lacks %s", row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example), cmocka_unit_test(test_laws),      cmocka_unit_test(test_no_speed_of_wrong),
        cmocka_unit_test(test_write),   cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
