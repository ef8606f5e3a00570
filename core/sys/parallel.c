#include "sys/parallel.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    MAX_THREADS = 64
};
static unsigned chosen_threads;

void qm_parallel_set_threads(unsigned threads)
{
    chosen_threads = threads;
}

// QM_THREADS, where it is a number of 1 or more; else the number of cores.
static size_t default_threads(void)
{
    const char *wanted = getenv("QM_THREADS");
    char *end = NULL;
    long threads = wanted ? strtol(wanted, &end, 10) : 0;
    if (threads < 1 || *end != '\0')
        threads = sysconf(_SC_NPROCESSORS_ONLN);
    return threads > 0 ? (size_t)threads : 1;
}

unsigned qm_parallel_threads(void)
{
    size_t threads = chosen_threads ? chosen_threads : default_threads();
    return threads > MAX_THREADS ? MAX_THREADS : (unsigned)threads;
}

struct range {
    void (*work)(void *context, size_t begin, size_t end);
    void *context;
    size_t begin, end;
};

static void *run_range(void *argument)
{
    struct range *range = argument;
    range->work(range->context, range->begin, range->end);
    return NULL;
}

void qm_parallel_for(size_t count, void (*work)(void *context, size_t begin, size_t end), void *context)
{
    size_t threads = qm_parallel_threads();
    threads = threads > count ? count : threads;
    if (threads <= 1) {
        if (count > 0)
            work(context, 0, count);
        return;
    }
    struct range ranges[MAX_THREADS];
    pthread_t handles[MAX_THREADS];
    bool started[MAX_THREADS] = {false};
    for (size_t i = 0; i < threads; ++i) {
        ranges[i] = (struct range){work, context, count * i / threads, count * (i + 1) / threads};
        if (i > 0)
            started[i] = pthread_create(&handles[i], NULL, run_range, &ranges[i]) == 0;
    }
    for (size_t i = 0; i < threads; ++i) {
        if (!started[i])
            run_range(&ranges[i]);
    }
    for (size_t i = 0; i < threads; ++i) {
        if (started[i])
            pthread_join(handles[i], NULL);
    }
}
