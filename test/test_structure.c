// The layout of the sources: what may include and call what. Every finding is a line "file:line: what; what instead".
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>

enum {
    FILES_MAX = 1024,
    PATH_BYTES = 512,
    SHELL_LINES_MAX = 25,
    SOURCE_LINES_MAX = 800
};

struct source {
    char path[PATH_BYTES]; // below the root
    char *text;            // as it is
    char *code;            // the same with comments and the insides of texts as blanks, line for line
};

static struct source files[FILES_MAX];
static size_t file_count;
static size_t findings;

#define FIND(file, line, ...)                                                                                          \
    do {                                                                                                               \
        print_error("%s:%zu: ", (file)->path, (size_t)(line));                                                         \
        print_error(__VA_ARGS__);                                                                                      \
        print_error("\n");                                                                                             \
        ++findings;                                                                                                    \
    } while (0)

// ---- Reading --------------------------------------------------------------------------------------------------------

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

static char *read_all(const char *path)
{
    char full[2 * PATH_BYTES];
    snprintf(full, sizeof(full), "%s/%s", QM_SOURCE_DIR, path);
    FILE *stream = fopen(full, "rb");
    if (!stream)
        return NULL;
    fseek(stream, 0, SEEK_END);
    size_t size = (size_t)ftell(stream);
    rewind(stream);
    char *text = calloc(size + 1, 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, size, stream), size);
    fclose(stream);
    return text;
}

static char *without_comments(const char *text)
{
    char *code = strdup(text);
    assert_non_null(code);
    enum {
        CODE,
        LINE,
        BLOCK,
        TEXT,
        CHARACTER
    } state = CODE;
    for (char *at = code; *at; ++at) {
        char c = *at;
        if (state == CODE && c == '/' && at[1] == '/') {
            state = LINE;
        } else if (state == CODE && c == '/' && at[1] == '*') {
            state = BLOCK;
            *at++ = ' ';
            *at = ' ';
            continue;
        } else if (state == CODE && (c == '"' || c == '\'')) {
            state = c == '"' ? TEXT : CHARACTER;
            continue;
        } else if (state == LINE && c == '\n') {
            state = CODE;
        } else if (state == BLOCK && c == '*' && at[1] == '/') {
            *at++ = ' ';
            *at = ' ';
            state = CODE;
            continue;
        } else if ((state == TEXT && c == '"') || (state == CHARACTER && c == '\'')) {
            state = CODE;
            continue;
        } else if ((state == TEXT || state == CHARACTER) && c == '\\' && at[1] && at[1] != '\n') {
            *at++ = ' ';
        }
        if (state != CODE && *at != '\n')
            *at = ' ';
    }
    return code;
}

static void collect(const char *directory)
{
    char full[2 * PATH_BYTES];
    snprintf(full, sizeof(full), "%s/%s", QM_SOURCE_DIR, directory);
    DIR *stream = opendir(full);
    if (!stream)
        fail_msg("%s cannot be listed", full);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        char path[PATH_BYTES];
        struct stat info;
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) >= (int)sizeof(path))
            fail_msg("%s/%s: the name is too long", directory, entry->d_name);
        snprintf(full, sizeof(full), "%s/%s", QM_SOURCE_DIR, path);
        if (stat(full, &info) != 0)
            continue;
        if (S_ISDIR(info.st_mode)) {
            collect(path);
        } else if (ends_with(path, ".c") || ends_with(path, ".h") || ends_with(path, ".comp") ||
                   ends_with(path, ".cl")) {
            assert_true(file_count < FILES_MAX);
            struct source *file = &files[file_count++];
            snprintf(file->path, sizeof(file->path), "%s", path);
            file->text = read_all(path);
            assert_non_null(file->text);
            file->code = without_comments(file->text);
        }
    }
    closedir(stream);
}

static int group_setup(void **state)
{
    (void)state;
    static const char *const directories[] = {"core", "backends", "kernels", "shaders", "clkernels", "test", "tools"};
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); ++i)
        collect(directories[i]);
    assert_true(file_count > 100); // the right folder
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; ++i) {
        free(files[i].text);
        free(files[i].code);
    }
    return 0;
}

static int setup(void **state)
{
    (void)state;
    findings = 0;
    return 0;
}

