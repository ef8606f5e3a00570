#include "bench/prepare_deployment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/server.h"
#include "record/node.h"

// Where a relative path that stands in the file begins.
static void place_of(const char *file, char directory[QM_PATH_BYTES])
{
    snprintf(directory, QM_PATH_BYTES, "%.*s", (int)(qm_path_name(file) - file), file);
}

static enum qm_status read_file(const char *file, struct qm_deployment *out)
{
    struct qm_node *section = NULL;
    QM_TRY(qm_node_load_yaml(file, &qm_node_profile_limits, &section));
    enum qm_status status = qm_deployment_read(section, out);
    qm_node_destroy(&section);
    return status;
}

// A plan that is given for a record must be the record's in everything.
static enum qm_status check_record(const struct qm_deployment *recorded, const struct qm_deployment *now,
                                   const char *file)
{
    char hashes[2][QM_HASH_TEXT_BYTES];
    struct qm_node *nodes[2] = {qm_deployment_expand(recorded, false), qm_deployment_expand(now, false)};
    enum qm_status status = qm_node_hash(nodes[0], NULL, hashes[0]);
    if (status == QM_OK)
        status = qm_node_hash(nodes[1], NULL, hashes[1]);
    qm_node_destroy(&nodes[0]);
    qm_node_destroy(&nodes[1]);
    QM_TRY(status);
    return strcmp(hashes[0], hashes[1]) == 0
               ? QM_OK
               : QM_FAIL(QM_INVALID, "%s: another plan than the record's; give the one that was used", file);
}

// Passes are counted before anything is run: a plan that no device can keep is bad input.
static enum qm_status check_schedule(const struct qm_deployment *deployment, const struct qm_requests *requests)
{
    const struct qm_serving_params serving = {.requests = requests->requests,
                                              .count = requests->count,
                                              .concurrency = deployment->concurrency,
                                              .chunk_tokens = deployment->chunk_tokens};
    struct qm_serving_counts counts;
    if (requests->prompt_tokens + requests->output_tokens > QM_DEPLOYMENT_TOKENS_OF_RUN_MAX)
        return QM_FAIL(QM_INVALID,
                       "the deployment's requests have %" PRIu64 " tokens, and %" PRIu64
                       " are served at most; lower 'requests'",
                       requests->prompt_tokens + requests->output_tokens, QM_DEPLOYMENT_TOKENS_OF_RUN_MAX);
    QM_TRY(qm_serving_count(&serving, &counts));
    if (counts.most_batch > QM_PASS_SEQUENCES_MAX)
        return QM_FAIL(QM_INVALID,
                       "%" PRIu32
                       " of the deployment's requests are under way at a time, and a pass has %d at most; lower "
                       "'concurrency'",
                       counts.most_batch, QM_PASS_SEQUENCES_MAX);
    if (counts.shapes > QM_SERVER_SHAPES_MAX)
        return QM_FAIL(QM_INVALID,
                       "the deployment's requests make passes of %" PRIu32 " different shapes, and %d are recorded at "
                       "most; use a smaller chunk_tokens or a lower concurrency",
                       counts.shapes, QM_SERVER_SHAPES_MAX);
    return QM_OK;
}

enum qm_status qm_profile_requests(struct qm_profile *profile, const char *file, const struct qm_model_config *config,
                                   struct qm_requests *out)
{
    const struct qm_deployment recorded = profile->deployment;
    struct qm_deployment *plan = &profile->deployment;
    char directory[QM_PATH_BYTES];
    bool is_record = profile->has_deployment && recorded.sha256[0];
    memset(out, 0, sizeof(*out));
    if (file)
        QM_TRY(read_file(file, plan));
    profile->has_deployment = true;
    place_of(file ? file : profile->path, directory);
    QM_TRY(qm_deployment_requests(plan, config->context, directory, out));
    plan->requests = out->count;
    memcpy(plan->sha256, out->sha256, sizeof(plan->sha256));
    memcpy(plan->trace_sha256, out->trace_sha256, sizeof(plan->trace_sha256));
    profile->served_prompt_tokens = out->prompt_tokens;
    profile->served_output_tokens = out->output_tokens;
    enum qm_status status = check_schedule(plan, out);
    if (status == QM_OK && file && is_record)
        status = check_record(&recorded, plan, file);
    if (status != QM_OK)
        qm_requests_free(out);
    return status;
}

enum qm_status qm_preparation_read_deployment(struct qm_preparation *p, const struct qm_preparation_params *params)
{
    if (params->only_artifacts || (!p->profile.has_deployment && !params->deployment_file))
        return QM_OK;
    if (qm_model_is_part(p->model))
        return QM_FAIL(QM_INVALID,
                       "--layers runs a part of a model, and a deployment is served by the whole one; leave out "
                       "one of them");
    QM_TRY(qm_profile_requests(&p->profile, params->deployment_file, &p->model->config, &p->requests));
    return qm_profile_update(&p->profile);
}
