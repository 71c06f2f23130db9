"""Whom NO_PROXY spares, in the forms that offices write."""

import logging
import threading

import pytest

from dod import noproxy


@pytest.mark.parametrize(
    ("written", "host", "port", "straight"),
    [
        ("", "dify.corp", 80, False),
        ("*", "dify.corp", 80, True),
        ("x.test, *", "fd00::1", 80, True),
        ("dify.corp", "dify.corp", 80, True),
        ("dify.corp", "DIFY.corp.", 80, True),
        ("Dify.Corp.", "dify.corp", 80, True),
        ("corp", "dify.corp", 80, True),
        (".corp", "dify.corp", 80, True),
        (".dify.corp", "dify.corp", 80, True),
        ("*.corp", "dify.corp", 80, True),
        ("*.corp", "a.dify.corp", 80, True),
        ("*.corp", "corp.com", 80, False),
        ("ify.corp", "dify.corp", 80, False),
        ("my_host", "my_host", 80, True),
        ("公司.cn", "dify.公司.cn", 80, True),
        ("a.test b.test\tc.test;d.test", "b.test", 80, True),
        ("a.test b.test\tc.test;d.test", "d.test", 80, True),
        ("http://dify.corp/", "dify.corp", 80, True),
        ("https://dify.corp:8443/", "dify.corp", 8443, True),
        ("dify.corp:8443", "dify.corp", 443, False),
        (".corp:443", "dify.corp", 443, True),
        ("*:443", "dify.corp", 443, True),
        ("*:443", "dify.corp", 80, False),
        ("10.0.0.5", "10.0.0.5", 80, True),
        ("10.0.0.5:80", "10.0.0.5", 80, True),
        ("10.0.0.5:80", "10.0.0.5", 81, False),
        ("10.0.0.5", "110.0.0.5", 80, False),
        ("10.0.0.0/8", "10.200.3.4", 80, True),
        ("10.1.2.3/8", "10.200.3.4", 80, True),
        ("10.0.0.0/8", "11.0.0.1", 80, False),
        ("192.168.0.0/255.255.0.0", "192.168.7.1", 80, True),
        ("192.168.*", "192.168.7.1", 80, True),
        ("192.168.*.*", "192.168.7.1", 80, True),
        ("192.168.", "192.168.7.1", 80, True),
        ("192.168.*", "192.16.8.1", 80, False),
        ("192.168.*", "192.168.corp", 80, False),
        ("::1", "::1", 80, True),
        ("[::1]", "::1", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "::1", 81, False),
        ("::1", "[0:0:0:0:0:0:0:1]", 80, True),
        ("fd00::/8", "fd12::1", 80, True),
        ("[fd00::]/8", "fd12::1", 80, True),
        ("10.0.0.0/8", "dify.corp", 80, False),
    ],
)
def test_who_is_spared(
    caplog: pytest.LogCaptureFixture, written: str, host: str, port: int, *, straight: bool
) -> None:
    noproxy._read.cache_clear()
    assert noproxy.spared(written, host, port) is straight
    assert not caplog.records


@pytest.mark.parametrize(
    "entry",
    ["<local>", "10.0.0.0/99", "10.0.0", "300.1.1.1", "192.168.*.7", "www.*.com", "*corp", ".",
     "dify.corp/v1", "dify.corp:http", "300.*"],
)  # fmt: skip
def test_what_is_not_understood_is_said_once_and_the_rest_serves(
    caplog: pytest.LogCaptureFixture, entry: str
) -> None:
    noproxy._read.cache_clear()
    written = f"a.test,{entry},b.test"

    def ask() -> None:
        assert noproxy.spared(written, "b.test", 80)

    with caplog.at_level(logging.WARNING):
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [repr(entry) in record.getMessage() for record in caplog.records] == [True]


def test_a_password_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    noproxy._read.cache_clear()
    assert not noproxy.spared("http://ann:s3cr3t@dify.corp", "dify.corp", 80)
    assert "dify.corp" in caplog.text
    assert "s3cr3t" not in caplog.text
