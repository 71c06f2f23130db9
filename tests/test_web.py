"""The status server: who is served, what is told, what never is."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dod.status import BotSnapshot, ConfigStatus, Status, Turns
from dod.web.guests import MOST
from dod.web.server import StatusServer, host_allowed, metrics
from tests.ports import free_port

BOT = BotSnapshot(name='人"事', state="connected", since=1.0, turns=Turns(answered=3), calls=12)
READY = Status(
    started_at=1.0, config=ConfigStatus("bots.yaml", 1, "accepted", applied=True), bots=(BOT,)
)


@contextmanager
def serving(status: Status = READY, password: str = "") -> Iterator[int]:
    port = free_port()
    server = StatusServer(
        ("127.0.0.1", port), lambda: status, hosts=("nas.example.com",), password=lambda: password
    )
    server.start()
    try:
        yield port
    finally:
        server.close()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("127.0.0.1:8765", True),
        ("[::1]:8765", True),
        ("192.168.1.9", True),
        ("localhost:8765", True),
        ("nas:8765", True),
        ("nas.local", True),
        ("box.home.arpa", True),
        ("nas.example.com:8765", True),
        ("evil.example.com", False),
        ("127.0.0.1.evil.com", False),
        ("", False),
    ],
)
def test_only_local_names_are_served(host: str, served: bool) -> None:
    assert host_allowed(host, ("nas.example.com",)) == served


def test_foreign_host_gets_421_with_a_sentence() -> None:
    with serving() as port:
        code, text = ask(port, "/api/status", Host="evil.example.com")
        assert code == 421
        assert "DOD_WEB_HOSTS" in text


def test_status_is_told_as_designed() -> None:
    with serving() as port:
        code, text = ask(port, "/api/status")
        told = json.loads(text)
    assert code == 200
    assert told["ready"]
    assert told["now"] > told["started_at"]  # dod's clock: ages are told by it
    assert told["config"]["verdict"] == "accepted"
    assert told["bots"][0]["turns"] == {"answered": 3, "failed": 0, "in_flight": 0, "waiting": 0}
    assert told["bots"][0]["dingtalk_calls"] == {"month": 12}


def test_page_is_served_and_asks_nobody_else() -> None:
    with serving() as port:
        code, text = ask(port, "/")
    assert code == 200
    assert "http://" not in text
    assert "https://" not in text


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (READY, 200),
        (Status(started_at=1.0), 503),
        (Status(started_at=1.0, config=ConfigStatus(verdict="rejected")), 503),
        (Status(started_at=1.0, config=ConfigStatus(verdict="accepted", applied=True)), 200),
        (Status(started_at=1.0, config=READY.config, bots=READY.bots, stopping=True), 503),
        (
            Status(
                started_at=1.0,
                config=READY.config,
                bots=(BotSnapshot(name="a", state="bad_credentials", since=1.0),),
            ),
            200,
        ),
        (
            Status(
                started_at=1.0,
                config=READY.config,
                bots=(BotSnapshot(name="a", state="retrying", since=1.0),),
            ),
            503,
        ),
    ],
)
def test_readiness(status: Status, code: int) -> None:
    with serving(status) as port:
        assert ask(port, "/readyz")[0] == code


def test_health_does_not_depend_on_configuration() -> None:
    with serving(Status(started_at=1.0)) as port:
        assert ask(port, "/healthz")[0] == 200
    with serving(Status(started_at=1.0, alive=False)) as port:
        assert ask(port, "/healthz")[0] == 503


def test_other_methods_and_paths_are_refused() -> None:
    with serving() as port:
        assert ask(port, "/api/status", "POST")[0] == 405
        assert ask(port, "/etc/passwd")[0] == 404
        assert ask(port, "/../../etc/passwd")[0] == 404


def test_who_holds_on_to_connections_shuts_nobody_out() -> None:
    """Each takes a descriptor of the bots' process, and one that says nothing stays for an hour."""
    with serving() as port, contextlib.ExitStack() as held:
        silent = [
            held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            for _ in range(MOST + 5)
        ]
        for one in silent:
            with contextlib.suppress(OSError):  # it has been hung up on already
                one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert ask(port, "/healthz")[0] == 200
        for one in silent[:5]:
            assert _hung_up(one)
        one = silent[-1]
        one.sendall(b"no\r\n\r\n")
        assert one.recv(12) == b"HTTP/1.1 200"


def _hung_up(one: socket.socket) -> bool:
    try:
        return one.recv(1) == b""
    except ConnectionError:
        return True


def test_who_reads_no_answer_is_hung_up_on_too() -> None:
    with serving() as port, contextlib.ExitStack() as held:
        deaf = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        deaf.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        for _ in range(MOST):
            one = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert one.recv(12) == b"HTTP/1.1 200"
        with contextlib.suppress(ConnectionError):
            while deaf.recv(65536):
                pass


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01 no HTTP at all\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization Basic c2VjcmV0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 9000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_without_a_word_in_the_log(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Anybody on the network can say it a thousand times a second."""
    with serving() as port:
        caplog.clear()
        with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
            one.sendall(said)
            assert b" 400 " in one.recv(200)
    assert not caplog.records


def test_a_bug_of_ours_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Status:
        raise ZeroDivisionError

    port = free_port()
    server = StatusServer(("127.0.0.1", port), broken)
    server.start()
    try:
        assert ask(port, "/api/status")[0] == 500
    finally:
        server.close()
    assert "ZeroDivisionError" in caplog.text


def test_password_guards_what_tells_something() -> None:
    with serving(password="p:ass") as port:
        assert ask(port, "/api/status")[0] == 401
        assert ask(port, "/api/status", Authorization="Basic !!")[0] == 401
        assert ask(port, "/api/status", Authorization="Basic ZG9kOndyb25n")[0] == 401
        assert ask(port, "/api/status", Authorization="Basic ZG9kOnA6YXNz")[0] == 200
        assert ask(port, "/healthz")[0] == 200


def test_a_taken_port_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as port:
        second = StatusServer(("127.0.0.1", port), lambda: READY)
        second.start()
        second.close()
    assert "cannot listen" in caplog.text


def test_metrics_escape_names() -> None:
    assert 'dod_bot_connected{bot="人\\"事"} 1' in metrics(READY)