// Calls `visit` with every included name, "vulkan/vulkan.h".
static void each_include(const struct source *file,
                         void (*visit)(const struct source *file, size_t line, const char *name))
{
    size_t line = 1;
    // Comments are looked for in the code, names in the text: there the insides of texts are blank.
    for (const char *at = file->code; *at; ++line) {
        const char *end = strchr(at, '\n');
        end = end ? end : at + strlen(at);
        const char *word = at + strspn(at, " \t");
        if (*word == '#') {
            word += 1 + strspn(word + 1, " \t");
            if (begins_with(word, "include")) {
                const char *name = file->text + (word - file->code) + 7;
                name += strspn(name, " \t");
                size_t length = *name == '<' || *name == '"' ? strcspn(name + 1, ">\"\n") : 0;
                char kept[256];
                if (length > 0) {
                    snprintf(kept, sizeof(kept), "%.*s", (int)length, name + 1);
                    visit(file, line, kept);
                }
            }
        }
        at = *end ? end + 1 : end;
    }
}

// ---- The laws -------------------------------------------------------------------------------------------------------

static void no_graphics(const struct source *file, size_t line, const char *name)
{
    static const char *const headers[] = {
        "vulkan/",          "vulkan.h",        "volk", "vk_", "CL/", "OpenCL/", "spirv", "shaderc",
        "backends/vulkan/", "backends/opencl/"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); ++i) {
        if (begins_with(name, headers[i]))
            FIND(file, line, "core includes %s; it knows no API, only backends/backend.h", name);
    }
}

static void test_core_knows_no_api(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; ++i) {
        if (begins_with(files[i].path, "core/"))
            each_include(&files[i], no_graphics);
    }
    assert_int_equal(findings, 0);
}

static void no_platform(const struct source *file, size_t line, const char *name)
{
    static const char *const headers[] = {
        "unistd.h",      "sys/types.h",   "sys/stat.h",     "sys/ioctl.h",  "sys/mman.h",   "sys/wait.h",
        "sys/time.h",    "sys/random.h",  "sys/resource.h", "sys/select.h", "sys/socket.h", "sys/statvfs.h",
        "sys/sysinfo.h", "sys/utsname.h", "sys/vfs.h",      "sys/prctl.h",  "sys/un.h",     "sys/param.h",
        "sys/times.h",   "sys/syscall.h", "dlfcn.h",        "pthread.h",    "threads.h",    "fcntl.h",
        "signal.h",      "time.h",        "uv.h",           "windows.h",    "dirent.h",     "poll.h",
        "sched.h",       "termios.h",     "pwd.h",          "grp.h",        "spawn.h",      "glob.h",
        "ftw.h",         "fnmatch.h",     "libgen.h",       "netdb.h",      "ucontext.h",   "execinfo.h",
        "langinfo.h",    "link.h",        "io.h",           "direct.h",     "process.h",    "netinet/",
        "arpa/",         "linux/",        "mach/",          "android/",     "asm/"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); ++i) {
        bool is_folder = ends_with(headers[i], "/");
        if (is_folder ? begins_with(name, headers[i]) : strcmp(name, headers[i]) == 0)
            FIND(file, line, "includes <%s>; platform calls belong into core/sys/", name);
    }
}

