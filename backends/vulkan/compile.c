// SPIR-V of a configuration that the build did not compile: by libshaderc, which is opened when the first is asked for; where
// it cannot be, by the program glslc. (Debian 12's libshaderc.so.1 lacks the symbols of glslang and SPIRV-Tools, which its
// glslc brings along, so that it opens nowhere else.)
#include "backends/vulkan/vk.h"
#include "sys/library.h"
#include "sys/process.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What is used of shaderc.h (2023.2), so that a build needs no header of it. Every object is opaque; a status of 0 is
// success.
enum {
    SHADERC_COMPUTE = 2,
    SHADERC_PERFORMANCE = 2,
    SHADERC_VULKAN = 0,
    SHADERC_VULKAN_1_1 = 1 << 22 | 1 << 12
};
#define SHADERC_FUNCTIONS(X)                                                                                           \
    X(void *, compiler_initialize, (void))                                                                             \
    X(void *, compile_options_initialize, (void))                                                                      \
    X(void, compile_options_release, (void *options))                                                                  \
    X(void, compile_options_add_macro_definition,                                                                      \
      (void *options, const char *name, size_t name_bytes, const char *value, size_t value_bytes))                     \
    X(void, compile_options_set_optimization_level, (void *options, int level))                                        \
    X(void, compile_options_set_target_env, (void *options, int target, uint32_t version))                             \
    X(void *, compile_into_spv,                                                                                        \
      (void *compiler, const char *text, size_t bytes, int kind, const char *file, const char *entry, void *options))  \
    X(void, result_release, (void *result))                                                                            \
    X(int, result_get_compilation_status, (const void *result))                                                        \
    X(size_t, result_get_length, (const void *result))                                                                 \
    X(const char *, result_get_bytes, (const void *result))                                                            \
    X(const char *, result_get_error_message, (const void *result))

#define MEMBER(type, name, arguments) type(*name) arguments;
static struct {
    SHADERC_FUNCTIONS(MEMBER)
    void *compiler;
} shaderc;
#undef MEMBER

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char reason[256]; // why there is no compiler; "" where there is one

// It stays open until the process ends, and its compiler with it: that is made for many uses.
static void load(void)
{
    static const char *const names[] = {"libshaderc_shared.so.1", "libshaderc.so.1"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !library; ++i)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(reason, sizeof(reason), "no libshaderc.so.1 that can be opened");
        return;
    }
#define FIND(type, name, arguments)                                                                                    \
    if (!qm_library_find(library, "shaderc_" #name, &shaderc.name)) {                                                  \
        snprintf(reason, sizeof(reason), "libshaderc has no shaderc_" #name "; install version 2023.2");               \
        return;                                                                                                        \
    }
    SHADERC_FUNCTIONS(FIND)
#undef FIND
    shaderc.compiler = shaderc.compiler_initialize();
    if (!shaderc.compiler)
        snprintf(reason, sizeof(reason), "libshaderc starts no compiler");
}

// "-DQM_ROWS=8 -DQM_TEXEL" as macros.
static void add_definitions(void *options, const char *definitions)
{
    for (const char *at = definitions; (at = strstr(at, "-D")) != NULL;) {
        at += 2;
        size_t name_bytes = strcspn(at, "= "), value_bytes = 0;
        const char *value = at + name_bytes;
        if (*value == '=')
            value_bytes = strcspn(++value, " ");
        shaderc.compile_options_add_macro_definition(options, at, name_bytes, value, value_bytes);
        at = value + value_bytes;
    }
}

// The first line of a log, which names every error on a line of its own.
static void first_line(const char *log, char line[160])
{
    size_t length = strcspn(log, "\n");
    snprintf(line, 160, "%.*s", (int)(length < 159 ? length : 159), log);
    for (char *c = line; *c; ++c)
        *c = isprint((unsigned char)*c) ? *c : ' ';
}

static enum qm_status compile_by_library(const struct qm_kernel_variant *variant, uint32_t **words, size_t *bytes)
{
    void *options = shaderc.compile_options_initialize();
    if (!options)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compile it");
    shaderc.compile_options_set_optimization_level(options, SHADERC_PERFORMANCE);
    shaderc.compile_options_set_target_env(options, SHADERC_VULKAN, SHADERC_VULKAN_1_1);
    shaderc.compile_options_add_macro_definition(options, "QM_GLSL", 7, NULL, 0);
    add_definitions(options, variant->definitions);
    void *result = shaderc.compile_into_spv(shaderc.compiler, variant->glsl_source, strlen(variant->glsl_source),
                                            SHADERC_COMPUTE, variant->kernel, "main", options);
    enum qm_status status = QM_OK;
    if (!result) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compile it");
    } else if (shaderc.result_get_compilation_status(result) != 0) {
        char line[160];
        first_line(shaderc.result_get_error_message(result), line);
        status = QM_FAIL(QM_INVALID, "it does not compile: %s", line);
    } else {
        *bytes = shaderc.result_get_length(result);
        *words = malloc(*bytes + 1);
        if (*words)
            memcpy(*words, shaderc.result_get_bytes(result), *bytes);
        else
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for its module");
    }
    if (result)
        shaderc.result_release(result);
    shaderc.compile_options_release(options);
    return status;
}

