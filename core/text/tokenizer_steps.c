// The steps of a tokenizer.json around its model: normalizer, pre_tokenizer, post_processor, decoder. Each is one component
// or a Sequence of them, which are laid flat.
#include "text/tokenizer_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACE_BYTES 96

// GPT-2's own pattern, and what Rust's \w and \s make of words (Whitespace of Hugging Face's tokenizers).
#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define RUST_WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}"
#define WORD_PATTERN "[" RUST_WORD "]+|[^\\s" RUST_WORD "]+"

struct component {
    struct qm_tokenizer_reader *reader;
    uint32_t at;
    const char *place; // "pre_tokenizer (Split)"
};

struct kind {
    const char *type, *keys;
    enum qm_status (*read)(const struct component *component);
};

struct section {
    const char *name, *list; // of the section, and of the key of its Sequence
    const char *types;       // for messages
    const struct kind *kinds;
    size_t kind_count;
};

static enum qm_status read_component(struct qm_tokenizer_reader *reader, const struct section *section, uint32_t at);

static enum qm_status read_sequence(struct qm_tokenizer_reader *reader, const struct section *section, uint32_t at,
                                    const char *place)
{
    char keys[48];
    uint32_t list = QM_JSON_NONE;
    snprintf(keys, sizeof(keys), "type %s", section->list);
    QM_TRY(qm_reader_check_keys(reader, at, place, keys));
    QM_TRY(qm_reader_member(reader, at, place, section->list, &list));
    if (!qm_json_is(&reader->json, list, QM_JSON_LIST))
        return QM_FAIL(QM_INVALID, "%s: %s: '%s' must be a list", reader->file, place, section->list);
    uint32_t item = list + 1;
    for (uint32_t i = 0; i < reader->json.values[list].length; i++) {
        QM_TRY(read_component(reader, section, item));
        item = reader->json.values[item].next;
    }
    return QM_OK;
}

// A Sequence within a Sequence calls this again; JSON's depth, which is limited, limits that.
static enum qm_status read_component(struct qm_tokenizer_reader *reader, const struct section *section, uint32_t at)
{
    const struct qm_json *json = &reader->json;
    char place[PLACE_BYTES];
    uint32_t type = QM_JSON_NONE;
    if (!qm_json_is(json, at, QM_JSON_OBJECT))
        return QM_FAIL(QM_INVALID, "%s: %s must be an object with a 'type', or null", reader->file, section->name);
    QM_TRY(qm_reader_text(reader, at, section->name, "type", &type));
    snprintf(place, sizeof(place), "%s (%.*s)", section->name, QM_QUOTED(json, type));
    if (qm_json_equals(json, type, "Sequence"))
        return read_sequence(reader, section, at, place);
    for (size_t i = 0; i < section->kind_count; i++) {
        if (!qm_json_equals(json, type, section->kinds[i].type))
            continue;
        QM_TRY(qm_reader_check_keys(reader, at, place, section->kinds[i].keys));
        return section->kinds[i].read(&(struct component){reader, at, place});
    }
    return QM_FAIL(QM_UNSUPPORTED, "%s: %s: type '%.*s' is not supported; those that work: %s, Sequence", reader->file,
                   section->name, QM_QUOTED(json, type), section->types);
}

static enum qm_status too_many(const struct component *component)
{
    return QM_FAIL(QM_UNSUPPORTED, "%s: %s is one step too many; %d are supported", component->reader->file,
                   component->place, QM_STEPS_MAX);
}

// What several of them have ------------------------------------------------------------------------------------------

static enum qm_status read_flag(const struct component *component, const char *key, bool otherwise, bool *out)
{
    return qm_reader_bool(component->reader, component->at, component->place, key, otherwise, out);
}

static enum qm_status read_bytes(const struct component *component, const char *key, struct qm_bytes *out)
{
    const struct qm_json *json = &component->reader->json;
    uint32_t at = QM_JSON_NONE;
    QM_TRY(qm_reader_text(component->reader, component->at, component->place, key, &at));
    return qm_bytes_add(out, qm_json_text(json, at), json->values[at].length);
}

// A text that is one character.
static enum qm_status read_character(const struct component *component, const char *key, struct qm_bytes *out)
{
    uint32_t code = 0;
    QM_TRY(read_bytes(component, key, out));
    if (out->count == 0 || qm_utf8_character((const unsigned char *)out->data, out->count, &code) != out->count)
        return QM_FAIL(QM_INVALID, "%s: %s: '%s' must be one character", component->reader->file, component->place,
                       key);
    return QM_OK;
}

