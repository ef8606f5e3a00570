#!/bin/sh
# Checks that every calibrator and encoder gives the same files whatever builds and runs it: gcc and clang here with one thread
# and with several, gcc for aarch64 under qemu-user, where it takes longest, with several. Compares what test/identity.c prints.
#
#   tools/check_identity.sh [BUILD]      BUILD: the folder for the three builds; build-identity by default
#
# Exit: 0 all the same, 1 something differs or does not build, 77 a compiler or library is missing and cannot be
# installed; with CI=true that is a failure, too.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
build=${1:-$root/build-identity}
list=$root/test/data/identity_schemes.txt
cross_packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libjansson-dev:arm64 libsodium-dev:arm64 \
libyaml-dev:arm64 libuv1-dev:arm64 libsqlite3-dev:arm64 libpcre2-dev:arm64 \
libutf8proc-dev:arm64"
mkdir -p "$build" || exit 2

skip() { # skip REASON
    echo "$1"
    [ "${CI-}" != true ] || exit 1
    exit 77
}

cross_is_there() {
    command -v aarch64-linux-gnu-gcc >/dev/null 2>&1 && command -v qemu-aarch64 >/dev/null 2>&1 || return 1
    for library in jansson sodium yaml uv sqlite3 pcre2-8 utf8proc; do
        [ -e "/usr/lib/aarch64-linux-gnu/lib$library.so" ] || return 1
    done
}

# Another architecture's packages need its lists, which `dpkg --add-architecture` alone does not fetch.
install_cross() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" -eq 0 ] || return 1
    dpkg --add-architecture arm64 && apt-get -q -o DPkg::Lock::Timeout=600 update || return 1
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends \
        $cross_packages
}

command -v clang >/dev/null 2>&1 || skip "clang is not installed"
command -v gcc >/dev/null 2>&1 || skip "gcc is not installed"
cross_is_there || install_cross >"$build/install.log" 2>&1
cross_is_there || skip "no cross compiler, emulator or libraries for aarch64 ($build/install.log); as root: dpkg --add-architecture arm64; apt-get update; apt-get install $cross_packages"

# One thread cannot show what a split does, so there are at least three, and a number that divides nothing evenly.
many=$(nproc)
[ "$many" -gt 2 ] || many=3

try() { # try NAME THREADS: writes NAME-THREADS.txt; what fails leaves no such file
    tried=$build/$1-$2.txt
    emulator=
    [ "$1" != aarch64 ] || emulator=qemu-aarch64
    rm -f "$tried"
    # shellcheck disable=SC2086 # no emulator, no word
    QM_THREADS=$2 $emulator "$build/$1/qm_identity" "$list" >"$tried.part" && mv "$tried.part" "$tried"
}

for name in gcc clang aarch64; do
    compiler=-DCMAKE_C_COMPILER=$name
    [ "$name" != aarch64 ] || compiler=-DCMAKE_TOOLCHAIN_FILE=$root/cmake/aarch64.cmake
    if ! { cmake -S "$root" -B "$build/$name" -G Ninja -DCMAKE_BUILD_TYPE=Release "$compiler" \
        "-DQM_SPIRV_FROM=${QM_SPIRV_FROM-}" &&
        cmake --build "$build/$name" --target qm_identity --parallel; } >"$build/$name.log" 2>&1; then
        tail -n 20 "$build/$name.log"
        echo "$name: it does not build"
        exit 1
    fi
done

try aarch64 "$many" &
for name in gcc clang; do
    try "$name" 1
    try "$name" "$many"
done
wait

differs=
for name in gcc clang aarch64; do
    for threads in 1 "$many"; do
        if [ "$name-$threads" = aarch64-1 ]; then
            continue
        elif [ ! -e "$build/$name-$threads.txt" ]; then
            echo "$name with $threads threads: it failed"
            differs=yes
        elif ! diff "$build/gcc-1.txt" "$build/$name-$threads.txt"; then
            echo "$name with $threads threads: the lines marked > are not those of gcc with 1 thread, marked <"
            differs=yes
        fi
    done
done

[ -z "$differs" ] || exit 1
schemes=$(wc -l <"$build/gcc-1.txt")
[ "$schemes" -gt 0 ] || { echo "no scheme was tried"; exit 1; }
cat "$build/gcc-1.txt"
echo "$schemes schemes: the same files from gcc and clang with 1 and $many threads, and gcc for aarch64 with $many"