// Names of functions that are the operating system's and not C's. What also is a member of ours (open of a backend) is
// a finding only where it is called by itself.
static const char *const platform_calls[] = {"getpid",
                                             "getppid",
                                             "getuid",
                                             "geteuid",
                                             "gethostname",
                                             "getpwuid",
                                             "getrusage",
                                             "getrandom",
                                             "stat",
                                             "fstat",
                                             "lstat",
                                             "statvfs",
                                             "access",
                                             "chmod",
                                             "chdir",
                                             "getcwd",
                                             "mkdir",
                                             "rmdir",
                                             "unlink",
                                             "link",
                                             "symlink",
                                             "readlink",
                                             "realpath",
                                             "open",
                                             "openat",
                                             "close",
                                             "read",
                                             "write",
                                             "pread",
                                             "pwrite",
                                             "lseek",
                                             "fsync",
                                             "fdatasync",
                                             "ftruncate",
                                             "truncate",
                                             "mmap",
                                             "munmap",
                                             "madvise",
                                             "mlock",
                                             "dup",
                                             "dup2",
                                             "pipe",
                                             "pipe2",
                                             "poll",
                                             "select",
                                             "ioctl",
                                             "fcntl",
                                             "flock",
                                             "fileno",
                                             "fdopen",
                                             "popen",
                                             "pclose",
                                             "mkstemp",
                                             "mkdtemp",
                                             "opendir",
                                             "readdir",
                                             "closedir",
                                             "dlopen",
                                             "dlsym",
                                             "dlclose",
                                             "dlerror",
                                             "dladdr",
                                             "time",
                                             "clock",
                                             "clock_gettime",
                                             "clock_getres",
                                             "gettimeofday",
                                             "gmtime",
                                             "gmtime_r",
                                             "localtime",
                                             "localtime_r",
                                             "strftime",
                                             "timespec_get",
                                             "nanosleep",
                                             "clock_nanosleep",
                                             "usleep",
                                             "sleep",
                                             "sched_yield",
                                             "sched_getaffinity",
                                             "fork",
                                             "vfork",
                                             "execv",
                                             "execve",
                                             "execvp",
                                             "execl",
                                             "execlp",
                                             "posix_spawn",
                                             "waitpid",
                                             "wait",
                                             "kill",
                                             "raise",
                                             "signal",
                                             "sigaction",
                                             "sigprocmask",
                                             "alarm",
                                             "system",
                                             "isatty",
                                             "tcgetattr",
                                             "sysconf",
                                             "sysinfo",
                                             "uname",
                                             "prctl",
                                             "syscall",
                                             "setenv",
                                             "unsetenv",
                                             "putenv",
                                             "setpriority",
                                             "nice",
                                             "abort",
                                             "_exit",
                                             "backtrace",
                                             "LoadLibraryA",
                                             "GetProcAddress",
                                             "CreateProcessA",
                                             "Sleep",
                                             "QueryPerformanceCounter"};
static const char *const platform_families[] = {"uv_", "pthread_", "thrd_", "mtx_", "cnd_", "sem_"};

static bool is_platform_call(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof(platform_families) / sizeof(platform_families[0]); ++i) {
        if (strncmp(name, platform_families[i], strlen(platform_families[i])) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof(platform_calls) / sizeof(platform_calls[0]); ++i) {
        if (strlen(platform_calls[i]) == length && strncmp(name, platform_calls[i], length) == 0)
            return true;
    }
    return false;
}

// A word before a name makes it a declaration ("int open(...)"), unless it is one of these.
static bool is_declared(const char *code, const char *name)
{
    const char *end = name;
    while (end > code && (end[-1] == ' ' || end[-1] == '\t'))
        --end;
    const char *word = end;
    while (word > code && (isalnum((unsigned char)word[-1]) || word[-1] == '_'))
        --word;
    size_t length = (size_t)(end - word);
    return length > 0 && !(length == 6 && strncmp(word, "return", 6) == 0) &&
           !(length == 4 && strncmp(word, "else", 4) == 0) && !(length == 2 && strncmp(word, "do", 2) == 0);
}

static void find_calls(const struct source *file)
{
    size_t line = 1;
    for (const char *at = file->code; *at;) {
        if (*at == '\n')
            ++line;
        if (!isalpha((unsigned char)*at) && *at != '_') {
            ++at;
            continue;
        }
        const char *name = at;
        while (isalnum((unsigned char)*at) || *at == '_')
            ++at;
        char before = name > file->code ? name[-1] : ' ';
        bool is_member = before == '.' || (before == '>' && name[-2] == '-');
        bool is_number = isdigit((unsigned char)before);
        if (at[strspn(at, " ")] == '(' && !is_member && !is_number && is_platform_call(name, (size_t)(at - name)) &&
            !is_declared(file->code, name))
            FIND(file, line, "calls %.*s(); platform calls belong into core/sys/", (int)(at - name), name);
    }
}

static void test_platform_calls(void **state)
{
    (void)state;
    size_t looked_at = 0;
    for (size_t i = 0; i < file_count; ++i) {
        if (!begins_with(files[i].path, "core/") || begins_with(files[i].path, "core/sys/"))
            continue;
        ++looked_at;
        each_include(&files[i], no_platform);
        find_calls(&files[i]);
    }
    assert_true(looked_at > 50);
    assert_int_equal(findings, 0);
}

static void only_interface(const struct source *file, size_t line, const char *name)
{
    static const char *const folders[] = {"kernel/",   "model/", "quant/",  "score/",  "text/",
                                          "workload/", "bench/", "record/", "report/", "cli/"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); ++i) {
        if (begins_with(name, folders[i]) || (begins_with(name, "core/") && begins_with(name + 5, folders[i])))
            FIND(file, line, "includes %s; a backend knows neither models nor schemes, only base/ and sys/", name);
    }
}

