"""The simulated DingTalk refuses what the real one refuses, and breaks when told to."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, fields
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from dod.sim.background import Background
from dod.sim.dingtalk.faults import Api, Mishap, Refusal, Switches
from dod.sim.dingtalk.simulator import SimDingTalk
from dod.sim.dingtalk.templates import PUBLIC_CARD, PUBLIC_DEMO
from dod.sim.dingtalk.world import SimCard, SimEvent, SimMessage, SimReply

Json = dict[str, Any]
APP, SECRET = "ding1", "secret-of-ding1"
OWN = "own.schema"
BOT_TOPIC = "/v1.0/im/bot/messages/get"
CARD_TOPIC = "/v1.0/card/instances/callback"
GONE: Any = object()  # a field to leave out


@dataclass
class Bot:
    """A client of one's own making: no SDK, no dod."""

    sim: SimDingTalk
    http: httpx.AsyncClient
    token: str = ""
    links: list[ClientConnection] = field(default_factory=list)

    async def login(self) -> None:
        keys = {"appKey": APP, "appSecret": SECRET}
        answer = await self.http.post("/v1.0/oauth2/accessToken", json=keys)
        self.token = answer.json()["accessToken"]

    async def call(self, method: str, path: str, body: object) -> httpx.Response:
        headers = {"x-acs-dingtalk-access-token": self.token}
        return await self.http.request(method, path, json=body, headers=headers)

    async def post(self, path: str, body: object) -> httpx.Response:
        return await self.call("POST", path, body)

    async def put(self, path: str, body: object) -> httpx.Response:
        return await self.call("PUT", path, body)

    async def open(self, **more: object) -> httpx.Response:
        topics = [{"type": "CALLBACK", "topic": topic} for topic in (BOT_TOPIC, CARD_TOPIC)]
        body = {"clientId": APP, "clientSecret": SECRET, "subscriptions": topics, **more}
        headers = {"Accept": "application/json"}
        return await self.http.post("/v1.0/gateway/connections/open", json=body, headers=headers)

    async def link(self, **options: Any) -> ClientConnection:
        got = (await self.open()).json()
        uri = f"{got['endpoint']}?ticket={got['ticket']}"
        link = await connect(uri, proxy=None, **options)
        self.links.append(link)
        await self.sim.wait(lambda: self.sim.live_connections(APP) > 0)
        return link

    async def card(self, card_id: str = "c1", **more: object) -> SimCard:
        answer = await self.post("/v1.0/card/instances/createAndDeliver", creation(card_id, **more))
        assert answer.status_code == 200, answer.text
        return self.sim.cards[card_id]

    async def stream(self, text: str, guid: str, **more: object) -> httpx.Response:
        return await self.put("/v1.0/card/streaming", streaming(content=text, guid=guid, **more))


def creation(card_id: str = "c1", **more: Any) -> Json:
    return laid(
        {
            "cardTemplateId": OWN,
            "outTrackId": card_id,
            "cardData": {"cardParamMap": {"content": ""}},
            "callbackType": "STREAM",
            "imGroupOpenSpaceModel": {"supportForward": True},
            "imRobotOpenSpaceModel": {"supportForward": True},
            "openSpaceId": "dtv1.card//IM_ROBOT.staff1",
            "userIdType": 1,
            "imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT", "robotCode": APP},
        },
        more,
    )


def streaming(**more: Any) -> Json:
    whole = {"outTrackId": "c1", "guid": "g1", "key": "content", "content": "hi", "isFull": True}
    return laid(whole, more)


def laid(body: Json, more: Json) -> Json:
    return {name: value for name, value in {**body, **more}.items() if value is not GONE}


async def frame_of(link: ClientConnection) -> Json:
    frame: Json = json.loads(await asyncio.wait_for(link.recv(), 5))
    return frame


async def ack(link: ClientConnection, frame: Json, data: object = None) -> None:
    headers = {"messageId": frame["headers"]["messageId"], "contentType": "application/json"}
    body = {"code": 200, "message": "OK", "headers": headers, "data": json.dumps(data)}
    await link.send(json.dumps(body))


@contextlib.asynccontextmanager
async def started(**options: Any) -> AsyncIterator[Bot]:
    sim = await SimDingTalk(**options).start()
    sim.add_app(APP, SECRET)
    sim.add_template(OWN)
    sim.person("Ann", "staff1")
    async with httpx.AsyncClient(base_url=sim.url, trust_env=False, timeout=5) as http:
        bot = Bot(sim, http)
        try:
            await bot.login()
            yield bot
        finally:
            for link in bot.links:
                link.transport.abort()
            await sim.close()


def run(scenario: Callable[[Bot], Awaitable[None]], **options: Any) -> None:
    async def told() -> None:
        async with started(**options) as bot:
            await scenario(bot)

    asyncio.run(asyncio.wait_for(told(), 20))


def ann(bot: Bot) -> Any:
    return bot.sim.world.staff["staff1"]


# ---------------------------------------------------------------------- what is refused


CREATE = "/v1.0/card/instances/createAndDeliver"
GROUP_MODEL = {"robotCode": APP}
CREATION_ROWS: list[tuple[Json, str]] = [
    ({"cardTemplateId": GONE}, "param.cardTemplateIdEmpty"),
    ({"cardTemplateId": "nobody.schema"}, "param.templateNotExist"),
    ({"cardTemplateId": "draft.schema"}, "param.templateUnpublished"),
    ({"outTrackId": ""}, "param.outTrackIdEmpty"),
    ({"outTrackId": 7}, "param.invalid"),
    ({"outTrackId": "x" * 65}, "outTrackId.outOfLimit"),
    ({"outTrackId": "used"}, "param.cardAlreadyExist"),
    ({"cardData": GONE}, "param.cardPublicDataEmpty"),
    ({"cardData": {"content": "x"}}, "param.cardPublicDataEmpty"),
    ({"cardData": {"cardParamMap": {"flowStatus": 1}}}, "param.invalid"),
    ({"cardData": {"cardParamMap": {"x" * 101: ""}}}, "param.invalid"),
    ({"cardData": {"cardParamMap": {"content": "a bad word"}}}, "param.contentUnsafe"),
    ({"callbackType": "PIGEON"}, "param.invalid"),
    ({"userIdType": 9}, "param.invalid"),
    ({"imRobotOpenSpaceModel": {}}, "param.openSpaceModelInvalid"),
    ({"imRobotOpenSpaceModel": GONE}, "param.openSpaceModelInvalid"),
    ({"openSpaceId": GONE}, "param.openSpaceIdEmpty"),
    ({"openSpaceId": ""}, "param.openSpaceIdEmpty"),
    ({"openSpaceId": "IM_ROBOT.staff1"}, "param.openSpaceIdInvalid"),
    ({"openSpaceId": "dtv1.card//IM_MARS.staff1"}, "param.openSpaceIdInvalid"),
    ({"openSpaceId": "dtv1.card//IM_ROBOT."}, "param.openSpaceIdInvalid"),
    ({"imRobotOpenDeliverModel": GONE}, "param.openDeliverModelEmpty"),
    (
        {"imRobotOpenDeliverModel": GONE, "imGroupOpenDeliverModel": GROUP_MODEL},
        "param.spaceDeliverModelEmpty",
    ),
    ({"imRobotOpenDeliverModel": {"robotCode": APP}}, "param.invalid"),
    (
        {"openSpaceId": "dtv1.card//IM_GROUP.cid", "imGroupOpenDeliverModel": {"atUserIds": {}}},
        "param.invalid",
    ),
]


