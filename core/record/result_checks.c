#include "record/result_checks.h"

#include <stdbool.h>
#include <string.h>

#define RAW QM_CHECK_RAW
#define RELATED QM_CHECK_RELATED
#define PROFILE QM_CHECK_PROFILE
#define SAMPLES QM_CHECK_SAMPLES
#define BUILD QM_CHECK_BUILD
#define PLACE "schemes[].disclosure."

static const struct qm_result_check_rule rules[] = {
    {"schema", PROFILE, "the version of the format, 1"},
    {"qmark", RAW, "which program measured is told by the program"},
    {"run", PROFILE, "the keys that it holds"},
    {"run.started", RELATED, "a time of day that is not after run.finished"},
    {"run.finished", RELATED, "a time of day that is not before run.started"},
    {"run.class", PROFILE, "profile and qmark.source"},
    {"run.profile_hash", PROFILE, "content hash of profile"},
    {"host", RAW, "seen by the run alone"},
    {"device", RAW, "seen by the run alone"},
    {"device.name", RELATED, "samples.file is named after it"},
    {"device.api", RELATED, "samples.file is named after it, and build options follow from it"},
    {"device.driver_version", RELATED, "stands in every tool_chain"},
    {"device.loader", RELATED, "stands in every tool_chain"},
    {"device.submission", RAW, "seen by the run alone"},
    {"device.ordinal", RELATED, "samples.file is named after it"},
    {"device.self_test.status", RELATED, "no scheme is ok where it is wrong"},
    {"device.timer", PROFILE, "device.self_test.timer"},
    {"compile", RAW, "seen by the run alone"},
    {"ceilings", RAW, "samples of them are not kept"},
    {"start", RAW, "seen by the run alone"},
    {"telemetry", RAW, "seen by the run alone"},
    {"conditions", RAW, "seen by the run alone"},
    {"timing", SAMPLES, "times, pairs of clock readings, and the baseline against itself"},
    {"timing.order_seed", PROFILE, "profile.timing.order_seed"},
    {"model", RELATED, "the built-in model's are known"},
    {"model.name", RELATED, "where it is the built-in model's, so is the hash"},
    {"model.variant", PROFILE, "profile.model"},
    {"model.layers_run", RELATED, "there where nothing was scored and yet a scheme is ok"},
    {"model.sha256", PROFILE, "the built-in model; of any other it is raw"},
    {"model.reference", RAW, "the model that a user named"},
    {"model.file", RAW, "what a user's file says of itself"},
    {"model.parameters", PROFILE, "the built-in model; of any other it is raw"},
    {"model.architecture", PROFILE, "the built-in model; of any other model it is raw"},
    {"model.padding", PROFILE, "the built-in model; of any other model it is raw"},
    {"model.widen", PROFILE, "profile.widen; where that is fit, a power of two up to 64"},
    {"model.weights_on_device", PROFILE, "the built-in model and model.widen; of any other model it is raw"},
    {"model.operations_per_token", PROFILE, "the built-in model and model.widen; of any other model it is raw"},
    {"model.fit", RELATED, "there where profile.widen is fit; what it says is the device's"},
    {"model.cache_resident", RAW, "qmark cannot tell yet"},
    {"model.disclosure", RAW, "the model's files say it, which are not looked at"},
    {"model.quantization", RAW, "the model's files say it, which are not looked at"},
    {"workload", RAW, "the texts are the user's own"},
    {"profile", PROFILE, "run.profile_hash, and that it is expanded: every key, in its form"},
    {"samples", RELATED, "there where anything was scored"},
    {"samples.file", PROFILE, "device.name, device.ordinal and device.api"},
    {"samples.sha256", SAMPLES, "the file's bytes"},
    {"schemes", PROFILE, "profile.schemes, in its order"},
    {"schemes[].name", PROFILE, "profile.schemes"},
    {"schemes[].identity", PROFILE, "the scheme's name, of file with formats_sha256"},
    {"schemes[].formats_sha256", RELATED, "the identity follows from it"},
    {"schemes[].formats_activations", RELATED, "the disclosure of activations follows from it"},
    {"schemes[].disclosure", PROFILE, "the scheme"},
    {"schemes[].status", RELATED, "one that is ok has all its samples, and is within its bounds"},
    {"schemes[].reason", RELATED, "there where status is not ok; what it says was seen by the run alone"},
    {"schemes[].artifact", RELATED, "a mapping, or absent"},
    {"schemes[].artifact.id", RELATED, "64 digits; equal for schemes with one artifact and for no others"},
    {"schemes[].artifact.layout", PROFILE, "the layout that there is"},
    {"schemes[].artifact.repack_ms", RAW, "as the run found it"},
    {PLACE "tensors.formats", PROFILE, "scheme, profile and the built-in model's shapes; of any other model it is raw"},
    {PLACE "tensors.formats[].scale_min", RAW, "of the artifact, which 'qmark calibrate' makes again"},
    {PLACE "tensors.formats[].scale_max", RAW, "of the artifact, which 'qmark calibrate' makes again"},
    {PLACE "tensors.formats[].clipped_fraction", RAW, "of the artifact, which 'qmark calibrate' makes again"},
    {PLACE "tensors.formats[].error_worst", RAW, "of the artifact, which 'qmark calibrate' makes again"},
    {PLACE "calibration_set", PROFILE, "the windows, generated again from the profile's seed"},
    {PLACE "calibration_method", PROFILE, "scheme"},
    {PLACE "calibration_method.parameters", RELATED, "scheme, but for what smoothquant and awq found"},
    {PLACE "calibration_method.clipped_fraction", RELATED, "from 0 to 1; of the artifact, made again by 'calibrate'"},
    {PLACE "calibration_method.error_worst", RELATED, "not below 0; of the artifact, made again by 'calibrate'"},
    {PLACE "evaluation_set", PROFILE, "the windows, generated again from the profile's seed, and the samples' tokens"},
    {PLACE "reference", RAW, "of the run that computed it; it takes hours to do again"},
    {PLACE "tool_chain", PROFILE, "device and profile"},
    {PLACE "tool_chain.kernel_hash", BUILD, "names of the kernels in the samples, and their bodies"},
    {PLACE "tool_chain.binary_hash", BUILD, "names of the kernels in the samples, and their SPIR-V"},
    {PLACE "tool_chain.compiler", BUILD, "device.compiler, and the build's own for Vulkan"},
    {PLACE "tool_chain.build_options", SAMPLES, "device.api and the tile"},
    {PLACE "tool_chain.timer", SAMPLES, "which times there are"},
    {PLACE "tool_chain.submissions", RAW, "as the run found them to fit"},
    {"schemes[].accuracy", SAMPLES, "scores, divergences from the reference backend, and profile"},
    {"schemes[].accuracy.answers", SAMPLES, "judgements of the answers and of fp32's, and profile"},
    {"schemes[].widening", SAMPLES, "scores, times, and profile"},
    {"schemes[].throughput", SAMPLES, "times, and profile"},
    {"schemes[].throughput[].tier", BUILD, "names of the kernels in the samples"},
    {"schemes[].latency_bounded", SAMPLES, "times, and profile"},
    {"schemes[].sustained", SAMPLES, "times, readings and probes of the sustained run"},
    {"schemes[].deployment", SAMPLES, "times of every request, lengths, divergences of the sample, and profile"},
    {"schemes[].gain", SAMPLES, "times of the scheme and of the baseline"},
    {"schemes[].memory", RELATED, "total_bytes is not less than the others together"},
    {"schemes[].memory.cache", RAW, "sizes of caches were seen by the run alone"},
    {"schemes[].kernels", RELATED, "the kernels named in the samples"},
    {"schemes[].kernels[].shape", RAW, "as it was timed"},
    {"schemes[].kernels[].hash", BUILD, "the kernel's body and definitions"},
    {"schemes[].kernels[].tier", BUILD, "the kernel"},
    {"schemes[].kernels[].tile", BUILD, "the kernel and the tile of the run"},
    {"schemes[].kernels[].checked_error", RELATED, "within its bound, where the kernel is not said to be wrong"},
    {"schemes[].kernels[].bound", RELATED, "not below the error, likewise"},
    {"schemes[].kernels[].time_us", RAW, "a time by itself; samples of it are not kept"},
    {"schemes[].kernels[].rate", RAW, "from time_us and the shape's operations"},
    {"schemes[].kernels[].unit", RAW, "of rate"},
    {"schemes[].kernels[].intensity", RAW, "of the shape"},
    {"schemes[].kernels[].ceiling", RELATED, "ceilings, rate, intensity and time_us, for kernels that this build has"},
    {"schemes[].kernels[].share", RELATED, "ceilings, rate, intensity and time_us, for kernels that this build has"},
    {"hash", PROFILE, "all the rest"},
    {"", RAW, "of a later version"},
};

const struct qm_result_check_rule *qm_result_check_of(const char *path)
{
    const struct qm_result_check_rule *best = NULL;
    size_t best_length = 0;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        size_t length = strlen(rules[i].path);
        const char end = strncmp(path, rules[i].path, length) == 0 ? path[length] : 'x';
        bool fits = length == 0 || end == '\0' || end == '.' || end == '[';
        if (fits && (!best || length > best_length)) {
            best = &rules[i];
            best_length = length;
        }
    }
    return best;
}

const char *qm_result_check_name(enum qm_result_check check)
{
    static const char *const names[] = {"raw", "related", "derived", "derived, with samples",
                                        "derived, by the same build"};
    return names[check];
}
