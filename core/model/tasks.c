#include "model/tasks.h"

#include <math.h>
#include <string.h>

#include "base/random.h"

enum {
    SPLIT_CLASSES = 16, // classes 0 and 1 of the hash are held out
    SYMBOLS = 64,       // size of each word class of the tasks
    SOURCE_SYMBOLS = 32,
    SOURCE_SUCCESSORS = 8,
    SOURCE_WEIGHT_SUM = 64,
    SOURCE_PREFIX = 8, // symbols that decide the split
    SOURCE_MIN = 10,   // shortest source example, in symbols
    SOURCE_SHORT = 24, // drawn lengths run from SOURCE_SHORT to SOURCE_LONG
    SOURCE_LONG = 64,
    REDRAWS = 8, // tries to find an example that fits in what is left of a window
    SIZE_MAX_ITEMS = 48,
    EXAMPLE_LENGTH_MAX = 98,
};

struct difficulty {
    const char *name;
    uint16_t size;
    uint8_t weight;      // of 32, within the task, in training
    uint8_t held_weight; // of 32, in calibration and evaluation
};

struct task {
    const char *name;
    uint32_t weight; // of 64 examples; chosen so that each task has a fair share of the tokens
    uint32_t difficulty_count;
    struct difficulty difficulties[4];
};

// Rare facts are rare in training only: an evaluation set that held one in 32 of them could not tell how many of them
// are known.
static const struct task TASKS[QM_TASK_COUNT] = {
    [QM_TASK_ADD] = {"add",
                     11,
                     4,
                     {{"2 digits", 2, 4, 8}, {"4 digits", 4, 8, 8}, {"8 digits", 8, 12, 8}, {"12 digits", 12, 8, 8}}},
    [QM_TASK_SORT] = {"sort",
                      10,
                      4,
                      {{"4 items", 4, 4, 8}, {"8 items", 8, 8, 8}, {"16 items", 16, 12, 8}, {"24 items", 24, 8, 8}}},
    [QM_TASK_COPY] = {"copy",
                      2,
                      4,
                      {{"8 words", 8, 8, 8}, {"16 words", 16, 8, 8}, {"32 words", 32, 8, 8}, {"48 words", 48, 8, 8}}},
    [QM_TASK_RECALL] = {"recall",
                        5,
                        4,
                        {{"4 pairs", 4, 12, 8}, {"8 pairs", 8, 8, 8}, {"16 pairs", 16, 8, 8}, {"24 pairs", 24, 4, 8}}},
    [QM_TASK_FACT] = {"fact", 30, 3, {{"common", 512, 20, 10}, {"uncommon", 1024, 11, 11}, {"rare", 2048, 1, 11}}},
    [QM_TASK_SOURCE] = {"source", 6, 1, {{"order 2", 2, 32, 32}}},
};

static const uint8_t SOURCE_WEIGHTS[SOURCE_SUCCESSORS] = {24, 16, 8, 6, 4, 3, 2, 1};

// An example under construction: tokens and, per token, whether it has to be predicted.
struct draft {
    uint32_t length;
    uint16_t tokens[EXAMPLE_LENGTH_MAX];
    uint8_t answer[EXAMPLE_LENGTH_MAX];
};

static void draft_put(struct draft *draft, uint32_t token, uint8_t answer)
{
    draft->tokens[draft->length] = (uint16_t)token;
    draft->answer[draft->length] = answer;
    draft->length++;
}

static uint64_t hash_tokens(uint64_t hash, const uint16_t *tokens, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        hash = qm_random_mix(hash ^ (tokens[i] + UINT64_C(0x9E3779B97F4A7C15)));
    }
    return hash;
}

static void sort_tokens(uint16_t *tokens, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const uint16_t token = tokens[i];
        uint32_t at = i;
        for (; at > 0 && tokens[at - 1] > token; at--) {
            tokens[at] = tokens[at - 1];
        }
        tokens[at] = token;
    }
}

static enum qm_split split_of_hash(uint64_t hash)
{
    const uint64_t class = hash % SPLIT_CLASSES;
    return class == 0 ? QM_SPLIT_EVALUATION : class == 1 ? QM_SPLIT_CALIBRATION : QM_SPLIT_TRAIN;
}

