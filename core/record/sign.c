// Files of keys and signatures. sign_text.c has what is in them.
#include "record/sign.h"
#include "base/text.h"
#include "record/node.h"
#include "record/sign_internal.h"

#include <sodium.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_TEXT_BYTES = 45, // 44 characters of base64 and the zero
    TEXT_BYTES = 256,
};

enum qm_status qm_secret_key_load(const char *path, struct qm_secret_key *out)
{
    void *bytes = NULL;
    size_t count = 0;
    *out = (struct qm_secret_key){0};
    QM_TRY(qm_file_read_secret(path, QM_SIGN_BYTES_MAX, &bytes, &count));
    enum qm_status status = qm_secret_key_parse(bytes, count, path, out);
    sodium_memzero(bytes, count);
    free(bytes);
    return status;
}

static enum qm_status check_comment(const char *comment)
{
    char clean[QM_SIGN_COMMENT_BYTES];
    if (strlen(comment) >= sizeof(clean))
        return QM_FAIL(QM_INVALID, "the comment has %zu bytes; use %d at most", strlen(comment),
                       QM_SIGN_COMMENT_BYTES - 1);
    snprintf(clean, sizeof(clean), "%s", comment);
    qm_text_clean(clean);
    if (strcmp(clean, comment) != 0)
        return QM_FAIL(QM_INVALID, "the comment '%s' has control characters; use one line of plain text", comment);
    return QM_OK;
}

enum qm_status qm_key_pair_create(const char *path, const char *comment, struct qm_public_key *out)
{
    unsigned char seed[crypto_sign_SEEDBYTES];
    struct qm_secret_key key = {0};
    char seed_text[KEY_TEXT_BYTES];
    char public_text[KEY_TEXT_BYTES];
    char text[TEXT_BYTES];
    char public_path[QM_PATH_BYTES];
    enum qm_status status = QM_OK;
    *out = (struct qm_public_key){0};
    QM_TRY(check_comment(comment));
    if (snprintf(public_path, sizeof(public_path), "%s.pub", path) >= (int)sizeof(public_path))
        return QM_FAIL(QM_INVALID, "%.64s...: the path is too long; use one below %d bytes", path, QM_PATH_BYTES - 8);
    if (sodium_init() < 0)
        return QM_FAIL(QM_FAILED, "libsodium does not start: the system gives no random numbers; try again later");
    // Before a secret key is made that would have no public one beside it.
    if (qm_file_exists(public_path))
        return QM_FAIL(QM_INVALID, "%s: is there already and is not replaced; choose another name", public_path);
    randombytes_buf(seed, sizeof(seed));
    crypto_sign_seed_keypair(out->bytes, key.bytes, seed);
    sodium_bin2base64(seed_text, sizeof(seed_text), seed, sizeof(seed), sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(public_text, sizeof(public_text), out->bytes, sizeof(out->bytes), sodium_base64_VARIANT_ORIGINAL);
    qm_hash_bytes(out->bytes, sizeof(out->bytes), out->fingerprint);
    snprintf(out->comment, sizeof(out->comment), "%s", comment);
    snprintf(text, sizeof(text), QM_SECRET_KEY_HEADER "\nseed %s\npublic %s\n", seed_text, public_text);
    QM_GUARD(qm_file_write_new(path, text, strlen(text), true));
    snprintf(text, sizeof(text), QM_PUBLIC_KEY_WORD " %s%s%s\n", public_text, *comment ? " " : "", comment);
    status = qm_file_write_new(public_path, text, strlen(text), false);
    if (status != QM_OK && qm_file_remove(path) != QM_OK)
        status = QM_FAIL(QM_FAILED, "%s: a secret key without a public one was left; remove it", path);
done:
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(seed_text, sizeof(seed_text));
    sodium_memzero(text, sizeof(text));
    qm_secret_key_wipe(&key);
    return status;
}

static enum qm_status signature_path(const char *result_path, char path[QM_PATH_BYTES])
{
    if (snprintf(path, QM_PATH_BYTES, "%s.sig", result_path) >= QM_PATH_BYTES)
        return QM_FAIL(QM_INVALID, "%.64s...: the path is too long; use one below %d bytes", result_path,
                       QM_PATH_BYTES - 8);
    return QM_OK;
}

// Nobody's signature but our own is replaced.
static enum qm_status check_replaceable(const char *path, const struct qm_secret_key *key)
{
    void *bytes = NULL;
    size_t count = 0;
    struct qm_signature old;
    if (!qm_file_exists(path))
        return QM_OK;
    enum qm_status status = qm_file_read(path, QM_SIGN_BYTES_MAX, &bytes, &count);
    if (status == QM_OK)
        status = qm_signature_parse(bytes, count, path, &old);
    free(bytes);
    if (status != QM_OK || strcmp(old.fingerprint, key->fingerprint) != 0)
        return QM_FAIL(QM_INVALID, "%s: is there already and is no signature of this key; move it away first", path);
    return QM_OK;
}

enum qm_status qm_signature_write(const char *path, const struct qm_node *result, const struct qm_secret_key *key,
                                  char written[QM_PATH_BYTES], char content[QM_HASH_TEXT_BYTES])
{
    char text[QM_SIGNATURE_TEXT_BYTES];
    written[0] = '\0';
    QM_TRY(qm_node_hash(result, "hash", content));
    if (strcmp(content, qm_node_text_at(result, "hash", "")) != 0)
        return QM_FAIL(QM_INVALID,
                       "%s: CHANGED: its hash is not that of its content; what was edited is not signed, run it again",
                       path);
    QM_TRY(signature_path(path, written));
    QM_TRY(check_replaceable(written, key));
    QM_TRY(qm_signature_make(key, content, text));
    return qm_file_write(written, text, strlen(text));
}

enum qm_signature_state qm_signature_verify_file(const char *result_path, const struct qm_node *result,
                                                 const char *public_key_path, char reason[QM_SIGNATURE_REASON_BYTES])
{
    char path[QM_PATH_BYTES];
    void *signature = NULL;
    void *key = NULL;
    size_t signature_bytes = 0;
    size_t key_bytes = 0;
    enum qm_signature_state state;
    enum qm_status status = qm_file_read(public_key_path, QM_SIGN_BYTES_MAX, &key, &key_bytes);
    if (status != QM_OK)
        return qm_signature_unread(status, QM_SIGNATURE_KEY_UNREADABLE, reason);
    status = signature_path(result_path, path);
    if (status == QM_OK && !qm_file_exists(path)) {
        state =
            qm_signature_judged(QM_SIGNATURE_ABSENT, reason, "%.400s: is not there; the result is not signed", path);
        free(key);
        return state;
    }
    if (status == QM_OK)
        status = qm_file_read(path, QM_SIGN_BYTES_MAX, &signature, &signature_bytes);
    state = status != QM_OK ? qm_signature_unread(status, QM_SIGNATURE_UNREADABLE, reason)
                            : qm_signature_check_named(result, signature, signature_bytes, path, key, key_bytes,
                                                       public_key_path, reason);
    free(signature);
    free(key);
    return state;
}
