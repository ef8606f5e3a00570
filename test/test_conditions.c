// The conditions of a host on trees laid out as /proc and /sys, and what of them becomes a warning.
#include "machine_tree.h"

#include <math.h>
#include <stdbool.h>

#include "sys/conditions.h"
#include "sys/host.h"

static const struct tree_file host[] = {
    {"proc/loadavg", "1.25 0.80 0.50 3/456 7890\n"},
    {"proc/stat", "cpu  1000 10 500 8000 490 0 0 50 0 0\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n"},
    {"proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB\nMemAvailable:    8192000 kB\nSwapCached: 0 kB\n"
                     "SwapTotal:       2048000 kB\nSwapFree:        2047000 kB\n"},
    {"proc/pressure/cpu", "some avg10=12.50 avg60=0.00 avg300=0.00 total=100\n"},
    {"proc/pressure/memory", "some avg10=0.25 avg60=0.00 avg300=0.00 total=4000\nfull avg10=0.00 total=5\n"},
    {"proc/cpuinfo", "processor : 0\nflags\t\t: fpu vme hypervisors avx2\nprocessor : 1\n"},
    {"sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "powersave\n"},
    {"sys/devices/system/cpu/cpufreq/policy0/scaling_driver", "intel_pstate\n"},
    {"sys/devices/system/cpu/cpufreq/policy1/scaling_governor", "performance\n"},
    {"sys/devices/system/cpu/intel_pstate/no_turbo", "0\n"},
    {"sys/class/power_supply/BAT0/type", "Battery\n"},
    {"sys/class/power_supply/BAT0/status", "Discharging\n"},
    {"sys/class/power_supply/AC/type", "Mains\n"},
    {"sys/class/power_supply/AC/online", "1\n"},
    {"sys/class/power_supply/hidpp_battery_0/type", "Battery\n"},
    {"sys/class/power_supply/hidpp_battery_0/scope", "Device\n"},
    {"sys/class/power_supply/hidpp_battery_0/status", "Discharging\n"},
    {"sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n"},
    {"sys/class/thermal/thermal_zone0/temp", "52000\n"},
    {"sys/class/dmi/id/product_name", "OptiPlex\n"},
    // This process 100 with a worker 101 that runs, of which 102 is the compiler; 200 is someone else's.
    {"proc/self/stat", "100 (qm) ark) S 1 1 1 0 -1 0 0 0 0 0 200 30 40 5 20 0 4 0 9000 1048576 20\n"},
    {"proc/100/stat", "100 (qm) ark) S 1 1 1 0 -1 0 0 0 0 0 200 30 40 5 20 0 4 0 9000 1048576 20\n"},
    {"proc/101/stat", "101 (qmark) R 100 1 1 0 -1 0 0 0 0 0 70 3 0 0 20 0 4 0 9000 1048576 20\n"},
    {"proc/102/stat", "102 (clang) R 101 1 1 0 -1 0 0 0 0 0 9 1 0 0 20 0 4 0 9000 1048576 20\n"},
    {"proc/200/stat", "200 (firefox) R 1 1 1 0 -1 0 0 0 0 0 5000 1 0 0 20 0 4 0 9000 1048576 20\n"},
    {"proc/200/comm", "firefox\n"},
    {"proc/200/fdinfo/7", "pos: 0\ndrm-driver: amdgpu\ndrm-client-id: 12\ndrm-pdev: 0000:03:00.0\n"
                          "drm-engine-gfx: 1000 ns\ndrm-engine-capacity-gfx: 4\ndrm-engine-compute:\t500 ns\n"},
    {"proc/200/fdinfo/8", "drm-client-id: 12\ndrm-pdev: 0000:03:00.0\ndrm-engine-gfx: 1000 ns\n"},
    {"proc/200/fdinfo/9", "drm-client-id: 13\ndrm-pdev: 0000:03:00.0\ndrm-engine-gfx: 20 ns\n"},
    {"proc/101/fdinfo/5", "drm-client-id: 14\ndrm-pdev: 0000:03:00.0\ndrm-engine-gfx: 99999 ns\n"},
};

static void put_host(void)
{
    TREE_PUT("", host);
    tree_link("/proc/200/fd/7", "/dev/dri/renderD128");
    tree_link("/proc/200/fd/8", "/dev/dri/renderD128"); // the same client again
    tree_link("/proc/200/fd/9", "/dev/dri/card0");
    tree_link("/proc/200/fd/1", "/dev/null");
    tree_link("/proc/101/fd/5", "/dev/dri/renderD128"); // our own
}

static void test_read(void **state)
{
    (void)state;
    static struct qm_host_conditions c;
    put_host();
    assert_int_equal(qm_conditions_read(tree_root, &c), QM_OK);
    assert_true(c.load_1min == 1.25);
    assert_int_equal(c.processors, 2);
    assert_true(c.has_times);
    assert_int_equal(c.total_ticks, 10050);
    assert_int_equal(c.idle_ticks, 8490);
    assert_int_equal(c.steal_ticks, 50);
    assert_int_equal(c.own_ticks, 200 + 30 + 40 + 5 + 70 + 3 + 9 + 1);
    assert_int_equal(c.memory_total_bytes, UINT64_C(16384000) * 1024);
    assert_int_equal(c.memory_available_bytes, UINT64_C(8192000) * 1024);
    assert_int_equal(c.swap_used_bytes, 1000 * 1024);
    assert_true(c.processor_pressure_percent == 12.5);
    assert_true(c.memory_pressure_percent == 0.25);
    assert_int_equal(c.memory_pressure_us, 4000);
    assert_string_equal(c.governors, "powersave, performance");
    assert_string_equal(c.scaling_driver, "intel_pstate");
    assert_int_equal(c.turbo, QM_ANSWER_YES);
    assert_int_equal(c.battery, QM_ANSWER_NO);         // connected
    assert_int_equal(c.virtual_machine, QM_ANSWER_NO); // "hypervisors" is another word
    assert_true(fabs(c.processor_temperature_c - 52) < 1e-9);
    assert_int_equal(c.gpu_user_count, 1);
    assert_int_equal(c.gpu_users[0].process, 200);
    assert_string_equal(c.gpu_users[0].name, "firefox");
    assert_string_equal(c.gpu_users[0].device, "0000:03:00.0");
    assert_true(c.gpu_users[0].has_time);
    assert_int_equal(c.gpu_users[0].engine_ns, 1520);
    assert_true(c.gpu_users_are_partial == false);
}

static void test_other_answers(void **state)
{
    (void)state;
    static struct qm_host_conditions c;
    put_host();
    tree_put("/sys/class/power_supply/AC/online", "0\n");
    tree_put("/sys/devices/system/cpu/intel_pstate/no_turbo", "1\n");
    tree_put("/sys/class/dmi/id/product_name", "Standard PC (Q35 + ICH9, 2009)\n");
    tree_put("/proc/300/comm", "Xorg\n");
    tree_put("/proc/300/stat", "300 (Xorg) S 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 4 0 9000 1048576 20\n");
    tree_link("/proc/300/fd/4", "/dev/nvidiactl");
    tree_link("/proc/300/fd/5", "/dev/nvidia0");
    assert_int_equal(qm_conditions_read(tree_root, &c), QM_OK);
    assert_int_equal(c.battery, QM_ANSWER_YES);
    assert_int_equal(c.turbo, QM_ANSWER_NO);
    assert_int_equal(c.virtual_machine, QM_ANSWER_YES);
    assert_string_equal(c.hypervisor, "Standard PC (Q35 + ICH9, 2009)");
    assert_int_equal(c.gpu_user_count, 2);
    assert_string_equal(c.gpu_users[1].device, "/dev/nvidia0");
    assert_false(c.gpu_users[1].has_time);
    tree_put("/sys/class/dmi/id/product_name", "OptiPlex\n");
    tree_put("/proc/cpuinfo", "flags : fpu hypervisor\n");
    tree_drop("/sys/devices/system/cpu/intel_pstate/no_turbo");
    tree_put("/sys/devices/system/cpu/cpufreq/boost", "1\n");
    assert_int_equal(qm_conditions_read(tree_root, &c), QM_OK);
    assert_string_equal(c.hypervisor, "hypervisor flag of the processor");
    assert_int_equal(c.turbo, QM_ANSWER_YES);
}

// An empty tree, and one of garbage: nothing is known, and nothing looks like a zero.
static void test_unknown(void **state)
{
    (void)state;
    static struct qm_host_conditions c;
    static struct qm_condition_warnings warnings;
    for (int pass = 0; pass < 2; ++pass) {
        assert_int_equal(qm_conditions_read(tree_root, &c), QM_OK);
        assert_true(isnan(c.load_1min));
        assert_false(c.has_times);
        assert_int_equal(c.memory_total_bytes, UINT64_MAX);
        assert_int_equal(c.memory_available_bytes, UINT64_MAX);
        assert_int_equal(c.swap_used_bytes, UINT64_MAX);
        assert_int_equal(c.memory_pressure_us, UINT64_MAX);
        assert_true(isnan(c.processor_pressure_percent));
        assert_true(isnan(c.processor_temperature_c));
        assert_int_equal(c.turbo, QM_ANSWER_UNKNOWN);
        assert_int_equal(c.battery, QM_ANSWER_UNKNOWN);
        assert_int_equal(c.virtual_machine, QM_ANSWER_UNKNOWN);
        assert_int_equal(c.gpu_user_count, 0);
        qm_conditions_warn(&c, &c, &warnings);
        assert_int_equal(warnings.count, 0);
        assert_true(isnan(qm_conditions_others_percent(&c, &c)));
        assert_true(isnan(qm_conditions_steal_percent(&c, &c)));
        assert_true(isnan(qm_conditions_gpu_percent(&c, &c, "")));
        static const char *const files[] = {"proc/loadavg",
                                            "proc/stat",
                                            "proc/meminfo",
                                            "proc/pressure/cpu",
                                            "proc/pressure/memory",
                                            "proc/cpuinfo",
                                            "proc/self/stat",
                                            "proc/77/stat",
                                            "sys/devices/system/cpu/intel_pstate/no_turbo",
                                            "sys/class/thermal/thermal_zone0/temp"};
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); ++i) {
            const struct tree_file file = {files[i], "cpu \xff\x01 99999999999999999999999 some ) avg10=x total=-1"};
            tree_put_all("", &file, 1);
        }
        tree_put("/sys/class/thermal/thermal_zone0/type", "x86_pkg_temp\n");
    }
}

