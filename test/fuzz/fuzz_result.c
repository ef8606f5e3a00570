// libFuzzer target: any bytes are read as a result, checked and verified without samples. What is found is printed plainly,
// and a result that passes still does when it is written and read again.
//
//   tools/fuzz.sh 60 result
#include "bench/verify.h"
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

static void require_plain(const char *text)
{
    for (; *text; ++text)
        require((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void verify(const struct qm_verifier *verifier, const struct qm_node *result, struct qm_verification *out)
{
    if (qm_verify(verifier, result, NULL, 0, out) != QM_OK)
        require(qm_error_text()[0] != '\0' && out->difference_count == 0 && out->differences == NULL);
    for (size_t i = 0; i < out->difference_count; ++i) {
        require_plain(out->differences[i].path);
        require_plain(out->differences[i].is);
        require_plain(out->differences[i].should);
        require_plain(out->differences[i].why);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct qm_verifier *verifier;
    struct qm_node *result = NULL, *again = NULL;
    struct qm_verification first, second;
    uint64_t windows = 0, more = 0;
    char *text = NULL;
    if (!verifier)
        require(qm_verifier_open(&verifier) == QM_OK);
    if (qm_node_parse(bytes, count, "f", &qm_node_result_limits, &result) != QM_OK)
        return 0;
    // Large sets are right and slow.
    bool is_small = qm_node_u64_at(result, "profile.evaluation.windows", &windows) && windows <= 16 &&
                    qm_node_u64_at(result, "profile.calibration.windows", &more) && more <= 16;
    if (is_small && qm_result_check(result) == QM_OK) {
        verify(verifier, result, &first);
        require(qm_node_write_yaml(result, &text) == QM_OK);
        if (qm_node_parse(text, strlen(text), "again", &qm_node_result_limits, &again) == QM_OK) {
            verify(verifier, again, &second);
            require(second.difference_count == first.difference_count && second.compared == first.compared);
            qm_verification_free(&second);
        }
        qm_verification_free(&first);
    }
    free(text);
    qm_node_destroy(&again);
    qm_node_destroy(&result);
    return 0;
}
