// The inner loop of SHA-256 in the processor's own instructions, some six times as fast as portable code: files of weights
// and artifacts are hashed whole, again and again.
#ifndef QM_BASE_HASH_BLOCKS_H
#define QM_BASE_HASH_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Whether this processor and this build have them: x86-64 with the SHA extensions.
bool qm_hash_has_blocks(void);

// FIPS 180-4's compression of whole blocks of 64 bytes, one after the other, into the eight words of a state. Only where
// qm_hash_has_blocks.
void qm_hash_blocks(uint32_t state[8], const void *bytes, size_t blocks);

#endif
