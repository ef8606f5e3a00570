// Keys and signatures as texts: reading them, making a signature, and judging one. sign.c has their files.
#include "base/text.h"
#include "record/node.h"
#include "record/sign.h"
#include "record/sign_internal.h"

#include <sodium.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(crypto_sign_PUBLICKEYBYTES == 32, "Ed25519");
_Static_assert(crypto_sign_SECRETKEYBYTES == 64, "Ed25519");
_Static_assert(crypto_sign_BYTES == 64, "Ed25519");

#define DOMAIN "qmark result v1\n" // no signature of ours is one of anything else

enum {
    SIGNATURE_CODE_BYTES = 89, // 88 characters of base64 and the zero
    LINE_BYTES = 256,
    MESSAGE_BYTES = sizeof(DOMAIN) - 1 + 64,
};

// ---- Lines --------------------------------------------------------------------------------------------------------

struct lines {
    const char *at, *end;
    const char *name;
    size_t number; // of the latest line
};

// The next line, without its end, which may be "\n", "\r\n" or that of the text.
static enum qm_status next_line(struct lines *lines, const char *expected, char out[LINE_BYTES])
{
    lines->number++;
    if (lines->at >= lines->end)
        return QM_FAIL(QM_INVALID, "%s:%zu: the file ends here; expected '%s'", lines->name, lines->number, expected);
    const char *stop = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    size_t length = (size_t)((stop ? stop : lines->end) - lines->at);
    const char *line = lines->at;
    lines->at = stop ? stop + 1 : lines->end;
    length -= length > 0 && line[length - 1] == '\r';
    if (length >= LINE_BYTES || memchr(line, '\0', length))
        return QM_FAIL(QM_INVALID, "%s:%zu: no line of such a file; expected '%s'", lines->name, lines->number,
                       expected);
    memcpy(out, line, length);
    out[length] = '\0';
    return QM_OK;
}

static enum qm_status no_more_lines(const struct lines *lines)
{
    if (lines->at < lines->end)
        return QM_FAIL(QM_INVALID, "%s:%zu: more than such a file has; expected its end", lines->name,
                       lines->number + 1);
    return QM_OK;
}

static enum qm_status expect_line(struct lines *lines, const char *text)
{
    char line[LINE_BYTES];
    QM_TRY(next_line(lines, text, line));
    if (strcmp(line, text) != 0)
        return QM_FAIL(QM_INVALID, "%s:%zu: another file than expected; its line here is '%s'", lines->name,
                       lines->number, text);
    return QM_OK;
}

// The value of a line "WORD VALUE". Messages do not quote the line: it may be secret.
static enum qm_status word_line(struct lines *lines, const char *word, const char *kind, char value[LINE_BYTES])
{
    char line[LINE_BYTES] = "";
    char expected[64];
    size_t length = strlen(word);
    snprintf(expected, sizeof(expected), "%s %s", word, kind);
    enum qm_status status = next_line(lines, expected, line);
    if (status == QM_OK && (strncmp(line, word, length) != 0 || line[length] != ' '))
        status = QM_FAIL(QM_INVALID, "%s:%zu: expected '%s'", lines->name, lines->number, expected);
    if (status == QM_OK)
        memcpy(value, line + length + 1, strlen(line + length + 1) + 1);
    sodium_memzero(line, sizeof(line));
    return status;
}

