// Signatures: what is good stays good when a file is laid out anew, and every kind of harm has its own state. Keys are
// kept from others and never replaced.
#include "record/result.h"
#include "record/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define EXAMPLE QM_SOURCE_DIR "/test/data/result-example.yaml"
#define FOLDER QM_BINARY_DIR "/test-sign"

static struct qm_node *load(const char *path)
{
    struct qm_node *node = NULL;
    if (qm_result_load(path, &node, NULL) != QM_OK)
        fail_msg("%s", qm_error_text());
    return node;
}

__attribute__((noinline)) static char *read_text(const char *path)
{
    void *bytes = NULL;
    size_t count = 0;
    if (qm_file_read(path, 1 << 20, &bytes, &count) != QM_OK)
        fail_msg("%s", qm_error_text());
    return bytes;
}

static void write_text(const char *path, const char *text)
{
    if (qm_file_write(path, text, strlen(text)) != QM_OK)
        fail_msg("%s", qm_error_text());
}

static void expect_error(enum qm_status status, const char *part)
{
    assert_int_equal(status, QM_INVALID);
    if (!strstr(qm_error_text(), part))
        fail_msg("'%s' is not in: %s", part, qm_error_text());
}

static int setup(void **state)
{
    (void)state;
    static const char *const names[] = {"key", "key.pub", "other", "other.pub", "r.yaml", "r.yaml.sig", "bad"};
    char path[QM_PATH_BYTES];
    struct qm_public_key key;
    mkdir(FOLDER, 0755);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), FOLDER "/%s", names[i]);
        unlink(path);
    }
    char *text = read_text(EXAMPLE);
    write_text(FOLDER "/r.yaml", text);
    free(text);
    return qm_key_pair_create(FOLDER "/key", "A. Reviewer", &key) == QM_OK ? 0 : -1;
}

static void sign_with(const char *key_path)
{
    struct qm_secret_key key;
    char path[QM_PATH_BYTES];
    char content[QM_HASH_TEXT_BYTES];
    struct qm_node *result = load(FOLDER "/r.yaml");
    if (qm_secret_key_load(key_path, &key) != QM_OK ||
        qm_signature_write(FOLDER "/r.yaml", result, &key, path, content) != QM_OK)
        fail_msg("%s", qm_error_text());
    assert_string_equal(path, FOLDER "/r.yaml.sig");
    assert_string_equal(content, qm_node_text_at(result, "hash", ""));
    qm_secret_key_wipe(&key);
    qm_node_destroy(&result);
}

static void expect_state(const char *key_path, enum qm_signature_state wanted, const char *part)
{
    char reason[QM_SIGNATURE_REASON_BYTES] = "";
    struct qm_node *result = load(FOLDER "/r.yaml");
    enum qm_signature_state state = qm_signature_verify_file(FOLDER "/r.yaml", result, key_path, reason);
    if (state != wanted || !strstr(reason, part))
        fail_msg("%s: %s; expected %s with '%s'", qm_signature_state_name(state), reason,
                 qm_signature_state_name(wanted), part);
    qm_node_destroy(&result);
}

static void test_good_whatever_the_layout(void **state)
{
    (void)state;
    sign_with(FOLDER "/key");
    expect_state(FOLDER "/key.pub", QM_SIGNATURE_GOOD, "(A. Reviewer) vouched");
    struct qm_node *result = load(FOLDER "/r.yaml");
    char *json = NULL;
    assert_int_equal(qm_node_write_json(result, &json), QM_OK);
    write_text(FOLDER "/r.yaml", json);
    expect_state(FOLDER "/key.pub", QM_SIGNATURE_GOOD, "vouched");
    free(json);
    qm_node_destroy(&result);
}

// A line of the signature with its first character behind the word changed to another of the same alphabet.
static void damage(const char *word)
{
    char *text = read_text(FOLDER "/r.yaml.sig");
    char *at = strstr(text, word);
    assert_non_null(at);
    at += strlen(word);
    *at = *at == '1' ? '2' : '1';
    write_text(FOLDER "/r.yaml.sig", text);
    free(text);
}

