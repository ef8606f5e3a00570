// Profiles: what to run, on which sets, how to time it and what to accept, in a YAML file of explicit rows.
//
// Nothing has a default that could change a published number: every key below must be there, in the file or in the one
// that it `extends` (one level). Of mappings the extending file may give some keys only; lists it gives whole.
//
//   schema: 1                 extends: quick (optional; a stock profile's name or a path)
//   name, title               title is optional
//   model: built-in | built-in-outliers   optional: built-in; model/outliers.h says what the other is
//   schemes: [f16, w8a8]      baseline: f16 (one of the schemes; gains are over it)
//   evaluation: {set: built-in, seed, windows, window_tokens, scored_tokens, sets (optional: 1)}
//   calibration: {set: built-in | built-in-evaluation, seed, windows, window_tokens}; the second: of the evaluation split
//   either of them, of a user's file that --eval or --calib names (evaluation_user.h):
//     {set: text | examples, sha256: none or of what is scored, windows, window_tokens, scored_tokens (evaluation alone),
//      file_windows, file_window_tokens (both optional), stride, compat: none | llama-perplexity}; the last three of a text
//      that is scored
//   prefill: [{batch, prompt}]          decode: [{batch, depth, steps}]
//   timing: {protocol: paired, warmup, repeats, precision, seconds, order_seed}
//   sustained: {phase: decode | prefill | none, seconds, cool_down_s, temperature_most_c: none or a number}
//   latency: {p99_ms}         caches: {last_level_bytes: host or a number}
//   gate: {false_alarm, minimum_effect, tolerance, seconds}; profile_measure.c reads these, score/gate.h explains the last
//   policy: {dispatches_per_submission, submission_ms, allow_smaller_batch: true | false}
//   tier: best | base | TIER         tiles: fixed | tuned         widen: 1 .. 64 | fit
//   fusions: on | off         optional: whether passes do at once what saves passes over memory; on unless given
//   bootstrap: {seed, resamples, confidence}
//   acceptance: {at_most: {METRIC: bound}, at_least: {METRIC: bound}}
//   deployment                optional: requests that are served after everything was timed, as workload/deployment.h has it;
//                             a relative path of its trace begins at the profile's place
#ifndef QM_BENCH_PROFILE_H
#define QM_BENCH_PROFILE_H

#include "base/hash.h"
#include "base/status.h"
#include "quant/scheme.h"
#include "score/acceptance.h"
#include "score/gate.h"
#include "sys/file.h"
#include "workload/deployment.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_node;

enum {
    QM_PROFILE_SCHEMA = 1,
    QM_PROFILE_SCHEMES_MAX = 64,
    QM_PROFILE_POINTS_MAX = 64, // of prefill, and of decode
    QM_PROFILE_CRITERIA_MAX = 16,
    QM_PROFILE_NAME_BYTES = 64,
    QM_PROFILE_TITLE_BYTES = 256,
};

enum qm_set_kind {
    QM_SET_BUILT_IN = 0,
    QM_SET_OF_EVALUATION, // built in; calibration alone: its examples come from the split that is scored
    QM_SET_TEXT,          // a user's text
    QM_SET_EXAMPLES,      // a user's examples
    QM_SET_KINDS
};

struct qm_profile_set {
    enum qm_set_kind kind;
    uint64_t seed; // of built-in sets
    uint32_t windows;
    uint32_t window_tokens;
    uint32_t scored_tokens; // at least so many must be scored; 0 for calibration
    uint32_t sets; // the windows are those of so many sets, of seeds seed, seed + 1, ..., in equal parts; 0 as 1
    char sha256[QM_HASH_TEXT_BYTES]; // of a user's set, windows and marks; "": not known yet
    // Of a user's set that is scored: windows or examples of the file, and tokens of a text's windows; the rest is what
    // points need beyond them. 0: all, and window_tokens.
    uint32_t file_windows, file_window_tokens;
    uint32_t stride;    // of a user's text that is scored; 0: chunks one after the other
    bool is_compatible; // likewise: cut and scored as llama-perplexity does
};
bool qm_profile_set_is_users(const struct qm_profile_set *set);

struct qm_profile_prefill {
    uint32_t batch;
    uint32_t prompt; // tokens
};

struct qm_profile_decode {
    uint32_t batch;
    uint32_t depth; // tokens in the cache before the first step
    uint32_t steps;
};

// As enum qm_tier has them, with one more: every device is held to the tier, and one that lacks it fails.
enum qm_profile_tier {
    QM_PROFILE_TIER_BASE, // the portable floor
    QM_PROFILE_TIER_TEXEL,
    QM_PROFILE_TIER_F16,
    QM_PROFILE_TIER_DOT,
    QM_PROFILE_TIER_SUBGROUP,
    QM_PROFILE_TIER_MATRIX,
    QM_PROFILE_TIER_BEST, // the tiers that suit the device, of those that it proved; results differ in tier
};

enum qm_profile_model {
    QM_PROFILE_MODEL_BUILT_IN = 0,
    QM_PROFILE_MODEL_OUTLIERS, // the built-in model's variant with injected outliers
};

