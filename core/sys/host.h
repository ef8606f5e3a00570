// The machine that qmark runs on, its clocks and its terminal.
#ifndef QM_SYS_HOST_H
#define QM_SYS_HOST_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qm_host {
    char system[128];    // "Debian GNU/Linux 12 (bookworm)", else the kernel's name
    char kernel[256];    // "Linux 6.1.0-18-amd64"
    char machine[64];    // "x86_64"
    char processor[128]; // "undisclosed" where the system does not say
    uint32_t cores;      // that this process may use
    uint64_t memory_bytes;
    uint64_t last_level_cache_bytes; // see qm_host_cache_bytes
};

// Never fails: what cannot be found is "undisclosed" or 0.
void qm_host_describe(struct qm_host *out);

// The size of the last cache before memory that the first processor has, 0 where unknown. Processors of several dies have
// one on each. `root` is "" for this machine, else a directory with its /sys.
uint64_t qm_host_cache_bytes(const char *root);

// Memory that this process could still take without the system running out; UINT64_MAX where it does not say.
uint64_t qm_host_available_bytes(void);

// A clock that never goes back; its start means nothing.
uint64_t qm_clock_ns(void);
void qm_sleep_ns(uint64_t ns);

// The time of day as "2026-01-31T12:00:00Z".
#define QM_TIME_TEXT_BYTES 32
void qm_time_utc(char text[QM_TIME_TEXT_BYTES]);
// The same as seconds since 1970.
int64_t qm_time_s(void);

// `descriptor` is 0, 1 or 2: standard input, output or error.
bool qm_is_terminal(int descriptor);
// The terminal's width; `otherwise` where it is none.
unsigned qm_terminal_columns(int descriptor, unsigned otherwise);
unsigned qm_terminal_rows(int descriptor, unsigned otherwise);
// Whether text may hold more than ASCII, by LC_ALL, LC_CTYPE or LANG; where the locale that they name is not installed, by its
// name. Changes no locale.
bool qm_locale_is_utf8(void);
// Whether it is a terminal whose cursor can be moved: not where TERM is dumb or not set.
bool qm_terminal_can_move(int descriptor);
// Whether such a one may be sent colours: not with NO_COLOR (https://no-color.org).
bool qm_terminal_has_colour(int descriptor);

uint32_t qm_process_id(void);

#endif
