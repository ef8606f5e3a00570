// Faults for tests, planted in a worker by the environment variable QM_FAULT, "KIND=VALUE"; each in workers whose device
// id is QM_FAULT_DEVICE (any, if unset):
//   wrong-pass=N       the N-th run that keeps no logits (counted from 1) sees another token; SCHEME:N counts its runs alone
//   wrong-scored=N     the same of the N-th run that keeps its logits, in its first pass
//   wrong-answer=N     the N-th request to generate gives another first token; SCHEME:N counts its requests alone
//   wrong-serve=N      the N-th pass of requests that are served against the clock sees another token; SCHEME:N likewise
//   wrong-served=SCHEME  every such pass of this scheme does, and those that are checked, too
//   crash-answers=SCHEME  the process ends by a signal when it is asked to generate with this scheme
//   wrong-widen=1      one product of every scheme has the factor of another width, unless it is loaded as narrow
//   wrong-selftest=1   its self-test says that it is wrong
//   delay=SHARE        every run is held back by that share of its time (worker_device.h)
//   memory=BYTES       the driver says that there are no more
//   little=SEQUENCES   there is no memory for an engine of more sequences
//   no-memory=SCHEME   there is no memory for this scheme
//   crash=VERB         the process ends by a signal when it is asked for VERB
//   abort=VERB         it ends by an assertion
//   hang=VERB          it never answers
//   hang-kernel=NAME   it never comes back from running a kernel whose name begins so
//   freeze=VERB        the whole process stops, its signs of life with it
//   lost=VERB          the device counts as lost from then on
//   lost-once=VERB     the same, but not when the device is tried again
//   garbage=VERB       it writes bytes that are no JSON in place of the answer
//   zero=VERB          it writes a line with a zero byte
//   long=VERB          it writes a line of 100 MB
//   unasked=VERB       it writes an answer to nothing before the answer
//   chatter=VERB       it prints 8 MB to standard output and standard error, answers among them, and goes on
// A wrong kernel is planted with QM_PLANT_WRONG_KERNEL; see kernel_check.h.
#ifndef QM_BENCH_WORKER_FAULT_H
#define QM_BENCH_WORKER_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "base/status.h"
#include "sys/heartbeat.h"

// Reads what is planted; before this nothing is. `device` is the worker's, `attempt` the how manieth try of it.
void qm_fault_read(const char *device, uint32_t attempt);

// What follows the kind, or NULL where that is not planted.
const char *qm_fault_value(const char *kind);

// Puts planted functions in front of the device's.
void qm_fault_plant(struct qm_device *device);

// At the begin of a request: does what is planted for the verb. QM_DEVICE_LOST where the device counts as lost. `*is_mute` is
// set where no answer is to follow.
QM_MUST_USE enum qm_status qm_fault_request(const char *verb, struct qm_heartbeat *heartbeat, bool *is_mute);

// Whether this run of a scheme is the one that is to be wrong; called once per run.
bool qm_fault_is_wrong_run(const char *scheme, bool keeps_logits);
// At the begin of a request to generate; then, once per request, whether its answer is to be wrong.
void qm_fault_answers(const char *scheme);
bool qm_fault_is_wrong_answer(const char *scheme);

// Whether this pass of served requests is to be wrong; called once per pass.
bool qm_fault_is_wrong_serve(const char *scheme, bool is_timed);

// QM_OUT_OF_MEMORY where it is planted for this scheme, or for an engine of so many sequences.
QM_MUST_USE enum qm_status qm_fault_scheme(const char *scheme, uint64_t bytes);
QM_MUST_USE enum qm_status qm_fault_engine(uint32_t sequences);

#endif
