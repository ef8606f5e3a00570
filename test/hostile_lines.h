// Lines that tokenizers get wrong: 10,000 of them, made from their index alone, so that the original implementation can be
// asked about the same bytes (tools/print_hostile_lines.c). They may hold any byte, newlines and zeros among them.
//
// Characters are of Unicode 14 at most: what PCRE2 10.42 knows. Where a character came later, implementations differ by the
// Unicode that they were built with, and not by what they do.
#ifndef QM_TEST_HOSTILE_LINES_H
#define QM_TEST_HOSTILE_LINES_H

#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HOSTILE_LINES 10000u
#define HOSTILE_LINE_BYTES 131072u // the longest

struct hostile_line {
    char bytes[HOSTILE_LINE_BYTES];
    size_t count;
};

struct hostile_range {
    uint32_t first, last;
};

static inline void hostile_add(struct hostile_line *line, const char *bytes, size_t count)
{
    if (line->count + count <= HOSTILE_LINE_BYTES) {
        memcpy(line->bytes + line->count, bytes, count);
        line->count += count;
    }
}

static inline void hostile_text(struct hostile_line *line, const char *text)
{
    hostile_add(line, text, strlen(text));
}

static inline void hostile_code(struct hostile_line *line, uint32_t code)
{
    char bytes[4];
    if (code < 0x80) {
        bytes[0] = (char)code;
        hostile_add(line, bytes, 1);
    } else if (code < 0x800) {
        bytes[0] = (char)(0xc0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 0x3f));
        hostile_add(line, bytes, 2);
    } else if (code < 0x10000) {
        bytes[0] = (char)(0xe0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[2] = (char)(0x80 | (code & 0x3f));
        hostile_add(line, bytes, 3);
    } else {
        bytes[0] = (char)(0xf0 | code >> 18);
        bytes[1] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[2] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[3] = (char)(0x80 | (code & 0x3f));
        hostile_add(line, bytes, 4);
    }
}

static inline uint32_t hostile_below(struct qm_random *random, uint32_t bound)
{
    return qm_random_below(random, bound);
}

static inline uint32_t hostile_from(struct qm_random *random, const struct hostile_range *ranges, uint32_t count)
{
    const struct hostile_range *range = &ranges[hostile_below(random, count)];
    return range->first + hostile_below(random, range->last - range->first + 1);
}

#define HOSTILE_COUNT(list) (uint32_t)(sizeof(list) / sizeof((list)[0]))
#define HOSTILE_PICK(random, list) (list)[hostile_below((random), HOSTILE_COUNT(list))]

// Texts of our own, for words that vocabularies know.
static inline void hostile_words(struct hostile_line *line, struct qm_random *random)
{
    static const char *const words[] = {"the",        "model",      "quantization",
                                        "weights",    "of",         "a",
                                        "device",     "runs",       "tokens",
                                        "per",        "second",     "I'm",
                                        "don't",      "we'll",      "they've",
                                        "it's",       "you're",     "he'd",
                                        "THE",        "IT'S",       "Wouldn'T",
                                        "baseline",   "ISN'T",      "camelCase",
                                        "snake_case", "x86-64",     "3.14159",
                                        "1,000,000",  "2026-11-28", "e.g.",
                                        "...",        "--verbose",  "http://a.b/c?d=e&f",
                                        "user@host",  "f(x)",       "[0]",
                                        "{}",         "\"quoted\"", "'single'",
                                        "#include",   "<stdio.h>",  "100%",
                                        "$5",         "C++",        "na\xc3\xafve",
                                        "caf\xc3\xa9"};
    static const char *const gaps[] = {" ", " ", " ", " ", " ", "  ", ", ", ". ", "\n", "\t", "-", "; ", "   ", "\r\n"};
    for (uint32_t i = 1 + hostile_below(random, 20); i > 0; i--) {
        hostile_text(line, HOSTILE_PICK(random, words));
        if (i > 1 || hostile_below(random, 4) == 0)
            hostile_text(line, HOSTILE_PICK(random, gaps));
    }
}

