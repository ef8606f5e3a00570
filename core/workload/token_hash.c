#include "workload/token_hash.h"

void qm_token_hash_add(struct qm_hash *hash, uint32_t token, bool is_scored)
{
    uint32_t word = (token & 0xffffu) | (is_scored ? 0x10000u : 0u) | (token & 0x7fff0000u) << 1;
    const unsigned char bytes[4] = {(unsigned char)word, (unsigned char)(word >> 8), (unsigned char)(word >> 16),
                                    (unsigned char)(word >> 24)};
    qm_hash_add(hash, bytes, sizeof(bytes));
}