@pytest.mark.parametrize(("more", "code"), CREATION_ROWS)
def test_creation_is_refused(more: Json, code: str) -> None:
    async def scenario(bot: Bot) -> None:
        bot.sim.add_template("draft.schema", published=False)
        bot.sim.faults.unsafe_words.add("bad word")
        await bot.card("used")
        answer = await bot.post(CREATE, creation(**more))
        body = answer.json()
        assert (answer.status_code, body["code"]) == (400, code)
        assert body["requestid"] == answer.headers["x-acs-request-id"]
        assert set(bot.sim.cards) == {"used"}
        assert bot.sim.refused[APP, "create_and_deliver", code] == 1

    run(scenario)


STREAMING_ROWS: list[tuple[Json, str]] = [
    ({"key": GONE}, "param.stream.keyEmpty"),
    ({"content": ""}, "param.stream.contentEmpty"),
    ({"guid": ""}, "param.stream.guidEmpty"),
    ({"outTrackId": "nobody"}, "param.stream.outTrackId"),
    ({"isFull": GONE}, "param.stream.isFull"),
    ({"isFull": False}, "param.stream.isFull"),
    ({"isFull": "true"}, "param.invalid"),
    ({"isFinalize": 1}, "param.invalid"),
    ({"content": "字" * 34}, "param.stream.content"),
]


@pytest.mark.parametrize(("more", "code"), STREAMING_ROWS)
def test_streaming_is_refused(more: Json, code: str) -> None:
    async def scenario(bot: Bot) -> None:
        card = await bot.card()
        answer = await bot.put("/v1.0/card/streaming", streaming(**more))
        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert (card.text, card.state) == ("", "processing")

    run(scenario, switches=Switches(content_max_bytes=100))


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"outTrackId": "nobody"}, "param.cardNotExist"),
        ({"cardData": GONE}, "param.cardDataAndPrivateDataBothEmpty"),
        ({"cardData": {"cardParamMap": {"flowStatus": 3}}}, "param.invalid"),
        ({"cardUpdateOptions": True}, "param.invalid"),
    ],
)
def test_update_is_refused(more: Json, code: str) -> None:
    async def scenario(bot: Bot) -> None:
        await bot.card()
        body = {"outTrackId": "c1", "cardData": {"cardParamMap": {"content": "x"}}}
        answer = await bot.put("/v1.0/card/instances", laid(body, more))
        assert (answer.status_code, answer.json()["code"]) == (400, code)

    run(scenario)


ONE = {
    "robotCode": APP,
    "userIds": ["staff1"],
    "msgKey": "sampleText",
    "msgParam": '{"content":"x"}',
}
MANY = {**laid(ONE, {"userIds": GONE}), "openConversationId": "cid"}
SENDS = {"single": "/v1.0/robot/oToMessages/batchSend", "group": "/v1.0/robot/groupMessages/send"}


@pytest.mark.parametrize(
    ("where", "more", "code"),
    [
        ("single", {"robotCode": GONE}, "invalidParameter.robotCode.empty"),
        ("single", {"robotCode": "ding2"}, "invalidParameter.robotCode.auth"),
        ("single", {"userIds": []}, "invalidParameter.userIds.empty"),
        ("single", {"userIds": ["x"] * 21}, "invalidParameter.userIds.invalid"),
        ("single", {"msgKey": GONE}, "invalidParameter.msgKey.empty"),
        ("single", {"msgKey": "sampleSong"}, "invalidParameter.msgKey.invalid"),
        ("single", {"msgParam": {"content": "x"}}, "invalidParameter.msgParam.empty"),
        ("single", {"msgParam": "x"}, "invalidParameter.msgParam.invalid"),
        ("single", {"msgParam": '{"text":"x"}'}, "invalidParameter.msgParam.invalid"),
        ("single", {"msgParam": "x" * 15_001}, "invalidParameter.msgParam.tooLong"),
        ("group", {"openConversationId": ""}, "invalidParameter.openConversationId.empty"),
        ("group", {"openConversationId": "no"}, "invalidParameter.openConversationId.invalid"),
    ],
)
def test_robot_send_is_refused(where: str, more: Json, code: str) -> None:
    async def scenario(bot: Bot) -> None:
        body = laid(ONE if where == "single" else MANY, more)
        answer = await bot.post(SENDS[where], body)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
        assert bot.sim.replies == []

    run(scenario)


@pytest.mark.parametrize(
    ("content", "content_type", "errcode"),
    [
        ('{"msgtype":"text","text":{"content":"x"}}', "text/plain", 43004),
        ("nonsense", "application/json", 40035),
        ("{}", "application/json", 40035),
        ('{"msgtype":"song"}', "application/json", 400105),
        ('{"msgtype":"text","text":{"content":""}}', "application/json", 40035),
        ('{"msgtype":"markdown","markdown":{"text":"x"}}', "application/json", 40035),
        ('{"msgtype":"text","text":{"content":"%s"}}' % ("x" * 1000), "application/json", 460101),
    ],
)
def test_webhook_is_refused_with_http_200(content: str, content_type: str, errcode: int) -> None:
    async def scenario(bot: Bot) -> None:
        chat = bot.sim.single(APP, ann(bot))
        hook = (await bot.sim.say(APP, chat, ann(bot), "hi")).webhook
        answer = await bot.http.post(hook, content=content, headers={"Content-Type": content_type})
        assert (answer.status_code, answer.json()["errcode"]) == (200, errcode)
        assert bot.sim.replies == []

    run(scenario, switches=Switches(webhook_max_bytes=1000))


