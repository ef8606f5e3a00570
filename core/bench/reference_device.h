// The fp32 reference of models of real size by a device, in f32 with an f32 KV cache, in place of the host's pass: what a run
// with --reference-on-device is scored against. It goes through the ordinary worker, kernels and engine, a window at a time,
// so that the host holds the logits of one, and is kept beside the host's (reference_host.h), by a key over device, driver
// and kernels:
//
//   CACHE/host/KEY/rows-C-P    as the host's; a chunk is a window
//   CACHE/host/KEY/sample-W    logits of some positions of the first and the last window, which are compared
//   CACHE/host/KEY/check       what comparing them with the host's pass gave
//
// A device is believed on the word of no driver: of the first and the last window 16 positions each, the last ones among
// them, which see all before them, must have the host's log-probabilities within QM_REFERENCE_DIFFERENCE_MAX.
#ifndef QM_BENCH_REFERENCE_DEVICE_H
#define QM_BENCH_REFERENCE_DEVICE_H

#include "bench/reference_host.h"

struct qm_device_entry;

// Who computes, for a result, and as a hash over device, driver, kernels and tier for keys.
QM_MUST_USE enum qm_status qm_reference_device_identify(const struct qm_reference_params *params,
                                                        const struct qm_device_entry *device,
                                                        struct qm_reference_device_facts *facts,
                                                        char identity[QM_HASH_TEXT_BYTES]);

#define QM_REFERENCE_SAMPLE_WINDOWS 2
#define QM_REFERENCE_SAMPLE_TOKENS 16 // of each, or all where it has fewer

// As qm_reference_host_rows, by the first of params->on_device that can; `options` say what is kept and what the host multiplies
// with. Devices without the memory, or without what the kernels take, are passed over, which the rows tell; where none is left,
// QM_INVALID with each one's reason. QM_WRONG_RESULT where device and host differ, and nothing of it is kept.
QM_MUST_USE enum qm_status qm_reference_device_rows(const struct qm_reference_params *params,
                                                    const struct qm_evaluation *evaluation, uint32_t dense_windows,
                                                    const struct qm_reference_host_options *options,
                                                    struct qm_reference_rows **out);

#endif
