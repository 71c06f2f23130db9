"""What dod fetches for an answer, and what it never asks for: a model writes the addresses."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from dod.dify import DifyApp, addresses
from dod.dify.addresses import Addresses
from dod.errors import FileNotTaken
from dod.sim.dify.scripts import Answer
from dod.sim.dify.simulator import SimDify
from tests.recordings.replay import Play, Replay

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 500


def play(scenario: Callable[[DifyApp, SimDify], Awaitable[None]]) -> None:
    async def main() -> None:
        sim = SimDify()
        await sim.start()
        sim.add_app("app-key", "chat", script=lambda *_: Answer(files=(("a.png", PNG),)))
        app = DifyApp(url=sim.url, key="app-key", app_type="chatbot", timeout=5.0)
        try:
            await asyncio.wait_for(scenario(app, sim), 20)
        finally:
            await app.aclose()
            await sim.close()

    asyncio.run(main())


async def fetched(app: DifyApp, address: str) -> bytes:
    async with app.fetch(address) as file:
        return b"".join([chunk async for chunk in file.chunks])


async def refused(app: DifyApp, address: str) -> str:
    with pytest.raises(FileNotTaken) as error:
        await fetched(app, address)
    return error.value.key


@pytest.mark.parametrize("absolute", [False, True], ids=["stock", "FILES_URL"])
def test_a_file_of_difys_own_is_fetched_without_the_key(*, absolute: bool) -> None:
    async def scenario(app: DifyApp, sim: SimDify) -> None:
        sim.files.address = sim.url.removesuffix("/v1") if absolute else ""
        link = sim.files.link(sim.files.give("a.png", PNG))
        assert app.must_fetch(link)
        assert await fetched(app, link) == PNG
        sim.files.forget()
        assert await refused(app, link) == "picture_gone"

    play(scenario)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{other}/x.png",
        "http://localhost:{other}/x.png",
        "http://[::1]:{other}/x.png",
        "http://[::ffff:127.0.0.1]:{other}/x.png",
        "http://0.0.0.0:{other}/x.png",
        "http://2130706433:{other}/x.png",
        "http://127.1:{other}/x.png",
        "http://0x7f.1:{other}/x.png",
        "http://0177.0.0.1:{other}/x.png",
        "http://localhost.:{other}/x.png",
        "http://[::127.0.0.1]:{other}/x.png",
        "http://[64:ff9b::127.0.0.1]:{other}/x.png",
        "http://[64:ff9b::c0a8:101]/x.png",
        "http://[64:ff9b:1::1]/x.png",
        "http://[::ffff:0:127.0.0.1]:{other}/x.png",
        "http://[2002:7f00:1::]:{other}/x.png",
        "http://[fec0::1]/x.png",
        "http://169.254.169.254/latest/meta-data",
        "http://192.168.1.1/cgi",
        "http://100.64.0.1/x.png",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x.png",
        "gopher://127.0.0.1:6379/_INFO",
    ],
)
def test_no_other_host_of_the_network_is_asked(address: str) -> None:
    async def scenario(app: DifyApp, _: SimDify) -> None:
        asked: list[object] = []
        server = await asyncio.start_server(lambda *_: asked.append(_), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        assert await refused(app, address.format(other=port)) == "picture_address"
        assert asked == []
        server.close()
        await server.wait_closed()

    play(scenario)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8080/x.png",
        "http://2130706433/x.png",
        "http://169.254.169.254/latest/meta-data",
        "http://192.168.1.1/cgi",
        "http://router.lan/x.png",
    ],
)
def test_nor_is_a_proxy_asked_for_it(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy of an office stands in the network itself, and lets everybody at its hosts."""

    async def scenario() -> None:
        asked: list[object] = []
        proxy = await asyncio.start_server(lambda *_: asked.append(_), "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        app = DifyApp(url="http://dify.example.com/v1", key="k", app_type="chatbot", timeout=5.0)
        assert await refused(app, address) == "picture_address"
        assert asked == []
        await app.aclose()
        proxy.close()
        await proxy.wait_closed()

    asyncio.run(scenario())


def test_where_no_proxy_names_a_port_the_address_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async def look_up(_host: str, _port: int) -> list[str]:
            return ["10.0.0.5"]

        monkeypatch.setattr(addresses, "_look_up", look_up)
        monkeypatch.setenv("http_proxy", "http://proxy.office:3128")
        monkeypatch.setenv("no_proxy", "nas.example.com:8080")
        judged = Addresses("http://dify.example.com/v1")
        with pytest.raises(FileNotTaken):
            await judged.dial("http://nas.example.com:8080/x.png")
        elsewhere = "http://pictures.example.com/x.png"  # the proxy looks it up
        assert await judged.dial(elsewhere) == (elsewhere, "pictures.example.com")

    asyncio.run(scenario())


def test_a_redirect_to_the_inside_is_not_followed() -> None:
    async def scenario() -> None:
        answer = b"HTTP/1.1 302 Found\r\nLocation: http://192.168.1.1/cgi\r\n"
        answer += b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        async with Replay([Play(answer)]) as server:
            own = DifyApp(url=server.url, key="k", app_type="chatbot", timeout=5.0)
            assert await refused(own, "/files/x.png") == "picture_address"
            await own.aclose()

    asyncio.run(scenario())


def test_the_address_that_was_judged_is_the_one_that_is_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that changes its mind between two look-ups (DNS rebinding) gains nothing."""

    async def scenario() -> None:
        answers = iter([["93.184.215.14"], ["127.0.0.1"]])

        async def look_up(_host: str, _port: int) -> list[str]:
            return next(answers)

        monkeypatch.setattr(addresses, "_look_up", look_up)
        judged = Addresses("http://dify.office/v1")
        url, host = await judged.dial("https://rebind.example:8443/x.png?a=b")
        assert url == "https://93.184.215.14:8443/x.png?a=b"
        assert host == "rebind.example"
        with pytest.raises(FileNotTaken):
            await judged.dial("https://rebind.example:8443/x.png?a=b")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("address", "must"),
    [
        ("/files/tools/a.png?sign=x", True),
        ("http://dify.office/files/a.png", True),
        ("http://192.168.1.5/a.png", True),
        ("http://nas/a.png", True),
        ("http://nas.local/a.png", True),
        ("https://bucket.example.com/a.png?Expires=1&Signature=x", True),
        ("data:image/png;base64,AAAA", True),
        ("https://www.example.com/a.png", False),
        ("https://www.example.com/a.png?v=2", False),
        ("http://[not-an-address/a.png", True),
        ("http://127.1/a.png", True),
        ("http://2130706433/a.png", True),
        ("http://0x7f.1/a.png", True),
        ("http://0300.0250.1.1/a.png", True),
        ("http://１２７.1/a.png", True),
        ("http://%31%32%37.1/a.png", True),
        ("http://localhost./a.png", True),
        ("http://files.localhost/a.png", True),
        ("http://nas.local./a.png", True),
        ("http://nas。lan/a.png", True),
        ("http://[64:ff9b::10.0.0.1]/a.png", True),
        ("http://[::10.0.0.1]/a.png", True),
        ("http://[64:ff9b::8.8.8.8]/a.png", False),
        ("http://8.8.8.8./a.png", False),
        ("http://[2001:4860:4860::8888]/a.png", False),
        ("http://1.example.com/a.png", False),
    ],
)
def test_what_people_cannot_load_by_themselves(address: str, *, must: bool) -> None:
    assert Addresses("http://dify.office/v1").must_fetch(address) is must
