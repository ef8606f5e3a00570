// What is asked of the history: lists, series over time, and the runs that a gate compares with.
#include "base/text.h"
#include "record/history.h"
#include "record/history_internal.h"
#include "record/node.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void bind_filter(sqlite3_stmt *statement, const struct qm_history_query *query)
{
    qm_history_bind(statement, 1, query->device);
    qm_history_bind(statement, 2, query->profile_hash);
}

static sqlite3_int64 limit_of(size_t limit)
{
    return limit == 0 || limit > INT32_MAX ? -1 : (sqlite3_int64)limit;
}

// ---- Columns ------------------------------------------------------------------------------------------------------

static bool is_null(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL;
}

static const char *text_of(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? text : "undisclosed";
}

// Cleaned here as well: the database may be a stranger's. NULL without memory.
static char *copy_of(sqlite3_stmt *row, int column)
{
    char *copy = strdup(text_of(row, column));
    if (copy)
        qm_text_clean(copy);
    return copy;
}

static void set_text(struct qm_node *node, const char *key, sqlite3_stmt *row, int column)
{
    char *copy = copy_of(row, column);
    qm_node_set_text(node, key, copy ? copy : "undisclosed");
    free(copy);
}

static double number_of(sqlite3_stmt *row, int column)
{
    return is_null(row, column) ? (double)NAN : sqlite3_column_double(row, column);
}

static void set_number(struct qm_node *node, const char *key, double value, const char *otherwise)
{
    if (isfinite(value))
        qm_node_set_double(node, key, value);
    else
        qm_node_set_text(node, key, otherwise);
}

static void set_whole(struct qm_node *node, const char *key, sqlite3_stmt *row, int column)
{
    sqlite3_int64 value = sqlite3_column_int64(row, column);
    if (!is_null(row, column))
        qm_node_set_u64(node, key, value < 0 ? 0 : (uint64_t)value);
}

// `kl_divergence`, or the words; numbers: mean, low, high.
static void set_accuracy(struct qm_node *node, const double *numbers)
{
    if (!isfinite(numbers[0])) {
        qm_node_set_text(node, "accuracy", "not measured");
        return;
    }
    struct qm_node *divergence = qm_node_add_mapping(qm_node_add_mapping(node, "accuracy"), "kl_divergence");
    qm_node_set_double(divergence, "mean", numbers[0]);
    set_number(divergence, "low", numbers[1], "no interval");
    set_number(divergence, "high", numbers[2], "no interval");
}

// Numbers: rate, low, high.
static void set_rate(struct qm_node *node, const double *numbers)
{
    set_number(node, "rate_tokens_per_s", numbers[0], "not measured");
    set_number(node, "low", numbers[1], "no interval");
    set_number(node, "high", numbers[2], "no interval");
}

static enum qm_status whole(struct qm_node **root, enum qm_status status, struct qm_node **out)
{
    if (status == QM_OK && !qm_node_ok(*root))
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for what the history holds; ask for less with --limit");
    if (status == QM_OK)
        *out = *root;
    else
        qm_node_destroy(root);
    return status;
}

// ---- List ---------------------------------------------------------------------------------------------------------

struct list {
    struct qm_history *history;
    const struct qm_history_query *query;
    sqlite3_stmt *schemes, *point;
};

static enum qm_status add_point(struct list *list, struct qm_node *scheme, sqlite3_int64 scheme_id, const char *phase)
{
    bool has_row = false;
    sqlite3_bind_int64(list->point, 1, scheme_id);
    sqlite3_bind_text(list->point, 2, phase, -1, SQLITE_STATIC);
    QM_TRY(qm_history_step(list->history, list->point, &has_row));
    if (has_row) {
        struct qm_node *point = qm_node_add_mapping(scheme, phase);
        set_whole(point, "batch", list->point, 0);
        set_whole(point, "prompt", list->point, 1);
        set_whole(point, "depth", list->point, 2);
        set_text(point, "tier", list->point, 3);
        set_whole(point, "widen", list->point, 4);
        set_text(point, "protocol", list->point, 5);
        set_rate(point, (double[]){number_of(list->point, 6), number_of(list->point, 7), number_of(list->point, 8)});
    }
    sqlite3_reset(list->point);
    return QM_OK;
}

