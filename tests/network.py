"""A network as offices have it: an authority of its own, and the proxy that all must take."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from pathlib import Path

from tests.require import require

_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_LEAF = """subjectAltName=IP:127.0.0.1,DNS:localhost
basicConstraints=CA:FALSE
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""
_CA = """[ca]
default_ca = own
[own]
new_certs_dir = .
database = index.txt
serial = serial
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""


class Authority:
    """Made by openssl in ``folder``. ``file``: what SSL_CERT_FILE is to name.

    ``key_named``: its certificates say which of its keys they are signed with.
    """

    def __init__(self, folder: Path, *, key_named: bool = True) -> None:
        if shutil.which("openssl") is None:
            require("openssl", "it makes the certificates")
        self._folder = folder
        self.file = folder / "ca.pem"
        leaf = _LEAF if key_named else _LEAF.replace("=keyid", "=none")
        (folder / "leaf.ext").write_text(leaf, "ascii")
        (folder / "ca.cnf").write_text(_CA, "ascii")
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n", "ascii")
        extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        added = [word for each in extensions for word in ("-addext", each)]
        named = ("-subj", "/CN=Office CA", "-days", "9", "-keyout", "ca.key", "-out", "ca.pem")
        self._openssl("req", "-x509", *_EC, *named, *added)
        self._openssl("req", *_EC, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=sim")

    def serving(
        self, begin: str = "20200101000000Z", end: str = "20490101000000Z"
    ) -> ssl.SSLContext:
        """A server's context with a certificate for 127.0.0.1, good from ``begin`` to ``end``."""
        signer = ("-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-batch", "-notext")
        leaf = ("-in", "leaf.csr", "-out", "leaf.pem", "-extfile", "leaf.ext")
        self._openssl("ca", *signer, *leaf, "-startdate", begin, "-enddate", end)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "leaf.pem", self._folder / "leaf.key")
        return context

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(
            ["openssl", *words], cwd=self._folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


class ConnectProxy:
    """A proxy that speaks CONNECT and nothing else. ``targets``: where it was asked to lead to.

    Lifecycle: ``start`` → ``close``, which cuts every tunnel. Thread: one loop.
    ``refuse``: the status of every answer from now on; 0: it serves.
    """

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.refuse = 0
        self.url = ""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tunnels: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> "ConnectProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tunnels, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tunnels.add(task)
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._tunnel(reader, writer)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tunnels.discard(task)

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, target, _ = head.split(" ", 2)
        self.targets.append(target)
        if self.refuse or method != "CONNECT":
            writer.write(f"HTTP/1.1 {self.refuse or 405} No\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        host, port = target.rsplit(":", 1)
        there_reader, there = await asyncio.open_connection(host, int(port))
        self._writers.add(there)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pipe(reader, there), _pipe(there_reader, writer))
        finally:
            there.transport.abort()
            self._writers.discard(there)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()
