// The vocabulary of a GGUF file: the same ids as the tokenizer.json or tokenizer.model that it was made of gives, on 10,000
// hostile lines, and what is refused. Which tokenizer a model is given: the one beside it, or its own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "hostile_lines.h"
#include "model/model_tokenizer.h"
#include "sys/file.h"
#include "test/gguf_writer.h"
#include "text/gguf_patterns.h"
#include "text/tokenizer_gguf.h"
#include "text/tokenizer_internal.h"

#define DATA QM_SOURCE_DIR "/test/data/tokenizers/"
#define KEY "tokenizer.ggml."

// Types of values in a GGUF file.
enum {
    U8 = 0,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    FLAG = 7,
    STRING = 8,
    ARRAY = 9
};

static struct hostile_line line;

// ---- Making files ---------------------------------------------------------------------------------------------------

// Entries without the head, which counts them.
struct entries {
    struct gguf_writer body;
    uint64_t count;
};

static void put_text(struct entries *e, const char *key, const char *text)
{
    gguf_put_key(&e->body, key, STRING);
    gguf_put_string(&e->body, text);
    e->count++;
}

static void put_number(struct entries *e, const char *key, uint32_t value)
{
    gguf_put_key(&e->body, key, U32);
    gguf_put_u32(&e->body, value);
    e->count++;
}

static void put_flag(struct entries *e, const char *key, bool value)
{
    gguf_put_key(&e->body, key, FLAG);
    gguf_put(&e->body, &(uint8_t){value}, 1);
    e->count++;
}

static void put_array(struct entries *e, const char *key, uint32_t type, uint64_t count)
{
    gguf_put_key(&e->body, key, ARRAY);
    gguf_put_u32(&e->body, type);
    gguf_put_u64(&e->body, count);
    e->count++;
}

static void put_element(struct entries *e, const char *text, size_t count)
{
    gguf_put_u64(&e->body, count);
    gguf_put(&e->body, text, count);
}

static void close_entries(struct entries *e, struct gguf_writer *out)
{
    gguf_begin(out, 3, 0, e->count);
    gguf_put(out, e->body.bytes, e->body.count);
    free(e->body.bytes);
    *e = (struct entries){0};
}

static void put_tokens(struct entries *e, const struct qm_tokenizer *tokenizer)
{
    size_t count = qm_tokenizer_size(tokenizer);
    put_array(e, KEY "tokens", STRING, count);
    for (uint32_t id = 0; id < count; id++) {
        size_t bytes = 0;
        const char *text = qm_tokenizer_text(tokenizer, id, &bytes);
        put_element(e, text ? text : "", text ? bytes : 0);
    }
}

// Of a tokenizer.json of byte-level BPE.
static void make_bytes(const char *name, const char *pre, struct entries *e)
{
    char path[512];
    struct qm_tokenizer *tokenizer = NULL;
    json_error_t error;
    uint32_t id = 0;
    snprintf(path, sizeof(path), DATA "%s.json", name);
    json_t *root = json_load_file(path, 0, &error);
    assert_non_null(root);
    if (qm_tokenizer_load(path, &tokenizer) != QM_OK)
        fail_msg("%s", qm_error_text());
    put_text(e, KEY "model", "gpt2");
    put_text(e, KEY "pre", pre);
    put_tokens(e, tokenizer);
    put_array(e, KEY "token_type", I32, qm_tokenizer_size(tokenizer));
    for (uint32_t i = 0; i < qm_tokenizer_size(tokenizer); i++)
        gguf_put_u32(&e->body, qm_tokenizer_is_special(tokenizer, i) ? 3 : 1);
    const json_t *merges = json_object_get(json_object_get(root, "model"), "merges"), *merge;
    size_t index;
    put_array(e, KEY "merges", STRING, json_array_size(merges));
    json_array_foreach(merges, index, merge)
    {
        char both[256];
        if (json_is_array(merge))
            snprintf(both, sizeof(both), "%s %s", json_string_value(json_array_get(merge, 0)),
                     json_string_value(json_array_get(merge, 1)));
        else
            snprintf(both, sizeof(both), "%s", json_string_value(merge));
        put_element(e, both, strlen(both));
    }
    if (qm_tokenizer_begin_id(tokenizer, &id))
        put_number(e, KEY "bos_token_id", id);
    json_decref(root);
    qm_tokenizer_destroy(&tokenizer);
}