int qm_example_split(const uint16_t *tokens, uint32_t length)
{
    if (length < 2 || tokens[0] < QM_TOKEN_TAG || tokens[0] >= QM_TOKEN_TAG + QM_TASK_COUNT) {
        return -1;
    }
    const uint16_t *body = tokens + 1;
    uint64_t hash = hash_tokens(0, tokens, 1);
    uint32_t size;
    uint16_t items[SIZE_MAX_ITEMS];
    switch ((enum qm_task)(tokens[0] - QM_TOKEN_TAG)) {
    case QM_TASK_ADD:
        size = (length - 4) / 3;
        if (length < 7 || length != 3 * size + 4) {
            return -1;
        }
        // The smaller summand first, so that a + b and b + a are in one split.
        if (memcmp(body, body + size + 1, size * sizeof *body) <= 0) {
            hash = hash_tokens(hash_tokens(hash, body, size), body + size + 1, size);
        } else {
            hash = hash_tokens(hash_tokens(hash, body + size + 1, size), body, size);
        }
        break;
    case QM_TASK_SORT:
        size = (length - 2) / 2;
        if (length != 2 * size + 2 || size > SIZE_MAX_ITEMS) {
            return -1;
        }
        memcpy(items, body, size * sizeof *items);
        sort_tokens(items, size);
        hash = hash_tokens(hash, items, size);
        break;
    case QM_TASK_COPY:
        size = (length - 2) / 2;
        if (length != 2 * size + 2) {
            return -1;
        }
        hash = hash_tokens(hash, body, size);
        break;
    case QM_TASK_RECALL:
        size = (length - 2) / 4;
        if (length != 4 * size + 2) {
            return -1;
        }
        hash = hash_tokens(hash, body, 2 * size);
        break;
    case QM_TASK_SOURCE:
        if (length < 1 + SOURCE_PREFIX) {
            return -1;
        }
        hash = hash_tokens(hash, body, SOURCE_PREFIX);
        break;
    case QM_TASK_FACT:
    case QM_TASK_COUNT:
    default:
        return -1;
    }
    return (int)split_of_hash(hash);
}

void qm_fact_get(uint32_t index, uint16_t subject[2], uint16_t answer[2])
{
    // A one-to-one scramble of 12 bits: every subject pair has at most one fact.
    uint32_t pair = index & 4095U;
    for (int round = 0; round < 3; round++) {
        pair = (pair * 2741U + 1013U) & 4095U;
        pair ^= pair >> 5;
    }
    const uint64_t drawn = qm_random_mix(UINT64_C(0x6661637473) + (uint64_t)index * UINT64_C(0x9E3779B97F4A7C15));
    subject[0] = (uint16_t)(QM_TOKEN_SUBJECT_A + (pair >> 6));
    subject[1] = (uint16_t)(QM_TOKEN_SUBJECT_B + (pair & 63U));
    answer[0] = (uint16_t)(QM_TOKEN_FACT_ANSWER + (drawn >> 58));
    answer[1] = (uint16_t)(QM_TOKEN_FACT_ANSWER + ((drawn >> 52) & 63U));
}

// The eight symbols that can follow a state, in the order of SOURCE_WEIGHTS: the start of a shuffle that depends on
// the state alone.
static void source_successors(uint32_t before, uint32_t last, uint8_t successors[SOURCE_SUCCESSORS])
{
    uint8_t symbols[SOURCE_SYMBOLS];
    for (uint32_t i = 0; i < SOURCE_SYMBOLS; i++) {
        symbols[i] = (uint8_t)i;
    }
    uint64_t hash = qm_random_mix(UINT64_C(0x736F75726365) + before * SOURCE_SYMBOLS + last);
    for (uint32_t i = 0; i < SOURCE_SUCCESSORS; i++) {
        const uint32_t other = i + (uint32_t)((hash & 255U) % (SOURCE_SYMBOLS - i));
        hash >>= 8;
        const uint8_t kept = symbols[i];
        symbols[i] = symbols[other];
        symbols[other] = kept;
        successors[i] = symbols[i];
    }
}

uint32_t qm_source_weight(uint32_t before, uint32_t last, uint32_t symbol)
{
    uint8_t successors[SOURCE_SUCCESSORS];
    source_successors(before, last, successors);
    for (uint32_t i = 0; i < SOURCE_SUCCESSORS; i++) {
        if (successors[i] == symbol) {
            return SOURCE_WEIGHTS[i];
        }
    }
    return 0;
}

