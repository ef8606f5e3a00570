# Read by cpack for each kind of package. A .deb has Debian's copyright and changelogs in place of ours, and lies in /usr; a
# tarball unpacks to one folder that works wherever it is put.
if(CPACK_GENERATOR STREQUAL "DEB")
    list(GET CPACK_INSTALL_CMAKE_PROJECTS 0 build)
    set(CPACK_INSTALL_CMAKE_PROJECTS "${build};qmark;Unspecified;/;${build};qmark;debian;/")
else()
    set(CPACK_PACKAGING_INSTALL_PREFIX "")
endif()