// Base64 of exactly `count` bytes, with padding (RFC 4648, section 4), and nothing else.
static enum qm_status decode(const struct lines *lines, const char *text, size_t length, unsigned char *out,
                             size_t count)
{
    size_t used = 0;
    const char *end = NULL;
    if (sodium_base642bin(out, count, text, length, NULL, &used, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        used != count || end != text + length)
        return QM_FAIL(QM_INVALID, "%s:%zu: expected base64 of %zu bytes", lines->name, lines->number, count);
    return QM_OK;
}

static enum qm_status hash_line(struct lines *lines, const char *word, char hash[QM_HASH_TEXT_BYTES])
{
    char value[LINE_BYTES];
    QM_TRY(word_line(lines, word, "HASH", value));
    if (strlen(value) != 64 || strspn(value, "0123456789abcdef") != 64)
        return QM_FAIL(QM_INVALID, "%s:%zu: expected '%s' and 64 hexadecimal digits in lower case", lines->name,
                       lines->number, word);
    memcpy(hash, value, QM_HASH_TEXT_BYTES);
    return QM_OK;
}

static enum qm_status begin(struct lines *lines, const void *bytes, size_t count, const char *name)
{
    *lines = (struct lines){.at = bytes, .end = (const char *)bytes + count, .name = name};
    if (sodium_init() < 0)
        return QM_FAIL(QM_FAILED, "libsodium does not start: the system gives no random numbers; try again later");
    if (count > QM_SIGN_BYTES_MAX)
        return QM_FAIL(QM_INVALID, "%s:1: %zu bytes; at most %d are read", name, count, QM_SIGN_BYTES_MAX);
    return QM_OK;
}

// ---- Keys ---------------------------------------------------------------------------------------------------------

enum qm_status qm_public_key_parse(const void *bytes, size_t count, const char *name, struct qm_public_key *out)
{
    struct lines lines;
    char value[LINE_BYTES];
    *out = (struct qm_public_key){0};
    QM_TRY(begin(&lines, bytes, count, name));
    QM_TRY(word_line(&lines, QM_PUBLIC_KEY_WORD, "KEY COMMENT", value));
    QM_TRY(no_more_lines(&lines));
    size_t length = strcspn(value, " ");
    QM_TRY(decode(&lines, value, length, out->bytes, sizeof(out->bytes)));
    const char *comment = value + length + (value[length] == ' ');
    if (strlen(comment) >= sizeof(out->comment))
        return QM_FAIL(QM_INVALID, "%s:1: the comment has %zu bytes; expected %d at most", name, strlen(comment),
                       QM_SIGN_COMMENT_BYTES - 1);
    snprintf(out->comment, sizeof(out->comment), "%s", comment);
    qm_text_clean(out->comment);
    qm_hash_bytes(out->bytes, sizeof(out->bytes), out->fingerprint);
    return QM_OK;
}

enum qm_status qm_secret_key_parse(const void *bytes, size_t count, const char *name, struct qm_secret_key *out)
{
    struct lines lines;
    char value[LINE_BYTES];
    unsigned char seed[crypto_sign_SEEDBYTES];
    unsigned char stated[crypto_sign_PUBLICKEYBYTES];
    unsigned char public[crypto_sign_PUBLICKEYBYTES];
    enum qm_status status = QM_OK;
    *out = (struct qm_secret_key){0};
    QM_GUARD(begin(&lines, bytes, count, name));
    QM_GUARD(expect_line(&lines, QM_SECRET_KEY_HEADER));
    QM_GUARD(word_line(&lines, "seed", "BASE64", value));
    QM_GUARD(decode(&lines, value, strlen(value), seed, sizeof(seed)));
    QM_GUARD(word_line(&lines, "public", "BASE64", value));
    QM_GUARD(decode(&lines, value, strlen(value), stated, sizeof(stated)));
    QM_GUARD(no_more_lines(&lines));
    crypto_sign_seed_keypair(public, out->bytes, seed);
    // A damaged seed would be another key, and nobody would notice.
    if (memcmp(public, stated, sizeof(public)) != 0)
        QM_GUARD(QM_FAIL(QM_INVALID, "%s:3: the public key is not that of the seed; the file is damaged, take a copy",
                         name));
    qm_hash_bytes(public, sizeof(public), out->fingerprint);
done:
    sodium_memzero(seed, sizeof(seed));
    sodium_memzero(value, sizeof(value));
    if (status != QM_OK)
        qm_secret_key_wipe(out);
    return status;
}

void qm_secret_key_wipe(struct qm_secret_key *key)
{
    sodium_memzero(key, sizeof(*key));
}

// ---- Signing ------------------------------------------------------------------------------------------------------

static void make_message(const char *content, unsigned char message[MESSAGE_BYTES])
{
    memcpy(message, DOMAIN, sizeof(DOMAIN) - 1);
    memcpy(message + sizeof(DOMAIN) - 1, content, 64);
}

enum qm_status qm_signature_make(const struct qm_secret_key *key, const char *content,
                                 char text[QM_SIGNATURE_TEXT_BYTES])
{
    unsigned char message[MESSAGE_BYTES];
    unsigned char signature[crypto_sign_BYTES];
    char code[SIGNATURE_CODE_BYTES];
    if (strlen(content) != 64)
        return QM_FAIL(QM_INVALID, "'%.80s' is no content hash; expected 64 hexadecimal digits", content);
    if (sodium_init() < 0)
        return QM_FAIL(QM_FAILED, "libsodium does not start: the system gives no random numbers; try again later");
    make_message(content, message);
    crypto_sign_detached(signature, NULL, message, sizeof(message), key->bytes);
    sodium_bin2base64(code, sizeof(code), signature, sizeof(signature), sodium_base64_VARIANT_ORIGINAL);
    snprintf(text, QM_SIGNATURE_TEXT_BYTES,
             QM_SIGNATURE_HEADER "\nalgorithm ed25519\nkey %s\ncontent %s\nsignature %s\n", key->fingerprint, content,
             code);
    return QM_OK;
}

enum qm_status qm_signature_parse(const void *bytes, size_t count, const char *name, struct qm_signature *out)
{
    struct lines lines;
    char value[LINE_BYTES];
    *out = (struct qm_signature){0};
    QM_TRY(begin(&lines, bytes, count, name));
    QM_TRY(expect_line(&lines, QM_SIGNATURE_HEADER));
    QM_TRY(expect_line(&lines, "algorithm ed25519"));
    QM_TRY(hash_line(&lines, "key", out->fingerprint));
    QM_TRY(hash_line(&lines, "content", out->content));
    QM_TRY(word_line(&lines, "signature", "BASE64", value));
    QM_TRY(decode(&lines, value, strlen(value), out->bytes, sizeof(out->bytes)));
    return no_more_lines(&lines);
}

// ---- Checking -----------------------------------------------------------------------------------------------------

const char *qm_signature_state_name(enum qm_signature_state state)
{
    static const char *const names[] = {"good",      "absent", "unreadable", "key unreadable",
                                        "other key", "forged", "altered",    "failed"};
    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

enum qm_signature_state qm_signature_judged(enum qm_signature_state state, char *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, QM_SIGNATURE_REASON_BYTES, format, arguments);
    va_end(arguments);
    qm_text_clean(reason);
    return state;
}

enum qm_signature_state qm_signature_unread(enum qm_status status, enum qm_signature_state state, char *reason)
{
    bool is_theirs = status == QM_INVALID;
    return qm_signature_judged(is_theirs ? state : QM_SIGNATURE_FAILED, reason, "%.480s", qm_error_text());
}

static enum qm_signature_state check(const struct qm_node *result, const struct qm_signature *signature,
                                     const struct qm_public_key *key, char *reason)
{
    char content[QM_HASH_TEXT_BYTES];
    unsigned char message[MESSAGE_BYTES];
    if (strcmp(signature->fingerprint, key->fingerprint) != 0)
        return qm_signature_judged(QM_SIGNATURE_OTHER_KEY, reason, "key %.16s... signed it, and not this key, %.16s...",
                                   signature->fingerprint, key->fingerprint);
    make_message(signature->content, message);
    if (crypto_sign_verify_detached(signature->bytes, message, sizeof(message), key->bytes) != 0)
        return qm_signature_judged(QM_SIGNATURE_FORGED, reason,
                                   "it names key %.16s..., which did not make it: the signature is damaged or forged",
                                   key->fingerprint);
    enum qm_status status = qm_node_hash(result, "hash", content);
    if (status != QM_OK)
        return qm_signature_unread(status, QM_SIGNATURE_FAILED, reason);
    if (strcmp(content, signature->content) != 0)
        return qm_signature_judged(QM_SIGNATURE_ALTERED, reason,
                                   "key %.16s... signed content %.16s..., and this is %.16s...", key->fingerprint,
                                   signature->content, content);
    if (strcmp(content, qm_node_text_at(result, "hash", "")) != 0)
        return qm_signature_judged(QM_SIGNATURE_ALTERED, reason,
                                   "the content is what key %.16s... signed, and the result's 'hash' is not that of it",
                                   key->fingerprint);
    return qm_signature_judged(QM_SIGNATURE_GOOD, reason, "key %s%s%s%s vouched for this content", key->fingerprint,
                               key->comment[0] ? " (" : "", key->comment, key->comment[0] ? ")" : "");
}

enum qm_signature_state qm_signature_check_named(const struct qm_node *result, const void *signature,
                                                 size_t signature_bytes, const char *signature_name,
                                                 const void *public_key, size_t public_key_bytes, const char *key_name,
                                                 char *reason)
{
    struct qm_public_key key;
    struct qm_signature read;
    enum qm_status status = qm_public_key_parse(public_key, public_key_bytes, key_name, &key);
    if (status != QM_OK)
        return qm_signature_unread(status, QM_SIGNATURE_KEY_UNREADABLE, reason);
    status = qm_signature_parse(signature, signature_bytes, signature_name, &read);
    if (status != QM_OK)
        return qm_signature_unread(status, QM_SIGNATURE_UNREADABLE, reason);
    return check(result, &read, &key, reason);
}

enum qm_signature_state qm_signature_check(const struct qm_node *result, const void *signature, size_t signature_bytes,
                                           const void *public_key, size_t public_key_bytes,
                                           char reason[QM_SIGNATURE_REASON_BYTES])
{
    return qm_signature_check_named(result, signature, signature_bytes, "signature", public_key, public_key_bytes,
                                    "public key", reason);
}
