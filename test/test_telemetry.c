// Readers of telemetry on trees that are laid out as the kernel's: each source, several devices, wraps, files that are
// missing, forbidden or garbage; and NVML by a stand-in library.
#include "machine_tree.h"

#include <dlfcn.h>
#include <math.h>

#include "fake_nvml.h"
#include "report/readings.h"
#include "sys/telemetry_internal.h"

#define PCI "/sys/bus/pci/devices/"
#define CARD PCI "0000:03:00.0"

static struct qm_telemetry_sample sample;

static struct qm_telemetry *open_device(const char *address, uint32_t vendor, bool is_cpu, const char *nvml)
{
    struct qm_telemetry *telemetry = NULL;
    const struct qm_telemetry_params params = {
        .root = tree_root, .pci_address = address, .vendor_id = vendor, .is_cpu = is_cpu, .nvml_path = nvml};
    assert_int_equal(qm_telemetry_open(&params, &telemetry), QM_OK);
    assert_non_null(telemetry);
    qm_telemetry_read(telemetry, &sample);
    return telemetry;
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-6 * fabs(expected)))
        fail_msg("%.9g is not %.9g", value, expected);
}

// Has neither a value nor a zero that looks like one, and says why.
static void assert_none(const struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, const char *reason)
{
    assert_false(qm_telemetry_has(&sample, quantity));
    assert_string_equal(qm_telemetry_reason(telemetry, quantity), reason);
    assert_true(quantity != QM_TELEMETRY_CLOCK || isnan(sample.clock_mhz));
    assert_true(quantity != QM_TELEMETRY_MEMORY_CLOCK || isnan(sample.memory_clock_mhz));
    assert_true(quantity != QM_TELEMETRY_POWER || isnan(sample.power_w));
    assert_true(quantity != QM_TELEMETRY_ENERGY || isnan(sample.energy_j));
    assert_true(quantity != QM_TELEMETRY_TEMPERATURE || isnan(sample.temperature_c));
    assert_true(quantity != QM_TELEMETRY_BUSY || isnan(sample.busy_percent));
    assert_true(quantity != QM_TELEMETRY_MEMORY_USED || sample.memory_used_bytes == UINT64_MAX);
}

static void assert_source(const struct qm_telemetry *telemetry, enum qm_telemetry_quantity quantity, const char *source)
{
    if (!qm_telemetry_has(&sample, quantity))
        fail_msg("%s has no value: %s", qm_telemetry_quantity_name(quantity), qm_telemetry_reason(telemetry, quantity));
    assert_string_equal(qm_telemetry_source(telemetry, quantity), source);
    assert_string_equal(qm_telemetry_reason(telemetry, quantity), "");
}

// ---- Nothing there --------------------------------------------------------------------------------------------------

static void test_nothing(void **state)
{
    (void)state;
    struct qm_telemetry *telemetry = open_device("", 0x1002, false, NULL);
    assert_int_equal(sample.known, 0);
    for (int q = 0; q < QM_TELEMETRY_QUANTITIES; ++q) {
        assert_none(telemetry, (enum qm_telemetry_quantity)q, "the driver tells no PCI address");
        assert_string_equal(qm_telemetry_source(telemetry, (enum qm_telemetry_quantity)q), "");
    }
    qm_telemetry_close(&telemetry);
    assert_null(telemetry);
    qm_telemetry_close(&telemetry);

    telemetry = open_device("0000:09:00.0", 0x1002, false, NULL);
    assert_none(telemetry, QM_TELEMETRY_POWER, "no PCI device 0000:09:00.0 in /sys");
    qm_telemetry_close(&telemetry);
    tree_put("/secret/uevent", "DRIVER=amdgpu\n");
    telemetry = open_device("../../../secret", 0x1002, false, NULL); // a driver's text does not walk about
    assert_none(telemetry, QM_TELEMETRY_POWER, "the PCI address is malformed");
    qm_telemetry_close(&telemetry);
    telemetry = open_device("", 0, true, NULL);
    assert_none(telemetry, QM_TELEMETRY_POWER, "no RAPL package in /sys/class/powercap");
    assert_none(telemetry, QM_TELEMETRY_TEMPERATURE, "no thermal zone or hwmon of the processor");
    assert_none(telemetry, QM_TELEMETRY_BUSY, "/proc/stat: not there, or unreadable");
    qm_telemetry_close(&telemetry);
    telemetry = open_device("", 0x13b5, false, NULL);
    assert_none(telemetry, QM_TELEMETRY_CLOCK, "no kgsl and no devfreq of a GPU shows it");
    qm_telemetry_close(&telemetry);
}

static void test_counter(void **state)
{
    (void)state;
    struct qm_counter counter = {0};
    qm_counter_add(&counter, 262143000000, 262143328850);
    assert_near(counter.total, 0);
    qm_counter_add(&counter, 262143328000, 262143328850);
    assert_near(counter.total, 328000);
    qm_counter_add(&counter, 1000, 262143328850); // began again: 850 up to the range, then 1000
    assert_near(counter.total, 329850);
    struct qm_counter reset = {0};
    qm_counter_add(&reset, 500, 0);
    qm_counter_add(&reset, 20, 0); // set back: at least these 20 were added
    assert_near(reset.total, 20);
}

// ---- amdgpu ---------------------------------------------------------------------------------------------------------