// ---- glslc --------------------------------------------------------------------------------------------------------

enum {
    ARGUMENTS_MAX = 64,
    WORDS_MAX = 1 << 22
};
#define COMPILE_NS 120000000000u

// "0x07230203,0x00010300,": the numbers of one line behind those before.
static bool take_words(const char *line, uint32_t **words, size_t *count, size_t *capacity)
{
    for (char *end; *line && *line != '\n'; line = *end == ',' ? end + 1 : end) {
        unsigned long word = strtoul(line, &end, 16);
        if (end == line)
            return true; // blanks at the end
        if (*count == *capacity) {
            size_t grown = *capacity ? 2 * *capacity : 4096;
            uint32_t *more = grown <= WORDS_MAX ? realloc(*words, grown * sizeof(*more)) : NULL;
            if (!more)
                return false;
            *words = more;
            *capacity = grown;
        }
        (*words)[(*count)++] = (uint32_t)word;
    }
    return true;
}

static enum qm_status compile_by_program(const struct qm_kernel_variant *variant, uint32_t **words, size_t *bytes)
{
    char definitions[1024];
    const char *arguments[ARGUMENTS_MAX] = {"glslc", "-O", "--target-env=vulkan1.1", "-fshader-stage=compute",
                                            "-DQM_GLSL"};
    size_t used = 5, count = 0, capacity = 0;
    struct qm_process *process = NULL;
    char *line = NULL;
    snprintf(definitions, sizeof(definitions), "%s", variant->definitions);
    for (char *at = strtok(definitions, " "); at && used + 5 < ARGUMENTS_MAX; at = strtok(NULL, " "))
        if (strncmp(at, "-D", 2) == 0)
            arguments[used++] = at;
    arguments[used++] = "-mfmt=num";
    arguments[used++] = "-o";
    arguments[used++] = "-";
    arguments[used++] = "-";
    if (qm_process_start(arguments, NULL, &process) != QM_OK)
        return QM_FAIL(QM_UNAVAILABLE,
                       "%s, and no program glslc; install glslc (Debian, Ubuntu) or shaderc (Fedora, Arch)", reason);
    enum qm_status status = qm_process_send(process, variant->glsl_source);
    qm_process_finish(process);
    while (status == QM_OK && (status = qm_process_receive(process, COMPILE_NS, &line)) == QM_OK) {
        if (!take_words(line, words, &count, &capacity))
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for its module");
        free(line);
    }
    if (status == QM_DEVICE_LOST) { // it ended, as it should
        status = QM_OK;
        if (!qm_process_succeeded(process) || count == 0) {
            char log[160];
            first_line(qm_error_text(), log);
            status = QM_FAIL(QM_INVALID, "glslc does not compile it: %s", log);
        }
    }
    qm_process_end(&process);
    *bytes = count * sizeof(**words);
    if (status != QM_OK) {
        free(*words);
        *words = NULL;
        *bytes = 0;
    }
    return status;
}

enum qm_status qm_vk_compile(const struct qm_kernel_variant *variant, uint32_t **words, size_t *bytes)
{
    *words = NULL;
    *bytes = 0;
    pthread_once(&once, load);
    enum qm_status status =
        reason[0] ? compile_by_program(variant, words, bytes) : compile_by_library(variant, words, bytes);
    if (status != QM_OK)
        qm_error_prefix("kernel %s with %s: ", variant->name, variant->definitions);
    return status;
}
