#!/bin/sh
# What is installed, and what is packed, works: in any folder, in a bare Debian 12, and where half of a machine is missing.
#
#   tools/check_package.sh [BUILD]              brief, some 30 s: installs BUILD (build-test by default) under a prefix and
#                                               moves it; packs a .deb and a tarball, reads them, has lintian read them; starts
#                                               the program in a root without loader, driver, /proc, home or a place to write
#   tools/check_package.sh --long BUILD DIR     then makes DIR a bare Debian 12 (debootstrap; DIR.tar keeps it as it was when
#                                               new), installs the .deb there without and with what it recommends, measures
#                                               with the profile quick on software drivers, and purges it. Half an hour.
#
# Root is needed for the bare places. Exit: 0 all holds, 1 something does not, 77 a tool is missing (the last line says
# which; with CI=true a tool's lack is a failure), 2 it could not be tried.
set -u

repository=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
# shellcheck source=tools/bare_root.sh
. "$repository/tools/bare_root.sh"

fail() {
    echo "check_package: $*" >&2
    exit 2
}

self=$repository/tools/check_package.sh
is_long=
[ "${1-}" != --long ] || is_long=yes
[ -z "$is_long" ] || [ $# -eq 3 ] || fail "usage: tools/check_package.sh --long BUILD DIR"
[ "$(id -u)" -ne 0 ] || bare_root_apart "$self" "$@"
[ -z "$is_long" ] || shift
build=$(realpath -- "${1:-$repository/build-test}") || exit 2
[ -x "$build/qmark" ] || fail "$build/qmark is not built"
version=$("$build/qmark" --version | sed -n '1s/^qmark \([0-9.]*\).*/\1/p')
stated=$(sed -n 's/^project(qmark VERSION \([0-9.]*\) .*/\1/p' "$repository/CMakeLists.txt") # its one place
work=$(mktemp -d "${TMPDIR:-/tmp}/qmark-package-XXXXXX") || exit 2
trap 'umount "$work/bare" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT
trap 'exit 2' HUP INT TERM
unset QM_DATA_DIR QM_CACHE_DIR XDG_CACHE_HOME XDG_DATA_HOME
export HOME="$work/home" XDG_DATA_DIRS="$work/none"
mkdir "$work/home"
cd / || exit 2

failed=0
begin=$(date +%s)

good() {
    printf '%4s s  %s\n' $(($(date +%s) - begin)) "$*"
}

bad() {
    printf '%4s s  FAILED: %s\n' $(($(date +%s) - begin)) "$*"
    failed=1
}

# expect WHAT STATUS PATTERN COMMAND...: the exit status, and a line of what it prints.
expect() {
    what=$1
    wanted=$2
    pattern=$3
    shift 3
    "$@" >"$work/output" 2>&1 </dev/null
    got=$?
    if [ "$got" -eq "$wanted" ] && grep -qE -e "$pattern" "$work/output"; then
        good "$what"
    else
        bad "$what: exit $got, not $wanted, or no line with '$pattern'; it printed:"
        tail -n 15 "$work/output" | cut -c 1-300 | sed 's/^/        | /'
    fi
}

skipped=
is_root=
need() { # need PROGRAM
    command -v "$1" >/dev/null 2>&1 && return 0
    echo "$1 is not installed"
    skipped="$skipped $1"
    return 1
}

if [ "$version" = "$stated" ] && grep -q "^## $version" "$repository/CHANGELOG.md"; then
    good "the program is of version $version, as CMakeLists.txt states, and CHANGELOG.md has it"
else
    bad "CMakeLists.txt states version '$stated', the program '$version'; or CHANGELOG.md has no '## $stated'"
fi

# ---- under a prefix ----

finds_data='^schemes of '
cmake --install "$build" --prefix "$work/prefix" >"$work/install.log" 2>&1 || { tail -n 5 "$work/install.log"; bad "cmake --install"; }
for file in bin/qmark share/qmark/profiles/quick.yaml share/qmark/profiles/kernels/llm-shapes.yaml \
    share/qmark/models/qmark-3m/model.safetensors share/doc/qmark/README.md share/doc/qmark/docs/METHOD.md \
    share/doc/qmark/LICENSE share/doc/qmark/CHANGELOG.md; do
    [ -s "$work/prefix/$file" ] || bad "cmake --install does not install $file"
done
expect "installed under a prefix, the program finds its model and profiles" 0 "$finds_data" \
    "$work/prefix/bin/qmark" model built-in --profile standard --device reference
mv "$work/prefix" "$work/moved"
ln -s "$work/moved/bin/qmark" "$work/link"
expect "the prefix may be moved, and the program started through a link" 0 "$finds_data" \
    "$work/link" model built-in --profile standard --device reference
expect "a name that is no profile's is refused" 2 "no profile is called 'nothing'" \
    "$work/moved/bin/qmark" run --profile nothing --out "$work/out"
mkdir "$work/alone" && cp "$work/moved/bin/qmark" "$work/alone/"
expect "a program copied elsewhere says that its data are missing" 2 'profiles and the model that come with qmark were not' \
    "$work/alone/qmark" run --profile quick --out "$work/out"
expect "so do kernels" 2 'profiles and the model that come with qmark were not' \
    "$work/alone/qmark" kernels --device reference
expect "it finds those of an installation" 0 "$finds_data" \
    env XDG_DATA_DIRS="$work/none:$work/moved/share" "$work/alone/qmark" model built-in --device reference

# ---- packages ----

deb=
if need dpkg-shlibdeps && need dpkg-deb; then
    SOURCE_DATE_EPOCH=$(git -C "$repository" log -1 --format=%ct 2>/dev/null || echo 1)
    export SOURCE_DATE_EPOCH
    if cpack --config "$build/CPackConfig.cmake" -G 'DEB;TGZ' -B "$work/packages" >"$work/cpack.log" 2>&1; then
        good "cpack makes $(cd "$work/packages" && echo *.deb *.tar.gz)"
    else
        tail -n 10 "$work/cpack.log"
        bad "cpack"
    fi
    for deb in "$work"/packages/*.deb; do :; done
    for tarball in "$work"/packages/*.tar.gz; do :; done
    field() {
        dpkg-deb -f "$deb" "$1"
    }
    case $(field Version) in
    "$version"-*) good "the .deb is of version $version, as the program says" ;;
    *) bad "the .deb is of version $(field Version), the program of '$version'" ;;
    esac
    expect "it depends on libraries ($(field Depends))" 0 'libc6 .*libyaml' field Depends
    if field Depends | grep -qiE 'vulkan|opencl|mesa|pocl'; then
        bad "a loader or driver is required"
    fi
    expect "it recommends loaders and drivers" 0 'libvulkan1.*ocl-icd-libopencl1.*vulkan-icd.*opencl-icd' field Recommends
    if dpkg-deb -c "$deb" | awk '$2 != "root/root" { print; wrong = 1 } END { exit !wrong }'; then
        bad "files in it that are not root's"
    fi
    if need lintian; then
        if lintian --allow-root --fail-on error,warning "$deb" >"$work/lintian" 2>&1; then
            good "lintian finds no error and no warning"
        else
            bad "lintian:"
        fi
        sed 's/^/        | /' "$work/lintian"
    fi
    mkdir "$work/tarball"
    tar -C "$work/tarball" -xzf "$tarball"
    for unpacked in "$work"/tarball/*; do :; done
    expect "the tarball unpacks to a program that finds its data" 0 "$finds_data" \
        "$unpacked/bin/qmark" model built-in --device reference
fi

# ---- a machine that lacks nearly everything ----

# The program, its data and the libraries that it is linked with: no loader, no driver, no /proc, no /dev, no /tmp, no
# accounts and so no home, no shell.
bare=$work/bare
in_bare() { # in_bare VARIABLE=VALUE... -- ARGUMENT...
    chroot "$bare" /bin/env -i "$@"
}
if [ "$(id -u)" -eq 0 ]; then
    mkdir -p "$bare/bin" "$bare/srv"
    cp -R "$work/moved/." "$bare/usr" && cp "$(command -v env)" "$bare/bin/env"
    for library in $(ldd "$build/qmark" "$bare/bin/env" | sed -n 's/^.*[ \t]\(\/[^ ]*\) (.*/\1/p' | sort -u); do
        mkdir -p "$bare${library%/*}" && cp -L "$library" "$bare$library"
    done
    q=/usr/bin/qmark
    expect "without anything: help" 0 'measure|run' in_bare "$q" help
    expect "without loaders: devices lists the reference and says what is missing" 3 'no Vulkan loader: libvulkan.so.1' \
        in_bare "$q" devices
    expect "without loaders: devices --check says how to repair it" 3 'to repair: apt install libvulkan1' in_bare "$q" devices --check
    expect "without a home: what needs none works" 0 "$finds_data" in_bare "$q" model built-in --device reference
    expect "without a home or /tmp: a run says where it may not write, and what to set" 2 'QM_CACHE_DIR' \
        in_bare "$q" run --device reference --scheme f32 --out /srv/out
    expect "without a home: the history says what to set" 2 'XDG_DATA_HOME|--db' in_bare "$q" history list
    mkdir "$bare/tmp" && chmod 1777 "$bare/tmp"
    expect "without a home: a run keeps its cache in /tmp and says so" 0 'note: .*/tmp/qmark-cache-0' \
        in_bare QM_CEILINGS_MS=0 "$q" kernels --device reference --kernel rmsnorm --print table --row-ms 1
    mount --bind "$bare" "$bare" && mount -o remount,bind,ro "$bare" && {
        expect "read-only: what writes nothing works" 0 "$finds_data" in_bare HOME=/srv "$q" model built-in --device reference
        expect "read-only: a run says what cannot be written" 2 '[Rr]ead-only file system' \
            in_bare HOME=/srv "$q" run --device reference --scheme f32 --out /srv/out
        umount "$bare"
    }
else
    echo "not root: nothing was tried in a bare place"
    is_root=no
fi

# ---- a bare Debian 12 ----

check_debian() {
    dir=$1
    export QM_BARE_HOME=/root
    bare_root_make "$dir" ''
    bare_root_open "$dir"
    cp "$deb" "$dir/root/qmark.deb"
    apt="apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0"
    expect "bare Debian 12: apt's lists" 0 . bare_root_run "$dir" "$apt update"
    # What apt and dpkg keep of their own work is not the package's.
    kept='^\./(proc|sys|dev|run|tmp|root|var/(cache|log|lib/(apt|dpkg)|backups)|etc/ld\.so\.cache)(/|$)'
    files() {
        (cd "$dir" && find . -xdev ! -path './proc/*' ! -path './sys/*' ! -path './dev/*' | grep -vE "$kept" | sort)
    }
    files >"$work/before"
    expect "the .deb installs alone" 0 'Setting up qmark' \
        bare_root_run "$dir" "DEBIAN_FRONTEND=noninteractive $apt install --no-install-recommends /root/qmark.deb"
    expect "the program starts" 0 "$version" bare_root_run "$dir" 'qmark --version'
    expect "it says that there is no loader" 3 'no Vulkan loader' bare_root_run "$dir" 'qmark devices --check'
    expect "apt purge" 0 'Purging|Removing qmark' \
        bare_root_run "$dir" "DEBIAN_FRONTEND=noninteractive $apt purge qmark && DEBIAN_FRONTEND=noninteractive $apt autoremove --purge"
    files >"$work/after"
    if diff "$work/before" "$work/after" >"$work/left"; then
        good "apt purge leaves nothing: the same $(wc -l <"$work/after") files as before"
    else
        bad "apt purge leaves: $(head -n 5 "$work/left")"
    fi
    expect "the .deb installs with what it recommends" 0 'Setting up qmark' \
        bare_root_run "$dir" "DEBIAN_FRONTEND=noninteractive $apt install /root/qmark.deb"
    expect "devices: lavapipe and PoCL" 0 'llvmpipe' bare_root_run "$dir" 'qmark devices'
    sed 's/^/        | /' "$work/output"
    expect "qmark run --profile quick" 0 'w8a8' bare_root_run "$dir" 'cd /root && qmark run --profile quick --progress none'
    sed 's/^/        | /' "$work/output"
    expect "its results verify" 0 . bare_root_run "$dir" 'cd /root && qmark verify qmark-results/*.yaml'
    expect "apt purge after use" 0 'Purging|Removing qmark' \
        bare_root_run "$dir" "DEBIAN_FRONTEND=noninteractive $apt purge qmark"
    (cd "$dir" && find . -xdev -name '*qmark*' | grep -vE '^\./(root|\.qmark-bare-root)(/|$)') >"$work/left"
    if [ -s "$work/left" ]; then
        bad "apt purge leaves: $(head -n 5 "$work/left")"
    else
        good "no file of qmark is left but what the user's home has: $(cd "$dir/root" && find . -maxdepth 2 -name '*qmark*' | tr '\n' ' ')"
    fi
    expect "dpkg knows no qmark" 1 'no packages found|not installed' bare_root_run "$dir" 'dpkg -l qmark'
}
if [ -n "$is_long" ]; then
    [ -n "$deb" ] || fail "no .deb was made"
    command -v debootstrap >/dev/null 2>&1 || fail "debootstrap is not installed"
    check_debian "$(realpath -m -- "$2")"
fi

[ "$failed" -eq 0 ] || exit 1
if [ -n "$skipped" ]; then
    echo "the rest holds; left out for want of:$skipped"
    [ "${CI-}" != true ] || exit 1
    exit 77
fi
if [ -n "$is_root" ]; then
    echo "the rest holds; left out for want of root: the bare places"
    exit 77
fi
good "all holds"