static const struct tree_file amd_card[] = {
    {"uevent", "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:744C\nPCI_SLOT_NAME=0000:03:00.0\n"},
    {"gpu_busy_percent", "97\n"},
    {"mem_info_vram_used", "1073741824\n"},
    {"hwmon/hwmon3/name", "amdgpu\n"},
    {"hwmon/hwmon3/power1_average", "231000000\n"},
    {"hwmon/hwmon3/power1_input", "1000000\n"},
    {"hwmon/hwmon3/freq1_input", "2401000000\n"},
    {"hwmon/hwmon3/freq1_label", "sclk\n"},
    {"hwmon/hwmon3/freq2_input", "1249000000\n"},
    {"hwmon/hwmon3/temp1_input", "61000\n"},
    {"hwmon/hwmon3/temp1_label", "edge\n"},
    {"hwmon/hwmon3/temp2_input", "84000\n"},
    {"hwmon/hwmon3/temp2_label", "junction\n"},
    {"hwmon/hwmon3/temp3_input", "70000\n"},
    {"hwmon/hwmon3/temp3_label", "mem\n"},
};

// gpu_metrics of `size` bytes, all ones but the header, as the driver begins.
static void fill_metrics(unsigned char *table, uint16_t size, uint8_t format, uint8_t content)
{
    memset(table, 0xff, size);
    memcpy(table, &size, sizeof(size));
    table[2] = format;
    table[3] = content;
}

static void put_word(unsigned char *table, size_t offset, uint32_t value)
{
    memcpy(table + offset, &value, sizeof(value));
}

static void put_long(unsigned char *table, size_t offset, uint64_t value)
{
    memcpy(table + offset, &value, sizeof(value));
}

static void test_amdgpu(void **state)
{
    (void)state;
    unsigned char metrics[120];
    TREE_PUT(CARD, amd_card);
    TREE_PUT(PCI "0000:83:00.0", amd_card);
    tree_put(PCI "0000:83:00.0/hwmon/hwmon3/power1_average", "15000000\n");
    fill_metrics(metrics, sizeof(metrics), 1, 3);
    put_word(metrics, 68, 0);
    put_long(metrics, 112, UINT64_C(1) << 36 | UINT64_C(1) << 16); // TEMP_HOTSPOT and TDC_GFX
    tree_put_bytes(CARD "/gpu_metrics", metrics, sizeof(metrics));
    struct qm_telemetry *telemetry = open_device("0000:03:00.0", 0x1002, false, NULL);
    assert_source(telemetry, QM_TELEMETRY_POWER, "amdgpu hwmon power1_average");
    assert_near(sample.power_w, 231);
    assert_source(telemetry, QM_TELEMETRY_CLOCK, "amdgpu hwmon freq1_input");
    assert_near(sample.clock_mhz, 2401);
    assert_source(telemetry, QM_TELEMETRY_MEMORY_CLOCK, "amdgpu hwmon freq2_input");
    assert_near(sample.memory_clock_mhz, 1249);
    assert_source(telemetry, QM_TELEMETRY_TEMPERATURE, "amdgpu hwmon temp2_input (junction)");
    assert_near(sample.temperature_c, 84);
    assert_source(telemetry, QM_TELEMETRY_MEMORY_USED, "amdgpu mem_info_vram_used");
    assert_int_equal(sample.memory_used_bytes, 1 << 30);
    assert_source(telemetry, QM_TELEMETRY_BUSY, "amdgpu gpu_busy_percent");
    assert_near(sample.busy_percent, 97);
    assert_source(telemetry, QM_TELEMETRY_THROTTLE, "amdgpu gpu_metrics v1.3");
    assert_int_equal(sample.throttle, QM_THROTTLE_THERMAL | QM_THROTTLE_CURRENT);
    assert_none(telemetry, QM_TELEMETRY_ENERGY, "amdgpu counts no energy for this GPU");

    // Later readings: another value, an idle GPU, a file that goes away, one that turns to garbage.
    put_long(metrics, 112, 0);
    tree_put_bytes(CARD "/gpu_metrics", metrics, sizeof(metrics));
    tree_put(CARD "/hwmon/hwmon3/freq1_input", "0\n");
    tree_put(CARD "/hwmon/hwmon3/freq2_input", "fast\n");
    tree_put(CARD "/gpu_busy_percent", "4000000000\n");
    tree_drop(CARD "/hwmon/hwmon3/power1_average");
    qm_telemetry_read(telemetry, &sample);
    assert_true(qm_telemetry_has(&sample, QM_TELEMETRY_THROTTLE));
    assert_int_equal(sample.throttle, 0);
    assert_none(telemetry, QM_TELEMETRY_CLOCK, "reads 0: asleep, or not measured");
    assert_none(telemetry, QM_TELEMETRY_MEMORY_CLOCK, "freq2_input: unreadable: not a number");
    assert_none(telemetry, QM_TELEMETRY_BUSY, "unreadable: 4e+09 % cannot be");
    assert_none(telemetry, QM_TELEMETRY_POWER, "power1_average: not there");
    assert_string_equal(qm_telemetry_source(telemetry, QM_TELEMETRY_POWER), "amdgpu hwmon power1_average");
    tree_put_bytes(CARD "/gpu_metrics", metrics, 60);
    qm_telemetry_read(telemetry, &sample);
    assert_none(telemetry, QM_TELEMETRY_THROTTLE, "gpu_metrics: unreadable: ends after 60 of 120 bytes");
    qm_telemetry_close(&telemetry);

    telemetry = open_device("0000:83:00.0", 0x1002, false, NULL); // the other card of the same kind
    assert_near(sample.power_w, 15);
    assert_none(telemetry, QM_TELEMETRY_THROTTLE, "gpu_metrics: not there");
    qm_telemetry_close(&telemetry);
}

