"""Files of the simulated DingTalk: those that people sent, and those that bots upload.

Facts: dingtalk-protocol §7. The old API answers errors with HTTP 200 and an errcode: ``upload``
raises ``OldRefusal``.
"""

import time
import uuid
from dataclasses import dataclass, field

from dod.sim.dingtalk.faults import Json, OldRefusal, Refusal, Switches
from dod.sim.dingtalk.world import SimApp, World

_MEGABYTE = 1 << 20
_UPLOADS = {  # type → (largest size in bytes, endings) (§7)
    "image": (20 * _MEGABYTE, "jpg jpeg gif png bmp"),
    "voice": (2 * _MEGABYTE, "amr mp3 wav"),
    "video": (20 * _MEGABYTE, "mp4"),
    "file": (20 * _MEGABYTE, "doc docx xls xlsx ppt pptx zip pdf rar"),
}


@dataclass(frozen=True)
class SimFile:
    """A file that a person sent: behind a downloadCode of one robot."""

    app: SimApp
    name: str
    content: bytes = field(repr=False)


class Files:
    """Lifecycle: as the world's. Thread: the simulator's loop. ``url``: where they are fetched."""

    def __init__(self, world: World, switches: Switches) -> None:
        self._world = world
        self._switches = switches
        self._sent: dict[str, SimFile] = {}  # by downloadCode
        self.links: dict[str, SimFile] = {}  # by path of the downloadUrl
        self.media: dict[str, bytes] = {}  # by media_id
        self.media_types: dict[str, str] = {}  # likewise, as what it was uploaded
        self.url = ""

    def add(self, app: SimApp, name: str, content: bytes) -> str:
        """A file that only this app's robot may download; returns its downloadCode."""
        code = self._world.opaque("download")
        self._sent[code] = SimFile(app, name, content)
        return code

    def download(self, app: SimApp, body: Json) -> Json:
        """``POST /v1.0/robot/messageFiles/download``."""
        if not body.get("robotCode"):
            raise Refusal(400, "invalidParameter.robotCode.empty")
        file = self._sent.get(str(body.get("downloadCode")))
        if file is None:
            raise Refusal(400, "invalidParameter.downloadCode")
        if file.app is not app or body["robotCode"] != app.client_id:
            raise Refusal(400, "invalidParameter.robotCode.auth")
        path = f"/files/{uuid.uuid4().hex}.file"  # the real name is not in it (§7)
        self.links[path] = file
        return {"downloadUrl": f"{self.url}{path}?Expires={int(time.time()) + 3600}"}

    def upload(self, kind: str, file_name: str, content: bytes) -> Json:
        """``POST /media/upload``. Raises OldRefusal."""
        if kind not in _UPLOADS:
            raise OldRefusal(40004, "不合法的媒体文件类型")
        largest, endings = _UPLOADS[kind]
        known = file_name.rpartition(".")[2].lower() in endings.split()
        if not known and not (kind == "file" and self._switches.any_file):
            raise OldRefusal(40004, "不合法的媒体文件类型")
        if not content:
            raise OldRefusal(40035, "缺少参数 media")
        if len(content) > largest:
            raise OldRefusal(40006, "不合法的文件大小")
        media_id = "@lAz" + uuid.uuid4().hex
        self.media[media_id] = content
        self.media_types[media_id] = kind
        now = int(time.time() * 1000)
        return {
            "errcode": 0,
            "errmsg": "ok",
            "media_id": media_id,
            "created_at": now,
            "type": kind,
        }
