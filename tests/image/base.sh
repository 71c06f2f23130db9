#!/usr/bin/env bash
# Makes this machine fit for the image tests: a Docker Engine, and debian:trixie-slim for those who
# cannot pull it. Does only what is missing. As root, on Debian; prints nothing secret.
#
#   base.sh install   Debian's packages: docker.io, iptables, debootstrap
#   base.sh start     dockerd, unless one answers; its files go to ${DOD_DOCKER_ROOT:-a folder in /tmp}
#   base.sh base      debian:trixie-slim by debootstrap, unless it is there; MIRROR=… for its packages
#   base.sh stop      the dockerd that `start` has started
#   base.sh           install, start and base
set -euo pipefail
MIRROR=${MIRROR:-} # empty: debootstrap knows Debian's own
BASE=${BASE:-debian:trixie-slim}
ROOT=${DOD_DOCKER_ROOT:-/tmp/dod-docker}

# Debian's own client: another one in PATH may want a plugin to build.
docker() {
  if [ -x /usr/bin/docker ]; then /usr/bin/docker "$@"; else command docker "$@"; fi
}

answers() { docker version > /dev/null 2>&1; }

install() {
  local missing=()
  command -v dockerd > /dev/null || missing+=(docker.io)
  command -v iptables > /dev/null || missing+=(iptables)
  command -v debootstrap > /dev/null || missing+=(debootstrap)
  [ ${#missing[@]} -gt 0 ] || return 0
  DEBIAN_FRONTEND=noninteractive apt-get update -q
  DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}" < /dev/null
}

start() {
  answers && return 0
  mkdir -p "$ROOT"
  setsid dockerd --data-root "$ROOT/data" > "$ROOT/dockerd.log" 2>&1 < /dev/null &
  echo $! > "$ROOT/dockerd.pid"
  for _ in $(seq 150); do
    if answers; then return 0; fi
    sleep 0.2
  done
  tail -20 "$ROOT/dockerd.log" >&2
  return 1
}

stop() {
  [ -f "$ROOT/dockerd.pid" ] || return 0
  kill "$(cat "$ROOT/dockerd.pid")" 2> /dev/null || true
  rm -f "$ROOT/dockerd.pid"
}

base() {
  docker image inspect "$BASE" > /dev/null 2>&1 && return 0
  local tree
  tree=$(mktemp -d)
  debootstrap --variant=minbase trixie "$tree" ${MIRROR:+"$MIRROR"} > "$tree.log" 2>&1 \
    || { tail -20 "$tree.log" >&2; return 1; }
  slim "$tree"
  tar -C "$tree" -c . | docker import --change 'CMD ["bash"]' - "$BASE"
  rm -rf "$tree" "$tree.log"
}

# What the real trixie-slim lacks, and where it names its packages.
slim() {
  local uri
  uri=$(awk '$1 == "deb" { print $2; exit }' "$1/etc/apt/sources.list")
  find "$1"/usr/share/{doc,man,locale,info} -mindepth 1 ! -name copyright -type f -delete
  find "$1"/usr/share/{doc,man,locale,info} -mindepth 1 -type l -delete
  find "$1"/usr/share/{doc,man,locale,info} -mindepth 1 -type d -empty -delete
  rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/cache/debconf/*-old \
    "$1"/var/log/{apt,*.log} "$1/etc/apt/sources.list"
  cat > "$1/etc/apt/sources.list.d/debian.sources" << END
Types: deb
URIs: $uri
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp

Types: deb
URIs: ${uri%/}-security
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
END
  # As in the real one: no manuals with later packages either, no caches.
  cat > "$1/etc/dpkg/dpkg.cfg.d/docker" << 'END'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
END
}

case ${1:-all} in
  all) install && start && base ;;
  install | start | base | stop) "$1" ;;
  *) sed -n '2,10p' "$0" >&2; exit 2 ;;
esac
