// libFuzzer target: any bytes are loaded as a profile; what is accepted keeps its limits, and means the same when its
// expanded form is written and read again. What follows the first zero byte is a list of schemes to select.
//
//   tools/fuzz.sh 60 profile
#include "bench/profile.h"
#include "record/node.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_one_line(void)
{
    require(qm_error_text()[0] != '\0' && !strchr(qm_error_text(), '\n'));
}

static void check_limits(const struct qm_profile *profile)
{
    require(profile->scheme_count >= 1 && profile->scheme_count <= QM_PROFILE_SCHEMES_MAX);
    require(profile->baseline < profile->scheme_count);
    require(profile->prefill_count >= 1 && profile->prefill_count <= QM_PROFILE_POINTS_MAX);
    require(profile->decode_count >= 1 && profile->decode_count <= QM_PROFILE_POINTS_MAX);
    require(profile->criterion_count >= 1 && profile->criterion_count <= QM_PROFILE_CRITERIA_MAX);
    require(profile->widen != 0 && (profile->widen & (profile->widen - 1)) == 0);
    require(profile->repeats >= 3 && profile->submission_ms >= 1 && profile->submission_ms <= 200);
    require(strlen(profile->hash) == QM_HASH_TEXT_BYTES - 1);
}

static void check_round_trip(const struct qm_profile *profile)
{
    static struct qm_profile again;
    struct qm_node *expanded = qm_profile_expand(profile), *read = NULL;
    char *text = NULL;
    require(qm_node_ok(expanded) && qm_node_write_yaml(expanded, &text) == QM_OK);
    require(qm_node_parse(text, strlen(text), "again", &qm_node_profile_limits, &read) == QM_OK);
    require(qm_profile_read(read, &again) == QM_OK);
    require(strcmp(again.hash, profile->hash) == 0 && again.is_stock == profile->is_stock);
    qm_node_destroy(&read);
    qm_node_destroy(&expanded);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static struct qm_profile profile;
    static int file = -1;
    static char path[64];
    if (file < 0) { // a file in memory, named by its descriptor: the loader takes a path
        file = memfd_create("profile", 0);
        require(file >= 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    }
    const uint8_t *zero = memchr(bytes, 0, count);
    size_t length = zero ? (size_t)(zero - bytes) : count;
    require(ftruncate(file, 0) == 0 && pwrite(file, bytes, length, 0) == (ssize_t)length);
    if (qm_profile_load(path, &profile) != QM_OK) {
        require_one_line();
        return 0;
    }
    check_limits(&profile);
    check_round_trip(&profile);
    if (!zero)
        return 0;
    size_t rest = count - length - 1;
    char *list = malloc(rest + 1);
    require(list != NULL);
    memcpy(list, zero + 1, rest);
    list[rest] = '\0';
    if (qm_profile_select_schemes(&profile, list) == QM_OK) {
        check_limits(&profile);
        check_round_trip(&profile);
    } else {
        require_one_line();
    }
    free(list);
    return 0;
}