def test_webhook_is_unknown_after_its_time() -> None:
    async def scenario(bot: Bot) -> None:
        chat = bot.sim.single(APP, ann(bot))
        late = await bot.sim.say(APP, chat, ann(bot), "hi", created_ago=5400)
        bot.sim.switches.webhook_lifetime = 60.0
        short = await bot.sim.say(APP, chat, ann(bot), "hi")
        text = {"msgtype": "text", "text": {"content": "x"}}
        for hook in (late.webhook, f"{bot.sim.url}/robot/sendBySession?session=nobody"):
            answer = await bot.http.post(hook, json=text)
            assert (answer.status_code, answer.json()["errcode"]) == (200, 300001)
        assert late.body["sessionWebhookExpiredTime"] - late.body["createAt"] == 5_400_000
        assert short.body["sessionWebhookExpiredTime"] - short.body["createAt"] == 60_000

    run(scenario)


def test_login_and_body_are_strict() -> None:
    """Wrong secret, form instead of JSON, no token, unknown token, unknown path."""

    async def scenario(bot: Bot) -> None:
        url = "/v1.0/oauth2/accessToken"
        wrong = await bot.http.post(url, json={"appKey": APP, "appSecret": "no"})
        assert (wrong.status_code, wrong.json()["code"]) == (400, "invalidClientIdOrSecret")
        form = await bot.http.post(url, data={"appKey": APP, "appSecret": SECRET})
        assert (form.status_code, form.json()["code"]) == (400, "Missingbody")
        old = await bot.http.get("/gettoken", params={"appkey": APP, "appsecret": "no"})
        assert (old.status_code, old.json()["errcode"]) == (200, 40089)
        for token in ("", "nobody"):
            headers = {"x-acs-dingtalk-access-token": token}
            answer = await bot.http.post(CREATE, json=creation(), headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "InvalidAuthentication")
        listed = await bot.post(CREATE, [])
        assert listed.json()["code"] == "Missingbody"
        assert (await bot.post("/v1.0/card/nothing", {})).status_code == 404
        assert (await bot.call("GET", CREATE, {})).status_code == 404
        assert bot.sim.calls[APP, "token"] == 1

    run(scenario)


def test_token_is_the_same_while_it_is_valid() -> None:
    async def scenario(bot: Bot) -> None:
        first = bot.token
        await bot.login()
        assert bot.token == first
        query = {"appkey": APP, "appsecret": SECRET}
        assert (await bot.http.get("/gettoken", params=query)).json()["access_token"] == first
        bot.sim.expire_tokens(APP)
        answer = await bot.post(CREATE, creation())
        assert answer.json()["code"] == "InvalidAuthentication"
        await bot.login()
        assert bot.token != first
        await bot.card()

    run(scenario)


@pytest.mark.parametrize(
    ("api", "method", "path", "scope"),
    [
        ("create_and_deliver", "POST", CREATE, "Card.Instance.Write"),
        ("streaming", "PUT", "/v1.0/card/streaming", "Card.Streaming.Write"),
        ("send_single", "POST", SENDS["single"], "qyapi_robot_sendmsg"),
    ],
)
def test_missing_scope_is_named(api: Api, method: str, path: str, scope: str) -> None:
    async def scenario(bot: Bot) -> None:
        bot.sim.apps[APP].faults.missing_scopes.add(scope)
        answer = await bot.call(method, path, {})
        body = answer.json()
        assert answer.status_code == 403
        assert body["code"] == "Forbidden.AccessDenied.AccessTokenPermissionDenied"
        assert body["accessdenieddetail"] == {"requiredScopes": [scope]}
        assert bot.sim.refused[APP, api, body["code"]] == 1

    run(scenario)


def test_calls_of_one_second_are_limited_for_each_api() -> None:
    async def scenario(bot: Bot) -> None:
        await bot.card()
        answers = [await bot.stream(f"text {n}", f"g{n}") for n in range(5)]
        codes = [answer.json().get("code", "") for answer in answers]
        qps = "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
        assert codes == ["", "", "", qps, qps]
        assert answers[4].status_code == 403
        assert bot.sim.calls[APP, "streaming"] == 3
        assert bot.sim.refused[APP, "streaming", qps] == 2
        assert bot.sim.gate.month_calls["dingcorp1"] == 4

    run(scenario, qps=3)


def test_calls_of_one_second_can_be_limited_for_all_apis() -> None:
    async def scenario(bot: Bot) -> None:
        await bot.card()
        answer = await bot.stream("x", "g1")
        assert answer.status_code == 429

    run(scenario, qps=1, switches=Switches(qps_scope="app", throttle_status=429))


def test_month_quota_ends_calls_and_leaves_webhooks() -> None:
    async def scenario(bot: Bot) -> None:
        await bot.card()
        answer = await bot.stream("x", "g1")
        assert answer.status_code == 403
        assert answer.json()["code"] == "Forbidden.AccessDenied.ApiCountLimitForOrg"
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        body = {"msgtype": "markdown", "markdown": {"title": "t", "text": "answer"}}
        assert (await bot.http.post(message.webhook, json=body)).json()["errcode"] == 0
        assert bot.sim.replies[0].text == "answer"

    run(scenario, month_quota=1)


# ---------------------------------------------------------------------- cards


def test_own_template_types_and_finishes_by_streaming_alone() -> None:
    async def scenario(bot: Bot) -> None:
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        card = await bot.card()
        assert (card.state, card.msg, card.chat) == ("processing", message, message.chat)
        await bot.stream("a", "g1")
        assert (card.state, card.text) == ("typing", "a")
        await bot.stream("a b", "g2", isFinalize=True)
        assert (card.state, card.text) == ("finished", "a b")
        assert [(frame.text, frame.kind) for frame in card.frames] == [
            ("", "create"),
            ("a", "stream"),
            ("a b", "finalize"),
        ]
        assert bot.sim.shown(message.chat) == [message, card]

    run(scenario)


def test_error_fails_the_card() -> None:
    async def scenario(bot: Bot) -> None:
        card = await bot.card()
        await bot.stream("sorry", "g1", isError=True)
        assert (card.state, card.text) == ("failed", "sorry")

    run(scenario)


def test_update_after_the_end_is_refused_or_ignored() -> None:
    async def refused(bot: Bot) -> None:
        card = await bot.card()
        await bot.stream("end", "g1", isFinalize=True)
        assert (await bot.stream("more", "g2")).status_code == 400
        assert (await bot.stream("end", "g1", isFinalize=True)).status_code == 200
        assert card.text == "end"

    async def ignored(bot: Bot) -> None:
        card = await bot.card()
        await bot.stream("end", "g1", isFinalize=True)
        assert (await bot.stream("more", "g2")).status_code == 200
        assert card.text == "end"

    async def not_even_the_same_guid(bot: Bot) -> None:
        await bot.card()
        await bot.stream("end", "g1", isFinalize=True)
        assert (await bot.stream("end", "g1", isFinalize=True)).status_code == 400

    run(refused)
    run(ignored, switches=Switches(after_end="ignored"))
    run(not_even_the_same_guid, switches=Switches(same_guid="refused"))