static void test_backends_know_no_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; ++i) {
        if (begins_with(files[i].path, "backends/"))
            each_include(&files[i], only_interface);
    }
    assert_int_equal(findings, 0);
}

// How high a folder of core/ stands; -1 for others.
static int floor_of(const char *path)
{
    static const char *const floors[] = {
        "base/", "sys/", "record/", "kernel/", "model/ quant/ score/ text/ workload/", "bench/ report/", "cli/"};
    const char *slash = strchr(path, '/');
    for (int i = 0; slash && i < (int)(sizeof(floors) / sizeof(floors[0])); ++i) {
        for (const char *at = floors[i]; at; at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL) {
            if (strncmp(at, path, (size_t)(slash - path) + 1) == 0)
                return i;
        }
    }
    return -1;
}

static void no_higher(const struct source *file, size_t line, const char *name)
{
    int own = floor_of(file->path + strlen("core/")), other = floor_of(name);
    if (other > own)
        FIND(file, line, "includes %s, which stands above it", name);
}

static void test_lower_parts_do_not_know_higher_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; ++i) {
        if (begins_with(files[i].path, "core/"))
            each_include(&files[i], no_higher);
    }
    assert_int_equal(findings, 0);
    assert_true(floor_of("bench/worker.h") > floor_of("kernel/kernels.h"));
    assert_int_equal(floor_of("backends/backend.h"), -1);
}

static size_t line_count(const char *text)
{
    size_t lines = 0;
    for (const char *at = text; *at; ++at)
        lines += *at == '\n';
    return lines;
}

static void test_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; ++i) {
        size_t lines = line_count(files[i].text);
        if ((ends_with(files[i].path, ".c") || ends_with(files[i].path, ".h")) && lines > SOURCE_LINES_MAX)
            FIND(&files[i], lines, "%zu lines; split it by what it does, %d at most", lines, SOURCE_LINES_MAX);
    }
    assert_int_equal(findings, 0);
}

// ---- Shells ---------------------------------------------------------------------------------------------------------

// A token of a shell; `length` 0 at the end. A quoted name is one token.
static const char *next_token(const char *at, size_t *line, size_t *length)
{
    while (isspace((unsigned char)*at))
        *line += *at++ == '\n';
    *length = *at ? 1 : 0;
    if (isalnum((unsigned char)*at) || *at == '_') {
        while (isalnum((unsigned char)at[*length]) || at[*length] == '_')
            ++*length;
    } else if (*at == '"') {
        *length = strcspn(at + 1, "\"\n") + 2;
    }
    return at;
}

static void check_shell(const struct source *file)
{
    // Declarations and includes, and nothing that computes: no operator, no number but the version's, no other name.
    static const char *const allowed[] = {
        "#",          "include",  "define",   "undef",        "version", "450", "void", "main", "QM_BODY",
        "QM_DECLARE", "QM_ENTRY", "QM_BEGIN", "QM_ARGUMENTS", "(",       ")",   "{",    "}",    "\"portable.h\""};
    const char *base = strrchr(file->path, '/') + 1;
    char kernel[64], header[80];
    snprintf(kernel, sizeof(kernel), "%.*s", (int)strcspn(base, "."), base);
    snprintf(header, sizeof(header), "\"%s.h\"", kernel);
    size_t lines = line_count(file->text), line = 1, length = 0;
    if (lines > SHELL_LINES_MAX)
        FIND(file, lines, "%zu lines; a shell has %d at most", lines, SHELL_LINES_MAX);
    // From the code, so that comments are free; quoted names have the same place in the text.
    for (const char *at = next_token(file->code, &line, &length); length > 0;
         at = next_token(at + length, &line, &length)) {
        const char *token = file->text + (at - file->code);
        bool is_allowed = (strlen(kernel) == length && strncmp(token, kernel, length) == 0) ||
                          (strlen(header) == length && strncmp(token, header, length) == 0);
        for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !is_allowed; ++i)
            is_allowed = strlen(allowed[i]) == length && strncmp(token, allowed[i], length) == 0;
        if (!is_allowed)
            FIND(file, line, "'%.*s' in a shell; arithmetic and arguments belong into kernels/%s.h", (int)length, token,
                 kernel);
    }
}

