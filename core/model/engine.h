// The transformer as a program of kernel calls, on one device.
//
// An *engine* holds what all schemes share on a device: compiled kernels and scratch memory. A *network* is one artifact
// uploaded for one KV format, with its cache. A *pass* is a recorded program over it: `batch` sequences, `tokens` new
// tokens each (prefill: the prompt; decode: 1). A pass ends with log-softmax of the next token, argmax and a checksum of
// its logits, and moves the step parameters on, so that it can be repeated without the host.
//
// The same code drives every backend, the oracle included: what is timed is what is scored and what is verified.
#ifndef QM_MODEL_ENGINE_H
#define QM_MODEL_ENGINE_H

#include "backends/backend.h"
#include "quant/artifact.h"
#include "quant/calibrate.h"

struct qm_engine;
struct qm_network;
struct qm_pass;

struct qm_engine_params {
    struct qm_device *device; // must outlive the engine
    const char *tile;         // see qm_kernel_tile; its kernels must be able to read what follows says
    struct qm_model_config config;
    uint32_t
        widen; // how often the residual stream is repeated, a power of two; 0 counts as 1 (docs/METHOD.md, Widening)
    // Positions that passes will use, at most the model's, which 0 stands for: what caches, token table and rotary table are
    // made for. A result does not depend on it.
    uint32_t context;
    uint32_t rows;      // most rows (batch * tokens) that a pass will have
    uint32_t sequences; // most sequences that are kept in the cache, and in the token table
    uint32_t slots;     // most passes between two readings of checksums
    // Nothing is uploaded, and no more is taken than the heap that the driver names: for asking what fits.
    bool is_trial;
    // Each kernel on its own, as kernels/ has them: to compare with, and for who asks what fusions change. Logits are the same
    // bits.
    bool is_unfused;
};

// The most bytes that a kernel of such an engine reads through one binding, whatever the scheme (params->tile is not
// looked at).
uint64_t qm_engine_largest_read_bytes(const struct qm_engine_params *params);

// Bytes of all that an engine of these parameters allocates (`device` and `tile` are not looked at); UINT64_MAX where they
// cannot be.
uint64_t qm_engine_scratch_bytes(const struct qm_engine_params *params);

QM_MUST_USE enum qm_status qm_engine_create(const struct qm_engine_params *params, struct qm_engine **out);
void qm_engine_destroy(struct qm_engine **engine); // networks and passes first

// The token table that passes read: sequence s, position p at tokens[s * (context + 1) + p], `context` being that of
// qm_engine_config, and the target of position p the token at p + 1. Writes `count` sequences from the first on.
QM_MUST_USE enum qm_status qm_engine_write_tokens(struct qm_engine *engine, const uint32_t *tokens, uint32_t count);
// Writes `count` tokens of one sequence, from a position on: a prompt, or a token that was generated. QM_INVALID outside
// the table.
QM_MUST_USE enum qm_status qm_engine_write_sequence(struct qm_engine *engine, uint32_t sequence, uint32_t position,
                                                    const uint32_t *tokens, uint32_t count);
// Writes `count` tokens from that place of the table on, across sequences: one copy in place of many. QM_INVALID likewise.
QM_MUST_USE enum qm_status qm_engine_write_span(struct qm_engine *engine, uint32_t sequence, uint32_t position,
                                                const uint32_t *tokens, size_t count);

// Uploads an artifact, repacked as panel16-k, and makes the cache of `kv` for params.sequences sequences. QM_OUT_OF_MEMORY
// before anything is allocated where it is more than is left (model/room.h).
QM_MUST_USE enum qm_status qm_network_create(struct qm_engine *engine, const struct qm_artifact *artifact,
                                             const struct qm_scheme *scheme, struct qm_network **out);
void qm_network_destroy(struct qm_network **network);

struct qm_network_memory {
    uint64_t weight_bytes; // as allocated on the device
    uint64_t cache_bytes;  // likewise
    // What a cache that is never moved back needs of that: of the float16 tokens the first and the last ones (and those
    // of a block that is not complete) only. Here all tokens of a context are kept in float16 besides their codes as soon
    // as the last ones stay exact, for a pass may begin at any position.
    uint64_t kept_cache_bytes;
    uint64_t repack_ns; // host time that bringing codes and scales into the layout took
};
void qm_network_memory(const struct qm_network *network, struct qm_network_memory *out);

struct qm_pass_params {
    uint32_t batch;  // sequences side by side
    uint32_t tokens; // new tokens of each
    // What a repetition moves on: decode moves the position by 1, prefill the sequence by `batch`.
    uint32_t position_increment, sequence_increment;
};
QM_MUST_USE enum qm_status qm_pass_create(struct qm_network *network, const struct qm_pass_params *params,
                                          struct qm_pass **out);
