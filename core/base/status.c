#include "base/status.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char error_text[1024];
static _Thread_local char error_place[256];

enum qm_status qm_fail_at(const char *file, int line, enum qm_status status, const char *format, ...)
{
    char text[sizeof(error_text)]; // formatted aside: the arguments may point into error_text
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    qm_text_clean(text); // it quotes what was read from files and drivers
    memcpy(error_text, text, sizeof(text));
    snprintf(error_place, sizeof(error_place), "%s:%d", file, line);
    return status;
}

const char *qm_error_text(void)
{
    return error_text;
}

const char *qm_error_place(void)
{
    return error_place;
}

void qm_error_prefix(const char *format, ...)
{
    char prefix[512];
    char text[sizeof(error_text)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(prefix, sizeof(prefix), format, arguments);
    va_end(arguments);
    qm_text_clean(prefix);
    memcpy(text, error_text, sizeof(text));
    size_t used = strlen(prefix);
    memcpy(error_text, prefix, used);
    snprintf(error_text + used, sizeof(error_text) - used, "%s", text);
}

const char *qm_status_name(enum qm_status status)
{
    static const char *const names[] = {"ok",          "unavailable", "unsupported", "invalid",     "out of memory",
                                        "device lost", "wrong",       "timeout",     "interrupted", "failed"};
    return (size_t)status < sizeof(names) / sizeof(names[0]) ? names[status] : "unknown";
}
