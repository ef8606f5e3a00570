// A result and its samples, edited by somebody who makes the hashes anew: does verify see it? For tests.
#ifndef QM_TEST_EDITED_RESULT_H
#define QM_TEST_EDITED_RESULT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "bench/verify.h"
#include "record/node.h"
#include "record/result.h"

// `bytes` are the samples file's.
static inline bool is_caught(struct qm_verifier *verifier, struct qm_node *result, const char *bytes, size_t count)
{
    struct qm_verification v;
    char hash[QM_HASH_TEXT_BYTES];
    void *copy = malloc(count);
    assert_non_null(copy);
    memcpy(copy, bytes, count);
    qm_hash_bytes(bytes, count, hash); // a liar makes the hashes anew
    qm_node_set_text(qm_node_child(result, "samples"), "sha256", hash);
    assert_int_equal(qm_node_hash(result, "hash", hash), QM_OK);
    qm_node_set_text(result, "hash", hash);
    assert_int_equal(qm_verify(verifier, result, &copy, count, &v), QM_OK);
    bool caught = v.difference_count > 0;
    qm_verification_free(&v);
    return caught;
}

// Every number below `node`: how many there were.
static inline size_t edit_numbers(struct qm_verifier *verifier, struct qm_node *result, struct qm_node *node,
                                  const char *bytes, size_t count)
{
    size_t edits = 0;
    for (size_t i = 0; i < qm_node_count(node); ++i) {
        struct qm_node *child = qm_node_at(node, i);
        double value = 0;
        if (!qm_node_is_number(child)) {
            edits += edit_numbers(verifier, result, child, bytes, count);
            continue;
        }
        char *kept = strdup(qm_node_key(child)), path[256];
        assert_int_equal(qm_node_read_double(child, &value), QM_OK);
        qm_node_path(child, path, sizeof(path));
        qm_node_set_double(node, kept, value == (double)(int)value ? value + 1 : value * 1.001);
        if (!is_caught(verifier, result, bytes, count))
            fail_msg("%s was changed, and verify does not see it", path);
        qm_node_set_double(node, kept, value);
        free(kept);
        ++edits;
    }
    return edits;
}

#endif
