#include "workload/examples_internal.h"

#include "base/random.h"
#include "record/node.h"
#include "record/suggest.h"
#include "workload/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BLOCK_BYTES ((size_t)1 << 16)

struct qm_examples_block {
    struct qm_examples_block *next;
    size_t used, size;
    _Alignas(max_align_t) char bytes[];
};

// ---- Room -----------------------------------------------------------------------------------------------------------

void *qm_line_room(const struct qm_examples_line *line, size_t bytes)
{
    struct qm_examples_block *block = line->room->blocks;
    bytes = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    if (!block || block->size - block->used < bytes) {
        size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        block = calloc(1, sizeof(*block) + size);
        if (!block)
            return NULL;
        block->next = line->room->blocks;
        block->size = size;
        line->room->blocks = block;
    }
    char *place = block->bytes + block->used;
    block->used += bytes;
    return place;
}

static enum qm_status no_memory(const struct qm_examples_line *line)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "%s:%zu: no memory to read it", line->lines->name, line->lines->number);
}

enum qm_status qm_line_keep(const struct qm_examples_line *line, const char *text, const char **out)
{
    size_t bytes = strlen(text) + 1;
    char *copy = qm_line_room(line, bytes);
    if (!copy)
        return no_memory(line);
    memcpy(copy, text, bytes);
    *out = copy;
    return QM_OK;
}

// ---- Values ---------------------------------------------------------------------------------------------------------

enum qm_status qm_line_scalar(const struct qm_examples_line *line, const char *key, const json_t *value,
                              const char **out)
{
    char number[QM_DOUBLE_TEXT_BYTES];
    *out = "";
    if (json_is_string(value))
        return qm_line_keep(line, json_string_value(value), out);
    if (json_is_integer(value))
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        qm_double_text(json_real_value(value), number);
    else
        return qm_lines_invalid(line->lines, "'%s' is neither text nor number; expected one of them", key);
    return qm_line_keep(line, number, out);
}

static enum qm_status require_text(const struct qm_examples_line *line, const char *key, const json_t *value,
                                   const char **out)
{
    if (!json_is_string(value) || json_string_length(value) == 0)
        return qm_lines_invalid(line->lines, "'%s' is %s; expected a text of 1 byte at least", key,
                                !value                  ? "missing"
                                : json_is_string(value) ? "empty"
                                                        : "no text");
    return qm_line_keep(line, json_string_value(value), out);
}

// Fills a list from a text or number, or from a list of them.
static enum qm_status read_list(const struct qm_examples_line *line, const char *key, const json_t *value, size_t most,
                                const char ***out, uint32_t *count)
{
    size_t size = json_is_array(value) ? json_array_size(value) : 1;
    if (size > most)
        return qm_lines_invalid(line->lines, "'%s' has %zu entries; expected %zu at most", key, size, most);
    *out = size > 0 ? qm_line_room(line, size * sizeof(**out)) : NULL;
    if (size > 0 && !*out)
        return no_memory(line);
    for (size_t i = 0; i < size; i++)
        QM_TRY(qm_line_scalar(line, key, json_is_array(value) ? json_array_get(value, i) : value, &(*out)[i]));
    *count = (uint32_t)size;
    return QM_OK;
}

enum qm_status qm_line_stops(const struct qm_examples_line *line, const char *key, const json_t *value,
                             struct qm_user_example *example)
{
    if (!value || json_is_null(value))
        return QM_OK;
    QM_TRY(read_list(line, key, value, QM_EXAMPLE_STOPS_MAX, &example->stops, &example->stop_count));
    for (uint32_t i = 0; i < example->stop_count; i++)
        if (strlen(example->stops[i]) > QM_EXAMPLE_STOP_BYTES_MAX)
            return qm_lines_invalid(line->lines, "a text of '%s' has %zu bytes; expected %d at most", key,
                                    strlen(example->stops[i]), QM_EXAMPLE_STOP_BYTES_MAX);
    return QM_OK;
}

enum qm_status qm_line_max_tokens(const struct qm_examples_line *line, const char *key, const json_t *value,
                                  struct qm_user_example *example)
{
    json_int_t most = json_is_integer(value) ? json_integer_value(value) : 0;
    if (most < 1 || most > QM_EXAMPLE_TOKENS_MAX)
        return qm_lines_invalid(line->lines, "'%s' must be a whole number from 1 to %d", key, QM_EXAMPLE_TOKENS_MAX);
    example->max_tokens = (uint32_t)most;
    return QM_OK;
}

