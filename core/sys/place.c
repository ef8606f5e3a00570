// Where things lie: what comes with qmark, what it keeps, and the program itself.
#include "sys/file.h"
#include "sys/process.h"

#include <uv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEVELS 5                   // directories looked at, from the program's upwards
#define MARK "profiles/quick.yaml" // a directory with this is qmark's data, not one that happens to have a models/
#define DEFAULT_DATA_DIRS "/usr/local/share:/usr/share"

static enum qm_status home_directory(const char *way_out, char home[QM_PATH_BYTES])
{
    size_t size = QM_PATH_BYTES;
    int error = uv_os_homedir(home, &size);
    if (error < 0)
        return QM_FAIL(QM_INVALID, "no home directory is known (%s); %s", uv_strerror(error), way_out);
    return QM_OK;
}

enum qm_status qm_cache_directory(char path[QM_PATH_BYTES])
{
    const char *own = getenv("QM_CACHE_DIR");
    const char *cache = getenv("XDG_CACHE_HOME");
    char home[QM_PATH_BYTES];
    if (own && *own)
        return qm_path_join(path, "", own);
    if (cache && cache[0] == '/') // the standard says to ignore a relative one
        return qm_path_join(path, cache, "qmark");
    QM_TRY(home_directory("set QM_CACHE_DIR to a directory for cached files", home));
    return qm_path_join(path, home, ".cache/qmark");
}

static enum qm_status make_writable(const char *path)
{
    QM_TRY(qm_directory_make(path));
    return qm_directory_check_writable(path);
}

// Others may write in /tmp: a directory of that name is used only if it is this user's own and no link.
static enum qm_status make_own(const char *path)
{
    struct stat found;
    if (mkdir(path, 0700) != 0 && (lstat(path, &found) != 0 || !S_ISDIR(found.st_mode) || found.st_uid != geteuid() ||
                                   (found.st_mode & 022) != 0))
        return QM_FAIL(QM_INVALID, "%s: cannot be made, or is another user's", path);
    return qm_directory_check_writable(path);
}

enum qm_status qm_cache_open(char path[QM_PATH_BYTES])
{
    const char *own = getenv("QM_CACHE_DIR"), *temporary = getenv("TMPDIR");
    char reason[QM_PATH_BYTES] = "", name[64];
    enum qm_status status = qm_cache_directory(path);
    if (status == QM_OK)
        status = make_writable(path);
    if (status == QM_OK || (own && *own))
        return status;
    snprintf(reason, sizeof(reason), "%.*s", (int)strcspn(qm_error_text(), ";"), qm_error_text());
    snprintf(name, sizeof(name), "qmark-cache-%ld", (long)geteuid());
    QM_TRY(qm_path_join(path, temporary && temporary[0] == '/' ? temporary : "/tmp", name));
    if (make_own(path) != QM_OK) {
        char second[QM_PATH_BYTES];
        snprintf(second, sizeof(second), "%s", qm_error_text());
        return QM_FAIL(
            QM_INVALID,
            "no place for cached files: %.300s; nor in its stead %.300s; set QM_CACHE_DIR to a directory that "
            "can be written",
            reason, second);
    }
    fprintf(stderr, "note: %s; cached files are kept in %s; QM_CACHE_DIR names another place\n", reason, path);
    if (setenv("QM_CACHE_DIR", path, 1) != 0)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the environment");
    return QM_OK;
}

enum qm_status qm_user_directory(char path[QM_PATH_BYTES])
{
    const char *data = getenv("XDG_DATA_HOME");
    char home[QM_PATH_BYTES];
    if (data && data[0] == '/') // the standard says to ignore a relative one
        return qm_path_join(path, data, "qmark");
    QM_TRY(home_directory("set XDG_DATA_HOME to a directory for your data", home));
    return qm_path_join(path, home, ".local/share/qmark");
}

enum qm_status qm_program_directory(char path[QM_PATH_BYTES])
{
    QM_TRY(qm_process_own_path(path, QM_PATH_BYTES));
    char *slash = strrchr(path, '/');
    if (slash && slash != path)
        *slash = '\0';
    return QM_OK;
}

// Whether the directory, or the one of that name in it, holds qmark's data: then it is copied to `path`.
static bool is_data(const char *directory, const char *name, char path[QM_PATH_BYTES])
{
    char mark[QM_PATH_BYTES];
    return (*name ? qm_path_join(path, directory, name) == QM_OK
                  : snprintf(path, QM_PATH_BYTES, "%s", directory) > 0) &&
           qm_path_join(mark, path, MARK) == QM_OK && qm_file_exists(mark);
}

enum qm_status qm_data_directory(char path[QM_PATH_BYTES])
{
    const char *own = getenv("QM_DATA_DIR"), *shared = getenv("XDG_DATA_DIRS");
    char program[QM_PATH_BYTES], directory[QM_PATH_BYTES];
    if (own && *own)
        return qm_path_join(path, "", own);
    if (qm_program_directory(program) != QM_OK)
        *program = '\0';
    snprintf(directory, sizeof(directory), "%s", program);
    for (int level = 0; *directory && level < LEVELS; level++) {
        if (is_data(directory, "", path) || is_data(directory, "share/qmark", path))
            return QM_OK;
        char *slash = strrchr(directory, '/');
        if (!slash || slash == directory)
            break;
        *slash = '\0';
    }
    if (!shared || !*shared)
        shared = DEFAULT_DATA_DIRS;
    for (const char *at = shared; *at;) {
        size_t length = strcspn(at, ":");
        snprintf(directory, sizeof(directory), "%.*s", (int)(length < QM_PATH_BYTES ? length : 0), at);
        if (directory[0] == '/' && is_data(directory, "qmark", path))
            return QM_OK;
        at += length + (at[length] == ':');
    }
    return QM_FAIL(QM_INVALID,
                   "the profiles and the model that come with qmark were not found: neither in %.200s or above, nor in "
                   "share/qmark beside these, nor as qmark/ in %.200s; install qmark's package, or run it where it was "
                   "installed or built, or set QM_DATA_DIR to its source tree",
                   *program ? program : "the program's directory (which is not known)", shared);
}

enum qm_status qm_data_path(const char *name, char path[QM_PATH_BYTES])
{
    char directory[QM_PATH_BYTES];
    const char *own = getenv("QM_DATA_DIR");
    QM_TRY(qm_data_directory(directory));
    QM_TRY(qm_path_join(path, directory, name));
    if (qm_file_exists(path))
        return QM_OK;
    return QM_FAIL(QM_INVALID, "%s: not there; %s", path,
                   own && *own ? "QM_DATA_DIR must name qmark's source or data directory"
                               : "what came with qmark is not whole; install it again");
}
