// Prints how fast a model's directory is loaded beside how fast its files can be read at all, both from the page cache.
//
//   qm_load_rate DIRECTORY [TRIES]      the best of 3 tries each, unless told otherwise
//
// The measure is read() of every file into one buffer of 1 MiB, by one thread. Beside it: opening (mapping, headers, index,
// checks), every value as a float through one buffer of 16 MiB, as a model goes to a device tensor by tensor; the SHA-256 of
// all files; and qm_model_load, which does all of that and keeps the floats. Rates are bytes of the files per second; beside
// them the processor's seconds, which other work on the machine hardly changes, and the peak of the memory so far.
#include "model/model.h"
#include "model/weights.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_BYTES = 1 << 20,
    BUFFER_VALUES = 1 << 22,
};

static void stop(const char *text)
{
    fprintf(stderr, "qm_load_rate: %s\n", text);
    exit(2);
}

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double of_timeval(struct timeval time)
{
    return (double)time.tv_sec + 1e-6 * (double)time.tv_usec;
}

struct cost {
    double wall_s, processor_s;
};

static struct cost now(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (struct cost){now_s(), of_timeval(usage.ru_utime) + of_timeval(usage.ru_stime)};
}

static double peak_mb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024 / 1e6;
}

// Keeps the least of both since `begin`.
static void keep_best(struct cost begin, struct cost *best)
{
    struct cost end = now();
    double wall_s = end.wall_s - begin.wall_s, processor_s = end.processor_s - begin.processor_s;
    best->wall_s = wall_s < best->wall_s ? wall_s : best->wall_s;
    best->processor_s = processor_s < best->processor_s ? processor_s : best->processor_s;
}

static void read_file(const char *path, char *buffer)
{
    int file = open(path, O_RDONLY);
    ssize_t got = file < 0 ? -1 : 1;
    while (got > 0)
        got = read(file, buffer, READ_BYTES);
    if (got < 0)
        stop("cannot read a file of the model");
    close(file);
}

static void read_files(const struct qm_weights *weights, void *buffer)
{
    for (size_t i = 0; i < weights->shard_count; i++)
        read_file(weights->shards[i].file, buffer);
}

static void convert(const struct qm_weights *weights, void *buffer)
{
    for (size_t i = 0; i < weights->count; i++) {
        const struct qm_weights_entry *entry = &weights->entries[i];
        size_t count = entry->tensor->bytes / qm_dtype_bytes(entry->tensor->dtype);
        for (size_t first = 0; first < count; first += BUFFER_VALUES) {
            size_t some = count - first < BUFFER_VALUES ? count - first : BUFFER_VALUES;
            if (qm_weights_floats(entry, first, some, buffer) != QM_OK)
                stop(qm_error_text());
        }
    }
}

static void hash(const struct qm_weights *weights, void *buffer)
{
    qm_weights_hash(weights, NULL, 0, NULL, buffer);
}

static const struct cost none_yet = {1e30, 1e30};

static struct cost best_of(void (*work)(const struct qm_weights *weights, void *buffer),
                           const struct qm_weights *weights, void *buffer, int tries)
{
    struct cost best = none_yet;
    for (int i = 0; i < tries; i++) {
        struct cost begin = now();
        work(weights, buffer);
        keep_best(begin, &best);
    }
    return best;
}

static void print_row(const char *what, double bytes, struct cost cost, struct cost reading)
{
    printf("%-34s %7.3f s %7.2f GB/s %5.0f %%  %7.3f s %5.0f %%  %6.0f MB\n", what, cost.wall_s,
           bytes / cost.wall_s / 1e9, 100 * reading.wall_s / cost.wall_s, cost.processor_s,
           100 * reading.processor_s / cost.processor_s, peak_mb());
}

int main(int argc, char **argv)
{
    struct qm_weights weights;
    struct qm_model *model;
    const struct qm_model_load_params whole = {.multiple = 32, .whole_bytes = UINT64_MAX},
                                      streamed = {.multiple = 32, .whole_bytes = 0};
    char cache[] = "/tmp/qmark-load-XXXXXX";
    struct cost opening = none_yet, checking = none_yet, loading = none_yet, again = none_yet;
    int tries = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 3;
    if (argc < 2 || tries < 1)
        stop("usage: qm_load_rate DIRECTORY [TRIES]");
    struct cost begin = now();
    if (qm_weights_open(argv[1], &weights) != QM_OK)
        stop(qm_error_text());
    keep_best(begin, &opening);
    double bytes = (double)weights.bytes;
    void *buffer = malloc(BUFFER_VALUES * sizeof(float));
    if (!buffer)
        stop("no memory");
    memset(buffer, 1, BUFFER_VALUES * sizeof(float));
    read_files(&weights, buffer); // into the page cache
    struct cost reading = best_of(read_files, &weights, buffer, tries);
    printf("%s: %zu tensors, %.3f GB, %zu files\n", argv[1], weights.count, bytes / 1e9, weights.shard_count);
    printf("%-34s %9s %12s %7s  %9s %7s  %9s\n", "", "time", "rate", "of read", "processor", "of read", "peak");
    print_row("read() from the page cache", bytes, reading, reading);
    printf("%-34s %7.3f s %23s %7.3f s\n", "opened and checked", opening.wall_s, "", opening.processor_s);
    print_row("as floats through one buffer", bytes, best_of(convert, &weights, buffer, tries), reading);
    print_row("SHA-256", bytes, best_of(hash, &weights, buffer, tries), reading);
    if (qm_weights_check(&weights) != QM_OK)
        stop(qm_error_text());
    qm_weights_close(&weights);
    free(buffer);
    for (int i = 0; i < tries; i++) { // the larger memory last, for peaks
        begin = now();
        if (qm_model_load_with(argv[1], &streamed, &model) != QM_OK)
            stop(qm_error_text());
        keep_best(begin, &checking);
        qm_model_destroy(&model);
    }
    print_row("as a large model, and SHA-256", bytes, checking, reading);
    const struct qm_model_load_params known = {.multiple = 32, .whole_bytes = 0, .cache_directory = mkdtemp(cache)};
    for (int i = 0; i <= tries; i++) { // the first one notes the hash
        begin = now();
        if (qm_model_load_with(argv[1], &known, &model) != QM_OK)
            stop(qm_error_text());
        if (i > 0)
            keep_best(begin, &again);
        qm_model_destroy(&model);
    }
    print_row("as a large model, loaded before", bytes, again, reading);
    for (int i = 0; i < tries; i++) {
        begin = now();
        if (qm_model_load_with(argv[1], &whole, &model) != QM_OK)
            stop(qm_error_text());
        keep_best(begin, &loading);
        qm_model_destroy(&model);
    }
    print_row("all floats in memory, and SHA-256", bytes, loading, reading);
    return 0;
}
