#include "bench/client.h"

#include <stdlib.h>
#include <string.h>

#include "sys/file.h"
#include "sys/process.h"

struct qm_client {
    struct qm_process *process;
    int is_alive;
};

enum qm_status qm_client_start(const char *const *environment, struct qm_client **out)
{
    *out = NULL;
    char path[QM_PATH_BYTES];
    QM_TRY(qm_process_own_path(path, sizeof(path)));
    struct qm_client *client = calloc(1, sizeof(*client));
    if (!client)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a worker");
    const char *arguments[] = {path, "worker", NULL};
    enum qm_status status = qm_process_start(arguments, environment, &client->process);
    if (status != QM_OK) {
        free(client);
        return status;
    }
    client->is_alive = 1;
    *out = client;
    return QM_OK;
}

static enum qm_status status_of_name(const char *name)
{
    for (enum qm_status status = QM_OK; status <= QM_FAILED; ++status) {
        if (strcmp(qm_status_name(status), name) == 0)
            return status;
    }
    return QM_FAILED;
}

enum qm_status qm_client_ask(struct qm_client *client, double timeout_s, json_t *request, json_t **answer)
{
    *answer = NULL;
    if (!request)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a request");
    char *line = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (!line)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a request");
    enum qm_status status =
        client->is_alive ? qm_process_send(client->process, line) : QM_FAIL(QM_DEVICE_LOST, "the worker has ended");
    free(line);
    line = NULL;
    if (status == QM_OK)
        status = qm_process_receive(client->process, (uint64_t)(timeout_s * 1e9), &line);
    if (status != QM_OK) {
        client->is_alive = 0;
        return qm_interrupted() ? QM_FAIL(QM_FAILED, "interrupted") : status;
    }
    json_t *json = json_loads(line, 0, NULL);
    free(line);
    const char *name = json_string_value(json_object_get(json, "status"));
    status = name ? status_of_name(name) : QM_FAILED;
    if (status != QM_OK) {
        const char *text = json_string_value(json_object_get(json, "error"));
        status = QM_FAIL(status, "%s", text ? text : "the worker's answer cannot be read");
        json_decref(json);
        return status;
    }
    *answer = json;
    return QM_OK;
}

int qm_client_is_alive(const struct qm_client *client)
{
    return client->is_alive;
}

void qm_client_end(struct qm_client **client)
{
    struct qm_client *c = *client;
    if (!c)
        return;
    if (c->is_alive)
        (void)!qm_process_send(c->process, "{\"do\":\"quit\"}");
    qm_process_end(&c->process);
    free(c);
    *client = NULL;
}
