// A directory that looks like /sys and /proc of some machine, for tests: written from tables, removed at the end.
#ifndef QM_TEST_MACHINE_TREE_H
#define QM_TEST_MACHINE_TREE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/remove_tree.h"

struct tree_file {
    const char *path, *text;
};

static char tree_root[64];

static inline int tree_setup(void **state)
{
    (void)state;
    snprintf(tree_root, sizeof(tree_root), "/tmp/qmark-tree-XXXXXX");
    return mkdtemp(tree_root) ? 0 : -1;
}

static inline int tree_teardown(void **state)
{
    (void)state;
    return remove_tree(tree_root);
}

// The full path, with its directories made.
static inline const char *tree_path(const char *path)
{
    static char full[512];
    assert_true((size_t)snprintf(full, sizeof(full), "%s%s", tree_root, path) < sizeof(full));
    for (char *at = full + strlen(tree_root) + 1; (at = strchr(at, '/')); *at++ = '/') {
        *at = '\0';
        mkdir(full, 0777);
    }
    return full;
}

static inline void tree_put_bytes(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(tree_path(path), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static inline void tree_put(const char *path, const char *text)
{
    tree_put_bytes(path, text, strlen(text));
}

static inline void tree_put_all(const char *folder, const struct tree_file *files, size_t count)
{
    char path[256];
    for (size_t i = 0; i < count; ++i) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i].path);
        tree_put(path, files[i].text);
    }
}
#define TREE_PUT(folder, files) tree_put_all((folder), (files), sizeof(files) / sizeof((files)[0]))

static inline void tree_link(const char *path, const char *target)
{
    assert_int_equal(symlink(target, tree_path(path)), 0);
}

static inline void tree_drop(const char *path)
{
    assert_int_equal(unlink(tree_path(path)), 0);
}

#endif