static enum qm_status add_schemes(struct list *list, struct qm_node *result, sqlite3_int64 result_id)
{
    bool has_row = false;
    struct qm_node *schemes = qm_node_add_sequence(result, "schemes");
    sqlite3_bind_int64(list->schemes, 1, result_id);
    qm_history_bind(list->schemes, 2, list->query->scheme);
    QM_TRY(qm_history_step(list->history, list->schemes, &has_row));
    while (has_row) {
        struct qm_node *scheme = qm_node_append_mapping(schemes);
        set_text(scheme, "name", list->schemes, 1);
        set_text(scheme, "status", list->schemes, 2);
        if (!is_null(list->schemes, 3))
            set_text(scheme, "reason", list->schemes, 3);
        set_text(scheme, "kernel_hash", list->schemes, 4);
        set_accuracy(scheme,
                     (double[]){number_of(list->schemes, 5), number_of(list->schemes, 6), number_of(list->schemes, 7)});
        QM_TRY(add_point(list, scheme, sqlite3_column_int64(list->schemes, 0), "prefill"));
        QM_TRY(add_point(list, scheme, sqlite3_column_int64(list->schemes, 0), "decode"));
        QM_TRY(qm_history_step(list->history, list->schemes, &has_row));
    }
    sqlite3_reset(list->schemes);
    return QM_OK;
}

enum qm_status qm_history_list(struct qm_history *history, const struct qm_history_query *query, struct qm_node **out)
{
    static const char *const keys[] = {"hash",   "file",        "added",        "started",      "class",
                                       "device", "device_name", "api",          "driver",       "driver_version",
                                       "model",  "profile",     "profile_hash", "qmark_version"};
    enum qm_status status = QM_OK;
    struct list list = {.history = history, .query = query};
    sqlite3_stmt *results = NULL;
    bool has_row = false;
    struct qm_node *root = qm_node_new_mapping();
    struct qm_node *rows = qm_node_add_sequence(root, "results");
    *out = NULL;
    QM_GUARD(qm_history_prepare(
        history,
        "SELECT r.id, r.intact, r.hash, r.file, r.added, r.started, r.class, r.device, r.device_name, r.api, r.driver, "
        "r.driver_version, r.model, r.profile, r.profile_hash, r.qmark_version FROM results r WHERE " QM_HISTORY_FILTER
        " AND (?3 IS NULL OR EXISTS (SELECT 1 FROM schemes s WHERE s.result_id = r.id AND s.name = ?3)) "
        "ORDER BY r.started DESC, r.id DESC LIMIT ?4",
        &results));
    QM_GUARD(qm_history_prepare(history,
                                "SELECT id, name, status, reason, kernel_hash, kl_mean, kl_low, kl_high FROM schemes "
                                "WHERE result_id = ?1 AND (?2 IS NULL OR name = ?2) ORDER BY position",
                                &list.schemes));
    QM_GUARD(qm_history_prepare(history,
                                "SELECT batch, prompt, depth, tier, widen, protocol, rate, low, high FROM points "
                                "WHERE scheme_id = ?1 AND phase = ?2 ORDER BY position LIMIT 1",
                                &list.point));
    bind_filter(results, query);
    qm_history_bind(results, 3, query->scheme);
    sqlite3_bind_int64(results, 4, limit_of(query->limit));
    QM_GUARD(qm_history_step(history, results, &has_row));
    while (has_row) {
        struct qm_node *row = qm_node_append_mapping(rows);
        for (int i = 0; i < (int)(sizeof(keys) / sizeof(keys[0])); i++)
            set_text(row, keys[i], results, 2 + i);
        qm_node_set_bool(row, "intact", sqlite3_column_int(results, 1) != 0);
        QM_GUARD(add_schemes(&list, row, sqlite3_column_int64(results, 0)));
        QM_GUARD(qm_history_step(history, results, &has_row));
    }
done:
    sqlite3_finalize(results);
    sqlite3_finalize(list.schemes);
    sqlite3_finalize(list.point);
    return whole(&root, status, out);
}

