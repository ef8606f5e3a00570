// The OpenCL backend on every OpenCL device of this machine; QM_TEST_DRIVERS ("pocl rusticl") chooses among drivers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "backends/opencl/opencl.h"
#include "sys/file.h"
#include "sys/host.h"

#define COUNT 1000 // elements; no multiple of a workgroup
#define MOST 8     // devices

// rusticl keeps what it learns of each kernel.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libRusticlOpenCL\n";
}

static struct qm_device_info devices[MOST];
static const struct qm_device_info *current;
static char cache_dir[64];

#define assert_ok(expression)                                                                                          \
    do {                                                                                                               \
        if ((expression) != QM_OK)                                                                                     \
            fail_msg("%s: %s", #expression, qm_error_text());                                                          \
    } while (0)

// ---- Kernels of the tests -----------------------------------------------------------------------------------------

static const char add_source[] =
    "__kernel void add(__global const uint *from, __global uint *to, uint count, float extra,\n"
    "                  __global const uint *step) {\n"
    "    uint i = get_global_id(0);\n"
    "    if (i < count) to[i] = from[i] + OFFSET + (uint)extra + step[0];\n"
    "}\n";
static const char triple_source[] = "__kernel void triple(__global uint *at, uint count, __global const uint *step) {\n"
                                    "    uint i = get_global_id(0);\n"
                                    "    if (i < count) at[i] = at[i] * 3u + step[1];\n"
                                    "}\n";
// Adds into 64 bits: (low, high) of the first and the last element; then advances the step.
static const char gather_source[] =
    "__kernel void gather(__global const uint *from, __global uint *sum, __global uint *step_out, uint count,\n"
    "                     __global const uint *step) {\n"
    "    sum[0] += from[0]; sum[1] += from[count - 1u];\n"
    "    step_out[0] = step[0] + 1u;\n"
    "}\n";
static const char mark_source[] = "__kernel void mark(__global uint *to, __global const uint *step) {\n"
                                  "    to[get_global_id(0) + get_global_size(0) * get_global_id(1)] = \n"
                                  "        get_group_id(0) + 100000u * get_group_id(1);\n"
                                  "}\n";
static const char slow_source[] = "__kernel void slow(__global uint *to, uint trips, __global const uint *step) {\n"
                                  "    uint x = to[0] | 1u;\n"
                                  "    for (uint i = 0; i < trips; ++i) x = x * 1664525u + (x >> 7);\n"
                                  "    to[get_local_id(0)] = x;\n"
                                  "}\n";

#define VARIANT(title, text, options, bindings, parameters)                                                            \
    {                                                                                                                  \
        .name = "test-" title, .kernel = title, .definitions = options, .opencl_source = text,                         \
        .workgroup = {64, 1, 1}, .binding_count = bindings, .parameter_count = parameters                              \
    }
static const struct qm_kernel_variant add = VARIANT("add", add_source, "-DOFFSET=5u", 2, 2);
static const struct qm_kernel_variant triple = VARIANT("triple", triple_source, "", 1, 1);
static const struct qm_kernel_variant gather = {.name = "test-gather",
                                                .kernel = "gather",
                                                .definitions = "",
                                                .opencl_source = gather_source,
                                                .workgroup = {1, 1, 1},
                                                .binding_count = 3,
                                                .parameter_count = 1};

static struct qm_device *open_with(const char *cache, bool debug)
{
    struct qm_device *device = NULL;
    const struct qm_open_params params = {.cache_dir = cache, .debug = debug};
    assert_ok(qm_backend_opencl.open(current, &params, &device));
    return device;
}

// This program again, for a device that hangs or an environment without loader or driver: drivers survive no fork.
static int run_again(const char *what, const char *variable, const char *value)
{
    pid_t child = fork();
    if (child == 0) {
        if (variable != NULL)
            setenv(variable, value, 1);
        execl("/proc/self/exe", "test_opencl", what, current->id, cache_dir, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

// ---- Tests --------------------------------------------------------------------------------------------------------

static void test_info(void **state)
{
    (void)state;
    assert_string_equal(current->api, "opencl");
    assert_true(current->name[0] != '\0' && current->driver_name[0] != '\0');
    assert_true(current->max_binding_bytes >= 1u << 20);
    assert_true(current->max_workgroup_invocations >= 64);
    assert_true(current->max_local_bytes >= 16384);
    assert_true(current->max_parameter_bytes >= QM_MAX_PARAMETERS * 4);
    assert_true(current->buffer_offset_alignment >= 4);
    assert_int_equal(current->buffer_offset_alignment & (current->buffer_offset_alignment - 1), 0);
    print_message("%s: %s | %s | %s | %s | loader %s | compiler %s | align %u | alloc %llu | local %u | params %u\n",
                  current->id, current->name, current->driver, current->driver_name, current->api_version,
                  current->loader, current->compiler, current->buffer_offset_alignment,
                  (unsigned long long)current->max_allocation_bytes, current->max_local_bytes,
                  current->max_parameter_bytes);
    for (uint32_t i = 0; i < current->capability_count; ++i)
        print_message("    %-16s %-3s %s\n", current->capabilities[i].name,
                      current->capabilities[i].advertised ? "yes" : "no", current->capabilities[i].detail);
    // Listing again gives the same.
    struct qm_device_info again[MOST];
    size_t count;
    assert_ok(qm_backend_opencl.enumerate(again, MOST, &count));
    bool same = false;
    for (size_t i = 0; i < count && i < MOST; ++i)
        same |= memcmp(&again[i], current, sizeof(*current)) == 0;
    assert_true(same);
    // One that changed is not opened.
    struct qm_device_info other = *current;
    struct qm_device *device;
    const struct qm_open_params params = {0};
    snprintf(other.name, sizeof(other.name), "another device");
    assert_int_equal(qm_backend_opencl.open(&other, &params, &device), QM_UNAVAILABLE);
    assert_null(device);
    snprintf(other.id, sizeof(other.id), "opencl:99");
    assert_int_equal(qm_backend_opencl.open(&other, &params, &device), QM_UNAVAILABLE);
}

static void test_buffers(void **state)
{
    (void)state;
    struct qm_device *device = open_with(NULL, false);
    struct qm_buffer *buffer = NULL, *odd = NULL, *absurd = NULL;
    struct qm_memory memory;
    uint32_t values[COUNT], back[COUNT];
    assert_ok(device->fns->buffer_create(device, sizeof(values), &buffer));
    memset(back, 0xff, sizeof(back));
    assert_ok(device->fns->buffer_read(device, buffer, 0, back, sizeof(back)));
    for (int i = 0; i < COUNT; ++i)
        assert_int_equal(back[i], 0);
    for (uint32_t i = 0; i < COUNT; ++i)
        values[i] = i * 2654435761u;
    assert_ok(device->fns->buffer_write(device, buffer, 0, values, sizeof(values)));
    assert_ok(device->fns->buffer_write(device, buffer, 40, values, 12));
    memcpy(values + 10, (uint32_t[]){values[0], values[1], values[2]}, 12);
    assert_ok(device->fns->buffer_read(device, buffer, 0, back, sizeof(back)));
    assert_memory_equal(values, back, sizeof(back));
    assert_ok(device->fns->buffer_read(device, buffer, 4 * (COUNT - 1), back, 4));
    assert_int_equal(back[0], values[COUNT - 1]);
    assert_ok(device->fns->buffer_write(device, buffer, 0, values, 0));
    // Sizes are rounded up to words; figures follow.
    assert_ok(device->fns->buffer_create(device, 5, &odd));
    device->fns->memory(device, &memory);
    assert_int_equal(memory.buffers_bytes, sizeof(values) + 8);
    device->fns->buffer_destroy(device, &odd);
    assert_null(odd);
    device->fns->buffer_destroy(device, &odd);
    device->fns->memory(device, &memory);
    assert_int_equal(memory.buffers_bytes, sizeof(values));
    assert_int_equal(memory.peak_bytes, sizeof(values) + 8);
    // What does not fit is refused with a reason, and the device goes on.
    assert_int_equal(device->fns->buffer_create(device, UINT64_C(1) << 60, &absurd), QM_OUT_OF_MEMORY);
    assert_null(absurd);
    assert_int_equal(device->fns->buffer_create(device, UINT64_MAX, &absurd), QM_OUT_OF_MEMORY);
    assert_non_null(strstr(qm_error_text(), "limit"));
    device->fns->memory(device, &memory);
    assert_int_equal(memory.buffers_bytes, sizeof(values));
    assert_ok(device->fns->buffer_read(device, buffer, 0, back, sizeof(back)));
    assert_memory_equal(values, back, sizeof(back));
    device->fns->buffer_destroy(device, &buffer);
    device->fns->destroy(&device);
    assert_null(device);
    device = NULL;
}

// The program of the tests: y = x + 5 + 2 + step; y = 3 y + step[1]; sums of y's ends, step + 1. x and y are windows
// of one buffer.
struct rig {
    struct qm_device *device;
    struct qm_kernel *add, *triple, *gather;
    struct qm_buffer *data, *sum, *step;
    struct qm_program *program;
    uint64_t x, y; // offsets in `data`
};

static void rig_make(struct rig *rig, const char *cache)
{
    struct qm_device *device = rig->device = open_with(cache, false);
    const struct qm_device_fns *fns = device->fns;
    uint64_t align = current->buffer_offset_alignment, window = (COUNT * 4 + align - 1) / align * align;
    uint32_t values[COUNT], step[QM_STEP_WORDS] = {0, 11, 0, 0};
    rig->x = align;
    rig->y = align + window;
    assert_ok(fns->kernel_create(device, &add, &rig->add));
    assert_ok(fns->kernel_create(device, &triple, &rig->triple));
    assert_ok(fns->kernel_create(device, &gather, &rig->gather));
    assert_ok(fns->buffer_create(device, align + 2 * window, &rig->data));
    assert_ok(fns->buffer_create(device, 8, &rig->sum));
    assert_ok(fns->buffer_create(device, sizeof(step), &rig->step));
    for (uint32_t i = 0; i < COUNT; ++i)
        values[i] = i + 1;
    assert_ok(fns->buffer_write(device, rig->data, rig->x, values, sizeof(values)));
    assert_ok(fns->buffer_write(device, rig->step, 0, step, sizeof(step)));
    const struct qm_binding x = {rig->data, rig->x, COUNT * 4}, y = {rig->data, rig->y, COUNT * 4};
    const struct qm_dispatch dispatches[] = {
        {rig->add, {x, y}, {COUNT, 0x40000000 /* 2.0f */}, {(COUNT + 63) / 64, 1, 1}},
        {rig->triple, {y}, {COUNT}, {(COUNT + 63) / 64, 1, 1}},
        {rig->gather, {y, {rig->sum, 0, 8}, {rig->step, 0, 16}}, {COUNT}, {1, 1, 1}},
    };
    const struct qm_program_params params = {dispatches, 3, rig->step};
    assert_ok(fns->program_create(device, &params, &rig->program));
}

static void rig_break(struct rig *rig)
{
    const struct qm_device_fns *fns = rig->device->fns;
    fns->program_destroy(rig->device, &rig->program);
    fns->program_destroy(rig->device, &rig->program);
    assert_null(rig->program);
    fns->buffer_destroy(rig->device, &rig->data);
    fns->buffer_destroy(rig->device, &rig->sum);
    fns->buffer_destroy(rig->device, &rig->step);
    fns->kernel_destroy(rig->device, &rig->add);
    fns->kernel_destroy(rig->device, &rig->triple);
    fns->kernel_destroy(rig->device, &rig->gather);
    fns->destroy(&rig->device);
    fns->destroy(&rig->device);
}

// Checks the buffers after `repeats` runs in all.
static void rig_check(struct rig *rig, uint32_t repeats)
{
    const struct qm_device_fns *fns = rig->device->fns;
    uint32_t y[COUNT], sum[2], step[QM_STEP_WORDS], first = 0, last = 0;
    for (uint32_t r = 0; r < repeats; ++r) {
        first += 3 * (1 + 7 + r) + 11;
        last += 3 * (COUNT + 7 + r) + 11;
    }
    assert_ok(fns->buffer_read(rig->device, rig->data, rig->y, y, sizeof(y)));
    assert_ok(fns->buffer_read(rig->device, rig->sum, 0, sum, sizeof(sum)));
    assert_ok(fns->buffer_read(rig->device, rig->step, 0, step, sizeof(step)));
    for (uint32_t i = 0; i < COUNT; ++i)
        if (y[i] != 3 * (i + 1 + 7 + repeats - 1) + 11)
            fail_msg("y[%u] is %u after %u repeats", i, y[i], repeats);
    assert_int_equal(sum[0], first);
    assert_int_equal(sum[1], last);
    assert_int_equal(step[0], repeats);
}

static void test_program(void **state)
{
    (void)state;
    static const struct {
        struct qm_run_policy policy;
        uint32_t repeats, submissions;
    } runs[] = {
        {{0, 1}, 1, 1}, {{0, 1}, 5, 5},   {{0, 4}, 10, 3}, {{1, 1}, 2, 6},
        {{2, 8}, 3, 6}, {{3, 100}, 7, 1}, {{0, 1}, 0, 0},
    };
    struct rig rig = {0};
    rig_make(&rig, NULL);
    uint32_t total = 0;
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); ++i) {
        uint64_t device_ns[16] = {0}, wall_ns[16] = {0}, device_sum = 0, wall_sum = 0;
        struct qm_timing timing = {.repeat_device_ns = device_ns, .repeat_wall_ns = wall_ns};
        assert_ok(rig.device->fns->run(rig.device, rig.program, runs[i].repeats, &runs[i].policy, &timing));
        total += runs[i].repeats;
        rig_check(&rig, total);
        assert_int_equal(timing.submissions, runs[i].submissions);
        for (uint32_t r = 0; r < runs[i].repeats; ++r) {
            if (timing.has_device_time)
                assert_true(device_ns[r] > 0 && device_ns[r] < UINT64_C(60000000000));
            else
                assert_int_equal(device_ns[r], 0);
            assert_true(wall_ns[r] > 0);
            device_sum += device_ns[r];
            wall_sum += wall_ns[r];
        }
        assert_true(wall_sum <= timing.wall_ns);
        assert_true(wall_sum + 16 >= timing.wall_ns || runs[i].repeats == 0); // what division drops
        if (timing.has_device_time) // one after another, within the wall clock's time
            assert_true(device_sum <= timing.wall_ns + timing.wall_ns / 100);
        print_message("    repeats %u, policy %u/%u: wall %.3f ms, device %.3f ms (%s)\n", runs[i].repeats,
                      runs[i].policy.dispatches_per_submission, runs[i].policy.repeats_per_submission,
                      (double)timing.wall_ns * 1e-6, (double)device_sum * 1e-6, timing.has_device_time ? "yes" : "no");
        // Without arrays as well.
        struct qm_timing bare = {0};
        assert_ok(rig.device->fns->run(rig.device, rig.program, 1, &runs[i].policy, &bare));
        rig_check(&rig, ++total);
    }
    rig_break(&rig);
}

static const struct qm_capability *command_buffers(const struct qm_device *device)
{
    for (uint32_t i = 0; i < device->info->capability_count; ++i)
        if (strcmp(device->info->capabilities[i].name, "command_buffer") == 0)
            return &device->info->capabilities[i];
    fail_msg("%s says nothing of command buffers", current->id);
    return NULL;
}

// Enqueued, as the trial has it, and as command buffers whatever their events tell: the same words.
static void test_command_buffers(void **state)
{
    (void)state;
    static const enum opencl_commands_use uses[] = {OPENCL_COMMANDS_NEVER, OPENCL_COMMANDS_TRIED,
                                                    OPENCL_COMMANDS_WITHOUT_TIMES};
    static const struct qm_run_policy policies[] = {{0, 1}, {0, 4}, {2, 8}, {0, 100}};
    for (size_t u = 0; u < sizeof(uses) / sizeof(uses[0]); ++u) {
        struct rig rig = {0};
        uint32_t total = 0;
        opencl_commands_use = uses[u];
        rig_make(&rig, NULL);
        const struct qm_capability *capability = command_buffers(rig.device);
        bool is_used = strcmp(rig.device->info->submission, "command buffer") == 0;
        assert_true(is_used || strcmp(rig.device->info->submission, "enqueued") == 0);
        if (uses[u] == OPENCL_COMMANDS_NEVER || !capability->advertised)
            assert_false(is_used);
        else if (!is_used) // with the reason
            assert_true(strlen(capability->detail) > 0);
        if (uses[u] == OPENCL_COMMANDS_WITHOUT_TIMES && strcmp(current->driver_name, "pocl") == 0)
            assert_true(is_used == capability->advertised);
        for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); ++i) {
            uint64_t device_ns[20];
            struct qm_timing timing = {.repeat_device_ns = device_ns};
            assert_ok(rig.device->fns->run(rig.device, rig.program, 20, &policies[i], &timing));
            rig_check(&rig, total += 20);
            if (is_used && capability->detail[0] != '\0')
                assert_false(timing.has_device_time);
        }
        print_message("    %s %s\n", rig.device->info->submission, capability->detail);
        rig_break(&rig);
    }
    opencl_commands_use = OPENCL_COMMANDS_TRIED;
}

