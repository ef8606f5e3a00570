// What `qmark run` was asked for, and how a run goes on with what an earlier one has left.
#ifndef QM_CLI_RUN_OPTIONS_H
#define QM_CLI_RUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/devices.h"
#include "bench/journal.h"
#include "bench/prepare.h"

struct qm_run_options {
    // NULL, UINT64_MAX or false: not given.
    const char *profile, *devices, *schemes, *model, *reference, *exact_match, *tier, *tiles;
    const char *evaluation_file, *calibration_file, *deployment_file, *compat;
    uint64_t evaluation_seed, widen, layers, evaluation_window, evaluation_stride, evaluation_windows;
    bool fits, allows_overlap, embeds_texts, is_debug;
    const char *reference_device; // of --reference-on-device; "": the first of `devices` that can
    // Of this start of the program alone, in no journal.
    const char *directory, *progress;
    bool as_json, resumes, shows_flips;
};

// Puts what was given into the journal.
QM_MUST_USE enum qm_status qm_run_options_keep(const struct qm_run_options *options, struct qm_journal *journal);

// Takes what was given for the run of the journal, whose texts must stay. QM_INVALID for one that was given now and was not
// the same then.
QM_MUST_USE enum qm_status qm_run_options_resume(struct qm_run_options *options, const struct qm_journal *journal);

// The devices that may compute the fp32 reference, in the order in which they are tried: those that --reference-on-device names,
// or those of the run, real ones before software drivers. QM_INVALID where there is none.
QM_MUST_USE enum qm_status qm_run_reference_devices(const struct qm_run_options *options,
                                                    const struct qm_device_list *devices, struct qm_device_list *out);

// What must be the same in the run that is resumed.
void qm_run_identity(const struct qm_preparation *preparation, struct qm_journal_identity *out);
QM_MUST_USE enum qm_status qm_run_check_identity(const struct qm_journal_identity *now,
                                                 const struct qm_journal_identity *then);

// Keeps of the machine's devices those of the journal, in its order, and puts into `rows` the journal's row of each.
// QM_INVALID where one has another driver now. One that is not there any more is told on stderr and counted in `absent`
// if it was not done.
QM_MUST_USE enum qm_status qm_run_match_devices(const struct qm_journal *journal, struct qm_device_list *list,
                                                size_t rows[QM_DEVICE_LIST_MAX], size_t *absent);

#endif
