// Tokenizers: equal to the original implementation on 10,000 hostile lines, and safe from hostile files.
//
// test/data/tokenizers holds small files of each family's structure and what Hugging Face's tokenizers, or SentencePiece, made
// of the lines (tools/make_tokenizer_data.js, tools/make_sentencepiece_data.py; docs/TOKENIZERS.md says which versions).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hostile_lines.h"
#include "sys/file.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

#define DATA QM_SOURCE_DIR "/test/data/tokenizers/"

enum {
    DECODED_LINES = 1000, // whose text is compared as well
    SHOWN_MAX = 5
};

static const char *const families[] = {"gpt2", "llama3", "qwen2", "llama2", "mistral", "sp_unigram", "sp_bpe"};
// Files that together use every component; their first 1,000 lines are compared.
static const char *const variants[] = {
    "digits",        "metaspace", "whitespace",    "strip",     "replace",   "next",
    "contiguous",    "removed",   "added",         "holes",     "gpt4o",     "unigram",
    "unigram_bytes", "deepseek",  "sp_casefold",   "sp_plain",  "sp_user",   "sp_user_unigram",
    "sp_no_prefix",  "sp_suffix", "sp_suffix_bpe", "sp_across", "sp_unused", "sp_unused_unigram"};

static struct hostile_line line;

static struct qm_tokenizer *load(const char *name)
{
    char path[512];
    struct qm_tokenizer *tokenizer = NULL;
    bool has_pieces = strncmp(name, "sp_", 3) == 0;
    snprintf(path, sizeof(path), DATA "%s.%s", name, has_pieces ? "model" : "json");
    enum qm_status status =
        has_pieces ? qm_tokenizer_load_pieces(path, false, false, &tokenizer) : qm_tokenizer_load(path, &tokenizer);
    if (status != QM_OK)
        fail_msg("%s", qm_error_text());
    return tokenizer;
}

static uint32_t *load_hashes(const char *name, const char *kind, size_t count)
{
    char path[512];
    void *bytes = NULL;
    size_t size = 0;
    snprintf(path, sizeof(path), DATA "%s.%s", name, kind);
    if (qm_file_read(path, 1 << 20, &bytes, &size) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_int_equal(size, 4 * count);
    return bytes;
}

static void encode(struct qm_tokenizer *tokenizer, const char *text, size_t count, bool adds_special,
                   struct qm_tokens *out)
{
    const struct qm_encode_options options = {.add_special_tokens = adds_special};
    out->count = 0;
    out->replaced = 0;
    if (qm_tokenizer_encode(tokenizer, text, count, &options, out) != QM_OK)
        fail_msg("%s", qm_error_text());
}

static uint32_t hash_of_ids(const struct qm_tokens *tokens)
{
    uint32_t hash = HOSTILE_HASH_BEGIN;
    for (size_t i = 0; i < tokens->count; i++) {
        unsigned char bytes[4] = {(unsigned char)tokens->ids[i], (unsigned char)(tokens->ids[i] >> 8),
                                  (unsigned char)(tokens->ids[i] >> 16), (unsigned char)(tokens->ids[i] >> 24)};
        hash = hostile_hash(hash, bytes, 4);
    }
    return hash;
}

static uint32_t hash_of_text(uint32_t hash, struct qm_tokenizer *tokenizer, const struct qm_tokens *tokens)
{
    char *text = NULL;
    size_t count = 0;
    if (qm_tokenizer_decode(tokenizer, tokens->ids, tokens->count, true, &text, &count) != QM_OK)
        fail_msg("%s", qm_error_text());
    hash = hostile_hash(hash, text, count);
    free(text);
    return hash;
}

// What differs, with what the original said if NAME.examples has that line.
static void show_difference(const char *name, uint32_t index, const struct qm_tokens *tokens)
{
    char path[512], begin[32];
    void *bytes = NULL;
    size_t size = 0;
    print_error("%s, line %u:\n  ours  ", name, index);
    for (size_t i = 0; i < tokens->count && i < 60; i++)
        print_error(" %u", tokens->ids[i]);
    print_error("\n");
    snprintf(path, sizeof(path), DATA "%s.examples", name);
    int length = snprintf(begin, sizeof(begin), "\n%u:", index);
    if (qm_file_read(path, 1 << 20, &bytes, &size) != QM_OK)
        return;
    const char *found = strstr(bytes, begin);
    if (found)
        print_error("  theirs%.*s\n", (int)strcspn(found + length, "\n"), found + length);
    free(bytes);
}

static void test_equal_to_the_original(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
        struct qm_tokenizer *tokenizer = load(families[f]);
        uint32_t *ids = load_hashes(families[f], "ids", HOSTILE_LINES);
        uint32_t *texts = load_hashes(families[f], "text", DECODED_LINES);
        struct qm_tokens tokens = {0};
        size_t wrong_ids = 0, wrong_texts = 0;
        for (uint32_t i = 0; i < HOSTILE_LINES; i++) {
            hostile_line(i, &line);
            encode(tokenizer, line.bytes, line.count, true, &tokens);
            if (hash_of_ids(&tokens) != ids[i] && ++wrong_ids <= SHOWN_MAX)
                show_difference(families[f], i, &tokens);
            if (i < DECODED_LINES && hash_of_text(HOSTILE_HASH_BEGIN, tokenizer, &tokens) != texts[i] &&
                ++wrong_texts <= SHOWN_MAX)
                print_error("%s, line %u: decoded to another text\n", families[f], i);
        }
        if (wrong_ids + wrong_texts > 0)
            fail_msg("%s: %zu lines have other ids and %zu another text", families[f], wrong_ids, wrong_texts);
        qm_tokens_free(&tokens);
        free(ids);
        free(texts);
        qm_tokenizer_destroy(&tokenizer);
    }
}