// {"Regex": "..."} or {"String": "..."}.
static enum qm_status read_pattern(const struct component *component, bool *is_regex, struct qm_pattern **out)
{
    struct qm_tokenizer_reader *reader = component->reader;
    const struct qm_json *json = &reader->json;
    uint32_t at = QM_JSON_NONE, text = QM_JSON_NONE;
    QM_TRY(qm_reader_member(reader, component->at, component->place, "pattern", &at));
    QM_TRY(qm_reader_check_keys(reader, at, component->place, "Regex String"));
    if (json->values[at].length != 1)
        return QM_FAIL(QM_INVALID, "%s: %s: 'pattern' must have one key, Regex or String", reader->file,
                       component->place);
    QM_TRY(qm_reader_member(reader, at, component->place, "Regex", &text));
    *is_regex = text != QM_JSON_NONE;
    QM_TRY(qm_reader_text(reader, at, component->place, *is_regex ? "Regex" : "String", &text));
    return (*is_regex ? qm_pattern_regex : qm_pattern_literal)(reader->file, component->place, qm_json_text(json, text),
                                                               json->values[text].length, out);
}

// Replace, which normalizers and decoders have.
static enum qm_status read_replace(const struct component *component, struct qm_pattern **pattern,
                                   struct qm_bytes *content)
{
    bool is_regex = false;
    QM_TRY(read_pattern(component, &is_regex, pattern));
    QM_TRY(read_bytes(component, "content", content));
    if (is_regex && content->count > 0 && memchr(content->data, '$', content->count))
        return QM_FAIL(QM_UNSUPPORTED, "%s: %s: a '$' in 'content' of a Regex is not supported; write it without",
                       component->reader->file, component->place);
    return QM_OK;
}

static enum qm_status read_prefix(const struct component *component, enum qm_split_prefix *out)
{
    static const char *const names[] = {"never", "first", "always"};
    struct qm_tokenizer_reader *reader = component->reader;
    bool adds = true;
    uint32_t at = QM_JSON_NONE;
    QM_TRY(read_flag(component, "add_prefix_space", true, &adds));
    QM_TRY(qm_reader_member(reader, component->at, component->place, "prepend_scheme", &at));
    *out = adds ? QM_SPLIT_PREFIX_ALWAYS : QM_SPLIT_PREFIX_NEVER;
    if (qm_json_is_null(&reader->json, at))
        return QM_OK;
    for (uint32_t i = 0; i < 3; i++) {
        if (!qm_json_equals(&reader->json, at, names[i]))
            continue;
        *out = (enum qm_split_prefix)i;
        if (!adds && *out != QM_SPLIT_PREFIX_NEVER)
            return QM_FAIL(QM_INVALID,
                           "%s: %s: 'add_prefix_space' is false, and 'prepend_scheme' is '%s'; use \"never\"",
                           reader->file, component->place, names[i]);
        return QM_OK;
    }
    return QM_FAIL(QM_INVALID, "%s: %s: 'prepend_scheme' must be \"never\", \"first\" or \"always\"", reader->file,
                   component->place);
}

// Normalizers --------------------------------------------------------------------------------------------------------

static enum qm_status add_normalizer(const struct component *component, enum qm_normalizer_kind kind,
                                     struct qm_normalizer **out)
{
    struct qm_normalizers *normalizers = &component->reader->tokenizer->normalizers;
    if (normalizers->count == QM_STEPS_MAX)
        return too_many(component);
    *out = &normalizers->steps[normalizers->count++];
    (*out)->kind = kind;
    return QM_OK;
}

#define PLAIN_NORMALIZER(function, kind)                                                                               \
    static enum qm_status function(const struct component *component)                                                  \
    {                                                                                                                  \
        struct qm_normalizer *step = NULL;                                                                             \
        return add_normalizer(component, (kind), &step);                                                               \
    }
PLAIN_NORMALIZER(read_nfc, QM_NORMALIZE_NFC)
PLAIN_NORMALIZER(read_nfd, QM_NORMALIZE_NFD)
PLAIN_NORMALIZER(read_nfkc, QM_NORMALIZE_NFKC)
PLAIN_NORMALIZER(read_nfkd, QM_NORMALIZE_NFKD)
PLAIN_NORMALIZER(read_lowercase, QM_NORMALIZE_LOWERCASE)

