#include "record/result_table.h"
#include "record/result.h"

#include <string.h>

#define TEXT QM_RESULT_TEXT
#define HASH QM_RESULT_HASH
#define WHOLE QM_RESULT_WHOLE
#define NUMBER QM_RESULT_NUMBER
#define POSITIVE QM_RESULT_POSITIVE
#define BOOL QM_RESULT_BOOL
#define CHOICE QM_RESULT_CHOICE
#define MAPPING QM_RESULT_MAPPING
#define LIST QM_RESULT_LIST
#define OPT QM_RESULT_OPTIONAL
#define WORD QM_RESULT_OR_WORD

// An estimate: a value with its interval, each of which may be a word.
#define ESTIMATE(path, flags, meaning)                                                                                 \
    {path, MAPPING, flags, NULL, meaning}, {path ".value", NUMBER, WORD, NULL, "the estimate"},                        \
        {path ".low", NUMBER, WORD, NULL, "low end of its interval"},                                                  \
    {                                                                                                                  \
        path ".high", NUMBER, WORD, NULL, "high end of its interval"                                                   \
    }

// A divergence between two runs over the same tokens.
#define DIVERGENCE(path, meaning)                                                                                      \
    {path, MAPPING, WORD, NULL, meaning}, {path ".mean", NUMBER, WORD, NULL, "nats per token"},                        \
        {path ".low", NUMBER, WORD, NULL, "low end of the mean's interval"},                                           \
        {path ".high", NUMBER, WORD, NULL, "high end of the mean's interval"},                                         \
        {path ".p99", NUMBER, WORD, NULL, "99th percentile over tokens"},                                              \
        {path ".max", NUMBER, WORD, NULL, "worst token"}, {path ".tokens", WHOLE, 0, NULL, "scored tokens"},           \
    {                                                                                                                  \
        path ".sequences", WHOLE, 0, NULL, "sequences they stand in"                                                   \
    }

// One format of the three in `precision`.
#define FORMAT(path, meaning)                                                                                          \
    {path, MAPPING, WORD, NULL, meaning}, {path ".format", TEXT, 0, NULL, "int4, int8, float16, float32"},             \
        {path ".storage", TEXT, 0, NULL, "encoding variant, symmetric or not, rounding, saturation"},                  \
        {path ".scales", TEXT, 0, NULL, "which values share a scale, and how it is stored"},                           \
        {path ".error", TEXT, OPT, NULL, "bound of a value's error"},                                                  \
        {path ".storage_only", TEXT, OPT, NULL, "present where kernels decode the format to float"},                   \
        {path ".bits", WHOLE, 0, NULL, "per value, scales not counted"},                                               \
    {                                                                                                                  \
        path ".group_size", WHOLE, OPT, NULL, "values that share a scale; 0: the whole row"                            \
    }

// What a sensor told, over the readings of a run.
#define READING(path, meaning)                                                                                         \
    {path, MAPPING, WORD, NULL, meaning}, {path ".lowest", NUMBER, 0, NULL, "lowest reading"},                         \
        {path ".mean", NUMBER, 0, NULL, "mean of the readings"},                                                       \
    {                                                                                                                  \
        path ".highest", NUMBER, 0, NULL, "highest reading"                                                            \
    }

// Lengths of requests, in tokens.
#define LENGTHS(path, meaning)                                                                                         \
    {path, MAPPING, 0, NULL, meaning}, {path ".least", WHOLE, 0, NULL, "the shortest"},                                \
        {path ".mean", NUMBER, 0, NULL, "their mean"},                                                                 \
    {                                                                                                                  \
        path ".most", WHOLE, 0, NULL, "the longest"                                                                    \
    }

// A file that the user brought.
#define USERS_FILE(path, meaning)                                                                                      \
    {path, MAPPING, OPT, NULL, meaning}, {path ".kind", CHOICE, 0, "text|examples", "what the file holds"},            \
        {path ".sha256", HASH, 0, NULL, "of a text: windows and marks; of examples: prompts, answers and rules"},      \
        {path ".windows", WHOLE, OPT, NULL, "of a text"},                                                              \
        {path ".window_tokens", WHOLE, OPT, NULL, "of a text: tokens of each"},                                        \
        {path ".text_sha256", HASH, OPT, NULL, "of the text's bytes"},                                                 \
        {path ".text_bytes", WHOLE, OPT, NULL, "of the text"}, {path ".text_tokens", WHOLE, OPT, NULL, "of the text"}, \
        {path ".utf8", BOOL, OPT, NULL, "whether the text is UTF-8"},                                                  \
        {path ".stride", WHOLE, OPT, NULL, "tokens from one window to the next"},                                      \
        {path ".scored_tokens", WHOLE, OPT, NULL, "of all windows"},                                                   \
        {path ".unused_tokens", WHOLE, OPT, NULL, "at the end, in no window"},                                         \
        {path ".begin_token", BOOL, OPT, NULL, "whether each window begins with the begin token"},                     \
        {path ".compat", CHOICE, OPT, "none|llama-perplexity", "whose cuts and marks"},                                \
        {path ".file_sha256", HASH, OPT, NULL, "of examples: the bytes of the file"},                                  \
        {path ".file_bytes", WHOLE, OPT, NULL, "of examples"}, {path ".examples", WHOLE, OPT, NULL, "how many"},       \
        {path ".rules", MAPPING, OPT, NULL, "how many examples are judged by which rule"},                             \
        {path ".rules.exact", WHOLE, OPT, NULL, "examples"}, {path ".rules.normalised", WHOLE, OPT, NULL, "examples"}, \
        {path ".rules.numeric", WHOLE, OPT, NULL, "examples"}, {path ".rules.regex", WHOLE, OPT, NULL, "examples"},    \
        {path ".rules.choice", WHOLE, OPT, NULL, "examples"},                                                          \
        {path ".repeated_lines", WHOLE, OPT, NULL, "lines whose id had been there, passed over"},                      \
        {path ".asking_to_sample", WHOLE, OPT, NULL, "lines that ask for sampling; generation is greedy"},             \
        {path ".tokens_sha256", HASH, OPT, NULL, "of the tokens of prompts and choices"},                              \
        {path ".tokens", WHOLE, OPT, NULL, "of prompts and choices"},                                                  \
        {path ".prompt_tokens", MAPPING, OPT, NULL, "of an example"},                                                  \
        {path ".prompt_tokens.least", WHOLE, 0, NULL, "the shortest"},                                                 \
        {path ".prompt_tokens.median", WHOLE, 0, NULL, "nearest rank"},                                                \
        {path ".prompt_tokens.most", WHOLE, 0, NULL, "the longest"},                                                   \
        {path ".answer_tokens", MAPPING, OPT, NULL, "of an example"},                                                  \
        {path ".answer_tokens.least", WHOLE, 0, NULL, "the shortest"},                                                 \
        {path ".answer_tokens.median", WHOLE, 0, NULL, "nearest rank"},                                                \
    {                                                                                                                  \
        path ".answer_tokens.most", WHOLE, 0, NULL, "the longest"                                                      \
    }