// Of a tokenizer.model.
static void make_pieces(const char *name, struct entries *e)
{
    char path[512];
    struct qm_tokenizer *tokenizer = NULL;
    snprintf(path, sizeof(path), DATA "%s.model", name);
    if (qm_tokenizer_load_pieces(path, false, false, &tokenizer) != QM_OK)
        fail_msg("%s", qm_error_text());
    const struct qm_pieces *pieces = &tokenizer->pieces;
    const struct qm_charsmap *map = &pieces->normalizer.charsmap;
    size_t count = qm_tokenizer_size(tokenizer), array_bytes = map->unit_count * sizeof(*map->units);
    put_text(e, KEY "model", pieces->is_unigram ? "t5" : "llama");
    put_tokens(e, tokenizer);
    put_array(e, KEY "scores", F32, count);
    gguf_put(&e->body, pieces->scores, count * sizeof(*pieces->scores));
    put_array(e, KEY "token_type", I32, count);
    for (size_t i = 0; i < count; i++)
        gguf_put_u32(&e->body, pieces->types[i]);
    put_flag(e, KEY "add_bos_token", false);
    put_flag(e, KEY "add_eos_token", false);
    put_flag(e, KEY "add_space_prefix", pieces->normalizer.adds_prefix);
    put_flag(e, KEY "remove_extra_whitespaces", pieces->normalizer.removes_extra);
    put_number(e, KEY "unknown_token_id", pieces->unknown_id);
    if (map->unit_count > 0) {
        put_array(e, KEY "precompiled_charsmap", U8, 4 + array_bytes + map->text_bytes);
        gguf_put_u32(&e->body, (uint32_t)array_bytes);
        gguf_put(&e->body, map->units, array_bytes);
        gguf_put(&e->body, map->texts, map->text_bytes);
    }
    qm_tokenizer_destroy(&tokenizer);
}

static enum qm_status read_entries(struct entries *e, struct qm_tokenizer **out)
{
    struct gguf_writer file;
    struct qm_gguf gguf;
    close_entries(e, &file);
    if (qm_gguf_view(file.bytes, file.count, "m.gguf", &gguf) != QM_OK)
        fail_msg("%s", qm_error_text());
    enum qm_status status = qm_tokenizer_of_gguf(&gguf, out);
    qm_gguf_close(&gguf);
    free(file.bytes);
    return status;
}

// ---- The same ids ---------------------------------------------------------------------------------------------------

static uint32_t hash_of_ids(const struct qm_tokens *tokens)
{
    return hostile_hash(HOSTILE_HASH_BEGIN, tokens->ids, 4 * tokens->count); // little-endian, as qmark's machines are
}

static void compare(const char *name, struct entries *e, bool special_is_text, size_t wrong_most)
{
    char path[512];
    struct qm_tokenizer *tokenizer = NULL;
    struct qm_tokens tokens = {0};
    void *hashes = NULL;
    size_t size = 0, wrong = 0;
    const struct qm_encode_options options = {.add_special_tokens = true, .special_tokens_are_text = special_is_text};
    if (read_entries(e, &tokenizer) != QM_OK)
        fail_msg("%s: %s", name, qm_error_text());
    snprintf(path, sizeof(path), DATA "%s.ids", name);
    assert_int_equal(qm_file_read(path, 1 << 20, &hashes, &size), QM_OK);
    assert_int_equal(size, 4 * HOSTILE_LINES);
    for (uint32_t i = 0; i < HOSTILE_LINES; i++) {
        hostile_line(i, &line);
        tokens.count = 0;
        if (qm_tokenizer_encode(tokenizer, line.bytes, line.count, &options, &tokens) != QM_OK)
            fail_msg("%s, line %u: %s", name, i, qm_error_text());
        wrong += hash_of_ids(&tokens) != ((const uint32_t *)hashes)[i];
    }
    if (wrong > wrong_most)
        fail_msg("%s: %zu lines have other ids", name, wrong);
    qm_tokens_free(&tokens);
    qm_tokenizer_destroy(&tokenizer);
    free(hashes);
}

static void test_equal_to_what_it_was_made_of(void **state)
{
    (void)state;
    struct entries e = {0};
    make_bytes("gpt2", "gpt-2", &e);
    compare("gpt2", &e, false, 0);
    make_bytes("llama3", "llama-bpe", &e); // which adds the begin without being told
    compare("llama3", &e, false, 0);
    make_pieces("sp_bpe", &e); // names of control pieces in a text are text to SentencePiece
    compare("sp_bpe", &e, true, 0);
    make_pieces("sp_unigram", &e); // sums of 64 bits, where SentencePiece has 32
    compare("sp_unigram", &e, true, 0);
}

