"""The body of a bot message as DingTalk pushes it: dingtalk-protocol §3."""

from collections.abc import Callable
from dataclasses import dataclass

from dod.sim.dingtalk.faults import Json, Switches
from dod.sim.dingtalk.world import SimApp, SimChat, SimPerson

IN_GROUPS = {"text", "richText", "picture"}
KINDS = IN_GROUPS | {"audio", "video", "file", "unknownMsgType", "interactiveCard"}


@dataclass(frozen=True)
class Body:
    """All that one message is made of. ``file``: (name, content) → a new downloadCode.

    ``sent``: the file that it brings, else one of its kind. ``quoted``: ``repliedMsg``.
    """

    app: SimApp
    chat: SimChat
    person: SimPerson
    text: str
    kind: str
    msg_id: str
    created_ms: int
    webhook: str
    webhook_ms: int
    switches: Switches
    file: Callable[[str, bytes], str]
    sent: tuple[str, bytes] | None = None
    quoted: Json | None = None

    def build(self, *, over_quota: bool = False) -> Json:
        body = {**self._common(), **self._sender(), "msgtype": self.kind}
        if self.chat.kind == "group":
            members = [{"dingtalkId": self.app.user_id}]
            body |= {
                "conversationTitle": self.chat.title,
                "isInAtList": True,
                "atUsers": members,
            }
        if over_quota:  # it comes without text and content
            return {**body, "errorCode": "20001", "errorMessage": "Stream推送额度已用尽"}
        quote = {"isReplyMsg": True, "repliedMsg": self.quoted} if self.quoted else {}
        if self.kind == "text":
            return {**body, "text": {"content": self._spoken(), **quote}}
        return {**body, "content": {**self._content(), **quote}}

    def _common(self) -> Json:
        created: int | str = str(self.created_ms) if self.switches.created_at_text else 0
        return {
            "conversationId": self.chat.id,
            "conversationType": "2" if self.chat.kind == "group" else "1",
            "msgId": self.msg_id,
            "createAt": created or self.created_ms,
            "chatbotCorpId": self.app.corp_id,
            "chatbotUserId": self.app.user_id,
            "robotCode": self.app.client_id,
            "sessionWebhook": self.webhook,
            "sessionWebhookExpiredTime": self.webhook_ms,
            "openThreadId": self.chat.id,
        }

    def _sender(self) -> Json:
        sender: Json = {
            "senderId": self.person.sender_id,
            "senderNick": self.person.nick,
            "senderPlatform": "Mac",
            "isAdmin": False,
        }
        staff_id = self.person.staff_id if self.switches.staff_ids else None
        if staff_id is not None:
            return {**sender, "senderStaffId": staff_id, "senderCorpId": self.app.corp_id}
        if self.switches.outsider_staff_id == "empty":
            sender["senderStaffId"] = ""
        return sender

    def _spoken(self) -> str:
        # "@bot" is cut out of a group's text, the blank after it stays.
        return " " + self.text if self.chat.kind == "group" else self.text

    def _content(self) -> Json:
        match self.kind:
            case "richText":
                return {"richText": self._rich()}
            case "picture":
                code = self._keep("picture.png", b"\x89PNG\r\n\x1a\n")
                return {"downloadCode": code, "pictureDownloadCode": code}
            case "audio":
                code = self._keep("audio.amr", b"#!AMR\n")
                return {"duration": 4000, "downloadCode": code, "recognition": self.text}
            case "video":
                code = self._keep("video.mp4", b"\0\0\0\x18ftypmp42")
                return {"duration": 4000, "downloadCode": code, "videoType": "mp4"}
            case "file":
                name = self.sent[0] if self.sent else self.text or "file.pdf"
                code = self._keep(name, b"%PDF-1.4\n")
                return {
                    "downloadCode": code,
                    "fileName": name,
                    "spaceId": "1",
                    "fileId": self.msg_id,
                }
            case "interactiveCard":
                return {
                    "biz_custom_action_url": "https://alidocs.dingtalk.com/",
                    "title": self.text,
                }
            case _:
                return {"unknownMsgType": self.text or "不支持的消息类型"}

    def _keep(self, name: str, content: bytes) -> str:
        return self.file(*(self.sent or (name, content)))

    def _rich(self) -> list[Json]:
        items = self._lines()
        if self.sent is not None:
            code = self.file(*self.sent)
            items.append({"type": "picture", "downloadCode": code, "pictureDownloadCode": code})
        return items

    def _lines(self) -> list[Json]:
        lines = self._spoken().split("\n")
        if not self.switches.rich_text_newlines:
            return [{"text": self._spoken()}]
        items: list[Json] = [{"text": lines[0]}]
        for line in lines[1:]:
            items += [{"text": "\n"}, {"text": line}]
        return items
