// What the stand-in for NVML answers; its symbol `fake_nvml` is set by the test.
#ifndef QM_TEST_FAKE_NVML_H
#define QM_TEST_FAKE_NVML_H

struct fake_gpu {
    const char *address;
    unsigned long long millijoules, total_bytes, used_bytes, reasons;
    unsigned milliwatts, graphics_mhz, memory_mhz, celsius, busy_percent;
    int power_result; // an nvmlReturn_t
};

struct fake_nvml {
    struct fake_gpu gpus[2];
    unsigned gpu_count;
    int init_result, opened;
};

#endif
