#include "sys/process.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <uv.h>

#include "sys/file.h"

enum {
    ERROR_TAIL_BYTES = 2000,
    LINE_BYTES_MAX = 16 << 20,
    END_PATIENCE = 200,  // of 10 ms each
    KILL_PATIENCE = 1000 // likewise: a process deep in a driver may not even be killed
};

#define STOPPED_NS 3000000000u // without a turn of the loop for so long, this process was stopped itself

#define SEND_NS 15000000000u

static volatile sig_atomic_t interrupted; // see qm_interrupt_watch

struct qm_process {
    uv_loop_t loop;
    uv_process_t handle;
    uv_pipe_t input, output, error;
    uv_timer_t timer;
    bool has_ended, output_closed, is_overlong;
    int64_t exit_code;
    int signal;
    char *bytes; // read and not yet returned
    size_t count, capacity;
    char tail[ERROR_TAIL_BYTES + 1];
    size_t tail_count;
    uint32_t pid;
};

static void on_child_exit(uv_process_t *handle, int64_t exit_code, int signal)
{
    struct qm_process *process = handle->data;
    process->has_ended = true;
    process->exit_code = exit_code;
    process->signal = signal;
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    buffer->base = malloc(suggested);
    buffer->len = buffer->base ? suggested : 0;
}

static void on_output(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct qm_process *process = stream->data;
    if (count > 0 && process->count + (size_t)count <= LINE_BYTES_MAX) {
        if (process->count + (size_t)count > process->capacity) {
            size_t capacity = 2 * (process->count + (size_t)count);
            char *bytes = realloc(process->bytes, capacity);
            if (bytes) {
                process->bytes = bytes;
                process->capacity = capacity;
            }
        }
        if (process->count + (size_t)count <= process->capacity) {
            memcpy(process->bytes + process->count, buffer->base, (size_t)count);
            process->count += (size_t)count;
        }
    } else if (count != 0) {
        uv_read_stop(stream);
        process->output_closed = true;
        process->is_overlong = count > 0;
    }
    free(buffer->base);
}

static void on_error(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct qm_process *process = stream->data;
    if (count > 0) {
        size_t added = (size_t)count > ERROR_TAIL_BYTES ? ERROR_TAIL_BYTES : (size_t)count;
        const char *from = buffer->base + (size_t)count - added;
        size_t kept = process->tail_count + added > ERROR_TAIL_BYTES ? ERROR_TAIL_BYTES - added : process->tail_count;
        memmove(process->tail, process->tail + process->tail_count - kept, kept);
        memcpy(process->tail + kept, from, added);
        process->tail_count = kept + added;
        process->tail[process->tail_count] = '\0';
    } else if (count < 0) {
        uv_read_stop(stream);
    }
    free(buffer->base);
}

// There only to wake the loop.
static void on_timer(uv_timer_t *timer)
{
    (void)timer;
}

// This process's environment with some variables set, to be freed; NULL without memory.
static char **merge_environment(const char *const *set)
{
    size_t count = 0, own = 0, used = 0;
    while (set[count])
        ++count;
    while (environ[own])
        ++own;
    char **merged = calloc(own + count + 1, sizeof(*merged));
    for (size_t i = 0; i < own && merged; ++i) {
        bool is_set = false;
        for (size_t k = 0; k < count; ++k) {
            size_t name = strcspn(set[k], "=") + 1;
            is_set = is_set || strncmp(environ[i], set[k], name) == 0;
        }
        if (!is_set)
            merged[used++] = environ[i];
    }
    for (size_t k = 0; k < count && merged; ++k)
        merged[used++] = (char *)(uintptr_t)set[k];
    return merged;
}

enum qm_status qm_process_start(const char *const *arguments, const char *const *environment, struct qm_process **out)
{
    *out = NULL;
    struct qm_process *process = calloc(1, sizeof(*process));
    if (!process)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to start %s", arguments[0]);
    signal(SIGPIPE, SIG_IGN); // a child that ends while it is written to is an answer, not our end
    uv_loop_init(&process->loop);
    uv_pipe_init(&process->loop, &process->input, 0);
    uv_pipe_init(&process->loop, &process->output, 0);
    uv_pipe_init(&process->loop, &process->error, 0);
    uv_timer_init(&process->loop, &process->timer);
    process->handle.data = process->output.data = process->error.data = process->timer.data = process;
    uv_stdio_container_t streams[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&process->input},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->output},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->error},
    };
    uv_process_options_t options = {.exit_cb = on_child_exit, .file = arguments[0], .stdio_count = 3, .stdio = streams};
    options.args = (char **)(uintptr_t)arguments;
    options.env = environment ? merge_environment(environment) : NULL;
    int code = uv_spawn(&process->loop, &process->handle, &options);
    free(options.env);
    if (code != 0) {
        process->has_ended = true;
        enum qm_status status = QM_FAIL(QM_FAILED, "cannot start %s: %s", arguments[0], uv_strerror(code));
        qm_process_end(&process);
        return status;
    }
    process->pid = (uint32_t)process->handle.pid;
    uv_read_start((uv_stream_t *)&process->output, on_allocate, on_output);
    uv_read_start((uv_stream_t *)&process->error, on_allocate, on_error);
    *out = process;
    return QM_OK;
}

