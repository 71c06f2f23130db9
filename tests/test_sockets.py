"""httpcore's connections on asyncio's transports, against real servers."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpcore
import pytest

from dod.sockets import Connection, Flow, Network, pool
from tests.tls import certificate

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MUCH = 4 << 20  # bytes: more than the kernel and we hold between us


def talk(
    serve: Serve, scenario: Callable[[Connection, int], Awaitable[None]], **tls: ssl.SSLContext
) -> None:
    """``scenario`` gets a connection to a server that does ``serve``, and its port."""

    async def scene() -> None:
        done = asyncio.Event()

        async def serving(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await serve(reader, writer)
            finally:
                writer.close()
                done.set()

        server = await asyncio.start_server(serving, "127.0.0.1", 0, ssl=tls.get("server"))
        port = server.sockets[0].getsockname()[1]
        async with server, asyncio.timeout(20):
            connection = await Network().connect_tcp("127.0.0.1", port, timeout=10)
            try:
                await scenario(connection, port)  # type: ignore[arg-type]
            finally:
                await connection.aclose()
            await done.wait()

    asyncio.run(scene())


async def until_readable(connection: httpcore.AsyncNetworkStream) -> None:
    while not connection.get_extra_info("is_readable"):  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_no_reading_asks_for_much_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    async def much(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(MUCH))
        await writer.drain()

    received = Flow.data_received

    def listen(flow: Flow, data: bytes) -> None:
        sizes.append(len(data))
        received(flow, data)

    async def scenario(connection: Connection, _port: int) -> None:
        while await connection.read(65536, timeout=10):
            pass

    monkeypatch.setattr(Flow, "data_received", listen)
    talk(much, scenario)
    assert sum(sizes) == MUCH
    assert max(sizes) <= 32 * 1024


def test_what_is_written_comes_back_and_no_more_than_asked_for_is_read() -> None:
    async def scenario(connection: Connection, port: int) -> None:
        assert connection.get_extra_info("server_addr") == ("127.0.0.1", port)
        assert not connection.get_extra_info("is_readable")
        await connection.write(b"")
        await connection.write(b"hello", timeout=5)
        assert await connection.read(2, timeout=5) == b"he"
        assert connection.get_extra_info("is_readable")
        assert await connection.read(10, timeout=5) == b"llo"

    talk(echo, scenario)


def test_more_than_fits_is_held_back_on_both_ways_and_arrives_whole() -> None:
    async def scenario(connection: Connection, _port: int) -> None:
        writing = asyncio.create_task(connection.write(b"x" * MUCH, timeout=10))
        await until_readable(connection)
        came = 0
        while came < MUCH:
            came += len(await connection.read(65536, timeout=10))
        await writing
        assert came == MUCH

    talk(echo, scenario)


def test_silence_is_a_read_timeout_and_the_connection_still_works() -> None:
    async def scenario(connection: Connection, _port: int) -> None:
        with pytest.raises(httpcore.ReadTimeout):
            await connection.read(10, timeout=0.01)
        await connection.write(b"late")
        assert await connection.read(10) == b"late"

    talk(echo, scenario)


def test_a_peer_that_does_not_read_is_a_write_timeout() -> None:
    over = asyncio.Event()

    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await over.wait()

    async def scenario(connection: Connection, _port: int) -> None:
        with pytest.raises(httpcore.WriteTimeout):
            await connection.write(b"x" * (MUCH * 4), timeout=0.01)
        over.set()

    talk(deaf, scenario)


def test_the_end_is_no_bytes_and_a_reset_is_a_read_error() -> None:
    async def polite(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")

    async def ended(connection: Connection, _port: int) -> None:
        assert await connection.read(10, timeout=5) == b"bye"
        assert await connection.read(10, timeout=5) == b""
        assert connection.get_extra_info("is_readable")

    async def broken(connection: Connection, _port: int) -> None:
        await connection.write(b"!")
        with pytest.raises(httpcore.ReadError):
            await connection.read(10, timeout=5)
        with pytest.raises(httpcore.WriteError):
            await connection.write(b"!")

    talk(polite, ended)
    talk(reset, broken)


def test_an_idle_connection_whose_peer_has_gone_is_known_before_the_loop_has_looked() -> None:
    async def gone(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)

    async def scenario(connection: Connection, _port: int) -> None:
        await until_readable(connection)
        # By the kernel alone: the flow has heard nothing.
        assert Connection(connection._transport, type(connection._flow)())._useless

    talk(gone, scenario)


def test_nobody_there_is_a_connect_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        async def scene() -> None:
            with pytest.raises(httpcore.ConnectError):
                await Network().connect_tcp("127.0.0.1", port, timeout=5)

        asyncio.run(scene())


def test_tls_is_checked_and_used(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    trusting = ssl.create_default_context(cafile=str(cert))

    async def scenario(connection: Connection, _port: int) -> None:
        safe = await connection.start_tls(trusting, "127.0.0.1", timeout=10)
        assert safe.get_extra_info("ssl_object").version() == "TLSv1.3"
        await safe.write(b"secret")
        assert await safe.read(100, timeout=5) == b"secret"
        await safe.aclose()

    async def stranger(connection: Connection, _port: int) -> None:
        with pytest.raises(httpcore.ConnectError, match="certificate"):
            await connection.start_tls(ssl.create_default_context(), "127.0.0.1", timeout=10)

    talk(echo, scenario, server=server)

    async def scene() -> None:
        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
        port = listening.sockets[0].getsockname()[1]
        async with listening:
            connection = await Network().connect_tcp("127.0.0.1", port, timeout=10)
            await stranger(connection, port)  # type: ignore[arg-type]

    asyncio.run(scene())


def test_a_handshake_that_nobody_answers_is_a_connect_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async def scenario(connection: Connection, _port: int) -> None:
        with pytest.raises(httpcore.ConnectTimeout):
            await connection.start_tls(ssl.create_default_context(), "127.0.0.1", timeout=0.05)

    talk(silent, scenario)


def test_a_pool_uses_a_connection_again() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def scene() -> None:
        served: list[object] = []

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            served.append(writer)
            await serve(reader, writer)
            writer.close()

        server = await asyncio.start_server(once, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, pool(ssl.create_default_context(), keepalive=5) as made:
            for _ in range(2):
                answer = await made.request("GET", f"http://127.0.0.1:{port}/")
                assert answer.content == b"ok"
        assert len(served) == 1

    asyncio.run(scene())


def test_cancelled_at_any_moment_of_connecting_it_leaves_no_socket_behind() -> None:
    async def scene(port: int) -> None:
        for turns in range(24):
            connecting = asyncio.create_task(Network().connect_tcp("127.0.0.1", port))
            for _ in range(turns):
                await asyncio.sleep(0)
            if connecting.done():
                await connecting.result().aclose()
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        # A socket that nobody closed is a warning, and that an error.
        asyncio.run(scene(listening.getsockname()[1]))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_host_is_a_name_or_an_address_of_either_family(host: str) -> None:
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET

    async def scene(port: int) -> None:
        connection = await Network().connect_tcp(host, port, timeout=5)
        assert connection.get_extra_info("server_addr")[1] == port
        await connection.aclose()

    try:
        listening = socket.create_server(
            ("::1" if host == "::1" else "127.0.0.1", 0), family=family
        )
    except OSError:
        pytest.skip("no IPv6 here")
    with listening:
        asyncio.run(scene(listening.getsockname()[1]))


@pytest.mark.parametrize(
    ("host", "port"), [("dify..example", 80), ("a" * 64 + ".example", 80), ("127.0.0.1", 70_000)]
)
def test_an_address_that_cannot_be_one_is_a_connect_error(host: str, port: int) -> None:
    """As a host that is not there: whoever waits is told so, and no bug is reported."""

    async def scenario() -> None:
        with pytest.raises(httpcore.ConnectError):
            await Network().connect_tcp(host, port, timeout=10)

    asyncio.run(scenario())