// ---- Warnings -------------------------------------------------------------------------------------------------------

static struct qm_host_conditions calm(uint64_t time_ns)
{
    return (struct qm_host_conditions){.time_ns = time_ns,
                                       .processors = 4,
                                       .load_1min = 0.9,
                                       .has_times = true,
                                       .total_ticks = 10000,
                                       .idle_ticks = 8000,
                                       .own_ticks = 100,
                                       .governors = "schedutil",
                                       .turbo = QM_ANSWER_YES,
                                       .battery = QM_ANSWER_NO,
                                       .memory_total_bytes = UINT64_C(16) << 30,
                                       .memory_available_bytes = UINT64_C(8) << 30,
                                       .swap_used_bytes = 0,
                                       .memory_pressure_us = 50,
                                       .virtual_machine = QM_ANSWER_NO,
                                       .processor_temperature_c = 50};
}

static struct qm_host_conditions begin, end;
static struct qm_condition_warnings warnings;

static void assert_codes(const char *codes)
{
    char text[256] = "";
    qm_conditions_warn(&begin, &end, &warnings);
    for (size_t i = 0; i < warnings.count; ++i) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? " " : "", warnings.list[i].code);
        assert_true(strlen(warnings.list[i].text) + 1 < sizeof(warnings.list[i].text)); // none is cut off
    }
    assert_string_equal(text, codes);
}

