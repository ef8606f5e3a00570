# Libraries stay loaded under the address sanitizer: the reason stands in the file.
set(QM_KEEP_LOADED "")
if(QM_SANITIZE MATCHES "address")
    set(QM_KEEP_LOADED ${CMAKE_SOURCE_DIR}/test/keep_loaded.c)
    target_sources(qmark PRIVATE ${QM_KEEP_LOADED})
endif()

# Every test/fuzz/fuzz_NAME.c is a libFuzzer program (CMake preset `fuzz`).
if(QM_SANITIZE MATCHES "fuzzer")
    file(GLOB QM_FUZZ_SOURCES CONFIGURE_DEPENDS test/fuzz/fuzz_*.c)
    foreach(source ${QM_FUZZ_SOURCES})
        get_filename_component(name ${source} NAME_WE)
        add_executable(${name} ${source} ${QM_KEEP_LOADED})
        target_link_libraries(${name} PRIVATE qmark_core)
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    endforeach()
endif()

# What calibration makes of a small model, as text to compare between builds (tools/check_identity.sh). It opens no
# graphics and loads no driver; what it does not call the linker leaves out.
add_executable(qm_identity EXCLUDE_FROM_ALL test/identity.c)
target_link_libraries(qm_identity PRIVATE qmark_core)

# Model directories of real size, how fast they are loaded (tools/load_rate.sh), their reference (reference_rate.sh), and what
# a decode pass costs beyond its kernels (decode_overhead.sh).
add_executable(qm_make_model test/make_model.c)
add_executable(qm_load_rate EXCLUDE_FROM_ALL test/load_rate.c)
add_executable(qm_reference_rate EXCLUDE_FROM_ALL test/reference_rate.c)
add_executable(qm_decode_overhead EXCLUDE_FROM_ALL test/decode_overhead.c)
add_executable(qm_make_results test/make_results.c) # for tests of the report
foreach(name make_model make_results load_rate reference_rate decode_overhead)
    target_link_libraries(qm_${name} PRIVATE qmark_core)
endforeach()

# How many megabytes of a text a tokenizer encodes in a second (docs/TOKENIZERS.md).
add_executable(bench_tokenizer EXCLUDE_FROM_ALL tools/bench_tokenizer.c)
target_link_libraries(bench_tokenizer PRIVATE qmark_core)

# Every test/test_NAME.c is a cmocka program of its own and a ctest of the same name.
if(NOT CMOCKA_FOUND)
    message(STATUS "cmocka not found: tests are not built")
    return()
endif()
enable_testing()

# The kernels' third target: their bodies as C.
add_library(qm_native STATIC test/native/device.c ${QM_NATIVE_SOURCES})
target_link_libraries(qm_native PUBLIC qmark_core)

# Stand-ins for NVIDIA's library, one of them as old drivers had it: opened at run time by test_telemetry.
foreach(name fake_nvml fake_nvml_old)
    add_library(${name} MODULE EXCLUDE_FROM_ALL test/fake_nvml.c)
endforeach()
target_compile_definitions(fake_nvml_old PRIVATE FAKE_NVML_OLD)

file(GLOB QM_TEST_SOURCES CONFIGURE_DEPENDS test/test_*.c)
if(QM_SANITIZE) # of the drivers' arithmetic the sanitizers see nothing
    list(FILTER QM_TEST_SOURCES EXCLUDE REGEX "/test_agreement\\.c$")
    # Simulations of thousands of runs, and whole runs beside those of test_run: what they call is called there, sanitized.
    list(FILTER QM_TEST_SOURCES EXCLUDE REGEX "/test_(sustained|stop|reproduce|gate_live|run_answers|served)\\.c$")
endif()
# Another's reader of XML looks at the pictures.
find_library(QM_EXPAT expat)
find_path(QM_EXPAT_HEADERS expat.h)
if(NOT QM_EXPAT OR NOT QM_EXPAT_HEADERS)
    message(STATUS "expat not found: test_pictures is not built")
    list(FILTER QM_TEST_SOURCES EXCLUDE REGEX "/test_pictures\\.c$")
endif()
foreach(source ${QM_TEST_SOURCES})
    get_filename_component(name ${source} NAME_WE)
    add_executable(${name} ${source} ${QM_KEEP_LOADED})
    target_link_libraries(${name} PRIVATE qm_native qmark_core PkgConfig::CMOCKA)
    target_compile_definitions(${name} PRIVATE QM_SOURCE_DIR="${CMAKE_SOURCE_DIR}" QM_BINARY_DIR="${CMAKE_BINARY_DIR}")
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
endforeach()
if(TARGET test_pictures)
    target_link_libraries(test_pictures PRIVATE ${QM_EXPAT})
    target_include_directories(test_pictures PRIVATE ${QM_EXPAT_HEADERS})