static void test_variants_equal_to_the_original(void **state)
{
    (void)state;
    size_t wrong_files = 0;
    for (size_t f = 0; f < sizeof(variants) / sizeof(variants[0]); f++) {
        struct qm_tokenizer *tokenizer = load(variants[f]);
        uint32_t *hashes = load_hashes(variants[f], "both", DECODED_LINES);
        struct qm_tokens tokens = {0};
        size_t wrong = 0;
        for (uint32_t i = 0; i < DECODED_LINES; i++) {
            hostile_line(i, &line);
            encode(tokenizer, line.bytes, line.count, true, &tokens);
            if (hash_of_text(hash_of_ids(&tokens), tokenizer, &tokens) != hashes[i] && ++wrong <= SHOWN_MAX)
                show_difference(variants[f], i, &tokens);
        }
        if (wrong > 0)
            print_error("%s: %zu lines differ\n", variants[f], wrong);
        wrong_files += wrong > 0;
        qm_tokens_free(&tokens);
        free(hashes);
        qm_tokenizer_destroy(&tokenizer);
    }
    assert_int_equal(wrong_files, 0);
}

// Byte-level tokenizers without a normalizer give back what they got; those with byte fallback too, where the text has no
// mark of theirs and no special token in it. Mistral's takes a blank that a text begins with for its own.
static void test_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *name, *mark;
        bool keeps_blank;
    } exact[] = {{"gpt2", NULL, true},
                 {"llama3", NULL, true},
                 {"llama2", "\xe2\x96\x81", true},
                 {"mistral", "\xe2\x96\x81", false}};
    for (size_t f = 0; f < sizeof(exact) / sizeof(exact[0]); f++) {
        struct qm_tokenizer *tokenizer = load(exact[f].name);
        struct qm_tokens tokens = {0};
        struct qm_bytes repaired = {0};
        size_t compared = 0;
        for (uint32_t i = 0; i < HOSTILE_LINES; i++) {
            hostile_line(i, &line);
            repaired.count = 0;
            uint64_t replaced = 0;
            assert_int_equal(qm_bytes_add_repaired(&repaired, line.bytes, line.count, &replaced), QM_OK);
            encode(tokenizer, line.bytes, line.count, false, &tokens);
            assert_int_equal(tokens.replaced, replaced);
            bool has_special = false;
            for (size_t k = 0; k < tokens.count; k++)
                has_special = has_special || qm_tokenizer_is_special(tokenizer, tokens.ids[k]);
            if (exact[f].mark &&
                (has_special || repaired.count == 0 || (!exact[f].keeps_blank && repaired.data[0] == ' ') ||
                 memmem(repaired.data, repaired.count, exact[f].mark, strlen(exact[f].mark))))
                continue;
            char *text = NULL;
            size_t count = 0;
            assert_int_equal(qm_tokenizer_decode(tokenizer, tokens.ids, tokens.count, false, &text, &count), QM_OK);
            if (count != repaired.count || (count > 0 && memcmp(text, repaired.data, count) != 0))
                fail_msg("%s: line %u came back as another text", exact[f].name, i);
            assert_int_equal(text[count], 0);
            free(text);
            compared++;
        }
        assert_true(compared > HOSTILE_LINES / 2);
        free(repaired.data);
        qm_tokens_free(&tokens);
        qm_tokenizer_destroy(&tokenizer);
    }
}