// Without the blanks at its begin, which are the harness's delimiter.
static bool is_choice(const struct qm_user_choice *choice, const char *text)
{
    const char *own = choice->text;
    return strcmp(own, text) == 0 || strcmp(own + strspn(own, " \t\n"), text + strspn(text, " \t\n")) == 0;
}

enum qm_status qm_line_right_choice(const struct qm_examples_line *line, const char *key, const json_t *value,
                                    struct qm_user_example *example)
{
    uint32_t by_text = 0, found = 0, count = example->choice_count;
    json_int_t index = -1;
    bool is_index = json_is_integer(value);
    const char *text = json_string_value(value);
    if (is_index) {
        index = json_integer_value(value);
    } else if (text) {
        for (uint32_t i = 0; i < count; i++)
            if (is_choice(&example->choices[i], text)) {
                by_text = i;
                found++;
            }
        size_t digits = strspn(text, "0123456789");
        is_index = digits > 0 && digits <= 3 && text[digits] == '\0';
        if (is_index)
            index = (json_int_t)strtol(text, NULL, 10);
    }
    bool is_inside = is_index && index >= 0 && index < (json_int_t)count;
    if (found > 1 || (found == 1 && is_inside && by_text != (uint32_t)index))
        return qm_lines_invalid(
            line->lines,
            "'%s' may mean more than one choice; expected the index of the right one, as a number in "
            "a key 'answer'",
            key);
    if (found == 1)
        example->right_choice = by_text;
    else if (is_inside)
        example->right_choice = (uint32_t)index;
    else
        return qm_lines_invalid(line->lines,
                                "'%s' is no choice; expected the index of the right one, 0 to %" PRIu32
                                ", or its text, in a key 'answer'",
                                key, count - 1);
    return QM_OK;
}

// ---- Lines ----------------------------------------------------------------------------------------------------------

static const char *const own_keys[] = {"prompt", "answer",    "answers", "match",      "choices",
                                       "stop",   "tolerance", "pattern", "max_tokens", "id"};
static const char *const other_keys[] = {"doc_id", "target", "arguments"};

static enum qm_status check_keys(const struct qm_examples_line *line, json_t *object)
{
    const char *key;
    json_t *value;
    bool is_dump = json_object_get(object, "arguments") != NULL;
    json_object_foreach(object, key, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < COUNT(own_keys); i++)
            is_known = is_known || strcmp(key, own_keys[i]) == 0;
        for (size_t i = 0; i < COUNT(other_keys); i++)
            is_known = is_known || strcmp(key, other_keys[i]) == 0;
        const char *near = is_known || is_dump || strlen(key) < 4 ? NULL : qm_suggest(key, own_keys, COUNT(own_keys));
        if (near)
            return qm_lines_invalid(
                line->lines,
                "unknown key '%.40s'; did you mean '%s'? (a key of another meaning needs a name less "
                "like it)",
                key, near);
    }
    return QM_OK;
}

static enum qm_status read_choices(const struct qm_examples_line *line, const json_t *list,
                                   struct qm_user_example *example)
{
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count < QM_EXAMPLE_CHOICES_MIN || count > QM_EXAMPLE_CHOICES_MAX)
        return qm_lines_invalid(line->lines, "'choices' must be a list of %d to %d texts", QM_EXAMPLE_CHOICES_MIN,
                                QM_EXAMPLE_CHOICES_MAX);
    struct qm_user_choice *choices = qm_line_room(line, count * sizeof(*choices));
    if (!choices)
        return no_memory(line);
    for (size_t i = 0; i < count; i++) {
        choices[i].prompt = example->prompt;
        QM_TRY(require_text(line, "choices", json_array_get(list, i), &choices[i].text));
    }
    example->choices = choices;
    example->choice_count = (uint32_t)count;
    return QM_OK;
}

