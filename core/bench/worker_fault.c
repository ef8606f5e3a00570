#include "bench/worker_fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/kernels.h"
#include "sys/host.h"
#include "sys/process.h"

enum {
    CHATTER_LINES = 40000, // of some 100 bytes, half of them on each stream
    LONG_LINE_BYTES = 100000000
};

static struct {
    char kind[32];
    const char *value; // NULL: nothing is planted
    long runs;         // of the kind that is to be wrong
    bool is_lost;
    uint64_t memory_bytes;      // all that the device has
    bool is_in_kernel;          // the kernel to hang in was the last to be made
    struct qm_device_fns fns;   // as planted
    struct qm_device_fns inner; // the device's own
} fault;

void qm_fault_read(const char *device, uint32_t attempt)
{
    const char *text = getenv("QM_FAULT"), *only = getenv("QM_FAULT_DEVICE");
    const char *value = text ? strchr(text, '=') : NULL;
    if (!value || (only && strcmp(only, device) != 0))
        return;
    snprintf(fault.kind, sizeof(fault.kind), "%.*s", (int)(value - text), text);
    fault.value = value + 1;
    if (strcmp(fault.kind, "lost-once") == 0) {
        snprintf(fault.kind, sizeof(fault.kind), "lost");
        if (attempt > 0)
            fault.value = NULL;
    }
}

const char *qm_fault_value(const char *kind)
{
    return fault.value && strcmp(fault.kind, kind) == 0 ? fault.value : NULL;
}

static bool is_planted(const char *kind, const char *verb)
{
    const char *value = qm_fault_value(kind);
    return value && strcmp(value, verb) == 0;
}

static void hang(void)
{
    for (;;)
        qm_sleep_ns(1000000000);
}

// ---- In place of the device's functions -----------------------------------------------------------------------------

static void little_memory(struct qm_device *device, struct qm_memory *out)
{
    fault.inner.memory(device, out);
    out->left_bytes = fault.memory_bytes > out->buffers_bytes ? fault.memory_bytes - out->buffers_bytes : 0;
}

static enum qm_status note_kernel(struct qm_device *device, const struct qm_kernel_variant *variant,
                                  struct qm_kernel **out)
{
    const char *name = qm_fault_value("hang-kernel");
    fault.is_in_kernel = name && strncmp(variant->name, name, strlen(name)) == 0;
    return fault.inner.kernel_create(device, variant, out);
}

static enum qm_status hang_in_kernel(struct qm_device *device, struct qm_program *program, uint32_t repeats,
                                     const struct qm_run_policy *policy, struct qm_timing *timing)
{
    if (fault.is_in_kernel)
        hang();
    return fault.inner.run(device, program, repeats, policy, timing);
}

void qm_fault_plant(struct qm_device *device)
{
    const char *bytes = qm_fault_value("memory");
    if (!bytes && !qm_fault_value("hang-kernel"))
        return;
    fault.fns = fault.inner = *device->fns;
    if (bytes) {
        fault.memory_bytes = strtoull(bytes, NULL, 10);
        fault.fns.memory = little_memory;
    } else {
        fault.fns.kernel_create = note_kernel;
        fault.fns.run = hang_in_kernel;
    }
    device->fns = &fault.fns;
}

// ---- Requests -------------------------------------------------------------------------------------------------------

static void write_long_line(struct qm_heartbeat *heartbeat)
{
    static char part[1000000];
    memset(part, 'x', sizeof(part));
    for (int i = 0; i < LONG_LINE_BYTES / (int)sizeof(part); ++i)
        qm_heartbeat_write(heartbeat, part, sizeof(part));
    qm_heartbeat_write(heartbeat, "\n", 1);
}

static void chatter(void)
{
    for (int i = 0; i < CHATTER_LINES; ++i) {
        FILE *stream = i % 2 ? stderr : stdout;
        fprintf(stream, "driver: %d things that nobody asked for, one of which looks like this:\n", i);
        fprintf(stream, "{\"status\":\"ok\",\"serial\":%d}\n", i);
    }
    fflush(stdout);
}

enum qm_status qm_fault_request(const char *verb, struct qm_heartbeat *heartbeat, bool *is_mute)
{
    static const char zeros[] = "{\"status\":\"ok\",\0\"serial\":1}\n",
                      unasked[] = "{\"status\":\"ok\",\"serial\":0}\n";
    if (is_planted("crash", verb))
        qm_process_crash();
    if (is_planted("abort", verb))
        qm_process_abort();
    if (is_planted("freeze", verb))
        qm_process_freeze();
    if (is_planted("hang", verb))
        hang();
    if (is_planted("garbage", verb))
        qm_heartbeat_write(heartbeat, "\x01\x02 these bytes are no JSON\xff\n", 27);
    if (is_planted("zero", verb))
        qm_heartbeat_write(heartbeat, zeros, sizeof(zeros) - 1);
    if (is_planted("long", verb))
        write_long_line(heartbeat);
    if (is_planted("unasked", verb))
        qm_heartbeat_write(heartbeat, unasked, sizeof(unasked) - 1);
    if (is_planted("chatter", verb))
        chatter();
    *is_mute = is_planted("garbage", verb) || is_planted("zero", verb) || is_planted("long", verb);
    fault.is_lost = fault.is_lost || is_planted("lost", verb);
    return fault.is_lost ? QM_FAIL(QM_DEVICE_LOST, "the device was lost (planted)") : QM_OK;
}

// Counts what is to be wrong once.
static bool is_wrong_one(const char *kind, const char *scheme)
{
    const char *value = qm_fault_value(kind);
    const char *number = value ? strchr(value, ':') : NULL;
    if (number && strncmp(value, scheme, (size_t)(number - value)) != 0)
        return false;
    return value && ++fault.runs == strtol(number ? number + 1 : value, NULL, 10);
}

bool qm_fault_is_wrong_run(const char *scheme, bool keeps_logits)
{
    return is_wrong_one(keeps_logits ? "wrong-scored" : "wrong-pass", scheme);
}

void qm_fault_answers(const char *scheme)
{
    if (is_planted("crash-answers", scheme))
        qm_process_crash();
}

bool qm_fault_is_wrong_answer(const char *scheme)
{
    return is_wrong_one("wrong-answer", scheme);
}

bool qm_fault_is_wrong_serve(const char *scheme, bool is_timed)
{
    return is_planted("wrong-served", scheme) || (is_timed && is_wrong_one("wrong-serve", scheme));
}

enum qm_status qm_fault_scheme(const char *scheme, uint64_t bytes)
{
    return is_planted("no-memory", scheme)
               ? QM_FAIL(QM_OUT_OF_MEMORY, "%s takes %" PRIu64 " bytes more than there are (planted)", scheme, bytes)
               : QM_OK;
}

enum qm_status qm_fault_engine(uint32_t sequences)
{
    const char *most = qm_fault_value("little");
    return most && sequences > strtoul(most, NULL, 10)
               ? QM_FAIL(QM_OUT_OF_MEMORY, "%u sequences take more bytes than those of %s (planted)", sequences, most)
               : QM_OK;
}
