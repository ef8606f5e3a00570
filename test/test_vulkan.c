// The Vulkan backend, on every device whose driver_name stands in QM_TEST_DRIVERS (all if that is not set). Skipped
// where there is none. The kernels are in test/data/vulkan.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/vulkan/vk.h"
#include "base/hash.h"
#include "sys/file.h"
#include "sys/host.h"
#include "test/data/vulkan/kernels.h"

#define MAX_DEVICES 16
#define KERNEL(id, bindings, parameters, size)                                                                         \
    {                                                                                                                  \
        .name = #id, .spirv = spirv_##id, .spirv_bytes = sizeof(spirv_##id), .workgroup = {size, 1, 1},                \
        .binding_count = bindings, .parameter_count = parameters                                                       \
    }

static const struct qm_kernel_variant fill = KERNEL(fill, 1, 2, 64), mix = KERNEL(mix, 3, 1, 64),
                                      advance = KERNEL(advance, 1, 1, 1), spin = KERNEL(spin, 1, 1, 64),
                                      half = KERNEL(half, 1, 0, 1);

static struct qm_device_info devices[MAX_DEVICES];
static size_t device_count;

static void ok_at(enum qm_status status, const char *call, int line)
{
    if (status != QM_OK)
        fail_msg("line %d: %s: %s: %s (%s)", line, call, qm_status_name(status), qm_error_text(), qm_error_place());
}
#define OK(call) ok_at((call), #call, __LINE__)

static bool wanted(const char *name)
{
    const char *list = getenv("QM_TEST_DRIVERS");
    if (!list)
        return true;
    for (size_t length = strlen(name); (list = strstr(list, name)); list += length)
        if (list[length] == '\0' || list[length] == ' ')
            return true;
    return false;
}

static struct qm_device *open_device(const struct qm_device_info *info, bool debug, const char *cache)
{
    const struct qm_open_params params = {.debug = debug, .cache_dir = cache};
    struct qm_device *device = NULL;
    OK(qm_backend_vulkan.open(info, &params, &device));
    assert_non_null(device);
    return device;
}

static const struct qm_capability *capability(const struct qm_device_info *info, const char *name)
{
    for (uint32_t i = 0; i < info->capability_count; i++)
        if (strcmp(info->capabilities[i].name, name) == 0)
            return &info->capabilities[i];
    fail_msg("no capability %s", name);
    return NULL;
}

// ---- What devices say ---------------------------------------------------------------------------------------------

static void devices_describe_themselves(void **state)
{
    (void)state;
    for (size_t i = 0; i < device_count; i++) {
        const struct qm_device_info *d = &devices[i];
        printf("  %s: %s, %s (%s), Vulkan %s, compiler %s, %s, pci '%s'\n", d->id, d->name, d->driver, d->driver_name,
               d->api_version, d->compiler, d->loader, d->pci_address);
        for (uint32_t c = 0; c < d->capability_count; c++)
            printf("    %s: %s %s\n", d->capabilities[c].name, d->capabilities[c].advertised ? "yes" : "no",
                   d->capabilities[c].detail);
        assert_string_equal(d->api, "vulkan");
        assert_true(d->name[0] && d->driver[0] && d->driver_name[0] && d->compiler[0] && d->loader[0]);
        // What Vulkan promises of every device.
        assert_true(d->max_binding_bytes >= 1u << 27);
        assert_true(d->max_allocation_bytes >= 1u << 30);
        assert_true(d->buffer_offset_alignment >= 4 && d->buffer_offset_alignment <= 256);
        assert_int_equal(d->buffer_offset_alignment & (d->buffer_offset_alignment - 1), 0);
        assert_true(d->max_workgroup_invocations >= 128 && d->max_local_bytes >= 16384);
        assert_true(d->max_parameter_bytes >= 128 && d->max_groups[0] >= 65535);
        assert_true(d->capability_count <= QM_MAX_CAPABILITIES);
        assert_int_equal(capability(d, "timer")->advertised, d->timestamp_valid_bits != 0);
        capability(d, "packed_dot");
    }
    // The software drivers' known answers.
    for (size_t i = 0; i < device_count; i++) {
        const struct qm_device_info *d = &devices[i];
        if (strcmp(d->driver_name, "lavapipe") != 0 && strcmp(d->driver_name, "swiftshader") != 0)
            continue;
        const bool lavapipe = strcmp(d->driver_name, "lavapipe") == 0;
        assert_int_equal(d->type, QM_DEVICE_CPU);
        assert_int_equal(d->subgroup_size > 0, 1);
        assert_int_equal(capability(d, "fp16")->advertised, lavapipe);
        assert_int_equal(capability(d, "int8_storage")->advertised, lavapipe);
        assert_int_equal(capability(d, "calibrated_timestamps")->advertised, lavapipe);
        assert_true(capability(d, "packed_dot")->advertised);
        assert_string_equal(capability(d, "packed_dot")->detail, "not accelerated");
    }
}

