#!/bin/bash
# The manual pages are good mdoc, and the completions complete in the three shells.
#
#   test/run_documents.sh MAN COMPLETIONS
#
# MAN holds man1/, COMPLETIONS the files that the build made. What is not installed is skipped; nothing at all: exit 77. With
# CI=true everything must be there.
# shellcheck disable=SC2317 # functions are called by name
set -u
here=$(realpath "$(dirname "$0")") man=$(realpath "$1") completions=$(realpath "$2")
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
mkdir out zsh && touch result.yaml out/inner.yaml zsh/result.yaml && mkdir zsh/out
failed=0 tried=0

there() { # there PROGRAM
    command -v "$1" >/dev/null && tried=$((tried + 1)) && return 0
    echo "skipped: $1 is not installed"
    [ "${CI:-}" = true ] && failed=1
    return 1
}

expect() { # expect WHERE LINE WANTED ANSWER: each of the wanted words is a line of the answer, and none of those after "not"
    local wanted=1 word
    for word in $3; do
        [ "$word" = not ] && wanted=0 && continue
        if [ "$(grep -cxF -- "$word" <<<"$4")" -gt 0 ] && [ $wanted = 0 ]; then
            echo "FAILED: $1: '$2' offers $word"
            failed=1
        elif [ "$(grep -cxF -- "$word" <<<"$4")" = 0 ] && [ $wanted = 1 ]; then
            echo "FAILED: $1: '$2' does not offer $word, but: ${4//$'\n'/ }"
            failed=1
        fi
    done
}

# Command lines and what is offered at their end.
cases() { # cases SHELL FUNCTION
    "$2" "qmark " | expect_lines "$1" "qmark " "run show history compare not progress"
    "$2" "qmark com" | expect_lines "$1" "qmark com" "compare not run"
    "$2" "qmark run --pro" | expect_lines "$1" "qmark run --pro" "--profile --progress not --points"
    "$2" "qmark run --progress " | expect_lines "$1" "qmark run --progress " "text none json not result.yaml"
    "$2" "qmark run --out " | expect_lines "$1" "qmark run --out " "out not result.yaml"
    "$2" "qmark show " | expect_lines "$1" "qmark show " "result.yaml not run"
    "$2" "qmark history " | expect_lines "$1" "qmark history " "add list trend baseline not result.yaml"
    "$2" "qmark history trend --ph" | expect_lines "$1" "qmark history trend --ph" "--phase not --db"
    "$2" "qmark history trend --phase " | expect_lines "$1" "qmark history trend --phase " "prefill decode not text"
    "$2" "qmark help ru" | expect_lines "$1" "qmark help ru" "run not show"
}

expect_lines() { # expect_lines WHERE LINE WANTED: of standard input
    local answer
    answer=$(sed 's#/$##')
    expect "$1" "$2" "$3" "$answer"
    [ $failed = 0 ] || touch "$scratch/failed"
}

ask_bash() {
    bash --norc --noprofile -c '
        source "$1/qmark"
        read -ra COMP_WORDS <<<"$2"
        [ "${2% }" = "$2" ] || COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _qmark
        printf "%s\n" "${COMPREPLY[@]}"' bash "$completions" "$1"
}

ask_fish() {
    HOME=$scratch fish --no-config -c "source '$completions/qmark.fish'; complete -C '$1'" | cut -f 1
}

ask_zsh() {
    zsh -f "$here/complete.zsh" "$completions" "$scratch/zsh" "$1" 2>/dev/null
}

if there mandoc; then
    # That a page which this one names is installed is no matter of its text; it must be beside it.
    mandoc -Tlint "$man"/man1/*.1 >lint
    if grep -v 'referenced manual not found' lint; then
        echo "FAILED: mandoc -Tlint"
        failed=1
    fi
    sed -n 's/^\(\.It \)*\.*Xr \([a-z-]*\) 1.*/\2/p' "$man"/man1/*.1 | sort -u | while read -r page; do
        [ -e "$man/man1/$page.1" ] || { echo "FAILED: no page $page"; touch failed; }
    done
    mandoc -Tascii "$man/man1/qmark-run.1" | sed 's/.\x08//g' | grep -q -- '--profile NAME' || { echo "FAILED: qmark-run.1"; failed=1; }
fi
if there shellcheck; then
    shellcheck "$completions/qmark" || failed=1
fi
there bash && cases bash ask_bash
there fish && cases fish ask_fish
there zsh && cases zsh ask_zsh
[ -e failed ] && failed=1
[ $tried = 0 ] && exit 77
[ $failed = 0 ] && echo "manual pages and completions are good"
exit $failed
