// A result of test/data, for tests; the caller destroys it.
#ifndef QM_TEST_STORED_RESULT_H
#define QM_TEST_STORED_RESULT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/status.h"
#include "record/node.h"
#include "record/result.h"
#include "sys/file.h"

static inline struct qm_node *stored_result(const char *file)
{
    char path[QM_PATH_BYTES];
    struct qm_node *result = NULL;
    bool is_intact = false;
    snprintf(path, sizeof(path), "%s/test/data/%s", QM_SOURCE_DIR, file);
    if (qm_result_load(path, &result, &is_intact) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_true(is_intact);
    return result;
}

#endif