static enum qm_status read_prepend(const struct component *component)
{
    struct qm_normalizer *step = NULL;
    QM_TRY(add_normalizer(component, QM_NORMALIZE_PREPEND, &step));
    return read_bytes(component, "prepend", &step->text);
}

static enum qm_status read_normalizing_replace(const struct component *component)
{
    struct qm_normalizer *step = NULL;
    QM_TRY(add_normalizer(component, QM_NORMALIZE_REPLACE, &step));
    return read_replace(component, &step->pattern, &step->text);
}

static enum qm_status read_strip(const struct component *component)
{
    struct qm_normalizer *step = NULL;
    QM_TRY(add_normalizer(component, QM_NORMALIZE_STRIP, &step));
    QM_TRY(read_flag(component, "strip_left", true, &step->left));
    return read_flag(component, "strip_right", true, &step->right);
}

// In base64.
static enum qm_status read_map(const struct component *component)
{
    struct qm_tokenizer_reader *reader = component->reader;
    const struct qm_json *json = &reader->json;
    struct qm_normalizer *step = NULL;
    uint32_t at = QM_JSON_NONE;
    size_t count = 0;
    QM_TRY(add_normalizer(component, QM_NORMALIZE_MAP, &step));
    QM_TRY(qm_reader_text(reader, component->at, component->place, "precompiled_charsmap", &at));
    size_t length = json->values[at].length;
    unsigned char *bytes = malloc(length + 1);
    if (!bytes)
        return QM_FAIL(QM_OUT_OF_MEMORY, "%s: no memory for %s; close other programs and try again", reader->file,
                       component->place);
    enum qm_status status = QM_OK;
    if (sodium_base642bin(bytes, length + 1, qm_json_text(json, at), length, NULL, &count, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        status = QM_FAIL(QM_INVALID, "%s: %s: 'precompiled_charsmap' is not base64", reader->file, component->place);
    else
        status = qm_charsmap_read(bytes, count, reader->file, component->place, &step->map);
    free(bytes);
    return status;
}

enum qm_status qm_tokenizer_read_normalizer(struct qm_tokenizer_reader *reader, uint32_t at)
{
    static const struct kind kinds[] = {
        {"NFC", "type", read_nfc},
        {"NFD", "type", read_nfd},
        {"NFKC", "type", read_nfkc},
        {"NFKD", "type", read_nfkd},
        {"Lowercase", "type", read_lowercase},
        {"Prepend", "type prepend", read_prepend},
        {"Replace", "type pattern content", read_normalizing_replace},
        {"Strip", "type strip_left strip_right", read_strip},
        {"Precompiled", "type precompiled_charsmap", read_map},
    };
    static const struct section section = {"normalizer", "normalizers",
                                           "NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip, Precompiled",
                                           kinds, sizeof(kinds) / sizeof(kinds[0])};
    return qm_json_is_null(&reader->json, at) ? QM_OK : read_component(reader, &section, at);
}

// Pre-tokenizers -----------------------------------------------------------------------------------------------------

static enum qm_status add_split(const struct component *component, enum qm_split_kind kind,
                                enum qm_split_behavior behavior, struct qm_split **out)
{
    struct qm_tokenizer *tokenizer = component->reader->tokenizer;
    if (tokenizer->bpe.is_byte_level)
        return QM_FAIL(QM_UNSUPPORTED, "%s: %s stands behind a ByteLevel; ByteLevel must be the last pre-tokenizer",
                       component->reader->file, component->place);
    if (tokenizer->splits.count == QM_STEPS_MAX)
        return too_many(component);
    *out = &tokenizer->splits.steps[tokenizer->splits.count++];
    (*out)->kind = kind;
    (*out)->behavior = behavior;
    return QM_OK;
}

static enum qm_status add_own_pattern(const struct component *component, const char *text, struct qm_split *split)
{
    return qm_pattern_regex(component->reader->file, component->place, text, strlen(text), &split->pattern);
}

static enum qm_status read_byte_level_split(const struct component *component)
{
    struct qm_split *split = NULL;
    bool adds_blank = false, uses_regex = false;
    QM_TRY(read_flag(component, "add_prefix_space", true, &adds_blank));
    QM_TRY(read_flag(component, "use_regex", true, &uses_regex));
    QM_TRY(add_split(component, uses_regex ? QM_SPLIT_PATTERN : QM_SPLIT_NOT, QM_SPLIT_ISOLATED, &split));
    if (adds_blank) {
        split->prefix = QM_SPLIT_PREFIX_ALWAYS;
        split->mark[0] = ' ';
        split->mark_bytes = 1;
    }
    component->reader->tokenizer->bpe.is_byte_level = true;
    return uses_regex ? add_own_pattern(component, GPT2_PATTERN, split) : QM_OK;
}

static enum qm_status read_behavior(const struct component *component, enum qm_split_behavior *out)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const struct qm_json *json = &component->reader->json;
    uint32_t at = QM_JSON_NONE;
    *out = QM_SPLIT_ISOLATED;
    QM_TRY(qm_reader_member(component->reader, component->at, component->place, "behavior", &at));
    if (qm_json_is_null(json, at))
        return QM_OK;
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        *out = (enum qm_split_behavior)i;
        if (qm_json_equals(json, at, names[i]))
            return QM_OK;
    }
    return QM_FAIL(QM_INVALID,
                   "%s: %s: 'behavior' must be Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous",
                   component->reader->file, component->place);
}

