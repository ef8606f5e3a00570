#include "bench/selftest.h"

#include "kernel/kernels.h"
#include "kernel_arguments.h"
#include "sys/heartbeat.h"
#include "sys/host.h"

#include <math.h> // fabs only
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// What the kernel takes and gives; see kernels/selftest.h.
enum {
    INPUTS = 19,
    OUTPUTS = 16,
    INVOCATIONS = 32,
    FUNCTIONS = 7,
    FIRST_FUNCTION_INPUT = 6,
    FIRST_FUNCTION_OUTPUT = 4
};

#define ONE 0x3f800000u
#define PACKED_DOT (5 - 254 + 128 - 128 * 127) // of inputs 14 and 15

// Inputs of exp, reciprocal, inverse root, log, half_bits, half_value and round, and what they give, to the bit. Made
// once by the bodies compiled as C; test/test_oracle.c makes them again, and compares them with the exact values.
static const struct function_set {
    uint32_t inputs[FUNCTIONS], outputs[FUNCTIONS];
} function_sets[] = {
    {{0x00000000, 0x3f800000, 0x3f800000, 0x3f800000, 0x3f800000, 0x00003c00, 0x3f000000},
     {0x3f800000, 0x3f800000, 0x3f7fffff, 0x00000000, 0x00003c00, 0x3f800000, 0x00000000}},
    {{0x3f800000, 0x40400000, 0x40000000, 0x40000000, 0x3f801000, 0x00000001, 0x3fc00000},
     {0x402df854, 0x3eaaaaaa, 0x3f3504f3, 0x3f317218, 0x00003c00, 0x33800000, 0x00000002}},
    {{0xbf800000, 0x40e00000, 0x40400000, 0x3f000000, 0x3f803000, 0x000003ff, 0x40200000},
     {0x3ebc5ab2, 0x3e124925, 0x3f13cd3a, 0xbf317218, 0x00003c02, 0x387fc000, 0x00000002}},
    {{0x3f000000, 0x42fe0000, 0x3727c5ac, 0x3f2aaaab, 0x477fe000, 0x00000400, 0xbf000000},
     {0x3fd3094c, 0x3c010204, 0x439e1d28, 0xbecf991d, 0x00007bff, 0x38800000, 0x00000000}},
    {{0xc2ae0000, 0x3c010204, 0x501502f9, 0x3faaaaab, 0x477fefe6, 0x00007bff, 0xbfc00000},
     {0x00b33687, 0x42fe0000, 0x3727c5ac, 0x3e934b13, 0x00007bff, 0x477fe000, 0xfffffffe}},
    {{0x42b00000, 0x1e3ce508, 0x3f000000, 0x0da24260, 0x477ff000, 0x00008001, 0xc0200000},
     {0x7ef882b7, 0x60ad78ec, 0x3fb504f3, 0xc28a27b5, 0x00007c00, 0xb3800000, 0xfffffffe}},
    {{0x41a20000, 0x60ad78ec, 0x40e00000, 0x7149f2ca, 0x33800000, 0x0000fbff, 0x42fcffff},
     {0x4e1486bc, 0x1e3ce508, 0x3ec1848f, 0x428a27b5, 0x00000001, 0xc77fe000, 0x0000007e}},
    {{0xc06ccccd, 0x3fffffff, 0x10fd87b6, 0x437a0000, 0x33000000, 0x00000000, 0x42fd0000},
     {0x3cca88fe, 0x3f000000, 0x56b5e620, 0x40b0afcf, 0x00000000, 0x00000000, 0x0000007e}},
    {{0x3a83126f, 0x3f800001, 0x6e013f39, 0x40400000, 0x33c00000, 0x00008000, 0x42fe0000},
     {0x3f8020c9, 0x3f7ffffe, 0x283424dc, 0x3f8c9f54, 0x00000002, 0x80000000, 0x0000007f}},
    {{0xb58637bd, 0x3eaaa64c, 0x40800000, 0x3f7fffff, 0xb87fda40, 0x00003555, 0xc2fefae1},
     {0x3f7fffef, 0x404004eb, 0x3effffff, 0xb3800000, 0x000083ff, 0x3eaaa000, 0xffffff81}},
    {{0x428a999a, 0x0da24260, 0x41200000, 0x3f800001, 0x38800000, 0x00002e66, 0x3effffff},
     {0x717c42b3, 0x7149f2ca, 0x3ea1e89b, 0x34000000, 0x00000400, 0x3dccc000, 0x00000000}},
    {{0xc2346666, 0x7172568c, 0x47800040, 0x44000000, 0x3dcccccd, 0x0000c248, 0x49fffffc},
     {0x1ef4a135, 0x0d873750, 0x3b7fffbf, 0x40c7a05b, 0x00002e66, 0xc0490000, 0x00200000}},
    {{0x3eb1719f, 0x40a00000, 0x3fc00000, 0x3727c5ac, 0x80000000, 0x00001234, 0xca000000},
     {0x3fb504c8, 0x3e4ccccd, 0x3f5105eb, 0xc13834f2, 0x00008000, 0x3a468000, 0xffe00000}},
    {{0xbeb172ef, 0x40c00000, 0x3dcccccd, 0x40e00000, 0x7149f2ca, 0x00004321, 0x40600000},
     {0x3f3504a7, 0x3e2aaaaa, 0x404a62c1, 0x3ff91396, 0x00007c00, 0x40642000, 0x00000004}},
    {{0x41200000, 0x41100000, 0x47f1205a, 0x42c90000, 0xc0490fd0, 0x00009999, 0xc0600000},
     {0x46ac14ee, 0x3de38e39, 0x3b3a84cf, 0x4093866a, 0x0000c248, 0xbb332000, 0xfffffffc}},
    {{0xc1200000, 0x41300000, 0x40200000, 0x402df854, 0x000116c2, 0x00000200, 0x3089705f},
     {0x383e6bce, 0x3dba2e8c, 0x3f21e89b, 0x3f800000, 0x00000000, 0x38000000, 0x00000000}},
};
enum {
    SETS = sizeof(function_sets) / sizeof(function_sets[0])
};

