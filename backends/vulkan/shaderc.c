// SPIR-V of a configuration that the build did not compile, by libshaderc, which is opened when the first is asked for.
#include "backends/vulkan/vk.h"
#include "sys/library.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What is used of shaderc.h (2023.2), so that a build needs no header of it. Every object is opaque; a status of 0 is
// success.
enum { SHADERC_COMPUTE = 2, SHADERC_PERFORMANCE = 2, SHADERC_VULKAN = 0, SHADERC_VULKAN_1_1 = 1 << 22 | 1 << 12 };
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
        snprintf(reason, sizeof(reason),
                 "no libshaderc.so.1 on this machine; install libshaderc1 (Debian, Ubuntu) or shaderc (Fedora, Arch)");
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

enum qm_status qm_vk_compile(const struct qm_kernel_variant *variant, uint32_t **words, size_t *bytes)
{
    *words = NULL;
    *bytes = 0;
    pthread_once(&once, load);
    if (reason[0])
        return QM_FAIL(QM_UNAVAILABLE, "kernel %s was not compiled by the build: %s", variant->name, reason);
    void *options = shaderc.compile_options_initialize();
    if (!options)
        return QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compile kernel %s", variant->name);
    shaderc.compile_options_set_optimization_level(options, SHADERC_PERFORMANCE);
    shaderc.compile_options_set_target_env(options, SHADERC_VULKAN, SHADERC_VULKAN_1_1);
    shaderc.compile_options_add_macro_definition(options, "QM_GLSL", 7, NULL, 0);
    add_definitions(options, variant->definitions);
    void *result = shaderc.compile_into_spv(shaderc.compiler, variant->glsl_source, strlen(variant->glsl_source),
                                            SHADERC_COMPUTE, variant->kernel, "main", options);
    enum qm_status status = QM_OK;
    if (!result) {
        status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory to compile kernel %s", variant->name);
    } else if (shaderc.result_get_compilation_status(result) != 0) {
        char line[160];
        first_line(shaderc.result_get_error_message(result), line);
        status = QM_FAIL(QM_INVALID, "kernel %s with %s does not compile: %s", variant->name, variant->definitions, line);
    } else {
        *bytes = shaderc.result_get_length(result);
        *words = malloc(*bytes + 1);
        if (*words)
            memcpy(*words, shaderc.result_get_bytes(result), *bytes);
        else
            status = QM_FAIL(QM_OUT_OF_MEMORY, "no memory for the module of kernel %s", variant->name);
    }
    if (result)
        shaderc.result_release(result);
    shaderc.compile_options_release(options);
    return status;
}