static void on_write(uv_write_t *request, int code)
{
    *(int *)request->data = code == 0 ? 1 : code;
}

// The end of the child, in words.
static enum qm_status fail_ended(struct qm_process *process)
{
    char last[300] = "";
    const char *tail = process->tail;
    size_t length = strlen(tail);
    while (length > 0 && (tail[length - 1] == '\n' || tail[length - 1] == ' '))
        --length;
    size_t begin = length > 250 ? length - 250 : 0;
    for (size_t i = 0; begin < length && i + 1 < sizeof(last); ++i, ++begin)
        last[i] = tail[begin] == '\n' ? ' ' : tail[begin];
    if (process->signal != 0)
        return QM_FAIL(QM_DEVICE_LOST, "the worker was ended by signal %d (%s)%s%s", process->signal,
                       strsignal(process->signal), last[0] ? ": " : "", last);
    return QM_FAIL(QM_DEVICE_LOST, "the worker ended with code %lld%s%s", (long long)process->exit_code,
                   last[0] ? ": " : "", last);
}

enum qm_status qm_process_send(struct qm_process *process, const char *text)
{
    int done = 0;
    uv_write_t request = {.data = &done};
    uv_buf_t buffers[2] = {uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text)), uv_buf_init("\n", 1)};
    int code = uv_write(&request, (uv_stream_t *)&process->input, buffers, 2, on_write);
    if (code != 0)
        return QM_FAIL(QM_FAILED, "cannot write to the worker: %s", uv_strerror(code));
    // One that takes nothing in does not run; with its end the write ends, too.
    uint64_t begin_ns = uv_hrtime();
    uv_timer_start(&process->timer, on_timer, 100, 100);
    while (done == 0) {
        uv_run(&process->loop, UV_RUN_ONCE);
        if (uv_hrtime() - begin_ns > SEND_NS)
            qm_process_kill(process);
    }
    uv_timer_stop(&process->timer);
    if (done != 1) {
        // Give the exit a moment to be noticed, for a better message.
        for (int i = 0; i < 50 && !process->has_ended; ++i) {
            uv_run(&process->loop, UV_RUN_NOWAIT);
            uv_sleep(10);
        }
        return process->has_ended ? fail_ended(process)
                                  : QM_FAIL(QM_FAILED, "cannot write to the worker: %s", uv_strerror(done));
    }
    return QM_OK;
}

void qm_process_finish(struct qm_process *process)
{
    if (!uv_is_closing((uv_handle_t *)&process->input))
        uv_close((uv_handle_t *)&process->input, NULL);
}

bool qm_process_succeeded(const struct qm_process *process)
{
    return process->has_ended && process->signal == 0 && process->exit_code == 0;
}

// Takes the first line out of what was read.
static enum qm_status take_line(struct qm_process *process, const char *end, char **line)
{
    size_t length = (size_t)(end - process->bytes);
    enum qm_status status = QM_OK;
    *line = malloc(length + 1);
    if (!*line)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for an answer of %zu bytes", length);
    memcpy(*line, process->bytes, length);
    (*line)[length] = '\0';
    if (strlen(*line) != length) {
        free(*line);
        *line = NULL;
        status = QM_FAIL(QM_INVALID, "it holds a zero byte");
    }
    process->count -= length + 1;
    memmove(process->bytes, end + 1, process->count);
    return status;
}