bool qm_selftest_set(size_t index, uint32_t inputs[7], uint32_t outputs[7])
{
    if (index >= SETS)
        return false;
    memcpy(inputs, function_sets[index].inputs, sizeof(function_sets[index].inputs));
    memcpy(outputs, function_sets[index].outputs, sizeof(function_sets[index].outputs));
    return true;
}

static void fill_inputs(size_t set, uint32_t trips, uint32_t inputs[INPUTS])
{
    const uint32_t fixed[INPUTS] = {
        [0] = trips,
        [1] = ONE,
        [2] = 0x33800000u, // 2^-24: a tie that goes down to 1
        [3] = ONE + 1,
        [4] = 0x33800000u, // a tie that goes up
        [5] = 0x00800000u, // 2^-126, the smallest normal float
        [13] = (uint32_t)-1000,
        [14] = 0x80ff7f01u, // 1, 127, -1, -128
        [15] = 0x7f80fe05u, // 5, -2, -128, 127
        [16] = 0x3ac00000u, // 3 * 2^-11: a tie in binary16
        [17] = 12345,
        [18] = 0,
    };
    memcpy(inputs, fixed, sizeof(fixed));
    memcpy(inputs + FIRST_FUNCTION_INPUT, function_sets[set].inputs, sizeof(function_sets[set].inputs));
}

// ---- Running ------------------------------------------------------------------------------------------------------

struct probe {
    struct qm_device *device;
    struct qm_buffer *inputs, *outputs, *step;
    struct qm_kernel *kernel;
    struct qm_program *program;
};

static void probe_destroy(struct probe *p)
{
    p->device->fns->program_destroy(p->device, &p->program);
    p->device->fns->kernel_destroy(p->device, &p->kernel);
    p->device->fns->buffer_destroy(p->device, &p->inputs);
    p->device->fns->buffer_destroy(p->device, &p->outputs);
    p->device->fns->buffer_destroy(p->device, &p->step);
}

