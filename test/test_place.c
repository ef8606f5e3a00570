// Where things lie, on machines that lack a part: no home, a cache that cannot be written, somebody else's /tmp.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remove_tree.h"
#include "sys/file.h"

static char work[] = "/tmp/qmark-place-XXXXXX";
static char blocked[QM_PATH_BYTES]; // a directory below a file: nobody can make it, not even root

static int set_up(void **state)
{
    (void)state;
    strcpy(strrchr(work, '-'), "-XXXXXX");
    if (!mkdtemp(work))
        return -1;
    snprintf(blocked, sizeof(blocked), "%s/file", work);
    int file = open(blocked, O_CREAT | O_WRONLY, 0600);
    strcat(blocked, "/below");
    unsetenv("QM_CACHE_DIR");
    unsetenv("QM_DATA_DIR");
    setenv("TMPDIR", work, 1);
    setenv("XDG_CACHE_HOME", blocked, 1);
    return file < 0 ? -1 : close(file);
}

static int tear_down(void **state)
{
    (void)state;
    return remove_tree(work);
}

static void expected_stand_in(char path[QM_PATH_BYTES])
{
    snprintf(path, QM_PATH_BYTES, "%s/qmark-cache-%ld", work, (long)geteuid());
}

static void a_cache_that_cannot_be_made_is_replaced(void **state)
{
    (void)state;
    char path[QM_PATH_BYTES], expected[QM_PATH_BYTES], again[QM_PATH_BYTES];
    expected_stand_in(expected);
    assert_int_equal(qm_cache_open(path), QM_OK);
    assert_string_equal(path, expected);
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0700);
    // Workers, and whoever asks later, are told the same.
    assert_int_equal(qm_cache_directory(again), QM_OK);
    assert_string_equal(again, expected);
}

static void what_the_user_asked_for_is_not_replaced(void **state)
{
    (void)state;
    char path[QM_PATH_BYTES];
    setenv("QM_CACHE_DIR", blocked, 1);
    assert_int_equal(qm_cache_open(path), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), work)); // names the part that is no directory
}

static void a_directory_that_others_prepared_is_not_used(void **state)
{
    (void)state;
    char path[QM_PATH_BYTES], stand_in[QM_PATH_BYTES], elsewhere[QM_PATH_BYTES];
    expected_stand_in(stand_in);
    snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", work);
    assert_int_equal(mkdir(elsewhere, 0700), 0);
    assert_int_equal(symlink(elsewhere, stand_in), 0);
    assert_int_equal(qm_cache_open(path), QM_INVALID);
    assert_non_null(strstr(qm_error_text(), "QM_CACHE_DIR"));
    assert_int_equal(unlink(stand_in), 0);
    assert_int_equal(mkdir(stand_in, 0700), 0);
    assert_int_equal(chmod(stand_in, 0777), 0);
    assert_int_equal(qm_cache_open(path), QM_INVALID);
}

static void a_cache_that_can_be_written_is_used(void **state)
{
    (void)state;
    char path[QM_PATH_BYTES], expected[QM_PATH_BYTES];
    setenv("XDG_CACHE_HOME", work, 1);
    snprintf(expected, sizeof(expected), "%s/qmark", work);
    assert_int_equal(qm_cache_open(path), QM_OK);
    assert_string_equal(path, expected);
    assert_true(qm_directory_exists(path));
    assert_null(getenv("QM_CACHE_DIR"));
}

static void data_are_found_from_a_build_folder(void **state)
{
    (void)state;
    char path[QM_PATH_BYTES], file[QM_PATH_BYTES];
    setenv("XDG_DATA_DIRS", work, 1);
    assert_int_equal(qm_data_directory(path), QM_OK);
    assert_int_equal(qm_data_path("models/qmark-3m/config.json", file), QM_OK);
    assert_int_equal(strncmp(file, path, strlen(path)), 0);
    assert_int_equal(qm_data_path("profiles/nothing.yaml", file), QM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_cache_that_cannot_be_made_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_user_asked_for_is_not_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_that_others_prepared_is_not_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cache_that_can_be_written_is_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(data_are_found_from_a_build_folder, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