static void test_clock(void **state)
{
    (void)state;
    struct qm_device *device = open_with(NULL, false);
    struct qm_clock_sample first, second;
    enum qm_status status = device->fns->clock(device, &first);
    if (status == QM_UNSUPPORTED) {
        print_message("    no device clock: %s\n", qm_error_text());
    } else {
        assert_int_equal(status, QM_OK);
        qm_sleep_ns(100 * 1000 * 1000);
        assert_ok(device->fns->clock(device, &second));
        double host = (double)(second.host_ns - first.host_ns),
               ratio = (double)(second.device_ns - first.device_ns) / host;
        print_message("    device clock / host clock: %.6f\n", ratio);
        assert_true(ratio > 0.9 && ratio < 1.1);
    }
    device->fns->destroy(&device);
}

static int cached_files(char names[][QM_PATH_BYTES], int most)
{
    struct qm_name_list list = {0};
    assert_ok(qm_directory_list(cache_dir, &list));
    int count = (int)list.count;
    for (int i = 0; i < count && i < most; ++i)
        assert_ok(qm_path_join(names[i], cache_dir, list.names[i]));
    qm_name_list_free(&list);
    return count;
}

static void test_cache(void **state)
{
    (void)state;
    static char names[16][QM_PATH_BYTES];
    char hashes[4][65], text[65];
    struct rig rig = {0};
    int count = cached_files(names, 16);
    for (int i = 0; i < count; ++i)
        assert_ok(qm_file_remove(names[i]));
    for (int pass = 0; pass < 4; ++pass) {
        struct qm_run_policy policy = {0, 1};
        struct qm_timing timing = {0};
        uint64_t begin = qm_clock_ns();
        memset(&rig, 0, sizeof(rig));
        rig_make(&rig, cache_dir);
        uint64_t ready = qm_clock_ns();
        assert_ok(rig.device->fns->run(rig.device, rig.program, 2, &policy, &timing));
        print_message("    pass %d: made in %.1f ms, first run %.1f ms\n", pass, (double)(ready - begin) * 1e-6,
                      (double)(qm_clock_ns() - ready) * 1e-6);
        rig_check(&rig, 2);
        rig.device->fns->kernel_binary_hash(rig.device, rig.add, hashes[pass]);
        rig_break(&rig);
        assert_true(strlen(hashes[pass]) == 64 || strcmp(hashes[pass], "undisclosed") == 0);
        count = cached_files(names, 16);
        assert_int_equal(count, strlen(hashes[pass]) == 64 ? 3 : 0);
        // Before pass 1 the files are whole; before the others they are damaged: junk, then cut short.
        for (int i = 0; i < count; ++i) {
            void *bytes;
            size_t size;
            assert_ok(qm_file_read(names[i], 64u << 20, &bytes, &size));
            assert_memory_equal(bytes, "qmcl1\n", 6); // replaced after damage
            memcpy(text, (char *)bytes + 6, 64);
            if (pass == 1)
                memset((char *)bytes + size / 2, 0x5a, size / 4);
            if (pass == 1 || pass == 2)
                assert_ok(qm_file_write(names[i], bytes, pass == 1 ? size : size / 3));
            free(bytes);
        }
    }
    assert_string_equal(hashes[0], hashes[1]); // loaded, not compiled anew
    print_message("    binary %.16s, compiled again %.16s\n", hashes[0], hashes[2]);

    // Bytes that hash as they should and are no binary: what a driver of another build may leave. It may end the
    // process (rusticl does), but only one: the next compiles.
    for (int i = 0; i < count; ++i) {
        char junk[6 + 64 + 300] = "qmcl1\n";
        memset(junk + 70, 7, 300);
        qm_hash_bytes(junk + 70, 300, text);
        memcpy(junk + 6, text, 64);
        assert_ok(qm_file_write(names[i], junk, sizeof(junk)));
    }
    int tries = 0;
    while (count > 0 && run_again("load", NULL, NULL) != 0)
        assert_true(++tries <= count);
    print_message("    junk: %d processes ended\n", tries);
    // A cache that cannot be written is no error.
    memset(&rig, 0, sizeof(rig));
    rig_make(&rig, "/proc/none/here");
    rig_break(&rig);
}

