# What ./qmark and ./test/run share: find what is missing, install it with the user's consent, build.
#
# Sourced by POSIX sh, so no `local`: names that a function keeps to itself start with its name. Everything here talks
# on stderr, because the caller's stdout belongs to the program that is run afterwards. The checks for packages and
# drivers start no process: they are made at every start of ./qmark, and a fork costs more than all of them.
#
# The caller sets `root` (the repository) and `assume_yes` (empty, or anything for "do not ask").
# shellcheck shell=sh disable=SC2034,SC2154

# PACKAGE|PROBE|PURPOSE. A probe looks for the thing and not for the package, so that a compiler of one's own is as good
# as Debian's and the same table serves where there is no dpkg: cmd: a program, hdr: a header, lib: a shared library,
# file: a path that may hold wildcards; alternatives are parted by commas.
packages_to_build='gcc|cmd:gcc,cc,clang|C compiler
libc6-dev|hdr:stdio.h|headers of the C library, which gcc only recommends
cmake|cmd:cmake|describes the build
ninja-build|cmd:ninja,make|runs the build
pkg-config|cmd:pkg-config|finds libraries
glslc|cmd:glslc|compiles the Vulkan kernels to SPIR-V
libyaml-dev|hdr:yaml.h|reads profiles, writes results
libjansson-dev|hdr:jansson.h|JSON: model files, --json
libsodium-dev|hdr:sodium.h|hashes and signatures
libuv1-dev|hdr:uv.h|processes, timers, files
libsqlite3-dev|hdr:sqlite3.h|the history of results
libpcre2-dev|hdr:pcre2.h|regular expressions of answers and tokenizers
libutf8proc-dev|hdr:utf8proc.h|normal forms of Unicode
libvulkan-dev|hdr:vulkan/vulkan.h|Vulkan headers
libvulkan-volk-dev|hdr:volk.h|loads Vulkan at run time
opencl-c-headers|hdr:CL/cl.h|OpenCL headers'

packages_to_run='libvulkan1|lib:libvulkan.so.1|Vulkan loader
ocl-icd-libopencl1|lib:libOpenCL.so.1|OpenCL loader'

packages_to_test='libcmocka-dev|hdr:cmocka.h|test framework
libexpat1-dev|hdr:expat.h|reads pictures as a stranger would
librsvg2-2|lib:librsvg-2.so.2|pictures as PNG
libopenblas0-pthread|lib:libopenblas.so.0|products of the fp32 reference at real sizes
mesa-vulkan-drivers|file:/usr/share/vulkan/icd.d/lvp_icd.*json|lavapipe: Vulkan on the processor
chromium-common|file:/usr/lib/chromium/vk_swiftshader_icd.json|SwiftShader: a second Vulkan on the processor
pocl-opencl-icd|lib:libpocl.so.*|PoCL: OpenCL on the processor
mesa-opencl-icd|lib:libRusticlOpenCL.so.*|rusticl: a second OpenCL on the processor
vulkan-validationlayers|file:/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json|checks our use of Vulkan
vulkan-tools|cmd:vulkaninfo|lists Vulkan devices without our help
clinfo|cmd:clinfo|lists OpenCL devices without our help
spirv-tools|cmd:spirv-val|checks the compiled kernels
clang|cmd:clang|fuzzing, and a second compiler
llvm|cmd:llvm-cov|what the fuzz targets reach
clang-format-14|cmd:clang-format-14|checks the layout of the source
clang-tidy|cmd:clang-tidy|checks the source for mistakes
shellcheck|cmd:shellcheck|checks the scripts
python3-yaml|file:/usr/lib/python3/dist-packages/yaml/__init__.py|reads results, and the workflow of the book, without our help
python3-cryptography|file:/usr/lib/python3/dist-packages/cryptography/__init__.py|checks a signature without our help
dpkg-dev|cmd:dpkg-shlibdeps|finds what a Debian package depends on
lintian|cmd:lintian|checks the Debian package
procps|cmd:pgrep|looks for workers that outlive their parent
chromium|cmd:chromium|opens the report in a test
nodejs|cmd:node|drives the browser
npm|cmd:npm|fetches playwright-core and axe-core, as test/browser/package-lock.json pins them
python3|cmd:python3|tests that decode our files as a stranger would
mandoc|cmd:mandoc|checks the manual pages
python3-markdown|file:/usr/lib/python3/dist-packages/markdown/__init__.py|reads exported Markdown
jq|cmd:jq|reads exported JSON lines
tmux|cmd:tmux|the terminal in which the live view is looked at
zsh|cmd:zsh|completions are tried in it
fish|cmd:fish|completions are tried in it'

say() {
    printf 'qmark: %s\n' "$*" >&2
}

# ---- finding ----

first_file() { # first_file PATH...: prints nothing; sets `found` to the first that exists (callers pass unquoted globs)
    for found in "$@"; do
        [ -e "$found" ] && return 0
    done
    found=
    return 1
}