static void a_short_list_is_filled_and_counted(void **state)
{
    (void)state;
    size_t all = 0, again = 0;
    struct qm_device_info first;
    memset(&first, 0xee, sizeof(first));
    OK(qm_backend_vulkan.enumerate(NULL, 0, &all));
    OK(qm_backend_vulkan.enumerate(&first, 1, &again));
    assert_int_equal(all, again);
    assert_string_equal(first.api, "vulkan");
}

static void a_device_that_went_is_named(void **state)
{
    (void)state;
    struct qm_device_info gone = devices[0];
    const struct qm_open_params params = {0};
    struct qm_device *device;
    gone.uuid[3] ^= 0x55;
    assert_int_equal(qm_backend_vulkan.open(&gone, &params, &device), QM_UNAVAILABLE);
    assert_null(device);
    assert_non_null(strstr(qm_error_text(), gone.name));
}

// ---- Memory -------------------------------------------------------------------------------------------------------

static void check_buffer(struct qm_device *device, uint64_t size)
{
    const struct qm_device_fns *fns = device->fns;
    const uint64_t whole = (size + 3) & ~(uint64_t)3;
    struct qm_buffer *buffer = NULL;
    unsigned char *bytes = malloc(whole), *back = malloc(whole);
    assert_true(bytes && back);
    OK(fns->buffer_create(device, size, &buffer));
    OK(fns->buffer_read(device, buffer, 0, back, whole));
    for (uint64_t i = 0; i < whole; i++)
        if (back[i])
            fail_msg("byte %llu of a new buffer is %u", (unsigned long long)i, back[i]);
    for (uint64_t i = 0; i < whole; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    OK(fns->buffer_write(device, buffer, 0, bytes, whole));
    OK(fns->buffer_read(device, buffer, 0, back, whole));
    assert_memory_equal(bytes, back, whole);
    if (whole >= 12) { // a piece in the middle, and no byte beside it
        const uint32_t word = 0xdeadbeef;
        uint64_t offset = whole / 2 & ~(uint64_t)3;
        OK(fns->buffer_write(device, buffer, offset, &word, 4));
        memcpy(bytes + offset, &word, 4);
        OK(fns->buffer_read(device, buffer, 4, back, whole - 4));
        assert_memory_equal(bytes + 4, back, whole - 4);
    }
    fns->buffer_destroy(device, &buffer);
    assert_null(buffer);
    free(bytes);
    free(back);
}

static void check_memory(struct qm_device *device)
{
    // The last is more than the staging buffer holds twice.
    static const uint64_t sizes[] = {1, 4, 5, 12, 255, 257, 4095, 65537, 1000003, (33u << 20) + 5};
    struct qm_memory before, held, after;
    struct qm_buffer *buffer = NULL;
    device->fns->memory(device, &before);
    assert_int_equal(before.buffers_bytes, 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        check_buffer(device, sizes[i]);
    OK(device->fns->buffer_create(device, 1000, &buffer));
    device->fns->memory(device, &held);
    assert_true(held.buffers_bytes >= 1000 && held.buffers_bytes < 200000);
    device->fns->buffer_destroy(device, &buffer);
    device->fns->buffer_destroy(device, &buffer); // NULL is allowed
    device->fns->memory(device, &after);
    assert_int_equal(after.buffers_bytes, 0);
    assert_true(after.peak_bytes >= 33u << 20);

    static const uint64_t absurd[] = {(uint64_t)1 << 50, UINT64_MAX, UINT64_MAX - 3};
    for (size_t i = 0; i < sizeof(absurd) / sizeof(absurd[0]); i++) {
        assert_int_equal(device->fns->buffer_create(device, absurd[i], &buffer), QM_OUT_OF_MEMORY);
        assert_null(buffer);
        assert_true(qm_error_text()[0]);
    }
}

static void buffers_keep_what_is_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < device_count; i++) {
        struct qm_device *device = open_device(&devices[i], false, NULL);
        check_memory(device);
        device->fns->destroy(&device);
        assert_null(device);
    }
}