static enum qm_status find_pattern(const struct qm_examples_line *line, const char *text,
                                   const struct qm_answer_pattern **out)
{
    struct qm_examples_room *room = line->room;
    for (uint32_t i = room->pattern_count; i-- > 0;) // the latest is the likeliest
        if (strcmp(qm_answer_pattern_text(room->patterns[i]), text) == 0) {
            *out = room->patterns[i];
            return QM_OK;
        }
    if (room->pattern_count == QM_EXAMPLES_PATTERNS_MAX)
        return qm_lines_invalid(line->lines,
                                "more than %d different patterns; use fewer, with a group for what differs",
                                QM_EXAMPLES_PATTERNS_MAX);
    enum qm_status status = qm_answer_pattern_create(text, &room->patterns[room->pattern_count]);
    if (status != QM_OK) {
        qm_error_prefix("%s:%zu: ", line->lines->name, line->lines->number);
        return status;
    }
    *out = room->patterns[room->pattern_count++];
    return QM_OK;
}

static enum qm_status read_rule(const struct qm_examples_line *line, const json_t *object,
                                struct qm_user_example *example)
{
    const json_t *name = json_object_get(object, "match"), *pattern = json_object_get(object, "pattern");
    const json_t *tolerance = json_object_get(object, "tolerance");
    struct qm_answer_rule *rule = &example->rule;
    rule->match = example->choice_count > 0 ? QM_MATCH_CHOICE : pattern ? QM_MATCH_REGEX : line->params->match;
    if (name && (!json_is_string(name) || qm_match_find(json_string_value(name), &rule->match) != QM_OK))
        return qm_lines_invalid(line->lines, "'match' must be exact, normalised, numeric, regex or choice");
    if ((rule->match == QM_MATCH_CHOICE) != (example->choice_count > 0))
        return qm_lines_invalid(
            line->lines,
            "'match' is %s and there are %s choices; expected match: choice exactly where there are "
            "choices",
            qm_match_name(rule->match), example->choice_count > 0 ? "some" : "no");
    if (pattern && rule->match != QM_MATCH_REGEX)
        return qm_lines_invalid(line->lines, "a 'pattern' with match: %s; expected match: regex",
                                qm_match_name(rule->match));
    if (tolerance && rule->match != QM_MATCH_NUMERIC)
        return qm_lines_invalid(line->lines, "a 'tolerance' with match: %s; expected match: numeric",
                                qm_match_name(rule->match));
    if (rule->match == QM_MATCH_NUMERIC) {
        rule->tolerance = tolerance ? json_number_value(tolerance) : line->params->tolerance;
        if ((tolerance && !json_is_number(tolerance)) || !(rule->tolerance >= 0))
            return qm_lines_invalid(line->lines, "'tolerance' must be a number, 0 or more");
    }
    if (rule->match == QM_MATCH_REGEX) {
        const char *text = pattern ? json_string_value(pattern) : line->params->pattern;
        if (!text)
            return qm_lines_invalid(line->lines, "match: regex without a 'pattern' that is a text; add one");
        return find_pattern(line, text, &rule->pattern);
    }
    return QM_OK;
}

static enum qm_status read_answers(const struct qm_examples_line *line, const json_t *object,
                                   struct qm_user_example *example)
{
    const char *key = json_object_get(object, "answer")    ? "answer"
                      : json_object_get(object, "answers") ? "answers"
                                                           : "target";
    const json_t *value = json_object_get(object, key);
    if (!value)
        return qm_lines_invalid(line->lines, "'answer' is missing; expected a text or a number%s",
                                example->choice_count > 0 ? ", the index of the right choice" : "");
    if (strcmp(key, "answer") == 0 && json_object_get(object, "answers"))
        return qm_lines_invalid(line->lines, "both 'answer' and 'answers'; expected one of them");
    if (example->choice_count > 0) {
        enum qm_status status = qm_line_right_choice(line, key, value, example);
        bool is_told = status == QM_INVALID && strcmp(key, "target") == 0 && qm_line_choice_by_metric(object, example);
        return is_told ? QM_OK : status;
    }
    if (strcmp(key, "answer") == 0 && json_is_array(value))
        return qm_lines_invalid(line->lines, "'answer' is a list; expected a text or a number, or the key 'answers'");
    bool is_list = false;
    if (strcmp(key, "target") == 0 && json_is_string(value))
        QM_TRY(qm_line_read_list_text(line, json_string_value(value), example, &is_list));
    if (!is_list)
        QM_TRY(read_list(line, key, value, QM_EXAMPLE_ANSWERS_MAX, &example->answers, &example->answer_count));
    if (example->answer_count == 0)
        return qm_lines_invalid(line->lines, "'%s' is empty; expected one answer at least", key);
    double number;
    for (uint32_t i = 0; example->rule.match == QM_MATCH_NUMERIC && i < example->answer_count; i++)
        if (!qm_answer_number(example->answers[i], strlen(example->answers[i]), &number))
            return qm_lines_invalid(line->lines, "'%s' holds no number; expected one, for match: numeric", key);
    return QM_OK;
}

