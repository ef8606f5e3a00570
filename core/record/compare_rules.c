// The rules of comparison: what a difference of each field means.
#include "record/compare_internal.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// The first pattern that fits decides; where none does, the component of the trade (components.c). '*' is any run of
// characters but '.', "**" any run at all; "[*]" an item.
static const struct rule {
    const char *pattern;
    enum qm_difference_class class;
    const char *why;
} rules[] = {
#define FATAL QM_DIFFERENCE_FATAL
#define NOTE QM_DIFFERENCE_NOTE
#define SUBJECT QM_DIFFERENCE_SUBJECT
#define IGNORED QM_DIFFERENCE_IGNORED
    {"hash", IGNORED, "it is over all the rest"},
    {"schema", FATAL, "keys may mean something else in another format"},
    {"samples**", IGNORED, "raw samples of each run"},
    {"run.class", NOTE, "a custom run may have chosen what suits the device"},
    {"run.**", IGNORED, "each run has its own time"},
    {"qmark.version", NOTE, "another version may time otherwise; kernel hashes tell whether it computes otherwise"},
    {"qmark.source", NOTE, "another source may time otherwise; kernel hashes tell whether it computes otherwise"},
    {"qmark.compiler", NOTE, "it built the host's part of the run"},
    {"host.**", NOTE, "the host feeds the device, and is the device of a software driver"},
    {"device.self_test**", NOTE, "a device that failed a check of itself may be wrong elsewhere too"},
    {"device.timer", NOTE, "timers of another resolution or kind see other overheads"},
    {"device.**", SUBJECT, "the devices that are compared"},

    {"conditions", NOTE, "the state of the host was looked at on one side only"},
    {"conditions.warnings", NOTE, "the state of the host was looked at on one side only"},
    {"conditions.warnings[*]", NOTE, "the host of one side was in a state that harms numbers"},
    {"conditions.warnings[*].text", IGNORED, "its code decides"},
    {"conditions.**", SUBJECT, "the state of each host"},

    {"ceilings", NOTE, "what the device gives at best was measured on one side only"},
    {"ceilings.seconds", IGNORED, "it is no property of the device"},
    {"ceilings.**", SUBJECT, "the devices that are compared"},

    {"start", NOTE, "the way to the first token was measured on one side only"},
    {"start.caches", NOTE, "kernels were compiled on one side, and taken from a cache on the other"},
    {"start.**", SUBJECT, "the way to the first token that is compared"},
    {"compile", NOTE, "the time of compilers was told on one side only"},
    {"compile.**", SUBJECT, "the compilers that are compared"},
    {"timing", NOTE, "what the clock and the noise are worth was looked at on one side only"},
    {"timing.order_seed", IGNORED, "the profile's decides"},
    {"timing.noise_floor", NOTE, "how much rates scatter was looked at on one side only"},
    {"timing.noise_floor.**", SUBJECT, "how much the rates of each machine scatter"},
    {"timing.device_clock", NOTE, "the device's clock was held against the host's on one side only"},
    {"timing.device_clock.verdict", NOTE, "the device's clock is worth more on one side"},
    {"timing.device_clock.**", SUBJECT, "the clocks of the devices"},
    {"timing.device_timer", NOTE, "device time was held against wall time on one side only"},
    {"timing.device_timer.verdict", NOTE,
     "device time is worth more on one side; where it is void, rates are wall rates"},
    {"timing.device_timer.**", SUBJECT, "the timers of the devices"},
    {"timing.host_overhead_us**", SUBJECT, "what each host adds to the device's time"},

    {"telemetry**", IGNORED, "where readings come from; what they say stands with each scheme"},
    {"conditions.warnings**", NOTE, "something beside the device disturbed one side"},
    {"conditions.governor", NOTE, "another governor lets the processor run at another clock"},
    {"conditions.turbo", NOTE, "one side could exceed its nominal clock"},
    {"conditions.battery", NOTE, "a device on battery may be held back"},
    {"conditions", NOTE, "the conditions of the host are told on one side only"},
    {"conditions**", IGNORED, "each run has its own; what matters is a warning"},
    {"model.layers_run", FATAL, "a part of the layers is another model, without an accuracy"},
    {"model.sha256", FATAL, "not the same model"},
    {"model.reference.name", IGNORED, "a label; the hash decides"},
    {"model.reference**", FATAL, "accuracy is against another model, or against none"},
    {"model.file**", IGNORED, "the hash decides"},
    {"model.parameters", FATAL, "not the same model"},
    {"model.widen", FATAL, "not the same amount of work per token"},
    {"model.weights_on_device", IGNORED, "it follows from the model and its widening"},
    {"model.operations_per_token", IGNORED, "it follows from the model and its widening"},
    {"model.fit", IGNORED, "the width itself decides"},
    {"model.cache_resident", NOTE, "in a cache on one side only, so that memory bandwidth counts on the other only"},
    {"model.name", IGNORED, "a label; the hash decides"},
    {"model.variant", IGNORED, "the hash decides"},
    {"model.architecture", IGNORED, "the hash decides"},
    {"model.padding", FATAL, "not the same amount of work per token"},
    {"model.quantization**", IGNORED, "the hash decides"},
    {"model.disclosure**", IGNORED, "the hash decides"},

    {"workload.evaluation.sha256", IGNORED, "profile.evaluation.sha256 decides"},
    {"workload.calibration.sha256", NOTE, "scales may differ; the artifact's id tells where they do"},
    {"workload.overlap", NOTE, "whether what is scored was calibrated on was looked at on one side only"},
    {"workload.overlap.overlapping", NOTE, "one side was scored on more of what it was calibrated on"},
    {"workload**", IGNORED, "what the files are made of; their hashes decide"},

    {"profile.schema", FATAL, "keys may mean something else in another format"},
    {"profile.name", IGNORED, "a label; its content decides"},
    {"profile.title", IGNORED, "a label"},
    {"profile.model", IGNORED, "the model's hash decides"},
    {"profile.evaluation.**", FATAL, "accuracy on another set is another number"},
    {"profile.calibration.**", NOTE, "scales may differ; the artifact's id tells where they do"},
    {"profile.schemes**", NOTE, "schemes of one side only are not compared"},
    {"profile.baseline", FATAL, "gains are over different schemes"},
    {"profile.prefill**", NOTE, "points of one side only are not compared"},
    {"profile.decode**", NOTE, "points of one side only are not compared"},
    {"profile.timing.protocol", FATAL, "interleaved and contiguous passes heat a device differently"},
    {"profile.timing.order_seed", NOTE, "schemes took turns in another order"},
    {"profile.timing.precision", NOTE, "one side was timed until its gains were known better"},
    {"profile.timing.seconds", NOTE, "one side had more time, and may have narrower intervals"},
    {"profile.timing.**", NOTE, "more passes give narrower intervals"},
    {"profile.sustained", NOTE, "a sustained run was asked for on one side only"},
    {"profile.sustained.phase", NOTE, "the sustained runs are of other work, so that they have no ratio"},
    {"profile.sustained.seconds", NOTE, "a longer run shows throttling that a shorter one does not"},
    {"profile.sustained.**", NOTE, "one side began its sustained run hotter"},
    {"profile.latency**", NOTE, "latency-bounded rates keep another bound"},
    {"profile.caches**", NOTE, "another size of cache was assumed: see model.cache_resident"},
    {"profile.gate**", IGNORED, "it decides what a gate does, and nothing of a run"},
    {"profile.policy.allow_smaller_batch", NOTE, "points tell the batch that was run"},
    {"profile.policy.**", FATAL, "launch overhead is in one rate and not in the other"},
    {"profile.fusions", NOTE, "one side ran each kernel on its own"},
    {"profile.tier", NOTE, "one side was held to a tier"},
    {"profile.tiles", FATAL, "tuned tiles show what a device can do, fixed ones what the kernels give as they are"},
    {"profile.widen", NOTE, "what was asked for; model.widen says how wide it was"},
    {"profile.bootstrap.confidence", NOTE, "intervals of another confidence have another width"},
    {"profile.bootstrap.**", NOTE, "intervals were drawn otherwise; their ends move a little"},
    {"profile.acceptance.**", NOTE, "verdicts are about different bounds"},
    {"profile.deployment", NOTE, "requests were served on one side only"},
    {"profile.deployment.bounds**", FATAL, "the bounds that requests are judged by are others"},
    {"profile.deployment.rounds", NOTE, "more rounds give narrower intervals"},
    {"profile.deployment.sha256", FATAL, "not the same requests were served"},
    {"profile.deployment.concurrency", FATAL, "not as many requests were under way at a time"},
    {"profile.deployment.chunk_tokens", FATAL, "prompts were cut otherwise, so that other passes ran"},
    {"profile.deployment.**", IGNORED, "where the requests come from; their hash decides"},

    {"schemes[*]", NOTE, "measured on one side only"},
    {"schemes[*].identity", FATAL, "one label for two schemes"},
    {"schemes[*].formats_sha256", IGNORED, "part of the identity"},
    {"schemes[*].formats_activations", IGNORED, "part of the identity"},
    {"schemes[*].accuracy.reference", IGNORED, "model.reference decides"},
    {"schemes[*].status", NOTE, "no speed on one side, for the reason given there"},
    {"schemes[*].reason", NOTE, "no speed on one side, for the reason given there"},
    {"schemes[*].artifact.repack_ms", SUBJECT, "what each host took to load it"},
    {"schemes[*].artifact.layout", NOTE, "repacked for the device, at the device's advantage"},
    {"schemes[*].artifact**", FATAL, "not the same weights and scales"},
    {"schemes[*].disclosure.calibration_method.clipped_fraction", FATAL, "not the same scales"},
    {"schemes[*].disclosure.calibration_method.error_*", FATAL, "not the same codes"},
    {"schemes[*].disclosure.evaluation_set.name", NOTE, "a label; the hash decides"},
    {"schemes[*].disclosure.evaluation_set**", FATAL, "accuracy on another set is another number"},
    {"schemes[*].disclosure.reference**", NOTE, "the fp32 reference was computed otherwise"},
    {"schemes[*].disclosure.tool_chain.kernel_hash", FATAL, "not the same arithmetic"},
    {"schemes[*].disclosure.tool_chain.tiles", FATAL,
     "tuned tiles show what a device can do, fixed ones what the "
     "kernels give as they are"},
    {"schemes[*].disclosure.tool_chain.timer", NOTE, "device time leaves out what wall time holds; compare wall rates"},
    {"schemes[*].disclosure.tool_chain.tuned", NOTE, "tuned configurations are each device's own"},
    {"schemes[*].disclosure.tool_chain.fusions", NOTE, "the same bits in fewer dispatches and passes over memory"},
    {"schemes[*].disclosure.tool_chain.policy", FATAL, "launch overhead is in one rate and not in the other"},
    {"schemes[*].disclosure.tool_chain.build_options", NOTE, "options may change speed and the last bits of floats"},
    {"schemes[*].disclosure.tool_chain.driver", SUBJECT, "the drivers that are compared"},
    {"schemes[*].disclosure.tool_chain.loader", SUBJECT, "the way to the drivers that are compared"},
    {"schemes[*].disclosure.tool_chain.compiler", NOTE, "another compiler may give other code from one source"},
    {"schemes[*].disclosure.tool_chain.binary_hash", NOTE, "the code differs, though its source may not"},
    {"schemes[*].disclosure.tool_chain", FATAL, "what ran is told on one side only"},
    {"schemes[*].disclosure", FATAL, "what was measured is told on one side only"},
    {"schemes[*].accuracy.bootstrap.**", NOTE, "intervals were drawn otherwise"},
    {"schemes[*].accuracy.tokens", FATAL, "not the same tokens were scored"},
    {"schemes[*].accuracy.sequences", FATAL, "not the same tokens were scored"},
    {"schemes[*].accuracy.decode.tokens", NOTE, "not the same decode steps were scored"},
    {"schemes[*].accuracy.exact_match.examples", FATAL, "not the same examples were graded"},
    {"schemes[*].accuracy.exact_match.non_inferiority", NOTE, "judged on one side only"},
    {"schemes[*].accuracy.exact_match.non_inferiority[*]", NOTE, "a threshold of one side only"},
    {"schemes[*].accuracy.answers.examples", FATAL, "not the same examples were answered"},
    {"schemes[*].accuracy.answers.choices[*].examples", FATAL, "not the same examples were answered"},
    {"schemes[*].accuracy.answers.choices[*].reference", NOTE, "the fp32 reference itself differs"},
    {"schemes[*].accuracy.answers.reference**", NOTE, "the fp32 reference itself differs"},
    {"schemes[*].accuracy.answers.*_reference", NOTE, "the fp32 reference itself differs"},
    {"schemes[*].accuracy.answers", NOTE, "examples were answered on one side only"},
    {"schemes[*].accuracy.details", NOTE, "measured on one side only"},
    {"schemes[*].accuracy.details[*].reference", NOTE, "the fp32 reference itself differs"},
    {"schemes[*].accuracy.details[*].tokens", FATAL, "not the same tokens were scored"},
    {"schemes[*].accuracy.details[*]", NOTE, "a number of one side only"},
    {"schemes[*].accuracy.sets", FATAL, "several evaluation sets on one side only"},
    {"schemes[*].accuracy.sets.seeds[*]", FATAL, "an evaluation set of one side only"},
    {"schemes[*].accuracy.tasks[*].graded", FATAL, "not the same tasks are graded"},
    {"schemes[*].accuracy.tasks[*].examples", FATAL, "not the same examples"},
    {"schemes[*].accuracy.tasks[*]", FATAL, "a task of one side only"},
    {"schemes[*].accuracy.acceptance.criteria[*].bound", NOTE, "verdicts are about different bounds"},
    {"schemes[*].accuracy.acceptance.criteria[*]", NOTE, "a bound of one side only"},
    {"schemes[*].accuracy", NOTE, "accuracy was measured on one side only"},
    {"schemes[*].accuracy.perplexity.reference", NOTE, "the fp32 reference itself differs"},
    {"schemes[*].accuracy.backend_check.bound", NOTE, "wrong means something else"},
    {"schemes[*].widening.bound", NOTE, "wrong means something else"},
    {"schemes[*].widening**", SUBJECT, "how true each device is to the narrow model, and whether tiles gain there"},
    {"schemes[*].throughput[*].tier", NOTE, "other instructions: the tier is part of what a device can do"},
    {"schemes[*].throughput[*].widen", FATAL, "not the same amount of work per token"},
    {"schemes[*].throughput[*].protocol", FATAL, "interleaved and contiguous passes heat a device differently"},
    {"schemes[*].throughput[*].timer", NOTE, "device time leaves out what wall time holds; compare wall rates"},
    {"schemes[*].throughput[*].batch_asked", NOTE, "the memory of one side was too small for the batch of the profile"},
    {"schemes[*].throughput[*].passes", NOTE, "more passes give narrower intervals"},
    {"schemes[*].throughput[*].stopped", NOTE, "one side ran out of time before its gains were known as well"},
    {"schemes[*].throughput[*].oddities", SUBJECT, "what each side's times look like; see it before trusting a ratio"},
    {"schemes[*].throughput[*].rate_per_user_tokens_per_s", SUBJECT, "the speed that is compared"},
    {"schemes[*].throughput[*].time_to_first_token_ms**", SUBJECT, "the waiting that is compared"},
    {"schemes[*].throughput[*]", NOTE, "a point of one side only"},
    {"schemes[*].gain[*].batch_asked", NOTE, "the memory of one side was too small for the batch of the profile"},
    {"schemes[*].gain[*].baseline", FATAL, "gains are over different schemes"},
    {"schemes[*].gain[*]", NOTE, "a gain of one side only"},
    {"schemes[*].latency_bounded", NOTE, "judged on one side only"},
    {"schemes[*].latency_bounded.p99_ms_at_most", NOTE, "latency-bounded rates keep another bound"},
    {"schemes[*].latency_bounded.**", SUBJECT, "the speed that is compared"},
    {"schemes[*].sustained", NOTE, "sustained rates were measured on one side only"},
    {"schemes[*].sustained.phase", NOTE, "the sustained runs are of other work, so that they have no ratio"},
    {"schemes[*].sustained.batch", NOTE, "the sustained runs are of other work, so that they have no ratio"},
    {"schemes[*].sustained.prompt", NOTE, "the sustained runs are of other work, so that they have no ratio"},
    {"schemes[*].sustained.depth", NOTE, "the sustained runs are of other work, so that they have no ratio"},
    {"schemes[*].sustained.unit", NOTE, "the sustained rates count other things, so that they have no ratio"},
    {"schemes[*].sustained.steady", NOTE, "only two steady rates have a ratio"},
    {"schemes[*].sustained.remark", IGNORED, "it follows from the windows"},
    {"schemes[*].sustained.telemetry.energy_from", NOTE, "power times time is rougher than a counter"},
    {"schemes[*].sustained.**", SUBJECT, "the rate that holds, and what was seen while it ran"},
    {"schemes[*].deployment", NOTE, "requests were served on one side only"},
    {"schemes[*].deployment.rounds", NOTE, "more rounds give narrower intervals"},
    {"schemes[*].deployment.check.*bound", NOTE, "wrong means something else"},
    {"schemes[*].deployment.check.tokens", NOTE, "another sample of the requests was compared with them alone"},
    {"schemes[*].deployment.tokens_fold", SUBJECT, "greedy tokens, which differ where the arithmetic does"},
    {"schemes[*].deployment.**", SUBJECT, "how requests fared"},
    {"schemes[*].memory.cache", NOTE, "in a cache on one side only, so that memory bandwidth counts on the other only"},
    {"schemes[*].memory**", SUBJECT, "the memory that is compared"},
    {"schemes[*].kernels[*].hash", NOTE,
     "the same arithmetic (tool_chain.kernel_hash decides) in another configuration: see tier and tile"},
    {"schemes[*].kernels[*].tier", NOTE, "other instructions: the tier is part of what a device can do"},
    {"schemes[*].kernels[*].tile", NOTE, "other tiles: the kernel is cut otherwise"},
    {"schemes[*].kernels[*].bound", NOTE, "wrong means something else"},
    {"schemes[*].kernels[*]", NOTE, "a kernel of one side only"},
    {"schemes[*].kernels**", SUBJECT, "the speed that is compared"},
#undef FATAL
#undef NOTE
#undef SUBJECT
#undef IGNORED
};

