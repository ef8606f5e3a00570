#!/bin/sh
# The same source gives the same program: builds qmark a second time, from a copy of this tree in another folder, and compares
# the two, byte by byte.
#
#   tools/check_same_build.sh [BUILD]      BUILD: a build of type Release, build-test by default; it is brought up to date
#
# SPIR-V is taken from BUILD: glslc writes no path. Exit: 0 the same, 1 not, 2 it does not build.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
build=$(realpath -m -- "${1:-$root/build-test}") || exit 2
setting() { # setting NAME: of BUILD
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}
[ "$(setting CMAKE_BUILD_TYPE)" = Release ] || { echo "$build is no build of type Release"; exit 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/qmark-another folder-XXXXXX") || exit 2
second="$work/a build/of it"
trap 'rm -rf -- "$work"' EXIT
trap 'exit 2' HUP INT TERM

commit=$(git -C "$root" describe --always --dirty --abbrev=12 2>/dev/null)
spirv=$(setting QM_SPIRV_FROM)
# This tree as it is, without what git ignores.
# shellcheck disable=SC2016 # the inner shell expands it
(cd "$root" && git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c '
    for file in "$@"; do [ ! -f "$file" ] || printf "%s\0" "$file"; done' sh | tar -cf - --null -T -) | tar -C "$work" -xf - ||
    exit 2

build_both() {
    cmake --build "$build" --target rebuild_cache && cmake --build "$build" --target qmark &&
        cmake -S "$work" -B "$second" -G Ninja -DCMAKE_BUILD_TYPE=Release "-DQM_COMMIT=$commit" \
            "-DQM_SPIRV_FROM=${spirv:-$build/generated}" "-DCMAKE_C_COMPILER=$(setting CMAKE_C_COMPILER)" \
            "-DCMAKE_C_FLAGS=$(setting CMAKE_C_FLAGS)" &&
        cmake --build "$second" --target qmark --parallel "${QM_JOBS:-$(nproc)}"
}
if ! build_both >"$work/log" 2>&1; then
    tail -n 20 "$work/log"
    echo "it does not build"
    exit 2
fi

sha256sum "$build/qmark" "$second/qmark"
if ! cmp "$build/qmark" "$second/qmark"; then
    echo "sections that differ:"
    for section in $(readelf -SW "$build/qmark" | sed -n 's/^ *\[ *[0-9]*\] \(\.[^ ]*\).*/\1/p'); do
        for one in "$build/qmark" "$second/qmark"; do
            objcopy -O binary --only-section="$section" "$one" "$work/section" 2>/dev/null && sha256sum <"$work/section"
        done | uniq | awk -v name="$section" 'END { if (NR > 1) print "  " name }'
    done
    exit 1
fi
echo "two folders, one program"