static enum qm_status probe_create(struct probe *p, struct qm_device *device, const char *name)
{
    *p = (struct probe){.device = device};
    // Of the subgroups' a workgroup holds several; the others have no such tile.
    const struct qm_kernel_variant *variant = qm_kernel_find(name, "full");
    QM_TRY(device->fns->kernel_create(device, variant, &p->kernel));
    QM_TRY(device->fns->buffer_create(device, INPUTS * 4, &p->inputs));
    QM_TRY(device->fns->buffer_create(device, INVOCATIONS * OUTPUTS * 4, &p->outputs));
    QM_TRY(device->fns->buffer_create(device, QM_STEP_WORDS * 4, &p->step));
    struct qm_dispatch dispatch = {.kernel = p->kernel,
                                   .bindings = {{p->inputs, 0, INPUTS * 4}, {p->outputs, 0, INVOCATIONS * OUTPUTS * 4}},
                                   .parameters = {INVOCATIONS},
                                   .groups = {1, 1, 1}};
    struct qm_program_params params = {&dispatch, 1, p->step};
    return device->fns->program_create(device, &params, &p->program);
}

// The words of the first invocation; QM_WRONG_RESULT where the others do not agree.
static enum qm_status probe_run(struct probe *p, size_t set, uint32_t trips, uint32_t outputs[OUTPUTS])
{
    uint32_t inputs[INPUTS], all[INVOCATIONS][OUTPUTS];
    struct qm_run_policy policy = {.repeats_per_submission = 1};
    struct qm_timing timing = {0};
    fill_inputs(set, trips, inputs);
    QM_TRY(p->device->fns->buffer_write(p->device, p->inputs, 0, inputs, sizeof(inputs)));
    QM_TRY(p->device->fns->run(p->device, p->program, 1, &policy, &timing));
    QM_TRY(p->device->fns->buffer_read(p->device, p->outputs, 0, all, sizeof(all)));
    memcpy(outputs, all[0], sizeof(all[0]));
    for (uint32_t i = 1; i < INVOCATIONS; ++i) {
        if (memcmp(all[i], all[0], sizeof(all[0])) != 0)
            return QM_FAIL(QM_WRONG_RESULT, "self-test: invocation %u of a workgroup gives other words than the first",
                           i);
    }
    return QM_OK;
}

// ---- What is asked ------------------------------------------------------------------------------------------------

static void wrong(struct qm_selftest *out, const char *format, ...) QM_PRINTF(2, 3);

static void wrong(struct qm_selftest *out, const char *format, ...)
{
    if (out->status != QM_OK)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->reason, sizeof(out->reason), format, arguments);
    va_end(arguments);
    out->status = QM_WRONG_RESULT;
}

static void note(struct qm_selftest *out, const char *format, ...) QM_PRINTF(2, 3);

static void note(struct qm_selftest *out, const char *format, ...)
{
    if (out->note_count == sizeof(out->notes) / sizeof(out->notes[0]))
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->notes[out->note_count++], sizeof(out->notes[0]), format, arguments);
    va_end(arguments);
}

static struct qm_capability *find_capability(struct qm_selftest *out, const char *name)
{
    for (uint32_t i = 0; i < out->capability_count; ++i) {
        if (strcmp(out->capabilities[i].name, name) == 0)
            return &out->capabilities[i];
    }
    return NULL;
}

// Keeps what the driver said of itself in front of what was found.
static void tried(struct qm_selftest *out, const char *name, bool works, const char *detail)
{
    struct qm_capability *c = find_capability(out, name);
    if (!c)
        return;
    char said[sizeof(c->detail)];
    memcpy(said, c->detail, sizeof(said));
    c->tried = true;
    c->works = works;
    snprintf(c->detail, sizeof(c->detail), "%.45s%s%.45s", said, said[0] && detail[0] ? "; " : "", detail);
}

