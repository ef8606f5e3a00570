#include "text/json.h"
#include "text/utf8.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    struct qm_json *json;
    size_t at, count, line, capacity;
};

static enum qm_status syntax(const struct reader *reader, const char *what)
{
    return QM_FAIL(QM_INVALID, "%s:%zu: %s", reader->json->file, reader->line, what);
}

static enum qm_status out_of_memory(const struct reader *reader)
{
    return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory to read it; close other programs and try again",
                   reader->json->file);
}

static void skip_blanks(struct reader *reader)
{
    const char *bytes = reader->json->bytes;
    for (; reader->at < reader->count; reader->at++) {
        char byte = bytes[reader->at];
        if (byte != ' ' && byte != '\t' && byte != '\r' && byte != '\n')
            return;
        reader->line += byte == '\n';
    }
}

static enum qm_status add(struct reader *reader, enum qm_json_kind kind, size_t begin, size_t length)
{
    struct qm_json *json = reader->json;
    if (json->count >= QM_JSON_VALUES_MAX)
        return QM_FAIL(QM_INVALID, "%s:%zu: more than %u values; a tokenizer's file has fewer", json->file,
                       reader->line, QM_JSON_VALUES_MAX);
    if (json->count == reader->capacity) {
        size_t capacity = reader->capacity ? 2 * reader->capacity : 256;
        struct qm_json_value *grown = realloc(json->values, capacity * sizeof(*grown));
        if (!grown)
            return out_of_memory(reader);
        json->values = grown;
        reader->capacity = capacity;
    }
    json->values[json->count] =
        (struct qm_json_value){kind, (uint32_t)begin, (uint32_t)length, (uint32_t)json->count + 1};
    json->count++;
    return QM_OK;
}

static bool hexadecimal(const char *at, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        *out = *out << 4 | digit;
    }
    return true;
}

// \uXXXX, of which there may be two; reader->at is behind the 'u'.
static enum qm_status read_code(struct reader *reader, uint32_t *code)
{
    const char *bytes = reader->json->bytes;
    uint32_t low = 0;
    if (reader->count - reader->at < 4 || !hexadecimal(bytes + reader->at, code))
        return syntax(reader, "\\u without four hexadecimal digits; write such as \\u0041");
    reader->at += 4;
    if (*code < 0xd800 || *code > 0xdfff)
        return QM_OK;
    if (*code > 0xdbff || reader->count - reader->at < 6 || bytes[reader->at] != '\\' || bytes[reader->at + 1] != 'u' ||
        !hexadecimal(bytes + reader->at + 2, &low) || low < 0xdc00 || low > 0xdfff)
        return syntax(reader, "half of a surrogate pair; write both halves, or the character itself");
    reader->at += 6;
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return QM_OK;
}

// reader->at is at the quote. What is decoded is never longer than what was written.
static enum qm_status read_text(struct reader *reader)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char *bytes = reader->json->bytes;
    size_t begin = ++reader->at, to = begin;
    while (reader->at < reader->count && bytes[reader->at] != '"') {
        char byte = bytes[reader->at++];
        if ((unsigned char)byte < 0x20)
            return syntax(reader, "a control character within a text; write it as an escape, such as \\n");
        if (byte != '\\') {
            bytes[to++] = byte;
            continue;
        }
        if (reader->at == reader->count)
            break;
        char escape = bytes[reader->at++];
        const char *name = escape ? strchr(names, escape) : NULL;
        if (name) {
            bytes[to++] = meant[name - names];
        } else if (escape == 'u') {
            uint32_t code = 0;
            QM_TRY(read_code(reader, &code));
            to += qm_utf8_write(code, bytes + to);
        } else {
            return syntax(reader, "an escape that JSON does not have; it has \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
        }
    }
    if (reader->at >= reader->count)
        return syntax(reader, "a text without an end; the file may be cut short");
    reader->at++;
    return add(reader, QM_JSON_TEXT, begin, to - begin);
}

static size_t digits(const struct reader *reader, size_t at)
{
    size_t count = 0;
    while (at + count < reader->count && reader->json->bytes[at + count] >= '0' &&
           reader->json->bytes[at + count] <= '9')
        count++;
    return count;
}

