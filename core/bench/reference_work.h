// Rows of the fp32 reference as files of the cache, whoever computes the logits: the host's pass (reference_host.c) or a device
// (reference_device.c). Windows are taken in chunks; what is kept of a chunk goes into parts, files of some size each
// (reference_host.h has their names and form). A part that is there is never computed again, so that a run goes on where
// another has ended.
#ifndef QM_BENCH_REFERENCE_WORK_H
#define QM_BENCH_REFERENCE_WORK_H

#include "bench/reference_file.h"

struct qm_reference_chunk {
    uint32_t index, first_window, windows;
    size_t first_scored, scored; // indices of the evaluation's scored tokens
    uint32_t dense_windows;
    // Of each window that are passed: all where one is dense, else up to the last that is scored, for none behind it is seen. So a
    // user's short example does not cost what the longest does, beside which it lies.
    uint32_t tokens;
};

// Who computes logits; none of them is called before its owner has made the chunk ready.
struct qm_reference_source {
    // Logits [count][vocabulary] of tokens of the chunk by their index, window within it * chunk's tokens + position.
    enum qm_status (*logits)(void *context, const uint32_t *tokens, size_t count, float *logits);
    // Floats that the source lends for logits; NULL: none.
    float *(*room)(void *context, size_t *count);
    // What so many rows of logits cost, in units of qm_reference_work's `total`.
    double (*cost)(void *context, size_t count);
    void *context;
};

struct qm_reference_work {
    const struct qm_reference_params *params;
    const struct qm_reference_host_options *options;
    const struct qm_evaluation *evaluation;
    const struct qm_weights *files; // that are read, and must not change meanwhile; NULL: none
    struct qm_reference_source source;
    // The first chunk has `first_windows` windows, the others `chunk_windows`, or what is left.
    uint32_t vocabulary, dense_windows, first_windows, chunk_windows, chunks;
    char key[QM_HASH_TEXT_BYTES];
    char directory[QM_PATH_BYTES];
    char engine[QM_REFERENCE_ENGINE_BYTES];
    const char *several; // the engine's name where parts are of several; NULL: that cannot be
    double total, done;
};

// What every key holds, but for who computes: model, set, positions, what is kept, chunks and files. `engine` and `version` are
// put in front.
void qm_reference_work_key(struct qm_reference_work *work, const char *engine, int version);
// Makes CACHE/host/KEY.
QM_MUST_USE enum qm_status qm_reference_work_directory(struct qm_reference_work *work);

struct qm_reference_chunk qm_reference_chunk_at(const struct qm_reference_work *work, uint32_t index);
// Whether all of the chunk's parts are there; those that are, go into the rows, which may be done twice.
QM_MUST_USE enum qm_status qm_reference_chunk_load(const struct qm_reference_work *work,
                                                   const struct qm_reference_chunk *chunk,
                                                   struct qm_reference_rows *rows, bool *is_there);
// Makes those that are not there, and loads all. QM_WRONG_RESULT for a logit that is not finite.
QM_MUST_USE enum qm_status qm_reference_chunk_make(struct qm_reference_work *work,
                                                   const struct qm_reference_chunk *chunk,
                                                   struct qm_reference_rows *rows);
// What turned out to be wrong is not to be found again.
void qm_reference_parts_remove(const struct qm_reference_work *work);

// Tells progress: "fp32 reference, windows 1 to 4 of 8, layer 3 of 24".
void qm_reference_work_tell(const struct qm_reference_work *work, const char *unit, uint32_t first, uint32_t end,
                            uint32_t at, uint32_t of);

// The largest difference of a log-probability between two rows of logits, in nats; not a number where one is none.
double qm_reference_difference(const float *a, const float *b, uint32_t vocabulary);

#endif
