#!/bin/bash
# Runs every test/cli/NAME.sh against the program and compares what it prints with NAME.expected.
#
#   test/run_cli.sh BINARY [NAME...]
#
# A script has $QMARK (the program), $DATA (test/data) and an empty directory of its own as the current one. It calls
# `qm ARGUMENTS...`, which prints the command, both streams and the exit code. QM_UPDATE=1 writes the expectations anew.
set -u
binary=$(realpath -e "$1") || exit 1
shift
here=$(realpath "$(dirname "$0")")
export QMARK="$binary" DATA="$here/data" QM_DATA_DIR="$here/.." LC_ALL=C NO_COLOR=1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
export XDG_CACHE_HOME="$scratch/cache" HOME="$scratch/home"

# shellcheck disable=SC2317 # the scripts call it
qm() {
    echo "\$ qmark $*" | sed "s#$DATA/##g"
    # The program's name for files is what was typed, so that only the directory must be taken out.
    "$QMARK" "$@" >out 2>err </dev/null
    local code=$?
    cat out
    sed 's/^/stderr: /' err
    echo "exit code: $code"
    echo
}
export -f qm

names=("$@")
[ ${#names[@]} -eq 0 ] && for script in "$here"/cli/*.sh; do names+=("$(basename "$script" .sh)"); done
failed=0
for name in "${names[@]}"; do
    mkdir -p "$scratch/$name"
    (cd "$scratch/$name" && bash -u "$here/cli/$name.sh") 2>&1 | sed "s#$DATA/##g; s#$scratch/$name#.#g" \
        >"$scratch/$name.actual"
    expected="$here/cli/$name.expected"
    if [ "${QM_UPDATE:-0}" = 1 ]; then
        cp "$scratch/$name.actual" "$expected"
    elif ! diff -u "$expected" "$scratch/$name.actual"; then
        echo "FAILED: $name (QM_UPDATE=1 test/run_cli.sh writes the expectations anew)"
        failed=1
    fi
done
exit $failed
