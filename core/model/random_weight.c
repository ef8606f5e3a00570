#include "model/random_weight.h"

#include <stdlib.h>

#include "model/engine_internal.h"
#include "model/room.h"

enum {
    SEED = 0x716D, // any; what is drawn is to be the same on every machine
    PRODUCTS_MAX = 256
};

static const struct qm_run_policy all_at_once = {0, 1};
static const struct qm_pass_start start = {0, 0};

// The first of the weights with the most bytes.
static size_t find_largest(const struct qm_network *network, const struct qm_artifact *artifact)
{
    size_t largest = 0;
    uint64_t most = 0;
    for (size_t i = 0; i < network->weight_count; ++i) {
        uint64_t bytes = network->weights[i].bytes;
        if (qm_role_is_linear(artifact->tensors[i].role) && bytes > most) {
            largest = i;
            most = bytes;
        }
    }
    return largest;
}

static enum qm_status create_random(struct qm_network *network, const struct qm_artifact_tensor *tensor,
                                    struct qm_network_weight *weight)
{
    struct qm_device *device = network->engine->params.device;
    for (uint32_t part = 0; part < weight->part_count; ++part)
        weight->parts[part].buffer = NULL;
    QM_TRY(qm_network_plan_weight(network, tensor, weight));
    QM_TRY(qm_device_check_room(device, network->engine->params.is_trial, weight->bytes, "a weight of random codes"));
    uint32_t *words = malloc(weight->parts[0].bytes);
    if (!words)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no host memory for random codes");
    enum qm_status status = QM_OK;
    for (uint32_t i = 0; i < weight->part_count; ++i) {
        struct qm_weight_part *part = &weight->parts[i];
        struct qm_layout_shape shape;
        struct qm_encoded encoded;
        qm_weight_part_source(tensor, weight, i, &shape, &encoded);
        if (!network->engine->params.is_trial)
            QM_GUARD(qm_layout_pack_random(tensor->format, &shape, &encoded, SEED + i, words));
        QM_GUARD(device->fns->buffer_create(device, part->bytes, &part->buffer));
        if (!network->engine->params.is_trial)
            QM_GUARD(device->fns->buffer_write(device, part->buffer, 0, words, part->bytes));
    }
done:
    free(words);
    return status;
}

static enum qm_status time_once(struct qm_pass *pass, bool *has_device_time, uint64_t *ns)
{
    uint64_t device_ns = 0;
    struct qm_timing timing = {.repeat_device_ns = &device_ns};
    QM_TRY(qm_pass_run(pass, &start, 1, &all_at_once, &timing));
    *has_device_time = timing.has_device_time && device_ns > 0;
    *ns = *has_device_time ? device_ns : timing.wall_ns;
    return QM_OK;
}

// As many products as take 2 ms, so that the clock's steps do not count, but not more than a submission may take.
static enum qm_status choose_count(struct qm_network *network, const struct qm_network_weight *weight,
                                   uint64_t limit_ns, uint32_t *count)
{
    struct qm_pass *pass = NULL;
    bool has_device_time;
    uint64_t ns = 0;
    QM_TRY(qm_pass_create_product(network, weight, 1, &pass));
    enum qm_status status = time_once(pass, &has_device_time, &ns);
    if (status == QM_OK)
        status = time_once(pass, &has_device_time, &ns);
    qm_pass_destroy(&pass);
    uint64_t wanted = limit_ns / 2 < 2000000 ? limit_ns / 2 : 2000000, fit = ns > 0 ? wanted / ns + 1 : PRODUCTS_MAX;
    *count = fit < PRODUCTS_MAX ? (uint32_t)fit : PRODUCTS_MAX;
    return status;
}

enum qm_status qm_network_time_random(struct qm_network *network, const struct qm_artifact *artifact, uint64_t limit_ns,
                                      struct qm_random_weight_times *out)
{
    struct qm_device *device = network->engine->params.device;
    size_t index = find_largest(network, artifact);
    const struct qm_network_weight *tiled = &network->weights[index];
    struct qm_network_weight random = *tiled;
    struct qm_pass *convert = NULL, *passes[2] = {NULL, NULL};
    struct qm_timing timing = {0};
    bool has_device_time[2] = {false, false};
    uint64_t ns;
    enum qm_status status;
    *out = (struct qm_random_weight_times){.rows = tiled->rows, .columns = tiled->columns, .bytes = tiled->bytes};
    QM_GUARD(create_random(network, &artifact->tensors[index], &random));
    QM_GUARD(qm_pass_create_product(network, tiled, 0, &convert));
    if (network->engine->params.is_trial)
        goto done;
    QM_GUARD(qm_pass_run(convert, &start, 1, &all_at_once, &timing));
    QM_GUARD(choose_count(network, tiled, limit_ns, &out->products));
    QM_GUARD(qm_pass_create_product(network, tiled, out->products, &passes[0]));
    QM_GUARD(qm_pass_create_product(network, &random, out->products, &passes[1]));
    QM_GUARD(time_once(passes[0], &has_device_time[0], &ns));
    QM_GUARD(time_once(passes[1], &has_device_time[1], &ns));
    out->has_device_time = has_device_time[0] && has_device_time[1];
    for (int pair = 0; pair < QM_RANDOM_WEIGHT_PAIRS; ++pair) {
        for (int turn = 0; turn < 2; ++turn) {
            int which = (pair + turn) % 2;
            QM_GUARD(time_once(passes[which], &has_device_time[which],
                               which == 0 ? &out->tiled_ns[pair] : &out->random_ns[pair]));
        }
        if ((has_device_time[0] && has_device_time[1]) != out->has_device_time) {
            status = QM_FAIL(QM_FAILED, "the device's clock stood still between two passes");
            goto done;
        }
    }
done:
    qm_pass_destroy(&passes[0]);
    qm_pass_destroy(&passes[1]);
    qm_pass_destroy(&convert);
    for (uint32_t part = 0; part < random.part_count; ++part)
        device->fns->buffer_destroy(device, &random.parts[part].buffer);
    return status;
}