static int reset(void **state)
{
    (void)state;
    begin = calm(1000);
    end = calm(1000 + UINT64_C(100000000000)); // 100 s, 4 processors: 40,000 ticks
    end.total_ticks += 40000;
    end.idle_ticks += 20000;
    end.own_ticks += 19000;
    return 0;
}

static void test_sharing(void **state)
{
    (void)state;
    assert_codes(""); // others had 2.5 %
    end.own_ticks = 100 + 4800;
    assert_codes("processor-shared");
    assert_string_equal(warnings.list[0].text,
                        "other processes took 38 % of the processor during the run; stop them, or rates of a device "
                        "on the processor are too low");
    reset(NULL);
    end.own_ticks = 100 + 18001; // 4.9975 %
    assert_codes("");
    end.own_ticks = 100 + 18000;
    assert_codes("processor-shared");
    reset(NULL);
    end.own_ticks = 100 + 25000; // more than was busy: rounding, not others
    assert_codes("");
    assert_true(qm_conditions_others_percent(&begin, &end) == 0);
    reset(NULL);
    end.steal_ticks = 399;
    assert_codes("");
    end.steal_ticks = 400;
    assert_codes("steal");
    reset(NULL);
    end.has_times = false;
    assert_codes("");
    begin.load_1min = 1.0;
    assert_codes("load");
}

