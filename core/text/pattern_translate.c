// Oniguruma's regular expressions (Ruby's syntax, UTF-8) as PCRE2's. What is rewritten, since PCRE2 means something else:
//
//   \s \S     Unicode's White_Space; PCRE2's own also has U+180E
//   \w \W \b  Alphabetic, Mark, Number, Connector_Punctuation; PCRE2's own has no marks and no circled letters
//   \h \v \u  a hexadecimal digit, the vertical tab, and \uHHHH
//   \p{Han}   the script; PCRE2 takes a script's name for its extensions
//   {,n}      {0,n}; and {n,m}+ repeats what {n,m} matches, where PCRE2 takes it for possessive
//   (?m)      PCRE2's (?s); ^ and $ are at lines always (PCRE2_MULTILINE)
//
// What is refused: classes within classes, && and [:names:]; \W within a class; options but i and m, and those set for the
// rest of a group; comments, verbs, recursion, conditions, callouts; \K \G \R \X \g \k \o \N \Q and octal codes.
#include "text/pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define GROUPS_MAX 64
#define NO_ATOM SIZE_MAX

#define SPACE "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define NO_SPACE                                                                                                       \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}" \
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
#define WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"

struct translation {
    const char *file, *place, *text;
    size_t count, at;
    struct qm_bytes *out;
    size_t groups[GROUPS_MAX]; // where each open group begins in `out`
    size_t depth;
    size_t atom;      // where in `out` what a quantifier would repeat begins
    bool is_interval; // the atom has a {n,m} behind it
};

static enum qm_status refuse(const struct translation *t, const char *what)
{
    return QM_FAIL(QM_UNSUPPORTED, "%s: %s: the pattern has %s (byte %zu), which is not supported; write it without",
                   t->file, t->place, what, t->at);
}

static enum qm_status emit(struct translation *t, const char *text)
{
    return qm_bytes_add(t->out, text, strlen(text));
}

static char peek(const struct translation *t, size_t ahead)
{
    return t->at + ahead < t->count ? t->text[t->at + ahead] : '\0';
}