static enum qm_status test_base(struct qm_device *device, struct qm_selftest *out)
{
    static const char *const names[FUNCTIONS] = {"exp",       "reciprocal", "inverse_root", "log",
                                                 "half_bits", "half_value", "round"};
    struct probe probe;
    uint32_t words[OUTPUTS];
    enum qm_status status;
    QM_GUARD(probe_create(&probe, device, "selftest"));
    out->functions_equal = true;
    for (size_t set = 0; set < SETS; ++set) {
        QM_GUARD(probe_run(&probe, set, set == 0 ? QM_SELFTEST_TRIPS : 3, words));
        if (set == 0) {
            out->loop_trips = words[0];
            out->rounds_to_even = words[1] == ONE && words[2] == ONE + 2;
            out->keeps_subnormals = words[3] == 0x00400000u;
            if (!out->rounds_to_even)
                wrong(out, "sums do not round to nearest even: 1 + 2^-24 gives 0x%08x, 1 + 2^-23 + 2^-24 0x%08x",
                      words[1], words[2]);
            if (words[3] != 0x00400000u && words[3] != 0)
                wrong(out, "2^-126 / 2 gives 0x%08x, which is neither a subnormal nor 0", words[3]);
            if (words[11] != (uint32_t)-125)
                wrong(out, "-1000 >> 3 gives 0x%08x", words[11]);
            if (words[12] != (uint32_t)(5 - 254 + 128 - 128 * 127))
                wrong(out, "the dot product of four bytes gives %d", (int32_t)words[12]);
        } else if (words[0] != 3) {
            wrong(out, "a loop of 3 trips ran %u", words[0]);
        }
        for (int f = 0; f < FUNCTIONS; ++f) {
            uint32_t expected = function_sets[set].outputs[f], got = words[FIRST_FUNCTION_OUTPUT + f];
            if (got == expected)
                continue;
            out->functions_equal = false;
            wrong(out, "%s of 0x%08x gives 0x%08x, expected 0x%08x", names[f], function_sets[set].inputs[f], got,
                  expected);
        }
    }
    tried(out, "rounding", out->rounds_to_even, out->rounds_to_even ? "ties go to even" : "ties do not go to even");
    tried(out, "denormals", out->keeps_subnormals, out->keeps_subnormals ? "kept" : "flushed to 0");
    if (!out->keeps_subnormals)
        note(out, "float32 subnormals are flushed to 0; no kernel relies on them");
    if (out->loop_trips != QM_SELFTEST_TRIPS)
        note(out, "loops end after %u trips without a word; kernels stay below that", out->loop_trips);
    if (out->loop_trips < 65535)
        wrong(out, "a loop of %u trips ran %u", QM_SELFTEST_TRIPS, out->loop_trips);
done:
    if (status == QM_WRONG_RESULT) {
        wrong(out, "%s", qm_error_text());
        status = QM_OK;
    }
    probe_destroy(&probe);
    return status;
}

// The same answer without the instruction, from inputs that came as texels.
static void judge_texel_buffers(struct qm_selftest *out, const uint32_t words[OUTPUTS])
{
    bool works = (int32_t)words[12] == PACKED_DOT && (int32_t)words[11] == -125;
    tried(out, "texel_buffers", works, works ? "words of four as stored" : "other words than were stored");
}

static void judge_packed_dot(struct qm_selftest *out, const uint32_t words[OUTPUTS])
{
    char text[48];
    int32_t got = (int32_t)words[12];
    snprintf(text, sizeof(text), "gave %d, expected %d", got, PACKED_DOT);
    tried(out, "packed_dot", got == PACKED_DOT, got == PACKED_DOT ? "right on signed bytes" : text);
}

// Either rounding conforms; the result is disclosed. 1 + 3 * 2^-11 lies between 1 + 2^-10 and 1 + 2^-9.
static void judge_fp16(struct qm_selftest *out, const uint32_t words[OUTPUTS])
{
    char text[48];
    snprintf(text, sizeof(text), "1 + 3 * 2^-11 gave 0x%04x", words[13]);
    bool even = words[13] == 0x3c02, down = words[13] == 0x3c01;
    tried(out, "fp16", even || down, even ? "ties go to even" : down ? "rounds towards zero" : text);
}