// All expressions that names stand for can be read.
static void test_patterns(void **state)
{
    (void)state;
    char list[QM_GGUF_PATTERN_NAMES_BYTES], *at = qm_gguf_pattern_names(list, sizeof(list)) == list ? list : NULL;
    size_t count = 0;
    assert_true(strlen(list) + 1 < sizeof(list));
    for (char *name = strtok_r(at, ", ", &at); name; name = strtok_r(NULL, ", ", &at), count++) {
        struct entries e = {0};
        struct qm_tokenizer *tokenizer = NULL;
        struct qm_tokens tokens = {0};
        make_bytes("gpt2", name, &e);
        if (read_entries(&e, &tokenizer) != QM_OK)
            fail_msg("%s: %s", name, qm_error_text());
        assert_int_equal(qm_tokenizer_encode(tokenizer, "Hello, 1234 w\u00f6rld's\n", 22, NULL, &tokens), QM_OK);
        char *text = NULL;
        size_t bytes = 0;
        assert_int_equal(qm_tokenizer_decode(tokenizer, tokens.ids, tokens.count, true, &text, &bytes), QM_OK);
        assert_string_equal(text, "Hello, 1234 w\u00f6rld's\n");
        free(text);
        qm_tokens_free(&tokens);
        qm_tokenizer_destroy(&tokenizer);
    }
    assert_int_equal(count, 35);
}

// ---- Small ones -----------------------------------------------------------------------------------------------------

#define SMALL_TOKENS 6
static const char *const small[SMALL_TOKENS] = {"<unk>", "<s>", "</s>", "a", "b", "ab"};

static void put_list(struct entries *e, const char *key, const char *const *texts, size_t count)
{
    put_array(e, key, STRING, count);
    for (size_t i = 0; i < count; i++)
        put_element(e, texts[i], strlen(texts[i]));
}

static void small_bytes(struct entries *e, const char *pre)
{
    static const uint32_t types[SMALL_TOKENS] = {1, 3, 3, 1, 1, 1};
    put_text(e, KEY "model", "gpt2");
    put_text(e, KEY "pre", pre);
    put_list(e, KEY "tokens", small, SMALL_TOKENS);
    put_array(e, KEY "token_type", I32, SMALL_TOKENS);
    gguf_put(&e->body, types, sizeof(types));
}