static bool is_category(const char *name)
{
    static const char *const names[] = {"C",  "Cc", "Cf", "Cn", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt", "Lu", "M",
                                        "Mc", "Me", "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe", "Pf", "Pi",
                                        "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zp", "Zs"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

// \p{Name}, \p{^Name}; t->at is at the letter.
static enum qm_status property(struct translation *t)
{
    char name[41] = "", text[64];
    bool is_not = peek(t, 0) == 'P';
    size_t length = 0;
    t->at++;
    if (peek(t, 0) != '{')
        return refuse(t, "\\p without braces");
    t->at++;
    if (peek(t, 0) == '^') {
        is_not = !is_not;
        t->at++;
    }
    while (isalnum((unsigned char)peek(t, 0)) || peek(t, 0) == '_' || peek(t, 0) == ' ' || peek(t, 0) == '-') {
        if (length + 1 == sizeof(name))
            return refuse(t, "a \\p{} with a long name");
        name[length++] = t->text[t->at++];
    }
    name[length] = '\0';
    if (peek(t, 0) != '}' || length == 0)
        return refuse(t, "a \\p{} with no name in it");
    t->at++;
    bool is_script = !is_category(name) && qm_pattern_is_script(name);
    snprintf(text, sizeof(text), "\\%c{%s%s}", is_not ? 'P' : 'p', is_script ? "sc:" : "", name);
    return emit(t, text);
}

// \xHH, \x{HHHH}, \uHHHH; t->at is at the letter.
static enum qm_status code_point(struct translation *t)
{
    char text[24];
    bool is_long = peek(t, 0) == 'u', is_braced = peek(t, 0) == 'x' && peek(t, 1) == '{';
    size_t digits = 0, most = is_braced ? 8 : is_long ? 4 : 2;
    uint32_t code = 0;
    t->at += is_braced ? 2 : 1;
    for (; digits < most && isxdigit((unsigned char)peek(t, 0)); digits++) {
        char digit = (char)tolower((unsigned char)t->text[t->at++]);
        code = code << 4 | (uint32_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    bool is_closed = !is_braced || peek(t, 0) == '}';
    t->at += is_braced && is_closed;
    if (digits == 0 || !is_closed || (is_long && digits != 4) || (!is_long && !is_braced && code > 0x7f) ||
        code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return refuse(t, "a character's code that is none");
    snprintf(text, sizeof(text), "\\x{%x}", code);
    return emit(t, text);
}

// What means one character, in a class or not; *done: whether it was such an escape. t->at is behind the backslash.
static enum qm_status simple_escape(struct translation *t, bool *done)
{
    char letter = peek(t, 0), text[3] = {'\\', letter, '\0'};
    *done = true;
    if (letter == 'x' || letter == 'u')
        return code_point(t);
    if (letter == 'p' || letter == 'P')
        return property(t);
    if (letter != '\0' && strchr("nrtfea", letter)) {
        t->at++;
        return emit(t, text);
    }
    if (letter == 'v') {
        t->at++;
        return emit(t, "\\x{b}");
    }
    if (letter == 'd' || letter == 'D') {
        t->at++;
        return emit(t, letter == 'd' ? "\\p{Nd}" : "\\P{Nd}");
    }
    if ((unsigned char)letter >= 0x80) // means itself
        return QM_OK;
    if (t->at < t->count && !isalnum((unsigned char)letter) && letter != '\0') {
        t->at++;
        return emit(t, text);
    }
    *done = false;
    return QM_OK;
}

static enum qm_status escape(struct translation *t)
{
    static const struct {
        char letter;
        const char *text;
    } rewritten[] = {
        {'s', "[" SPACE "]"},
        {'S', "[^" SPACE "]"},
        {'w', "[" WORD "]"},
        {'W', "[^" WORD "]"},
        {'h', "[0-9a-fA-F]"},
        {'H', "[^0-9a-fA-F]"},
        {'b', "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))"},
        {'B', "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))"},
        {'A', "\\A"},
        {'z', "\\z"},
        {'Z', "\\Z"},
    };
    bool done = false;
    t->atom = t->out->count;
    t->is_interval = false;
    t->at++;
    if (t->at >= t->count)
        return refuse(t, "a backslash at its end");
    for (size_t i = 0; i < sizeof(rewritten) / sizeof(rewritten[0]); i++) {
        if (peek(t, 0) == rewritten[i].letter) {
            t->at++;
            return emit(t, rewritten[i].text);
        }
    }
    if (peek(t, 0) >= '1' && peek(t, 0) <= '9' && !isdigit((unsigned char)peek(t, 1))) {
        char text[3] = {'\\', t->text[t->at++], '\0'};
        return emit(t, text);
    }
    QM_TRY(simple_escape(t, &done));
    if (done)
        return QM_OK;
    char what[24];
    snprintf(what, sizeof(what), "'\\%c'", isprint((unsigned char)peek(t, 0)) ? peek(t, 0) : '?');
    return refuse(t, what);
}

static bool is_set_letter(char letter)
{
    return letter != '\0' && strchr("sSwWdDhHpP", letter) != NULL;
}

static enum qm_status class_escape(struct translation *t, bool *is_set)
{
    bool done = false;
    t->at++;
    char letter = peek(t, 0);
    *is_set = is_set_letter(letter);
    if (letter == 'W')
        return refuse(t, "\\W within a class");
    const char *text = letter == 's'   ? SPACE
                       : letter == 'S' ? NO_SPACE
                       : letter == 'w' ? WORD
                       : letter == 'h' ? "0-9a-fA-F"
                       : letter == 'b' ? "\\x{8}"
                                       : NULL;
    if (text) {
        t->at++;
        return emit(t, text);
    }
    QM_TRY(simple_escape(t, &done));
    return done ? QM_OK : refuse(t, "an unknown escape within a class");
}

// [...]; t->at is at the bracket.
static enum qm_status class(struct translation *t) {
    bool after_set = false; t->atom = t->out->count; t->is_interval = false; QM_TRY(emit(t, "[")); t->at++;
        if (peek(t, 0) == '^'){QM_TRY(emit(t, "^")); t->at++;
}
for (bool is_first = true;; is_first = false)
{
    char c = peek(t, 0);
    if (t->at >= t->count)
        return refuse(t, "a '[' without its ']'");
    if (c == ']' && !is_first)
        break;
    if (c == '[')
        return refuse(t, "a class within a class");
    if (c == '&' && peek(t, 1) == '&')
        return refuse(t, "'&&' within a class");
    bool is_set = false;
    if (c == '\\') {
        QM_TRY(class_escape(t, &is_set));
    } else if (c == ']') {
        QM_TRY(emit(t, "\\]"));
        t->at++;
    } else if (c == '-' &&
               (is_first || after_set || peek(t, 1) == ']' || (peek(t, 1) == '\\' && is_set_letter(peek(t, 2))))) {
        QM_TRY(emit(t, "\\-"));
        t->at++;
    } else {
        QM_TRY(qm_bytes_add(t->out, &c, 1));
        t->at++;
    }
    after_set = is_set;
}
t->at++;
return emit(t, "]");
}

// Options, as in (?i: and (?i-m: ; t->at is behind the question mark.
static enum qm_status options(struct translation *t, bool is_begin)
{
    char text[8] = "";
    size_t used = 0;
    while (peek(t, 0) == 'i' || peek(t, 0) == 'm' || peek(t, 0) == '-') {
        if (used + 1 == sizeof(text))
            return refuse(t, "a long list of options");
        text[used++] = peek(t, 0) == 'm' ? 's' : peek(t, 0);
        t->at++;
    }
    char end = peek(t, 0);
    if (end != ':' && end != ')')
        return refuse(t, "a group of another kind than (?: (?= (?! (?<= (?<! (?> (?<name> (?i: (?m:");
    if (end == ')' && !is_begin)
        return refuse(t, "options for the rest of a group");
    QM_TRY(emit(t, text));
    if (end == ':') {
        t->at++;
        QM_TRY(emit(t, ":"));
    }
    return QM_OK;
}

static enum qm_status open_group(struct translation *t)
{
    bool is_begin = t->at == 0;
    if (t->depth == GROUPS_MAX)
        return refuse(t, "more than 64 groups within another");
    t->groups[t->depth++] = t->out->count;
    t->atom = NO_ATOM;
    t->at++;
    QM_TRY(emit(t, "("));
    if (peek(t, 0) == '*')
        return refuse(t, "'(*'");
    if (peek(t, 0) != '?')
        return QM_OK;
    t->at++;
    QM_TRY(emit(t, "?"));
    char kind = peek(t, 0), next = peek(t, 1);
    bool is_plain = kind == ':' || kind == '=' || kind == '!' || kind == '>';
    bool is_behind = kind == '<' && (next == '=' || next == '!' || isalpha((unsigned char)next));
    if (!is_plain && !is_behind)
        return options(t, is_begin);
    QM_TRY(qm_bytes_add(t->out, t->text + t->at, is_plain ? 1 : 2));
    t->at += is_plain ? 1 : 2;
    if (is_behind && isalpha((unsigned char)next)) { // the name
        while (isalnum((unsigned char)peek(t, 0)) || peek(t, 0) == '_')
            QM_TRY(qm_bytes_add(t->out, t->text + t->at++, 1));
        if (peek(t, 0) != '>')
            return refuse(t, "a group's name without its '>'");
        QM_TRY(emit(t, ">"));
        t->at++;
    }
    return QM_OK;
}

// {n}, {n,}, {n,m}, {,m}; anything else that begins with a brace is that brace.
static enum qm_status interval(struct translation *t)
{
    char text[32];
    size_t at = t->at + 1, low = 0, high = 0, digits = 0;
    bool has_low = false, has_high = false, has_comma = false;
    for (; at < t->count && isdigit((unsigned char)t->text[at]) && digits < 6; at++, digits++)
        low = 10 * low + (size_t)(t->text[at] - '0');
    has_low = digits > 0;
    if (at < t->count && t->text[at] == ',') {
        has_comma = true;
        at++;
        for (digits = 0; at < t->count && isdigit((unsigned char)t->text[at]) && digits < 6; at++, digits++)
            high = 10 * high + (size_t)(t->text[at] - '0');
        has_high = digits > 0;
    }
    if (at >= t->count || t->text[at] != '}' || (!has_low && !has_high)) {
        t->atom = t->out->count;
        t->is_interval = false;
        t->at++;
        return emit(t, "\\{");
    }
    if (t->atom == NO_ATOM)
        return refuse(t, "a '{' with nothing to repeat before it");
    t->at = at + 1;
    if (!has_comma && peek(t, 0) == '?')
        return refuse(t, "a '?' behind a fixed {n}");
    if (has_high)
        snprintf(text, sizeof(text), "{%zu,%zu}", low, high);
    else
        snprintf(text, sizeof(text), has_comma ? "{%zu,}" : "{%zu}", low);
    t->is_interval = true;
    return emit(t, text);
}

// Puts a group around the atom and its {n,m}, so that what follows repeats both.
static enum qm_status wrap_atom(struct translation *t)
{
    static const char begin[] = "(?:";
    size_t bytes = sizeof(begin) - 1;
    QM_TRY(qm_bytes_reserve(t->out, bytes));
    memmove(t->out->data + t->atom + bytes, t->out->data + t->atom, t->out->count - t->atom);
    memcpy(t->out->data + t->atom, begin, bytes);
    t->out->count += bytes;
    return emit(t, ")");
}

static enum qm_status quantifier(struct translation *t)
{
    if (t->atom == NO_ATOM)
        return refuse(t, "a quantifier with nothing to repeat before it");
    if (t->is_interval && peek(t, 0) != '?')
        QM_TRY(wrap_atom(t));
    t->is_interval = false;
    return qm_bytes_add(t->out, t->text + t->at++, 1);
}

static enum qm_status one(struct translation *t)
{
    char c = t->text[t->at];
    switch (c) {
    case '\\':
        return escape(t);
    case '[':
        return class(t);
    case '(':
        return open_group(t);
    case ')':
        if (t->depth == 0)
            return refuse(t, "a ')' without its '('");
        t->atom = t->groups[--t->depth];
        t->is_interval = false;
        break;
    case '{':
        return interval(t);
    case '*':
    case '+':
    case '?':
        return quantifier(t);
    case '|':
    case '^':
    case '$':
        t->atom = NO_ATOM;
        break;
    default:
        if (((unsigned char)c & 0xc0) != 0x80) { // the begin of a character
            t->atom = t->out->count;
            t->is_interval = false;
        }
    }
    t->at++;
    return qm_bytes_add(t->out, &c, 1);
}

enum qm_status qm_pattern_translate(const char *file, const char *place, const char *text, size_t count,
                                    struct qm_bytes *out)
{
    struct translation t = {.file = file, .place = place, .text = text, .count = count, .out = out, .atom = NO_ATOM};
    if (qm_utf8_valid(text, count) < count)
        return refuse(&t, "bytes that are not UTF-8");
    while (t.at < t.count)
        QM_TRY(one(&t));
    return t.depth > 0 ? refuse(&t, "a '(' without its ')'") : QM_OK;
}