PUBLIC_PARAMS = {"flowStatus": "2", "sys_full_json_obj": '{"order":["msgContent"]}'}


def public(**params: str) -> Json:
    return {"cardTemplateId": PUBLIC_CARD, "cardData": {"cardParamMap": params}}


def test_public_template_shows_text_only_with_flow_status_and_order() -> None:
    async def scenario(bot: Bot) -> None:
        bare = await bot.card("bare", **public(flowStatus="1"))
        orderless = await bot.card("orderless", **public(flowStatus="2"))
        whole = await bot.card("whole", **public(**PUBLIC_PARAMS))
        for card in (bare, orderless, whole):
            assert (
                await bot.stream("text", "g1", outTrackId=card.id, key="msgContent")
            ).status_code == 200
        assert [card.text for card in (bare, orderless, whole)] == ["", "", "text"]
        assert [card.state for card in (bare, orderless, whole)] == ["processing", *["typing"] * 2]

    run(scenario)


def test_public_template_ends_only_by_flow_status_3() -> None:
    async def scenario(bot: Bot) -> None:
        card = await bot.card(**public(**PUBLIC_PARAMS))
        await bot.stream("text", "g1", key="msgContent", isFinalize=True)
        assert card.state == "typing"
        body = {"outTrackId": "c1", "cardData": {"cardParamMap": {"flowStatus": "3"}}}
        await bot.put(
            "/v1.0/card/instances", {**body, "cardUpdateOptions": {"updateCardDataByKey": True}}
        )
        assert (card.state, card.text) == ("finished", "text")
        # Without updateCardDataByKey the map replaces all variables: the text is gone (§5.5).
        await bot.put("/v1.0/card/instances", body)
        assert (card.state, card.text) == ("finished", "")

    async def lenient(bot: Bot) -> None:
        card = await bot.card(**public(**PUBLIC_PARAMS))
        await bot.stream("text", "g1", key="msgContent", isFinalize=True)
        assert card.state == "finished"

    run(scenario)
    run(lenient, switches=Switches(public_ended_by_stream=True))


def test_demo_template_needs_neither() -> None:
    async def scenario(bot: Bot) -> None:
        card = await bot.card(cardTemplateId=PUBLIC_DEMO)
        await bot.stream("text", "g1", isFinalize=True)
        assert (card.state, card.text) == ("finished", "text")

    run(scenario)


def test_wrong_key_shows_nothing() -> None:
    async def scenario(bot: Bot) -> None:
        card = await bot.card()
        assert (await bot.stream("text", "g1", key="msgContent")).status_code == 200
        assert card.text == ""

    run(scenario)


def test_long_text_by_one_put_shows_blank() -> None:
    async def scenario(bot: Bot) -> None:
        card = await bot.card()
        body: Json = {"outTrackId": "c1", "cardData": {"cardParamMap": {"content": "字" * 3001}}}
        assert (await bot.put("/v1.0/card/instances", body)).status_code == 200
        assert card.text == ""
        await bot.stream("字" * 3001, "g1")
        assert len(card.text) == 3001

    run(scenario)


def test_plain_variable_is_appended_to() -> None:
    async def scenario(bot: Bot) -> None:
        bot.sim.add_template("plain.schema", markdown=False)
        card = await bot.card(cardTemplateId="plain.schema")
        await bot.stream("a", "g1", isFull=False)
        await bot.stream("b", "g2", isFull=False)
        assert card.text == "ab"

    run(scenario)


def test_undelivered_card_is_http_200() -> None:
    """A staffId or a group that nobody knows, a robotCode of another app."""

    async def scenario(bot: Bot) -> None:
        group = {"imGroupOpenDeliverModel": GROUP_MODEL}
        stranger = {"imRobotOpenDeliverModel": {"spaceType": "IM_ROBOT", "robotCode": "ding2"}}
        single = bot.sim.single(APP, ann(bot))
        rows: list[Json] = [
            {"openSpaceId": "dtv1.card//IM_ROBOT.nobody"},
            {"openSpaceId": "dtv1.card//IM_GROUP.nobody", **group},
            {"openSpaceId": f"dtv1.card//IM_GROUP.{single.id}", **group},
            stranger,
        ]
        for number, more in enumerate(rows):
            answer = await bot.post(CREATE, creation(f"c{number}", **more))
            (result,) = answer.json()["result"]["deliverResults"]
            assert answer.status_code == 200
            assert not result["success"]
            assert result["errorMsg"]
            assert bot.sim.cards[f"c{number}"].chat is None
        assert bot.sim.shown(single) == []

    run(scenario)


def test_create_then_deliver_to_a_group() -> None:
    async def scenario(bot: Bot) -> None:
        group = bot.sim.group("Team", [ann(bot)])
        made = await bot.post("/v1.0/card/instances", creation())
        assert made.json() == {"success": True, "result": "c1"}
        assert bot.sim.cards["c1"].chat is None
        body = {
            "outTrackId": "c1",
            "openSpaceId": f"dtv1.card//IM_GROUP.{group.id}",
            "imGroupOpenDeliverModel": {**GROUP_MODEL, "atUserIds": {"staff1": "Ann"}},
        }
        for _ in range(2):  # twice is shown once
            answer = await bot.post("/v1.0/card/instances/deliver", body)
            (result,) = answer.json()["result"]
            assert result["success"]
        assert bot.sim.shown(group) == [bot.sim.cards["c1"]]
        unknown = await bot.post("/v1.0/card/instances/deliver", {**body, "outTrackId": "c2"})
        assert unknown.json()["code"] == "param.cardNotExist"

    run(scenario)


def test_reused_card_id_can_be_ignored() -> None:
    async def scenario(bot: Bot) -> None:
        card = await bot.card()
        again = await bot.card()
        assert again is card
        assert bot.sim.shown(bot.sim.single(APP, ann(bot))) == [card]

    run(scenario, switches=Switches(card_reused="ignored"))


def test_card_of_another_app_is_unknown() -> None:
    async def scenario(bot: Bot) -> None:
        await bot.card()
        bot.sim.add_app("ding2", "other")
        keys = {"appKey": "ding2", "appSecret": "other"}
        answer = await bot.http.post("/v1.0/oauth2/accessToken", json=keys)
        bot.token = answer.json()["accessToken"]
        assert (await bot.stream("x", "g1")).json()["code"] == "param.stream.outTrackId"

    run(scenario)