// ---- Small files of our own -----------------------------------------------------------------------------------------

#define VOCABULARY "{\"a\":0,\"b\":1,\"c\":2,\" \":3,\"ab\":4,\"bc\":5,\"abc\":6,\"1\":7,\"<unk>\":9}"
#define MERGES "[\"a b\",[\"b\",\"c\"],\"ab c\"]"
#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":" VOCABULARY ",\"merges\":" MERGES "}"

static struct qm_tokenizer *parse(const char *text)
{
    struct qm_tokenizer *tokenizer = NULL;
    if (qm_tokenizer_parse(text, strlen(text), "t.json", &tokenizer) != QM_OK)
        fail_msg("%s", qm_error_text());
    return tokenizer;
}

// The ids as text, "4 2 9".
static const char *ids_of(const char *file, const char *text, const struct qm_encode_options *options)
{
    static char out[512];
    struct qm_tokenizer *tokenizer = parse(file);
    struct qm_tokens tokens = {0};
    size_t used = 0;
    if (qm_tokenizer_encode(tokenizer, text, strlen(text), options, &tokens) != QM_OK)
        fail_msg("%s", qm_error_text());
    out[0] = '\0';
    for (size_t i = 0; i < tokens.count; i++)
        used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%u", i ? " " : "", tokens.ids[i]);
    qm_tokens_free(&tokens);
    qm_tokenizer_destroy(&tokenizer);
    return out;
}