// Without hwmon the levels have the clock.
static void test_amdgpu_levels(void **state)
{
    (void)state;
    static const struct tree_file files[] = {
        {"uevent", "DRIVER=amdgpu\n"},
        {"pp_dpm_sclk", "0: 500Mhz \n1: 1311Mhz *\n2: 2400Mhz \n"},
        {"pp_dpm_mclk", "0: 96Mhz \n1: 456Mhz \n"},
    };
    TREE_PUT(CARD, files);
    struct qm_telemetry *telemetry = open_device("0000:03:00.0", 0x1002, false, NULL);
    assert_source(telemetry, QM_TELEMETRY_CLOCK, "amdgpu pp_dpm_sclk");
    assert_near(sample.clock_mhz, 1311);
    assert_none(telemetry, QM_TELEMETRY_MEMORY_CLOCK, "amdgpu shows none for this GPU");
    assert_none(telemetry, QM_TELEMETRY_POWER, "no hwmon below the PCI device");
    tree_put(CARD "/pp_dpm_sclk", "0: 500Mhz \n1: 99999999999999999999999999Mhz *\n");
    qm_telemetry_read(telemetry, &sample);
    assert_none(telemetry, QM_TELEMETRY_CLOCK, "pp_dpm_sclk: unreadable: no level has a star");
    qm_telemetry_close(&telemetry);
}

static void test_gpu_metrics(void **state)
{
    (void)state;
    static const struct {
        uint8_t format, content;
        uint16_t size;
        size_t offset; // of the throttle status
        bool is_independent;
    } statuses[] = {{1, 0, 80, 68, false},  {1, 1, 96, 68, false},   {1, 2, 104, 68, false},  {1, 3, 120, 112, true},
                    {1, 4, 288, 40, false}, {2, 0, 120, 112, false}, {2, 1, 120, 108, false}, {2, 2, 128, 120, true},
                    {2, 3, 152, 120, true}, {2, 4, 168, 120, true}};
    unsigned char table[QM_GPU_METRICS_MAX];
    struct qm_gpu_metrics metrics;
    char reason[128];
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); ++i) {
        fill_metrics(table, statuses[i].size, statuses[i].format, statuses[i].content);
        assert_true(qm_gpu_metrics_decode(table, statuses[i].size, &metrics, reason, sizeof(reason)));
        assert_false(metrics.has_throttle); // all ones: not filled in
        assert_false(metrics.has_energy);
        if (statuses[i].is_independent)
            put_long(table, statuses[i].offset, UINT64_C(1) << 57 | 1); // FIT, PPT0
        else
            put_word(table, statuses[i].offset, 4);
        assert_true(qm_gpu_metrics_decode(table, statuses[i].size, &metrics, reason, sizeof(reason)));
        assert_true(metrics.has_throttle);
        assert_int_equal(metrics.throttle,
                         statuses[i].is_independent ? QM_THROTTLE_RELIABILITY | QM_THROTTLE_POWER : QM_THROTTLE_OTHER);
    }
    // A layout that another kernel gave the same revision, and one of the future.
    fill_metrics(table, 300, 1, 6);
    assert_false(qm_gpu_metrics_decode(table, 300, &metrics, reason, sizeof(reason)));
    assert_string_equal(reason, "v1.6 with 300 bytes is a layout that is not known here");
    fill_metrics(table, 512, 9, 9);
    assert_false(qm_gpu_metrics_decode(table, 512, &metrics, reason, sizeof(reason)));
    assert_false(qm_gpu_metrics_decode(table, 3, &metrics, reason, sizeof(reason)));
    assert_string_equal(reason, "unreadable: 3 bytes are no table");
}

// MI300 counts the time throttled, and energy in 2^-16 J.
static void test_amdgpu_residencies(void **state)
{
    (void)state;
    static unsigned char table[2208];
    tree_put(CARD "/uevent", "DRIVER=amdgpu\n");
    fill_metrics(table, sizeof(table), 1, 7);
    put_long(table, 24, 65536 * 100);
    put_word(table, 44, 7);  // PROCHOT
    put_word(table, 48, 50); // package power
    put_word(table, 52, 9);  // socket's temperature; the others are not filled in
    tree_put_bytes(CARD "/gpu_metrics", table, sizeof(table));
    struct qm_telemetry *telemetry = open_device("0000:03:00.0", 0x1002, false, NULL);
    assert_source(telemetry, QM_TELEMETRY_THROTTLE, "amdgpu gpu_metrics v1.7");
    assert_int_equal(sample.throttle, 0); // what was before the begin is not ours
    assert_source(telemetry, QM_TELEMETRY_ENERGY, "amdgpu gpu_metrics v1.7 energy_accumulator");
    put_long(table, 24, 65536 * 130);
    put_word(table, 48, 51);
    tree_put_bytes(CARD "/gpu_metrics", table, sizeof(table));
    qm_telemetry_read(telemetry, &sample);
    assert_int_equal(sample.throttle, QM_THROTTLE_POWER);
    assert_near(sample.energy_j, 30);
    qm_telemetry_read(telemetry, &sample);
    assert_int_equal(sample.throttle, 0);
    qm_telemetry_close(&telemetry);
}

// ---- Intel ----------------------------------------------------------------------------------------------------------