def test_missing_field_and_unknown_card_have_another_shape() -> None:
    async def scenario(bot: Bot) -> None:
        answer = await bot.put("/v1.0/card/streaming", streaming(guid=GONE))
        assert answer.json()["code"] == "Missingguid"
        answer = await bot.put("/v1.0/card/streaming", streaming())
        assert (answer.status_code, answer.json()["code"]) == (500, "unknownError")

    run(scenario, switches=Switches(missing_field="gateway", unknown_card_status=500))


# ---------------------------------------------------------------------- sends and files


def test_robot_sends_are_shown() -> None:
    async def scenario(bot: Bot) -> None:
        group = bot.sim.group("Team", [ann(bot)])
        answer = await bot.post(SENDS["single"], {**ONE, "userIds": ["staff1", "nobody"]})
        assert answer.json()["invalidStaffIdList"] == ["nobody"]
        markdown = json.dumps({"title": "t", "text": "hello"})
        body = {**MANY, "openConversationId": group.id, "msgKey": "sampleMarkdown"}
        await bot.post(SENDS["group"], {**body, "msgParam": markdown})
        assert [(reply.medium, reply.text) for reply in bot.sim.replies] == [
            ("robot", "x"),
            ("robot", "hello"),
        ]
        assert isinstance(bot.sim.shown(group)[0], SimReply)
        bot.sim.faults.flow_controlled = True
        answer = await bot.post(SENDS["single"], ONE)
        assert answer.json()["flowControlledStaffIdList"] == ["staff1"]
        assert len(bot.sim.replies) == 2

    run(scenario)


def test_files_go_both_ways() -> None:
    async def scenario(bot: Bot) -> None:
        code = bot.sim.add_file(APP, "a.pdf", b"%PDF")
        url = "/v1.0/robot/messageFiles/download"
        answer = await bot.post(url, {"downloadCode": code, "robotCode": APP})
        got = await bot.http.get(answer.json()["downloadUrl"])
        assert got.content == b"%PDF"
        for body, error in (
            ({"downloadCode": code}, "invalidParameter.robotCode.empty"),
            ({"downloadCode": code, "robotCode": "ding2"}, "invalidParameter.robotCode.auth"),
            ({"downloadCode": "no", "robotCode": APP}, "invalidParameter.downloadCode"),
        ):
            assert (await bot.post(url, body)).json()["code"] == error
        upload = f"/media/upload?access_token={bot.token}&type=image"
        sent = await bot.http.post(upload, files={"media": ("a.png", b"PNG", "image/png")})
        assert bot.sim.media[sent.json()["media_id"]] == b"PNG"
        wrong = await bot.http.post(upload, files={"media": ("a.exe", b"MZ", "image/png")})
        assert wrong.json()["errcode"] == 40004
        media_id = sent.json()["media_id"]
        for key, param, error in (
            ("sampleImageMsg", {"photoURL": media_id}, ""),
            ("sampleImageMsg", {"photoURL": "https://example.com/a.png"}, ""),
            ("sampleImageMsg", {"photoURL": "@no"}, "invalidParameter.msgParam.invalid"),
            (
                "sampleFile",
                {"mediaId": media_id, "fileName": "a.pdf", "fileType": "pdf"},
                "invalidParameter.msgParam.invalid",  # uploaded as a picture
            ),
        ):
            body = laid(ONE, {"msgKey": key, "msgParam": json.dumps(param)})
            told = (await bot.post(SENDS["single"], body)).json()
            assert told.get("code", "") == error
        upload = upload.replace("image", "file")
        note = {"media": ("a.md", b"# Hi", "text/markdown")}
        assert (await bot.http.post(upload, files=note)).json()["errcode"] == 40004
        bot.sim.switches.any_file = True
        media_id = (await bot.http.post(upload, files=note)).json()["media_id"]
        param = {"mediaId": media_id, "fileName": "a.md", "fileType": "md"}
        body = laid(ONE, {"msgKey": "sampleFile", "msgParam": json.dumps(param)})
        assert "code" not in (await bot.post(SENDS["single"], body)).json()
        assert bot.sim.replies[-1].text == "a.md"
        stranger = await bot.http.post("/media/upload?access_token=no", files={"media": b"x"})
        assert (stranger.status_code, stranger.json()["errcode"]) == (200, 40014)

    run(scenario)


# ---------------------------------------------------------------------- stream


def test_message_arrives_as_documented_and_is_acked() -> None:
    async def scenario(bot: Bot) -> None:
        link = await bot.link()
        group = bot.sim.group("Team", [ann(bot)])
        message = await bot.sim.say(APP, group, ann(bot), "你好", created_ago=2)
        frame = await frame_of(link)
        assert frame["type"] == "CALLBACK"
        assert all(isinstance(value, str) for value in frame["headers"].values())
        body = json.loads(frame["data"])
        assert body["text"] == {"content": " 你好"}
        assert body["conversationType"] == "2"
        assert body["senderStaffId"] == "staff1"
        assert body["robotCode"] == APP
        assert body["atUsers"] == [{"dingtalkId": body["chatbotUserId"]}]
        assert int(frame["headers"]["time"]) - body["createAt"] >= 1999
        assert parse_qs(urlsplit(body["sessionWebhook"]).query)["session"]
        await ack(link, frame, {"response": None})
        await bot.sim.wait(lambda: message.acks)
        assert message.acks[0].code == 200
        assert bot.sim.complaints == []

    run(scenario)


def test_people_outside_have_no_staff_id() -> None:
    async def scenario(bot: Bot) -> None:
        guest, twin = bot.sim.person("Bob"), bot.sim.person("Bob")
        assert guest.sender_id != twin.sender_id
        message = await bot.sim.say(APP, bot.sim.single(APP, guest), guest, "hi")
        assert "senderStaffId" not in message.body
        assert message.body["text"] == {"content": "hi"}
        over = await bot.sim.say(APP, message.chat, guest, "hi", over_quota=True)
        assert over.body["errorCode"] == "20001"
        assert "text" not in over.body
        raw = {"senderNick": None, "text": {"content": "quoted", "isReplyMsg": True}}
        laid_over = await bot.sim.say(APP, message.chat, guest, "hi", raw=raw)
        assert laid_over.body["text"]["isReplyMsg"]
        assert "senderNick" not in laid_over.body
        with pytest.raises(ValueError, match="share"):
            await bot.sim.say(APP, message.chat, twin, "hi")

    run(scenario)


