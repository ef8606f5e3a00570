// Results for tests of what is made of them, from one that is there:
//
//   qm_make_results hostile IN OUT    every text hostile, numbers as large as they may be (hostile_result.h)
//   qm_make_results many N IN OUT     with N further schemes, all wrong or failed
//   qm_make_results wrong NAME IN DIR of a device of that name, all of whose schemes were wrong; with a hash that holds
//   qm_make_results of NAME IN DIR    of a device of that name, with a hash that holds
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
    qm_node_set_text(qm_node_child(result, "device"), "name", argv[2]);
    if (strcmp(what, "wrong") == 0)
        hostile_all_wrong(result);
    if (qm_result_write(result, out, path) != QM_OK)
        return fail();
    puts(path);
    return 0;
}
