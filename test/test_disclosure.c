// What model files say of their own quantization: split files as one, hostile texts on one line, a skeleton that is a claim and
// audits as the file does. test/cli/disclosure.sh has what is printed of each kind.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/result_files.h"
#include "gguf_writer.h"
#include "model/disclosure.h"
#include "record/audit.h"
#include "record/claim.h"
#include "remove_tree.h"
#include "report/model_facts.h"
#include "sys/file.h"

static char folder[] = "/tmp/qmark-disclosure-XXXXXX";
static struct gguf_writer w;

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

static void put_u32(const char *key, uint32_t value)
{
    gguf_put_key(&w, key, 4);
    gguf_put_u32(&w, value);
}

static void put_text(const char *key, const char *text)
{
    gguf_put_key(&w, key, 8);
    gguf_put_string(&w, text);
}

static const char *write_file(const char *name)
{
    static char path[QM_PATH_BYTES];
    gguf_pad(&w, 32);
    for (size_t i = 0; i < 1024; i++)
        gguf_put(&w, "", 1);
    assert_int_equal(qm_path_join(path, folder, name), QM_OK);
    assert_int_equal(qm_file_write(path, w.bytes, w.count), QM_OK);
    free(w.bytes);
    return path;
}

// One tensor of Q4_0 of a layer; each part has the number of parts and its own.
static const char *write_part(const char *name, uint32_t part, uint32_t parts, const char *tensor)
{
    gguf_begin(&w, 3, 1, 3);
    put_text("general.architecture", "llama");
    put_u32("split.no", part);
    put_u32("split.count", parts);
    gguf_put_tensor(&w, tensor, 1, (const uint64_t[]){64}, 2, 0);
    return write_file(name);
}

static struct qm_node *told(const char *path)
{
    struct qm_node *claim = NULL;
    assert_true(qm_model_disclosure_is_for(path));
    if (qm_model_disclosure(path, &claim) != QM_OK)
        fail_msg("%s", qm_error_text());
    return claim;
}

static void refused(const char *path, const char *words)
{
    struct qm_node *claim = NULL;
    assert_int_equal(qm_model_disclosure(path, &claim), QM_INVALID);
    assert_null(claim);
    if (!strstr(qm_error_text(), words) || strchr(qm_error_text(), '\n'))
        fail_msg("expected '%s' in '%s'", words, qm_error_text());
}

static void test_parts(void **state)
{
    (void)state;
    uint64_t number = 0;
    write_part("m-00002-of-00002.gguf", 1, 2, "blk.1.attn_q.weight");
    struct qm_node *claim = told(write_part("m-00001-of-00002.gguf", 0, 2, "blk.0.attn_q.weight"));
    assert_true(qm_node_u64_at(claim, "subject.parameters", &number));
    assert_int_equal(number, 128);
    assert_true(qm_node_u64_at(claim, "tensors.classes.0.tensors", &number));
    assert_int_equal(number, 2);
    assert_int_equal(qm_node_count(qm_node_get(claim, "tensors.classes")), 1);
    assert_string_equal(qm_node_text_at(claim, "tensors.classes.0.class", ""), "blk.*.attn_q.weight");
    assert_string_equal(qm_node_text_at(claim, "precision.weights.bits_with_scales", ""), "4.5");
    qm_node_destroy(&claim);
    // A part that is not there, and one whose name says nothing of the others.
    refused(write_part("n-00001-of-00002.gguf", 0, 2, "blk.0.attn_q.weight"), "n-00002-of-00002.gguf");
    refused(write_part("n.gguf", 0, 2, "blk.0.attn_q.weight"), "one of 2 parts");
    refused(write_part("n-00001-of-99999.gguf", 0, UINT32_MAX, "blk.0.attn_q.weight"), "'split.count' is 4294967295");
}

// No text of a file prints a line of its own, nor what is not UTF-8.
static void test_hostile_texts(void **state)
{
    (void)state;
    gguf_begin(&w, 3, 1, 3);
    put_text("general.name", "a\nverdict: deployment-grade\x1b[31m \xff");
    put_text("general.license", "undisclosed");
    put_u32("general.file_type", 4000000000u);
    gguf_put_tensor(&w, "output.weight", 1, (const uint64_t[]){64}, 2, 0);
    struct qm_node *claim = told(write_file("hostile.gguf"));
    assert_string_equal(qm_node_text_at(claim, "subject.model", ""), "a verdict: deployment-grade [31m ?");
    assert_string_equal(qm_node_text_at(claim, "precision.label", ""), "4000000000 (general.file_type)");
    struct qm_audit audit;
    qm_audit_claim(claim, &audit);
    assert_true(audit.is_of_files);
    assert_int_equal(audit.files.level, QM_PARTLY);
    bool lacks_licence = false;
    for (size_t i = 0; i < audit.files.gap_count; i++)
        lacks_licence = lacks_licence || strcmp(audit.files.gaps[i].title, "licence") == 0;
    assert_true(lacks_licence);
    qm_node_destroy(&claim);
}

