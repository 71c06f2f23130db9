"""Robot sends and session webhooks of the simulated DingTalk.

Facts: dingtalk-protocol §6. The webhook answers errors with HTTP 200 and an errcode: it raises
``OldRefusal``.
"""

import json
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from dod.sim.dingtalk.faults import Faults, Json, OldRefusal, Refusal, Switches
from dod.sim.dingtalk.files import Files
from dod.sim.dingtalk.world import SimApp, SimChat, SimEvent, SimMessage, SimReply, World

# msgKey → fields of msgParam that must be there (§6).
_MSG_KEYS = {
    "sampleText": ("content",),
    "sampleMarkdown": ("title", "text"),
    "sampleImageMsg": ("photoURL",),
    "sampleLink": ("title", "text", "messageUrl"),
    "sampleActionCard": ("title", "text"),
    "sampleAudio": ("mediaId", "duration"),
    "sampleFile": ("mediaId", "fileName", "fileType"),
    "sampleVideo": ("duration", "videoMediaId", "videoType", "picMediaId"),
}
# msgtype → fields of its object that must be there (§6).
_MSG_TYPES = {
    "text": ("content",),
    "markdown": ("title", "text"),
    "link": ("title", "text", "messageUrl"),
    "actionCard": ("title", "text"),
    "feedCard": ("links",),
}
_SENDABLE = ("xlsx", "pdf", "zip", "rar", "doc", "docx")  # fileType of sampleFile (§6)
# msgKey → field that names an upload, and of which type that must be.
_MEDIA = {
    "sampleImageMsg": ("photoURL", "image"),
    "sampleAudio": ("mediaId", "voice"),
    "sampleFile": ("mediaId", "file"),
    "sampleVideo": ("videoMediaId", "video"),
}


@dataclass
class Session:
    """Behind one sessionWebhook URL. ``expires_at``: monotonic. ``message``: what it came with."""

    app: SimApp
    chat: SimChat
    expires_at: float
    message: SimMessage | None = None
    posts: deque[float] = field(default_factory=deque)


