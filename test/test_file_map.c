// Files as memory: what cannot be mapped, how many, and pages that are given back. What happens to files that change stands in
// test_weights.c.
#include "sys/file_map.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/qmark-test-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return unlink("empty") == 0 && unlink("five") == 0 && chdir("/") == 0 ? rmdir(directory) : -1;
}

static void write_text(const char *name, const char *text)
{
    FILE *stream = fopen(name, "wb");
    assert_non_null(stream);
    assert_int_equal(fputs(text, stream) >= 0, 1);
    assert_int_equal(fclose(stream), 0);
}

static void test_maps(void **state)
{
    (void)state;
    struct qm_file_map map;
    assert_int_equal(qm_file_map("nowhere", 100, &map), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "check the path"));
    assert_int_equal(qm_file_map("/dev/zero", 100, &map), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "a device or a pipe"));
    write_text("empty", "");
    assert_int_equal(qm_file_map("empty", 100, &map), QM_OK);
    assert_null(map.bytes);
    assert_int_equal(qm_file_map_check(&map, "empty"), QM_OK);
    qm_file_map_drop(&map, "x", 1);
    qm_file_unmap(&map);
    write_text("five", "12345");
    assert_int_equal(qm_file_map("five", 4, &map), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "has 5 bytes; at most 4 are read"));
    assert_int_equal(qm_file_map("five", 5, &map), QM_OK);
    qm_file_map_drop(&map, map.bytes, 5);
    qm_file_map_drop(&map, (const char *)map.bytes + 2, SIZE_MAX / 4);
    assert_memory_equal(map.bytes, "12345", 5);
    qm_file_unmap(&map);
    qm_file_unmap(&map);
    // As many as there can be, one more, and again as many.
    struct qm_file_map *maps = calloc(QM_FILE_MAPS_MAX, sizeof(*maps));
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < QM_FILE_MAPS_MAX; i++)
            assert_int_equal(qm_file_map("five", 5, &maps[i]), QM_OK);
        assert_int_equal(qm_file_map("five", 5, &map), QM_FAILED);
        for (int i = 0; i < QM_FILE_MAPS_MAX; i++)
            qm_file_unmap(&maps[i]);
    }
    free(maps);
}

// A SIGBUS that is not about a mapping ends the program as it would without us.
static void test_other_signals(void **state)
{
    (void)state;
    struct qm_file_map map;
    int status;
    write_text("five", "12345");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGBUS, SIG_DFL); // the test's own would take it for a failure
        if (qm_file_map("five", 5, &map) == QM_OK)
            raise(SIGBUS);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_maps), cmocka_unit_test(test_other_signals)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
