// Answers lines of stdin, one of stdout each: `sgemm M N K SECONDS` or `s8gemm M N K SECONDS` gets
//
//   ok MEDIAN_NS BEST_NS RUNS WORST_ERROR_OF_BOUND        or        failed REASON
//
// One run warms up (a library may compile then), then runs until SECONDS have passed, five at least. 64 outputs are
// computed again in double; floats may be off by (k + 8) 2^-24 of the sum of magnitudes, integers not at all. `name`
// gets the library's name.
#include "peer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RUNS_MAX = 10000
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

// xorshift64*: Marsaglia 2003, Vigna 2016.
static uint64_t random_word(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

static void *operand(size_t count, bool is_int8, uint64_t seed)
{
    void *values = aligned_alloc(64, (count * (is_int8 ? 1 : 4) + 63) / 64 * 64);
    for (size_t i = 0; values && i < count; ++i) {
        uint64_t word = random_word(&seed);
        if (is_int8)
            ((int8_t *)values)[i] = (int8_t)((int)(word >> 40) % 255 - 127);
        else
            ((float *)values)[i] = (float)((double)(word >> 40) / 8388608.0 - 1.0);
    }
    return values;
}

// The worst of 64 outputs: its error as a part of what is allowed.
static double check(const struct peer_product *p)
{
    uint64_t state = 0x9e3779b97f4a7c15ull;
    double worst = 0;
    for (int i = 0; i < 64; ++i) {
        size_t row = random_word(&state) % p->m, column = random_word(&state) % p->n;
        double sum = 0, magnitude = 0, got;
        for (size_t k = 0; k < p->k; ++k) {
            double product =
                p->is_int8
                    ? (double)((const int8_t *)p->a)[row * p->k + k] * (double)((const int8_t *)p->b)[column * p->k + k]
                    : (double)((const float *)p->a)[row * p->k + k] * (double)((const float *)p->b)[column * p->k + k];
            sum += product;
            magnitude += fabs(product);
        }
        size_t at = row * p->n + column;
        got = p->is_int8 ? (double)((const int32_t *)p->c)[at] : (double)((const float *)p->c)[at];
        double error = fabs(got - sum);
        double bound = p->is_int8 ? 0.5 : ldexp((double)(p->k + 8), -24) * magnitude;
        double part = isfinite(error) ? error / bound : INFINITY;
        worst = part > worst ? part : worst;
    }
    return worst;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void answer(struct peer_product *p, double seconds)
{
    static double times[RUNS_MAX];
    char reason[200] = "";
    size_t count = 0;
    double total = 0;
    bool is_prepared = peer_prepare(p, reason);
    bool is_right = is_prepared && peer_run() && peer_fetch();
    double worst = is_right ? check(p) : INFINITY;
    while (is_right && worst <= 1 && count < RUNS_MAX && (count < 5 || total < seconds * 1e9)) {
        double begin = now_ns();
        is_right = peer_run();
        times[count] = now_ns() - begin;
        total += times[count++];
    }
    peer_release();
    if (!is_prepared) {
        printf("failed %s\n", reason);
    } else if (!is_right) {
        printf("failed the library answered with an error\n");
    } else if (!(worst <= 1)) {
        printf("failed wrong: an output is off by %g of what is allowed\n", worst);
    } else {
        qsort(times, count, sizeof(times[0]), by_value);
        printf("ok %.0f %.0f %zu %.3g\n", (times[(count - 1) / 2] + times[count / 2]) / 2, times[0], count, worst);
    }
}

int main(void)
{
    char line[200], word[16], reason[200] = "";
    bool is_open = peer_open(reason);
    while (fgets(line, sizeof(line), stdin)) {
        struct peer_product p = {0};
        double seconds = 0;
        if (strcmp(line, "name\n") == 0) {
            printf("%s\n", is_open ? peer_name() : reason);
        } else if (sscanf(line, "%15s %zu %zu %zu %lf", word, &p.m, &p.n, &p.k, &seconds) != 5 || p.m < 1 || p.n < 1 ||
                   p.k < 1 || p.m > 65536 || p.n > 65536 || p.k > 65536) {
            printf("failed no request: sgemm M N K SECONDS, each at most 65536\n");
        } else if (!is_open) {
            printf("failed %s\n", reason);
        } else {
            p.is_int8 = strcmp(word, "s8gemm") == 0;
            void *a = operand(p.m * p.k, p.is_int8, 1), *b = operand(p.n * p.k, p.is_int8, 2);
            p.c = aligned_alloc(64, (p.m * p.n * 4 + 63) / 64 * 64);
            p.a = a;
            p.b = b;
            if (a && b && p.c)
                answer(&p, seconds);
            else
                printf("failed no memory for the operands\n");
            free(a);
            free(b);
            free(p.c);
        }
        fflush(stdout);
    }
    return 0;
}
