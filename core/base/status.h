// Errors as values: a status that must be looked at, and one line of text that says the cause, the place and a way out.
//
// A function that can fail returns `enum qm_status`. Where it fails it calls QM_FAIL, which keeps the text for the
// calling thread and returns the status; callers pass the status on (QM_TRY, QM_GUARD) and may put a place in front of
// the text with qm_error_prefix. The verb that stops prints qm_error_text() once, on stderr.
#ifndef QM_BASE_STATUS_H
#define QM_BASE_STATUS_H

#include <stddef.h>

enum qm_status {
    QM_OK = 0,
    QM_UNAVAILABLE,   // not on this machine (no loader, no driver, no device)
    QM_UNSUPPORTED,   // there, but cannot do this; the text says what is missing
    QM_INVALID,       // the input is wrong; the text says where and what would be right
    QM_OUT_OF_MEMORY, // host or device
    QM_DEVICE_LOST,   // the device or its driver went away; nothing more can be run on it
    QM_WRONG_RESULT,  // it ran and the answer is wrong
    QM_TIMEOUT,
    QM_INTERRUPTED, // the user ended it
    QM_FAILED,      // anything else, such as a system call
};

#define QM_MUST_USE __attribute__((warn_unused_result))
#define QM_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))

// Keeps the text (at most 1,023 bytes, formatted as printf does) as this thread's error; returns `status`. It is
// cleaned (base/text.h), so that it is one line and steers no terminal, whatever it quotes.
QM_MUST_USE enum qm_status qm_fail_at(const char *file, int line, enum qm_status status, const char *format, ...)
    QM_PRINTF(4, 5);
#ifndef __clang_analyzer__
#define QM_FAIL(status, ...) qm_fail_at(__FILE__, __LINE__, (status), __VA_ARGS__)
#else // it sees one file at a time and has to be told that a failure never returns QM_OK
#define QM_FAIL(status, ...) (qm_fail_at(__FILE__, __LINE__, (status), __VA_ARGS__) == (status) ? (status) : (status))
#endif

// The text of this thread's latest failure; "" before the first. Valid until the thread's next failure.
const char *qm_error_text(void);
// Where in qmark's source that failure was raised, as "file:line"; for logs.
const char *qm_error_place(void);
// Puts formatted text in front of the error's text: `qm_error_prefix("%s: ", path)`.
void qm_error_prefix(const char *format, ...) QM_PRINTF(1, 2);

// "ok", "unavailable", "unsupported", "invalid", "out of memory", "device lost", "wrong", "timeout",
// "interrupted", "failed".
const char *qm_status_name(enum qm_status status);

// Returns from the calling function if `expression` is not QM_OK.
#define QM_TRY(expression)                                                                                             \
    do {                                                                                                               \
        enum qm_status qm_try_status_ = (expression);                                                                  \
        if (qm_try_status_ != QM_OK)                                                                                   \
            return qm_try_status_;                                                                                     \
    } while (0)

// The same where something must be released: sets the function's `status` and goes to its `done` label.
#define QM_GUARD(expression)                                                                                           \
    do {                                                                                                               \
        status = (expression);                                                                                         \
        if (status != QM_OK)                                                                                           \
            goto done;                                                                                                 \
    } while (0)

// Exit codes of every verb; the words for them stand in docs/METHOD.md.
enum qm_exit {
    QM_EXIT_OK = 0,
    QM_EXIT_NO = 1,
    QM_EXIT_BAD_INPUT = 2,
    QM_EXIT_NO_DEVICE = 3,
    QM_EXIT_WRONG = 4,
    QM_EXIT_SOME_FAILED = 5,
    QM_EXIT_REGRESSED = 10,
    QM_EXIT_INCONCLUSIVE = 12,
    QM_EXIT_NOT_COMPARABLE = 13,
    QM_EXIT_INTERRUPTED = 130,
};

#endif