static inline void hostile_scripts(struct hostile_line *line, struct qm_random *random)
{
    // Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic, Devanagari, Bengali, Tamil, Thai, Georgian, Ethiopic, Cherokee,
    // Khmer, Mongolian, Hiragana, Katakana, Han, Hangul, Gothic, Deseret, Cuneiform, mathematical letters.
    static const struct hostile_range scripts[] = {
        {0x61, 0x7a},       {0xc0, 0x24f},      {0x391, 0x3c9},     {0x410, 0x44f},     {0x561, 0x587},
        {0x5d0, 0x5ea},     {0x620, 0x64a},     {0x905, 0x939},     {0x985, 0x98c},     {0xb85, 0xb8a},
        {0xe01, 0xe3a},     {0x10d0, 0x10fa},   {0x1200, 0x1248},   {0x13a0, 0x13ef},   {0x1780, 0x17b3},
        {0x1820, 0x1877},   {0x3041, 0x3096},   {0x30a1, 0x30fa},   {0x4e00, 0x9fa5},   {0xac00, 0xd7a3},
        {0x10330, 0x10349}, {0x10400, 0x1044f}, {0x12000, 0x12100}, {0x1d400, 0x1d454}, {0x20000, 0x2a6d6}};
    for (uint32_t words = 1 + hostile_below(random, 8); words > 0; words--) {
        const struct hostile_range *script = &HOSTILE_PICK(random, scripts);
        for (uint32_t i = 1 + hostile_below(random, 9); i > 0; i--)
            hostile_code(line, script->first + hostile_below(random, script->last - script->first + 1));
        if (hostile_below(random, 3) > 0)
            hostile_text(line, " ");
    }
}

static inline void hostile_marks(struct hostile_line *line, struct qm_random *random)
{
    static const struct hostile_range bases[] = {{0x41, 0x5a},     {0x61, 0x7a},     {0x3b1, 0x3c9}, {0x915, 0x939},
                                                 {0x1100, 0x1112}, {0xac00, 0xac20}, {0x5d0, 0x5ea}, {0x20, 0x20}};
    static const struct hostile_range marks[] = {
        {0x300, 0x36f},   {0x591, 0x5bd},   {0x64b, 0x655},   {0x93c, 0x94d},   {0x1161, 0x1175},  {0x11a8, 0x11c2},
        {0x1dc0, 0x1df5}, {0x20d0, 0x20dc}, {0x3099, 0x309a}, {0xfe20, 0xfe2f}, {0x1d165, 0x1d169}};
    for (uint32_t i = 1 + hostile_below(random, 10); i > 0; i--) {
        hostile_code(line, hostile_from(random, bases, HOSTILE_COUNT(bases)));
        for (uint32_t k = hostile_below(random, 5) == 0 ? hostile_below(random, 30) : hostile_below(random, 4); k > 0;
             k--)
            hostile_code(line, hostile_from(random, marks, HOSTILE_COUNT(marks)));
    }
}

static inline void hostile_emoji(struct hostile_line *line, struct qm_random *random)
{
    static const struct hostile_range emoji[] = {{0x1f600, 0x1f64f}, {0x1f466, 0x1f487}, {0x1f300, 0x1f320},
                                                 {0x2600, 0x26ff},   {0x1f680, 0x1f6c5}, {0x1f910, 0x1f9ff}};
    static const uint32_t joiners[] = {0x200d, 0xfe0f, 0xfe0e, 0x20e3, 0x200c, 0x1f3fb, 0x1f3ff, 0xe0067, 0xe007f};
    for (uint32_t i = 1 + hostile_below(random, 12); i > 0; i--) {
        if (hostile_below(random, 5) == 0) { // a flag, or half of one
            hostile_code(line, 0x1f1e6 + hostile_below(random, 26));
            hostile_code(line, 0x1f1e6 + hostile_below(random, 26));
        }
        hostile_code(line, hostile_from(random, emoji, HOSTILE_COUNT(emoji)));
        for (uint32_t k = hostile_below(random, 3); k > 0; k--)
            hostile_code(line, HOSTILE_PICK(random, joiners));
        if (hostile_below(random, 3) == 0)
            hostile_text(line, hostile_below(random, 2) ? " " : "a");
    }
}

