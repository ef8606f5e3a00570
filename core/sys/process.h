// A child process that is spoken to in lines: requests on its standard input, answers on its standard output.
#ifndef QM_SYS_PROCESS_H
#define QM_SYS_PROCESS_H

#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

struct qm_process;

// Starts `arguments[0]` (a path) with the arguments, which end with NULL. Its standard error is kept, the last 2,000
// bytes, for messages. `environment` ("NAME=value", ends with NULL; may be NULL) is set in it beside what this process
// has. The caller ends it with qm_process_end.
QM_MUST_USE enum qm_status qm_process_start(const char *const *arguments, const char *const *environment,
                                            struct qm_process **out);

// Writes the text and a newline. QM_FAILED where the child has ended.
QM_MUST_USE enum qm_status qm_process_send(struct qm_process *process, const char *text);

// Waits for the next line of at most 64 MiB, which the caller frees. QM_TIMEOUT after `timeout_ns`; QM_DEVICE_LOST where the child
// ended instead: the text says how ("ended by signal 11 (Segmentation fault)") and quotes the end of its standard error.
QM_MUST_USE enum qm_status qm_process_receive(struct qm_process *process, uint64_t timeout_ns, char **line);

uint32_t qm_process_pid(const struct qm_process *process);

// Closes the child's input, waits up to two seconds for it to end, then kills it. NULL is fine.
void qm_process_end(struct qm_process **process);

// For the child: a stream to what was standard output; from here on standard output is standard error, so that a
// driver's chatter does not get between the lines. NULL without a descriptor.
FILE *qm_process_take_output(void);

// The running program's own path.
QM_MUST_USE enum qm_status qm_process_own_path(char *path, size_t capacity);

// Ends this process as a driver's access to a bad address would: for tests.
void qm_process_crash(void);

// From here on an interrupt (Ctrl-C) or a request to terminate is noted instead of ending the process.
void qm_interrupt_watch(void);
int qm_interrupted(void);

#endif
