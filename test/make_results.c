// Results for tests of what is made of them, from one that is there:
//
//   qm_make_results hostile IN OUT    every text hostile, numbers as large as they may be (hostile_result.h)
//   qm_make_results many N IN OUT     with N further schemes, all wrong or failed
//   qm_make_results wrong NAME IN DIR of a device of that name, all of whose schemes were wrong; with a hash that holds
//   qm_make_results roof API IN DIR   of an example card through that API, with ceilings and kernels under them; likewise
#include "test/hostile_result.h"

static int fail(void)
{
    fprintf(stderr, "qm_make_results: %s\n", qm_error_text());
    return 1;
}

static int write_as_it_is(const struct qm_node *result, const char *path)
{
    char *text = NULL;
    if (qm_node_write_yaml(result, &text) != QM_OK || qm_file_write(path, text, strlen(text)) != QM_OK)
        return fail();
    free(text);
    return 0;
}

static void add_kind(struct qm_node *kinds, const char *kind, double rate, const char *unit)
{
    struct qm_node *row = qm_node_append_mapping(kinds);
    qm_node_set_text(row, "kind", kind);
    qm_node_set_double(row, "rate", rate);
    qm_node_set_text(row, "unit", unit);
}

// What a small card might give, and each kernel's place under it.
static void add_roof(struct qm_node *result)
{
    const struct qm_node *schemes = qm_node_child(result, "schemes");
    struct qm_node *ceilings = qm_node_add_mapping(result, "ceilings");
    qm_node_set_double(ceilings, "seconds", 4.2);
    struct qm_node *kinds = qm_node_add_sequence(ceilings, "kinds");
    add_kind(kinds, "fp32", 412.5, "GFLOP/s");
    add_kind(kinds, "fp16", 540, "GFLOP/s");
    add_kind(kinds, "dot8", 655, "GOP/s");
    add_kind(kinds, "read", 41.5, "GB/s");
    add_kind(kinds, "write", 22.25, "GB/s");
    struct qm_node *sizes = qm_node_add_sequence(ceilings, "bandwidth");
    for (int i = 0; i < 6; i++) {
        struct qm_node *row = qm_node_append_mapping(sizes);
        qm_node_set_u64(row, "bytes", (uint64_t)1 << (16 + 2 * i));
        qm_node_set_double(row, "read", i < 3 ? 160 - 20 * i : 41.5);
    }
    for (size_t i = 0; i < qm_node_count(schemes); i++) {
        const struct qm_node *rows = qm_node_child(qm_node_at(schemes, i), "kernels");
        for (size_t k = 0; k < qm_node_count(rows); k++) {
            struct qm_node *row = qm_node_at(rows, k);
            double rate = 0;
            if (!qm_node_double_at(row, "rate", &rate))
                continue;
            bool is_product = strncmp(qm_node_text_at(row, "name", ""), "matmul", 6) == 0;
            qm_node_set_double(row, "intensity", is_product ? 96 + (double)k : 1.5 + 0.25 * (double)k);
            qm_node_set_text(row, "ceiling", is_product ? "fp32" : "read");
            qm_node_set_double(row, "share", rate / (is_product ? 412.5 : 41.5 * (1.5 + 0.25 * (double)k)));
        }
    }
}

int main(int argc, char **argv)
{
    struct qm_node *result = NULL;
    char path[QM_PATH_BYTES];
    if (argc < 4)
        return 2;
    const char *what = argv[1], *in = argv[argc - 2], *out = argv[argc - 1];
    if (qm_result_load(in, &result, NULL) != QM_OK)
        return fail();
    if (strcmp(what, "hostile") == 0) {
        hostile_make(result);
        return write_as_it_is(result, out);
    }
    if (strcmp(what, "many") == 0) {
        hostile_add_schemes(result, strtoul(argv[2], NULL, 10));
        return write_as_it_is(result, out);
    }
    if (strcmp(what, "wrong") == 0) {
        qm_node_set_text(qm_node_child(result, "device"), "name", argv[2]);
        hostile_all_wrong(result);
    } else {
        qm_node_set_text(qm_node_child(result, "device"), "name", "Example card");
        qm_node_set_text(qm_node_child(result, "device"), "api", argv[2]);
        add_roof(result);
    }
    if (qm_result_write(result, out, path) != QM_OK)
        return fail();
    puts(path);
    return 0;
}
