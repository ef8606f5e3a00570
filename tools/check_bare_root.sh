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

# In a mount namespace of its own all mounts end with this script, however it ends: a /dev left mounted in DIR would
# be emptied by whoever deletes DIR.
if [ "${QM_BARE_ROOT_INSIDE-}" = "" ]; then
    [ "$(id -u)" -eq 0 ] || { echo "check_bare_root: needs root" >&2; exit 2; }
    QM_BARE_ROOT_INSIDE=yes exec unshare --mount --propagation private -- "$0" "$@"
fi

repository=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 2
dir=$(realpath -m -- "$1") || exit 2
shift
[ $# -gt 0 ] || set -- './qmark --yes run' './test/run'
marker=$dir/.qmark-bare-root
release=bookworm

fail() {
    echo "check_bare_root: $*" >&2
    exit 2
}

if [ -e "$dir" ] && [ ! -e "$marker" ] && [ -n "$(ls -A "$dir")" ]; then
    fail "$dir is neither empty nor a root that this script made; name another folder"
fi
rm -rf --one-file-system -- "$dir"
mkdir -p "$dir" || exit 2

if [ ! -e "$dir.tar" ]; then
    # From where the host's own apt gets its packages; Debian's main mirror where apt has no source of this release.
    # shellcheck disable=SC2016 # apt expands them
    mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s/^$release //p" | head -n 1)
    echo "check_bare_root: debootstrap $release into $dir"
    debootstrap --variant=minbase --include=git,ca-certificates $release "$dir" ${mirror:+"$mirror"} \
        >"$dir.debootstrap.log" 2>&1 || fail "debootstrap failed; see $dir.debootstrap.log"
    touch "$marker"
    tar -C "$dir" -cf "$dir.tar.part" . && mv "$dir.tar.part" "$dir.tar" || exit 2
else
    tar -C "$dir" -xf "$dir.tar" || exit 2
    touch "$marker"
fi

# The host's apt sources with their keys, and those of its settings that say how a mirror is reached: what works on the
# host works inside.
rm -f "$dir/etc/apt/sources.list"
for source in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ -e "$source" ] && cp -- "$source" "$dir$source"
done
for keys in /usr/share/keyrings /etc/apt/keyrings /etc/apt/trusted.gpg.d; do
    [ -d "$keys" ] && mkdir -p "$dir$keys" && cp -RL -- "$keys/." "$dir$keys"
done
apt-config dump | grep -E '^Acquire::(http|https|Check-|Max-ValidTime|Retries|ForceIPv)' >"$dir/etc/apt/apt.conf.d/90host"
cp -L /etc/resolv.conf /etc/hosts "$dir/etc/" 2>/dev/null
# No service may be started in here.
printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d" && chmod +x "$dir/usr/sbin/policy-rc.d"

# shellcheck disable=SC2015 # fail ends the script
mount -t proc proc "$dir/proc" && mount --rbind /dev "$dir/dev" && mount --rbind /sys "$dir/sys" ||
    fail "cannot mount /proc, /dev and /sys in $dir"

inside() { # inside COMMAND: in the clone, or in /srv before there is one
    chroot "$dir" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/srv LANG=C.UTF-8 \
        CI=true sh -c "cd /srv/qmark 2>/dev/null || cd /srv; $1" </dev/null
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
