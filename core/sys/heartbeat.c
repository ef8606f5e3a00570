#include "sys/heartbeat.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

struct qm_heartbeat {
    struct qm_heartbeat_params params;
    pthread_t thread;
    pthread_mutex_t lock; // of the output and the flags
    pthread_cond_t changed;
    bool is_working, is_stopped;
};

// One for the process: parts far below the worker say what they do.
static pthread_mutex_t note_lock = PTHREAD_MUTEX_INITIALIZER;
static char note[QM_HEARTBEAT_NOTE_BYTES];

void qm_heartbeat_note(const char *format, ...)
{
    char text[QM_HEARTBEAT_NOTE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (char *at = text; *at; ++at) {
        if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\')
            *at = ' ';
    }
    pthread_mutex_lock(&note_lock);
    snprintf(note, sizeof(note), "%s", text);
    pthread_mutex_unlock(&note_lock);
}

static void write_sign(struct qm_heartbeat *heartbeat)
{
    char text[QM_HEARTBEAT_NOTE_BYTES];
    pthread_mutex_lock(&note_lock);
    snprintf(text, sizeof(text), "%s", note);
    pthread_mutex_unlock(&note_lock);
    fprintf(heartbeat->params.output, "%s%s%s\n", heartbeat->params.before, text, heartbeat->params.after);
    fflush(heartbeat->params.output);
}

static void *beat(void *argument)
{
    struct qm_heartbeat *heartbeat = argument;
    pthread_mutex_lock(&heartbeat->lock);
    while (!heartbeat->is_stopped) {
        if (!heartbeat->is_working) {
            pthread_cond_wait(&heartbeat->changed, &heartbeat->lock);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        uint64_t ns = (uint64_t)until.tv_nsec + heartbeat->params.period_ns;
        until.tv_sec += (time_t)(ns / 1000000000u);
        until.tv_nsec = (long)(ns % 1000000000u);
        int code = 0;
        while (code == 0 && heartbeat->is_working && !heartbeat->is_stopped)
            code = pthread_cond_timedwait(&heartbeat->changed, &heartbeat->lock, &until);
        if (heartbeat->is_working && !heartbeat->is_stopped)
            write_sign(heartbeat);
    }
    pthread_mutex_unlock(&heartbeat->lock);
    return NULL;
}

enum qm_status qm_heartbeat_start(const struct qm_heartbeat_params *params, struct qm_heartbeat **out)
{
    *out = NULL;
    struct qm_heartbeat *heartbeat = calloc(1, sizeof(*heartbeat));
    if (!heartbeat)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a heartbeat");
    heartbeat->params = *params;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); // a corrected time of day is no silence
    pthread_mutex_init(&heartbeat->lock, NULL);
    pthread_cond_init(&heartbeat->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (pthread_create(&heartbeat->thread, NULL, beat, heartbeat) != 0) {
        pthread_cond_destroy(&heartbeat->changed);
        pthread_mutex_destroy(&heartbeat->lock);
        free(heartbeat);
        return QM_FAIL(QM_FAILED, "cannot start a thread for signs of life; raise the limit of processes");
    }
    *out = heartbeat;
    return QM_OK;
}

void qm_heartbeat_work(struct qm_heartbeat *heartbeat)
{
    pthread_mutex_lock(&heartbeat->lock);
    heartbeat->is_working = true;
    pthread_cond_signal(&heartbeat->changed);
    pthread_mutex_unlock(&heartbeat->lock);
}

void qm_heartbeat_answer(struct qm_heartbeat *heartbeat, const char *line)
{
    pthread_mutex_lock(&heartbeat->lock);
    heartbeat->is_working = false;
    fprintf(heartbeat->params.output, "%s\n", line);
    fflush(heartbeat->params.output);
    pthread_cond_signal(&heartbeat->changed);
    pthread_mutex_unlock(&heartbeat->lock);
}

void qm_heartbeat_write(struct qm_heartbeat *heartbeat, const void *bytes, size_t count)
{
    pthread_mutex_lock(&heartbeat->lock);
    fwrite(bytes, 1, count, heartbeat->params.output);
    fflush(heartbeat->params.output);
    pthread_mutex_unlock(&heartbeat->lock);
}

void qm_heartbeat_stop(struct qm_heartbeat **heartbeat)
{
    struct qm_heartbeat *h = *heartbeat;
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->is_stopped = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
    *heartbeat = NULL;
}
