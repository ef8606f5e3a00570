// What the writer and the reader of samples files must agree on.
#ifndef QM_BENCH_SAMPLES_TENSORS_H
#define QM_BENCH_SAMPLES_TENSORS_H

#define QM_SAMPLES_VERSION "2" // metadata `qmark_samples`; 1 lacked kernels, checks and cells

// What a tensor SCHEME.widening.about holds.
enum {
    QM_SAMPLES_WIDENING_ROWS,
    QM_SAMPLES_WIDENING_COLUMNS,
    QM_SAMPLES_WIDENING_PRODUCTS,
    QM_SAMPLES_WIDENING_IS_DEVICE_TIME,
    QM_SAMPLES_WIDENING_BEFORE, // scored tokens before timing
    QM_SAMPLES_WIDENING_WORDS
};

// A deployment's: SCHEME.deployment.times.f64 has the start, the first token and the end of each request, in nanoseconds from the
// start of its round, round after round; .tokens the fold of all ids that were given, the low word first.
enum {
    QM_SAMPLES_TIMES_OF_REQUEST = 3,
    QM_SAMPLES_FOLD_WORDS = 2
};

enum {
    QM_SAMPLES_PAIRS_MAX = 10000,    // of times on tiled and on random codes
    QM_SAMPLES_BLOCKS_MAX = 10000000 // of a point, or of a sustained run
};

#endif