// ---- Trend --------------------------------------------------------------------------------------------------------

enum {
    // Columns of both queries below.
    STARTED,
    ID,
    DEVICE,
    MODEL_HASH,
    MODEL,
    HASH,
    FILE_NAME,
    INTACT,
    STATUS,
    REASON,
    MEAN, // and low, high
    CHANGES = MEAN + 3,
    CHANGE_COUNT = 4, // driver version, kernel hash, artifact, profile hash
    PROMPT = CHANGES + CHANGE_COUNT,
    DEPTH,
    TIER,
    WIDEN,
    PROTOCOL,
    RATE, // and low, high
};

#define TREND_COLUMNS                                                                                                  \
    "r.started, r.id, r.device, r.model_hash, r.model, r.hash, r.file, r.intact, s.status, s.reason, s.kl_mean, "      \
    "s.kl_low, s.kl_high, r.driver_version, s.kernel_hash, s.artifact, r.profile_hash"

static const char *const change_keys[CHANGE_COUNT] = {"driver_version", "kernel_hash", "artifact", "profile_hash"};
static const char *const change_words[CHANGE_COUNT] = {"driver", "kernels", "artifact", "profile"};

enum {
    TEXT_STARTED,
    TEXT_HASH,
    TEXT_FILE,
    TEXT_STATUS,
    TEXT_REASON, // NULL for none
    TEXT_CHANGES,
    TEXT_COUNT = TEXT_CHANGES + CHANGE_COUNT,
    NUMBER_COUNT = 6, // mean, low, high; rate, low, high
};

// As the row has it: the tree's texts of numbers are dear, and only the newest runs get into it.
struct trend_run {
    sqlite3_int64 id;
    bool is_intact, has_point;
    double numbers[NUMBER_COUNT]; // not finite for none
    char *texts[TEXT_COUNT];      // owned
};

struct series {
    struct qm_node *node; // in the tree
    struct trend_run *runs;
    size_t count, capacity;
};

struct trend {
    struct qm_node *list;
    struct series *series;
    size_t count, capacity;
};

static enum qm_status no_memory(void)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for what the history holds; ask for less with --device and --scheme");
}

// Room for one more of `size` bytes each.
static enum qm_status grow(void **items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return QM_OK;
    size_t more = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(*items, more * size);
    if (!grown)
        return no_memory();
    *items = grown;
    *capacity = more;
    return QM_OK;
}

static enum qm_status add_run(struct series *series, sqlite3_stmt *row, bool has_point)
{
    static const int columns[TEXT_COUNT] = {STARTED,     HASH,        FILE_NAME,   STATUS,     REASON,
                                            CHANGES + 0, CHANGES + 1, CHANGES + 2, CHANGES + 3};
    QM_TRY(grow((void **)&series->runs, series->count, &series->capacity, sizeof(*series->runs)));
    struct trend_run *run = &series->runs[series->count++];
    *run = (struct trend_run){
        .id = sqlite3_column_int64(row, ID), .is_intact = sqlite3_column_int(row, INTACT) != 0, .has_point = has_point};
    for (int i = 0; i < NUMBER_COUNT; i++) {
        int column = i < 3 ? MEAN + i : RATE + i - 3;
        bool is_there = (i < 3 || has_point) && !is_null(row, column);
        run->numbers[i] = is_there ? sqlite3_column_double(row, column) : (double)NAN;
    }
    for (int i = 0; i < TEXT_COUNT; i++) {
        if (i == TEXT_REASON && is_null(row, REASON))
            continue;
        run->texts[i] = copy_of(row, columns[i]);
        if (!run->texts[i])
            return no_memory();
    }
    return QM_OK;
}

static void release_series(struct series *series)
{
    for (size_t i = 0; i < series->count; i++)
        for (int k = 0; k < TEXT_COUNT; k++)
            free(series->runs[i].texts[k]);
    free(series->runs);
}