class Robot:
    def __init__(self, world: World, files: Files, switches: Switches, faults: Faults) -> None:
        self.world = world
        self.switches = switches
        self.faults = faults
        self.sessions: dict[str, Session] = {}
        self._files = files
        self.url = ""

    # ------------------------------------------------------------------ sends

    def send_single(self, app: SimApp, body: Json) -> Json:
        """``POST /v1.0/robot/oToMessages/batchSend``."""
        self._robot_code(app, body)
        users = body.get("userIds")
        if not isinstance(users, list) or not users:
            raise Refusal(400, "invalidParameter.userIds.empty")
        if len(users) > 20 or not all(isinstance(user, str) for user in users):
            raise Refusal(400, "invalidParameter.userIds.invalid")
        kind, text = self._msg_param(body)
        strangers = [user for user in users if user not in self.world.staff]
        known = [user for user in users if user in self.world.staff]
        throttled = self.faults.flow_controlled or app.faults.flow_controlled
        if not throttled:
            for user in known:
                chat = self.world.single(app, self.world.staff[user])
                self._show(SimReply(app, chat, "robot", kind, text, body))
        return {
            "processQueryKey": uuid.uuid4().hex,
            "invalidStaffIdList": strangers,
            "flowControlledStaffIdList": known if throttled else [],
        }

    def send_group(self, app: SimApp, body: Json) -> Json:
        """``POST /v1.0/robot/groupMessages/send``."""
        self._robot_code(app, body)
        chat_id = body.get("openConversationId")
        if not isinstance(chat_id, str) or not chat_id:
            raise Refusal(400, "invalidParameter.openConversationId.empty")
        chat = self.world.chats.get(chat_id)
        if chat is None or chat.kind != "group":
            raise Refusal(400, "invalidParameter.openConversationId.invalid")
        kind, text = self._msg_param(body)
        self._show(SimReply(app, chat, "robot", kind, text, body))
        return {"processQueryKey": uuid.uuid4().hex}

    def open_session(self, app: SimApp, chat: SimChat, lifetime: float) -> str:
        """Mint a sessionWebhook that lives for ``lifetime`` seconds; returns its URL."""
        name = uuid.uuid4().hex
        self.sessions[name] = Session(app, chat, time.monotonic() + lifetime)
        return f"{self.url}/robot/sendBySession?session={name}"

    def belongs(self, message: SimMessage) -> None:
        """The session of its webhook answers ``message``, if it is one of ours."""
        session = self.sessions.get(message.webhook.rpartition("session=")[2])
        if session is not None:
            session.message = message

    def spoil(self, name: str, mishap: str) -> None:
        """A post to this session came to nothing."""
        session = self.sessions.get(name)
        if session is not None and session.message is not None:
            session.message.spoilt.append(mishap)

    def post(self, name: str, body: Json) -> Json:
        """A POST to a sessionWebhook. Raises OldRefusal."""
        session = self.sessions.get(name)
        group_only = self.switches.webhook_group_only
        if (
            session is None
            or session.expires_at <= time.monotonic()
            or (group_only and session.chat.kind != "group")
        ):
            raise OldRefusal(300001, "session 不存在")  # as seen, also after its time
        kind = body.get("msgtype")
        if not isinstance(kind, str) or not kind:
            raise OldRefusal(40035, "缺少参数 msgtype")
        if kind == "empty":
            return {"errcode": 0, "errmsg": "ok"}
        if kind not in _MSG_TYPES:
            raise OldRefusal(400105, "不支持的消息类型")
        part = body.get(kind)
        for name_ in _MSG_TYPES[kind]:
            if not isinstance(part, dict) or not part.get(name_):
                raise OldRefusal(40035, f"缺少参数 {kind}.{name_}")
        if len(json.dumps(body, ensure_ascii=False).encode()) > self.switches.webhook_max_bytes:
            raise OldRefusal(460101, "message too long")
        self._rate(session)
        text = str(body[kind].get("content") or body[kind].get("text") or "")
        reply = SimReply(session.app, session.chat, "webhook", kind, text, body)
        reply.msg = session.message
        self._show(reply)
        return {"errcode": 0, "errmsg": "ok"}

    def _rate(self, session: Session) -> None:
        now = time.monotonic()
        while session.posts and session.posts[0] <= now - 60.0:
            session.posts.popleft()
        if 0 < self.switches.webhook_per_minute <= len(session.posts):
            raise OldRefusal(410100, "发送速度太快而限流")
        session.posts.append(now)

    def _show(self, reply: SimReply) -> None:
        if reply.msg is None:
            reply.msg = self.world.answered(reply.app, reply.chat)
        else:
            reply.msg.answered = True
        self.world.replies.append(reply)
        reply.chat.shown.append(reply)
        self.world.tell(SimEvent("reply", reply))

    @staticmethod
    def _robot_code(app: SimApp, body: Json) -> None:
        if not body.get("robotCode"):
            raise Refusal(400, "invalidParameter.robotCode.empty")
        if body["robotCode"] != app.client_id:
            raise Refusal(400, "invalidParameter.robotCode.auth")

    def _msg_param(self, body: Json) -> tuple[str, str]:
        """Return msgKey and what a person reads of the message: its text, or a file's name."""
        kind, fields = _msg_fields(body)
        if kind in _MEDIA:
            self._check_media(kind, fields)
        return kind, str(fields.get("content") or fields.get("text") or fields.get("fileName", ""))

    def _check_media(self, kind: str, fields: Json) -> None:
        """What is sent must have been uploaded, as what it is sent. The code is a guess."""
        name, wanted = _MEDIA[kind]
        media_id = fields[name]
        if not isinstance(media_id, str):
            raise Refusal(400, "invalidParameter.msgParam.invalid", f"{name} is not a string")
        if kind == "sampleImageMsg" and media_id.startswith(("http://", "https://")):
            return
        if self._files.media_types.get(media_id) != wanted:
            raise Refusal(400, "invalidParameter.msgParam.invalid", f"unknown {name}")
        if kind == "sampleFile" and not self.switches.any_file:
            if fields["fileType"] not in _SENDABLE:
                raise Refusal(400, "invalidParameter.msgParam.invalid", "unknown fileType")
            if not str(fields["fileName"]).strip():
                raise Refusal(400, "invalidParameter.msgParam.invalid", "fileName is blank")


def _msg_fields(body: Json) -> tuple[str, Json]:
    """Return msgKey and the fields of msgParam: JSON in a string of at most 15,000 bytes."""
    kind, param = body.get("msgKey"), body.get("msgParam")
    if not isinstance(kind, str) or not kind:
        raise Refusal(400, "invalidParameter.msgKey.empty")
    required = _MSG_KEYS.get("sampleActionCard" if kind.startswith("sampleActionCard") else kind)
    if required is None:
        raise Refusal(400, "invalidParameter.msgKey.invalid")
    if not isinstance(param, str) or not param:
        raise Refusal(400, "invalidParameter.msgParam.empty")
    if len(param.encode()) > 15_000:
        raise Refusal(400, "invalidParameter.msgParam.tooLong")
    try:
        fields: Any = json.loads(param)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not all(fields.get(name) for name in required):
        raise Refusal(400, "invalidParameter.msgParam.invalid")
    return kind, fields