static inline void hostile_directions(struct hostile_line *line, struct qm_random *random)
{
    static const struct hostile_range letters[] = {{0x5d0, 0x5ea}, {0x627, 0x64a}, {0x710, 0x72f}, {0x780, 0x7a5},
                                                   {0x660, 0x669}, {0x6f0, 0x6f9}, {0x30, 0x39},   {0x61, 0x7a}};
    static const uint32_t controls[] = {0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2069, 0x61c};
    for (uint32_t i = 1 + hostile_below(random, 30); i > 0; i--) {
        uint32_t which = hostile_below(random, 8);
        hostile_code(line, which == 0   ? HOSTILE_PICK(random, controls)
                           : which == 1 ? 0x20u
                                        : hostile_from(random, letters, HOSTILE_COUNT(letters)));
    }
}

static inline void hostile_numbers(struct hostile_line *line, struct qm_random *random)
{
    static const struct hostile_range digits[] = {
        {0x30, 0x39},       {0x30, 0x39},       {0x660, 0x669},   {0x966, 0x96f},   {0xe50, 0xe59},
        {0xff10, 0xff19},   {0xb2, 0xb3},       {0xbc, 0xbe},     {0x2150, 0x2188}, {0x2460, 0x249b},
        {0x3021, 0x3029},   {0x1d7ce, 0x1d7ff}, {0x4e00, 0x4e09}, {0x2070, 0x2079}, {0xf20, 0xf33},
        {0x10107, 0x10133}, {0x12400, 0x1246e}, {0x9f4, 0x9f9}};
    static const char *const between[] = {"", "", "", ".", ",", " ", "-", "e", "x", "\xe2\x82\xac", "%", "/"};
    for (uint32_t i = 1 + hostile_below(random, 8); i > 0; i--) {
        const struct hostile_range *range = &HOSTILE_PICK(random, digits);
        for (uint32_t k = 1 + hostile_below(random, 8); k > 0; k--)
            hostile_code(line, range->first + hostile_below(random, range->last - range->first + 1));
        hostile_text(line, HOSTILE_PICK(random, between));
    }
}

static inline void hostile_spaces(struct hostile_line *line, struct qm_random *random)
{
    static const uint32_t spaces[] = {0x20,   0x20,   0x20,   0x09,   0x0a,   0x0b,   0x0c,   0x0d,   0x85,
                                      0xa0,   0x1680, 0x180e, 0x2000, 0x2003, 0x200a, 0x200b, 0x2028, 0x2029,
                                      0x202f, 0x205f, 0x2060, 0x3000, 0xfeff, 0x1c,   0x1f,   0x2581, 0x120};
    static const char *const words[] = {"a", "B1", "the", "\xe4\xb8\xad", ".", "'s", "9", "_", ""};
    for (uint32_t i = 1 + hostile_below(random, 8); i > 0; i--) {
        hostile_text(line, HOSTILE_PICK(random, words));
        for (uint32_t k = hostile_below(random, 6); k > 0; k--)
            hostile_code(line, HOSTILE_PICK(random, spaces));
    }
}

static inline void hostile_controls(struct hostile_line *line, struct qm_random *random)
{
    for (uint32_t i = 1 + hostile_below(random, 24); i > 0; i--) {
        uint32_t which = hostile_below(random, 4);
        hostile_code(line, which == 0   ? 0x61 + hostile_below(random, 26)
                           : which == 1 ? 0x7f + hostile_below(random, 0x22)
                                        : hostile_below(random, 0x21));
    }
}

static inline void hostile_special(struct hostile_line *line, struct qm_random *random)
{
    static const char *const tokens[] = {"<s>",
                                         "</s>",
                                         "<unk>",
                                         "<|endoftext|>",
                                         "<|begin_of_text|>",
                                         "<|end_of_text|>",
                                         "<|im_start|>",
                                         "<|im_end|>",
                                         "<|eot_id|>",
                                         "[INST]",
                                         "[/INST]",
                                         "<mask>",
                                         "<|",
                                         "<|endoftext",
                                         "endoftext|>",
                                         "<0x41>",
                                         "<0xE4>",
                                         "<s",
                                         "s>",
                                         "<<s>>",
                                         "</s></s>",
                                         "\xe2\x96\x81",
                                         "\xc4\xa0",
                                         "<S>",
                                         "<|IM_END|>",
                                         "added",
                                         "Added Token",
                                         "zwei W\xc3\xb6rter"};
    static const char *const between[] = {"",         "",  " ", "  ", "\n",           "a",
                                          "\xc3\xa9", ".", "_", "1",  "\xe2\x80\x83", "\t "};
    for (uint32_t i = 1 + hostile_below(random, 8); i > 0; i--) {
        hostile_text(line, HOSTILE_PICK(random, between));
        hostile_text(line, HOSTILE_PICK(random, tokens));
        hostile_text(line, HOSTILE_PICK(random, between));
    }
}