static void test_build_error(void **state)
{
    (void)state;
    struct qm_device *device = open_with(NULL, false);
    struct qm_kernel *kernel = NULL;
    struct qm_kernel_variant wrong = add;
    wrong.opencl_source = "__kernel void add(__global uint *a) { a[0] = no_such_name; }\n";
    assert_int_equal(device->fns->kernel_create(device, &wrong, &kernel), QM_FAILED);
    assert_null(kernel);
    print_message("    %s\n", qm_error_text());
    assert_non_null(strstr(qm_error_text(), "test-add"));
    assert_non_null(strstr(qm_error_text(), "no_such_name"));

    wrong = add; // another number of arguments than the table says
    wrong.parameter_count = 5;
    assert_int_equal(device->fns->kernel_create(device, &wrong, &kernel), QM_FAILED);
    assert_non_null(strstr(qm_error_text(), "arguments"));

    wrong = add;
    wrong.kernel = "subtract";
    assert_int_equal(device->fns->kernel_create(device, &wrong, &kernel), QM_FAILED);
    assert_non_null(strstr(qm_error_text(), "CL_INVALID_KERNEL_NAME"));

    wrong = add;
    wrong.opencl_source = NULL;
    assert_int_equal(device->fns->kernel_create(device, &wrong, &kernel), QM_UNSUPPORTED);

    wrong = add;
    wrong.workgroup[0] = current->max_workgroup_invocations + 1;
    assert_int_equal(device->fns->kernel_create(device, &wrong, &kernel), QM_UNSUPPORTED);
    assert_non_null(strstr(qm_error_text(), "workgroup"));
    assert_null(kernel);
    device->fns->destroy(&device);
}

