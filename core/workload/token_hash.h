// The hash of a set of windows: SHA-256 over tokens and over which of them are scored, in the same way for the built-in
// sets and for a user's.
//
// Each position of each window, in order, is one 32-bit word, little-endian: the token with a bit for "scored" put in
// as bit 16. The bits of the token from 16 on move up by one, so that no two pairs of token and mark make the same
// word, and a token below 65,536 makes `token | scored << 16`.
#ifndef QM_WORKLOAD_TOKEN_HASH_H
#define QM_WORKLOAD_TOKEN_HASH_H

#include "base/hash.h"

#include <stdbool.h>
#include <stdint.h>

#define QM_TOKEN_HASHED_MAX 0x7fffffffu // the largest token that has a word of its own

void qm_token_hash_add(struct qm_hash *hash, uint32_t token, bool is_scored);

#endif