static const char unknown_field[] = "a field that this qmark does not know: it may matter";

static bool fits(const char *pattern, const char *path)
{
    for (; *pattern; pattern++, path++) {
        bool any = pattern[0] == '*' && pattern[1] == '*';
        if (*pattern == '*') {
            const char *rest = pattern + (any ? 2 : 1);
            // Names of items may hold dots, so that within brackets only the end of the brackets stops a '*'.
            bool in_brackets = *rest == ']';
            for (;; path++) {
                if (fits(rest, path))
                    return true;
                if (!*path || (!any && *path == (in_brackets ? ']' : '.')))
                    return false;
            }
        }
        if (*pattern != *path)
            return false;
    }
    return !*path;
}

static struct qm_judgement judge(const char *path)
{
    const struct qm_component *component = qm_component_of_path(path);
    // Most paths and half of the rules begin alike; of items without a name that needs no search.
    static const char start[] = "schemes[].", start_of_rule[] = "schemes[*].";
    const bool is_below = strncmp(path, start, sizeof(start) - 1) == 0;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const char *pattern = rules[i].pattern;
        bool both = is_below && strncmp(pattern, start_of_rule, sizeof(start_of_rule) - 1) == 0;
        size_t skipped = both ? sizeof(start) - 1 : 0;
        if (fits(pattern + skipped + both, path + skipped))
            return (struct qm_judgement){rules[i].class, rules[i].why, component};
    }
    return (struct qm_judgement){component ? component->difference : QM_DIFFERENCE_NOTE,
                                 component ? component->why_differs : unknown_field, component};
}

enum qm_difference_class qm_compare_rule(const char *path, const char **why)
{
    struct qm_judgement judgement = judge(path);
    if (why)
        *why = judgement.why;
    return judgement.class;
}

// The same few hundred paths are asked for again and again, for every item of a list and every result.
enum {
    MEMO_COUNT = 1024,
    MEMO_PATH_BYTES = 100
};

static _Thread_local struct memo {
    uint64_t hash;
    struct qm_judgement judgement;
    char path[MEMO_PATH_BYTES]; // "": empty
} memos[MEMO_COUNT];

struct qm_judgement qm_compare_judge(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325u; // FNV-1a
    size_t length = 0;
    for (; path[length]; length++)
        hash = (hash ^ (unsigned char)path[length]) * 0x100000001b3u;
    if (length == 0 || length >= MEMO_PATH_BYTES)
        return judge(path);
    struct memo *memo = &memos[(hash ^ hash >> 32) % MEMO_COUNT];
    if (memo->hash != hash || strcmp(memo->path, path) != 0) {
        memo->hash = hash;
        memo->judgement = judge(path);
        memcpy(memo->path, path, length + 1);
    }
    return memo->judgement;
}