static void test_i915(void **state)
{
    (void)state;
    static const struct tree_file files[] = {
        {"uevent", "DRIVER=i915\n"},
        {"drm/renderD128/dev", "226:128\n"},
        {"drm/card1/gt/gt0/rps_act_freq_mhz", "2050\n"},
        {"drm/card1/gt/gt0/throttle_reason_status", "1\n"},
        {"drm/card1/gt/gt0/throttle_reason_pl1", "1\n"},
        {"drm/card1/gt/gt0/throttle_reason_thermal", "0\n"},
        {"drm/card1/gt/gt1/rps_act_freq_mhz", "3000\n"}, // media
        {"drm/card1/gt/gt1/throttle_reason_status", "0\n"},
        {"drm/card1/gt/gt1/throttle_reason_thermal", "1\n"}, // not asked: the status says there is none
        {"hwmon/hwmon5/name", "i915_gt0\n"},
        {"hwmon/hwmon5/energy1_input", "1\n"},
        {"hwmon/hwmon6/name", "i915\n"},
        {"hwmon/hwmon6/energy1_input", "5000000\n"},
    };
    struct qm_telemetry_sample first;
    TREE_PUT(CARD, files);
    struct qm_telemetry *telemetry = open_device("0000:03:00.0", 0x8086, false, NULL);
    assert_source(telemetry, QM_TELEMETRY_CLOCK, "i915 gt0 rps_act_freq_mhz");
    assert_near(sample.clock_mhz, 2050);
    assert_source(telemetry, QM_TELEMETRY_THROTTLE, "i915 gt throttle_reason_*");
    assert_int_equal(sample.throttle, QM_THROTTLE_POWER);
    assert_none(telemetry, QM_TELEMETRY_BUSY, "i915 shows none in /sys");
    assert_string_equal(qm_telemetry_source(telemetry, QM_TELEMETRY_POWER), "slope of i915 hwmon energy1_input");
    uint64_t begin = sample.time_ns + 1000000000u;
    qm_telemetry_read_at(telemetry, begin, &first);
    tree_put(CARD "/hwmon/hwmon6/energy1_input", "65000000\n");
    tree_put(CARD "/drm/card1/gt/gt0/throttle_reason_pl1", "0\n"); // throttled, and no reason is told
    qm_telemetry_read_at(telemetry, begin + 500000000u, &sample);
    assert_source(telemetry, QM_TELEMETRY_ENERGY, "i915 hwmon energy1_input");
    assert_near(sample.energy_j - first.energy_j, 60);
    assert_near(sample.power_w, 120);
    assert_int_equal(sample.throttle, QM_THROTTLE_OTHER);
    qm_telemetry_read_at(telemetry, begin + 500001000u, &sample);
    assert_none(telemetry, QM_TELEMETRY_POWER, "two readings within 10 ms have no slope");
    qm_telemetry_close(&telemetry);
}

static void test_xe(void **state)
{
    (void)state;
    static const struct tree_file files[] = {
        {"uevent", "DRIVER=xe\n"},
        {"tile0/gt0/freq0/act_freq", "0\n"}, // asleep
        {"tile0/gt0/freq0/throttle/status", "0\n"},
        {"tile0/gt1/freq0/act_freq", "4000\n"}, // media
        {"tile0/gt1/freq0/throttle/status", "0\n"},
        {"tile1/gt2/freq0/act_freq", "1650\n"},
        {"tile1/gt2/freq0/throttle/status", "1\n"},
        {"tile1/gt2/freq0/throttle/reason_vr_tdc", "1\n"},
        {"tile1/gt2/freq0/throttle/reason_prochot", "1\n"},
        {"tile1/gt2/freq0/throttle/reason_pl1", "0\n"},
        {"hwmon/hwmon2/name", "xe\n"},
        {"hwmon/hwmon2/energy2_input", "1000000\n"},
        {"hwmon/hwmon2/temp2_input", "57000\n"},
    };
    TREE_PUT(CARD, files);
    struct qm_telemetry *telemetry = open_device("0000:03:00.0", 0x8086, false, NULL);
    assert_source(telemetry, QM_TELEMETRY_CLOCK, "xe act_freq, the highest of the tiles");
    assert_near(sample.clock_mhz, 1650);
    assert_source(telemetry, QM_TELEMETRY_THROTTLE, "xe freq0/throttle");
    assert_int_equal(sample.throttle, QM_THROTTLE_CURRENT | QM_THROTTLE_THERMAL);
    assert_source(telemetry, QM_TELEMETRY_TEMPERATURE, "xe hwmon temp2_input (package)");
    assert_near(sample.temperature_c, 57);
    assert_source(telemetry, QM_TELEMETRY_ENERGY, "xe hwmon energy2_input (package)");
    // "Not throttled" needs all tiles; "throttled" needs one.
    tree_drop(CARD "/tile0/gt0/freq0/throttle/status");
    qm_telemetry_read(telemetry, &sample);
    assert_true(qm_telemetry_has(&sample, QM_TELEMETRY_THROTTLE));
    tree_put(CARD "/tile1/gt2/freq0/throttle/status", "0\n");
    qm_telemetry_read(telemetry, &sample);
    assert_none(telemetry, QM_TELEMETRY_THROTTLE, "status: not there");
    qm_telemetry_close(&telemetry);
}

