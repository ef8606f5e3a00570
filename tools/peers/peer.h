// What a library must offer to be timed beside qmark: one product, prepared once and run often.
//
//   c[m][n] = sum over k of a[m][k] b[n][k]        row-major; b as the weights of a layer lie, one row an output
//
// Each library is a program of its own (peer.c and one peer_LIBRARY.c), so that none brings its threads or its driver
// into another's.
#ifndef QM_TOOLS_PEER_H
#define QM_TOOLS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer_product {
    size_t m, n, k;
    bool is_int8;      // a and b int8_t, c int32_t; else all float
    const void *a, *b; // [m][k] and [n][k]
    void *c;           // [m][n], written by peer_fetch
};

// Name and version, for the report: one line.
const char *peer_name(void);
// Opens device and library. False with a line in `reason` where it cannot.
bool peer_open(char reason[200]);
// Takes the operands to where the library works on them, and compiles. False with a line in `reason`.
bool peer_prepare(const struct peer_product *product, char reason[200]);
// Computes once and waits for the end.
bool peer_run(void);
// Brings the result to product->c.
bool peer_fetch(void);
void peer_release(void);

#endif
