// tasks.h: the built-in tasks, whose answers are exact, and the windows of tokens that are made of them.
//
// A *window* is a fixed number of positions (at most QM_WINDOW_LENGTH_MAX, the context of the built-in model) packed
// with *examples*. An example starts with the tag token of its task. Training, calibration and evaluation read windows
// from the same generators; a window is named by (split, seed, index, length) and is the same on every machine, because
// only integers are used. A fresh evaluation set is another seed.
//
// Examples, as token text (d digits; n items; `|` marks where the answer begins):
//   add      <add> A + B = | S          A and B: d digits, most significant first, zeros in front allowed;
//                                       S: d + 1 digits, LEAST significant first, so that carries run with the text
//   sort     <sort> n.. = | n..         n distinct numbers n00..n63, then the same in rising order
//   copy     <copy> x.. = | x..         n words of n00..n63 and v00..v63, repeats allowed, then the same again
//   recall   <recall> k v k v .. ? k | v k | v ..   n pairs (distinct keys n00..n63, values v00..v63), then every key
//                                       once in another order, each followed by its value (only values are scored)
//   fact     <fact> a b = | f f         one of QM_FACT_COUNT fixed facts, which can only be known by heart
//   source   <source> m m | m m ..      a Markov chain of order 2 over m00..m31, whose entropy is known exactly
// What is left at the end of a window is filled with a source example or, below 11 tokens, with unscored <pad>.
//
// Splits: an example belongs to one split only, by a hash of what it asks (hash mod 16: 0 is evaluation, 1 is
// calibration, the rest is training). The hash does not see what would not change the question: the order of the two
// summands, the order in which numbers to sort are given, the order of queries. For the source it takes the first 8
// symbols. Facts are the exception: all of them are in every split, since a fact that was never seen cannot be known.
#ifndef QM_MODEL_TASKS_H
#define QM_MODEL_TASKS_H

#include <stdint.h>

enum {
    QM_VOCABULARY_SIZE = 512,
    QM_WINDOW_LENGTH_MAX = 512,
    QM_WINDOW_LENGTH_MIN = 16,
    QM_WINDOW_EXAMPLES_MAX = 88, // the shortest example has 6 tokens
    QM_FACT_COUNT = 3584,
};

// Seeds of the sets that are used unless another is asked for.
#define QM_SEED_TRAIN UINT64_C(0x716D61726B0001)
#define QM_SEED_CALIBRATION UINT64_C(0x716D61726B0002)
#define QM_SEED_EVALUATION UINT64_C(0x716D61726B0003)

enum qm_split {
    QM_SPLIT_TRAIN,
    QM_SPLIT_CALIBRATION,
    QM_SPLIT_EVALUATION
};

enum qm_task {
    QM_TASK_ADD,
    QM_TASK_SORT,
    QM_TASK_COPY,
    QM_TASK_RECALL,
    QM_TASK_FACT,
    QM_TASK_SOURCE,
    QM_TASK_COUNT
};

// Token ids. Ids that are not named here are unused.
enum {
    QM_TOKEN_UNKNOWN = 0,
    QM_TOKEN_PAD = 1,
    QM_TOKEN_TAG = 2, // + enum qm_task
    QM_TOKEN_PLUS = 8,
    QM_TOKEN_EQUALS = 9,
    QM_TOKEN_QUERY = 10,
    QM_TOKEN_DIGIT = 16,         // + 0..9
    QM_TOKEN_NUMBER = 32,        // + 0..63: n00..n63
    QM_TOKEN_VALUE = 96,         // + 0..63: v00..v63
    QM_TOKEN_SUBJECT_A = 160,    // + 0..63: a00..a63
    QM_TOKEN_SUBJECT_B = 224,    // + 0..63: b00..b63
    QM_TOKEN_FACT_ANSWER = 288,  // + 0..63: f00..f63
    QM_TOKEN_SOURCE_SYMBOL = 352 // + 0..31: m00..m31
};