static enum qm_status read_example(const struct qm_examples_line *line, json_t *object, struct qm_user_example *example)
{
    const json_t *arguments = json_object_get(object, "arguments"), *choices = json_object_get(object, "choices");
    const json_t *most = json_object_get(object, "max_tokens");
    example->file = line->file;
    example->line = line->lines->number;
    example->max_tokens = line->params->max_tokens;
    QM_TRY(check_keys(line, object));
    if (arguments) {
        QM_TRY(qm_line_read_arguments(line, arguments, example));
        if (*example->prompt == '\0')
            return qm_lines_invalid(line->lines, "the context of request 0 is empty; expected a prompt");
    } else {
        QM_TRY(require_text(line, "prompt", json_object_get(object, "prompt"), &example->prompt));
        if (choices)
            QM_TRY(read_choices(line, choices, example));
    }
    QM_TRY(qm_line_stops(line, "stop", json_object_get(object, "stop"), example));
    if (most)
        QM_TRY(qm_line_max_tokens(line, "max_tokens", most, example));
    QM_TRY(read_rule(line, object, example));
    return read_answers(line, object, example);
}

// Where an id stands in the table, or would stand.
static size_t place_of_id(const char *const *ids, size_t size, const char *id)
{
    uint64_t hash = 0;
    for (const char *c = id; *c; c++)
        hash = qm_random_mix(hash + (unsigned char)*c);
    size_t at = (size_t)hash & (size - 1);
    while (ids[at] && strcmp(ids[at], id) != 0)
        at = (at + 1) & (size - 1);
    return at;
}

static enum qm_status grow_ids(const struct qm_examples_line *line)
{
    struct qm_examples_room *room = line->room;
    size_t size = room->id_room > 0 ? 2 * room->id_room : 256;
    const char **ids = calloc(size, sizeof(*ids));
    if (!ids)
        return no_memory(line);
    for (size_t i = 0; i < room->id_room; i++)
        if (room->ids[i])
            ids[place_of_id(ids, size, room->ids[i])] = room->ids[i];
    free(room->ids);
    room->ids = ids;
    room->id_room = size;
    return QM_OK;
}

// Puts an id into the table; *is_new is false where it was there.
static enum qm_status add_id(const struct qm_examples_line *line, const char *id, bool *is_new)
{
    struct qm_examples_room *room = line->room;
    if (2 * (room->id_count + 1) > room->id_room)
        QM_TRY(grow_ids(line));
    size_t at = place_of_id(room->ids, room->id_room, id);
    *is_new = !room->ids[at];
    room->id_count += *is_new;
    room->ids[at] = id;
    return QM_OK;
}

enum qm_status qm_line_set_id(const struct qm_examples_line *line, const char *own, struct qm_user_example *example,
                              bool *is_new)
{
    if (!line->prefix) {
        QM_TRY(qm_line_keep(line, own, &example->id));
    } else {
        size_t bytes = strlen(line->prefix) + strlen(own) + 2;
        char *id = qm_line_room(line, bytes);
        if (!id)
            return no_memory(line);
        snprintf(id, bytes, "%s/%s", line->prefix, own);
        example->id = id;
    }
    return add_id(line, example->id, is_new);
}

