// Texts and numbers of a request or an answer; what is missing or of another type is "" or 0.
#ifndef QM_BENCH_REQUEST_H
#define QM_BENCH_REQUEST_H

#include <jansson.h>
#include <stdint.h>

static inline const char *qm_request_text(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

static inline uint32_t qm_request_number(const json_t *json, const char *key)
{
    return (uint32_t)json_integer_value(json_object_get(json, key));
}

#endif