// One example of a window. Its tokens are tokens[start .. start + length). Its answer is read from the logits at
// positions first .. first + count - 1 of which scored[] is 1: position p predicts tokens[p + 1]. In all tasks but
// recall every position of the range is scored. An example is an exact match when the argmax is right at every scored
// position of the range, each predicted from the true tokens before it (teacher forcing).
struct qm_example {
    enum qm_task task;
    uint8_t difficulty;
    uint16_t start, length;
    uint16_t first, count;
};

// A window of `length` positions. Position p has input tokens[p] and target tokens[p + 1]; scored[p] is 1 where the
// target is an answer token or a source symbol that the chain drew, else 0. About half of all positions are scored.
// The structure owns everything in it and holds no pointers.
struct qm_window {
    uint32_t length;
    uint32_t example_count;
    uint16_t tokens[QM_WINDOW_LENGTH_MAX + 1];
    uint8_t scored[QM_WINDOW_LENGTH_MAX];
    struct qm_example examples[QM_WINDOW_EXAMPLES_MAX];
};

// Writes window `index` of the set (split, seed) into *out. `length` is clamped to QM_WINDOW_LENGTH_MIN ..
// QM_WINDOW_LENGTH_MAX. Windows of different lengths with one index are different windows.
void qm_window_generate(enum qm_split split, uint64_t seed, uint64_t index, uint32_t length, struct qm_window *out);

// Writes the text of a window's examples, tokens joined by single spaces, into buffer (NUL-terminated, cut at size).
// Returns the number of bytes that the whole text needs, NUL not counted.
uint32_t qm_window_text(const struct qm_window *window, char *buffer, uint32_t size);

// The default seed of a split: QM_SEED_*.
uint64_t qm_split_seed(enum qm_split split);

// The split that an example belongs to, found from its tokens, or -1 where the example may be in any split (facts) or
// the tokens are not an example. tokens[0] is the tag; `length` counts the tag.
int qm_example_split(const uint16_t *tokens, uint32_t length);

// Names, all static. `difficulty` runs from 0 to qm_task_difficulty_count(task) - 1, easiest first; a number out of
// range gives "?". Difficulty names are short and unique within a task: "4 digits", "16 pairs", "rare".
const char *qm_task_name(enum qm_task task);
uint32_t qm_task_difficulty_count(enum qm_task task);
const char *qm_task_difficulty_name(enum qm_task task, uint32_t difficulty);

// The number that a difficulty stands for: digits of a summand, items to sort or copy, pairs to recall, facts in the
// tier, order of the source. 0 where there is no such difficulty.
uint32_t qm_task_difficulty_size(enum qm_task task, uint32_t difficulty);

// The text form of a token: no spaces, unique, at most 12 bytes, the same as in the model's tokenizer.json. Static;
// ids that no task uses are "<unused_N>", ids of QM_VOCABULARY_SIZE and above are "<unk>".
const char *qm_token_text(uint32_t id);

// Fact number `index` (below QM_FACT_COUNT): two subject tokens and two answer tokens. No two facts share a subject.
// Facts [0, 512) are common, [512, 1536) uncommon, [1536, 3584) rare: in training the tiers are drawn 20 : 11 : 1, so that
// one common fact is met 80 times as often as one rare fact; in the other splits 10 : 11 : 11.
void qm_fact_get(uint32_t index, uint16_t subject[2], uint16_t answer[2]);

// The number of times in 64 that the source draws `symbol` (0..31) after the symbols `before` and `last`, in this order.
uint32_t qm_source_weight(uint32_t before, uint32_t last, uint32_t symbol);

// Entropy of the source in nats per symbol, given the two symbols before it: the lowest loss that any model can reach
// on its scored positions in the mean. The weights are the same eight numbers in every state, so it is exact.
double qm_source_entropy_nats(void);

#endif
