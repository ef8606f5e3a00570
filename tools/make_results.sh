#!/bin/bash
# Makes the reference results of the software drivers, as results/NAME/, and the report of them.
#
#   tools/make_results.sh NAME [PROFILE [DRIVER ...]]      standard, and pocl lavapipe swiftshader rusticl, if not given
#
# results/NAME must not be there: what was published is never written again. Drivers run one after another, on a machine
# that should do nothing else; standard takes hours on the slower two. What was interrupted goes on when the same is called
# again (while results/NAME.part is there). QM_RESULTS_PROGRAM=FILE takes that program in place of ./qmark.
set -eu
root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
name=$1 profile=${2:-standard}
shift $(($# < 2 ? $# : 2))
drivers=("$@")
[ ${#drivers[@]} -gt 0 ] || drivers=(pocl lavapipe swiftshader rusticl)
case $name in '' | */* | .*) echo "a name of a folder, not '$name'" >&2; exit 2 ;; esac
program=${QM_RESULTS_PROGRAM:-$root/qmark}
folder=$root/results/$name part=$root/results/$name.part
[ ! -e "$folder" ] || { echo "$folder is there: published results are never written again; take another name" >&2; exit 2; }
mkdir -p "$part"

# Drivers as the tests find them (test/run has the reasons): SwiftShader's manifest lies where no loader looks. A GPU in the
# machine stays out of it.
export NODEVICE_SELECT=1 RUSTICL_ENABLE=llvmpipe
manifests=
for manifest in /usr/share/vulkan/icd.d/lvp_icd.*json /usr/lib/chromium/vk_swiftshader_icd.json; do
    [ ! -e "$manifest" ] || manifests=${manifests:+$manifests:}$manifest
done
[ -z "$manifests" ] || export VK_DRIVER_FILES="$manifests" VK_ICD_FILENAMES="$manifests"
for driver in "${drivers[@]}"; do
    out=$part/$driver
    # What is to be run stands in the journal: --resume measures what is missing of it, and nothing else.
    arguments=(--profile "$profile" --device "$driver")
    [ ! -e "$out/qmark-journal.jsonl" ] || arguments=(--resume)
    status=0
    "$program" run "${arguments[@]}" --out "$out" >"$part/$driver.txt" || status=$?
    if [ $status -ne 0 ]; then
        echo "$driver: exit code $status; nothing is published before all is well, see $part/$driver.txt" >&2
        exit $status
    fi
    # The table from the result, not from the run: one that was resumed with nothing left to measure prints none.
    "$program" show "$out"/*.yaml >"$part/$driver.txt"
    echo "$driver: done"
done

# Every summary follows from its samples, or nothing is published.
"$program" verify "$part"/*/*.yaml
{
    echo "Made by tools/make_results.sh $name $profile ${drivers[*]}"
    echo "on $(date -u '+%Y-%m-%d'), of commit $(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown), $("$program" --version)"
    echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) of it"
    echo
    echo "The report: qmark report results/$name -o results/$name/report.html"
    echo
    (cd "$part" && sha256sum -- */*.yaml */*.safetensors)
} >"$part/MADE.txt"
rm -f "$part"/*/qmark-journal.jsonl "$part"/*/qmark.lock
mapfile -t results < <(ls "$part"/*/*.yaml)
if "$program" help report >/dev/null 2>&1; then
    "$program" report "${results[@]}" -o "$part/report.html"
else
    echo "no report: this build has no verb 'report'" >&2
fi
mv "$part" "$folder"
echo "written to $folder"