// ---- Programs -----------------------------------------------------------------------------------------------------

// Three dependent dispatches and one that advances the step, over `count` values: a = 5 i + position; b = 7 i +
// position; y += 3 a + reversed b; position += 11. Buffers are bound at an offset to try the alignment.
struct chain {
    struct qm_device *device;
    struct qm_kernel *fill, *mix, *advance;
    struct qm_buffer *a, *b, *y, *step;
    struct qm_program *program;
    uint32_t count, offset;
};

static void chain_create(struct chain *c, struct qm_device *device, uint32_t count)
{
    const struct qm_device_fns *fns = device->fns;
    *c = (struct chain){.device = device, .count = count, .offset = device->info->buffer_offset_alignment};
    const uint64_t bytes = 4 * (uint64_t)count;
    OK(fns->kernel_create(device, &fill, &c->fill));
    OK(fns->kernel_create(device, &mix, &c->mix));
    OK(fns->kernel_create(device, &advance, &c->advance));
    OK(fns->buffer_create(device, bytes + c->offset, &c->a));
    OK(fns->buffer_create(device, bytes, &c->b));
    OK(fns->buffer_create(device, bytes, &c->y));
    OK(fns->buffer_create(device, 4 * QM_STEP_WORDS, &c->step));
    const struct qm_binding a = {c->a, c->offset, bytes}, b = {c->b, 0, bytes}, y = {c->y, 0, bytes};
    const uint32_t groups = (count + 63) / 64;
    const struct qm_dispatch dispatches[] = {
        {.kernel = c->fill, .bindings = {a}, .parameters = {count, 5}, .groups = {groups, 1, 1}},
        {.kernel = c->fill, .bindings = {b}, .parameters = {count, 7}, .groups = {groups, 1, 1}},
        {.kernel = c->mix, .bindings = {a, b, y}, .parameters = {count}, .groups = {groups, 1, 1}},
        {.kernel = c->advance, .bindings = {{c->step, 0, 4 * QM_STEP_WORDS}}, .parameters = {11}, .groups = {1, 1, 1}},
    };
    OK(fns->program_create(device, &(struct qm_program_params){dispatches, 4, c->step}, &c->program));
}

static void chain_destroy(struct chain *c)
{
    const struct qm_device_fns *fns = c->device->fns;
    fns->program_destroy(c->device, &c->program);
    assert_null(c->program);
    fns->program_destroy(c->device, &c->program);
    fns->kernel_destroy(c->device, &c->fill);
    fns->kernel_destroy(c->device, &c->mix);
    fns->kernel_destroy(c->device, &c->advance);
    assert_null(c->mix);
    fns->buffer_destroy(c->device, &c->a);
    fns->buffer_destroy(c->device, &c->b);
    fns->buffer_destroy(c->device, &c->y);
    fns->buffer_destroy(c->device, &c->step);
}

// Runs the chain from a fresh start and checks every value.
static void chain_check(struct chain *c, uint32_t repeats, struct qm_run_policy policy, uint32_t submissions)
{
    const struct qm_device_fns *fns = c->device->fns;
    const uint32_t start[QM_STEP_WORDS] = {1000, 0, 0, 0};
    uint64_t device_ns[64] = {0}, wall_ns[64] = {0};
    uint32_t *y = calloc(c->count, 4), step[QM_STEP_WORDS];
    assert_true(repeats <= 64 && y);
    OK(fns->buffer_write(c->device, c->y, 0, y, 4 * (uint64_t)c->count));
    OK(fns->buffer_write(c->device, c->step, 0, start, sizeof(start)));
    struct qm_timing timing = {.repeat_device_ns = device_ns, .repeat_wall_ns = wall_ns};
    OK(fns->run(c->device, c->program, repeats, &policy, &timing));
    OK(fns->buffer_read(c->device, c->step, 0, step, sizeof(step)));
    assert_int_equal(step[0], 1000 + 11 * repeats);
    assert_int_equal(step[1], 0);
    OK(fns->buffer_read(c->device, c->y, 0, y, 4 * (uint64_t)c->count));
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t expected = 0;
        for (uint32_t r = 0; r < repeats; r++)
            expected += 3 * (5 * i + 1000 + 11 * r) + 7 * (c->count - 1 - i) + 1000 + 11 * r;
        if (y[i] != expected)
            fail_msg("%u values, %u repeats, %u and %u a submission: y[%u] is %u, not %u", c->count, repeats,
                     policy.repeats_per_submission, policy.dispatches_per_submission, i, y[i], expected);
    }
    free(y);
    assert_int_equal(timing.submissions, submissions);
    assert_int_equal(timing.has_device_time, c->device->info->timestamp_valid_bits != 0);
    uint64_t device_sum = 0, wall_sum = 0;
    for (uint32_t r = 0; r < repeats; r++) {
        device_sum += device_ns[r];
        wall_sum += wall_ns[r];
    }
    assert_true(timing.wall_ns > 0 && wall_sum <= timing.wall_ns && wall_sum + repeats >= timing.wall_ns);
    assert_true(device_sum <= timing.wall_ns + 1000000);
}

