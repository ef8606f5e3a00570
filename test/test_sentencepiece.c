// SentencePiece models by hand: what is in them, what text becomes and comes back as, and what is refused. That ids are those
// of the original on 10,000 lines: test_tokenizer.c.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/pieces_file.h"
#include "text/charsmap.h"
#include "text/tokenizer.h"

static struct qm_tokenizer *parse(const struct pieces_file *file, bool adds_begin, bool adds_end)
{
    struct qm_tokenizer *tokenizer = NULL;
    if (qm_tokenizer_parse_pieces(file->bytes, file->count, "m.model", adds_begin, adds_end, &tokenizer) != QM_OK)
        fail_msg("%s", qm_error_text());
    return tokenizer;
}

static const char *ids_of(struct qm_tokenizer *tokenizer, const char *text, bool special)
{
    static char out[512];
    const struct qm_encode_options options = {.add_special_tokens = special};
    struct qm_tokens tokens = {0};
    size_t used = 0;
    if (qm_tokenizer_encode(tokenizer, text, strlen(text), &options, &tokens) != QM_OK)
        fail_msg("%s", qm_error_text());
    out[0] = '\0';
    for (size_t i = 0; i < tokens.count; i++)
        used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%u", i ? " " : "", tokens.ids[i]);
    qm_tokens_free(&tokens);
    return out;
}