// A driver without a reader of its own.
static void test_other_driver(void **state)
{
    (void)state;
    static const struct tree_file files[] = {
        {"uevent", "DRIVER=nouveau\n"}, {"hwmon/hwmon1/name", "nouveau\n"}, {"hwmon/hwmon1/temp1_input", "45000\n"}};
    TREE_PUT(CARD, files);
    struct qm_telemetry *telemetry = open_device("0000:03:00.0", 0x10de, false, NULL);
    assert_source(telemetry, QM_TELEMETRY_TEMPERATURE, "hwmon temp1_input");
    assert_none(telemetry, QM_TELEMETRY_CLOCK, "this driver shows none");
    qm_telemetry_close(&telemetry);
}

// ---- Systems on a chip ----------------------------------------------------------------------------------------------

static void test_kgsl(void **state)
{
    (void)state;
    static const struct tree_file files[] = {
        {"gpuclk", "587000000\n"}, {"gpu_busy_percentage", "63 %\n"}, {"temp", "51200\n"}, {"thermal_pwrlevel", "2\n"}};
    TREE_PUT("/sys/class/kgsl/kgsl-3d0", files);
    struct qm_telemetry *telemetry = open_device("", 0x5143, false, NULL);
    assert_source(telemetry, QM_TELEMETRY_CLOCK, "kgsl gpuclk");
    assert_near(sample.clock_mhz, 587);
    assert_source(telemetry, QM_TELEMETRY_BUSY, "kgsl gpu_busy_percentage");
    assert_near(sample.busy_percent, 63);
    assert_near(sample.temperature_c, 51.2);
    assert_source(telemetry, QM_TELEMETRY_THROTTLE, "kgsl thermal_pwrlevel");
    assert_int_equal(sample.throttle, QM_THROTTLE_THERMAL);
    assert_none(telemetry, QM_TELEMETRY_POWER, "kgsl shows none");
    qm_telemetry_close(&telemetry);
}

static void test_devfreq(void **state)
{
    (void)state;
    static const struct tree_file files[] = {
        {"class/devfreq/dmc/cur_freq", "2112000000\n"}, // memory
        {"class/devfreq/fb000000.gpu/cur_freq", "800000000\n"},
        {"class/thermal/cooling_device3/type", "devfreq-fb000000.gpu\n"},
        {"class/thermal/cooling_device3/cur_state", "0\n"},
        {"class/thermal/cooling_device0/type", "cpufreq-cpu0\n"},
        {"class/thermal/cooling_device0/cur_state", "3\n"},
        {"class/thermal/thermal_zone0/type", "soc-thermal\n"},
        {"class/thermal/thermal_zone0/temp", "40000\n"},
        {"class/thermal/thermal_zone5/type", "gpu-thermal\n"},
        {"class/thermal/thermal_zone5/temp", "47153\n"},
    };
    TREE_PUT("/sys", files);
    struct qm_telemetry *telemetry = open_device("", 0x13b5, false, NULL);
    assert_source(telemetry, QM_TELEMETRY_CLOCK, "devfreq fb000000.gpu cur_freq");
    assert_near(sample.clock_mhz, 800);
    assert_source(telemetry, QM_TELEMETRY_TEMPERATURE, "thermal_zone5 (gpu-thermal)");
    assert_near(sample.temperature_c, 47.153);
    assert_source(telemetry, QM_TELEMETRY_THROTTLE, "thermal cooling_device cur_state (devfreq-fb000000.gpu)");
    assert_int_equal(sample.throttle, 0); // what slows the processor down is not the GPU's
    tree_put("/sys/class/thermal/cooling_device3/cur_state", "1\n");
    qm_telemetry_read(telemetry, &sample);
    assert_int_equal(sample.throttle, QM_THROTTLE_THERMAL);
    qm_telemetry_close(&telemetry);
}

// ---- Processors -----------------------------------------------------------------------------------------------------

