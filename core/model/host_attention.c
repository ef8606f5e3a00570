#include "model/host_attention.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/numeric.h"
#include "base/wide.h"
#include "model/host_rows.h"
#include "sys/parallel.h"

enum {
    QUERIES = 128, // whose scores are in memory at one time
    LANES = 8,
    BLOCK = 512
};

struct work {
    const struct qm_host_attention *a;
    const struct qm_blas *blas;
    atomic_bool is_out_of_memory;
};

// Turns scores into shares: e^(s - largest) / sum, in double but for the result. Of no keys there are none.
QM_WIDE static void softmax(float *scores, uint32_t count)
{
    double exponentials[BLOCK], sums[LANES] = {0};
    float largest = scores[0];
    for (uint32_t i = 1; i < count; ++i)
        largest = scores[i] > largest ? scores[i] : largest;
    for (uint32_t first = 0; first < count; first += BLOCK) {
        uint32_t some = count - first < BLOCK ? count - first : BLOCK;
        for (uint32_t i = 0; i < some; ++i)
            exponentials[i] = (double)scores[first + i] - (double)largest;
        qm_exp_many(exponentials, some, exponentials);
        for (uint32_t i = 0; i < some; ++i) {
            sums[i % LANES] += exponentials[i];
            scores[first + i] = (float)exponentials[i];
        }
    }
    double sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    float share = (float)(1 / sum);
    for (uint32_t i = 0; i < count; ++i)
        scores[i] *= share;
}

// One head of one window.
static void attend_head(const struct work *work, size_t window, uint32_t head, float *scores)
{
    const struct qm_host_attention *a = work->a;
    size_t q_stride = (size_t)a->heads * a->head_dim, kv_stride = (size_t)a->kv_heads * a->head_dim;
    size_t first = window * a->window_tokens, first_key = window * (a->kv_tokens > 0 ? a->kv_tokens : a->window_tokens);
    uint32_t kv_head = head / (a->heads / a->kv_heads);
    const float *q = a->q + first * q_stride + (size_t)head * a->head_dim;
    const float *k = a->k + first_key * kv_stride + (size_t)kv_head * a->head_dim;
    const float *v = a->v + first_key * kv_stride + (size_t)kv_head * a->head_dim;
    float *out = a->out + first * a->out_stride + (size_t)head * a->head_dim;
    for (uint32_t q0 = 0; q0 < a->window_tokens; q0 += QUERIES) {
        uint32_t queries = a->window_tokens - q0 < QUERIES ? a->window_tokens - q0 : QUERIES;
        uint32_t at = a->position + q0; // of the first of these queries
        uint32_t key0 = a->seen > 0 && at + 1 > a->seen ? at + 1 - a->seen : 0, keys = at + queries - key0;
        qm_host_multiply_alone(work->blas, &(struct qm_host_product){.m = queries,
                                                                     .n = keys,
                                                                     .k = a->head_dim,
                                                                     .a = q + q0 * q_stride,
                                                                     .a_stride = q_stride,
                                                                     .b = k + key0 * kv_stride,
                                                                     .b_stride = kv_stride,
                                                                     .c = scores,
                                                                     .c_stride = keys,
                                                                     .scale = a->scale});
        for (uint32_t i = 0; i < queries; ++i) {
            float *row = scores + (size_t)i * keys;
            uint32_t end = at + i + 1 - key0, begin = a->seen > 0 && end > a->seen ? end - a->seen : 0;
            if (a->cap > 0)
                qm_host_cap_alone((double)a->cap, row + begin, end - begin);
            softmax(row + begin, end - begin);
            for (uint32_t j = 0; j < begin; ++j)
                row[j] = 0;
            for (uint32_t j = end; j < keys; ++j)
                row[j] = 0;
        }
        qm_host_multiply_alone(work->blas, &(struct qm_host_product){.m = queries,
                                                                     .n = a->head_dim,
                                                                     .k = keys,
                                                                     .a = scores,
                                                                     .a_stride = keys,
                                                                     .b = v + key0 * kv_stride,
                                                                     .b_stride = kv_stride,
                                                                     .b_is_plain = true,
                                                                     .c = out + (size_t)q0 * a->out_stride,
                                                                     .c_stride = a->out_stride});
    }
}

static void attend_heads(void *context, size_t begin, size_t end)
{
    struct work *work = context;
    float *scores = malloc(qm_host_attention_thread_bytes(work->a->position + work->a->window_tokens));
    if (!scores) {
        atomic_store(&work->is_out_of_memory, true);
        return;
    }
    for (size_t i = begin; i < end; ++i)
        attend_head(work, i / work->a->heads, (uint32_t)(i % work->a->heads), scores);
    free(scores);
}

uint64_t qm_host_attention_thread_bytes(uint32_t positions)
{
    return (uint64_t)QUERIES * positions * sizeof(float);
}

enum qm_status qm_host_attend(const struct qm_blas *blas, const struct qm_host_attention *attention)
{
    struct work work = {.a = attention, .blas = blas};
    atomic_init(&work.is_out_of_memory, false);
    qm_host_multiply_begin(blas);
    qm_parallel_for((size_t)attention->windows * attention->heads, attend_heads, &work);
    qm_host_multiply_end(blas);
    if (atomic_load(&work.is_out_of_memory))
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the scores of %u tokens", attention->window_tokens);
    return QM_OK;
}