static void judge_subgroups(struct qm_selftest *out, const uint32_t words[OUTPUTS])
{
    char text[48];
    uint32_t size = words[15];
    bool is_sum = words[14] == size * (size + 1) / 2;
    bool works = is_sum && size >= 4 && size <= 64 && (size & (size - 1)) == 0;
    if (works)
        snprintf(text, sizeof(text), "sums by exchange over %u", size);
    else if (is_sum)
        snprintf(text, sizeof(text), "size %u; kernels take 4 to 64", size);
    else
        snprintf(text, sizeof(text), "a sum by exchange over %u gave %u", size, words[14]);
    tried(out, "subgroups", works, text);
}

static void judge_cooperative_matrix(struct qm_selftest *out, const uint32_t words[OUTPUTS])
{
    char text[48];
    snprintf(text, sizeof(text), "%u of 256 values of a product are wrong", words[13]);
    tried(out, "cooperative_matrix", words[13] == 0, words[13] == 0 ? "a product of 16 x 16 is right" : text);
}

// A capability that is advertised and does not even compile does not work; that costs a tier, not the device.
static enum qm_status test_capability(struct qm_device *device, struct qm_selftest *out, const char *name,
                                      void (*judge)(struct qm_selftest *out, const uint32_t words[OUTPUTS]))
{
    char variant[48];
    struct probe probe = {.device = device};
    uint32_t words[OUTPUTS];
    const struct qm_capability *c = find_capability(out, name);
    if (!c || !c->advertised)
        return QM_OK;
    snprintf(variant, sizeof(variant), "selftest-%s", name);
    qm_heartbeat_note("self-test, capability %s", name);
    enum qm_status status = probe_create(&probe, device, variant);
    if (status == QM_OK)
        status = probe_run(&probe, 0, 3, words);
    if (status == QM_OK)
        judge(out, words);
    else
        tried(out, name, false, qm_error_text());
    probe_destroy(&probe);
    return status == QM_DEVICE_LOST || status == QM_TIMEOUT || status == QM_OUT_OF_MEMORY ? status : QM_OK;
}

// The backend has tried them when it opened the device, for it must know how to submit.
static void judge_command_buffers(const struct qm_device *device, struct qm_selftest *out)
{
    const struct qm_capability *c = find_capability(out, "command_buffer");
    if (c && c->advertised && device->info->submission[0])
        tried(out, "command_buffer", strcmp(device->info->submission, "command buffer") == 0, "");
}

static enum qm_status test_clock(struct qm_device *device, struct qm_selftest *out)
{
    const struct qm_device_info *info = device->info;
    struct qm_clock_sample before = {0}, after = {0};
    enum qm_status status = device->fns->clock(device, &before);
    if (status == QM_OK) {
        qm_sleep_ns(120000000);
        status = device->fns->clock(device, &after);
    }
    if (status != QM_OK) {
        snprintf(out->timer, sizeof(out->timer), "wall clock; no device clock: %.110s", qm_error_text());
        tried(out, "timer", false, "no clock to compare");
        return status == QM_UNSUPPORTED || status == QM_FAILED ? QM_OK : status;
    }
    out->has_clock = true;
    out->clock_span_ns = after.host_ns - before.host_ns;
    out->clock_ratio = (double)(after.device_ns - before.device_ns) / (double)out->clock_span_ns;
    out->clock_error = fabs(out->clock_ratio - 1.0);
    if (out->clock_ratio > 0)
        out->clock_period_ns = info->timestamp_period_ns / out->clock_ratio;
    bool works = after.device_ns > before.device_ns && out->clock_error < 0.01;
    char text[48];
    snprintf(text, sizeof(text), "%.5f of the wall clock", out->clock_ratio);
    tried(out, "timer", works, text);
    snprintf(out->timer, sizeof(out->timer), "device timestamps of %g ns; %s", info->timestamp_period_ns, text);
    if (!works)
        note(out, "device timestamps run at %.5f of the wall clock; rates by them are not to be trusted",
             out->clock_ratio);
    return QM_OK;
}

