// SVG as PNG, by librsvg where this machine has it: opened at run time, so that qmark starts without it.
#ifndef QM_SYS_PICTURE_H
#define QM_SYS_PICTURE_H

#include "base/status.h"

#include <stddef.h>

// Draws an SVG of qmark's own, `scale` times its size, at most 20,000 pixels a side. The caller frees the bytes.
// QM_UNAVAILABLE, with how to get it, where there is no librsvg (2.52 or later) with cairo, or where the environment
// variable QM_RSVG is "none"; QM_FAILED for what it cannot draw.
QM_MUST_USE enum qm_status qm_picture_to_png(const char *svg, size_t count, double scale, void **bytes,
                                             size_t *byte_count);

#endif