static enum qm_status read_id(const struct qm_examples_line *line, const json_t *object,
                              struct qm_user_example *example, bool *is_taken)
{
    const json_t *own = json_object_get(object, "id"), *doc = json_object_get(object, "doc_id");
    bool is_new = true, is_dump = !own && doc;
    *is_taken = true;
    if (own || doc) {
        const char *text = NULL;
        QM_TRY(qm_line_scalar(line, own ? "id" : "doc_id", own ? own : doc, &text));
        QM_TRY(qm_line_set_id(line, text, example, &is_new));
    } else {
        char number[24];
        size_t bytes = (line->prefix ? strlen(line->prefix) + 1 : 0) + sizeof(number);
        char *id = qm_line_room(line, bytes);
        if (!id)
            return no_memory(line);
        snprintf(id, bytes, "%s%s%zu", line->prefix ? line->prefix : "", line->prefix ? "/" : "", line->lines->number);
        example->id = id;
    }
    if (!is_new && !is_dump)
        return qm_lines_invalid(line->lines, "the id '%.40s' stands in an earlier line; every example needs its own",
                                example->id);
    *is_taken = is_new;
    return QM_OK;
}

enum qm_status qm_line_add(const struct qm_examples_line *line, struct qm_user_examples *examples,
                           const struct qm_user_example *example)
{
    size_t *room = &line->room->example_room;
    if (examples->count == QM_EXAMPLES_MAX)
        return qm_lines_invalid(line->lines, "more than %d examples; use a part of the file", QM_EXAMPLES_MAX);
    if (examples->count == *room) {
        size_t size = *room > 0 ? 2 * *room : 64;
        struct qm_user_example *grown = realloc(examples->examples, size * sizeof(*grown));
        if (!grown)
            return QM_FAIL(QM_OUT_OF_MEMORY, "%s:%zu: no memory for %zu examples", example->file, example->line, size);
        examples->examples = grown;
        *room = size;
    }
    examples->examples[examples->count++] = *example;
    examples->matches[example->rule.match]++;
    examples->sampling += example->asks_sampling;
    return QM_OK;
}

static enum qm_status read_line(const struct qm_examples_line *line, json_t *object, struct qm_user_examples *examples)
{
    struct qm_user_example example = {0};
    bool is_taken = false;
    QM_TRY(read_example(line, object, &example));
    QM_TRY(read_id(line, object, &example, &is_taken));
    examples->repeated += !is_taken;
    examples->harness += is_taken && json_object_get(object, "arguments");
    return is_taken ? qm_line_add(line, examples, &example) : QM_OK;
}

static enum qm_status read_lines(const struct qm_examples_line *line, struct qm_lines *lines,
                                 struct qm_user_examples *examples)
{
    size_t most = line->params->examples_most > 0 ? line->params->examples_most : SIZE_MAX;
    bool is_list = qm_lines_are_list(lines);
    while (examples->count < most) {
        const char *at;
        size_t length;
        json_t *object = NULL;
        QM_TRY(is_list ? qm_lines_next_entry(lines, &at, &length) : qm_lines_next(lines, &at, &length));
        if (!at)
            return QM_OK;
        QM_TRY(qm_lines_json(lines, at, length, QM_EXAMPLES_DEPTH_MAX, &object));
        enum qm_status status = read_line(line, object, examples);
        json_decref(object);
        QM_TRY(status);
    }
    return QM_OK;
}

static enum qm_status check_params(const struct qm_examples_params *params)
{
    if ((unsigned)params->match >= QM_MATCH_CHOICE)
        return QM_FAIL(QM_INVALID,
                       "answers of a file cannot be judged by '%s'; use exact, normalised, numeric or regex",
                       qm_match_name(params->match));
    if (params->max_tokens < 1 || params->max_tokens > QM_EXAMPLE_TOKENS_MAX)
        return QM_FAIL(QM_INVALID, "at most %" PRIu32 " tokens are to be generated; expected 1 to %d",
                       params->max_tokens, QM_EXAMPLE_TOKENS_MAX);
    return QM_OK;
}

// ---- Files ----------------------------------------------------------------------------------------------------------

static enum qm_status begin(const char *name, const struct qm_examples_params *params, struct qm_user_examples **out)
{
    QM_TRY(check_params(params));
    struct qm_user_examples *examples = *out = calloc(1, sizeof(*examples));
    if (examples)
        examples->room = calloc(1, sizeof(*examples->room));
    if (!examples || !examples->room || !(examples->room->file = strdup(name)))
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it", name);
    examples->file = examples->room->file;
    return QM_OK;
}