static enum qm_status read_split(const struct component *component)
{
    struct qm_split *split = NULL;
    enum qm_split_behavior behavior = QM_SPLIT_ISOLATED;
    bool is_regex = false;
    QM_TRY(read_behavior(component, &behavior));
    QM_TRY(add_split(component, QM_SPLIT_PATTERN, behavior, &split));
    QM_TRY(read_flag(component, "invert", false, &split->inverts));
    return read_pattern(component, &is_regex, &split->pattern);
}

static enum qm_status read_digits(const struct component *component)
{
    struct qm_split *split = NULL;
    bool is_each = false;
    QM_TRY(read_flag(component, "individual_digits", false, &is_each));
    return add_split(component, QM_SPLIT_NUMBERS, is_each ? QM_SPLIT_ISOLATED : QM_SPLIT_CONTIGUOUS, &split);
}

static enum qm_status read_metaspace_split(const struct component *component)
{
    struct qm_split *split = NULL;
    struct qm_bytes mark = {0};
    QM_TRY(add_split(component, QM_SPLIT_METASPACE, QM_SPLIT_MERGED_WITH_NEXT, &split));
    QM_TRY(read_prefix(component, &split->prefix));
    QM_TRY(read_flag(component, "split", true, &split->cuts));
    enum qm_status status = read_character(component, "replacement", &mark);
    if (status == QM_OK) {
        memcpy(split->mark, mark.data, mark.count);
        split->mark_bytes = mark.count;
    }
    free(mark.data);
    return status;
}

static enum qm_status read_whitespace(const struct component *component)
{
    struct qm_split *split = NULL;
    QM_TRY(add_split(component, QM_SPLIT_PATTERN, QM_SPLIT_REMOVED, &split));
    split->inverts = true;
    return add_own_pattern(component, WORD_PATTERN, split);
}

static enum qm_status read_whitespace_split(const struct component *component)
{
    struct qm_split *split = NULL;
    return add_split(component, QM_SPLIT_SPACES, QM_SPLIT_REMOVED, &split);
}

static enum qm_status read_punctuation(const struct component *component)
{
    struct qm_split *split = NULL;
    enum qm_split_behavior behavior = QM_SPLIT_ISOLATED;
    QM_TRY(read_behavior(component, &behavior));
    return add_split(component, QM_SPLIT_PUNCTUATION, behavior, &split);
}

#define BYTE_LEVEL_KEYS "type add_prefix_space trim_offsets use_regex"
#define METASPACE_KEYS "type replacement str_rep add_prefix_space prepend_scheme split"

enum qm_status qm_tokenizer_read_pre_tokenizer(struct qm_tokenizer_reader *reader, uint32_t at)
{
    static const struct kind kinds[] = {
        {"ByteLevel", BYTE_LEVEL_KEYS, read_byte_level_split},
        {"Split", "type pattern behavior invert", read_split},
        {"Digits", "type individual_digits", read_digits},
        {"Metaspace", METASPACE_KEYS, read_metaspace_split},
        {"Whitespace", "type", read_whitespace},
        {"WhitespaceSplit", "type", read_whitespace_split},
        {"Punctuation", "type behavior", read_punctuation},
    };
    static const struct section section = {
        "pre_tokenizer", "pretokenizers",
        "ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation", kinds,
        sizeof(kinds) / sizeof(kinds[0])};
    return qm_json_is_null(&reader->json, at) ? QM_OK : read_component(reader, &section, at);
}

// Post-processors ----------------------------------------------------------------------------------------------------