// More groups than 16 bits count, and a second dimension.
static void test_groups(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{5, 3}, {65536, 1}, {70001, 1}, {3, 66000}};
    static const struct qm_kernel_variant variant = {.name = "test-mark",
                                                     .kernel = "mark",
                                                     .opencl_source = mark_source,
                                                     .workgroup = {4, 1, 1},
                                                     .binding_count = 1};
    struct qm_device *device = open_with(NULL, false);
    struct qm_kernel *kernel = NULL;
    struct qm_buffer *step = NULL;
    assert_ok(device->fns->kernel_create(device, &variant, &kernel));
    assert_ok(device->fns->buffer_create(device, 16, &step));
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); ++s) {
        size_t wide = shapes[s][0] * 4, cells = wide * shapes[s][1];
        struct qm_buffer *buffer = NULL;
        struct qm_program *program = NULL;
        uint32_t *back = test_malloc(cells * 4);
        assert_ok(device->fns->buffer_create(device, cells * 4, &buffer));
        const struct qm_dispatch dispatch = {kernel, {{buffer, 0, cells * 4}}, {0}, {shapes[s][0], shapes[s][1], 1}};
        const struct qm_program_params params = {&dispatch, 1, step};
        const struct qm_run_policy policy = {0, 1};
        struct qm_timing timing = {0};
        assert_ok(device->fns->program_create(device, &params, &program));
        assert_ok(device->fns->run(device, program, 1, &policy, &timing));
        assert_ok(device->fns->buffer_read(device, buffer, 0, back, cells * 4));
        for (size_t i = 0; i < cells; ++i)
            if (back[i] != i % wide / 4 + 100000u * (uint32_t)(i / wide))
                fail_msg("%u x %u groups: cell %zu has %u", shapes[s][0], shapes[s][1], i, back[i]);
        test_free(back);
        device->fns->program_destroy(device, &program);
        device->fns->buffer_destroy(device, &buffer);
    }
    device->fns->buffer_destroy(device, &step);
    device->fns->kernel_destroy(device, &kernel);
    device->fns->destroy(&device);
}

