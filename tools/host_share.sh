#!/bin/sh
# Measures what of a run is the host's own: samples of perf over `qmark run` and all its workers, by who was at work, as
# seconds of processor time and as a share of the run's wall time.
#
#   tools/host_share.sh [DEVICE [PROFILE [ARGUMENT...]]]
#
# DEVICE as --device has it, pocl if not given; PROFILE as --profile has it, quick if not given; further arguments go to
# `qmark run`. QM_BUILD is the build folder, build by default; QM_MOST the share, in percent, above which it exits 1: 2.
#
# drivers    all libraries that are not named below, and code that was compiled at run time
# oracle     backends/reference, and the check of every kernel against it: making cases, comparing; and what they call
# scoring    core/score, and what it calls
# host       the rest of qmark with the libraries that it calls: this is the share that is held to QM_MOST
#
# The C library and the kernel do what they are called for: they count as their caller, found by unwinding the stack. Other
# work on the machine lengthens the wall time, and so makes shares smaller: best measured at rest.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
build=${QM_BUILD:-$root/build}
device=${1:-pocl} profile=${2:-quick}
[ $# -lt 1 ] || shift
[ $# -lt 1 ] || shift
command -v perf >/dev/null || { echo "host_share: perf is not here; on Debian: apt install linux-perf" >&2; exit 2; }
command -v nm >/dev/null || { echo "host_share: nm is not here; on Debian: apt install binutils" >&2; exit 2; }
[ -x "$build/qmark" ] || { echo "host_share: no $build/qmark; build it, or set QM_BUILD" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Every function of the program with the file that it is from.
find "$build/CMakeFiles/qmark_core.dir" -name '*.o' -exec nm -A --defined-only {} + |
    awk '$2 ~ /^[tTwW]$/ || $3 ~ /^[tTwW]$/ { file = $1; sub(/:[0-9a-f]*$/, "", file); sub(/.*qmark_core\.dir\//, "", file)
         sub(/\.o$/, "", file); print $NF, file }' >"$work/functions"

begin=$(date +%s.%N)
perf record -q -e task-clock -F 199 --call-graph dwarf,4096 -o "$work/perf.data" -- \
    "$build/qmark" run --device "$device" --profile "$profile" --out "$work/out" "$@" >"$work/log" 2>&1 || {
    tail -n 5 "$work/log" >&2
    exit 2
}
end=$(date +%s.%N)
# Without --no-inline perf asks addr2line for every address of every frame: minutes for nothing that is read here.
perf script --no-inline -i "$work/perf.data" -F ip,sym,dso 2>/dev/null >"$work/script"

awk -v begin="$begin" -v end="$end" -v most="${QM_MOST:-2}" '
function library(dso) { n = split(dso, parts, "/"); return parts[n] }
function is_system(name) { return name ~ /^(libc\.so|libc-|libpthread|libm\.so|ld-linux|\[kernel|\[vdso|\[vsyscall|librt|libdl)/ }
# Whose libraries: those that qmark itself is linked with.
function is_ours(name) { return name ~ /^(qmark|libjansson|libsodium|libuv|libyaml|libsqlite3|libpcre2|libutf8proc)/ }
function finish(    i, name, who, file, place) {
    if (depth == 0) return
    ++samples
    who = ""; place = ""
    for (i = 0; i < depth && who == ""; ++i) {
        name = library(dsos[i])
        if (is_system(name)) continue
        if (!is_ours(name)) { who = "drivers"; place = name ~ /^(lib|qm|pocl)/ ? name : "code compiled at run time" }
        else who = "host"
    }
    if (who == "") { who = "unknown"; place = library(dsos[0]) }
    if (who == "host") {
        for (i = 0; i < depth; ++i) {
            file = library(dsos[i]) == "qmark" ? files[symbols[i]] : ""
            if (file == "" ) continue
            if (place == "") place = file
            if (file ~ /backends\/reference\/|core\/bench\/kernel_(cases|check|problem)/) { who = "oracle"; break }
            if (file ~ /core\/score\//) { who = "scoring"; break }
        }
        if (place == "") place = library(dsos[0])
    }
    ++count[who]; ++where[who "\t" place]
    depth = 0
}
FNR == NR { files[$1] = $2; next }
/^$/ { finish(); next }
{
    dso = $NF; gsub(/[()]/, "", dso)
    symbol = $2; sub(/\.(isra|part|constprop|avx|lto).*/, "", symbol)
    dsos[depth] = dso; symbols[depth] = symbol; ++depth
}
END {
    finish()
    wall = end - begin
    printf "wall %.1f s, %d samples at 199 Hz: %.1f s of processor time\n", wall, samples, samples / 199
    m = split("drivers oracle scoring host unknown", order, " ")
    for (i = 1; i <= m; ++i) {
        who = order[i]
        printf "%-8s %8.2f s  %6.2f %% of the wall time, %6.2f %% of the processor time\n", who, count[who] / 199,
               100 * count[who] / 199 / wall, 100 * count[who] / samples
    }
    print ""
    for (key in where) {
        split(key, two, "\t")
        if (two[1] != "drivers" && where[key] > 1) printf "  %-8s %6.3f s  %s\n", two[1], where[key] / 199, two[2] | "sort -k1,1 -k2,2nr"
    }
    close("sort -k1,1 -k2,2nr")
    share = 100 * count["host"] / 199 / wall
    if (share > most) { printf "the host takes %.2f %%, more than %s\n", share, most; exit 1 }
    printf "the host takes %.2f %% (at most %s)\n", share, most
}' "$work/functions" "$work/script"