enum qm_profile_sustained {
    QM_PROFILE_SUSTAINED_NONE,
    QM_PROFILE_SUSTAINED_DECODE,
    QM_PROFILE_SUSTAINED_PREFILL,
};

// The widest that a profile and --widen ask for.
#define QM_PROFILE_WIDEN_MAX 64

enum {
    QM_GATE_OPENINGS = 16, // where a profile does not say
    QM_GATE_OPENINGS_MAX = 64
};

struct qm_profile {
    char name[QM_PROFILE_NAME_BYTES];
    char title[QM_PROFILE_TITLE_BYTES];
    char path[QM_PATH_BYTES]; // of the file that was read

    enum qm_profile_model model;
    struct qm_scheme schemes[QM_PROFILE_SCHEMES_MAX]; // in the file's order, no two equal
    size_t scheme_count;
    size_t baseline; // index into schemes

    struct qm_profile_set evaluation;
    struct qm_profile_set calibration;

    struct qm_profile_prefill prefill[QM_PROFILE_POINTS_MAX];
    size_t prefill_count;
    struct qm_profile_decode decode[QM_PROFILE_POINTS_MAX];
    size_t decode_count;

    uint32_t warmup;     // passes before the timed ones
    uint32_t repeats;    // timed passes of every point, at least
    double precision;    // ... and on until the half width of every gain's interval is at most this fraction
    double seconds;      // ... or the point has taken so long
    uint64_t order_seed; // of the order in which schemes take turns

    enum qm_profile_sustained sustained; // at the last decode or the last prefill point
    double sustained_s;                  // of each scheme
    double cool_down_s;                  // waited before each scheme
    double temperature_most_c;  // ... and on, as long again at most, until the device is no warmer; 0: no matter
    double latency_p99_ms;      // bound of the latency-bounded rate
    uint64_t last_level_bytes;  // cache of the device; 0: the host's for devices on the processor, else unknown
    struct qm_gate_params gate; // `rows` is filled by who gates
    double gate_s;              // of each row
    uint32_t gate_openings;     // of both sides, in each of which a row gets its part of gate_s; even

    uint32_t dispatches_per_submission; // 0: no limit but submission_ms
    uint32_t submission_ms;             // what a submission is sized to, at most
    bool allows_smaller_batch;          // decode points whose batch does not fit are run with the next power of two
    enum qm_profile_tier tier;
    bool is_tuned;   // tiles: tuned
    bool is_unfused; // fusions: off
    uint32_t widen;  // a power of two from 1 to QM_PROFILE_WIDEN_MAX
    bool is_fit;     // widen: fit; `widen` is 1, and each device is asked how wide a model it holds

    struct qm_bootstrap bootstrap;
    struct qm_criterion criteria[QM_PROFILE_CRITERIA_MAX];
    size_t criterion_count;

    bool has_deployment;
    struct qm_deployment deployment;
    uint64_t served_prompt_tokens, served_output_tokens; // of its requests, once they are known; no part of the profile

    bool is_stock;                 // equal to the stock profile of its name: part of `class: standard`
    char hash[QM_HASH_TEXT_BYTES]; // content hash of the expanded profile
};

// Reads a profile by a stock profile's name ("quick") or by a path (with a '/' or ending in .yaml). QM_INVALID with
// "file:line: what is wrong; what would be right". Large: put `out` on the heap or make it static.
QM_MUST_USE enum qm_status qm_profile_load(const char *name_or_path, struct qm_profile *out);

// The same from a tree that was read or built, such as the expanded profile in a result; it may not extend another.
QM_MUST_USE enum qm_status qm_profile_read(const struct qm_node *node, struct qm_profile *out);

// The expanded profile, every key in its order, as stored in a result; qm_profile_read reads it back. The caller
// destroys it. NULL without memory.
QM_MUST_USE struct qm_node *qm_profile_expand(const struct qm_profile *profile);

// Keeps only the schemes named in a list such as "w8a8,w4a16-g32", and the baseline, in the profile's order; a named
// scheme that the profile lacks is added at the end. The profile is no longer stock unless nothing changed.
QM_MUST_USE enum qm_status qm_profile_select_schemes(struct qm_profile *profile, const char *list);

// Replaces the bound of exact_match_ratio by `at_least`, a number above 0 and at most 1 such as "0.99", or adds it.
QM_MUST_USE enum qm_status qm_profile_set_exact_match(struct qm_profile *profile, const char *at_least);

// The model that a name stands for: "built-in", "built-in-outliers". False for any other text.
bool qm_profile_model_find(const char *name, enum qm_profile_model *out);

// Recomputes `hash` and `is_stock` after a change by hand, such as --eval-seed.
QM_MUST_USE enum qm_status qm_profile_update(struct qm_profile *profile);

// "best", "base", "dot", ...
const char *qm_profile_tier_name(enum qm_profile_tier tier);
// Replaces the profile's tier, as --tier does. QM_INVALID with the list for a name that is none.
QM_MUST_USE enum qm_status qm_profile_set_tier(struct qm_profile *profile, const char *name);
// Likewise its tiles: "fixed" or "tuned".
QM_MUST_USE enum qm_status qm_profile_set_tiles(struct qm_profile *profile, const char *name);

#endif