// In a process of its own, before this one has touched the driver again: a device that does not answer.
static int hang(void)
{
    static const struct qm_kernel_variant variant = VARIANT("slow", slow_source, "", 1, 1);
    struct qm_device *device = open_with(NULL, false);
    struct qm_kernel *kernel = NULL;
    struct qm_buffer *buffer = NULL, *step = NULL;
    struct qm_program *program = NULL;
    assert_ok(device->fns->kernel_create(device, &variant, &kernel));
    assert_ok(device->fns->buffer_create(device, 256, &buffer));
    assert_ok(device->fns->buffer_create(device, 16, &step));
    // Many groups: llvmpipe ends every loop at 65,535 trips, also where loops are nested.
    const struct qm_dispatch dispatch = {kernel, {{buffer, 0, 256}}, {60000}, {40000, 1, 1}};
    const struct qm_program_params params = {&dispatch, 1, step};
    const struct qm_run_policy policy = {0, 1};
    struct qm_timing timing = {0};
    assert_ok(device->fns->program_create(device, &params, &program));
    opencl_hang_limit_ns = 10 * 1000 * 1000;
    uint64_t begin = qm_clock_ns();
    enum qm_status status = device->fns->run(device, program, 1, &policy, &timing);
    if (status != QM_TIMEOUT) {
        fprintf(stderr, "    %s after %.0f ms\n", qm_status_name(status), (double)(qm_clock_ns() - begin) * 1e-6);
        return 1;
    }
    fprintf(stderr, "    %s (told after %.0f ms)\n", qm_error_text(), (double)(qm_clock_ns() - begin) * 1e-6);
    if (device->fns->run(device, program, 1, &policy, &timing) != QM_DEVICE_LOST)
        return 2;
    if (device->fns->buffer_read(device, buffer, 0, &begin, 4) != QM_DEVICE_LOST)
        return 3;
    device->fns->program_destroy(device, &program);
    device->fns->buffer_destroy(device, &buffer);
    device->fns->buffer_destroy(device, &step);
    device->fns->kernel_destroy(device, &kernel);
    device->fns->destroy(&device);
    return 0;
}