def test_every_kind_has_its_content() -> None:
    async def scenario(bot: Bot) -> None:
        chat, group = bot.sim.single(APP, ann(bot)), bot.sim.group("Team", [ann(bot)])
        rich = await bot.sim.say(APP, group, ann(bot), "a\nb", kind="richText")
        assert rich.body["content"] == {"richText": [{"text": " a"}, {"text": "\n"}, {"text": "b"}]}
        audio = await bot.sim.say(APP, chat, ann(bot), "spoken", kind="audio")
        assert audio.body["content"]["recognition"] == "spoken"
        for kind in ("picture", "video", "file", "unknownMsgType", "interactiveCard"):
            message = await bot.sim.say(APP, chat, ann(bot), "", kind=kind)
            assert (message.body["msgtype"], bool(message.body["content"])) == (kind, True)
        with pytest.raises(ValueError, match="group"):
            await bot.sim.say(APP, group, ann(bot), "", kind="file")

    run(scenario)


def test_gateway_is_strict() -> None:
    async def scenario(bot: Bot) -> None:
        wrong = await bot.open(clientSecret="no")
        assert (wrong.status_code, wrong.json()["code"]) == (401, "authFailed")
        assert (await bot.open(subscriptions=[])).status_code == 400
        assert (await bot.open(subscriptions=[{"topic": BOT_TOPIC}])).status_code == 400
        bot.sim.apps[APP].published = False
        assert (await bot.open()).status_code == 400
        bot.sim.apps[APP].published = True
        body = {"clientId": APP, "clientSecret": SECRET}
        topics = [{"type": "EVENT", "topic": "*"}]
        url = "/v1.0/gateway/connections/open"
        xml = await bot.http.post(url, json={**body, "subscriptions": topics})
        assert xml.headers["Content-Type"].startswith("text/xml")

    run(scenario)


def test_ticket_opens_one_connection_within_its_time() -> None:
    async def refused(uri: str, status: int) -> None:
        with pytest.raises(websockets.InvalidStatus) as caught:
            await connect(uri, proxy=None)
        assert caught.value.response.status_code == status

    async def once(bot: Bot) -> None:
        got = (await bot.open()).json()
        uri = f"{got['endpoint']}?ticket={got['ticket']}"
        bot.links.append(await connect(uri, proxy=None))
        await refused(uri, 401)
        await refused(got["endpoint"], 401)

    async def late(bot: Bot) -> None:
        got = (await bot.open()).json()
        await refused(f"{got['endpoint']}?ticket={got['ticket']}", 403)

    run(once)
    run(late, switches=Switches(ticket_lifetime=0.0, bad_ticket_status=403))


def test_gateway_faults() -> None:
    async def scenario(bot: Bot) -> None:
        faults = bot.sim.apps[APP].faults
        for fault, status in (("no_auth", 401), ("not_ready", 400), ("unavailable", 503)):
            faults.gateway = fault  # type: ignore[assignment]
            assert (await bot.open()).status_code == status
        faults.gateway = "html"
        page = await bot.open()
        assert (page.status_code, page.text[:6]) == (403, "<html>")
        faults.gateway = "hang"
        with pytest.raises(httpx.ReadTimeout):
            await bot.http.post(
                "/v1.0/gateway/connections/open", json={"clientId": APP}, timeout=0.05
            )
        faults.gateway = "close"
        got = (await bot.open()).json()
        link = await connect(f"{got['endpoint']}?ticket={got['ticket']}", proxy=None)
        with pytest.raises(websockets.ConnectionClosedOK):
            await link.recv()
        assert bot.sim.connections_opened[APP] == 1
        assert bot.sim.live_connections(APP) == 0

    run(scenario)


def test_message_is_lost_or_kept_while_nobody_is_connected() -> None:
    async def lost(bot: Bot) -> None:
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        await bot.link()
        assert message.pushes == []

    async def kept(bot: Bot) -> None:
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        frame = await frame_of(await bot.link())
        assert json.loads(frame["data"])["msgId"] == message.id

    run(lost)
    run(kept, switches=Switches(push_on_connect=True))


def test_unacked_message_comes_again_until_acked() -> None:
    async def scenario(bot: Bot) -> None:
        link = await bot.link()
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        first, second = await frame_of(link), await frame_of(link)
        assert first["data"] == second["data"]
        assert (first["headers"]["messageId"] == second["headers"]["messageId"]) == same
        await ack(link, second)
        await bot.sim.wait(lambda: message.acks)
        assert len(message.pushes) == 2

    for same in (True, False):
        run(scenario, switches=Switches(ack_deadline=0.1, redeliveries=1, same_message_id=same))


def test_acked_message_comes_again_when_told_to() -> None:
    async def scenario(bot: Bot) -> None:
        bot.sim.apps[APP].faults.redeliver_after = (0.01,)
        links = [await bot.link(), await bot.link()]
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        await bot.sim.wait(lambda: len(message.pushes) == 2)
        await bot.sim.push_again(message)
        ids = {link.id for link in bot.sim.connections(APP)}
        assert len(message.pushes) == 3
        assert {push.connection for push in message.pushes} <= ids
        assert len(ids) == len(links)

    run(scenario)


def test_pushes_go_to_one_random_connection() -> None:
    async def scenario(bot: Bot) -> None:
        await bot.link()
        await bot.link()
        chat = bot.sim.single(APP, ann(bot))
        messages = [await bot.sim.say(APP, chat, ann(bot), str(n)) for n in range(40)]
        assert all(len(message.pushes) == 1 for message in messages)
        assert len({message.pushes[0].connection for message in messages}) == 2

    run(scenario)


def test_cut_ends_the_connection_without_a_close_frame() -> None:
    async def scenario(bot: Bot) -> None:
        link = await bot.link()
        await bot.sim.cut(APP)
        with pytest.raises(websockets.ConnectionClosedError):
            await link.recv()
        await bot.sim.wait(lambda: bot.sim.live_connections(APP) == 0)

    run(scenario)


def test_half_open_swallows_everything_and_answers_no_ping() -> None:
    async def scenario(bot: Bot) -> None:
        link = await bot.link()
        await (await link.ping())
        await bot.sim.half_open(APP)
        assert bot.sim.live_connections(APP) == 0
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        assert len(message.pushes) == 1
        pong = asyncio.ensure_future(await link.ping())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.recv(), 0.02)
        second = await bot.link()
        await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "again")
        assert "again" in (await frame_of(second))["data"]
        pong.cancel()

    run(scenario)


def test_deaf_answers_pings_and_delivers_nothing() -> None:
    async def scenario(bot: Bot) -> None:
        link = await bot.link()
        await bot.sim.deafen(APP)
        assert bot.sim.live_connections(APP) == 0
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        assert len(message.pushes) == 1
        await (await link.ping())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.recv(), 0.02)

    run(scenario)


