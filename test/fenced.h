// The insides of a document's fenced blocks of one kind, one after the other.
#ifndef QM_TEST_FENCED_H
#define QM_TEST_FENCED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sys/file.h"

static inline char *fenced_blocks(const char *path, const char *kind)
{
    char fence[32], *text = NULL;
    size_t bytes = 0, used = 0;
    snprintf(fence, sizeof(fence), "\n```%s\n", kind);
    assert_int_equal(qm_file_read(path, 1 << 20, (void **)&text, &bytes), QM_OK);
    char *blocks = malloc(bytes + 1);
    assert_non_null(blocks);
    for (char *at = strstr(text, fence); at; at = strstr(at, fence)) {
        at += strlen(fence);
        char *end = strstr(at, "\n```");
        assert_non_null(end);
        memcpy(blocks + used, at, (size_t)(end - at) + 1);
        used += (size_t)(end - at) + 1;
        at = end;
    }
    assert_true(used > 0);
    blocks[used] = '\0';
    free(text);
    return blocks;
}

#endif