static void check_programs(struct qm_device *device)
{
    static const uint32_t counts[] = {1, 63, 64, 65, 1000, 100003};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct chain c;
        chain_create(&c, device, counts[i]);
        chain_check(&c, 1, (struct qm_run_policy){0, 1}, 1);
        chain_check(&c, 7, (struct qm_run_policy){0, 1}, 7);
        chain_check(&c, 7, (struct qm_run_policy){0, 3}, 3);
        chain_check(&c, 40, (struct qm_run_policy){0, 100}, 3); // 16 at most are in flight
        chain_check(&c, 3, (struct qm_run_policy){1, 8}, 12);
        chain_check(&c, 3, (struct qm_run_policy){3, 1}, 6);
        chain_check(&c, 2, (struct qm_run_policy){4, 2}, 1); // nothing to cut
        chain_check(&c, 2, (struct qm_run_policy){0, 2}, 1);
        chain_destroy(&c);
    }
}

static void programs_run_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < device_count; i++) {
        struct qm_device *device = open_device(&devices[i], false, NULL);
        check_programs(device);
        device->fns->destroy(&device);
    }
}

// The road of discrete devices, on whatever is here.
static void copies_may_go_through_staging(void **state)
{
    (void)state;
    setenv("QM_VULKAN_STAGING", "1", 1);
    for (size_t i = 0; i < device_count; i++) {
        struct qm_device *device = open_device(&devices[i], false, NULL);
        check_memory(device);
        check_programs(device);
        device->fns->destroy(&device);
    }
    unsetenv("QM_VULKAN_STAGING");
}

// ---- Kernels ------------------------------------------------------------------------------------------------------

static void kernels_are_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < device_count; i++) {
        struct qm_device *device = open_device(&devices[i], false, NULL);
        const struct qm_device_fns *fns = device->fns;
        struct qm_kernel *kernel = NULL;
        enum qm_status status = fns->kernel_create(device, &half, &kernel);
        assert_int_equal(status, capability(device->info, "fp16")->advertised ? QM_OK : QM_UNSUPPORTED);
        if (status != QM_OK)
            assert_non_null(strstr(qm_error_text(), "Float16"));
        fns->kernel_destroy(device, &kernel);

        struct qm_kernel_variant wide = fill;
        wide.workgroup[0] = device->info->max_workgroup_invocations;
        wide.workgroup[1] = 2;
        assert_int_equal(fns->kernel_create(device, &wide, &kernel), QM_UNSUPPORTED);
        assert_non_null(strstr(qm_error_text(), "invocations"));
        assert_null(kernel);
        struct qm_kernel_variant text = fill;
        text.spirv = (const uint32_t *)(const void *)"not a module of SPIR-V.";
        text.spirv_bytes = 24;
        assert_int_equal(fns->kernel_create(device, &text, &kernel), QM_INVALID);
        text.spirv = NULL; // a tile that only OpenCL has
        assert_int_equal(fns->kernel_create(device, &text, &kernel), QM_UNSUPPORTED);
        device->fns->destroy(&device);
    }
}

static void damage(const char *path)
{
    void *bytes;
    size_t count;
    OK(qm_file_read(path, 1 << 26, &bytes, &count));
    assert_true(count > 64);
    ((char *)bytes)[count - 1] ^= 1;
    OK(qm_file_write(path, bytes, count));
    free(bytes);
}