static void test_processor(void **state)
{
    (void)state;
    static const struct tree_file files[] = {
        {"sys/class/powercap/intel-rapl:0/name", "package-0\n"},
        {"sys/class/powercap/intel-rapl:0/energy_uj", "262143000000\n"},
        {"sys/class/powercap/intel-rapl:0/max_energy_range_uj", "262143328850\n"},
        {"sys/class/powercap/intel-rapl:0:0/name", "core\n"}, // a part of package-0
        {"sys/class/powercap/intel-rapl:0:0/energy_uj", "7\n"},
        {"sys/class/powercap/intel-rapl:1/name", "package-1\n"},
        {"sys/class/powercap/intel-rapl:1/energy_uj", "1000000\n"},
        {"sys/class/powercap/intel-rapl:1/max_energy_range_uj", "262143328850\n"},
        {"sys/class/powercap/intel-rapl:2/name", "psys\n"}, // all of it once more
        {"sys/class/powercap/intel-rapl:2/energy_uj", "9\n"},
        {"sys/class/powercap/intel-rapl-mmio:0/name", "package-0\n"},
        {"sys/class/powercap/intel-rapl-mmio:0/energy_uj", "9\n"},
        {"sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "3000000\n"},
        {"sys/devices/system/cpu/cpufreq/policy1/scaling_cur_freq", "4000000\n"},
        {"sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "5\n"},
        {"sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "8\n"},
        {"sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "0\n"},
        {"sys/class/thermal/thermal_zone0/type", "acpitz\n"},
        {"sys/class/thermal/thermal_zone0/temp", "27800\n"},
        {"sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n"},
        {"sys/class/thermal/thermal_zone1/temp", "71000\n"},
        {"proc/stat", "cpu  1000 0 500 8000 500 0 0 0 100 0\ncpu0 1 2 3 4\n"},
    };
    TREE_PUT("", files);
    struct qm_telemetry *telemetry = open_device("", 0x8086, true, NULL);
    assert_source(telemetry, QM_TELEMETRY_CLOCK, "cpufreq scaling_cur_freq, mean of 2 of 2 policies");
    assert_near(sample.clock_mhz, 3500);
    assert_source(telemetry, QM_TELEMETRY_TEMPERATURE, "thermal_zone1 (x86_pkg_temp)");
    assert_near(sample.temperature_c, 71);
    assert_source(telemetry, QM_TELEMETRY_THROTTLE, "thermal_throttle counts of 2 of 2 processors");
    assert_int_equal(sample.throttle, 0);
    assert_none(telemetry, QM_TELEMETRY_BUSY, "two readings within a tick of /proc/stat have no load");
    assert_source(telemetry, QM_TELEMETRY_ENERGY, "RAPL energy_uj of 2 packages");
    assert_near(sample.energy_j, 0);
    uint64_t begin = sample.time_ns + 1000000000u;
    qm_telemetry_read_at(telemetry, begin, &sample);

    // One package wraps, the other does not: 0.32885 + 0.67115 + 29 J in 2 s. 300 of 400 ticks were busy.
    tree_put("/sys/class/powercap/intel-rapl:0/energy_uj", "671150\n");
    tree_put("/sys/class/powercap/intel-rapl:1/energy_uj", "30000000\n");
    tree_put("/sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "1\n");
    tree_put("/proc/stat", "cpu  1250 0 550 8090 510 0 0 0 100 0\n");
    qm_telemetry_read_at(telemetry, begin + 2000000000u, &sample);
    assert_near(sample.energy_j, 30);
    assert_near(sample.power_w, 15);
    assert_string_equal(qm_telemetry_source(telemetry, QM_TELEMETRY_POWER), "slope of RAPL energy_uj of 2 packages");
    assert_int_equal(sample.throttle, QM_THROTTLE_THERMAL);
    assert_source(telemetry, QM_TELEMETRY_BUSY, "/proc/stat");
    assert_near(sample.busy_percent, 75);

    // A part of the energy is not the energy.
    tree_put("/sys/class/powercap/intel-rapl:1/energy_uj", "-3\n");
    tree_put("/proc/stat", "intr 1 2 3\n");
    qm_telemetry_read_at(telemetry, begin + 3000000000u, &sample);
    assert_none(telemetry, QM_TELEMETRY_ENERGY, "energy_uj: unreadable: not a number");
    assert_none(telemetry, QM_TELEMETRY_POWER, "energy_uj: unreadable: not a number");
    assert_none(telemetry, QM_TELEMETRY_BUSY, "stat: unreadable: no times of processors");
    assert_int_equal(sample.throttle, 0);
    qm_telemetry_close(&telemetry);
}

// The usual case since 2020: energy_uj belongs to root.
static void test_forbidden(void **state)
{
    (void)state;
    if (geteuid() == 0)
        skip(); // root may read everything
    tree_put("/sys/class/powercap/intel-rapl:0/name", "package-0\n");
    tree_put("/sys/class/powercap/intel-rapl:0/energy_uj", "1\n");
    assert_int_equal(chmod(tree_path("/sys/class/powercap/intel-rapl:0/energy_uj"), 0), 0);
    struct qm_telemetry *telemetry = open_device("", 0x8086, true, NULL);
    assert_none(telemetry, QM_TELEMETRY_ENERGY, "energy_uj: permission denied");
    assert_none(telemetry, QM_TELEMETRY_POWER, "energy_uj: permission denied");
    qm_telemetry_close(&telemetry);
}

// What root cannot read either: a directory in place of a file, and a pipe that nobody writes, which must not block.
static void test_no_files(void **state)
{
    (void)state;
    tree_put("/sys/class/powercap/intel-rapl:0/name", "package-0\n");
    tree_put("/sys/class/powercap/intel-rapl:0/energy_uj/x", "1\n");
    tree_put("/sys/class/thermal/thermal_zone1/type", "x86_pkg_temp\n");
    assert_int_equal(mkfifo(tree_path("/sys/class/thermal/thermal_zone1/temp"), 0600), 0);
    struct qm_telemetry *telemetry = open_device("", 0x8086, true, NULL);
    assert_none(telemetry, QM_TELEMETRY_ENERGY, "energy_uj: illegal operation on a directory");
    assert_none(telemetry, QM_TELEMETRY_TEMPERATURE, "no thermal zone or hwmon of the processor");
    qm_telemetry_close(&telemetry);
}

// AMD: no thermal_throttle, no zone, the clock in cpuinfo; an ARM board: the kernel slows it down.
static void test_other_processors(void **state)
{
    (void)state;
    static const struct tree_file files[] = {
        {"proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 3400.500\n\nprocessor\t: 1\ncpu MHz\t\t: 1599.500\n"},
        {"sys/class/hwmon/hwmon0/name", "nvme\n"},
        {"sys/class/hwmon/hwmon0/temp1_input", "33000\n"},
        {"sys/class/hwmon/hwmon1/name", "k10temp\n"},
        {"sys/class/hwmon/hwmon1/temp1_input", "66125\n"},
    };
    TREE_PUT("", files);
    struct qm_telemetry *telemetry = open_device("", 0x1022, true, NULL);
    assert_source(telemetry, QM_TELEMETRY_CLOCK, "/proc/cpuinfo, mean of \"cpu MHz\"");
    assert_near(sample.clock_mhz, 2500);
    assert_source(telemetry, QM_TELEMETRY_TEMPERATURE, "hwmon k10temp temp1_input");
    assert_near(sample.temperature_c, 66.125);
    assert_none(telemetry, QM_TELEMETRY_THROTTLE, "this processor's driver counts none");
    qm_telemetry_close(&telemetry);
    tree_put("/sys/class/thermal/cooling_device0/type", "cpufreq-cpu0\n");
    tree_put("/sys/class/thermal/cooling_device0/cur_state", "2\n");
    telemetry = open_device("", 0x13b5, true, NULL);
    assert_source(telemetry, QM_TELEMETRY_THROTTLE, "thermal cooling_device cur_state (cpufreq-)");
    assert_int_equal(sample.throttle, QM_THROTTLE_THERMAL);
    qm_telemetry_close(&telemetry);
}

// 40 processors: a few of them, spread, so that a reading stays short.
static void test_many_processors(void **state)
{
    (void)state;
    char path[128], text[32];
    for (int i = 0; i < 40; ++i) {
        snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpufreq/policy%d/scaling_cur_freq", i);
        snprintf(text, sizeof(text), "%d\n", i < 20 ? 1000000 : 3000000);
        tree_put(path, text);
    }
    struct qm_telemetry *telemetry = open_device("", 0, true, NULL);
    assert_source(telemetry, QM_TELEMETRY_CLOCK, "cpufreq scaling_cur_freq, mean of 16 of 40 policies");
    assert_near(sample.clock_mhz, 2000);
    qm_telemetry_close(&telemetry);
}

// ---- NVML -----------------------------------------------------------------------------------------------------------

static struct fake_nvml *fake_of(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    assert_non_null(library);
    struct fake_nvml *fake = dlsym(library, "fake_nvml");
    assert_non_null(fake);
    *fake = (struct fake_nvml){.gpu_count = 2};
    fake->gpus[0] = (struct fake_gpu){.address = "0000:01:00.0", .celsius = 33};
    fake->gpus[1] = (struct fake_gpu){.address = "0000:41:00.0",
                                      .millijoules = 7000,
                                      .total_bytes = UINT64_C(80) << 30,
                                      .used_bytes = UINT64_C(3) << 30,
                                      .milliwatts = 310250,
                                      .graphics_mhz = 1755,
                                      .memory_mhz = 1593,
                                      .celsius = 64,
                                      .busy_percent = 88,
                                      .reasons = 0x4 | 0x8 | 0x40};
    return fake;
}

static void test_nvml(void **state)
{
    (void)state;
    struct fake_nvml *fake = fake_of(QM_FAKE_NVML);
    struct qm_telemetry *telemetry = open_device("0000:41:00.0", 0x10de, false, QM_FAKE_NVML);
    assert_int_equal(fake->opened, 1);
    assert_source(telemetry, QM_TELEMETRY_POWER, "NVML GetPowerUsage");
    assert_near(sample.power_w, 310.25);
    assert_source(telemetry, QM_TELEMETRY_CLOCK, "NVML GetClockInfo graphics");
    assert_near(sample.clock_mhz, 1755);
    assert_near(sample.memory_clock_mhz, 1593);
    assert_near(sample.temperature_c, 64);
    assert_int_equal(sample.memory_used_bytes, UINT64_C(3) << 30);
    assert_near(sample.busy_percent, 88);
    assert_source(telemetry, QM_TELEMETRY_THROTTLE, "NVML GetCurrentClocksEventReasons");
    assert_int_equal(sample.throttle, QM_THROTTLE_POWER | QM_THROTTLE_THERMAL);
    assert_source(telemetry, QM_TELEMETRY_ENERGY, "NVML GetTotalEnergyConsumption");
    fake->gpus[1].millijoules = 19500;
    fake->gpus[1].reasons = 0x1; // idle
    fake->gpus[1].power_result = 3;
    qm_telemetry_read(telemetry, &sample);
    assert_near(sample.energy_j, 12.5);
    assert_true(qm_telemetry_has(&sample, QM_TELEMETRY_THROTTLE));
    assert_int_equal(sample.throttle, 0);
    assert_none(telemetry, QM_TELEMETRY_POWER, "NVML: Not Supported");
    fake->gpus[1].reasons = 0x8 | 0x10;
    qm_telemetry_read(telemetry, &sample);
    assert_int_equal(sample.throttle, QM_THROTTLE_OTHER | QM_THROTTLE_SOFTWARE);
    fake->gpus[1].reasons = UINT64_C(1) << 40; // of a later driver
    qm_telemetry_read(telemetry, &sample);
    assert_int_equal(sample.throttle, QM_THROTTLE_OTHER);
    qm_telemetry_close(&telemetry);
    assert_int_equal(fake->opened, 0);
}

static void test_nvml_failures(void **state)
{
    (void)state;
    struct fake_nvml *fake = fake_of(QM_FAKE_NVML);
    struct qm_telemetry *telemetry = open_device("0000:99:00.0", 0x10de, false, QM_FAKE_NVML);
    assert_none(telemetry, QM_TELEMETRY_POWER, "NVML: Not Found");
    qm_telemetry_close(&telemetry);
    assert_int_equal(fake->opened, 0);
    telemetry = open_device("", 0x10de, false, QM_FAKE_NVML); // two GPUs: which one?
    assert_none(telemetry, QM_TELEMETRY_POWER, "NVML: finds no such GPU");
    qm_telemetry_close(&telemetry);
    fake->gpu_count = 1;
    telemetry = open_device("", 0x10de, false, QM_FAKE_NVML);
    assert_source(telemetry, QM_TELEMETRY_TEMPERATURE, "NVML GetTemperature (the only GPU)");
    assert_near(sample.temperature_c, 33);
    assert_none(telemetry, QM_TELEMETRY_CLOCK, "reads 0: asleep, or not measured");
    qm_telemetry_close(&telemetry);
    fake->init_result = 9;
    telemetry = open_device("0000:41:00.0", 0x10de, false, QM_FAKE_NVML);
    assert_none(telemetry, QM_TELEMETRY_POWER, "NVML: Driver Not Loaded");
    qm_telemetry_close(&telemetry);
    assert_int_equal(fake->opened, 0);
    telemetry = open_device("0000:41:00.0", 0x10de, false, "/nowhere/libnvidia-ml.so.1");
    assert_none(telemetry, QM_TELEMETRY_POWER,
                "/nowhere/libnvidia-ml.so.1 cannot be opened; it comes with NVIDIA's driver");
    qm_telemetry_close(&telemetry);
    telemetry = open_device("0000:41:00.0", 0x10de, false, NULL); // another machine's tree: not this one's library
    assert_none(telemetry, QM_TELEMETRY_POWER, "NVML is not asked below another root");
    qm_telemetry_close(&telemetry);
}

static void test_nvml_old(void **state)
{
    (void)state;
    fake_of(QM_FAKE_NVML_OLD);
    struct qm_telemetry *telemetry = open_device("0000:41:00.0", 0x10de, false, QM_FAKE_NVML_OLD);
    assert_source(telemetry, QM_TELEMETRY_THROTTLE, "NVML GetCurrentClocksThrottleReasons");
    assert_int_equal(sample.throttle, QM_THROTTLE_POWER | QM_THROTTLE_THERMAL);
    assert_none(telemetry, QM_TELEMETRY_ENERGY, "NVML has no nvmlDeviceGetTotalEnergyConsumption; a newer driver has");
    assert_near(sample.power_w, 310.25);
    qm_telemetry_close(&telemetry);
}

// ---- What is printed ------------------------------------------------------------------------------------------------

static void test_readings(void **state)
{
    (void)state;
    unsigned char metrics[120];
    char *text = NULL;
    size_t size = 0;
    TREE_PUT(CARD, amd_card);
    fill_metrics(metrics, sizeof(metrics), 1, 3);
    put_long(metrics, 112, 3);
    tree_put_bytes(CARD "/gpu_metrics", metrics, sizeof(metrics));
    struct qm_telemetry *telemetry = open_device("0000:03:00.0", 0x1002, false, NULL);
    tree_drop(CARD "/gpu_busy_percent");
    qm_telemetry_read(telemetry, &sample);
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    assert_int_equal(qm_readings_write(telemetry, &sample, file), QM_OK);
    fclose(file);
    assert_string_equal(text, "  clock                 2401 MHz      amdgpu hwmon freq1_input\n"
                              "  memory_clock          1249 MHz      amdgpu hwmon freq2_input\n"
                              "  power                 231.0 W       amdgpu hwmon power1_average\n"
                              "  energy                unavailable   amdgpu counts no energy for this GPU\n"
                              "  temperature           84 C          amdgpu hwmon temp2_input (junction)\n"
                              "  memory_used           1024 MiB      amdgpu mem_info_vram_used\n"
                              "  busy                  unavailable   gpu_busy_percent: not there (amdgpu "
                              "gpu_busy_percent)\n"
                              "  throttle              power         amdgpu gpu_metrics v1.3\n");
    free(text);
    struct qm_node *node = qm_readings_node(telemetry, &sample);
    double value = 0;
    assert_true(qm_node_double_at(node, "power.value", &value));
    assert_near(value, 231);
    assert_false(qm_node_double_at(node, "busy.value", &value)); // a word, not a zero
    qm_node_destroy(&node);
    qm_telemetry_close(&telemetry);
    char words[QM_THROTTLE_TEXT_BYTES];
    qm_throttle_text(0, words);
    assert_string_equal(words, "none");
    qm_throttle_text((1 << QM_THROTTLE_REASONS) - 1, words);
    assert_string_equal(words, "thermal, power, current, reliability, software, other");
}

#define TREE_TEST(function) cmocka_unit_test_setup_teardown(function, tree_setup, tree_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE_TEST(test_nothing),
        TREE_TEST(test_counter),
        TREE_TEST(test_amdgpu),
        TREE_TEST(test_amdgpu_levels),
        TREE_TEST(test_gpu_metrics),
        TREE_TEST(test_amdgpu_residencies),
        TREE_TEST(test_i915),
        TREE_TEST(test_xe),
        TREE_TEST(test_other_driver),
        TREE_TEST(test_kgsl),
        TREE_TEST(test_devfreq),
        TREE_TEST(test_processor),
        TREE_TEST(test_forbidden),
        TREE_TEST(test_no_files),
        TREE_TEST(test_other_processors),
        TREE_TEST(test_many_processors),
        TREE_TEST(test_nvml),
        TREE_TEST(test_nvml_failures),
        TREE_TEST(test_nvml_old),
        TREE_TEST(test_readings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