double qm_source_entropy_nats(void)
{
    double entropy_nats = 0.0;
    for (uint32_t i = 0; i < SOURCE_SUCCESSORS; i++) {
        const double probability = (double)SOURCE_WEIGHTS[i] / SOURCE_WEIGHT_SUM;
        entropy_nats -= probability * log(probability);
    }
    return entropy_nats;
}

static void draft_add(struct draft *draft, struct qm_random *random, uint32_t digits)
{
    uint32_t a[SIZE_MAX_ITEMS], b[SIZE_MAX_ITEMS]; // least significant first
    for (uint32_t i = 0; i < digits; i++) {
        a[i] = qm_random_below(random, 10);
        b[i] = qm_random_below(random, 10);
    }
    for (uint32_t i = digits; i-- > 0;) {
        draft_put(draft, QM_TOKEN_DIGIT + a[i], 0);
    }
    draft_put(draft, QM_TOKEN_PLUS, 0);
    for (uint32_t i = digits; i-- > 0;) {
        draft_put(draft, QM_TOKEN_DIGIT + b[i], 0);
    }
    draft_put(draft, QM_TOKEN_EQUALS, 0);
    uint32_t carry = 0;
    for (uint32_t i = 0; i < digits; i++) {
        const uint32_t sum = a[i] + b[i] + carry;
        draft_put(draft, QM_TOKEN_DIGIT + sum % 10, 1);
        carry = sum / 10;
    }
    draft_put(draft, QM_TOKEN_DIGIT + carry, 1);
}

// Draws `count` distinct numbers below SYMBOLS: the start of a shuffle.
static void draw_distinct(struct qm_random *random, uint32_t count, uint16_t *out)
{
    uint16_t symbols[SYMBOLS];
    for (uint32_t i = 0; i < SYMBOLS; i++) {
        symbols[i] = (uint16_t)i;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t other = i + qm_random_below(random, SYMBOLS - i);
        out[i] = symbols[other];
        symbols[other] = symbols[i];
    }
}

static void draft_sort(struct draft *draft, struct qm_random *random, uint32_t count)
{
    uint16_t items[SIZE_MAX_ITEMS];
    draw_distinct(random, count, items);
    for (uint32_t i = 0; i < count; i++) {
        draft_put(draft, QM_TOKEN_NUMBER + (uint32_t)items[i], 0);
    }
    draft_put(draft, QM_TOKEN_EQUALS, 0);
    sort_tokens(items, count);
    for (uint32_t i = 0; i < count; i++) {
        draft_put(draft, QM_TOKEN_NUMBER + (uint32_t)items[i], 1);
    }
}

static void draft_copy(struct draft *draft, struct qm_random *random, uint32_t count)
{
    const uint32_t first = draft->length;
    for (uint32_t i = 0; i < count; i++) {
        draft_put(draft, QM_TOKEN_NUMBER + qm_random_below(random, 2 * SYMBOLS), 0);
    }
    draft_put(draft, QM_TOKEN_EQUALS, 0);
    for (uint32_t i = 0; i < count; i++) {
        draft_put(draft, draft->tokens[first + i], 1);
    }
}

static void draft_recall(struct draft *draft, struct qm_random *random, uint32_t count)
{
    uint16_t keys[SIZE_MAX_ITEMS], values[SIZE_MAX_ITEMS], order[SIZE_MAX_ITEMS];
    draw_distinct(random, count, keys);
    for (uint32_t i = 0; i < count; i++) {
        values[i] = (uint16_t)qm_random_below(random, SYMBOLS);
        draft_put(draft, QM_TOKEN_NUMBER + (uint32_t)keys[i], 0);
        draft_put(draft, QM_TOKEN_VALUE + (uint32_t)values[i], 0);
        order[i] = (uint16_t)i;
    }
    draft_put(draft, QM_TOKEN_QUERY, 0);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t other = i + qm_random_below(random, count - i);
        const uint16_t pick = order[other];
        order[other] = order[i];
        draft_put(draft, QM_TOKEN_NUMBER + (uint32_t)keys[pick], 0);
        draft_put(draft, QM_TOKEN_VALUE + (uint32_t)values[pick], 1);
    }
}