probe() { # probe KIND:NAME,NAME...
    probe_kind=${1%%:*}
    probe_ifs=$IFS
    IFS=,
    # shellcheck disable=SC2086 # split at the commas on purpose
    set -- ${1#*:}
    IFS=$probe_ifs
    for probe_name in "$@"; do
        # shellcheck disable=SC2086 # expand the wildcards on purpose
        case $probe_kind in
        cmd) command -v "$probe_name" >/dev/null 2>&1 && return 0 ;;
        hdr) first_file /usr/include/$probe_name /usr/include/*-linux-*/$probe_name /usr/local/include/$probe_name \
            ${CPATH:+"$CPATH/$probe_name"} && return 0 ;;
        lib) first_file /usr/lib/*-linux-*/$probe_name /usr/lib64/$probe_name /usr/lib/$probe_name \
            /lib/*-linux-*/$probe_name /usr/local/lib/$probe_name \
            ${LD_LIBRARY_PATH:+"${LD_LIBRARY_PATH%%:*}/$probe_name"} && return 0 ;;
        file) first_file $probe_name && return 0 ;;
        esac
    done
    return 1
}

# Adds to `missing` (names) and `missing_text` (one line each, to be shown) what of the table is not here.
missing=
missing_text=
find_missing() { # find_missing TABLE
    while IFS='|' read -r find_name find_probe find_purpose; do
        probe "$find_probe" || add_missing "$find_name" "$find_purpose"
    done <<TABLE
$1
TABLE
}

declined= # packages that the user did not want; the caller may fill it
add_missing() { # add_missing PACKAGE PURPOSE
    case " $declined " in *" $1 "*) return ;; esac
    missing="$missing $1"
    missing_text="$missing_text$(printf '  %-24s %s' "$1" "$2")
"
}