static enum qm_status read_number(struct reader *reader)
{
    static const char expected[] = "expected a value: a text, a number, a list, an object, true, false or null";
    const char *bytes = reader->json->bytes;
    size_t begin = reader->at, at = begin, whole = 0;
    at += bytes[at] == '-';
    whole = digits(reader, at);
    if (whole == 0)
        return syntax(reader, expected);
    if (whole > 1 && bytes[at] == '0')
        return syntax(reader, "a number that begins with 0; write it without");
    at += whole;
    if (at < reader->count && bytes[at] == '.') {
        size_t fraction = digits(reader, ++at);
        if (fraction == 0)
            return syntax(reader, "a number that ends in a point; write digits behind it");
        at += fraction;
    }
    if (at < reader->count && (bytes[at] == 'e' || bytes[at] == 'E')) {
        at++;
        at += at < reader->count && (bytes[at] == '+' || bytes[at] == '-');
        size_t exponent = digits(reader, at);
        if (exponent == 0)
            return syntax(reader, "a number without its exponent; write digits behind the e");
        at += exponent;
    }
    reader->at = at;
    return add(reader, QM_JSON_NUMBER, begin, at - begin);
}

static enum qm_status read_scalar(struct reader *reader)
{
    static const struct {
        const char *word;
        enum qm_json_kind kind;
    } words[] = {{"null", QM_JSON_NULL}, {"true", QM_JSON_TRUE}, {"false", QM_JSON_FALSE}};
    const char *at = reader->json->bytes + reader->at;
    if (*at == '"')
        return read_text(reader);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t length = strlen(words[i].word);
        if (reader->count - reader->at >= length && memcmp(at, words[i].word, length) == 0) {
            reader->at += length;
            return add(reader, words[i].kind, reader->at - length, length);
        }
    }
    return read_number(reader);
}

// A key, or what stands instead of one; then the colon.
static enum qm_status read_key(struct reader *reader)
{
    if (reader->at >= reader->count || reader->json->bytes[reader->at] != '"')
        return syntax(reader, "expected a key in quotes");
    QM_TRY(read_text(reader));
    skip_blanks(reader);
    if (reader->at >= reader->count || reader->json->bytes[reader->at] != ':')
        return syntax(reader, "expected ':' behind a key");
    reader->at++;
    skip_blanks(reader);
    return QM_OK;
}

// Behind a value: closes what ends here, and stands at the next value, or has closed all.
static enum qm_status read_behind(struct reader *reader, uint32_t *open, size_t *depth)
{
    while (*depth > 0) {
        struct qm_json_value *value = &reader->json->values[open[*depth - 1]];
        bool is_list = value->kind == QM_JSON_LIST;
        skip_blanks(reader);
        char byte = reader->at < reader->count ? reader->json->bytes[reader->at] : '\0';
        if (byte == (is_list ? ']' : '}')) {
            value->next = (uint32_t)reader->json->count;
            reader->at++;
            --*depth;
            continue;
        }
        if (reader->at >= reader->count)
            return syntax(reader, "the file ends within a list or object; it may be cut short");
        if (byte != ',')
            return syntax(reader,
                          is_list ? "expected ',' or ']' behind a value" : "expected ',' or '}' behind a value");
        reader->at++;
        skip_blanks(reader);
        value->length++;
        return is_list ? QM_OK : read_key(reader);
    }
    return QM_OK;
}

