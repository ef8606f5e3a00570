# What `cmake --install` and `cpack` put where. The program finds its data at ../share/qmark from its own folder
# (qm_data_directory), so a prefix may be moved.
include(GNUInstallDirs)
set(QM_DATA share/qmark)
set(QM_DOC share/doc/qmark)
set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
    WORLD_READ WORLD_EXECUTE)

install(TARGETS qmark RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY profiles DESTINATION ${QM_DATA} FILES_MATCHING PATTERN "*.yaml")
install(DIRECTORY models/qmark-3m DESTINATION ${QM_DATA}/models PATTERN "train.log" EXCLUDE)
# Documents lie among each other as in the source tree, so that their links hold.
install(FILES README.md CONTRIBUTING.md DESTINATION ${QM_DOC})
install(DIRECTORY docs DESTINATION ${QM_DOC} PATTERN "logs" EXCLUDE)
install(FILES CHANGELOG.md DESTINATION ${QM_DOC} COMPONENT texts) # Debian has its own ways of these two
install(FILES LICENSE DESTINATION ${QM_DOC} COMPONENT texts)

# Licences of what is linked in ask that they go along.
if(QM_STATIC)
    foreach(package libyaml-dev libjansson-dev libsodium-dev libuv1-dev libsqlite3-dev libpcre2-dev libutf8proc-dev)
        if(EXISTS /usr/share/doc/${package}/copyright)
            install(FILES /usr/share/doc/${package}/copyright DESTINATION ${QM_DOC}/licences RENAME ${package}.txt)
        else()
            message(WARNING "/usr/share/doc/${package}/copyright is not here: add that library's licence to the package")
        endif()
    endforeach()
endif()

# ---- Debian's own files: in the .deb alone ----

set(QM_MAINTAINER "qmark maintainers <maintainers@qmark.example>" CACHE STRING "who is asked about the .deb: NAME <ADDRESS>")
set(QM_DEBIAN_REVISION 1 CACHE STRING "of the .deb, behind the version")
# The date of the commit, so that the same source gives the same package.
if(NOT DEFINED ENV{SOURCE_DATE_EPOCH})
    execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} log -1 --format=%ct OUTPUT_VARIABLE QM_COMMIT_TIME
        OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(QM_COMMIT_TIME)
        set(ENV{SOURCE_DATE_EPOCH} ${QM_COMMIT_TIME})
    endif()
endif()
string(TIMESTAMP QM_PACKAGE_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(cmake/debian/changelog.in ${CMAKE_BINARY_DIR}/debian/changelog.Debian @ONLY)
install(FILES cmake/debian/copyright DESTINATION ${QM_DOC} COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES cmake/debian/lintian-overrides DESTINATION share/lintian/overrides RENAME qmark COMPONENT debian
    EXCLUDE_FROM_ALL)
foreach(pair "${CMAKE_BINARY_DIR}/debian/changelog.Debian|changelog.Debian" "${CMAKE_SOURCE_DIR}/CHANGELOG.md|changelog")
    string(REPLACE "|" ";" pair "${pair}")
    list(GET pair 0 from)
    list(GET pair 1 to)
    install(CODE "
        set(to \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${QM_DOC}/${to}.gz\")
        file(MAKE_DIRECTORY \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${QM_DOC}\")
        execute_process(COMMAND gzip -9nc \"${from}\" OUTPUT_FILE \"\${to}\" RESULT_VARIABLE failed)
        if(failed)
            message(FATAL_ERROR \"gzip of ${from} failed: \${failed}\")
        endif()
        file(CHMOD \"\${to}\" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)"
        COMPONENT debian EXCLUDE_FROM_ALL)
endforeach()

# ---- packages: `cpack` in the build folder ----

set(CPACK_PACKAGE_NAME qmark)
set(CPACK_PACKAGE_VENDOR "qmark maintainers")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "benchmark of quantized models on GPUs, speed and accuracy as one")
set(CPACK_PACKAGE_DESCRIPTION "qmark times and scores one calibrated, quantized model through
OpenCL and Vulkan, on any device that has one of them, and prints no
throughput without the accuracy of the same weights, through the same
kernels, on that device. Both APIs run the same kernel source, and a
result says how everything in it was made. Loaders and drivers are
opened at run time: without them it starts and says what is missing.")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_SOURCE_DIR}/cmake/package.cmake)
if(QM_STATIC) # without the libraries of a certain Debian it is no package of Debian's
    set(CPACK_GENERATOR TGZ)
endif()
string(TOLOWER "qmark-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}" CPACK_PACKAGE_FILE_NAME)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${QM_DEBIAN_REVISION})
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${QM_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# What is opened at run time: `qmark devices --check` says what of it is missing.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libvulkan1, ocl-icd-libopencl1 | libopencl1, mesa-vulkan-drivers | vulkan-icd, pocl-opencl-icd | opencl-icd")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libopenblas0-pthread | libopenblas0")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
