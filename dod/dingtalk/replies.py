"""Plain Markdown messages: by the session webhook, else by the robot (dingtalk-protocol §6)."""

import json
import logging
from collections.abc import Awaitable, Callable, Sequence

from dod.dingtalk.api import Api, Json
from dod.dingtalk.bucket import Rank
from dod.dingtalk.refusals import surely_not_done
from dod.errors import ContentTooLong, DingTalkError, Throttled, Undeliverable
from dod.messages import Message

log = logging.getLogger(__name__)

_SINGLE = "/v1.0/robot/oToMessages/batchSend"
_GROUP = "/v1.0/robot/groupMessages/send"
_PARAM_MAX = 15_000  # bytes of msgParam
_PEOPLE_MAX = 20  # userIds of one call
_TITLE_MAX = 24  # characters
_MARKS = "#>*-_`~|[]()!0123456789. \t"  # what Markdown may begin a line with


async def send(
    api: Api,
    message: Message,
    text: str,
    push: Callable[[str], None],
    *,
    mention: bool = False,
    robot_first: bool = False,
) -> None:
    """Send ``text`` where ``message`` came from. Raises DingTalkError; tried once, see ``Channel``.

    The webhook costs a push, the robot a call. ``push`` hears the corp id of each webhook message.
    The robot cannot ``mention`` anybody.
    """
    ways: list[Callable[[], Awaitable[None]]] = []
    if message.webhook and not _expired(api, message):
        ways.append(lambda: by_webhook(api, message, text, push, mention=mention))
    if message.chat.kind == "group" or message.sender.staff_id:
        ways.append(lambda: _by_robot(api, message, text))
    if robot_first:
        ways.reverse()
    refused: DingTalkError = Undeliverable("no webhook, and no staffId to send to")
    for way in ways:
        try:
            return await way()
        except DingTalkError as error:
            if not error.not_done:
                raise
            log.debug("one way to reply refused: %s", error)
            # No quota for the robot, say, but the webhook may work later.
            refused = refused if refused.retry and not error.retry else error
    raise refused


async def tell(api: Api, staff_ids: Sequence[str], text: str, corp_id: str) -> None:
    """Send ``text`` to people who have not asked. Raises DingTalkError, see ``Channel``.

    One call for every twenty. Who is not reached is logged, unless it is everybody.
    """
    people = list(dict.fromkeys(staff_id for staff_id in staff_ids if staff_id))
    body = _body(api, text)
    unknown = throttled = 0
    for start in range(0, len(people), _PEOPLE_MAX):
        some = people[start : start + _PEOPLE_MAX]
        got = await _call(api, _SINGLE, {**body, "userIds": some}, corp_id)
        unknown += _count(got, "invalidStaffIdList", some)
        throttled += _count(got, "flowControlledStaffIdList", some)
    if not people or unknown + throttled < len(people):
        if unknown or throttled:
            log.warning("a message missed people: unknown=%d throttled=%d", unknown, throttled)
        return
    if throttled:
        raise Throttled("DingTalk limits how much these people may be sent")
    raise Undeliverable("DingTalk does not know any of these staff ids")


def title(text: str) -> str:
    """The first words of ``text``, for the list of chats; never empty, or DingTalk refuses it."""
    for line in text.splitlines():
        if words := line.replace("**", "").strip(_MARKS):
            return words[:_TITLE_MAX]
    return text.strip()[:_TITLE_MAX] or "…"


def _expired(api: Api, message: Message) -> bool:
    return 0 < message.webhook_expires_at <= api.clock.now()


async def by_webhook(
    api: Api, message: Message, text: str, push: Callable[[str], None], *, mention: bool = False
) -> None:
    """As ``send``, but never by the robot."""
    if not message.webhook or _expired(api, message):
        raise Undeliverable("no webhook, or not any more")
    body: Json = {"msgtype": "markdown", "markdown": {"title": title(text), "text": text}}
    asker = message.sender.staff_id
    if mention and asker and message.chat.kind == "group":
        # Only who is named in the text, too, is called (dingtalk-protocol §6).
        body["markdown"]["text"] = f"{text}\n\n@{asker}"
        body["at"] = {"atUserIds": [asker]}
    counted = True
    try:
        await api.ask(message.webhook, body)
    except DingTalkError as error:
        error.not_done = surely_not_done(error)
        counted = not error.not_done
        raise
    finally:
        if counted:
            push(message.corp_id)


async def _by_robot(api: Api, message: Message, text: str) -> None:
    try:
        await by_robot(api, message, _body(api, text))
    except DingTalkError as error:
        error.not_done = surely_not_done(error)
        raise


async def by_robot(api: Api, message: Message, body: Json) -> None:
    """Send ``body``, which has its robotCode, msgKey and msgParam, where ``message`` came from."""
    if message.chat.kind == "group":
        body["openConversationId"] = message.chat.id
        path = _GROUP
    else:
        body["userIds"] = [message.sender.staff_id]
        path = _SINGLE
    got = await _call(api, path, body, message.corp_id)
    # HTTP is 200 also when nobody gets it (§6).
    if got.get("flowControlledStaffIdList"):
        raise Throttled("DingTalk limits how much this person may be sent")
    if got.get("invalidStaffIdList"):
        raise Undeliverable("DingTalk does not know this person's staffId")


def _body(api: Api, text: str) -> Json:
    param = json.dumps({"title": title(text), "text": text}, ensure_ascii=False)
    if len(param.encode("utf-8", "replace")) > _PARAM_MAX:
        raise ContentTooLong(f"a robot message takes at most {_PARAM_MAX} bytes")
    return {"robotCode": api.client_id, "msgKey": "sampleMarkdown", "msgParam": param}


async def _call(api: Api, path: str, body: Json, corp_id: str) -> Json:
    return await api.call("POST", path, body, rank=Rank.CREATE, corp_id=corp_id, patient=True)


def _count(got: Json, key: str, people: Sequence[str]) -> int:
    """How many of ``people`` the answer lists under ``key``."""
    listed = got.get(key)
    return len(set(people) & set(map(str, listed))) if isinstance(listed, list) else 0