// ---- Driving ------------------------------------------------------------------------------------------------------

static void test_hang(void **state)
{
    (void)state;
    assert_int_equal(run_again("hang", NULL, NULL), 0);
}

static void test_absent(void **state)
{
    (void)state;
    assert_int_equal(run_again("absent", "QM_OPENCL_LOADER", "/nowhere/libOpenCL.so"), 0);
    assert_int_equal(run_again("absent", "OCL_ICD_VENDORS", "/nowhere/"), 0);
}

static int again(const char *what, const char *id)
{
    size_t count;
    enum qm_status status = qm_backend_opencl.enumerate(devices, MOST, &count);
    if (strcmp(what, "absent") == 0) {
        fprintf(stderr, "    %s\n", qm_error_text());
        return status == QM_UNAVAILABLE && count == 0 ? 0 : 1;
    }
    for (size_t i = 0; status == QM_OK && i < count && i < MOST; ++i)
        if (strcmp(devices[i].id, id) == 0)
            current = &devices[i];
    if (current != NULL && strcmp(what, "load") == 0) {
        struct rig rig = {0};
        rig_make(&rig, cache_dir);
        rig_break(&rig);
        return 0;
    }
    // The driver's threads still run the kernel: leave without the exit handlers that would wait for them.
    _exit(current == NULL ? 100 : hang());
}