static enum qm_status add_series(struct trend *trend, sqlite3_stmt *row, bool has_point, struct series **out)
{
    QM_TRY(grow((void **)&trend->series, trend->count, &trend->capacity, sizeof(*trend->series)));
    struct series *series = &trend->series[trend->count++];
    *series = (struct series){.node = qm_node_append_mapping(trend->list)};
    set_text(series->node, "device", row, DEVICE);
    set_text(series->node, "model", row, MODEL);
    set_text(series->node, "model_hash", row, MODEL_HASH);
    if (has_point) {
        set_whole(series->node, "prompt", row, PROMPT);
        set_whole(series->node, "depth", row, DEPTH);
        set_text(series->node, "tier", row, TIER);
        set_whole(series->node, "widen", row, WIDEN);
        set_text(series->node, "protocol", row, PROTOCOL);
    }
    *out = series;
    return QM_OK;
}

static bool is_same(const struct series *series, const char *key, sqlite3_stmt *row, int column)
{
    const struct qm_node *own = qm_node_child(series->node, key);
    if (is_null(row, column) || !own)
        return is_null(row, column) && !own;
    if (strcmp(qm_node_text(own), text_of(row, column)) == 0)
        return true;
    char *text = copy_of(row, column); // what was cleaned before it got into the tree
    bool same = text && strcmp(qm_node_text(own), text) == 0;
    free(text);
    return same;
}

static bool is_of_device(const struct series *series, sqlite3_stmt *row)
{
    return is_same(series, "device", row, DEVICE) && is_same(series, "model_hash", row, MODEL_HASH);
}

// The rows come ordered by what makes a series.
static enum qm_status collect_points(struct qm_history *history, struct trend *trend, sqlite3_stmt *rows)
{
    bool has_row = false;
    QM_TRY(qm_history_step(history, rows, &has_row));
    while (has_row) {
        struct series *series = trend->count > 0 ? &trend->series[trend->count - 1] : NULL;
        if (!series || !is_of_device(series, rows) || !is_same(series, "prompt", rows, PROMPT) ||
            !is_same(series, "depth", rows, DEPTH) || !is_same(series, "tier", rows, TIER) ||
            !is_same(series, "widen", rows, WIDEN) || !is_same(series, "protocol", rows, PROTOCOL))
            QM_TRY(add_series(trend, rows, true, &series));
        QM_TRY(add_run(series, rows, true));
        QM_TRY(qm_history_step(history, rows, &has_row));
    }
    return QM_OK;
}

// A run in which the scheme was not ok stands in every series of its device and model, and begins one where there is
// none.
static enum qm_status collect_failures(struct qm_history *history, struct trend *trend, sqlite3_stmt *rows)
{
    bool has_row = false;
    QM_TRY(qm_history_step(history, rows, &has_row));
    while (has_row) {
        bool is_placed = false;
        struct series *series = NULL;
        for (size_t i = 0; i < trend->count; i++) {
            if (!is_of_device(&trend->series[i], rows))
                continue;
            QM_TRY(add_run(&trend->series[i], rows, false));
            is_placed = true;
        }
        if (!is_placed) {
            QM_TRY(add_series(trend, rows, false, &series));
            QM_TRY(add_run(series, rows, false));
        }
        QM_TRY(qm_history_step(history, rows, &has_row));
    }
    return QM_OK;
}

static int by_time(const void *a, const void *b)
{
    const struct trend_run *left = a;
    const struct trend_run *right = b;
    int order = strcmp(left->texts[TEXT_STARTED], right->texts[TEXT_STARTED]);
    return order ? order : (left->id > right->id) - (left->id < right->id);
}