endif()
add_dependencies(test_telemetry fake_nvml fake_nvml_old)
target_compile_definitions(test_telemetry PRIVATE QM_FAKE_NVML="$<TARGET_FILE:fake_nvml>"
    QM_FAKE_NVML_OLD="$<TARGET_FILE:fake_nvml_old>")
# The longest first, so that none is left for the end; a fresh build folder knows no earlier times.
set_tests_properties(test_kernels PROPERTIES COST 100 TIMEOUT 1200)
set_tests_properties(test_run PROPERTIES COST 90)
set_tests_properties(test_engine PROPERTIES COST 80)

# Another program decodes what this one made. The sanitizers see nothing new in it, and it takes long under them.
if(NOT QM_SANITIZE)
    add_test(NAME stranger COMMAND ${CMAKE_SOURCE_DIR}/test/run_stranger.sh $<TARGET_FILE:qmark> ${CMAKE_BINARY_DIR}/test-stranger)
    set_tests_properties(stranger PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
endif()

# Every command of the README and the book, and the book's links.
if(NOT QM_SANITIZE)
    add_test(NAME docs COMMAND ${CMAKE_SOURCE_DIR}/test/run_docs.sh $<TARGET_FILE:qmark> $<TARGET_FILE:qm_make_model>
        ${CMAKE_BINARY_DIR}/test-docs)
    add_test(NAME docs_links COMMAND ${CMAKE_SOURCE_DIR}/test/docs.py links ${CMAKE_SOURCE_DIR})
    set_tests_properties(docs PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900)
endif()

# The report in a browser. Without chromium or node it is skipped; where CI=true it fails then.
if(NOT QM_SANITIZE)
    add_test(NAME report_browser COMMAND ${CMAKE_SOURCE_DIR}/test/run_report_browser.sh $<TARGET_FILE:qmark>
        $<TARGET_FILE:qm_make_results> ${CMAKE_BINARY_DIR}/test-report)
    set_tests_properties(report_browser PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900 COST 70)
endif()

# Runs that are killed at random moments; tools/kill_and_resume.sh 100 is the full use.
if(NOT QM_SANITIZE)
    add_test(NAME kill_and_resume COMMAND ${CMAKE_SOURCE_DIR}/tools/kill_and_resume.sh 3 $<TARGET_FILE:qmark>)
    set_tests_properties(kill_and_resume PROPERTIES TIMEOUT 600)
endif()

# A model that stays in its files, within memory; tools/large_model.sh 1G is the full use.
if(NOT QM_SANITIZE)
    add_test(NAME large_model COMMAND ${CMAKE_SOURCE_DIR}/tools/large_model.sh 20M pocl)
    set_tests_properties(large_model PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600
        ENVIRONMENT "QM_BUILD=${CMAKE_BINARY_DIR}")
endif()

# Manual pages and completions, in the shells themselves; a sanitizer sees nothing in them.
if(NOT QM_SANITIZE)
    add_test(NAME documents COMMAND ${CMAKE_SOURCE_DIR}/test/run_documents.sh ${CMAKE_BINARY_DIR}/man ${QM_COMPLETIONS})
    set_tests_properties(documents PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
endif()

# The live view of a run, in terminals that tmux is.
if(NOT QM_SANITIZE)
    add_test(NAME live_view COMMAND ${CMAKE_SOURCE_DIR}/test/live_view.sh $<TARGET_FILE:qmark> ${CMAKE_BINARY_DIR}/test-live-view)
    set_tests_properties(live_view PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 300)
endif()

# Exports, by readers of others.
add_test(NAME exports COMMAND ${CMAKE_SOURCE_DIR}/test/exports.py $<TARGET_FILE:qmark> ${CMAKE_SOURCE_DIR})

# Installed, packed, and started where half of a machine is missing; tools/check_package.sh --long has a bare Debian, too.
if(NOT QM_SANITIZE)
    add_test(NAME package COMMAND ${CMAKE_SOURCE_DIR}/tools/check_package.sh ${CMAKE_BINARY_DIR})
    set_tests_properties(package PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)
endif()

# What the program prints, compared with test/cli/*.expected.
add_test(NAME cli COMMAND ${CMAKE_SOURCE_DIR}/test/run_cli.sh $<TARGET_FILE:qmark>)

# No run of a test waits for ceilings, but the one that looks at them.
get_property(QM_TEST_NAMES DIRECTORY PROPERTY TESTS)
foreach(name ${QM_TEST_NAMES})
    set_property(TEST ${name} APPEND PROPERTY ENVIRONMENT QM_CEILINGS_MS=0)
endforeach()
