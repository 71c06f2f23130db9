"""``make check`` fails on what is known to be vulnerable, by the real pip-audit."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.advisories import ALLOWED, LOCK, Advisory, Allowed, Looked, judge, look, main

pytestmark = pytest.mark.skipif(
    find_spec("pip_audit") is None, reason="pip-audit belongs to the developer's tools"
)
HASH = "sha256:" + "0" * 64
PICKLE = "CVE-2025-69872"


class Osv:
    """An advisory service. ``known``: package → names of its one advisory, the first its id."""

    def __init__(self, **known: tuple[str, ...]) -> None:
        self.known = known
        self.asked: list[str] = []

    @contextlib.contextmanager
    def open(self) -> Iterator[tuple[str, ...]]:
        """What pip-audit must be told to ask here."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(service.answer(**body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Nothing: what was asked is in ``asked``."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield ("-s", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/query")
            finally:
                server.shutdown()
                thread.join()

    def answer(self, package: dict[str, str], version: str) -> dict[str, Any]:
        """In the format of OSV's ``/v1/query``."""
        self.asked.append(f"{package['name']} {version}")
        names = self.known.get(package["name"])
        if names is None:
            return {}
        affected = {
            "package": {"name": package["name"], "ecosystem": "PyPI"},
            "versions": [version],
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9000"}]},
            ],
        }
        one = {"id": names[0], "aliases": names[1:], "summary": "bad", "affected": [affected]}
        return {"vulns": [one]}


def _lock(folder: Path, *pins: str) -> Path:
    file = folder / "requirements.lock"
    file.write_text("".join(f"{pin} --hash={HASH}\n" for pin in pins), "utf-8")
    return file


def test_what_is_vulnerable_fails_with_its_name_and_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = _lock(tmp_path, "websockets==17.4", "idna==3.20")
    with Osv(websockets=("GHSA-aaaa", "CVE-2026-1")).open() as service:
        assert main([service], lock) == 1
    told = capsys.readouterr().err
    assert "websockets 17.4: CVE-2026-1, GHSA-aaaa (mended in 9000): upgrade" in told
    assert "idna" not in told


def test_what_is_allowed_passes_and_its_reason_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = _lock(tmp_path, "diskcache==5.6.3")
    with Osv(diskcache=("GHSA-w8v5-vhqr-4h9v", PICKLE)).open() as service:
        assert main([service], lock) == 0
    assert f"allowed: diskcache {PICKLE}: values are unpickled" in capsys.readouterr().out


def test_an_allowance_that_is_no_longer_needed_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = _lock(tmp_path, "diskcache==5.6.4")
    with Osv().open() as service:
        assert main([service], lock) == 1
    assert f"diskcache {PICKLE} is allowed, but nothing answers" in capsys.readouterr().err


def test_an_allowance_for_a_package_that_has_gone_fails() -> None:
    allowed = [Allowed("diskcache", PICKLE, "why")]
    (problem,) = judge(Looked({"idna": ()}, {}), allowed)
    assert problem == f"diskcache {PICKLE} is allowed, but not in the lock: take it out"
    assert not list(judge(Looked({"idna": ()}, {"everything": "no answer"}), allowed))


def test_an_allowance_is_for_one_package_only() -> None:
    found = Advisory("websockets", "17.4", frozenset({PICKLE}), ())
    allowed = Allowed("diskcache", PICKLE, "why")
    assert list(judge(Looked({"websockets": (found,)}, {}), [allowed]))


def test_each_package_of_the_lock_is_looked_up() -> None:
    osv = Osv()
    with osv.open() as service:
        looked = look([service], LOCK)
    assert not looked.unknown
    assert {"httpx", "aiohttp", "pytest", "supervisor"} <= looked.advisories.keys()
    assert len(osv.asked) == len(looked.advisories)


def test_the_next_service_is_asked_for_what_one_does_not_tell(tmp_path: Path) -> None:
    lock = _lock(tmp_path, "idna==3.20")
    nobody = ("-s", "osv", "--osv-url", "http://127.0.0.1:9/query")
    osv = Osv(idna=("CVE-2026-2",))
    with osv.open() as service:
        looked = look([nobody, service], lock)
    assert [one.version for one in looked.advisories["idna"]] == ["3.20"]
    assert not looked.unknown


def test_that_nobody_could_be_asked_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = _lock(tmp_path, "idna==3.20")
    nobody = ("-s", "osv", "--osv-url", "http://127.0.0.1:9/query")
    monkeypatch.delenv("DOD_TEST_REQUIRE", raising=False)
    assert main([nobody], lock) == 0
    assert "NOT LOOKED UP: everything: " in capsys.readouterr().out
    monkeypatch.setenv("DOD_TEST_REQUIRE", "docker,advisories")
    assert main([nobody], lock) == 1


def test_words_that_pip_audit_does_not_know_are_no_answer(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="usage: pip-audit"):
        look([("--service", "pypi")], _lock(tmp_path, "idna==3.20"))


def test_every_allowance_gives_a_reason() -> None:
    assert all(len(it.why) > 40 for it in ALLOWED)