static void pipelines_are_cached_and_damage_is_noticed(void **state)
{
    (void)state;
    char directory[] = "/tmp/qmark-vulkan-XXXXXX";
    assert_non_null(mkdtemp(directory));
    for (size_t i = 0; i < device_count; i++) {
        for (int pass = 0; pass < 4; pass++) {
            struct qm_name_list files;
            OK(qm_directory_list(directory, &files));
            for (size_t f = 0; f < files.count; f++) {
                char path[QM_PATH_BYTES];
                OK(qm_path_join(path, directory, files.names[f]));
                if (pass == 2)
                    damage(path);
                if (pass == 3)
                    OK(qm_file_write(path, "", 0));
            }
            if (pass > 0)
                assert_true(files.count >= 3);
            qm_name_list_free(&files);
            struct qm_device *device = open_device(&devices[i], false, directory);
            struct chain c;
            char hash[65], expected[65];
            chain_create(&c, device, 1001);
            chain_check(&c, 2, (struct qm_run_policy){0, 1}, 2);
            device->fns->kernel_binary_hash(device, c.fill, hash);
            qm_hash_bytes(spirv_fill, sizeof(spirv_fill), expected);
            assert_string_equal(hash, expected);
            chain_destroy(&c);
            device->fns->destroy(&device);
        }
    }
    struct qm_name_list files;
    OK(qm_directory_list(directory, &files));
    for (size_t f = 0; f < files.count; f++) {
        char path[QM_PATH_BYTES];
        OK(qm_path_join(path, directory, files.names[f]));
        OK(qm_file_remove(path));
    }
    qm_name_list_free(&files);
    rmdir(directory);
}

// ---- Time ---------------------------------------------------------------------------------------------------------

static void device_time_is_plausible(void **state)
{
    (void)state;
    enum {
        REPEATS = 6
    };
    for (size_t i = 0; i < device_count; i++) {
        struct qm_device *device = open_device(&devices[i], false, NULL);
        const struct qm_device_fns *fns = device->fns;
        struct qm_kernel *kernel = NULL;
        struct qm_buffer *buffer = NULL;
        struct qm_program *program = NULL;
        const uint32_t groups = 256;
        OK(fns->kernel_create(device, &spin, &kernel));
        OK(fns->buffer_create(device, 4 * 64 * groups, &buffer));
        struct qm_dispatch dispatches[3];
        for (int d = 0; d < 3; d++)
            dispatches[d] = (struct qm_dispatch){.kernel = kernel,
                                                 .bindings = {{buffer, 0, 4 * 64 * groups}},
                                                 .parameters = {500},
                                                 .groups = {groups, 1, 1}};
        OK(fns->program_create(device, &(struct qm_program_params){.dispatches = dispatches, .count = 3}, &program));
        static const struct qm_run_policy policies[] = {{0, 1}, {0, REPEATS}, {1, 1}, {2, 1}};
        uint64_t device_ns[REPEATS], wall_ns[REPEATS];
        struct qm_timing timing = {.repeat_device_ns = device_ns, .repeat_wall_ns = wall_ns};
        OK(fns->run(device, program, 1, &policies[0], &timing)); // compiles
        for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]) && timing.has_device_time; p++) {
            OK(fns->run(device, program, REPEATS, &policies[p], &timing));
            uint64_t sum = 0;
            for (int r = 0; r < REPEATS; r++) {
                assert_true(device_ns[r] > 0);
                sum += device_ns[r];
            }
            printf("  %s, policy %zu: device %.3f ms, wall %.3f ms, %u submissions\n", device->info->driver_name, p,
                   (double)sum * 1e-6, (double)timing.wall_ns * 1e-6, timing.submissions);
            assert_true(sum <= timing.wall_ns);
            assert_true(sum >= timing.wall_ns / 2); // the rest is submission
        }
        if (device->info->timestamp_valid_bits) {
            struct qm_clock_sample first, second;
            uint64_t before = qm_clock_ns();
            OK(fns->clock(device, &first));
            assert_true(first.host_ns >= before && first.host_ns <= qm_clock_ns());
            qm_sleep_ns(200000000);
            OK(fns->clock(device, &second));
            double ratio = (double)(second.device_ns - first.device_ns) / (double)(second.host_ns - first.host_ns);
            printf("  %s: device clock / host clock = %.5f\n", device->info->driver_name, ratio);
            assert_true(ratio > 0.97 && ratio < 1.03);
        }
        fns->program_destroy(device, &program);
        fns->kernel_destroy(device, &kernel);
        fns->buffer_destroy(device, &buffer);
        fns->destroy(&device);
    }
}

