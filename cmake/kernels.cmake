# Builds every kernel variant: SPIR-V through glslc, OpenCL C as text, the body's text for hashing, and the tables that
# the program finds them by. The rows are kernels/variants.txt x kernels/tiles.txt.

set(QM_GENERATED_DIR ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${QM_GENERATED_DIR}/spirv ${QM_GENERATED_DIR}/native)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS kernels/variants.txt kernels/tiles.txt)

file(STRINGS kernels/variants.txt variant_rows REGEX "^[a-z]")
file(STRINGS kernels/tiles.txt tile_rows REGEX "^[a-z]")
file(GLOB QM_KERNEL_HEADERS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*.h ${CMAKE_SOURCE_DIR}/kernels/matrix/*.h)

# SPIR-V is the same for every C compiler: several builds of one tree need it made once.
set(QM_SPIRV_FROM "" CACHE PATH "the folder generated/ of another build of the same tree, up to date, whose SPIR-V is taken")
if(QM_SPIRV_FROM)
    target_include_directories(qm_options INTERFACE ${QM_SPIRV_FROM})
endif()

set(QM_SPIRV_FILES)
set(table "")
set(spirv_arrays "")
set(native_table "")
set(native_declarations "")
set(QM_NATIVE_SOURCES)
set(kernels)
set(names)

# file(WRITE) only where something changed, so that a new configuration does not rebuild everything.
function(qm_write path content)
    if(EXISTS ${path})
        file(READ ${path} old)
        if(old STREQUAL content)
            return()
        endif()
    endif()
    file(WRITE ${path} "${content}")
endfunction()

foreach(variant_row ${variant_rows})
    separate_arguments(fields UNIX_COMMAND "${variant_row}")
    list(POP_FRONT fields variant kernel)
    list(APPEND kernels ${kernel})
    foreach(tile_row ${tile_rows})
        separate_arguments(tile_fields UNIX_COMMAND "${tile_row}")
        list(POP_FRONT tile_fields tile_kernel tile)
        if(NOT tile_kernel STREQUAL kernel)
            continue()
        endif()
        set(name ${variant}-${tile})
        string(REGEX REPLACE "[-.]" "_" symbol ${name})
        set(definitions)
        set(group_x 1)
        set(group_y 1)
        set(texel_bindings 0)
        set(is_wanted TRUE)
        set(opencl_options)
        foreach(definition ${fields} ${tile_fields})
            if(definition MATCHES "^@(.*)$") # a row of a tile for the variants with one of these definitions alone
                string(REPLACE "," ";" any_of "${CMAKE_MATCH_1}")
                set(is_any FALSE)
                foreach(field ${fields})
                    if(field IN_LIST any_of)
                        set(is_any TRUE)
                    endif()
                endforeach()
                if(NOT is_any)
                    set(is_wanted FALSE)
                endif()
                list(REMOVE_ITEM tile_fields ${definition})
                continue()
            elseif(definition MATCHES "^-") # for OpenCL's compiler
                list(APPEND opencl_options ${definition})
                list(REMOVE_ITEM tile_fields ${definition})
                list(REMOVE_ITEM fields ${definition})
                continue()
            endif()
            list(APPEND definitions -D${definition})
            if(definition MATCHES "^QM_WORKGROUP_X=(.*)$")
                set(group_x ${CMAKE_MATCH_1})
            elseif(definition MATCHES "^QM_WORKGROUP_Y=(.*)$")
                set(group_y ${CMAKE_MATCH_1})
            elseif(definition STREQUAL QM_TEXEL)
                set(texel_bindings qm_${kernel}_texel_bindings)
            endif()
        endforeach()
        if(NOT is_wanted)
            continue()
        endif()
        if(name IN_LIST names) # of the rows for it, the first counts
            continue()
        endif()
        list(APPEND names ${name})
        string(REPLACE ";" " " definition_text "${definitions};${opencl_options}")
        string(STRIP "${definition_text}" definition_text)
        set(spirv_entry "NULL, 0")
        set(glsl_entry "NULL")
        # GLSL has no vectors of more than four.
        if(NOT tile MATCHES "^vector" AND NOT "${fields}" MATCHES "QM_VW=(8|16)")
            set(spirv ${QM_GENERATED_DIR}/spirv/${name}.inc)
            if(QM_SPIRV_FROM AND EXISTS ${QM_SPIRV_FROM}/spirv/${name}.inc) # what that build has not is made here
                set(spirv ${QM_SPIRV_FROM}/spirv/${name}.inc)
            else()
                add_custom_command(OUTPUT ${spirv}
                    COMMAND ${GLSLC} -O --target-env=vulkan1.1 -fshader-stage=compute -DQM_GLSL ${definitions}
                        -I${CMAKE_SOURCE_DIR}/kernels -MD -MF ${spirv}.d -MT ${spirv} -mfmt=num -o ${spirv}
                        ${CMAKE_SOURCE_DIR}/shaders/${kernel}.comp
                    DEPENDS ${CMAKE_SOURCE_DIR}/shaders/${kernel}.comp DEPFILE ${spirv}.d
                    COMMENT "SPIR-V ${name}" VERBATIM)
            endif()
            list(APPEND QM_SPIRV_FILES ${spirv})
            string(APPEND spirv_arrays "static const uint32_t spirv_${symbol}[] = {\n#include \"spirv/${name}.inc\"\n};\n")
            set(spirv_entry "spirv_${symbol}, sizeof(spirv_${symbol})")
            set(glsl_entry qm_glsl_${kernel})
        endif()
        string(APPEND table "    {\"${name}\", \"${kernel}\", \"${definition_text}\", ${spirv_entry}, qm_opencl_${kernel}, ${glsl_entry}, "
            "qm_body_${kernel}, {${group_x}, ${group_y}, 1}, qm_${kernel}_bindings, "
            "${texel_bindings}, sizeof(struct qm_${kernel}_parameters) / 4},\n")
        if(tile STREQUAL narrow AND NOT kernel STREQUAL selftest AND NOT "${fields}" MATCHES "QM_FP16|QM_PACKED_DOT|QM_VW=(8|16)")
            string(REPLACE "QM_" "#define QM_" defines "${fields};${tile_fields}")
            string(REGEX REPLACE "QM_LANES=[0-9]+" "QM_LANES=1" defines "${defines}") # the C target has no barrier
            string(REPLACE "=" " " defines "${defines}")
            string(REPLACE ";" "\n" defines "${defines}")
            qm_write(${QM_GENERATED_DIR}/native/${symbol}.c
                "${defines}\n#define QM_NATIVE_NAME qm_native_${symbol}\n#include \"kernels/portable.h\"\n#include \"kernels/${kernel}.h\"\n#define QM_BODY\n#define QM_NATIVE_BODY \"kernels/${kernel}.h\"\n#include \"test/native/shell.h\"\n")
            list(APPEND QM_NATIVE_SOURCES ${QM_GENERATED_DIR}/native/${symbol}.c)
            string(APPEND native_declarations "void qm_native_${symbol}(const struct qm_native_call *call);\n")
            string(APPEND native_table "    {\"${name}\", qm_native_${symbol}},\n")
        endif()
    endforeach()
endforeach()
list(REMOVE_DUPLICATES kernels)

# Argument lists, expanded for the host: struct qm_KERNEL_parameters and the number of bindings.
set(arguments "// Generated from kernels/*.h by cmake/kernels.cmake.\n#ifndef QM_KERNEL_ARGUMENTS_H\n#define QM_KERNEL_ARGUMENTS_H\n#include <stdint.h>\n#define QM_HOST\n")
string(APPEND arguments "#define QM_IN(number, type, name) +1\n#define QM_IN4(number, name) +1 + (16 << number)\n#define QM_OUT(number, type, name) +1\n#define QM_OUT4(number, name) +1\n#define QM_INOUT(number, type, name) +1\n#define QM_U32(name) uint32_t name;\n#define QM_F32(name) float name;\n")
set(sources_declarations "")
foreach(kernel ${kernels})
    string(APPEND arguments "#include \"kernels/${kernel}.h\"\nstruct qm_${kernel}_parameters {\n    QM_PARAMETERS\n};\nenum { qm_${kernel}_bindings = (0 QM_BUFFERS) & 15, qm_${kernel}_texel_bindings = (0 QM_BUFFERS) >> 4 };\n#undef QM_PARAMETERS\n#undef QM_BUFFERS\n#undef QM_LOCALS\n#undef QM_PRODUCT_H\n#undef QM_ROWS\n#undef QM_SPLIT\n")
    string(APPEND sources_declarations "extern const char qm_opencl_${kernel}[], qm_glsl_${kernel}[], qm_body_${kernel}[];\n")
endforeach()
string(APPEND arguments "#undef QM_HOST\n#undef QM_IN\n#undef QM_IN4\n#undef QM_OUT\n#undef QM_OUT4\n#undef QM_INOUT\n#undef QM_U32\n#undef QM_F32\n#endif\n")
qm_write(${QM_GENERATED_DIR}/kernel_arguments.h "${arguments}")

qm_write(${QM_GENERATED_DIR}/kernel_table.c
    "// Generated by cmake/kernels.cmake.\n#include \"backends/backend.h\"\n#include \"core/kernel/kernels.h\"\n#include \"kernel_arguments.h\"\n${sources_declarations}${spirv_arrays}const struct qm_kernel_variant qm_kernel_variants[] = {\n${table}};\nconst size_t qm_kernel_variant_count = sizeof(qm_kernel_variants) / sizeof(qm_kernel_variants[0]);\n")
set_source_files_properties(${QM_GENERATED_DIR}/kernel_table.c PROPERTIES OBJECT_DEPENDS "${QM_SPIRV_FILES}")

qm_write(${QM_GENERATED_DIR}/native_table.c
    "// Generated by cmake/kernels.cmake.\n#include \"test/native/native.h\"\n${native_declarations}const struct qm_native_kernel qm_native_kernels[] = {\n${native_table}};\nconst size_t qm_native_kernel_count = sizeof(qm_native_kernels) / sizeof(qm_native_kernels[0]);\n")
list(APPEND QM_NATIVE_SOURCES ${QM_GENERATED_DIR}/native_table.c)

# The text of shells and bodies with includes resolved, as C arrays.
add_executable(qm_embed tools/embed.c)
set_target_properties(qm_embed PROPERTIES C_CLANG_TIDY "")
set(shells)
foreach(kernel ${kernels})
    list(APPEND shells ${CMAKE_SOURCE_DIR}/clkernels/${kernel}.cl ${CMAKE_SOURCE_DIR}/shaders/${kernel}.comp)
endforeach()
add_custom_command(OUTPUT ${QM_GENERATED_DIR}/kernel_sources.c
    COMMAND qm_embed ${QM_GENERATED_DIR}/kernel_sources.c ${CMAKE_SOURCE_DIR} ${kernels}
    DEPENDS qm_embed ${shells} ${QM_KERNEL_HEADERS} COMMENT "Embedding kernel sources" VERBATIM)

set(QM_GENERATED_SOURCES ${QM_GENERATED_DIR}/kernel_table.c ${QM_GENERATED_DIR}/kernel_sources.c)