static void test_gpu(void **state)
{
    (void)state;
    begin.gpu_users[0] =
        (struct qm_gpu_user){.process = 7, .device = "0000:03:00.0", .has_time = true, .engine_ns = 5000000000u};
    begin.gpu_user_count = end.gpu_user_count = 1;
    end.gpu_users[0] = begin.gpu_users[0];
    end.gpu_users[0].engine_ns += 900000000u; // 0.9 % of 100 s
    assert_codes("");
    end.gpu_users[0].engine_ns += 100000000u;
    assert_codes("gpu-shared");
    assert_true(qm_conditions_gpu_percent(&begin, &end, "0000:03:00.0") == 1.0);
    assert_true(isnan(qm_conditions_gpu_percent(&begin, &end, "0000:04:00.0")));
    end.gpu_users[0].engine_ns = 1; // a client that closed
    assert_true(qm_conditions_gpu_percent(&begin, &end, "") == 0);
    end.gpu_users[0].process = 8; // came since
    end.gpu_users[0].engine_ns = 2000000000u;
    assert_true(qm_conditions_gpu_percent(&begin, &end, "") == 2.0);
    begin.gpu_user_count = QM_GPU_USERS_MAX; // may have been there, and was left off
    assert_true(isnan(qm_conditions_gpu_percent(&begin, &end, "")));
}

static void test_memory(void **state)
{
    (void)state;
    end.memory_available_bytes = (UINT64_C(16) << 30) / 100 * 9;
    assert_codes("memory-low");
    reset(NULL);
    begin.swap_used_bytes = UINT64_C(500) << 20; // what lay there before is not ours
    end.swap_used_bytes = begin.swap_used_bytes + QM_CONDITION_SWAP_BYTES - 1;
    assert_codes("");
    end.swap_used_bytes += 1;
    assert_codes("swap");
    reset(NULL);
    end.memory_pressure_us = 50 + 999999;
    assert_codes("");
    end.memory_pressure_us += 1;
    assert_codes("memory-pressure");
}

static void test_clocks(void **state)
{
    (void)state;
    end.battery = QM_ANSWER_YES;
    assert_codes("battery");
    reset(NULL);
    snprintf(begin.governors, sizeof(begin.governors), "powersave");
    snprintf(begin.scaling_driver, sizeof(begin.scaling_driver), "intel_pstate"); // where that word means otherwise
    assert_codes("");
    snprintf(begin.scaling_driver, sizeof(begin.scaling_driver), "acpi-cpufreq");
    assert_codes("governor");
    reset(NULL);
    begin.turbo = QM_ANSWER_NO;
    assert_codes("turbo-off");
    reset(NULL);
    begin.processor_temperature_c = 80;
    assert_codes("hot");
    reset(NULL);
    begin.virtual_machine = QM_ANSWER_YES;
    snprintf(begin.hypervisor, sizeof(begin.hypervisor), "%.*s", 63,
             "a name of sixty-three characters, which is the longest one kept, ...");
    assert_codes("virtual-machine");
}

// ---- Cache ----------------------------------------------------------------------------------------------------------

static void test_cache(void **state)
{
    (void)state;
    static const struct tree_file files[] = {
        {"index0/level", "1\n"}, {"index0/type", "Data\n"},        {"index0/size", "48K\n"},
        {"index1/level", "1\n"}, {"index1/type", "Instruction\n"}, {"index1/size", "32K\n"},
        {"index2/level", "2\n"}, {"index2/type", "Unified\n"},     {"index2/size", "2048K\n"},
        {"index3/level", "3\n"}, {"index3/type", "Unified\n"},     {"index3/size", "36864K\n"},
    };
    assert_int_equal(qm_host_cache_bytes(tree_root), 0);
    TREE_PUT("/sys/devices/system/cpu/cpu0/cache", files);
    assert_int_equal(qm_host_cache_bytes(tree_root), 36864 * 1024);
    tree_put("/sys/devices/system/cpu/cpu0/cache/index3/size", "big\n");
    assert_int_equal(qm_host_cache_bytes(tree_root), 2048 * 1024);
}

#define TREE_TEST(function) cmocka_unit_test_setup_teardown(function, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE_TEST(test_read),
        TREE_TEST(test_other_answers),
        TREE_TEST(test_unknown),
        cmocka_unit_test_setup(test_sharing, reset),
        cmocka_unit_test_setup(test_gpu, reset),
        cmocka_unit_test_setup(test_memory, reset),
        cmocka_unit_test_setup(test_clocks, reset),
        TREE_TEST(test_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