// The ids that the template's name for a special token stands for.
static enum qm_status read_special(const struct component *component, uint32_t special_tokens, uint32_t name,
                                   uint32_t ids[QM_TEMPLATE_TOKENS_MAX], size_t *count)
{
    struct qm_tokenizer_reader *reader = component->reader;
    const struct qm_json *json = &reader->json;
    uint32_t key = special_tokens + 1, list = QM_JSON_NONE;
    for (uint32_t i = 0; i < json->values[special_tokens].length && list == QM_JSON_NONE; i++) {
        if (json->values[key].length == json->values[name].length &&
            memcmp(qm_json_text(json, key), qm_json_text(json, name), json->values[key].length) == 0)
            QM_TRY(qm_reader_member(reader, key + 1, component->place, "ids", &list));
        key = json->values[key + 1].next;
    }
    if (!qm_json_is(json, list, QM_JSON_LIST))
        return QM_FAIL(QM_INVALID, "%s: %s: 'special_tokens' has no '%.*s' with a list of ids", reader->file,
                       component->place, QM_QUOTED(json, name));
    for (uint32_t i = 0; i < json->values[list].length; i++) {
        uint32_t id = 0;
        if (!qm_json_whole(json, list + 1 + i, QM_TOKEN_ID_MAX, &id) ||
            !qm_vocabulary_has(&reader->tokenizer->bpe.vocabulary, id))
            return QM_FAIL(QM_INVALID, "%s: %s: an id of '%.*s' is that of no token", reader->file, component->place,
                           QM_QUOTED(json, name));
        if (*count == QM_TEMPLATE_TOKENS_MAX)
            return QM_FAIL(QM_UNSUPPORTED, "%s: %s: more than %d tokens at one side of a text", reader->file,
                           component->place, QM_TEMPLATE_TOKENS_MAX);
        ids[(*count)++] = id;
    }
    return QM_OK;
}

// One piece of the template "single": tokens, or the text itself.
static enum qm_status read_piece(const struct component *component, uint32_t special_tokens, uint32_t piece,
                                 size_t *texts)
{
    struct qm_tokenizer_reader *reader = component->reader;
    struct qm_tokenizer *tokenizer = reader->tokenizer;
    const struct qm_json *json = &reader->json;
    uint32_t sequence = QM_JSON_NONE, special = QM_JSON_NONE, id = QM_JSON_NONE;
    QM_TRY(qm_reader_check_keys(reader, piece, component->place, "Sequence SpecialToken"));
    QM_TRY(qm_reader_member(reader, piece, component->place, "Sequence", &sequence));
    QM_TRY(qm_reader_member(reader, piece, component->place, "SpecialToken", &special));
    if (special != QM_JSON_NONE) {
        QM_TRY(qm_reader_text(reader, special, component->place, "id", &id));
        return *texts == 0 ? read_special(component, special_tokens, id, tokenizer->prefix, &tokenizer->prefix_count)
                           : read_special(component, special_tokens, id, tokenizer->suffix, &tokenizer->suffix_count);
    }
    QM_TRY(qm_reader_text(reader, sequence, component->place, "id", &id));
    if (!qm_json_equals(json, id, "A") || ++*texts > 1)
        return QM_FAIL(QM_UNSUPPORTED, "%s: %s: 'single' must have the sequence A once and no other", reader->file,
                       component->place);
    return QM_OK;
}

static enum qm_status read_template(const struct component *component)
{
    struct qm_tokenizer_reader *reader = component->reader;
    const struct qm_json *json = &reader->json;
    uint32_t single = QM_JSON_NONE, special_tokens = QM_JSON_NONE;
    size_t texts = 0;
    if (reader->tokenizer->has_template)
        return QM_FAIL(QM_UNSUPPORTED, "%s: %s: a second one in the Sequence; one is supported", reader->file,
                       component->place);
    reader->tokenizer->has_template = true;
    QM_TRY(qm_reader_member(reader, component->at, component->place, "single", &single));
    QM_TRY(qm_reader_member(reader, component->at, component->place, "special_tokens", &special_tokens));
    if (!qm_json_is(json, single, QM_JSON_LIST) || !qm_json_is(json, special_tokens, QM_JSON_OBJECT))
        return QM_FAIL(QM_INVALID, "%s: %s: 'single' must be a list, and 'special_tokens' an object", reader->file,
                       component->place);
    uint32_t piece = single + 1;
    for (uint32_t i = 0; i < json->values[single].length; i++) {
        QM_TRY(read_piece(component, special_tokens, piece, &texts));
        piece = json->values[piece].next;
    }
    if (texts == 0)
        return QM_FAIL(QM_UNSUPPORTED, "%s: %s: 'single' must have the sequence A once and no other", reader->file,
                       component->place);
    return QM_OK;
}

