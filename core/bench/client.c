#include "bench/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/worker.h"
#include "sys/file.h"
#include "sys/heartbeat.h"
#include "sys/host.h"
#include "sys/process.h"

#define SILENCE_S 15.0      // a worker says each second what it does
#define SILENCE_LEAST_S 3.0 // however short the deadline

struct qm_client {
    struct qm_process *process;
    int is_alive, lost_device;
    json_int_t serial;                // of the latest request
    char at[QM_HEARTBEAT_NOTE_BYTES]; // what the worker said it works on
    void (*on_sign)(void *context, const char *at);
    void *sign_context;
};

enum qm_status qm_client_start(const char *const *environment, struct qm_client **out)
{
    *out = NULL;
    char path[QM_PATH_BYTES];
    QM_TRY(qm_process_own_path(path, sizeof(path)));
    struct qm_client *client = calloc(1, sizeof(*client));
    if (!client)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a worker");
    char parent[16];
    snprintf(parent, sizeof(parent), "%u", (unsigned)qm_process_id());
    const char *arguments[] = {path, "worker", parent, NULL};
    enum qm_status status = qm_process_start(arguments, environment, &client->process);
    if (status != QM_OK) {
        free(client);
        return status;
    }
    client->is_alive = 1;
    *out = client;
    return QM_OK;
}

// False for a name of no status.
static int find_status(const char *name, enum qm_status *out)
{
    for (enum qm_status status = QM_OK; name && status <= QM_FAILED; ++status) {
        if (strcmp(qm_status_name(status), name) == 0) {
            *out = status;
            return 1;
        }
    }
    return 0;
}

static void kill_worker(struct qm_client *client)
{
    qm_process_kill(client->process);
    client->is_alive = 0;
}

static enum qm_status fail_unreadable(const char *why)
{
    return QM_FAIL(QM_FAILED, "the worker's answer cannot be read: %s; killed", why);
}

// The next line that is no sign of life, as JSON.
static enum qm_status receive(struct qm_client *client, double timeout_s, json_t **out)
{
    double silence_s = timeout_s < SILENCE_LEAST_S ? SILENCE_LEAST_S : timeout_s;
    silence_s = silence_s > SILENCE_S ? SILENCE_S : silence_s;
    for (double signs = 0; signs * QM_WORKER_SIGN_S < timeout_s;) {
        char *line = NULL;
        json_error_t error;
        enum qm_status status = qm_process_receive(client->process, (uint64_t)(silence_s * 1e9), &line);
        if (status == QM_TIMEOUT)
            return QM_FAIL(QM_TIMEOUT, "no sign of life from the worker for %.0f s%s%s; killed", silence_s,
                           client->at[0] ? ", while running " : "", client->at);
        if (status == QM_INVALID) {
            char why[128];
            snprintf(why, sizeof(why), "%s", qm_error_text());
            return fail_unreadable(why);
        }
        QM_TRY(status);
        json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        free(line);
        if (!json_is_object(json)) {
            json_decref(json);
            return fail_unreadable(json ? "it is no object" : error.text);
        }
        const char *name = json_string_value(json_object_get(json, "status"));
        const char *at = json_string_value(json_object_get(json, "at"));
        if (!name || strcmp(name, "alive") != 0) {
            *out = json;
            return QM_OK;
        }
        // Signs are counted and not the clock, so that time in which everything was stopped is nobody's.
        signs = at && strcmp(at, client->at) == 0 ? signs + 1 : 0;
        snprintf(client->at, sizeof(client->at), "%s", at ? at : "");
        json_decref(json);
        if (client->on_sign)
            client->on_sign(client->sign_context, client->at);
    }
    return QM_FAIL(QM_TIMEOUT, "no answer within %.0f s%s%s; killed", timeout_s,
                   client->at[0] ? ", while running " : "", client->at);
}

// Of an answer that is an object.
static enum qm_status judge_answer(struct qm_client *client, const json_t *json)
{
    enum qm_status status = QM_OK;
    const json_t *serial = json_object_get(json, "serial");
    const char *name = json_string_value(json_object_get(json, "status"));
    const char *text = json_string_value(json_object_get(json, "error"));
    if (!find_status(name, &status) || (status != QM_OK && !text)) {
        kill_worker(client);
        return fail_unreadable("it has no status");
    }
    if (!json_is_integer(serial) || json_integer_value(serial) != client->serial) {
        kill_worker(client);
        return fail_unreadable("it answers nothing that was asked");
    }
    if (status == QM_DEVICE_LOST) {
        client->lost_device = 1;
        kill_worker(client);
    }
    return status == QM_OK ? QM_OK : QM_FAIL(status, "%s", text);
}

double qm_client_timeout_s(void)
{
    const char *text = getenv("QM_WORKER_TIMEOUT_S");
    double seconds = text ? strtod(text, NULL) : 0;
    return seconds > 0 && seconds < 1e6 ? seconds : 600;
}

enum qm_status qm_client_ask(struct qm_client *client, double timeout_s, json_t *request, json_t **answer)
{
    *answer = NULL;
    if (!request)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a request");
    json_object_set_new(request, "serial", json_integer(++client->serial));
    char *line = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (!line)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a request");
    json_t *json = NULL;
    client->at[0] = '\0';
    enum qm_status status =
        client->is_alive ? qm_process_send(client->process, line) : QM_FAIL(QM_DEVICE_LOST, "the worker has ended");
    free(line);
    if (status == QM_OK)
        status = receive(client, timeout_s, &json);
    if (status != QM_OK) {
        kill_worker(client);
        return qm_interrupted() ? QM_FAIL(QM_INTERRUPTED, "interrupted") : status;
    }
    status = judge_answer(client, json);
    if (status == QM_OK)
        *answer = json;
    else
        json_decref(json);
    return status;
}

void qm_client_on_sign(struct qm_client *client, void (*on_sign)(void *context, const char *at), void *context)
{
    client->on_sign = on_sign;
    client->sign_context = context;
}

int qm_client_lost_device(const struct qm_client *client)
{
    return client->lost_device;
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