static const char *text_of(struct qm_tokenizer *tokenizer, const uint32_t *ids, size_t count, bool skip_special)
{
    static char out[512];
    char *text = NULL;
    size_t bytes = 0;
    if (qm_tokenizer_decode(tokenizer, ids, count, skip_special, &text, &bytes) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_int_equal(strlen(text), bytes);
    snprintf(out, sizeof(out), "%s", text);
    free(text);
    return out;
}

// <unk> <s> </s>, then what the tests add.
static void begin(struct pieces_file *file, unsigned model_type, bool byte_fallback)
{
    *file = (struct pieces_file){0};
    pieces_file_trainer(file, model_type, byte_fallback);
    pieces_file_add(file, "<unk>", 0, 2);
    pieces_file_add(file, "<s>", 0, 3);
    pieces_file_add(file, "</s>", 0, 3);
}

static void test_pairs(void **state)
{
    (void)state;
    struct pieces_file file;
    begin(&file, 2, false);
    static const char *const pieces[] = {"\u2581", "a", "b", "c", "ab", "bc", "abc", "\u2581a"}; // 3 to 10
    for (unsigned i = 0; i < 8; i++)
        pieces_file_add(&file, pieces[i], -(float)i, 1);
    struct qm_tokenizer *tokenizer = parse(&file, true, false);
    assert_string_equal(qm_tokenizer_kind(tokenizer), "SentencePiece BPE");
    assert_int_equal(qm_tokenizer_size(tokenizer), 11);
    assert_true(qm_tokenizer_is_special(tokenizer, 1) && !qm_tokenizer_is_special(tokenizer, 4));
    assert_string_equal(ids_of(tokenizer, "abc", false),
                        "3 9"); // ab before bc, then abc; the blank of the begin is left
    assert_string_equal(ids_of(tokenizer, "abc", true), "1 3 9");      // the begin, no end
    assert_string_equal(ids_of(tokenizer, " a  a ", false), "10 10");  // blanks at the ends and doubled ones go
    assert_string_equal(ids_of(tokenizer, "axyza", false), "10 0 4");  // unknown ones in a row are one
    assert_string_equal(ids_of(tokenizer, "x ay", false), "3 0 10 0"); // and no further
    assert_string_equal(ids_of(tokenizer, "<s>", false), "3 0");       // a name of a control piece is text
    assert_string_equal(ids_of(tokenizer, "", false), "");
    assert_string_equal(ids_of(tokenizer, "   ", false), "");
    assert_string_equal(text_of(tokenizer, (uint32_t[]){1, 10, 3, 9, 0, 2}, 6, true), "a abc \u2047 ");
    assert_string_equal(text_of(tokenizer, (uint32_t[]){1, 10, 99}, 3, false), "<s> a");
    qm_tokenizer_destroy(&tokenizer);
    pieces_file_free(&file);
}

static void test_unigram(void **state)
{
    (void)state;
    struct pieces_file file;
    begin(&file, 1, false);
    pieces_file_add(&file, "\u2581", -2, 1); // 3
    pieces_file_add(&file, "a", -1, 1);      // 4
    pieces_file_add(&file, "b", -5, 1);      // 5
    pieces_file_add(&file, "aa", -2.5f, 1);  // 6, less than twice a
    pieces_file_add(&file, "ab", -4, 1);     // 7
    pieces_file_add(&file, "aab", -5.5f, 5); // 8, unused
    pieces_file_add(&file, "ba", 0, 4);      // 9, of the user
    struct qm_tokenizer *tokenizer = parse(&file, false, true);
    assert_string_equal(qm_tokenizer_kind(tokenizer), "SentencePiece unigram");
    assert_string_equal(ids_of(tokenizer, "aaaa", false), "3 4 4 4 4");
    assert_string_equal(ids_of(tokenizer, "aab", false), "3 4 7");
    assert_string_equal(ids_of(tokenizer, "aaba", false), "3 4 4 9");
    assert_string_equal(ids_of(tokenizer, "xya", true), "3 0 4 2");
    qm_tokenizer_destroy(&tokenizer);
    pieces_file_free(&file);
}

static void test_bytes(void **state)
{
    (void)state;
    struct pieces_file file;
    begin(&file, 2, true);
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof(text), "<0x%02X>", byte);
        pieces_file_add(&file, text, 0, 6);
    }
    pieces_file_add(&file, "\u2581", 0, 1); // 259
    struct qm_tokenizer *tokenizer = parse(&file, false, false);
    assert_string_equal(qm_tokenizer_kind(tokenizer), "SentencePiece BPE with byte fallback");
    assert_string_equal(ids_of(tokenizer, "\u00e9a", false), "259 198 172 100");
    assert_string_equal(ids_of(tokenizer, "\xff", false), "259 242 194 192"); // U+FFFD
    assert_string_equal(text_of(tokenizer, (uint32_t[]){259, 198, 172, 100}, 4, true), "\u00e9a");
    assert_string_equal(text_of(tokenizer, (uint32_t[]){198, 198, 172, 258}, 4, true), "\ufffd\u00e9\ufffd");
    qm_tokenizer_destroy(&tokenizer);
    pieces_file_free(&file);
}

// ---- What is refused ------------------------------------------------------------------------------------------------

static void refused(const struct pieces_file *file, size_t count, enum qm_status expected, const char *words)
{
    struct qm_tokenizer *tokenizer = NULL;
    // A copy of its own size, so that a byte behind the end is one too many.
    char *bytes = malloc(count + (count == 0));
    memcpy(bytes, file->bytes, count);
    enum qm_status status = qm_tokenizer_parse_pieces(bytes, count, "m.model", true, true, &tokenizer);
    const char *message = qm_error_text();
    if (status != expected || tokenizer || strchr(message, '\n') || strncmp(message, "m.model: ", 9) != 0 ||
        !strstr(message, words))
        fail_msg("expected %s and '%s', got %s and '%s'", qm_status_name(expected), words, qm_status_name(status),
                 message);
    free(bytes);
}

static void refused_piece(const char *text, size_t bytes, float score, unsigned type, const char *words)
{
    struct pieces_file file;
    begin(&file, 2, false);
    pieces_file_add_bytes(&file, text, bytes, score, type);
    refused(&file, file.count, QM_INVALID, words);
    pieces_file_free(&file);
}

