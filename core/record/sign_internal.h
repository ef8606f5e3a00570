// What reading keys and signatures (sign_text.c) and their files (sign.c) share.
#ifndef QM_RECORD_SIGN_INTERNAL_H
#define QM_RECORD_SIGN_INTERNAL_H

#include "record/sign.h"

#define QM_SECRET_KEY_HEADER "qmark-ed25519-secret-key 1"
#define QM_PUBLIC_KEY_WORD "qmark-ed25519"
#define QM_SIGNATURE_HEADER "qmark-signature 1"

// Sets the reason, cleaned, and gives the state back.
QM_PRINTF(3, 4)
enum qm_signature_state qm_signature_judged(enum qm_signature_state state, char *reason, const char *format, ...);
// The state of a text that could not be read, with this thread's error as the reason.
enum qm_signature_state qm_signature_unread(enum qm_status status, enum qm_signature_state state, char *reason);

// qm_signature_check with names of files for its messages.
enum qm_signature_state qm_signature_check_named(const struct qm_node *result, const void *signature,
                                                 size_t signature_bytes, const char *signature_name,
                                                 const void *public_key, size_t public_key_bytes, const char *key_name,
                                                 char *reason);

#endif
