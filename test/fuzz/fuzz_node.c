// Fuzz target: any bytes are read as a tree, and what was read is written, read again and means the same.
//
// Built with -DQM_FUZZ=ON and clang: build/fuzz_node -max_len=4096 test/fuzz/corpus_node
#include "record/node.h"
#include "record/result.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct qm_node *node = NULL;
    char before[QM_HASH_TEXT_BYTES];
    char after[QM_HASH_TEXT_BYTES];
    if (qm_node_parse(bytes, count, "f", &qm_node_profile_limits, &node) != QM_OK) {
        require(node == NULL && strncmp(qm_error_text(), "f:", 2) == 0 && !strchr(qm_error_text(), '\n'));
        return 0;
    }
    // Aliases are written out, so that what is read again may be as large as the limits allow and the aliases more.
    struct qm_node_limits limits = qm_node_profile_limits;
    limits.bytes *= 64;
    require(qm_node_hash(node, NULL, before) == QM_OK);
    enum qm_status (*const writers[])(const struct qm_node *, char **) = {qm_node_write_yaml, qm_node_write_json};
    for (size_t i = 0; i < 2; i++) {
        char *text = NULL;
        struct qm_node *again = NULL;
        require(writers[i](node, &text) == QM_OK);
        require(qm_node_parse(text, strlen(text), "again", &limits, &again) == QM_OK);
        require(qm_node_hash(again, NULL, after) == QM_OK && strcmp(before, after) == 0);
        qm_node_destroy(&again);
        free(text);
    }
    // Whatever the checker says, it says it without harm.
    require(qm_result_check(node) == QM_OK || qm_error_text()[0]);
    qm_node_destroy(&node);
    return 0;
}
