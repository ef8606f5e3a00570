// Fuzz target: any bytes are read as a public key, a secret key and a signature. What is accepted is whole; no text is a
// good signature of a fixed result by a fixed key but one that holds the signature which that key makes; a secret key
// that is accepted signs what its public key verifies.
//
// Built by the CMake preset `fuzz`: build-fuzz/fuzz_signature -max_len=4096 CORPUS test/fuzz/corpus/signature
#include "record/node.h"
#include "record/sign.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static const char secret_text[] = "qmark-ed25519-secret-key 1\n"
                                  "seed AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
                                  "public A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n";
static const char public_text[] = "qmark-ed25519 A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg= fuzz\n";

static struct qm_node *result;
static struct qm_secret_key fixed;
static struct qm_signature good;

static void begin(void)
{
    char hash[QM_HASH_TEXT_BYTES];
    char text[QM_SIGNATURE_TEXT_BYTES];
    if (result)
        return;
    result = qm_node_new_mapping();
    qm_node_set_text(result, "a", "result");
    require(qm_node_hash(result, "hash", hash) == QM_OK);
    qm_node_set_text(result, "hash", hash);
    require(qm_secret_key_parse(secret_text, strlen(secret_text), "f", &fixed) == QM_OK);
    require(qm_signature_make(&fixed, hash, text) == QM_OK);
    require(qm_signature_parse(text, strlen(text), "f", &good) == QM_OK);
}

static void expect_clean(const char *text)
{
    for (; *text; text++)
        require((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void read_public(const uint8_t *bytes, size_t count)
{
    struct qm_public_key key;
    if (qm_public_key_parse(bytes, count, "f", &key) != QM_OK) {
        require(strncmp(qm_error_text(), "f:", 2) == 0);
        return;
    }
    require(strlen(key.fingerprint) == 64 && strlen(key.comment) < QM_SIGN_COMMENT_BYTES);
    expect_clean(key.comment);
}

static void read_secret(const uint8_t *bytes, size_t count)
{
    struct qm_secret_key key;
    char text[QM_SIGNATURE_TEXT_BYTES];
    char reason[QM_SIGNATURE_REASON_BYTES];
    if (qm_secret_key_parse(bytes, count, "f", &key) != QM_OK) {
        for (size_t i = 0; i < sizeof(key.bytes); i++) // nothing is left of what was refused
            require(key.bytes[i] == 0);
        return;
    }
    require(qm_signature_make(&key, qm_node_text_at(result, "hash", ""), text) == QM_OK);
    enum qm_signature_state state =
        qm_signature_check(result, text, strlen(text), public_text, strlen(public_text), reason);
    require(state ==
            (memcmp(key.bytes, fixed.bytes, sizeof(key.bytes)) == 0 ? QM_SIGNATURE_GOOD : QM_SIGNATURE_OTHER_KEY));
    qm_secret_key_wipe(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct qm_signature signature;
    char reason[QM_SIGNATURE_REASON_BYTES];
    begin();
    read_public(bytes, count);
    read_secret(bytes, count);
    bool is_read = qm_signature_parse(bytes, count, "f", &signature) == QM_OK;
    enum qm_signature_state state = qm_signature_check(result, bytes, count, public_text, strlen(public_text), reason);
    require(is_read == (state != QM_SIGNATURE_UNREADABLE));
    require((state == QM_SIGNATURE_GOOD) == (is_read && memcmp(&signature, &good, sizeof(good)) == 0));
    expect_clean(reason);
    // As a key, for the signature that is good.
    char text[QM_SIGNATURE_TEXT_BYTES];
    require(qm_signature_make(&fixed, good.content, text) == QM_OK);
    state = qm_signature_check(result, text, strlen(text), bytes, count, reason);
    require(state == QM_SIGNATURE_GOOD || state == QM_SIGNATURE_OTHER_KEY || state == QM_SIGNATURE_KEY_UNREADABLE);
    expect_clean(reason);
    return 0;
}
