#include "record/compare_rates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/numeric.h"
#include "record/compare.h"
#include "record/node.h"

const char qm_rate_pair_note[] =
    "a ratio is of two runs: its interval knows nothing of what changes from run to run; 'qmark gate' with five runs a "
    "side does";

struct qm_rate qm_rate_over(const struct qm_rate *b, const struct qm_rate *a)
{
    double log_a = qm_log(a->value), log_b = qm_log(b->value), log_ratio = log_b - log_a;
    struct qm_rate ratio = {.value = b->value / a->value, .has_interval = a->has_interval && b->has_interval};
    if (!ratio.has_interval)
        return ratio;
    double b_down = log_b - qm_log(b->low), a_up = qm_log(a->high) - log_a;
    double b_up = qm_log(b->high) - log_b, a_down = log_a - qm_log(a->low);
    ratio.low = qm_exp(log_ratio - sqrt(b_down * b_down + a_up * a_up));
    ratio.high = qm_exp(log_ratio + sqrt(b_up * b_up + a_down * a_down));
    return ratio;
}

static bool is_same_point(const struct qm_node *a, const struct qm_node *b)
{
    static const char *const keys[] = {"phase", "batch", "prompt", "depth"};
    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
        if (strcmp(qm_node_text_at(a, keys[k], ""), qm_node_text_at(b, keys[k], "")) != 0)
            return false;
    return true;
}

// Most often at the same position.
static const struct qm_node *find_point(const struct qm_node *points, size_t index, const struct qm_node *like)
{
    if (index < qm_node_count(points) && is_same_point(qm_node_at(points, index), like))
        return qm_node_at(points, index);
    for (size_t i = 0; i < qm_node_count(points); i++)
        if (is_same_point(qm_node_at(points, i), like))
            return qm_node_at(points, i);
    return NULL;
}

static bool is_text(const struct qm_node *node, const char *key, const char *text)
{
    return strcmp(qm_node_text_at(node, key, ""), text) == 0;
}

static bool read_rate(const struct qm_node *holder, const char *key, bool with_interval, struct qm_rate *out)
{
    *out = (struct qm_rate){0};
    if (!qm_node_double_at(holder, key, &out->value) || !(out->value > 0))
        return false;
    out->has_interval = with_interval && qm_node_double_at(holder, "low", &out->low) &&
                        qm_node_double_at(holder, "high", &out->high) && out->low > 0 && out->low <= out->value &&
                        out->high >= out->value;
    return true;
}

// Of a point by the host's clock, which the rate itself may be by.
static bool read_wall(const struct qm_node *point, struct qm_rate *out)
{
    return is_text(point, "timer", "wall") ? read_rate(point, "rate_tokens_per_s", true, out)
                                           : read_rate(point, "wall_rate_tokens_per_s", false, out);
}

static bool read_pair(struct qm_rate_pair *pair)
{
    if (pair->is_deployment) {
        pair->timer = "wall";
        return read_rate(pair->a, "output_tokens_per_s", false, &pair->rate_a) &&
               read_rate(pair->b, "output_tokens_per_s", false, &pair->rate_b);
    }
    if (pair->is_sustained) {
        pair->timer = "wall";
        return read_rate(pair->a, "rate", true, &pair->rate_a) && read_rate(pair->b, "rate", true, &pair->rate_b);
    }
    bool by_device = is_text(pair->a, "timer", "device") && is_text(pair->b, "timer", "device");
    pair->timer = by_device ? "device" : "wall";
    if (by_device)
        return read_rate(pair->a, "rate_tokens_per_s", true, &pair->rate_a) &&
               read_rate(pair->b, "rate_tokens_per_s", true, &pair->rate_b);
    return read_wall(pair->a, &pair->rate_a) && read_wall(pair->b, &pair->rate_b);
}

static void add(struct qm_comparison *out, struct qm_rate_pair pair)
{
    if (!read_pair(&pair))
        return;
    pair.ratio = qm_rate_over(&pair.rate_b, &pair.rate_a);
    if (!isfinite(pair.ratio.value) || !(pair.ratio.value > 0))
        return; // of rates that no device has
    if (!isfinite(pair.ratio.high) || !(pair.ratio.low > 0))
        pair.ratio.has_interval = false;
    out->rates[out->rate_count++] = pair;
}

enum qm_status qm_compare_add_rates(struct qm_comparison *out)
{
    size_t room = 1;
    for (size_t s = 0; s < out->scheme_count; s++)
        room += qm_node_count(qm_node_child(out->schemes[s].a, "throughput")) + 2;
    out->rates = calloc(room, sizeof(*out->rates));
    out->rate_count = 0;
    if (!out->rates)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the rates of two results");
    for (size_t s = 0; s < out->scheme_count; s++) {
        const struct qm_scheme_comparison *scheme = &out->schemes[s];
        if (scheme->verdict == QM_NOT_COMPARABLE)
            continue;
        const struct qm_node *left = qm_node_child(scheme->a, "throughput"),
                             *right = qm_node_child(scheme->b, "throughput");
        for (size_t i = 0; i < qm_node_count(left); i++) {
            const struct qm_node *point = qm_node_at(left, i), *other = find_point(right, i, point);
            if (other)
                add(out, (struct qm_rate_pair){.scheme = s, .a = point, .b = other});
        }
        const struct qm_node *a = qm_node_child(scheme->a, "sustained"), *b = qm_node_child(scheme->b, "sustained");
        if (is_text(a, "steady", "yes") && is_text(b, "steady", "yes") && is_same_point(a, b) &&
            is_text(a, "unit", qm_node_text_at(b, "unit", "?")))
            add(out, (struct qm_rate_pair){.scheme = s, .a = a, .b = b, .is_sustained = true});
        a = qm_node_child(scheme->a, "deployment");
        b = qm_node_child(scheme->b, "deployment");
        if (qm_node_is_mapping(a) && qm_node_is_mapping(b))
            add(out, (struct qm_rate_pair){.scheme = s, .a = a, .b = b, .is_deployment = true});
    }
    return QM_OK;
}