static void refused_field(const char *field, size_t bytes, enum qm_status expected, const char *words)
{
    struct pieces_file file;
    begin(&file, 2, false);
    pieces_file_put(&file, field, bytes);
    refused(&file, file.count, expected, words);
    pieces_file_free(&file);
}

static void test_refused(void **state)
{
    (void)state;
    static char longest[513];
    struct pieces_file file = {0};
    memset(longest, 'a', sizeof(longest));
    pieces_file_put(&file, "", 0);
    refused(&file, 0, QM_INVALID, "there is no piece in it");
    pieces_file_put(&file, "{\"model\":{}}", 12);
    refused(&file, file.count, QM_INVALID, "no SentencePiece model");
    pieces_file_free(&file);
    // Pieces.
    refused_piece("", 0, 0, 1, "pieces[3] has 0 bytes");
    refused_piece(longest, sizeof(longest), 0, 1, "1 to 512 are supported");
    refused_piece("a\0b", 3, 0, 1, "pieces[3] has a zero byte");
    refused_piece("\xff", 1, 0, 1, "pieces[3]: 'piece' is not UTF-8");
    refused_piece("<s>", 3, 0, 1, "pieces[3], '<s>', stands there as pieces[1] before");
    refused_piece("a", 1, 0, 0, "type 0; there are types 1 to 6");
    refused_piece("a", 1, 0, 7, "type 7");
    refused_piece("a", 1, NAN, 1, "a score that is no finite number");
    refused_piece("a", 1, INFINITY, 1, "a score that is no finite number");
    refused_piece("a", 1, 0, 2, "as pieces[0] is; there must be one");
    refused_piece("a", 1, 0, 6, "its text must be <0x00> to <0xFF>");
    refused_piece("<0x41>", 6, 0, 6, "pieces[3] is a byte, and trainer_spec has no byte_fallback");
    // The wire.
    refused_field("\x0a\x03\x10\x05\x7f", 5, QM_INVALID, "pieces[3]: 'score' has wire type 0 and should have 5");
    refused_field("\x08\x01", 2, QM_INVALID, "has wire type 0 and should have 2");
    refused_field("\x0a\x05\x0a", 3, QM_INVALID, "cut off");
    refused_field("\x0a\x02\x0a\x05", 4, QM_INVALID, "pieces[3] is cut off");
    refused_field("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, QM_INVALID, "cut off"); // 2^64 - 1 bytes
    refused_field("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11, QM_INVALID, "more than 64 bits");
    refused_field("\x0b\x0c", 2, QM_INVALID, "wire type 3"); // a group
    refused_field("\x02\x00", 2, QM_INVALID, "impossible number");
    // What the specifications ask for.
    refused_field("\x12\x02\x18\x03", 4, QM_UNSUPPORTED, "the model is WORD; UNIGRAM and BPE are supported");
    refused_field("\x12\x02\x18\x09", 4, QM_UNSUPPORTED, "of an unknown type");
    refused_field("\x12\x03\x98\x02\x01", 5, QM_INVALID, "no piece '<0x00>' of the type BYTE");
    refused_field("\x1a\x03\x12\x01\x00", 5, QM_INVALID, "normalizer_spec: 1 bytes, of which an array has 0");
}

static void test_no_unknown(void **state)
{
    (void)state;
    struct pieces_file file = {0};
    pieces_file_add(&file, "a", 0, 1);
    refused(&file, file.count, QM_INVALID, "no unknown piece");
    pieces_file_free(&file);
}

// A million pieces, and every prefix of a good file: read or refused in little time.
static void test_many_and_cut(void **state)
{
    (void)state;
    struct pieces_file file;
    struct qm_tokenizer *tokenizer = NULL;
    for (unsigned type = 1; type <= 2; type++) {
        begin(&file, type, false);
        for (unsigned i = 0; i < 1000000; i++) {
            char text[16];
            snprintf(text, sizeof(text), "%u", i);
            pieces_file_add(&file, text, -(float)(i % 1000), 1);
        }
        tokenizer = parse(&file, false, false);
        assert_int_equal(qm_tokenizer_size(tokenizer), 1000003);
        assert_string_equal(ids_of(tokenizer, "x999999", false), type == 1 ? "0 12 12 12 12 12 12" : "0 1000002");
        qm_tokenizer_destroy(&tokenizer);
        pieces_file_free(&file);
    }
    begin(&file, 1, false);
    pieces_file_add(&file, "a", -1, 1);
    for (size_t count = 0; count < file.count; count++) {
        if (qm_tokenizer_parse_pieces(file.bytes, count, "m.model", false, false, &tokenizer) == QM_OK)
            qm_tokenizer_destroy(&tokenizer);
        else
            assert_true(strncmp(qm_error_text(), "m.model: ", 9) == 0);
    }
    pieces_file_free(&file);
}

// ---- The map of characters ------------------------------------------------------------------------------------------

static void test_charsmap(void **state)
{
    (void)state;
    // One key, "a", which becomes "xy": the root's offset is 'a' ^ 1 so that its child is unit 1, whose value is unit 2.
    uint32_t units[4] = {((uint32_t)('a' ^ 1u)) << 10, 'a' | 0x100u | (uint32_t)(1u ^ 2u) << 10, 0x80000000u | 1u, 0};
    unsigned char blob[64];
    struct qm_charsmap map;
    uint32_t array_bytes = sizeof(units);
    memcpy(blob, &array_bytes, 4);
    memcpy(blob + 4, units, sizeof(units));
    memcpy(blob + 20, "\0xy\0", 4);
    assert_int_equal(qm_charsmap_read(blob, 24, "m", "map", &map), QM_OK);
    struct qm_charsmap_match match = qm_charsmap_find(&map, "ab", 2, false);
    assert_int_equal(match.bytes, 1);
    assert_int_equal(match.text_bytes, 2);
    assert_memory_equal(match.text, "xy", 2);
    assert_int_equal(qm_charsmap_find(&map, "b", 1, false).bytes, 0);
    qm_charsmap_free(&map);
    // A value beyond the texts, children beyond the array, a unit that is its own child: no match, and an end.
    static const struct {
        uint32_t units[4];
    } bad[] = {
        {{((uint32_t)('a' ^ 1u)) << 10, 'a' | 0x100u | 3u << 10, 0x80000000u | 77u, 0}},
        {{0x1fffffu << 10 | 0x200u, 'a' | 0x100u, 0, 0}},
        {{((uint32_t)('a' ^ 1u)) << 10, 'a' | (uint32_t)'a' << 10, 0, 0}},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memcpy(blob + 4, bad[i].units, sizeof(units));
        assert_int_equal(qm_charsmap_read(blob, 24, "m", "map", &map), QM_OK);
        assert_int_equal(qm_charsmap_find(&map, "aaaaaaaa", 8, false).bytes, 0);
        qm_charsmap_free(&map);
    }
    assert_int_equal(qm_charsmap_read(blob, 0, "m", "map", &map), QM_OK);
    assert_int_equal(qm_charsmap_find(&map, "a", 1, false).bytes, 0);
    for (size_t count = 1; count < 24; count++) {
        assert_int_equal(qm_charsmap_read(blob, count, "m", "map", &map), count == 21 ? QM_OK : QM_INVALID);
        qm_charsmap_free(&map);
    }
    blob[23] = 'z'; // not ended
    assert_int_equal(qm_charsmap_read(blob, 24, "m", "map", &map), QM_INVALID);
    memset(blob, 0xff, 4);
    assert_int_equal(qm_charsmap_read(blob, 24, "m", "map", &map), QM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),    cmocka_unit_test(test_unigram),    cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_no_unknown), cmocka_unit_test(test_many_and_cut),
        cmocka_unit_test(test_charsmap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