static void test_every_harm_has_its_state(void **state)
{
    (void)state;
    struct qm_public_key other;
    expect_state(FOLDER "/key.pub", QM_SIGNATURE_ABSENT, "is not signed");
    sign_with(FOLDER "/key");
    assert_int_equal(qm_key_pair_create(FOLDER "/other", "", &other), QM_OK);
    expect_state(FOLDER "/other.pub", QM_SIGNATURE_OTHER_KEY, "and not this key");
    expect_state(FOLDER "/missing.pub", QM_SIGNATURE_KEY_UNREADABLE, "missing.pub");
    expect_state(FOLDER "/key", QM_SIGNATURE_KEY_UNREADABLE, "expected 'qmark-ed25519");
    damage("\nsignature ");
    expect_state(FOLDER "/key.pub", QM_SIGNATURE_FORGED, "damaged or forged");
    sign_with(FOLDER "/key");
    damage("\ncontent "); // what is signed is the hash that is stated
    expect_state(FOLDER "/key.pub", QM_SIGNATURE_FORGED, "damaged or forged");
    write_text(FOLDER "/r.yaml.sig", "qmark-signature 2\n");
    expect_state(FOLDER "/key.pub", QM_SIGNATURE_UNREADABLE, "r.yaml.sig:1");
}

// A stranger who changes the result can set its hash anew, and not the signature.
static void test_altered(void **state)
{
    (void)state;
    char hash[QM_HASH_TEXT_BYTES];
    char *text = NULL;
    sign_with(FOLDER "/key");
    struct qm_node *result = load(FOLDER "/r.yaml");
    qm_node_set_text(qm_node_child(result, "device"), "name", "A faster card");
    assert_int_equal(qm_node_hash(result, "hash", hash), QM_OK);
    qm_node_set_text(result, "hash", hash);
    assert_int_equal(qm_node_write_yaml(result, &text), QM_OK);
    write_text(FOLDER "/r.yaml", text);
    expect_state(FOLDER "/key.pub", QM_SIGNATURE_ALTERED, "signed content");
    qm_node_destroy(&result);
    free(text);
    // And one whose hash alone was changed is none that anybody wrote.
    char *example = read_text(EXAMPLE);
    char *at = strstr(example, "\nhash: ");
    assert_non_null(at);
    at += strlen("\nhash: ") + (at[strlen("\nhash: ")] == '"');
    memset(at, '0', 64);
    write_text(FOLDER "/r.yaml", example);
    expect_state(FOLDER "/key.pub", QM_SIGNATURE_ALTERED, "'hash' is not that of it");
    free(example);
}

static void test_what_was_edited_is_not_signed(void **state)
{
    (void)state;
    struct qm_secret_key key;
    char path[QM_PATH_BYTES];
    char content[QM_HASH_TEXT_BYTES];
    struct qm_node *result = load(FOLDER "/r.yaml");
    qm_node_set_text(qm_node_child(result, "device"), "name", "A faster card");
    assert_int_equal(qm_secret_key_load(FOLDER "/key", &key), QM_OK);
    expect_error(qm_signature_write(FOLDER "/r.yaml", result, &key, path, content), "CHANGED");
    assert_false(qm_file_exists(FOLDER "/r.yaml.sig"));
    qm_node_destroy(&result);
}

