#include "workload/overlap.h"

#include "base/random.h"
#include "workload/answers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUNS_AT_ONCE = 1 << 22, // of the evaluation set
    SIEVE_BITS_MIN = 10,
    SIEVE_BITS_MAX = 24,
};

// A run of the evaluation set.
struct run {
    uint64_t hash;
    const uint32_t *at;
    uint32_t item;
    uint8_t length, is_hit;
};

struct finder {
    const struct qm_token_span *calibration, *evaluation;
    size_t calibration_count;
    uint32_t n;
    struct run *runs;
    size_t count;
    uint8_t *sieve; // a bit for each hash that is among the runs; says no to most of what is not there
    uint32_t sieve_bits;
    uint8_t *is_hit; // [evaluation_count]
    uint64_t shared_runs;
};

// Runs of different lengths have different hashes.
static uint64_t hash_of(const uint32_t *tokens, uint32_t length)
{
    uint64_t hash = length;
    for (uint32_t i = 0; i < length; i++)
        hash = qm_random_mix(hash + tokens[i]);
    return hash;
}

static int compare_runs(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return memcmp(x->at, y->at, x->length * sizeof(*x->at));
}

static void sieve_add(struct finder *finder, uint64_t hash)
{
    uint64_t bit = hash >> (64 - finder->sieve_bits);
    finder->sieve[bit >> 3] = (uint8_t)(finder->sieve[bit >> 3] | 1u << (bit & 7));
}

static bool sieve_has(const struct finder *finder, uint64_t hash)
{
    uint64_t bit = hash >> (64 - finder->sieve_bits);
    return finder->sieve[bit >> 3] >> (bit & 7) & 1;
}

