"""``dod doctor``: each trouble is named once, with its remedy, and nothing else is blamed."""

import io
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dod import authorities
from dod.cli import main
from dod.config.load import load
from dod.doctor.command import doctor
from dod.doctor.examination import Bounds
from dod.doctor.findings import TITLES
from dod.sim.background import Background
from dod.sim.dify.simulator import SimDify
from dod.sim.dingtalk.faults import Mishap
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.status import ConfigStatus, Status
from dod.web.server import StatusServer
from tests.e2e.rig import TEMPLATE, bot
from tests.network import Authority, ConnectProxy
from tests.ports import free_port
from tests.test_reach import closed_port, dated, server

ID, KEY = "ding-it", "app-it-key-0123456789"
SECRET = "dingsecret-it-0123456789"
CHANNEL = ("credentials", "stream", "websocket", "card", "typing", "sending")
APP = ("app", "type", "inputs")


class Told:
    """What one run of the command said. ``text`` and ``err`` as people read it."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def sections(self) -> list[dict[str, Any]]:
        sections: list[dict[str, Any]] = json.loads(self.out)["sections"]
        return sections

    def of(self, check: str, name: str = "it") -> dict[str, Any]:
        """The one finding of a bot's check, or else of the host's."""
        found: list[dict[str, Any]] = [
            finding
            for section in self.sections
            if section["bot"] in {"", name}
            for finding in section["findings"]
            if finding["check"] == check
        ]
        assert len(found) == 1, (check, found)
        return found[0]

    def with_outcome(self, outcome: str) -> set[str]:
        return {
            finding["check"]
            for section in self.sections
            for finding in section["findings"]
            if finding["outcome"] == outcome
        }


class Clinic:
    """Both neighbours, and a folder with a configuration of one bot."""

    def __init__(self, background: Background, folder: Path) -> None:
        self.background = background
        self.folder = folder
        self.dingtalk = background.start(SimDingTalk())
        self.dify = background.start(SimDify())
        self.dingtalk.add_template(TEMPLATE)
        self.dingtalk.add_app(ID, SECRET)
        self.app = self.dify.add_app(KEY, "chat")
        self.environ = {
            "DOD_DATA_DIR": str(folder / "data"),
            "DOD_WEB_LISTEN": "off",
            "DINGTALK_OPENAPI_ENDPOINT": self.dingtalk.url,
            "DIFY_OPEN_API_URL": self.dify.url,
        }
        (folder / "data").mkdir()
        self.save(bot("it"))

    def save(self, *bots: dict[str, object], **top: object) -> None:
        (self.folder / "bots.yaml").write_text(json.dumps({**top, "bots": bots}), "utf-8")

    def look(self, *names: str, style: str = "json", **bounds: float) -> Told:
        out, err = io.StringIO(), io.StringIO()
        status = doctor(
            names,
            self.environ,
            folder=self.folder,
            out=out,
            err=err,
            style="json" if style == "json" else "text",
            bounds=Bounds(**{"within": 5.0, **bounds}),  # type: ignore[arg-type]
        )
        for secret in (SECRET, KEY, *self.dingtalk.issued):
            assert secret not in out.getvalue() + err.getvalue()
        return Told(status, out.getvalue(), err.getvalue())

    def refuse(self, api: str, mishap: Mishap) -> None:
        self.dingtalk.faults.down[api] = mishap


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Clinic]:
    with Background() as background:
        yield Clinic(background, tmp_path)


# -- when all is well


def test_a_bot_that_works_is_found_well_and_nobody_notices(it: Clinic) -> None:
    person = it.dingtalk.person("小安", "staff-1")
    chat = it.dingtalk.single(ID, person)
    told = it.look()
    assert told.status == 0, told.out
    assert told.with_outcome("failed") | told.with_outcome("warning") == set()
    assert set(CHANNEL) | set(APP) <= told.with_outcome("ok")
    # No stream, which would get a share of the messages; no card, no message, no question.
    assert it.dingtalk.connections_opened[ID] == 0
    assert it.dingtalk.shown(chat) == []
    assert it.dingtalk.replies == []
    assert it.dify.requests == []
    assert list((it.folder / "data").iterdir()) == []
    # What it costs is told as DingTalk counts it.
    assert json.loads(told.out)["dingtalk_calls"] == 3 == it.dingtalk.gate.month_calls["dingcorp1"]


@pytest.mark.parametrize("version", ["0.15", "1.13"])
@pytest.mark.parametrize(
    ("kind", "app_type"),
    [
        ("chat", "chatbot"),
        ("agent", "chatbot"),
        ("chatflow", "chatbot"),
        ("completion", "completion"),
        ("workflow", "workflow"),
    ],
)
def test_the_kind_of_app_is_known_of_each_version(
    it: Clinic, version: Any, kind: Any, app_type: str
) -> None:
    it.dify.add_app(KEY, kind, version=version)
    it.save(bot("it", dify_app_type=app_type))
    assert it.look().of("type")["message"]["en"] == app_type
    others = {"chatbot", "completion", "workflow"} - {app_type}
    for other in others:
        it.save(bot("it", dify_app_type=other))
        told = it.look()
        assert told.with_outcome("failed") == {"type"}
        assert f"dify_app_type: {app_type}" in told.of("type")["fix"]["zh"]
        assert told.of("inputs")["outcome"] == "skipped"


def test_a_bot_without_cards_needs_no_template_and_spends_one_call(it: Clinic) -> None:
    it.save(bot("it", handler="DifyMarkdownBotHandler", dingtalk_ai_card_template_id="none.schema"))
    told = it.look()
    assert told.status == 0
    assert told.with_outcome("skipped") == {"dod", "card", "typing"}
    assert json.loads(told.out)["dingtalk_calls"] == 1


def test_the_public_template_is_looked_at_too(it: Clinic) -> None:
    it.save({**bot("it"), "dingtalk_ai_card_template_id": ""})
    entry = bot("it")
    del entry["dingtalk_ai_card_template_id"]
    it.save(entry)
    assert it.look().of("card")["outcome"] == "ok"


# -- DingTalk's side


def test_a_wrong_secret_is_one_failure(it: Clinic) -> None:
    it.dingtalk.apps[ID].client_secret = "another"
    told = it.look()
    assert told.status == 1
    assert told.with_outcome("failed") == {"credentials"}
    assert told.with_outcome("skipped") == {"dod", *CHANNEL} - {"credentials"}
    assert "凭证与基础信息" in told.of("credentials")["fix"]["zh"]
    assert json.loads(told.out)["dingtalk_calls"] == 0
    assert set(APP) <= told.with_outcome("ok")  # the other neighbour is not blamed


def test_all_missing_scopes_are_named_at_once(it: Clinic) -> None:
    scopes = {
        "card": "Card.Instance.Write",
        "typing": "Card.Streaming.Write",
        "sending": "qyapi_robot_sendmsg",
    }
    it.dingtalk.faults.missing_scopes |= set(scopes.values())
    told = it.look()
    for check, scope in scopes.items():
        finding = told.of(check)
        assert finding["outcome"] == ("warning" if check == "sending" else "failed")
        assert scope in finding["fix"]["zh"]
        assert scope in finding["fix"]["en"]
    assert told.with_outcome("failed") == {"card", "typing"}
    assert json.loads(told.out)["dingtalk_calls"] == 0  # turned away before they count


@pytest.mark.parametrize("status", [400, 500])
def test_a_template_that_is_unknown_or_unpublished_is_told(it: Clinic, status: int) -> None:
    it.dingtalk.switches.unknown_card_status = status  # of typing on a card that is none
    it.save(bot("it", dingtalk_ai_card_template_id="none.schema"))
    unknown = it.look()
    assert unknown.with_outcome("failed") == {"card"}
    assert {"typing", "sending"} <= unknown.with_outcome("ok")
    assert "模板 ID" in unknown.of("card")["fix"]["zh"]
    it.dingtalk.add_template("draft.schema", published=False)
    it.save(bot("it", dingtalk_ai_card_template_id="draft.schema"))
    draft = it.look()
    assert draft.with_outcome("failed") == {"card"}
    assert "发布" in draft.of("card")["fix"]["zh"]


def test_what_only_a_real_card_shows_is_said_of_an_own_template(it: Clinic) -> None:
    assert "content" in it.look().of("typing")["message"]["zh"]


def test_a_websockets_address_that_is_none_is_told(it: Clinic) -> None:
    there = {"endpoint": "wss://127.0.0.1:99999/connect", "ticket": "t"}
    body = json.dumps({"accessToken": "t", "expireIn": 7200, **there}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    here = server(head % len(body) + body)
    port = it.background.run(here.__aenter__())
    it.environ["DINGTALK_OPENAPI_ENDPOINT"] = f"http://127.0.0.1:{port}"
    told = it.look()
    it.background.run(here.__aexit__(None, None, None))
    assert told.with_outcome("failed") == {"stream"}


def test_a_refusal_that_nobody_knows_is_told_in_dingtalks_words(it: Clinic) -> None:
    body = json.dumps({"code": "strange", "message": "the moon is full"}).encode()
    head = b"HTTP/1.1 400 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    here = server(head % len(body) + body)
    port = it.background.run(here.__aenter__())
    it.environ["DINGTALK_OPENAPI_ENDPOINT"] = f"http://127.0.0.1:{port}"
    lines = it.look(style="text").out.splitlines()
    it.background.run(here.__aexit__(None, None, None))
    at = next(n for n, line in enumerate(lines) if "the moon is full" in line)
    # Whoever reads "above" or "below" looks there.
    assert "上面括号里" in lines[at + 1]
    assert "above" in lines[at + 2]


def test_an_app_without_stream_mode_is_told_and_the_rest_is_looked_at(it: Clinic) -> None:
    it.dingtalk.apps[ID].published = False
    told = it.look()
    assert told.with_outcome("failed") == {"stream"}
    assert "Stream 模式" in told.of("stream")["fix"]["zh"]
    assert told.with_outcome("skipped") == {"dod", "websocket"}


def test_a_used_up_quota_a_refused_address_and_throttling_end_the_looking(it: Clinic) -> None:
    it.dingtalk.faults.quota_used_up = True
    assert it.look().with_outcome("failed") == {"card"}
    it.dingtalk.faults.clear()
    it.dingtalk.faults.address_refused = True
    refused = it.look()
    assert refused.with_outcome("failed") == {"card"}
    assert "出口 IP" in refused.of("card")["fix"]["zh"]
    assert {"typing", "sending"} <= refused.with_outcome("skipped")


@pytest.mark.parametrize("mishap", ["html", "busy", "reset", "endless"])
def test_an_answer_that_is_none_is_told_once(it: Clinic, mishap: Mishap) -> None:
    it.refuse("token", mishap)
    told = it.look()
    assert told.with_outcome("failed") == {"credentials"}
    assert told.of("credentials")["detail"]


def test_a_neighbour_that_hangs_takes_its_time_and_no_more(it: Clinic) -> None:
    it.refuse("token", "hang")
    told = it.look(within=0.2)
    assert told.with_outcome("failed") == {"credentials"}
    it.dingtalk.faults.clear()
    it.refuse("gateway", "hang")
    assert it.look(within=0.2).with_outcome("failed") == {"stream"}
    it.dingtalk.faults.clear()
    it.refuse("create", "drip")
    assert it.look(within=0.2).with_outcome("failed") == {"card"}


def test_all_of_it_is_bounded_and_what_was_found_until_then_is_told(it: Clinic) -> None:
    it.refuse("token", "hang")
    it.dingtalk.add_app("ding-hr", "dingsecret-hr-0123456789")
    it.save(bot("it"), bot("hr"))
    told = it.look(within=30.0, whole=0.5)
    assert told.of("time", "it")["outcome"] == "warning"
    assert told.of("time", "hr")["outcome"] == "warning"
    assert told.of("app")["outcome"] == "ok"


def test_a_dingtalk_that_is_not_there_is_told_once_for_all_bots(it: Clinic) -> None:
    it.environ["DINGTALK_OPENAPI_ENDPOINT"] = f"http://127.0.0.1:{closed_port()}"
    it.save(bot("it"), bot("hr", dify_app_api_key=KEY))
    told = it.look()
    assert told.with_outcome("failed") == {"dingtalk"}
    assert {told.of(check, "hr")["outcome"] for check in CHANNEL} == {"skipped"}
    assert {told.of(check, "hr")["outcome"] for check in APP} == {"ok"}


def test_a_certificate_of_the_offices_own_is_explained(
    it: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca").mkdir()
    authority = Authority(tmp_path / "ca")
    sim = it.background.start(SimDingTalk(tls=authority.serving()))
    sim.add_template(TEMPLATE)
    sim.add_app(ID, SECRET)
    it.environ["DINGTALK_OPENAPI_ENDPOINT"] = sim.url
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(authorities, "ours", authorities.Authorities())
    told = it.look()
    assert told.with_outcome("failed") == {"dingtalk"}
    assert "SSL_CERT_FILE" in told.of("dingtalk")["fix"]["zh"]
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    it.environ["SSL_CERT_FILE"] = str(authority.file)
    monkeypatch.setattr(authorities, "ours", authorities.Authorities())
    told = it.look()
    assert told.status == 0, told.out
    assert told.of("certificates")["outcome"] == "ok"
    assert told.of("websocket")["outcome"] == "ok"
    it.environ["SSL_CERT_FILE"] = str(tmp_path / "bots.yaml")
    assert it.look().of("certificates")["outcome"] == "warning"


# -- Dify's side


def test_each_refusal_of_dify_has_its_remedy(it: Clinic) -> None:
    it.save(bot("it", dify_app_api_key="app-another-key-9876543210"))
    wrong = it.look()
    assert wrong.with_outcome("failed") == {"app"}
    assert "API 密钥" in wrong.of("app")["fix"]["zh"]
    assert {"type", "inputs"} <= wrong.with_outcome("skipped")
    it.save(bot("it"))
    it.app.enabled = False
    assert "打开开关" in it.look().of("app")["fix"]["zh"]
    it.app.enabled = True
    it.app.published = False
    assert "发布" in it.look().of("app")["fix"]["zh"]
    it.app.published = True
    it.environ["DIFY_OPEN_API_URL"] = it.dify.url.removesuffix("/v1") + "/console/v1"
    assert "/v1" in it.look().of("app")["fix"]["zh"]


def test_a_page_instead_of_dify_is_told_by_who_sends_it(it: Clinic) -> None:
    for status, word in (("502 Bad Gateway", "api"), ("403 Forbidden", "NO_PROXY")):
        page = f"HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno"
        here = server(page.encode())
        port = it.background.run(here.__aenter__())
        it.environ["DIFY_OPEN_API_URL"] = f"http://127.0.0.1:{port}/v1"
        told = it.look()
        it.background.run(here.__aexit__(None, None, None))
        assert told.with_outcome("failed") == {"app"}
        assert word in told.of("app")["fix"]["zh"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("200 OK", b'{"code": 401, "msg": "not logged in"}'),
        ("200 OK", b"[]"),
        ("404 Not Found", b'{"code": "not_found", "message": "no such URL", "status": 404}'),
        ("400 Bad Request", b"<html>The plain HTTP request was sent to HTTPS port</html>"),
        ("301 Moved Permanently", b"<html></html>"),
    ],
)
def test_who_is_no_dify_at_this_address_is_not_taken_for_one(
    it: Clinic, status: str, body: bytes
) -> None:
    here = server(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    port = it.background.run(here.__aenter__())
    it.environ["DIFY_OPEN_API_URL"] = f"http://127.0.0.1:{port}/v1"
    told = it.look()
    it.background.run(here.__aexit__(None, None, None))
    assert told.with_outcome("failed") == {"app"}
    for word in ("/v1", "https://"):
        assert word in told.of("app")["fix"]["zh"]


def test_a_dify_that_is_not_there_cannot_be_named_or_is_silent(it: Clinic) -> None:
    it.environ["DIFY_OPEN_API_URL"] = f"http://127.0.0.1:{closed_port()}/v1"
    refused = it.look()
    assert refused.with_outcome("failed") == {"dify"}
    assert "容器" in refused.of("dify")["fix"]["zh"]
    assert (
        "Dify" not in refused.of("dify")["fix"]["zh"]
    )  # it may be a proxy, or DingTalk's stand-in
    assert {refused.of(check)["outcome"] for check in APP} == {"skipped"}
    it.environ["DIFY_OPEN_API_URL"] = "http://nowhere.invalid/v1"
    assert "DNS" in it.look().of("dify")["message"]["en"]
    here = server(None)
    port = it.background.run(here.__aenter__())
    it.environ["DIFY_OPEN_API_URL"] = f"http://127.0.0.1:{port}/v1"
    silent = it.look(within=0.3)
    it.background.run(here.__aexit__(None, None, None))
    assert silent.with_outcome("failed") == {"dify"}


def test_variables_that_the_form_wants_are_held_against_dify_inputs(it: Clinic) -> None:
    it.app.required = ("department",)
    lacking = it.look()
    assert lacking.with_outcome("failed") == {"inputs"}
    assert 'department: "{text}"' in lacking.of("inputs")["fix"]["zh"]
    it.save(bot("it", dify_inputs={"department": "IT"}))
    assert it.look().of("inputs")["outcome"] == "ok"
    it.app.required = ()
    strange = it.look()
    assert strange.of("inputs")["outcome"] == "warning"
    assert strange.status == 2


# -- the host's side


def test_the_clock_is_held_against_dingtalks(it: Clinic) -> None:
    it.dingtalk.faults.clock_ahead = 400.0
    told = it.look()
    assert told.status == 2
    assert "本机的时钟慢了" in told.of("clock")["message"]["zh"]
    it.dingtalk.faults.clock_ahead = 0.0
    here = server(dated(-3600))
    port = it.background.run(here.__aenter__())
    it.environ["DIFY_OPEN_API_URL"] = f"http://127.0.0.1:{port}/v1"
    told = it.look()
    it.background.run(here.__aexit__(None, None, None))
    assert f"127.0.0.1:{port}的时钟慢了" in told.of("clock")["message"]["zh"]


def test_a_proxy_is_shown_without_its_password_and_named_where_it_fails(
    it: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = it.background.run(ConnectProxy().start())
    proxy.refuse = 407
    monkeypatch.setenv("HTTPS_PROXY", f"http://ann:open-sesame@127.0.0.1:{proxy.port}")
    monkeypatch.setenv("ALL_PROXY", "socks5://ann:open-sesame@127.0.0.1:1080")
    it.environ["DIFY_OPEN_API_URL"] = "https://dify.example.com/v1"
    told = it.look()
    text = it.look(style="text")
    it.background.run(proxy.close())
    assert told.with_outcome("failed") == {"dify"}
    assert f"127.0.0.1:{proxy.port}" in told.of("dify")["fix"]["zh"]
    assert "HTTPS_PROXY" in told.of("dify")["fix"]["en"]
    unusable, ways = (
        finding for finding in told.sections[0]["findings"] if finding["check"] == "proxy"
    )
    assert "ALL_PROXY" in unusable["message"]["en"]
    assert f"dify.example.com → 127.0.0.1:{proxy.port}" in ways["message"]["en"]
    assert "open-sesame" not in told.out + text.out


def test_a_proxy_that_answers_in_difys_place_is_named(
    it: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = b"HTTP/1.1 503 No\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
    here = server(page)
    port = it.background.run(here.__aenter__())
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", it.dingtalk.url.removeprefix("http://"))
    it.environ["DIFY_OPEN_API_URL"] = "http://dify.example.com/v1"
    told = it.look()
    it.background.run(here.__aexit__(None, None, None))
    assert told.with_outcome("failed") == {"app"}
    assert f"代理 127.0.0.1:{port}" in told.of("app")["fix"]["zh"]
    assert told.of("app")["detail"] == "HTTP 503 HTML"


def test_a_data_folder_that_takes_nothing_is_told(it: Clinic) -> None:
    (it.folder / "file").touch()
    it.environ["DOD_DATA_DIR"] = str(it.folder / "file")
    assert it.look().with_outcome("failed") == {"data"}
    it.environ["DOD_DATA_DIR"] = str(it.folder / "none")
    assert it.look().of("data")["outcome"] == "skipped"
    assert not (it.folder / "none").exists()


def test_a_dod_that_does_not_run_is_a_warning(it: Clinic) -> None:
    it.environ["DOD_WEB_LISTEN"] = f"127.0.0.1:{closed_port()}"
    told = it.look()
    assert told.status == 2
    assert told.with_outcome("warning") == {"dod"}
    assert "dod run" in told.of("dod")["fix"]["zh"]


def test_a_data_folder_that_cannot_be_made_or_even_looked_for_is_told(it: Clinic) -> None:
    (it.folder / "file").touch()
    for folder in (it.folder / "file" / "data", it.folder / ("x" * 300)):
        it.environ["DOD_DATA_DIR"] = str(folder)
        told = it.look()
        assert told.with_outcome("failed") == {"data"}
        assert "PUID" in told.of("data")["fix"]["zh"]


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"bots":[1]}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"[" * 99_999,
    ],
)
def test_another_program_at_the_status_pages_port_is_no_dod(it: Clinic, answer: bytes) -> None:
    here = server(answer)
    port = it.background.run(here.__aenter__())
    it.environ["DOD_WEB_LISTEN"] = f"127.0.0.1:{port}"
    told = it.look()
    it.background.run(here.__aexit__(None, None, None))
    assert told.with_outcome("warning") == {"dod"}
    assert f"127.0.0.1:{port}" in told.of("dod")["message"]["zh"]


def test_a_status_page_with_a_password_is_asked_with_that_of_the_file(it: Clinic) -> None:
    now, port = time.time(), free_port()
    told = Status(now, ConfigStatus("bots.yaml", 1, "accepted", now, (), applied=True), ())
    page = StatusServer(
        ("127.0.0.1", port), lambda: told, hosts=(), password=lambda: "open-sesame-1"
    )
    page.start()
    it.environ["DOD_WEB_LISTEN"] = f"127.0.0.1:{port}"
    try:
        it.save(bot("it"), web={"password": "open-sesame-1"})
        right = it.look()
        it.save(bot("it"), web={"password": "close-sesame-1"})
        wrong = it.look()
    finally:
        page.close()
    assert right.of("dod")["outcome"] == "ok"
    assert wrong.of("dod")["outcome"] == "skipped"
    assert "web.password" in wrong.of("dod")["message"]["zh"]
    assert "sesame" not in right.out + wrong.out


def test_what_the_running_dod_tells_of_store_quota_and_bot_is_passed_on(it: Clinic) -> None:
    status = {
        "version": "1.2.3",
        "ready": False,
        "store": "the store is in memory",
        "quota": [{"message": {"zh": "快用完了", "en": "nearly used up"}}],
        "bots": [{"name": "it", "state": "retrying", "verdict": "running", "last_error": "no DNS"}],
    }
    body = json.dumps(status).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    here = server(head + body)
    port = it.background.run(here.__aenter__())
    it.environ["DOD_WEB_LISTEN"] = f"127.0.0.1:{port}"
    it.save(bot("it"), bot("hr", dify_app_api_key=KEY))
    it.dingtalk.add_app("ding-hr", "dingsecret-hr-0123456789")
    told = it.look()
    it.background.run(here.__aexit__(None, None, None))
    assert told.with_outcome("warning") == {"store", "quota", "state"}
    assert "还没有收到过消息" in told.of("state")["message"]["zh"]
    assert told.of("quota")["message"]["zh"] == "快用完了"
    assert told.of("state")["detail"] == "no DNS"
    assert "does not have this bot" in told.of("state", "hr")["message"]["en"]


# -- configuration and names


def test_a_bot_with_errors_is_sent_to_dod_check_and_the_others_are_examined(it: Clinic) -> None:
    it.save(bot("it"), bot("bad", dify_app_type="chatbt"))
    told = it.look()
    assert told.status == 1
    assert told.with_outcome("failed") == {"configuration"}
    assert [section["bot"] for section in told.sections] == ["", "bad", "it"]
    assert "dod check" in told.sections[1]["findings"][0]["fix"]["zh"]
    assert [section["bot"] for section in it.look("bad").sections] == ["", "bad"]


def test_without_a_configuration_the_host_is_examined(it: Clinic) -> None:
    (it.folder / "bots.yaml").write_text("bots: [\n")
    told = it.look("it")
    assert told.status == 1
    assert told.with_outcome("failed") == {"configuration"}
    (it.folder / "bots.yaml").unlink()
    assert it.look().with_outcome("failed") == {"configuration"}


def test_what_is_wrong_with_the_configuration_is_said_with_its_place(it: Clinic) -> None:
    (it.folder / "bots.yaml").write_text("bots: [\n")
    broken = it.look().of("configuration")
    assert broken["message"]["zh"].startswith("bots.yaml")
    assert "not closed" in broken["message"]["en"]
    it.save(bot("it"))
    it.environ["DIFY_OPEN_API_URL"] = "http://127.0.0.1:99999/v1"
    assert "DIFY_OPEN_API_URL" in it.look().of("configuration")["message"]["en"]


def test_where_no_bot_is_on_that_is_what_is_wrong(it: Clinic) -> None:
    it.save(bot("it", enabled=False))
    told = it.look()
    assert told.status == 2
    assert "enabled: false" in told.of("configuration")["fix"]["zh"]
    assert it.look("it").of("configuration")["outcome"] == "warning"
    it.save()
    assert it.look().status == 2


def test_advice_is_no_warning_and_warnings_are(it: Clinic) -> None:
    it.dingtalk.apps[ID].client_secret = clear = "Zx9KpQ7vR2mN4tB8wL1cY6hJ3fD5sG0a"
    it.save(bot("it", dingtalk_app_client_secret=clear))
    assert any(problem.advice for problem in load(it.folder, it.environ).problems)
    assert it.look().of("configuration")["outcome"] == "ok"
    it.environ["DIFY_CONVERSATION_REMAIN_TIME"] = "15"
    assert it.look().of("configuration")["outcome"] == "warning"


def test_names_choose_and_who_is_off_is_examined_by_name_only(it: Clinic) -> None:
    it.save(bot("it"), bot("hr", enabled=False))
    assert [section["bot"] for section in it.look().sections] == ["", "it"]
    off = it.look("hr")
    assert [section["bot"] for section in off.sections] == ["", "hr"]
    assert "enabled: false" in off.of("state", "hr")["message"]["zh"]


def test_a_name_that_nobody_has_is_answered_with_those_there_are(it: Clinic) -> None:
    it.save(bot("finance"), bot("it"))
    told = it.look("finanse")
    assert (told.status, told.out) == (64, "")
    assert "finance, it" in told.err
    assert "Did you mean finance?" in told.err
    assert "是不是想写 finance" in told.err
    assert it.dingtalk.calls.total() == 0


# -- what is printed


def test_text_says_each_check_in_a_line_and_its_remedy_below(it: Clinic) -> None:
    it.dingtalk.faults.missing_scopes.add("Card.Instance.Write")
    text = it.look(style="text").out
    lines = text.splitlines()
    assert lines[0] == "本机 this host"
    at = next(n for n, line in enumerate(lines) if "卡片模板 card template" in line)
    assert lines[at].startswith("  失败 FAILED   ")
    assert lines[at + 1 : at + 3] == [
        "      应用缺少权限：Card.Instance.Write",
        "      The app lacks a permission: Card.Instance.Write",
    ]
    assert lines[at + 4].startswith("      怎么办: ")
    assert lines[at + 5].startswith("      fix: ")
    assert "@" not in lines[-1]  # what else may be wrong is said when nothing is
    assert lines[-1].startswith(
        "=> 1 项失败，0 项提醒；用了 2 次钉钉 API 调用（每月 5000 次）。 · "
    )
    for check in (*CHANNEL, *APP):
        assert sum(f"{TITLES[check].zh} {TITLES[check].en}" in line for line in lines) == 1


def test_where_all_is_well_it_is_said_what_only_people_know(it: Clinic) -> None:
    last = it.look(style="text").out.splitlines()[-2:]
    assert "Client ID" in last[0]
    assert "same Client ID" in last[1]


def test_a_neighbours_words_cannot_trick_a_terminal_nor_show_a_secret(it: Clinic) -> None:
    it.dingtalk.add_app(ID, SECRET)
    page = json.dumps({"code": "unauthorized", "message": f"\x1b[2J no {KEY}"}).encode()
    head = b"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    here = server(head % len(page) + page)
    port = it.background.run(here.__aenter__())
    it.environ["DIFY_OPEN_API_URL"] = f"http://127.0.0.1:{port}/v1"
    text = it.look(style="text").out
    it.background.run(here.__aexit__(None, None, None))
    assert "HTTP 401 unauthorized" in text
    assert "\x1b" not in text


def test_the_command_line_knows_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--help"])
    assert ended.value.code == 0
    assert "64 wrong arguments" in capsys.readouterr().out


def test_every_title_is_in_both_languages_and_used() -> None:
    source = "".join(
        path.read_text("utf-8")
        for path in (Path(__file__).parent.parent / "dod" / "doctor").glob("*.py")
    )
    for check, title in TITLES.items():
        assert title.zh
        assert title.en
        assert source.count(f'"{check}"') >= 2, check


def test_the_simulated_gateway_lets_nobody_in_without_a_ticket(it: Clinic) -> None:
    """What the way to the websocket is looked at by must never be a connection."""
    host, port = it.dingtalk.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as plain:
        plain.sendall(b"GET /connect HTTP/1.1\r\nHost: sim\r\n\r\n")
        assert plain.recv(64).startswith(b"HTTP/1.1 401")
    assert it.dingtalk.connections_opened[ID] == 0
