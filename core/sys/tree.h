// Small files of /sys and /proc, below a root: "" for this machine, a directory with such a tree for tests.
//
// What stands in them is data of a stranger: reads are bounded, a pipe does not block, and text has no control
// characters. Nothing here leaves an error text behind: a file that is not there is the usual case.
#ifndef QM_SYS_TREE_H
#define QM_SYS_TREE_H

#include "base/status.h"
#include "sys/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A result of reading: 0, an error of the system below 0 (as libuv has them, such as UV_EACCES), or QM_TREE_GARBAGE for
// a file whose content is no number.
#define QM_TREE_GARBAGE 1

// "ROOT/sys/..." from a format that begins with '/'; false where that is longer than QM_PATH_BYTES.
bool qm_tree_path(char out[QM_PATH_BYTES], const char *root, const char *format, ...) QM_PRINTF(3, 4);

// Reads at most `capacity` - 1 bytes and puts a zero byte behind them. Returns their number or an error below 0.
long qm_tree_read(const char *path, void *bytes, size_t capacity);

// The first line, without blanks around it; "" and an error where there is none.
int qm_tree_line(const char *path, char *line, size_t capacity);

// The whole number at the begin of the file; what follows after a blank is ignored ("12 %"). A number that does not fit
// is garbage.
int qm_tree_signed(const char *path, int64_t *value);
int qm_tree_unsigned(const char *path, uint64_t *value); // a minus sign is garbage
bool qm_text_signed(const char *text, int64_t *value);   // the same of a text
bool qm_text_unsigned(const char *text, uint64_t *value);

// The names in a directory, sorted; none and an error where it cannot be listed.
// qm_name_list_free it.
int qm_tree_list(const char *path, struct qm_name_list *out);

// Where a symbolic link leads to, without looking there; "" where it is none.
void qm_tree_link(const char *path, char *target, size_t capacity);

// The value of "KEY=value" or "KEY: value" at the begin of a line of `text`, up to the line's end and without blanks
// around it.
bool qm_text_value(const char *text, const char *key, char *value, size_t capacity);

// Says what `result` means: "permission denied", "unreadable: not a number".
void qm_tree_why(int result, char *text, size_t capacity);

#endif