static void place_run(struct qm_node *list, const struct trend_run *run, const struct trend_run *before)
{
    static const char *const keys[] = {"started", "hash", "file", "status"};
    struct qm_node *node = qm_node_append_mapping(list);
    for (int i = 0; i <= TEXT_STATUS; i++)
        qm_node_set_text(node, keys[i], run->texts[i]);
    if (run->texts[TEXT_REASON])
        qm_node_set_text(node, "reason", run->texts[TEXT_REASON]);
    qm_node_set_bool(node, "intact", run->is_intact);
    set_accuracy(node, run->numbers);
    if (run->has_point)
        set_rate(node, run->numbers + 3);
    struct qm_node *changed = qm_node_add_sequence(node, "changed");
    for (int i = 0; i < CHANGE_COUNT; i++) {
        qm_node_set_text(node, change_keys[i], run->texts[TEXT_CHANGES + i]);
        if (before && strcmp(run->texts[TEXT_CHANGES + i], before->texts[TEXT_CHANGES + i]) != 0)
            qm_node_append_text(changed, change_words[i]);
    }
}

// Puts the newest `limit` runs into the tree, oldest first, each with what changed since the one before it.
static void place_runs(struct series *series, size_t limit)
{
    struct qm_node *list = qm_node_add_sequence(series->node, "runs");
    if (series->count > 0)
        qsort(series->runs, series->count, sizeof(*series->runs), by_time);
    size_t begin = limit > 0 && series->count > limit ? series->count - limit : 0;
    for (size_t i = begin; i < series->count; i++)
        place_run(list, &series->runs[i], i > 0 ? &series->runs[i - 1] : NULL);
}

static void bind_optional(sqlite3_stmt *statement, int index, const uint64_t *value)
{
    if (value)
        sqlite3_bind_int64(statement, index, *value > INT64_MAX ? INT64_MAX : (sqlite3_int64)*value);
}

enum qm_status qm_history_trend(struct qm_history *history, const struct qm_history_query *query, struct qm_node **out)
{
    enum qm_status status = QM_OK;
    sqlite3_stmt *points = NULL;
    sqlite3_stmt *failures = NULL;
    struct qm_node *root = qm_node_new_mapping();
    struct trend trend = {0};
    *out = NULL;
    qm_node_set_text(root, "scheme", query->scheme);
    qm_node_set_text(root, "phase", query->phase);
    qm_node_set_u64(root, "batch", query->batch);
    trend.list = qm_node_add_sequence(root, "series");
    QM_GUARD(qm_history_prepare(
        history,
        "SELECT " TREND_COLUMNS ", p.prompt, p.depth, p.tier, p.widen, p.protocol, p.rate, p.low, p.high "
        "FROM schemes s JOIN results r ON r.id = s.result_id JOIN points p ON p.scheme_id = s.id "
        "WHERE " QM_HISTORY_FILTER
        " AND s.name = ?3 AND s.status = 'ok' AND p.phase = ?4 AND p.batch = ?5 AND (?6 IS NULL OR p.prompt = ?6) AND "
        "(?7 IS NULL OR p.depth = ?7) ORDER BY r.device, r.model_hash, p.prompt, p.depth, p.tier, p.widen, p.protocol",
        &points));
    QM_GUARD(qm_history_prepare(history,
                                "SELECT " TREND_COLUMNS " FROM schemes s JOIN results r ON r.id = s.result_id "
                                "WHERE " QM_HISTORY_FILTER " AND s.name = ?3 AND s.status <> 'ok' ORDER BY r.device, "
                                "r.model_hash",
                                &failures));
    bind_filter(points, query);
    qm_history_bind(points, 3, query->scheme);
    qm_history_bind(points, 4, query->phase);
    bind_optional(points, 5, &query->batch);
    bind_optional(points, 6, query->prompt);
    bind_optional(points, 7, query->depth);
    bind_filter(failures, query);
    qm_history_bind(failures, 3, query->scheme);
    QM_GUARD(collect_points(history, &trend, points));
    QM_GUARD(collect_failures(history, &trend, failures));
    for (size_t i = 0; i < trend.count; i++)
        place_runs(&trend.series[i], query->limit);
done:
    for (size_t i = 0; i < trend.count; i++)
        release_series(&trend.series[i]);
    free(trend.series);
    sqlite3_finalize(points);
    sqlite3_finalize(failures);
    return whole(&root, status, out);
}
