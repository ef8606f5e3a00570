// Sustained runs in claims: what they are worth, and what is said of them.
#include "cli/verbs.h"
#include "record/audit.h"
#include "record/claim.h"
#include "record/result.h"
#include "report/statement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/print_claim.h"
#include "test/stored_result.h"

// What a sustained run is worth in a claim: steady over 120 s it is disclosed, and anything less is told and falls short.
static void test_sustained_is_claimed(void **state)
{
    (void)state;
    static const struct {
        const char *window_s, *steady, *rate;
        enum qm_disclosure_level level;
        const char *words; // of the paragraph
        const char *limit;
    } rows[] = {
        {"120", "yes", "1982.5", QM_DISCLOSED,
         "Measured for 120 s at a time: the rate was steady, at 0.98 times its burst; "
         "throttling: none seen. ",
         ""},
        {"119", "too short", "1982.5", QM_PARTLY,
         "Measured for 119 s at a time: too short to show a steady rate, at 0.98 ",
         "for its window of 119 s only: that the rate holds is not proven"},
        {"600", "no", "1982.5", QM_PARTLY,
         "Measured for 600 s at a time: the rate was not steady, at 0.98 times its burst",
         "for its window of 600 s only: that the rate holds is not proven"},
        {"150", "undecidable", "1982.5", QM_PARTLY,
         "Measured for 150 s at a time: whether the rate was steady cannot be told from windows that scatter by 0.8 %",
         "for its window of 150 s only: that the rate holds is not proven"},
        // A run that was too short for any rate tells nothing: the longest window of timed passes is what there is.
        {"0.5", "too short", NULL, QM_PARTLY, "s at a time: too short to show a steady rate. ", "not proven"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct qm_node *result = stored_result("result-sustained.yaml"), *claim = NULL;
        struct qm_node *sustained = qm_node_get(result, "schemes.0.sustained");
        struct qm_audit audit;
        struct qm_text text = {0};
        qm_node_set_double(sustained, "window_s", strtod(rows[i].window_s, NULL));
        qm_node_set_text(sustained, "steady", rows[i].steady);
        if (!rows[i].rate)
            qm_node_set_text(sustained, "rate", "not measured");
        assert_int_equal(qm_result_check(result), QM_OK);
        assert_int_equal(qm_claim_from_result(result, "f16", &claim), QM_OK);
        if (qm_claim_check(claim) != QM_OK)
            fail_msg("%s", qm_error_text());
        qm_audit_claim(claim, &audit);
        assert_int_equal(audit.verdict, QM_CLAIM_DEPLOYMENT_GRADE);
        assert_int_equal(audit.rows[QM_COMPONENT_SUSTAINED].level, rows[i].level);
        if (*rows[i].limit ? !strstr(audit.limit, rows[i].limit) : *audit.limit)
            fail_msg("%s, %s s: %s", rows[i].steady, rows[i].window_s, audit.limit);
        qm_statement_paragraph(&text, claim, &audit);
        if (!strstr(qm_text_bytes(&text), rows[i].words))
            fail_msg("%s lacks %s", qm_text_bytes(&text), rows[i].words);
        qm_text_free(&text);
        if (rows[i].rate) { // with the result's own keys
            assert_string_equal(qm_node_text_at(claim, "sustained.rate", ""), rows[i].rate);
            assert_string_equal(qm_node_text_at(claim, "sustained.unit", ""), "tokens/s");
            assert_string_equal(qm_node_text_at(claim, "sustained.burst_rate", ""), "2022.96");
            assert_non_null(qm_node_get(claim, "sustained.latency_ms.p99"));
        } else {
            assert_string_equal(qm_node_text_at(claim, "sustained.burst_rate", ""), "not measured");
        }
        qm_node_set_text(claim, "accuracy",
                         "not measured"); // the speeds beside it say so, those of bursts and windows too
        for (int how = 0; how < 3; how++) {
            char *printed = print(claim, how);
            assert_no_half_claim(claim, printed);
            assert_true(!rows[i].rate || strstr(printed, "burst (accuracy: not measured): rate"));
            assert_true(!rows[i].rate || strstr(printed, "windows (accuracy: not measured): count"));
            free(printed);
        }
        qm_node_destroy(&claim);
        qm_node_destroy(&result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sustained_is_claimed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