static enum qm_status too_large(const char *name, size_t bytes)
{
    return QM_FAIL(QM_INVALID, "%s: %zu bytes; at most %zu are read, use a part of it", name, bytes,
                   QM_EXAMPLES_BYTES_MAX);
}

// One file behind those that are there.
static enum qm_status add_file(struct qm_user_examples *examples, const struct qm_examples_params *params,
                               const struct qm_examples_csv *file, bool is_csv, const char *prefix)
{
    struct qm_lines lines = qm_lines_begin(file->name, file->text, file->bytes, QM_EXAMPLES_LINE_MAX);
    struct qm_examples_line line = {&lines, examples->room, params, NULL, NULL};
    if (file->bytes > QM_EXAMPLES_BYTES_MAX - examples->bytes)
        return too_large(file->name, examples->bytes + file->bytes);
    examples->bytes += file->bytes;
    examples->files++;
    QM_TRY(qm_line_keep(&line, file->name, &line.file));
    if (prefix)
        QM_TRY(qm_line_keep(&line, prefix, &line.prefix));
    if (is_csv)
        return qm_examples_read_csv(&line, file, examples);
    return read_lines(&line, &lines, examples);
}

static enum qm_status end(struct qm_user_examples *examples, bool is_csv)
{
    if (examples->count == 0 && is_csv)
        return QM_FAIL(QM_INVALID, "%s: it holds no question; expected records such as \"2 + 2?\",3,4,5,6,B",
                       examples->file);
    if (examples->count == 0)
        return QM_FAIL(QM_INVALID,
                       "%s: the file holds no example; expected lines such as {\"prompt\": ..., "
                       "\"answer\": ...}",
                       examples->file);
    examples->form = is_csv                                 ? QM_EXAMPLES_CSV
                     : examples->harness == examples->count ? QM_EXAMPLES_HARNESS
                                                            : QM_EXAMPLES_LINES;
    qm_user_examples_hash(examples, examples->sha256);
    return QM_OK;
}

static bool is_csv_name(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".csv") == 0;
}

enum qm_status qm_user_examples_parse(const void *bytes, size_t count, const char *name,
                                      const struct qm_examples_params *params, struct qm_user_examples **out)
{
    struct qm_user_examples *examples = NULL;
    const struct qm_examples_csv file = {.name = name, .text = bytes, .bytes = count};
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_GUARD(begin(name, params, &examples));
    QM_GUARD(add_file(examples, params, &file, is_csv_name(name), NULL));
    QM_GUARD(end(examples, is_csv_name(name)));
    qm_hash_bytes(bytes, count, examples->file_sha256);
    *out = examples;
    examples = NULL;
done:
    qm_user_examples_destroy(&examples);
    return status;
}

// "a/abstract_algebra_test.csv" -> "abstract_algebra_test"
static void stem_of(const char *path, char stem[QM_PATH_BYTES])
{
    const char *name = qm_path_name(path), *end = strrchr(name, '.');
    snprintf(stem, QM_PATH_BYTES, "%.*s", (int)(end ? (size_t)(end - name) : strlen(name)), name);
}

// Of "dev/": the file of the same subject, whose name ends in _dev in place of _test.
static enum qm_status read_shots(const struct qm_source *source, const char *path, void **bytes, size_t *count,
                                 char name[QM_PATH_BYTES])
{
    char stem[QM_PATH_BYTES], file[QM_PATH_BYTES + 16];
    stem_of(path, stem);
    char *end = strrchr(stem, '_');
    if (!end || strcmp(end, "_test") != 0)
        return QM_FAIL(QM_INVALID, "%s: beside a dev/ the file of a subject is named SUBJECT_test.csv; rename it",
                       path);
    *end = '\0';
    snprintf(file, sizeof(file), "%s_dev.csv", stem);
    QM_TRY(qm_path_join(name, source->shots, file));
    return qm_file_read(name, QM_EXAMPLES_BYTES_MAX, bytes, count);
}