// Of ByteLevel it says how offsets in the text are counted, which are not given.
static enum qm_status read_byte_level_offsets(const struct component *component)
{
    (void)component;
    return QM_OK;
}

enum qm_status qm_tokenizer_read_post_processor(struct qm_tokenizer_reader *reader, uint32_t at)
{
    static const struct kind kinds[] = {
        {"TemplateProcessing", "type single pair special_tokens", read_template},
        {"ByteLevel", BYTE_LEVEL_KEYS, read_byte_level_offsets},
    };
    static const struct section section = {"post_processor", "processors", "TemplateProcessing, ByteLevel", kinds,
                                           sizeof(kinds) / sizeof(kinds[0])};
    return qm_json_is_null(&reader->json, at) ? QM_OK : read_component(reader, &section, at);
}

// Decoders -----------------------------------------------------------------------------------------------------------

static enum qm_status add_decoder(const struct component *component, enum qm_decoder_kind kind, struct qm_decoder **out)
{
    struct qm_decoders *decoders = &component->reader->tokenizer->decoders;
    if (decoders->count == QM_STEPS_MAX)
        return too_many(component);
    *out = &decoders->steps[decoders->count++];
    (*out)->kind = kind;
    return QM_OK;
}

#define PLAIN_DECODER(function, kind)                                                                                  \
    static enum qm_status function(const struct component *component)                                                  \
    {                                                                                                                  \
        struct qm_decoder *step = NULL;                                                                                \
        return add_decoder(component, (kind), &step);                                                                  \
    }
PLAIN_DECODER(read_byte_level_decoder, QM_DECODE_BYTE_LEVEL)
PLAIN_DECODER(read_byte_fallback, QM_DECODE_BYTE_FALLBACK)
PLAIN_DECODER(read_fuse, QM_DECODE_FUSE)

static enum qm_status read_decoding_replace(const struct component *component)
{
    struct qm_decoder *step = NULL;
    QM_TRY(add_decoder(component, QM_DECODE_REPLACE, &step));
    return read_replace(component, &step->pattern, &step->text);
}

static enum qm_status read_count(const struct component *component, const char *key, uint32_t *out)
{
    struct qm_tokenizer_reader *reader = component->reader;
    uint32_t at = QM_JSON_NONE;
    QM_TRY(qm_reader_member(reader, component->at, component->place, key, &at));
    if (!qm_json_whole(&reader->json, at, UINT32_MAX, out))
        return QM_FAIL(QM_INVALID, "%s: %s: '%s' must be a whole number", reader->file, component->place, key);
    return QM_OK;
}

static enum qm_status read_decoding_strip(const struct component *component)
{
    struct qm_decoder *step = NULL;
    QM_TRY(add_decoder(component, QM_DECODE_STRIP, &step));
    QM_TRY(read_character(component, "content", &step->text));
    QM_TRY(read_count(component, "start", &step->begin));
    return read_count(component, "stop", &step->end);
}

static enum qm_status read_metaspace_decoder(const struct component *component)
{
    struct qm_decoder *step = NULL;
    enum qm_split_prefix prefix = QM_SPLIT_PREFIX_ALWAYS;
    QM_TRY(add_decoder(component, QM_DECODE_METASPACE, &step));
    QM_TRY(read_prefix(component, &prefix));
    step->drops_first = prefix != QM_SPLIT_PREFIX_NEVER;
    return read_character(component, "replacement", &step->text);
}

enum qm_status qm_tokenizer_read_decoder(struct qm_tokenizer_reader *reader, uint32_t at)
{
    static const struct kind kinds[] = {
        {"ByteLevel", BYTE_LEVEL_KEYS, read_byte_level_decoder},
        {"ByteFallback", "type", read_byte_fallback},
        {"Fuse", "type", read_fuse},
        {"Replace", "type pattern content", read_decoding_replace},
        {"Strip", "type content start stop", read_decoding_strip},
        {"Metaspace", METASPACE_KEYS, read_metaspace_decoder},
    };
    static const struct section section = {"decoder", "decoders",
                                           "ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace", kinds,
                                           sizeof(kinds) / sizeof(kinds[0])};
    reader->tokenizer->has_decoder = !qm_json_is_null(&reader->json, at);
    return reader->tokenizer->has_decoder ? read_component(reader, &section, at) : QM_OK;
}
