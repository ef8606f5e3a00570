#include "bench/samples_answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workload/examples.h"

enum {
    NAME_BYTES = QM_TENSOR_NAME_BYTES_MAX + 1
};

void qm_samples_answers_free(struct qm_samples_answers *answers)
{
    free(answers->is_choice);
    free(answers->judgement);
    free(answers->right_by_norm);
    free(answers->is_same);
    free(answers->generated);
    *answers = (struct qm_samples_answers){0};
}

static enum qm_status refuse(const struct qm_tensors *file, const char *name, const char *what)
{
    return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': %s", file->file, name, what);
}

// `count` values of one type into memory of their own.
static enum qm_status copy(const struct qm_tensors *file, const char *whose, const char *what, enum qm_dtype dtype,
                           uint32_t count, void **out)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof(name), "%.180s.%.40s", whose, what);
    const struct qm_tensor *tensor = qm_tensors_find(file, name);
    if (!tensor)
        return refuse(file, name, "missing; run again with this qmark");
    if (tensor->dtype != dtype || tensor->rank != 1 || tensor->shape[0] != count)
        return QM_FAIL(QM_INVALID, "%s: tensor '%.160s': expected %u of %s, one an example", file->file, name, count,
                       qm_dtype_name(dtype));
    *out = malloc(tensor->bytes + 1);
    if (!*out)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for samples", file->file);
    memcpy(*out, tensor->data, tensor->bytes);
    return QM_OK;
}

// Values from 0 to `most`.
static enum qm_status copy_bytes(const struct qm_tensors *file, const char *whose, const char *what, uint32_t count,
                                 uint8_t most, uint8_t **out)
{
    void *bytes = NULL;
    QM_TRY(copy(file, whose, what, QM_DTYPE_U8, count, &bytes));
    *out = bytes;
    for (uint32_t e = 0; e < count; ++e)
        if ((*out)[e] > most)
            return QM_FAIL(QM_INVALID, "%s: tensor '%.150s.%.40s': value %u is above %u", file->file, whose, what, e,
                           most);
    return QM_OK;
}

// Of examples with choices no token was generated, and of the others at least one.
static enum qm_status read_all(const struct qm_tensors *file, const char *whose, const uint8_t *is_choice,
                               struct qm_samples_answers *own)
{
    void *words = NULL;
    QM_TRY(copy_bytes(file, whose, "judgement", own->count, QM_ANSWER_UNJUDGED, &own->judgement));
    QM_TRY(copy_bytes(file, whose, "right_by_norm", own->count, (1u << QM_CHOICE_NORMS) - 1, &own->right_by_norm));
    QM_TRY(copy(file, whose, "generated", QM_DTYPE_U32, own->count, &words));
    own->generated = words;
    for (uint32_t e = 0; e < own->count; ++e) {
        bool is_right = own->judgement[e] == QM_ANSWER_RIGHT, is_first_right = own->right_by_norm[e] & 1;
        if (is_choice[e] ? is_right != is_first_right || own->judgement[e] == QM_ANSWER_UNJUDGED
                         : own->right_by_norm[e] != 0)
            return refuse(file, whose, "judgement and right_by_norm say different things");
        if ((own->generated[e] == 0) != (is_choice[e] == 1) || own->generated[e] > QM_EXAMPLE_TOKENS_MAX)
            return refuse(file, whose, "tokens were generated where there are choices, or none where there are none");
    }
    return QM_OK;
}

static struct qm_raw_answers raw_of(const struct qm_samples_answers *own)
{
    return (struct qm_raw_answers){.judgement = own->judgement,
                                   .right_by_norm = own->right_by_norm,
                                   .is_same = own->is_same,
                                   .generated = own->generated};
}

enum qm_status qm_samples_read_reference_answers(const struct qm_tensors *file, struct qm_samples_answers *own,
                                                 struct qm_raw *raw)
{
    const struct qm_tensor *tensor = qm_tensors_find(file, "answers.is_choice");
    if (!tensor)
        return QM_OK;
    if (tensor->rank != 1 || tensor->shape[0] == 0 || tensor->shape[0] > QM_EXAMPLES_MAX)
        return refuse(file, tensor->name, "expected one value an example");
    own->count = (uint32_t)tensor->shape[0];
    QM_TRY(copy_bytes(file, "answers", "is_choice", own->count, 1, &own->is_choice));
    QM_TRY(read_all(file, "answers.reference", own->is_choice, own));
    raw->answer_count = own->count;
    raw->answer_is_choice = own->is_choice;
    raw->reference_answers = raw_of(own);
    return QM_OK;
}

enum qm_status qm_samples_read_answers(const struct qm_tensors *file, const char *scheme,
                                       const struct qm_samples_answers *reference, struct qm_samples_answers *own,
                                       struct qm_raw_answers *raw)
{
    char whose[QM_SCHEME_NAME_BYTES + 16], name[NAME_BYTES];
    snprintf(whose, sizeof(whose), "%.*s.answers", QM_SCHEME_NAME_BYTES, scheme);
    snprintf(name, sizeof(name), "%.180s.judgement", whose);
    if (reference->count == 0 || !qm_tensors_find(file, name))
        return QM_OK;
    own->count = reference->count;
    QM_TRY(copy_bytes(file, whose, "is_same", own->count, 1, &own->is_same));
    QM_TRY(read_all(file, whose, reference->is_choice, own));
    for (uint32_t e = 0; e < own->count; ++e)
        if (own->is_same[e] && own->judgement[e] != reference->judgement[e])
            return refuse(file, whose, "one answer is judged in two ways");
    *raw = raw_of(own);
    return QM_OK;
}