static void test_secret_key_is_kept(void **state)
{
    (void)state;
    struct stat info;
    struct qm_secret_key key;
    struct qm_public_key made;
    assert_int_equal(stat(FOLDER "/key", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    for (mode_t mode = 0601; mode <= 0640; mode = mode == 0601 ? 0604 : mode == 0604 ? 0620 : mode + 020) {
        assert_int_equal(chmod(FOLDER "/key", mode), 0);
        expect_error(qm_secret_key_load(FOLDER "/key", &key), "run 'chmod 600 " FOLDER "/key'");
    }
    chmod(FOLDER "/key", 0600);
    char *before = read_text(FOLDER "/key");
    expect_error(qm_key_pair_create(FOLDER "/key", "", &made), "not replaced");
    unlink(FOLDER "/key.pub"); // then the secret one is in the way
    expect_error(qm_key_pair_create(FOLDER "/key", "", &made), "not replaced");
    assert_false(qm_file_exists(FOLDER "/key.pub"));
    char *after = read_text(FOLDER "/key");
    assert_string_equal(before, after);
    free(before);
    free(after);
    expect_error(qm_key_pair_create(FOLDER "/other", "two\nlines", &made), "control characters");
    assert_false(qm_file_exists(FOLDER "/other"));
    expect_error(qm_secret_key_load("/dev/null", &key), "is no file");
}

static void test_nobody_elses_signature_is_replaced(void **state)
{
    (void)state;
    struct qm_public_key made;
    struct qm_secret_key other;
    char path[QM_PATH_BYTES];
    char content[QM_HASH_TEXT_BYTES];
    sign_with(FOLDER "/key");
    sign_with(FOLDER "/key"); // one's own is
    assert_int_equal(qm_key_pair_create(FOLDER "/other", "", &made), QM_OK);
    assert_int_equal(qm_secret_key_load(FOLDER "/other", &other), QM_OK);
    struct qm_node *result = load(FOLDER "/r.yaml");
    expect_error(qm_signature_write(FOLDER "/r.yaml", result, &other, path, content), "no signature of this key");
    write_text(FOLDER "/r.yaml.sig", "-----BEGIN PGP SIGNATURE-----\n");
    expect_error(qm_signature_write(FOLDER "/r.yaml", result, &other, path, content), "no signature of this key");
    qm_node_destroy(&result);
    expect_state(FOLDER "/key.pub", QM_SIGNATURE_UNREADABLE, "r.yaml.sig:1");
}

// A vector that another program made (Python, from RFC 8032's formulas, with the seed 0, 1, ... 31): the formats are as documented.
static void test_formats_are_as_documented(void **state)
{
    (void)state;
    static const char secret[] = "qmark-ed25519-secret-key 1\n"
                                 "seed AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
                                 "public A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n";
    static const char expected[] =
        "qmark-signature 1\n"
        "algorithm ed25519\n"
        "key 56475aa75463474c0285df5dbf2bcab73da651358839e9b77481b2eab107708c\n"
        "content aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
        "signature Hk56IS5GZpthOLyJ65oOmu48H3ekCor/HwgWtb+hFTyoR9nd23LgP+W33/+4R/GkVXioDYptroDbp7yLuqohDw==\n";
    struct qm_secret_key key;
    char content[QM_HASH_TEXT_BYTES];
    char text[QM_SIGNATURE_TEXT_BYTES];
    memset(content, 'a', 64);
    content[64] = '\0';
    assert_int_equal(qm_secret_key_parse(secret, strlen(secret), "f", &key), QM_OK);
    assert_int_equal(qm_signature_make(&key, content, text), QM_OK);
    assert_string_equal(text, expected);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } keys[] = {
        {"", "f:1"},
        {"ssh-ed25519 AAAA x", "expected 'qmark-ed25519"},
        {"qmark-ed25519 AAAA x\n", "base64 of 32 bytes"},
        {"qmark-ed25519 A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg x\n", "base64 of 32 bytes"},  // no padding
        {"qmark-ed25519 A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbh= x\n", "base64 of 32 bytes"}, // bits left over
        {"qmark-ed25519 A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg= x\nmore\n", "f:2"},
    };
    struct qm_public_key key;
    struct qm_secret_key secret;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        expect_error(qm_public_key_parse(keys[i].text, strlen(keys[i].text), "f", &key), keys[i].part);
    char large[QM_SIGN_BYTES_MAX + 1];
    memset(large, 'a', sizeof(large));
    expect_error(qm_public_key_parse(large, sizeof(large), "f", &key), "at most");
    // Line ends of another system, and none at the end; a comment cannot steer a terminal.
    static const char other[] = "qmark-ed25519 A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg= a\x1b[2Jb\r\n";
    assert_int_equal(qm_public_key_parse(other, strlen(other) - 2, "f", &key), QM_OK);
    assert_int_equal(qm_public_key_parse(other, strlen(other), "f", &key), QM_OK);
    assert_string_equal(key.comment, "a [2Jb");
    // A seed with a bit flipped is another key; that is noticed.
    static const char flipped[] = "qmark-ed25519-secret-key 1\n"
                                  "seed AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
                                  "public A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n";
    expect_error(qm_secret_key_parse(flipped, strlen(flipped), "f", &secret), "damaged");
    for (size_t i = 0; i < sizeof(secret.bytes); i++)
        assert_int_equal(secret.bytes[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good_whatever_the_layout, setup),
        cmocka_unit_test_setup(test_every_harm_has_its_state, setup),
        cmocka_unit_test_setup(test_altered, setup),
        cmocka_unit_test_setup(test_what_was_edited_is_not_signed, setup),
        cmocka_unit_test_setup(test_secret_key_is_kept, setup),
        cmocka_unit_test_setup(test_nobody_elses_signature_is_replaced, setup),
        cmocka_unit_test(test_formats_are_as_documented),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
