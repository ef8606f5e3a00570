#!/bin/bash
# The live view of `run` in real terminals: no line is broken or longer than the terminal, it is redrawn in place, a change of
# width does not leave pieces behind, and after Ctrl-C the terminal is as it was.
#
#   test/live_view.sh QMARK FOLDER
#
# tmux is the terminal; without it: exit 77, and a failure with CI=true.
set -u
export LC_ALL=C.UTF-8 # in which a character counts once
qmark=$(realpath -e "$1") || exit 1
root=$(realpath "$(dirname "$0")/..")
mkdir -p "$2" && folder=$(realpath "$2") || exit 1
if ! command -v tmux >/dev/null; then
    echo "skipped: tmux is not installed"
    [ "${CI:-}" = true ] && exit 1
    exit 77
fi
socket=qmark-test-$$ sessions=0
failed=0
tmux_() { tmux -L "$socket" -f /dev/null "$@"; }
trap 'tmux_ kill-server 2>/dev/null; rm -rf "$folder/out"' EXIT

cat >"$folder/profile.yaml" <<END
extends: $root/profiles/quick.yaml
schema: 1
name: view
title: for the live view
schemes: [f16, w8a8]
evaluation: {windows: 2, window_tokens: 16, scored_tokens: 2}
calibration: {windows: 2, window_tokens: 16}
prefill: [{batch: 1, prompt: 16}]
decode: [{batch: 1, depth: 8, steps: 1}]
timing: {warmup: 0, repeats: 3, seconds: 0}
sustained: {phase: decode, seconds: 40000, cool_down_s: 0}
bootstrap: {resamples: 99}
END

fail() {
    echo "FAILED: $1"
    tmux_ capture-pane -p -t view | sed 's/^/    |/'
    failed=1
}

screen() { tmux_ capture-pane -p -J -t view; } # -J joins what the terminal broke

wait_for() { # wait_for PATTERN: until it is on the screen, 20 s at most
    for ((i = 0; i < 100; i++)); do
        screen | grep -q -- "$1" && return 0
        sleep 0.2
    done
    fail "'$1' did not appear"
    return 1
}

look() { # look COLUMNS: nothing is wider, and the device has one line
    local shown line
    shown=$(screen)
    while IFS= read -r line; do
        # The command, the path of the result and a message are not the view's.
        case $line in
        *profile*.yaml* | 'written to'* | 'qmark: '*) ;;
        *) [ ${#line} -le "$1" ] || fail "a line of more than $1 columns: $line" ;;
        esac
    done <<<"$shown"
    [ "$(grep -c '^reference .*%' <<<"$shown")" -le 1 ] || fail "the line was not redrawn in place"
    if grep 't/s' <<<"$shown" | grep -qv 'KL \|accuracy: not measured'; then
        fail "a speed without its accuracy"
    fi
}

begin() { # begin COLUMNS LOCALE [SETTING]
    tmux_ kill-server 2>/dev/null
    sessions=$((sessions + 1)) socket=qmark-test-$$-$sessions
    tmux_ new-session -d -s view -x "$1" -y 20 "env -i PATH='$PATH' HOME='$folder' TERM=screen LC_ALL=$2 ${3:-} PS1='READY ' \
        bash --norc --noprofile" || exit 1
    wait_for READY
    tmux_ send-keys -t view "stty -a >$folder/before; cd $folder; export QM_DATA_DIR=$root QM_CACHE_DIR=$folder/cache QM_CEILINGS_MS=0 QM_SIMULATE=speed=0.02" Enter
    tmux_ send-keys -t view "clear" Enter
    sleep 0.3
    rm -rf "$folder/out"
    tmux_ send-keys -t view "$qmark run --profile profile.yaml --device reference --out out" Enter
}

end() { # end COLUMNS: Ctrl-C, the closing, the prompt
    tmux_ send-keys -t view C-c
    wait_for 'READY' || return
    wait_for 'goes on' || return
    look "$1"
    screen | grep -q 'reference .*%' && fail "the view was left standing"
    tmux_ send-keys -t view "stty -a >$folder/after" Enter
    sleep 0.5
    cmp -s "$folder/before" "$folder/after" || fail "the terminal's modes are others after Ctrl-C"
    [ "$(tmux_ display-message -p -t view '#{cursor_flag}')" = 1 ] || fail "the cursor is hidden after Ctrl-C"
}

# Narrow, without UTF-8, without colour.
begin 40 C NO_COLOR=1
if wait_for '^  .*KL .*t/s'; then
    first=$(screen | grep -c .)
    for ((k = 0; k < 5; k++)); do
        look 40
        screen | LC_ALL=C grep -q '[^ -~]' && fail "more than ASCII"
        sleep 0.3
    done
    [ "$(screen | grep -c .)" -le "$first" ] || fail "the view grew"
    tmux_ capture-pane -p -e -t view | grep '%' | grep -q $'\033' && fail "colour in spite of NO_COLOR"
    # A terminal that becomes wider and narrower while it is drawn.
    tmux_ resize-window -t view -x 100
    sleep 0.5
    look 100
    tmux_ resize-window -t view -x 50
    sleep 0.7
    look 50
    tmux_ resize-window -t view -x 40
    sleep 0.7
    look 40
fi
end 40

# Wide, UTF-8, colour.
begin 120 C.UTF-8
if wait_for 'sustaining .*KL .*t/s'; then
    look 120
    screen | grep -q '█\|░' || fail "no blocks in UTF-8"
    tmux_ capture-pane -p -e -t view | grep '%' | grep -q $'\033' || fail "no colour"
fi
end 120

# A terminal that cannot move its cursor gets lines, as a pipe does.
sed 's/^sustained: .*/sustained: {phase: none}/' "$folder/profile.yaml" >"$folder/short.yaml"
TERM=dumb QM_DATA_DIR=$root QM_CACHE_DIR=$folder/cache QM_CEILINGS_MS=0 QM_SIMULATE=speed=0.02 python3 "$root/test/in_terminal.py" \
    80 24 "$qmark" run --profile "$folder/short.yaml" --device reference --out "$folder/out" >"$folder/dumb" 2>&1 ||
    fail "a run in a dumb terminal"
grep -q $'\033' "$folder/dumb" && fail "escapes for a dumb terminal"
grep -q '^   *[0-9]* %  ' "$folder/dumb" || fail "no progress in a dumb terminal"
[ $failed = 0 ] && echo "the live view is whole at 40, 50, 100 and 120 columns"
exit $failed