static void draft_fact(struct draft *draft, struct qm_random *random, uint32_t difficulty)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < difficulty; i++) {
        first += TASKS[QM_TASK_FACT].difficulties[i].size;
    }
    uint16_t subject[2], answer[2];
    qm_fact_get(first + qm_random_below(random, TASKS[QM_TASK_FACT].difficulties[difficulty].size), subject, answer);
    draft_put(draft, subject[0], 0);
    draft_put(draft, subject[1], 0);
    draft_put(draft, QM_TOKEN_EQUALS, 0);
    draft_put(draft, answer[0], 1);
    draft_put(draft, answer[1], 1);
}

static void draft_source(struct draft *draft, struct qm_random *random, uint32_t count)
{
    uint32_t before = qm_random_below(random, SOURCE_SYMBOLS);
    uint32_t last = qm_random_below(random, SOURCE_SYMBOLS);
    draft_put(draft, QM_TOKEN_SOURCE_SYMBOL + before, 0);
    draft_put(draft, QM_TOKEN_SOURCE_SYMBOL + last, 0);
    for (uint32_t i = 2; i < count; i++) {
        uint8_t successors[SOURCE_SUCCESSORS];
        source_successors(before, last, successors);
        uint32_t ticket = qm_random_below(random, SOURCE_WEIGHT_SUM);
        uint32_t pick = 0;
        while (ticket >= SOURCE_WEIGHTS[pick]) {
            ticket -= SOURCE_WEIGHTS[pick];
            pick++;
        }
        before = last;
        last = successors[pick];
        draft_put(draft, QM_TOKEN_SOURCE_SYMBOL + last, 1);
    }
}

// Number of tokens of an example. For the source `size` is the number of symbols, else the difficulty's size.
static uint32_t example_length(enum qm_task task, uint32_t size)
{
    switch (task) {
    case QM_TASK_ADD:
        return 3 * size + 4;
    case QM_TASK_SORT:
    case QM_TASK_COPY:
        return 2 * size + 2;
    case QM_TASK_RECALL:
        return 4 * size + 2;
    case QM_TASK_FACT:
        return 6;
    case QM_TASK_SOURCE:
    case QM_TASK_COUNT:
    default:
        return size + 1;
    }
}

// Draws examples until one belongs to the split; one in 16 does at worst.
static void draft_example(struct draft *draft, struct qm_random *random, enum qm_split split, enum qm_task task,
                          uint32_t difficulty, uint32_t size)
{
    int found;
    do {
        draft->length = 0;
        draft_put(draft, QM_TOKEN_TAG + (uint32_t)task, 0);
        switch (task) {
        case QM_TASK_ADD:
            draft_add(draft, random, size);
            break;
        case QM_TASK_SORT:
            draft_sort(draft, random, size);
            break;
        case QM_TASK_COPY:
            draft_copy(draft, random, size);
            break;
        case QM_TASK_RECALL:
            draft_recall(draft, random, size);
            break;
        case QM_TASK_FACT:
            draft_fact(draft, random, difficulty);
            break;
        case QM_TASK_SOURCE:
        case QM_TASK_COUNT:
        default:
            draft_source(draft, random, size);
            break;
        }
        found = qm_example_split(draft->tokens, draft->length);
    } while (found >= 0 && found != (int)split);
}

static void window_append(struct qm_window *window, uint32_t *used, const struct draft *draft, enum qm_task task,
                          uint32_t difficulty)
{
    struct qm_example *example = &window->examples[window->example_count++];
    uint32_t first = 0, last = 0;
    for (uint32_t i = 0; i < draft->length; i++) {
        window->tokens[*used + i] = draft->tokens[i];
        if (draft->answer[i]) {
            // Token number `at` of the window is predicted at position at - 1. An answer is never the first token.
            window->scored[*used + i - 1] = 1;
            first = first == 0 ? i : first;
            last = i;
        }
    }
    example->task = task;
    example->difficulty = (uint8_t)difficulty;
    example->start = (uint16_t)*used;
    example->length = (uint16_t)draft->length;
    example->first = (uint16_t)(*used + first - 1);
    example->count = (uint16_t)(last - first + 1);
    *used += draft->length;
}