# Where Vulkan's loader looks for drivers. A manifest promises no device, but its absence does promise none.
vulkan_driver_found() {
    [ -z "${VK_DRIVER_FILES-}${VK_ICD_FILENAMES-}${VK_ADD_DRIVER_FILES-}" ] || return 0
    driver_ifs=$IFS
    IFS=:
    # shellcheck disable=SC2086 # split at the colons on purpose
    set -- ${XDG_CONFIG_HOME:-${HOME-}/.config} ${XDG_CONFIG_DIRS:-/etc/xdg} /etc \
        ${XDG_DATA_HOME:-${HOME-}/.local/share} ${XDG_DATA_DIRS:-/usr/local/share:/usr/share} /usr/share
    IFS=$driver_ifs
    for driver_folder in "$@"; do
        first_file "$driver_folder"/vulkan/icd.d/*.json && return 0
    done
    return 1
}

# The same for OpenCL. An entry is one line, the library's name or path; it is configuration and stays behind when its
# package is removed, so the library is looked for as well. Mesa's two entries are there on every machine with the
# package, and have no device where there is no GPU (rusticl has none at all unless RUSTICL_ENABLE names one), so they
# count only beside a GPU's render node.
opencl_driver_found() {
    [ -z "${OCL_ICD_VENDORS-}${OCL_ICD_FILENAMES-}" ] || return 0
    for driver_file in /etc/OpenCL/vendors/*.icd; do
        case $driver_file in
        */mesa.icd | */rusticl.icd) first_file /dev/dri/renderD* && return 0 ;;
        *)
            [ -e "$driver_file" ] || continue
            IFS= read -r driver_library <"$driver_file" # its status says only whether the line has an end
            case $driver_library in
            /*) first_file "$driver_library" && return 0 ;;
            ?*) probe "lib:$driver_library" && return 0 ;;
            esac
            ;;
        esac
    done
    return 1
}

add_missing_drivers() {
    stand_ins=
    if ! vulkan_driver_found; then
        add_missing mesa-vulkan-drivers "no Vulkan driver found: lavapipe, on the processor (and Mesa's for AMD and Intel)"
        stand_ins="lavapipe"
    fi
    if ! opencl_driver_found; then
        add_missing pocl-opencl-icd "no OpenCL driver found: PoCL, on the processor"
        stand_ins="${stand_ins:+$stand_ins and }PoCL"
    fi
}

# Whether the programs that build are here; $missing may still name a library, if only because the probes do not look
# where this system keeps it.
tools_found() {
    probe cmd:gcc,cc,clang && probe cmd:cmake && probe cmd:ninja,make && probe cmd:pkg-config && probe cmd:glslc
}

# ---- installing ----

on_terminal() { # somebody can read a question and answer it
    [ -t 0 ] && [ -t 2 ]
}

confirm() { # confirm QUESTION: yes is the default
    printf 'qmark: %s [Y/n] ' "$1" >&2
    IFS= read -r confirm_answer || return 1
    case $confirm_answer in
    '' | [Yy]*) return 0 ;;
    *) return 1 ;;
    esac
}

is_debian() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1
}

apt() { # apt SUDO ARGUMENT...: unattended, and patient with another apt that is at work
    apt_sudo=$1
    shift
    # shellcheck disable=SC2086 # empty or one word
    $apt_sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 "$@"
}

apt_install() { # apt_install SUDO PACKAGE...
    install_sudo=$1
    shift
    # The lists are fetched only where there are none, or where they turn out to be too old to install from.
    first_file /var/lib/apt/lists/*_Packages* || apt "$install_sudo" update || return 1
    apt "$install_sudo" install -y --no-install-recommends "$@" && return 0
    apt "$install_sudo" update && apt "$install_sudo" install -y --no-install-recommends "$@"
}

# Installs what is in `missing`, having shown it. 0: installed, or nothing to do; 1: the user does not want it; 2: it
# cannot be done here, which has been said. $1: the log's path.
install_missing() {
    install_log=$1
    [ -n "$missing" ] || return 0
    install_command="apt-get install -y --no-install-recommends$missing"
    if ! is_debian; then
        say "not found here (the names are those of Debian 12's packages):"
        printf '%s' "$missing_text" >&2
        return 2
    fi
    say "these Debian packages are missing:"
    printf '%s' "$missing_text" >&2
    install_with=
    if [ "$(id -u)" -ne 0 ]; then
        # Becoming root is asked for even with --yes: that option speaks of the packages only.
        if ! on_terminal || ! command -v sudo >/dev/null 2>&1; then
            say "installing needs root; run this as root and start again:"
            printf '  %s\n' "$install_command" >&2
            return 2
        fi
        confirm "install them with sudo?" || return 1
        install_with=sudo
        sudo -v || return 2 # asks for the password here, where it can be seen, and not inside the log
    elif [ -z "$assume_yes" ] && on_terminal; then
        confirm "install them now?" || return 1
    fi
    # shellcheck disable=SC2086 # a list of words
    if ! with_progress "$install_log" "installing packages" apt_install "$install_with" $missing; then
        say "or by hand: $install_command"
        return 2
    fi
    missing=
    missing_text=
}

# ---- building ----

# with_progress LOG LABEL COMMAND...: runs it with its output in LOG; on a terminal one line shows the latest [n/m] of
# it, elsewhere the label is printed once. On failure the log's end and its path are shown.
#
# The command stays in the foreground, so that Ctrl-C reaches it as it should, and the line is what runs behind it.
with_progress() {
    progress_log=$1
    progress_label=$2
    shift 2
    mkdir -p "${progress_log%/*}" || return 1
    : >"$progress_log" || return 1
    progress_start=$(date +%s)
    progress_watcher=
    if [ -t 2 ]; then
        watch_progress &
        progress_watcher=$!
        trap 'kill "$progress_watcher" 2>/dev/null; echo >&2; exit 130' INT
    else
        say "$progress_label (log: $progress_log)"
    fi
    "$@" >"$progress_log" 2>&1 </dev/null
    progress_status=$?
    if [ -n "$progress_watcher" ]; then
        trap - INT
        kill "$progress_watcher" 2>/dev/null
        wait "$progress_watcher" 2>/dev/null
        printf '\r\033[K' >&2
    fi
    progress_seconds=$(($(date +%s) - progress_start))
    if [ "$progress_status" -eq 0 ]; then
        say "$progress_label: done in $progress_seconds s"
        return 0
    fi
    without_steps <"$progress_log" | tail -n 30 >&2
    say "$progress_label failed after $progress_seconds s; the whole log: $progress_log"
    return 1
}

# A build goes on for a while after the step that failed: leaves out of its log the steps that went well.
without_steps() {
    grep -vE '^\[ *[0-9]+(%|/[0-9]+)\] '
}

watch_progress() {
    while kill -0 $$ 2>/dev/null; do # $$ is the launcher, which this line must not outlive
        watch_step=$(tail -n 1 "$progress_log" | sed -n 's/^\(\[[^]]*\]\).*/ \1/p')
        printf '\r\033[Kqmark: %s%s ...' "$progress_label" "$watch_step" >&2
        sleep 0.5
    done
}

configure_and_build() { # configure_and_build DIR TARGET CMAKE-ARGUMENT...
    build_dir=$1
    build_target=$2
    shift 2
    # A cache from another place (the repository was moved or copied) cannot be used, and cmake only complains of it.
    if [ -e "$build_dir/CMakeCache.txt" ] &&
        ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$build_dir/CMakeCache.txt"; then
        rm -rf "$build_dir/CMakeCache.txt" "$build_dir/CMakeFiles"
    fi
    if [ ! -e "$build_dir/CMakeCache.txt" ] && command -v ninja >/dev/null 2>&1; then
        set -- -G Ninja "$@"
    fi
    cmake -S "$root" -B "$build_dir" "$@" && cmake --build "$build_dir" --target "$build_target" --parallel
}

# Two starts at once must not build in the same folder at once. `flock` is part of every Debian; elsewhere do without.
lock() { # lock DIR
    mkdir -p "$1" || return 1
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$1/.lock" || return 1
        flock -n 9 || { say "waiting for another build in $1" && flock 9; }
    fi
}

unlock() {
    exec 9>&-
}