// The first of the runs that are equal to the key; NULL where there is none.
static struct run *find_first(const struct finder *finder, const struct run *key)
{
    size_t low = 0, high = finder->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_runs(&finder->runs[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < finder->count && compare_runs(&finder->runs[low], key) == 0 ? &finder->runs[low] : NULL;
}

static void look_for(struct finder *finder, uint32_t length)
{
    for (size_t i = 0; i < finder->calibration_count; i++) {
        const struct qm_token_span *item = &finder->calibration[i];
        for (size_t at = 0; at + length <= item->count; at++) {
            struct run key = {.at = item->tokens + at, .length = (uint8_t)length};
            key.hash = hash_of(key.at, length);
            struct run *found = sieve_has(finder, key.hash) ? find_first(finder, &key) : NULL;
            if (found)
                found->is_hit = 1;
        }
    }
}

// Looks for the runs that are kept, and empties the list. Of equal runs only the first is marked while the calibration set
// is gone through, and the rest afterwards, so that texts of nothing but repeats take no longer.
static void search(struct finder *finder)
{
    bool has_length[QM_OVERLAP_TOKENS_MAX + 1] = {false};
    memset(finder->sieve, 0, (size_t)1 << (finder->sieve_bits - 3));
    for (size_t i = 0; i < finder->count; i++) {
        sieve_add(finder, finder->runs[i].hash);
        has_length[finder->runs[i].length] = true;
    }
    qsort(finder->runs, finder->count, sizeof(*finder->runs), compare_runs);
    for (uint32_t length = 1; length <= finder->n; length++)
        if (has_length[length])
            look_for(finder, length);
    for (size_t i = 0; i < finder->count; i++) {
        struct run *run = &finder->runs[i];
        if (i > 0 && finder->runs[i - 1].is_hit && compare_runs(run - 1, run) == 0)
            run->is_hit = 1;
        if (run->is_hit) {
            finder->is_hit[run->item] = 1;
            finder->shared_runs++;
        }
    }
    finder->count = 0;
}

static void add_runs(struct finder *finder, uint32_t item, struct qm_overlap *out)
{
    const struct qm_token_span *span = &finder->evaluation[item];
    uint32_t length = span->count < finder->n ? (uint32_t)span->count : finder->n;
    for (size_t at = 0; at + length <= span->count; at++) {
        if (finder->count == RUNS_AT_ONCE)
            search(finder);
        finder->runs[finder->count++] =
            (struct run){hash_of(span->tokens + at, length), span->tokens + at, item, (uint8_t)length, 0};
        out->runs++;
    }
}

enum qm_status qm_overlap_find(const struct qm_token_span *calibration, size_t calibration_count,
                               const struct qm_token_span *evaluation, size_t evaluation_count, uint32_t n,
                               uint8_t *is_hit, struct qm_overlap *out)
{
    enum qm_status status = QM_OK;
    struct finder finder = {
        .calibration = calibration, .calibration_count = calibration_count, .evaluation = evaluation, .n = n};
    memset(out, 0, sizeof(*out));
    if (n < 1 || n > QM_OVERLAP_TOKENS_MAX)
        return QM_FAIL(QM_INVALID, "an overlap of %" PRIu32 " tokens; expected 1 to %d", n, QM_OVERLAP_TOKENS_MAX);
    if (evaluation_count > UINT32_MAX)
        return QM_FAIL(QM_INVALID, "%zu items are more than can be compared", evaluation_count);
    uint64_t places = 0;
    for (size_t i = 0; i < evaluation_count; i++)
        places += evaluation[i].count;
    size_t room = places < RUNS_AT_ONCE ? (size_t)places + 1 : RUNS_AT_ONCE;
    finder.runs = malloc(room * sizeof(*finder.runs));
    finder.sieve_bits = SIEVE_BITS_MIN;
    while (finder.sieve_bits < SIEVE_BITS_MAX && (size_t)1 << finder.sieve_bits < 4 * room)
        finder.sieve_bits++;
    finder.sieve = malloc((size_t)1 << (finder.sieve_bits - 3));
    finder.is_hit = calloc(evaluation_count + 1, 1);
    if (!finder.runs || !finder.sieve || !finder.is_hit)
        QM_GUARD(QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compare two sets"));
    out->tokens = n;
    for (uint32_t i = 0; i < evaluation_count; i++) {
        if (evaluation[i].count == 0)
            continue;
        out->items++;
        out->short_items += evaluation[i].count < n;
        add_runs(&finder, i, out);
    }
    search(&finder);
    for (size_t i = 0; i < evaluation_count; i++) {
        out->overlapping += finder.is_hit[i];
        if (is_hit)
            is_hit[i] = finder.is_hit[i];
    }
    out->shared_runs = finder.shared_runs;
    out->share = out->items > 0 ? (double)out->overlapping / (double)out->items : 0.0;
done:
    free(finder.runs);
    free(finder.sieve);
    free(finder.is_hit);
    return status;
}

enum qm_status qm_overlap_refuse(const struct qm_overlap *overlap, const char *evaluation, const char *calibration)
{
    if (overlap->overlapping == 0)
        return QM_OK;
    return QM_FAIL(QM_INVALID,
                   "%s: %" PRIu64 " of %" PRIu64 " items have %" PRIu32 " tokens in a row that stand in %s; "
                   "take them out of one of the two, or allow the overlap, which the result then states",
                   evaluation, overlap->overlapping, overlap->items, overlap->tokens, calibration);
}

// ---- Words ----------------------------------------------------------------------------------------------------------

// Numbers are given in the order of first use.
struct qm_words {
    char **words;    // by number
    uint32_t *table; // open addressing: number + 1, 0 where there is none
    size_t table_size;
    uint32_t count, room;
    uint32_t **lists; // the spans' tokens
    size_t list_count, list_room;
};

enum qm_status qm_words_create(struct qm_words **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? QM_OK : QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a list of words");
}

static size_t place_of(const struct qm_words *words, const char *word)
{
    uint64_t hash = 0;
    for (const char *c = word; *c; c++)
        hash = qm_random_mix(hash + (unsigned char)*c);
    size_t at = (size_t)hash & (words->table_size - 1);
    while (words->table[at] && strcmp(words->words[words->table[at] - 1], word) != 0)
        at = (at + 1) & (words->table_size - 1);
    return at;
}

static bool grow(struct qm_words *words)
{
    size_t size = words->table_size > 0 ? 2 * words->table_size : 1024;
    uint32_t *table = calloc(size, sizeof(*table));
    char **list = realloc(words->words, size / 2 * sizeof(*list));
    if (list)
        words->words = list;
    if (!table || !list) {
        free(table);
        return false;
    }
    free(words->table);
    words->table = table;
    words->table_size = size;
    words->room = (uint32_t)(size / 2);
    for (uint32_t i = 0; i < words->count; i++)
        table[place_of(words, words->words[i])] = i + 1;
    return true;
}

static bool number_of(struct qm_words *words, const char *word, uint32_t *out)
{
    if (words->count == words->room && !grow(words))
        return false;
    size_t at = place_of(words, word);
    if (!words->table[at]) {
        words->words[words->count] = strdup(word);
        if (!words->words[words->count])
            return false;
        words->table[at] = ++words->count;
    }
    *out = words->table[at] - 1;
    return true;
}

static bool add_list(struct qm_words *words, uint32_t *list)
{
    if (words->list_count == words->list_room) {
        size_t room = words->list_room > 0 ? 2 * words->list_room : 64;
        uint32_t **grown = realloc(words->lists, room * sizeof(*grown));
        if (!grown)
            return false;
        words->lists = grown;
        words->list_room = room;
    }
    words->lists[words->list_count++] = list;
    return true;
}

enum qm_status qm_words_add(struct qm_words *words, const char *text, size_t bytes, struct qm_token_span *span)
{
    *span = (struct qm_token_span){0};
    char *normal = qm_answer_normalise(text, bytes, true);
    size_t count = 0, most = 1;
    for (const char *c = normal; c && *c; c++)
        most += *c == ' ';
    uint32_t *list = normal ? malloc(most * sizeof(*list)) : NULL;
    bool is_good = list != NULL;
    for (char *word = normal; is_good && *word;) {
        char *end = word + strcspn(word, " ");
        char *next = *end ? end + 1 : end;
        *end = '\0';
        is_good = number_of(words, word, &list[count++]);
        word = next;
    }
    free(normal);
    if (!is_good || !add_list(words, list)) {
        free(list);
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for a list of words");
    }
    *span = (struct qm_token_span){list, count};
    return QM_OK;
}

void qm_words_destroy(struct qm_words **words)
{
    if (!*words)
        return;
    for (uint32_t i = 0; i < (*words)->count; i++)
        free((*words)->words[i]);
    for (size_t i = 0; i < (*words)->list_count; i++)
        free((*words)->lists[i]);
    free((*words)->words);
    free((*words)->table);
    free((*words)->lists);
    free(*words);
    *words = NULL;
}
