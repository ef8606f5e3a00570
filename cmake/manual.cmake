# Manual pages and completions: the program makes them from the tables that its verbs read their options by.
include(GNUInstallDirs)
set_source_files_properties(${CMAKE_SOURCE_DIR}/core/cli/manual.c PROPERTIES COMPILE_DEFINITIONS
    "QM_VERSION_DATE=\"${QM_VERSION_DATE}\"")
set(QM_MANUAL ${CMAKE_BINARY_DIR}/man/man1)
set(QM_COMPLETIONS ${CMAKE_BINARY_DIR}/completions)
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/manual.stamp
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${QM_MANUAL} ${QM_COMPLETIONS}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${QM_MANUAL} ${QM_COMPLETIONS}
    COMMAND qmark manual ${QM_MANUAL}
    COMMAND qmark completion bash > ${QM_COMPLETIONS}/qmark
    COMMAND qmark completion zsh > ${QM_COMPLETIONS}/_qmark
    COMMAND qmark completion fish > ${QM_COMPLETIONS}/qmark.fish
    COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_BINARY_DIR}/manual.stamp
    DEPENDS qmark
    COMMENT "Manual pages and completions"
    VERBATIM)
add_custom_target(qm_manual ALL DEPENDS ${CMAKE_BINARY_DIR}/manual.stamp)

install(DIRECTORY ${QM_MANUAL}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT manual)
# Debian wants its pages compressed.
install(CODE "
    set(to \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1\")
    file(MAKE_DIRECTORY \"\${to}\")
    file(GLOB pages RELATIVE \"${QM_MANUAL}\" \"${QM_MANUAL}/*.1\")
    foreach(page \${pages})
        execute_process(COMMAND gzip -9nc \"${QM_MANUAL}/\${page}\" OUTPUT_FILE \"\${to}/\${page}.gz\" RESULT_VARIABLE failed)
        if(failed)
            message(FATAL_ERROR \"gzip of \${page} failed: \${failed}\")
        endif()
        file(CHMOD \"\${to}/\${page}.gz\" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
    endforeach()"
    COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${QM_COMPLETIONS}/qmark DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${QM_COMPLETIONS}/_qmark DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${QM_COMPLETIONS}/qmark.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
