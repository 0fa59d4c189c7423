#!/bin/sh
# The README's two commands on a bare machine: a root made by debootstrap, with only python3, make and
# git, into which what is committed here is cloned. Needs root (chroot) and a Debian or Ubuntu.
# SUITE: the Debian release (bookworm, trixie, sid); ARGS: given to `make test`, such as "-m r";
# FRESH_COMMANDS: other targets than both; FRESH_ROOT: the folder. What set-up installed there is kept
# for the next call, and made anew when a script of set-up has changed; FRESH_KEEP=no removes it at the end.
set -eu
cd "$(dirname "$0")/.."
suite=${SUITE:-bookworm}
root=${FRESH_ROOT:-${TMPDIR:-/var/tmp}/lmerbridge-fresh-$suite}
checkout=$root/root/lmerbridge
say() { echo "fresh: $*"; }
case "$suite" in *[!a-z]*|"") say "SUITE is '$suite', which names no Debian release (bookworm, trixie, sid)"; exit 2;; esac
[ "$(id -u)" = 0 ] || { say "needs root, as it uses debootstrap and chroot: sudo make fresh"; exit 2; }
command -v debootstrap >/dev/null 2>&1 || {
  say "installing debootstrap"
  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap) >/dev/null
}
git diff --quiet HEAD 2>/dev/null || say "what is not committed is left out"

mounted() { grep -q " $root/$1 " /proc/mounts; }
# what still runs in the root would keep it mounted
end_processes() {
  for process in /proc/[0-9]*; do
    case "$(readlink "$process/root" 2>/dev/null)" in
      "$root"*)
        say "still running there, ended now: $(tr '\0' ' ' <"$process/cmdline" | cut -c 1-100)"
        kill -9 "${process#/proc/}" 2>/dev/null || true ;;
    esac
  done
  tries=0
  while mounted dev/shm && ! umount "$root/dev/shm" 2>/dev/null && [ $tries -lt 20 ]; do
    tries=$((tries + 1)); sleep 0.5
  done
}
unmount() {
  end_processes
  for part in dev/pts dev/shm proc; do if mounted $part; then umount "$root/$part"; fi; done
  for part in dev/pts dev/shm proc; do
    if mounted $part; then say "$root/$part is still mounted; nothing is removed"; return 1; fi
  done
}
make_root() {
  say "making a bare $suite in $root"
  rm -rf --one-file-system "$root"
  # the mirror that this machine uses, if it names one
  mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    sed -nE 's/^(URIs:|deb( \[[^]]*\])?) +(https?:[^ ]*\/debian)\/?( .*)?$/\3/p' | head -n 1)
  mkdir -p "$root"
  # shellcheck disable=SC2086
  debootstrap --variant=minbase --include=python3,make,git,ca-certificates "$suite" "$root" $mirror \
    >"$root.log" 2>&1 || { tail -n 20 "$root.log"; exit 1; }
  rm "$root.log"
  say "it has $(chroot "$root" dpkg-query -f '.\n' -W | wc -l) packages; R: $(chroot "$root" sh -c 'command -v R || echo none')"
  if [ "$suite" = sid ]; then  # its lists may call themselves expired
    echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/99lmerbridge"
  fi
}
# how this machine reaches its package registries: certificates and pip's settings, if any
copy_network() {
  mkdir -p "$root/usr/local/share/ca-certificates"
  cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt" 2>/dev/null || true
  cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
  cp /etc/hosts "$root/etc/hosts" 2>/dev/null || true
}
mount_parts() {
  mount -t proc proc "$root/proc"
  mkdir -p "$root/dev/pts" "$root/dev/shm"
  mount -t devpts devpts "$root/dev/pts"
  mount -t tmpfs tmpfs "$root/dev/shm"
}
# what is committed here, beside the .venv of an earlier call
clone() {
  rm -rf "$root/root/kept-venv" "$root"/tmp/.lmerbridge-apt-updated-*
  if [ -d "$checkout/.venv" ]; then mv "$checkout/.venv" "$root/root/kept-venv"; fi
  rm -rf "$checkout"
  git clone -q --no-hardlinks . "$checkout"
  if [ -d "$root/root/kept-venv" ]; then mv "$root/root/kept-venv" "$checkout/.venv"; fi
}
settings='PIP_CERT|PIP_INDEX_URL|PIP_EXTRA_INDEX_URL|PIP_DEFAULT_TIMEOUT|https?_proxy|no_proxy'
inside() {  # nothing of this machine's environment but how pip reaches its registry
  (
    for name in $(env | sed -nE "s/^($settings)=.*/\1/p"); do
      eval "set -- \"$name=\$$name\" \"\$@\""
    done
    chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
  )
}

unmount
# a root is kept as long as what it was made by is the same
key=$(git show HEAD:scripts/fresh.sh HEAD:scripts/setup.sh HEAD:scripts/r_packages.txt HEAD:pyproject.toml | cksum)
if [ "$(cat "$root/root/made-by" 2>/dev/null)" = "$key" ]; then
  say "using the $suite in $root, which an earlier call has set up"
else
  make_root
fi
copy_network
mount_parts
status=1
# a root where set-up came to its end is kept, whatever came after it
end() {
  status=$?
  if [ $status != 0 ]; then
    if [ -e "$checkout/.venv/.setup-python" ] && [ -e "$checkout/.venv/.setup-r" ]; then
      echo "$key" >"$root/root/made-by"
    else
      rm -f "$root/root/made-by"
    fi
    say "NOT WELL; the root is left in $root"
  fi
  exit $status
}
trap end EXIT
clone
for command in ${FRESH_COMMANDS:-reference test}; do
  say "make $command"
  began=$(date +%s)
  arguments=
  [ "$command" != test ] || arguments=${ARGS:-}
  inside LMERBRIDGE_REQUIRE_R=1 ${CI:+CI=$CI} ${arguments:+"ARGS=$arguments"} \
    /bin/sh -c "cd /root/lmerbridge && make $command"
  say "make $command took $(($(date +%s) - began)) s"
done
# shellcheck disable=SC2016
versions="$(chroot "$root" python3 -V); $(chroot "$root" Rscript --vanilla -e '
  shown <- c("lme4", "lmerTest", "pbkrtest", "emmeans", "glmmTMB")
  have <- shown[shown %in% rownames(installed.packages())]
  cat(paste("R", getRversion()), paste(have, vapply(have, function(p) packageDescription(p)$Version, "")), sep = "; ")' 2>/dev/null)"
unmount
if [ "${FRESH_KEEP:-yes}" = no ]; then
  rm -rf --one-file-system "$root"
else
  echo "$key" >"$root/root/made-by"
fi
say "tested on: $suite; $versions"
if [ "${FRESH_COMMANDS:-reference test}" = "reference test" ]; then
  python3 scripts/tested_on.py "$suite" "both commands${ARGS:+, test with $ARGS}" "$versions"
fi
say "make ${FRESH_COMMANDS:-reference test} ended well on a bare $suite"
