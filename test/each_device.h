// What tests of whole models share: a walk over the devices, and how far a device's logits are from the reference's.
#ifndef QM_TEST_EACH_DEVICE_H
#define QM_TEST_EACH_DEVICE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "kernel/kernels.h"
#include "score/tokens.h"
#include "test/native/native.h"

// QM_TEST_DRIVERS is a list of names; without it every driver is wanted.
static inline bool is_wanted_driver(const char *driver_name)
{
    const char *wanted = getenv("QM_TEST_DRIVERS");
    return !wanted || strstr(wanted, driver_name);
}

// Opens the C target and every driver that is wanted, lavapipe with validation where that can be had, one after the other.
// QM_TEST_TILE names a tile in place of the device's own, such as "large+dot+subgroup" on lavapipe.
// `is_short`: of the drivers one of each API. Validation must have found nothing.
static inline void with_each_device(bool is_short,
                                    void (*check)(struct qm_device *device, const char *tile, const void *context),
                                    const void *context)
{
    struct qm_device *device = NULL;
    if (is_wanted_driver("native")) {
        assert_int_equal(qm_native_device_open(&device), QM_OK);
        check(device, "narrow", context);
        device->fns->destroy(&device);
    }
    for (const struct qm_backend *const *backend = &qm_backends[1]; *backend; ++backend) {
        static struct qm_device_info infos[16];
        size_t count = 0;
        if ((*backend)->enumerate(infos, 16, &count) != QM_OK) {
            print_message("%s skipped: %s\n", (*backend)->name, qm_error_text());
            continue;
        }
        for (size_t i = 0; i < count && i < 16; ++i) {
            if (!is_wanted_driver(infos[i].driver_name) || (is_short && !strstr("pocl lavapipe", infos[i].driver_name)))
                continue;
            bool debug = strcmp(infos[i].driver_name, "lavapipe") == 0;
            if ((*backend)->open(&infos[i], &(struct qm_open_params){.debug = debug}, &device) != QM_OK &&
                (*backend)->open(&infos[i], &(struct qm_open_params){0}, &device) != QM_OK)
                fail_msg("%s: %s", infos[i].id, qm_error_text());
            const char *tile = getenv("QM_TEST_TILE");
            check(device, tile ? tile : qm_kernel_tile(&infos[i], (uint64_t)16 << 20), context);
            device->fns->destroy(&device);
        }
    }
    assert_int_equal(qm_device_log_count(), 0); // validation layers, where they are on
}

// Mean KL(reference || device) of rows [first .. end) of logits [end][vocabulary].
static inline double mean_logits_kl(const float *reference, const float *logits, uint32_t vocabulary, uint32_t first,
                                    uint32_t end)
{
    double sum = 0;
    for (uint32_t row = first; row < end; ++row) {
        struct qm_token_place place = {0, 0, row};
        double kl = 0;
        size_t at = (size_t)row * vocabulary;
        if (qm_token_kl(reference + at, logits + at, vocabulary, "reference", "device", &place, &kl) != QM_OK)
            fail_msg("%s", qm_error_text());
        sum += kl;
    }
    return sum / (end - first);
}

#endif