void qm_pass_destroy(struct qm_pass **pass);

uint32_t qm_pass_dispatches(const struct qm_pass *pass);
// The model as it is on the device: the configuration widened, with the engine's own context.
const struct qm_model_config *qm_engine_config(const struct qm_engine *engine);

// Multiply-adds of the products and of attention at the given position, twice counted, as the field counts operations.
double qm_pass_operations(const struct qm_pass *pass, uint32_t position);

// Where a run begins: position of the first new token, first sequence. Slots count from 0.
struct qm_pass_start {
    uint32_t position, sequence;
};
// Runs the pass `repeats` times (at most params.slots); see backend.h for policy and timing.
QM_MUST_USE enum qm_status qm_pass_run(struct qm_pass *pass, const struct qm_pass_start *start, uint32_t repeats,
                                       const struct qm_run_policy *policy, struct qm_timing *timing);

// The same with a start for each of the pass's sequences, `batch` of them: what a server has in one pass, long answers
// beside such as have just begun. Positions are any; cache sequences (which are the token table's too) must differ. The
// rows of a sequence do not depend on where the others stand, to the bit; starts that lie side by side are qm_pass_run's.
// The increments move all sequences. QM_INVALID, before anything runs, where one leaves the context or the sequences, or
// two have the same; QM_UNSUPPORTED for more than QM_PASS_SEQUENCES_MAX sequences.
QM_MUST_USE enum qm_status qm_pass_run_each(struct qm_pass *pass, const struct qm_pass_start *starts, uint32_t repeats,
                                            const struct qm_run_policy *policy, struct qm_timing *timing);

// A policy under which no submission takes longer than `limit_ns`, found by running the pass from `start`.
QM_MUST_USE enum qm_status qm_pass_fit_policy(struct qm_pass *pass, const struct qm_pass_start *start,
                                              uint64_t limit_ns, uint32_t most_dispatches, struct qm_run_policy *out);

// What the latest repetition left: logits [batch * tokens][vocabulary], log-probabilities of the next tokens and
// argmaxes [batch * tokens] (either may be NULL).
QM_MUST_USE enum qm_status qm_pass_read_logits(struct qm_pass *pass, float *logits);
// The logits of `count` rows from row `first` on; QM_INVALID where the pass has none.
QM_MUST_USE enum qm_status qm_pass_read_rows(struct qm_pass *pass, uint32_t first, uint32_t count, float *logits);
QM_MUST_USE enum qm_status qm_pass_read_outputs(struct qm_pass *pass, float *log_probabilities, uint32_t *argmaxes);
// One checksum per repetition of the latest run: the rows' checksums folded by qm_checksum_fold.
QM_MUST_USE enum qm_status qm_pass_read_checksums(struct qm_pass *pass, uint32_t repeats, uint64_t *checksums);

// The host's side of the same: checksum of a row of logits as kernels/checksum.h has it, and the fold over rows, begun
// with 0.
uint32_t qm_checksum_row(const float *logits, uint32_t vocabulary);
uint64_t qm_checksum_fold(uint64_t fold, uint32_t row_checksum);

// Copies what the cache holds of `count` sequences, from the first of `from` on to those of `to` on, to the bit: in place of
// running the same tokens again. Through the host. QM_INVALID where they overlap or leave the cache.
QM_MUST_USE enum qm_status qm_network_copy_sequences(struct qm_network *network, uint32_t from, uint32_t to,
                                                     uint32_t count);

// Calibration: runs the pass once from `start`, stopping at the input of each linear weight, and at the keys and values that
// go into each cache, to show them to `calibration`.
QM_MUST_USE enum qm_status qm_pass_observe(struct qm_pass *pass, const struct qm_pass_start *start,
                                           struct qm_calibration *calibration);

// The variants that a network's passes use, for the self-check and the disclosure: names without tile, such as
// "matmul-w8-a8". Ends with NULL; static storage of the network.
const char *const *qm_network_variants(const struct qm_network *network);

// Compiles what decode steps of such a network need, from the outline of its artifact, so that it is done while the artifact is
// read: nothing else may use the device meanwhile. What cannot be had is left to who needs it.
void qm_engine_compile_ahead(struct qm_engine *engine, const struct qm_artifact *outline,
                             const struct qm_scheme *scheme);

// Of the kernels of such a network before there is a device, from an artifact or its outline; of a scheme whose activations
// are float. `bodies` is over their names and texts, as a result's kernel_hash; `tiles` over all that any device is
// given of them (qm_kernel_hash, in every tile).
QM_MUST_USE enum qm_status qm_network_kernel_hashes(const struct qm_artifact *outline, const struct qm_scheme *scheme,
                                                    char bodies[QM_HASH_TEXT_BYTES], char tiles[QM_HASH_TEXT_BYTES]);

#endif
