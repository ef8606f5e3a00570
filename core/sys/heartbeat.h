// Signs of life: while a process works on something, a thread of it writes a line each second that says on what, so that
// whoever waits can tell long work from a hang, and a hang from a process that is stopped. All lines of the stream go
// through here, under one lock, and never get between each other.
#ifndef QM_SYS_HEARTBEAT_H
#define QM_SYS_HEARTBEAT_H

#include "base/status.h"

#include <stdint.h>
#include <stdio.h>

struct qm_heartbeat;

enum {
    QM_HEARTBEAT_NOTE_BYTES = 160
};

struct qm_heartbeat_params {
    FILE *output;               // the caller closes it, after qm_heartbeat_stop
    const char *before, *after; // what stands around the note in a line: "{\"at\":\"" and "\"}"
    uint64_t period_ns;
};

// QM_FAILED where no thread can be made. One at a time in a process.
QM_MUST_USE enum qm_status qm_heartbeat_start(const struct qm_heartbeat_params *params, struct qm_heartbeat **out);

// Between these two there is work, and a line each period. qm_heartbeat_answer writes `line` and a newline.
void qm_heartbeat_work(struct qm_heartbeat *heartbeat);
void qm_heartbeat_answer(struct qm_heartbeat *heartbeat, const char *line);

// Writes bytes as they are, for tests of a writer that keeps to nothing.
void qm_heartbeat_write(struct qm_heartbeat *heartbeat, const void *bytes, size_t count);

void qm_heartbeat_stop(struct qm_heartbeat **heartbeat);

// What is being worked on, from any thread and any part: "kernel matvec-w8-a8, rows 1, n 512". Quotes, backslashes and
// bytes outside ASCII become blanks, and what is beyond QM_HEARTBEAT_NOTE_BYTES is cut, so that it may stand in a
// quoted text. Without a heartbeat it is kept and told to nobody.
void qm_heartbeat_note(const char *format, ...) QM_PRINTF(1, 2);

#endif
