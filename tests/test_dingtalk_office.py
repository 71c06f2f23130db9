"""In an office's network: its own certificate authority, its proxy, its firewall's web pages."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from dod import authorities
from dod.sim.dingtalk.faults import Refusal
from tests.network import Authority, ConnectProxy
from tests.test_dingtalk_channel import ID, QUICK, scene
from tests.test_http import no_proxy  # noqa: F401  (a fixture for all tests here)

PATIENT = replace(QUICK, handshake=5.0, answer=5.0)  # a TLS handshake takes its time


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(autouse=True)
def fresh_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """One context serves the process, and remembers the environment it was made in."""
    monkeypatch.setattr(authorities, "ours", authorities.Authorities())


@contextlib.asynccontextmanager
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ConnectProxy]:
    made = await ConnectProxy().start()
    monkeypatch.setenv("HTTPS_PROXY", made.url)
    try:
        yield made
    finally:
        await made.close()


def test_the_offices_own_authority_is_trusted_for_calls_and_websocket(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    async def act() -> None:
        async with scene(times=PATIENT, tls=authority.serving()) as it:
            await it.connect()
            assert it.sim.url.startswith("https:")
            message = await it.hear()
            await it.channel.reply(message, "by the webhook")
            assert [reply.text for reply in it.sim.replies] == ["by the webhook"]

    asyncio.run(act())


def test_an_unknown_authority_names_the_variable(authority: Authority) -> None:
    async def act() -> None:
        async with scene(times=PATIENT, tls=authority.serving()) as it:
            await it.start()
            await it.until(lambda: it.state == "retrying")
            assert "SSL_CERT_FILE" in it.states[-1].error
            assert "DNS" not in it.states[-1].error

    asyncio.run(act())


@pytest.mark.parametrize(
    ("begin", "end"),
    [("20200101000000Z", "20210101000000Z"), ("20480101000000Z", "20490101000000Z")],
)
def test_a_certificate_out_of_its_time_points_at_the_clock(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, begin: str, end: str
) -> None:
    """What a NAS sees whose clock is wrong by years."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    async def act() -> None:
        async with scene(times=PATIENT, tls=authority.serving(begin, end)) as it:
            await it.start()
            await it.until(lambda: it.state == "retrying")
            assert "clock" in it.states[-1].error

    asyncio.run(act())


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_unusable_ssl_cert_file_is_one_line_and_no_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    content: str | None,
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content, "ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert authorities.ours.tls().get_ca_certs()
    assert authorities.ours.tls() is authorities.ours.tls()
    assert "SSL_CERT_FILE" in caplog.text
    assert str(file) in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("key_named", [True, False])