def test_disconnect_stops_pushes_and_drops_after_its_grace() -> None:
    async def scenario(bot: Bot) -> None:
        link = await bot.link()
        await bot.sim.disconnect(APP)
        frame = await frame_of(link)
        assert (frame["type"], frame["headers"]["topic"]) == ("SYSTEM", "disconnect")
        assert json.loads(frame["data"])["reason"]
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        assert message.pushes == []
        with pytest.raises(websockets.ConnectionClosedError):
            await link.recv()

    run(scenario, switches=Switches(disconnect_grace=0.02))


def test_system_frames_and_garbage() -> None:
    async def scenario(bot: Bot) -> None:
        link = await bot.link()
        topics = {(await frame_of(link))["headers"]["topic"] for _ in range(3)}
        assert topics == {"CONNECTED", "REGISTERED", "KEEPALIVE"}
        await bot.sim.ping(APP)
        frame = await frame_of(link)
        while frame["headers"]["topic"] != "ping":
            frame = await frame_of(link)
        await ack(link, frame, json.loads(frame["data"]))
        await bot.sim.wait(lambda: bot.sim.connections(APP)[0].pongs == 1)
        assert bot.sim.complaints == []
        await ack(link, frame, {"opaque": "wrong"})
        await link.send("nonsense")
        await ack(link, {"headers": {"messageId": "nobody"}})
        await bot.sim.wait(lambda: len(bot.sim.complaints) == 3)
        await bot.sim.send_raw(APP, "{garbage")
        while (text := await link.recv()) != "{garbage":
            assert "KEEPALIVE" in str(text)

    run(scenario, switches=Switches(registered_frames=True, keepalive=0.03))


def test_connections_can_be_bounded() -> None:
    async def scenario(bot: Bot) -> None:
        await bot.link()
        assert (await bot.open()).status_code == 503

    run(scenario, switches=Switches(max_connections=1))


def test_button_press_is_answered_in_the_ack() -> None:
    async def scenario(bot: Bot) -> None:
        link = await bot.link()
        press = await bot.sim.press(await bot.card(), ann(bot), "1", {"action": "accept"})
        frame = await frame_of(link)
        assert frame["headers"]["topic"] == CARD_TOPIC
        body = json.loads(frame["data"])
        assert json.loads(body["content"])["cardPrivateData"]["params"] == {"action": "accept"}
        await ack(link, frame, {"response": {"cardData": {"cardParamMap": {}}}})
        await bot.sim.wait(lambda: press.answered_at)
        assert press.answer == {"cardData": {"cardParamMap": {}}}

    run(scenario)


# ---------------------------------------------------------------------- faults of calls


def test_planned_mishaps_happen_once_each() -> None:
    async def scenario(bot: Bot) -> None:
        await bot.card()
        plan: list[Mishap | Refusal] = ["busy", "html", Refusal(400, "send.too.fast")]
        for mishap in plan:
            bot.sim.apps[APP].faults.next("streaming", mishap)
        answers = [await bot.stream("x", f"g{n}") for n in range(4)]
        assert [answer.status_code for answer in answers] == [500, 502, 400, 200]
        assert answers[0].json()["code"] == "system.busy"
        assert "json" not in answers[1].headers["Content-Type"]
        assert answers[2].json()["code"] == "send.too.fast"

    run(scenario)


def test_call_lost_after_its_effect_can_be_repeated() -> None:
    async def scenario(bot: Bot) -> None:
        card = await bot.card()
        bot.sim.faults.next("streaming", "lost")
        with pytest.raises(httpx.TransportError):
            await bot.stream("end", "g1", isFinalize=True)
        assert (card.state, card.text) == ("finished", "end")
        assert (await bot.stream("end", "g1", isFinalize=True)).status_code == 200
        assert len(card.frames) == 2
        bot.sim.faults.next("create_and_deliver", "lost")
        with pytest.raises(httpx.TransportError):
            await bot.card("c2")
        answer = await bot.post(CREATE, creation("c2"))
        assert answer.json()["code"] == "param.cardAlreadyExist"

    run(scenario)


def test_call_reset_before_its_effect_did_nothing() -> None:
    async def scenario(bot: Bot) -> None:
        bot.sim.faults.next("create_and_deliver", "reset")
        with pytest.raises(httpx.TransportError):
            await bot.card()
        assert not bot.sim.cards
        await bot.card()

    run(scenario)


def test_call_hangs_until_the_end() -> None:
    async def scenario(bot: Bot) -> None:
        bot.sim.faults.next("create_and_deliver", "hang")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bot.card(), 0.05)
        await bot.card()
        assert bot.sim.refused[APP, "create_and_deliver", "hang"] == 1

    run(scenario)


def test_webhook_and_token_can_fail_too() -> None:
    async def scenario(bot: Bot) -> None:
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        bot.sim.faults.next("webhook", "busy")
        body = {"msgtype": "text", "text": {"content": "x"}}
        assert (await bot.http.post(message.webhook, json=body)).json()["errcode"] == -1
        bot.sim.faults.next("webhook", "lost")
        with pytest.raises(httpx.TransportError):
            await bot.http.post(message.webhook, json=body)
        assert len(bot.sim.replies) == 1
        bot.sim.faults.next("token", "busy")
        keys = {"appKey": APP, "appSecret": SECRET}
        assert (await bot.http.post("/v1.0/oauth2/accessToken", json=keys)).status_code == 500

    run(scenario)


def test_latency_comes_before_the_effect() -> None:
    async def scenario(bot: Bot) -> None:
        bot.sim.faults.latency["create_and_deliver"] = 0.05
        call = asyncio.create_task(bot.card())
        await asyncio.sleep(0.02)
        assert not bot.sim.cards
        await call
        bot.sim.faults.latency = {"*": (0.0, 0.001)}
        assert (await bot.stream("x", "g1")).status_code == 200
        bot.sim.faults.clear()
        assert bot.sim.faults.latency == {}

    run(scenario)


def test_clock_may_be_another() -> None:
    async def scenario(bot: Bot) -> None:
        here = parsedate_to_datetime((await bot.open()).headers["Date"])
        bot.sim.faults.clock_ahead = 86_400.0
        there = parsedate_to_datetime((await bot.open()).headers["Date"])
        assert (there - here).total_seconds() > 86_000
        frame_link = await bot.link()
        message = await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        frame = await frame_of(frame_link)
        assert int(frame["headers"]["time"]) - message.body["createAt"] < 5000

    run(scenario)


# ---------------------------------------------------------------------- watching