static bool chosen(const struct qm_device_info *device)
{
    const char *drivers = getenv("QM_TEST_DRIVERS");
    return drivers == NULL || drivers[0] == '\0' || strstr(drivers, device->driver_name) != NULL;
}

int main(int argc, char **argv)
{
    setenv("RUSTICL_ENABLE", "llvmpipe", 0);
    if (argc == 4) {
        snprintf(cache_dir, sizeof(cache_dir), "%s", argv[3]);
        return again(argv[1], argv[2]);
    }
    size_t count;
    if (qm_backend_opencl.enumerate(devices, MOST, &count) != QM_OK) {
        printf("skipped: %s\n", qm_error_text());
        return 77;
    }
    snprintf(cache_dir, sizeof(cache_dir), "/tmp/qm-opencl-XXXXXX");
    if (mkdtemp(cache_dir) == NULL)
        return 1;
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info),    cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_program), cmocka_unit_test(test_clock),
        cmocka_unit_test(test_groups),  cmocka_unit_test(test_build_error),
        cmocka_unit_test(test_cache),   cmocka_unit_test(test_hang),
        cmocka_unit_test(test_absent),  cmocka_unit_test(test_command_buffers),
    };
    int failed = 0, tried = 0;
    for (size_t i = 0; i < count && i < MOST; ++i) {
        if (!chosen(&devices[i]))
            continue;
        ++tried;
        current = &devices[i];
        failed += cmocka_run_group_tests_name(current->driver_name, tests, NULL, NULL);
    }
    struct qm_name_list list = {0};
    if (qm_directory_list(cache_dir, &list) == QM_OK) {
        for (size_t i = 0; i < list.count; ++i) {
            char path[QM_PATH_BYTES];
            if (qm_path_join(path, cache_dir, list.names[i]) == QM_OK)
                unlink(path);
        }
        qm_name_list_free(&list);
    }
    rmdir(cache_dir);
    if (tried == 0) {
        printf("skipped: none of the drivers in QM_TEST_DRIVERS has a device here\n");
        return 77;
    }
    return failed > 0;
}
