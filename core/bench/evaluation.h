// A set of windows as a run uses it: tokens, which positions are scored, which example each belongs to, and which cell
// (task, difficulty) it counts in; its hash is what a result discloses. Of the built-in tasks here, of a user's files in
// evaluation_user.h.
#ifndef QM_BENCH_EVALUATION_H
#define QM_BENCH_EVALUATION_H

#include "base/hash.h"
#include "base/status.h"
#include "bench/profile.h"
#include "model/tasks.h"
#include "score/details.h"
#include "score/summary.h"

enum {
    QM_EVALUATION_NAME_BYTES = 64
};

// A scored position.
struct qm_scored_token {
    uint32_t window, position;
    uint32_t target;   // token that follows
    uint32_t sequence; // index of the example over the whole set
};

struct qm_cell {
    enum qm_task task;
    uint32_t difficulty;
    bool is_graded; // counts in exact match: fp32 is neither lost nor perfect there; see the model's grading.json
};

struct qm_evaluation {
    struct qm_profile_set set;
    char name[QM_EVALUATION_NAME_BYTES]; // "built-in evaluation, seed 123", "built-in evaluation, 4 seeds from 123"
    char sha256[QM_HASH_TEXT_BYTES];     // over windows, their tokens and masks, as little-endian 32-bit words
    uint32_t *tokens;                    // [set.windows][set.window_tokens + 1]: position p predicts the token at p + 1
    uint32_t *lengths;                   // [set.windows]: how many tokens of a row are its own; NULL of built-in sets
    struct qm_window *windows;           // set.windows of them, of the built-in tasks; NULL of a user's set
    struct qm_scored_token *scored;      // in the order of windows and positions
    size_t scored_count;
    uint32_t sequence_count; // examples; of a user's text, windows
    uint32_t *cell;          // [sequence_count]: index into cells
    uint32_t *graded_cell;   // the same, QM_CELL_NONE where the cell is not graded
    uint8_t *is_answer;      // [sequence_count]: 1 where the text is exact, 0 where it was drawn by chance
    uint32_t *set_of;        // [sequence_count]: which of set.sets
    struct qm_cell *cells;
    uint32_t cell_count;
};

enum {
    QM_SOURCE_SYMBOLS = 32
};

// What a scored token was drawn from.
struct qm_evaluation_source {
    uint32_t tokens[QM_SOURCE_SYMBOLS];
    double probabilities[QM_SOURCE_SYMBOLS];
    struct qm_token_source source; // points into the above
};

// Generates the windows of `split`. `model_directory` holds grading.json; without that file nothing is graded.
// QM_INVALID if fewer tokens are scored than the set demands.
QM_MUST_USE enum qm_status qm_evaluation_create(enum qm_split split, const struct qm_profile_set *set,
                                                const char *model_directory, struct qm_evaluation **out);
// How many windows each of the sets has: window w is window w % this of the set with the seed set->seed + w / this.
uint32_t qm_evaluation_windows_of_set(const struct qm_profile_set *set);
// The set.window_tokens + 1 tokens of a window.
const uint32_t *qm_evaluation_tokens(const struct qm_evaluation *evaluation, uint32_t window);
// Memory for set.windows windows and `sequence_count` sequences, all zero. Whoever makes sets fills it.
QM_MUST_USE enum qm_status qm_evaluation_allocate(struct qm_evaluation *evaluation, uint32_t sequence_count);
// `sha256` from tokens and scored positions, which stand in the order of windows and positions.
void qm_evaluation_hash(struct qm_evaluation *evaluation);

// False where the token was not drawn by chance; *out is then untouched.
bool qm_evaluation_source(const struct qm_evaluation *evaluation, const struct qm_scored_token *token,
                          struct qm_evaluation_source *out);
// How many examples of `evaluation` stand in `other` with the same tokens; both are of the built-in tasks. Facts are not
// counted: all are in every split.
QM_MUST_USE enum qm_status qm_evaluation_overlap(const struct qm_evaluation *evaluation,
                                                 const struct qm_evaluation *other, uint32_t *count);
// Parts of the above, for sets that come from a samples file: the name, one token's part of the hash, and the list of all
// cells, none of them graded; none at all for a user's set.
void qm_evaluation_set_name(enum qm_split split, const struct qm_profile_set *set, char name[QM_EVALUATION_NAME_BYTES]);
void qm_evaluation_hash_token(struct qm_hash *hash, uint32_t token, bool is_scored);
QM_MUST_USE enum qm_status qm_evaluation_create_cells(struct qm_evaluation *evaluation);
void qm_evaluation_destroy(struct qm_evaluation **evaluation);

#endif