// Counters of 36 bits begin anew every minute or so, and a machine's uptime has more bits than a double.
static void ticks_keep_their_bits(void **state)
{
    (void)state;
    static struct qm_vk_device device;
    device.base.info = &device.physical.info;
    struct qm_device_info *info = &device.physical.info;
    info->timestamp_period_ns = 1.0;
    info->timestamp_valid_bits = 64;
    assert_true(qm_vk_tick_mask(&device) == UINT64_MAX);
    assert_true(qm_vk_ticks_to_ns(&device, UINT64_MAX - 1) == UINT64_MAX - 1);
    assert_true(qm_vk_ticks_to_ns(&device, ((uint64_t)1 << 60) + 1) == ((uint64_t)1 << 60) + 1);
    info->timestamp_valid_bits = 36;
    const uint64_t begin = ((uint64_t)1 << 36) - 5, end = 7;
    assert_true(((end - begin) & qm_vk_tick_mask(&device)) == 12);
    info->timestamp_period_ns = (double)52.083332f;
    assert_in_range(qm_vk_ticks_to_ns(&device, 19200000), 999999900, 1000000100);
    info->timestamp_period_ns = 0.5;
    assert_true(qm_vk_ticks_to_ns(&device, ((uint64_t)1 << 62) + 2) == ((uint64_t)1 << 61) + 1);
}

// ---- Loss ---------------------------------------------------------------------------------------------------------

static void check_lost(struct chain *c)
{
    const struct qm_device_fns *fns = c->device->fns;
    struct qm_device *device = c->device;
    struct qm_buffer *buffer;
    struct qm_kernel *kernel;
    struct qm_program *program;
    struct qm_clock_sample sample;
    struct qm_timing timing = {0};
    uint32_t word = 0;
    const struct qm_run_policy policy = {0, 1};
    assert_int_equal(fns->run(device, c->program, 1, &policy, &timing), QM_DEVICE_LOST);
    assert_int_equal(fns->buffer_create(device, 4, &buffer), QM_DEVICE_LOST);
    assert_int_equal(fns->buffer_write(device, c->y, 0, &word, 4), QM_DEVICE_LOST);
    assert_int_equal(fns->buffer_read(device, c->y, 0, &word, 4), QM_DEVICE_LOST);
    assert_int_equal(fns->kernel_create(device, &fill, &kernel), QM_DEVICE_LOST);
    assert_int_equal(fns->program_create(device, &(struct qm_program_params){0}, &program), QM_DEVICE_LOST);
    assert_int_equal(fns->clock(device, &sample), QM_DEVICE_LOST);
    assert_true(!buffer && !kernel && !program);
}

static void a_lost_device_stays_lost(void **state)
{
    (void)state;
    for (size_t i = 0; i < device_count; i++) {
        struct chain c;
        struct qm_device *device = open_device(&devices[i], false, NULL);
        chain_create(&c, device, 100);
        chain_check(&c, 1, (struct qm_run_policy){0, 1}, 1);
        qm_vk_device_of(device)->lost = true;
        check_lost(&c);
        chain_destroy(&c);
        device->fns->destroy(&device);
    }
}

static void a_hanging_device_is_left_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < device_count; i++) {
        struct chain c;
        struct qm_kernel *kernel = NULL;
        struct qm_program *program = NULL;
        struct qm_timing timing = {0};
        struct qm_device *device = open_device(&devices[i], false, NULL);
        const struct qm_device_fns *fns = device->fns;
        chain_create(&c, device, 64 * 256);
        OK(fns->kernel_create(device, &spin, &kernel));
        struct qm_dispatch dispatch = {
            .kernel = kernel, .bindings = {{c.y, 0, 4 * 64 * 256}}, .parameters = {500}, .groups = {256, 1, 1}};
        OK(fns->program_create(device, &(struct qm_program_params){&dispatch, 1, NULL}, &program));
        qm_vk_device_of(device)->timeout_ns = 1;
        enum qm_status status = fns->run(device, program, 1, &(struct qm_run_policy){0, 1}, &timing);
        assert_int_equal(status, QM_TIMEOUT);
        check_lost(&c);
        fns->program_destroy(device, &program);
        fns->kernel_destroy(device, &kernel);
        chain_destroy(&c);
        fns->destroy(&device);
    }
    qm_sleep_ns(1000000000); // what was submitted still runs
}