const struct qm_result_row qm_result_rows[] = {
    {"schema", WHOLE, 0, NULL, "1, the number of this format"},
    {"qmark", MAPPING, 0, NULL, "the program that measured"},
    {"qmark.version", TEXT, 0, NULL, "its version"},
    {"qmark.source", TEXT, 0, NULL, "commit it was built from, or undisclosed"},
    {"qmark.compiler", TEXT, 0, NULL, "compiler that built it"},
    {"run", MAPPING, 0, NULL, "this run"},
    {"run.started", TEXT, 0, NULL, "time of day, UTC"},
    {"run.finished", TEXT, 0, NULL, "time of day, UTC"},
    {"run.class", CHOICE, 0, "standard|custom", "standard: a stock profile, fixed tiles and a released build"},
    {"run.profile_hash", HASH, 0, NULL, "content hash of the expanded profile"},
    {"run.retries", LIST, OPT, NULL,
     "where the device was lost and all was begun anew in a new process; absent: never"},
    {"run.retries[].reason", TEXT, 0, NULL, "how it was lost"},
    {"host", MAPPING, 0, NULL, "the machine around the device"},
    {"host.system", TEXT, 0, NULL, "operating system"},
    {"host.kernel", TEXT, 0, NULL, "its kernel"},
    {"host.machine", TEXT, 0, NULL, "instruction set"},
    {"host.processor", TEXT, 0, NULL, "processor's name"},
    {"host.cores", WHOLE, WORD, NULL, "that qmark could use"},
    {"host.memory_bytes", WHOLE, WORD, NULL, "main memory"},
    {"host.last_level_cache_bytes", WHOLE, WORD | OPT, NULL, "of the processor, before main memory"},
    {"device", MAPPING, 0, NULL, "the device, through one API"},
    {"device.name", TEXT, 0, NULL, "as the driver gives it"},
    {"device.api", CHOICE, 0, "vulkan|opencl|reference", "the API"},
    {"device.type", CHOICE, 0, "discrete|integrated|virtual|cpu|other", "cpu: a software driver, a stand-in for a GPU"},
    {"device.driver", TEXT, 0, NULL, "driver's name"},
    {"device.driver_version", TEXT, 0, NULL, "driver's version"},
    {"device.api_version", TEXT, 0, NULL, "API version of the device"},
    {"device.loader", TEXT, 0, NULL, "loader of the API, with version, or undisclosed"},
    {"device.submission", CHOICE, OPT, "recorded|command buffer|enqueued", "how a recorded program reaches the device"},
    {"device.vendor_id", TEXT, 0, NULL, "hexadecimal, or undisclosed"},
    {"device.device_id", TEXT, 0, NULL, "hexadecimal, or undisclosed"},
    {"device.uuid", TEXT, 0, NULL, "device UUID, or undisclosed"},
    {"device.driver_uuid", TEXT, OPT, NULL, "driver UUID, or undisclosed"},
    {"device.pci", TEXT, 0, NULL, "PCI address, or undisclosed"},
    {"device.ordinal", WHOLE, OPT, NULL, "2, 3, ... for further devices of the same name and API"},
    {"device.limits", MAPPING, 0, NULL, "limits that qmark kept to, by their names in the backend"},
    {"device.capabilities", MAPPING, OPT, NULL, "each capability: advertised, and what its self-test said"},
    {"device.self_test", MAPPING, WORD, NULL, "checks of the device before anything was timed"},
    {"device.self_test.status", CHOICE, 0, "ok|wrong|failed", "all checks together"},
    {"device.timer", TEXT, 0, NULL, "kind and resolution of the timer, and its rate against the wall clock"},
    {"telemetry", MAPPING, OPT, NULL, "what tells each quantity, or unavailable and why: TELEMETRY.md"},
    {"telemetry.clock", TEXT, 0, NULL, "of the units that compute"},
    {"telemetry.memory_clock", TEXT, 0, NULL, "of the memory"},
    {"telemetry.power", TEXT, 0, NULL, "power"},
    {"telemetry.energy", TEXT, 0, NULL, "energy counter"},
    {"telemetry.temperature", TEXT, 0, NULL, "temperature"},
    {"telemetry.memory_used", TEXT, 0, NULL, "memory in use"},
    {"telemetry.busy", TEXT, 0, NULL, "load"},
    {"telemetry.throttle", TEXT, 0, NULL, "reasons of throttling"},
    {"conditions", MAPPING, WORD | OPT, NULL, "of the host around the run: TELEMETRY.md"},
    {"conditions.others_percent", NUMBER, WORD, NULL, "of the processors' time that other processes took"},
    {"conditions.steal_percent", NUMBER, WORD, NULL, "of it that the hypervisor took"},
    {"conditions.gpu_others_percent", NUMBER, WORD, NULL, "of the time that others kept the GPU's engines busy"},
    {"conditions.load_1min", NUMBER, WORD, NULL, "load average before the run"},
    {"conditions.governor", TEXT, 0, NULL, "of the processor's clock"},
    {"conditions.turbo", TEXT, 0, NULL, "yes, no or undisclosed: may the processor exceed its nominal clock"},
    {"conditions.battery", TEXT, 0, NULL, "yes, no or undisclosed: did the host run on it"},
    {"conditions.memory_available_bytes", WHOLE, WORD, NULL, "before the run"},
    {"conditions.swap_used_bytes", WHOLE, WORD, NULL, "after the run"},
    {"conditions.memory_pressure_percent", NUMBER, WORD, NULL, "of the last 10 s, tasks waited for memory"},
    {"conditions.virtual_machine", TEXT, 0, NULL, "yes, no or undisclosed"},
    {"conditions.hypervisor", TEXT, 0, NULL, "what tells of it, or none"},
    {"conditions.gpu_users", WHOLE, 0, NULL, "other processes that had a GPU open"},
    {"conditions.processor_temperature_c", NUMBER, WORD, NULL, "before the run"},
    {"conditions.warnings", LIST, 0, NULL, "what of it matters"},
    {"conditions.warnings[].code", TEXT, 0, NULL, "its name"},
    {"conditions.warnings[].text", TEXT, 0, NULL, "what, and what to do"},
    {"compile", MAPPING, OPT, NULL, "what the driver's compiler took"},
    {"compile.milliseconds", NUMBER, 0, NULL, "for all kernels, from source, SPIR-V or a cache"},
    {"compile.kernels", WHOLE, 0, NULL, "how many"},
    {"timing", MAPPING, OPT, NULL, "what the device's clock and noise are worth"},
    {"timing.order_seed", WHOLE, 0, NULL, "of the order in which schemes took turns"},
    {"timing.noise_floor", MAPPING, WORD, NULL, "the baseline against itself, in turns, before anything else"},
    {"timing.noise_floor.blocks", WHOLE, 0, NULL, "blocks of four passes"},
    {"timing.noise_floor.deviation", NUMBER, 0, NULL, "standard deviation of ln of a block's ratio"},
    {"timing.noise_floor.detectable", NUMBER, 0, NULL, "smallest slowdown that so many blocks show in 4 cases of 5"},
    {"timing.noise_floor.difference", POSITIVE, 0, NULL, "the baseline's speed over its own"},
    {"timing.device_clock", MAPPING, WORD | OPT, NULL, "the device's clock against the host's, read in pairs"},
    {"timing.device_clock.verdict", CHOICE, 0, "too few samples|good|other pace|undecidable|void", "STATISTICS.md"},
    {"timing.device_clock.readings", WHOLE, 0, NULL, "pairs"},
    {"timing.device_clock.seconds", NUMBER, 0, NULL, "from the first pair to the last"},
    {"timing.device_clock.period_ratio", NUMBER, WORD, NULL, "true period over the one that the driver states"},
    {"timing.device_clock.low", NUMBER, WORD, NULL, "low end of its interval"},
    {"timing.device_clock.high", NUMBER, WORD, NULL, "high end of its interval"},
    {"timing.device_clock.reason", TEXT, OPT, NULL, "why not good"},
    {"timing.device_timer", MAPPING, OPT, NULL, "device time against wall time of long blocks; void: it is not used"},
    {"timing.device_timer.verdict", CHOICE, 0, "too few samples|good|undecidable|void", "STATISTICS.md"},
    {"timing.device_timer.blocks", WHOLE, 0, NULL, "of 50 ms and more"},
    {"timing.device_timer.device_over_wall", NUMBER, WORD, NULL, "median"},
    {"timing.device_timer.reason", TEXT, OPT, NULL, "why not good"},
    ESTIMATE("timing.host_overhead_us", OPT, "of a block: what the host adds to the device's time"),
    {"model", MAPPING, 0, NULL, "the model"},
    {"model.name", TEXT, 0, NULL, "its name"},
    {"model.variant", TEXT, OPT, NULL, "what was done to its values since, such as injected outliers; absent: nothing"},
    {"model.layers_run", TEXT, OPT, NULL,
     "\"3 of 32\": only the first layers were run, so that kernels are timed and accuracy is not measured; absent: "
     "all"},
    {"model.sha256", HASH, 0, NULL, "of its weights file and config.json; of a variant, over that and the recipe"},
    {"model.parameters", WHOLE, 0, NULL, "weights before widening"},
    {"model.architecture", TEXT, OPT, NULL, "as in its config.json"},
    {"model.padding", TEXT, OPT, NULL,
     "sizes that zeros were added to, for the kernels and the schemes' groups; absent: none"},
    {"model.widen", WHOLE, 0, NULL, "the residual stream is repeated so often; 1: as trained"},
    {"model.weights_on_device", WHOLE, OPT, NULL,
     "weights as widened; their bytes are memory.weights_bytes of a scheme"},
    {"model.operations_per_token", WHOLE, OPT, NULL,
     "of all products, a multiply-add counts two; attention not counted"},
    {"model.fit", TEXT, OPT, NULL, "where the width is the widest that fits: why not twice as wide"},
    {"model.cache_resident", TEXT, OPT, NULL, "yes, no or undisclosed: whether the weights fit a cache of the device"},
    {"workload", MAPPING, OPT, NULL,
     "the user's own files, without their texts, and requests; absent where all sets are built in and none are served"},
    USERS_FILE("workload.evaluation", "what was scored; absent where that is built in"),
    USERS_FILE("workload.calibration", "what was calibrated on; absent where that is built in"),
    {"workload.overlap", MAPPING, OPT, NULL,
     "what of the scored set stands in the calibration set; absent where nothing was calibrated"},
    {"workload.overlap.tokens", WHOLE, 0, NULL, "length of the runs that are looked for"},
    {"workload.overlap.items", WHOLE, 0, NULL, "examples or windows"},
    {"workload.overlap.items_shorter", WHOLE, 0, NULL, "those shorter than a run, compared whole"},
    {"workload.overlap.overlapping", WHOLE, 0, NULL, "examples or windows with a shared run"},
    {"workload.overlap.share", NUMBER, 0, NULL, "overlapping / items"},
    {"workload.overlap.runs", WHOLE, 0, NULL, "places where a run begins"},
    {"workload.overlap.shared_runs", WHOLE, 0, NULL, "of them those in both sets"},
    {"workload.deployment", MAPPING, OPT, NULL, "requests that were served; absent where none were asked for"},
    {"workload.deployment.requests", WHOLE, 0, NULL, "requests"},
    {"workload.deployment.left_out", WHOLE, 0, NULL, "of the trace, without a prompt or an output"},
    LENGTHS("workload.deployment.prompt_tokens", "of a prompt"),
    LENGTHS("workload.deployment.output_tokens", "of an output"),
    {"workload.texts", LIST, OPT, NULL, "the examples, where --embed-texts asks for it"},
    {"workload.texts[].id", TEXT, 0, NULL, "as in the file, or the number of its line"},
    {"workload.texts[].prompt", TEXT, 0, NULL, "what the model is given"},
    {"workload.texts[].answers", LIST, OPT, NULL, "one of which must agree"},
    {"workload.texts[].answers[].text", TEXT, 0, NULL, "an answer"},
    {"workload.texts[].choices", LIST, OPT, NULL, "of which the likeliest is taken"},
    {"workload.texts[].choices[].text", TEXT, 0, NULL, "a choice"},
    {"workload.texts[].choices[].prompt", TEXT, OPT, NULL, "where the choices have prompts of their own"},
    {"workload.texts[].right_choice", WHOLE, OPT, NULL, "index from 0"},
    {"profile", MAPPING, 0, NULL, "the expanded profile, as in docs/METHOD.md"},
    {"profile.name", TEXT, 0, NULL, "its name"},
    {"samples", MAPPING, WORD, NULL, "raw samples and per-token scores, in a file beside this one"},
    {"samples.file", TEXT, 0, NULL, "its name"},
    {"samples.sha256", HASH, 0, NULL, "its hash"},
    {"schemes", LIST, 0, NULL, "one row per scheme of the profile, in its order"},
    {"schemes[].name", TEXT, 0, NULL, "label of the scheme, such as w4a16-g32-kv8"},
    {"schemes[].identity", HASH, 0, NULL, "hash of the expanded scheme: what the label stands for"},
    {"schemes[].status", CHOICE, 0, "ok|wrong|unsupported|failed|skipped", "wrong: an answer was beyond its bound"},
    {"schemes[].reason", TEXT, OPT, NULL, "why not ok; required then, absent otherwise"},
    {"schemes[].artifact", MAPPING, WORD, NULL, "the calibrated model for this scheme"},
    {"schemes[].artifact.id", HASH, 0, NULL, "SHA-256 over names, types, shapes, bytes and the scheme"},
    {"schemes[].artifact.layout", TEXT, OPT, NULL, "how it was repacked for the device"},
    {"schemes[].disclosure", MAPPING, 0, NULL, "what makes a quantization claim checkable; no component may be absent"},
    {"schemes[].disclosure.precision", MAPPING, WORD, NULL, "storage and arithmetic formats"},
    FORMAT("schemes[].disclosure.precision.weights", "storage of weights"),
    FORMAT("schemes[].disclosure.precision.activations", "storage of activations"),
    FORMAT("schemes[].disclosure.precision.kv_cache", "storage of the KV cache"),
    {"schemes[].disclosure.precision.arithmetic", TEXT, 0, NULL, "type of products and of sums"},
    {"schemes[].disclosure.tensors", MAPPING, WORD, NULL, "which tensors are quantized, each kind on its own"},
    {"schemes[].disclosure.tensors.weights", TEXT, 0, NULL, "which weights, and what stays in float"},
    {"schemes[].disclosure.tensors.activations", TEXT, 0, NULL, "which activations"},
    {"schemes[].disclosure.tensors.kv_cache", TEXT, 0, NULL, "keys, values"},
    {"schemes[].disclosure.tensors.formats", LIST, OPT, NULL, "every tensor, by what it is stored in"},
    {"schemes[].disclosure.tensors.formats[].tensors", TEXT, 0, NULL, "names; without a layer: of every layer"},
    {"schemes[].disclosure.tensors.formats[].weights", TEXT, 0, NULL, "format"},
    {"schemes[].disclosure.tensors.formats[].group_size", WHOLE, 0, NULL, "values that share a scale; 0: the row"},
    {"schemes[].disclosure.tensors.formats[].activations", TEXT, OPT, NULL, "what they are multiplied with"},
    {"schemes[].disclosure.tensors.formats[].bound", TEXT, 0, NULL, "what holds of each value's error"},
    {"schemes[].disclosure.tensors.formats[].scale_min", NUMBER, OPT, NULL, "smallest scale that is not 0"},
    {"schemes[].disclosure.tensors.formats[].scale_max", NUMBER, OPT, NULL, "largest scale"},
    {"schemes[].disclosure.tensors.formats[].clipped_fraction", NUMBER, OPT, NULL, "of values beyond the codes"},
    {"schemes[].disclosure.tensors.formats[].error_worst", NUMBER, OPT, NULL, "largest |error| in steps, not clipped"},
    {"schemes[].disclosure.tensors.formats[].bytes", WHOLE, 0, NULL, "codes and scales"},
    {"schemes[].disclosure.calibration_set", MAPPING, WORD, NULL, "the set; the word none where nothing is calibrated"},
    {"schemes[].disclosure.calibration_set.name", TEXT, 0, NULL, "its name and seed"},
    {"schemes[].disclosure.calibration_set.sha256", HASH, WORD, NULL, "of its tokens"},
    {"schemes[].disclosure.calibration_set.sequences", WHOLE, WORD, NULL, "sequences in it"},
    {"schemes[].disclosure.calibration_set.tokens", WHOLE, WORD, NULL, "tokens in it"},
    {"schemes[].disclosure.calibration_set.overlap", TEXT, OPT, NULL,
     "how many examples that are scored stand in it; the word none where none does"},
    {"schemes[].disclosure.calibration_method", MAPPING, WORD, NULL, "how scales were found"},
    {"schemes[].disclosure.calibration_method.name", TEXT, 0, NULL, "absmax, percentile, ..."},
    {"schemes[].disclosure.calibration_method.parameters", TEXT, 0, NULL, "every parameter; the word none without any"},
    {"schemes[].disclosure.calibration_method.clipped_fraction", NUMBER, WORD, NULL,
     "of values beyond the largest code"},
    {"schemes[].disclosure.calibration_method.error_bound", NUMBER, WORD, NULL, "of |x - s q| / s; 0.5 for rounding"},
    {"schemes[].disclosure.calibration_method.error_worst", NUMBER, WORD, NULL, "the worst seen, in the same unit"},
    {"schemes[].disclosure.evaluation_set", MAPPING, WORD, NULL, "the set that was scored"},
    {"schemes[].disclosure.evaluation_set.name", TEXT, 0, NULL, "its name and seed"},
    {"schemes[].disclosure.evaluation_set.sha256", HASH, WORD, NULL, "of its tokens"},
    {"schemes[].disclosure.evaluation_set.sequences", WHOLE, WORD, NULL, "examples in it"},
    {"schemes[].disclosure.evaluation_set.tokens", WHOLE, WORD, NULL, "tokens of it that are scored"},
    {"schemes[].disclosure.reference", MAPPING, OPT, NULL,
     "who computed fp32, where that was not the reference backend: models of real size"},
    {"schemes[].disclosure.reference.engine", TEXT, 0, NULL,
     "host, with the library that multiplied; or device, with its name and API"},
    {"schemes[].disclosure.reference.device", TEXT, OPT, NULL, "the device that computed it, where one did"},
    {"schemes[].disclosure.reference.api", TEXT, OPT, NULL, "its API"},
    {"schemes[].disclosure.reference.driver", TEXT, OPT, NULL, "its driver, with the version"},
    {"schemes[].disclosure.reference.kernel_hash", HASH, OPT, NULL, "over the sources of the kernels it used"},
    {"schemes[].disclosure.reference.checked_with", TEXT, OPT, NULL,
     "what it was compared with, where that was not the reference backend: the host, with the library that multiplied"},
    {"schemes[].disclosure.reference.top_k", WHOLE, WORD, NULL, "tokens kept of each position at most; none: all were"},
    {"schemes[].disclosure.reference.mass", NUMBER, WORD, NULL, "fewer where they leave no more probability out"},
    {"schemes[].disclosure.reference.kl_left_out", NUMBER, WORD, NULL,
     "the mean KL divergence may be so much higher, for what was not kept; nats per token"},
    {"schemes[].disclosure.reference.kl_left_out_largest", NUMBER, OPT | WORD, NULL,
     "the KL divergence of any one token, and so any percentile, may be so much higher; nats"},
    {"schemes[].disclosure.reference.checked_tokens", WHOLE, 0, NULL,
     "compared with the reference backend or `checked_with`; 0: none"},
    {"schemes[].disclosure.reference.difference", NUMBER, WORD, NULL,
     "of a log-probability between the two, the largest; nats"},
    {"schemes[].disclosure.reference.unchecked", TEXT, OPT, NULL, "why nothing was compared"},
    {"schemes[].disclosure.tool_chain", MAPPING, WORD, NULL, "what turned the kernels into a program of the device"},
    {"schemes[].disclosure.tool_chain.kernel_hash", HASH, WORD, NULL, "over the sources of all kernels used"},
    {"schemes[].disclosure.tool_chain.tiles", CHOICE, WORD, "fixed|tuned", "tile configuration"},
    {"schemes[].disclosure.tool_chain.binary_hash", TEXT, 0, NULL, "of the SPIR-V or the driver's binary"},
    {"schemes[].disclosure.tool_chain.compiler", TEXT, 0, NULL, "compiler of the kernels, with version"},
    {"schemes[].disclosure.tool_chain.build_options", TEXT, 0, NULL, "its options"},
    {"schemes[].disclosure.tool_chain.driver", TEXT, 0, NULL, "driver with version"},
    {"schemes[].disclosure.tool_chain.loader", TEXT, 0, NULL, "loader with version"},
    {"schemes[].disclosure.tool_chain.timer", TEXT, 0, NULL, "timer kind of the rates: device or wall"},
    {"schemes[].disclosure.tool_chain.policy", TEXT, 0, NULL, "barriers and dispatches per submission"},
    {"schemes[].disclosure.tool_chain.fusions", TEXT, OPT, NULL,
     "what passes do at once, in place of one kernel after another"},
    {"schemes[].accuracy", MAPPING, OPT | WORD, NULL, "of this artifact through these kernels on this device"},
    {"schemes[].accuracy.tokens", WHOLE, 0, NULL, "scored tokens"},
    {"schemes[].accuracy.sequences", WHOLE, 0, NULL, "sequences they stand in; the unit of the bootstrap"},
    {"schemes[].accuracy.kl_divergence", MAPPING, WORD, NULL, "to the fp32 reference, nats per token"},
    {"schemes[].accuracy.kl_divergence.mean", NUMBER, WORD, NULL, "mean over scored tokens"},
    {"schemes[].accuracy.kl_divergence.low", NUMBER, WORD, NULL, "low end of the mean's interval"},
    {"schemes[].accuracy.kl_divergence.high", NUMBER, WORD, NULL, "high end of the mean's interval"},
    {"schemes[].accuracy.kl_divergence.p99", NUMBER, WORD, NULL, "99th percentile over tokens"},
    {"schemes[].accuracy.kl_divergence.max", NUMBER, WORD, NULL, "worst token"},
    ESTIMATE("schemes[].accuracy.perplexity", 0, "on the evaluation set"),
    {"schemes[].accuracy.perplexity.reference", NUMBER, WORD, NULL, "of the fp32 reference on the same tokens"},
    ESTIMATE("schemes[].accuracy.perplexity.ratio", WORD, "perplexity over that of the reference, paired"),
    ESTIMATE("schemes[].accuracy.top1_agreement", WORD, "fraction of tokens with the reference's most likely token"),
    ESTIMATE("schemes[].accuracy.rms_delta_p", WORD, "root mean square change of the target's probability"),
    ESTIMATE("schemes[].accuracy.exact_match", WORD, "fraction of graded examples answered exactly"),
    {"schemes[].accuracy.exact_match.examples", WHOLE, WORD, NULL, "graded examples"},
    {"schemes[].accuracy.exact_match.reference", NUMBER, WORD, NULL, "the same fraction of the fp32 reference"},
    ESTIMATE("schemes[].accuracy.exact_match.ratio", WORD, "exact match over that of the reference, paired"),
    {"schemes[].accuracy.exact_match.non_inferiority", LIST, OPT, NULL, "whether the ratio is above 0.99, and 0.999"},
    {"schemes[].accuracy.exact_match.non_inferiority[].threshold", NUMBER, 0, NULL, "of the ratio"},
    {"schemes[].accuracy.exact_match.non_inferiority[].verdict", CHOICE, 0, "pass|fail|inconclusive",
     "by the ratio's interval"},
    {"schemes[].accuracy.exact_match.non_inferiority[].examples_needed", WHOLE, WORD, NULL,
     "graded examples that would decide in 4 cases of 5; none: no number would"},
    {"schemes[].accuracy.answers", MAPPING, OPT, NULL,
     "to the user's examples, generated on this device, beside fp32's: WORKLOAD.md; absent where there are none"},
    {"schemes[].accuracy.answers.examples", WHOLE, 0, NULL, "examples"},
    {"schemes[].accuracy.answers.flips", WHOLE, 0, NULL, "right_to_wrong and wrong_to_right together"},
    {"schemes[].accuracy.answers.right_to_wrong", WHOLE, 0, NULL, "fp32's answer is right, and this one is not"},
    {"schemes[].accuracy.answers.wrong_to_right", WHOLE, 0, NULL, "this answer is right, and fp32's is not"},
    {"schemes[].accuracy.answers.other_right", WHOLE, 0, NULL, "both right, with different texts"},
    {"schemes[].accuracy.answers.other_wrong", WHOLE, 0, NULL, "both wrong, with different texts"},
    {"schemes[].accuracy.answers.unjudged", WHOLE, 0, NULL,
     "answers that no pattern could be tried on; they are wrong"},
    {"schemes[].accuracy.answers.unjudged_reference", WHOLE, 0, NULL, "of fp32's"},
    {"schemes[].accuracy.answers.p_value", NUMBER, 0, NULL, "of the flips, by McNemar's exact test"},
    ESTIMATE("schemes[].accuracy.answers.accuracy", 0, "share of right answers"),
    ESTIMATE("schemes[].accuracy.answers.reference", 0, "share of fp32's right answers"),
    ESTIMATE("schemes[].accuracy.answers.ratio", 0, "accuracy over fp32's, paired"),
    ESTIMATE("schemes[].accuracy.answers.difference", 0, "accuracy less fp32's, paired"),
    {"schemes[].accuracy.answers.tokens_mean", NUMBER, WORD, NULL, "generated tokens of an answer"},
    {"schemes[].accuracy.answers.tokens_mean_reference", NUMBER, WORD, NULL, "of fp32's"},
    {"schemes[].accuracy.answers.choices", LIST, OPT, NULL, "of examples with choices: one row per norm"},
    {"schemes[].accuracy.answers.choices[].norm", CHOICE, 0, "sum|per character|per byte|per token",
     "what log-probabilities are divided by"},
    {"schemes[].accuracy.answers.choices[].examples", WHOLE, 0, NULL, "examples with choices"},
    {"schemes[].accuracy.answers.choices[].value", NUMBER, WORD, NULL, "share of right choices"},
    {"schemes[].accuracy.answers.choices[].low", NUMBER, WORD, NULL, "low end of its interval"},
    {"schemes[].accuracy.answers.choices[].high", NUMBER, WORD, NULL, "high end of its interval"},
    {"schemes[].accuracy.answers.choices[].reference", NUMBER, WORD, NULL, "the same of fp32"},
    {"schemes[].accuracy.details", LIST, OPT, NULL, "what stands behind the mean KL divergence, as in docs/METHOD.md"},
    {"schemes[].accuracy.details[].metric", TEXT, 0, NULL, "its name; 'qmark explain' knows it"},
    {"schemes[].accuracy.details[].value", NUMBER, WORD, NULL, "the estimate"},
    {"schemes[].accuracy.details[].low", NUMBER, WORD | OPT, NULL, "low end of its interval"},
    {"schemes[].accuracy.details[].high", NUMBER, WORD | OPT, NULL, "high end of its interval"},
    {"schemes[].accuracy.details[].reference", NUMBER, OPT, NULL, "the same of the fp32 reference"},
    {"schemes[].accuracy.details[].noise", NUMBER, OPT, NULL, "of a calibrated model on a set of this size"},
    {"schemes[].accuracy.details[].tokens", WHOLE, OPT, NULL, "how many it is over, where not all that are scored"},
    {"schemes[].accuracy.details[].examples", WHOLE, OPT, NULL, "how many it is over"},
    {"schemes[].accuracy.sets", MAPPING, OPT, NULL, "the evaluation sets on their own; absent where there is one"},
    {"schemes[].accuracy.sets.spread", NUMBER, WORD, NULL, "standard deviation of their mean KL divergences"},
    {"schemes[].accuracy.sets.expected", NUMBER, WORD, NULL, "the same as the scatter within sets predicts it"},
    {"schemes[].accuracy.sets.seeds", LIST, 0, NULL, "one row per set"},
    {"schemes[].accuracy.sets.seeds[].seed", WHOLE, 0, NULL, "seed of the set"},
    {"schemes[].accuracy.sets.seeds[].kl_divergence_mean", NUMBER, 0, NULL, "over its tokens"},
    {"schemes[].accuracy.tasks", LIST, 0, NULL, "exact match per task and difficulty"},
    {"schemes[].accuracy.tasks[].task", TEXT, 0, NULL, "task"},
    {"schemes[].accuracy.tasks[].difficulty", TEXT, 0, NULL, "difficulty"},
    {"schemes[].accuracy.tasks[].graded", BOOL, 0, NULL, "whether it counts in exact_match"},
    {"schemes[].accuracy.tasks[].examples", WHOLE, 0, NULL, "examples"},
    {"schemes[].accuracy.tasks[].reference", NUMBER, WORD, NULL, "exact match of the fp32 reference"},
    {"schemes[].accuracy.tasks[].value", NUMBER, WORD, NULL, "exact match"},
    {"schemes[].accuracy.tasks[].low", NUMBER, WORD, NULL, "low end of its interval"},
    {"schemes[].accuracy.tasks[].high", NUMBER, WORD, NULL, "high end of its interval"},
    {"schemes[].accuracy.decode", MAPPING, WORD, NULL, "scores of the teacher-forced decode passes that were timed"},
    {"schemes[].accuracy.decode.tokens", WHOLE, 0, NULL, "scored tokens"},
    {"schemes[].accuracy.decode.kl_divergence_mean", NUMBER, WORD, NULL, "to the fp32 reference, nats per token"},
    {"schemes[].accuracy.decode.low", NUMBER, WORD, NULL, "low end of its interval"},
    {"schemes[].accuracy.decode.high", NUMBER, WORD, NULL, "high end of its interval"},
    {"schemes[].accuracy.decode.top1_agreement", NUMBER, WORD, NULL, "with the fp32 reference"},
    {"schemes[].accuracy.backend_check", MAPPING, WORD, NULL, "logits against the reference backend, same artifact"},
    {"schemes[].accuracy.backend_check.kl_divergence_mean", NUMBER, WORD, NULL, "nats per token"},
    {"schemes[].accuracy.backend_check.bound", NUMBER, WORD, NULL, "beyond it the scheme is wrong"},
    {"schemes[].accuracy.backend_check.kl_divergence_body", NUMBER, WORD | OPT, NULL,
     "nats per token, without the worst 1 %"},
    {"schemes[].accuracy.backend_check.body_bound", NUMBER, WORD | OPT, NULL, "beyond it the scheme is wrong"},
    {"schemes[].accuracy.backend_check.kl_divergence_median", NUMBER, WORD | OPT, NULL, "nats per token"},
    {"schemes[].accuracy.backend_check.median_bound", NUMBER, WORD | OPT, NULL, "beyond it the scheme is wrong"},
    {"schemes[].accuracy.bootstrap", MAPPING, 0, NULL, "how intervals were drawn"},
    {"schemes[].accuracy.bootstrap.generator", TEXT, 0, NULL, "random generator"},
    {"schemes[].accuracy.bootstrap.seed", WHOLE, 0, NULL, "its seed"},
    {"schemes[].accuracy.bootstrap.resamples", WHOLE, 0, NULL, "resamples"},
    {"schemes[].accuracy.bootstrap.confidence", NUMBER, 0, NULL, "of every interval"},
    {"schemes[].accuracy.acceptance", MAPPING, 0, NULL, "the profile's bounds, judged by the intervals"},
    {"schemes[].accuracy.acceptance.verdict", CHOICE, 0, "pass|fail|inconclusive|not stated", "all together"},
    {"schemes[].accuracy.acceptance.criteria", LIST, 0, NULL, "one row per bound"},
    {"schemes[].accuracy.acceptance.criteria[].metric", TEXT, 0, NULL, "metric"},
    {"schemes[].accuracy.acceptance.criteria[].side", CHOICE, 0, "at_most|at_least", "which side is good"},
    {"schemes[].accuracy.acceptance.criteria[].bound", NUMBER, 0, NULL, "the bound"},
    {"schemes[].accuracy.acceptance.criteria[].verdict", CHOICE, 0, "pass|fail|inconclusive|not stated", "its verdict"},
    {"schemes[].accuracy.acceptance.criteria[].text", TEXT, 0, NULL, "the verdict in words, with the numbers"},
    {"schemes[].widening", MAPPING, OPT, NULL, "the widened scheme beside the same as it is; absent unless widened"},
    DIVERGENCE("schemes[].widening.kl_to_narrow",
               "KL divergence to the same scheme not widened, on this device, whole evaluation set"),
    DIVERGENCE("schemes[].widening.before_timing", "the same of the windows that were scored before timing"),
    {"schemes[].widening.bound", NUMBER, WORD, NULL, "of the mean; beyond it the scheme is wrong"},
    {"schemes[].widening.random_codes", MAPPING, WORD, NULL, "the largest product, on codes that do not repeat"},
    {"schemes[].widening.random_codes.shape", TEXT, 0, NULL, "kernel and shape"},
    {"schemes[].widening.random_codes.timer", CHOICE, 0, "device|wall", "which clock the times are from"},
    {"schemes[].widening.random_codes.pairs", WHOLE, 0, NULL, "times of each, in turns"},
    {"schemes[].widening.random_codes.tiled_us", POSITIVE, 0, NULL, "median time on the model's weights"},
    {"schemes[].widening.random_codes.random_us", POSITIVE, 0, NULL, "median time on random codes"},
    {"schemes[].widening.random_codes.ratio", NUMBER, WORD, NULL,
     "random over tiled; above 1: tiles gain by repeating"},
    {"schemes[].widening.random_codes.low", NUMBER, WORD, NULL, "low end of its interval"},
    {"schemes[].widening.random_codes.high", NUMBER, WORD, NULL, "high end of its interval"},
    {"schemes[].throughput", LIST, OPT, NULL, "points; absent unless the status is ok"},
    {"schemes[].throughput[].phase", CHOICE, 0, "prefill|decode", "phase"},
    {"schemes[].throughput[].batch", WHOLE, 0, NULL, "sequences at a time"},
    {"schemes[].throughput[].batch_asked", WHOLE, OPT, NULL, "by the profile, where that did not fit into memory"},
    {"schemes[].throughput[].prompt", WHOLE, OPT, NULL, "tokens of the prompt, of prefill"},
    {"schemes[].throughput[].depth", WHOLE, OPT, NULL, "tokens in the cache before the first step, of decode"},
    {"schemes[].throughput[].tier", TEXT, 0, NULL, "instruction level of the kernels"},
    {"schemes[].throughput[].widen", WHOLE, 0, NULL, "as model.widen"},
    {"schemes[].throughput[].protocol", CHOICE, 0, "paired|sustained|burst", "how passes were ordered"},
    {"schemes[].throughput[].timer", CHOICE, 0, "device|wall", "which clock the rate is from"},
    {"schemes[].throughput[].passes", WHOLE, 0, NULL, "timed passes, each with the checksum of the scored one"},
    {"schemes[].throughput[].oddities", TEXT, OPT, NULL,
     "outliers, two modes, drift of the blocks: named, not removed"},
    {"schemes[].throughput[].stopped", CHOICE, OPT, "precision|time|repeats", "what ended the rounds"},
    {"schemes[].throughput[].rate_tokens_per_s", POSITIVE, 0, NULL, "tokens of all sequences per second"},
    {"schemes[].throughput[].low", NUMBER, WORD, NULL, "low end of its interval"},
    {"schemes[].throughput[].high", NUMBER, WORD, NULL, "high end of its interval"},
    {"schemes[].throughput[].wall_rate_tokens_per_s", POSITIVE, WORD, NULL, "the same by the host's clock"},
    {"schemes[].throughput[].latency_ms", MAPPING, WORD, NULL, "of a prefill pass or a decode step"},
    {"schemes[].throughput[].latency_ms.p50", POSITIVE, WORD, NULL, "median"},
    {"schemes[].throughput[].latency_ms.p95", POSITIVE, WORD, NULL, "95th percentile"},
    {"schemes[].throughput[].latency_ms.p99", POSITIVE, WORD, NULL, "99th percentile"},
    {"schemes[].throughput[].rate_per_user_tokens_per_s", POSITIVE, OPT, NULL, "of decode: the rate over the batch"},
    {"schemes[].throughput[].time_to_first_token_ms", MAPPING, OPT, NULL,
     "of prefill: a pass of the prompt by the host's clock"},
    {"schemes[].throughput[].time_to_first_token_ms.p50", POSITIVE, WORD, NULL, "median"},
    {"schemes[].throughput[].time_to_first_token_ms.p95", POSITIVE, WORD, NULL, "95th percentile"},
    {"schemes[].throughput[].time_to_first_token_ms.p99", POSITIVE, WORD, NULL, "99th percentile"},
    {"schemes[].gain", LIST, OPT, NULL, "over the baseline, per phase or point; absent unless the status is ok"},
    {"schemes[].gain[].phase", CHOICE, 0, "prefill|decode", "phase"},
    {"schemes[].gain[].batch", WHOLE, OPT, NULL, "of the point; absent: all points of the phase"},
    {"schemes[].gain[].batch_asked", WHOLE, OPT, NULL, "by the profile, where that did not fit into memory"},
    {"schemes[].gain[].prompt", WHOLE, OPT, NULL, "of the point"},
    {"schemes[].gain[].depth", WHOLE, OPT, NULL, "of the point"},
    {"schemes[].gain[].baseline", TEXT, 0, NULL, "the scheme it is over"},
    {"schemes[].gain[].ratio", POSITIVE, WORD, NULL, "above 1: faster than the baseline"},
    {"schemes[].gain[].low", NUMBER, WORD, NULL, "low end of its interval"},
    {"schemes[].gain[].high", NUMBER, WORD, NULL, "high end of its interval"},
    {"schemes[].latency_bounded", MAPPING, WORD | OPT, NULL,
     "decode at the largest batch that keeps the profile's bound"},
    {"schemes[].latency_bounded.p99_ms_at_most", POSITIVE, 0, NULL, "the bound, of a step's 99th percentile"},
    {"schemes[].latency_bounded.batch", WHOLE, WORD, NULL, "the batch; none: not even one sequence"},
    {"schemes[].latency_bounded.depth", WHOLE, OPT, NULL, "tokens in the cache before the first step"},
    {"schemes[].latency_bounded.p99_ms", POSITIVE, OPT, NULL, "its 99th percentile"},
    {"schemes[].latency_bounded.rate_tokens_per_s", POSITIVE, OPT, NULL, "its rate"},
    {"schemes[].latency_bounded.low", NUMBER, WORD | OPT, NULL, "low end of its interval"},
    {"schemes[].latency_bounded.high", NUMBER, WORD | OPT, NULL, "high end of its interval"},
    {"schemes[].sustained", MAPPING, WORD | OPT, NULL, "a contiguous run of one point; required with throughput"},
    {"schemes[].sustained.phase", CHOICE, 0, "prefill|decode", "phase"},
    {"schemes[].sustained.batch", WHOLE, 0, NULL, "sequences at a time"},
    {"schemes[].sustained.prompt", WHOLE, OPT, NULL, "tokens of the prompt, of prefill"},
    {"schemes[].sustained.depth", WHOLE, OPT, NULL, "tokens in the cache before the first step, of decode"},
    {"schemes[].sustained.rate", POSITIVE, WORD, NULL, "of the last third, per second of work"},
    {"schemes[].sustained.low", NUMBER, WORD, NULL, "low end of its interval"},
    {"schemes[].sustained.high", NUMBER, WORD, NULL, "high end of its interval"},
    {"schemes[].sustained.unit", TEXT, 0, NULL, "tokens/s"},
    {"schemes[].sustained.wall_rate", POSITIVE, WORD, NULL, "of the last third with all gaps counted"},
    {"schemes[].sustained.window_s", NUMBER, 0, NULL, "length of the run"},
    {"schemes[].sustained.steady", CHOICE, 0, "yes|no|undecidable|too short", "whether the rate held: STATISTICS.md"},
    {"schemes[].sustained.steady_from_s", NUMBER, OPT, NULL, "since when"},
    {"schemes[].sustained.remark", TEXT, OPT, NULL, "of undecidable: the deviation, and how long it would take"},
    {"schemes[].sustained.latency_ms", MAPPING, 0, NULL,
     "of a pass or step by the host's clock, as the mean of a block"},
    {"schemes[].sustained.latency_ms.p50", POSITIVE, WORD, NULL, "median"},
    {"schemes[].sustained.latency_ms.p95", POSITIVE, WORD, NULL, "95th percentile"},
    {"schemes[].sustained.latency_ms.p99", POSITIVE, WORD, NULL, "99th percentile"},
    {"schemes[].sustained.burst", MAPPING, 0, NULL, "of the first 2 s"},
    {"schemes[].sustained.burst.rate", POSITIVE, WORD, NULL, "rate"},
    {"schemes[].sustained.burst.low", NUMBER, WORD, NULL, "low end of its interval"},
    {"schemes[].sustained.burst.high", NUMBER, WORD, NULL, "high end of its interval"},
    {"schemes[].sustained.burst_rate", POSITIVE, WORD, NULL, "the same rate once more, for claims"},
    ESTIMATE("schemes[].sustained.ratio_to_burst", 0, "sustained over burst"),
    {"schemes[].sustained.throttling", TEXT, 0, NULL, "what was seen of it, in words"},
    {"schemes[].sustained.onset_s", NUMBER, WORD, NULL, "when the rate began to fall; none"},
    {"schemes[].sustained.probe_slowdown", NUMBER, OPT, NULL, "of the multiply-add probe, after over before"},
    {"schemes[].sustained.windows", MAPPING, 0, NULL, "rates of windows of the last third"},
    {"schemes[].sustained.windows.count", WHOLE, 0, NULL, "of the whole run"},
    {"schemes[].sustained.windows.seconds", POSITIVE, 0, NULL, "length of each"},
    {"schemes[].sustained.windows.p5", POSITIVE, WORD, NULL, "5th percentile"},
    {"schemes[].sustained.windows.p50", POSITIVE, WORD, NULL, "median"},
    {"schemes[].sustained.windows.p95", POSITIVE, WORD, NULL, "95th percentile"},
    {"schemes[].sustained.windows.deviation", NUMBER, 0, NULL, "relative standard deviation around their line"},
    {"schemes[].sustained.windows.change", NUMBER, 0, NULL, "over 30 s, relative"},
    {"schemes[].sustained.windows.low", NUMBER, 0, NULL, "low end of its interval"},
    {"schemes[].sustained.windows.high", NUMBER, 0, NULL, "high end of its interval"},
    {"schemes[].sustained.windows.throttled_by_telemetry", WHOLE, 0, NULL, "windows in which a sensor told it"},
    {"schemes[].sustained.windows.throttled_by_probe", WHOLE, 0, NULL, "windows after which the probe was slow"},
    {"schemes[].sustained.telemetry", MAPPING, 0, NULL, "what sensors told between windows; sources: telemetry"},
    READING("schemes[].sustained.telemetry.clock_mhz", "clock of the units that compute"),
    READING("schemes[].sustained.telemetry.power_w", "power"),
    READING("schemes[].sustained.telemetry.temperature_c", "temperature"),
    READING("schemes[].sustained.telemetry.memory_used_bytes", "memory in use, by all programs"),
    READING("schemes[].sustained.telemetry.busy_percent", "load, by all programs"),
    {"schemes[].sustained.telemetry.energy_j", POSITIVE, WORD, NULL, "from the first reading to the last"},
    {"schemes[].sustained.telemetry.tokens_per_joule", POSITIVE, WORD, NULL, "tokens of the same time over it"},
    {"schemes[].sustained.telemetry.energy_from", CHOICE, OPT, "counter|power", "a counter, or power times time"},
    {"schemes[].deployment", MAPPING, OPT, NULL,
     "requests of the profile's deployment as they were served: WORKLOAD.md; absent where there is none"},
    {"schemes[].deployment.requests", WHOLE, 0, NULL, "requests"},
    {"schemes[].deployment.rounds", WHOLE, 0, NULL, "how often all were served against the clock"},
    {"schemes[].deployment.prompt_tokens", WHOLE, 0, NULL, "of all requests"},
    {"schemes[].deployment.output_tokens", WHOLE, 0, NULL, "likewise"},
    {"schemes[].deployment.policy", TEXT, 0, NULL, "the order in which requests were worked on"},
    {"schemes[].deployment.prefill_passes", WHOLE, 0, NULL, "of a round"},
    {"schemes[].deployment.decode_passes", WHOLE, 0, NULL, "of a round"},
    {"schemes[].deployment.decode_batch_mean", NUMBER, WORD, NULL, "requests in a decode pass"},
    {"schemes[].deployment.seconds", POSITIVE, 0, NULL, "of a round, from the first start to the last end; their mean"},
    {"schemes[].deployment.seconds_in_passes", POSITIVE, 0, NULL,
     "of them, from a pass's submission to its end; the rest is the host's"},
    {"schemes[].deployment.seconds_least", POSITIVE, 0, NULL, "the shortest round"},
    {"schemes[].deployment.seconds_most", POSITIVE, 0, NULL, "the longest"},
    {"schemes[].deployment.requests_per_s", POSITIVE, 0, NULL, "over all rounds"},
    {"schemes[].deployment.output_tokens_per_s", POSITIVE, 0, NULL, "likewise"},
    {"schemes[].deployment.tokens_per_s", POSITIVE, 0, NULL, "likewise, with prompts"},
    {"schemes[].deployment.first_token_ms", MAPPING, 0, NULL, "from a request's start to its first token"},
    ESTIMATE("schemes[].deployment.first_token_ms.p50", 0, "median"),
    ESTIMATE("schemes[].deployment.first_token_ms.p95", 0, "95th percentile"),
    ESTIMATE("schemes[].deployment.first_token_ms.p99", 0, "99th percentile"),
    {"schemes[].deployment.token_ms", MAPPING, 0, NULL,
     "mean time of a request from one of its tokens to the next; of requests with two or more"},
    ESTIMATE("schemes[].deployment.token_ms.p50", 0, "median"),
    ESTIMATE("schemes[].deployment.token_ms.p95", 0, "95th percentile"),
    ESTIMATE("schemes[].deployment.token_ms.p99", 0, "99th percentile"),
    ESTIMATE("schemes[].deployment.within", 0, "share of requests within both bounds, in every round"),
    {"schemes[].deployment.within_first_token", WHOLE, 0, NULL, "requests whose first token was, in every round"},
    {"schemes[].deployment.within_token", WHOLE, 0, NULL, "requests whose time between tokens was, likewise"},
    {"schemes[].deployment.within_per_s", NUMBER, 0, NULL, "rate of requests within both bounds (goodput)"},
    {"schemes[].deployment.check", MAPPING, 0, NULL, "a sample of served requests against the same requests alone"},
    {"schemes[].deployment.check.tokens", WHOLE, 0, NULL, "output tokens that were compared"},
    {"schemes[].deployment.check.kl_divergence_mean", NUMBER, 0, NULL, "nats per token"},
    {"schemes[].deployment.check.bound", NUMBER, 0, NULL, "beyond it the scheme is wrong"},
    {"schemes[].deployment.check.kl_divergence_median", NUMBER, 0, NULL, "nats per token"},
    {"schemes[].deployment.check.median_bound", NUMBER, 0, NULL, "beyond it the scheme is wrong"},
    {"schemes[].deployment.tokens_fold", TEXT, 0, NULL, "checksum of all generated ids; in every round the same"},
    {"schemes[].memory", MAPPING, WORD | OPT, NULL, "as the backend allocated it"},
    {"schemes[].memory.weights_bytes", WHOLE, WORD, NULL, "weights with scales"},
    {"schemes[].memory.kv_cache_bytes", WHOLE, WORD, NULL, "KV cache of the largest point"},
    {"schemes[].memory.total_bytes", WHOLE, WORD, NULL, "all allocations together, at their largest"},
    {"schemes[].memory.cache", CHOICE, OPT, "cache-resident|between|cold|undisclosed",
     "weights against the last-level cache: within it, up to four times it, more"},
    {"schemes[].kernels", LIST, OPT, NULL, "each kernel and shape"},
    {"schemes[].kernels[].name", TEXT, 0, NULL, "kernel"},
    {"schemes[].kernels[].shape", TEXT, 0, NULL, "shape"},
    {"schemes[].kernels[].hash", HASH, WORD, NULL, "of its body and configuration"},
    {"schemes[].kernels[].tier", TEXT, 0, NULL, "instruction level"},
    {"schemes[].kernels[].tile", TEXT, 0, NULL, "tile configuration"},
    {"schemes[].kernels[].checked_error", NUMBER, WORD, NULL, "worst error against the oracle"},
    {"schemes[].kernels[].bound", NUMBER, WORD, NULL, "beyond it the kernel is wrong"},
    {"schemes[].kernels[].time_us", POSITIVE, WORD | OPT, NULL, "of one dispatch; absent where a kernel was wrong"},
    {"schemes[].kernels[].rate", POSITIVE, WORD | OPT, NULL, "in `unit`; absent where a kernel was wrong"},
    {"schemes[].kernels[].unit", TEXT, OPT, NULL, "GB/s, GOP/s"},
    {"hash", HASH, 0, NULL, "content hash of all the rest"},
    {0},
};

const char *qm_result_table_path(size_t index)
{
    return index < sizeof(qm_result_rows) / sizeof(qm_result_rows[0]) ? qm_result_rows[index].path : NULL;
}

const char *qm_result_table_meaning(size_t index)
{
    return qm_result_table_path(index) ? qm_result_rows[index].meaning : NULL;
}

const char *const qm_result_words[] = {"undisclosed", "not measured", "no interval", "out of range",
                                       "not stated",  "none",         "absent",      NULL};

bool qm_result_is_word(const char *text)
{
    for (size_t i = 0; text && qm_result_words[i]; i++)
        if (strcmp(text, qm_result_words[i]) == 0)
            return true;
    return false;
}