static void test_shells(void **state)
{
    (void)state;
    size_t shells = 0;
    for (size_t i = 0; i < file_count; ++i) {
        if (begins_with(files[i].path, "shaders/") || begins_with(files[i].path, "clkernels/")) {
            check_shell(&files[i]);
            ++shells;
        }
    }
    assert_true(shells >= 36);
    assert_int_equal(findings, 0);
}

static const struct source *find_file(const char *path)
{
    for (size_t i = 0; i < file_count; ++i) {
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    }
    return NULL;
}

// "kernel: what it gives", as the first line of a leading comment.
static void check_contract(const struct source *file, const char *kernel)
{
    size_t name = strlen(kernel);
    if (!begins_with(file->text, "// ") || strncmp(file->text + 3, kernel, name) != 0 || file->text[3 + name] != ':')
        FIND(file, 1, "no contract on top; begin with '// %s: ' and say formula, shapes, layouts, order and bound",
             kernel);
}

static void test_kernels_have_shells_and_contract(void **state)
{
    (void)state;
    char *rows = read_all("kernels/variants.txt");
    assert_non_null(rows);
    const struct source table = {.path = "kernels/variants.txt"};
    size_t line = 0, kernels = 0;
    for (char *at = rows; *at;) {
        size_t length = strcspn(at, "\n");
        char variant[64], kernel[64], path[PATH_BYTES];
        ++line;
        if (*at != '#' && length > 0) {
            if (sscanf(at, "%63s %63s", variant, kernel) != 2) {
                FIND(&table, line, "a row has a variant and its kernel");
            } else {
                ++kernels;
                snprintf(path, sizeof(path), "shaders/%s.comp", kernel);
                if (!find_file(path))
                    FIND(&table, line, "%s has no shell %s", kernel, path);
                snprintf(path, sizeof(path), "clkernels/%s.cl", kernel);
                if (!find_file(path))
                    FIND(&table, line, "%s has no shell %s", kernel, path);
                snprintf(path, sizeof(path), "kernels/%s.h", kernel);
                if (find_file(path))
                    check_contract(find_file(path), kernel);
                else
                    FIND(&table, line, "%s has no body %s", kernel, path);
            }
        }
        at += length + (at[length] == '\n');
    }
    free(rows);
    assert_true(kernels >= 30);
    assert_int_equal(findings, 0);
}

// ---- The test itself ------------------------------------------------------------------------------------------------

// What is forbidden is found: a planted file of each kind, else all of the above could be empty promises.
static void test_finds_what_is_planted(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text;
        size_t findings;
    } planted[] = {
        {"core/x.c", "#include <vulkan/vulkan.h>\n# include \"volk.h\"\n// #include <CL/cl.h>\n", 2},
        {"core/x.c", "#include <unistd.h>\nint f(void)\n{\n    return getpid(); // fork()\n}\n", 2},
        {"core/x.c", "void f(void)\n{\n    a->open(1);\n    b.stat(\"kill(1)\");\n    pthread_join(t, 0);\n}\n", 1},
        {"backends/x.c", "#include \"quant/scheme.h\"\n#include \"base/status.h\"\n", 1},
        {"shaders/x.comp", "#version 450\n#include \"x.h\"\nvoid main() { y = 2 * 3; } // y = 1\n", 6},
    };
    print_message("the findings that follow are planted\n");
    for (size_t i = 0; i < sizeof(planted) / sizeof(planted[0]); ++i) {
        struct source file = {.text = strdup(planted[i].text), .code = without_comments(planted[i].text)};
        snprintf(file.path, sizeof(file.path), "%s", planted[i].path);
        findings = 0;
        if (ends_with(file.path, ".comp")) {
            check_shell(&file);
        } else if (begins_with(file.path, "backends/")) {
            each_include(&file, only_interface);
        } else {
            each_include(&file, no_graphics);
            each_include(&file, no_platform);
            find_calls(&file);
        }
        if (findings != planted[i].findings)
            fail_msg("planted file %zu: %zu findings, expected %zu", i, findings, planted[i].findings);
        free(file.text);
        free(file.code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_core_knows_no_api, setup),
        cmocka_unit_test_setup(test_platform_calls, setup),
        cmocka_unit_test_setup(test_backends_know_no_model, setup),
        cmocka_unit_test_setup(test_lower_parts_do_not_know_higher_ones, setup),
        cmocka_unit_test_setup(test_length, setup),
        cmocka_unit_test_setup(test_shells, setup),
        cmocka_unit_test_setup(test_kernels_have_shells_and_contract, setup),
        cmocka_unit_test_setup(test_finds_what_is_planted, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