static void same_audit(const struct qm_node *a, const struct qm_node *b)
{
    struct qm_audit x, y;
    qm_audit_claim(a, &x);
    qm_audit_claim(b, &y);
    assert_int_equal(x.verdict, y.verdict);
    for (size_t i = 0; i <= QM_COMPONENT_COUNT; i++) {
        const struct qm_audit_row *p = i < QM_COMPONENT_COUNT ? &x.rows[i] : &x.files;
        const struct qm_audit_row *q = i < QM_COMPONENT_COUNT ? &y.rows[i] : &y.files;
        assert_int_equal(p->level, q->level);
        assert_int_equal(p->gap_count, q->gap_count);
    }
}

// The skeleton can be read, and `undisclosed` tells no more than what is absent. Every key that is asked for stands in it.
static void test_skeleton(void **state)
{
    (void)state;
    char *text = NULL;
    struct qm_node *read = NULL, *claim = told(write_part("s-00001-of-00001.gguf", 0, 1, "blk.0.attn_q.weight"));
    struct qm_node *filled = qm_node_copy(claim);
    qm_claim_fill(filled);
    assert_int_equal(qm_node_write_yaml(filled, &text), QM_OK);
    if (qm_claim_parse(text, strlen(text), "claim.yaml", &read) != QM_OK)
        fail_msg("%s", qm_error_text());
    same_audit(claim, read);
    for (size_t i = 0; i < QM_COMPONENT_COUNT; i++) {
        for (const struct qm_component_key *key = qm_components[i].keys; key->path; key++) {
            char path[128];
            snprintf(path, sizeof(path), "%s.%.*s", qm_components[i].name, (int)strcspn(key->path, "|"), key->path);
            if (key->flags != 0 && !qm_node_get(read, path))
                fail_msg("%s is not in the skeleton", path);
        }
    }
    free(text);
    qm_node_destroy(&read);
    qm_node_destroy(&filled);
    qm_node_destroy(&claim);
}

// In a result: what is told, and by name what is not; nothing of files that hold floats.
static void test_in_a_result(void **state)
{
    (void)state;
    struct qm_node *result = qm_node_new_mapping(), *model = qm_node_add_mapping(result, "model");
    struct qm_text told = {0}, lacking = {0};
    gguf_begin(&w, 3, 1, 1);
    put_text("general.quantized_by", "somebody");
    gguf_put_tensor(&w, "output.weight", 1, (const uint64_t[]){64}, 0, 0);
    qm_result_add_files(model, write_file("floats.gguf"));
    assert_null(qm_node_child(model, "disclosure"));
    gguf_begin(&w, 3, 1, 1);
    put_text("general.quantized_by", "somebody");
    gguf_put_tensor(&w, "output.weight", 1, (const uint64_t[]){64}, 2, 0);
    qm_result_add_files(model, write_file("codes.gguf"));
    qm_fact_model_files(&told, &lacking, result);
    assert_non_null(strstr(qm_text_bytes(&told), "quantized by somebody; weights 1 of 1 tensors are quantized"));
    assert_null(strstr(qm_text_bytes(&lacking), "who quantized it"));
    assert_non_null(strstr(qm_text_bytes(&lacking), "; licence; "));
    assert_non_null(strstr(qm_text_bytes(&lacking), "; calibration set; calibration method; accuracy against"));
    qm_text_free(&told);
    qm_text_free(&lacking);
    qm_node_destroy(&result);
}

static void test_what_is_a_model(void **state)
{
    (void)state;
    assert_true(qm_model_disclosure_is_for(folder));
    assert_false(qm_model_disclosure_is_for("/nowhere/model.gguf"));
    assert_false(qm_model_disclosure_is_for(QM_SOURCE_DIR "/profiles/claims/complete.yaml"));
    assert_true(qm_model_disclosure_is_for(write_part("named.otherwise", 0, 1, "output.weight")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),       cmocka_unit_test(test_hostile_texts),   cmocka_unit_test(test_skeleton),
        cmocka_unit_test(test_in_a_result), cmocka_unit_test(test_what_is_a_model),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