static enum qm_status read_all(struct reader *reader)
{
    uint32_t open[QM_JSON_DEPTH_MAX];
    size_t depth = 0;
    skip_blanks(reader);
    do {
        char byte = reader->at < reader->count ? reader->json->bytes[reader->at] : '\0';
        if (reader->at >= reader->count)
            return syntax(reader, "the file ends where a value should be; it may be cut short");
        if (byte != '[' && byte != '{') {
            QM_TRY(read_scalar(reader));
            QM_TRY(read_behind(reader, open, &depth));
            continue;
        }
        if (depth == QM_JSON_DEPTH_MAX)
            return QM_FAIL(QM_INVALID, "%s:%zu: nested deeper than %d; a tokenizer's file is flatter",
                           reader->json->file, reader->line, QM_JSON_DEPTH_MAX);
        open[depth] = (uint32_t)reader->json->count;
        QM_TRY(add(reader, byte == '[' ? QM_JSON_LIST : QM_JSON_OBJECT, reader->at, 0));
        depth++;
        reader->at++;
        skip_blanks(reader);
        if (reader->at < reader->count && reader->json->bytes[reader->at] == (byte == '[' ? ']' : '}')) {
            QM_TRY(read_behind(reader, open, &depth));
            continue;
        }
        reader->json->values[open[depth - 1]].length = 1;
        if (byte == '{')
            QM_TRY(read_key(reader));
    } while (depth > 0);
    skip_blanks(reader);
    if (reader->at < reader->count)
        return syntax(reader, "something stands behind the end of the value; expected nothing more");
    return QM_OK;
}

enum qm_status qm_json_parse(const char *bytes, size_t count, const char *file, struct qm_json *out)
{
    *out = (struct qm_json){.file = file};
    struct reader reader = {.json = out, .count = count, .line = 1};
    if (count >= UINT32_MAX)
        return QM_FAIL(QM_INVALID, "%s: %zu bytes; at most %u can be read", file, count, UINT32_MAX - 1);
    if (count >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
        return syntax(&reader, "begins with a byte order mark; save it as UTF-8 without");
    size_t valid = qm_utf8_valid(bytes, count);
    if (valid < count) {
        for (size_t i = 0; i < valid; i++)
            reader.line += bytes[i] == '\n';
        return QM_FAIL(QM_INVALID, "%s:%zu: byte 0x%02x is not UTF-8; JSON is written in that", file, reader.line,
                       (unsigned char)bytes[valid]);
    }
    out->bytes = malloc(count + 1);
    if (!out->bytes)
        return out_of_memory(&reader);
    memcpy(out->bytes, bytes, count);
    out->bytes[count] = '\0';
    enum qm_status status = read_all(&reader);
    if (status != QM_OK)
        qm_json_free(out);
    return status;
}

void qm_json_free(struct qm_json *json)
{
    free(json->bytes);
    free(json->values);
    *json = (struct qm_json){0};
}

const char *qm_json_text(const struct qm_json *json, uint32_t at)
{
    return json->bytes + json->values[at].begin;
}

bool qm_json_is(const struct qm_json *json, uint32_t at, enum qm_json_kind kind)
{
    return at != QM_JSON_NONE && json->values[at].kind == kind;
}

bool qm_json_is_null(const struct qm_json *json, uint32_t at)
{
    return at == QM_JSON_NONE || json->values[at].kind == QM_JSON_NULL;
}

bool qm_json_equals(const struct qm_json *json, uint32_t at, const char *text)
{
    size_t length = strlen(text);
    return qm_json_is(json, at, QM_JSON_TEXT) && json->values[at].length == length &&
           memcmp(qm_json_text(json, at), text, length) == 0;
}

bool qm_json_whole(const struct qm_json *json, uint32_t at, uint32_t largest, uint32_t *out)
{
    if (!qm_json_is(json, at, QM_JSON_NUMBER) || json->values[at].length > 10)
        return false;
    uint64_t value = 0;
    for (uint32_t i = 0; i < json->values[at].length; i++) {
        char digit = qm_json_text(json, at)[i];
        if (digit < '0' || digit > '9')
            return false;
        value = 10 * value + (uint64_t)(digit - '0');
    }
    *out = (uint32_t)value;
    return value <= largest;
}

enum qm_status qm_json_member(const struct qm_json *json, uint32_t object, const char *place, const char *key,
                              uint32_t *out)
{
    *out = QM_JSON_NONE;
    if (!qm_json_is(json, object, QM_JSON_OBJECT))
        return QM_OK;
    uint32_t at = object + 1;
    for (uint32_t i = 0; i < json->values[object].length; i++) {
        if (qm_json_equals(json, at, key)) {
            if (*out != QM_JSON_NONE)
                return QM_FAIL(QM_INVALID, "%s: %s: key '%s' stands twice; remove one of the two", json->file, place,
                               key);
            *out = at + 1;
        }
        at = json->values[at + 1].next;
    }
    return QM_OK;
}