static inline void hostile_runs(struct hostile_line *line, struct qm_random *random)
{
    static const char *const units[] = {
        "a",        " ",  "\n", "0",  ".",  "A",         "\xe4\xb8\xad", "\xf0\x9f\x98\x80",
        "\xcc\x81", "\t", "\r", "ab", "'s", "e\xcc\x81", "\xc2\xa0",     "\xe2\x96\x81",
        "-",        "<",  "_",  "\\"};
    for (uint32_t i = 1 + hostile_below(random, 3); i > 0; i--) {
        const char *unit = HOSTILE_PICK(random, units);
        for (uint32_t k = 1 + hostile_below(random, hostile_below(random, 8) == 0 ? 600 : 40); k > 0; k--)
            hostile_text(line, unit);
    }
}

static inline void hostile_invalid(struct hostile_line *line, struct qm_random *random)
{
    static const char *const broken[] = {"\x80",
                                         "\xbf\xbf",
                                         "\xc0\xaf",
                                         "\xc1\xbf",
                                         "\xe0\x80\xaf",
                                         "\xe0\xa0",
                                         "\xed\xa0\x80",
                                         "\xed\xb0\x80",
                                         "\xf0\x80\x80\xaf",
                                         "\xf0\x9f\x98",
                                         "\xf0\x9f",
                                         "\xf4\x90\x80\x80",
                                         "\xf5\x80",
                                         "\xf8\x88\x80",
                                         "\xff",
                                         "\xfe\xfe\xff\xff",
                                         "\xc3",
                                         "\xe4\xb8",
                                         "\xe4\xb8\xf0\x9f\x98",
                                         "\xf0\x90",
                                         "\xf1\x80\x80\xc3\xa9"};
    for (uint32_t i = 1 + hostile_below(random, 8); i > 0; i--) {
        if (hostile_below(random, 3) == 0) {
            char byte = (char)(hostile_below(random, 256));
            hostile_add(line, &byte, 1);
        }
        hostile_text(line, HOSTILE_PICK(random, broken));
        if (hostile_below(random, 2) == 0)
            hostile_words(line, random);
    }
}

static inline void hostile_any(struct hostile_line *line, struct qm_random *random)
{
    static const struct hostile_range blocks[] = {
        {0x1, 0x87f},       {0x900, 0x0cf2},     {0xd00, 0xecd},     {0xf00, 0x1c88},    {0x1cc0, 0x2426},
        {0x2440, 0x2b95},   {0x2c00, 0x31e3},    {0x31f0, 0x9fff},   {0xa000, 0xa7ca},   {0xa7f2, 0xd7ff},
        {0xe000, 0xe0ff},   {0xf900, 0xfffd},    {0x10000, 0x1018e}, {0x10280, 0x1034a}, {0x10400, 0x104fb},
        {0x12000, 0x12399}, {0x13000, 0x1342e},  {0x16800, 0x16a38}, {0x1b000, 0x1b122}, {0x1d000, 0x1d0f5},
        {0x1d400, 0x1d7cb}, {0x1f000, 0x1f02b},  {0x1f300, 0x1f6d7}, {0x1f900, 0x1f9ff}, {0x20000, 0x2a6df},
        {0x2a700, 0x2b738}, {0x30000, 0x3134a},  {0xe0001, 0xe0001}, {0xe0020, 0xe007f}, {0xe0100, 0xe01ef},
        {0xf0000, 0xf0010}, {0x10fff0, 0x10ffff}};
    // Assigned within the blocks above after Unicode 14, 17 included.
    static const struct hostile_range later[] = {
        {0x88f, 0x88f},   {0x897, 0x897},   {0xc5c, 0xc5c},   {0xcdc, 0xcdc},     {0x1acf, 0x1aff},
        {0x20c1, 0x20c1}, {0x2ffc, 0x2fff}, {0x1c89, 0x1c8a}, {0x10d40, 0x10d8f}, {0x1b11f, 0x1b122}};
    for (uint32_t i = 1 + hostile_below(random, 20); i > 0; i--) {
        uint32_t code = hostile_from(random, blocks, HOSTILE_COUNT(blocks));
        for (uint32_t k = 0; k < HOSTILE_COUNT(later); k++)
            if (code >= later[k].first && code <= later[k].last)
                code = 0x78;
        hostile_code(line, code);
    }
}

