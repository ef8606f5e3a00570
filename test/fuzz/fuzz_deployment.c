// libFuzzer target: any bytes are read as a deployment's section, and what follows the first zero byte as a trace. What is
// accepted keeps its limits, and the section means the same when it is written and read again.
//
//   tools/fuzz.sh 60 deployment
#include "record/node.h"
#include "workload/deployment.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_one_line(const char *begin)
{
    require(strncmp(qm_error_text(), begin, strlen(begin)) == 0 && !strchr(qm_error_text(), '\n'));
}

enum {
    CONTEXT = 100000,
    REQUESTS = 200
};

static void check_requests(struct qm_requests *requests, uint32_t most)
{
    require(requests->count >= 1 && requests->count <= most);
    for (uint32_t i = 0; i < requests->count; i++) {
        const struct qm_request *request = &requests->requests[i];
        require(request->prompt_tokens >= 1 && request->output_tokens >= 1);
        require(request->prompt_tokens + request->output_tokens <= CONTEXT);
    }
    qm_requests_free(requests);
}

static void check_section(const struct qm_node *section)
{
    static struct qm_deployment deployment, again;
    struct qm_requests requests;
    if (qm_deployment_read(section, &deployment) != QM_OK) {
        require_one_line("d:");
        return;
    }
    require(deployment.concurrency >= 1 && deployment.requests <= QM_DEPLOYMENT_REQUESTS_MAX);
    struct qm_node *expanded = qm_deployment_expand(&deployment, true);
    require(qm_node_ok(expanded) && qm_deployment_read(expanded, &again) == QM_OK);
    require(memcmp(&deployment, &again, sizeof(again)) == 0);
    qm_node_destroy(&expanded);
    if (deployment.has_trace)
        return;
    if (deployment.requests > REQUESTS)
        deployment.requests = REQUESTS;
    if (qm_deployment_requests(&deployment, CONTEXT, NULL, &requests) == QM_OK)
        check_requests(&requests, REQUESTS);
    else
        require_one_line("request ");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    const uint8_t *zero = memchr(bytes, 0, count);
    size_t length = zero ? (size_t)(zero - bytes) : count;
    struct qm_node *section = NULL;
    struct qm_requests requests;
    if (qm_node_parse(bytes, length, "d", &qm_node_profile_limits, &section) == QM_OK) {
        check_section(section);
        qm_node_destroy(&section);
    } else {
        require_one_line("d:");
    }
    if (!zero)
        return 0;
    uint32_t wanted = (uint32_t)(length % 4);
    if (qm_trace_parse(zero + 1, count - length - 1, "t", wanted, CONTEXT, &requests) == QM_OK) {
        require(wanted == 0 || requests.count == wanted);
        check_requests(&requests, QM_DEPLOYMENT_REQUESTS_MAX);
    } else {
        require_one_line("t:");
    }
    return 0;
}
