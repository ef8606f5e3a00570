#!/bin/bash
# Makes the pictures of the README and the book, docs/images/*, from real results.
#
#   tools/pictures.sh RESULT...      e.g. tools/pictures.sh results/software-drivers/pocl/*.yaml
#
# Of the first result: quick.svg, what `qmark show` prints on a terminal. Of all, where this build has the verb `report`:
# report-PICTURE.svg, each of its pictures as a file of its own, and where Chromium is there report.png, the top of the page.
# A result of the simulated clock is refused: its times are made up. QM_PICTURES=DIR writes elsewhere;
# QM_PICTURES_PROGRAM=FILE takes that program in place of ./qmark.
set -eu
root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
[ $# -ge 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
program=${QM_PICTURES_PROGRAM:-$root/qmark}
images=${QM_PICTURES:-$root/docs/images}
for result in "$@"; do
    [ -e "$result" ] || { echo "$result is not there" >&2; exit 2; }
    if grep -q 'simulated clock' "$result"; then
        echo "$result: times of a simulated clock are no picture of anything" >&2
        exit 2
    fi
done
mkdir -p "$images"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# keep FILE: into the folder, whole or not at all
keep() {
    mv "$scratch/$1" "$images/$1"
    echo "$images/$1"
}

# The command stands in the picture as a reader would type it.
ln -s "$program" "$scratch/qmark"
device=$(sed -n 's/^  driver: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$1" | head -n 1)
caption="A real run (${device:-driver unknown}). Each speed stands with what it cost in accuracy."
# A driver in software says so in its result, and in the picture.
! "$program" show "$1" | grep -q '^  stand-in' ||
    caption="A real run: ${device:-a driver} on the processor, a stand-in for a GPU. Each speed stands with what it cost in accuracy."
"$root/tools/terminal_svg.py" 200 "$caption" "$scratch/qmark" show "$1" >"$scratch/quick.svg"
sed -i "s#$scratch/qmark#./qmark#g" "$scratch/quick.svg"
keep quick.svg

if ! "$program" help report >/dev/null 2>&1; then
    echo "no pictures of the report: this build has no verb 'report'"
    exit 0
fi
for picture in trade vendors sustained roofline accuracy; do
    "$program" report "$@" --only "$picture" -o "$scratch/report-$picture.svg" >/dev/null
    keep "report-$picture.svg"
done
browser=$(command -v chromium || command -v chromium-browser || true)
if [ -n "$browser" ]; then
    "$program" report "$@" -o "$scratch/report.html" >/dev/null
    "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1200,900 --force-device-scale-factor=1 \
        --user-data-dir="$scratch/browser" --screenshot="$scratch/report.png" "file://$scratch/report.html" >/dev/null 2>&1
    keep report.png
fi