static inline void hostile_code_text(struct hostile_line *line, struct qm_random *random)
{
    static const char *const parts[] = {"def f(x):\n",
                                        "    return x",
                                        "\t\tif (a && b) {\r\n",
                                        "}\n\n\n",
                                        "/* \xe2\x80\xa6 */",
                                        "int main()\n{\n",
                                        "x += 1;",
                                        "// TODO: \n",
                                        "\n    \n",
                                        "std::vector<int>",
                                        "lambda: 0",
                                        "{\"k\": [1, 2]}",
                                        "\\n\\t\\\\",
                                        "    ",
                                        "\t",
                                        "        pass\n",
                                        "!=",
                                        "===",
                                        "<<<<<<<",
                                        "@@ -1,2 +3 @@",
                                        "&amp;",
                                        "0x1F",
                                        "1e-9"};
    for (uint32_t i = 1 + hostile_below(random, 10); i > 0; i--)
        hostile_text(line, HOSTILE_PICK(random, parts));
}

static inline void hostile_cases(struct hostile_line *line, struct qm_random *random)
{
    static const char *const parts[] = {"'S",
                                        "'LL",
                                        "'Re",
                                        "'vE",
                                        "'\xc5\xbf",
                                        "\xe2\x80\x99s",
                                        "'",
                                        "''",
                                        "'d'",
                                        "'M",
                                        "HTMLParser",
                                        "iPhone",
                                        "\xc4\xb0stanbul",
                                        "stra\xc3\x9f"
                                        "e",
                                        "STRASSE",
                                        "\xe1\xba\x9e",
                                        "\xce\xa3\xce\xaf\xcf\x83\xcf\x85\xcf\x86\xce\xbf\xcf\x82",
                                        "\xc7\x85",
                                        "\xe2\x84\xaa",
                                        "\xef\xac\x81",
                                        "\xe2\x93\x90",
                                        "\xe2\x85\xa7",
                                        "\xc2\xaa",
                                        "Mc'Donald",
                                        "O'clock's"};
    static const char *const gaps[] = {"", " ", "", "a", "\n", "1"};
    for (uint32_t i = 1 + hostile_below(random, 10); i > 0; i--) {
        hostile_text(line, HOSTILE_PICK(random, parts));
        hostile_text(line, HOSTILE_PICK(random, gaps));
    }
}

// Makes the line of an index below HOSTILE_LINES.
static inline void hostile_line(uint32_t index, struct hostile_line *line)
{
    static void (*const kinds[])(struct hostile_line *, struct qm_random *) = {
        hostile_words,   hostile_scripts, hostile_marks,     hostile_emoji,   hostile_directions,
        hostile_numbers, hostile_spaces,  hostile_controls,  hostile_special, hostile_runs,
        hostile_invalid, hostile_any,     hostile_code_text, hostile_cases};
    struct qm_random random;
    qm_random_seed(&random, 20261128, index);
    line->count = 0;
    if (index == 0) // the empty one
        return;
    uint32_t kind = index % (HOSTILE_COUNT(kinds) + 2);
    if (index % 2500 == 1249) { // very long ones: of one kind, repeated
        static const size_t lengths[] = {60000, 20000, 30000, 10000};
        size_t length = lengths[index / 2500 % 4];
        while (line->count < length)
            kinds[index / 2500 * 3 % HOSTILE_COUNT(kinds)](line, &random);
        return;
    }
    if (kind < HOSTILE_COUNT(kinds)) {
        kinds[kind](line, &random);
        return;
    }
    for (uint32_t i = 2 + hostile_below(&random, 4); i > 0; i--)
        HOSTILE_PICK(&random, kinds)(line, &random);
}

// FNV-1a of 32 bits.
static inline uint32_t hostile_hash(uint32_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * 16777619u;
    return hash;
}
#define HOSTILE_HASH_BEGIN 2166136261u

#endif
