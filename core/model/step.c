// The step buffer of an engine: where each sequence of a pass begins, checked and written before a run.
#include <stdlib.h>

#include "model/engine_internal.h"

// A run from `start`; `s` is the number of the sequence, for the message.
static enum qm_status check_reach(const struct qm_engine *e, const struct qm_pass_params *shape, uint32_t s,
                                  struct qm_pass_start start, uint32_t sequences, uint32_t repeats)
{
    uint64_t last_position = start.position + (uint64_t)shape->position_increment * (repeats - 1) + shape->tokens;
    uint64_t last_sequence = start.sequence + (uint64_t)shape->sequence_increment * (repeats - 1) + sequences;
    if (last_position > e->config.context || last_sequence > e->params.sequences)
        return QM_FAIL(
            QM_INVALID,
            "%u repetitions from position %u, sequence %u (number %u of a pass) leave the context of %u or the "
            "%u sequences",
            repeats, start.position, start.sequence, s, e->config.context, e->params.sequences);
    return QM_OK;
}

static enum qm_status check_repeats(const struct qm_engine *e, uint32_t repeats)
{
    if (repeats < 1 || repeats > e->params.slots)
        return QM_FAIL(QM_INVALID, "%u repetitions of a pass; an engine of %u slots runs 1 to %u", repeats,
                       e->params.slots, e->params.slots);
    return QM_OK;
}

// Each within reach, and no two in one cache sequence.
static enum qm_status check_each(const struct qm_engine *e, const struct qm_pass_params *shape,
                                 const struct qm_pass_start *starts, uint32_t repeats)
{
    enum qm_status status = QM_OK;
    unsigned char *is_taken = calloc(e->params.sequences, 1);
    if (!is_taken)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory to tell %u sequences apart", e->params.sequences);
    for (uint32_t s = 0; s < shape->batch; ++s) {
        QM_GUARD(check_reach(e, shape, s, starts[s], 1, repeats));
        if (is_taken[starts[s].sequence])
            QM_GUARD(
                QM_FAIL(QM_INVALID,
                        "number %u of a pass is in sequence %u of the cache, where another one of the pass is; each "
                        "needs a sequence of its own",
                        s, starts[s].sequence));
        is_taken[starts[s].sequence] = 1;
    }
done:
    free(is_taken);
    return status;
}

// Writes the head, and as many pairs as this run has or one before it has left.
static enum qm_status write_words(struct qm_engine *e, uint32_t step[QM_STEP_WORDS], uint32_t pairs)
{
    uint32_t written = pairs > e->step_pairs ? pairs : e->step_pairs;
    e->step_pairs = written; // until it is known that they are zero
    QM_TRY(e->params.device->fns->buffer_write(e->params.device, e->step, 0, step,
                                               4 * (QM_STEP_HEAD_WORDS + 2 * (uint64_t)written)));
    e->step_pairs = pairs;
    return QM_OK;
}

enum qm_status qm_step_write(struct qm_engine *e, const struct qm_pass_params *shape, struct qm_pass_start start,
                             uint32_t repeats)
{
    QM_TRY(check_repeats(e, repeats));
    QM_TRY(check_reach(e, shape, 0, start, shape->batch, repeats));
    uint32_t step[QM_STEP_WORDS] = {start.position, start.sequence};
    return write_words(e, step, 0);
}

enum qm_status qm_step_write_each(struct qm_engine *e, const struct qm_pass_params *shape,
                                  const struct qm_pass_start *starts, uint32_t repeats)
{
    if (shape->batch > QM_PASS_SEQUENCES_MAX)
        return QM_FAIL(QM_UNSUPPORTED,
                       "a pass of %u sequences, each at a position of its own; at most %d are supported", shape->batch,
                       QM_PASS_SEQUENCES_MAX);
    QM_TRY(check_repeats(e, repeats));
    QM_TRY(check_each(e, shape, starts, repeats));
    uint32_t step[QM_STEP_WORDS] = {starts[0].position, starts[0].sequence};
    uint32_t pairs = 0; // up to the last one that is not zero
    for (uint32_t s = 0; s < shape->batch; ++s) {
        uint32_t *offsets = step + QM_STEP_HEAD_WORDS + 2 * (size_t)s;
        offsets[0] = starts[s].sequence - starts[0].sequence - s; // modulo 2^32, as the kernels add them
        offsets[1] = starts[s].position - starts[0].position;
        pairs = offsets[0] || offsets[1] ? s + 1 : pairs;
    }
    return write_words(e, step, pairs);
}