static void test_what_it_is(void **state)
{
    (void)state;
    struct qm_tokenizer *tokenizer = parse(
        "{\"truncation\":{\"max_length\":8},\"padding\":null,\"added_tokens\":[{\"id\":12,\"content\":\"<s>\","
        "\"special\":true},{\"id\":4,\"content\":\"ab\",\"special\":false}],\"post_processor\":{\"type\":"
        "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"S\",\"type_id\":0}},{\"Sequence\":{\"id\":"
        "\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"E\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{"
        "\"S\":{\"id\":\"S\",\"ids\":[12],\"tokens\":[\"<s>\"]},\"E\":{\"id\":\"E\",\"ids\":[0,9],\"tokens\":["
        "\"a\",\"<unk>\"]}}}," MODEL "}");
    uint32_t id = 0;
    size_t count = 0;
    assert_int_equal(qm_tokenizer_size(tokenizer), 13);
    assert_int_equal(qm_tokenizer_holes(tokenizer), 3); // 8, 10, 11
    assert_string_equal(qm_tokenizer_remark(tokenizer), "truncation is not applied");
    assert_int_equal(strlen(qm_tokenizer_sha256(tokenizer)), 64);
    assert_true(qm_tokenizer_id(tokenizer, "<s>", 3, &id));
    assert_int_equal(id, 12);
    assert_false(qm_tokenizer_id(tokenizer, "<s", 2, &id));
    assert_memory_equal(qm_tokenizer_text(tokenizer, 6, &count), "abc", 3);
    assert_int_equal(count, 3);
    assert_null(qm_tokenizer_text(tokenizer, 8, &count));
    assert_null(qm_tokenizer_text(tokenizer, 13, &count));
    assert_null(qm_tokenizer_text(tokenizer, UINT32_MAX, &count));
    assert_true(qm_tokenizer_is_special(tokenizer, 12));
    assert_false(qm_tokenizer_is_special(tokenizer, 4));
    assert_true(qm_tokenizer_begin_id(tokenizer, &id) && id == 12);
    assert_true(qm_tokenizer_end_id(tokenizer, &id) && id == 9);
    // Ids without a token are left out; without a decoder a blank stands between tokens.
    char *text = NULL;
    const uint32_t ids[] = {12, 6, 8, 99, 4, UINT32_MAX, 2};
    assert_int_equal(qm_tokenizer_decode(tokenizer, ids, 7, true, &text, &count), QM_OK);
    assert_string_equal(text, "abc ab c");
    free(text);
    assert_int_equal(qm_tokenizer_decode(tokenizer, NULL, 0, false, &text, &count), QM_OK);
    assert_string_equal(text, "");
    free(text);
    qm_tokenizer_destroy(&tokenizer);
    qm_tokenizer_destroy(&tokenizer);
    tokenizer = parse("{" MODEL "}");
    assert_false(qm_tokenizer_begin_id(tokenizer, &id));
    assert_false(qm_tokenizer_end_id(tokenizer, &id));
    assert_string_equal(qm_tokenizer_remark(tokenizer), "");
    qm_tokenizer_destroy(&tokenizer);
}

#define ADDED(content, more) "\"added_tokens\":[{\"id\":20,\"content\":\"" content "\"," more "}]"

static void test_encoding_by_hand(void **state)
{
    (void)state;
    const struct qm_encode_options as_text = {.special_tokens_are_text = true};
    assert_string_equal(ids_of("{" MODEL "}", "abcab bcx", NULL), "6 4 3 5"); // x vanishes without unk_token
    assert_string_equal(ids_of("{" MODEL "}", "", NULL), "");
    // The lowest rank wins over the place, and of doubled merges the last one counts.
    assert_string_equal(ids_of("{\"model\":{\"vocab\":" VOCABULARY ",\"merges\":[\"b c\",\"a b\"]}}", "abc", NULL),
                        "0 5");
    assert_string_equal(ids_of("{\"model\":{\"vocab\":" VOCABULARY
                               ",\"merges\":[\"#version: 0.2\",\"b c\",\"a b\",\"b c\"]}}",
                               "abc", NULL),
                        "4 2");
    assert_string_equal(ids_of("{" ADDED("bb", "\"special\":true") "," MODEL "}", "abbbab", NULL), "0 20 1 4");
    assert_string_equal(ids_of("{" ADDED("bb", "\"special\":true") "," MODEL "}", "abbbab", &as_text), "4 1 1 4");
    assert_string_equal(ids_of("{" ADDED("bb", "\"special\":false") "," MODEL "}", "abbbab", &as_text), "0 20 1 4");
    // Blanks beside a token that takes them, once.
    assert_string_equal(
        ids_of("{" ADDED("<m>", "\"lstrip\":true,\"rstrip\":true") "," MODEL "}", "a  <m> \xe2\x80\x83 <m>b", NULL),
        "0 20 20 1");
    assert_string_equal(
        ids_of("{" ADDED("<m>", "\"single_word\":true") "," MODEL "}", "<m> a<m> <m>\xc3\xa9 <m>", NULL),
        "20 3 0 3 3 20");
    // A character without a token, with and without fusing.
#define UNKNOWN(more)                                                                                                  \
    "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\"," more "\"vocab\":" VOCABULARY ",\"merges\":" MERGES "}}"
    assert_string_equal(ids_of(UNKNOWN(""), "axyb", NULL), "0 9 9 1");
    assert_string_equal(ids_of(UNKNOWN("\"fuse_unk\":true,"), "axybz", NULL), "0 9 1 9");
    // Whole words first, although no merge leads to them.
    assert_string_equal(
        ids_of("{\"model\":{\"ignore_merges\":true,\"vocab\":" VOCABULARY ",\"merges\":[]}}", "abc", NULL), "6");
}

static void test_failing_leaves_tokens_as_they_were(void **state)
{
    (void)state;
    struct qm_tokenizer *tokenizer = parse("{\"model\":{\"unk_token\":\"no\",\"vocab\":" VOCABULARY ",\"merges\":[]}}");
    struct qm_tokens tokens = {0};
    encode(tokenizer, "a b", 3, false, &tokens);
    assert_int_equal(tokens.count, 3);
    assert_int_equal(qm_tokenizer_encode(tokenizer, "aa\xff\x1b[2Jz", 7, NULL, &tokens), QM_INVALID);
    assert_int_equal(tokens.count, 3);
    assert_int_equal(tokens.replaced, 0);
    assert_non_null(strstr(qm_error_text(), "t.json: "));
    assert_non_null(strstr(qm_error_text(), "unk_token"));
    // Too long, by its length alone.
    assert_int_equal(qm_tokenizer_encode(tokenizer, "a", QM_TEXT_BYTES_MAX + 1, NULL, &tokens), QM_INVALID);
    qm_tokens_free(&tokens);
    qm_tokenizer_destroy(&tokenizer);
}

static void test_repaired(void **state)
{
    (void)state;
    static const struct {
        const char *text, *repaired;
        size_t replaced;
    } texts[] = {
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b",
         1},
        {"\xe4\xb8", "\xef\xbf\xbd", 1},                                     // one for what could have gone on
        {"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 3},         // and one each where it could not
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 3},         // a surrogate
        {"\xf0\x9f\x98\xf0\x9f\x98\x80", "\xef\xbf\xbd\xf0\x9f\x98\x80", 1}, // then a whole one
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 4},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct qm_bytes out = {0};
        uint64_t replaced = 0;
        assert_int_equal(qm_bytes_add_repaired(&out, texts[i].text, strlen(texts[i].text), &replaced), QM_OK);
        assert_int_equal(replaced, texts[i].replaced);
        assert_int_equal(out.count, strlen(texts[i].repaired));
        assert_memory_equal(out.data, texts[i].repaired, out.count);
        free(out.data);
    }
}

