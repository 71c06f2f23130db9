"""Each refusal of DingTalk has its type: bodies as documented or pasted by users (§4, §5, §8)."""

import asyncio
import inspect
import json
import socket

import httpx
import pytest

from dod import errors, http, logs
from dod.dingtalk import refusals

DENIED = "Forbidden.AccessDenied."


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, {"code": DENIED + "QpsLimitForAppkeyAndApi"}, errors.Throttled),
        (403, {"code": DENIED + "QpmLimitForAppkeyAndApi"}, errors.Throttled),
        (403, {"code": DENIED + "QpsLimitForApi"}, errors.Throttled),
        (403, {"code": DENIED + "QpsLimitForSuitekeyAndOrgAndApi"}, errors.Throttled),
        (429, {"code": "whatever"}, errors.Throttled),
        (400, {"code": "send.too.fast"}, errors.Throttled),
        (400, {"code": "send.byToken.tooFast"}, errors.Throttled),
        (200, {"errcode": 90018, "errmsg": "qps"}, errors.Throttled),
        (200, {"errcode": 90002, "errmsg": "qps"}, errors.Throttled),
        (403, {"code": DENIED + "ApiCountLimitForOrg"}, errors.QuotaExhausted),
        (200, {"errcode": 90020, "errmsg": "month"}, errors.QuotaExhausted),
        (403, {"code": DENIED + "IpNotInWhiteList"}, errors.AddressRefused),
        (200, {"status": 1111, "wait": 5, "punish": "deny"}, errors.AddressRefused),
        (403, {"code": DENIED + "AccessTokenPermissionDenied"}, errors.ScopeMissing),
        (400, {"code": "InvalidAuthentication"}, errors.BadCredentials),
        (401, {"code": "authFailed", "message": "鉴权失败"}, errors.BadCredentials),
        (401, {}, errors.BadCredentials),
        (400, {"code": "invalidClientIdOrSecret"}, errors.BadCredentials),
        (200, {"errcode": 40014, "errmsg": "token"}, errors.BadCredentials),
        (500, {"code": "system.busy"}, errors.DingTalkBusy),
        (400, {"code": "system.busy"}, errors.DingTalkBusy),
        (503, {}, errors.DingTalkBusy),
        (200, {"errcode": -1, "errmsg": "系统繁忙"}, errors.DingTalkBusy),
        (400, {"code": "param.cardNotExist"}, errors.CardGone),
        (
            400,
            {"code": "param.stream.outTrackId", "message": "card is not exist"},
            errors.CardGone,
        ),
        (400, {"code": "param.stream.content"}, errors.ContentTooLong),
        (400, {"code": "invalidParameter.msgParam.tooLong"}, errors.ContentTooLong),
        (400, {"code": "param.stream.contentEmpty"}, errors.DingTalkError),
        (400, {"code": "param.contentUnsafe"}, errors.DingTalkError),
        (200, {"success": False}, errors.DingTalkError),
        (200, {"errcode": 300001, "errmsg": "session"}, errors.DingTalkError),
        (302, {}, errors.DingTalkError),
    ],
)
def test_every_refusal_has_its_type(
    status: int, body: dict[str, object], kind: type[errors.DingTalkError]
) -> None:
    with pytest.raises(errors.DingTalkError) as caught:
        refusals.answer(status, json.dumps(body).encode())
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.detail[0].isupper()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b"<html>denied</html>", errors.AddressRefused),
        (400, b"<html>bad request</html>", errors.DingTalkBusy),
        (200, b"<html>portal</html>", errors.DingTalkBusy),
        (502, b"<html>nginx</html>", errors.DingTalkBusy),
        (200, b"", errors.DingTalkBusy),
        (200, b"[1]", errors.DingTalkBusy),
        (200, b"[" * 100_000, errors.DingTalkBusy),
        (200, b"\xff\xfe", errors.DingTalkBusy),
    ],
)
def test_what_is_no_json_object_is_a_firewall_or_an_outage(
    status: int, body: bytes, kind: type[errors.DingTalkError]
) -> None:
    with pytest.raises(errors.DingTalkError) as caught:
        refusals.answer(status, body)
    assert type(caught.value) is kind


