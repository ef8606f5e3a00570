// A stand-in for libnvidia-ml.so.1 with two GPUs, for test_telemetry.c, which sets what they answer. Built twice: with
// FAKE_NVML_OLD it is a driver before 535, which has an older name for one function and lacks another.
#include "fake_nvml.h"

#include <stddef.h>
#include <string.h>

struct fake_nvml fake_nvml = {.gpu_count = 2};

int nvmlInit_v2(void)
{
    fake_nvml.opened += fake_nvml.init_result == 0;
    return fake_nvml.init_result;
}

int nvmlShutdown(void)
{
    fake_nvml.opened--;
    return 0;
}

const char *nvmlErrorString(int result)
{
    return result == 3 ? "Not Supported" : result == 9 ? "Driver Not Loaded" : result == 6 ? "Not Found" : "Unknown";
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = fake_nvml.gpu_count;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct fake_gpu **device)
{
    *device = &fake_nvml.gpus[index];
    return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *address, struct fake_gpu **device)
{
    for (size_t i = 0; i < 2; ++i) {
        if (fake_nvml.gpus[i].address && strcmp(fake_nvml.gpus[i].address, address) == 0) {
            *device = &fake_nvml.gpus[i];
            return 0;
        }
    }
    return 6;
}

int nvmlDeviceGetPowerUsage(struct fake_gpu *device, unsigned *milliwatts)
{
    *milliwatts = device->milliwatts;
    return device->power_result;
}

int nvmlDeviceGetClockInfo(struct fake_gpu *device, int type, unsigned *megahertz)
{
    *megahertz = type == 0 ? device->graphics_mhz : type == 2 ? device->memory_mhz : 1;
    return 0;
}

int nvmlDeviceGetTemperature(struct fake_gpu *device, int sensor, unsigned *celsius)
{
    *celsius = device->celsius;
    return sensor == 0 ? 0 : 2;
}

int nvmlDeviceGetMemoryInfo(struct fake_gpu *device, unsigned long long out[3])
{
    out[0] = device->total_bytes;
    out[1] = device->total_bytes - device->used_bytes;
    out[2] = device->used_bytes;
    return 0;
}

int nvmlDeviceGetUtilizationRates(struct fake_gpu *device, unsigned out[2])
{
    out[0] = device->busy_percent;
    out[1] = 1;
    return 0;
}

#ifdef FAKE_NVML_OLD
int nvmlDeviceGetCurrentClocksThrottleReasons(struct fake_gpu *device, unsigned long long *reasons)
#else
int nvmlDeviceGetTotalEnergyConsumption(struct fake_gpu *device, unsigned long long *millijoules)
{
    *millijoules = device->millijoules;
    return 0;
}

int nvmlDeviceGetCurrentClocksEventReasons(struct fake_gpu *device, unsigned long long *reasons)
#endif
{
    *reasons = device->reasons;
    return 0;
}
