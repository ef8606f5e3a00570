#include "text/split.h"

#include <stdlib.h>
#include <string.h>

struct walk {
    struct qm_splits *splits;
    struct qm_pattern_budget *budget;
    qm_split_sink sink;
    void *context;
};

// A piece on its way through one step: what was found last and is not handed on yet.
struct pieces {
    const struct walk *walk;
    size_t step;
    const char *text;
    bool is_begin;
    enum qm_split_behavior behavior;
    bool inverts;
    bool is_pending, was_match;
    size_t begin, end; // of what is pending
};

static enum qm_status run_step(const struct walk *walk, size_t step, const char *text, size_t count, bool is_begin);

static enum qm_status hand_on(const struct pieces *pieces, size_t begin, size_t end)
{
    const struct walk *walk = pieces->walk;
    if (begin == end)
        return QM_OK;
    if (pieces->step + 1 == walk->splits->count)
        return walk->sink(walk->context, pieces->text + begin, end - begin);
    return run_step(walk, pieces->step + 1, pieces->text + begin, end - begin, pieces->is_begin && begin == 0);
}

static enum qm_status flush(struct pieces *pieces)
{
    bool is_pending = pieces->is_pending;
    pieces->is_pending = false;
    return is_pending ? hand_on(pieces, pieces->begin, pieces->end) : QM_OK;
}

// The next stretch of the text, which is a match or lies between two.
static enum qm_status stretch(struct pieces *pieces, size_t begin, size_t end, bool is_match)
{
    bool was_match = pieces->was_match, joins = false;
    is_match = is_match != pieces->inverts;
    pieces->was_match = is_match;
    switch (pieces->behavior) {
    case QM_SPLIT_ISOLATED:
        return hand_on(pieces, begin, end);
    case QM_SPLIT_REMOVED:
        return is_match ? QM_OK : hand_on(pieces, begin, end);
    case QM_SPLIT_CONTIGUOUS:
        joins = is_match == was_match;
        break;
    case QM_SPLIT_MERGED_WITH_PREVIOUS:
        joins = is_match && !was_match;
        break;
    case QM_SPLIT_MERGED_WITH_NEXT:
        joins = !is_match && was_match;
        break;
    }
    if (joins && pieces->is_pending) {
        pieces->end = end;
        return QM_OK;
    }
    QM_TRY(flush(pieces));
    pieces->is_pending = true;
    pieces->begin = begin;
    pieces->end = end;
    return QM_OK;
}

static enum qm_status split_by_pattern(struct pieces *pieces, struct qm_pattern *pattern, size_t count)
{
    struct qm_pattern_search search = {.text = pieces->text, .count = count, .budget = pieces->walk->budget};
    size_t done = 0;
    for (;;) {
        size_t begin = 0, end = 0;
        bool found = false;
        QM_TRY(qm_pattern_next(pattern, &search, &begin, &end, &found));
        if (!found)
            break;
        if (done != begin)
            QM_TRY(stretch(pieces, done, begin, false));
        QM_TRY(stretch(pieces, begin, end, true));
        done = end;
    }
    if (done != count)
        QM_TRY(stretch(pieces, done, count, false));
    return flush(pieces);
}

static bool is_match(const struct qm_split *split, uint32_t code, const char *at, size_t length)
{
    switch (split->kind) {
    case QM_SPLIT_NUMBERS:
        return qm_unicode_is_number(code);
    case QM_SPLIT_SPACES:
        return qm_unicode_is_space(code);
    case QM_SPLIT_PUNCTUATION:
        return qm_unicode_is_punctuation(code);
    default:
        return length == split->mark_bytes && memcmp(at, split->mark, length) == 0;
    }
}

static enum qm_status split_by_character(struct pieces *pieces, const struct qm_split *split, size_t count)
{
    size_t done = 0;
    for (size_t i = 0; i < count;) {
        uint32_t code = 0;
        size_t length = qm_utf8_character((const unsigned char *)pieces->text + i, count - i, &code);
        if (length == 0)
            return QM_FAIL(QM_FAILED, "a text that is not UTF-8 came to be cut; report this");
        if (is_match(split, code, pieces->text + i, length)) {
            if (done < i)
                QM_TRY(stretch(pieces, done, i, false));
            QM_TRY(stretch(pieces, i, i + length, true));
            done = i + length;
        }
        i += length;
    }
    if (done < count)
        QM_TRY(stretch(pieces, done, count, false));
    return flush(pieces);
}

// The piece with marks in place of blanks (Metaspace) and one before it, in the step's buffer, if that changes it.
static enum qm_status mark(struct qm_split *split, const char **text, size_t *count, bool is_begin)
{
    bool replaces = split->kind == QM_SPLIT_METASPACE;
    bool begins_with_mark = (*count >= split->mark_bytes && memcmp(*text, split->mark, split->mark_bytes) == 0) ||
                            (replaces && **text == ' ');
    bool adds = !begins_with_mark &&
                (split->prefix == QM_SPLIT_PREFIX_ALWAYS || (split->prefix == QM_SPLIT_PREFIX_FIRST && is_begin));
    if (!adds && !replaces)
        return QM_OK;
    struct qm_bytes *to = &split->buffer;
    to->count = 0;
    if (adds)
        QM_TRY(qm_bytes_add(to, split->mark, split->mark_bytes));
    const char *at = *text, *end = at + *count;
    while (at < end) {
        const char *blank = replaces ? memchr(at, ' ', (size_t)(end - at)) : NULL;
        QM_TRY(qm_bytes_add(to, at, (size_t)((blank ? blank : end) - at)));
        if (!blank)
            break;
        QM_TRY(qm_bytes_add(to, split->mark, split->mark_bytes));
        at = blank + 1;
    }
    *text = to->data;
    *count = to->count;
    return QM_OK;
}

static enum qm_status run_step(const struct walk *walk, size_t step, const char *text, size_t count, bool is_begin)
{
    struct qm_split *split = &walk->splits->steps[step];
    if (split->mark_bytes > 0)
        QM_TRY(mark(split, &text, &count, is_begin));
    struct pieces pieces = {.walk = walk,
                            .step = step,
                            .text = text,
                            .is_begin = is_begin,
                            .behavior = split->behavior,
                            .inverts = split->inverts};
    if (split->kind == QM_SPLIT_NOT || (split->kind == QM_SPLIT_METASPACE && !split->cuts))
        return hand_on(&pieces, 0, count);
    if (split->kind == QM_SPLIT_PATTERN)
        return split_by_pattern(&pieces, split->pattern, count);
    return split_by_character(&pieces, split, count);
}

enum qm_status qm_split_text(struct qm_splits *splits, const char *text, size_t count, bool is_begin,
                             struct qm_pattern_budget *budget, qm_split_sink sink, void *context)
{
    const struct walk walk = {splits, budget, sink, context};
    if (count == 0)
        return QM_OK;
    return splits->count == 0 ? sink(context, text, count) : run_step(&walk, 0, text, count, is_begin);
}

void qm_splits_free(struct qm_splits *splits)
{
    for (size_t i = 0; i < splits->count; i++) {
        qm_pattern_destroy(&splits->steps[i].pattern);
        free(splits->steps[i].buffer.data);
    }
    *splits = (struct qm_splits){0};
}