// ---- Files that are refused -----------------------------------------------------------------------------------------

static void refused_bytes(const char *text, size_t count, enum qm_status expected, const char *words)
{
    struct qm_tokenizer *tokenizer = NULL;
    enum qm_status status = qm_tokenizer_parse(text, count, "t.json", &tokenizer);
    const char *message = qm_error_text();
    if (status == QM_OK || tokenizer || (expected != QM_OK && status != expected) || strchr(message, '\n') ||
        strncmp(message, "t.json", 6) != 0 || !strstr(message, words))
        fail_msg("'%.60s': expected %s and '%s', got %s and '%s'", text, qm_status_name(expected), words,
                 qm_status_name(status), message);
}

static void refused(const char *text, enum qm_status expected, const char *words)
{
    refused_bytes(text, strlen(text), expected, words);
}

#define UNIGRAM(vocab, unknown) "{\"model\":{\"type\":\"Unigram\",\"vocab\":" vocab ",\"unk_id\":" unknown "}}"
#define WITH(part) "{" part "," MODEL "}"
#define WITH_MODEL(vocab, merges) "{\"model\":{\"type\":\"BPE\",\"vocab\":" vocab ",\"merges\":" merges "}}"

static void test_refused(void **state)
{
    (void)state;
    refused("", QM_INVALID, "cut short");
    refused("[]", QM_INVALID, "the file is no object");
    refused("{}", QM_INVALID, "'model' must be an object");
    refused("{\"model\":{}}", QM_INVALID, "'type' must be a text");
    refused("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", QM_UNSUPPORTED,
            "'WordPiece' is not supported; BPE works");
    // Unigram.
    refused("{\"model\":{\"type\":\"Unigram\"}}", QM_INVALID, "'vocab' must be a list");
    refused(UNIGRAM("{}", "0"), QM_INVALID, "'vocab' must be a list");
    refused(UNIGRAM("[[\"a\"]]", "0"), QM_INVALID, "vocab[0] must be a text and its score");
    refused(UNIGRAM("[[\"a\",\"1\"]]", "0"), QM_INVALID, "vocab[0] must be a text and its score");
    refused(UNIGRAM("[[\"a\",1e999]]", "0"), QM_INVALID, "vocab[0]: the score of 'a' is no finite number");
    refused(UNIGRAM("[[\"a\",0],[\"a\",0]]", "0"), QM_INVALID, "vocab[1]: 'a' stands twice");
    refused(UNIGRAM("[[\"a\",0],[\"\",0]]", "0"), QM_INVALID, "vocab[1] has 0 bytes");
    refused(UNIGRAM("[[\"a\",0]]", "1"), QM_INVALID, "'unk_id' must be");
    refused("{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"?\"}," MODEL "}", QM_INVALID,
            "'precompiled_charsmap' is not base64");
    refused("{\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}," MODEL "}", QM_INVALID,
            "3 bytes, of which an array has 0");
    refused("{\"version\":\"2.0\"," MODEL "}", QM_UNSUPPORTED, "version");
    refused("{\"surprise\":1," MODEL "}", QM_UNSUPPORTED, "key 'surprise' is not known");
    refused("{\"model\":{\"type\":\"BPE\",\"type\":\"BPE\"}}", QM_INVALID, "key 'type' stands twice");
    // The vocabulary.
    refused(WITH_MODEL("{}", "[]"), QM_INVALID, "no token");
    refused(WITH_MODEL("[]", "[]"), QM_INVALID, "'vocab' must be an object");
    refused(WITH_MODEL("{\"a\":0,\"b\":0}", "[]"), QM_INVALID, "id 0 is given to 'a' and to 'b'");
    refused(WITH_MODEL("{\"a\":0,\"a\":1}", "[]"), QM_INVALID, "'a' stands twice");
    refused(WITH_MODEL("{\"a\":-1}", "[]"), QM_INVALID, "whole number from 0");
    refused(WITH_MODEL("{\"a\":1.0}", "[]"), QM_INVALID, "whole number from 0");
    refused(WITH_MODEL("{\"a\":\"1\"}", "[]"), QM_INVALID, "whole number from 0");
    refused(WITH_MODEL("{\"a\":4194304}", "[]"), QM_INVALID, "whole number from 0 to 4194303");
    refused(WITH_MODEL("{\"a\":99999999999999999999}", "[]"), QM_INVALID, "whole number from 0");
    // Merges.
    refused(WITH_MODEL("{\"a\":0}", "{}"), QM_INVALID, "'merges' must be a list");
    refused(WITH_MODEL("{\"a\":0}", "[\"a\"]"), QM_INVALID, "merges[0] is no merge");
    refused(WITH_MODEL("{\"a\":0}", "[\"a a a\"]"), QM_INVALID, "merges[0] is no merge");
    refused(WITH_MODEL("{\"a\":0}", "[[\"a\"]]"), QM_INVALID, "merges[0] is no merge");
    refused(WITH_MODEL("{\"a\":0}", "[[\"a\",1]]"), QM_INVALID, "merges[0] is no merge");
    refused(WITH_MODEL("{\"a\":0,\"aa\":1}", "[\"a a\",\"a b\"]"), QM_INVALID,
            "merges[1]: 'b' is not in the vocabulary");
    refused(WITH_MODEL("{\"a\":0}", "[\"a a\"]"), QM_INVALID, "merges[0]: 'aa' is not in the vocabulary");
    // What would change ids.
    refused("{\"model\":{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{},\"merges\":[]}}", QM_UNSUPPORTED, "dropout");
    refused("{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\",\"vocab\":{},\"merges\":[]}}", QM_UNSUPPORTED,
            "end_of_word_suffix");
    refused("{\"model\":{\"type\":\"BPE\",\"fuse_unk\":1,\"vocab\":{},\"merges\":[]}}", QM_INVALID,
            "'fuse_unk' must be");
    refused("{\"model\":{\"type\":\"BPE\",\"magic\":1,\"vocab\":{},\"merges\":[]}}", QM_UNSUPPORTED, "key 'magic'");
    // Components.
    refused(WITH("\"normalizer\":{\"type\":\"BertNormalizer\"}"), QM_UNSUPPORTED,
            "type 'BertNormalizer' is not supported; those that work: NFC, NFD");
    refused(WITH("\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}"), QM_UNSUPPORTED,
            "those that work: ByteLevel, Split");
    refused(WITH("\"post_processor\":{\"type\":\"BertProcessing\"}"), QM_UNSUPPORTED,
            "those that work: TemplateProcessing");
    refused(WITH("\"decoder\":{\"type\":\"CTC\"}"), QM_UNSUPPORTED, "those that work: ByteLevel, ByteFallback");
    refused(WITH("\"normalizer\":{\"type\":\"NFC\",\"strength\":2}"), QM_UNSUPPORTED, "key 'strength' is not known");
    refused(WITH("\"normalizer\":7"), QM_INVALID, "normalizer must be an object");
    refused(WITH("\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":{}}"), QM_INVALID,
            "'normalizers' must be a list");
    refused(WITH("\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":"
                 "\"Whitespace\"}]}"),
            QM_UNSUPPORTED, "ByteLevel must be the last");
    refused(WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},\"behavior\":\"Isolated\","
                 "\"invert\":false}"),
            QM_INVALID, "pattern of 0 bytes");
    refused(WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"},\"behavior\":\"Isolated\"}"),
            QM_UNSUPPORTED, "'(' without its ')'");
    refused(WITH("\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\"},\"behavior\":\"Sideways\"}"),
            QM_INVALID, "'behavior' must be");
    refused(WITH("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"__\"}"), QM_INVALID, "one character");
    refused(WITH("\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"$1\"}"),
            QM_UNSUPPORTED, "'$'");
    refused(WITH("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[],\"special_tokens\":{}}"),
            QM_UNSUPPORTED, "sequence A once");
    refused(WITH("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}],"
                 "\"special_tokens\":{\"x\":{\"id\":\"x\",\"ids\":[77]}}}"),
            QM_INVALID, "that of no token");
    // Added tokens.
    refused(WITH("\"added_tokens\":{}"), QM_INVALID, "'added_tokens' must be a list");
    refused(WITH("\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]"), QM_INVALID, "id 1 is given to 'b' and to 'x'");
    refused(WITH("\"added_tokens\":[{\"id\":50,\"content\":\"a\"}]"), QM_INVALID, "'a' has id 50 here and 0 before");
    refused(WITH("\"added_tokens\":[{\"id\":50,\"content\":\"x\"},{\"id\":50,\"content\":\"x\"}]"), QM_INVALID,
            "added_tokens[1]: 'x' stands twice");
    refused(WITH("\"added_tokens\":[{\"content\":\"x\"}]"), QM_INVALID, "'id' must be");
    refused(WITH("\"normalizer\":{\"type\":\"Strip\"},\"added_tokens\":[{\"id\":3,\"content\":\" \"}]"), QM_UNSUPPORTED,
            "0 bytes when normalized");
}

