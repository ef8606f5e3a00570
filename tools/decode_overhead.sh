#!/bin/sh
# Measures what a decode pass costs beyond its kernels: the whole pass as a run times it, beside the sum of its kernels, each
# timed on its own (test/decode_overhead.c), for a synthetic model of a size that is asked for, in w4a16-g32 and f16.
#
#   tools/decode_overhead.sh [PARAMETERS [DEVICE [ROUNDS [SCHEME...]]]]
#
# PARAMETERS: thousands, millions and thousand millions as 20M or 1G; 500M if not given. DEVICE as --device has it; pocl if not
# given. QM_BUILD is the build folder, build by default; QM_KEEP a directory for the model, which then stays.
#
# Exit 1 where the whole takes more than 1.10 times the sum. On a processor nothing else should run meanwhile.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
build=${QM_BUILD:-$root/build}
asked=${1:-500M} device=${2:-pocl}
[ $# -lt 1 ] || shift
[ $# -lt 1 ] || shift
[ $# -gt 0 ] || set -- 7
# shellcheck source=tools/synthetic_model.sh
. "$root/tools/synthetic_model.sh"

cmake --build "$build" --target qm_make_model qm_decode_overhead >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=${QM_KEEP:-$work/model}
synthetic_model "$build" "$model" "$asked"
TMPDIR=$work "$build/qm_decode_overhead" "$model" "$device" "$@"
