"""Files to DingTalk: uploaded to the old API, sent by the robot (dingtalk-protocol §6, §7)."""

import json
import mimetypes

from dod.dingtalk.api import Api, Json
from dod.dingtalk.bucket import Rank
from dod.dingtalk.refusals import surely_not_done
from dod.dingtalk.replies import by_robot
from dod.errors import DingTalkError, FileRefused, Undeliverable
from dod.messages import Message
from dod.ports import MediaKind

_MEGABYTE = 1 << 20
LARGEST: dict[MediaKind, int] = {  # bytes (§7, KB 0646)
    "image": 20 * _MEGABYTE,
    "voice": 2 * _MEGABYTE,
    "video": 20 * _MEGABYTE,
    "file": 20 * _MEGABYTE,
}
_NAME_LONGEST = 100  # characters


class Files:
    """``oapi``: base URL of the old API. Thread: the bot's loop."""

    def __init__(self, api: Api, oapi: str) -> None:
        self._api = api
        self._upload = oapi.rstrip("/") + "/media/upload"

    async def upload(self, content: bytes, name: str, kind: MediaKind, corp_id: str) -> str:
        """Returns the mediaId. Raises FileRefused without a call for what surely is refused."""
        if not content:
            raise FileRefused("an empty file")
        if len(content) > LARGEST[kind]:
            raise FileRefused(f"{len(content)} bytes: a {kind} has at most {LARGEST[kind]}")
        name = _plain(name)
        mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
        file = (name, content, mime)
        got = await self._api.give(
            self._upload, {"type": kind}, file, rank=Rank.CREATE, corp_id=corp_id
        )
        media_id = got.get("media_id")
        if not isinstance(media_id, str) or not media_id:
            raise DingTalkError("DingTalk took a file and gave no media_id")
        return media_id

    async def send_file(self, message: Message, media_id: str, name: str) -> None:
        name = _plain(name)
        param = {"mediaId": media_id, "fileName": name, "fileType": name.rpartition(".")[2].lower()}
        await self._send(message, "sampleFile", param)

    async def send_picture(self, message: Message, media_id: str) -> None:
        await self._send(message, "sampleImageMsg", {"photoURL": media_id})

    async def _send(self, message: Message, key: str, param: Json) -> None:
        if message.chat.kind == "single" and not message.sender.staff_id:
            raise Undeliverable("no file to someone without a staffId in a 1:1")
        said = json.dumps(param, ensure_ascii=False)
        body = {"robotCode": self._api.client_id, "msgKey": key, "msgParam": said}
        try:
            await by_robot(self._api, message, body)
        except DingTalkError as error:
            error.not_done = surely_not_done(error)
            if error.code.lower().startswith("invalidparameter.msgparam"):
                raise FileRefused(error.detail, code=error.code, status=error.status) from error
            raise


def _plain(name: str) -> str:
    """A name without folders and control characters, and not too long; its ending stays."""
    last = name.replace("\\", "/").rpartition("/")[2]
    clean = "".join(char for char in last if char.isprintable()).strip() or "file"
    stem, dot, ending = clean.rpartition(".")
    if len(clean) <= _NAME_LONGEST or not dot:
        return clean[:_NAME_LONGEST]
    return stem[: _NAME_LONGEST - 1 - len(ending)] + "." + ending