def test_a_missing_scope_is_named() -> None:
    body = {
        "code": DENIED + "AccessTokenPermissionDenied",
        "message": "应用尚未开通所需的权限",
        "accessdenieddetail": {"requiredScopes": ["Card.Streaming.Write"]},
    }
    with pytest.raises(errors.ScopeMissing) as caught:
        refusals.answer(403, json.dumps(body).encode())
    assert caught.value.scopes == ("Card.Streaming.Write",)
    assert "Card.Streaming.Write" in caught.value.detail
    assert not caught.value.retry


def test_a_good_answer_is_its_object() -> None:
    assert refusals.answer(200, b'{"errcode":0,"errmsg":"ok"}') == {"errcode": 0, "errmsg": "ok"}
    assert refusals.answer(200, b'{"success":true,"result":true}')["result"] is True


def test_all_transport_errors_of_httpx_are_translated() -> None:
    kinds = [
        kind
        for kind in vars(httpx).values()
        if inspect.isclass(kind) and issubclass(kind, httpx.TransportError)
    ]
    assert len(kinds) >= 14
    for kind in [*kinds, httpx.DecodingError, httpx.TooManyRedirects, httpx.InvalidURL]:
        assert issubclass(kind, refusals.TRANSPORT_ERRORS)
        error = refusals.unreachable(kind("https://host/?ticket=abc"))
        assert type(error) is errors.DingTalkBusy
        assert error.retry
        assert "ticket" not in error.detail
        assert "host/" not in error.detail


def test_a_name_that_does_not_resolve_is_said_to_be_dns() -> None:
    async def act() -> str:
        async with http.client() as client:
            try:
                await client.get("http://no-such-host.invalid/")
            except httpx.ConnectError as exc:
                return refusals.unreachable(exc).detail
        return ""

    assert "DNS" in asyncio.run(act())
    assert "DNS" in refusals.unreachable(socket.gaierror()).detail


def test_another_way_is_tried_only_after_a_failure_without_effect() -> None:
    def failed(exc: Exception) -> errors.DingTalkError:
        error = refusals.unreachable(exc)
        error.__cause__ = exc
        return error

    assert refusals.surely_not_done(failed(httpx.ConnectError("")))
    assert refusals.surely_not_done(failed(httpx.ConnectTimeout("")))
    assert not refusals.surely_not_done(failed(httpx.ReadTimeout("")))
    assert not refusals.surely_not_done(failed(httpx.RemoteProtocolError("")))
    assert not refusals.surely_not_done(errors.DingTalkBusy(status=500))
    assert not refusals.surely_not_done(errors.DingTalkBusy(status=504))
    assert refusals.surely_not_done(errors.DingTalkBusy(status=500, code="system.busy"))
    assert refusals.surely_not_done(errors.DingTalkBusy(status=503))
    assert refusals.surely_not_done(errors.DingTalkBusy(status=200, code="-1"))
    assert refusals.surely_not_done(errors.DingTalkError(code="300001"))


@pytest.mark.parametrize("where", ["code", "message", "accessdenieddetail"])
def test_half_an_emoji_in_a_refusal_can_be_shown(where: str) -> None:
    """As Java cuts its texts. One such error made the whole status page an error 500."""
    half = json.loads('"no \\ud83d"')
    told = {"requiredScopes": [half]} if where == "accessdenieddetail" else half
    with pytest.raises(errors.DingTalkError) as caught:
        refusals.answer(403, json.dumps({"code": "c", where: told}).encode())
    assert "no \ufffd" in caught.value.detail
    caught.value.detail.encode()
    caught.value.code.encode()


def test_a_secret_that_is_said_back_is_hidden_before_the_words_are_cut() -> None:
    logs.hide("dingsecret-said-back-2")
    said = {"code": "odd", "message": f"{'x' * 190} dingsecret-said-back-2\n2026 INFO all is well"}
    with pytest.raises(errors.DingTalkError) as told:
        refusals.answer(400, json.dumps(said).encode())
    assert "dingsec" not in told.value.detail
    assert "\n" not in told.value.detail