static void test_not_json(void **state)
{
    (void)state;
    refused("\xef\xbb\xbf{}", QM_INVALID, "byte order mark");
    refused("{\"a\":\n\n\xff}", QM_INVALID, "t.json:3: byte 0xff is not UTF-8");
    refused("{\n\"a\" 1}", QM_INVALID, "t.json:2: expected ':'");
    refused("{\"a\":1 \"b\"}", QM_INVALID, "expected ',' or '}'");
    refused("[1 2]", QM_INVALID, "expected ',' or ']'");
    refused("{1:2}", QM_INVALID, "expected a key");
    refused("{\"a\":01}", QM_INVALID, "begins with 0");
    refused("{\"a\":1.}", QM_INVALID, "ends in a point");
    refused("{\"a\":1e}", QM_INVALID, "exponent");
    refused("{\"a\":nul}", QM_INVALID, "expected a value");
    refused("{\"a\":\"\\x\"}", QM_INVALID, "escape");
    refused("{\"a\":\"\\u12\"}", QM_INVALID, "hexadecimal");
    refused("{\"a\":\"\\ud83d\"}", QM_INVALID, "surrogate");
    refused("{\"a\":\"\\ude00\"}", QM_INVALID, "surrogate");
    refused("{\"a\":\"\t\"}", QM_INVALID, "control character");
    refused("{\"a\":\"", QM_INVALID, "without an end");
    refused("{} {}", QM_INVALID, "behind the end");
    refused_bytes("{}\0", 3, QM_INVALID, "behind the end");
    // Depth of a million, and values without end: refused at once, in little memory.
    size_t many = 1000000;
    char *deep = malloc(2 * many + 1);
    memset(deep, '[', many);
    memset(deep + many, ']', many);
    refused_bytes(deep, 2 * many, QM_INVALID, "nested deeper");
    for (size_t i = 0; i < many; i++)
        memcpy(deep + 2 * i, i == 0 ? "[0" : ",0", 2);
    refused_bytes(deep, 2 * many, QM_INVALID, "cut short");
    free(deep);
    refused_bytes("{", QM_TOKENIZER_FILE_BYTES_MAX + 1, QM_INVALID, "at most");
    // Every prefix of a good file.
    const char *good = WITH("\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"\\u2581\\ud83d\\ude00\"}");
    qm_tokenizer_destroy(&(struct qm_tokenizer *){parse(good)});
    for (size_t i = 0; i < strlen(good); i++)
        refused_bytes(good, i, QM_INVALID, ":1: ");
}