enum qm_status qm_selftest_run(struct qm_device *device, struct qm_selftest *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->capabilities, device->info->capabilities, sizeof(out->capabilities));
    out->capability_count = device->info->capability_count;
    if (strcmp(device->info->api, "reference") == 0) {
        snprintf(out->timer, sizeof(out->timer), "wall clock; the reference has no device clock");
        note(out, "the reference runs formulas, not kernels: there is nothing to test");
        return QM_OK;
    }
    qm_heartbeat_note("self-test, rounding and functions");
    QM_TRY(test_base(device, out));
    QM_TRY(test_capability(device, out, "texel_buffers", judge_texel_buffers));
    judge_command_buffers(device, out);
    QM_TRY(test_capability(device, out, "packed_dot", judge_packed_dot));
    QM_TRY(test_capability(device, out, "fp16", judge_fp16));
    QM_TRY(test_capability(device, out, "subgroups", judge_subgroups));
    QM_TRY(test_capability(device, out, "cooperative_matrix", judge_cooperative_matrix));
    qm_heartbeat_note("self-test, clock");
    return test_clock(device, out);
}

// ---- In words -----------------------------------------------------------------------------------------------------

void qm_capability_text(const struct qm_capability *c, char text[192])
{
    snprintf(text, 192, "%s, %s%s%s", c->advertised ? "advertised" : "not advertised",
             !c->tried  ? "not tried"
             : c->works ? "works"
                        : "fails",
             c->detail[0] ? ": " : "", c->detail);
    if (!c->advertised && !c->tried)
        snprintf(text, 192, "not advertised");
}

struct qm_node *qm_selftest_node(const struct qm_selftest *s)
{
    struct qm_node *node = qm_node_new_mapping();
    char text[192];
    qm_node_set_text(node, "status", s->status == QM_OK ? "ok" : "wrong");
    if (s->status != QM_OK)
        qm_node_set_text(node, "reason", s->reason);
    struct qm_node *capabilities = qm_node_add_mapping(node, "capabilities");
    for (uint32_t i = 0; i < s->capability_count; ++i) {
        qm_capability_text(&s->capabilities[i], text);
        qm_node_set_text(capabilities, s->capabilities[i].name, text);
    }
    struct qm_node *tiers = qm_node_add_mapping(node, "tiers");
    for (size_t t = 1; t < QM_TIER_COUNT; ++t) {
        qm_tier_text((enum qm_tier)t, s->capabilities, s->capability_count, text);
        qm_node_set_text(tiers, qm_tier_name((enum qm_tier)t), text);
    }
    if (s->loop_trips > 0) {
        qm_node_set_u64(node, "loop_trips", s->loop_trips);
        qm_node_set_text(node, "rounding", s->rounds_to_even ? "nearest even" : "other");
        qm_node_set_text(node, "subnormals", s->keeps_subnormals ? "kept" : "flushed");
        qm_node_set_text(node, "functions", s->functions_equal ? "equal to the bit" : "differ");
    }
    qm_node_set_text(node, "timer", s->timer);
    if (s->has_clock) {
        struct qm_node *clock = qm_node_add_mapping(node, "clock");
        qm_node_set_u64(clock, "span_ns", s->clock_span_ns);
        qm_node_set_double(clock, "ratio", s->clock_ratio);
        qm_node_set_double(clock, "relative_error", s->clock_error);
        qm_node_set_double(clock, "period_ns", s->clock_period_ns);
    }
    if (s->note_count > 0) {
        struct qm_node *notes = qm_node_add_sequence(node, "notes");
        for (uint32_t i = 0; i < s->note_count; ++i)
            qm_node_append_text(notes, s->notes[i]);
    }
    return node;
}
