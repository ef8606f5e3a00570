#include "text/unigram.h"

#include "text/utf8.h"
#include "text/vocabulary.h"

#include <stdlib.h>

static enum qm_status reserve(struct qm_unigram *unigram, size_t count)
{
    if (unigram->end_capacity >= count + 1)
        return QM_OK;
    size_t capacity = count + count / 2 + 1024;
    struct qm_unigram_end *ends = malloc(capacity * sizeof(*ends));
    if (!ends)
        return QM_FAIL(QM_OUT_OF_MEMORY,
                       "no memory to cut a text of %zu bytes; close other programs or use shorter texts", count);
    free(unigram->ends);
    unigram->ends = ends;
    unigram->end_capacity = capacity;
    return QM_OK;
}

#define NO_WAY UINT32_MAX

// Keeps a way to `end` that is better than what there is. It is compared as it was summed, and rounded where it is kept.
static void offer(const struct qm_unigram *unigram, size_t end, double score, size_t begin, uint32_t id)
{
    struct qm_unigram_end *kept = &unigram->ends[end];
    if (kept->begin != NO_WAY && !(score > kept->score))
        return;
    *kept = (struct qm_unigram_end){unigram->is_single ? (double)(float)score : score, (uint32_t)begin, id, 0};
}

static double score_of(const struct qm_unigram *unigram, uint32_t id, size_t bytes)
{
    if (!unigram->is_user_defined || !unigram->is_user_defined[id])
        return unigram->scores[id];
    return (double)((float)bytes * (float)unigram->highest) - 0.1;
}

enum qm_status qm_unigram_cut(struct qm_unigram *unigram, const char *text, size_t count, struct qm_unigram_end **ends)
{
    const double unknown = unigram->is_single ? (double)((float)unigram->lowest - (float)QM_UNIGRAM_PENALTY)
                                              : unigram->lowest - QM_UNIGRAM_PENALTY;
    QM_TRY(reserve(unigram, count));
    for (size_t i = 0; i <= count; i++)
        unigram->ends[i].begin = NO_WAY;
    unigram->ends[0].score = 0;
    for (size_t begin = 0; begin < count;) {
        const double here = unigram->ends[begin].score;
        size_t length = qm_utf8_length((unsigned char)text[begin]);
        bool has_single = false;
        uint32_t node = 0;
        length = length < count - begin ? length : count - begin;
        for (size_t i = begin; i < count; i++) {
            node = qm_prefixes_step(&unigram->texts, node, (unsigned char)text[i]);
            if (node == 0)
                break;
            uint32_t id = unigram->texts.values[node];
            if (id == QM_TOKEN_NONE)
                continue;
            size_t bytes = i + 1 - begin;
            offer(unigram, i + 1, score_of(unigram, id, bytes) + here, begin, id);
            has_single = has_single || bytes == length;
        }
        if (!has_single) {
            double score = unigram->is_single ? (double)((float)unknown + (float)here) : unknown + here;
            offer(unigram, begin + length, score, begin, unigram->unknown_id);
        }
        begin += length;
    }
    for (size_t end = count; end > 0; end = unigram->ends[end].begin)
        unigram->ends[unigram->ends[end].begin].next = (uint32_t)end;
    *ends = unigram->ends;
    return QM_OK;
}

void qm_unigram_free(struct qm_unigram *unigram)
{
    qm_prefixes_free(&unigram->texts);
    free(unigram->scores);
    free(unigram->is_user_defined);
    free(unigram->ends);
    *unigram = (struct qm_unigram){0};
}