// ---- Long texts -----------------------------------------------------------------------------------------------------

// A million bytes of each kind that could cost their square. What did would take hours here, and so fail.
static void test_no_text_is_quadratic(void **state)
{
    (void)state;
    static const char *const units[] = {"a",
                                        " ",
                                        "\n",
                                        " \n",
                                        "0",
                                        "ab",
                                        "'s",
                                        "\xcc\x81\xcc\xa3",
                                        "\xe2\x96\x81",
                                        "\xff",
                                        "\xe1\x84\x80",
                                        "<|",
                                        "<s>",
                                        "the ",
                                        "\xe4\xb8\xad",
                                        "."};
    const size_t count = 1000000;
    char *text = malloc(count);
    for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
        struct qm_tokenizer *tokenizer = load(families[f]);
        for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
            struct qm_tokens tokens = {0};
            size_t unit = strlen(units[u]), used = 0;
            for (; used + unit <= count; used += unit)
                memcpy(text + used, units[u], unit);
            encode(tokenizer, text, used, false, &tokens);
            assert_true(tokens.count <= 4 * count);
            assert_true(tokens.count > 0 || strcmp(families[f], "sp_unigram") == 0); // to which blanks are nothing
            qm_tokens_free(&tokens);
        }
        qm_tokenizer_destroy(&tokenizer);
    }
    // Tokens that take blanks, among blanks.
    struct qm_tokenizer *tokenizer = parse("{" ADDED("\\n", "\"lstrip\":true,\"rstrip\":true") "," MODEL "}");
    struct qm_tokens tokens = {0};
    memset(text, '\n', count);
    encode(tokenizer, text, count, false, &tokens);
    qm_tokens_free(&tokens);
    qm_tokenizer_destroy(&tokenizer);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_is),
        cmocka_unit_test(test_encoding_by_hand),
        cmocka_unit_test(test_failing_leaves_tokens_as_they_were),
        cmocka_unit_test(test_repaired),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_not_json),
        cmocka_unit_test(test_equal_to_the_original),
        cmocka_unit_test(test_variants_equal_to_the_original),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_no_text_is_quadratic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