// ---- Validation ---------------------------------------------------------------------------------------------------

static void validation_has_nothing_to_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < device_count; i++) {
        const struct qm_open_params params = {.debug = true};
        struct qm_device *device = NULL;
        enum qm_status status = qm_backend_vulkan.open(&devices[i], &params, &device);
        if (status == QM_UNSUPPORTED) { // no layer here; the text says what to install
            assert_non_null(strstr(qm_error_text(), "vulkan-validationlayers"));
            continue;
        }
        assert_int_equal(status, QM_OK);
        uint32_t before = qm_device_log_count();
        for (int staging = 0; staging < 2; staging++) {
            check_memory(device);
            struct chain c;
            chain_create(&c, device, 1000);
            chain_check(&c, 20, (struct qm_run_policy){0, 8}, 3);
            chain_check(&c, 2, (struct qm_run_policy){2, 1}, 4);
            chain_destroy(&c);
            struct qm_kernel *kernel = NULL;
            if (device->fns->kernel_create(device, &half, &kernel) == QM_OK)
                device->fns->kernel_destroy(device, &kernel);
            struct qm_clock_sample sample;
            if (device->info->timestamp_valid_bits)
                OK(device->fns->clock(device, &sample));
            device->fns->destroy(&device);
            if (staging == 0) {
                setenv("QM_VULKAN_STAGING", "1", 1);
                device = open_device(&devices[i], true, NULL);
            }
        }
        unsetenv("QM_VULKAN_STAGING");
        assert_int_equal(qm_device_log_count() - before, 0);
    }
}

// The count must rise where something is wrong: a binding off the alignment.
static void validation_is_counted(void **state)
{
    (void)state;
    for (size_t i = 0; i < device_count; i++) {
        const struct qm_open_params params = {.debug = true};
        struct qm_device *device = NULL;
        if (devices[i].buffer_offset_alignment <= 4 ||
            qm_backend_vulkan.open(&devices[i], &params, &device) == QM_UNSUPPORTED)
            continue;
        struct qm_kernel *kernel = NULL;
        struct qm_buffer *buffer = NULL;
        struct qm_program *program = NULL;
        OK(device->fns->kernel_create(device, &advance, &kernel));
        OK(device->fns->buffer_create(device, 4096, &buffer));
        struct qm_dispatch dispatch = {
            .kernel = kernel, .bindings = {{buffer, 4, 16}}, .parameters = {1}, .groups = {1, 1, 1}};
        uint32_t before = qm_device_log_count();
        printf("  one message of validation follows\n");
        OK(device->fns->program_create(device, &(struct qm_program_params){&dispatch, 1, NULL}, &program));
        assert_true(qm_device_log_count() > before);
        device->fns->program_destroy(device, &program);
        device->fns->buffer_destroy(device, &buffer);
        device->fns->kernel_destroy(device, &kernel);
        device->fns->destroy(&device);
    }
}

// ---- What a driver says of a pipeline: no driver that runs on the processor says anything --------------------------------

static const char machine_code[] = "mov r0, r1";
static bool is_short_of_memory;
static uint32_t statistic_count = 4;

static VkResult tell_executables(VkDevice device, const VkPipelineInfoKHR *info, uint32_t *count,
                                 VkPipelineExecutablePropertiesKHR *list)
{
    (void)device;
    assert_int_equal(info->sType, VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR);
    assert_true(*count >= 1 && list[0].sType == VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR);
    *count = 1;
    return is_short_of_memory ? VK_ERROR_OUT_OF_HOST_MEMORY : VK_SUCCESS;
}

static VkResult tell_statistics(VkDevice device, const VkPipelineExecutableInfoKHR *info, uint32_t *count,
                                VkPipelineExecutableStatisticKHR *list)
{
    (void)device;
    assert_int_equal(info->executableIndex, 0);
    assert_true(*count >= statistic_count);
    *count = statistic_count;
    for (uint32_t i = 0; i < statistic_count; ++i) {
        assert_int_equal(list[i].sType, VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR);
        snprintf(list[i].name, sizeof(list[i].name), "statistic %u%0200u", i, i); // longer than is kept
        list[i].format = VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR;
        list[i].value.u64 = UINT64_MAX;
    }
    list[1].format = VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR;
    list[1].value.b32 = VK_TRUE;
    list[2].format = VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR;
    list[2].value.i64 = -3;
    list[3].format = VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR;
    list[3].value.f64 = 0.5;
    return VK_SUCCESS;
}

