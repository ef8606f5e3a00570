// A child process that is spoken to in lines: requests on its standard input, answers on its standard output.
#ifndef QM_SYS_PROCESS_H
#define QM_SYS_PROCESS_H

#include <stdbool.h>
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

// Waits for the next line of at most 16 MiB, which the caller frees. QM_TIMEOUT after `timeout_ns`, in which time that this
// process itself was stopped does not count; QM_INTERRUPTED after an interrupt; QM_INVALID for a line that is longer
// or holds a zero byte; QM_DEVICE_LOST where the child ended instead: the text says how ("ended by signal 11
// (Segmentation fault)") and quotes the end of its standard error.
QM_MUST_USE enum qm_status qm_process_receive(struct qm_process *process, uint64_t timeout_ns, char **line);

// For a child that reads all of its input before it answers: nothing more will be sent.
void qm_process_finish(struct qm_process *process);
// Whether it has ended, by itself and with code 0.
bool qm_process_succeeded(const struct qm_process *process);

uint32_t qm_process_pid(const struct qm_process *process);

// Ends the child at once; qm_process_end is still to be called.
void qm_process_kill(struct qm_process *process);

// Closes the child's input, waits up to two seconds for it to end, then kills it. One that a driver keeps from ending
// even then is left to the system after ten seconds more. NULL is fine.
void qm_process_end(struct qm_process **process);

// For the child: from here on it is killed when its parent ends, however that ends. End of input alone would not do, for a
// child may wait in its driver for ever. False where the parent, process number `parent`, has ended already.
bool qm_process_end_with(uint32_t parent);

// Whether there is a process of that number.
bool qm_process_exists(uint32_t pid);

// For the child: a stream to what was standard output; from here on standard output is standard error, so that a
// driver's chatter does not get between the lines. NULL without a descriptor.
FILE *qm_process_take_output(void);

// The running program's own path.
QM_MUST_USE enum qm_status qm_process_own_path(char *path, size_t capacity);

// For tests. Ends this process as a driver's access to a bad address would; as a driver's assertion would; stops it.
void qm_process_crash(void);
void qm_process_abort(void);
void qm_process_freeze(void);

// From here on an interrupt (Ctrl-C) or a request to terminate is noted instead of ending the process. A second one ends
// it at once, with exit code 130 and without leaving staged files (sys/file.h).
void qm_interrupt_watch(void);
int qm_interrupted(void);
// For a child that must outlive Ctrl-C on its terminal until its parent ends it.
void qm_interrupt_ignore(void);

// A file that may not grow further is an error of that write, not the end of the process.
void qm_file_limit_ignore(void);

#endif
