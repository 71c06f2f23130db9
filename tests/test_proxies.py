"""Which proxy leads where, however an office writes it down."""

import contextlib
import logging
import threading

import pytest

from dod import proxies
from tests.test_http import no_proxy  # noqa: F401  (a fixture for all tests here)

SECRET = "s3cr3t"


def wss(monkeypatch: pytest.MonkeyPatch, **environ: str) -> str | None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return proxies.proxy_for("wss", "dingtalk.test", 443)


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://proxy:3128/", "http://proxy:3128"),
        ("proxy:3128", "http://proxy:3128"),
        ("10.0.0.1:3128", "http://10.0.0.1:3128"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
        ("https://proxy", "https://proxy"),
        ("http://ann@proxy:1", "http://ann:@proxy:1"),
        ("http://ann:p%40ss%3A@proxy:1", "http://ann:p%40ss%3A@proxy:1"),
        ("http://ann:p@ss@proxy:1", "http://ann:p%40ss@proxy:1"),
    ],
)
def test_a_proxy_is_taken_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, written: str, used: str
) -> None:
    assert wss(monkeypatch, HTTPS_PROXY=written) == used


@pytest.mark.parametrize(
    ("scheme", "name"),
    [("https", "https"), ("wss", "https"), ("http", "http"), ("ws", "http")],
)
def test_all_proxy_is_for_what_has_no_other(
    monkeypatch: pytest.MonkeyPatch, scheme: str, name: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    assert proxies.proxy_for(scheme, "dingtalk.test", None) == "http://all:1"
    monkeypatch.setenv(f"{name}_proxy", "http://own:1")
    assert proxies.proxy_for(scheme, "dingtalk.test", None) == "http://own:1"
    told = proxies.hint(scheme, "dingtalk.test", None)
    assert told == f"; the way goes through the proxy of {name.upper()}_PROXY"


@pytest.mark.parametrize(
    ("written", "wrong"),
    [
        (f"socks5://ann:{SECRET}@proxy:1", "kind socks5"),
        (f"ftp://{SECRET}", "kind ftp"),
        (f"http://ann:{SECRET}#@proxy:1", "no address"),
        (f"http://{SECRET}:port", "no address"),
        (f"http://{SECRET}:99999", "no address"),
        (f"http://[{SECRET}", "no address"),
        ("http://", "no host"),
    ],
)
def test_one_that_cannot_be_used_is_one_line_and_the_others_serve(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, written: str, wrong: str
) -> None:
    """``ALL_PROXY=socks5://…`` beside an HTTPS_PROXY: what proxy programs tell people to set."""
    proxies._usable.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert wss(monkeypatch, ALL_PROXY=written) is None
        assert wss(monkeypatch) is None
        assert proxies.hint("wss", "dingtalk.test", None) == ""
    assert len(caplog.records) == 1
    assert wrong in caplog.text
    assert "ALL_PROXY cannot be used" in caplog.text
    assert SECRET not in caplog.text
    assert wss(monkeypatch, HTTPS_PROXY="http://good:1") == "http://good:1"


@pytest.mark.parametrize("spared", ["*", "dingtalk.test", ".test", "x,dingtalk.test:443"])
def test_no_proxy_goes_straight(monkeypatch: pytest.MonkeyPatch, spared: str) -> None:
    assert wss(monkeypatch, HTTPS_PROXY="http://proxy:1", NO_PROXY="other.test") is not None
    assert wss(monkeypatch, NO_PROXY=spared) is None
    assert proxies.proxy_for("https", "dingtalk.test", None) is None


def test_a_proxy_that_is_not_on_the_way_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    assert proxies.hint("https", "dingtalk.test", None) == ""
    monkeypatch.setenv("ALL_PROXY", "http://proxy:1")
    assert "ALL_PROXY" in proxies.hint("https", "dingtalk.test", None)
    monkeypatch.setenv("NO_PROXY", ".test")
    assert proxies.hint("https", "dingtalk.test", None) == ""


def test_threads_that_begin_at_once_say_it_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    proxies._usable.cache_clear()
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy:1")
    written_out, both = proxies._written_out, threading.Barrier(2)

    def slow(value: str) -> str:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.05)  # a second one, if it is let in
        return written_out(value)

    monkeypatch.setattr(proxies, "_written_out", slow)
    threads = [threading.Thread(target=proxies.proxies) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert caplog.text.count("cannot be used") == 1