static VkResult tell_representations(VkDevice device, const VkPipelineExecutableInfoKHR *info, uint32_t *count,
                                     VkPipelineExecutableInternalRepresentationKHR *list)
{
    (void)device;
    (void)info;
    assert_true(*count >= 1);
    *count = 1;
    if (!list[0].pData)
        list[0].dataSize = sizeof(machine_code);
    else
        memcpy(list[0].pData, machine_code, sizeof(machine_code));
    return VK_SUCCESS;
}

static void a_driver_may_tell_of_pipelines(void **state)
{
    (void)state;
    static struct qm_vk_device device;
    const struct qm_kernel kernel = {.pipeline = VK_NULL_HANDLE};
    struct qm_kernel_statistics said = {.count = 7};
    char hash[QM_HASH_TEXT_BYTES];
    qm_vk_kernel_statistics(&device.base, &kernel, &said); // it was not opened for it
    assert_int_equal(said.count, 0);
    device.statistics = true;
    device.vk.vkGetPipelineExecutablePropertiesKHR = tell_executables;
    device.vk.vkGetPipelineExecutableStatisticsKHR = tell_statistics;
    device.vk.vkGetPipelineExecutableInternalRepresentationsKHR = tell_representations;
    qm_vk_kernel_statistics(&device.base, &kernel, &said);
    assert_int_equal(said.count, 5);
    static const char *const values[] = {"18446744073709551615", "true", "-3", "0.5"};
    for (size_t i = 0; i < 4; ++i)
        assert_string_equal(said.of[i].value, values[i]);
    assert_memory_equal(said.of[3].name, "statistic 30000", 15);
    qm_hash_bytes(machine_code, sizeof(machine_code), hash);
    assert_string_equal(said.of[4].name, "ISA hash");
    assert_string_equal(said.of[4].value, hash);
    statistic_count = 40; // more than are kept
    qm_vk_kernel_statistics(&device.base, &kernel, &said);
    assert_int_equal(said.count, QM_KERNEL_STATISTICS_MAX);
    is_short_of_memory = true;
    qm_vk_kernel_statistics(&device.base, &kernel, &said);
    assert_int_equal(said.count, 0);
    is_short_of_memory = false;
}

int main(void)
{
    static struct qm_device_info all[MAX_DEVICES];
    size_t count = 0;
    enum qm_status status = qm_backend_vulkan.enumerate(all, MAX_DEVICES, &count);
    if (status != QM_OK && status != QM_UNAVAILABLE) {
        fprintf(stderr, "%s\n", qm_error_text());
        return 1;
    }
    for (size_t i = 0; i < count && i < MAX_DEVICES; i++)
        if (wanted(all[i].driver_name))
            devices[device_count++] = all[i];
    if (device_count == 0) {
        printf("skipped: %s\n", status == QM_OK ? "no device of a driver in QM_TEST_DRIVERS" : qm_error_text());
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_describe_themselves),
        cmocka_unit_test(a_short_list_is_filled_and_counted),
        cmocka_unit_test(a_device_that_went_is_named),
        cmocka_unit_test(buffers_keep_what_is_written),
        cmocka_unit_test(programs_run_in_order),
        cmocka_unit_test(copies_may_go_through_staging),
        cmocka_unit_test(kernels_are_refused_with_a_reason),
        cmocka_unit_test(pipelines_are_cached_and_damage_is_noticed),
        cmocka_unit_test(device_time_is_plausible),
        cmocka_unit_test(ticks_keep_their_bits),
        cmocka_unit_test(a_lost_device_stays_lost),
        cmocka_unit_test(validation_has_nothing_to_say),
        cmocka_unit_test(validation_is_counted),
        cmocka_unit_test(a_hanging_device_is_left_alone),
        cmocka_unit_test(a_driver_may_tell_of_pipelines),
    };
    return cmocka_run_group_tests_name("vulkan", tests, NULL, NULL);
}
