#!/bin/sh
# The release check: in a bare Debian 12 with nothing but git, the two commands of the README work from a clone,
# unattended.
#
#   tools/check_bare_root.sh DIR [COMMAND ...]
#
# DIR becomes a Debian 12 root (debootstrap --variant=minbase with git and ca-certificates) and DIR.tar keeps it as it
# was when new, so that later runs start from the same state without a download. The committed state of this repository
# is cloned into it; then each COMMAND (by default `./qmark --yes run` and `./test/run`) is run in the clone, without a
# terminal. Needs root, debootstrap and some 8 GB. Everything is logged in DIR.log. Exit: 0 when every command gave 0.
set -u

if [ $# -lt 1 ]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" >&2
    exit 2
fi

repository=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
# shellcheck source=tools/bare_root.sh
. "$repository/tools/bare_root.sh"

fail() {
    echo "check_bare_root: $*" >&2
    exit 2
}

bare_root_apart "$0" "$@"
dir=$(realpath -m -- "$1") || exit 2
shift
[ $# -gt 0 ] || set -- './qmark --yes run' './test/run'
bare_root_make "$dir" git,ca-certificates
bare_root_open "$dir"

inside() { # inside COMMAND: in the clone, or in /srv before there is one
    bare_root_run "$dir" "cd /srv/qmark 2>/dev/null || cd /srv; $1"
}

git -C "$repository" bundle create -q "$dir/srv/qmark.bundle" HEAD || fail "cannot bundle $repository"
inside 'git -c advice.detachedHead=false clone -q qmark.bundle qmark' || fail "cannot clone in $dir"

: >"$dir.log"
failed=0
summary=
for command in "$@"; do
    start=$(date +%s)
    # The status goes through a file because a pipe has that of `tee`.
    { inside "$command"; echo $? >"$dir/srv/status"; } 2>&1 | tee -a "$dir.log"
    status=$(cat "$dir/srv/status")
    [ "$status" -eq 0 ] || failed=1
    summary="$summary$(printf 'check_bare_root: exit %s after %s s: %s' "$status" $(($(date +%s) - start)) "$command")
"
done
printf '%s' "$summary" | tee -a "$dir.log"
exit $failed