def test_changes_are_told_and_waited_for() -> None:
    async def scenario(bot: Bot) -> None:
        told: list[SimEvent] = []
        forget = bot.sim.subscribe(told.append)
        await bot.sim.say(APP, bot.sim.single(APP, ann(bot)), ann(bot), "hi")
        await bot.card()
        forget()
        await bot.stream("x", "g1")
        assert [event.kind for event in told] == ["message", "arrival", "card", "card", "call"]
        assert isinstance(told[0].subject, SimMessage)
        with pytest.raises(TimeoutError, match="not within"):
            await bot.sim.wait(lambda: bot.sim.replies, 0.01)
        assert bot.sim.http_connections == 1

    run(scenario)


def test_background_serves_plain_code() -> None:
    with Background() as background:
        sim = background.start(SimDingTalk())
        sim.add_app(APP, SECRET)
        keys = {"appKey": APP, "appSecret": SECRET}
        url = sim.url + "/v1.0/oauth2/accessToken"
        assert httpx.post(url, json=keys, trust_env=False).status_code == 200
        background.run(sim.wait(lambda: sim.calls[APP, "token"] == 1))
        with pytest.raises(TimeoutError):
            background.run(asyncio.sleep(5), timeout=0.01)
    background.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.post(url, json=keys, trust_env=False)


# ---------------------------------------------------------------------- the other positions


def test_message_fields_have_other_positions() -> None:
    async def scenario(bot: Bot) -> None:
        guest = bot.sim.person("Bob")
        chat = bot.sim.single(APP, ann(bot))
        message = await bot.sim.say(APP, chat, ann(bot), "a\nb", kind="richText")
        assert "senderStaffId" not in message.body
        assert isinstance(message.body["createAt"], str)
        assert message.body["content"] == {"richText": [{"text": "a\nb"}]}
        bot.sim.switches.outsider_staff_id = "empty"
        outside = await bot.sim.say(APP, bot.sim.single(APP, guest), guest, "hi")
        assert outside.body["senderStaffId"] == ""
        link = await bot.link()
        await bot.sim.press(await bot.card(), ann(bot), "1")
        assert "value" not in json.loads((await frame_of(link))["data"])

    switches = Switches(
        staff_ids=False,
        created_at_text=True,
        rich_text_newlines=False,
        callback_value=False,
    )
    run(scenario, switches=switches)


def test_half_open_connections_can_go_on_swallowing() -> None:
    async def scenario(bot: Bot) -> None:
        await bot.link()
        await bot.sim.half_open(APP)
        await bot.link()
        chat = bot.sim.single(APP, ann(bot))
        messages = [await bot.sim.say(APP, chat, ann(bot), str(n)) for n in range(40)]
        assert len({message.pushes[0].connection for message in messages}) == 2

    run(scenario, switches=Switches(push_to_half_open=True))


def test_tokens_and_quota_have_other_positions() -> None:
    async def scenario(bot: Bot) -> None:
        bot.sim.faults.quota_used_up = True
        assert (await bot.post(CREATE, creation())).status_code == 429
        bot.sim.faults.address_refused = True
        answer = await bot.post(CREATE, creation())
        assert answer.json()["code"] == "Forbidden.AccessDenied.IpNotInWhiteList"
        bot.sim.faults.clear()
        query = {"appkey": APP, "appsecret": SECRET}
        old = (await bot.http.get("/gettoken", params=query)).json()["access_token"]
        assert old != bot.token
        bot.token = old
        assert (await bot.post(CREATE, creation())).status_code == 401

    async def expired(bot: Bot) -> None:
        assert (await bot.post(CREATE, creation())).status_code == 400

    switches = Switches(quota_status=429, one_token_space=False, token_status=401)
    run(scenario, switches=switches)
    run(expired, switches=Switches(token_lifetime=0.0))


def test_cards_have_other_positions() -> None:
    async def scenario(bot: Bot) -> None:
        await bot.card(imRobotOpenSpaceModel=GONE)
        long: Json = {"cardData": {"cardParamMap": {"content": "x" * 1025}}}
        assert (await bot.post(CREATE, creation("c2", **long))).json()["code"] == "param.invalid"
        body = {"outTrackId": "c1", "cardData": {"cardParamMap": {"content": "x" * 1000}}}
        await bot.put("/v1.0/card/instances", body)
        assert bot.sim.cards["c1"].text == ""

    switches = Switches(space_model_required=False, value_max_bytes=1024, put_blank_chars=999)
    run(scenario, switches=switches)


def test_webhook_can_be_bounded() -> None:
    async def scenario(bot: Bot) -> None:
        group = bot.sim.group("Team", [ann(bot)])
        text = {"msgtype": "text", "text": {"content": "x"}}
        errcodes = []
        for chat in (bot.sim.single(APP, ann(bot)), group):
            hook = (await bot.sim.say(APP, chat, ann(bot), "hi")).webhook
            answers = [await bot.http.post(hook, json=text) for _ in range(2)]
            errcodes += [answer.json()["errcode"] for answer in answers]
        assert errcodes == [300001, 300001, 0, 410100]

    run(scenario, switches=Switches(webhook_group_only=True, webhook_per_minute=1))


def test_every_switch_is_tried_in_its_other_position() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    for switch in fields(Switches):
        assert re.search(rf"\b{switch.name} ?= ?", text), switch.name


def test_people_send_files_of_their_own_and_quote_what_is_shown() -> None:
    """Shapes of dingtalk-protocol §3; each file has a download code of its own."""

    async def scenario(bot: Bot) -> None:
        sim, chat = bot.sim, bot.sim.single(APP, ann(bot))
        picture = ("a.png", b"\x89PNG\r\n and pixels")
        sent = await sim.say(APP, chat, ann(bot), "look", kind="richText", file=picture)
        text, shown = sent.body["content"]["richText"]
        assert (text, shown["type"]) == ({"text": "look"}, "picture")
        asked = await sim.say(APP, chat, ann(bot), "and?", quotes=sent)
        assert asked.body["text"]["isReplyMsg"] is True
        replied = asked.body["text"]["repliedMsg"]
        assert (replied["msgType"], replied["msgId"]) == ("richText", sent.id)
        assert replied["content"]["richText"][1]["downloadCode"] != shown["downloadCode"]
        file = await sim.say(APP, chat, ann(bot), "", kind="file", file=("x.pdf", b"%PDF-1.7"))
        assert file.body["content"]["fileName"] == "x.pdf"
        for code in (shown["downloadCode"], file.body["content"]["downloadCode"]):
            body = {"robotCode": APP, "downloadCode": code}
            got = await bot.post("/v1.0/robot/messageFiles/download", body)
            assert (await bot.http.get(got.json()["downloadUrl"])).content in {
                picture[1],
                b"%PDF-1.7",
            }
        group = sim.group("g", [ann(bot)])
        with pytest.raises(ValueError, match="not in this chat"):
            await sim.say(APP, group, ann(bot), "this?", quotes=sent)

    run(scenario)