enum qm_status qm_process_receive(struct qm_process *process, uint64_t timeout_ns, char **line)
{
    *line = NULL;
    uint64_t begin_ns = uv_hrtime(), turn_ns = begin_ns;
    // Wakes now and then: an interrupt alone does not end the wait for a worker that was not told of it.
    uv_timer_start(&process->timer, on_timer, 100, 100);
    enum qm_status status = QM_OK;
    for (;;) {
        char *end = process->count ? memchr(process->bytes, '\n', process->count) : NULL;
        uint64_t now_ns = uv_hrtime();
        if (now_ns - turn_ns > STOPPED_NS) // Ctrl-Z and fg: the child had no chance to be heard
            begin_ns += now_ns - turn_ns;
        turn_ns = now_ns;
        if (end) {
            status = take_line(process, end, line);
            break;
        }
        if (process->is_overlong) {
            status = QM_FAIL(QM_INVALID, "it is a line of more than %d MiB", LINE_BYTES_MAX >> 20);
            break;
        }
        if (process->has_ended && process->output_closed) {
            status = fail_ended(process);
            break;
        }
        if (interrupted) {
            status = QM_FAIL(QM_INTERRUPTED, "interrupted");
            break;
        }
        if (now_ns - begin_ns >= timeout_ns) {
            status = QM_FAIL(QM_TIMEOUT, "no line from the worker within %.0f s", (double)timeout_ns * 1e-9);
            break;
        }
        uv_run(&process->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&process->timer);
    return status;
}

uint32_t qm_process_pid(const struct qm_process *process)
{
    return process->pid;
}

void qm_process_kill(struct qm_process *process)
{
    if (!process->has_ended)
        uv_process_kill(&process->handle, SIGKILL);
}

static void await_end(struct qm_process *process, int patience)
{
    for (int i = 0; i < patience && !process->has_ended; ++i) {
        uv_run(&process->loop, UV_RUN_NOWAIT);
        if (!process->has_ended)
            uv_sleep(10);
    }
}

void qm_process_end(struct qm_process **process)
{
    struct qm_process *p = *process;
    if (!p)
        return;
    qm_process_finish(p);
    await_end(p, END_PATIENCE);
    qm_process_kill(p);
    await_end(p, KILL_PATIENCE);
    uv_close((uv_handle_t *)&p->output, NULL);
    uv_close((uv_handle_t *)&p->error, NULL);
    uv_close((uv_handle_t *)&p->timer, NULL);
    if (p->pid != 0)
        uv_close((uv_handle_t *)&p->handle, NULL);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    uv_loop_close(&p->loop);
    free(p->bytes);
    free(p);
    *process = NULL;
}

bool qm_process_end_with(uint32_t parent)
{
    // The parent may have ended before this call, and then no signal comes.
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && (uint32_t)getppid() == parent;
}

bool qm_process_exists(uint32_t pid)
{
    return pid > 0 && uv_kill((int)pid, 0) != UV_ESRCH;
}

FILE *qm_process_take_output(void)
{
    int kept = dup(STDOUT_FILENO);
    if (kept < 0)
        return NULL;
    dup2(STDERR_FILENO, STDOUT_FILENO);
    return fdopen(kept, "w");
}

enum qm_status qm_process_own_path(char *path, size_t capacity)
{
    size_t count = capacity;
    int code = uv_exepath(path, &count);
    if (code == UV_ENOENT || code == UV_EACCES) { // no /proc here: as it was started
        const char *started = (const char *)getauxval(AT_EXECFN);
        char *real = started ? realpath(started, NULL) : NULL;
        if (real && strlen(real) < capacity) {
            memcpy(path, real, strlen(real) + 1);
            code = 0;
        }
        free(real);
    }
    if (code != 0)
        return QM_FAIL(QM_FAILED, "cannot find this program's own path: %s", uv_strerror(code));
    return QM_OK;
}

void qm_process_crash(void)
{
    signal(SIGSEGV, SIG_DFL); // a sanitizer's handler would make an exit of it
    raise(SIGSEGV);
}

void qm_process_abort(void)
{
    signal(SIGABRT, SIG_DFL); // likewise
    abort();
}

void qm_process_freeze(void)
{
    raise(SIGSTOP);
}

static void note_interrupt(int signal)
{
    (void)signal;
    if (interrupted) {
        qm_file_drop_all();
        _exit(QM_EXIT_INTERRUPTED);
    }
    interrupted = 1;
}

void qm_interrupt_watch(void)
{
    struct sigaction action = {.sa_handler = note_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int qm_interrupted(void)
{
    return interrupted;
}

void qm_interrupt_ignore(void)
{
    signal(SIGINT, SIG_IGN);
}

void qm_file_limit_ignore(void)
{
    signal(SIGXFSZ, SIG_IGN);
}
