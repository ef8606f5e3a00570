# What check_bare_root.sh and check_package.sh share: a bare Debian 12 in a folder, and commands run in it.
#
# Sourced by POSIX sh. Everything needs root; the caller calls bare_root_apart first, so that all mounts end with it.
# shellcheck shell=sh disable=SC2154 # the caller defines fail TEXT, which ends the script

release=bookworm

# In a mount namespace of its own all mounts end with this script, however it ends: a /dev left mounted in the folder would
# be emptied by whoever deletes it.
bare_root_apart() { # bare_root_apart SCRIPT ARGUMENT...: runs the script anew, once
    [ "${QM_BARE_ROOT_INSIDE-}" = "" ] || return 0
    [ "$(id -u)" -eq 0 ] || fail "needs root"
    QM_BARE_ROOT_INSIDE=yes exec unshare --mount --propagation private -- "$@"
}

# DIR becomes a new root and DIR.tar keeps it as it was when new, for later runs. Nothing else is ever deleted.
bare_root_make() { # bare_root_make DIR PACKAGE,PACKAGE...
    marker=$1/.qmark-bare-root
    if [ -e "$1" ] && [ ! -e "$marker" ] && [ -n "$(ls -A "$1")" ]; then
        fail "$1 is neither empty nor a root that this script made; name another folder"
    fi
    rm -rf --one-file-system -- "$1"
    mkdir -p "$1" || exit 2
    if [ ! -e "$1.tar" ]; then
        # From where the host's own apt gets its packages; Debian's main mirror where apt has no source of this release.
        # shellcheck disable=SC2016 # apt expands them
        mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
            sed -n "s/^$release //p" | head -n 1)
        echo "debootstrap $release into $1"
        debootstrap --variant=minbase ${2:+"--include=$2"} $release "$1" ${mirror:+"$mirror"} \
            >"$1.debootstrap.log" 2>&1 || fail "debootstrap failed; see $1.debootstrap.log"
        touch "$marker"
        tar -C "$1" -cf "$1.tar.part" . && mv "$1.tar.part" "$1.tar" || exit 2
    else
        tar -C "$1" -xf "$1.tar" || exit 2
        touch "$marker"
    fi
}

bare_root_open() { # bare_root_open DIR: apt works in it as on the host, and it has /proc, /dev and /sys
    # The host's apt sources with their keys, and those of its settings that say how a mirror is reached.
    rm -f "$1/etc/apt/sources.list"
    for source in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [ -e "$source" ] && cp -- "$source" "$1$source"
    done
    for keys in /usr/share/keyrings /etc/apt/keyrings /etc/apt/trusted.gpg.d; do
        [ -d "$keys" ] && mkdir -p "$1$keys" && cp -RL -- "$keys/." "$1$keys"
    done
    apt-config dump | grep -E '^Acquire::(http|https|Check-|Max-ValidTime|Retries|ForceIPv)' >"$1/etc/apt/apt.conf.d/90host"
    cp -L /etc/resolv.conf /etc/hosts "$1/etc/" 2>/dev/null
    # No service may be started in here.
    printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d" && chmod +x "$1/usr/sbin/policy-rc.d"
    # shellcheck disable=SC2015 # fail ends the script
    mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount --rbind /sys "$1/sys" ||
        fail "cannot mount /proc, /dev and /sys in $1"
}

bare_root_run() { # bare_root_run DIR COMMAND: without the host's environment and without a terminal
    chroot "$1" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="${QM_BARE_HOME-/srv}" \
        LANG=C.UTF-8 CI=true sh -c "$2" </dev/null
}