@pytest.mark.parametrize("before", ["", "not written yet", "another's"])
def test_an_authority_that_comes_late_or_is_renewed_is_trusted_without_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    *,
    key_named: bool,
) -> None:
    """A share that is mounted after the start; the office's CA that runs out every few years.

    The new one has another key and the same name; certificates need not say whose key signed them.
    """
    authority = Authority(tmp_path_factory.mktemp("new"), key_named=key_named)
    file = tmp_path_factory.mktemp("late") / "ca.pem"
    if before == "another's":
        before = Authority(tmp_path_factory.mktemp("other")).file.read_text("ascii")
    if before:
        file.write_text(before, "ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))

    async def act() -> None:
        async with scene(times=PATIENT, tls=authority.serving()) as it:
            await it.start()
            await it.until(lambda: it.state == "retrying")
            authorities.ours.look()
            file.write_text(authority.file.read_text("ascii"), "ascii")
            authorities.ours.look()
            await it.until(lambda: it.state == "connected")
            await it.hear()

    asyncio.run(act())


def test_calls_and_websocket_go_through_the_proxy(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    async def act() -> None:
        async with (
            proxy(monkeypatch) as office,
            scene(times=PATIENT, tls=authority.serving()) as it,
        ):
            await it.connect()
            host = it.sim.url.removeprefix("https://")
            assert office.targets == [host, host], "one tunnel for calls, one for the websocket"
            message = await it.hear()
            await it.channel.reply(message, "through the proxy")
            assert [reply.text for reply in it.sim.replies] == ["through the proxy"]
            assert it.sim.http_connections == len(office.targets)

    asyncio.run(act())


def test_no_proxy_is_honoured_by_both(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    async def act() -> None:
        async with (
            proxy(monkeypatch) as office,
            scene(times=PATIENT, tls=authority.serving()) as it,
        ):
            await it.connect()
            assert office.targets == []

    asyncio.run(act())


def test_a_proxy_that_goes_down_and_comes_back_is_survived(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    async def act() -> None:
        async with (
            proxy(monkeypatch) as office,
            scene(times=PATIENT, tls=authority.serving()) as it,
        ):
            await it.connect()
            await office.close()
            await it.until(lambda: "HTTPS_PROXY" in it.states[-1].error)
            assert it.state == "retrying"
            again = await ConnectProxy().start(office.port)
            await it.until(lambda: it.state == "connected")
            await it.hear()
            await it.channel.leave()
            await again.close()

    with caplog.at_level(logging.INFO, "dod"):
        asyncio.run(act())
    assert caplog.text.count("HTTPS_PROXY") <= 3, "not one line per attempt"


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_is_named(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    async def act() -> None:
        async with (
            proxy(monkeypatch) as office,
            scene(times=PATIENT, tls=authority.serving()) as it,
        ):
            office.refuse = status
            await it.start()
            await it.until(lambda: it.state == "retrying")
            assert "proxy" in it.states[-1].error.lower()
            office.refuse = 0
            await it.until(lambda: it.state == "connected")
            office.refuse = status
            await it.sim.cut(ID)
            await it.until(lambda: "HTTP" in it.states[-1].error)
            assert "proxy" in it.states[-1].error.lower()

    asyncio.run(act())


@pytest.mark.parametrize("status", [200, 400, 401, 403, 500, 503])
def test_a_web_page_instead_of_json_is_no_verdict_on_the_app(status: int) -> None:
    """A firewall's or a provider's page: whatever its status, the credentials are not to blame."""

    async def act() -> None:
        async def page(_: web.Request) -> web.Response:
            return web.Response(status=status, text="<html>no</html>", content_type="text/html")

        app = web.Application()
        app.router.add_post("/v1.0/gateway/connections/open", page)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with scene(openapi=f"http://127.0.0.1:{runner.addresses[0][1]}") as it:
                await it.start()
                await it.until(lambda: it.state == "retrying")
                assert f"HTTP {status}" in it.states[-1].error
                assert "not published" not in it.states[-1].error
                assert "web page" in it.states[-1].error or "no JSON" in it.states[-1].error
        finally:
            await runner.cleanup()

    asyncio.run(act())


@pytest.mark.parametrize(
    ("refusal", "state", "words"),
    [
        (Refusal(401, "authFailed", "鉴权失败"), "bad_credentials", "client secret"),
        (Refusal(400, "param.invalid", "x"), "retrying", "not published"),
        (
            Refusal(403, "Forbidden.AccessDenied.IpNotInWhiteList"),
            "retrying",
            "this host's address",
        ),
        (
            Refusal(403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"),
            "retrying",
            "throttling",
        ),
        (Refusal(429, "TooManyRequests"), "retrying", "throttling"),
        (Refusal(500, "system.busy", "系统繁忙"), "retrying", "not able to answer"),
        (Refusal(503, "ServiceUnavailable"), "retrying", "not able to answer"),
    ],
)
def test_each_refusal_of_the_gateway_has_its_sentence_and_is_survived(
    refusal: Refusal, state: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        async with scene() as it:
            it.sim.faults.next("gateway", refusal, times=4)
            await it.start()
            await it.until(lambda: it.state == "connected")
            assert it.words == ["connecting", state, "connected"]
            assert words in it.states[1].error
            await it.hear()

    with caplog.at_level(logging.INFO, "dod"):
        asyncio.run(act())
    assert len([line for line in caplog.messages if f"state={state}" in line]) == 1
