#include "sys/tree.h"

#include <uv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool qm_tree_path(char out[QM_PATH_BYTES], const char *root, const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(root);
    if (used >= QM_PATH_BYTES)
        return false;
    memcpy(out, root, used + 1);
    va_start(arguments, format);
    int count = vsnprintf(out + used, QM_PATH_BYTES - used, format, arguments);
    va_end(arguments);
    return count >= 0 && (size_t)count < QM_PATH_BYTES - used;
}

long qm_tree_read(const char *path, void *bytes, size_t capacity)
{
    char *text = bytes;
    size_t used = 0;
    text[0] = '\0';
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (file < 0)
        return -errno;
    ssize_t done = 1;
    while (used + 1 < capacity && done > 0) {
        do {
            done = read(file, text + used, capacity - 1 - used);
        } while (done < 0 && errno == EINTR);
        if (done > 0)
            used += (size_t)done;
    }
    int error = done < 0 ? errno : 0;
    close(file);
    text[error == 0 ? used : 0] = '\0';
    return error == 0 ? (long)used : -error;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Copies text without blanks around it; control characters become blanks.
static void copy_trimmed(char *to, size_t capacity, const char *from, size_t length)
{
    while (length > 0 && is_blank(*from)) {
        ++from;
        --length;
    }
    while (length > 0 && is_blank(from[length - 1]))
        --length;
    if (length >= capacity)
        length = capacity - 1;
    for (size_t i = 0; i < length; ++i)
        to[i] = from[i];
    to[length] = '\0';
    for (char *at = to; *at; ++at) {
        if ((unsigned char)*at < ' ' || *at == 127)
            *at = ' ';
    }
}

int qm_tree_line(const char *path, char *line, size_t capacity)
{
    char text[512];
    line[0] = '\0';
    long count = qm_tree_read(path, text, sizeof(text));
    if (count < 0)
        return (int)count;
    copy_trimmed(line, capacity, text, strcspn(text, "\n"));
    return 0;
}

static bool parse(const char *text, bool *is_negative, uint64_t *magnitude)
{
    uint64_t value = 0;
    const char *at = text;
    while (is_blank(*at))
        ++at;
    *is_negative = *at == '-';
    at += *is_negative;
    const char *digits = at;
    for (; *at >= '0' && *at <= '9'; ++at) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *magnitude = value;
    return at > digits && (*at == '\0' || is_blank(*at));
}

bool qm_text_unsigned(const char *text, uint64_t *value)
{
    bool is_negative;
    return parse(text, &is_negative, value) && !is_negative;
}

bool qm_text_signed(const char *text, int64_t *value)
{
    bool is_negative;
    uint64_t magnitude;
    if (!parse(text, &is_negative, &magnitude) || magnitude > INT64_MAX)
        return false;
    *value = is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

int qm_tree_signed(const char *path, int64_t *value)
{
    char text[64];
    *value = 0;
    long count = qm_tree_read(path, text, sizeof(text));
    return count < 0 ? (int)count : qm_text_signed(text, value) ? 0 : QM_TREE_GARBAGE;
}

int qm_tree_unsigned(const char *path, uint64_t *value)
{
    char text[64];
    *value = 0;
    long count = qm_tree_read(path, text, sizeof(text));
    return count < 0 ? (int)count : qm_text_unsigned(text, value) ? 0 : QM_TREE_GARBAGE;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Not qm_directory_list: that would leave the text of an error where there is none.
int qm_tree_list(const char *path, struct qm_name_list *out)
{
    uv_fs_t request;
    uv_dirent_t entry;
    *out = (struct qm_name_list){0};
    int found = uv_fs_scandir(NULL, &request, path, 0, NULL);
    if (found > 0)
        out->names = calloc((size_t)found, sizeof(*out->names));
    while (out->names && uv_fs_scandir_next(&request, &entry) == 0) {
        char *name = strdup(entry.name);
        if (!name)
            break;
        out->names[out->count++] = name;
    }
    uv_fs_req_cleanup(&request);
    if (out->names && out->count > 1)
        qsort(out->names, out->count, sizeof(*out->names), by_bytes);
    return found < 0 ? found : 0;
}

void qm_tree_link(const char *path, char *target, size_t capacity)
{
    ssize_t count = readlink(path, target, capacity - 1);
    target[count > 0 ? count : 0] = '\0';
}

bool qm_text_value(const char *text, const char *key, char *value, size_t capacity)
{
    size_t length = strlen(key);
    value[0] = '\0';
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, key, length) != 0)
            continue;
        const char *at = line + length;
        at += strspn(at, " \t");
        if (*at != '=' && *at != ':')
            continue;
        ++at;
        copy_trimmed(value, capacity, at, strcspn(at, "\n"));
        return true;
    }
    return false;
}

void qm_tree_why(int result, char *text, size_t capacity)
{
    char error[128];
    if (result == QM_TREE_GARBAGE) {
        snprintf(text, capacity, "unreadable: not a number");
        return;
    }
    if (result == UV_ENOENT || result == UV_ENOTDIR) {
        snprintf(text, capacity, "not there");
        return;
    }
    uv_strerror_r(result, error, sizeof(error));
    snprintf(text, capacity, "%s", error);
}
