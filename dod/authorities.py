"""Whom the process trusts: one TLS context for all, and what SSL_CERT_FILE names by now.

A context for each client costs about 1 MB. Thread: any.
"""

import logging
import os
import ssl
import threading

import httpx

log = logging.getLogger(__name__)

_Version = tuple[int, int, int]  # of a file: modified (ns), size, inode


class Authorities:
    """Honours SSL_CERT_FILE and SSL_CERT_DIR. The process has one: ``ours``."""

    def __init__(self) -> None:
        self._door = threading.Lock()  # all bots begin at once
        self._context: ssl.SSLContext | None = None
        self._version: _Version | None = None  # of SSL_CERT_FILE, when it was read last
        self.generation = 0  # counts the contexts that replaced another

    def tls(self) -> ssl.SSLContext:
        """The newest; made when it is asked for first. To be asked for each new connection."""
        with self._door:
            if self._context is None:
                self._version = _version()
                self._context = _made()
            return self._context

    def look(self) -> None:
        """Trust what SSL_CERT_FILE names by now: it may be mounted late, or be renewed.

        By a new context: beside an authority that one knows already, another of the same name is
        not found. What cannot be read changes nothing. To be called every few seconds.
        """
        with self._door:
            now = _version()
            if now == self._version or self._context is None:
                return
            self._version = now
            if now is None:
                return
            try:
                self._context = httpx.create_ssl_context()
            except OSError as error:  # half-written: it changes again
                log.warning("SSL_CERT_FILE has changed and cannot be used: %s", error)
            else:
                self.generation += 1
                log.info("SSL_CERT_FILE has changed, and is trusted from now on")


def _version() -> _Version | None:
    named = os.environ.get("SSL_CERT_FILE")
    try:
        # No Path: it adds the parts of its name to Python's table of interned names, and what is
        # asked every few seconds helps to fill that (docs/reliability.md, the soak).
        now = os.stat(named) if named else None  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return None if now is None else (now.st_mtime_ns, now.st_size, now.st_ino)


def _made() -> ssl.SSLContext:
    """A file that cannot be read costs nobody the start: the usual authorities are trusted."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one: a file without a certificate in PEM
        named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
        log.error(  # noqa: TRY400 (a person must act; where in the code says nothing)
            "SSL_CERT_FILE or SSL_CERT_DIR (%s) cannot be used: %s; it must be readable and hold "
            "certificates in PEM (-----BEGIN CERTIFICATE-----); going on with the usual ones",
            named,
            error.strerror or error,
        )
        return httpx.create_ssl_context(trust_env=False)


ours = Authorities()
