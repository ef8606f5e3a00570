#include "bench/kernel_shapes.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_ (1u << 24)

// config.json of meta-llama/Llama-3.2-1B, -3.2-3B, -3.1-8B and -3.1-70B.
const struct qm_known_model qm_known_models[] = {
    {"1b", "Llama 3.2 1B", 2048, 8192, 32, 8, 64, 128256},
    {"3b", "Llama 3.2 3B", 3072, 8192, 24, 8, 128, 128256},
    {"8b", "Llama 3.1 8B", 4096, 14336, 32, 8, 128, 128256},
    {"70b", "Llama 3.1 70B", 8192, 28672, 64, 8, 128, 128256},
};
const size_t qm_known_model_count = sizeof(qm_known_models) / sizeof(qm_known_models[0]);

const char *const qm_known_layers[] = {"q", "kv", "up", "down", "head", NULL};

const struct qm_known_model *qm_known_model_find(const char *name)
{
    for (size_t i = 0; i < qm_known_model_count; ++i)
        if (strcmp(qm_known_models[i].name, name) == 0)
            return &qm_known_models[i];
    return NULL;
}

void qm_known_layer(const struct qm_known_model *m, const char *layer, uint32_t *n, uint32_t *k)
{
    *n = m->heads * m->head;
    *k = m->hidden;
    if (strcmp(layer, "kv") == 0)
        *n = m->kv_heads * m->head;
    else if (strcmp(layer, "up") == 0)
        *n = m->intermediate;
    else if (strcmp(layer, "head") == 0)
        *n = m->vocabulary;
    else if (strcmp(layer, "down") == 0) {
        *n = m->hidden;
        *k = m->intermediate;
    }
}

enum qm_status qm_shape_parse(const char *text, uint32_t *rows, uint32_t *n, uint32_t *k)
{
    uint32_t *const out[] = {rows, n, k};
    const char *at = text;
    for (int i = 0; i < 3; ++i) {
        char *end = NULL;
        unsigned long value = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 0;
        if (value == 0 || value > SIZE_MAX_ || *end != (i < 2 ? 'x' : '\0'))
            return QM_FAIL(QM_INVALID,
                           "a shape is '%.40s'; expected MxNxK: rows, outputs and inputs from 1 to 16777216, such as "
                           "512x4096x14336",
                           text);
        *out[i] = (uint32_t)value;
        at = end + 1;
    }
    if ((uint64_t)*n * *k > (uint64_t)1 << 36)
        return QM_FAIL(QM_INVALID, "a shape is '%.40s'; its %u x %u weights are more than 2^36", text, *n, *k);
    return QM_OK;
}