static const char *ids_of(struct entries *e, const char *text, bool special)
{
    static char out[256];
    struct qm_tokenizer *tokenizer = NULL;
    struct qm_tokens tokens = {0};
    size_t used = 0;
    if (read_entries(e, &tokenizer) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_int_equal(qm_tokenizer_encode(tokenizer, text, strlen(text),
                                         &(struct qm_encode_options){.add_special_tokens = special}, &tokens),
                     QM_OK);
    out[0] = '\0';
    for (size_t i = 0; i < tokens.count; i++)
        used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%u", i ? " " : "", tokens.ids[i]);
    qm_tokens_free(&tokens);
    qm_tokenizer_destroy(&tokenizer);
    return out;
}

static void test_begin_and_end(void **state)
{
    (void)state;
    struct entries e = {0};
    small_bytes(&e, "gpt-2");
    put_list(&e, KEY "merges", (const char *const[]){"a b"}, 1);
    put_number(&e, KEY "bos_token_id", 1);
    put_number(&e, KEY "eos_token_id", 2);
    assert_string_equal(ids_of(&e, "ab<s>ba", true), "5 1 4 3"); // not added, and found within
    small_bytes(&e, "gpt-2");
    put_list(&e, KEY "merges", (const char *const[]){"a b"}, 1);
    put_number(&e, KEY "bos_token_id", 1);
    put_number(&e, KEY "eos_token_id", 2);
    put_flag(&e, KEY "add_bos_token", true);
    put_flag(&e, KEY "add_eos_token", true);
    assert_string_equal(ids_of(&e, "ab", true), "1 5 2");
    // Of the type of users' tokens, the end is a control token all the same, and no text of an answer.
    static const uint32_t types[SMALL_TOKENS] = {1, 3, 4, 1, 1, 1};
    struct qm_tokenizer *tokenizer = NULL;
    put_text(&e, KEY "model", "gpt2");
    put_list(&e, KEY "tokens", small, SMALL_TOKENS);
    put_array(&e, KEY "token_type", I32, SMALL_TOKENS);
    gguf_put(&e.body, types, sizeof(types));
    put_list(&e, KEY "merges", (const char *const[]){"a b"}, 1);
    put_number(&e, KEY "eos_token_id", 2);
    assert_int_equal(read_entries(&e, &tokenizer), QM_OK);
    assert_true(qm_tokenizer_is_special(tokenizer, 2) && !qm_tokenizer_is_special(tokenizer, 3));
    qm_tokenizer_destroy(&tokenizer);
}

static void refused(struct entries *e, enum qm_status expected, const char *words)
{
    struct qm_tokenizer *tokenizer = NULL;
    enum qm_status status = read_entries(e, &tokenizer);
    const char *message = qm_error_text();
    if (status != expected || tokenizer || strchr(message, '\n') || strncmp(message, "m.gguf: ", 8) != 0 ||
        !strstr(message, words))
        fail_msg("expected %s and '%s', got %s and '%s'", qm_status_name(expected), words, qm_status_name(status),
                 status == QM_OK ? "" : message);
}

static void refused_merge(const char *merge, const char *words)
{
    struct entries e = {0};
    small_bytes(&e, "gpt-2");
    put_list(&e, KEY "merges", &merge, 1);
    refused(&e, QM_INVALID, words);
}

static void refused_small(const char *model, uint32_t score_bits, uint32_t type, const char *token, const char *words)
{
    struct entries e = {0};
    const char *texts[SMALL_TOKENS];
    memcpy(texts, small, sizeof(texts));
    texts[5] = token;
    put_text(&e, KEY "model", model);
    put_list(&e, KEY "tokens", texts, SMALL_TOKENS);
    put_array(&e, KEY "scores", F32, SMALL_TOKENS);
    for (int i = 0; i < SMALL_TOKENS; i++)
        gguf_put_u32(&e.body, i == 5 ? score_bits : 0);
    put_array(&e, KEY "token_type", I32, SMALL_TOKENS);
    for (int i = 0; i < SMALL_TOKENS; i++)
        gguf_put_u32(&e.body, i == 5 ? type : 1);
    refused(&e, QM_INVALID, words);
}

static void test_refused(void **state)
{
    (void)state;
    struct entries e = {0};
    put_text(&e, "general.name", "none");
    refused(&e, QM_INVALID, "there is no 'tokenizer.ggml.model'");
    put_text(&e, KEY "model", "bert");
    refused(&e, QM_UNSUPPORTED, "'tokenizer.ggml.model' is 'bert'; gpt2, llama and t5 are supported");
    small_bytes(&e, "bloom");
    refused(&e, QM_UNSUPPORTED,
            "'tokenizer.ggml.pre' is 'bloom', by which texts cannot be cut; those that work: default, gpt-2");
    small_bytes(&e, "gpt-2");
    refused(&e, QM_INVALID, "'tokenizer.ggml.merges' must be a list of texts");
    put_text(&e, KEY "model", "llama");
    refused(&e, QM_INVALID, "'tokenizer.ggml.tokens' must be a list of 1 to");
    put_text(&e, KEY "model", "llama");
    put_list(&e, KEY "tokens", small, SMALL_TOKENS);
    refused(&e, QM_INVALID, "there is no 'tokenizer.ggml.scores'");
    put_text(&e, KEY "model", "llama");
    put_list(&e, KEY "tokens", small, SMALL_TOKENS);
    put_array(&e, KEY "scores", F32, 1);
    gguf_put_u32(&e.body, 0);
    refused(&e, QM_INVALID, "must be a list of 6 numbers");
    put_text(&e, KEY "model", "gpt2");
    put_list(&e, KEY "tokens", (const char *const[]){"", ""}, 2);
    refused(&e, QM_INVALID, "are empty");
    small_bytes(&e, "gpt-2");
    put_list(&e, KEY "merges", (const char *const[]){"a b"}, 1);
    put_number(&e, KEY "bos_token_id", 77);
    put_flag(&e, KEY "add_bos_token", true);
    refused(&e, QM_INVALID, "'tokenizer.ggml.bos_token_id' is that of no token");
    refused_merge("a c", "'c', which is no token");
    refused_merge("b a", "'ba', which is no token");
    refused_merge("ab", "expected two tokens with a blank between");
    refused_merge("", "expected two tokens with a blank between");
    refused_merge("a \xff", "not UTF-8");
    refused_small("gpt2", 0, 1, "a", "has 'a' as 3 and as 5");
    refused_small("gpt2", 0, 1, "\xff", "not UTF-8");
    refused_small("gpt2", 0, 7, "c", "gives token 5 the type 7; there are 0 to 6");
    refused_small("llama", 0, 1, "a", "stands there as pieces[3] before");
    refused_small("llama", 0x7fc00000u, 1, "c", "a score that is no finite number");
    refused_small("t5", 0xff800000u, 1, "c", "a score that is no finite number");
}

// ---- Which one a model is given -------------------------------------------------------------------------------------

#define FOLDER QM_BINARY_DIR "/test-tokenizer-gguf"

static void write_file(const char *name, const void *bytes, size_t count)
{
    char path[QM_PATH_BYTES];
    snprintf(path, sizeof(path), FOLDER "/%s", name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static const char *found_for(const char *model)
{
    static char path[QM_PATH_BYTES];
    bool found = false;
    if (qm_model_tokenizer_find(model, path, &found) != QM_OK)
        fail_msg("%s", qm_error_text());
    return found ? qm_path_name(path) : "none";
}

static void copy_data(const char *from, const char *to)
{
    char path[QM_PATH_BYTES];
    void *bytes = NULL;
    size_t count = 0;
    snprintf(path, sizeof(path), DATA "%s", from);
    assert_int_equal(qm_file_read(path, 1 << 20, &bytes, &count), QM_OK);
    write_file(to, bytes, count);
    free(bytes);
}

static bool begins(uint32_t *id)
{
    struct qm_tokenizer *tokenizer = NULL;
    if (qm_model_tokenizer_load(FOLDER "/tokenizer.model", &tokenizer) != QM_OK)
        fail_msg("%s", qm_error_text());
    bool is_there = qm_tokenizer_begin_id(tokenizer, id);
    qm_tokenizer_destroy(&tokenizer);
    return is_there;
}

static void test_which_one(void **state)
{
    (void)state;
    static const char *const names[] = {"m.gguf", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
                                        "added_tokens.json"};
    struct entries e = {0};
    struct gguf_writer file;
    struct qm_tokenizer *tokenizer = NULL;
    struct qm_end_tokens ends;
    uint32_t id = 0;
    mkdir(FOLDER, 0755);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[QM_PATH_BYTES];
        snprintf(path, sizeof(path), FOLDER "/%s", names[i]);
        remove(path);
    }
    assert_string_equal(found_for(FOLDER), "none");
    copy_data("sp_bpe.model", "tokenizer.model");
    assert_string_equal(found_for(FOLDER), "tokenizer.model");
    assert_true(begins(&id) && id == 1);
    write_file("tokenizer_config.json", "{\"add_bos_token\":false}", 23);
    assert_false(begins(&id));
    write_file("added_tokens.json", "{}", 2);
    assert_int_equal(qm_model_tokenizer_load(FOLDER "/tokenizer.model", &tokenizer), QM_UNSUPPORTED);
    make_bytes("llama3", "llama-bpe", &e);
    put_number(&e, KEY "eos_token_id", 1258);
    put_number(&e, KEY "eot_token_id", 1261);
    put_number(&e, KEY "eom_token_id", 99999); // beyond the vocabulary: never generated
    close_entries(&e, &file);
    write_file("m.gguf", file.bytes, file.count);
    free(file.bytes);
    assert_string_equal(found_for(FOLDER "/m.gguf"), "m.gguf");
    assert_int_equal(qm_model_tokenizer_load(FOLDER "/m.gguf", &tokenizer), QM_OK);
    assert_string_equal(qm_tokenizer_kind(tokenizer), "byte-level BPE");
    assert_int_equal(strlen(qm_tokenizer_sha256(tokenizer)), 64);
    qm_tokenizer_destroy(&tokenizer);
    assert_int_equal(qm_model_end_tokens(FOLDER "/m.gguf", 1262, &ends), QM_OK);
    assert_int_equal(ends.count, 2);
    assert_true(qm_end_tokens_have(&ends, 1258) && qm_end_tokens_have(&ends, 1261));
    copy_data("gpt2.json", "tokenizer.json");
    assert_string_equal(found_for(FOLDER "/m.gguf"), "tokenizer.json");
    assert_string_equal(found_for(FOLDER), "tokenizer.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begin_and_end),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_which_one),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_equal_to_what_it_was_made_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
