// Signatures of results: Ed25519 over a result's content hash. docs/SIGNING.md has the three text formats exactly, and
// what a signature proves and does not.
//
// A key pair is two files: FILE, the secret key, which only its owner may read, and FILE.pub. A signature lies beside
// its result as RESULT.sig and holds no path: whoever checks names result and public key.
//
// Ed25519 is RFC 8032's, as libsodium has it (no small-order public keys, no second form of a signature).
#ifndef QM_RECORD_SIGN_H
#define QM_RECORD_SIGN_H

#include "base/hash.h"
#include "base/status.h"
#include "sys/file.h"

#include <stddef.h>

struct qm_node;

enum {
    QM_SIGN_BYTES_MAX = 4096, // of a file with a key or signature; a larger one is refused unread
    QM_SIGN_COMMENT_BYTES = 121,
};

struct qm_public_key {
    unsigned char bytes[32];
    char fingerprint[QM_HASH_TEXT_BYTES]; // SHA-256 of the bytes
    char comment[QM_SIGN_COMMENT_BYTES];  // whose key it is, as its file says; "" for none; cleaned
};

// Wipe it with qm_secret_key_wipe, on every path.
struct qm_secret_key {
    unsigned char bytes[64];              // libsodium's form: seed and public key
    char fingerprint[QM_HASH_TEXT_BYTES]; // of the public key
};

struct qm_signature {
    char fingerprint[QM_HASH_TEXT_BYTES]; // of the key that is said to have made it
    char content[QM_HASH_TEXT_BYTES];     // the content hash that it is of
    unsigned char bytes[64];
};

// Readers of the three texts; `name` stands for the file in messages. QM_INVALID with the line and what would be right.
QM_MUST_USE enum qm_status qm_public_key_parse(const void *bytes, size_t count, const char *name,
                                               struct qm_public_key *out);
QM_MUST_USE enum qm_status qm_secret_key_parse(const void *bytes, size_t count, const char *name,
                                               struct qm_secret_key *out);
QM_MUST_USE enum qm_status qm_signature_parse(const void *bytes, size_t count, const char *name,
                                              struct qm_signature *out);

// Makes a new key pair, `path` and `path`.pub. Neither file is ever replaced. `comment`: at most 120 bytes, on one line.
QM_MUST_USE enum qm_status qm_key_pair_create(const char *path, const char *comment, struct qm_public_key *out);

// Reads a secret key; refuses one that others may read or write, with the chmod to do.
QM_MUST_USE enum qm_status qm_secret_key_load(const char *path, struct qm_secret_key *out);
void qm_secret_key_wipe(struct qm_secret_key *key);

// The text of a signature over a content hash of 64 hexadecimal digits.
#define QM_SIGNATURE_TEXT_BYTES 384
QM_MUST_USE enum qm_status qm_signature_make(const struct qm_secret_key *key, const char *content,
                                             char text[QM_SIGNATURE_TEXT_BYTES]);

// Signs a result, which must have passed qm_result_check: writes `path`.sig, whole or not at all. `content` receives the
// content hash. QM_INVALID if the result's `hash` is not that of its content, and if `path`.sig is there and is not a
// signature of this key.
QM_MUST_USE enum qm_status qm_signature_write(const char *path, const struct qm_node *result,
                                              const struct qm_secret_key *key, char written[QM_PATH_BYTES],
                                              char content[QM_HASH_TEXT_BYTES]);

enum qm_signature_state {
    QM_SIGNATURE_GOOD = 0,       // the holder of the key vouched for this content
    QM_SIGNATURE_ABSENT,         // there is no signature file (qm_signature_verify_file)
    QM_SIGNATURE_UNREADABLE,     // the signature's text is none
    QM_SIGNATURE_KEY_UNREADABLE, // the public key's text is none
    QM_SIGNATURE_OTHER_KEY,      // it says that another key made it
    QM_SIGNATURE_FORGED,         // it names this key, which did not make it: damaged, or somebody else's
    QM_SIGNATURE_ALTERED,        // the key made it, for other content than this result's
    QM_SIGNATURE_FAILED,         // it could not be looked at: no memory
};

// "good", "absent", "unreadable", "key unreadable", "other key", "forged", "altered", "failed".
const char *qm_signature_state_name(enum qm_signature_state state);

// Says in which state a signature is for a result and a public key; `reason` receives one line for people, in every
// state. `result` need not be checked before. A result whose own `hash` is not that of its content is altered.
#define QM_SIGNATURE_REASON_BYTES 512
QM_MUST_USE enum qm_signature_state qm_signature_check(const struct qm_node *result, const void *signature,
                                                       size_t signature_bytes, const void *public_key,
                                                       size_t public_key_bytes, char reason[QM_SIGNATURE_REASON_BYTES]);

// The same of files: the signature is `result_path`.sig. `result` is what was read from `result_path`.
QM_MUST_USE enum qm_signature_state qm_signature_verify_file(const char *result_path, const struct qm_node *result,
                                                             const char *public_key_path,
                                                             char reason[QM_SIGNATURE_REASON_BYTES]);

#endif
