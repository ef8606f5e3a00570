// Hashes of weights that were found before. SHA-256 of a real checkpoint takes longer than all the rest of loading it, and a
// file that nobody has touched has the hash that it had.
//
// A note is kept under a hash of what the system says of each file (device, number, size, time of the last write and of
// the last change of its status, which no program can set back), the index and what is hashed beside it. A file that
// was touched within the last two seconds is not noted: it could be written again without a trace in its times. A note
// that cannot be read or written is none.
#ifndef QM_MODEL_WEIGHTS_KNOWN_H
#define QM_MODEL_WEIGHTS_KNOWN_H

#include "model/weights.h"

#include <stdbool.h>

// What qm_weights_hash of the same would give; false where it is not known. `directory` is the cache's, or NULL: none.
bool qm_weights_known(const struct qm_weights *weights, const void *more, size_t more_bytes, const char *directory,
                      char text[QM_HASH_TEXT_BYTES]);
// Notes it. Only for weights that have passed qm_weights_check since they were hashed.
void qm_weights_note(const struct qm_weights *weights, const void *more, size_t more_bytes, const char *directory,
                     const char text[QM_HASH_TEXT_BYTES]);

#endif
