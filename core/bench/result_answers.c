#include "bench/result_answers.h"

#include <stdlib.h>

#include "bench/result_nodes.h"
#include "workload/disclosure.h"

static const struct qm_estimate not_measured = {.state = QM_ESTIMATE_NOT_MEASURED};

static double mean_tokens(const struct qm_raw *raw, const uint32_t *generated, uint32_t *examples)
{
    double sum = 0;
    *examples = 0;
    for (uint32_t e = 0; e < raw->answer_count; ++e) {
        if (raw->answer_is_choice[e])
            continue;
        sum += generated[e];
        ++*examples;
    }
    return *examples > 0 ? sum / *examples : 0;
}

static uint32_t count_right(const struct qm_raw *raw, const uint8_t *right_by_norm, int norm)
{
    uint32_t right = 0;
    for (uint32_t e = 0; e < raw->answer_count; ++e)
        right += raw->answer_is_choice[e] && (right_by_norm[e] >> norm & 1);
    return right;
}

static void add_choices(struct qm_node *answers, const struct qm_raw *raw, const struct qm_raw_answers *own,
                        uint32_t confidence_permille)
{
    uint32_t choices = 0;
    for (uint32_t e = 0; e < raw->answer_count; ++e)
        choices += raw->answer_is_choice[e];
    if (choices == 0)
        return;
    struct qm_node *list = qm_node_add_sequence(answers, "choices");
    for (int norm = 0; norm < QM_CHOICE_NORMS; ++norm) {
        struct qm_estimate share =
            qm_answer_share(count_right(raw, own->right_by_norm, norm), choices, confidence_permille);
        struct qm_estimate reference =
            qm_answer_share(count_right(raw, raw->reference_answers.right_by_norm, norm), choices, confidence_permille);
        struct qm_node *row = qm_node_append_mapping(list);
        qm_node_set_text(row, "norm", qm_choice_norm_name((enum qm_choice_norm)norm));
        qm_node_set_u64(row, "examples", choices);
        qm_result_set_estimate(row, "value", &share);
        qm_result_set_value(row, "reference", raw->lacks_reference ? &not_measured : &reference);
    }
}

// What is right is told by the examples themselves; what changed only by answers to put beside these, and those of a quantized
// file's own floats are none.
static void forget_reference(struct qm_node *answers, struct qm_paired_summary *summary)
{
    static const char *const changes[] = {"flips",       "right_to_wrong",     "wrong_to_right", "other_right",
                                          "other_wrong", "unjudged_reference", "p_value"};
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); ++i)
        qm_node_set_text(answers, changes[i], "not measured");
    summary->accuracy_reference = summary->ratio = summary->difference = not_measured;
}

void qm_result_add_answers(struct qm_node *row, const struct qm_raw *raw, size_t scheme)
{
    const struct qm_raw_answers *own = &raw->schemes[scheme].answers, *reference = &raw->reference_answers;
    struct qm_node *accuracy = qm_node_child(row, "accuracy");
    uint32_t confidence = raw->profile->bootstrap.confidence_permille, examples = 0;
    struct qm_paired_summary summary;
    if (!own->judgement || !qm_node_is_mapping(accuracy))
        return;
    struct qm_node *answers = qm_node_add_mapping(accuracy, "answers");
    struct qm_paired_answer *pairs = calloc((size_t)raw->answer_count + 1, sizeof(*pairs));
    for (uint32_t e = 0; pairs && e < raw->answer_count; ++e)
        pairs[e] = (struct qm_paired_answer){.scheme = (enum qm_judgement)own->judgement[e],
                                             .reference = (enum qm_judgement)reference->judgement[e],
                                             .is_same = own->is_same[e] == 1};
    bool is_made = pairs && qm_paired_summarize(pairs, raw->answer_count, confidence, &summary) == QM_OK;
    free(pairs);
    if (!is_made) { // without memory the tree counts as failed, as with any other node of it
        qm_node_set_node(answers, "examples", NULL);
        return;
    }
    qm_workload_disclose_changes(&summary, answers);
    if (raw->lacks_reference)
        forget_reference(answers, &summary);
    qm_result_add_estimate(answers, "accuracy", &summary.accuracy);
    qm_result_add_estimate(answers, "reference", &summary.accuracy_reference);
    qm_result_add_estimate(answers, "ratio", &summary.ratio);
    qm_result_add_estimate(answers, "difference", &summary.difference);
    double mean = mean_tokens(raw, own->generated, &examples);
    qm_result_set_number(answers, "tokens_mean", examples > 0, mean, "not measured");
    mean = mean_tokens(raw, reference->generated, &examples);
    qm_result_set_number(answers, "tokens_mean_reference", examples > 0 && !raw->lacks_reference, mean, "not measured");
    add_choices(answers, raw, own, confidence);
}