static enum qm_status load_file(const struct qm_source *source, size_t index, const struct qm_examples_params *params,
                                struct qm_source_hash *hash, struct qm_user_examples *examples)
{
    char path[QM_PATH_BYTES], stem[QM_PATH_BYTES], shots_name[QM_PATH_BYTES];
    void *bytes = NULL, *shots = NULL;
    size_t count = 0, shots_count = 0;
    enum qm_status status = QM_OK;
    QM_GUARD(qm_source_path(source, index, path));
    QM_GUARD(qm_file_read(path, QM_EXAMPLES_BYTES_MAX, &bytes, &count));
    if (*source->shots)
        QM_GUARD(read_shots(source, path, &shots, &shots_count, shots_name));
    stem_of(path, stem);
    const struct qm_examples_csv file = {path, bytes, count, shots ? shots_name : NULL, shots, shots_count};
    QM_GUARD(add_file(examples, params, &file, source->kind == QM_SOURCE_CSV, source->is_directory ? stem : NULL));
    qm_source_hash_add(hash, path, bytes, count);
    if (shots)
        qm_source_hash_add(hash, shots_name, shots, shots_count);
done:
    free(bytes);
    free(shots);
    return status;
}

enum qm_status qm_user_examples_load(const char *path, const struct qm_examples_params *params,
                                     struct qm_user_examples **out)
{
    struct qm_source source;
    struct qm_source_hash hash;
    struct qm_user_examples *examples = NULL;
    enum qm_status status = QM_OK;
    *out = NULL;
    QM_GUARD(qm_source_find(path, &source));
    if (source.kind == QM_SOURCE_TEXT)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s: a text; expected examples, in .jsonl, .ndjson, .json or .csv", path));
    QM_GUARD(begin(path, params, &examples));
    qm_source_hash_begin(&hash, source.is_directory);
    for (size_t i = 0; i < source.files.count; i++)
        QM_GUARD(load_file(&source, i, params, &hash, examples));
    QM_GUARD(end(examples, source.kind == QM_SOURCE_CSV));
    qm_source_hash_end(&hash, examples->file_sha256);
    *out = examples;
    examples = NULL;
done:
    qm_source_free(&source);
    qm_user_examples_destroy(&examples);
    return status;
}

// ---- Hash -----------------------------------------------------------------------------------------------------------

static void hash_number(struct qm_hash *hash, uint32_t number)
{
    char text[16];
    snprintf(text, sizeof(text), "%" PRIu32, number);
    qm_hash_add_text(hash, text);
}

void qm_user_examples_hash(const struct qm_user_examples *examples, char text[QM_HASH_TEXT_BYTES])
{
    struct qm_hash hash;
    char number[QM_DOUBLE_TEXT_BYTES];
    qm_hash_begin(&hash);
    for (uint32_t e = 0; e < examples->count; e++) {
        const struct qm_user_example *example = &examples->examples[e];
        qm_double_text(example->rule.tolerance, number);
        qm_hash_add_text(&hash, qm_match_name(example->rule.match));
        qm_hash_add_text(&hash, example->rule.pattern ? qm_answer_pattern_text(example->rule.pattern) : "");
        qm_hash_add_text(&hash, number);
        qm_hash_add_text(&hash, example->prompt);
        hash_number(&hash, example->answer_count);
        for (uint32_t i = 0; i < example->answer_count; i++)
            qm_hash_add_text(&hash, example->answers[i]);
        hash_number(&hash, example->choice_count);
        for (uint32_t i = 0; i < example->choice_count; i++) {
            qm_hash_add_text(&hash, example->choices[i].prompt);
            qm_hash_add_text(&hash, example->choices[i].text);
        }
        hash_number(&hash, example->right_choice);
        hash_number(&hash, example->stop_count);
        for (uint32_t i = 0; i < example->stop_count; i++)
            qm_hash_add_text(&hash, example->stops[i]);
        hash_number(&hash, example->max_tokens);
    }
    qm_hash_end(&hash, text);
}

void qm_user_examples_destroy(struct qm_user_examples **examples)
{
    if (!*examples)
        return;
    struct qm_examples_room *room = (*examples)->room;
    if (room) {
        for (struct qm_examples_block *block = room->blocks, *next; block; block = next) {
            next = block->next;
            free(block);
        }
        for (uint32_t i = 0; i < room->pattern_count; i++)
            qm_answer_pattern_destroy(&room->patterns[i]);
        free(room->ids);
        free(room->file);
        free(room);
    }
    free((*examples)->examples);
    free(*examples);
    *examples = NULL;
}
