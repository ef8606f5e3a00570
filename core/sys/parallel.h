// Splits independent work over the processor's cores. Results must not depend on the split: each index is worked on by
// one thread, whichever.
#ifndef QM_SYS_PARALLEL_H
#define QM_SYS_PARALLEL_H

#include <stddef.h>

// Calls work(context, begin, end) for ranges that together cover 0 .. count - 1, and returns when all are done. Falls
// back to the calling thread where no thread can be made. The first range is always the calling thread's.
void qm_parallel_for(size_t count, void (*work)(void *context, size_t begin, size_t end), void *context);

// Threads that qm_parallel_for uses at most, 64 in any case; 0 sets it back to what goes without saying: the environment
// variable QM_THREADS where it is a number of 1 or more, else the number of cores.
void qm_parallel_set_threads(unsigned threads);
unsigned qm_parallel_threads(void);

#endif
