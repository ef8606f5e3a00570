// Prints how fast the fp32 reference of a model of real size is computed, beside what OpenBLAS alone does at the same shapes.
//
//   qm_reference_rate DIRECTORY [WINDOWS [TOKENS [TRIES]]]     8 windows of 512 tokens, 2 tries, unless told otherwise
//
// Weights come from the mapped files, as they would for a model larger than the memory. The second half of each window is
// scored, of the first window everything is kept, and the rows are written as a run writes them. The rate is that of all
// products, attention's included, over the whole time: embedding, conversion of weights, norms, softmax, the choice of the
// likeliest tokens and files are in it. Beside it: sgemm on matrices in memory, each weight's shape as often as the pass has
// it, the best of the tries. QM_BLAS=none measures the own loops, beside themselves. Peaks of the memory are the process's so
// far, and the model's size is that of its files.
#include "bench/reference_host.h"
#include "model/host_pass.h"
#include "model/padding.h"
#include "sys/file.h"
#include "test/remove_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static void stop(const char *text)
{
    fprintf(stderr, "qm_reference_rate: %s\n", text);
    exit(2);
}

static void check(enum qm_status status)
{
    if (status != QM_OK)
        stop(qm_error_text());
}

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double peak_mb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024 / 1e6;
}

static void *room(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);
    if (!memory)
        stop("no memory");
    return memory;
}

// Windows of tokens drawn by a rule, the second half of each scored.
static void make_set(struct qm_evaluation *out, uint32_t windows, uint32_t tokens, uint32_t vocabulary)
{
    *out = (struct qm_evaluation){.name = "measurement"};
    out->set.windows = windows;
    out->set.window_tokens = tokens;
    memset(out->sha256, '0', QM_HASH_TEXT_BYTES - 1);
    out->tokens = room((size_t)windows * (tokens + 1), sizeof(*out->tokens));
    out->scored = room((size_t)windows * tokens, sizeof(*out->scored));
    for (uint32_t w = 0; w < windows; ++w) {
        uint32_t *window = out->tokens + (size_t)w * (tokens + 1);
        for (uint32_t p = 0; p <= tokens; ++p)
            window[p] = (w * 7919 + p * p * 31 + p * 17) % vocabulary;
        for (uint32_t p = tokens / 2; p < tokens; ++p)
            out->scored[out->scored_count++] = (struct qm_scored_token){w, p, window[p + 1], w};
    }
}

// Seconds of a product of that shape.
static double time_product(const struct qm_blas *blas, size_t m, size_t n, size_t k, int tries)
{
    float *a = room(m * k, sizeof(*a)), *b = room(n * k, sizeof(*b)), *c = room(m * n, sizeof(*c));
    double best = 1e300;
    for (size_t i = 0; i < m * k; ++i)
        a[i] = (float)(i % 1013) * 0x1p-10f - 0.5f;
    for (size_t i = 0; i < n * k; ++i)
        b[i] = (float)(i % 1009) * 0x1p-10f - 0.5f;
    const struct qm_host_product product = {
        .m = m, .n = n, .k = k, .a = a, .a_stride = k, .b = b, .b_stride = k, .c = c, .c_stride = n};
    for (int try = 0; try < tries; ++try) {
        double began = now_s();
        qm_host_multiply(blas, &product);
        double took = now_s() - began;
        best = took < best ? took : best;
    }
    free(a);
    free(b);
    free(c);
    return best;
}

