# Dify on DingTalk, for a NAS: Debian, its Python, its s6; nothing else is fetched but wheels.
# Builds on Docker 20.10 with BuildKit: DOCKER_BUILDKIT=1 docker build -t dod .
# In China: --build-arg DEBIAN_MIRROR=https://HOST, the scheme and host of a mirror of Debian, and
#           --build-arg PIP_INDEX_URL=https://HOST/…/simple, the index of a mirror of PyPI
# Behind a proxy that speaks with a certificate of its own: --secret id=ca,src=ca.pem, and
# --secret id=pip.conf,src=pip.conf with "[global]" and "cert = /run/secrets/ca".
ARG BASE=debian:trixie-slim

# hadolint ignore=DL3006
FROM ${BASE} AS build
SHELL ["/bin/sh", "-eu", "-c"]
ARG DEBIAN_MIRROR=
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca \
    if [ -n "${DEBIAN_MIRROR}" ]; then \
      sed -i "s|^URIs: [a-z]*://[^/]*|URIs: ${DEBIAN_MIRROR}|" /etc/apt/sources.list.d/debian.sources; \
    fi; \
    set --; [ ! -f /run/secrets/ca ] || set -- -o Acquire::https::CAInfo=/run/secrets/ca; \
    apt-get "$@" update -q; \
    apt-get "$@" install -y -q --no-install-recommends python3 python3-venv binutils
# pip stays in an environment of its own; what ships has none.
RUN python3 -m venv /pip && python3 -m venv --without-pip /opt/dod
COPY requirements.image.lock /
ARG PIP_INDEX_URL=
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca \
    [ -n "${PIP_INDEX_URL}" ] || unset PIP_INDEX_URL; \
    /pip/bin/pip --python /opt/dod/bin/python install --no-cache-dir --no-compile \
      --disable-pip-version-check --only-binary=:all: --require-hashes -r /requirements.image.lock
# What no one runs: C sources, type stubs, tests, symbols. Then compile, for a read-only root.
WORKDIR /opt/dod/lib
RUN find . \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.c' -o -name '*.h' \
      -o -name '*.hash' -o -name '*.rst' \) -type f -delete; \
    find . -type d \( -name tests -o -name test -o -name .hash -o -name __pycache__ \) \
      -prune -exec rm -rf {} +; \
    find . -name '*.so' -exec strip --strip-unneeded {} +; \
    for it in python3*/site-packages; do echo /opt/dod/src > "$it/dod.pth"; done; \
    find /opt/dod/bin -type f -delete; \
    /opt/dod/bin/python -m compileall -q -j0 --invalidation-mode unchecked-hash .
COPY dod /opt/dod/src/dod
COPY config.schema.json /opt/dod/src/
RUN /opt/dod/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/dod/src; \
    /opt/dod/bin/python -m dod --version; \
    mv /opt/dod/src /src

# hadolint ignore=DL3006
FROM ${BASE}
ARG DEBIAN_MIRROR=
# hadolint ignore=DL3008
RUN --mount=type=secret,id=ca \
    set -eu; \
    cp /etc/apt/sources.list.d/debian.sources /tmp/; \
    if [ -n "${DEBIAN_MIRROR}" ]; then \
      sed -i "s|^URIs: [a-z]*://[^/]*|URIs: ${DEBIAN_MIRROR}|" /etc/apt/sources.list.d/debian.sources; \
    fi; \
    set --; [ ! -f /run/secrets/ca ] || set -- -o Acquire::https::CAInfo=/run/secrets/ca; \
    apt-get "$@" update -q; \
    apt-get "$@" install -y -q --no-install-recommends python3 s6 tzdata; \
    mv /tmp/debian.sources /etc/apt/sources.list.d/; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt \
      /var/log/*.log /usr/share/doc/* /usr/share/man/* \
      /usr/lib/python3*/test /usr/lib/python3*/pydoc_data; \
    mkdir -m 1777 /config /data
COPY --from=build /opt/dod /opt/dod
COPY rootfs /
COPY s6 /etc/s6
COPY LICENSE /usr/share/doc/dod/copyright
COPY --from=build /src /opt/dod/src
ARG VERSION=dev REVISION= CREATED=
LABEL org.opencontainers.image.title="dod" \
      org.opencontainers.image.description="Dify on DingTalk: a bot that types Dify's answers onto DingTalk AI cards" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="debian:trixie-slim"
EXPOSE 8765
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=5s --start-period=60s --retries=3 CMD ["/etc/s6/healthcheck"]
# Frozen: the forms of NAS systems keep the entry point of the image they once saw.
ENTRYPOINT ["/etc/s6/init"]