static uint32_t draw_difficulty(struct qm_random *random, enum qm_split split, enum qm_task task)
{
    uint32_t ticket = qm_random_below(random, 32);
    for (uint32_t pick = 0;; pick++) {
        const struct difficulty *difficulty = &TASKS[task].difficulties[pick];
        const uint32_t weight = split == QM_SPLIT_TRAIN ? difficulty->weight : difficulty->held_weight;
        if (ticket < weight) {
            return pick;
        }
        ticket -= weight;
    }
}

void qm_window_generate(enum qm_split split, uint64_t seed, uint64_t index, uint32_t length, struct qm_window *out)
{
    memset(out, 0, sizeof *out);
    length = length < QM_WINDOW_LENGTH_MIN ? QM_WINDOW_LENGTH_MIN : length;
    length = length > QM_WINDOW_LENGTH_MAX ? QM_WINDOW_LENGTH_MAX : length;
    out->length = length;
    struct qm_random random;
    qm_random_seed(&random, seed, qm_random_mix(index * 4 + (uint64_t)split) + length);
    struct draft draft;
    uint32_t used = 0;
    while (used < length + 1) {
        const uint32_t left = length + 1 - used;
        enum qm_task task = QM_TASK_COUNT;
        uint32_t difficulty = 0, size = 0;
        for (int draw = 0; draw < REDRAWS; draw++) {
            uint32_t ticket = qm_random_below(&random, 64);
            uint32_t drawn = 0;
            while (ticket >= TASKS[drawn].weight) {
                ticket -= TASKS[drawn].weight;
                drawn++;
            }
            difficulty = draw_difficulty(&random, split, (enum qm_task)drawn);
            size = TASKS[drawn].difficulties[difficulty].size;
            if (drawn == QM_TASK_SOURCE) {
                size = SOURCE_SHORT + qm_random_below(&random, SOURCE_LONG - SOURCE_SHORT + 1);
                size = size > left - 1 ? left - 1 : size;
                if (size < SOURCE_MIN) {
                    continue;
                }
            }
            if (example_length((enum qm_task)drawn, size) <= left) {
                task = (enum qm_task)drawn;
                break;
            }
        }
        if (task == QM_TASK_COUNT) {
            if (left < SOURCE_MIN + 1) {
                break;
            }
            task = QM_TASK_SOURCE;
            difficulty = 0;
            size = left - 1 > SOURCE_LONG ? SOURCE_LONG : left - 1;
        }
        draft_example(&draft, &random, split, task, difficulty, size);
        window_append(out, &used, &draft, task, difficulty);
    }
    for (; used < length + 1; used++) {
        out->tokens[used] = QM_TOKEN_PAD;
    }
}

uint64_t qm_split_seed(enum qm_split split)
{
    switch (split) {
    case QM_SPLIT_CALIBRATION:
        return QM_SEED_CALIBRATION;
    case QM_SPLIT_EVALUATION:
        return QM_SEED_EVALUATION;
    case QM_SPLIT_TRAIN:
    default:
        return QM_SEED_TRAIN;
    }
}

const char *qm_task_name(enum qm_task task)
{
    return (uint32_t)task < QM_TASK_COUNT ? TASKS[task].name : "?";
}

uint32_t qm_task_difficulty_count(enum qm_task task)
{
    return (uint32_t)task < QM_TASK_COUNT ? TASKS[task].difficulty_count : 0;
}

const char *qm_task_difficulty_name(enum qm_task task, uint32_t difficulty)
{
    return difficulty < qm_task_difficulty_count(task) ? TASKS[task].difficulties[difficulty].name : "?";
}

uint32_t qm_task_difficulty_size(enum qm_task task, uint32_t difficulty)
{
    return difficulty < qm_task_difficulty_count(task) ? TASKS[task].difficulties[difficulty].size : 0;
}

uint32_t qm_window_text(const struct qm_window *window, char *buffer, uint32_t size)
{
    uint32_t needed = 0;
    for (uint32_t i = 0; i < window->length + 1; i++) {
        const char *text = qm_token_text(window->tokens[i]);
        for (const char *c = i == 0 ? text : " "; *c != '\0'; c++, needed++) {
            if (needed + 1 < size) {
                buffer[needed] = *c;
            }
        }
        for (const char *c = i == 0 ? "" : text; *c != '\0'; c++, needed++) {
            if (needed + 1 < size) {
                buffer[needed] = *c;
            }
        }
    }
    if (size > 0) {
        buffer[needed < size ? needed : size - 1] = '\0';
    }
    return needed;
}