// Of one layer's products and one block of the head, weighed as often as they are; operations a second.
static double product_rate(const struct qm_host_weights *weights, const struct qm_blas *blas, size_t tokens,
                           size_t scored, int tries)
{
    static const enum qm_role roles[] = {QM_ROLE_Q,    QM_ROLE_K,  QM_ROLE_V,    QM_ROLE_O,
                                         QM_ROLE_GATE, QM_ROLE_UP, QM_ROLE_DOWN, QM_ROLE_HEAD};
    double operations = 0, seconds = 0;
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); ++i) {
        bool is_head = roles[i] == QM_ROLE_HEAD;
        uint32_t rows, columns, most = qm_host_weights_rows_max(weights, roles[i]);
        qm_host_weights_shape(weights, roles[i], &rows, &columns);
        size_t m = is_head ? scored : tokens;
        double times = (is_head ? 1 : weights->config.layers) * ((double)rows / most);
        seconds += times * time_product(blas, m, most, columns, tries);
        operations += times * 2.0 * (double)m * most * columns;
    }
    return operations / seconds;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        stop("usage: qm_reference_rate DIRECTORY [WINDOWS [TOKENS [TRIES]]]");
    uint32_t windows = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 8;
    uint32_t tokens = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 512;
    int tries = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 2;
    if (windows < 1 || windows > 4096 || tokens < 16 || tokens > 65536 || tries < 1)
        stop("a number that cannot be");
    char path[QM_PATH_BYTES], cache[] = "/tmp/qmark-rate-XXXXXX";
    void *text = NULL;
    size_t bytes = 0;
    struct qm_model model = {0};
    struct qm_weights files;
    struct qm_host_weights weights;
    struct qm_evaluation set;
    check(qm_path_join(path, argv[1], "config.json"));
    check(qm_file_read(path, (size_t)1 << 20, &text, &bytes));
    check(qm_model_config_parse(text, bytes, path, &model.config));
    qm_model_config_pad(&model.config, 32);
    check(qm_model_config_check(&model.config, path));
    check(qm_weights_open(argv[1], &files));
    snprintf(model.sha256, sizeof(model.sha256), "measurement");
    make_set(&set, windows, tokens, model.config.vocabulary);
    check(qm_host_weights_open(&model.config, NULL, &files, &weights));
    struct qm_reference_host_options options = qm_reference_host_options(model.config.vocabulary, set.scored_count);
    options.files = &files;
    const double operations = qm_host_pass_operations(&weights, windows, tokens, set.scored_count + tokens),
                 begun_mb = peak_mb();
    double best = 1e300;
    uint32_t fit = (uint32_t)(options.activation_bytes / (qm_host_pass_token_bytes(&weights) * tokens));
    printf("model: %.3f thousand million weights, files of %.0f MB; %u windows of %u tokens, %zu positions kept\n",
           (double)qm_model_config_own_weights(&model.config) * 1e-9, (double)files.bytes * 1e-6, windows, tokens,
           set.scored_count + tokens);
    printf("products by %s; %u windows at a time\n", qm_host_multiply_name(options.blas),
           fit < windows ? fit : windows);
    for (int try = 0; try < tries; ++try) {
        struct qm_reference_rows *rows = NULL;
        memcpy(cache + strlen(cache) - 6, "XXXXXX", 6);
        if (!mkdtemp(cache))
            stop("cannot make a directory in /tmp");
        double began = now_s();
        check(qm_reference_host_rows(&(struct qm_reference_params){.model = &model, .cache_directory = cache}, &set, 1,
                                     &options, &rows));
        double took = now_s() - began;
        best = took < best ? took : best;
        double residual = 0, kept = 0;
        for (size_t i = 0; i < rows->scored_count; ++i) {
            residual += rows->scored[i].residual / (double)rows->scored_count;
            kept += rows->scored[i].count / (double)rows->scored_count;
        }
        printf("try %d: %.1f s, %.1f GFLOP/s; %.0f tokens kept of a position, %.2g of the probability left out\n",
               try + 1, took, operations / took * 1e-9, kept, residual);
        qm_reference_rows_destroy(&rows);
        remove_tree(cache);
    }
    double peak = peak_mb();
    size_t at_once = (size_t)(fit < 1 ? 1 : fit < windows ? fit : windows) * tokens;
    double alone = product_rate(&weights, options.blas, at_once, at_once < 1024 ? at_once : 1024, tries);
    printf("reference       %8.1f GFLOP/s, %.1f s\n", operations / best * 1e-9, best);
    printf("products alone  %8.1f GFLOP/s\n", alone * 1e-9);
    printf("that is         %8.1f %%   (50 %% or more is asked for)\n", 100 * operations / best / alone);
    printf("memory          %8.0f MB at its peak, %.0f MB at the begin   (%.0f MB, the files and 1 GB, are allowed)\n",
           peak, begun_mb, (double)files.bytes * 1e-6 + 1000);
    qm_host_weights_close(&weights);
    qm_weights_close(&files);
    free(set.tokens);
    free(set.scored);
    free(text);
    return operations / best < alone / 2 || peak > (double)files.bytes * 1e-6 + 1000;
}
